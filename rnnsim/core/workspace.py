"""Buffers that live from step to step.

A training step needs the same arrays again and again; allocating them anew costs page faults (5 MB are 1,200 of them). A
workspace keeps one buffer a name and gives views of it, so that steps after the first allocate nothing, also when the
sequences of a ragged task change their length from batch to batch.

>>> space = Workspace("float32")
>>> space.array("h", (3, 2)).shape, space.array("h", (2, 2)).shape, space.nbytes
((3, 2), (2, 2), 24)
"""

import numpy as np

_LINE = 64  # bytes


class Workspace:
    """Named buffers of one floating type; a buffer grows when a larger array is asked for and never shrinks."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self._buffers = {}
        self._views = {}
        self.generation = 0  # grows when a buffer is replaced: views that were given out before are then stale

    def array(self, name, shape):
        """The buffer `name` as an array of this shape; its contents are what was left there."""
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
        """Bytes held by all buffers."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


def _aligned(size, dtype):
    """Zeros that begin on a cache line: a vector load that crosses lines costs twice."""
    raw = np.zeros(size * dtype.itemsize + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size * dtype.itemsize].view(dtype)
