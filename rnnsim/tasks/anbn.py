"""A stream of lines a^n b^n: counting without an end."""

import math

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import integer
from rnnsim.tasks.streams import TextStream, entropy_of

A, B, NEWLINE = 0, 1, 2


@jit_exact
def _begin(places, key, least, most):
    """places (B, 3) <- number of the line, its n, place in it: draw 0, every place of the text equally likely."""
    total = 0
    for n in range(least, most + 1):
        total += 2 * n + 2
    for b in range(places.shape[0]):
        place, n = integer(key, b, 0, total), least
        while place >= 2 * n + 2:
            place -= 2 * n + 2
            n += 1
        places[b, 0] = 0
        places[b, 1] = n
        places[b, 2] = place


@jit_exact
def _read(tokens, places, key, least, most):
    """tokens (T + 1, B); the places advance by T. Draw i is the n of line i, from line 1 on."""
    time_steps = tokens.shape[0] - 1
    for b in range(places.shape[0]):
        line, n, place = places[b]
        for t in range(time_steps + 1):
            if t == time_steps:
                places[b, 0] = line
                places[b, 1] = n
                places[b, 2] = place
            tokens[t, b] = A if place < n else B if n < place <= 2 * n else NEWLINE
            place += 1
            if place == 2 * n + 2:
                place = 0
                line += 1
                n = least + integer(key, b, line, most - least + 1)


class AnBn(TextStream):
    """Predict the next character of a stream of lines a^n b^n, which takes counting.

        line:  a .. a newline b .. b newline            n letters each, n uniform in min_n .. max_n (1 .. 32)

    A stream begins at a random place of a line, as at an average place of an endless text.

    Inputs and targets (steps, B) int32 tokens: 0 for a, 1 for b, 2 for the newline; the target is the next character.

    Loss: softmax cross-entropy, in bits a character. Only n is random in a line, so the optimal predictor, which counts, has
    the loss log2(max_n - min_n + 1) bits a line of 2 n + 2 characters (`ideal`): 5 / 35 = 1/7 bit a character.
    Chance-level loss: the entropy of the characters a, b and newline in the text, where the newline has the share 2 / 35.
    Criterion: none; compare the loss with `ideal`.

    Source: after Gers & Schmidhuber 2001; Tallec & Ollivier 2017, arXiv:1702.05043.

    Parameters
    ----------
    min_n, max_n : bounds of n, 1 <= min_n <= max_n <= 1000000
    steps : characters (time steps) of a batch, at least 1; the next batch continues the streams

    Raises `RnnsimError` for an option out of range.

    >>> task = AnBn(max_n=3, steps=16)
    >>> task.decode(task.training_batch(seed=1, step=0, size=1).inputs[:, 0])
    '\\naa\\nbb\\na\\nb\\naa\\nbb'
    >>> round(AnBn().ideal, 6)
    0.142857
    """

    name = "anbn"
    letters = "ab\n"
    n_inputs = n_outputs = 3
    tested_options = ({}, dict(min_n=3, max_n=5, steps=70))

    def __init__(self, min_n: int = 1, max_n: int = 32, steps: int = 100):
        self.min_n, self.max_n = at_least("min_n", min_n, 1), max_n
        require(max_n >= min_n, f"max_n={max_n}: expected a value of at least min_n={min_n}")
        require(max_n <= 10**6, f"max_n={max_n}: expected a value of at most 1000000")
        self.steps = at_least("steps", steps, 1)
        mean = (min_n + max_n) / 2
        self.ideal = math.log2(max_n - min_n + 1) / (2 * mean + 2)
        self.trivial_loss = entropy_of(np.array([mean, mean, 2]) / (2 * mean + 2)) / math.log(2)

    def begin(self, key, size):
        places = np.empty((size, 3), np.int64)
        _begin(places, key, self.min_n, self.max_n)
        return (places,)

    def read(self, tokens, key, places):
        _read(tokens, places, key, self.min_n, self.max_n)
