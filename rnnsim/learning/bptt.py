"""Back-propagation through time (Werbos 1990; Williams & Zipser 1995): the exact gradient of a whole batch.

With y(t) the outputs, E the loss and s(t) the state::

    dE/dtheta = sum_t dE/ds(t) ds(t)/dtheta,     dE/ds(t-1) = dE/ds(t) ds(t)/ds(t-1) + (what the output at t - 1 adds)
"""

from rnnsim.core.registry import require
from rnnsim.learning.interface import GRADIENT, LearnResult, Rule


class BPTT(Rule):
    """Back-propagation through time, or through structure: the exact gradient of every batch, one update a batch.

    It serves every network that has a gradient. Raises `RnnsimError` for a bidirectional network on a task whose batches
    continue each other: they hold what is to be predicted.

    >>> from rnnsim.learning import RULES
    >>> type(RULES.build("bptt")).__name__
    'BPTT'
    """

    name = "bptt"
    needs = frozenset({GRADIENT})

    def check(self, net, task):
        """See `Rule.check`."""
        super().check(net, task)
        require(
            net.directions == 1 or task is None or not task.streams,
            "bidirectional=True: the batches of this task go on from one another and hold what is to be predicted",
        )

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `Rule.learn`."""
        result = net.loss_and_gradient(batch, loss, state)
        apply(result.gradient)
        return LearnResult(result.loss, result.outputs, result.state)
