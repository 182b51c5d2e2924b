"""Parity of long sequences: a task that weight guessing solves and gradients do not."""

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
    """Parity of long sequences: say at the end whether the number of 1s is odd.

    One input, 1 or -1 with probability 1/2 at every time step; lengths uniform in min_length .. max_length, 500 .. 600.

    Inputs (T, B, 1) float32. Targets (B, 1) float32 at the end: 1 if the number of 1s is odd, else 0. Lengths (B,).

    Loss: "squared_error", or "bernoulli" of logits in bits; of the last output, averaged over sequences.
    Chance-level loss: the target is a fair coin: 1/4 for the constant output .5, or 1 bit.
    Criterion (ours): the last 2000 training sequences right, with an error below .2 (squared error .04; of the probability for
    "bernoulli").

    Source: Hochreiter & Schmidhuber 1996 (NIPS 9): weight guessing solves it, gradients do not.

    Parameters
    ----------
    min_length, max_length : bounds of the length, 1 <= min_length <= max_length
    loss : "squared_error" or "bernoulli"

    Raises `RnnsimError` for an option out of range.

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
    tested_options = ({}, dict(min_length=40, max_length=60, loss="bernoulli"))

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
