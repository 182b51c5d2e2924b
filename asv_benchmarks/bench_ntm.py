"""The neural Turing machine: steps, memory, seconds of compilation, time against N, and every kernel of a head."""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from rnnsim.core.batch import Sequences

CONTROLLERS = ("lstm", "feedforward")
ROWS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
HIDDEN, COLUMNS, STEPS, INPUTS, OUTPUTS = 100, 20, 41, 9, 8


def machine(controller="lstm", batch=1, rows=128, steps=STEPS, **options):
    """A machine with one read and one write head, a batch of random bits and the loss in bits a sequence."""
    from rnnsim.core.losses import Loss
    from rnnsim.networks import build

    rng = np.random.default_rng(0)
    options = dict(controller=controller, hidden=HIDDEN, memory=(rows, COLUMNS)) | options
    net = build("ntm", INPUTS, OUTPUTS, options)
    x = rng.integers(0, 2, (steps, batch, INPUTS)).astype(np.float32)
    data = Sequences(x, rng.integers(0, 2, (steps, batch, OUTPUTS)).astype(np.float32))
    return net, data, Loss("bernoulli", "every", "sequence", "bits")


class Step:
    """Forward, backward and update of one batch, and inference alone."""

    params = (CONTROLLERS, (1, 16))
    param_names = ("controller", "batch")

    def setup(self, controller, batch):
        from rnnsim.optimizers import RMSPropGraves

        self.net, self.batch, self.loss = machine(controller, batch)
        self.optimizer = RMSPropGraves(1e-4, clip=10)
        self.state = self.optimizer.init(self.net.theta)
        for _ in range(3):
            self.time_training_step(controller, batch)

    def time_training_step(self, controller, batch):
        result = self.net.loss_and_gradient(self.batch, self.loss)
        self.optimizer.step(self.net.theta, result.gradient, self.state, 0)

    def time_inference(self, controller, batch):
        self.net.evaluate(self.batch, self.loss)


class Options:
    """What options cost beside the plain machine, at batch 1."""

    params = (
        "read_heads=4",
        "write_heads=4",
        "shift_range=3",
        "layers=2",
        "order=read-first",
        "memory_start=learned",
        "recompute=6",
    )
    param_names = ("option",)

    def setup(self, option):
        key, value = option.split("=")
        self.net, self.batch, self.loss = machine(**{key: value})
        for _ in range(3):
            self.time_training_step(option)

    def time_training_step(self, option):
        self.net.loss_and_gradient(self.batch, self.loss)


class Rows:
    """A training step, and inference, against the rows of the memory; 10 time steps at batch 1."""

    params = (CONTROLLERS, ROWS)
    param_names = ("controller", "rows")

    def setup(self, controller, rows):
        self.net, self.batch, self.loss = machine(controller, rows=rows, steps=10)
        for _ in range(2):
            self.time_training_step(controller, rows)

    def time_training_step(self, controller, rows):
        self.net.loss_and_gradient(self.batch, self.loss)

    def time_inference(self, controller, rows):
        self.net.evaluate(self.batch, self.loss)


class Memory:
    """What is kept of a time step in units of one memory matrix, and the peak of 10,000 time steps with recomputation."""

    params = (CONTROLLERS,)
    param_names = ("controller",)
    timeout = 300

    def _kept(self, controller, steps, **options):
        net, batch, loss = machine(controller, steps=steps, **options)
        net.loss_and_gradient(batch, loss)
        return net.workspace_bytes

    def track_memory_matrices_kept_a_time_step(self, controller):
        """1 is the memory itself; the rest are weightings and what heads emit, controller and outputs."""
        return (self._kept(controller, 600) - self._kept(controller, 100)) / 500 / (128 * COLUMNS * 4)

    def track_bytes_kept_for_10_000_time_steps(self, controller):
        """With recomputation; the bound is 1 GB."""
        return self._kept(controller, 10_000, recompute=100)

    def track_bytes_kept_for_10_000_time_steps_without_recomputation(self, controller):
        return self._kept(controller, 10_000)

    def peakmem_10_000_time_steps(self, controller):
        net, batch, loss = machine(controller, steps=10_000, recompute=100)
        net.loss_and_gradient(batch, loss)

    track_memory_matrices_kept_a_time_step.unit = "matrices"
    track_bytes_kept_for_10_000_time_steps.unit = "bytes"
    track_bytes_kept_for_10_000_time_steps_without_recomputation.unit = "bytes"


_FIRST_USE = """
import sys, time
start = time.perf_counter()
sys.path.insert(0, {root!r})
from asv_benchmarks.bench_ntm import machine
net, batch, loss = machine({controller!r}, 16)
net.loss_and_gradient(batch, loss)
print(time.perf_counter() - start)
"""


class Compilation:
    """Seconds from importing rnnsim to the first gradient at batch 16, with an empty cache and with a warm one."""

    params = (CONTROLLERS,)
    param_names = ("controller",)
    timeout = 300

    def _seconds(self, controller, folder):
        root = str(pathlib.Path(__file__).resolve().parent.parent)
        code = _FIRST_USE.format(root=root, controller=controller)
        environment = {**os.environ, "RNNSIM_CACHE_DIR": folder}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout)

    def track_cold_seconds(self, controller):
        with tempfile.TemporaryDirectory() as folder:
            return self._seconds(controller, folder)

    def track_warm_seconds(self, controller):
        with tempfile.TemporaryDirectory() as folder:
            self._seconds(controller, folder)
            return self._seconds(controller, folder)

    track_cold_seconds.unit = track_warm_seconds.unit = "seconds"


class Kernels:
    """Every step of a head, forward and backward, as its public function calls it; the call itself included."""

    params = (("content", "interpolate", "shift", "sharpen", "read", "erase_and_add"), (128, 65536))
    param_names = ("step", "rows")

    def setup(self, step, rows):
        from rnnsim.networks.ntm import heads

        rng = np.random.default_rng(0)

        def numbers(*shape):
            return rng.uniform(size=shape).astype(np.float32)

        memory, weights = numbers(rows, COLUMNS), numbers(rows)
        weights /= weights.sum()
        self.arguments = {
            "content": (memory, numbers(COLUMNS), 5.0),
            "interpolate": (weights, weights, 0.5),
            "shift": (weights, numbers(3)),
            "sharpen": (weights, 2.0),
            "read": (memory, weights),
            "erase_and_add": (memory, weights, numbers(COLUMNS), numbers(COLUMNS)),
        }[step]
        self.forward, self.backward = getattr(heads, step), getattr(heads, f"{step}_backward")
        self.gradient = np.ones_like(self.forward(*self.arguments))
        self.time_backward(step, rows)

    def time_forward(self, step, rows):
        self.forward(*self.arguments)

    def time_backward(self, step, rows):
        self.backward(self.gradient, *self.arguments)
