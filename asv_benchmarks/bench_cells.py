"""Training step and inference of every cell, memory, and seconds of compilation."""

import subprocess
import sys
import tempfile

from .cases import CASES, CELLS, needed_bytes, network


class Step:
    """Forward and backward pass of one batch, and inference alone."""

    params = (CELLS, CASES, ("float32",))
    param_names = ("cell", "B, T, in, H", "dtype")

    def setup(self, cell, case, dtype):
        self.net, self.batch, self.loss = network(cell, case, dtype)
        for _ in range(3):
            self.net.loss_and_gradient(self.batch, self.loss)

    def time_training_step(self, cell, case, dtype):
        self.net.loss_and_gradient(self.batch, self.loss)

    def time_inference(self, cell, case, dtype):
        self.net.evaluate(self.batch, self.loss)


class Step64(Step):
    """The same in float64, on two of the cases."""

    params = (CELLS, (CASES[1], CASES[3]), ("float64",))


class Options:
    """What options of the cells cost beside the plain cell."""

    params = (
        "lstm peepholes=True",
        "lstm gates=coupled",
        "gru reset=before",
        "gru variant=gru1",
        "gru variant=gru3",
        "rnn leak=0.5",
        "rnn activation=rectifier",
        "lstm layers=2",
        "lstm bidirectional=True",
    )
    param_names = ("network",)

    def setup(self, text):
        cell, option = text.split()
        key, value = option.split("=")
        case = CASES[3]
        options = {key: value}
        if key == "bidirectional":
            options["hidden"] = case[3] // 2
        from rnnsim.networks import build

        _, self.batch, self.loss = network(cell, case)
        self.net = build(cell, case[2], case[3], {"hidden": case[3], "readout": "none", **options})
        self.net.loss_and_gradient(self.batch, self.loss)

    def time_training_step(self, text):
        self.net.loss_and_gradient(self.batch, self.loss)


class Memory:
    """Bytes kept between steps, and their ratio to the activations that the backward pass needs."""

    params = (CELLS, (CASES[2], CASES[5], CASES[7]))
    param_names = ("cell", "B, T, in, H")

    def setup(self, cell, case):
        self.net, self.batch, self.loss = network(cell, case)
        self.net.loss_and_gradient(self.batch, self.loss)

    def peakmem_training_step(self, cell, case):
        self.net.loss_and_gradient(self.batch, self.loss)

    def track_ratio_to_needed(self, cell, case):
        return self.net.workspace_bytes / needed_bytes(cell, case)

    track_ratio_to_needed.unit = "ratio"


_FIRST_USE = """
import sys, time
import numpy as np
start = time.perf_counter()
sys.path.insert(0, {root!r})
from asv_benchmarks.cases import network
net, batch, loss = network({cell!r}, (32, 28, 28, 100))
net.loss_and_gradient(batch, loss)
print(time.perf_counter() - start)
"""


class Compilation:
    """Seconds from importing rnnsim to the first gradient, with an empty cache and with a warm one."""

    params = (CELLS,)
    param_names = ("cell",)
    timeout = 300

    def _seconds(self, cell, folder):
        import os
        import pathlib

        root = str(pathlib.Path(__file__).resolve().parent.parent)
        code = _FIRST_USE.format(root=root, cell=cell)
        environment = {**os.environ, "RNNSIM_CACHE_DIR": folder}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout)

    def track_cold_seconds(self, cell):
        with tempfile.TemporaryDirectory() as folder:
            return self._seconds(cell, folder)

    def track_warm_seconds(self, cell):
        with tempfile.TemporaryDirectory() as folder:
            self._seconds(cell, folder)
            return self._seconds(cell, folder)

    track_cold_seconds.unit = track_warm_seconds.unit = "seconds"
