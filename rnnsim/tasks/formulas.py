"""Formulas and expressions as trees: their values, by depth."""

from typing import Literal

import numpy as np

from rnnsim.core.forest import Forest
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import one_of, require
from rnnsim.tasks.bit_vectors import bounds
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.random_terms import DEEPEST, draw_terms


@jit_exact
def _boolean_values(values, starts, children, labels):
    """values (N) <- the value of every node; labels 0 .. 4 are and, or, not, F, T."""
    for tree in range(starts.size - 1):
        first = starts[tree]
        for node in range(first, starts[tree + 1]):
            label = labels[node]
            if label > 2:
                values[node] = label - 3
                continue
            left = values[first + children[node, 0]]
            if label == 2:
                values[node] = 1 - left
            else:
                right = values[first + children[node, 1]]
                values[node] = min(left, right) if label == 0 else max(left, right)


@jit_exact
def _arithmetic_values(values, starts, children, labels, modulus):
    """values (N) <- the value of every node modulo `modulus`; labels 0 .. 2 are +, - and *, then come the digits."""
    for tree in range(starts.size - 1):
        first = starts[tree]
        for node in range(first, starts[tree + 1]):
            label = labels[node]
            if label > 2:
                values[node] = label - 3
                continue
            left, right = values[first + children[node, 0]], values[first + children[node, 1]]
            if label == 0:
                values[node] = (left + right) % modulus
            elif label == 1:
                values[node] = (left - right + modulus) % modulus
            else:
                values[node] = (left * right) % modulus


class _Expressions(GeneratedTask):
    """What formulas and expressions share: the range of depths, and where the targets are."""

    makes = Forest
    tokens = True
    _arities: np.ndarray
    _functions = 3

    def _set(self, min_depth, max_depth, depth, targets, kind, unit):
        self.min_depth, self.max_depth = bounds("depth", depth, min_depth, max_depth, floor=1)
        name = "max_depth" if depth is None else "depth"
        require(self.max_depth <= DEEPEST, f"{name}={self.max_depth}: expected at most {DEEPEST}")
        self._nodes = one_of("targets", targets, ("root", "nodes")) == "nodes"
        self.loss = Loss(
            kind, when="every" if self._nodes else "last", per="step" if self._nodes else "sequence", unit=unit
        )

    def _values(self, starts, children, labels):
        raise NotImplementedError

    def generate(self, key, first, size):
        low, high = self.min_depth, self.max_depth
        starts, children, labels = draw_terms(key, first, size, low, high, self._arities, self._functions)
        values = self._values(starts, children, labels)
        targets = values if self._nodes else np.ascontiguousarray(values[starts[1:] - 1])
        return Forest(starts, children, labels, targets, symbols=self.input_names)


class Formulas(_Expressions):
    """Boolean formulas as trees; the target is their value.

    Formulas of and, or, not, T and F. The depth of a formula, the edges from the root to the deepest leaf, is uniform on
    min_depth .. max_depth; `rnnsim.tasks.random_terms` describes how the formula is drawn. With the same probability it is true
    and false, and so is every part of it: exchanging "and" with "or" and T with F turns the value round.

    A network that was trained on small depths and is tested on larger ones shows how well it generalises by depth: evaluate with
    ``-o depth=8``.

    Batches are `rnnsim.core.forest.Forest`, inputs (N,) int32 symbols. Targets (B, 1) float32 of 0 and 1, or (N, 1) with
    targets="nodes", the value of every node, leaves included.

    Loss: Bernoulli cross-entropy of a logit, in bits a formula (a node with targets="nodes").
    Chance-level loss: 1 bit.
    Criterion (ours): the last 2000 training formulas right.

    Parameters
    ----------
    max_depth, min_depth : bounds of the depth, 1 <= min_depth <= max_depth <= 14
    depth : every formula has this depth, whatever the bounds are; None: the bounds hold
    targets : "root", or "nodes": a target a node

    Raises `RnnsimError` for an option out of range.

    >>> batch = Formulas(depth=2).training_batch(seed=0, step=0, size=2)
    >>> batch.to_brackets(), batch.targets.ravel().tolist()
    (['(not (not F))', '(and (not F) (not T))'], [0.0, 0.0])
    """

    name = "formulas"
    tested_options = (dict(depth=7), dict(depth=8, targets="nodes"))
    n_inputs, n_outputs = 5, 1
    trivial_loss = 1.0
    criterion = Criterion(window=2000, wrong=0)
    input_names = ("and", "or", "not", "F", "T")
    target_names = ("true",)
    _arities = np.array([2, 2, 1, 0, 0], np.int32)

    def __init__(
        self,
        max_depth: int = 4,
        min_depth: int = 1,
        depth: int | None = None,
        targets: Literal["root", "nodes"] = "root",
    ):
        self._set(min_depth, max_depth, depth, targets, "bernoulli", "bits")

    def _values(self, starts, children, labels):
        values = np.empty(len(labels), np.float32)
        _boolean_values(values, starts, children, labels)
        return values[:, np.newaxis]


class Arithmetic(_Expressions):
    """Expressions over digits as trees; the target is their value modulo m.

    Expressions of the operations +, - and * with two operands each and the digits 0 .. modulus - 1; all operations are modulo
    `modulus`. The depth of an expression is uniform on min_depth .. max_depth; `rnnsim.tasks.random_terms` describes how it is
    drawn. Evaluate with ``-o depth=8`` to see how a network generalises to depths beyond those of training.

    Batches are `rnnsim.core.forest.Forest`, inputs (N,) int32 symbols. Targets (B,) int32 classes 0 .. modulus - 1, or (N,) with
    targets="nodes", the value of every node, leaves included.

    Loss: softmax cross-entropy, in nats an expression (a node with targets="nodes").
    Chance-level loss: the entropy of the values, exactly: their distribution p_d at depth d follows from those of smaller depths,
    as one operand has depth d - 1 and the other any smaller depth. 0 is the most probable value, because of the products.
    Criterion (ours): the last 2000 training expressions right.

    Parameters
    ----------
    modulus : number of digits and values, 2 .. 10
    max_depth, min_depth : bounds of the depth, 1 <= min_depth <= max_depth <= 14
    depth : every expression has this depth, whatever the bounds are; None: the bounds hold
    targets : "root", or "nodes": a target a node

    Raises `RnnsimError` for an option out of range.

    >>> batch = Arithmetic(depth=2).training_batch(seed=0, step=0, size=2)
    >>> batch.to_brackets(), batch.targets.tolist()
    (['(* (- 0 2) (- 3 1))', '(* (* 3 0) (+ 1 0))'], [1, 0])
    """

    name = "arithmetic"
    tested_options = (dict(depth=7), dict(depth=6, targets="nodes", modulus=3))
    criterion = Criterion(window=2000, wrong=0)

    def __init__(
        self,
        modulus: int = 5,
        max_depth: int = 4,
        min_depth: int = 1,
        depth: int | None = None,
        targets: Literal["root", "nodes"] = "root",
    ):
        require(2 <= modulus <= 10, f"modulus={modulus}: expected 2 to 10")
        self.modulus = modulus
        self._arities = np.array([2, 2, 2] + [0] * modulus, np.int32)
        self._set(min_depth, max_depth, depth, targets, "softmax", "nats")
        digits = tuple(map(str, range(modulus)))
        self.input_names, self.target_names = ("+", "-", "*", *digits), digits
        self.n_inputs, self.n_outputs = 3 + modulus, modulus
        roots, nodes = self._expected()
        counts = (nodes if self._nodes else roots)[self.min_depth : self.max_depth + 1].sum(axis=0)
        shares = counts[counts > 0] / counts.sum()
        self.trivial_loss = float(-(shares * np.log(shares)).sum())

    def _expected(self):
        """(D + 1, m), (D + 1, m): the probability of every value of the root, and the mean number of nodes with it, by depth."""
        m = self.modulus
        left, right = np.meshgrid(np.arange(m), np.arange(m), indexing="ij")
        tables = [np.eye(m)[value % m] for value in (left + right, left - right, left * right)]
        table = sum(tables) / 3  # of two operands: the probability of every value
        roots, nodes = [np.full(m, 1 / m)], [np.full(m, 1 / m)]
        for _ in range(self.max_depth):
            deep, other = roots[-1], np.mean(roots, axis=0)
            pairs = (np.outer(deep, other) + np.outer(other, deep)) / 2
            here = np.einsum("ij,ijv->v", pairs, table)
            nodes.append(here + nodes[-1] + np.mean(nodes, axis=0))
            roots.append(here)
        return np.array(roots), np.array(nodes)

    def _values(self, starts, children, labels):
        values = np.empty(len(labels), np.int32)
        _arithmetic_values(values, starts, children, labels, self.modulus)
        return values
