"""The loop against a loop written out by hand; its ends: solved, NaN, Ctrl-C, limits; evaluation; the TOML writer; imports."""

import signal
import subprocess
import sys
import threading
import tomllib

import numpy as np
import pytest
from cases import SEQUENCE_RULES

import rnnsim as rs
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.interface import LearnResult, Rule
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.tasks.interface import Criterion, Task
from rnnsim.training import toml
from rnnsim.training.evaluate import evaluate
from rnnsim.training.loop import train
from rnnsim.training.window import Window


class RunningSum(Task):
    """The sum of what came so far, a third of it; `bad_step` puts infinity into the targets of that step."""

    n_inputs = n_outputs = 1
    tokens = False
    trivial_loss = None

    def __init__(
        self, length: int = 4, streams: bool = False, ragged: bool = False, per: str = "sequence", bad_step: int = -1
    ):
        self.length, self.streams, self.ragged, self.per, self.bad_step = length, streams, ragged, per, bad_step
        self.loss = Loss("squared_error", "every", per)
        self.criterion = Criterion(window=64, wrong=2, max_error=0.3)

    def _batch(self, rows):
        draws = [np.random.default_rng(row) for row in rows]
        inputs = np.stack([rng.normal(size=(self.length, 1)) for rng in draws], axis=1).astype(np.float32)
        lengths = np.array([rng.integers(1, self.length + 1) for rng in draws], np.int32) if self.ragged else None
        return Sequences(inputs, np.cumsum(inputs, axis=0) / 3, None, lengths)

    def training_batch(self, seed, step, size):
        batch = self._batch([(seed, 0, step * size + b) for b in range(size)])
        if step == self.bad_step:
            batch.targets[1, 0] = np.inf
        return batch

    def evaluation_batches(self, seed, size, count=None, split="test"):
        count = 50 if count is None else count
        for first in range(0, count, size):
            yield self._batch([(seed, 1, b) for b in range(first, min(first + size, count))])

    def error(self, outputs, batch):
        return np.abs(outputs - batch.targets).mean(axis=(0, 2))

    def correct(self, outputs, batch):
        return self.error(outputs, batch) < 0.2

    def metrics(self, outputs, batch):
        return {"accuracy": self.correct(outputs, batch).astype(float), "error": self.error(outputs, batch)}


def network(rng=0, **options):
    return rs.Recurrent("rnn", 1, 1, hidden=5, rng=rng, **options)


def by_hand(net, task, optimizer, steps, batch, seed):
    """The loop in its plainest form, for rules that update once a batch; (outputs, batch) of every step."""
    theta, state, carried, seen = net.theta.copy(), optimizer.init(net.theta), None, []
    for step in range(steps):
        part = task.training_batch(seed, step, batch)
        net.theta[...] = optimizer.perturbed(theta, seed, step, net.trainable)
        result = net.loss_and_gradient(part, task.loss, carried)
        carried = [np.array(array) for array in result.state] if task.streams else None
        seen.append((result.outputs.copy(), part))
        optimizer.step(theta, result.gradient.copy(), state, step, net.trainable)
    net.theta[...] = theta
    return seen


# -- what it computes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_the_loop_by_hand(name, noise, streams):
    task, ours, theirs = RunningSum(streams=streams), network(), network()
    optimizer = OPTIMIZERS.build(name, {"learning_rate": 0.01, "weight_noise": noise, "schedule": "exponential:0.9"})
    result = train(ours, task, optimizer=optimizer, steps=7, batch=3, rng=5)
    by_hand(theirs, task, optimizer, 7, 3, 5)
    assert np.array_equal(ours.theta, theirs.theta)
    assert not np.array_equal(ours.theta, network().theta)
    assert result.steps == 7 and result.sequences == 21 and result.net is ours


@pytest.mark.parametrize("rule", SEQUENCE_RULES)
def test_every_rule_learns_and_repeats(rule):
    task = RunningSum(length=6)
    made = RULES.build(rule, {"candidates": 50} if rule == "guess" else {})
    runs = [train(network(), task, rule=made, optimizer=rs.Adam(0.02), steps=60, batch=4) for _ in range(2)]
    assert np.array_equal(runs[0].net.theta, runs[1].net.theta)
    if made.sets_weights:  # guesses; tests/test_guessing.py has tasks that it solves
        assert not np.array_equal(runs[0].net.theta, network().theta)
        return
    before, after = (evaluate(net, task)["loss"] for net in (network(), runs[0].net))
    assert after < before / 2


def test_several_updates_a_batch_are_counted():
    """BPTT(2; 2) over four time steps updates twice a step; the schedule sees updates."""
    task, net, seen = RunningSum(length=4), network(), []
    optimizer = rs.SGD(0.01, weight_noise=0.01)

    class Counting(type(optimizer)):
        def step(self, theta, gradient, state, step, trainable=None):
            seen.append(step)
            super().step(theta, gradient, state, step, trainable)

    train(
        net,
        task,
        rule=RULES.build("tbptt", {"horizon": 2}),
        optimizer=Counting(0.01, weight_noise=0.01),
        steps=3,
        batch=2,
    )
    assert seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_connections_stay(name, noise):
    net = network()
    net.trainable = np.random.default_rng(3).random(net.n_parameters) < 0.5
    before = net.theta.copy()
    options = {"learning_rate": 0.01, "weight_decay": 0.1, "weight_noise": noise}
    train(net, RunningSum(), optimizer=OPTIMIZERS.build(name, options), steps=5, batch=4)
    assert np.array_equal(net.theta[~net.trainable], before[~net.trainable])
    assert (net.theta != before)[net.trainable].any()


@pytest.mark.parametrize("rng", [7, np.random.SeedSequence(7), np.random.default_rng(7)])
def test_seeds_of_all_kinds(rng):
    first = train(network(), RunningSum(), steps=2, batch=2, rng=rng).net.theta
    other = train(network(), RunningSum(), steps=2, batch=2, rng=8).net.theta
    assert not np.array_equal(first, other)


# -- criterion ---------------------------------------------------------------------------------------------------------


def test_solved_at_the_first_window_that_meets_the_criterion():
    task, net = RunningSum(), network()
    optimizer = rs.Adam(0.02)
    result = train(net, task, optimizer=optimizer, steps=400, batch=8, until="solved")
    seen = by_hand(network(), task, optimizer, result.steps, 8, 0)
    right = np.concatenate([task.correct(*pair) for pair in seen])
    wrong = np.concatenate([task.error(*pair) for pair in seen])
    ends = [
        end
        for end in range(8, right.size + 1, 8)
        if end >= 64 and (~right[end - 64 : end]).sum() <= 2 and wrong[end - 64 : end].mean() <= 0.3
    ]
    assert result.solved and not result.interrupted and result.steps < 400
    assert ends == [result.solved_at] == [result.sequences]
    on = train(network(), task, optimizer=optimizer, steps=result.steps + 5, batch=8)
    assert on.solved_at == result.solved_at and on.steps == result.steps + 5


def test_window_with_batches_of_any_size():
    rng = np.random.default_rng(0)
    window, right, errors = Window(10), np.zeros(0, bool), np.zeros(0)
    for size in (3, 4, 10, 1, 25, 2):
        right, errors = np.append(right, rng.random(size) < 0.5), np.append(errors, rng.random(size))
        window.add(right[-size:], errors[-size:])
        assert window.full == (right.size >= 10)
        assert window.share_correct() == pytest.approx(right[-10:].mean())
        assert window.mean_error() == pytest.approx(errors[-10:].mean())


def test_task_without_idea_of_right():
    task = RunningSum()
    task.criterion, task.correct, task.error = None, lambda *_: None, lambda *_: None
    result = train(network(), task, steps=2, batch=2)
    assert result.correct is None and result.error is None and not result.solved
    with pytest.raises(RnnsimError, match="no criterion"):
        train(network(), task, steps=2, until="solved")


# -- its ends ----------------------------------------------------------------------------------------------------------


def test_not_finite_gradient_stops_and_keeps_the_weights():
    net, other = network(), network()
    with pytest.raises(
        RnnsimError, match=r"step 4: the gradient of weight_ih_l0\[0, 0\] is -?(nan|inf); .*no checkpoint"
    ):
        train(net, RunningSum(bad_step=3), steps=10, batch=2)
    train(other, RunningSum(), steps=3, batch=2)
    assert np.array_equal(net.theta, other.theta)


def test_not_finite_weight_or_loss_stops():
    net = network()
    with pytest.raises(RnnsimError, match=r"step 1: weight_ih_l0\[0, 0\] is -?inf;"):
        train(net, RunningSum(), optimizer=rs.SGD(1e45), steps=10, batch=2)
    assert np.array_equal(net.theta, network().theta)

    class LossOnly(Rule):
        def learn(self, net, batch, loss, apply, state=None, memory=None):
            result = net.loss_and_gradient(batch, loss, state)
            apply(result.gradient)
            return LearnResult(float("inf"), result.outputs)

    with pytest.raises(RnnsimError, match="step 1: the loss is inf;"):
        train(net, RunningSum(), rule=LossOnly(), steps=10, batch=2)
    assert np.array_equal(net.theta, network().theta)


def test_callback_sees_every_step_and_stops():
    seen = []

    def callback(progress):
        seen.append((progress.step, progress.sequences, progress.report is not None))
        return progress.step == 5

    result = train(network(), RunningSum(), steps=10, batch=3, report_every=2, callback=callback)
    assert seen == [(1, 3, False), (2, 6, True), (3, 9, False), (4, 12, True), (5, 15, False)]
    assert result.steps == 5 and "callback" in result.message and not result.interrupted
    assert [report["step"] for report in result.history] == [2, 4]


def test_time_limit():
    result = train(network(), RunningSum(), steps=10**9, batch=2, time_limit=0.05)
    assert 0 < result.steps < 10**9 and "time limit" in result.message


def test_interrupt_ends_after_the_step():
    before = signal.getsignal(signal.SIGINT)
    once = lambda progress: signal.raise_signal(signal.SIGINT) if progress.step == 3 else None  # noqa: E731
    result = train(network(), RunningSum(), steps=10, batch=2, callback=once)
    assert result.interrupted and result.steps == 3 and signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_ends_at_once():
    def twice(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(network(), RunningSum(), steps=10, batch=2, callback=twice)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_suite_interrupts_where_interrupts_are_ignored():
    """As a script starts it in the background: this process ignores Ctrl-C, and its children would."""
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "interrupt_ends", "-p", "no:cacheprovider"]
    ignoring = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    done = subprocess.run(command, preexec_fn=ignoring, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_runs_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(train(network(), RunningSum(), steps=2, batch=2).steps))
    thread.start()
    thread.join()
    assert found == [2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "bppt"}, "did you mean 'bptt'"),
        ({"optimizer": "adan"}, "did you mean 'adam'"),
        ({"batch": 0}, "batch=0"),
        ({"steps": -1}, "steps=-1"),
        ({"report_every": -1}, "report_every=-1"),
        ({"time_limit": -0.5}, "time_limit=-0.5: expected a number of at least 0"),
        ({"until": "forever"}, "until=forever"),
        ({"rng": -1}, "rng=-1"),
        ({"rng": "a"}, "rng=a"),
        ({"resume": True}, "resume"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(RnnsimError, match=message):
        train(network(), RunningSum(), **{"steps": 1, **arguments})


def test_network_that_does_not_fit():
    with pytest.raises(RnnsimError, match="the network has 2 inputs, the task has 1"):
        train(rs.Recurrent("rnn", 2, 1, hidden=2), RunningSum())
    with pytest.raises(RnnsimError, match="the network reads tokens"):
        evaluate(rs.Recurrent("rnn", 1, 1, hidden=2, tokens=True), RunningSum())


def test_result_reads_well():
    result = train(network(), RunningSum(), steps=2, batch=2)
    assert "steps: 2" in repr(result) and "loss" in dir(result) and result["steps"] == 2
    with pytest.raises(AttributeError):
        _ = result.nothing


# -- evaluation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["sequence", "step"])
@pytest.mark.parametrize("ragged", [False, True])
def test_evaluation_does_not_depend_on_the_batch(per, ragged):
    task, net = RunningSum(length=5, ragged=ragged, per=per), network(dtype="float64")
    found = [evaluate(net, task, count=23, batch=batch) for batch in (1, 4, 23, 100)]
    whole = next(task.evaluation_batches(0, 23, 23))
    expected = net.evaluate(whole, task.loss)
    for result in found:
        assert result["loss"] == pytest.approx(expected.loss, rel=1e-12)
        assert result["correct"] == task.correct(expected.outputs, whole).mean() == result["metrics"]["accuracy"]
        assert result["sequences"] == 23 and result["unit"] == "squared"


def test_evaluation_carries_streams():
    task, net = RunningSum(streams=True), network(dtype="float64")
    first, second = task.evaluation_batches(0, 4, 8)
    one = net.evaluate(first, task.loss)
    losses = [one.loss, net.evaluate(second, task.loss, one.state).loss]
    assert evaluate(net, task, count=8, batch=4)["loss"] == pytest.approx(np.mean(losses), rel=1e-14)


def test_evaluation_of_nothing():
    with pytest.raises(RnnsimError, match="count=0"):
        evaluate(network(), RunningSum(), count=0)
    with pytest.raises(RnnsimError, match="seed=-1: expected a value of at least 0"):
        evaluate(network(), RunningSum(), seed=-1)


# -- TOML, imports -----------------------------------------------------------------------------------------------------


def test_toml_reads_back():
    table = {
        "text": 'a "b"\\\n\t\x01\x7f é 😀',
        "numbers": [1, -2, 1e-5, 1e22, 0.1, float("inf"), -float("inf")],
        "big": 2**62,
        "yes": True,
        "list": [[1, 2], ["a"], []],
        "tables": [{"a": 1}, {}],
        "one": {"two three": {"four": {}, "x": 1}, "y": False},
        "after": {"": 0, "é": 1},
    }
    assert tomllib.loads(toml.dumps(table)) == table == toml.loads(toml.dumps(table))
    back = toml.loads(toml.dumps({"a": np.float32(0.5), "b": np.int64(3), "c": np.arange(2), "d": None, "e": (1, 2)}))
    assert back == {"a": 0.5, "b": 3, "c": [0, 1], "d": "none", "e": [1, 2]}
    assert toml.dumps({}) == ""


@pytest.mark.parametrize("value", [{"a": object()}, {"a": "\ud800"}, {1: 2}])
def test_toml_refuses(value):
    with pytest.raises(RnnsimError):
        toml.dumps(value)


def test_toml_names_the_line():
    with pytest.raises(RnnsimError, match="my file: .*line 2"):
        toml.loads("a = 1\nb = \n", "my file")


def test_import_is_lazy():
    code = "import sys, rnnsim; assert not {'numpy', 'numba', 'scipy'} & set(sys.modules); dir(rnnsim)"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in dir(rs):
        assert getattr(rs, name) is not None
    with pytest.raises(AttributeError):
        _ = rs.nothing
