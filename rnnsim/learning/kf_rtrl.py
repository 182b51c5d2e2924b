"""Kronecker-factored RTRL (A. Mujika, F. Meier & A. Steger, NeurIPS 2018, arXiv:1805.10842), and the same reversed.

The immediate influence of a class of units is D x z, with D = ds'/da (states x units) and its sources z = [x, m, 1].
Both rules keep the whole influence in this form; | | are Frobenius norms, p0 and p1 make the two factors equally large.

**kf-rtrl** keeps a vector over the sources and a matrix over states and units, and random signs c0, c1 for each class::

    ds/dw ~ u x A         u' = c0 p0 u + c1 p1 z             p0 = sqrt(|J A| / |u|)
                          A' = c0 J A / p0 + c1 D / p1       p1 = sqrt(|D| / |z|)

**reverse-kf-rtrl** (O. Marschall, K. Cho & C. Savin, JMLR 21(135), 2020) keeps a vector over the units and a matrix over states
and sources, and random signs nu for every unit::

    ds/dw ~ A x B         A' = p0 A + p1 nu                  p0 = sqrt(|J B| / |A|)
                          B' = J B / p0 + (D nu) x z / p1    p1 = sqrt(|(D nu) x z| / |nu|)

E c0 c1 = 0 and E nu nu' = 1: the mean of both is the exact influence. Classes and peepholes: `rnnsim.learning.kronecker`.
"""

from rnnsim.core.jit import jit_exact
from rnnsim.learning.kronecker import (
    KroneckerRule,
    carry_rows,
    class_sources,
    credit_exact,
    forget,
    layout_of,
    meet,
)
from rnnsim.learning.stochastic import balance, fill_signs, square, square_of_rows


@jit_exact
def inverse(p):
    """1 / p; of a product that is zero, and dropped, 0."""
    return p / (p * p) if p > 0 else p


# -- kf-rtrl --------------------------------------------------------------------------------------------------------------------


@jit_exact
def advance(flow, memory):
    """A transposed (a: a row a unit) and u (b: a row a class) through one tick; the last row of b is scratch."""
    _, groups, hidden = flow.linear.gain.shape
    whole, rows, sources = memory.whole, memory.a, memory.b[memory.b.shape[0] - 1]
    classes = whole[0]
    now = memory.c[groups * hidden :]
    carry_rows(flow, memory)
    signs = flow.work[: 2 * classes]
    fill_signs(signs, memory.clock[0], memory.clock[1])
    for m in range(classes):
        u = memory.b[m]
        class_sources(sources, flow, whole[2 + groups + m])
        moved, fresh = u.dtype.type(0), u.dtype.type(0)
        for g in range(groups):
            if whole[2 + g] == m:
                moved += square_of_rows(rows, g * hidden, (g + 1) * hidden)
                fresh += square_of_rows(now, g * hidden, (g + 1) * hidden)
        none = u.dtype.type(0)
        p0 = balance(moved, square(u), none)
        p1 = balance(fresh, square(sources), none)
        c0, c1 = signs[2 * m], signs[2 * m + 1]
        for i in range(u.size):
            u[i] = c0 * p0 * u[i] + c1 * p1 * sources[i]
        q0, q1 = c0 * inverse(p0), c1 * inverse(p1)
        for r in range(groups * hidden):
            if whole[2 + r // hidden] == m:
                for new in range(rows.shape[1]):
                    rows[r, new] = q0 * rows[r, new] + q1 * now[r, new]


@jit_exact
def credit(flow, memory):
    """gradient += (dE/dh A) x u."""
    _, groups, hidden = flow.linear.gain.shape
    unit, whole = flow.structure.unit, memory.whole
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    met = flow.work[: groups * hidden]
    for r in range(met.size):
        met[r] = meet(memory.a[r], flow)
    for i in range(unit.size):
        column = whole[2 + 2 * groups + i]
        if column < 0:
            credit_exact(d, i, flow, memory, column)
        else:
            d[i] += met[unit[i]] * memory.b[whole[2 + unit[i] // hidden], column]


class KFRTRL(KroneckerRule):
    """Unbiased influence, a Kronecker product over sources and (states x units); equations at the top of the file.

    Options as in `OnlineRule`, and `force`: teacher forcing.

    >>> from rnnsim.learning import RULES
    >>> RULES.build("kf-rtrl", {"every": 5}).every
    5
    """

    name = "kf-rtrl"

    def __init__(self, every: int = 0, force: bool = False):
        super().__init__(every)
        self.force = force

    def memory(self, net, structure, shape, streams):
        """a: A transposed, a row a unit, and the exact rows; b: u of each class, and scratch."""
        whole, sources = layout_of(net, structure, shape)
        return self.factored_memory(
            structure, shape, streams, whole, shape.groups * shape.hidden, (whole[0] + 1, sources)
        )

    def kernels(self, net, structure, shape):
        return advance, credit, forget


# -- reverse-kf-rtrl ------------------------------------------------------------------------------------------------------------


@jit_exact
def advance_reverse(flow, memory):
    """B transposed (a: a row a class and source) and A (b: a vector over units) through one tick; rest of b: nu, D nu, z."""
    _, groups, hidden = flow.linear.gain.shape
    whole, rows, a, signs = memory.whole, memory.a, memory.b[0], memory.b[1]
    units, size, inputs = groups * hidden, rows.shape[1], flow.x.size
    pulled, sources = memory.b[2, :size], memory.b[3, : inputs + hidden + 1]
    now = memory.c[units:]
    carry_rows(flow, memory)
    fill_signs(signs[:units], memory.clock[0], memory.clock[1])
    for m in range(whole[0]):
        class_sources(sources, flow, whole[2 + groups + m])
        lo, hi = m * sources.size, (m + 1) * sources.size
        kept, count = a.dtype.type(0), a.dtype.type(0)
        for new in range(size):
            pulled[new] = 0
        for u in range(units):
            if whole[2 + u // hidden] == m:
                kept += a[u] * a[u]
                count += signs[u] * signs[u]
                for new in range(size):
                    pulled[new] += signs[u] * now[u, new]
        none = a.dtype.type(0)
        p0 = balance(square_of_rows(rows, lo, hi), kept, none)
        p1 = balance(square(pulled) * square(sources), count, none)
        for u in range(units):
            if whole[2 + u // hidden] == m:
                a[u] = p0 * a[u] + p1 * signs[u]
        q0, q1 = inverse(p0), inverse(p1)
        for r in range(lo, hi):
            weight = q1 * sources[r - lo]
            for new in range(size):
                rows[r, new] = q0 * rows[r, new] + weight * pulled[new]


@jit_exact
def credit_reverse(flow, memory):
    """gradient += A x (dE/dh B)."""
    _, groups, hidden = flow.linear.gain.shape
    unit, whole, sources = flow.structure.unit, memory.whole, flow.x.size + hidden + 1
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    met = memory.b[1]
    for r in range(whole[0] * sources):
        met[r] = meet(memory.a[r], flow)
    for i in range(unit.size):
        column = whole[2 + 2 * groups + i]
        if column < 0:
            credit_exact(d, i, flow, memory, column)
        else:
            d[i] += memory.b[0, unit[i]] * met[whole[2 + unit[i] // hidden] * sources + column]


class ReverseKFRTRL(KroneckerRule):
    """Unbiased influence, a Kronecker product over units and (states x sources); equations at the top of the file.

    Options as in `OnlineRule`, and `force`: teacher forcing.

    >>> from rnnsim.learning import RULES
    >>> RULES.build("reverse-kf-rtrl").force
    False
    """

    name = "reverse-kf-rtrl"

    def __init__(self, every: int = 0, force: bool = False):
        super().__init__(every)
        self.force = force

    def memory(self, net, structure, shape, streams):
        """a: B transposed, a row a class and source, and the exact rows; b: A, and scratch."""
        whole, sources = layout_of(net, structure, shape)
        length = max(shape.groups * shape.hidden, shape.states * shape.hidden, whole[0] * sources)
        return self.factored_memory(structure, shape, streams, whole, whole[0] * sources, (4, length))

    def kernels(self, net, structure, shape):
        return advance_reverse, credit_reverse, forget
