"""The idx format of MNIST: reading and writing."""

import gzip
import math
from pathlib import Path

import numpy as np

from rnnsim.core.reading import Damaged, memory, name_of, read_unpacked
from rnnsim.core.registry import require

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_AXES = 32


def read_idx(path, shape=None):
    """The array of an idx file, gzipped or not, in the byte order of the machine.

        bytes 0, 1    zero
        byte 2        type: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
        byte 3        number of axes k
        4 k bytes     length of every axis, big-endian 32-bit integers
        the rest      the elements, big-endian, last axis fastest

    shape : the shape that the file must have, None for any length of an axis, such as ``(None, 28, 28)``; None: any shape

    Raises `RnnsimError`, one line with the name of the file, if it cannot be read, is not an idx file, is cut short, has
    bytes left over or has another shape.
    Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", file formats.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path, shape=(None,))
    array([7, 2, 1], dtype=uint8)
    """

    def size(start):
        kind, found = _header(start, path, shape)
        return 4 + 4 * len(found) + math.prod(found) * kind.itemsize

    content = read_unpacked(path, size, memory())
    kind, found = _header(content, path, shape)
    begin, expected = 4 + 4 * len(found), size(content)
    if len(content) != expected:
        wrong = "cut short" if len(content) < expected else "too long"
        bytes_ = f"{len(content)} bytes" if len(content) < expected else f"more than {expected} bytes"
        raise Damaged(f"{name_of(path)}: {wrong}, {bytes_} where {_product(found)} elements need {expected}")
    return np.frombuffer(content, kind, offset=begin).reshape(found).astype(kind.newbyteorder("="))


def _header(start, path, shape):
    """(type of an element, lengths of the axes) from the first bytes of a file."""
    if not (len(start) >= 4 and start[:2] == b"\0\0" and start[2] in TYPES and start[3] > 0):
        raise Damaged(f"{name_of(path)}: not an idx file (magic number {start[:4].hex() or 'missing'})")
    kind, axes = np.dtype(TYPES[start[2]]), start[3]
    if len(start) < 4 + 4 * axes:
        raise Damaged(f"{name_of(path)}: cut short, {len(start)} bytes of a header of {4 + 4 * axes}")
    found = tuple(int(n) for n in np.frombuffer(start, ">u4", axes, 4))
    require(axes <= _AXES, f"{name_of(path)}: holds an array of {axes} axes, expected at most {_AXES}")
    if shape is not None:
        fits = len(shape) == axes and all(n is None or n == m for n, m in zip(shape, found))
        require(fits, f"{name_of(path)}: holds an array {_product(found)}, expected {_product(shape)}")
    return kind, found


def write_idx(path, array):
    """Write an array as an idx file, gzipped if the name ends in .gz; `read_idx` has the format.

    Raises `RnnsimError` for a type of element that idx does not have.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels.gz"
    ...     write_idx(path, np.array([7, 2, 1], np.uint8))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    array = np.asarray(array)
    codes = {np.dtype(kind).newbyteorder("="): code for code, kind in TYPES.items()}
    require(array.dtype in codes, f"{name_of(path)}: idx files cannot hold {array.dtype}")
    code = codes[array.dtype]
    content = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content += array.astype(TYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def _product(shape):
    return " x ".join("N" if n is None else str(n) for n in shape)
