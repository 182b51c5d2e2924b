"""How the error that flows back in time scales with the lag: vanishing and exploding gradients (Hochreiter 1991; Bengio 1994).

Back-propagation takes an error from the state s(T) to the state `lag` time steps before by a product of Jacobians ::

    dE/ds(T - lag) = dE/ds(T) M(T, lag),    M(T, lag) = J(T) J(T-1) ... J(T-lag+1),    J(t) = ds(t)/ds(t-1)

so the largest factor by which it can be scaled is the spectral norm of M, and the root mean square of the factors
over all directions is its Frobenius norm over the root of its size. Both go like exp(rate * lag) for large lags:
errors vanish if the rate is below 0 and explode if it is above. In the limit of long lags the rate is the largest
Lyapunov exponent of the network under its inputs, the mean of the logarithms on the diagonal of R when a frame is
carried forward, J(t) Q = Q' R (Benettin 1980).

The Jacobians come from the linearised cell, exact and for the whole state: of an LSTM that is h and c together, so
that the constant error carousel shows. The error that the readout adds at other time steps is not included.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.learning.online.structure import structure_of


class GradientFlow(NamedTuple):
    """What `gradient_flow` returns; logarithms are natural, so a rate of -0.1 is a factor of exp(-0.1) a time step."""

    lags: np.ndarray  # (L) 1, 2, ...
    largest: np.ndarray  # (ends, L) log of the spectral norm of M(T, lag)
    typical: np.ndarray  # (ends, L) log of its root mean square factor
    rate: float  # slope of the mean of `largest` over the second half of the lags
    exponents: np.ndarray  # largest Lyapunov exponents, in falling order
    size: int  # of the state

    @property
    def factors(self):
        """The geometric means over the ends, (L) each: exp of the means of `largest` and of `typical`."""
        return np.exp(self.largest.mean(axis=0)), np.exp(self.typical.mean(axis=0))


def state_jacobian(cell, linear):
    """ds'/ds (k*H, k*H), float64, of a cell at one time step from its `Linearised`; states in the order of `state_names`."""
    states, groups, hidden = linear.gain.shape
    size = states * hidden
    jacobian = np.zeros((size, size))
    diagonal = np.arange(hidden)
    for p in range(states):
        for q in range(states):
            jacobian[p * hidden + diagonal, q * hidden + diagonal] = linear.direct[p, q]
    changes = []  # da[g] / ds
    for g, group in enumerate(cell.groups):
        if group.weight_hh is None:
            changes.append(np.zeros((hidden, size)))
            continue
        recurrent_input = np.zeros((hidden, size))
        for q in range(states):
            recurrent_input[diagonal, q * hidden + diagonal] = linear.recurrent_input_direct[g, q]
        for e in range(g):
            recurrent_input += linear.recurrent_input_gain[g, e][:, None] * changes[e]
        weights = cell.weights["weight_hh"][group.weight_hh * hidden : (group.weight_hh + 1) * hidden]
        changes.append(weights.astype(np.float64) @ recurrent_input)
        for p in range(states):
            jacobian[p * hidden : (p + 1) * hidden] += linear.gain[p, g][:, None] * changes[g]
    return jacobian


def jacobians(net, inputs, skip=0):
    """J(t) for inputs (T, I) from the zero state, (T - skip, k*H, k*H); the first `skip` time steps are left out."""
    (cell,) = net.cells.values()
    state = np.zeros((len(cell.state_names), cell.hidden), net.dtype)
    found = []
    for t, x in enumerate(inputs):
        linear = cell.linearise(np.asarray(x, net.dtype), state)
        if t >= skip:
            found.append(state_jacobian(cell, linear))
        state = np.array(linear.state)
    return np.array(found)


def lyapunov_exponents(matrices, count=1, rng=0):
    """The `count` largest Lyapunov exponents of a product of matrices (T, N, N), by QR; -inf for directions that vanish.

    >>> turn_and_halve = 0.5 * np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> bool(np.allclose(lyapunov_exponents(np.array([turn_and_halve] * 50), 2), np.log(0.5)))
    True
    """
    frame = np.linalg.qr(np.random.default_rng(rng).normal(size=(matrices.shape[1], count)))[0]
    total, counted = np.zeros(count), 0
    for t, matrix in enumerate(matrices):
        frame, r = np.linalg.qr(matrix @ frame)
        if t >= len(matrices) // 10:  # until then the frame turns towards the directions that grow
            with np.errstate(divide="ignore"):
                total += np.log(np.abs(np.diag(r)))
            counted += 1
    return np.sort(total / counted)[::-1]


def product_norms(matrices, end, lags):
    """(log spectral norm, log root mean square factor) of matrices[end] ... matrices[end - lag + 1], lag = 1 .. lags."""
    size = matrices.shape[1]
    product, scale = np.eye(size), 0.0
    norms = np.full((2, lags), -np.inf)
    for lag in range(lags):
        product = product @ matrices[end - lag]
        whole = np.linalg.norm(product)
        if whole == 0:
            break
        product, scale = product / whole, scale + np.log(whole)  # against underflow
        norms[:, lag] = scale + np.log(np.linalg.norm(product, 2)), scale - 0.5 * np.log(size)
    return norms


def fitted_rate(lags, logs):
    """Slope of the logs over the second half of the lags, by least squares; -inf if errors vanish there altogether."""
    half = slice(len(lags) // 2, None)
    x, y = np.asarray(lags, float)[half], np.asarray(logs)[half]
    if not np.isfinite(y).all():
        return float("-inf")
    return float(np.polyfit(x, y, 1)[0]) if x.size > 1 else float(y[0] / x[0])


def gradient_flow(net, inputs, lags=100, ends=10, exponents=1, skip=None):
    """How an error scales with the lag as it flows back in time: vanishing and exploding gradients.

    M(T, lag) is the product of the Jacobians ds(t)/ds(t-1) of the last `lag` time steps before T (Hochreiter 1991;
    Bengio, Simard & Frasconi 1994)::

        dE/ds(T - lag) = dE/ds(T) M(T, lag),    M(T, lag) = J(T) J(T-1) ... J(T-lag+1)

    Its spectral norm is the largest factor by which an error can be scaled. Errors vanish if the rate of its
    logarithm is below 0 and explode if it is above.

    Parameters
    ----------
    net : a network of one layer, as for online rules
    inputs : (T, I), or tokens (T,); the state starts at zero
    lags : longest lag
    ends : number of time steps T from which errors start, spread over the end of the sequence
    exponents : number of Lyapunov exponents to find
    skip : time steps at the start of the sequence to leave out; None: a tenth of those that lags and ends do not need

    Returns a `GradientFlow`. Raises `RnnsimError` for a network of several layers and for a sequence shorter than
    lags + ends.

    >>> from rnnsim.networks import build
    >>> net = build("rnn", 1, 1, {"hidden": 3, "activation": "identity"}, "float64")
    >>> net.layout.view(net.theta, "weight_hh_l0")[...] = 0.9 * np.eye(3)
    >>> flow = gradient_flow(net, np.zeros((60, 1)), lags=20)
    >>> round(flow.rate, 6) == round(float(flow.exponents[0]), 6) == round(float(np.log(0.9)), 6)
    True
    """
    structure_of(net)
    lags, ends = at_least("lags", lags, 1), at_least("ends", ends, 1)
    inputs = np.asarray(inputs)
    if net.tokens:
        inputs = np.eye(net.n_inputs)[inputs]
    spare = len(inputs) - lags - ends
    require(
        spare >= 0,
        f"a sequence of {len(inputs)} time steps: lags={lags} and ends={ends} need one of at least {lags + ends}",
    )
    matrices = jacobians(net, inputs, spare // 10 if skip is None else min(skip, spare))
    size = matrices.shape[1]
    exponents = min(at_least("exponents", exponents, 1), size)
    places = np.unique(np.linspace(lags - 1, len(matrices) - 1, ends).astype(int))
    norms = np.array([product_norms(matrices, end, lags) for end in places])
    largest, typical = norms[:, 0], norms[:, 1]
    counted = np.arange(1, lags + 1)
    rate = fitted_rate(counted, largest.mean(axis=0))
    return GradientFlow(counted, largest, typical, rate, lyapunov_exponents(matrices, exponents), size)
