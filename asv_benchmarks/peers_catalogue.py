"""The 1997 LSTM online beside the NumPy catalogue schmidhuber-problems: seconds for the same number of sequences.

    python -m asv_benchmarks.peers_catalogue --catalogue PATH [--share 0.25] [--rounds 3] [--experiments adding,reber]
        [--isa avx2]

PATH is a checkout of https://github.com/cybertronai/schmidhuber-problems. Its own training functions run at the settings of the
README of each experiment, seed 0, without its pictures and baselines; ours is `rnnsim.train` for as many sequences of as many
time steps, one seed. Each runs in a process of its own with one thread, in alternating rounds; the figures are medians.
Our kernels are compiled before the clock starts. First both networks, with the weights of the catalogue's, must give the same
outputs to 1e-12.

Equal: the network, weight for weight (cells with gates of their own, which see inputs and cells; adding: 8 cells with forget
gates, temporal order: 4, embedded Reber: 8), the number of sequences and their mean length, float64, one thread.

What differs: the catalogue goes back through whole sequences and descends with Adam and clipped gradients, at adding and
temporal order once for 32 sequences that NumPy computes side by side; we learn by the truncated rule, with an SGD update at
every time step with a target, one sequence after the other. Reber strings have a target at every time step, so that we make 11
updates for one of the catalogue's. Its outputs there and at temporal order are softmax with cross-entropy, ours logistic with
squared error. It tests itself on fresh sequences on the way, ours judges every training sequence. Our strings of Reber come
from a set of 256. Reber's number of sequences is that after which the catalogue's seed is solved; ours learns as many, solved
or not: these are times, no successes.

Columns: "whole" is what a user waits for, with sequences drawn and judged or tested on the way; the target is for this one.
"learning" is what remains without them, passes and changes of weights alone. Where they differ much, as at temporal order, the
catalogue mostly draws its sequences, symbol by symbol.

`--share` is the part of the catalogue's number of sequences that both learn, at adding and temporal order; the time is
proportional to it, and all of adding takes the catalogue a minute.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

from rnnsim.core import isa

TARGET = 20.0
TOLERANCE = 1e-12  # of outputs of one network in both
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Adding:
    """256,000 sequences of 100 time steps, 8 cells with forget gates, 361 weights."""

    file = "adding-problem/adding_problem.py"
    beside = ("make_adding_batch", "evaluate")  # functions that draw and test
    network = dict(blocks=8, size=1, sees="cells", forget=True, g="tanh", h="tanh")
    sizes, output, rate = (2, 1), "identity", 0.05

    def ready(self, module, share):
        """A function that trains as the catalogue does and gives the number of sequences."""
        updates = max(1, round(8000 * share))

        def train():
            found = module.train("lstm", 100, 8, 0, updates, 32, 5e-3, 100, lr_decay_every=1500, verbose=False)
            return found[1].sequences_seen[-1]

        return train

    def task(self):
        from rnnsim.tasks.adding import Adding as Task

        return Task(length=100, variant="modern")

    def same(self, module):
        """Weights of a fresh network of the catalogue by our names, inputs (T, B, n), its outputs for them."""
        p = module.init_lstm(2, 8, np.random.RandomState(1))
        x, _ = module.make_adding_batch(np.random.RandomState(2), 100, 5)
        weights = {"weight_out": p.Wy.T, "bias_out": p.by}
        for k, kind in enumerate(("in_gate", "forget_gate", "cell", "out_gate")):
            rows = slice(8 * k, 8 * k + 8)
            weights |= {f"weight_{kind}": np.concatenate([p.Wx, p.Wh])[:, rows].T, f"bias_{kind}": p.b[rows]}
        return weights, x, module.lstm_forward(p, x)[0][:, None]

    def seen(self, outputs):
        """Our outputs (T, B, K) in the form of `same`."""
        return outputs[-1]


class TemporalOrder:
    """48,000 sequences of 50 time steps (ours: 48 to 52), 4 cells, 176 weights."""

    file = "temporal-order-3bit/temporal_order_3bit.py"
    beside = ("make_batch", "evaluate_lstm")
    network = dict(blocks=4, size=1, sees="cells", g="tanh", h="tanh")
    sizes, output, rate = (8, 4), "logistic", 0.5

    def ready(self, module, share):
        updates = max(1, round(1500 * share))
        test = module.make_batch(np.random.default_rng(1_000_003), n=512, T=50)
        rates = dict(T=50, hidden=4, lr=0.02, n_steps=updates, batch=32, eval_every=50)

        def train():
            module.train_lstm(np.random.default_rng(0), **rates, val_X=test[0], val_y=test[1])
            return 32 * updates

        return train

    def task(self):
        from rnnsim.tasks.temporal_order import TemporalOrder as Task

        return Task(length=48)

    def same(self, module):
        p = module.init_lstm(np.random.default_rng(1))
        x, _ = module.make_batch(np.random.default_rng(2), n=5)
        pairs = {"in_gate": (p.Wi, p.bi), "out_gate": (p.Wo, p.bo), "cell": (p.Wg, p.bg), "out": (p.Why, p.by)}
        weights = {f"weight_{kind}": w.T for kind, (w, _) in pairs.items()}
        weights |= {f"bias_{kind}": b for kind, (_, b) in pairs.items()}
        return weights, x.swapaxes(0, 1), module.lstm_forward(p, x)["probs"]

    def seen(self, outputs):
        powers = np.exp(outputs[-1])
        return powers / powers.sum(axis=1, keepdims=True)


class Reber:
    """Strings of 11 time steps on average until seed 0 is solved, after 4,000 of them; 8 cells, 447 weights."""

    file = "embedded-reber/embedded_reber.py"
    beside = ("gen_embedded_reber", "make_io", "evaluate")
    network = dict(blocks=8, size=1, sees="cells")
    sizes, output, rate = (7, 7), "logistic", 0.1

    def ready(self, module, share):
        return lambda: module.train(seed=0, verbose=False)["total_sequences"]

    def task(self):
        from rnnsim.tasks.reber import EmbeddedReber as Task

        return Task()

    def same(self, module):
        net = module.LSTM1997(rng=np.random.default_rng(1))
        x, _ = module.make_io(module.gen_embedded_reber(np.random.default_rng(2)))
        theirs = {"in_gate": "in", "out_gate": "out", "cell": "c", "out": "y"}
        weights = {f"weight_{kind}": getattr(net, f"W_{name}") for kind, name in theirs.items()}
        weights |= {f"bias_{kind}": getattr(net, f"b_{name}") for kind, name in theirs.items()}
        return weights, x[:, None], net.forward(x)["logits"]

    def seen(self, outputs):
        return outputs[:, 0]


EXPERIMENTS = {"adding": Adding(), "temporal-order": TemporalOrder(), "reber": Reber()}


def loaded(catalogue, experiment):
    """The catalogue's module of an experiment."""
    path = pathlib.Path(catalogue, experiment.file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def build(experiment, output):
    """Our network of an experiment."""
    from rnnsim.networks import build as built

    return built("lstm1997", *experiment.sizes, experiment.network | {"output": output}, "float64")


class Stopwatch:
    """Seconds inside some functions of a module, those that call each other counted once."""

    def __init__(self, module, names):
        self.seconds, self.depth = 0.0, 0
        for name in names:
            setattr(module, name, self.watched(getattr(module, name)))

    def watched(self, function):
        def call(*arguments, **named):
            start, self.depth = time.perf_counter(), self.depth + 1
            try:
                return function(*arguments, **named)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.perf_counter() - start

        return call


def check(catalogue, experiment):
    """Largest difference between outputs of the catalogue's network and ours with the same weights, and their number."""
    weights, x, expected = experiment.same(loaded(catalogue, experiment))
    net = build(experiment, "identity")
    views = net.layout.views(net.theta)
    for name, value in weights.items():
        views.pop(name)[...] = value
    if views:
        raise SystemExit(f"the catalogue's network has no {', '.join(views)}")
    found = experiment.seen(net.forward(x).outputs)
    return {"difference": float(np.abs(found - expected).max()), "weights": net.n_parameters}


def train_theirs(catalogue, experiment, share):
    """Seconds of the catalogue's training, of it learning, and its number of sequences."""
    module = loaded(catalogue, experiment)
    train = experiment.ready(module, share)
    watch, start = Stopwatch(module, experiment.beside), time.perf_counter()
    sequences = train()
    whole = time.perf_counter() - start
    return {"whole": whole, "learning": whole - watch.seconds, "sequences": sequences}


def train_ours(experiment, sequences):
    """The same of ours, and the mean length; the learning alone is timed in a second training, on sequences that are there."""
    from rnnsim.core.threads import set_threads
    from rnnsim.learning import RULES
    from rnnsim.networks.lstm1997.learner import BlockLearner
    from rnnsim.optimizers import SGD
    from rnnsim.training.loop import train

    set_threads(1)
    net, task = build(experiment, experiment.output), experiment.task()
    options = dict(rule=RULES.build("truncated", {"every": 1}), optimizer=SGD(experiment.rate / 2), batch=1, rng=1)
    train(net, task, steps=20, **options)  # compiles
    net.theta[...] = net.drawn(1)
    start = time.perf_counter()
    found = train(net, task, steps=sequences, **options)
    whole, learning, done, size = time.perf_counter() - start, 0.0, 0, 500
    net.theta[...] = net.drawn(1)
    learner = BlockLearner(net, experiment.rate)
    while done < sequences:
        batch = task.training_batch(1, done // size, min(size, sequences - done))
        start = time.perf_counter()
        learner.learn(batch, task.loss)
        learning += time.perf_counter() - start
        done += batch.size
    return {"whole": whole, "learning": learning, "length": found.time_steps / found.sequences}


def run(who, name, options, sequences=0):
    """What a worker of its own process finds."""
    command = [sys.executable, "-m", "asv_benchmarks.peers_catalogue", "--worker", who, "--experiments", name]
    command += ["--share", str(options.share), "--sequences", str(sequences), "--catalogue", options.catalogue]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    if done.returncode:
        raise SystemExit(f"{who}, {name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def worker(options, experiment):
    """In a process of its own: check or train; a JSON line out."""
    if options.worker == "check":
        found = check(options.catalogue, experiment)
    elif options.worker == "catalogue":
        found = train_theirs(options.catalogue, experiment, options.share)
    else:
        found = train_ours(experiment, options.sequences)
    if isa.name():
        found["isa"] = isa.obeyed(isa.name())
    print(json.dumps(found))


def row(name, options):
    """Check an experiment, run it in alternating rounds; a row of the table."""
    checked = run("check", name, options)
    if not checked["difference"] < TOLERANCE:
        raise SystemExit(f"{name}: outputs of the catalogue's network and ours differ by {checked['difference']:.1e}")
    figures = {"catalogue": [], "rnnsim": []}
    for _ in range(options.rounds):
        figures["catalogue"].append(run("catalogue", name, options))
        sequences = figures["catalogue"][-1]["sequences"]
        figures["rnnsim"].append(run("rnnsim", name, options, sequences))
    length = figures["rnnsim"][0]["length"]
    cells = [name, f"{checked['weights']}", f"{sequences:,}", f"{length:.1f}"]
    for part in ("whole", "learning"):
        theirs, ours = (statistics.median(found[part] for found in figures[who]) for who in figures)
        ratio = theirs / ours
        cells += [f"{theirs:.3g}", f"{ours:.3g}", f"**{ratio:.1f}x**"]
        if part == "whole":
            cells.append(f"{TARGET:g}x: {'met' if ratio >= TARGET else 'not met'}")
    return f"| {' | '.join(cells)} |"


def main(arguments=None):
    """Check, time in alternating rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalogue", help="checkout of https://github.com/cybertronai/schmidhuber-problems")
    parser.add_argument("--experiments", default=",".join(EXPERIMENTS), help=", ".join(EXPERIMENTS))
    parser.add_argument("--share", type=float, default=0.25, help="of the catalogue's number of sequences; 0.25")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", choices=list(isa.SETTINGS), default=isa.name(), help="hold both to it")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--sequences", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.experiments.split(",")
    for name in names:
        if name not in EXPERIMENTS:
            parser.error(f"--experiments {name}: expected some of {', '.join(EXPERIMENTS)}")
    if not 0 < options.share <= 1:
        parser.error(f"--share {options.share:g}: expected a number above 0, 1 at most")
    if options.worker:
        worker(options, EXPERIMENTS[names[0]])
        return
    if options.isa:
        os.environ.update(isa.environment(options.isa))  # both run in processes of their own
    address = "a checkout of https://github.com/cybertronai/schmidhuber-problems"
    if not options.catalogue:
        parser.exit(2, f"--catalogue is missing: the path of {address}\n")
    for name in names:
        if not pathlib.Path(options.catalogue, EXPERIMENTS[name].file).is_file():
            parser.exit(2, f"--catalogue {options.catalogue}: no {EXPERIMENTS[name].file} there; expected {address}\n")
    print(
        f"share of the catalogue's sequences: {options.share:g} (reber: 1); seconds, medians of {options.rounds} rounds\n"
    )
    print("| experiment | weights | sequences | mean length | whole: catalogue | rnnsim | ratio | target ", end="")
    print("| learning: catalogue | rnnsim | ratio |\n" + "|---" * 11 + "|", flush=True)
    for name in names:
        print(row(name, options), flush=True)
    print(
        f"\n{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, NumPy {np.__version__}"
    )


if __name__ == "__main__":
    main()
