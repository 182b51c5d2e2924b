"""Shared by the Kronecker-factored rules: which parameters see the same sources, and the exact part.

The influence of one time step alone is a Kronecker product: ds'/dw of the weight of source i in the pre-activation u
is (ds'/da_u) (source i). Groups of units that see the same vector [input, recurrent input, 1] form a class, and every
class has factors and signs of its own: one class for a fully recurrent network, an LSTM and a GRU that resets after
the product, as published; two for a GRU that resets before it, where the recurrent input of the candidate differs
from that of the gates. The mean is exact for each class.

A peephole weighs a source that differs from unit to unit, which is no Kronecker product. The influence of peepholes
has only k H numbers a unit and is carried exactly, at the cost of one more group of units.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.gemm import packed_shape, product_packed
from rnnsim.core.jit import jit_exact, jit_inline
from rnnsim.learning.online.contract import ForcingRule
from rnnsim.learning.online.linearisation import fill_immediate, fill_jacobian


class KroneckerMemory(NamedTuple):
    """The factors of one stream; with the stream as first axis where Python holds all of them.

    `layout` holds the number of classes, the terms of each, the class of each group, the leader of each class (the
    group whose recurrent input the class has) and the column of each parameter: a place in [input, recurrent input,
    1], or -1 - r for row r of the exact part.
    """

    rows: np.ndarray  # (R, k*H) the matrix factors, as the rule lays them out; then the exact influence of peepholes
    vectors: np.ndarray  # the vector factors, as the rule lays them out, and scratch
    linear: np.ndarray  # (2*G*H, k*H) da/ds, then ds'/da transposed
    jacobian: np.ndarray  # ds'/ds transposed and packed
    layout: np.ndarray
    clock: np.ndarray | None = None


@jit_inline
def factored(s):
    """The arrays of a `Storage` by their names."""
    return KroneckerMemory(s.first, s.second, s.third, s.stack, s.integers, s.clock)


def classes_of(net):
    """(class of each group, leader of each class), found by one time step from a random state."""
    (cell,) = net.cells.values()
    rng = np.random.default_rng(0)
    states = rng.uniform(0.1, 0.9, (len(cell.state_names), cell.hidden)).astype(net.dtype)
    recurrent_input = cell.linearise(rng.normal(size=cell.n_inputs).astype(net.dtype), states).recurrent_input
    kinds, leaders = [], []
    for g, group in enumerate(cell.groups):
        if group.weight_hh is None:
            kinds.append(0)
            continue
        same = [kind for kind, leader in enumerate(leaders) if (recurrent_input[g] == recurrent_input[leader]).all()]
        kinds.append(same[0] if same else len(leaders))
        if not same:
            leaders.append(g)
    return kinds, leaders


def layout_of(net, structure, sizes, terms=1):
    """(`KroneckerMemory.layout`, number of sources of a class)."""
    kinds, leaders = classes_of(net)
    hidden, inputs = sizes.hidden, net.layout["weight_ih_l0"].size // (net.layout["weight_ih_l0"].shape[0])
    own = inputs + sizes.groups * hidden
    column = np.zeros(sizes.parameters, np.int64)
    for i, source in enumerate(structure.source):
        if source < inputs:
            column[i] = source
        elif source < own:
            column[i] = inputs + (source - inputs) % hidden
        elif source < sizes.sources - 1:
            column[i] = -1 - (source - own)
        else:
            column[i] = inputs + hidden
    leaders = leaders + [0] * (sizes.groups - len(leaders))
    return np.array([max(kinds) + 1, terms, *kinds, *leaders, *column], np.int64), inputs + hidden + 1


@jit_exact
def class_sources(out, flow, leader):
    """out (I + H + 1) <- [input, recurrent input of a group, 1]."""
    inputs, hidden = flow.x.size, flow.linear.recurrent_input.shape[1]
    for i in range(inputs):
        out[i] = flow.x[i]
    for j in range(hidden):
        out[inputs + j] = flow.linear.recurrent_input[leader, j]
    out[inputs + hidden] = 1


@jit_exact
def carry_rows(flow, m):
    """m.rows <- rows times J transposed, m.linear <- da/ds and ds'/da; the exact rows are finished."""
    _, groups, hidden = flow.linear.gain.shape
    units = m.linear[groups * hidden :]
    fill_jacobian(m.jacobian, flow, m.linear)
    fill_immediate(units, flow)
    product_packed(m.rows, m.rows.copy(), m.jacobian, False)
    own = flow.structure.peephole_group
    start, source = m.rows.shape[0] - own.size * hidden, flow.sources.size - 1 - own.size * hidden
    for row in range(own.size):
        for j in range(hidden):
            exact, value = m.rows[start + row * hidden + j], flow.sources[source + row * hidden + j]
            unit = units[own[row] * hidden + j]
            for new in range(exact.size):
                exact[new] += value * unit[new]


@jit_exact
def row_credit(row, flow):
    """dE/dh times the part of one row (k*H) that belongs to h."""
    result = row.dtype.type(0)
    for j in range(flow.credit.size):
        result += row[j] * flow.credit[j]
    return result


@jit_exact
def credit_exact(d, i, flow, m, column):
    """d[i] += the gradient of peephole i, whose column says which exact row belongs to it."""
    own = flow.structure.peephole_group.size * flow.linear.gain.shape[2]
    d[i] += row_credit(m.rows[m.rows.shape[0] - own - 1 - column], flow)


@jit_exact
def forget(flow, storage):
    """Clear the influence on the units that were set to their targets."""
    rows = factored(storage).rows
    for r in range(rows.shape[0]):
        for k in range(flow.error.size):
            rows[r, k] = 0


class KroneckerRule(ForcingRule):
    """The base of the Kronecker-factored rules; a rule says how many rows and vectors it keeps."""

    def factored_memory(self, structure, sizes, streams, layout, rows, vectors):
        """A `KroneckerMemory` of so many rows beside the exact ones, and an array of the shape `vectors`."""
        size, units = sizes.states * sizes.hidden, sizes.groups * sizes.hidden
        return KroneckerMemory(
            rows=np.zeros((streams, rows + len(structure.peephole_group) * sizes.hidden, size), sizes.dtype),
            vectors=np.zeros((streams, *vectors), sizes.dtype),
            linear=np.zeros((streams, 2 * units, size), sizes.dtype),
            jacobian=np.zeros((streams, *packed_shape(size, size, sizes.dtype)), sizes.dtype),
            layout=layout,
        )
