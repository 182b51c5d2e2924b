"""MyTask: say, after a delay, which of several symbols came first."""

import math

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least
from rnnsim.core.rng import integer, uniform
from rnnsim.tasks import Criterion, GeneratedTask, Sequences


@jit_exact
def _draw(inputs, classes, key, first, symbols):
    """Fill inputs (T, B, symbols + 2), zeros before, and classes (B,).

    Every random number is a function of its place: number t of sequence first + b of the stream `key`. A sequence is therefore
    the same in batches of any size, and a resumed run sees the same sequences.
    """
    last = inputs.shape[0] - 1
    for b in range(classes.size):
        classes[b] = integer(key, first + b, 0, symbols)
        inputs[0, b, classes[b]] = 1
        for t in range(1, last):
            inputs[t, b, symbols + 1] = 2 * uniform(key, first + b, t) - 1
        inputs[last, b, symbols] = 1


class MyTask(GeneratedTask):
    """Recall the first symbol after a noisy delay::

        time step  0           1 .. delay     delay + 1
        input      symbol s    noise          cue
        target     -           -              s

    Every symbol and the cue have an input of their own, one-hot; the noise is one more input, uniform in [-1, 1]. The loss is the
    softmax cross-entropy over the symbols at the last time step, in nats; the chance-level loss is log(symbols).

    symbols : number of symbols, at least 2
    delay : time steps between the symbol and the cue, at least 0

    Inputs (delay + 2, B, symbols + 2), targets (B,) int32. Raises `RnnsimError` for options out of range.
    """

    name = "MyTask"  # seed and name determine the random numbers
    criterion = Criterion(window=2000, wrong=0, max_error=0.05)  # solved: 2000 sequences right, mean error below .05

    def __init__(self, symbols: int = 4, delay: int = 10):
        self.n_outputs = self.symbols = at_least("symbols", symbols, 2)
        self.delay = at_least("delay", delay, 0)
        self.n_inputs = symbols + 2
        self.loss = Loss("softmax", when="last", per="sequence")
        self.trivial_loss = math.log(symbols)
        self.target_names = tuple(f"symbol {k}" for k in range(symbols))
        self.input_names = (*self.target_names, "cue", "noise")

    def generate(self, key, first, size):
        """The batch of sequences number first .. first + size - 1 of the random stream `key`."""
        inputs, classes = np.zeros((self.delay + 2, size, self.n_inputs), np.float32), np.empty(size, np.int32)
        _draw(inputs, classes, key, first, self.symbols)
        return Sequences(inputs, classes)
