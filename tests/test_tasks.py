"""The contract of a task, for every name in the registry; small files replace the data that must be fetched."""

import dataclasses
import json
import math
import os
import subprocess
import sys
import typing

import numpy as np
import pytest

from rnnsim.core.batch import Sequences
from rnnsim.core.forest import Forest
from rnnsim.core.registry import option_table
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.data.idx import write_idx
from rnnsim.data.regions import FILES as REGIONS
from rnnsim.errors import RnnsimError
from rnnsim.tasks import TASKS, EmbeddedReber
from rnnsim.tasks.examples import ExampleTask
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.streams import StreamTask

NAMES = TASKS.names()


def write_treebank(folder, rng):
    """Files of a treebank: random words, whose heads make projective trees."""

    def heads(first, last, above):
        if first == last:
            return []
        root = int(rng.integers(first, last))
        return [*heads(first, root, root + 1), above, *heads(root + 1, last, root + 1)]

    for part, count in (("train", 70), ("dev", 60), ("test", 60)):
        lines = []
        for _ in range(count):
            for word, head in enumerate(heads(0, int(rng.integers(4, 12)), 0), 1):
                form = rng.choice(["owl", "Cat", "mice", "runs", "sadly", "sang", "at", "the", "4"])
                lines.append(f"{word} {form} _ {rng.choice(['NOUN', 'VERB'])} _ _ {head} _ _ _".replace(" ", "\t"))
            lines.append("")
        (folder / f"xx_own-ud-{part}.conllu").write_text("\n".join(lines))


def write_rated(path, rng):
    rows = [" ".join(rng.choice(list("abcdefgh"), rng.integers(9, 20))) for _ in range(300)]
    path.write_text("".join(f"{k}\t{(k % 2) * 2 - 1.5}\t{row}\n" for k, row in enumerate(rows)))


def write_regions(folder, rng):
    for name, count in zip(REGIONS.values(), (70, 35)):
        rows = [f"{k},{rng.normal():.6f},{rng.normal():.6f},9,kind{k % 7}" for k in range(count)]
        names = ("region-centroid-row", "light", "hue", "region-pixel-count")
        head = [f"@attribute {name} numeric" for name in names]
        head.append("@attribute class {" + ",".join(f"kind{k}" for k in range(7)) + "}")
        (folder / name).write_text("\n".join(["@relation own", *head, "@data", *rows]))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Options that make tasks over real data read small files in the same formats."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 28, 28)).astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    reviews = [{"t": " ".join(rng.choice(list("abcdefgh"), rng.integers(9, 40))), "s": k // 40} for k in range(80)]
    (folder / "reviews.json").write_text(json.dumps(reviews))
    lengths, inputs = rng.integers(3, 10, 70), rng.normal(size=(9, 70, 3))
    weights, targets = rng.integers(0, 3, (9, 70)) / 2, rng.integers(0, 4, (9, 70))
    np.savez(folder / "mine.npz", inputs=inputs, targets=targets, lengths=lengths, weights=weights)
    write_treebank(folder, rng)
    write_rated(folder / "rated.txt", rng)
    write_regions(folder, rng)
    images = {"path": str(folder)}
    return {
        **{name: {"path": str(folder)} for name in ("bracketing", "scenes")},
        **{name: {"path": str(folder / "rated.txt")} for name in ("sentiment", "sentiment-words")},
        **{name: images for name in ("mnist-rows", "mnist-pixels", "fashion-rows")},
        "imdb": {"path": str(folder / "reviews.json"), "length": 25},
        "arrays": {"inputs": str(folder / "mine.npz"), "test": 0.2, "validation": 0.1},
    }


@pytest.fixture(params=[(name, options) for name in NAMES for options in TASKS.load(name).tested_options], ids=str)
def task(request, files):
    name, options = request.param
    return TASKS.build(name, {**files.get(name, {}), **options})


def fields(batch):
    """The arrays of a batch of any kind, not copied."""
    found = [getattr(batch, field.name) for field in dataclasses.fields(batch) if field.init]
    found = [part for value in found for part in (value if isinstance(value, Parses) else [value])]
    return [value for value in found if isinstance(value, np.ndarray)]


def arrays(batch):
    return [array.copy() for array in fields(batch)]


def same(one, other):
    one, other = arrays(one), arrays(other)
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def sequences(task, batches):
    """Every example alone, sequences cut to their lengths: a tuple of (shape, bytes)."""
    found = []
    for batch in batches:
        for b in range(batch.size):
            found.append(tuple((part.shape, part.tobytes()) for part in arrays(batch.take(slice(b, b + 1)))))
    return found


def test_shapes_and_types(task):
    assert task.n_inputs >= 1 and task.n_outputs >= 1
    for names, count in ((task.input_names, task.n_inputs), (task.target_names, task.n_outputs)):
        assert names is None or len(names) == count
    for size in (1, 5):
        batches = [task.training_batch(3, 2, size), next(task.evaluation_batches(3, size)), task.example()]
        for batch, count in zip(batches, (size, size, 1)):
            assert isinstance(batch, task.makes) and batch.size == count and batch.work >= count
            require_inputs(task, batch)
            require_targets(task, batch)
            assert all(array.flags.c_contiguous for array in fields(batch))


def places(batch):
    """The shape of what has an input of its own: time steps and sequences, nodes, segments."""
    return batch.inputs.shape[:2] if isinstance(batch, Sequences) else batch.inputs.shape[:1]


def require_inputs(task, batch):
    if task.tokens:
        assert batch.inputs.shape == places(batch) and batch.inputs.dtype == np.int32
        assert batch.inputs.max() < task.n_inputs
        assert batch.inputs.min() >= (-1 if isinstance(batch, Forest) else 0)
    else:
        assert batch.inputs.shape == (*places(batch), task.n_inputs) and batch.inputs.dtype == np.float32
    if isinstance(batch, Forest):
        assert batch.inputs[batch.leaves].min() >= 0  # a leaf has a label
    if not isinstance(batch, Sequences):
        return
    if batch.lengths is not None:
        steps = len(batch.inputs)
        assert batch.lengths.shape == (batch.size,) and batch.lengths.dtype.kind == "i"
        assert batch.lengths.min() >= 1 and batch.lengths.max() == steps
        rest = np.arange(steps)[:, None] >= batch.lengths
        assert not batch.inputs[rest].any()
        assert task.loss.when == "last" or not batch.targets[rest].any()


def require_targets(task, batch):
    if isinstance(batch, SegmentGraphs) and not isinstance(batch.targets, Parses):
        assert batch.targets.shape == places(batch) and batch.targets.dtype == np.int32
        assert batch.targets.min() >= -1 and batch.targets.max() < task.n_outputs
        return
    if isinstance(batch.targets, Parses):
        merges = np.diff(batch.starts) - 1
        assert np.array_equal(np.diff(batch.targets.starts), merges) and task.loss.kind == "margin"
        assert batch.targets.pairs.shape == (merges.sum(), 2) and batch.targets.pairs.dtype == np.int32
        return
    rows = places(batch) if task.loss.when == "every" else (batch.size,)
    if batch.targets.dtype == np.int32:
        assert task.loss.kind == "softmax" and batch.targets.shape == rows
        assert batch.targets.min() >= 0 and batch.targets.max() < task.n_outputs
    else:
        assert batch.targets.shape == (*rows, task.n_outputs) and batch.targets.dtype == np.float32
    if batch.weights is not None:
        assert batch.weights.shape == rows and batch.weights.dtype == np.float32


def test_batches_depend_on_seed_and_step_alone(task):
    first = task.training_batch(7, 3, 6)
    kept = arrays(first)
    assert same(first, task.training_batch(7, 3, 6))
    assert not same(first, task.training_batch(8, 3, 6))
    assert not same(first, task.training_batch(7, 4, 6))
    for array in fields(first):
        array[...] = 1
    again = arrays(task.training_batch(7, 3, 6))
    assert all(np.array_equal(a, b) for a, b in zip(kept, again))


def test_sequences_do_not_depend_on_the_batch_size(task):
    if task.streams:
        pytest.skip("streams: the size of a batch says where they start")
    whole = sequences(task, [task.training_batch(1, 1, 12)])
    assert whole == sequences(task, [task.training_batch(1, step, 4) for step in (3, 4, 5)])
    assert whole == sequences(task, [task.training_batch(1, step, 1) for step in range(12, 24)])


def test_evaluation_is_fixed_and_cut_at_will(task):
    if task.streams:
        pytest.skip("streams: see the test of texts")
    whole = sequences(task, task.evaluation_batches(2, 12, 12))
    assert len(whole) == 12
    assert whole == sequences(task, task.evaluation_batches(2, 5, 12))
    assert [batch.size for batch in task.evaluation_batches(2, 5, 12)] == [5, 5, 2]
    assert (whole == sequences(task, task.evaluation_batches(3, 12, 12))) == isinstance(task, ExampleTask)
    total = sum(batch.size for batch in task.evaluation_batches(2, 100))
    if isinstance(task, GeneratedTask):
        assert total == 2560
    assert sequences(task, [task.example(2)]) == sequences(task, task.evaluation_batches(0, 3, 3))[2:]
    if not isinstance(task, GeneratedTask):
        with pytest.raises(RnnsimError, match="example="):
            task.example(total)


def test_training_and_held_out_sequences_differ(task):
    size = 50
    train = set(sequences(task, [task.training_batch(1, step, size) for step in range(4)]))
    if isinstance(task, GeneratedTask) and len(train) < 4 * size:
        pytest.skip("so few different sequences that training and test must share some")
    parts = ["test"]
    try:
        next(task.evaluation_batches(1, 4, split="validation"))
        parts.append("validation")
    except RnnsimError as error:
        assert "unknown split 'validation'" in str(error)
    found = [set(sequences(task, task.evaluation_batches(1, size, size, split))) for split in parts]
    everything = [train, *found]
    assert all(everything)
    assert sum(map(len, everything)) == len(set.union(*everything))


def test_bad_requests(task):
    for wrong in (
        lambda: list(task.evaluation_batches(0, 4, split="tests")),
        lambda: list(task.evaluation_batches(0, 4, 0)),
        lambda: list(task.evaluation_batches(0, 0)),
        lambda: task.training_batch(0, 0, 0),
        lambda: task.training_batch(0, -1, 4),
        lambda: task.training_batch(-1, 0, 4),
    ):
        with pytest.raises(RnnsimError) as found:
            wrong()
        assert "\n" not in str(found.value)


# -- judging --------------------------------------------------------------------------------------------------------------


def require_judgeable(task):
    """The outputs of tasks over graphs of segments are trees: `tests/test_task_trees.py` judges them."""
    if task.loss.kind == "margin":
        pytest.skip("its outputs are trees")


def evaluated(task, outputs, batch):
    """The loss of the outputs of a batch of any kind."""
    if isinstance(batch, Sequences):
        return task.loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths)
    if task.loss.when == "last":
        return task.loss.evaluate(outputs, batch.targets, batch.weights)
    weights = None if batch.weights is None else batch.weights[:, None]
    return task.loss.evaluate(outputs[:, None], batch.targets[:, None], weights)


def one_hot(task, batch, wanted=False):
    """The targets, or `wanted`, as vectors."""
    targets = task.wanted(batch) if wanted else batch.targets
    return np.eye(task.n_outputs)[targets] if targets.dtype == np.int32 else targets


def as_outputs(task, vectors):
    """The network outputs of these predictions."""
    vectors = vectors.astype(np.float32)
    if task.loss.kind == "softmax":
        return np.log(np.maximum(vectors, np.float32(1e-30)))
    return vectors if task.loss.kind == "squared_error" else 60 * (vectors - np.float32(0.5))


def test_perfect_outputs(task):
    require_judgeable(task)
    for batch in (task.training_batch(0, 0, 9), task.example()):
        outputs = as_outputs(task, one_hot(task, batch))
        least = 0.0
        if task.loss.kind == "softmax":  # the optimal loss of soft labels is their entropy
            found, weights = losses(one_hot(task, batch).astype(float), task, batch)
            least = found.sum() / weights.sum()
        assert abs(evaluated(task, outputs, batch) - least) < 1e-6
        outputs = as_outputs(task, one_hot(task, batch, wanted=True))
        correct, error, metrics = (judge(outputs, batch) for judge in (task.correct, task.error, task.metrics))
        assert correct is None or (correct.shape == (batch.size,) and correct.dtype == bool and correct.all())
        assert error is None or (error.shape == (batch.size,) and (error < 1e-6).all())
        for name, values in metrics.items():
            assert values.shape == (batch.size,) and np.isfinite(values).all()
            if name.startswith("optimal"):
                assert (values > 0).all()  # a figure of the sequences alone
            elif name in ("correct", "accuracy"):
                counted = np.ones(batch.size) if batch.weights is None else batch.counted().any(axis=0)
                assert (values[counted != 0] == 1).all()
            else:
                assert (np.abs(values) < 1e-6).all()


def test_wrong_outputs(task):
    require_judgeable(task)
    batch = task.training_batch(0, 0, 9)
    if batch.weights is not None:
        batch.weights[...] = 1  # some sequences may have no counted time step
    right = one_hot(task, batch, wanted=True).astype(np.float32)
    if task.loss.kind == "softmax":  # certain of the least probable class
        right = 1 - np.eye(task.n_outputs, dtype=np.float32)[right.argmin(axis=-1)]
    if task.loss.kind == "squared_error":  # where the order of outputs decides, reverse it
        outputs = 1.6 - right if isinstance(task, EmbeddedReber) else right + np.float32(0.6)
    else:
        outputs = 30 * (np.float32(0.5) - right)
    correct, error = task.correct(outputs, batch), task.error(outputs, batch)
    assert correct is None or not correct.any()
    assert error is None or (error > 0.5).all()


def losses(outputs, task, batch):
    """(B,) loss and weight of every sequence, from the definition."""
    targets, kind = one_hot(task, batch).astype(float), task.loss.kind
    if kind == "squared_error":
        values = ((outputs - targets) ** 2).sum(axis=-1)
    elif kind == "bernoulli":
        outputs = np.clip(outputs, 1e-12, 1 - 1e-12)  # an output may be constant
        values = -(targets * np.log(outputs) + (1 - targets) * np.log(1 - outputs)).sum(axis=-1)
    else:
        values = -(targets * np.log(np.maximum(outputs, 1e-300))).sum(axis=-1)
    values = values / math.log(2) if task.loss.unit == "bits" else values
    if task.loss.when == "last":
        return values, np.ones(batch.size)
    counted = counts(batch)
    if isinstance(batch, Sequences):
        sums, weights = (values * counted).sum(axis=0), counted.sum(axis=0)
    else:
        sums, weights = (np.add.reduceat(part, batch.starts[:-1]) for part in (values * counted, counted))
    return sums, weights if task.loss.per == "step" else np.ones(batch.size)


def counts(batch):
    """The weight of every time step, node or segment."""
    if isinstance(batch, Sequences):
        return batch.counted()
    return np.ones(places(batch)) if batch.weights is None else batch.weights


def test_trivial_loss(task):
    require_judgeable(task)
    if task.streams and not isinstance(task, StreamTask):  # once round the ring, side by side
        size, count = 60, (len(task._ring) - task.steps - 1) // (60 * task.steps)
    elif isinstance(task, ExampleTask):
        size, count = len(task.train_rows), 1
    else:
        size, count = 500, 8
    # Some tasks draw a training set from the seed: many seeds show the mean over these sets.
    several = not task.streams and not isinstance(task, ExampleTask)
    size, count = (50, 80) if several else (size, count)
    batches = [task.training_batch(11 + step * several, step, size) for step in range(count)]
    total, weight = 0, 0
    for batch in batches:
        counted = counts(batch) if task.loss.when == "every" else np.ones(batch.size)
        total = total + (one_hot(task, batch) * counted[..., None]).reshape(-1, task.n_outputs).sum(axis=0, dtype=float)
        weight += counted.sum(dtype=float)
    constant = total / weight
    found, weights = (np.concatenate(parts) for parts in zip(*(losses(constant, task, batch) for batch in batches)))
    mean = found.sum() / weights.sum()
    spread = math.sqrt(((found - mean * weights) ** 2).sum()) / weights.sum()
    exact = isinstance(task, ExampleTask)
    assert abs(mean - task.trivial_loss) < (1e-6 if exact else 4 * spread + 1e-6)


def test_the_compiler_changes_no_bit():
    code = (
        "import hashlib\n"
        "from rnnsim.tasks import TASKS\n"
        "from rnnsim.tasks.interface import GeneratedTask\n"
        "from rnnsim.tasks.streams import StreamTask\n"
        "for name in TASKS:\n"
        "    if issubclass(TASKS.load(name), (GeneratedTask, StreamTask)) and name != 'scenes':  # it needs files\n"
        "        batch = TASKS.build(name).training_batch(3, 5, 4)\n"
        "        print(name, hashlib.sha256(batch.inputs.tobytes() + batch.targets.tobytes()).hexdigest())\n"
    )
    found = []
    for flag in "01":
        environment = {**os.environ, "RNNSIM_JIT": flag}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout.splitlines())
    assert found[0] == found[1] and len(found[0]) >= 11


def test_criterion():
    rule = Criterion(window=3, wrong=1, max_error=0.1)
    right = np.array([False, False, True, True, False])
    assert rule.met(right, np.full(5, 0.05))
    assert not rule.met(right, np.full(5, 0.1)) and not rule.met(right[:2], np.zeros(2))
    assert not rule.met(np.array([True, False, False]), np.zeros(3))
    assert Criterion(window=2, wrong=0).met([True, True], [9, 9])


# -- options --------------------------------------------------------------------------------------------------------------


def wrong_values(annotation):
    if annotation is int:
        return (-1, "many", 2.5)
    if annotation is float:
        return (-0.25, "nan", "inf", "much")
    if annotation is bool:
        return ("perhaps",)
    if typing.get_origin(annotation) is typing.Literal:
        return ("nonsense", 99)
    return ("/nowhere/at/all.npz",)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_options_are_refused(name, files):
    tried = 0
    for key, (annotation, _) in option_table(TASKS.load(name)).items():
        for value in wrong_values(annotation):
            with pytest.raises(RnnsimError) as found:
                TASKS.build(name, {**files.get(name, {}), key: value})
            assert "\n" not in str(found.value) and len(str(found.value)) < 300
            tried += 1
    assert tried
    with pytest.raises(RnnsimError, match="unknown option"):
        TASKS.build(name, {"nonsense": 1})


@pytest.mark.parametrize(
    "name, options",
    [
        ("adding", {"length": 3}),
        ("multiplication", {"length": 3}),
        ("multiplication", {"n_seq": 0}),
        ("multiplication", {"n_seq": 2001}),
        ("temporal-order", {"symbols": 5}),
        ("temporal-order", {"length": 19}),
        ("copy", {"width": 0}),
        ("copy", {"min_length": 0}),
        ("copy", {"min_length": 21}),
        ("copy", {"max_length": 0}),
        ("copy", {"length": 0}),
        ("copy", {"curriculum": "linear", "curriculum_sequences": 0}),
        ("repeat-copy", {"width": 0}),
        ("repeat-copy", {"max_length": 0}),
        ("repeat-copy", {"min_repeats": 11}),
        ("repeat-copy", {"repeats": 0}),
        ("repeat-copy", {"norm_repeats": 1}),
        ("associative-recall", {"min_items": 1}),
        ("associative-recall", {"max_items": 1}),
        ("associative-recall", {"items": 1}),
        ("associative-recall", {"item_length": 0}),
        ("ngrams", {"n": 0}),
        ("ngrams", {"n": 17}),
        ("ngrams", {"length": 5}),
        ("priority-sort", {"items": 15}),
        ("priority-sort", {"outputs": 0}),
        ("priority-sort", {"width": 0}),
        ("delayed-recall", {"symbols": 1}),
        ("xor", {"length": 2}),
        ("sine", {"period": 1.9}),
        ("sine", {"period": 2.1, "spread": 0.1}),
        ("sine", {"spread": 1}),
        ("sine", {"length": 0}),
        ("add", {"t1": 9}),
        ("add", {"hold": 0}),
        ("sequence-recognition", {"length": 1}),
        ("delayed-nonmatch", {"bits": 31}),
        ("delayed-nonmatch", {"flag": 1}),
        ("delayed-nonmatch", {"length": 2}),
        ("parenthesis-turing", {"max_length": 1}),
        ("oscillator", {"period": 1}),
        ("oscillator", {"length": 0}),
        ("copy-curriculum", {"start": 0}),
        ("copy-curriculum", {"bound": 0}),
        ("copy-curriculum", {"bound": 0.31}),
        ("copy-curriculum", {"memory": 0}),
        ("copy-curriculum", {"length": 0}),
        ("anbn", {"min_n": 0}),
        ("anbn", {"max_n": 0}),
        ("brackets", {"s": 0}),
        ("brackets", {"k_max": 4}),
        ("brackets", {"a": 0}),
        ("brackets", {"a": 27}),
        ("mimic", {"hidden": 0}),
        ("influence-balancing", {"steps": 0}),
        ("text", {"steps": 0}),
        ("text", {"steps": 10**6}),
        ("text", {"test": 0.5, "validation": 0.5}),
        ("digits", {"validation": 1497}),
        ("mnist-rows", {"validation": 60}),
        ("imdb", {"vocabulary": 0}),
        ("imdb", {"length": 0}),
        ("imdb", {"validation": 40}),
        ("embedded-reber", {"strings": 0}),
        ("embedded-reber", {"strings": 10**6}),
        ("continual-reber", {"steps": 0}),
        ("continual-temporal-order", {"length": 19}),
        ("long-lag", {"p": 1}),
        ("two-sequence", {"length": 0}),
        ("two-sequence", {"informative": 0}),
        ("latch", {"min_length": 0}),
        ("parity", {"max_length": 499}),
        ("tomita", {"grammar": 8}),
        ("tomita", {"grammar": 2, "min_length": 3, "max_length": 3}),
        ("delayed-xor", {"length": 9}),
        ("counting", {"long": 99}),
        ("languages", {"n": 0}),
        ("languages", {"max_n": 0}),
        ("spike-delays", {"values": 0}),
        ("timed-spikes", {"interval": 0}),
        ("periodic-function", {"period": 1}),
        ("logical-terms", {"depth": 2}),
        ("logical-terms", {"depth": 15}),
        ("formulas", {"min_depth": 0}),
        ("formulas", {"min_depth": 5}),
        ("formulas", {"max_depth": 15}),
        ("formulas", {"depth": 0}),
        ("arithmetic", {"modulus": 1}),
        ("arithmetic", {"modulus": 11}),
        ("arithmetic", {"depth": 15}),
        ("bracketing", {"max_words": 1}),
        ("bracketing", {"max_words": 2}),
        ("bracketing", {"min_count": 0}),
        ("sentiment", {"min_count": 0}),
        ("sentiment", {"validation": 240}),
        ("scenes", {"height": 0}),
        ("scenes", {"width": 300}),
        ("scenes", {"areas": 8}),
        ("scenes", {"areas": 0}),
    ],
)
def test_values_out_of_range_are_refused(name, options, files):
    with pytest.raises(RnnsimError) as found:
        TASKS.build(name, {**files.get(name, {}), **options})
    assert "\n" not in str(found.value) and any(key in str(found.value) for key in options)


def test_smallest_values_work(files):
    for name, options in (
        ("adding", {"length": 4}),
        ("multiplication", {"length": 4, "n_seq": 1}),
        ("temporal-order", {"length": 20, "symbols": 4}),
        ("copy", {"width": 1, "max_length": 1}),
        ("repeat-copy", {"width": 1, "max_length": 1, "max_repeats": 1, "norm_repeats": 2}),
        ("associative-recall", {"width": 1, "item_length": 1, "max_items": 2}),
        ("ngrams", {"n": 1, "length": 1}),
        ("priority-sort", {"items": 1, "outputs": 1, "width": 1}),
        ("delayed-recall", {"symbols": 2, "delay": 0, "distractors": 0}),
        ("xor", {"delay": 0, "length": 1}),
        ("sine", {"period": 2, "length": 1}),
        ("sequence-recognition", {"distractors": 0, "delay": 0, "length": 1}),
        ("delayed-nonmatch", {"bits": 1, "flag": 0, "delay": 0, "length": 2}),
        ("parenthesis-turing", {"max_length": 2, "delay": 0}),
        ("oscillator", {"length": 1}),
        ("copy-curriculum", {"start": 1, "memory": 1, "length": 1}),
        ("add", {"steps": 1}),
        ("anbn", {"max_n": 1, "steps": 1}),
        ("brackets", {"k": 0, "a": 1, "steps": 1}),
        ("mimic", {"hidden": 1, "inputs": 1, "outputs": 1, "steps": 1}),
        ("text", {"steps": 1}),
        ("digits", {"validation": 1496}),
        ("imdb", {"vocabulary": 1, "length": 1}),
        ("embedded-reber", {"strings": 1}),
        ("continual-reber", {"steps": 1}),
        ("continual-temporal-order", {"symbols": 4, "length": 20, "steps": 1}),
        ("long-lag", {"experiment": "2a", "p": 2}),
        ("long-lag", {"experiment": "2c", "p": 1, "q": 0}),
        ("two-sequence", {"length": 1, "informative": 1}),
        ("latch", {"min_length": 1, "max_length": 1, "noise": "signs"}),
        ("parity", {"min_length": 1, "max_length": 1}),
        ("tomita", {"grammar": 1, "min_length": 1, "max_length": 1}),
        ("delayed-xor", {"length": 10}),
        ("counting", {"short": 1, "long": 2}),
        ("languages", {"language": "anbncn", "n": 1}),
        ("spike-delays", {"interval": 1, "values": 1, "spikes": 1}),
        ("timed-spikes", {"interval": 1, "values": 1, "spikes": 1}),
        ("periodic-function", {"period": 2, "periods": 1}),
        ("logical-terms", {"depth": 3, "kind": "instance"}),
        ("formulas", {"depth": 1}),
        ("arithmetic", {"modulus": 2, "max_depth": 1}),
        ("sentiment", {"validation": 239}),
        ("scenes", {"height": 1, "width": 1, "areas": 1}),
    ):
        task = TASKS.build(name, {**files.get(name, {}), **options})
        assert task.training_batch(0, 0, 3).size == 3 and (task.trivial_loss is None or task.trivial_loss >= 0)


def test_missing_data_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNSIM_DATA_DIR", str(tmp_path))
    for name in ("mnist-rows", "mnist-pixels", "fashion-rows", "imdb", "bracketing", "sentiment", "sentiment-words"):
        with pytest.raises(RnnsimError, match="rnnsim data fetch .* or give path="):
            TASKS.build(name)
