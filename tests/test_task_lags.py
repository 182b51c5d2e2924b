"""Long lags: lengths, places and noise as published, exact means, and chance-level losses."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rnnsim.errors import RnnsimError
from rnnsim.tasks import Adding, Counting, DelayedXOR, LongLag, Multiplication, TwoSequence

LEVEL = 1e-3


def many(task, count=6000, seed=5):
    return task.training_batch(seed, 0, count)


def assert_even(values, low, high):
    """Whole numbers, those of low .. high equally frequent."""
    values = np.ravel(values).astype(int)
    assert values.min() >= low and values.max() <= high
    assert stats.chisquare(np.bincount(values - low, minlength=high - low + 1)).pvalue > LEVEL


def assert_gaussian(values, variance):
    assert stats.kstest(np.ravel(values), stats.norm(0, math.sqrt(variance)).cdf).pvalue > LEVEL
    assert np.var(values) == pytest.approx(variance, rel=6 * math.sqrt(2 / np.size(values)))


# -- experiment 2 ---------------------------------------------------------------------------------------------------------


def names_of(task, batch, b):
    """Inputs and targets, as names."""
    n = len(batch.inputs) if batch.lengths is None else batch.lengths[b]
    x = batch.inputs[:n, b] if task.tokens else batch.inputs[:n, b].argmax(axis=1)
    d = batch.targets[b] if task.loss.when == "last" else batch.targets[:, b]
    d = d if task.loss.kind == "softmax" else d.argmax(axis=-1)
    return [task.input_names[k] for k in x], [task.target_names[k] for k in np.atleast_1d(d)]


@pytest.mark.parametrize("options", [{}, {"tokens": True}, {"loss": "softmax"}, {"loss": "softmax", "tokens": True}])
def test_the_two_sequences_of_2a(options):
    task, found = LongLag("2a", p=7, **options), Counter()
    batch = many(task, 500)
    for b in range(500):
        inputs, targets = names_of(task, batch, b)
        found[" ".join(inputs + targets[-1:])] += 1
        assert inputs[1:] == targets[:-1]
    assert set(found) == {"x a1 a2 a3 a4 a5 a6 x", "y a1 a2 a3 a4 a5 a6 y"}
    assert stats.chisquare(list(found.values())).pvalue > LEVEL
    assert task.n_inputs == task.n_outputs == 8 and task.mean_symbols == 8


def test_2b():
    task = LongLag("2b", p=9)
    batch, middle = many(task, 2000), Counter()
    for b in range(2000):
        inputs, targets = names_of(task, batch, b)
        assert inputs[1:] == targets[:-1] and targets[-1] == inputs[0] in "xy"
        middle.update(inputs[1:])
    assert set(middle) == {f"a{k}" for k in range(1, 9)} and stats.chisquare(list(middle.values())).pvalue > LEVEL
    # Only the last time step counts, to .25.
    outputs = np.zeros_like(batch.targets)
    outputs[-1] = batch.targets[-1] + 0.24
    assert task.correct(outputs, batch).all() and np.allclose(task.error(outputs, batch), 0.24, atol=1e-6)
    outputs[-1, :, 3] = 0.26
    assert not task.correct(outputs, batch).any()
    assert not LongLag("2a", p=9).correct(np.where(np.arange(9)[:, None, None] == 8, batch.targets, 0), batch).any()


@pytest.mark.parametrize("tokens, loss", [(False, "squared_error"), (True, "softmax")])
def test_2c(tokens, loss):
    task = LongLag("2c", p=6, q=11, tokens=tokens, loss=loss)
    assert (task.n_inputs, task.n_outputs) == (10, 2)
    batch, kinds, distractors, more = many(task), Counter(), Counter(), Counter()
    for b in range(batch.size):
        inputs, (target,) = names_of(task, batch, b)
        assert inputs[0] == "b" and inputs[1] == target in "xy" and inputs[-1] == "e"
        assert len(inputs) >= 11 + 3
        kinds[target] += 1
        more[min(len(inputs) - 14, 20)] += 1
        distractors.update(inputs[2:-1])
    assert set(distractors) == {f"a{k}" for k in range(1, 7)}
    for found in (kinds, distractors):
        assert stats.chisquare(list(found.values())).pvalue > LEVEL
    shares = [0.1 * 0.9**k for k in range(20)] + [0.9**20]
    assert stats.chisquare([more[k] for k in range(21)], np.array(shares) * batch.size).pvalue > LEVEL
    # A whole sequence: b, x or y, q + k symbols, e, x or y; the mean of k from its series.
    mean = math.fsum(k * 0.1 * 0.9**k for k in range(2000))
    assert mean == pytest.approx(9) and task.mean_symbols == 4 + 11 + 9
    symbols = batch.lengths + 1
    assert abs(symbols.mean() - task.mean_symbols) < 4 * math.sqrt(90 / batch.size)


def test_weights_of_the_published_networks():
    """Inputs and outputs are the paper's: they give its numbers of weights."""
    assert [LongLag("2a", p=p).n_inputs for p in (4, 10, 100)] == [5, 11, 101]
    for p, count in ((50, 364), (100, 664), (200, 1264), (500, 3064), (1000, 6064)):
        task = LongLag("2c", p=p, q=p, tokens=True)
        assert 6 * (task.n_inputs + 6) + task.n_outputs * 2 == count


# -- experiment 3 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["3a", "3b", "3c"])
@pytest.mark.parametrize("informative", [1, 3])
def test_two_sequence(variant, informative):
    task = TwoSequence(variant, length=50, informative=informative)
    batch = many(task)
    assert_even(batch.lengths, 50, 55)
    clean = task.wanted(batch)[:, 0]
    high, low = (0.2, 0.8) if variant == "3c" else (1, 0)
    first = np.isclose(clean, high)
    assert (first | np.isclose(clean, low)).all() and stats.binomtest(int(first.sum()), 6000).pvalue > LEVEL
    head = batch.inputs[:informative, :, 0] - np.where(first, 1, -1)
    if variant == "3b":
        assert_gaussian(head, 0.2)
    else:
        assert not head.any()
    assert_gaussian(batch.inputs[informative:50, ::40, 0], 0.2)
    # Neighbours share a draw of the generator and are independent all the same; so are distant time steps.
    flat = batch.inputs[informative:50, :, 0]
    assert np.abs(np.corrcoef(flat) - np.eye(len(flat))).max() < 5.5 / math.sqrt(6000)
    assert np.abs(np.corrcoef(flat**2) - np.eye(len(flat))).max() < 5.5 / math.sqrt(6000)
    noise = batch.targets[:, 0] - clean
    if variant == "3c":
        assert_gaussian(noise, 0.1)
        assert np.var(batch.targets) == pytest.approx(task.trivial_loss, rel=0.05)
    else:
        assert not noise.any()
    near, far = (0.09, 0.11) if variant == "3c" else (0.19, 0.21)
    outputs = clean[:, None]
    assert task.correct(outputs + near, batch).all() and not task.correct(outputs - far, batch).any()
    assert np.allclose(task.error(outputs + near, batch), near, atol=1e-6)


def test_stops_of_two_sequence():
    found = {(v, s): TwoSequence(v, stop=s).criterion for v in ("3a", "3b", "3c") for s in ("ST1", "ST2")}
    assert all(rule.window == 256 for rule in found.values())
    figures = {key: (rule.wrong, rule.max_error) for key, rule in found.items()}
    assert figures[("3a", "ST1")] == (0, None) and figures[("3a", "ST2")] == (0, 0.01)
    assert figures[("3b", "ST1")] == (5, None) and figures[("3b", "ST2")] == (5, 0.04)
    assert figures[("3c", "ST1")] == figures[("3c", "ST2")] == (0, 0.015)


# -- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [False, True])
def test_delayed_xor(noise):
    batch = many(DelayedXOR(length=40, noise=noise))
    assert_even(batch.lengths, 40, 44)
    places = np.argwhere(batch.inputs[..., 1].T == 1)[:, 1].reshape(-1, 2)
    assert set(batch.inputs[..., 1].ravel()) == {0, 1}
    assert_even(places[:, 0], 0, 3)
    assert_even(places[:, 1], 20, 23)
    values = batch.inputs[places, np.arange(6000)[:, None], 0]
    if noise:
        # The noise changes one sign in 79.
        told = (values[:, 0] > 0) != (values[:, 1] > 0)
        lost = stats.norm.cdf(-1 / math.sqrt(0.2))
        wrong = int((told != batch.targets[:, 0]).sum())
        assert stats.binomtest(wrong, 6000, 2 * lost * (1 - lost)).pvalue > LEVEL
    else:
        assert set(values.ravel()) == {-1, 1}
        assert np.array_equal(batch.targets[:, 0], values[:, 0] != values[:, 1])
        assert_even(2 * (values[:, 0] > 0) + (values[:, 1] > 0), 0, 3)
    unmarked = batch.inputs[4:20, :, 0]
    assert_gaussian(unmarked[:, ::20], 0.2)


@pytest.mark.parametrize("short, long, start", [(99, 100, 0), (3, 11, 4)])
def test_counting(short, long, start):
    batch = many(Counting(short, long, start), 3000)
    kinds = []
    for b in range(batch.size):
        one, two = np.flatnonzero(batch.inputs[:, b, 0])
        assert two == batch.lengths[b] - 1 and two - one in (short, long) and batch.inputs[one, b, 0] == 1
        assert batch.targets[b, 0] == (two - one == long)
        kinds.append((one, int(two - one == long)))
    found = Counter(kinds)
    assert len(found) == 2 * (start + 1) and stats.chisquare(list(found.values())).pvalue > LEVEL


# -- chance levels, experiments 4 and 5 -----------------------------------------------------------------------------------


def test_chance_levels():
    """With both marks visible: the variance of the target, the rest of it given one factor, and a lucky constant."""
    for task, variance, left, mean, lucky in (
        (Adding(), 1 / 24, 1 / 48, 0.5, 1 - 0.92**2),
        (Multiplication(), 7 / 144, 1 / 36, 0.25, sum(s * z * (1 - math.log(z)) for s, z in ((1, 0.29), (-1, 0.21)))),
    ):
        batch = many(task, 40_000)
        marks = batch.inputs[..., 1] == 1
        both = marks.sum(axis=0) == 2
        targets = batch.targets[both, 0].astype(float)
        assert targets.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / both.sum()))
        assert targets.var() == pytest.approx(variance, rel=0.03)
        first = np.where(marks, batch.inputs[..., 0], 0)[marks.argmax(axis=0), np.arange(batch.size)][both]
        known = mean + first / 4 if isinstance(task, Adding) else first / 2
        assert ((targets - known) ** 2).mean() == pytest.approx(left, rel=0.03)
        right = task.correct(np.full((batch.size, 1), mean), batch)[both]
        assert abs(right.mean() - lucky) < 5 * math.sqrt(lucky / both.sum())


@pytest.mark.parametrize(
    "build, key",
    [
        (lambda: LongLag("2a", p=1), "p=1"),
        (lambda: LongLag("2c", p=0), "p=0"),
        (lambda: LongLag("2c", q=-1), "q=-1"),
        (lambda: TwoSequence(informative=101), "informative=101"),
        (lambda: TwoSequence("3c", loss="bernoulli"), "loss=bernoulli"),
        (lambda: DelayedXOR(length=9), "length=9"),
        (lambda: Counting(100, 100), "long=100"),
        (lambda: Counting(start=-1), "start=-1"),
    ],
)
def test_bad_options(build, key):
    with pytest.raises(RnnsimError, match=f"^{key}: ") as found:
        build()
    assert "\n" not in str(found.value)
