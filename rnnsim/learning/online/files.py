"""Learners on disk: one safetensors file, from which a learner continues bit for bit. Nothing is pickled.

The file is a checkpoint as in `rnnsim.core.checkpoint`: the weights stand under their own names, so that every
command that reads weights reads it; what the learner carries stands in ``window.*``, its settings in ``progress``.
"""

from collections.abc import Iterable
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, NotRequired

from rnnsim.core import checkpoint
from rnnsim.core.code import Code
from rnnsim.core.losses import Loss
from rnnsim.core.reading import name_of, number, typed
from rnnsim.core.registry import described, require
from rnnsim.learning import RULES
from rnnsim.learning.online.learner import OnlineLearner
from rnnsim.networks.files import network_of
from rnnsim.optimizers import OPTIMIZERS

_BUILT = {"name": str, "options": dict[str, Any], "source": NotRequired[dict[str, Any]]}
_LEARNER = {"rule": _BUILT, "optimizer": _BUILT, "loss": Loss, "streams": int, "own": bool, "rng": int}
_NUMBERS = {"items": int, "updates": int, "pending": int, "loss": str}


def save(learner: OnlineLearner, path: str | PathLike[str]) -> None:
    """Write a learner to a file, atomically. Raises `RnnsimError` if the file cannot be written."""
    parts = learner.parts()
    numbers = parts["numbers"]
    settings = {
        "rule": described(RULES, learner.rule),
        "optimizer": described(OPTIMIZERS, learner.optimizer),
        "loss": asdict(learner.criterion),
        "streams": learner.streams,
        "own": learner.own,
        "rng": learner.seed,
    }
    numbers |= {"loss": repr(numbers["loss"])}  # NaN is no JSON
    checkpoint.save(path, learner.net, window=parts["optimizer"], progress={"learner": settings, "numbers": numbers})


def learner_from(path: str | PathLike[str], code: Iterable[str] = (), accept_source: bool = False) -> OnlineLearner:
    """The learner in a file that `OnlineLearner.save` wrote; it continues bit for bit.

    `code` and `accept_source` are as for `rnnsim.open_run`.

    Raises `RnnsimError` if the file is damaged or holds no learner.
    """
    stored = checkpoint.load(path)
    require(stored.progress.get("learner"), f"{path} holds weights, but no learner: OnlineLearner.save writes one")
    settings = typed(stored.progress["learner"], _LEARNER, name_of(path), "learner")
    numbers = typed(stored.progress["numbers"], _NUMBERS, name_of(path), "numbers")
    numbers["loss"] = number(numbers["loss"])
    net = network_of(stored, path, code, accept_source)
    allowed = Code(Path(path).resolve().parent, code, accept_source)
    rule, optimizer = (
        registry.build(allowed.name(registry, settings[key]), settings[key]["options"])
        for key, registry in (("rule", RULES), ("optimizer", OPTIMIZERS))
    )
    given = {key: settings[key] for key in ("streams", "rng", "own")}
    learner = OnlineLearner(net, rule, optimizer, settings["loss"], **given)
    learner.restore(stored._replace(progress={"numbers": numbers}), path)
    return learner
