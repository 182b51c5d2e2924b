"""Weight noise: independent normal noise on every trainable weight, with fresh draws at every step.

It regularises recurrent networks: K. Jim, C. L. Giles & B. G. Horne, IEEE Trans. Neural Networks 7(6), 1996; Graves
2013 draws it once a sequence. The gradient is taken at the noisy weights and applied to the clean ones.
"""

import functools

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.rng import normal, stream_key


@jit_exact
def _add_noise(out, theta, deviation, key, step, live):
    for i in range(theta.size):
        if live.size and not live[i]:
            out[i] = theta[i]
        else:
            out[i] = theta[i] + deviation * normal(key, step, i)


@functools.lru_cache(maxsize=16)
def _key(seed):
    return stream_key(seed, "weight noise")


def with_noise(theta, deviation, seed, step, live):
    """A new vector theta + deviation * normal noise; entries where the bool array `live` is False stay (size 0: none).

    >>> with_noise(np.zeros(3), 0.1, 1, 7, np.array([False, True, False]))[[0, 2]]
    array([0., 0.])
    """
    out = np.empty_like(theta)
    _add_noise(out, theta, float(deviation), _key(seed), step, live)
    return out
