"""Beam search over merges: the `width` best partial forests go on, the best complete tree is found last."""

import numba
import numpy as np

from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.networks.recursive.greedy import inherit_edges, largest, set_edges
from rnnsim.networks.recursive.merging import merge_halves, new_nodes, set_merged, set_segments


@jit_exact
def _mixed(x):
    """A hash of 64 bits (the finaliser of SplitMix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@jit_exact
def _merged_hash(left, right):
    """The hash of a tree, from those of its two sub-trees."""
    return _mixed(_mixed(left + np.uint64(0x9E3779B97F4A7C15)) + right)


@jit_exact
def _insert(totals, items, places, hashes, found, total, item, edge, order, tree, left, right, edges):
    """Enter a candidate into the list of the best ones, if it is one of them; gives their number.

    Two candidates with the same trees have equal totals, but for rounding; the first one, with the better forest before, counts.
    Of other equal totals the better forest before counts, then the smallest left node, then the smallest right node.
    """
    for other in range(found):
        if hashes[other] == tree:
            return found
    at = found
    while at > 0:
        other = at - 1
        if totals[other] > total:
            break
        if totals[other] == total:
            e, way = places[other, 0], places[other, 1]
            its_left, its_right = edges[items[other], e, way], edges[items[other], e, 1 - way]
            if items[other] < item or (
                items[other] == item and (its_left < left or (its_left == left and its_right < right))
            ):
                break
        at -= 1
    end = min(found, totals.size - 1)
    if at > end:
        return found
    for other in range(end, at, -1):
        totals[other], items[other], hashes[other] = totals[other - 1], items[other - 1], hashes[other - 1]
        places[other, 0], places[other, 1] = places[other - 1, 0], places[other - 1, 1]
    totals[at], items[at], hashes[at] = total, item, tree
    places[at, 0], places[at, 1] = edge, order
    return end + 1


@jit_exact
def _trace(found, first, count, width, came_from, pairs, scores, wrong):
    """The merges of the best complete tree: `found` <- those on its way back, with nodes numbered by merge."""
    at = 0
    for k in range(count - 2, -1, -1):
        for side in range(2):
            node = pairs[k, at, side]
            found.pairs[first + k, side] = node if node < count else count + (node - count) // width
        found.scores[first + k], found.wrong[first + k] = scores[k, at], wrong[k, at]
        at = came_from[k, at]


@jit_exact
def beam_graphs(found, graphs, composition, answers, kappa, width, lo, hi):
    """Parse the graphs lo .. hi - 1 by beam search. The node made by forest w in merge k is node n + k * width + w."""
    count, most = largest(graphs.starts, lo, hi), largest(graphs.edge_starts, lo, hi)
    all_nodes, dtype = count + (count - 1) * width, composition.bias.dtype
    nodes, state = new_nodes(all_nodes, composition), np.empty((1, composition.bias.size), dtype)
    trees, seen = np.empty(all_nodes, np.uint64), np.empty(all_nodes, np.int32)
    # Two sets of forests: those before and those after a merge.
    edges, edge_scores = np.empty((2, width, most, 2), np.int32), np.empty((2, width, most, 2), dtype)
    edge_wrong, left_over = np.empty((2, width, most), np.bool_), np.empty((2, width), np.int64)
    forests, sums = np.empty((2, width), np.uint64), np.empty((2, width))
    items, places = np.empty(width, np.int64), np.empty((width, 2), np.int64)
    came_from, pairs = np.empty((count, width), np.int64), np.empty((count, width, 2), np.int32)
    scores, wrong = np.empty((count, width), dtype), np.empty((count, width), np.bool_)
    for graph in range(lo, hi):
        n = graphs.starts[graph + 1] - graphs.starts[graph]
        start, now, alive = answers.starts[graph], 0, 1
        set_segments(nodes, graph, graphs, composition, answers)
        forests[0, 0], sums[0, 0] = 0, 0.0
        for s in range(n):
            trees[s] = _mixed(np.uint64(s + 1))
            forests[0, 0] += trees[s]
        left_over[0, 0] = set_edges(
            edges[0, 0], edge_scores[0, 0], edge_wrong[0, 0], graph, nodes, graphs, composition, answers
        )
        for node in range(n + (n - 1) * width):
            seen[node] = -1
        for k in range(n - 1):
            then, best = 1 - now, 0
            for item in range(alive):
                for e in range(left_over[now, item]):
                    for order in range(2 if graphs.both else 1):
                        u, v = edges[now, item, e, order], edges[now, item, e, 1 - order]
                        margin = kappa if edge_wrong[now, item, e] else 0.0
                        total = sums[now, item] + (np.float64(edge_scores[now, item, e, order]) + margin)
                        tree = forests[now, item] - trees[u] - trees[v] + _merged_hash(trees[u], trees[v])
                        best = _insert(
                            sums[then],
                            items,
                            places,
                            forests[then],
                            best,
                            total,
                            item,
                            e,
                            order,
                            tree,
                            u,
                            v,
                            edges[now],
                        )
            for item in range(best):
                old, e, order = items[item], places[item, 0], places[item, 1]
                u, v, new = edges[now, old, e, order], edges[now, old, e, 1 - order], np.int32(n + k * width + item)
                came_from[k, item], pairs[k, item, 0], pairs[k, item, 1] = old, u, v
                scores[k, item], wrong[k, item] = edge_scores[now, old, e, order], edge_wrong[now, old, e]
                if k == n - 2:
                    continue
                trees[new] = _merged_hash(trees[u], trees[v])
                set_merged(nodes, new, u, v, answers, start)
                row = nodes.halves[new : new + 1]
                begin = graphs.starts[graph] + nodes.first[new]
                end = begin + nodes.size[new] - 1
                merge_halves(row, state, composition, nodes.halves[u], nodes.halves[v], graphs, begin, end)
                size = left_over[now, old]
                for e in range(size):
                    for side in range(2):
                        edges[then, item, e, side] = edges[now, old, e, side]
                        edge_scores[then, item, e, side] = edge_scores[now, old, e, side]
                    edge_wrong[then, item, e] = edge_wrong[now, old, e]
                left_over[then, item] = inherit_edges(
                    edges[then, item], edge_scores[then, item], edge_wrong[then, item], size, u, v, new, seen,
                    nodes, graphs, composition, answers, start,
                )  # fmt: skip
            now, alive = then, best
        _trace(found, found.starts[graph], n, width, came_from, pairs, scores, wrong)


@jit_parallel
def beam_parallel(found, graphs, composition, answers, kappa, width, chunks):
    """`beam_graphs` for the graphs chunks[c] .. chunks[c + 1] - 1 of every chunk c."""
    for chunk in numba.prange(chunks.size - 1):
        beam_graphs(found, graphs, composition, answers, kappa, width, chunks[chunk], chunks[chunk + 1])
