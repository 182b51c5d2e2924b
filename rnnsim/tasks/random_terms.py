"""Random terms: what the tasks over generated trees draw.

A term of depth 0 is a constant, each equally likely. The root of a term of depth d > 0 is a function, each equally likely. Of two
operands one, either with probability 1/2, has depth d - 1, and the depth of the other is uniform on 0 .. d - 1; a single operand
has depth d - 1.
"""

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.rng import integer

DEEPEST = 14  # a term has at most 2^15 - 1 nodes then


@jit_exact
def draw_term(labels, children, depths, first, key, sequence, draw, depth, arities, functions):
    """Draw a term into the rows first, first + 1, .. of labels, children (.., 2) and depths; returns the row behind the last.

    Parents stand before their children, which are numbered by row, level after level; -1: there is none. The functions are the
    labels below `functions`, with one operand or two by `arities`; the other labels are constants. Node k takes the draws
    draw + 3 k .. draw + 3 k + 2.
    """
    depths[first], end, node = depth, first + 1, first
    while node < end:
        at, below = draw + 3 * (node - first), depths[node] - 1
        children[node, 0] = children[node, 1] = -1
        if below < 0:
            labels[node] = functions + integer(key, sequence, at, arities.size - functions)
        else:
            labels[node] = integer(key, sequence, at, functions)
            if arities[labels[node]] == 1:
                children[node, 0], depths[end] = end, below
                end += 1
            else:
                deep, other = integer(key, sequence, at + 1, 2), integer(key, sequence, at + 2, below + 1)
                # The right operand comes first: in the end the order is turned round.
                children[node, 1], children[node, 0] = end, end + 1
                depths[end], depths[end + 1] = (below, other) if deep else (other, below)
                end += 2
        node += 1
    return end


@jit_exact
def turn_round(labels, children, first, end):
    """Turn the order of the nodes first .. end - 1 round, so that children stand before parents; number them from 0."""
    low, high = first, end - 1
    while low <= high:
        labels[low], labels[high] = labels[high], labels[low]
        for k in range(children.shape[1]):
            one, other = children[low, k], children[high, k]
            children[low, k] = end - 1 - other if other >= 0 else -1
            children[high, k] = end - 1 - one if one >= 0 else -1
        low += 1
        high -= 1


@jit_exact
def longer(array, rows):
    """A copy of an array with so many rows, those behind the old ones not set."""
    found = np.empty((rows,) + array.shape[1:], array.dtype)
    found[: array.shape[0]] = array
    return found


@jit_exact
def draw_terms(key, first, size, least, most, arities, functions):
    """(starts (B + 1), children (N, 2), labels (N)) of terms whose depth is uniform on least .. most; draw 0 decides it."""
    reserve = 2 ** (most + 1)
    labels = np.empty(reserve + 16 * size, np.int32)
    children = np.empty((labels.size, 2), np.int32)
    depths = np.empty(labels.size, np.int32)
    starts = np.zeros(size + 1, np.int64)
    for b in range(size):
        begin = starts[b]
        if begin + reserve > labels.size:
            rows = 2 * labels.size
            labels, children, depths = longer(labels, rows), longer(children, rows), longer(depths, rows)
        depth = least + integer(key, first + b, 0, most - least + 1)
        end = draw_term(labels, children, depths, begin, key, first + b, 1, depth, arities, functions)
        turn_round(labels, children, begin, end)
        starts[b + 1] = end
    return starts, children[: starts[size]].copy(), labels[: starts[size]].copy()


def expected_nodes(depth, arities):
    """The mean number of nodes of a term of each depth 0 .. `depth`; `arities` are those of the functions.

    >>> expected_nodes(2, [2, 1])
    [1.0, 2.5, 4.375]
    """
    two = sum(arity == 2 for arity in arities) / len(arities)
    found = [1.0]
    for _ in range(depth):
        found.append(1 + found[-1] + two * sum(found) / len(found))
    return found
