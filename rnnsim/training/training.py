"""One training: batches of a task, a learner that learns from them, and the statistics of the last sequences."""

import math

import numpy as np

from rnnsim.core.learner import fill_arrays
from rnnsim.core.registry import require
from rnnsim.tasks.interface import Criterion
from rnnsim.training import testing
from rnnsim.training.driver import Drivable, crossed
from rnnsim.training.testing import NEXT_STREAM
from rnnsim.training.window import Window

_WINDOW = 1000  # sequences of the running statistics of a task without a criterion
_CHUNK_BYTES = 8_000_000  # bytes of inputs of the steps that are done at once
_CHUNK = 500  # and the largest number of these steps
_NUMBERS = ("step", "loss", "loss_sum", "loss_count", "solved_at", "has_correct", "has_error")
_LATER_NUMBERS = {"right_at": None, "best_time_steps": None, "tests": 0, "time_steps": 0, "time_steps_sum": 0}


class Training(Drivable):
    """The state of a training.

    net, task : the network and its task
    learner   : `rnnsim.core.learner.Learner` of the network
    batch     : sequences of a batch
    seed      : of the data
    stops     : whether the training ends as soon as the criterion is met
    test      : `rnnsim.training.testing.Test`
    pauses    : numbers of steps of which every multiple must end an `advance`, such as the steps between evaluations

    A training step is one batch. A learner that learns sequence after sequence (`Learner.sequential`) has batches of
    one, and does many steps at once; with a task whose streams end (`rnnsim.tasks.interface.StreamEnd`) its step is a
    stream.

    Raises `RnnsimError` for a batch that the learner cannot take, and for sequences that end early with a learner
    that cannot end them.
    """

    def __init__(self, net, task, learner, batch, seed, stops, test, pauses=()):
        self.net, self.task, self.learner, self.batch, self.seed, self.test_plan = net, task, learner, batch, seed, test
        sequential = learner.sequential
        require(
            not sequential or batch == 1, f"batch={batch}: this learner takes one sequence after the other, batch=1"
        )
        early = task.stream_end or task.sequence_stop < math.inf
        require(
            sequential or not early,
            "stop_error: sequences that end with an error need a network that learns at every time step by a procedure of its "
            "own, such as lstm1997 by the rule truncated with every=1",
        )
        self.checkpoint_seconds = 60 if sequential else 300  # slow networks do few steps meanwhile
        self.chunk = _chunk_size(task, pauses) if sequential else 1
        # Such a training ends within a chunk, at the sequence that meets the criterion.
        self._rewinds = sequential and stops and test.kind == "none" and task.criterion is not None
        self.progress = task.progress
        criterion = task.criterion
        # The criterion without its bound on the mean error.
        self._right = criterion and Criterion(criterion.window, criterion.wrong)
        self.window = Window(criterion.window if criterion else _WINDOW)
        self.has_correct = self.has_error = False
        self.step = 0
        self.loss, self.loss_sum, self.loss_count = None, 0.0, 0
        self.solved_at = None
        for name, value in _LATER_NUMBERS.items():
            setattr(self, name, value)
        self.seconds = 0.0
        self.figures = {}

    @property
    def sequences(self):
        """Training sequences so far, or streams of a task whose streams end."""
        return self.step * self.batch

    # -- learning ------------------------------------------------------------------------------------------------------

    def advance(self, most):
        """See `Drivable.advance`: one step, or up to `most` of a sequential learner. `NotFinite` leaves the weights as before."""
        if self.task.stream_end:
            found, correct, errors = self._stream()
        elif self.learner.sequential:
            found, correct, errors = self._chunk(most)
        else:
            found, correct, errors = self._learn(self._made(self.step, self.batch), self.task.streams and self.step > 0)
        self.has_correct, self.has_error = correct is not None, errors is not None
        rows = np.zeros(self.batch)
        correct, errors = rows > 0 if correct is None else correct, rows if errors is None else errors
        steps = len(correct) // self.batch
        self._count(correct, errors)
        if self.progress is not None:
            self.progress = self.task.advanced(self.progress, float(found.loss))
        self.figures = found.figures or {}
        self.step += steps
        self.loss, self.loss_sum, self.loss_count = (
            found.loss,
            self.loss_sum + found.loss * steps,
            self.loss_count + steps,
        )
        if found.time_steps is not None:
            done = int(found.time_steps.sum())
            self.time_steps, self.time_steps_sum = self.time_steps + done, self.time_steps_sum + done

    def _made(self, step, size, seed=None):
        """A training batch of the task."""
        progress = () if self.progress is None else (self.progress,)
        return self.task.training_batch(self.seed if seed is None else seed, step, size, *progress)

    def _learn(self, batch, going_on):
        """Learn from a batch; returns the `LearnResult`, correct (B,) or None, errors (B,) or None."""
        task = self.task
        measures = self.learner.sequential and (task.stream_end or task.inherits("wanted", "correct", "error"))
        stop = task.stream_end.error if task.stream_end else task.sequence_stop
        found = self.learner.learn(batch, task.loss, going_on, self.step, stop=stop, outputs=not measures)
        if found.outputs is None:
            return found, found.worst < task.tolerance, found.errors
        correct, errors = task.correct(found.outputs, batch), task.error(found.outputs, batch)
        if found.worst is not None:
            correct = found.worst < task.tolerance if correct is None else correct
            errors = found.errors if errors is None else errors
        return found, correct, errors

    def _chunk(self, most):
        """Learn up to `most` sequences, one after the other, or up to the one that meets the criterion and ends the training."""
        task, start = self.task, self.step
        batch = self._made(start // self.chunk, self.chunk)
        count = min(most, self.chunk - start % self.chunk)
        if count < self.chunk:
            batch = batch.take(slice(start % self.chunk, start % self.chunk + count))
        before = self.learner.snapshot() if self._rewinds else None
        learned = self._learn(batch, task.streams and start > 0)
        if before is not None:
            met = self.window.first_met(task.criterion, *learned[1:])
            if met is not None and met < batch.size:
                self.learner.go_back(before)
                learned = self._learn(batch.take(slice(met)), False)
        return learned

    def _stream(self):
        """Learn from one stream, up to its first error or its last time step."""
        end, seed = self.task.stream_end, self.seed + self.step * NEXT_STREAM
        done, worst, total, stretch = 0, 0.0, 0.0, 0
        while done < end.time_steps and worst < end.error:
            batch = self._made(stretch, 1, seed)
            if end.time_steps - done < batch.time_steps:
                batch = batch.window(0, end.time_steps - done)
            found, _, errors = self._learn(batch, stretch > 0)
            steps = int(found.time_steps[0])
            total += float(errors[0]) * steps
            worst, done, stretch = max(worst, float(found.worst[0])), done + steps, stretch + 1
        if self.solved_at is None and self.test_plan.kind == "none" and done >= end.time_steps and worst < end.error:
            self.solved_at = self.step + 1
        right = np.array([worst < min(end.error, self.task.tolerance)])
        mean = total / done
        return found._replace(loss=mean, time_steps=np.array([done])), right, np.array([mean])

    def _count(self, correct, errors):
        """Add new sequences to the window, and record when they meet the criterion."""
        task, before, window = self.task, self.step * self.batch, self.window
        tested = self.test_plan.kind != "none"
        if task.criterion and self.learner.sequential and not task.stream_end:
            if self.right_at is None and self.test_plan.kind != "fresh":
                met = window.first_met(self._right, correct, errors)
                self.right_at = None if met is None else before + met
            if self.solved_at is None and not tested:
                met = window.first_met(task.criterion, correct, errors)
                self.solved_at = None if met is None else before + met
        window.add(correct, errors)
        if task.criterion and not self.learner.sequential:  # all sequences of a batch met the same weights
            if self.right_at is None and self.test_plan.kind != "fresh" and window.meets(self._right):
                self.right_at = before + len(correct)
            if self.solved_at is None and not tested and window.meets(task.criterion):
                self.solved_at = before + len(correct)

    def failure(self, error, path):
        """See `Drivable.failure`: names the step, the cause, and the last checkpoint."""
        cause = self.net.not_finite()
        error = f"{error}, as {cause}" if cause else error
        kept = f"last good checkpoint: {path}" if path else "there is no checkpoint, as no folder (out) was given"
        return f"step {self.step + 1}: {error}; the weights from before this step are kept; {kept}"

    # -- tests and reports ---------------------------------------------------------------------------------------------

    def test(self, before):
        """Test with fixed weights, if a test is due since step `before`; returns its entry of the report, or None."""
        kind, every, length = self.test_plan
        if kind == "none" or not crossed(every, before, self.step):
            return None
        self.tests += 1
        if kind == "sets":
            found, passed = testing.on_sets(self.net, self.task, self.seed)
        elif kind == "fresh":
            correct, errors = testing.on_fresh_sequences(self.net, self.task, self.seed, self.tests)
            if self.right_at is None and self._right.met(correct, errors):
                self.right_at = self.sequences
            found = {"wrong": int(np.count_nonzero(~correct)), "error": float(errors.mean())}
            passed = self.task.criterion.met(correct, errors)
        else:
            mean, least = testing.on_streams(self.net, self.task, self.seed, self.tests, length)
            self.best_time_steps = max(self.best_time_steps or 0.0, mean)
            found, passed = {"mean_time_steps": mean, "least_time_steps": least}, least >= length
        if passed and self.solved_at is None:
            self.solved_at = self.sequences
        return found

    def report(self, whole):
        """One metrics record; a full one resets the running mean."""
        found = {"step": self.step, "sequences": self.sequences}
        if not whole:
            return found
        found |= {**self.running(), "loss": self.loss_sum / self.loss_count, "solved_at": self.solved_at}
        if self.task.criterion:
            found["right_at"] = self.right_at
        if self.learner.sequential:
            found["time_steps"] = self.time_steps_sum / self.loss_count
        found |= self.figures
        if self.progress is not None:
            found["progress"] = self.progress
        self.loss_sum, self.loss_count, self.time_steps_sum = 0.0, 0, 0
        return found

    def running(self):
        """See `Drivable.running`: loss of the last step, share of correct sequences and mean error over the window."""
        return {
            "loss": self.loss,
            "correct": self.window.share_correct() if self.has_correct else None,
            "error": self.window.mean_error() if self.has_error else None,
        }

    def entries(self):
        """See `Drivable.entries`."""
        found = {"figures": self.figures, "right_at": self.right_at}
        if self.learner.sequential:
            found |= {"best_time_steps": self.best_time_steps, "time_steps": self.time_steps}
        return found

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def parts(self, seconds):
        """See `Drivable.parts`."""
        parts = self.learner.parts(self.task.streams)
        progress = {name: getattr(self, name) for name in (*_NUMBERS, *_LATER_NUMBERS)} | parts.pop("numbers")
        progress |= {
            "window_seen": self.window.seen,
            "seconds": seconds,
            "task": self.progress,
            "figures": self.figures,
        }
        return {**parts, "window": {"correct": self.window.correct, "error": self.window.error}, "progress": progress}

    def restore(self, stored, path):
        """See `Drivable.restore`."""
        from rnnsim.core import checkpoint

        checkpoint.restore(self.net, stored, path)
        require(
            "chunks" not in stored.progress,
            f"{path} comes from online training before version 0.2: it can be evaluated and plotted, but not resumed",
        )
        require(
            stored.state is None or self.task.streams,
            f"{path} comes from a version before 0.2, which kept what the rule carries on elsewhere: it cannot be resumed",
        )
        self.learner.restore(stored, path)
        window = {"correct": self.window.correct, "error": self.window.error}
        fill_arrays(window, stored.window, f"{path} holds another run")
        for name in _NUMBERS:
            setattr(self, name, stored.progress[name])
        for name, default in _LATER_NUMBERS.items():
            setattr(self, name, stored.progress.get(name, default))
        self.window.seen, self.seconds = stored.progress["window_seen"], stored.progress["seconds"]
        self.progress = stored.progress.get("task")
        self.figures = stored.progress.get("figures", {})


def _chunk_size(task, pauses):
    """Number of steps that a sequential learner does at once: chunks end at the pauses, their inputs stay within bounds."""
    if task.streams or task.progress is not None:
        return 1
    most = int(np.clip(_CHUNK_BYTES // max(1, task.training_batch(0, 0, 1).inputs.nbytes), 1, _CHUNK))
    return largest_divisor(most, [count for count in pauses if count])


def largest_divisor(most, counts):
    """The largest number up to `most` that divides all counts; `most` itself if there are none.

    >>> largest_divisor(500, []), largest_divisor(500, [100]), largest_divisor(80, [100]), largest_divisor(500, [300, 200])
    (500, 100, 50, 100)
    """
    if not counts:
        return most
    common = math.gcd(*counts)
    return max(size for size in range(1, min(most, common) + 1) if common % size == 0)
