"""Distant brackets: repeat the letters in brackets after noise."""

import math
import string

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import integer
from rnnsim.tasks.streams import TextStream, entropy_of


@jit_exact
def _begin(places, key, s, k, most):
    """places (B, 3) <- number of the line, its K, place in it: draw 0, every place of the text equally likely."""
    total = 0
    for noise in range(k, most + 1):
        total += 2 * s + 5 + noise
    for b in range(places.shape[0]):
        place, noise = integer(key, b, 0, total), k
        while place >= 2 * s + 5 + noise:
            place -= 2 * s + 5 + noise
            noise += 1
        places[b, 0] = 0
        places[b, 1] = noise
        places[b, 2] = place


@jit_exact
def _read(tokens, places, key, s, k, most, a):
    """tokens (T + 1, B); the places advance by T. Line i has the draws from 1 + i (1 + s + most) on: K, then its letters."""
    time_steps = tokens.shape[0] - 1
    for b in range(places.shape[0]):
        line, noise, place = places[b]
        for t in range(time_steps + 1):
            if t == time_steps:
                places[b, 0] = line
                places[b, 1] = noise
                places[b, 2] = place
            draws = 1 + line * (1 + s + most) + 1
            again = place - (s + 2 + noise)  # place in the second pair of brackets
            inside = again if again >= 0 else place
            if again == s + 2:
                tokens[t, b] = a + 2
            elif again < 0 and place >= s + 2:
                tokens[t, b] = integer(key, b, draws + place - 2, a)
            elif inside == 0:
                tokens[t, b] = a
            elif inside == s + 1:
                tokens[t, b] = a + 1
            else:
                tokens[t, b] = integer(key, b, draws + inside - 1, a)
            place += 1
            if place == 2 * s + 5 + noise:
                place = 0
                line += 1
                noise = k + integer(key, b, 1 + line * (1 + s + most), most - k + 1)


class Brackets(TextStream):
    """Predict the next character of a stream of lines that repeat the letters in brackets, after noise.

        line:  [ w_1 .. w_s ]  n_1 .. n_K  [ w_1 .. w_s ]  newline          K uniform in k .. k_max, letters uniform in a

    A stream begins at a random place of a line, as at an average place of an endless text.

    Inputs and targets (steps, B) int32 tokens: the letters, then ``[``, ``]`` and the newline; the target is the next character.

    Loss: softmax cross-entropy, in bits a character. Random in a line are s + K letters, and K; the second pair of brackets is
    not. The optimal predictor, which remembers the letters, has with m = (k + k_max) / 2 the loss (`ideal`)

        ( (s + m) log2 a + log2(k_max - k + 1) ) / ( 2 (s + 2) + m + 1 )         bits a character:

    1.66096 for (s, k, a) = (1, 5, 10), 1.77416 for (3, 2 .. 7, 10) and 1.2 for (10, 0, 8).
    Chance-level loss: the entropy of the characters: two of each bracket and one newline a line, the rest letters, all equally
    frequent.
    Criterion: none; compare the loss with `ideal`.

    Source: Tallec & Ollivier 2017, arXiv:1702.05043.

    Parameters
    ----------
    s : letters in brackets, 1 .. 1000000
    k, k_max : bounds of the number of letters between the brackets, at least 0; k_max None: always k
    a : letters of the alphabet, 1 .. 26
    steps : characters (time steps) of a batch, at least 1; the next batch continues the streams

    Raises `RnnsimError` for an option out of range.

    >>> task = Brackets(k=3, steps=20)
    >>> task.decode(task.training_batch(seed=1, step=0, size=1).inputs[:, 0])
    'jbb[g]\\n[f]abg[f]\\n[f]'
    >>> round(Brackets(s=3, k=2, k_max=7).ideal, 5)
    1.77416
    """

    name = "brackets"
    tested_options = ({}, dict(s=2, k=0, k_max=4, a=3, steps=70))

    def __init__(self, s: int = 1, k: int = 5, k_max: int | None = None, a: int = 10, steps: int = 100):
        self.s, self.k, self.a = at_least("s", s, 1), at_least("k", k, 0), at_least("a", a, 1)
        self.k_max = k if k_max is None else k_max
        require(self.k_max >= k, f"k_max={k_max}: expected a value of at least k={k}")
        for name, value in (("s", s), ("k_max", self.k_max)):
            require(value <= 10**6, f"{name}={value}: expected a value of at most 1000000")
        require(a <= 26, f"a={a}: expected a value of at most 26")
        self.steps = at_least("steps", steps, 1)
        self.letters = string.ascii_lowercase[:a] + "[]\n"
        self.n_inputs = self.n_outputs = a + 3
        mean = (k + self.k_max) / 2
        length = 2 * (s + 2) + mean + 1
        self.ideal = ((s + mean) * math.log2(a) + math.log2(self.k_max - k + 1)) / length
        shares = [(2 * s + mean) / a] * a + [2, 2, 1]
        self.trivial_loss = entropy_of(np.array(shares) / length) / math.log(2)

    def begin(self, key, size):
        places = np.empty((size, 3), np.int64)
        _begin(places, key, self.s, self.k, self.k_max)
        return (places,)

    def read(self, tokens, key, places):
        _read(tokens, places, key, self.s, self.k, self.k_max, self.a)
