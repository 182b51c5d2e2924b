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
