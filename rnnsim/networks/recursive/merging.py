"""What all searches for trees share: scores of merges, and which merges are wrong.

The composition is linear in its two children: ``W [a_i; a_j] = W_left a_i + W_right a_j``. A search therefore computes the two
products ("halves") of a node once, and the score of a pair costs H additions, the activation and a dot product. What the segments
before and after a span add, for a network with context, is a part of the halves too: of the left one of the node that begins the
span, and of the right one of the node that ends it.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, linked
from rnnsim.core.padding import gate_vectors, vectors
from rnnsim.core.simd import broadcast, reduce_add
from rnnsim.core.vmath import sigmoid, tanh

TANH, LOGISTIC = 0, 1
NO_ANSWERS, CLASSES, TREES = 0, 1, 2
UNKNOWN, MIXED = -1, -2


class Composition(NamedTuple):
    """How two nodes make one, and its score. P = H padded to whole vectors."""

    panels: np.ndarray  # packed [W_left; W_right].T, (H, 2P)
    bias: np.ndarray  # (P)
    score: np.ndarray  # (P) the weights of the score
    activation: int  # TANH or LOGISTIC


class Answers(NamedTuple):
    """The right answers of all graphs, by which merges are right or wrong.

    CLASSES  a merge is wrong if the segments below it are not all of one class; one without a class (-1) goes with any
    TREES    a merge is wrong unless the segments below it are those below a node of the right tree
    """

    kind: int  # NO_ANSWERS, CLASSES or TREES
    classes: np.ndarray  # (S) int32
    parents: (
        np.ndarray
    )  # int32, the parent of every node of all right trees, numbered within its tree; a root's is itself
    below: np.ndarray  # int32, as many: the segments below each node
    starts: np.ndarray  # (B + 1) int64, the nodes of tree b are starts[b] .. starts[b + 1] - 1


class Graphs(NamedTuple):
    """The graphs to be parsed, as the kernels see them; S segments, E edges."""

    starts: np.ndarray  # (B + 1) int64, as of `rnnsim.core.segments.SegmentGraphs`
    edges: np.ndarray  # (E, 2) int32
    edge_starts: np.ndarray  # (B + 1) int64
    states: np.ndarray  # (S, H) of the segments
    context: np.ndarray  # (S, 2P) what the segments before and after a segment add to the halves of a span, or no rows
    both: bool  # whether both orders of every pair are scored


class Found(NamedTuple):
    """The trees that a search found; a graph of n segments has n - 1 merges."""

    starts: np.ndarray  # (B + 1) int64, the merges of graph b are starts[b] .. starts[b + 1] - 1
    pairs: np.ndarray  # (M, 2) int32, the left and the right node of every merge
    scores: np.ndarray  # (M) their scores, without the margin
    wrong: np.ndarray  # (M) bool, whether a merge is wrong


class Nodes(NamedTuple):
    """The nodes that a search has made of one graph; rows are its own numbers of nodes (of spans, of sets of segments)."""

    halves: np.ndarray  # (nodes, 2P) W_left a + bias and W_right a
    first: np.ndarray  # (nodes) int32, the smallest segment below
    size: np.ndarray  # (nodes) int32, the number of segments below
    tag: np.ndarray  # (nodes) int32, the class below (or UNKNOWN, MIXED), or the lowest right node above all segments


@jit_exact
def score_pair(composition, left, right):
    """The score of a merge, from the halves of its two nodes."""
    a, b, w = gate_vectors(left, 2), gate_vectors(right, 2), vectors(composition.score)
    total = broadcast(composition.score, 0)
    if composition.activation == TANH:
        for j in range(len(w)):
            total = total + w[j] * tanh(a[0, j] + b[1, j])
    else:
        for j in range(len(w)):
            total = total + w[j] * sigmoid(a[0, j] + b[1, j])
    return reduce_add(total)


pair_score = linked(score_pair)


@jit_borrowed
def _merge_state(state, composition, left, right):
    a, b, p = gate_vectors(left, 2), gate_vectors(right, 2), vectors(state)
    for j in range(len(p)):
        total = a[0, j] + b[1, j]
        p[j] = tanh(total) if composition.activation == TANH else sigmoid(total)


@jit_borrowed
def _add_bias(halves, bias):
    a, b = gate_vectors(halves, 2), vectors(bias)
    for j in range(len(b)):
        a[0, j] = a[0, j] + b[j]


@jit_exact
def set_halves(halves, states, composition):
    """halves (n, 2P) <- those of states (n, H)."""
    product_packed(halves, states, composition.panels, False)
    for r in range(halves.shape[0]):
        _add_bias(halves[r], composition.bias)


@jit_borrowed
def _add_context(halves, before, after):
    mine, left, right = gate_vectors(halves, 2), gate_vectors(before, 2), gate_vectors(after, 2)
    for j in range(mine.shape[1]):
        mine[0, j] = mine[0, j] + left[0, j]
        mine[1, j] = mine[1, j] + right[1, j]


@jit_exact
def set_merged_halves(halves, state, composition, left, right, graphs, first, last):
    """halves (1, 2P) <- those of the node over the segments first .. last, from the halves of the two that it is made of.

    state (1, P) is overwritten.
    """
    _merge_state(state[0], composition, left, right)
    set_halves(halves, state[:, : graphs.states.shape[1]], composition)
    if graphs.context.shape[0] > 0:
        _add_context(halves[0], graphs.context[first], graphs.context[last])


merge_halves = linked(set_merged_halves)


@jit_exact
def set_segment_nodes(nodes, graph, graphs, composition, answers):
    """The rows 0 .. n - 1 of `nodes` <- the segments of a graph."""
    first, last = graphs.starts[graph], graphs.starts[graph + 1]
    set_halves(nodes.halves[: last - first], graphs.states[first:last], composition)
    for s in range(last - first):
        if graphs.context.shape[0] > 0:
            _add_context(nodes.halves[s], graphs.context[first + s], graphs.context[first + s])
        nodes.first[s], nodes.size[s] = s, 1
        nodes.tag[s] = answers.classes[first + s] if answers.kind == CLASSES else s


set_segments = linked(set_segment_nodes)


@jit_exact
def joined_tag(u, v, answers, start):
    """The tag of the segments below two nodes together; the nodes of the right tree begin at `start`."""
    if answers.kind == CLASSES:
        if u == UNKNOWN or u == v:
            return v
        return u if v == UNKNOWN else np.int32(MIXED)
    if answers.kind == TREES:
        while u != v:
            if u < v:
                u = answers.parents[start + u]
            else:
                v = answers.parents[start + v]
    return u


@jit_exact
def is_wrong(tag, size, answers, start):
    """Whether a merge is wrong, from the tag and the number of the segments below it."""
    if answers.kind == CLASSES:
        return tag == MIXED
    if answers.kind == TREES:
        return answers.below[start + tag] != size
    return False


@jit_exact
def set_merged(nodes, node, left, right, answers, start):
    """first, size and tag of a node that is made of two."""
    nodes.first[node] = min(nodes.first[left], nodes.first[right])
    nodes.size[node] = nodes.size[left] + nodes.size[right]
    nodes.tag[node] = joined_tag(nodes.tag[left], nodes.tag[right], answers, start)


@jit_exact
def wrong_merge(nodes, left, right, answers, start):
    """Whether the merge of two nodes is wrong."""
    if answers.kind == NO_ANSWERS:
        return False
    tag = joined_tag(nodes.tag[left], nodes.tag[right], answers, start)
    return is_wrong(tag, nodes.size[left] + nodes.size[right], answers, start)


@jit_exact
def new_nodes(count, composition):
    """Room for so many `Nodes`."""
    halves = np.empty((count, 2 * composition.bias.size), composition.bias.dtype)
    return Nodes(halves, np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32))
