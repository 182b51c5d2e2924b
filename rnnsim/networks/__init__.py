"""Networks, made of cells; `build` makes one from its name and options, `from_config` from what `net.config` gave."""

from rnnsim.cells import CELLS
from rnnsim.core.lazy import lazy
from rnnsim.core.registry import Registry, checked, option_table, require
from rnnsim.errors import RnnsimError, unknown

NETWORKS = Registry(
    "network",
    {
        "lstm1997": (
            "rnnsim.networks.lstm1997.network:LSTM1997",
            "memory blocks, as in the papers of 1997 (online, truncated), 2000 (forget gates) and 2002 (peepholes)",
        ),
        "rnn-tree": (
            "rnnsim.networks.recursive.folding:RecursiveNetwork",
            "recursive network over trees (Goller & Küchler 1996; Socher et al. 2011; tensor form 2013)",
        ),
        "lstm-tree": (
            "rnnsim.networks.recursive.tree_lstm:TreeLSTM",
            "long short-term memory over trees, child-sum or n-ary (Tai, Socher & Manning 2015)",
        ),
        "ntm": ("rnnsim.networks.ntm.network:NTM", "neural Turing machine (Graves, Wayne & Danihelka 2014)"),
    },
    group="rnnsim.networks",
    classes=("rnnsim.networks.interface:Network", "rnnsim.cells.interface:Cell"),
    # A cell is a network of its name: stacked layers of it with a readout.
    layers=(CELLS, "rnnsim.networks.recurrent:Recurrent", "stacked layers and a readout: {}"),
)
_GIVEN = ("self", "cell", "n_inputs", "n_outputs", "tokens", "dtype", "rng", "cell_options")
_OF_CELL = ("n_inputs", "hidden", "dtype")


def parts(name):
    """(class of a network, class of its cell or None) of a name, of a place outside rnnsim, or of a class itself.

    A cell stands for `Recurrent`, stacked layers of it.

    >>> [part and part.__name__ for part in (*parts("gru"), *parts("ntm"))]
    ['Recurrent', 'GRU', 'NTM', None]
    """
    from rnnsim.cells.interface import Cell
    from rnnsim.networks.recurrent import Recurrent

    if isinstance(name, str) and name in CELLS:
        return Recurrent, CELLS.load(name)
    found = NETWORKS.load(name)
    return (Recurrent, found) if issubclass(found, Cell) else (found, None)


def options_of(name):
    """The options of a network and of its cell: ``{option: (annotation, default)}``."""
    cls, cell = parts(name)
    table = option_table(cls, _GIVEN)
    return table if cell is None else {**table, **option_table(cell, _OF_CELL)}


def explained(name):
    """A line about each option of a network and of its cell, ``{option: text}``, from their docstrings."""
    from rnnsim.core.options import explanations

    cls, cell = parts(name)
    return {**(explanations(cell) if cell else {}), **explanations(cls)}


def build(name, n_inputs, n_outputs, options=None, dtype="float32", tokens=False, seed=0):
    """The network `name` with checked options, its parameters drawn from `seed`.

    Raises `RnnsimError` with the nearest name for an unknown network or option, and for a value that does not fit.

    >>> build("gru", 28, 10, {"hidden": 100, "variant": "gru1"}).n_recurrent_parameters
    33100
    """
    cls, cell = parts(name)
    known = options_of(name)
    for key in options or {}:
        if key not in known:
            raise unknown(f"option of network '{name}'", key, known)
    own = option_table(cls, _GIVEN)
    values = {key: value for key, value in (options or {}).items() if key in own}
    values = checked(f"network '{name}'", cls, values, _GIVEN)
    given = dict(n_inputs=n_inputs, n_outputs=n_outputs, tokens=tokens, dtype=dtype, rng=seed)
    missing = [key for key in given if key not in option_table(cls)]
    require(
        not missing,
        f"network '{name}': its constructor needs the arguments {', '.join(given)}; '{(*missing, '')[0]}' is missing",
    )
    if cell is None:
        return cls(**given, **values)
    for_cell = {key: value for key, value in (options or {}).items() if key not in own}
    return cls(name, **given, **values, **checked(f"cell '{name}'", cell, for_cell, _OF_CELL))


def config_of(net):
    """The configuration of a network, `net.config`, with the name and source of a class outside rnnsim."""
    from rnnsim.core import plugins

    source = plugins.source_of(type(net))
    return net.config if source is None else {**net.config, "name": NETWORKS.name_of(type(net)), "source": source}


def from_config(config):
    """The network that a `net.config` describes, freshly initialised."""
    missing = {"name", "n_inputs", "n_outputs"} - set(config)
    if missing:
        raise RnnsimError(f"network configuration: '{sorted(missing)[0]}' is missing")
    return build(
        config["name"],
        config["n_inputs"],
        config["n_outputs"],
        config.get("options", {}),
        config.get("dtype", "float32"),
        config.get("tokens", False),
    )


__getattr__, __dir__ = lazy(__name__, {**NETWORKS.exports(), "Network": "rnnsim.networks.interface"})
