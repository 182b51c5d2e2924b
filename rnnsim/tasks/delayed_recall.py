"""Delayed recall: name the first symbol of a sequence after a delay."""

import math

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask


@jit_exact
def _draw(inputs, classes, key, first, symbols, distractors):
    """inputs (T, B, symbols + distractors + 1) from zeros, classes (B,); draw t of a sequence belongs to time step t."""
    last = inputs.shape[0] - 1
    for b in range(classes.size):
        classes[b] = integer(key, first + b, 0, symbols)
        inputs[0, b, classes[b]] = 1
        if distractors > 0:
            for t in range(1, last):
                inputs[t, b, symbols + integer(key, first + b, t, distractors)] = 1
        inputs[last, b, symbols + distractors] = 1


class DelayedRecall(GeneratedTask):
    """Delayed recall: name the first symbol of a sequence after a delay.

        time step  0               1 .. delay              delay + 1
        input      symbol s        distractors or blank    cue
        target     -               -                       s

    The symbol s and every distractor are uniform over their kinds; with distractors=0 the inputs of the delay are zeros. The
    task is experiment 2 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)) reduced to the one prediction that needs
    memory.

    Inputs (delay + 2, B, symbols + distractors + 1) float32: symbols, distractors and the cue one-hot. Targets (B,) int32: the
    class s.

    Loss: softmax cross-entropy of the last output, in nats a sequence.
    Chance-level loss: log(symbols), as all symbols are equally likely.
    Criterion (ours): the last 2000 training sequences right, with the symbol as the most probable output, and their mean error,
    the probability of the other symbols, below .05.

    Parameters
    ----------
    symbols : number of symbols to tell apart, at least 2
    delay : time steps between symbol and cue, at least 0
    distractors : kinds of distractors, at least 0 (0: the inputs of the delay are zeros)

    Raises `RnnsimError` for an option out of range.

    >>> task = DelayedRecall(symbols=3, delay=2, distractors=0)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> symbol = int(batch.targets[0])
    >>> batch.inputs[:, 0, symbol].tolist(), batch.inputs[:, 0, 3].tolist()
    ([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    """

    name = "delayed recall"
    criterion = Criterion(window=2000, wrong=0, max_error=0.05)
    tested_options = ({}, dict(symbols=3, delay=4, distractors=0))

    def __init__(self, symbols: int = 8, delay: int = 50, distractors: int = 4):
        self.n_outputs = self.symbols = at_least("symbols", symbols, 2)
        self.delay = at_least("delay", delay, 0)
        self.distractors = at_least("distractors", distractors, 0)
        self.n_inputs = symbols + distractors + 1
        self.loss = Loss("softmax", when="last", per="sequence")
        self.trivial_loss = math.log(symbols)
        self.target_names = tuple(f"symbol {k}" for k in range(symbols))
        self.input_names = (*self.target_names, *(f"distractor {k}" for k in range(distractors)), "cue")

    def generate(self, key, first, size):
        inputs, classes = np.zeros((self.delay + 2, size, self.n_inputs), np.float32), np.empty(size, np.int32)
        _draw(inputs, classes, key, first, self.symbols, self.distractors)
        return Sequences(inputs, classes)
