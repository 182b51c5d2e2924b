"""Checkpoints: one safetensors file with everything that a run needs to continue as if it had never stopped.

    <parameter>           every array of the layout under its own name: other programs read the weights directly
    optimizer.<name>      the state of the optimizer
    state.<i>             the state that streams carry over, one array a layer and direction
    memory.<name>         the state of the learning rule, such as a population
    window.<name>         the last sequences, which the criterion judges

The metadata are texts: ``format``, ``network`` (JSON of `net.config`), ``progress`` (JSON of step, seconds, ...), ``states``
and ``digest`` (SHA-256 over the other texts and over names and bytes of all arrays). The digest shows whether a file was cut
off or changed; `rnnsim.core.reading` reads its contents. Nothing is pickled.

Every file is written under a temporary name and then renamed: a reader sees the old file or the new one, never a part.
"""

import contextlib
import hashlib
import itertools
import json
import os
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired

import numpy as np

from rnnsim.core import plugins
from rnnsim.core.reading import Damaged, cannot, name_of, parse_json, read_tensors
from rnnsim.core.registry import as_python
from rnnsim.errors import RnnsimError

FORMAT = "rnnsim 2"
_BEFORE = "rnnsim 1"  # its digest covers the arrays alone
_PARTS = ("optimizer", "state", "memory", "window")
_METADATA = {"format", "network", "progress", "states", "digest"}
NETWORK = {
    "name": str,
    "n_inputs": int,
    "n_outputs": int,
    "options": NotRequired[dict[str, Any]],
    "dtype": NotRequired[Literal["float32", "float64"]],
    "tokens": NotRequired[bool],
    "source": NotRequired[dict[str, Any]],
}
_NUMBER = int | float | None
PROGRESS = {
    "step": NotRequired[int],
    "updates": NotRequired[int],
    "seconds": NotRequired[int | float],
    "loss": NotRequired[_NUMBER],
    "solved_at": NotRequired[int | None],
    "figures": NotRequired[dict],
    "learner": NotRequired[dict],
    "numbers": NotRequired[dict],
}


class Part(dict):
    """A part of a checkpoint. A missing name raises `Damaged`, one line."""

    def __init__(self, what, entries):
        super().__init__(entries)
        self._what = what

    def __missing__(self, name):
        raise Damaged(f"{self._what} has no '{name}'")


class Checkpoint(NamedTuple):
    """The contents of a checkpoint file."""

    network: dict  # net.config
    weights: dict  # parameter name -> array
    optimizer: dict  # name -> array
    state: list | None  # the state that streams carry over
    memory: dict  # name -> array
    window: dict  # name -> array
    progress: dict  # step, updates, seconds, ...


def write_atomically(path, data):
    """Write `data` (bytes or text) so that `path` always is the old file or the whole new one, also after a crash.

    Raises `RnnsimError`, one line, if the system refuses; it then leaves the old file intact and no other file.
    """
    path, data = Path(path), data.encode() if isinstance(data, str) else data
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        sync_folder(path.parent)
    except (OSError, ValueError) as error:
        raise cannot("write", path, error) from None


def make_folder(path):
    """Make a folder and the missing ones above it. Raises `RnnsimError`, one line, if the system refuses."""
    path = Path(path)
    try:
        # `Path.mkdir` calls itself for every folder above.
        missing = itertools.takewhile(lambda folder: not os.path.lexists(folder), (path, *path.parents))
        for folder in reversed(list(missing)):
            folder.mkdir(exist_ok=True)
        path.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        raise cannot("make the folder", path, error) from None


def sync_folder(folder):
    """Make the names in a folder survive a power cut, if the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def save(path, net, optimizer=None, state=None, memory=None, window=None, progress=None, theta=None):
    """Write a checkpoint; `theta`, if given, instead of the network's own weights. Raises `RnnsimError` if it cannot."""
    from safetensors.numpy import save as encoded

    arrays = dict(net.layout.views(net.theta if theta is None else theta))
    for part, named in (("optimizer", optimizer), ("memory", memory), ("window", window)):
        arrays |= {f"{part}.{name}": array for name, array in (named or {}).items()}
    arrays |= {f"state.{i}": array for i, array in enumerate(state or [])}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    metadata = {
        "format": FORMAT,
        "network": json.dumps(as_python(net.full_config)),
        "progress": json.dumps(as_python(progress or {})),
        "states": str(-1 if state is None else len(state)),
    }
    write_atomically(path, encoded(arrays, metadata | {"digest": _digest(arrays, metadata)}))


def save_weights(net: Any, path: str | PathLike[str]) -> None:
    """Write a network's weights and configuration to one .safetensors file; `rnnsim.load_weights` reads it.

    Raises `RnnsimError` if the file cannot be written.

    >>> import tempfile, rnnsim as rs
    >>> net = rs.Recurrent("rnn", 1, 1, hidden=2, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(net, f"{folder}/net.safetensors")
    ...     bool((rs.load_weights(f"{folder}/net.safetensors").theta == net.theta).all())
    True
    """
    save(path, net)


def load(path):
    """The `Checkpoint` in a file. Raises `Damaged`, one line, if it is cut off or changed, `Unreadable` if it cannot be read."""
    where = name_of(path)
    arrays, metadata = read_tensors(path)
    if not _METADATA <= set(metadata):
        raise Damaged(f"{where} is damaged, or not a file of weights that rnnsim wrote")
    form, digest = metadata["format"], metadata.pop("digest")
    if form not in (FORMAT, _BEFORE):
        raise Damaged(f"{where}: format '{name_of(form)}', this version of rnnsim reads '{FORMAT}'")
    if digest != _digest(arrays, {} if form == _BEFORE else metadata):
        raise Damaged(f"{where} is damaged: its content does not match its digest")
    network = parse_json(metadata["network"], f"{where}: network", NETWORK, finite=False)
    progress = parse_json(metadata["progress"], f"{where}: progress", PROGRESS, finite=False)
    states = parse_json(metadata["states"], f"{where}: states", int)
    parts = {part: Part(f"{where}: {part}", {}) for part in _PARTS}
    weights = {}
    for name, array in arrays.items():
        part, _, inner = name.partition(".")
        if inner and part in parts:
            parts[part][inner] = array
        else:
            weights[name] = array
    if len(parts["state"]) != max(states, 0):
        raise Damaged(f"{where} is damaged: it has {len(parts['state'])} states, not {states}")
    state = None if states < 0 else [parts["state"][str(i)] for i in range(states)]
    progress = Part(f"{where}: progress", progress)
    return Checkpoint(network, weights, parts["optimizer"], state, parts["memory"], parts["window"], progress)


def restore(net, checkpoint, path):
    """Copy the weights of a checkpoint into a network. Raises `RnnsimError`, which names the first difference.

    Ignores parameters of older versions that no kernel read (`net.dropped_parameters`).
    """

    different = difference(comparable(checkpoint.network), comparable(net.full_config))
    for entry in net.layout:
        if different:
            break
        array = checkpoint.weights.get(entry.name)
        if array is None:
            different = f"it has no parameter {entry.name}"
        elif array.shape != entry.shape:
            different = f"{entry.name} has shape {list(array.shape)}, the network's has {list(entry.shape)}"
        elif array.dtype != net.theta.dtype:
            different = f"{entry.name} is {array.dtype}, the network's is {net.theta.dtype}"
    extra = sorted(set(checkpoint.weights) - {entry.name for entry in net.layout} - set(net.dropped_parameters))
    if not different and extra:
        different = f"the network has no parameter {extra[0]}"
    if different:
        raise RnnsimError(f"{path} holds another network: {different}")
    for entry in net.layout:
        net.layout.view(net.theta, entry.name)[...] = checkpoint.weights[entry.name]


def comparable(config):
    """A part of a configuration without what may change: the place of code from outside, and the digest of its source."""
    if "source" not in config:
        return config
    return {**{key: value for key, value in config.items() if key != "source"}, "name": plugins.title(config["name"])}


def difference(stored, given, path=""):
    """The first entry in which two configurations differ, in words, or "".

    >>> difference({"name": "gru", "options": {"hidden": 3}}, {"name": "gru", "options": {"hidden": 4}})
    'options.hidden is 3, not 4'
    """
    for key in sorted({*stored, *given}):
        name = f"{path}{key}"
        if key not in stored or key not in given:
            side, value = ("stored", stored[key]) if key in stored else ("given", given[key])
            return f"{name}={value} is {side} only"
        a, b = stored[key], given[key]
        if isinstance(a, dict) and isinstance(b, dict):
            inner = difference(a, b, f"{name}.")
            if inner:
                return inner
        elif (list(a) if isinstance(a, tuple) else a) != (list(b) if isinstance(b, tuple) else b):
            return f"{name} is {a}, not {b}"
    return ""


def _digest(arrays, metadata):
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode() if metadata else b"")
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data.cast("B") if arrays[name].size else b"")
    return digest.hexdigest()
