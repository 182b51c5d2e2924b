"""Losses against the naive twin and finite differences; masks, lengths, NaN, extreme logits, wrong input."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_numerics import loss_and_gradient

from rnnsim.core.losses import KINDS, PER, UNITS, WHEN, Loss
from rnnsim.errors import RnnsimError

LOSSES = [
    Loss(kind, when, per, unit) for kind in KINDS for when in WHEN for per in PER for unit in UNITS[kind]
]  # fmt: skip
DTYPES = (np.float32, np.float64)


def name(loss):
    return f"{loss.kind}-{loss.when}-{loss.per}-{loss.unit}"


def case(loss, steps, batch, width, dtype, seed=0, classes=False):
    """Random outputs, targets, weights and lengths of one batch."""
    rng = np.random.default_rng(seed)
    shape = (steps, batch, width) if loss.when == "every" else (batch, width)
    outputs = rng.normal(0, 2, shape).astype(dtype)
    if classes:
        targets = rng.integers(0, width, shape[:-1]).astype(np.int32)
    elif loss.kind == "bernoulli":
        targets = rng.integers(0, 2, shape).astype(np.float32)
    else:
        targets = rng.uniform(0, 1, shape).astype(np.float32)
    weights = rng.choice([0.0, 1.0, 0.5], shape[:-1]).astype(np.float32)
    lengths = rng.integers(0, steps + 1, batch) if loss.when == "every" else None
    return outputs, targets, weights, lengths


def check(loss, outputs, targets, weights=None, lengths=None):
    gradient = np.full_like(outputs, np.nan)
    value = loss.evaluate(outputs, targets, weights, lengths, gradient)
    expected, slope = loss_and_gradient(loss, outputs, targets, weights, lengths)
    tolerance = 3e-6 if outputs.dtype == np.float32 else 1e-13
    assert isinstance(value, float)
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance * max(1, np.abs(slope).max()))
    assert loss.evaluate(outputs, targets, weights, lengths) == value
    in_place = outputs.copy()
    assert loss.evaluate(in_place, targets, weights, lengths, in_place) == value
    assert np.array_equal(in_place, gradient)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_twin(loss, dtype):
    for classes in {False, loss.kind == "softmax"}:
        for steps, batch, width in ((1, 1, 1), (1, 1, 10), (7, 3, 5), (20, 9, 33), (3, 2, 1500), (700, 2, 1)):
            outputs, targets, weights, lengths = case(loss, steps, batch, width, dtype, classes=classes)
            check(loss, outputs, targets)
            check(loss, outputs, targets, weights)
            check(loss, outputs, targets, None, lengths)
            check(loss, outputs, targets, weights, lengths)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(LOSSES), st.integers(1, 6), st.integers(1, 6), st.integers(1, 12), st.integers(0, 999),
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_shapes(loss, steps, batch, width, seed, classes, masked, ragged):
    classes = classes and loss.kind == "softmax"
    outputs, targets, weights, lengths = case(loss, steps, batch, width, np.float64, seed, classes)
    check(loss, outputs, targets, weights if masked else None, lengths if ragged else None)


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_finite_differences(loss):
    for classes in {False, loss.kind == "softmax"}:
        outputs, targets, weights, lengths = case(loss, 3, 2, 4, np.float64, seed=3, classes=classes)
        weights.flat[0] = 1
        gradient = np.empty_like(outputs)
        loss.evaluate(outputs, targets, weights, lengths, gradient)
        for index in np.ndindex(outputs.shape):
            step = np.zeros_like(outputs)
            step[index] = 1e-5
            ends = [loss.evaluate(outputs + sign * step, targets, weights, lengths) for sign in (1, -1)]
            assert abs((ends[0] - ends[1]) / 2e-5 - gradient[index]) <= 1e-8


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_nothing_counted(loss, dtype):
    outputs, targets, weights, _ = case(loss, 4, 3, 5, dtype)
    outputs[...] = np.nan
    gradient = np.ones_like(outputs)
    assert loss.evaluate(outputs, targets, np.zeros_like(weights), None, gradient) == 0
    assert not gradient.any()
    if loss.when == "every":
        gradient[...] = 1
        assert loss.evaluate(outputs, targets, None, np.zeros(3, np.int64), gradient) == 0
        assert not gradient.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_nan_passes_only_where_it_is_counted(loss, dtype):
    outputs, targets, _, _ = case(loss, 4, 3, 40, dtype)
    for place in range(0, 40, 13):
        broken = outputs.copy()
        row = (2, 1) if loss.when == "every" else (1,)
        broken[row + (place,)] = np.nan
        gradient = np.empty_like(broken)
        assert np.isnan(loss.evaluate(broken, targets, None, None, gradient))
        assert np.isnan(gradient[row][place])
        weights = np.ones(broken.shape[:-1])
        weights[row] = 0
        assert np.isfinite(loss.evaluate(broken, targets, weights, None, gradient))
        assert np.isfinite(gradient).all() and not gradient[row].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_logits(dtype):
    y = np.array([[1e4, -1e4, -1e4]], dtype)
    gradient = np.empty_like(y)
    softmax, bernoulli = Loss("softmax", "last"), Loss("bernoulli", "last")
    assert softmax.evaluate(y, np.array([0]), gradient=gradient) == 0
    assert gradient.tolist() == [[0, 0, 0]]
    assert softmax.evaluate(y, np.array([1]), gradient=gradient) == 2e4
    assert gradient.tolist() == [[1, -1, 0]]
    assert bernoulli.evaluate(y, np.array([[1, 0, 0]], dtype), gradient=gradient) == 0
    assert gradient.tolist() == [[0, 0, 0]]
    assert bernoulli.evaluate(y, np.array([[0, 1, 1]], dtype), gradient=gradient) == 3e4
    assert gradient.tolist() == [[1, -1, -1]]
    sure = np.array([[20.0, -20.0]], dtype)
    np.testing.assert_allclose(bernoulli.evaluate(sure, np.array([[1.0, 0.0]])), 2 * np.log1p(np.exp(-20)), rtol=1e-6)


@pytest.mark.parametrize("loss", [Loss(kind) for kind in KINDS], ids=name)
def test_views_and_integer_targets(loss):
    outputs, targets, _, lengths = case(loss, 5, 4, 6, np.float32)
    targets = np.round(targets).astype(np.int64)
    room = np.zeros((4, 5, 6), np.float32)
    view, gradient = room.transpose(1, 0, 2), np.empty_like(outputs)
    flipped = np.asfortranarray(outputs)
    value = loss.evaluate(outputs, targets, None, lengths, gradient)
    assert loss.evaluate(flipped, targets, None, lengths.astype(np.int16), view) == value
    assert np.array_equal(view, gradient)


def test_predictions():
    y = np.array([[0.0, 1e4, -1e4]])
    assert Loss("squared_error").predictions(y) is y
    assert Loss("bernoulli").predictions(y).tolist() == [[0.5, 1, 0]]
    assert Loss("softmax").predictions(y).tolist() == [[0, 1, 0]]


def test_empty_batch():
    assert Loss("squared_error").evaluate(np.zeros((0, 3, 2)), np.zeros((0, 3, 2))) == 0


WRONG = {
    "unknown loss 'softmx'; did you mean 'softmax'": lambda: Loss("softmx"),
    "when=first: ": lambda: Loss("softmax", when="first"),
    "per=batch: ": lambda: Loss("softmax", per="batch"),
    "unit=bits: a squared_error loss expects squared": lambda: Loss("squared_error", unit="bits"),
    "outputs float64[2, 3]: expected": lambda: Loss("softmax").evaluate(np.zeros((2, 3)), np.zeros(2, int)),
    "outputs int64[2, 3]: expected": lambda: Loss("softmax", "last").evaluate(np.zeros((2, 3), int), np.zeros(2, int)),
    "targets of shape [3]: expected [2]": lambda: Loss("softmax", "last").evaluate(np.zeros((2, 3)), np.zeros(3, int)),
    "targets of shape [2]: expected [2, 3]": lambda: Loss("bernoulli", "last").evaluate(np.zeros((2, 3)), np.zeros(2)),
    "targets[1] = 3: expected a class": lambda: Loss("softmax", "last").evaluate(np.zeros((2, 3)), np.array([0, 3])),
    "targets[1] = -1: expected a class": lambda: Loss("softmax", "last").evaluate(np.zeros((2, 3)), np.array([0, -1])),
    "weights of shape [4]: expected [2]": lambda: Loss("softmax", "last").evaluate(
        np.zeros((2, 3)), np.zeros(2, int), weights=np.ones(4)
    ),
    "lengths of shape [1]: expected [2]": lambda: Loss("softmax").evaluate(
        np.zeros((1, 2, 3)), np.zeros((1, 2), int), lengths=[1]
    ),
    "gradient float32[2, 3]: expected float64[2, 3]": lambda: Loss("softmax", "last").evaluate(
        np.zeros((2, 3)), np.zeros(2, int), gradient=np.zeros((2, 3), np.float32)
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_options_are_all_tested():
    assert len(LOSSES) == sum(len(units) for units in UNITS.values()) * 4
    assert set(itertools.chain(UNITS)) == set(KINDS)
