"""Long short-term memory (Gers, Schmidhuber & Cummins 2000; Graves 2013); equations and options at `LSTM`."""

import math
from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_formula, jit_parallel
from rnnsim.core.padding import ONE, ZERO, gate_vectors, packed_columns, packed_rows, vectors
from rnnsim.core.products import diagonal_gradient, multiply_rows, weight_gradient
from rnnsim.core.registry import one_of, require
from rnnsim.core.vmath import sigmoid, tanh

FULL, NO_FORGET, COUPLED = 0, 1, 2
GATES = {"full": ("i", "f", "g", "o"), "no-forget": ("i", "g", "o"), "coupled": ("f", "g", "o")}


# -- the equations, for one unit or for a vector of units --------------------------------------------------------------


@jit_formula
def cell_state(a_i, a_f, a_g, c, p_i, p_f):
    """Input gate, forget gate, cell input and c(t), from c = c(t-1)."""
    i, f, g = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c), tanh(a_g)
    return i, f, g, f * c + i * g


@jit_formula
def cell_state_no_forget(a_i, a_g, c, p_i):
    """Without forget gate: input gate, cell input and c(t)."""
    i, g = sigmoid(a_i + p_i * c), tanh(a_g)
    return i, g, c + i * g


@jit_formula
def cell_state_coupled(a_f, a_g, c, p_f):
    """With i = 1 - f: forget gate, cell input and c(t)."""
    f, g = sigmoid(a_f + p_f * c), tanh(a_g)
    return f, g, f * c + (ONE - f) * g


@jit_formula
def output(a_o, c, p_o):
    """Output gate and h(t), from c = c(t)."""
    o = sigmoid(a_o + p_o * c)
    return o, o * tanh(c)


@jit_formula
def output_backward(dh, dc, o, c, p_o):
    """Gradients of a_o and of c(t), from that of h(t) and what c(t) has from t + 1."""
    squashed = tanh(c)
    da_o = dh * squashed * o * (ONE - o)
    return da_o, dc + dh * o * (ONE - squashed * squashed) + da_o * p_o


@jit_formula
def cell_state_backward(dc, i, f, g, c, p_i, p_f):
    """Gradients of a_i, a_f, a_g and c(t-1), from that of c(t); c = c(t-1)."""
    da_i = dc * g * i * (ONE - i)
    da_f = dc * c * f * (ONE - f)
    return da_i, da_f, dc * i * (ONE - g * g), dc * f + da_i * p_i + da_f * p_f


@jit_formula
def cell_state_no_forget_backward(dc, i, g, p_i):
    """Without forget gate: gradients of a_i, a_g and c(t-1)."""
    da_i = dc * g * i * (ONE - i)
    return da_i, dc * i * (ONE - g * g), dc + da_i * p_i


@jit_formula
def cell_state_coupled_backward(dc, f, g, c, p_f):
    """With i = 1 - f: gradients of a_f, a_g and c(t-1)."""
    i = ONE - f
    da_f = dc * (c - g) * f * i
    return da_f, dc * i * (ONE - g * g), dc * f + da_f * p_f


# -- one row, one time step --------------------------------------------------------------------------------------------


class LSTMTape(NamedTuple):
    """One layer on one batch, as the kernels see it. R = time steps * batch rows, G gates, P = H padded to whole vectors."""

    x: np.ndarray  # (R, I) inputs
    a: np.ndarray  # (R, G*P) pre-activations, then gates, then gradients of the pre-activations
    h: np.ndarray  # (R + B, P) outputs, one slot more than time steps
    c: np.ndarray  # (R + B, P) cell states
    panels_ih: np.ndarray  # packed W (G*P, I)
    panels_hh: np.ndarray  # packed U (G*P, H)
    bias: np.ndarray  # (G*P)
    peephole: np.ndarray  # (3P) p_i, p_f, p_o
    lengths: np.ndarray  # (B) or (0)
    batch: int
    hidden: int
    reverse: bool
    kind: int


class LSTMGradient(NamedTuple):
    """What the backward pass of a layer has beside its tape."""

    dh: np.ndarray  # (B, P) gradient of the output, goes from the last to the first
    dc: np.ndarray  # (B, P) that of the cell state
    dy: np.ndarray  # (R, H) that of the outputs from above, or empty
    panels_hh: np.ndarray  # packed U.T (H, G*P)


@jit_borrowed
def forward_row(tape, row, old, new):
    """From the products with W and U: gates, c(t) and h(t)."""
    gates = 4 if tape.kind == FULL else 3
    a, b, p = gate_vectors(tape.a[row], gates), gate_vectors(tape.bias, gates), gate_vectors(tape.peephole, 3)
    c, c_new, h_new = vectors(tape.c[old]), vectors(tape.c[new]), vectors(tape.h[new])
    for j in range(len(c)):
        if tape.kind == FULL:
            i, f, g, state = cell_state(a[0, j] + b[0, j], a[1, j] + b[1, j], a[2, j] + b[2, j], c[j], p[0, j], p[1, j])
            a[0, j], a[1, j], a[2, j] = i, f, g
        elif tape.kind == NO_FORGET:
            a[0, j], a[1, j], state = cell_state_no_forget(a[0, j] + b[0, j], a[1, j] + b[1, j], c[j], p[0, j])
        else:
            a[0, j], a[1, j], state = cell_state_coupled(a[0, j] + b[0, j], a[1, j] + b[1, j], c[j], p[1, j])
        c_new[j] = state
        a[gates - 1, j], h_new[j] = output(a[gates - 1, j] + b[gates - 1, j], state, p[2, j])


@jit_borrowed
def backward_row(tape, d, row, old, new, b):
    """Gates become gradients of their pre-activations; dc goes from c(t) to c(t-1); dh is used up and left at zero."""
    gates = 4 if tape.kind == FULL else 3
    a, p = gate_vectors(tape.a[row], gates), gate_vectors(tape.peephole, 3)
    c, c_new, dh, dc = vectors(tape.c[old]), vectors(tape.c[new]), vectors(d.dh[b]), vectors(d.dc[b])
    for j in range(len(c)):
        da_o, d_state = output_backward(dh[j], dc[j], a[gates - 1, j], c_new[j], p[2, j])
        a[gates - 1, j] = da_o
        if tape.kind == FULL:
            a[0, j], a[1, j], a[2, j], dc[j] = cell_state_backward(
                d_state, a[0, j], a[1, j], a[2, j], c[j], p[0, j], p[1, j]
            )
        elif tape.kind == NO_FORGET:
            a[0, j], a[1, j], dc[j] = cell_state_no_forget_backward(d_state, a[0, j], a[1, j], p[0, j])
        else:
            a[0, j], a[1, j], dc[j] = cell_state_coupled_backward(d_state, a[0, j], a[1, j], c[j], p[1, j])
    sequence.clear_row(d.dh[b])


# -- all time steps of rows lo..hi -------------------------------------------------------------------------------------


@jit_exact
def lstm_forward(tape, lo, hi):
    """Fills a with gates, and h and c."""
    batch = tape.batch
    steps = tape.x.shape[0] // batch
    for s in range(steps):
        now, old, new = sequence.place(s, steps, batch, tape.reverse)
        sequence.project_inputs(tape.a, tape.x, tape.panels_ih, s, steps, batch, lo, hi, tape.reverse)
        h = tape.h[old + lo : old + hi, : tape.hidden]
        product_packed(tape.a[now + lo : now + hi], h, tape.panels_hh, True)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.copy_row(tape.c[new + b], tape.c[old + b])
                sequence.copy_row(tape.h[new + b], tape.h[old + b])
            else:
                forward_row(tape, now + b, old + b, new + b)


@jit_exact
def lstm_backward(tape, d, lo, hi):
    """a becomes its gradient; d.dh and d.dc go from the last to the first state."""
    batch = tape.batch
    steps = tape.x.shape[0] // batch
    for s in range(steps - 1, -1, -1):
        now, old, new = sequence.place(s, steps, batch, tape.reverse)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.clear_row(tape.a[now + b])
                continue
            if d.dy.size > 0:
                sequence.add_row(d.dh[b], d.dy[now + b])
            backward_row(tape, d, now + b, old + b, new + b, b)
        product_packed(d.dh[lo:hi], tape.a[now + lo : now + hi], d.panels_hh, True)


@jit_parallel
def _forward_parallel(tape, chunks):
    for chunk in numba.prange(chunks):
        lstm_forward(tape, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


@jit_parallel
def _backward_parallel(tape, d, chunks):
    for chunk in numba.prange(chunks):
        lstm_backward(tape, d, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


# -- one time step, linearised -----------------------------------------------------------------------------------------


@jit_exact
def lstm_linearise(out, a, c_before, h_before, p, kind):
    """Fill `out` from one row's pre-activations a (G*H, biases included, peephole terms not) and old states (H)."""
    n, last = c_before.size, 3 if kind == FULL else 2
    for j in range(n):
        before, a_g, a_o = c_before[j], a[(last - 1) * n + j], a[last * n + j]
        # c(t), and its derivatives by the pre-activations and by c(t-1).
        if kind == FULL:
            i, f, g, c = cell_state(a[j], a[n + j], a_g, before, p[0, j], p[1, j])
            gains = cell_state_backward(ONE, i, f, g, before, p[0, j], p[1, j])
            out.gain[1, 0, j], out.gain[1, 1, j], out.gain[1, 2, j], out.direct[1, 1, j] = gains
        elif kind == NO_FORGET:
            i, g, c = cell_state_no_forget(a[j], a_g, before, p[0, j])
            gains = cell_state_no_forget_backward(ONE, i, g, p[0, j])
            out.gain[1, 0, j], out.gain[1, 1, j], out.direct[1, 1, j] = gains
        else:
            f, g, c = cell_state_coupled(a[j], a_g, before, p[1, j])
            gains = cell_state_coupled_backward(ONE, f, g, before, p[1, j])
            out.gain[1, 0, j], out.gain[1, 1, j], out.direct[1, 1, j] = gains
        o, out.state[0, j] = output(a_o, c, p[2, j])
        out.state[1, j] = c
        out.gain[0, last, j], h_c = output_backward(ONE, ZERO, o, c, p[2, j])
        out.direct[0, 1, j] = h_c * out.direct[1, 1, j]
        for group in range(last):
            out.gain[0, group, j] = h_c * out.gain[1, group, j]
        for row in range(out.peephole_input.shape[0]):
            out.peephole_input[row, j] = c if row == out.peephole_input.shape[0] - 1 else before
        for group in range(last + 1):
            out.recurrent_input[group, j] = h_before[j]
            out.recurrent_input_direct[group, 0, j] = ONE


@jit_borrowed
def lstm_time_step(out, theta, x, before, work, structure):
    """One time step from the flat parameters; options: gate arrangement, gates, rows of the peepholes of i, f, o or -1."""
    n, kind, rows = before.shape[1], structure.options[0], structure.options[1] * before.shape[1]
    a, p = work[:rows], work[4 * n : 7 * n].reshape(3, n)
    sequence.pre_activations(a, theta, structure.places, x, before[0])
    for gate in range(3):
        row = structure.options[2 + gate]
        for j in range(n):
            p[gate, j] = theta[structure.places[4] + row * n + j] if row >= 0 else 0
    lstm_linearise(out, a, before[1], before[0], p, kind)


class LSTM(interface.Cell):
    """Long short-term memory with forget gate (Gers, Schmidhuber & Cummins 2000), in the form of Graves (2013).

    With s the logistic function and * the element-wise product, at time step t::

        i = s(W_i x(t) + U_i h(t-1) + p_i * c(t-1) + b_i)        input gate
        f = s(W_f x(t) + U_f h(t-1) + p_f * c(t-1) + b_f)        forget gate
        g = tanh(W_g x(t) + U_g h(t-1) + b_g)                    cell input
        c(t) = f * c(t-1) + i * g                                cell state
        o = s(W_o x(t) + U_o h(t-1) + p_o * c(t) + b_o)          output gate
        h(t) = o * tanh(c(t))                                    output

    Parameters
    ----------
    n_inputs, hidden : numbers of inputs I and units H
    dtype : "float32" or "float64"
    gates : "full" as above; "no-forget", f = 1 (the constant error carousel of 1997); "coupled", i = 1 - f (Greff et al.
        2017, CIFG)
    peepholes : the p terms (Gers, Schraudolph & Schmidhuber 2002); without it p = 0
    bias : "single", one bias vector; "double", b = bias_ih + bias_hh as in PyTorch; "none"
    forget_bias : what the forget gate's bias starts from

    Weights are weight_ih (G*H, I), weight_hh (G*H, H), bias_ih and bias_hh (G*H), rows gate by gate in PyTorch's order i, f, g,
    o, absent gates left out, and weight_peephole (rows, H) with one row for each gate that sees the cell state. Raises
    `RnnsimError` for sizes below 1 and unknown options. The LSTM of 1997 with its own learning rule (memory blocks, truncated
    gradient) is the network `lstm1997`.

    >>> cell = LSTM(3, 5, "float32", peepholes=True)
    >>> [name for name, shape in cell.shapes()]
    ['weight_ih', 'weight_hh', 'bias_ih', 'weight_peephole']
    """

    state_names = ("h", "c")
    tested_options = (dict(forget_bias=-2.0),)

    def __init__(
        self,
        n_inputs: int,
        hidden: int,
        dtype: str = "float32",
        gates: Literal["full", "no-forget", "coupled"] = "full",
        peepholes: bool = False,
        bias: Literal["single", "double", "none"] = "single",
        forget_bias: float = 1.0,
    ):
        super().__init__(n_inputs, hidden, dtype)
        self.gates, self.kind = GATES[one_of("gates", gates, GATES)], list(GATES).index(gates)
        require(math.isfinite(forget_bias), f"forget_bias={forget_bias}: expected a finite number")
        self.peepholes, self.bias, self.forget_bias = peepholes, bias, forget_bias
        # The peephole vectors p_i, p_f, p_o that there are, by the gate that each belongs to.
        self._seeing = [gate for gate in "ifo" if gate in self.gates] if peepholes else []
        self.trace_names = (*self.gates, "c", "h")
        self.groups = tuple(
            interface.Group(gate, block, block, tuple((name, block) for name, _ in interface.bias_shapes(bias, 1)))
            for block, gate in enumerate(self.gates)
        )
        self.peephole_groups = tuple(self.gates.index(gate) for gate in self._seeing)

    time_step = staticmethod(lstm_time_step)

    def time_step_options(self):
        rows = [self._seeing.index(gate) if gate in self._seeing else -1 for gate in "ifo"]
        return [self.kind, len(self.gates), *rows], []

    def shapes(self):
        rows = len(self.gates) * self.hidden
        shapes = [("weight_ih", (rows, self.n_inputs)), ("weight_hh", (rows, self.hidden))]
        shapes += interface.bias_shapes(self.bias, rows)
        return shapes + ([("weight_peephole", (len(self._seeing), self.hidden))] if self._seeing else [])

    def initialise(self, weights, rng):
        super().initialise(weights, rng)
        if "f" in self.gates and self.bias != "none":
            block = self.gates.index("f") * self.hidden
            weights["bias_ih"][block : block + self.hidden] = self.forget_bias
            if self.bias == "double":
                weights["bias_hh"][block : block + self.hidden] = 0

    def _peephole(self):
        """p_i, p_f, p_o (3, H), zero where there is none."""
        vectors = np.zeros((3, self.hidden), self.dtype)
        for row, gate in enumerate(self._seeing):
            vectors["ifo".index(gate)] = self.weights["weight_peephole"][row]
        return vectors

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, u, gates = self.weights["weight_ih"], self.weights["weight_hh"], len(self.gates)
        self._tape = tape = LSTMTape(
            x=x.reshape(steps * batch, -1),
            a=self.buffer("a", steps * batch, gates * self.padded),
            h=self.slots("h", steps, batch, state[0], reverse),
            c=self.slots("c", steps, batch, state[1], reverse),
            panels_ih=packed_columns(self.space, "panels_ih", w, gates),
            panels_hh=packed_columns(self.space, "panels_hh", u, gates),
            bias=self.padded_rows("bias", self.bias_arrays(), gates),
            peephole=self.padded_rows("peephole", [self._peephole()] if self._seeing else [], 3),
            lengths=lengths,
            batch=batch,
            hidden=self.hidden,
            reverse=reverse,
            kind=self.kind,
        )
        chunks = sequence.row_chunks(steps, batch, w.size + u.size)
        sequence.over_rows(lstm_forward, _forward_parallel, chunks, batch, tape)
        return self.outputs(tape.h, steps, batch, reverse)

    def state_slots(self):
        return [self._tape.h, self._tape.c], self._tape.batch, self._tape.reverse

    def backward(self, dy, d_state, dx=None):
        tape, weights, gradients, n = self._tape, self.weights, self.gradients, self.hidden
        rows, batch, gates = tape.x.shape[0], tape.batch, len(self.gates)
        states = self.padded_gradients(d_state)
        d = LSTMGradient(
            dh=states[0],
            dc=states[1],
            dy=self.buffer("none", 0, n) if dy is None else dy.reshape(rows, n),
            panels_hh=packed_rows(self.space, "panels_back", weights["weight_hh"], gates),
        )
        chunks = sequence.row_chunks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(lstm_backward, _backward_parallel, chunks, batch, tape, d)
        self.take_gradients(d_state, states)

        h_before = interface.states_before(tape.h, rows // batch, batch, tape.reverse)
        bias = self.buffer("d_bias", gates * n)
        bias[...] = 0
        weight_gradient(gradients["weight_hh"], bias, tape.a, h_before, self.scratch, units=n)
        weight_gradient(gradients["weight_ih"], bias[:0], tape.a, tape.x, self.scratch, units=n)
        for name, _ in interface.bias_shapes(self.bias, 1):
            gradients[name] += bias
        for row, gate in enumerate(self._seeing):
            block = self.gates.index(gate) * self.padded
            seen = interface.states_before if gate != "o" else interface.states_after
            c = seen(tape.c, rows // batch, batch, tape.reverse).reshape(rows, -1)
            diagonal_gradient(gradients["weight_peephole"][row], tape.a[:, block : block + n], c)
        if dx is not None:
            panels = packed_rows(self.space, "panels_dx", weights["weight_ih"], gates)
            multiply_rows(dx.reshape(rows, -1), tape.a, panels, bias[:0])

    def traces(self):
        tape = self._tape
        steps = tape.x.shape[0] // tape.batch
        states = {
            name: self.units(interface.states_after(slots, steps, tape.batch, tape.reverse))
            for name, slots in (("c", tape.c), ("h", tape.h))
        }
        return self.gate_traces(tape.a, self.gates, tape.batch) | states

    def linearise(self, x, state):
        out = interface.Linearised.empty(2, len(self.gates), self.hidden, len(self._seeing), self.dtype)
        a = self.weights["weight_ih"] @ x + self.weights["weight_hh"] @ state[0] + sum(self.bias_arrays())
        lstm_linearise(out, a, state[1], state[0], self._peephole(), self.kind)
        return out
