"""Configurations: what stands where, what is refused, and that the one of a run makes the run again."""

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.errors import RnnsimError
from rnnsim.training import config
from rnnsim.training.run import open_run

PLAIN = {"task": {"name": "adding"}, "network": {"name": "gru"}}


def test_options_find_their_part():
    options = {
        "hidden": "7",
        "length": "30",
        "learning_rate": "0.01",
        "task.variant": "modern",
        "network.variant": "gru1",
    }
    plan = config.with_options(config.with_names({}, task="adding", network="gru", rule="tbptt"), options)
    setup = config.build(config.with_options(plan, {"horizon": "9"}))
    assert setup.net.hidden == 7 and setup.net.config["options"]["variant"] == "gru1"
    assert setup.task.length == 30 and setup.task.variant == "modern"
    assert setup.settings["optimizer"].learning_rate == 0.01 and setup.settings["optimizer"].clip_norm == 1.0
    assert setup.settings["rule"].horizon == 9


def test_another_name_drops_the_options():
    plan = {**PLAIN, "optimizer": {"name": "adam", "options": {"beta1": 0.5}}}
    assert config.with_names(plan, optimizer="adam")["optimizer"]["options"] == {"beta1": 0.5}
    assert config.with_names(plan, optimizer="sgd")["optimizer"] == {"name": "sgd", "options": {}}
    assert config.with_names(plan)["rule"]["name"] == "bptt" and "rule" not in plan


def test_a_name_given_later_keeps_the_options():
    plan = config.with_names({"task": {"name": "adding"}, "network": {"options": {"hidden": 3}}}, network="gru")
    assert plan["network"] == {"name": "gru", "options": {"hidden": 3}} and config.build(plan).net.hidden == 3


def test_values_that_flags_replace_are_checked_too(tmp_path):
    (tmp_path / "config.toml").write_text("steps = 'many'")
    with pytest.raises(RnnsimError, match="config.toml: steps=many: expected a whole number"):
        config.load(tmp_path / "config.toml")


def test_seed_and_dtype_reach_the_network():
    first, second = (config.build({**PLAIN, "seed": seed, "dtype": "float64"}).net for seed in (1, 2))
    assert first.theta.dtype == np.float64 and not np.array_equal(first.theta, second.theta)
    np.testing.assert_array_equal(first.theta, config.build({**PLAIN, "seed": 1, "dtype": "float64"}).net.theta)


def test_configuration_of_a_run_makes_the_run_again(tmp_path):
    plan = config.with_options(PLAIN, {"hidden": 4, "length": 9, "schedule": "linear:20"})
    results = []
    for folder in ("a", "b"):
        setup = config.build(
            {**plan, "steps": 7, "batch": 3, "seed": 5, "evaluation": {"count": 10}, "evaluate_every": 4}
        )
        results.append(rs.train(setup.net, setup.task, out=tmp_path / folder, **setup.settings))
        plan = config.load(tmp_path / folder / "config.toml")
    np.testing.assert_array_equal(results[0].net.theta, results[1].net.theta)
    assert open_run(tmp_path / "a").config == open_run(tmp_path / "b").config
    assert results[0].history[0]["evaluation"]["sequences"] == 10


@pytest.mark.parametrize(
    "text, message",
    [
        ("stepz = 3", "unknown key 'stepz'; did you mean 'steps'"),
        ("steps = 'many'", "steps=many: expected a whole number"),
        ("steps = 1.5", "steps=1.5: expected a whole number"),
        ("batch = true", "batch=True: expected a whole number"),
        ("dtype = 'float16'", "dtype=float16: expected one of float32, float64"),
        ("until = 'done'", "until=done: expected one of"),
        ("task = 'adding'", r"task: expected a table \[task\]"),
        ("[steps]\na = 1", "steps: expected a value"),
        ("[task]\nnam = 'adding'", "task: unknown key 'nam'; did you mean 'name'"),
        ("[task]\nname = 'addin'", "unknown task 'addin'; did you mean 'adding'"),
        ("[task]\noptions = 3", "task.options: expected a table"),
        ("[task.options]\nlenght = 3", "unknown option of task 'adding' 'lenght'; did you mean 'length'"),
        ("[network.options]\nhidden = 'x'", "hidden=x: expected a whole number"),
        ("[network]\nn_inputs = 3", "network.n_inputs=3: it has to be 2 here"),
        ("[evaluation]\ncont = 3", "unknown option of the evaluation 'cont'; did you mean 'count'"),
        ("[rule]\nname = 'bp'", "unknown rule 'bp'"),
        ("steps = [", "config.toml: "),
        ("seed = -4", "seed=-4: expected a value of at least 0"),
        ("[task]\nname = 3", "config.toml: task.name=3: expected a text"),
    ],
)
def test_refused(text, message, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(text)

    def build():
        plan = config.load(path)
        plan = {**PLAIN, **{k: {**PLAIN.get(k, {}), **v} if isinstance(v, dict) else v for k, v in plan.items()}}
        return config.build(plan)

    with pytest.raises(RnnsimError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hiden": "3"}, "unknown option 'hiden'; did you mean 'hidden'"),
        ({"variant": "gru1"}, "variant: task and network have such an option; write task.variant"),
        ({"network.hiden": "3"}, "unknown option of network 'gru' 'hiden'"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(RnnsimError, match=message):
        config.with_options(PLAIN, options)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RnnsimError, match="cannot read .*none.toml: No such file"):
        config.load(tmp_path / "none.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RnnsimError, match="not UTF-8 text"):
        config.load(tmp_path / "binary")
    with pytest.raises(RnnsimError, match="no network is named: expected one of rnn"):
        config.build({"task": {"name": "adding"}})
