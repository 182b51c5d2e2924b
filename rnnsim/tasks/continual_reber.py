"""Embedded Reber strings without an end: the continual task of Gers, Schmidhuber & Cummins 2000."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of
from rnnsim.tasks.interface import Criterion
from rnnsim.tasks.reber import CHOICES, LEGAL, SYMBOLS, transition, visits
from rnnsim.tasks.streams import StreamTask, entropy_of, stream_end


@jit_exact
def _read(inputs, targets, states, key, time_step):
    """inputs, targets (T, B, 7) from zeros; the states advance by T. Draw i of a stream decides about its symbol i."""
    for t in range(inputs.shape[0]):
        for b in range(states.size):
            choice = transition(states[b], key, b, time_step + t)
            inputs[t, b, CHOICES[states[b], choice, 0]] = 1
            states[b] = CHOICES[states[b], choice, 1]
            for k in range(7):
                targets[t, b, k] = LEGAL[states[b], k]


class ContinualReber(StreamTask):
    """Say which symbols may come next in an endless stream of embedded Reber strings.

    Strings of the embedded Reber grammar (`rnnsim.tasks.EmbeddedReber`), one behind the other; only the symbols E and B show
    where one ends. A stream begins with the B of a string. At every time step the target is the set of all symbols that may
    come next.

    Inputs (steps, B, 7) float32: the symbol, one-hot in the order B T P S X V E; the symbol that does come is the input of the
    next time step. Targets (steps, B, 7) float32: 1 for each symbol that may come next (one or two), 0 for the others.

    Loss: "squared_error" for outputs between 0 and 1, or "bernoulli" of logits in bits; averaged over time steps.
    Chance-level loss: that of the constant outputs q, the shares of time steps at which a symbol may come next: the sum over
    the symbols of q (1 - q), or of the entropy of (q, 1 - q) in bits.
    Criterion: a million successive right predictions, the paper's "perfect" (the paper holds the weights fixed and takes
    fresh streams). A prediction is right if all seven outputs are within .49 of these targets (`right`), a sequence (the time
    steps of one stream in one batch) if all its predictions are.

    The paper ends a training stream at the first wrong prediction. The bound .49 only makes sense for sets of symbols: where
    two symbols are equally likely, no outputs are within .49 of the one that comes, every time, and every stream would end at
    its second time step.

    Source: Gers, Schmidhuber & Cummins 2000 (Neural Computation 12(10)).

    Parameters
    ----------
    steps : time steps of a batch, at least 1; the next batch continues the streams
    loss : "squared_error" or "bernoulli"
    stop_error : a stream ends after the first time step with such an error, and the next one begins; None: errors end no stream
    stream_length : a stream ends after so many time steps; 0: after 100,000 with a stop_error, else never

    Raises `RnnsimError` for an option out of range.

    >>> task = ContinualReber(steps=14)
    >>> batch = task.training_batch(seed=0, step=0, size=1)
    >>> "".join(SYMBOLS[k] for k in batch.inputs[:, 0].argmax(axis=1)), batch.targets[:3, 0].sum(axis=1).tolist()
    ('BTBPTTVVETEBTB', [2.0, 1.0, 2.0])
    """

    name = "continual-reber"
    n_inputs = n_outputs = len(SYMBOLS)
    input_names = target_names = tuple(SYMBOLS)
    tolerance = 0.49
    tested_options = ({}, dict(loss="bernoulli", steps=70))

    def __init__(
        self,
        steps: int = 100,
        loss: Literal["squared_error", "bernoulli"] = "squared_error",
        stop_error: float | None = None,
        stream_length: int = 0,
    ):
        self.steps = at_least("steps", steps, 1)
        self.stream_end = stream_end(stop_error, stream_length)
        squared = one_of("loss", loss, ("squared_error", "bernoulli")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if squared else "bits")
        self.criterion = Criterion(window=-(-(10**6) // steps), wrong=0)
        often = visits()
        q = often @ LEGAL / often.sum()
        entropies = [entropy_of((part, 1 - part)) for part in q]
        self.trivial_loss = float((q * (1 - q)).sum()) if squared else math.fsum(entropies) / math.log(2)

    def begin(self, key, size):
        return (np.zeros(size, np.int64),)

    def stretch(self, key, time_step, size, state):
        inputs = np.zeros((self.steps, size, 7), np.float32)
        targets = np.empty((self.steps, size, 7), np.float32)
        _read(inputs, targets, *state, key, time_step)
        return Sequences(inputs, targets)

    def right(self, outputs, batch):
        """(T, B) bool: predictions with all outputs within .49 of their targets."""
        return (np.abs(self.loss.predictions(outputs) - batch.targets) < self.tolerance).all(axis=-1)
