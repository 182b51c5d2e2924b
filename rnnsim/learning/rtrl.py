"""Real-time recurrent learning (Williams & Zipser 1989): the exact gradient, carried forward in time."""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.core.gemm import packed_shape, product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_inline, jit_parallel
from rnnsim.core.simd import broadcast, load, mask, reduce_add, store, width
from rnnsim.core.threads import get_threads
from rnnsim.learning import local, sparse
from rnnsim.learning.online.contract import ForcingRule
from rnnsim.learning.online.kernels import nothing
from rnnsim.learning.online.linearisation import fill_immediate, fill_jacobian
from rnnsim.learning.online.structure import carried_state, check_size

_BLOCK = 48  # rows of the influence that go through the product together, at least
_CACHED = 4096  # numbers of a block, at least: a copy of them stays in the first-level cache
_WIDE = 2_000_000  # multiply-adds of a time step that are worth the launch of a second thread


class RTRLMemory(NamedTuple):
    """The dense influence of one stream; with the stream as first axis where Python holds all of them.

    `immediate` and `chain` are empty unless recurrent inputs depend on gates.
    """

    influence: np.ndarray  # (P, k*H) ds/dw transposed, a row a parameter
    immediate: np.ndarray  # (G*H, k*H) ds'/da transposed
    chain: np.ndarray  # (G*H, k*H) da/ds
    jacobian: np.ndarray  # ds'/ds transposed and packed
    threads: np.ndarray  # (1) how many threads a wide influence uses


@jit_inline
def dense(s):
    """The arrays of a `Storage` by their names."""
    return RTRLMemory(s.first, s.second, s.third, s.stack, s.integers)


@jit_borrowed
def _add_immediate(influence, gain, structure, sources, lo, hi):
    """Rows lo..hi of the influence += ds'/da da/dw, for cells in which a pre-activation moves the states of its own unit only.

    The rows of one pre-activation are neighbours. Unsigned indices save the test for a negative index, which takes as
    long as the sum.
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
    """The same for cells in which it moves other units too; units (G*H, k*H) is ds'/da transposed."""
    for r in range(lo, hi):
        value = sources[structure.source[r]]
        if value == 0:
            continue
        row, change = influence[r], units[structure.unit[r]]
        for j in range(0, row.size, width(row)):
            active = mask(row.size - j)
            store(row, j, active, load(row, j, active) + load(change, j, active) * value)


@jit_exact
def _block(size):
    """Rows of the influence, of `size` numbers each, in one block: a multiple of 12, the rows of a tile."""
    return max(_BLOCK, _CACHED // size // 12 * 12)


@jit_exact
def _advance_rows(linear, structure, sources, m, lo, hi):
    """Rows lo..hi of the influence through one time step, block by block: copy a block, multiply the copy into its place."""
    influence = m.influence
    block = _block(influence.shape[1])
    old = np.empty((block, influence.shape[1]), influence.dtype)
    for start in range(lo, hi, block):
        end = min(hi, start + block)
        rows, kept = influence[start:end].reshape(-1), old[: end - start].reshape(-1)
        for i in range(rows.size):
            kept[i] = rows[i]
        product_packed(influence[start:end], old[: end - start], m.jacobian, False)
        if structure.gate_dependent:
            _add_immediate_rows(influence, m.immediate, structure, sources, start, end)
        else:
            _add_immediate(influence, linear.gain, structure, sources, start, end)


@jit_borrowed
def _prepare(flow, m):
    fill_jacobian(m.jacobian, flow, m.chain)
    if flow.structure.gate_dependent:
        fill_immediate(m.immediate, flow)


@jit_exact
def advance(flow, storage):
    """Carry the influence through one time step, on one thread."""
    m = dense(storage)
    _prepare(flow, m)
    _advance_rows(flow.linear, flow.structure, flow.sources, m, 0, m.influence.shape[0])


@jit_parallel
def _rows_parallel(linear, structure, sources, m, blocks, chunks):
    for chunk in numba.prange(chunks):
        lo, hi = blocks * chunk // chunks * _BLOCK, blocks * (chunk + 1) // chunks * _BLOCK
        _advance_rows(linear, structure, sources, m, lo, min(hi, m.influence.shape[0]))


@jit_exact
def advance_wide(flow, storage):
    """The same on all threads. The blocks of rows are the same, so the bits are."""
    m = dense(storage)
    _prepare(flow, m)
    blocks = (m.influence.shape[0] + _BLOCK - 1) // _BLOCK
    _rows_parallel(flow.linear, flow.structure, flow.sources, m, blocks, min(m.threads[0], blocks))


@jit_borrowed
def _credit_rows(d, influence, credit, lo, hi):
    """d (P) += influence (P, k*H) times credit (H), rows lo..hi."""
    for r in range(lo, hi):
        row = influence[r]
        sums = broadcast(row, 0.0)
        for j in range(0, credit.size, width(row)):
            active = mask(credit.size - j)
            sums = sums + load(row, j, active) * load(credit, j, active)
        d[r] += reduce_add(sums)


@jit_borrowed
def credit(flow, storage):
    """gradient += influence times dE/dh."""
    m = dense(storage)
    d = flow.gradient[flow.structure.first : flow.structure.first + m.influence.shape[0]]
    _credit_rows(d, m.influence, flow.credit, 0, d.size)


@jit_parallel
def _credits_parallel(d, influence, credit, chunks):
    for chunk in numba.prange(chunks):
        _credit_rows(d, influence, credit, d.size * chunk // chunks, d.size * (chunk + 1) // chunks)


@jit_exact
def credit_wide(flow, storage):
    """The same on all threads."""
    m = dense(storage)
    d = flow.gradient[flow.structure.first : flow.structure.first + m.influence.shape[0]]
    _credits_parallel(d, m.influence, flow.credit, m.threads[0])


@jit_borrowed
def forget(flow, storage):
    """Clear the influence on the units that were set to their targets."""
    influence = dense(storage).influence
    for r in range(influence.shape[0]):
        for k in range(flow.error.size):
            influence[r, k] = 0


def dense_memory(structure, sizes, streams):
    """The `RTRLMemory` of all streams, before the first time step."""
    size, units = sizes.states * sizes.hidden, sizes.groups * sizes.hidden
    gate_dependent = units if structure.gate_dependent else 0
    return RTRLMemory(
        influence=np.zeros((streams, sizes.parameters, size), sizes.dtype),
        immediate=np.zeros((streams, gate_dependent, size), sizes.dtype),
        chain=np.zeros((streams, gate_dependent, size), sizes.dtype),
        jacobian=np.zeros((streams, *packed_shape(size, size, sizes.dtype)), sizes.dtype),
        threads=np.array([get_threads()], np.int64),
    )


def dense_kernels(sizes):
    """advance, credit and forget of the dense influence; a large one uses all threads."""
    wide = sizes.parameters * (sizes.states * sizes.hidden) ** 2 > _WIDE and get_threads() > 1
    return (advance_wide, credit_wide, forget) if wide else (advance, credit, forget)


class RTRL(ForcingRule):
    """Real-time recurrent learning (R. J. Williams & D. Zipser, Neural Computation 1(2):270-280, 1989): the exact gradient.

    With the state s(t), the parameters w and the pre-activations a(t) of the cell, and P the influence::

        P(t) = ds(t)/dw = ds(t)/ds(t-1) P(t-1) + ds(t)/da(t) da(t)/dw
        dE(t)/dw = dE(t)/ds(t) P(t)

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units

    For a cell of k states, n units and p parameters the influence takes k n p numbers a stream, n^3 for a fully
    connected network, and a time step costs k^2 n^2 p multiply-adds, n^4; a large one uses all threads. A network
    with absent or frozen connections keeps only the entries that can differ from zero (`rnnsim.learning.sparse`), an
    element-wise cell (`elstm`) one number a parameter (`rnnsim.learning.local`); the gradient is exact in all cases.
    The rule is exact as long as weights do not change within a sequence.

    Raises `RnnsimError` for networks that online rules cannot serve (`rnnsim.learning.online.contract.OnlineRule`)
    and for an influence that does not fit into half of this machine's memory.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=RTRL(every=2), steps=3, batch=4, rng=1).steps
    3
    """

    name = "rtrl"

    def memory(self, net, structure, sizes, streams):
        """A `RTRLMemory`, `sparse.SparseMemory` or `local.ElementWiseMemory`, whichever is smallest for the network."""
        carried = carried_state(net)
        if carried is not None:
            return local.element_wise_memory(carried, structure, sizes, streams)
        if net.trainable is not None:
            return sparse.sparse_memory(sparse.pattern_of(net, structure, sizes), sizes, streams)
        return dense_memory(structure, sizes, streams)

    def kernels(self, net, structure, sizes):
        """Kernels on what `memory` returns."""
        if carried_state(net) is not None:
            return local.advance_element_wise, local.credit_element_wise, nothing
        return dense_kernels(sizes) if net.trainable is None else sparse.KERNELS

    def check_network(self, net, structure, sizes):
        """Raise `RnnsimError` for an influence that does not fit into half of this machine's memory."""
        if carried_state(net) is not None:
            return
        if net.trainable is None:
            check_size("rtrl", sizes.parameters, sizes.parameters * sizes.states * sizes.hidden, sizes)
        else:
            pattern = sparse.pattern_of(net, structure, sizes)
            check_size("rtrl", pattern.count, sparse.numbers(pattern, sizes), sizes)
