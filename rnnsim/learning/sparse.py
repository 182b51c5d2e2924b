"""Influence that holds only what can be different from zero: sparse RTRL and SnAp-n.

The influence of a parameter that acts on pre-activation a_u is kept on the units R(u), ascending. For RTRL these are all units
that can ever feel a_u, the exact pattern of a masked network; for SnAp-n those that feel it within n ticks, and what the exact
product would give outside of R(u) is dropped (Menick et al., ICLR 2021)::

    P'[R, w] = (ds'/ds)[R, R] P[R, w] + (ds'/da_u)[R] (da_u/dw)

All parameters of a_u that are trained share R(u): their influence is a block (k |R|, parameters), through which the rows of the
Jacobian go by the list of the connections that exist. Frozen and absent parameters have no influence.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed, jit_exact
from rnnsim.core.simd import load, mask, store, width
from rnnsim.learning.online.engine import Memory
from rnnsim.learning.online.linearisation import fill_immediate, fill_jacobian


class Pattern(NamedTuple):
    """Which entries of the influence are kept; U pre-activations with trained parameters."""

    unit: np.ndarray  # (U) their numbers g*H + j
    parameters: list  # U arrays: which parameters of the cell act on them
    units: list  # U arrays: R(u)
    feeds: np.ndarray  # (H, H) bool: whether unit i can move unit j within a tick, [j, i]; a unit always moves itself

    @property
    def count(self):
        """The trained parameters."""
        return sum(len(parameters) for parameters in self.parameters)

    @property
    def full(self):
        """Whether every trained parameter is kept on every unit."""
        return all(len(units) == len(self.feeds) for units in self.units)


def pattern_of(net, structure, shape, ticks=None):
    """The `Pattern` of what can be reached within so many ticks, or ever."""
    (cell,) = net.cells.values()
    hidden, first_parameter = shape.hidden, structure.first
    trained = np.ones(len(net.theta), bool) if net.trainable is None else net.trainable
    trained = trained[first_parameter : first_parameter + shape.parameters]
    # What is held at zero leads nowhere; a weight that is frozen at another value does.
    alive = trained | (net.theta[first_parameter : first_parameter + shape.parameters] != 0)
    weights = {}
    for g in range(shape.groups):
        if structure.recurrent[g] >= 0:
            start = structure.recurrent[g] - first_parameter
            weights[g] = alive[start : start + hidden * hidden].reshape(hidden, hidden)
    # Groups whose recurrent input depends on an earlier pre-activation: a tick in the middle of things shows which.
    rng = np.random.default_rng(0)
    state = rng.uniform(0.1, 0.9, (shape.states, hidden)).astype(shape.dtype)
    tick = cell.linearise(rng.normal(size=cell.n_inputs).astype(shape.dtype), state)
    dependent = [
        [bool((tick.recurrent_input_gain[g, e] != 0).any()) for e in range(shape.groups)] for g in range(shape.groups)
    ]
    at_once = np.repeat(np.eye(hidden, dtype=bool)[None], shape.groups, axis=0)  # [e, j, i]: a_e of unit i moves unit j
    for g in range(shape.groups - 1, -1, -1):
        for e in range(g):
            if dependent[g][e] and g in weights:
                at_once[e] |= at_once[g] @ weights[g]
    feeds = np.eye(hidden, dtype=bool)
    for g, block in weights.items():
        feeds |= at_once[g] @ block
    number, parameters, units = [], [], []
    for u in np.unique(structure.unit[trained]):
        reached = at_once[u // hidden][:, u % hidden]
        for _ in range((ticks or hidden + 1) - 1):
            more = feeds[:, reached].any(axis=1)
            if (more == reached).all():
                break
            reached = more
        number.append(u)
        parameters.append(np.flatnonzero((structure.unit == u) & trained))
        units.append(np.flatnonzero(reached))
    return Pattern(np.array(number, np.int64), parameters, units, feeds)


_HEAD = 7  # whole numbers a pre-activation: its number, its parameters, its entries, and where the lists and the block begin


@jit_borrowed
def gather(seen, flow, start, whole):
    """seen <- the sources of the parameters of one pre-activation."""
    first_parameter = whole[start + 3]
    for i in range(whole[start + 1]):
        seen[i] = flow.sources[flow.structure.source[whole[first_parameter + i]]]


@jit_borrowed
def advance_block(block, old, seen, factors, places, start, memory):
    """One block (entries * count) through a tick; old is what it was. A row is summed up in registers.

    factors and places: scratch for the row's part of the Jacobian and where in `old` its rows begin.
    """
    whole, jacobian, immediate = memory.whole, memory.panels[0], memory.b
    rows, columns = whole[1], whole[2]
    unit, count, entries = whole[start], whole[start + 1], whole[start + 2]
    kept, local = whole[start + 4], whole[start + 5]
    for i in range(entries * count):
        old[i] = block[i]
    for x in range(entries):
        new, terms = whole[kept + x], 0
        for c in range(whole[rows + new], whole[rows + new + 1]):
            column = whole[columns + c]
            y = whole[local + column]
            if y >= 0:
                factors[terms], places[terms] = jacobian[column, new], y * count
                terms += 1
        slope = immediate[unit, new]
        for i in range(0, count, width(block)):
            live = mask(count - i)
            sums = load(seen, i, live) * slope
            for k in range(terms):
                sums = sums + load(old, places[k] + i, live) * factors[k]
            store(block, x * count + i, live, sums)


@jit_exact
def advance(flow, memory):
    """All blocks of the influence through one tick."""
    whole, size = memory.whole, memory.panels.shape[1]
    fill_jacobian(memory.panels, flow, memory.c)
    fill_immediate(memory.b, flow)
    old, seen = np.empty(whole[3], memory.a.dtype), np.empty(whole[4], memory.a.dtype)
    factors, places = np.empty(size, memory.a.dtype), np.empty(size, np.int64)
    for n in range(whole[0]):
        start = 5 + n * _HEAD
        gather(seen, flow, start, whole)
        place = whole[start + 6]
        block = memory.a[0, place : place + whole[start + 1] * whole[start + 2]]
        advance_block(block, old, seen, factors, places, start, memory)


@jit_exact
def credit(flow, memory):
    """gradient += the influence on the units' outputs, times dE/dh."""
    head, hidden = memory.whole, flow.credit.size
    d = flow.gradient[flow.structure.first :]
    for n in range(head[0]):
        start = 5 + n * _HEAD
        count, entries = head[start + 1], head[start + 2]
        parameters, kept, place = head[head[start + 3] :], head[head[start + 4] :], head[start + 6]
        block = memory.a[0, place : place + entries * count].reshape(entries, count)
        for x in range(entries):
            if kept[x] < hidden:
                signal = flow.credit[kept[x]]
                for i in range(count):
                    d[parameters[i]] += block[x, i] * signal


@jit_exact
def forget(flow, memory):
    """The units that were set to their targets depend on nothing."""
    head = memory.whole
    for n in range(head[0]):
        start = 5 + n * _HEAD
        count, entries = head[start + 1], head[start + 2]
        kept, place = head[head[start + 4] :], head[start + 6]
        for x in range(entries):
            if kept[x] < flow.error.size:
                for i in range(place + x * count, place + (x + 1) * count):
                    memory.a[0, i] = 0


KERNELS = (advance, credit, forget)


def memory(pattern, shape, streams):
    """a (1, numbers): the blocks, one after the other; b: ds'/da; c: da/ds; panels: ds'/ds; whole: the lists."""
    size, units = shape.states * shape.hidden, shape.groups * shape.hidden
    head = np.zeros(5 + len(pattern.unit) * _HEAD, np.int64)
    lists, end = [], len(head)

    def keep(values):
        nonlocal end
        lists.append(np.asarray(values, np.int64))
        end += len(values)
        return end - len(values)

    feeds = np.tile(pattern.feeds, (shape.states, shape.states))  # [new, old]
    new, old = np.nonzero(feeds)
    head[0] = len(pattern.unit)
    head[1] = keep(np.searchsorted(new, np.arange(size + 1)))
    head[2] = keep(old)
    place = 0
    for n, (unit, parameters, reached) in enumerate(zip(pattern.unit, pattern.parameters, pattern.units)):
        kept = (np.arange(shape.states)[:, None] * shape.hidden + reached).ravel()
        local = np.full(size, -1)
        local[kept] = np.arange(len(kept))
        lists_of = keep(parameters), keep(kept), keep(local)
        head[5 + n * _HEAD : 5 + (n + 1) * _HEAD] = (unit, len(parameters), len(kept), *lists_of, place)
        place += len(parameters) * len(kept)
        head[3] = max(head[3], len(parameters) * len(kept))
        head[4] = max(head[4], len(parameters))
    dtype = shape.dtype
    return Memory(
        np.zeros((streams, 1, place), dtype),
        np.zeros((streams, units, size), dtype),
        np.zeros((streams, units, size), dtype),
        np.zeros((streams, 1, size, size), dtype),
        np.concatenate([head, *lists]),
        np.zeros(1, dtype),
        None,
    )


def numbers(pattern, shape):
    """How many numbers of influence a stream keeps."""
    return sum(len(p) * len(r) * shape.states for p, r in zip(pattern.parameters, pattern.units))
