"""Files as the system gives them: bytes and text of a bounded size, and one clear line for every error of the system."""

import contextlib
import os
import stat
from pathlib import Path

from rnnsim.errors import RnnsimError

SMALL = 2**24  # bytes of a file that describes something: a configuration, a manifest, a result
LARGE = 2**30  # bytes of a file that holds data as text
_PIECE = 2**20


class Unreadable(RnnsimError):
    """The system does not give the file: no permission, a folder, a name that no file can have, larger than the limit."""


class Missing(Unreadable):
    """There is no such file."""


class Damaged(RnnsimError):
    """The file is there, but it is cut off, changed, or not of the kind that was expected."""


def name_of(path):
    """What messages call a file: its name on one line, shortened in the middle if it is very long.

    >>> name_of("a\\nb.txt"), len(name_of("x" * 4000))
    ('a\\\\nb.txt', 203)
    """
    text = path.decode(errors="backslashreplace") if isinstance(path, bytes) else str(path)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= 203 else f"{text[:100]}...{text[-100:]}"


def cannot(act, path, error):
    """The one line for an error of the system: ``cannot read a.toml: Permission denied``."""
    if isinstance(error, ValueError) and "null" in str(error):
        reason = "a name cannot hold a NUL character"
    elif isinstance(error, UnicodeError):
        reason = "the name cannot be written in the encoding of the file system"
    else:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    kind = Missing if isinstance(error, FileNotFoundError) else Unreadable
    kind = kind if act == "read" else RnnsimError
    return kind(f"cannot {act} {name_of(path)}: {reason}")


def at_home(path):
    """The `Path` with ``~`` and ``~user`` replaced by the folder of that user. Raises `Unreadable` if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise Unreadable(f"cannot read {name_of(path)}: there is no home folder {name_of(user)}") from None


@contextlib.contextmanager
def opened(path):
    """A file open for reading bytes; errors of the system, also later ones, become `Unreadable`."""
    try:
        with open(path, "rb") as file:
            yield file
    except (OSError, UnicodeError) as error:
        raise cannot("read", path, error) from None
    except ValueError as error:
        if isinstance(error, RnnsimError) or "null" not in str(error):
            raise
        raise cannot("read", path, error) from None


def read_bytes(path, limit=LARGE):
    """All bytes of a file of at most `limit` bytes. Raises `Unreadable`, `Missing` among it.

    >>> read_bytes(".", limit=10)
    Traceback (most recent call last):
    rnnsim.core.reading.files.Unreadable: cannot read .: Is a directory
    """
    with opened(path) as file:
        return contents(file, path, limit)


def contents(file, path, limit):
    """What is left of an open file, at most `limit` bytes; raises `Unreadable` if it is more."""
    size = size_of(file)
    if size > limit:
        raise too_large(path, limit)
    if size:
        return file.read(size)
    # A pipe and a device have no size: what they give is counted.
    data = taken(file.read, limit + 1)
    if len(data) > limit:
        raise too_large(path, limit)
    return data


def taken(read, count):
    """The next `count` bytes, or what there is, by calls of `read`: no more memory is taken than bytes come."""
    pieces = []
    while count > 0 and (piece := read(min(count, _PIECE))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_text(path, limit=LARGE):
    """The text of a UTF-8 file; a byte order mark is dropped, every kind of line end becomes a newline.

    Raises `Unreadable`, and `Damaged` with the place of the byte if it is not UTF-8.
    """
    return decoded(read_bytes(path, limit), name_of(path)).replace("\r\n", "\n").replace("\r", "\n")


def decoded(data, where):
    """Bytes as text in UTF-8. Raises `Damaged` with the place of the first byte that is not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Damaged(f"{where}: not UTF-8 text (byte {error.start})") from None


def size_of(file):
    """Bytes of an open file; 0 for a pipe or a device, which have no size."""
    found = os.fstat(file.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def too_large(path, limit):
    """The error for a file of more than `limit` bytes."""
    return Unreadable(f"cannot read {name_of(path)}: larger than {readable(limit)}, the limit for such a file")


def readable(count):
    """A number of bytes as people read it.

    >>> readable(2**24), readable(3 * 10**9)
    ('16.8 MB', '3 GB')
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.3g} {unit}" if count < 1000 else f"{count:.0f} {unit}"
        count /= 1000


def memory():
    """Bytes of memory that this machine has, or a terabyte where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**40
