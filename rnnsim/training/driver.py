"""The driver of every training: reports, checkpoints, limits, evaluations and Ctrl-C."""

import abc
import signal
import threading
import time
from typing import Any

from rnnsim.core.learner import NotFinite
from rnnsim.core.registry import is_true
from rnnsim.networks.interface import Network
from rnnsim.training.goal import Goal

_FREE = ("steps", "until", "time_limit", "checkpoint_every")  # settings that may differ when a run is resumed
_INTERRUPTED = "interrupted"


class Drivable(abc.ABC):
    """The contract between the driver and a training, the object that learns; `rnnsim.training.training.Training` is one.

    net, task, seed     what evaluations on the way need
    step, sequences     training steps and sequences done so far
    solved_at           number of sequences after which the criterion was met; None: not yet
    loss                of the last step; None before the first
    seconds             time that earlier sittings took
    checkpoint_seconds  the driver writes a checkpoint after this time, however few steps were done
    """

    @abc.abstractmethod
    def advance(self, most):
        """Do at least one step and at most `most` steps.

        Raises `NotFinite` if the loss, the gradient or a weight is not finite. Its attribute `untouched` says whether
        the training is as it was before, so that the driver may still write a checkpoint.
        """

    @abc.abstractmethod
    def failure(self, error, path):
        """The message of a step that raised `error`; `path` is the last good checkpoint, or None."""

    @abc.abstractmethod
    def test(self, before):
        """The results of the training's own test as a dict, if one was due since step `before`; else None."""

    @abc.abstractmethod
    def report(self, whole):
        """One metrics record, a dict with `step` and `sequences` at least.

        whole : whether a report is due; False: there is a record only because there is an evaluation
        """

    @abc.abstractmethod
    def running(self):
        """``{"loss", "correct", "error"}`` as a callback sees them: of the last step, and over the last sequences."""

    @abc.abstractmethod
    def entries(self):
        """The entries of the `TrainResult` that only this training has, a dict."""

    @abc.abstractmethod
    def parts(self, seconds):
        """What a checkpoint holds beside the network, as keyword arguments of `rnnsim.core.checkpoint.save`.

        seconds : time of all sittings so far
        """

    @abc.abstractmethod
    def restore(self, stored, path):
        """Continue from the checkpoint `stored`, read from `path`, bit for bit. Raises `RnnsimError` if it does not fit."""


class TrainResult(dict[str, Any]):
    """What a training returns; its entries are attributes too.

    net                         the network, with its last weights
    steps, sequences            training steps and training sequences done
    loss                        mean training loss between the last two reports
    correct, error              share of correct sequences and mean error over the last sequences; None where the task has neither
    solved, solved_at           whether the task's criterion was met, and after how many sequences
    reached_at                  number of sequences after which the condition `until` was met, or None
    interrupted, message        whether Ctrl-C ended the training, and the reason for its end in words
    seconds                     time of all sittings together
    figures                     what the rule counted, such as the trials of weight guessing
    right_at                    number of sequences after which a window of the criterion had few enough wrong sequences, whatever
                                their mean error
    best_time_steps             of a learner that learns sequence after sequence: the best mean length of a test on streams
    time_steps                  of such a learner: the time steps of the whole training
    history                     the reports, one dict each
    out                         the folder of the run, or None
    """

    net: Network
    steps: int
    sequences: int
    loss: float
    correct: float | None
    error: float | None
    solved: bool
    solved_at: int | None
    reached_at: int | None
    interrupted: bool
    message: str
    seconds: float
    history: list[dict[str, Any]]
    out: str | None

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self):
        return [*super().__dir__(), *self]

    def __repr__(self):
        lines = []
        for key, value in self.items():
            if key == "history":
                value = f"{len(value)} reports"
            elif key == "net":
                value = f"{value.config['name']}, {value.n_parameters} parameters"
            lines.append(f"{key:>12}: {value:.6g}" if isinstance(value, float) else f"{key:>12}: {value}")
        return "\n".join(lines)


class Progress:
    """What a callback gets after every step: net, step, steps, sequences, loss, correct, error, solved_at, seconds, report.

    report : the metrics record of this step, or None
    """

    __slots__ = ("net", "step", "steps", "sequences", "loss", "correct", "error", "solved_at", "seconds", "report")
    net: Network
    step: int
    steps: int
    sequences: int
    loss: float
    correct: float | None
    error: float | None
    solved_at: int | None
    seconds: float
    report: dict[str, Any] | None

    def __init__(self, **values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return f"<step {self.step} of {self.steps}, loss {self.loss:.6g}>"


def crossed(count, before, now):
    """Whether a multiple of `count` lies between two steps, the second one included; never for 0.

    >>> crossed(100, 99, 100), crossed(100, 100, 199), crossed(100, 50, 350), crossed(0, 0, 10)
    (True, False, True, False)
    """
    return bool(count) and now // count > before // count


def drive(training, limits, every, callback, evaluation, out, resume, config, accept_source=False):
    """Train until a limit is reached; returns a `TrainResult`.

    Parameters
    ----------
    training : a `Drivable`
    limits : steps, goal and time_limit; the goal is what `rnnsim.training.goal.until` returns
    every : steps between evaluate, checkpoint and report; 0: only the last one
    callback, out, resume, evaluation, accept_source : see `rnnsim.train`
    config : function that returns the effective configuration; called if there is a folder to write it to

    Raises `RnnsimError` for a folder that is in use, not empty or another run's, and `NotFinite` with the training's
    message.
    """
    if out is None:
        return _Sitting(training, limits, every, evaluation, None).run(callback)
    from rnnsim.training.writer import Writer

    with Writer(out, config(), resume, _FREE, accept_source) as writer:
        stored, path = writer.latest()
        if stored:
            training.restore(stored, path)
        return _Sitting(training, limits, every, evaluation, writer).run(callback)


class _Sitting:
    """One sitting of a training: from where it stands to the next end, by a limit, a callback or Ctrl-C."""

    def __init__(self, training, limits, every, evaluation, writer):
        self.training, self.writer = training, writer
        self.steps, self.goal, self.time_limit = limits["steps"], limits["goal"], limits["time_limit"]
        self.every, self.evaluation = every, evaluation
        self.began = self.saved = time.perf_counter()
        self.saved_step, self.path = training.step, None  # step and path of the last checkpoint
        self.history = writer.history() if writer else []
        # The reports alone decide whether a goal is met, so a resumed run knows what it knew before.
        self.evaluations = [line["evaluation"] for line in self.history if line.get("evaluation")]
        self.reached = self._goal_met()

    def run(self, callback):
        """Train to the end of the sitting; returns the `TrainResult`."""
        ending = None
        with _Interrupt() as interrupt:
            if self.writer and not self.writer.checkpoints():
                self.save()  # from now on there is always a checkpoint to fall back to
            elif self.writer:
                self.path = self.writer.checkpoints()[-1]
            while self.training.step < self.steps and not self.done() and ending is None:
                before = self.training.step
                self.advance()
                report = self.report(before)
                due = crossed(self.every["checkpoint"], before, self.training.step)
                if due or time.perf_counter() - self.saved > self.training.checkpoint_seconds:
                    self.save()
                ending = self.ending(callback, report, interrupt)
            if self.training.step != self.saved_step:
                self.save()
        return self.result(ending)

    def advance(self):
        """Do one or more steps. Raises `NotFinite` with the whole message."""
        training = self.training
        try:
            training.advance(self.steps - training.step)
        except NotFinite as error:
            if error.untouched and training.step != self.saved_step:
                self.save()
            raise NotFinite(training.failure(error, self.path)) from None

    def report(self, before):
        """Make the evaluation, test and report that are due since step `before`; returns the report, or None."""
        training, found = self.training, {}
        due = crossed(self.every["report"], before, training.step)
        if crossed(self.every["evaluate"], before, training.step):
            found["evaluation"] = self._evaluated()
            self.evaluations.append(found["evaluation"])
            self.reached = self._goal_met()
        test = training.test(before)
        # Tests may be frequent: a record has the test of its own step, and the test that is passed.
        if test and (due or training.solved_at):
            found["test"] = test
        whole = due or self.done() or training.step >= self.steps
        if not whole and "evaluation" not in found:
            return None
        report = {**training.report(whole), **found, "seconds": round(self.seconds(), 3)}
        self.history.append(report)
        if self.writer:
            self.writer.report(report)
        return report

    def save(self):
        """Write a checkpoint, if the run has a folder."""
        if self.writer:
            training = self.training
            self.path = self.writer.save(training.step, training.net, **training.parts(self.seconds()))
            self.saved = time.perf_counter()
        self.saved_step = self.training.step

    def ending(self, callback, report, interrupt):
        """The reason for which the training ends before it is done, in words; None if it continues."""
        if callback is not None and is_true(callback(self._progress(report))):
            return "stopped by the callback"
        if interrupt.asked:
            return _INTERRUPTED
        if self.time_limit is not None and time.perf_counter() - self.began >= self.time_limit:
            return "the time limit is reached"
        return None

    def seconds(self):
        """Time of all sittings so far."""
        return self.training.seconds + time.perf_counter() - self.began

    def done(self):
        """Whether the condition `until` is met."""
        return self.reached or (self.goal == "solved" and self.training.solved_at is not None)

    def result(self, ending):
        """The `TrainResult`."""
        training, message = self.training, ending or "all steps are done"
        if self.done():
            message = f"{self.goal} is reached" if self.reached else "the criterion is met"
        reported = [line["loss"] for line in self.history if "loss" in line]
        return TrainResult(
            net=training.net,
            steps=training.step,
            sequences=training.sequences,
            **{**training.running(), "loss": reported[-1] if reported else training.loss},
            solved=training.solved_at is not None,
            solved_at=training.solved_at,
            reached_at=(training.sequences if self.reached else training.solved_at) if self.done() else None,
            interrupted=message == _INTERRUPTED,
            message=message,
            seconds=self.seconds(),
            **training.entries(),
            history=self.history,
            out=self.writer and str(self.writer.folder),
        )

    def _goal_met(self):
        return isinstance(self.goal, Goal) and self.goal.met(self.evaluations)

    def _evaluated(self):
        from rnnsim.training.evaluate import evaluate

        training = self.training
        return evaluate(training.net, training.task, **{"seed": training.seed, **(self.evaluation or {})})

    def _progress(self, report):
        training = self.training
        return Progress(
            net=training.net,
            step=training.step,
            steps=self.steps,
            sequences=training.sequences,
            **training.running(),
            solved_at=training.solved_at,
            seconds=self.seconds(),
            report=report,
        )


class _Interrupt:
    """A context in which the first Ctrl-C sets `asked` and the second one interrupts; in the main thread only."""

    def __init__(self):
        self.asked = False

    def __enter__(self):
        self._earlier = None
        if threading.current_thread() is threading.main_thread():
            self._earlier = signal.getsignal(signal.SIGINT)
            # A process that ignores Ctrl-C, or has a handler from outside Python, keeps its handler.
            if self._earlier in (None, signal.SIG_IGN):
                self._earlier = None
            else:
                signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, *_):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_):
        if self._earlier is not None:
            signal.signal(signal.SIGINT, self._earlier)
