"""The RMSProp of Graves 2013: centred, with momentum."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.optimizers.interface import POSITIVE, SHARE, Optimizer, prepared


@jit_exact
def _update(theta, gradient, square, mean, delta, live, rate, decay_rate, momentum, epsilon, scale, clip, decay):
    number = theta.dtype.type
    r, s, c, w = number(rate), number(scale), number(clip), number(decay)
    keep, take, eps, mu = number(decay_rate), number(1 - decay_rate), number(epsilon), number(momentum)
    everywhere = live.size == 0
    for i in range(theta.size):
        if everywhere or live[i]:
            g = prepared(gradient[i], theta[i], s, c, w)
            n = keep * square[i] + take * (g * g)
            m = keep * mean[i] + take * g
            variance = n - m * m
            variance = number(0) if variance < 0 else variance
            d = mu * delta[i] - r * g / math.sqrt(variance + eps)
            square[i] = n
            mean[i] = m
            delta[i] = d
            theta[i] += d


@dataclasses.dataclass(frozen=True)
class RMSPropGraves(Optimizer):
    """Centred RMSProp with momentum (A. Graves, arXiv 1308.0850, 2013, eqs 38-45)::

        n <- decay n + (1 - decay) g^2
        m <- decay m + (1 - decay) g
        d <- momentum d - rate g / sqrt(n - m^2 + epsilon)
        theta <- theta + d

    with decay 0.95, momentum 0.9, rate 1e-4 and epsilon 1e-4 in the paper. n - m^2 is a variance, and taken as 0
    where rounding makes it negative.

    Options beside those of every `Optimizer`:

    decay, momentum   at least 0 and below 1
    epsilon           > 0

    >>> import numpy as np
    >>> opt, theta = RMSPropGraves(), np.zeros(1)
    >>> opt.step(theta, np.ones(1), opt.init(theta), step=0)
    >>> theta.round(6)
    array([-0.000458])
    """

    learning_rate: float = 1e-4
    decay: float = 0.95
    momentum: float = 0.9
    epsilon: float = 1e-4

    name: ClassVar[str] = "rmsprop-graves"
    ranges: ClassVar[dict] = {**Optimizer.ranges, "decay": SHARE, "momentum": SHARE, "epsilon": POSITIVE}

    def init(self, theta):
        return {key: np.zeros_like(theta) for key in ("square", "mean", "delta")}

    def update(self, theta, gradient, state, live, rate, numbers):
        arrays = (state["square"], state["mean"], state["delta"])
        _update(theta, gradient, *arrays, live, rate, self.decay, self.momentum, self.epsilon, *numbers)
