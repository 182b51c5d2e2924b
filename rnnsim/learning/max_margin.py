"""Max-margin learning of structure prediction in two stages (Socher, Lin, Ng & Manning 2011)."""

import math
from typing import Literal

import numpy as np

from rnnsim.core.learner import NotFinite
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.learning.interface import Apply, LearnResult, Rule
from rnnsim.networks.recursive.margin import Objective
from rnnsim.networks.recursive.parsing import Search

ORDERS = {"auto": None, "both": True, "one": False}


class MaxMargin(Rule):
    """Max-margin learning of trees (R. Socher, C. Lin, A. Ng & C. Manning, ICML 2011), by its subgradient.

    With N graphs of segments in the batch, s(t) the sum of the scores of the merges of a tree t, w(t) the number of its wrong
    merges, c_i the correct tree of graph i and y the labels of nodes, the rule descends ::

        J = 1/N sum_i [ max_t (s(t) + kappa w(t)) - s(c_i) - kappa w(c_i) ] + 1/N sum_i sum_nodes H(d, y) + l2/2 |theta|^2

    Its subgradient is back-propagation through the best tree minus that through the correct tree. Greedy and beam search may miss
    the best tree; they compare the first merges of both trees, as many as make the largest difference (L. Huang, S. Fayong &
    Y. Guo, NAACL 2012). The first `pretrain` training steps descend the objective of the first stage: a hinge loss with margin 1
    between good and bad pairs of neighbours. `rnnsim.networks.recursive.margin` has both objectives in full.

    kappa           what a wrong merge adds to the score of a tree
    l2              strength of the weight decay |theta|^2 / 2, in both stages
    pretrain        training steps of the first stage
    search, width   the search for the best tree: "greedy", "beam" of so many forests, "chart" with so many trees a span (chains)
    compare         "prefix": the first merges with the largest difference; "tree": whole trees, as in the paper, and always so
                    with a chart
    orders          orders in which a pair is scored: "both", "one" (the node with the smallest segment left), "auto": both for
                    graphs, one for chains
    lbfgs           iterations of L-BFGS (SciPy) on the batch in every training step, which set the weights; 0: the optimizer
                    updates them by the subgradient

    The batch's number in the training decides about the stage, so an interrupted training goes on bit for bit. The loss that it
    reports is that before the step, without the weight decay. It serves recursive networks with a score (`rnn-tree` with
    score=True). Raises `RnnsimError` for options out of range, and `NotFinite` where L-BFGS meets a loss that is not finite.

    >>> import rnnsim as rs
    >>> rule = MaxMargin(pretrain=10, search="beam", width=5)
    >>> rule.randomness = 0, 9
    >>> rule.objective.pairs, rule.objective.search.width
    (True, 5)
    """

    name = "max-margin"
    needs = frozenset({"scores of merges"})

    def __init__(
        self,
        kappa: float = 0.05,
        l2: float = 1e-4,
        pretrain: int = 0,
        search: Literal["greedy", "beam", "chart"] = "greedy",
        width: int = 1,
        compare: Literal["prefix", "tree"] = "prefix",
        orders: Literal["auto", "both", "one"] = "auto",
        lbfgs: int = 0,
    ):
        for option, value in (("kappa", kappa), ("l2", l2)):
            require(0 <= value < math.inf, f"{option}={value}: expected a number of at least 0")
        self.kappa, self.l2 = float(kappa), float(l2)
        self.pretrain, self.lbfgs = at_least("pretrain", pretrain, 0), at_least("lbfgs", lbfgs, 0)
        self.search, self.width = one_of("search", search, ("greedy", "beam", "chart")), at_least("width", width, 1)
        require(search != "greedy" or self.width == 1, f"width={width}: greedy search has width 1")
        self.compare = one_of("compare", compare, ("prefix", "tree"))
        self.orders = one_of("orders", orders, ORDERS)
        self.sets_weights = self.lbfgs > 0

    @property
    def objective(self) -> Objective:
        """The objective of the next batch, whose number is in `randomness`."""
        search = Search(self.search, self.width, ORDERS[self.orders])
        return Objective(self.kappa, search, self.compare == "prefix", self.randomness[1] < self.pretrain)

    def check(self, net, task):
        """See `rnnsim.learning.interface.Rule.check`."""
        super().check(net, task)
        chart = task is not None and self.search == "chart"
        require(
            not chart or task.training_batch(0, 0, 1).edges is None,
            "search=chart: it parses chains (sentences), the graphs of this task have edges",
        )

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `rnnsim.learning.interface.Rule.learn`."""
        found = net.gradient_by(self, batch, loss)
        result = LearnResult(found.loss, found.outputs)
        if self.lbfgs:
            self._minimise(net, batch, loss)
            if isinstance(apply, Apply):
                apply.made(1)
            return result
        found.gradient[...] += self._decay(net)
        apply(found.gradient)
        return result

    def _decay(self, net):
        decay = net.dtype.type(self.l2) * net.theta
        return decay if net.trainable is None else decay * net.trainable

    def _minimise(self, net, batch, loss):
        from scipy.optimize import minimize

        def value_and_slope(theta):
            net.theta = theta
            found = net.gradient_by(self, batch, loss)
            if not np.isfinite(found.loss):
                raise NotFinite(f"the loss is {found.loss}")
            kept = net.theta if net.trainable is None else net.theta * net.trainable
            value = found.loss + self.l2 / 2 * float(np.sum(np.square(kept, dtype=np.float64)))
            return value, (found.gradient + self._decay(net)).astype(np.float64)

        start = net.theta.astype(np.float64)
        best = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options={"maxiter": self.lbfgs})
        net.theta = best.x
