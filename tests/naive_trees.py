"""Slow twins of the recursive network and of its searches, from the equations: plain Python and NumPy, one tree at a time.

A tree over segments is a segment's number or a pair (left, right) of trees.
"""

import itertools

import numpy as np

from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.networks.interface import Network
from rnnsim.networks.recursive import margin


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {"tanh": (np.tanh, lambda y: 1 - y * y), "logistic": (sigmoid, lambda y: y * (1 - y))}


class NaiveRecursive(Network):
    """Leaves f(W_in x + b_leaf), merges f(W [a_i; a_j] + b), scores w . p, labels softmax(W_out a + b_out)."""

    takes = SegmentGraphs
    procedures = frozenset({"max-margin"})

    def __init__(self, n_inputs=3, n_outputs=2, hidden=4, activation="logistic", tokens=False, dtype="float64", rng=0):
        self.n_inputs, self.n_outputs, self.hidden, self.tokens = n_inputs, n_outputs, hidden, tokens
        self.activation, self.dtype = activation, np.dtype(dtype)
        options = {"activation": activation}
        self.config = {"name": "naive-tree", "n_inputs": n_inputs, "n_outputs": n_outputs, "options": options}
        self._lay_out(
            [
                ("weight_in", (hidden, n_inputs)),
                ("bias_leaf", (hidden,)),
                ("weight_child", (hidden, 2 * hidden)),
                ("bias", (hidden,)),
                ("weight_score", (hidden,)),
                ("weight_out", (n_outputs, hidden)),
                ("bias_out", (n_outputs,)),
            ]
        )
        self.theta[...] = np.random.default_rng(rng).normal(0, 0.7, self.n_parameters)

    def leaf(self, x):
        w = self._weights
        product = w["weight_in"][:, x] if self.tokens else w["weight_in"] @ x
        return ACTIVATIONS[self.activation][0](product + w["bias_leaf"])

    def merge(self, left, right):
        """(the state of a merge, its score)."""
        w = self._weights
        state = ACTIVATIONS[self.activation][0](w["weight_child"] @ np.concatenate([left, right]) + w["bias"])
        return state, float(w["weight_score"].reshape(-1) @ state)

    def states(self, forest):
        """(N, H) by node."""
        self._forest, self._states = forest, np.zeros((forest.nodes, self.hidden), self.dtype)
        for tree in range(forest.size):
            first = forest.starts[tree]
            for node in range(first, forest.starts[tree + 1]):
                kids = [self._states[first + child] for child in forest.children[node] if child >= 0]
                self._states[node] = self.merge(*kids)[0] if kids else self.leaf(forest.inputs[node])
        return self._states

    def states_gradient(self, forest, d_states):
        """Adds the gradient of sum(d_states * states) to `gradient`."""
        w, g, slope = self._weights, self._gradients, ACTIVATIONS[self.activation][1]
        d = np.array(d_states, self.dtype)
        for tree in range(forest.size):
            first = forest.starts[tree]
            for node in range(forest.starts[tree + 1] - 1, first - 1, -1):
                delta = d[node] * slope(self._states[node])
                kids = [first + child for child in forest.children[node] if child >= 0]
                if kids:
                    both = np.concatenate([self._states[kid] for kid in kids])
                    g["weight_child"] += np.outer(delta, both)
                    g["bias"] += delta
                    down = w["weight_child"].T @ delta
                    d[kids[0]] += down[: self.hidden]
                    d[kids[1]] += down[self.hidden :]
                else:
                    x = forest.inputs[node]
                    g["weight_in"] += np.outer(delta, np.eye(self.n_inputs)[x] if self.tokens else x)
                    g["bias_leaf"] += delta

    def evaluate(self, batch, loss, state=None):
        return margin.evaluate(self, batch, loss)

    def gradient_by(self, rule, batch, loss, state=None):
        return margin.gradient(self, batch, rule.objective)


# -- graphs and trees ----------------------------------------------------------------------------------------------------------


def leaves(tree):
    """The set of the segments below."""
    return frozenset([tree]) if isinstance(tree, int) else leaves(tree[0]) | leaves(tree[1])


def merges(tree):
    """All sub-trees that are merges, children first."""
    return [] if isinstance(tree, int) else [*merges(tree[0]), *merges(tree[1]), tree]


def trees_of(parses, counts):
    """The trees of a `Parses`; counts: segments of every graph."""
    found = []
    for b, count in enumerate(counts):
        nodes = list(range(count))
        for left, right in parses.pairs[parses.starts[b] : parses.starts[b + 1]].tolist():
            nodes.append((nodes[left], nodes[right]))
        found.append(nodes[-1])
        assert leaves(nodes[-1]) == frozenset(range(count)) and len(nodes) == 2 * count - 1
    return found


def parses_of(trees):
    """The `Parses` of trees."""
    pairs, starts = [], [0]
    for tree in trees:
        number = {s: s for s in leaves(tree)}
        for k, merge in enumerate(merges(tree)):
            pairs.append([number[merge[0]], number[merge[1]]])
            number[merge] = len(leaves(tree)) + k
        starts.append(len(pairs))
    return Parses(np.array(pairs, np.int32).reshape(-1, 2), np.zeros(len(pairs)), np.array(starts))


def graph_parts(graphs):
    """For every graph: (inputs, list of edges, targets: classes, a tree, or None)."""
    edges, ends = graphs.neighbours()
    counts = np.diff(graphs.starts)
    right = trees_of(graphs.targets, counts) if isinstance(graphs.targets, Parses) else None
    for b in range(graphs.size):
        part = slice(graphs.starts[b], graphs.starts[b + 1])
        if right is not None:
            targets = right[b]
        else:
            targets = None if graphs.targets is None else graphs.targets[part].tolist()
        yield graphs.inputs[part], edges[ends[b] : ends[b + 1]].tolist(), targets


def is_wrong(tree, targets):
    """Whether a merge is wrong, by classes or by a right tree."""
    if targets is None:
        return False
    below = leaves(tree)
    if isinstance(targets, list):
        return len({targets[s] for s in below} - {-1}) > 1
    return below not in {leaves(merge) for merge in merges(targets)}


class Twin:
    """The searches over one graph."""

    def __init__(self, net, inputs, edges, both, targets=None, kappa=0.0):
        self.net, self.edges, self.both, self.targets, self.kappa = net, edges, both, targets, kappa
        self.count = len(inputs)
        self.known = {s: (net.leaf(x), None) for s, x in enumerate(inputs)}

    def state(self, tree):
        if tree not in self.known:
            self.known[tree] = self.net.merge(self.state(tree[0]), self.state(tree[1]))
        return self.known[tree][0]

    def value(self, tree):
        """The score of a merge, with the margin."""
        self.state(tree)
        return self.known[tree][1] + (self.kappa if is_wrong(tree, self.targets) else 0.0)

    def total(self, tree):
        return sum(self.value(merge) for merge in merges(tree))

    def orders(self, a, b):
        first, second = (a, b) if min(leaves(a)) < min(leaves(b)) else (b, a)
        return [(first, second), (second, first)] if self.both else [(first, second)]

    def adjacent(self, a, b):
        below, above = leaves(a), leaves(b)
        return any((u in below and v in above) or (v in below and u in above) for u, v in self.edges)

    def candidates(self, forest):
        for a, b in itertools.combinations(forest, 2):
            if self.adjacent(a, b):
                yield from self.orders(a, b)

    def greedy(self, force=False):
        """The greedy tree; of equal values the pair with the smallest left node, then with the smallest right node wins."""
        forest, number, made = list(range(self.count)), {s: s for s in range(self.count)}, []
        while len(forest) > 1:
            found = list(self.candidates(forest))
            right = [pair for pair in found if not is_wrong(pair, self.targets)]
            found = right if force and right else found
            best = min(found, key=lambda pair: (-self.value(pair), number[pair[0]], number[pair[1]]))
            number[best] = self.count + len(made)
            made.append(best)
            forest = [node for node in forest if node not in best] + [best]
        self.made = made
        return forest[0]

    def beam(self, width):
        forests = [(0.0, frozenset(range(self.count)))]
        for _ in range(self.count - 1):
            found = {}
            for total, forest in forests:
                for pair in self.candidates(sorted(forest, key=str)):
                    after = forest - set(pair) | {pair}
                    found[after] = max(found.get(after, -np.inf), total + self.value(pair))
            forests = sorted(((total, forest) for forest, total in found.items()), key=lambda item: -item[0])[:width]
        (best,) = forests[0][1]
        return best

    def chart(self, width):
        cells = {(s, s + 1): [s] for s in range(self.count)}
        for length in range(2, self.count + 1):
            for i in range(self.count - length + 1):
                found = [
                    tree
                    for cut in range(i + 1, i + length)
                    for a, b in itertools.product(cells[i, cut], cells[cut, i + length])
                    for tree in self.orders(a, b)
                ]
                cells[i, i + length] = sorted(found, key=lambda tree: -self.total(tree))[:width]
        return cells[0, self.count][0]

    def all_trees(self):
        """Every tree over the graph, once."""

        def over(members):
            if len(members) == 1:
                return list(members)
            found = []
            rest = sorted(members)[1:]
            for size in range(1, len(members)):
                for other in itertools.combinations(rest, size):
                    for a, b in itertools.product(over(members - set(other)), over(frozenset(other))):
                        if self.adjacent(a, b):
                            found += self.orders(a, b)
            return found

        return over(frozenset(range(self.count)))

    def best(self):
        return max(self.all_trees(), key=self.total)


def twins(net, graphs, both=None, kappa=0.0):
    """A `Twin` a graph."""
    both = graphs.edges is not None if both is None else both
    return [Twin(net, inputs, edges, both, targets, kappa) for inputs, edges, targets in graph_parts(graphs)]


# -- objectives ----------------------------------------------------------------------------------------------------------------


def nodes(tree):
    """All sub-trees, segments included."""
    return [tree] if isinstance(tree, int) else [*nodes(tree[0]), *nodes(tree[1]), tree]


def cross_entropy(net, state, distribution):
    logits = net._weights["weight_out"] @ state + net._weights["bias_out"]
    return -distribution @ (logits - np.log(np.exp(logits).sum()))


def tree_terms(net, graphs, kappa, search, both=None, prefix=False):
    """(hinge, labels) of the second stage, from its definition; `search` gives the tree of a `Twin`, greedily with `prefix`."""
    hinge = labels = 0.0
    for twin in twins(net, graphs, both, kappa):
        of_classes = isinstance(twin.targets, list)
        top = search(twin)
        plain = Twin(net, [], twin.edges, twin.both, twin.targets)
        plain.known, plain.count = twin.known, twin.count
        correct = plain.greedy(force=True) if of_classes or twin.both or prefix else twin.targets
        if prefix:
            found, wanted = ([twin.value(merge) for merge in one.made] for one in (twin, plain))
            hinge += max(0.0, *np.cumsum(found) - np.cumsum(wanted), 0.0)
        else:
            hinge += max(0.0, twin.total(top) - twin.total(correct))
        for node in nodes(correct) if of_classes else []:
            below = [twin.targets[s] for s in leaves(node) if twin.targets[s] >= 0]
            if below:
                distribution = np.bincount(below, minlength=net.n_outputs) / len(below)
                labels += cross_entropy(net, twin.state(node), distribution)
    return hinge / graphs.size, labels / graphs.size


def pair_terms(net, graphs, both=None):
    """(hinge, labels) of the first stage, from its definition."""
    losses, of_pairs, of_segments = [], [], []
    for twin in twins(net, graphs, both):
        targets, of_classes = twin.targets, isinstance(twin.targets, list)
        ordered = [(u, v) for u, v in twin.edges] + [(v, u) for u, v in twin.edges]

        def good(a, b, targets=targets, of_classes=of_classes):
            if of_classes:
                return targets[a] == targets[b] and targets[a] >= 0
            return {a, b} in [set(merge) for merge in merges(targets)]

        def bad(a, b, targets=targets, of_classes=of_classes, good=good):
            known = not of_classes or (targets[a] >= 0 and targets[b] >= 0)
            return known and not good(a, b)

        def score(a, b, twin=twin):
            return twin.value((a, b) if twin.both else (min(a, b), max(a, b)))

        for a, g in ordered:
            losses += [
                max(0.0, 1 - score(a, g) + score(a, b)) for c, b in ordered if c == a and good(a, g) and bad(a, b)
            ]
        if of_classes:
            eye = np.eye(net.n_outputs)
            for a, g in ordered if twin.both else twin.edges:
                if good(a, g):
                    of_pairs += [cross_entropy(net, twin.state(node), eye[targets[a]]) for node in ((a, g), a, g)]
            of_segments += [cross_entropy(net, twin.state(s), eye[c]) for s, c in enumerate(targets) if c >= 0]
    means = [float(np.mean(values)) if values else 0.0 for values in (losses, of_pairs, of_segments)]
    return means[0], means[1] + means[2]


# -- cases ---------------------------------------------------------------------------------------------------------------------


def random_tree(rng, count, edges):
    """A random binary tree over a graph."""
    twin, forest = Twin(None, [], edges, False), list(range(count))
    while len(forest) > 1:
        found = list(twin.candidates(forest))
        merge = found[int(rng.integers(len(found)))]
        forest = [node for node in forest if node not in merge] + [merge]
    return forest[0]


def chains(counts, n_inputs=3, targets=None, tokens=False, seed=0):
    """Chains with random inputs; targets: None, "classes", "trees"."""
    rng = np.random.default_rng(seed)
    total = sum(counts)
    inputs = rng.integers(0, n_inputs, total).astype(np.int32) if tokens else rng.normal(size=(total, n_inputs))
    if targets == "classes":
        targets = rng.integers(-1, 2, total).astype(np.int32)
    elif targets == "trees":
        targets = parses_of([random_tree(rng, count, [(s, s + 1) for s in range(count - 1)]) for count in counts])
    return SegmentGraphs(np.cumsum([0, *counts]), inputs, targets=targets)


def random_graphs(counts, n_inputs=3, targets=None, classes=2, more=0.3, seed=0):
    """Connected graphs: a random tree of edges, and more edges with this probability."""
    rng = np.random.default_rng(seed)
    edges, ends = [], [0]
    for count in counts:
        pairs = {tuple(sorted((v, int(rng.integers(v))))) for v in range(1, count)}
        pairs |= {pair for pair in itertools.combinations(range(count), 2) if rng.random() < more}
        edges += sorted(pairs)
        ends.append(len(edges))
    total = sum(counts)
    if targets == "classes":
        targets = rng.integers(-1, classes, total).astype(np.int32)
    elif targets == "trees":
        parts = [edges[ends[b] : ends[b + 1]] for b in range(len(counts))]
        targets = parses_of([random_tree(rng, count, part) for count, part in zip(counts, parts)])
    inputs = rng.normal(size=(total, n_inputs))
    return SegmentGraphs(
        np.cumsum([0, *counts]), inputs, np.array(edges, np.int32).reshape(-1, 2), np.array(ends), targets
    )
