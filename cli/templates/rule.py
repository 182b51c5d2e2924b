"""MyRule: back-propagation through time with a gradient of one length for every array of parameters.

    g_a <- g_a / |g_a|        for every named array a of the network, such as weight_hh_l0

The direction of every array is that of the exact gradient; how large a step is then depends on the learning rate alone, however
much the errors have vanished or exploded on their way back.
"""

import numpy as np

from rnnsim.core.registry import at_least
from rnnsim.learning.interface import GRADIENT, LearnResult, Rule


class MyRule(Rule):
    """Back-propagation with every array of the gradient scaled to length 1; the equation is at the top of the file.

    floor : arrays shorter than this are left as they are, at least 0; noise should not be blown up

    It serves every network that has a gradient.
    """

    name = "MyRule"
    needs = frozenset({GRADIENT})  # what a network must be able to do; others are refused before the training

    def __init__(self, floor: float = 1e-12):
        self.floor = at_least("floor", floor, 0)

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """Learn from one batch that begins in `state`: one update.

        ``apply(gradient)`` changes the weights of the network by the optimizer; a rule may call it several times a batch. What a
        rule wants to carry on to the next batch it gives back in ``LearnResult.memory``, and gets again in `memory`.
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
