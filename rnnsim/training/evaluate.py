"""How good a network is at a task, on sequences that it was not trained on."""

import numpy as np

from rnnsim.core.registry import at_least, require


def evaluate(net, task, seed=0, count=None, batch=100, split="test"):
    """Loss and metrics of a network, over the sequences of one split.

    Parameters
    ----------
    net, task : as for `rnnsim.train`
    seed : of the sequences, where the task makes them up
    count : sequences; None: as many as the task gives, 1000 where it makes them up
    batch : sequences at a time; changes the time this takes, and the sum by rounding only
    split : "test" or another one that the task has

    Returns a dict: ``loss``, its ``unit`` and the ``trivial_loss`` of the best guess that ignores the inputs (None if unknown),
    ``correct`` (share of sequences that the task takes as right; None if it has no such idea), ``sequences``, ``split``, and
    ``metrics``, the mean of every metric of the task over the sequences.

    Raises `RnnsimError` if network and task do not fit or the split is unknown or empty.
    """
    from rnnsim.training.loop import _fit

    at_least("batch", batch, 1)
    at_least("seed", seed, 0)
    if count is not None:
        at_least("count", count, 1)
    _fit(net, task)
    loss_sum, loss_weight, sequences = 0.0, 0.0, 0
    right, sums = None, {}
    state = None
    for part in task.evaluation_batches(seed, batch, count, split):
        rows = np.asarray(part.inputs).shape[1]
        # Streams go on from batch to batch, as long as there are as many of them.
        if not task.streams or (state is not None and state[0].shape[1] != rows):
            state = None
        result = net.evaluate(part, task.loss, state)
        state = result.state
        weight = rows if task.loss.per == "sequence" else counted_steps(part, task.loss)
        loss_sum, loss_weight, sequences = loss_sum + weight * result.loss, loss_weight + weight, sequences + rows
        correct = task.correct(result.outputs, part)
        if correct is not None:
            right = (right or 0) + int(np.count_nonzero(correct))
        for name, values in task.metrics(result.outputs, part).items():
            sums[name] = sums.get(name, 0.0) + float(np.sum(values, dtype=np.float64))
    require(sequences > 0, f"split={split}: the task gives no sequences")
    return {
        "loss": loss_sum / loss_weight if loss_weight else 0.0,
        "unit": task.loss.unit,
        "trivial_loss": task.trivial_loss,
        "correct": None if right is None else right / sequences,
        "metrics": {name: total / sequences for name, total in sums.items()},
        "sequences": sequences,
        "split": split,
    }


def counted_steps(batch, loss):
    """What a loss per step is divided by: the summed weights of the steps that count."""
    steps, rows = np.asarray(batch.inputs).shape[:2]
    shape = (rows,) if loss.when == "last" else (steps, rows)
    weights = np.ones(shape) if batch.weights is None else np.asarray(batch.weights, np.float64)
    if batch.lengths is not None and loss.when == "every":
        weights = weights * (np.arange(steps)[:, None] < batch.lengths)
    return float(weights.sum())
