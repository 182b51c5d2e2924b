"""Random weight guessing: a naive twin of a candidate's test, equal bits for any number of threads, resumption, clear errors."""

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.cells.connections import TABLES
from rnnsim.core import checkpoint
from rnnsim.core.rng import bits, stream_key
from rnnsim.core.threads import get_threads, set_threads
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.networks import from_config
from rnnsim.networks.candidates import DrawnCandidates, count_right_one_by_one, draw_theta, evaluated_one_by_one
from rnnsim.networks.recurrent_candidates import BLOCK, serves
from rnnsim.optimizers import SGD
from rnnsim.tasks import TASKS
from rnnsim.training.run import open_run

NETWORKS = {
    "a1": dict(hidden=3, outputs_last=1, activation="logistic", connections="guess-a1"),
    "a2": dict(hidden=11, outputs_last=1, activation="logistic", connections="guess-a2"),
    "at once": dict(hidden=4, activation="tanh"),
    "rectifier": dict(hidden=4, activation="rectifier", bias="double"),
    "saturated": dict(hidden=4, activation="saturated-linear", outputs_last=2, bias="none"),
    "identity": dict(hidden=2, activation="identity"),
}


def network(name="a1", dtype="float64", seed=1):
    return rs.Recurrent("rnn", 1, 1, readout="units", dtype=dtype, rng=seed, **NETWORKS[name])


def everything(net):
    return np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable


def rule(net, task, **options):
    made = RULES.build("guess", options)
    made.check(net, task)
    return made


def candidates(net, key, first, count, weight_range):
    return DrawnCandidates(key, first, count, weight_range, everything(net), net.theta.copy())


def naive_weights(net, key, candidate, weight_range):
    theta = net.theta.copy()
    for place in np.flatnonzero(everything(net)):
        word = int(bits(key, candidate, place // 4)[place % 4])
        theta[place] = weight_range * (word / 2**31 - 1)
    return theta


ACTIVATIONS = {
    "logistic": lambda s: 1 / (1 + np.exp(-s)),
    "tanh": np.tanh,
    "rectifier": lambda s: max(s, 0.0),
    "saturated-linear": lambda s: min(max(s, 0.0), 1.0),
    "identity": lambda s: s,
}


def naive_right(net, theta, batch, tolerance):
    """Sequences that are right before the first wrong one, unit by unit and time step by time step."""
    options = net.config["options"]
    late, f = options.get("outputs_last", 0), ACTIVATIONS[options["activation"]]
    weights = net.layout.views(theta)
    w, u = weights["weight_ih_l0"], weights["weight_hh_l0"]
    bias = sum((weights[name] for name in weights if name.startswith("bias")), np.zeros(net.hidden))
    for b in range(batch.size):
        y = np.zeros(net.hidden)
        for t in range(batch.lengths[b]):
            new = np.zeros(net.hidden)
            for unit in [*range(late, net.hidden), *range(late)]:
                seen = np.concatenate([y[:late], new[late:]]) if unit < late else y
                new[unit] = f(w[unit] @ batch.inputs[t, b] + u[unit] @ seen + bias[unit])
            y = new
        if not abs(y[0] - batch.targets[b, 0]) < tolerance:
            return b
    return batch.size


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_candidates_are_tested_as_by_hand(name):
    net, task = network(name), TASKS.build("parity", {"min_length": 3, "max_length": 6})
    batch, key = task.training_batch(1, 0, 12), stream_key(3, "guess")
    made = rule(net, task, weight_range=20.0 if name in ("a1", "a2") else 2.0)
    count = 300
    before = net.theta.copy()
    right, work = net.test_many(candidates(net, key, 5, count, made.weight_range), batch, task.loss, task)
    np.testing.assert_array_equal(net.theta, before)
    expected = []
    for candidate in range(5, 5 + count):
        theta = naive_weights(net, key, candidate, made.weight_range)
        expected.append(naive_right(net, theta, batch, task.tolerance))
    assert right.tolist() == expected and max(expected) > 0
    tested = np.minimum(np.array(expected) + 1, batch.size)
    assert work == sum(int(batch.lengths[:n].sum()) for n in tested)


@pytest.mark.parametrize("name", NETWORKS)
def test_kernel_and_forward_pass_agree(name):
    net, task = network(name), TASKS.build("tomita", {"grammar": 1, "min_length": 4, "max_length": 9})
    batch, key = task.training_batch(1, 0, 20), stream_key(0, "guess")
    made = rule(net, task)
    assert serves(net, batch, task.loss)
    count = 100
    drawn = candidates(net, key, 0, count, made.weight_range)
    right, _ = net.test_many(drawn, batch, task.loss, task)
    one, _ = count_right_one_by_one(net, drawn, batch, task.loss, task)
    assert one.tolist() == right[: len(one)].tolist() and (len(one) == count or one[-1] == batch.size)
    first = network(name)
    draw_theta(first.theta, everything(first), key, 7, made.weight_range)
    assert np.array_equal(first.theta, naive_weights(network(name), key, 7, made.weight_range))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_losses_of_many_candidates(name):
    """Of drawn ones and of a matrix of thetas, by the kernel and by one evaluation after the other."""
    net, task = network(name), TASKS.build("parity", {"min_length": 3, "max_length": 6})
    batch, before = task.training_batch(1, 0, 12), net.theta.copy()
    drawn = candidates(net, stream_key(3, "guess"), 5, BLOCK + 7, 1.0)
    thetas = np.stack([drawn[n] for n in range(len(drawn))])
    expected = evaluated_one_by_one(net, thetas, batch, task.loss)
    for population in (drawn, thetas):
        np.testing.assert_allclose(net.evaluate_many(population, batch, task.loss), expected, rtol=1e-12)
    np.testing.assert_array_equal(net.theta, before)
    gru = rs.Recurrent("gru", 1, 1, hidden=3, dtype="float64")
    some = np.stack([gru.theta, 2 * gru.theta])
    losses = gru.evaluate_many(some, batch, task.loss)
    assert losses[0] == gru.evaluate(batch, task.loss).loss != losses[1]
    with pytest.raises(RnnsimError, match=r"candidates: expected shape \(N, "):
        net.evaluate_many(np.zeros((3, 1)), batch, task.loss)


def test_draws_are_uniform_and_leave_the_rest():
    net = network("a1")
    before, drawn = net.theta.copy(), []
    for candidate in range(500):
        draw_theta(net.theta, everything(net), stream_key(0, "guess"), candidate, 100.0)
        drawn.append(net.theta[everything(net)].copy())
    drawn = np.concatenate(drawn)
    assert abs(drawn.mean()) < 4 * 100 / np.sqrt(3 * drawn.size) and abs(drawn).max() <= 100
    assert abs(np.mean(abs(drawn) < 50) - 0.5) < 0.03
    assert np.array_equal(net.theta[~everything(net)], before[~everything(net)])


@pytest.mark.parametrize("table, hidden, count", [("guess-a1", 2, 7), ("guess-a1", 3, 14), ("guess-a2", 11, 52)])
def test_connections_of_the_paper(table, hidden, count):
    net = rs.Recurrent("rnn", 1, 1, hidden=hidden, readout="units", connections=table)
    assert net.trainable.sum() == count == (TABLES[table](1, hidden) > 0).sum()
    assert not net.theta[~net.trainable].any()
    again = from_config(net.config)
    assert net.config["options"]["connections"] == table and np.array_equal(again.trainable, net.trainable)


def guessed(steps=40, threads=None, dtype="float32", **settings):
    net, task = network("a2", dtype), TASKS.build("parity", {"min_length": 20, "max_length": 30})
    before = get_threads()
    set_threads(threads or before)
    try:
        return rs.train(net, task, "guess", steps=steps, batch=50, rng=4, **settings)
    finally:
        set_threads(before)


def test_the_population_is_in_the_checkpoint(tmp_path):
    guessed(3, out=tmp_path / "run")
    memory = checkpoint.load(open_run(tmp_path / "run").checkpoints()[-1]).memory
    assert list(memory) == ["guess"] and memory["guess"][0] > 0
    assert "optimizer" not in open_run(tmp_path / "run").config


def test_the_same_bits_for_any_number_of_threads():
    results = [guessed(threads=count) for count in {1, get_threads()}]
    assert len({result.net.theta.tobytes() for result in results}) == 1
    assert len({str(result.figures) for result in results}) == 1


def test_a_guess_is_kept_and_counted():
    found = guessed(60, until="solved")
    assert found.solved and found.correct == 1 and found.figures["trials"] > BLOCK // 4
    # The guess is the candidate of the last number.
    net = network("a2", "float32")
    draw_theta(net.theta, everything(net), stream_key(4, "guess"), found.figures["trials"] - 1, 100.0)
    assert np.array_equal(net.theta, found.net.theta)
    assert found.history[-1]["trials"] == found.figures["trials"]
    task = TASKS.build("parity", {"min_length": 20, "max_length": 30})
    assert rs.evaluate(found.net, task, seed=9, count=500)["correct"] > 0.99


def test_resumed_bit_for_bit(tmp_path):
    whole = guessed(12, out=tmp_path / "whole")
    guessed(5, out=tmp_path / "parts")
    parts = guessed(12, out=tmp_path / "parts", resume=True)
    assert parts.net.theta.tobytes() == whole.net.theta.tobytes() and parts.figures == whole.figures
    again = guessed(12, out=tmp_path / "parts", resume=True)
    assert again.figures == whole.figures


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_other_networks_are_guessed_by_their_forward_pass(cell):
    task = TASKS.build("latch", {"min_length": 3, "max_length": 5, "loss": "bernoulli"})
    net = rs.Recurrent(cell, 1, 1, hidden=3)
    found = rs.train(net, task, RULES.build("guess", {"candidates": 300}), steps=60, batch=50, until="solved")
    assert found.solved and 1 < found.figures["trials"] < 60 * 300
    assert rs.evaluate(net, task, count=500)["correct"] > 0.99


WRONG = {
    "weight_range=0.0: expected a number above 0": lambda: RULES.build("guess", {"weight_range": "0"}),
    "candidates=0: expected a value of at least 1": lambda: RULES.build("guess", {"candidates": 0}),
    "unknown option of rule 'guess' 'range'": lambda: RULES.build("guess", {"range": 3}),
    "rule guess: the sequences of this task continue in the next batch": lambda: rs.train(
        rs.Recurrent("rnn", 2, 2), TASKS.build("add"), "guess"
    ),
    "weight_noise=0.1: rule guess sets the weights by itself": lambda: rs.train(
        network(dtype="float32"), TASKS.build("parity"), "guess", SGD(0.1, weight_noise=0.1)
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_bad_options_are_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)
