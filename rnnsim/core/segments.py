"""Graphs of segments: what a structure predictor merges into trees (R. Socher, C. Lin, A. Ng & C. Manning, ICML 2011)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from rnnsim.core.batch import Batch
from rnnsim.core.forest import Forest, rows_of_parts
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError

if TYPE_CHECKING:
    from rnnsim.core.losses import Loss


class Parses(NamedTuple):
    """A binary tree over the segments of every graph, as the merges that make it.

    Graph b has n segments, the nodes 0 .. n - 1 of its tree; its merge k makes node n + k of two nodes that are there. A
    graph of one segment has no merge.
    """

    pairs: np.ndarray  # (M, 2) int32, the left and the right node of every merge
    scores: np.ndarray  # (M,) the score of every merge
    starts: np.ndarray  # (B + 1) int64, the merges of graph b are starts[b] .. starts[b + 1] - 1


@dataclass(slots=True, eq=False)
class SegmentGraphs(Batch):
    """Segments with features, and which of them are neighbours; the words of a sentence are a chain of segments.

    Graph b has the segments starts[b] .. starts[b + 1] - 1.

    starts : (B + 1,) whole numbers
    inputs : (S,) int32 symbols (words), or (S, F) float32 feature vectors
    edges : (E, 2) int32, pairs of neighbours, as numbers within their graph, the smaller one first; None: every graph is a chain
    edge_starts : (B + 1,), graph b has the edges edge_starts[b] .. edge_starts[b + 1] - 1; None for chains
    targets : the right answers: (S,) int32 classes of the segments, -1 where there is none; or a `Parses`, one right tree a graph
    weights : None

    Raises `RnnsimError` for an empty graph, an edge to a segment that is not there, and a graph that is not connected.

    >>> words = SegmentGraphs(starts=[0, 3, 5], inputs=np.array([4, 0, 2, 1, 1], np.int32))
    >>> words.size, words.work, words.take(slice(1, 2)).inputs
    (2, 5, array([1, 1], dtype=int32))
    """

    kind: ClassVar[str] = "graphs of segments"
    places: ClassVar[dict[str, str]] = {"every": "every segment", "last": "every tree"}
    divisors: ClassVar[dict[str, str]] = {"step": "segment", "sequence": "graph"}

    starts: np.ndarray
    inputs: np.ndarray
    edges: np.ndarray | None = None
    edge_starts: np.ndarray | None = None
    targets: "np.ndarray | Parses | None" = None
    weights: None = None

    def __post_init__(self):
        self.starts = np.ascontiguousarray(self.starts, np.int64)
        inputs = np.asarray(self.inputs)
        whole = inputs.ndim == 1 and inputs.dtype.kind in "iu"
        self.inputs = np.ascontiguousarray(inputs, np.int32 if whole else np.float32)
        require(whole or inputs.ndim == 2, f"inputs: expected symbols or feature vectors, got shape {inputs.shape}")
        starts, count = self.starts, len(self.inputs)
        fits = starts.ndim == 1 and starts.size > 1 and starts[0] == 0 and starts[-1] == count
        if not fits:  # the text of an array takes longer than all checks
            raise RnnsimError(f"starts: expected numbers from 0 to {count}, the number of segments, got {starts}")
        empty = np.flatnonzero(np.diff(starts) < 1)
        require(not empty.size, f"graph {empty[0] if empty.size else 0}: it has no segment")
        require((self.edges is None) == (self.edge_starts is None), "edges and edge_starts: give both or neither")
        if self.edges is not None:
            self._check_edges()
        if isinstance(self.targets, np.ndarray):
            require(len(self.targets) == count, f"targets: expected {count} classes, got {len(self.targets)}")

    def _check_edges(self):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        self.edges = np.ascontiguousarray(self.edges, np.int32).reshape(-1, 2)
        self.edge_starts = ends = np.ascontiguousarray(self.edge_starts, np.int64)
        fits = (
            ends.shape == self.starts.shape
            and ends[0] == 0
            and ends[-1] == len(self.edges)
            and (np.diff(ends) >= 0).all()
        )
        require(
            fits, f"edge_starts: expected {len(self.starts)} numbers from 0 to {len(self.edges)}, the number of edges"
        )
        counts, graphs = np.diff(self.starts), np.repeat(np.arange(self.size), np.diff(ends))
        low, high = self.edges[:, 0], self.edges[:, 1]
        wrong = np.flatnonzero((low < 0) | (low >= high) | (high >= counts[graphs]))
        if wrong.size:
            graph, pair = graphs[wrong[0]], self.edges[wrong[0]].tolist()
            require(False, f"graph {graph}: edge {pair} is no pair of its {counts[graph]} segments, the smaller first")
        first = self.starts[graphs]
        shape = (len(self.inputs),) * 2
        joined = coo_array((np.ones(len(graphs), bool), (first + low, first + high)), shape)
        part = connected_components(joined, directed=False)[1]
        apart = np.flatnonzero(part[self.starts[:-1]].repeat(counts) != part)
        if apart.size:
            graph = int(np.searchsorted(self.starts, apart[0], side="right")) - 1
            require(False, f"graph {graph}: it is not connected, segment {apart[0] - self.starts[graph]} is apart")

    @property
    def size(self) -> int:
        """The number of graphs."""
        return len(self.starts) - 1

    @property
    def work(self) -> int:
        """See `Batch.work`: the number of segments."""
        return len(self.inputs)

    def amount(self, loss: "Loss") -> float:
        """See `Batch.amount`: the number of graphs, or of the segments with a class."""
        return float(self.size if loss.per == "sequence" else np.count_nonzero(self._counted()))

    def every(self, right: np.ndarray) -> np.ndarray:
        """See `Batch.every`; `right` is (S,), a segment of class -1 is not counted."""
        return np.logical_and.reduceat(right | ~self._counted(), self.starts[:-1])

    def mean(self, errors: np.ndarray) -> np.ndarray:
        """See `Batch.mean`; `errors` is (S,)."""
        counted = self._counted()
        sums = np.add.reduceat(np.where(counted, errors, 0), self.starts[:-1])
        return sums / np.maximum(np.add.reduceat(counted.astype(np.float64), self.starts[:-1]), 1)

    def _counted(self):
        """(S,) bool: the segments with a class."""
        return self.targets >= 0 if isinstance(self.targets, np.ndarray) else np.ones(self.work, bool)

    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """(edges, edge_starts), those of the chains included."""
        if self.edges is not None and self.edge_starts is not None:
            return self.edges, self.edge_starts
        counts = np.diff(self.starts) - 1
        ends = np.concatenate([[0], np.cumsum(counts)])
        left = np.arange(ends[-1]) - np.repeat(ends[:-1], counts)
        return np.stack([left, left + 1], axis=1).astype(np.int32), ends

    def take(self, which: slice | np.ndarray) -> "SegmentGraphs":
        """See `Batch.take`."""
        graphs = np.arange(self.size)[which]
        require(graphs.size > 0, f"no graph is selected, of {self.size}")
        segments, starts = rows_of_parts(self.starts, graphs)
        targets, edges, edge_starts = self.targets, self.edges, self.edge_starts
        if isinstance(targets, Parses):
            merges, ends = rows_of_parts(targets.starts, graphs)
            targets = Parses(targets.pairs[merges], targets.scores[merges], ends)
        elif targets is not None:
            targets = targets[segments]
        if edges is not None:
            rows, edge_starts = rows_of_parts(edge_starts, graphs)
            edges = edges[rows]
        return SegmentGraphs(starts, self.inputs[segments], edges, edge_starts, targets)

    def forest(self, parses: Parses, context: bool = False) -> Forest:
        """The trees of parses of these graphs, with the inputs of their segments as inputs of the leaves.

        context : the segments before and after the span of a merge are its third and its fourth child; for chains
        """
        counts, merges = np.diff(self.starts), np.diff(parses.starts)
        starts = self.starts + parses.starts
        children = np.full((starts[-1], 4 if context else 2), -1, np.int32)
        graphs = np.arange(self.size)
        leaf = np.arange(len(self.inputs)) + np.repeat(parses.starts[:-1], counts)
        inner = np.arange(len(parses.pairs)) + np.repeat(self.starts[graphs + 1], merges)
        children[inner, :2] = parses.pairs
        if context:
            before, after = _beside_spans(parses.pairs, parses.starts, counts)
            children[inner, 2], children[inner, 3] = before, after
        if self.inputs.ndim == 1:
            inputs = np.full(len(children), -1, np.int32)
        else:
            inputs = np.zeros((len(children), self.inputs.shape[1]), np.float32)
        inputs[leaf] = self.inputs
        return Forest(starts, children, inputs)


@jit_exact
def _beside(before, after, pairs, starts, counts):
    for graph in range(starts.size - 1):
        n, merges = counts[graph], starts[graph + 1] - starts[graph]
        first, last = np.empty(n + merges, np.int32), np.empty(n + merges, np.int32)
        for s in range(n):
            first[s], last[s] = s, s
        for k in range(merges):
            m = starts[graph] + k
            left, right = pairs[m, 0], pairs[m, 1]
            first[n + k], last[n + k] = min(first[left], first[right]), max(last[left], last[right])
            before[m] = first[n + k] - 1
            after[m] = last[n + k] + 1 if last[n + k] + 1 < n else -1


def _beside_spans(pairs, starts, counts):
    """(before, after), (M,) each: the segments beside the span of every merge, -1 where there is none."""
    before, after = np.empty(len(pairs), np.int32), np.empty(len(pairs), np.int32)
    _beside(before, after, np.ascontiguousarray(pairs, np.int32), starts, counts)
    return before, after
