"""Influence that holds only the entries that can differ from zero: sparse RTRL and SnAp-n.

The influence of a parameter that acts on pre-activation a_u is kept on the units R(u), ascending. For RTRL these are
all units that a_u can ever reach, the exact pattern of a masked network; for SnAp-n those that it reaches within n
time steps, and what the exact product would give outside of R(u) is dropped (Menick et al., ICLR 2021)::

    P'[R, w] = (ds'/ds)[R, R] P[R, w] + (ds'/da_u)[R] (da_u/dw)

All trained parameters of a_u share R(u): their influence is a block (k |R|, parameters), which the rows of the
Jacobian multiply along a list of the connections that exist. Frozen and absent parameters have no influence.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed, jit_exact, jit_inline
from rnnsim.core.simd import load, mask, store, width
from rnnsim.learning.online.linearisation import fill_immediate, fill_jacobian


class Pattern(NamedTuple):
    """The entries of the influence that are kept; U pre-activations have trained parameters."""

    unit: np.ndarray  # (U) their indices g*H + j
    parameters: list  # U arrays: which parameters of the cell act on them
    units: list  # U arrays: R(u)
    # (H, H) bool: [j, i] whether unit i can move unit j within a time step; a unit always moves itself
    feeds: np.ndarray

    @property
    def count(self):
        """Number of trained parameters."""
        return sum(len(parameters) for parameters in self.parameters)

    @property
    def full(self):
        """Whether every trained parameter is kept on every unit."""
        return all(len(units) == len(self.feeds) for units in self.units)


def pattern_of(net, structure, sizes, time_steps=None):
    """The `Pattern` of the units that each parameter reaches within so many time steps; None: ever."""
    (cell,) = net.cells.values()
    hidden, first_parameter = sizes.hidden, structure.first
    trained = np.ones(len(net.theta), bool) if net.trainable is None else net.trainable
    trained = trained[first_parameter : first_parameter + sizes.parameters]
    # A weight that is frozen at zero passes nothing on; one that is frozen at another value does.
    passing = trained | (net.theta[first_parameter : first_parameter + sizes.parameters] != 0)
    weights = {}
    for g in range(sizes.groups):
        if structure.recurrent[g] >= 0:
            start = structure.recurrent[g] - first_parameter
            weights[g] = passing[start : start + hidden * hidden].reshape(hidden, hidden)
    # Groups whose recurrent input depends on an earlier pre-activation: a time step from a random state shows them.
    rng = np.random.default_rng(0)
    state = rng.uniform(0.1, 0.9, (sizes.states, hidden)).astype(sizes.dtype)
    linear = cell.linearise(rng.normal(size=cell.n_inputs).astype(sizes.dtype), state)
    dependent = [
        [bool((linear.recurrent_input_gain[g, e] != 0).any()) for e in range(sizes.groups)] for g in range(sizes.groups)
    ]
    at_once = np.repeat(np.eye(hidden, dtype=bool)[None], sizes.groups, axis=0)  # [e, j, i]: a_e of unit i moves unit j
    for g in range(sizes.groups - 1, -1, -1):
        for e in range(g):
            if dependent[g][e] and g in weights:
                at_once[e] |= at_once[g] @ weights[g]
    feeds = np.eye(hidden, dtype=bool)
    for g, block in weights.items():
        feeds |= at_once[g] @ block
    indices, parameters, units = [], [], []
    for u in np.unique(structure.unit[trained]):
        reached = at_once[u // hidden][:, u % hidden]
        for _ in range((time_steps or hidden + 1) - 1):
            more = feeds[:, reached].any(axis=1)
            if (more == reached).all():
                break
            reached = more
        indices.append(u)
        parameters.append(np.flatnonzero((structure.unit == u) & trained))
        units.append(np.flatnonzero(reached))
    return Pattern(np.array(indices, np.int64), parameters, units, feeds)


class SparseMemory(NamedTuple):
    """The sparse influence of one stream, and the lists that say where its entries are."""

    blocks: np.ndarray  # (1, numbers) the blocks of influence, one after the other
    immediate: np.ndarray  # (G*H, k*H) ds'/da transposed
    chain: np.ndarray  # (G*H, k*H) da/ds
    jacobian: np.ndarray  # (1, k*H, k*H) ds'/ds transposed
    # The head: U, places of the rows and columns of the Jacobian's pattern, largest block, most parameters; then `_HEAD`
    # integers for each of the U pre-activations; then the lists.
    lists: np.ndarray


@jit_inline
def sparse(s):
    """The arrays of a `Storage` by their names."""
    return SparseMemory(s.first, s.second, s.third, s.stack, s.integers)


# Integers of a pre-activation: its index, its parameters, its entries; places of three lists and of its block
_HEAD = 7


@jit_borrowed
def gather(values, flow, start, lists):
    """values <- the sources of the parameters of one pre-activation."""
    first_parameter = lists[start + 3]
    for i in range(lists[start + 1]):
        values[i] = flow.sources[flow.structure.source[lists[first_parameter + i]]]


@jit_borrowed
def advance_block(block, old, seen, factors, places, start, m):
    """One block (entries * count) through a time step; old <- the block before it. The sum of a row stays in registers.

    seen: the sources of its parameters; factors, places: scratch for the row's part of the Jacobian and the rows of
    `old`.
    """
    lists, jacobian, immediate = m.lists, m.jacobian[0], m.immediate
    rows, columns = lists[1], lists[2]
    unit, count, entries = lists[start], lists[start + 1], lists[start + 2]
    kept, local = lists[start + 4], lists[start + 5]
    for i in range(entries * count):
        old[i] = block[i]
    for x in range(entries):
        new, terms = lists[kept + x], 0
        for c in range(lists[rows + new], lists[rows + new + 1]):
            column = lists[columns + c]
            y = lists[local + column]
            if y >= 0:
                factors[terms], places[terms] = jacobian[column, new], y * count
                terms += 1
        slope = immediate[unit, new]
        for i in range(0, count, width(block)):
            active = mask(count - i)
            sums = load(seen, i, active) * slope
            for k in range(terms):
                sums = sums + load(old, places[k] + i, active) * factors[k]
            store(block, x * count + i, active, sums)


@jit_exact
def advance(flow, storage):
    """Carry all blocks of the influence through one time step."""
    m = sparse(storage)
    lists, size, dtype = m.lists, m.jacobian.shape[1], m.blocks.dtype
    fill_jacobian(m.jacobian, flow, m.chain)
    fill_immediate(m.immediate, flow)
    old, seen = np.empty(lists[3], dtype), np.empty(lists[4], dtype)
    factors, places = np.empty(size, dtype), np.empty(size, np.int64)
    for n in range(lists[0]):
        start = 5 + n * _HEAD
        gather(seen, flow, start, lists)
        place = lists[start + 6]
        block = m.blocks[0, place : place + lists[start + 1] * lists[start + 2]]
        advance_block(block, old, seen, factors, places, start, m)


@jit_exact
def credit(flow, storage):
    """gradient += the influence on the units' outputs, times dE/dh."""
    m = sparse(storage)
    lists, hidden = m.lists, flow.credit.size
    d = flow.gradient[flow.structure.first :]
    for n in range(lists[0]):
        start = 5 + n * _HEAD
        count, entries = lists[start + 1], lists[start + 2]
        parameters, kept, place = lists[lists[start + 3] :], lists[lists[start + 4] :], lists[start + 6]
        block = m.blocks[0, place : place + entries * count].reshape(entries, count)
        for x in range(entries):
            if kept[x] < hidden:
                signal = flow.credit[kept[x]]
                for i in range(count):
                    d[parameters[i]] += block[x, i] * signal


@jit_exact
def forget(flow, storage):
    """Clear the influence on the units that were set to their targets."""
    m = sparse(storage)
    lists = m.lists
    for n in range(lists[0]):
        start = 5 + n * _HEAD
        count, entries = lists[start + 1], lists[start + 2]
        kept, place = lists[lists[start + 4] :], lists[start + 6]
        for x in range(entries):
            if kept[x] < flow.error.size:
                for i in range(place + x * count, place + (x + 1) * count):
                    m.blocks[0, i] = 0


KERNELS = (advance, credit, forget)


def sparse_memory(pattern, sizes, streams):
    """The `SparseMemory` of all streams, before the first time step."""
    size, units = sizes.states * sizes.hidden, sizes.groups * sizes.hidden
    head = np.zeros(5 + len(pattern.unit) * _HEAD, np.int64)
    lists, end = [], len(head)

    def keep(values):
        nonlocal end
        lists.append(np.asarray(values, np.int64))
        end += len(values)
        return end - len(values)

    feeds = np.tile(pattern.feeds, (sizes.states, sizes.states))  # [new, old]
    new, old = np.nonzero(feeds)
    head[0] = len(pattern.unit)
    head[1] = keep(np.searchsorted(new, np.arange(size + 1)))
    head[2] = keep(old)
    place = 0
    for n, (unit, parameters, reached) in enumerate(zip(pattern.unit, pattern.parameters, pattern.units)):
        kept = (np.arange(sizes.states)[:, None] * sizes.hidden + reached).ravel()
        local = np.full(size, -1)
        local[kept] = np.arange(len(kept))
        lists_of = keep(parameters), keep(kept), keep(local)
        head[5 + n * _HEAD : 5 + (n + 1) * _HEAD] = (unit, len(parameters), len(kept), *lists_of, place)
        place += len(parameters) * len(kept)
        head[3] = max(head[3], len(parameters) * len(kept))
        head[4] = max(head[4], len(parameters))
    dtype = sizes.dtype
    return SparseMemory(
        blocks=np.zeros((streams, 1, place), dtype),
        immediate=np.zeros((streams, units, size), dtype),
        chain=np.zeros((streams, units, size), dtype),
        jacobian=np.zeros((streams, 1, size, size), dtype),
        lists=np.concatenate([head, *lists]),
    )


def numbers(pattern, sizes):
    """Numbers of influence that a stream keeps."""
    return sum(len(p) * len(r) * sizes.states for p, r in zip(pattern.parameters, pattern.units))
