"""Timing and counting: Gers, Schraudolph & Schmidhuber 2002 (JMLR 3:115-143); Gers & Schmidhuber 2001 (IEEE TNN 12(6):1333-1340).

One block of one cell with forget gates and peepholes, identities for g and h; online by the truncated rule with momentum. A
training stream ends at its first error or with the sequence (100 spikes or periods).
"""

from rnnsim.experiments.claims import seeds_meet, seeds_reach
from rnnsim.experiments.interface import FRESH, Arm, Experiment, Measure, Published
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


def _streams(count, tag="uncertain", note="mean of those of 10 networks that learned it"):
    return {"sequences": Published(count, "streams", tag, note)}


_QUICK = {"steps": 50_000}
_OPEN = {"momentum": 0.99, "rate": 3e-5, "forget_bias": "5"}
_OPEN_WORDS = ", forget gates that start open (bias 5), momentum .99, learning rate 3e-5"
_TIMING_NOTES = (
    "Solved: so many training streams in a row are right that they hold 1000 spikes or periods, while the weights change.",
    "The main arms take the paper's first bias of forget gates, -2, literally: a state is then multiplied by .12 at every time "
    "step. The gates of the arms open start so far open that they keep nearly all of it; their biases, momentum and learning "
    "rates were chosen on seeds from 1 on, and their own seeds begin with 101.",
    f"A training ends after {_CAP:,} streams; the paper trains for up to 10 million (100 million for MSD).",
)


def _timing(name, section, arms, claims, right, notes=()):
    return Experiment(
        name=name,
        paper=f"{TIMING}, {section}",
        arms=arms,
        measures=(sequences_until_solved(), right, evaluated("error", "mean absolute error", "", "error", count=100)),
        claims=claims,
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
        first = 1 if settings is literal else FRESH
        config = _timer("spike-delays", options, **settings)
        yield Arm(name, about + how, config, _QUICK, extra=extra, first_seed=first)


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
            ", forget gates that start open (bias 2)",
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
            config = settings(interval, **_OPEN)
            yield Arm(f"f{interval}-open", words + _OPEN_WORDS, config, _QUICK, figures, first_seed=FRESH)
    for name, words, more, first in (
        ("no-peepholes", "", {"momentum": 0.999}, 1),
        ("no-peepholes-open", _OPEN_WORDS, _OPEN, FRESH),
    ):
        config = settings(10, peepholes=False, **more)
        words = f"F = 10 without peepholes{words}; published: not learned"
        yield Arm(name, words, config, _QUICK, first_seed=first)


GTS = _timing(
    "gers-gts",
    "GTS",
    tuple(_generators()),
    (seeds_reach("f10", "sequences", at_least=0.5), seeds_reach("f20", "sequences", at_least=0.5)),
    _spikes(1000),
    ("Delays are F or F + 1; the input says which.",),
)


def _functions():
    for form in ("cosine", "triangle", "rectangle"):
        for period in (10, 25):
            task, words = {"form": form, "period": period}, f"{form}, period {period}, 17 weights"
            for name, how, settings in (("", "", {"momentum": 0.99}), ("-open", _OPEN_WORDS, _OPEN)):
                config = _timer("periodic-function", task, stop=0.3, output="identity", **settings)
                extra = period > 10 or (name == "-open" and form != "cosine")  # learned streams take minutes
                first = FRESH if settings is _OPEN else 1
                yield Arm(f"{form}-{period}{name}", words + how, config, _QUICK, extra=extra, first_seed=first)


PFG = _timing(
    "gers-pfg",
    "PFG",
    tuple(_functions()),
    (seeds_reach("cosine-10", "sequences", at_least=0.5),),
    share("right", "test sequences of 1000 periods right", options={"periods": 1000}, count=1),
)

# -- languages ---------------------------------------------------------------------------------------------------------------


def reach(most):
    """The measure of the largest n up to which every string is accepted, at most `most`; 0 if the shortest is not."""

    def of(outcome):
        from rnnsim.training.evaluate import evaluate, varied

        for n in range(1, most + 1):
            if evaluate(outcome.net, varied(outcome.task, {"n": n}), count=1)["correct"] < 1:
                return n - 1
        return most

    return Measure("reach", f"largest n up to which all strings are accepted (tested up to {most})", "", of)


def _language(name, language, blocks, published, notes=()):
    network, count = {**_BLOCK, "blocks": blocks, "shortcut": True}, f"{blocks} block{'s' * (blocks > 1)} of one cell"

    def config(most, rate, steps, until, **more):
        options = {"language": language, "max_n": most}
        return online("languages", options, {**network, **more}, rate, steps, report=20_000, momentum=0.99, until=until)

    def arm(name, words, settings, figure, extra=False, first_seed=1):
        figures = {"reach": Published(*figure)} if figure else {}
        return Arm(name, words, settings, {"steps": 20_000}, figures, extra, first_seed=first_seed)

    arms = []
    for most, figure in published:
        words = f"trained on n from 1 to {most}, {count}"
        arms.append(arm(f"n{most}", words, config(most, 1e-5, 2_000_000, "solved"), figure, most > 10))
    words = f"n from 1 to 10, {count}, learning rate 1e-4, bias of forget gates starts at 2, trained on when solved"
    settings = config(10, 1e-4, 500_000, "steps", forget_bias=",".join("2" * blocks))
    arms.append(arm("n10-open", words, settings, published[0][1], first_seed=FRESH))
    return Experiment(
        name=name,
        paper=LANGUAGE,
        arms=tuple(arms),
        measures=(sequences_until_solved(), reach(1000)),
        claims=(seeds_reach("n10", "sequences", at_least=0.5), seeds_meet("n10", "reach>10", at_least=0.5)),
        quick_seeds=1,
        notes=(
            "Solved: the last 2000 training strings are accepted; the reach is that of the network at this point, of n10-open "
            "that after 500,000 strings. The bound is ours: the reach exceeds the n of training.",
            "Learning rate, bias and length of n10-open were chosen on seeds from 1 on; its own seeds begin with 101.",
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
