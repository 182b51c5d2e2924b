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
import re
import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, NotRequired

from rnnsim.core import checkpoint, plugins
from rnnsim.core.code import Code
from rnnsim.core.reading import Damaged, Missing, name_of, read_json, read_json_lines, read_toml
from rnnsim.errors import RnnsimError
from rnnsim.learning.interface import Rule
from rnnsim.networks.files import named_part, network_of
from rnnsim.networks.interface import Network
from rnnsim.optimizers.interface import Optimizer
from rnnsim.tasks.interface import Task

STEP = re.compile(r"step-(\d+)\.safetensors")
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
        return [report for report, _ in reports_of(self.folder / "metrics.jsonl")]

    def checkpoints(self) -> list[Path]:
        """The files of the checkpoints, oldest first."""
        return checkpoints_of(self.folder)

    def checkpoint(self) -> checkpoint.Checkpoint:
        """The newest undamaged checkpoint. Raises `RnnsimError` if there is none."""
        return newest(self.folder)[0]

    def net(self) -> Network:
        """The network of the configuration, rebuilt, with the weights of the newest checkpoint."""
        from rnnsim.networks import NETWORKS, from_config

        net = from_config(named_part(self.code, NETWORKS, self.config["network"]))
        checkpoint.restore(net, *newest(self.folder))
        return net

    def task(self) -> Task:
        """The task, rebuilt from its name and options."""
        from rnnsim.tasks import TASKS

        return self._built(TASKS, "task")

    def result(self) -> dict[str, Any] | None:
        """The result of the training (`rnnsim.training.writer.write_result`), or None if it has not ended."""
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


def load_weights(path: str | PathLike[str], code: Iterable[str] = (), accept_source: bool = False) -> Network:
    """The network in a .safetensors file that rnnsim wrote, or in the newest checkpoint of a run.

    `code` and `accept_source` are as for `open_run`. Raises `RnnsimError` if the file is missing, damaged or another
    program's.
    """
    if Path(path).is_dir():
        return open_run(path, code, accept_source).net()
    return network_of(checkpoint.load(path), path, code, accept_source)


def checkpoints_of(folder):
    """Files of checkpoints by step; other names are ignored."""
    try:
        names = [path for path in (Path(folder) / "checkpoints").iterdir() if STEP.fullmatch(path.name)]
    except OSError:
        return []
    return sorted(names, key=lambda path: int(STEP.fullmatch(path.name)[1]))


def newest(folder, remove=False):
    """(checkpoint, path) of the newest undamaged one; a damaged one gives a warning, and is removed with `remove`."""
    paths = checkpoints_of(folder)
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


def reports_of(path):
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
