"""Regions of outdoor pictures with hand-made labels: the image segmentation data of C. Brodley (UCI, 1990) as Weka ships them."""

import re
from typing import NamedTuple

import numpy as np

from rnnsim.core.reading import Damaged, at_home, name_of, numbers, read_text
from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError

FILES = {"train": "segment-challenge.arff", "test": "segment-test.arff"}
_NAME = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s{},%'\"]+"
_ATTRIBUTE = re.compile(rf"@attribute\s+({_NAME})\s+(.*)", re.IGNORECASE)
_NUMERIC = ("numeric", "real", "integer")
_COLUMNS = 100_000


class Regions(NamedTuple):
    """Feature vectors with classes.

    features  (N, F) float64
    classes   (N,) int32, places in `names`
    columns   the names of the features
    names     the names of the classes
    """

    features: np.ndarray
    classes: np.ndarray
    columns: tuple[str, ...]
    names: tuple[str, ...]


def read_arff(path):
    """The `Regions` of an ARFF file whose attributes are numbers, with one nominal attribute, the class, as the last.

    Comments ("%") and empty lines are skipped. Raises `RnnsimError`, one line with the file and its line, for other types of
    attributes, missing values ("?"), sparse rows, a class that was not declared, and numbers that are not finite.

    Source of the format: Weka, "Attribute-Relation File Format".

    >>> import pathlib, tempfile
    >>> text = "@relation r\\n@attribute size numeric\\n@attribute class {sky, grass}\\n@data\\n2.5,grass\\n1,sky\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a.arff"
    ...     _ = path.write_text(text)
    ...     regions = read_arff(path)
    >>> regions.features.tolist(), regions.classes.tolist(), regions.columns, regions.names
    ([[2.5], [1.0]], [1, 0], ('size',), ('sky', 'grass'))
    """
    where, columns, names, rows, classes = name_of(path), [], None, [], []
    lines = enumerate(read_text(at_home(path)).split("\n"), 1)
    for number, line in lines:
        line = line.strip()
        if not line or line.startswith("%") or line.lower().startswith("@relation"):
            continue
        if line.lower() == "@data":
            break
        found = _ATTRIBUTE.fullmatch(line)
        require(found is not None, f"{where}, line {number}: expected @attribute or @data, got {line[:40]!r}")
        require(names is None, f"{where}, line {number}: an attribute after the class, expected the class as the last")
        require(len(columns) < _COLUMNS, f"{where}, line {number}: more than {_COLUMNS:,} attributes")
        name, kind = _bare(found[1]), found[2].strip()
        if kind.lower() in _NUMERIC:
            columns.append(name)
        else:
            nominal = kind.startswith("{") and kind.endswith("}")
            expected = "expected numeric or one nominal class"
            require(nominal, f"{where}, line {number}: attribute {name[:40]} is {kind[:40]}, {expected}")
            names = tuple(_bare(part.strip()) for part in kind[1:-1].split(","))
            distinct = all(names) and len(set(names)) == len(names)
            require(distinct, f"{where}, line {number}: a class is empty or named twice")
    require(
        names is not None and bool(columns), f"{where}: expected numeric attributes and a nominal class, then @data"
    )
    places = {name: k for k, name in enumerate(names)}
    for number, line in lines:
        line = line.strip()
        if not line or line.startswith("%"):
            continue
        cells = [cell.strip() for cell in line.split(",")]
        fits = len(cells) == len(columns) + 1
        require(fits, f"{where}, line {number}: {len(cells)} values, expected {len(columns) + 1}")
        try:
            values = numbers(cells[:-1])
        except RnnsimError as error:
            raise Damaged(f"{where}, line {number}: {error}") from None
        require(bool(np.isfinite(values).all()), f"{where}, line {number}: a value is not finite")
        name = _bare(cells[-1])
        require(name in places, f"{where}, line {number}: class {name[:40]!r}, expected one of {', '.join(names)[:80]}")
        rows.append(values)
        classes.append(places[name])
    require(bool(rows), f"{where}: there is no row of values")
    return Regions(np.array(rows), np.array(classes, np.int32), tuple(columns), names)


def read_regions(path):
    """(training, test) `Regions` of a folder with Weka's files ``segment-challenge.arff`` and ``segment-test.arff``.

    1,500 + 810 regions of 3x3 pixels from seven outdoor pictures, 19 features, 7 classes. Every distribution of Weka has the
    files. Raises `RnnsimError` if one is missing, or their attributes are not the same, or as `read_arff`.
    """
    folder = at_home(path)
    require(folder.is_dir(), f"path={name_of(path)}: expected the folder of {' and '.join(FILES.values())} of Weka")
    train, test = (read_arff(folder / name) for name in FILES.values())
    same = train.columns == test.columns and train.names == test.names
    require(same, f"{name_of(path)}: {' and '.join(FILES.values())} have different attributes")
    return train, test


def _bare(name):
    """A name without its quotes."""
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"" else name
