"""The memory blocks of `rnnsim.networks.lstm1997.network`: one time step, the pass over a sequence, and back through time.

All weights lie in one packed vector whose rows are whole vector registers, cell by cell::

    W   a row a source: the outputs of the time step before (`recurrent` of them), the bias, the inputs; a row holds the
        weights from that source to [cell inputs | input gates | forget gates | output gates | plain units], a section each
    P   peephole weights of input, forget and output gates: a row for the first, second, ... cell of a block
    U   a row a source of the outputs: cells, plain units, the bias, and with a shortcut the inputs

The gates that the cells of a block share stand once a cell, with equal weights: lane v of every section belongs to cell v, so
a time step is a straight line of vector operations. What is learned about a gate stands in the lane of the block's first cell.

The activations have a row a time step: [g | in | forget | out | plain | s | h(s) | y], row 0 is the state before the first.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel
from rnnsim.core.simd import broadcast, gather, item, load, mask, maximum, put, reduce_add, reduce_maximum, store, width
from rnnsim.core.vmath import sigmoid

G, H, OUTPUT = 0, 5, 10  # places of the three squashing functions among the numbers of `curves`
_ALL = 64  # more lanes than a vector has
_BLOCK = 128  # inputs that are looked at together


class BlockSizes(NamedTuple):
    """Sizes, places in a row, and the run-time switches (a place of 0: the network has none of it)."""

    inputs: int
    recurrent: int  # outputs of the hidden layer that it sees a time step later
    cells: int
    size: int  # cells of a block
    plain: int
    outputs: int
    lanes: int  # cells, filled up to whole vectors; the input gates begin there
    forget: int  # where the forget gates begin
    out: int  # output gates
    hidden: int  # plain units
    row: int  # numbers in a row of W
    s: int  # where states, h(s) and outputs of the cells stand on the activations
    h: int
    y: int
    time_step: int  # numbers of a time step on the activations
    peepholes: int  # where P begins in the packed vector
    readout: int  # where U begins
    columns: int  # outputs, filled up to whole vectors
    shortcut: int  # 1 if the outputs see the inputs
    output_bias: int  # 1 if they have a bias
    kinds: int  # of eligibility traces of a state: by weights to cell and input gate, and to the forget gate if there is one


class BlockTables(NamedTuple):
    """Places and functions that are the same for all time steps and learners."""

    # (recurrent,) place on the activations of every output that the hidden layer sees a time step later
    seen: np.ndarray
    block_cells: np.ndarray  # (size * lanes,) the first, second, ... cell of the block of every cell
    curves: np.ndarray  # (15,) g, h and the outputs' function, five numbers each: see `curve`


def curve_numbers(name, dtype):
    """The five numbers of a squashing function f(x) = linear x + scale sigmoid(slope x) - shift; see `curve`."""
    linear, scale, slope, shift = {
        "identity": (1, 0, 0, 0),
        "logistic": (0, 1, 1, 0),
        "logistic1": (0, 2, 1, 1),
        "logistic2": (0, 4, 1, 2),
        "tanh": (0, 2, 2, 1),
    }[name]
    return np.array([linear, scale, slope, shift, slope / scale if scale else 0], dtype)


@jit_borrowed
def curve(x, c, k):
    """The squashing function with the numbers c[k:k + 5] at the vector x."""
    found = x * c[k] - broadcast(c, c[k + 3])
    if c[k + 1] != 0:  # else a sigmoid that counts for nothing
        found = found + sigmoid(x * c[k + 2]) * c[k + 1]
    return found


@jit_borrowed
def curve_slope(y, c, k):
    """Its derivative, from its value y: linear + slope f (scale - f) / scale with f = y + shift. A vector or a number."""
    f = y + c[k + 3]
    return f * (c[k + 1] - f) * c[k + 4] + c[k]


# -- one time step -------------------------------------------------------------------------------------------------------------


@jit_borrowed
def take_inputs(sources, values, x, tokens, t, b, fixed):
    """The inputs that are not zero, of (T, B, n) vectors or (T, B) tokens: rows of W and values; gives their number."""
    if tokens.size:
        sources[0] = fixed + tokens[t, b]
        values[0] = 1
        return 1
    count, row, n = 0, x[t, b], x.shape[2]
    for start in range(0, n, _BLOCK):
        end = min(n, start + _BLOCK)
        if n > _BLOCK and all_zero(row, start, end):
            continue
        for i in range(start, end):
            if row[i] != 0:
                put(sources, count, fixed + i)
                put(values, count, values.dtype.type(row[i]))
                count += 1
    return count


@jit_borrowed
def all_zero(x, start, end):
    """Whether x[start:end] holds nothing but zeros; quick, for long vectors of few numbers."""
    zero = broadcast(x, 0.0)
    found = zero
    for j in range(start, end, width(x)):
        value = load(x, j, mask(end - j))
        found = maximum(found, maximum(value, zero - value))
    return reduce_maximum(found) == 0


@jit_borrowed
def block_states(activations, states, at, tables, sizes):
    """The states that the peephole weights from place `at` of (size, lanes) on see, a vector."""
    if sizes.size == 1:
        return load(activations, states + at, mask(_ALL))
    return gather(activations, states, tables.block_cells, at)


@jit_borrowed
def through_peepholes(z, activations, states, w, kind, j, tables, sizes):
    """The vector z of pre-activations of gates, and peephole weights times the states of their block added to it."""
    for cell in range(sizes.size):
        at = cell * sizes.lanes + j
        weights = load(w, sizes.peepholes + kind * sizes.size * sizes.lanes + at, mask(_ALL))
        z = z + weights * block_states(activations, states, at, tables, sizes)
    return z


@jit_borrowed
def with_source(g, gate, forget, out, w, at, value, sizes):
    """The four sums of `cell_states`, and what a source adds to them, whose weights begin at place `at`."""
    active = mask(_ALL)
    g, gate = g + load(w, at, active) * value, gate + load(w, at + sizes.lanes, active) * value
    return g, gate, forget + load(w, at + sizes.forget, active) * value, out + load(w, at + sizes.out, active) * value


@jit_borrowed
def cell_states(activations, now, before, w, j, sources, values, count, tables, sizes):
    """Gates and states of the cells from lane j on, to row `now` of the activations; of output gates the pre-activations.

    The kinds of units are added up beside each other: one alone waits for every sum. A network without forget or output gates
    adds up its cell inputs in their place, and nobody looks.
    """
    active, n, row, seen = mask(_ALL), sizes.lanes, sizes.row, tables.seen
    at = seen.size * row + j
    sums = (
        load(w, at, active),
        load(w, at + n, active),
        load(w, at + sizes.forget, active),
        load(w, at + sizes.out, active),
    )
    for k in range(count):
        sums = with_source(*sums, w, item(sources, k) * row + j, item(values, k), sizes)
    for k in range(seen.size - 1, -1, -1):  # cells last: their outputs are what a time step waits for
        sums = with_source(*sums, w, k * row + j, item(activations, before + item(seen, k)), sizes)
    g, gate, forget, out = sums
    states = before + sizes.s
    if sizes.peepholes:
        gate = through_peepholes(gate, activations, states, w, 0, j, tables, sizes)
        if sizes.forget:
            forget = through_peepholes(forget, activations, states, w, 1, j, tables, sizes)
    s, g, gate = load(activations, states + j, active), curve(g, tables.curves, G), sigmoid(gate)
    if sizes.forget:
        forget = sigmoid(forget)
        store(activations, now + sizes.forget + j, active, forget)
        s = s * forget
    store(activations, now + sizes.s + j, active, s + gate * g)
    store(activations, now + j, active, g)
    store(activations, now + n + j, active, gate)
    if sizes.out:
        store(activations, now + sizes.out + j, active, out)


@jit_borrowed
def cell_outputs(activations, now, w, j, tables, sizes):
    """Output gates, h(s) and outputs of the cells from lane j on, once all states of the time step are there."""
    active = mask(_ALL)
    h = curve(load(activations, now + sizes.s + j, active), tables.curves, H)
    store(activations, now + sizes.h + j, active, h)
    if sizes.out:
        gate = load(activations, now + sizes.out + j, active)
        if sizes.peepholes:
            gate = through_peepholes(gate, activations, now + sizes.s, w, 2, j, tables, sizes)
        gate = sigmoid(gate)
        store(activations, now + sizes.out + j, active, gate)
        h = h * gate
    store(activations, now + sizes.y + j, active, h)


@jit_borrowed
def plain_units(activations, now, before, w, j, sources, values, count, tables, sizes):
    """Plain units, at place j of a row."""
    active, row, seen = mask(_ALL), sizes.row, tables.seen
    z = load(w, seen.size * row + j, active)
    for k in range(count):
        z = z + load(w, item(sources, k) * row + j, active) * item(values, k)
    for k in range(seen.size):
        z = z + load(w, k * row + j, active) * item(activations, before + item(seen, k))
    store(activations, now + j, active, sigmoid(z))


@jit_borrowed
def time_step(activations, now, before, w, sources, values, count, tables, sizes):
    """The hidden layer of one time step: row `now` of the activations from the sources and the states in row `before`."""
    for j in range(0, sizes.lanes, width(activations)):
        cell_states(activations, now, before, w, j, sources, values, count, tables, sizes)
    for j in range(0, sizes.lanes, width(activations)):
        cell_outputs(activations, now, w, j, tables, sizes)
    if sizes.hidden:
        for j in range(sizes.hidden, sizes.row, width(activations)):
            plain_units(activations, now, before, w, j, sources, values, count, tables, sizes)


@jit_borrowed
def read(outputs, activations, now, w, sources, values, count, tables, sizes):
    """The outputs (columns) of one time step."""
    active, columns, at = mask(_ALL), sizes.columns, sizes.readout
    bias = at + (sizes.cells + sizes.plain) * columns
    for j in range(0, columns, width(w)):
        z = load(w, bias + j, active)
        for v in range(sizes.cells):
            z = z + load(w, at + v * columns + j, active) * item(activations, now + sizes.y + v)
        for p in range(sizes.plain):
            z = z + load(w, at + (sizes.cells + p) * columns + j, active) * item(activations, now + sizes.hidden + p)
        if sizes.shortcut:
            for k in range(count):
                z = z + load(w, bias + (item(sources, k) - sizes.recurrent) * columns + j, active) * item(values, k)
        store(outputs, j, active, curve(z, tables.curves, OUTPUT))


# -- a sequence forward --------------------------------------------------------------------------------------------------------


class Tape(NamedTuple):
    """The arrays of a batch."""

    x: np.ndarray  # (T, B, n), or (T, B, 0) with tokens
    tokens: np.ndarray  # (T, B), or (0, 0)
    lengths: np.ndarray  # (B,)
    activations: np.ndarray  # (B * (T + 1) * time step,)
    w: np.ndarray  # the packed weights


@jit_exact
def forward_rows(tape, outputs, last, tables, sizes, lo, hi):
    """All time steps of the sequences lo..hi; outputs (T, B, K), or (1, B, K) if only the last time step is read."""
    steps, fixed = tape.x.shape[0], sizes.recurrent + 1
    sources = np.zeros(sizes.inputs, np.int64)
    values = np.zeros(sizes.inputs, tape.w.dtype)
    row = np.zeros(sizes.columns, tape.w.dtype)
    for b in range(lo, hi):
        start = b * (steps + 1) * sizes.time_step
        for t in range(tape.lengths[b]):
            before = start + t * sizes.time_step
            now = before + sizes.time_step
            count = take_inputs(sources, values, tape.x, tape.tokens, t, b, fixed)
            time_step(tape.activations, now, before, tape.w, sources, values, count, tables, sizes)
            if not last or t == tape.lengths[b] - 1:
                read(row, tape.activations, now, tape.w, sources, values, count, tables, sizes)
                for k in range(sizes.outputs):
                    outputs[0 if last else t, b, k] = row[k]


@jit_parallel
def forward_parallel(tape, outputs, last, tables, sizes, chunks):
    """`forward_rows` of all sequences, chunk by chunk side by side; outputs (T, B, K), or (1, B, K) with `last`."""
    batch = tape.x.shape[1]
    for chunk in numba.prange(chunks):
        forward_rows(tape, outputs, last, tables, sizes, batch * chunk // chunks, batch * (chunk + 1) // chunks)


# -- and backward --------------------------------------------------------------------------------------------------------------


@jit_borrowed
def add_scaled(out, place, x, start, size, factor):
    """out[place:place + size] += factor x[start:start + size]; whole vectors."""
    active = mask(_ALL)
    for j in range(0, size, width(out)):
        store(out, place + j, active, load(out, place + j, active) + load(x, start + j, active) * factor)


@jit_borrowed
def dot(x, place, y, start, size):
    """The sum of products of two rows of whole vectors."""
    active = mask(_ALL)
    found = broadcast(x, 0.0)
    for j in range(0, size, width(x)):
        found = found + load(x, place + j, active) * load(y, start + j, active)
    return reduce_add(found)


@jit_borrowed
def read_backward(gradient, d, e, activations, now, w, sources, values, count, sizes):
    """From e (columns), the gradient of the outputs' pre-activations: to U, and to d, that of a row of the activations."""
    columns, at = sizes.columns, sizes.readout
    for v in range(sizes.cells):
        d[sizes.y + v] += dot(w, at + v * columns, e, 0, columns)
        add_scaled(gradient, at + v * columns, e, 0, columns, activations[now + sizes.y + v])
    for p in range(sizes.plain):
        place = at + (sizes.cells + p) * columns
        d[sizes.hidden + p] += dot(w, place, e, 0, columns)
        add_scaled(gradient, place, e, 0, columns, activations[now + sizes.hidden + p])
    bias = at + (sizes.cells + sizes.plain) * columns
    add_scaled(gradient, bias, e, 0, columns, e.dtype.type(1))
    if sizes.shortcut:
        for k in range(count):
            add_scaled(gradient, bias + (sources[k] - sizes.recurrent) * columns, e, 0, columns, values[k])


@jit_borrowed
def peepholes_backward(gradient, d, z, gates, activations, states, w, place, tables, sizes, exact):
    """From z, the gradient of gates' pre-activations: to P, and if `exact` to the states that the gates see."""
    for u in range(sizes.size):
        for v in range(0, sizes.cells, sizes.size):
            lane = u * sizes.lanes + v
            state = tables.block_cells[lane]
            gradient[place + lane] += z[gates + v] * activations[states + state]
            if exact:
                d[sizes.s + state] += z[gates + v] * w[place + lane]


@jit_borrowed
def gate_errors(z, d, activations, now, gates, sizes):
    """z of gates, in the lane of their first cell, from the gradient d of what they let through."""
    for v in range(0, sizes.cells, sizes.size):
        gate = activations[now + gates + v]
        z[gates + v] = d[gates + v] * gate * (1 - gate)


@jit_borrowed
def time_step_backward(gradient, d, z, activations, now, before, w, tables, sizes, exact):
    """From d, the gradient of row `now`: z (row), the gradient of its pre-activations; d[s] becomes that of the states before."""
    curves, n, kind = tables.curves, sizes.lanes, sizes.size * sizes.lanes
    for v in range(sizes.cells):
        h, dy, leader = activations[now + sizes.h + v], d[sizes.y + v], tables.block_cells[v]
        if sizes.out:
            d[sizes.out + leader] += h * dy
            dy *= activations[now + sizes.out + v]
        d[sizes.s + v] += dy * curve_slope(h, curves, H)
    if sizes.out:
        gate_errors(z, d, activations, now, sizes.out, sizes)
        if sizes.peepholes:
            place, states = sizes.peepholes + 2 * kind, now + sizes.s
            peepholes_backward(gradient, d, z, sizes.out, activations, states, w, place, tables, sizes, exact)
    for v in range(sizes.cells):
        g, ds, leader = activations[now + v], d[sizes.s + v], tables.block_cells[v]
        z[v] = ds * activations[now + n + v] * curve_slope(g, curves, G)
        d[n + leader] += g * ds
        if sizes.forget:
            d[sizes.forget + leader] += activations[before + sizes.s + v] * ds
            d[sizes.s + v] = ds * activations[now + sizes.forget + v]
    gate_errors(z, d, activations, now, n, sizes)
    if sizes.forget:
        gate_errors(z, d, activations, now, sizes.forget, sizes)
    if sizes.peepholes:
        states = before + sizes.s
        peepholes_backward(gradient, d, z, n, activations, states, w, sizes.peepholes, tables, sizes, exact)
        if sizes.forget:
            place = sizes.peepholes + kind
            peepholes_backward(gradient, d, z, sizes.forget, activations, states, w, place, tables, sizes, exact)
    for p in range(sizes.plain):
        value = activations[now + sizes.hidden + p]
        z[sizes.hidden + p] = d[sizes.hidden + p] * value * (1 - value)


@jit_exact
def backward_rows(gradient, tape, outputs, d_outputs, last, tables, sizes, exact, lo, hi):
    """All time steps of the sequences lo..hi backwards; the packed gradient (packed size,) accumulates.

    With `exact` the gradient is the full one. Without, nothing flows back through outputs into gates and cell inputs of the
    next time step: the truncated rule of 1997.
    """
    steps, fixed, kind = tape.x.shape[0], sizes.recurrent + 1, tape.w.dtype
    sources = np.zeros(sizes.inputs, np.int64)
    values = np.zeros(sizes.inputs, kind)
    e, d, z = np.zeros(sizes.columns, kind), np.zeros(sizes.time_step, kind), np.zeros(sizes.row, kind)
    for b in range(lo, hi):
        start = b * (steps + 1) * sizes.time_step
        d[:] = 0
        for t in range(tape.lengths[b] - 1, -1, -1):
            before = start + t * sizes.time_step
            now = before + sizes.time_step
            count = take_inputs(sources, values, tape.x, tape.tokens, t, b, fixed)
            if not last or t == tape.lengths[b] - 1:
                for k in range(sizes.outputs):
                    place = 0 if last else t
                    e[k] = d_outputs[place, b, k] * curve_slope(outputs[place, b, k], tables.curves, OUTPUT)
                read_backward(gradient, d, e, tape.activations, now, tape.w, sources, values, count, sizes)
            time_step_backward(gradient, d, z, tape.activations, now, before, tape.w, tables, sizes, exact)
            for k in range(count):
                add_scaled(gradient, sources[k] * sizes.row, z, 0, sizes.row, values[k])
            for k in range(sizes.recurrent):
                add_scaled(gradient, k * sizes.row, z, 0, sizes.row, tape.activations[before + tables.seen[k]])
            add_scaled(gradient, sizes.recurrent * sizes.row, z, 0, sizes.row, z.dtype.type(1))
            d[: sizes.s] = 0
            d[sizes.h :] = 0
            if exact:
                for k in range(sizes.recurrent):
                    d[tables.seen[k]] += dot(tape.w, k * sizes.row, z, 0, sizes.row)


@jit_parallel
def backward_parallel(gradients, tape, outputs, d_outputs, last, tables, sizes, exact, chunks):
    """Every chunk has a gradient of its own: gradients (chunks, packed size)."""
    batch = tape.x.shape[1]
    for chunk in numba.prange(chunks):
        lo, hi = batch * chunk // chunks, batch * (chunk + 1) // chunks
        backward_rows(gradients[chunk], tape, outputs, d_outputs, last, tables, sizes, exact, lo, hi)
