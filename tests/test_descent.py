"""Plain gradient descent at every time step stays in the kernel and gives the bits of the same updates from Python."""

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.learning import RULES, batch_learner
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.tasks import TASKS
from rnnsim.training import loop

FORWARD = [name for name in RULES if issubclass(RULES.load(name), OnlineRule)]
TASK = {
    "add": {"steps": 12},
    "xor": {"length": 12},
    "adding": {"length": 12},
}  # a stream; time steps that do not count; a loss at the end


def trained(rule, task, **settings):
    task = TASKS.build(task, TASK[task])
    net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=5, rng=3)
    optimizer = settings.pop("optimizer", rs.SGD(0.05))
    result = rs.train(net, task, RULES.build(rule, {"every": 1}), optimizer, 4, batch=1, report_every=1, **settings)
    return net.theta, [line["loss"] for line in result.history]


@pytest.mark.parametrize("task", TASK)
@pytest.mark.parametrize("rule", FORWARD)
def test_same_bits(rule, task, monkeypatch):
    theta, losses = trained(rule, task)
    calls = []
    monkeypatch.setattr(
        batch_learner, "_Update", lambda learner: lambda gradient: (calls.append(1), learner.update(gradient))[1]
    )
    updated, its = trained(rule, task)
    assert calls and np.array_equal(theta, updated) and losses == its


def test_what_is_plain():
    assert rs.SGD(0.1).plain_rate == 0.1
    for other in (
        rs.SGD(0.1, clip=1.0),
        rs.SGD(0.1, schedule="inverse:1"),
        rs.SGD(0.1, weight_noise=0.1),
        rs.Adam(0.1),
    ):
        assert other.plain_rate == 0


def test_divergence_is_found():
    with pytest.raises(loop.NotFinite, match=r"step \d: .* is "):
        trained("rtrl", "adding", optimizer=rs.SGD(1e30))
