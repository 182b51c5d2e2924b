"""The truncated rule of the LSTM of 1997 (Hochreiter & Schmidhuber, Neural Computation 9(8):1735-1780, eqs 12-28).

For every cell it is RTRL with the direct term only: an error goes back through a unit's own state for as long as it lasts, and
not at all through the weights that lead from earlier outputs into gates and cell inputs. With the direct derivative D_j of the
states of unit j and the parameters w that act on it::

    ds_j(t)/dw ~ D_j ds_j(t-1)/dw + ds_j(t)/da(t) da(t)/dw
    dE(t)/dw   ~ dE(t)/dh_j(t) dh_j(t)/dw

which is the exact gradient of a network whose recurrent inputs h(t-1) are constants. An LSTM without forget gate has D = 1 for
its cell state, the constant error carousel. A fully recurrent network without leak has D = 0: nothing of the past is left.
Time and memory: one number a parameter and state.
"""

from rnnsim.learning import local
from rnnsim.learning.interface import Learned
from rnnsim.learning.online.streams import OnlineRule


class Truncated(OnlineRule):
    """The rule of 1997; equations at the top of the file.

    Options as in `OnlineRule`, and `force`: teacher forcing. A network of memory blocks (`lstm1997`) brings its own kernels
    for the rule, and learns once a batch.

    >>> from rnnsim.learning import RULES
    >>> RULES.build("truncated").every
    0
    """

    forces = True

    def __init__(self, every: int = 0, force: bool = False):
        super().__init__(every)
        self.force = force

    def memory(self, net, structure, shape, streams):
        """See `rnnsim.learning.local.unit_memory`."""
        return local.unit_memory(structure, shape, streams)

    def kernels(self, net, structure, shape):
        return local.advance_direct, local.credit_units, local.forget_units

    def check(self, net, task):
        """See the contract in `rnnsim.learning.interface`."""
        if not hasattr(net, "truncated_gradient"):
            super().check(net, task)

    def learn(self, net, batch, loss, apply, state=None):
        """See the contract in `rnnsim.learning.interface`."""
        if not hasattr(net, "truncated_gradient"):
            return super().learn(net, batch, loss, apply, state)
        found = net.truncated_gradient(batch, loss, state)
        apply(found.gradient)
        return Learned(found.loss, found.outputs, found.state)
