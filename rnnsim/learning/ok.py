"""Optimal Kronecker-sum approximation of RTRL (Benzing, Gauy, Mujika, Martinsson & Steger 2019)."""

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import at_least
from rnnsim.learning.kronecker import (
    KroneckerRule,
    carry_rows,
    class_sources,
    credit_exact,
    factored,
    forget,
    layout_of,
    row_credit,
)
from rnnsim.learning.stochastic import fill_signs

_SWEEPS = 30  # of Jacobi rotations; a few are enough, and they end with a sweep that rotates nothing


@jit_exact
def singular_values(left, values, right, matrix):
    """matrix (n, n) = left diag(values) right', values in falling order (one-sided Jacobi); matrix is overwritten.

    Columns of `left` that belong to a value of zero are zero.
    """
    n = matrix.shape[0]
    for i in range(n):
        for j in range(n):
            right[i, j] = 1.0 if i == j else 0.0
    for _ in range(_SWEEPS):
        turned = False
        for p in range(n - 1):
            for q in range(p + 1, n):
                pp, qq, pq = 0.0, 0.0, 0.0
                for i in range(n):
                    pp += matrix[i, p] * matrix[i, p]
                    qq += matrix[i, q] * matrix[i, q]
                    pq += matrix[i, p] * matrix[i, q]
                if abs(pq) <= 1e-15 * np.sqrt(pp * qq):
                    continue
                turned = True
                half = (qq - pp) / (2 * pq)
                t = (1.0 if half >= 0 else -1.0) / (abs(half) + np.sqrt(1 + half * half))
                c = 1 / np.sqrt(1 + t * t)
                s = c * t
                for i in range(n):
                    x, y = matrix[i, p], matrix[i, q]
                    matrix[i, p], matrix[i, q] = c * x - s * y, s * x + c * y
                    x, y = right[i, p], right[i, q]
                    right[i, p], right[i, q] = c * x - s * y, s * x + c * y
        if not turned:
            break
    for q in range(n):
        total = 0.0
        for i in range(n):
            total += matrix[i, q] * matrix[i, q]
        values[q] = np.sqrt(total)
    for q in range(n):
        top = q
        for p in range(q + 1, n):
            if values[p] > values[top]:
                top = p
        values[q], values[top] = values[top], values[q]
        for i in range(n):
            matrix[i, q], matrix[i, top] = matrix[i, top], matrix[i, q]
            right[i, q], right[i, top] = right[i, top], right[i, q]
            left[i, q] = matrix[i, q] / values[q] if values[q] > 0 else 0.0


@jit_exact
def reduction(factor, values, signs):
    """factor (n, n-1): factor factor' has the mean diag(values) over the signs (n), with the least variance."""
    n = values.size
    r = n - 1
    factor[:, :] = 0
    if values[0] == 0:
        return
    m, rest = 0, values.sum()
    while m < r - 1 and (r - m) * values[m] > rest:
        rest -= values[m]
        m += 1
    # Subtraction leaves rounding where the rest is small.
    rest = values[m:].sum()
    for i in range(m):
        factor[i, i] = np.sqrt(values[i])
    if rest == 0:
        return
    level, size = rest / (r - m), n - m
    z = np.empty(size)
    for i in range(size):
        z[i] = np.sqrt(max(0.0, 1 - values[m + i] / level))
    # The reflection that takes z to the first axis: its other columns are orthonormal, and orthogonal to z.
    v = z.copy()
    v[0] += 1.0
    norm = (v * v).sum()
    for i in range(size):
        for j in range(1, size):
            reflected = (1.0 if i == j else 0.0) - 2 * v[i] * v[j] / norm
            factor[m + i, m + j - 1] = np.sqrt(level) * signs[m + i] * reflected


@jit_exact
def orthonormal(rows, block, terms, change):
    """Make `terms` vectors orthonormal in place by Gram-Schmidt, twice; change (terms, terms): old_i = sum_j change[j, i] new_j.

    rows (terms * block, n): vector i is made of the `block` rows from i*block on. A vector that depends on others
    becomes zero.
    """
    for i in range(terms):
        for j in range(terms):
            change[j, i] = 0
        before = _dot(rows, i * block, i * block, block)
        for _ in range(2):
            for j in range(i):
                share = _dot(rows, i * block, j * block, block)
                change[j, i] += share
                _subtract(rows, i * block, j * block, block, share)
        left = _dot(rows, i * block, i * block, block)
        length = np.sqrt(left)
        if left <= 1e-28 * before or length == 0:
            length = 0.0
        change[i, i] = length
        scale = rows.dtype.type(1 / length if length > 0 else 0.0)
        for r in range(i * block, (i + 1) * block):
            for c in range(rows.shape[1]):
                rows[r, c] *= scale


@jit_exact
def _dot(rows, a, b, block):
    result = 0.0
    for r in range(block):
        for c in range(rows.shape[1]):
            result += float(rows[a + r, c]) * float(rows[b + r, c])
    return result


@jit_exact
def _subtract(rows, a, b, block, share):
    amount = rows.dtype.type(share)
    for r in range(block):
        for c in range(rows.shape[1]):
            rows[a + r, c] -= amount * rows[b + r, c]


@jit_exact
def combine(rows, block, terms, factor):
    """Vectors 0 .. terms-2 <- sum_j vector_j factor[j, i], the last one <- 0; factor (terms, terms-1)."""
    old, new = np.empty(terms), np.empty(terms)
    for r in range(block):
        for c in range(rows.shape[1]):
            for j in range(terms):
                old[j] = rows[j * block + r, c]
                new[j] = 0.0
            for j in range(terms):
                for i in range(terms - 1):
                    new[i] += old[j] * factor[j, i]
            for i in range(terms):
                rows[i * block + r, c] = new[i]


@jit_exact
def reduce_class(a, b, units, terms, signs):
    """Bring terms 0 .. r of one class, a (terms * units, k*H) and b (terms, sources), back to r terms."""
    in_a, in_b = np.empty((terms, terms)), np.empty((terms, terms))
    orthonormal(a, units, terms, in_a)
    orthonormal(b, 1, terms, in_b)
    left, right, values = np.empty((terms, terms)), np.empty((terms, terms)), np.empty(terms)
    matrix, factor = np.zeros((terms, terms)), np.empty((terms, terms - 1))
    for i in range(terms):
        for j in range(terms):
            for e in range(terms):
                matrix[i, j] += in_b[i, e] * in_a[j, e]
    singular_values(left, values, right, matrix)
    reduction(factor, values, signs)
    for side in range(2):
        basis = left if side == 0 else right
        mixed = np.zeros((terms, terms - 1))
        for i in range(terms):
            for j in range(terms - 1):
                for e in range(terms):
                    mixed[i, j] += basis[i, e] * factor[e, j]
        if side == 0:
            combine(b, 1, terms, mixed)
        else:
            combine(a, units, terms, mixed)


@jit_exact
def advance(flow, storage):
    """Carry all terms through one time step. Rows stand class by class, term by term, unit by unit; vectors class by class."""
    f = factored(storage)
    _, groups, hidden = flow.linear.gain.shape
    layout = f.layout
    terms = layout[1] + 1
    carry_rows(flow, f)
    now = f.linear[groups * hidden :]
    signs = f.vectors[f.vectors.shape[0] - 1]
    fill_signs(signs[: layout[0] * terms], f.clock[0], f.clock[1])
    start = 0
    for m in range(layout[0]):
        b = f.vectors[m * terms : (m + 1) * terms]
        class_sources(b[terms - 1], flow, layout[2 + groups + m])
        units = 0
        for g in range(groups):
            if layout[2 + g] == m:
                units += hidden
        a = f.rows[start : start + terms * units]
        row = (terms - 1) * units
        for g in range(groups):
            if layout[2 + g] == m:
                for j in range(hidden):
                    for new in range(a.shape[1]):
                        a[row, new] = now[g * hidden + j, new]
                    row += 1
        reduce_class(a, b, units, terms, signs[m * terms : (m + 1) * terms])
        start += terms * units


@jit_exact
def credit(flow, storage):
    """gradient += sum_i (dE/dh A_i) x u_i."""
    f = factored(storage)
    _, groups, hidden = flow.linear.gain.shape
    unit, layout = flow.structure.unit, f.layout
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    terms = layout[1] + 1
    met = np.empty(f.rows.shape[0], d.dtype)
    for r in range(met.size):
        met[r] = row_credit(f.rows[r], flow)
    # Place of each group's first term, and distance between its terms.
    begin, step = np.empty(groups, np.int64), np.empty(groups, np.int64)
    start = 0
    for m in range(layout[0]):
        units = 0
        for g in range(groups):
            if layout[2 + g] == m:
                begin[g] = start + units
                units += hidden
        for g in range(groups):
            if layout[2 + g] == m:
                step[g] = units
        start += terms * units
    for i in range(unit.size):
        column = layout[2 + 2 * groups + i]
        if column < 0:
            credit_exact(d, i, flow, f, column)
            continue
        g, j = unit[i] // hidden, unit[i] % hidden
        change = d.dtype.type(0)
        for term in range(terms - 1):
            change += met[begin[g] + term * step[g] + j] * f.vectors[layout[2 + g] * terms + term, column]
        d[i] += change


class OK(KroneckerRule):
    """Optimal Kronecker-sum approximation of RTRL (F. Benzing, M. Gauy, A. Mujika, A. Martinsson & A. Steger, ICML 2019).

    The influence is kept as a sum of r Kronecker products of vectors over the sources with matrices over states and
    units::

        ds/dw ~ sum_i u_i x A_i          a time step gives r + 1 terms: (u_i, J A_i) and (z, D)
                                         J = ds'/ds, z = [x, m, 1], D = ds'/da

    They are brought back to r with the least variance that an unbiased choice can have. In orthonormal bases of the
    u_i and of the A_i the sum is an (r+1) x (r+1) matrix U S V', S = diag(s_1 >= s_2 >= ...). Then, with ::

        m  the smallest number with (r - m) s_{m+1} <= s_{m+1} + ... + s_{r+1} =: (r - m) s0
        z_i = sqrt(1 - s_{m+i} / s0), a unit vector; Z orthonormal with Z Z' = 1 - z z'; nu random signs

    the first m terms stay as they are and the others become s0 (nu o Z)(nu o Z)', of rank r - m, whose mean is
    diag(s_{m+1}, ...). Classes of units and peepholes: `rnnsim.learning.kronecker`.

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units
    rank    r, the number of terms

    For a cell of k states, n units and g groups of pre-activations a stream keeps about (r + 1) g k n^2 numbers, and
    a time step costs (r + 1) g k^2 n^3 multiply-adds. Raises `RnnsimError` for networks that online rules cannot
    serve (`rnnsim.learning.online.contract.OnlineRule`) and for a rank below 1.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=OK(rank=2), steps=3, batch=4, rng=1).steps
    3
    """

    name = "ok"

    def __init__(self, every: int = 0, force: bool = False, rank: int = 8):
        super().__init__(every, force)
        self.rank = at_least("rank", rank, 1)

    def memory(self, net, structure, sizes, streams):
        """A `KroneckerMemory`: rows are A_i transposed; vectors are u_i, and signs."""
        layout, sources = layout_of(net, structure, sizes, self.rank)
        terms = self.rank + 1
        width = max(sources, layout[0] * terms)
        rows = terms * sizes.groups * sizes.hidden
        return self.factored_memory(structure, sizes, streams, layout, rows, (layout[0] * terms + 1, width))

    def kernels(self, net, structure, sizes):
        """Kernels on a `KroneckerMemory`."""
        return advance, credit, forget
