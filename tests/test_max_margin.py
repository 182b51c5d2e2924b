"""The max-margin objective and its rule: twins, finite differences, separable graphs, two stages and resuming, wrong input."""

import naive_trees as naive
import numpy as np
import pytest
from cases import differences, distance
from naive_trees import chains, random_graphs
from test_parsing import coloured, pair, regions, searched

import rnnsim as rs
from rnnsim.core import threads
from rnnsim.core.forest import Forest
from rnnsim.core.losses import Loss
from rnnsim.core.margin import MarginLoss
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.errors import RnnsimError
from rnnsim.learning.max_margin import MaxMargin
from rnnsim.networks import build
from rnnsim.networks.recursive import margin
from rnnsim.networks.recursive.margin import Objective
from rnnsim.networks.recursive.parsing import Search, parse
from rnnsim.tasks.interface import GeneratedTask

LOSS = MarginLoss()
GRAPHS = {
    "sentences": lambda: chains([1, 6, 7], targets="trees"),
    "chains of classes": lambda: chains([5, 1, 6], targets="classes"),
    "graphs": lambda: random_graphs([1, 2, 5, 6], targets="classes"),
    "graphs with trees": lambda: random_graphs([4, 5], targets="trees", seed=3),
}
SEARCHES = (Search(), Search("beam", 3), Search(both_orders=False), Search(both_orders=True))
every_kind = pytest.mark.parametrize("graphs", GRAPHS)
every_search = pytest.mark.parametrize("search", SEARCHES, ids=str)
every_activation = pytest.mark.parametrize("activation", ("tanh", "logistic"))


@every_activation
@every_search
@every_kind
def test_objectives_are_their_twins(graphs, search, activation):
    graphs = GRAPHS[graphs]()
    net, twin = pair(activation)
    for kappa in (0.05, 0.7):
        for prefix in (False, True) if search.kind == "greedy" else (False,):
            found = margin.terms(net, graphs, Objective(kappa, search, prefix), learn=False)
            one = naive.tree_terms(twin, graphs, kappa, lambda one: searched(one, search), search.both_orders, prefix)
            assert found == pytest.approx(one, abs=1e-12)
    found = margin.terms(net, graphs, Objective(0.05, search, pairs=True), learn=False)
    assert found == pytest.approx(naive.pair_terms(twin, graphs, search.both_orders), abs=1e-12)


@every_activation
@pytest.mark.parametrize("pairs", (False, True), ids=("trees", "pairs"))
@every_kind
def test_the_subgradient_is_finite_differences(graphs, pairs, activation):
    """Away from kinks, where the best tree changes; random weights are."""
    graphs = GRAPHS[graphs]()
    net, _ = pair(activation)
    for objective in (
        Objective(0.7, pairs=pairs),
        Objective(0.2, Search("beam", 2), pairs=pairs),
        Objective(0.7, prefix=False, pairs=pairs),
    ):
        found = margin.gradient(net, graphs, objective)
        gradient = found.gradient.copy()
        terms = margin.terms(net, graphs, objective, learn=False)
        assert found.loss == terms.loss and terms.hinge > 0
        wanted = differences(lambda o=objective: margin.terms(net, graphs, o, learn=False).loss, net.theta, 1e-5)
        assert distance(gradient, wanted) <= 1e-6


def test_the_chart_serves_sentences():
    graphs = chains([5, 6], targets="trees")
    net, twin = pair()
    objective = Objective(0.3, Search("chart", 4))
    wanted = naive.tree_terms(twin, graphs, 0.3, lambda one: one.chart(4))
    assert margin.terms(net, graphs, objective, learn=False) == pytest.approx(wanted, abs=1e-12)
    exact = margin.terms(net, graphs, Objective(0.3, Search("all"), prefix=False), learn=False).hinge
    assert margin.terms(net, graphs, Objective(0.3, prefix=False), learn=False).hinge <= exact + 1e-12


def test_parameters_of_the_release():
    net = build("rnn-tree", 119, 8, dict(hidden=50, activation="logistic", leaves="own", score=True))
    assert net.n_parameters == 50 * 120 + 50 * 101 + 50 + 8 * 51 == 11_508


@pytest.mark.parametrize("pairs", (False, True), ids=("trees", "pairs"))
def test_the_bits_do_not_depend_on_threads(pairs, monkeypatch):
    monkeypatch.setattr("rnnsim.networks.recursive.parsing._PARALLEL_WORK", 0)
    net, _ = pair(dtype="float32", hidden=20)
    graphs = random_graphs([60, 80, 70, 50, 90], targets="classes", more=0.02)
    count, found = threads.get_threads(), []
    try:
        for number in (1, min(2, threads._limit())):
            threads.set_threads(number)
            found.append(margin.gradient(net, graphs, Objective(pairs=pairs)).gradient.tobytes())
    finally:
        threads.set_threads(count)
    assert found[0] == found[1]


# -- what the network answers --------------------------------------------------------------------------------------------------


def test_evaluation_is_the_objective_and_the_greedy_trees():
    net, _ = pair()
    for graphs in (GRAPHS["sentences"](), GRAPHS["graphs"]()):
        found = net.evaluate(graphs, LOSS)
        assert found.loss == margin.terms(net, graphs, Objective(0.05), learn=False).loss and found.state is None
        parses = found.outputs if isinstance(graphs.targets, Parses) else found.outputs.parses
        np.testing.assert_array_equal(parses.pairs, net.parse(graphs).pairs)
    states = net.states(Forest(np.arange(15), np.full((14, 1), -1), graphs.inputs))
    views = net.layout.views(net.theta)
    assert distance(found.outputs.classes, states @ views["weight_out"].T + views["bias_out"]) <= 1e-12


def test_evaluation_by_the_classes_of_segments():
    net, _ = pair()
    graphs = GRAPHS["graphs"]()
    known = graphs.targets >= 0
    logits = net.evaluate(graphs, LOSS).outputs.classes[known]
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(known.sum()), graphs.targets[known]]
    for per, wanted in (("step", each.mean()), ("sequence", each.sum() / graphs.size)):
        loss = Loss("softmax", when="every", per=per)
        assert net.evaluate(graphs, loss).loss == pytest.approx(wanted, abs=1e-12)
        assert graphs.amount(loss) == (known.sum() if per == "step" else graphs.size)


def test_graphs_of_one_segment_have_no_merges():
    net, _ = pair()
    for targets in ("classes", "trees"):
        graphs = chains([1, 1], targets=targets)
        for pairs in (False, True):
            found = margin.gradient(net, graphs, Objective(pairs=pairs))
            assert margin.terms(net, graphs, Objective(pairs=pairs), learn=False).hinge == 0
            assert np.isfinite(found.gradient).all()
        assert net.parse(graphs).pairs.shape == (0, 2)


# -- training ------------------------------------------------------------------------------------------------------------------


class Regions(GeneratedTask):
    """Graphs whose segments have one of two classes, with features +1 and -1 and noise."""

    name = "test-regions"
    makes = SegmentGraphs
    n_inputs, n_outputs = 2, 2
    loss = LOSS
    criterion = None

    def generate(self, key, first, size):
        rng = np.random.default_rng([int(key), first, size])
        graphs = coloured([6 + b % 3 for b in range(size)], seed=int(rng.integers(1000)))
        noise = rng.normal(0, 0.05, len(graphs.inputs))
        inputs = np.stack([graphs.inputs[:, 0], noise], axis=1)
        return SegmentGraphs(graphs.starts, inputs, graphs.edges, graphs.edge_starts, graphs.targets)

    def correct(self, outputs, batch):
        return None

    def error(self, outputs, batch):
        return None


def scene_network(dtype="float64"):
    options = dict(hidden=6, activation="tanh", leaves="own", score=True)
    return build("rnn-tree", 2, 2, options, dtype, seed=3)


@pytest.mark.parametrize("rule", [dict(pretrain=20), dict(lbfgs=60, pretrain=1)], ids=("adam", "lbfgs"))
def test_the_hinge_becomes_zero_on_separable_graphs(rule):
    """Greedy trees with a margin are correct trees then: no wrong merge that could be avoided."""
    net, task = scene_network(), Regions()
    batch = task.training_batch(0, 0, 6)
    before = margin.terms(net, batch, Objective(), learn=False).hinge
    learner_steps = 4 if "lbfgs" in rule else 150
    made, optimizer = MaxMargin(l2=0, **rule), rs.Adam(0.03)
    state = optimizer.init(net.theta)
    for step in range(learner_steps):
        made.randomness = 0, step
        made.learn(net, batch, LOSS, lambda g, step=step: optimizer.step(net.theta, g, state, step, None))
    after = margin.terms(net, batch, Objective(), learn=False).hinge
    assert after == 0 < before
    found = parse(net, batch, Search(), 0.05)
    for b, (_, edges, classes) in enumerate(naive.graph_parts(batch)):
        wrong = found.wrong[found.parses.starts[b] : found.parses.starts[b + 1]].sum()
        assert wrong == regions(classes, edges) - 1


def trained(steps, rule, **settings):
    return rs.train(scene_network(), Regions(), rule, rs.Adam(0.02), steps=steps, batch=3, rng=1, **settings)


@pytest.mark.parametrize("stop", (2, 4, 6))
@pytest.mark.parametrize("options", [{}, dict(lbfgs=3), dict(search="beam", width=2)], ids=str)
def test_an_interrupted_training_of_two_stages_goes_on_bit_for_bit(options, stop, tmp_path):
    """Stopped in the first stage, between the two, in the second stage."""

    def rule():
        return MaxMargin(pretrain=4, **options)

    whole = trained(8, rule(), out=tmp_path / "a")
    trained(stop, rule(), out=tmp_path / "b")
    parts = trained(8, rule(), out=tmp_path / "b", resume=True)
    assert parts.net.theta.tobytes() == whole.net.theta.tobytes()
    first_only = trained(8, MaxMargin(pretrain=8, **options))
    assert first_only.net.theta.tobytes() != whole.net.theta.tobytes()


def test_training_reports_and_evaluates_the_objective(tmp_path):
    result = trained(30, MaxMargin(pretrain=5), report_every=5)
    assert result.history[-1]["loss"] < result.history[1]["loss"]
    found = rs.evaluate(result.net, Regions(), count=20)
    assert found["loss"] > 0 and found["correct"] is None


def test_weight_decay_and_frozen_weights():
    net, batch = scene_network(), Regions().training_batch(0, 0, 3)
    plain, seen = net.gradient_by(MaxMargin(), batch, LOSS).gradient.copy(), []
    found = MaxMargin(l2=0.5).learn(net, batch, LOSS, lambda gradient: seen.append(gradient.copy()))
    np.testing.assert_allclose(seen[0], plain + 0.5 * net.theta, rtol=1e-12)
    assert found.loss == net.evaluate(batch, LOSS).loss  # without the decay
    net.trainable = np.arange(net.n_parameters) % 2 == 0
    before = net.theta.copy()
    MaxMargin(lbfgs=5, l2=0.5).learn(net, batch, LOSS, None)
    assert (net.theta != before)[net.trainable].any() and (net.theta == before)[~net.trainable].all()


def test_the_batch_decides_about_the_stage():
    rule = MaxMargin(pretrain=3, kappa=0.2, orders="one")
    for number, pairs in ((0, True), (2, True), (3, False)):
        rule.randomness = 0, number
        assert rule.objective == Objective(0.2, Search("greedy", 1, False), True, pairs)
    assert not MaxMargin(compare="tree").objective.prefix
    assert not MaxMargin().sets_weights and MaxMargin(lbfgs=1).sets_weights


# -- wrong input ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message, call",
    {
        "kappa=-1: expected a number of at least 0": lambda: MaxMargin(kappa=-1),
        "l2=inf: expected a number of at least 0": lambda: MaxMargin(l2=np.inf),
        "pretrain=-1: expected a value of at least 0": lambda: MaxMargin(pretrain=-1),
        "width=3: greedy search has width 1": lambda: MaxMargin(width=3),
        "search=all: expected": lambda: MaxMargin(search="all"),
        "rule max-margin: it needs scores of merges, which network 'gru' does not have": lambda: MaxMargin().check(
            rs.Recurrent("gru", 2, 2), None
        ),
        "rule max-margin: it needs scores of merges, which network 'rnn-tree'": lambda: MaxMargin().check(
            build("rnn-tree", 2, 2), None
        ),
        "network 'rnn-tree' does not carry out the rule max-margin by itself": lambda: build(
            "rnn-tree", 2, 2
        ).gradient_by(MaxMargin(), Regions().training_batch(0, 0, 2), LOSS),
        "network 'gru' takes sequences, the task makes graphs of segments": lambda: rs.train(
            rs.Recurrent("gru", 2, 2), Regions(), steps=1
        ),
        "network 'rnn-tree' takes trees, the task makes graphs of segments": lambda: rs.train(
            build("rnn-tree", 2, 2), Regions(), steps=1
        ),
        "loss softmax: the graphs have no classes of segments": lambda: scene_network().evaluate(
            chains([3], 2, targets="trees"), Loss("softmax")
        ),
        "targets: the graphs have no right answers": lambda: scene_network().evaluate(chains([3], 2), LOSS),
        "targets: class 5, expected classes below 2": lambda: scene_network().evaluate(
            SegmentGraphs([0, 2], np.zeros((2, 2)), targets=np.array([0, 5], np.int32)), LOSS
        ),
        "graph 1: its right tree merges nodes that are no neighbours": lambda: scene_network().evaluate(
            SegmentGraphs([0, 2, 5], np.ones((5, 2)), targets=naive.parses_of([(0, 1), ((0, 2), 1)])), LOSS
        ),
        "search=chart: it parses chains": lambda: scene_network().gradient_by(
            MaxMargin(search="chart", width=2), Regions().training_batch(0, 0, 2), LOSS
        ),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_input_is_one_line(message, call):
    with pytest.raises(RnnsimError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# -- the words beside a span ---------------------------------------------------------------------------------------------


def with_context(targets=True):
    """A network with context in float64, and sentences with right trees."""
    net = build("rnn-tree", 5, 1, dict(hidden=6, leaves="own", score=True, context=True), "float64", tokens=True)
    net.theta = np.random.default_rng(4).normal(0, 0.5, net.n_parameters)
    counts, rng = [1, 2, 3, 5, 6], np.random.default_rng(5)
    starts = np.cumsum([0, *counts])
    graphs = SegmentGraphs(starts, rng.integers(0, 5, starts[-1]).astype(np.int32))
    right = net.parse(graphs)
    net.theta = np.random.default_rng(6).normal(0, 0.5, net.n_parameters)
    return net, SegmentGraphs(starts, graphs.inputs, targets=right)


@pytest.mark.parametrize(
    "search", [Search(), Search("beam", 3), Search("chart", 4), Search("all")], ids=lambda s: s.kind
)
def test_scores_with_context_are_those_of_the_forest(search):
    net, graphs = with_context()
    found = net.parse(graphs, search)
    forest = graphs.forest(found, context=True)
    inner = ~forest.leaves
    scores = net.states(forest)[inner] @ net.layout.views(net.theta)["weight_score"].reshape(-1)
    np.testing.assert_allclose(found.scores, scores, atol=1e-12)
    assert (forest.children[inner, 2:] >= 0).any() and forest.arity == 4
    if search.kind == "all":
        best = np.add.reduceat(found.scores, found.starts[1:-1])
        wide = net.parse(graphs, Search("chart", 50))
        np.testing.assert_allclose(best, np.add.reduceat(wide.scores, wide.starts[1:-1]), atol=1e-12)


@pytest.mark.parametrize("pretrain", [0, 1])
def test_subgradient_with_context_is_finite_differences(pretrain):
    net, graphs = with_context()
    rule = MaxMargin(kappa=0.3, pretrain=pretrain)
    found = net.gradient_by(rule, graphs, None)
    gradient = found.gradient.copy()
    wanted = differences(lambda: net.gradient_by(rule, graphs, None).loss, net.theta, 1e-6)
    assert found.loss > 0 and distance(gradient, wanted) <= 1e-5
    context = net.layout.view(gradient, "weight_child")[:, 12:]
    assert context.any()


def test_context_is_for_chains():
    net, _ = with_context()
    square = SegmentGraphs([0, 3], np.zeros(3, np.int32), [[0, 1], [1, 2]], [0, 2])
    with pytest.raises(RnnsimError, match="context=true: it reads the words beside a span"):
        net.parse(square)


@pytest.mark.parametrize(
    "task, options, rule, message",
    [
        (
            "formulas",
            {},
            "max-margin",
            "it needs scores of merges, which network .rnn-tree. does not have on trees",
        ),
        (
            "graphs",
            {},
            "bptt",
            "which network 'rnn-tree' does not have on graphs of segments; it learns by --rule max-margin",
        ),
        ("formulas", dict(leaves="own"), "bptt", "leaves=own: an inner node has a label"),
        ("formulas", dict(arity=1), "bptt", "a node has 2 children; the network has arity=1"),
    ],
)
def test_what_does_not_fit_is_said_before_a_run_is_made(task, options, rule, message, tmp_path):
    from rnnsim.tasks import Formulas

    task = Formulas() if task == "formulas" else Regions()
    options = {"score": True, **options}
    net = build("rnn-tree", task.n_inputs, task.n_outputs, options, tokens=task.tokens)
    with pytest.raises(RnnsimError, match=message):
        rs.train(net, task, rule, steps=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
