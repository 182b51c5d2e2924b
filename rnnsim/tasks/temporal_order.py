"""Temporal order: experiment 6 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8))."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion, GeneratedTask

ZONES = {2: (10, 50), 3: (10, 33, 66), 4: (10, 29, 47, 66)}  # first place of a zone; the last one is 10 further
_START, _END, _DISTRACTOR, _RELEVANT = 0, 1, 2, 6  # channels: E, B, a b c d, X Y
_LENGTH, _PLACES, _KINDS, _FILLING = 0, 1, 9, 17  # draws; distractor t is draw _FILLING + t


@jit_exact
def _draw_lengths(lengths, key, first, least, most):
    for b in range(lengths.size):
        lengths[b] = least + integer(key, first + b, _LENGTH, most - least + 1)


@jit_exact
def _draw(inputs, classes, key, first, lengths, zones):
    """inputs (T, B, 8) from zeros, classes (B,); zones (R, 2) hold the first and the last place of every relevant symbol."""
    for b in range(lengths.size):
        s, end = first + b, lengths[b] - 1
        inputs[0, b, _START] = 1
        inputs[end, b, _END] = 1
        for t in range(1, end):
            inputs[t, b, _DISTRACTOR + integer(key, s, _FILLING + t, 4)] = 1
        name = 0
        for r in range(zones.shape[0]):
            place = zones[r, 0] + integer(key, s, _PLACES + r, zones[r, 1] - zones[r, 0] + 1)
            kind = integer(key, s, _KINDS + r, 2)
            for c in range(8):
                inputs[place, b, c] = 0
            inputs[place, b, _RELEVANT + kind] = 1
            name = 2 * name + kind
        classes[b] = name


class TemporalOrder(GeneratedTask):
    """Temporal order: classify sequences by the order of their relevant symbols, X and Y, among distractors.

    Eight symbols: E starts a sequence, B ends it, a b c d are distractors drawn at random, X and Y the relevant ones. A
    sequence has 100 .. 110 symbols. X or Y stands at some places, each drawn uniformly from its own zone (places counted from
    0, where E stands), and at the end the network names in which order they came:

        symbols   experiment   classes             zones
        2         6a           XX XY YX YY         10..20  50..60
        3         6b           XXX XXY ... YYY     10..20  33..43  66..76
        4         (ours)       XXXX ... YYYY       10..20  29..39  47..57  66..76

    `symbols` is the number of relevant symbols of a sequence: 2 and 3 are the paper's tasks; 4 is the next of the family, its
    zones spread evenly over those of 6b. Class numbers read X as 0 and Y as 1, the first symbol as the highest bit.

    Inputs (T, B, 8) float32: the symbols E B a b c d X Y, one-hot. Targets (B, K) float32: the class at the end, one-hot; for
    "softmax" classes (B,) int32. Lengths (B,).

    Loss: "squared_error" (the paper's), one output a class, or "softmax" in nats; of the last output, averaged over sequences.
    Chance-level loss for K = 2^symbols equally frequent classes: the best constant outputs are 1/K, with squared error
    (1 - 1/K)^2 + (K - 1)/K^2 = 1 - 1/K; for softmax log K.
    Criterion (the paper's): the last 2000 training sequences right and their mean absolute error below .1. A sequence is right
    if all outputs are within .3 of their targets; for "softmax" if the right class is the most probable one, and the error is
    the probability of the other classes.

    Source: Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)), experiment 6.

    Parameters
    ----------
    symbols : relevant symbols, 2, 3 or 4; K = 2^symbols classes
    loss : "squared_error" or "softmax"
    length : the shortest length, at least 20; lengths reach 1.1 times this and zones scale with it. The paper has 100

    Raises `RnnsimError` for an option out of range.

    >>> task = TemporalOrder(symbols=3)
    >>> batch = task.training_batch(seed=0, step=0, size=4)
    >>> batch.inputs.shape[1:], batch.targets.shape, task.trivial_loss
    ((4, 8), (4, 8), 0.875)
    """

    name = "temporal order"
    n_inputs = 8
    criterion = Criterion(window=2000, wrong=0, max_error=0.1)
    tolerance = 0.3
    input_names = ("E", "B", "a", "b", "c", "d", "X", "Y")
    tested_options = ({}, dict(symbols=3, loss="softmax"), dict(symbols=4, length=40))

    def __init__(
        self,
        symbols: Literal[2, 3, 4] = 2,
        loss: Literal["squared_error", "softmax"] = "squared_error",
        length: int = 100,
    ):
        require(symbols in ZONES, f"symbols={symbols}: expected one of 2, 3, 4")
        self.symbols = symbols
        self.length = at_least("length", length, 20)
        self.loss = Loss(one_of("loss", loss, ("squared_error", "softmax")), when="last", per="sequence")
        self.n_outputs = 2**symbols
        self.target_names = tuple(
            "".join("XY"[name >> (symbols - 1 - r) & 1] for r in range(symbols)) for name in range(self.n_outputs)
        )
        self.trivial_loss = math.log(self.n_outputs) if loss == "softmax" else 1 - 1 / self.n_outputs
        self._zones = np.array([(z * length // 100, (z + 10) * length // 100) for z in ZONES[symbols]])

    def generate(self, key, first, size):
        lengths, classes = np.empty(size, np.int64), np.empty(size, np.int32)
        _draw_lengths(lengths, key, first, self.length, self.length * 11 // 10)
        inputs = np.zeros((lengths.max(), size, 8), np.float32)
        _draw(inputs, classes, key, first, lengths, self._zones)
        targets = classes if self.loss.kind == "softmax" else np.eye(self.n_outputs, dtype=np.float32)[classes]
        return Sequences(inputs, targets, lengths=lengths)
