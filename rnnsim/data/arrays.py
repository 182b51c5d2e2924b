"""The user's own arrays, read without pickle from .npy, .npz and .csv files."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnnsim.core.reading import at_home, name_of, number, numbers, read_npy, read_npz, rows
from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError, unknown

KINDS = (".npy", ".npz", ".csv")


@dataclass(frozen=True)
class Table:
    """A .csv file of numbers.

    path    the name of the file, for messages
    values  (rows, columns) float64
    names   the names of the columns; None without a header line
    """

    path: str
    values: np.ndarray
    names: tuple | None = None

    def columns(self, wanted):
        """The indices of columns, each given by name or by number from 1. Raises `RnnsimError` for an unknown one.

        >>> Table("a.csv", np.zeros((2, 3)), ("time", "load", "price")).columns(["price", "1"])
        [2, 0]
        """
        count, places = self.values.shape[1], []
        for column in map(str, wanted):
            if self.names and column in self.names:
                places.append(self.names.index(column))
            elif column.isdecimal() and 1 <= int(column) <= count:
                places.append(int(column) - 1)
            elif self.names:
                raise unknown(f"column of {self.path}", column, self.names)
            else:
                raise RnnsimError(f"{self.path}: there is no column {column}, expected a number between 1 and {count}")
        return places


def read_table(path):
    """The `Table` of a .csv file: numbers with commas between the columns.

    A first line without any number holds the names of the columns. Empty lines are skipped, a cell may be in quotes. Raises
    `RnnsimError` with the line and the column of a cell that is missing or no finite number.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.csv"
    ...     _ = path.write_text("load,price\\n1,2\\n3,4.5\\n")
    ...     table = read_table(path)
    >>> table.names, table.values.tolist()
    (('load', 'price'), [[1.0, 2.0], [3.0, 4.5]])
    """
    names, values, places, width, file = None, [], [], None, name_of(path)
    for line, cells in rows(at_home(path)):
        if not any(cell.strip() for cell in cells):
            continue
        if width is None:
            width = len(cells)
            if not any(map(_is_number, cells)):
                names = tuple(cell.strip() for cell in cells)
                continue
        if len(cells) != width:
            raise RnnsimError(f"{file}, line {line}: {len(cells)} columns, expected {width} as in the first line")
        try:
            values.append(numbers(cells))
            places.append(line)
        except RnnsimError as error:
            column = next(k for k, cell in enumerate(cells) if not _is_number(cell))
            raise RnnsimError(f"{file}, line {line}, column {column + 1}: {error}") from None
    require(values, f"{name_of(path)}: no row of numbers")
    values = np.array(values)
    strange = np.argwhere(~np.isfinite(values))
    if strange.size:
        row, column = strange[0]
        where = f"{file}, line {places[row]}, column {column + 1}"
        raise RnnsimError(f"{where}: expected a finite number, got {values[row, column]}")
    return Table(name_of(path), values, names)


def kind_of(path):
    """The kind of a file by the end of its name: ".npy", ".npz" or ".csv". Raises `RnnsimError` for another one."""
    kind = Path(path).suffix.lower()
    require(kind in KINDS, f"{name_of(path)}: expected a file that ends in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    return kind


def title(source):
    """The name of a source of arrays in messages."""
    return name_of(source) if isinstance(source, (str, os.PathLike)) else "the arrays"


def load_arrays(source, name, target_columns=()):
    """``{name: array, ...}`` from a file, an array, or a dict of arrays; the array `name` is among them.

    source : a file that ends in .npy (one array), .npz (named arrays) or .csv (a table of numbers); an array; or a dict of
        arrays. A .npz file and a dict may hold more arrays
    name : the name of the first array, such as "inputs"
    target_columns : columns of a .csv file, by name or number from 1, that become "targets"; the other columns become
        `name`. A single column has shape (rows,)

    Raises `RnnsimError` for a file that cannot be read, a missing array or column, and values that are not numbers.

    >>> load_arrays(np.zeros(3), "inputs")
    {'inputs': array([0., 0., 0.])}
    """
    is_path = isinstance(source, (str, os.PathLike))
    kind = kind_of(source) if is_path else None
    require(kind == ".csv" or not target_columns, f"target_columns: {title(source)} is no .csv file")
    if kind == ".csv":
        table = read_table(source)
        chosen = table.columns(target_columns)
        rest = [k for k in range(table.values.shape[1]) if k not in chosen]
        require(rest, f"{title(source)}: all columns are targets, expected some for the {name}")
        parts = {name: rest, "targets": chosen} if chosen else {name: rest}
        return {key: table.values[:, part[0] if len(part) == 1 else part] for key, part in parts.items()}
    if kind == ".npy":
        return {name: read_npy(at_home(source))}
    if kind == ".npz":
        found = read_npz(at_home(source), needed=name)
    else:
        given = source if isinstance(source, dict) else {name: source}
        try:
            found = {key: np.asarray(array) for key, array in given.items() if array is not None}
        except ValueError:
            raise RnnsimError("the arrays: expected arrays, got rows of different lengths") from None
        found = {key: _numbers("the arrays", key, array) for key, array in found.items()}
    require(name in found, f"{title(source)}: no array '{name}', only {', '.join(map(str, found)) or 'nothing'}")
    return found


def finite(what, array):
    """The array as contiguous float32. Raises `RnnsimError` with the place of a number that is not finite in float32.

    >>> finite("a.npy: inputs", np.array([[1, np.inf]]))
    Traceback (most recent call last):
    rnnsim.errors.RnnsimError: a.npy: inputs[0, 1] is inf, expected finite numbers
    """
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        place = _first(~np.isfinite(array))
        raise RnnsimError(f"{what}[{', '.join(map(str, place))}] is {array[place]}, expected finite numbers")
    return array


def whole_numbers(what, array):
    """The array as contiguous int32. Raises `RnnsimError` with the place of a number that is not 0, 1, 2, ...

    >>> whole_numbers("a.npy: targets", np.array([1.0, 2.5]))
    Traceback (most recent call last):
    rnnsim.errors.RnnsimError: a.npy: targets[1] is 2.5, expected a whole number of at least 0
    """
    with np.errstate(invalid="ignore"):
        strange = (array < 0) | (array != np.floor(array)) | (array >= 2**31)
    if strange.any():
        place = _first(strange)
        raise RnnsimError(
            f"{what}[{', '.join(map(str, place))}] is {array[place]}, expected a whole number of at least 0"
        )
    return np.ascontiguousarray(array, np.int32)


def _first(mask):
    """Where a mask is first true."""
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _numbers(path, what, array):
    """The array, if it holds numbers: NumPy returns raw bytes for members of an archive that are not arrays."""
    given = array.dtype if isinstance(array, np.ndarray) else "something else"
    require(given != "something else" and array.dtype.kind in "biuf", f"{path}: {what} holds {given}, expected numbers")
    return array


def _is_number(cell):
    try:
        number(cell)
    except RnnsimError:
        return False
    return True
