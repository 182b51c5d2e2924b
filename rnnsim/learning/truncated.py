"""The truncated rule of the LSTM of 1997 (Hochreiter & Schmidhuber 1997)."""

from rnnsim.core.registry import at_least, require
from rnnsim.learning import local
from rnnsim.learning.interface import LearnResult, Rule
from rnnsim.learning.online.contract import ForcingRule


class Truncated(ForcingRule):
    """The truncated rule of the LSTM (S. Hochreiter & J. Schmidhuber, Neural Computation 9(8):1735-1780, 1997, eqs 12-28).

    For every cell it is RTRL with the direct term alone: an error goes back through a unit's own state for as long as
    that lasts, and not at all through the weights that lead from earlier outputs into gates and cell inputs. With the
    direct derivative D_j of the states of unit j and the parameters w that act on it::

        ds_j(t)/dw ~ D_j ds_j(t-1)/dw + ds_j(t)/da(t) da(t)/dw
        dE(t)/dw   ~ dE(t)/dh_j(t) dh_j(t)/dw

    which is the exact gradient of a network whose recurrent inputs h(t-1) are constants. An LSTM without forget gate
    has D = 1 for its cell state, the constant error carousel. A fully recurrent network without leak has D = 0 and
    remembers nothing.

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units
    wait    sequences that the rest of a network learns before its memory cells are added, as in experiment 2a of 1997; for
            `lstm1997` with every=1

    For a cell of k states and p parameters a stream keeps k p eligibility traces, and a time step costs about as many
    multiply-adds. A network of memory blocks (`lstm1997`) carries the rule out by itself: with every=0 its gradient
    of a batch, with every=1 a learner of its own that changes the weights at every time step with an error. Raises
    `RnnsimError` for other values of `every` there, and for networks that online rules cannot serve
    (`rnnsim.learning.online.contract.OnlineRule`).

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("lstm", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=Truncated(), steps=3, batch=4, rng=1).steps
    3
    """

    name = "truncated"

    def __init__(self, every: int = 0, force: bool = False, wait: int = 0):
        super().__init__(every, force)
        self.wait = at_least("wait", wait, 0)

    def memory(self, net, structure, sizes, streams):
        """A `rnnsim.learning.local.UnitMemory`."""
        return local.unit_memory(structure, sizes, streams)

    def kernels(self, net, structure, sizes):
        """Kernels on a `rnnsim.learning.local.UnitMemory`."""
        return local.advance_direct, local.credit_units, local.forget_units

    def check(self, net, task):
        """See `rnnsim.learning.interface.Rule.check`."""
        name = net.config["name"]
        if self.name not in net.procedures:
            require(not self.wait, f"wait={self.wait}: network '{name}' has no memory cells to add later")
            super().check(net, task)
            return
        Rule.check(self, net, task)
        require(not self.force, f"force=True: network '{name}' has no teacher forcing")
        words = f"every={self.every}: network '{name}' learns by the rule truncated once a batch (0) or at every time step (1)"
        require(self.every in (0, 1), words)
        require(not self.wait or self.every == 1, f"wait={self.wait}: needs every=1")
        kind = task.loss.kind if task else "squared_error"
        fits = self.every == 0 or kind == "squared_error"
        require(
            fits, f"every=1: network '{name}' descends the squared error by the rule truncated, the task has {kind}"
        )

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `rnnsim.learning.interface.Rule.learn`."""
        if self.name not in net.procedures:
            return super().learn(net, batch, loss, apply, state, memory)
        found = net.gradient_by(self, batch, loss, state)
        apply(found.gradient)
        return LearnResult(found.loss, found.outputs, found.state)
