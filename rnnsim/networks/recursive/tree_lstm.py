"""Long short-term memory over trees (K. S. Tai, R. Socher & C. Manning, ACL 2015); equations and options at `TreeLSTM`."""

from typing import Literal, NamedTuple

import numba
import numpy as np

from rnnsim.core.gemm import product_packed
from rnnsim.core.jit import jit_borrowed, jit_exact, jit_formula, jit_parallel, linked
from rnnsim.core.padding import ONE, gate_vectors, packed_columns, packed_rows, padded_size, vectors
from rnnsim.core.registry import one_of, require
from rnnsim.core.rng import Seed
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.networks.interface import generator
from rnnsim.networks.recursive import levels
from rnnsim.networks.recursive.levels import BLOCK
from rnnsim.networks.recursive.network import TreeNetwork

VARIANTS = ("child-sum", "n-ary")


# -- the equations, for one unit or for a vector of units --------------------------------------------------------------


@jit_formula
def gates(a_i, a_o, a_u):
    """Input gate, output gate and candidate."""
    return sigmoid(a_i), sigmoid(a_o), tanh(a_u)


@jit_formula
def node_backward(dh, dc, i, o, u, c):
    """Gradients of a_i, a_o, a_u and of c, from those of h and what c has from the parents."""
    squashed = tanh(c)
    dc = dc + dh * o * (ONE - squashed * squashed)
    return dc * u * i * (ONE - i), dh * squashed * o * (ONE - o), dc * i * (ONE - u * u), dc


@jit_formula
def edge_backward(dc, f, c_child):
    """Gradients of a_f and of the child's cell, from that of the parent's."""
    return dc * c_child * f * (ONE - f), dc * f


# -- a forest, as the kernels see it -----------------------------------------------------------------------------------


class TreeLSTMTape(NamedTuple):
    """A forest of N nodes and E edges; rows by position, edges by their parent. H units, P = H padded, A children a node.

    The children of a node are `width` inputs of its gates: their sum, H, or all of them side by side, A*H.
    """

    a: np.ndarray  # (N, 4P) i, o, u, and the input term of the forget gates; then their gradients
    f: np.ndarray  # (E, P) forget gates, then gradients of their pre-activations
    h: np.ndarray  # (N, P)
    c: np.ndarray  # (N, P)
    children: np.ndarray  # (N, A)
    edges: np.ndarray  # (N + 1) first edge of every node
    child: np.ndarray  # (E) int32, position of the child of every edge
    slot: np.ndarray  # (E) int32, which child of its parent it is
    starts: np.ndarray  # (L + 1) first position of every level
    chunks: np.ndarray  # (C + 1) first level of every chunk
    panels: np.ndarray  # packed weight_iou (3H, width)
    panels_f: np.ndarray  # packed weight_f (H, H), or (A*H, A*H)
    bias: np.ndarray  # (4P)
    edge_states: np.ndarray  # (C, BLOCK * A, H) states of the children of the edges of a block
    edge_terms: np.ndarray  # (C, BLOCK, A*P) products of all slots of a block
    units: int
    summed: bool


class TreeLSTMGradient(NamedTuple):
    """What the backward pass has beside its tape; the sums are one a chunk of trees."""

    dh: np.ndarray  # (N, P)
    dc: np.ndarray  # (N, P)
    panels: np.ndarray  # packed weight_iou.T
    panels_f: np.ndarray  # packed weight_f.T
    panels_in: np.ndarray  # packed weight_in.T, or no rows
    dx: np.ndarray  # (N, I), or no rows
    weight_in: np.ndarray  # (C, 4H, I)
    weight_iou: np.ndarray  # (C, 3H, width)
    weight_f: np.ndarray  # (C, H, H), or (C, A*H, A*H)
    bias: np.ndarray  # (C, 4P)


@jit_exact
def _list_edges(edges, child, slot, children):
    """edges (N + 1), child (E) and slot (E) of the children (N, A)."""
    e = 0
    for node in range(children.shape[0]):
        edges[node] = e
        for k in range(children.shape[1]):
            if children[node, k] >= 0:
                child[e], slot[e] = children[node, k], k
                e += 1
    edges[children.shape[0]] = e


@jit_exact
def _sum_children(out, h, tape, lo):
    """out (R, H) <- the sum of the states of the children of the nodes lo .. lo + R - 1."""
    out[:] = 0
    for r in range(out.shape[0]):
        row = out[r]
        for e in range(tape.edges[lo + r], tape.edges[lo + r + 1]):
            state = h[tape.child[e]]
            for j in range(row.size):
                row[j] += state[j]


@jit_exact
def _gather_edges(out, h, child, first):
    """out (R, H) <- the states of the children of the edges first .. first + R - 1."""
    for r in range(out.shape[0]):
        row, state = out[r], h[child[first + r]]
        for j in range(row.size):
            row[j] = state[j]


@jit_exact
def _forget_terms(tape, chunk, lo, hi, children):
    """f <- the products of the forget gates of the nodes lo .. hi - 1 with the states of the children."""
    first, last = tape.edges[lo], tape.edges[hi]
    if tape.summed:
        states = tape.edge_states[chunk, : last - first]
        _gather_edges(states, tape.h, tape.child, first)
        product_packed(tape.f[first:last], states, tape.panels_f, False)
        return
    terms, padded = tape.edge_terms[chunk, : hi - lo], tape.f.shape[1]
    product_packed(terms, children, tape.panels_f, False)
    for r in range(hi - lo):
        for e in range(tape.edges[lo + r], tape.edges[lo + r + 1]):
            at = tape.slot[e] * padded
            tape.f[e] = terms[r, at : at + padded]


@jit_borrowed
def _forget(f, c, c_child, a, bias):
    """f (P) becomes the forget gate of an edge; c += f * c_child."""
    gate, state, old = vectors(f), vectors(c), vectors(c_child)
    term, b = gate_vectors(a, 4), gate_vectors(bias, 4)
    for j in range(len(gate)):
        gate[j] = sigmoid(gate[j] + term[3, j] + b[3, j])
        state[j] = state[j] + gate[j] * old[j]


@jit_borrowed
def _node(a, bias, h, c):
    """a (4P) becomes the gates of a node; c holds the children's share."""
    term, b, output, state = gate_vectors(a, 4), gate_vectors(bias, 4), vectors(h), vectors(c)
    for j in range(len(state)):
        i, o, u = gates(term[0, j] + b[0, j], term[1, j] + b[1, j], term[2, j] + b[2, j])
        term[0, j], term[1, j], term[2, j] = i, o, u
        state[j] = state[j] + i * u
        output[j] = o * tanh(state[j])


@jit_borrowed
def _node_backward(a, dh, dc, c):
    """The gates of a node become gradients of their pre-activations; dc becomes the whole gradient of c."""
    term, d_output, d_state, state = gate_vectors(a, 4), vectors(dh), vectors(dc), vectors(c)
    for j in range(len(state)):
        term[0, j], term[1, j], term[2, j], d_state[j] = node_backward(
            d_output[j], d_state[j], term[0, j], term[1, j], term[2, j], state[j]
        )


@jit_borrowed
def _forget_backward(f, d, dc, dc_child, c_child):
    """The forget gate of an edge becomes the gradient of its pre-activation, which is added to d (P)."""
    gate, total, d_state, d_old, old = vectors(f), vectors(d), vectors(dc), vectors(dc_child), vectors(c_child)
    for j in range(len(gate)):
        slope, share = edge_backward(d_state[j], gate[j], old[j])
        gate[j], d_old[j], total[j] = slope, d_old[j] + share, total[j] + slope


@jit_exact
def tree_lstm_forward(tape, inputs, work, chunk):
    """Gates, cells and states of one chunk of trees."""
    n, padded = tape.units, tape.h.shape[1]
    leaves = tape.chunks[chunk]
    for level in range(leaves, tape.chunks[chunk + 1]):
        leaf = level == leaves
        for lo in range(tape.starts[level], tape.starts[level + 1], BLOCK):
            hi = min(lo + BLOCK, tape.starts[level + 1])
            levels.input_terms(tape.a[lo:hi], inputs, lo, leaf, n)
            tape.c[lo:hi] = 0
            if not leaf:
                children = work.children[chunk, : hi - lo]
                if tape.summed:
                    _sum_children(children, tape.h, tape, lo)
                else:
                    levels.gather_children(children, tape.h, tape.children, lo, n)
                product_packed(tape.a[lo:hi, : 3 * padded], children, tape.panels, True)
                _forget_terms(tape, chunk, lo, hi, children)
            for row in range(lo, hi):
                for e in range(tape.edges[row], tape.edges[row + 1]):
                    _forget(tape.f[e], tape.c[row], tape.c[tape.child[e]], tape.a[row], tape.bias)
                _node(tape.a[row], tape.bias, tape.h[row], tape.c[row])


@jit_exact
def _children_backward(tape, work, gradient, chunk, lo, hi):
    """Gradients of the weights that see children, and of the children's states, from those of the gates of a block."""
    n, padded, panels = tape.units, tape.h.shape[1], work.panels[chunk]
    children, d_children = work.children[chunk, : hi - lo], work.d_children[chunk, : hi - lo]
    block, first, last = tape.a[lo:hi, : 3 * padded], tape.edges[lo], tape.edges[hi]
    if tape.summed:
        _sum_children(children, tape.h, tape, lo)
    else:
        levels.gather_children(children, tape.h, tape.children, lo, n)
    levels.add_outer(gradient.weight_iou[chunk], block, children, panels, n)
    product_packed(d_children, block, gradient.panels, False)
    if not tape.summed:
        terms = tape.edge_terms[chunk, : hi - lo]
        terms[:] = 0
        for r in range(hi - lo):
            for e in range(tape.edges[lo + r], tape.edges[lo + r + 1]):
                at = tape.slot[e] * padded
                terms[r, at : at + padded] = tape.f[e]
        levels.add_outer(gradient.weight_f[chunk], terms, children, panels, n)
        product_packed(d_children, terms, gradient.panels_f, True)
        levels.scatter_to_children(gradient.dh, d_children, tape.children, lo, n)
        return
    states = tape.edge_states[chunk, : last - first]
    _gather_edges(states, tape.h, tape.child, first)
    for at in range(first, last, BLOCK):  # as many rows as the panels hold
        end = min(at + BLOCK, last)
        levels.add_outer(gradient.weight_f[chunk], tape.f[at:end], states[at - first : end - first], panels, n)
    product_packed(states, tape.f[first:last], gradient.panels_f, False)
    for r in range(hi - lo):
        for e in range(tape.edges[lo + r], tape.edges[lo + r + 1]):
            d = gradient.dh[tape.child[e]]
            for j in range(n):
                d[j] += d_children[r, j] + states[e - first, j]


@jit_exact
def tree_lstm_backward(tape, inputs, work, gradient, chunk):
    """From the gradients of the states: those of the pre-activations, in the place of the gates, and the chunk's sums."""
    n, padded = tape.units, tape.h.shape[1]
    leaves, panels = tape.chunks[chunk], work.panels[chunk]
    for level in range(tape.chunks[chunk + 1] - 1, leaves - 1, -1):
        leaf = level == leaves
        for lo in range(tape.starts[level], tape.starts[level + 1], BLOCK):
            hi = min(lo + BLOCK, tape.starts[level + 1])
            for row in range(lo, hi):
                _node_backward(tape.a[row], gradient.dh[row], gradient.dc[row], tape.c[row])
                d_forget = tape.a[row, 3 * padded :]
                d_forget[:] = 0
                for e in range(tape.edges[row], tape.edges[row + 1]):
                    k = tape.child[e]
                    _forget_backward(tape.f[e], d_forget, gradient.dc[row], gradient.dc[k], tape.c[k])
            block = tape.a[lo:hi]
            levels.add_rows(gradient.bias[chunk], block)
            if inputs.x.shape[0] > 0 and (leaf or not inputs.leaves_only):
                levels.add_outer(gradient.weight_in[chunk], block, inputs.x[lo:hi], panels, n)
                if gradient.dx.shape[0] > 0:
                    product_packed(gradient.dx[lo:hi], block, gradient.panels_in, False)
            if not leaf:
                _children_backward(tape, work, gradient, chunk, lo, hi)


_forward, _backward = linked(tree_lstm_forward), linked(tree_lstm_backward)


@jit_parallel
def _forward_parallel(tape, inputs, work, chunks):
    for chunk in numba.prange(chunks):
        _forward(tape, inputs, work, chunk)


@jit_parallel
def _backward_parallel(tape, inputs, work, gradient, chunks):
    for chunk in numba.prange(chunks):
        _backward(tape, inputs, work, gradient, chunk)


class TreeLSTM(TreeNetwork):
    """Long short-term memory over trees (K. S. Tai, R. Socher & C. Manning, ACL 2015).

    With x the label or the features of a node, h_k and c_k the state and the cell of its child k, s the logistic function::

        child-sum, for any number of children without an order (their eqs. 2-8), H = sum_k h_k
            i = s(W_i x + U_i H + b_i)    o = s(W_o x + U_o H + b_o)    u = tanh(W_u x + U_u H + b_u)
            f_k = s(W_f x + U_f h_k + b_f)

        n-ary, for at most A children in order (eqs. 9-14); zero for a child that is not there
            i = s(W_i x + sum_l U_i,l h_l + b_i)    and o, u likewise
            f_k = s(W_f x + sum_l U_f,kl h_l + b_f)

        c = i u + sum_k f_k c_k          h = o tanh(c)          y = weight_out h + bias_out

    On chains, with arity 1, both are the `LSTM` of sequences. The outputs are those of the roots, or of all nodes for a loss
    at every node. The gradient is back-propagation through structure; a shared sub-tree gets the sum of the gradients of all
    its parents.

    Parameters, the blocks of `weight_in` and `bias` in the order i, o, u, f: ``weight_in`` (4H, I), or with symbols
    ``weight_symbol`` (V, 4H), a row a symbol; ``weight_iou`` (3H, H) or (3H, A*H); ``weight_f`` (H, H), or (A*H, A*H) whose
    block k, l is U_f,kl; ``bias`` (4H); ``weight_out`` (K, H), ``bias_out`` (K).

    n_inputs, n_outputs : features of a node, or with tokens the number of symbols; outputs
    tokens : nodes have symbols (N,), not features (N, n_inputs)
    dtype : "float32" or "float64"
    rng : seed of the initial parameters: uniform in +-1/sqrt(H), biases zero but for that of the forget gates
    hidden : H, the numbers of a node's state and of its cell
    variant : "child-sum" or "n-ary"
    arity : A, the largest number of children of a node
    embedding : size of the learned vector that stands for each symbol, before `weight_in`; 0: symbols go in one-hot
    forget_bias : initial bias of the forget gates, b_f

    Raises `RnnsimError` for unknown options and sizes below 1, and for forests that do not fit.

    >>> from rnnsim.core.forest import Forest
    >>> net = TreeLSTM(4, 1, tokens=True, hidden=3, variant="n-ary")
    >>> found = net.forward(Forest.from_brackets(["(a b (c d))", "a"], symbols="abcd"), record="c")
    >>> found.outputs.shape, found.records["c"].shape
    ((2, 1), (5, 3))
    """

    trace_names = ("i", "o", "u", "c", "h")

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        hidden: int = 32,
        variant: Literal["child-sum", "n-ary"] = "child-sum",
        arity: int = 2,
        embedding: int = 0,
        forget_bias: float = 1.0,
        tokens: bool = False,
        dtype: str = "float32",
        rng: "Seed" = 0,
    ):
        self.summed = one_of("variant", variant, VARIANTS) == "child-sum"
        require(np.isfinite(forget_bias), f"forget_bias={forget_bias}: expected a finite number")
        options = dict(hidden=hidden, variant=variant, arity=arity, embedding=embedding, forget_bias=forget_bias)
        self._begin("lstm-tree", n_inputs, n_outputs, tokens, dtype, options)
        n = self.hidden
        self._seen = n if self.summed else self.arity * n
        shapes = [*self._input_shapes(4 * n), ("weight_iou", (3 * n, self._seen)), ("weight_f", (self._seen,) * 2)]
        self._lay_out([*shapes, ("bias", (4 * n,)), *self._readout_shapes()])
        rng = generator(rng)
        for name, weights in self._weights.items():
            if name == "weight_embedding":
                weights[...] = rng.normal(size=weights.shape)
            elif name.startswith("weight"):
                weights[...] = rng.uniform(-1, 1, weights.shape) / np.sqrt(n)
        self._weights["bias"][3 * n :] = forget_bias

    @property
    def state_size(self):
        """Numbers of a node's state: h and c."""
        return 2 * self.hidden

    @property
    def cost_per_step(self):
        """Multiply-adds of a node with all its children."""
        n, arity = self.hidden, self.arity
        children = arity * n * n if self.summed else self._seen**2
        return 4 * n * self.width_in + 3 * n * self._seen + children

    def _up(self, forest, levels_):
        space, weights, n = self._space, self._weights, self.hidden
        nodes, chunks, padded = forest.nodes, len(levels_.chunks) - 1, padded_size(n, self.dtype)
        # The sum over children needs no slot for those that no node has.
        children = levels_.children if self.summed else self._children(levels_)
        count = int(np.count_nonzero(children >= 0))
        edges, child, slot = np.empty(nodes + 1, np.int64), np.empty(count, np.int32), np.empty(count, np.int32)
        _list_edges(edges, child, slot, children)
        widest = int(np.diff(edges).max())
        slots = 1 if self.summed else self.arity
        self._inputs = inputs = self._node_inputs(forest, levels_, 4)
        self._work = work = levels.scratch(space, chunks, self._seen, self.width_in)
        self._tape = tape = TreeLSTMTape(
            a=space.array("a", (nodes, 4 * padded)),
            f=space.array("f", (count, padded)),
            h=space.array("h", (nodes, padded)),
            c=space.array("c", (nodes, padded)),
            children=children,
            edges=edges,
            child=child,
            slot=slot,
            starts=levels_.starts,
            chunks=levels_.chunks,
            panels=packed_columns(space, "panels_iou", weights["weight_iou"], 3),
            panels_f=packed_columns(space, "panels_f", weights["weight_f"], slots),
            bias=self._padded("bias_row", weights["bias"], 4),
            edge_states=space.array("edge_states", (chunks, BLOCK * widest if self.summed else 0, n)),
            edge_terms=space.array("edge_terms", (chunks, 0 if self.summed else BLOCK, self.arity * padded)),
            units=n,
            summed=self.summed,
        )
        levels.over_chunks(tree_lstm_forward, _forward_parallel, nodes * self.cost_per_step, chunks, tape, inputs, work)
        return tape.h

    def _down(self, d):
        tape, inputs, space, n = self._tape, self._inputs, self._space, self.hidden
        weights, gradients = self._weights, self._gradients
        nodes, chunks = len(d), len(tape.chunks) - 1
        has_x = bool(len(inputs.x))

        def zeros(name, *shape):
            array = space.array(name, shape)
            array[...] = 0
            return array

        gradient = TreeLSTMGradient(
            dh=d,
            dc=zeros("dc", *d.shape),
            panels=packed_rows(space, "panels_iou_back", weights["weight_iou"], 3),
            panels_f=packed_rows(space, "panels_f_back", weights["weight_f"], 1 if self.summed else self.arity),
            panels_in=packed_rows(space, "panels_in_back", weights["weight_in"], 4) if has_x else inputs.panels,
            dx=space.array("dx", (nodes if self.embedding else 0, self.width_in)),
            weight_in=zeros("sums_in", chunks, 4 * n, self.width_in if has_x else 0),
            weight_iou=zeros("sums_iou", chunks, 3 * n, self._seen),
            weight_f=zeros("sums_f", chunks, self._seen, self._seen),
            bias=zeros("sums_bias", chunks, tape.a.shape[1]),
        )
        levels.over_chunks(
            tree_lstm_backward,
            _backward_parallel,
            2 * nodes * self.cost_per_step,
            chunks,
            tape,
            inputs,
            self._work,
            gradient,
        )
        gradients["weight_iou"] += gradient.weight_iou.sum(axis=0)
        gradients["weight_f"] += gradient.weight_f.sum(axis=0)
        gradients["bias"] += gradient.bias.sum(axis=0).reshape(4, -1)[:, :n].ravel()
        self._inputs_backward(inputs, gradient.weight_in, tape.a, gradient.dx)

    def _traces(self):
        tape, n = self._tape, self.hidden
        blocks = tape.a.reshape(len(tape.a), 4, -1)[:, :, :n]
        return {"i": blocks[:, 0], "o": blocks[:, 1], "u": blocks[:, 2], "c": tape.c[:, :n], "h": tape.h[:, :n]}
