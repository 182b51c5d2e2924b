"""Pictures: drawn for every task and network, their contents read back from the axes, bad input refused."""

import numpy as np
import pytest
from matplotlib.image import imread

import rnnsim as rs
from rnnsim import plotting
from rnnsim.errors import RnnsimError
from rnnsim.networks import build
from rnnsim.plotting import canvas, sequences
from rnnsim.tasks import TASKS

HERE = [name for name in TASKS if name not in ("mnist-rows", "mnist-pixels", "fashion-rows", "imdb", "arrays")]


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
    counted = task.counted(batch)[:, 0] > 0
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
    longer = rs.tasks.Batch(np.concatenate([batch.inputs, batch.inputs]), batch.targets, lengths=batch.lengths)
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
