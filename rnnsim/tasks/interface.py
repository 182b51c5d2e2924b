"""The contract of a task: what a network is trained on, how it is judged, and what guessing would cost.

A task
1. has its options as annotated keyword arguments of its constructor, with defaults, checked there (`RnnsimError`); what
   it was made with stands in `options`, so that a run on disk can make it again;
2. says `n_inputs` and `n_outputs`; with `tokens` the inputs are int32 symbols below `n_inputs`, else float32 numbers;
3. names its `loss` (`rnnsim.core.losses.Loss`), and in `trivial_loss` what the best predictor that ignores the inputs
   costs under that same normalisation (None if there is no such figure);
4. gives in `criterion` when it counts as solved (None: never), from the paper it comes from;
5. makes `training_batch(seed, step, size)`, a function of these three and nothing else. Sequence number step * size + b
   decides everything about sequence b; with `streams`, batch step+1 continues the sequences of batch step instead;
6. yields `evaluation_batches(seed, size, count, split)`: the same sequences at every call, cut into batches of `size`
   (the last one may be smaller), none of them a training sequence;
7. judges outputs as the network gives them (logits for the cross-entropies) one sequence at a time: `correct` (B,) bool,
   `error` (B,) float, either of them None if the task has no such idea, `metrics` a dict of (B,) arrays that an
   evaluation averages. What they hold the outputs against is `wanted(batch)`: the targets, unless the paper judges by something
   else, such as all symbols that a grammar allows;
8. does not keep a batch that it has given away, so the receiver may change it;
9. keeps no state of a training. If its batches depend on success, it has a `progress`, a dict of numbers that a training begins
   with, gives in `advanced(progress, loss)` the progress after a batch, and takes it in
   `training_batch(seed, step, size, progress)`, None standing for the begin. The training keeps it, in checkpoints as well.

Arrays of a batch are C-contiguous, time first. T is the longest sequence of the batch; beyond a sequence's length inputs
and targets are 0.
"""

import abc
import functools
import inspect
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnsim.core.registry import as_python, at_least, require
from rnnsim.errors import unknown

SPLITS = ("test", "validation")
TEST_SEQUENCES = 2560  # the size of the test sets of Hochreiter & Schmidhuber 1997


@dataclass(slots=True)
class Batch:
    """Sequences for one training step.

    inputs : (T, B, n) float32, or (T, B) int32 tokens
    targets : a target a step, (T, B, K) float or (T, B) int32; or one a sequence, (B, K) float or (B,) int32
    weights : (T, B) float32, 0 where a step is not counted; or None
    lengths : (B,) integers; or None if all sequences have T steps

    >>> Batch(inputs=np.zeros((5, 2, 1), np.float32), targets=np.zeros((2, 1), np.float32)).size
    2
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: Any = None
    lengths: Any = None

    @property
    def size(self):
        """The number of sequences."""
        return self.inputs.shape[1]


@dataclass(frozen=True)
class Criterion:
    """Solved: of the last `window` training sequences at most `wrong` were not correct, and their mean error is small.

    max_error : bound that the mean of `Task.error` over the window must stay below; None for no bound

    >>> rule = Criterion(window=4, wrong=1, max_error=0.1)
    >>> rule.met(np.array([True, True, False, True]), np.full(4, 0.05)), rule.met(np.ones(3, bool), np.zeros(3))
    (True, False)
    """

    window: int = 2000
    wrong: int = 0
    max_error: float | None = None

    def met(self, correct, errors):
        """Whether the sequences so far (the newest last) meet it; False while there are fewer than `window`."""
        if len(correct) < self.window:
            return False
        if np.count_nonzero(~np.asarray(correct, bool)[-self.window :]) > self.wrong:
            return False
        return self.max_error is None or bool(np.mean(errors[-self.window :]) < self.max_error)


def _remembering(constructor):
    """The constructor, which keeps its arguments in `options` unless it is called by that of a derived class."""
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def remembering(self, *arguments, **named):
        if type(self).__init__ is remembering:
            bound = signature.bind(self, *arguments, **named)
            bound.apply_defaults()
            self.options = as_python(dict(list(bound.arguments.items())[1:]))
        constructor(self, *as_python(arguments), **as_python(named))

    return remembering


class Task(abc.ABC):
    """What every task offers; the contract is at the top of the module.

    `correct` and `error` are defined here by the kind of the loss: for squared errors a sequence is right if every counted
    output is nearer than `tolerance` to its target, for Bernoulli outputs likewise with probabilities, for softmax if the
    right class is the most probable one at every counted step.
    """

    n_inputs: int
    n_outputs: int
    loss: Any
    tokens = False
    streams = False
    trivial_loss = None
    criterion = None
    progress = None
    tolerance = 0.5
    input_names = None
    target_names = None

    def __init_subclass__(cls, **arguments):
        super().__init_subclass__(**arguments)
        if "__init__" in cls.__dict__:
            cls.__init__ = _remembering(cls.__init__)

    @abc.abstractmethod
    def training_batch(self, seed, step, size):
        """The batch (`Batch`) of `size` sequences for training step 0, 1, 2, ... of a seed."""

    @abc.abstractmethod
    def evaluation_batches(self, seed, size, count=None, split="test"):
        """Iterator over batches of a fixed set of `count` sequences; `RnnsimError` for an unknown split."""

    def example(self, number=0):
        """Sequence `number` of the evaluation set of seed 0, as a batch of size 1; `RnnsimError` if there are not so many."""
        batches = self.evaluation_batches(0, 1, at_least("example", number, 0) + 1)
        found = next(itertools.islice(batches, number, None), None)
        require(found is not None, f"example={number}: the task has fewer sequences to evaluate")
        return found

    def wanted(self, batch):
        """What outputs are judged against, of the shape of the targets: these themselves, if a task has no other idea."""
        return batch.targets

    def correct(self, outputs, batch):
        """(B,) bool: sequences that are right in the sense of the task."""
        targets, predictions = self.wanted(batch), self.loss.predictions(outputs)
        if self.loss.kind == "softmax":
            if targets.shape == outputs.shape:
                targets = targets.argmax(axis=-1)
            right = predictions.argmax(axis=-1) == targets
        else:
            right = (np.abs(predictions - targets) < self.tolerance).all(axis=-1)
        if self.loss.when == "last":
            return right
        return (right | (self.counted(batch) == 0)).all(axis=0)

    def error(self, outputs, batch):
        """(B,) float64: mean absolute error of the counted outputs; for softmax, mean probability of wrong classes."""
        targets, predictions = self.wanted(batch), self.loss.predictions(outputs)
        if self.loss.kind != "softmax":
            errors = np.abs(predictions - targets).mean(axis=-1, dtype=np.float64)
        elif targets.shape == outputs.shape:
            errors = 1 - (predictions * targets).sum(axis=-1, dtype=np.float64)
        else:
            errors = 1 - np.take_along_axis(predictions, targets[..., None], -1)[..., 0].astype(np.float64)
        if self.loss.when == "last":
            return errors
        counted = self.counted(batch) != 0
        return np.where(counted, errors, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)

    def metrics(self, outputs, batch):
        """Figures to average in an evaluation: ``{"correct": (B,), "error": (B,)}``."""
        return {"correct": self.correct(outputs, batch).astype(np.float64), "error": self.error(outputs, batch)}

    @staticmethod
    def counted(batch):
        """(T, B) float32: the weights of a batch with the steps beyond its lengths at 0."""
        steps, size = batch.inputs.shape[:2]
        weights = np.ones((steps, size), np.float32) if batch.weights is None else batch.weights
        if batch.lengths is None:
            return weights
        return np.where(np.arange(steps)[:, None] < batch.lengths, weights, 0).astype(np.float32)


class GeneratedTask(Task):
    """A task whose sequences come from a generator, without end.

    A task of this kind has a `name` and `generate(key, first, size)`: the batch of sequences number first .. first+size-1
    of the random stream `key`, by a kernel that takes all its random numbers from `rnnsim.core.rng`. Training, test and
    validation are three streams of the seed. An evaluation without `count` takes 2560 sequences. A task with a curriculum has
    `generate_training` as well.
    """

    name: str

    @abc.abstractmethod
    def generate(self, key, first, size):
        """The batch of sequences number first .. first + size - 1 of the stream `key`."""

    def generate_training(self, key, first, size):
        """The same for training; differs where early training sequences are easier ones."""
        return self.generate(key, first, size)

    def training_batch(self, seed, step, size):
        from rnnsim.core.rng import stream_key

        at_least("batch", size, 1)
        key, first = stream_key(seed, f"{self.name} training"), at_least("step", step, 0) * size
        return self.generate_training(key, first, size)

    def evaluation_batches(self, seed, size, count=None, split="test"):
        from rnnsim.core.rng import stream_key

        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        count = TEST_SEQUENCES if count is None else at_least("count", count, 1)
        key = stream_key(seed, f"{self.name} {split}")
        for first in range(0, count, at_least("batch", size, 1)):
            yield self.generate(key, first, min(size, count - first))
