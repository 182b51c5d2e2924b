"""A run on disk: a folder that explains itself, survives a kill at any moment and continues bit for bit.

    config.toml       everything that determines the run: network, task, rule, optimizer with all options; steps, batch, seed
    manifest.json     where it ran: versions, CPU, threads, digest of the source, command line, start; one entry a resumption
    metrics.jsonl     one line a report
    result.json       the result, and the evaluation after it
    checkpoints/      step-00001000.safetensors, ...; the last two
    figures/          pictures
    lock              process id and start time of the process that writes here, while it does

The metrics of a run that is resumed are cut back to the step of its checkpoint, so that they are those of a run that
was never stopped.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import sys
import time
import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, NotRequired

from rnnsim.core import checkpoint, code, plugins
from rnnsim.core.checkpoint import make_folder, write_atomically
from rnnsim.core.code import Code
from rnnsim.core.reading import Damaged, Missing, cannot, name_of, parse_json, read_json, read_json_lines, read_toml
from rnnsim.core.registry import as_python
from rnnsim.errors import RnnsimError
from rnnsim.learning.interface import Rule
from rnnsim.networks.files import named_part, network_of
from rnnsim.networks.interface import Network
from rnnsim.optimizers.interface import Optimizer
from rnnsim.tasks.interface import Task
from rnnsim.training import toml

KEPT = 2  # checkpoints
_LEFT_OVER = re.compile(r"\..*\.tmp|lock")
_STEP = re.compile(r"step-(\d+)\.safetensors")
_BUILT = {"name": str, "options": dict[str, Any], "source": NotRequired[dict[str, Any]]}
_CONFIG = {"steps": int, "batch": int, "seed": int, "task": _BUILT, "rule": _BUILT}
_CONFIG |= {"optimizer": NotRequired[_BUILT]}  # a rule that sets the weights by itself uses none
_CONFIG |= {"network": {**checkpoint.NETWORK, "options": dict[str, Any]}}
_MANIFEST = {"versions": NotRequired[dict[str, str]], "cpu": NotRequired[str], "threads": NotRequired[int]}
_MANIFEST |= {"resumed": NotRequired[list[dict]]}
_NUMBER = int | float | None
_EVALUATION: dict[str, Any] = {"split": str, "unit": str, "sequences": int, "metrics": dict[str, _NUMBER]}
_EVALUATION |= {"kind": NotRequired[str]}
_EVALUATION |= {"loss": _NUMBER, "trivial_loss": _NUMBER, "correct": _NUMBER}
_RESULT = {"message": str, "solved": bool, "solved_at": NotRequired[int | None], "evaluation": _EVALUATION}
_REPORT: dict[str, Any] = {"step": int, "evaluation": NotRequired[_EVALUATION], "test": NotRequired[dict]}
_REPORT |= {name: NotRequired[_NUMBER] for name in ("sequences", "seconds", "loss", "correct", "error", "solved_at")}
_HOLDER = {"pid": int, "started": int | None}


class Run:
    """A run on disk, to read; `open_run` makes it.

    folder, config, manifest : where it is, its configuration and its manifest, dicts
    code : the source files that may be executed for its parts (`rnnsim.core.code.Code`)
    """

    config: dict[str, Any]
    manifest: dict[str, Any]

    def __init__(self, folder: str | PathLike[str], code: Iterable[str] = (), accept_source: bool = False):
        self.folder = Path(folder)
        self.code = Code(self.folder, code, accept_source)
        try:
            self.config = read_toml(self.folder / "config.toml", _CONFIG)
            self.manifest = read_json(self.folder / "manifest.json", _MANIFEST)
        except Missing:
            missing = "manifest.json" if (self.folder / "config.toml").exists() else "config.toml"
            raise RnnsimError(f"{name_of(folder)} is not a run: there is no {missing}") from None

    def __repr__(self):
        return f"<run {self.folder}: {self.title}>"

    @property
    def title(self) -> str:
        """Network and task in a few words, for pictures."""
        return " on ".join(plugins.title(self.config[part]["name"]) for part in ("network", "task"))

    def metrics(self) -> list[dict[str, Any]]:
        """All reports, one dict each."""
        return [report for report, _ in _reports(self.folder / "metrics.jsonl")]

    def checkpoints(self) -> list[Path]:
        """The files of the checkpoints, oldest first."""
        return _checkpoints(self.folder)

    def checkpoint(self) -> checkpoint.Checkpoint:
        """The newest undamaged checkpoint. Raises `RnnsimError` if there is none."""
        return _newest(self.folder)[0]

    def net(self) -> Network:
        """The network of the configuration, rebuilt, with the weights of the newest checkpoint."""
        from rnnsim.networks import NETWORKS, from_config

        net = from_config(named_part(self.code, NETWORKS, self.config["network"]))
        checkpoint.restore(net, *_newest(self.folder))
        return net

    def task(self) -> Task:
        """The task, rebuilt from its name and options."""
        from rnnsim.tasks import TASKS

        return self._built(TASKS, "task")

    def result(self) -> dict[str, Any] | None:
        """The result of the training (`write_result`), or None if it has not ended."""
        try:
            return read_json(self.folder / "result.json", _RESULT, finite=False)
        except Missing:
            return None

    def rule(self) -> Rule:
        """The learning rule, rebuilt from its name and options."""
        from rnnsim.learning import RULES

        return self._built(RULES, "rule")

    def optimizer(self) -> Optimizer | None:
        """The optimizer, rebuilt from its name and options; None for a rule that sets the weights by itself."""
        if "optimizer" not in self.config:
            return None
        from rnnsim.optimizers import OPTIMIZERS

        return self._built(OPTIMIZERS, "optimizer")

    def _built(self, registry, part):
        table = self.config[part]
        return registry.build(self.code.name(registry, table), table["options"])

    @property
    def figures(self) -> Path:
        """The folder for pictures."""
        return self.folder / "figures"


def open_run(folder: str | PathLike[str], code: Iterable[str] = (), accept_source: bool = False) -> Run:
    """The run in a folder, to read: ``.config``, ``.manifest``, ``.metrics()``, ``.net()``, ``.task()``.

    code, accept_source : source files for parts that are not rnnsim's own, and whether sources may differ from the recorded
        ones; see `rnnsim.core.code`

    Raises `RnnsimError` if the folder holds no run.
    """
    return Run(folder, code, accept_source)


def write_result(folder, result):
    """Write the result of a training (a dict, as JSON) into its folder."""
    write_atomically(Path(folder) / "result.json", json.dumps(as_python(result), indent=2) + "\n")


def load_weights(path: str | PathLike[str], code: Iterable[str] = (), accept_source: bool = False) -> Network:
    """The network in a .safetensors file that rnnsim wrote, or in the newest checkpoint of a run.

    `code` and `accept_source` are as for `open_run`. Raises `RnnsimError` if the file is missing, damaged or another
    program's.
    """
    if Path(path).is_dir():
        return open_run(path, code, accept_source).net()
    return network_of(checkpoint.load(path), path, code, accept_source)


def manifest():
    """The machine, the versions and the settings of this process, a dict."""
    from importlib.metadata import PackageNotFoundError, version

    from rnnsim.core.isa import vectors
    from rnnsim.core.threads import get_threads
    from rnnsim.version import VERSION

    versions = {"rnnsim": VERSION, "python": platform.python_version()}
    for package in ("numpy", "numba", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": list(sys.argv),
        "versions": versions,
        "cpu": _cpu(),
        "vectors": vectors(),
        "system": platform.platform(),
        "threads": get_threads(),
        "source": source_digest(),
    }


def source_digest():
    """SHA-256 over the names and contents of the package's Python files."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _cpu():
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


# -- writing -----------------------------------------------------------------------------------------------------------


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
            done = max((int(_STEP.fullmatch(path.name)[1]) for path in self.checkpoints()), default=0)
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
            found, path = _newest(self.folder, remove=True)
        except FileNotFoundError:
            found, path = None, None
        self._cut_back(found.progress["step"] if found else -1)
        return found, path

    def history(self):
        """The reports so far."""
        return [report for report, _ in _reports(self.folder / "metrics.jsonl")]

    def checkpoints(self):
        """The files of the checkpoints, oldest first."""
        return _checkpoints(self.folder)

    def _cut_back(self, step):
        path = self.folder / "metrics.jsonl"
        kept = b"".join(line for report, line in _reports(path) if report["step"] <= step)
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
        for old in _checkpoints(self.folder)[:-KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        return path


def _checkpoints(folder):
    """Files of checkpoints by step; other names are ignored."""
    try:
        names = [path for path in (Path(folder) / "checkpoints").iterdir() if _STEP.fullmatch(path.name)]
    except OSError:
        return []
    return sorted(names, key=lambda path: int(_STEP.fullmatch(path.name)[1]))


def _newest(folder, remove=False):
    """(checkpoint, path) of the newest undamaged one; a damaged one gives a warning, and is removed with `remove`."""
    paths = _checkpoints(folder)
    for path in reversed(paths):
        try:
            return checkpoint.load(path), path
        except Damaged as error:
            text = f"{error}; the checkpoint before it is used"
            if path == paths[0]:
                raise RnnsimError(f"{error}, and no checkpoint before it is left") from None
            warnings.warn(text, stacklevel=3)
            if remove:
                with contextlib.suppress(OSError):
                    path.unlink()
    raise NoCheckpoint(f"{folder}: there is no checkpoint")


class NoCheckpoint(RnnsimError, FileNotFoundError):
    """A run that was stopped before its first checkpoint."""


def _reports(path):
    """(report, line) of every whole line. A last line that was cut off is ignored, damaged ones with a warning."""
    found, damaged = [], []
    with contextlib.suppress(Missing):
        for report, line in read_json_lines(path, _REPORT, finite=False):
            if isinstance(report, Damaged):
                damaged.append(report)
            else:
                found.append((report, line))
    if damaged:
        more = f" and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
        warnings.warn(f"{damaged[0]}; this line{more} is left out", stacklevel=3)
    return found


class Lock:
    """The lock of a run. Raises `RnnsimError` if another living process holds it; the lock of a dead process is taken over.

    The system releases its file lock with the process; without file locks, process id and start time in the file
    decide.
    """

    def __init__(self, path):
        self.path = Path(path)
        while True:
            try:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise cannot("write", path, error) from None
            try:
                taken = self._taken()
                if not taken and not self._still_there():
                    os.close(self._file)  # its holder has just removed it: try again with a new file
                    continue
                if taken:
                    raise RnnsimError(f"{self.path.parent} is in use by process {taken}")
                os.ftruncate(self._file, 0)
                os.write(self._file, json.dumps({"pid": os.getpid(), "started": _started(os.getpid())}).encode())
                return
            except OSError as error:
                os.close(self._file)
                raise cannot("write", path, error) from None
            except RnnsimError:
                os.close(self._file)
                raise

    def _taken(self):
        """The id of the process that holds the lock, or 0."""
        locked = False
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError:
            locked = True
        except OSError:  # a file system without locks
            pass
        try:
            holder = parse_json(os.pread(self._file, 1000, 0), "lock", _HOLDER)
            pid, started = holder["pid"], holder["started"]
        except Damaged:
            return "unknown" if locked else 0
        if locked:
            return pid
        return pid if pid != os.getpid() and _started(pid) == started and _started(pid) is not None else 0

    def _still_there(self):
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self):
        """Remove the lock while it is held, so that no process holds a deleted file."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._file)


def _started(pid):
    """Start time of a process, for comparison only; None if there is no such process."""
    try:
        # The name, in brackets, may hold spaces; the start is field 22, the 20th after it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        pass
    if os.path.isdir("/proc/self"):
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return 0
