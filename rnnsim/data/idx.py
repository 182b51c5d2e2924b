"""The idx format of MNIST: big-endian arrays with a four-byte magic number, as they are or gzipped.

    bytes 0, 1    zero
    byte 2        type: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    byte 3        number of axes k
    4 k bytes     length of every axis, big-endian 32-bit integers
    the rest      the elements, last axis fastest

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", file formats.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path, shape=None):
    """The array of an idx file in the byte order of the machine.

    `shape`, if given, is what the file must hold; None stands for any length of an axis: ``(None, 28, 28)``.
    Raises `RnnsimError`, one line with the name of the file, if it cannot be read, is no idx file, is cut short, has
    bytes left over or does not have that shape.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path, shape=(None,))
    array([7, 2, 1], dtype=uint8)
    """
    content = read_bytes(path)
    require(
        len(content) >= 4 and content[:2] == b"\0\0" and content[2] in TYPES and content[3] > 0,
        f"{path}: not an idx file (magic number {content[:4].hex() or 'missing'})",
    )
    kind, axes = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    require(len(content) >= start, f"{path}: cut short, {len(content)} bytes of a header of {start}")
    found = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, 4))
    expected = start + math.prod(found) * kind.itemsize
    if len(content) != expected:
        wrong = "cut short" if len(content) < expected else "too long"
        raise RnnsimError(f"{path}: {wrong}, {len(content)} bytes where {_product(found)} elements need {expected}")
    if shape is not None:
        fits = len(shape) == axes and all(n is None or n == m for n, m in zip(shape, found))
        require(fits, f"{path}: holds an array {_product(found)}, expected {_product(shape)}")
    return np.frombuffer(content, kind, offset=start).reshape(found).astype(kind.newbyteorder("="))


def write_idx(path, array):
    """Write an array as an idx file, gzipped if the name ends in .gz.

    Raises `RnnsimError` for a type of element that idx does not know.
    """
    array = np.asarray(array)
    codes = {np.dtype(kind).newbyteorder("="): code for code, kind in TYPES.items()}
    require(array.dtype in codes, f"{path}: idx files cannot hold {array.dtype}")
    code = codes[array.dtype]
    content = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content += array.astype(TYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def read_bytes(path):
    """All bytes of a file, unpacked if they are gzipped (told by their beginning, not by the name)."""
    try:
        content = Path(path).read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except EOFError:
        raise RnnsimError(f"{path}: cut short, the gzipped data ends too early") from None
    except zlib.error as error:
        raise RnnsimError(f"{path}: damaged gzipped data ({error})") from None
    except OSError as error:
        raise RnnsimError(f"{path}: {error.strerror or error}") from None


def _product(shape):
    return " x ".join("N" if n is None else str(n) for n in shape)
