"""The content of the tasks: targets derived again from the inputs, and the distributions that their docstrings state."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rnnsim.data.digits import digits
from rnnsim.data.text import named_text
from rnnsim.tasks import XOR, Adding, Copy, DelayedRecall, Digits, Multiplication, Sine, TemporalOrder, Text
from rnnsim.tasks.adding import first_pair_marked

LEVEL = 1e-3  # seeds are fixed: a test that passes once always passes


def many(task, count=6000, seed=5):
    return task.training_batch(seed, 0, count)


def assert_uniform(values, low, high):
    """Whole numbers, those of low .. high equally frequent."""
    values = np.ravel(values)
    assert values.min() >= low and values.max() <= high
    assert stats.chisquare(np.bincount(values - low, minlength=high - low + 1)).pvalue > LEVEL


def assert_shares(found, expected):
    """A Counter of outcomes against their probabilities."""
    assert set(found) <= set(expected)
    total = sum(found.values())
    counts, wanted = zip(*((found[key], total * share) for key, share in expected.items()))
    assert sum(wanted) == pytest.approx(total)
    assert stats.chisquare(counts, wanted).pvalue > LEVEL


# -- adding and multiplication ------------------------------------------------------------------------------------------


def visible_marks(batch, b):
    return tuple(int(t) for t in np.flatnonzero(batch.inputs[:, b, 1] == 1))


@pytest.mark.parametrize("length", [4, 13, 30, 100])
def test_adding_and_multiplication_as_published(length):
    adding, product = many(Adding(length=length), 300), many(Multiplication(length=length), 300)
    for batch, low in ((adding, -1), (product, 0)):
        for b in range(batch.size):
            n = batch.lengths[b]
            marker, values, places = batch.inputs[:n, b, 1], batch.inputs[:n, b, 0], visible_marks(batch, b)
            assert marker[0] == marker[-1] == -1 and set(marker[1:-1]) <= {0, 1}
            assert 1 <= len(places) <= 2 and max(places) < max(length // 2, 2)
            assert values.min() >= low and values.max() <= 1
            if low:
                assert batch.targets[b, 0] == pytest.approx(0.5 + sum(values[t] for t in places) / 4, abs=1e-6)
            else:
                assert batch.targets[b, 0] == pytest.approx(math.prod(float(values[t]) for t in places), abs=1e-6)


def pairs(length):
    """Probability of every (first, second) place of the marks, drawn one after the other."""
    early = range(min(10, length // 2))
    for one in early:
        rest = [t for t in range(length // 2) if t != one]
        for two in rest:
            yield (one, two), 1 / len(early) / len(rest)


@pytest.mark.parametrize("length", [4, 9, 20, 100])
def test_trivial_loss_by_enumeration(length):
    q = sum(share for places, share in pairs(length) if 0 in places)
    assert first_pair_marked(length) == pytest.approx(q)
    # Given the places the target is a sum (or product) of one or two independent numbers: law of total variance.
    assert Adding(length=length).trivial_loss == pytest.approx(((1 - q) * 2 + q) / 3 / 16)
    mean, square = (1 - q) / 4 + q / 2, (1 - q) / 9 + q / 3
    assert Multiplication(length=length).trivial_loss == pytest.approx(square - mean**2)


@pytest.mark.parametrize("cls", [Adding, Multiplication])
def test_places_and_lengths_of_marks(cls):
    batch = many(cls(length=30))
    assert_uniform(batch.lengths, 30, 33)
    expected = Counter()
    for places, share in pairs(30):
        expected[tuple(sorted(t for t in places if t > 0))] += share
    assert_shares(Counter(visible_marks(batch, b) for b in range(batch.size)), expected)
    values = batch.inputs[:30, :400, 0].ravel()
    low = -1 if cls is Adding else 0
    assert stats.kstest(values, stats.uniform(low, 1 - low).cdf).pvalue > LEVEL


def test_constant_is_right_as_often_as_published():
    batch = many(Adding(), 20000)
    both = np.array([len(visible_marks(batch, b)) == 2 for b in range(batch.size)])
    right = Adding().correct(np.full((batch.size, 1), 0.5), batch)[both]
    assert abs(right.mean() - (1 - 0.92**2)) < 4 * math.sqrt(0.13 / both.sum())


def test_modern_adding():
    batch = many(Adding(length=21, variant="modern"))
    assert batch.lengths is None and batch.inputs.shape == (21, 6000, 2)
    assert set(batch.inputs[..., 1].ravel()) == {0, 1}
    places = np.argwhere(batch.inputs[..., 1].T == 1)[:, 1].reshape(-1, 2)
    assert_uniform(places[:, 0], 0, 9)
    assert_uniform(places[:, 1], 10, 20)
    total = (batch.inputs[..., 0] * batch.inputs[..., 1]).sum(axis=0)
    assert np.allclose(batch.targets[:, 0], total, atol=1e-6)
    assert stats.kstest(batch.inputs[..., 0][:, :300].ravel(), "uniform").pvalue > LEVEL


# -- symbols --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbols, starts", [(2, (10, 50)), (3, (10, 33, 66)), (4, (10, 29, 47, 66))])
def test_temporal_order(symbols, starts):
    task = TemporalOrder(symbols=symbols)
    batch = many(task, 3000)
    names = ["".join(name) for name in itertools.product("XY", repeat=symbols)]
    assert task.target_names == tuple(names) and task.n_outputs == 2**symbols
    assert_uniform(batch.lengths, 100, 110)
    letters = np.array(task.input_names)
    places, filling, classes = [], Counter(), []
    for b in range(batch.size):
        n = batch.lengths[b]
        assert (batch.inputs[:n, b].sum(axis=1) == 1).all()
        word = letters[batch.inputs[:n, b].argmax(axis=1)]
        assert word[0] == "E" and word[-1] == "B"
        found = [t for t in range(n) if word[t] in "XY"]
        places.append(found)
        name = "".join(word[t] for t in found)
        classes.append(names.index(name))
        assert batch.targets[b].tolist() == [float(name == other) for other in names]
        if b < 300:
            filling.update(word[[t for t in range(1, n - 1) if t not in found]])
    assert_uniform(np.array(classes), 0, 2**symbols - 1)
    for zone, start in zip(np.array(places).T, starts, strict=True):
        assert_uniform(zone, start, start + 10)
    assert_shares(filling, dict.fromkeys("abcd", 0.25))
    chosen = TemporalOrder(symbols=symbols, loss="softmax").training_batch(5, 0, 3000)
    assert np.array_equal(chosen.targets, classes) and np.array_equal(chosen.inputs, batch.inputs)


def test_temporal_order_scaled():
    for symbols, length in itertools.product((2, 3, 4), (20, 23, 57, 250)):
        batch = many(TemporalOrder(symbols=symbols, length=length), 200)
        found = batch.inputs[..., 6:].sum(axis=(0, 2))
        assert (found == symbols).all()  # zones never meet
        assert batch.lengths.min() >= length and batch.lengths.max() <= length * 11 // 10


def test_copy():
    batch = many(Copy(width=5, min_length=2, max_length=9), 2000)
    counts = (batch.lengths - 1) // 2
    assert_uniform(counts, 2, 9)
    bits = Counter()
    for b, count in enumerate(counts):
        end = 2 * count + 1
        x, d, w = batch.inputs[:, b], batch.targets[:, b], batch.weights[:, b]
        assert set(x.ravel()) <= {0, 1}
        assert x[:, 5].tolist() == [float(t == count) for t in range(len(x))]
        assert not x[count:, :5].any() and not d[: count + 1].any()
        assert np.array_equal(d[count + 1 : end], x[:count, :5])
        assert w.tolist() == [float(count < t < end) for t in range(len(x))]
        bits.update(x[:count, :5].ravel())
    assert_shares(bits, {0: 0.5, 1: 0.5})


def test_copy_beyond_one_word_of_random_bits():
    x = many(Copy(width=40, min_length=3, max_length=3), 2000).inputs[:3, :, :40]
    total = x.sum(axis=1).ravel()
    assert np.abs(total - 1000).max() < 5 * math.sqrt(500)
    flat = x.transpose(1, 0, 2).reshape(2000, -1)
    assert np.abs(np.corrcoef(flat.T) - np.eye(120)).max() < 5.5 / math.sqrt(2000)


def test_delayed_recall():
    task = DelayedRecall(symbols=5, delay=7, distractors=3)
    batch = many(task, 3000)
    assert batch.inputs.shape == (9, 3000, 9) and (batch.inputs.sum(axis=2) == 1).all()
    seen = batch.inputs.argmax(axis=2)
    assert np.array_equal(seen[0], batch.targets) and (seen[-1] == 8).all()
    assert_uniform(seen[0], 0, 4)
    assert_uniform(seen[1:-1], 5, 7)
    blank = many(DelayedRecall(symbols=5, delay=7, distractors=0), 50)
    assert not blank.inputs[1:-1].any() and blank.inputs.shape[2] == 6


@pytest.mark.parametrize("delay", [0, 2, 4])
def test_xor(delay):
    batch = many(XOR(delay=delay, length=20), 500)
    bits = batch.inputs.astype(int)
    assert_uniform(2 * bits[..., 0] + bits[..., 1], 0, 3)
    for t in range(20):
        assert (batch.weights[t] == (t >= delay)).all()
        if t >= delay:
            assert np.array_equal(batch.targets[t, :, 0], bits[t - delay, :, 0] ^ bits[t - delay, :, 1])


def test_sine():
    t = np.arange(60)
    plain = many(Sine(period=25, length=60), 3)
    assert plain.inputs[:, 1, 0].tolist() == [1.0] + 59 * [0.0]
    assert np.allclose(plain.targets[:, 1, 0], np.sin(2 * np.pi * t / 25), atol=1e-6)
    spread = many(Sine(period=10, length=60, spread=0.4, input="constant"), 2000)
    frequency = spread.inputs[0, :, 0]
    assert (spread.inputs == frequency[:, None]).all()
    assert np.allclose(spread.targets[..., 0], np.sin(2 * np.pi * np.outer(t, frequency) / 10), atol=1e-4)
    assert stats.kstest(frequency, stats.uniform(0.6, 0.8).cdf).pvalue > LEVEL
    assert np.array_equal(spread.targets, many(Sine(period=10, length=60, spread=0.4), 2000).targets)


# -- text and images ------------------------------------------------------------------------------------------------------


def test_text_streams_read_the_ring():
    task, content = Text(steps=30, test=0.1, validation=0.05), named_text("moby-dick")
    train = content[: len(content) - round(0.1 * len(content)) - round(0.05 * len(content))]
    size, read = 7, [""] * 7
    for step in range(4):
        batch = task.training_batch(2, step, size)
        assert np.array_equal(batch.targets[:-1], batch.inputs[1:])
        for b in range(size):
            read[b] += task.decode(batch.inputs[:, b])
            assert task.decode(batch.inputs[:, b]) + task.decode(batch.targets[-1:, b]) in train + train[:31]
    ring = train + train[:200]
    place = [ring.index(text) for text in read]
    gaps = np.diff([*place, place[0] + len(train)]) % len(train)
    assert np.abs(gaps - len(train) / size).max() <= 1
    late = task.training_batch(2, len(train) // 30 + 1, 1)  # across the seam of the ring
    assert task.decode(late.inputs[:, 0]) in ring


def test_text_held_out_parts_are_read_once():
    content = named_text("moby-dick")
    task = Text(steps=30, test=0.01, validation=0.02)
    held, kept = round(0.01 * len(content)), round(0.02 * len(content))
    parts = {"test": content[-held:], "validation": content[-held - kept : -held]}
    for split, text in parts.items():
        for size in (1, 4):
            batches = list(task.evaluation_batches(0, size, split=split))
            assert same_streams(task, batches, text, size)
            again = task.evaluation_batches(99, size, split=split)
            assert all(np.array_equal(a.inputs, b.inputs) for a, b in zip(batches, again, strict=True))
    assert sum(batch.size for batch in task.evaluation_batches(0, 4, 10)) == 8
    assert task.example().inputs.shape == (30, 1)


def same_streams(task, batches, text, size):
    """Whether the streams, one behind the other, are the text."""
    read = ["".join(task.decode(batch.inputs[:, b]) for batch in batches) for b in range(size)]
    last = ["".join(task.decode(batch.targets[:, b]) for batch in batches) for b in range(size)]
    count = len(read[0])
    return (
        text.startswith("".join(read))
        and text[1 : 1 + size * count] == "".join(last)
        and size > len(text) - size * count - 1
    )


def test_text_trivial_loss_and_accuracy():
    task, content = Text(test=0.1), named_text("moby-dick")
    train = content[: len(content) - round(0.1 * len(content))]
    shares = np.array(list(Counter(train).values())) / len(train)
    assert task.trivial_loss == pytest.approx(-(shares * np.log2(shares)).sum())
    batch = task.training_batch(0, 0, 3)
    outputs = np.eye(task.n_outputs)[batch.targets]
    outputs[:25] = 0
    outputs[:25, ..., 0] = 1
    expected = (25 + (batch.targets[:25] == 0).sum(axis=0)) / 50
    assert np.allclose(task.metrics(outputs, batch)["accuracy"], expected)


def test_text_of_a_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("abcd" * 100, encoding="utf-8")
    task = Text(path=str(path), steps=5)
    assert task.n_inputs == 4 and task.trivial_loss == pytest.approx(2)
    batch = task.training_batch(0, 0, 2)
    assert np.array_equal(batch.targets, (batch.inputs + 1) % 4)


def test_digits_row_by_row():
    images, labels = digits()
    task = Digits(validation=97)
    test = list(task.evaluation_batches(0, 128))
    assert np.array_equal(np.concatenate([b.inputs for b in test], axis=1).transpose(1, 0, 2) * 16, images[-300:])
    assert np.array_equal(np.concatenate([b.targets for b in test]), labels[-300:])
    kept = next(task.evaluation_batches(0, 97, split="validation"))
    assert np.array_equal(kept.targets, labels[1400:1497])
    epoch = task.training_batch(4, 0, 1400)
    assert np.array_equal(np.sort(epoch.targets), np.sort(labels[:1400]))
    found = {image.tobytes() for image in (epoch.inputs.transpose(1, 0, 2) * 16).astype(np.uint8)}
    assert found == {image.tobytes() for image in images[:1400]}
