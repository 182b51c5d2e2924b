""".npy and .npz files: the header is read and held against the size of the file before memory is taken or data unpacked.

    .npy   the bytes 93 NUMPY, a version, the length of the header, the header as a Python literal, the elements
    .npz   a zip archive of .npy files

Only arrays of numbers are read: no Python objects, no texts, no records. Source: NumPy, `numpy.lib.format`.
"""

import ast
import io
import math
import re
import zipfile

import numpy as np

from rnnsim.core.reading.files import Damaged, Unreadable, memory, name_of, opened, readable, size_of, taken, too_large
from rnnsim.core.reading.packed import expansion_limit
from rnnsim.errors import RnnsimError

_HEADER = 10_000  # bytes; that of an array of numbers has 128
_AXES = 32
_MEMBERS = 10_000
_PIECE = 2**20
_NUMBERS = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|16))")


def read_npy(path):
    """The array in a .npy file. Raises `Unreadable`, and `Damaged` if it is cut short, changed or holds no numbers.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a.npy"
    ...     np.save(path, np.arange(3))
    ...     read_npy(path)
    array([0, 1, 2])
    """
    with opened(path) as file:
        size = size_of(file)
        return array_of(file, size, name_of(path)) if size else array_from(file, name_of(path))


def array_from(stream, where):
    """The array whose .npy bytes come through a pipe; `where` is what messages call it. Raises as `read_npy`."""
    # How many bytes a pipe gives is known when it ends.
    limit = memory() // 4
    data = taken(stream.read, limit + 1)
    if len(data) > limit:
        raise too_large(where, limit)
    return array_of(io.BytesIO(data), len(data), where)


def array_of(file, size, where, what="the array"):
    """The array in an open file, or in bytes, of .npy format; `size` is that of the whole file. Raises as `read_npy`."""
    damaged = Damaged(f"{where}: damaged or cut short")
    start = file.read(8)
    if start[:6] != b"\x93NUMPY":
        raise Damaged(f"{where}: not a .npy file, it begins with {start[:6].hex() or 'nothing'}")
    width = 2 if start[6:7] == b"\1" else 4
    if start[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise damaged
    length = int.from_bytes(file.read(width), "little")
    header = file.read(min(length, _HEADER + 1))
    if length > _HEADER or len(header) != length:
        raise damaged
    kind, fortran, shape = _described(header, where, what, damaged)
    count, begin = math.prod(shape), 8 + width + length
    if count * kind.itemsize != size - begin:
        raise Damaged(
            f"{where}: damaged or cut short, {what} needs {_count(count * kind.itemsize)} bytes and has "
            f"{_count(size - begin)}"
        )
    if count * kind.itemsize > memory():
        raise Unreadable(
            f"{where}: {what} needs {readable(count * kind.itemsize)}, more than the memory of this machine"
        )
    array = np.empty(count, kind)
    into = memoryview(array.view(np.uint8))
    done = 0
    while done < len(into):
        piece = file.read(min(_PIECE, len(into) - done))
        if not piece:
            raise damaged
        into[done : done + len(piece)] = piece
        done += len(piece)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def read_npz(path, needed=None):
    """``{name: array}`` of a .npz file. Raises as `read_npy`; a name that is `needed` and not there is told at once.

    An archive that unpacks to more than a hundred times its size and 64 MB is refused before it is unpacked.
    """
    where = name_of(path)
    with opened(path) as file:
        start = file.read(4)
        if start != b"PK\x03\x04":
            raise Damaged(f"{where}: not a .npz file, it begins with {start.hex() or 'nothing'}")
        try:
            with zipfile.ZipFile(file) as archive:
                return _members(archive, size_of(file), where, needed)
        except (RnnsimError, MemoryError):
            raise
        except Exception:  # damaged bytes make zipfile raise all kinds of them
            raise Damaged(f"{where}: damaged or cut short") from None


def _members(archive, size, where, needed):
    members = archive.infolist()
    names = [member.filename.removesuffix(".npy") for member in members]
    if not names:
        raise Damaged(f"{where}: no arrays in it")
    if len(set(names)) < len(names) or len(names) > _MEMBERS:
        raise Damaged(f"{where}: damaged, {len(names):,} members with {len(set(names)):,} names")
    if needed is not None and needed not in names:
        raise Damaged(f"{where}: no array '{needed}', only {name_of(', '.join(names))}")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise Damaged(f"{where}: the array '{name_of(member.filename)}' holds something else, expected numbers")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Damaged(f"{where}: '{name_of(member.filename)}' is packed in a way that np.savez does not write")
    total, limit = sum(member.file_size for member in members), expansion_limit(size)
    if total > limit:
        raise Unreadable(
            f"{where}: unpacks from {readable(size)} to {readable(total)}, more than a hundred times; write it with np.savez"
        )
    if total > memory():
        raise Unreadable(f"{where}: unpacks to {readable(total)}, more than the memory of this machine")
    found = {}
    for name, member in zip(names, members):
        with archive.open(member) as file:
            found[name] = array_of(file, member.file_size, where, f"the array '{name_of(name)}'")
            if file.read(1):  # at the end the checksum is compared
                raise Damaged(f"{where}: damaged or cut short")
    return found


def _described(header, where, what, damaged):
    """(dtype, whether the first axis is fastest, shape) of a header. Nothing in it is executed."""
    try:
        text = header.decode("utf-8")
        if sum(text.count(bracket) for bracket in "[({") > 100:
            raise ValueError
        # A header that Python 2 wrote has lengths such as 3L.
        described = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", text).strip())
        kind, fortran, shape = (described.pop(key) for key in ("descr", "fortran_order", "shape"))
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, RecursionError, MemoryError):
        raise damaged from None
    fits = isinstance(fortran, bool) and isinstance(shape, tuple) and len(shape) <= _AXES and not described
    if not fits or not all(type(length) is int and 0 <= length < 2**63 for length in shape):
        raise damaged
    if not isinstance(kind, str) or not _NUMBERS.fullmatch(kind):
        if kind in ("|O", "O"):
            raise Damaged(f"{where}: holds Python objects, expected an array of numbers")
        if isinstance(kind, str) and not re.fullmatch(r"[<>|=]?[a-zA-Z]\d*(\[\w+\])?", kind):
            raise damaged
        text = name_of(kind) if isinstance(kind, str) else "records"
        raise Damaged(f"{where}: {what} holds {text}, expected numbers")
    try:
        return np.dtype(kind), fortran, shape
    except TypeError:  # numbers that this machine does not have
        raise damaged from None


def _count(number):
    """A number of bytes with its digits, or how many it has."""
    return f"{number:,}" if abs(number) < 10**18 else f"more than {10**18:,}"
