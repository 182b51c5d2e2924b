"""The exact hybrid of RTRL and back-propagation (Schmidhuber 1992), n times cheaper than RTRL."""

from typing import NamedTuple

import numpy as np

from rnnsim.core.gemm import prepare, product
from rnnsim.core.jit import jit_exact, jit_inline
from rnnsim.core.registry import at_least, require
from rnnsim.learning.online.contract import ForcingRule
from rnnsim.learning.online.structure import available_bytes, size_in_words

_COLUMNS = 64  # columns of the influence that are multiplied together: their copy stays in the second-level cache


class HybridMemory(NamedTuple):
    """The influence at the last border of one stream, and the block since; stream first where Python holds all of them.

    `layout` holds the length h of a block; per group the number of its sources, the place of their list and its first
    column of the influence; the first column of the peepholes; the place of the list of the column of each parameter;
    the lists.
    """

    influence: np.ndarray  # (k*H + 1, columns) ds/dw at the border; the last row is the gradient of the block's errors
    # (h + 2, H + 1) dE/dh after i time steps, whether units were set to their targets; last row: the count
    errors: np.ndarray
    time_steps: np.ndarray  # (h, numbers) the linearised time steps of the block, part after part, and their sources
    units: np.ndarray  # (k*H + 1, h, G*H) W
    layout: np.ndarray


@jit_inline
def block_of(s):
    """The arrays of a `Storage` by their names."""
    return HybridMemory(s.first, s.second, s.third, s.stack, s.integers)


# -- a time step ---------------------------------------------------------------------------------------------------------


@jit_exact
def advance(flow, storage):
    """Keep the linearised time step; a full block is finished first."""
    m = block_of(storage)
    last = m.errors.shape[0] - 1
    if m.errors[last, 0] == m.layout[0]:
        finish(flow, storage)
    slot = int(m.errors[last, 0])
    row, place, linear = m.time_steps[slot], 0, flow.linear
    for part in (linear.direct, linear.gain, linear.recurrent_input_direct, linear.recurrent_input_gain):
        flat = part.reshape(part.size)
        for i in range(flat.size):
            row[place + i] = flat[i]
        place += flat.size
    for i in range(flow.sources.size):
        row[place + i] = flow.sources[i]
    m.errors[last, 0] += 1


@jit_exact
def credit(flow, storage):
    """Keep dE/dh of the state after the time steps of the block so far."""
    m = block_of(storage)
    row = m.errors[int(m.errors[m.errors.shape[0] - 1, 0])]
    for j in range(flow.credit.size):
        row[j] += flow.credit[j]


@jit_exact
def forget(flow, storage):
    """Keep that the output units were set to their targets."""
    m = block_of(storage)
    m.errors[int(m.errors[m.errors.shape[0] - 1, 0]), flow.credit.size] = 1


# -- the end of a block ---------------------------------------------------------------------------------------------------------


@jit_exact
def back_one_time_step(before, after, w, products, kept, flow):
    """before (R, k*H) <- after (R, k*H) ds'/ds; w (R, G*H) <- after ds'/da; products (R, H) is overwritten."""
    states, groups, hidden = flow.linear.gain.shape
    sizes = (states * states * hidden, states * groups * hidden, groups * states * hidden, groups * groups * hidden)
    direct = kept[: sizes[0]].reshape(states, states, hidden)
    place = sizes[0]
    gain = kept[place : place + sizes[1]].reshape(states, groups, hidden)
    place += sizes[1]
    recurrent_input_direct = kept[place : place + sizes[2]].reshape(groups, states, hidden)
    place += sizes[2]
    recurrent_input_gain = kept[place : place + sizes[3]].reshape(groups, groups, hidden)
    rows = after.shape[0]
    for r in range(rows):
        for g in range(groups):
            for j in range(hidden):
                change = after.dtype.type(0)
                for p in range(states):
                    change += after[r, p * hidden + j] * gain[p, g, j]
                w[r, g * hidden + j] = change
        for q in range(states):
            for j in range(hidden):
                change = after.dtype.type(0)
                for p in range(states):
                    change += after[r, p * hidden + j] * direct[p, q, j]
                before[r, q * hidden + j] = change
    for g in range(groups - 1, -1, -1):
        start = flow.structure.recurrent[g]
        if start < 0:
            continue
        weights = flow.theta[start : start + hidden * hidden].reshape(hidden, hidden)
        product(products, w[:, g * hidden : (g + 1) * hidden], weights, False)
        for r in range(rows):
            for q in range(states):
                for j in range(hidden):
                    before[r, q * hidden + j] += products[r, j] * recurrent_input_direct[g, q, j]
            if flow.structure.gate_dependent:
                for e in range(g):
                    for j in range(hidden):
                        w[r, e * hidden + j] += products[r, j] * recurrent_input_gain[g, e, j]


@jit_exact
def carry(influence, v):
    """influence (R, N) <- v (R, k*H) influence[:k*H]; the last row, that of the errors, is only written."""
    size = v.shape[1]
    copy = np.empty((size, _COLUMNS), influence.dtype)
    for lo in range(0, influence.shape[1], _COLUMNS):
        hi = min(influence.shape[1], lo + _COLUMNS)
        for r in range(size):
            for c in range(hi - lo):
                copy[r, c] = influence[r, lo + c]
        product(influence[:, lo:hi], v, copy[:, : hi - lo], False)


@jit_exact
def add_direct(influence, w, time_steps, layout, first_source, flow):
    """influence (R, N) += sum over the time_steps (n, ...) of the block of w (R, n, G*H) times the sources."""
    _, groups, hidden = flow.linear.gain.shape
    n = time_steps.shape[0]
    for g in range(groups):
        width, start, base = layout[1 + g], layout[1 + groups + g], layout[1 + 2 * groups + g]
        sources = np.empty((n, width), influence.dtype)
        for t in range(n):
            for c in range(width):
                sources[t, c] = time_steps[t, first_source + layout[start + c]]
        for r in range(influence.shape[0]):
            block = influence[r, base : base + hidden * width].reshape(hidden, width)
            product(block, w[r, :n, g * hidden : (g + 1) * hidden].T, sources, True)
    base = layout[1 + 3 * groups]
    own = first_source + flow.sources.size - 1 - flow.structure.peephole_group.size * hidden
    for row in range(flow.structure.peephole_group.size):
        g = flow.structure.peephole_group[row]
        for r in range(influence.shape[0]):
            for t in range(n):
                for j in range(hidden):
                    place = row * hidden + j
                    influence[r, base + place] += w[r, t, g * hidden + j] * time_steps[t, own + place]


@jit_exact
def finish(flow, storage):
    """Finish the block: the influence at its end, and the gradient of its errors."""
    m = block_of(storage)
    border, last = m.errors, m.errors.shape[0] - 1
    n = int(border[last, 0])
    if n == 0:
        return
    states, groups, hidden = flow.linear.gain.shape
    size, layout, w = states * hidden, m.layout, m.units
    rows = size + 1
    after, before = np.zeros((rows, size), flow.theta.dtype), np.zeros((rows, size), flow.theta.dtype)
    products = np.zeros((rows, hidden), flow.theta.dtype)
    for p in range(size):
        after[p, p] = 1
    for i in range(n, -1, -1):
        if border[i, hidden] != 0:
            for r in range(rows):
                for k in range(flow.error.size):
                    after[r, k] = 0
        for j in range(hidden):
            after[size, j] += border[i, j]
        if i > 0:
            back_one_time_step(before, after, w[:, i - 1], products, m.time_steps[i - 1], flow)
            after, before = before, after
    carry(m.influence, after)
    add_direct(m.influence, w, m.time_steps[:n], layout, m.time_steps.shape[1] - flow.sources.size, flow)
    place = layout[2 + 3 * groups]
    for i in range(flow.structure.unit.size):
        flow.gradient[flow.structure.first + i] += m.influence[size, layout[place + i]]
    for i in range(n + 1):
        for j in range(hidden + 1):
            border[i, j] = 0
    border[last, 0] = 0


# -- the rule -------------------------------------------------------------------------------------------------------------------


def columns_of(structure, sizes):
    """(number of columns of the influence, `HybridMemory.layout` without its first entry).

    There is a column for every unit and source of a group, and one for every peephole. Biases that see the same units
    share one.
    """
    groups, hidden = sizes.groups, sizes.hidden
    own = sizes.sources - 1 - len(structure.peephole_group) * hidden
    lists, bases, base = [], [], 0
    for g in range(groups):
        sources = structure.source[structure.unit == g * hidden]
        ordinary = np.unique(sources[(sources < own) | (sources == sizes.sources - 1)])
        lists.append(ordinary)
        bases.append(base)
        base += hidden * len(ordinary)
    column = np.zeros(sizes.parameters, np.int64)
    for i, (unit, source) in enumerate(zip(structure.unit, structure.source)):
        if own <= source < sizes.sources - 1:
            column[i] = base + source - own
        else:
            g, j = divmod(unit, hidden)
            column[i] = bases[g] + j * len(lists[g]) + np.searchsorted(lists[g], source)
    widths = [len(part) for part in lists]
    starts = 3 + 3 * groups + np.cumsum([0, *widths])
    layout = np.concatenate([widths, starts[:-1], bases, [base, starts[-1]], *lists, column])
    return base + len(structure.peephole_group) * hidden, layout.astype(np.int64)


class Hybrid(ForcingRule):
    """The exact hybrid of RTRL and back-propagation (J. Schmidhuber, Neural Computation 4(2):243-248, 1992).

    Time is cut into blocks of h time steps. The influence P(t0) = ds(t0)/dw is carried at the borders of blocks only.
    Within a block the linearised time steps are kept, and one pass back from its end takes along a row of gradients
    for every state k, V_k = ds_k(t0+h)/ds(t), and one more for the errors E of the block, V_E = dE/ds(t)::

        V_k(t0+h) = e_k                           V_E(t) = (what comes from t+1) + dE(t)/ds(t)
        W(t) = V(t) ds(t)/da(t)                   V(t-1) = V(t) ds(t)/ds(t-1)        one matrix product a time step
        direct = sum over t of W(t) x (sources of t)

        P(t0+h)  = V(t0) P(t0) + direct           the rows of states
        dE/dw    = V_E(t0) P(t0) + direct_E       the row of errors

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units
    block   h; 0: as many time steps as there are units

    The gradient is the same for every h. For n units and h = n a time step costs about n^3 multiply-adds for each of
    the three products, against n^4 of RTRL; memory grows with h and not with the length of the sequence. A block ends
    early where the gradient is needed, at every update and at the end of a batch: with every=1 the rule is RTRL.

    Raises `RnnsimError` for networks that online rules cannot serve (`rnnsim.learning.online.contract.OnlineRule`)
    and where influence and block do not fit into half of this machine's memory.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=Hybrid(block=2), steps=3, batch=4, rng=1).steps
    3
    """

    name = "hybrid"

    def __init__(self, every: int = 0, force: bool = False, block: int = 0):
        super().__init__(every, force)
        self.block = at_least("block", block, 0)

    def _shapes(self, structure, sizes):
        """Shapes of the arrays of one stream, and the layout of the columns."""
        columns, layout = columns_of(structure, sizes)
        states, groups, hidden = sizes.states, sizes.groups, sizes.hidden
        block = self.block or hidden
        numbers = hidden * (states * states + 2 * states * groups + groups * groups) + sizes.sources
        rows = states * hidden + 1
        return (rows, columns), (block + 2, hidden + 1), (block, numbers), (rows, block, groups * hidden), layout

    def memory(self, net, structure, sizes, streams):
        """A `HybridMemory`."""
        prepare(sizes.dtype)
        *shapes, layout = self._shapes(structure, sizes)
        arrays = (np.zeros((streams, *shape), sizes.dtype) for shape in shapes)
        return HybridMemory(*arrays, np.array([self.block or sizes.hidden, *layout]))

    def check_network(self, net, structure, sizes):
        """Raise `RnnsimError` if influence and block do not fit into half of this machine's memory."""
        *shapes, _ = self._shapes(structure, sizes)
        need = sum(np.prod(shape, dtype=float) for shape in shapes) * sizes.dtype.itemsize
        require(
            need <= available_bytes() // 2,
            f"rule hybrid: the influence of {sizes.parameters:,} parameters on {sizes.states * sizes.hidden:,} states and a "
            f"block of {self.block or sizes.hidden} time steps take {size_in_words(need)} a sequence",
        )

    def kernels(self, net, structure, sizes):
        """Kernels on a `HybridMemory`."""
        return advance, credit, forget, finish
