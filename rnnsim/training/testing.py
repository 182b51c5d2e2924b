"""Tests during a training, with fixed weights, as the papers make them.

    sets       all sequences of the task's training set and of its test set are right (embedded Reber)
    fresh      the task's criterion holds for one window of fresh sequences, others at every test
    streams    ten fresh streams, each until its first error or `length` time steps; passed if all reach the last one

The streams of a network that has learned little end at once, so tests are cheap compared with learning.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.registry import at_least, require

TESTS = ("none", "sets", "fresh", "streams")
NEXT_STREAM = 2**32  # what the seed of the data grows by from one stream to the next
_STREAMS = 10
_AT_ONCE = 16  # sequences of a test set at a time; most tests end with the first ones


class Test(NamedTuple):
    """The kind of test, the training steps between two tests, and the time steps after which a stream has passed."""

    kind: str = "none"
    every: int = 100
    length: int = 100_000

    @classmethod
    def checked(cls, task, kind, every, length):
        """The test, checked against the task. Raises `RnnsimError` if the task does not have such a test."""
        at_least("test_every", every, 1)
        at_least("test_length", length, 1)
        require(kind in TESTS, f"test={kind}: expected one of {', '.join(TESTS)}")
        require(kind != "streams" or task.stream_end, "test=streams: this task has no streams that end")
        require(kind != "fresh" or not task.streams, "test=fresh: the task has streams, use test=streams")
        require(kind != "fresh" or task.criterion, "test=fresh: the task has no criterion of success")
        require(kind != "sets" or task.fixed_sets, "test=sets: the task has no fixed sets of sequences")
        return cls(kind, every, length)


def on_sets(net, task, seed):
    """({"right_first": sequences before the first wrong one}, whether all are right)."""
    right = 0
    for split in ("training", "test"):
        for batch in task.evaluation_batches(seed, _AT_ONCE, split=split):
            correct = task.correct(net.evaluate(batch, task.loss).outputs, batch)
            right += int(np.count_nonzero(correct))
            if not correct.all():  # one wrong sequence is enough
                return {"right_first": right}, False
    return {"right_first": right}, True


def on_fresh_sequences(net, task, seed, number):
    """(correct, errors) of the fresh sequences of test `number`, one window of the criterion."""
    window = task.criterion.window
    (batch,) = task.evaluation_batches(seed + number * NEXT_STREAM, window, window, "validation")
    outputs = net.evaluate(batch, task.loss).outputs
    return task.correct(outputs, batch), task.error(outputs, batch)


def on_streams(net, task, seed, number, length):
    """(mean, least) time steps of the ten fresh streams of test `number` before their first error, at most `length`."""
    seeds = (seed + (number * _STREAMS + k) * NEXT_STREAM for k in range(_STREAMS))
    found = [stream_length(net, task, seed, task.stream_end.error, length) for seed in seeds]
    return float(np.mean(found)), min(found)


def stream_length(net, task, seed, bound, length):
    """Time steps of a fresh stream before the first error of at least `bound`, with fixed weights; at most `length`.

    >>> from rnnsim.networks import build
    >>> from rnnsim.tasks.continual_reber import ContinualReber
    >>> net = build("lstm1997", 7, 7, dtype="float64")
    >>> stream_length(net, ContinualReber(), 0, 0.49, 1000), stream_length(net, ContinualReber(), 0, 2.0, 1000)
    (0, 1000)
    """
    done, state = 0, None
    for batch in task.evaluation_batches(seed, 1, length):  # a batch has a time step at least
        found = net.evaluate(batch, task.loss, state)
        state = found.state
        off = np.abs(task.loss.predictions(found.outputs) - batch.targets).max(axis=-1)[:, 0]
        wrong = np.flatnonzero((off >= bound) & (batch.counted()[:, 0] != 0))
        if wrong.size:
            return min(done + int(wrong[0]), length)
        done += batch.time_steps
        if done >= length:
            break
    return min(done, length)
