"""The fully recurrent network (Williams & Zipser 1989; Elman 1990); equations and options at `FullyRecurrent`."""

from typing import Any, Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.cells.connections import TABLES
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_formula, jit_parallel
from rnnsim.core.padding import ONE, ZERO, packed_columns, packed_rows, vectors
from rnnsim.core.products import multiply_rows, weight_gradient
from rnnsim.core.reading import at_home, read_npy
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.simd import clip, select_positive
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.errors import RnnsimError

TANH, LOGISTIC, RECTIFIER, IDENTITY, SATURATED = 0, 1, 2, 3, 4
ACTIVATIONS = ("tanh", "logistic", "rectifier", "identity", "saturated-linear")


# -- the equations, for one unit or for a vector of units --------------------------------------------------------------


@jit_formula
def activation(s, kind):
    """f(s)."""
    if kind == TANH:
        return tanh(s)
    if kind == LOGISTIC:
        return sigmoid(s)
    if kind == RECTIFIER:
        return clip(s, 0.0, np.inf)
    if kind == SATURATED:
        return clip(s, 0.0, 1.0)
    return s


@jit_formula
def activation_backward(d, f, kind):
    """The gradient of s from that of f = f(s): d f'(s)."""
    if kind == TANH:
        return d * (ONE - f * f)
    if kind == LOGISTIC:
        return d * (f * (ONE - f))
    if kind == RECTIFIER:
        return select_positive(f, d, d * ZERO)
    if kind == SATURATED:
        d = select_positive(f, d, d * ZERO)
        return select_positive(ONE - f, d, d * ZERO)
    return d


@jit_formula
def new_state(f, y, leak):
    """y(t) from f(s) and y = y(t-1)."""
    return y + leak * (f - y)


@jit_formula
def new_state_backward(dy, f, leak, kind):
    """Gradients of s and, past the activation, of y(t-1), from that of y(t)."""
    return activation_backward(dy * leak, f, kind), dy * (ONE - leak)


# -- one row, one time step --------------------------------------------------------------------------------------------


class RNNTape(NamedTuple):
    """One layer on one batch, as the kernels see it. R = time steps * batch rows, P = H padded to whole vectors."""

    x: np.ndarray  # (R, I) inputs
    f: np.ndarray  # (R, P) pre-activations, then f(s), then gradients of the pre-activations
    y: np.ndarray  # (R + B, P) states, one slot more than time steps
    panels_ih: np.ndarray  # packed W (P, I)
    panels_hh: np.ndarray  # packed U (P, H), zero where a unit that is computed last sees this time step
    late: np.ndarray  # (L, H - L) those weights
    bias: np.ndarray  # (P)
    leak: np.ndarray  # (1) a
    lengths: np.ndarray  # (B) or (0)
    batch: int
    hidden: int
    reverse: bool
    delayed: bool
    kind: int


class RNNGradient(NamedTuple):
    """What the backward pass of a layer has beside its tape."""

    dh: np.ndarray  # (B, P) gradient of the state, goes from the last to the first
    dy: np.ndarray  # (R, H) that of the outputs from above, or empty
    panels_hh: np.ndarray  # packed U.T (H, P)


@jit_borrowed
def forward_row(tape, row, old, new):
    """From the products with W and U: f(s) and the new state."""
    f, b, y, y_new = vectors(tape.f[row]), vectors(tape.bias), vectors(tape.y[old]), vectors(tape.y[new])
    leak = tape.leak[0]
    for j in range(len(f)):
        f[j] = activation(f[j] + b[j], tape.kind)
        y_new[j] = f[j] if leak == 1 else new_state(f[j], y[j], leak)


@jit_borrowed
def forward_row_late(tape, row, new):
    """The same where the first L units see the others as they are now; without leak."""
    f, b, y_new, late = tape.f[row], tape.bias, tape.y[new], tape.late.shape[0]
    for j in range(late, f.size):
        f[j] = activation(f[j] + b[j], tape.kind)
    for i in range(late):
        for j in range(tape.late.shape[1]):
            f[i] += tape.late[i, j] * f[late + j]
        f[i] = activation(f[i] + b[i], tape.kind)
    for j in range(f.size):
        y_new[j] = f[j]


@jit_borrowed
def backward_row(tape, d, row, b):
    """f(s) becomes the gradient of the pre-activation; dh goes past the activation."""
    f, dh, leak = vectors(tape.f[row]), vectors(d.dh[b]), tape.leak[0]
    for j in range(len(f)):
        f[j], dh[j] = new_state_backward(dh[j], f[j], leak, tape.kind)


@jit_borrowed
def backward_row_late(tape, d, row, b):
    """The same where the first L units see the others as they are now."""
    f, dh, leak, late = tape.f[row], d.dh[b], tape.leak[0], tape.late.shape[0]
    for i in range(late):
        f[i], dh[i] = new_state_backward(dh[i], f[i], leak, tape.kind)
        for j in range(tape.late.shape[1]):
            dh[late + j] += tape.late[i, j] * f[i]
    for j in range(late, f.size):
        f[j], dh[j] = new_state_backward(dh[j], f[j], leak, tape.kind)


# -- all time steps of rows lo..hi -------------------------------------------------------------------------------------


@jit_exact
def rnn_forward(tape, lo, hi):
    """Fills f, and y."""
    batch = tape.batch
    steps = tape.x.shape[0] // batch
    for s in range(steps):
        now, old, new = sequence.place(s, steps, batch, tape.reverse)
        sequence.project_inputs(tape.f, tape.x, tape.panels_ih, s, steps, batch, lo, hi, tape.reverse)
        y = tape.y[old + lo : old + hi, : tape.hidden]
        product_packed(tape.f[now + lo : now + hi], y, tape.panels_hh, True)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.copy_row(tape.y[new + b], tape.y[old + b])
            elif tape.late.shape[0] > 0:
                forward_row_late(tape, now + b, new + b)
            else:
                forward_row(tape, now + b, old + b, new + b)


@jit_exact
def rnn_backward(tape, d, lo, hi):
    """f becomes its gradient; d.dh goes from the last to the first state."""
    batch = tape.batch
    steps = tape.x.shape[0] // batch
    for s in range(steps - 1, -1, -1):
        now, _, _ = sequence.place(s, steps, batch, tape.reverse)
        for b in range(lo, hi):
            if sequence.ended(tape.lengths, b, now // batch):
                sequence.clear_row(tape.f[now + b])
                continue
            if d.dy.size > 0 and not tape.delayed:
                sequence.add_row(d.dh[b], d.dy[now + b])
            if tape.late.shape[0] > 0:
                backward_row_late(tape, d, now + b, b)
            else:
                backward_row(tape, d, now + b, b)
        product_packed(d.dh[lo:hi], tape.f[now + lo : now + hi], d.panels_hh, True)
        if tape.delayed and d.dy.size > 0:
            for b in range(lo, hi):
                if not sequence.ended(tape.lengths, b, now // batch):
                    sequence.add_row(d.dh[b], d.dy[now + b])


@jit_parallel
def _forward_parallel(tape, chunks):
    for chunk in numba.prange(chunks):
        rnn_forward(tape, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


@jit_parallel
def _backward_parallel(tape, d, chunks):
    for chunk in numba.prange(chunks):
        rnn_backward(tape, d, tape.batch * chunk // chunks, tape.batch * (chunk + 1) // chunks)


# -- one time step, linearised -----------------------------------------------------------------------------------------


@jit_exact
def rnn_linearise(out, s, y, leak, kind):
    """Fill `out` from one row's pre-activation s (H) and old state y (H)."""
    for j in range(s.size):
        s[j] = activation(s[j], kind)
    for j in range(s.size):
        out.state[0, j] = s[j] if leak == 1 else new_state(s[j], y[j], leak)
        out.gain[0, 0, j], out.direct[0, 0, j] = new_state_backward(ONE, s[j], leak, kind)
        out.recurrent_input[0, j] = y[j]
        out.recurrent_input_direct[0, 0, j] = ONE


@jit_borrowed
def rnn_time_step(out, theta, x, before, work, structure):
    """One time step from the flat parameters; options: activation; numbers: leak."""
    s = work[: before.shape[1]]
    sequence.pre_activations(s, theta, structure.places, x, before[0])
    rnn_linearise(out, s, before[0], structure.numbers[0], structure.options[0])


class FullyRecurrent(interface.Cell):
    """The fully recurrent network: every unit feeds every unit and itself (Williams & Zipser 1989; Elman 1990).

    With activation f and leak a, at time step t::

        s(t) = W x(t) + U y(t-1) + b
        y(t) = (1 - a) y(t-1) + a f(s(t))

    Parameters
    ----------
    n_inputs, hidden : numbers of inputs I and units H
    dtype : "float32" or "float64"
    activation : "tanh", "logistic", "rectifier", "identity", or "saturated-linear" (0 below 0, x between 0 and 1, 1 above:
        Siegelmann & Sontag 1995)
    leak : a in (0, 1]; 1 is the plain network
    input_delay : Williams & Zipser's timing: the input of time step t reaches the outputs at t + 1 at the earliest, so the output
        of time step t is y(t-1) above
    density : fraction of the recurrent connections that exist (drawn once, by `connection_seed`)
    connections : (H, I + H) table, or the path of one as .npy: 1 trainable, 0 frozen, -1 absent (the weight is zero); with one
        column more, the last one is that of the biases. Or one of `rnnsim.cells.connections` by its name: guess-a1, guess-a2
    outputs_last : so many units, the first ones, are computed last in every time step: they see the other units as they are at
        t, not at t - 1 (weight guessing of 1996 needs it for parity); for leak 1
    bias : "single", one bias vector; "double", b = bias_ih + bias_hh as in PyTorch; "none"

    Weights are weight_ih (H, I), weight_hh (H, H), bias_ih and bias_hh (H). Raises `RnnsimError` for sizes below 1, a leak
    outside (0, 1], a density outside [0, 1], and a table of connections of the wrong shape or with other values.

    >>> cell = FullyRecurrent(2, 3, activation="logistic", input_delay=True)
    >>> [shape for name, shape in cell.shapes()]
    [(3, 2), (3, 3), (3,)]
    """

    trace_names = ("f", "h")
    tested_options = (
        dict(leak=0.3),
        dict(leak=0.3, input_delay=True),
        dict(leak=0.7, bias="none", activation="logistic"),
        dict(density=0.5, connection_seed=3),
        dict(connections="guess-a1", outputs_last=1),
        dict(outputs_last=2, activation="logistic", bias="double"),
        dict(outputs_last=1, input_delay=True, activation="rectifier"),
    )

    def __init__(
        self,
        n_inputs: int,
        hidden: int,
        dtype: str = "float32",
        activation: Literal["tanh", "logistic", "rectifier", "identity", "saturated-linear"] = "tanh",
        leak: float = 1.0,
        input_delay: bool = False,
        density: float = 1.0,
        connection_seed: int = 0,
        connections: Any | None = None,
        outputs_last: int = 0,
        bias: Literal["single", "double", "none"] = "single",
    ):
        super().__init__(n_inputs, hidden, dtype)
        require(0 < leak <= 1, f"leak={leak}: expected a number above 0 and up to 1")
        require(0 <= density <= 1, f"density={density}: expected a number from 0 to 1")
        self.kind, self.leak, self.bias = ACTIVATIONS.index(one_of("activation", activation, ACTIVATIONS)), leak, bias
        self.input_delay = input_delay
        self.plain_units = leak == 1 and not input_delay
        inside = 0 <= outputs_last < hidden
        require(
            inside, f"outputs_last={outputs_last}: expected a number from 0 to {hidden - 1}, below the number of units"
        )
        require(not outputs_last or leak == 1, f"leak={leak}: expected 1 with outputs_last={outputs_last}")
        self.outputs_last = outputs_last
        at_least("connection_seed", connection_seed, 0)
        table = _connection_table(connections, density, connection_seed, hidden, n_inputs)
        self.connections = None if table is None else table[:, : n_inputs + hidden]
        self.bias_connections = None if table is None or table.shape[1] == n_inputs + hidden else table[:, -1]
        require(
            bias != "none" or self.bias_connections is None,
            "bias=none: the table of connections has a column of biases",
        )
        biases = tuple((name, 0) for name, _ in interface.bias_shapes(bias, 1))
        self.groups = (interface.Group("f", 0, 0, biases),)

    @staticmethod
    def kept(options):
        """Options as a configuration keeps them: the table of connections itself, not the file that it was read from."""
        table = options.get("connections")
        if table is None or (isinstance(table, str) and table in TABLES):
            return options
        return {**options, "connections": np.asarray(_read_table(table)).tolist()}

    time_step = staticmethod(rnn_time_step)

    def _at_once(self):
        words = "expected 0, as rules that learn while the sequence runs need all units to be computed at once"
        require(not self.outputs_last, f"outputs_last={self.outputs_last}: {words}")

    def time_step_options(self):
        self._at_once()
        return [self.kind], [self.leak]

    def shapes(self):
        shapes = [("weight_ih", (self.hidden, self.n_inputs)), ("weight_hh", (self.hidden, self.hidden))]
        return shapes + interface.bias_shapes(self.bias, self.hidden)

    def initialise(self, weights, rng):
        super().initialise(weights, rng)
        if self.connections is not None:
            weights["weight_ih"][self.connections[:, : self.n_inputs] < 0] = 0
            weights["weight_hh"][self.connections[:, self.n_inputs :] < 0] = 0
        if self.bias_connections is not None:
            for name, _ in interface.bias_shapes(self.bias, 1):
                weights[name][self.bias_connections < 0] = 0

    def trainable(self):
        """See `Cell.trainable`: False where a connection is frozen or absent."""
        if self.connections is None:
            return {}
        trained = self.connections > 0
        found = {"weight_ih": trained[:, : self.n_inputs], "weight_hh": trained[:, self.n_inputs :]}
        if self.bias_connections is not None:
            found |= {name: self.bias_connections > 0 for name, _ in interface.bias_shapes(self.bias, 1)}
        return found

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, u, late = self.weights["weight_ih"], self.weights["weight_hh"], self.outputs_last
        self._tape = tape = RNNTape(
            x=x.reshape(steps * batch, -1),
            f=self.buffer("f", steps * batch, self.padded),
            y=self.slots("y", steps, batch, state[0], reverse),
            panels_ih=packed_columns(self.space, "panels_ih", w),
            panels_hh=packed_columns(self.space, "panels_hh", self._before(u)),
            late=u[:late, late:].copy(),
            bias=self.padded_rows("bias", self.bias_arrays(), 1),
            leak=np.full(1, self.leak, self.dtype),
            lengths=lengths,
            batch=batch,
            hidden=self.hidden,
            reverse=reverse,
            delayed=self.input_delay,
            kind=self.kind,
        )
        chunks = sequence.row_chunks(steps, batch, w.size + u.size)
        sequence.over_rows(rnn_forward, _forward_parallel, chunks, batch, tape)
        return self.outputs(tape.y, steps, batch, reverse != self.input_delay)

    def _before(self, u):
        """The weights (H, H) of the units as they were at the time step before."""
        late = self.outputs_last
        if not late:
            return u
        u = u.copy()
        u[:late, late:] = 0
        return u

    def state_slots(self):
        return [self._tape.y], self._tape.batch, self._tape.reverse

    def backward(self, dy, d_state, dx=None):
        tape, weights, gradients, n = self._tape, self.weights, self.gradients, self.hidden
        rows, batch = tape.x.shape[0], tape.batch
        states = self.padded_gradients(d_state)
        d = RNNGradient(
            dh=states[0],
            dy=self.buffer("none", 0, n) if dy is None else dy.reshape(rows, n),
            panels_hh=packed_rows(self.space, "panels_back", self._before(weights["weight_hh"])),
        )
        chunks = sequence.row_chunks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(rnn_backward, _backward_parallel, chunks, batch, tape, d)
        self.take_gradients(d_state, states)

        bias = self.buffer("d_bias", n)
        bias[...] = 0
        y_before = interface.states_before(tape.y, rows // batch, batch, tape.reverse)
        late = self.outputs_last
        block = gradients["weight_hh"][:late, late:].copy()
        weight_gradient(gradients["weight_hh"], bias, tape.f, y_before, self.scratch)
        if late:
            y = interface.states_after(tape.y, rows // batch, batch, tape.reverse).reshape(rows, -1)
            gradients["weight_hh"][:late, late:] = block + tape.f[:, :late].T @ y[:, late:n]
        weight_gradient(gradients["weight_ih"], bias[:0], tape.f, tape.x, self.scratch)
        for name, _ in interface.bias_shapes(self.bias, 1):
            gradients[name] += bias
        if dx is not None:
            panels = packed_rows(self.space, "panels_dx", weights["weight_ih"])
            multiply_rows(dx.reshape(rows, -1), tape.f, panels, bias[:0])

    def traces(self):
        tape = self._tape
        steps = tape.x.shape[0] // tape.batch
        h = interface.states_after(tape.y, steps, tape.batch, tape.reverse != self.input_delay)
        return self.gate_traces(tape.f, "f", tape.batch) | {"h": self.units(h)}

    def linearise(self, x, state):
        self._at_once()
        out = interface.Linearised.empty(1, 1, self.hidden, 0, self.dtype)
        s = self.weights["weight_ih"] @ x + self.weights["weight_hh"] @ state[0] + sum(self.bias_arrays())
        rnn_linearise(out, s, state[0], self.dtype.type(self.leak), self.kind)
        return out


def _connection_table(connections, density, seed, hidden, n_inputs):
    """The table of 1, 0 and -1, (H, I + H) or with a column for the biases; None if every connection exists and is trained."""
    if connections is None:
        if density == 1:
            return None
        table = np.ones((hidden, n_inputs + hidden), np.int8)
        table[:, n_inputs:][np.random.default_rng(seed).random((hidden, hidden)) >= density] = -1
        return table
    if isinstance(connections, str) and connections in TABLES:
        return TABLES[connections](n_inputs, hidden)
    table = np.asarray(_read_table(connections))
    shape = (hidden, n_inputs + hidden)
    fits = table.shape in (shape, (hidden, n_inputs + hidden + 1))
    require(fits, f"connections: expected a table of shape {shape}, got {table.shape}")
    require(np.isin(table, (-1, 0, 1)).all(), "connections: expected 1 (trainable), 0 (frozen) or -1 (absent)")
    return table.astype(np.int8)


def _read_table(connections):
    """What is in the file that `connections` names; anything but a name as it is."""
    if not isinstance(connections, str):
        return connections
    try:
        return read_npy(at_home(connections))
    except RnnsimError as error:
        raise RnnsimError(f"connections: {error}") from None
