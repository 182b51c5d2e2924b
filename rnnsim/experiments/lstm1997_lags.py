"""Experiments 1 and 2 of Hochreiter & Schmidhuber 1997 (Neural Computation 9(8):1735-1780): grammar and long time lags.

Networks, biases, learning rates and sets of trials are the paper's; training is online by the truncated rule. The paper's
baselines of 1 and 2a, RTRL and BPTT in a recurrent network of logistic units, its first ones the outputs, are extra arms: all
units connected in 1, one hidden unit in 2a.
"""

from rnnsim.experiments.criteria import median_meets, seeds_reach
from rnnsim.experiments.interface import Arm, Experiment, Measure, Published
from rnnsim.experiments.measures import evaluated, sequences_until_solved, share

PAPER = "S. Hochreiter, J. Schmidhuber: Long short-term memory. Neural Computation 9(8):1735-1780, 1997"
TEST = 2560  # sequences of the paper's test sets


def online(task, options, network, rate, steps, report=1000, rule=None, momentum=0.0, schedule="constant", **settings):
    """The configuration of a training of memory blocks, one sequence after the other.

    rate     as in the papers, of half the squared error; the optimizer's belongs to the squared error
    rule     options of the rule truncated beside every=1
    settings of the training, such as `test`
    """
    optimizer = {"learning_rate": rate / 2} | ({"momentum": momentum} if momentum else {})
    optimizer |= {"schedule": schedule} if schedule != "constant" else {}
    return {
        "steps": steps,
        "batch": 1,
        "until": "solved",
        "dtype": "float64",
        "report_every": report,
        "task": {"name": task, "options": options},
        "network": {"name": "lstm1997", "options": network},
        "rule": {"name": "truncated", "options": {"every": 1, **(rule or {})}},
        "optimizer": {"name": "momentum" if momentum else "sgd", "options": optimizer},
        **settings,
    }


def unfolded(task, options, hidden, rule, learning_rate, steps, every=0, connections=None):
    """The configuration of a recurrent network of logistic units without biases, the first ones outputs.

    The paper's rates belong to half the squared error, those of `sgd` to the squared error a step.
    """
    units = {"hidden": hidden, "readout": "units", "activation": "logistic", "bias": "none"}
    units |= {"connections": connections} if connections else {}
    return {
        "steps": steps,
        "batch": 1,
        "until": "solved",
        "report_every": 1000,
        "checkpoint_every": 100_000,
        "task": {"name": task, "options": options},
        "network": {"name": "rnn", "options": units},
        "rule": {"name": rule, "options": {"every": every} if every else {}},
        "optimizer": {"name": "sgd", "options": {"learning_rate": learning_rate}},
    }


def wrong(options=None, count=TEST):
    """How many of so many test sequences are wrong."""

    def of(outcome):
        return round(count * (1 - outcome.evaluate(options, count)["correct"]))

    return Measure("wrong", f"wrong ones of {count} test sequences", "", of)


def before_window(window):
    """Training sequences before the first `window` in a row that are right; None if there are no such."""

    def of(outcome):
        at = outcome.result["solved_at"]
        return None if at is None else at - window

    return Measure("sequences", f"training sequences before {window:,} right ones in a row", "sequences", of)


def published(sequences, wrong=None, tag="read", note="", **others):
    """Published figures by measures."""
    found = {"sequences": Published(sequences, "sequences", tag, note)}
    if wrong is not None:
        found["wrong"] = Published(wrong, "of 2560", tag)
    return found | others


def solves(arm, mean, share=1.0, factor=2):
    """The criteria of an arm: as many seeds solve it as in the paper, in no more than twice its mean sequences."""
    return (seeds_reach(arm, "sequences", at_least=share), median_meets(arm, f"sequences<{factor * mean}"))


# -- 1, the embedded Reber grammar ---------------------------------------------------------------------------------------

_ROWS = (  # blocks, size, learning rate, weights, % of trials, sequences
    (4, 1, 0.1, 264, 100, 39_740),
    (3, 2, 0.1, 276, 100, 21_730),
    (3, 2, 0.2, 276, 97, 14_060),
    (4, 1, 0.5, 264, 97, 9_500),
    (3, 2, 0.5, 276, 100, 8_440),
)


def _both_sets(outcome):
    """In per cent, of the training set and the test set of the seed."""
    from rnnsim.training.evaluate import evaluate

    seed = outcome.config.get("seed", 0)
    parts = [evaluate(outcome.net, outcome.task, seed, split=split)["correct"] for split in ("training", "test")]
    return 50 * sum(parts)


def _reber_arms():
    for blocks, size, rate, weights, percent, sequences in _ROWS:
        biases = ",".join(str(-j) for j in range(1, blocks + 1))
        network = {
            "blocks": blocks,
            "size": size,
            "bias": "gates",
            "output_bias": False,
            "out_bias": biases,
            "init": 0.2,
        }
        config = online("embedded-reber", {}, network, rate, 150_000, test="sets", test_every=100)
        words = f"{blocks} blocks of {size} cell{'s' * (size > 1)}, {weights} weights, learning rate {rate}"
        note = f"mean of the {percent} % of 30 trials that were successful"
        yield Arm(f"{blocks}x{size}-{rate}", words, config, {"steps": 30_000}, published(sequences, note=note))
    network = {"blocks": 3, "size": 2, "bias": "gates", "output_bias": False, "out_bias": "-1,-2,-3", "init": 0.2}
    config = online("embedded-reber", {}, {**network, "shortcut": True}, 0.5, 150_000, test="sets", test_every=100)
    words = "3 blocks of 2 cells, learning rate 0.5, and outputs see the inputs as well, 325 weights"
    figures = published(8_440, note="without these connections")
    yield Arm("3x2-0.5-shortcut", words, config, {"steps": 30_000}, figures)
    for hidden, rate, sequences in ((3, 0.05, 173_000), (12, 0.1, 25_000)):
        config = unfolded("embedded-reber", {}, hidden + 7, "rtrl", rate / 2, 50_000, every=1)
        words = f"{hidden} hidden units by RTRL, learning rate {rate}"
        note = 'Smith & Zipser: mean of "some fraction" of the trials'
        figures = published(sequences, note=note)
        yield Arm(f"rtrl-{hidden}", words, config, {"steps": 2000}, figures, extra=True)


REBER = Experiment(
    name="lstm1997-reber",
    paper=f"{PAPER}, experiment 1",
    arms=tuple(_reber_arms()),
    measures=(
        sequences_until_solved(),
        Measure("right", "strings of training and test set right at the end", "%", _both_sets),
    ),
    criteria=tuple(
        criterion
        for blocks, size, rate, _, percent, sequences in _ROWS
        for criterion in solves(f"{blocks}x{size}-{rate}", sequences, percent / 100)
    ),
    seeds=30,
    quick_seeds=3,
    notes=(
        "Solved: all symbols that may follow are the most active ones, in all 256 strings of the training set and all 256 of "
        "the test set, looked at every 100 sequences with the weights held still. How often the paper looked is not said.",
        "Every seed has its own two sets; the paper has three pairs of them and ten networks for each.",
        "A training ends after 150,000 sequences; the paper does not say when it gave up.",
        "RTRL: the weights change at every tick; solved is by the last 2000 training strings. Networks have 170 and 494 weights.",
    ),
)

# -- 2a and 2b: p steps ------------------------------------------------------------------------------------------------------

_LAG = {"blocks": 1, "size": 1, "sees": "inputs", "output_gate": False, "bias": "none", "output_bias": False}
_LAG |= {"shortcut": True, "g": "logistic", "h": "identity", "init": 0.2}
_LAG_NOTES = (
    "The paper adds the memory cell and its input gate once the error of the other units no longer falls; here that is after "
    "1000 sequences.",
    "Solved: 10,000 training sequences in a row with all errors below .25, the weights changing all the while; counted are the "
    "sequences before them. The paper tests 10,000 sequences after training.",
)


def _lag(experiment, p=100, steps=100_000):
    return online("long-lag", {"experiment": experiment, "p": p, "tokens": True}, _LAG, 1.0, steps, rule={"wait": 1000})


def _one_hidden(p):
    """Connections of p + 1 outputs and a hidden unit: all see the inputs and the hidden unit, (p + 1)(p + 2) + p + 2 weights."""
    return [[1] * (p + 1) + [-1] * (p + 1) + [1]] * (p + 2)


def _lag_baselines():
    for rate, sequences, percent in ((1, 1_043_000, 78), (4, 892_000, 56), (10, 254_000, 22)):
        # `sgd` descends the mean over the p steps of the squared error
        task, wiring = {"experiment": "2a", "p": 4}, _one_hidden(4)
        config = unfolded("long-lag", task, 6, "rtrl", rate / 2, 300_000, every=1, connections=wiring)
        note = f"mean of the {percent} % of 18 trials that were successful, of 5 million sequences at most"
        words = f"p = 4: RTRL, one hidden unit, 36 weights, learning rate {rate}"
        yield Arm(f"rtrl-4-{rate}", words, config, {"steps": 5000}, published(sequences, note=note), extra=True)
    for rule, rate in (("rtrl", 0.5), ("bptt", 5.0)):
        task, wiring, every = {"experiment": "2a", "p": 10}, _one_hidden(10), 1 if rule == "rtrl" else 0
        config = unfolded("long-lag", task, 12, rule, rate, 100_000, every, wiring)
        words = f"p = 10: {rule.upper()}, one hidden unit, 144 weights, learning rate 1; published: 0 % after 5 million"
        yield Arm(f"{rule}-10", words, config, {"steps": 2000}, extra=True)


LONG_LAG_A = Experiment(
    name="lstm1997-long-lag-a",
    paper=f"{PAPER}, experiment 2a",
    arms=(
        Arm(
            "lstm",
            "p = 100: one cell with input gate, 10,504 weights",
            _lag("2a"),
            {"task": {"options": {"p": 20}}},
            published(5040, note="mean of 18 trials, all successful"),
        ),
        *_lag_baselines(),
    ),
    measures=(before_window(10_000), share("right", "test sequences right", count=1000)),
    criteria=solves("lstm", 5040),
    seeds=18,
    quick_seeds=3,
    notes=(*_LAG_NOTES, "Published for p = 100 by RTRL and BPTT, rates 1 to 10: 0 % after 5 million sequences."),
)

LONG_LAG_B = Experiment(
    name="lstm1997-long-lag-b",
    paper=f"{PAPER}, experiment 2b",
    arms=(
        Arm(
            "lstm",
            "p = 100: one cell with input gate, 10,504 weights",
            _lag("2b"),
            {"task": {"options": {"p": 20}}},
            published(5680, note="mean of 18 trials, all successful"),
        ),
    ),
    measures=(before_window(10_000), share("right", "test sequences right", count=1000)),
    criteria=solves("lstm", 5680),
    seeds=18,
    quick_seeds=3,
    notes=_LAG_NOTES,
)

# -- 2c: very long lags, many distractors --------------------------------------------------------------------------------------

_DISTRACTED = (  # q, p, weights, sequences
    (50, 50, 364, 30_000),
    (100, 100, 664, 31_000),
    (200, 200, 1264, 33_000),
    (500, 500, 3064, 38_000),
    (1000, 1000, 6064, 49_000),
    (1000, 500, 3064, 49_000),
    (1000, 200, 1264, 75_000),
    (1000, 100, 664, 135_000),
    (1000, 50, 364, 203_000),
)


def _distracted_arms():
    network = {"blocks": 2, "size": 1, "bias": "none", "output_bias": False, "init": 0.2}
    closed = {**network, "bias": "gates", "in_bias": "-3,-5"}
    for q, p, weights, sequences in _DISTRACTED:
        options = {"experiment": "2c", "q": q, "p": p, "tokens": True}
        words = f"lag of at least {q}, {p} different distractors"
        quick = {"steps": 20_000, "task": {"options": {"q": 20, "p": 20}}}
        config = online("long-lag", options, network, 0.01, 500_000, report=5000)
        figures = published(sequences, note="mean of 20 trials")
        yield Arm(f"q{q}-p{p}", f"{words}, {weights} weights", config, quick, figures, extra=q > 200)
        config = online("long-lag", options, closed, 0.5, 500_000, report=5000)
        figures = published(sequences, note="without biases, learning rate .01")
        more = f"{words}, gates have biases, those of input gates begin with -3 and -5, learning rate .5"
        yield Arm(f"q{q}-p{p}-closed", more, config, quick, figures, extra=q > 200)


LONG_LAG_C = Experiment(
    name="lstm1997-long-lag-c",
    paper=f"{PAPER}, experiment 2c",
    arms=tuple(_distracted_arms()),
    measures=(
        before_window(10_000),
        share("right", "test sequences right", count=1000),
        evaluated("error", "error", "", "error"),
    ),
    criteria=tuple(c for q, p, _, mean in _DISTRACTED[:3] for c in solves(f"q{q}-p{p}", mean)),
    seeds=20,
    quick_seeds=2,
    notes=(
        "Solved: 10,000 training sequences in a row with both outputs within .2; counted are the sequences before them.",
        "A training ends after 500,000 sequences. The paper says p and q both for the number of distractors; it is p here.",
    ),
)
