"""Kronecker-factored RTRL (Mujika, Meier & Steger 2018), and the same reversed (Marschall, Cho & Savin 2020)."""

from rnnsim.core.jit import jit_exact
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
from rnnsim.learning.stochastic import balance, fill_signs, square, square_of_rows


@jit_exact
def reciprocal(p):
    """1 / p; 0 for a product that is zero and is dropped."""
    return p / (p * p) if p > 0 else p


# -- kf-rtrl --------------------------------------------------------------------------------------------------------------------


@jit_exact
def advance(flow, storage):
    """Carry A transposed (rows: one a unit) and u (vectors: one a class) through one time step; the last vector is scratch."""
    f = factored(storage)
    _, groups, hidden = flow.linear.gain.shape
    layout, rows, sources = f.layout, f.rows, f.vectors[f.vectors.shape[0] - 1]
    classes = layout[0]
    now = f.linear[groups * hidden :]
    carry_rows(flow, f)
    signs = flow.work[: 2 * classes]
    fill_signs(signs, f.clock[0], f.clock[1])
    for m in range(classes):
        u = f.vectors[m]
        class_sources(sources, flow, layout[2 + groups + m])
        moved, fresh = u.dtype.type(0), u.dtype.type(0)
        for g in range(groups):
            if layout[2 + g] == m:
                moved += square_of_rows(rows, g * hidden, (g + 1) * hidden)
                fresh += square_of_rows(now, g * hidden, (g + 1) * hidden)
        none = u.dtype.type(0)
        p0 = balance(moved, square(u), none)
        p1 = balance(fresh, square(sources), none)
        c0, c1 = signs[2 * m], signs[2 * m + 1]
        for i in range(u.size):
            u[i] = c0 * p0 * u[i] + c1 * p1 * sources[i]
        q0, q1 = c0 * reciprocal(p0), c1 * reciprocal(p1)
        for r in range(groups * hidden):
            if layout[2 + r // hidden] == m:
                for new in range(rows.shape[1]):
                    rows[r, new] = q0 * rows[r, new] + q1 * now[r, new]


@jit_exact
def credit(flow, storage):
    """gradient += (dE/dh A) x u."""
    f = factored(storage)
    _, groups, hidden = flow.linear.gain.shape
    unit, layout = flow.structure.unit, f.layout
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    met = flow.work[: groups * hidden]
    for r in range(met.size):
        met[r] = row_credit(f.rows[r], flow)
    for i in range(unit.size):
        column = layout[2 + 2 * groups + i]
        if column < 0:
            credit_exact(d, i, flow, f, column)
        else:
            d[i] += met[unit[i]] * f.vectors[layout[2 + unit[i] // hidden], column]


class KFRTRL(KroneckerRule):
    """Kronecker-factored RTRL (A. Mujika, F. Meier & A. Steger, NeurIPS 2018, arXiv:1805.10842).

    The influence within one time step is D x z for each class of units, with D = ds'/da (states x units) and its
    sources z = [x, m, 1]. The whole influence is kept in this form, a vector u over the sources and a matrix A over
    states and units::

        ds/dw ~ u x A         u' = c0 p0 u + c1 p1 z             p0 = sqrt(|J A| / |u|)
                              A' = c0 J A / p0 + c1 D / p1       p1 = sqrt(|D| / |z|)

    J = ds'/ds; c0 and c1 are random signs, new for each class and time step; | | are Frobenius norms, and p0 and p1
    give the two factors the same norm. E c0 c1 = 0, so the mean is the exact influence. Classes and peepholes:
    `rnnsim.learning.kronecker`.

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units

    For a cell of k states, n units and g groups of pre-activations a stream keeps about g k n^2 numbers, and a time
    step costs g k^2 n^3 multiply-adds. Raises `RnnsimError` for networks that online rules cannot serve
    (`rnnsim.learning.online.contract.OnlineRule`).

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("lstm", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=KFRTRL(), steps=3, batch=4, rng=1).steps
    3
    """

    name = "kf-rtrl"

    def memory(self, net, structure, sizes, streams):
        """A `KroneckerMemory`: rows are A transposed, one a unit; vectors are u of each class, and scratch."""
        layout, sources = layout_of(net, structure, sizes)
        return self.factored_memory(
            structure, sizes, streams, layout, sizes.groups * sizes.hidden, (layout[0] + 1, sources)
        )

    def kernels(self, net, structure, sizes):
        """Kernels on a `KroneckerMemory`."""
        return advance, credit, forget


# -- reverse-kf-rtrl ------------------------------------------------------------------------------------------------------------


@jit_exact
def advance_reverse(flow, storage):
    """Carry B transposed (rows: one a class and source) and A (first vector, over units) through one time step.

    The other vectors are nu, D nu and z.
    """
    f = factored(storage)
    _, groups, hidden = flow.linear.gain.shape
    layout, rows, a, signs = f.layout, f.rows, f.vectors[0], f.vectors[1]
    units, size, inputs = groups * hidden, rows.shape[1], flow.x.size
    pulled, sources = f.vectors[2, :size], f.vectors[3, : inputs + hidden + 1]
    now = f.linear[units:]
    carry_rows(flow, f)
    fill_signs(signs[:units], f.clock[0], f.clock[1])
    for m in range(layout[0]):
        class_sources(sources, flow, layout[2 + groups + m])
        lo, hi = m * sources.size, (m + 1) * sources.size
        kept, count = a.dtype.type(0), a.dtype.type(0)
        for new in range(size):
            pulled[new] = 0
        for u in range(units):
            if layout[2 + u // hidden] == m:
                kept += a[u] * a[u]
                count += signs[u] * signs[u]
                for new in range(size):
                    pulled[new] += signs[u] * now[u, new]
        none = a.dtype.type(0)
        p0 = balance(square_of_rows(rows, lo, hi), kept, none)
        p1 = balance(square(pulled) * square(sources), count, none)
        for u in range(units):
            if layout[2 + u // hidden] == m:
                a[u] = p0 * a[u] + p1 * signs[u]
        q0, q1 = reciprocal(p0), reciprocal(p1)
        for r in range(lo, hi):
            weight = q1 * sources[r - lo]
            for new in range(size):
                rows[r, new] = q0 * rows[r, new] + weight * pulled[new]


@jit_exact
def credit_reverse(flow, storage):
    """gradient += A x (dE/dh B)."""
    f = factored(storage)
    _, groups, hidden = flow.linear.gain.shape
    unit, layout, sources = flow.structure.unit, f.layout, flow.x.size + hidden + 1
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    met = f.vectors[1]
    for r in range(layout[0] * sources):
        met[r] = row_credit(f.rows[r], flow)
    for i in range(unit.size):
        column = layout[2 + 2 * groups + i]
        if column < 0:
            credit_exact(d, i, flow, f, column)
        else:
            d[i] += f.vectors[0, unit[i]] * met[layout[2 + unit[i] // hidden] * sources + column]


class ReverseKFRTRL(KroneckerRule):
    """KF-RTRL with the roles of units and sources exchanged (O. Marschall, K. Cho & C. Savin, JMLR 21(135), 2020).

    A vector A over the units and a matrix B over states and sources are kept, with random signs nu for every unit::

        ds/dw ~ A x B         A' = p0 A + p1 nu                  p0 = sqrt(|J B| / |A|)
                              B' = J B / p0 + (D nu) x z / p1    p1 = sqrt(|(D nu) x z| / |nu|)

    J = ds'/ds, D = ds'/da, z = [x, m, 1]; | | are Frobenius norms. E nu nu' = 1, so the mean is the exact influence.
    Classes and peepholes: `rnnsim.learning.kronecker`.

    every   time steps between two updates; 0: one update a batch
    force   teacher forcing, for readout=units

    For a cell of k states, n units, g groups of pre-activations and i inputs a stream keeps about k n (n + i) numbers
    a class beside the 3 g k n^2 of its linearisation, and a time step costs k^2 n^2 (n + i) multiply-adds a class.
    Raises `RnnsimError` for networks that online rules cannot serve (`rnnsim.learning.online.contract.OnlineRule`).

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=ReverseKFRTRL(), steps=3, batch=4, rng=1).steps
    3
    """

    name = "reverse-kf-rtrl"

    def memory(self, net, structure, sizes, streams):
        """A `KroneckerMemory`: rows are B transposed, one a class and source; vectors are A, and scratch."""
        layout, sources = layout_of(net, structure, sizes)
        length = max(sizes.groups * sizes.hidden, sizes.states * sizes.hidden, layout[0] * sources)
        return self.factored_memory(structure, sizes, streams, layout, layout[0] * sources, (4, length))

    def kernels(self, net, structure, sizes):
        """Kernels on a `KroneckerMemory`."""
        return advance_reverse, credit_reverse, forget
