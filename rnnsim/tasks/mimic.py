"""The Mimic task: learn what a fixed random network does."""

import functools

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least
from rnnsim.core.rng import integer, normal, stream_key
from rnnsim.core.vmath import tanh
from rnnsim.tasks.streams import StreamTask

_BEFORE = 30  # time steps before the first one: the target network has forgotten that it began at 0


@jit_exact
def _normals(values, key, part, scale):
    """values (n) <- scale times draws 0 .. n-1 of sequence `part`."""
    for i in range(values.size):
        values[i] = scale * normal(key, part, i)


@jit_exact
def _run(inputs, targets, states, key, time_step, w, v, b, u, c):
    """inputs (T, B, I), targets (T, B, K), states (B, n) float64; w, v, u transposed: row j holds the weights from source j.

    Sums take the sources in a fixed order, so the targets have the same bits with and without the compiler.
    """
    n, width = w.shape[0], v.shape[0]
    for s in range(states.shape[0]):
        for t in range(inputs.shape[0]):
            total = b.copy()
            for i in range(width):
                x = integer(key, s, (time_step + t) * width + i, 2)
                inputs[t, s, i] = x
                if x:
                    total += v[i]
            for j in range(n):
                total += w[j] * states[s, j]
            for j in range(n):
                states[s, j] = tanh(total[j])
            out = c.copy()
            for j in range(n):
                out += u[j] * states[s, j]
            targets[t, s] = out


def _orthogonal(a):
    """The orthogonal matrix from the columns of a, by Gram-Schmidt: its signs are the same on every machine."""
    q = a.copy()
    for j in range(len(q)):
        for _ in range(2):  # the second pass removes the rounding of the first
            for i in range(j):
                q[:, j] -= (q[:, i] * q[:, j]).sum() * q[:, i]
        q[:, j] /= np.sqrt((q[:, j] * q[:, j]).sum())
    return q


class Mimic(StreamTask):
    """Learn what a fixed random recurrent network, the target network, does with random bits, as a stream.

    The target network sees fair bits x, and its outputs are the targets:

        a(t) = tanh(W a(t-1) + V x(t) + b)          W random orthogonal, V ~ N(0, 1 / n_inputs), b ~ N(0, .1^2)
        y(t) = U a(t) + c                           U ~ N(0, 1 / hidden), c ~ N(0, .1^2)

    It depends on `target_seed` alone, not on the seed of the training; `weights` has its arrays. A network of the same kind and
    size can do the task exactly.

    Inputs (steps, B, inputs) float32 of 0 and 1, targets (steps, B, outputs) float32.

    Loss: squared error, summed over the outputs, averaged over time steps.
    Chance-level loss: the variance of the targets. It has no closed form; its first use measures it on 4000 streams of 50 time
    steps, to about half a percent.
    Criterion: none.

    Source: Marschall, Cho & Savin 2020, JMLR 21; all sizes are 32 in the published runs.

    Parameters
    ----------
    hidden, inputs, outputs : sizes of the target network, at least 1
    target_seed : seed of the weights of the target network, at least 0
    steps : time steps of a batch, at least 1; the next batch continues the streams

    Raises `RnnsimError` for an option out of range.

    >>> task = Mimic(hidden=4, inputs=3, outputs=2)
    >>> bool(np.allclose(task.weights["W"] @ task.weights["W"].T, np.eye(4)))
    True
    """

    name = "mimic"
    loss = Loss("squared_error", when="every", per="step")
    tested_options = ({}, dict(hidden=5, inputs=4, outputs=3, target_seed=2, steps=20))

    def __init__(self, hidden: int = 32, inputs: int = 32, outputs: int = 32, target_seed: int = 0, steps: int = 100):
        for name, value in (("hidden", hidden), ("inputs", inputs), ("outputs", outputs), ("steps", steps)):
            at_least(name, value, 1)
        self.n_inputs, self.n_outputs, self.steps = inputs, outputs, steps
        key = stream_key(at_least("target_seed", target_seed, 0), "mimic target")
        shapes = {
            "W": ((hidden, hidden), 1.0),
            "V": ((hidden, inputs), inputs**-0.5),
            "b": ((hidden,), 0.1),
            "U": ((outputs, hidden), hidden**-0.5),
            "c": ((outputs,), 0.1),
        }
        self.weights = {}
        for part, (name, (shape, scale)) in enumerate(shapes.items()):
            values = np.empty(shape)
            _normals(values.reshape(-1), key, part, scale)
            self.weights[name] = values
        self.weights["W"] = _orthogonal(self.weights["W"])
        self._parts = [np.ascontiguousarray(self.weights[name].T) for name in "WVbUc"]

    def begin(self, key, size):
        states = np.zeros((size, self.weights["W"].shape[0]))
        early = np.empty((_BEFORE, size, self.n_inputs), np.float32)
        # Time steps from 2^40 on, which no training reaches.
        _run(early, np.empty((_BEFORE, size, self.n_outputs), np.float32), states, key, 1 << 40, *self._parts)
        return (states,)

    def stretch(self, key, time_step, size, state):
        inputs = np.empty((self.steps, size, self.n_inputs), np.float32)
        targets = np.empty((self.steps, size, self.n_outputs), np.float32)
        _run(inputs, targets, *state, key, time_step, *self._parts)
        return Sequences(inputs, targets)

    @functools.cached_property
    def trivial_loss(self):
        """The variance of the targets, summed over the outputs, as measured on 4000 streams of 50 time steps."""
        size, time_steps = 4000, 50
        key = stream_key(0, "mimic variance")
        inputs = np.empty((time_steps, size, self.n_inputs), np.float32)
        targets = np.empty((time_steps, size, self.n_outputs), np.float32)
        _run(inputs, targets, *self.begin(key, size), key, 0, *self._parts)
        return float(targets.var(axis=(0, 1), dtype=np.float64).sum())
