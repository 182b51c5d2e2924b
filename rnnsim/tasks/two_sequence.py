"""The two-sequence problem: experiment 3 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8))."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import bits, integer, normal
from rnnsim.tasks.adding import draw_lengths
from rnnsim.tasks.interface import Criterion, GeneratedTask

VARIANCE = 0.2
_CLASS, _TARGET, _NOISE = 1, 2, 3  # draws behind that of the length
_STOPS = {"3a": (0, 0.01), "3b": (5, 0.04), "3c": (0, 0.015)}  # by variant: wrong ones of 256, mean error


@jit_exact
def gaussian_line(line, lengths, key, first, draw, deviation):
    """line (T, B) from zeros <- independent Gaussian noise up to the lengths, four numbers a draw, from number `draw` on.

    Box & Muller 1958, both branches of two pairs of 32-bit words: nothing is beyond 6.7 deviations.
    """
    scale = 2.0**-32
    for t in range(0, line.shape[0], 4):
        for b in range(lengths.size):
            if t >= lengths[b]:
                continue
            w0, w1, w2, w3 = bits(key, first + b, draw + t // 4)
            for half in range(2):
                size, turn = (w0, w1) if half == 0 else (w2, w3)
                radius = deviation * math.sqrt(-2.0 * math.log((size + np.uint64(1)) * scale))
                angle = 2.0 * math.pi * (turn * scale)
                place = t + 2 * half
                if place < lengths[b]:
                    line[place, b] = radius * math.cos(angle)
                if place + 1 < lengths[b]:
                    line[place + 1, b] = radius * math.sin(angle)


@jit_exact
def _mark(line, classes, key, first, informative, noisy):
    """classes (B,) <- 0 or 1; the first elements of the line <- 1 or -1, added to the noise or in its place."""
    for b in range(classes.size):
        classes[b] = integer(key, first + b, _CLASS, 2)
        sign = 1 - 2 * classes[b]
        for t in range(informative):
            line[t, b] = line[t, b] + np.float32(sign) if noisy else sign


@jit_exact
def _disturb(targets, key, first, deviation):
    """targets (B, 1) with Gaussian noise."""
    for b in range(targets.shape[0]):
        noise = deviation * normal(key, first + b, _TARGET)
        targets[b, 0] = np.float32(noise) + targets[b, 0]


class TwoSequence(GeneratedTask):
    """The two-sequence problem: tell two classes of noisy sequences by their first elements.

    The first `informative` elements of a sequence (the paper's N) are 1 for class 1 and -1 for class 2, all others are Gaussian
    noise of mean 0 and variance .2. The length of a sequence is uniform in T .. 1.1 T, and the target at its end is its class:

        variant   informative elements    target at the end                 right: error below   solved: wrong, mean error
        3a        1 or -1                 1 for class 1, 0 for class 2      .2                   0 of 256, .01
        3b        with the noise added    1 for class 1, 0 for class 2      .2                   5 of 256, .04
        3c        1 or -1                 .2 for class 1, .8 for class 2,   .1, from the         0 of 256, .015
                                          with noise of variance .1         target without noise

    With 3b the class cannot always be told: one element of variance .2 has the wrong sign in 1.3 % of the sequences.

    Inputs (T, B, 1) float32. Targets (B, 1) float32. Lengths (B,).

    Loss: "squared_error" (the paper's), or "bernoulli" of logits in bits (3a and 3b); of the last output, averaged over
    sequences.
    Chance-level loss: the variance of the target, 1/4; for 3c .09 + .1 = .19. For "bernoulli" 1 bit.
    Criterion (the table, the paper's): it counts errors on 256 test sequences, as a training with `test="fresh"` does;
    without a test the last 256 training sequences are judged. The paper stops training at ST1, where only the number of errors
    counts, or at ST2, where the mean absolute error does as well (3c has only one stop). `wanted` are the targets without
    noise, by which 3c is judged.

    Source: Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)), experiment 3.

    Parameters
    ----------
    variant : "3a", "3b" or "3c"
    length : T, the shortest length, at least 1
    informative : N, the number of elements that tell the class, 1 .. T
    stop : "ST1" or "ST2"
    loss : "squared_error" or "bernoulli"

    Raises `RnnsimError` for an option out of range, and for "bernoulli" with 3c.

    >>> task = TwoSequence(length=1000)
    >>> batch = task.training_batch(seed=0, step=0, size=3)
    >>> batch.inputs[:3, :, 0].T.tolist(), batch.targets[:, 0].tolist(), bool(1000 <= batch.lengths.min())
    ([[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]], [0.0, 0.0, 1.0], True)
    """

    name = "two-sequence"
    n_inputs = n_outputs = 1
    input_names = ("value",)
    target_names = ("class 1",)
    tested_options = ({}, dict(variant="3b", length=30, loss="bernoulli"), dict(variant="3c", length=30, informative=1))

    def __init__(
        self,
        variant: Literal["3a", "3b", "3c"] = "3a",
        length: int = 100,
        informative: int = 3,
        stop: Literal["ST1", "ST2"] = "ST2",
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
    ):
        self.variant = one_of("variant", variant, tuple(_STOPS))
        self.length = at_least("length", length, 1)
        require(
            1 <= informative <= length, f"informative={informative}: expected a value between 1 and length={length}"
        )
        self.informative = informative
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        require(squared or variant != "3c", f"loss={loss}: the noisy targets of variant=3c expect squared_error")
        self.loss = Loss(loss, when="last", per="sequence", unit="squared" if squared else "bits")
        self.tolerance = 0.1 if variant == "3c" else 0.2
        wrong, mean = _STOPS[variant]
        bound = one_of("stop", stop, ("ST1", "ST2")) == "ST2" or variant == "3c"
        self.criterion = Criterion(window=256, wrong=wrong, max_error=mean if bound else None)
        self.trivial_loss = (0.19 if variant == "3c" else 0.25) if squared else 1.0

    def generate(self, key, first, size):
        lengths, classes = np.empty(size, np.int64), np.empty(size, np.int64)
        draw_lengths(lengths, key, first, self.length, self.length * 11 // 10)
        inputs = np.zeros((lengths.max(), size, 1), np.float32)
        gaussian_line(inputs[..., 0], lengths, key, first, _NOISE, math.sqrt(VARIANCE))
        _mark(inputs[..., 0], classes, key, first, self.informative, self.variant == "3b")
        targets = self._clean(classes == 0)
        if self.variant == "3c":
            _disturb(targets, key, first, math.sqrt(0.1))
        return Sequences(inputs, targets, lengths=lengths)

    def _clean(self, first_class):
        """(B, 1) float32: the targets without noise."""
        one, two = (0.2, 0.8) if self.variant == "3c" else (1, 0)
        return np.where(first_class, one, two).astype(np.float32)[:, None]

    def wanted(self, batch):
        """(B, 1) float32: the targets without their noise."""
        return self._clean(batch.inputs[0, :, 0] > 0) if self.variant == "3c" else batch.targets
