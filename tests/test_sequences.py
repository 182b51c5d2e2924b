"""Online training as a run: what `train_online` gives, stopped and taken up again, tests on the way, cells that come later."""

import json
from pathlib import Path

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.errors import RnnsimError
from rnnsim.networks import build
from rnnsim.training import config as configuration
from rnnsim.training.loop import train
from rnnsim.training.online import train_online
from rnnsim.training.run import load_weights, open_run
from rnnsim_cli.main import main

ADDING = {
    "steps": 700,
    "report_every": 200,
    "dtype": "float64",
    "task": {"name": "adding", "options": {"length": 20}},
    "network": {"name": "lstm1997", "options": {"in_bias": "-3,-6"}},
    "rule": {"name": "truncated"},
    "online": {"learning_rate": 0.5},
}
REBER = {
    "steps": 60,
    "until": "solved",
    "task": {"name": "continual-reber", "options": {"steps": 20}},
    "network": {"name": "lstm1997", "options": {"blocks": 1, "output": "identity"}},
    "rule": {"name": "truncated"},
    "online": {"learning_rate": 0.1, "stop": 0.49, "stream_ticks": 200, "test": "streams", "test_every": 20},
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trained(config, **settings):
    setup = configuration.build({**config, "seed": 3})
    return train(setup.net, setup.task, **{**setup.settings, **settings})


def test_as_train_online():
    setup = configuration.build({**ADDING, "seed": 3})
    net = build("lstm1997", 2, 1, {"in_bias": "-3,-6"}, "float64")
    net.drawn = lambda seed: setup.net.theta.copy()
    (found,) = train_online(net, setup.task, 0.5, seeds=[3], max_sequences=700)
    result = train(setup.net, setup.task, **setup.settings)
    np.testing.assert_array_equal(result.net.theta, found.theta)
    assert result.sequences == 700 and result.error == pytest.approx(found.errors.mean(), rel=1e-6)
    assert [line["sequences"] for line in result.history][-1] == 700


def test_stops_at_the_sequence_that_meets_the_criterion():
    loose = {**ADDING, "steps": 30_000, "until": "solved", "task": {"name": "two-sequence", "options": {"length": 10}}}
    loose["network"] = {"name": "lstm1997", "options": {}}
    result = trained({**loose, "online": {"learning_rate": 1.0}})
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
    assert config["online"]["learning_rate"] == 0.5 and config["batch"] == 1
    assert configuration.build(config).settings["online"]["learning_rate"] == 0.5


def test_tests_on_streams():
    result = trained(REBER)
    assert result.sequences == 60 and not result.solved and result.best_ticks is not None and result.best_ticks < 200
    assert {"mean_ticks", "least_ticks"} == set(result.history[-1].get("test", {"mean_ticks": 0, "least_ticks": 0}))
    # everything is right within an error of 2: the first test is passed
    easy = {**REBER, "online": {**REBER["online"], "stop": 9.0, "test_ticks": 100}}
    solved = trained(easy)
    assert solved.solved_at == 20 == solved.sequences and solved.best_ticks == 100


def test_tests_on_sets():
    reber = {**REBER, "task": {"name": "embedded-reber", "options": {"strings": 2}}, "steps": 40}
    reber["online"] = {"learning_rate": 0.0, "test": "sets", "test_every": 10}
    assert not trained(reber).solved
    setup = configuration.build({**reber, "seed": 3})
    setup.task.correct = lambda outputs, batch: np.ones(batch.size, bool)
    assert train(setup.net, setup.task, **setup.settings).solved_at == 10


def test_tests_on_fresh_sequences():
    two = {**ADDING, "task": {"name": "two-sequence", "options": {"length": 10}}, "steps": 40, "report_every": 10}
    two["until"] = "solved"
    two["network"] = {"name": "lstm1997", "options": {}}
    two["online"] = {"learning_rate": 0.0, "test": "fresh", "test_every": 10}
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

    trained({**config, "steps": 60, "online": {"learning_rate": 1.0, "wait": 20}}, callback=look)
    own = drawn.layout.view(drawn.theta, "weight_cell")
    np.testing.assert_array_equal(seen[20], own)
    assert np.any(seen[60] != own)
    with pytest.raises(RnnsimError, match="wait: needs g=logistic"):
        trained({**ADDING, "online": {"learning_rate": 1.0, "wait": 20}})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rule": {"name": "bptt"}}, "by the rule truncated, not by bptt"),
        ({"network": {"name": "gru", "options": {"hidden": 3}}}, "network 'gru' has no online learner"),
        ({"batch": 2}, "batch=2: online training takes one sequence after the other"),
        ({"online": {"momentum": 0.5}}, "needs a learning_rate"),
        ({"online": {"learning_rat": 0.5}}, "learning_rat"),
        ({"online": {"learning_rate": 1.0, "test": "streams"}}, "the task has no streams"),
        ({"online": {"learning_rate": 1.0, "test": "sets"}}, "the task has no fixed sets"),
        ({**REBER, "online": {**REBER["online"], "test": "fresh"}}, "the task has streams, use test=streams"),
        ({"online": {"learning_rate": -1.0}}, "learning_rate=-1"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(RnnsimError, match=message):
        trained({**ADDING, **changes})


def test_a_training_that_explodes_says_where():
    with pytest.raises(rs.errors.RnnsimError, match=r"step \d+: seed 3, sequences .* finite|step \d+: .*(nan|inf)"):
        trained(
            {
                **ADDING,
                "steps": 20_000,
                "network": {"name": "lstm1997", "options": {"output": "identity"}},
                "online": {"learning_rate": 1e6},
            }
        )


def test_an_explosion_names_the_last_checkpoint_in_every_sitting(tmp_path):
    wild = {
        **ADDING,
        "network": {"name": "lstm1997", "options": {"output": "identity"}},
        "online": {"learning_rate": 1e6},
    }
    for _ in range(2):
        with pytest.raises(RnnsimError, match="step 1: .*last good checkpoint: .*step-00000000"):
            trained(wild, out=tmp_path / "a", resume=True)


def test_from_the_shell(capsys):
    command = "train adding --network lstm1997 --rule truncated -o online.learning_rate=0.5 --steps 40 --out r --json"
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--no-figures"], prog_name="rnnsim")
    out, error = capsys.readouterr()
    assert end.value.code == 0, error
    assert json.loads(out)["sequences"] == 40 and Path("r", "metrics.jsonl").is_file()
