"""Experiments of papers, as data: settings, measures, claims and the published figures.

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
            "two dependencies of 5 and 9 time steps, by every online learning rule",
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
        "lstm1997-reber": (
            "rnnsim.experiments.lstm1997_lags:REBER",
            "the embedded Reber grammar (experiment 1): blocks of 1997 by the truncated rule, five settings",
        ),
        "lstm1997-long-lag-a": (
            "rnnsim.experiments.lstm1997_lags:LONG_LAG_A",
            "two noise-free sequences with a lag of 100 steps (experiment 2a): one memory cell with an input gate",
        ),
        "lstm1997-long-lag-b": (
            "rnnsim.experiments.lstm1997_lags:LONG_LAG_B",
            "no local regularities, a lag of 100 steps (experiment 2b): one memory cell with an input gate",
        ),
        "lstm1997-long-lag-c": (
            "rnnsim.experiments.lstm1997_lags:LONG_LAG_C",
            "very long lags full of distractors, no local regularities (experiment 2c): two memory cells",
        ),
        "lstm1997-two-sequence-a": (
            "rnnsim.experiments.lstm1997_values:TWO_SEQUENCE_A",
            "two classes that the first elements, 1 or -1, of noisy sequences tell apart (experiment 3a)",
        ),
        "lstm1997-two-sequence-b": (
            "rnnsim.experiments.lstm1997_values:TWO_SEQUENCE_B",
            "two classes that noisy first elements of noisy sequences tell apart (experiment 3b)",
        ),
        "lstm1997-two-sequence-c": (
            "rnnsim.experiments.lstm1997_values:TWO_SEQUENCE_C",
            "two classes of noisy sequences with noisy targets .2 and .8 (experiment 3c)",
        ),
        "lstm1997-adding": (
            "rnnsim.experiments.lstm1997_values:ADDING",
            "the adding problem (experiment 4): two blocks of two cells by the truncated rule",
        ),
        "lstm1997-multiplication": (
            "rnnsim.experiments.lstm1997_values:MULTIPLICATION",
            "the multiplication problem, T = 100 (experiment 5): two blocks of two cells by the truncated rule",
        ),
        "lstm1997-temporal-order-a": (
            "rnnsim.experiments.lstm1997_values:TEMPORAL_ORDER_A",
            "4 classes by the order of 2 symbols far apart (experiment 6a)",
        ),
        "lstm1997-temporal-order-b": (
            "rnnsim.experiments.lstm1997_values:TEMPORAL_ORDER_B",
            "8 classes by the order of 3 symbols far apart (experiment 6b)",
        ),
        "gers-reber": (
            "rnnsim.experiments.gers:REBER",
            "embedded Reber strings without an end: memory blocks with and without forget gates",
        ),
        "gers-temporal-order": (
            "rnnsim.experiments.gers:ORDER",
            "noisy temporal order without an end: memory blocks with and without forget gates",
        ),
        "gers-msd": (
            "rnnsim.experiments.gers_timing:MSD",
            "measure the delays between spikes: memory block with peepholes, and without",
        ),
        "gers-nmsd": (
            "rnnsim.experiments.gers_timing:NMSD",
            "measure one delay between two spikes, then reset: memory block with peepholes, and without",
        ),
        "gers-gts": (
            "rnnsim.experiments.gers_timing:GTS",
            "generate spikes F or F + 1 time steps apart, as the input says: memory block with peepholes, and without",
        ),
        "gers-pfg": (
            "rnnsim.experiments.gers_timing:PFG",
            "generate a periodic function without any input: memory block with peepholes",
        ),
        "gers-anbn": (
            "rnnsim.experiments.gers_timing:ANBN",
            "a^n b^n: how far beyond n = 10 a memory block with peepholes counts",
        ),
        "gers-anbmbman": (
            "rnnsim.experiments.gers_timing:ANBMBMAN",
            "a^n b^m B^m A^n: two counters, one inside the other",
        ),
        "gers-anbncn": (
            "rnnsim.experiments.gers_timing:ANBNCN",
            "a^n b^n c^n: how far beyond n = 10 two memory blocks with peepholes count",
        ),
        "guess-two-sequence": (
            "rnnsim.experiments.guessing:TWO_SEQUENCE",
            "two classes that the first of 500 to 550 elements tells apart, by random weights",
        ),
        "guess-latch": (
            "rnnsim.experiments.guessing:LATCH",
            "hold the first of 500 to 600 elements of noise, by random weights",
        ),
        "guess-parity": ("rnnsim.experiments.guessing:PARITY", "parity of 500 to 600 bits, by random weights"),
        "guess-tomita-1": (
            "rnnsim.experiments.guessing:TOMITA_1",
            "Tomita's language 1, strings of 500 to 600 symbols, by random weights",
        ),
        "guess-tomita-2": (
            "rnnsim.experiments.guessing:TOMITA_2",
            "Tomita's language 2, strings of 500 to 600 symbols, by random weights",
        ),
        "guess-tomita-4": (
            "rnnsim.experiments.guessing:TOMITA_4",
            "Tomita's language 4, strings of 500 to 600 symbols, by random weights",
        ),
        "limit-delayed-xor": (
            "rnnsim.experiments.guessing:DELAYED_XOR",
            "strongly delayed XOR: expected to fail for LSTM, by the truncated rule and by the full gradient",
        ),
        "limit-counting": (
            "rnnsim.experiments.guessing:COUNTING",
            "tell 99 from 100 steps: expected to fail by gradients; 3 from 11 is learned",
        ),
        "goller-kuechler-terms": (
            "rnnsim.experiments.trees:TERMS",
            "logical terms that a folding network classifies, by back-propagation through structure",
        ),
        "socher2011-bracketing": (
            "rnnsim.experiments.trees:BRACKETING",
            "binary trees over English sentences by max-margin learning, beside right-branching trees",
        ),
        "tree-lstm-depth": (
            "rnnsim.experiments.trees:DEPTH",
            "formulas and arithmetic over trees deeper than those of the training",
        ),
        "tree-lstm-sentiment": (
            "rnnsim.experiments.trees:SENTIMENT",
            "rated sentences, for or against a film: tree LSTM beside an LSTM over the words",
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
            "the next bit of a random 6-gram source by a neural Turing machine, beside the optimal predictor",
        ),
        "ntm-priority-sort": (
            "rnnsim.experiments.ntm:PRIORITY_SORT",
            "the 16 of 20 vectors with the highest priorities, in order, by a neural Turing machine",
        ),
    },
    group="rnnsim.experiments",
    classes=("rnnsim.experiments.interface:Experiment",),
    instances=True,
)


def members(name):
    """The names of the experiments that `name` stands for: itself, or for ``ntm-all`` all names that begin with ``ntm-``.

    Raises `RnnsimError` with the nearest name if there is none.

    >>> members("adding-all")
    ('adding-bptt',)
    """
    from rnnsim.core.plugins import is_place

    family = name.removesuffix("all")
    found = tuple(other for other in EXPERIMENTS if name.endswith("-all") and other.startswith(family))
    if not found:
        if not is_place(name):
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
