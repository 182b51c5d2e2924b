"""Searches over sets of segments: chart parsing of chains (Cocke, Younger & Kasami), and all trees of small graphs.

Both build the trees of larger sets from those of two smaller ones. A chart has the spans of a chain as its sets and keeps the
best `width` trees of every span. The enumeration has all connected sets, and keeps all trees.
"""

import numba
import numpy as np

from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.networks.recursive.greedy import largest
from rnnsim.networks.recursive.merging import (
    is_wrong,
    joined_tag,
    merge_halves,
    new_nodes,
    pair_score,
    set_segments,
)


@jit_exact
def _write_tree(found, first, count, root, kids, scores, wrong):
    """The merges of a tree, children first: `found` <- those below the entry `root`; the entries 0 .. count - 1 are segments."""
    stack, number = np.empty(2 * count, np.int64), np.empty(kids.shape[0], np.int32)
    for entry in range(number.size):
        number[entry] = entry if entry < count else -1
    stack[0], top, merges = root, 1, 0
    while top:
        entry = stack[top - 1]
        left, right = kids[entry, 0], kids[entry, 1]
        if number[left] < 0:
            stack[top] = left
            top += 1
        elif number[right] < 0:
            stack[top] = right
            top += 1
        else:
            at = first + merges
            found.pairs[at, 0], found.pairs[at, 1] = number[left], number[right]
            found.scores[at], found.wrong[at] = scores[entry], wrong[entry]
            number[entry] = count + merges
            merges += 1
            top -= 1


# -- chart parsing -----------------------------------------------------------------------------------------------------------


@jit_exact
def _keep(totals, kids, scores, wrong, found, total, left, right, score, bad):
    """Enter a tree into the list of the best ones of a span, if it is one of them; gives their number.

    Of equal totals those that were entered first stand first.
    """
    at = found
    while at > 0 and totals[at - 1] < total:
        at -= 1
    if at == totals.size:
        return found
    end = min(found, totals.size - 1)
    for k in range(end, at, -1):
        totals[k], scores[k], wrong[k] = totals[k - 1], scores[k - 1], wrong[k - 1]
        kids[k, 0], kids[k, 1] = kids[k - 1, 0], kids[k - 1, 1]
    totals[at], scores[at], wrong[at] = total, score, bad
    kids[at, 0], kids[at, 1] = left, right
    return end + 1


@jit_exact
def _span(start, length, count, width):
    """(the first entry of a span, its place among the spans); spans of one segment have one entry, longer ones `width`."""
    if length == 1:
        return start, start
    before = (length - 2) * count - (length - 2) * (length - 1) // 2
    return count + (before + start) * width, count + before + start


@jit_exact
def chart_graphs(found, graphs, composition, answers, kappa, width, lo, hi):
    """Parse the chains lo .. hi - 1 by a chart with `width` trees a span."""
    most = largest(graphs.starts, lo, hi)
    spans = most * (most + 1) // 2
    entries = most + (spans - most) * width
    nodes, state = new_nodes(entries, composition), np.empty((1, composition.bias.size), composition.bias.dtype)
    totals, kids = np.empty(entries), np.empty((entries, 2), np.int64)
    scores, wrong = np.empty(entries, composition.bias.dtype), np.empty(entries, np.bool_)
    held, tags = np.empty(spans, np.int64), np.empty(spans, np.int32)
    for graph in range(lo, hi):
        n, start = graphs.starts[graph + 1] - graphs.starts[graph], answers.starts[graph]
        set_segments(nodes, graph, graphs, composition, answers)
        for s in range(n):
            held[s], tags[s], totals[s] = 1, nodes.tag[s], 0.0
        for length in range(2, n + 1):
            for i in range(n - length + 1):
                first, place = _span(i, length, n, width)
                last, best, bad = first + width, 0, False
                for part in range(1, length):
                    lefts, left_place = _span(i, part, n, width)
                    rights, right_place = _span(i + part, length - part, n, width)
                    if part == 1:
                        tags[place] = joined_tag(tags[left_place], tags[right_place], answers, start)
                        bad = is_wrong(tags[place], length, answers, start)
                    margin = kappa if bad else 0.0
                    for left in range(lefts, lefts + held[left_place]):
                        for right in range(rights, rights + held[right_place]):
                            below = totals[left] + totals[right] + margin
                            for order in range(2 if graphs.both else 1):
                                u, v = (left, right) if order == 0 else (right, left)
                                score = pair_score(composition, nodes.halves[u], nodes.halves[v])
                                total = below + np.float64(score)
                                best = _keep(
                                    totals[first:last], kids[first:last], scores[first:last], wrong[first:last],
                                    best, total, u, v, score, bad,
                                )  # fmt: skip
                held[place] = best
                if length < n:
                    for entry in range(first, first + best):
                        left, right = nodes.halves[kids[entry, 0]], nodes.halves[kids[entry, 1]]
                        row = nodes.halves[entry : entry + 1]
                        begin = graphs.starts[graph] + i
                        merge_halves(row, state, composition, left, right, graphs, begin, begin + length - 1)
        if n > 1:
            _write_tree(found, found.starts[graph], n, _span(0, n, n, width)[0], kids, scores, wrong)


@jit_parallel
def chart_parallel(found, graphs, composition, answers, kappa, width, chunks):
    """`chart_graphs` for the graphs chunks[c] .. chunks[c + 1] - 1 of every chunk c."""
    for chunk in numba.prange(chunks.size - 1):
        chart_graphs(found, graphs, composition, answers, kappa, width, chunks[chunk], chunks[chunk + 1])


# -- enumeration -------------------------------------------------------------------------------------------------------------


@jit_exact
def count_trees(counts, graph, graphs):
    """counts (2 ** n) <- the number of trees over every set of the segments of a graph, 0 for a set that is not connected."""
    n = graphs.starts[graph + 1] - graphs.starts[graph]
    near = np.empty(n, np.int64)
    for s in range(n):
        near[s] = 0
    for e in range(graphs.edge_starts[graph], graphs.edge_starts[graph + 1]):
        u, v = graphs.edges[e, 0], graphs.edges[e, 1]
        near[u] |= 1 << v
        near[v] |= 1 << u
    orders = 2 if graphs.both else 1
    counts[0] = 0
    for members in range(1, 1 << n):
        rest = members & (members - 1)
        if rest == 0:
            counts[members] = 1
            continue
        reached, before = members & -members, 0
        while reached != before:
            before = reached
            for s in range(n):
                if before >> s & 1:
                    reached |= near[s] & members
        counts[members] = 0
        if reached == members:
            # The part with the smallest segment, and the other one.
            other = rest
            while other:
                counts[members] += orders * counts[members ^ other] * counts[other]
                other = (other - 1) & rest
    return counts[(1 << n) - 1]


@jit_exact
def _places(places, counts, n):
    """places (2 ** n) <- the first entry of every set but the whole, segments first; gives the number of entries."""
    end = n
    for members in range(1, (1 << n) - 1):
        if members & (members - 1) == 0:
            segment = 0
            while members >> segment > 1:
                segment += 1
            places[members] = segment
        else:
            places[members] = end
            end += counts[members]
    places[(1 << n) - 1] = end
    return end + 1


@jit_exact
def _ends(members, start):
    """The lowest and the highest segment of a set, counted from `start`: the ends of a span where the graph is a chain."""
    first, last = 0, 0
    while not members >> first & 1:
        first += 1
    while members >> (last + 1):
        last += 1
    return start + first, start + last


@jit_exact
def enumerate_graph(found, graph, graphs, composition, answers, kappa, counts):
    """Parse a graph by comparing all its trees, of which the first of the best ones wins; `counts` is what `count_trees` gave."""
    n, start = graphs.starts[graph + 1] - graphs.starts[graph], answers.starts[graph]
    if n == 1:
        return
    places, tags = np.empty(1 << n, np.int64), np.empty(1 << n, np.int32)
    entries = _places(places, counts, n)
    nodes, state = new_nodes(entries, composition), np.empty((1, composition.bias.size), composition.bias.dtype)
    totals, kids = np.empty(entries), np.empty((entries, 2), np.int64)
    scores, wrong = np.empty(entries, composition.bias.dtype), np.empty(entries, np.bool_)
    set_segments(nodes, graph, graphs, composition, answers)
    whole, best = (1 << n) - 1, -np.inf
    for s in range(n):
        tags[1 << s], totals[s] = nodes.tag[s], 0.0
    for members in range(1, whole + 1):
        rest = members & (members - 1)
        if rest == 0 or counts[members] == 0:
            continue
        tags[members], size, some = tags[members & -members], 1, rest
        while some:
            tags[members] = joined_tag(tags[members], tags[some & -some], answers, start)
            some &= some - 1
            size += 1
        bad = is_wrong(tags[members], size, answers, start)
        margin, entry, other = kappa if bad else 0.0, places[members], rest
        while other:
            mine = members ^ other
            for left in range(places[mine], places[mine] + counts[mine]):
                for right in range(places[other], places[other] + counts[other]):
                    for order in range(2 if graphs.both else 1):
                        u, v = (left, right) if order == 0 else (right, left)
                        score = pair_score(composition, nodes.halves[u], nodes.halves[v])
                        total = totals[left] + totals[right] + margin + np.float64(score)
                        if members == whole and not total > best and best > -np.inf:
                            continue
                        totals[entry], kids[entry, 0], kids[entry, 1] = total, u, v
                        scores[entry], wrong[entry] = score, bad
                        if members == whole:
                            best = total
                            continue
                        row = nodes.halves[entry : entry + 1]
                        begin, end = _ends(members, graphs.starts[graph])
                        merge_halves(row, state, composition, nodes.halves[u], nodes.halves[v], graphs, begin, end)
                        entry += 1
            other = (other - 1) & rest
    _write_tree(found, found.starts[graph], n, places[whole], kids, scores, wrong)
