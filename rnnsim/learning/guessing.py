"""Random weight guessing (S. Hochreiter & J. Schmidhuber, "LSTM can solve hard long time lag problems", NIPS 9, 1996).

Candidate number c = 0, 1, 2, ... has all its trainable weights drawn from U[-range, range], by a counter-based generator from
(seed, c, place in theta): a candidate is a function of its number. It is tested on one sequence of the batch after the other and
rejected at the first wrong one; what is wrong the task says. The lowest number that has all of a batch right is the guess.

The guess must hold for the following batches too: those are fresh sequences, tested by the network's own forward pass. If one is
wrong, guessing goes on with the next candidate. Trials are the candidates tested so far, the guess included, and stand in
the reports beside ticks, the time steps that all their tests together took. A batch without a guess leaves the candidate that
got furthest in the network.

For one layer `rnn` with readout=units, squared errors and one target a sequence there is a kernel of its own: one candidate a
vector lane, the whole vector walks one sequence, the survivors of a block are packed together before the next sequence. Blocks
run in parallel; a candidate has the same bits in every lane. All other networks are tested by their forward pass, one
candidate after the other.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.cells.fully_recurrent import LOGISTIC, RECTIFIER, SATURATED, TANH
from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import bits, stream_key
from rnnsim.core.simd import broadcast, clip, load, mask, store, width
from rnnsim.core.threads import parallel_region
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.learning.interface import Learned
from rnnsim.tasks.interface import Batch, Task

BLOCK = 128  # candidates whose survivors are packed together
_BLOCKS = 16  # of one parallel call; after it, it is seen whether there is a guess
_TO_SYMMETRIC = 2.0**-31


class Wiring(NamedTuple):
    """The connections of a network, unit by unit, and how its weights are drawn."""

    begins: np.ndarray  # (H + 1) connections begins[i] .. begins[i + 1] - 1 lead into unit i,
    middles: np.ndarray  # (H) those from middles[i] on from units at the same tick
    sources: np.ndarray  # (C) 0: the constant 1; 1 .. I: inputs; I + 1 ..: units at the tick before
    places: np.ndarray  # (C) in theta
    order: np.ndarray  # (H) in which units are computed
    drawn: np.ndarray  # (C) whether the weight is drawn; else it is that of theta
    theta: np.ndarray  # (P)
    kind: int  # of the activation
    key: np.uint64
    weight_range: float


class Sequences(NamedTuple):
    """What candidates are tested on."""

    inputs: np.ndarray  # (B, T, I)
    targets: np.ndarray  # (B, K)
    lengths: np.ndarray  # (B)
    tolerance: float


@jit_exact
def drawn_weight(key, candidate, place, weight_range):
    """The weight of a candidate at a place in theta; four places share a block of random bits."""
    w0, w1, w2, w3 = bits(key, candidate, place // 4)
    k = place % 4
    word = w0 if k == 0 else w1 if k == 1 else w2 if k == 2 else w3
    return weight_range * (word * _TO_SYMMETRIC - 1.0)


@jit_exact
def draw_theta(theta, trainable, key, candidate, weight_range):
    """theta (P) <- the weights of a candidate, where they are trainable (P)."""
    for i in range(theta.size):
        if trainable[i]:
            theta[i] = drawn_weight(key, candidate, i, weight_range)


@jit_exact
def walk(values, weights, wiring, x, length):
    """One vector of candidates through one sequence x (T, I), from zero states.

    values (2, S * L): the constant, the inputs and the units, L lanes each, of this tick and the one before; weights (C * L).
    Gives the row of `values` with the final units.
    """
    lanes, live, now = width(weights), mask(width(weights)), 0
    inputs, units = x.shape[1], wiring.begins.size - 1
    for k in range(values.shape[1]):
        values[0, k] = 0
        values[1, k] = 0
    for row in range(2):
        for lane in range(lanes):
            values[row, lane] = 1
    for t in range(length):
        old, new = values[now], values[1 - now]
        for i in range(inputs):
            store(old, (1 + i) * lanes, live, broadcast(old, x[t, i]))
        for k in range(units):
            unit = wiring.order[k]
            s = broadcast(weights, 0.0)
            for c in range(wiring.begins[unit], wiring.middles[unit]):
                s = s + load(weights, c * lanes, live) * load(old, wiring.sources[c] * lanes, live)
            for c in range(wiring.middles[unit], wiring.begins[unit + 1]):
                s = s + load(weights, c * lanes, live) * load(new, wiring.sources[c] * lanes, live)
            if wiring.kind == LOGISTIC:
                s = sigmoid(s)
            elif wiring.kind == TANH:
                s = tanh(s)
            elif wiring.kind == RECTIFIER:
                s = clip(s, 0.0, np.inf)
            elif wiring.kind == SATURATED:
                s = clip(s, 0.0, 1.0)
            store(new, (1 + inputs + unit) * lanes, live, s)
        now = 1 - now
    return now


@jit_exact
def test_block(right, drawn, weights, values, alive, wiring, sequences, start):
    """right (N) <- sequences that candidates start .. start + N - 1 have right before the first wrong one; gives the ticks.

    Work space: drawn (N, C), weights (C * L), values (2, S * L), alive (N).
    """
    lanes, count, connections = width(weights), right.size, wiring.sources.size
    for n in range(count):
        right[n] = 0
        alive[n] = n
        for c in range(connections):
            place = wiring.places[c]
            if wiring.drawn[c]:
                drawn[n, c] = drawn_weight(wiring.key, start + n, place, wiring.weight_range)
            else:
                drawn[n, c] = wiring.theta[place]
    ticks = 0
    offset = (1 + sequences.inputs.shape[2]) * lanes
    for b in range(sequences.lengths.size):
        survivors = 0
        for low in range(0, count, lanes):
            there = min(lanes, count - low)
            for lane in range(lanes):
                n = alive[low + min(lane, there - 1)]
                for c in range(connections):
                    weights[c * lanes + lane] = drawn[n, c]
            last = walk(values, weights, wiring, sequences.inputs[b], sequences.lengths[b])
            ticks += there * sequences.lengths[b]
            for lane in range(there):
                good = True
                for k in range(sequences.targets.shape[1]):
                    distance = abs(values[last, offset + k * lanes + lane] - sequences.targets[b, k])
                    good = good and distance < sequences.tolerance
                if good:
                    n = alive[low + lane]
                    right[n] += 1
                    alive[survivors] = n
                    survivors += 1
        count = survivors
        if count == 0:
            break
    return ticks


@jit_parallel
def _test_blocks(right, ticks, drawn, weights, values, alive, wiring, sequences, start, tasks):
    """Blocks of candidates side by side, each with its own work space."""
    for task in numba.prange(tasks):
        lo = task * alive.shape[1]
        hi = min(lo + alive.shape[1], right.size)
        ticks[task] = test_block(
            right[lo:hi], drawn[task], weights[task], values[task], alive[task], wiring, sequences, start + lo
        )


class Guess:
    """Random weight guessing; how it goes is said at the top of the file.

    weight_range    weights are drawn from -range .. range
    candidates      most candidates that are tested on one batch

    No optimizer is asked. Raises `RnnsimError` for options out of range and for tasks whose sequences go on from batch to batch.

    >>> from rnnsim.learning import RULES
    >>> RULES.build("guess", {"weight_range": "30"}).weight_range
    30.0
    """

    sets_weights = True
    randomness = 0, 0

    def __init__(self, weight_range: float = 100.0, candidates: int = 5000):
        require(0 < weight_range < np.inf, f"weight_range={weight_range}: expected a number above 0")
        self.weight_range, self.candidates = weight_range, at_least("candidates", candidates, 1)
        self.task = None

    def check(self, net, task):
        """See the contract in `rnnsim.learning.interface`."""
        require(task is None or not task.streams, "rule guess: the sequences of this task go on from batch to batch")
        self.task = task

    def begin(self, state):
        """What is known of the candidates goes on."""
        return state

    def learn(self, net, batch, loss, apply, state=None):
        """See the contract in `rnnsim.learning.interface`."""
        # The number of the next candidate; whether the network has a guess; ticks.
        following, guessed, ticks = (0, 0, 0) if state is None else (int(number) for number in state[0])
        judge = _Plain(loss) if self.task is None else self.task
        found = net.evaluate(batch, loss) if guessed else None
        if found is None or not judge.correct(found.outputs, batch).all():
            trainable = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
            key = stream_key(self.randomness[0], "guess")
            fast = served(net, batch, loss, judge)
            test = _Lanes(net, batch, judge, trainable, key, self) if fast else _Passes(net, batch, loss, judge)
            size = batch.inputs.shape[1]
            guess, furthest, end = None, (-1, following), following + self.candidates
            while guess is None and following < end:
                right, more = test(following, min(test.at_once, end - following), trainable, key, self.weight_range)
                ticks += more
                best = int(np.argmax(right))
                furthest = max(furthest, (int(right[best]), -(following + best)))
                if right[best] == size:
                    guess = following + best
                    following = guess + 1
                else:
                    following += len(right)
            guessed = int(guess is not None)
            chosen = guess if guessed else -furthest[1]
            draw_theta(net.theta, trainable, key, chosen, self.weight_range)
            getattr(apply, "made", lambda count: None)(1)
            found = net.evaluate(batch, loss)
        state = [np.array([following, guessed, ticks], np.int64)]
        return Learned(found.loss, found.outputs, state, {"trials": following, "ticks": ticks})


def served(net, batch, loss, judge):
    """Whether the kernel knows this network and these sequences."""
    cells = getattr(net, "cells", None)
    if (
        not cells
        or net.config["name"] != "rnn"
        or len(cells) > 1
        or net.tokens
        or net.learned_initial_state
        or net.skip
    ):
        return False
    (cell,) = cells.values()
    plain = cell.leak == 1 and not cell.input_delay and net.readout == "units"
    ordinary = loss.kind == "squared_error" and loss.when == "last" and batch.weights is None
    # A task with an idea of its own of what is right is asked in Python.
    return plain and ordinary and type(judge).correct is Task.correct


class _Lanes:
    """Tests by the kernel."""

    at_once = BLOCK * _BLOCKS

    def __init__(self, net, batch, judge, trainable, key, rule):
        dtype, (_, size, inputs) = net.dtype, batch.inputs.shape
        (cell,) = net.cells.values()
        self.wiring = wiring(net, trainable, key, rule.weight_range)
        lengths = np.full(size, len(batch.inputs)) if batch.lengths is None else batch.lengths
        x = np.ascontiguousarray(batch.inputs.transpose(1, 0, 2), dtype)
        targets = np.ascontiguousarray(judge.wanted(batch), dtype)
        self.sequences = Sequences(x, targets, np.asarray(lengths, np.int64), float(judge.tolerance))
        connections, lanes = self.wiring.sources.size, width(x)
        self.right = np.empty(self.at_once, np.int64)
        self.ticks = np.zeros(_BLOCKS, np.int64)
        self.drawn = np.empty((_BLOCKS, BLOCK, connections), dtype)
        self.weights = np.empty((_BLOCKS, connections * lanes), dtype)
        self.values = np.empty((_BLOCKS, 2, (1 + inputs + cell.hidden) * lanes), dtype)
        self.alive = np.empty((_BLOCKS, BLOCK), np.int64)

    def __call__(self, start, count, *_):
        tasks = -(-count // BLOCK)
        right = self.right[:count]
        work = self.drawn, self.weights, self.values, self.alive
        with parallel_region:
            _test_blocks(right, self.ticks, *work, self.wiring, self.sequences, start, tasks)
        return right, int(self.ticks[:tasks].sum())


def wiring(net, trainable, key, weight_range):
    """The `Wiring` of a network `rnn`: all connections that are trainable or not zero."""
    (cell,) = net.cells.values()
    inputs, hidden, layout = cell.n_inputs, cell.hidden, net.layout
    there = trainable | (net.theta != 0)
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
    # What a unit sees at the same tick stands last in its row: the hidden units come last among the sources.
    now = [sum(source > inputs + late for source, _ in row) if unit < late else 0 for unit, row in enumerate(rows)]
    order = np.roll(np.arange(hidden), -late)
    pairs = np.array([pair for row in rows for pair in row], np.int64).reshape(-1, 2)
    sources, places = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    return Wiring(
        begins,
        begins[1:] - now,
        sources,
        places,
        order,
        trainable[places],
        net.theta,
        cell.kind,
        key,
        float(weight_range),
    )


class _Passes:
    """Tests by the network's forward pass, one candidate after the other, on ever larger pieces of the batch."""

    at_once = 256

    def __init__(self, net, batch, loss, judge):
        self.net, self.loss, self.judge = net, loss, judge
        self.size, self.pieces, low, length = batch.inputs.shape[1], [], 0, 1
        while low < self.size:
            self.pieces.append(piece(batch, loss, low, low + length))
            low, length = low + length, 4 * length

    def __call__(self, start, count, trainable, key, weight_range):
        right, ticks = np.zeros(count, np.int64), 0
        for n in range(count):
            draw_theta(self.net.theta, trainable, key, start + n, weight_range)
            for part in self.pieces:
                with np.errstate(all="ignore"):
                    outputs = self.net.evaluate(part, self.loss).outputs
                correct = self.judge.correct(outputs, part)
                right[n] += len(correct) if correct.all() else int(np.argmin(correct))
                ticks += (
                    part.inputs.shape[0] * part.inputs.shape[1] if part.lengths is None else int(part.lengths.sum())
                )
                if not correct.all():
                    break
            if right[n] == self.size:  # nobody asks for the others
                return right[: n + 1], ticks
        return right, ticks


def piece(batch, loss, low, high):
    """Sequences low .. high - 1 of a batch."""

    def cut(array, axis):
        return None if array is None else np.ascontiguousarray(array[:, low:high] if axis else array[low:high])

    lengths = cut(batch.lengths, 0)
    steps = len(batch.inputs) if lengths is None else int(lengths.max())
    every = int(loss.when == "every")
    inputs, targets, weights = cut(batch.inputs, 1), cut(batch.targets, every), cut(batch.weights, every)
    if every:
        targets, weights = targets[:steps], None if weights is None else weights[:steps]
    return Batch(inputs[:steps], targets, weights, lengths)


class _Plain(Task):
    """What is right when no task says it: outputs nearer than .5, or the right class."""

    def __init__(self, loss):
        self.loss = loss

    training_batch = evaluation_batches = None
