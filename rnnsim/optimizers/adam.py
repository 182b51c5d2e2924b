"""Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019)."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.optimizers.interface import POSITIVE, SHARE, Optimizer, prepared


@jit_exact
def _update(theta, gradient, mean, square, updates, live, rate, beta1, beta2, epsilon, scale, clip, decay):
    number = theta.dtype.type
    updates[0] += 1
    r = number(rate / (1 - beta1 ** updates[0]))
    widen = number(1 / math.sqrt(1 - beta2 ** updates[0]))
    s, c, shrink, eps = number(scale), number(clip), number(rate * decay), number(epsilon)
    b1, take1, b2, take2 = number(beta1), number(1 - beta1), number(beta2), number(1 - beta2)
    everywhere, zero = live.size == 0, number(0)
    for i in range(theta.size):
        if everywhere or live[i]:
            g = prepared(gradient[i], theta[i], s, c, zero)
            m = b1 * mean[i] + take1 * g
            v = b2 * square[i] + take2 * (g * g)
            mean[i] = m
            square[i] = v
            theta[i] -= r * m / (math.sqrt(v) * widen + eps) + shrink * theta[i]


@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (D. P. Kingma & J. Ba, ICLR 2015, alg. 1) with decoupled weight decay (I. Loshchilov & F. Hutter, ICLR 2019)::

        m <- beta1 m + (1 - beta1) g,    v <- beta2 v + (1 - beta2) g^2
        theta <- theta - rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay theta)

    t = 1, 2, ... counts the updates of this state, whatever step the schedule uses. The weight decay does not go
    through the moments; with weight_decay = 0 this is Adam, else AdamW.

    Options beside those of every `Optimizer`:

    beta1, beta2   at least 0 and below 1
    epsilon        > 0

    >>> import numpy as np
    >>> opt, theta = Adam(learning_rate=0.1), np.zeros(2)
    >>> opt.step(theta, np.array([1e-3, -100.0]), opt.init(theta), step=0)
    >>> theta.round(4)
    array([-0.1,  0.1])
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    name: ClassVar[str] = "adam"
    ranges: ClassVar[dict] = {**Optimizer.ranges, "beta1": SHARE, "beta2": SHARE, "epsilon": POSITIVE}

    def init(self, theta):
        return {"mean": np.zeros_like(theta), "square": np.zeros_like(theta), "updates": np.zeros(1)}

    def update(self, theta, gradient, state, live, rate, numbers):
        arrays = (state["mean"], state["square"], state["updates"])
        _update(theta, gradient, *arrays, live, rate, self.beta1, self.beta2, self.epsilon, *numbers)
