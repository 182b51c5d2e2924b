"""What a neural Turing machine keeps of a pass over a batch, and what the kernels know of the machine.

Letters in shapes: T time steps, B sequences, R = T B; S = R + B slots, as states have one slot more than there are time steps; L
layers of H units with G rows of weights a unit (4 for an LSTM, else 1), I inputs, N x M the memory, V the numbers that all read
heads read, P the raw numbers that heads emit. Arrays are flat over (time step, sequence). Rows of N and of M numbers are
padded as `rnnsim.networks.ntm.rows` says, but for the reads.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.gemm import pack, packed_shape
from rnnsim.networks.ntm.addressing import Scratch
from rnnsim.networks.ntm.emission import raw_size
from rnnsim.networks.ntm.rows import padded


class Sizes(NamedTuple):
    """The sizes of a machine."""

    inputs: int
    lstm: bool
    hidden: int
    layers: int
    rows: int  # N
    columns: int  # M
    read_heads: int
    write_heads: int
    shifts: int
    dtype: np.dtype

    @property
    def heads(self):
        return self.read_heads + self.write_heads

    @property
    def gates(self):
        """Rows of the controller's weights a unit."""
        return 4 if self.lstm else 1

    @property
    def reads(self):
        """Numbers that all read heads read in one time step."""
        return self.read_heads * self.columns

    @property
    def raw(self):
        """Raw numbers that heads emit, padding included."""
        return raw_size(self.columns, self.shifts, self.read_heads, self.write_heads, self.dtype)

    def padded(self, n):
        return padded(n, self.dtype)


class Weights(NamedTuple):
    """The weights of the controller and the heads, packed for the products of one time step."""

    input: np.ndarray  # first layer: (I + V, G H)
    above: np.ndarray  # (L - 1) of the other layers: (H, G H)
    recurrent: np.ndarray  # (L) of an LSTM: (H, G H)
    heads: np.ndarray  # (H, P)
    bias: np.ndarray  # (L, G H), not packed
    bias_heads: np.ndarray  # (P), not packed


class BackwardWeights(NamedTuple):
    """The weights, packed for the products of one time step backward."""

    reads: np.ndarray  # (G H, V) the columns of the first layer that see the reads
    above: np.ndarray  # (L - 1): (G H, H)
    recurrent: np.ndarray  # (L): (G H, H)
    heads: np.ndarray  # (P, H)


class NTMTape(NamedTuple):
    """The activations of a pass, and what the kernels need beside them."""

    x: np.ndarray  # (R, I + V) inputs of the controller
    z: np.ndarray  # (L, R, G H) pre-activations, then gates, then gradients of the pre-activations
    h: np.ndarray  # (L, S, H) outputs of the layers
    c: np.ndarray  # (L, S, H) cell states of an LSTM
    raw: np.ndarray  # (R, P) what heads emit before their functions, then its gradient
    key: np.ndarray  # (R, heads, M) what heads emit, as in Emitted
    address: np.ndarray  # (R, heads, 3 + S)
    erase: np.ndarray  # (R, write heads, M)
    add: np.ndarray  # (R, write heads, M)
    reads: np.ndarray  # (S, V)
    features: np.ndarray  # (R, H + V) what the readout sees
    memory: np.ndarray  # (S, M, N)
    inverse_norms: np.ndarray  # (S, N) 1 / norm of the rows of the memory
    weights: np.ndarray  # (S, heads, N) the weightings, read heads first
    similarity: np.ndarray  # (R, heads, N) eq. 6
    content: np.ndarray  # (R, heads, N) eq. 5
    shifted: np.ndarray  # (R, heads, N) eq. 8
    padding: np.ndarray  # (N) 0, and minus infinity on the padding
    lengths: np.ndarray  # (B) or (0)
    batch: int
    inputs: int
    n_rows: int
    columns: int
    read_heads: int
    read_first: bool
    lstm: bool
    clip: float
    norm_floor: float


class StateGradient(NamedTuple):
    """The gradient of the state between two time steps, and what a time step backward needs beside it."""

    h: np.ndarray  # (L, B, H)
    c: np.ndarray  # (L, B, H)
    reads: np.ndarray  # (B, V)
    weights: np.ndarray  # (B, heads, N)
    memory: np.ndarray  # (B, M, N)
    key: np.ndarray  # (B, heads, M) as in Emitted
    address: np.ndarray  # (B, heads, 3 + S)
    erase: np.ndarray  # (B, write heads, M)
    add: np.ndarray  # (B, write heads, M)
    between: np.ndarray  # (B, write heads - 1, M, N) the memory between two erases


def new_tape(array, sizes, steps, batch, read_first, clip, norm_floor):
    """The tape of `steps` time steps of a batch; `array(name, shape)` makes buffers that begin as zeros."""
    n, rows, slots = sizes.hidden, steps * batch, (steps + 1) * batch
    memory_rows, columns = sizes.padded(sizes.rows), sizes.columns
    gates, lstm_layers = sizes.gates * n, sizes.layers if sizes.lstm else 0
    padding = array("padding", (memory_rows,))
    padding[sizes.rows :] = -np.inf
    return NTMTape(
        x=array("x", (rows, sizes.inputs + sizes.reads)),
        z=array("z", (sizes.layers, rows, gates)),
        h=array("h", (sizes.layers, slots, n)),
        c=array("c", (lstm_layers, slots, n)),
        raw=array("raw", (rows, sizes.raw)),
        **_emitted(array, "", sizes, rows),
        reads=array("reads", (slots, sizes.reads)),
        features=array("features", (rows, n + sizes.reads)),
        memory=array("memory", (slots, columns, memory_rows)),
        inverse_norms=array("inverse_norms", (slots, memory_rows)),
        weights=array("weights", (slots, sizes.heads, memory_rows)),
        similarity=array("similarity", (rows, sizes.heads, memory_rows)),
        content=array("content", (rows, sizes.heads, memory_rows)),
        shifted=array("shifted", (rows, sizes.heads, memory_rows)),
        padding=padding,
        lengths=np.zeros(0, np.int64),
        batch=batch,
        inputs=sizes.inputs,
        n_rows=sizes.rows,
        columns=columns,
        read_heads=sizes.read_heads,
        read_first=read_first,
        lstm=sizes.lstm,
        clip=clip,
        norm_floor=norm_floor,
    )


def _emitted(array, prefix, sizes, rows):
    columns = sizes.padded(sizes.columns)
    shapes = dict(key=(sizes.heads, columns), address=(sizes.heads, 3 + sizes.shifts))
    shapes |= dict(erase=(sizes.write_heads, columns), add=(sizes.write_heads, columns))
    return {name: array(prefix + name, (rows, *shape)) for name, shape in shapes.items()}


def new_scratch(array, sizes, batch):
    """Work rows of a batch; `array` as in `new_tape`."""
    row = sizes.padded(sizes.rows)
    return Scratch(
        unit=array("scratch_unit", (batch, sizes.padded(sizes.columns))),
        ring=array("scratch_ring", (batch, row + sizes.shifts - 1)),
        d_ring=array("scratch_d_ring", (batch, row + sizes.shifts - 1)),
        row=array("scratch_row", (batch, row)),
        raw=array("scratch_raw", (batch, sizes.raw)),
    )


def new_weights(array, sizes):
    """Buffers of the packed weights; `array` as in `new_tape`."""
    n, gates, dtype = sizes.hidden, sizes.gates * sizes.hidden, sizes.dtype
    return Weights(
        input=array("panels_input", packed_shape(sizes.inputs + sizes.reads, gates, dtype)),
        above=array("panels_above", (sizes.layers - 1, *packed_shape(n, gates, dtype))),
        recurrent=array("panels_recurrent", (sizes.layers if sizes.lstm else 0, *packed_shape(n, gates, dtype))),
        heads=array("panels_heads", packed_shape(n, sizes.raw, dtype)),
        bias=array("bias", (sizes.layers, gates)),
        bias_heads=array("bias_heads", (sizes.raw,)),
    )


def new_state_gradient(array, sizes, batch):
    """Buffers of a state gradient; `array` as in `new_tape`."""
    n, memory_rows = sizes.hidden, sizes.padded(sizes.rows)
    return StateGradient(
        h=array("d_h", (sizes.layers, batch, n)),
        c=array("d_c", (sizes.layers if sizes.lstm else 0, batch, n)),
        reads=array("d_reads", (batch, sizes.reads)),
        weights=array("d_weights", (batch, sizes.heads, memory_rows)),
        memory=array("d_memory", (batch, sizes.columns, memory_rows)),
        **_emitted(array, "d_", sizes, batch),
        between=array("between", (batch, sizes.write_heads - 1, sizes.columns, memory_rows)),
    )


def new_backward_weights(array, sizes):
    """Buffers of the weights packed for the way back; `array` as in `new_tape`."""
    n, gates, dtype = sizes.hidden, sizes.gates * sizes.hidden, sizes.dtype
    return BackwardWeights(
        reads=array("panels_reads_back", packed_shape(gates, sizes.reads, dtype)),
        above=array("panels_above_back", (sizes.layers - 1, *packed_shape(gates, n, dtype))),
        recurrent=array("panels_recurrent_back", (sizes.layers if sizes.lstm else 0, *packed_shape(gates, n, dtype))),
        heads=array("panels_heads_back", packed_shape(sizes.raw, n, dtype)),
    )


def pack_weights(packed, weights, sizes, head_rows):
    """Fill `packed` from the parameters by name; head_rows (P, H) is weight_heads with its rows in the order of `raw`."""
    for layer in range(sizes.layers):
        packed.bias[layer] = weights[f"bias_ih_l{layer}"]
        pack(packed.above[layer - 1] if layer else packed.input, weights[f"weight_ih_l{layer}"].T)
        if sizes.lstm:
            pack(packed.recurrent[layer], weights[f"weight_hh_l{layer}"].T)
    pack(packed.heads, head_rows.T)


def pack_backward_weights(packed, weights, sizes, head_rows):
    """As `pack_weights`, for the way back."""
    pack(packed.reads, weights["weight_ih_l0"][:, sizes.inputs :])
    for layer in range(sizes.layers):
        if layer:
            pack(packed.above[layer - 1], weights[f"weight_ih_l{layer}"])
        if sizes.lstm:
            pack(packed.recurrent[layer], weights[f"weight_hh_l{layer}"])
    pack(packed.heads, head_rows)
