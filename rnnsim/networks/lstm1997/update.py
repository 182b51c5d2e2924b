"""One step of all weights at a time step that counts: the part of `rnnsim.networks.lstm1997.learner` that needs targets.

The equations stand at the top of that file. Errors are multiplied by the learning rate where they begin, at the outputs, so that
everything that follows from them is a change already. They are vectors, a lane a cell, and stay so: a vector that is put together
in memory from single numbers costs more than the arithmetic of a small network.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, insert, item, load, mask, put, store, width, xor_lanes
from rnnsim.networks.lstm1997.unroll import _ALL, OUTPUT, H, block_states, curve_slope, dot, read

RATE, START, DECAY, SEQUENCE_DECAY, MOMENTUM = range(5)  # places in `LearnerArrays.rates`
STRETCH = 64  # time steps on the activations where only the last one of a sequence counts; they fit into a first cache


class LearnerArrays(NamedTuple):
    """All that changes while a network learns online."""

    w: np.ndarray  # the packed weights
    velocity: np.ndarray  # the last step of every weight; (0,) without momentum
    rates: np.ndarray  # (5,)
    activations: (
        np.ndarray
    )  # a row a time step: two of them in turn, now and before, or those of a stretch after the one before it
    factors: (
        np.ndarray
    )  # of a stretch, a row a time step: what a source's value is multiplied by in its eligibility traces
    traces: np.ndarray  # a row a source, lanes of S_cell, S_in, S_phi
    peephole_traces: np.ndarray  # (2, size, lanes) of the peepholes of input and forget gates
    free: np.ndarray  # (row,) 1 where a unit has a bias, else 0; (0,) if all have one
    # Rows of W, those that are always there (recurrent, bias) before inputs:
    sources: np.ndarray  # and inputs that are not zero at this time step,
    values: np.ndarray  # what those are
    active: np.ndarray  # and inputs that were not zero in this sequence
    known: np.ndarray  # 1 for every input's row that is among them
    present: np.ndarray  # the value of every row at this time step
    place: np.ndarray  # (2,) number of active rows, and where on the activations the last time step is
    y: np.ndarray  # (columns,) outputs
    # Errors times the learning rate:
    e: np.ndarray  # (columns,) of outputs
    d: np.ndarray  # (time step,) of states, output gates and plain units, where a time step has them on the activations
    change: np.ndarray  # (lanes,) scratch


class Lesson(NamedTuple):
    """Sequences to learn from, (T or 1, B, K) targets; (0, 0) weights if all time steps count."""

    x: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


# -- errors --------------------------------------------------------------------------------------------------------------------


@jit_borrowed
def output_errors(learner, lesson, place, b, wiring, shape):
    """e <- errors of the outputs of a time step; gives the largest and the mean distance between output and target."""
    e, worst, mean = learner.e, 0.0, 0.0
    rate = learner.rates[RATE]
    if lesson.weights.size:
        rate = rate * lesson.weights[place, b]
    targets = lesson.targets[place, b]
    for j in range(0, shape.columns, width(e)):
        active = mask(shape.outputs - j)
        y = load(learner.y, j, active)
        off = load(targets, j, active) - y
        store(e, j, mask(_ALL), off * curve_slope(y, wiring.curves, OUTPUT) * rate)
    for k in range(shape.outputs):
        off = abs(targets[k] - learner.y[k])
        worst = max(worst, off)
        mean += off
    return worst, mean / shape.outputs


_by_one, _by_two, _by_four = xor_lanes(1), xor_lanes(2), xor_lanes(4)


@jit_borrowed
def in_one_vector(x, size):
    """Whether every block of so many cells lies in one vector, as `block_sums` needs it."""
    return size in (1, 2, 4, 8) and size <= width(x)


@jit_borrowed
def block_sums(x, size):
    """The vector of the sums over blocks of 1, 2, 4 or 8 lanes, in every lane of them."""
    if size > 1:
        x = x + _by_one(x)
    if size > 2:
        x = x + _by_two(x)
    return x + _by_four(x) if size > 4 else x


@jit_borrowed
def sum_blocks(x, start, cells, size):
    """The same in memory, for blocks of any size: every number becomes the sum over its block."""
    for v in range(start, start + cells, size):
        found = x[v]
        for u in range(1, size):
            found += x[v + u]
        for u in range(size):
            x[v + u] = found


@jit_borrowed
def to_hidden(learner, now, wiring, shape):
    """d <- errors of states, output gates and plain units; needs the weights before they change."""
    w, activations, d, e, columns, active = (
        learner.w,
        learner.activations,
        learner.d,
        learner.e,
        shape.columns,
        mask(_ALL),
    )
    whole = in_one_vector(d, shape.size)
    for j in range(0, shape.lanes, width(d)):
        below = broadcast(d, 0.0)
        for v in range(j, min(j + width(d), shape.cells)):
            below = insert(below, v - j, dot(w, shape.readout + v * columns, e, 0, columns))
        h = load(activations, now + shape.h + j, active)
        state = below * curve_slope(h, wiring.curves, H)
        if shape.out:
            gate = load(activations, now + shape.out + j, active)
            state = state * gate
            store(d, shape.out + j, active, block_sums(below * h * (gate - gate * gate), shape.size if whole else 1))
        store(d, shape.s + j, active, state)
    if shape.out and not whole:
        sum_blocks(d, shape.out, shape.cells, shape.size)
    start = shape.readout + shape.cells * columns
    for j in range(0, shape.row - shape.hidden if shape.hidden else 0, width(d)):
        below = broadcast(d, 0.0)
        for p in range(j, min(j + width(d), shape.plain)):
            below = insert(below, p - j, dot(w, start + p * columns, e, 0, columns))
        y = load(activations, now + shape.hidden + j, active)
        store(d, shape.hidden + j, active, below * (y - y * y))


# -- changes -------------------------------------------------------------------------------------------------------------------


@jit_borrowed
def add_change(learner, place, step):
    """The packed weights from `place` on take the step, a vector."""
    w, velocity, active = learner.w, learner.velocity, mask(_ALL)
    if velocity.size:
        step = step + load(velocity, place, active) * learner.rates[MOMENTUM]
        store(velocity, place, active, step)
    store(w, place, active, load(w, place, active) + step)


@jit_borrowed
def change_readout(learner, now, count, shape):
    """One step of the weights of the outputs."""
    columns, activations, fixed = shape.columns, learner.activations, shape.recurrent + 1
    for j in range(0, columns, width(activations)):
        e, at = load(learner.e, j, mask(_ALL)), shape.readout + j
        for v in range(shape.cells):
            add_change(learner, at + v * columns, e * item(activations, now + shape.y + v))
        at += shape.cells * columns
        for p in range(shape.plain):
            add_change(learner, at + p * columns, e * item(activations, now + shape.hidden + p))
        at += shape.plain * columns
        if shape.output_bias:
            add_change(learner, at, e)
        if shape.shortcut:
            everything = learner.velocity.size > 0
            rows = learner.active if everything else learner.sources
            for k in range(fixed, learner.place[0] if everything else fixed + count):
                add_change(learner, at + (rows[k] - shape.recurrent) * columns, e * learner.present[rows[k]])


@jit_borrowed
def change_hidden(learner, shape):
    """One step of the weights of the hidden layer, source after source."""
    traces, d, active = learner.traces, learner.d, mask(_ALL)
    n, row, kinds = shape.lanes, shape.row, shape.kinds
    whole = in_one_vector(d, shape.size)
    for j in range(0, n, width(d)):
        state, out = load(d, shape.s + j, active), load(d, shape.out + j, active)
        for k in range(learner.place[0]):
            source = item(learner.active, k)
            at, place = source * kinds * n + j, source * row + j
            add_change(learner, place, state * load(traces, at, active))
            if whole:
                add_change(learner, place + n, block_sums(state * load(traces, at + n, active), shape.size))
                if shape.forget:
                    by_forget = state * load(traces, at + 2 * n, active)
                    add_change(learner, place + shape.forget, block_sums(by_forget, shape.size))
            if shape.out:
                add_change(learner, place + shape.out, out * item(learner.present, source))
    if not whole:
        change_long_blocks(learner, shape)
    for j in range(shape.hidden, row if shape.hidden else 0, width(d)):
        plain = load(d, j, active)
        for k in range(learner.place[0]):
            source = item(learner.active, k)
            add_change(learner, source * row + j, plain * item(learner.present, source))
    if learner.free.size:  # biases that do not exist stay zero
        for j in range(0, row, width(d)):
            place = shape.recurrent * row + j
            store(learner.w, place, active, load(learner.w, place, active) * load(learner.free, j, active))


@jit_borrowed
def change_long_blocks(learner, shape):
    """Of the weights of input and forget gates, where blocks do not fit into a vector."""
    n, kinds = shape.lanes, shape.kinds
    for k in range(learner.place[0]):
        source = item(learner.active, k)
        change_shared(learner, source * shape.row + n, learner.traces, source * kinds * n + n, shape)
        if shape.forget:
            place = source * shape.row + shape.forget
            change_shared(learner, place, learner.traces, source * kinds * n + 2 * n, shape)


@jit_borrowed
def change_shared(learner, place, traces, at, shape):
    """One step of the weights from `place` on, a lane a cell, which the cells of a block share."""
    change, d, active, n = learner.change, learner.d, mask(_ALL), shape.lanes
    for j in range(0, n, width(d)):
        store(change, j, active, load(d, shape.s + j, active) * load(traces, at + j, active))
    sum_blocks(change, 0, shape.cells, shape.size)
    for j in range(0, n, width(d)):
        add_change(learner, place + j, load(change, j, active))


@jit_borrowed
def change_peepholes(learner, now, wiring, shape):
    """One step of the peephole weights."""
    d, traces, active, n = learner.d, learner.peephole_traces, mask(_ALL), shape.lanes
    whole, kind = in_one_vector(d, shape.size), shape.size * shape.lanes
    for at in range(0, kind, width(d)):
        j, place = at % n, shape.peepholes + at
        if whole:
            state = load(d, shape.s + j, active)
            add_change(learner, place, block_sums(state * load(traces, at, active), shape.size))
            if shape.forget:
                add_change(learner, place + kind, block_sums(state * load(traces, at + kind, active), shape.size))
        if shape.out:
            seen = block_states(learner.activations, now + shape.s, at, wiring, shape)
            add_change(learner, place + 2 * kind, load(d, shape.out + j, active) * seen)
    if not whole:
        for at in range(0, kind, n):
            change_shared(learner, shape.peepholes + at, traces, at, shape)
            if shape.forget:
                change_shared(learner, shape.peepholes + kind + at, traces, kind + at, shape)


@jit_borrowed
def correct(learner, lesson, now, before, place, b, count, wiring, shape):
    """Outputs of a time step that counts, and one step of all weights; gives the largest and the mean error."""
    for k in range(shape.recurrent):
        put(learner.present, k, item(learner.activations, before + item(wiring.seen, k)))
    inputs = learner.sources[shape.recurrent + 1 :]
    read(learner.y, learner.activations, now, learner.w, inputs, learner.values, count, wiring, shape)
    found = output_errors(learner, lesson, place, b, wiring, shape)
    to_hidden(learner, now, wiring, shape)
    change_readout(learner, now, count, shape)
    change_hidden(learner, shape)
    if shape.peepholes:
        change_peepholes(learner, now, wiring, shape)
    return found
