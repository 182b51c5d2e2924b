"""Searches for trees over graphs of segments: slow twins, searches that must agree, ties, threads, wrong input."""

import naive_trees as naive
import numpy as np
import pytest
from naive_trees import chains, random_graphs

from rnnsim.core import threads
from rnnsim.core.learner import NotFinite
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.errors import RnnsimError
from rnnsim.networks import build
from rnnsim.networks.recursive.parsing import Search, parse, right_answers

I, K, H = 3, 2, 5
SEARCHES = (
    Search(),
    Search("beam", 1),
    Search("beam", 4),
    Search("chart", 1),
    Search("chart", 3),
    Search("all"),
)
GRAPHS = {
    "sentences": lambda: chains([1, 2, 3, 6, 7], targets="trees"),
    "chains of classes": lambda: chains([5, 1, 6], targets="classes"),
    "graphs": lambda: random_graphs([1, 2, 3, 5, 6], targets="classes"),
    "graphs with trees": lambda: random_graphs([4, 5], targets="trees", seed=3),
}
every_search = pytest.mark.parametrize("search", SEARCHES, ids=str)
every_kind = pytest.mark.parametrize("graphs", GRAPHS)


def pair(activation="logistic", dtype="float64", tokens=False, seed=0, n_inputs=I, hidden=H):
    """A network and its twin with the same weights."""
    options = dict(hidden=hidden, activation=activation, leaves="own", score=True)
    net = build("rnn-tree", n_inputs, K, options, dtype, tokens=tokens)
    twin = naive.NaiveRecursive(n_inputs, K, hidden, activation, tokens, dtype, seed)
    for name, weights in net.layout.views(net.theta).items():
        other = twin.layout.views(twin.theta)
        weights[...] = other["weight_in"].T if name == "weight_symbol" else other[name]
    return net, twin


def searched(twin, search):
    """The tree that a slow search gives."""
    if search.kind == "greedy":
        return twin.greedy()
    return twin.best() if search.kind == "all" else getattr(twin, search.kind)(search.width)


def fits(search, graphs, both):
    if search.kind == "chart":
        return graphs.edges is None
    both = search.both(graphs) if both is None else both
    return search.kind != "all" or not both or np.diff(graphs.starts).max() <= 6


@pytest.mark.parametrize("activation, dtype", [("tanh", "float64"), ("logistic", "float64"), ("tanh", "float32")])
@every_search
@every_kind
def test_searches_are_their_twins(graphs, search, activation, dtype):
    """Same trees, scores and wrong merges, with a margin and without, in one order and in both."""
    graphs = GRAPHS[graphs]()
    net, slow = pair(activation, dtype)
    counts = np.diff(graphs.starts)
    checked = 0
    for kappa in (None, 0.3):
        for both in (None, True, False):
            if not fits(search, graphs, both):
                continue
            found = parse(net, graphs, search._replace(both_orders=both), kappa)
            for b, twin in enumerate(naive.twins(slow, graphs, both, kappa or 0.0)):
                tree = naive.trees_of(found.parses, counts)[b]
                merges = slice(found.parses.starts[b], found.parses.starts[b + 1])
                assert tree == searched(twin, search)
                total = found.parses.scores[merges].sum() + (kappa or 0) * found.wrong[merges].sum()
                assert total == pytest.approx(twin.total(tree), abs=1e-12 if dtype == "float64" else 1e-5)
                wrong = sum(naive.is_wrong(merge, twin.targets) for merge in naive.merges(tree))
                assert found.wrong[merges].sum() == (wrong if kappa else 0)
                checked += 1
    assert checked or search.kind == "chart"


def test_words_are_parsed_like_segments():
    net, slow = pair(tokens=True)
    words = chains([3, 8, 5], tokens=True)
    trees = naive.trees_of(net.parse(words), [3, 8, 5])
    assert trees == [twin.greedy() for twin in naive.twins(slow, words)]


@every_kind
def test_right_merges_first(graphs):
    graphs = GRAPHS[graphs]()
    net, slow = pair()
    found = parse(net, graphs, Search(), 0.0, force=True)
    trees = naive.trees_of(found.parses, np.diff(graphs.starts))
    assert trees == [twin.greedy(force=True) for twin in naive.twins(slow, graphs)]


def test_forced_merges_of_a_sentence_are_its_right_tree():
    """Each span of the right tree is made by a right merge, whatever the scores are."""
    graphs = chains([9, 12, 2], targets="trees")
    found = parse(pair()[0], graphs, Search(), 0.0, force=True)
    assert not found.wrong.any()
    counts = np.diff(graphs.starts)
    for tree, right in zip(naive.trees_of(found.parses, counts), naive.trees_of(graphs.targets, counts)):
        assert tree == right


def regions(classes, edges):
    """The number of connected regions of one class."""
    label = list(range(len(classes)))
    for _ in classes:
        for u, v in edges:
            if classes[u] == classes[v]:
                label[u] = label[v] = min(label[u], label[v])
    return len(set(label))


def test_forced_merges_complete_every_region_first():
    """A tree over R regions has at least R - 1 merges of several classes; the correct one has no more."""
    graphs = random_graphs([12, 15, 9], targets="classes", classes=3, more=0.1)
    graphs = SegmentGraphs(graphs.starts, graphs.inputs, graphs.edges, graphs.edge_starts, abs(graphs.targets))
    found = parse(pair()[0], graphs, Search(), 0.0, force=True)
    for b, (_, edges, classes) in enumerate(naive.graph_parts(graphs)):
        wrong = found.wrong[found.parses.starts[b] : found.parses.starts[b + 1]].sum()
        assert wrong == regions(classes, edges) - 1


# -- where one search gives what another one gives -----------------------------------------------------------------------------


def test_greedy_is_exact_for_two_segments():
    net, _ = pair()
    graphs = random_graphs([2] * 20, more=1.0, seed=5)
    greedy, best = (parse(net, graphs, Search(kind)).parses for kind in ("greedy", "all"))
    np.testing.assert_array_equal(greedy.pairs, best.pairs)


def test_greedy_is_exact_for_three_segments_if_only_merges_of_two_segments_have_a_score():
    """The first merge is all that counts then. A marker, 1 at segments and 0 at merges, closes the unit that is scored."""
    net = build("rnn-tree", I, 1, dict(hidden=2, leaves="own", score=True, activation="logistic"), "float64")
    views, shut = net.layout.views(net.theta), 60
    net.theta[...] = 0
    views["weight_in"][0] = [1, -2, 1.5]
    views["bias_leaf"][1], views["bias"][1] = 40, -40
    views["weight_child"][0], views["bias"][0] = [3, shut, 2, shut], -2 * shut - 2
    views["weight_score"][0] = 1
    for graphs in (chains([3] * 20, seed=6), random_graphs([3] * 20, more=0.5, seed=7)):
        greedy, best = (parse(net, graphs, Search(kind)).parses for kind in ("greedy", "all"))
        assert np.ptp(best.scores[::2]) > 0.1 and (best.scores[1::2] < 1e-12).all()
        np.testing.assert_array_equal(greedy.pairs[::2], best.pairs[::2])


def test_no_search_finds_more_than_the_enumeration_and_wide_ones_find_as_much():
    net, _ = pair()
    graphs = chains([5, 6, 7])

    def totals(search):
        found = parse(net, graphs, search).parses
        return np.add.reduceat(found.scores, found.starts[:-1])

    best = totals(Search("all"))
    for search in (Search(), Search("beam", 3), Search("chart", 2)):
        assert (totals(search) <= best + 1e-12).all()
    # 7 segments have 132 trees, and spans of them at most 42.
    np.testing.assert_allclose(totals(Search("chart", 132)), best, rtol=0, atol=1e-12)
    np.testing.assert_allclose(totals(Search("beam", 1000)), best, rtol=0, atol=1e-12)


def test_the_chart_is_exact_where_scores_depend_on_the_span_alone():
    """Words with the states of their places and a linear sum: W [a_i; a_j] adds up what is below, whatever the tree is."""
    hidden, size = 4, 7
    net = build("rnn-tree", size, 1, dict(hidden=hidden, leaves="own", score=True, activation="tanh"), "float64")
    views, rng = net.layout.views(net.theta), np.random.default_rng(1)
    net.theta[...] = 0
    tiny = 1e-4  # tanh(x) = x to 1e-12
    views["weight_in"][...] = tiny * rng.normal(size=(hidden, size))
    views["weight_child"][:, :hidden] = views["weight_child"][:, hidden:] = np.eye(hidden)
    views["weight_score"][...] = rng.normal(size=hidden)
    words = SegmentGraphs([0, size], np.eye(size))
    chart, best = (parse(net, words, Search(kind)).parses.scores.sum() for kind in ("chart", "all"))
    assert chart == pytest.approx(best, abs=1e-11) and abs(best) > 1e-5


def test_every_search_finds_separable_trees():
    """Merges within a class score high, others low, and merged states keep their class: all searches agree on the regions."""
    net, _ = separable()
    graphs = coloured([6, 7])
    for search in (Search(), Search("beam", 3), Search("all", both_orders=False)):
        found = parse(net, graphs, search, 0.0)
        for b, (_, edges, classes) in enumerate(naive.graph_parts(graphs)):
            wrong = found.wrong[found.parses.starts[b] : found.parses.starts[b + 1]].sum()
            assert wrong == regions(classes, edges) - 1


def separable():
    """Two classes, a unit each way: p = tanh(9 (a_i + a_j)) keeps a common class, and the score is 1 - the distance from it."""
    net = build("rnn-tree", 1, 2, dict(hidden=3, leaves="own", score=True, activation="tanh"), "float64")
    views = net.layout.views(net.theta)
    net.theta[...] = 0
    views["weight_in"][:, 0] = [3, 9, -9]
    views["weight_child"][0] = [2, 0, 0, 2, 0, 0]
    views["weight_child"][1] = [9, 0, 0, 9, 0, 0]
    views["weight_child"][2] = [-9, 0, 0, -9, 0, 0]
    views["bias"][1:] = -9
    views["weight_score"][...] = [0, 1, 1]
    return net, views


def coloured(counts, seed=2):
    """Graphs with features +1 or -1 and these classes."""
    graphs = random_graphs(counts, 1, more=0.3, seed=seed)
    classes = np.random.default_rng(seed).integers(0, 2, sum(counts)).astype(np.int32)
    return SegmentGraphs(graphs.starts, 2.0 * classes[:, None] - 1, graphs.edges, graphs.edge_starts, classes)


# -- ties, order, bits ---------------------------------------------------------------------------------------------------------


def test_of_equal_scores_the_smallest_nodes_win():
    net, slow = pair()
    net.theta[...] = slow.theta[...] = 0
    words = chains([5])
    assert net.parse(words).pairs.tolist() == [[0, 1], [2, 3], [5, 6], [7, 4]][:3] + [[7, 4]]
    assert naive.trees_of(net.parse(words), [5]) == [naive.twins(slow, words)[0].greedy()]
    graphs = random_graphs([7, 8])
    trees = naive.trees_of(net.parse(graphs), [7, 8])
    assert trees == [twin.greedy() for twin in naive.twins(slow, graphs)]


@pytest.mark.parametrize("search", [Search(), Search("beam", 3), Search("chart", 2)], ids=str)
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_the_bits_do_not_depend_on_threads_or_on_the_other_graphs(search, dtype, monkeypatch):
    monkeypatch.setattr("rnnsim.networks.recursive.parsing._PARALLEL_WORK", 0)
    net, _ = pair(dtype=dtype)
    words = chains([9, 30, 1, 14, 25, 40, 2, 33])
    count, found = threads.get_threads(), []
    try:
        for number in (1, min(2, threads._limit())):
            threads.set_threads(number)
            found.append(net.parse(words, search))
    finally:
        threads.set_threads(count)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*found))
    alone = net.parse(words.take(slice(3, 4)), search)
    part = slice(found[0].starts[3], found[0].starts[4])
    assert alone.scores.tobytes() == found[0].scores[part].tobytes()
    np.testing.assert_array_equal(alone.pairs, found[0].pairs[part])


def test_scores_of_parses_are_those_of_the_states():
    net, _ = pair(dtype="float32", hidden=33)
    words = chains([12, 20])
    parses = net.parse(words)
    forest = words.forest(parses)
    states = net.states(forest)[~forest.leaves]
    scores = states @ net.layout.views(net.theta)["weight_score"]
    np.testing.assert_allclose(parses.scores, scores, rtol=0, atol=1e-5)


def test_the_root_of_every_tree_holds_all_segments():
    graphs = random_graphs([1, 40, 60], more=0.05, seed=9)
    trees = naive.trees_of(pair(dtype="float32")[0].parse(graphs), [1, 40, 60])
    assert [len(naive.leaves(tree)) for tree in trees] == [1, 40, 60]


# -- wrong input ---------------------------------------------------------------------------------------------------------------


def broken_trees(change):
    """Right trees with a fault."""
    graphs = chains([3, 4], targets="trees")
    pairs, starts = graphs.targets.pairs.copy(), graphs.targets.starts.copy()
    change(pairs, starts)
    return SegmentGraphs(graphs.starts, graphs.inputs, targets=Parses(pairs, graphs.targets.scores, starts))


def outside(pairs, starts):
    pairs[2] = [0, 4]


def twice(pairs, starts):
    pairs[2:] = [[0, 1], [0, 4], [2, 3]]


def shorter(pairs, starts):
    starts[1] = 1


def not_finite():
    net, _ = pair()
    net.layout.views(net.theta)["weight_score"][0] = np.nan
    return parse(net, chains([3, 2]))


@pytest.mark.parametrize(
    "message, call",
    {
        "search=deep: expected": lambda: parse(pair()[0], chains([3]), Search("deep")),
        "width=0: expected a value of at least 1": lambda: parse(pair()[0], chains([3]), Search("beam", 0)),
        "search=chart: it parses chains": lambda: parse(pair()[0], random_graphs([3]), Search("chart")),
        "search=all: graph 1 has 13 segments, expected at most 12": lambda: parse(
            pair()[0], chains([3, 13]), Search("all")
        ),
        "search=all: graph 0 has 665,280 trees, expected at most 100,000": lambda: parse(
            pair()[0], random_graphs([7], more=1.0), Search("all")
        ),
        "targets: the graphs have no right answers": lambda: parse(pair()[0], chains([3]), Search(), 0.1),
        "graph 1: the right tree merges \\[0, 4\\], which are not both there": lambda: right_answers(
            broken_trees(outside)
        ),
        "graph 1: its right tree merges node 0 twice": lambda: right_answers(broken_trees(twice)),
        "graph 0: its right tree has 1 merges, expected 2": lambda: right_answers(broken_trees(shorter)),
        "graph 0: it is not connected, segment 2 is apart": lambda: SegmentGraphs(
            [0, 3], np.zeros((3, 1)), [[0, 1]], [0, 1]
        ),
        "score=False: merges of this network have no score": lambda: parse(build("rnn-tree", 3, 1), chains([3])),
        "composition=tensor: parsing needs composition=matrix": lambda: parse(
            build("rnn-tree", 3, 1, dict(composition="tensor", score=True)), chains([3])
        ),
        "arity=3: trees are searched for with arity=2": lambda: parse(
            build("rnn-tree", 3, 1, dict(arity=3, score=True)), chains([3])
        ),
        "inputs: expected 3 features a node": lambda: pair()[0].parse(chains([3], n_inputs=2)),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_input_is_one_line(message, call):
    with pytest.raises(RnnsimError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_scores_that_are_not_finite_are_named():
    with pytest.raises(NotFinite, match="the score of a merge in graph 0 is nan"):
        not_finite()
