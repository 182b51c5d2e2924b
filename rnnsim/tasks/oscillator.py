"""Oscillators: a network whose input never changes has to produce a pattern (Williams & Zipser 1989)."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask

_PATTERNS = {"01": (0, 1), "0011": (0, 0, 1, 1)}


@jit_exact
def _draw(targets, key, first, wave, anywhere):
    """targets (T, B, 1) <- the wave, repeated; draw 0 is the place at which a sequence begins."""
    for b in range(targets.shape[1]):
        place = integer(key, first + b, 0, wave.size) if anywhere else 0
        for t in range(targets.shape[0]):
            targets[t, b, 0] = wave[(place + t) % wave.size]


class Oscillator(GeneratedTask):
    """An oscillator: produce a pattern from an input that never changes (Williams & Zipser 1989, Neural Computation 1(2)).

        pattern="01"      0 1 0 1 ...
        pattern="0011"    0 0 1 1 0 0 1 1 ...
        pattern="sine"    (1 + sin(2 pi t / period)) / 2, period 25

    between 0 and 1 for logistic units; values="signed" has 2 y - 1 instead, between -1 and 1 for tanh. With phase="random"
    every sequence begins at a random place of the pattern, which only a network that sees its targets can know.

    The task is made for teacher forcing (rule rtrl with force=true, network with readout=units): trained from rest without it,
    a network tends to settle at the mean of the pattern. Evaluation runs free, from rest, so an evaluation needs the phase
    "fixed".

    Inputs (length, B, 1) float32: the constant 1. Targets (length, B, 1) float32: the pattern.

    Loss: squared error, averaged over time steps.
    Chance-level loss: the variance of the pattern over the time steps, or over whole periods for a random phase.
    Criterion (ours): the last 2000 training sequences right. A sequence is right if every output is within a quarter of the
    range from its target for the bits, a tenth for the sine.

    Parameters
    ----------
    pattern : "01", "0011" or "sine"
    period : time steps of one period of the sine, at least 2; the other patterns ignore it
    values : "unit" or "signed"
    phase : "fixed" or "random"
    length : time steps of a sequence, at least 1

    Raises `RnnsimError` for an option out of range.

    >>> Oscillator("0011", length=6).training_batch(seed=0, step=0, size=1).targets[:, 0, 0].astype(int).tolist()
    [0, 0, 1, 1, 0, 0]
    """

    name = "oscillator"
    n_inputs = 1
    n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    loss = Loss("squared_error", when="every", per="step")
    input_names = ("one",)
    target_names = ("pattern",)
    tested_options = (
        dict(pattern="sine", phase="random", period=200, length=30),
        dict(pattern="sine", values="signed", phase="random", period=100, length=37),
    )

    def __init__(
        self,
        pattern: Literal["01", "0011", "sine"] = "01",
        period: int = 25,
        values: Literal["unit", "signed"] = "unit",
        phase: Literal["fixed", "random"] = "fixed",
        length: int = 100,
    ):
        one_of("pattern", pattern, (*_PATTERNS, "sine"))
        at_least("period", period, 2)
        signed = one_of("values", values, ("unit", "signed")) == "signed"
        self._anywhere = one_of("phase", phase, ("fixed", "random")) == "random"
        self.length = at_least("length", length, 1)
        turns = np.arange(period) / period
        wave = (1 + np.sin(2 * np.pi * turns)) / 2 if pattern == "sine" else np.array(_PATTERNS[pattern], float)
        self.wave = 2 * wave - 1 if signed else wave
        self.tolerance = (0.1 if pattern == "sine" else 0.25) * (2 if signed else 1)
        shown = self.wave if self._anywhere else np.resize(self.wave, length)
        self.trivial_loss = float(shown.var())

    def generate(self, key, first, size):
        targets = np.empty((self.length, size, 1), np.float32)
        _draw(targets, key, first, self.wave, self._anywhere)
        return Sequences(np.ones((self.length, size, 1), np.float32), targets)
