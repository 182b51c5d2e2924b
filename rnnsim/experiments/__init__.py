"""Experiments of papers, as data: settings, measures, criteria and the published figures beside ours.

The contract is in `rnnsim.experiments.interface`; `rnnsim.experiments.running.reproduce` runs one over seeds.

>>> EXPERIMENTS.load("adding-bptt").arm_names
('lstm',)
"""

from rnnsim.core.lazy import lazy
from rnnsim.core.registry import Registry

EXPERIMENTS = Registry(
    "experiment",
    {
        "adding-bptt": (
            "rnnsim.experiments.adding:ADDING_BPTT",
            "the adding problem, T = 100: LSTM by BPTT (Hochreiter & Schmidhuber 1997, exp. 4, used another rule)",
        ),
        "online-add": (
            "rnnsim.experiments.online:ONLINE_ADD",
            "two dependencies of 5 and 9 ticks by every rule that learns while the sequence runs",
        ),
        "influence-balancing": (
            "rnnsim.experiments.online:INFLUENCE_BALANCING",
            "a parameter whose short-term effect is the opposite of its long-term one: RTRL and UORO against truncated BPTT",
        ),
        "oscillators": (
            "rnnsim.experiments.williams_zipser:OSCILLATORS",
            "patterns 01, 0011 and a sine without a changing input: RTRL with and without teacher forcing",
        ),
        "williams-zipser": (
            "rnnsim.experiments.williams_zipser:WILLIAMS_ZIPSER",
            "pipelined XOR, a before b, delayed non-match to sample, a parenthesis Turing machine by RTRL",
        ),
        "ntm-copy": ("rnnsim.experiments.ntm:COPY", "copy of 1 to 20 vectors of 8 bits by a neural Turing machine"),
        "ntm-repeat-copy": (
            "rnnsim.experiments.ntm:REPEAT_COPY",
            "1 to 10 repetitions of 1 to 10 vectors of 6 bits by a neural Turing machine",
        ),
        "ntm-associative-recall": (
            "rnnsim.experiments.ntm:ASSOCIATIVE_RECALL",
            "the item after a given one, of 2 to 6 items of three 6-bit vectors, by a neural Turing machine",
        ),
        "ntm-ngram": (
            "rnnsim.experiments.ntm:NGRAM",
            "the next bit of a random 6-gram source by a neural Turing machine, beside the best predictor",
        ),
        "ntm-priority-sort": (
            "rnnsim.experiments.ntm:PRIORITY_SORT",
            "the 16 of 20 vectors with the highest priorities, in order, by a neural Turing machine",
        ),
    },
)


def members(name):
    """The experiments that a name stands for: itself, or for ``ntm-all`` all whose names begin with ``ntm-``.

    Raises `RnnsimError` with the nearest name if there is none.

    >>> members("adding-all")
    ('adding-bptt',)
    """
    family = name.removesuffix("all")
    found = tuple(other for other in EXPERIMENTS if name.endswith("-all") and other.startswith(family))
    if not found:
        EXPERIMENTS.summary(name)  # raises the error for an unknown name
        found = (name,)
    return found


_NAMES = {
    "Experiment": "rnnsim.experiments.interface",
    "Arm": "rnnsim.experiments.interface",
    "Published": "rnnsim.experiments.interface",
    "reproduce": "rnnsim.experiments.running",
}
__getattr__, __dir__ = lazy(__name__, _NAMES)
