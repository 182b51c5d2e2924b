"""Running an experiment: seeds side by side in processes, results kept as they come, pictures at the end.

Every process trains one seed at a time with its share of the processors; the first one compiles all kernels before the others
begin, so that they find them in the cache. Only this process writes the results. What a seed gives depends on its number and
the settings alone, not on the number of jobs or on how often it was stopped.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim.core.reading import Damaged, parse_json
from rnnsim.core.registry import at_least, require
from rnnsim.errors import RnnsimError
from rnnsim.experiments.results import Results, Store, summary

_PATIENCE = 60  # seconds that processes get for a checkpoint after Ctrl-C


class Reproduction(NamedTuple):
    """What `reproduce` gives; `summary()` has the table's figures."""

    experiment: object
    quick: bool
    jobs: int
    results: Results
    lost: list[str]  # messages of trainings whose process was lost; they are not in the results
    folder: str
    figures: list[str]
    seconds: float  # of this call

    def summary(self) -> dict[str, Any]:
        """Arms, measures, criteria and the verdict as plain values; see `rnnsim.experiments.results.summary`."""
        return summary(self.experiment, self.results)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; says how many trainings have ended and how many there are."""

    def __init__(self, done, total):
        super().__init__(f"interrupted; {done} of {total} trainings have ended")
        self.done, self.total = done, total


def reproduce(
    experiment: str,
    seeds: int | None = None,
    jobs: int = 1,
    quick: bool = False,
    out: str | PathLike[str] | None = None,
    arms: Sequence[str] | None = None,
    watch: Callable[..., Any] | None = None,
    draw: bool = True,
) -> Reproduction:
    """Run an experiment of a paper over seeds, or what of it is not yet there.

    Parameters
    ----------
    experiment : a name of `rnnsim.experiments.EXPERIMENTS`, or ``module:attribute`` of an `Experiment` of your own
    seeds : seeds 1..N of every arm; None: as many as the experiment has by default
    jobs : trainings side by side
    quick : the settings that take minutes
    out : folder; None: runs/reproduce/NAME, or NAME-quick. Results that are there are used, trainings that were stopped go on
    arms : names of the arms to run; None: all but the extra ones; ["all"]: all
    watch : function of (event, arm, seed, fields), called as trainings begin, report and end
    draw : write the pictures

    Returns a `Reproduction`. Raises `RnnsimError` for bad arguments, for a folder with results of other settings, and if a
    training cannot begin; `Interrupted` after Ctrl-C, when all trainings have written their checkpoints.
    """
    from rnnsim.experiments import EXPERIMENTS
    from rnnsim.experiments.worker import find
    from rnnsim.training import config as configuration
    from rnnsim.training.run import Lock

    spec = experiment if ":" in experiment else EXPERIMENTS.place(experiment)
    found = find(spec)
    seeds = (found.quick_seeds if quick else found.seeds) if seeds is None else at_least("seeds", seeds, 1)
    jobs = at_least("jobs", jobs, 1)
    chosen = found.chosen(arms)
    folder = Path(out or Path("runs", "reproduce", found.name + ("-quick" if quick else "")))
    began = time.perf_counter()
    store = Store(folder)
    settings = {arm.name: arm.settings(quick) for arm in found.arms}
    for name in chosen:
        configuration.build(settings[name])  # what is wrong with the settings is said before anything is written
    store.prepare()
    lock = Lock(folder / "lock")
    try:
        store.begin(found.name, quick, settings)
        measures = [measure.name for measure in found.all_measures]
        # Seed by seed, so that what has ended at any time compares arms with equal numbers of seeds.
        wanted = [(arm, seed) for seed in range(1, seeds + 1) for arm in chosen]
        orders = [
            _order(spec, found, arm, seed, quick, folder)
            for arm, seed in wanted
            if not store.finished(arm, seed, measures)
        ]
        lost = _Pool(orders, jobs, store, watch or (lambda *_: None), len(wanted)).run() if orders else []
        results = Results(store.records, chosen, seeds)
        figures = _draw(found, results, folder) if draw and results.records else []
    finally:
        lock.release()
    return Reproduction(found, quick, jobs, results, lost, str(folder), figures, time.perf_counter() - began)


def _order(spec, experiment, arm, seed, quick, folder):
    config = {**experiment.arm(arm).settings(quick), "seed": seed}
    place = str(folder / arm / f"seed-{seed}")
    return {"do": "train", "experiment": spec, "arm": arm, "seed": seed, "config": config, "folder": place}


def _draw(experiment, results, folder):
    """The learning curves of all seeds, if the runs are still there."""
    from rnnsim import plotting
    from rnnsim.training.run import open_run

    curves, unit = {}, ""
    for arm in results.arms:
        for record in results.records:
            if record["arm"] == arm:
                with contextlib.suppress(RnnsimError):
                    run = open_run(folder / arm / f"seed-{record['seed']}")
                    curves.setdefault(arm, []).append(run.metrics())
                    unit = run.task().loss.unit
    curves = {arm: histories for arm, histories in curves.items() if any(histories)}
    if not curves:
        return []
    (folder / "figures").mkdir(exist_ok=True)
    path = folder / "figures" / "learning-curves.png"
    return [str(plotting.learning_curves(curves, path, unit, experiment.name))]


class _Pool:
    """Processes that carry out orders; everything that they report comes through one queue."""

    def __init__(self, orders, jobs, store, watch, total):
        from rnnsim.core.threads import available

        self.orders, self.store, self.watch, self.total = list(orders), store, watch, total
        self.jobs = min(jobs, len(self.orders))
        self.threads = max(1, available() // self.jobs)
        self.done = total - len(self.orders)
        self.events, self.busy, self.lost, self._idle = queue.Queue(), {}, [], []

    def run(self):
        """Carry out all orders; the messages of those whose process was lost."""
        try:
            self._warm()
            while self.orders and len(self.busy) < self.jobs:
                self._give(self._idle.pop() if self._idle else _Worker(self.events, self.threads))
            while self.busy:
                self._take(*self.events.get())
        except KeyboardInterrupt:
            self._interrupt()
            raise Interrupted(self.done, self.total) from None
        finally:
            for worker in [*self.busy, *self._idle]:
                worker.stop()
        return self.lost

    def _warm(self):
        """One process compiles what all arms need, before there are others that would write the same cache."""
        self._idle = [_Worker(self.events, self.threads)]
        worker, configs = self._idle[0], []
        for order in self.orders:
            config = {key: value for key, value in order["config"].items() if key != "seed"}
            if config not in configs:
                configs.append(config)
                self.watch("warm", order["arm"], None, {})
                worker.give({**order, "do": "warm"})
                _, event = self.events.get()
                if event["event"] == "refused":
                    raise RnnsimError(event["message"])
                require(event["event"] == "warm", f"a process of {order['arm']} was lost while it compiled")

    def _give(self, worker):
        order = self.orders.pop(0)
        self.busy[worker] = order
        self.watch("begin", order["arm"], order["seed"], {"threads": self.threads})
        worker.give(order)

    def _take(self, worker, event):
        """One report of a process."""
        if worker not in self.busy:  # it was told to end, and says so
            return
        order = self.busy[worker]
        arm, seed, kind = order["arm"], order["seed"], event.pop("event")
        if kind == "step":
            self.watch("step", arm, seed, event)
            return
        del self.busy[worker]
        if kind == "refused":
            worker.stop()
            raise RnnsimError(f"{arm}, seed {seed}: {event['message']}")
        if kind in ("finished", "failed"):
            record = {"arm": arm, "seed": seed, **event["record"]}
            self.store.add(record)
            self.done += 1
            self.watch(kind, arm, seed, record)
        else:  # lost, or interrupted by somebody else
            event.setdefault("message", "it was interrupted")
            self.lost.append(f"{arm}, seed {seed}: {event['message']}")
            self.watch("lost", arm, seed, event)
            if kind == "lost":
                worker = _Worker(self.events, self.threads) if self.orders else None
        if worker and self.orders:
            self._give(worker)
        elif worker:
            worker.stop()

    def _interrupt(self):
        """Let every training end with a checkpoint; a second Ctrl-C ends them at once."""
        with contextlib.suppress(KeyboardInterrupt, queue.Empty):
            for worker in self.busy:
                worker.interrupt()
            self.orders, until = [], time.monotonic() + _PATIENCE
            while self.busy:
                worker, event = self.events.get(timeout=max(0.0, until - time.monotonic()))
                if event["event"] == "lost":
                    self.busy.pop(worker, None)  # one that has reported its end is out already
                elif worker in self.busy:
                    with contextlib.suppress(RnnsimError):
                        self._take(worker, event)


class _Worker:
    """One process of `rnnsim.experiments.worker`, and a thread that hands on what it reports."""

    def __init__(self, events, threads):
        paths = [path for path in sys.path if path]
        environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}
        # A session of its own: Ctrl-C on the terminal reaches this process alone, which asks the others once.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rnnsim.experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            encoding="utf-8",
        )
        self._events = events
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._process.stdout:
            with contextlib.suppress(Damaged):  # the last line of a process that was killed
                self._events.put((self, parse_json(line, kind={"event": str}, finite=False)))
        code = self._process.wait()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        self._events.put((self, {"event": "lost", "message": f"its process {how}"}))

    def give(self, order):
        """Hand over an order; a process that has gone is reported by its thread."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def interrupt(self):
        """Ask for the end of the training in progress, with a checkpoint."""
        with contextlib.suppress(OSError):
            self._process.send_signal(signal.SIGINT)

    def stop(self):
        """End the process, at once."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
