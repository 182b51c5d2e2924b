"""Decoupled neural interfaces: synthetic gradients (Jaderberg et al. 2017), for the fully recurrent network."""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_exact, jit_inline
from rnnsim.core.registry import at_least, require
from rnnsim.learning.kernl import require_fully_recurrent
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.learning.online.kernels import nothing

# Rows of `DNIMemory.kept`: v and q = dE/ds of the time step before; v, q, gain, direct and sources of this one; and two flags,
# whether this one and the one before are there.
_V_BEFORE, _Q_BEFORE, _V, _Q, _GAIN, _DIRECT, _SOURCES, _PRESENT = range(8)


class DNIMemory(NamedTuple):
    """The learned predictor of one stream and two time steps; with the stream as first axis where Python holds all of them."""

    predictors: np.ndarray  # (2*H + 1, H + K + 1) A, then C, then the age of C
    kept: np.ndarray  # (8, max(H + K + 1, sources)) the time step before and this one
    refresh: np.ndarray  # (1)
    rate: np.ndarray  # (1)


@jit_inline
def synthetic(s):
    """The arrays of a `Storage` by their names."""
    return DNIMemory(s.first, s.second, s.integers, s.constants)


@jit_exact
def finish(flow, storage):
    """Finish the time step that was kept: A learns, gradient += that of the time step."""
    m = synthetic(storage)
    kept = m.kept
    if kept[_PRESENT, 0] == 0:
        return
    hidden, length = flow.credit.size, m.predictors.shape[1]
    prediction, copy = m.predictors[:hidden], m.predictors[hidden : 2 * hidden]
    rate, refresh = m.rate[0], m.refresh[0]
    pushed, back = np.zeros(hidden, kept.dtype), np.zeros(hidden, kept.dtype)
    if kept[_PRESENT, 1] != 0:
        for j in range(hidden):
            pushed[j] = 0
            for c in range(length):
                pushed[j] += copy[j, c] * kept[_V, c]
            back[j] = kept[_Q_BEFORE, j] + pushed[j] * kept[_DIRECT, j]
        place = flow.structure.recurrent[0]
        weights = flow.theta[place : place + hidden * hidden].reshape(hidden, hidden)
        for j in range(hidden):
            share = pushed[j] * kept[_GAIN, j]
            for i in range(hidden):
                back[i] += share * weights[j, i]
        for j in range(hidden):
            error = -back[j]
            for c in range(length):
                error += prediction[j, c] * kept[_V_BEFORE, c]
            for c in range(length):
                prediction[j, c] -= rate * error * kept[_V_BEFORE, c]
        age = m.predictors[2 * hidden]
        age[0] += 1
        if age[0] >= refresh:
            age[0] = 0
            for j in range(hidden):
                for c in range(length):
                    copy[j, c] = prediction[j, c]
    for j in range(hidden):
        pushed[j] = 0
        for c in range(length):
            pushed[j] += prediction[j, c] * kept[_V, c]
        pushed[j] *= kept[_GAIN, j]
    d = flow.gradient[flow.structure.first : flow.structure.first + flow.structure.unit.size]
    for i in range(d.size):
        d[i] += pushed[flow.structure.unit[i]] * kept[_SOURCES, flow.structure.source[i]]
    for c in range(kept.shape[1]):
        kept[_V_BEFORE, c] = kept[_V, c]
        kept[_Q_BEFORE, c] = kept[_Q, c]
    kept[_PRESENT, 0], kept[_PRESENT, 1] = 0, 1


@jit_exact
def advance(flow, storage):
    """Finish the time step before, and keep this one."""
    finish(flow, storage)
    kept, hidden, outputs = synthetic(storage).kept, flow.credit.size, flow.error.size
    for j in range(hidden):
        kept[_V, j] = flow.linear.state[0, j]
        kept[_Q, j] = 0
        kept[_GAIN, j] = flow.linear.gain[0, 0, j]
        kept[_DIRECT, j] = flow.linear.direct[0, 0, j]
    for k in range(outputs):
        kept[_V, hidden + k] = flow.work[flow.work.size - outputs + k]
    kept[_V, hidden + outputs] = 1
    for i in range(flow.sources.size):
        kept[_SOURCES, i] = flow.sources[i]
    kept[_PRESENT, 0] = 1


@jit_exact
def credit(flow, storage):
    """Keep dE/dh."""
    kept = synthetic(storage).kept
    for j in range(flow.credit.size):
        kept[_Q, j] = flow.credit[j]


class DNI(OnlineRule):
    """Decoupled neural interfaces (M. Jaderberg et al., ICML 2017), online, for the fully recurrent network.

    The gradient of everything that is still to come is predicted from the state and the target of the time step, and
    the prediction is learned from itself one time step later (the form of O. Marschall, K. Cho & C. Savin, JMLR
    21(135), 2020)::

        v(t) = [s(t); y*(t); 1]                  y*: target of the time step, or 0 where the loss does not count
        dE(t and later)/ds(t) ~ A v(t)           dE/dw += (A v(t)) ds(t)/dw through this time step alone
        c(t-1) = dE(t-1)/ds(t-1) + (C v(t)) ds(t)/ds(t-1)
        A <- A - rate (A v(t-1) - c(t-1)) v(t-1)

    C is a copy of A, taken every `refresh` time steps. A starts at zero, so the first gradients are zero. It is
    learned over all sequences; the begin of a sequence clears the time step before only. The gradient of a time step
    is added when the next one begins or the batch ends.

    every     time steps between two updates; 0: one update a batch
    rate      learning rate of A
    refresh   time steps between two copies of A into C

    For n units, K outputs and p parameters a stream keeps 2 n (n + K + 1) numbers, and a time step costs about 4 n (n
    + K) + n^2 + p multiply-adds. Raises `RnnsimError` for every other cell, for input_delay=True, and for options out
    of range.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=DNI(rate=0.01), steps=3, batch=4, rng=1).steps
    3
    """

    name = "dni"
    cells = ("rnn",)
    remembers = True

    def __init__(self, every: int = 0, rate: float = 0.001, refresh: int = 5):
        super().__init__(every)
        require(rate >= 0, f"rate={rate:g}: expected a number of at least 0")
        self.rate, self.refresh = rate, at_least("refresh", refresh, 1)

    def check_network(self, net, structure, sizes):
        """Raise `RnnsimError` for other cells, and for a readout that sees the state before the time step."""
        require_fully_recurrent("dni", net)
        require(not structure.delayed, "rule dni: published for outputs of the new state, not for input_delay=True")

    def memory(self, net, structure, sizes, streams):
        """A `DNIMemory`."""
        length = sizes.hidden + net.n_outputs + 1
        return DNIMemory(
            predictors=np.zeros((streams, 2 * sizes.hidden + 1, length), sizes.dtype),
            kept=np.zeros((streams, 8, max(length, sizes.sources)), sizes.dtype),
            refresh=np.array([self.refresh], np.int64),
            rate=np.array([self.rate], sizes.dtype),
        )

    def clear(self, memory):
        """Clear the time steps; A and C stay."""
        memory.kept[...] = 0

    def kernels(self, net, structure, sizes):
        """Kernels on a `DNIMemory`."""
        return advance, credit, nothing, finish
