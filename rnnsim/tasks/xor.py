"""Delayed XOR, "pipelined XOR" of Williams & Zipser 1989 (Neural Computation 1(2); Connection Science 1(1))."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask


@jit_exact
def _draw(inputs, targets, weights, key, first, delay):
    """inputs (T, B, 2), targets (T, B, 1) and weights (T, B), the last two from zeros; draw t holds the bits of time step t."""
    for b in range(inputs.shape[1]):
        for t in range(inputs.shape[0]):
            pair = integer(key, first + b, t, 4)
            inputs[t, b, 0] = pair // 2
            inputs[t, b, 1] = pair % 2
            if t >= delay:
                targets[t, b, 0] = inputs[t - delay, b, 0] != inputs[t - delay, b, 1]
                weights[t, b] = 1


class XOR(GeneratedTask):
    """XOR of two random bits, `delay` time steps later, at every time step: "pipelined XOR" of Williams & Zipser 1989.

    Two random bits arrive at every time step. The target of time step t is the XOR of the two bits of time step t - delay, so
    the network works like a pipeline, with `delay` answers in progress. A fully recurrent network of three units can do delay
    2; longer delays need more units, which learning arranges in layers. The first `delay` time steps have no target and are not
    counted.

    Inputs (length, B, 2) float32, targets (length, B, 1) float32 of 0 and 1, weights (length, B).

    Loss: "bernoulli" of logits in bits, or "squared_error"; averaged over the counted time steps.
    Chance-level loss: the target is a fair coin: 1 bit a time step, or a squared error of .25 for the constant output .5.
    Criterion (ours): the last 2000 training sequences right, with every counted output on its target's side of .5.

    Source: Williams & Zipser 1989 (Neural Computation 1(2); Connection Science 1(1)).

    Parameters
    ----------
    delay : time steps between bits and answer, at least 0; Williams & Zipser have 2, 3 and 4
    length : time steps of a sequence, more than `delay`
    loss : "bernoulli" or "squared_error"

    Raises `RnnsimError` for an option out of range.

    >>> task = XOR(delay=2, length=6)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> bool((batch.targets[2:, 0, 0] == (batch.inputs[:-2, 0, 0] != batch.inputs[:-2, 0, 1])).all())
    True
    """

    name = "xor"
    n_inputs = 2
    n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    input_names = ("bit 1", "bit 2")
    target_names = ("xor",)
    tested_options = (dict(delay=3), dict(loss="squared_error", length=12))

    def __init__(self, delay: int = 2, length: int = 100, loss: Literal["bernoulli", "squared_error"] = "bernoulli"):
        self.delay = at_least("delay", delay, 0)
        require(length > delay, f"length={length}: expected a value above delay={delay}")
        self.length = length
        squared = one_of("loss", loss, ("bernoulli", "squared_error")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if squared else "bits")
        self.trivial_loss = 0.25 if squared else 1.0

    def generate(self, key, first, size):
        inputs = np.empty((self.length, size, 2), np.float32)
        targets = np.zeros((self.length, size, 1), np.float32)
        weights = np.zeros((self.length, size), np.float32)
        _draw(inputs, targets, weights, key, first, self.delay)
        return Sequences(inputs, targets, weights)
