"""Sine generation: a network without rhythm in its input has to oscillate."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import uniform
from rnnsim.tasks.interface import Criterion, GeneratedTask


@jit_exact
def _draw(inputs, targets, key, first, period, spread, constant):
    """inputs (T, B, 1) from zeros, targets (T, B, 1); draw 0 of a sequence is its frequency."""
    for b in range(inputs.shape[1]):
        relative = 1 + spread * (2 * uniform(key, first + b, 0) - 1)
        for t in range(inputs.shape[0]):
            if t == 0 or constant:
                inputs[t, b, 0] = relative
            targets[t, b, 0] = np.sin(2 * np.pi * relative * t / period)


class Sine(GeneratedTask):
    """Sine generation: a network without rhythm in its input has to oscillate (after Williams & Zipser 1989).

        y(t) = sin(2 pi f t)      t = 0 .. length - 1,   f = (1 + spread u) / period,   u uniform in [-1, 1)

    u is drawn once a sequence; the default spread = 0 gives the plain sine of one period. The only input is 1 + spread u, the
    frequency in units of 1 / period: shown at the first time step and then 0 (input="pulse"), or at every time step
    (input="constant").

    Inputs and targets (length, B, 1) float32.

    Loss: squared error, averaged over time steps.
    Chance-level loss: the best constant output is the mean m of the wave over time steps and sequences, its loss E[y^2] - m^2
    with E[y(t)] = sin(a) sinc(spread a), E[y(t)^2] = (1 - cos(2a) sinc(2 spread a)) / 2, a = 2 pi t / period,
    sinc(x) = sin(x)/x; 1/2 for whole periods and no spread.
    Criterion (ours): the last 2000 training sequences right, with every output within .1 of the wave, and their mean absolute
    error below .05.

    Williams & Zipser train oscillators by teacher forcing, "otherwise the net settles": free-running training from rest can
    stay at the chance-level loss.

    Parameters
    ----------
    period : time steps of one period, at least 2 even for the highest frequency of a spread
    length : time steps of a sequence, at least 1
    input : "pulse" or "constant"
    spread : relative spread of the frequency, 0 <= spread < 1

    Raises `RnnsimError` for an option out of range.

    >>> task = Sine(period=4, length=8)
    >>> task.training_batch(seed=0, step=0, size=1).targets[:, 0, 0].round(3).tolist()
    [0.0, 1.0, 0.0, -1.0, -0.0, 1.0, 0.0, -1.0]
    >>> round(task.trivial_loss, 12)
    0.5
    """

    name = "sine"
    n_inputs = 1
    n_outputs = 1
    tolerance = 0.1
    criterion = Criterion(window=2000, wrong=0, max_error=0.05)
    target_names = ("wave",)
    tested_options = (dict(spread=0.2), dict(input="constant", spread=0.3, length=37))

    def __init__(
        self,
        period: float = 25.0,
        length: int = 100,
        input: Literal["pulse", "constant"] = "pulse",
        spread: float = 0.0,
    ):
        require(0 <= spread < 1, f"spread={spread}: expected a value of at least 0 and below 1")
        fastest = 2 * (1 + spread)
        require(
            fastest <= period < np.inf, f"period={period}: expected a value of at least 2 (1 + spread) = {fastest:g}"
        )
        self.period, self.spread = float(period), float(spread)
        self.length = at_least("length", length, 1)
        self.input = one_of("input", input, ("pulse", "constant"))
        self.input_names = (input,)
        self.loss = Loss("squared_error", when="every", per="step")
        turns = np.arange(length) / period  # np.sinc(x) is sin(pi x) / (pi x)
        mean = (np.sin(2 * np.pi * turns) * np.sinc(2 * spread * turns)).mean()
        square = (1 - np.cos(4 * np.pi * turns) * np.sinc(4 * spread * turns)).mean() / 2
        self.trivial_loss = float(square - mean * mean)

    def generate(self, key, first, size):
        inputs = np.zeros((self.length, size, 1), np.float32)
        targets = np.empty((self.length, size, 1), np.float32)
        _draw(inputs, targets, key, first, self.period, self.spread, self.input == "constant")
        return Sequences(inputs, targets)
