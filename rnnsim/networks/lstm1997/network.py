"""The LSTM as its papers have it: memory blocks, from Hochreiter & Schmidhuber 1997 to the peepholes of 2002.

    S. Hochreiter, J. Schmidhuber: Long short-term memory. Neural Computation 9(8):1735-1780, 1997
    F. Gers, J. Schmidhuber, F. Cummins: Learning to forget. Neural Computation 12(10):2451-2471, 2000
    F. Gers, N. Schraudolph, J. Schmidhuber: Learning precise timing with LSTM recurrent networks. JMLR 3:115-143, 2002

A block j has `size` cells v that share its gates. With f the logistic function and u(t) = [x(t); z(t-1); 1] what the hidden layer
sees at time step t: the inputs, outputs z of the hidden layer a time step ago, the bias::

    in_j(t)     = f(w_in_j . u(t) + p_in_j . s_j(t-1))             input gate
    phi_j(t)    = f(w_phi_j . u(t) + p_phi_j . s_j(t-1))           forget gate; 1 without
    s_v(t)      = phi_j(t) s_v(t-1) + in_j(t) g(w_v . u(t))        state of a cell, s(0) = 0
    out_j(t)    = f(w_out_j . u(t) + p_out_j . s_j(t))             output gate; 1 without
    y_v(t)      = out_j(t) h(s_v(t))                               output of a cell
    y_i(t)      = f(w_i . u(t))                                    plain hidden unit
    y_k(t)      = f_k(w_k . [y_v(t); y_i(t); x(t); 1])             output unit; x(t) with `shortcut`

The terms with p are peepholes: the gates of a block see the states of its own cells. Outputs see the cells of the same time step.

Three ways to the gradient: `loss_and_gradient` goes back through everything. `gradient_by` is the rule of 1997: nothing
goes back through z(t-1) and the peepholes, what stays is the way through s(t-1). That is RTRL with the direct term ds(t)/ds(t-1)
only. `learner_by` gives a learner that carries its eligibility traces on as the paper does, and changes the weights at every
time step with an error.

Parameters: rows of weight matrices see [x; z], z in the order cells, input gates, forget gates, output gates, plain units.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnsim.cells.interface import floating_type
from rnnsim.core.losses import WHEN
from rnnsim.core.registry import at_least, checked, one_of, require
from rnnsim.core.rng import Seed
from rnnsim.core.simd import width
from rnnsim.core.threads import exclusive, get_threads, parallel_region
from rnnsim.networks.interface import Forward, Gradient, SequenceNetwork, generator
from rnnsim.networks.lstm1997 import unroll

_GATES = ("in", "forget", "out")
_CHUNKS = 8  # gradients of so many parts of a batch are added up in the end, whatever the number of threads
_PARALLEL_WORK = 200_000  # multiply-adds below which one thread is faster
Curve = Literal["logistic", "logistic1", "logistic2", "tanh", "identity"]


class Options(NamedTuple):
    """Options of `LSTM1997`.

    blocks : memory blocks
    size : cells of a block, which share its gates
    plain : hidden units beside the blocks
    g : squashing function of the input of a cell: "logistic" in [0, 1], "logistic1" in [-1, 1], "logistic2" in [-2, 2]
        (2 f - 1 and 4 f - 2), "tanh" or "identity"
    h : squashing function of the output of a cell, as for g
    output : squashing function of the output units, as for g; targets at the ends of its range are learned slowly, as its slope
        is zero there
    sees : what the hidden layer sees of itself a time step later: "all" units, gates too (1997); "cells", and plain units
        (2000); "inputs": nothing but x (experiment 2a)
    output_gate : whether blocks have an output gate
    forget : whether blocks have a forget gate (2000)
    peepholes : whether the gates of a block see the states of its cells (2002)
    shortcut : whether output units see the inputs
    bias : hidden units that have a bias: "none", "gates" or "all"
    output_bias : whether output units have a bias
    in_bias, forget_bias, out_bias : first biases of these gates, one number a block, such as "-3,-6"; none: as all weights
    init : weights are drawn from U[-init, init]
    """

    blocks: int = 2
    size: int = 2
    plain: int = 0
    g: Curve = "logistic2"
    h: Curve = "logistic1"
    output: Curve = "logistic"
    sees: Literal["all", "cells", "inputs"] = "all"
    output_gate: bool = True
    forget: bool = False
    peepholes: bool = False
    shortcut: bool = False
    bias: Literal["none", "gates", "all"] = "all"
    output_bias: bool = True
    in_bias: tuple[float, ...] | None = None
    forget_bias: tuple[float, ...] | None = None
    out_bias: tuple[float, ...] | None = None
    init: float = 0.1


class LSTM1997(SequenceNetwork):
    """A network of memory blocks; equations at the top of the file, options at `Options`.

    By default it is what the paper's figure 2 shows: two blocks of two cells. Raises `RnnsimError` for sizes below 1, biases that
    are not one number a block or belong to no gate, and unknown options.

    >>> LSTM1997(8, 4).n_parameters, LSTM1997(2, 1, in_bias=(-3, -6), dtype="float64").n_parameters
    (156, 93)
    >>> gers = dict(blocks=4, size=2, sees="cells", bias="gates", shortcut=True)
    >>> LSTM1997(7, 7, forget=True, **gers).n_parameters, LSTM1997(7, 7, **gers).n_parameters
    (424, 360)
    """

    Options = Options

    def __init__(
        self, n_inputs: int, n_outputs: int, tokens: bool = False, dtype: str = "float32", rng: "Seed" = 0, **options
    ):
        ends = dict(n_inputs=n_inputs, n_outputs=n_outputs, tokens=tokens)
        given = checked("network 'lstm1997'", LSTM1997, {**ends, **options}, ("dtype", "rng"))
        given = {**{key: given.pop(key) for key in ends}, **Options(**given)._asdict()}
        for key in ("n_inputs", "n_outputs", "blocks", "size"):
            at_least(key.removeprefix("n_"), given[key], 1)
        at_least("plain", given["plain"], 0)
        require(0 <= given["init"] < np.inf, f"init={given['init']:g}: expected a finite number of at least 0")
        self.dtype = floating_type(dtype)
        for name, value in given.items():
            setattr(self, name, value)
        self.hidden = self.blocks * self.size  # memory cells
        self.gates = tuple(g for g, there in zip(_GATES, (True, self.forget, self.output_gate)) if there)
        for gate in _GATES:
            self._check_first_biases(gate, given[f"{gate}_bias"])
        options = {key: value for key, value in given.items() if key not in ("n_inputs", "n_outputs", "tokens")}
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
        ends = dict(n_inputs=self.n_inputs, n_outputs=self.n_outputs, tokens=self.tokens, dtype=self.dtype.name)
        self.config = dict(name="lstm1997", **ends, options=options)
        self.trainable = None
        self._lay_out(self._shapes())
        self.sizes, self.tables = self._sizes_and_tables()
        self._pack()
        self.theta[...] = self.drawn(rng)
        self._tape = None

    def _check_first_biases(self, gate, values):
        if values is None:
            return
        name, shown = f"{gate}_bias", ",".join(f"{value:g}" for value in values)
        require(gate in self.gates, f"{name}={shown}: the network has no such gates")
        require(self.bias != "none", f"{name}={shown}: gates have no bias with bias=none")
        fits = len(values) == self.blocks and np.isfinite(values).all()
        require(fits, f"{name}={shown}: expected {self.blocks} finite numbers, one a block")

    # -- parameters -------------------------------------------------------------------------------------------------------------

    def _kinds(self):
        """(name, units) of every kind of hidden unit, in the order of z."""
        kinds = [("cell", self.hidden), *((f"{gate}_gate", self.blocks) for gate in self.gates)]
        return kinds + ([("plain", self.plain)] if self.plain else [])

    def _seen(self):
        """(name, units) of the kinds that the hidden layer sees a time step later."""
        if self.sees == "inputs":
            return []
        return [kind for kind in self._kinds() if self.sees == "all" or not kind[0].endswith("_gate")]

    def _has_bias(self, kind):
        return self.bias == "all" or (self.bias == "gates" and kind.endswith("_gate"))

    def _shapes(self):
        seen = self.n_inputs + sum(units for _, units in self._seen())
        shapes = [(f"weight_{kind}", (units, seen)) for kind, units in self._kinds()]
        shapes += [(f"bias_{kind}", (units,)) for kind, units in self._kinds() if self._has_bias(kind)]
        if self.peepholes:
            shapes += [(f"peephole_{gate}_gate", (self.blocks, self.size)) for gate in self.gates]
        self.n_recurrent_parameters = sum(int(np.prod(shape)) for _, shape in shapes)
        sources = self.hidden + self.plain + (self.n_inputs if self.shortcut else 0)
        shapes.append(("weight_out", (self.n_outputs, sources)))
        return shapes + ([("bias_out", (self.n_outputs,))] if self.output_bias else [])

    def drawn(self, rng):
        """A fresh theta: U[-init, init], and the gates' first biases as the options say.

        >>> net = LSTM1997(2, 1, in_bias=(-3, -6))
        >>> net.layout.view(net.drawn(5), "bias_in_gate")
        array([-3., -6.], dtype=float32)
        """
        theta = generator(rng).uniform(-self.init, self.init, self.n_parameters).astype(self.dtype)
        for gate in self.gates:
            values = getattr(self, f"{gate}_bias")
            if values is not None:
                self.layout.view(theta, f"bias_{gate}_gate")[...] = values
        return theta

    # -- the packed vector ------------------------------------------------------------------------------------------------------

    def _sizes_and_tables(self):
        vector = width(self.theta)

        def padded(units):
            return -(-units // vector) * vector

        lanes, places, row = padded(self.hidden), {"cell": 0}, padded(self.hidden)
        for kind, units in self._kinds()[1:]:
            places[kind] = row
            row += lanes if kind != "plain" else padded(units)
        recurrent = sum(units for _, units in self._seen())
        hidden_end = (recurrent + 1 + self.n_inputs) * row
        self._places = places
        self._spread = {kind: self.size if kind.endswith("_gate") else 1 for kind, _ in self._kinds()}
        sizes = unroll.BlockSizes(
            inputs=self.n_inputs,
            recurrent=recurrent,
            cells=self.hidden,
            size=self.size,
            plain=self.plain,
            outputs=self.n_outputs,
            lanes=lanes,
            forget=places.get("forget_gate", 0),
            out=places.get("out_gate", 0),
            hidden=places.get("plain", 0),
            row=row,
            s=row,
            h=row + lanes,
            y=row + 2 * lanes,
            time_step=row + 3 * lanes,
            peepholes=hidden_end if self.peepholes else 0,
            readout=hidden_end + (3 * self.size * lanes if self.peepholes else 0),
            columns=padded(self.n_outputs),
            shortcut=int(self.shortcut),
            output_bias=int(self.output_bias),
            kinds=3 if self.forget else 2,
        )
        seen = []
        for kind, units in self._seen():
            start = sizes.y if kind == "cell" else places[kind]
            seen += [start + unit * self._spread[kind] for unit in range(units)]
        cells = np.minimum(np.arange(lanes), self.hidden - 1)
        block_cells = [cells // self.size * self.size + u for u in range(self.size)]
        curves = [unroll.curve_numbers(name, self.dtype) for name in (self.g, self.h, self.output)]
        tables = unroll.BlockTables(np.array(seen, np.int64), np.concatenate(block_cells), np.concatenate(curves))
        return sizes, tables

    def _pack(self):
        """Where every packed weight comes from in theta (-1: it is always zero), and where every parameter is found."""
        s = self.sizes
        sources = self.hidden + self.plain + 1 + (self.n_inputs if self.shortcut else 0)
        origin = np.full(s.readout + sources * s.columns, -1)
        index = np.arange(self.n_parameters)
        hidden = origin[: (s.recurrent + 1 + s.inputs) * s.row].reshape(-1, s.row)
        for kind, units in self._kinds():
            spread = self._spread[kind]
            lanes = self._places[kind] + np.arange(units * spread)
            rows = np.repeat(self.layout.view(index, f"weight_{kind}"), spread, axis=0).T
            hidden[s.recurrent + 1 :, lanes] = rows[: s.inputs]
            hidden[: s.recurrent, lanes] = rows[s.inputs :]
            if self._has_bias(kind):
                hidden[s.recurrent, lanes] = np.repeat(self.layout.view(index, f"bias_{kind}"), spread)
        if self.peepholes:
            peepholes = origin[s.peepholes : s.readout].reshape(3, s.size, s.lanes)
            for gate in self.gates:
                rows = self.layout.view(index, f"peephole_{gate}_gate").T
                peepholes[_GATES.index(gate), :, : self.hidden] = np.repeat(rows, self.size, axis=1)
        readout = origin[s.readout :].reshape(-1, s.columns)
        rows, below = self.layout.view(index, "weight_out").T, self.hidden + self.plain
        readout[:below, : s.outputs] = rows[:below]
        readout[below + 1 :, : s.outputs] = rows[below:]
        if self.output_bias:
            readout[below, : s.outputs] = self.layout.view(index, "bias_out")
        self.origin, self.slot = origin, np.zeros(self.n_parameters, np.int64)
        # Of the equal weights of a gate the first lane is the one in which gradients are gathered.
        for place in np.flatnonzero(origin >= 0)[::-1]:
            self.slot[origin[place]] = place

    def packed(self, theta):
        """The packed vector of a theta; see `rnnsim.networks.lstm1997.unroll`."""
        w = np.asarray(theta, self.dtype)[self.origin]
        w[self.origin < 0] = 0
        return w

    # -- what can be asked of a network -----------------------------------------------------------------------------------------

    @property
    def state_size(self):
        """Numbers that one sequence carries from time step to time step."""
        return self.hidden + self.sizes.recurrent

    @property
    def cost_per_step(self):
        """Multiply-adds of one time step of one sequence, forward."""
        return sum(entry.size for entry in self.layout if not entry.name.startswith("bias"))

    @property
    def trace_names(self):
        """Names that `forward` can record: gates, cell inputs g, states s, h(s), outputs y of cells, plain units."""
        return tuple(self._traces())

    def _traces(self):
        """{name: (place on the activations, numbers, distance between them)}."""
        s = self.sizes
        places = {"in": s.lanes, "forget": s.forget, "out": s.out}
        traces = {gate: (places[gate], self.blocks, self.size) for gate in self.gates}
        traces |= {name: (place, self.hidden, 1) for name, place in (("g", 0), ("s", s.s), ("h", s.h), ("y", s.y))}
        return traces | ({"plain": (s.hidden, self.plain, 1)} if self.plain else {})

    def initial_state(self, batch: int) -> list[np.ndarray]:
        """The state before the first time step, zero: states s (1, B, cells) and outputs z (1, B, those that are seen)."""
        return [np.zeros((1, batch, count), self.dtype) for count in (self.hidden, self.sizes.recurrent)]

    def state_after(self, time_steps: int) -> list[np.ndarray]:
        """The state after so many time steps of the last pass."""
        rows = np.minimum(time_steps, self._tape.lengths)
        found = self._activations()[np.arange(rows.size), rows]
        s = self.sizes
        return [found[None, :, s.s : s.s + self.hidden].copy(), found[None, :, self.tables.seen]]

    def not_finite(self):
        """Time step and name of the first number of the last forward pass that is not finite, or None."""
        if self._tape is None:
            return None
        activations = self._activations()
        for b, length in enumerate(self._tape.lengths):
            for t in range(length):
                for name, (place, count, step) in self._traces().items():
                    if not np.isfinite(activations[b, t + 1, place : place + count * step : step]).all():
                        return f"{name} is not finite at time step {t} of sequence {b}"
        return None

    # -- the passes -------------------------------------------------------------------------------------------------------------

    @exclusive
    def forward(
        self,
        inputs: "ArrayLike",
        lengths: "ArrayLike | None" = None,
        state: list[np.ndarray] | None = None,
        record: str | Iterable[str] = (),
        when: str = "every",
    ) -> Forward:
        """Outputs (T, B, K) of inputs (T, B, n) or tokens (T, B), the final state, and what is to be recorded.

        With when="last" outputs are (B, K), those at the end of each sequence.

        `record` names traces of `trace_names`, or "gates" for all. Raises `RnnsimError` for wrong shapes, NaN, lengths beyond
        T and unknown traces.
        """
        inputs, lengths = self._checked(inputs, lengths)
        outputs, state = self._forward(inputs, lengths, state, last=one_of("when", when, WHEN) == "last")
        return Forward(outputs.copy(), state, self._records(record, lengths) if record else {})

    procedures = frozenset({"truncated"})

    @exclusive
    def gradient_by(self, rule, batch, loss, state=None):
        """The `Gradient` of a batch by the truncated rule of 1997; see `rnnsim.networks.interface.Network.gradient_by`."""
        outputs, final, _ = self._outputs(batch, loss, state)
        d_outputs = self._space.array("d_outputs", outputs.shape)
        value = loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths, gradient=d_outputs)
        self.gradient[...] = 0
        self._backward(d_outputs, None, False, exact=False)
        return Gradient(value, self.gradient, outputs, final)

    def learner_by(self, rule, optimizer):
        """The `rnnsim.networks.lstm1997.learner.BlockLearner` of a rule "truncated" and an optimizer."""
        from rnnsim.networks.lstm1997.learner import BlockLearner

        return BlockLearner.by(self, rule, optimizer)

    def _outputs(self, batch, loss, state):
        inputs, lengths = self._checked(batch.inputs, batch.lengths)
        outputs, state = self._forward(inputs, lengths, state, loss.when == "last")
        return outputs, state, None

    def _activations(self):
        """(B, T + 1, numbers of a time step) of the last pass."""
        steps, batch = self._tape.x.shape[:2]
        return self._tape.activations.reshape(batch, steps + 1, -1)

    def _forward(self, inputs, lengths, state, last):
        """Outputs (T, B, K), or (B, K) of the last time steps, zero beyond a sequence's end; and the final state."""
        steps, batch = inputs.shape[:2]
        if state is not None:
            self._check_state(state, batch)
        array, s, kind = self._space.array, self.sizes, self.dtype
        activations = array("activations", (batch * (steps + 1) * s.time_step,))
        before = activations.reshape(batch, steps + 1, -1)[:, 0]
        before[...] = 0
        if state is not None:
            before[:, s.s : s.s + self.hidden] = state[0][0]
            before[:, self.tables.seen] = state[1][0]
        x = np.zeros((steps, batch, 0), kind) if self.tokens else inputs
        tokens = np.ascontiguousarray(inputs, np.int32) if self.tokens else np.zeros((0, 0), np.int32)
        counts = lengths if lengths.size else np.full(batch, steps)
        self._tape = unroll.Tape(x, tokens, counts, activations, self.packed(self.theta))
        outputs = array("outputs", (1 if last else steps, batch, s.outputs))
        outputs[...] = 0
        self._last = last
        if self._threads(steps, batch) == 1:
            unroll.forward_rows(self._tape, outputs, last, self.tables, s, 0, batch)
        else:
            with parallel_region:
                unroll.forward_parallel(self._tape, outputs, last, self.tables, s, min(batch, _CHUNKS))
        return outputs[0] if last else outputs, self.state_after(steps)

    def _threads(self, steps, batch):
        enough = steps * batch * self.cost_per_step >= _PARALLEL_WORK
        return min(get_threads(), batch) if enough else 1

    def _backward(self, d_outputs, features, learn_state, exact=True):
        tape, s = self._tape, self.sizes
        steps, batch = tape.x.shape[:2]
        shape = (1 if self._last else steps, batch, s.outputs)
        outputs, d_outputs = self._space.array("outputs", shape), d_outputs.reshape(shape)
        chunks = min(batch, _CHUNKS)
        gradients = self._space.array("gradients", (chunks, self.origin.size))
        gradients[...] = 0
        if self._threads(steps, batch) == 1:
            for k in range(chunks):
                lo, hi = batch * k // chunks, batch * (k + 1) // chunks
                unroll.backward_rows(gradients[k], tape, outputs, d_outputs, self._last, self.tables, s, exact, lo, hi)
        else:
            with parallel_region:
                unroll.backward_parallel(gradients, tape, outputs, d_outputs, self._last, self.tables, s, exact, chunks)
        self.gradient += gradients[:, self.slot].sum(axis=0)

    def _records(self, record, lengths):
        activations = self._activations()[:, 1:].swapaxes(0, 1)
        traces = {
            name: activations[..., place : place + count * step : step]
            for name, (place, count, step) in self._traces().items()
        }
        return self._recorded(traces, record, {"gates": lambda name: True}, lengths)
