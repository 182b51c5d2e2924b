"""Counting time steps: tell a delay of 99 time steps from one of 100."""

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
    """starts, ends (B,) <- time steps of both spikes; targets (B, 1)."""
    for b in range(ends.size):
        kind = integer(key, first + b, _KIND, 2)
        starts[b] = integer(key, first + b, _START, start + 1)
        ends[b] = starts[b] + delays[kind]
        targets[b, 0] = kind


class Counting(GeneratedTask):
    """Count time steps: tell a delay of 99 time steps from one of 100.

    Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)) name it among the limits of all gradient methods: these do not count
    exactly, while they easily tell a delay of 3 from one of 11. The layout is ours: a spike (1), zeros, and a second spike
    `short` or `long` time steps later, either with probability 1/2, at which the sequence ends. The first spike comes at time
    step 0 .. start, each equally likely; with start=0 there are only two sequences.

    Inputs (T, B, 1) float32. Targets (B, 1) float32 at the end: 1 for the long delay, 0 for the short one. Lengths (B,).

    Loss: "squared_error", or "bernoulli" of logits in bits; of the last output, averaged over sequences.
    Chance-level loss: the target is a fair coin: 1/4 for the constant output .5, or 1 bit.
    Criterion (ours): the last 2000 training sequences right, with an error below .2 (of the probability for "bernoulli").

    Parameters
    ----------
    short, long : the delays in time steps, 1 <= short < long
    start : last time step at which the first spike may come, at least 0
    loss : "squared_error" or "bernoulli"

    Raises `RnnsimError` for an option out of range.

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
    tested_options = (dict(short=2, long=4, start=10), {})

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
