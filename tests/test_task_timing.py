"""Precise timing and continual temporal order: spikes where the equations put them, streams read again symbol by symbol."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rnnsim.errors import RnnsimError
from rnnsim.tasks import ContinualTemporalOrder, PeriodicFunction, SpikeDelays, TimedSpikes

LEVEL = 1e-3


def assert_even(values, low, high):
    """Whole numbers, those of low .. high equally frequent."""
    values = np.ravel(values).astype(int)
    assert values.min() >= low and values.max() <= high
    assert high == low or stats.chisquare(np.bincount(values - low, minlength=high - low + 1)).pvalue > LEVEL


@pytest.mark.parametrize("interval, values, spikes", [(10, 2, 100), (50, 1, 4), (1, 3, 1), (7, 9, 20)])
def test_spikes(interval, values, spikes):
    measured = SpikeDelays(interval, values, spikes).training_batch(2, 0, 300)
    made = TimedSpikes(interval, values, spikes).training_batch(2, 0, 300)
    delays = []
    for b in range(300):
        times = np.flatnonzero(measured.inputs[:, b, 0])
        assert times[0] == 0 and len(times) == spikes + 1 and measured.lengths[b] == times[-1] + 1
        offsets = np.diff(times) - interval
        assert np.array_equal(np.flatnonzero(measured.weights[:, b]), times[1:])
        assert (
            np.array_equal(measured.targets[times[1:], b, 0], offsets) and measured.targets[:, b].sum() == offsets.sum()
        )
        assert (measured.inputs[times, b] == 1).all()
        delays.append(offsets)
        # The other way round: a delay where its interval begins, a spike where it ends.
        times = np.flatnonzero(made.targets[:, b, 0])
        assert len(times) == spikes and made.lengths[b] == times[-1] + 1 and made.weights is None
        begins = np.concatenate([[0], times[:-1]])
        assert np.array_equal(made.inputs[begins, b, 0], times - begins - interval)
        assert made.inputs[:, b].sum() == (times - begins - interval).sum()
    assert_even(delays, 0, values - 1)
    assert TimedSpikes(interval, values, spikes).trivial_loss == pytest.approx(share(interval, values, spikes))


def share(interval, values, spikes):
    """q (1 - q) for the share q of time steps with a spike, from the mean length of a sequence."""
    q = spikes / (1 + sum(interval + sum(range(values)) / values for _ in range(spikes)))
    return q * (1 - q)


def test_judge_of_spikes():
    task = SpikeDelays(interval=3, spikes=5)
    batch = task.training_batch(0, 0, 6)
    outputs = batch.targets + 0.48
    outputs[batch.weights == 0] = 9  # not counted
    assert task.correct(outputs, batch).all() and np.allclose(task.error(outputs, batch), 0.48, atol=1e-6)
    outputs[batch.lengths[4] - 1, 4] += 0.02
    assert task.correct(outputs, batch).tolist() == [True] * 4 + [False, True]
    task = TimedSpikes(interval=3, spikes=5)
    batch = task.training_batch(0, 0, 6)
    outputs = np.abs(batch.targets - 0.48)
    assert task.correct(outputs, batch).all()
    outputs[1, 3] = 0.5  # too early
    assert task.correct(outputs, batch).tolist() == [True] * 3 + [False, True, True]


def test_pairs_of_spikes():
    """With one spike a sequence, resets come between the pairs."""
    batch = SpikeDelays(interval=40, spikes=1).training_batch(0, 0, 200)
    assert set(batch.lengths) == {41, 42} and (batch.inputs.sum(axis=0) == 2).all()
    assert np.array_equal(batch.targets.sum(axis=(0, 2)), batch.lengths - 41)
    windows = {spikes: SpikeDelays(spikes=spikes).criterion.window for spikes in (1, 100, 300)}
    assert windows == {1: 1000, 100: 10, 300: 4}


@pytest.mark.parametrize("period", [10, 25, 2])
def test_periodic_functions(period):
    t = np.arange(3 * period)
    r = (t % period) / period
    forms = {"cosine": np.sin(np.pi * r) ** 2, "triangle": 1 - np.abs(1 - 2 * r), "rectangle": np.floor(2 * r)}
    for form, wave in forms.items():
        task = PeriodicFunction(form, period=period, periods=3)
        batch = task.training_batch(0, 0, 2)
        assert not batch.inputs.any() and batch.inputs.shape == (3 * period, 2, 1)
        assert np.allclose(batch.targets[:, 1, 0], wave, atol=1e-6) and task.trivial_loss == pytest.approx(wave.var())
        assert task.correct(batch.targets + 0.29, batch).all() and not task.correct(batch.targets + 0.31, batch).any()
    batch = PeriodicFunction("triangle", period=period, periods=2, phase="random").training_batch(0, 0, 2000)
    starts = [np.allclose(batch.targets[:, b, 0], forms["triangle"][: 2 * period]) for b in range(2000)]
    assert stats.binomtest(sum(starts), 2000, 1 / period).pvalue > LEVEL


@pytest.mark.parametrize(
    "build, key",
    [
        (lambda: SpikeDelays(interval=0), "interval=0"),
        (lambda: SpikeDelays(values=3, loss="bernoulli"), "loss=bernoulli"),
        (lambda: TimedSpikes(spikes=0), "spikes=0"),
        (lambda: TimedSpikes(values=0), "values=0"),
        (lambda: PeriodicFunction(period=1), "period=1"),
        (lambda: PeriodicFunction(periods=0), "periods=0"),
        (lambda: ContinualTemporalOrder(symbols=5), "symbols=5"),
        (lambda: ContinualTemporalOrder(length=19), "length=19"),
    ],
)
def test_bad_options(build, key):
    with pytest.raises(RnnsimError, match=f"^{key}: ") as found:
        build()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("symbols, length, starts", [(3, 100, (10, 33, 66)), (2, 40, (4, 20))])
def test_continual_temporal_order(symbols, length, starts):
    task = ContinualTemporalOrder(symbols=symbols, length=length, steps=6500)
    assert task.target_names == tuple(map("".join, itertools.product("XY", repeat=symbols)))
    parts = [task.training_batch(1, step, 20) for step in range(2)]
    x, d, w = (np.concatenate([getattr(part, name) for part in parts]) for name in ("inputs", "targets", "weights"))
    assert (x.sum(axis=2) == 1).all() and np.array_equal(d.sum(axis=2), w)
    letters, lengths, places, classes, filling = np.array(task.input_names), [], [], [], Counter()
    for b in range(20):
        text = "".join(letters[x[:, b].argmax(axis=1)])
        assert np.array_equal(np.flatnonzero(w[:, b]), [t for t, letter in enumerate(text) if letter == "B"])
        begin = 0
        for end in np.flatnonzero(w[:, b]):
            word = text[begin : end + 1]
            assert word[0] == "E" and word.count("E") == word.count("B") == 1
            found = [t for t, letter in enumerate(word) if letter in "XY"]
            places.append(found)
            lengths.append(len(word))
            classes.append(task.target_names.index("".join(word[t] for t in found)))
            assert d[end, b, classes[-1]] == 1
            filling.update(word)
            begin = end + 1
    assert_even(lengths, length, length * 11 // 10)
    assert_even(classes, 0, 2**symbols - 1)
    for zone, start in zip(np.array(places).T, starts, strict=True):
        assert_even(zone, start, start + length // 10)
    assert stats.chisquare([filling[letter] for letter in "abcd"]).pvalue > LEVEL
    # Over batches, targets stand where the sequences of a stream end.
    near = np.abs(parts[1].targets - 0.29)
    assert task.correct(near, parts[1]).all()
    near[np.flatnonzero(parts[1].weights[:, 2])[0], 2, 0] = 0.5
    assert task.correct(near, parts[1]).tolist() == [b != 2 for b in range(20)]
    assert math.isclose(task.trivial_loss, 1 - 2.0**-symbols)
