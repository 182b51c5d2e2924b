"""The adding problem of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8):1735-1780), experiment 4, T = 100, by BPTT.

The paper trains two blocks of two memory cells, 93 weights, online by its truncated rule. This is what an LSTM with forget
gates, full BPTT and Adam makes of the same task with the paper's criterion: the last 2000 training sequences right to .04 and
their mean error below .01.
"""

from rnnsim.experiments.criteria import seeds_meet, seeds_reach
from rnnsim.experiments.interface import Arm, Experiment, Published
from rnnsim.experiments.measures import sequences_until_solved, share

_SETTINGS = {
    "steps": 60_000,
    "batch": 20,
    "until": "solved",
    "task": {"name": "adding", "options": {"length": 100}},
    "network": {"name": "lstm", "options": {"hidden": 16, "forget_bias": 5.0}},
    "optimizer": {"name": "adam", "options": {"learning_rate": 2e-3, "clip_norm": 1.0}},
}
_PAPER = Published(
    74_000, "sequences", "read", "mean of 10 trials by the truncated rule of 1997, 93 weights, no forget gate"
)

ADDING_BPTT = Experiment(
    name="adding-bptt",
    paper="S. Hochreiter, J. Schmidhuber: Long short-term memory. Neural Computation 9(8):1735-1780, 1997, experiment 4",
    arms=(
        Arm(
            name="lstm",
            words="16 LSTM units with forget gates, full BPTT, Adam, batch 20",
            config=_SETTINGS,
            quick={"task": {"options": {"length": 30}}},
            published={
                "sequences": _PAPER,
                "right": Published(100 * 2559 / 2560, "%", "read", "1 of 2560 test sequences wrong"),
            },
        ),
    ),
    measures=(
        sequences_until_solved(),
        share("right", "test sequences right", count=2560),
        share("right_200", "test sequences right at T = 200", options={"length": 200}, count=2560),
    ),
    criteria=(
        seeds_reach("lstm", "sequences", at_least=0.9),
        seeds_meet("lstm", "right>99", at_least=0.9),
    ),
    notes=(
        "The published figure is that of another learning rule and a smaller network: it stands beside ours, it is no bound.",
        "Quick settings have T = 30.",
    ),
)
