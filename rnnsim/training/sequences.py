"""Online training as a run on disk: sequence after sequence by the truncated rule, with tests on the way as in the papers.

What `rnnsim.train` does with `online`, the table [online] of a configuration. A step is a sequence, or a stream that ends. Every
tick with an error changes the weights (`rnnsim.networks.lstm1997.learner`); no optimizer is asked. Options: `Online`.

Tests, with the weights held still, every `test_every` sequences:

    sets       all sequences of the task's training set and of its test set are right (embedded Reber)
    fresh      the task's criterion holds for as many fresh sequences as it looks at, others at every test
    streams    ten fresh streams, each until its first error of `stop` or `test_ticks` ticks; passed if all reach the last one

Solved is then a passed test; without a test, the task's criterion over the last training sequences, or for streams that end, one
that reaches its last tick.

In reports `loss` and `error` are the mean absolute error of outputs at the ticks that count, and `right_at` says after how many
sequences a window of the criterion (with test=fresh its test sequences) had no more wrong ones than it may, whatever their
mean error.

A checkpoint is written every minute and at the end; a run that was stopped goes on from it bit for bit.
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.errors import RnnsimError
from rnnsim.networks.lstm1997.learner import Learner
from rnnsim.tasks.interface import Criterion
from rnnsim.training.driver import NotFinite, crossed, drive
from rnnsim.training.online import _NEXT_STREAM, _STREAM_TICKS, Job, _chunk, first_met

_TEST_STREAMS = 10
_AT_ONCE = 16  # sequences of a test set; most tests end with the first ones
_SILENT = -100.0  # weights into a cell that nothing enters
_NUMBERS = ("solved_at", "right_at", "correct", "error", "best_ticks", "tests", "seconds", "sums")


class Online(NamedTuple):
    """Options of online training.

    learning_rate, momentum, decay, sequence_decay : see `rnnsim.networks.lstm1997.learner.OnlineLearner`
    stop : a sequence or stream ends after the first tick with such an error
    stream_ticks : and a stream after so many ticks
    test, test_every, test_ticks : see the top of the file
    wait : sequences that the rest of the network learns before the memory cells are there, as in experiment 2a of 1997; with
        g=logistic, whose cell inputs can be held at zero, and without biases of cells
    """

    learning_rate: float
    momentum: float = 0.0
    decay: float = 1.0
    sequence_decay: float = 1.0
    stop: float = math.inf
    stream_ticks: int = 0
    test: str = "none"
    test_every: int = 100
    test_ticks: int = 100_000
    wait: int = 0


class _Training:
    """The state of a training; it keeps the contract in `rnnsim.training.driver`, and its steps are sequences."""

    checkpoint_seconds = 60
    loss = None  # without a report there is no mean over sequences

    def __init__(self, net, task, seed, online, goal):
        self.net, self.task, self.seed, self.online = net, task, seed, online
        ends = online.stop < math.inf or online.stream_ticks
        self.streams = (online.stream_ticks or _STREAM_TICKS) if task.streams and ends else None
        rates = {name: getattr(online, name) for name in ("learning_rate", "momentum", "decay", "sequence_decay")}
        until = "solved" if goal == "solved" and online.test == "none" else "never"
        arguments = (net, task, seed, rates, until, task.criterion, 1, online.stop, self.streams)
        self.job = Job(*arguments, theta=net.theta)
        self.criterion = task.criterion
        self.cells = net.layout.view(net.theta, "weight_cell").copy()
        if online.wait:
            self._put_cells(_SILENT)
        # What "right" is for the paper's figure without a bound on the mean error.
        self.right = self.criterion and Criterion(self.criterion.window, self.criterion.wrong)
        self.window = np.zeros(0, bool), np.zeros(0)
        self.solved_at = self.right_at = self.correct = self.error = self.best_ticks = None
        self.tests, self.seconds = 0, 0.0
        self.sums = [0.0, 0, 0]  # since the last report: errors, sequences, ticks

    @property
    def sequences(self):
        return self.job.result.sequences

    step = sequences  # a step is a sequence

    def _put_cells(self, weights):
        """The weights that lead into the cells."""
        self.net.layout.view(self.net.theta, "weight_cell")[...] = weights
        self.job.learner.parts.w[...] = self.net.packed(self.net.theta)

    def advance(self, most):
        """A chunk of `most` sequences at most, or a stream. Raises `NotFinite`; nothing worth a checkpoint is left then."""
        before = self.sequences
        if before < self.online.wait:
            most = min(most, self.online.wait - before)
        try:
            learnt, correct, errors = self.job.advance(most)
        except RnnsimError as error:
            raise NotFinite(str(error)) from None
        self.sums = [
            self.sums[0] + float(errors.sum()),
            self.sums[1] + len(errors),
            self.sums[2] + int(learnt.ticks.sum()),
        ]
        self.net.theta[...] = self.job.learner.theta
        if before < self.online.wait <= self.sequences:
            self._put_cells(self.cells)
        size = self.criterion.window if self.criterion else 1000
        if self.criterion and not self.streams:
            if self.right_at is None and self.online.test != "fresh":
                met = first_met(self.right, *self.window, correct, errors)
                self.right_at = None if met is None else before + met
            if self.solved_at is None and self.online.test == "none":
                met = first_met(self.criterion, *self.window, correct, errors)
                self.solved_at = None if met is None else before + met
        if self.streams and self.solved_at is None and self.online.test == "none":
            whole = learnt.ticks[0] >= self.streams and learnt.worst[0] < self.online.stop
            self.solved_at = self.sequences if whole else None
        self.window = tuple(np.concatenate(pair)[-size:] for pair in zip(self.window, (correct, errors)))
        self.correct, self.error = float(self.window[0].mean()), float(self.window[1].mean())

    def failure(self, error, path):
        """What is said of a chunk that raised `NotFinite`; `path` is that of the last checkpoint, or None."""
        kept = f"last good checkpoint: {path}" if path else "there is no checkpoint"
        return f"step {self.step + 1}: {error}; {kept}"

    def test(self, before):
        """Test with the weights held still, if it is time after those of `before`; gives what goes into the report."""
        # The streams of a net that has learnt little are over at once: it is tested for a fraction of the time it learns.
        if self.online.test == "none" or not crossed(self.online.test_every, before, self.step):
            return None
        self.tests += 1
        tests = {"sets": self._sets, "fresh": self._fresh, "streams": self._stream_test}
        found, passed = tests[self.online.test]()
        if passed and self.solved_at is None:
            self.solved_at = self.sequences
        return found

    def _sets(self):
        right = 0
        for split in ("training", "test"):
            for batch in self.task.evaluation_batches(self.seed, _AT_ONCE, split=split):
                correct = self.task.correct(self.net.evaluate(batch, self.task.loss).outputs, batch)
                right += int(np.count_nonzero(correct))
                if not correct.all():  # one wrong sequence is enough
                    return {"right_first": right}, False
        return {"right_first": right}, True

    def _fresh(self):
        net, task, window = self.net, self.task, self.criterion.window
        seed = self.seed + self.tests * _NEXT_STREAM
        (batch,) = task.evaluation_batches(seed, window, window, "validation")
        outputs = net.evaluate(batch, task.loss).outputs
        correct, errors = task.correct(outputs, batch), task.error(outputs, batch)
        if self.right_at is None and self.right.met(correct, errors):
            self.right_at = self.sequences
        found = {"wrong": int(np.count_nonzero(~correct)), "error": float(errors.mean())}
        return found, self.criterion.met(correct, errors)

    def _stream_test(self):
        lengths = []
        for k in range(_TEST_STREAMS):
            seed = self.seed + (self.tests * _TEST_STREAMS + k) * _NEXT_STREAM
            lengths.append(stream_length(self.net, self.task, seed, self.online.stop, self.online.test_ticks))
        mean = float(np.mean(lengths))
        self.best_ticks = max(self.best_ticks or 0.0, mean)
        return {"mean_ticks": mean, "least_ticks": min(lengths)}, min(lengths) >= self.online.test_ticks

    def report(self, whole):
        """The line for the metrics, a whole one at any time; its means begin anew."""
        error, count, ticks = self.sums
        self.sums = [0.0, 0, 0]
        found = {"step": self.sequences, "sequences": self.sequences, "loss": error / max(1, count)}
        found |= {"correct": self.correct, "error": self.error, "ticks": ticks / max(1, count)}
        return {**found, "solved_at": self.solved_at, "right_at": self.right_at}

    def running(self):
        """Mean error, in place of a loss too, and share of correct ones of the last sequences."""
        return {"loss": self.error, "correct": self.correct, "error": self.error}

    def entries(self):
        """What the result has besides."""
        return {"right_at": self.right_at, "best_ticks": self.best_ticks, "ticks": self.job.result.ticks}

    def parts(self, seconds):
        """All that a checkpoint holds beside the network."""
        learner = dict(zip(Learner._fields, self.job.learner.snapshot()))
        progress = {name: getattr(self, name) for name in _NUMBERS}
        progress |= {"seconds": seconds, "step": self.step}
        progress |= {"chunks": self.job.step, "ticks": self.job.result.ticks}
        progress |= {"task": self.job.progress, "solved": self.job.result.solved}
        window = {"correct": self.window[0], "errors": self.window[1]}
        return dict(optimizer=learner, window=window, progress=progress)

    def restore(self, stored, path):
        """Go on from a checkpoint."""
        from rnnsim.training import checkpoint

        checkpoint.restore(self.net, stored, path)
        require("chunks" in stored.progress, f"{path} holds another run: it was not trained online")
        self.job.learner.restore([stored.optimizer[name] for name in Learner._fields])
        self.window = stored.window["correct"], stored.window["errors"]
        if self.job.until == "solved":
            self.job.window = self.window
        for name in _NUMBERS:
            setattr(self, name, stored.progress[name])
        self.job.step, self.job.progress = stored.progress["chunks"], stored.progress["task"]
        result = self.job.result
        result.sequences, result.ticks = stored.progress["step"], stored.progress["ticks"]
        result.solved = stored.progress["solved"]


def stream_length(net, task, seed, stop, ticks):
    """The ticks of a fresh stream before the first error of `stop`, with the weights held still; at most `ticks`.

    >>> from rnnsim.networks import build
    >>> from rnnsim.tasks.continual_reber import ContinualReber
    >>> net = build("lstm1997", 7, 7, dtype="float64")
    >>> stream_length(net, ContinualReber(), 0, 0.49, 1000), stream_length(net, ContinualReber(), 0, 2.0, 1000)
    (0, 1000)
    """
    learner, done = net.online(net.theta, learning_rate=0.0), 0
    for batch in task.evaluation_batches(seed, 1, ticks):  # a stretch has a tick at least
        learnt = learner.learn(batch, task.loss, going_on=done > 0, stop=stop)
        done += int(learnt.ticks[0])
        if learnt.worst[0] >= stop:
            return min(done - 1, ticks)
        if done >= ticks:
            break
    return min(done, ticks)


def train_sequences(
    net, task, rule, batch, seed, online, limits, every, callback, evaluation, out, resume, accept_source=False
):
    """`rnnsim.train` with `online`; the arguments are what it has checked. Gives its `TrainResult`."""
    goal = limits["goal"]
    online = _checked(net, task, rule, batch, online, goal, every)
    training = _Training(net, task, seed, online, goal)
    require(
        not online.wait or (net.g == "logistic" and net.bias != "all"),
        "wait: needs g=logistic and cells without biases",
    )
    if not task.streams:
        wanted = every["evaluate"], online.test_every if online.test != "none" else 0, online.wait
        training.job.size = _size(_chunk(task), [count for count in wanted if count])

    def config():
        from rnnsim.learning import RULES
        from rnnsim.networks import config_of
        from rnnsim.tasks import TASKS
        from rnnsim.training.run import described

        rates = {"learning_rate": online.learning_rate} | ({"momentum": online.momentum} if online.momentum else {})
        return {
            **dict(steps=limits["steps"], batch=1, seed=seed, until=str(goal), time_limit=limits["time_limit"]),
            **{f"{name}_every": count for name, count in every.items()},
            **dict(dtype=str(net.theta.dtype), task=described(TASKS, task), network=config_of(net)),
            "rule": described(RULES, rule),
            "optimizer": {"name": "momentum" if online.momentum else "sgd", "options": rates},
            "evaluation": evaluation or {},
            "online": {key: value for key, value in online._asdict().items() if value != math.inf},
        }

    # A sequence may take microseconds: checkpoints go by the time alone, whatever their steps.
    return drive(training, limits, {**every, "checkpoint": 0}, callback, evaluation, out, resume, config, accept_source)


def _checked(net, task, rule, batch, online, goal, every):
    name = net.config["name"]
    found = rule.config["name"] if hasattr(rule, "config") else type(rule).__name__.lower()
    require(found == "truncated", f"online: a network learns online by the rule truncated, not by {found}")
    require(hasattr(net, "online"), f"online: network '{name}' has no online learner; lstm1997 has")
    require(batch == 1, f"batch={batch}: online training takes one sequence after the other, batch=1")
    kind = task.loss.kind
    require(kind == "squared_error", f"online: the truncated rule descends the squared error, the task has {kind}")
    require("learning_rate" in online, "online: needs a learning_rate")
    known = Online(**online)
    at_least("test_every", known.test_every, 1)
    at_least("stream_ticks", known.stream_ticks, 0)
    require(known.test != "streams" or task.streams, "test=streams: the task has no streams")
    require(known.test != "fresh" or not task.streams, "test=fresh: the task has streams, use test=streams")
    require(known.test != "fresh" or task.criterion, "test=fresh: the task has no criterion of success")
    sets = hasattr(task, "string_set")
    require(known.test != "sets" or sets, "test=sets: the task has no fixed sets of sequences")
    if goal == "solved":
        ends = task.streams and (known.stop < math.inf or known.stream_ticks)
        require(known.test != "none" or task.criterion or ends, "until=solved: the task has no criterion of success")
    return known


def _size(most, wanted):
    """Sequences of a chunk, so that chunks end where something is wanted.

    >>> _size(500, []), _size(500, [100]), _size(80, [100]), _size(500, [300, 200])
    (500, 100, 50, 100)
    """
    if not wanted:
        return most
    common = math.gcd(*wanted)
    return max(size for size in range(1, min(most, common) + 1) if common % size == 0)
