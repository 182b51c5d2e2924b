"""The objective for SciPy, and every file in examples/ as its reader runs it."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.optimize
from cases import differences, distance

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def problem(cell="gru", loss=None, **options):
    net = rs.Recurrent(cell, 2, 2, **{"hidden": 3, "dtype": "float64", "rng": 1, **options})
    rng = np.random.default_rng(0)
    targets = rng.uniform(size=(3, 2) if loss and loss.when == "last" else (5, 3, 2))
    return net, Sequences(rng.normal(size=(5, 3, 2)), targets, None, np.array([5, 2, 4]))


@pytest.mark.parametrize("loss", (None, Loss("softmax", "last"), Loss("bernoulli", per="step")), ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_objective_is_finite_differences(cell, loss):
    net, batch = problem(cell, loss, layers=2, learned_initial_state=True)
    function = rs.objective(net, batch, loss)
    theta = np.random.default_rng(2).normal(size=net.n_parameters)
    value, gradient = function(theta)
    assert type(value) is float and gradient.dtype == np.float64 and gradient.shape == theta.shape
    assert np.array_equal(net.theta, theta)
    assert value == net.evaluate(batch, loss or Loss("squared_error", "every", "sequence")).loss
    assert distance(gradient, differences(lambda: function(theta)[0], theta)) <= 1e-6


def test_objective_keeps_old_gradients_and_takes_lists():
    net, batch = problem()
    function = rs.objective(net, batch)
    theta = net.theta.copy()
    first = function(theta)
    kept = first[1].copy()
    assert function(theta * 2)[0] != first[0]
    assert np.array_equal(first[1], kept), "a line search compares gradients of several points"
    again = function(theta.tolist())
    assert again[0] == first[0] and np.array_equal(again[1], kept)


def test_objective_leaves_frozen_connections():
    table = np.array([[1, 0, 1, -1, 1], [-1, 1, 0, 1, -1], [1, 1, 1, 1, 0]])
    net, batch = problem("rnn", connections=table)
    before, function = net.theta.copy(), rs.objective(net, batch)
    assert not function(net.theta)[1][~net.trainable].any()
    found = scipy.optimize.minimize(function, net.theta, jac=True, method="L-BFGS-B", options={"maxiter": 20})
    assert found.fun < function(before)[0] and np.array_equal(found.x[~net.trainable], before[~net.trainable])


@pytest.mark.parametrize("method", ("L-BFGS-B", "BFGS", "CG", "SLSQP"))
def test_methods_of_scipy(method):
    net, batch = problem()
    function = rs.objective(net, batch)
    before = function(net.theta)[0]
    found = scipy.optimize.minimize(function, net.theta, jac=True, method=method, options={"maxiter": 40})
    assert found.fun < before / 2


def test_objective_refuses():
    net, batch = problem(dtype="float32")
    with pytest.raises(RnnsimError, match="dtype=float32: SciPy's optimizers expect a network of dtype float64"):
        rs.objective(net, batch)
    net, batch = problem()
    with pytest.raises(RnnsimError, match=r"theta: expected shape \(\d+,\), got \(3,\)"):
        rs.objective(net, batch)(np.zeros(3))


def run(path, folder, *arguments):
    environment = os.environ | {"MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(path), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    """Without arguments it ends well, says something, and writes nowhere but where it stands."""
    assert run(path, tmp_path).strip()
    assert path.read_text(encoding="utf-8").startswith('"""'), "an example says what it shows"


def test_sine_is_learned(tmp_path):
    printed = run(ROOT / "examples" / "lbfgs_sine.py", tmp_path, "sine.png")
    parameters, error = re.search(r"(\d+) parameters, .* error (\S+)", printed).groups()
    text = (ROOT / "examples" / "lbfgs_sine.py").read_text(encoding="utf-8")
    assert f"{parameters} parameters" in text and float(error) < 0.01  # the sine itself has 0.5
    assert (tmp_path / "sine.png").read_bytes().startswith(b"\x89PNG")


def test_memory_sizes_are_measured(tmp_path):
    printed = run(ROOT / "examples" / "ntm_memory_size.py", tmp_path, "sizes.png", "512", "0.01")
    rows = re.findall(r"^(\d+) +([\d.]+) +([\d.]+)$", printed, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [128, 256, 512]
    assert all(float(time) > 0 for row in rows for time in row[1:])
    assert (tmp_path / "sizes.png").read_bytes().startswith(b"\x89PNG")
