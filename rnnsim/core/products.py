"""The matrix products of a whole sequence, parallel over blocks of their result.

What a layer computes for all ticks at once: a product of all rows with one weight matrix (readout, gradient of the input) and the
weight gradients (sums over all rows). Each thread owns a block of the result and runs down the whole sum in a fixed
order; so the bits are the same for any number of threads.
"""

import numba
import numpy as np

from rnnsim.core.gemm import accumulate_outer, pack, packed_shape, product_packed
from rnnsim.core.jit import jit, jit_exact, jit_parallel
from rnnsim.core.threads import get_threads, parallel_region

# Below this many multiply-adds a second thread costs more than it brings.
PARALLEL_WORK = 100_000
_BLOCK = 512  # rows of one block of a weight gradient: its packed part stays in the second-level cache


def tasks_for(work, blocks):
    """How many tasks to split `work` multiply-adds into, when it falls into `blocks` independent blocks."""
    return max(1, min(get_threads(), blocks, int(work // PARALLEL_WORK)))


@jit_exact
def _rows(c, a, panels, bias, add, lo, hi):
    product_packed(c[lo:hi], a[lo:hi], panels, add)
    if bias.size > 0:
        for r in range(lo, hi):
            for j in range(bias.size):
                c[r, j] += bias[j]


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


@jit
def _outer(gradient, bias_gradient, d, v, panels, lo, hi):
    """Rows lo..hi of the gradient: `gradient[lo:hi] += d[:, lo:hi].T @ v`, and the column sums of d."""
    accumulate_outer(gradient[lo:hi], d[:, lo:hi], v, panels)
    if bias_gradient.size > 0:
        for r in range(d.shape[0]):
            for g in range(lo, hi):
                bias_gradient[g] += d[r, g]


@jit_parallel
def _outer_parallel(gradient, bias_gradient, d, v, panels, tasks):
    rows = gradient.shape[0]
    for task in numba.prange(tasks):
        _outer(gradient, bias_gradient, d, v, panels[task], rows * task // tasks, rows * (task + 1) // tasks)


def weight_gradient(gradient, bias_gradient, d, v, workspace):
    """gradient (G, N) += d (R, G).T @ v (R, N); bias_gradient (G) += column sums of d, unless it is empty."""
    tasks = tasks_for(d.size * v.shape[1], gradient.shape[0])
    block = min(_BLOCK, v.shape[0])
    panels = workspace.array("weight_gradient.panels", (tasks, *packed_shape(block, v.shape[1], v.dtype)))
    if tasks == 1:
        _outer(gradient, bias_gradient, d, v, panels[0], 0, gradient.shape[0])
    else:
        with parallel_region:
            _outer_parallel(gradient, bias_gradient, d, v, panels, tasks)


@jit
def diagonal_gradient(gradient, d, v):
    """gradient (N) += sum over rows of d (R, N) * v (R, N): the gradient of a diagonal weight (a peephole)."""
    for r in range(d.shape[0]):
        for j in range(gradient.size):
            gradient[j] += d[r, j] * v[r, j]


def packed(workspace, name, matrix):
    """`matrix` (K, N) packed into the workspace's buffer `name`."""
    panels = workspace.array(name, packed_shape(*matrix.shape, matrix.dtype))
    pack(panels, matrix)
    return panels


NO_BIAS = {"float32": np.zeros(0, np.float32), "float64": np.zeros(0, np.float64)}
