"""What heads of a neural Turing machine do, step by step: twins, finite differences, invariants, extremes, wrong input."""

import naive_ntm
import numpy as np
import pytest
from cases import differences, distance
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.core.vmath import sigmoid, softplus, tanh
from rnnsim.errors import RnnsimError
from rnnsim.networks.ntm import addressing, emission, heads
from rnnsim.networks.ntm import memory as memory_kernels

SIZES = ((1, 1), (1, 5), (5, 1), (7, 3), (8, 4), (33, 20))
every_size = pytest.mark.parametrize("rows, columns", SIZES)


def share(rng, n):
    weights = rng.uniform(size=n)
    return weights / weights.sum()


def cases(rows, columns):
    """{name: (function, its twin, its arguments as arrays)}."""
    rng = np.random.default_rng(rows)
    memory, weights = rng.normal(size=(rows, columns)), share(rng, rows)
    found = {
        "content": (memory, rng.normal(size=columns), np.array(3.0)),
        "interpolate": (weights, share(rng, rows), np.array(0.3)),
        "sharpen": (weights, np.array(2.5)),
        "read": (memory, weights),
        "erase_and_add": (memory, weights, rng.uniform(size=columns), rng.normal(size=columns)),
    }
    for reach in (0, 1, 4, 9):
        found[f"shift-{reach}"] = (weights, share(rng, 2 * reach + 1))
    for count in (1, 2, 3):
        vectors = rng.uniform(size=(count, columns)), rng.normal(size=(count, columns))
        found[f"erase_and_add-{count}"] = (memory, np.array([share(rng, rows) for _ in range(count)]), *vectors)
    return found


def twin(name):
    if name == "erase_and_add":
        return lambda memory, *parts: naive_ntm.erase_and_add(memory, *(part[None] for part in parts))
    return getattr(naive_ntm, name.split("-")[0])


def ours(name, way=""):
    return getattr(heads, name.split("-")[0] + way)


def scalars(arguments):
    return [float(x) if x.ndim == 0 else x for x in arguments]


@every_size
def test_functions_are_the_twins(rows, columns):
    for name, arguments in cases(rows, columns).items():
        wanted = twin(name)(*arguments)
        assert distance(ours(name)(*scalars(arguments)), wanted) <= 1e-13, name
        single = [x.astype(np.float32) for x in arguments]
        found = ours(name)(*scalars(single))
        assert found.dtype == np.float32 and distance(found, wanted) <= 1e-5, name


@every_size
def test_gradients_are_finite_differences(rows, columns):
    for name, arguments in cases(rows, columns).items():
        result = ours(name)(*scalars(arguments))
        d = np.random.default_rng(1).normal(size=result.shape)
        kept = [x.copy() for x in (d, *arguments)]
        found = ours(name, "_backward")(d, *scalars(arguments))
        assert all(np.array_equal(a, b) for a, b in zip(kept, (d, *arguments))), "what is given stays as it was"
        single = ours(name, "_backward")(*scalars([x.astype(np.float32) for x in (d, *arguments)]))
        for x, gradient, rough in zip(arguments, found, single, strict=True):
            wanted = differences(lambda: float((ours(name)(*scalars(arguments)) * d).sum()), x)  # noqa: B023
            assert distance(gradient, wanted) <= 1e-7, name
            assert rough.dtype == np.float32
            # Where the true gradient is zero, as with one row, only rounding is left.
            assert np.abs(rough - wanted).max() <= 1e-4 * max(np.abs(wanted).max(), 1), name


def test_the_mathematics_on_numbers():
    """What the kernels compute with vectors, on single numbers: equations, and gradients by finite differences."""
    rng, d, one = np.random.default_rng(0), 0.7, 1.0
    for _ in range(20):
        m, w, e, a, g = rng.uniform(0.1, 0.9, 5)
        assert memory_kernels.erase(m, w, e, one) == pytest.approx(m * (1 - w * e), rel=1e-15)
        assert memory_kernels.add(m, w, a) == pytest.approx(m + w * a, rel=1e-15)
        assert addressing.interpolate(m, w, g, one - g) == pytest.approx(g * m + (1 - g) * w, rel=1e-15)
        assert addressing.power(np.log(m), 2.5, 0.0) == pytest.approx(m**2.5, rel=1e-14)
        assert addressing.power(0.3, 2.5, -np.inf) == 0
        steps = (
            (
                lambda x: memory_kernels.erase(x[0], x[1], x[2], one),
                (m, w, e),
                (1, -1, -1),
                memory_kernels.erase_backward,
            ),
            (
                lambda x: addressing.interpolate(x[0], x[1], x[2], one - x[2]),
                (m, w, g),
                (1, 1, 1),
                lambda d, m, w, g, one: addressing.interpolate_backward(d, m, w, g, one - g),
            ),
        )
        for function, numbers, signs, backward in steps:
            x = np.array(numbers)
            wanted = differences(lambda: d * function(x), x)  # noqa: B023
            assert distance(np.multiply(signs, backward(d, *numbers, one)), wanted) <= 1e-8
        for function, backward in (
            (tanh, emission.tanh_backward),
            (sigmoid, emission.sigmoid_backward),
            (softplus, emission.softplus_backward),
        ):
            x = np.array([m * 4 - 2])
            wanted = differences(lambda: d * function(float(x[0])), x)  # noqa: B023
            assert distance([backward(d, function(float(x[0])), one)], wanted) <= 1e-8


def test_the_floor_of_norms():
    rng = np.random.default_rng(0)
    memory, key, d = rng.normal(size=(7, 3)), rng.normal(size=3), rng.normal(size=7)
    for floor in (1e-3, 0.5, 30.0):
        assert distance(heads.content(memory, key, 3, floor), naive_ntm.content(memory, key, 3, floor)) <= 1e-13
        found = heads.content_backward(d, memory, key, 3, floor)
        for x, gradient in zip((memory, key), found):
            wanted = differences(lambda: float(heads.content(memory, key, 3, floor) @ d), x)  # noqa: B023
            assert distance(gradient, wanted) <= 1e-7


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 50))
def test_weightings_stay_weightings(seed, rows, reach):
    rng = np.random.default_rng(seed)
    w = heads.content(rng.normal(size=(rows, 3)), rng.normal(size=3), rng.uniform(0, 30))
    w = heads.interpolate(w, share(rng, rows), rng.uniform())
    w = heads.shift(w, share(rng, 2 * reach + 1))
    assert abs(w.sum() - 1) < 1e-12
    w = heads.sharpen(w, rng.uniform(1, 20))
    assert (w >= 0).all() and abs(w.sum() - 1) < 1e-12


@given(st.integers(1, 40), st.integers(0, 50), st.data())
def test_a_one_hot_shift_is_a_rotation(rows, reach, data):
    w = np.random.default_rng(0).uniform(size=rows)
    d = data.draw(st.integers(-reach, reach))
    one_hot = np.eye(2 * reach + 1)[d + reach]
    assert np.array_equal(heads.shift(w, one_hot), np.roll(w, d))


def test_erasing_comes_before_adding():
    memory, ones = np.full((3, 2), 5.0), np.ones((2, 2))
    row = np.array([[0.0, 1, 0], [0, 1, 0]])
    found = heads.erase_and_add(memory, row, ones, np.array([[1.0, 2], [30, 40]]))
    assert found.tolist() == [[5, 5], [31, 42], [5, 5]], "one head's erasing does not touch what the other adds"
    swapped = heads.erase_and_add(memory, row, ones, np.array([[30.0, 40], [1, 2]]))
    assert np.array_equal(swapped, found)


def test_keys_that_are_similar_to_nothing():
    """A zero key, rows of zero and rows that are all equal: equal weights and a finite gradient."""
    rng = np.random.default_rng(0)
    for memory, key in (
        (rng.normal(size=(5, 3)), np.zeros(3)),
        (np.zeros((5, 3)), np.ones(3)),
        (np.full((5, 3), 1e-6), rng.normal(size=3)),
        (np.full((5, 3), -0.7), rng.normal(size=3)),
        (np.zeros((1, 3)), np.zeros(3)),
    ):
        for kind in (np.float32, np.float64):
            memory, key = memory.astype(kind), key.astype(kind)
            assert np.allclose(heads.content(memory, key, 20), 1 / len(memory), rtol=1e-5)
            for d in heads.content_backward(np.eye(1, len(memory), dtype=kind)[0], memory, key, 20):
                assert np.isfinite(d).all()


def test_extremes_in_float32():
    """Strengths of 1e30, weights from 0 to 1e-30 and exponents up to the clip of the heads' outputs."""
    memory = np.eye(4, 3, dtype=np.float32)
    for strength in (0, 1e-30, 1, 1e5, 1e30):
        w = heads.content(memory, np.array([0, 1, 0], np.float32), strength)
        assert np.isfinite(w).all() and abs(w.sum() - 1) < 1e-6
    assert w.tolist() == [0, 1, 0, 0]
    for w in ([1, 0, 0], [1e-30, 0, 1e-38], [1e-45, 1e-45, 0], [0, 0, 0], [0.5, 0.5, 1e-20], [1, 1e-7, 1e-7]):
        w = np.array(w, np.float32)
        for gamma in (1, 1.5, 21):
            sharp = heads.sharpen(w, gamma)
            assert np.isfinite(sharp).all() and abs(sharp.sum() - 1) < 1e-6
            d_weights, d_gamma = heads.sharpen_backward(np.array([1, -2, 3], np.float32), w, gamma)
            # The gradient of weights that are all below the smallest normal number is beyond float32 and may be infinite.
            assert np.isfinite(d_gamma) and (w.max() < 1e-30 or np.isfinite(d_weights).all())
    assert np.isnan(heads.sharpen([np.nan, 1], 2)).any()
    assert np.isnan(heads.content(np.eye(2), [np.nan, 1], 2)).all()


EYE, W = np.eye(3, 2), [0.2, 0.3, 0.5]
WRONG = {
    "key of 3 numbers: expected 2, the columns of the memory": lambda: heads.content(EYE, W, 1),
    "memory of shape (3,): expected a matrix that is not empty": lambda: heads.content(W, W, 1),
    "memory of shape (0, 2): expected a matrix": lambda: heads.read(np.zeros((0, 2)), []),
    "memory: expected an array, got rows of different lengths": lambda: heads.read([[1], [1, 2]], W),
    "memory: expected numbers, got complex128": lambda: heads.read(EYE * 1j, W),
    "key: expected numbers, got <U1": lambda: heads.content(EYE, ["a", "b"], 1),
    "strength=-1: expected a finite number of at least 0": lambda: heads.content(EYE, [1, 0], -1),
    "strength=inf: expected a finite number": lambda: heads.content(EYE, [1, 0], np.inf),
    "norm_floor=0: expected a number above 0": lambda: heads.content(EYE, [1, 0], 1, 0),
    "strength=[1, 2]: expected a number": lambda: heads.content(EYE, [1, 0], [1, 2]),
    "strength=big: expected a number": lambda: heads.content(EYE, [1, 0], "big"),
    "d_weights of shape (2,): expected (3,)": lambda: heads.content_backward([1, 2], EYE, [1, 0], 1),
    "before of 2 numbers: expected 3, as content": lambda: heads.interpolate(W, [1, 0], 0.5),
    "gate=1.5: expected 0..1": lambda: heads.interpolate(W, W, 1.5),
    "shifts of 2 numbers: expected an odd number": lambda: heads.shift(W, [0.5, 0.5]),
    "gamma=0.5: expected a finite number of at least 1": lambda: heads.sharpen(W, 0.5),
    "weights: -1 among them; expected numbers of at least 0": lambda: heads.sharpen([2.0, -1], 2),
    "weights of 2 numbers: expected 3, the rows of the memory": lambda: heads.read(EYE, [1, 0]),
    "d_vector of shape (3,): expected (2,)": lambda: heads.read_backward(W, EYE, W),
    "weights of shape (2,): expected (3,) for a memory of shape (3, 2)": lambda: heads.erase_and_add(
        EYE, [1, 0], [1, 0], [1, 0]
    ),
    "erase of shape (3,): expected (2,)": lambda: heads.erase_and_add(EYE, W, W, [1, 0]),
    "add of shape (1, 2): expected a vector": lambda: heads.erase_and_add(EYE, W, [1, 0], [[1, 0]]),
    "add of shape (1, 2): expected (2, 2)": lambda: heads.erase_and_add(EYE, [W, W], EYE[:2], [[1, 0]]),
    "d_new of shape (2, 2): expected (3, 2)": lambda: heads.erase_and_add_backward(EYE[:2], EYE, W, [1, 0], [1, 0]),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
