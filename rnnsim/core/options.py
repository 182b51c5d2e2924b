"""The options of a class: a line about each, and the option sets under which the tests cover the class.

`rnnsim.core.registry.option_table` reads the options themselves, their types and defaults.
"""

import inspect
import itertools
import math
import re
import typing

from rnnsim.core.registry import option_table

_EXPLAINED = re.compile(r"^ *(\w+(?:, \w+)*) : (.*(?:\n {4,}(?!\w+(?:, \w+)* : )\S.*)*)", re.MULTILINE)


def explanations(cls):
    """``{option: a line about it}`` from the lines ``option : text`` in the docstrings of a class and of its ``Options``.

    A text may continue in indented lines; commas separate several options with one text.

    >>> class Spiral:
    ...     \"""A spiral.
    ...
    ...     arms, turns : how many; with 0 turns the arms
    ...         are straight lines
    ...     \"""
    >>> explanations(Spiral)["turns"]
    'how many; with 0 turns the arms are straight lines'
    """
    found = {}
    classes = [part for part in getattr(cls, "__mro__", (cls,))[::-1] if part is not object]
    for source in (*classes, getattr(cls, "Options", None)):
        text = vars(source).get("__doc__") if inspect.isclass(source) else getattr(source, "__doc__", None)
        for names, line in _EXPLAINED.findall(inspect.cleandoc(text or "")):
            found |= {name: " ".join(line.split()) for name in names.split(", ")}
    return found


def variants(cls, reserved=(), most=2000):
    """The option dicts under which the tests cover a class.

    Every combination of the options with finitely many values (truth values and `typing.Literal`), then for the other options the
    ``tested_options`` of the class, a tuple of dicts. If there are more than `most` combinations, every value of every option
    appears with the first values of the others and with their last ones.

    >>> class Spiral:
    ...     tested_options = (dict(arms=3),)
    ...
    ...     def __init__(self, arms: int = 2, inward: bool = False): ...
    >>> variants(Spiral)
    [{'inward': False}, {'inward': True}, {'arms': 3}]
    """
    finite = {}
    for name, (annotation, _) in option_table(cls, reserved).items():
        values = choices(annotation)
        if values:
            finite[name] = values
    return [*combinations(finite, most), *map(dict, getattr(cls, "tested_options", ()))]


def choices(annotation):
    """All values of an option with finitely many values (Literal and bool); None for other options."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return (False, True) if annotation is bool else None


def combinations(finite, most=2000):
    """All combinations of ``{option: values}``; if too many, every value with the first and the last values of the others.

    >>> combinations({"a": (1, 2), "b": (3, 4)})
    [{'a': 1, 'b': 3}, {'a': 1, 'b': 4}, {'a': 2, 'b': 3}, {'a': 2, 'b': 4}]
    >>> combinations({"a": (1, 2), "b": (3, 4)}, most=3)
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}, {'a': 1, 'b': 4}, {'a': 2, 'b': 4}]
    """
    if math.prod(map(len, finite.values())) <= most:
        return [dict(zip(finite, values)) for values in itertools.product(*finite.values())]
    found = []
    for end in (0, -1):
        others = {name: values[end] for name, values in finite.items()}
        found += [{**others, name: value} for name, values in finite.items() for value in values]
    return [one for k, one in enumerate(found) if one not in found[:k]]
