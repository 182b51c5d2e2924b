"""The tasks of Williams & Zipser 1989 (Neural Computation 1(2); Connection Science 1(1)) by RTRL, as in the papers.

A fully recurrent network of logistic units, the first of which are the outputs; squared error; an update at every tick, without
momentum. The paper says in words which tasks a network learns, and which need teacher forcing; the bounds are ours: an arm is
solved when the answers to 100 validation sequences are all right at every tick. Sizes are the paper's where they are known.

Oscillators have no changing input. Every sequence begins at rest and is 100 ticks long; a network that is measured runs free.
"""

from rnnsim.experiments.criteria import seeds_meet, seeds_reach
from rnnsim.experiments.interface import Arm, Experiment
from rnnsim.experiments.measures import evaluated, sequences_until, share

_GOAL = "correct>0.99"
_PAPER = (
    "R. J. Williams, D. Zipser: A learning algorithm for continually running fully recurrent neural networks. Neural "
    "Computation 1(2):270-280, 1989; Experimental analysis of the real-time recurrent learning algorithm. Connection Science "
    "1(1):87-111, 1989"
)


def _config(task, options, hidden, rate, steps, every, count, force=False, **network):
    units = {"hidden": hidden, "readout": "units", "activation": "logistic", **network}
    return {
        "steps": steps,
        "batch": 1,
        "until": _GOAL,
        "evaluate_every": every,
        "report_every": every,
        "checkpoint_every": 1000,
        "evaluation": {"split": "validation", "count": count},
        "task": {"name": task, "options": options},
        "network": {"name": "rnn", "options": units},
        "rule": {"name": "rtrl", "options": {"every": 1, **({"force": True} if force else {})}},
        "optimizer": {"name": "sgd", "options": {"learning_rate": rate}},
    }


# -- oscillators -------------------------------------------------------------------------------------------------------


def _oscillators():
    for pattern, words, hidden, rate in (
        ("01", "0 1 0 1 ..., 2 units", 2, 0.3),
        ("0011", "0 0 1 1 ..., 3 units", 3, 0.3),
        ("sine", "a sine of 25 ticks a period, 8 units", 8, 1.0),
    ):
        for force in (False, True):
            config = _config("oscillator", {"pattern": pattern}, hidden, rate, 2000, 20, 1, force)
            name, how = (f"{pattern}-forced", "with") if force else (f"{pattern}-free", "without")
            yield Arm(name, f"{words}, {how} teacher forcing", config, {"steps": 1000})


OSCILLATORS = Experiment(
    name="oscillators",
    paper=_PAPER,
    arms=tuple(_oscillators()),
    measures=(
        sequences_until(_GOAL, words="training sequences of 100 ticks until right"),
        share("right", "right when it runs free for 100 ticks", count=1),
        share("right_1000", "right when it runs free for 1000 ticks", {"length": 1000}, count=1),
        evaluated("loss", "squared error when it runs free", "", count=1),
    ),
    criteria=(
        *(seeds_meet(f"{pattern}-forced", "right>50", more_than=0.5) for pattern in ("01", "0011", "sine")),
        *(seeds_meet(f"{pattern}-free", "right<50", more_than=0.5) for pattern in ("01", "0011", "sine")),
    ),
    notes=(
        "The paper says that oscillators need teacher forcing: it asks for more than half of the seeds with it, and for less "
        "than half without.",
        "A sequence is right if every output is within .25 of a bit, within .1 of the sine; the one without a phase to find: "
        "all sequences are alike.",
        "The outputs are those of the tick itself, not of the one before as in the paper (input_delay = false).",
    ),
)

# -- the other tasks ---------------------------------------------------------------------------------------------------


def _task(name, words, task, options, hidden, rate, steps, every=50, force=False):
    config = _config(
        task, {"loss": "squared_error", **options}, hidden, rate, steps, every, 100, force, input_delay=True
    )
    return Arm(name, f"{words}, {hidden} units", config, {"steps": steps // 2})


WILLIAMS_ZIPSER = Experiment(
    name="williams-zipser",
    paper=_PAPER,
    arms=(
        _task("xor-2", "XOR of the bits 2 ticks ago", "xor", {"delay": 2}, 3, 1.0, 5000),
        _task("xor-3", "XOR of the bits 3 ticks ago", "xor", {"delay": 3}, 8, 1.0, 5000),
        _task("xor-4", "XOR of the bits 4 ticks ago", "xor", {"delay": 4}, 12, 1.0, 5000),
        _task("sequence", "a, any number of others, b", "sequence-recognition", {"delay": 2}, 4, 1.0, 5000),
        _task(
            "nonmatch",
            "is the bit another than the sample",
            "delayed-nonmatch",
            {"delay": 2, "bits": 1},
            8,
            0.1,
            10_000,
            100,
        ),
        _task("turing", "control of the machine", "parenthesis-turing", {"delay": 2}, 15, 0.3, 40_000, 500),
        _task(
            "turing-forced",
            "the same, teacher forcing",
            "parenthesis-turing",
            {"delay": 2},
            12,
            0.3,
            40_000,
            500,
            force=True,
        ),
    ),
    measures=(
        sequences_until(_GOAL, words="training sequences until 100 validation sequences are right"),
        share("right", "test sequences right"),
        evaluated("loss", "squared error of a tick", ""),
    ),
    criteria=tuple(
        seeds_reach(arm, "sequences", more_than=0.5)
        for arm in ("xor-2", "xor-3", "xor-4", "sequence", "nonmatch", "turing", "turing-forced")
    ),
    notes=(
        "Sequences are 100 ticks long; those of the machine end with it, after 14 ticks on average for strings of up to 8.",
        "3 units for a delay of 2, and 12 and 15 units for the machine are the paper's, as remembered; other sizes are ours.",
    ),
)
