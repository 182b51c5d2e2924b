"""The LSTM of a controller on rows of any length: loading and storing around the equations of `rnnsim.cells.lstm`."""

from rnnsim.cells import lstm
from rnnsim.cells.sequence import clear_row
from rnnsim.core.jit import jit_exact
from rnnsim.core.padding import ZERO
from rnnsim.core.simd import load, mask, store, width

_cell_state, _output = lstm.cell_state, lstm.output
_cell_state_backward, _output_backward = lstm.cell_state_backward, lstm.output_backward


@jit_exact
def gates_forward(h, c, a, c_before, bias):
    """One row, one time step: pre-activations a (4H) become the gates i, f, g, o; c (H) and h (H) are written."""
    n = h.size
    for j in range(0, n, width(h)):
        active = mask(n - j)
        i, f, g, state = _cell_state(
            load(a, j, active) + load(bias, j, active),
            load(a, n + j, active) + load(bias, n + j, active),
            load(a, 2 * n + j, active) + load(bias, 2 * n + j, active),
            load(c_before, j, active),
            ZERO,
            ZERO,
        )
        o, out = _output(load(a, 3 * n + j, active) + load(bias, 3 * n + j, active), state, ZERO)
        store(a, j, active, i)
        store(a, n + j, active, f)
        store(a, 2 * n + j, active, g)
        store(a, 3 * n + j, active, o)
        store(c, j, active, state)
        store(h, j, active, out)


@jit_exact
def gates_backward(dh, dc, a, c, c_before):
    """One row, one time step: gates in a (4H) become gradients of the pre-activations.

    dc (H) goes from the gradient of c(t) to that of c(t-1); dh (H), the gradient of h(t), is used up and left at zero.
    """
    n = dh.size
    for j in range(0, n, width(dh)):
        active = mask(n - j)
        da_o, d_state = _output_backward(
            load(dh, j, active), load(dc, j, active), load(a, 3 * n + j, active), load(c, j, active), ZERO
        )
        da_i, da_f, da_g, d_before = _cell_state_backward(
            d_state,
            load(a, j, active),
            load(a, n + j, active),
            load(a, 2 * n + j, active),
            load(c_before, j, active),
            ZERO,
            ZERO,
        )
        store(a, j, active, da_i)
        store(a, n + j, active, da_f)
        store(a, 2 * n + j, active, da_g)
        store(a, 3 * n + j, active, da_o)
        store(dc, j, active, d_before)
    clear_row(dh)
