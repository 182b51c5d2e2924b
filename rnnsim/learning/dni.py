"""Decoupled neural interfaces (M. Jaderberg et al., ICML 2017), online, for the fully recurrent network.

The gradient of all that is still to come is predicted from the state and the target of the tick, and the prediction is
learned from itself one tick later (the form of O. Marschall, K. Cho & C. Savin, JMLR 21(135), 2020)::

    v(t) = [s(t); y*(t); 1]                  y*: target of the tick, or 0 where nothing counts
    dE(t and later)/ds(t) ~ A v(t)           dE/dw += (A v(t)) ds(t)/dw through this tick alone, at every tick
    c(t-1) = dE(t-1)/ds(t-1) + (C v(t)) ds(t)/ds(t-1)
    A <- A - rate (A v(t-1) - c(t-1)) v(t-1)

C is a copy of A, made anew every `refresh` ticks. A starts at zero, so the first gradients are zero. It is learned over
all sequences; the begin of a sequence only forgets the tick before. The gradient of a tick is added when the next begins or
the batch ends.
"""

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least, require
from rnnsim.learning.kernl import require_fully_recurrent
from rnnsim.learning.online.engine import Memory, nothing
from rnnsim.learning.online.streams import OnlineRule

# Rows of memory.c: v and q = dE/ds of the tick before; of this tick v, q, gain, direct, sources; and what is there of them.
_V_BEFORE, _Q_BEFORE, _V, _Q, _GAIN, _DIRECT, _SOURCES, _THERE = range(8)


@jit_exact
def settle(flow, memory):
    """The tick that was kept: A learns, and its gradient is added."""
    kept = memory.c
    if kept[_THERE, 0] == 0:
        return
    hidden, length = flow.credit.size, memory.a.shape[1]
    prediction, copy = memory.a[:hidden], memory.a[hidden : 2 * hidden]
    rate, refresh = memory.numbers[0], memory.whole[0]
    pushed, back = np.zeros(hidden, kept.dtype), np.zeros(hidden, kept.dtype)
    if kept[_THERE, 1] != 0:
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
        # The age of the copy stands in the last row.
        age = memory.a[2 * hidden]
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
    kept[_THERE, 0], kept[_THERE, 1] = 0, 1


@jit_exact
def advance(flow, memory):
    """Settle the tick before, and keep this one."""
    settle(flow, memory)
    kept, hidden, outputs = memory.c, flow.credit.size, flow.error.size
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
    kept[_THERE, 0] = 1


@jit_exact
def credit(flow, memory):
    """Keep dE/dh."""
    for j in range(flow.credit.size):
        memory.c[_Q, j] = flow.credit[j]


class DNI(OnlineRule):
    """Synthetic gradients; equations at the top of the file.

    Options as in `OnlineRule`, and

    rate      learning rate of A
    refresh   ticks after which C is A again

    >>> from rnnsim.learning import RULES
    >>> RULES.build("dni").refresh
    5
    """

    name = "dni"
    cells = ("rnn",)
    remembers = True

    def __init__(self, every: int = 0, rate: float = 0.001, refresh: int = 5):
        super().__init__(every)
        require(rate >= 0, f"rate={rate:g}: expected a number of at least 0")
        self.rate, self.refresh = rate, at_least("refresh", refresh, 1)

    def check_network(self, net, structure, shape):
        """Refuses other cells, and a readout that shows the state before the tick."""
        require_fully_recurrent("dni", net)
        require(not structure.delayed, "rule dni: published for outputs of the new state, not for input_delay=True")

    def memory(self, net, structure, shape, streams):
        """a: A, C and the age of C; c: the tick before and this one."""
        length = shape.hidden + net.n_outputs + 1
        return Memory(
            np.zeros((streams, 2 * shape.hidden + 1, length), shape.dtype),
            np.zeros((streams, 1, 1), shape.dtype),
            np.zeros((streams, 8, max(length, shape.sources)), shape.dtype),
            np.zeros((streams, 1, 1, 1), shape.dtype),
            np.array([self.refresh], np.int64),
            np.array([self.rate], shape.dtype),
            None,
        )

    def clear(self, memory):
        """What was learned, A and C, stays."""
        memory.c[...] = 0

    def kernels(self, net, structure, shape):
        return advance, credit, nothing, settle
