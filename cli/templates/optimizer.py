"""MyOptimizer: updates of one size, by the sign of a running mean of the gradient (Lion; Chen et al. 2023, arXiv:2302.06675)."""

import dataclasses
from typing import ClassVar

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.optimizers.interface import SHARE, Optimizer, prepared


@jit_exact
def _update(theta, gradient, mean, live, rate, beta1, beta2, scale, clip, decay):
    """Change theta and mean in place; entries that are not `live` keep their bits (`live` of size 0: all are)."""
    number = theta.dtype.type
    r, b1, b2, one = number(rate), number(beta1), number(beta2), number(1)
    s, c, w = number(scale), number(clip), number(decay)
    for i in range(theta.size):
        if live.size == 0 or live[i]:
            g = prepared(gradient[i], theta[i], s, c, w)  # scaled, clipped, with weight decay
            theta[i] -= r * np.sign(b1 * mean[i] + (one - b1) * g)
            mean[i] = b2 * mean[i] + (one - b2) * g


@dataclasses.dataclass(frozen=True)
class MyOptimizer(Optimizer):
    """Updates by the sign of a running mean of the gradient::

        u     = sign(beta1 m + (1 - beta1) g)
        m     <- beta2 m + (1 - beta2) g
        theta <- theta - rate u

    beta1 : share of the mean in the update, at least 0 and below 1
    beta2 : share of the old mean in the new one, at least 0 and below 1

    It also has the options of every optimizer (learning_rate, clip_norm, schedule, ...). An update changes every weight by the
    learning rate, which should therefore be about ten times smaller than Adam's.
    """

    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.99

    name: ClassVar[str] = "MyOptimizer"
    ranges: ClassVar[dict] = {**Optimizer.ranges, "beta1": SHARE, "beta2": SHARE}

    def init(self, theta):
        """The state that a checkpoint keeps: arrays by name."""
        return {"mean": np.zeros_like(theta)}

    def update(self, theta, gradient, state, live, rate, numbers):
        """Change theta and state in place; `numbers` are the last three arguments of `prepared`."""
        _update(theta, gradient, state["mean"], live, rate, self.beta1, self.beta2, *numbers)
