"""A training as a configuration: a dict, as it stands in TOML, from which network, task, rule and optimizer are built.

    steps = 1500                  settings of `rnnsim.train`: steps, batch, seed, until, dtype, ...
    seed = 1

    [task]                        the parts: task, network, rule, optimizer, each with a name and options
    name = "digits"
    [network]
    name = "gru"
    [network.options]
    hidden = 64

    [evaluation]                  options of `rnnsim.evaluate` for evaluations during the training

The `config.toml` of a run is such a configuration with nothing left out, so it can be given again as it is.
"""

from typing import Any, Literal, NamedTuple

from rnnsim.core import plugins
from rnnsim.core.reading import name_of, read_toml
from rnnsim.core.registry import at_least, convert, option_table
from rnnsim.errors import RnnsimError, unknown
from rnnsim.training import earlier, goal

PARTS = ("task", "network", "rule", "optimizer")
SETTINGS = {
    "steps": int,
    "batch": int,
    "seed": int,
    "dtype": Literal["float32", "float64"],
    "until": str,  # "steps", "solved" or a goal such as "loss<0.1", see `rnnsim.training.goal`
    "time_limit": float | None,
    "evaluate_every": int,
    "checkpoint_every": int,
    "report_every": int,
    "test": Literal["none", "sets", "fresh", "streams"],  # see `rnnsim.training.testing`
    "test_every": int,
    "test_length": int,
}
EVALUATION = {"seed": int, "count": int | None, "batch": int, "split": str}
TABLES = {"evaluation": EVALUATION}
# Parts that a configuration need not name. Gradients of recurrent networks explode, so Adam clips their norm.
DEFAULTS = {
    "rule": {"name": "bptt", "options": {}},
    "optimizer": {"name": "adam", "options": {"clip_norm": 1.0}},
}


class Setup(NamedTuple):
    """The objects that a configuration describes: ``rnnsim.train(setup.net, setup.task, **setup.settings)``."""

    net: Any
    task: Any
    settings: dict  # keyword arguments of `rnnsim.train`, rule and optimizer among them


def registry(part):
    """The registry of a part: ``registry("rule")`` is `rnnsim.learning.RULES`."""
    if part == "task":
        from rnnsim.tasks import TASKS as found
    elif part == "network":
        from rnnsim.networks import NETWORKS as found
    elif part == "rule":
        from rnnsim.learning import RULES as found
    else:
        from rnnsim.optimizers import OPTIMIZERS as found
    return found


def options_of(part, name):
    """The options of the part with this name: ``{option: (annotation, default)}``."""
    if part == "network":
        from rnnsim.networks import options_of as of_network

        return of_network(name)
    return option_table(registry(part).load(name))


def load(path):
    """The configuration in a TOML file. Raises `RnnsimError` if it cannot be read or is not TOML."""
    return check(earlier.translated(read_toml(path)), f"{name_of(path)}: ")


def check(config, source=""):
    """The configuration itself. Raises `RnnsimError` for unknown keys and wrong types; `build` checks the values of options."""
    for key, value in config.items():
        if key not in (*PARTS, *SETTINGS, *TABLES):
            raise RnnsimError(f"{source}{unknown('key', key, [*PARTS, *SETTINGS, *TABLES])}")
        if (key in PARTS or key in TABLES) != isinstance(value, dict):
            raise RnnsimError(f"{source}{key}: expected {'a value' if key in SETTINGS else f'a table [{key}]'}")
        if key in SETTINGS:
            convert(value, SETTINGS[key], f"{source}{key}")
    for part in PARTS:
        known = ("name", "options", "source") + (
            ("n_inputs", "n_outputs", "tokens", "dtype") if part == "network" else ()
        )
        for key, value in config.get(part, {}).items():
            if key not in known:
                raise RnnsimError(f"{source}{part}: {unknown('key', key, known)}")
            if (key in ("options", "source")) != isinstance(value, dict):
                raise RnnsimError(f"{source}{part}.{key}: expected {'a value' if key == 'name' else 'a table'}")
            if key == "name":
                convert(value, str, f"{source}{part}.name")
    for name, known in TABLES.items():
        for key in config.get(name, {}):
            if key not in known:
                raise RnnsimError(f"{source}{unknown(f'option of the {name}', key, known)}")
    return config


def with_names(config, **names):
    """A copy with other names of parts. A part whose name changes loses its options; one that keeps its name, or had none, keeps
    them.

    >>> with_names({"rule": {"name": "bptt", "options": {"a": 1}}}, rule="tbptt")["rule"]
    {'name': 'tbptt', 'options': {}}
    """
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    for part, default in DEFAULTS.items():
        config.setdefault(part, {**default, "options": dict(default["options"])})
    for part, name in names.items():
        name = plugins.absolute(name)
        if name is not None and config.get(part, {}).get("name", name) != name:
            config[part] = {"name": name, "options": {}}
        elif name is not None:
            config[part] = {"options": {}, **config.get(part, {}), "name": name}
    return config


def with_options(config, options):
    """A copy with options such as ``{"hidden": "100", "task.length": "50"}`` set in the parts that have them.

    An option without a dot goes to the part that has it. Raises `RnnsimError` if none has it, or more than one.
    """
    config = with_names(config)
    names = {part: config[part]["name"] for part in PARTS if "name" in config.get(part, {})}
    known = {part: options_of(part, name) for part, name in names.items()}
    for key, value in options.items():
        part, dot, inner = key.partition(".")
        if dot and part == "online":
            raise RnnsimError(f"{key}: {earlier.ONLINE_IS_GONE}")
        if dot and part in PARTS:
            if part not in names:
                raise RnnsimError(f"{key}: no {part} is named")
            if inner not in known[part]:
                raise unknown(f"option of {part} '{names[part]}'", inner, known[part])
        else:
            inner, owners = key, [part for part in known if key in known[part]]
            if not owners:
                raise unknown("option", key, sorted({name for table in known.values() for name in table}))
            if len(owners) > 1:
                raise RnnsimError(f"{key}: {' and '.join(owners)} have such an option; write {owners[0]}.{key}=...")
            part = owners[0]
        config[part]["options"] = {**config[part].get("options", {}), inner: value}
    return config


def build(config):
    """The `Setup` of a configuration. Raises `RnnsimError` for unknown, mistyped, missing or unfitting parts and options."""
    config = check(with_names(earlier.translated(config)))
    for part in PARTS:
        if "name" not in config.get(part, {}):
            raise RnnsimError(f"no {part} is named: expected one of {', '.join(registry(part).names())}")
    settings = {key: convert(config[key], kind, key) for key, kind in SETTINGS.items() if key in config}
    goal.until(settings.get("until", "steps"))
    dtype, seed = settings.pop("dtype", "float32"), at_least("seed", settings.pop("seed", 0), 0)
    parts = {name: registry(name).build(config[name]["name"], config[name].get("options")) for name in PARTS[2:]}
    task = registry("task").build(config["task"]["name"], config["task"].get("options"))
    net = _network(config["network"], task, dtype, seed)
    parts["rule"].check(net, task)
    if config.get("evaluation"):
        settings["evaluation"] = {k: convert(v, EVALUATION[k], k) for k, v in config["evaluation"].items()}
    if parts["rule"].every == 1 and parts["rule"].name in net.procedures:
        settings.setdefault("batch", 1)
    return Setup(net, task, {**settings, **parts, "rng": seed})


def _network(table, task, dtype, seed):
    from rnnsim import networks

    ends = {"n_inputs": task.n_inputs, "n_outputs": task.n_outputs, "tokens": bool(task.tokens), "dtype": dtype}
    for key, value in ends.items():
        if key in table and table[key] != value:
            raise RnnsimError(f"network.{key}={table[key]}: it has to be {value} here")
    ends.pop("dtype")
    tokens = ends.pop("tokens")
    return networks.build(table["name"], **ends, options=table.get("options"), dtype=dtype, tokens=tokens, seed=seed)
