"""e-prop: eligibility propagation (Bellec et al. 2020)."""

from typing import Literal

from rnnsim.learning.local import LocalRule


class EProp(LocalRule):
    """e-prop: eligibility propagation (G. Bellec et al., Nature Communications 11:3625, 2020).

    The gradient is a learning signal L_j(t), which reaches unit j at once, times an eligibility trace e(t), which the
    unit keeps of each of its parameters w::

        eps(t)   = ds_j(t)/ds_j(t-1) eps(t-1) + ds_j(t)/dw                eligibility vector, within the unit
        e(t)     = dz_j(t)/ds_j(t) eps(t)                                 z_j: the unit's output
        dE(t)/dw ~ L_j(t) e(t),     L_j(t) = sum_k B_jk dE/dy_k(t)

    ds_j(t)/ds_j(t-1) leaves out what goes through the output z_j(t-1) and a weight: for an LSTM, h(t-1) is a constant
    to the gates while c is not. The traces are those of the rule `truncated`: e-prop with symmetric feedback is the
    rule of 1997 under a later name, with random feedback that of Murray 2019 (`rflo`).

    every           time steps between two updates; 0: one update a batch
    feedback        "symmetric": B is the transposed readout; "random": fixed weights B from N(0, 1/H)
    feedback_seed   seed of B

    For a cell of k states and p parameters the traces take k p numbers a stream, a time step about as many
    multiply-adds. Raises `RnnsimError` for networks that online rules cannot serve
    (`rnnsim.learning.online.contract.OnlineRule`) and for options out of range.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("lstm", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=EProp(feedback="random"), steps=3, batch=4, rng=1).steps
    3
    """

    name = "eprop"

    def __init__(self, every: int = 0, feedback: Literal["random", "symmetric"] = "symmetric", feedback_seed: int = 0):
        super().__init__(every, feedback, feedback_seed)
