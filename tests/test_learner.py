"""Learners that take one item at a time, and teacher forcing: against twins, the engine and themselves in other pieces."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import pytest
from cases import differences, distance

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.networks import build
from rnnsim_cli.main import main

I, K, H, T, S = 2, 2, 4, 9, 3
EVERY = Loss("squared_error", per="sequence")


def network(cell="rnn", seed=1, **options):
    return rs.Recurrent(cell, I, K, **{"hidden": H, "dtype": "float64", "rng": seed, **options})


def items(steps=T, streams=S, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(steps, streams, I)), rng.uniform(-0.5, 0.5, (steps, streams, K))


# -- teacher forcing ---------------------------------------------------------------------------------------------------

FORCED = [(cell, {}) for cell in CELLS if cell in ("rnn", "lstm", "gru")]
FORCED += [("rnn", dict(input_delay=True, activation="logistic", leak=0.7)), ("gru", dict(reset="before"))]


def forced_loss(net, inputs, targets, weights):
    """The loss of the twin, unrolled time step by time step, with its first units set to their targets in between."""
    views, state, total = net.layout.views(net.theta), None, 0.0
    delayed = net.config["options"].get("input_delay", False)
    for x, d, w in zip(inputs, targets, weights):
        counted = w > 0
        if delayed and state is None:
            state = [np.zeros((1, S, H))]
        if delayed:
            y = state[0][0, :, :K].copy()
            state[0][0, counted, :K] = d[counted]
        outputs, _, state, _ = naive.network(net.config, views, x[None], None, state)
        state = [np.array(part) for part in state]
        if not delayed:
            y = outputs[0]
            state[0][0, counted, :K] = d[counted]
        total += (w[:, None] * (y - d) ** 2).sum()
    return total / S


@pytest.mark.parametrize("case", FORCED, ids=str)
def test_forced_gradient_takes_forced_units_as_constants(case):
    """Teacher-forced RTRL is the gradient of the network whose outputs are constants at every time step that counts."""
    cell, options = case
    net = network(cell, readout="units", **options)
    inputs, targets = items()
    weights = np.random.default_rng(4).choice([0.0, 0.5, 1.0], (T, S))
    gradients = []
    rule = RULES.build("rtrl", {"force": "true"})
    found = rule.learn(net, Sequences(inputs, targets, weights), EVERY, lambda g: gradients.append(g.copy()))
    assert found.loss == pytest.approx(forced_loss(net, inputs, targets, weights), rel=1e-12)
    expected = differences(lambda: forced_loss(net, inputs, targets, weights), net.theta)
    assert distance(gradients[0], expected) <= 1e-8
    free = []
    RULES.build("rtrl").learn(net, Sequences(inputs, targets, weights), EVERY, lambda g: free.append(g.copy()))
    assert distance(gradients[0], free[0]) > 1e-3


def test_forcing_every_time_step_adds_up_over_updates():
    net = network(readout="units")
    inputs, targets = items()
    parts = []
    for every in (0, 1, 4):
        gradients, rule = [], RULES.build("rtrl", {"force": True, "every": every})
        rule.learn(net, Sequences(inputs, targets), EVERY, lambda g, kept=gradients: kept.append(g.copy()))
        assert len(gradients) == (1 if not every else -(-T // every))
        parts.append(sum(gradients))
    assert distance(parts[1], parts[0]) <= 1e-13 and distance(parts[2], parts[0]) <= 1e-13


def force(net, loss=EVERY, targets=None):
    inputs, given = items()
    targets = given if targets is None else targets
    return RULES.build("rtrl", {"force": True}).learn(net, Sequences(inputs, targets), loss, lambda g: None)


def cut(**options):
    table = np.ones((H, I + H), int)
    table[:, :I] = -1
    return network(connections=table, **options)


HOLE = items()[1].copy()
HOLE[2, 1, 0] = np.nan
WRONG = {
    "force=True: teacher forcing sets units to their targets and needs readout=units": lambda: force(network()),
    "force=True: units have no targets under a bernoulli loss": lambda: force(
        network(readout="units"), Loss("bernoulli")
    ),
    "teacher forcing needs a target at every time step, and this task has one at the end": lambda: force(
        network(readout="units"), Loss("squared_error", when="last"), items()[1][0]
    ),
    "force=True: time step 2 of sequence 1 has no full target": lambda: force(network(readout="units"), targets=HOLE),
    "cut every path from an input to an output": lambda: RULES.build("rtrl").check(cut(), None),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_learned_is_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_oscillator_needs_no_path_from_the_input():
    RULES.build("rtrl", {"force": True}).check(cut(readout="units"), None)


# -- learners ----------------------------------------------------------------------------------------------------------

OPTIMIZERS = {"sgd": rs.SGD(0.1), "clipped": rs.SGD(0.1, clip_norm=0.1), "adam": None}
ONLINE = [name for name in RULES if issubclass(RULES.load(name), OnlineRule)]


def served(rule, cell):
    """A cell that the rule serves: `cell`, unless it was made for others."""
    return (RULES.load(rule).cells or (cell,))[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("every", (1, 3))
def test_steps_are_the_rule_on_a_batch(optimizer, every):
    """Item by item, the learner does what the rule does on a batch with an update every so many time steps."""
    inputs, targets = items(12)
    ours, theirs = network("gru"), network("gru")
    chosen = OPTIMIZERS[optimizer] or rs.Adam(1e-3, clip_norm=1.0)
    learner = rs.online(ours, RULES.build("rtrl", {"every": every}), chosen, streams=S)
    outputs = np.array([learner.step(x, d).copy() for x, d in zip(inputs, targets)])
    state, count = chosen.init(theirs.theta), iter(range(99))
    found = RULES.build("rtrl", {"every": every}).learn(
        theirs,
        Sequences(inputs, targets),
        Loss("squared_error"),
        lambda g: chosen.step(theirs.theta, g, state, next(count)),
    )
    assert distance(outputs, found.outputs) <= 1e-12 and distance(ours.theta, theirs.theta) <= 1e-12
    assert learner.items == 12 and learner.updates == 12 // every


@pytest.mark.parametrize("rule", ONLINE)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_run_is_step_after_step(optimizer, rule):
    for options in (dict(), dict(streams=S), dict(streams=S, own=True)):
        streams = options.get("streams", 1)
        inputs, targets = items(streams=streams)
        by_step, at_once = (
            rs.online(network(served(rule, "lstm"), dtype="float32"), rule, OPTIMIZERS[optimizer], rng=5, **options)
            for _ in range(2)
        )
        outputs = np.array([by_step.step(x, d).copy() for x, d in zip(inputs, targets)])
        assert np.array_equal(at_once.run(inputs, targets), outputs)
        assert by_step.theta.tobytes() == at_once.theta.tobytes()
        assert by_step.state.tobytes() == at_once.state.tobytes()
        assert at_once.loss == pytest.approx(by_step.loss, rel=1e-6)
        assert (by_step.items, by_step.updates) == (at_once.items, at_once.updates) == (T, T)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_own_learners_are_learners_on_their_own(optimizer):
    inputs, targets = items()
    together = rs.online(network(), "rtrl", OPTIMIZERS[optimizer], streams=S, own=True)
    together.run(inputs, targets)
    for s in range(S):
        alone = rs.online(network(), "rtrl", OPTIMIZERS[optimizer])
        alone.run(inputs[:, s], targets[:, s])
        assert np.array_equal(alone.theta[0], together.theta[s])
    assert not np.array_equal(together.theta[0], together.theta[1])


@pytest.mark.parametrize("rule", ONLINE)
@pytest.mark.parametrize("own", (False, True))
def test_a_saved_learner_goes_on_bit_for_bit(tmp_path, rule, own):
    inputs, targets = items(20, 2)
    for optimizer in OPTIMIZERS.values():
        for every in (1, 3):
            built = RULES.build(rule, {"every": every})
            learner = rs.online(network(served(rule, "gru")), built, optimizer, streams=2, own=own, rng=3)
            learner.run(inputs[:10], targets[:10])
            learner.save(tmp_path / "learner.safetensors")
            expected = learner.run(inputs[10:], targets[10:])
            again = rs.learner_from(tmp_path / "learner.safetensors")
            assert np.array_equal(again.run(inputs[10:], targets[10:]), expected)
            assert again.theta.tobytes() == learner.theta.tobytes()
            assert (again.items, again.updates, again.loss) == (learner.items, learner.updates, learner.loss)
    if not own:
        assert rs.load_weights(tmp_path / "learner.safetensors").n_parameters == learner.net.n_parameters


def test_without_a_target_it_only_predicts():
    net = network("lstm")
    learner, inputs, before = rs.online(net, streams=S), items()[0], net.theta.copy()
    outputs = np.array([learner.step(x).copy() for x in inputs])
    assert distance(outputs, net.forward(inputs).outputs) <= 1e-13
    assert np.array_equal(net.theta, before) and learner.updates == 0
    learner.reset()
    assert np.array_equal(learner.step(inputs[0]), outputs[0])


def test_classes_tokens_and_lists():
    net = rs.Recurrent("gru", 3, 4, hidden=H, tokens=True, rng=1)
    learner = rs.online(net, loss="softmax")
    assert learner.step(2, 1).shape == (4,) and learner.loss == pytest.approx(np.log(4), rel=0.3)
    one = learner.net.theta.copy()
    other = rs.online(rs.Recurrent("gru", 3, 4, hidden=H, tokens=True, rng=1), loss="softmax")
    other.step(np.array([2]), [0, 1, 0, 0])
    assert np.array_equal(one, other.net.theta)
    vectors = rs.online(network())
    assert vectors.step([0.5, 1], [0, 1]).shape == (K,) and vectors.step([[0.5, 1]]).shape == (1, K)


def test_forced_learners_go_on_from_their_targets():
    net = network(readout="units")
    learner = rs.online(net, RULES.build("rtrl", {"force": True}), rs.SGD(0.1))
    learner.step([1.0, 0.0], [0.25, -0.5])
    assert learner.state[0, 0, :K].tolist() == [0.25, -0.5]
    learner.step([1.0, 0.0])
    assert learner.state[0, 0, :K].tolist() != [0.25, -0.5]


def test_wrong_items_leave_the_learner_as_it_was():
    learner = rs.online(network(), optimizer=rs.SGD(0.1))
    learner.run(*(array[:, 0] for array in items()))

    def kept():
        parts = learner.parts()
        arrays, numbers = parts["optimizer"], parts["numbers"]
        return [array.tobytes() for array in arrays.values()], numbers

    before = kept()
    wrong = {
        "x: expected finite numbers": ([np.nan, 1], [1, 1]),
        "target: expected finite numbers": ([1, 1], [1, np.inf]),
        "x: expected shape (2,), got (3,)": ([1, 1, 1], [1, 1]),
        "target: expected shape (2,), got ()": ([1, 1], 1),
        "x: expected numbers, got <U2": ("ab", None),
    }
    for message, given in wrong.items():
        with pytest.raises(RnnsimError) as error:
            learner.step(*given)
        assert message in str(error.value)
        assert kept() == before


def test_wrong_learners_are_one_clear_line(tmp_path):
    rs.online(network()).save(tmp_path / "good")
    rs.training.save_weights(network(), tmp_path / "weights")
    (tmp_path / "cut").write_bytes((tmp_path / "good").read_bytes()[:-9])
    wrong = {
        "looks back over a batch": lambda: rs.online(network(), "bptt"),
        "weight_noise=0.1: a learner adds no": lambda: rs.online(network(), optimizer=rs.SGD(0.1, weight_noise=0.1)),
        "streams=0: expected a value of at least 1": lambda: rs.online(network(), streams=0),
        "unknown loss 'square'": lambda: rs.online(network(), loss="square"),
        "rng=-1": lambda: rs.online(network(), rng=-1),
        "holds weights, but no learner": lambda: rs.learner_from(tmp_path / "weights"),
        "is damaged": lambda: rs.learner_from(tmp_path / "cut"),
        "cannot read": lambda: rs.learner_from(tmp_path / "nothing"),
        "the learner has diverged": lambda: rs.online(network(activation="identity"), optimizer=rs.SGD(1e9)).run(
            *(array[:, 0] for array in items(200))
        ),
    }
    for message, call in wrong.items():
        with pytest.raises(RnnsimError) as error, np.errstate(all="ignore"):
            call()
        assert message in str(error.value) and "\n" not in str(error.value)


# -- rnnsim stream -----------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(capsys, monkeypatch, tmp_path):
    """Runs the command on lines of text: (exit code, lines out, the line of the error)."""
    monkeypatch.chdir(tmp_path)

    def call(text, *arguments):
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["stream", *arguments], prog_name="rnnsim")
        out, error = capsys.readouterr()
        return end.value.code, out.splitlines(), error.strip()

    return call


GRU = ("--network", "gru", "-o", "hidden=4", "--seed", "7", "--dtype", "float64")


def lines_of(count, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(count, 3)).round(3)
    csv = "".join(f"{a},{b},{d}\n" for a, b, d in numbers.tolist())
    return numbers, csv, "".join(json.dumps({"input": [a, b], "target": d}) + "\n" for a, b, d in numbers.tolist())


def test_stream_answers_as_a_learner_does(stream):
    numbers, csv, dicts = lines_of(20)
    learner = rs.online(build("gru", 2, 1, {"hidden": 4}, "float64", seed=7), rng=7)
    expected = [float(learner.step(row[:2], row[2:])[0]) for row in numbers]
    assert stream(csv, *GRU, "--inputs", "2") == (0, [f"{y:.17g}" for y in expected], "")
    assert stream(csv, *GRU, "--outputs", "1")[1] == [f"{y:.17g}" for y in expected]
    semicolons = "".join(";".join(line.rsplit(",", 1)) + "\n" for line in csv.splitlines())
    assert stream(semicolons, *GRU)[1] == [f"{y:.17g}" for y in expected]
    code, out, _ = stream("\n" + dicts, *GRU)
    assert code == 0 and [json.loads(line)["output"][0] for line in out] == expected
    assert json.loads(out[-1])["loss"] == pytest.approx(learner.loss)


def test_stream_goes_on_from_a_file(stream):
    _, csv, _ = lines_of(20)
    lines = csv.splitlines(keepends=True)
    whole = stream(csv, *GRU, "--inputs", "2")[1]
    first = stream("".join(lines[:8]), *GRU, "--inputs", "2", "--save", "kept")[1]
    second = stream("".join(lines[8:]), "--resume", "kept", "--save", "kept")[1]
    assert first + second == whole
    assert rs.learner_from("kept").items == 20


def test_a_bad_line_is_named_and_was_not_learned(stream):
    _, csv, _ = lines_of(5)
    for bad, reason in {
        "1,x,3": "expected a number, got 'x'",
        "1": "expected 2 inputs, got 1",
        "1,2,3,4": "target: expected shape (1,), got (2,)",
        "nan,1,2": "x: expected finite numbers",
        "1e999,1,2": "x: expected finite numbers",
    }.items():
        code, out, error = stream(csv + bad + "\n" + csv, *GRU, "--inputs", "2", "--save", "kept")
        assert code == 2 and len(out) == 5 and error == f"rnnsim: line 6: {reason}"
        rest = stream(csv, "--resume", "kept")[1]
        assert rest == stream(csv + csv, *GRU, "--inputs", "2")[1][5:]
    _, _, dicts = lines_of(5)
    for bad in (
        '{"input": [1, 2',
        '{"target": 3}',
        '{"input": [1, "a"]}',
        '{"input": [1, 2], "tarjet": 3}',
        "[1, 2]",
        "é",
    ):
        code, out, error = stream(dicts + bad, *GRU)
        assert code == 2 and len(out) == 5 and error.startswith("rnnsim: line 6: ") and "\n" not in error
    assert stream(b"\xff\xfe,1\n", *GRU, "--inputs", "1")[2] == "rnnsim: line 1: expected text in UTF-8"


def test_classes_in_a_stream(stream):
    flags = ("--network", "rnn", "--loss", "softmax", "--outputs", "3")
    code, out, _ = stream("0.5;2\n0.5;1\n0.1\n", *flags)
    assert code == 0 and [len(line.split(",")) for line in out] == [3, 3, 3]
    assert stream("0.5;2\n0.5;3\n", *flags)[2] == "rnnsim: line 2: target: 3 is outside 0..2"
    assert stream("0.5;2\n0.5;0.5\n", *flags)[2] == "rnnsim: line 2: expected the number of a class, got 0.5"


def test_wrong_flags_of_a_stream(stream):
    stream("1;1\n", *GRU, "--save", "kept")
    wrong = {
        ("--network", "gruu"): "unknown network 'gruu'; did you mean 'gru'?",
        (): "name a network with --network, or a learner with --resume",
        ("--resume", "kept", "--network", "gru"): "--network cannot be given too",
        ("--resume", "nothing"): "cannot read nothing",
        ("--network", "rnn", "--rule", "bptt"): "looks back over a batch",
        ("--network", "rnn", "-o", "layers=2"): "layers=2: online rules serve one layer",
        ("--network", "rnn", "-o", "force=true"): "needs readout=units",
        ("--network", "rnn", "--loss", "square"): "unknown loss 'square'",
        (*GRU, "--save", "no/where"): "cannot write no/where",
    }
    for flags, message in wrong.items():
        code, _, error = stream("1;1\n", *flags)
        assert code == 2 and message in error and not error.startswith("rnnsim: line") and "\n" not in error


def test_predictions_come_before_the_next_line():
    code = "import conftest, sys; from rnnsim_cli.main import main; main(sys.argv[1:], prog_name='rnnsim')"
    paths = os.pathsep.join(
        [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    command = [sys.executable, "-c", code, "stream", "--network", "rnn", "--inputs", "1"]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, **pipes) as process:
        for _ in range(3):
            process.stdin.write("0.5,0.25\n")
            process.stdin.flush()
            assert float(process.stdout.readline()) == pytest.approx(0, abs=2)
        process.stdin.close()
        assert process.wait(60) == 0


def test_the_training_loop_forces_and_the_evaluation_runs_freely():
    """An oscillator: what W & Z 1989 needed teacher forcing for."""
    task = rs.tasks.Sine()
    losses = {}
    for forced in (False, True):
        net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, readout="units", rng=0)
        rs.train(net, task, RULES.build("rtrl", {"force": forced}), rs.Adam(0.01, clip_norm=1), steps=300, batch=4)
        losses[forced] = rs.evaluate(net, task, count=20)["loss"]
    assert losses[True] < 0.05 < 0.3 < losses[False]
