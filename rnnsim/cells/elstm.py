"""The element-wise recurrent LSTM (Irie, Gopalakrishnan & Schmidhuber 2023), whose exact RTRL is cheap.

With s the logistic function and * the element-wise product, at tick t::

    f = s(W_f x(t) + p_f * c(t-1) + b_f)             forget gate
    z = tanh(W_z x(t) + p_z * c(t-1) + b_z)          cell input
    c(t) = f * c(t-1) + (1 - f) * z                  cell state
    o = s(W_o x(t) + U_o c(t) + b_o)                 output gate
    h(t) = o * c(t)                                  output

Only c is carried on, and a unit's next c depends on its own c alone: dc(t)/dc(t-1) is diagonal, ::

    D = f + p_f * f^ + p_z * z^,     f^ = (c(t-1) - z) f (1 - f),     z^ = (1 - f) (1 - z^2)

so the influence of a parameter stays in its unit, one number a parameter. The full product U_o c(t) mixes the units on their way
out of the layer and not on their way through time. (The preprint's text prints D without its last term; their code has it.)

Options
    bias            "single": one bias vector; "double": b = bias_ih + bias_hh; "none"
    forget_bias     what the forget gate's bias starts from

Rows of the weights lie in the order f, z, o; weight_hh is U_o, and weight_peephole holds p_f and p_z.
"""

import math
from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel
from rnnsim.core.products import diagonal_gradient, multiply_rows, packed, weight_gradient
from rnnsim.core.registry import require
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.vmath import sigmoid, tanh


class ELSTMWalk(NamedTuple):
    """One layer on one batch, as the kernels see it. R = ticks * batch rows."""

    x: np.ndarray  # (R, I) inputs
    z: np.ndarray  # (R, 3*H) pre-activations, then f, z, o, then gradients of the pre-activations
    h: np.ndarray  # (R + B, H) outputs, one slot more than ticks
    c: np.ndarray  # (R + B, H) cell states
    panels_ih: np.ndarray  # packed W.T (I, 3*H)
    panels_hh: np.ndarray  # packed U_o.T (H, H)
    bias: np.ndarray  # (3*H)
    peephole: np.ndarray  # (2, H) p_f, p_z
    lengths: np.ndarray  # (B) or (0)
    batch: int
    reverse: bool


@jit_exact
def state_forward(c, z, c_before, bias, p):
    """One row, one tick: the first two blocks of z (3*H) become f and z; c (H) is written."""
    n = c.size
    one = bias.dtype.type(1)
    for j in range(0, n, width(c)):
        live = mask(n - j)
        before = load(c_before, j, live)
        f = sigmoid(load(z, j, live) + load(bias, j, live) + load(p[0], j, live) * before)
        g = tanh(load(z, n + j, live) + load(bias, n + j, live) + load(p[1], j, live) * before)
        store(z, j, live, f)
        store(z, n + j, live, g)
        store(c, j, live, f * before + (one - f) * g)


@jit_exact
def output_forward(h, z, c, bias):
    """One row, one tick: the last block of z (3*H) becomes o; h (H) is written."""
    n = h.size
    for j in range(0, n, width(h)):
        live = mask(n - j)
        o = sigmoid(load(z, 2 * n + j, live) + load(bias, 2 * n + j, live))
        store(z, 2 * n + j, live, o)
        store(h, j, live, o * load(c, j, live))


@jit_exact
def output_backward(dh, dc, z, c):
    """One row, one tick: o in z (3*H) becomes its gradient; dc (H) gains dh * o; dh (H) is used up and left at zero."""
    n = dh.size
    one = c.dtype.type(1)
    for j in range(0, n, width(dh)):
        live = mask(n - j)
        above, o = load(dh, j, live), load(z, 2 * n + j, live)
        store(z, 2 * n + j, live, above * load(c, j, live) * o * (one - o))
        store(dc, j, live, load(dc, j, live) + above * o)
    sequence.clear_row(dh)


@jit_exact
def state_backward(dc, z, c_before, p):
    """One row, one tick: f and z in z (3*H) become their gradients; dc (H) goes from that of c(t) to that of c(t-1)."""
    n = dc.size
    one = dc.dtype.type(1)
    for j in range(0, n, width(dc)):
        live = mask(n - j)
        above, before = load(dc, j, live), load(c_before, j, live)
        f, g = load(z, j, live), load(z, n + j, live)
        d_f = above * (before - g) * f * (one - f)
        d_z = above * (one - f) * (one - g * g)
        store(z, j, live, d_f)
        store(z, n + j, live, d_z)
        store(dc, j, live, above * f + d_f * load(p[0], j, live) + d_z * load(p[1], j, live))


@jit_exact
def elstm_forward(walk, lo, hi):
    """All ticks of rows lo..hi: fills z with gates, and h and c."""
    steps, n = walk.x.shape[0] // walk.batch, walk.h.shape[1]
    for s in range(steps):
        t, before, after = sequence.tick(s, steps, walk.reverse)
        now, old, new = t * walk.batch, before * walk.batch, after * walk.batch
        sequence.project_inputs(walk.z, walk.x, walk.panels_ih, s, steps, walk.batch, lo, hi, walk.reverse)
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.copy_row(walk.c[new + b], walk.c[old + b])
            else:
                state_forward(walk.c[new + b], walk.z[now + b], walk.c[old + b], walk.bias, walk.peephole)
        product_packed(walk.z[now + lo : now + hi, 2 * n :], walk.c[new + lo : new + hi], walk.panels_hh, True)
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.copy_row(walk.h[new + b], walk.h[old + b])
            else:
                output_forward(walk.h[new + b], walk.z[now + b], walk.c[new + b], walk.bias)


@jit_exact
def elstm_backward(walk, dh, dc, dy, panels, lo, hi):
    """All ticks of rows lo..hi backwards: z becomes its gradient; dh, dc (B, H) go from the last to the first state.

    dy (R, H) is the gradient of the outputs from above, or empty; panels is the packed U_o (H, H).
    """
    steps, n = walk.x.shape[0] // walk.batch, walk.h.shape[1]
    for s in range(steps - 1, -1, -1):
        t, before, after = sequence.tick(s, steps, walk.reverse)
        now, old, new = t * walk.batch, before * walk.batch, after * walk.batch
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.clear_row(walk.z[now + b])
                continue
            if dy.size > 0:
                sequence.add_row(dh[b], dy[now + b])
            output_backward(dh[b], dc[b], walk.z[now + b], walk.c[new + b])
        product_packed(dc[lo:hi], walk.z[now + lo : now + hi, 2 * n :], panels, True)
        for b in range(lo, hi):
            if not sequence.ended(walk.lengths, b, t):
                state_backward(dc[b], walk.z[now + b], walk.c[old + b], walk.peephole)


@jit_parallel
def _forward_parallel(walk, tasks):
    for task in numba.prange(tasks):
        elstm_forward(walk, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_parallel
def _backward_parallel(walk, dh, dc, dy, panels, tasks):
    for task in numba.prange(tasks):
        elstm_backward(walk, dh, dc, dy, panels, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_exact
def elstm_linearise(out, z, u, c_before, p):
    """Fill `out` from one row's z (3*H), W x + b, the matrix u = U_o (H, H) and old cell states (H)."""
    n = c_before.size
    one = z.dtype.type(1)
    for j in range(n):
        f, g = sigmoid(z[j] + p[0, j] * c_before[j]), tanh(z[n + j] + p[1, j] * c_before[j])
        out.state[1, j] = f * c_before[j] + (one - f) * g
        out.gain[1, 0, j] = (c_before[j] - g) * f * (one - f)
        out.gain[1, 1, j] = (one - f) * (one - g * g)
        out.direct[1, 1, j] = f + p[0, j] * out.gain[1, 0, j] + p[1, j] * out.gain[1, 1, j]
        out.own_source[0, j] = out.own_source[1, j] = c_before[j]
        # The output gate's message is the new c.
        out.message[2, j] = out.state[1, j]
        out.message_direct[2, 1, j] = out.direct[1, 1, j]
        out.message_gain[2, 0, j], out.message_gain[2, 1, j] = out.gain[1, 0, j], out.gain[1, 1, j]
    for j in range(n):
        a = z[2 * n + j]
        for i in range(n):
            a += u[j, i] * out.state[1, i]
        o, c = sigmoid(a), out.state[1, j]
        out.state[0, j] = o * c
        out.direct[0, 1, j] = o * out.direct[1, 1, j]
        out.gain[0, 0, j], out.gain[0, 1, j] = o * out.gain[1, 0, j], o * out.gain[1, 1, j]
        out.gain[0, 2, j] = c * o * (one - o)


@jit_borrowed
def elstm_tick(out, theta, x, before, work, structure):
    """One tick from the flat parameters."""
    n, places = before.shape[1], structure.places
    z, weights = work[: 3 * n], theta[places[0] : places[0] + places[5]].reshape(3 * n, x.size)
    for j in range(3 * n):
        total = z.dtype.type(0)
        for k in range(2, 4):
            if places[k] >= 0:
                total += theta[places[k] + j]
        for i in range(x.size):
            total += weights[j, i] * x[i]
        z[j] = total
    u = theta[places[1] : places[1] + n * n].reshape(n, n)
    p = theta[places[4] : places[4] + 2 * n].reshape(2, n)
    elstm_linearise(out, z, u, before[1], p)


class ELSTM(interface.Cell):
    """The element-wise recurrent LSTM; equations and options at the top of the file.

    Parameters: weight_ih (3*H, I), weight_hh (H, H), bias_ih and bias_hh (3*H), weight_peephole (2, H). Raises `RnnsimError` for
    sizes below 1 and unknown options.

    >>> cell = ELSTM(3, 5, "float32")
    >>> [shape for name, shape in cell.shapes()]
    [(15, 3), (5, 5), (15,), (2, 5)]
    """

    state_names = ("h", "c")
    carried = "c"
    trace_names = ("f", "z", "o", "c", "h")
    own_groups = (0, 1)
    examples = (dict(forget_bias=-2.0),)
    gate_dependent = True  # the output gate sees the new state

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
        self._walk = None

    tick = staticmethod(elstm_tick)

    def tick_options(self):
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

    def _bias(self):
        total = self.buffer("bias", 3 * self.hidden)
        total[...] = 0
        for name, _ in interface.bias_shapes(self.bias, 1):
            total += self.weights[name]
        return total

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, u = self.weights["weight_ih"], self.weights["weight_hh"]
        self._walk = walk = ELSTMWalk(
            x.reshape(steps * batch, -1),
            self.buffer("z", steps * batch, w.shape[0]),
            self.slots("h", steps, batch, state[0], reverse),
            self.slots("c", steps, batch, state[1], reverse),
            packed(self.space, "panels_ih", w.T),
            packed(self.space, "panels_hh", u.T),
            self._bias(),
            self.weights["weight_peephole"],
            lengths,
            batch,
            reverse,
        )
        tasks = sequence.row_tasks(steps, batch, w.size + u.size)
        sequence.over_rows(elstm_forward, _forward_parallel, tasks, batch, walk)
        return interface.states_after(walk.h, steps, batch, reverse)

    def slots_of_walk(self):
        walk = self._walk
        return (walk.h, walk.c), walk.batch, walk.reverse

    def backward(self, dy, d_state, dx=None):
        walk, weights, gradients, n = self._walk, self.weights, self.gradients, self.hidden
        rows, batch = walk.x.shape[0], walk.batch
        dh, dc = d_state
        dy = self.buffer("none", 0, n) if dy is None else dy.reshape(rows, n)
        panels = packed(self.space, "panels_back", weights["weight_hh"])
        tasks = sequence.row_tasks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(elstm_backward, _backward_parallel, tasks, batch, walk, dh, dc, dy, panels)

        c_after = interface.states_after(walk.c, rows // batch, batch, walk.reverse).reshape(rows, n)
        c_before = interface.states_before(walk.c, rows // batch, batch, walk.reverse)
        bias = self.buffer("d_bias", 3 * n)
        bias[...] = 0
        weight_gradient(gradients["weight_hh"], bias[:0], walk.z, c_after, self.scratch, 2 * n)
        weight_gradient(gradients["weight_ih"], bias, walk.z, walk.x, self.scratch)
        for name, _ in interface.bias_shapes(self.bias, 1):
            gradients[name] += bias
        for row in range(2):
            diagonal_gradient(gradients["weight_peephole"][row], walk.z[:, row * n : (row + 1) * n], c_before)
        if dx is not None:
            multiply_rows(dx.reshape(rows, -1), walk.z, packed(self.space, "panels_dx", weights["weight_ih"]), bias[:0])

    def traces(self):
        walk, n = self._walk, self.hidden
        steps = walk.x.shape[0] // walk.batch
        gates = walk.z.reshape(steps, walk.batch, -1)
        found = {gate: gates[:, :, block * n : (block + 1) * n] for block, gate in enumerate("fzo")}
        for name, array in (("c", walk.c), ("h", walk.h)):
            found[name] = interface.states_after(array, steps, walk.batch, walk.reverse)
        return found

    def linearise(self, x, state):
        out = interface.Linearised.empty(2, 3, self.hidden, 2, self.dtype)
        weights = self.weights
        elstm_linearise(
            out, weights["weight_ih"] @ x + self._bias(), weights["weight_hh"], state[1], weights["weight_peephole"]
        )
        return out
