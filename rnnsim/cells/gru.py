"""Gated recurrent unit (Cho et al. 2014) and its gate variants (Dey & Salem 2017); equations and options at `GRU`."""

from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_formula, jit_parallel
from rnnsim.core.padding import ONE, gate_vectors, packed_columns, packed_rows, vectors
from rnnsim.core.products import multiply_rows, weight_gradient
from rnnsim.core.registry import one_of
from rnnsim.core.vmath import sigmoid, tanh

# -- the equations, for one unit or for a vector of units --------------------------------------------------------------


@jit_formula
def gates(a_r, a_z):
    """Reset gate r and update gate z."""
    return sigmoid(a_r), sigmoid(a_z)


@jit_formula
def candidate_reset_after(a_n, r, q):
    """The candidate n, reset="after": q = U_n h(t-1) + b_hn."""
    return tanh(a_n + r * q)


@jit_formula
def new_state(z, n, h):
    """h(t) from h = h(t-1)."""
    return n + z * (h - n)


@jit_formula
def new_state_backward(dh, z, n, h):
    """Gradients of a_z, of a_n and, by the way past the gates, of h(t-1), from that of h(t)."""
    da_z = dh * (h - n) * z * (ONE - z)
    da_n = dh * (ONE - z) * (ONE - n * n)
    return da_z, da_n, dh * z


@jit_formula
def reset_after_backward(da_n, r, q):
    """Gradients of a_r and q."""
    return da_n * q * r * (ONE - r), da_n * r


@jit_formula
def reset_before_backward(d_rh, r, h):
    """Gradients of a_r and, through r * h(t-1), of h(t-1)."""
    return d_rh * h * r * (ONE - r), d_rh * r


# -- one row, one time step --------------------------------------------------------------------------------------------


class GRUTape(NamedTuple):
    """One layer on one batch, as the kernels see it. R = time steps * batch rows, P = H padded to whole vectors."""

    x: np.ndarray  # (R, I) inputs
    a: np.ndarray  # (R, 3P) pre-activations, then r, z, n, then gradients of the pre-activations
    q: np.ndarray  # (R, P) reset after: U_n h + b_hn, then its gradient; reset before: r * h
    h: np.ndarray  # (R + B, P) states, one slot more than time steps
    panels_ih: np.ndarray  # packed W (3P, I), or (P, I) where the gates do not see the input
    panels_gates: np.ndarray  # packed U_rz (2P, H), or empty where the gates do not see the state
    panels_n: np.ndarray  # packed U_n (P, H)
    bias: np.ndarray  # (3P) b_r, b_z, b_n
    bias_hn: np.ndarray  # (P)
    lengths: np.ndarray  # (B) or (0)
    batch: int
    hidden: int
    reverse: bool
    reset_after: bool
    gates_see_input: bool


class GRUGradient(NamedTuple):
    """What the backward pass of a layer has beside its tape."""

    dh: np.ndarray  # (B, P) gradient of the state, goes from the last to the first
    d_rh: np.ndarray  # (B, P) that of r * h(t-1), reset before
    dy: np.ndarray  # (R, H) that of the outputs, or empty
    panels_gates: np.ndarray  # packed U_rz.T (H, 2P), or empty
    panels_n: np.ndarray  # packed U_n.T (H, P)


@jit_borrowed
def forward_reset_after(tape, row, old, new):
    """From the products with W and U: r, z, n, q and the new state."""
    a, q, b, b_hn = (
        gate_vectors(tape.a[row], 3),
        vectors(tape.q[row]),
        gate_vectors(tape.bias, 3),
        vectors(tape.bias_hn),
    )
    h, h_new = vectors(tape.h[old]), vectors(tape.h[new])
    for j in range(len(h)):
        q_j = q[j] + b_hn[j]
        r, z = gates(a[0, j] + b[0, j], a[1, j] + b[1, j])
        n = candidate_reset_after(a[2, j] + b[2, j], r, q_j)
        a[0, j], a[1, j], a[2, j], q[j] = r, z, n, q_j
        h_new[j] = new_state(z, n, h[j])


@jit_borrowed
def forward_gates(tape, row, old):
    """Reset before, first part: r, z and r * h(t-1)."""
    a, q, b, h = gate_vectors(tape.a[row], 3), vectors(tape.q[row]), gate_vectors(tape.bias, 3), vectors(tape.h[old])
    for j in range(len(h)):
        r, z = gates(a[0, j] + b[0, j], a[1, j] + b[1, j])
        a[0, j], a[1, j], q[j] = r, z, r * h[j]


@jit_borrowed
def forward_reset_before(tape, row, old, new):
    """Reset before, second part: n and the new state."""
    a, b = gate_vectors(tape.a[row], 3), gate_vectors(tape.bias, 3)
    h, h_new = vectors(tape.h[old]), vectors(tape.h[new])
    for j in range(len(h)):
        n = tanh(a[2, j] + b[2, j])
        a[2, j] = n
        h_new[j] = new_state(a[1, j], n, h[j])


@jit_borrowed
def backward_row(tape, d, row, old, b):
    """z, n, and with reset after r and q, become the gradients of their pre-activations; dh goes past the gates."""
    a, q = gate_vectors(tape.a[row], 3), vectors(tape.q[row])
    h, dh = vectors(tape.h[old]), vectors(d.dh[b])
    for j in range(len(h)):
        r = a[0, j]
        a[1, j], da_n, dh[j] = new_state_backward(dh[j], a[1, j], a[2, j], h[j])
        a[2, j] = da_n
        if tape.reset_after:
            a[0, j], q[j] = reset_after_backward(da_n, r, q[j])


@jit_borrowed
def backward_reset_before(tape, d, row, old, b):
    """Reset before: r becomes the gradient of its pre-activation, from that of r * h(t-1)."""
    a, h = gate_vectors(tape.a[row], 3), vectors(tape.h[old])
    dh, d_rh = vectors(d.dh[b]), vectors(d.d_rh[b])
    for j in range(len(h)):
        a[0, j], through = reset_before_backward(d_rh[j], a[0, j], h[j])
        dh[j] = dh[j] + through


# -- all time steps of rows lo..hi -------------------------------------------------------------------------------------


@jit_exact
def gru_forward(tape, lo, hi):
    """Fills a with r, z, n, and q and h."""
    batch, n = tape.batch, tape.q.shape[1]
    steps = tape.x.shape[0] // batch
    seen = tape.a if tape.gates_see_input else tape.a[:, 2 * n :]
    for s in range(steps):
        now, old, new = sequence.place(s, steps, batch, tape.reverse)
        sequence.project_inputs(seen, tape.x, tape.panels_ih, s, steps, batch, lo, hi, tape.reverse)
        a, q, h = tape.a[now + lo : now + hi], tape.q[now + lo : now + hi], tape.h[old + lo : old + hi, : tape.hidden]
        if tape.panels_gates.shape[0] > 0:
            product_packed(a[:, : 2 * n], h, tape.panels_gates, tape.gates_see_input)
        else:
            for b in range(hi - lo):
                sequence.clear_row(a[b, : 2 * n])
        if tape.reset_after:
            product_packed(q, h, tape.panels_n, False)
        else:
            for b in range(lo, hi):
                forward_gates(tape, now + b, old + b)
            product_packed(a[:, 2 * n :], q[:, : tape.hidden], tape.panels_n, True)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.copy_row(tape.h[new + b], tape.h[old + b])
            elif tape.reset_after:
                forward_reset_after(tape, now + b, old + b, new + b)
            else:
                forward_reset_before(tape, now + b, old + b, new + b)


@jit_exact
def gru_backward(tape, d, lo, hi):
    """a and q become gradients; d.dh goes from the last to the first state."""
    batch, n = tape.batch, tape.q.shape[1]
    steps = tape.x.shape[0] // batch
    for s in range(steps - 1, -1, -1):
        now, old, _ = sequence.place(s, steps, batch, tape.reverse)
        a, dh = tape.a[now + lo : now + hi], d.dh[lo:hi]
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.clear_row(tape.a[now + b])
                sequence.clear_row(tape.q[now + b])
                continue
            if d.dy.size > 0:
                sequence.add_row(d.dh[b], d.dy[now + b])
            backward_row(tape, d, now + b, old + b, b)
        if tape.reset_after:
            product_packed(dh, tape.q[now + lo : now + hi], d.panels_n, True)
        else:
            product_packed(d.d_rh[lo:hi], a[:, 2 * n :], d.panels_n, False)
            for b in range(lo, hi):
                if not sequence.ended(tape.lengths, b, now // batch):
                    backward_reset_before(tape, d, now + b, old + b, b)
        if d.panels_gates.shape[0] > 0:
            product_packed(dh, a[:, : 2 * n], d.panels_gates, True)


@jit_parallel
def _forward_parallel(tape, chunks):
    for chunk in numba.prange(chunks):
        gru_forward(tape, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


@jit_parallel
def _backward_parallel(tape, d, chunks):
    for chunk in numba.prange(chunks):
        gru_backward(tape, d, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


# -- one time step, linearised -----------------------------------------------------------------------------------------


@jit_exact
def gru_linearise(out, a, q, h, bias_hn, u_n, reset_after):
    """Fill `out` from one row's pre-activations a (3H), q (H) = U_n h, and the old state h (H).

    Groups: r, z, n, and with reset after q, the state's part of the candidate. With reset before, u_n (H, H) is used to
    finish the candidate's pre-activation, and the recurrent input of n is r * h.
    """
    hidden = h.size
    for j in range(hidden):
        a[j], a[hidden + j] = gates(a[j], a[hidden + j])
        q[j] = q[j] + bias_hn[j] if reset_after else a[j] * h[j]
    for j in range(hidden):
        r, z, a_n = a[j], a[hidden + j], a[2 * hidden + j]
        if reset_after:
            n = candidate_reset_after(a_n, r, q[j])
        else:
            for i in range(hidden):
                a_n += u_n[j, i] * q[i]
            n = tanh(a_n)
        out.state[0, j] = new_state(z, n, h[j])
        out.gain[0, 1, j], out.gain[0, 2, j], out.direct[0, 0, j] = new_state_backward(ONE, z, n, h[j])
        for group in range(out.recurrent_input.shape[0]):
            out.recurrent_input[group, j] = h[j]
            out.recurrent_input_direct[group, 0, j] = ONE
        if reset_after:
            out.gain[0, 0, j], out.gain[0, 3, j] = reset_after_backward(out.gain[0, 2, j], r, q[j])
        else:
            out.recurrent_input[2, j] = q[j]
            slopes = reset_before_backward(ONE, r, h[j])
            out.recurrent_input_gain[2, 0, j], out.recurrent_input_direct[2, 0, j] = slopes


@jit_borrowed
def gru_time_step(out, theta, x, before, work, structure):
    """One time step from the flat parameters; options: reset after, rows of U, whether q has a bias_hh of its own."""
    n, h, places = before.shape[1], before[0], structure.places
    after, rows, inner = structure.options[0] != 0, structure.options[1], structure.options[2] != 0
    a, q, bias_hn = work[: 3 * n], work[3 * n : 4 * n], work[4 * n : 5 * n]
    sequence.pre_activations(a, theta, places, x, h)
    sequence.clear_row(bias_hn)
    start = places[1] + (rows - n) * n
    u_n = theta[start : start + n * n].reshape(n, n)
    for j in range(n):
        total = h.dtype.type(0)
        for i in range(n):
            total += u_n[j, i] * h[i]
        q[j] = total
        a[2 * n + j] -= total
        if inner:
            bias_hn[j] = theta[places[3] + places[8] - n + j]
            a[2 * n + j] -= bias_hn[j]
    gru_linearise(out, a, q, h, bias_hn, u_n, after)


class GRU(interface.Cell):
    """Gated recurrent unit (Cho et al. 2014) and its gate variants (Dey & Salem 2017).

    With s the logistic function and * the element-wise product, at time step t::

        r = s(W_r x(t) + U_r h(t-1) + b_r)                          reset gate
        z = s(W_z x(t) + U_z h(t-1) + b_z)                          update gate
        n = tanh(W_n x(t) + b_n + r * (U_n h(t-1) + b_hn))          candidate, reset="after" (PyTorch, cuDNN)
        n = tanh(W_n x(t) + b_n + U_n (r * h(t-1)))                 candidate, reset="before" (Cho; Chung et al. 2014)
        h(t) = (1 - z) * n + z * h(t-1)

    z says how much is kept, as in Cho's paper and PyTorch; Chung et al. and Dey & Salem write 1 - z for it, which is the same
    network with the signs of W_z, U_z and b_z turned.

    Parameters
    ----------
    n_inputs, hidden : numbers of inputs I and units H
    dtype : "float32" or "float64"
    variant : what the two gates see (Dey & Salem 2017): "gru0" all of the above; "gru1" state and bias; "gru2" the state;
        "gru3" only their bias
    reset : "after" or "before" the product with U_n
    bias : "single", one bias vector (b_hn = 0); "double", bias_ih and bias_hh as in PyTorch; "none"

    Weights are weight_ih (3H, I), weight_hh (3H, H), bias_ih and bias_hh (3H), rows gate by gate in PyTorch's order r, z, n. Rows
    that a variant does not have are left out. Raises `RnnsimError` for sizes below 1 and unknown options.

    >>> [sum(int(np.prod(shape)) for _, shape in GRU(28, 100, variant=v).shapes()) for v in ("gru0", "gru3")]
    [38700, 13100]
    """

    trace_names = ("r", "z", "n", "h")

    def __init__(
        self,
        n_inputs: int,
        hidden: int,
        dtype: str = "float32",
        variant: Literal["gru0", "gru1", "gru2", "gru3"] = "gru0",
        reset: Literal["after", "before"] = "after",
        bias: Literal["single", "double", "none"] = "single",
    ):
        super().__init__(n_inputs, hidden, dtype)
        self.variant, self.bias = one_of("variant", variant, ("gru0", "gru1", "gru2", "gru3")), bias
        self.after = one_of("reset", reset, ("after", "before")) == "after"
        self.gate_dependent = not self.after
        self.gates_see_input, self.gates_see_state = variant == "gru0", variant != "gru3"
        self.gates_have_bias = variant != "gru2"
        self.groups = self._groups()

    def _groups(self):
        biases = [name for name, _ in interface.bias_shapes(self.bias, 1)]

        def group(name, gate, see_input, see_state, own_biases):
            last = gate == 2
            return interface.Group(
                name,
                (gate if self.gates_see_input else 0) if see_input else None,
                (gate if self.gates_see_state else 0) if see_state else None,
                tuple((bias, gate if self.gates_have_bias else 0) for bias in own_biases)
                if last or self.gates_have_bias
                else (),
            )

        r = group("r", 0, self.gates_see_input, self.gates_see_state, biases)
        z = group("z", 1, self.gates_see_input, self.gates_see_state, biases)
        if not self.after:
            return (r, z, group("n", 2, True, True, biases))
        return (r, z, group("n", 2, True, False, biases[:1]), group("q", 2, False, True, biases[1:]))

    time_step = staticmethod(gru_time_step)

    def time_step_options(self):
        rows = (3 if self.gates_see_state else 1) * self.hidden
        return [int(self.after), rows, int(self.bias == "double" and self.after)], []

    def shapes(self):
        n = self.hidden
        shapes = [
            ("weight_ih", ((3 if self.gates_see_input else 1) * n, self.n_inputs)),
            ("weight_hh", ((3 if self.gates_see_state else 1) * n, n)),
        ]
        return shapes + interface.bias_shapes(self.bias, (3 if self.gates_have_bias else 1) * n)

    def _biases(self):
        """b_r, b_z, b_n (3P), and b_hn (P)."""
        n, arrays = self.hidden, self.bias_arrays()
        total = self.padded_rows("bias", arrays, 3)
        inner = arrays[1][-n:] if self.bias == "double" and self.after else None
        if inner is not None:
            total[2 * self.padded : 2 * self.padded + n] = arrays[0][-n:]
        return total, self.padded_rows("bias_hn", [] if inner is None else [inner], 1)

    def _split(self, weights):
        """U_rz (2H, H), or no rows of it, and U_n (H, H)."""
        u = weights["weight_hh"]
        return u[: -self.hidden], u[-self.hidden :]

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, p = self.weights["weight_ih"], self.padded
        u_gates, u_n = self._split(self.weights)
        bias, bias_hn = self._biases()
        self._tape = tape = GRUTape(
            x=x.reshape(steps * batch, -1),
            a=self.buffer("a", steps * batch, 3 * p),
            q=self.buffer("q", steps * batch, p),
            h=self.slots("h", steps, batch, state[0], reverse),
            panels_ih=packed_columns(self.space, "panels_ih", w, 3 if self.gates_see_input else 1),
            panels_gates=packed_columns(self.space, "panels_gates", u_gates, 2 if self.gates_see_state else 0),
            panels_n=packed_columns(self.space, "panels_n", u_n),
            bias=bias,
            bias_hn=bias_hn,
            lengths=lengths,
            batch=batch,
            hidden=self.hidden,
            reverse=reverse,
            reset_after=self.after,
            gates_see_input=self.gates_see_input,
        )
        chunks = sequence.row_chunks(steps, batch, w.size + u_gates.size + u_n.size)
        sequence.over_rows(gru_forward, _forward_parallel, chunks, batch, tape)
        return self.outputs(tape.h, steps, batch, reverse)

    def state_slots(self):
        return [self._tape.h], self._tape.batch, self._tape.reverse

    def backward(self, dy, d_state, dx=None):
        tape, weights, n, p = self._tape, self.weights, self.hidden, self.padded
        rows, batch = tape.x.shape[0], tape.batch
        u_gates, u_n = self._split(weights)
        states = self.padded_gradients(d_state)
        d = GRUGradient(
            dh=states[0],
            d_rh=self.buffer("d_rh", batch, p),
            dy=self.buffer("none", 0, n) if dy is None else dy.reshape(rows, n),
            panels_gates=packed_rows(self.space, "back_gates", u_gates, 2)[: p if self.gates_see_state else 0],
            panels_n=packed_rows(self.space, "back_n", u_n),
        )
        chunks = sequence.row_chunks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(gru_backward, _backward_parallel, chunks, batch, tape, d)
        self.take_gradients(d_state, states)
        self._parameter_gradients(interface.states_before(tape.h, rows // batch, batch, tape.reverse))
        if dx is not None:
            a, gates = (tape.a, 3) if self.gates_see_input else (tape.a[:, 2 * p :], 1)
            panels = packed_rows(self.space, "panels_dx", weights["weight_ih"], gates)
            multiply_rows(dx.reshape(rows, -1), a, panels, tape.bias[:0])

    def _parameter_gradients(self, h_before):
        tape, gradients, n, p = self._tape, self.gradients, self.hidden, self.padded
        bias, inner = self.buffer("d_bias", 3 * n), self.buffer("d_bias_hn", n)
        bias[...] = 0
        inner[...] = 0
        g_gates, g_n = self._split(gradients)
        weight_gradient(g_gates, bias[:0], tape.a, h_before, self.scratch, units=n)
        if self.after:
            weight_gradient(g_n, inner, tape.q, h_before, self.scratch)
        else:
            weight_gradient(g_n, inner, tape.a, tape.q, self.scratch, 2 * p)
        if self.gates_see_input:
            weight_gradient(gradients["weight_ih"], bias, tape.a, tape.x, self.scratch, units=n)
        else:
            weight_gradient(gradients["weight_ih"], bias[2 * n :], tape.a, tape.x, self.scratch, 2 * p)
            if self.gates_have_bias:
                bias[: 2 * n] = tape.a.reshape(-1, 3, p)[:, :2, :n].sum(axis=0).reshape(-1)
        rows = slice(0 if self.gates_have_bias else 2 * n, 3 * n)
        for name, _ in interface.bias_shapes(self.bias, 1):
            if name == "bias_hh":
                bias[2 * n :] = inner
            gradients[name] += bias[rows]

    def traces(self):
        tape = self._tape
        steps = tape.x.shape[0] // tape.batch
        h = interface.states_after(tape.h, steps, tape.batch, tape.reverse)
        return self.gate_traces(tape.a, "rzn", tape.batch) | {"h": self.units(h)}

    def linearise(self, x, state):
        n, h, weights = self.hidden, state[0], self.weights
        out = interface.Linearised.empty(1, len(self.groups), n, 0, self.dtype)
        u_gates, u_n = self._split(weights)
        bias, bias_hn = (self.units(part.reshape(-1, self.padded)) for part in self._biases())
        a = np.zeros(3 * n, self.dtype)
        a[0 if self.gates_see_input else 2 * n :] = weights["weight_ih"] @ x
        a[: u_gates.shape[0]] += u_gates @ h
        gru_linearise(out, a + bias.reshape(-1), u_n @ h, h, np.array(bias_hn[0]), u_n, self.after)
        return out
