"""One tick of the memory blocks of `rnnsim.networks.lstm1997.network`, the walk over a sequence, and the way back through time.

All weights lie in one packed vector whose rows are whole vector registers, cell by cell::

    W   a row a source: the outputs of the tick before (`recurrent` of them), the bias, the inputs; in a row stand the weights
        from that source to [cell inputs | input gates | forget gates | output gates | plain units], a section each
    P   peephole weights of input, forget and output gates: a row for the first, second, ... cell of a block
    U   a row a source of the outputs: cells, plain units, the bias, and with a shortcut the inputs

The gates that the cells of a block share stand once a cell, with equal weights: lane v of every section belongs to cell v, so
a tick is a straight line of vector operations. What is learnt about a gate stands in the lane of the block's first cell.

The tape holds a row a tick: [g | in | forget | out | plain | s | h(s) | y], row 0 the state before the first tick.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel, linked
from rnnsim.core.simd import broadcast, gather, item, load, mask, maximum, put, reduce_add, reduce_maximum, store, width
from rnnsim.core.vmath import sigmoid

G, H, OUTPUT = 0, 5, 10  # places of the three squashing functions among the numbers of `curves`
_ALL = 64  # more lanes than a vector has
_BLOCK = 128  # inputs that are looked at together


class Shape(NamedTuple):
    """Sizes, places in a row, and the run-time switches (a place of 0: the network has none of it)."""

    inputs: int
    recurrent: int  # outputs of the hidden layer that it sees a tick later
    cells: int
    size: int  # cells of a block
    plain: int
    outputs: int
    lanes: int  # cells, filled up to whole vectors; the input gates begin there
    forget: int  # where the forget gates begin
    out: int  # output gates
    hidden: int  # plain units
    row: int  # numbers in a row of W
    s: int  # where states, h(s) and outputs of the cells stand on the tape
    h: int
    y: int
    tick: int  # numbers of a tick on the tape
    peepholes: int  # where P begins in the packed vector
    readout: int  # where U begins
    columns: int  # outputs, filled up to whole vectors
    shortcut: int  # 1 if the outputs see the inputs
    output_bias: int  # 1 if they have a bias
    kinds: int  # of partial derivatives of a state: by weights to cell and input gate, and to the forget gate if there is one


class Wiring(NamedTuple):
    """What connects the parts: the same for all ticks and learners."""

    seen: np.ndarray  # (recurrent,) place on the tape of every output that the hidden layer sees a tick later
    mates: np.ndarray  # (size * lanes,) the first, second, ... cell of the block of every cell
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


# -- one tick -------------------------------------------------------------------------------------------------------------------


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
def mates_of(tape, states, at, wiring, shape):
    """The states that the peephole weights from place `at` of (size, lanes) on see, a vector."""
    if shape.size == 1:
        return load(tape, states + at, mask(_ALL))
    return gather(tape, states, wiring.mates, at)


@jit_borrowed
def through_peepholes(z, tape, states, w, kind, j, wiring, shape):
    """The vector z of pre-activations of gates, and peephole weights times the states of their block added to it."""
    for cell in range(shape.size):
        at = cell * shape.lanes + j
        weights = load(w, shape.peepholes + kind * shape.size * shape.lanes + at, mask(_ALL))
        z = z + weights * mates_of(tape, states, at, wiring, shape)
    return z


@jit_borrowed
def with_source(g, gate, forget, out, w, at, value, shape):
    """The four sums of `open_states`, and what a source adds to them, whose weights begin at place `at`."""
    live = mask(_ALL)
    g, gate = g + load(w, at, live) * value, gate + load(w, at + shape.lanes, live) * value
    return g, gate, forget + load(w, at + shape.forget, live) * value, out + load(w, at + shape.out, live) * value


@jit_borrowed
def open_states(tape, now, before, w, j, sources, values, count, wiring, shape):
    """Gates and states of the cells from lane j on, to row `now` of the tape; of output gates the pre-activations.

    The kinds of units are added up beside each other: one alone waits for every sum. A network without forget or output gates
    adds up its cell inputs in their place, and nobody looks.
    """
    live, n, row, seen = mask(_ALL), shape.lanes, shape.row, wiring.seen
    at = seen.size * row + j
    sums = load(w, at, live), load(w, at + n, live), load(w, at + shape.forget, live), load(w, at + shape.out, live)
    for k in range(count):
        sums = with_source(*sums, w, item(sources, k) * row + j, item(values, k), shape)
    for k in range(seen.size - 1, -1, -1):  # cells last: their outputs are what a tick waits for
        sums = with_source(*sums, w, k * row + j, item(tape, before + item(seen, k)), shape)
    g, gate, forget, out = sums
    states = before + shape.s
    if shape.peepholes:
        gate = through_peepholes(gate, tape, states, w, 0, j, wiring, shape)
        if shape.forget:
            forget = through_peepholes(forget, tape, states, w, 1, j, wiring, shape)
    s, g, gate = load(tape, states + j, live), curve(g, wiring.curves, G), sigmoid(gate)
    if shape.forget:
        forget = sigmoid(forget)
        store(tape, now + shape.forget + j, live, forget)
        s = s * forget
    store(tape, now + shape.s + j, live, s + gate * g)
    store(tape, now + j, live, g)
    store(tape, now + n + j, live, gate)
    if shape.out:
        store(tape, now + shape.out + j, live, out)


@jit_borrowed
def let_out(tape, now, w, j, wiring, shape):
    """Output gates, h(s) and outputs of the cells from lane j on, once all states of the tick are there."""
    live = mask(_ALL)
    h = curve(load(tape, now + shape.s + j, live), wiring.curves, H)
    store(tape, now + shape.h + j, live, h)
    if shape.out:
        gate = load(tape, now + shape.out + j, live)
        if shape.peepholes:
            gate = through_peepholes(gate, tape, now + shape.s, w, 2, j, wiring, shape)
        gate = sigmoid(gate)
        store(tape, now + shape.out + j, live, gate)
        h = h * gate
    store(tape, now + shape.y + j, live, h)


@jit_borrowed
def fire(tape, now, before, w, j, sources, values, count, wiring, shape):
    """Plain units, at place j of a row."""
    live, row, seen = mask(_ALL), shape.row, wiring.seen
    z = load(w, seen.size * row + j, live)
    for k in range(count):
        z = z + load(w, item(sources, k) * row + j, live) * item(values, k)
    for k in range(seen.size):
        z = z + load(w, k * row + j, live) * item(tape, before + item(seen, k))
    store(tape, now + j, live, sigmoid(z))


@jit_borrowed
def tick(tape, now, before, w, sources, values, count, wiring, shape):
    """The hidden layer of one tick: row `now` of the tape from the sources and the states in row `before`."""
    for j in range(0, shape.lanes, width(tape)):
        open_states(tape, now, before, w, j, sources, values, count, wiring, shape)
    for j in range(0, shape.lanes, width(tape)):
        let_out(tape, now, w, j, wiring, shape)
    if shape.hidden:
        for j in range(shape.hidden, shape.row, width(tape)):
            fire(tape, now, before, w, j, sources, values, count, wiring, shape)


@jit_borrowed
def read(outputs, tape, now, w, sources, values, count, wiring, shape):
    """The outputs (columns) of one tick."""
    live, columns, at = mask(_ALL), shape.columns, shape.readout
    bias = at + (shape.cells + shape.plain) * columns
    for j in range(0, columns, width(w)):
        z = load(w, bias + j, live)
        for v in range(shape.cells):
            z = z + load(w, at + v * columns + j, live) * item(tape, now + shape.y + v)
        for p in range(shape.plain):
            z = z + load(w, at + (shape.cells + p) * columns + j, live) * item(tape, now + shape.hidden + p)
        if shape.shortcut:
            for k in range(count):
                z = z + load(w, bias + (item(sources, k) - shape.recurrent) * columns + j, live) * item(values, k)
        store(outputs, j, live, curve(z, wiring.curves, OUTPUT))


# -- a sequence forward ---------------------------------------------------------------------------------------------------------


class Walk(NamedTuple):
    """The arrays of a batch."""

    x: np.ndarray  # (T, B, n), or (T, B, 0) with tokens
    tokens: np.ndarray  # (T, B), or (0, 0)
    lengths: np.ndarray  # (B,)
    tape: np.ndarray  # (B * (T + 1) * tick,)
    w: np.ndarray  # the packed weights


@jit_exact
def forward_rows(walk, outputs, last, wiring, shape, lo, hi):
    """All ticks of the sequences lo..hi; outputs (T, B, K), or (1, B, K) if only the last tick is read."""
    steps, fixed = walk.x.shape[0], shape.recurrent + 1
    sources = np.zeros(shape.inputs, np.int64)
    values = np.zeros(shape.inputs, walk.w.dtype)
    row = np.zeros(shape.columns, walk.w.dtype)
    for b in range(lo, hi):
        start = b * (steps + 1) * shape.tick
        for t in range(walk.lengths[b]):
            before = start + t * shape.tick
            now = before + shape.tick
            count = take_inputs(sources, values, walk.x, walk.tokens, t, b, fixed)
            tick(walk.tape, now, before, walk.w, sources, values, count, wiring, shape)
            if not last or t == walk.lengths[b] - 1:
                read(row, walk.tape, now, walk.w, sources, values, count, wiring, shape)
                for k in range(shape.outputs):
                    outputs[0 if last else t, b, k] = row[k]


_forward = linked(forward_rows)


@jit_parallel
def forward_parallel(walk, outputs, last, wiring, shape, tasks):
    """`forward_rows` of all sequences in `tasks` blocks side by side; outputs (T, B, K), or (1, B, K) with `last`."""
    batch = walk.x.shape[1]
    for task in numba.prange(tasks):
        _forward(walk, outputs, last, wiring, shape, batch * task // tasks, batch * (task + 1) // tasks)


# -- and backward ---------------------------------------------------------------------------------------------------------------


@jit_borrowed
def add_scaled(out, place, x, start, size, factor):
    """out[place:place + size] += factor x[start:start + size]; whole vectors."""
    live = mask(_ALL)
    for j in range(0, size, width(out)):
        store(out, place + j, live, load(out, place + j, live) + load(x, start + j, live) * factor)


@jit_borrowed
def dot(x, place, y, start, size):
    """The sum of products of two rows of whole vectors."""
    live = mask(_ALL)
    found = broadcast(x, 0.0)
    for j in range(0, size, width(x)):
        found = found + load(x, place + j, live) * load(y, start + j, live)
    return reduce_add(found)


@jit_borrowed
def read_backward(gradient, d, e, tape, now, w, sources, values, count, shape):
    """From e (columns), the gradient of the outputs' pre-activations: to U, and to d, the gradient of a row of the tape."""
    columns, at = shape.columns, shape.readout
    for v in range(shape.cells):
        d[shape.y + v] += dot(w, at + v * columns, e, 0, columns)
        add_scaled(gradient, at + v * columns, e, 0, columns, tape[now + shape.y + v])
    for p in range(shape.plain):
        place = at + (shape.cells + p) * columns
        d[shape.hidden + p] += dot(w, place, e, 0, columns)
        add_scaled(gradient, place, e, 0, columns, tape[now + shape.hidden + p])
    bias = at + (shape.cells + shape.plain) * columns
    add_scaled(gradient, bias, e, 0, columns, e.dtype.type(1))
    if shape.shortcut:
        for k in range(count):
            add_scaled(gradient, bias + (sources[k] - shape.recurrent) * columns, e, 0, columns, values[k])


@jit_borrowed
def peepholes_backward(gradient, d, z, gates, tape, states, w, place, wiring, shape, exact):
    """From z, the gradient of gates' pre-activations: to P, and if `exact` to the states that the gates see."""
    for u in range(shape.size):
        for v in range(0, shape.cells, shape.size):
            lane = u * shape.lanes + v
            state = wiring.mates[lane]
            gradient[place + lane] += z[gates + v] * tape[states + state]
            if exact:
                d[shape.s + state] += z[gates + v] * w[place + lane]


@jit_borrowed
def close_gates(z, d, tape, now, gates, shape):
    """z of gates, in the lane of their first cell, from the gradient d of what they let through."""
    for v in range(0, shape.cells, shape.size):
        gate = tape[now + gates + v]
        z[gates + v] = d[gates + v] * gate * (1 - gate)


@jit_borrowed
def tick_backward(gradient, d, z, tape, now, before, w, wiring, shape, exact):
    """From d, the gradient of row `now`: z (row), the gradient of its pre-activations; d[s] becomes that of the states before."""
    curves, n, kind = wiring.curves, shape.lanes, shape.size * shape.lanes
    for v in range(shape.cells):
        h, dy, leader = tape[now + shape.h + v], d[shape.y + v], wiring.mates[v]
        if shape.out:
            d[shape.out + leader] += h * dy
            dy *= tape[now + shape.out + v]
        d[shape.s + v] += dy * curve_slope(h, curves, H)
    if shape.out:
        close_gates(z, d, tape, now, shape.out, shape)
        if shape.peepholes:
            place, states = shape.peepholes + 2 * kind, now + shape.s
            peepholes_backward(gradient, d, z, shape.out, tape, states, w, place, wiring, shape, exact)
    for v in range(shape.cells):
        g, ds, leader = tape[now + v], d[shape.s + v], wiring.mates[v]
        z[v] = ds * tape[now + n + v] * curve_slope(g, curves, G)
        d[n + leader] += g * ds
        if shape.forget:
            d[shape.forget + leader] += tape[before + shape.s + v] * ds
            d[shape.s + v] = ds * tape[now + shape.forget + v]
    close_gates(z, d, tape, now, n, shape)
    if shape.forget:
        close_gates(z, d, tape, now, shape.forget, shape)
    if shape.peepholes:
        states = before + shape.s
        peepholes_backward(gradient, d, z, n, tape, states, w, shape.peepholes, wiring, shape, exact)
        if shape.forget:
            place = shape.peepholes + kind
            peepholes_backward(gradient, d, z, shape.forget, tape, states, w, place, wiring, shape, exact)
    for p in range(shape.plain):
        value = tape[now + shape.hidden + p]
        z[shape.hidden + p] = d[shape.hidden + p] * value * (1 - value)


@jit_exact
def backward_rows(gradient, walk, outputs, d_outputs, last, wiring, shape, exact, lo, hi):
    """All ticks of the sequences lo..hi backwards; the packed gradient (packed size,) accumulates.

    With `exact` the gradient is the full one. Without, nothing flows back through outputs into gates and cell inputs of the
    next tick: the truncated rule of 1997.
    """
    steps, fixed, kind = walk.x.shape[0], shape.recurrent + 1, walk.w.dtype
    sources = np.zeros(shape.inputs, np.int64)
    values = np.zeros(shape.inputs, kind)
    e, d, z = np.zeros(shape.columns, kind), np.zeros(shape.tick, kind), np.zeros(shape.row, kind)
    for b in range(lo, hi):
        start = b * (steps + 1) * shape.tick
        d[:] = 0
        for t in range(walk.lengths[b] - 1, -1, -1):
            before = start + t * shape.tick
            now = before + shape.tick
            count = take_inputs(sources, values, walk.x, walk.tokens, t, b, fixed)
            if not last or t == walk.lengths[b] - 1:
                for k in range(shape.outputs):
                    place = 0 if last else t
                    e[k] = d_outputs[place, b, k] * curve_slope(outputs[place, b, k], wiring.curves, OUTPUT)
                read_backward(gradient, d, e, walk.tape, now, walk.w, sources, values, count, shape)
            tick_backward(gradient, d, z, walk.tape, now, before, walk.w, wiring, shape, exact)
            for k in range(count):
                add_scaled(gradient, sources[k] * shape.row, z, 0, shape.row, values[k])
            for k in range(shape.recurrent):
                add_scaled(gradient, k * shape.row, z, 0, shape.row, walk.tape[before + wiring.seen[k]])
            add_scaled(gradient, shape.recurrent * shape.row, z, 0, shape.row, z.dtype.type(1))
            d[: shape.s] = 0
            d[shape.h :] = 0
            if exact:
                for k in range(shape.recurrent):
                    d[wiring.seen[k]] += dot(walk.w, k * shape.row, z, 0, shape.row)


_backward = linked(backward_rows)


@jit_parallel
def backward_parallel(gradients, walk, outputs, d_outputs, last, wiring, shape, exact, tasks):
    """Every task has a gradient of its own: gradients (tasks, packed size)."""
    batch = walk.x.shape[1]
    for task in numba.prange(tasks):
        lo, hi = batch * task // tasks, batch * (task + 1) // tasks
        _backward(gradients[task], walk, outputs, d_outputs, last, wiring, shape, exact, lo, hi)
