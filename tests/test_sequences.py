"""A network that learns sequence after sequence by its own procedure: runs on disk, tests on the way, cells that come later."""

import json
from pathlib import Path

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.core import checkpoint
from rnnsim.errors import RnnsimError
from rnnsim.networks import build
from rnnsim.networks.lstm1997.learner import BlockLearner
from rnnsim.training import config as configuration
from rnnsim.training.loop import train
from rnnsim.training.run import load_weights, open_run
from rnnsim_cli.main import main

ADDING = {
    "steps": 700,
    "report_every": 200,
    "dtype": "float64",
    "task": {"name": "adding", "options": {"length": 20}},
    "network": {"name": "lstm1997", "options": {"in_bias": "-3,-6"}},
    "rule": {"name": "truncated", "options": {"every": 1}},
    "optimizer": {"name": "sgd", "options": {"learning_rate": 0.25}},
}
REBER = {
    "steps": 60,
    "until": "solved",
    "task": {"name": "continual-reber", "options": {"steps": 20, "stop_error": 0.49, "stream_length": 200}},
    "network": {"name": "lstm1997", "options": {"blocks": 1, "output": "identity"}},
    "rule": {"name": "truncated", "options": {"every": 1}},
    "optimizer": {"name": "sgd", "options": {"learning_rate": 0.05}},
    "test": "streams",
    "test_every": 20,
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trained(config, **settings):
    setup = configuration.build({**config, "seed": 3})
    return train(setup.net, setup.task, **{**setup.settings, **settings})


def sgd(rate):
    return {"name": "sgd", "options": {"learning_rate": rate}}


STILL = sgd(1e-300)  # weights that do not change


def test_is_the_learner_on_the_same_sequences():
    setup = configuration.build({**ADDING, "seed": 3})
    net = build("lstm1997", 2, 1, {"in_bias": "-3,-6"}, "float64")
    net.theta[...] = setup.net.theta
    learner = BlockLearner(net, rate=0.5)
    found = learner.learn(setup.task.training_batch(3, 0, 700), setup.task.loss)
    result = train(setup.net, setup.task, **setup.settings)
    np.testing.assert_array_equal(result.net.theta, learner.theta)
    assert result.sequences == 700 and result.error == pytest.approx(found.errors.mean(), rel=1e-6)
    assert [line["sequences"] for line in result.history][-1] == 700


def test_stops_at_the_sequence_that_meets_the_criterion():
    loose = {**ADDING, "steps": 30_000, "until": "solved", "task": {"name": "two-sequence", "options": {"length": 10}}}
    loose["network"] = {"name": "lstm1997", "options": {}}
    result = trained({**loose, "optimizer": sgd(0.5)})
    assert result.solved and result.solved_at == result.sequences == result.steps == result.reached_at
    assert 256 <= result.right_at <= result.solved_at and result.correct == 1.0 and result.error < 0.01


def test_goes_on_bit_for_bit(tmp_path):
    whole = trained(ADDING, out=tmp_path / "a")
    half = trained(ADDING, out=tmp_path / "b", callback=lambda progress: progress.sequences >= 300)
    assert half.message == "stopped by the callback" and 300 <= half.sequences < 700
    again = trained(ADDING, out=tmp_path / "b", resume=True)
    np.testing.assert_array_equal(again.net.theta, whole.net.theta)
    np.testing.assert_array_equal(load_weights(tmp_path / "b").theta, whole.net.theta)
    assert again.correct == whole.correct and again.error == whole.error
    done = trained(ADDING, out=tmp_path / "b", resume=True)  # what has ended is not trained again
    assert done.sequences == 700 and done.history == again.history
    config = open_run(tmp_path / "a").config
    assert (
        config["optimizer"] == ADDING["optimizer"] | {"options": config["optimizer"]["options"]}
        and config["batch"] == 1
    )
    assert configuration.build(config).settings["optimizer"].learning_rate == 0.25
    assert not {"online", "test", "test_every"} & set(config)


def test_tests_on_streams():
    result = trained(REBER)
    assert (
        result.sequences == 60
        and not result.solved
        and result.best_time_steps is not None
        and result.best_time_steps < 200
    )
    found = trained({**REBER, "report_every": 20}).history[-1]["test"]
    assert {"mean_time_steps", "least_time_steps"} == set(found)
    # everything is right within an error of 2: the first test is passed
    easy = {
        **REBER,
        "test_length": 100,
        "report_every": 20,
        "task": {"name": "continual-reber", "options": {"stop_error": 9.0}},
    }
    easy["task"]["options"]["stream_length"] = 200
    solved = trained(easy)
    assert solved.solved_at == 20 == solved.sequences and solved.best_time_steps == 100


def test_tests_on_sets():
    reber = {**REBER, "task": {"name": "embedded-reber", "options": {"strings": 2}}, "steps": 40}
    reber |= {"optimizer": STILL, "test": "sets", "test_every": 10}
    assert not trained(reber).solved
    setup = configuration.build({**reber, "seed": 3})
    setup.task.correct = lambda outputs, batch: np.ones(batch.size, bool)
    assert train(setup.net, setup.task, **setup.settings).solved_at == 10


def test_tests_on_fresh_sequences():
    two = {**ADDING, "task": {"name": "two-sequence", "options": {"length": 10}}, "steps": 40, "report_every": 10}
    two["until"] = "solved"
    two["network"] = {"name": "lstm1997", "options": {}}
    two |= {"optimizer": STILL, "test": "fresh", "test_every": 10}
    result = trained(two)
    assert not result.solved and result.right_at is None and result.history[-1]["test"]["wrong"] > 5
    setup = configuration.build({**two, "seed": 3})
    looked = []

    def right(outputs, batch):
        if batch.size == 256:
            looked.append(batch.inputs)
        return np.ones(batch.size, bool)

    setup.task.correct, setup.task.error = right, lambda _, batch: np.full(batch.size, 0.035 - 0.01 * len(looked))
    result = train(setup.net, setup.task, **setup.settings)
    # no more wrong ones than there may be at once, but a mean error below .01 only at the third test
    assert result.right_at == 10 and result.solved_at == 30 and len(looked) == 3
    assert looked[0].shape != looked[1].shape or np.any(looked[0] != looked[1])


def test_cells_that_come_later():
    options = {
        "blocks": 1,
        "size": 1,
        "sees": "inputs",
        "output_gate": False,
        "bias": "none",
        "g": "logistic",
        "h": "identity",
    }
    config = {
        **ADDING,
        "task": {"name": "long-lag", "options": {"p": 5}},
        "network": {"name": "lstm1997", "options": options},
    }
    config["network"]["options"] |= {"shortcut": True}
    drawn = configuration.build({**config, "seed": 3}).net
    seen = {}

    def look(progress):
        seen[progress.sequences] = progress.net.layout.view(progress.net.theta, "weight_cell").copy()

    config |= {"optimizer": sgd(0.5), "rule": {"name": "truncated", "options": {"every": 1, "wait": 20}}}
    config |= {"evaluate_every": 20, "evaluation": {"count": 1}}  # what ends chunks of sequences
    trained({**config, "steps": 60}, callback=look)
    own = drawn.layout.view(drawn.theta, "weight_cell")
    np.testing.assert_array_equal(seen[20], own)
    assert np.any(seen[60] != own)
    with pytest.raises(RnnsimError, match="wait: needs g=logistic"):
        trained({**ADDING, "rule": config["rule"]})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch": 2}, "batch=2: this learner takes one sequence after the other"),
        ({"test": "streams"}, "this task has no streams that end"),
        ({"test": "sets"}, "the task has no fixed sets"),
        ({**REBER, "test": "fresh"}, "the task has streams, use test=streams"),
        ({"test": "often"}, "test=often: expected one of none, sets, fresh, streams"),
        ({"test": "fresh", "test_every": 0}, "test_every=0"),
        ({"optimizer": sgd(-1.0)}, "learning_rate=-1"),
        ({"online": {"momentum": 0.5}}, "online: needs a learning_rate"),
        ({"online": {"learning_rat": 0.5}}, "learning_rat"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(RnnsimError, match=message):
        trained({**ADDING, **changes})


def test_a_training_that_explodes_says_where():
    with pytest.raises(rs.errors.RnnsimError, match=r"step \d+: .*(nan|inf)"):
        trained(
            {
                **ADDING,
                "steps": 20_000,
                "network": {"name": "lstm1997", "options": {"output": "identity"}},
                "optimizer": sgd(1e6),
            }
        )


def test_an_explosion_names_the_last_checkpoint_in_every_sitting(tmp_path):
    wild = {
        **ADDING,
        "network": {"name": "lstm1997", "options": {"output": "identity"}},
        "optimizer": sgd(1e6),
    }
    for _ in range(2):
        with pytest.raises(RnnsimError, match="step 1: .*last good checkpoint: .*step-00000000"):
            trained(wild, out=tmp_path / "a", resume=True)


def test_from_the_shell(capsys):
    command = (
        "train adding --network lstm1997 --rule truncated -o every=1 --optimizer sgd -o learning_rate=0.25 --steps 40"
    )
    with pytest.raises(SystemExit) as end:
        main([*command.split(), *"--out r --json --no-figures".split()], prog_name="rnnsim")
    out, error = capsys.readouterr()
    assert end.value.code == 0, error
    assert json.loads(out)["sequences"] == 40 and Path("r", "metrics.jsonl").is_file()


def test_configurations_of_earlier_versions():
    """The table [online] of earlier versions gives the same weights as what it means today."""
    old = {key: value for key, value in ADDING.items() if key != "optimizer"}
    old |= {"rule": {"name": "truncated"}, "online": {"learning_rate": 0.5, "momentum": 0.3, "decay": 0.99}}
    new = {**ADDING, "optimizer": {"name": "momentum", "options": {"learning_rate": 0.25, "momentum": 0.3}}}
    new["optimizer"]["options"]["schedule"] = "per-time-step:0.99"
    np.testing.assert_array_equal(trained(old).net.theta, trained(new).net.theta)
    streams = {**REBER, "task": {"name": "continual-reber", "options": {"steps": 20}}, "rule": {"name": "truncated"}}
    del streams["optimizer"], streams["test"], streams["test_every"]
    streams["online"] = {"learning_rate": 0.1, "stop": 0.49, "stream_ticks": 200, "test": "streams", "test_every": 20}
    one, other = trained(streams), trained(REBER)
    np.testing.assert_array_equal(one.net.theta, other.net.theta)
    assert one.best_time_steps == other.best_time_steps


def test_the_weights_of_an_earlier_run_can_be_read_but_not_resumed(tmp_path):
    trained(ADDING, out=tmp_path / "a")
    run = open_run(tmp_path / "a")
    path = run.checkpoints()[-1]
    stored = checkpoint.load(path)
    checkpoint.save(path, run.net(), progress={**stored.progress, "chunks": 3})
    assert load_weights(tmp_path / "a").n_parameters == 93
    with pytest.raises(RnnsimError, match="it can be evaluated and plotted, but not resumed"):
        trained(ADDING, out=tmp_path / "a", resume=True)


def test_options_of_earlier_versions_say_where_they_went():
    with pytest.raises(
        RnnsimError, match="online.decay: options online.. are gone since version 0.2; learning_rate"
    ) as error:
        configuration.with_options(ADDING, {"online.decay": "0.9"})
    assert "\n" not in str(error.value)
