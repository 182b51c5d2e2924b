"""Copies and pickles of what users hold: they go on exactly as the original, and share nothing with it."""

import copy
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from cases import SEQUENCE_RULES, random_batch, run

import rnnsim as rs
from rnnsim import networks
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.networks import NETWORKS, build
from rnnsim.networks.lstm1997.learner import BlockLearner
from rnnsim.optimizers import OPTIMIZERS, SGD, Adam
from rnnsim.tasks import TASKS

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "pickle-2": lambda thing: pickle.loads(pickle.dumps(thing, 2)),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
LOSS = Loss("squared_error")
OPTIONS = {
    "rnn": [dict(density=0.5), dict(connections=[[1, 0, 1, -1, 1], [-1, 1, 0, 1, -1], [1, 1, 1, 1, 0]])],
    "lstm": [dict(layers=2, bidirectional=True, skip=True)],
    "gru": [dict(embedding=3, tokens=True)],
    "elstm": [dict(learned_initial_state=True)],
    "lstm1997": [dict(forget=True, peepholes=True, in_bias=(-1.0, -2.0))],
    "rnn-tree": [dict(composition="tensor", embedding=3, tokens=True)],
    "lstm-tree": [dict(variant="n-ary"), dict(tokens=True)],
    "ntm": [dict(memory=(6, 3), memory_start="random", write_heads=2)],
}


def network(name, options, dtype="float32", seed=3):
    options = {"hidden": 3, **options}
    tokens = options.pop("tokens", False)
    options = {key: value for key, value in options.items() if key in networks.options_of(name)}
    return build(name, 5 if tokens else 2, 2, options, dtype, tokens, seed)


def batch_for(net, seed=0):
    return random_batch(net, LOSS, seed=seed)


def learned(net, steps=5):
    """What a network becomes by some steps of gradient descent, and the losses on the way."""
    losses = []
    for step in range(steps):
        result = net.loss_and_gradient(batch_for(net, step), LOSS)
        losses.append(result.loss)
        net.theta -= 0.1 * result.gradient
    return [*losses, net.theta.tobytes()]


def kinds():
    return [(name, options) for name in NETWORKS for options in ({}, *OPTIONS.get(name, []))]


@every_way
@pytest.mark.parametrize("name, options", kinds(), ids=str)
def test_copied_networks_learn(name, options, way):
    net = network(name, options)
    learned(net, 2)
    twin = way(net)
    assert twin.config == net.config and list(twin.layout) == list(net.layout) and type(twin) is type(net)
    assert twin.theta.tobytes() == net.theta.tobytes() and not np.shares_memory(twin.theta, net.theta)
    assert twin.gradient.tobytes() == net.gradient.tobytes()
    assert (twin.trainable is None) == (net.trainable is None)
    assert net.trainable is None or np.array_equal(twin.trainable, net.trainable)
    before = net.theta.copy()
    found = learned(twin)
    assert np.array_equal(net.theta, before) and not np.array_equal(twin.theta, before)
    assert learned(net) == found
    twin.theta[...] = 0
    assert not any(view.any() for view in twin.layout.views(twin.theta).values())
    assert not np.array_equal(run(twin, batch_for(net))[0], run(net, batch_for(net))[0])


@every_way
def test_copies_of_copies_and_networks_held_twice(way):
    net = network("gru", {})
    twin = way(way(net))
    assert learned(twin) == learned(net)
    held = copy.deepcopy({"net": net, "again": net})
    assert held["net"] is held["again"] is not net


def test_a_network_that_cannot_be_made_again_is_refused():
    class Mine(rs.Recurrent):
        pass

    for way in WAYS.values():
        with pytest.raises(RnnsimError, match="Mine cannot be copied: it is not the class of the network 'gru'"):
            way(Mine("gru", 2, 2))


@every_way
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_copied_optimizers_go_on(name, way):
    optimizer = OPTIMIZERS.build(name, {"learning_rate": 0.1, "schedule": "warmup:3+cosine:10", "clip": 2.0})
    twin = way(optimizer)
    assert twin == optimizer and twin.config == optimizer.config
    rng = np.random.default_rng(0)
    theta = rng.normal(size=5)
    state, other = optimizer.init(theta), theta.copy()
    its = way(state) if way is not copy.copy else copy.deepcopy(state)
    for step in range(12):
        gradient = rng.normal(size=5)
        optimizer.step(theta, gradient, state, step)
        twin.step(other, gradient, its, step)
        assert optimizer.rate(step) == twin.rate(step) and theta.tobytes() == other.tobytes()


@every_way
@pytest.mark.parametrize("name", TASKS)
def test_copied_tasks_give_the_same(name, way, tmp_path):
    task = made(name, tmp_path)
    first = contents(task, 0)
    twin = way(task)
    assert type(twin) is type(task) and twin.loss == task.loss
    assert [contents(twin, step) for step in (0, 1)] == [first, contents(task, 1)]
    (a,), (b,) = (list(one.evaluation_batches(3, 4, 4)) for one in (task, twin))
    assert raw(a) == raw(b)


def made(name, folder):
    if name == "arrays":
        rng = np.random.default_rng(0)
        np.save(folder / "x.npy", rng.normal(size=(5, 12, 2)).astype(np.float32))
        np.save(folder / "y.npy", rng.normal(size=(5, 12, 1)).astype(np.float32))
        return TASKS.build(name, {"inputs": str(folder / "x.npy"), "targets": str(folder / "y.npy")})
    try:
        return TASKS.build(name)
    except RnnsimError as error:
        pytest.skip(str(error))


def raw(batch):
    parts = [getattr(batch, field.name) for field in fields(batch) if not field.name.startswith("_")]
    return [None if part is None else np.asarray(part).tobytes() for part in parts]


def contents(task, step):
    return raw(task.training_batch(7, step, 4))


@pytest.mark.parametrize("way", (copy.copy, WAYS["pickle"]), ids=("copy", "pickle"))
@pytest.mark.parametrize("name", SEQUENCE_RULES)
def test_copied_rules_learn_the_same(name, way):
    rule, task = RULES.build(name), rs.tasks.XOR()
    net = build("rnn", task.n_inputs, task.n_outputs, {"hidden": 4}, "float64", seed=2)

    def trained(rule, net, steps):
        try:
            return rs.train(net, task, rule=rule, optimizer=SGD(0.1), steps=steps, batch=3, rng=1)
        except RnnsimError as error:
            pytest.skip(str(error))

    trained(rule, net, 2)  # a rule may keep what it has made
    twins = way(rule), way(net)
    trained(twins[0], twins[1], 3)
    trained(rule, net, 3)
    assert twins[1].theta.tobytes() == net.theta.tobytes()


@pytest.mark.parametrize("name", SEQUENCE_RULES)
def test_a_rule_that_was_used_learns_like_a_fresh_one(name):
    task = rs.tasks.XOR()
    net = build("rnn", task.n_inputs, task.n_outputs, {"hidden": 4}, "float64", seed=2)
    start, rule, found = net.theta.copy(), RULES.build(name), []
    for one in (rule, rule, RULES.build(name)):
        net.theta = start
        rs.train(net, task, rule=one, optimizer=SGD(0.1), steps=3, batch=3, rng=1)
        found.append(net.theta.tobytes())
    assert found[0] == found[1] == found[2]


def test_a_used_rule_is_pickled_without_addresses_of_this_process():
    task = rs.tasks.XOR()
    net, rule = build("rnn", task.n_inputs, task.n_outputs, {"hidden": 4}, "float64", seed=2), RULES.build("rtrl")
    rs.train(net, task, rule=rule, steps=2, batch=3)
    for way in (copy.deepcopy, WAYS["pickle"]):
        its_net, its_rule = way((net, rule))
        assert rule._engine is not None and its_rule._engine is None
        twin, other = copy.deepcopy(net), RULES.build("rtrl")
        rs.train(its_net, task, rule=its_rule, steps=3, batch=3)
        rs.train(twin, task, rule=other, steps=3, batch=3)
        assert its_net.theta.tobytes() == twin.theta.tobytes() != net.theta.tobytes()


ONLINE = [name for name in RULES if isinstance(RULES.build(name), OnlineRule)]


def fed(learner, first, count):
    rng = np.random.default_rng(first)
    items = rng.normal(size=(count, learner.streams, 2)).astype(np.float32)
    found = [learner.step(x, x[:, :1] * 0.5).copy().tobytes() for x in items]
    return [found, learner.theta.tobytes(), learner.state.tobytes(), learner.loss, learner.items, learner.updates]


@pytest.mark.parametrize("way", (copy.copy, WAYS["pickle"]), ids=("copy", "pickle"))
@pytest.mark.parametrize(
    "rule, settings",
    [(rule, {}) for rule in ONLINE]
    + [("rtrl", settings) for settings in (dict(streams=2), dict(streams=2, own=True), dict(optimizer=SGD(0.05)))],
    ids=str,
)
def test_copied_learners_go_on(rule, settings, way):
    net = build("rnn", 2, 1, {"hidden": 4}, "float64", seed=1)
    try:
        learner = rs.online(net, **{"rule": rule, "optimizer": Adam(0.01, schedule="linear:100"), **settings})
    except RnnsimError as error:
        pytest.skip(str(error))
    fed(learner, 0, 7)
    twin = way(learner)
    assert twin.net is not learner.net and twin.every == learner.every
    assert twin.own or np.shares_memory(twin.theta, twin.net.theta)
    before = learner.theta.copy()
    found = fed(twin, 1, 6)
    assert np.array_equal(learner.theta, before)
    assert fed(learner, 1, 6) == found


@every_way
@pytest.mark.parametrize("momentum", (0.0, 0.9))
def test_copied_learners_of_memory_blocks_go_on(momentum, way):
    task = rs.tasks.Adding(length=8)
    net = build("lstm1997", task.n_inputs, task.n_outputs, {"forget": True, "peepholes": True}, "float64")
    learner = BlockLearner(net, 0.3, momentum, decay=0.99, sequence_decay=0.999)
    learner.learn(task.training_batch(0, 0, 5), task.loss)
    twin = way(learner)
    before = learner.theta
    twin.learn(task.training_batch(0, 1, 5), task.loss)
    assert np.array_equal(learner.theta, before) and not np.array_equal(twin.theta, before)
    learner.learn(task.training_batch(0, 1, 5), task.loss)
    assert learner.theta.tobytes() == twin.theta.tobytes() and learner.sequences == twin.sequences == 10


@every_way
def test_copied_results_and_batches(way, tmp_path):
    task = rs.tasks.XOR()
    seen = []
    net = build("gru", task.n_inputs, task.n_outputs, {"hidden": 4})
    result = rs.train(net, task, steps=4, report_every=2, callback=seen.append, out=tmp_path / "run")
    twin = way(result)
    assert type(twin) is type(result) and twin.net.theta.tobytes() == net.theta.tobytes()
    assert {**twin, "net": None} == {**result, "net": None} and twin.steps == 4
    assert (twin.net is net) == (way is copy.copy), "a shallow copy of a dict has the same values"
    assert learned(twin.net) is not None
    progress = way(seen[-1])
    assert (progress.step, progress.report) == (4, seen[-1].report)
    batch = task.training_batch(0, 0, 3)
    assert raw(way(batch)) == raw(batch) and way(task.loss) == task.loss == replace(task.loss)
    run = rs.open_run(tmp_path / "run")
    assert way(run).config == run.config and way(run).net().theta.tobytes() == run.net().theta.tobytes()
