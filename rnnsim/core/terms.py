"""Terms written down, as nested lists or as bracketed strings, turned into the flat arrays of a forest without recursion."""

import re
from collections.abc import Sequence

import numpy as np

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError, unknown

_WORD = re.compile(r"[()]|[^\s()]+")


class Terms:
    """A list of nodes that grows tree by tree, children before parents.

    symbols : the names of the labels; None: new ones are numbered in the order of the nodes
    share : equal sub-trees of a tree are kept once
    """

    def __init__(self, symbols: Sequence[str] | None = None, share: bool = False):
        self._open = symbols is None
        self.symbols = list(symbols or [])
        self._numbers = {name: k for k, name in enumerate(self.symbols)}
        self._share = share
        self._children: list[tuple[int, ...]] = []
        self._labels: list[int] = []
        self._starts = [0]
        self._known: dict[tuple, int] = {}  # (label, children) of the present tree: its node

    def arrays(self):
        """(starts, children, labels) as of `rnnsim.core.forest.Forest`. Raises `RnnsimError` if there is no tree."""
        require(len(self._starts) > 1, "there is no tree")
        children = np.full((len(self._labels), max(1, *map(len, self._children), 1)), -1, np.int32)
        for node, below in enumerate(self._children):
            children[node, : len(below)] = below
        return np.array(self._starts), children, np.array(self._labels, np.int32)

    def add_nested(self, tree):
        """Add a tree of nested lists or tuples."""
        where = f"tree {len(self._starts) - 1}"
        # An entry of the stack is a list that is being read: (label, its children that are not read yet, nodes of the others,
        # its name).
        stack, now, above = [], tree, {}  # `above`: the lists that contain what is being read
        while True:
            if isinstance(now, (list, tuple)):
                require(len(now) > 0, f"{where}: a list is empty")
                require(id(now) not in above, f"{where}: a list contains itself")
                above[id(now)] = now
                stack.append((self._number(now[0], where), iter(now[1:]), [], id(now)))
            else:
                stack.append((self._number(now, where), iter(()), [], None))
            while True:
                label, rest, nodes, name = stack[-1]
                now = next(rest, stack)  # the stack itself stands for "no more"
                if now is not stack:
                    break
                stack.pop()
                above.pop(name, None)
                node = self._node(label, tuple(nodes))
                if not stack:
                    return self._end()
                stack[-1][2].append(node)

    def add_brackets(self, line, labelled, where):
        """Add the tree of a bracketed string; `where` begins the messages."""
        stack, root = [], None
        for found in _WORD.finditer(line):
            word, place = found.group(), f"{where}, column {found.start() + 1}"
            require(root is None or word == ")", f"{place}: a second tree begins")
            if word == "(":
                stack.append([-1, [], labelled, found.start() + 1])
                continue
            if word == ")":
                require(bool(stack), f"{place}: ')' without '('")
                label, nodes, expects, _ = stack.pop()
                require(label >= 0 or bool(nodes), f"{place}: the bracket is empty")
                node = self._node(label, tuple(nodes))
            elif stack and stack[-1][2]:  # the label of the bracket
                stack[-1][0], stack[-1][2] = self._number(word, place), False
                continue
            else:
                node = self._node(self._number(word, place), ())
            if stack:
                stack[-1][1].append(node)
                stack[-1][2] = False
            else:
                root = node
        require(not stack, f"{where}, column {stack[-1][3] if stack else 0}: '(' without ')'")
        self._end()

    def _number(self, label, where):
        if label is None:
            return -1
        if not isinstance(label, str):
            raise RnnsimError(f"{where}: expected a label, a string or None, got {type(label).__name__}")
        if label not in self._numbers:
            if not self._open:
                raise unknown(f"label at {where}", label, self.symbols)
            self._numbers[label] = len(self.symbols)
            self.symbols.append(label)
        return self._numbers[label]

    def _node(self, label, children):
        if self._share:
            node = self._known.get((label, children))
            if node is not None:
                return node
        node = len(self._labels) - self._starts[-1]
        self._labels.append(label)
        self._children.append(children)
        if self._share:
            self._known[label, children] = node
        return node

    def _end(self):
        self._starts.append(len(self._labels))
        self._known.clear()
