"""Rules side by side: what is exact is found exact, the rule that trains is the one that is named, and bad input is one line."""

import json

import numpy as np
import pytest
from cases import distance

import rnnsim as rs
from rnnsim.core import threads
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.comparison import alignment
from rnnsim.plotting.alignment import running_mean
from rnnsim_cli.main import main


def setup(cell="rnn", hidden=5, task=None, **options):
    task = task or rs.tasks.XOR(delay=2, length=12)
    return rs.Recurrent(cell, task.n_inputs, task.n_outputs, hidden=hidden, dtype="float64", rng=2, **options), task


def written_down(net, task, name, steps, optimizer):
    """The cell's gradients of a rule and of BPTT at every step of a training with BPTT, by the plainest loop."""
    found, state = [], optimizer.init(net.theta)
    for step in range(steps):
        batch = task.training_batch(3, step, 4)
        pair = []
        for rule in (RULES.build(*name), RULES.build("bptt")):
            total = np.zeros_like(net.theta)
            rule.learn(net, batch, Loss(task.loss.kind, task.loss.when, "sequence"), total.__iadd__)
            pair.append(total[: net.n_recurrent_parameters].copy())
        found.append(pair)
        exact = net.loss_and_gradient(batch, task.loss).gradient.copy()
        optimizer.step(net.theta, exact, state, step)
    return found


def test_alignment_is_that_of_gradients_written_down():
    (ours, task), (theirs, _) = setup(), setup()
    found = rs.compare(ours, task, ["bptt", "tbptt:horizon=2"], "bptt", rs.SGD(0.5), steps=6, batch=4, rng=3)
    pairs = written_down(theirs, task, ("tbptt", {"horizon": 2}), 6, rs.SGD(0.5))
    expected = np.array([alignment(g, exact) for g, exact in pairs])
    rule = found.rules["tbptt:horizon=2"]
    assert distance(rule["cosine"], expected[:, 0]) <= 1e-9 and distance(rule["ratio"], expected[:, 1]) <= 1e-9
    sums = [sum(pair[k] for pair in pairs) for k in (0, 1)]
    assert rule["of_sums"] == pytest.approx(alignment(*sums)[0], rel=1e-9)
    assert distance(ours.theta, theirs.theta) <= 1e-11
    for exact in ("rtrl", "bptt"):
        assert np.allclose(found.rules[exact]["cosine"], 1) and np.allclose(found.rules[exact]["ratio"], 1)
    assert list(found.rules) == ["rtrl", "bptt", "tbptt:horizon=2"] and found.loss.size == 6


def test_the_named_rule_trains_and_the_others_do_not():
    trained = {}
    for label in ("rtrl", "tbptt:horizon=2"):
        for others in ([], ["bptt"]):
            net, task = setup()
            rs.compare(net, task, others, label, rs.SGD(0.5), steps=4, batch=2, rng=1)
            trained.setdefault(label, []).append(net.theta)
    assert all(np.array_equal(*both) for both in trained.values())
    assert not np.array_equal(trained["rtrl"][0], trained["tbptt:horizon=2"][0])


@pytest.mark.parametrize("every", (1, 5))
def test_updates_inside_a_sequence_are_those_of_the_rule(every):
    """Windows of `every` time steps are what a training with this option does; time steps without a target are skipped."""
    (ours, task), (theirs, _) = setup(), setup()
    found = rs.compare(ours, task, ["rtrl"], optimizer=rs.SGD(0.1), steps=2, every=every, rng=4)
    assert np.allclose(found.rules["rtrl"]["cosine"], 1)
    losses = []
    for step in range(2):
        rule, batch = RULES.build("rtrl", {"every": every}), task.training_batch(4, step, 1)

        def apply(gradient):
            theirs.theta[...] -= 0.1 * gradient

        losses.append(rule.learn(theirs, batch, task.loss, apply).loss)
    assert distance(ours.theta, theirs.theta) <= 1e-12
    if every == 1:
        assert found.loss.mean() == pytest.approx(np.mean(losses), rel=1e-9)


def test_by_default_every_rule_that_serves_is_compared():
    net, task = setup("gru")
    found = rs.compare(net, task, steps=2)
    assert {*found.rules} | {*found.skipped} == {name for name in RULES if name not in ("bptt", "tbptt")}
    assert [row["rule"] for row in found.table()] == list(found.rules)
    assert rs.compare(net, task, steps=9, callback=lambda done: done == 2).steps == 2


def test_a_wide_rule_is_exact_and_has_the_same_bits_on_every_number_of_threads():
    """So many parameters that the influence is taken forward by all threads."""
    rng, found = np.random.default_rng(0), []
    batch = Sequences(rng.normal(size=(6, 3, 2)), rng.normal(size=(6, 3, 2)))
    before, loss = threads.get_threads(), Loss("squared_error")
    try:
        for count in sorted({1, before}):
            threads.set_threads(count)
            net = rs.Recurrent("lstm", 2, 2, hidden=24, dtype="float64", rng=1)
            total = np.zeros_like(net.theta)
            RULES.build("rtrl").learn(net, batch, loss, total.__iadd__)
            found.append(total)
    finally:
        threads.set_threads(before)
    assert all(array.tobytes() == found[0].tobytes() for array in found)
    assert distance(found[0], net.loss_and_gradient(batch, loss).gradient) <= 1e-12


def adding():
    return rs.tasks.Adding(length=10)


def sine():
    return setup(task=rs.tasks.Sine(), readout="units")


def test_rules_that_force_are_compared_with_forced_rtrl():
    found = rs.compare(*sine(), ["rtrl:force=true"], steps=2)
    assert np.array_equal(found.rules["rtrl"]["ratio"], found.rules["rtrl:force=true"]["ratio"])


WRONG = {
    "unknown rule 'rtrll'; did you mean 'rtrl'?": lambda: rs.compare(*setup(), ["rtrll"]),
    "rule 'tbptt:horizon': expected NAME:OPTION=VALUE": lambda: rs.compare(*setup(), ["tbptt:horizon"]),
    "unknown option of rule 'tbptt' 'h'": lambda: rs.compare(*setup(), ["tbptt:h=3"]),
    "rule bptt: looks back over a batch; compare it with every=0": lambda: rs.compare(*setup(), ["bptt"], every=1),
    "the loss of this task stands at the end": lambda: rs.compare(*setup(task=adding()), every=1),
    "layers=2: online rules serve one layer": lambda: rs.compare(*setup(layers=2)),
    "steps=0: expected a value of at least 1": lambda: rs.compare(*setup(), steps=0),
    "force: compare rules that all force or all do not": lambda: rs.compare(*sine(), ["rtrl:force=true", "bptt"]),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_comparisons_are_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_running_means():
    values = np.random.default_rng(0).normal(size=40)
    values[7:12] = np.nan
    places, means = running_mean(values, 5)
    expected = [np.nanmean(values[end - 5 : end]) if end != 12 else np.nan for end in places]
    assert np.allclose(means, expected, equal_nan=True)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["compare", *arguments], prog_name="rnnsim")
        out, error = capsys.readouterr()
        return end.value.code, out, error

    flags = ("xor", "--rules", "bptt,tbptt:horizon=2", "--steps", "20", "-o", "hidden=4", "--dtype", "float64")
    code, out, error = call(*flags)
    assert code == 0 and not error and "tbptt:horizon=2" in out and "of sums" in out
    code, out, _ = call(*flags, "--json", "--out", "kept")
    data = json.loads(out)
    assert code == 0 and data["updates"] == 20 and data["rules"][1]["cosine"] == pytest.approx(1)
    assert (tmp_path / "kept" / "alignment.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "kept" / "comparison.json").read_text())["rules"] == data["rules"]
    with np.load(tmp_path / "kept" / "comparison.npz") as arrays:
        assert arrays["tbptt:horizon=2.cosine"].shape == (20,)
    for wrong, message in {
        ("nothing",): "unknown task 'nothing'",
        ("xor", "--rules", "uoroo"): "unknown rule 'uoroo'",
        ("xor", "--rules", ","): "expected names separated by commas",
        ("xor", "--network", "ntm"): "is no cell with a readout",
    }.items():
        code, _, error = call(*wrong)
        assert code == 2 and message in error and len(error.splitlines()) == 1
