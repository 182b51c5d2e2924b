"""The repeat copy task of Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.2)."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least
from rnnsim.core.rng import integer
from rnnsim.tasks.bit_vectors import BitVectorTask, bounds, constant_loss, fair_bits, reach

_LENGTH, _REPEATS, _BITS = 0, 1, 2  # draws; the bits are draws _BITS + i, 32 bits each


@jit_exact
def _draw_counts(counts, draw, key, first, least, most, over, share):
    """counts (B,) <- L or R."""
    for b in range(counts.size):
        s = first + b
        counts[b] = least + integer(key, s, draw, reach(key, s, draw, least, most, over, share) - least + 1)


@jit_exact
def _draw(inputs, targets, weights, key, first, counts, repeats, mean, deviation):
    """inputs (T, B, width + 2), targets (T, B, width + 1) and weights (T, B), all from zeros."""
    width = targets.shape[2] - 1
    for b in range(counts.size):
        count = counts[b]
        end = count + 1 + count * repeats[b]
        fair_bits(inputs[:count, b, :width], key, first + b, _BITS)
        inputs[count, b, width] = 1
        inputs[count, b, width + 1] = (repeats[b] - mean) / deviation
        for t in range(count + 1, end):
            for k in range(width):
                targets[t, b, k] = inputs[(t - count - 1) % count, b, k]
        targets[end, b, width] = 1
        for t in range(count + 1, end + 1):
            weights[t, b] = 1


class RepeatCopy(BitVectorTask):
    """Repeat copy: output a sequence of random bit vectors a given number of times, then an end marker.

    L random vectors of `width` bits, then the number of repeats R, then the network outputs the vectors R times and an end
    marker. L and R are uniform in min_length .. max_length and min_repeats .. max_repeats, 1 .. 10 in the paper:

        time step       0 .. L-1       L      L+1 .. L+LR              L+LR+1
        bits            x_0 .. x_L-1   0      0                        0
        delimiter       0              1      0                        0
        repeats         0              r      0                        0
        target bits     -              -      x_0 .. x_L-1, R times    0
        target end      -              -      0                        1        only the last two columns are counted

    The paper has r on a channel of its own, normalised to mean 0 and variance 1. Here r = (R - m) / d with the mean m and the
    standard deviation d of the whole numbers 1 .. `norm_repeats`, for 10 (5.5, 2.87). That stays so when a network is measured
    on more repeats than it was trained with, where r grows beyond the values it has seen. The paper says "size-eight" vectors,
    but the number of weights of its LSTM baseline (table 3: 5,312,007) fits 8 inputs and 7 outputs only, and its learning
    curves start at 180 bits: hence 6 bits; width=8 gives the other reading. The delimiter, the second channel beside the bits,
    is our reading too.

    Inputs (T, B, width + 2) float32, targets (T, B, width + 1) float32, weights (T, B), lengths (B,).

    Loss: Bernoulli cross-entropy of logits, in bits a sequence.
    Chance-level loss: the LR bit vectors are fair, on average 5.5 * 5.5 * 6 = 181.5 bits; the best constant outputs, which must
    predict the end marker too, have 193.7 bits together (`rnnsim.tasks.bit_vectors.constant_loss`).
    Criterion and curriculum (of L and R alike): those of `rnnsim.tasks.bit_vectors.BitVectorTask` (ours): the last 2000
    training sequences right, mean absolute error below .01.
    Source: Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.2).

    Parameters
    ----------
    width : bits of a vector, at least 1
    max_length, min_length : bounds of the number of vectors, 1 <= min_length <= max_length
    max_repeats, min_repeats : bounds of the number of repeats, 1 <= min_repeats <= max_repeats
    length, repeats : every sequence has this number, whatever the bounds are; None: the bounds hold
    norm_repeats : the repeats channel is normalised over 1 .. norm_repeats, at least 2
    curriculum : "none", "linear" or "mixed"; length and repeats grow
    curriculum_sequences : the number of training sequences that the curriculum lasts, at least 1

    Raises `RnnsimError` for an option out of range.

    >>> task = RepeatCopy()
    >>> task.n_inputs, task.n_outputs, round(task.trivial_loss, 1)
    (8, 7, 193.7)
    >>> batch = RepeatCopy(length=1, repeats=3).training_batch(seed=0, step=0, size=1)
    >>> batch.weights[:, 0].tolist(), batch.targets[:, 0, 6].tolist()
    ([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    """

    name = "repeat copy"
    tested_options = (dict(min_length=8), dict(width=8, length=5, max_repeats=3))

    def __init__(
        self,
        width: int = 6,
        max_length: int = 10,
        min_length: int = 1,
        max_repeats: int = 10,
        min_repeats: int = 1,
        length: int | None = None,
        repeats: int | None = None,
        norm_repeats: int = 10,
        curriculum: Literal["none", "linear", "mixed"] = "none",
        curriculum_sequences: int = 10_000,
    ):
        self.width = at_least("width", width, 1)
        self.min_length, self.max_length = bounds("length", length, min_length, max_length, floor=1)
        self.min_repeats, self.max_repeats = bounds("repeats", repeats, min_repeats, max_repeats, floor=1)
        at_least("norm_repeats", norm_repeats, 2)
        self._mean, self._deviation = (norm_repeats + 1) / 2, math.sqrt((norm_repeats**2 - 1) / 12)
        self.grow(curriculum, curriculum_sequences)
        counted = (self.min_length + self.max_length) / 2 * (self.min_repeats + self.max_repeats) / 2
        self.trivial_loss = constant_loss(width, counted)
        bit_names = tuple(f"bit {k}" for k in range(width))
        self.input_names, self.target_names = (*bit_names, "delimiter", "repeats"), (*bit_names, "end")
        self.n_inputs, self.n_outputs = width + 2, width + 1

    def make(self, key, first, size, over, share):
        counts, repeats = np.empty(size, np.int64), np.empty(size, np.int64)
        _draw_counts(counts, _LENGTH, key, first, self.min_length, self.max_length, over, share)
        _draw_counts(repeats, _REPEATS, key, first, self.min_repeats, self.max_repeats, over, share)
        lengths = counts + counts * repeats + 2
        time_steps = lengths.max()
        inputs = np.zeros((time_steps, size, self.n_inputs), np.float32)
        targets = np.zeros((time_steps, size, self.n_outputs), np.float32)
        weights = np.zeros((time_steps, size), np.float32)
        _draw(inputs, targets, weights, key, first, counts, repeats, self._mean, self._deviation)
        return Sequences(inputs, targets, weights, lengths)
