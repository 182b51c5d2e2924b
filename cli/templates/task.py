"""MyTask: say, after a delay, which of several symbols came first.

    step       0           1 .. delay     delay + 1
    input      symbol s    noise          cue
    target     -           -              s

Symbols and the cue have one channel each, one-hot; the noise is one more channel, uniform in [-1, 1]. Softmax over the symbols
at the last time step, in nats. The best answer without the inputs costs log(symbols).
"""

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

    Random numbers are counted, not drawn one after the other: number t of sequence first + b of the stream `key`. So a sequence
    is the same in whatever batch it comes, and a run that is resumed sees the same ones.
    """
    last = inputs.shape[0] - 1
    for b in range(classes.size):
        classes[b] = integer(key, first + b, 0, symbols)
        inputs[0, b, classes[b]] = 1
        for t in range(1, last):
            inputs[t, b, symbols + 1] = 2 * uniform(key, first + b, t) - 1
        inputs[last, b, symbols] = 1


class MyTask(GeneratedTask):
    """Recall the first symbol after a noisy delay; the layout is at the top of the file.

    symbols : how many symbols there are, at least 2
    delay : time steps between the symbol and the cue, at least 0

    Inputs (delay + 2, B, symbols + 2), targets (B,) int32. Raises `RnnsimError` for options out of range.
    """

    name = "MyTask"  # its random numbers follow from the seed and this name
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
