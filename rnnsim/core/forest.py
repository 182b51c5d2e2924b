"""Forests: batches of labelled trees, or directed acyclic graphs with one root each, of unequal size, as flat arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from rnnsim.core.batch import Batch
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import require
from rnnsim.core.terms import Terms
from rnnsim.errors import RnnsimError

if TYPE_CHECKING:
    from rnnsim.core.losses import Loss

_CHUNK_NODES = 2048  # a chunk of trees has at least so many nodes
# At most; the number depends on the forest alone, so that sums over chunks have the same bits on any machine
_CHUNKS = 16


class Levels(NamedTuple):
    """The order in which a forest is evaluated: chunk after chunk of whole trees, in a chunk level after level.

    The level of a node is 0 if it has no children, else 1 + the largest level of its children. All nodes of a level are evaluated
    at once, and chunks in parallel. A position is the place of a node in that order.
    """

    order: np.ndarray  # (N) int32, the node at each position
    position: np.ndarray  # (N) int32, the position of each node
    children: np.ndarray  # (N, A) int32, by position: the positions of the children, -1 where there is none
    starts: np.ndarray  # (L + 1) int64, level k has the positions starts[k] .. starts[k + 1] - 1
    chunks: np.ndarray  # (C + 1) int64, chunk c has the levels chunks[c] .. chunks[c + 1] - 1


@jit_exact
def _heights(height, children, starts):
    """height (N) <- level of every node."""
    for tree in range(starts.size - 1):
        first = starts[tree]
        for node in range(first, starts[tree + 1]):
            level = 0
            for child in children[node]:
                if child >= 0:
                    level = max(level, height[first + child] + 1)
            height[node] = level


@jit_exact
def _sort_by_height(order, position, height, first, last, counts):
    """order and position of the nodes first .. last - 1, sorted by height; counts <- the first position of every height."""
    counts[:] = 0
    for node in range(first, last):
        counts[height[node]] += 1
    at = first
    for level in range(counts.size):
        count = counts[level]
        counts[level] = at
        at += count
    for node in range(first, last):
        place = counts[height[node]]
        counts[height[node]] += 1
        order[place], position[node] = node, place
    for level in range(counts.size - 1, 0, -1):
        counts[level] = counts[level - 1]
    counts[0] = first


@jit_exact
def _children_by_position(placed, children, starts, position):
    """placed (N, A) <- the positions of the children of the node at every position."""
    for tree in range(starts.size - 1):
        first = starts[tree]
        for node in range(first, starts[tree + 1]):
            row = placed[position[node]]
            for k in range(row.size):
                child = children[node, k]
                row[k] = position[first + child] if child >= 0 else -1


@jit_exact
def _first_fault(children, starts):
    """The first node with a child that does not stand before it (kind 0), or that is no root and has no parent (kind 1).

    (kind, tree, node in the tree), or (-1, 0, 0).
    """
    has_parent = np.zeros(children.shape[0], np.bool_)
    for tree in range(starts.size - 1):
        first, last = starts[tree], starts[tree + 1]
        for node in range(first, last):
            for child in children[node]:
                if child < -1 or child >= node - first:
                    return 0, tree, node - first
                if child >= 0:
                    has_parent[first + child] = True
        for node in range(first, last - 1):
            if not has_parent[node]:
                return 1, tree, node - first
    return -1, 0, 0


@dataclass(slots=True, eq=False)
class Forest(Batch):
    """Labelled trees of unequal size, a batch of recursive networks; sub-trees may be shared (directed acyclic graphs).

    The nodes of tree b are starts[b] .. starts[b + 1] - 1, children before their parents, the root last. `from_nested`,
    `from_brackets`, `from_arrays` and `from_dependencies` make a forest of other forms.

    starts : (B + 1,) whole numbers
    children : (N, A) int32, the children of every node as numbers within their tree, -1 where there is none ("nil")
    inputs : the labels, (N,) int32, -1 for a node without one; or feature vectors, (N, F) float32, zeros for a node without one
    targets : one a tree, (B, K) float or (B,) int32; or one a node, (N, K) or (N,); None while there are none
    weights : (B,) or (N,) float32, as the targets; 0 where a target is not counted; None: all count once
    symbols : the names of the labels, or None

    Raises `RnnsimError` if a child does not stand before its parent, for two roots, empty trees and shapes that do not fit.

    >>> forest = Forest.from_nested([("and", "T", ("not", "F")), "T"])
    >>> forest.size, forest.nodes, forest.depth, forest.symbols
    (2, 5, 2, ('and', 'T', 'not', 'F'))
    >>> forest.to_brackets()
    ['(and T (not F))', 'T']
    """

    kind: ClassVar[str] = "trees"
    places: ClassVar[dict[str, str]] = {"every": "every node", "last": "the root"}
    divisors: ClassVar[dict[str, str]] = {"step": "node", "sequence": "tree"}

    starts: np.ndarray
    children: np.ndarray
    inputs: np.ndarray
    targets: Any = None
    weights: np.ndarray | None = None
    symbols: tuple[str, ...] | None = None
    _levels: Levels | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        self.starts = whole_numbers("starts", self.starts, np.int64)
        self.children = whole_numbers("children", self.children, np.int32)
        inputs = np.asarray(self.inputs)
        symbols = inputs.ndim == 1
        self.inputs = whole_numbers("inputs", inputs, np.int32) if symbols else np.ascontiguousarray(inputs, np.float32)
        starts, nodes = self.starts, len(self.children)
        if starts.ndim != 1 or starts.size < 2 or starts[0] != 0 or starts[-1] != nodes:
            raise RnnsimError(f"starts: expected numbers from 0 to {nodes}, the number of nodes, got {starts}")
        empty = np.flatnonzero(np.diff(starts) < 1)
        require(not empty.size, f"tree {empty[0] if empty.size else 0}: it has no node")
        require(self.children.ndim == 2, f"children: expected shape (nodes, children), got {self.children.shape}")
        fits = len(self.inputs) == nodes and (symbols or self.inputs.ndim == 2)
        require(fits, f"inputs: expected {nodes} labels or feature vectors, got shape {self.inputs.shape}")
        if symbols and self.symbols is not None and self.inputs.max() >= len(self.symbols):
            raise RnnsimError(f"symbols: {len(self.symbols)} names, but there is a label {self.inputs.max()}")
        kind, tree, node = _first_fault(self.children, starts)
        require(kind != 0, f"tree {tree}, node {node}: a child does not stand before it")
        require(kind != 1, f"tree {tree}: it has two roots, nodes {node} and {starts[tree + 1] - starts[tree] - 1}")
        self._check_targets()

    def _check_targets(self):
        if self.targets is None:
            require(self.weights is None, "weights: there are no targets")
            return
        self.targets = np.asarray(self.targets)
        count = len(self.targets) if self.targets.ndim else 0
        fits = count in (self.size, self.nodes)
        require(fits, f"targets: expected {self.size} (one a tree) or {self.nodes} (one a node), got {count}")
        if self.weights is None:
            return
        self.weights = np.asarray(self.weights)
        shape = self.weights.shape
        require(shape == (count,), f"weights: expected {count}, one a target, got shape {shape}")
        require(bool(np.isfinite(self.weights).all()), "weights: expected finite numbers")

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The number of trees."""
        return len(self.starts) - 1

    def __len__(self) -> int:
        return self.size

    @property
    def nodes(self) -> int:
        """N, the number of nodes of all trees; a shared one counts once."""
        return len(self.children)

    @property
    def arity(self) -> int:
        """A, the largest number of children that a node can have."""
        return self.children.shape[1]

    @property
    def work(self) -> int:
        """See `Batch.work`: the number of nodes."""
        return self.nodes

    @property
    def depth(self) -> int:
        """The largest number of edges from a root to a leaf."""
        height = np.zeros(self.nodes, np.int32)
        _heights(height, self.children, self.starts)
        return int(height.max())

    @property
    def roots(self) -> np.ndarray:
        """(B,) the nodes that are roots."""
        return self.starts[1:] - 1

    @property
    def leaves(self) -> np.ndarray:
        """(N,) bool: the nodes without children."""
        return (self.children < 0).all(axis=1)

    @property
    def trees(self) -> np.ndarray:
        """(N,) the tree that each node belongs to."""
        return np.repeat(np.arange(self.size), np.diff(self.starts))

    @property
    def target_a_tree(self) -> bool:
        """Whether there is one target a tree instead of one a node."""
        return len(self.targets) != self.nodes or self.nodes == self.size

    @classmethod
    def random(
        cls, rng: np.random.Generator, size: int, n_inputs: int, n_outputs: int, loss: "Loss", tokens: bool = False
    ) -> "Forest":
        """See `Batch.random`: binary trees of 2 to 6 leaves with labels or features at the leaves; equal sub-trees are shared."""

        def term(leaves):
            if leaves == 1:
                return str(rng.integers(n_inputs if tokens else 3))
            left = int(rng.integers(1, leaves))
            return [None, term(left), term(leaves - left)]

        names = [str(k) for k in range(max(n_inputs, 3))]
        forest = cls.from_nested([term(2 + tree % 5) for tree in range(size)], names, share=True)
        inputs = forest.inputs
        if not tokens:
            inputs = np.where(inputs[:, None] >= 0, rng.normal(size=(forest.nodes, n_inputs)), 0)
        targets = loss.random_targets(rng, (size,) if loss.when == "last" else (forest.nodes,), n_outputs)
        return cls(forest.starts, forest.children, inputs, targets)

    # -- the contract of a batch ---------------------------------------------------------------------------------------

    def take(self, which: slice | np.ndarray) -> "Forest":
        """See `Batch.take`."""
        trees = np.arange(self.size)[which]
        require(trees.size > 0, f"no tree is selected, of {self.size}")
        nodes, starts = rows_of_parts(self.starts, trees)
        whole = self.targets is None or self.target_a_tree

        def part(array):
            return None if array is None else array[trees if whole else nodes]

        return Forest(
            starts, self.children[nodes], self.inputs[nodes], part(self.targets), part(self.weights), self.symbols
        )

    def __iter__(self):
        return (self.take(slice(tree, tree + 1)) for tree in range(self.size))

    def __getitem__(self, which: int | slice | np.ndarray) -> "Forest":
        if isinstance(which, (int, np.integer)):
            require(-self.size <= which < self.size, f"tree {which}: the forest has {self.size}")
            which = np.array([which])
        return self.take(which)

    def every(self, right: np.ndarray) -> np.ndarray:
        """See `Batch.every`."""
        counted = np.ones(self.nodes, bool) if self.weights is None else self.weights != 0
        return np.logical_and.reduceat(right | ~counted, self.starts[:-1])

    def mean(self, errors: np.ndarray) -> np.ndarray:
        """See `Batch.mean`."""
        counted = np.ones(self.nodes) if self.weights is None else (self.weights != 0).astype(np.float64)
        sums = np.add.reduceat(np.where(counted, errors, 0), self.starts[:-1])
        return sums / np.maximum(np.add.reduceat(counted, self.starts[:-1]), 1)

    @property
    def levels(self) -> Levels:
        """The order of evaluation (`Levels`)."""
        if self._levels is None:
            self._levels = self._leveled()
        return self._levels

    def _leveled(self):
        count = min(_CHUNKS, max(1, self.nodes // _CHUNK_NODES), self.size)
        cuts = np.searchsorted(self.starts, np.linspace(0, self.nodes, count + 1).astype(np.int64))
        cuts = np.unique(cuts)
        height = np.zeros(self.nodes, np.int32)
        _heights(height, self.children, self.starts)
        order, position = np.empty(self.nodes, np.int32), np.empty(self.nodes, np.int32)
        starts, chunks = [], [0]
        for first, last in zip(self.starts[cuts[:-1]], self.starts[cuts[1:]]):
            counts = np.empty(int(height[first:last].max()) + 1, np.int64)
            _sort_by_height(order, position, height, first, last, counts)
            starts.append(counts)
            chunks.append(chunks[-1] + len(counts))
        placed = np.empty_like(self.children)
        _children_by_position(placed, self.children, self.starts, position)
        ends = np.append(np.concatenate(starts), self.nodes)
        return Levels(order, position, placed, ends, np.array(chunks, np.int64))

    # -- other forms ---------------------------------------------------------------------------------------------------

    @classmethod
    def concatenated(cls, forests: Iterable["Forest"]) -> "Forest":
        """One forest of the trees of several, in their order. Raises `RnnsimError` if labels or targets do not fit together."""
        forests = list(forests)
        require(bool(forests), "forests: expected at least one")
        first = forests[0]
        for other in forests[1:]:
            same = other.inputs.shape[1:] == first.inputs.shape[1:] and other.inputs.dtype == first.inputs.dtype
            require(same and other.symbols == first.symbols, "forests: their nodes have different kinds of labels")
            require((other.targets is None) == (first.targets is None), "forests: some have targets, others have none")
        # Trees of one node each may have targets of either kind.
        of_trees = {other.target_a_tree for other in forests if first.targets is not None and other.nodes > other.size}
        require(len(of_trees) < 2, "forests: their targets are of different kinds")
        arity = max(forest.arity for forest in forests)
        children = [
            np.pad(forest.children, ((0, 0), (0, arity - forest.arity)), constant_values=-1) for forest in forests
        ]
        shifts = np.cumsum([0, *(forest.nodes for forest in forests)])
        starts = [forest.starts[1:] + shift for forest, shift in zip(forests, shifts)]
        targets = None if first.targets is None else np.concatenate([forest.targets for forest in forests])
        weights = None
        if any(forest.weights is not None for forest in forests):
            weights = [
                np.ones(len(forest.targets), np.float32) if forest.weights is None else forest.weights
                for forest in forests
            ]
            weights = np.concatenate(weights)
        inputs = np.concatenate([forest.inputs for forest in forests])
        return cls(np.concatenate([[0], *starts]), np.concatenate(children), inputs, targets, weights, first.symbols)

    @classmethod
    def from_nested(cls, trees: Iterable[Any], symbols: Sequence[str] | None = None, share: bool = False) -> "Forest":
        """A forest of nested lists or tuples: a leaf is a label, any other node a list of its label and its children.

        A label is a string, or None for a node without one.

        symbols : the names of the labels; None: they are numbered in the order of the nodes
        share : equal sub-trees of a tree are kept once

        >>> Forest.from_nested([("f", "a", ("g", "a"))], share=True).nodes
        3
        """
        terms = Terms(symbols, share)
        for tree in trees:
            terms.add_nested(tree)
        return cls(*terms.arrays(), symbols=tuple(terms.symbols))

    @classmethod
    def from_brackets(
        cls, lines: Iterable[str], symbols: Sequence[str] | None = None, labelled: bool = True, share: bool = False
    ) -> "Forest":
        """A forest of bracketed strings, one a line: ``(S (NP the cat) (VP sat))``; empty lines are skipped.

        labelled : whether the first word of a bracket is its label; if not, ``((the cat) sat)`` has labels at leaves only
        symbols, share : as of `from_nested`

        Raises `RnnsimError` with the line and the column for brackets that are not balanced or empty, and for a second tree
        in one line.

        >>> Forest.from_brackets(["((the cat) sat)"], labelled=False).to_brackets()
        ['((the cat) sat)']
        """
        terms = Terms(symbols, share)
        for number, line in enumerate(lines, 1):
            if line.strip():
                terms.add_brackets(line, labelled, f"line {number}")
        return cls(*terms.arrays(), symbols=tuple(terms.symbols))

    @classmethod
    def from_arrays(
        cls,
        children: Any,
        inputs: Any,
        trees: Any = None,
        targets: Any = None,
        weights: Any = None,
        symbols: Sequence[str] | None = None,
    ) -> "Forest":
        """A forest of arrays, its nodes in any order.

        children : (N, A), numbers of nodes, -1 where there is none
        inputs, targets, weights : as of `Forest`, by the given order
        trees : (N,) the tree of each node, 0 .. B - 1; None: all belong to one tree

        Raises `RnnsimError` for a cycle and for two roots, with the node.

        >>> Forest.from_arrays([[1, 2], [-1, -1], [-1, -1]], [0, 1, 2], symbols="abc").to_brackets()
        ['(a b c)']
        """
        children = np.asarray(children)
        fits = children.ndim == 2 and children.dtype.kind in "iu"
        require(fits, f"children: expected whole numbers of shape (nodes, children), got shape {children.shape}")
        inputs, nodes = np.asarray(inputs), len(children)
        require(nodes > 0, "children: there is no node")
        trees = np.zeros(nodes, np.int64) if trees is None else np.asarray(trees)
        require(len(inputs) == nodes, f"inputs: expected {nodes} labels or feature vectors, got {len(inputs)}")
        fits = trees.shape == (nodes,) and trees.dtype.kind in "iu" and trees.min() == 0 and trees.max() < nodes
        require(fits, f"trees: expected {nodes} whole numbers from 0 on, none above the number of nodes")
        outside = np.argwhere((children < -1) | (children >= nodes))
        require(not len(outside), f"children: node {outside[0][0] if len(outside) else 0} has a child that is no node")
        order = _children_first(children)
        order = order[np.argsort(trees[order], kind="stable")]
        counts = np.bincount(trees)
        starts = np.concatenate([[0], np.cumsum(counts)])
        position = np.empty(nodes, np.int64)
        position[order] = np.arange(nodes) - np.repeat(starts[:-1], counts)
        parents, slots = np.nonzero(children >= 0)
        away = trees[parents] != trees[children[parents, slots]]
        require(not away.any(), f"children: node {parents[away][0] if away.any() else 0} has a child in another tree")
        _require_one_root(children, trees, len(counts))
        moved = np.where(children >= 0, position[children], -1)[order]
        targets = None if targets is None else np.asarray(targets)
        of_nodes = targets is not None and len(targets) == nodes and nodes != len(counts)
        names = None if symbols is None else tuple(symbols)
        return cls(
            starts,
            moved,
            inputs[order],
            targets[order] if of_nodes else targets,
            weights if weights is None or not of_nodes else np.asarray(weights)[order],
            names,
        )

    @classmethod
    def from_dependencies(cls, heads: Iterable[Sequence[int]], labels: Iterable[Sequence[Any]], **more) -> "Forest":
        """A forest of dependency trees: a node a word, its dependents are its children, in the order of the sentence.

        heads : for every sentence the head of every word, counted from 1; 0: the root, as in CoNLL-U
        labels : for every sentence a label, a whole number or a name, of every word
        more : `symbols`, the names of the labels

        Raises `RnnsimError` with the sentence for a cycle, and for no root or two.

        >>> Forest.from_dependencies([[2, 0, 2]], [["dogs", "chase", "cats"]]).to_brackets()
        ['(chase dogs cats)']
        """
        symbols = list(more.get("symbols") or [])
        numbers = {name: k for k, name in enumerate(symbols)}
        known = bool(symbols)
        all_children, inputs, trees, first = [], [], [], 0
        heads, labels = list(heads), list(labels)
        require(len(heads) == len(labels), f"heads: {len(heads)} sentences, labels: {len(labels)}")
        for sentence, (above, names) in enumerate(zip(heads, labels)):
            count = len(above)
            require(count > 0, f"sentence {sentence}: it has no word")
            require(len(names) == count, f"sentence {sentence}: {count} heads for {len(names)} words")
            below = [[] for _ in above]
            for word, head in enumerate(above):
                require(0 <= head <= count, f"sentence {sentence}, word {word + 1}: head {head} is no word")
                if head:
                    below[head - 1].append(first + word)
            roots = sum(head == 0 for head in above)
            require(roots == 1, f"sentence {sentence}: expected one root, got {roots}")
            for name in names:
                if isinstance(name, str):
                    if name not in numbers:
                        require(not known, f"sentence {sentence}: unknown label '{name}'")
                        numbers[name] = len(symbols)
                        symbols.append(name)
                    name = numbers[name]
                inputs.append(name)
            all_children += below
            trees += [sentence] * count
            first += count
        require(bool(inputs), "heads: there is no sentence")
        arity = max(1, *map(len, all_children))
        children = np.full((len(inputs), arity), -1)
        for node, below in enumerate(all_children):
            children[node, : len(below)] = below
        on_cycle = _sorted_children_first(np.ascontiguousarray(children, np.int64))[1]
        if on_cycle >= 0:
            word = on_cycle - trees.index(trees[on_cycle]) + 1
            raise RnnsimError(f"sentence {trees[on_cycle]}, word {word}: its heads go round in a circle")
        return cls.from_arrays(children, np.array(inputs), np.array(trees), symbols=symbols or None)

    def to_brackets(self) -> list[str]:
        """Every tree as a bracketed string with the names of the labels, or their numbers; a shared node is written where it
        is used.

        Raises `RnnsimError` for a forest with feature vectors.
        """
        require(self.inputs.ndim == 1, "to_brackets: the nodes have feature vectors, no labels")
        return [self._bracketed(tree) for tree in range(self.size)]

    def _bracketed(self, tree):
        first, last = self.starts[tree], self.starts[tree + 1]
        children, labels, names = self.children[first:last].tolist(), self.inputs[first:last].tolist(), self.symbols
        pieces, open_ends = [], [len(children) - 1]
        while open_ends:
            node = open_ends.pop()
            if node < 0:
                pieces.append(")")
                continue
            name = "" if labels[node] < 0 else names[labels[node]] if names else str(labels[node])
            below = [child for child in children[node] if child >= 0]
            if not below:
                pieces.append(name or "()")
                continue
            pieces += ["(", name] if name else ["("]
            open_ends += [-1, *reversed(below)]
        text = " ".join(pieces)
        return text.replace("( ", "(").replace(" )", ")")

    def with_targets(self, targets: Any, weights: np.ndarray | None = None) -> "Forest":
        """The same trees with these targets, one a tree or one a node."""
        return Forest(self.starts, self.children, self.inputs, targets, weights, self.symbols, self._levels)


def rows_of_parts(starts, parts):
    """(the rows of some of the parts that begin at `starts`, where they begin then)."""
    counts = np.diff(starts)[parts]
    ends = np.concatenate([[0], np.cumsum(counts)])
    return np.arange(ends[-1]) + np.repeat(starts[parts] - ends[:-1], counts), ends


def whole_numbers(name, values, dtype):
    """A contiguous array of whole numbers. Raises `RnnsimError` for others, and for numbers that the type does not hold."""
    values = np.asarray(values)
    require(values.dtype.kind in "iu" or not values.size, f"{name}: expected whole numbers, got {values.dtype}")
    limits = np.iinfo(dtype)
    fits = not values.size or (values.min() >= limits.min and values.max() <= limits.max)
    require(fits, f"{name}: expected numbers up to {limits.max:,}")
    return np.ascontiguousarray(values, dtype)


def _children_first(children):
    """The nodes in an order in which children stand before their parents. Raises `RnnsimError` for a cycle."""
    order, left = _sorted_children_first(np.ascontiguousarray(children, np.int64))
    require(left < 0, f"children: node {left} is on a cycle")
    return order


@jit_exact
def _sorted_children_first(children):
    """(order, a node on a cycle or -1); Kahn's algorithm over the edges from children to parents."""
    nodes, arity = children.shape
    waiting = np.zeros(nodes, np.int64)  # children that are not placed yet
    parents = np.zeros(nodes + 1, np.int64)
    for node in range(nodes):
        for child in children[node]:
            if child >= 0:
                waiting[node] += 1
                parents[child + 1] += 1
    parents = np.cumsum(parents)
    of = np.empty(parents[nodes], np.int64)
    filled = parents[:nodes].copy()
    for node in range(nodes):
        for child in children[node]:
            if child >= 0:
                of[filled[child]] = node
                filled[child] += 1
    order, count, done = np.empty(nodes, np.int64), 0, 0
    for node in range(nodes):
        if waiting[node] == 0:
            order[count] = node
            count += 1
    while done < count:
        node = order[done]
        done += 1
        for k in range(parents[node], parents[node + 1]):
            waiting[of[k]] -= 1
            if waiting[of[k]] == 0:
                order[count] = of[k]
                count += 1
    if count == nodes:
        return order, -1
    # Every node that still waits has a child that does: going down for as many edges as there are nodes ends on a cycle.
    at = 0
    while waiting[at] == 0:
        at += 1
    for _ in range(nodes):
        for child in children[at]:
            if child >= 0 and waiting[child] > 0:
                at = child
                break
    return order, at


def _require_one_root(children, trees, count):
    below = np.zeros(len(children), bool)
    below[children[children >= 0]] = True
    roots = np.bincount(trees[~below], minlength=count)
    for tree in np.flatnonzero(roots != 1)[:1]:
        found = np.flatnonzero(~below & (trees == tree))
        raise RnnsimError(
            f"tree {tree}: it has no node"
            if not found.size
            else f"tree {tree}: it has {roots[tree]} roots, nodes {found[0]} and {found[1]} among them"
        )
