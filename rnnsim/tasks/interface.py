"""The contract of a task: what a network is trained on, how it is judged, and the chance-level loss."""

import abc
import functools
import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnsim.core.batch import Batch, Sequences
from rnnsim.core.registry import as_python, at_least, require
from rnnsim.errors import RnnsimError, unknown

if TYPE_CHECKING:
    from rnnsim.core.losses import Loss

SPLITS = ("test", "validation")
TEST_SEQUENCES = 2560  # the size of the test sets of Hochreiter & Schmidhuber 1997


@dataclass(frozen=True)
class Criterion:
    """Success: at most `wrong` of the last `window` training sequences are not correct, and their mean error is small.

    window : number of training sequences that are judged
    wrong : how many of them may be wrong
    max_error : bound that the mean of `Task.error` over the window must stay below; None: no bound

    >>> rule = Criterion(window=4, wrong=1, max_error=0.1)
    >>> rule.met(np.array([True, True, False, True]), np.full(4, 0.05)), rule.met(np.ones(3, bool), np.zeros(3))
    (True, False)
    """

    window: int = 2000
    wrong: int = 0
    max_error: float | None = None

    def met(self, correct: np.ndarray, errors: np.ndarray) -> bool:
        """Whether the sequences so far (the newest last) meet the criterion; False while there are fewer than `window`."""
        if len(correct) < self.window:
            return False
        if np.count_nonzero(~np.asarray(correct, bool)[-self.window :]) > self.wrong:
            return False
        return self.max_error is None or bool(np.mean(errors[-self.window :]) < self.max_error)


def _remembering(constructor):
    """Wrap a constructor so that it keeps its arguments in `options`, unless the constructor of a derived class calls it."""
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def remembering(self, *arguments, **named):
        if type(self).__init__ is remembering:
            bound = signature.bind(self, *arguments, **named)
            bound.apply_defaults()
            self.options = as_python(dict(list(bound.arguments.items())[1:]))
        constructor(self, *as_python(arguments), **as_python(named))

    return remembering


class StreamEnd(NamedTuple):
    """When a stream of a task ends; the next stream, a different one, then begins.

    error       a stream ends after the first time step with an output that far from its target
    time_steps  a stream ends after so many time steps
    """

    error: float
    time_steps: int


class Ratio(NamedTuple):
    """A metric that an evaluation takes over all examples together: the sum of one figure over the sum of another.

    Its mean over examples would give an example with few parts the same say as one with many (macro instead of micro average).
    Where the second sum is 0 the metric is 1.

    parts, of  (B,) each
    """

    parts: np.ndarray
    of: np.ndarray


class Task(abc.ABC):
    """The contract of a task: its data, its loss, its criterion. A task

    - has its options as annotated keyword arguments of its constructor, with defaults, and checks them there (`RnnsimError`);
    it
      keeps them in `options`, so that a run on disk can build the task again;
    - makes all its data from (seed, step, size) alone and keeps no state of a training;
    - keeps no reference to a batch that it returned, so that the receiver may change it.

    Attributes
    ----------
    makes : the class of its batches (`rnnsim.core.batch.Batch`); a network says in `takes` which class it reads
    n_inputs, n_outputs : numbers in an input vector and in an output vector
    tokens : whether inputs are int32 symbols below `n_inputs` instead of float32 vectors
    loss : `rnnsim.core.losses.Loss`
    trivial_loss : the chance-level loss: that of the best predictor that ignores the inputs, under the normalisation of
        `loss`; None if no such figure is known
    criterion : `Criterion` of success, from the source of the task; None: there is none
    tolerance : an output is right if it is nearer than this to its target
    streams : whether batch step + 1 continues the sequences of batch step
    stream_end : `StreamEnd`, if its streams end; None: they do not end, or the task has no streams
    sequence_stop : a sequence ends after the first time step with such an error; infinity: at its last time step. Rules that
        learn at every time step obey it
    fixed_sets : whether it has a training set and a test set of fixed size, the splits "training" and "test"
    progress : dict of numbers with which a training begins, for a task whose batches depend on success; else None
    reads_pictures : whether `read_picture` cuts a picture into the segments that a network labels and merges
    input_names, target_names : labels of the input and output channels in pictures, or None
    tested_options : option sets under which the tests cover the task, with which no two sequences are equal by chance

    Arrays of a batch are C-contiguous. The kind of the loss decides about `correct` and `error`: for squared errors an example
    is right if every counted output is nearer than `tolerance` to its target, for Bernoulli outputs likewise with
    probabilities, for softmax if the right class is the most probable one at every counted time step.

    >>> from rnnsim.tasks import Adding
    >>> task = Adding(length=50)
    >>> task.options, task.criterion.window
    ({'length': 50, 'variant': '1997'}, 2000)
    """

    makes: type[Batch] = Sequences
    n_inputs: int
    n_outputs: int
    options: dict[str, Any]
    loss: "Loss"
    tokens: bool = False
    streams: bool = False
    reads_pictures: bool = False
    stream_end: StreamEnd | None = None
    sequence_stop: float = float("inf")
    fixed_sets: bool = False
    trivial_loss: float | None = None
    criterion: Criterion | None = None
    progress: dict[str, float] | None = None
    tolerance: float = 0.5
    input_names: Sequence[str] | None = None
    target_names: Sequence[str] | None = None
    tested_options: tuple[dict[str, Any], ...] = ({},)

    def __init_subclass__(cls, **arguments):
        super().__init_subclass__(**arguments)
        if "__init__" in cls.__dict__:
            cls.__init__ = _remembering(cls.__init__)

    @abc.abstractmethod
    def training_batch(self, seed: int, step: int, size: int) -> Any:
        """The batch of `size` examples of training step `step`, 0, 1, 2, ..; `seed` chooses the data.

        The seed and the number step * size + b determine example b; with `streams` batch step + 1 continues the sequences of
        batch step instead. A task with a `progress` takes the present one as a fourth argument; None stands for the first.
        Raises `RnnsimError` for a step below 0 or a size below 1.
        """

    @abc.abstractmethod
    def evaluation_batches(self, seed: int, size: int, count: int | None = None, split: str = "test") -> Iterator[Any]:
        """Iterator over the batches of a fixed set of `count` examples (None: the task's own number).

        A seed always gives the same examples, none of them a training example, cut into batches of `size` (the last one may be
        smaller). Raises `RnnsimError` for an unknown split.
        """

    def example(self, number: int = 0) -> Any:
        """Sequence `number` of the evaluation set of seed 0, as a batch of size 1. Raises `RnnsimError` if the set is smaller."""
        batches = self.evaluation_batches(0, 1, at_least("example", number, 0) + 1)
        found = next(itertools.islice(batches, number, None), None)
        require(found is not None, f"example={number}: the task has fewer sequences to evaluate")
        return found

    def wanted(self, batch: Any) -> Any:
        """The values, of the shape of the targets, against which `correct` and `error` judge outputs; by default the targets.

        A task overrides it where its source judges by something else, such as all symbols that a grammar allows.
        """
        return batch.targets

    def correct(self, outputs: np.ndarray, batch: Any) -> np.ndarray | None:
        """(B,) bool: the examples that are right by the standard of the task; None if it has no such standard.

        outputs : the outputs of the network, logits for the cross-entropies
        """
        targets, predictions = self.wanted(batch), self.loss.predictions(outputs)
        if self.loss.kind == "softmax":
            if targets.shape == outputs.shape:
                targets = targets.argmax(axis=-1)
            right = predictions.argmax(axis=-1) == targets
        else:
            right = (np.abs(predictions - targets) < self.tolerance).all(axis=-1)
        return right if self.loss.when == "last" else batch.every(right)

    def error(self, outputs: np.ndarray, batch: Any) -> np.ndarray | None:
        """(B,) float64: mean absolute error of the counted outputs; for softmax, mean probability of the wrong classes.

        None if the task has no such figure.
        """
        targets, predictions = self.wanted(batch), self.loss.predictions(outputs)
        if self.loss.kind != "softmax":
            errors = np.abs(predictions - targets).mean(axis=-1, dtype=np.float64)
        elif targets.shape == outputs.shape:
            errors = 1 - (predictions * targets).sum(axis=-1, dtype=np.float64)
        else:
            errors = 1 - np.take_along_axis(predictions, targets[..., None], -1)[..., 0].astype(np.float64)
        return errors if self.loss.when == "last" else batch.mean(errors)

    @classmethod
    def inherits(cls, *names: str) -> bool:
        """Whether these methods are those of `Task`, so that a kernel may compute them itself."""
        return all(getattr(cls, name) is getattr(Task, name) for name in names)

    def advanced(self, progress: dict[str, float], loss: float) -> dict[str, float]:
        """The progress after a training batch with this loss; only for a task that has a `progress`."""
        raise NotImplementedError

    def read_sentences(self, lines: Sequence[str]) -> tuple[list[list[str]], Any]:
        """(the words of every line of raw text, a batch of the lines that have words, without targets; None if none has).

        Raises `RnnsimError` for a task that reads no sentences.
        """
        raise RnnsimError("the task reads no sentences")

    def read_picture(self, path: str | PathLike[str], segments: int) -> tuple[Any, Any]:
        """(the `rnnsim.data.pictures.SegmentedPicture` of a file, a batch of its segments, none of which has a class).

        segments : about how many

        Raises `RnnsimError` for a task that reads no pictures, and for a file that is none.
        """
        raise RnnsimError("the task reads no pictures")

    def metrics(self, outputs: Any, batch: Any) -> dict[str, np.ndarray | Ratio]:
        """Figures of an evaluation: ``{"correct": ..., "error": ...}``.

        (B,) each, of which the evaluation takes the mean over the examples, or a `Ratio`, which it takes over all examples.
        """
        correct, error = self.correct(outputs, batch), self.error(outputs, batch)
        found = {"correct": None if correct is None else correct.astype(np.float64), "error": error}
        return {name: values for name, values in found.items() if values is not None}


class GeneratedTask(Task):
    """A task whose sequences come from a generator that never ends.

    A subclass has a `name`, which its random numbers depend on, and defines `generate(key, first, size)` by a kernel that takes
    all its random numbers from `rnnsim.core.rng`. Training, test and validation are three streams of random numbers of the
    seed. An evaluation without `count` takes 2560 sequences. A task with a curriculum also defines `generate_training`, one
    whose parts differ by more than their random numbers `generate_part`.
    """

    name: str

    @abc.abstractmethod
    def generate(self, key: Any, first: int, size: int) -> Any:
        """The batch of sequences number first .. first + size - 1 of the random stream `key`."""

    def generate_training(self, key: Any, first: int, size: int) -> Any:
        """`generate` for training, where a curriculum may make early sequences easier."""
        return self.generate(key, first, size)

    def generate_part(self, key: Any, first: int, size: int, part: str) -> Any:
        """`generate` for a part: "training", "test" or "validation"."""
        return self.generate_training(key, first, size) if part == "training" else self.generate(key, first, size)

    def example(self, number: int = 0) -> Any:
        if type(self).evaluation_batches is not GeneratedTask.evaluation_batches:
            return super().example(number)
        from rnnsim.core.rng import stream_key

        return self.generate_part(stream_key(0, f"{self.name} test"), at_least("example", number, 0), 1, "test")

    def training_batch(self, seed: int, step: int, size: int) -> Any:
        from rnnsim.core.rng import stream_key

        at_least("batch", size, 1)
        key, first = stream_key(seed, f"{self.name} training"), at_least("step", step, 0) * size
        return self.generate_part(key, first, size, "training")

    def evaluation_batches(self, seed: int, size: int, count: int | None = None, split: str = "test") -> Iterator[Any]:
        from rnnsim.core.rng import stream_key

        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        count = TEST_SEQUENCES if count is None else at_least("count", count, 1)
        key = stream_key(seed, f"{self.name} {split}")
        for first in range(0, count, at_least("batch", size, 1)):
            yield self.generate_part(key, first, min(size, count - first), split)
