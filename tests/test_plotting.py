"""Pictures: drawn for every task and network, their contents read back from the axes, bad input refused."""

import numpy as np
import pytest
from matplotlib.image import imread

import rnnsim as rs
from rnnsim import plotting
from rnnsim.core.batch import Sequences
from rnnsim.errors import RnnsimError
from rnnsim.networks import build
from rnnsim.plotting import canvas, episodes, sequences
from rnnsim.plotting.locations import locations_in_use
from rnnsim.tasks import TASKS
from rnnsim.training.evaluate import generalisation, trained_range

# Tasks over sequences whose data are here.
ELSEWHERE = ("mnist-rows", "mnist-pixels", "fashion-rows", "imdb", "sentiment-words", "arrays")
HERE = [name for name in TASKS if name not in ELSEWHERE and TASKS.load(name).makes is Sequences]


def network(task, name="lstm", **options):
    return build(name, task.n_inputs, task.n_outputs, {"hidden": 4, **options}, tokens=task.tokens)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in their order."""
    figures, save = [], canvas.save

    def keep(made, path):
        figures.append(made)
        return save(made, path)

    monkeypatch.setattr(canvas, "save", keep)
    return figures


def ntm(task, **options):
    return network(task, "ntm", **{"memory": (8, 3), **options})


def seeded(task, seed):
    return rs.NTM(task.n_inputs, task.n_outputs, hidden=4, memory=(8, 3), rng=seed)


def is_picture(path):
    pixels = imread(path)[..., :3]
    return pixels.shape[0] > 200 and pixels.std() > 0.02


@pytest.mark.parametrize("name", HERE)
def test_example_and_gates_of_every_task(name, tmp_path):
    task = TASKS.build(name)
    net = network(task)
    assert is_picture(plotting.example(net, task, tmp_path / "example.png", title=name))
    assert is_picture(plotting.gates(net, task, tmp_path / "gates.png"))


def images(axis):
    return np.ma.filled(axis.images[0].get_array(), np.nan).T


def test_example_shows_input_output_target(drawn, tmp_path):
    task = rs.tasks.Copy()
    net, batch = network(task), task.example(3)
    plotting.example(net, task, tmp_path / "e.png", batch)
    axes = drawn[0].axes
    np.testing.assert_array_equal(images(axes[0]), batch.inputs[:, 0])
    outputs = task.loss.predictions(net.forward(batch.inputs).outputs)[:, 0]
    np.testing.assert_allclose(images(axes[1]), outputs, atol=1e-6)
    counted = batch.counted()[:, 0] > 0
    np.testing.assert_array_equal(images(axes[2])[counted], batch.targets[counted, 0])
    assert np.isnan(images(axes[2])[~counted]).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_example_with_a_target_at_the_end(bidirectional, drawn, tmp_path):
    task = rs.tasks.Digits()
    net, batch = network(task, bidirectional=bidirectional), task.example()
    plotting.example(net, task, tmp_path / "e.svg", batch)
    outputs, targets = (images(axis) for axis in drawn[0].axes[1:3])
    shares = task.loss.predictions(net.evaluate(batch, task.loss).outputs)[0]
    np.testing.assert_allclose(outputs[-1], shares, atol=1e-6)
    assert np.isnan(outputs[:-1]).all() == bidirectional
    assert np.isnan(targets[:-1]).all() and targets[-1].argmax() == batch.targets[0] and targets[-1].sum() == 1


def test_ragged_example_ends_with_its_sequence(drawn, tmp_path):
    task = rs.tasks.Adding(length=40)
    net, batch = network(task), task.example(1)
    longer = rs.tasks.Sequences(np.concatenate([batch.inputs, batch.inputs]), batch.targets, lengths=batch.lengths)
    plotting.example(net, task, tmp_path / "e.png", longer)
    line = drawn[0].axes[1].lines[0]
    assert len(line.get_xdata()) == batch.lengths[0]
    final = net.evaluate(batch, task.loss).outputs[0, 0]
    np.testing.assert_allclose(line.get_ydata()[-1], final, atol=1e-6)


def test_gates_show_the_traces(drawn, tmp_path):
    task = rs.tasks.Copy()
    net, batch = network(task, "gru", layers=2), task.example()
    plotting.gates(net, task, tmp_path / "g.pdf", batch, record=("z_l1", "h"))
    shown = {axis.get_ylabel(): axis for axis in drawn[0].axes if axis.images}
    assert {"z_l1", "h_l0", "h_l1"} <= set(shown)
    records = net.forward(batch.inputs, record=("z_l1",)).records
    np.testing.assert_allclose(images(shown["z_l1"]), records["z_l1"][:, 0], atol=1e-6)


def test_deep_networks_fit_on_a_page(drawn, tmp_path):
    task = rs.tasks.Copy()
    plotting.gates(network(task, layers=5, bidirectional=True), task, tmp_path / "g.png")
    assert sum(1 for axis in drawn[0].axes if axis.get_ylabel()) <= 1 + sequences._PANELS


def test_learning_curve(drawn, tmp_path):
    evaluation = {"loss": 0.4, "split": "test", "metrics": {"accuracy": 0.7}}
    history = [
        {"step": 10, "loss": 2.0, "correct": 0.2, "error": None},
        {"step": 20, "loss": 0.5, "correct": 0.6, "error": None, "evaluation": evaluation},
        {"step": 25, "evaluation": evaluation},
    ]
    path = plotting.learning_curve(history, tmp_path / "c.png", trivial_loss=2.3, unit="nats")
    assert is_picture(path)
    above, below = drawn[0].axes
    np.testing.assert_array_equal(above.lines[0].get_xydata(), [(10, 2.0), (20, 0.5)])
    np.testing.assert_array_equal(above.lines[1].get_xydata(), [(20, 0.4), (25, 0.4)])
    assert above.lines[2].get_ydata()[0] == 2.3 and "nats" in above.get_ylabel()
    assert [line.get_label() for line in below.lines] == ["share of right sequences, training", "accuracy, test"]


def test_learning_curve_over_sequences(drawn, tmp_path):
    history = [{"step": 10, "sequences": 160, "loss": 2.0}, {"step": 20, "sequences": 320, "loss": 1.0}]
    plotting.learning_curve(history, tmp_path / "c.png", over="sequences")
    assert drawn[0].axes[0].lines[0].get_xdata().tolist() == [160, 320]
    assert drawn[0].axes[0].get_xlabel() == "training sequences"
    with pytest.raises(RnnsimError, match="over=ticks: expected one of step, sequences"):
        plotting.learning_curve(history, tmp_path / "c.png", over="ticks")


def test_several_runs_in_one_curve(drawn, tmp_path):
    first = [{"step": k, "sequences": 4 * k, "loss": 9.0 / k} for k in range(1, 6)]
    evaluation = {"loss": 0.4, "split": "test", "metrics": {}}
    second = [{**line, "loss": 0.1, "evaluation": evaluation} for line in first]
    path = plotting.compared_curves({"a": first, "b": second, "none": []}, tmp_path / "c.png", 9.0, "bits per sequence")
    assert is_picture(path)
    (axis,) = drawn[0].axes
    assert [line.get_label() for line in axis.lines] == ["a", "b", "b, test", "chance level"]
    np.testing.assert_array_equal(axis.lines[0].get_xydata(), [(4 * k, 9.0 / k) for k in range(1, 6)])
    assert axis.lines[2].get_ydata().tolist() == [0.4] * 5 and axis.get_ylabel() == "loss (bits per sequence)"
    assert axis.get_yscale() == "log"
    with pytest.raises(RnnsimError, match="no run has a report yet"):
        plotting.compared_curves({"a": []}, tmp_path / "none.png")


def test_negative_losses_and_single_reports(tmp_path):
    assert is_picture(plotting.learning_curve([{"step": 1, "loss": -3.0}], tmp_path / "c.png"))


def test_refused(tmp_path):
    task = rs.tasks.Copy()
    net = network(task)
    with pytest.raises(RnnsimError, match="no report yet"):
        plotting.learning_curve([], tmp_path / "c.png")
    with pytest.raises(RnnsimError, match="expected a picture that ends in .png"):
        plotting.example(net, task, tmp_path / "e.bmp")
    with pytest.raises(RnnsimError, match="unknown trace 'zz'"):
        plotting.gates(net, task, tmp_path / "g.png", record=("zz",))
    with pytest.raises(RnnsimError, match="expected one sequence to plot, got 2"):
        plotting.example(net, task, tmp_path / "e.png", task.training_batch(0, 0, 2))
    with pytest.raises(RnnsimError, match="cannot write"):
        plotting.example(net, task, tmp_path / "none" / "e.png")
    assert not list(tmp_path.iterdir())


# -- networks with a memory --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["repeat-copy", "ngrams", "text", "temporal-order"])
def test_memory_and_gates_of_every_kind_of_task(name, tmp_path):
    task = TASKS.build(name)
    net = ntm(task)
    assert is_picture(plotting.memory(net, task, tmp_path / "memory.png", title=name))
    assert is_picture(plotting.gates(net, task, tmp_path / "gates.png", title=name))


HEADS = [dict(), dict(read_heads=2), dict(write_heads=3), dict(read_heads=2, write_heads=2, controller="feedforward")]


@pytest.mark.parametrize("options", HEADS)
def test_memory_shows_vectors_and_weightings(options, drawn, tmp_path):
    task = rs.tasks.Copy(length=3)
    net, batch = ntm(task, **options), task.example(1)
    plotting.memory(net, task, tmp_path / "m.png", batch, "a title")
    records = net.forward(batch.inputs, record=episodes.TRACES).records
    shown = {axis.get_ylabel(): images(axis) for axis in drawn[0].axes if axis.images and axis.get_visible()}
    assert "a title" in drawn[0].get_suptitle()
    names = {
        "added": "write_add",
        "read": "reads",
        "write weighting": "write_weights",
        "read weighting": "read_weights",
    }
    several = max(net.sizes.read_heads, net.sizes.write_heads) > 1
    expected = {
        f"{text}\nhead {head}" if several else text: records[name][:, 0, head]
        for text, name in names.items()
        for head in range(records[name].shape[2])
    }
    assert set(shown) - {"<colorbar>", ""} == {"input", "output", *expected}
    for text, values in expected.items():
        np.testing.assert_allclose(shown[text], values, atol=1e-6, err_msg=text)


def test_locations_in_use():
    weightings = np.zeros((4, 2, 50))
    weightings[..., 0] = 1e-3
    np.testing.assert_array_equal(locations_in_use(weightings), np.arange(50))
    weightings[1, 0, 10] = weightings[2, 1, 14] = 0.9
    np.testing.assert_array_equal(locations_in_use(weightings), np.arange(8, 17))
    weightings[3, 0, 48] = 0.9
    np.testing.assert_array_equal(locations_in_use(weightings), (46 + np.arange(21)) % 50)
    np.testing.assert_array_equal(locations_in_use(np.ones((1, 1, 6))), np.arange(6))


@pytest.mark.parametrize("options", HEADS[:3])
def test_film_has_a_frame_for_every_time_step(options, tmp_path):
    from PIL import Image

    task = rs.tasks.Copy(length=2)
    path = plotting.film(ntm(task, **options), task, tmp_path / "m.gif", title="copy")
    with Image.open(path) as film:
        assert film.n_frames == 5 and film.info["loop"] == 0
        frames = []
        for k in range(5):
            film.seek(k)
            frames.append(np.asarray(film.convert("RGB"), np.int64))
    assert all((first != second).any() for first, second in zip(frames, frames[1:]))
    assert frames[0].std() > 5 and (frames[0][:, 0] == 255).all()


def test_gates_of_heads(drawn, tmp_path):
    task = rs.tasks.Copy(length=3)
    net, batch = ntm(task, read_heads=2), task.example()
    plotting.gates(net, task, tmp_path / "g.png", batch, record=("read_key", "read_gate", "memory", "write_shift"))
    records = net.forward(batch.inputs, record=("read_key", "read_gate", "memory")).records
    axes = {axis.get_ylabel().replace("\n", " "): axis for axis in drawn[0].axes}
    np.testing.assert_allclose(images(axes["read key"]), records["read_key"][:, 0].reshape(7, -1), atol=1e-6)
    for head, line in enumerate(axes["read gate"].lines):
        np.testing.assert_allclose(line.get_ydata(), records["read_gate"][:, 0, head, 0], atol=1e-6)
    lengths = np.linalg.norm(records["memory"][:, 0], axis=2)
    np.testing.assert_allclose(images(axes["memory (norms of rows)"]), lengths, atol=1e-6)
    assert [tick.get_text() for tick in axes["write shift"].get_yticklabels()] == ["-1", "0", "+1"]


def test_examples_at_several_lengths(drawn, tmp_path):
    tasks = {f"length={length}": rs.tasks.Copy(length=length) for length in (2, 5, 12)}
    net = ntm(tasks["length=2"])
    assert is_picture(plotting.examples(net, tasks, tmp_path / "e.png", 1, "copy"))
    axes = drawn[0].axes
    for k, task in enumerate(tasks.values()):
        batch, length = task.example(1), 2 + 3 * (k > 0) + 7 * (k > 1)
        np.testing.assert_array_equal(images(axes[3 * k]), batch.inputs[: length + 1, 0])
        np.testing.assert_array_equal(images(axes[3 * k + 1]), batch.targets[length + 1 :, 0])
        outputs = task.loss.predictions(net.forward(batch.inputs).outputs)[length + 1 :, 0]
        np.testing.assert_allclose(images(axes[3 * k + 2]), outputs, atol=1e-6)
        wrong = np.flatnonzero(((outputs > 0.5) != batch.targets[length + 1 :, 0]).any(axis=1))
        np.testing.assert_array_equal(axes[3 * k + 2].lines[0].get_xdata(), wrong)
        assert axes[3 * k].get_title(loc="left").startswith(f"length={length}\n")


@pytest.mark.parametrize("name", ["repeat-copy", "associative-recall", "ngrams", "priority-sort", "text", "sine"])
def test_examples_of_other_tasks(name, tmp_path):
    task = TASKS.build(name)
    assert is_picture(plotting.examples(network(task), {"one": task, "again": task}, tmp_path / "e.png"))


def test_generalisation(drawn, tmp_path):
    task = rs.tasks.Copy(width=3, max_length=4)
    sweep = {"length": [6, 2]}
    curves = {name: generalisation(seeded(task, k), task, sweep, count=5) for k, name in enumerate("ab")}
    path = plotting.generalisation(curves, tmp_path / "g.png", "length", {"a": (1, 4), "b": (1, 4)}, "bits", "copy")
    assert is_picture(path)
    above, below = drawn[0].axes
    assert [line.get_label() for line in above.lines] == ["a", "b", "chance level"]
    assert above.lines[0].get_xdata().tolist() == [2, 6] and above.lines[2].get_ydata().tolist() == [6.0, 18.0]
    found = list(generalisation(seeded(task, 1), task, sweep, count=5))
    assert above.lines[1].get_ydata().tolist() == [found[1]["loss"], found[0]["loss"]]
    assert [patch.get_label() for patch in above.patches] == ["trained"] and below.get_xlabel() == "length"
    assert trained_range(task, "length") == (1, 4) and trained_range(rs.tasks.Adding(length=9), "length") == (9, 9)


def test_memory_refused(tmp_path):
    task, last = rs.tasks.Copy(), rs.tasks.Adding()
    with pytest.raises(RnnsimError, match="the network has no memory"):
        plotting.memory(network(task), task, tmp_path / "m.png")
    with pytest.raises(RnnsimError, match="expected a film that ends in .gif"):
        plotting.film(ntm(rs.tasks.Copy(length=1)), rs.tasks.Copy(length=1), tmp_path / "m.png")
    with pytest.raises(RnnsimError, match="the task has one target a sequence"):
        plotting.examples(network(last), {"a": last}, tmp_path / "e.png")
    with pytest.raises(RnnsimError, match="there are no measurements"):
        plotting.generalisation({"a": []}, tmp_path / "g.png", "length")
    measured = generalisation(network(task), task, {"curriculum": ["none"]}, count=1)
    with pytest.raises(RnnsimError, match="curriculum: expected numbers"):
        plotting.generalisation({"a": measured}, tmp_path / "g.png", "curriculum")
    with pytest.raises(RnnsimError, match="sweep: expected options"):
        generalisation(network(task), task, {"length": []})
    assert not list(tmp_path.iterdir())
