"""Delayed non-match to sample (Williams & Zipser 1989, Neural Computation 1(2))."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer, uniform
from rnnsim.tasks.interface import Criterion, GeneratedTask


@jit_exact
def _draw(inputs, targets, weights, key, first, flag, delay):
    """inputs (T, B, bits + 1), targets (T, B, 1), weights (T, B), all from zeros; time step t has draws 3 t .. 3 t + 2."""
    bits = inputs.shape[2] - 1
    patterns = 1 << bits
    for b in range(inputs.shape[1]):
        s, sample = first + b, 0
        for t in range(inputs.shape[0]):
            if t == 0 or uniform(key, s, 3 * t) < flag:
                pattern = sample = integer(key, s, 3 * t + 1, patterns)
                inputs[t, b, bits] = 1
            else:
                differs = integer(key, s, 3 * t + 1, 2)
                pattern = sample
                if differs:
                    pattern = (sample + 1 + integer(key, s, 3 * t + 2, patterns - 1)) % patterns
                if t + delay < inputs.shape[0]:
                    targets[t + delay, b, 0] = differs
                    weights[t + delay, b] = 1
            for k in range(bits):
                inputs[t, b, k] = (pattern >> k) & 1


class DelayedNonmatch(GeneratedTask):
    """Delayed non-match to sample: say whether a pattern differs from the last sample.

    A random pattern of bits arrives at every time step, with a flag. Where the flag is on, the pattern is the sample to be
    remembered; at all other time steps the target, `delay` time steps later, is 1 if the pattern differs from the last sample
    and 0 if it is the same. The first time step has a flag, later ones with probability `flag`. Half of the patterns without a
    flag are the sample, the others any other pattern, so both answers are equally likely.

    Inputs (length, B, bits + 1) float32: the bits, then the flag. Targets (length, B, 1) float32, weights (length, B): answers
    to a flag and the first `delay` time steps are not counted.

    Loss: "bernoulli" of logits in bits a counted time step, or "squared_error".
    Chance-level loss: the target is a fair coin: 1 bit a time step, or a squared error of .25 for the constant output .5.
    Criterion (ours): the last 2000 training sequences right, with every counted output on its target's side of .5.

    Source: Williams & Zipser 1989 (Neural Computation 1(2)). We do not know the paper's details: the layout beyond pattern, flag
    and answer is ours.

    Parameters
    ----------
    bits : of a pattern, 1 .. 30
    flag : probability of a new sample, at least 0 and below 1; 0: one sample a sequence
    delay : time steps between a pattern and its answer, at least 0
    length : time steps of a sequence, above 1 + delay
    loss : "bernoulli" or "squared_error"

    Raises `RnnsimError` for an option out of range.

    >>> batch = DelayedNonmatch(bits=1, flag=0, delay=0, length=8).training_batch(seed=0, step=0, size=1)
    >>> bool((batch.targets[1:, 0, 0] == (batch.inputs[1:, 0, 0] != batch.inputs[0, 0, 0])).all())
    True
    """

    name = "delayed-nonmatch"
    n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    target_names = ("differs",)
    tested_options = ({}, dict(bits=5, flag=0.4, delay=3, length=30, loss="squared_error"))

    def __init__(
        self,
        bits: int = 2,
        flag: float = 0.2,
        delay: int = 1,
        length: int = 100,
        loss: Literal["bernoulli", "squared_error"] = "bernoulli",
    ):
        require(1 <= bits <= 30, f"bits={bits}: expected a value between 1 and 30")
        require(0 <= flag < 1, f"flag={flag}: expected a value of at least 0 and below 1")
        self.flag, self.delay, self.n_inputs = float(flag), at_least("delay", delay, 0), bits + 1
        require(length > 1 + delay, f"length={length}: expected a value above 1 + delay={1 + delay}")
        self.length = length
        squared = one_of("loss", loss, ("bernoulli", "squared_error")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if squared else "bits")
        self.trivial_loss = 0.25 if squared else 1.0
        self.input_names = (*(f"bit {k}" for k in range(bits)), "sample")

    def generate(self, key, first, size):
        inputs = np.zeros((self.length, size, self.n_inputs), np.float32)
        targets = np.zeros((self.length, size, 1), np.float32)
        weights = np.zeros((self.length, size), np.float32)
        _draw(inputs, targets, weights, key, first, self.flag, self.delay)
        return Sequences(inputs, targets, weights)
