"""Greedy parsing: the pair of neighbours with the best score is merged, again and again (Socher, Lin, Ng & Manning 2011)."""

import numba
import numpy as np

from rnnsim.core.jit import jit_exact, jit_parallel, linked
from rnnsim.networks.recursive.merging import (
    merge_halves,
    new_nodes,
    pair_score,
    set_merged,
    set_segments,
    wrong_merge,
)


@jit_exact
def edge_scores(scores, nodes, composition, u, v, both):
    """scores (2) <- those of the merges (u, v) and (v, u), the second one if both orders count."""
    scores[0] = pair_score(composition, nodes.halves[u], nodes.halves[v])
    if both:
        scores[1] = pair_score(composition, nodes.halves[v], nodes.halves[u])


@jit_exact
def pass_edges_on(edges, scores, wrong, count, u, v, new, seen, nodes, graphs, composition, answers, start):
    """The edges of the merged nodes u and v become edges of the new one, are scored again, and gone where it had one already.

    The node with the smallest segment below it stands first. Gives the number of edges that are left; `seen` (nodes) holds the
    last new node that every node has become a neighbour of.
    """
    e = 0
    while e < count:
        a, b = edges[e, 0], edges[e, 1]
        of_a, of_b = a == u or a == v, b == u or b == v
        if not (of_a or of_b):
            e += 1
            continue
        other = b if of_a else a
        if (of_a and of_b) or seen[other] == new:
            count -= 1
            edges[e, 0], edges[e, 1] = edges[count, 0], edges[count, 1]
            scores[e, 0], scores[e, 1], wrong[e] = scores[count, 0], scores[count, 1], wrong[count]
            continue
        seen[other] = new
        left, right = (new, other) if nodes.first[new] < nodes.first[other] else (other, new)
        edges[e, 0], edges[e, 1] = left, right
        edge_scores(scores[e], nodes, composition, left, right, graphs.both)
        wrong[e] = wrong_merge(nodes, left, right, answers, start)
        e += 1
    return count


inherit_edges = linked(pass_edges_on)


@jit_exact
def set_first_edges(edges, scores, wrong, graph, nodes, graphs, composition, answers):
    """The edges of a graph between its segments, with their scores; gives their number."""
    first, start = graphs.edge_starts[graph], answers.starts[graph]
    count = graphs.edge_starts[graph + 1] - first
    for e in range(count):
        u, v = graphs.edges[first + e, 0], graphs.edges[first + e, 1]
        edges[e, 0], edges[e, 1] = u, v
        edge_scores(scores[e], nodes, composition, u, v, graphs.both)
        wrong[e] = wrong_merge(nodes, u, v, answers, start)
    return count


set_edges = linked(set_first_edges)


@jit_exact
def _best(edges, scores, wrong, count, both, kappa, force):
    """(edge, order) of the best merge: of those that are right if `force` and there are any, the one with the largest score.

    Of equal scores the one with the smallest left node counts, and then the one with the smallest right node.
    """
    best, best_order, best_value, best_wrong = -1, 0, 0.0, False
    for e in range(count):
        if best >= 0 and force and wrong[e] and not best_wrong:
            continue
        for order in range(2 if both else 1):
            value = np.float64(scores[e, order]) + (kappa if wrong[e] else 0.0)
            if best < 0 or (force and best_wrong and not wrong[e]) or value > best_value:
                better = True
            elif value == best_value:
                left, other = edges[e, order], edges[best, best_order]
                better = left < other or (left == other and edges[e, 1 - order] < edges[best, 1 - best_order])
            else:
                better = False
            if better:
                best, best_order, best_value, best_wrong = e, order, value, wrong[e]
    return best, best_order


@jit_exact
def _parse_graph(found, graph, graphs, composition, answers, kappa, force, nodes, edges, scores, wrong, seen, state):
    count = graphs.starts[graph + 1] - graphs.starts[graph]
    first, start = found.starts[graph], answers.starts[graph]
    set_segments(nodes, graph, graphs, composition, answers)
    left_over = set_edges(edges, scores, wrong, graph, nodes, graphs, composition, answers)
    for node in range(2 * count - 1):
        seen[node] = -1
    for k in range(count - 1):
        e, order = _best(edges, scores, wrong, left_over, graphs.both, kappa, force)
        u, v, new = edges[e, order], edges[e, 1 - order], np.int32(count + k)
        found.pairs[first + k, 0], found.pairs[first + k, 1] = u, v
        found.scores[first + k], found.wrong[first + k] = scores[e, order], wrong[e]
        if k == count - 2:
            break
        set_merged(nodes, new, u, v, answers, start)
        begin = graphs.starts[graph] + nodes.first[new]
        end, halves = begin + nodes.size[new] - 1, nodes.halves
        merge_halves(halves[new : new + 1], state, composition, halves[u], halves[v], graphs, begin, end)
        left_over = inherit_edges(
            edges, scores, wrong, left_over, u, v, new, seen, nodes, graphs, composition, answers, start
        )


@jit_exact
def largest(starts, lo, hi):
    """The largest part lo .. hi - 1 of those that begin at `starts`."""
    count = 0
    for b in range(lo, hi):
        count = max(count, starts[b + 1] - starts[b])
    return count


@jit_exact
def greedy_graphs(found, graphs, composition, answers, kappa, force, lo, hi):
    """Parse the graphs lo .. hi - 1 greedily; `force`: right merges first, as long as there are any."""
    count, most = largest(graphs.starts, lo, hi), largest(graphs.edge_starts, lo, hi)
    nodes = new_nodes(2 * count - 1, composition)
    edges, scores = np.empty((most, 2), np.int32), np.empty((most, 2), composition.bias.dtype)
    wrong, seen = np.empty(most, np.bool_), np.empty(2 * count - 1, np.int32)
    state = np.empty((1, composition.bias.size), composition.bias.dtype)
    for graph in range(lo, hi):
        _parse_graph(found, graph, graphs, composition, answers, kappa, force, nodes, edges, scores, wrong, seen, state)


@jit_parallel
def greedy_parallel(found, graphs, composition, answers, kappa, force, chunks):
    """`greedy_graphs` for the graphs chunks[c] .. chunks[c + 1] - 1 of every chunk c."""
    for chunk in numba.prange(chunks.size - 1):
        greedy_graphs(found, graphs, composition, answers, kappa, force, chunks[chunk], chunks[chunk + 1])
