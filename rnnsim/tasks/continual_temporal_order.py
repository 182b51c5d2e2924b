"""Temporal order without an end: the continual, noisy task of Gers, Schmidhuber & Cummins 2000."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer
from rnnsim.tasks.interface import Criterion
from rnnsim.tasks.streams import StreamTask, stream_end
from rnnsim.tasks.temporal_order import ZONES, TemporalOrder

_START, _END, _DISTRACTOR, _RELEVANT = 0, 1, 2, 6  # channels: E, B, a b c d, X Y
_LENGTH, _PLACES, _KINDS, _FILLING = 0, 1, 9, 17  # draws of a sequence; distractor t is draw _FILLING + t
_MEAN_SHARE = 1.05  # mean length over shortest length


@jit_exact
def _read(inputs, classes, weights, places, key, length, zones):
    """inputs (T, B, 8), classes and weights (T, B), all from zeros.

    places (B, 2), number of the sequence and place in it, advance by T.

    Sequence i of stream b has the random numbers of sequence b 2^32 + i.
    """
    relevant = zones.shape[0]
    where, kinds = np.empty(relevant, np.int64), np.empty(relevant, np.int64)
    for b in range(places.shape[0]):
        number, place, size, name = places[b, 0], places[b, 1], 0, 0
        for t in range(inputs.shape[0]):
            s = b * 4294967296 + number
            if t == 0 or place == 0:
                size, name = length + integer(key, s, _LENGTH, length * 11 // 10 - length + 1), 0
                for r in range(relevant):
                    where[r] = zones[r, 0] + integer(key, s, _PLACES + r, zones[r, 1] - zones[r, 0] + 1)
                    kinds[r] = integer(key, s, _KINDS + r, 2)
                    name = 2 * name + kinds[r]
            symbol = _DISTRACTOR
            if place == 0:
                symbol = _START
            elif place == size - 1:
                symbol = _END
            else:
                symbol = _DISTRACTOR + integer(key, s, _FILLING + place, 4)
                for r in range(relevant):
                    if place == where[r]:
                        symbol = _RELEVANT + kinds[r]
            inputs[t, b, symbol] = 1
            place += 1
            if place == size:
                classes[t, b] = name
                weights[t, b] = 1
                place = 0
                number += 1
        places[b, 0] = number
        places[b, 1] = place


class ContinualTemporalOrder(StreamTask):
    """Classify the sequences of an endless stream by the order of their relevant symbols.

    Sequences of experiment 6b of 1997 (`rnnsim.tasks.TemporalOrder`), one behind the other; only the symbol B shows where one
    ends. At every B the target is the class of the sequence that ends there; no other time step is counted, and nothing is
    reset.

    Inputs (steps, B, 8) float32: the symbols E B a b c d X Y, one-hot. Targets (steps, B, K) float32: the class, one-hot; for
    "softmax" classes (steps, B) int32. Weights (steps, B).

    Loss: "squared_error", one output a class, or "softmax" in nats; averaged over the counted time steps.
    Chance-level loss: that of temporal order, 1 - 1/K or log K for K equally frequent classes.
    Criterion (our reading of the paper's tests, 10 streams of 100 sequences): all of the last 1000 sequences right, counted by
    the time steps that they fill on average. A class is right if all outputs are within .3 of their targets ("softmax": if it
    is the most probable one), a sequence (the time steps of one stream in one batch) if all classes in it are. The paper's
    streams have 100 sequences.

    Source: Gers, Schmidhuber & Cummins 2000 (Neural Computation 12(10)).

    Parameters
    ----------
    symbols : relevant symbols, 2, 3 or 4; K = 2^symbols classes. The paper has 3
    length : the shortest length of a sequence, at least 20
    steps : time steps of a batch, at least 1; the next batch continues the streams
    loss : "squared_error" or "softmax"
    stop_error : a stream ends after the first time step with such an error, and the next one begins; None: errors end no stream
    stream_length : a stream ends after so many time steps; 0: after 100,000 with a stop_error, else never

    Raises `RnnsimError` for an option out of range.

    >>> task = ContinualTemporalOrder(steps=1000)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> ends = np.flatnonzero(batch.weights[:, 0])
    >>> [task.target_names[k] for k in batch.targets[ends, 0].argmax(axis=1)]
    ['YYY', 'YYY', 'XYY', 'YYX', 'YXX', 'YYX', 'XYX', 'XXX', 'YYX']
    """

    name = "continual-temporal-order"
    n_inputs = 8
    tolerance = 0.3
    input_names = TemporalOrder.input_names
    tested_options = ({}, dict(symbols=2, length=20, steps=70), dict(loss="softmax", steps=110))

    def __init__(
        self,
        symbols: Literal[2, 3, 4] = 3,
        length: int = 100,
        steps: int = 200,
        loss: Literal["squared_error", "softmax"] = "squared_error",
        stop_error: float | None = None,
        stream_length: int = 0,
    ):
        require(symbols in ZONES, f"symbols={symbols}: expected one of 2, 3, 4")
        self.symbols, self.length = symbols, at_least("length", length, 20)
        self.steps = at_least("steps", steps, 1)
        self.stream_end = stream_end(stop_error, stream_length)
        self.loss = Loss(one_of("loss", loss, ("squared_error", "softmax")), when="every", per="step")
        one = TemporalOrder(symbols=symbols, length=length)
        self.n_outputs, self.target_names = one.n_outputs, one.target_names
        self.trivial_loss = math.log(self.n_outputs) if loss == "softmax" else 1 - 1 / self.n_outputs
        self.criterion = Criterion(window=math.ceil(1000 * _MEAN_SHARE * length / steps), wrong=0)
        self._zones = np.array([(z * length // 100, (z + 10) * length // 100) for z in ZONES[symbols]])

    def begin(self, key, size):
        return (np.zeros((size, 2), np.int64),)

    def stretch(self, key, time_step, size, state):
        inputs = np.zeros((self.steps, size, 8), np.float32)
        classes, weights = np.zeros((self.steps, size), np.int32), np.zeros((self.steps, size), np.float32)
        _read(inputs, classes, weights, *state, key, self.length, self._zones)
        if self.loss.kind == "softmax":
            return Sequences(inputs, classes, weights)
        targets = np.eye(self.n_outputs, dtype=np.float32)[classes] * weights[..., None]
        return Sequences(inputs, targets, weights)
