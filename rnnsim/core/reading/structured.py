"""JSON, lines of JSON, and TOML: read into dicts, lists, texts and numbers, then held against a schema.

The parsers of the standard library call themselves for every bracket, so brackets are counted before; they turn digits into
whole numbers of any size, so digits are counted too. All of this takes time and memory in proportion to the file.
"""

import json
import math
import re
import tomllib
from typing import Any

from rnnsim.core.reading.files import SMALL, Damaged, decoded, name_of, opened, read_text, size_of, too_large
from rnnsim.core.reading.schema import typed

DEPTH = 32  # brackets inside each other; configurations have 4
DIGITS = 100  # of a whole number; a seed of 256 bits has 78
LINE = 2**20  # bytes of a line of JSON
# A text up to its end or that of the file, and what opens and closes. Possessive, so that no text is looked at twice.
_JSON = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_TOML = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+\\?(?:"""|\Z)|\'\'\'(?:[^\']|\'(?!\'\'))*+(?:\'\'\'|\Z)'
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?|\'[^\'\n]*+\'?|\#[^\n]*+|[\[\]{}\n=,.]',
    re.DOTALL,
)
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text, where="JSON", kind=Any, depth=DEPTH, finite=True):
    """What a JSON text (or its bytes in UTF-8) holds, as the `kind` (see `typed`).

    With ``finite=False`` NaN and Infinity may stand in it, as Python writes them. Raises `Damaged`, one line that begins
    with `where`, for what is no JSON, nested deeper than `depth`, or of another kind.

    >>> parse_json('{"step": 3}', "metrics.jsonl", {"step": int})
    {'step': 3}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    rnnsim.core.reading.files.Damaged: JSON is damaged: nested more than 32 deep
    """
    if isinstance(text, bytes):
        text = decoded(text, where)
    _check_depth(text, _JSON, depth, where)

    def whole(digits):
        if len(digits) > DIGITS:
            raise Damaged(f"{where} is damaged: a whole number of {len(digits):,} digits")
        return int(digits)

    def fraction(digits):
        value = float(digits)
        if not math.isfinite(value):
            raise Damaged(f"{where} is damaged: {digits[:40]} is too large for a number")
        return value

    def constant(name):
        if finite:
            raise Damaged(f"{where} is damaged: {name}, expected a finite number")
        return float(name)

    try:
        found = json.loads(text, parse_int=whole, parse_float=fraction if finite else None, parse_constant=constant)
        if _HALF_PAIR.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Damaged(f"{where} is damaged: no JSON at {place}: {error.msg}") from None
    except UnicodeEncodeError:
        raise Damaged(f"{where} is damaged: half a surrogate pair in a text") from None
    except RecursionError:
        raise Damaged(f"{where} is damaged: nested too deep") from None
    return typed(found, kind, where)


def read_json(path, kind=Any, limit=SMALL, depth=DEPTH, finite=True):
    """What a JSON file holds, as the `kind`. Raises `Unreadable` (`Missing` among it) and `Damaged`."""
    return parse_json(read_text(path, limit), name_of(path), kind, depth, finite)


def read_json_lines(path, kind=Any, limit=2**32, finite=True):
    """Every line of a file of JSON lines: (what it holds, or the `Damaged` that says what is wrong with it; its bytes).

    A last line without its newline is left out: its writer was stopped. Raises `Unreadable`.
    """
    with opened(path) as file:
        if size_of(file) > limit:
            raise too_large(path, limit)
        number, name = 0, name_of(path)
        while line := file.readline(LINE):
            number += 1
            where = f"{name}, line {number}"
            if not line.endswith(b"\n"):
                # What is left of a line that is too long is passed over in pieces.
                while rest := file.readline(LINE):
                    if rest.endswith(b"\n"):
                        break
                else:
                    return
                yield Damaged(f"{where} is damaged: longer than {LINE:,} bytes"), line + rest
                continue
            try:
                yield parse_json(line, where, kind, finite=finite), line
            except Damaged as error:
                yield error, line


def parse_toml(text, where="TOML", kind=Any, depth=DEPTH):
    """What a TOML text holds, as the `kind`. Raises `Damaged`, one line that begins with `where`; errors as `parse_json`.

    >>> parse_toml("steps = 10", "config.toml", {"steps": int})
    {'steps': 10}
    """
    _check_depth(text, _TOML, depth, where)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Damaged(f"{where}: {error}") from None
    except ValueError:  # the limit that Python has for the digits of a whole number, and dates that are none
        raise Damaged(f"{where}: a number or a date that is out of range") from None
    except RecursionError:
        raise Damaged(f"{where} is damaged: nested too deep") from None
    left = [found]
    while left:
        value = left.pop()
        if isinstance(value, (dict, list)):
            left.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, int) and value.bit_length() > 3.33 * DIGITS:
            raise Damaged(f"{where} is damaged: a whole number of more than {DIGITS} digits")
    return typed(found, kind, where)


def read_toml(path, kind=Any, limit=2**20, depth=DEPTH):
    """What a TOML file holds, as the `kind`. Raises `Unreadable` (`Missing` among it) and `Damaged`."""
    return parse_toml(read_text(path, limit), name_of(path), kind, depth)


def _check_depth(text, pattern, depth, where):
    """Raises `Damaged` if brackets, or dots of a TOML key, are nested deeper than `depth` anywhere."""
    if text.count("[") + text.count("{") <= depth and (pattern is _JSON or text.count(".") <= depth):
        return
    open_, dots = 0, 0
    for token in pattern.finditer(text):
        token = token[0]
        if token in "[{":
            open_, dots = open_ + 1, 0
        elif token in "]}":
            open_, dots = open_ - 1, 0
        elif token in "\n=,":
            dots = 0
        elif token == ".":
            dots += 1
        # A header such as [a.b.c] opens as many tables as it has names.
        if open_ + dots > depth:
            raise Damaged(f"{where} is damaged: nested more than {depth} deep")
