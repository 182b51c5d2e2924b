"""Classes of logical terms, the tasks of folding networks (Goller & Küchler, ICNN 1996)."""

from typing import Literal

import numpy as np

from rnnsim.core.forest import Forest
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.random_terms import DEEPEST, draw_term, longer, turn_round

KINDS = ("label", "term", "instance")
_LABEL, _TERM, _INSTANCE = range(3)
_F, _I, _A, _B, _C = range(5)
_ARITIES = np.array([2, 1, 0, 0, 0], np.int32)
_FUNCTIONS = 2
_SHARES = 10  # one term in ten belongs to the test part, one to the validation part
_PARTS = {"training": (2, _SHARES), "test": (0, 1), "validation": (1, 2)}
_ATTEMPT = 2**18  # draws of an attempt: more than three a node
_BASE = 2**31 - 1


@jit_exact
def _remainder(labels, children, first, end):
    """A number below 10 that depends on the term alone: a polynomial modulo a prime of its nodes, in their order.

    It is 9, that of a training term, for terms of depth 2 or less.
    """
    found, small = 0, True
    for node in range(first, end):
        found = (found * 1000003 + labels[node] + 1) % _BASE
        for k in range(2):
            child = children[node, k]
            found = (found * 1000003 + child + 2) % _BASE
            if child >= 0:
                for deeper in children[first + child]:
                    small = small and (deeper < 0 or children[first + deeper, 0] < 0)
    return _SHARES - 1 if small else found % _SHARES


@jit_exact
def _occurs(kind, labels, children, first, end):
    """Whether the label c (kind 0), or i(a) or f(b, c) (kind 1), occurs in a term."""
    for node in range(first, end):
        label, left, right = labels[node], first + children[node, 0], first + children[node, 1]
        if kind == _LABEL and label == _C:
            return True
        if kind == _TERM and label == _I and labels[left] == _A:
            return True
        if kind == _TERM and label == _F and labels[left] == _B and labels[right] == _C:
            return True
    return False


@jit_exact
def _draw_instance(labels, children, depths, first, key, sequence, draw, depth, wanted):
    """Draw f(X, X), or f(X, Y) with another Y, parents before children; returns the row behind the last, or -1 if Y is X."""
    labels[first], right = _F, first + 1
    below = integer(key, sequence, draw + 1, depth)
    left = draw_term(labels, children, depths, right, key, sequence, draw + 3, below, _ARITIES, _FUNCTIONS)
    children[first, 1], children[first, 0] = right, left
    if wanted:
        count = left - right
        for node in range(right, left):
            labels[node + count] = labels[node]
            for k in range(2):
                child = children[node, k]
                children[node + count, k] = child + count if child >= 0 else -1
        return left + count
    below = integer(key, sequence, draw + 2, depth)
    at = draw + _ATTEMPT // 2
    end = draw_term(labels, children, depths, left, key, sequence, at, below, _ARITIES, _FUNCTIONS)
    if end - left == left - right:
        same = True
        for node in range(right, left):
            # Terms are equal if their nodes, level after level, have the same labels: the labels give the numbers of operands.
            same = same and labels[node] == labels[node + left - right]
        if same:
            return -1
    return end


@jit_exact
def _shared(labels, children, first, end, place, table):
    """Keep equal nodes of a term once; returns the row behind the last. `place` and `table` are scratch."""
    size = 2
    while size < 2 * (end - first):
        size *= 2
    table[:size] = -1
    kept = first
    for node in range(first, end):
        label, left, right = labels[node], children[node, 0], children[node, 1]
        left, right = place[left] if left >= 0 else -1, place[right] if right >= 0 else -1
        slot = ((label * 1000003 + left + 1) * 1000003 % _BASE + (right + 1) * 7919) % size
        while table[slot] >= 0:
            other = table[slot] + first
            if labels[other] == label and children[other, 0] == left and children[other, 1] == right:
                break
            slot = (slot + 1) % size
        if table[slot] < 0:
            labels[kept], children[kept, 0], children[kept, 1] = label, left, right
            table[slot] = kept - first
            kept += 1
        place[node - first] = table[slot]
    return kept


@jit_exact
def _draw(targets, key, first, kind, least, depth, share, low, high):
    """(starts, children, labels) of terms; targets (B, 1) <- their classes. Draw 0 decides the class."""
    reserve = 2 ** (depth + 1)
    labels = np.empty(reserve + 16 * targets.shape[0], np.int32)
    children = np.empty((labels.size, 2), np.int32)
    depths = np.empty(labels.size, np.int32)
    place, table = np.empty(reserve, np.int32), np.empty(4 * reserve, np.int32)
    starts = np.zeros(targets.shape[0] + 1, np.int64)
    for b in range(targets.shape[0]):
        begin, sequence, draw = starts[b], first + b, 1
        if begin + reserve > labels.size:
            rows = 2 * labels.size
            labels, children, depths = longer(labels, rows), longer(children, rows), longer(depths, rows)
        wanted = integer(key, sequence, 0, 2)
        targets[b, 0] = wanted
        while True:
            if kind == _INSTANCE:
                children[begin, 0] = children[begin, 1] = -1
                end = _draw_instance(labels, children, depths, begin, key, sequence, draw, depth, wanted)
            else:
                deep = least + integer(key, sequence, draw, depth - least + 1)
                end = draw_term(labels, children, depths, begin, key, sequence, draw + 1, deep, _ARITIES, _FUNCTIONS)
            if end >= 0:
                turn_round(labels, children, begin, end)
                fits = kind == _INSTANCE or _occurs(kind, labels, children, begin, end) == wanted
                if fits and low <= _remainder(labels, children, begin, end) < high:
                    break
            draw += _ATTEMPT
        starts[b + 1] = _shared(labels, children, begin, end, place, table) if share else end
    return starts, children[: starts[-1]].copy(), labels[: starts[-1]].copy()


class LogicalTerms(GeneratedTask):
    """Two classes of logical terms, after Goller & Küchler 1996.

    Terms over the functions f with two operands and i with one and the constants a, b, c. Which half a term belongs to:

        label      the label c occurs in it
        term       i(a) or f(b, c) occurs in it, as a term below any node
        instance   it is an instance of f(X, X): both operands of its root f are equal; the other half are f(X, Y), Y not X

    A fair coin decides the half, then terms are drawn until one belongs to it. For "label" and "term" the depth of a term is
    uniform on 1 .. depth; for "instance" the depths of X and Y are uniform on 0 .. depth - 1.
    `rnnsim.tasks.random_terms` describes how a term of a given depth is drawn.

    No term of one part is in another, whatever the seed: a number that depends on the term alone says whether it belongs to the
    test part (one term in ten), to the validation part (one in ten) or to the training part. Terms of depth 2 or less, of which
    there are few, are training terms, so terms of the other parts have at least depth 3.

    Batches are `rnnsim.core.forest.Forest`, inputs (N,) int32 symbols; targets (B, 1) float32 of 0 and 1.

    Loss: Bernoulli cross-entropy of a logit, in bits a term.
    Chance-level loss: 1 bit.
    Criterion (ours): at most 40 of the last 2000 training terms wrong.

    Source: C. Goller and A. Küchler, "Learning task-dependent distributed representations by backpropagation through structure",
    ICNN 1996; its terms differ in signature and size from problem to problem.

    Parameters
    ----------
    kind : "label", "term" or "instance"
    depth : largest depth of a term, 3 .. 14
    share : equal sub-terms of a term are kept once, so that it becomes a directed acyclic graph

    Raises `RnnsimError` for an option out of range.

    >>> batch = LogicalTerms(kind="instance", depth=3).training_batch(seed=0, step=0, size=2)
    >>> batch.to_brackets(), batch.targets.ravel().tolist()
    (['(f c a)', '(f a a)'], [0.0, 1.0])
    """

    name = "logical-terms"
    tested_options = (dict(depth=9), dict(kind="term", depth=9), dict(kind="instance", depth=7, share=True))
    makes = Forest
    tokens = True
    n_inputs, n_outputs = 5, 1
    loss = Loss("bernoulli", when="last", per="sequence", unit="bits")
    trivial_loss = 1.0
    criterion = Criterion(window=2000, wrong=40)
    input_names = ("f", "i", "a", "b", "c")
    target_names = ("yes",)

    def __init__(self, kind: Literal["label", "term", "instance"] = "label", depth: int = 5, share: bool = False):
        self.kind = KINDS.index(one_of("kind", kind, KINDS))
        require(3 <= depth <= DEEPEST, f"depth={depth}: expected 3 to {DEEPEST}")
        self.depth, self.share = depth, share

    def generate(self, key, first, size):
        return self.generate_part(key, first, size, "training")

    def generate_part(self, key, first, size, part):
        targets = np.empty((size, 1), np.float32)
        low, high = _PARTS[part]
        starts, children, labels = _draw(targets, key, first, self.kind, 1, self.depth, self.share, low, high)
        return Forest(starts, children, labels, targets, symbols=self.input_names)
