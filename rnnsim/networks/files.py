"""Networks in checkpoints."""

from pathlib import Path

from rnnsim.core import checkpoint
from rnnsim.core.code import Code
from rnnsim.networks import NETWORKS, from_config


def network_of(stored, path, code=(), accept_source=False):
    """The network of a checkpoint that was loaded from a path."""
    folder = Path(path).resolve().parent
    folder = folder.parent if folder.name == "checkpoints" else folder
    net = from_config(named_part(Code(folder, code, accept_source), NETWORKS, stored.network))
    checkpoint.restore(net, stored, path)
    return net


def named_part(code, registry, table):
    """The table of a part, under the name that it is loaded by."""
    return {**table, "name": code.name(registry, table)} if "name" in table else table
