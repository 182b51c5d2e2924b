"""MyRule: back-propagation through time with a gradient of one length for every array of parameters."""

import numpy as np

from rnnsim.core.registry import at_least
from rnnsim.learning.interface import GRADIENT, LearnResult, Rule


class MyRule(Rule):
    """Back-propagation with the gradient of every array scaled to length 1::

        g_a <- g_a / |g_a|        for every named array a of the network, such as weight_hh_l0

    Every array keeps the direction of the exact gradient. The size of an update depends on the learning rate alone, however much
    the errors have vanished or exploded on their way back. It fits every network that has a gradient.

    floor : shorter gradients are not scaled, so that noise is not amplified; at least 0
    """

    name = "MyRule"
    needs = frozenset({GRADIENT})  # what a network must be able to do; the training refuses others

    def __init__(self, floor: float = 1e-12):
        self.floor = at_least("floor", floor, 0)

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """Learn from one batch that begins in `state`: one update.

        ``apply(gradient)`` lets the optimizer change the weights of the network; a rule may call it several times per batch. What
        a rule carries from batch to batch it returns in ``LearnResult.memory``, and receives with the next batch as `memory`.
        """
        result = net.loss_and_gradient(batch, loss, state)
        gradient = result.gradient.copy()
        for entry in net.layout:
            part = gradient[entry.offset : entry.offset + entry.size]
            length = np.linalg.norm(part)
            if length > self.floor:
                part /= length
        apply(gradient)
        return LearnResult(result.loss, result.outputs, result.state)
