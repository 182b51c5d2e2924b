"""Matrix products: the micro-kernel on packed weights beside BLAS, and the weight gradient."""

import numpy as np

SHAPES = ((1, 128, 32), (16, 400, 100), (64, 2048, 512))


class Product:
    """c (M, N) = a (M, K) @ b (K, N), twenty times as in the time steps of a sequence."""

    params = (SHAPES, ("float32", "float64"))
    param_names = ("M, N, K", "dtype")

    def setup(self, shape, dtype):
        from rnnsim.core import blas, gemm
        from rnnsim.core.jit import jit_exact

        m, n, k = shape
        rng = np.random.default_rng(0)
        self.a, self.b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        self.c = np.zeros((m, n), dtype)
        self.panels = np.empty(gemm.packed_shape(k, n, dtype), dtype)
        gemm.pack(self.panels, self.b)
        product_packed, gemm_blas = gemm.product_packed, blas.gemm

        @jit_exact
        def packed(c, a, panels):
            for _ in range(20):
                product_packed(c, a, panels, False)

        @jit_exact
        def with_blas(c, a, b):
            for _ in range(20):
                gemm_blas(False, False, 1.0, a, b, 0.0, c)

        self.packed, self.with_blas, self.single = packed, with_blas, blas.single_threaded
        packed(self.c, self.a, self.panels)
        with_blas(self.c, self.a, self.b)

    def time_packed(self, shape, dtype):
        self.packed(self.c, self.a, self.panels)

    def time_blas_one_thread(self, shape, dtype):
        with self.single():
            self.with_blas(self.c, self.a, self.b)


class WeightGradient:
    """gradient (G, N) += d (R, G).T @ v (R, N)."""

    params = (((3200, 400, 100), (6400, 2048, 512)),)
    param_names = ("R, G, N",)

    def setup(self, shape):
        from rnnsim.core.products import weight_gradient
        from rnnsim.core.workspace import Workspace

        rows, g, n = shape
        self.arguments = (
            np.zeros((g, n), np.float32),
            np.zeros(g, np.float32),
            np.ones((rows, g), np.float32),
            np.ones((rows, n), np.float32),
            Workspace("float32"),
        )
        self.weight_gradient = weight_gradient
        weight_gradient(*self.arguments)

    def time_weight_gradient(self, shape):
        self.weight_gradient(*self.arguments)


def _sgemm_rate():
    """GFLOP/s of NumPy's own single-precision product on all threads."""
    import time

    a = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    c = np.empty_like(a)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        np.dot(a, a, out=c)
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times) / 1e9


def track_lstm_share_of_sgemm():
    """GFLOP/s of an LSTM training step at H = 512 as a share of the machine's sgemm rate."""
    import time

    from .cases import CASES, network

    batch, steps, inputs, hidden = CASES[6]
    net, data, loss = network("lstm", CASES[6])
    times = []
    for _ in range(8):
        start = time.perf_counter()
        net.loss_and_gradient(data, loss)
        times.append(time.perf_counter() - start)
    operations = 2 * steps * batch * 4 * hidden * (3 * hidden + 2 * inputs)
    return operations / min(times) / 1e9 / _sgemm_rate()


track_lstm_share_of_sgemm.unit = "ratio"
