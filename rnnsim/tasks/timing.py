"""Precise timing: the tasks of Gers, Schraudolph & Schmidhuber 2002 (Journal of Machine Learning Research 3)."""

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
    """targets (T, B, 1) <- the wave, repeated; draw 0 is the place at which a sequence begins."""
    for b in range(targets.shape[1]):
        place = integer(key, first + b, 0, wave.size) if anywhere else 0
        for t in range(targets.shape[0]):
            targets[t, b, 0] = wave[(place + t) % wave.size]


class SpikeTask(GeneratedTask):
    """Options, loss and criterion of the tasks with spikes.

    Spikes come at T(n) = T(n-1) + F + I(n), n = 1 .. N, with T(0) = 0, F = `interval`, and I(n) drawn uniformly from `values`
    numbers, 0, 1, 2, .. A sequence has T(N) + 1 time steps.

    A subclass defines `chance_level(squared)`, its chance-level loss, which raises `RnnsimError` if the loss does not fit the
    options.
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
        self.trivial_loss = self.chance_level(squared)

    @abc.abstractmethod
    def chance_level(self, squared):
        """The chance-level loss, squared or in bits."""

    def arrays(self, key, first, size):
        """delays (N, B), lengths (B), inputs and targets (T, B, 1) of a batch; the last two are zeros."""
        delays, ends = np.empty((self.spikes, size), np.int64), np.empty(size, np.int64)
        _draw_delays(delays, ends, key, first, self.interval, self.values)
        shape = (ends.max() + 1, size, 1)
        return delays, ends + 1, np.zeros(shape, np.float32), np.zeros(shape, np.float32)


class SpikeDelays(SpikeTask):
    """Measure the delays between spikes (MSD, and with spikes=1 NMSD) of Gers, Schraudolph & Schmidhuber 2002.

    Spikes come at T(n) = T(n-1) + F + I(n), n = 1 .. N, with T(0) = 0, F = `interval`, and I(n) drawn uniformly from `values`
    numbers, 0, 1, 2, .. A sequence has T(N) + 1 time steps.

    The input is 1 at T(0), T(1), .., T(N) and 0 elsewhere, the target at T(1), .., T(N) is I(1), .., I(N); other time steps are
    not counted. spikes=1, one pair of spikes a sequence and a reset behind it, is the paper's NMSD. T(0), which has no target,
    is our choice where the paper leaves it open.

    Inputs and targets (T, B, 1) float32, weights (T, B), lengths (B,). With values above 2 the targets go beyond 1 and need a
    linear output.

    Loss: "squared_error" (the paper's), or with values=2 "bernoulli" of logits in bits; averaged over the counted time steps.
    Chance-level loss: the variance of the counted targets, (values^2 - 1)/12, or 1 bit.
    Criterion: as many successive training sequences right as hold 1000 spikes. A prediction is right if its error is below .49,
    a sequence if all its predictions are. The paper trains on streams that end at the first error or after 100 spikes, and
    tests on 1000; a sequence here is such a stream.

    Source: Gers, Schraudolph & Schmidhuber 2002 (Journal of Machine Learning Research 3), LSTM with peepholes.

    Parameters
    ----------
    interval : F, the least number of time steps between spikes; at least 1
    values : number of values that I(n) may have, from 0 on; 1 .. 1000000
    spikes : N, delays a sequence, at least 1
    loss : "squared_error" or "bernoulli"
    stop_error : rules that learn at every time step end a sequence after the first time step with such an error; None: never

    Raises `RnnsimError` for an option out of range, and for "bernoulli" with other values than 2.

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
    tested_options = (dict(spikes=30), dict(interval=50, values=5, spikes=12), dict(spikes=1, loss="bernoulli"))

    def chance_level(self, squared):
        most = self.values - 1
        require(squared or most == 1, f"loss={self.loss.kind}: delays of 0 .. {most} expect squared_error")
        return (self.values**2 - 1) / 12 if squared else 1.0

    def generate(self, key, first, size):
        delays, lengths, inputs, targets = self.arrays(key, first, size)
        weights = np.zeros(inputs.shape[:2], np.float32)
        _measure(inputs, targets, weights, delays, self.interval)
        return Sequences(inputs, targets, weights, lengths)


class TimedSpikes(SpikeTask):
    """Generate spikes at given delays (GTS) of Gers, Schraudolph & Schmidhuber 2002.

    Spikes come at T(n) = T(n-1) + F + I(n), n = 1 .. N, with T(0) = 0, F = `interval`, and I(n) drawn uniformly from `values`
    numbers, 0, 1, 2, .. A sequence has T(N) + 1 time steps.

    The input at T(n-1) is I(n), 0 elsewhere; the target is 1 at T(1), .., T(N) and 0 at all other time steps, and every time
    step is counted.

    Inputs and targets (T, B, 1) float32, lengths (B,).

    Loss: "squared_error" (the paper's), or "bernoulli" of logits in bits; averaged over time steps.
    Chance-level loss: that of the constant output q, the share of time steps with a spike: q (1 - q), or the entropy of
    (q, 1 - q) in bits.
    Criterion: as many successive training sequences right as hold 1000 spikes. A prediction is right if its error is below .49,
    a sequence if all its predictions are. The paper trains on streams that end at the first error or after 100 spikes, and
    tests on 1000; a sequence here is such a stream.

    Source: Gers, Schraudolph & Schmidhuber 2002 (Journal of Machine Learning Research 3), LSTM with peepholes.

    Parameters
    ----------
    interval : F, the least number of time steps between spikes; at least 1
    values : number of values that I(n) may have, from 0 on; 1 .. 1000000
    spikes : N, spikes a sequence, at least 1
    loss : "squared_error" or "bernoulli"
    stop_error : rules that learn at every time step end a sequence after the first time step with such an error; None: never

    Raises `RnnsimError` for an option out of range.

    >>> batch = TimedSpikes(interval=2, spikes=3).training_batch(seed=1, step=0, size=1)
    >>> batch.inputs[:, 0, 0].astype(int).tolist(), batch.targets[:, 0, 0].astype(int).tolist()
    ([0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0, 1])
    """

    name = "timed-spikes"
    input_names = ("delay",)
    target_names = ("spike",)
    tested_options = (dict(spikes=30), dict(interval=3, values=3, spikes=20, loss="bernoulli"))

    def chance_level(self, squared):
        q = self.spikes / (1 + self.spikes * (self.interval + (self.values - 1) / 2))
        return q * (1 - q) if squared else entropy_of((q, 1 - q)) / math.log(2)

    def generate(self, key, first, size):
        delays, lengths, inputs, targets = self.arrays(key, first, size)
        _generate(inputs, targets, delays, self.interval)
        return Sequences(inputs, targets, lengths=lengths)


class PeriodicFunction(GeneratedTask):
    """Generate a periodic function without any input (PFG) of Gers, Schraudolph & Schmidhuber 2002.

    The input stays 0; the target is a function of the phase r = (t mod F) / F,

        cosine       (1 - cos 2 pi r) / 2
        triangle     2 r up to r = 1/2, then 2 - 2 r
        rectangle    0 below r = 1/2, then 1

    Inputs and targets (periods * period, B, 1) float32.

    Loss: squared error, averaged over time steps.
    Chance-level loss: the variance of the function over a period.
    Criterion: as many successive training sequences right as hold 1000 periods. A prediction is right if its error is below .3,
    a sequence if all its predictions are. The paper leaves the phase of the rectangle and the number of periods open; they are
    our choice.

    Source: Gers, Schraudolph & Schmidhuber 2002 (Journal of Machine Learning Research 3), LSTM with peepholes.

    Parameters
    ----------
    form : "cosine", "triangle" or "rectangle"
    period : F, time steps; at least 2
    periods : number of periods of a sequence, at least 1
    phase : "fixed", or "random": a sequence begins at a random place of the period, which only its targets show
    stop_error : rules that learn at every time step end a sequence after the first time step with such an error; None: never

    Raises `RnnsimError` for an option out of range.

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
    tested_options = (
        dict(period=200, periods=1, phase="random"),
        dict(form="rectangle", period=25, periods=4, phase="random"),
    )

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
