"""The adding problem: experiment 4 of Hochreiter & Schmidhuber 1997, and its modern form."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.rng import integer, uniform
from rnnsim.tasks.interface import Criterion, GeneratedTask

_LENGTH, _FIRST, _SECOND, _VALUES = 0, 1, 2, 3  # draws of a sequence; value t is draw _VALUES + t


@jit_exact
def draw_lengths(lengths, key, first, least, most):
    """lengths (B,) <- uniform in least .. most, draw 0 of every sequence."""
    for b in range(lengths.size):
        lengths[b] = least + integer(key, first + b, _LENGTH, most - least + 1)


@jit_exact
def draw_pairs(inputs, marks, key, first, lengths, shortest, low):
    """Sequences of 1997: inputs (T, B, 2) from zeros; marks (B, 2) <- positions of the marked pairs. Values in [low, 1)."""
    early = min(10, shortest // 2)
    for b in range(lengths.size):
        s = first + b
        for t in range(lengths[b]):
            inputs[t, b, 0] = low + (1 - low) * uniform(key, s, _VALUES + t)
        one = integer(key, s, _FIRST, early)
        two = integer(key, s, _SECOND, shortest // 2 - 1)
        if two >= one:  # the places before `one` keep their number, those behind it move up by one
            two += 1
        inputs[one, b, 1] = 1
        inputs[two, b, 1] = 1
        inputs[0, b, 1] = -1
        inputs[lengths[b] - 1, b, 1] = -1
        marks[b, 0] = one
        marks[b, 1] = two


@jit_exact
def _sums(targets, inputs, marks):
    """targets (B, 1) <- .5 + (X1 + X2) / 4; a mark on the first pair adds nothing."""
    for b in range(targets.shape[0]):
        total = 0.0
        for k in range(2):
            if marks[b, k] > 0:
                total += np.float64(inputs[marks[b, k], b, 0])  # also without the compiler
        targets[b, 0] = 0.5 + total / 4


@jit_exact
def _draw_modern(inputs, targets, key, first):
    """Sequences of the modern form: inputs (T, B, 2) from zeros, targets (B, 1)."""
    time_steps = inputs.shape[0]
    half = time_steps // 2
    for b in range(targets.shape[0]):
        s = first + b
        for t in range(time_steps):
            inputs[t, b, 0] = uniform(key, s, _VALUES + t)
        one = integer(key, s, _FIRST, half)
        two = half + integer(key, s, _SECOND, time_steps - half)
        inputs[one, b, 1] = 1
        inputs[two, b, 1] = 1
        targets[b, 0] = inputs[one, b, 0] + inputs[two, b, 0]


def first_pair_marked(length):
    """The probability q that a mark falls on the first pair of a 1997 sequence.

    >>> round(first_pair_marked(100), 6)
    0.118367
    """
    early = min(10, length // 2)
    return 1 / early + (1 - 1 / early) / (length // 2 - 1)


class Adding(GeneratedTask):
    """The adding problem: the sum of two marked numbers, at the end of the sequence.

    variant="1997" is experiment 4 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)). Every time step has a pair (value,
    marker), values uniform in [-1, 1]. The length of a sequence is uniform in T .. 1.1 T. One of the first ten pairs is marked,
    then one of the first T/2 - 1 pairs that are still unmarked; the marker is 1 there, -1 in the first and the last pair, 0
    elsewhere. The target at the end is

        .5 + (X1 + X2) / 4            X1, X2 the values of the two marked pairs

    The paper sets X1 = 0 "in the rare case where the first pair of the sequence gets marked", as the marker -1 of the first
    pair hides the mark. Here the same holds for both marks, so the target is always a function of the visible marks. The first
    pair is marked with probability q = 1/10 + 9/10 / (T/2 - 1) (`first_pair_marked`).

    variant="modern" (Le, Jaitly & Hinton 2015, arXiv:1504.00941, and others since): length T, values uniform in [0, 1], one
    mark in the first and one in the second half, markers 1 and 0, target X1 + X2.

    Inputs (T, B, 2) float32: value and marker. Targets (B, 1) float32. Lengths (B,) for "1997".

    Loss: squared error of the last output, averaged over sequences.
    Chance-level loss: the variance of the target, that of the best constant output. "1997": the constant .5 has the loss
    (2 - q) Var(U[-1, 1]) / 16 = (2 - q) / 48, which is .0392 for T = 100; with both marks visible it is 1/24 = .0417, and .5 is
    then "right" with probability 1 - .92^2 = .1536. "modern": the constant 1 has the loss 2/12 = 1/6.
    Criterion (the paper's): the last 2000 training sequences right, with an error below .04, and their mean absolute error
    below .01.

    Parameters
    ----------
    length : T, the shortest length (1997) or the length (modern); at least 4. Below T = 20 the first mark stays within
        the first T/2 pairs
    variant : "1997" or "modern"

    Raises `RnnsimError` for an option out of range.

    >>> task = Adding(length=100)
    >>> batch = task.training_batch(seed=0, step=0, size=8)
    >>> batch.inputs.shape[1:], batch.targets.shape, bool(100 <= batch.lengths.min() <= batch.lengths.max() <= 110)
    ((8, 2), (8, 1), True)
    >>> round(task.trivial_loss, 6), round(Adding(variant="modern").trivial_loss, 6)
    (0.039201, 0.166667)
    """

    name = "adding"
    n_inputs = 2
    n_outputs = 1
    tolerance = 0.04
    criterion = Criterion(window=2000, wrong=0, max_error=0.01)
    input_names = ("value", "marker")
    target_names = ("sum",)
    tested_options = ({}, dict(variant="modern", length=30))

    def __init__(self, length: int = 100, variant: Literal["1997", "modern"] = "1997"):
        self.length = at_least("length", length, 4)
        self.variant = one_of("variant", variant, ("1997", "modern"))
        self.loss = Loss("squared_error", when="last", per="sequence")
        self.trivial_loss = 1 / 6 if variant == "modern" else (2 - first_pair_marked(length)) / 48

    def generate(self, key, first, size):
        targets = np.empty((size, 1), np.float32)
        if self.variant == "modern":
            inputs = np.zeros((self.length, size, 2), np.float32)
            _draw_modern(inputs, targets, key, first)
            return Sequences(inputs, targets)
        lengths, marks = np.empty(size, np.int64), np.empty((size, 2), np.int64)
        draw_lengths(lengths, key, first, self.length, self.length * 11 // 10)
        inputs = np.zeros((lengths.max(), size, 2), np.float32)
        draw_pairs(inputs, marks, key, first, lengths, self.length, -1.0)
        _sums(targets, inputs, marks)
        return Sequences(inputs, targets, lengths=lengths)
