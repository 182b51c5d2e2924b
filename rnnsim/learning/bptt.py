"""Back-propagation through time (Werbos 1990; Williams & Zipser 1995)."""

from rnnsim.core.registry import require
from rnnsim.learning.interface import GRADIENT, LearnResult, Rule


class BPTT(Rule):
    """Back-propagation through time (P. Werbos 1990; R. J. Williams & D. Zipser 1995), or through structure.

    The exact gradient of every batch and one update a batch. With y(t) the outputs, E the loss and s(t) the state::

        dE/dtheta = sum_t dE/ds(t) ds(t)/dtheta
        dE/ds(t-1) = dE/ds(t) ds(t)/ds(t-1) + (what the output at t - 1 adds)

    It serves every network that has a gradient (`rnnsim.networks.interface.Network.loss_and_gradient`), and takes the
    time of about three forward passes and the memory of all activations of the batch. It has no options.

    Raises `RnnsimError` for a bidirectional network on a task whose batches continue each other: a network that sees
    the end of a batch would see what it is to predict.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("lstm", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=BPTT(), steps=3, batch=4, rng=1).steps
    3
    """

    name = "bptt"
    needs = frozenset({GRADIENT})

    def check(self, net, task):
        """See `Rule.check`."""
        super().check(net, task)
        require(
            net.directions == 1 or task is None or not task.streams,
            "bidirectional=True: the batches of this task continue each other, and the end of one holds what is to be predicted",
        )

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `Rule.learn`."""
        result = net.loss_and_gradient(batch, loss, state)
        apply(result.gradient)
        return LearnResult(result.loss, result.outputs, result.state)
