"""Timing and counting: Gers, Schraudolph & Schmidhuber 2002 (JMLR 3:115-143); Gers & Schmidhuber 2001 (IEEE TNN 12(6):1333-1340).

One block of one cell with forget gates and peepholes, identities for g and h; online by the truncated rule with momentum. A
training stream ends at its first error or with the sequence (100 spikes or periods).
"""

from rnnsim.experiments.criteria import seeds_meet, seeds_reach
from rnnsim.experiments.interface import Arm, Experiment, Measure, Published
from rnnsim.experiments.lstm1997_lags import online
from rnnsim.experiments.measures import evaluated, sequences_until_solved, share

TIMING = "F. A. Gers, N. Schraudolph, J. Schmidhuber: Learning precise timing with LSTM recurrent networks. JMLR 3:115-143, 2002"
LANGUAGE = (
    "F. A. Gers, J. Schmidhuber: LSTM recurrent networks learn simple context-free and context-sensitive languages. IEEE "
    "Transactions on Neural Networks 12(6):1333-1340, 2001"
)

_BLOCK = {"blocks": 1, "size": 1, "sees": "cells", "forget": True, "peepholes": True, "g": "identity", "h": "identity"}
_TIMER = {**_BLOCK, "forget_bias": "-2", "in_bias": "0", "out_bias": "2"}
_CAP = 3_000_000


def _timer(task, options, momentum, rate=1e-5, stop=0.49, **network):
    options = {**options, "stop_error": stop}
    return online(task, options, {**_TIMER, **network}, rate, _CAP, report=20_000, momentum=momentum)


def _streams(count, tag="uncertain", note="mean of those of 10 networks that learnt it"):
    return {"sequences": Published(count, "streams", tag, note)}


_QUICK = {"steps": 50_000}
_OPEN = {"momentum": 0.99, "rate": 3e-5, "forget_bias": "5"}
_OPEN_WORDS = ", forget gates that begin open (bias 5), momentum .99, learning rate 3e-5"
_TIMING_NOTES = (
    "Solved: as many training streams in a row right as hold 1000 spikes or periods, the weights changing all the while.",
    "The paper's first bias of forget gates, -2, is taken literally in the main arms: a state is then multiplied by .12 a tick. "
    "Arms with open in their name begin with gates that keep nearly all of it.",
    f"A training ends after {_CAP:,} streams; the paper goes on to 10 million (100 million for MSD).",
)


def _timing(name, section, arms, criteria, right, notes=()):
    return Experiment(
        name=name,
        paper=f"{TIMING}, {section}",
        arms=arms,
        measures=(sequences_until_solved(), right, evaluated("error", "mean absolute error", "", "error", count=100)),
        criteria=criteria,
        quick_seeds=1,
        notes=(*_TIMING_NOTES, *notes),
    )


def _spikes(count):
    return share("right", f"test sequences of {count} spikes right", options={"spikes": count}, count=100)


def _delays(options, momentum, opened, words):
    about = "F = 10, delays of 0 or 1, 17 weights"
    literal = {"momentum": momentum}
    for name, how, settings, extra in (
        ("peepholes", "", literal, False),
        ("open", words, opened, False),
        ("no-peepholes", f" less 3, no peepholes{words}", {**opened, "peepholes": False}, True),
    ):
        yield Arm(name, about + how, _timer("spike-delays", options, **settings), _QUICK, extra=extra)


MSD = _timing(
    "gers-msd",
    "MSD",
    tuple(_delays({"interval": 10}, 0.9999, _OPEN, _OPEN_WORDS)),
    (seeds_reach("peepholes", "sequences", at_least=0.5),),
    _spikes(1000),
)

NMSD = _timing(
    "gers-nmsd",
    "NMSD",
    tuple(
        _delays(
            {"interval": 10, "spikes": 1},
            0.99,
            {"momentum": 0.99, "forget_bias": "2"},
            ", forget gates that begin open (bias 2)",
        )
    ),
    (seeds_reach("peepholes", "sequences", at_least=0.5),),
    share("right", "test sequences right", count=100),
)

_GTS = ((10, 41_000), (20, 67_000), (30, 845_000), (40, 1_152_000), (50, 2_538_000))


def _generators():
    def settings(interval, **more):
        return _timer("timed-spikes", {"interval": interval, "values": 2}, **more)

    for interval, streams in _GTS:
        words, extra = f"F = {interval}, 17 weights", interval > 30
        config, figures = settings(interval, momentum=0.999), _streams(streams)
        yield Arm(f"f{interval}", words, config, _QUICK, figures, extra=extra)
        if interval <= 20:
            yield Arm(f"f{interval}-open", words + _OPEN_WORDS, settings(interval, **_OPEN), _QUICK, figures)
    for name, words, more in (
        ("no-peepholes", "", {"momentum": 0.999}),
        ("no-peepholes-open", _OPEN_WORDS, _OPEN),
    ):
        config = settings(10, peepholes=False, **more)
        yield Arm(name, f"F = 10 without peepholes{words}; published: not learnt", config, _QUICK)


GTS = _timing(
    "gers-gts",
    "GTS",
    tuple(_generators()),
    (seeds_reach("f10", "sequences", at_least=0.5), seeds_reach("f20", "sequences", at_least=0.5)),
    _spikes(1000),
    ("Delays are F or F + 1, as the input says.",),
)


def _functions():
    for form in ("cosine", "triangle", "rectangle"):
        for period in (10, 25):
            task, words = {"form": form, "period": period}, f"{form}, period {period}, 17 weights"
            for name, how, settings in (("", "", {"momentum": 0.99}), ("-open", _OPEN_WORDS, _OPEN)):
                config = _timer("periodic-function", task, stop=0.3, output="identity", **settings)
                extra = period > 10 or (name == "-open" and form != "cosine")  # streams that are learnt take minutes
                yield Arm(f"{form}-{period}{name}", words + how, config, _QUICK, extra=extra)


PFG = _timing(
    "gers-pfg",
    "PFG",
    tuple(_functions()),
    (seeds_reach("cosine-10", "sequences", at_least=0.5),),
    share("right", "test sequences of 1000 periods right", options={"periods": 1000}, count=1),
)

# -- languages ---------------------------------------------------------------------------------------------------------------


def reach(most):
    """The largest n up to which every string is accepted, 0 if not even the shortest one; looked for up to `most`."""

    def of(outcome):
        from rnnsim.training.evaluate import evaluate, varied

        for n in range(1, most + 1):
            if evaluate(outcome.net, varied(outcome.task, {"n": n}), count=1)["correct"] < 1:
                return n - 1
        return most

    return Measure("reach", f"largest n up to which all strings are accepted (looked for to {most})", "", of)


def _language(name, language, blocks, published, notes=()):
    network, count = {**_BLOCK, "blocks": blocks, "shortcut": True}, f"{blocks} block{'s' * (blocks > 1)} of one cell"

    def config(most, rate, steps, until, **more):
        options = {"language": language, "max_n": most}
        return online("languages", options, {**network, **more}, rate, steps, report=20_000, momentum=0.99, until=until)

    def arm(name, words, settings, figure, extra=False):
        figures = {"reach": Published(*figure)} if figure else {}
        return Arm(name, words, settings, {"steps": 20_000}, figures, extra)

    arms = []
    for most, figure in published:
        words = f"trained on n from 1 to {most}, {count}"
        arms.append(arm(f"n{most}", words, config(most, 1e-5, 2_000_000, "solved"), figure, most > 10))
    words = f"n from 1 to 10, {count}, learning rate 1e-4, forget gates begin with 2, goes on when solved"
    settings = config(10, 1e-4, 500_000, "steps", forget_bias=",".join("2" * blocks))
    arms.append(arm("n10-open", words, settings, published[0][1]))
    return Experiment(
        name=name,
        paper=LANGUAGE,
        arms=tuple(arms),
        measures=(sequences_until_solved(), reach(1000)),
        criteria=(seeds_reach("n10", "sequences", at_least=0.5), seeds_meet("n10", "reach>10", at_least=0.5)),
        quick_seeds=1,
        notes=(
            "Solved: the last 2000 training strings accepted; the reach is that of this moment's network, in "
            "n10-open that after 500,000 strings. The bound is ours: to go beyond the n of training.",
            "Symbols and targets are 0 and 1 and outputs logistic; the published reach is a mean over networks, from memory.",
            *notes,
        ),
    )


ANBN = _language(
    "gers-anbn",
    "anbn",
    1,
    (
        (10, (118, "n", "memory", "mean; the best network reaches 1000")),
        (30, (408, "n", "memory", "mean")),
    ),
)
ANBMBMAN = _language("gers-anbmbman", "anbmBmAn", 2, ((10, None),))
ANBNCN = _language(
    "gers-anbncn",
    "anbncn",
    2,
    ((10, (28, "n", "memory", "mean; the best network reaches 52")),),
)
