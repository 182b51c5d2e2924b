"""Vector maths: errors in ulp, limits, NaN, the same bits at any place of an array, vector instructions."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from naive_numerics import exp, log, log_softmax, logsumexp, sigmoid, softplus, tanh

from rnnsim.core import vmath
from rnnsim.core.jit import ENABLED, jit

NAIVE = {"exp": exp, "log": log, "tanh": tanh, "sigmoid": sigmoid, "softplus": softplus}
ULP = {"exp": 1.1, "log": 2.3, "tanh": 2.8, "sigmoid": 2.7, "softplus": 3.1}
LIMITS = {"exp": (0, np.inf), "log": (np.nan, np.inf), "tanh": (-1, 1), "sigmoid": (0, 1), "softplus": (0, np.inf)}
DTYPES = (np.float32, np.float64)


def _loop(function):
    @jit
    def loop(out, x):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


LOOPS = {name: _loop(getattr(vmath, name)) for name in NAIVE}


def evaluate(name, x):
    out = np.empty_like(x)
    LOOPS[name](out, x)
    return out


def arguments(dtype):
    rng = np.random.default_rng(5)
    edge = 110 if dtype == np.float32 else 750
    tiny = -85 if dtype == np.float32 else -700
    parts = [rng.uniform(-edge, edge, 100_000), rng.uniform(-20, 20, 200_000), rng.uniform(-2, 2, 200_000)]
    parts.append(np.exp(rng.uniform(tiny, 4, 50_000)) * rng.choice([-1, 1], 50_000))
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAIVE)
def test_error_in_ulp(name, dtype):
    x = np.abs(arguments(dtype)) if name == "log" else arguments(dtype)
    with np.errstate(all="ignore"):
        exact = NAIVE[name](x.astype(np.longdouble))
        rounded = exact.astype(dtype)
        out = evaluate(name, x)
        finite = np.isfinite(rounded)
        assert np.array_equal(np.isinf(rounded), np.isinf(out))
        ulp = np.abs(out[finite].astype(np.longdouble) - exact[finite]) / np.spacing(np.abs(rounded[finite]))
    assert ulp.max() <= ULP[name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAIVE)
def test_limits_and_nan(name, dtype):
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -largest, largest, np.inf, np.nan] * 17, dtype=dtype)
    out = evaluate(name, x).reshape(17, 5)
    low, high = LIMITS[name]
    assert np.array_equal(out[:, :2], np.full((17, 2), low, dtype), equal_nan=True)
    if name == "log":
        assert np.allclose(out[:, 2], np.log(largest))
    else:
        assert (out[:, 2] == min(high, largest)).all() or name == "exp" and np.isinf(out[:, 2]).all()
    assert (out[:, 3] == high).all()
    assert np.isnan(out[:, 4]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_underflow_is_gradual(dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    x = (np.log2(np.array([64, 0.25])) + np.log2(float(smallest))) * np.log(2)
    x = x.astype(dtype)
    for name in ("exp", "sigmoid", "softplus"):
        out = evaluate(name, x)
        assert abs(out[0] / smallest - 64) <= 2 and out[1] == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd(dtype):
    x = arguments(dtype)[-20_000:]
    assert np.array_equal(evaluate("tanh", -x), -evaluate("tanh", x))
    assert np.signbit(evaluate("tanh", np.array([-0.0], dtype=dtype)))[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAIVE)
def test_same_bits_at_any_place(name, dtype):
    x = np.random.default_rng(7).normal(0, 5, 70).astype(dtype)
    alone = np.array([evaluate(name, x[i : i + 1])[0] for i in range(70)])
    for length in range(1, 71):
        assert np.array_equal(evaluate(name, x[:length]), alone[:length], equal_nan=True)
        assert np.array_equal(evaluate(name, x[70 - length :]), alone[70 - length :], equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAIVE)
def test_loops_become_vector_instructions(name, dtype):
    if not ENABLED:
        return
    evaluate(name, np.zeros(3, dtype))
    element = "float" if dtype == np.float32 else "double"
    code = "".join(LOOPS[name].inspect_llvm(s) for s in LOOPS[name].signatures if str(s[0].dtype) == dtype.__name__)
    assert re.search(rf"<\d+ x {element}> @llvm\.fmuladd", code)
    assert not (element == "float" and "x double>" in code)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 33, 100])
def test_rows(size, dtype):
    x = np.random.default_rng(size).normal(0, 10, size).astype(dtype)
    tolerance = 2e-6 if dtype == np.float32 else 1e-14
    out = np.empty_like(x)
    vmath.log_softmax_row(out, x)
    np.testing.assert_allclose(out, log_softmax(x.astype(float)), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(vmath.logsumexp(out, x), logsumexp(x.astype(float)), rtol=tolerance, atol=tolerance)
    assert vmath.maximum_between(x, 0, size) == x.max()
    x[size // 2] = np.nan
    vmath.log_softmax_row(out, x)
    assert np.isnan(out).all() and np.isnan(vmath.logsumexp(out, x))


def test_rows_with_extreme_logits():
    x = np.array([1e4, -1e4, 0, -np.inf], dtype=np.float32)
    out = np.empty_like(x)
    vmath.log_softmax_row(out, x)
    assert out.tolist() == [0, -2e4, -1e4, -np.inf]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (70,), (3, 5, 7), (0,)])
def test_all_finite(shape, dtype):
    x = np.zeros(shape, dtype)
    assert vmath.all_finite(x)
    for i in range(x.size):
        for wrong in (np.nan, np.inf, -np.inf):
            x.flat[i] = wrong
            assert not vmath.all_finite(x)
        x.flat[i] = np.finfo(dtype).max
    assert vmath.all_finite(x)


def test_plain_python_gives_the_same_numbers():
    program = f"""
import numpy as np
from rnnsim.core import vmath
for dtype in (np.float32, np.float64):
    for name in {tuple(NAIVE)}:
        for x in (-np.inf, -90.0, -3.0, -1e-5, 0.0, 0.7, 200.0, np.inf, np.nan):
            print(repr(float(getattr(vmath, name)(dtype(x)))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "RNNSIM_JIT": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    plain = iter(float(line) for line in done.stdout.split())
    for dtype in DTYPES:
        for name in NAIVE:
            x = np.array([-np.inf, -90.0, -3.0, -1e-5, 0.0, 0.7, 200.0, np.inf, np.nan], dtype)
            for value, twin in zip(evaluate(name, x), plain):
                assert np.isclose(value, dtype(twin), rtol=8 * np.finfo(dtype).eps, atol=1e-44, equal_nan=True)
