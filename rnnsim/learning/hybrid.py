"""The exact hybrid of RTRL and back-propagation (J. Schmidhuber, Neural Computation 4(2):243-248, 1992), n times cheaper.

Time is cut into blocks of h ticks. The influence P(t0) = ds(t0)/dw is carried at the borders of blocks only. Within a block the
linearised ticks are kept, and at its end one walk back takes along a row of gradients for every state k, V_k = ds_k(t0+h)/ds(t),
and one more for the errors E of the block, V_E = dE/ds(t)::

    V_k(t0+h) = e_k                               V_E(t) = (what comes from t+1) + dE(t)/ds(t)
    W(t) = V(t) ds(t)/da(t)                       V(t-1) = V(t) ds(t)/ds(t-1)          one matrix product a tick for all rows
    direct = sum over t of W(t) x (sources of t)

    P(t0+h)  = V(t0) P(t0) + direct               the rows of states
    dE/dw    = V_E(t0) P(t0) + direct_E           the row of errors

For n units and h = n a tick costs about n^3 for each of the three products, against n^4 of RTRL; memory grows with h and
not with the length of the sequence. The gradient is the same for every h. A block ends early where the gradient is asked
for: at every update, and at the end of a batch. A rule that is asked at every tick is RTRL.
"""

import numpy as np

from rnnsim.core.gemm import prepare, product
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least, require
from rnnsim.learning.online.engine import Memory
from rnnsim.learning.online.streams import OnlineRule, available_bytes, size_in_words

_COLUMNS = 64  # of the influence that are multiplied together: their copy stays in the second-level cache


# -- a tick ---------------------------------------------------------------------------------------------------------------------


@jit_exact
def advance(flow, memory):
    """Keep the linearised tick; a block that is full ends first.

    c[i]: tick i of the block, parts one after the other; b[i]: gradient of the units after i ticks, and whether they were
    set to their targets; the last row of b holds the number of ticks.
    """
    last = memory.b.shape[0] - 1
    if memory.b[last, 0] == memory.whole[0]:
        finish(flow, memory)
    slot = int(memory.b[last, 0])
    row, place, linear = memory.c[slot], 0, flow.linear
    for part in (linear.direct, linear.gain, linear.recurrent_input_direct, linear.recurrent_input_gain):
        flat = part.reshape(part.size)
        for i in range(flat.size):
            row[place + i] = flat[i]
        place += flat.size
    for i in range(flow.sources.size):
        row[place + i] = flow.sources[i]
    memory.b[last, 0] += 1


@jit_exact
def credit(flow, memory):
    """Keep dE/dh of the state after so many ticks of the block."""
    row = memory.b[int(memory.b[memory.b.shape[0] - 1, 0])]
    for j in range(flow.credit.size):
        row[j] += flow.credit[j]


@jit_exact
def forget(flow, memory):
    """Keep that the units that are outputs were set to their targets."""
    memory.b[int(memory.b[memory.b.shape[0] - 1, 0]), flow.credit.size] = 1


# -- the end of a block ---------------------------------------------------------------------------------------------------------


@jit_exact
def back_one_tick(before, after, w, products, kept, flow):
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
    """influence (R, N) <- v (R, k*H) influence, whose last row, that of the errors, is only written."""
    size = v.shape[1]
    copy = np.empty((size, _COLUMNS), influence.dtype)
    for lo in range(0, influence.shape[1], _COLUMNS):
        hi = min(influence.shape[1], lo + _COLUMNS)
        for r in range(size):
            for c in range(hi - lo):
                copy[r, c] = influence[r, lo + c]
        product(influence[:, lo:hi], v, copy[:, : hi - lo], False)


@jit_exact
def add_direct(influence, w, ticks, whole, first_source, flow):
    """influence (R, N) += sum over the ticks (n, ...) of the block of w (R, n, G*H) times the sources."""
    _, groups, hidden = flow.linear.gain.shape
    n = ticks.shape[0]
    for g in range(groups):
        width, start, base = whole[1 + g], whole[1 + groups + g], whole[1 + 2 * groups + g]
        sources = np.empty((n, width), influence.dtype)
        for t in range(n):
            for c in range(width):
                sources[t, c] = ticks[t, first_source + whole[start + c]]
        for r in range(influence.shape[0]):
            block = influence[r, base : base + hidden * width].reshape(hidden, width)
            product(block, w[r, :n, g * hidden : (g + 1) * hidden].T, sources, True)
    base = whole[1 + 3 * groups]
    own = first_source + flow.sources.size - 1 - flow.structure.peephole_group.size * hidden
    for row in range(flow.structure.peephole_group.size):
        g = flow.structure.peephole_group[row]
        for r in range(influence.shape[0]):
            for t in range(n):
                for j in range(hidden):
                    place = row * hidden + j
                    influence[r, base + place] += w[r, t, g * hidden + j] * ticks[t, own + place]


@jit_exact
def finish(flow, memory):
    """End the block: influence at its end, gradient of its errors."""
    border, last = memory.b, memory.b.shape[0] - 1
    n = int(border[last, 0])
    if n == 0:
        return
    states, groups, hidden = flow.linear.gain.shape
    size, whole, w = states * hidden, memory.whole, memory.panels
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
            back_one_tick(before, after, w[:, i - 1], products, memory.c[i - 1], flow)
            after, before = before, after
    carry(memory.a, after)
    add_direct(memory.a, w, memory.c[:n], whole, memory.c.shape[1] - flow.sources.size, flow)
    place = whole[2 + 3 * groups]
    for i in range(flow.structure.unit.size):
        flow.gradient[flow.structure.first + i] += memory.a[size, whole[place + i]]
    for i in range(n + 1):
        for j in range(hidden + 1):
            border[i, j] = 0
    border[last, 0] = 0


# -- the rule -------------------------------------------------------------------------------------------------------------------


def columns_of(structure, shape):
    """(columns, where): the number of columns of the influence, and how they are laid out, whole numbers.

    For each group a column for every unit and source, and one for every peephole. Biases that see the same units share one.
    where: per group the number of its sources, the place of their list and its first column; first column of the peepholes;
    place of the list of the column of each parameter; the lists.
    """
    groups, hidden = shape.groups, shape.hidden
    own = shape.sources - 1 - len(structure.peephole_group) * hidden
    lists, bases, base = [], [], 0
    for g in range(groups):
        sources = structure.source[structure.unit == g * hidden]
        ordinary = np.unique(sources[(sources < own) | (sources == shape.sources - 1)])
        lists.append(ordinary)
        bases.append(base)
        base += hidden * len(ordinary)
    column = np.zeros(shape.parameters, np.int64)
    for i, (unit, source) in enumerate(zip(structure.unit, structure.source)):
        if own <= source < shape.sources - 1:
            column[i] = base + source - own
        else:
            g, j = divmod(unit, hidden)
            column[i] = bases[g] + j * len(lists[g]) + np.searchsorted(lists[g], source)
    widths = [len(part) for part in lists]
    starts = 3 + 3 * groups + np.cumsum([0, *widths])
    where = np.concatenate([widths, starts[:-1], bases, [base, starts[-1]], *lists, column])
    return base + len(structure.peephole_group) * hidden, where.astype(np.int64)


class Hybrid(OnlineRule):
    """Exact gradient in about n^3 a tick; equations at the top of the file.

    Options as in `OnlineRule`, `force`: teacher forcing, and

    block   ticks of a block; 0: as many as there are units

    >>> from rnnsim.learning import RULES
    >>> RULES.build("hybrid", {"block": 16}).block
    16
    """

    name = "hybrid"
    forces = True

    def __init__(self, every: int = 0, force: bool = False, block: int = 0):
        super().__init__(every)
        self.force = force
        self.block = at_least("block", block, 0)

    def _sizes(self, structure, shape):
        """Shapes of a, b, c and panels of one stream, and the layout of the columns."""
        columns, where = columns_of(structure, shape)
        states, groups, hidden = shape.states, shape.groups, shape.hidden
        block = self.block or hidden
        tick = hidden * (states * states + 2 * states * groups + groups * groups) + shape.sources
        rows = states * hidden + 1
        return (rows, columns), (block + 2, hidden + 1), (block, tick), (rows, block, groups * hidden), where

    def memory(self, net, structure, shape, streams):
        """a: the influence, and a row for the errors; b: what met the states of the block; c: its ticks; panels: W."""
        prepare(shape.dtype)
        *sizes, where = self._sizes(structure, shape)
        parts = (np.zeros((streams, *size), shape.dtype) for size in sizes)
        return Memory(*parts, np.array([self.block or shape.hidden, *where]), np.zeros(1, shape.dtype), None)

    def check_network(self, net, structure, shape):
        """Refuses an influence and a block that do not fit into half of this machine's memory."""
        *sizes, _ = self._sizes(structure, shape)
        need = sum(np.prod(size, dtype=float) for size in sizes) * shape.dtype.itemsize
        require(
            need <= available_bytes() // 2,
            f"rule hybrid: the influence of {shape.parameters:,} parameters on {shape.states * shape.hidden:,} states and a "
            f"block of {self.block or shape.hidden} ticks take {size_in_words(need)} a sequence",
        )

    def kernels(self, net, structure, shape):
        return advance, credit, forget, finish
