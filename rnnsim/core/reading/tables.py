"""Rows of a .csv file: cells as texts, with limits on the length of a line and the number of columns."""

import contextlib
import csv
import io

from rnnsim.core.reading.files import Damaged, name_of, read_text
from rnnsim.errors import RnnsimError

COLUMNS = 100_000
LINE = 2**24  # characters of a row; the reviews of films have up to 14,000


def rows(path, text=None):
    """(number of the line, cells) of every row of a .csv file, or of its `text`; a row may have line ends in quotes.

    Rows without any character are skipped. Raises `Unreadable`, and `Damaged` with the line that is wrong.

    >>> list(rows("a.csv", 'a,"b, c"\\n\\n1,2\\n'))
    [(1, ['a', 'b, c']), (3, ['1', '2'])]
    """
    where = name_of(path)
    text = read_text(path) if text is None else text
    # The limit of the csv module holds for the whole process; it is only raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), LINE))
    lines = csv.reader(_lines(text, where))
    try:
        for cells in lines:
            if len(cells) > COLUMNS:
                raise Damaged(f"{where}, line {lines.line_num}: {len(cells):,} columns, expected at most {COLUMNS:,}")
            if cells:  # an empty line has none
                yield lines.line_num, cells
    except csv.Error as error:
        raise Damaged(f"{where}, line {lines.line_num}: {error}") from None


def number(cell):
    """A cell as a float, as people write one: digits, point, exponent, nan, inf. Raises `RnnsimError` for anything else.

    >>> number(" 2.5e3"), number("1_000")
    Traceback (most recent call last):
    rnnsim.errors.RnnsimError: expected a number, got '1_000'
    """
    try:
        # Python takes underscores and digits of all scripts, which in a file are slips.
        if "_" in cell or not cell.isascii():
            raise ValueError
        return float(cell)
    except ValueError:
        raise RnnsimError(f"expected a number, got {cell[:40]!r}") from None


def numbers(cells):
    """All cells of a row as floats; raises as `number`.

    >>> numbers(["1", " 2.5"])
    [1.0, 2.5]
    """
    text = "".join(cells)
    if "_" not in text and text.isascii():
        with contextlib.suppress(ValueError):
            return [float(cell) for cell in cells]
    return [number(cell) for cell in cells]


def _lines(text, where):
    """The lines of a text with their ends, one at a time."""
    for count, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if len(line) > LINE:
            raise Damaged(f"{where}, line {count}: {len(line):,} characters, expected at most {LINE:,}")
        yield line
