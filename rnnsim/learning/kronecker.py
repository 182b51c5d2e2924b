"""What the Kronecker-factored rules share: which parameters share their sources, and the exact part.

The influence of one tick alone is a Kronecker product: ds'/dw of the weight of source i in the pre-activation u is
(ds'/da_u) (source i). Groups of units that see the same vector [input, recurrent input, 1] form a class, and every class
has factors and signs of its own: one for a fully recurrent network, an LSTM and a GRU that resets after the product, as
published; two for a GRU that resets before it, since the recurrent input of its candidate differs from that of its gates. The
mean is exact for each class.

Peepholes weigh a source that differs from unit to unit, which is no Kronecker product. Their influence has only k H numbers
per unit and is carried exactly, at the cost of one more group of units.
"""

import numpy as np

from rnnsim.core.gemm import packed_shape, product_packed
from rnnsim.core.jit import jit_exact
from rnnsim.learning.online.engine import Memory
from rnnsim.learning.online.linearisation import fill_immediate, fill_jacobian
from rnnsim.learning.online.streams import OnlineRule


def classes_of(net):
    """(class of each group, the group whose recurrent input a class has), found by one tick from a random state."""
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


def layout_of(net, structure, shape, terms=1):
    """The whole numbers of `Memory`: classes, terms, class of each group, leader of each class, column of each parameter.

    A column is a place in [input, recurrent input, 1]; -1 - r is row r of the exact part.
    """
    kinds, leaders = classes_of(net)
    hidden, inputs = shape.hidden, net.layout["weight_ih_l0"].size // (net.layout["weight_ih_l0"].shape[0])
    own = inputs + shape.groups * hidden
    column = np.zeros(shape.parameters, np.int64)
    for i, source in enumerate(structure.source):
        if source < inputs:
            column[i] = source
        elif source < own:
            column[i] = inputs + (source - inputs) % hidden
        elif source < shape.sources - 1:
            column[i] = -1 - (source - own)
        else:
            column[i] = inputs + hidden
    leaders = leaders + [0] * (shape.groups - len(leaders))
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
def carry_rows(flow, memory):
    """Rows of a <- rows times J transposed; the immediate influence ds'/da transposed to c[GH:]; the exact part is done."""
    _, groups, hidden = flow.linear.gain.shape
    units = memory.c[groups * hidden :]
    fill_jacobian(memory.panels, flow, memory.c)
    fill_immediate(units, flow)
    product_packed(memory.a, memory.a.copy(), memory.panels, False)
    own = flow.structure.peephole_group
    start, source = memory.a.shape[0] - own.size * hidden, flow.sources.size - 1 - own.size * hidden
    for row in range(own.size):
        for j in range(hidden):
            exact, value = memory.a[start + row * hidden + j], flow.sources[source + row * hidden + j]
            unit = units[own[row] * hidden + j]
            for new in range(exact.size):
                exact[new] += value * unit[new]


@jit_exact
def meet(row, flow):
    """dE/dh times the units' part of one row (k*H)."""
    result = row.dtype.type(0)
    for j in range(flow.credit.size):
        result += row[j] * flow.credit[j]
    return result


@jit_exact
def credit_exact(d, i, flow, memory, column):
    """gradient of peephole i, whose column says which exact row is its own."""
    own = flow.structure.peephole_group.size * flow.linear.gain.shape[2]
    d[i] += meet(memory.a[memory.a.shape[0] - own - 1 - column], flow)


@jit_exact
def forget(flow, memory):
    """The units that were set to their targets depend on nothing."""
    for r in range(memory.a.shape[0]):
        for k in range(flow.error.size):
            memory.a[r, k] = 0


class KroneckerRule(OnlineRule):
    """Memory of the Kronecker-factored rules; a rule says how many rows and vectors it keeps."""

    forces = True

    def factored_memory(self, structure, shape, streams, whole, rows, vectors):
        """a: `rows` of influence (k*H) and the exact ones; b: vectors (n, size); c: da/ds, ds'/da; panels: J transposed."""
        size, units = shape.states * shape.hidden, shape.groups * shape.hidden
        return Memory(
            np.zeros((streams, rows + len(structure.peephole_group) * shape.hidden, size), shape.dtype),
            np.zeros((streams, *vectors), shape.dtype),
            np.zeros((streams, 2 * units, size), shape.dtype),
            np.zeros((streams, *packed_shape(size, size, shape.dtype)), shape.dtype),
            whole,
            np.zeros(1, shape.dtype),
            None,
        )
