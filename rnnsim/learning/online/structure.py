"""What the online rules must know of a network of one layer: sizes, the tables of its parameters, and what they can serve."""

import os
from typing import NamedTuple

import numpy as np

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError
from rnnsim.networks.interface import LINEARISATION


class Structure(NamedTuple):
    """The network as the kernels see it; the same for all streams.

    Two tables describe the P parameters of the cell: parameter i is the weight of `source[i]` in the pre-activation
    `unit[i]`, so da[unit[i]]/dw_i is the value of that source. The sources are the input (I), the recurrent inputs of
    all groups (G*H), the peephole inputs and a constant 1.
    """

    unit: np.ndarray  # (P) int32: pre-activation g*H + j that parameter i of the cell acts on
    source: np.ndarray  # (P) int32: the source that it weighs
    recurrent: np.ndarray  # (G) offset in theta of the group's (H, H) recurrent block, -1: none
    peephole_group: np.ndarray  # (rows of the peephole parameter) the group that each row acts on
    # (10) offsets in theta of weight_ih, weight_hh, bias_ih, bias_hh, weight_peephole (-1: none), sizes
    places: np.ndarray
    options: np.ndarray  # (8) integers that the cell's time step reads
    numbers: np.ndarray  # (4) numbers that the cell's time step reads
    first: int  # offset in theta of the cell's parameters
    readout: int  # offset in theta of weight_out and bias_out; -1: the first units are the outputs
    gate_dependent: bool  # whether a recurrent input depends on another pre-activation
    delayed: bool  # whether the readout sees the state before the time step


class Sizes(NamedTuple):
    """The sizes from which a rule allocates its memory."""

    states: int  # k
    hidden: int  # H
    groups: int  # G
    sources: int  # length of the vector of sources
    parameters: int  # P, of the cell
    dtype: np.dtype


def structure_of(net):
    """(`Structure`, `Sizes`) of a network of one layer. Raises `RnnsimError` if online rules cannot serve the network."""
    if LINEARISATION not in net.capabilities:
        need = size_in_words(net.n_parameters * net.state_size * net.dtype.itemsize)
        raise RnnsimError(
            f"a network '{net.config['name']}' is no cell with a readout, so online rules do not serve it; the influence of its "
            f"{net.n_parameters:,} parameters on {net.state_size:,} states would take {need} a sequence"
        )
    require(net.directions == 1, "bidirectional=True: a rule that learns while the sequence runs cannot see its end")
    require(net.layers == 1, f"layers={net.layers}: online rules serve one layer")
    require(not net.embedding, f"embedding={net.embedding}: online rules take symbols one-hot")
    require(not net.learned_initial_state, "learned_initial_state=True: online rules start from a given state")
    (cell,) = net.cells.values()
    hidden, inputs, layout = net.hidden, cell.n_inputs, net.layout
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole")
    present = {name: layout[f"{name}_l0"] for name in names if f"{name}_l0" in layout}
    places = [present[name].offset if name in present else -1 for name in names]
    places += [present[name].size if name in present else 0 for name in names]
    first = min(entry.offset for entry in present.values())
    count = sum(entry.size for entry in present.values())
    unit, source = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    recurrent_inputs = inputs
    own = recurrent_inputs + len(cell.groups) * hidden
    constant = own + len(cell.peephole_groups) * hidden

    def enter(name, block, width, g, sources):
        """Rows block*H.. of an array act on the units of group g; its columns weigh `sources`."""
        start = present[name].offset - first + block * hidden * width
        where = slice(start, start + hidden * width)
        assert (unit[where] < 0).all()
        unit[where] = np.repeat(g * hidden + np.arange(hidden), width)
        source[where] = sources if np.ndim(sources) == 0 else np.tile(sources, hidden)

    recurrent = np.full(len(cell.groups), -1, np.int64)
    for g, group in enumerate(cell.groups):
        if group.weight_ih is not None:
            enter("weight_ih", group.weight_ih, inputs, g, np.arange(inputs))
        if group.weight_hh is not None:
            enter("weight_hh", group.weight_hh, hidden, g, recurrent_inputs + g * hidden + np.arange(hidden))
            recurrent[g] = present["weight_hh"].offset + group.weight_hh * hidden * hidden
        for name, block in group.biases:
            enter(name, block, 1, g, constant)
    for row, g in enumerate(cell.peephole_groups):
        start = present["weight_peephole"].offset - first + row * hidden
        unit[start : start + hidden] = g * hidden + np.arange(hidden)
        source[start : start + hidden] = own + row * hidden + np.arange(hidden)
    assert (unit >= 0).all()
    integers, numbers = cell.time_step_options()
    readout = layout["weight_out"].offset if net.readout == "linear" else -1
    structure = Structure(
        unit,
        source,
        recurrent,
        np.array(cell.peephole_groups, np.int64),
        np.array(places, np.int64),
        np.array([*integers, *[0] * (8 - len(integers))], np.int64),
        np.array([*numbers, *[0] * (4 - len(numbers))], net.dtype),
        first,
        readout,
        cell.gate_dependent,
        cell.input_delay,
    )
    return structure, Sizes(len(cell.state_names), hidden, len(cell.groups), constant + 1, count, net.dtype)


def runs_of(structure):
    """Runs of neighbouring parameters that weigh neighbouring sources in one unit: (end, unit, first source) of each, flat."""
    unit, source = structure.unit.astype(np.int64), structure.source.astype(np.int64)
    begins = np.flatnonzero(np.r_[True, (np.diff(unit) != 0) | (np.diff(source) != 1)])
    ends = np.r_[begins[1:], len(unit)]
    return np.stack([ends, unit[begins], source[begins]], axis=1).ravel()


def check_paths(net, forced=False):
    """Raise `RnnsimError` if a table of connections cuts every path from an input to an output.

    Teacher forcing feeds the targets in at the outputs, so an oscillator that is `forced` needs no inputs.
    """
    (cell,) = net.cells.values()
    table = cell.connections
    if table is None or forced:
        return
    present = np.asarray(table) >= 0
    reached = present[:, : cell.n_inputs].any(axis=1)
    for _ in range(cell.hidden):
        reached = reached | (present[:, cell.n_inputs :] & reached).any(axis=1)
    outputs = reached[: net.n_outputs] if net.readout == "units" else reached
    require(outputs.any(), "connections: the absent connections cut every path from an input to an output")


def carried_state(net):
    """Index of the only state that an element-wise cell carries on, unit by unit; None for other cells."""
    (cell,) = net.cells.values()
    return None if cell.carried is None else cell.state_names.index(cell.carried)


def size_in_words(count):
    """A number of bytes in a unit that people read.

    >>> size_in_words(4500), size_in_words(3 * 2**30)
    ('4.4 KiB', '3.0 GiB')
    """
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"


def available_bytes():
    """Memory of this machine in bytes; 8 GiB where the system does not tell."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30


def check_size(rule, parameters, numbers, sizes):
    """Raise `RnnsimError` if an influence of this many numbers does not fit into half of this machine's memory."""
    need = numbers * sizes.dtype.itemsize
    require(
        need <= available_bytes() // 2,
        f"rule {rule}: the influence of {parameters:,} parameters on {sizes.states * sizes.hidden:,} states takes "
        f"{size_in_words(need)} a sequence",
    )
