"""Buffers that stay allocated from one training step to the next."""

import numpy as np

_LINE = 64  # bytes


class Workspace:
    """Named buffers of one floating type; a buffer grows for a larger array and never shrinks.

    A training step needs the same arrays again and again, and allocating them every time costs page faults (5 MB are 1,200 of
    them). A workspace keeps one buffer a name and returns views of it, so that training steps after the first allocate nothing,
    also when the sequences of a ragged task change their length from batch to batch.

    dtype : type of all buffers, such as "float32"

    >>> space = Workspace("float32")
    >>> space.array("h", (3, 2)).shape, space.array("h", (2, 2)).shape, space.nbytes
    ((3, 2), (2, 2), 24)
    """

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self._buffers = {}
        self._views = {}
        self.generation = 0  # grows when a buffer is replaced: earlier views are then stale

    def array(self, name, shape):
        """The buffer `name` as an array of this shape, with the contents that the last use left there."""
        view = self._views.get(name)
        if view is not None and view.shape == shape:
            return view
        size = int(np.prod(shape, dtype=np.int64))
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[name] = _aligned(size, self.dtype)
            self.generation += 1
        view = self._views[name] = buffer[:size].reshape(shape)
        return view

    @property
    def nbytes(self):
        """Bytes of all buffers."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


def _aligned(size, dtype):
    """Zeros that begin on a cache line: a vector load across two lines costs twice."""
    raw = np.zeros(size * dtype.itemsize + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size * dtype.itemsize].view(dtype)
