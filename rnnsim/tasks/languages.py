"""Context-free and context-sensitive languages: Gers & Schmidhuber 2001 (IEEE Transactions on Neural Networks 12(6))."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.streams import entropy_of, sequence_stop

# By language, the blocks of a string: its letter, which number it has (n or m), and whether the past leaves that number free.
LANGUAGES = {
    "anbn": (("a", 0, True), ("b", 0, False)),
    "anbmBmAn": (("a", 0, True), ("b", 1, True), ("B", 1, False), ("A", 0, False)),
    "anbncn": (("a", 0, True), ("b", 0, False), ("c", 0, False)),
}


@jit_exact
def _draw_numbers(numbers, lengths, key, first, least, most, blocks):
    """numbers (B, 2) <- n and m; lengths (B,) <- symbols of a string without the end marker."""
    for b in range(lengths.size):
        lengths[b] = 1
        for k in range(2):
            numbers[b, k] = least + integer(key, first + b, k, most - least + 1)
        for i in range(blocks.shape[0]):
            lengths[b] += numbers[b, blocks[i, 0]]


@jit_exact
def _write(inputs, targets, numbers, blocks):
    """inputs, targets (T, B, K) from zeros; blocks (K - 1, 2): which number, and whether it is free. Channel 0 is the marker."""
    last = blocks.shape[0]
    for b in range(inputs.shape[1]):
        inputs[0, b, 0] = 1
        targets[0, b, 1] = 1
        t = 1
        for i in range(last):
            after = i + 2 if i + 1 < last else 0
            count, free = numbers[b, blocks[i, 0]], blocks[i, 1] == 1
            for j in range(count):
                inputs[t, b, i + 1] = 1
                if free or j + 1 < count:
                    targets[t, b, i + 1] = 1
                if free or j + 1 == count:
                    targets[t, b, after] = 1
                t += 1


class Languages(GeneratedTask):
    """Say which symbols may come next in the strings of a context-free or context-sensitive language, which takes counting.

        language      strings                                        determined by the past
        anbn          S a^n b^n T                                    the b's
        anbmBmAn      S a^n b^m B^m A^n T                            the B's and the A's
        anbncn        S a^n b^n c^n T                                the b's and the c's

    A string comes symbol by symbol behind a start marker S; at every time step the target is the set of all symbols that may
    come next. The end marker T, which is not an input, has the channel of S. A language has the strings of all n and m above 0,
    whatever numbers are drawn: while the letters of a free block come, this letter and the next one may follow, as in a -> a,
    b; everywhere else exactly one symbol may follow, and only a network that has counted knows which. n and m are uniform in
    min_n .. max_n.

    Inputs (T, B, letters + 1) float32: the symbol, one-hot, S first. Targets (T, B, letters + 1) float32: 1 for each symbol
    that may come next, 0 for the others, T first. Lengths (B,).

    Loss: "squared_error" for outputs between 0 and 1, or "bernoulli" of logits in bits; averaged over time steps.
    Chance-level loss: that of the constant outputs q, the shares of time steps at which a symbol may come next: the sum over
    the symbols of q (1 - q), or of the entropy of (q, 1 - q) in bits.
    Criterion (ours): the last 2000 training sequences right. A sequence is right (the string accepted) if all outputs are on
    their target's side of .5 at all time steps. The paper trains on n from 1 to 10 and more, and tests how far beyond networks
    generalise: the option n sets all numbers to n.

    Source: Gers & Schmidhuber 2001 (IEEE Transactions on Neural Networks 12(6)).

    Parameters
    ----------
    language : "anbn", "anbmBmAn" or "anbncn"
    min_n, max_n : bounds of the numbers, 1 <= min_n <= max_n <= 1000000
    n : every number is n, instead of the bounds; None: the bounds hold
    loss : "squared_error" or "bernoulli"
    stop_error : rules that learn at every time step end a sequence after the first time step with such an error; None: never

    Raises `RnnsimError` for an option out of range.

    >>> task = Languages("anbn", n=2)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> for x, d in zip(batch.inputs[:, 0], batch.targets[:, 0]):
    ...     print(task.input_names[x.argmax()], [task.target_names[k] for k in np.flatnonzero(d)])
    S ['a']
    a ['a', 'b']
    a ['a', 'b']
    b ['b']
    b ['T']
    """

    name = "languages"
    criterion = Criterion(window=2000, wrong=0)
    tested_options = ({}, dict(language="anbncn", loss="bernoulli"), dict(language="anbmBmAn", min_n=3, max_n=40))

    def __init__(
        self,
        language: Literal["anbn", "anbmBmAn", "anbncn"] = "anbn",
        min_n: int = 1,
        max_n: int = 10,
        n: int | None = None,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
        stop_error: float | None = None,
    ):
        blocks = LANGUAGES[one_of("language", language, tuple(LANGUAGES))]
        self.language, self.sequence_stop = language, sequence_stop(stop_error)
        at_least("min_n", min_n, 1)
        require(min_n <= max_n <= 10**6, f"max_n={max_n}: expected a value between min_n={min_n} and 1000000")
        require(n is None or 1 <= n <= 10**6, f"n={n}: expected a value between 1 and 1000000")
        self.min_n, self.max_n = (min_n, max_n) if n is None else (n, n)
        letters = tuple(letter for letter, _, _ in blocks)
        self.input_names, self.target_names = ("S", *letters), ("T", *letters)
        self.n_inputs = self.n_outputs = len(letters) + 1
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if squared else "bits")
        self._blocks = np.array([(number, free) for _, number, free in blocks])
        q = self._shares()
        entropies = [entropy_of((share, 1 - share)) for share in q]
        self.trivial_loss = float((q * (1 - q)).sum()) if squared else math.fsum(entropies) / math.log(2)

    def _shares(self):
        """The share of time steps at which each symbol may come next. Counts are linear in n and m: their mean is enough."""
        mean, last = (self.min_n + self.max_n) / 2, len(self._blocks)
        q = np.zeros(last + 1)
        q[1] = 1  # behind S
        for i, (_, free) in enumerate(self._blocks):
            q[i + 1] += mean if free else mean - 1
            q[i + 2 if i + 1 < last else 0] += mean if free else 1
        return q / (1 + last * mean)

    def generate(self, key, first, size):
        numbers, lengths = np.empty((size, 2), np.int64), np.empty(size, np.int64)
        _draw_numbers(numbers, lengths, key, first, self.min_n, self.max_n, self._blocks)
        shape = (lengths.max(), size, self.n_inputs)
        inputs, targets = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        _write(inputs, targets, numbers, self._blocks)
        return Sequences(inputs, targets, lengths=lengths)
