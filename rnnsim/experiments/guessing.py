"""Random weight guessing (Hochreiter & Schmidhuber, NIPS 9, 1996), and two limits of gradients that the paper of 1997 states.

Networks A1(n) and A2 of `rnnsim.cells.connections`, logistic units, weights from U[-100, 100]; the hidden units are computed
first, and the output unit sees them at the same time step. The published figures are mean numbers of trials.
"""

from rnnsim.experiments.claims import seeds_meet, seeds_reach
from rnnsim.experiments.interface import Arm, Claim, Experiment, Measure, Published, Verdict
from rnnsim.experiments.lstm1997_lags import online
from rnnsim.experiments.measures import evaluated, sequences_until_solved, share

PAPER = "S. Hochreiter, J. Schmidhuber: LSTM can solve hard long time lag problems. NIPS 9, 1996"
_BATCH = 100
_LIMITS = "S. Hochreiter, J. Schmidhuber: Long short-term memory. Neural Computation 9(8):1735-1780, 1997, section 6"


def _trials():
    def of(outcome):
        return outcome.result.get("figures", {}).get("trials") if outcome.result["solved"] else None

    return Measure("trials", "networks guessed until solved", "trials", of)


def network(table, hidden, activation="logistic"):
    """The configuration of the network A1 or A2: `table` "guess-a1" or "guess-a2", and the number of hidden units."""
    options = {"hidden": hidden + 1, "outputs_last": 1, "readout": "units", "activation": activation}
    return {"name": "rnn", "options": {**options, "connections": table}}


def settings(task, options, net, steps, candidates=5000):
    """The training configuration of random weight guessing, until the task's criterion is met.

    task, options : name and options of the task
    net : configuration of the network
    steps : largest number of steps
    candidates : networks guessed in a step
    """
    return {
        **dict(steps=steps, batch=_BATCH, until="solved", report_every=100, checkpoint_every=1000),
        "task": {"name": task, "options": options},
        "network": net,
        "rule": {"name": "guess", "options": {"candidates": candidates}},
    }


def _arms(task, options, rows, activation="logistic", steps=2000):
    for name, table, hidden, weights, figure, tag in rows:
        words = f"{name.upper()}, {hidden} hidden unit{'s' * (hidden > 1)}, {weights} weights"
        published = {} if figure is None else {"trials": Published(figure, "trials", tag, "mean")}
        yield Arm(name, words, settings(task, options, network(table, hidden, activation), steps), {}, published)


def _experiment(name, arms, reach=1, notes=()):
    arms = tuple(arms)
    least = {arm.name: reach[arm.name] if isinstance(reach, dict) else reach for arm in arms}
    return Experiment(
        name=f"guess-{name}",
        paper=PAPER,
        arms=arms,
        measures=(_trials(), share("right", "fresh test sequences right", count=2560)),
        claims=tuple(
            claim
            for arm in arms
            for claim in (
                seeds_reach(arm.name, "trials", at_least=least[arm.name]),
                seeds_meet(arm.name, "right>99", at_least=least[arm.name]),
            )
        ),
        seeds=50,
        quick_seeds=5,
        notes=(
            "Solved: a guessed network has all sequences of the task's criterion right, none of which it was selected on. The "
            "published figures are means; where every trial has the same chance of success, the median is .69 of the mean.",
            *notes,
        ),
    )


def _rows(n, first, second, tag):
    return (
        ("a1", "guess-a1", n, (n + 1) * (n + 2) + n, first, tag),
        ("a2", "guess-a2", 10, 52, second, tag),
    )


TWO_SEQUENCE = _experiment(
    "two-sequence",
    _arms("two-sequence", {"length": 500, "informative": 1, "stop": "ST1"}, _rows(1, 1247, 718, "memory"), steps=2000),
    notes=("Solved: the last 256 sequences right to .2. Lengths are 500 to 550.",),
)
LATCH = _experiment(
    "latch",
    (
        Arm(
            "unit",
            "one tanh unit, 3 weights",
            settings(
                "latch",
                {},
                {"name": "rnn", "options": {"hidden": 1, "readout": "units", "activation": "tanh"}},
                2000,
            ),
            {},
            {"trials": Published(22, "trials", "uncertain", "mean")},
        ),
        *_arms("latch", {}, _rows(1, None, None, None), "tanh"),
    ),
    notes=("Targets are 1 and -1, so all units are tanh.",),
)
PARITY = _experiment(
    "parity",
    _arms("parity", {}, _rows(1, 2906, 250, "memory")),
)


def _tomita(grammar, n, first, second, steps=2000):
    return _experiment(
        f"tomita-{grammar}",
        _arms("tomita", {"grammar": grammar}, _rows(n, first, second, "uncertain"), steps=steps),
        notes=("Half of the strings belong to the language; this share and the lengths are ours.",),
    )


TOMITA_1 = _tomita(1, 1, 182, 288)
TOMITA_2 = _tomita(2, 3, 1511, 17_953)
TOMITA_4 = _tomita(4, 2, 13_833, 35_610)


# -- limits ----------------------------------------------------------------------------------------------------------------------


def _online(task, options, rate, steps):
    """The training configuration of two blocks of two cells, online by the truncated rule."""
    blocks = {"blocks": 2, "size": 2, "in_bias": "-3,-6"}
    return {**online(task, options, blocks, rate, steps, report=steps // 10), "dtype": "float32"}


def _bptt(task, options, steps, hidden=16, rate=2e-3):
    """The training configuration of an LSTM with forget gates by the full gradient."""
    return {
        **dict(steps=steps, batch=20, until="solved", report_every=steps // 10),
        "task": {"name": task, "options": options},
        "network": {"name": "lstm", "options": {"hidden": hidden, "forget_bias": 5.0}},
        "optimizer": {"name": "adam", "options": {"learning_rate": rate, "clip_norm": 1.0}},
    }


def _fails(arm):
    """The claim of a limit that the paper states: no seed solves the task."""

    def judge(results):
        values = results.values(arm, "sequences")
        solved = sum(value is not None for value in values)
        return Verdict(solved == 0 if values else None, f"{solved} of {len(values)} solved" if values else "not run")

    return Claim(arm, "sequences", "expected to fail: no seed solves it", judge)


def _limit(name, arms, claims, notes):
    return Experiment(
        name=f"limit-{name}",
        paper=_LIMITS,
        arms=arms,
        measures=(
            sequences_until_solved(),
            _trials(),
            share("right", "fresh test sequences right", count=2560),
            evaluated("error", "mean absolute error of test sequences", "", "error", count=2560),
        ),
        claims=claims,
        seeds=5,
        quick_seeds=2,
        notes=notes,
    )


DELAYED_XOR = _limit(
    "delayed-xor",
    (
        Arm(
            "truncated",
            "expected to fail: XOR of two signs 50 steps apart, two blocks of two cells, truncated rule",
            _online("delayed-xor", {"length": 100}, 0.5, 200_000),
            {"steps": 50_000},
        ),
        Arm(
            "bptt",
            "expected to fail: the same task, 16 LSTM units, full gradient, Adam",
            _bptt("delayed-xor", {"length": 100}, 5_000),
            {"steps": 1000},
        ),
        Arm(
            "parity-truncated",
            "expected to fail: parity of 500 to 600 bits, two blocks of two cells, truncated rule",
            _online("parity", {}, 0.5, 20_000),
            {"steps": 5000},
        ),
        Arm("parity-guess", "the same parity by guessing, A2", settings("parity", {}, network("guess-a2", 10), 2000)),
    ),
    (
        _fails("truncated"),
        _fails("bptt"),
        _fails("parity-truncated"),
        seeds_reach("parity-guess", "sequences", at_least=1),
        seeds_meet("parity-guess", "right>99", at_least=1),
    ),
    (
        "The claim of an arm that is expected to fail holds if it fails. Storing one of the two signs alone does not decrease "
        "the error, so the gradient has nothing to follow.",
        "A limit is shown for these settings and numbers of sequences only: 200,000 and 100,000 for XOR, 20,000 for parity.",
    ),
)


def delay_line(net, seed):
    """a delay line: unit 1 is the input, unit k + 1 is unit k one time step later; the output is (last unit before) AND input"""
    weights = net.layout.views(net.theta)
    net.theta[...] = 0
    last = net.hidden - 1
    weights["weight_ih_l0"][:2] = 1
    weights["weight_hh_l0"][range(2, last + 1), range(1, last)] = 1
    weights["weight_hh_l0"][0, last] = 1
    weights["bias_ih_l0"][0] = -1


_COUNT = {"short": 99, "long": 100, "start": 10}
_EASY = {"short": 3, "long": 11, "start": 10}
COUNTING = _limit(
    "counting",
    (
        Arm(
            "truncated",
            "expected to fail: 99 or 100 steps, two blocks of two cells, truncated rule",
            _online("counting", _COUNT, 0.5, 200_000),
            {"steps": 50_000},
        ),
        Arm(
            "bptt",
            "expected to fail: 99 or 100 steps, 16 LSTM units, full gradient",
            _bptt("counting", _COUNT, 5_000),
            {"steps": 1000},
        ),
        Arm(
            "easy-truncated",
            "3 or 11 steps, two blocks of two cells, truncated rule",
            _online("counting", _EASY, 0.5, 100_000),
        ),
        Arm("easy-bptt", "3 or 11 steps, 16 LSTM units, full gradient", _bptt("counting", _EASY, 3000)),
        Arm(
            "guess",
            "99 or 100 steps by guessing, A2: the parity of the number of steps is enough",
            settings("counting", _COUNT, network("guess-a2", 10), 2000),
        ),
        Arm(
            "by-hand",
            "99 or 100 steps, a delay line of 100 units set by hand, nothing trained",
            {
                **dict(steps=20, batch=_BATCH, until="solved"),
                "task": {"name": "counting", "options": _COUNT},
                "network": {
                    "name": "rnn",
                    "options": {"hidden": 101, "readout": "units", "activation": "saturated-linear"},
                },
                "optimizer": {"name": "sgd", "options": {"learning_rate": 1e-30}},
            },
            first_weights=delay_line,
        ),
    ),
    (
        _fails("truncated"),
        _fails("bptt"),
        seeds_reach("easy-truncated", "sequences", at_least=0.8),
        seeds_reach("easy-bptt", "sequences", at_least=0.8),
        seeds_meet("guess", "right>99", at_least=1),
        seeds_meet("by-hand", "right>99", at_least=1),
    ),
    (
        "The claim of an arm that is expected to fail holds if it fails, for these settings and numbers of sequences only.",
        "The first spike comes at step 0 to 10.",
    ),
)
