"""Memory blocks: twin, finite differences, the truncated rule three times over, weight counts, online training, wrong input."""

import os
import subprocess
import sys

import naive_lstm1997 as naive
import numpy as np
import pytest
from cases import Batch, differences, distance

import rnnsim as rs
from rnnsim.core import threads
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.networks import build, from_config
from rnnsim.networks.lstm1997.update import STRETCH
from rnnsim.tasks.adding import Adding
from rnnsim.tasks.interface import Criterion
from rnnsim.training import online

T, B, I, K = 6, 3, 3, 2
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
    return Batch(inputs, rng.uniform(0, 1, shape), weights, lengths)


def vectors(net, batch):
    """The inputs as vectors, one sequence after the other."""
    x = np.eye(I)[batch.inputs] if net.tokens else batch.inputs
    lengths = np.full(x.shape[1], len(x)) if batch.lengths is None else batch.lengths
    return [x[: lengths[b], b] for b in range(x.shape[1])]


def twin(net, batch, constants=None, state=None):
    weights = net.layout.views(net.theta)
    states = [None] * B if state is None else [[part[0, b] for part in state] for b in range(B)]
    constants = constants or [None] * B
    return [naive.walk(net.config, weights, x, constants[b], states[b]) for b, x in enumerate(vectors(net, batch))]


def outputs_of(walks, loss):
    outputs = np.zeros((T, B, K))
    for b, ticks in enumerate(walks):
        outputs[: len(ticks), b] = [tick["output"] for tick in ticks]
    if loss.when == "every":
        return outputs
    return np.array([ticks[-1]["output"] for ticks in walks])


@every_option
def test_network_is_the_twin(name):
    net = network(name)
    for ragged in (False, True):
        batch = batch_for(net, ragged=ragged)
        given = [np.random.default_rng(5).normal(size=part.shape) for part in net.initial_state(B)]
        for state in (None, given):
            found = net.forward(batch.inputs, batch.lengths, state, record=net.trace_names)
            walks = twin(net, batch, state=state)
            assert distance(found.outputs, outputs_of(walks, LOSSES[0])) <= 1e-12
            for b, ticks in enumerate(walks):
                assert distance(found.state[0][0, b], ticks[-1]["s"]) <= 1e-12
                assert distance(found.state[1][0, b], naive.Net(net.config, {}).seen(ticks[-1])) <= 1e-12
                for trace in net.trace_names:
                    expected = np.zeros(found.records[trace][:, b].shape)
                    expected[: len(ticks)] = [tick[trace] for tick in ticks]
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
    """Outputs a tick ago and states in peepholes held fast: finite differences of what is left."""
    net = network(name)
    for loss in LOSSES[:2]:
        batch = batch_for(net, loss)
        walks = twin(net, batch)

        def value(batch=batch, walks=walks, loss=loss):
            outputs = outputs_of(twin(net, batch, walks), loss)
            return loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths)

        found = net.truncated_gradient(batch, loss)
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
    assert distance(net.truncated_gradient(batch, loss).gradient, expected.numpy()) <= 1e-10


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@every_option
def test_online_learning_is_the_rule_as_printed(name, momentum):
    """A step at every tick that counts, sequence after sequence."""
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
        rates = dict(learning_rate=0.3, momentum=momentum, decay=0.9, sequence_decay=0.8)
        learner = net.online(**rates)
        outputs = np.zeros(batch.targets.shape)
        found = learner.learn(batch, loss, outputs=outputs)
        expected = np.concatenate([np.ravel(weights[entry.name]) for entry in net.layout])
        assert distance(learner.theta, expected) <= 1e-11
        assert distance(found.worst, worst) <= 1e-11 and distance(found.mean, mean) <= 1e-11
        off = np.abs(outputs - batch.targets).max(axis=-1)
        counted = net_counted(batch, loss)
        np.testing.assert_allclose((off * counted).max(axis=0) if loss.when == "every" else off * counted, found.worst)
        single = network(name, "float32").online(net.theta, **rates)
        single.learn(batch, loss)
        assert distance(single.theta, expected) <= 1e-4


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
    learner = net.online(learning_rate=1.0)
    learner.learn(batch, loss)
    assert distance(learner.theta - net.theta, -net.truncated_gradient(batch, loss).gradient / 2) <= 1e-10


@pytest.mark.parametrize("name", ["1997", "gers-2000", "peepholes-blocks", "tokens"])
def test_parts_of_a_sequence_are_the_whole_sequence(name):
    """Targets at the last tick only, after parts without any that are longer or shorter than a stretch."""
    net, loss = network(name), Loss("squared_error", when="last")
    net.theta[...] /= 3
    batch, cuts = batch_for(net, loss, ragged=False, steps=2 * STRETCH, batch=1), (0, 3, STRETCH + 5, 2 * STRETCH)
    whole, parts = net.online(learning_rate=0.5), net.online(learning_rate=0.5)
    for k, (start, end) in enumerate(zip(cuts, cuts[1:])):
        weights = np.full(1, float(end == cuts[-1]))
        parts.learn(Batch(batch.inputs[start:end], batch.targets, weights), loss, going_on=k > 0)
    whole.learn(Batch(batch.inputs, batch.targets), loss)
    assert distance(parts.theta - net.theta, whole.theta - net.theta) <= 1e-11


def test_chunks_of_a_stream_are_the_whole_stream():
    net = network("gers-2000")
    batch, loss = batch_for(net, ragged=False, steps=9, batch=1), LOSSES[0]
    whole, parts = net.online(learning_rate=0.5, decay=0.99), net.online(learning_rate=0.5, decay=0.99)
    whole.learn(batch, loss)
    for k, cut in enumerate((slice(0, 4), slice(4, 5), slice(5, 9))):
        parts.learn(Batch(batch.inputs[cut], batch.targets[cut], batch.weights[cut]), loss, going_on=k > 0)
    np.testing.assert_array_equal(whole.theta, parts.theta)
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
    found = net.online(learning_rate=0.0).learn(batch, loss, stop=0.5)
    assert list(found.ticks) == [4, T, T] and found.worst[0] == pytest.approx(1)


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
    learners = [net.online(learning_rate=0.5) for net in (one, other)]
    targets = rng.uniform(size=(2, 2))
    for learner, inputs in zip(learners, (np.eye(700)[tokens], tokens)):
        learner.learn(Batch(inputs, targets), loss)
    np.testing.assert_array_equal(*[learner.theta for learner in learners])
    assert (learners[0].theta != one.theta).any()


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


def test_training_stops_at_the_sequence_that_meets_the_criterion():
    task = Last(length=5)
    net = build("lstm1997", 2, 1, {}, "float64")
    runs = [online.train_online(net, task, 1.0, seeds=[3, 1], max_sequences=20_000, chunk=chunk) for chunk in (37, 400)]
    for one, other in zip(*runs):
        assert one.solved and one.sequences == other.sequences < 20_000
        np.testing.assert_array_equal(one.theta, other.theta)
        np.testing.assert_array_equal(one.errors, other.errors)
        assert one.correct[-50:].all() and one.errors[-50:].mean() < 0.2 and len(one.errors) == one.sequences
        first = online.first_met(task.criterion, one.correct[:0], one.errors[:0], one.correct, one.errors)
        assert first == one.sequences
    solved = net
    solved.theta[...] = runs[0][0].theta
    assert rs.evaluate(solved, task, count=200)["correct"] > 0.9


def test_training_is_the_same_for_any_number_of_threads():
    net = build("lstm1997", 2, 1, {"in_bias": "-3,-6"}, "float64")
    task = Adding(length=20)
    found = []
    for count in {1, min(2, threads.available())}:
        kept = threads.get_threads()
        threads.set_threads(count)
        try:
            found.append(online.train_online(net, task, 0.5, seeds=[1, 2, 3], max_sequences=700))
        finally:
            threads.set_threads(kept)
    for results in zip(*found):
        assert len({one.theta.tobytes() for one in results}) == 1
    assert len({one.theta.tobytes() for one in found[0]}) == 3


def test_adding_is_learnt_a_little():
    """T = 10, where the constant .5 is off by .17 in the mean."""
    net = build("lstm1997", 2, 1, {"in_bias": "-1,-2"}, "float64")
    task = Adding(length=10)
    (found,) = online.train_online(net, task, 0.5, seeds=[1], max_sequences=25_000, until="never")
    correct, error = found.last(2000)
    assert error < 0.08 and correct > 0.3 and not found.solved


def test_until_and_callback():
    net = build("lstm1997", 2, 1, {}, "float64")
    task = Adding(length=10)
    seen, asked = [], []

    def until(other, sequences):
        asked.append((other.theta.copy(), sequences))
        return sequences >= 30

    (found,) = online.train_online(
        net, task, 0.5, seeds=[2], chunk=10, until=until, callback=lambda one: seen.append(one.sequences)
    )
    assert found.solved and found.sequences == 30 and seen == [10, 20, 30]
    np.testing.assert_array_equal(asked[-1][0], found.theta)
    (cut,) = online.train_online(net, task, 0.5, seeds=[2], chunk=10, max_sequences=15)
    assert cut.sequences == 15 == len(cut.worst) and not cut.solved


def test_streams_that_end_begin_anew():
    """A stream ends at its first error or last tick; the sequences are those of one stream each."""
    task = rs.tasks.TASKS.build("continual-reber", {"steps": 7})
    net = build("lstm1997", 7, 7, OPTIONS["gers-2000"], "float64")
    (found,) = online.train_online(net, task, 0.5, seeds=[2], max_sequences=30, stop=0.49, until="never")
    assert found.sequences == 30 == len(found.lengths) and found.lengths.sum() == found.ticks
    assert (found.worst >= 0.49).all() and not found.correct.any()
    (found,) = online.train_online(
        net, task, 0.5, decay=0.99, seeds=[2], max_sequences=3, stream_ticks=10, until="never"
    )
    assert list(found.lengths) == [10, 10, 10]
    learner = net.online(net.drawn(2), learning_rate=0.5, decay=0.99)
    for number in range(3):
        whole = [task.training_batch(2 + number * 2**32, step, 1) for step in range(2)]
        inputs, targets = (np.concatenate([getattr(one, key) for one in whole])[:10] for key in ("inputs", "targets"))
        learner.learn(Batch(inputs, targets), task.loss)
    np.testing.assert_allclose(found.theta, learner.theta, rtol=1e-12)
    (solved,) = online.train_online(net, task, 0.0, seeds=[2], stop=2.0, stream_ticks=15)
    assert solved.solved and list(solved.lengths) == [15]


def test_an_endless_stream_goes_on():
    task = rs.tasks.TASKS.build("continual-reber", {"steps": 7})
    net = build("lstm1997", 7, 7, OPTIONS["gers-2000"], "float64")
    (found,) = online.train_online(net, task, 0.5, seeds=[2], max_sequences=3, until="never")
    learner = net.online(net.drawn(2), learning_rate=0.5)
    for step in range(3):
        learner.learn(task.training_batch(2, step, 1), task.loss, going_on=step > 0)
    np.testing.assert_array_equal(found.theta, learner.theta)


def test_weights_that_are_not_finite_end_it():
    net = build("lstm1997", 2, 1, dict(g="identity", h="identity", output="identity"), "float64")
    task = Adding(length=10)
    with pytest.raises(RnnsimError, match=r"seed 1, sequences \d+\.\.\d+: .*; a smaller learning rate may help"):
        online.train_online(net, task, 1e6, seeds=[1], max_sequences=5000)


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
    net = build("lstm1997", 2, 1)
    task = Adding()

    def refused(message, *arguments, **named):
        with pytest.raises(RnnsimError, match=message):
            online.train_online(*arguments, **named)

    refused("no online learner", build("gru", 2, 1), task, 0.1)
    refused("the network has 3 inputs, the task has 2", build("lstm1997", 3, 1), task, 0.1)
    refused("the network has 2 outputs, the task has 1", build("lstm1997", 2, 2), task, 0.1)
    refused("reads tokens, the task gives vectors", build("lstm1997", 2, 1, tokens=True), task, 0.1)
    refused("learning_rate=-1", net, task, -1)
    refused("momentum=1", net, task, 0.1, momentum=1)
    refused("decay=0", net, task, 0.1, decay=0)
    refused("until=later", net, task, 0.1, until="later")
    refused("seeds: one is given twice", net, task, 0.1, seeds=[1, 1])
    refused("chunk=0", net, task, 0.1, chunk=0)
    refused("stream_ticks=5: the sequences of this task end by themselves", net, task, 0.1, stream_ticks=5)
    loss = Loss("softmax", when="last")
    with pytest.raises(RnnsimError, match="descends the squared error, not softmax"):
        net.online(learning_rate=0.1).learn(Batch(np.zeros((2, 1, 2)), np.zeros((1, 1))), loss)
    with pytest.raises(RnnsimError, match=r"targets of shape \[1, 2\]: expected \[1, 1, 1\]"):
        net.online(learning_rate=0.1).learn(Batch(np.zeros((2, 1, 2)), np.zeros((1, 2))), LOSSES[1])
    with pytest.raises(RnnsimError, match="rule|serve"):
        rs.train(net, task, rule="rtrl", steps=1)


def test_plain_python_gives_the_same(tmp_path):
    """The kernels without the compiler."""
    script = tmp_path / "plain.py"
    script.write_text(
        "import numpy as np\n"
        "from rnnsim.networks import build\n"
        "from rnnsim.core.losses import Loss\n"
        "from types import SimpleNamespace as S\n"
        "rng = np.random.default_rng(0)\n"
        "net = build('lstm1997', 2, 1, dict(forget=True, peepholes=True, plain=1), 'float64')\n"
        "b = S(inputs=rng.normal(size=(4, 2, 2)), targets=rng.normal(size=(2, 1)), weights=None, lengths=None)\n"
        "loss = Loss('squared_error', when='last')\n"
        "found = [*net.loss_and_gradient(b, loss).gradient]\n"
        "learner = net.online(learning_rate=0.5, momentum=0.5)\n"
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
    with pytest.raises(RnnsimError, match="200 can be told apart"):
        rs.plotting.memory_blocks(build("lstm1997", 300, 1), tmp_path / "net.png")


def test_diagram_from_the_shell(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from rnnsim_cli.plot import command

    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(command, ["lstm1997", "-o", "inputs=8", "-o", "outputs=4", "--out", "pictures"])
    assert found.exit_code == 0 and found.output.strip() == "pictures/lstm1997.png"
    assert (tmp_path / "pictures" / "lstm1997.png").stat().st_size > 10_000
