"""Streams without resets: Gers, Schmidhuber & Cummins 2000 (Neural Computation 12(10):2451-2471), forget gates.

A training stream ends at its first error and the next one begins anew, with the learning rate whole again. The paper tests ten
fresh streams after every training stream, here after every 100: a network is perfect when ten streams of 100,000 ticks, a million
predictions, have no error.
"""

from rnnsim.experiments.criteria import seeds_reach
from rnnsim.experiments.interface import Arm, Experiment, Measure, Published
from rnnsim.experiments.lstm1997_lags import online

PAPER = "F. A. Gers, J. Schmidhuber, F. Cummins: Learning to forget. Neural Computation 12(10):2451-2471, 2000"


def _perfect(ticks):
    def of(outcome):
        return outcome.result["solved_at"]

    return Measure("sequences", f"training streams until ten streams of {ticks:,} ticks are right", "streams", of)


def _length():
    def of(outcome):
        return outcome.result.get("best_time_steps") or 0.0

    return Measure("ticks", "ticks before the first error, mean of ten streams, at best", "ticks", of)


def _good(ticks):
    """1 if it is good: not perfect, but more than so many ticks are right on average."""

    def of(outcome):
        return float(outcome.result["solved_at"] is None and (outcome.result.get("best_time_steps") or 0.0) > ticks)

    return Measure("good", f"not perfect, but more than {ticks:,} ticks at best", "", of)


# -- continual embedded Reber grammar ----------------------------------------------------------------------------------------

_REBER = {"blocks": 4, "size": 2, "sees": "cells", "bias": "gates", "shortcut": True, "init": 0.2}
_REBER |= {"in_bias": "-0.5,-1,-1.5,-2", "out_bias": "-0.5,-1,-1.5,-2"}
_FORGET = {"forget": True, "forget_bias": "0.5,1,1.5,2"}


def _reber(name, words, network, percent, streams, extra=False, **rates):
    config = online(
        "continual-reber", {"stop_error": 0.49, "stream_length": 100_000}, {**_REBER, **network}, 0.5, 30_000, report=500,
        test="streams", test_every=100, test_length=100_000, **rates,
    )  # fmt: skip
    figures = {}
    if streams:
        note = f"mean of the {percent} % of 100 networks that became perfect"
        figures["sequences"] = Published(streams, "streams", "read", note)
    return Arm(name, words, config, {"steps": 2000}, figures, extra)


REBER = Experiment(
    name="gers-reber",
    paper=f"{PAPER}, section 4",
    arms=(
        _reber("standard", "without forget gates, 360 weights; published: 0 % perfect, 1 % good", {}, 0, None),
        _reber("forget", "forget gates, 424 weights; published: 18 % perfect, 29 % good", _FORGET, 18, 18_889),
        _reber(
            "forget-decay",
            "forget gates, the learning rate times .99 at every tick; published: 62 % perfect, 6 % good",
            _FORGET,
            62,
            14_087,
            schedule="per-time-step:0.99",
        ),
    ),
    measures=(_perfect(100_000), _good(1000), _length()),
    criteria=(
        seeds_reach("forget", "sequences", at_least=0.1),
        seeds_reach("forget-decay", "sequences", at_least=0.5),
    ),
    quick_seeds=1,
    notes=(
        "The published shares of good and bad networks and those of standard LSTM are from memory, not read again.",
        "The bounds are ours: a little less than the published shares, as ten seeds are few.",
    ),
)

# -- continual temporal order ------------------------------------------------------------------------------------------------

_ORDER = {"blocks": 3, "size": 2, "sees": "cells", "bias": "gates", "shortcut": True, "in_bias": "-2,-4,-6"}
_ORDER_STREAM = 10_500  # ticks of 100 sequences


def _order(name, words, network, percent, streams, **rates):
    config = online(
        "continual-temporal-order", {"stop_error": 0.3, "stream_length": _ORDER_STREAM}, {**_ORDER, **network}, 0.5, 100_000,
        report=1000,
        test="streams", test_every=200, test_length=_ORDER_STREAM, **rates,
    )  # fmt: skip
    figures = {}
    if streams:
        note = f"mean of the {percent} % of the networks that became perfect"
        figures["sequences"] = Published(streams, "streams", "uncertain", note)
    return Arm(name, words, config, {"steps": 2000}, figures)


ORDER = Experiment(
    name="gers-temporal-order",
    paper=f"{PAPER}, section 5",
    arms=(
        _order("standard", "without forget gates; published: 0 % perfect", {}, 0, None),
        _order(
            "forget",
            "forget gates; published: 24 % perfect (uncertain)",
            {"forget": True, "forget_bias": "5,5,5"},
            24,
            18_077,
        ),
        _order(
            "forget-decay",
            "forget gates, the learning rate times .9 at every sequence; published: 37 % perfect (uncertain)",
            {"forget": True, "forget_bias": "5,5,5"},
            37,
            22_654,
            schedule="per-time-step:0.999",
        ),
    ),
    measures=(_perfect(_ORDER_STREAM), _length()),
    criteria=(seeds_reach("forget", "sequences", at_least=0.1), seeds_reach("forget-decay", "sequences", at_least=0.2)),
    seeds=10,
    quick_seeds=1,
    notes=(
        "The paper's alpha decay of .9 is taken as one a sequence of about 105 ticks: .999 a tick.",
        "The forget gates begin with a bias of 5, the learning rate is .5; the bounds are ours.",
        "A test is ten streams of 10,500 ticks, which is 100 sequences on average.",
    ),
)
