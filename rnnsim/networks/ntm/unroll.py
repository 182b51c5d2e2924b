"""The kernels that take a neural Turing machine through a batch of sequences, forward and backward.

Arrays of a sequence are flat over (tick, row), as in `rnnsim.cells.sequence`; states have one slot more than there are ticks. A
row whose sequence has ended keeps the controller's state and what was read; its memory and weightings are left alone.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.cells.sequence import add_row, clear_row, copy_row, ended
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_exact, jit_parallel, linked
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.vmath import exp, sigmoid, softplus, tanh
from rnnsim.networks.ntm.addressing import (
    add_backward,
    add_forward,
    address_backward,
    address_forward,
    erase_backward,
    erase_forward,
    inverse_norms,
    read_backward,
    read_forward,
)
from rnnsim.networks.ntm.controller import gates_backward, gates_forward


def quantities(columns, shifts, write):
    """What a head emits, in its order: ((name, numbers), ...)."""
    common = (("key", columns), ("strength", 1), ("gate", 1), ("shift", shifts), ("gamma", 1))
    return common + ((("erase", columns), ("add", columns)) if write else ())


class Walk(NamedTuple):
    """A machine on one batch, as the kernels see it. R = ticks * batch rows, S = slots: R + batch rows, V = all reads."""

    x: np.ndarray  # (R, I + V) inputs of the controller
    z: np.ndarray  # (L, R, G*H) pre-activations, then gates, then gradients of the pre-activations
    h: np.ndarray  # (L, S, H) outputs of the layers
    c: np.ndarray  # (L, S, H) cell states of an LSTM
    raw: np.ndarray  # (R, P) what heads emit before their functions, then its gradient
    emitted: np.ndarray  # (R, P) what heads emit
    reads: np.ndarray  # (S, V)
    features: np.ndarray  # (R, H + V) what the readout sees
    memory: np.ndarray  # (S, M, N)
    weights: np.ndarray  # (S, heads, N) read heads first
    trace: np.ndarray  # (R, heads, 3, N) similarity, content weights, shifted weights
    inverse: np.ndarray  # (S, N) 1 / norm of the rows of the memory
    panels_ih: np.ndarray  # packed weights of the first layer
    panels_above: np.ndarray  # (L - 1, ...) of the others
    panels_hh: np.ndarray  # (L, ...) recurrent
    panels_heads: np.ndarray
    bias: np.ndarray  # (L, G*H)
    bias_heads: np.ndarray  # (P)
    scratch: np.ndarray  # (B, 3, N + shifts)
    lengths: np.ndarray  # (B) or (0)
    batch: int
    inputs: int
    read_heads: int
    shifts: int
    read_first: bool
    lstm: bool
    clip: float
    norm_floor: float


class StateGradient(NamedTuple):
    """Gradients of the state between two ticks, for every row, and what a backward tick needs beside them."""

    h: np.ndarray  # (L, B, H)
    c: np.ndarray  # (L, B, H)
    reads: np.ndarray  # (B, V)
    weights: np.ndarray  # (B, heads, N)
    memory: np.ndarray  # (B, M, N)
    emitted: np.ndarray  # (B, P)
    prefix: np.ndarray  # (B, write heads - 1, M, N) the memory between two erases


class BackPanels(NamedTuple):
    """Packed weights of the backward products."""

    reads: np.ndarray  # columns of weight_ih_l0 that see the reads
    above: np.ndarray
    hh: np.ndarray
    heads: np.ndarray


# -- what heads emit --------------------------------------------------------------------------------------------------------


@jit_exact
def _within(x, clip):
    """A row x, clipped to +-clip in place; NaN stays."""
    high = x.dtype.type(clip)
    for j in range(x.size):
        x[j] = min(max(x[j], -high), high)


@jit_exact
def _tanh_row(x):
    for j in range(0, x.size, width(x)):
        live = mask(x.size - j)
        store(x, j, live, tanh(load(x, j, live)))


@jit_exact
def _sigmoid_row(x):
    for j in range(0, x.size, width(x)):
        live = mask(x.size - j)
        store(x, j, live, sigmoid(load(x, j, live)))


@jit_exact
def _softmax_row(x):
    top = x[0]
    for j in range(1, x.size):
        top = max(top, x[j])
    mass = x.dtype.type(0)
    for j in range(x.size):
        x[j] = exp(x[j] - top)
        mass += x[j]
    for j in range(x.size):
        x[j] /= mass


@jit_exact
def head_size(columns, shifts, write):
    """Numbers that a head emits."""
    return columns + 3 + shifts + (2 * columns if write else 0)


@jit_exact
def emit_forward(emitted, raw, bias, columns, shifts, read_heads, heads, clip):
    """raw (P) += bias; emitted (P) <- its functions: key, strength, gate, shift, gamma and erase, add of every head."""
    one, m = raw.dtype.type(1), columns
    add_row(raw, bias)
    copy_row(emitted, raw)
    _within(emitted, clip)
    place = 0
    for head in range(heads):
        size = head_size(columns, shifts, head >= read_heads)
        q = emitted[place : place + size]
        _tanh_row(q[:m])
        q[m] = softplus(q[m])
        q[m + 1] = sigmoid(q[m + 1])
        _softmax_row(q[m + 2 : m + 2 + shifts])
        q[m + 2 + shifts] = one + softplus(q[m + 2 + shifts])
        if head >= read_heads:
            _sigmoid_row(q[m + 3 + shifts : 2 * m + 3 + shifts])
            _tanh_row(q[2 * m + 3 + shifts :])
        place += size


@jit_exact
def emit_backward(raw, d, emitted, columns, shifts, read_heads, heads, clip):
    """raw (P) <- its gradient; d (P), the gradient of what is emitted, is used up."""
    one, m, high = raw.dtype.type(1), columns, raw.dtype.type(clip)
    place = 0
    for head in range(heads):
        size = head_size(columns, shifts, head >= read_heads)
        q, dq = emitted[place : place + size], d[place : place + size]
        for j in range(m):
            dq[j] *= one - q[j] * q[j]
        dq[m] *= one - exp(-q[m])  # softplus' = logistic = 1 - exp(-softplus)
        dq[m + 1] *= q[m + 1] * (one - q[m + 1])
        mean = raw.dtype.type(0)
        for j in range(m + 2, m + 2 + shifts):
            mean += q[j] * dq[j]
        for j in range(m + 2, m + 2 + shifts):
            dq[j] = q[j] * (dq[j] - mean)
        dq[m + 2 + shifts] *= one - exp(one - q[m + 2 + shifts])
        if head >= read_heads:
            for j in range(m + 3 + shifts, 2 * m + 3 + shifts):
                dq[j] *= q[j] * (one - q[j])
            for j in range(2 * m + 3 + shifts, size):
                dq[j] *= one - q[j] * q[j]
        place += size
    for j in range(raw.size):
        raw[j] = d[j] if abs(raw[j]) <= high else 0


_address_forward, _address_backward = linked(address_forward), linked(address_backward)
_emit_forward, _emit_backward = linked(emit_forward), linked(emit_backward)


# -- one tick of one row ------------------------------------------------------------------------------------------------------


@jit_exact
def read_tick(walk, row, old, new, seen, scratch):
    """All read heads: find their places in the memory of slot `seen`, and read it."""
    columns = walk.memory.shape[1]
    size = head_size(columns, walk.shifts, False)
    for head in range(walk.read_heads):
        _address_forward(
            walk.weights[new, head],
            walk.trace[row, head],
            walk.memory[seen],
            walk.inverse[seen],
            walk.emitted[row, head * size : (head + 1) * size],
            walk.weights[old, head],
            walk.shifts,
            walk.norm_floor,
            scratch,
        )
        vector = walk.reads[new, head * columns : (head + 1) * columns]
        read_forward(vector, walk.memory[seen], walk.weights[new, head])


@jit_exact
def write_tick(walk, row, old, new, scratch):
    """All write heads: find their places in the memory of slot `old`; all erase, then all add."""
    columns, heads = walk.memory.shape[1], walk.weights.shape[1]
    common = head_size(columns, walk.shifts, False)
    size = head_size(columns, walk.shifts, True)
    begin = walk.read_heads * common
    for head in range(walk.read_heads, heads):
        q = walk.emitted[row, begin : begin + size]
        _address_forward(
            walk.weights[new, head],
            walk.trace[row, head],
            walk.memory[old],
            walk.inverse[old],
            q,
            walk.weights[old, head],
            walk.shifts,
            walk.norm_floor,
            scratch,
        )
        before = walk.memory[old] if head == walk.read_heads else walk.memory[new]
        erase_forward(walk.memory[new], before, walk.weights[new, head], q[common : common + columns])
        begin += size
    begin = walk.read_heads * common
    for head in range(walk.read_heads, heads):
        add = walk.emitted[row, begin + common + columns : begin + size]
        add_forward(walk.memory[new], walk.weights[new, head], add)
        begin += size
    inverse_norms(walk.inverse[new], walk.memory[new], walk.norm_floor)


@jit_exact
def read_tick_backward(walk, d, b, row, old, new, seen, scratch):
    """Back through all read heads: adds to the gradient of the memory of slot `seen`."""
    columns = walk.memory.shape[1]
    size = head_size(columns, walk.shifts, False)
    for head in range(walk.read_heads):
        d_weights, place = d.weights[b, head], head * size
        vector = d.reads[b, head * columns : (head + 1) * columns]
        read_backward(d.memory[b], d_weights, vector, walk.memory[seen], walk.weights[new, head])
        _address_backward(
            d.memory[b],
            d_weights,
            d.emitted[b, place : place + size],
            d_weights,
            walk.weights[new, head],
            walk.trace[row, head],
            walk.memory[seen],
            walk.inverse[seen],
            walk.emitted[row, place : place + size],
            walk.weights[old, head],
            walk.shifts,
            walk.norm_floor,
            scratch,
        )


@jit_exact
def write_tick_backward(walk, d, b, row, old, new, scratch):
    """Back through all write heads: the gradient of the memory goes from slot `new` to slot `old`."""
    columns, heads = walk.memory.shape[1], walk.weights.shape[1]
    common = head_size(columns, walk.shifts, False)
    size = head_size(columns, walk.shifts, True)
    start, writers = walk.read_heads * common, heads - walk.read_heads
    for k in range(writers):
        place, head = start + k * size, walk.read_heads + k
        add = slice(place + common + columns, place + size)
        add_backward(
            d.weights[b, head], d.emitted[b, add], d.memory[b], walk.weights[new, head], walk.emitted[row, add]
        )
        if k < writers - 1:
            before = walk.memory[old] if k == 0 else d.prefix[b, k - 1]
            erase = walk.emitted[row, place + common : place + common + columns]
            erase_forward(d.prefix[b, k], before, walk.weights[new, head], erase)
    for k in range(writers - 1, -1, -1):
        place, head = start + k * size, walk.read_heads + k
        before = walk.memory[old] if k == 0 else d.prefix[b, k - 1]
        erase = slice(place + common, place + common + columns)
        erase_backward(
            d.memory[b],
            d.weights[b, head],
            d.emitted[b, erase],
            before,
            walk.weights[new, head],
            walk.emitted[row, erase],
        )
    for k in range(writers):
        place, head = start + k * size, walk.read_heads + k
        _address_backward(
            d.memory[b],
            d.weights[b, head],
            d.emitted[b, place : place + common],
            d.weights[b, head],
            walk.weights[new, head],
            walk.trace[row, head],
            walk.memory[old],
            walk.inverse[old],
            walk.emitted[row, place : place + common],
            walk.weights[old, head],
            walk.shifts,
            walk.norm_floor,
            scratch,
        )


@jit_exact
def _tanh_layer(h, z, bias):
    add_row(z, bias)
    for j in range(0, h.size, width(h)):
        live = mask(h.size - j)
        store(h, j, live, tanh(load(z, j, live)))


@jit_exact
def _tanh_layer_backward(dh, z, h):
    """z (H) <- the gradient of the pre-activations; dh (H) is used up and left at zero."""
    for j in range(h.size):
        z[j] = dh[j] * (1 - h[j] * h[j])
    clear_row(dh)


@jit_exact
def _keep(walk, row, old, new):
    """A row whose sequence has ended: the controller's state and reads stay, and no number is left undefined."""
    for layer in range(walk.h.shape[0]):
        copy_row(walk.h[layer, new], walk.h[layer, old])
        if walk.lstm:
            copy_row(walk.c[layer, new], walk.c[layer, old])
    copy_row(walk.reads[new], walk.reads[old])
    clear_row(walk.features[row])


_read_tick, _read_tick_backward = linked(read_tick), linked(read_tick_backward)
_write_tick, _write_tick_backward = linked(write_tick), linked(write_tick_backward)


# -- all ticks of rows lo..hi ---------------------------------------------------------------------------------------------------


@jit_exact
def _controller(walk, now, old, new, lo, hi, t):
    """The layers of one tick, and the linear part of what heads emit."""
    layers = walk.h.shape[0]
    for layer in range(layers):
        z = walk.z[layer, now + lo : now + hi]
        if layer == 0:
            product_packed(z, walk.x[now + lo : now + hi], walk.panels_ih, False)
        else:
            product_packed(z, walk.h[layer - 1, new + lo : new + hi], walk.panels_above[layer - 1], False)
        if walk.lstm:
            product_packed(z, walk.h[layer, old + lo : old + hi], walk.panels_hh[layer], True)
        for b in range(lo, hi):
            if ended(walk.lengths, b, t):
                continue
            if walk.lstm:
                gates_forward(
                    walk.h[layer, new + b],
                    walk.c[layer, new + b],
                    z[b - lo],
                    walk.c[layer, old + b],
                    walk.bias[layer],
                )
            else:
                _tanh_layer(walk.h[layer, new + b], z[b - lo], walk.bias[layer])
    product_packed(walk.raw[now + lo : now + hi], walk.h[layers - 1, new + lo : new + hi], walk.panels_heads, False)


@jit_exact
def forward(walk, lo, hi):
    """All ticks of rows lo..hi; slot 0 holds the initial state."""
    steps, batch = walk.x.shape[0] // walk.batch, walk.batch
    columns, heads, top = walk.memory.shape[1], walk.weights.shape[1], walk.h.shape[0] - 1
    hidden = walk.h.shape[2]
    for b in range(lo, hi):
        inverse_norms(walk.inverse[b], walk.memory[b], walk.norm_floor)
    for t in range(steps):
        now, old, new = t * batch, t * batch, (t + 1) * batch
        for b in range(lo, hi):
            copy_row(walk.x[now + b, walk.inputs :], walk.reads[old + b])
            if ended(walk.lengths, b, t):
                _keep(walk, now + b, old + b, new + b)
        _controller(walk, now, old, new, lo, hi, t)
        for b in range(lo, hi):
            if ended(walk.lengths, b, t):
                continue
            row, scratch = now + b, walk.scratch[b]
            _emit_forward(
                walk.emitted[row],
                walk.raw[row],
                walk.bias_heads,
                columns,
                walk.shifts,
                walk.read_heads,
                heads,
                walk.clip,
            )
            if walk.read_first:
                _read_tick(walk, row, old + b, new + b, old + b, scratch)
            _write_tick(walk, row, old + b, new + b, scratch)
            if not walk.read_first:
                _read_tick(walk, row, old + b, new + b, new + b, scratch)
            copy_row(walk.features[row, :hidden], walk.h[top, new + b])
            copy_row(walk.features[row, hidden:], walk.reads[new + b])


@jit_exact
def backward(walk, d, d_features, panels, lo, hi):
    """All ticks of rows lo..hi backwards: z and raw become gradients; d goes from the last to the first state."""
    steps, batch = walk.x.shape[0] // walk.batch, walk.batch
    columns, heads, layers = walk.memory.shape[1], walk.weights.shape[1], walk.h.shape[0]
    hidden = walk.h.shape[2]
    for t in range(steps - 1, -1, -1):
        now, old, new = t * batch, t * batch, (t + 1) * batch
        for b in range(lo, hi):
            row, scratch = now + b, walk.scratch[b]
            if ended(walk.lengths, b, t):
                clear_row(walk.raw[row])
                continue
            add_row(d.h[layers - 1, b], d_features[row, :hidden])
            add_row(d.reads[b], d_features[row, hidden:])
            if not walk.read_first:
                _read_tick_backward(walk, d, b, row, old + b, new + b, new + b, scratch)
            _write_tick_backward(walk, d, b, row, old + b, new + b, scratch)
            if walk.read_first:
                _read_tick_backward(walk, d, b, row, old + b, new + b, old + b, scratch)
            _emit_backward(
                walk.raw[row],
                d.emitted[b],
                walk.emitted[row],
                columns,
                walk.shifts,
                walk.read_heads,
                heads,
                walk.clip,
            )
        product_packed(d.h[layers - 1, lo:hi], walk.raw[now + lo : now + hi], panels.heads, True)
        for layer in range(layers - 1, -1, -1):
            z = walk.z[layer, now + lo : now + hi]
            for b in range(lo, hi):
                if ended(walk.lengths, b, t):
                    clear_row(z[b - lo])
                elif walk.lstm:
                    gates_backward(
                        d.h[layer, b],
                        d.c[layer, b],
                        z[b - lo],
                        walk.c[layer, new + b],
                        walk.c[layer, old + b],
                    )
                else:
                    _tanh_layer_backward(d.h[layer, b], z[b - lo], walk.h[layer, new + b])
            if walk.lstm:
                product_packed(d.h[layer, lo:hi], z, panels.hh[layer], True)
            if layer > 0:
                product_packed(d.h[layer - 1, lo:hi], z, panels.above[layer - 1], True)
            else:
                product_packed(d.reads[lo:hi], z, panels.reads, False)


_forward, _backward = linked(forward), linked(backward)


@jit_parallel
def forward_parallel(walk, tasks):
    """`forward` of all rows in `tasks` blocks side by side; the same bits for any number of them."""
    for task in numba.prange(tasks):
        _forward(walk, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_parallel
def backward_parallel(walk, d, d_features, panels, tasks):
    """`backward` of all rows in `tasks` blocks side by side; d_features (R, H + V), the same bits for any number of blocks."""
    for task in numba.prange(tasks):
        _backward(walk, d, d_features, panels, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)
