"""The loss of a network on a batch as a function that `scipy.optimize.minimize` takes."""

from collections.abc import Callable

import numpy as np

from rnnsim.core.batch import Batch
from rnnsim.core.losses import Loss
from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError
from rnnsim.networks.interface import Network


def objective(net: Network, batch: Batch, loss: Loss | None = None) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """f(theta) -> (loss, gradient) in float64, for ``scipy.optimize.minimize(f, net.theta, jac=True, method=...)``.

    net : a network of dtype float64
    batch : a batch that the network reads, such as `rnnsim.tasks.Sequences`
    loss : a `rnnsim.core.losses.Loss`; None: squared error summed over time steps and averaged over sequences

    The gradient is a copy, as SciPy's line searches keep old ones; entries of frozen connections are zero. Each call leaves its
    theta in the network. Raises `RnnsimError` if the network is not float64, as line searches need more digits than float32
    has, and, at a call, if theta has another shape than that of the network.

    >>> import scipy.optimize, rnnsim as rs
    >>> net = rs.Recurrent("rnn", 1, 1, hidden=4, dtype="float64", rng=0)
    >>> x = np.random.default_rng(0).normal(size=(6, 5, 1))
    >>> f = objective(net, rs.tasks.Sequences(inputs=x, targets=np.cumsum(x, axis=0)))
    >>> before, after = f(net.theta)[0], scipy.optimize.minimize(f, net.theta, jac=True, method="L-BFGS-B").fun
    >>> bool(after < before / 100)
    True
    """
    if net.dtype != np.float64:
        raise RnnsimError(f"dtype={net.dtype}: SciPy's optimizers expect a network of dtype float64")
    loss = loss or Loss("squared_error", "every", "sequence", "squared")

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        theta = np.asarray(theta, np.float64)
        require(theta.shape == net.theta.shape, f"theta: expected shape {net.theta.shape}, got {theta.shape}")
        result = net.loss_and_gradient(batch, loss, theta=theta)
        return result.loss, result.gradient.copy()

    return value_and_gradient
