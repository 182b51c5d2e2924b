"""Endless streams that a generator makes, for learning online."""

import abc
import collections
import functools
import math

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import stream_key
from rnnsim.errors import unknown
from rnnsim.tasks.interface import SPLITS, StreamEnd, Task

TEST_BATCHES = 1000
STREAM_LENGTH = 100_000  # time steps of a stream with a stop_error and no stream_length
_KEPT = 64  # trainings that may take turns without generating from the first time step


class StreamTask(Task):
    """A task of endless streams that a generator makes, for learning online.

    Stream b of a batch is stream b of the seed, whatever the size of the batch; batch s holds its time steps s * steps ..
    (s + 1) * steps - 1. With steps=1 a batch is one time step, and a rule may learn from every one.

    A stream depends on its past (the current line, the state of a hidden source), so the task keeps the states behind the last
    batches: a batch that follows one of them continues from there, any other one is generated from the first time step on. Both
    give the same batch, and several trainings, also in threads, may share a task.

    An evaluation of `count` reads count // n stretches of n = min(size, count) streams that belong to the split alone; without
    a `count` there are 1000 stretches in all, as far as n divides them.

    A subclass has a `name`, which its random streams depend on, and `steps`, the number of time steps of a batch, and defines
    `stretch`, and `begin` if its streams have a state.
    """

    streams = True
    name: str
    steps: int

    @functools.cached_property
    def _behind(self):
        """By (key, size, step) of a training batch, the state that it starts from; the newest is last."""
        return collections.OrderedDict()

    def begin(self, key, size):
        """The state of streams 0 .. size - 1 of `key` before the first time step: a tuple of arrays, () without a state."""
        return ()

    @abc.abstractmethod
    def stretch(self, key, time_step, size, state):
        """The batch of time steps time_step .. time_step + steps - 1; advances the arrays of `state` in place."""

    def training_batch(self, seed, step, size):
        at_least("batch", size, 1)
        at_least("step", step, 0)
        key = stream_key(seed, f"{self.name} training")
        state = self._behind.pop((key, size, step), None)  # removed first: an interrupt leaves no half-advanced state
        if state is None:
            state = self.begin(key, size)
            for earlier in range(step if state else 0):
                self.stretch(key, earlier * self.steps, size, state)
        batch = self.stretch(key, step * self.steps, size, state)
        if len(self._behind) >= _KEPT:
            self._behind.popitem(last=False)
        self._behind[key, size, step + 1] = state
        return batch

    def evaluation_batches(self, seed, size, count=None, split="test"):
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        at_least("batch", size, 1)
        count = TEST_BATCHES if count is None else at_least("count", count, 1)
        key, size = stream_key(seed, f"{self.name} {split}"), min(size, count)
        state = self.begin(key, size)
        for number in range(count // size):
            yield self.stretch(key, number * self.steps, size, state)


def stream_end(stop_error, stream_length):
    """The `StreamEnd` of two options; None if both are left out. Raises `RnnsimError` for values out of range."""
    error = sequence_stop(stop_error)
    if stop_error is None and not at_least("stream_length", stream_length, 0):
        return None
    return StreamEnd(error, stream_length or STREAM_LENGTH)


def sequence_stop(stop_error):
    """`Task.sequence_stop` of an option: infinity for None. Raises `RnnsimError` for a value that is not above 0."""
    require(stop_error is None or stop_error > 0, f"stop_error={stop_error}: expected a number above 0")
    return math.inf if stop_error is None else stop_error


class NextCharacter(Task):
    """A task that predicts the next character of a text."""

    tokens = True

    def correct(self, outputs, batch):
        """None: a prediction of text is neither right nor wrong as a whole."""
        return None

    def error(self, outputs, batch):
        """None: the loss is the figure of a text."""
        return None

    def metrics(self, outputs, batch):
        """``{"accuracy": (B,)}``: the share of the characters that the network held the most probable."""
        return {"accuracy": (outputs.argmax(axis=-1) == batch.targets).mean(axis=0)}


class TextStream(NextCharacter, StreamTask):
    """Predict the next character of an endless text.

    Inputs and targets (steps, B) int32 tokens. Loss: softmax cross-entropy, in bits a character.

    A subclass has `letters`, its characters in the order of their numbers, `ideal`, the optimal predictor's loss in bits a
    character, and `read`; the state of a stream is one array of places.
    """

    loss = Loss("softmax", when="every", per="step", unit="bits")
    letters: str
    ideal: float

    @abc.abstractmethod
    def read(self, tokens, key, places):
        """tokens (T + 1, B) <- the characters from the places on; advances the places by T."""

    def stretch(self, key, time_step, size, state):
        tokens = np.empty((self.steps + 1, size), np.int32)
        self.read(tokens, key, *state)
        return Sequences(tokens[:-1].copy(), tokens[1:].copy())

    def decode(self, numbers):
        """The text of some inputs or targets."""
        return "".join(self.letters[number] for number in np.ravel(numbers))


def entropy_of(shares):
    """Entropy of a distribution, in nats; shares of 0 add nothing.

    >>> round(float(entropy_of([0.5, 0.5]) / np.log(2)), 12)
    1.0
    """
    shares = np.asarray(shares, np.float64)
    shares = shares[shares > 0]
    return abs(float((shares * np.log(shares)).sum()))
