"""The kernels under all online rules: one time step after the other, for every cell, rule and loss.

A network of one layer has a state s(t) (k, H), parameters w of its cell, and a readout y(t) of its units. Every rule
carries some form of the influence ds(t)/dw forward in time and multiplies it by the gradient of the loss of the time
step::

    dE(t)/dw = dE(t)/ds(t)  ds(t)/dw

At every time step

1. the cell's `time_step` computes the new state and its linearisation (`rnnsim.cells.interface.Linearised`);
2. the rule's `advance` carries its influence through the linearisation;
3. the readout computes y, the loss and dE/ds; its own gradient is exact and is added at once;
4. the rule's `credit` adds its gradient of the cell's parameters.

Cells and rules are called through pointers, with one type of `Storage` for all rules, so these kernels are compiled
once. The contract of a rule is `rnnsim.learning.online.contract.OnlineRule`.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel, linked, pointer_call
from rnnsim.core.registry import require
from rnnsim.core.vmath import exp, sigmoid, softplus
from rnnsim.learning.online.linearisation import fill_sources
from rnnsim.learning.online.structure import Structure

SQUARED, BERNOULLI, SOFTMAX = range(3)


class Flow(NamedTuple):
    """One stream at one time step, as the kernels of the rules see it."""

    linear: Linearised
    theta: np.ndarray  # all parameters of the network
    gradient: np.ndarray  # like theta
    x: np.ndarray  # (I)
    before: np.ndarray  # (k, H) the state before the time step
    sources: np.ndarray  # the values that the parameters weigh
    credit: np.ndarray  # (H) dE/dh of this time step
    error: np.ndarray  # (K) dE/dy of this time step
    work: np.ndarray  # scratch of the cell and the rule; the last K numbers are the targets of this time step, or 0
    structure: Structure


class Storage(NamedTuple):
    """The arrays of a rule in one type for all rules; the rule gives them their names by a NamedTuple of its own.

    The engine fills it from what the rule's ``memory(...)`` returns (`stored`); every array is one stream's here, and
    an array that the rule does not have is empty. `integers` and `constants` are shared by all streams.
    """

    first: np.ndarray  # 2-D
    second: np.ndarray  # 2-D
    third: np.ndarray  # 2-D
    stack: np.ndarray  # 3-D
    integers: np.ndarray  # 1-D, int64
    constants: np.ndarray  # 1-D
    clock: np.ndarray  # (2) int64: key of the stream's random numbers, time step


def stored(memory, streams, dtype):
    """The `Storage` of all streams, stream first, from a rule's own NamedTuple of arrays; nothing is copied.

    The first three arrays (S, m, n) become `first`, `second` and `third` in their order, an array (S, m, n, o)
    `stack`, a vector of integers `integers`, a vector of numbers `constants`. The field `clock`, if there is one, is
    left to the engine.

    >>> class Traces(NamedTuple):
    ...     traces: np.ndarray
    ...     runs: np.ndarray
    >>> found = stored(Traces(np.ones((2, 3, 4)), np.array([7])), 2, np.dtype(float))
    >>> found.first.shape, found.second.shape, found.integers
    ((2, 3, 4), (2, 0, 0), array([7]))
    """
    arrays = [array for name, array in memory._asdict().items() if name != "clock"]
    matrices = [array for array in arrays if array.ndim == 3 and array.dtype == dtype]
    stacks = [array for array in arrays if array.ndim == 4 and array.dtype == dtype]
    integers = [array for array in arrays if array.ndim == 1 and array.dtype == np.int64]
    constants = [array for array in arrays if array.ndim == 1 and array.dtype == dtype]
    placed = len(matrices) + len(stacks) + len(integers) + len(constants)
    fits = len(matrices) <= 3 and max(len(stacks), len(integers), len(constants)) <= 1 and placed == len(arrays)
    require(fits, f"{type(memory).__name__}: expected at most three arrays (S, m, n), one (S, m, n, o) and two vectors")
    matrices += [np.zeros((streams, 0, 0), dtype) for _ in range(3 - len(matrices))]
    stacks += [np.zeros((streams, 0, 0, 0), dtype)]
    integers += [np.zeros(0, np.int64)]
    constants += [np.zeros(0, dtype)]
    return Storage(*matrices, stacks[0], integers[0], constants[0], np.zeros((streams, 2), np.int64))


call_cell = pointer_call(6)
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
def time_step_loss(error, y, target, kind, scale):
    """Loss of one time step, times scale, and error (K) <- its gradient; as in `rnnsim.core.losses`."""
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
    """credit (H) <- dE/dh; gradient += the readout's own gradient."""
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


# -- one stream through time ----------------------------------------------------------------------------------------------------


@jit_borrowed
def unroll(
    flow,
    storage,
    state,
    xs,
    targets,
    weights,
    outputs,
    cell,
    advance,
    credit,
    forget,
    finish,
    kind,
    scale,
    rate,
    forced,
):
    """One stream through xs (T, I): changes state (k, H), fills outputs (T, K), returns the loss.

    The gradient is added to flow.gradient. With a rate above 0 every time step that counts ends with theta -= rate *
    gradient instead, and the gradient is cleared. With `forced` every time step that counts sets the units that are
    the outputs to their targets, after the error is taken and before the next time step sees them, and `forget`
    clears their influence (Williams & Zipser 1989). `finish` is called at the end and before every change of theta: a
    rule that collects time steps adds what is missing from the gradient there.
    """
    hidden, loss = state.shape[1], 0.0
    labels = flow.work[flow.work.size - targets.shape[1] :]
    structure, linear = flow.structure, flow.linear
    for t in range(xs.shape[0]):
        forces = forced and weights[t] != 0
        for i in range(flow.x.size):
            flow.x[i] = xs[t, i]
        for k in range(labels.size):
            labels[k] = targets[t, k] if weights[t] != 0 else 0
        for p in range(state.shape[0]):
            for j in range(hidden):
                flow.before[p, j] = state[p, j]
        if structure.delayed:
            read_out(outputs[t], flow, flow.before[0], hidden)
            if forces:
                for k in range(targets.shape[1]):
                    flow.before[0, k] = targets[t, k]
        call_cell(cell, linear, flow.theta, flow.x, flow.before, flow.work, structure)
        fill_sources(flow)
        if not structure.delayed:
            call_rule(advance, flow, storage)
        for p in range(state.shape[0]):
            for j in range(hidden):
                state[p, j] = linear.state[p, j]
        h = flow.before[0] if structure.delayed else state[0]
        if not structure.delayed:
            read_out(outputs[t], flow, h, hidden)
        if weights[t] != 0:
            loss += time_step_loss(flow.error, outputs[t], targets[t], kind, weights[t] * scale)
            readout_backward(flow, h, hidden)
            call_rule(credit, flow, storage)
        if forces:
            call_rule(forget, flow, storage)
        if structure.delayed:
            call_rule(advance, flow, storage)
        elif forces:
            for k in range(targets.shape[1]):
                state[0, k] = targets[t, k]
        if rate > 0:
            call_rule(finish, flow, storage)
            if weights[t] != 0:
                for i in range(flow.theta.size):
                    flow.theta[i] -= rate * flow.gradient[i]
                    flow.gradient[i] = 0
        storage.clock[1] += 1
    call_rule(finish, flow, storage)
    return loss


# -- many streams ---------------------------------------------------------------------------------------------------------------


class Streams(NamedTuple):
    """The arrays of `Flow` for S streams, stream first, and the states."""

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
    """The `Flow` of one stream; `every` is the `Linearised` of all streams."""
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
def storage_of(m, s):
    """The arrays of one stream."""
    return Storage(m.first[s], m.second[s], m.third[s], m.stack[s], m.integers, m.constants, m.clock[s])


@jit_exact
def unroll_streams(
    losses, streams, linear, structure, storage, xs, targets, weights, outputs, calls, kind, scale, rate, forced, lo, hi
):
    """Streams lo..hi through xs (S, T, I); calls holds the pointers of time step, advance, credit, forget, finish."""
    for s in range(lo, hi):
        losses[s] = unroll(
            flow_of(streams, linear, structure, s),
            storage_of(storage, s),
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


_unroll_streams = linked(unroll_streams)


@jit_parallel
def unroll_streams_parallel(
    losses, streams, linear, structure, storage, xs, targets, weights, outputs, calls, kind, scale, rate, forced, chunks
):
    """`unroll_streams` of all S streams, in `chunks` side by side.

    losses (S), xs (S, T, I), targets (S, T, K), weights (S, T), outputs (S, T, K).
    """
    for chunk in numba.prange(chunks):
        lo, hi = losses.size * chunk // chunks, losses.size * (chunk + 1) // chunks
        _unroll_streams(
            losses, streams, linear, structure, storage, xs, targets, weights, outputs, calls, kind, scale, rate, forced,
            lo, hi,
        )  # fmt: skip


@jit_exact
def nothing(flow, storage):
    """A duty that the rule does not have."""
