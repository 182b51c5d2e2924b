"""Matrix products against NumPy for odd shapes and strides; bits that depend on nothing but the row."""

import numpy as np
import pytest

from rnnsim.core import products
from rnnsim.core.gemm import pack, packed_shape, panel_width, product, product_packed
from rnnsim.core.jit import jit_exact
from rnnsim.core.padding import padded_size
from rnnsim.core.products import diagonal_gradient, multiply_rows, packed, weight_gradient
from rnnsim.core.workspace import Workspace

DTYPES = (np.float32, np.float64)


@jit_exact
def plain(c, a, b, add):
    product(c, a, b, add)


@jit_exact
def through_panels(c, a, panels, add):
    product_packed(c, a, panels, add)


def columns(dtype):
    """Numbers of columns around the width of a vector, and past the widest tile."""
    width = panel_width(dtype)
    return sorted(
        {1, 2, width - 1, width, width + 1, 2 * width, 3 * width - 1, 5 * width + 3, 8 * width, 17 * width + 1}
    )


def random(rng, *shape, dtype=np.float64):
    return rng.normal(size=shape).astype(dtype)


def check(c, a, b, before):
    """c against the product in long double, within the bound of any order of summation."""
    expected = a.astype(np.longdouble) @ b.astype(np.longdouble) + before
    size = np.abs(a).astype(float) @ np.abs(b).astype(float) + np.abs(before)
    assert (np.abs(c - expected) <= (a.shape[1] + 2) * np.finfo(c.dtype).eps * size).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_all_shapes(dtype):
    rng = np.random.default_rng(0)
    packed_shape(1, 1, dtype)
    for rows in (1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25, 40):
        for depth in (1, 2, 17):
            for width in columns(dtype):
                a, b = random(rng, rows, depth, dtype=dtype), random(rng, depth, width, dtype=dtype)
                panels = np.full(packed_shape(depth, width, dtype), np.nan, dtype)
                pack(panels, b)
                for add in (False, True):
                    # c stands inside a larger array, which must not be written to, as must not be read what is overwritten.
                    room = np.full((rows + 2, width + 40), np.nan, dtype)
                    c, other = room[1:-1, 20:-20], np.full((rows, width), np.nan, dtype)
                    before = random(rng, rows, width, dtype=dtype) if add else np.zeros((rows, width), dtype)
                    if add:
                        c[...] = other[...] = before
                    through_panels(c, a, panels, add)
                    check(c, a, b, before)
                    assert np.isnan(room).sum() == room.size - c.size
                    if width % panel_width(dtype) == 0 or depth == 1 or rows == 7:
                        plain(other, a, b, add)
                        assert np.array_equal(other, c)


@pytest.mark.parametrize("dtype", DTYPES)
def test_left_factor_of_any_strides(dtype):
    rng = np.random.default_rng(1)
    whole = random(rng, 30, 40, dtype=dtype)
    for a in (whole.T, whole[::3, 5:9], whole[:1], whole[:, :1], whole[::-2, ::-3], whole[2:9, 1::7].T):
        b = random(rng, a.shape[1], 21, dtype=dtype)
        panels, c, d = np.empty(packed_shape(*b.shape, dtype), dtype), np.empty((len(a), 21), dtype), None
        pack(panels, np.asfortranarray(b))
        through_panels(c, a, panels, False)
        check(c, a, b, 0 * c)
        d = np.empty_like(c)
        plain(d, np.ascontiguousarray(a), b, False)
        assert np.array_equal(c, d)


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_factors(dtype):
    c = np.ones((3, 5), dtype)
    panels = np.empty(packed_shape(0, 5, dtype), dtype)
    through_panels(c, np.empty((3, 0), dtype), panels, True)
    assert (c == 1).all()
    through_panels(c, np.empty((3, 0), dtype), panels, False)
    assert (c == 0).all()
    through_panels(c[:0], np.empty((0, 4), dtype), np.ones(packed_shape(4, 5, dtype), dtype), False)
    through_panels(c[:, :0], np.ones((3, 4), dtype), np.empty(packed_shape(4, 0, dtype), dtype), False)
    assert (c == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_pack_fills_up_with_zeros(dtype):
    for width in columns(dtype):
        b = np.arange(3 * width, dtype=dtype).reshape(3, width) + 1
        for source in (b, np.asfortranarray(b), np.repeat(b, 2, axis=1)[:, ::2]):
            panels = np.full(packed_shape(3, width, dtype), np.nan, dtype)
            pack(panels, source)
            unpacked = panels.transpose(1, 0, 2).reshape(3, -1)
            assert np.array_equal(unpacked[:, :width], b) and not unpacked[:, width:].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_a_row_do_not_depend_on_the_other_rows(dtype):
    rng = np.random.default_rng(2)
    a, b = random(rng, 31, 23, dtype=dtype), random(rng, 23, 37, dtype=dtype)
    panels = packed(Workspace(dtype), "b", b)
    start = random(rng, 31, 37, dtype=dtype)
    for add in (False, True):
        whole = start.copy()
        through_panels(whole, a, panels, add)
        for height in range(1, 14):
            for lo in range(0, 31, height):
                part = start[lo : lo + height].copy()
                through_panels(part, a[lo : lo + height], panels, add)
                assert np.array_equal(part, whole[lo : lo + height])


def split_into(monkeypatch, chunks):
    """Make every product fall into so many chunks, however small it is."""
    monkeypatch.setattr(products, "get_threads", lambda: chunks)
    monkeypatch.setattr(products, "PARALLEL_WORK", 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_multiply_rows(dtype, monkeypatch):
    rng = np.random.default_rng(3)
    for rows, depth, width in ((1, 1, 1), (2, 9, 4), (50, 7, 19), (600, 3, 5)):
        a, b = random(rng, rows, depth, dtype=dtype), random(rng, depth, width, dtype=dtype)
        panels, bias = packed(Workspace(dtype), "b", b), random(rng, width, dtype=dtype)
        before = random(rng, rows, width, dtype=dtype)
        for used, add in ((bias, False), (bias[:0], False), (bias, True), (bias[:0], True)):
            found = []
            for chunks in (1, 2, 3):
                split_into(monkeypatch, chunks)
                c = before.copy() if add else np.full_like(before, np.nan)
                multiply_rows(c, a, panels, used, add)
                found.append(c)
            check(found[0], a, b, (before if add else 0) + (bias if used.size else np.zeros_like(before)))
            assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_gradient(dtype, monkeypatch):
    rng = np.random.default_rng(4)
    for rows, height, width in ((1, 1, 1), (5, 3, 2), (4, 12, 17), (513, 7, 9), (1030, 2, 33)):
        d, v = random(rng, rows, height + 2, dtype=dtype)[:, 1:-1], random(rng, rows, width, dtype=dtype)
        before, bias_before = random(rng, height, width, dtype=dtype), random(rng, height, dtype=dtype)
        for with_bias in (True, False):
            found = []
            for chunks in (1, 2, 3):
                split_into(monkeypatch, chunks)
                gradient, bias = before.copy(), bias_before.copy()
                weight_gradient(gradient, bias if with_bias else bias[:0], d, v, Workspace(dtype))
                found.append((gradient, bias))
            check(found[0][0], d.T, v, before)
            ones = np.ones((rows, 1), dtype)
            check(found[0][1][:, None], d.T, ones if with_bias else 0 * ones, bias_before[:, None])
            for other in found[1:]:
                assert np.array_equal(other[0], found[0][0]) and np.array_equal(other[1], found[0][1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_gradient_from_padded_gates(dtype, monkeypatch):
    """Columns of d and v that are padding, here NaN, do not count; nor do columns in front."""
    rng = np.random.default_rng(5)
    for rows, gates, units, width in ((1, 1, 1, 1), (9, 3, 5, 4), (300, 4, 20, 33), (7, 2, 16, 3)):
        padded = padded_size(units, dtype)
        for column in (0, padded):
            d = np.full((rows, column + gates * padded), np.nan, dtype)
            blocks = d[:, column:].reshape(rows, gates, padded)[:, :, :units]
            blocks[...] = random(rng, *blocks.shape, dtype=dtype)
            v = np.full((rows, padded_size(width, dtype)), np.nan, dtype)
            v[:, :width] = random(rng, rows, width, dtype=dtype)
            plain = np.ascontiguousarray(blocks).reshape(rows, -1)
            before, bias_before = (
                random(rng, gates * units, width, dtype=dtype),
                random(rng, gates * units, dtype=dtype),
            )
            found = []
            for chunks in (1, 2, 3):
                split_into(monkeypatch, chunks)
                gradient, bias = before.copy(), bias_before.copy()
                weight_gradient(gradient, bias, d, v, Workspace(dtype), column, units)
                found.append((gradient, bias))
            check(found[0][0], plain.T, np.ascontiguousarray(v[:, :width]), before)
            check(found[0][1][:, None], plain.T, np.ones((rows, 1), dtype), bias_before[:, None])
            for other in found[1:]:
                assert np.array_equal(other[0], found[0][0]) and np.array_equal(other[1], found[0][1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_diagonal_gradient(dtype):
    rng = np.random.default_rng(6)
    for rows, width in ((1, 1), (9, 5), (40, 33)):
        d, v = random(rng, rows, 3 * width, dtype=dtype)[:, width : 2 * width], random(rng, rows, width, dtype=dtype)
        gradient = random(rng, width, dtype=dtype)
        expected = gradient.astype(float) + (d.astype(float) * v).sum(axis=0)
        diagonal_gradient(gradient, d, v)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=rows * 8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_spreads_along_its_row_and_column_only(dtype):
    a, b = np.ones((13, 9), dtype), np.ones((9, 21), dtype)
    for broken, place in ((a, (7, 3)), (b, (4, 20))):
        broken[place] = np.nan
        panels, c = packed(Workspace(dtype), "b", b), np.zeros((13, 21), dtype)
        through_panels(c, a, panels, False)
        expected = np.isnan(a).any(axis=1)[:, None] | np.isnan(b).any(axis=0)
        assert np.array_equal(np.isnan(c), expected)
        broken[place] = 1
