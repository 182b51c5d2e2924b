"""The copy task of Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.1).

L random vectors of `width` bits, L uniform in min_length .. max_length (the paper: 8 bits, 1 .. 20); then a delimiter on a
channel of its own; then the inputs are zero for L steps, while the network says the L vectors again:

    step            0 .. L-1       L            L+1 .. 2L
    bits            x_0 .. x_L-1   0            0
    delimiter       0              1            0
    target          -              -            x_0 .. x_L-1         only these steps are counted

Bernoulli loss on logits in bits per sequence. Sequences of a batch have 2L + 1 steps, each its own L. A sequence is right if
every bit is nearer to its target than to the other value. The paper gives learning curves and no criterion; ours is
the last 2000 training sequences right and their mean absolute error below .01.

Trivial loss: a fair guess costs 1 bit a bit, in the mean width (min_length + max_length) / 2: 84 bits for the paper's.
"""

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import bits, integer
from rnnsim.tasks.interface import Batch, Criterion, GeneratedTask

_LENGTH, _BITS = 0, 1  # draws; the bits are draws _BITS + i, 32 bits each, filled row by row


@jit_exact
def _draw_lengths(lengths, key, first, least, most):
    """lengths (B,) <- 2L + 1."""
    for b in range(lengths.size):
        lengths[b] = 2 * (least + integer(key, first + b, _LENGTH, most - least + 1)) + 1


@jit_exact
def _draw(inputs, targets, weights, key, first, lengths):
    """inputs (T, B, width + 1), targets (T, B, width) and weights (T, B), all from zeros."""
    width = targets.shape[2]
    for b in range(lengths.size):
        count = (lengths[b] - 1) // 2
        word = np.uint64(0)
        for i in range(count * width):
            if i % 32 == 0:
                word = bits(key, first + b, _BITS + i // 32)[0]
            bit = np.int64((word >> np.uint64(i % 32)) & np.uint64(1))
            inputs[i // width, b, i % width] = bit
            targets[count + 1 + i // width, b, i % width] = bit
        inputs[count, b, width] = 1
        for t in range(count + 1, lengths[b]):
            weights[t, b] = 1


class Copy(GeneratedTask):
    """Repeat a sequence of random bit vectors after a delimiter; layout and trivial loss at the top of the module.

    Inputs (T, B, width + 1), targets (T, B, width), weights (T, B). `RnnsimError` for options out of range.

    Parameters
    ----------
    width : bits of a vector, at least 1
    max_length, min_length : bounds of the number of vectors, 1 <= min_length <= max_length

    >>> task = Copy()
    >>> task.n_inputs, task.n_outputs, task.trivial_loss
    (9, 8, 84.0)
    >>> batch = Copy(width=3, min_length=2, max_length=2).training_batch(seed=0, step=0, size=1)
    >>> batch.inputs[:, 0, 3].tolist(), batch.weights[:, 0].tolist()
    ([0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0])
    """

    name = "copy"
    criterion = Criterion(window=2000, wrong=0, max_error=0.01)

    def __init__(self, width: int = 8, max_length: int = 20, min_length: int = 1):
        at_least("min_length", min_length, 1)
        require(
            max_length >= min_length, f"max_length={max_length}: expected a value of at least min_length={min_length}"
        )
        self.n_outputs = at_least("width", width, 1)
        self.n_inputs = width + 1
        self.min_length, self.max_length = min_length, max_length
        self.loss = Loss("bernoulli", when="every", per="sequence", unit="bits")
        self.trivial_loss = width * (min_length + max_length) / 2
        self.target_names = tuple(f"bit {k}" for k in range(width))
        self.input_names = (*self.target_names, "delimiter")

    def generate(self, key, first, size):
        lengths = np.empty(size, np.int64)
        _draw_lengths(lengths, key, first, self.min_length, self.max_length)
        steps = lengths.max()
        inputs = np.zeros((steps, size, self.n_inputs), np.float32)
        targets = np.zeros((steps, size, self.n_outputs), np.float32)
        weights = np.zeros((steps, size), np.float32)
        _draw(inputs, targets, weights, key, first, lengths)
        return Batch(inputs, targets, weights, lengths)

    def metrics(self, outputs, batch):
        """Adds ``"wrong_bits"``: counted bits of a sequence on the wrong side."""
        wrong = ((outputs > 0) != (batch.targets > 0.5)).sum(axis=-1) * (self.counted(batch) != 0)
        return {**super().metrics(outputs, batch), "wrong_bits": wrong.sum(axis=0).astype(np.float64)}
