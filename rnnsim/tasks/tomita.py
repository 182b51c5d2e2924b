"""Tomita's regular languages over 0 and 1 (Tomita 1982), as tasks for weight guessing (Hochreiter & Schmidhuber 1996)."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import one_of, require
from rnnsim.core.rng import integer, uniform
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.latch import length_range

# By language: the next state for 0 and for 1 of every state, and the states that accept. State 0 is the first.
LANGUAGES = {
    1: (((1, 0), (1, 1)), {0}),
    2: (((2, 1), (0, 2), (2, 2)), {0}),
    3: (((0, 1), (2, 0), (3, 4), (2, 1), (4, 4)), {0, 1, 3}),
    4: (((1, 0), (2, 0), (3, 0), (3, 3)), {0, 1, 2}),
    5: (((1, 2), (0, 3), (3, 0), (2, 1)), {0}),
    6: (((2, 1), (0, 2), (1, 0)), {0}),
    7: (((0, 1), (2, 1), (2, 3), (4, 3), (4, 4)), {0, 1, 2, 3}),
}
_KIND, _LENGTH, _SYMBOLS = 0, 1, 2  # draws


def _tables(language, most):
    """The tables from which strings of a kind (outside, inside) are drawn.

    exists (2, most + 1), by kind and length: whether there is such a string from the first state. ones (2, most + 1, S), by
    kind, symbols to come and state: the probability that the next symbol is 1. Let h(r, s) be the share of the strings of r
    symbols that end well from state s of the automaton. With next states s0 and s1

        h(r, s) = (h(r-1, s0) + h(r-1, s1)) / 2

    and with r symbols to come the next one is 1 with probability h(r-1, s1) / (2 h(r, s)).
    """
    next_states, accepting = LANGUAGES[language]
    next_states = np.array(next_states)
    inside = np.isin(np.arange(len(next_states)), list(accepting))
    # Up to a factor, so that the shares of rare kinds do not underflow.
    shares = np.stack([~inside, inside]).astype(float)
    exists = np.empty((2, most + 1), bool)
    ones = np.zeros((2, most + 1, len(next_states)))
    exists[:, 0] = shares[:, 0] > 0
    for left in range(1, most + 1):
        zero, one = shares[:, next_states[:, 0]], shares[:, next_states[:, 1]]
        total = zero + one
        ones[:, left] = np.divide(one, total, out=np.zeros_like(total), where=total > 0)
        shares = total / np.maximum(total.max(axis=1, keepdims=True), 1e-300)
        exists[:, left] = shares[:, 0] > 0
    return exists, ones


@jit_exact
def _draw_lengths(kinds, lengths, key, first, choices, counts):
    """kinds, lengths (B,); choices (2, C) hold the lengths of both kinds, counts (2,) their numbers."""
    for b in range(kinds.size):
        kinds[b] = integer(key, first + b, _KIND, 2)
        lengths[b] = choices[kinds[b], integer(key, first + b, _LENGTH, counts[kinds[b]])]


@jit_exact
def _draw(inputs, kinds, lengths, key, first, next_states, ones):
    """inputs (T, B, 1) from zeros."""
    for b in range(kinds.size):
        state = 0
        for t in range(lengths[b]):
            symbol = int(uniform(key, first + b, _SYMBOLS + t) < ones[kinds[b], lengths[b] - t, state])
            inputs[t, b, 0] = 2 * symbol - 1
            state = next_states[state, symbol]


def accepts(language, string):
    """Whether a string of 0 and 1 belongs to a language.

    >>> accepts(2, "1010"), accepts(4, "10001"), accepts(3, "110001"), accepts(3, "1000")
    (True, False, True, False)
    """
    next_states, accepting = LANGUAGES[language]
    state = 0
    for symbol in string:
        state = next_states[state][int(symbol)]
    return state in accepting


class Tomita(GeneratedTask):
    """Say at the end of a string of 0 and 1 whether it belongs to one of Tomita's regular languages (Tomita 1982).

        1   1*                                     5   an even number of 0s and an even number of 1s
        2   (1 0)*                                 6   the number of 1s less that of 0s is a multiple of 3
        3   no odd block of 1s that is followed    7   0* 1* 0* 1*
            at once by an odd block of 0s
        4   no 0 0 0

    Half of the strings belong to the language: for them, and for the others as well, a length is drawn uniformly from those of
    min_length .. max_length that have such strings (language 2 has none of odd length), and then a string uniformly from all of
    this kind and length. Balance and lengths are ours.

    Inputs (T, B, 1) float32: 1 for the symbol 1 and -1 for 0. Targets (B, 1) float32 at the end: 1 if the string belongs to the
    language, else 0. Lengths (B,).

    Loss: "squared_error", or "bernoulli" of logits in bits; of the last output, averaged over sequences.
    Chance-level loss: half of the targets are 1: 1/4 for the constant output .5, or 1 bit.
    Criterion (ours): the last 2000 training sequences right, with an error below .2 (of the probability for "bernoulli").

    Source: Tomita 1982; as tasks for weight guessing, Hochreiter & Schmidhuber 1996 (NIPS 9).

    Parameters
    ----------
    grammar : number of the language, 1 .. 7
    min_length, max_length : bounds of the length, 1 <= min_length <= max_length
    loss : "squared_error" or "bernoulli"

    Raises `RnnsimError` for an option out of range, and if all strings of these lengths are of one kind.

    >>> batch = Tomita(grammar=2, min_length=6, max_length=6).training_batch(seed=0, step=0, size=3)
    >>> batch.inputs[..., 0].T.astype(int).tolist(), batch.targets[:, 0].tolist()
    ([[1, 1, -1, -1, 1, -1], [1, -1, 1, -1, 1, -1], [-1, -1, -1, -1, 1, 1]], [0.0, 1.0, 0.0])
    """

    name = "tomita"
    n_inputs = n_outputs = 1
    criterion = Criterion(window=2000, wrong=0)
    tolerance = 0.2
    input_names = ("sign",)
    target_names = ("in the language",)
    tested_options = ({}, dict(grammar=4, min_length=40, max_length=50))

    def __init__(
        self,
        grammar: Literal[1, 2, 3, 4, 5, 6, 7] = 1,
        min_length: int = 500,
        max_length: int = 600,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
    ):
        require(grammar in LANGUAGES, f"grammar={grammar}: expected one of 1, 2, 3, 4, 5, 6, 7")
        self.grammar = grammar
        self.min_length, self.max_length = length_range(min_length, max_length)
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="last", per="sequence", unit="squared" if squared else "bits")
        self.trivial_loss = 0.25 if squared else 1.0
        exists, self._ones = _tables(grammar, max_length)
        lengths = [np.flatnonzero(row[min_length:]) + min_length for row in exists]
        for found, kind in zip(lengths, ("outside of", "in")):
            words = f"max_length={max_length}: no string of {min_length} .. {max_length} symbols is {kind}"
            require(found.size, f"{words} language {grammar}")
        self._counts = np.array([found.size for found in lengths])
        self._choices = np.zeros((2, self._counts.max()), np.int64)
        for row, found in zip(self._choices, lengths):
            row[: found.size] = found
        self._next_states = np.array(LANGUAGES[grammar][0])

    def generate(self, key, first, size):
        kinds, lengths = np.empty(size, np.int64), np.empty(size, np.int64)
        _draw_lengths(kinds, lengths, key, first, self._choices, self._counts)
        inputs = np.zeros((lengths.max(), size, 1), np.float32)
        _draw(inputs, kinds, lengths, key, first, self._next_states, self._ones)
        return Sequences(inputs, kinds.astype(np.float32)[:, None], lengths=lengths)
