"""The Add task: a soft label that depends on two bits of the past."""

import itertools
import math

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import integer
from rnnsim.tasks.streams import StreamTask, entropy_of


def floors():
    """The optimal predictor's loss of the Add task, in nats a time step, by which of the two bits it remembers.

    >>> {name: round(value, 4) for name, value in floors().items()}
    {'none': 0.6616, 'first': 0.5192, 'second': 0.6277, 'both': 0.4545}
    """
    labels = {(one, two): 0.5 + one / 2 - two / 4 for one, two in itertools.product((0, 1), repeat=2)}
    known = {
        "none": lambda pair: (),
        "first": lambda pair: pair[0],
        "second": lambda pair: pair[1],
        "both": lambda pair: pair,
    }
    found = {}
    for name, seen in known.items():
        cases = {}
        for pair, label in labels.items():
            cases.setdefault(seen(pair), []).append(label)
        means = [math.fsum(labels) / len(labels) for labels in cases.values()]
        found[name] = math.fsum(entropy_of((mean, 1 - mean)) for mean in means) / len(means)
    return found


@jit_exact
def _draw(inputs, targets, key, time_step, t1, t2, hold):
    """inputs, targets (T, B, 2) from zeros; draw max(t1, t2) + i of a stream is bit i, also before the first time step."""
    past = max(t1, t2)
    for b in range(inputs.shape[1]):
        for t in range(inputs.shape[0]):
            i = past + (time_step + t) // hold
            x = integer(key, b, i, 2)
            inputs[t, b, 0] = x
            inputs[t, b, 1] = 1 - x
            y = 0.5 + 0.5 * integer(key, b, i - t1, 2) - 0.25 * integer(key, b, i - t2, 2)
            targets[t, b, 0] = y
            targets[t, b, 1] = 1 - y


class Add(StreamTask):
    """A soft label that depends on two bits of the past, one long ago and one longer ago, as a stream.

    A fair bit x_i arrives at every time step and is held for `hold` time steps. The label is the probability

        y_i = 1/2 + x_{i-t1} / 2 - x_{i-t2} / 4

    Inputs (steps, B, 2) float32: (x, 1 - x). Targets (steps, B, 2) float32: the distribution (y, 1 - y). The bits before the
    first time step exist, though the network has not seen them.

    Loss: softmax cross-entropy, in nats a time step. The optimal predictor's loss tells which of the two bits a network
    remembers (`floors`): .6616 nats for none, .5192 for x_{i-t1} alone, .6277 for x_{i-t2} alone and .4545 for both. So the loss
    shows how far back a rule has learned to look.
    Chance-level loss: .6616 nats, that of remembering neither bit: the entropy of the mean label 5/8.
    Criterion: none; compare the loss with `floors`.

    Source: Pitis 2016; Marschall, Cho & Savin 2020, JMLR 21. The published runs have (t1, t2) = (5, 9) with hold=1, or (2, 4)
    with hold=2.

    Parameters
    ----------
    t1, t2 : how many bits ago, at least 0 and different
    hold : time steps that a bit stays, at least 1
    steps : time steps of a batch, at least 1; the next batch continues the streams

    Raises `RnnsimError` for an option out of range.

    >>> task = Add(t1=1, t2=2, steps=50)
    >>> x, y = (task.training_batch(0, 0, 1).inputs[:, 0, 0], task.training_batch(0, 0, 1).targets[:, 0, 0])
    >>> bool((y[2:] == 0.5 + x[1:-1] / 2 - x[:-2] / 4).all())
    True
    """

    name = "add"
    n_inputs = 2
    n_outputs = 2
    loss = Loss("softmax", when="every", per="step", unit="nats")
    input_names = ("one", "zero")
    target_names = ("label", "rest")
    tested_options = ({}, dict(t1=0, t2=3, hold=2, steps=41))

    def __init__(self, t1: int = 5, t2: int = 9, hold: int = 1, steps: int = 100):
        self.t1, self.t2 = at_least("t1", t1, 0), at_least("t2", t2, 0)
        require(t1 != t2, f"t2={t2}: expected another value than t1")
        self.hold, self.steps = at_least("hold", hold, 1), at_least("steps", steps, 1)
        self.trivial_loss = floors()["none"]

    def stretch(self, key, time_step, size, state):
        inputs = np.zeros((self.steps, size, 2), np.float32)
        targets = np.zeros((self.steps, size, 2), np.float32)
        _draw(inputs, targets, key, time_step, self.t1, self.t2, self.hold)
        return Sequences(inputs, targets)

    def correct(self, outputs, batch):
        """None: a predicted probability is neither right nor wrong."""
        return None

    def error(self, outputs, batch):
        """(B,) float64: mean distance of the predicted probability from the label."""
        return np.abs(self.loss.predictions(outputs) - batch.targets)[..., 0].mean(axis=0, dtype=np.float64)

    def metrics(self, outputs, batch):
        """``{"error": (B,)}``"""
        return {"error": self.error(outputs, batch)}
