"""Gated recurrent unit (Cho et al. 2014) and its gate variants (Dey & Salem 2017).

With s the logistic function and * the element-wise product, at tick t::

    r = s(W_r x(t) + U_r h(t-1) + b_r)                          reset gate
    z = s(W_z x(t) + U_z h(t-1) + b_z)                          update gate
    n = tanh(W_n x(t) + b_n + r * (U_n h(t-1) + b_hn))          candidate, reset="after" (PyTorch, cuDNN)
    n = tanh(W_n x(t) + b_n + U_n (r * h(t-1)))                 candidate, reset="before" (Cho; Chung et al. 2014)
    h(t) = (1 - z) * n + z * h(t-1)

z says how much is kept, as in Cho's paper and PyTorch; Chung et al. and Dey & Salem write 1 - z for it, which is the same
network with the signs of W_z, U_z and b_z turned.

Options
    variant     what the two gates see (Dey & Salem 2017): gru0 all of the above; gru1 state and bias; gru2 the state;
                gru3 only their bias
    reset       "after" or "before" the product with U_n
    bias        "single": one bias vector (b_hn = 0); "double": bias_ih and bias_hh as in PyTorch; "none"

Rows of the weights lie gate by gate in the order r, z, n of PyTorch; rows that a variant does not have are left out.
"""

from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import one_of
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.vmath import sigmoid, tanh


class GRUWalk(NamedTuple):
    """One layer on one batch, as the kernels see it. R = ticks * batch rows."""

    x: np.ndarray  # (R, I) inputs
    z: np.ndarray  # (R, 3H) pre-activations, then r, z, n, then gradients of the pre-activations
    q: np.ndarray  # (R, H) reset after: U_n h + b_hn, then its gradient; reset before: r * h
    h: np.ndarray  # (R + B, H) states, one slot more than ticks
    panels_ih: np.ndarray  # packed W.T (I, 3H), or (I, H) where the gates do not see the input
    panels_gates: np.ndarray  # packed U_rz.T (H, 2H), or empty where the gates do not see the state
    panels_n: np.ndarray  # packed U_n.T (H, H)
    bias: np.ndarray  # (3H) b_r, b_z, b_n
    bias_hn: np.ndarray  # (H)
    lengths: np.ndarray  # (B) or (0)
    batch: int
    reverse: bool
    after: bool
    gates_see_input: bool


@jit_exact
def reset_and_update(z, q, h_before, bias, bias_hn, after):
    """One row: r and z from their pre-activations z (3H); q (H) as the table above says."""
    n = q.size
    for j in range(0, n, width(q)):
        live = mask(n - j)
        r = sigmoid(load(z, j, live) + load(bias, j, live))
        store(z, j, live, r)
        store(z, n + j, live, sigmoid(load(z, n + j, live) + load(bias, n + j, live)))
        store(q, j, live, load(q, j, live) + load(bias_hn, j, live) if after else r * load(h_before, j, live))


@jit_exact
def candidate_and_state(h, z, q, h_before, bias, after):
    """One row: n from its pre-activation, and the new state h (H)."""
    n = h.size
    for j in range(0, n, width(h)):
        live = mask(n - j)
        s = load(z, 2 * n + j, live) + load(bias, 2 * n + j, live)
        if after:
            s = s + load(z, j, live) * load(q, j, live)
        candidate = tanh(s)
        store(z, 2 * n + j, live, candidate)
        store(h, j, live, candidate + load(z, n + j, live) * (load(h_before, j, live) - candidate))


@jit_exact
def candidate_backward(dh, z, q, h_before, after):
    """One row: r, z, n (3H) become the gradients of their pre-activations, with reset before all but that of r.

    dh (H), the gradient of h(t), becomes the part of the gradient of h(t-1) that passes the gates element by element.
    """
    n = dh.size
    one = z.dtype.type(1)
    for j in range(0, n, width(dh)):
        live = mask(n - j)
        r, keep, candidate = load(z, j, live), load(z, n + j, live), load(z, 2 * n + j, live)
        above = load(dh, j, live)
        d_n = above * (one - keep) * (one - candidate * candidate)
        store(z, n + j, live, above * (load(h_before, j, live) - candidate) * keep * (one - keep))
        store(z, 2 * n + j, live, d_n)
        store(dh, j, live, above * keep)
        if after:
            store(z, j, live, d_n * load(q, j, live) * r * (one - r))
            store(q, j, live, d_n * r)


@jit_exact
def reset_backward(dh, z, d_rh, h_before):
    """One row, reset before: r in z (3H) becomes its gradient, from d_rh (H), the gradient of r * h(t-1)."""
    one = z.dtype.type(1)
    for j in range(0, dh.size, width(dh)):
        live = mask(dh.size - j)
        r, d = load(z, j, live), load(d_rh, j, live)
        store(z, j, live, d * load(h_before, j, live) * r * (one - r))
        store(dh, j, live, load(dh, j, live) + d * r)


@jit_exact
def gru_forward(walk, lo, hi):
    """All ticks of rows lo..hi: fills z with r, z, n, and q and h."""
    steps, n = walk.x.shape[0] // walk.batch, walk.q.shape[1]
    seen = walk.z if walk.gates_see_input else walk.z[:, 2 * n :]
    for s in range(steps):
        t, before, after = sequence.tick(s, steps, walk.reverse)
        now, old, new = t * walk.batch, before * walk.batch, after * walk.batch
        sequence.project_inputs(seen, walk.x, walk.panels_ih, s, steps, walk.batch, lo, hi, walk.reverse)
        h = walk.h[old + lo : old + hi]
        gates = walk.z[now + lo : now + hi, : 2 * n]
        if walk.panels_gates.shape[0] > 0:
            product_packed(gates, h, walk.panels_gates, walk.gates_see_input)
        else:
            for b in range(hi - lo):
                sequence.clear_row(gates[b])
        if walk.after:
            product_packed(walk.q[now + lo : now + hi], h, walk.panels_n, False)
        for b in range(lo, hi):
            z, q = walk.z[now + b], walk.q[now + b]
            reset_and_update(z, q, walk.h[old + b], walk.bias, walk.bias_hn, walk.after)
        if not walk.after:
            product_packed(walk.z[now + lo : now + hi, 2 * n :], walk.q[now + lo : now + hi], walk.panels_n, True)
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.copy_row(walk.h[new + b], walk.h[old + b])
            else:
                candidate_and_state(
                    walk.h[new + b], walk.z[now + b], walk.q[now + b], walk.h[old + b], walk.bias, walk.after
                )


@jit_exact
def gru_backward(walk, dh, d_rh, dy, panels_gates, panels_n, lo, hi):
    """All ticks of rows lo..hi backwards: z and q become gradients; dh (B, H) goes from the last to the first state.

    dy (R, H) is the gradient of the outputs from above, or empty; the panels hold U_rz (2H, H), perhaps empty, and
    U_n (H, H); d_rh (B, H) is a buffer.
    """
    steps, n = walk.x.shape[0] // walk.batch, walk.q.shape[1]
    for s in range(steps - 1, -1, -1):
        t, before, _ = sequence.tick(s, steps, walk.reverse)
        now, old = t * walk.batch, before * walk.batch
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.clear_row(walk.z[now + b])
                sequence.clear_row(walk.q[now + b])
                continue
            if dy.size > 0:
                sequence.add_row(dh[b], dy[now + b])
            candidate_backward(dh[b], walk.z[now + b], walk.q[now + b], walk.h[old + b], walk.after)
        if walk.after:
            product_packed(dh[lo:hi], walk.q[now + lo : now + hi], panels_n, True)
        else:
            product_packed(d_rh[lo:hi], walk.z[now + lo : now + hi, 2 * n :], panels_n, False)
            for b in range(lo, hi):
                if not sequence.ended(walk.lengths, b, t):
                    reset_backward(dh[b], walk.z[now + b], d_rh[b], walk.h[old + b])
        if panels_gates.shape[0] > 0:
            product_packed(dh[lo:hi], walk.z[now + lo : now + hi, : 2 * n], panels_gates, True)


@jit_parallel
def _forward_parallel(walk, tasks):
    for task in numba.prange(tasks):
        gru_forward(walk, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_parallel
def _backward_parallel(walk, dh, d_rh, dy, panels_gates, panels_n, tasks):
    for task in numba.prange(tasks):
        lo, hi = walk.batch * task // tasks, walk.batch * (task + 1) // tasks
        gru_backward(walk, dh, d_rh, dy, panels_gates, panels_n, lo, hi)


@jit_exact
def gru_linearise(out, a, q, h_before, bias, bias_hn, u_n, after):
    """Fill `out` from one row's pre-activations a (3H, without biases) and q (H) = U_n h, and the old state (H).

    Groups: r, z, n, and with reset after q, the state's part of the candidate. With reset before, u_n (H, H) is used to
    finish the candidate's pre-activation, and the message of n is r * h.
    """
    n = h_before.size
    one = a.dtype.type(1)
    reset_and_update(a, q, h_before, bias, bias_hn, after)
    if not after:
        for j in range(n):
            for i in range(n):
                a[2 * n + j] += u_n[j, i] * q[i]
    candidate_and_state(out.state[0], a, q, h_before, bias, after)
    for j in range(n):
        r, keep, candidate = a[j], a[n + j], a[2 * n + j]
        slope = (one - keep) * (one - candidate * candidate)
        out.direct[0, 0, j] = keep
        out.gain[0, 1, j] = (h_before[j] - candidate) * keep * (one - keep)
        out.gain[0, 2, j] = slope
        for group in range(out.message.shape[0]):
            out.message[group, j] = h_before[j]
            out.message_direct[group, 0, j] = one
        if after:
            out.gain[0, 0, j] = slope * q[j] * r * (one - r)
            out.gain[0, 3, j] = slope * r
        else:
            out.message[2, j] = q[j]
            out.message_direct[2, 0, j] = r
            out.message_gain[2, 0, j] = h_before[j] * r * (one - r)


@jit_borrowed
def gru_tick(out, theta, x, before, work, structure):
    """One tick from the flat parameters; options: reset after, rows of U, whether there is a bias_hh of its own for q."""
    n, h, places = before.shape[1], before[0], structure.places
    after, rows, inner = structure.options[0] != 0, structure.options[1], structure.options[2] != 0
    a, q, none, bias_hn = work[: 3 * n], work[3 * n : 4 * n], work[4 * n : 7 * n], work[7 * n : 8 * n]
    sequence.pre_activations(a, theta, places, x, h)
    sequence.clear_row(none)
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
    gru_linearise(out, a, q, h, none, bias_hn, u_n, after)


class GRU(interface.Cell):
    """Gated recurrent unit; equations and options at the top of the file.

    Parameters: weight_ih (3H, I) or (H, I), weight_hh (3H, H) or (H, H), bias_ih and bias_hh (3H) or (H). Raises
    `RnnsimError` for sizes below 1 and unknown options.

    >>> import numpy as np
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
        self._walk = None

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

    tick = staticmethod(gru_tick)

    def tick_options(self):
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
        """b_r, b_z, b_n in one vector, and b_hn."""
        n = self.hidden
        total, inner = self.buffer("bias", 3 * n), self.buffer("bias_hn", n)
        total[...] = 0
        inner[...] = 0
        rows = slice(0 if self.gates_have_bias else 2 * n, 3 * n)
        for name, _ in interface.bias_shapes(self.bias, 1):
            total[rows] += self.weights[name]
        if self.bias == "double" and self.after:
            inner[...] = self.weights["bias_hh"][-n:]
            total[2 * n :] = self.weights["bias_ih"][-n:]
        return total, inner

    def _split(self, weights):
        """U_rz (2H, H), or no rows of it, and U_n (H, H)."""
        u = weights["weight_hh"]
        return u[: -self.hidden], u[-self.hidden :]

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, n = self.weights["weight_ih"], self.hidden
        u_gates, u_n = self._split(self.weights)
        self._walk = walk = GRUWalk(
            x.reshape(steps * batch, -1),
            self.buffer("z", steps * batch, 3 * n),
            self.buffer("q", steps * batch, n),
            self.slots("h", steps, batch, state[0], reverse),
            packed(self.space, "panels_ih", w.T),
            packed(self.space, "panels_gates", u_gates.T),
            packed(self.space, "panels_n", u_n.T),
            *self._biases(),
            lengths,
            batch,
            reverse,
            self.after,
            self.gates_see_input,
        )
        tasks = sequence.row_tasks(steps, batch, w.size + u_gates.size + u_n.size)
        sequence.over_rows(gru_forward, _forward_parallel, tasks, batch, walk)
        return interface.states_after(walk.h, steps, batch, reverse)

    def slots_of_walk(self):
        walk = self._walk
        return (walk.h,), walk.batch, walk.reverse

    def backward(self, dy, d_state, dx=None):
        walk, weights, gradients, n = self._walk, self.weights, self.gradients, self.hidden
        rows, batch = walk.x.shape[0], walk.batch
        dy = self.buffer("none", 0, n) if dy is None else dy.reshape(rows, n)
        u_gates, u_n = self._split(weights)
        panels_gates, panels_n = packed(self.space, "back_gates", u_gates), packed(self.space, "back_n", u_n)
        if u_gates.shape[0] == 0:
            panels_gates = panels_gates[:0]
        d_rh = self.buffer("d_rh", batch, n)
        tasks = sequence.row_tasks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(
            gru_backward, _backward_parallel, tasks, batch, walk, d_state[0], d_rh, dy, panels_gates, panels_n
        )
        self._parameter_gradients(gradients, interface.states_before(walk.h, rows // batch, batch, walk.reverse))
        if dx is not None:
            d = walk.z if self.gates_see_input else walk.z[:, 2 * n :]
            panels = packed(self.space, "panels_dx", weights["weight_ih"])
            multiply_rows(dx.reshape(rows, -1), d, panels, walk.bias[:0])

    def _parameter_gradients(self, gradients, h_before):
        walk, n = self._walk, self.hidden
        bias, inner = self.buffer("d_bias", 3 * n), self.buffer("d_bias_hn", n)
        bias[...] = 0
        inner[...] = 0
        g_gates, g_n = self._split(gradients)
        if self.gates_see_state:
            weight_gradient(g_gates, bias[:0], walk.z, h_before, self.scratch)
        if self.after:
            weight_gradient(g_n, inner, walk.q, h_before, self.scratch)
        else:
            weight_gradient(g_n, inner, walk.z, walk.q, self.scratch, 2 * n)
        if self.gates_see_input:
            weight_gradient(gradients["weight_ih"], bias, walk.z, walk.x, self.scratch)
        else:
            weight_gradient(gradients["weight_ih"], bias[2 * n :], walk.z, walk.x, self.scratch, 2 * n)
            if self.gates_have_bias:
                bias[: 2 * n] = walk.z[:, : 2 * n].sum(axis=0)
        rows = slice(0 if self.gates_have_bias else 2 * n, 3 * n)
        for name, _ in interface.bias_shapes(self.bias, 1):
            if name == "bias_hh":
                bias[2 * n :] = inner
            gradients[name] += bias[rows]

    def traces(self):
        walk, n = self._walk, self.hidden
        steps = walk.x.shape[0] // walk.batch
        gates = walk.z.reshape(steps, walk.batch, 3 * n)
        found = {name: gates[:, :, block * n : (block + 1) * n] for block, name in enumerate("rzn")}
        found["h"] = interface.states_after(walk.h, steps, walk.batch, walk.reverse)
        return found

    def linearise(self, x, state):
        n = self.hidden
        out = interface.Linearised.empty(1, len(self.groups), n, 0, self.dtype)
        u_gates, u_n = self._split(self.weights)
        a = np.zeros(3 * n, self.dtype)
        a[0 if self.gates_see_input else 2 * n :] = self.weights["weight_ih"] @ x
        a[: u_gates.shape[0]] += u_gates @ state[0]
        gru_linearise(out, a, u_n @ state[0], state[0], *self._biases(), u_n, self.after)
        return out
