"""Values of NumPy where Python's are meant: sizes, options, settings and answers of callbacks."""

import json

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.core.registry import as_python, convert, described, option_table
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.networks import NETWORKS, build, from_config, options_of
from rnnsim.networks.interface import TIME
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.tasks import TASKS
from rnnsim.training import toml
from rnnsim.training.run import load_weights


def as_numpy(value):
    """A value as the results of NumPy's functions are."""
    for kind, numpy_kind in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if type(value) is kind:
            return numpy_kind(value)
    return np.array(value) if isinstance(value, tuple) and value else value


@pytest.mark.parametrize(
    "value, annotation, wanted",
    (
        (np.int64(3), int, 3),
        (np.uint8(3), float, 3.0),
        (np.float64(3), int, 3),
        (np.array(3), int, 3),
        (np.float32(0.5), float, 0.5),
        (np.True_, bool, True),
        (np.int32(2), int | None, 2),
        (np.array([4, 5]), tuple[int, ...], (4, 5)),
        ((np.int64(4), np.int64(5)), tuple[int, int], (4, 5)),
        (np.str_("abc"), str, "abc"),
    ),
)
def test_options(value, annotation, wanted):
    found = convert(value, annotation, "key")
    assert found == wanted and type(found) is type(wanted)
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(wanted))


@pytest.mark.parametrize("value, annotation", ((np.float32(2.5), int), (np.True_, int), (np.float64("nan"), float)))
def test_options_that_do_not_fit(value, annotation):
    with pytest.raises(RnnsimError, match="key="):
        convert(value, annotation, "key")


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, tmp_path):
    options = {"hidden": np.int64(3), "layers": np.int32(2), "blocks": np.int64(3), "memory": np.array([5, 2])}
    options |= {"skip": np.True_, "forget_bias": np.float32(1.5), "clip_heads": np.float64(10)}
    known = options_of(name)
    options = {
        key: value for key, value in options.items() if key in known and (name, key) != ("lstm1997", "forget_bias")
    }
    net = build(name, np.int64(2), np.int64(2), options, seed=np.int64(1))
    assert from_config(json.loads(json.dumps(net.config))).config == net.config
    rs.training.save_weights(net, tmp_path / "w.safetensors")
    assert load_weights(tmp_path / "w.safetensors").config == net.config
    if TIME in net.capabilities:
        assert net.initial_state(np.int64(2))[0].shape[1] == 2


@pytest.mark.parametrize("name", TASKS)
def test_tasks(name):
    cls = TASKS.load(name)
    defaults = {key: default for key, (_, default) in option_table(cls).items()}
    try:
        plain = cls(**defaults)
    except (RnnsimError, TypeError):
        pytest.skip("needs options or data")
    task = cls(**{key: as_numpy(value) for key, value in defaults.items()})
    assert json.dumps(described(TASKS, task)) == json.dumps(described(TASKS, plain))
    assert np.array_equal(task.training_batch(0, 0, 2).inputs, plain.training_batch(0, 0, 2).inputs)


@pytest.mark.parametrize("registry", (OPTIMIZERS, RULES), ids=("optimizer", "rule"))
def test_optimizers_and_rules(registry):
    for name in registry:
        cls = registry.load(name)
        defaults = {key: default for key, (_, default) in option_table(cls).items()}
        thing = cls(**{key: as_numpy(value) for key, value in defaults.items()})
        assert json.dumps(described(registry, thing)) == json.dumps(described(registry, cls(**defaults)))


def test_a_run_with_settings_of_numpy(tmp_path):
    task = rs.tasks.Adding(length=np.int64(5))
    net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=np.int64(3), rng=np.int64(1))
    settings = dict(steps=np.int64(4), batch=np.int32(2), report_every=np.int64(2), evaluate_every=np.int64(2))
    settings |= dict(time_limit=np.float64(100), checkpoint_every=np.int64(2), rng=np.int64(3))
    evaluation = {"count": np.int64(4), "batch": np.int64(2)}
    result = rs.train(net, task, rule="tbptt", evaluation=evaluation, out=tmp_path / "r", **settings)
    run = rs.open_run(tmp_path / "r")
    assert result.steps == 4 and run.config["steps"] == 4 and run.config["batch"] == 2
    assert [line["sequences"] for line in run.metrics()] == [4, 8]
    assert run.net().theta.tobytes() == net.theta.tobytes()
    same = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=3, rng=1)
    rs.train(same, rs.tasks.Adding(length=5), rule="tbptt", steps=4, batch=2, rng=3)
    assert same.theta.tobytes() == net.theta.tobytes()
    text = toml.dumps({"a": np.int64(1), "b": [np.float32(0.5)], "c": np.True_})
    assert toml.loads(text, "text") == {"a": 1, "b": [0.5], "c": True}


def test_a_progress_of_numpy_numbers_is_kept(tmp_path):
    """A task's own numbers go into the metrics and the checkpoint."""

    class Growing(rs.tasks.XOR):
        progress = {"level": np.int64(1)}

        def training_batch(self, seed, step, size, progress=None):
            return super().training_batch(seed, step, size)

        def advanced(self, progress, loss):
            return {"level": progress["level"] + np.int64(1)}

    task = Growing()
    net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=2)
    rs.train(net, task, steps=3, batch=2, report_every=1, out=tmp_path / "r")
    run = rs.open_run(tmp_path / "r")
    assert [line["progress"]["level"] for line in run.metrics()] == [2, 3, 4]
    assert run.checkpoint().progress["task"] == {"level": 4}


@pytest.mark.parametrize(
    "answer, stops",
    ((True, True), (np.True_, True), (np.array(True), True), (False, False), (np.False_, False), (None, False))
    + ((1, False), (np.float64(0.3), False), ("yes", False)),
)
def test_answers_of_callbacks(answer, stops):
    task = rs.tasks.XOR()
    net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=2)
    result = rs.train(net, task, steps=3, batch=2, callback=lambda progress: answer)
    assert result.steps == (1 if stops else 3)
    seen = []
    rs.compare(net, task, ["rflo"], steps=3, batch=2, callback=lambda step: seen.append(step) or answer)
    assert seen == ([1] if stops else [1, 2, 3])


def test_threads():
    earlier = rs.get_threads()
    try:
        rs.set_threads(np.int64(1))
        assert type(rs.get_threads()) is int and rs.get_threads() == 1
        for wrong in (True, np.True_, 1.0, "1", np.int64(0)):
            with pytest.raises(RnnsimError, match="threads="):
                rs.set_threads(wrong)
    finally:
        rs.set_threads(earlier)


def test_other_values_stay():
    array, text = np.arange(3), "text"
    assert as_python(array) is array and as_python(text) is text and as_python(None) is None
