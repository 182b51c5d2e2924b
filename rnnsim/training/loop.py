"""`train`: checks its arguments, makes a learner and a `Training`, and lets the driver run it."""

from collections.abc import Callable
from os import PathLike
from typing import Any, Literal

from rnnsim.core.learner import NotFinite
from rnnsim.core.registry import as_python, at_least, described, require
from rnnsim.core.rng import Seed, seed_of
from rnnsim.learning.interface import Rule, require_fit
from rnnsim.networks.interface import Network
from rnnsim.optimizers.interface import Optimizer
from rnnsim.tasks.interface import Task
from rnnsim.training.driver import Progress, TrainResult, drive
from rnnsim.training.goal import Goal
from rnnsim.training.goal import until as until_
from rnnsim.training.testing import Test
from rnnsim.training.training import Training

__all__ = ("NotFinite", "train")


def train(
    net: Network,
    task: Task,
    rule: str | Rule = "bptt",
    optimizer: str | Optimizer | None = None,
    steps: int = 1000,
    batch: int = 32,
    rng: "Seed" = 0,
    out: str | PathLike[str] | None = None,
    evaluate_every: int = 0,
    checkpoint_every: int = 1000,
    report_every: int = 100,
    callback: Callable[[Progress], Any] | None = None,
    until: str = "steps",
    time_limit: float | None = None,
    resume: bool = False,
    evaluation: dict[str, Any] | None = None,
    test: Literal["none", "sets", "fresh", "streams"] = "none",
    test_every: int = 100,
    test_length: int = 100_000,
    accept_source: bool = False,
) -> TrainResult:
    """Train a network on a task, in place: the rule makes gradients of the task's batches, the optimizer applies them.

    Parameters
    ----------
    net, task : the network and its task
    rule, optimizer : names or objects of `rnnsim.learning.RULES` and `rnnsim.optimizers.OPTIMIZERS`; by default BPTT, and Adam
        with learning rate 0.001 and the gradient clipped to norm 1
    steps, batch : number of training steps, one batch each; sequences of a batch. With a task whose streams end, a step is
        a stream
    rng : seed of the data and of weight noise (int, SeedSequence or Generator)
    out : folder of the run (`rnnsim.training.run`); None: nothing is written
    evaluate_every, checkpoint_every, report_every : steps between evaluations, checkpoints and reports; 0: only the last one
    callback : function of a `Progress`, called after every step; the training ends if it returns True (NumPy's too)
    until : "steps"; "solved": end as soon as the task's criterion is met, or a `test` is passed; or a figure of the evaluations
        and a bound (`rnnsim.training.goal`), such as "loss<0.1" or "loss<0.1 twice": end with the evaluation that
        meets it
    time_limit : seconds after which this sitting ends
    resume : continue the run in `out` if there is one, bit for bit as if it had never stopped
    accept_source : continue although the source of code from outside rnnsim has changed since
    evaluation : options of `rnnsim.training.evaluate.evaluate` for the evaluations during the training
    test : "none", "sets", "fresh" or "streams" (`rnnsim.training.testing`): the task is solved when such a test, with fixed
        weights, is passed, and not when training sequences meet the criterion
    test_every, test_length : steps between two tests; time steps after which a stream of a test has passed

    A network that carries out the rule by itself (`lstm1997` and "truncated" with every=1) learns sequence after
    sequence in its own kernel; batch is 1 then.

    Ctrl-C ends the training after the step in progress, with a checkpoint; a second one ends it at once.

    Returns a `TrainResult`. Raises `RnnsimError` for arguments that do not fit each other, for a folder that is in
    use or not empty, and as soon as the loss, the gradient or a weight is not finite: the message names the step, the
    array and the last good checkpoint, and the network has the weights from before that step.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=4, rng=1)
    >>> result = train(net, task, rule="rtrl", steps=5, batch=4, rng=1)
    >>> result.steps, result.sequences
    (5, 20)
    """
    rule, optimizer = _built(rule, optimizer)
    seed = seed_of(rng)
    steps, batch = at_least("steps", steps, 0), at_least("batch", batch, 1)
    evaluate_every = at_least("evaluate_every", evaluate_every, 0)
    checkpoint_every = at_least("checkpoint_every", checkpoint_every, 0)
    report_every = at_least("report_every", report_every, 0)
    test_every, test_length = at_least("test_every", test_every, 1), at_least("test_length", test_length, 1)
    time_limit, evaluation = as_python(time_limit), as_python(evaluation)
    require(time_limit is None or time_limit >= 0, f"time_limit={time_limit}: expected a number of at least 0, or none")
    goal, plan = until_(until), Test.checked(task, test, test_every, test_length)
    can_be_solved = task.criterion or task.stream_end or plan.kind != "none"
    require(goal != "solved" or can_be_solved, "until=solved: the task has no criterion of success")
    waits = isinstance(goal, Goal)
    require(not waits or evaluate_every, f"until={until}: needs evaluate_every, the steps between evaluations")
    require(out is not None or not resume, "resume=True: needs out, the folder of the run")
    require_fit(net, task)
    rule.check(net, task)
    limits = dict(steps=steps, goal=goal, time_limit=time_limit)
    every = dict(evaluate=evaluate_every, checkpoint=checkpoint_every, report=report_every)
    learner = learner_for(net, rule, optimizer, seed)
    pauses = evaluate_every, test_every if plan.kind != "none" else 0
    training = Training(net, task, learner, batch, seed, goal == "solved", plan, pauses)

    def config():
        from rnnsim.learning import RULES
        from rnnsim.optimizers import OPTIMIZERS
        from rnnsim.tasks import TASKS

        found = dict(
            steps=steps, batch=batch, seed=seed, until=until, time_limit=time_limit, dtype=str(net.theta.dtype)
        )
        found |= dict(evaluate_every=evaluate_every, checkpoint_every=checkpoint_every, report_every=report_every)
        if plan.kind != "none":
            found |= dict(test=test, test_every=test_every, test_length=test_length)
        found |= {"task": described(TASKS, task), "network": net.full_config, "rule": described(RULES, rule)}
        if not rule.sets_weights:  # such a rule uses no optimizer
            found["optimizer"] = described(OPTIMIZERS, optimizer)
        return found | {"evaluation": evaluation or {}}

    return drive(training, limits, every, callback, evaluation, out, resume, config, accept_source)


def learner_for(net, rule, optimizer, seed):
    """The learner of a training: the network's own if it updates at every time step by this rule, else a `BatchLearner`."""
    from rnnsim.learning.batch_learner import BatchLearner

    if rule.every == 1 and rule.name in net.procedures:
        return net.learner_by(rule, optimizer)
    return BatchLearner(net, rule, optimizer, seed)


def _built(rule: str | Rule, optimizer: str | Optimizer | None) -> tuple[Rule, Optimizer]:
    from rnnsim.learning import RULES
    from rnnsim.optimizers import OPTIMIZERS, Adam

    rule = RULES.build(rule) if isinstance(rule, str) else rule
    if optimizer is None:
        optimizer = Adam(1e-3, clip_norm=1.0)
    return rule, OPTIMIZERS.build(optimizer) if isinstance(optimizer, str) else optimizer
