"""Real-time recurrent learning (Williams & Zipser 1989): the exact gradient, carried forward.

With the state s(t), the parameters w and the pre-activations a(t) of the cell::

    P(t) = ds(t)/dw = ds(t)/ds(t-1) P(t-1) + ds(t)/da(t) da(t)/dw                 influence
    dE(t)/dw = dE(t)/ds(t) P(t)

P holds (states) x (parameters) numbers once: n^3 for n fully connected units, and a tick costs n^4. It is kept as P transposed, a
row a parameter, so that the first term is one matrix product with the transposed Jacobian and the second adds to one
entry a state and row, or to a whole row where recurrent inputs depend on gates (a GRU that resets before the product).
"""

import numba
import numpy as np

from rnnsim.core.gemm import packed_shape, product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel, linked
from rnnsim.core.simd import broadcast, load, mask, reduce_add, store, width
from rnnsim.core.threads import get_threads
from rnnsim.learning import local, sparse
from rnnsim.learning.online.engine import Memory, nothing
from rnnsim.learning.online.linearisation import fill_immediate, fill_jacobian
from rnnsim.learning.online.streams import OnlineRule, carried_state, check_size

_BLOCK = (
    48  # least rows of the influence that are taken through the product together, and numbers from which on it is the
)
_CACHED = 4096  # least: they stay in the first-level cache, and are not read again before they are written
_WIDE = 2_000_000  # multiply-adds of a tick from which on a second thread is worth its launch


@jit_borrowed
def _add_immediate(influence, gain, structure, sources, lo, hi):
    """Rows lo..hi of the influence += ds'/da da/dw where a pre-activation moves the states of its own unit only.

    The rows that act on one pre-activation stand together. Indices without a sign save the test for counting from the end,
    which here takes as long as the sum.
    """
    states, _, hidden = gain.shape
    flat, size = influence.reshape(-1), influence.shape[1]
    r = lo
    while r < hi:
        u, end = structure.unit[r], r + 1
        while end < hi and structure.unit[end] == u:
            end += 1
        for p in range(states):
            slope = gain[p, u // hidden, u % hidden]
            if slope != 0:
                place = p * hidden + u % hidden
                for q in range(r, end):
                    flat[np.uint64(q * size + place)] += slope * sources[np.uint64(structure.source[q])]
        r = end


@jit_borrowed
def _add_immediate_rows(influence, units, structure, sources, lo, hi):
    """The same where it moves other units too, by units (G*H, k*H) = ds'/da transposed."""
    for r in range(lo, hi):
        value = sources[structure.source[r]]
        if value == 0:
            continue
        row, change = influence[r], units[structure.unit[r]]
        for j in range(0, row.size, width(row)):
            live = mask(row.size - j)
            store(row, j, live, load(row, j, live) + load(change, j, live) * value)


@jit_exact
def _block(size):
    """Rows of the influence, of `size` numbers each, that are taken together: a multiple of 12, the rows of a tile."""
    return max(_BLOCK, _CACHED // size // 12 * 12)


@jit_exact
def _advance_rows(linear, structure, sources, memory, lo, hi):
    """Rows lo..hi of the influence, a block at a time: copied out, and multiplied back in their place."""
    influence, units = memory.a, memory.b
    block = _block(influence.shape[1])
    old = np.empty((block, influence.shape[1]), influence.dtype)
    for start in range(lo, hi, block):
        end = min(hi, start + block)
        rows, kept = influence[start:end].reshape(-1), old[: end - start].reshape(-1)
        for i in range(rows.size):
            kept[i] = rows[i]
        product_packed(influence[start:end], old[: end - start], memory.panels, False)
        if structure.gate_dependent:
            _add_immediate_rows(influence, units, structure, sources, start, end)
        else:
            _add_immediate(influence, linear.gain, structure, sources, start, end)


_rows = linked(_advance_rows)


@jit_borrowed
def _prepare(flow, memory):
    fill_jacobian(memory.panels, flow, memory.c)
    if flow.structure.gate_dependent:
        fill_immediate(memory.b, flow)


@jit_exact
def advance(flow, memory):
    """Influence of a tick, on one thread."""
    _prepare(flow, memory)
    _rows(flow.linear, flow.structure, flow.sources, memory, 0, memory.a.shape[0])


@jit_parallel
def _rows_parallel(linear, structure, sources, memory, blocks, tasks):
    for task in numba.prange(tasks):
        lo, hi = blocks * task // tasks * _BLOCK, blocks * (task + 1) // tasks * _BLOCK
        _rows(linear, structure, sources, memory, lo, min(hi, memory.a.shape[0]))


@jit_exact
def advance_wide(flow, memory):
    """The same on all threads; the blocks of rows are the same, so the bits are."""
    _prepare(flow, memory)
    blocks = (memory.a.shape[0] + _BLOCK - 1) // _BLOCK
    _rows_parallel(flow.linear, flow.structure, flow.sources, memory, blocks, min(memory.whole[0], blocks))


@jit_borrowed
def _credit_rows(d, influence, credit, lo, hi):
    """d (P) += influence (P, k*H) times credit (H), rows lo..hi."""
    for r in range(lo, hi):
        row = influence[r]
        sums = broadcast(row, 0.0)
        for j in range(0, credit.size, width(row)):
            live = mask(credit.size - j)
            sums = sums + load(row, j, live) * load(credit, j, live)
        d[r] += reduce_add(sums)


_credits = linked(_credit_rows)


@jit_borrowed
def credit(flow, memory):
    """gradient += influence times dE/dh."""
    d = flow.gradient[flow.structure.first : flow.structure.first + memory.a.shape[0]]
    _credits(d, memory.a, flow.credit, 0, d.size)


@jit_parallel
def _credits_parallel(d, influence, credit, tasks):
    for task in numba.prange(tasks):
        _credits(d, influence, credit, d.size * task // tasks, d.size * (task + 1) // tasks)


@jit_exact
def credit_wide(flow, memory):
    """The same on all threads."""
    d = flow.gradient[flow.structure.first : flow.structure.first + memory.a.shape[0]]
    _credits_parallel(d, memory.a, flow.credit, memory.whole[0])


@jit_borrowed
def forget(flow, memory):
    """The units that were set to their targets depend on nothing."""
    for r in range(memory.a.shape[0]):
        for k in range(flow.error.size):
            memory.a[r, k] = 0


def dense_memory(structure, shape, streams):
    """a: the influence (P, k*H); b: ds'/da; c: da/ds; both only where recurrent inputs depend on gates."""
    size, units = shape.states * shape.hidden, shape.groups * shape.hidden
    gate_dependent = units if structure.gate_dependent else 0
    return Memory(
        np.zeros((streams, shape.parameters, size), shape.dtype),
        np.zeros((streams, gate_dependent, size), shape.dtype),
        np.zeros((streams, gate_dependent, size), shape.dtype),
        np.zeros((streams, *packed_shape(size, size, shape.dtype)), shape.dtype),
        np.array([get_threads()], np.int64),
        np.zeros(1, shape.dtype),
        None,
    )


def dense_kernels(shape):
    """advance, credit and forget of the dense influence; a large one takes all threads."""
    wide = shape.parameters * (shape.states * shape.hidden) ** 2 > _WIDE and get_threads() > 1
    return (advance_wide, credit_wide, forget) if wide else (advance, credit, forget)


class RTRL(OnlineRule):
    """Exact gradient, forward in time; equations at the top of the file.

    Options as in `OnlineRule`, and `force`: teacher forcing. Influence: k n (parameters of the cell) numbers a stream. A network
    with absent or frozen connections keeps only what can be different from zero (`rnnsim.learning.sparse`), an
    element-wise cell (`elstm`) one number a parameter (`rnnsim.learning.local`); the gradient is exact all the same.

    >>> from rnnsim.learning import RULES
    >>> RULES.build("rtrl", {"every": 1}).every
    1
    """

    name = "rtrl"
    forces = True

    def __init__(self, every: int = 0, force: bool = False):
        super().__init__(every)
        self.force = force

    def memory(self, net, structure, shape, streams):
        """As the kernels want it, by the network: dense, `sparse.memory` or `local.element_wise_memory`."""
        carried = carried_state(net)
        if carried is not None:
            return local.element_wise_memory(carried, structure, shape, streams)
        if net.trainable is not None:
            return sparse.memory(sparse.pattern_of(net, structure, shape), shape, streams)
        return dense_memory(structure, shape, streams)

    def kernels(self, net, structure, shape):
        if carried_state(net) is not None:
            return local.advance_element_wise, local.credit_element_wise, nothing
        return dense_kernels(shape) if net.trainable is None else sparse.KERNELS

    def check_network(self, net, structure, shape):
        """Refuses an influence that does not fit into half of this machine's memory."""
        if carried_state(net) is not None:
            return
        if net.trainable is None:
            check_size("rtrl", shape.parameters, shape.parameters * shape.states * shape.hidden, shape)
        else:
            pattern = sparse.pattern_of(net, structure, shape)
            check_size("rtrl", pattern.count, sparse.numbers(pattern, shape), shape)
