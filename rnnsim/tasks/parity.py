"""Parity of long sequences: a task that weight guessing solves and gradients do not (Hochreiter & Schmidhuber 1996, NIPS 9).

One input, 1 or -1 with probability 1/2 at every step; lengths uniform in min_length .. max_length, 500 .. 600. The target at
the end is 1 if the number of 1s is odd, else 0.

loss="squared_error": a sequence is right if the error is below .2 (squared error .04); "bernoulli": logits, in bits, likewise
with probabilities. Solved (our bound): the last 2000 training sequences right. Trivial loss: 1/4, or 1 bit."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.registry import one_of
from rnnsim.tasks.adding import draw_lengths
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.latch import length_range, signs_line

_BITS = 1  # draws behind that of the length


class Parity(GeneratedTask):
    """Say whether the number of 1s is odd; see the top of the module.

    Inputs (T, B, 1), targets (B, 1). `RnnsimError` for options out of range.

    Parameters
    ----------
    min_length, max_length : bounds of the length, at least 1
    loss : "squared_error" or "bernoulli"

    >>> batch = Parity(min_length=5, max_length=5).training_batch(seed=0, step=0, size=2)
    >>> batch.inputs[..., 0].T.tolist(), batch.targets[:, 0].tolist()
    ([[-1.0, 1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, -1.0, 1.0]], [1.0, 0.0])
    """

    name = "parity"
    n_inputs = n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    tolerance = 0.2
    input_names = ("sign",)
    target_names = ("odd",)

    def __init__(
        self,
        min_length: int = 500,
        max_length: int = 600,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
    ):
        self.min_length, self.max_length = length_range(min_length, max_length)
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="last", per="sequence", unit="squared" if squared else "bits")
        self.trivial_loss = 0.25 if squared else 1.0

    def generate(self, key, first, size):
        lengths = np.empty(size, np.int64)
        draw_lengths(lengths, key, first, self.min_length, self.max_length)
        inputs = np.zeros((lengths.max(), size, 1), np.float32)
        signs_line(inputs[..., 0], lengths, key, first, _BITS)
        odd = np.count_nonzero(inputs[..., 0] > 0, axis=0) % 2
        return Sequences(inputs, odd.astype(np.float32)[:, None], lengths=lengths)
