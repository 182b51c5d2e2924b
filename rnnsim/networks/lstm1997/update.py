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
    # a row a time step: two of them in turn, now and before, or those of a stretch after the one before it
    activations: np.ndarray
    # of a stretch, a row a time step: what a source's value is multiplied by in its eligibility traces
    factors: np.ndarray
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
def output_errors(learner, lesson, place, b, tables, sizes):
    """e <- errors of the outputs of a time step; gives the largest and the mean distance between output and target."""
    e, worst, mean = learner.e, 0.0, 0.0
    rate = learner.rates[RATE]
    if lesson.weights.size:
        rate = rate * lesson.weights[place, b]
    targets = lesson.targets[place, b]
    for j in range(0, sizes.columns, width(e)):
        active = mask(sizes.outputs - j)
        y = load(learner.y, j, active)
        off = load(targets, j, active) - y
        store(e, j, mask(_ALL), off * curve_slope(y, tables.curves, OUTPUT) * rate)
    for k in range(sizes.outputs):
        off = abs(targets[k] - learner.y[k])
        worst = max(worst, off)
        mean += off
    return worst, mean / sizes.outputs


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
def to_hidden(learner, now, tables, sizes):
    """d <- errors of states, output gates and plain units; needs the weights before they change."""
    w, activations, d, e, columns, active = (
        learner.w,
        learner.activations,
        learner.d,
        learner.e,
        sizes.columns,
        mask(_ALL),
    )
    whole = in_one_vector(d, sizes.size)
    for j in range(0, sizes.lanes, width(d)):
        below = broadcast(d, 0.0)
        for v in range(j, min(j + width(d), sizes.cells)):
            below = insert(below, v - j, dot(w, sizes.readout + v * columns, e, 0, columns))
        h = load(activations, now + sizes.h + j, active)
        state = below * curve_slope(h, tables.curves, H)
        if sizes.out:
            gate = load(activations, now + sizes.out + j, active)
            state = state * gate
            store(d, sizes.out + j, active, block_sums(below * h * (gate - gate * gate), sizes.size if whole else 1))
        store(d, sizes.s + j, active, state)
    if sizes.out and not whole:
        sum_blocks(d, sizes.out, sizes.cells, sizes.size)
    start = sizes.readout + sizes.cells * columns
    for j in range(0, sizes.row - sizes.hidden if sizes.hidden else 0, width(d)):
        below = broadcast(d, 0.0)
        for p in range(j, min(j + width(d), sizes.plain)):
            below = insert(below, p - j, dot(w, start + p * columns, e, 0, columns))
        y = load(activations, now + sizes.hidden + j, active)
        store(d, sizes.hidden + j, active, below * (y - y * y))


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
def change_readout(learner, now, count, sizes):
    """One step of the weights of the outputs."""
    columns, activations, fixed = sizes.columns, learner.activations, sizes.recurrent + 1
    for j in range(0, columns, width(activations)):
        e, at = load(learner.e, j, mask(_ALL)), sizes.readout + j
        for v in range(sizes.cells):
            add_change(learner, at + v * columns, e * item(activations, now + sizes.y + v))
        at += sizes.cells * columns
        for p in range(sizes.plain):
            add_change(learner, at + p * columns, e * item(activations, now + sizes.hidden + p))
        at += sizes.plain * columns
        if sizes.output_bias:
            add_change(learner, at, e)
        if sizes.shortcut:
            everything = learner.velocity.size > 0
            rows = learner.active if everything else learner.sources
            for k in range(fixed, learner.place[0] if everything else fixed + count):
                add_change(learner, at + (rows[k] - sizes.recurrent) * columns, e * learner.present[rows[k]])


@jit_borrowed
def change_hidden(learner, sizes):
    """One step of the weights of the hidden layer, source after source."""
    traces, d, active = learner.traces, learner.d, mask(_ALL)
    n, row, kinds = sizes.lanes, sizes.row, sizes.kinds
    whole = in_one_vector(d, sizes.size)
    for j in range(0, n, width(d)):
        state, out = load(d, sizes.s + j, active), load(d, sizes.out + j, active)
        for k in range(learner.place[0]):
            source = item(learner.active, k)
            at, place = source * kinds * n + j, source * row + j
            add_change(learner, place, state * load(traces, at, active))
            if whole:
                add_change(learner, place + n, block_sums(state * load(traces, at + n, active), sizes.size))
                if sizes.forget:
                    by_forget = state * load(traces, at + 2 * n, active)
                    add_change(learner, place + sizes.forget, block_sums(by_forget, sizes.size))
            if sizes.out:
                add_change(learner, place + sizes.out, out * item(learner.present, source))
    if not whole:
        change_long_blocks(learner, sizes)
    for j in range(sizes.hidden, row if sizes.hidden else 0, width(d)):
        plain = load(d, j, active)
        for k in range(learner.place[0]):
            source = item(learner.active, k)
            add_change(learner, source * row + j, plain * item(learner.present, source))
    if learner.free.size:  # biases that do not exist stay zero
        for j in range(0, row, width(d)):
            place = sizes.recurrent * row + j
            store(learner.w, place, active, load(learner.w, place, active) * load(learner.free, j, active))


@jit_borrowed
def change_long_blocks(learner, sizes):
    """Of the weights of input and forget gates, where blocks do not fit into a vector."""
    n, kinds = sizes.lanes, sizes.kinds
    for k in range(learner.place[0]):
        source = item(learner.active, k)
        change_shared(learner, source * sizes.row + n, learner.traces, source * kinds * n + n, sizes)
        if sizes.forget:
            place = source * sizes.row + sizes.forget
            change_shared(learner, place, learner.traces, source * kinds * n + 2 * n, sizes)


@jit_borrowed
def change_shared(learner, place, traces, at, sizes):
    """One step of the weights from `place` on, a lane a cell, which the cells of a block share."""
    change, d, active, n = learner.change, learner.d, mask(_ALL), sizes.lanes
    for j in range(0, n, width(d)):
        store(change, j, active, load(d, sizes.s + j, active) * load(traces, at + j, active))
    sum_blocks(change, 0, sizes.cells, sizes.size)
    for j in range(0, n, width(d)):
        add_change(learner, place + j, load(change, j, active))


@jit_borrowed
def change_peepholes(learner, now, tables, sizes):
    """One step of the peephole weights."""
    d, traces, active, n = learner.d, learner.peephole_traces, mask(_ALL), sizes.lanes
    whole, kind = in_one_vector(d, sizes.size), sizes.size * sizes.lanes
    for at in range(0, kind, width(d)):
        j, place = at % n, sizes.peepholes + at
        if whole:
            state = load(d, sizes.s + j, active)
            add_change(learner, place, block_sums(state * load(traces, at, active), sizes.size))
            if sizes.forget:
                add_change(learner, place + kind, block_sums(state * load(traces, at + kind, active), sizes.size))
        if sizes.out:
            seen = block_states(learner.activations, now + sizes.s, at, tables, sizes)
            add_change(learner, place + 2 * kind, load(d, sizes.out + j, active) * seen)
    if not whole:
        for at in range(0, kind, n):
            change_shared(learner, sizes.peepholes + at, traces, at, sizes)
            if sizes.forget:
                change_shared(learner, sizes.peepholes + kind + at, traces, kind + at, sizes)


@jit_borrowed
def correct(learner, lesson, now, before, place, b, count, tables, sizes):
    """Outputs of a time step that counts, and one step of all weights; gives the largest and the mean error."""
    for k in range(sizes.recurrent):
        put(learner.present, k, item(learner.activations, before + item(tables.seen, k)))
    inputs = learner.sources[sizes.recurrent + 1 :]
    read(learner.y, learner.activations, now, learner.w, inputs, learner.values, count, tables, sizes)
    found = output_errors(learner, lesson, place, b, tables, sizes)
    to_hidden(learner, now, tables, sizes)
    change_readout(learner, now, count, sizes)
    change_hidden(learner, sizes)
    if sizes.peepholes:
        change_peepholes(learner, now, tables, sizes)
    return found
