"""Plain stochastic gradient descent: theta <- theta - rate g."""

import dataclasses
from typing import ClassVar

from rnnsim.core.jit import jit_exact
from rnnsim.optimizers.interface import Optimizer, prepared


@jit_exact
def _update(theta, gradient, live, rate, scale, clip, decay):
    number = theta.dtype.type
    r, s, c, w = number(rate), number(scale), number(clip), number(decay)
    everywhere = live.size == 0
    for i in range(theta.size):
        if everywhere or live[i]:
            theta[i] -= r * prepared(gradient[i], theta[i], s, c, w)


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """Plain stochastic gradient descent, theta <- theta - rate g, without memory.

    Options: those of every `Optimizer`.

    >>> import numpy as np
    >>> opt, theta = SGD(learning_rate=0.1), np.ones(2)
    >>> opt.step(theta, np.array([1.0, -1.0]), opt.init(theta), step=0)
    >>> theta
    array([0.9, 1.1])
    """

    name: ClassVar[str] = "sgd"

    @property
    def plain_rate(self):
        return self.learning_rate if self == SGD(self.learning_rate) else 0.0

    def init(self, theta):
        return {}

    def update(self, theta, gradient, state, live, rate, numbers):
        _update(theta, gradient, live, rate, *numbers)
