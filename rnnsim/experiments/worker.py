"""The worker process, which trains one seed after the other: ``python -m rnnsim.experiments.worker``.

It reads orders as JSON lines from standard input and writes reports as JSON lines to standard output::

    {"do": "warm", "config": {...}}                               compile the kernels of this configuration
    {"do": "train", "experiment": ..., "arm": ..., "config": {...}, "folder": ...}
    -> {"event": "warm" | "step" | "finished" | "failed" | "interrupted" | "refused", ...}

When its input ends, the worker exits at once, even during a training: its parent is gone. The next call resumes the training
from its last checkpoint. Ctrl-C stops the current training after its step, with a checkpoint.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time

from rnnsim.errors import RnnsimError
from rnnsim.experiments import EXPERIMENTS

_EVERY = 0.5  # seconds between two reports of steps


def warm(config):
    """Compile all kernels of a configuration, or load them from the cache: two steps and an evaluation; writes no files."""
    from rnnsim.training import config as configuration
    from rnnsim.training.loop import NotFinite, train

    setup = configuration.build({**config, "steps": 2, "evaluate_every": 2, "until": "steps"})
    evaluation = {**setup.settings.pop("evaluation", {}), "count": 100}
    with contextlib.suppress(NotFinite):
        train(setup.net, setup.task, **setup.settings, evaluation=evaluation)


def train_one(experiment, arm, config, folder, callback=None):
    """Train one seed to its end, from its last checkpoint if there is one, and compute the measures.

    experiment, arm : an `Experiment` and the name of an arm
    config : the training configuration with its "seed"
    folder : folder of the run
    callback : called after every step, as in `rnnsim.train`

    Returns the record for `results.json`, or None if the training was interrupted. Raises `RnnsimError` if it cannot start.
    """
    from rnnsim.experiments.interface import Outcome
    from rnnsim.experiments.results import plain
    from rnnsim.training import config as configuration
    from rnnsim.training.loop import NotFinite, train
    from rnnsim.training.writer import write_result

    began = time.perf_counter()
    setup = configuration.build(config)
    first_weights = experiment.arm(arm).first_weights
    if first_weights:
        first_weights(setup.net, config["seed"])
    try:
        result = train(setup.net, setup.task, out=folder, resume=True, callback=callback, **setup.settings)
    except NotFinite as error:
        seconds = round(time.perf_counter() - began, 3)
        return {"status": "failed", "message": str(error), "seconds": seconds}
    if result.interrupted:
        return None
    outcome = Outcome(setup.net, setup.task, result, config)
    measures = {measure.name: plain(measure.of(outcome)) for measure in experiment.all_measures}
    ended = {key: result[key] for key in ("message", "steps", "sequences", "loss", "solved", "solved_at", "reached_at")}
    ended["seconds"] = round(result.seconds, 3)
    write_result(folder, {"run": str(folder), **ended, "evaluation": outcome.evaluate(), "measures": measures})
    return {"status": "finished", **ended, "measures": measures}


def _train(order, say):
    last, known = 0.0, {}

    def step(progress):
        nonlocal last
        # The loss of one small batch is noisy: report the last running mean and the last evaluation instead.
        report = progress.report or {}
        known.update({"loss": report["loss"]} if "loss" in report else {})
        known.update({"evaluated": report["evaluation"]["loss"]} if "evaluation" in report else {})
        now = time.monotonic()
        if now - last < _EVERY:
            return
        last = now
        found = {name: getattr(progress, name) for name in ("step", "steps", "sequences", "loss", "seconds")}
        say("step", **{**found, **known})

    record = train_one(EXPERIMENTS.load(order["experiment"]), order["arm"], order["config"], order["folder"], step)
    if record is None:
        say("interrupted")
    else:
        say(record["status"], record=record)


def _listen(orders):
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def main():
    """Carry out orders until the input ends."""
    # Anything printed goes to stderr: standard output carries the reports only.
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event, **fields):
        print(json.dumps({"event": event, **fields}), file=reports, flush=True)

    warmed, orders = [], queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        order = orders.get()
        config = {key: value for key, value in order["config"].items() if key != "seed"}
        try:
            if config not in warmed:
                warm(order["config"])
                warmed.append(config)
            if order["do"] == "train":
                _train(order, say)
            else:
                say("warm")
        except (RnnsimError, OSError, MemoryError) as error:
            say("refused", message=str(error) or "not enough memory")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
