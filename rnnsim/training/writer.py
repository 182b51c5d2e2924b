"""Writing a run into its folder: atomically, by one process, and so that it can be resumed at any moment."""

import contextlib
import json
import os
import re
from pathlib import Path

from rnnsim.core import checkpoint, code
from rnnsim.core.checkpoint import make_folder, write_atomically
from rnnsim.core.reading import cannot
from rnnsim.core.registry import as_python
from rnnsim.errors import RnnsimError
from rnnsim.training import toml
from rnnsim.training.lock import Lock
from rnnsim.training.manifest import manifest
from rnnsim.training.run import STEP, checkpoints_of, newest, open_run, reports_of

KEPT = 2  # checkpoints
_LEFT_OVER = re.compile(r"\..*\.tmp|lock")


class Writer:
    """The one process that writes a run; a context manager that holds the lock.

    `config` is the effective configuration; the keys `free` may differ from those of the run that is resumed, the
    sources of code from outside only with `accept_source`. Raises `RnnsimError` if the folder is in use, holds
    another run, or is not empty without `resume`.
    """

    def __init__(self, folder, config, resume=False, free=(), accept_source=False):
        self.folder = Path(folder)
        self._config, self._resume, self._free = config, resume, free
        self._accept_source = accept_source

    def __enter__(self):
        self._check_folder()
        make_folder(self.folder)
        self._lock = Lock(self.folder / "lock")
        try:
            self._check_folder()  # another process may have begun a run here meanwhile
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_):
        self._lock.release()

    def _check_folder(self):
        """Raise `RnnsimError` unless a run may begin or continue in this folder."""
        if not os.path.lexists(self.folder):
            return
        if not self.folder.is_dir():
            raise RnnsimError(f"out={self.folder}: there is a file of this name")
        try:
            names = [entry.name for entry in self.folder.iterdir() if not _LEFT_OVER.fullmatch(entry.name)]
        except OSError as error:
            raise cannot("read", self.folder, error) from None
        if names and not self._resume:
            raise RnnsimError(f"out={self.folder}: the folder is not empty; resume the run or choose another folder")
        # A run that was killed while it began has subfolders at most.
        if "config.toml" not in names and set(names) - {"checkpoints", "figures", "manifest.json"}:
            raise RnnsimError(f"out={self.folder}: the folder holds something other than a run")

    def _begin(self):
        place, here = self.folder / "manifest.json", manifest()
        for folder in (self.folder, self.folder / "checkpoints", self.folder / "figures"):
            try:
                folder.mkdir(exist_ok=True)
                for path in folder.glob(".*.tmp"):
                    path.unlink()
            except OSError as error:
                raise cannot("prepare", folder, error) from None
        written = toml.loads(toml.dumps(self._config))
        if (self.folder / "config.toml").exists():
            before = open_run(self.folder)
            changed = code.changed(before.config, written, ("task", "network", "rule", "optimizer"))
            if changed and not self._accept_source:
                raise RnnsimError(f"{self.folder}: {changed}; --accept-source accepts it (accept_source=True)")
            fixed = [{k: v for k, v in c.items() if k not in self._free} for c in (before.config, written)]
            fixed = [{k: checkpoint.comparable(v) if isinstance(v, dict) else v for k, v in c.items()} for c in fixed]
            different = checkpoint.difference(*fixed)
            if different:
                raise RnnsimError(f"{self.folder} is another run: {different}")
            done = max((int(STEP.fullmatch(path.name)[1]) for path in self.checkpoints()), default=0)
            if done > self._config["steps"]:
                raise RnnsimError(f"steps={self._config['steps']}: {self.folder} has done {done} already")
            if changed:
                here["source_changed"] = changed
            here = {**before.manifest, "resumed": [*before.manifest.get("resumed", []), here]}
        else:
            here = {**here, "seed": self._config["seed"]}
        # The configuration comes last: a folder that has one is a run.
        write_atomically(place, json.dumps(here, indent=2) + "\n")
        write_atomically(self.folder / "config.toml", toml.dumps(self._config))

    def latest(self):
        """(checkpoint, path) to resume from, or (None, None); reports after it are removed."""
        try:
            found, path = newest(self.folder, remove=True)
        except FileNotFoundError:
            found, path = None, None
        self._cut_back(found.progress["step"] if found else -1)
        return found, path

    def history(self):
        """The reports so far."""
        return [report for report, _ in reports_of(self.folder / "metrics.jsonl")]

    def checkpoints(self):
        """The files of the checkpoints, oldest first."""
        return checkpoints_of(self.folder)

    def _cut_back(self, step):
        path = self.folder / "metrics.jsonl"
        kept = b"".join(line for report, line in reports_of(path) if report["step"] <= step)
        write_atomically(path, kept)

    def report(self, report):
        """Append one line to the metrics, atomically."""
        path = self.folder / "metrics.jsonl"
        try:
            with open(path, "ab") as file:
                size = file.tell()
                try:
                    file.write((json.dumps(as_python(report)) + "\n").encode())
                    file.flush()
                except OSError:
                    with contextlib.suppress(OSError):
                        os.truncate(path, size)
                    raise
        except OSError as error:
            raise cannot("write", path, error) from None

    def save(self, step, net, **parts):
        """Write the checkpoint of a step, then delete all but the last two. Returns its path."""
        folder = self.folder / "checkpoints"
        path = folder / f"step-{step:08d}.safetensors"
        # The reports up to this step must be on the disk before the checkpoint that relies on them.
        metrics = self.folder / "metrics.jsonl"
        try:
            with open(metrics, "ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot("write", metrics, error) from None
        checkpoint.save(path, net, **parts)
        for old in checkpoints_of(self.folder)[:-KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        return path


def write_result(folder, result):
    """Write the result of a training (a dict, as JSON) into its folder."""
    write_atomically(Path(folder) / "result.json", json.dumps(as_python(result), indent=2) + "\n")
