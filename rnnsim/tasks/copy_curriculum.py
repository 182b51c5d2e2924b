"""Copying bit strings that grow longer with success: a curriculum of online learning."""

import math

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import integer, stream_key
from rnnsim.tasks.interface import GeneratedTask
from rnnsim.tasks.streams import entropy_of

START, WAIT = 2, 3
RANGE = 5  # lengths T-4 .. T
RESET = 0.3


@jit_exact
def _draw_counts(counts, key, first, longest):
    """counts (B,) <- L: draw 0."""
    for b in range(counts.size):
        counts[b] = longest - integer(key, first + b, 0, min(RANGE, longest))


@jit_exact
def _draw(inputs, targets, key, first, counts):
    """inputs and targets (T, B) from zeros; draw i is bit b_i."""
    for b in range(counts.size):
        count = counts[b]
        inputs[0, b] = START
        targets[0, b] = WAIT
        for i in range(1, count + 1):
            bit = integer(key, first + b, i, 2)
            inputs[i, b] = bit
            targets[i, b] = WAIT
            inputs[count + i, b] = WAIT
            targets[count + i, b] = bit


class CopyCurriculum(GeneratedTask):
    """Copy bit strings whose length grows with success; how long they get is the result.

        time step  0       1 .. L       L+1 .. 2L
        input      start   b_1 .. b_L   wait .. wait
        target     wait    wait         b_1 .. b_L

    L is uniform in T-4 .. T (from 1 on). After every training batch the running mean m of the loss becomes

        m <- m + (loss - m) / memory

    and when m falls below `bound`, T grows by 1 and m is set to .3. T and m are the `progress` of the training
    (`rnnsim.tasks.Task`): checkpoints keep it and the reports show it. An evaluation has sequences with T = `length`, whatever
    the training has reached.

    Inputs and targets (2 T + 1, B) int32 tokens, 0 and 1 for the bits, 2 for start, 3 for wait; lengths (B,).

    Loss: softmax cross-entropy, in bits a time step; all time steps are counted.
    Chance-level loss: for T = `length`, the entropy of the targets: L + 1 of 2 L + 1 are wait, the rest fair bits.
    Criterion: none; the result is T.

    Source: Mujika, Meier & Steger 2018; Benzing et al. 2019. That all time steps count, which mean m is and where T begins are
    our reading.

    Parameters
    ----------
    start : T at the begin of a training, at least 1
    bound : bits a time step that the running mean must fall below, above 0 and at most .3
    memory : number of batches over which the running mean averages, at least 1
    length : T of the evaluation, at least 1

    Raises `RnnsimError` for an option out of range.

    >>> task = CopyCurriculum(memory=1)
    >>> task.progress, task.advanced({"T": 7, "mean": 0.3}, loss=0.1), task.advanced({"T": 7, "mean": 0.3}, loss=0.25)
    ({'T': 1, 'mean': 0.3}, {'T': 8, 'mean': 0.3}, {'T': 7, 'mean': 0.25})
    >>> task.training_batch(seed=0, step=0, size=50, progress={"T": 30, "mean": 0.2}).inputs.shape
    (61, 50)
    """

    name = "copy-curriculum"
    tokens = True
    n_inputs = n_outputs = 4
    loss = Loss("softmax", when="every", per="step", unit="bits")
    input_names = target_names = ("0", "1", "start", "wait")
    tested_options = (dict(start=40, length=40),)

    def __init__(self, start: int = 1, bound: float = 0.15, memory: int = 100, length: int = 20):
        self.progress = {"T": at_least("start", start, 1), "mean": RESET}
        require(0 < bound <= RESET, f"bound={bound}: expected a value above 0 and at most {RESET}")
        self.bound, self.memory, self.length = bound, at_least("memory", memory, 1), at_least("length", length, 1)
        mean = length - (min(RANGE, length) - 1) / 2
        shares = np.array([mean / 2, mean / 2, mean + 1]) / (2 * mean + 1)
        self.trivial_loss = entropy_of(shares) / math.log(2)

    def advanced(self, progress, loss):
        """The progress after a training batch with this loss: the new mean, and T + 1 if it is below `bound`."""
        mean = progress["mean"] + (loss - progress["mean"]) / self.memory
        if mean < self.bound:
            return {"T": progress["T"] + 1, "mean": RESET}
        return {"T": progress["T"], "mean": mean}

    def training_batch(self, seed, step, size, progress=None):
        at_least("batch", size, 1)
        first = at_least("step", step, 0) * size
        longest = (self.progress if progress is None else progress)["T"]
        return self._batch(stream_key(seed, f"{self.name} training"), first, size, longest)

    def generate(self, key, first, size):
        return self._batch(key, first, size, self.length)

    @staticmethod
    def _batch(key, first, size, longest):
        counts = np.empty(size, np.int64)
        _draw_counts(counts, key, first, longest)
        lengths = 2 * counts + 1
        inputs = np.zeros((lengths.max(), size), np.int32)
        targets = np.zeros((lengths.max(), size), np.int32)
        _draw(inputs, targets, key, first, counts)
        return Sequences(inputs, targets, lengths=lengths)
