"""Strongly delayed XOR: what the truncated rule of 1997 cannot learn."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.rng import integer
from rnnsim.tasks.adding import draw_lengths
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.two_sequence import VARIANCE, gaussian_line

_PLACES, _SIGNS, _NOISE = 1, 3, 5  # draws behind that of the length


@jit_exact
def _mark(inputs, targets, key, first, length, noisy):
    """The marked pairs of inputs (T, B, 2), with the noise already there; targets (B, 1)."""
    for b in range(targets.shape[0]):
        odd = 0
        for k in range(2):
            place = k * (length // 2) + integer(key, first + b, _PLACES + k, length // 10)
            minus = integer(key, first + b, _SIGNS + k, 2)
            sign = np.float32(1 - 2 * minus)
            inputs[place, b, 0] = inputs[place, b, 0] + sign if noisy else sign
            inputs[place, b, 1] = 1
            odd ^= minus
        targets[b, 0] = odd


class DelayedXOR(GeneratedTask):
    """Strongly delayed XOR: say at the end whether two widely separated signs differ.

    Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)) name it among the limits of LSTM and its truncated rule: the XOR of
    two widely separated elements of a noisy sequence. Storing only one of them does not reduce the error, so the gradient does
    not tell a network to store the first. The layout is ours, after the paper's adding problem:

        pairs (value, marker); values are Gaussian noise of mean 0 and variance .2, markers 0
        two pairs have the marker 1 and a value of 1 or -1: one at time step 0 .. T/10 - 1, one at T/2 .. T/2 + T/10 - 1
        a length uniform in T .. 1.1 T; at the end the target is 1 if the two signs differ, else 0

    Inputs (T, B, 2) float32: value and marker. Targets (B, 1) float32. Lengths (B,).

    Loss: "squared_error", or "bernoulli" of logits in bits; of the last output, averaged over sequences.
    Chance-level loss: the target is a fair coin: 1/4 for the constant output .5, or 1 bit; knowing one of the two values does
    not lower it.
    Criterion (ours): the last 2000 training sequences right, with an error below .2 (of the probability for "bernoulli").

    Parameters
    ----------
    length : T, the shortest length in time steps, at least 10
    noise : add the noise to the marked values too; one case in 40 can then not be told
    loss : "squared_error" or "bernoulli"

    Raises `RnnsimError` for an option out of range.

    >>> batch = DelayedXOR().training_batch(seed=0, step=0, size=4)
    >>> marked = batch.inputs[..., 1].T == 1
    >>> batch.inputs[..., 0].T[marked].reshape(4, 2).tolist(), batch.targets[:, 0].tolist()
    ([[-1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]], [1.0, 0.0, 1.0, 1.0])
    """

    name = "delayed-xor"
    n_inputs, n_outputs = 2, 1
    criterion = Criterion(window=2000, wrong=0)
    tolerance = 0.2
    input_names = ("value", "marker")
    target_names = ("differ",)
    tested_options = ({}, dict(length=30, noise=True, loss="bernoulli"))

    def __init__(
        self,
        length: int = 100,
        noise: bool = False,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
    ):
        self.length, self.noise = at_least("length", length, 10), bool(noise)
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="last", per="sequence", unit="squared" if squared else "bits")
        self.trivial_loss = 0.25 if squared else 1.0

    def generate(self, key, first, size):
        lengths, targets = np.empty(size, np.int64), np.empty((size, 1), np.float32)
        draw_lengths(lengths, key, first, self.length, self.length * 11 // 10)
        inputs = np.zeros((lengths.max(), size, 2), np.float32)
        gaussian_line(inputs[..., 0], lengths, key, first, _NOISE, math.sqrt(VARIANCE))
        _mark(inputs, targets, key, first, self.length, self.noise)
        return Sequences(inputs, targets, lengths=lengths)
