"""Long short-term memory with forget gate (Gers, Schmidhuber & Cummins 2000), in the form of Graves (2013).

With s the logistic function and * the element-wise product, at tick t::

    i = s(W_i x(t) + U_i h(t-1) + p_i * c(t-1) + b_i)        input gate
    f = s(W_f x(t) + U_f h(t-1) + p_f * c(t-1) + b_f)        forget gate
    g = tanh(W_g x(t) + U_g h(t-1) + b_g)                    cell input
    c(t) = f * c(t-1) + i * g                                cell state
    o = s(W_o x(t) + U_o h(t-1) + p_o * c(t) + b_o)          output gate
    h(t) = o * tanh(c(t))                                    output

Options
    peepholes       the p terms (Gers, Schraudolph & Schmidhuber 2002); without it p = 0
    gates           "full" as above; "no-forget": f = 1 (the constant error carousel of 1997);
                    "coupled": i = 1 - f (Greff et al. 2017, CIFG)
    bias            "single": one bias vector; "double": b = bias_ih + bias_hh as in PyTorch; "none"
    forget_bias     what the forget gate's bias starts from

Rows of the weights lie gate by gate in the order i, f, g, o of PyTorch; absent gates have no rows. The cell with its own
learning rule of 1997 (memory blocks, truncated gradient) is another system with another file.
"""

import math
from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel
from rnnsim.core.products import diagonal_gradient, multiply_rows, packed, weight_gradient
from rnnsim.core.registry import one_of, require
from rnnsim.core.simd import load, mask, store, width
from rnnsim.core.vmath import sigmoid, tanh

FULL, NO_FORGET, COUPLED = 0, 1, 2
GATES = {"full": ("i", "f", "g", "o"), "no-forget": ("i", "g", "o"), "coupled": ("f", "g", "o")}


class LSTMWalk(NamedTuple):
    """One layer on one batch, as the kernels see it. R = ticks * batch rows, G = number of gates."""

    x: np.ndarray  # (R, I) inputs
    z: np.ndarray  # (R, G*H) pre-activations, then gates, then gradients of the pre-activations
    h: np.ndarray  # (R + B, H) outputs, one slot more than ticks
    c: np.ndarray  # (R + B, H) cell states
    panels_ih: np.ndarray  # packed W.T (I, G*H)
    panels_hh: np.ndarray  # packed U.T (H, G*H)
    bias: np.ndarray  # (G*H)
    peephole: np.ndarray  # (3, H) p_i, p_f, p_o
    lengths: np.ndarray  # (B) or (0)
    batch: int
    reverse: bool
    kind: int


@jit_exact
def gates_forward(h, c, z, c_before, bias, p, kind):
    """One row, one tick: pre-activations z (G*H) become gates; c (H) and h (H) are written."""
    n = h.size
    one = bias.dtype.type(1)
    last = 3 if kind == FULL else 2
    for j in range(0, n, width(h)):
        live = mask(n - j)
        before = load(c_before, j, live)
        a = load(z, j, live) + load(bias, j, live)
        g = tanh(load(z, (last - 1) * n + j, live) + load(bias, (last - 1) * n + j, live))
        if kind == FULL:
            i = sigmoid(a + load(p[0], j, live) * before)
            f = sigmoid(load(z, n + j, live) + load(bias, n + j, live) + load(p[1], j, live) * before)
            state = f * before + i * g
            store(z, j, live, i)
            store(z, n + j, live, f)
        elif kind == NO_FORGET:
            i = sigmoid(a + load(p[0], j, live) * before)
            state = before + i * g
            store(z, j, live, i)
        else:
            f = sigmoid(a + load(p[1], j, live) * before)
            state = f * before + (one - f) * g
            store(z, j, live, f)
        o = sigmoid(load(z, last * n + j, live) + load(bias, last * n + j, live) + load(p[2], j, live) * state)
        store(z, (last - 1) * n + j, live, g)
        store(z, last * n + j, live, o)
        store(c, j, live, state)
        store(h, j, live, o * tanh(state))


@jit_exact
def gates_backward(dh, dc, z, c, c_before, p, kind):
    """One row, one tick: gates z (G*H) become gradients of the pre-activations.

    dc (H) goes from the gradient of c(t) to that of c(t-1); dh (H), the gradient of h(t), is used up and left at zero.
    """
    n = dh.size
    one = c.dtype.type(1)
    last = 3 if kind == FULL else 2
    for j in range(0, n, width(dh)):
        live = mask(n - j)
        before, above = load(c_before, j, live), load(dh, j, live)
        g, o = load(z, (last - 1) * n + j, live), load(z, last * n + j, live)
        squashed = tanh(load(c, j, live))
        d_o = above * squashed * o * (one - o)
        d_c = load(dc, j, live) + above * o * (one - squashed * squashed) + d_o * load(p[2], j, live)
        if kind == FULL:
            i, f = load(z, j, live), load(z, n + j, live)
            d_i = d_c * g * i * (one - i)
            d_f = d_c * before * f * (one - f)
            d_before = d_c * f + d_i * load(p[0], j, live) + d_f * load(p[1], j, live)
            store(z, j, live, d_i)
            store(z, n + j, live, d_f)
        elif kind == NO_FORGET:
            i = load(z, j, live)
            d_i = d_c * g * i * (one - i)
            d_before = d_c + d_i * load(p[0], j, live)
            store(z, j, live, d_i)
        else:
            f = load(z, j, live)
            i = one - f
            d_f = d_c * (before - g) * f * i
            d_before = d_c * f + d_f * load(p[1], j, live)
            store(z, j, live, d_f)
        store(z, (last - 1) * n + j, live, d_c * i * (one - g * g))
        store(z, last * n + j, live, d_o)
        store(dc, j, live, d_before)
    sequence.clear_row(dh)


@jit_exact
def lstm_forward(walk, lo, hi):
    """All ticks of rows lo..hi: fills z with gates, and h and c."""
    steps = walk.x.shape[0] // walk.batch
    for s in range(steps):
        t, before, after = sequence.tick(s, steps, walk.reverse)
        now, old, new = t * walk.batch, before * walk.batch, after * walk.batch
        sequence.project_inputs(walk.z, walk.x, walk.panels_ih, s, steps, walk.batch, lo, hi, walk.reverse)
        product_packed(walk.z[now + lo : now + hi], walk.h[old + lo : old + hi], walk.panels_hh, True)
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.copy_row(walk.c[new + b], walk.c[old + b])
                sequence.copy_row(walk.h[new + b], walk.h[old + b])
            else:
                gates_forward(
                    walk.h[new + b],
                    walk.c[new + b],
                    walk.z[now + b],
                    walk.c[old + b],
                    walk.bias,
                    walk.peephole,
                    walk.kind,
                )


@jit_exact
def lstm_backward(walk, dh, dc, dy, panels, lo, hi):
    """All ticks of rows lo..hi backwards: z becomes its gradient; dh, dc (B, H) go from the last to the first state.

    dy (R, H) is the gradient of the outputs from above, or empty; panels is the packed U (G*H, H).
    """
    steps = walk.x.shape[0] // walk.batch
    for s in range(steps - 1, -1, -1):
        t, before, after = sequence.tick(s, steps, walk.reverse)
        now, old, new = t * walk.batch, before * walk.batch, after * walk.batch
        for b in range(lo, hi):
            if sequence.ended(walk.lengths, b, t):
                sequence.clear_row(walk.z[now + b])
                continue
            if dy.size > 0:
                sequence.add_row(dh[b], dy[now + b])
            gates_backward(dh[b], dc[b], walk.z[now + b], walk.c[new + b], walk.c[old + b], walk.peephole, walk.kind)
        product_packed(dh[lo:hi], walk.z[now + lo : now + hi], panels, True)


@jit_parallel
def _forward_parallel(walk, tasks):
    for task in numba.prange(tasks):
        lstm_forward(walk, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_parallel
def _backward_parallel(walk, dh, dc, dy, panels, tasks):
    for task in numba.prange(tasks):
        lstm_backward(walk, dh, dc, dy, panels, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_exact
def lstm_linearise(out, z, c_before, h_before, p, kind):
    """Fill `out` from one row's pre-activations z (G*H, biases included, peephole terms not) and old states (H)."""
    n = c_before.size
    one = z.dtype.type(1)
    last = 3 if kind == FULL else 2
    for j in range(n):
        if kind == FULL:
            i = sigmoid(z[j] + p[0, j] * c_before[j])
            f = sigmoid(z[n + j] + p[1, j] * c_before[j])
        elif kind == NO_FORGET:
            i, f = sigmoid(z[j] + p[0, j] * c_before[j]), one
        else:
            f = sigmoid(z[j] + p[1, j] * c_before[j])
            i = one - f
        g = tanh(z[(last - 1) * n + j])
        c = f * c_before[j] + i * g
        o = sigmoid(z[last * n + j] + p[2, j] * c)
        squashed = tanh(c)
        h_c = o * (one - squashed * squashed) + squashed * o * (one - o) * p[2, j]  # dh/dc, the peephole included
        out.state[0, j], out.state[1, j] = o * squashed, c
        if kind == FULL:
            out.gain[1, 0, j] = g * i * (one - i)
            out.gain[1, 1, j] = c_before[j] * f * (one - f)
            out.direct[1, 1, j] = f + out.gain[1, 0, j] * p[0, j] + out.gain[1, 1, j] * p[1, j]
        else:
            out.gain[1, 0, j] = g * i * (one - i) if kind == NO_FORGET else (c_before[j] - g) * f * (one - f)
            out.direct[1, 1, j] = f + out.gain[1, 0, j] * p[kind - 1, j]
        out.direct[0, 1, j] = h_c * out.direct[1, 1, j]
        for row in range(out.own_source.shape[0]):
            out.own_source[row, j] = c if row == out.own_source.shape[0] - 1 else c_before[j]
        out.gain[1, last - 1, j] = i * (one - g * g)
        for group in range(last):
            out.gain[0, group, j] = h_c * out.gain[1, group, j]
        out.gain[0, last, j] = squashed * o * (one - o)
        for group in range(last + 1):
            out.message[group, j] = h_before[j]
            out.message_direct[group, 0, j] = one


@jit_borrowed
def lstm_tick(out, theta, x, before, work, structure):
    """One tick from the flat parameters; options: gate arrangement, gates, rows of the peepholes of i, f, o or -1."""
    n, kind, rows = before.shape[1], structure.options[0], structure.options[1] * before.shape[1]
    z, p = work[:rows], work[4 * n : 7 * n].reshape(3, n)
    sequence.pre_activations(z, theta, structure.places, x, before[0])
    for gate in range(3):
        row = structure.options[2 + gate]
        for j in range(n):
            p[gate, j] = theta[structure.places[4] + row * n + j] if row >= 0 else 0
    lstm_linearise(out, z, before[1], before[0], p, kind)


class LSTM(interface.Cell):
    """Long short-term memory; equations and options at the top of the file.

    Parameters: weight_ih (G*H, I), weight_hh (G*H, H), bias_ih and bias_hh (G*H), weight_peephole (rows, H) with one
    row for each gate that looks at the cell state. Raises `RnnsimError` for sizes below 1 and unknown options.

    >>> cell = LSTM(3, 5, "float32", peepholes=True)
    >>> [name for name, shape in cell.shapes()]
    ['weight_ih', 'weight_hh', 'bias_ih', 'weight_peephole']
    """

    state_names = ("h", "c")
    examples = (dict(forget_bias=-2.0),)

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
        # The peephole vectors p_i, p_f, p_o that there are, and the gate that each belongs to.
        self._looking = [gate for gate in "ifo" if gate in self.gates] if peepholes else []
        self.trace_names = (*self.gates, "c", "h")
        self.groups = tuple(
            interface.Group(gate, block, block, tuple((name, block) for name, _ in interface.bias_shapes(bias, 1)))
            for block, gate in enumerate(self.gates)
        )
        self.own_groups = tuple(self.gates.index(gate) for gate in self._looking)
        self._walk = None

    tick = staticmethod(lstm_tick)

    def tick_options(self):
        rows = [self._looking.index(gate) if gate in self._looking else -1 for gate in "ifo"]
        return [self.kind, len(self.gates), *rows], []

    def shapes(self):
        rows = len(self.gates) * self.hidden
        shapes = [("weight_ih", (rows, self.n_inputs)), ("weight_hh", (rows, self.hidden))]
        shapes += interface.bias_shapes(self.bias, rows)
        return shapes + ([("weight_peephole", (len(self._looking), self.hidden))] if self._looking else [])

    def initialise(self, weights, rng):
        super().initialise(weights, rng)
        if "f" in self.gates and self.bias != "none":
            block = self.gates.index("f") * self.hidden
            weights["bias_ih"][block : block + self.hidden] = self.forget_bias
            if self.bias == "double":
                weights["bias_hh"][block : block + self.hidden] = 0

    def _bias(self):
        total = self.buffer("bias", len(self.gates) * self.hidden)
        total[...] = 0
        for name, _ in interface.bias_shapes(self.bias, 1):
            total += self.weights[name]
        return total

    def _peephole(self):
        vectors = self.buffer("peephole", 3, self.hidden)
        vectors[...] = 0
        for row, gate in enumerate(self._looking):
            vectors["ifo".index(gate)] = self.weights["weight_peephole"][row]
        return vectors

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, u = self.weights["weight_ih"], self.weights["weight_hh"]
        self._walk = walk = LSTMWalk(
            x.reshape(steps * batch, -1),
            self.buffer("z", steps * batch, w.shape[0]),
            self.slots("h", steps, batch, state[0], reverse),
            self.slots("c", steps, batch, state[1], reverse),
            packed(self.space, "panels_ih", w.T),
            packed(self.space, "panels_hh", u.T),
            self._bias(),
            self._peephole(),
            lengths,
            batch,
            reverse,
            self.kind,
        )
        tasks = sequence.row_tasks(steps, batch, w.size + u.size)
        sequence.over_rows(lstm_forward, _forward_parallel, tasks, batch, walk)
        return interface.states_after(walk.h, steps, batch, reverse)

    def slots_of_walk(self):
        walk = self._walk
        return (walk.h, walk.c), walk.batch, walk.reverse

    def backward(self, dy, d_state, dx=None):
        walk, weights, gradients = self._walk, self.weights, self.gradients
        rows, batch = walk.x.shape[0], walk.batch
        dh, dc = d_state
        dy = self.buffer("none", 0, self.hidden) if dy is None else dy.reshape(rows, self.hidden)
        panels = packed(self.space, "panels_back", weights["weight_hh"])
        tasks = sequence.row_tasks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(lstm_backward, _backward_parallel, tasks, batch, walk, dh, dc, dy, panels)

        h_before = interface.states_before(walk.h, rows // batch, batch, walk.reverse)
        bias = self.buffer("d_bias", len(self.gates) * self.hidden)
        bias[...] = 0
        weight_gradient(gradients["weight_hh"], bias, walk.z, h_before, self.scratch)
        weight_gradient(gradients["weight_ih"], bias[:0], walk.z, walk.x, self.scratch)
        for name, _ in interface.bias_shapes(self.bias, 1):
            gradients[name] += bias
        for row, gate in enumerate(self._looking):
            block = self.gates.index(gate) * self.hidden
            seen = interface.states_before if gate != "o" else interface.states_after
            c = seen(walk.c, rows // batch, batch, walk.reverse).reshape(rows, -1)
            diagonal_gradient(gradients["weight_peephole"][row], walk.z[:, block : block + self.hidden], c)
        if dx is not None:
            multiply_rows(dx.reshape(rows, -1), walk.z, packed(self.space, "panels_dx", weights["weight_ih"]), bias[:0])

    def traces(self):
        walk, n = self._walk, self.hidden
        steps = walk.x.shape[0] // walk.batch
        gates = walk.z.reshape(steps, walk.batch, -1)
        found = {gate: gates[:, :, block * n : (block + 1) * n] for block, gate in enumerate(self.gates)}
        for name, array in (("c", walk.c), ("h", walk.h)):
            found[name] = interface.states_after(array, steps, walk.batch, walk.reverse)
        return found

    def linearise(self, x, state):
        out = interface.Linearised.empty(2, len(self.gates), self.hidden, len(self._looking), self.dtype)
        z = self.weights["weight_ih"] @ x + self.weights["weight_hh"] @ state[0] + self._bias()
        lstm_linearise(out, z, state[1], state[0], self._peephole(), self.kind)
        return out
