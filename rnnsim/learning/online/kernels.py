"""Learning while the sequence runs: the engine under all online rules.

A network of one layer with state s(t) (k, H), parameters w of its cell, and a readout y(t) of the units. Every rule carries some
form of the influence ds(t)/dw forward in time and meets it with the gradient of the loss of this tick::

    dE(t)/dw = dE(t)/ds(t)  ds(t)/dw

A tick of the engine, in one kernel for all cells, rules and losses:

1. the cell's `time_step` gives the new state and its linearisation (`rnnsim.cells.interface.Linearised`);
2. the rule's `advance` takes its influence through the linearisation;
3. the readout gives y, the loss, and with it dE/ds; the readout's own gradient is exact and added at once;
4. the rule's `credit` adds its gradient of the cell's parameters.

Cells and rules are called through pointers, so the engine is compiled once. Parameters are told by two tables: parameter i is
the weight of `source[i]` in the pre-activation `unit[i]`, so that da[unit]/dw_i is the source's value. Sources are the input
(I), the recurrent inputs of all groups (G*H), the peephole inputs, and a constant 1.

A rule is a class with numbered duties, at `OnlineRule`.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel, linked, pointer_call
from rnnsim.core.vmath import exp, sigmoid, softplus
from rnnsim.learning.online.linearisation import fill_sources

SQUARED, BERNOULLI, SOFTMAX = range(3)


class Structure(NamedTuple):
    """What the engine and the rules must know of a network; the same for all its streams."""

    unit: np.ndarray  # (P) int32: pre-activation g*H + j that parameter i of the cell acts on
    source: np.ndarray  # (P) int32: which source it weighs
    recurrent: np.ndarray  # (G) offset in theta of the group's (H, H) recurrent block, -1 for none
    peephole_group: np.ndarray  # (rows of the peephole parameter) the group that each acts on
    places: (
        np.ndarray
    )  # (10) offsets in theta of weight_ih, weight_hh, bias_ih, bias_hh, weight_peephole, -1: none; sizes
    options: np.ndarray  # (8) of the cell's time step, whole numbers
    numbers: np.ndarray  # (4) of the cell's time step
    first: int  # offset in theta of the cell's parameters
    readout: int  # offset in theta of weight_out, bias_out; -1: the first units are the outputs
    gate_dependent: bool  # whether a recurrent input depends on another pre-activation
    delayed: bool  # whether the readout sees the state before the tick


class Flow(NamedTuple):
    """One stream: the network at one tick."""

    linear: Linearised
    theta: np.ndarray  # all parameters of the network
    gradient: np.ndarray  # like theta
    x: np.ndarray  # (I)
    before: np.ndarray  # (k, H) the state before the tick
    sources: np.ndarray  # what the parameters weigh
    credit: np.ndarray  # (H) dE/dh of this tick
    error: np.ndarray  # (K) dE/dy of this tick
    work: np.ndarray  # scratch of the cell and the rule; the last K numbers are the targets of this tick, or 0
    structure: Structure


class Memory(NamedTuple):
    """What a rule carries from tick to tick; each rule says what stands where."""

    a: np.ndarray  # 2-D
    b: np.ndarray  # 2-D
    c: np.ndarray  # 2-D
    panels: np.ndarray  # 3-D, packed
    whole: np.ndarray  # int64
    numbers: np.ndarray  # 1-D
    clock: np.ndarray  # (2) int64: key of the stream's random numbers, tick


call_tick = pointer_call(6)
call_rule = pointer_call(2)


# -- readout and loss -----------------------------------------------------------------------------------------------------------


@jit_borrowed
def read_out(y, flow, h, hidden):
    """y (K) from the units h (H)."""
    place, outputs = flow.structure.readout, y.size
    for k in range(outputs):
        if place < 0:
            y[k] = h[k]
        else:
            total = flow.theta[place + outputs * hidden + k]
            row = flow.theta[place + k * hidden : place + (k + 1) * hidden]
            for j in range(hidden):
                total += row[j] * h[j]
            y[k] = total


@jit_borrowed
def loss_of_tick(error, y, target, kind, scale):
    """Loss of one tick, times scale, and error (K) <- its gradient; as in `rnnsim.core.losses`."""
    loss, n = 0.0, y.size
    if kind == SQUARED:
        for k in range(n):
            d = y[k] - target[k]
            loss += d * d
            error[k] = 2 * d * scale
    elif kind == BERNOULLI:
        for k in range(n):
            wrong = target[k] if y[k] < 0 else 1 - target[k]
            loss += abs(y[k]) * wrong + softplus(-abs(y[k]))
            error[k] = (sigmoid(y[k]) - target[k]) * scale
    else:
        top = y[0]
        for k in range(1, n):
            top = max(top, y[k])
        total, mass = 0.0, 0.0
        for k in range(n):
            error[k] = exp(y[k] - top)
            total += error[k]
            mass += target[k]
        for k in range(n):
            if target[k] != 0:
                loss -= target[k] * (y[k] - top - np.log(total))
            error[k] = (error[k] / total * mass - target[k]) * scale
    return loss * scale


@jit_borrowed
def readout_backward(flow, h, hidden):
    """credit (H) <- dE/dh, and the readout's own gradient is added."""
    place, outputs = flow.structure.readout, flow.error.size
    for j in range(hidden):
        flow.credit[j] = 0
    for k in range(outputs):
        e = flow.error[k]
        if place < 0:
            flow.credit[k] = e
            continue
        start = place + k * hidden
        row, d_row = flow.theta[start : start + hidden], flow.gradient[start : start + hidden]
        for j in range(hidden):
            flow.credit[j] += e * row[j]
            d_row[j] += e * h[j]
        flow.gradient[place + outputs * hidden + k] += e


# -- the walk -----------------------------------------------------------------------------------------------------------------


@jit_borrowed
def walk(
    flow, memory, state, xs, targets, weights, outputs, cell, advance, credit, forget, finish, kind, scale, rate, forced
):
    """One stream through xs (T, I): state (k, H) goes on, outputs (T, K) are filled; gives the loss.

    The gradient is added up in flow.gradient, or with a rate above 0 used at every tick that counts, theta -= rate *
    gradient, and cleared. With `forced` the units that are the outputs are set to their targets, at every tick that counts,
    once the error has been taken and before the next tick sees them, and `forget` clears their influence (Williams & Zipser
    1989).
    `finish` ends the walk, and comes before every change of theta: a rule that gathers ticks settles them there.
    """
    hidden, loss = state.shape[1], 0.0
    labels = flow.work[flow.work.size - targets.shape[1] :]
    structure, linear = flow.structure, flow.linear
    for t in range(xs.shape[0]):
        teach = forced and weights[t] != 0
        for i in range(flow.x.size):
            flow.x[i] = xs[t, i]
        for k in range(labels.size):
            labels[k] = targets[t, k] if weights[t] != 0 else 0
        for p in range(state.shape[0]):
            for j in range(hidden):
                flow.before[p, j] = state[p, j]
        if structure.delayed:
            read_out(outputs[t], flow, flow.before[0], hidden)
            if teach:
                for k in range(targets.shape[1]):
                    flow.before[0, k] = targets[t, k]
        call_tick(cell, linear, flow.theta, flow.x, flow.before, flow.work, structure)
        fill_sources(flow)
        if not structure.delayed:
            call_rule(advance, flow, memory)
        for p in range(state.shape[0]):
            for j in range(hidden):
                state[p, j] = linear.state[p, j]
        h = flow.before[0] if structure.delayed else state[0]
        if not structure.delayed:
            read_out(outputs[t], flow, h, hidden)
        if weights[t] != 0:
            loss += loss_of_tick(flow.error, outputs[t], targets[t], kind, weights[t] * scale)
            readout_backward(flow, h, hidden)
            call_rule(credit, flow, memory)
        if teach:
            call_rule(forget, flow, memory)
        if structure.delayed:
            call_rule(advance, flow, memory)
        elif teach:
            for k in range(targets.shape[1]):
                state[0, k] = targets[t, k]
        if rate > 0:
            call_rule(finish, flow, memory)
            if weights[t] != 0:
                for i in range(flow.theta.size):
                    flow.theta[i] -= rate * flow.gradient[i]
                    flow.gradient[i] = 0
        memory.clock[1] += 1
    call_rule(finish, flow, memory)
    return loss


# -- many streams ---------------------------------------------------------------------------------------------------------------


class Streams(NamedTuple):
    """The arrays of `Flow` for S streams, with the stream as first axis, and the states."""

    theta: np.ndarray  # (1 or S, parameters): one for all, or one for each
    gradient: np.ndarray
    x: np.ndarray
    before: np.ndarray
    sources: np.ndarray
    credit: np.ndarray
    error: np.ndarray
    work: np.ndarray
    state: np.ndarray  # (S, k, H)


@jit_exact
def flow_of(streams, every, structure, s):
    """The arrays of one stream; `every` is the `Linearised` of all."""
    linear = Linearised(
        every.state[s],
        every.direct[s],
        every.gain[s],
        every.recurrent_input[s],
        every.recurrent_input_direct[s],
        every.recurrent_input_gain[s],
        every.peephole_input[s],
    )
    return Flow(
        linear,
        streams.theta[s if streams.theta.shape[0] > 1 else 0],
        streams.gradient[s],
        streams.x[s],
        streams.before[s],
        streams.sources[s],
        streams.credit[s],
        streams.error[s],
        streams.work[s],
        structure,
    )


@jit_exact
def memory_of(m, s):
    """What the rule carries for one stream."""
    return Memory(m.a[s], m.b[s], m.c[s], m.panels[s], m.whole, m.numbers, m.clock[s])


@jit_exact
def walk_streams(
    losses, streams, linear, structure, memory, xs, targets, weights, outputs, calls, kind, scale, rate, forced, lo, hi
):
    """Streams lo..hi through xs (S, T, I); calls holds the pointers of tick, advance, credit, forget, finish."""
    for s in range(lo, hi):
        losses[s] = walk(
            flow_of(streams, linear, structure, s),
            memory_of(memory, s),
            streams.state[s],
            xs[s],
            targets[s],
            weights[s],
            outputs[s],
            calls[0],
            calls[1],
            calls[2],
            calls[3],
            calls[4],
            kind,
            scale,
            rate,
            forced,
        )


_walk_streams = linked(walk_streams)


@jit_parallel
def walk_streams_parallel(
    losses, streams, linear, structure, memory, xs, targets, weights, outputs, calls, kind, scale, rate, forced, tasks
):
    """`walk_streams` of all S streams in `tasks` blocks side by side.

    losses (S), xs (S, T, I), targets (S, T, K), weights (S, T), outputs (S, T, K).
    """
    for task in numba.prange(tasks):
        lo, hi = losses.size * task // tasks, losses.size * (task + 1) // tasks
        _walk_streams(
            losses, streams, linear, structure, memory, xs, targets, weights, outputs, calls, kind, scale, rate, forced,
            lo, hi,
        )  # fmt: skip


@jit_exact
def nothing(flow, memory):
    """A rule's duty that has nothing to do."""
