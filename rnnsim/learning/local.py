"""Influence that stays within a unit: the truncated rule of 1997, SnAp-1, RFLO, e-prop, and RTRL of element-wise cells.

Parameter w acts on a pre-activation of unit j. Of its influence only the part on the k states of unit j is kept, the
eligibility traces of w, and goes through the unit's own part of the linearisation::

    ds_j(t)/dw ~ D_j ds_j(t-1)/dw + ds_j(t)/da(t) da(t)/dw               D_j (k, k)

`direct_jacobian` takes the direct derivative alone for D_j and drops what comes back through weights, also the unit's
own weight; `own_jacobian` adds the unit's weight to itself. Both cost one multiplication a parameter and state.

An element-wise cell (`Cell.carried`) carries on one state alone, and a unit's next one depends on no other unit's:
D_j is one number and the influence is exact. The time step may still mix units on their way to the outputs, so the
gradient of the new state goes back through the whole time step and multiplies the influence on the state before it.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed, jit_inline
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.simd import load, mask, store, width
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.learning.online.linearisation import times_jacobian
from rnnsim.learning.online.structure import runs_of

FEEDBACK = ("symmetric", "random")


class UnitMemory(NamedTuple):
    """Eligibility traces of one stream; with the stream as first axis where Python holds all of them."""

    traces: np.ndarray  # (k, P) influence of every parameter on the states of its unit
    feedback: np.ndarray  # (H, K) weights from the outputs' errors to the units; empty without random feedback
    jacobian: np.ndarray  # (k, k, H) D of every unit
    runs: np.ndarray  # see `rnnsim.learning.online.structure.runs_of`


class ElementWiseMemory(NamedTuple):
    """The exact influence of one stream of an element-wise cell."""

    traces: np.ndarray  # (2, P) influence on the carried state, before the time step and after it
    gradients: np.ndarray  # (2, k, H) gradient of the state after the time step and before it
    lists: np.ndarray  # the index of the carried state, then the runs


@jit_inline
def within_units(s):
    """The arrays of a `Storage` by their names."""
    return UnitMemory(s.first, s.second, s.stack, s.integers)


@jit_inline
def element_wise(s):
    """The arrays of a `Storage` by their names."""
    return ElementWiseMemory(s.first, s.stack, s.integers)


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
def advance_units(flow, m):
    """Carry the traces through one time step by the D in m.jacobian."""
    traces, d, runs, gain = m.traces, m.jacobian, m.runs, flow.linear.gain
    hidden, start = gain.shape[2], 0
    for r in range(0, runs.size, 3):
        end, unit, source = runs[r], runs[r + 1], flow.sources[runs[r + 2] :]
        g, j = unit // hidden, unit % hidden
        row = traces[0, start:end]
        if gain.shape[0] == 1:
            kept, moved = d[0, 0, j], gain[0, g, j]
            for i in range(0, row.size, width(row)):
                active = mask(row.size - i)
                store(row, i, active, load(row, i, active) * kept + load(source, i, active) * moved)
        else:
            other = traces[1, start:end]
            a, b, c, e = d[0, 0, j], d[0, 1, j], d[1, 0, j], d[1, 1, j]
            moved, shifted = gain[0, g, j], gain[1, g, j]
            for i in range(0, row.size, width(row)):
                active = mask(row.size - i)
                s, x, y = load(source, i, active), load(row, i, active), load(other, i, active)
                store(row, i, active, x * a + y * b + s * moved)
                store(other, i, active, x * c + y * e + s * shifted)
        start = end


@jit_borrowed
def advance_direct(flow, storage):
    """Carry the traces through one time step; nothing comes back through weights."""
    m = within_units(storage)
    direct_jacobian(m.jacobian, flow)
    advance_units(flow, m)


@jit_borrowed
def advance_own(flow, storage):
    """Carry the traces through one time step, with the weight of every unit to itself."""
    m = within_units(storage)
    own_jacobian(m.jacobian, flow)
    advance_units(flow, m)


@jit_borrowed
def add_scaled(y, x, factor):
    """y += factor x."""
    for i in range(0, y.size, width(y)):
        active = mask(y.size - i)
        store(y, i, active, load(y, i, active) + load(x, i, active) * factor)


@jit_borrowed
def add_credit(flow, m):
    """gradient += the trace of every parameter on its unit's output, times the unit's entry of flow.credit."""
    hidden, start = flow.credit.size, 0
    d = flow.gradient[flow.structure.first : flow.structure.first + m.traces.shape[1]]
    for r in range(0, m.runs.size, 3):
        end = m.runs[r]
        add_scaled(d[start:end], m.traces[0, start:end], flow.credit[m.runs[r + 1] % hidden])
        start = end


@jit_borrowed
def credit_units(flow, storage):
    """gradient += the traces times dE/dh."""
    add_credit(flow, within_units(storage))


@jit_borrowed
def credit_by_feedback(flow, storage):
    """gradient += the traces times B dE/dy, B the feedback weights; flow.credit is overwritten."""
    m = within_units(storage)
    for j in range(flow.credit.size):
        signal = m.feedback.dtype.type(0)
        for k in range(flow.error.size):
            signal += m.feedback[j, k] * flow.error[k]
        flow.credit[j] = signal
    add_credit(flow, m)


@jit_borrowed
def forget_units(flow, storage):
    """Clear the traces of the units that were set to their targets."""
    m = within_units(storage)
    hidden, start = flow.credit.size, 0
    for r in range(0, m.runs.size, 3):
        end = m.runs[r]
        if m.runs[r + 1] % hidden < flow.error.size:
            for i in range(start, end):
                m.traces[0, i] = 0
        start = end


@jit_borrowed
def advance_element_wise(flow, storage):
    """Carry the influence on the carried state through one time step, and keep that of the time step before."""
    m = element_wise(storage)
    runs, gain = m.lists[1:], flow.linear.gain
    carried, hidden, start = m.lists[0], gain.shape[2], 0
    for r in range(0, runs.size, 3):
        end, unit, source = runs[r], runs[r + 1], flow.sources[runs[r + 2] :]
        g, j = unit // hidden, unit % hidden
        old, new = m.traces[0, start:end], m.traces[1, start:end]
        kept, moved = flow.linear.direct[carried, carried, j], gain[carried, g, j]
        for i in range(0, new.size, width(new)):
            active = mask(new.size - i)
            before = load(new, i, active)
            store(old, i, active, before)
            store(new, i, active, before * kept + load(source, i, active) * moved)
        start = end


@jit_borrowed
def credit_element_wise(flow, storage):
    """gradient += dE/da (da/dw) + dE/ds(t-1) ds(t-1)/dw, both gradients taken back through the whole time step."""
    m = element_wise(storage)
    states, groups, hidden = flow.linear.gain.shape
    runs, carried, start = m.lists[1:], m.lists[0], 0
    new, old = m.gradients[0], m.gradients[1]
    for p in range(states):
        for j in range(hidden):
            new[p, j] = flow.credit[j] if p == 0 else 0
    units = flow.work[: groups * hidden]
    times_jacobian(old, units.reshape(groups, hidden), flow, new)
    d = flow.gradient[flow.structure.first : flow.structure.first + m.traces.shape[1]]
    for r in range(0, runs.size, 3):
        end, unit = runs[r], runs[r + 1]
        add_scaled(d[start:end], flow.sources[runs[r + 2] :], units[unit])
        add_scaled(d[start:end], m.traces[0, start:end], old[carried, unit % hidden])
        start = end


def unit_memory(structure, sizes, streams, feedback=None):
    """The `UnitMemory` of all streams; `feedback` (H, K) are the feedback weights, if there are any."""
    assert sizes.states <= 2, "cells have an output and at most one more state"
    k, dtype = sizes.states, sizes.dtype
    feedback = np.zeros((0, 0), dtype) if feedback is None else feedback.astype(dtype)
    return UnitMemory(
        traces=np.zeros((streams, k, sizes.parameters), dtype),
        feedback=np.repeat(feedback[None], streams, axis=0),
        jacobian=np.zeros((streams, k, k, sizes.hidden), dtype),
        runs=runs_of(structure),
    )


def element_wise_memory(carried, structure, sizes, streams):
    """The `ElementWiseMemory` of all streams; `carried` is the index of the carried state."""
    dtype = sizes.dtype
    return ElementWiseMemory(
        traces=np.zeros((streams, 2, sizes.parameters), dtype),
        gradients=np.zeros((streams, 2, sizes.states, sizes.hidden), dtype),
        lists=np.r_[carried, runs_of(structure)],
    )


def feedback_weights(net, seed):
    """Random weights (H, K) from the outputs' errors to the units, N(0, 1/H) like a fresh readout."""
    return np.random.default_rng(seed).normal(0, net.hidden**-0.5, (net.hidden, net.n_outputs))


class LocalRule(OnlineRule):
    """The base of RFLO and e-prop: direct traces, and a learning signal that reaches a unit through the feedback weights."""

    def __init__(self, every, feedback, feedback_seed):
        super().__init__(every)
        self.feedback = one_of("feedback", feedback, FEEDBACK)
        self.feedback_seed = at_least("feedback_seed", feedback_seed, 0)

    def memory(self, net, structure, sizes, streams):
        """A `UnitMemory` with feedback weights."""
        return unit_memory(structure, sizes, streams, feedback_weights(net, self.feedback_seed))

    def kernels(self, net, structure, sizes):
        """Kernels on a `UnitMemory`."""
        credit = credit_by_feedback if self.feedback == "random" else credit_units
        return advance_direct, credit, forget_units

    def clear(self, memory):
        """Clear the traces; the feedback weights stay."""
        memory.traces[...] = 0
