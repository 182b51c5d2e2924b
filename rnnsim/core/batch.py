"""Batches: what a task hands to a network and a learning rule."""

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from rnnsim.core.losses import Loss


class Batch(abc.ABC):
    """A number of independent examples with their targets; the contract of every kind of batch.

    The class says what kind of example they are: sequences (`Sequences`), trees, episodes. A task says in `makes` which class
    its batches have, a network in `takes` which one it reads; training, evaluation and checkpoints use this contract only.

    kind     what messages call the examples, in the plural: "sequences"
    places   where the outputs of a loss are, in words, by its `when`
    divisors what a loss is a mean over, in words, by its `per`
    targets  the targets, as the loss of the task reads them
    weights  the weight of every target, 0 where it is not counted; None if all count once
    """

    __slots__ = ()
    kind: ClassVar[str]
    places: ClassVar[dict[str, str]] = {"every": "every output", "last": "the end"}
    divisors: ClassVar[dict[str, str]] = {"step": "output", "sequence": "example"}
    targets: Any
    weights: Any

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """The number of examples."""

    @abc.abstractmethod
    def take(self, which: slice | np.ndarray) -> Self:
        """A batch of some of the examples, with new arrays.

        which : a slice, or an array of indices
        """

    @classmethod
    def random(
        cls, rng: np.random.Generator, size: int, n_inputs: int, n_outputs: int, loss: "Loss", tokens: bool = False
    ) -> Self:
        """A small random batch for a network with so many inputs and outputs, to check its gradient by."""
        raise NotImplementedError

    @property
    def work(self) -> int:
        """The cost of reading the batch: the time steps of all sequences; for other examples, their number."""
        return self.size

    def amount(self, loss: "Loss") -> float:
        """The divisor of the mean of `loss`, a float: the number of examples, or the sum of the weights of the targets."""
        if loss.per == "sequence":
            return float(self.size)
        return float(len(self.targets) if self.weights is None else np.sum(self.weights, dtype=np.float64))

    def every(self, right: np.ndarray) -> np.ndarray:
        """(B,) bool: the examples all of whose counted outputs are right; `right` has an entry an output of theirs.

        Only batches whose examples have several targets each need it, and `mean`.
        """
        raise NotImplementedError

    def mean(self, errors: np.ndarray) -> np.ndarray:
        """(B,) float64: the mean error of the counted outputs of every example; `errors` has an entry an output."""
        raise NotImplementedError


def kinds(batches: type[Batch] | tuple[type[Batch], ...]) -> str:
    """What messages call the examples of one class of batches, or of several: "trees or graphs of segments"."""
    return " or ".join(each.kind for each in (batches if isinstance(batches, tuple) else (batches,)))


@dataclass(slots=True, eq=False)
class Sequences(Batch):
    """Sequences, time first; the batch of recurrent networks.

    inputs : (T, B, n) float32, or (T, B) int32 tokens
    targets : one a time step, (T, B, K) float or (T, B) int32; or one a sequence, (B, K) float or (B,) int32
    weights : (T, B) float32, or (B,) with one target a sequence; 0 where a target is not counted; None: all count once
    lengths : (B,) integers; None: all sequences have T time steps

    >>> batch = Sequences(inputs=np.zeros((5, 2, 1), np.float32), targets=np.zeros((2, 1), np.float32))
    >>> batch.size, batch.time_steps, batch.take(slice(1)).size
    (2, 5, 1)
    """

    kind: ClassVar[str] = "sequences"
    places: ClassVar[dict[str, str]] = {"every": "every time step", "last": "the last time step"}
    divisors: ClassVar[dict[str, str]] = {"step": "step", "sequence": "sequence"}

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    lengths: np.ndarray | None = None

    @property
    def size(self) -> int:
        """The number of sequences."""
        return np.shape(self.inputs)[1]

    @classmethod
    def random(
        cls, rng: np.random.Generator, size: int, n_inputs: int, n_outputs: int, loss: "Loss", tokens: bool = False
    ) -> "Sequences":
        """See `Batch.random`: sequences of up to 7 time steps, one of them of all 7."""
        steps = 7
        inputs = rng.integers(0, n_inputs, (steps, size)) if tokens else rng.normal(size=(steps, size, n_inputs))
        rows = (steps, size) if loss.when == "every" else (size,)
        lengths = np.maximum(1, steps - np.array([0, 1, 3, 2])[np.arange(size) % 4])
        return cls(inputs, loss.random_targets(rng, rows, n_outputs), lengths=lengths)

    @property
    def time_steps(self) -> int:
        """T, the number of time steps of the longest sequence."""
        return len(self.inputs)

    @property
    def work(self) -> int:
        """See `Batch.work`."""
        return self.time_steps * self.size if self.lengths is None else int(np.sum(self.lengths))

    @property
    def target_a_sequence(self) -> bool:
        """Whether there is one target a sequence instead of one a time step."""
        targets = np.asarray(self.targets)
        return targets.ndim == (1 if targets.dtype.kind in "iu" else 2)

    def counted(self) -> np.ndarray:
        """(T, B) float32: the weight of every time step, 0 beyond the length of its sequence."""
        shape = np.shape(self.inputs)[:2]
        weights = np.ones(shape, np.float32) if self.weights is None else self.weights
        if self.lengths is None:
            return weights
        return np.where(np.arange(shape[0])[:, None] < self.lengths, weights, 0).astype(np.float32)

    def amount(self, loss: "Loss") -> float:
        """See `Batch.amount`; a time step beyond the length of its sequence is not counted."""
        if loss.per == "sequence":
            return float(self.size)
        if loss.when == "last":
            return float(self.size if self.weights is None else np.sum(self.weights, dtype=np.float64))
        weights = np.ones(np.shape(self.inputs)[:2]) if self.weights is None else np.asarray(self.weights, np.float64)
        if self.lengths is not None:
            weights = weights * (np.arange(self.time_steps)[:, None] < self.lengths)
        return float(weights.sum())

    def every(self, right: np.ndarray) -> np.ndarray:
        """See `Batch.every`; `right` is (T, B)."""
        return (right | (self.counted() == 0)).all(axis=0)

    def mean(self, errors: np.ndarray) -> np.ndarray:
        """See `Batch.mean`; `errors` is (T, B)."""
        counted = self.counted() != 0
        return np.where(counted, errors, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)

    def take(self, which: slice | np.ndarray) -> "Sequences":
        """See `Batch.take`; T becomes the longest length among these sequences."""
        lengths = None if self.lengths is None else np.asarray(self.lengths)[which]
        end = self.time_steps if lengths is None or not lengths.size else max(1, int(lengths.max()))

        def cut(array, of_sequences):
            if array is None:
                return None
            return np.ascontiguousarray(array[which] if of_sequences else array[:end, which])

        whole = self.target_a_sequence
        return Sequences(cut(self.inputs, False), cut(self.targets, whole), cut(self.weights, whole), lengths)

    def window(self, start: int, end: int) -> "Sequences":
        """Time steps start .. end - 1 of a batch with a target a time step; the arrays are views."""
        lengths = None if self.lengths is None else np.clip(np.asarray(self.lengths) - start, 0, end - start)
        weights = None if self.weights is None else self.weights[start:end]
        return Sequences(self.inputs[start:end], self.targets[start:end], weights, lengths)
