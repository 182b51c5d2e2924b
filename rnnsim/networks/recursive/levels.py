"""What the kernels of all recursive networks share: rows of nodes, their inputs, and what they gather from their children.

A forest is evaluated level by level (`rnnsim.core.forest.Levels`), a level in blocks of rows: the block's products with the
weights are matrix products, and what it gathers from its children stays in the cache. Rows are by position, padded to whole
vectors (`rnnsim.core.padding`). Every chunk of trees adds up gradients of its own; the chunks are added in their order, so
that a gradient has the same bits for any number of threads.
"""

from typing import NamedTuple

import numba
import numpy as np

from rnnsim.core.gemm import pack, packed_shape, product_packed
from rnnsim.core.jit import jit_exact, jit_parallel
from rnnsim.core.products import PARALLEL_WORK
from rnnsim.core.threads import get_threads, parallel_region

BLOCK = 128  # rows


class NodeInputs(NamedTuple):
    """The inputs of the nodes, by position; what is absent has no rows. G gates of H units, P = H padded."""

    x: np.ndarray  # (N, I) feature vectors
    panels: np.ndarray  # packed weight_in (G*H, I) as (G*P) columns
    symbols: np.ndarray  # (N) int32 labels, -1 where there is none
    table: np.ndarray  # (V, G*H), a row a symbol
    leaves_only: bool  # whether inner nodes have no input


class Scratch(NamedTuple):
    """Work arrays, one of each a chunk."""

    children: np.ndarray  # (C, BLOCK, A*H) states of the children of a block, side by side
    d_children: np.ndarray  # (C, BLOCK, A*H) their gradients
    panels: np.ndarray  # (C, ...) the packed right factor of a weight gradient


def scratch(space, chunks, width, inputs):
    """The `Scratch` of so many chunks, for blocks of rows of `width` numbers and weight gradients of so many inputs."""
    panels = packed_shape(BLOCK, max(width, inputs, 1), space.dtype)
    return Scratch(
        space.array("children", (chunks, BLOCK, width)),
        space.array("d_children", (chunks, BLOCK, width)),
        space.array("gradient_panels", (chunks, *panels)),
    )


@jit_exact
def input_terms(a, inputs, lo, leaf, units):
    """a (R, G*P) <- W x of the nodes lo .. lo + R - 1."""
    rows, padded = a.shape
    if inputs.x.shape[0] > 0 and (leaf or not inputs.leaves_only):
        product_packed(a, inputs.x[lo : lo + rows], inputs.panels, False)
        return
    a[:] = 0
    if inputs.table.shape[0] == 0:
        return
    gates = inputs.table.shape[1] // units
    stride = padded // gates
    for r in range(rows):
        symbol = inputs.symbols[lo + r]
        if symbol >= 0:
            for g in range(gates):
                for j in range(units):
                    a[r, g * stride + j] = inputs.table[symbol, g * units + j]


@jit_exact
def gather_children(out, h, children, lo, units):
    """out (R, A*H) <- the states of the children of the nodes lo .. lo + R - 1, zero for those that are not there."""
    for r in range(out.shape[0]):
        row = out[r]
        for k in range(children.shape[1]):
            child = children[lo + r, k]
            part = row[k * units : (k + 1) * units]
            if child >= 0:
                state = h[child]
                for j in range(units):
                    part[j] = state[j]
            else:
                part[:] = 0


@jit_exact
def scatter_to_children(d, d_children, children, lo, units):
    """d[child] += its part of d_children (R, A*H)."""
    for r in range(d_children.shape[0]):
        row = d_children[r]
        for k in range(children.shape[1]):
            child = children[lo + r, k]
            if child >= 0:
                part, state = row[k * units : (k + 1) * units], d[child]
                for j in range(units):
                    state[j] += part[j]


@jit_exact
def add_outer(gradient, d, v, panels, units):
    """gradient (G*H, K) += d (R, G*P).T @ v (R, K), gate by gate."""
    rows, columns = gradient.shape
    packed = panels[: -(-columns // panels.shape[2]), : v.shape[0]]
    pack(packed, v)
    gates = rows // units
    stride = d.shape[1] // gates
    for g in range(gates):
        part = d[:, g * stride : g * stride + units]
        product_packed(gradient[g * units : (g + 1) * units], part.T, packed, True)


@jit_exact
def add_rows(sums, d):
    """sums (P) += the rows of d (R, P), row after row."""
    for r in range(d.shape[0]):
        row = d[r]
        for j in range(sums.size):
            sums[j] += row[j]


@jit_exact
def _symbol_rows(gradient, d, symbols, units, lo, hi):
    gates = gradient.shape[1] // units
    stride = d.shape[1] // gates
    for node in range(symbols.size):
        if symbols[node] >= 0:
            to, row = gradient[symbols[node]], d[node]
            for j in range(lo, hi):
                to[j] += row[j // units * stride + j % units]


@jit_parallel
def _symbol_rows_parallel(gradient, d, symbols, units, chunks):
    columns = gradient.shape[1]
    for chunk in numba.prange(chunks):
        _symbol_rows(gradient, d, symbols, units, columns * chunk // chunks, columns * (chunk + 1) // chunks)


def add_symbol_gradients(gradient, d, symbols, units):
    """gradient[symbol] (V, G*H) += the row of d (N, G*P) of every node with that symbol, in their order."""
    chunks = get_threads() if d.size > PARALLEL_WORK else 1
    if chunks == 1:
        _symbol_rows(gradient, d, symbols, units, 0, gradient.shape[1])
    else:
        with parallel_region:
            _symbol_rows_parallel(gradient, d, symbols, units, chunks)


def over_chunks(serial, parallel, work, chunks, *arguments):
    """Call a kernel for every chunk of trees: side by side, or one after the other if it is little work."""
    if chunks == 1 or get_threads() == 1 or work < PARALLEL_WORK:
        for chunk in range(chunks):
            serial(*arguments, chunk)
    else:
        with parallel_region:
            parallel(*arguments, chunks)
