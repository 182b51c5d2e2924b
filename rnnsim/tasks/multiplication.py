"""The multiplication problem: experiment 5 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8))."""

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.tasks.adding import draw_lengths, draw_pairs, first_pair_marked
from rnnsim.tasks.interface import Criterion, GeneratedTask


@jit_exact
def _products(targets, inputs, marks):
    """targets (B, 1) <- X1 X2; a mark on the first pair counts as the factor 1."""
    for b in range(targets.shape[0]):
        total = 1.0
        for k in range(2):
            if marks[b, k] > 0:
                total *= np.float64(inputs[marks[b, k], b, 0])
        targets[b, 0] = total


class Multiplication(GeneratedTask):
    """The multiplication problem: the product of two marked numbers, at the end of the sequence.

    Sequences as in the adding problem of 1997 (`rnnsim.tasks.Adding`), but values are uniform in [0, 1] and the target at the
    end is the product X1 X2 of the two marked values. The marker -1 of the first pair hides a mark on it: its factor is 1 (the
    paper's "X1 = 1").

    Inputs (T, B, 2) float32: value and marker. Targets (B, 1) float32. Lengths (B,).

    Loss: squared error of the last output, averaged over sequences.
    Chance-level loss: with probability q (`rnnsim.tasks.adding.first_pair_marked`) the target is one uniform number, mean 1/2
    and mean square 1/3, else the product of two, mean 1/4 and mean square 1/9. The best constant output is the mean
    m = (1 - q)/4 + q/2, its loss the variance (1 - q)/9 + q/3 - m^2: .0592 for T = 100. With both marks visible it is
    7/144 = .048611.
    Criterion (the paper's): fewer than n_seq of the last 2000 training sequences wrong, for n_seq = 140 and for n_seq = 13. A
    sequence is right if the error is below .04.

    Source: Hochreiter & Schmidhuber 1997 (Neural Computation 9(8)), experiment 5.

    Parameters
    ----------
    length : T, the shortest length; at least 4
    n_seq : solved when fewer than n_seq of the last 2000 training sequences are wrong; 1 .. 2000, the paper has 140 and 13

    Raises `RnnsimError` for an option out of range.

    >>> task = Multiplication(n_seq=13)
    >>> task.criterion.wrong, round(task.trivial_loss, 6)
    (12, 0.059243)
    """

    name = "multiplication"
    n_inputs = 2
    n_outputs = 1
    tolerance = 0.04
    input_names = ("value", "marker")
    target_names = ("product",)
    tested_options = ({}, dict(length=12))

    def __init__(self, length: int = 100, n_seq: int = 140):
        self.length = at_least("length", length, 4)
        require(1 <= n_seq <= 2000, f"n_seq={n_seq}: expected a value between 1 and 2000")
        self.n_seq = n_seq
        self.criterion = Criterion(window=2000, wrong=n_seq - 1)
        self.loss = Loss("squared_error", when="last", per="sequence")
        q = first_pair_marked(length)
        self.trivial_loss = (1 - q) / 9 + q / 3 - ((1 - q) / 4 + q / 2) ** 2

    def generate(self, key, first, size):
        lengths, marks = np.empty(size, np.int64), np.empty((size, 2), np.int64)
        draw_lengths(lengths, key, first, self.length, self.length * 11 // 10)
        inputs, targets = np.zeros((lengths.max(), size, 2), np.float32), np.empty((size, 1), np.float32)
        draw_pairs(inputs, marks, key, first, lengths, self.length, 0.0)
        _products(targets, inputs, marks)
        return Sequences(inputs, targets, lengths=lengths)
