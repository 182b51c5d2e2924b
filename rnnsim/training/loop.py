"""The loop: batches from a task, a rule that learns from them, an optimiser that applies what the rule found.

One step takes one batch. All that the loop knows is in its network, its optimiser's state, the state that streams carry on
and a few numbers; a checkpoint holds these, so a run that was killed goes on bit for bit. Reports, checkpoints and the ends of
a training are the driver's (`rnnsim.training.driver`).
"""

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.training.driver import NotFinite, drive
from rnnsim.training.goal import Goal
from rnnsim.training.goal import until as until_

_WINDOW = 1000  # sequences of the running figures of a task without a criterion


class Window:
    """Correctness and errors of the last training sequences."""

    def __init__(self, size):
        self.correct, self.error = np.zeros(size, bool), np.zeros(size)
        self.seen = 0

    def add(self, correct, error):
        """Take in the sequences of one batch, in their order."""
        size = self.correct.size
        places = (self.seen + np.arange(len(correct))[-size:]) % size
        self.correct[places] = correct[-size:]
        self.error[places] = error[-size:]
        self.seen += len(correct)

    @property
    def full(self):
        """Whether it holds as many sequences as it can."""
        return self.seen >= self.correct.size

    def share_correct(self):
        """Share of correct sequences among those that it holds."""
        return float(np.count_nonzero(self.correct) / min(max(self.seen, 1), self.correct.size))

    def mean_error(self):
        """Mean error of the sequences that it holds."""
        return float(self.error.sum() / min(max(self.seen, 1), self.error.size))

    def meets(self, criterion):
        """Whether the sequences that it holds meet the criterion; never before it is full."""
        return self.full and criterion.met(self.correct, self.error)


class _Apply:
    """What a rule does with a gradient; see the contract in `rnnsim.learning.interface`."""

    def __init__(self, training):
        from rnnsim.optimizers.sgd import SGD

        optimizer = training.optimizer
        plain = type(optimizer) is SGD and optimizer == SGD(optimizer.learning_rate)
        self.rate = optimizer.learning_rate if plain else 0.0
        self.made = training.updated
        self._update = training.update

    def __call__(self, gradient):
        self._update(gradient)


class _Training:
    """The state of a training, one step at a time; it keeps the contract in `rnnsim.training.driver`."""

    checkpoint_seconds = 300  # for slow networks, which do few steps in this time

    def __init__(self, net, task, rule, optimizer, batch, seed):
        from rnnsim.core.vmath import all_finite

        self._all_finite = all_finite
        self.net, self.task, self.rule, self.optimizer = net, task, rule, optimizer
        self.batch, self.seed = batch, seed
        # With weight noise the network's own vector holds the noisy weights while it learns.
        self.theta = net.theta.copy() if optimizer.weight_noise else net.theta
        self.before = net.theta.copy()
        self.optimizer_state = optimizer.init(self.theta)
        self._apply = _Apply(self)
        self.state = None
        self.progress = getattr(task, "progress", None)
        criterion = task.criterion
        self.window = Window(criterion.window if criterion else _WINDOW)
        self.has_correct = self.has_error = False
        self.step = self.updates = 0
        self.loss, self.loss_sum, self.loss_count = None, 0.0, 0
        self.solved_at = None
        self.seconds = 0.0
        self.figures = {}

    @property
    def sequences(self):
        return self.step * self.batch

    def advance(self, most):
        """One step. Raises `NotFinite`; the weights are then those from before the step."""
        net, task = self.net, self.task
        np.copyto(self.before, self.theta)
        updates = self.updates
        try:
            progress = () if self.progress is None else (self.progress,)
            batch = task.training_batch(self.seed, self.step, self.batch, *progress)
            self._disturb()
            self.rule.randomness = self.seed, self.step
            learned = self.rule.learn(net, batch, task.loss, self._apply, self.state)
            if not np.isfinite(learned.loss):
                raise NotFinite(f"the loss is {learned.loss}")
        except NotFinite as error:
            np.copyto(self.theta, self.before)
            # Whole as it was before the step, if the optimiser has not moved yet and no callback has spoilt the weights.
            error.untouched = self.updates == updates and self._all_finite(self.theta)
            raise
        finally:
            if self.theta is not net.theta:
                net.theta[...] = self.theta
        self.state = learned.state if task.streams else getattr(self.rule, "begin", lambda state: None)(learned.state)
        self._judge(learned.outputs, batch)
        self.figures = learned.figures or {}
        if self.progress is not None:
            self.progress = task.advanced(self.progress, float(learned.loss))
        self.step += 1
        self.loss, self.loss_sum, self.loss_count = learned.loss, self.loss_sum + learned.loss, self.loss_count + 1
        if self.solved_at is None and task.criterion and self.window.meets(task.criterion):
            self.solved_at = self.sequences

    def _judge(self, outputs, batch):
        """Which sequences were right, and how far off they were, as far as the task has an idea of that."""
        correct, error = self.task.correct(outputs, batch), self.task.error(outputs, batch)
        self.has_correct, self.has_error = correct is not None, error is not None
        rows = np.zeros(self.batch)
        self.window.add(rows > 0 if correct is None else correct, rows if error is None else error)

    def _disturb(self):
        if self.theta is not self.net.theta:
            noisy = self.optimizer.perturbed(self.theta, self.seed, self.updates, self.net.trainable)
            self.net.theta[...] = noisy

    def update(self, gradient):
        """One update, of the clean weights."""
        self._require_finite(gradient, "the gradient of ")
        self.optimizer.step(self.theta, gradient, self.optimizer_state, self.updates, self.net.trainable)
        self.updated(1)
        self._disturb()

    def updated(self, count):
        """The weights have seen so many updates more."""
        self.updates += count
        self._require_finite(self.theta, "")

    def _require_finite(self, vector, what):
        if not self._all_finite(vector):
            index = int(np.argmin(np.isfinite(vector)))
            raise NotFinite(f"{what}{self.net.layout.at(index)} is {vector[index]}")

    def failure(self, error, path):
        """What is said of a step that raised `NotFinite`; `path` is that of the last checkpoint, or None."""
        cause = self.net.not_finite()
        error = f"{error}, as {cause}" if cause else error
        kept = f"last good checkpoint: {path}" if path else "there is no checkpoint, as no folder (out) was given"
        return f"step {self.step + 1}: {error}; the weights from before this step are kept; {kept}"

    def test(self, before):
        """Nothing: the criterion looks at the training sequences."""

    def report(self, whole):
        """The line for the metrics; if it is whole, the mean of the loss begins anew."""
        found = {"step": self.step, "sequences": self.sequences}
        if not whole:
            return found
        found |= {**self.running(), "loss": self.loss_sum / self.loss_count}
        found |= {"solved_at": self.solved_at, **self.figures}
        if self.progress is not None:
            found["progress"] = self.progress
        self.loss_sum, self.loss_count = 0.0, 0
        return found

    def running(self):
        """Loss of the last step, running share of correct sequences and mean error."""
        return {
            "loss": self.loss,
            "correct": self.window.share_correct() if self.has_correct else None,
            "error": self.window.mean_error() if self.has_error else None,
        }

    def entries(self):
        """What the result has besides."""
        return {"figures": self.figures}

    def parts(self, seconds):
        """All that a checkpoint holds beside the network."""
        progress = {name: getattr(self, name) for name in _NUMBERS}
        progress |= {"window_seen": self.window.seen, "seconds": seconds, "task": self.progress}
        progress |= {"figures": self.figures}
        window = {"correct": self.window.correct, "error": self.window.error}
        return dict(
            optimizer=self.optimizer_state, state=self.state, window=window, progress=progress, theta=self.theta
        )

    def restore(self, stored, path):
        """Go on from a checkpoint."""
        from rnnsim.training import checkpoint

        checkpoint.restore(self.net, stored, path)
        np.copyto(self.theta, self.net.theta)
        for mine, its in (
            (self.optimizer_state, stored.optimizer),
            ({"correct": self.window.correct, "error": self.window.error}, stored.window),
        ):
            for name, array in mine.items():
                fits = name in its and its[name].shape == array.shape and its[name].dtype == array.dtype
                require(fits, f"{path} holds another run: its array '{name}' does not fit")
                array[...] = its[name]
        self.state = stored.state
        for name in _NUMBERS:
            setattr(self, name, stored.progress[name])
        self.window.seen, self.seconds = stored.progress["window_seen"], stored.progress["seconds"]
        self.progress = stored.progress.get("task")
        self.figures = stored.progress.get("figures", {})


_NUMBERS = ("step", "updates", "loss", "loss_sum", "loss_count", "solved_at", "has_correct", "has_error")


def train(
    net,
    task,
    rule="bptt",
    optimizer=None,
    steps=1000,
    batch=32,
    rng=0,
    out=None,
    evaluate_every=0,
    checkpoint_every=1000,
    report_every=100,
    callback=None,
    until="steps",
    time_limit=None,
    resume=False,
    evaluation=None,
    online=None,
    accept_source=False,
):
    """Train a network on a task, in place.

    Parameters
    ----------
    net, task : what learns, and what is to be learnt
    rule, optimizer : names or objects of `rnnsim.learning.RULES` and `rnnsim.optimizers.OPTIMIZERS`; by default Adam with
        learning rate 0.001 and the gradient clipped to norm 1
    steps, batch : steps to do in all, one batch each; sequences of a batch
    rng : seed of the data and of weight noise (int, SeedSequence or Generator)
    out : folder of the run (`rnnsim.training.run`); None: nothing is written
    evaluate_every, checkpoint_every, report_every : steps between evaluations, checkpoints and reports; 0: none but the last
    callback : function of a `Progress`, called after every step; the training ends if it returns True
    until : "steps"; "solved": end as soon as the task's criterion is met; or a figure of the evaluations on the way and a bound
        (`rnnsim.training.goal`), such as "loss<0.1" or "loss<0.1 twice": end with the evaluation that meets it
    time_limit : seconds after which this sitting ends
    resume : go on with the run in `out` if there is one, bit for bit as if it had never stopped
    accept_source : go on although the source of code that is not rnnsim's own has changed since
    evaluation : options of `rnnsim.training.evaluate.evaluate` for the evaluations on the way
    online : options of `rnnsim.training.sequences.Online`: a network of memory blocks learns one sequence after the other by
        the rule "truncated", with an update at every tick with an error; a step is a sequence, and no optimizer is asked

    Ctrl-C ends the training after the step in progress, with a checkpoint; a second one ends it at once.

    Returns a `TrainResult`. Raises `RnnsimError` for arguments that do not fit each other, for a folder that is in use or
    not empty, and as soon as the loss, the gradient or a weight is not finite: the message names the step, the array and the
    last good checkpoint, and the network has the weights from before that step.
    """
    rule, optimizer = _built(rule, optimizer)
    seed = _seed(rng)
    for key, value in (("steps", steps), ("evaluate_every", evaluate_every), ("checkpoint_every", checkpoint_every)):
        at_least(key, value, 0)
    at_least("report_every", report_every, 0)
    at_least("batch", batch, 1)
    require(time_limit is None or time_limit >= 0, f"time_limit={time_limit}: expected a number of at least 0, or none")
    goal = until_(until)
    require(goal != "solved" or task.criterion, "until=solved: the task has no criterion of success")
    waits = isinstance(goal, Goal)
    require(not waits or evaluate_every, f"until={until}: needs evaluate_every, the steps between evaluations")
    require(out is not None or not resume, "resume=True: needs out, the folder of the run")
    _fit(net, task)
    rule.check(net, task)
    own = getattr(rule, "sets_weights", False) and optimizer.weight_noise
    require(not own, f"weight_noise={optimizer.weight_noise:g}: this rule sets the weights by itself")
    limits = dict(steps=steps, goal=goal, time_limit=time_limit)
    every = dict(evaluate=evaluate_every, checkpoint=checkpoint_every, report=report_every)
    if online:
        from rnnsim.training.sequences import train_sequences

        ends = (callback, evaluation, out, resume, accept_source)
        return train_sequences(net, task, rule, batch, seed, online, limits, every, *ends)

    def config():
        from rnnsim.learning import RULES
        from rnnsim.networks import config_of
        from rnnsim.optimizers import OPTIMIZERS
        from rnnsim.tasks import TASKS
        from rnnsim.training.run import described

        return {
            **dict(steps=steps, batch=batch, seed=seed, until=until, time_limit=time_limit, dtype=str(net.theta.dtype)),
            **dict(evaluate_every=evaluate_every, checkpoint_every=checkpoint_every, report_every=report_every),
            "task": described(TASKS, task),
            "network": config_of(net),
            "rule": described(RULES, rule),
            "optimizer": described(OPTIMIZERS, optimizer),
            "evaluation": evaluation or {},
        }

    training = _Training(net, task, rule, optimizer, batch, seed)
    return drive(training, limits, every, callback, evaluation, out, resume, config, accept_source)


def _built(rule, optimizer):
    from rnnsim.learning import RULES
    from rnnsim.optimizers import OPTIMIZERS, Adam

    rule = RULES.build(rule) if isinstance(rule, str) else rule
    if optimizer is None:
        optimizer = Adam(1e-3, clip_norm=1.0)
    return rule, OPTIMIZERS.build(optimizer) if isinstance(optimizer, str) else optimizer


def _fit(net, task):
    """Whether network and task have the same inputs and outputs."""
    for name, own, its in (("inputs", net.n_inputs, task.n_inputs), ("outputs", net.n_outputs, task.n_outputs)):
        require(own == its, f"the network has {own} {name}, the task has {its}")
    kinds = {True: "tokens", False: "vectors"}
    own, its = bool(getattr(net, "tokens", False)), bool(task.tokens)
    require(own == its, f"the network reads {kinds[own]}, the task gives {kinds[its]} (tokens={its})")


def _seed(rng):
    """A whole number from what stands for a seed."""
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1, np.uint64)[0] >> 1)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    fits = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and 0 <= rng < 2**63
    require(fits, f"rng={rng}: expected a whole number of at least 0, a SeedSequence or a Generator")
    return int(rng)
