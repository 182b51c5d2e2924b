"""The common ground of the suite: cases, and layers made ready for them."""

import numpy as np

from rnnsim.cells import CELLS as REGISTRY

CASES = (
    (1, 100, 8, 32),
    (16, 100, 10, 32),
    (32, 100, 10, 100),
    (32, 28, 28, 100),
    (64, 50, 64, 128),
    (64, 100, 128, 256),
    (128, 50, 256, 512),
    (16, 784, 1, 100),
)
CELLS = tuple(REGISTRY)


def network(cell, case, dtype="float32", **options):
    """A network of one layer with all its units as outputs, a batch for it and the loss sum of squares."""
    from rnnsim.core.batch import Sequences
    from rnnsim.core.losses import Loss
    from rnnsim.networks import build

    batch, steps, inputs, hidden = case
    rng = np.random.default_rng(0)
    net = build(cell, inputs, hidden, {"hidden": hidden, "readout": "none", **options}, dtype)
    x = rng.standard_normal((steps, batch, inputs)).astype(dtype)
    targets = np.zeros((steps, batch, hidden), dtype)
    return net, Sequences(x, targets), Loss("squared_error", "every", "sequence", "squared")


def needed_bytes(cell, case, dtype="float32"):
    """Bytes of the activations that a backward pass needs: gates, states and the loss's gradient at the outputs.

    LSTM: four gates, c and h; GRU: r, z, n, the recurrent part of n, and h.
    Inputs belong to the caller. The gradient of the outputs counts once.
    """
    batch, steps, _, hidden = case
    layer = REGISTRY.build(cell, n_inputs=1, hidden=1)
    return (len(layer.groups) + len(layer.state_names) + 1) * batch * steps * hidden * np.dtype(dtype).itemsize
