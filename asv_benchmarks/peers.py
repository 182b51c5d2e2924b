"""rnnsim beside PyTorch and JAX: the same work, forward and backward, each engine in processes of its own.

    python -m asv_benchmarks.peers [--cells lstm,ntm-lstm] [--rounds 3] [--against torch,torch-1-thread,jax] [--json FILE]
        [--isa avx2]

lstm, gru and rnn are one layer (`asv_benchmarks.peers_layers`); ntm-lstm and ntm-feedforward are a training step of a neural
Turing machine (`asv_benchmarks.peers_ntm`); rtrl and the other online rules are a sequence learned forward in time
(`asv_benchmarks.peers_online`); lstm1997 and lstm1997-every are memory blocks that learn online, beside plain NumPy and
compiled loops too (`asv_benchmarks.peers_lstm1997`); rnn-tree and lstm-tree go over the trees of sentences
(`asv_benchmarks.peers_trees`). First every engine computes loss and gradient from the same weights and
inputs, and they must agree; then the engines are timed one after another, each in a fresh process that times itself alone on
the machine, in several alternating rounds. The figures are medians of the rounds' medians; the ratio is that of the best peer
to rnnsim. With --isa avx2 every engine keeps to AVX2 (`rnnsim.core.isa`), and every process says what it used, or stops.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from asv_benchmarks import peers_layers, peers_lstm1997, peers_ntm, peers_online, peers_trees
from rnnsim.core import isa

SUITES = {
    "lstm": peers_layers,
    "gru": peers_layers,
    "rnn": peers_layers,
    "ntm-lstm": peers_ntm,
    "ntm-feedforward": peers_ntm,
    **dict.fromkeys(peers_online.NAMES, peers_online),
    **dict.fromkeys(peers_lstm1997.NAMES, peers_lstm1997),
    **dict.fromkeys(peers_trees.NAMES, peers_trees),
}
RATIO_TO_EACH = (peers_ntm, peers_lstm1997, peers_trees)  # suites whose tables give the ratio to every peer
SECONDS = 1.0  # of timing for one case in one process
TOLERANCE = 2e-3  # relative, for float32 sums over thousands of time steps in any order; a suite may have its own


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


def worker(engine, cell, cases, folder, isa_wanted):
    """In a process of its own: check against the gradients in `folder` (or write them), or time; JSON lines out."""
    for index in cases:
        step, gradients = SUITES[cell].make(engine, cell, SUITES[cell].CASES[index])
        if folder:
            loss, grads = gradients()
            np.savez(os.path.join(folder, f"{engine}-{cell}-{index}.npz"), loss=loss, **grads)
            print(json.dumps([index, loss]), flush=True)
        else:
            print(json.dumps([index, median_milliseconds(step)]), flush=True)
    if isa_wanted:
        print(json.dumps(["isa", isa.obeyed(isa_wanted)]), flush=True)


def run(engine, cell, cases, folder=""):
    """Run a worker; {case index: figure} ("isa": what it used, if it is held to one), or None if the engine is not installed."""
    command = [sys.executable, "-m", "asv_benchmarks.peers", "--worker", engine, "--cells", cell, "--folder", folder]
    command += ["--cases", ",".join(map(str, cases))] + (["--isa", isa.name()] if isa.name() else [])
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
    worst, tolerance = 0.0, getattr(SUITES[cell], "TOLERANCE", TOLERANCE)
    with tempfile.TemporaryDirectory() as folder:
        used = {engine: run(engine, cell, cases, folder) for engine in engines}
        engines = [engine for engine in engines if used[engine]]
        for engine in engines if isa.name() else ():
            print(f"{engine}, held to {isa.name()}: " + ", ".join(f"{k} {v}" for k, v in used[engine]["isa"].items()))
        for index in cases:
            ours = np.load(os.path.join(folder, f"rnnsim-{cell}-{index}.npz"))
            for engine in engines:
                theirs = np.load(os.path.join(folder, f"{engine}-{cell}-{index}.npz"))
                for name in ours.files:
                    scale = float(np.abs(ours[name]).max()) or 1.0
                    difference = float(np.abs(ours[name] - theirs[name]).max()) / scale
                    if not difference < tolerance:
                        raise SystemExit(
                            f"{engine} and rnnsim differ by {difference:.1e} in {name}, {cell} {SUITES[cell].CASES[index]}"
                        )
                    worst = max(worst, difference)
    return engines, worst


def table(cell, cases, engines, figures):
    """The ratio table of a cell in Markdown, and its ratios."""
    suite = SUITES[cell]
    rows = [
        f"| {cell} {suite.TITLE} | " + " | ".join(engines) + " | best peer / rnnsim |",
        "|---" * (len(engines) + 2) + "|",
    ]
    ratios = []
    for index in cases:
        case = suite.CASES[index]
        times = [suite.figure(case, statistics.median(figures[engine][index])) for engine in engines]
        cells = [f"{value:.3g}" for value in times]
        if len(times) > 1:
            if suite in RATIO_TO_EACH:
                cells[1:] = [f"{value:.3g} ({value / times[0]:.1f}x)" for value in times[1:]]
            ratios.append(min(times[1:]) / times[0])
            cells.append(f"**{ratios[-1]:.1f}x**")
        rows.append(f"| {', '.join(map(str, case))} | " + " | ".join(cells) + " |")
    return "\n".join(rows), ratios


def main(arguments=None):
    """Check, time in alternating rounds, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default=",".join(SUITES), help=", ".join(SUITES))
    parser.add_argument("--against", default="torch,torch-1-thread,jax")
    parser.add_argument("--cases", help="numbers of the cases, from 0; by default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="file for the figures, in milliseconds a step")
    parser.add_argument("--isa", choices=list(isa.SETTINGS), default=isa.name(), help="hold every engine to it")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.cells.split(",")
    for name in names:
        if name not in SUITES:
            parser.error(f"--cells {name}: expected some of {', '.join(SUITES)}")
    wanted = [int(index) for index in options.cases.split(",")] if options.cases else range(100)
    cases = {name: [index for index in wanted if index < len(SUITES[name].CASES)] for name in names}
    if options.worker:
        worker(options.worker, names[0], cases[names[0]], options.folder, options.isa)
        return
    if options.isa:
        os.environ.update(isa.environment(options.isa))  # the engines are processes of their own
    everything, ratios = {}, {}
    for cell in names:
        against = options.against.split(",")
        if hasattr(SUITES[cell], "engines"):
            against = SUITES[cell].engines(cell, against)
        engines, worst = check_agreement(["rnnsim", *against], cell, cases[cell])
        compared = getattr(SUITES[cell], "COMPARED", "gradients")
        print(f"\n{cell}: {compared} of {', '.join(engines)} agree to {worst:.1e} of the largest entry")
        print(f"{SUITES[cell].UNIT}\n", flush=True)
        figures = {engine: {index: [] for index in cases[cell]} for engine in engines}
        for _ in range(options.rounds):
            for engine in engines:
                found = run(engine, cell, cases[cell])
                for index in cases[cell]:
                    figures[engine][index].append(found[index])
        text, found = table(cell, cases[cell], engines, figures)
        print(text, flush=True)
        everything[cell] = figures
        ratios.setdefault(SUITES[cell], []).extend(found)
    print()
    for suite, found in ratios.items():
        if found:
            own = ", ".join(name for name in names if SUITES[name] is suite)
            mean = float(np.exp(np.mean(np.log(found))))
            print(f"{own}: geometric mean of best peer / rnnsim: {mean:.2f}; smallest: {min(found):.2f}")
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cases": {name: SUITES[name].CASES for name in names}, "figures": everything}, file)


if __name__ == "__main__":
    main()
