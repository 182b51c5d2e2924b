"""The contract of an experiment: what is trained, what is measured, when it passes, and what the paper says.

An experiment
1. is data: an `Experiment` at the top level of a module, entered in `rnnsim.experiments.EXPERIMENTS` under its `name` and
   with one line about it; nothing is computed when the module is imported;
2. has arms, the things that are compared: the paper's network, a baseline, other settings. An `Arm` is a training
   configuration as in `rnnsim.training.config` (task, network, rule, optimizer, steps, batch, until, ...) without a seed,
   and `quick`: what is different where a result is wanted in minutes. An `extra` arm is run only if it is named. Where no
   option says what the first weights are, `first_weights`, a function of (net, seed), sets them in ``net.theta``;
3. is run with the seeds 1, 2, ..., N in every arm: first weights and data follow from the seed. A training stops as its
   configuration says; ``until="loss<0.1 twice"`` waits for evaluations on the way, which should be of the validation split;
4. has measures: a `Measure` has a name (as a variable's), words, a unit, and a function of an `Outcome` that gives a number,
   or None where there is none (the sequences until solved of a training that did not solve it). "seconds" is a measure
   of every experiment. A measure is a function of the trained network and of the reports, not of the time of day, and of
   a fixed set of sequences, the same for all seeds and arms;
5. has published figures, a `Published` for a measure of an arm: value, unit and tag. The tag says how the figure is known:
   "read" in the paper, "computed" by us from the paper's definitions, "memory" (not read again), "uncertain" (read off a
   picture, or contradicted elsewhere). A figure that is tagged uncertain is shown as such and is never a bound. What is
   different between the paper and the arm (another rule, another size) stands in the `note`;
6. has criteria with words; a `Criterion` belongs to a row of the table (arm, measure) and judges the values of all
   seeds. A seed that diverged meets no criterion. `rnnsim.experiments.criteria` has the usual ones. A criterion comes from
   the paper, or says in its words what it asks for;
7. passes if every criterion does. Falling short is a result like any other: it is shown with its figures.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from rnnsim.core.registry import require
from rnnsim.errors import unknown
from rnnsim.experiments import EXPERIMENTS

TAGS = ("read", "computed", "memory", "uncertain")


@dataclass(frozen=True)
class Published:
    """A figure of a paper, and how it is known.

    >>> Published(74_000, "sequences", "read", "mean of 10 trials").tag
    'read'
    """

    value: float
    unit: str
    tag: str
    note: str = ""

    def __post_init__(self):
        require(self.tag in TAGS, f"tag={self.tag}: expected one of {', '.join(TAGS)}")


@dataclass(frozen=True)
class Measure:
    """A named figure of one trained network; `of` is a function of an `Outcome`."""

    name: str
    words: str
    unit: str
    of: Callable


class Verdict(NamedTuple):
    """What a criterion finds: whether it is met (None: it cannot be judged) and in words what was found."""

    passes: bool | None
    found: str


@dataclass(frozen=True)
class Criterion:
    """What has to hold for the values of a measure over all seeds; `judge` takes a `rnnsim.experiments.results.Results`."""

    arm: str
    measure: str
    words: str
    judge: Callable


@dataclass(frozen=True)
class Arm:
    """One of the things that an experiment compares."""

    name: str
    words: str
    config: dict
    quick: dict = field(default_factory=dict)
    published: dict = field(default_factory=dict)  # name of a measure -> Published
    extra: bool = False  # is run only if it is named
    first_weights: Callable | None = None  # of (net, seed), sets them; None: they are as the network draws them

    def settings(self, quick=False):
        """The training configuration, in full or with what is different in quick ones; without a seed."""
        return merged(self.config, self.quick) if quick else merged(self.config, {})


@dataclass(frozen=True)
class Experiment:
    """An experiment of a paper; the contract is at the top of the module.

    seeds, quick_seeds : how many seeds are run if nothing else is asked for
    notes : what differs from the paper, or is not said there; one sentence each
    about : one line about it; by default the line that stands in `EXPERIMENTS`
    """

    name: str
    paper: str
    arms: tuple
    measures: tuple
    criteria: tuple
    seeds: int = 10
    quick_seeds: int = 3
    notes: tuple = ()
    about: str = ""

    def __post_init__(self):
        if not self.about:
            object.__setattr__(self, "about", EXPERIMENTS.summary(self.name))
        for criterion in self.criteria:
            self.arm(criterion.arm)
            self.measure(criterion.measure)
        for arm in self.arms:
            for name in arm.published:
                self.measure(name)

    @property
    def arm_names(self):
        """The names of all arms, in their order."""
        return tuple(arm.name for arm in self.arms)

    def chosen(self, names=None):
        """The names of the arms to run, in their order: None for all that are not extra, "all" among them for all."""
        if names is None:
            return tuple(arm.name for arm in self.arms if not arm.extra)
        wanted = self.arm_names if "all" in names else [self.arm(name).name for name in names]
        require(wanted, f"arms: none is named, expected some of {', '.join(self.arm_names)} or all")
        return tuple(name for name in self.arm_names if name in wanted)

    def arm(self, name):
        """The arm of a name; `RnnsimError` with the nearest name if there is none."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise unknown(f"arm of experiment '{self.name}'", name, self.arm_names)

    def measure(self, name):
        """The measure of a name, "seconds" among them; `RnnsimError` with the nearest name if there is none."""
        for measure in self.all_measures:
            if measure.name == name:
                return measure
        raise unknown(f"measure of experiment '{self.name}'", name, [measure.name for measure in self.all_measures])

    @property
    def all_measures(self):
        """The measures and, last, the seconds of a training."""
        return (*self.measures, SECONDS)


class Outcome:
    """A training that has ended, as measures see it.

    net, task, config : the trained network, its task and the configuration
    result : the `rnnsim.training.driver.TrainResult`, with its `history`

    >>> task = rs.tasks.DelayedRecall(delay=2)
    >>> net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=4)
    >>> outcome = Outcome(net, task, rs.train(net, task, steps=2))
    >>> outcome.evaluate({"delay": 9}, count=20)["sequences"]
    20
    """

    def __init__(self, net, task, result, config=None):
        self.net, self.task, self.result, self.config = net, task, result, config or {}
        self._known = {}

    def evaluate(self, options=None, count=1000, split="test", batch=100):
        """`rnnsim.evaluate` on the task, with other `options` of it if given; the sequences are those of seed 0."""
        from rnnsim.tasks import TASKS
        from rnnsim.training.evaluate import evaluate

        key = (repr(options), count, split, batch)
        if key not in self._known:
            task = self.task
            if options:
                task = TASKS.build(_name(task), {**task.options, **options})
            self._known[key] = evaluate(self.net, task, seed=0, count=count, split=split, batch=batch)
        return self._known[key]


SECONDS = Measure("seconds", "seconds of a training", "s", lambda outcome: outcome.result["seconds"])


def _name(task):
    from rnnsim.core.registry import described
    from rnnsim.tasks import TASKS

    return described(TASKS, task)["name"]


def merged(config, changes):
    """A copy of a configuration with what `changes` has put over it, table by table.

    >>> merged({"steps": 9, "task": {"name": "copy", "options": {}}}, {"task": {"options": {"width": 4}}})
    {'steps': 9, 'task': {'name': 'copy', 'options': {'width': 4}}}
    """
    made = {key: merged(value, {}) if isinstance(value, dict) else value for key, value in config.items()}
    for key, value in changes.items():
        made[key] = merged(made.get(key, {}), value) if isinstance(value, dict) else value
    return made
