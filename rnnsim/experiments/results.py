"""What an experiment has given: the file that keeps it, and the figures over seeds.

`results.json` in the folder of an experiment holds the settings and one record a training that has ended::

    {"experiment": ..., "quick": ..., "settings": {arm: configuration}, "records": [{"arm", "seed", "status", ...}]}

A record has the status "finished", with its measures, or "failed", with the message (NaN or infinity). A training that was
interrupted has no record: it goes on from its checkpoint when it is asked for again.
"""

import json
import math
from pathlib import Path
from typing import Literal, NotRequired

import numpy as np

from rnnsim.core.checkpoint import difference, make_folder, write_atomically
from rnnsim.core.reading import Damaged, Missing, cannot, read_json
from rnnsim.core.registry import as_python
from rnnsim.errors import RnnsimError

NAME = "results.json"
_RECORD = {"arm": str, "seed": int, "status": Literal["finished", "failed"]}
_RECORD |= {"measures": NotRequired[dict[str, int | float | None]], "message": NotRequired[str]}
_RESULTS = {"experiment": str, "quick": bool, "settings": dict[str, dict], "records": list[_RECORD]}


class Results:
    """The records of an experiment for seeds 1..N of some arms.

    >>> records = [{"arm": "a", "seed": 2, "status": "finished", "measures": {"loss": 0.5}}]
    >>> results = Results(records, arms=["a"], seeds=2)
    >>> results.values("a", "loss"), results.values("b", "loss")
    ([None, 0.5], [])
    """

    def __init__(self, records, arms, seeds):
        self.arms, self.seeds = tuple(arms), seeds
        self._records = {(record["arm"], record["seed"]): record for record in records}
        self.records = [
            self._records[arm, seed]
            for arm in self.arms
            for seed in range(1, seeds + 1)
            if (arm, seed) in self._records
        ]

    def values(self, arm, measure):
        """The values of a measure over the seeds, None where there is none; [] if the arm was not run."""
        if arm not in self.arms:
            return []
        records = [self._records.get((arm, seed), {}) for seed in range(1, self.seeds + 1)]
        return [record.get("measures", {}).get(measure) for record in records]

    def failed(self, arm):
        """The records of the seeds of an arm that diverged."""
        return [record for record in self.records if record["arm"] == arm and record["status"] == "failed"]


def quartiles(values):
    """(median, lower and upper quartile) of the values that are there, or None; between values, linear.

    >>> quartiles([4.0, None, 1.0, 2.0, 3.0])
    (2.5, 1.75, 3.25)
    """
    there = [value for value in values if value is not None]
    if not there:
        return None
    lower, middle, upper = np.percentile(there, [25, 50, 75])
    return float(middle), float(lower), float(upper)


def summary(experiment, results):
    """Everything that a table of the results says, as plain values: arms with their measures, criteria, and the verdict."""
    arms = []
    for name in results.arms:
        arm = experiment.arm(name)
        rows = [_row(measure, arm, results.values(name, measure.name)) for measure in experiment.all_measures]
        failed = [{"seed": record["seed"], "message": record["message"]} for record in results.failed(name)]
        arms.append({"name": name, "about": arm.words, "measures": rows, "failed": failed})
    criteria = []
    for criterion in experiment.criteria:
        verdict = criterion.judge(results)
        fields = {"arm": criterion.arm, "measure": criterion.measure, "criterion": criterion.words}
        criteria.append({**fields, "passes": as_python(verdict.passes), "found": verdict.found})
    judged = [entry["passes"] for entry in criteria]
    return {"arms": arms, "criteria": criteria, "passes": None if None in judged else all(judged)}


def _row(measure, arm, values):
    published = arm.published.get(measure.name)
    middle = quartiles(values)
    return {
        "name": measure.name,
        "about": measure.words,
        "unit": measure.unit,
        "published": published and {key: getattr(published, key) for key in ("value", "unit", "tag", "note")},
        "values": values,
        "median": middle and middle[0],
        "quartiles": middle and list(middle[1:]),
    }


class Store:
    """The file of results in a folder; whoever writes it holds the lock of the folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.path = self.folder / NAME
        self._data = None

    def prepare(self):
        """Make the folder. Raises `RnnsimError` if it cannot be made, or holds something else."""
        try:
            make_folder(self.folder)
            others = [path.name for path in self.folder.iterdir() if path.name != "lock" and path.suffix != ".tmp"]
        except OSError as error:
            raise cannot("read", self.folder, error) from None
        if others and NAME not in others:
            raise RnnsimError(f"out={self.folder}: the folder holds something else than results of an experiment")

    def begin(self, experiment, quick, settings):
        """Read what is there, if it comes from these settings. Raises `RnnsimError` if it comes from others."""
        given = {"experiment": experiment, "quick": quick, "settings": settings}
        given = json.loads(json.dumps(given))
        try:
            self._data = read_json(self.path, _RESULTS, finite=False)
            for number, record in enumerate(self.records, 1):
                needed = "measures" if record["status"] == "finished" else "message"
                if needed not in record:
                    raise Damaged(f"{self.path} is damaged: record {number} has no {needed}")
        except Missing:
            self._data = {**given, "records": []}
            self._write()
            return
        except Damaged as error:
            raise Damaged(f"{error}; move the file away to begin again") from None
        stored = {key: self._data[key] for key in given}
        # An arm that was not there before may come; those that are must be the same.
        for name in set(stored["settings"]) ^ set(given["settings"]):
            stored["settings"].pop(name, None)
            given["settings"].pop(name, None)
        different = difference(stored, given)
        if different:
            raise RnnsimError(
                f"{self.folder} holds results of other settings: {different}; choose another folder with --out"
            )
        self._data["settings"] |= json.loads(json.dumps(settings))

    @property
    def records(self):
        """All records, in the order in which they came."""
        return self._data["records"]

    def finished(self, arm, seed, measures):
        """Whether there is a record that has all the measures, or says that the training failed."""
        for record in self.records:
            if record["arm"] == arm and record["seed"] == seed:
                return record["status"] == "failed" or set(measures) <= set(record["measures"])
        return False

    def add(self, record):
        """Keep a record, in the place of an earlier one of this arm and seed; the file is written whole or not at all."""
        same = [(old["arm"], old["seed"]) == (record["arm"], record["seed"]) for old in self.records]
        self._data["records"] = [old for old, is_same in zip(self.records, same) if not is_same] + [record]
        self._write()

    def _write(self):
        write_atomically(self.path, json.dumps(self._data, indent=1) + "\n")


def plain(value):
    """A measure as JSON can keep it: a float, or None for nothing, NaN and infinity.

    >>> plain(np.float32(0.5)), plain(float("inf")), plain(None)
    (0.5, None, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, (int, np.integer)) else float(value)
