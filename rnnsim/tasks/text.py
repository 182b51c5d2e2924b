"""Predict the next character of a text."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.errors import unknown
from rnnsim.tasks.examples import entropy
from rnnsim.tasks.streams import NextCharacter


class Text(NextCharacter):
    """Predict the next character of a text (J. L. Elman 1990, Finding structure in time; A. Graves 2013, arXiv:1308.0850).

    The training part is one ring. A batch is B streams that read it side by side: stream b starts b/B of the way round, and
    batch s continues where batch s - 1 stopped, so a network that keeps its state sees context far longer than one batch.
    The place of stream 0 in the first batch depends on the seed.

    The first part of the text is for training, the next one is the split "validation" (if any), the end the split "test". An
    evaluation reads a held-out part once, from end to end, by as many streams as fit.

    Inputs and targets (steps, B) int32 tokens, the characters in the order of Unicode; the target is the next character.

    Loss: softmax cross-entropy, in bits a character.
    Chance-level loss: the entropy of the characters of the training part.
    Criterion: none; the metric is "accuracy", the share of the characters that the network held the most probable.

    Parameters
    ----------
    text : "moby-dick" (33 chapters, 303,550 characters, comes with rnnsim) or "shakespeare" (fetched)
    path : a UTF-8 file to read instead; None: `text`
    steps : characters (time steps) that a stream reads in one batch, at least 1
    test, validation : shares of the text that are held out, at its end

    Raises `RnnsimError` if the file cannot be read or is too short for these options.

    >>> task = Text(steps=20)
    >>> first, second = (task.training_batch(seed=1, step=s, size=4) for s in (0, 1))
    >>> first.inputs.shape, bool((first.targets[-1] == second.inputs[0]).all())
    ((20, 4), True)
    """

    streams = True
    tested_options = ({}, dict(steps=20, validation=0.2))

    def __init__(
        self,
        text: Literal["moby-dick", "shakespeare"] = "moby-dick",
        path: str | None = None,
        steps: int = 50,
        test: float = 0.1,
        validation: float = 0.0,
    ):
        from rnnsim.core.reading import at_home, read_text
        from rnnsim.data.text import Vocabulary, named_text

        at_least("steps", steps, 1)
        at_least("test", test, 0)
        at_least("validation", validation, 0)
        require(test + validation < 1, f"test={test}, validation={validation}: expected a sum below 1")
        content = named_text(text) if path is None else read_text(at_home(path))
        self.vocabulary = Vocabulary(content)
        tokens = self.vocabulary.encode(content)
        held, kept = round(test * tokens.size), round(validation * tokens.size)
        last = tokens.size - held - kept
        name = text if path is None else path
        require(last > steps, f"{name}: {max(last, 0)} characters for training, expected more than steps={steps}")
        self.steps = steps
        self._parts = {"train": tokens[:last]}
        if kept > 1:
            self._parts["validation"] = tokens[last : last + kept]
        if held > 1:
            self._parts["test"] = tokens[last + kept :]
        self._ring = np.concatenate([tokens[:last], tokens[: steps + 1]])
        self.n_inputs = self.n_outputs = len(self.vocabulary)
        self.loss = Loss("softmax", when="every", per="step", unit="bits")
        self.trivial_loss = entropy(tokens[:last]) / math.log(2)

    def training_batch(self, seed, step, size):
        for key, value, least in (("batch", size, 1), ("seed", seed, 0), ("step", step, 0)):
            at_least(key, value, least)
        length = self._parts["train"].size
        start = int(np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).integers(length))
        places = (start + step * self.steps + np.arange(size) * length // size) % length
        return self._batch(self._ring, places, self.steps)

    def evaluation_batches(self, seed, size, count=None, split="test"):
        if split not in self._parts:
            raise unknown("split", split, self._parts)
        at_least("batch", size, 1)
        if count is not None:
            at_least("count", count, 1)
        tokens = self._parts[split]
        predicted = tokens.size - 1
        streams = min(size, max(1, predicted // self.steps), size if count is None else count)
        length = predicted // streams
        windows = -(-length // self.steps)
        if count is not None:
            windows = min(windows, count // streams)
        for start in range(0, windows * self.steps, self.steps):
            time_steps = min(self.steps, length - start)
            yield self._batch(tokens, start + np.arange(streams) * length, time_steps)

    def decode(self, numbers):
        """The text of some inputs or targets."""
        return self.vocabulary.decode(numbers)

    @staticmethod
    def _batch(tokens, places, time_steps):
        inputs = tokens[places + np.arange(time_steps)[:, np.newaxis]]
        targets = tokens[places + np.arange(1, time_steps + 1)[:, np.newaxis]]
        return Sequences(inputs, targets)
