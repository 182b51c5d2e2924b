"""Memory blocks: twin, finite differences, the truncated rule three times over, weight counts, online training, wrong input."""

import copy
import os
import subprocess
import sys

import naive_lstm1997 as naive
import numpy as np
import pytest
from cases import differences, distance

import rnnsim as rs
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.networks import build, from_config
from rnnsim.networks.lstm1997.learner import BlockLearner
from rnnsim.networks.lstm1997.update import STRETCH
from rnnsim.optimizers import SGD
from rnnsim.tasks.adding import Adding
from rnnsim.tasks.continual_reber import ContinualReber
from rnnsim.tasks.interface import Criterion
from rnnsim.tasks.latch import Latch

T, B, I, K = 6, 3, 3, 2
TRUNCATED = RULES.build("truncated")
OPTIONS = {
    "1997": {},
    "no-output-gate": dict(
        output_gate=False, g="logistic", h="identity", sees="inputs", bias="none", output_bias=False
    ),
    "gers-2000": dict(blocks=3, sees="cells", bias="gates", shortcut=True, forget=True),
    "gers-2000-no-forget": dict(sees="cells", bias="gates", shortcut=True),
    "peepholes": dict(blocks=1, size=1, sees="cells", forget=True, peepholes=True, g="identity", h="identity"),
    "peepholes-blocks": dict(blocks=2, size=3, peepholes=True, forget=True, output="identity"),
    "peepholes-no-forget": dict(size=2, peepholes=True, h="tanh"),
    "peepholes-no-output-gate": dict(size=2, peepholes=True, output_gate=False, g="tanh"),
    "plain": dict(plain=2, blocks=1, size=1, g="logistic1", h="logistic2"),
    "plain-cells": dict(plain=1, sees="cells", forget=True, bias="none"),
    "beyond-a-vector": dict(blocks=3, size=7, plain=9, forget=True, shortcut=True),
    "blocks-of-four": dict(blocks=3, size=4, forget=True),
    "many-small": dict(blocks=19, size=1),
    "tokens": dict(tokens=True, shortcut=True),
}
every_option = pytest.mark.parametrize("name", OPTIONS)
LOSSES = (Loss("squared_error"), Loss("squared_error", when="last"), Loss("bernoulli", per="sequence"))


def network(name="1997", dtype="float64", seed=1, **more):
    options = (OPTIONS[name] if isinstance(name, str) else name) | more
    tokens = options.pop("tokens", False)
    net = build("lstm1997", I, K, options, dtype, tokens, seed)
    net.theta[...] = np.random.default_rng(seed).normal(0, 0.6, net.n_parameters)
    return net


def batch_for(net, loss=LOSSES[0], ragged=True, seed=0, steps=T, batch=B):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(steps, batch, I)) * rng.choice([0, 1], (steps, batch, I))
    if net.tokens:
        inputs = rng.integers(0, I, (steps, batch)).astype(np.int32)
    shape = (steps, batch, K) if loss.when == "every" else (batch, K)
    weights = rng.choice([0.0, 0.5, 1.0], shape[:-1])
    lengths = np.array([steps, *rng.integers(1, steps + 1, batch - 1)]) if ragged else None
    return Sequences(inputs, rng.uniform(0, 1, shape), weights, lengths)


def vectors(net, batch):
    """The inputs as vectors, one sequence after the other."""
    x = np.eye(I)[batch.inputs] if net.tokens else batch.inputs
    lengths = np.full(x.shape[1], len(x)) if batch.lengths is None else batch.lengths
    return [x[: lengths[b], b] for b in range(x.shape[1])]


def twin(net, batch, constants=None, state=None):
    weights = net.layout.views(net.theta)
    states = [None] * B if state is None else [[part[0, b] for part in state] for b in range(B)]
    constants = constants or [None] * B
    return [naive.unroll(net.config, weights, x, constants[b], states[b]) for b, x in enumerate(vectors(net, batch))]


def outputs_of(passes, loss):
    outputs = np.zeros((T, B, K))
    for b, steps in enumerate(passes):
        outputs[: len(steps), b] = [values["output"] for values in steps]
    if loss.when == "every":
        return outputs
    return np.array([steps[-1]["output"] for steps in passes])


@every_option
def test_network_is_the_twin(name):
    net = network(name)
    for ragged in (False, True):
        batch = batch_for(net, ragged=ragged)
        given = [np.random.default_rng(5).normal(size=part.shape) for part in net.initial_state(B)]
        for state in (None, given):
            found = net.forward(batch.inputs, batch.lengths, state, record=net.trace_names)
            passes = twin(net, batch, state=state)
            assert distance(found.outputs, outputs_of(passes, LOSSES[0])) <= 1e-12
            for b, steps in enumerate(passes):
                assert distance(found.state[0][0, b], steps[-1]["s"]) <= 1e-12
                assert distance(found.state[1][0, b], naive.Net(net.config, {}).seen(steps[-1])) <= 1e-12
                for trace in net.trace_names:
                    expected = np.zeros(found.records[trace][:, b].shape)
                    expected[: len(steps)] = [values[trace] for values in steps]
                    assert distance(found.records[trace][:, b], expected) <= 1e-12
    with pytest.raises(RnnsimError, match="trace"):
        net.forward(batch.inputs, record=["gate"])


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.kind}-{loss.when}")
@every_option
def test_gradient_is_finite_differences(name, loss):
    net = network(name)
    batch = batch_for(net, loss)
    found = net.loss_and_gradient(batch, loss).gradient.copy()
    assert distance(found, differences(lambda: net.evaluate(batch, loss).loss, net.theta)) <= 1e-8
    single = network(name, "float32")
    assert distance(single.loss_and_gradient(batch, loss).gradient, found) <= 1e-4


@every_option
def test_truncated_gradient_is_that_of_the_network_with_constants(name):
    """Outputs a time step ago and states in peepholes held fast: finite differences of what is left."""
    net = network(name)
    for loss in LOSSES[:2]:
        batch = batch_for(net, loss)
        passes = twin(net, batch)

        def value(batch=batch, passes=passes, loss=loss):
            outputs = outputs_of(twin(net, batch, passes), loss)
            return loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths)

        found = net.gradient_by(TRUNCATED, batch, loss)
        assert abs(found.loss - value()) <= 1e-12
        # The twin is slow: 80 weights of a large network.
        places = np.sort(np.random.default_rng(0).permutation(net.n_parameters)[:80])
        some = net.theta[places]

        def value_at(value=value, places=places, some=some):
            net.theta[places] = some
            return value()

        assert distance(found.gradient[places], differences(value_at, some)) <= 1e-8
        net.theta[places] = some
        learned = RULES.build("truncated").learn(net, batch, loss, lambda gradient: None)
        assert learned.loss == found.loss


def test_truncated_gradient_is_that_of_torch_with_stopped_gradients():
    torch = pytest.importorskip("torch")
    net = network("peepholes-blocks")
    loss = LOSSES[0]
    batch = batch_for(net, loss, ragged=False)
    theta = torch.tensor(net.theta, requires_grad=True)
    w = {e.name: theta[e.offset : e.offset + e.size].reshape(e.shape) for e in net.layout}
    blocks, size = 2, 3
    total = 0.0
    for b in range(B):
        s, z = torch.zeros(blocks * size, dtype=torch.float64), torch.zeros(6 + 3 * blocks, dtype=torch.float64)
        for t in range(T):
            u = torch.cat([torch.tensor(batch.inputs[t, b]), z.detach()])

            def gate(kind, states, u=u):
                seen = (w[f"peephole_{kind}_gate"] * states.detach().reshape(blocks, size)).sum(1)
                return torch.sigmoid(w[f"weight_{kind}_gate"] @ u + w[f"bias_{kind}_gate"] + seen)

            g = 4 * torch.sigmoid(w["weight_cell"] @ u + w["bias_cell"]) - 2
            i, f = gate("in", s), gate("forget", s)
            s = f.repeat_interleave(size) * s + i.repeat_interleave(size) * g
            o = gate("out", s)
            y = o.repeat_interleave(size) * (2 * torch.sigmoid(s) - 1)
            z = torch.cat([y, i, f, o])
            off = w["weight_out"] @ y + w["bias_out"] - torch.tensor(batch.targets[t, b])
            total = total + batch.weights[t, b] * (off**2).sum()
    total = total / batch.weights.sum()
    (expected,) = torch.autograd.grad(total, theta)
    assert distance(net.gradient_by(TRUNCATED, batch, loss).gradient, expected.numpy()) <= 1e-10


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@every_option
def test_online_learning_is_the_rule_as_printed(name, momentum):
    """A step at every time step that counts, sequence after sequence."""
    net = network(name)
    for loss in LOSSES[:2]:
        batch = batch_for(net, loss)
        weights, velocity = net.layout.views(net.theta.copy()), None
        worst, mean = [], []
        for b, x in enumerate(vectors(net, batch)):
            counted, targets = np.zeros(len(x)), np.zeros((len(x), K))
            if loss.when == "every":
                counted[:], targets[:] = batch.weights[: len(x), b], batch.targets[: len(x), b]
            else:
                counted[-1], targets[-1] = batch.weights[b], batch.targets[b]
            weights, velocity, errors = naive.learn(
                net.config, weights, x, targets, counted, 0.3 * 0.8**b, momentum, 0.9, velocity
            )
            worst.append(max((e[0] for e in errors), default=0))
            mean.append(np.mean([e[1] for e in errors]) if errors else 0)
        rates = dict(rate=0.3, momentum=momentum, decay=0.9, sequence_decay=0.8)
        theta = net.theta.copy()
        learner = BlockLearner(net, **rates)
        found = learner.learn(batch, loss)
        outputs = found.outputs
        expected = np.concatenate([np.ravel(weights[entry.name]) for entry in net.layout])
        assert distance(learner.theta, expected) <= 1e-11
        assert distance(found.worst, worst) <= 1e-11 and distance(found.errors, mean) <= 1e-11
        off = np.abs(outputs - batch.targets).max(axis=-1)
        counted = net_counted(batch, loss)
        np.testing.assert_allclose((off * counted).max(axis=0) if loss.when == "every" else off * counted, found.worst)
        np.testing.assert_array_equal(net.theta, learner.theta)
        net.theta[...] = theta
        other = network(name, "float32")
        other.theta[...] = theta
        single = BlockLearner(other, **rates)
        single.learn(batch, loss)
        assert distance(single.theta, expected) <= 1e-4


def learners(net, count, **rates):
    """Learners of equal networks."""
    nets = [from_config(net.config) for _ in range(count)]
    for one in nets:
        one.theta[...] = net.theta
    return [BlockLearner(one, **rates) for one in nets]


def net_counted(batch, loss):
    counted = (batch.weights != 0).astype(float)
    return counted * (np.arange(T)[:, None] < batch.lengths) if loss.when == "every" else counted


@pytest.mark.parametrize("steps", [1, T, STRETCH, 2 * STRETCH + 1])
@every_option
def test_without_updates_between_the_online_step_is_the_truncated_gradient(name, steps):
    net = network(name)
    if steps > T:
        net.theta[...] /= 3  # states that do not drift to where nothing changes
    loss = Loss("squared_error", when="last", per="sequence")
    batch = batch_for(net, loss, batch=1, steps=steps)
    batch.weights = None
    before, gradient = net.theta.copy(), net.gradient_by(TRUNCATED, batch, loss).gradient.copy()
    learner = BlockLearner(net, rate=1.0)
    learner.learn(batch, loss)
    assert distance(learner.theta - before, -gradient / 2) <= 1e-10


@pytest.mark.parametrize("name", ["1997", "gers-2000", "peepholes-blocks", "tokens"])
def test_parts_of_a_sequence_are_the_whole_sequence(name):
    """Targets at the last time step only, after parts without any that are longer or shorter than a stretch."""
    net, loss = network(name), Loss("squared_error", when="last")
    net.theta[...] /= 3
    batch, cuts = batch_for(net, loss, ragged=False, steps=2 * STRETCH, batch=1), (0, 3, STRETCH + 5, 2 * STRETCH)
    before, (whole, parts) = net.theta.copy(), learners(net, 2, rate=0.5)
    for k, (start, end) in enumerate(zip(cuts, cuts[1:])):
        weights = np.full(1, float(end == cuts[-1]))
        parts.learn(Sequences(batch.inputs[start:end], batch.targets, weights), loss, going_on=k > 0)
    whole.learn(Sequences(batch.inputs, batch.targets), loss)
    assert distance(parts.theta - before, whole.theta - before) <= 1e-11


def test_chunks_and_items_of_a_stream_are_the_whole_stream():
    net = network("gers-2000")
    batch, loss = batch_for(net, ragged=False, steps=9, batch=1), LOSSES[0]
    whole, *others = (
        copy.copy(net).learner_by(RULES.build("truncated", {"every": 1}), SGD(0.25, schedule="per-time-step:0.99"))
        for _ in range(3)
    )
    wanted = whole.learn(batch, loss)
    for parts, cuts in zip(others, ((0, 4, 5, 9), range(10))):
        for start, end in zip(cuts, cuts[1:]):
            cut = slice(start, end)
            part = Sequences(batch.inputs[cut], batch.targets[cut], batch.weights[cut])
            found = parts.learn(part, loss, going_on=start > 0)
            np.testing.assert_array_equal(found.outputs, wanted.outputs[cut])
        np.testing.assert_array_equal(whole.theta, parts.theta)
        assert parts.updates == whole.updates and parts.net.theta.tobytes() == whole.net.theta.tobytes()
    full, state = net.forward(batch.inputs), None
    for cut in (slice(0, 4), slice(4, 9)):
        found = net.forward(batch.inputs[cut], state=state)
        np.testing.assert_array_equal(found.outputs, full.outputs[cut])
        state = found.state


def test_a_sequence_ends_after_the_first_error():
    net = network()
    batch, loss = batch_for(net, ragged=False), LOSSES[0]
    batch.weights[:] = 1
    batch.targets[:] = net.forward(batch.inputs).outputs
    batch.targets[3, 0] += 1
    found = BlockLearner(net, rate=0.0).learn(batch, loss, stop=0.5)
    assert list(found.time_steps) == [4, T, T] and found.worst[0] == pytest.approx(1)


def test_wide_inputs_of_few_numbers():
    """Blocks of inputs that are all zero are passed over: the same as tokens."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 700, (20, 2)).astype(np.int32)
    x = np.eye(700)[tokens] * -1e-200
    loss = Loss("squared_error", when="last")
    options = dict(size=1, bias="none")
    one, other = (build("lstm1997", 700, 2, options, "float64", tokens=t, seed=3) for t in (False, True))
    tiny = one.forward(x).outputs
    assert np.isfinite(tiny).all()
    first, both = one.theta.copy(), [BlockLearner(net, rate=0.5) for net in (one, other)]
    targets = rng.uniform(size=(2, 2))
    for learner, inputs in zip(both, (np.eye(700)[tokens], tokens)):
        learner.learn(Sequences(inputs, targets), loss)
    np.testing.assert_array_equal(*[learner.theta for learner in both])
    assert (both[0].theta != first).any()


# -- counts ------------------------------------------------------------------------------------------------------------

GERS = dict(blocks=4, size=2, sees="cells", bias="gates", shortcut=True)
COUNTS = [
    # Hochreiter & Schmidhuber 1997
    ("1, 4x1", 7, 7, dict(blocks=4, size=1, bias="gates", output_bias=False), 264),
    ("1, 3x2", 7, 7, dict(blocks=3, size=2, bias="gates", output_bias=False), 276),
    ("2a", 101, 101, OPTIONS["no-output-gate"] | dict(blocks=1, size=1, shortcut=True), 10504),
    *(
        (f"2c, p={p}", p + 4, 2, dict(blocks=2, size=1, bias="none", output_bias=False), 6 * p + 64)
        for p in (50, 100, 200, 500, 1000)
    ),
    ("3", 1, 1, dict(blocks=3, size=1, output_bias=False), 102),
    ("4, 5", 2, 1, dict(blocks=2, size=2), 93),
    ("6a", 8, 4, dict(blocks=2, size=2), 156),
    ("6b", 8, 8, dict(blocks=3, size=2), 308),
    # Gers, Schmidhuber & Cummins 2000; Gers, Schraudolph & Schmidhuber 2002
    ("continual grammar", 7, 7, GERS | dict(forget=True), 424),
    ("continual grammar without forget gates", 7, 7, GERS, 360),
    ("timing", 1, 1, dict(blocks=1, size=1, sees="cells", forget=True, peepholes=True), 17),
]


@pytest.mark.parametrize("name, inputs, outputs, options, count", COUNTS, ids=[row[0] for row in COUNTS])
def test_weights_of_the_papers(name, inputs, outputs, options, count):
    net = build("lstm1997", inputs, outputs, options)
    assert net.n_parameters == count == net.layout.size
    # Every parameter has its place among the packed weights.
    theta = np.arange(1, count + 1, dtype=np.float64)
    np.testing.assert_array_equal(net.packed(theta)[net.slot], theta.astype(np.float32))
    assert set(net.origin) - {-1} == set(range(count))


def test_first_biases():
    options = dict(in_bias="-3,-6", out_bias=(-1, -2), forget="yes", forget_bias=[2, 5], init=0.2)
    net = build("lstm1997", 2, 1, options, "float64", seed=4)
    for gate, expected in (("in", [-3, -6]), ("out", [-1, -2]), ("forget", [2, 5])):
        np.testing.assert_array_equal(net.layout.view(net.theta, f"bias_{gate}_gate"), expected)
    rest = net.layout.view(net.theta, "weight_cell")
    assert 0.1 < np.abs(rest).max() <= 0.2
    again = from_config(net.config)
    assert again.config == net.config and again.config["options"]["in_bias"] == [-3, -6]
    np.testing.assert_array_equal(net.drawn(4), net.theta)


# -- online training ---------------------------------------------------------------------------------------------------


class Last(Adding):
    """What was the sign of the second value: easy, for a test."""

    criterion = Criterion(window=50, wrong=0, max_error=0.2)
    tolerance = 0.4

    def generate(self, key, first, size):
        batch = super().generate(key, first, size)
        batch.targets = (batch.inputs[1, :, :1] > 0).astype(np.float32)
        return batch


def trained(net, task, rate, steps, seed, until="steps", **settings):
    """A training by the rule of 1997 with an update at every time step, from the weights that the network draws from the seed."""
    net.theta[...] = net.drawn(seed)
    rule, optimizer = (
        RULES.build("truncated", {"every": 1}),
        SGD(rate / 2, schedule=settings.pop("schedule", "constant")),
    )
    return rs.train(net, task, rule, optimizer, steps=steps, batch=1, rng=seed, until=until, **settings)


def test_training_stops_at_the_sequence_that_meets_the_criterion():
    task = Last(length=5)
    net = build("lstm1997", 2, 1, {}, "float64")
    for seed in (1, 3):
        found = []
        for pause in (37, 400):  # what ends chunks of sequences
            result = trained(net, task, 1.0, 20_000, seed, "solved", evaluate_every=pause, evaluation={"count": 1})
            assert result.solved and result.sequences == result.solved_at < 20_000
            assert result.correct == 1.0 and result.error < 0.2
            found.append((result.sequences, net.theta.tobytes()))
        assert found[0] == found[1]
    assert rs.evaluate(net, task, count=200)["correct"] > 0.9


def test_adding_is_learned_a_little():
    """T = 10, where the constant .5 is off by .17 in the mean."""
    net = build("lstm1997", 2, 1, {"in_bias": "-1,-2"}, "float64")
    result = trained(net, Adding(length=10), 0.5, 25_000, 1)
    assert result.error < 0.08 and result.correct > 0.3 and not result.solved


def test_a_callback_sees_the_weights_of_its_step():
    net, seen = build("lstm1997", 2, 1, {}, "float64"), []

    def callback(progress):
        seen.append((progress.sequences, progress.net.theta.copy()))
        return progress.sequences >= 30

    result = trained(net, Adding(length=10), 0.5, 100, 2, evaluate_every=10, evaluation={"count": 1}, callback=callback)
    assert result.sequences == 30 and [count for count, _ in seen] == [10, 20, 30]
    np.testing.assert_array_equal(seen[-1][1], net.theta)
    assert trained(net, Adding(length=10), 0.5, 15, 2).sequences == 15


def test_streams_that_end_begin_again():
    """A stream ends at its first error or last time step; the sequences are those of one stream each."""
    net = build("lstm1997", 7, 7, OPTIONS["gers-2000"], "float64")
    result = trained(net, ContinualReber(steps=7, stop_error=0.49), 0.5, 30, 2)
    assert result.sequences == 30 and 30 <= result.time_steps < 30 * 7 and result.correct == 0 and not result.solved
    task = ContinualReber(steps=7, stream_length=10)
    result = trained(net, task, 0.5, 3, 2, schedule="per-time-step:0.99")
    assert result.time_steps == 30
    found = net.theta.copy()
    net.theta[...] = net.drawn(2)
    learner = BlockLearner(net, rate=0.5, decay=0.99)
    for number in range(3):
        whole = [task.training_batch(2 + number * 2**32, step, 1) for step in range(2)]
        inputs, targets = (np.concatenate([getattr(one, key) for one in whole])[:10] for key in ("inputs", "targets"))
        learner.learn(Sequences(inputs, targets), task.loss)
    np.testing.assert_allclose(found, learner.theta, rtol=1e-12)
    solved = trained(net, ContinualReber(steps=7, stop_error=2.0, stream_length=15), 1e-9, 5, 2, "solved")
    assert solved.solved_at == 1 == solved.sequences and solved.time_steps == 15


def test_an_endless_stream_goes_on():
    task = ContinualReber(steps=7)
    net = build("lstm1997", 7, 7, OPTIONS["gers-2000"], "float64")
    trained(net, task, 0.5, 3, 2)
    found = net.theta.copy()
    net.theta[...] = net.drawn(2)
    learner = BlockLearner(net, rate=0.5)
    for step in range(3):
        learner.learn(task.training_batch(2, step, 1), task.loss, going_on=step > 0)
    np.testing.assert_array_equal(found, learner.theta)


def test_weights_that_are_not_finite_end_it():
    net = build("lstm1997", 2, 1, dict(g="identity", h="identity", output="identity"), "float64")
    with pytest.raises(RnnsimError, match=r"step \d+: .* is (nan|-?inf); the weights from before this step are kept"):
        trained(net, Adding(length=10), 1e6, 5000, 1)
    assert np.isfinite(net.theta).all()


def test_bptt_trains_it():
    net = build("lstm1997", 2, 1, {"init": 0.3})
    task = Adding(length=4)
    result = rs.train(net, task, optimizer=rs.Adam(0.01), steps=300, batch=20, rng=1)
    assert result.loss < 0.8 * task.trivial_loss


# -- wrong input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(blocks=0), "blocks=0: expected a value of at least 1"),
        (dict(plain=-1), "plain=-1: expected a value of at least 0"),
        (dict(g="relu"), "g=relu: expected one of logistic, logistic1, logistic2, tanh, identity"),
        (dict(sees="gates"), "sees=gates: expected one of all, cells, inputs"),
        (dict(in_bias="-3"), "in_bias=-3: expected 2 finite numbers, one a block"),
        (dict(in_bias="-3,x"), "in_bias=-3,x: expected a number, several separated by commas or none"),
        (dict(forget_bias="1,2"), "forget_bias=1,2: the network has no such gates"),
        (dict(out_bias="1,2", bias="none"), "out_bias=1,2: gates have no bias with bias=none"),
        (dict(init=-1), "init=-1: expected a finite number of at least 0"),
        (dict(hidden=3), "option of network 'lstm1997'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(RnnsimError) as error:
        build("lstm1997", 2, 1, options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_wrong_training():
    task = Adding()

    def refused(message, net, rule=None, optimizer=None, task=task, **named):
        with pytest.raises(RnnsimError, match=message) as error:
            rule = RULES.build("truncated", {"every": 1, **(rule or {})})
            rs.train(net, task, rule, optimizer or SGD(0.1), batch=named.pop("batch", 1), **named)
        assert "\n" not in str(error.value)

    net = build("lstm1997", 2, 1)
    refused("the network has 3 inputs, the task has 2", build("lstm1997", 3, 1))
    refused("the network has 2 outputs, the task has 1", build("lstm1997", 2, 2))
    refused("reads tokens, the task gives vectors", build("lstm1997", 2, 1, tokens=True))
    refused("every=5: network 'lstm1997' learns by the rule truncated once a batch", net, {"every": 5})
    refused("force=True: network 'lstm1997' has no teacher forcing", net, {"force": True})
    refused("wait=-1", net, {"wait": -1})
    refused("wait: needs g=logistic and cells without biases", net, {"wait": 5})
    refused("wait=5: network 'gru' has no memory cells", build("gru", 2, 1), {"wait": 5})
    refused("by sgd or momentum, not by adam", net, optimizer=rs.Adam(0.1))
    refused("by sgd or momentum, without clip_norm", net, optimizer=SGD(0.1, clip_norm=1.0))
    refused("schedule=linear:5: expected per-time-step:d", net, optimizer=SGD(0.1, schedule="linear:5"))
    refused("batch=2: this learner takes one sequence after the other", net, batch=2)
    refused(
        "descends the squared error by the rule truncated, the task has bernoulli",
        build("lstm1997", 1, 1),
        task=Latch(loss="bernoulli"),
    )
    words = "schedule=per-sequence:0.9: only a network that learns at every time step"
    refused(words, build("gru", 2, 1), optimizer=SGD(0.1, schedule="per-sequence:0.9"))
    refused(
        "stop_error: sequences that end with an error need", build("gru", 7, 7), task=ContinualReber(stop_error=0.5)
    )
    for wrong in (dict(rate=-1), dict(rate=1, momentum=1), dict(rate=1, decay=0), dict(rate=1, sequence_decay=2)):
        with pytest.raises(RnnsimError, match=f"{list(wrong)[-1]}={list(wrong.values())[-1]}"):
            BlockLearner(net, **wrong)
    loss = Loss("softmax", when="last")
    with pytest.raises(RnnsimError, match="descends the squared error, not softmax"):
        BlockLearner(net, rate=0.1).learn(Sequences(np.zeros((2, 1, 2)), np.zeros((1, 1))), loss)
    with pytest.raises(RnnsimError, match=r"targets of shape \[1, 2\]: expected \[1, 1, 1\]"):
        BlockLearner(net, rate=0.1).learn(Sequences(np.zeros((2, 1, 2)), np.zeros((1, 2))), LOSSES[1])
    with pytest.raises(RnnsimError, match="rule|serve"):
        rs.train(net, task, rule="rtrl", steps=1)


def test_plain_python_gives_the_same(tmp_path):
    """The kernels without the compiler."""
    script = tmp_path / "plain.py"
    script.write_text(
        "import numpy as np\n"
        "from rnnsim.networks import build\n"
        "from rnnsim.core.losses import Loss\n"
        "from rnnsim.core.batch import Sequences\n"
        "from rnnsim.networks.lstm1997.learner import BlockLearner\n"
        "rng = np.random.default_rng(0)\n"
        "net = build('lstm1997', 2, 1, dict(forget=True, peepholes=True, plain=1), 'float64')\n"
        "b = Sequences(rng.normal(size=(4, 2, 2)), rng.normal(size=(2, 1)))\n"
        "loss = Loss('squared_error', when='last')\n"
        "found = [*net.loss_and_gradient(b, loss).gradient]\n"
        "learner = BlockLearner(net, 0.5, momentum=0.5)\n"
        "learner.learn(b, loss)\n"
        "print(*map(float, found + [*learner.theta]))\n"
    )
    found = [
        np.array(
            subprocess.run(
                [sys.executable, script],
                env=os.environ | {"RNNSIM_JIT": jit},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split(),
            float,
        )
        for jit in "01"
    ]
    assert distance(*found) <= 1e-12


# -- the diagram -------------------------------------------------------------------------------------------------------


@every_option
def test_diagram_shows_every_weight_once(name, tmp_path):
    from rnnsim.plotting import blocks

    net = network(name)
    drawing = blocks._Drawing(net)
    weights = [weight for *_, weight, _ in drawing.connections()]
    np.testing.assert_array_equal(np.sort(weights), np.sort(net.theta))
    assert all(source in drawing.places and target in drawing.places for source, target, *_ in drawing.connections())
    places = list(drawing.places.values())
    apart = min(np.hypot(a[0] - b[0], a[1] - b[1]) for k, a in enumerate(places) for b in places[:k])
    assert apart >= 0.9


def test_diagram(tmp_path):
    path = rs.plotting.memory_blocks(network("peepholes-blocks"), tmp_path / "net.svg", "blocks")
    assert path.read_text().startswith("<?xml") and path.stat().st_size > 10_000
    with pytest.raises(RnnsimError, match="no memory blocks"):
        rs.plotting.memory_blocks(build("gru", 2, 1), tmp_path / "net.png")
    with pytest.raises(RnnsimError, match="a diagram can show at most 200"):
        rs.plotting.memory_blocks(build("lstm1997", 300, 1), tmp_path / "net.png")


def test_diagram_from_the_shell(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from rnnsim_cli.plot import command

    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(command, ["lstm1997", "-o", "inputs=8", "-o", "outputs=4", "--out", "pictures"])
    assert found.exit_code == 0 and found.output.strip() == "pictures/lstm1997.png"
    assert (tmp_path / "pictures" / "lstm1997.png").stat().st_size > 10_000
