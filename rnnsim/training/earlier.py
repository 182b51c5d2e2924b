"""Configurations of versions before 0.2, translated.

Their table [online] held everything about learning sequence after sequence by the truncated rule. Its options now
stand elsewhere:

    learning_rate, momentum            optimizer sgd or momentum; the rate belonged to half the squared error, that of the
                                       optimizer to the squared error
    decay, sequence_decay              its schedule: per-time-step:d, per-sequence:d
    wait                               rule truncated, with every=1
    stop, stream_ticks                 the task: stop_error, stream_length
    test, test_every, test_ticks       settings: test, test_every, test_length
"""

from rnnsim.core.registry import convert
from rnnsim.errors import RnnsimError, unknown

ONLINE_IS_GONE = (
    "options online.* are gone since version 0.2; learning_rate (half of it) and momentum are options of the optimizer, "
    "decays of its schedule, wait of the rule truncated with every=1, stop_error and stream_length of the task, "
    "tests are --test"
)
_ONLINE = {
    "learning_rate": float,
    "momentum": float,
    "decay": float,
    "sequence_decay": float,
    "stop": float,
    "stream_ticks": int,
    "test": str,
    "test_every": int,
    "test_ticks": int,
    "wait": int,
}


def translated(config):
    """A configuration without the table [online]; its options stand in their places of today.

    Raises `RnnsimError` for options that the table did not have.

    >>> old = {"network": {"name": "lstm1997"}, "online": {"learning_rate": 0.5, "decay": 0.99}}
    >>> new = translated(old)
    >>> new["optimizer"]["options"], new["rule"]["options"]
    ({'learning_rate': 0.25, 'schedule': 'per-time-step:0.99'}, {'every': 1})
    """
    if "online" not in config:
        return config
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    table = config.pop("online")
    if not isinstance(table, dict):
        raise RnnsimError("online: expected a table [online]")
    for key in table:
        if key not in _ONLINE:
            raise unknown("option of the online", key, _ONLINE)
    given = {key: convert(value, _ONLINE[key], key) for key, value in table.items()}
    if "learning_rate" not in given:
        raise RnnsimError("online: needs a learning_rate")
    momentum = given.get("momentum", 0.0)
    options = {"learning_rate": given["learning_rate"] / 2} | ({"momentum": momentum} if momentum else {})
    decays = (("per-time-step", given.get("decay", 1.0)), ("per-sequence", given.get("sequence_decay", 1.0)))
    schedule = "+".join(f"{name}:{factor!r}" for name, factor in decays if factor != 1)
    if schedule:
        options["schedule"] = schedule
    config["optimizer"] = {"name": "momentum" if momentum else "sgd", "options": options}
    rule = config.get("rule", {"name": "truncated"})
    config["rule"] = {**rule, "options": {**rule.get("options", {}), "every": 1}}
    if given.get("wait"):
        config["rule"]["options"]["wait"] = given["wait"]
    task = config.get("task", {})
    ends = {"stop_error": given.get("stop"), "stream_length": given.get("stream_ticks")}
    ends = {key: value for key, value in ends.items() if value}
    if ends:
        config["task"] = {**task, "options": {**task.get("options", {}), **ends}}
    for old, new in (("test", "test"), ("test_every", "test_every"), ("test_ticks", "test_length")):
        if old in given:
            config[new] = given[old]
    return config
