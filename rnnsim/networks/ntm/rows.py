"""Rows padded to whole vectors, so that no loop over a row has a remainder or a mask.

A row of n numbers lies in a buffer of `padded(n)` numbers; the rest, the padding, is zero. Sums over a row therefore need not
know n. A maximum or a softmax takes the padding out by an addend that is 0 on the row and minus infinity on its padding.

    for j in range(0, x.size, width(x)):            # one vector at a time
        put(y, j, get(x, j) * gate)
"""

from rnnsim.core.gemm import panel_width
from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, load, mask, reduce_add, store, width


def padded(n, dtype):
    """The length of a row that holds n numbers: a whole number of vectors.

    >>> padded(20, "float32") % panel_width("float32"), padded(0, "float64")
    (0, 0)
    """
    count = panel_width(dtype)
    return -(-n // count) * count


@jit_borrowed
def get(x, j):
    """The vector x[j], x[j + 1], ... of a padded row."""
    return load(x, j, mask(width(x)))


@jit_borrowed
def put(x, j, value):
    """x[j], x[j + 1], ... = the vector `value`."""
    store(x, j, mask(width(x)), value)


@jit_borrowed
def clear_padding(x, n):
    """x[n:] = 0."""
    for i in range(n, x.size):
        x[i] = 0


@jit_borrowed
def dot(x, y):
    """The sum of x[j] y[j] over a padded row x; y is at least as long."""
    sums = broadcast(x, 0)
    for j in range(0, x.size, width(x)):
        sums = sums + get(x, j) * get(y, j)
    return reduce_add(sums)
