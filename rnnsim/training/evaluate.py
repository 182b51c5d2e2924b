"""Evaluation of a network on sequences that it was not trained on."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnsim.core.registry import at_least, checked, require
from rnnsim.learning.interface import require_fit
from rnnsim.networks.interface import Network
from rnnsim.tasks.interface import Ratio, Task


def evaluate(
    net: Network, task: Task, seed: int = 0, count: int | None = None, batch: int = 100, split: str = "test"
) -> dict[str, Any]:
    """Loss and metrics of a network, over the sequences of one split.

    Parameters
    ----------
    net, task : as in `rnnsim.train`
    seed : of the sequences, where the task generates them
    count : number of sequences; None: all that the task has, 1000 where it generates them
    batch : sequences at a time; changes the running time, and the results by rounding only
    split : "test" or another one that the task has

    Returns a dict: ``loss``, its ``unit`` and the ``trivial_loss`` of the best guess that ignores the inputs (None if
    unknown), ``correct`` (share of right sequences; None if the task does not define them), ``sequences``, their number,
    ``kind``, what the examples are, ``split``, and ``metrics``, the mean of every metric of the task over the sequences, or
    where the task gives a `rnnsim.tasks.interface.Ratio` that of the sums over all sequences.

    Raises `RnnsimError` if network and task do not fit or the split is unknown or empty.
    """
    at_least("batch", batch, 1)
    at_least("seed", seed, 0)
    if count is not None:
        at_least("count", count, 1)
    require_fit(net, task)
    loss_sum, loss_weight, sequences = 0.0, 0.0, 0
    right: int | None = None
    sums: dict[str, tuple[float, float]] = {}
    state, size = None, 0
    for part in task.evaluation_batches(seed, batch, count, split):
        # Streams continue from batch to batch while their number stays the same.
        if not task.streams or size != part.size:
            state = None
        result = net.evaluate(part, task.loss, state)
        state, size, weight = result.state, part.size, part.amount(task.loss)
        loss_sum, loss_weight, sequences = loss_sum + weight * result.loss, loss_weight + weight, sequences + part.size
        correct = task.correct(result.outputs, part)
        if correct is not None:
            right = (right or 0) + int(np.count_nonzero(correct))
        for name, values in task.metrics(result.outputs, part).items():
            above, below = values if isinstance(values, Ratio) else (values, np.ones(part.size))
            one, other = sums.get(name, (0.0, 0.0))
            sums[name] = (one + float(np.sum(above, dtype=np.float64)), other + float(np.sum(below, dtype=np.float64)))
    require(sequences > 0, f"split={split}: the task gives no sequences")
    return {
        "loss": loss_sum / loss_weight if loss_weight else 0.0,
        "unit": task.loss.unit,
        "trivial_loss": task.trivial_loss,
        "correct": None if right is None else right / sequences,
        "metrics": {name: above / below if below else 1.0 for name, (above, below) in sums.items()},
        "sequences": sequences,
        "kind": task.makes.kind,
        "split": split,
    }


def generalisation(
    net: Network, task: Task, sweep: dict[str, Sequence[Any]], **settings: Any
) -> Iterator[dict[str, Any]]:
    """`evaluate` at every value of some options of the task: generalisation beyond the training range.

    Parameters
    ----------
    net, task : as in `rnnsim.train`
    sweep : ``{option: values}``; several options are taken in all combinations, the last one fastest
    settings : seed, count, batch and split of `evaluate`

    Returns an iterator over dicts like those of `evaluate`, with the values as ``options`` beside. All tasks
    are built at once, so a value that does not fit raises its error before anything is measured.

    >>> import rnnsim as rs
    >>> task = rs.tasks.Copy(width=3)
    >>> net = rs.NTM(task.n_inputs, task.n_outputs, hidden=5, memory=(8, 4))
    >>> [(found["options"], found["trivial_loss"]) for found in generalisation(net, task, {"length": [2, 4]}, count=3)]
    [({'length': 2}, 6.0), ({'length': 4}, 12.0)]
    """
    require(sweep and all(len(values) for values in sweep.values()), "sweep: expected options, each with some values")
    points = [dict(zip(sweep, values)) for values in itertools.product(*sweep.values())]
    tasks = [varied(task, point) for point in points]
    chosen = [{name: variant.options[name] for name in sweep} for variant in tasks]
    return ({"options": point, **evaluate(net, variant, **settings)} for point, variant in zip(chosen, tasks))


def varied(task, options):
    """A new task with some other `options`. Raises `RnnsimError` if they do not fit."""
    from rnnsim.tasks import TASKS

    return type(task)(**checked(f"task '{TASKS.name_of(type(task))}'", type(task), {**task.options, **options}))


def trained_range(task, option):
    """(least, most) of a quantity in the sequences of a task, by its options NAME, min_NAME and max_NAME; None if unknown.

    >>> from rnnsim.tasks import Copy
    >>> trained_range(Copy(), "length"), trained_range(Copy(length=7), "length"), trained_range(Copy(), "repeats")
    ((1, 20), (7, 7), None)
    """
    exactly = task.options.get(option)
    found = (
        (task.options.get(f"min_{option}"), task.options.get(f"max_{option}")) if exactly is None else (exactly,) * 2
    )
    return found if all(isinstance(value, (int, float)) for value in found) else None
