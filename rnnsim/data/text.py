"""Plain text as a sequence of characters."""

import numpy as np

from rnnsim.core.reading import read_text
from rnnsim.core.registry import require
from rnnsim.data.fetch import MOBY_DICK, SHAKESPEARE
from rnnsim.errors import RnnsimError

TEXTS = {"moby-dick": MOBY_DICK, "shakespeare": SHAKESPEARE}


def named_text(name):
    """The text of that name in `TEXTS`: "moby-dick", the first chapters, comes with rnnsim; "shakespeare" must be fetched.

    Raises `RnnsimError` if its file is missing.

    >>> named_text("moby-dick")[22:37]
    'Call me Ishmael'
    """
    return read_text(next(iter(TEXTS[name].paths().values())))


class Vocabulary:
    """The different characters of a text, numbered from 0 in the order of Unicode.

    >>> vocabulary = Vocabulary("hello")
    >>> vocabulary.characters, vocabulary.encode("hole"), vocabulary.decode([1, 0, 2, 2])
    ('ehlo', array([1, 3, 2, 0], dtype=int32), 'hell')
    """

    def __init__(self, text):
        self._points = np.unique(_points(text))
        self.characters = "".join(map(chr, self._points))

    def __len__(self):
        return self._points.size

    def encode(self, text):
        """The numbers (len(text),) int32 of the characters. Raises `RnnsimError` for an unknown character."""
        points = _points(text)
        places = np.searchsorted(self._points, points).clip(max=max(len(self) - 1, 0))
        strange = np.flatnonzero(self._points[places] != points) if len(self) else np.arange(points.size)
        if strange.size:
            raise RnnsimError(f"character {chr(points[strange[0]])!r} is not in the vocabulary of {len(self)}")
        return places.astype(np.int32)

    def decode(self, numbers):
        """The text of some numbers. Raises `RnnsimError` for a number outside 0 .. len - 1."""
        numbers = np.asarray(numbers, np.int64).reshape(-1)
        require(((numbers >= 0) & (numbers < len(self))).all(), f"expected characters between 0 and {len(self) - 1}")
        return "".join(self.characters[n] for n in numbers)


def _points(text):
    """The Unicode code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
