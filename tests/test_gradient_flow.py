"""Backward errors against the lag: exact small cases, BPTT itself, and the command."""

import json

import numpy as np
import pytest

from rnnsim.cells import CELLS
from rnnsim.errors import RnnsimError
from rnnsim.learning.gradient_flow import (
    fitted_rate,
    gradient_flow,
    jacobians,
    lyapunov_exponents,
    product_norms,
    state_jacobian,
)
from rnnsim.networks import build
from rnnsim_cli.main import main
from tests.test_cells import AT_ONCE, Bound, every_linear_case

rng = np.random.default_rng(3)


def linear_network(matrix, leak=1.0):
    """A fully recurrent network of identities with this recurrent matrix."""
    net = build("rnn", 1, 1, {"hidden": len(matrix), "activation": "identity", "leak": leak}, "float64")
    net.layout.view(net.theta, "weight_hh_l0")[...] = matrix
    return net


@every_linear_case
def test_jacobian_is_the_derivative_of_the_time_step(case):
    bound = Bound(case)
    cell, x = bound.cell, bound.x[0, 0]
    state = np.stack([part[0] for part in bound.state])
    found = state_jacobian(cell, cell.linearise(x, state))
    step = 1e-6
    for column in range(state.size):
        move = np.zeros(state.size)
        move[column] = step
        ends = [cell.linearise(x, state + sign * move.reshape(state.shape)).state.ravel() for sign in (1, -1)]
        np.testing.assert_allclose(found[:, column], (ends[0] - ends[1]) / (2 * step), atol=1e-7)
    assert case in AT_ONCE


@pytest.mark.parametrize("radius", (0.5, 0.97, 1.0, 1.2))
def test_a_linear_network_has_the_rate_of_its_spectral_radius(radius):
    matrix = rng.normal(size=(6, 6))
    matrix = (matrix + matrix.T) / 2  # normal: the norm of a power is the power of the radius
    matrix *= radius / np.abs(np.linalg.eigvalsh(matrix)).max()
    flow = gradient_flow(linear_network(matrix), rng.normal(size=(400, 1)), lags=40, ends=3)
    assert abs(flow.rate - np.log(radius)) < 1e-9 and abs(flow.exponents[0] - np.log(radius)) < 1e-9
    np.testing.assert_allclose(flow.factors[0], radius**flow.lags, rtol=1e-9)
    assert (flow.typical <= flow.largest + 1e-12).all()


def test_leak_alone_keeps_what_it_does_not_renew():
    flow = gradient_flow(linear_network(np.zeros((3, 3)), leak=0.25), np.zeros((60, 1)), lags=20)
    assert abs(flow.rate - np.log(0.75)) < 1e-9
    np.testing.assert_allclose(flow.factors[1], 0.75**flow.lags)


def test_a_transient_growth_of_norms_is_not_the_exponent():
    matrix = np.array([[0.9, 5.0], [0.0, 0.8]])
    flow = gradient_flow(linear_network(matrix), np.zeros((900, 1)), lags=200, exponents=2)
    assert flow.largest[0, 0] > 1 and abs(flow.rate - np.log(0.9)) < 1e-4
    np.testing.assert_allclose(flow.exponents, np.log([0.9, 0.8]), atol=1e-6)


def test_errors_that_end_and_errors_below_the_smallest_number():
    assert gradient_flow(linear_network(np.eye(2, k=1)), np.zeros((30, 1)), lags=10, ends=2).rate == -np.inf
    flow = gradient_flow(linear_network(1e-10 * np.eye(2)), np.zeros((150, 1)), lags=100)
    assert abs(flow.rate - np.log(1e-10)) < 1e-6


def test_the_carousel_of_1997_keeps_errors_and_the_forget_gate_lets_them_go():
    rates = {}
    for gates in ("no-forget", "full"):
        net = build("lstm", 2, 1, {"hidden": 8, "gates": gates}, "float64", seed=1)
        net.layout.view(net.theta, "weight_hh_l0")[...] = 0
        rates[gates] = gradient_flow(net, rng.normal(size=(200, 2)), lags=50).rate
    assert abs(rates["no-forget"]) < 1e-3 and rates["full"] < -0.05


@pytest.mark.parametrize("name", CELLS)
def test_products_are_what_back_propagation_multiplies_by(name):
    """The gradient of an initial state that BPTT gives for an error at the last time step alone."""
    net = build(name, 2, 3, {"hidden": 4}, "float64", seed=2)
    steps, cell = 7, net.cells["_l0"]
    x = rng.normal(size=(steps, 2))
    matrices = jacobians(net, x)
    state = [np.zeros((1, 4)) for _ in cell.state_names]
    cell.forward(np.ascontiguousarray(x[:, None]), state, np.zeros(0, np.int64))
    error = [rng.normal(size=(1, 4)) for _ in cell.state_names]
    start = np.concatenate([part[0] for part in error])
    cell.backward(None, error)
    for matrix in matrices[::-1]:
        start = start @ matrix
    np.testing.assert_allclose(np.concatenate([part[0] for part in error]), start, atol=1e-13)


def test_small_functions():
    matrices = rng.normal(size=(12, 3, 3))
    largest, typical = product_norms(matrices, 9, 4)
    product = matrices[9] @ matrices[8] @ matrices[7] @ matrices[6]
    np.testing.assert_allclose(np.exp(largest[3]), np.linalg.norm(product, 2))
    np.testing.assert_allclose(np.exp(typical[3]), np.linalg.norm(product) / np.sqrt(3))
    assert abs(fitted_rate(np.arange(1, 9), -0.3 * np.arange(1, 9) + 2) + 0.3) < 1e-12
    turned = np.array([np.diag([2.0, 0.5, 1.0])] * 300)
    np.testing.assert_allclose(lyapunov_exponents(turned, 3), [np.log(2), 0, -np.log(2)], atol=1e-9)


def test_tokens_and_refusals():
    net = build("gru", 5, 5, {"hidden": 4}, "float32", tokens=True)
    assert np.isfinite(gradient_flow(net, rng.integers(0, 5, 40), lags=10, ends=2).rate)
    with pytest.raises(RnnsimError, match="a sequence of 20 time steps: lags=15 and ends=10 need one of at least 25"):
        gradient_flow(build("rnn", 1, 1, {"hidden": 2}), np.zeros((20, 1)), lags=15)
    with pytest.raises(RnnsimError, match="layers=2"):
        gradient_flow(build("rnn", 1, 1, {"hidden": 2, "layers": 2}), np.zeros((99, 1)), lags=15)


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def shell(*arguments):
        monkeypatch.setattr("sys.argv", ["rnnsim", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return ended.value.code, found.out, found.err

    names = ("rnn", "lstm:gates=no-forget", "gru")
    code, out, _ = shell("gradflow", *names, "-o", "hidden=6", "--lags", "20", "--out", "p.png", "--json")
    found = json.loads(out)
    assert not code and [row["network"] for row in found["networks"]] == list(names)
    assert all(len(row["largest"]) == 20 for row in found["networks"]) and (tmp_path / "p.png").stat().st_size > 5000
    code, out, _ = shell("gradflow", "rnn", "-o", "hidden=6", "--scale", "0.01")
    assert not code and "vanish" in out
    for arguments, message in {
        ("gruu",): "unknown run or network 'gruu'; did you mean 'gru'",
        ("rnn", "rnn"): "rnn: given twice",
        ("rnn", "-o", "hiden=3"): "unknown option 'hiden'; did you mean 'hidden'",
        ("rnn", "--scale", "0"): "--scale 0: expected a number above 0",
        ("rnn", "--length", "20"): "a sequence of 20 time steps",
    }.items():
        code, _, error = shell("gradflow", *arguments)
        assert code == 2 and message in error and error.count("\n") == 1
