"""Unbiased online recurrent optimization (Tallec & Ollivier 2018)."""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed, jit_inline
from rnnsim.core.registry import require
from rnnsim.core.simd import load, mask, store, width
from rnnsim.learning.online.contract import ForcingRule
from rnnsim.learning.online.linearisation import jacobian_times, times_jacobian
from rnnsim.learning.online.structure import runs_of
from rnnsim.learning.stochastic import balance, fill_signs, square


class UOROMemory(NamedTuple):
    """The two vectors of one stream, and scratch; with the stream as first axis where Python holds all of them."""

    states: np.ndarray  # (k, H) s~
    parameters: np.ndarray  # (1, P) theta~
    immediate: np.ndarray  # (1, P) nu M
    scratch: np.ndarray  # (3, k, H) J s~, nu, and room for the product with M
    runs: np.ndarray  # see `rnnsim.learning.online.structure.runs_of`
    epsilon: np.ndarray  # (1)
    clock: np.ndarray | None = None


@jit_inline
def rank_one(s):
    """The arrays of a `Storage` by their names."""
    return UOROMemory(s.first, s.second, s.third, s.stack, s.integers, s.constants, s.clock)


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
    """now (P) <- units (G*H) (da/dw); runs: end, unit and first source of each run."""
    start = 0
    for k in range(0, runs.size, 3):
        end, value, source = runs[k], units[runs[k + 1]], flow.sources[runs[k + 2] :]
        row = now[start:end]
        for i in range(0, row.size, width(row)):
            active = mask(row.size - i)
            store(row, i, active, load(source, i, active) * value)
        start = end


@jit_borrowed
def mix(x, a, y, b):
    """x <- a x + b y."""
    for j in range(0, x.size, width(x)):
        active = mask(x.size - j)
        store(x, j, active, load(x, j, active) * a + load(y, j, active) * b)


@jit_borrowed
def advance(flow, storage):
    """Carry s~ and theta~ through one time step."""
    m = rank_one(storage)
    states, groups, hidden = flow.linear.gain.shape
    size, epsilon = states * hidden, m.epsilon[0]
    moved, signs, scratch = m.scratch[0], m.scratch[1], m.scratch[2]
    units = flow.work[: groups * hidden].reshape(groups, hidden)
    s, theta, now = m.states.reshape(size), m.parameters[0], m.immediate[0]
    one = theta.dtype.type(1)
    jacobian_times(moved, units, flow, m.states)
    fill_signs(signs.reshape(size), m.clock[0], m.clock[1])
    pull_units(units, scratch, flow, signs)
    pull_parameters(now, flow.work[: groups * hidden], flow, m.runs)
    p0 = balance(square(theta), square(moved.reshape(size)), epsilon)
    p1 = balance(square(now), theta.dtype.type(size), epsilon)
    # A product that is zero is dropped rather than divided by zero.
    q0 = one / p0 if p0 > 0 else p0
    q1 = one / p1 if p1 > 0 else p1
    for j in range(size):
        s[j] = p0 * moved.reshape(size)[j] + p1 * signs.reshape(size)[j]
    mix(theta, q0, now, q1)


@jit_borrowed
def credit(flow, storage):
    """gradient += (dE/dh s~) theta~."""
    m = rank_one(storage)
    d = flow.gradient[flow.structure.first : flow.structure.first + m.parameters.shape[1]]
    amount = d.dtype.type(0)
    for j in range(flow.credit.size):
        amount += flow.credit[j] * m.states[0, j]
    mix(d, d.dtype.type(1), m.parameters[0], amount)


@jit_borrowed
def forget(flow, storage):
    """Clear the influence on the units that were set to their targets."""
    m = rank_one(storage)
    for k in range(flow.error.size):
        m.states[0, k] = 0


class UORO(ForcingRule):
    """Unbiased online recurrent optimization (C. Tallec & Y. Ollivier, ICLR 2018, arXiv:1702.05043).

    The influence of all parameters w on all states s is kept as one product of two vectors, whose mean is the exact
    influence::

        ds(t)/dw ~ s~(t) theta~(t)                     s~ (states), theta~ (parameters)

        s~'     = p0 J s~ + p1 nu                      J = ds'/ds
        theta~' = theta~ / p0 + nu M / p1              M = ds'/dw through this time step alone; nu = +-1, new for every
                                                       state and time step
        p0 = sqrt(|theta~| / (|J s~| + e)) + e         p1 = sqrt(|nu M| / (|nu| + e)) + e

        dE(t)/dw = (dE(t)/ds(t) s~(t)) theta~(t)

    The products of nu with itself have mean one, those of different states mean zero, so the mean of s~' theta~' is J
    E[s~ theta~] + M. The paper's e = 1e-7 keeps the first time steps from dividing zero by zero; it does not change
    the mean.

    every     time steps between two updates; 0: one update a batch
    force     teacher forcing, for readout=units
    epsilon   e above; 0: products that are zero are dropped

    For a cell of k states, n units and p parameters a stream keeps k n + p numbers, and a time step costs about k n^2
    + p multiply-adds. Raises `RnnsimError` for networks that online rules cannot serve
    (`rnnsim.learning.online.contract.OnlineRule`) and for an epsilon out of range.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=UORO(), steps=3, batch=4, rng=1).steps
    3
    """

    name = "uoro"

    def __init__(self, every: int = 0, force: bool = False, epsilon: float = 1e-7):
        super().__init__(every, force)
        require(0 <= epsilon < 1, f"epsilon={epsilon:g}: expected a number of at least 0 and below 1")
        self.epsilon = epsilon

    def memory(self, net, structure, sizes, streams):
        """A `UOROMemory`."""
        return UOROMemory(
            states=np.zeros((streams, sizes.states, sizes.hidden), sizes.dtype),
            parameters=np.zeros((streams, 1, sizes.parameters), sizes.dtype),
            immediate=np.zeros((streams, 1, sizes.parameters), sizes.dtype),
            scratch=np.zeros((streams, 3, sizes.states, sizes.hidden), sizes.dtype),
            runs=runs_of(structure),
            epsilon=np.array([self.epsilon], sizes.dtype),
        )

    def kernels(self, net, structure, sizes):
        """Kernels on a `UOROMemory`."""
        return advance, credit, forget
