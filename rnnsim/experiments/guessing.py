"""Random weight guessing (Hochreiter & Schmidhuber, NIPS 9, 1996), and two limits of gradients that the paper of 1997 states.

Networks A1(n) and A2 of `rnnsim.cells.connections`, logistic units, weights from U[-100, 100]; the hidden units are computed
first and the output unit sees them at the same tick. The published figures are mean trials.
"""

from rnnsim.experiments.criteria import seeds_meet, seeds_reach
from rnnsim.experiments.interface import Arm, Experiment, Measure, Published
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
    """The table [network] of A1 or A2 with so many hidden units."""
    options = {"hidden": hidden + 1, "outputs_last": 1, "readout": "units", "activation": activation}
    return {"name": "rnn", "options": {**options, "connections": table}}


def settings(task, options, net, steps, candidates=5000):
    """The configuration of a training by guessing, until the last sequences of the task's criterion are right."""
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
        criteria=tuple(
            criterion
            for arm in arms
            for criterion in (
                seeds_reach(arm.name, "trials", at_least=least[arm.name]),
                seeds_meet(arm.name, "right>99", at_least=least[arm.name]),
            )
        ),
        seeds=50,
        quick_seeds=5,
        notes=(
            "A guess is solved when the last sequences of the task's criterion, which it has not seen before, are all right. The "
            "published figures are means; of a number of trials with one chance of success the median is .69 of the mean.",
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
        notes=("Half of the strings are of the language; lengths and this balance are ours.",),
    )


TOMITA_1 = _tomita(1, 1, 182, 288)
TOMITA_2 = _tomita(2, 3, 1511, 17_953)
TOMITA_4 = _tomita(4, 2, 13_833, 35_610)


# -- limits ----------------------------------------------------------------------------------------------------------------------


def _online(task, options, rate, steps):
    """Memory blocks of 1997, online by the truncated rule."""
    blocks = {"blocks": 2, "size": 2, "in_bias": "-3,-6"}
    return {**online(task, options, blocks, rate, steps, report=steps // 10), "dtype": "float32"}


def _bptt(task, options, steps, hidden=16, rate=2e-3):
    """An LSTM with forget gates by the full gradient."""
    return {
        **dict(steps=steps, batch=20, until="solved", report_every=steps // 10),
        "task": {"name": task, "options": options},
        "network": {"name": "lstm", "options": {"hidden": hidden, "forget_bias": 5.0}},
        "optimizer": {"name": "adam", "options": {"learning_rate": rate, "clip_norm": 1.0}},
    }


def _fails(arm):
    """A limit that the paper states: of the seeds not one gets there."""
    from rnnsim.experiments.interface import Criterion, Verdict

    def judge(results):
        values = results.values(arm, "sequences")
        solved = sum(value is not None for value in values)
        return Verdict(solved == 0 if values else None, f"{solved} of {len(values)} solved" if values else "not run")

    return Criterion(arm, "sequences", "expected to fail: no seed solves it", judge)


def _limit(name, arms, criteria, notes):
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
        criteria=criteria,
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
        "An arm that is expected to fail passes if it does. Storing one of the two signs does not make the error smaller, "
        "so there is nothing to begin with.",
        "A limit is shown for these settings and numbers of sequences only: 200,000 and 100,000 for XOR, 20,000 for parity.",
    ),
)


def delay_line(net, seed):
    """Unit 1 is the input, unit k + 1 is unit k a tick later; the output is the last unit, a tick before, AND the input."""
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
            "99 or 100 steps by guessing, A2: whether the number of steps is even is enough",
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
        "An arm that is expected to fail passes if it does; shown for these settings and numbers of sequences only.",
        "The first spike comes at step 0 to 10.",
    ),
)
