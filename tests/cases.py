"""What several test modules share: finite differences, one way to compare, and one to run a network of any kind."""

import numpy as np

from rnnsim.core.batch import Sequences


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


def random_batch(net, loss, size=3, seed=0):
    """A random batch of the kind that a network takes."""
    return net.random_batch(np.random.default_rng(seed), size, loss)


def run(net, batch):
    """All that a forward pass gives, a list of arrays: outputs, the final state if there is one, and every trace."""
    if isinstance(batch, Sequences):
        found = net.forward(batch.inputs, batch.lengths, record=net.trace_names)
        return [found.outputs, *found.state, *found.records.values()]
    found = net.forward(batch, record=net.trace_names)
    return [found.outputs, *found.records.values()]
