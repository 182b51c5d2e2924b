"""The one door for everything that is read from outside: bounded, typed, and one clear line for whatever is wrong.

    files.py         bytes and text of a file, with a limit on its size
    schema.py        values by type: what a JSON or TOML file has to hold
    structured.py    JSON, lines of JSON and TOML, with limits on nesting and on the digits of numbers
    tensors.py       safetensors: header, metadata and arrays
    arrays.py        .npy and .npz: the header is checked before anything is allocated or unpacked
    packed.py        gzip, unpacked no further than what is expected
    tables.py        rows of a .csv file
    pictures.py      PNG and JPEG, with a limit on the number of pixels

A reader gives what the file holds or raises `RnnsimError`: `Unreadable` if the system does not give the file (`Missing` if it
is not there), `Damaged` if the content is not what was expected. Nothing that is read is executed.
"""

from rnnsim.core.reading.arrays import array_from, read_npy, read_npz
from rnnsim.core.reading.files import (
    LARGE,
    SMALL,
    Damaged,
    Missing,
    Unreadable,
    at_home,
    cannot,
    decoded,
    memory,
    name_of,
    opened,
    read_bytes,
    read_text,
)
from rnnsim.core.reading.packed import Unpacked, read_unpacked
from rnnsim.core.reading.pictures import is_picture, read_picture
from rnnsim.core.reading.schema import typed
from rnnsim.core.reading.structured import parse_json, parse_toml, read_json, read_json_lines, read_toml
from rnnsim.core.reading.tables import number, numbers, rows
from rnnsim.core.reading.tensors import Tensors, read_tensors

__all__ = [
    "LARGE",
    "SMALL",
    "Damaged",
    "Missing",
    "Tensors",
    "Unpacked",
    "Unreadable",
    "array_from",
    "at_home",
    "cannot",
    "decoded",
    "is_picture",
    "memory",
    "name_of",
    "number",
    "numbers",
    "opened",
    "parse_json",
    "parse_toml",
    "read_bytes",
    "read_json",
    "read_json_lines",
    "read_npy",
    "read_npz",
    "read_picture",
    "read_tensors",
    "read_text",
    "read_toml",
    "read_unpacked",
    "rows",
    "typed",
]
