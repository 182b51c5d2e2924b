"""rnnsim beside PyTorch and JAX: the same layer, forward and backward, each engine in processes of its own.

    python -m asv_benchmarks.peers [--cells lstm,gru,rnn] [--rounds 3] [--against torch,torch-1-thread,jax] [--json FILE]

The work: outputs y (T, B, H) of one layer from inputs x, the loss sum(y^2) / 2, and its gradient with respect to all weights
and biases of the layer. First every engine computes the gradient from the same weights and inputs, and they must agree; then
the engines are timed one after another, each in a fresh process that times itself alone on the machine, in several alternating
rounds. The figures are medians of the rounds' medians, in milliseconds; the ratio is that of the best peer to rnnsim.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

from asv_benchmarks.cases import CASES

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
SECONDS = 1.0  # of timing for one case in one process
TOLERANCE = 2e-3  # relative, for float32 sums over thousands of ticks in different orders


def problem(cell, case):
    """Weights in PyTorch's layout and inputs of a case, always the same."""
    batch, steps, n, hidden = case
    rng = np.random.default_rng(7)
    rows = GATES[cell] * hidden
    shapes = {"weight_ih": (rows, n), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
    bound = hidden**-0.5
    weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    return weights, rng.standard_normal((steps, batch, n)).astype(np.float32)


def rnnsim_step(cell, case):
    """A function that computes (loss, gradients by name)."""
    from rnnsim.networks import build

    weights, x = problem(cell, case)
    batch, _, n, hidden = case
    net = build(cell, n, hidden, {"hidden": hidden, "readout": "none", "bias": "double"})
    for name, value in weights.items():
        net.layout.view(net.theta, name + "_l0")[...] = value
    layer, state, lengths = net.cells["_l0"], net.initial_state(batch)[0], np.zeros(0, np.int64)
    d_state = [np.zeros_like(part) for part in state]

    def step():
        y = layer.forward(x, state, lengths)
        net.gradient[...] = 0
        for part in d_state:
            part[...] = 0
        loss = float(np.vdot(y, y)) / 2
        layer.backward(y, d_state)
        return loss

    def gradients():
        loss = step()
        return loss, {name: net.layout.view(net.gradient, name + "_l0").copy() for name in weights}

    return step, gradients


def torch_step(cell, case, threads=None):
    """The same with torch.nn.LSTM, GRU or RNN."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    weights, x = problem(cell, case)
    _, _, n, hidden = case
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](n, hidden)
    with torch.no_grad():
        for name, value in weights.items():
            getattr(layer, name + "_l0").copy_(torch.from_numpy(value))
    x = torch.from_numpy(x)

    def step():
        layer.zero_grad(set_to_none=False)
        y, _ = layer(x)
        loss = (y * y).sum() / 2
        loss.backward()
        return loss

    def gradients():
        loss = float(step().detach())
        return loss, {name: getattr(layer, name + "_l0").grad.numpy().copy() for name in weights}

    return step, gradients


def jax_step(cell, case):
    """The same as a jitted scan with value_and_grad; the input projection is taken out of the scan."""
    import jax
    import jax.numpy as jnp

    weights, x = problem(cell, case)
    batch, _, _, hidden = case

    def lstm(state, z, w):
        h, c = state
        i, f, g, o = jnp.split(z + h @ w["weight_hh"].T + w["bias_hh"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(state, z, w):
        (h,) = state
        xr, xz, xn = jnp.split(z, 3, axis=-1)
        hr, hz, hn = jnp.split(h @ w["weight_hh"].T + w["bias_hh"], 3, axis=-1)
        keep = jax.nn.sigmoid(xz + hz)
        new = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
        h = (1 - keep) * new + keep * h
        return (h,), h

    def rnn(state, z, w):
        h = jnp.tanh(z + state[0] @ w["weight_hh"].T + w["bias_hh"])
        return (h,), h

    tick = {"lstm": lstm, "gru": gru, "rnn": rnn}[cell]

    def loss(w, x):
        z = x @ w["weight_ih"].T + w["bias_ih"]
        state = (jnp.zeros((batch, hidden)),) * (2 if cell == "lstm" else 1)
        _, y = jax.lax.scan(lambda state, z: tick(state, z, w), state, z)
        return (y * y).sum() / 2

    both = jax.jit(jax.value_and_grad(loss))
    w, x = {name: jnp.asarray(value) for name, value in weights.items()}, jnp.asarray(x)

    def step():
        return jax.block_until_ready(both(w, x))

    def gradients():
        value, grads = step()
        return float(value), {name: np.asarray(grad) for name, grad in grads.items()}

    return step, gradients


def make(engine, cell, case):
    """(step, gradients) of an engine."""
    if engine == "rnnsim":
        return rnnsim_step(cell, case)
    if engine == "jax":
        return jax_step(cell, case)
    return torch_step(cell, case, 1 if engine == "torch-1-thread" else None)


def median_milliseconds(step):
    """Median time of a step, after a warm-up, over `SECONDS` or at least five steps."""
    for _ in range(3):
        step()
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def worker(engine, cell, cases, folder):
    """In a process of its own: check against the gradients in `folder` (or write them), or time; JSON lines out."""
    for index in cases:
        step, gradients = make(engine, cell, CASES[index])
        if folder:
            loss, grads = gradients()
            np.savez(os.path.join(folder, f"{engine}-{cell}-{index}.npz"), loss=loss, **grads)
            print(json.dumps([index, loss]), flush=True)
        else:
            print(json.dumps([index, median_milliseconds(step)]), flush=True)


def run(engine, cell, cases, folder=""):
    """Run a worker; {case index: figure}, or None if the engine is not installed."""
    command = [sys.executable, "-m", "asv_benchmarks.peers", "--worker", engine, "--cells", cell, "--folder", folder]
    command += ["--cases", ",".join(map(str, cases))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing = "ModuleNotFoundError" in done.stderr
        print(
            f"{engine} {cell}: {'not installed' if missing else done.stderr.strip().splitlines()[-1]}", file=sys.stderr
        )
        return None
    return dict(json.loads(line) for line in done.stdout.splitlines())


def check_agreement(engines, cell, cases):
    """Largest relative difference of any gradient between an engine and rnnsim; stops if it is too large."""
    import tempfile

    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        engines = [engine for engine in engines if run(engine, cell, cases, folder)]
        for index in cases:
            ours = np.load(os.path.join(folder, f"rnnsim-{cell}-{index}.npz"))
            for engine in engines:
                theirs = np.load(os.path.join(folder, f"{engine}-{cell}-{index}.npz"))
                for name in ours.files:
                    scale = float(np.abs(ours[name]).max()) or 1.0
                    difference = float(np.abs(ours[name] - theirs[name]).max()) / scale
                    if not difference < TOLERANCE:
                        raise SystemExit(
                            f"{engine} and rnnsim differ by {difference:.1e} in {name}, {cell} {CASES[index]}"
                        )
                    worst = max(worst, difference)
    return engines, worst


def table(cell, cases, engines, figures):
    """The ratio table of a cell in Markdown, and its ratios."""
    rows = [
        f"| {cell} (B, T, in, H) | " + " | ".join(engines) + " | best peer / rnnsim |",
        "|---" * (len(engines) + 2) + "|",
    ]
    ratios = []
    for index in cases:
        milliseconds = [statistics.median(figures[engine][index]) for engine in engines]
        cells = [f"{value:.3g}" for value in milliseconds]
        if len(milliseconds) > 1:
            ratios.append(min(milliseconds[1:]) / milliseconds[0])
            cells.append(f"**{ratios[-1]:.1f}x**")
        rows.append(f"| {', '.join(map(str, CASES[index]))} | " + " | ".join(cells) + " |")
    return "\n".join(rows), ratios


def main():
    """Check, time in alternating rounds, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default="lstm,gru,rnn")
    parser.add_argument("--against", default="torch,torch-1-thread,jax")
    parser.add_argument("--cases", default=",".join(map(str, range(len(CASES)))), help="numbers of the cases, from 0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = [int(index) for index in options.cases.split(",")]
    if options.worker:
        worker(options.worker, options.cells, cases, options.folder)
        return
    everything, all_ratios = {}, []
    for cell in options.cells.split(","):
        engines, worst = check_agreement(["rnnsim", *options.against.split(",")], cell, cases)
        print(f"\n{cell}: gradients of {', '.join(engines)} agree to {worst:.1e} of the largest entry\n", flush=True)
        figures = {engine: {index: [] for index in cases} for engine in engines}
        for _ in range(options.rounds):
            for engine in engines:
                for index, value in run(engine, cell, cases).items():
                    figures[engine][index].append(value)
        text, ratios = table(cell, cases, engines, figures)
        print(text, flush=True)
        everything[cell] = figures
        all_ratios += ratios
    if all_ratios:
        mean = float(np.exp(np.mean(np.log(all_ratios))))
        print(f"\ngeometric mean of best peer / rnnsim: {mean:.2f}; smallest: {min(all_ratios):.2f}")
    print(f"milliseconds; {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cases": CASES, "figures": everything}, file)


if __name__ == "__main__":
    main()
