"""Recursive networks that fold a tree into a vector; equations and options at `RecursiveNetwork`."""

from typing import Any, Literal, NamedTuple

import numba
import numpy as np

from rnnsim.core.forest import Forest
from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_formula, jit_parallel, linked
from rnnsim.core.padding import ONE, packed_columns, packed_rows, padded_size, vectors
from rnnsim.core.products import packed
from rnnsim.core.registry import one_of, require
from rnnsim.core.rng import Seed
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.core.threads import exclusive
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.networks.interface import Evaluation, Gradient, generator
from rnnsim.networks.recursive import levels, margin, parsing
from rnnsim.networks.recursive.levels import BLOCK
from rnnsim.networks.recursive.network import TreeNetwork

ACTIVATIONS = ("tanh", "logistic")
LEAVES = ("same", "own", "linear")
COMPOSITIONS = ("matrix", "tensor")


@jit_formula
def tanh_slope(h):
    """f' of f = tanh, from h = f(a)."""
    return ONE - h * h


@jit_formula
def logistic_slope(h):
    """f' of the logistic function, from h = f(a)."""
    return h * (ONE - h)


class FoldingTape(NamedTuple):
    """A forest of N nodes, as the kernels see it; rows by position. A children a node, H units, P = H padded."""

    h: np.ndarray  # (N, P) states
    children: np.ndarray  # (N, A)
    starts: np.ndarray  # (L + 1) first position of every level
    chunks: np.ndarray  # (C + 1) first level of every chunk
    panels: np.ndarray  # packed weight_child (H, A*H)
    tensor: np.ndarray  # (H, ...) packed weight_tensor[k] (A*H, A*H), or no rows
    bias: np.ndarray  # (P) of inner nodes
    bias_leaf: np.ndarray  # (P)
    units: int
    logistic: bool
    linear_leaves: bool


class FoldingGradient(NamedTuple):
    """What the backward pass has beside its tape; the sums are one a chunk of trees."""

    d: np.ndarray  # (N, P) gradients of the states, then of the pre-activations
    panels: np.ndarray  # packed weight_child.T
    tensor: np.ndarray  # (H, ...) packed weight_tensor[k] + weight_tensor[k].T, or no rows
    panels_in: np.ndarray  # packed weight_in.T, or no rows
    dx: np.ndarray  # (N, I) gradients of the inputs, or no rows
    weight_in: np.ndarray  # (C, H, I) sums
    weight_child: np.ndarray  # (C, H, A*H) sums
    weight_tensor: np.ndarray  # (C, H * A*H, A*H) sums, or (C, 0, A*H)
    bias: np.ndarray  # (C, P) sums over inner nodes
    bias_leaf: np.ndarray  # (C, P) sums over leaves


@jit_borrowed
def _activate(h, bias, logistic):
    """h (P) <- f(h + bias)."""
    state, b = vectors(h), vectors(bias)
    for j in range(len(state)):
        if logistic:
            state[j] = sigmoid(state[j] + b[j])
        else:
            state[j] = tanh(state[j] + b[j])


@jit_borrowed
def _activate_backward(d, h, logistic):
    """d (P) <- gradient of the pre-activation, from that of h."""
    slope, state = vectors(d), vectors(h)
    for j in range(len(state)):
        if logistic:
            slope[j] = slope[j] * logistic_slope(state[j])
        else:
            slope[j] = slope[j] * tanh_slope(state[j])


@jit_exact
def _tensor_terms(a, children, products, tensor):
    """a[:, k] += c V[k] c for the children c (R, A*H) of a block of nodes."""
    for k in range(tensor.shape[0]):
        product_packed(products, children, tensor[k], False)
        for r in range(children.shape[0]):
            total = a.dtype.type(0)
            for j in range(children.shape[1]):
                total += products[r, j] * children[r, j]
            a[r, k] += total


@jit_exact
def _tensor_terms_backward(d_children, d, children, scaled, tensor, gradient, panels):
    """Add to the gradients of the children and of V what c V[k] c gives, from the gradient d (R, P) of a."""
    width = children.shape[1]
    for k in range(tensor.shape[0]):
        for r in range(children.shape[0]):
            for j in range(width):
                scaled[r, j] = d[r, k] * children[r, j]
        levels.add_outer(gradient[k * width : (k + 1) * width], scaled, children, panels, width)
        product_packed(d_children, scaled, tensor[k], True)


@jit_exact
def fold_forward(tape, inputs, work, chunk):
    """The states of one chunk of trees."""
    h, n = tape.h, tape.units
    leaves = tape.chunks[chunk]
    for level in range(leaves, tape.chunks[chunk + 1]):
        leaf = level == leaves
        bias = tape.bias_leaf if leaf else tape.bias
        for lo in range(tape.starts[level], tape.starts[level + 1], BLOCK):
            hi = min(lo + BLOCK, tape.starts[level + 1])
            block = h[lo:hi]
            levels.input_terms(block, inputs, lo, leaf, n)
            if not leaf:
                children = work.children[chunk, : hi - lo]
                levels.gather_children(children, h, tape.children, lo, n)
                product_packed(block, children, tape.panels, True)
                _tensor_terms(block, children, work.d_children[chunk, : hi - lo], tape.tensor)
            elif tape.linear_leaves:
                continue
            for row in range(lo, hi):
                _activate(h[row], bias, tape.logistic)


@jit_exact
def fold_backward(tape, inputs, work, gradient, chunk):
    """From the gradients of the states: those of the pre-activations, in their place, and the chunk's sums."""
    d, n = gradient.d, tape.units
    leaves, panels = tape.chunks[chunk], work.panels[chunk]
    for level in range(tape.chunks[chunk + 1] - 1, leaves - 1, -1):
        leaf = level == leaves
        for lo in range(tape.starts[level], tape.starts[level + 1], BLOCK):
            hi = min(lo + BLOCK, tape.starts[level + 1])
            block = d[lo:hi]
            if not (leaf and tape.linear_leaves):
                for row in range(lo, hi):
                    _activate_backward(d[row], tape.h[row], tape.logistic)
            levels.add_rows(gradient.bias_leaf[chunk] if leaf else gradient.bias[chunk], block)
            if inputs.x.shape[0] > 0 and (leaf or not inputs.leaves_only):
                levels.add_outer(gradient.weight_in[chunk], block, inputs.x[lo:hi], panels, n)
                if gradient.dx.shape[0] > 0:
                    product_packed(gradient.dx[lo:hi], block, gradient.panels_in, False)
            if leaf:
                continue
            children, d_children = work.children[chunk, : hi - lo], work.d_children[chunk, : hi - lo]
            levels.gather_children(children, tape.h, tape.children, lo, n)
            levels.add_outer(gradient.weight_child[chunk], block, children, panels, n)
            product_packed(d_children, block, gradient.panels, False)
            if tape.tensor.shape[0] > 0:
                scaled = np.empty_like(children)
                _tensor_terms_backward(
                    d_children, block, children, scaled, gradient.tensor, gradient.weight_tensor[chunk], panels
                )
            levels.scatter_to_children(d, d_children, tape.children, lo, n)


_forward, _backward = linked(fold_forward), linked(fold_backward)


@jit_parallel
def _forward_parallel(tape, inputs, work, chunks):
    for chunk in numba.prange(chunks):
        _forward(tape, inputs, work, chunk)


@jit_parallel
def _backward_parallel(tape, inputs, work, gradient, chunks):
    for chunk in numba.prange(chunks):
        _backward(tape, inputs, work, gradient, chunk)


class RecursiveNetwork(TreeNetwork):
    """A recursive network: the state of a node is a function of its label and of the states of its children.

    With x the label or the features of a node, h_1 ... h_A the states of its children (zero for one that is not there) and f
    the activation function, the folding architecture (C. Goller & A. Küchler, ICNN 1996) is::

        h = f(W x + b + sum_k U_k h_k)          leaves="same": one equation for all nodes

    With ``leaves="own"`` leaves have an equation of their own and inner nodes no input, as in R. Socher, C. Lin, A. Ng &
    C. Manning (ICML 2011), whose merges also have a score s and every node a class y::

        h = f(W x + b_leaf) at leaves      h = f(U [h_1; h_2] + b) elsewhere      s = w . h      y = softmax(V h + c)

    ``leaves="linear"`` has h = W x at leaves: the vectors of words. ``composition="tensor"`` adds a bilinear form for every unit
    (R. Socher et al., EMNLP 2013)::

        h_i = f(... + [h_1; h_2]' T_i [h_1; h_2])

    With ``context=True`` a merge in a chain also sees the states of the segments before and after its span, zero at the ends (R.
    Socher, C. Manning & A. Ng, NIPS workshop 2010)::

        h = f(U [h_1; h_2; x_before; x_after] + b)

    The outputs are y = weight_out h + bias_out at the root, or at every node for a loss at every node. The gradient is
    back-propagation through structure: a shared sub-tree gets the sum of the gradients of all its parents.

    Parameters: ``weight_in`` (H, I), or with symbols ``weight_symbol`` (V, H), a row a symbol; ``weight_child`` (H, A*H),
    ``bias`` (H), ``bias_leaf`` (H) with ``leaves="own"``, ``weight_tensor`` (H, A*H, A*H), ``weight_score`` (H),
    ``weight_out`` (K, H), ``bias_out`` (K).

    n_inputs, n_outputs : features of a node, or with tokens the number of symbols; outputs
    tokens : nodes have symbols (N,), not features (N, n_inputs)
    dtype : "float32" or "float64"
    rng : seed of the initial parameters: uniform in +-1/sqrt(fan-in), biases zero
    hidden : H, the numbers of a node's state
    arity : A, the largest number of children of a node
    activation : "tanh" or "logistic"
    leaves : "same": one equation for all nodes; "own": leaves have their own bias, and inner nodes no input; "linear": h = W x
    composition : "matrix", or "tensor" with a bilinear form for every unit
    embedding : size of the learned vector that stands for each symbol, before `weight_in`; 0: symbols go in one-hot
    score : whether merges have a score, for structure prediction, which also needs arity=2 and composition=matrix
    context : in structure prediction a merge also sees the states of the words beside its span, as a third and a fourth child

    Raises `RnnsimError` for unknown options and sizes below 1, and for forests that do not fit.

    >>> from rnnsim.core.forest import Forest
    >>> net = RecursiveNetwork(119, 8, hidden=50, activation="logistic", leaves="own", score=True)
    >>> net.n_parameters
    11508
    >>> net = RecursiveNetwork(4, 1, tokens=True, hidden=3)
    >>> net.forward(Forest.from_brackets(["(a b (c d))", "a"], symbols="abcd")).outputs.shape
    (2, 1)
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        hidden: int = 32,
        arity: int = 2,
        activation: Literal["tanh", "logistic"] = "tanh",
        leaves: Literal["same", "own", "linear"] = "same",
        composition: Literal["matrix", "tensor"] = "matrix",
        embedding: int = 0,
        score: bool = False,
        context: bool = False,
        tokens: bool = False,
        dtype: str = "float32",
        rng: "Seed" = 0,
    ):
        options = dict(hidden=hidden, arity=arity, activation=activation, leaves=leaves, composition=composition)
        options |= dict(embedding=embedding, score=score, context=context)
        one_of("activation", activation, ACTIVATIONS)
        one_of("leaves", leaves, LEAVES)
        one_of("composition", composition, COMPOSITIONS)
        self.leaves, self.score = leaves, score
        self._tensor = composition == "tensor"
        self._begin("rnn-tree", n_inputs, n_outputs, tokens, dtype, options)
        pairs = self.arity == 2 and not self._tensor
        self.arity += 2 * context
        n, width = self.hidden, self.arity * self.hidden
        shapes = self._input_shapes(n)
        shapes += [("weight_child", (n, width)), ("bias", (n,))]
        shapes += [("bias_leaf", (n,))] if leaves == "own" else []
        shapes += [("weight_tensor", (n, width, width))] if self._tensor else []
        shapes += [("weight_score", (n,))] if score else []
        if score and pairs:
            self.takes, self.procedures = (Forest, SegmentGraphs), frozenset({"max-margin"})
        self._lay_out(shapes + self._readout_shapes())
        self._initialise(rng)

    def _initialise(self, rng):
        rng = generator(rng)
        fans = dict(weight_in=self.width_in, weight_child=self.arity * self.hidden, weight_score=self.hidden)
        fans |= dict(weight_out=self.hidden, weight_tensor=(self.arity * self.hidden) ** 2)
        for name, weights in self._weights.items():
            if name in fans:
                bound = 1 / np.sqrt(fans[name])
                weights[...] = rng.uniform(-bound, bound, weights.shape)
            elif name in ("weight_symbol", "weight_embedding"):
                weights[...] = rng.normal(0, 1 if name == "weight_embedding" else 0.5, weights.shape)

    @property
    def cost_per_step(self):
        """Multiply-adds of one inner node."""
        width = self.arity * self.hidden
        return self.hidden * (self.width_in + width + (width * width if self._tensor else 0))

    def _packed_tensor(self, matrices):
        """(H, ...) the packed matrices of the bilinear forms; no rows without them."""
        space = self._space
        if not len(matrices):
            return space.array("none", (0, 1, 1)).reshape(0, 1, 1, 1)
        return np.stack([packed(space, f"tensor_{k}", matrix) for k, matrix in enumerate(matrices)])

    def _up(self, forest, levels_):
        space, weights, n = self._space, self._weights, self.hidden
        nodes, chunks, width = forest.nodes, len(levels_.chunks) - 1, self.arity * n
        padded = padded_size(n, self.dtype)
        self._inputs = inputs = self._node_inputs(forest, levels_, 1)
        self._work = work = levels.scratch(space, chunks, width, self.width_in)
        self._tape = tape = FoldingTape(
            h=space.array("h", (nodes, padded)),
            children=self._children(levels_),
            starts=levels_.starts,
            chunks=levels_.chunks,
            panels=packed_columns(space, "panels_child", weights["weight_child"]),
            tensor=self._packed_tensor(weights["weight_tensor"] if self._tensor else ()),
            bias=self._padded("bias_row", weights["bias"]),
            bias_leaf=self._padded("bias_leaf_row", weights["bias_leaf" if self.leaves == "own" else "bias"]),
            units=n,
            logistic=self.config["options"]["activation"] == "logistic",
            linear_leaves=self.leaves == "linear",
        )
        levels.over_chunks(fold_forward, _forward_parallel, nodes * n * width, chunks, tape, inputs, work)
        return tape.h

    def _down(self, d):
        tape, inputs, space, n = self._tape, self._inputs, self._space, self.hidden
        weights, gradients = self._weights, self._gradients
        nodes, chunks, width = len(d), len(tape.chunks) - 1, self.arity * n
        has_x = bool(len(inputs.x))

        def sums(name, *shape):
            array = space.array(f"sums_{name}", (chunks, *shape))
            array[...] = 0
            return array

        none, both = space.array("none", (0, 1, 1)), ()
        if self._tensor:
            both = weights["weight_tensor"] + weights["weight_tensor"].transpose(0, 2, 1)
        gradient = FoldingGradient(
            d=d,
            panels=packed_rows(space, "panels_child_back", weights["weight_child"]),
            tensor=self._packed_tensor(both),
            panels_in=packed_rows(space, "panels_in_back", weights["weight_in"]) if has_x else none,
            dx=space.array("dx", (nodes if self.embedding else 0, self.width_in)),
            weight_in=sums("in", n, self.width_in if has_x else 0),
            weight_child=sums("child", n, width),
            weight_tensor=sums("tensor", n * width if self._tensor else 0, width),
            bias=sums("bias", d.shape[1]),
            bias_leaf=sums("bias_leaf", d.shape[1]),
        )
        levels.over_chunks(
            fold_backward, _backward_parallel, 2 * nodes * n * width, chunks, tape, inputs, self._work, gradient
        )
        gradients["weight_child"] += gradient.weight_child.sum(axis=0)
        gradients["bias"] += gradient.bias.sum(axis=0)[:n]
        if self._tensor:
            gradients["weight_tensor"] += gradient.weight_tensor.sum(axis=0).reshape(n, width, width)
        if self.leaves != "linear":
            gradients["bias_leaf" if self.leaves == "own" else "bias"] += gradient.bias_leaf.sum(axis=0)[:n]
        self._inputs_backward(inputs, gradient.weight_in, d, gradient.dx)

    def capabilities_for(self, makes):
        """See `Network.capabilities_for`: graphs of segments have no gradient but by a procedure."""
        return frozenset() if issubclass(makes, SegmentGraphs) else self.capabilities

    def procedures_for(self, makes):
        """See `Network.procedures_for`: max-margin is for graphs of segments."""
        return self.procedures if issubclass(makes, SegmentGraphs) else frozenset()

    def check_batch(self, batch):
        """See `Network.check_batch`."""
        if isinstance(batch, SegmentGraphs):
            parsing.check_context(self, batch)
        else:
            super().check_batch(batch)

    # -- structure prediction -----------------------------------------------------------------------------------------

    @exclusive
    def parse(self, graphs: SegmentGraphs, search: parsing.Search = parsing.GREEDY) -> Parses:
        """The best trees that a search finds over graphs of segments, by the scores of merges.

        See `rnnsim.networks.recursive.parsing.parse`.

        >>> net = RecursiveNetwork(9, 1, tokens=True, hidden=4, leaves="own", score=True)
        >>> words = SegmentGraphs(starts=[0, 4], inputs=np.array([3, 1, 4, 1]))
        >>> words.forest(net.parse(words)).depth <= 3
        True
        """
        return parsing.parse(self, graphs, search).parses

    @exclusive
    def evaluate(self, batch: Any, loss: Any, state: Any = None) -> Evaluation:
        """See `Network.evaluate`; of graphs of segments, `rnnsim.networks.recursive.margin.evaluate`."""
        if isinstance(batch, SegmentGraphs):
            return margin.evaluate(self, batch, loss)
        return super().evaluate(batch, loss, state)

    @exclusive
    def gradient_by(self, rule: Any, batch: Any, loss: Any, state: Any = None) -> Gradient:
        """The subgradient by the rule max-margin: `rnnsim.networks.recursive.margin.gradient`."""
        if rule.name not in self.procedures:
            return super().gradient_by(rule, batch, loss, state)
        return margin.gradient(self, batch, rule.objective)

    def _check_forest(self, forest):
        super()._check_forest(forest)
        if self.leaves == "own":
            inner = forest.inputs[~forest.leaves]
            require(
                not ((inner >= 0).any() if inner.ndim == 1 else inner.any()),
                f"leaves={self.leaves}: an inner node has a label or features; leaves=same reads them",
            )
