"""Trees: parsing of sentences and of graphs by the scores of merges, and the subgradient of max-margin learning."""

import numpy as np

UNITS, WORDS = 100, 40


def network(tokens=True, inputs=1000, units=UNITS):
    """A recursive network with a score, float32."""
    from rnnsim.networks import build

    options = dict(hidden=units, leaves="own", score=True)
    return build("rnn-tree", inputs, 2, options, tokens=tokens)


def sentences(count, words=WORDS, symbols=1000):
    """Random words; the right trees branch to the right."""
    from rnnsim.core.segments import Parses, SegmentGraphs

    rng = np.random.default_rng(0)
    pairs = [[words - 2, words - 1], *([words - 2 - k, words + k - 1] for k in range(1, words - 1))]
    starts = np.arange(count + 1) * (words - 1)
    right = Parses(np.tile(np.array(pairs, np.int32), (count, 1)), np.zeros(starts[-1]), starts)
    inputs = rng.integers(0, symbols, count * words).astype(np.int32)
    return SegmentGraphs(np.arange(count + 1) * words, inputs, targets=right)


def grids(count, side=10, inputs=119):
    """Pictures of side * side segments, each next to those beside, above and below it, in regions of two classes."""
    from rnnsim.core.segments import SegmentGraphs

    rng, place = np.random.default_rng(0), np.arange(side * side).reshape(side, side)
    edges = [(place[:, :-1], place[:, 1:]), (place[:-1], place[1:])]
    edges = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in edges])
    classes = np.tile(((place // (3 * side)) % 2).ravel(), count).astype(np.int32)
    x = rng.normal(size=(count * side * side, inputs)) + classes[:, None]
    starts, ends = (np.arange(count + 1) * size for size in (side * side, len(edges)))
    return SegmentGraphs(starts, x, np.tile(edges, (count, 1)), ends, classes)


def numpy_greedy(net, states, keep):
    """The scores of the greedy tree over one sentence by a loop in NumPy; `keep`: pairs that stay are not scored again."""
    views = net.layout.views(net.theta)
    child, bias, weight = views["weight_child"], views["bias"], views["weight_score"]

    def merge(left, right):
        state = np.tanh(child @ np.concatenate([left, right]) + bias)
        return state, weight @ state

    forest, scores, pairs = list(states), [], None
    while len(forest) > 1:
        if pairs is None or not keep:
            pairs = [merge(*two) for two in zip(forest[:-1], forest[1:])]
        k = int(np.argmax([score for _, score in pairs]))
        forest[k : k + 2] = [pairs[k][0]]
        scores.append(pairs.pop(k)[1])
        for near in (k - 1, k):
            if keep and 0 <= near < len(pairs):
                pairs[near] = merge(forest[near], forest[near + 1])
    return scores


class Sentence:
    """One sentence of 40 words, 100 units, from words to tree; one thread."""

    params = (("greedy", "beam", "chart"), (1, 5))
    param_names = ("search", "width")

    def setup(self, search, width):
        from rnnsim.networks.recursive.parsing import Search

        if search == "greedy" and width > 1:
            raise NotImplementedError
        self.net, self.words, self.search = network(), sentences(1), Search(search, width)
        self.time_parse(search, width)

    def time_parse(self, search, width):
        self.net.parse(self.words, self.search)


class NumPyLoop:
    """The greedy tree of the same sentence by a loop in NumPy, with all pairs scored after every merge, or the new ones only."""

    params = ((False, True),)
    param_names = ("keep",)

    def setup(self, keep):
        from rnnsim.networks.recursive.parsing import segment_states

        self.net, words = network(), sentences(1)
        self.states = segment_states(self.net, words)
        found = np.array(numpy_greedy(self.net, self.states, keep))
        np.testing.assert_allclose(found, self.net.parse(words).scores, atol=1e-4)

    def time_parse(self, keep):
        numpy_greedy(self.net, self.states, keep)


class Linear:
    """A forest of sentences: microseconds a word should not grow with their number."""

    params = ((10, 100, 1000),)
    param_names = ("sentences",)

    def setup(self, count):
        self.net, self.words = network(), sentences(count)
        self.time_parse(count)

    def time_parse(self, count):
        self.net.parse(self.words)

    def track_microseconds_per_word(self, count):
        from .bench_online import seconds

        return 1e6 * seconds(lambda: self.time_parse(count)) / self.words.work


class Learning:
    """The subgradient of both stages: 100 sentences of 20 words, 20 pictures of 100 segments with the sizes of the release."""

    params = (("sentences", "pictures"), ("pairs", "trees"))
    param_names = ("graphs", "stage")

    def setup(self, graphs, stage):
        from rnnsim.learning.max_margin import MaxMargin

        words = graphs == "sentences"
        self.net = network() if words else network(False, 119, 50)
        self.batch = sentences(100, 20) if words else grids(20)
        self.rule = MaxMargin(pretrain=int(stage == "pairs"))
        self.time_subgradient(graphs, stage)

    def time_subgradient(self, graphs, stage):
        self.net.gradient_by(self.rule, self.batch, None)


def forest(trees, leaves, classes=5):
    """Balanced binary trees with a random symbol at every leaf and a class at the root."""
    from rnnsim.core.forest import Forest

    rng, shape = np.random.default_rng(0), np.arange(2 * leaves - 1)
    children = np.stack([2 * (shape - leaves), 2 * (shape - leaves) + 1], axis=1)
    children[shape < leaves] = -1
    inputs = np.where(np.tile(shape, trees) < leaves, rng.integers(0, 1000, trees * len(shape)), -1)
    starts, targets = np.arange(trees + 1) * len(shape), rng.integers(0, classes, trees)
    return Forest(starts, np.tile(children, (trees, 1)), inputs, targets)


OPTIONS = {
    "folding": ("rnn-tree", {}),
    "own": ("rnn-tree", {"leaves": "own", "embedding": 100}),
    "tensor": ("rnn-tree", {"composition": "tensor", "hidden": 30}),
    "child-sum": ("lstm-tree", {"embedding": 100}),
    "n-ary": ("lstm-tree", {"variant": "n-ary", "embedding": 100}),
}


class Trees:
    """Forward and backward over trees of 16 leaves, 100 units (tensor: 30)."""

    params = (tuple(OPTIONS), (1, 300))
    param_names = ("network", "trees")

    def setup(self, network, trees):
        from rnnsim.core.losses import Loss
        from rnnsim.networks import build

        name, options = OPTIONS[network]
        self.net = build(name, 1000, 5, {"hidden": UNITS, **options}, tokens=True)
        self.batch, self.loss = forest(trees, 16), Loss("softmax", when="last", per="sequence")
        self.time_forward_backward(network, trees)

    def time_forward_backward(self, network, trees):
        self.net.loss_and_gradient(self.batch, self.loss)

    def time_forward(self, network, trees):
        self.net.evaluate(self.batch, self.loss)


class Forests:
    """Making a batch: the order of evaluation of 1,000 trees, and 64 of them taken out."""

    def setup(self):
        self.whole, self.which = forest(1000, 16), np.arange(0, 640, 10)
        self.time_levels()

    def time_levels(self):
        self.whole._leveled()

    def time_take(self):
        self.whole.take(self.which)


class Memory:
    """A forest of a million nodes, 100 units, forward and backward: states of one piece at a time."""

    def peakmem_million_nodes(self):
        from rnnsim.core.losses import Loss
        from rnnsim.networks import build

        net = build("rnn-tree", 1000, 5, {"hidden": UNITS}, tokens=True)
        net.loss_and_gradient(forest(8000, 63), Loss("softmax", when="last", per="sequence"))
