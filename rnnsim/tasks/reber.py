"""The embedded Reber grammar: experiment 1 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8))."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer, stream_key
from rnnsim.errors import unknown
from rnnsim.tasks.interface import Criterion, Task
from rnnsim.tasks.streams import entropy_of

SYMBOLS = "BTPSXVE"
_REBER = ("B1", "T2P3", "S2X4", "T3V5", "X3S6", "P4V6", "E7")  # by states; 7 is behind the string
_LONGEST = 1000  # longer ones have a probability below 1e-100
_ROUND = 64  # test strings are drawn and compared so many at a time
_KEPT = 64  # seeds whose sets are kept


def _automaton():
    """choices (20, 2, 2): both transitions of every state of the embedded grammar, (symbol, next state).

    The end of a string is state 0, the start.
    """
    ways = {0: "B", 1: "TP"}
    following = {(0, "B"): 1, (1, "T"): 2, (1, "P"): 11}
    for first, name in ((2, "T"), (11, "P")):  # two copies of the grammar, which remember how it was entered
        for state, text in enumerate((*_REBER, f"{name}8", "E9")):
            ways[first + state] = text[::2]
            for symbol, target in zip(text[::2], text[1::2]):
                following[first + state, symbol] = 0 if target == "9" else first + int(target)
    choices = np.empty((len(ways), 2, 2), np.int64)
    for state, symbols in ways.items():
        for way in range(2):
            symbol = symbols[way % len(symbols)]
            choices[state, way] = SYMBOLS.index(symbol), following[state, symbol]
    return choices


CHOICES = _automaton()
LEGAL = np.zeros((len(CHOICES), len(SYMBOLS)), np.float32)  # the symbols that may come next, by states
NEXT_STATE = np.full(LEGAL.shape, -1)  # the state that a symbol leads to, or -1
for _state, _ways in enumerate(CHOICES):
    for _symbol, _target in _ways:
        LEGAL[_state, _symbol], NEXT_STATE[_state, _symbol] = 1, _target


@jit_exact
def transition(state, key, sequence, draw):
    """The number of the transition that a string takes from a state: a fair coin where there are two."""
    return integer(key, sequence, draw, 2) if CHOICES[state, 0, 0] != CHOICES[state, 1, 0] else 0


@jit_exact
def _draw_strings(symbols, sizes, key, first):
    """symbols (N, longest), sizes (N,) <- strings number first .. first + N - 1; draw i decides about symbol i."""
    for n in range(sizes.size):
        state, size = 0, 0
        while size < symbols.shape[1]:
            choice = transition(state, key, first + n, size)
            symbols[n, size] = CHOICES[state, choice, 0]
            state = CHOICES[state, choice, 1]
            size += 1
            if state == 0:
                break
        sizes[n] = size


@jit_exact
def _choose(rows, key, first):
    for b in range(rows.size):
        rows[b] = integer(key, first + b, 0, rows[b])


@jit_exact
def _write(inputs, targets, symbols, sizes):
    """inputs, targets (T, B, 7) from zeros <- strings, one-hot."""
    for t in range(inputs.shape[0]):
        for b in range(sizes.size):
            if t < sizes[b] - 1:
                inputs[t, b, symbols[b, t]] = 1
                targets[t, b, symbols[b, t + 1]] = 1


@jit_exact
def _allow(wanted, inputs, ends):
    """wanted (T, B, 7) from zeros <- the symbols that may follow every symbol; none after one that the grammar forbids."""
    for b in range(ends.size):
        state = 0
        for t in range(ends[b]):
            symbol = 0
            while symbol < 6 and inputs[t, b, symbol] == 0:
                symbol += 1
            state = NEXT_STATE[state, symbol]
            if state < 0:
                break
            for k in range(7):
                wanted[t, b, k] = LEGAL[state, k]


def legal(start):
    """The symbols that may follow the beginning of a string. Raises `RnnsimError` if no string begins so.

    >>> legal("B"), legal("BPBT"), legal("BPBTXSE"), legal("BPBTXSEP"), legal("")
    ('TP', 'SX', 'P', 'E', 'B')
    """
    state = 0
    for place, symbol in enumerate(start):
        state = NEXT_STATE[state, SYMBOLS.index(symbol)] if symbol in SYMBOLS and (state or not place) else -1
        require(state >= 0, f"start={start}: no string of the grammar has '{symbol}' at place {place}")
    require(state or not start, f"start={start}: a whole string of the grammar")
    return "".join(symbol for symbol, there in zip(SYMBOLS, LEGAL[state]) if there)


def _moves():
    """(20, 20): transition probabilities within a string, without the return to the start."""
    moves = np.zeros((len(CHOICES), len(CHOICES)))
    for state, ways in enumerate(CHOICES):
        for _, target in ways:
            moves[state, target] += 0.5 * (target != 0)
    return moves


def lengths(most):
    """The exact probabilities of strings of 0, 1, .. most symbols.

    >>> lengths(12)[8:].tolist()
    [0.0, 0.25, 0.1875, 0.125, 0.109375]
    """
    there, moves, found = np.eye(len(CHOICES))[0], _moves(), [0.0]
    for _ in range(most):
        found.append(there.sum() - (there @ moves).sum())
        there = there @ moves
    return np.array(found)


def visits():
    """The mean number of visits of a string to every state; the sum is the mean length, 12.

    >>> round(float(visits().sum()), 9)
    12.0
    """
    return np.linalg.solve((np.eye(len(CHOICES)) - _moves()).T, np.eye(len(CHOICES))[0])


class EmbeddedReber(Task):
    """Predict the next symbol of strings of the embedded Reber grammar: experiment 1 of Hochreiter & Schmidhuber 1997.

    Reber grammar, by states; where there are two transitions each has probability 1/2:

        0  B to 1               3  T to 3, V to 5       6  E, end
        1  T to 2, P to 3       4  X to 3, S to 6
        2  S to 2, X to 4       5  P to 4, V to 6

    An embedded string is B, then T or P, a Reber string, the same T or P again, E: at least 9 symbols, 12 on average
    (`lengths`; a Reber string has 8). A string of L symbols is a sequence of L - 1 time steps. Only the last but one symbol
    needs a memory, of the second one.

    Inputs (T, B, 7) float32: the symbol, one-hot in the order B T P S X V E. Targets (T, B, 7) float32: the symbol that did
    follow, one-hot. Lengths (B,).

    A seed has a training set of 256 strings drawn from the grammar and a test set of 256 strings that are not in the training
    set; a string may come more than once in either of them. Training draws strings from the training set at random. Evaluate
    the sets by ``split="training"`` and ``split="test"`` with the seed of the training.

    Loss: "squared_error" (the paper's) for outputs between 0 and 1; "bernoulli" and "softmax" of logits, in bits; averaged over
    time steps.
    Chance-level loss: that of the constant outputs q, the shares of the symbols among those to be predicted: the sum over the
    symbols of q (1 - q) for squared errors, of the entropy of (q, 1 - q) for "bernoulli"; the entropy of q for "softmax".
    Criterion (ours): the last 2000 training sequences right. A prediction is right if all symbols that may follow (`wanted`:
    one or two) are more active than all others, a sequence if all its predictions are; the error is the share of predictions
    that are not. The paper's criterion is that all strings of both sets are right.

    Source: Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)).

    Parameters
    ----------
    loss : "squared_error", "bernoulli" or "softmax"
    strings : number of strings of the training set, and of the test set, 1 .. 100000

    Raises `RnnsimError` for an option out of range.

    >>> task = EmbeddedReber()
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> "".join(SYMBOLS[k] for k in batch.inputs[:, 0].argmax(axis=1))
    'BTBTSSXXTVVET'
    >>> task.wanted(batch)[:3, 0].tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    """

    name = "embedded-reber"
    n_inputs = n_outputs = len(SYMBOLS)
    input_names = target_names = tuple(SYMBOLS)
    criterion = Criterion(window=2000, wrong=0)
    fixed_sets = True
    tested_options = ({}, dict(loss="bernoulli", strings=60), dict(loss="softmax"))

    def __init__(self, loss: Literal["squared_error", "bernoulli", "softmax"] = "squared_error", strings: int = 256):
        one_of("loss", loss, ("squared_error", "bernoulli", "softmax"))
        self.strings = at_least("strings", strings, 1)
        require(strings <= 100_000, f"strings={strings}: expected a value of at most 100000")
        self.loss = Loss(loss, when="every", per="step", unit="squared" if loss == "squared_error" else "bits")
        counts = np.zeros(7)
        for state, often in list(enumerate(visits()))[1:]:  # the first symbol is not predicted
            for symbol, _ in CHOICES[state]:
                counts[symbol] += often / 2
        q = counts / counts.sum()
        if loss == "squared_error":
            self.trivial_loss = float((q * (1 - q)).sum())
        else:
            parts = [q] if loss == "softmax" else [(part, 1 - part) for part in q]
            self.trivial_loss = math.fsum(map(entropy_of, parts)) / math.log(2)
        self._sets = {}  # of the last seeds; others are drawn again when they are needed

    def _both(self, seed):
        """(symbols (2 N, longest), sizes (2 N,)) of a seed: the training set, then the test set."""
        found = self._sets.get(seed)
        if found is None:
            key, n = stream_key(seed, f"{self.name} strings"), self.strings
            symbols, sizes = np.zeros((n, _LONGEST), np.int8), np.empty(n, np.int64)
            _draw_strings(symbols, sizes, key, 0)
            known = {row.tobytes() for row in symbols}
            parts, missing, first = [(symbols, sizes)], n, n
            while missing:
                symbols, sizes = np.zeros((_ROUND, _LONGEST), np.int8), np.empty(_ROUND, np.int64)
                _draw_strings(symbols, sizes, key, first)
                fresh = np.flatnonzero([row.tobytes() not in known for row in symbols])[:missing]
                parts.append((symbols[fresh], sizes[fresh]))
                missing, first = missing - len(fresh), first + _ROUND
            symbols, sizes = (np.concatenate(arrays) for arrays in zip(*parts))
            found = np.ascontiguousarray(symbols[:, : sizes.max()]), sizes
            if len(self._sets) >= _KEPT:
                self._sets = {}
            self._sets[seed] = found
        return found

    def string_set(self, seed, split="test"):
        """The strings of a set, "training" or "test", as texts. Raises `RnnsimError` for another one.

        >>> EmbeddedReber(strings=2).string_set(seed=0, split="training")
        ['BTBPVVETE', 'BPBTXSEPE']
        """
        symbols, sizes = self._both(seed)
        rows = self._rows(split)
        return ["".join(SYMBOLS[k] for k in symbols[row, : sizes[row]]) for row in rows]

    def _rows(self, split):
        if split not in ("training", "test"):
            raise unknown("split", split, ("training", "test"))
        return np.arange(self.strings) + (self.strings if split == "test" else 0)

    def _batch(self, seed, rows):
        symbols, sizes = (part[rows] for part in self._both(seed))
        shape = (sizes.max() - 1, len(rows), 7)
        inputs, targets = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        _write(inputs, targets, symbols, sizes)
        return Sequences(inputs, targets, lengths=sizes - 1)

    def training_batch(self, seed, step, size):
        rows = np.full(at_least("batch", size, 1), self.strings)
        _choose(rows, stream_key(seed, f"{self.name} training"), at_least("step", step, 0) * size)
        return self._batch(seed, rows)

    def evaluation_batches(self, seed, size, count=None, split="test"):
        """The first `count` strings of a set of the seed, in their order. Raises `RnnsimError` for an unknown set."""
        rows = self._rows(split)
        rows = rows if count is None else rows[: at_least("count", count, 1)]
        for start in range(0, len(rows), at_least("batch", size, 1)):
            yield self._batch(seed, rows[start : start + size])

    def wanted(self, batch):
        """(T, B, 7) float32: 1 for the symbols that may come next, one or two a time step."""
        inputs = np.ascontiguousarray(batch.inputs)
        found = np.zeros(inputs.shape, np.float32)
        ends = np.full(batch.size, len(inputs)) if batch.lengths is None else np.asarray(batch.lengths)
        _allow(found, inputs, ends)
        return found

    def right(self, outputs, batch):
        """(T, B) bool: whether every symbol that may come next is more active than every other one."""
        there = self.wanted(batch) > 0
        weakest = np.where(there, outputs, np.inf).min(axis=-1)
        return weakest > np.where(there, -np.inf, outputs).max(axis=-1)

    def correct(self, outputs, batch):
        return (self.right(outputs, batch) | (batch.counted() == 0)).all(axis=0)

    def error(self, outputs, batch):
        """(B,) float64: the share of the predictions that are not right."""
        counted = batch.counted()
        return (counted * ~self.right(outputs, batch)).sum(axis=0, dtype=np.float64) / counted.sum(axis=0)
