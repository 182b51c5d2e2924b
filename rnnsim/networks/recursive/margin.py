"""The max-margin objective of structure prediction (R. Socher, C. Lin, A. Ng & C. Manning, ICML 2011), and its subgradient.

A tree t over the segments of graph i has the score s(t), the sum over its merges, and w(t) wrong merges
(`rnnsim.networks.recursive.parsing.parse`). With N graphs, c_i the correct tree of graph i, and the search for max::

    J = 1/N sum_i [ max_t (s(t) + kappa w(t)) - s(c_i) - kappa w(c_i) ] + 1/N sum_i sum_nodes of c_i H(d, y)

- The correct tree is the greedy one that makes right merges as long as there are any: with right trees the given tree, with
  classes of segments a tree that completes every region of one class first. A graph of R regions cannot be parsed without R - 1
  merges of two classes, and that is w(c_i) then. So the first term is 0 if the best tree is the correct one.
- The search may miss a better tree than it finds, the correct one, say. The first term is 0 then, and nothing is learned, though
  the parser is wrong. Greedy and beam search therefore compare the first merges of both trees, as many as make the largest
  difference ("max violation": L. Huang, S. Fayong & Y. Guo, NAACL 2012)::

      max_k sum_(j <= k) [ s(t_j) + kappa w(t_j) - s(c_j) - kappa w(c_j) ]        t_j, c_j: merge j of the found and of c_i

  Greedy search takes the best merge at the first difference of the two, so this is above 0 unless it makes right merges only.
  With k = the number of all merges it is the term of the paper; it is that for the chart, which has no order of merges.
- H(d, y) is the cross-entropy of the labels y = softmax(W_out a + b_out) of a node and the distribution d of the classes of the
  segments below it; only with classes, and without nodes that have no segment with a class below them.

The subgradient is that of the score of the found merges minus that of the score of the correct ones, for graphs with a positive
first term, and the gradient of the labels.

The first stage looks at pairs of neighbours alone, as the code released with the paper does. For every segment a, every good
neighbour g and every bad neighbour b of it are compared, by ``max(0, 1 - s(a, g) + s(a, b))``; the mean over all such triples
(a, g, b) of the batch is taken. A neighbour is good if it has the class of a, bad if it has another one; with right trees, it is
good if the right tree merges the two, else bad. If both orders of pairs are scored, a stands left in both pairs; if not, pairs
are in their order. With classes two terms are added: the cross-entropies of the class of every good pair (a, g) at its merge and
at its two segments, divided by three times the number of these pairs, and the mean cross-entropy of all segments. Segments
without a class are left out.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnsim.core.forest import Forest
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.margin import MarginLoss
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import require
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.networks.interface import Evaluation, Gradient
from rnnsim.networks.recursive.merging import CLASSES, TREES, UNKNOWN
from rnnsim.networks.recursive.parsing import Search, parse, right_answers, segment_states

KAPPA = 0.05  # of the release
_LABELS = Loss("softmax", when="last", per="step")


class Objective(NamedTuple):
    """Which objective a batch of graphs is judged by.

    kappa : loss of a wrong merge
    search : the `rnnsim.networks.recursive.parsing.Search` for the best tree
    prefix : whether the first merges with the largest difference are compared, else whole trees
    pairs : whether it is the objective of the first stage
    """

    kappa: float = KAPPA
    search: Search = Search()
    prefix: bool = True
    pairs: bool = False


class Labelled(NamedTuple):
    """The outputs of a network on graphs with classes of segments."""

    parses: Parses
    classes: np.ndarray  # (S, K) logits of the classes of the segments


class Terms(NamedTuple):
    """The two terms of an objective."""

    hinge: float
    labels: float  # 0 without classes

    @property
    def loss(self) -> float:
        """Their sum."""
        return self.hinge + self.labels


def evaluate(net: Any, graphs: SegmentGraphs, loss: Any) -> Evaluation:
    """The loss of graphs with right answers, and what the network answers: a `Parses`; for graphs with classes, a `Labelled`.

    loss : a `rnnsim.core.margin.MarginLoss` (the objective J above, with kappa = 0.05 and greedy search), or, with classes, a
        softmax loss of the classes of the segments
    """
    outputs = answers(net, graphs)
    if isinstance(loss, MarginLoss):
        value = terms(net, graphs, Objective(), learn=False).loss
    else:
        value = _loss_of_classes(graphs, outputs, loss)
    return Evaluation(value, outputs, None)


def _loss_of_classes(graphs, outputs, loss):
    """The loss of the segments that have a class; per="sequence": the sum of a graph's, else their mean."""
    fits = isinstance(outputs, Labelled)
    require(fits, f"loss {loss.kind}: the graphs have no classes of segments; the loss of trees is a MarginLoss")
    known = np.flatnonzero(graphs.targets > UNKNOWN)
    logits, classes = outputs.classes[known], graphs.targets[known]
    if loss.when == "every":  # segments take the place of time steps of one sequence
        logits, classes = logits[:, None], classes[:, None]
    return loss.evaluate(logits, classes) / (graphs.size if loss.per == "sequence" else 1)


def gradient(net: Any, graphs: SegmentGraphs, objective: Objective) -> Gradient:
    """The objective, its subgradient, and what the network answers (greedy search without a margin)."""
    outputs = answers(net, graphs, objective.search.both_orders)
    net.gradient[...] = 0
    loss = terms(net, graphs, objective).loss
    if net.trainable is not None:
        net.gradient *= net.trainable
    return Gradient(loss, net.gradient, outputs, None)


def answers(net: Any, graphs: SegmentGraphs, both_orders: bool | None = None) -> Any:
    """The greedy trees; for graphs with classes, a `Labelled`."""
    parses = parse(net, graphs, Search(both_orders=both_orders)).parses
    if graphs.targets is None or isinstance(graphs.targets, Parses):
        return parses
    return Labelled(parses, _logits(net, segment_states(net, graphs)))


def terms(net: Any, graphs: SegmentGraphs, objective: Objective, learn: bool = True) -> Terms:
    """The terms of the objective; with `learn` the subgradient is added to ``net.gradient``.

    Raises `RnnsimError` for graphs without right answers and for classes that the network has no output for.
    """
    right = right_answers(graphs)
    if right.kind == CLASSES:
        most = int(right.classes.max())
        require(most < net.n_outputs, f"targets: class {most}, expected classes below {net.n_outputs}")
    return (_of_pairs if objective.pairs else _of_trees)(net, graphs, right, objective, learn)


# -- the second stage: trees -----------------------------------------------------------------------------------------------


def _of_trees(net, graphs, right, objective, learn):
    search, kappa = objective.search, objective.kappa
    top = parse(net, graphs, search, kappa)
    correct = parse(net, graphs, Search(both_orders=search.both_orders), 0.0, force=True)
    if right.kind == TREES:
        apart = np.flatnonzero(correct.wrong)
        graph = int(np.searchsorted(correct.parses.starts, apart[0], side="right")) - 1 if apart.size else 0
        require(not apart.size, f"graph {graph}: its right tree merges nodes that are no neighbours")
    context = net.config["options"].get("context", False)
    trees = graphs.forest(top.parses, context), graphs.forest(correct.parses, context)
    forest = Forest.concatenated(trees)
    states, size, weight = net.states(forest), graphs.size, net._weights["weight_score"].reshape(-1)
    # Of the found trees, then of the correct ones, each in the order of its merges.
    merges = np.flatnonzero(~forest.leaves)
    scores = np.einsum("nh,h->n", states[merges], weight).astype(np.float64) + kappa * np.append(
        top.wrong, correct.wrong
    )
    count, starts = len(top.wrong), top.parses.starts
    gaps, ends = np.zeros(size), starts[1:].copy()
    _gaps(gaps, ends, scores[:count] - scores[count:], starts, objective.prefix and search.kind in ("greedy", "beam"))
    hinge = float(np.maximum(gaps, 0).sum() / size)
    counts = np.zeros((0, net.n_outputs))
    if right.kind == CLASSES:
        counts = _classes_below(trees[1], right.classes, net.n_outputs)
    first = trees[0].nodes
    if not learn:
        return Terms(hinge, _labels(net, states[first:], counts, size, None))
    graph = np.repeat(np.arange(size), np.diff(starts))
    share = np.where((gaps[graph] > 0) & (np.arange(count) < ends[graph]), 1 / size, 0)
    factors = np.append(share, -share).astype(net.dtype)
    d_states = np.zeros_like(states)
    d_states[merges] = factors[:, None] * weight
    net._gradients["weight_score"].reshape(-1)[...] += np.einsum("n,nh->h", factors, states[merges])
    labels = _labels(net, states[first:], counts, size, d_states[first:])
    net.states_gradient(forest, d_states)
    return Terms(hinge, labels)


@jit_exact
def _gaps(gaps, ends, differences, starts, prefix):
    """gaps (B) <- by how much the found tree of a graph is better than its correct tree, from the differences of their merges.

    With `prefix` the largest difference of so many first merges; ends (B) <- the merge after the last one that counts.
    """
    for graph in range(gaps.size):
        total = 0.0
        for merge in range(starts[graph], starts[graph + 1]):
            total += differences[merge]
            if not prefix or total > gaps[graph]:
                gaps[graph], ends[graph] = total, merge + 1


@jit_exact
def _add_children(counts, children, starts):
    for tree in range(starts.size - 1):
        first = starts[tree]
        for node in range(first, starts[tree + 1]):
            for child in children[node]:
                if child >= 0:
                    for k in range(counts.shape[1]):
                        counts[node, k] += counts[first + child, k]


def _classes_below(forest, classes, outputs):
    """(N, K) float64: for every node of trees over all segments, how many segments of every class are below it."""
    counts = np.zeros((forest.nodes, outputs))
    leaves, known = np.flatnonzero(forest.leaves), np.flatnonzero(classes > UNKNOWN)
    counts[leaves[known], classes[known]] = 1
    _add_children(counts, np.ascontiguousarray(forest.children[:, :2]), forest.starts)
    return counts


# -- the first stage: pairs ------------------------------------------------------------------------------------------------


@jit_exact
def _are_good(good, bad, edges, edge_starts, starts, right):
    """good, bad (E) <- whether the right answers merge the two segments of an edge, or keep them apart at first."""
    for graph in range(starts.size - 1):
        first, tree = starts[graph], right.starts[graph]
        for e in range(edge_starts[graph], edge_starts[graph + 1]):
            u, v = edges[e, 0], edges[e, 1]
            if right.kind == CLASSES:
                a, b = right.classes[first + u], right.classes[first + v]
                known = a >= 0 and b >= 0
                good[e], bad[e] = known and a == b, known and a != b
            else:
                good[e] = right.parents[tree + u] == right.parents[tree + v]
                bad[e] = not good[e]


def _triples(segments, good, bad):
    """(number of the good pair, of the bad one) for every segment, each of its good neighbours and each of its bad ones.

    segments (D,) : the segment whose neighbour each pair with a number below D reaches; good, bad (D,) bool
    """
    order = np.argsort(segments, kind="stable")
    goods, bads = order[good[order]], order[bad[order]]
    ends = np.searchsorted(segments[bads], segments[goods], side="right")
    firsts = np.searchsorted(segments[bads], segments[goods], side="left")
    counts = ends - firsts
    chosen = np.repeat(goods, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return chosen, bads[np.repeat(firsts, counts) + within]


def _of_pairs(net, graphs, right, objective, learn):
    edges, edge_starts = graphs.neighbours()
    good, bad = np.zeros(len(edges), bool), np.zeros(len(edges), bool)
    _are_good(good, bad, edges, edge_starts, graphs.starts, right)
    pairs = edges + np.repeat(graphs.starts[:-1], np.diff(edge_starts))[:, None]
    # Pair d has the segment a, for which it is compared; `tree` says which of the scored pairs it is.
    tree = np.tile(np.arange(len(pairs)), 2)
    segments = np.concatenate([pairs[:, 0], pairs[:, 1]])
    if objective.search.both(graphs):
        pairs, tree = np.concatenate([pairs, pairs[:, ::-1]]), np.arange(2 * len(pairs))
    better, worse = (tree[found] for found in _triples(segments, np.tile(good, 2), np.tile(bad, 2)))
    forest, merges = _pair_forest(net, graphs, pairs), len(pairs)
    states, weight = net.states(forest), net._weights["weight_score"].reshape(-1)
    tops = forest.roots[len(graphs.inputs) :]
    scores = np.einsum("nh,h->n", states[tops], weight).astype(np.float64)
    losses = 1 - scores[better] + scores[worse]
    active, share = losses > 0, 1 / max(1, len(losses))
    hinge = float(losses[active].sum() * share)
    counts, weights = _pair_labels(net, right, pairs, forest)
    if not learn:
        return Terms(hinge, _labels(net, states, counts, 1.0, None, weights))
    factors = np.bincount(worse[active], minlength=merges) - np.bincount(better[active], minlength=merges)
    factors = (factors * share).astype(net.dtype)
    d_states = np.zeros_like(states)
    d_states[tops] = factors[:, None] * weight
    net._gradients["weight_score"].reshape(-1)[...] += np.einsum("n,nh->h", factors, states[tops])
    labels = _labels(net, states, counts, 1.0, d_states, weights)
    net.states_gradient(forest, d_states)
    return Terms(hinge, labels)


def _pair_forest(net, graphs, pairs):
    """A tree a segment, then a tree a pair: its two segments, those beside it for a network with context, and their merge."""
    singles, merges = len(graphs.inputs), len(pairs)
    rows, children = [pairs[:, 0], pairs[:, 1]], [np.zeros(merges, int), np.ones(merges, int)]
    if net.config["options"].get("context"):
        graph = np.searchsorted(graphs.starts, pairs[:, 0], side="right") - 1
        before, after = pairs[:, 0] - 1, pairs[:, 1] + 1
        there = before >= graphs.starts[graph], after < graphs.starts[graph + 1]
        rows += [np.where(there[0], before, -1), np.where(there[1], after, -1)]
        children += [np.where(there[0], 2, -1), np.where(there[1], 2 + there[0], -1)]
    rows = np.stack([*rows, np.full(merges, -2)], axis=1)  # -2: the merge, -1: none
    kept = rows != -1
    counts = kept.sum(axis=1)
    starts = np.concatenate([np.arange(singles + 1), singles + np.cumsum(counts)])
    of_pairs = rows[kept]
    inputs = (
        np.full(len(of_pairs), -1, np.int32)
        if graphs.inputs.ndim == 1
        else np.zeros((len(of_pairs), graphs.inputs.shape[1]), np.float32)
    )
    inputs[of_pairs >= 0] = graphs.inputs[of_pairs[of_pairs >= 0]]
    below = np.full((singles + len(of_pairs), len(children)), -1, np.int32)
    below[starts[singles + 1 :] - 1] = np.stack(children, axis=1)
    return Forest(starts, below, np.concatenate([graphs.inputs, inputs]))


def _pair_labels(net, right, pairs, forest):
    """(counts, weights) of the nodes of a `_pair_forest`: classes of the segments, and of good pairs and what is in them."""
    nodes, singles = forest.nodes, len(right.classes)
    counts, weights = np.zeros((nodes if right.kind == CLASSES else 0, net.n_outputs)), np.zeros(nodes)
    if right.kind != CLASSES:
        return counts, weights
    classes = right.classes
    known = np.flatnonzero(classes > UNKNOWN)
    counts[known, classes[known]], weights[known] = 1, 1 / max(1, len(known))
    good = np.flatnonzero((classes[pairs[:, 0]] > UNKNOWN) & (classes[pairs[:, 0]] == classes[pairs[:, 1]]))
    first, top = forest.starts[singles:-1][good], forest.roots[singles:][good]
    for at in (first, first + 1, top):
        counts[at, classes[pairs[good, 0]]], weights[at] = 1, 1 / max(1, 3 * len(good))
    return counts, weights


# -- labels ----------------------------------------------------------------------------------------------------------------


def _logits(net, states):
    """(N, K), before the softmax."""
    weights = net._weights
    outputs = np.empty((len(states), net.n_outputs), net.dtype)
    panels = packed(net._space, "margin.panels_out", np.ascontiguousarray(weights["weight_out"].T))
    multiply_rows(outputs, np.ascontiguousarray(states), panels, weights["bias_out"])
    return outputs


def _labels(net, states, counts, divisor, d_states, weights=None):
    """The cross-entropies of the nodes that have a class below them, over the divisor; adds the gradient, if d_states is there.

    states (N, H); counts (N, K) of the classes below; weights (N,) of the nodes, or all 1
    """
    rows = np.flatnonzero(counts.any(axis=1))
    if not rows.size:
        return 0.0
    states = np.ascontiguousarray(states[rows])
    outputs = _logits(net, states)
    targets = (counts[rows] / counts[rows].sum(axis=1, keepdims=True)).astype(net.dtype)
    each = (np.ones(len(rows)) if weights is None else weights[rows]).astype(net.dtype)
    d_outputs = None if d_states is None else np.empty_like(outputs)
    factor = float(each.sum(dtype=np.float64)) / divisor
    value = factor * _LABELS.evaluate(outputs, targets, each, gradient=d_outputs)
    if d_outputs is not None:
        d_outputs *= net.dtype.type(factor)
        gradients, out = net._gradients, net._weights["weight_out"]
        weight_gradient(gradients["weight_out"], gradients["bias_out"], d_outputs, states, net._space)
        back = np.empty_like(states)
        multiply_rows(back, d_outputs, packed(net._space, "margin.panels_back", out), out[0, :0])
        d_states[rows] += back
    return float(value)
