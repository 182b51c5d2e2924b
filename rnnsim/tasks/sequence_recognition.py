"""Sequence recognition: say when a was followed by b, at any distance (Williams & Zipser 1989, Neural Computation 1(2)).

At every step one of the lines a, b, and `distractors` others is on, each equally likely. `delay` steps after the first b
that follows an a, the output is 1; at all other steps it is 0. A further b counts after a further a only. Any number of
distractors may stand between the two, so a network has to remember an a for ever, until its b is there.

loss="bernoulli": logits, in bits a step; loss="squared_error": plain outputs and targets 0 and 1. A sequence is right if every
output is on its target's side of .5. The number of lines is not known to us from the paper, nor a criterion; solved (our bound):
the last 2000 training sequences right.

Trivial loss: that of the constant q, the mean over the steps of the probability that a target is 1. An a waits for its b at step
t with p(0) = 0, p(t+1) = p(t) (1 - 2/m) + 1/m for m lines, and the target is 1 with p(t) / m.
"""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.streams import entropy_of


@jit_exact
def _draw(inputs, targets, key, first, delay):
    """inputs (T, B, m), targets (T, B, 1), both from zeros; draw t is the line of step t."""
    for b in range(inputs.shape[1]):
        waiting = False
        for t in range(inputs.shape[0]):
            line = integer(key, first + b, t, inputs.shape[2])
            inputs[t, b, line] = 1
            if line == 1 and waiting and t + delay < inputs.shape[0]:
                targets[t + delay, b, 0] = 1
            if line < 2:
                waiting = line == 0


class SequenceRecognition(GeneratedTask):
    """Say when a was followed by b; see the top of the module.

    Inputs (length, B, 2 + distractors), targets (length, B, 1). `RnnsimError` for options out of range.

    Parameters
    ----------
    distractors : lines besides a and b, at least 0
    delay : steps between the b and the answer, at least 0
    length : steps of a sequence, more than `delay`
    loss : "bernoulli" or "squared_error"

    >>> task = SequenceRecognition(length=9)
    >>> batch = task.training_batch(seed=7, step=0, size=1)
    >>> "".join("abcd"[k] for k in batch.inputs[:, 0].argmax(axis=1)), batch.targets[:, 0, 0].astype(int).tolist()
    ('aababccac', [0, 0, 0, 1, 0, 1, 0, 0, 0])
    """

    name = "sequence-recognition"
    n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    target_names = ("a, then b",)

    def __init__(
        self,
        distractors: int = 2,
        delay: int = 1,
        length: int = 100,
        loss: Literal["bernoulli", "squared_error"] = "bernoulli",
    ):
        self.n_inputs = m = 2 + at_least("distractors", distractors, 0)
        self.delay = at_least("delay", delay, 0)
        require(length > delay, f"length={length}: expected a value above delay={delay}")
        self.length = length
        squared = one_of("loss", loss, ("bernoulli", "squared_error")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if squared else "bits")
        self.input_names = ("a", "b", *(f"distractor {k}" for k in range(distractors)))
        waits, total = 0.0, 0.0
        for _ in range(length - delay):
            total += waits / m
            waits += (1 - 2 * waits) / m
        q = total / length
        self.trivial_loss = q * (1 - q) if squared else entropy_of((q, 1 - q)) / math.log(2)

    def generate(self, key, first, size):
        inputs = np.zeros((self.length, size, self.n_inputs), np.float32)
        targets = np.zeros((self.length, size, 1), np.float32)
        _draw(inputs, targets, key, first, self.delay)
        return Sequences(inputs, targets)
