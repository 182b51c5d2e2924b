"""RMSProp (Tieleman & Hinton 2012), with optional momentum."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.optimizers.interface import POSITIVE, SHARE, Optimizer, prepared


@jit_exact
def _update(theta, gradient, square, velocity, live, rate, decay_rate, momentum, epsilon, scale, clip, decay):
    number = theta.dtype.type
    r, s, c, w = number(rate), number(scale), number(clip), number(decay)
    keep, take, eps, mu = number(decay_rate), number(1 - decay_rate), number(epsilon), number(momentum)
    everywhere, moving = live.size == 0, velocity.size > 0
    for i in range(theta.size):
        if everywhere or live[i]:
            g = prepared(gradient[i], theta[i], s, c, w)
            n = keep * square[i] + take * (g * g)
            square[i] = n
            v = g / (math.sqrt(n) + eps)
            if moving:
                v += mu * velocity[i]
                velocity[i] = v
            theta[i] -= r * v


@dataclasses.dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp, the gradient over its running root mean square (T. Tieleman & G. Hinton, Coursera lecture 6.5, 2012)::

        n <- decay n + (1 - decay) g^2
        v <- momentum v + g / (sqrt(n) + epsilon)
        theta <- theta - rate v

    Without momentum v is not stored. `RMSPropGraves` is the centred variant.

    Options beside those of every `Optimizer`:

    decay, momentum   at least 0 and below 1
    epsilon           > 0

    >>> import numpy as np
    >>> opt, theta = RMSProp(learning_rate=0.1, decay=0.75, epsilon=1e-12), np.zeros(2)
    >>> opt.step(theta, np.array([1.0, -100.0]), opt.init(theta), step=0)
    >>> theta.round(9)
    array([-0.2,  0.2])
    """

    learning_rate: float = 0.001
    decay: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-8

    name: ClassVar[str] = "rmsprop"
    ranges: ClassVar[dict] = {**Optimizer.ranges, "decay": SHARE, "momentum": SHARE, "epsilon": POSITIVE}

    def init(self, theta):
        state = {"square": np.zeros_like(theta)}
        if self.momentum > 0:
            state["velocity"] = np.zeros_like(theta)
        return state

    def update(self, theta, gradient, state, live, rate, numbers):
        velocity = state["velocity"] if self.momentum > 0 else theta[:0]
        options = (self.decay, self.momentum, self.epsilon)
        _update(theta, gradient, state["square"], velocity, live, rate, *options, *numbers)
