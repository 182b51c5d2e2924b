"""TOML for the configuration of a run: written here, read through `rnnsim.core.reading`.

TOML has no null: None is written as the text "none", which every option that may be None reads back as None.
"""

import json
import math
import re

from rnnsim.core.reading import name_of, parse_toml
from rnnsim.errors import RnnsimError

_MANY = 1000  # largest array that is written; larger ones belong in a file of their own
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(table):
    """The text of a dict of tables, texts, numbers, truth values and lists.

    Raises `RnnsimError` for a value that TOML cannot hold.

    >>> print(dumps({"steps": 10, "task": {"name": "adding", "options": {"length": 100}}}), end="")
    steps = 10
    <BLANKLINE>
    [task]
    name = "adding"
    <BLANKLINE>
    [task.options]
    length = 100
    """
    lines = []
    _table(lines, (), table)
    return "\n".join(lines) + "\n" if lines else ""


def loads(text, source="configuration"):
    """The dict that a TOML text describes; `RnnsimError` names the `source` and the line that is wrong."""
    return parse_toml(text, name_of(source))


def _table(lines, path, table):
    # A table's own values must stand before its sub-tables, or they would belong to the last of these.
    for key, value in table.items():
        if not isinstance(value, dict):
            lines.append(f"{_key(key)} = {_value(value, key)}")
    for key, value in table.items():
        if isinstance(value, dict):
            inner = (*path, _key(key))
            if lines:
                lines.append("")
            lines.append(f"[{'.'.join(inner)}]")
            _table(lines, inner, value)


def _key(key):
    if not isinstance(key, str):
        raise RnnsimError(f"key {key!r}: expected a text")
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value, key):
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()  # a NumPy number
    elif hasattr(value, "tolist") and value.size <= _MANY:
        value = value.tolist()
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ("nan" if value != value else "inf" if value > 0 else "-inf")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(part, key) for part in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(part, name)}" for name, part in value.items()) + "}"
    raise RnnsimError(f"{key}={value!r}: a {type(value).__name__} does not fit into a TOML file")


def _text(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RnnsimError(f"text {text!r}: a TOML file cannot hold half a surrogate pair") from None
    # JSON's escapes are TOML's; only the delete character is free in JSON and not in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
