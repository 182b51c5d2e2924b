"""Goals: their grammar, and trainings that end when an evaluation on the way meets one, also after a stop in between."""

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.errors import RnnsimError
from rnnsim.training import config
from rnnsim.training.goal import Goal, until
from rnnsim.training.loop import train
from rnnsim.training.run import open_run

SETTINGS = dict(steps=400, batch=8, evaluate_every=10, report_every=25, evaluation={"split": "validation", "count": 40})


def setup():
    task = rs.tasks.DelayedRecall(delay=2)
    net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=8, rng=1)
    return net, task, dict(optimizer=rs.Adam(0.02), **SETTINGS)


@pytest.mark.parametrize(
    "text, goal",
    [
        ("loss<0.1", Goal("loss", "<", 0.1)),
        (" wrong_bits < 1e-2 twice ", Goal("wrong_bits", "<", 0.01, 2)),
        ("accuracy>0.9 2 times", Goal("accuracy", ">", 0.9, 2)),
        ("loss>-1 17 times", Goal("loss", ">", -1.0, 17)),
    ],
)
def test_grammar(text, goal):
    assert Goal.parse(text) == goal == Goal.parse(str(goal)) == until(text)


@pytest.mark.parametrize(
    "text", ["", "loss", "loss<", "loss<x", "loss<nan", "loss<inf", "<1", "loss<1 0 times", "a b<1", 3]
)
def test_no_goals(text):
    with pytest.raises(RnnsimError, match="expected a figure and a bound"):
        Goal.parse(text)
    with pytest.raises(RnnsimError, match="^until="):
        until(text)


def test_nan_and_nothing_meet_no_goal():
    for goal in (Goal("loss", "<", 1.0), Goal("loss", ">", 1.0)):
        assert not goal.holds(None) and not goal.holds(float("nan"))
    assert not Goal("loss", "<", 1.0).met([])


@pytest.mark.parametrize("times", [1, 2, 3])
def test_training_ends_with_the_evaluation_that_meets_it(times):
    net, task, settings = setup()
    whole = train(net, task, **settings)
    losses = [line["evaluation"]["loss"] for line in whole.history if "evaluation" in line]
    small = [loss < 0.5 for loss in losses]
    expected = next(k for k in range(times, len(small) + 1) if all(small[k - times : k])) * 10
    assert expected < 400 and whole.reached_at is None
    net, task, settings = setup()
    result = train(net, task, until=f"loss<0.5 {times} times", **settings)
    assert result.steps == expected and result.reached_at == expected * 8 and "is reached" in result.message
    assert result.history[-1]["step"] == expected and {"loss", "evaluation"} <= set(result.history[-1])
    assert Goal.parse(f"loss<0.5 {times} times").first(whole.history) == expected * 8


def test_goes_on_as_if_it_had_never_stopped(tmp_path):
    net, task, settings = setup()
    goal = {"until": "loss<0.5 twice"}
    whole = train(net, task, out=tmp_path / "whole", **settings, **goal)
    # stopped between the two evaluations that meet the goal
    net, task, _ = setup()
    stop = whole.steps - 5
    train(net, task, out=tmp_path / "parts", callback=lambda progress: progress.step == stop, **settings, **goal)
    net, task, _ = setup()
    parts = train(net, task, out=tmp_path / "parts", resume=True, **settings, **goal)
    assert parts.steps == whole.steps and parts.reached_at == whole.reached_at
    np.testing.assert_array_equal(parts.net.theta, whole.net.theta)
    # asked once more, it has nothing left to do
    net, task, _ = setup()
    again = train(net, task, out=tmp_path / "whole", resume=True, **settings, **goal)
    assert again.steps == whole.steps and again.message == whole.message and again.reached_at == whole.reached_at
    assert open_run(tmp_path / "whole").config["until"] == "loss<0.5 twice"


def test_other_figures_of_the_evaluation():
    net, task, settings = setup()
    result = train(net, task, until="correct>0.9", **settings)
    assert result.steps < 400 and result.history[-1]["evaluation"]["correct"] > 0.9
    net, task, settings = setup()
    with pytest.raises(RnnsimError, match="unknown figure of the evaluation 'los'; did you mean 'loss'"):
        train(net, task, until="los<1", **settings)


def test_needs_evaluations():
    net, task, settings = setup()
    with pytest.raises(RnnsimError, match="until=loss<1: needs evaluate_every"):
        train(net, task, until="loss<1", **{**settings, "evaluate_every": 0})
    plan = {"task": {"name": "adding"}, "network": {"name": "gru"}, "until": "loss<1", "evaluate_every": 5}
    assert config.build(plan).settings["until"] == "loss<1"
    with pytest.raises(RnnsimError, match="until=loss<<1"):
        config.build({**plan, "until": "loss<<1"})
