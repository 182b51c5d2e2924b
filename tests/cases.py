"""What several test modules share: finite differences, and one way to compare."""

import numpy as np

from rnnsim.learning import RULES
from rnnsim.networks.interface import GRADIENT, LINEARISATION, TIME

# Rules of networks that read sequences; a rule that needs something else has tests of its own.
SEQUENCE_RULES = tuple(name for name in RULES if RULES.load(name).needs <= {GRADIENT, TIME, LINEARISATION})


def differences(function, array, step=2e-4):
    """Gradient of function() with respect to `array`, which it reads: central differences of fourth order."""
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        values = []
        for multiple in (-2, -1, 1, 2):
            array[place] = kept + multiple * step
            values.append(function())
        array[place] = kept
        gradient[place] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return gradient


def distance(found, expected):
    """Largest difference relative to the largest expected number (at least a thousandth, against 0/0)."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape
    if not expected.size:
        return 0.0
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-3)
