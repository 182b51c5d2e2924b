"""The results of an experiment: the file that stores them, and the figures over seeds.

`results.json` in the folder of an experiment holds the settings, the first seed of every arm that was run, and one record for
every training that has ended::

    {"experiment": ..., "quick": ..., "settings": {arm: configuration}, "first_seeds": {arm: seed},
     "records": [{"arm", "seed", "status", ...}]}

A record has the status "finished", with its measures, or "failed", with the message (NaN or infinity). A training that was
interrupted has no record: the next call resumes it from its checkpoint. All seeds of an arm in a folder count from one first
seed, so fresh seeds never mix with those that the settings were tuned on.
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
_RESULTS |= {"first_seeds": NotRequired[dict[str, int]]}  # files of version 0.1 have none; all their seeds count from 1


class Results:
    """The records of some arms of an experiment, for `seeds` seeds each.

    records : dicts with "arm", "seed", "status", and "measures" or "message"; those of other arms and seeds are left out
    arms : names of the arms
    seeds : number of seeds
    first_seeds : ``{arm: first seed}``, 1 for arms that are not in it

    >>> records = [{"arm": "a", "seed": 102, "status": "finished", "measures": {"loss": 0.5}}]
    >>> results = Results(records, arms=["a"], seeds=2, first_seeds={"a": 101})
    >>> results.values("a", "loss"), results.values("b", "loss")
    ([None, 0.5], [])
    """

    def __init__(self, records, arms, seeds, first_seeds=None):
        self.arms, self.seeds = tuple(arms), seeds
        self.first_seeds = {arm: (first_seeds or {}).get(arm, 1) for arm in self.arms}
        self._records = {(record["arm"], record["seed"]): record for record in records}
        wanted = [(arm, seed) for arm in self.arms for seed in self.seeds_of(arm)]
        self.records = [self._records[key] for key in wanted if key in self._records]

    def seeds_of(self, arm):
        """The seeds of an arm, as a range.

        >>> Results([], arms=["a"], seeds=3, first_seeds={"a": 101}).seeds_of("a")
        range(101, 104)
        """
        return range(self.first_seeds[arm], self.first_seeds[arm] + self.seeds)

    def values(self, arm, measure):
        """The values of a measure over the seeds, None where there is none; [] if the arm was not run."""
        if arm not in self.arms:
            return []
        records = [self._records.get((arm, seed), {}) for seed in self.seeds_of(arm)]
        return [record.get("measures", {}).get(measure) for record in records]

    def failed(self, arm):
        """The records of the seeds of an arm that diverged."""
        return [record for record in self.records if record["arm"] == arm and record["status"] == "failed"]


def quartiles(values):
    """(median, lower quartile, upper quartile) of the values that are not None, linearly interpolated; None without values.

    >>> quartiles([4.0, None, 1.0, 2.0, 3.0])
    (2.5, 1.75, 3.25)
    """
    there = [value for value in values if value is not None]
    if not there:
        return None
    lower, middle, upper = np.percentile(there, [25, 50, 75])
    return float(middle), float(lower), float(upper)


def summary(experiment, results):
    """The contents of the table of results as plain values: arms with their measures, claims, and the verdict.

    Keys: "arms" (each with "name", "about", "first_seed", "measures", "failed"), "claims" (each with "arm", "measure",
    "claim", "passes", "found"), and "passes": True, False, or None if an arm that a claim needs was not run.
    """
    arms = []
    for name in results.arms:
        arm = experiment.arm(name)
        rows = [_row(measure, arm, results.values(name, measure.name)) for measure in experiment.all_measures]
        failed = [{"seed": record["seed"], "message": record["message"]} for record in results.failed(name)]
        first = results.first_seeds[name]
        arms.append({"name": name, "about": arm.words, "first_seed": first, "measures": rows, "failed": failed})
    claims = []
    for claim in experiment.claims:
        verdict = claim.judge(results)
        fields = {"arm": claim.arm, "measure": claim.measure, "claim": claim.words}
        claims.append({**fields, "passes": as_python(verdict.passes), "found": verdict.found})
    judged = [entry["passes"] for entry in claims]
    return {"arms": arms, "claims": claims, "passes": None if None in judged else all(judged)}


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
    """The file `results.json` in the folder of an experiment. The caller holds the lock of the folder while it writes."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.path = self.folder / NAME
        self._data = None

    def prepare(self):
        """Make the folder. Raises `RnnsimError` if that fails, or if the folder holds anything but results."""
        try:
            make_folder(self.folder)
            others = [path.name for path in self.folder.iterdir() if path.name != "lock" and path.suffix != ".tmp"]
        except OSError as error:
            raise cannot("read", self.folder, error) from None
        if others and NAME not in others:
            raise RnnsimError(f"out={self.folder}: the folder holds something else than results of an experiment")

    def begin(self, experiment, quick, settings, first_seeds):
        """Read the stored results, or start an empty file.

        settings : ``{arm: configuration}`` of all arms
        first_seeds : ``{arm: first seed}`` of the arms that are run now

        Raises `RnnsimError` if the stored results come from other settings or other first seeds, and if the file is damaged.
        """
        given = {"experiment": experiment, "quick": quick, "settings": settings, "first_seeds": first_seeds}
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
            raise Damaged(f"{error}; move it away to start again") from None
        self._data.setdefault("first_seeds", {record["arm"]: 1 for record in self.records})
        # New arms may be added; those that are stored have to be the same.
        stored = {key: self._data[key] for key in ("experiment", "quick")}
        for table in ("settings", "first_seeds"):
            both = set(self._data[table]) & set(given[table])
            stored[table] = {name: self._data[table][name] for name in both}
            given[table] = {name: given[table][name] for name in both}
        different = difference(stored, given)
        if different:
            raise RnnsimError(
                f"{self.folder} holds results of other settings: {different}; choose another folder with --out"
            )
        self._data["settings"] |= json.loads(json.dumps(settings))
        self._data["first_seeds"] |= first_seeds

    @property
    def records(self):
        """All records, in the order in which the trainings ended."""
        return self._data["records"]

    def finished(self, arm, seed, measures):
        """Whether the seed has a record with all the measures, or one of a training that failed."""
        for record in self.records:
            if record["arm"] == arm and record["seed"] == seed:
                return record["status"] == "failed" or set(measures) <= set(record["measures"])
        return False

    def add(self, record):
        """Store a record; it replaces an earlier one of the same arm and seed. The file is written atomically."""
        same = [(old["arm"], old["seed"]) == (record["arm"], record["seed"]) for old in self.records]
        self._data["records"] = [old for old, is_same in zip(self.records, same) if not is_same] + [record]
        self._write()

    def _write(self):
        write_atomically(self.path, json.dumps(self._data, indent=1) + "\n")


def plain(value):
    """A measure as a JSON value: an int or a float, and None for None, NaN and infinity.

    >>> plain(np.float32(0.5)), plain(float("inf")), plain(None)
    (0.5, None, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, (int, np.integer)) else float(value)
