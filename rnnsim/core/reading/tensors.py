"""safetensors: 8 bytes with the length of a JSON header, the header, and the bytes of all arrays one behind the other.

The header has an entry an array, ``{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}``, and ``__metadata__``, texts by
name. Every entry is held against the length of the file before an array is made.

Source: https://huggingface.co/docs/safetensors, "Format".
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from rnnsim.core.reading.files import SMALL, Damaged, memory, name_of, read_bytes
from rnnsim.core.reading.schema import typed
from rnnsim.core.reading.structured import parse_json
from rnnsim.core.registry import shown

_TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "BOOL": "?"}
_TYPES |= {f"{sign}{8 * size}": f"{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)}
_ENTRY = {"dtype": Literal[tuple(_TYPES)], "shape": list[int], "data_offsets": tuple[int, int]}
_AXES = 32


class Tensors(NamedTuple):
    """What a safetensors file holds."""

    arrays: dict  # name -> array, in the order in which they lie in the file
    metadata: dict  # name -> text


def read_tensors(path, limit=None):
    """The `Tensors` in a safetensors file of at most `limit` bytes (default: the memory of this machine).

    Raises `Unreadable` and `Damaged`, one line with the name of the file.
    """
    where, data = name_of(path), read_bytes(path, memory() if limit is None else limit)
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(SMALL, len(data) - 8):
        raise Damaged(f"{where} is damaged, or no safetensors file: {len(data):,} bytes with a header of {length:,}")
    header = parse_json(data[8 : 8 + length], where, dict[str, dict], depth=4)
    metadata = typed(header.pop("__metadata__", {}), dict[str, str], where, "__metadata__")
    entries = {name: typed(entry, _ENTRY, where, shown(name)) for name, entry in header.items()}
    arrays, end = {}, 0
    rest = memoryview(data)[8 + length :]
    needed = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if len(rest) != needed:
        wrong = "cut short" if len(rest) < needed else "too long"
        raise Damaged(f"{where} is damaged: {wrong}, {len(rest):,} bytes of arrays, expected {shown(needed)}")
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        shape, (begin, stop), kind = entry["shape"], entry["data_offsets"], np.dtype(_TYPES[entry["dtype"]])
        fits = len(shape) <= _AXES and min(shape, default=0) >= 0 and begin == end and stop <= len(rest)
        if not fits or math.prod(shape) * kind.itemsize != stop - begin:
            place = f"bytes {shown(begin)} to {shown(stop)}"
            raise Damaged(
                f"{where} is damaged: {shown(name)} of shape {shown(shape)} and type {entry['dtype']} lies in {place}"
            )
        arrays[name] = np.frombuffer(rest[begin:stop], kind.newbyteorder("<")).astype(kind).reshape(shape)
        end = stop
    return Tensors(arrays, metadata)
