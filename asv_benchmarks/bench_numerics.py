"""Vector maths, losses and optimisers: time per call, and the largest error in ulp of the vector functions."""

import numpy as np

from rnnsim.core import vmath
from rnnsim.core.jit import jit
from rnnsim.core.losses import KINDS, Loss
from rnnsim.optimizers import OPTIMIZERS

DTYPES = ["float32", "float64"]
FUNCTIONS = ["exp", "log", "tanh", "sigmoid", "softplus"]


def _loop(function):
    @jit
    def loop(out, x):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


class VectorMaths:
    """A loop over 4096 contiguous elements (they stay in the first-level cache)."""

    params = [FUNCTIONS, DTYPES]
    param_names = ["function", "dtype"]

    def setup(self, function, dtype):
        self.loop = _loop(getattr(vmath, function))
        self.x = np.random.default_rng(0).normal(0, 4, 4096).astype(dtype)
        self.x = np.abs(self.x) if function == "log" else self.x
        self.out = np.empty_like(self.x)
        self.loop(self.out, self.x)

    def time_loop(self, function, dtype):
        self.loop(self.out, self.x)

    def track_ulp(self, function, dtype):
        x = self.x.astype(np.longdouble)
        exact = {
            "exp": lambda: np.exp(x),
            "log": lambda: np.log(x),
            "tanh": lambda: np.tanh(x),
            "sigmoid": lambda: 1 / (1 + np.exp(-x)),
            "softplus": lambda: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        }[function]()
        return float(np.max(np.abs(self.out - exact) / np.spacing(np.abs(exact).astype(dtype))))

    track_ulp.unit = "ulp"


class Rows:
    """Log-softmax of one row, and the search for a number that is not finite."""

    params = [[10, 100, 10_000], DTYPES]
    param_names = ["size", "dtype"]

    def setup(self, size, dtype):
        self.x = np.random.default_rng(0).normal(0, 4, size).astype(dtype)
        self.out = np.empty_like(self.x)
        vmath.log_softmax_row(self.out, self.x)
        vmath.all_finite(self.x)

    def time_log_softmax(self, size, dtype):
        vmath.log_softmax_row(self.out, self.x)

    def time_all_finite(self, size, dtype):
        vmath.all_finite(self.x)


class Losses:
    """One loss with its gradient, for outputs (rows, width)."""

    params = [KINDS, [(1, 10), (1600, 1), (640, 10), (6400, 100)], DTYPES]
    param_names = ["kind", "shape", "dtype"]

    def setup(self, kind, shape, dtype):
        rng = np.random.default_rng(0)
        self.loss = Loss(kind, when="last")
        self.outputs = rng.normal(size=shape).astype(dtype)
        self.gradient = np.empty_like(self.outputs)
        if kind == "softmax":
            self.targets = rng.integers(0, shape[1], shape[0]).astype(np.int32)
        else:
            self.targets = rng.integers(0, 2, shape).astype(dtype)
        self.weights = rng.integers(0, 2, shape[0]).astype(dtype)
        self.time_gradient(kind, shape, dtype)
        self.time_masked_gradient(kind, shape, dtype)

    def time_gradient(self, kind, shape, dtype):
        self.loss.evaluate(self.outputs, self.targets, gradient=self.gradient)

    def time_masked_gradient(self, kind, shape, dtype):
        self.loss.evaluate(self.outputs, self.targets, self.weights, gradient=self.gradient)


class Optimizers:
    """One update of all parameters, with both kinds of clipping."""

    params = [list(OPTIMIZERS), [1_000, 100_000], DTYPES]
    param_names = ["optimizer", "parameters", "dtype"]

    def setup(self, optimizer, parameters, dtype):
        self.optimizer = OPTIMIZERS.build(optimizer, {"clip": 1.0, "clip_norm": 10.0})
        self.theta = np.random.default_rng(0).normal(size=parameters).astype(dtype)
        self.gradient = self.theta * self.theta.dtype.type(1e-3)
        self.trainable = self.theta > 0
        self.state = self.optimizer.init(self.theta)
        self.time_step(optimizer, parameters, dtype)

    def time_step(self, optimizer, parameters, dtype):
        self.optimizer.step(self.theta, self.gradient, self.state, 0)

    def time_step_with_frozen_entries(self, optimizer, parameters, dtype):
        self.optimizer.step(self.theta, self.gradient, self.state, 0, self.trainable)
