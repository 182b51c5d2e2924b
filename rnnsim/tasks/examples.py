"""Tasks with a fixed list of examples, cut into a training, a validation and a test part."""

import abc

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.data.epochs import Epochs
from rnnsim.errors import unknown
from rnnsim.tasks.interface import Task


class ExampleTask(Task):
    """A task with a fixed list of examples, cut into a training, a validation and a test part.

    Training goes through a fresh permutation of the training part in every epoch; evaluation takes the examples of a part in
    their order, the same for every seed. A subclass calls `split` once in its constructor and defines `gather(rows)`.
    """

    def split(self, train, test, validation=0, held_out=()):
        """Set which examples (arrays of row numbers) are in which part.

        The split "validation" is the last `validation` of `train`, or the examples `held_out`.

        Raises `RnnsimError` if no training example would be left.
        """
        train = np.asarray(train)
        at_least("validation", validation, 0)
        require(
            validation < len(train), f"validation={validation}: of {len(train)} training examples none would be left"
        )
        last = len(train) - validation
        self._train, self._order = train[:last], Epochs(last)
        self._parts = {
            "train": self._train,
            "validation": np.append(train[last:], np.array(held_out, int)),
            "test": np.asarray(test),
        }
        self._parts = {name: rows for name, rows in self._parts.items() if len(rows)}

    @abc.abstractmethod
    def gather(self, rows):
        """The batch of the examples with these row numbers."""

    @property
    def train_rows(self):
        """The numbers of the training examples; an epoch is ``len(train_rows) / size`` batches."""
        return self._train

    def training_batch(self, seed, step, size):
        rows = self._order.rows(seed, at_least("step", step, 0), at_least("batch", size, 1))
        return self.gather(self._train[rows])

    def evaluation_batches(self, seed, size, count=None, split="test"):
        """The first `count` examples of a part, the same for every seed. Raises `RnnsimError` for an unknown part."""
        if split not in self._parts:
            raise unknown("split", split, self._parts)
        rows = self._parts[split] if count is None else self._parts[split][: at_least("count", count, 1)]
        for start in range(0, len(rows), at_least("batch", size, 1)):
            yield self.gather(rows[start : start + size])


def entropy(classes):
    """Entropy in nats of the shares of some class numbers: the chance-level loss of softmax.

    >>> round(entropy(np.array([0, 1, 1, 0])), 6)
    0.693147
    """
    share = np.bincount(np.ravel(classes)) / max(np.size(classes), 1)
    share = share[share > 0]
    return abs(float((share * np.log(share)).sum()))
