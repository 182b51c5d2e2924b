"""Unbiased online recurrent optimization (C. Tallec & Y. Ollivier, ICLR 2018, arXiv:1702.05043).

The influence of all parameters w on all states s is kept as one product of two vectors, whose mean is the exact influence::

    ds(t)/dw ~ s~(t) theta~(t)                     s~ (states), theta~ (parameters)

    s~'     = p0 J s~ + p1 nu                      J = ds'/ds
    theta~' = theta~ / p0 + nu M / p1              M = ds'/dw through this tick alone; nu = +-1, new for every state and tick
    p0 = sqrt(|theta~| / (|J s~| + e)) + e         p1 = sqrt(|nu M| / (|nu| + e)) + e

    dE(t)/dw = (dE(t)/ds(t) s~(t)) theta~(t)

The products of nu with itself have mean one, those of different states mean zero, so the mean of s~' theta~' is
J E[s~ theta~] + M. The paper's e = 1e-7 keeps the first ticks from dividing zero by zero; it does not touch the mean.
"""

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.registry import require
from rnnsim.core.simd import load, mask, store, width
from rnnsim.learning.online.engine import Memory
from rnnsim.learning.online.linearisation import jacobian_times, times_jacobian
from rnnsim.learning.online.streams import OnlineRule, runs_of
from rnnsim.learning.stochastic import balance, fill_signs, square


@jit_borrowed
def pull_units(units, scratch, flow, v):
    """units (G, H) <- v (ds'/da) for a gradient v (k, H) of the new state; scratch (k, H) is overwritten."""
    gain = flow.linear.gain
    if flow.structure.gate_dependent:
        times_jacobian(scratch, units, flow, v)
        return
    for g in range(gain.shape[1]):
        for j in range(gain.shape[2]):
            change = v.dtype.type(0)
            for p in range(gain.shape[0]):
                change += v[p, j] * gain[p, g, j]
            units[g, j] = change


@jit_borrowed
def pull_parameters(now, units, flow, runs):
    """now (P) <- units (G*H) (da/dw); runs: for each stretch of neighbours of one unit its end, unit and first source."""
    start = 0
    for k in range(0, runs.size, 3):
        end, value, source = runs[k], units[runs[k + 1]], flow.sources[runs[k + 2] :]
        row = now[start:end]
        for i in range(0, row.size, width(row)):
            live = mask(row.size - i)
            store(row, i, live, load(source, i, live) * value)
        start = end


@jit_borrowed
def mix(x, a, y, b):
    """x <- a x + b y."""
    for j in range(0, x.size, width(x)):
        live = mask(x.size - j)
        store(x, j, live, load(x, j, live) * a + load(y, j, live) * b)


@jit_borrowed
def advance(flow, memory):
    """s~ (a) and theta~ (b) through one tick; c: M met with nu; panels: J s~, nu, scratch."""
    states, groups, hidden = flow.linear.gain.shape
    size, epsilon = states * hidden, memory.numbers[0]
    moved, signs, scratch = memory.panels[0], memory.panels[1], memory.panels[2]
    units = flow.work[: groups * hidden].reshape(groups, hidden)
    s, theta, now = memory.a.reshape(size), memory.b[0], memory.c[0]
    one = theta.dtype.type(1)
    jacobian_times(moved, units, flow, memory.a)
    fill_signs(signs.reshape(size), memory.clock[0], memory.clock[1])
    pull_units(units, scratch, flow, signs)
    pull_parameters(now, flow.work[: groups * hidden], flow, memory.whole)
    p0 = balance(square(theta), square(moved.reshape(size)), epsilon)
    p1 = balance(square(now), theta.dtype.type(size), epsilon)
    # A product that is zero is dropped rather than divided by zero.
    q0 = one / p0 if p0 > 0 else p0
    q1 = one / p1 if p1 > 0 else p1
    for j in range(size):
        s[j] = p0 * moved.reshape(size)[j] + p1 * signs.reshape(size)[j]
    mix(theta, q0, now, q1)


@jit_borrowed
def credit(flow, memory):
    """gradient += (dE/dh s~) theta~."""
    d = flow.gradient[flow.structure.first : flow.structure.first + memory.b.shape[1]]
    amount = d.dtype.type(0)
    for j in range(flow.credit.size):
        amount += flow.credit[j] * memory.a[0, j]
    mix(d, d.dtype.type(1), memory.b[0], amount)


@jit_borrowed
def forget(flow, memory):
    """The units that were set to their targets depend on nothing."""
    for k in range(flow.error.size):
        memory.a[0, k] = 0


class UORO(OnlineRule):
    """Unbiased influence of rank one; equations at the top of the file.

    Options as in `OnlineRule`, `force`: teacher forcing, and

    epsilon   e above; 0: products that are zero are dropped

    >>> from rnnsim.learning import RULES
    >>> RULES.build("uoro").epsilon
    1e-07
    """

    name = "uoro"
    forces = True

    def __init__(self, every: int = 0, force: bool = False, epsilon: float = 1e-7):
        super().__init__(every)
        self.force = force
        require(0 <= epsilon < 1, f"epsilon={epsilon:g}: expected a number of at least 0 and below 1")
        self.epsilon = epsilon

    def memory(self, net, structure, shape, streams):
        """a: s~ (k, H); b: theta~ (1, P); c and panels: scratch."""
        return Memory(
            np.zeros((streams, shape.states, shape.hidden), shape.dtype),
            np.zeros((streams, 1, shape.parameters), shape.dtype),
            np.zeros((streams, 1, shape.parameters), shape.dtype),
            np.zeros((streams, 3, shape.states, shape.hidden), shape.dtype),
            runs_of(structure),
            np.array([self.epsilon], shape.dtype),
            None,
        )

    def kernels(self, net, structure, shape):
        return advance, credit, forget
