"""SnAp-n: the sparse n-step approximation of RTRL (Menick et al., ICLR 2021)."""

from rnnsim.core.registry import at_least
from rnnsim.learning import local, sparse
from rnnsim.learning.online.contract import ForcingRule
from rnnsim.learning.online.structure import carried_state, check_size
from rnnsim.learning.rtrl import RTRL


class SnAp(ForcingRule):
    """SnAp-n, the sparse n-step approximation of RTRL (J. Menick et al., ICLR 2021, arXiv:2006.07232).

    Of the influence P = ds(t)/dw only those entries are kept that n time steps can reach from the parameter, the
    non-zero pattern of sum_{i<n} J^i M with J = ds'/ds and M the influence within one time step; the others are taken
    as zero::

        P(t) = (J(t) P(t-1) + M(t)) masked by the pattern

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units
    n       time steps within which a parameter must reach a state for its influence on it to be kept

    n = 1 keeps every parameter on its own unit and counts the unit's weight to itself (where recurrent inputs depend
    on gates, the pattern of the whole time step). As soon as n time steps reach every unit from every parameter the
    rule is RTRL: for a fully connected network from n = 2 on. An element-wise cell (`elstm`) is served exactly for
    every n.

    For a cell of k states and p parameters n = 1 takes k p numbers a stream and about as many multiply-adds a time
    step; larger n take what the pattern keeps.

    Raises `RnnsimError` as `RTRL` does, and for n < 1.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=SnAp(n=1), steps=3, batch=4, rng=1).steps
    3
    """

    name = "snap"

    def __init__(self, every: int = 0, force: bool = False, n: int = 1):
        super().__init__(every, force)
        self.n = at_least("n", n, 1)

    def _kind(self, net, structure, sizes):
        """(whether traces within units are enough, else the pattern; None where the rule is RTRL)."""
        if carried_state(net) is not None:
            return False, None
        if self.n == 1 and not structure.gate_dependent:
            return True, None
        pattern = sparse.pattern_of(net, structure, sizes, self.n)
        return False, None if pattern.full and net.trainable is None else pattern

    def memory(self, net, structure, sizes, streams):
        """A `local.UnitMemory`, `sparse.SparseMemory` or what `RTRL` keeps."""
        own, pattern = self._kind(net, structure, sizes)
        if own:
            return local.unit_memory(structure, sizes, streams)
        if pattern is not None:
            return sparse.sparse_memory(pattern, sizes, streams)
        return RTRL().memory(net, structure, sizes, streams)

    def kernels(self, net, structure, sizes):
        """Kernels on what `memory` returns."""
        own, pattern = self._kind(net, structure, sizes)
        if own:
            return local.advance_own, local.credit_units, local.forget_units
        return RTRL().kernels(net, structure, sizes) if pattern is None else sparse.KERNELS

    def check_network(self, net, structure, sizes):
        """Raise `RnnsimError` for an influence that does not fit into half of this machine's memory."""
        own, pattern = self._kind(net, structure, sizes)
        if pattern is not None:
            check_size("snap", pattern.count, sparse.numbers(pattern, sizes), sizes)
        elif not own:
            RTRL().check_network(net, structure, sizes)
