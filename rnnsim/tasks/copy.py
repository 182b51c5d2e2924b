"""The copy task of Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.1)."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.rng import integer
from rnnsim.tasks.bit_vectors import BitVectorTask, bounds, constant_loss, fair_bits, reach

_LENGTH, _BITS = 0, 1  # draws; the bits are draws _BITS + i, 32 bits each, filled row by row


@jit_exact
def _draw_counts(counts, key, first, least, most, over, share):
    """counts (B,) <- L."""
    for b in range(counts.size):
        s = first + b
        counts[b] = least + integer(key, s, _LENGTH, reach(key, s, _LENGTH, least, most, over, share) - least + 1)


@jit_exact
def _draw(inputs, targets, weights, key, first, counts, two):
    """inputs (T, B, width + 1 + two), targets (T, B, width + two) and weights (T, B), all from zeros."""
    width = targets.shape[2] - two
    for b in range(counts.size):
        count = counts[b]
        end = two + count
        fair_bits(inputs[two:end, b, :width], key, first + b, _BITS)
        inputs[end, b, width + two] = 1
        for t in range(count):
            for k in range(width):
                targets[end + 1 + t, b, k] = inputs[two + t, b, k]
        for t in range(end + 1, end + 1 + count + two):
            weights[t, b] = 1
        if two:
            inputs[0, b, width] = 1
            targets[end + 1 + count, b, width] = 1


class Copy(BitVectorTask):
    """The copy task: repeat a sequence of random bit vectors after a delimiter.

    L random vectors of `width` bits, L uniform in min_length .. max_length (the paper: 8 bits, 1 .. 20); then a delimiter on a
    channel of its own; then the inputs are zero for L time steps, while the network outputs the L vectors again:

        time step       0 .. L-1       L            L+1 .. 2L
        bits            x_0 .. x_L-1   0            0
        delimiter       0              1            0
        target          -              -            x_0 .. x_L-1         only these time steps are counted

    The paper does not say how its sequences are marked. The number of weights of its LSTM baseline (table 3: 1,352,969) fits 10
    inputs and 9 outputs only, which markers="two" has: a start marker before the vectors, an end marker behind them in place of
    the delimiter, and an end marker that the network outputs behind its copy. The meaning of the channels is our reading.

        time step       0    1 .. L         L+1    L+2 .. 2L+1      2L+2
        bits            0    x_0 .. x_L-1   0      0                0
        start           1    0              0      0                0
        end             0    0              1      0                0
        target bits     -    -              -      x_0 .. x_L-1     0
        target end      -    -              -      0                1

    Inputs (T, B, width + 1) float32, targets (T, B, width) float32 of 0 and 1, weights (T, B), lengths (B,); with two markers
    inputs and targets have one channel more. Every sequence of a batch has its own L.

    Loss: Bernoulli cross-entropy of logits, in bits a sequence.
    Chance-level loss: 1 bit for every fair bit, on average width (min_length + max_length) / 2: 84 bits for the paper's
    sizes. With two markers it is the loss of the best constant outputs (`rnnsim.tasks.bit_vectors.constant_loss`): 96.4 bits.
    Criterion and curriculum: those of `rnnsim.tasks.bit_vectors.BitVectorTask` (ours): the last 2000 training sequences right,
    mean absolute error below .01.
    Source: Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.1).

    Parameters
    ----------
    width : bits of a vector, at least 1
    max_length, min_length : bounds of the number of vectors, 1 <= min_length <= max_length
    length : every sequence has this number of vectors, whatever the bounds are; None: the bounds hold
    markers : "one", the delimiter; "two", the 10 inputs and 9 outputs of the paper's LSTM baseline
    curriculum : "none", "linear" or "mixed"; the length grows
    curriculum_sequences : the number of training sequences that the curriculum lasts, at least 1

    Raises `RnnsimError` for an option out of range.

    >>> task = Copy()
    >>> task.n_inputs, task.n_outputs, task.trivial_loss
    (9, 8, 84.0)
    >>> batch = Copy(width=3, length=2).training_batch(seed=0, step=0, size=1)
    >>> batch.inputs[:, 0, 3].tolist(), batch.weights[:, 0].tolist()
    ([0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0])
    """

    name = "copy"
    tested_options = (
        dict(min_length=8),
        dict(width=3, max_length=4),
        dict(markers="two", min_length=8, curriculum="mixed", curriculum_sequences=15),
    )

    def __init__(
        self,
        width: int = 8,
        max_length: int = 20,
        min_length: int = 1,
        length: int | None = None,
        markers: Literal["one", "two"] = "one",
        curriculum: Literal["none", "linear", "mixed"] = "none",
        curriculum_sequences: int = 10_000,
    ):
        self.width = at_least("width", width, 1)
        self.min_length, self.max_length = bounds("length", length, min_length, max_length, floor=1)
        self._two = int(one_of("markers", markers, ("one", "two")) == "two")
        self.grow(curriculum, curriculum_sequences)
        mean = (self.min_length + self.max_length) / 2
        self.trivial_loss = constant_loss(width, mean) if self._two else width * mean
        bit_names = tuple(f"bit {k}" for k in range(width))
        self.input_names = (*bit_names, "start", "end") if self._two else (*bit_names, "delimiter")
        self.target_names = (*bit_names, "end") if self._two else bit_names
        self.n_inputs, self.n_outputs = len(self.input_names), len(self.target_names)

    def make(self, key, first, size, over, share):
        counts = np.empty(size, np.int64)
        _draw_counts(counts, key, first, self.min_length, self.max_length, over, share)
        lengths = 2 * counts + 1 + 2 * self._two
        time_steps = lengths.max()
        inputs = np.zeros((time_steps, size, self.n_inputs), np.float32)
        targets = np.zeros((time_steps, size, self.n_outputs), np.float32)
        weights = np.zeros((time_steps, size), np.float32)
        _draw(inputs, targets, weights, key, first, counts, self._two)
        return Sequences(inputs, targets, weights, lengths)
