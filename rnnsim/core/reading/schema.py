"""Values by type: what a file has to hold, said with the annotations that options of networks and tasks have.

A kind is one of

    int, float, str, bool, Literal["a", "b"], A | B, None, Any      as in `rnnsim.core.registry.convert`
    list[A], tuple[A, B], tuple[A, ...], dict[str, A]                lists and tables of one kind
    {"key": A, "other": NotRequired[B]}                              a table with these keys; further keys stay as they are
    a NamedTuple or a dataclass                                      a table with these keys and no others, made an instance

Values in a file have types of their own: other than in `convert`, a text does not stand for a number. A whole number stands
for a float where a float is asked for.
"""

import dataclasses
import types
import typing

from rnnsim.core.reading.files import Damaged
from rnnsim.core.registry import expected, shown
from rnnsim.errors import RnnsimError, unknown


def typed(value, kind, where, key=""):
    """`value` as the `kind`; raises `Damaged`, one line with the file (`where`), key, value and what was expected.

    >>> typed({"steps": 3, "loss": 1}, {"steps": int, "loss": float, "note": typing.NotRequired[str]}, "result.json")
    {'steps': 3, 'loss': 1.0}
    >>> typed({"records": [{"seed": "1"}]}, {"records": list[dict[str, int]]}, "results.json")
    Traceback (most recent call last):
    rnnsim.core.reading.files.Damaged: results.json is damaged: records[0].seed=1 (a text): expected a whole number
    """
    if kind is typing.Any or type(value) is kind:
        return value
    if isinstance(kind, types.UnionType):
        return _one_of(value, kind, kind.__args__, where, key)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, dict):
        return _table(value, kind, where, key)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _instance(value, kind, where, key)
    if origin is typing.Union:
        return _one_of(value, kind, arguments, where, key)
    if origin is typing.Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
    elif origin is list or origin is tuple:
        return _listed(value, kind, origin, arguments, where, key)
    elif origin is dict:
        if isinstance(value, dict):
            return {name: typed(part, arguments[1], where, (key, name)) for name, part in value.items()}
    elif kind is None or kind is type(None):
        if value is None:
            return None
    elif kind is float:
        if isinstance(value, float) or (
            isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023
        ):
            return float(value)
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, kind):
        return value
    raise _wrong(value, kind, where, key)


def _table(value, kind, where, key):
    if not isinstance(value, dict):
        raise _wrong(value, dict, where, key)
    found = dict(value)
    for name, of in kind.items():
        optional = getattr(of, "__origin__", None) is typing.NotRequired
        of = of.__args__[0] if optional else of
        if name in value:
            found[name] = typed(value[name], of, where, (key, name))
        elif not optional:
            raise Damaged(f"{where} is damaged: {_place((key, name))} is missing, expected {_words(of)}")
    return found


def _instance(value, kind, where, key):
    hints, given = typing.get_type_hints(kind), _table(value, {}, where, key)
    if dataclasses.is_dataclass(kind):
        fields = [field for field in dataclasses.fields(kind) if field.init]
        nothing = dataclasses.MISSING
        needed = {field.name for field in fields if field.default is nothing and field.default_factory is nothing}
        names = [field.name for field in fields]
    else:
        names, needed = kind._fields, set(kind._fields) - set(kind._field_defaults)
    for name in given:
        if name not in names:
            raise Damaged(f"{where} is damaged: {_before(key)}{unknown('key', name, names)}")
    table = {name: hints[name] if name in needed else typing.NotRequired[hints[name]] for name in names}
    try:
        return kind(**_table(given, table, where, key))
    except Damaged:
        raise
    except RnnsimError as error:
        raise Damaged(f"{where} is damaged: {_before(key)}{error}") from None


def _one_of(value, kind, choices, where, key):
    if type(value) in choices:
        return value
    # A whole number stays one where both kinds of numbers are allowed.
    for choice in sorted(choices, key=lambda choice: choice is float):
        try:
            return typed(value, choice, where, key)
        except Damaged:
            continue
    raise _wrong(value, kind, where, key)


def _listed(value, kind, origin, arguments, where, key):
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, kind, where, key)
    many = origin is list or arguments[-1] is Ellipsis
    if not many and len(value) != len(arguments):
        raise _wrong(value, kind, where, key)
    kinds = [arguments[0]] * len(value) if many else arguments
    return origin(typed(part, of, where, (key, i)) for i, (part, of) in enumerate(zip(value, kinds)))


def _place(key):
    """The place of a value, kept as (place of the table or list around it, key or index), in words: ``records[0].seed``."""
    if not isinstance(key, tuple):
        return key
    around, name = _place(key[0]), key[1]
    if isinstance(name, int):
        return f"{around}[{name}]"
    return f"{around}.{shown(name)}" if around else shown(name)


def _before(key):
    return f"{_place(key)}: " if key else ""


def _wrong(value, kind, where, key):
    # A text that looks like a number has to be told from one.
    text = f"{shown(value)} (a text)" if isinstance(value, str) else shown(value)
    place = f"{_place(key)}=" if key else ""
    return Damaged(f"{where} is damaged: {place}{text}: expected {_words(kind)}")


def _words(kind):
    origin = typing.get_origin(kind)
    if isinstance(kind, dict) or kind is dict or origin is dict or hasattr(kind, "_fields"):
        return "a table"
    if dataclasses.is_dataclass(kind):
        return "a table"
    if kind is list or origin is list or origin is tuple:
        return "a list"
    if origin is typing.Union or origin is types.UnionType:
        return " or ".join(map(_words, typing.get_args(kind)))
    return "nothing" if kind is None else expected(kind)
