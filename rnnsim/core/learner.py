"""The contract of a learner: a network that learns, and all that it carries from one batch, or one item, to the next."""

import abc
import math
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnsim.errors import RnnsimError

if TYPE_CHECKING:
    from rnnsim.core.checkpoint import Checkpoint
    from rnnsim.core.losses import Loss


def fill_arrays(mine, stored, mismatch):
    """Copy stored arrays into those of the same names; nothing is copied unless all of them fit.

    mine, stored : ``{name: array}``; `stored` may hold more
    mismatch : begin of the message of the `RnnsimError` that is raised for an array that is missing or of another shape or type
    """
    for name, array in mine.items():
        given = stored.get(name)
        if given is None or given.shape != array.shape or given.dtype != array.dtype:
            raise RnnsimError(f"{mismatch}: its array '{name}' does not fit")
    for name, array in mine.items():
        array[...] = stored[name]


class NotFinite(RnnsimError):
    """NaN or infinity in the loss, the gradient or the weights.

    untouched : whether the learner is as it was before the batch, and worth a checkpoint
    """

    untouched = False


class LearnResult(NamedTuple):
    """What learning from one batch gives. Arrays may be overwritten by the next call.

    loss        mean loss of the batch; a learner that measures distances by itself gives the mean absolute error instead
    outputs     (T, B, K) or (B, K), as the network gave them while it learned; None if they were not asked for
    state       final state, a list of arrays, for sequences that go on in the next batch; or None
    memory      what the rule itself carries on to the next batch, whatever the task: ``{name: array}``; or None
    figures     whole numbers for the reports, such as the trials so far; or None
    worst       (B,) largest distance between an output and its target, by a learner that measures it; else None
    errors      (B,) mean distance, likewise
    time_steps  (B,) time steps of every sequence that were learned from, likewise
    """

    loss: float
    outputs: np.ndarray | None
    state: list[np.ndarray] | None = None
    memory: dict[str, np.ndarray] | None = None
    figures: dict[str, int] | None = None
    worst: np.ndarray | None = None
    errors: np.ndarray | None = None
    time_steps: np.ndarray | None = None


class Learner(abc.ABC):
    """A network that learns by one rule with one optimizer.

    net         the network; ``net.theta`` is what it has learned after every call
    theta       the weights that the optimizer changes; not those of `net` while these carry noise
    updates     changes of the weights so far
    sequential  whether it learns from the sequences of a batch one after the other, exactly as from batches of one. A training
                then hands it many steps at once. Such a learner has `snapshot` and `go_back`.
    """

    net: Any
    updates: int
    sequential = False

    @abc.abstractmethod
    def learn(
        self,
        batch: Any,
        loss: "Loss",
        going_on: bool = False,
        number: int | None = None,
        stop: float = math.inf,
        outputs: bool = True,
    ) -> LearnResult:
        """Learn from a batch.

        batch    : what the network takes
        loss     : `rnnsim.core.losses.Loss`
        going_on : whether the first sequences continue where the last batch ended
        number   : number of the batch in the training, for random numbers that depend on it; None: the next one
        stop     : a sequence ends after the first time step with an error of so much; for sequential learners only
        outputs  : whether the outputs are wanted; a learner that measures distances by itself may then leave them out

        Returns a `LearnResult`. Raises `NotFinite`; the weights are then those from before the batch.
        """

    @abc.abstractmethod
    def parts(self, going_on: bool) -> dict[str, Any]:
        """All that a checkpoint holds of it beside the network: a dict of

        theta     (P,) the weights without noise
        optimizer {name: array}
        memory    {name: array} or None: what the rule carries on
        state     list of arrays or None: the state that the next batch begins in, if sequences are `going_on`
        numbers   {name: number}, written as JSON
        """

    @abc.abstractmethod
    def restore(self, stored: "Checkpoint", path: str | PathLike[str]) -> None:
        """Go on from a checkpoint, bit for bit. Raises `RnnsimError` if it is another learner's."""
