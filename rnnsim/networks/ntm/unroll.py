"""The kernels that take a neural Turing machine through a batch of sequences, forward and backward.

Arrays are flat over (time step, sequence), as `rnnsim.networks.ntm.tape` says: sequence b of time step t is row t B + b, its
state before is slot t B + b, its state after slot (t + 1) B + b. A sequence that has ended keeps the controller's state
and the reads; its memory and weightings are left alone.
"""

import numba

from rnnsim.cells.sequence import add_row, clear_row, copy_row, ended
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_parallel, linked
from rnnsim.core.vmath import tanh
from rnnsim.networks.ntm.addressing import (
    Head,
    HeadGradient,
    Memory,
    Scratch,
    address_backward,
    address_forward,
    inverse_norms,
)
from rnnsim.networks.ntm.controller import gates_backward, gates_forward
from rnnsim.networks.ntm.emission import Emitted, emit_backward, emit_forward
from rnnsim.networks.ntm.memory import (
    add_rows,
    add_rows_backward,
    erase_rows,
    erase_rows_backward,
    read_backward,
    read_forward,
)

_address_forward, _address_backward = linked(address_forward), linked(address_backward)
_emit_forward, _emit_backward = linked(emit_forward), linked(emit_backward)

# -- the parts of the tape that one head sees -----------------------------------------------------------------------------------


@jit_borrowed
def head_at(tape, head, row, before, after):
    """The Head of one row; `before` and `after` are the slots of its state."""
    return Head(
        tape.key[row, head],
        tape.address[row, head],
        tape.weights[before, head],
        tape.similarity[row, head],
        tape.content[row, head],
        tape.shifted[row, head],
        tape.weights[after, head],
    )


@jit_borrowed
def memory_at(tape, slot):
    """The Memory of one slot."""
    return Memory(tape.memory[slot], tape.inverse_norms[slot], tape.padding, tape.n_rows, tape.norm_floor)


@jit_borrowed
def scratch_of(scratch, b):
    """The Scratch of one sequence."""
    return Scratch(scratch.unit[b], scratch.ring[b], scratch.d_ring[b], scratch.row[b], scratch.raw[b])


@jit_borrowed
def emitted_of(x):
    """What a tape or a state gradient has of what heads emit."""
    return Emitted(x.key, x.address, x.erase, x.add)


@jit_borrowed
def head_gradient(d, b, head):
    """The HeadGradient of one sequence."""
    return HeadGradient(d.key[b, head], d.address[b, head], d.weights[b, head])


# -- the heads of one row, at one time step -------------------------------------------------------------------------------------


@jit_borrowed
def read(tape, scratch, b, row, before, after, seen):
    """All read heads find their places in the memory of slot `seen` and read it."""
    memory, work, size = memory_at(tape, seen), scratch_of(scratch, b), tape.columns
    for k in range(tape.read_heads):
        _address_forward(head_at(tape, k, row, before, after), memory, work)
        read_forward(tape.reads[after, k * size : (k + 1) * size], memory.contents, tape.weights[after, k])


@jit_borrowed
def read_back(tape, scratch, d, b, row, before, after, seen):
    """Back through all read heads: adds to the gradient of the memory of slot `seen`."""
    memory, work, size = memory_at(tape, seen), scratch_of(scratch, b), tape.columns
    for k in range(tape.read_heads):
        d_vector = d.reads[b, k * size : (k + 1) * size]
        read_backward(d.memory[b], d.weights[b, k], d_vector, memory.contents, tape.weights[after, k])
        _address_backward(d.memory[b], head_gradient(d, b, k), head_at(tape, k, row, before, after), memory, work)


@jit_borrowed
def write(tape, scratch, b, row, before, after):
    """All write heads find their places in the memory of slot `before`; all erase, then all add."""
    memory, work, new = memory_at(tape, before), scratch_of(scratch, b), tape.memory[after]
    for k in range(tape.erase.shape[1]):
        head = tape.read_heads + k
        _address_forward(head_at(tape, head, row, before, after), memory, work)
        old = memory.contents if k == 0 else new
        erase_rows(new, old, tape.weights[after, head], tape.erase[row, k])
    for k in range(tape.add.shape[1]):
        add_rows(new, tape.weights[after, tape.read_heads + k], tape.add[row, k])
    inverse_norms(tape.inverse_norms[after], new, tape.norm_floor)


@jit_borrowed
def write_back(tape, scratch, d, b, row, before, after):
    """Back through all write heads: the gradient of the memory goes from slot `after` to slot `before`."""
    memory, work = memory_at(tape, before), scratch_of(scratch, b)
    first, heads = tape.read_heads, tape.weights.shape[1]
    for k in range(heads - first):
        w = tape.weights[after, first + k]
        add_rows_backward(d.weights[b, first + k], d.add[b, k], d.memory[b], w, tape.add[row, k])
        if k < heads - first - 1:
            old = memory.contents if k == 0 else d.between[b, k - 1]
            erase_rows(d.between[b, k], old, w, tape.erase[row, k])
    for k in range(heads - first - 1, -1, -1):
        w, d_w = tape.weights[after, first + k], d.weights[b, first + k]
        old = memory.contents if k == 0 else d.between[b, k - 1]
        erase_rows_backward(d.memory[b], d_w, d.erase[b, k], old, w, tape.erase[row, k])
    for k in range(first, heads):
        _address_backward(d.memory[b], head_gradient(d, b, k), head_at(tape, k, row, before, after), memory, work)


_read, _read_back = linked(read), linked(read_back)
_write, _write_back = linked(write), linked(write_back)


# -- the controller -----------------------------------------------------------------------------------------------------------


@jit_borrowed
def _tanh_layer(h, z, bias):
    """h (H) <- tanh(z + bias)."""
    for j in range(h.size):
        h[j] = tanh(z[j] + bias[j])


@jit_borrowed
def _tanh_layer_backward(d_h, z, h):
    """z (H) <- the gradient of the pre-activations; d_h (H) <- 0."""
    for j in range(h.size):
        z[j] = d_h[j] * (1 - h[j] * h[j])
        d_h[j] = 0


@jit_borrowed
def _controller(tape, weights, t, lo, hi):
    """The layers at time step t for sequences lo..hi, and the linear part of what heads emit."""
    now, old, new = t * tape.batch, t * tape.batch, (t + 1) * tape.batch
    layers = tape.h.shape[0]
    for layer in range(layers):
        z = tape.z[layer, now + lo : now + hi]
        if layer == 0:
            product_packed(z, tape.x[now + lo : now + hi], weights.input, False)
        else:
            product_packed(z, tape.h[layer - 1, new + lo : new + hi], weights.above[layer - 1], False)
        if tape.lstm:
            product_packed(z, tape.h[layer, old + lo : old + hi], weights.recurrent[layer], True)
        for b in range(lo, hi):
            if ended(tape.lengths, b, t):
                continue
            h, bias = tape.h[layer, new + b], weights.bias[layer]
            if tape.lstm:
                c, c_before = tape.c[layer, new + b], tape.c[layer, old + b]
                gates_forward(h, c, z[b - lo], c_before, bias)
            else:
                _tanh_layer(h, z[b - lo], bias)
    product_packed(tape.raw[now + lo : now + hi], tape.h[layers - 1, new + lo : new + hi], weights.heads, False)


@jit_borrowed
def _controller_backward(tape, d, weights, t, lo, hi):
    """Back from the gradient of raw: z becomes its gradient; d.h, d.c and d.reads go to the time step before."""
    now, old, new = t * tape.batch, t * tape.batch, (t + 1) * tape.batch
    layers = tape.h.shape[0]
    product_packed(d.h[layers - 1, lo:hi], tape.raw[now + lo : now + hi], weights.heads, True)
    for layer in range(layers - 1, -1, -1):
        z = tape.z[layer, now + lo : now + hi]
        for b in range(lo, hi):
            if ended(tape.lengths, b, t):
                clear_row(z[b - lo])
            elif tape.lstm:
                c, c_before = tape.c[layer, new + b], tape.c[layer, old + b]
                gates_backward(d.h[layer, b], d.c[layer, b], z[b - lo], c, c_before)
            else:
                _tanh_layer_backward(d.h[layer, b], z[b - lo], tape.h[layer, new + b])
        if tape.lstm:
            product_packed(d.h[layer, lo:hi], z, weights.recurrent[layer], True)
        if layer > 0:
            product_packed(d.h[layer - 1, lo:hi], z, weights.above[layer - 1], True)
        else:
            product_packed(d.reads[lo:hi], z, weights.reads, False)


# -- all time steps of sequences lo..hi -----------------------------------------------------------------------------------------


@jit_borrowed
def _keep(tape, row, before, after):
    """A sequence that has ended: the controller's state and the reads stay."""
    for layer in range(tape.h.shape[0]):
        copy_row(tape.h[layer, after], tape.h[layer, before])
        if tape.lstm:
            copy_row(tape.c[layer, after], tape.c[layer, before])
    copy_row(tape.reads[after], tape.reads[before])
    clear_row(tape.features[row])


@jit_borrowed
def forward(tape, scratch, weights, lo, hi):
    """All time steps of sequences lo..hi; slot 0 holds the initial state."""
    batch, hidden, top = tape.batch, tape.h.shape[2], tape.h.shape[0] - 1
    for b in range(lo, hi):
        inverse_norms(tape.inverse_norms[b], tape.memory[b], tape.norm_floor)
    for t in range(tape.x.shape[0] // batch):
        for b in range(lo, hi):
            row, before, after = t * batch + b, t * batch + b, (t + 1) * batch + b
            copy_row(tape.x[row, tape.inputs :], tape.reads[before])
            if ended(tape.lengths, b, t):
                _keep(tape, row, before, after)
        _controller(tape, weights, t, lo, hi)
        for b in range(lo, hi):
            if ended(tape.lengths, b, t):
                continue
            row, before, after = t * batch + b, t * batch + b, (t + 1) * batch + b
            _emit_forward(emitted_of(tape), row, tape.raw[row], weights.bias_heads, tape.clip, scratch.raw[b])
            if tape.read_first:
                _read(tape, scratch, b, row, before, after, before)
            _write(tape, scratch, b, row, before, after)
            if not tape.read_first:
                _read(tape, scratch, b, row, before, after, after)
            copy_row(tape.features[row, :hidden], tape.h[top, after])
            copy_row(tape.features[row, hidden:], tape.reads[after])


@jit_borrowed
def backward(tape, scratch, d, d_features, weights, lo, hi):
    """All time steps of sequences lo..hi backward: z and raw become gradients; d goes from the last to the first state.

    d_features (R, H + V) is the gradient of the features.
    """
    batch, hidden, top = tape.batch, tape.h.shape[2], tape.h.shape[0] - 1
    for t in range(tape.x.shape[0] // batch - 1, -1, -1):
        for b in range(lo, hi):
            row, before, after = t * batch + b, t * batch + b, (t + 1) * batch + b
            if ended(tape.lengths, b, t):
                clear_row(tape.raw[row])
                continue
            add_row(d.h[top, b], d_features[row, :hidden])
            add_row(d.reads[b], d_features[row, hidden:])
            if not tape.read_first:
                _read_back(tape, scratch, d, b, row, before, after, after)
            _write_back(tape, scratch, d, b, row, before, after)
            if tape.read_first:
                _read_back(tape, scratch, d, b, row, before, after, before)
            _emit_backward(tape.raw[row], emitted_of(d), b, emitted_of(tape), row, tape.clip, scratch.raw[b])
        _controller_backward(tape, d, weights, t, lo, hi)


_forward, _backward = linked(forward), linked(backward)


@jit_parallel
def forward_parallel(tape, scratch, weights, chunks):
    """`forward` of all sequences in `chunks` side by side; the same bits for any number of them."""
    for chunk in numba.prange(chunks):
        _forward(tape, scratch, weights, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


@jit_parallel
def backward_parallel(tape, scratch, d, d_features, weights, chunks):
    """`backward` of all sequences in `chunks` side by side; the same bits for any number of them."""
    for chunk in numba.prange(chunks):
        lo, hi = tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks
        _backward(tape, scratch, d, d_features, weights, lo, hi)
