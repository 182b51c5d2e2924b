"""Element-wise recurrent LSTM (Irie, Gopalakrishnan & Schmidhuber 2023); equations and options at `ELSTM`."""

import math
from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_formula, jit_parallel
from rnnsim.core.padding import ONE, gate_vectors, packed_columns, packed_rows, vectors
from rnnsim.core.products import diagonal_gradient, multiply_rows, weight_gradient
from rnnsim.core.registry import require
from rnnsim.core.vmath import sigmoid, tanh

# -- the equations, for one unit or for a vector of units --------------------------------------------------------------


@jit_formula
def cell_state(a_f, a_z, c, p_f, p_z):
    """Forget gate f, cell input z and c(t), from c = c(t-1)."""
    f, z = sigmoid(a_f + p_f * c), tanh(a_z + p_z * c)
    return f, z, f * c + (ONE - f) * z


@jit_formula
def output(a_o, c):
    """Output gate and h(t), from c = c(t)."""
    o = sigmoid(a_o)
    return o, o * c


@jit_formula
def output_backward(dh, o, c):
    """Gradients of a_o and of c(t), from that of h(t)."""
    return dh * c * o * (ONE - o), dh * o


@jit_formula
def cell_state_backward(dc, f, z, c, p_f, p_z):
    """Gradients of a_f, a_z and c(t-1), from that of c(t); c = c(t-1)."""
    da_f = dc * (c - z) * f * (ONE - f)
    da_z = dc * (ONE - f) * (ONE - z * z)
    return da_f, da_z, dc * f + da_f * p_f + da_z * p_z


# -- one row, one time step --------------------------------------------------------------------------------------------


class ELSTMTape(NamedTuple):
    """One layer on one batch, as the kernels see it. R = time steps * batch rows, P = H padded to whole vectors."""

    x: np.ndarray  # (R, I) inputs
    a: np.ndarray  # (R, 3P) pre-activations, then f, z, o, then gradients of the pre-activations
    h: np.ndarray  # (R + B, P) outputs, one slot more than time steps
    c: np.ndarray  # (R + B, P) cell states
    panels_ih: np.ndarray  # packed W (3P, I)
    panels_hh: np.ndarray  # packed U_o (P, H)
    bias: np.ndarray  # (3P)
    peephole: np.ndarray  # (2P) p_f, p_z
    lengths: np.ndarray  # (B) or (0)
    batch: int
    hidden: int
    reverse: bool


class ELSTMGradient(NamedTuple):
    """What the backward pass of a layer has beside its tape."""

    dh: np.ndarray  # (B, P) gradient of the output, goes from the last to the first
    dc: np.ndarray  # (B, P) that of the cell state
    dy: np.ndarray  # (R, H) that of the outputs from above, or empty
    panels_hh: np.ndarray  # packed U_o.T (H, P)


@jit_borrowed
def forward_state(tape, row, old, new):
    """From the products with W: f, z and c(t)."""
    a, b, p = gate_vectors(tape.a[row], 3), gate_vectors(tape.bias, 3), gate_vectors(tape.peephole, 2)
    c, c_new = vectors(tape.c[old]), vectors(tape.c[new])
    for j in range(len(c)):
        a[0, j], a[1, j], c_new[j] = cell_state(a[0, j] + b[0, j], a[1, j] + b[1, j], c[j], p[0, j], p[1, j])


@jit_borrowed
def forward_output(tape, row, new):
    """From the products with W and U_o: o and h(t)."""
    a, b = gate_vectors(tape.a[row], 3), gate_vectors(tape.bias, 3)
    c, h = vectors(tape.c[new]), vectors(tape.h[new])
    for j in range(len(c)):
        a[2, j], h[j] = output(a[2, j] + b[2, j], c[j])


@jit_borrowed
def backward_output(tape, d, row, new, b):
    """o becomes the gradient of its pre-activation; dc gains what comes through h(t); dh is used up and left at zero."""
    a, c, dh, dc = gate_vectors(tape.a[row], 3), vectors(tape.c[new]), vectors(d.dh[b]), vectors(d.dc[b])
    for j in range(len(c)):
        a[2, j], through = output_backward(dh[j], a[2, j], c[j])
        dc[j] = dc[j] + through
    sequence.clear_row(d.dh[b])


@jit_borrowed
def backward_state(tape, d, row, old, b):
    """f and z become gradients of their pre-activations; dc goes from c(t) to c(t-1)."""
    a, p, c, dc = gate_vectors(tape.a[row], 3), gate_vectors(tape.peephole, 2), vectors(tape.c[old]), vectors(d.dc[b])
    for j in range(len(c)):
        a[0, j], a[1, j], dc[j] = cell_state_backward(dc[j], a[0, j], a[1, j], c[j], p[0, j], p[1, j])


# -- all time steps of rows lo..hi -------------------------------------------------------------------------------------


@jit_exact
def elstm_forward(tape, lo, hi):
    """Fills a with gates, and h and c."""
    batch, n = tape.batch, tape.h.shape[1]
    steps = tape.x.shape[0] // batch
    for s in range(steps):
        now, old, new = sequence.place(s, steps, batch, tape.reverse)
        sequence.project_inputs(tape.a, tape.x, tape.panels_ih, s, steps, batch, lo, hi, tape.reverse)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.copy_row(tape.c[new + b], tape.c[old + b])
            else:
                forward_state(tape, now + b, old + b, new + b)
        c = tape.c[new + lo : new + hi, : tape.hidden]
        product_packed(tape.a[now + lo : now + hi, 2 * n :], c, tape.panels_hh, True)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.copy_row(tape.h[new + b], tape.h[old + b])
            else:
                forward_output(tape, now + b, new + b)


@jit_exact
def elstm_backward(tape, d, lo, hi):
    """a becomes its gradient; d.dh and d.dc go from the last to the first state."""
    batch, n = tape.batch, tape.h.shape[1]
    steps = tape.x.shape[0] // batch
    for s in range(steps - 1, -1, -1):
        now, old, new = sequence.place(s, steps, batch, tape.reverse)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.clear_row(tape.a[now + b])
                continue
            if d.dy.size > 0:
                sequence.add_row(d.dh[b], d.dy[now + b])
            backward_output(tape, d, now + b, new + b, b)
        product_packed(d.dc[lo:hi], tape.a[now + lo : now + hi, 2 * n :], d.panels_hh, True)
        for b in range(lo, hi):
            if not sequence.ended(tape.lengths, b, now // batch):
                backward_state(tape, d, now + b, old + b, b)


@jit_parallel
def _forward_parallel(tape, chunks):
    for chunk in numba.prange(chunks):
        elstm_forward(tape, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


@jit_parallel
def _backward_parallel(tape, d, chunks):
    for chunk in numba.prange(chunks):
        elstm_backward(tape, d, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


# -- one time step, linearised -----------------------------------------------------------------------------------------


@jit_exact
def elstm_linearise(out, a, u, c_before, p):
    """Fill `out` from one row's a (3H), W x + b, the matrix u = U_o (H, H) and old cell states (H)."""
    n = c_before.size
    for j in range(n):
        before = c_before[j]
        f, z, c = cell_state(a[j], a[n + j], before, p[0, j], p[1, j])
        da_f, da_z, direct = cell_state_backward(ONE, f, z, before, p[0, j], p[1, j])
        out.state[1, j], out.gain[1, 0, j], out.gain[1, 1, j], out.direct[1, 1, j] = c, da_f, da_z, direct
        out.peephole_input[0, j] = out.peephole_input[1, j] = before
        # The recurrent input of the output gate is the new c.
        out.recurrent_input[2, j], out.recurrent_input_direct[2, 1, j] = c, direct
        out.recurrent_input_gain[2, 0, j], out.recurrent_input_gain[2, 1, j] = da_f, da_z
    for j in range(n):
        a_o, c = a[2 * n + j], out.state[1, j]
        for i in range(n):
            a_o += u[j, i] * out.state[1, i]
        o, out.state[0, j] = output(a_o, c)
        out.gain[0, 2, j], h_c = output_backward(ONE, o, c)
        out.direct[0, 1, j] = h_c * out.direct[1, 1, j]
        out.gain[0, 0, j], out.gain[0, 1, j] = h_c * out.gain[1, 0, j], h_c * out.gain[1, 1, j]


@jit_borrowed
def elstm_time_step(out, theta, x, before, work, structure):
    """One time step from the flat parameters."""
    n, places = before.shape[1], structure.places
    a, weights = work[: 3 * n], theta[places[0] : places[0] + places[5]].reshape(3 * n, x.size)
    for j in range(3 * n):
        total = a.dtype.type(0)
        for k in range(2, 4):
            if places[k] >= 0:
                total += theta[places[k] + j]
        for i in range(x.size):
            total += weights[j, i] * x[i]
        a[j] = total
    u = theta[places[1] : places[1] + n * n].reshape(n, n)
    p = theta[places[4] : places[4] + 2 * n].reshape(2, n)
    elstm_linearise(out, a, u, before[1], p)


class ELSTM(interface.Cell):
    """The element-wise recurrent LSTM (Irie, Gopalakrishnan & Schmidhuber 2023), whose exact RTRL is cheap.

    With s the logistic function and * the element-wise product, at time step t::

        f = s(W_f x(t) + p_f * c(t-1) + b_f)             forget gate
        z = tanh(W_z x(t) + p_z * c(t-1) + b_z)          cell input
        c(t) = f * c(t-1) + (1 - f) * z                  cell state
        o = s(W_o x(t) + U_o c(t) + b_o)                 output gate
        h(t) = o * c(t)                                  output

    Only c is carried on, and a unit's next c depends on its own c alone: dc(t)/dc(t-1) is diagonal, ::

        D = f + p_f * f^ + p_z * z^,     f^ = (c(t-1) - z) f (1 - f),     z^ = (1 - f) (1 - z^2)

    so the influence of a parameter stays in its unit, one number a parameter. The full product U_o c(t) mixes the units on
    their way out of the layer and not on their way through time. (The preprint's text prints D without its last term; their
    code has it.)

    Parameters
    ----------
    n_inputs, hidden : numbers of inputs I and units H
    dtype : "float32" or "float64"
    bias : "single", one bias vector; "double", b = bias_ih + bias_hh; "none"
    forget_bias : what the forget gate's bias starts from

    Weights are weight_ih (3H, I), bias_ih and bias_hh (3H), rows gate by gate in the order f, z, o; weight_hh (H, H), which is
    U_o; and weight_peephole (2, H), p_f and p_z. Raises `RnnsimError` for sizes below 1 and unknown options.

    >>> cell = ELSTM(3, 5, "float32")
    >>> [shape for name, shape in cell.shapes()]
    [(15, 3), (5, 5), (15,), (2, 5)]
    """

    state_names = ("h", "c")
    unread_states = ("h",)
    carried = "c"
    trace_names = ("f", "z", "o", "c", "h")
    peephole_groups = (0, 1)
    gate_dependent = True  # the output gate sees the new state
    tested_options = (dict(forget_bias=-2.0),)

    def __init__(
        self,
        n_inputs: int,
        hidden: int,
        dtype: str = "float32",
        bias: Literal["single", "double", "none"] = "single",
        forget_bias: float = 1.0,
    ):
        super().__init__(n_inputs, hidden, dtype)
        require(math.isfinite(forget_bias), f"forget_bias={forget_bias}: expected a finite number")
        self.bias, self.forget_bias = bias, forget_bias
        names = [name for name, _ in interface.bias_shapes(bias, 1)]
        self.groups = tuple(
            interface.Group(gate, block, 0 if gate == "o" else None, tuple((name, block) for name in names))
            for block, gate in enumerate("fzo")
        )

    time_step = staticmethod(elstm_time_step)

    def time_step_options(self):
        return [], []

    def shapes(self):
        rows = 3 * self.hidden
        shapes = [("weight_ih", (rows, self.n_inputs)), ("weight_hh", (self.hidden, self.hidden))]
        return [*shapes, *interface.bias_shapes(self.bias, rows), ("weight_peephole", (2, self.hidden))]

    def initialise(self, weights, rng):
        super().initialise(weights, rng)
        if self.bias != "none":
            weights["bias_ih"][: self.hidden] = self.forget_bias
            if self.bias == "double":
                weights["bias_hh"][: self.hidden] = 0

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, u = self.weights["weight_ih"], self.weights["weight_hh"]
        self._tape = tape = ELSTMTape(
            x=x.reshape(steps * batch, -1),
            a=self.buffer("a", steps * batch, 3 * self.padded),
            h=self.slots("h", steps, batch, state[0], reverse),
            c=self.slots("c", steps, batch, state[1], reverse),
            panels_ih=packed_columns(self.space, "panels_ih", w, 3),
            panels_hh=packed_columns(self.space, "panels_hh", u),
            bias=self.padded_rows("bias", self.bias_arrays(), 3),
            peephole=self.padded_rows("peephole", [self.weights["weight_peephole"]]),
            lengths=lengths,
            batch=batch,
            hidden=self.hidden,
            reverse=reverse,
        )
        chunks = sequence.row_chunks(steps, batch, w.size + u.size)
        sequence.over_rows(elstm_forward, _forward_parallel, chunks, batch, tape)
        return self.outputs(tape.h, steps, batch, reverse)

    def state_slots(self):
        return [self._tape.h, self._tape.c], self._tape.batch, self._tape.reverse

    def backward(self, dy, d_state, dx=None):
        tape, weights, gradients, n, p = self._tape, self.weights, self.gradients, self.hidden, self.padded
        rows, batch = tape.x.shape[0], tape.batch
        states = self.padded_gradients(d_state)
        d = ELSTMGradient(
            dh=states[0],
            dc=states[1],
            dy=self.buffer("none", 0, n) if dy is None else dy.reshape(rows, n),
            panels_hh=packed_rows(self.space, "panels_back", weights["weight_hh"]),
        )
        chunks = sequence.row_chunks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(elstm_backward, _backward_parallel, chunks, batch, tape, d)
        self.take_gradients(d_state, states)

        c_after = interface.states_after(tape.c, rows // batch, batch, tape.reverse).reshape(rows, p)
        c_before = interface.states_before(tape.c, rows // batch, batch, tape.reverse)
        bias = self.buffer("d_bias", 3 * n)
        bias[...] = 0
        weight_gradient(gradients["weight_hh"], bias[:0], tape.a, c_after, self.scratch, 2 * p)
        weight_gradient(gradients["weight_ih"], bias, tape.a, tape.x, self.scratch, units=n)
        for name, _ in interface.bias_shapes(self.bias, 1):
            gradients[name] += bias
        for row in range(2):
            diagonal_gradient(gradients["weight_peephole"][row], tape.a[:, row * p : row * p + n], c_before)
        if dx is not None:
            panels = packed_rows(self.space, "panels_dx", weights["weight_ih"], 3)
            multiply_rows(dx.reshape(rows, -1), tape.a, panels, bias[:0])

    def traces(self):
        tape = self._tape
        steps = tape.x.shape[0] // tape.batch
        states = {
            name: self.units(interface.states_after(slots, steps, tape.batch, tape.reverse))
            for name, slots in (("c", tape.c), ("h", tape.h))
        }
        return self.gate_traces(tape.a, "fzo", tape.batch) | states

    def linearise(self, x, state):
        out, weights = interface.Linearised.empty(2, 3, self.hidden, 2, self.dtype), self.weights
        a = weights["weight_ih"] @ x + sum(self.bias_arrays())
        elstm_linearise(out, a, weights["weight_hh"], state[1], weights["weight_peephole"])
        return out
