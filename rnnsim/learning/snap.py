"""SnAp-n: the sparse n-step approximation of RTRL (J. Menick et al., ICLR 2021, arXiv:2006.07232).

Of the influence ds(t)/dw only those entries are kept that n ticks can reach from the parameter, the non-zero pattern of
sum_{i<n} J^i M with J = ds'/ds and M the influence within one tick; the others are taken as zero::

    P(t) = (J(t) P(t-1) + M(t)) masked by the pattern

n = 1 keeps every parameter on its own unit and takes the unit's weight to itself into account (the whole tick's pattern
where recurrent inputs depend on gates). As soon as n ticks reach every unit from every parameter the rule is RTRL: for a fully
connected network from n = 2 on. A cell whose carried state is element-wise (`elstm`) is served exactly for every n.
"""

from rnnsim.core.registry import at_least
from rnnsim.learning import local, sparse
from rnnsim.learning.online.streams import OnlineRule, carried_state, check_size
from rnnsim.learning.rtrl import RTRL


class SnAp(OnlineRule):
    """Sparse n-step approximation; equations at the top of the file.

    Options as in `OnlineRule`, `force`: teacher forcing, and

    n       ticks within which a parameter must reach a state for its influence on it to be kept

    >>> from rnnsim.learning import RULES
    >>> RULES.build("snap", {"n": 2}).n
    2
    """

    name = "snap"
    forces = True

    def __init__(self, every: int = 0, force: bool = False, n: int = 1):
        super().__init__(every)
        self.force = force
        self.n = at_least("n", n, 1)

    def _way(self, net, structure, shape):
        """(whether SnAp-1 can keep to its units, the pattern otherwise; None where the rule is RTRL)."""
        if carried_state(net) is not None:
            return False, None
        if self.n == 1 and not structure.gate_dependent:
            return True, None
        pattern = sparse.pattern_of(net, structure, shape, self.n)
        return False, None if pattern.full and net.trainable is None else pattern

    def memory(self, net, structure, shape, streams):
        """As the kernels want it: see `rnnsim.learning.local`, `sparse` and `rtrl`."""
        own, pattern = self._way(net, structure, shape)
        if own:
            return local.unit_memory(structure, shape, streams)
        if pattern is not None:
            return sparse.memory(pattern, shape, streams)
        return RTRL().memory(net, structure, shape, streams)

    def kernels(self, net, structure, shape):
        own, pattern = self._way(net, structure, shape)
        if own:
            return local.advance_own, local.credit_units, local.forget_units
        return RTRL().kernels(net, structure, shape) if pattern is None else sparse.KERNELS

    def check_network(self, net, structure, shape):
        """Refuses an influence that does not fit into half of this machine's memory."""
        own, pattern = self._way(net, structure, shape)
        if pattern is not None:
            check_size("snap", pattern.count, sparse.numbers(pattern, shape), shape)
        elif not own:
            RTRL().check_network(net, structure, shape)
