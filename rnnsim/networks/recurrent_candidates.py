"""Many candidates for the weights of one layer of plain units, in one kernel: a candidate is a lane of a vector.

The network is one layer of `rnn` without leak and input delay whose first units are the outputs (readout=units), the loss the
squared error of one target a sequence. A whole vector of candidates runs through one sequence; a block of candidates is tested on
one sequence of the batch after the other, and the survivors are packed together before the next sequence. Blocks run in
parallel. A candidate has the same bits in every lane.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.cells.fully_recurrent import LOGISTIC, RECTIFIER, SATURATED, TANH
from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.core.registry import require
from rnnsim.core.simd import broadcast, clip, load, mask, store, width
from rnnsim.core.threads import parallel_region
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.networks.candidates import DrawnCandidates, Tested, drawn_weight

BLOCK = 128  # candidates whose survivors are packed together
AT_ONCE = 16 * BLOCK  # candidates of one parallel call


class Connections(NamedTuple):
    """The connections of the layer, unit by unit."""

    begins: np.ndarray  # (H + 1) connections begins[i] .. begins[i + 1] - 1 lead into unit i,
    middles: np.ndarray  # (H) those from middles[i] on from units at the same time step
    sources: np.ndarray  # (C) 0: the constant 1; 1 .. I: inputs; I + 1 ..: units at the time step before
    places: np.ndarray  # (C) in theta
    order: np.ndarray  # (H) in which units are computed
    kind: int  # of the activation


class Draw(NamedTuple):
    """Where the weights of candidates come from: the rows of `thetas`, or where it has none, a generator."""

    thetas: np.ndarray  # (N, P) or (0, P)
    drawn: np.ndarray  # (C) whether the weight is drawn; else it is that of theta
    theta: np.ndarray  # (P)
    key: np.uint64
    first: int  # number of the first candidate
    weight_range: float


class Examples(NamedTuple):
    """What candidates are tested on."""

    inputs: np.ndarray  # (B, T, I)
    targets: np.ndarray  # (B, K)
    lengths: np.ndarray  # (B)
    tolerance: float  # of an output that is right; infinity: no candidate is dropped


class Scratch(NamedTuple):
    """Work space of a block; L lanes of a vector, S = 1 + I + H sources."""

    weights: np.ndarray  # (N, C) of every candidate
    vectors: np.ndarray  # (C * L) of those of one vector
    values: np.ndarray  # (2, S * L)
    alive: np.ndarray  # (N)


@jit_exact
def fill_weights(weights, connections, draw, start):
    """weights (N, C) <- those of candidates start .. start + N - 1 of the population."""
    for n in range(weights.shape[0]):
        for c in range(connections.sources.size):
            place = connections.places[c]
            if draw.thetas.shape[0] > 0:
                weights[n, c] = draw.thetas[start + n, place]
            elif draw.drawn[c]:
                weights[n, c] = drawn_weight(draw.key, draw.first + start + n, place, draw.weight_range)
            else:
                weights[n, c] = draw.theta[place]


@jit_exact
def fill_vectors(scratch, low, count):
    """vectors (C * L) <- the weights of candidates alive[low ..] of the block, a lane each; gives how many there are."""
    lanes = width(scratch.vectors)
    there = min(lanes, count - low)
    for lane in range(lanes):
        n = scratch.alive[low + min(lane, there - 1)]
        for c in range(scratch.weights.shape[1]):
            scratch.vectors[c * lanes + lane] = scratch.weights[n, c]
    return there


@jit_exact
def unroll(values, weights, connections, x, length):
    """One vector of candidates through one sequence x (T, I), from zero states.

    values (2, S * L): the constant, the inputs and the units, L lanes each, of this time step and the one before;
    weights (C * L).
    Gives the row of `values` with the final units.
    """
    lanes, active, now = width(weights), mask(width(weights)), 0
    inputs, units = x.shape[1], connections.begins.size - 1
    for k in range(values.shape[1]):
        values[0, k] = 0
        values[1, k] = 0
    for row in range(2):
        for lane in range(lanes):
            values[row, lane] = 1
    for t in range(length):
        old, new = values[now], values[1 - now]
        for i in range(inputs):
            store(old, (1 + i) * lanes, active, broadcast(old, x[t, i]))
        for k in range(units):
            unit = connections.order[k]
            s = broadcast(weights, 0.0)
            for c in range(connections.begins[unit], connections.middles[unit]):
                s = s + load(weights, c * lanes, active) * load(old, connections.sources[c] * lanes, active)
            for c in range(connections.middles[unit], connections.begins[unit + 1]):
                s = s + load(weights, c * lanes, active) * load(new, connections.sources[c] * lanes, active)
            if connections.kind == LOGISTIC:
                s = sigmoid(s)
            elif connections.kind == TANH:
                s = tanh(s)
            elif connections.kind == RECTIFIER:
                s = clip(s, 0.0, np.inf)
            elif connections.kind == SATURATED:
                s = clip(s, 0.0, 1.0)
            store(new, (1 + inputs + unit) * lanes, active, s)
        now = 1 - now
    return now


@jit_exact
def test_block(right, losses, scratch, connections, draw, examples, start):
    """Candidates on one sequence after the other: right (N) <- those right before the first wrong one; gives the time steps.

    losses (N) <- mean squared error over all sequences. With an infinite tolerance all candidates go on to the end.
    """
    lanes, count, work = width(scratch.vectors), right.size, 0
    for n in range(count):
        right[n], losses[n] = 0, 0
        scratch.alive[n] = n
    fill_weights(scratch.weights[:count], connections, draw, start)
    offset = (1 + examples.inputs.shape[2]) * lanes
    for b in range(examples.lengths.size):
        survivors = 0
        for low in range(0, count, lanes):
            there = fill_vectors(scratch, low, count)
            last = unroll(scratch.values, scratch.vectors, connections, examples.inputs[b], examples.lengths[b])
            work += there * examples.lengths[b]
            for lane in range(there):
                n, good = scratch.alive[low + lane], True
                for k in range(examples.targets.shape[1]):
                    output, target = scratch.values[last, offset + k * lanes + lane], examples.targets[b, k]
                    losses[n] += (np.float64(output) - target) ** 2
                    good = good and abs(output - target) < examples.tolerance
                if good or examples.tolerance == np.inf:
                    right[n] += good
                    scratch.alive[survivors] = n
                    survivors += 1
        count = survivors
        if count == 0:
            break
    for n in range(losses.size):
        losses[n] /= examples.lengths.size
    return work


@jit_parallel
def _test_blocks(right, losses, work, scratch, connections, draw, examples):
    for chunk in numba.prange(work.size):
        lo, hi = chunk * BLOCK, min((chunk + 1) * BLOCK, right.size)
        own = Scratch(scratch.weights[chunk], scratch.vectors[chunk], scratch.values[chunk], scratch.alive[chunk])
        work[chunk] = test_block(right[lo:hi], losses[lo:hi], own, connections, draw, examples, lo)


def serves(net, batch, loss):
    """Whether the kernel knows this network and these sequences."""
    if not net.one_plain_layer or net.readout != "units":
        return False
    return loss.kind == "squared_error" and loss.when == "last" and batch.weights is None


def evaluate_candidates(net, candidates, batch, loss):
    """`rnnsim.networks.interface.Network.evaluate_many` by the kernel."""
    return np.concatenate([losses for _, losses, _ in _pieces(net, candidates, batch, batch.targets, np.inf)])


def test_candidates(net, candidates, batch, judge):
    """`rnnsim.networks.interface.Network.test_many` by the kernel; ends with the piece that has a candidate with all right."""
    found, total = [], 0
    for right, _, work in _pieces(net, candidates, batch, judge.wanted(batch), judge.tolerance):
        found.append(right)
        total += int(work.sum())
        if right.max() == batch.size:
            break
    return Tested(np.concatenate(found), total)


def _pieces(net, candidates, batch, targets, tolerance):
    """What `test_block` finds of every `AT_ONCE` candidates: right (N), losses (N), time steps of every block."""
    dtype, (steps, size, inputs) = net.dtype, np.shape(batch.inputs)
    (cell,) = net.cells.values()
    drawn = isinstance(candidates, DrawnCandidates)
    if drawn:
        there = candidates.trainable | (candidates.theta != 0)
    else:
        thetas = np.ascontiguousarray(candidates, dtype)
        fits = thetas.ndim == 2 and thetas.shape[1] == net.n_parameters
        require(fits, f"candidates: expected shape (N, {net.n_parameters}), got {thetas.shape}")
        there = np.ones(net.n_parameters, bool)
    connections = connections_of(net, there)
    x = np.ascontiguousarray(np.swapaxes(batch.inputs, 0, 1), dtype)
    lengths = np.full(size, steps) if batch.lengths is None else batch.lengths
    examples = Examples(x, np.ascontiguousarray(targets, dtype), np.asarray(lengths, np.int64), float(tolerance))
    blocks, count, lanes = -(-min(AT_ONCE, len(candidates)) // BLOCK), connections.sources.size, width(x)
    scratch = Scratch(
        np.empty((blocks, BLOCK, count), dtype),
        np.empty((blocks, count * lanes), dtype),
        np.empty((blocks, 2, (1 + inputs + cell.hidden) * lanes), dtype),
        np.empty((blocks, BLOCK), np.int64),
    )
    for start in range(0, len(candidates), AT_ONCE):
        part = min(AT_ONCE, len(candidates) - start)
        if drawn:
            given = candidates.trainable[connections.places], candidates.theta, candidates.key
            draw = Draw(np.empty((0, 0), dtype), *given, candidates.first + start, float(candidates.weight_range))
        else:
            draw = Draw(thetas[start : start + part], np.zeros(count, bool), thetas[0], np.uint64(0), 0, 0.0)
        right, losses, work = np.empty(part, np.int64), np.empty(part), np.empty(-(-part // BLOCK), np.int64)
        with parallel_region:
            _test_blocks(right, losses, work, scratch, connections, draw, examples)
        yield right, losses, work


def connections_of(net, there):
    """The `Connections` of the layer, those that `there` (P) says."""
    (cell,) = net.cells.values()
    inputs, hidden, layout = cell.n_inputs, cell.hidden, net.layout
    rows, late = [[] for _ in range(hidden)], cell.outputs_last
    for name, width_, shift in (
        ("bias_ih", 1, 0),
        ("bias_hh", 1, 0),
        ("weight_ih", inputs, 1),
        ("weight_hh", hidden, 0),
    ):
        if f"{name}_l0" not in layout:
            continue
        offset = layout[f"{name}_l0"].offset
        shift = 1 + inputs if name == "weight_hh" else shift
        for unit in range(hidden):
            for column in range(width_):
                place = offset + unit * width_ + column
                if there[place]:
                    rows[unit].append((shift + column, place))
    begins = np.cumsum([0, *(len(row) for row in rows)])
    # What a unit sees at the same time step stands last in its row: the hidden units come last among the sources.
    now = [sum(source > inputs + late for source, _ in row) if unit < late else 0 for unit, row in enumerate(rows)]
    order = np.roll(np.arange(hidden), -late)
    pairs = np.array([pair for row in rows for pair in row], np.int64).reshape(-1, 2)
    sources, places = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    return Connections(begins, begins[1:] - now, sources, places, order, cell.kind)
