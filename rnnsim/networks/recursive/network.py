"""The contract of a recursive network: a network over forests (`TreeNetwork`)."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from rnnsim.cells.interface import floating_type
from rnnsim.core.forest import Forest
from rnnsim.core.losses import WHEN
from rnnsim.core.padding import packed_columns, padded_size
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.threads import exclusive
from rnnsim.errors import unknown
from rnnsim.networks.interface import GRADIENT, Evaluation, Gradient, Network
from rnnsim.networks.recursive import levels

_PIECE = 2**16  # nodes that are in memory at a time, or one tree


class TreeForward(NamedTuple):
    """What a forward pass over a forest gives."""

    outputs: np.ndarray  # (B, K) at the roots; (N, K) with when="every"
    records: dict[str, np.ndarray]  # name -> (N, ...), a row a node


class TreeNetwork(Network):
    """A network that reads trees from the leaves to the root; N nodes, B trees, H units, K outputs.

    A concrete network defines `_up` and `_down`. Large forests are computed piece by piece, each of at most 65,536 nodes or of
    one tree, so that memory does not grow with the number of trees.
    """

    takes = Forest
    capabilities = frozenset({GRADIENT})
    trace_names = ("h",)

    @abstractmethod
    def _up(self, forest, levels_):
        """The states (N, P) of all nodes, by position in `levels_`; kept for `_down`."""

    @abstractmethod
    def _down(self, d):
        """Add to `gradient` what the gradient d (N, P) of the states of the last `_up` gives; d is overwritten."""

    def _traces(self):
        """{name: (N, width)} of the last `_up`, by position."""
        return {"h": self._tape.h[:, : self.hidden]}

    # -- parameters -------------------------------------------------------------------------------------------------

    def _begin(self, name, n_inputs, n_outputs, tokens, dtype, options):
        """Check and keep the sizes that all recursive networks have."""
        self.n_inputs, self.n_outputs = at_least("inputs", n_inputs, 1), at_least("outputs", n_outputs, 1)
        self.hidden, self.arity = at_least("hidden", options["hidden"], 1), at_least("arity", options["arity"], 1)
        self.embedding = at_least("embedding", options["embedding"], 0)
        self.tokens, self.dtype = tokens, floating_type(dtype)
        require(
            tokens or not self.embedding,
            f"embedding={self.embedding}: nodes have vectors, only symbols have an embedding",
        )
        self.config = dict(
            name=name,
            n_inputs=self.n_inputs,
            n_outputs=self.n_outputs,
            tokens=tokens,
            dtype=self.dtype.name,
            options=options,
        )

    @property
    def width_in(self):
        """Numbers of a node's input vector; 0 if symbols go in one-hot."""
        return self.embedding if self.tokens else self.n_inputs

    @property
    def state_size(self):
        """Numbers of a node's state."""
        return self.hidden

    @property
    def n_recurrent_parameters(self):
        """Parameters that make a node's state: all but those of embedding, score and readout."""
        others = ("weight_embedding", "weight_score", "weight_out", "bias_out")
        return sum(entry.size for entry in self.layout if entry.name not in others)

    def _input_shapes(self, rows):
        """Names and shapes of the weights of the inputs, for so many rows (units of all gates)."""
        if not self.tokens:
            return [("weight_in", (rows, self.n_inputs))]
        if self.embedding:
            return [("weight_embedding", (self.n_inputs, self.embedding)), ("weight_in", (rows, self.embedding))]
        return [("weight_symbol", (self.n_inputs, rows))]

    def _readout_shapes(self):
        return [("weight_out", (self.n_outputs, self.hidden)), ("bias_out", (self.n_outputs,))]

    # -- what kernels need -------------------------------------------------------------------------------------------

    def _padded(self, name, vector, gates=1):
        """A vector (G*H) as (G*P), padded with zeros."""
        n, padded = self.hidden, padded_size(self.hidden, self.dtype)
        row = self._space.array(name, (gates * padded,))
        row[...] = 0
        row.reshape(gates, padded)[:, :n] = vector.reshape(gates, n)
        return row

    def _children(self, levels_):
        """children (N, A) with A of the network."""
        children = levels_.children
        if children.shape[1] == self.arity:
            return children
        if children.shape[1] > self.arity:
            return np.ascontiguousarray(children[:, : self.arity])
        return np.pad(children, ((0, 0), (0, self.arity - children.shape[1])), constant_values=-1)

    def _node_inputs(self, forest, levels_, gates):
        """`levels.NodeInputs` of a forest, for so many gates."""
        space, weights = self._space, self._weights
        none, no_symbols = space.array("none", (0, 1, 1)), np.zeros(0, np.int32)
        if self.width_in == 0:
            symbols = forest.inputs[levels_.order]
            return levels.NodeInputs(none.reshape(0, 1), none, symbols, weights["weight_symbol"], False)
        x = space.array("x", (forest.nodes, self.width_in))
        given = forest.inputs >= 0 if self.tokens else forest.inputs.any(axis=1)
        if self.tokens:
            symbols = forest.inputs[levels_.order]
            np.take(weights["weight_embedding"], symbols, axis=0, out=x, mode="clip")
            x[symbols < 0] = 0
        else:
            x[...] = forest.inputs[levels_.order]
        panels = packed_columns(space, "panels_in", weights["weight_in"], gates)
        leaves_only = not (given & ~forest.leaves).any()
        return levels.NodeInputs(
            x, panels, symbols if self.tokens else no_symbols, none.reshape(0, 1), bool(leaves_only)
        )

    def _inputs_backward(self, inputs, sums, d, dx):
        """Add the gradients of the weights of the inputs: `sums` (C, G*H, I) over chunks, d (N, G*P), dx (N, I)."""
        gradients = self._gradients
        if self.width_in == 0:
            levels.add_symbol_gradients(gradients["weight_symbol"], d, inputs.symbols, self.hidden)
            return
        gradients["weight_in"] += sums.sum(axis=0)
        if self.embedding:
            # Rows of dx that were not computed are those of nodes without a symbol.
            levels.add_symbol_gradients(gradients["weight_embedding"], dx, inputs.symbols, self.embedding)

    # -- checks -----------------------------------------------------------------------------------------------------------

    def _check_forest(self, forest):
        require(isinstance(forest, Forest), f"expected a Forest, got {type(forest).__name__}")
        require(
            forest.arity <= self.arity or (forest.children[:, self.arity :] < 0).all(),
            f"a node has {forest.arity} children; the network has arity={self.arity}",
        )
        inputs = forest.inputs
        if self.tokens:
            require(inputs.ndim == 1, "inputs: expected symbols, a whole number a node, got vectors")
            low, high = inputs.min(), inputs.max()
            require(
                low >= -1 and high < self.n_inputs, f"inputs: labels {low}..{high} are outside 0..{self.n_inputs - 1}"
            )
            return
        fits = inputs.ndim == 2 and inputs.shape[1] == self.n_inputs
        require(fits, f"inputs: expected {self.n_inputs} features a node, got shape {inputs.shape}")
        wrong = np.argwhere(~np.isfinite(inputs))
        require(not len(wrong), f"inputs: node {wrong[0][0] if len(wrong) else 0} has a feature that is not finite")

    def check_batch(self, batch):
        """See `Network.check_batch`."""
        self._check_forest(batch)

    # -- passes -----------------------------------------------------------------------------------------------------------

    @exclusive
    def forward(self, forest: Forest, record: "str | Iterable[str]" = (), when: str = "last") -> TreeForward:
        """Run over a forest (`TreeForward`).

        record : names of traces, of `trace_names`
        when : "last": outputs of the roots (B, K); "every": of all nodes (N, K)

        Raises `RnnsimError` for labels, features and numbers of children that do not fit, and for unknown traces.
        """
        self._check_forest(forest)
        one_of("when", when, WHEN)
        wanted = [record] if isinstance(record, str) else list(record)
        for name in wanted:
            if name not in self.trace_names:
                raise unknown("trace", name, self.trace_names)
        outputs, records = [], {name: [] for name in wanted}
        for part in _pieces(forest):
            outputs.append(self._read(part, self._up(part, part.levels), when == "every")[0].copy())
            traces = self._traces() if wanted else {}
            for name in wanted:
                records[name].append(traces[name][part.levels.position])
        return TreeForward(np.concatenate(outputs), {name: np.concatenate(found) for name, found in records.items()})

    @exclusive
    def states(self, forest: Forest) -> np.ndarray:
        """(N, H), the state h of every node; a new array."""
        self._check_forest(forest)
        parts = [self._up(part, part.levels)[part.levels.position, : self.hidden] for part in _pieces(forest)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @exclusive
    def evaluate(self, batch: Any, loss: Any, state: Any = None) -> Evaluation:
        """See `Network.evaluate`."""
        value, outputs = self._passes(batch, loss, False)
        return Evaluation(value, outputs, None)

    @exclusive
    def loss_and_gradient(self, batch: Any, loss: Any, state: Any = None, theta: Any = None) -> Gradient:
        """See `Network.loss_and_gradient`: back-propagation through structure."""
        if theta is not None:
            self.theta = theta
        self.gradient[...] = 0
        value, outputs = self._passes(batch, loss, True)
        return Gradient(value, self.gradient, outputs, None)

    def _passes(self, batch, loss, learn):
        """(loss, outputs) of a forest, piece by piece; with `learn` the gradient is added up."""
        self._check_forest(batch)
        every, whole = loss.when == "every", batch.amount(loss)
        total, outputs = 0.0, []
        for part in _pieces(batch):
            share = part.amount(loss) / whole if whole else 0.0
            h = self._up(part, part.levels)
            found, features = self._read(part, h, every)
            d_outputs = self._space.array("d_outputs", found.shape) if learn else None
            total += share * _evaluated(loss, part, found, d_outputs)
            outputs.append(found.copy())
            if learn:
                d_outputs *= share
                self._down(self._read_backward(part, d_outputs, features, h.shape, every))
        return total, outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _rows(self, part, every):
        """Positions of the nodes that have outputs, in the order of the outputs."""
        return part.levels.position if every else part.levels.position[part.roots]

    def _read(self, part, h, every):
        """(outputs, features) of the roots, or of every node."""
        rows = self._rows(part, every)
        features = self._space.array("features", (len(rows), self.hidden))
        features[...] = h[rows, : self.hidden]
        outputs = self._space.array("outputs", (len(rows), self.n_outputs))
        panels = packed(self._space, "panels_out", self._weights["weight_out"].T)
        multiply_rows(outputs, features, panels, self._weights["bias_out"])
        return outputs, features

    def _read_backward(self, part, d_outputs, features, shape, every):
        """The gradient (N, P) of the states, by position."""
        gradients = self._gradients
        weight_gradient(gradients["weight_out"], gradients["bias_out"], d_outputs, features, self._space)
        d_features = self._space.array("d_features", features.shape)
        panels = packed(self._space, "panels_out_back", self._weights["weight_out"])
        multiply_rows(d_features, d_outputs, panels, d_outputs[0, :0])
        d = self._space.array("d_states", shape)
        d[...] = 0
        d[self._rows(part, every), : self.hidden] = d_features
        return d

    @exclusive
    def states_gradient(self, forest: Forest, d_states: np.ndarray) -> None:
        """Add to `gradient` that of sum(d_states * states(forest)); d_states is (N, H)."""
        nodes = 0
        for part in _pieces(forest):
            h = self._up(part, part.levels)
            d = self._space.array("d_states", h.shape)
            d[...] = 0
            d[part.levels.position, : self.hidden] = d_states[nodes : nodes + part.nodes]
            self._down(d)
            nodes += part.nodes


def _pieces(forest):
    """The forest in pieces of at most `_PIECE` nodes, or of one tree."""
    if forest.nodes <= _PIECE or forest.size == 1:
        yield forest
        return
    first = 0
    while first < forest.size:
        last = int(np.searchsorted(forest.starts, forest.starts[first] + _PIECE, side="right")) - 1
        last = max(last, first + 1)
        yield forest.take(slice(first, last))
        first = last


def _evaluated(loss, part, outputs, gradient):
    """The loss of the outputs of a forest; writes its gradient, unless that is None."""
    targets, weights = part.targets, part.weights
    if loss.when == "last":
        return loss.evaluate(outputs, targets, weights, gradient=gradient)

    def as_steps(array):  # nodes take the place of time steps of one sequence
        return None if array is None else array[:, None]

    value = loss.evaluate(as_steps(outputs), as_steps(targets), as_steps(weights), gradient=as_steps(gradient))
    if loss.per == "sequence":
        value /= part.size
        if gradient is not None:
            gradient /= part.size
    return value
