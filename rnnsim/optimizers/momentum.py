"""Gradient descent with classical or Nesterov momentum."""

import dataclasses
from typing import ClassVar

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.optimizers.interface import SHARE, Optimizer, prepared


@jit_exact
def _update(theta, gradient, velocity, live, rate, momentum, nesterov, scale, clip, decay):
    number = theta.dtype.type
    r, mu, s, c, w = number(rate), number(momentum), number(scale), number(clip), number(decay)
    # step = share g + push v
    share, push = number(1 if nesterov else 0), number(momentum if nesterov else 1)
    everywhere = live.size == 0
    for i in range(theta.size):
        if everywhere or live[i]:
            g = prepared(gradient[i], theta[i], s, c, w)
            v = mu * velocity[i] + g
            velocity[i] = v
            theta[i] -= r * (share * g + push * v)


@dataclasses.dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with classical or Nesterov momentum::

        v <- momentum v + g
        theta <- theta - rate v                     classical (Polyak 1964; Rumelhart, Hinton & Williams 1986)
        theta <- theta - rate (g + momentum v)      nesterov=True (Nesterov 1983, in the form of Sutskever et al. 2013,
                                                    which keeps the looked-ahead point as theta)

    Options beside those of every `Optimizer`:

    momentum   at least 0 and below 1
    nesterov   whether to take the second form

    >>> import numpy as np
    >>> opt, theta = Momentum(learning_rate=0.5, momentum=0.5), np.zeros(1)
    >>> state = opt.init(theta)
    >>> for step in range(2): opt.step(theta, np.ones(1), state, step)
    >>> theta, state
    (array([-1.25]), {'velocity': array([1.5])})
    """

    momentum: float = 0.9
    nesterov: bool = False

    name: ClassVar[str] = "momentum"
    ranges: ClassVar[dict] = {**Optimizer.ranges, "momentum": SHARE}

    def init(self, theta):
        return {"velocity": np.zeros_like(theta)}

    def update(self, theta, gradient, state, live, rate, numbers):
        _update(theta, gradient, state["velocity"], live, rate, self.momentum, self.nesterov, *numbers)
