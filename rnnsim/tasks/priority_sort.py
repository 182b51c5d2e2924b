"""Priority sort of Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.5)."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import uniform
from rnnsim.tasks.bit_vectors import BitVectorTask, fair_bits, reach

_ITEMS, _PRIORITIES = 0, 1  # draws; the priority of item i is draw _PRIORITIES + i, behind all of them come the bits


@jit_exact
def _draw_counts(counts, key, first, most, over, share):
    """counts (B,) <- n."""
    for b in range(counts.size):
        counts[b] = reach(key, first + b, _ITEMS, 1, most, over, share)


@jit_exact
def _draw(inputs, targets, weights, key, first, counts, wanted, most):
    """inputs (T, B, width + 2), targets (T, B, width) and weights (T, B), all from zeros; wanted (B,): m."""
    width = targets.shape[2]
    for b in range(counts.size):
        count = counts[b]
        fair_bits(inputs[:count, b, :width], key, first + b, _PRIORITIES + most)
        for i in range(count):
            inputs[i, b, width] = 2 * uniform(key, first + b, _PRIORITIES + i) - 1
        inputs[count, b, width + 1] = 1
        for i in range(count):
            rank = 0
            for j in range(count):
                if inputs[j, b, width] > inputs[i, b, width] or (inputs[j, b, width] == inputs[i, b, width] and j < i):
                    rank += 1
            if rank < wanted[b]:
                for k in range(width):
                    targets[count + 1 + rank, b, k] = inputs[i, b, k]
        for t in range(count + 1, count + 1 + wanted[b]):
            weights[t, b] = 1


class PrioritySort(BitVectorTask):
    """Priority sort: output the bit vectors of highest priority, the highest first.

    `items` random vectors of `width` bits (the paper: 20), each with a priority drawn uniformly from [-1, 1) on a channel of
    its own; then a delimiter; then the network outputs the `outputs` vectors (16) of highest priority, the highest first:

        time step       0 .. n-1                       n      n+1 .. n+m
        bits            x_0 .. x_n-1                   0      0
        priority        p_0 .. p_n-1                   0      0
        delimiter       0                              1      0
        target          -                              -      x_i in falling order of p_i     only these are counted

    The paper does not say how the end of the items is marked (no such layout has the number of weights of its LSTM baseline);
    one delimiter, as in the copy task, is our choice, as are the 8 bits. The order is that of what the network sees, the
    priorities in float32; of two equal ones the earlier comes first.

    Inputs (T, B, width + 2) float32, targets (T, B, width) float32 of 0 and 1, weights (T, B), lengths (B,).

    Loss: Bernoulli cross-entropy of logits, in bits a sequence.
    Chance-level loss: outputs * width fair bits, 128.
    Criterion: that of `rnnsim.tasks.bit_vectors.BitVectorTask` (ours): the last 2000 training sequences right, mean absolute
    error below .01. With a curriculum the number n of items grows from 1 to `items`, with m = ceil(n outputs / items); without
    one, and in evaluations, n = items.
    Source: Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.5).

    Parameters
    ----------
    items : vectors of a sequence, at least 1
    outputs : number of vectors to output, 1 .. items
    width : bits of a vector, at least 1
    curriculum : "none", "linear" or "mixed"; the number of items grows
    curriculum_sequences : the number of training sequences that the curriculum lasts, at least 1

    Raises `RnnsimError` for an option out of range.

    >>> task = PrioritySort()
    >>> task.n_inputs, task.n_outputs, task.trivial_loss
    (10, 8, 128)
    >>> batch = PrioritySort(items=5, outputs=1).training_batch(seed=0, step=0, size=1)
    >>> first = batch.inputs[:5, 0, 8].argmax()
    >>> bool((batch.targets[6, 0] == batch.inputs[first, 0, :8]).all())
    True
    """

    name = "priority sort"
    tested_options = ({}, dict(items=6, outputs=6, width=7))

    def __init__(
        self,
        items: int = 20,
        outputs: int = 16,
        width: int = 8,
        curriculum: Literal["none", "linear", "mixed"] = "none",
        curriculum_sequences: int = 10_000,
    ):
        self.items, self.width = at_least("items", items, 1), at_least("width", width, 1)
        require(1 <= outputs <= items, f"outputs={outputs}: expected a value from 1 to items={items}")
        self.outputs = outputs
        self.grow(curriculum, curriculum_sequences)
        self.trivial_loss = outputs * width
        self.target_names = tuple(f"bit {k}" for k in range(width))
        self.input_names = (*self.target_names, "priority", "delimiter")
        self.n_inputs, self.n_outputs = width + 2, width

    def make(self, key, first, size, over, share):
        counts = np.empty(size, np.int64)
        _draw_counts(counts, key, first, self.items, over, share)
        wanted = -(-counts * self.outputs // self.items)
        lengths = counts + 1 + wanted
        time_steps = lengths.max()
        inputs = np.zeros((time_steps, size, self.n_inputs), np.float32)
        targets = np.zeros((time_steps, size, self.n_outputs), np.float32)
        weights = np.zeros((time_steps, size), np.float32)
        _draw(inputs, targets, weights, key, first, counts, wanted, self.items)
        return Sequences(inputs, targets, weights, lengths)
