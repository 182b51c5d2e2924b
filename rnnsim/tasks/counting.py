"""Counting steps: tell a delay of 99 steps from one of 100 (Hochreiter & Schmidhuber 1997, Neural Computation 9(8)).

The paper names it among the limits of all gradient methods: they do not count exactly, while a delay of 3 is easily told from
one of 11. One input: a spike (1), zeros, and a second spike `short` or `long` steps later, either with probability 1/2, at
which the sequence ends. The target there is 1 for the long delay and 0 for the short one. The first spike comes at step 0 ..
start, each equally likely; with start=0 there are but two sequences. The layout is ours.

loss="squared_error": a sequence is right if the error is below .2; "bernoulli": logits, in bits, likewise with probabilities.
Solved (our bound): the last 2000 training sequences right. Trivial loss: 1/4, or 1 bit."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask

_KIND, _START = 0, 1  # draws


@jit_exact
def _draw(starts, ends, targets, key, first, start, delays):
    """starts, ends (B,) <- steps of both spikes; targets (B, 1)."""
    for b in range(ends.size):
        kind = integer(key, first + b, _KIND, 2)
        starts[b] = integer(key, first + b, _START, start + 1)
        ends[b] = starts[b] + delays[kind]
        targets[b, 0] = kind


class Counting(GeneratedTask):
    """Tell two delays from each other; see the top of the module.

    Inputs (T, B, 1), targets (B, 1). `RnnsimError` for options out of range.

    Parameters
    ----------
    short, long : the delays, 1 <= short < long
    start : last step at which the first spike may come, at least 0
    loss : "squared_error" or "bernoulli"

    >>> batch = Counting(short=2, long=3).training_batch(seed=0, step=0, size=6)
    >>> batch.inputs[..., 0].T[3:].tolist(), batch.targets[3:, 0].tolist()
    ([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]], [0.0, 1.0, 1.0])
    """

    name = "counting"
    n_inputs = n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    tolerance = 0.2
    input_names = ("spike",)
    target_names = ("long",)

    def __init__(
        self,
        short: int = 99,
        long: int = 100,
        start: int = 0,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
    ):
        self.short = at_least("short", short, 1)
        require(long > short, f"long={long}: expected a value above short={short}")
        self.long, self.start = long, at_least("start", start, 0)
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="last", per="sequence", unit="squared" if squared else "bits")
        self.trivial_loss = 0.25 if squared else 1.0
        self._delays = np.array([short, long])

    def generate(self, key, first, size):
        starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
        targets = np.empty((size, 1), np.float32)
        _draw(starts, ends, targets, key, first, self.start, self._delays)
        inputs = np.zeros((ends.max() + 1, size, 1), np.float32)
        rows = np.arange(size)
        inputs[starts, rows, 0] = inputs[ends, rows, 0] = 1
        return Sequences(inputs, targets, lengths=ends + 1)
