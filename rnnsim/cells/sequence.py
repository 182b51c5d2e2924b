"""What all cells share: unrolling a batch of sequences over time, and the chunks that its rows are split into.

Rows of a batch are independent, so a chunk takes rows lo..hi through all time steps. Arrays of a sequence are flat over (time
step, row): row b of time step t is row ``t * batch + b``. States have one slot more than there are time steps: a forward pass
reads slot t and writes slot t + 1; a reverse one (the second direction of a bidirectional layer) reads slot t + 1 and
writes slot t. A row whose sequence has ended keeps its state and has zero gradients.
"""

from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_exact
from rnnsim.core.products import chunks_for
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.threads import parallel_region

_TOGETHER = 48  # rows of one product with the input weights when a chunk holds the whole batch


@jit_exact
def place(s, steps, batch, reverse):
    """The first rows of the s-th time step of a pass: in arrays over time, in the slots before it, in the slots after it."""
    if reverse:
        t = steps - 1 - s
        return t * batch, (t + 1) * batch, t * batch
    return s * batch, s * batch, (s + 1) * batch


@jit_exact
def ended(lengths, b, t):
    """Whether the sequence of row b is over at time step t; an empty `lengths` means that all have full length."""
    return lengths.size > 0 and t >= lengths[b]


@jit_exact
def copy_row(new, old):
    """new (H) = old (H)."""
    for j in range(0, new.size, width(new)):
        active = mask(new.size - j)
        store(new, j, active, load(old, j, active))


@jit_exact
def clear_row(x):
    """x (H) = 0."""
    for j in range(x.size):
        x[j] = 0


@jit_exact
def add_row(x, y):
    """x (at least H) += y (H)."""
    for j in range(0, y.size, width(x)):
        active = mask(y.size - j)
        store(x, j, active, load(x, j, active) + load(y, j, active))


@jit_exact
def project_inputs(a, x, panels, s, steps, batch, lo, hi, reverse):
    """a = x @ weight_ih.T for rows lo..hi at the s-th time step; for several at once where their rows lie together."""
    if panels.shape[0] == 0:
        return
    t = steps - 1 - s if reverse else s
    if hi - lo < batch:
        first, last = t * batch + lo, t * batch + hi
    else:
        together = max(1, _TOGETHER // batch)
        if s % together != 0:
            return
        count = min(together, steps - s)
        first = (t - count + 1 if reverse else t) * batch
        last = first + count * batch
    product_packed(a[first:last], x[first:last], panels, False)


@jit_exact
def pre_activations(a, theta, places, x, h):
    """a (rows) <- W x + U h + b_ih + b_hh of one time step, from the flat parameters; places as in the engine's `Structure`.

    W, U and the biases may have fewer rows than a has: those at the end, as the parameters of a GRU whose gates see less.
    """
    for j in range(a.size):
        a[j] = 0
    for k in range(4):
        if places[k] < 0:
            continue
        start, end = places[k], places[k] + places[5 + k]
        if k >= 2:
            skipped = a.size - (end - start)
            for j in range(end - start):
                a[skipped + j] += theta[start + j]
            continue
        v = x if k == 0 else h
        rows = (end - start) // v.size
        weights = theta[start:end].reshape(rows, v.size)
        for j in range(rows):
            row, total = weights[j], a[a.size - rows + j]
            for i in range(v.size):
                total += row[i] * v[i]
            a[a.size - rows + j] = total


def row_chunks(steps, batch, work_per_row):
    """The number of chunks for `steps` time steps of `batch` rows with `work_per_row` multiply-adds a time step."""
    return chunks_for(steps * batch * work_per_row, batch)


def over_rows(serial, parallel, chunks, batch, *arguments):
    """Take all rows of a batch through a pass: serially if there is one chunk, else by its `prange` driver."""
    if chunks == 1:
        serial(*arguments, 0, batch)
    else:
        with parallel_region:
            parallel(*arguments, chunks)
