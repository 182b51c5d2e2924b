"""MyCell: a recurrent layer with an update gate, which decides how far each unit moves to its candidate.

The kernels are plain loops; `rnnsim/cells/gru.py` has the same with vectors and threads, several times faster.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.jit import jit_borrowed, jit_exact
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.vmath import sigmoid, tanh


class Tape(NamedTuple):
    """What the backward pass needs of a forward pass. Row b of time step t is row t * batch + b; h has one time step more.

    Rows of h are padded to P numbers, whole vectors; the first H of them are the units.
    """

    x: np.ndarray  # (T * B, I)
    gates: np.ndarray  # (T * B, 2 H): z and c; after the backward pass the gradients of their pre-activations
    h: np.ndarray  # ((T + 1) * B, P)
    weight_ih: np.ndarray  # (2 H, I)
    weight_hh: np.ndarray  # (2 H, H)
    bias: np.ndarray  # (2 H)
    lengths: np.ndarray  # (B), or (0): all have T time steps
    batch: int
    reverse: bool


@jit_exact
def _gates(gates, x, h, weight_ih, weight_hh, bias):
    """gates (2 H) = z, c of one row and time step."""
    n = weight_hh.shape[1]
    for k in range(2 * n):
        a = bias[k]
        for i in range(x.size):
            a += weight_ih[k, i] * x[i]
        for j in range(n):
            a += weight_hh[k, j] * h[j]
        gates[k] = sigmoid(a) if k < n else tanh(a)


@jit_exact
def _forward(tape):
    """All time steps of all rows: fills gates and h."""
    steps, n = tape.x.shape[0] // tape.batch, tape.weight_hh.shape[1]
    for s in range(steps):
        now, before, after = sequence.place(s, steps, tape.batch, tape.reverse)
        for b in range(tape.batch):
            gates, old, new = tape.gates[now + b], tape.h[before + b], tape.h[after + b]
            if sequence.ended(tape.lengths, b, now // tape.batch):
                new[:] = old
                gates[:] = 0
                continue
            _gates(gates, tape.x[now + b], old, tape.weight_ih, tape.weight_hh, tape.bias)
            for j in range(n):
                new[j] = old[j] + gates[j] * (gates[n + j] - old[j])


@jit_exact
def _backward(tape, dh, dy):
    """All time steps backwards: gates become the gradients of their pre-activations, dh (B, H) that of the initial state.

    dy (T * B, H) is the gradient of the outputs from above, or empty.
    """
    steps, n = tape.x.shape[0] // tape.batch, tape.weight_hh.shape[1]
    for s in range(steps - 1, -1, -1):
        now, before, _ = sequence.place(s, steps, tape.batch, tape.reverse)
        for b in range(tape.batch):
            gates, old, d = tape.gates[now + b], tape.h[before + b], dh[b]
            if sequence.ended(tape.lengths, b, now // tape.batch):
                gates[:] = 0
                continue
            for j in range(n):
                if dy.shape[0] > 0:
                    d[j] += dy[now + b, j]
                z, c, above = gates[j], gates[n + j], d[j]
                gates[j] = above * (c - old[j]) * z * (1 - z)
                gates[n + j] = above * z * (1 - c * c)
                d[j] = above * (1 - z)
            for k in range(2 * n):
                for j in range(n):
                    d[j] += gates[k] * tape.weight_hh[k, j]


@jit_borrowed
def _linearise(out, gates, h):
    """Fill `out`, a `rnnsim.cells.interface.Linearised`, from gates (2 H) and the state before, h (H)."""
    n, one = h.size, h.dtype.type(1)
    for j in range(n):
        z, c = gates[j], gates[n + j]
        out.state[0, j] = h[j] + z * (c - h[j])
        out.direct[0, 0, j] = one - z  # dh(t) / dh(t-1), with the gates held
        out.gain[0, 0, j] = (c - h[j]) * z * (one - z)  # dh(t) / da_z
        out.gain[0, 1, j] = z * (one - c * c)  # dh(t) / da_c
        for g in range(2):  # both pre-activations see h(t-1) as it is
            out.recurrent_input[g, j] = h[j]
            out.recurrent_input_direct[g, 0, j] = one


@jit_borrowed
def _time_step(out, theta, x, before, work, structure):
    """One time step from the flat parameters, for the rules that learn while the sequence runs."""
    n = before.shape[1]
    gates = work[: 2 * n]
    sequence.pre_activations(gates, theta, structure.places, x, before[0])
    for j in range(n):
        gates[j], gates[n + j] = sigmoid(gates[j]), tanh(gates[n + j])
    _linearise(out, gates, before[0])


class MyCell(interface.Cell):
    """A recurrent layer with an update gate::

        z(t) = sigmoid(W_z x(t) + U_z h(t-1) + b_z)          update gate
        c(t) = tanh(W_c x(t) + U_c h(t-1) + b_c)             candidate
        h(t) = h(t-1) + z(t) (c(t) - h(t-1))

    It is a GRU without the reset gate. As a network it stands for stacked layers with a readout (`rnnsim.Recurrent`). Because it
    has a linearisation, it also learns by the online rules, such as rtrl.

    update_bias : initial bias of the update gate; units keep their state for longer where it is below 0

    Parameters: weight_ih (2H, I), weight_hh (2H, H), bias_ih (2H), the rows of z before those of c.
    """

    trace_names = ("z", "c", "h")
    tested_options = (dict(update_bias=-1.0),)  # option sets that `rnnsim gradcheck --all` checks
    groups = (interface.Group("z", 0, 0, (("bias_ih", 0),)), interface.Group("c", 1, 1, (("bias_ih", 1),)))
    time_step = staticmethod(_time_step)

    def __init__(self, n_inputs: int, hidden: int, dtype: str = "float32", update_bias: float = 0.0):
        super().__init__(n_inputs, hidden, dtype)
        self.update_bias = update_bias

    def shapes(self):
        """Names and shapes of the parameters."""
        n = 2 * self.hidden
        return [("weight_ih", (n, self.n_inputs)), ("weight_hh", (n, self.hidden)), ("bias_ih", (n,))]

    def initialise(self, weights, rng):
        """Uniform in +-1/sqrt(hidden), then the bias of the update gate."""
        super().initialise(weights, rng)
        weights["bias_ih"][: self.hidden] += self.update_bias

    def forward(self, x, state, lengths, reverse=False):
        """Outputs (T, B, H) of a batch x (T, B, I) from `state`, a list of one (B, H) array."""
        steps, batch, _ = x.shape
        gates, h = (
            self.buffer("gates", steps * batch, 2 * self.hidden),
            self.slots("h", steps, batch, state[0], reverse),
        )
        names = ("weight_ih", "weight_hh", "bias_ih")
        weights = (self.weights[name] for name in names)
        self._tape = Tape(x.reshape(steps * batch, -1), gates, h, *weights, lengths, batch, reverse)
        _forward(self._tape)
        return self.outputs(h, steps, batch, reverse)

    def state_slots(self):
        """(state arrays ((T + 1) * B, P), B, reverse) of the last pass."""
        return [self._tape.h], self._tape.batch, self._tape.reverse

    def backward(self, dy, d_state, dx=None):
        """Gradients of the last pass: add those of the parameters to `gradients`, fill d_state and dx."""
        tape, gradients = self._tape, self.gradients
        rows = tape.x.shape[0]
        dy = self.buffer("none", 0, self.hidden) if dy is None else dy.reshape(rows, self.hidden)
        _backward(tape, d_state[0], dy)
        before = self.units(interface.states_before(tape.h, rows // tape.batch, tape.batch, tape.reverse))
        weight_gradient(
            gradients["weight_hh"], gradients["bias_ih"], tape.gates, np.ascontiguousarray(before), self.scratch
        )
        weight_gradient(gradients["weight_ih"], gradients["bias_ih"][:0], tape.gates, tape.x, self.scratch)
        if dx is not None:
            panels = packed(self.space, "panels_dx", tape.weight_ih)
            multiply_rows(dx.reshape(rows, -1), tape.gates, panels, tape.bias[:0])

    def traces(self):
        """Gates and state of the last forward pass, (T, B, H) each."""
        tape = self._tape
        gates, n = tape.gates.reshape(-1, tape.batch, 2 * self.hidden), self.hidden
        h = interface.states_after(tape.h, len(gates), tape.batch, tape.reverse)
        return {"z": gates[..., :n], "c": gates[..., n:], "h": self.units(h)}

    def linearise(self, x, state):
        """One time step x (I), state (1, H), as a `rnnsim.cells.interface.Linearised`."""
        out = interface.Linearised.empty(1, 2, self.hidden, 0, self.dtype)
        gates = np.empty(2 * self.hidden, self.dtype)
        _gates(gates, x, state[0], self.weights["weight_ih"], self.weights["weight_hh"], self.weights["bias_ih"])
        _linearise(out, gates, state[0])
        return out

    def time_step_options(self):
        """(whole numbers, numbers) that the kernel `time_step` reads in `structure`: none."""
        return [], []
