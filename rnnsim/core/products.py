"""The matrix products of a whole sequence, parallel over blocks of their result.

What a layer computes for all ticks at once: a product of all rows with one weight matrix (readout, gradient of the input) and the
weight gradients (sums over all rows). Each thread owns a block of the result and runs down the whole sum in a fixed
order; so the bits are the same for any number of threads.
"""

import numba

from rnnsim.core.gemm import accumulate_outer, pack, packed_shape, product_packed
from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.threads import get_threads, parallel_region

# Below this many multiply-adds a second thread costs more than it brings.
PARALLEL_WORK = 100_000
_BLOCK = 256  # rows of one block of a weight gradient: its packed part stays in the second-level cache


def tasks_for(work, blocks):
    """How many tasks to split `work` multiply-adds into, when it falls into `blocks` independent blocks."""
    return max(1, min(get_threads(), blocks, int(work // PARALLEL_WORK)))


@jit_exact
def _rows(c, a, panels, bias, add, lo, hi):
    product_packed(c[lo:hi], a[lo:hi], panels, add)
    for r in range(lo, hi):
        row = c[r]
        for j in range(0, bias.size, width(bias)):
            live = mask(bias.size - j)
            store(row, j, live, load(row, j, live) + load(bias, j, live))


@jit_parallel
def _rows_parallel(c, a, panels, bias, add, tasks):
    rows = c.shape[0]
    for task in numba.prange(tasks):
        _rows(c, a, panels, bias, add, rows * task // tasks, rows * (task + 1) // tasks)


def multiply_rows(c, a, panels, bias, add=False):
    """c (R, N) = [c +] a (R, K) @ b + bias (N) or an empty bias; b packed by `pack`."""
    tasks = tasks_for(c.size * a.shape[1], c.shape[0])
    if tasks == 1:
        _rows(c, a, panels, bias, add, 0, c.shape[0])
    else:
        with parallel_region:
            _rows_parallel(c, a, panels, bias, add, tasks)


@jit_exact
def _column_sums(sums, d):
    """sums (G) += column sums of d (R, G), row after row."""
    for g in range(0, sums.size, width(sums)):
        live = mask(sums.size - g)
        total = load(sums, g, live)
        for r in range(d.shape[0]):
            total = total + load(d[r], g, live)
        store(sums, g, live, total)


@jit_exact
def _outer(gradient, bias_gradient, d, column, v, panels, lo, hi):
    """Rows lo..hi of the gradient from columns column + lo..hi of d, and their column sums."""
    block = panels.shape[1]
    for start in range(0, d.shape[0], block):
        end = min(d.shape[0], start + block)
        part = d[start:end, column + lo : column + hi]
        accumulate_outer(gradient[lo:hi], part, v[start:end], panels)
        if bias_gradient.size > 0:
            _column_sums(bias_gradient[lo:hi], part)


@jit_parallel
def _outer_parallel(gradient, bias_gradient, d, column, v, panels, tasks):
    rows = gradient.shape[0]
    for task in numba.prange(tasks):
        _outer(gradient, bias_gradient, d, column, v, panels[task], rows * task // tasks, rows * (task + 1) // tasks)


def weight_gradient(gradient, bias_gradient, d, v, workspace, column=0):
    """gradient (G, N) += d[:, column : column + G].T @ v (R, N); bias_gradient (G) += the column sums, unless it is empty.

    d (R, at least column + G) and v are contiguous; the columns are told by number, as each layout of arrays that comes in would
    be compiled anew.
    """
    rows = gradient.shape[0]
    tasks = tasks_for(d.shape[0] * gradient.size, rows)
    block = min(_BLOCK, v.shape[0])
    panels = workspace.array("weight_gradient.panels", (tasks, *packed_shape(block, v.shape[1], v.dtype)))
    if tasks == 1:
        _outer(gradient, bias_gradient, d, column, v, panels[0], 0, rows)
    else:
        with parallel_region:
            _outer_parallel(gradient, bias_gradient, d, column, v, panels, tasks)


@jit_exact
def diagonal_gradient(gradient, d, v):
    """gradient (N) += sum over rows of d (R, N) * v (R, N): the gradient of a diagonal weight (a peephole)."""
    for j in range(0, gradient.size, width(gradient)):
        live = mask(gradient.size - j)
        total = load(gradient, j, live)
        for r in range(d.shape[0]):
            total = total + load(d[r], j, live) * load(v[r], j, live)
        store(gradient, j, live, total)


def packed(workspace, name, matrix):
    """`matrix` (K, N) packed into the workspace's buffer `name`."""
    panels = workspace.array(name, packed_shape(*matrix.shape, matrix.dtype))
    pack(panels, matrix)
    return panels
