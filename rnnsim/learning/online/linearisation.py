"""The linearisation of one time step as the rules use it: products with vectors, and the matrices ds'/ds and ds'/da.

`flow` is a `rnnsim.learning.online.kernels.Flow` whose `linear` a cell has just filled;
`rnnsim.cells.interface.Linearised` has the equations.
"""

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, load, mask, reduce_add, width


@jit_borrowed
def fill_sources(flow):
    """flow.sources <- the values that the parameters of the cell weigh: input, recurrent inputs, peephole inputs, 1."""
    place = flow.x.size
    for i in range(place):
        flow.sources[i] = flow.x[i]
    for array in (flow.linear.recurrent_input, flow.linear.peephole_input):
        for row in range(array.shape[0]):
            for j in range(array.shape[1]):
                flow.sources[place] = array[row, j]
                place += 1
    flow.sources[place] = 1


@jit_borrowed
def jacobian_times(out, work, flow, v):
    """out (k, H) <- (ds'/ds) v for a change v (k, H) of the state; work (G, H) <- the change of the pre-activations."""
    linear, structure = flow.linear, flow.structure
    states, groups, hidden = linear.gain.shape
    for g in range(groups):
        for j in range(hidden):
            work[g, j] = 0
        place = structure.recurrent[g]
        if place < 0:
            continue
        for i in range(hidden):
            moved = v.dtype.type(0)
            for q in range(states):
                moved += linear.recurrent_input_direct[g, q, i] * v[q, i]
            if structure.gate_dependent:
                for e in range(g):
                    moved += linear.recurrent_input_gain[g, e, i] * work[e, i]
            out[0, i] = moved
        weights = flow.theta[place : place + hidden * hidden].reshape(hidden, hidden)
        change = out[0]
        for j in range(hidden):
            row, sums = weights[j], broadcast(change, 0)
            for i in range(0, hidden, width(change)):
                active = mask(hidden - i)
                sums = sums + load(row, i, active) * load(change, i, active)
            work[g, j] = reduce_add(sums)
    for p in range(states):
        for j in range(hidden):
            moved = v.dtype.type(0)
            for q in range(states):
                moved += linear.direct[p, q, j] * v[q, j]
            for g in range(groups):
                moved += linear.gain[p, g, j] * work[g, j]
            out[p, j] = moved


@jit_borrowed
def times_jacobian(out, work, flow, v):
    """out (k, H) <- v (ds'/ds) for a gradient v (k, H) of the new state; work (G, H) <- dE/da of the pre-activations."""
    linear, structure = flow.linear, flow.structure
    states, groups, hidden = linear.gain.shape
    for g in range(groups):
        for j in range(hidden):
            total = v.dtype.type(0)
            for p in range(states):
                total += v[p, j] * linear.gain[p, g, j]
            work[g, j] = total
    for q in range(states):
        for j in range(hidden):
            total = v.dtype.type(0)
            for p in range(states):
                total += v[p, j] * linear.direct[p, q, j]
            out[q, j] = total
    for g in range(groups - 1, -1, -1):
        place = structure.recurrent[g]
        if place < 0:
            continue
        weights = flow.theta[place : place + hidden * hidden].reshape(hidden, hidden)
        for i in range(hidden):
            total = v.dtype.type(0)
            for j in range(hidden):
                total += work[g, j] * weights[j, i]
            for q in range(states):
                out[q, i] += total * linear.recurrent_input_direct[g, q, i]
            if structure.gate_dependent:
                for e in range(g):
                    work[e, i] += total * linear.recurrent_input_gain[g, e, i]


@jit_borrowed
def fill_jacobian(panels, flow, chain):
    """panels <- (ds'/ds) transposed and packed; chain (G*H, k*H) <- da/ds where recurrent inputs depend on gates."""
    linear, structure = flow.linear, flow.structure
    states, groups, hidden = linear.gain.shape
    lanes = panels.shape[2]
    for p in range(states):
        for j in range(hidden):
            new = p * hidden + j
            panel = panels[new // lanes]
            lane = new % lanes
            for old in range(states * hidden):
                panel[old, lane] = 0
            for q in range(states):
                panel[q * hidden + j, lane] = linear.direct[p, q, j]
    for g in range(groups):
        place = structure.recurrent[g]
        if place < 0:
            continue
        weights = flow.theta[place : place + hidden * hidden].reshape(hidden, hidden)
        if structure.gate_dependent:
            for j in range(hidden):
                for old in range(states * hidden):
                    total = linear.recurrent_input_direct[g, old // hidden, old % hidden] * weights[j, old % hidden]
                    for e in range(g):
                        if structure.recurrent[e] >= 0:
                            for i in range(hidden):
                                total += (
                                    weights[j, i] * linear.recurrent_input_gain[g, e, i] * chain[e * hidden + i, old]
                                )
                    chain[g * hidden + j, old] = total
        for p in range(states):
            for j in range(hidden):
                new = p * hidden + j
                panel, lane, slope = panels[new // lanes], new % lanes, linear.gain[p, g, j]
                if slope == 0:
                    continue
                if structure.gate_dependent:
                    for old in range(states * hidden):
                        panel[old, lane] += slope * chain[g * hidden + j, old]
                    continue
                row = weights[j]
                for q in range(states):
                    seen = linear.recurrent_input_direct[g, q]
                    for i in range(hidden):
                        panel[q * hidden + i, lane] += slope * seen[i] * row[i]


@jit_borrowed
def fill_immediate(units, flow):
    """units (G*H, k*H) <- ds'/da transposed, also through the recurrent inputs that depend on a."""
    linear, structure = flow.linear, flow.structure
    states, groups, hidden = linear.gain.shape
    for u in range(groups * hidden):
        for new in range(states * hidden):
            units[u, new] = 0
    for g in range(groups - 1, -1, -1):
        for j in range(hidden):
            row = units[g * hidden + j]
            for p in range(states):
                row[p * hidden + j] = linear.gain[p, g, j]
            for later in range(g + 1, groups):
                slope, place = linear.recurrent_input_gain[later, g, j], structure.recurrent[later]
                if slope == 0 or place < 0:
                    continue
                weights = flow.theta[place : place + hidden * hidden].reshape(hidden, hidden)
                for i in range(hidden):
                    for new in range(states * hidden):
                        row[new] += slope * weights[i, j] * units[later * hidden + i, new]
