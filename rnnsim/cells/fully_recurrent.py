"""The fully recurrent network: every unit feeds every unit and itself (Williams & Zipser 1989; Elman 1990).

With activation f and leak a, at tick t::

    s(t) = W x(t) + U y(t-1) + b
    y(t) = (1 - a) y(t-1) + a f(s(t))

Options
    activation      tanh, logistic, rectifier, identity, or saturated-linear (0 below 0, x between 0 and 1, 1 above:
                    Siegelmann & Sontag 1995)
    leak            a in (0, 1]; 1 is the plain network
    input_delay     Williams & Zipser's timing: the input of tick t reaches the outputs at t + 1 at the earliest, so the
                    output of tick t is y(t-1) above
    density         fraction of the recurrent connections that exist (drawn once, by `connection_seed`)
    connections     (H, I + H) table, or the path of one as .npy: 1 trainable, 0 frozen, -1 absent (weight held at zero);
                    with one column more, the last one is that of the biases. Or one of `rnnsim.cells.connections` by its name:
                    guess-a1, guess-a2
    outputs_last    so many units, the first ones, are computed last in every tick: they see the other units as they are at t,
                    not at t - 1 (weight guessing of 1996 needs it for parity); for leak 1
    bias            "single", "double" (b = bias_ih + bias_hh as in PyTorch), or "none"
"""

from typing import Any, Literal, NamedTuple

import numba
import numpy as np

from rnnsim.cells import interface, sequence
from rnnsim.cells.connections import TABLES
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_parallel
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.simd import clip, load, mask, select_positive, store, width
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.errors import RnnsimError

TANH, LOGISTIC, RECTIFIER, IDENTITY, SATURATED = 0, 1, 2, 3, 4
ACTIVATIONS = ("tanh", "logistic", "rectifier", "identity", "saturated-linear")


class RNNWalk(NamedTuple):
    """One layer on one batch, as the kernels see it. R = ticks * batch rows."""

    x: np.ndarray  # (R, I) inputs
    z: np.ndarray  # (R, H) pre-activations, then f(s), then gradients of the pre-activations
    y: np.ndarray  # (R + B, H) states, one slot more than ticks
    panels_ih: np.ndarray  # packed W.T (I, H)
    panels_hh: np.ndarray  # packed U.T (H, H), zero where a unit that is computed last sees this tick
    late: np.ndarray  # (L, H - L) those weights
    bias: np.ndarray  # (H)
    leak: np.ndarray  # (1) a
    lengths: np.ndarray  # (B) or (0)
    batch: int
    reverse: bool
    delayed: bool
    kind: int


@jit_exact
def activate(v, bias, kind):
    """v (H) = f(v + bias)."""
    for j in range(0, v.size, width(v)):
        live = mask(v.size - j)
        s = load(v, j, live) + load(bias, j, live)
        if kind == TANH:
            s = tanh(s)
        elif kind == LOGISTIC:
            s = sigmoid(s)
        elif kind == RECTIFIER:
            s = clip(s, 0.0, np.inf)
        elif kind == SATURATED:
            s = clip(s, 0.0, 1.0)
        store(v, j, live, s)


@jit_exact
def activate_backward(v, d, a, kind):
    """v = f(s) (H) becomes the gradient d * a * f'(s) of the pre-activation; d (H) becomes d * (1 - a)."""
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for j in range(0, v.size, width(v)):
        live = mask(v.size - j)
        f, above = load(v, j, live), load(d, j, live)
        slope = above * a
        if kind == TANH:
            slope = slope * (one - f * f)
        elif kind == LOGISTIC:
            slope = slope * (f * (one - f))
        elif kind != IDENTITY:
            slope = select_positive(f, slope, slope * zero)
            if kind == SATURATED:
                slope = select_positive(one - f, slope, slope * zero)
        store(v, j, live, slope)
        store(d, j, live, above * (one - a))


@jit_exact
def rnn_forward(walk, lo, hi):
    """All ticks of rows lo..hi: fills z with f(s), and y."""
    steps = walk.x.shape[0] // walk.batch
    a = walk.leak[0]
    for s in range(steps):
        t, before, after = sequence.tick(s, steps, walk.reverse)
        now, old, new = t * walk.batch, before * walk.batch, after * walk.batch
        sequence.project_inputs(walk.z, walk.x, walk.panels_ih, s, steps, walk.batch, lo, hi, walk.reverse)
        product_packed(walk.z[now + lo : now + hi], walk.y[old + lo : old + hi], walk.panels_hh, True)
        for b in range(lo, hi):
            y, y_before, v = walk.y[new + b], walk.y[old + b], walk.z[now + b]
            if sequence.ended(walk.lengths, b, t):
                sequence.copy_row(y, y_before)
                continue
            late = walk.late.shape[0]
            activate(v[late:], walk.bias[late:], walk.kind)
            for i in range(late):
                for j in range(walk.late.shape[1]):
                    v[i] += walk.late[i, j] * v[late + j]
            activate(v[:late], walk.bias[:late], walk.kind)
            if a == 1:
                sequence.copy_row(y, v)
            else:
                for j in range(y.size):
                    y[j] = y_before[j] + a * (v[j] - y_before[j])


@jit_exact
def rnn_backward(walk, dh, dy, panels, lo, hi):
    """All ticks of rows lo..hi backwards: z becomes its gradient; dh (B, H) goes from the last to the first state.

    dy (R, H) is the gradient of the outputs from above, or empty; panels is the packed U (H, H).
    """
    steps = walk.x.shape[0] // walk.batch
    a = walk.leak[0]
    for s in range(steps - 1, -1, -1):
        t, _, _ = sequence.tick(s, steps, walk.reverse)
        now = t * walk.batch
        for b in range(lo, hi):
            v, d = walk.z[now + b], dh[b]
            if sequence.ended(walk.lengths, b, t):
                sequence.clear_row(v)
                continue
            if dy.size > 0 and not walk.delayed:
                sequence.add_row(d, dy[now + b])
            late = walk.late.shape[0]
            activate_backward(v[:late], d[:late], a, walk.kind)
            for i in range(late):
                for j in range(walk.late.shape[1]):
                    d[late + j] += walk.late[i, j] * v[i]
            activate_backward(v[late:], d[late:], a, walk.kind)
        product_packed(dh[lo:hi], walk.z[now + lo : now + hi], panels, True)
        if walk.delayed and dy.size > 0:
            for b in range(lo, hi):
                if not sequence.ended(walk.lengths, b, t):
                    sequence.add_row(dh[b], dy[now + b])


@jit_parallel
def _forward_parallel(walk, tasks):
    for task in numba.prange(tasks):
        rnn_forward(walk, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_parallel
def _backward_parallel(walk, dh, dy, panels, tasks):
    for task in numba.prange(tasks):
        rnn_backward(walk, dh, dy, panels, walk.batch * task // tasks, walk.batch * (task + 1) // tasks)


@jit_exact
def rnn_linearise(out, s, y_before, bias, a, kind):
    """Fill `out` from one row's pre-activation s (H, without bias) and old state (H)."""
    one = s.dtype.type(1)
    activate(s, bias, kind)
    for j in range(s.size):
        out.state[0, j] = s[j] if a == 1 else y_before[j] + a * (s[j] - y_before[j])
        out.message[0, j] = y_before[j]
        out.message_direct[0, 0, j] = one
        out.gain[0, 0, j] = one
    activate_backward(s, out.gain[0, 0], a, kind)
    for j in range(s.size):
        out.gain[0, 0, j] = s[j]
        out.direct[0, 0, j] = one - a


@jit_borrowed
def rnn_tick(out, theta, x, before, work, structure):
    """One tick from the flat parameters; options: activation; numbers: leak."""
    n = before.shape[1]
    s, none = work[:n], work[n : 2 * n]
    sequence.pre_activations(s, theta, structure.places, x, before[0])
    sequence.clear_row(none)
    rnn_linearise(out, s, before[0], none, structure.numbers[0], structure.options[0])


class FullyRecurrent(interface.Cell):
    """The fully recurrent network; equations and options at the top of the file.

    Parameters: weight_ih (H, I), weight_hh (H, H), bias_ih and bias_hh (H). Raises `RnnsimError` for sizes below 1, a leak
    outside (0, 1], a density outside [0, 1], and a table of connections of the wrong shape or with other values.

    >>> cell = FullyRecurrent(2, 3, activation="logistic", input_delay=True)
    >>> [shape for name, shape in cell.shapes()]
    [(3, 2), (3, 3), (3,)]
    """

    trace_names = ("f", "h")
    examples = (
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
        self._walk = None

    @staticmethod
    def kept(options):
        """Options as a configuration keeps them: the table of connections itself, not the file that it was read from."""
        table = options.get("connections")
        if table is None or (isinstance(table, str) and table in TABLES):
            return options
        return {**options, "connections": np.asarray(_read_table(table)).tolist()}

    tick = staticmethod(rnn_tick)

    def _at_once(self):
        words = "expected 0, as rules that learn while the sequence runs need all units to be computed at once"
        require(not self.outputs_last, f"outputs_last={self.outputs_last}: {words}")

    def tick_options(self):
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

    def _bias(self):
        total = self.buffer("bias", self.hidden)
        total[...] = 0
        for name, _ in interface.bias_shapes(self.bias, 1):
            total += self.weights[name]
        return total

    def forward(self, x, state, lengths, reverse=False):
        steps, batch, _ = x.shape
        w, u, late = self.weights["weight_ih"], self.weights["weight_hh"], self.outputs_last
        now = u[:late, late:].copy()
        panels_hh = packed(self.space, "panels_hh", self._before(u).T)
        self._walk = walk = RNNWalk(
            x.reshape(steps * batch, -1),
            self.buffer("z", steps * batch, self.hidden),
            self.slots("y", steps, batch, state[0], reverse),
            packed(self.space, "panels_ih", w.T),
            panels_hh,
            now,
            self._bias(),
            np.full(1, self.leak, self.dtype),
            lengths,
            batch,
            reverse,
            self.input_delay,
            self.kind,
        )
        tasks = sequence.row_tasks(steps, batch, w.size + u.size)
        sequence.over_rows(rnn_forward, _forward_parallel, tasks, batch, walk)
        return self._outputs(walk)

    def _before(self, u):
        """The weights (H, H) of the units as they were at the tick before."""
        late = self.outputs_last
        if not late:
            return u
        u = u.copy()
        u[:late, late:] = 0
        return u

    def _outputs(self, walk):
        steps = walk.x.shape[0] // walk.batch
        return interface.states_after(walk.y, steps, walk.batch, walk.reverse != self.input_delay)

    def slots_of_walk(self):
        walk = self._walk
        return (walk.y,), walk.batch, walk.reverse

    def backward(self, dy, d_state, dx=None):
        walk, weights, gradients = self._walk, self.weights, self.gradients
        rows, batch = walk.x.shape[0], walk.batch
        dy = self.buffer("none", 0, self.hidden) if dy is None else dy.reshape(rows, self.hidden)
        panels = packed(self.space, "panels_back", self._before(weights["weight_hh"]))
        tasks = sequence.row_tasks(rows // batch, batch, weights["weight_hh"].size)
        sequence.over_rows(rnn_backward, _backward_parallel, tasks, batch, walk, d_state[0], dy, panels)

        bias = self.buffer("d_bias", self.hidden)
        bias[...] = 0
        y_before = interface.states_before(walk.y, rows // batch, batch, walk.reverse)
        late = self.outputs_last
        block = gradients["weight_hh"][:late, late:].copy()
        weight_gradient(gradients["weight_hh"], bias, walk.z, y_before, self.scratch)
        if late:
            y = interface.states_after(walk.y, rows // batch, batch, walk.reverse).reshape(rows, -1)
            gradients["weight_hh"][:late, late:] = block + walk.z[:, :late].T @ y[:, late:]
        weight_gradient(gradients["weight_ih"], bias[:0], walk.z, walk.x, self.scratch)
        for name, _ in interface.bias_shapes(self.bias, 1):
            gradients[name] += bias
        if dx is not None:
            multiply_rows(dx.reshape(rows, -1), walk.z, packed(self.space, "panels_dx", weights["weight_ih"]), bias[:0])

    def traces(self):
        walk = self._walk
        return {"f": walk.z.reshape(-1, walk.batch, self.hidden), "h": self._outputs(walk)}

    def linearise(self, x, state):
        self._at_once()
        out = interface.Linearised.empty(1, 1, self.hidden, 0, self.dtype)
        s = self.weights["weight_ih"] @ x + self.weights["weight_hh"] @ state[0]
        rnn_linearise(out, s, state[0], self._bias(), self.dtype.type(self.leak), self.kind)
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
        return np.load(connections, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RnnsimError(f"connections={connections}: cannot be read as an .npy file ({error})") from None
