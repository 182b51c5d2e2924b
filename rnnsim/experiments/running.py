"""Running an experiment: seeds side by side in worker processes, results stored as they arrive, pictures at the end.

Every worker trains one seed at a time with its share of the processors. The first worker compiles all kernels before the others
start, so they load them from the cache. Only the calling process writes the results. The result of a seed depends on its number
and on the settings alone, not on the number of jobs or on interruptions.
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

from rnnsim.core import plugins
from rnnsim.core.reading import Damaged, parse_json
from rnnsim.core.registry import at_least, require
from rnnsim.errors import RnnsimError
from rnnsim.experiments.results import Results, Store, summary

_PATIENCE = 60  # seconds for workers to write a checkpoint after Ctrl-C


class Reproduction(NamedTuple):
    """The result of `reproduce`; `summary()` returns the figures of the table.

    experiment : the `Experiment`
    quick, jobs : as given
    results : the `rnnsim.experiments.results.Results`
    lost : one message for every training whose worker process died; the results do not contain it
    folder : folder of runs and results
    figures : paths of the pictures
    seconds : duration of this call
    """

    experiment: object
    quick: bool
    jobs: int
    results: Results
    lost: list[str]
    folder: str
    figures: list[str]
    seconds: float

    def summary(self) -> dict[str, Any]:
        """Arms, measures, claims and the verdict as plain values; see `rnnsim.experiments.results.summary`."""
        return summary(self.experiment, self.results)


class Interrupted(KeyboardInterrupt):
    """Raised after Ctrl-C. `done` of `total` trainings have ended."""

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
    first_seed: int | None = None,
) -> Reproduction:
    """Train the arms of an experiment over seeds and judge its claims.

    Stored results are reused and interrupted trainings resume, so a second call runs only what is missing.

    Parameters
    ----------
    experiment : a name in `rnnsim.experiments.EXPERIMENTS`, or the place of your own, ``./file.py:NAME`` or
        ``module:NAME``
    seeds : number of seeds for every arm; None: the default of the experiment
    jobs : number of trainings side by side
    quick : use the quick settings, which take minutes
    out : folder for runs and results; None: runs/reproduce/NAME, or NAME-quick
    arms : names of the arms to run; None: all but the extra ones; ["all"]: all
    watch : function of (event, arm, seed, fields), called when a training begins, reports and ends; the events are "warm",
        "begin", "step", "finished", "failed" and "lost"
    draw : write the learning curves of all seeds to figures/learning-curves.png in the folder
    first_seed : first seed of every arm; None: that of the arm, which is 101 where settings were tuned on lower seeds

    Returns a `Reproduction`. Raises `RnnsimError` for bad arguments, if the folder holds results of other settings or other
    first seeds, and if a training cannot start; `Interrupted` after Ctrl-C, when all trainings have written checkpoints.

    >>> found = rs.reproduce("adding-bptt", seeds=3, quick=True)  # doctest: +SKIP
    >>> found.results.values("lstm", "sequences"), found.summary()["passes"]  # doctest: +SKIP
    """
    from rnnsim.experiments import EXPERIMENTS
    from rnnsim.training import config as configuration
    from rnnsim.training.lock import Lock

    spec = plugins.absolute(experiment if plugins.is_place(experiment) else EXPERIMENTS.place(experiment))
    found = EXPERIMENTS.load(spec)
    seeds = (found.quick_seeds if quick else found.seeds) if seeds is None else at_least("seeds", seeds, 1)
    jobs = at_least("jobs", jobs, 1)
    chosen = found.chosen(arms)
    if first_seed is not None:
        at_least("first_seed", first_seed, 0)
    first_seeds = {name: found.arm(name).first_seed if first_seed is None else int(first_seed) for name in chosen}
    folder = Path(out or Path("runs", "reproduce", found.name + ("-quick" if quick else "")))
    began = time.perf_counter()
    store = Store(folder)
    settings = {arm.name: arm.settings(quick) for arm in found.arms}
    for name in chosen:
        configuration.build(settings[name])  # bad settings raise before anything is written
    store.prepare()
    lock = Lock(folder / "lock")
    try:
        store.begin(found.name, quick, settings, first_seeds)
        measures = [measure.name for measure in found.all_measures]
        # Seed by seed: whenever the run is stopped, the arms have about equal numbers of seeds.
        wanted = [(arm, first_seeds[arm] + k) for k in range(seeds) for arm in chosen]
        orders = [
            _order(spec, found, arm, seed, quick, folder)
            for arm, seed in wanted
            if not store.finished(arm, seed, measures)
        ]
        lost = _Pool(orders, jobs, store, watch or (lambda *_: None), len(wanted)).run() if orders else []
        results = Results(store.records, chosen, seeds, first_seeds)
        figures = _draw(found, results, folder) if draw and results.records else []
    finally:
        lock.release()
    return Reproduction(found, quick, jobs, results, lost, str(folder), figures, time.perf_counter() - began)


def _order(spec, experiment, arm, seed, quick, folder):
    config = {**experiment.arm(arm).settings(quick), "seed": seed}
    place = str(folder / arm / f"seed-{seed}")
    return {"do": "train", "experiment": spec, "arm": arm, "seed": seed, "config": config, "folder": place}


def _draw(experiment, results, folder):
    """Draw the learning curves of all seeds whose runs still exist; the paths of the pictures."""
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
    """Worker processes that carry out orders; all their reports arrive in one queue."""

    def __init__(self, orders, jobs, store, watch, total):
        from rnnsim.core.threads import available

        self.orders, self.store, self.watch, self.total = list(orders), store, watch, total
        self.jobs = min(jobs, len(self.orders))
        self.threads = max(1, available() // self.jobs)
        self.done = total - len(self.orders)
        self.events, self.busy, self.lost, self._idle = queue.Queue(), {}, [], []

    def run(self):
        """Carry out all orders. Returns one message for every order whose worker died."""
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
        """Let one worker compile the kernels of all arms before others start, which would write the same cache."""
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
                require(event["event"] == "warm", f"the worker of {order['arm']} died while it compiled")

    def _give(self, worker):
        order = self.orders.pop(0)
        self.busy[worker] = order
        self.watch("begin", order["arm"], order["seed"], {"threads": self.threads})
        worker.give(order)

    def _take(self, worker, event):
        """Handle one report of a worker."""
        if worker not in self.busy:  # the pool has stopped it
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
        else:  # its process died, or somebody else interrupted it
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
        """Let every training stop with a checkpoint; a second Ctrl-C kills them."""
        with contextlib.suppress(KeyboardInterrupt, queue.Empty):
            for worker in self.busy:
                worker.interrupt()
            self.orders, until = [], time.monotonic() + _PATIENCE
            while self.busy:
                worker, event = self.events.get(timeout=max(0.0, until - time.monotonic()))
                if event["event"] == "lost":
                    self.busy.pop(worker, None)  # a worker that has reported its end is no longer busy
                elif worker in self.busy:
                    with contextlib.suppress(RnnsimError):
                        self._take(worker, event)


class _Worker:
    """One process of `rnnsim.experiments.worker`, and a thread that puts its reports into the queue."""

    def __init__(self, events, threads):
        paths = [path for path in sys.path if path]
        environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}
        # In its own session, a worker does not receive Ctrl-C from the terminal; the pool interrupts it once.
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
        """Send an order. If the process has died, the thread reports it."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def interrupt(self):
        """Make the current training stop with a checkpoint."""
        with contextlib.suppress(OSError):
            self._process.send_signal(signal.SIGINT)

    def stop(self):
        """Kill the process."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
