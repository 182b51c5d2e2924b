"""The contract of an experiment: what is trained, what is measured, what is claimed, and what the paper reports.

An `Experiment` is data: an object at the top level of a module, listed in `rnnsim.experiments.EXPERIMENTS` under its name
with a one-line description. Importing the module computes nothing. The docstrings of the classes below state the contract:

`Experiment`   arms, measures and claims of one section of a paper
`Arm`          one of the settings that the experiment compares, with the published figures
`Measure`      a figure of one trained network, computed from an `Outcome`
`Published`    a figure of the paper and its provenance
`Claim`        what has to hold for a measure over all seeds of an arm; it returns a `Verdict`
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from rnnsim.core.registry import require
from rnnsim.errors import unknown
from rnnsim.experiments import EXPERIMENTS

TAGS = ("read", "computed", "memory", "uncertain")
FRESH = 101  # the first seed of an arm whose settings were tuned on lower seeds


@dataclass(frozen=True)
class Published:
    """A published figure and its provenance.

    value, unit : the figure
    tag : "read" in the paper, "computed" by us from the paper's definitions, "memory" (recalled, not read again), or
        "uncertain" (read off a picture, or contradicted elsewhere); an uncertain figure is shown as such and is never a bound
    note : what differs between the paper's setting and the arm's, such as another rule or another size

    Raises `RnnsimError` for another tag.

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
    """A figure of one trained network.

    name : an identifier, unique in its experiment
    words : the row's text in the table
    unit : of the figure; "" for a pure number
    of : function of an `Outcome` that returns a number, or None if there is none (the sequences until solved of a training
        that did not solve the task)

    A measure depends on the trained network and on the reports of its training, never on the time of day. If it evaluates
    the network, it does so on a fixed set of sequences, the same for all seeds and arms.

    >>> largest = Measure("largest", "largest weight", "", lambda outcome: float(abs(outcome.net.theta).max()))
    """

    name: str
    words: str
    unit: str
    of: Callable


class Verdict(NamedTuple):
    """The result of judging a `Claim`: whether it holds (None if the arm was not run), and the figures it was judged by."""

    passes: bool | None
    found: str


@dataclass(frozen=True)
class Claim:
    """A statement about the values of a measure over all seeds of an arm; `rnnsim.experiments.claims` builds the usual ones.

    arm, measure : the row of the table that shows the claim
    words : the statement, such as "median under 0.1"
    judge : function of the `rnnsim.experiments.results.Results` that returns a `Verdict`

    A claim is the paper's, or its words or a note of the experiment say that the bound is ours. A seed that diverged
    never counts in favour of a claim. Seconds are a measure and no claim: they depend on the machine.
    """

    arm: str
    measure: str
    words: str
    judge: Callable


@dataclass(frozen=True)
class Arm:
    """One of the settings that an experiment compares: the paper's network, a baseline, a variant.

    name, words : the name on the command line, and the description in the table
    config : a training configuration (`rnnsim.training.config`) without a seed
    quick : what the quick settings change in it, table by table, so that a result takes minutes
    published : published figures, ``{name of a measure: Published}``
    extra : an extra arm runs only if ``--arms`` names it
    first_weights : function of (net, seed) that sets the first weights in ``net.theta``, where no option of the network
        does; None: the network draws them
    first_seed : the first of its seeds. 1, or `FRESH` if the settings of the arm were tuned on lower seeds: a setting is
        never judged on the seeds that chose it

    >>> Arm("gru", "64 units", {"steps": 1000}, quick={"steps": 10}).settings(quick=True)
    {'steps': 10}
    """

    name: str
    words: str
    config: dict
    quick: dict = field(default_factory=dict)
    published: dict = field(default_factory=dict)
    extra: bool = False
    first_weights: Callable | None = None
    first_seed: int = 1

    def settings(self, quick=False):
        """The training configuration without a seed: the full settings, or the quick ones."""
        return merged(self.config, self.quick) if quick else merged(self.config, {})


@dataclass(frozen=True)
class Experiment:
    """An experiment of a paper, as data.

    name : as in `EXPERIMENTS`
    paper : authors, title, journal, year and section
    arms, measures, claims : tuples of `Arm`, `Measure` and `Claim`; "seconds" is a measure of every experiment
    seeds, quick_seeds : default number of seeds in full and in quick settings
    notes : what differs from the paper, or what the paper does not say; one sentence each
    about : one-line description; by default the one in `EXPERIMENTS`, if it is entered there

    Every arm is trained with the seeds first_seed, first_seed + 1, ...; the seed determines first weights and data. A training
    stops as its configuration says; ``until="loss<0.1 twice"`` looks at evaluations during training, which have to be on the
    validation split. An experiment passes if all its claims hold. One that falls short is a result like any other: the
    table shows its figures.

    Raises `RnnsimError` if a claim or a published figure names an arm or a measure that does not exist.

    >>> from rnnsim.experiments import EXPERIMENTS
    >>> experiment = EXPERIMENTS.load("adding-bptt")
    >>> experiment.arm_names, [measure.name for measure in experiment.all_measures]
    (('lstm',), ['sequences', 'right', 'right_200', 'seconds'])
    """

    name: str
    paper: str
    arms: tuple
    measures: tuple
    claims: tuple
    seeds: int = 10
    quick_seeds: int = 3
    notes: tuple = ()
    about: str = ""

    def __post_init__(self):
        if not self.about and self.name in EXPERIMENTS:
            object.__setattr__(self, "about", EXPERIMENTS.summary(self.name))
        for claim in self.claims:
            self.arm(claim.arm)
            self.measure(claim.measure)
        for arm in self.arms:
            for name in arm.published:
                self.measure(name)

    @property
    def arm_names(self):
        """The names of all arms, extra ones included."""
        return tuple(arm.name for arm in self.arms)

    def chosen(self, names=None):
        """The arms to run, in the order of the experiment: all but the extra ones for None, all if `names` contains "all".

        Raises `RnnsimError` for an unknown name and for an empty list.
        """
        if names is None:
            return tuple(arm.name for arm in self.arms if not arm.extra)
        wanted = self.arm_names if "all" in names else [self.arm(name).name for name in names]
        require(wanted, f"arms: no name given, expected some of {', '.join(self.arm_names)} or all")
        return tuple(name for name in self.arm_names if name in wanted)

    def arm(self, name):
        """The arm `name`. Raises `RnnsimError` with the nearest name if there is none."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise unknown(f"arm of experiment '{self.name}'", name, self.arm_names)

    def measure(self, name):
        """The measure `name`, "seconds" included. Raises `RnnsimError` with the nearest name if there is none."""
        for measure in self.all_measures:
            if measure.name == name:
                return measure
        raise unknown(f"measure of experiment '{self.name}'", name, [measure.name for measure in self.all_measures])

    @property
    def all_measures(self):
        """The measures of the experiment, followed by "seconds"."""
        return (*self.measures, SECONDS)


class Outcome:
    """A finished training, the argument of a measure.

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
        """`rnnsim.evaluate` on `count` sequences of seed 0; `options` change those of the task."""
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
    """A copy of a configuration in which `changes` replace or add values, table by table.

    >>> merged({"steps": 9, "task": {"name": "copy", "options": {}}}, {"task": {"options": {"width": 4}}})
    {'steps': 9, 'task': {'name': 'copy', 'options': {'width': 4}}}
    """
    made = {key: merged(value, {}) if isinstance(value, dict) else value for key, value in config.items()}
    for key, value in changes.items():
        made[key] = merged(made.get(key, {}), value) if isinstance(value, dict) else value
    return made
