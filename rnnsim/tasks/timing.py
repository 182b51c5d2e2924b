"""Precise timing: the tasks of Gers, Schraudolph & Schmidhuber 2002 (Journal of Machine Learning Research 3), LSTM with
peepholes.

Spikes come at T(n) = T(n-1) + F + I(n), n = 1 .. N, with T(0) = 0, F = `interval`, and I(n) drawn uniformly from `values`
numbers, 0, 1, 2, .. A sequence has T(N) + 1 steps.

Measuring spike delays (`SpikeDelays`, MSD). The input is 1 at T(0), T(1), .., T(N) and 0 elsewhere, the target at T(1), ..,
T(N) is I(1), .., I(N); other steps are not counted. With spikes=1, one pair of spikes a sequence and a reset behind it, it is
the paper's NMSD.

Generating timed spikes (`TimedSpikes`, GTS): inputs and targets change places. The input at T(n-1) is I(n), 0 elsewhere; the
target is 1 at T(1), .., T(N) and 0 at all other steps, and every step counts.

Generating periodic functions (`PeriodicFunction`, PFG). There is no input (a line that stays 0); the target is a function of
the phase r = (t mod F) / F,

    cosine       (1 - cos 2 pi r) / 2
    triangle     2 r up to r = 1/2, then 2 - 2 r
    rectangle    0 below r = 1/2, then 1

A prediction is right if its error is below .49 (PFG: .3), a sequence if all are. The paper trains on streams that end at the
first error or after 100 spikes, and tests on 1000; a sequence here is such a stream. Solved: as many successive training
sequences right as hold 1000 spikes (PFG: periods). Where the paper leaves it open, ours are: T(0), which asks for nothing,
the phase of the rectangle, and the number of periods.

loss="squared_error" is the paper's; "bernoulli" (spikes only, and MSD with values=2): logits, in bits. With values above 2
the targets I(n) go beyond 1 and need a linear output.

Trivial loss: the variance of the counted targets: (values^2 - 1)/12 for MSD; q (1 - q) for GTS, q the share of steps with a
spike.
"""

import abc
import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.streams import entropy_of, sequence_stop

_LONG_RUN = 1000  # spikes, or periods, of the paper's tests


@jit_exact
def _draw_delays(delays, ends, key, first, interval, values):
    """delays (N, B) <- I(1) .. I(N), draw n - 1 for I(n); ends (B,) <- T(N)."""
    ends[:] = 0
    for n in range(delays.shape[0]):
        for b in range(ends.size):
            delays[n, b] = integer(key, first + b, n, values)
            ends[b] += interval + delays[n, b]


@jit_exact
def _measure(inputs, targets, weights, delays, interval):
    """inputs (T, B, 1), targets (T, B, 1), weights (T, B), all from zeros."""
    for b in range(delays.shape[1]):
        t = 0
        inputs[t, b, 0] = 1
        for n in range(delays.shape[0]):
            t += interval + delays[n, b]
            inputs[t, b, 0] = 1
            targets[t, b, 0] = delays[n, b]
            weights[t, b] = 1


@jit_exact
def _generate(inputs, targets, delays, interval):
    """inputs (T, B, 1), targets (T, B, 1), both from zeros."""
    for b in range(delays.shape[1]):
        t = 0
        for n in range(delays.shape[0]):
            inputs[t, b, 0] = delays[n, b]
            t += interval + delays[n, b]
            targets[t, b, 0] = 1


@jit_exact
def _repeat(targets, key, first, wave, anywhere):
    """targets (T, B, 1) <- the wave again and again; draw 0 is the place that a sequence begins at."""
    for b in range(targets.shape[1]):
        place = integer(key, first + b, 0, wave.size) if anywhere else 0
        for t in range(targets.shape[0]):
            targets[t, b, 0] = wave[(place + t) % wave.size]


class SpikeTask(GeneratedTask):
    """Options, loss and criterion of the tasks with spikes.

    A task of this kind has `trivial(squared)`, which gives its trivial loss, or raises `RnnsimError` if the loss does not fit
    the options.
    """

    n_inputs = n_outputs = 1
    tolerance = 0.49

    def __init__(
        self,
        interval: int = 10,
        values: int = 2,
        spikes: int = 100,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
        stop_error: float | None = None,
    ):
        at_least("interval", interval, 1)
        self.sequence_stop = sequence_stop(stop_error)
        require(1 <= values <= 10**6, f"values={values}: expected a value between 1 and 1000000")
        at_least("spikes", spikes, 1)
        self.interval, self.values, self.spikes = interval, values, spikes
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if squared else "bits")
        self.criterion = Criterion(window=-(-_LONG_RUN // spikes), wrong=0)
        self.trivial_loss = self.trivial(squared)

    @abc.abstractmethod
    def trivial(self, squared):
        """The trivial loss, squared or in bits."""

    def arrays(self, key, first, size):
        """delays (N, B), lengths (B), inputs and targets (T, B, 1) of a batch; the last two are zeros."""
        delays, ends = np.empty((self.spikes, size), np.int64), np.empty(size, np.int64)
        _draw_delays(delays, ends, key, first, self.interval, self.values)
        shape = (ends.max() + 1, size, 1)
        return delays, ends + 1, np.zeros(shape, np.float32), np.zeros(shape, np.float32)


class SpikeDelays(SpikeTask):
    """Measure the delays between spikes (MSD, and with spikes=1 NMSD); see the top of the module.

    Inputs and targets (T, B, 1), weights (T, B). `RnnsimError` for options out of range.

    Parameters
    ----------
    interval : F, steps between spikes at least; at least 1
    values : how many values I(n) may have, from 0 on
    spikes : N, delays a sequence
    loss : "squared_error" or "bernoulli"
    stop_error : a rule that learns at every time step ends a sequence after the first one with such an error; None: never

    >>> batch = SpikeDelays(interval=2, spikes=3).training_batch(seed=1, step=0, size=1)
    >>> for part in (batch.inputs[:, 0, 0], batch.targets[:, 0, 0], batch.weights[:, 0]):
    ...     print(part.astype(int).tolist())
    [1, 0, 0, 1, 0, 0, 1, 0, 1]
    [0, 0, 0, 1, 0, 0, 1, 0, 0]
    [0, 0, 0, 1, 0, 0, 1, 0, 1]
    """

    name = "spike-delays"
    input_names = ("spike",)
    target_names = ("delay",)

    def trivial(self, squared):
        most = self.values - 1
        require(squared or most == 1, f"loss={self.loss.kind}: delays of 0 .. {most} expect squared_error")
        return (self.values**2 - 1) / 12 if squared else 1.0

    def generate(self, key, first, size):
        delays, lengths, inputs, targets = self.arrays(key, first, size)
        weights = np.zeros(inputs.shape[:2], np.float32)
        _measure(inputs, targets, weights, delays, self.interval)
        return Sequences(inputs, targets, weights, lengths)


class TimedSpikes(SpikeTask):
    """Generate spikes at given delays (GTS); see the top of the module.

    Inputs and targets (T, B, 1). `RnnsimError` for options out of range.

    Parameters
    ----------
    interval : F, steps between spikes at least; at least 1
    values : how many values I(n) may have, from 0 on
    spikes : N, spikes a sequence
    loss : "squared_error" or "bernoulli"
    stop_error : a rule that learns at every time step ends a sequence after the first one with such an error; None: never

    >>> batch = TimedSpikes(interval=2, spikes=3).training_batch(seed=1, step=0, size=1)
    >>> batch.inputs[:, 0, 0].astype(int).tolist(), batch.targets[:, 0, 0].astype(int).tolist()
    ([0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0, 1])
    """

    name = "timed-spikes"
    input_names = ("delay",)
    target_names = ("spike",)

    def trivial(self, squared):
        q = self.spikes / (1 + self.spikes * (self.interval + (self.values - 1) / 2))
        return q * (1 - q) if squared else entropy_of((q, 1 - q)) / math.log(2)

    def generate(self, key, first, size):
        delays, lengths, inputs, targets = self.arrays(key, first, size)
        _generate(inputs, targets, delays, self.interval)
        return Sequences(inputs, targets, lengths=lengths)


class PeriodicFunction(GeneratedTask):
    """Generate a periodic function without any input (PFG); see the top of the module.

    Inputs and targets (periods * period, B, 1). `RnnsimError` for options out of range.

    Parameters
    ----------
    form : "cosine", "triangle" or "rectangle"
    period : F, steps; at least 2
    periods : of a sequence, at least 1
    phase : "fixed", or "random": a sequence begins somewhere in the period, which it cannot tell before it is told the targets
    stop_error : a rule that learns at every time step ends a sequence after the first one with such an error; None: never

    >>> for form in ("triangle", "rectangle"):
    ...     print(PeriodicFunction(form, period=4, periods=2).training_batch(seed=0, step=0, size=1).targets[:, 0, 0].tolist())
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 0.5]
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    """

    name = "periodic-function"
    n_inputs = n_outputs = 1
    tolerance = 0.3
    loss = Loss("squared_error", when="every", per="step")
    input_names = ("nothing",)
    target_names = ("function",)

    def __init__(
        self,
        form: Literal["cosine", "triangle", "rectangle"] = "cosine",
        period: int = 10,
        periods: int = 100,
        phase: Literal["fixed", "random"] = "fixed",
        stop_error: float | None = None,
    ):
        self.sequence_stop = sequence_stop(stop_error)
        one_of("form", form, ("cosine", "triangle", "rectangle"))
        self.period, self.periods = at_least("period", period, 2), at_least("periods", periods, 1)
        self._anywhere = one_of("phase", phase, ("fixed", "random")) == "random"
        r = np.arange(period) / period
        if form == "cosine":
            self.wave = (1 - np.cos(2 * np.pi * r)) / 2
        else:
            self.wave = np.minimum(2 * r, 2 - 2 * r) if form == "triangle" else (r >= 0.5).astype(float)
        self.criterion = Criterion(window=-(-_LONG_RUN // periods), wrong=0)
        self.trivial_loss = float(self.wave.var())

    def generate(self, key, first, size):
        shape = (self.period * self.periods, size, 1)
        targets = np.empty(shape, np.float32)
        _repeat(targets, key, first, self.wave, self._anywhere)
        return Sequences(np.zeros(shape, np.float32), targets)
