"""Experiments of the online rules: their first weights, their measures, and which way a step of them goes."""

import numpy as np
import pytest

from rnnsim.experiments import EXPERIMENTS
from rnnsim.experiments.interface import merged
from rnnsim.experiments.results import Results
from rnnsim.experiments.worker import train_one
from rnnsim.tasks import influence_balancing
from rnnsim.tasks.add import floors
from rnnsim.training import config as configuration
from rnnsim.training.run import open_run
from rnnsim_cli.main import main


def begun(experiment, arm, seed=1, changes=None):
    """(network with its first weights, configuration) of an arm."""
    arm = EXPERIMENTS.load(experiment).arm(arm)
    config = {**merged(arm.settings(), changes or {}), "seed": seed}
    net = configuration.build(config).net
    if arm.first_weights:
        arm.first_weights(net, seed)
    return net, config


def test_first_weights_of_the_add_task():
    net, _ = begun("online-add", "rtrl")
    parts = net.layout.views(net.theta)
    recurrent = parts["weight_hh_l0"]
    assert np.allclose(recurrent @ recurrent.T, np.eye(32), atol=1e-5)
    assert not parts["bias_ih_l0"].any() and not parts["bias_out"].any()
    assert 0.4 < parts["weight_ih_l0"].std() < 1.1 and 0.1 < parts["weight_out"].std() < 0.26
    for arm in EXPERIMENTS.load("online-add").arm_names:
        other, _ = begun("online-add", arm)
        others = other.layout.views(other.theta)
        assert all(np.array_equal(parts[name], others[name]) for name in others)
    assert not np.array_equal(begun("online-add", "rtrl", seed=2)[0].theta, net.theta)


def test_bounds_of_the_add_task_are_its_floors():
    bounds = {figure.value for arm in EXPERIMENTS.load("online-add").arms for figure in arm.published.values()}
    assert bounds == {round(floors()[name], 4) for name in ("first", "both")}
    words = " ".join(criterion.words for criterion in EXPERIMENTS.load("online-add").claims)
    assert str(round(floors()["none"], 4)) in words


def test_bound_of_both_bits_of_the_add_task():
    """The medians measured over the seeds 1 to 3, and over seed 1 for tbptt-10: rtrl and kf-rtrl reach it, tbptt-10 does not."""
    claims = [claim for claim in EXPERIMENTS.load("online-add").claims if claim.words == "median under 0.47"]
    assert [claim.arm for claim in claims] == ["rtrl", "tbptt-10", "kf-rtrl"]
    records = [
        {"arm": arm, "seed": 1, "status": "finished", "measures": {"loss": loss}}
        for arm, loss in (("rtrl", 0.4688), ("tbptt-10", 0.4718), ("kf-rtrl", 0.4690))
    ]
    results = Results(records, ["rtrl", "tbptt-10", "kf-rtrl"], seeds=1)
    assert [claim.judge(results).passes for claim in claims] == [True, False, True]


def test_fixed_trains_the_readout_alone(tmp_path):
    short = {"steps": 1, "task": {"options": {"steps": 20}}, "optimizer": {"options": {"learning_rate": 0.1}}}
    net, config = begun("online-add", "fixed", changes=short)
    record = train_one(EXPERIMENTS.load("online-add"), "fixed", config, tmp_path / "run")
    assert 0.3 < record["measures"]["loss"] < 2
    after = net.layout.views(open_run(tmp_path / "run").net().theta)
    before = net.layout.views(net.theta)
    same = {name: np.array_equal(before[name], after[name]) for name in before}
    assert same.pop("weight_ih_l0") and same.pop("weight_hh_l0") and not any(same.values())


def test_influence_balancing_is_the_system_of_the_task():
    net, _ = begun("influence-balancing", "rtrl")
    its = influence_balancing.network()
    assert np.array_equal(net.theta, its.theta) and np.array_equal(net.trainable, its.trainable)
    assert net.config == its.config


@pytest.mark.parametrize("arm, right", [("rtrl", True), ("hybrid", True), ("tbptt-10", False), ("tbptt-30", False)])
def test_which_way_a_rule_goes(arm, right, tmp_path):
    _, config = begun("influence-balancing", arm, changes={"steps": 2, "task": {"options": {"steps": 200}}})
    measures = train_one(EXPERIMENTS.load("influence-balancing"), arm, config, tmp_path / "run")["measures"]
    assert (measures["parameter"] < 0.49) if right else (measures["parameter"] > 0.51)
    assert measures["distance"] == pytest.approx(abs(measures["parameter"] + 1 / 6))


def test_an_oscillator_learns_with_forcing(tmp_path):
    _, config = begun("oscillators", "01-forced", changes={"steps": 1000})
    record = train_one(EXPERIMENTS.load("oscillators"), "01-forced", config, tmp_path / "run")
    assert record["measures"]["right"] == 100 and record["measures"]["sequences"] <= 1000


def test_a_description_says_what_the_first_weights_are(capsys):
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "influence-balancing", "--show"], prog_name="rnnsim")
    assert end.value.code == 0 and "first weights: the system of the paper" in capsys.readouterr().out
