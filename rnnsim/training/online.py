"""Online training as in the LSTM papers: one sequence after the other, an update at every tick with an error, several seeds.

`train_online` draws chunks of sequences from a task and gives each to the network's online learner, which learns its sequences
one after the other in one kernel call. It stops as the papers do: after the first sequence with which the criterion is met ("the
last 2000 all right, mean error below .01"), not at the end of a chunk. Every seed has its own weights and its own sequences;
seeds run beside each other in threads, and what comes out does not depend on their number.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.core.threads import get_threads
from rnnsim.errors import RnnsimError
from rnnsim.networks.lstm1997.learner import Learnt

_CHUNK_BYTES = 8_000_000  # inputs of a chunk at most, if nothing is said
_STREAM_TICKS = 100_000  # of a stream that ends
_NEXT_STREAM = 2**32  # what the seed of the data grows by


@dataclass
class OnlineResult:
    """What became of one seed.

    seed            of the first weights and of the sequences
    sequences       learnt in all, ticks of all of them
    solved          whether the criterion was met, or the `until` that was given
    theta           the last weights, flat like those of the network
    seconds         of this seed alone
    worst, errors   largest and mean absolute error of every sequence (or stream) at the ticks that count, float32
    lengths         ticks of every sequence (or stream)
    correct         whether every sequence was right, in the sense of the task
    """

    seed: int
    sequences: int = 0
    ticks: int = 0
    solved: bool = False
    theta: np.ndarray = None
    seconds: float = 0.0
    worst: np.ndarray = field(default=None, repr=False)
    lengths: np.ndarray = field(default=None, repr=False)
    errors: np.ndarray = field(default=None, repr=False)
    correct: np.ndarray = field(default=None, repr=False)

    def last(self, count):
        """(share right, mean error) of the last `count` sequences."""
        if not self.sequences:
            return 0.0, float("nan")
        return float(self.correct[-count:].mean()), float(self.errors[-count:].mean(dtype=np.float64))


def train_online(
    net,
    task,
    learning_rate,
    momentum=0.0,
    decay=1.0,
    sequence_decay=1.0,
    seeds=(0,),
    max_sequences=100_000,
    until="solved",
    criterion=None,
    chunk=None,
    stop=np.inf,
    stream_ticks=None,
    callback=None,
):
    """Train a network online by the truncated rule, once for every seed; gives a list of `OnlineResult`.

    Parameters
    ----------
    net : a network with `online` and `drawn`, such as lstm1997. Its own weights stay: every seed begins with ``net.drawn(seed)``
    task : with squared error. If its batches continue each other (`streams`), a chunk is a stretch of one endless stream and
        counts as one sequence; with `stop` or `stream_ticks` a stream ends and counts as one, and the next begins anew
    learning_rate, momentum, decay, sequence_decay : see `rnnsim.networks.lstm1997.learner.OnlineLearner`
    seeds : of weights and sequences
    max_sequences : at most so many a seed
    until : "solved": the criterion is met, or for streams that end, one of them reaches its last tick; "never"; or a function of
        (net with the weights of a seed, sequences so far), asked after every chunk or stream, that says whether to stop
    criterion : a `rnnsim.tasks.interface.Criterion` instead of that of the task
    chunk : sequences of a kernel call. It changes nothing but the time, and when `until` is asked. Stretches of a stream have the
        length that the task gives them
    stop : a sequence or stream ends after the first tick with an error of so much
    stream_ticks : and a stream after so many ticks; 100,000 if only `stop` is given
    callback : function of the `OnlineResult` so far of a seed, called after every chunk or stream, from several
        threads; it has the errors of the last chunk

    Raises `RnnsimError` for arguments that do not fit, and as soon as an error or a weight is not finite: it names seed and
    sequences.

    >>> from rnnsim.networks import build
    >>> from rnnsim.tasks.adding import Adding
    >>> net = build("lstm1997", 2, 1, {"in_bias": "-3,-6"}, "float64")
    >>> found = train_online(net, Adding(length=20), 0.5, seeds=[1, 2], max_sequences=300)
    >>> [(one.sequences, one.solved) for one in found]
    [(300, False), (300, False)]
    """
    name = net.config["name"]
    require(hasattr(net, "online"), f"network '{name}' has no online learner of its own; lstm1997 has")
    for what, own, its in (("inputs", net.n_inputs, task.n_inputs), ("outputs", net.n_outputs, task.n_outputs)):
        require(own == its, f"the network has {own} {what}, the task has {its}")
    kinds = {True: "tokens", False: "vectors"}
    own, its = bool(net.tokens), bool(task.tokens)
    require(own == its, f"the network reads {kinds[own]}, the task gives {kinds[its]} (tokens={its})")
    kind = task.loss.kind
    require(kind == "squared_error", f"the truncated rule online descends the squared error, the task has {kind}")
    at_least("max_sequences", max_sequences, 0)
    require(chunk is None or chunk >= 1, f"chunk={chunk}: expected a whole number of at least 1")
    ends = stop < np.inf or stream_ticks is not None
    require(
        task.streams or stream_ticks is None,
        f"stream_ticks={stream_ticks}: the sequences of this task end by themselves",
    )
    require(stream_ticks is None or stream_ticks >= 1, f"stream_ticks={stream_ticks}: expected a value of at least 1")
    require(until in ("solved", "never") or callable(until), f'until={until}: expected "solved", "never" or a function')
    criterion = task.criterion if criterion is None else criterion
    streams = (stream_ticks or _STREAM_TICKS) if task.streams and ends else None
    require(until != "solved" or criterion or streams, "until=solved: the task has no criterion of success")
    seeds = [at_least("seed", seed, 0) for seed in seeds]
    require(len(set(seeds)) == len(seeds), "seeds: one is given twice")
    rates = dict(learning_rate=learning_rate, momentum=momentum, decay=decay, sequence_decay=sequence_decay)
    net.online(**rates)  # what is wrong with them is said once
    size = 1 if task.streams else chunk or _chunk(task)
    jobs = [Job(net, task, seed, rates, until, criterion, size, stop, streams, callback) for seed in seeds]
    with ThreadPoolExecutor(max(1, min(get_threads(), len(jobs)))) as pool:
        running = [pool.submit(job.run, max_sequences) for job in jobs]
        try:
            return [one.result() for one in running]
        finally:
            for job in jobs:
                job.stopped = True


def _chunk(task):
    """Sequences of a chunk, so that its inputs stay within bounds."""
    batch = task.training_batch(0, 0, 1)
    return int(np.clip(_CHUNK_BYTES // max(1, batch.inputs.nbytes), 1, 500))


class Job:
    """The training of one seed; `advance` does a chunk of `size` sequences, or a stream. Arguments as of `train_online`."""

    def __init__(self, net, task, seed, rates, until, criterion, size, stop, stream_ticks, callback=None, theta=None):
        from rnnsim.tasks.interface import Task

        self.net, self.task, self.until, self.criterion = net, task, until, criterion
        self.size, self.stop, self.stream_ticks, self.callback = size, stop, stream_ticks, callback
        self.learner = net.online(net.drawn(seed) if theta is None else theta, **rates)
        self.result = OnlineResult(seed)
        self.step = 0
        self.progress = task.progress
        self.window = np.zeros(0, bool), np.zeros(0)
        self.stopped = False
        # A task that judges by the distance between output and target needs no outputs: the learner measures that.
        judging = ("wanted", "correct", "error")
        self.own_judgement = any(getattr(type(task), name) is not getattr(Task, name) for name in judging)

    def run(self, max_sequences):
        """The `OnlineResult` of at most so many sequences."""
        began, found = time.perf_counter(), self.result
        kept = {"worst": [], "errors": [], "correct": [], "lengths": []}
        while found.sequences < max_sequences and not found.solved and not self.stopped:
            learnt, correct, errors = self.advance(max_sequences - found.sequences)
            kept["worst"].append(learnt.worst.astype(np.float32))
            kept["errors"].append(errors.astype(np.float32))
            kept["correct"].append(correct)
            kept["lengths"].append(learnt.ticks)
            found.seconds = time.perf_counter() - began
            if callable(self.until) and self.until(self._net(), found.sequences):
                found.solved = True
            if self.callback is not None:
                found.theta, found.correct, found.errors = self.learner.theta, correct, errors
                self.callback(found)
        found.theta = self.learner.theta
        for name, parts in kept.items():
            setattr(found, name, np.concatenate(parts) if parts else np.zeros(0))
        found.seconds = time.perf_counter() - began
        return found

    def advance(self, most):
        """Learn a stream, or a chunk of `most` sequences at most: what the learner showed, correct (B,), errors (B,)."""
        found = self._stream(self.step) if self.stream_ticks else self._chunk(self.step, most)
        self.step += 1
        self.result.sequences += len(found[1])
        self.result.ticks += int(found[0].ticks.sum())
        return found

    def _chunk(self, step, most):
        """Learn a chunk, up to the sequence that meets the criterion: what the learner showed, correct (B,), errors (B,)."""
        progress = () if self.progress is None else (self.progress,)
        batch = self.task.training_batch(self.result.seed, step, self.size, *progress)
        if most < batch.size:
            batch = _first(batch, most, self.task)
        before = self.learner.snapshot() if self.until == "solved" else None
        found = self._learn(batch, going_on=self.task.streams and step > 0)
        if self.until == "solved":
            met = first_met(self.criterion, *self.window, *found[1:])
            if met is not None and met < batch.size:
                # Back, and once more up to the sequence that met the criterion.
                self.learner.restore(before)
                found = self._learn(_first(batch, met, self.task), going_on=False)
            self.result.solved = met is not None
            size = self.criterion.window
            self.window = tuple(np.concatenate(pair)[-size:] for pair in zip(self.window, found[1:]))
        if self.progress is not None:
            self.progress = self.task.advanced(self.progress, float(found[0].mean.mean()))
        return found

    def _stream(self, number):
        """Learn a stream until its first error or last tick; the figures of one sequence, as in `_chunk`."""
        seed, ticks, worst, total, stretch = self.result.seed + number * _NEXT_STREAM, 0, 0.0, 0.0, 0
        while ticks < self.stream_ticks and worst < self.stop and not self.stopped:
            batch = self.task.training_batch(seed, stretch, 1)
            if self.stream_ticks - ticks < len(batch.inputs):
                batch = _shorter(batch, self.stream_ticks - ticks)
            learnt, _, errors = self._learn(batch, going_on=stretch > 0)
            total += float(errors[0]) * int(learnt.ticks[0])
            worst, ticks, stretch = max(worst, float(learnt.worst[0])), ticks + int(learnt.ticks[0]), stretch + 1
        if self.until == "solved" and worst < self.stop:
            self.result.solved = ticks >= self.stream_ticks
        right = np.array([worst < min(self.stop, self.task.tolerance)])
        return Learnt(np.array([worst]), np.array([total / ticks]), np.array([ticks])), right, np.array([total / ticks])

    def _learn(self, batch, going_on):
        """Learn from a batch; what it showed, correct (B,), mean errors (B,)."""
        task = self.task
        shape = (*batch.inputs.shape[:2], self.net.n_outputs)
        outputs = None
        if self.own_judgement and not self.stream_ticks:
            outputs = np.zeros(shape if task.loss.when == "every" else shape[1:], self.net.dtype)
        try:
            learnt = self.learner.learn(batch, task.loss, going_on, self.stop, outputs)
            theta = self.learner.theta
            if not np.isfinite(theta).all():
                index = int(np.argmin(np.isfinite(theta)))
                raise RnnsimError(f"{self.net.layout.at(index)} is {theta[index]}")
        except RnnsimError as error:
            first = self.result.sequences
            where = f"seed {self.result.seed}, sequences {first + 1}..{first + batch.size}"
            raise RnnsimError(f"{where}: {error}; a smaller learning rate may help") from None
        if outputs is None:
            return learnt, learnt.worst < task.tolerance, learnt.mean
        correct, errors = task.correct(outputs, batch), task.error(outputs, batch)
        correct = learnt.worst < task.tolerance if correct is None else correct
        return learnt, correct, learnt.mean if errors is None else errors

    def _net(self):
        from rnnsim.networks import from_config

        net = from_config(self.net.config)
        net.theta[...] = self.learner.theta
        return net


def first_met(criterion, old_correct, old_errors, correct, errors):
    """After how many of the new sequences the criterion is met for the first time; None if it is not.

    >>> from rnnsim.tasks.interface import Criterion
    >>> ones, small = np.ones(3, bool), np.zeros(3)
    >>> first_met(Criterion(window=4, max_error=0.1), ones, small, ones, small)
    1
    """
    size, count = criterion.window, len(correct)
    right, off = np.concatenate([old_correct, correct]), np.concatenate([old_errors, errors])
    wrong = np.concatenate([[0], np.cumsum(~right.astype(bool))])
    for new in range(max(1, size - len(old_correct)), count + 1):
        end = len(old_correct) + new
        if wrong[end] - wrong[end - size] <= criterion.wrong and criterion.met(right[:end], off[:end]):
            return new
    return None


def _first(batch, count, task):
    """The first sequences of a batch."""
    from rnnsim.tasks.interface import Batch

    last = task.loss.when == "last"

    def cut(values, of_sequences):
        if values is None:
            return None
        return values[:count] if of_sequences else np.ascontiguousarray(values[:, :count])

    return Batch(cut(batch.inputs, False), cut(batch.targets, last), cut(batch.weights, last), cut(batch.lengths, True))


def _shorter(batch, ticks):
    """The first ticks of a batch with a target at every tick."""
    weights = None if batch.weights is None else batch.weights[:ticks]
    from rnnsim.tasks.interface import Batch

    return Batch(batch.inputs[:ticks], batch.targets[:ticks], weights)
