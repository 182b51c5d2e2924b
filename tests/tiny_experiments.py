"""Experiments of seconds, which the tests of the runner run: one that learns, one with an arm that diverges, a long one."""

from rnnsim.experiments.claims import median_below, median_meets, seeds_meet, seeds_reach
from rnnsim.experiments.interface import Arm, Experiment, Measure, Published
from rnnsim.experiments.measures import evaluated, sequences_until, share

SETTINGS = {
    "steps": 400,
    "batch": 8,
    "until": "loss<0.5 twice",
    "evaluate_every": 10,
    "report_every": 20,
    "evaluation": {"split": "validation", "count": 40},
    "task": {"name": "delayed-recall", "options": {"delay": 2}},
    "network": {"name": "gru", "options": {"hidden": 8}},
    "optimizer": {"name": "adam", "options": {"learning_rate": 0.02}},
}
WILD = {**SETTINGS, "optimizer": {"name": "sgd", "options": {"learning_rate": 1e38}}}

TINY = Experiment(
    name="tiny",
    about="a delay of two time steps",
    paper="nobody: Nowhere, 2000",
    arms=(
        Arm(
            "tame",
            "eight units",
            SETTINGS,
            {"steps": 30, "until": "steps"},
            {"loss": Published(0.4, "nats", "uncertain", "a guess"), "sequences": Published(5000, "sequences", "read")},
        ),
        Arm("wild", "a rate that nothing survives", WILD, extra=True),
    ),
    measures=(
        sequences_until("loss<0.5"),
        evaluated("loss", "loss", "nats", count=200),
        share("right_3", "right at delay 3", {"delay": 3}, count=100),
        Measure("parameters", "parameters", "", lambda outcome: outcome.net.n_parameters),
    ),
    claims=(
        seeds_reach("tame", "sequences", at_least=0.5),
        seeds_meet("tame", "loss<0.6", more_than=0.5),
        median_meets("tame", "loss<1e-9"),
    ),
    seeds=3,
    quick_seeds=1,
    notes=("It is made up.",),
)

AGAINST = Experiment(
    name="against",
    about="both arms",
    paper="nobody: Nowhere, 2000",
    arms=(Arm("tame", "eight units", SETTINGS), Arm("wild", "a rate that nothing survives", WILD)),
    measures=(evaluated("loss", "loss", "nats", count=200),),
    claims=(median_below("tame", "wild", "loss"),),
)

_LONG = {
    **SETTINGS,
    "steps": 6_000,
    "until": "steps",
    "evaluate_every": 0,
    "report_every": 100,
    "checkpoint_every": 100,
}
SLOW = Experiment(
    name="slow",
    about="many steps",
    paper="nobody: Nowhere, 2000",
    arms=(Arm("tame", "eight units", _LONG),),
    measures=(evaluated("loss", "loss", "nats", count=200),),
    claims=(),
    seeds=2,
)
