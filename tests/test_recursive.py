"""Recursive networks: against the naive twin, finite differences and chains; shared sub-trees, threads, memory, wrong input."""

import tracemalloc

import naive_forest
import numpy as np
import pytest
from cases import differences, distance

import rnnsim as rs
from rnnsim.core import forest as forests
from rnnsim.core import threads
from rnnsim.core.batch import Sequences
from rnnsim.core.forest import Forest
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.networks import build
from rnnsim.networks.recursive import network as tree_network

I, K, H = 3, 2, 5
SYMBOLS = tuple("abc")
FORMS = {
    "rnn-tree": [
        {},
        dict(activation="logistic", leaves="own"),
        dict(leaves="linear", score=True),
        dict(composition="tensor"),
        dict(composition="tensor", leaves="own"),
        dict(arity=3),
    ],
    "lstm-tree": [dict(arity=3), dict(variant="n-ary", arity=3), dict(variant="n-ary")],
}
NODES = {"features": {}, "one-hot": dict(tokens=True), "embedding": dict(tokens=True, embedding=2)}
every_form = pytest.mark.parametrize(
    "name, options", [(name, options) for name, forms in FORMS.items() for options in forms], ids=str
)
every_node = pytest.mark.parametrize("nodes", NODES.values(), ids=NODES)
LOSSES = (
    Loss("squared_error", when="last"),
    Loss("softmax", when="every"),
    Loss("bernoulli", when="every", per="sequence"),
)


def random_forest(trees, arity=2, tokens=True, inner=True, depth=4, share=True, seed=0):
    """Random terms; with `inner` inner nodes have a label too."""
    rng = np.random.default_rng(seed)

    def term(depth):
        label = SYMBOLS[rng.integers(3)]
        if depth == 0 or rng.random() < 0.2:
            return label
        return [label if inner else None, *(term(depth - 1) for _ in range(rng.integers(1, arity + 1)))]

    forest = Forest.from_nested([term(depth) for _ in range(trees)], SYMBOLS, share)
    if tokens:
        return forest
    x = rng.normal(size=(forest.nodes, I))
    x[forest.inputs < 0] = 0
    return Forest(forest.starts, forest.children, x)


def network(name, options, nodes, dtype="float64", seed=1):
    options = {"hidden": H, **options, **nodes}
    tokens = options.pop("tokens", False)
    net = build(name, I, K, options, dtype, tokens)
    net.theta = np.random.default_rng(seed).normal(0, 0.4, net.n_parameters)
    return net


def forest_for(net, trees=6, **more):
    inner = net.config["options"].get("leaves") != "own"
    return random_forest(trees, net.arity, net.tokens, inner, **more)


def judged(forest, loss, seed=0):
    """The forest with targets and weights for a loss."""
    rng = np.random.default_rng(seed)
    count = forest.size if loss.when == "last" else forest.nodes
    targets = rng.integers(0, K, count) if loss.kind == "softmax" else rng.uniform(0, 1, (count, K))
    return forest.with_targets(targets, rng.choice([0, 0.5, 1], count).astype(np.float32))


@every_node
@every_form
def test_states_are_the_twin(name, options, nodes):
    net = network(name, options, nodes)
    forest = forest_for(net)
    found = net.forward(forest, record=net.trace_names, when="every")
    wanted = naive_forest.states(net, forest)
    for trace in net.trace_names:
        assert distance(found.records[trace], wanted[trace]) <= 1e-12
    weights = net.layout.views(net.theta)
    outputs = wanted["h"] @ weights["weight_out"].T + weights["bias_out"]
    assert distance(found.outputs, outputs) <= 1e-12
    assert distance(net.forward(forest).outputs, outputs[forest.roots]) <= 1e-12
    assert distance(net.states(forest), wanted["h"]) <= 1e-12


@every_node
@every_form
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.kind}-{loss.when}-{loss.per}")
def test_gradient_is_finite_differences(name, options, nodes, loss):
    net = network(name, options, nodes)
    batch = judged(forest_for(net), loss)
    result = net.loss_and_gradient(batch, loss)
    gradient = result.gradient.copy()
    assert result.loss == net.evaluate(batch, loss).loss
    wanted = differences(lambda: net.evaluate(batch, loss).loss, net.theta)
    for entry in net.layout:
        part = slice(entry.offset, entry.offset + entry.size)
        assert distance(gradient[part], wanted[part]) <= 1e-6, entry.name
        assert gradient[part].any() == (entry.name != "weight_score"), entry.name


@every_form
def test_gradient_through_states(name, options):
    net = network(name, options, NODES["one-hot"])
    forest = forest_for(net)
    slope = np.random.default_rng(2).normal(size=(forest.nodes, H))
    net.gradient[...] = 0
    net.states_gradient(forest, slope)
    wanted = differences(lambda: float((slope * net.states(forest)).sum()), net.theta)
    assert distance(net.gradient, wanted) <= 1e-6


@every_form
def test_single_precision_is_double_precision(name, options):
    double, single = (network(name, options, NODES["features"], dtype) for dtype in ("float64", "float32"))
    batch = judged(forest_for(double), LOSSES[0])
    one, other = (net.loss_and_gradient(batch, LOSSES[0]) for net in (double, single))
    assert distance(one.gradient, other.gradient) <= 1e-5 and abs(one.loss - other.loss) <= 1e-5


@pytest.mark.parametrize(
    "name, cell, options",
    [("rnn-tree", "rnn", {}), ("lstm-tree", "lstm", {}), ("lstm-tree", "lstm", dict(variant="n-ary"))],
)
def test_a_chain_is_a_recurrent_network(name, cell, options):
    steps, batch = 7, 3
    tree = network(name, dict(arity=1, **options), NODES["features"])
    line = (
        rs.Recurrent(cell, I, K, hidden=H, dtype="float64", bias="single")
        if cell == "lstm"
        else rs.Recurrent(cell, I, K, hidden=H, dtype="float64")
    )
    mine, its = tree.layout.views(tree.theta), line.layout.views(line.theta)
    for array in its.values():
        array[...] = 0
    for out in ("weight_out", "bias_out"):
        its[out][...] = mine[out]
    if cell == "rnn":
        its["weight_ih_l0"][...], its["weight_hh_l0"][...] = mine["weight_in"], mine["weight_child"]
        its["bias_ih_l0"][...] = mine["bias"]
    else:
        w, b = mine["weight_in"].reshape(4, H, I), mine["bias"].reshape(4, H)
        u = [*mine["weight_iou"].reshape(3, H, H), mine["weight_f"]]
        for block, gate in enumerate((0, 3, 2, 1)):  # i, f, g, o from i, o, u, f
            rows = slice(block * H, (block + 1) * H)
            its["weight_ih_l0"][rows], its["weight_hh_l0"][rows], its["bias_ih_l0"][rows] = w[gate], u[gate], b[gate]
    rng = np.random.default_rng(3)
    x, targets = rng.normal(size=(steps, batch, I)).astype(np.float32), rng.uniform(0, 1, (steps, batch, K))
    children = np.tile(np.arange(-1, steps - 1)[:, None], (batch, 1))
    forest = Forest(np.arange(batch + 1) * steps, children, x.transpose(1, 0, 2).reshape(-1, I))
    forest = forest.with_targets(targets.transpose(1, 0, 2).reshape(-1, K))
    loss = Loss("squared_error")
    found, wanted = tree.loss_and_gradient(forest, loss), line.loss_and_gradient(Sequences(x, targets), loss)
    assert abs(found.loss - wanted.loss) <= 1e-14
    assert distance(found.outputs.reshape(batch, steps, K).transpose(1, 0, 2), wanted.outputs) <= 1e-13
    one, other = tree.layout.views(found.gradient), line.layout.views(wanted.gradient)
    assert distance(one["weight_out"], other["weight_out_l0" if "weight_out_l0" in other else "weight_out"]) <= 1e-13
    if cell == "rnn":
        assert distance(one["weight_in"], other["weight_ih_l0"]) <= 1e-13
        assert distance(one["weight_child"], other["weight_hh_l0"]) <= 1e-13
    else:
        for block, gate in enumerate((0, 3, 2, 1)):
            rows, mine = slice(block * H, (block + 1) * H), slice(gate * H, (gate + 1) * H)
            assert distance(one["weight_in"][mine], other["weight_ih_l0"][rows]) <= 1e-13
        assert distance(one["weight_f"], other["weight_hh_l0"][H : 2 * H]) <= 1e-13


@every_form
def test_shared_sub_trees_give_the_gradient_of_the_tree(name, options):
    net = network(name, options, NODES["one-hot"])
    graph, tree = (forest_for(net, depth=6, share=share) for share in (True, False))
    assert graph.nodes < tree.nodes and graph.to_brackets() == tree.to_brackets()
    one, other = (judged(forest, LOSSES[0]) for forest in (graph, tree))
    found = net.loss_and_gradient(one, LOSSES[0])
    loss, gradient = found.loss, found.gradient.copy()
    wanted = net.loss_and_gradient(other, LOSSES[0])
    assert abs(loss - wanted.loss) <= 1e-14 and distance(gradient, wanted.gradient) <= 1e-12
    # Every node is evaluated once.
    assert len(net.states(graph)) == graph.nodes


@every_form
def test_equal_bits_for_any_number_of_threads(name, options, monkeypatch):
    monkeypatch.setattr(forests, "_CHUNK_NODES", 16)
    net = network(name, {**options, "hidden": 40}, NODES["embedding"], "float32")
    batch = judged(forest_for(net, trees=60, depth=5), LOSSES[1])
    found = []
    earlier = threads.get_threads()
    try:
        for count in {1, threads.available()}:
            threads.set_threads(count)
            result = net.loss_and_gradient(batch, LOSSES[1])
            found.append((result.loss, result.gradient.tobytes(), result.outputs.tobytes()))
    finally:
        threads.set_threads(earlier)
    assert len(batch.levels.chunks) == 17 and all(one == found[0] for one in found)


@every_form
def test_pieces_are_the_whole(name, options, monkeypatch):
    net = network(name, options, NODES["features"])
    for loss in LOSSES:
        batch = judged(forest_for(net, trees=12), loss)
        whole = net.loss_and_gradient(batch, loss)
        value, gradient, outputs = whole.loss, whole.gradient.copy(), whole.outputs.copy()
        records = net.forward(batch, record="h").records["h"]
        with monkeypatch.context() as patch:
            patch.setattr(tree_network, "_PIECE", 10)
            parts = net.loss_and_gradient(batch, loss)
            assert abs(parts.loss - value) <= 1e-14 and distance(parts.gradient, gradient) <= 1e-12
            assert distance(parts.outputs, outputs) <= 1e-14
            assert distance(net.forward(batch, record="h").records["h"], records) <= 1e-14


@pytest.mark.parametrize("name", FORMS)
def test_a_chain_of_100_000_nodes(name):
    count = 100_000
    net = network(name, dict(arity=1, hidden=2), NODES["one-hot"], "float32")
    forest = Forest([0, count], np.arange(-1, count - 1)[:, None], np.zeros(count, np.int32))
    found = net.loss_and_gradient(forest.with_targets(np.zeros((1, K))), LOSSES[0])
    assert np.isfinite(found.loss) and found.gradient.any()


def test_memory_is_that_of_a_piece():
    trees, leaves = 2000, 64
    shape = np.arange(2 * leaves - 1)
    children = np.stack([2 * (shape - leaves), 2 * (shape - leaves) + 1], axis=1)
    children[shape < leaves] = -1
    starts = np.arange(trees + 1) * len(shape)
    forest = Forest(starts, np.tile(children, (trees, 1)), np.zeros(starts[-1], np.int32), np.zeros((trees, K)))
    net = network("rnn-tree", dict(hidden=20), NODES["one-hot"], "float32")
    tracemalloc.start()
    net.loss_and_gradient(forest, LOSSES[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert forest.nodes > 250_000 and peak < 12 * 2**16 * 24 * 4


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda net: random_forest(2, 3), "a node has 3 children; the network has arity=2"),
        (lambda net: Forest([0, 1], [[-1]], [5]), r"inputs: labels 5..5 are outside 0..2"),
        (lambda net: Forest([0, 1], [[-1]], np.zeros((1, 3))), "inputs: expected symbols"),
        (lambda net: np.zeros((3, 1, 2)), "expected a Forest, got ndarray"),
    ],
)
def test_a_forest_that_does_not_fit_is_one_line(make, message):
    net = network("rnn-tree", {}, NODES["one-hot"])
    with pytest.raises(RnnsimError, match=message):
        net.forward(make(net))


def test_other_wrong_input_is_one_line():
    net = network("rnn-tree", {}, NODES["features"])
    with pytest.raises(RnnsimError, match="inputs: node 0 has a feature that is not finite"):
        net.forward(Forest([0, 1], [[-1]], np.full((1, I), np.nan)))
    with pytest.raises(RnnsimError, match="inputs: expected 3 features a node"):
        net.forward(Forest([0, 1], [[-1]], np.zeros((1, 4))))
    with pytest.raises(RnnsimError, match="did you mean 'h'|unknown trace"):
        net.forward(Forest([0, 1], [[-1]], np.zeros((1, I))), record="hh")
    own = network("rnn-tree", dict(leaves="own"), NODES["one-hot"])
    with pytest.raises(RnnsimError, match="leaves=own: an inner node has a label"):
        own.forward(Forest.from_brackets(["(a b c)"], SYMBOLS))
    for options, text in (
        (dict(leaves="new"), "leaves=new"),
        (dict(hidden=0), "hidden=0"),
        (dict(embedding=2), "embedding=2"),
    ):
        with pytest.raises(RnnsimError, match=text):
            build("rnn-tree", I, K, options)


def test_the_size_of_the_published_release():
    net = rs.networks.RecursiveNetwork(119, 8, hidden=50, activation="logistic", leaves="own", score=True)
    assert net.n_parameters == 11_508
