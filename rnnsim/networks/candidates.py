"""Many candidates for the weights of one network: how they are drawn, and how they are evaluated one after the other.

A network with a parallel kernel for candidates overrides `Network.evaluate_many` and `Network.test_many`; what stands here is
what all others do.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.rng import bits

_TO_SYMMETRIC = 2.0**-31


class Tested(NamedTuple):
    """What `Network.test_many` gives for the candidates that it has tested, N of them or fewer."""

    right: np.ndarray  # (N,) int64: examples right before the first wrong one
    time_steps: int  # of all tests together; for other examples than sequences, the examples


@jit_exact
def drawn_weight(key, candidate, place, weight_range):
    """The weight of a candidate at a place in theta; four places share a block of random bits."""
    w0, w1, w2, w3 = bits(key, candidate, place // 4)
    k = place % 4
    word = w0 if k == 0 else w1 if k == 1 else w2 if k == 2 else w3
    return weight_range * (word * _TO_SYMMETRIC - 1.0)


@jit_exact
def draw_theta(theta, trainable, key, candidate, weight_range):
    """theta (P) <- the weights of a candidate, where they are trainable (P)."""
    for i in range(theta.size):
        if trainable[i]:
            theta[i] = drawn_weight(key, candidate, i, weight_range)


@dataclass(frozen=True)
class DrawnCandidates:
    """Candidates first .. first + count - 1 of an endless row, each a function of its number.

    Trainable weights are drawn from U[-weight_range, weight_range] by a counter-based generator from (key, number, place in
    theta); the others are those of `theta`.

    >>> from rnnsim.core.rng import stream_key
    >>> some = DrawnCandidates(stream_key(0, "guess"), 5, 3, 1.0, np.array([True, False]), np.full(2, 7.0))
    >>> len(some), float(some[0][1])
    (3, 7.0)
    """

    key: np.uint64
    first: int
    count: int
    weight_range: float
    trainable: np.ndarray  # (P,) bool
    theta: np.ndarray  # (P,)

    def __len__(self):
        return self.count

    def __getitem__(self, n):
        """The theta of one candidate, an array of its own."""
        theta = self.theta.copy()
        draw_theta(theta, self.trainable, self.key, self.first + n, self.weight_range)
        return theta


def evaluated_one_by_one(net, candidates, batch, loss):
    """`Network.evaluate_many` by one evaluation after the other."""
    kept, losses = net.theta.copy(), np.empty(len(candidates))
    try:
        for n in range(losses.size):
            net.theta[...] = candidates[n]
            with np.errstate(all="ignore"):
                losses[n] = net.evaluate(batch, loss).loss
    finally:
        net.theta[...] = kept
    return losses


def count_right_one_by_one(net, candidates, batch, loss, judge):
    """`Network.test_many` by one candidate after the other, on ever larger pieces of the batch, up to one that has all right.

    judge : as of `Network.test_many`
    """
    pieces, low, length = [], 0, 1
    while low < batch.size:
        pieces.append(batch.take(slice(low, low + length)))
        low, length = low + length, 4 * length
    kept, right, work = net.theta.copy(), np.zeros(len(candidates), np.int64), 0
    try:
        for n in range(right.size):
            net.theta[...] = candidates[n]
            for piece in pieces:
                with np.errstate(all="ignore"):
                    outputs = net.evaluate(piece, loss).outputs
                correct = judge.correct(outputs, piece)
                right[n] += len(correct) if correct.all() else int(np.argmin(correct))
                work += piece.work
                if not correct.all():
                    break
            if right[n] == batch.size:  # nobody asks for the others
                return Tested(right[: n + 1], work)
    finally:
        net.theta[...] = kept
    return Tested(right, work)
