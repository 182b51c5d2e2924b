"""The user's own arrays and reviews: reading, cutting, and one line for every fault."""

import csv
import io
import json
import math
import tarfile

import numpy as np
import pytest

from rnnsim.data.imdb import words
from rnnsim.errors import RnnsimError
from rnnsim.tasks import IMDB, TASKS, Arrays

RNG = np.random.default_rng(1)
T, N = 9, 40
X = RNG.normal(size=(T, N, 3)).astype(np.float32)
LENGTHS = RNG.integers(2, T + 1, N)
SERIES = RNG.normal(size=(600, 2)).astype(np.float32)


def epoch(task, split="train"):
    """All examples of a part, in order, as one batch."""
    return task.gather(task._parts[split])


# -- how shapes are read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs, targets, options, kind, when, outputs",
    [
        (X, X[..., :2], {}, "squared_error", "every", 2),
        (X, X[0], {}, "squared_error", "last", 3),
        (X, X[0, :, 0], {}, "squared_error", "last", 1),
        (X, X[..., 0], {}, "squared_error", "every", 1),
        (X, np.arange(N) % 3, {}, "softmax", "last", 3),
        (X, np.arange(N) % 3, {"classes": 5}, "softmax", "last", 5),
        (X, np.arange(N) % 3, {"loss": "squared_error"}, "squared_error", "last", 1),
        (X, np.arange(N) % 3.0, {"loss": "softmax"}, "softmax", "last", 3),
        (X, np.arange(T * N).reshape(T, N) % 4, {}, "softmax", "every", 4),
        (X, np.eye(4)[np.arange(N) % 4], {"loss": "softmax"}, "softmax", "last", 4),
        (X, X[..., :2] > 0, {"loss": "bernoulli"}, "bernoulli", "every", 2),
        (X[:, :T], X[:, :T, 0], {"when": "last"}, "squared_error", "last", T),
        (X[:, :T], X[:, :T, 0], {"when": "every"}, "squared_error", "every", 1),
        (X[:, :T], np.arange(T * T).reshape(T, T) % 4, {}, "softmax", "every", 4),
        (X, None, {}, "squared_error", "every", 3),
        (SERIES, None, {}, "squared_error", "every", 2),
        (SERIES[:, 0], None, {}, "squared_error", "every", 1),
        (SERIES, np.arange(600) % 7, {}, "softmax", "every", 7),
        (SERIES, SERIES[:, 0], {}, "squared_error", "every", 1),
        (np.arange(600) % 7, None, {"tokens": True}, "softmax", "every", 7),
        (np.arange(T * N).reshape(T, N) % 7, np.arange(N) % 3, {"tokens": True}, "softmax", "last", 3),
        (np.arange(T * N).reshape(T, N) % 7, X, {"tokens": True}, "squared_error", "every", 3),
    ],
)
def test_readings(inputs, targets, options, kind, when, outputs):
    task = Arrays(inputs, targets, **options)
    assert (task.loss.kind, task.loss.when, task.n_outputs) == (kind, when, outputs)
    assert task.loss.per == ("step" if when == "every" else "sequence")
    assert task.n_inputs == (7 if task.tokens else (inputs.shape[-1] if inputs.ndim > 1 else 1))
    batch = task.training_batch(0, 0, 5)
    shape = (*batch.inputs.shape[:2], outputs) if when == "every" else (5, outputs)
    result = np.zeros(shape, np.float32)
    assert np.isfinite(task.loss.evaluate(result, batch.targets, batch.weights, batch.lengths))
    assert (task.correct(result, batch) is None) == (kind == "squared_error")
    assert set(task.metrics(result, batch)) == ({"error", "accuracy"} if kind == "softmax" else {"error"})


def test_parts_of_sequences():
    targets = np.arange(N)
    task = Arrays(X, targets, test=0.25, validation=0.1)
    parts = {split: epoch(task, split) for split in ("train", "validation", "test")}
    assert [batch.size for batch in parts.values()] == [26, 4, 10]
    seen = np.concatenate([batch.targets for batch in parts.values()])
    assert sorted(seen) == list(range(N)) and list(seen) != sorted(seen)
    for batch in parts.values():
        assert np.array_equal(batch.inputs, X[:, batch.targets])
    plain = Arrays(X, targets, test=0.25, shuffle=False)
    assert epoch(plain, "test").targets.tolist() == list(range(30, 40))


def test_windows_of_a_series():
    task = Arrays(SERIES, steps=50, stride=7, test=0.2, validation=0.1)
    last = 599 - 120 - 60
    train, kept, test = (epoch(task, split) for split in ("train", "validation", "test"))
    assert (train.size, kept.size, test.size) == (len(range(0, last - 49, 7)), 1, 2)
    for batch, first, stride in ((train, 0, 7), (kept, last, 50), (test, last + 60, 50)):
        for b in range(batch.size):
            start = first + b * stride
            assert np.array_equal(batch.inputs[:, b], SERIES[start : start + 50])
            assert np.array_equal(batch.targets[:, b], SERIES[start + 1 : start + 51])
    with pytest.raises(RnnsimError, match="unknown split"):
        next(Arrays(SERIES, test=0).evaluation_batches(0, 1))


def test_lengths_and_weights():
    rest = np.arange(T)[:, None] >= LENGTHS
    inputs, targets, weights = X.copy(), np.arange(T * N).reshape(T, N) % 3.0, RNG.random((T, N))
    inputs[rest], targets[rest], weights[rest] = np.nan, np.nan, np.nan  # values beyond a length do not matter
    given = dict(inputs=inputs, targets=targets, lengths=LENGTHS, weights=weights)
    task = Arrays(given, loss="softmax", shuffle=False)
    batch = task.gather(np.arange(5))
    longest = LENGTHS[:5].max()
    assert batch.inputs.shape == (longest, 5, 3) and np.array_equal(batch.lengths, LENGTHS[:5])
    assert np.array_equal(batch.inputs, np.nan_to_num(inputs[:longest, :5]))
    assert np.array_equal(batch.targets, np.nan_to_num(targets[:longest, :5]))
    assert np.allclose(batch.weights, np.nan_to_num(weights[:longest, :5]))
    last = Arrays(dict(inputs=inputs, lengths=LENGTHS), np.arange(N) % 2).gather(np.arange(5))
    assert last.inputs.shape == (longest, 5, 3) and last.targets.shape == (5,)
    ahead = Arrays(dict(inputs=inputs, lengths=LENGTHS), shuffle=False).gather(np.arange(N))
    for b, n in enumerate(LENGTHS):
        assert ahead.lengths[b] == n - 1
        assert np.array_equal(ahead.inputs[: n - 1, b], inputs[: n - 1, b]) and not ahead.inputs[n - 1 :, b].any()
        assert np.array_equal(ahead.targets[: n - 1, b], inputs[1:n, b]) and not ahead.targets[n - 1 :, b].any()


def test_weights_of_a_series():
    weights = RNG.integers(0, 2, 600).astype(float)
    task = Arrays(dict(inputs=SERIES, weights=weights), steps=20, test=0)
    batch = epoch(task)
    assert np.array_equal(batch.weights.T.ravel(), weights[1 : 1 + batch.weights.size])


def test_the_file_formats_agree(tmp_path):
    np.save(tmp_path / "x.npy", SERIES)
    np.save(tmp_path / "d.npy", SERIES[:, :1] * 2)
    np.savez_compressed(tmp_path / "xd.npz", inputs=SERIES, targets=SERIES[:, :1] * 2)
    with open(tmp_path / "xd.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["load", "twice", "price"])
        writer.writerows((repr(float(a)), repr(float(2 * a)), repr(float(b))) for a, b in SERIES)
    path = lambda name: str(tmp_path / name)  # noqa: E731
    tasks = [
        Arrays(SERIES, SERIES[:, :1] * 2),
        Arrays(path("x.npy"), path("d.npy")),
        Arrays(path("xd.npz")),
        Arrays(tmp_path / "xd.csv", target_columns=("twice",)),
        Arrays(path("xd.csv"), target_columns=("2",)),
        TASKS.build("arrays", {"inputs": path("xd.csv"), "target_columns": "twice"}),
    ]
    first = tasks[0].training_batch(3, 1, 4)
    for task in tasks[1:]:
        batch = task.training_batch(3, 1, 4)
        assert np.array_equal(batch.inputs, first.inputs) and np.array_equal(batch.targets, first.targets)
        assert task.trivial_loss == tasks[0].trivial_loss


# -- faults -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs, targets, options, message",
    [
        (X, X[:, :-1], {}, r"targets of shape \(9, 39, 3\) do not fit inputs \(9, 40, 3\), expected"),
        (X[:, :T], X[:, :T, 0], {}, "give when=every or when=last"),
        (X, X, {"when": "last"}, "expected .40,. or .40, K."),
        (SERIES, SERIES, {"when": "last"}, "targets of a series stand at every time step"),
        (X, None, {"when": "last"}, "give targets"),
        (X[:1], None, {}, "no next one to predict"),
        (np.where(X > 2, np.nan, X), X, {}, r"inputs\[\d, \d+, \d\] is nan, expected finite"),
        (X, np.where(X > 2, np.inf, X), {}, r"targets\[\d, \d+, \d\] is inf, expected finite"),
        (X.astype(float) * 1e300, X, {}, "inf, expected finite"),
        (X, np.arange(N) - 1, {}, r"targets\[0\] is -1, expected a whole number of at least 0"),
        (X, X[0, :, 0] + 0.5, {"loss": "softmax"}, "expected a whole number"),
        (X, np.arange(N), {"classes": 39}, "has a class 39, expected 0 to 38"),
        (X, np.zeros(N, int), {}, "at least two classes"),
        (X, X, {"classes": 3}, "are no classes"),
        (X, X, {"loss": "bernoulli"}, "loss=bernoulli expects 0 to 1"),
        (X, np.ones((N, 3)), {"loss": "softmax"}, "shares that add up to 1"),
        (X[:0], None, {}, r"\(0, 40, 3\) are empty"),
        (X[:, :0], None, {}, "are empty"),
        (X[:, :, :0], None, {}, "are empty"),
        (X, X[:0], {}, "are empty"),
        (X[0, 0, 0], None, {}, r"shape \(\), expected"),
        (X, None, {"tokens": True}, "of symbols"),
        (np.arange(9) - 3, None, {"tokens": True}, r"inputs\[0\] is -3"),
        (np.arange(60) % 3, None, {"tokens": True, "loss": "squared_error"}, "needs loss=softmax"),
        (X[:, :2], X[:, :2], {"test": 0.8}, "expected at least one for training"),
        (SERIES[:60], None, {}, "6 time steps for the test part, expected at least steps=50"),
        (SERIES[:40], None, {"test": 0}, "39 time steps for the training part"),
        (X, X, {"test": 0.5, "validation": 0.5}, "expected a sum below 1"),
        ([[1, 2], [3]], None, {}, "rows of different lengths"),
        (np.array([["a", "b"]]), None, {}, "expected numbers"),
        (X + 1j, None, {}, "expected numbers"),
        (X, X, {"target_columns": ("a",)}, "no .csv file"),
        (dict(inputs=X, targets=X), X, {}, "has targets already"),
        (dict(targets=X), None, {}, "no array 'inputs', only targets"),
        (dict(inputs=X, lengths=LENGTHS + T), None, {}, "expected 1 to 9, the number of time steps"),
        (dict(inputs=X, lengths=LENGTHS * 0), None, {}, "expected 1 to 9"),
        (dict(inputs=X, lengths=LENGTHS / 2), None, {}, "expected a whole number"),
        (dict(inputs=X, lengths=LENGTHS[1:]), None, {}, r"lengths of shape \(39,\), expected \(40,\)"),
        (dict(inputs=SERIES, lengths=LENGTHS), None, {}, "are one series"),
        (dict(inputs=X, weights=X), None, {}, r"weights of shape \(9, 40, 3\), expected \(9, 40\)"),
        (dict(inputs=X, weights=X[..., 0]), None, {}, "expected 0 or more"),
        (dict(inputs=X, weights=0 * X[..., 0]), None, {}, "all weights of the training part are 0"),
        (dict(inputs=X, weights=X[..., 0] ** 2), X[0], {}, "weights belong to targets at every time step"),
    ],
)
def test_arrays_that_do_not_fit(inputs, targets, options, message):
    with pytest.raises(RnnsimError, match=message) as found:
        Arrays(inputs, targets, **options)
    assert "\n" not in str(found.value)


def test_messages_name_the_file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "d.npy", X[:, 1:])
    with pytest.raises(RnnsimError, match=r"d\.npy: targets of shape"):
        Arrays(str(tmp_path / "x.npy"), str(tmp_path / "d.npy"))
    np.save(tmp_path / "x.npy", np.where(X > 2, np.nan, X))
    with pytest.raises(RnnsimError, match=r"x\.npy: inputs\["):
        Arrays(str(tmp_path / "x.npy"))


# -- reviews --------------------------------------------------------------------------------------------------------------

REVIEWS = [("Good, <br /><br />GOOD film! It's fun.", 1), ("bad film", 0), ("...", 0), ("a good one", 1)] * 10


def official(reviews):
    """{path in the archive: text}: every review in both parts."""
    return {
        f"aclImdb/{part}/{'pos' if label else 'neg'}/{k}_{9 * label + 1}.txt": f"{text} {part}"
        for part in ("train", "test")
        for k, (text, label) in enumerate(reviews)
    }


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name, text in {
            **official(REVIEWS),
            "aclImdb/train/unsup/0_0.txt": "no label",
            "aclImdb/README": "!",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            file.addfile(member, io.BytesIO(text.encode()))
    return path


def test_words():
    assert words("Don't<br>STOP--now!<BR/> naïve 3.5 _x_ 'quoted' it''s") == (
        ["don't", "stop", "now", "naïve", "3", "5", "x", "quoted", "it", "s"]
    )


def test_archive_and_folder_give_the_same(archive, tmp_path):
    for name, text in official(REVIEWS).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    one, two, three = (IMDB(path=str(path)) for path in (archive, tmp_path, tmp_path / "aclImdb"))
    for other in (two, three):
        a, b = one.training_batch(1, 0, 20), other.training_batch(1, 0, 20)
        assert np.array_equal(a.inputs, b.inputs) and np.array_equal(a.targets, b.targets) and one.words == other.words
    assert len(one.train_rows) == 40 and one.trivial_loss == pytest.approx(math.log(2))
    test = next(one.evaluation_batches(0, 100))
    # "test" is not a word of the training part, so it is unknown.
    assert {one.decode(test.inputs[: test.lengths[b], b]) for b in range(40)} == {
        "good good film it's fun ?",
        "bad film ?",
        "?",
        "a good one ?",
    }
    assert "train" in one.words and "test" not in one.words


def test_json_and_csv_give_the_same(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps([{"t": text, "s": label} for text, label in REVIEWS]))
    with open(tmp_path / "r.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [("text", "label", "source")] + [(text, ("neg", "pos")[label], "x") for text, label in REVIEWS]
        )
    one, two = IMDB(path=str(tmp_path / "r.json")), IMDB(path=str(tmp_path / "r.csv"))
    a, b = one.training_batch(1, 0, 20), two.training_batch(1, 0, 20)
    assert np.array_equal(a.inputs, b.inputs) and np.array_equal(a.targets, b.targets)
    assert len(one.train_rows) == 20 and sum(part.size for part in one.evaluation_batches(0, 7)) == 20
    for batch in (a, next(one.evaluation_batches(0, 20))):
        for b in range(20):
            text = one.decode(batch.inputs[: batch.lengths[b], b])
            assert (batch.targets[b] == 1) == ("good" in text)
            assert text in ("good good film it's fun", "bad film", "?", "a good one")


def test_vocabulary_and_length(tmp_path):
    texts = ["rare " + 8 * "often " + 3 * "second " + f"only{k} end" for k in range(20)]
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"t": text, "s": k % 2} for k, text in enumerate(texts)]))
    task = IMDB(path=str(path), vocabulary=4, length=6)
    assert task.words == ("", "often", "second", "rare", "end") and task.n_inputs == 5
    batch = task.training_batch(0, 0, 10)
    assert batch.inputs.T.tolist() == 10 * [[1, 2, 2, 2, 0, 4]] and (batch.lengths == 6).all()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("r.json", "[{", "r.json is damaged: no JSON at line 1"),
        ("r.json", "{}", "expected a list"),
        ("r.json", '[{"t": "a", "s": 0}, {"t": 3, "s": 0}]', "entry 2: expected"),
        ("r.json", '[{"t": "a", "s": 7}]', "entry 1: label '7', expected one of"),
        ("r.json", '[{"t": "a", "s": 0}]', "1 reviews, expected at least 2"),
        ("r.json", "[]", "0 reviews"),
        ("r.csv", "", "columns text and label"),
        ("r.csv", "text,verdict\na,0\n", "columns text and label"),
        ("r.csv", "text,label\na,0\nb\n", "line 3: expected a text and a label"),
        ("r.csv", "text,label\na,0\nb,good\n", "line 3: label 'good'"),
        ("r.tar.gz", "no archive", "damaged gzipped data"),
        ("r.txt", "a", "expected aclImdb_v1.tar.gz"),
    ],
)
def test_bad_reviews(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RnnsimError, match=message) as found:
        IMDB(path=str(path))
    assert "\n" not in str(found.value) and name in str(found.value)


def test_bad_archives_and_folders(archive, tmp_path):
    whole = archive.read_bytes()
    for kept in (0, 20, len(whole) // 2, len(whole) - 9):
        archive.write_bytes(whole[:kept])
        with pytest.raises(RnnsimError, match="damaged|cut short"):
            IMDB(path=str(archive))
    half = len(whole) // 2
    archive.write_bytes(whole[:half] + bytes([whole[half] ^ 255]) + whole[half + 1 :])
    with pytest.raises(RnnsimError, match="damaged|cut short"):
        IMDB(path=str(archive))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RnnsimError, match="no folder train/neg"):
        IMDB(path=str(tmp_path / "empty"))
    with pytest.raises(RnnsimError, match="No such file"):
        IMDB(path=str(tmp_path / "nothing.tar.gz"))
