"""Stacked recurrent layers with a readout: the network around every cell."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rnnsim.cells import CELLS
from rnnsim.cells.interface import Cell, floating_type
from rnnsim.core import plugins
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import WHEN
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import at_least, checked, one_of, require
from rnnsim.core.rng import Seed
from rnnsim.core.threads import exclusive
from rnnsim.networks import recurrent_candidates
from rnnsim.networks.interface import GRADIENT, LINEARISATION, TIME, Forward, SequenceNetwork, generator, mask_beyond


@jit_exact
def _look_up(x, table, tokens):
    """x (R, E) = table[tokens (R)]."""
    for r in range(tokens.size):
        x[r] = table[tokens[r]]


@jit_exact
def _one_hot(x, tokens):
    """x (R, V): one at the token of each row."""
    x[:] = 0
    for r in range(tokens.size):
        x[r, tokens[r]] = 1


@jit_exact
def _look_up_backward(gradient, dx, tokens):
    """gradient[tokens[r]] += dx[r], row after row."""
    for r in range(tokens.size):
        for j in range(dx.shape[1]):
            gradient[tokens[r], j] += dx[r, j]


def _learned_states(cell):
    """Names of the states whose initial values can be learned: those that a time step reads."""
    return [name for name in cell.state_names if name not in cell.unread_states]


class Recurrent(SequenceNetwork):
    """Stacked recurrent layers of one cell, with a readout.

    With x(t) the input and h_k(t) the outputs of layer k, which the cell computes from its own inputs and its state::

        h_1(t) = cell_1(x(t), state),   h_k(t) = cell_k(h_(k-1)(t), state),   y(t) = W_out h_last(t) + b_out

    A bidirectional layer gives the outputs of its two directions side by side. The equations of a cell are in its class:
    ``help(rs.cells.CELLS.load("gru"))``.

    Parameters are named and shaped as in PyTorch: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ... of layer 0, then
    ``weight_out`` (K, features) and ``bias_out`` (K). The flat vector `theta` holds them all; `layout` has their places.

    cell : a name of the registry, the place of a cell outside rnnsim or its class; `cell_options` are its options
    n_inputs, n_outputs : numbers in an input and in an output vector; with tokens, how many symbols there are
    tokens : inputs are whole numbers (T, B), not vectors (T, B, n_inputs)
    dtype : "float32" or "float64"
    rng : seed of the initial parameters (int, SeedSequence or Generator)
    hidden : units of a layer and direction
    layers : number of layers
    bidirectional : every layer has a second direction, from the end of the sequence to its start (Schuster & Paliwal 1997);
        its parameters end in ``_reverse``
    embedding : size of the learned vector that stands for each input token; 0: tokens go in one-hot
    skip : the input goes to every layer and every layer to the readout (Graves 2013)
    learned_initial_state : initial states are parameters ``h0_l0``, ``c0_l0``, ...; else zero
    readout : "linear"; "units": the first units of the last layer are the outputs (Williams & Zipser 1989); "none": all its
        units are

    Raises `RnnsimError` for unknown names and options, and for sizes below 1.

    >>> import numpy as np
    >>> net = Recurrent("gru", 3, 2, hidden=8, rng=1)
    >>> net.forward(np.zeros((5, 4, 3), np.float32)).outputs.shape, net.n_parameters
    ((5, 4, 2), 306)
    """

    capabilities = frozenset({GRADIENT, TIME, LINEARISATION})

    def __init__(
        self,
        cell: str | type[Cell],
        n_inputs: int,
        n_outputs: int,
        hidden: int = 32,
        layers: int = 1,
        bidirectional: bool = False,
        embedding: int = 0,
        skip: bool = False,
        learned_initial_state: bool = False,
        readout: Literal["linear", "units", "none"] = "linear",
        tokens: bool = False,
        dtype: str = "float32",
        rng: "Seed" = 0,
        **cell_options,
    ):
        structure = dict(hidden=hidden, layers=layers, bidirectional=bidirectional, embedding=embedding, skip=skip)
        structure |= dict(learned_initial_state=learned_initial_state, readout=readout)
        given = dict(n_inputs=n_inputs, n_outputs=n_outputs, tokens=tokens, **structure)
        given = checked(f"network '{cell}'", Recurrent, given, ("cell",))
        for key in ("n_inputs", "n_outputs", "hidden", "layers"):
            at_least(key.removeprefix("n_"), given[key], 1)
        at_least("embedding", given["embedding"], 0)
        require(
            given["tokens"] or not given["embedding"],
            f"embedding={embedding}: the inputs are vectors, only tokens have an embedding",
        )
        cls = CELLS.load(cell)
        cell_options = checked(f"cell '{cell}'", cls, cell_options, ("n_inputs", "hidden", "dtype"))
        cell_options = cls.kept(cell_options)
        self.n_inputs, self.n_outputs, self.tokens = given["n_inputs"], given["n_outputs"], given["tokens"]
        self.hidden, self.layers, self.directions = given["hidden"], given["layers"], 1 + given["bidirectional"]
        self.embedding, self.skip, self.readout = given["embedding"], given["skip"], given["readout"]
        self.learned_initial_state, self.dtype = given["learned_initial_state"], floating_type(dtype)
        options = {key: given[key] for key in structure} | cell_options
        source = plugins.source_of(cls)
        self.config = dict(
            name=CELLS.name_of(cls),
            n_inputs=self.n_inputs,
            n_outputs=self.n_outputs,
            tokens=self.tokens,
            dtype=self.dtype.name,
            options=options,
            **({"source": source} if source else {}),
        )
        width = self.directions * self.hidden
        first = self.embedding or self.n_inputs
        self._cells = []  # one row a layer, one cell a direction
        for layer in range(self.layers):
            seen = first if layer == 0 else width + (first if self.skip else 0)
            row = [cls(seen, self.hidden, self.dtype.name, **cell_options) for _ in range(self.directions)]
            self._cells.append(row)
        self.features = width * (self.layers if self.skip else 1)
        if self.readout == "units":
            require(
                self.n_outputs <= self.hidden, f"outputs={n_outputs}: readout=units needs at least as many hidden units"
            )
        if self.readout == "none":
            require(self.n_outputs == self.features, f"outputs={n_outputs}: readout=none gives {self.features} outputs")
        self._lay_out()
        self._initialise(rng)

    # -- parameters -------------------------------------------------------------------------------------------------

    def _each(self):
        """(name suffix, layer, direction, cell) of every cell."""
        for layer, row in enumerate(self._cells):
            for direction, cell in enumerate(row):
                yield f"_l{layer}" + ("_reverse" if direction else ""), layer, direction, cell

    def _lay_out(self):
        shapes = [("weight_embedding", (self.n_inputs, self.embedding))] if self.embedding else []
        for suffix, _, _, cell in self._each():
            shapes += [(name + suffix, shape) for name, shape in cell.shapes()]
        self.n_recurrent_parameters = sum(int(np.prod(shape)) for name, shape in shapes if name != "weight_embedding")
        if self.learned_initial_state:
            for suffix, _, _, cell in self._each():
                shapes += [(f"{state}0{suffix}", (self.hidden,)) for state in _learned_states(cell)]
                self.dropped_parameters += tuple(f"{state}0{suffix}" for state in cell.unread_states)
        if self.readout == "linear":
            shapes += [("weight_out", (self.n_outputs, self.features)), ("bias_out", (self.n_outputs,))]
        super()._lay_out(shapes)
        for suffix, _, _, cell in self._each():
            names = [name for name, _ in cell.shapes()]
            cell.bind(
                {name: self._weights[name + suffix] for name in names},
                {name: self._gradients[name + suffix] for name in names},
                self._space,
            )
        self.trainable = self._trainable()

    def _trainable(self):
        """Boolean array over theta, False where a connection is frozen or absent; None if all are trained."""
        mask = np.ones(self.n_parameters, bool)
        for suffix, _, _, cell in self._each():
            for name, trained in cell.trainable().items():
                self.layout.view(mask, name + suffix)[...] = trained
        return None if mask.all() else mask

    def _initialise(self, rng):
        rng = generator(rng)
        if self.embedding:
            self._weights["weight_embedding"][...] = rng.normal(size=(self.n_inputs, self.embedding))
        for _, _, _, cell in self._each():
            cell.initialise(cell.weights, rng)
        if self.readout == "linear":
            bound = 1 / np.sqrt(self.features)
            for name in ("weight_out", "bias_out"):
                self._weights[name][...] = rng.uniform(-bound, bound, self._weights[name].shape)

    # -- what a network can do -----------------------------------------------------------------------------

    @property
    def state_size(self):
        """Numbers that one sequence carries from time step to time step."""
        return sum(len(cell.state_names) * self.hidden for _, _, _, cell in self._each())

    @property
    def cost_per_step(self):
        """Multiply-adds of one time step of one sequence, forward."""
        return sum(
            entry.size for entry in self.layout if entry.name.startswith("weight") and entry.name != "weight_embedding"
        )

    @property
    def trace_names(self):
        """Names that `forward` can record: every gate and state of every layer, such as ``i_l0``."""
        return tuple(name + suffix for suffix, _, _, cell in self._each() for name in cell.trace_names)

    @property
    def cells(self):
        """All cells by the suffix of their parameters: ``_l0``, ``_l0_reverse``, ``_l1``, ..."""
        return {suffix: cell for suffix, _, _, cell in self._each()}

    @property
    def one_plain_layer(self):
        """Whether it is one layer of plain units (`Cell.plain_units`) that begins in zero states and sees vectors."""
        one = self.layers == 1 and self.directions == 1 and not (self.skip or self.tokens or self.learned_initial_state)
        return one and self._cells[0][0].plain_units

    def evaluate_many(self, candidates, batch, loss):
        """See `rnnsim.networks.interface.Network.evaluate_many`; one kernel for one layer of plain units."""
        if recurrent_candidates.serves(self, batch, loss):
            return recurrent_candidates.evaluate_candidates(self, candidates, batch, loss)
        return super().evaluate_many(candidates, batch, loss)

    def test_many(self, candidates, batch, loss, judge):
        """See `rnnsim.networks.interface.Network.test_many`; one kernel for one layer of plain units."""
        # A task with an idea of its own of what is right is asked sequence by sequence.
        if recurrent_candidates.serves(self, batch, loss) and judge.inherits("correct"):
            return recurrent_candidates.test_candidates(self, candidates, batch, judge)
        return super().test_many(candidates, batch, loss, judge)

    @property
    def workspace_bytes(self):
        """Bytes of all buffers that are kept from batch to batch."""
        return self._space.nbytes + sum(cell.space.nbytes for _, _, _, cell in self._each())

    def initial_state(self, batch: int) -> list[np.ndarray]:
        """The state before the first time step: one array (k, B, H) a layer and direction."""
        states = []
        for suffix, _, _, cell in self._each():
            state = np.zeros((len(cell.state_names), batch, self.hidden), self.dtype)
            if self.learned_initial_state:
                for k, name in enumerate(cell.state_names):
                    if name not in cell.unread_states:
                        state[k] = self._weights[f"{name}0{suffix}"]
            states.append(state)
        return states

    def state_after(self, time_steps: int) -> list[np.ndarray]:
        """See `SequenceNetwork.state_after`."""
        require(self.directions == 1, "bidirectional=True: the state in mid-sequence is not defined")
        return [np.stack(cell.state_after(time_steps)) for _, _, _, cell in self._each()]

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

        With when="last" outputs are (B, K), the readout of the final states: the last of the forward direction and, if there is
        one, the first in time of the backward direction.

        `record` names traces: all layers' (``"i"``), one layer's (``"i_l0"``), or ``"gates"`` for all. Raises `RnnsimError` for
        wrong shapes, NaN, lengths beyond T and unknown traces.
        """
        inputs, lengths = self._checked(inputs, lengths)
        last = one_of("when", when, WHEN) == "last"
        features, state = self._features_of(inputs, lengths, state, last)
        outputs = self._read(features).copy()
        if not last:
            mask_beyond(outputs, lengths)
        return Forward(outputs, state, self._records(record, lengths) if record else {})

    def _records(self, record, lengths):
        traces = {name + suffix: trace for suffix, _, _, cell in self._each() for name, trace in cell.traces().items()}
        groups = {
            name: lambda full, name=name: full.rsplit("_l", 1)[0] == name for name in self._cells[0][0].trace_names
        }
        traces = {name: traces[name] for name in self.trace_names}
        return self._recorded(traces, record, {"gates": lambda name: True, **groups}, lengths)

    # -- the passes -------------------------------------------------------------------------------------------------

    def _outputs(self, batch, loss, state):
        inputs, lengths = self._checked(batch.inputs, batch.lengths)
        features, state = self._features_of(inputs, lengths, state, loss.when == "last")
        return self._read(features), state, features

    def _features_of(self, inputs, lengths, state, last=False):
        """All layers; the readout's features (R, F), of every time step or of the last one, and the final state."""
        steps, batch = inputs.shape[:2]
        state = self.initial_state(batch) if state is None else state
        self._check_state(state, batch)
        self._inputs, x = inputs, self._input_vectors(inputs)
        given = iter(state)
        outputs, finals = [], []
        below = x
        for row in self._cells:
            outputs.append([cell.forward(below, next(given), lengths, bool(d)) for d, cell in enumerate(row)])
            finals.append([cell.final_state() for cell in row])
            below = self._beside(f"above_{len(outputs)}", outputs[-1] + ([x] if self.skip else []))
        read = finals if last else outputs
        parts = [part[0] if last else part for layer in (read if self.skip else read[-1:]) for part in layer]
        features = self._beside("features", parts) if self.skip or not last else self._beside("last", parts)
        final = [np.stack(cell_state) for layer in finals for cell_state in layer]
        self._last, self._shape = last, (steps, batch)
        return features.reshape(-1 if not last else batch, self.features), final

    def _input_vectors(self, inputs):
        if not self.tokens:
            return inputs
        x = self._space.array("x", (*inputs.shape, self.embedding or self.n_inputs))
        flat = x.reshape(inputs.size, -1)
        if self.embedding:
            _look_up(flat, self._weights["weight_embedding"], inputs.reshape(-1))
        else:
            _one_hot(flat, inputs.reshape(-1))
        return x

    def _beside(self, name, parts):
        """The parts side by side along the last axis; a single part as it is."""
        if len(parts) == 1:
            return parts[0]
        shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        return np.concatenate(parts, axis=-1, out=self._space.array(name, shape))

    def _read(self, features):
        """Outputs (T, B, K) or (B, K) of the features (R, F)."""
        shape = (self._shape[1],) if self._last else self._shape
        if self.readout == "none":
            return features.reshape(*shape, -1)
        outputs = self._space.array("outputs", (features.shape[0], self.n_outputs))
        if self.readout == "units":
            outputs[...] = features[:, self.features - self.directions * self.hidden :][:, : self.n_outputs]
        else:
            panels = packed(self._space, "panels_out", self._weights["weight_out"].T)
            multiply_rows(outputs, features, panels, self._weights["bias_out"])
        return outputs.reshape(*shape, self.n_outputs)

    def _read_backward(self, d_outputs, features):
        """Gradient (R, F) of the features."""
        d = d_outputs.reshape(features.shape[0], -1)
        if self.readout == "none":
            return d
        d_features = self._space.array("dy", features.shape)
        if self.readout == "units":
            d_features[...] = 0
            d_features[:, self.features - self.directions * self.hidden :][:, : self.n_outputs] = d
        else:
            gradients = self._gradients
            weight_gradient(gradients["weight_out"], gradients["bias_out"], d, features, self._space)
            panels = packed(self._space, "panels_out_back", self._weights["weight_out"])
            multiply_rows(d_features, d, panels, d[0, :0])
        return d_features

    def _backward(self, d_outputs, features, learn_state):
        learn_state = learn_state and self.learned_initial_state
        steps, batch = self._shape
        d_features = self._read_backward(d_outputs, features)
        width, n = self.directions * self.hidden, self.hidden
        d_x = None  # gradient of the input vectors, where somebody needs it
        d_above = None  # gradient of this layer's outputs from the layer above, (T, B, width)
        for layer in reversed(range(self.layers)):
            d_layer = [None] * self.directions
            if d_above is not None:
                d_layer = self._apart(f"dy_{layer}", d_above, layer)
            d_read = None
            if self.skip or layer == self.layers - 1:
                first = layer * width if self.skip else 0
                d_read = [d_features[:, first + d * n : first + (d + 1) * n] for d in range(self.directions)]
                if not self._last:
                    d_layer = [self._sum(f"dr_{layer}_{d}", d_layer[d], d_read[d]) for d in range(self.directions)]
            needs_input = layer > 0 or bool(self.embedding)
            d_inputs = []
            for direction, cell in enumerate(self._cells[layer]):
                d_state = [self._space.array(f"ds_{k}", (batch, n)) for k in range(len(cell.state_names))]
                for part in d_state:
                    part[...] = 0
                if self._last and d_read is not None:
                    d_state[0][...] = d_read[direction]
                dy = d_layer[direction]
                dx = None
                if needs_input:
                    # The buffer of dy is free for dx once the pass is done, unless another direction still needs it.
                    name = "dy" if self.directions == 1 and not self.skip else f"dx_{direction}"
                    dx = self._space.array(name, (steps, batch, cell.n_inputs))
                cell.backward(dy, d_state, dx)
                if learn_state:
                    suffix = f"_l{layer}" + ("_reverse" if direction else "")
                    for name, part in zip(cell.state_names, d_state):
                        if name not in cell.unread_states:
                            self._gradients[f"{name}0{suffix}"] += part.sum(axis=0)
                d_inputs.append(dx)
            if needs_input:
                for other in d_inputs[1:]:
                    d_inputs[0] += other
                if layer == 0:
                    d_x = d_inputs[0] if d_x is None else np.add(d_x, d_inputs[0], out=d_x)
                elif self.skip:
                    if self.embedding:
                        part = d_inputs[0][..., width:]
                        d_x = self._kept("d_x", part) if d_x is None else np.add(d_x, part, out=d_x)
                    d_above = self._kept("d_above", d_inputs[0][..., :width])
                else:
                    d_above = d_inputs[0]
        if self.embedding:
            flat = np.ascontiguousarray(d_x).reshape(steps * batch, -1)
            _look_up_backward(self._gradients["weight_embedding"], flat, self._inputs.reshape(-1))

    def _kept(self, name, part):
        """A contiguous copy in the workspace."""
        kept = self._space.array(name, part.shape)
        kept[...] = part
        return kept

    def _apart(self, name, d, layer):
        """The gradient (T, B, width) of a layer's outputs, one contiguous array a direction."""
        if self.directions == 1:
            return [d]
        parts = []
        for direction in range(self.directions):
            part = self._space.array(f"{name}_{direction}", (*d.shape[:2], self.hidden))
            part[...] = d[..., direction * self.hidden : (direction + 1) * self.hidden]
            parts.append(part)
        return parts

    def _sum(self, name, d, d_read):
        """The gradient of a layer's outputs from above and from the readout, (T, B, H) contiguous."""
        if d is None and d_read.flags.c_contiguous:
            return d_read.reshape(*self._shape, self.hidden)
        total = self._space.array(name, (*self._shape, self.hidden))
        total[...] = d_read.reshape(total.shape)
        if d is not None:
            total += d
        return total
