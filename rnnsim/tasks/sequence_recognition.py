"""Sequence recognition: say when a was followed by b, at any distance (Williams & Zipser 1989)."""

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
    """inputs (T, B, m), targets (T, B, 1), both from zeros; draw t is the channel of time step t."""
    for b in range(inputs.shape[1]):
        waiting = False
        for t in range(inputs.shape[0]):
            channel = integer(key, first + b, t, inputs.shape[2])
            inputs[t, b, channel] = 1
            if channel == 1 and waiting and t + delay < inputs.shape[0]:
                targets[t + delay, b, 0] = 1
            if channel < 2:
                waiting = channel == 0


class SequenceRecognition(GeneratedTask):
    """Sequence recognition: say when a was followed by b, at any distance (Williams & Zipser 1989, Neural Computation 1(2)).

    At every time step one of the channels a, b, and `distractors` others is on, each equally likely. `delay` time steps after
    the first b that follows an a, the target is 1; at all other time steps it is 0. A further b counts after a further a only.
    Any number of distractors may stand between the two, so a network has to remember an a until its b comes.

    Inputs (length, B, 2 + distractors) float32, one-hot. Targets (length, B, 1) float32.

    Loss: "bernoulli" of logits in bits, or "squared_error"; averaged over time steps.
    Chance-level loss: that of the constant output q, the mean over the time steps of the probability that a target is 1. For m
    channels an a waits for its b at time step t with p(0) = 0, p(t+1) = p(t) (1 - 2/m) + 1/m, and the target is 1 with p(t) /
    m.
    Criterion (ours): the last 2000 training sequences right, with every output on its target's side of .5. We do not know the
    paper's number of channels, nor a criterion of the paper.

    Parameters
    ----------
    distractors : channels besides a and b, at least 0
    delay : time steps between the b and the answer, at least 0
    length : time steps of a sequence, more than `delay`
    loss : "bernoulli" or "squared_error"

    Raises `RnnsimError` for an option out of range.

    >>> task = SequenceRecognition(length=9)
    >>> batch = task.training_batch(seed=7, step=0, size=1)
    >>> "".join("abcd"[k] for k in batch.inputs[:, 0].argmax(axis=1)), batch.targets[:, 0, 0].astype(int).tolist()
    ('aababccac', [0, 0, 0, 1, 0, 1, 0, 0, 0])
    """

    name = "sequence-recognition"
    n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    target_names = ("a, then b",)
    tested_options = ({}, dict(distractors=0, delay=0, length=30, loss="squared_error"))

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
