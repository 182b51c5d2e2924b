"""Influence that stays in its unit: what the truncated rule of 1997, SnAp-1, RFLO, e-prop and RTRL of element-wise cells share.

Parameter w acts on a pre-activation of unit j. Of its influence on all states only that on the states of unit j is kept, k
numbers, and goes through the unit's own part of the linearisation::

    ds_j(t)/dw ~ D_j ds_j(t-1)/dw + ds_j(t)/da(t) da(t)/dw               D_j (k, k)

`direct_jacobian` takes for D_j the direct derivative alone: what comes back through weights is dropped, also the unit's own.
`own_jacobian` adds the unit's weight to itself. Both cost one multiplication a parameter and state.

In an element-wise cell (`Cell.carried`) one state alone is carried on, and a unit's next one depends on no other unit's: D_j
is one number and the influence exact. The tick may still mix units on their way out, so the gradient of the new state is taken
back through the whole tick and met with the influence of the state before it.
"""

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.simd import load, mask, store, width
from rnnsim.learning.online.engine import Memory
from rnnsim.learning.online.linearisation import times_jacobian
from rnnsim.learning.online.streams import OnlineRule, runs_of

FEEDBACK = ("symmetric", "random")


@jit_borrowed
def direct_jacobian(d, flow):
    """d (k, k, H) <- the direct derivative of a unit's new states with respect to its old ones."""
    states, _, hidden = flow.linear.gain.shape
    for p in range(states):
        for q in range(states):
            for j in range(hidden):
                d[p, q, j] = flow.linear.direct[p, q, j]


@jit_borrowed
def own_jacobian(d, flow):
    """d (k, k, H) <- the derivative of a unit's new states with respect to its old ones, through its weight to itself as well."""
    linear = flow.linear
    states, groups, hidden = linear.gain.shape
    direct_jacobian(d, flow)
    for g in range(groups):
        place = flow.structure.recurrent[g]
        if place < 0:
            continue
        for j in range(hidden):
            weight = flow.theta[place + j * hidden + j]
            for q in range(states):
                for p in range(states):
                    d[p, q, j] += linear.gain[p, g, j] * weight * linear.recurrent_input_direct[g, q, j]


@jit_borrowed
def advance_units(flow, memory):
    """a (k, P), the influence of every parameter on the states of its unit, through D = panels (k, k, H)."""
    influence, d, runs, gain = memory.a, memory.panels, memory.whole, flow.linear.gain
    hidden, start = gain.shape[2], 0
    for r in range(0, runs.size, 3):
        end, unit, source = runs[r], runs[r + 1], flow.sources[runs[r + 2] :]
        g, j = unit // hidden, unit % hidden
        row = influence[0, start:end]
        if gain.shape[0] == 1:
            kept, moved = d[0, 0, j], gain[0, g, j]
            for i in range(0, row.size, width(row)):
                live = mask(row.size - i)
                store(row, i, live, load(row, i, live) * kept + load(source, i, live) * moved)
        else:
            other = influence[1, start:end]
            a, b, c, e = d[0, 0, j], d[0, 1, j], d[1, 0, j], d[1, 1, j]
            moved, shifted = gain[0, g, j], gain[1, g, j]
            for i in range(0, row.size, width(row)):
                live = mask(row.size - i)
                s, x, y = load(source, i, live), load(row, i, live), load(other, i, live)
                store(row, i, live, x * a + y * b + s * moved)
                store(other, i, live, x * c + y * e + s * shifted)
        start = end


@jit_borrowed
def advance_direct(flow, memory):
    """A tick of the influence without anything that comes back through weights."""
    direct_jacobian(memory.panels, flow)
    advance_units(flow, memory)


@jit_borrowed
def advance_own(flow, memory):
    """A tick of the influence with the weight of every unit to itself."""
    own_jacobian(memory.panels, flow)
    advance_units(flow, memory)


@jit_borrowed
def add_scaled(y, x, factor):
    """y += factor x."""
    for i in range(0, y.size, width(y)):
        live = mask(y.size - i)
        store(y, i, live, load(y, i, live) + load(x, i, live) * factor)


@jit_borrowed
def credit_units(flow, memory):
    """gradient += influence of every parameter on its unit's output, times that unit's dE/dh."""
    runs, hidden, start = memory.whole, flow.credit.size, 0
    d = flow.gradient[flow.structure.first : flow.structure.first + memory.a.shape[1]]
    for r in range(0, runs.size, 3):
        end = runs[r]
        add_scaled(d[start:end], memory.a[0, start:end], flow.credit[runs[r + 1] % hidden])
        start = end


@jit_borrowed
def credit_by_feedback(flow, memory):
    """The same with B (error), B = b (H, K), in place of dE/dh."""
    for j in range(flow.credit.size):
        signal = memory.b.dtype.type(0)
        for k in range(flow.error.size):
            signal += memory.b[j, k] * flow.error[k]
        flow.credit[j] = signal
    credit_units(flow, memory)


@jit_borrowed
def forget_units(flow, memory):
    """The units that were set to their targets depend on nothing."""
    runs, hidden, start = memory.whole, flow.credit.size, 0
    for r in range(0, runs.size, 3):
        end = runs[r]
        if runs[r + 1] % hidden < flow.error.size:
            for i in range(start, end):
                memory.a[0, i] = 0
        start = end


@jit_borrowed
def advance_element_wise(flow, memory):
    """a[1] (P), the influence on the one state that is carried on; a[0] keeps that of the tick before."""
    runs, gain = memory.whole[1:], flow.linear.gain
    carried, hidden, start = memory.whole[0], gain.shape[2], 0
    for r in range(0, runs.size, 3):
        end, unit, source = runs[r], runs[r + 1], flow.sources[runs[r + 2] :]
        g, j = unit // hidden, unit % hidden
        old, new = memory.a[0, start:end], memory.a[1, start:end]
        kept, moved = flow.linear.direct[carried, carried, j], gain[carried, g, j]
        for i in range(0, new.size, width(new)):
            live = mask(new.size - i)
            before = load(new, i, live)
            store(old, i, live, before)
            store(new, i, live, before * kept + load(source, i, live) * moved)
        start = end


@jit_borrowed
def credit_element_wise(flow, memory):
    """gradient += dE/da (da/dw) + dE/ds(t-1) ds(t-1)/dw, both gradients taken back through the whole tick."""
    states, groups, hidden = flow.linear.gain.shape
    runs, carried, start = memory.whole[1:], memory.whole[0], 0
    new, old = memory.panels[0], memory.panels[1]
    for p in range(states):
        for j in range(hidden):
            new[p, j] = flow.credit[j] if p == 0 else 0
    units = flow.work[: groups * hidden]
    times_jacobian(old, units.reshape(groups, hidden), flow, new)
    d = flow.gradient[flow.structure.first : flow.structure.first + memory.a.shape[1]]
    for r in range(0, runs.size, 3):
        end, unit = runs[r], runs[r + 1]
        add_scaled(d[start:end], flow.sources[runs[r + 2] :], units[unit])
        add_scaled(d[start:end], memory.a[0, start:end], old[carried, unit % hidden])
        start = end


def unit_memory(structure, shape, streams, feedback=None):
    """Memory of `advance_direct` and `advance_own`: a (k, P), panels (k, k, H); b (H, K) the feedback weights, if any."""
    assert shape.states <= 2, "cells have an output and at most one more state"
    k, n, dtype = shape.states, shape.hidden, shape.dtype
    b = np.zeros((0, 0), dtype) if feedback is None else feedback.astype(dtype)
    return Memory(
        np.zeros((streams, k, shape.parameters), dtype),
        np.repeat(b[None], streams, axis=0),
        np.zeros((streams, 0, 0), dtype),
        np.zeros((streams, k, k, n), dtype),
        runs_of(structure),
        np.zeros(1, dtype),
        None,
    )


def element_wise_memory(carried, structure, shape, streams):
    """Memory of `advance_element_wise`: a (2, P), panels (2, k, H); whole begins with the number of the carried state."""
    dtype = shape.dtype
    return Memory(
        np.zeros((streams, 2, shape.parameters), dtype),
        np.zeros((streams, 0, 0), dtype),
        np.zeros((streams, 0, 0), dtype),
        np.zeros((streams, 2, shape.states, shape.hidden), dtype),
        np.r_[carried, runs_of(structure)],
        np.zeros(1, dtype),
        None,
    )


def feedback_weights(net, seed):
    """Random weights (H, K) from the outputs' errors to the units, of the size that the readout begins with: N(0, 1/H)."""
    return np.random.default_rng(seed).normal(0, net.hidden**-0.5, (net.hidden, net.n_outputs))


class LocalRule(OnlineRule):
    """What RFLO and e-prop are: direct traces, and a learning signal that reaches a unit through B or the transposed readout."""

    def __init__(self, every, feedback, feedback_seed):
        super().__init__(every)
        self.feedback = one_of("feedback", feedback, FEEDBACK)
        self.feedback_seed = at_least("feedback_seed", feedback_seed, 0)

    def memory(self, net, structure, shape, streams):
        """See `unit_memory`."""
        return unit_memory(structure, shape, streams, feedback_weights(net, self.feedback_seed))

    def kernels(self, net, structure, shape):
        credit = credit_by_feedback if self.feedback == "random" else credit_units
        return advance_direct, credit, forget_units

    def clear(self, memory):
        """The traces as before the first tick; the feedback weights stay."""
        memory.a[...] = 0
