"""Random-feedback local online learning (J. Murray, eLife 8:e43299, 2019).

The influence of a parameter is kept on its own unit, without what comes back through the recurrent weights, and fixed random
weights B carry the error of the outputs to the units::

    p(t)     = (1 - a) p(t-1) + a f'(s_j(t)) z(t)           for a leaky fully recurrent unit j that sees z
    dE(t)/dw ~ sum_k B_jk dE/dy_k  p(t)

For other cells the leak 1 - a is the direct derivative of the unit's new states by its old ones: the trace is that of the rule
`truncated`, and the rule differs from it by B alone. The readout's own gradient is exact.
"""

from typing import Literal

from rnnsim.learning.local import LocalRule


class RFLO(LocalRule):
    """Local traces and random feedback; equations at the top of the file.

    Options as in `OnlineRule`, and

    feedback        "random": fixed weights B from N(0, 1/H); "symmetric": the transposed readout
    feedback_seed   seed of B

    >>> from rnnsim.learning import RULES
    >>> RULES.build("rflo").feedback
    'random'
    """

    name = "rflo"

    def __init__(self, every: int = 0, feedback: Literal["random", "symmetric"] = "random", feedback_seed: int = 0):
        super().__init__(every, feedback, feedback_seed)
