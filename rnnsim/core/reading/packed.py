"""gzip, unpacked piece by piece and no further than what is expected."""

import gzip
import zlib

from rnnsim.core.reading.files import (
    LARGE,
    Damaged,
    Unreadable,
    contents,
    memory,
    name_of,
    opened,
    readable,
    size_of,
    taken,
)

_FREE = 2**26  # bytes that a file may unpack to, however small it is
_EXPANSION = 100  # how many times its own size a larger one may unpack to; digits of MNIST: 5, text: 4


def expansion_limit(size):
    """Bytes that a packed file of `size` bytes may unpack to.

    >>> expansion_limit(1000), expansion_limit(10**7)
    (67108864, 1000000000)
    """
    return max(_FREE, _EXPANSION * size)


class Unpacked:
    """The content of an open gzip file, to read and to seek in.

    Raises `Unreadable` where more comes out than `limit`, the memory of this machine or a hundred times the file (but 64 MB),
    `Damaged` where the packed data is cut off or changed.
    """

    def __init__(self, file, path, limit=LARGE):
        self._stream, self._where = gzip.GzipFile(fileobj=file), name_of(path)
        self.limit = min(limit, memory(), expansion_limit(size_of(file)))

    def read(self, count=-1):
        """At most `count` bytes, fewer at the end alone."""
        left = self.limit + 1 - self._stream.tell()
        wanted = left if count is None or count < 0 else min(count, left)
        data = taken(lambda size: self._guarded(self._stream.read, size), wanted)
        self._check(self._stream.tell())
        return data

    def seek(self, place, whence=0):
        """Go to a place, counted from the start."""
        if whence != 0:
            raise Damaged(f"{self._where}: damaged packed data")
        self._check(place)
        return self._guarded(self._stream.seek, place)

    def tell(self):
        """Where the next byte comes from."""
        return self._stream.tell()

    def _check(self, place):
        if place > self.limit:
            raise Unreadable(f"{self._where}: unpacks to more than {readable(self.limit)}, the limit for such a file")

    def _guarded(self, act, value):
        try:
            return act(value)
        except EOFError:
            raise Damaged(f"{self._where}: cut short, the gzipped data ends too early") from None
        except (zlib.error, gzip.BadGzipFile) as error:
            raise Damaged(f"{self._where}: damaged gzipped data ({error})") from None


def read_unpacked(path, expected=None, limit=LARGE):
    """All bytes of a file, unpacked if it is gzipped (told by its beginning, not by its name).

    `expected`, if given, takes the first 1024 bytes and says how many there should be, or raises: no more than one byte beyond
    that is unpacked. Raises `Unreadable` and `Damaged`.
    """
    with opened(path) as file:
        stream = None
        if file.peek(2)[:2] == b"\x1f\x8b":
            stream = Unpacked(file, path, limit)
            limit = stream.limit
        if expected is None:
            return stream.read() if stream else contents(file, path, limit)
        read = (stream or file).read
        start = taken(read, 1024)
        count = expected(start)
        if count > limit:
            needs = f"needs {readable(count)}, more than {readable(limit)}, the limit for such a file"
            raise Unreadable(f"{name_of(path)}: {needs}")
        return start + taken(read, max(0, count + 1 - len(start)))
