"""Structure prediction: binary trees over the segments of graphs, by the scores of a recursive network.

R. Socher, C. Lin, A. Ng & C. Manning, "Parsing natural scenes and natural language with recursive neural networks", ICML 2011.
Neighbouring segments i and j merge into ``p = f(W [a_i; a_j] + b)`` with the score ``w_score . p``, and p inherits the neighbours
of both; the score of a tree is the sum of the scores of its merges.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnsim.core.forest import Forest, Levels
from rnnsim.core.jit import jit_exact
from rnnsim.core.learner import NotFinite
from rnnsim.core.padding import packed_columns, padded_size
from rnnsim.core.products import multiply_rows, packed
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.core.threads import get_threads, parallel_region
from rnnsim.networks.recursive import merging
from rnnsim.networks.recursive.beam import beam_graphs, beam_parallel
from rnnsim.networks.recursive.chart import chart_graphs, chart_parallel, count_trees, enumerate_graph
from rnnsim.networks.recursive.greedy import greedy_graphs, greedy_parallel

SEARCHES = ("greedy", "beam", "chart", "all")
ACTIVATIONS = {"tanh": merging.TANH, "logistic": merging.LOGISTIC}
MOST_SEGMENTS, MOST_TREES = 12, 100_000  # of a graph all of whose trees are compared

_CHUNKS = 32  # at most; the number depends on the graphs alone
_CHUNK_SEGMENTS = 64
_LEAVES = 2048  # segments whose states are computed at a time
_PARALLEL_WORK = 400_000  # multiply-adds below which a second thread costs more than it brings


class Search(NamedTuple):
    """How trees are searched for.

    kind
        "greedy"  the best merge is made, again and again. Of equal scores the pair with the smallest left node, then the one with
                  the smallest right node is taken; nodes are numbered as in `rnnsim.core.segments.Parses`
        "beam"    the `width` best partial forests go on; two ways to the same forest count once
        "chart"   for chains: every span keeps its `width` best trees. It is exact if the scores of merges depend on the span
                  alone, and for any scores if `width` is at least the number of trees of every span, (2m)! / (m! (m + 1)!) for
                  m + 1 segments
        "all"     all trees are compared, up to MOST_SEGMENTS segments and MOST_TREES trees a graph
    width : of the beam, or the trees a span
    both_orders : whether [a_i; a_j] and [a_j; a_i] are both scored. If not, the node with the smallest segment below it is the
        left one. None: both for graphs with edges, one for chains

    >>> Search("beam", width=10).checked().width
    10
    """

    kind: str = "greedy"
    width: int = 1
    both_orders: bool | None = None

    def checked(self) -> "Search":
        """Itself. Raises `RnnsimError` for an unknown kind and a width below 1."""
        one_of("search", self.kind, SEARCHES)
        at_least("width", self.width, 1)
        require(
            self.kind in ("beam", "chart") or self.width == 1, f"width={self.width}: {self.kind} search has width 1"
        )
        return self

    def both(self, graphs: SegmentGraphs) -> bool:
        """Whether both orders of the pairs of these graphs are scored."""
        return graphs.edges is not None if self.both_orders is None else bool(self.both_orders)


class Found(NamedTuple):
    """What a search found: trees, and which of their merges are wrong (none of them without right answers)."""

    parses: Parses
    wrong: np.ndarray  # (M,) bool


GREEDY = Search()


def parse(
    net: Any, graphs: SegmentGraphs, search: Search = GREEDY, kappa: float | None = None, force: bool = False
) -> Found:
    """The best trees that a search finds over graphs of segments (`Found`).

    net : a recursive network with a score (`rnnsim.networks.recursive.folding.RecursiveNetwork`)
    kappa : what a wrong merge adds to the score of a tree, by the targets of the graphs: classes (a merge is wrong if segments
        below it have different classes; -1 goes with any) or right trees (a merge is wrong unless a node of the right tree has
        the same segments below it). None: the search does not read the targets
    force : greedy search takes right merges as long as there are any

    The search keeps scores in the type of the network and sums them in float64. One thread parses a graph, so the bits are the
    same for any number of threads. Raises `RnnsimError` for a network without a score, a chart over graphs that are no chains,
    enumerations that are too large and missing targets, and `NotFinite` for scores that are not finite.
    """
    search.checked()
    chains = graphs.edges is None
    require(search.kind != "chart" or chains, "search=chart: it parses chains (sentences), these graphs have edges")
    composition = _composition(net)
    answers = _no_answers(graphs) if kappa is None else right_answers(graphs)
    edges, edge_starts = graphs.neighbours()
    states, both = segment_states(net, graphs), search.both(graphs)
    given = merging.Graphs(graphs.starts, edges, edge_starts, states, _context(net, graphs, states, both), both)
    starts = np.concatenate([[0], np.cumsum(np.diff(graphs.starts) - 1)])
    merges = int(starts[-1])
    found = merging.Found(
        starts, np.zeros((merges, 2), np.int32), np.zeros(merges, composition.bias.dtype), np.zeros(merges, bool)
    )
    margin = 0.0 if kappa is None else float(kappa)
    if search.kind == "all":
        _compare_all(found, given, composition, answers, margin)
    else:
        serial, parallel, last = {
            "greedy": (greedy_graphs, greedy_parallel, bool(force)),
            "beam": (beam_graphs, beam_parallel, search.width),
            "chart": (chart_graphs, chart_parallel, search.width),
        }[search.kind]
        chunks = _chunks(graphs.starts)
        if get_threads() == 1 or len(graphs.inputs) * composition.panels.size < _PARALLEL_WORK or len(chunks) == 2:
            with np.errstate(over="ignore"):  # hashes overflow, of which NumPy warns where kernels are plain Python
                for first, end in zip(chunks[:-1], chunks[1:]):
                    serial(found, given, composition, answers, margin, last, first, end)
        else:
            with parallel_region:
                parallel(found, given, composition, answers, margin, last, chunks)
    if not np.isfinite(found.scores).all():
        at = int(np.argmin(np.isfinite(found.scores)))
        graph = int(np.searchsorted(starts, at, side="right")) - 1
        raise NotFinite(f"the score of a merge in graph {graph} is {found.scores[at]}")
    return Found(Parses(found.pairs, found.scores, starts), found.wrong)


def segment_states(net: Any, graphs: SegmentGraphs) -> np.ndarray:
    """(S, H) the states of all segments."""
    count = len(graphs.inputs)
    children, order = np.full((count, 2), -1, np.int32), np.arange(count, dtype=np.int32)
    ends = np.append(np.arange(0, count, _LEAVES), count)
    # Trees of one node are in order already: their levels need not be searched for.
    levels = Levels(order, order, children, ends, np.arange(len(ends)))
    alone = Forest(np.arange(count + 1), children, graphs.inputs, _levels=levels)
    return np.ascontiguousarray(net.states(alone))


def right_answers(graphs: SegmentGraphs) -> merging.Answers:
    """The targets of graphs as the kernels see them (`rnnsim.networks.recursive.merging.Answers`).

    Raises `RnnsimError` where there are none, and for right trees that do not fit the graphs.
    """
    targets, empty = graphs.targets, np.zeros(0, np.int32)
    require(targets is not None, "targets: the graphs have no right answers, neither classes nor trees")
    if not isinstance(targets, Parses):
        classes = np.ascontiguousarray(targets, np.int32)
        return merging.Answers(merging.CLASSES, classes, empty, empty, np.zeros(graphs.size + 1, np.int64))
    merges = np.diff(graphs.starts) - 1
    wrong = np.flatnonzero(np.diff(targets.starts) != merges)
    if wrong.size:
        b = int(wrong[0])
        has = int(targets.starts[b + 1] - targets.starts[b])
        require(False, f"graph {b}: its right tree has {has} merges, expected {merges[b]}")
    starts = graphs.starts + targets.starts
    counts = np.diff(graphs.starts)
    number = np.arange(len(targets.pairs)) - np.repeat(targets.starts[:-1], merges) + np.repeat(counts, merges)
    first = np.repeat(starts[:-1], merges)
    pairs = np.asarray(targets.pairs)
    parents = np.arange(starts[-1]) - np.repeat(starts[:-1], np.diff(starts))  # a root is its own parent
    outside = np.flatnonzero(((pairs < 0) | (pairs >= number[:, None])).any(axis=1))
    if outside.size:
        b = int(np.searchsorted(targets.starts, outside[0], side="right")) - 1
        require(False, f"graph {b}: the right tree merges {pairs[outside[0]].tolist()}, which are not both there")
    used = np.bincount((first[:, None] + pairs).ravel(), minlength=len(parents))
    again = np.flatnonzero(used > 1)
    if again.size:
        b = int(np.searchsorted(starts, again[0], side="right")) - 1
        require(False, f"graph {b}: its right tree merges node {again[0] - starts[b]} twice")
    parents[first[:, None] + pairs] = number[:, None]
    below = _segments_below(pairs, first, number, counts, starts)
    return merging.Answers(merging.TREES, empty, parents.astype(np.int32), below, starts)


@jit_exact
def _sum_below(below, pairs, first, number):
    for k in range(pairs.shape[0]):
        below[first[k] + number[k]] = below[first[k] + pairs[k, 0]] + below[first[k] + pairs[k, 1]]


def _segments_below(pairs, first, number, counts, starts):
    """(nodes,) int32: the number of segments below every node of the right trees."""
    below = np.ones(starts[-1], np.int32)
    _sum_below(below, np.ascontiguousarray(pairs, np.int64), first, number)
    return below


def _no_answers(graphs):
    empty = np.zeros(0, np.int32)
    return merging.Answers(merging.NO_ANSWERS, empty, empty, empty, np.zeros(graphs.size + 1, np.int64))


def _composition(net):
    """The `rnnsim.networks.recursive.merging.Composition` of a network."""
    weights = net._weights
    require(
        "weight_score" in weights, "score=False: merges of this network have no score, by which trees are searched for"
    )
    require("weight_tensor" not in weights, "composition=tensor: parsing needs composition=matrix")
    child, hidden = weights["weight_child"], weights["bias"].size
    arity = net.config["options"].get("arity", 2)
    require(arity == 2, f"arity={arity}: trees are searched for with arity=2")
    stacked = np.concatenate([child[:, :hidden], child[:, hidden : 2 * hidden]])
    panels = packed_columns(net._space, "parsing.panels", stacked, 2)
    bias, score = (np.zeros(padded_size(hidden, net.dtype), net.dtype) for _ in range(2))
    bias[:hidden], score[:hidden] = weights["bias"], weights["weight_score"].reshape(-1)
    return merging.Composition(panels, bias, score, ACTIVATIONS[net.config["options"]["activation"]])


def check_context(net: Any, graphs: SegmentGraphs, both: bool = False) -> None:
    """Raise `RnnsimError` for a network with context on graphs that are no chains, or with pairs in both orders."""
    fits = not net.config["options"].get("context") or (graphs.edges is None and not both)
    require(
        fits, "context=true: it reads the words beside a span; these graphs are no chains, or both orders are scored"
    )


def _context(net, graphs, states, both):
    """(S, 2P): what the states of the segments before and after every segment add, for a network with context; else no rows."""
    hidden = states.shape[1]
    padded = padded_size(hidden, net.dtype)
    if not net.config["options"].get("context"):
        return np.zeros((0, 2 * padded), net.dtype)
    check_context(net, graphs, both)
    context, child = np.zeros((len(states), 2 * padded), net.dtype), net._weights["weight_child"]
    added = np.empty_like(states)
    for side, weights in enumerate((child[:, 2 * hidden : 3 * hidden], child[:, 3 * hidden :])):
        panels = packed(net._space, "parsing.context", weights.T)
        multiply_rows(added, states, panels, added[0, :0])
        if side == 0:
            context[1:, :hidden] = added[:-1]
            context[graphs.starts[:-1], :hidden] = 0
        else:
            context[:-1, padded : padded + hidden] = added[1:]
            context[graphs.starts[1:] - 1, padded : padded + hidden] = 0
    return context


def _chunks(starts):
    """(C + 1,) the first graph of every chunk of graphs, with about as many segments each."""
    segments = int(starts[-1])
    count = min(_CHUNKS, segments // _CHUNK_SEGMENTS)
    if count < 2:  # one sentence is parsed in the time of some calls of NumPy
        return np.array([0, len(starts) - 1])
    cuts = np.searchsorted(starts, np.linspace(0, segments, count + 1).astype(np.int64))
    return np.unique(cuts)


def _compare_all(found, given, composition, answers, margin):
    for graph in range(len(given.starts) - 1):
        segments = int(given.starts[graph + 1] - given.starts[graph])
        require(
            segments <= MOST_SEGMENTS,
            f"search=all: graph {graph} has {segments} segments, expected at most {MOST_SEGMENTS}",
        )
        counts = np.zeros(1 << segments, np.int64)
        trees = count_trees(counts, graph, given)
        require(trees <= MOST_TREES, f"search=all: graph {graph} has {trees:,} trees, expected at most {MOST_TREES:,}")
        enumerate_graph(found, graph, given, composition, answers, margin, counts)
