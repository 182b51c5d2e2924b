"""Associative recall of Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.3)."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least
from rnnsim.core.rng import integer
from rnnsim.tasks.bit_vectors import BitVectorTask, bounds, fair_bits, reach

_ITEMS, _QUERY, _BITS = 0, 1, 2  # draws; item i has draws _BITS + i * (draws of an item) and on, 32 bits each


@jit_exact
def _draw_counts(counts, key, first, least, most, over, share):
    """counts (B,) <- K."""
    for b in range(counts.size):
        s = first + b
        counts[b] = least + integer(key, s, _ITEMS, reach(key, s, _ITEMS, least, most, over, share) - least + 1)


@jit_exact
def _draw(inputs, targets, weights, key, first, counts, span):
    """inputs (T, B, width + 2), targets (T, B, width) and weights (T, B), all from zeros; span: vectors of an item."""
    width, period = targets.shape[2], span + 1
    draws = (span * width + 31) // 32
    for b in range(counts.size):
        end = counts[b] * period
        for i in range(counts[b]):
            start = i * period
            inputs[start, b, width] = 1
            fair_bits(inputs[start + 1 : start + period, b, :width], key, first + b, _BITS + i * draws)
        inputs[end, b, width + 1] = 1
        query = integer(key, first + b, _QUERY, counts[b] - 1) * period
        for t in range(1, period):
            for k in range(width):
                inputs[end + t, b, k] = inputs[query + t, b, k]
                targets[end + span + t, b, k] = inputs[query + period + t, b, k]
            weights[end + span + t, b] = 1


class AssociativeRecall(BitVectorTask):
    """Associative recall: answer a queried item with the item that followed it.

    An item is `item_length` random vectors of `width` bits (the paper: three of 6 bits) behind a delimiter. A sequence has K
    items, K uniform in min_items .. max_items (2 .. 6); then a second delimiter and one of the items except the last, drawn
    uniformly, once more. The network answers with the item that followed it. With three vectors an item:

        time step          4i            4i+1 .. 4i+3     4K            4K+1 .. 4K+3   4K+4 .. 4K+6
        bits               0             item i           0             item q         0
        item delimiter     1             0                0             0              0
        query delimiter    0             0                1             0              0
        target             -             -                -             -              item q+1     only these are counted

    The paper has the delimiters in rows 7 and 8. The number of weights of its LSTM baseline (table 3: 1,344,518) fits 8 inputs
    and 6 outputs only, so there is no further channel. No delimiter follows the query: its length is known. Two items of a
    sequence are equal, and the answer then ambiguous, with probability 2^-18 a pair.

    Inputs (T, B, width + 2) float32, targets (T, B, width) float32 of 0 and 1, weights (T, B), lengths (B,).

    Loss: Bernoulli cross-entropy of logits, in bits a sequence.
    Chance-level loss: item_length * width fair bits, 18.
    Criterion and curriculum: those of `rnnsim.tasks.bit_vectors.BitVectorTask` (ours): the last 2000 training sequences right,
    mean absolute error below .01.
    Source: Graves, Wayne & Danihelka 2014 (Neural Turing Machines, arXiv:1410.5401, section 4.3).

    Parameters
    ----------
    width : bits of a vector, at least 1
    max_items, min_items : bounds of the number of items, 2 <= min_items <= max_items
    item_length : vectors of an item, at least 1
    items : every sequence has this number of items, whatever the bounds are; None: the bounds hold
    curriculum : "none", "linear" or "mixed"; the number of items grows
    curriculum_sequences : the number of training sequences that the curriculum lasts, at least 1

    Raises `RnnsimError` for an option out of range.

    >>> task = AssociativeRecall()
    >>> task.n_inputs, task.n_outputs, task.trivial_loss
    (8, 6, 18)
    >>> batch = AssociativeRecall(items=2).training_batch(seed=0, step=0, size=1)
    >>> bool((batch.inputs[9:12] == batch.inputs[1:4]).all()), bool((batch.targets[12:] == batch.inputs[5:8, :, :6]).all())
    (True, True)
    """

    name = "associative recall"
    tested_options = ({}, dict(width=5, item_length=8, items=3))

    def __init__(
        self,
        width: int = 6,
        max_items: int = 6,
        min_items: int = 2,
        item_length: int = 3,
        items: int | None = None,
        curriculum: Literal["none", "linear", "mixed"] = "none",
        curriculum_sequences: int = 10_000,
    ):
        self.width, self.item_length = at_least("width", width, 1), at_least("item_length", item_length, 1)
        self.min_items, self.max_items = bounds("items", items, min_items, max_items, floor=2)
        self.grow(curriculum, curriculum_sequences)
        self.trivial_loss = width * item_length
        self.target_names = tuple(f"bit {k}" for k in range(width))
        self.input_names = (*self.target_names, "item delimiter", "query delimiter")
        self.n_inputs, self.n_outputs = width + 2, width

    def make(self, key, first, size, over, share):
        counts = np.empty(size, np.int64)
        _draw_counts(counts, key, first, self.min_items, self.max_items, over, share)
        lengths = (counts + 1) * (self.item_length + 1) + self.item_length
        time_steps = lengths.max()
        inputs = np.zeros((time_steps, size, self.n_inputs), np.float32)
        targets = np.zeros((time_steps, size, self.n_outputs), np.float32)
        weights = np.zeros((time_steps, size), np.float32)
        _draw(inputs, targets, weights, key, first, counts, self.item_length)
        return Sequences(inputs, targets, weights, lengths)
