"""The matrix products of a whole sequence, parallel over blocks of their result.

What a layer computes for all time steps at once: a product of all rows with one weight matrix (readout, gradient of the input)
and the weight gradients (sums over all rows). Each thread owns a block of the result and runs down the whole sum in a
fixed order; so the bits are the same for any number of threads.
"""

import numba

from rnnsim.core.gemm import pack, packed_shape, panel_width, product_packed
from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.threads import get_threads, parallel_region

# Below this many multiply-adds a second thread costs more than it brings.
PARALLEL_WORK = 100_000
_BLOCK = 256  # rows of one block of a weight gradient: its packed part stays in the second-level cache


def chunks_for(work, blocks):
    """How many chunks to split `work` multiply-adds into, when it falls into `blocks` independent blocks."""
    return max(1, min(get_threads(), blocks, int(work // PARALLEL_WORK)))


@jit_exact
def _rows(c, a, panels, bias, add, lo, hi):
    product_packed(c[lo:hi], a[lo:hi], panels, add)
    for r in range(lo, hi):
        row = c[r]
        for j in range(0, bias.size, width(bias)):
            active = mask(bias.size - j)
            store(row, j, active, load(row, j, active) + load(bias, j, active))


@jit_parallel
def _rows_parallel(c, a, panels, bias, add, chunks):
    rows = c.shape[0]
    for chunk in numba.prange(chunks):
        _rows(c, a, panels, bias, add, rows * chunk // chunks, rows * (chunk + 1) // chunks)


def multiply_rows(c, a, panels, bias, add=False):
    """c (R, N) = [c +] a (R, K) @ b + bias (N) or an empty bias; b packed by `pack`."""
    chunks = chunks_for(c.size * a.shape[1], c.shape[0])
    if chunks == 1:
        _rows(c, a, panels, bias, add, 0, c.shape[0])
    else:
        with parallel_region:
            _rows_parallel(c, a, panels, bias, add, chunks)


@jit_exact
def _column_sums(sums, d):
    """sums (G) += column sums of d (R, G), row after row."""
    for g in range(0, sums.size, width(sums)):
        active = mask(sums.size - g)
        total = load(sums, g, active)
        for r in range(d.shape[0]):
            total = total + load(d[r], g, active)
        store(sums, g, active, total)


@jit_exact
def _outer(gradient, bias_gradient, d, column, units, v, panels, lo, hi):
    """Rows lo..hi of the gradient from their columns of d, and the sums of these columns."""
    block, stride = panels.shape[1], -(-units // panels.shape[2]) * panels.shape[2]
    for start in range(0, d.shape[0], block):
        end = min(d.shape[0], start + block)
        packed_v = panels[:, : end - start]
        pack(packed_v, v[start:end, : gradient.shape[1]])
        for gate in range(lo // units, -(-hi // units)):
            first, last = max(lo, gate * units), min(hi, (gate + 1) * units)
            left = column + gate * stride + first - gate * units
            part = d[start:end, left : left + last - first]
            product_packed(gradient[first:last], part.T, packed_v, True)
            if bias_gradient.size > 0:
                _column_sums(bias_gradient[first:last], part)


@jit_parallel
def _outer_parallel(gradient, bias_gradient, d, column, units, v, panels, chunks):
    rows = gradient.shape[0]
    for chunk in numba.prange(chunks):
        lo, hi = rows * chunk // chunks, rows * (chunk + 1) // chunks
        _outer(gradient, bias_gradient, d, column, units, v, panels[chunk], lo, hi)


def weight_gradient(gradient, bias_gradient, d, v, workspace, column=0, units=None):
    """gradient (G, N) += d (R, G).T @ v (R, N), sums over all rows; bias_gradient (G) += the column sums, unless it is empty.

    d may have columns in front of the first one that counts, `column`. If there are `units`, every so many columns of d are
    followed by their padding to whole vectors (`rnnsim.core.padding`). v may have padding behind its N columns. Both are
    contiguous: every other layout of arrays would be compiled again.
    """
    rows, columns = gradient.shape
    if rows == 0:
        return
    units = rows if units is None or units % panel_width(d.dtype) == 0 else units
    chunks = chunks_for(d.shape[0] * gradient.size, rows)
    block = min(_BLOCK, v.shape[0])
    panels = workspace.array("weight_gradient.panels", (chunks, *packed_shape(block, columns, v.dtype)))
    if chunks == 1:
        _outer(gradient, bias_gradient, d, column, units, v, panels[0], 0, rows)
    else:
        with parallel_region:
            _outer_parallel(gradient, bias_gradient, d, column, units, v, panels, chunks)


@jit_exact
def diagonal_gradient(gradient, d, v):
    """gradient (N) += sum over rows of d (R, N) * v (R, at least N): the gradient of a diagonal weight (a peephole)."""
    for j in range(0, gradient.size, width(gradient)):
        active = mask(gradient.size - j)
        total = load(gradient, j, active)
        for r in range(d.shape[0]):
            total = total + load(d[r], j, active) * load(v[r], j, active)
        store(gradient, j, active, total)


def packed(workspace, name, matrix):
    """`matrix` (K, N) packed into the workspace's buffer `name`."""
    panels = workspace.array(name, packed_shape(*matrix.shape, matrix.dtype))
    pack(panels, matrix)
    return panels
