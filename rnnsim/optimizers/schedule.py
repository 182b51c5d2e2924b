"""Schedules of the learning rate, as texts: the factor on the learning rate at update t = 0, 1, 2, ...

    constant           1
    exponential:d      d^t                             0 < d <= 1
    step:n:d           d^floor(t / n)                  every n updates times d
    inverse:k          1 / (1 + k t)
    inverse-sqrt:k     1 / sqrt(1 + k t)
    cosine:n           (1 + cos(pi t / n)) / 2 until update n, then 0
    linear:n           1 - t / n until update n, then 0
    warmup:n           (t + 1) / n until update n, then 1

    per-time-step:d    d^k, k the time steps since the sequence began       } for networks that learn at every time step by a
    per-sequence:d     d^k, k the sequences so far                           } procedure of their own: see `time_decays`

Parts joined by "+" are multiplied: "warmup:500+cosine:10000" is a cosine that starts softly.
"""

import math

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError, unknown


def _exponential(decay):
    return lambda t: decay**t


def _step(every, decay):
    return lambda t: decay ** (t // every)


def _inverse(slope):
    return lambda t: 1 / (1 + slope * t)


def _inverse_sqrt(slope):
    return lambda t: 1 / math.sqrt(1 + slope * t)


def _cosine(length):
    return lambda t: (1 + math.cos(math.pi * min(t / length, 1.0))) / 2


def _linear(length):
    return lambda t: max(0.0, 1 - t / length)


def _warmup(length):
    return lambda t: min(1.0, (t + 1) / length)


def _constant():
    return lambda t: 1.0


def _counted_elsewhere(decay):
    return lambda t: 1.0


# name: (function, what each of its numbers must be)
_SCHEDULES = {
    "constant": (_constant, ()),
    "exponential": (_exponential, ("factor",)),
    "step": (_step, ("length", "factor")),
    "inverse": (_inverse, ("slope",)),
    "inverse-sqrt": (_inverse_sqrt, ("slope",)),
    "cosine": (_cosine, ("length",)),
    "linear": (_linear, ("length",)),
    "warmup": (_warmup, ("length",)),
    "per-time-step": (_counted_elsewhere, ("factor",)),
    "per-sequence": (_counted_elsewhere, ("factor",)),
}
_EXPECTED = {
    "factor": (lambda x: 0 < x <= 1, "a factor above 0 and at most 1"),
    "length": (lambda x: x >= 1 and x == int(x), "a whole number of updates, at least 1"),
    "slope": (lambda x: x >= 0, "a number of at least 0"),
}


def names():
    """The names of all schedules."""
    return tuple(_SCHEDULES)


def parse(text):
    """The schedule of a text, as a function of the update's number. Raises `RnnsimError` for any other text.

    >>> half = parse("warmup:2+step:1000:0.5")
    >>> half(0), half(1), half(1500)
    (0.5, 1.0, 0.5)
    """
    parts = [_part(part.strip(), text) for part in str(text).split("+")]
    if len(parts) == 1:
        return parts[0]
    return lambda t: math.prod(part(t) for part in parts)


def time_decays(text):
    """(factor of every time step, factor of every sequence) of a schedule; 1 where it has none.

    >>> time_decays("per-time-step:0.99"), time_decays("warmup:5")
    ((0.99, 1.0), (1.0, 1.0))
    """
    parts = [part.strip().split(":") for part in str(text).split("+")]
    return tuple(
        1.0 * math.prod(float(number) for name, *numbers in parts if name == kind for number in numbers)
        for kind in ("per-time-step", "per-sequence")
    )


def counts_updates(text):
    """Whether a schedule depends on the number of updates, and not only on time steps and sequences.

    >>> counts_updates("per-sequence:0.9"), counts_updates("per-sequence:0.9+linear:50")
    (False, True)
    """
    names = {part.strip().split(":")[0] for part in str(text).split("+")}
    return not names <= {"constant", "per-time-step", "per-sequence"}


def _part(text, whole):
    name, *numbers = text.split(":")
    if name not in _SCHEDULES:
        raise unknown("schedule", name, _SCHEDULES)
    make, kinds = _SCHEDULES[name]
    form = ":".join((name, *kinds))
    require(len(numbers) == len(kinds), f"schedule={whole}: expected {form}")
    values = []
    for number, kind in zip(numbers, kinds):
        fits, expected = _EXPECTED[kind]
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise RnnsimError(f"schedule={whole}: '{number}' in {form} should be {expected}")
        values.append(value)
    return make(*values)
