"""Random-feedback local online learning (Murray 2019)."""

from typing import Literal

from rnnsim.learning.local import LocalRule


class RFLO(LocalRule):
    """Random-feedback local online learning (J. Murray, eLife 8:e43299, 2019).

    The influence of a parameter is kept on its own unit, without what comes back through the recurrent weights, and
    fixed random weights B carry the error of the outputs to the units::

        p(t)     = (1 - a) p(t-1) + a f'(s_j(t)) z(t)           for a leaky fully recurrent unit j that sees z
        dE(t)/dw ~ sum_k B_jk dE/dy_k  p(t)

    For other cells the leak 1 - a is the direct derivative of the unit's new states by its old ones: the traces p are
    those of the rule `truncated`, which differs from this rule by B alone. The readout's own gradient is exact.

    every           time steps between two updates; 0: one update a batch
    feedback        "random": fixed weights B from N(0, 1/H); "symmetric": the transposed readout
    feedback_seed   seed of B

    For a cell of k states and p parameters the traces take k p numbers a stream, a time step about as many
    multiply-adds. Raises `RnnsimError` for networks that online rules cannot serve
    (`rnnsim.learning.online.contract.OnlineRule`) and for options out of range.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, leak=0.5, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=RFLO(feedback_seed=3), steps=3, batch=4, rng=1).steps
    3
    """

    name = "rflo"

    def __init__(self, every: int = 0, feedback: Literal["random", "symmetric"] = "random", feedback_seed: int = 0):
        super().__init__(every, feedback, feedback_seed)
