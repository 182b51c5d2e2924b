"""One flat parameter vector with named, shaped views."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rnnsim.errors import unknown


class Entry(NamedTuple):
    """One named array in the flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int


class Layout:
    """The table of the named arrays in a flat vector, in order and without gaps.

    A network's parameters are one contiguous vector `theta`. Optimizers, SciPy, evolution, weight guessing and checkpoints work
    on the vector; cells see the views. Iterating yields an `Entry` for each array; an unknown name raises `RnnsimError`.

    shapes : pairs (name, shape), in the order of the vector

    >>> import numpy as np
    >>> layout = Layout([("weight", (2, 3)), ("bias", (2,))])
    >>> layout.size, layout.view(np.arange(8.0), "bias")
    (8, array([6., 7.]))
    """

    def __init__(self, shapes: Iterable[tuple[str, Sequence[int]]]):
        self._entries: dict[str, Entry] = {}
        offset = 0
        for name, shape in shapes:
            size = math.prod(map(int, shape))
            self._entries[name] = Entry(name, tuple(shape), offset, size)
            offset += size
        self.size = offset

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise unknown("parameter", name, self._entries)
        return self._entries[name]

    def view(self, theta: np.ndarray, name: str) -> np.ndarray:
        """The named array as a view of `theta`. Raises `RnnsimError` for an unknown name."""
        entry = self[name]
        return theta[entry.offset : entry.offset + entry.size].reshape(entry.shape)

    def views(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """All arrays by name, as views of `theta`."""
        return {entry.name: self.view(theta, entry.name) for entry in self}

    def at(self, index: int) -> str:
        """The array name and the index of one number of the flat vector, for messages.

        >>> Layout([("weight", (2, 3)), ("bias", (2,))]).at(4)
        'weight[1, 1]'
        """
        for entry in self:
            if index < entry.offset + entry.size:
                place = np.unravel_index(index - entry.offset, entry.shape)
                return f"{entry.name}[{', '.join(str(int(i)) for i in place)}]"
        raise IndexError(index)
