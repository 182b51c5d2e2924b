"""One time step of all streams in a call of a few microseconds: the kernel gets the engine's arrays as a table of addresses.

`Engine.run` passes some forty arrays to a compiled kernel. Converting them costs more than the time step of a small
network. They stay in place as long as the engine lives, so `TimeStep` writes their addresses and shapes into one
table, once, and its kernel makes the arrays from the table.
"""

import numpy as np

from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import ENABLED, array_at, jit_exact, linked
from rnnsim.core.losses import KINDS
from rnnsim.core.threads import parallel_region
from rnnsim.learning.online.kernels import Storage, Streams, unroll_streams
from rnnsim.learning.online.structure import Structure

GOOD, WRONG_INPUT, WRONG_TARGET = range(3)

_at = array_at() if ENABLED else None
_unroll_streams = linked(unroll_streams)

# Axes and types of the arrays, in the order of the table: n numbers, i int32, l int64, d float64.
_AXES = (
    (2, 2, 2, 3, 2, 2, 2, 2, 3)
    + (3, 4, 4, 3, 4, 4, 3)
    + (1, 1, 1, 1, 1, 1, 1)
    + (3, 3, 3, 4, 1, 1, 2)
    + (3, 3, 2, 3, 1)
)
_KINDS = "n" * 16 + "iilllln" + "nnnnlnl" + "nnnnd"


@jit_exact
def _all_finite(array):
    for i in range(array.shape[0]):
        for j in range(array.shape[2]):
            if not np.isfinite(array[i, 0, j]):
                return False
    return True


@jit_exact
def _unroll_at(table, flags, numbers):
    """One time step: table (arrays, 5) of addresses and shapes, flags, numbers (scale, rate)."""
    n, i64, i32, f64 = numbers.dtype, np.int64, np.int32, np.float64
    t = table
    xs = _at(t[30, 0], (t[30, 1], t[30, 2], t[30, 3]), n)
    targets = _at(t[31, 0], (t[31, 1], t[31, 2], t[31, 3]), n)
    weights = _at(t[32, 0], (t[32, 1], t[32, 2]), n)
    outputs = _at(t[33, 0], (t[33, 1], t[33, 2], t[33, 3]), n)
    losses = _at(t[34, 0], (t[34, 1],), f64)
    if not _all_finite(xs):
        return WRONG_INPUT
    if weights[0, 0] != 0 and not _all_finite(targets):
        return WRONG_TARGET
    streams = Streams(
        _at(t[0, 0], (t[0, 1], t[0, 2]), n),
        _at(t[1, 0], (t[1, 1], t[1, 2]), n),
        _at(t[2, 0], (t[2, 1], t[2, 2]), n),
        _at(t[3, 0], (t[3, 1], t[3, 2], t[3, 3]), n),
        _at(t[4, 0], (t[4, 1], t[4, 2]), n),
        _at(t[5, 0], (t[5, 1], t[5, 2]), n),
        _at(t[6, 0], (t[6, 1], t[6, 2]), n),
        _at(t[7, 0], (t[7, 1], t[7, 2]), n),
        _at(t[8, 0], (t[8, 1], t[8, 2], t[8, 3]), n),
    )
    linear = Linearised(
        _at(t[9, 0], (t[9, 1], t[9, 2], t[9, 3]), n),
        _at(t[10, 0], (t[10, 1], t[10, 2], t[10, 3], t[10, 4]), n),
        _at(t[11, 0], (t[11, 1], t[11, 2], t[11, 3], t[11, 4]), n),
        _at(t[12, 0], (t[12, 1], t[12, 2], t[12, 3]), n),
        _at(t[13, 0], (t[13, 1], t[13, 2], t[13, 3], t[13, 4]), n),
        _at(t[14, 0], (t[14, 1], t[14, 2], t[14, 3], t[14, 4]), n),
        _at(t[15, 0], (t[15, 1], t[15, 2], t[15, 3]), n),
    )
    structure = Structure(
        _at(t[16, 0], (t[16, 1],), i32),
        _at(t[17, 0], (t[17, 1],), i32),
        _at(t[18, 0], (t[18, 1],), i64),
        _at(t[19, 0], (t[19, 1],), i64),
        _at(t[20, 0], (t[20, 1],), i64),
        _at(t[21, 0], (t[21, 1],), i64),
        _at(t[22, 0], (t[22, 1],), n),
        flags[0],
        flags[1],
        flags[2] != 0,
        flags[3] != 0,
    )
    storage = Storage(
        _at(t[23, 0], (t[23, 1], t[23, 2], t[23, 3]), n),
        _at(t[24, 0], (t[24, 1], t[24, 2], t[24, 3]), n),
        _at(t[25, 0], (t[25, 1], t[25, 2], t[25, 3]), n),
        _at(t[26, 0], (t[26, 1], t[26, 2], t[26, 3], t[26, 4]), n),
        _at(t[27, 0], (t[27, 1],), i64),
        _at(t[28, 0], (t[28, 1],), n),
        _at(t[29, 0], (t[29, 1], t[29, 2]), i64),
    )
    calls = (flags[4], flags[5], flags[6], flags[7], flags[8])
    _unroll_streams(
        losses, streams, linear, structure, storage, xs, targets, weights, outputs, calls,
        flags[9], numbers[0], numbers[1], flags[10] != 0, 0, xs.shape[0],
    )  # fmt: skip
    return GOOD


class TimeStep:
    """One time step of an engine, on arrays of its own: xs (S, 1, I), targets (S, 1, K), weights (S, 1), outputs, losses.

    A call returns GOOD; WRONG_INPUT or WRONG_TARGET if these are not finite, and then nothing has changed.
    """

    def __init__(self, engine, kind, scale, rate, forced):
        streams, net, dtype = len(engine.state), engine.net, engine.sizes.dtype
        self.engine, self.kind, self.forced = engine, kind, forced
        self.xs = np.zeros((streams, 1, engine.streams.x.shape[1]), dtype)
        self.targets = np.zeros((streams, 1, net.n_outputs), dtype)
        self.weights = np.zeros((streams, 1), dtype)
        self.outputs = np.zeros((streams, 1, net.n_outputs), dtype)
        self.losses = np.zeros(streams)
        self.numbers = np.array([scale, rate], dtype)
        self._table = self._made_table() if ENABLED else None

    def _made_table(self):
        """The table; None if an array has another layout than the kernel expects."""
        engine, structure = self.engine, self.engine.structure
        own = (self.xs, self.targets, self.weights, self.outputs, self.losses)
        arrays = (*engine.streams, *engine.linear, *structure[:7], *engine.storage, *own)
        types = {"n": engine.sizes.dtype, "i": np.dtype(np.int32), "l": np.dtype(np.int64), "d": np.dtype(np.float64)}
        table = np.zeros((len(arrays), 5), np.int64)
        for row, array, axes, kind in zip(table, arrays, _AXES, _KINDS, strict=True):
            if array.ndim != axes or array.dtype != types[kind] or not array.flags.c_contiguous:
                return None
            row[0], row[1 : 1 + axes] = array.ctypes.data, array.shape
        flags = [structure.first, structure.readout, structure.gate_dependent, structure.delayed, *engine.calls]
        self._flags = np.array([*flags, KINDS.index(self.kind), self.forced], np.int64)
        return table

    def __call__(self):
        with parallel_region:  # a wide rule uses all threads
            if self._table is not None:
                return _unroll_at(self._table, self._flags, self.numbers)
        if not np.isfinite(self.xs).all():
            return WRONG_INPUT
        if self.weights[0, 0] and not np.isfinite(self.targets).all():
            return WRONG_TARGET
        arrays = (self.xs, self.targets, self.weights, self.kind, *self.numbers, self.forced)
        self.losses[...], self.outputs[...] = self.engine.run(*arrays)
        return GOOD
