"""Back-propagation through time (Werbos 1990; Williams & Zipser 1995): the exact gradient of a whole batch.

With y(t) the outputs, E the loss and s(t) the state::

    dE/dtheta = sum_t dE/ds(t) ds(t)/dtheta,     dE/ds(t-1) = dE/ds(t) ds(t)/ds(t-1) + (what the output at t - 1 adds)
"""

from rnnsim.core.registry import require
from rnnsim.learning.interface import Learned


class BPTT:
    """Exact gradient of every batch, one update a batch.

    >>> from rnnsim.learning import RULES
    >>> type(RULES.build("bptt")).__name__
    'BPTT'
    """

    def check(self, net, task):
        """Serves every network that gives a gradient; a stream has no end that a bidirectional network could begin at."""
        require(
            getattr(net, "directions", 1) == 1 or not getattr(task, "streams", False),
            "bidirectional=True: the batches of this task go on from one another and hold what is to be predicted",
        )

    def learn(self, net, batch, loss, apply, state=None):
        """One update from the gradient of `batch`; see the contract in `rnnsim.learning.interface`."""
        result = net.loss_and_gradient(batch, loss, state)
        apply(result.gradient)
        return Learned(result.loss, result.outputs, result.state)
