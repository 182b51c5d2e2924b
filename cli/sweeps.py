"""`--sweep OPTION=VALUES` of `rnnsim eval` and `rnnsim plot`: an option of the task at many values."""

import click

from rnnsim.errors import RnnsimError

_MOST = 1000  # values of a sweep; more are a typing error
_FORM = "expected OPTION=VALUES, such as length=10,20,50 or length=10:120:10"

option = click.option(
    "--sweep", "sweeps", multiple=True, metavar="OPTION=VALUES",
    help="Values of an option of the task: length=10,20,50, or FROM:TO:STEP as in length=10:120:10.",
)  # fmt: skip


def parse(items, given=()):
    """``{option: [text of a value, ...]}`` of all sweeps; `given` are the options that `-o` has set.

    >>> parse(["length=10,20", "repeats=2:10:4"])
    {'length': ['10', '20'], 'repeats': ['2', '6', '10']}
    """
    sweeps = {}
    for item in items:
        name, _, text = item.partition("=")
        name = name.strip()
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not name or not parts:
            raise RnnsimError(f"--sweep {item}: {_FORM}")
        if name in sweeps:
            raise RnnsimError(f"--sweep {name}: given twice")
        if name in given:
            raise RnnsimError(f"--sweep {name}: {name} is given by -o too")
        sweeps[name] = [value for part in parts for value in _values(item, part)]
        repeated = next((value for k, value in enumerate(sweeps[name]) if value in sweeps[name][:k]), None)
        if repeated is not None:
            raise RnnsimError(f"--sweep {item}: the value {repeated} is given twice")
    count = 1
    for values in sweeps.values():
        count *= len(values)
    if count > _MOST:
        raise RnnsimError(f"--sweep: {count:,} evaluations; expected at most {_MOST:,}")
    return sweeps


def _values(item, part):
    """The texts of one value, or of all values of FROM:TO or FROM:TO:STEP, with TO itself if a step reaches it."""
    if ":" not in part:
        return [part]
    try:
        first, last, *step = (int(number) for number in part.split(":"))
    except ValueError:
        raise RnnsimError(f"--sweep {item}: expected whole numbers FROM:TO or FROM:TO:STEP, got {part}") from None
    if len(step) > 1 or last < first or (step and step[0] < 1):
        raise RnnsimError(f"--sweep {item}: expected FROM:TO:STEP with FROM up to TO and STEP at least 1, got {part}")
    values = range(first, last + 1, *step)
    if len(values) > _MOST:
        raise RnnsimError(f"--sweep {item}: {len(values):,} values; expected at most {_MOST:,}")
    return [str(value) for value in values]
