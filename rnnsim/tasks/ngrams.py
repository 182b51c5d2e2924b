"""Dynamic n-grams of Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.4)."""

import math

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import require
from rnnsim.core.rng import uniform
from rnnsim.tasks.bit_vectors import wrong_bits
from rnnsim.tasks.interface import GeneratedTask

_LARGEST = 16  # n; the counts of a sequence are a table of 2^n numbers


@jit_exact
def _draw(inputs, targets, key, first, n):
    """inputs (T, B, 1) from zeros, targets (T, B, 1). Draw c belongs to the table, 2^(n-1) + t to bit t."""
    time_steps, contexts = targets.shape[0], 2 ** (n - 1)
    for b in range(targets.shape[1]):
        context = 0
        for t in range(time_steps):
            share = 0.5
            if t >= n - 1:
                share = math.sin(0.5 * math.pi * uniform(key, first + b, context)) ** 2
            bit = 1 if uniform(key, first + b, contexts + t) < share else 0
            targets[t, b, 0] = bit
            if t + 1 < time_steps:
                inputs[t + 1, b, 0] = bit
            context = (2 * context + bit) % contexts


@jit_exact
def _predict(shares, targets, n):
    """shares (T, B) <- P(1) of the next bit by the rule of `DynamicNGrams`; targets (T, B, 1)."""
    contexts = 2 ** (n - 1)
    counts = np.empty((contexts, 2))
    for b in range(targets.shape[1]):
        counts[:] = 0
        context = 0
        for t in range(targets.shape[0]):
            bit = 1 if targets[t, b, 0] > 0.5 else 0
            shares[t, b] = 0.5
            if t >= n - 1:
                ones, zeros = counts[context, 1], counts[context, 0]
                shares[t, b] = (ones + 0.5) / (ones + zeros + 1)
                counts[context, bit] += 1
            context = (2 * context + bit) % contexts


def optimal_predictions(targets, n):
    """The optimal predictor's P(1) of each bit of targets (T, B, 1) given those before it, (T, B) float64; see `DynamicNGrams`.

    >>> optimal_predictions(np.ones((5, 1, 1)), n=2)[:, 0].tolist()
    [0.5, 0.5, 0.75, 0.8333333333333334, 0.875]
    """
    shares = np.empty(targets.shape[:2])
    _predict(shares, targets, n)
    return shares


class DynamicNGrams(GeneratedTask):
    """Dynamic n-grams: predict the next bit of a random source that a network must learn within the sequence.

    Every sequence has a table of its own: for each of the 2^(n-1) contexts c of n-1 bits the probability p_c that a 1 follows,
    drawn from Beta(1/2, 1/2). The first n-1 bits are fair coins, every further one is 1 with probability p_c, c being the n-1
    bits before it. The network sees the sequence and predicts the next bit at every time step, the first one from nothing:

        time step  0      1      2     ...    length-1
        input      0      b_0    b_1          b_length-2
        target     b_0    b_1    b_2          b_length-1        every time step is counted

    The paper has n = 6 and 200 bits. sin^2(pi u / 2) with u uniform in [0, 1) is exactly Beta(1/2, 1/2), the arcsine law.

    Inputs and targets (length, B, 1) float32 of 0 and 1.

    Loss: Bernoulli cross-entropy of logits, in bits a sequence.
    Chance-level loss: length bits (200): by symmetry the best constant is a fair coin, 1 bit a time step.
    Criterion: none; and a sequence is neither right nor wrong as a whole, as most of its bits are chance.

    The optimal predictor that does not know the table (Murphy 2012, Bayes' rule with the Beta prior) says

        P(b = 1 | c) = (N1 + 1/2) / (N1 + N0 + 1)

    with N1, N0 how often 1 and 0 have followed c in this sequence so far; 1/2 for the first n-1 bits. An evaluation reports its
    loss on the same sequences as `optimal_bits`. The mean over 4,000,000 sequences of the paper's sizes is

        133.26 bits (standard error .02) for the optimal predictor, the first five bits included
        103.48 bits (.02) for a predictor that knows the table

    and one sequence has a standard deviation of 36 bits: 1000 sequences, the paper's validation set, have a standard error of
    1.1 bits, so compare on the same sequences. A predictor that knows the table has a lower loss than n-1 bits and 2 - 1/ln 2 =
    .557 bits, the mean entropy of a coin of the arcsine law, for every further bit, because a sequence stays where the next bit
    is nearly sure.

    Source: Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.4).

    Parameters
    ----------
    n : a bit depends on the n - 1 before it, 1 .. 16
    length : bits (time steps) of a sequence, at least n

    Raises `RnnsimError` for an option out of range.

    >>> task = DynamicNGrams()
    >>> task.n_inputs, task.n_outputs, task.trivial_loss
    (1, 1, 200)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> bool((batch.inputs[1:] == batch.targets[:-1]).all()), bool(task.optimal_bits(batch)[0] < 200)
    (True, True)
    """

    name = "dynamic n-grams"
    n_inputs = n_outputs = 1
    loss = Loss("bernoulli", when="every", per="sequence", unit="bits")
    input_names = ("last bit",)
    target_names = ("next bit",)
    tested_options = ({}, dict(n=3, length=50))

    def __init__(self, n: int = 6, length: int = 200):
        require(1 <= n <= _LARGEST, f"n={n}: expected a value from 1 to {_LARGEST}")
        require(length >= n, f"length={length}: expected a value of at least n={n}")
        self.n, self.length = n, length
        self.trivial_loss = length

    def generate(self, key, first, size):
        inputs = np.zeros((self.length, size, 1), np.float32)
        targets = np.empty((self.length, size, 1), np.float32)
        _draw(inputs, targets, key, first, self.n)
        return Sequences(inputs, targets)

    def correct(self, outputs, batch):
        """None: a sequence of random bits is neither right nor wrong as a whole."""
        return None

    def optimal_bits(self, batch):
        """(B,) float64: the loss in bits of the optimal predictor that does not know the table, for each sequence."""
        shares = optimal_predictions(batch.targets, self.n)
        return -np.log2(np.where(batch.targets[..., 0] > 0.5, shares, 1 - shares)).sum(axis=0)

    def metrics(self, outputs, batch):
        """``"error"``, ``"wrong_bits"`` (bits whose opposite the network held more probable) and ``"optimal_bits"``."""
        return {
            "error": self.error(outputs, batch),
            "wrong_bits": wrong_bits(outputs, batch),
            "optimal_bits": self.optimal_bits(batch),
        }
