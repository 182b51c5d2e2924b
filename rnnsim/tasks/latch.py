"""The latch problem (Bengio, Simard & Frasconi 1994), as random weight guessing solves it (Hochreiter & Schmidhuber 1996)."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import bits, integer
from rnnsim.tasks.adding import draw_lengths
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.two_sequence import VARIANCE, gaussian_line

_CLASS, _NOISE = 1, 2  # draws behind that of the length


@jit_exact
def signs_line(line, lengths, key, first, draw):
    """line (T, B) from zeros <- 1 or -1 with probability 1/2 up to the lengths, 32 a draw, from number `draw` on."""
    word = np.uint64(0)
    for b in range(lengths.size):
        for t in range(lengths[b]):
            if t % 32 == 0:
                word = bits(key, first + b, draw + t // 32)[0]
            line[t, b] = 2 * np.int64((word >> np.uint64(t % 32)) & np.uint64(1)) - 1


@jit_exact
def _begin(line, classes, key, first):
    for b in range(classes.size):
        classes[b] = integer(key, first + b, _CLASS, 2)
        line[0, b] = 1 - 2 * classes[b]


def length_range(least, most):
    """(least, most) of min_length and max_length. Raises `RnnsimError` if they do not fit."""
    at_least("min_length", least, 1)
    require(most >= least, f"max_length={most}: expected a value of at least min_length={least}")
    return least, most


class Latch(GeneratedTask):
    """The latch problem: name the first element of a long noisy sequence.

    "Latch variant II" of J. Schmidhuber, S. Hochreiter & Y. Bengio, "Evaluating benchmark problems by random guessing" (2001),
    after "LSTM can solve hard long time lag problems" (NIPS 9, 1996) and Bengio, Simard & Frasconi 1994. Sequences of class 1
    begin with 1, those of class 2 with -1; all other elements are Gaussian noise of mean 0 and variance .2. The papers solve it
    with one tanh unit with a weight from itself, one from the input and a bias: three free parameters.

    noise="signs" (ours) has 1 and -1 at random in place of the Gaussian noise, so that only its place distinguishes the first
    element from the others. The two-sequence problem (`rnnsim.tasks.TwoSequence`) is the same with targets 1 and 0 and more
    informative elements. Lengths are uniform in min_length .. max_length, by default the 500 .. 600 of the other tasks of
    weight guessing.

    Inputs (T, B, 1) float32. Targets (B, 1) float32 at the end: 1 for class 1, -1 for class 2 (0 for "bernoulli"). Lengths
    (B,).

    Loss: "squared_error", or "bernoulli" of logits in bits; of the last output, averaged over sequences.
    Chance-level loss: the variance of the targets, 1; for "bernoulli" 1 bit.
    Criterion (ours): the last 2000 training sequences right, with an error below .4, a fifth of the range of the targets, or
    for "bernoulli" a probability within .2.

    Parameters
    ----------
    min_length, max_length : bounds of the length, 1 <= min_length <= max_length
    noise : "gaussian" or "signs"
    loss : "squared_error" or "bernoulli"

    Raises `RnnsimError` for an option out of range.

    >>> batch = Latch(min_length=5, max_length=5, noise="signs").training_batch(seed=0, step=0, size=2)
    >>> batch.inputs[..., 0].T.tolist(), batch.targets[:, 0].tolist()
    ([[1.0, -1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, 1.0, -1.0, 1.0]], [1.0, -1.0])
    """

    name = "latch"
    n_inputs = n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    input_names = ("value",)
    target_names = ("class 1",)
    tested_options = (
        {},
        dict(min_length=20, max_length=30, noise="signs"),
        dict(min_length=5, max_length=9, loss="bernoulli"),
    )

    def __init__(
        self,
        min_length: int = 500,
        max_length: int = 600,
        noise: Literal["gaussian", "signs"] = "gaussian",
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
    ):
        self.min_length, self.max_length = length_range(min_length, max_length)
        self.noise = one_of("noise", noise, ("gaussian", "signs"))
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="last", per="sequence", unit="squared" if squared else "bits")
        self.tolerance = 0.4 if squared else 0.2
        self.trivial_loss = 1.0
        self._other = -1 if squared else 0  # the target of class 2

    def generate(self, key, first, size):
        lengths, classes = np.empty(size, np.int64), np.empty(size, np.int64)
        draw_lengths(lengths, key, first, self.min_length, self.max_length)
        inputs = np.zeros((lengths.max(), size, 1), np.float32)
        if self.noise == "signs":
            signs_line(inputs[..., 0], lengths, key, first, _NOISE)
        else:
            gaussian_line(inputs[..., 0], lengths, key, first, _NOISE, math.sqrt(VARIANCE))
        _begin(inputs[..., 0], classes, key, first)
        targets = np.where(classes == 0, 1, self._other).astype(np.float32)[:, None]
        return Sequences(inputs, targets, lengths=lengths)
