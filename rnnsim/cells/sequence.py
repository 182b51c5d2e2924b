"""What all cells share: walking a batch of sequences, and the tasks that its rows are split into.

Rows of a batch are independent, so a task takes rows lo..hi through all ticks. Arrays of a sequence are flat over (tick, row):
row b of tick t is row ``t * batch + b``. States have one slot more than there are ticks: a forward walk reads
slot t and writes slot t + 1; a reverse walk (the second direction of a bidirectional layer) reads slot t + 1 and writes slot
t. A row whose sequence has ended keeps its state and has zero gradients.
"""

from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_exact
from rnnsim.core.products import tasks_for
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.threads import parallel_region

_TOGETHER = 48  # rows of one product with the input weights when a task holds the whole batch


@jit_exact
def tick(s, steps, reverse):
    """The tick of step s of the walk, with the slots of the state before and after it: (t, before, after)."""
    if reverse:
        t = steps - 1 - s
        return t, t + 1, t
    return s, s, s + 1


@jit_exact
def ended(lengths, b, t):
    """Whether the sequence of row b is over at tick t; an empty `lengths` means that all have full length."""
    return lengths.size > 0 and t >= lengths[b]


@jit_exact
def copy_row(new, old):
    """new (H) = old (H)."""
    for j in range(0, new.size, width(new)):
        live = mask(new.size - j)
        store(new, j, live, load(old, j, live))


@jit_exact
def clear_row(x):
    """x (H) = 0."""
    for j in range(x.size):
        x[j] = 0


@jit_exact
def add_row(x, y):
    """x (H) += y (H)."""
    for j in range(0, x.size, width(x)):
        live = mask(x.size - j)
        store(x, j, live, load(x, j, live) + load(y, j, live))


@jit_exact
def project_inputs(z, x, panels, s, steps, batch, lo, hi, reverse):
    """z = x @ weight_ih.T for rows lo..hi at step s; for several ticks at once where the rows of ticks lie together."""
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
    product_packed(z[first:last], x[first:last], panels, False)


@jit_exact
def pre_activations(z, theta, places, x, h):
    """z (rows) <- W x + U h + b_ih + b_hh of one tick, from the flat parameters; places as in `rnnsim.learning.online.Structure`.

    W, U and the biases may have fewer rows than z has: those at the end, as the parameters of a GRU whose gates see less.
    """
    for j in range(z.size):
        z[j] = 0
    for k in range(4):
        if places[k] < 0:
            continue
        start, end = places[k], places[k] + places[5 + k]
        if k >= 2:
            skipped = z.size - (end - start)
            for j in range(end - start):
                z[skipped + j] += theta[start + j]
            continue
        v = x if k == 0 else h
        rows = (end - start) // v.size
        weights = theta[start:end].reshape(rows, v.size)
        for j in range(rows):
            row, total = weights[j], z[z.size - rows + j]
            for i in range(v.size):
                total += row[i] * v[i]
            z[z.size - rows + j] = total


def row_tasks(steps, batch, work_per_row):
    """The number of tasks for a walk of `steps` ticks over `batch` rows with `work_per_row` multiply-adds a tick."""
    return tasks_for(steps * batch * work_per_row, batch)


def over_rows(serial, parallel, tasks, batch, *arguments):
    """Run a walk over all rows of a batch: serially if there is one task, else by its `prange` driver."""
    if tasks == 1:
        serial(*arguments, 0, batch)
    else:
        with parallel_region:
            parallel(*arguments, tasks)
