"""Rows padded to whole vectors: loops over units that have no remainder.

A loop over 33 units in vectors of 8 numbers has a remainder of one, which costs as much as the other 32. The work buffers of
a cell therefore have rows of whole vectors: 33 units lie in rows of 40 numbers, the last 7 of which are padding. In kernels
`vectors` shows such a row as an array of vectors, `gate_vectors` a row in which every gate has its own block of units, and
formulas written for numbers compute with them::

    a, h = gate_vectors(tape.a[row], 3), vectors(tape.h[row])
    for j in range(len(h)):
        z = sigmoid(a[1, j])
        h[j] = (ONE - z) * h[j]

Padding is computed like the rest, from zeros: packed weights have zeros there. It is finite wherever the units are, and no
sum over units sees it. Parameters, and all that users see, are not padded.
"""

import numpy as np

from rnnsim.core import jit as policy
from rnnsim.core.gemm import pack, packed_shape, panel_width
from rnnsim.core.jit import jit_exact

ONE = np.float32(1)  # ONE - x has the type of x, be it a number of any precision or a vector
ZERO = np.float32(0)


def padded_size(count, dtype):
    """`count` numbers of a type, rounded up to whole vectors.

    >>> padded_size(33, "float32") % 8, padded_size(64, "float64")
    (0, 64)
    """
    width = panel_width(dtype)
    return -(-count // width) * width


if policy.ENABLED:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic
    from numba.np.arrayobj import populate_array

    from rnnsim.core.simd import Vector

    def _seen_as_vectors(context, builder, sig, row, blocks):
        """The array type of `sig` over the memory of a row, which keeps its owner; `blocks` is None for one dimension."""
        vector, index = sig.return_type.dtype, ir.IntType(64)
        row = context.make_array(sig.args[0])(context, builder, row)
        result = context.make_array(sig.return_type)(context, builder)
        size = ir.Constant(index, vector.width * vector.dtype.bitwidth // 8)
        count = builder.sdiv(builder.extract_value(row.shape, 0), ir.Constant(index, vector.width))
        shape, strides = (count,), (size,)
        if blocks is not None:
            across = builder.sdiv(count, blocks)
            shape, strides = (blocks, across), (builder.mul(across, size), size)
        data = builder.bitcast(row.data, context.get_data_type(vector).as_pointer())
        populate_array(result, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
        return result._getvalue()

    @intrinsic
    def vectors(typing, x):
        """The row x (n), contiguous, as an array of vectors (n / width) in the same memory, for as long as x is there."""

        def generate(context, builder, sig, arguments):
            return _seen_as_vectors(context, builder, sig, arguments[0], None)

        return types.Array(Vector(x.dtype), 1, "C", aligned=False)(x), generate

    @intrinsic
    def gate_vectors(typing, x, gates):
        """The row x (gates * n), contiguous, as an array of vectors (gates, n / width), for as long as x is there."""

        def generate(context, builder, sig, arguments):
            return _seen_as_vectors(context, builder, sig, *arguments)

        return types.Array(Vector(x.dtype), 2, "C", aligned=False)(x, types.intp), generate

else:

    def vectors(x):
        """The row x (n) as an array (n / width, width) in the same memory."""
        return x.reshape(-1, panel_width(x.dtype))

    def gate_vectors(x, gates):
        """The row x (gates * n) as an array (gates, n / width, width) in the same memory."""
        return x.reshape(gates, -1, panel_width(x.dtype))


@jit_exact
def _pack_columns(panels, weights, blocks):
    """panels (blocks * P / W, K, W) <- weights.T, weights (blocks * H, K): every block of columns filled up with zeros."""
    width, rows = panels.shape[0] // blocks, weights.shape[0] // blocks
    for g in range(blocks):
        pack(panels[g * width : (g + 1) * width], weights[g * rows : (g + 1) * rows].T)


@jit_exact
def _pack_rows(panels, weights, blocks):
    """panels (N / W, blocks * P, W) <- weights (blocks * H, N): every block of rows filled up with zeros."""
    depth, rows = panels.shape[1] // blocks, weights.shape[0] // blocks
    for g in range(blocks):
        start, end = g * depth, g * depth + rows
        pack(panels[:, start:end], weights[g * rows : (g + 1) * rows])
        panels[:, end : start + depth] = 0


def packed_columns(workspace, name, weights, blocks=1):
    """The right factor of ``a @ weights.T``, packed: weights (blocks * H, K) give results (M, blocks * P), P = H padded."""
    padded = blocks * padded_size(weights.shape[0] // blocks, weights.dtype) if blocks else 0
    panels = workspace.array(name, packed_shape(weights.shape[1], padded, weights.dtype))
    if blocks:
        _pack_columns(panels, weights, blocks)
    return panels


def packed_rows(workspace, name, weights, blocks=1):
    """The right factor of ``a @ weights``, packed, for a left factor a (M, blocks * P) with padding; weights (blocks * H, N)."""
    padded = blocks * padded_size(weights.shape[0] // blocks, weights.dtype) if blocks else 0
    panels = workspace.array(name, packed_shape(padded, weights.shape[1], weights.dtype))
    if blocks:
        _pack_rows(panels, weights, blocks)
    return panels
