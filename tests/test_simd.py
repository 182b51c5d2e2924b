"""Vectors in kernels: what reads and writes single lanes, against plain indexing."""

import numpy as np
import pytest

from rnnsim.core.jit import jit_exact
from rnnsim.core.simd import broadcast, gather, insert, item, load, mask, put, store, width


@jit_exact
def place(out, x, lane, value):
    store(out, 0, mask(width(x)), insert(load(x, 0, mask(width(x))), lane, value))


@jit_exact
def gather_from(out, x, start, places, j):
    store(out, 0, mask(width(x)), gather(x, start, places, j))


@jit_exact
def fill(out, value):
    store(out, 0, mask(width(out)), insert(broadcast(out, value), 0, value))


@jit_exact
def move(out, x):
    for j in range(x.size):
        put(out, x.size - 1 - j, item(x, j))


@jit_exact
def lanes(x):
    return width(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_lanes(dtype):
    rng = np.random.default_rng(0)
    count = lanes(np.zeros(1, dtype))
    x, out = rng.normal(size=count).astype(dtype), np.zeros(count, dtype)
    for lane in range(count):
        place(out, x, lane, dtype(7))
        expected = x.copy()
        expected[lane] = 7
        np.testing.assert_array_equal(out, expected)
    fill(out, dtype(3))
    np.testing.assert_array_equal(out, np.full(count, 3, dtype))
    move(out, x)
    np.testing.assert_array_equal(out, x[::-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gathered_lanes(dtype):
    rng = np.random.default_rng(1)
    count = lanes(np.zeros(1, dtype))
    x, out = rng.normal(size=5 * count).astype(dtype), np.zeros(count, dtype)
    places = rng.integers(0, 3 * count, 2 * count)
    for start, j in ((0, 0), (2 * count, count), (3, 1)):
        gather_from(out, x, start, places, j)
        np.testing.assert_array_equal(out, x[start + places[j : j + count]])


@jit_exact
def double(out, x, n):
    for j in range(0, n, width(x)):
        lanes = mask(n - j)
        store(out, j, lanes, load(x, j, lanes) + load(x, j, lanes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_that_do_not_exist_are_left_alone(dtype):
    """Full vectors take the plain instruction and the last one the masked one: both in one loop, at any address."""
    count = lanes(np.zeros(1, dtype))
    for n in range(3 * count + 1):
        for start in (0, 1, 3):
            x, out = np.full(4 * count + 4, np.nan, dtype), np.full(4 * count + 4, 7, dtype)
            x[start : start + n] = np.arange(n)
            double(out[start:], x[start:], n)
            np.testing.assert_array_equal(out[start : start + n], 2 * np.arange(n))
            assert (out[:start] == 7).all() and (out[start + n :] == 7).all()
