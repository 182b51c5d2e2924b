"""e-prop: eligibility propagation (G. Bellec et al., Nature Communications 11:3625, 2020).

The gradient is a learning signal L_j(t) that reaches unit j at once, times an eligibility trace e(t) that the unit keeps of each
of its parameters w::

    eps(t)   = ds_j(t)/ds_j(t-1) eps(t-1) + ds_j(t)/dw                eligibility vector, within the unit
    e(t)     = dz_j(t)/ds_j(t) eps(t)                                 z_j: the unit's output
    dE(t)/dw ~ L_j(t) e(t),     L_j(t) = sum_k B_jk dE/dy_k(t)

ds_j(t)/ds_j(t-1) leaves out what goes through the output z_j(t-1) and a weight: for an LSTM, h(t-1) is a constant to the gates
while c is not. Feedback weights B are the readout's own, transposed (symmetric), or fixed and random. The traces are those of the
rule `truncated`: e-prop with symmetric feedback is the rule of 1997 under a later name, with random feedback that of Murray 2019.
"""

from typing import Literal

from rnnsim.learning.local import LocalRule


class EProp(LocalRule):
    """Eligibility traces and learning signals; equations at the top of the file.

    Options as in `OnlineRule`, and

    feedback        "symmetric": the transposed readout; "random": fixed weights B from N(0, 1/H)
    feedback_seed   seed of B

    >>> from rnnsim.learning import RULES
    >>> RULES.build("eprop").feedback
    'symmetric'
    """

    name = "eprop"

    def __init__(self, every: int = 0, feedback: Literal["random", "symmetric"] = "symmetric", feedback_seed: int = 0):
        super().__init__(every, feedback, feedback_seed)
