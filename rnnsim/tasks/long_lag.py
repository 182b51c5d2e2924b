"""Long time lags: experiments 2a, 2b and 2c of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8))."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.streams import entropy_of

_KIND, _MIDDLE, _ENDS = 0, 0, 1 << 40  # draws: x or y; symbol t is draw _MIDDLE + t, t > 0; ends of 2c from _ENDS on
_GOES_ON = 10  # once in so many


@jit_exact
def _predict(symbols, key, first, random):
    """symbols (p + 1, B) <- sequences of 2a, or 2b if `random`: 0 .. p - 2 stand for the a's, p - 1 for x and p for y."""
    last = symbols.shape[0] - 1
    for t in range(1, last):
        for b in range(symbols.shape[1]):
            symbols[t, b] = integer(key, first + b, _MIDDLE + t, last - 1) if random else t - 1
    for b in range(symbols.shape[1]):
        symbols[0, b] = last - 1 + integer(key, first + b, _KIND, 2)
        symbols[last, b] = symbols[0, b]


@jit_exact
def _draw_lengths(lengths, key, first, q):
    """lengths (B,) <- inputs of sequences of 2c."""
    for b in range(lengths.size):
        more = 0
        while integer(key, first + b, _ENDS + more, _GOES_ON):
            more += 1
        lengths[b] = 3 + q + more


@jit_exact
def _remember(symbols, classes, key, first, lengths, p):
    """symbols (T, B) from zeros, classes (B,) <- sequences of 2c: p stands for e, p + 1 for b, p + 2 for x, p + 3 for y."""
    for b in range(classes.size):
        classes[b] = integer(key, first + b, _KIND, 2)
    for t in range(symbols.shape[0]):
        for b in range(classes.size):
            last = lengths[b] - 1
            if t == 0:
                symbols[t, b] = p + 1
            elif t == 1:
                symbols[t, b] = p + 2 + classes[b]
            elif t < last:
                symbols[t, b] = integer(key, first + b, _MIDDLE + t, p)
            elif t == last:
                symbols[t, b] = p


@jit_exact
def _one_hot(vectors, symbols, lengths):
    """vectors (T, B, n) from zeros."""
    for t in range(symbols.shape[0]):
        for b in range(symbols.shape[1]):
            if t < lengths[b]:
                vectors[t, b, symbols[t, b]] = 1


class LongLag(GeneratedTask):
    """Remember one symbol over a long time lag: experiments 2a, 2b and 2c of Hochreiter & Schmidhuber 1997.

    experiment="2a", without noise. Symbols a1 .. a(p-1), x, y; two sequences, each with probability 1/2,

        x a1 a2 .. a(p-1) x        y a1 a2 .. a(p-1) y

    and the target of every time step is the next symbol, in p time steps of p + 1 outputs. Only the last one needs a memory,
    over p time steps. A sequence is right if all outputs are within .25 of their targets at all time steps.

    experiment="2b". As 2a, but the p - 1 symbols in the middle are drawn from a1 .. a(p-1) at random, so they cannot be
    predicted. A sequence is right if all outputs are within .25 at its last time step; the error is that of the last time step
    too.

    experiment="2c". Symbols a1 .. ap, e, b, x, y:

        b  (x or y)  q of a1 .. ap,  then repeatedly one more of them with probability .9, or the end:  e  (x or y as before)

    There is one target a sequence, the x or y behind the e, so 2 outputs, at the e. The a's are drawn at random. The least lag
    is q + 1; a whole sequence has 4 + q + k symbols, k geometric with mean .9 / .1 = 9: q + 13 on average (`mean_symbols`), of
    which all but the last are inputs. A sequence is right if both outputs are within .2.

    Inputs and targets of 2a and 2b (p, B, p + 1) float32, one-hot. 2c: inputs (T, B, p + 4) float32, targets (B, 2) float32,
    lengths (B,). With tokens=True inputs are (T, B) int32, which saves much time where p is large; with "softmax" targets are
    int32 classes.

    Loss: "squared_error" (the paper's); "bernoulli" of logits, in bits; "softmax", in bits, where the most probable output must
    be the target. Averaged over time steps in 2a and 2b, over sequences in 2c.
    Chance-level loss: that of the constant outputs with the shares of the symbols: in 2a and 2b q = 1/p for every a and
    1/(2p) for x and y, in 2c 1/2 for x and y: the sum of q (1 - q) for squared errors, of the entropy of (q, 1 - q) for
    "bernoulli"; the entropy of all q for "softmax".
    Criterion: the last 10000 training sequences right (the paper tests 10000 sequences after training).

    Source: Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)), experiment 2.

    Parameters
    ----------
    experiment : "2a", "2b" or "2c"
    p : of 2a and 2b, at least 2; of 2c the number of different symbols between, at least 1
    q : of 2c, the least number of symbols between, at least 0; 2a and 2b ignore it
    loss : "squared_error", "bernoulli" or "softmax"
    tokens : inputs are int32 tokens, not one-hot vectors

    Raises `RnnsimError` for an option out of range.

    >>> task = LongLag("2a", p=4, tokens=True)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> [task.input_names[k] for k in batch.inputs[:, 0]], [task.input_names[k] for k in batch.targets[:, 0].argmax(axis=1)]
    (['x', 'a1', 'a2', 'a3'], ['a1', 'a2', 'a3', 'x'])
    >>> LongLag("2c", q=50, p=50).mean_symbols
    63
    """

    name = "long-lag"
    criterion = Criterion(window=10000, wrong=0)
    tested_options = (
        dict(experiment="2b", p=12),
        dict(experiment="2a", p=5, loss="bernoulli"),
        dict(experiment="2b", p=9, loss="softmax", tokens=True),
        dict(experiment="2c", p=8, q=6),
        dict(experiment="2c", p=50, q=9, loss="softmax", tokens=True),
    )

    def __init__(
        self,
        experiment: Literal["2a", "2b", "2c"] = "2a",
        p: int = 100,
        q: int = 100,
        loss: Literal["squared_error", "bernoulli", "softmax"] = "squared_error",
        tokens: bool = False,
    ):
        self.experiment = one_of("experiment", experiment, ("2a", "2b", "2c"))
        self._recall = experiment == "2c"
        self.p, self.q = at_least("p", p, 1 if self._recall else 2), at_least("q", q, 0)
        one_of("loss", loss, ("squared_error", "bernoulli", "softmax"))
        self.tokens = bool(tokens)
        letters = tuple(f"a{k}" for k in range(1, p + self._recall))
        self.input_names = (*letters, "e", "b", "x", "y") if self._recall else (*letters, "x", "y")
        self.target_names = ("x", "y") if self._recall else self.input_names
        self.n_inputs, self.n_outputs = len(self.input_names), len(self.target_names)
        self.tolerance = 0.2 if self._recall else 0.25
        unit = "squared" if loss == "squared_error" else "bits"
        when, per = ("last", "sequence") if self._recall else ("every", "step")
        self.loss = Loss(loss, when=when, per=per, unit=unit)
        shares = np.array([0.5, 0.5] if self._recall else [1 / p] * (p - 1) + [0.5 / p] * 2)
        if loss == "squared_error":
            self.trivial_loss = float((shares * (1 - shares)).sum())
        else:
            parts = [shares] if loss == "softmax" else [(share, 1 - share) for share in shares]
            self.trivial_loss = math.fsum(map(entropy_of, parts)) / math.log(2)
        self.mean_symbols = q + 13 if self._recall else p + 1

    def generate(self, key, first, size):
        classes, lengths = np.empty(size, np.int32), np.full(size, self.p)
        if self._recall:
            _draw_lengths(lengths, key, first, self.q)
            symbols = np.zeros((lengths.max(), size), np.int32)
            _remember(symbols, classes, key, first, lengths, self.p)
        else:
            symbols = np.empty((self.p + 1, size), np.int32)
            _predict(symbols, key, first, self.experiment == "2b")
            symbols, classes = symbols[:-1], symbols[1:]
        inputs = np.ascontiguousarray(symbols) if self.tokens else self._vectors(symbols, lengths)
        if self.loss.kind == "softmax":
            targets = classes.copy()
        elif self._recall:
            targets = np.eye(2, dtype=np.float32)[classes]
        else:
            targets = self._vectors(classes, lengths)
        return Sequences(inputs, targets, lengths=lengths if self._recall else None)

    def _vectors(self, symbols, lengths):
        vectors = np.zeros((*symbols.shape, self.n_inputs), np.float32)
        _one_hot(vectors, symbols, lengths)
        return vectors

    def correct(self, outputs, batch):
        return super().correct(*self._judged(outputs, batch))

    def error(self, outputs, batch):
        return super().error(*self._judged(outputs, batch))

    def _judged(self, outputs, batch):
        """Outputs and batch cut to the time steps that are judged."""
        if self.experiment != "2b":
            return outputs, batch
        return outputs[-1:], Sequences(batch.inputs[-1:], batch.targets[-1:])
