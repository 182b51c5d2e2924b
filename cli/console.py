"""Shared by all commands: key=value options in, tables and JSON out."""

import json
import math

import click

from rnnsim.errors import RnnsimError

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object instead of text.")


def key_values(text):
    """Decorator: the option ``-o KEY=VALUE``, any number of times, which becomes the argument `options` of a command."""
    return click.option("-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help=text)


def pairs(items, flag):
    """``("hidden=8", "skip=true")`` as a dict of texts; errors name the `flag`.

    >>> pairs(("hidden=8", "delays=1,2"), "-o")
    {'hidden': '8', 'delays': '1,2'}
    """
    options = {}
    for item in items:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RnnsimError(f"{flag} {item}: expected key=value")
        if key in options:
            raise RnnsimError(f"{flag} {key}: given twice")
        options[key] = value.strip()
    return options


def plain(value):
    """`value` in a form that JSON can hold: arrays as lists, NaN and infinity as null, other objects as text."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def report(data, json_wanted, lines):
    """Print `data` as JSON, or else the `lines` of text (an iterable, or a function that returns one)."""
    if json_wanted:
        click.echo(json.dumps(plain(data), indent=2))
        return
    for line in lines() if callable(lines) else lines:
        click.echo(line)


def table(rows, titles=None, right=()):
    """Lines of a table with aligned columns; the columns numbered in `right` are right-aligned.

    >>> table([("weight", 12), ("bias", 3)], right=(1,))
    ['weight  12', 'bias     3']
    """
    rows = [[str(cell) for cell in row] for row in ([titles] if titles else []) + list(rows)]
    if not rows:
        return []
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if k in right else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    if titles:
        lines.insert(1, "  ".join("-" * width for width in widths))
    return lines


def number(value):
    """A number for reading: six digits, thousands separated.

    >>> number(33100), number(0.1234567), number(None)
    ('33,100', '0.123457', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, bool) or isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}"


def size(count):
    """A number of bytes for reading.

    >>> size(1500), size(3_000_000)
    ('1.5 kB', '3.0 MB')
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
        count /= 1000


def option_rows(options):
    """(name, type, default) of every option of an `option_table`."""
    return [(name, type_name(annotation), _default(default)) for name, (annotation, default) in options.items()]


def type_name(annotation):
    """An annotation as the help prints it: ``tanh|relu``, ``int or none``, ``int,int,...``."""
    import types
    import typing

    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "|".join(str(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(choice) for choice in arguments)
    if origin is tuple:
        return f"{type_name(arguments[0])},..."
    names = {bool: "true|false", type(None): "none", typing.Any: "any", str: "text"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(default):
    import inspect

    if default is inspect.Parameter.empty:
        return "(required)"
    if isinstance(default, bool):
        return str(default).lower()
    if default is None:
        return "none"
    if isinstance(default, (tuple, list)):
        return ",".join(str(part) for part in default)
    return str(default)
