"""What type checkers know of the public face: `mypy` reads this file (`.ci/run`), and tests/test_types.py runs it."""

from typing import Any, assert_type

import numpy as np

import rnnsim as rs
from rnnsim.learning.comparison import Comparison
from rnnsim.learning.online.learner import OnlineLearner
from rnnsim.networks.interface import Forward, Network
from rnnsim.tasks import Sequences, Task
from rnnsim.training.driver import TrainResult
from rnnsim.training.run import Run


def trained(folder: str) -> None:
    """A training, what it leaves behind, and learning online."""
    task: Task = rs.tasks.XOR()
    net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=4, rng=1)
    result = rs.train(net, task, optimizer=rs.Adam(1e-3), steps=2, batch=4, rng=np.random.default_rng(1), out=folder)
    assert_type(result, TrainResult)
    assert_type(result.steps, int)
    assert_type(rs.evaluate(net, task, count=4), dict[str, Any])
    run = rs.open_run(folder)
    assert_type(run, Run)
    assert_type(run.net(), Network)
    assert_type(rs.load_weights(folder).theta, np.ndarray)
    learner = rs.online(net, rule="rtrl", optimizer=rs.SGD(0.1))
    assert_type(learner, OnlineLearner)
    assert_type(learner.step(np.zeros(task.n_inputs), np.zeros(task.n_outputs)), np.ndarray)
    assert_type(rs.compare(net, task, ["bptt"], steps=1), Comparison)


def passes() -> None:
    """Forward passes, and a function for SciPy."""
    machine = rs.NTM(3, 2, hidden=4, memory=(5, 3))
    assert_type(machine.forward(np.zeros((5, 1, 3))), Forward)
    net = rs.Recurrent("rnn", 1, 1, hidden=4, dtype="float64")
    batch = Sequences(inputs=np.zeros((5, 2, 1)), targets=np.zeros((5, 2, 1)))
    loss, gradient = rs.objective(net, batch)(net.theta)
    assert_type(loss, float)
    assert_type(gradient, np.ndarray)
