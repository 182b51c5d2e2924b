"""Rows of whole vectors: seen as vectors, and the packed weights that make and take padding."""

import numpy as np
import pytest

from rnnsim.core.gemm import panel_width, product_packed
from rnnsim.core.jit import jit_exact, jit_formula
from rnnsim.core.padding import ONE, gate_vectors, packed_columns, packed_rows, padded_size, vectors
from rnnsim.core.vmath import sigmoid, tanh
from rnnsim.core.workspace import Workspace

DTYPES = (np.float32, np.float64)


@jit_formula
def gate(a, h):
    return (ONE - sigmoid(a)) * tanh(h), a * ONE


@jit_exact
def row_of_vectors(a, h):
    gates, state = gate_vectors(a, 3), vectors(h)
    for j in range(len(state)):
        state[j], gates[2, j] = gate(gates[1, j], state[j])


@jit_exact
def row_of_numbers(a, h):
    n = h.size
    for j in range(n):
        h[j], a[2 * n + j] = gate(a[n + j], h[j])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_formula_gives_numbers_and_vectors_the_same_bits(dtype):
    rng = np.random.default_rng(0)
    n = 5 * panel_width(dtype)
    whole = rng.normal(size=(2, 3 * n)).astype(dtype)  # the second row of an array
    a, h = whole[1], rng.normal(size=n).astype(dtype)
    expected = (1 - 1 / (1 + np.exp(-a[n : 2 * n].astype(float)))) * np.tanh(h.astype(float))
    other_a, other_h, first = a.copy(), h.copy(), whole[0].copy()
    row_of_vectors(a, h)
    row_of_numbers(other_a, other_h)
    assert np.array_equal(a, other_a) and np.array_equal(h, other_h) and np.array_equal(whole[0], first)
    np.testing.assert_allclose(h, expected, rtol=0, atol=8 * np.finfo(dtype).eps)
    assert np.array_equal(a[2 * n :], a[n : 2 * n]) and h.dtype == dtype


@jit_exact
def multiply(c, a, panels):
    product_packed(c, a, panels, False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gates, units, depth", [(1, 1, 1), (3, 5, 4), (4, 20, 7), (2, 16, 3)])
def test_packed_weights_make_zeros_and_take_no_notice_of_padding(gates, units, depth, dtype):
    rng = np.random.default_rng(1)
    padded = padded_size(units, dtype)
    weights = rng.normal(size=(gates * units, depth)).astype(dtype)
    x = rng.normal(size=(3, depth)).astype(dtype)
    a = np.full((3, gates * padded), np.nan, dtype)
    multiply(a, x, packed_columns(Workspace(dtype), "w", weights, gates))
    blocks = a.reshape(3, gates, padded)
    np.testing.assert_allclose(blocks[:, :, :units].reshape(3, -1), x @ weights.T, rtol=0, atol=1e-5)
    assert not blocks[:, :, units:].any()
    blocks[:, :, units:] = 7
    back = np.full((3, depth), np.nan, dtype)
    multiply(back, a, packed_rows(Workspace(dtype), "w", weights, gates))
    plain = np.ascontiguousarray(blocks[:, :, :units]).reshape(3, -1)
    np.testing.assert_allclose(back, plain @ weights, rtol=0, atol=1e-5)
