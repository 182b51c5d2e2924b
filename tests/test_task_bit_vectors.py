"""The tasks of Graves, Wayne & Danihelka 2014: targets derived again from the inputs, distributions, curricula, baselines."""

import functools
import json
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

import rnnsim as rs
from rnnsim.core.rng import stream_key, uniform
from rnnsim.errors import RnnsimError
from rnnsim.tasks import TASKS, AssociativeRecall, Copy, DynamicNGrams, PrioritySort, RepeatCopy
from rnnsim.tasks.ngrams import optimal_predictions
from rnnsim.training.evaluate import evaluate
from rnnsim_cli.main import main

LEVEL = 1e-3  # seeds are fixed: a test that passes once always passes
GROWING = ("copy", "repeat-copy", "associative-recall", "priority-sort")


def many(task, count=2000, seed=5):
    return task.training_batch(seed, 0, count)


def sequences(batch):
    """Inputs, targets and weights of every sequence, cut to its length."""
    for b, end in enumerate(batch.lengths):
        assert not batch.inputs[end:, b].any() and not batch.targets[end:, b].any() and not batch.weights[end:, b].any()
        yield batch.inputs[:end, b], batch.targets[:end, b], batch.weights[:end, b]


def assert_uniform(values, low, high):
    values = np.ravel(values)
    assert values.min() >= low and values.max() <= high
    if high > low:
        assert stats.chisquare(np.bincount(values - low, minlength=high - low + 1)).pvalue > LEVEL


def assert_fair(bits):
    """0 and 1 are equally frequent."""
    bits = np.ravel(bits)
    assert set(bits) <= {0, 1} and abs(bits.mean() - 0.5) < 4 * 0.5 / math.sqrt(bits.size)


def test_copy_with_two_markers():
    task = Copy(width=8, markers="two")
    assert (task.n_inputs, task.n_outputs) == (10, 9)
    counts = []
    for x, d, w in sequences(many(task)):
        count = (len(x) - 3) // 2
        expected_x, expected_d = np.zeros((2 * count + 3, 10)), np.zeros((2 * count + 3, 9))
        expected_x[1 : count + 1, :8] = x[1 : count + 1, :8]
        expected_x[0, 8] = expected_x[count + 1, 9] = 1
        expected_d[count + 2 : -1, :8] = x[1 : count + 1, :8]
        expected_d[-1, 8] = 1
        assert np.array_equal(x, expected_x) and np.array_equal(d, expected_d)
        assert w.tolist() == (count + 2) * [0] + (count + 1) * [1]
        counts.append(count)
    assert_uniform(np.array(counts), 1, 20)
    one, two = (many(Copy(markers=markers), 50) for markers in ("one", "two"))
    assert np.array_equal(one.inputs[:20, :, :8] * one.weights.any(0)[:, None], two.inputs[1:21, :, :8])


@pytest.mark.parametrize("options", [{}, {"width": 8, "max_repeats": 15, "min_length": 3}, {"norm_repeats": 20}])
def test_repeat_copy(options):
    task = RepeatCopy(**options)
    width, norm = task.width, np.arange(1, options.get("norm_repeats", 10) + 1)
    lengths, repeats, bits = [], [], []
    for x, d, w in sequences(many(task)):
        (count,) = np.flatnonzero(x[:, width])
        times = x[count, width + 1] * norm.std() + norm.mean()
        vectors = x[:count, :width]
        expected_x = np.zeros_like(x)
        expected_x[:count, :width], expected_x[count, width:] = vectors, x[count, width:]
        assert x[count, width] == 1 and np.array_equal(x, expected_x)
        said = np.vstack([np.zeros((count + 1, width)), *round(times) * [vectors], np.zeros((1, width))])
        assert np.array_equal(d[:, :width], said) and times == pytest.approx(round(times), abs=1e-5)
        assert d[:, width].tolist() == (len(d) - 1) * [0] + [1]
        assert w.tolist() == (count + 1) * [0] + (len(d) - count - 1) * [1]
        lengths.append(count)
        repeats.append(round(times))
        bits.append(vectors.ravel())
    assert_uniform(np.array(lengths), task.min_length, 10)
    assert_uniform(np.array(repeats), 1, task.max_repeats)
    assert abs(np.corrcoef(lengths, repeats)[0, 1]) < 4 / math.sqrt(2000)
    assert_fair(np.concatenate(bits))


def test_the_repeats_channel_has_mean_0_and_variance_1():
    batch = many(RepeatCopy(), 20000)
    shown = batch.inputs[..., 7].sum(axis=0)
    assert abs(shown.mean()) < 4 / math.sqrt(20000) and abs(shown.var() - 1) < 0.03
    # On more repeats the code of a number stays the same.
    more = RepeatCopy(repeats=13).example().inputs[..., 7].sum()
    assert more == pytest.approx((13 - 5.5) / math.sqrt(8.25))


@pytest.mark.parametrize("options", [{}, {"width": 40, "item_length": 2, "max_items": 9, "min_items": 3}])
def test_associative_recall(options):
    task = AssociativeRecall(**options)
    width, span = task.width, task.item_length
    counts, asked, bits = [], defaultdict(list), []
    for x, d, w in sequences(many(task)):
        period = span + 1
        count = (len(x) - span) // period - 1
        items = x[: count * period].reshape(count, period, -1)
        assert (
            np.array_equal(items[:, 0], np.tile(np.eye(width + 2)[width], (count, 1)))
            and not items[:, 1:, width:].any()
        )
        query = x[count * period : (count + 1) * period]
        assert np.array_equal(query[0], np.eye(width + 2)[width + 1]) and not x[(count + 1) * period :].any()
        matching = [i for i in range(count - 1) if np.array_equal(items[i, 1:], query[1:])]
        assert matching
        assert any(np.array_equal(d[-span:], items[i + 1, 1:, :width]) for i in matching)
        assert not d[:-span].any() and w.tolist() == (len(w) - span) * [0] + span * [1]
        counts.append(count)
        asked[count].append(matching[0])
        bits.append(items[:, 1:, :width].ravel())
    assert_uniform(np.array(counts), task.min_items, task.max_items)
    for count, places in asked.items():
        assert_uniform(np.array(places), 0, count - 2)
    assert_fair(np.concatenate(bits))
    # No two items share their random bits.
    first = many(AssociativeRecall(items=3, **{k: v for k, v in options.items() if "items" not in k})).inputs
    flat = first[: 3 * (span + 1), :, :width].transpose(1, 0, 2).reshape(2000, -1)
    kept = flat[:, flat.any(axis=0)]
    assert kept.shape[1] == 3 * span * width
    assert np.abs(np.corrcoef(kept.T) - np.eye(kept.shape[1])).max() < 5.5 / math.sqrt(2000)


@pytest.mark.parametrize("items, outputs, width", [(20, 16, 8), (5, 5, 3), (9, 1, 33)])
def test_priority_sort(items, outputs, width):
    task, priorities, bits = PrioritySort(items=items, outputs=outputs, width=width), [], []
    for x, d, w in sequences(many(task)):
        order = sorted(range(items), key=lambda i: -x[i, width])
        assert np.array_equal(d[items + 1 :], x[order[:outputs], :width]) and not d[: items + 1].any()
        assert x[:, width + 1].tolist() == items * [0] + [1] + outputs * [0]
        assert not x[items, : width + 1].any() and not x[items + 1 :].any()
        assert w.tolist() == (items + 1) * [0] + outputs * [1]
        priorities.append(x[:items, width])
        bits.append(x[:items, :width].ravel())
    assert stats.kstest(np.ravel(priorities), stats.uniform(-1, 2).cdf).pvalue > LEVEL
    assert_fair(np.concatenate(bits))


def test_equal_priorities_keep_their_order():
    from rnnsim.tasks import priority_sort

    inputs, targets, weights = (np.zeros(shape, np.float32) for shape in ((7, 1, 42), (7, 1, 40), (7, 1)))
    drawn = priority_sort.uniform
    plain = getattr(priority_sort._draw, "py_func", priority_sort._draw)
    priority_sort.uniform = lambda key, s, draw: (0.25, 0.75, 0.25)[draw - 1]
    try:
        plain(inputs, targets, weights, np.uint64(1), 0, np.array([3]), np.array([3]), 3)
    finally:
        priority_sort.uniform = drawn
    assert np.array_equal(targets[4:, 0], inputs[[1, 0, 2], 0, :40])


# -- n-grams --------------------------------------------------------------------------------------------------------------


def counted_by_hand(bits, n):
    """P(1) for every bit of one sequence, with a dictionary."""
    seen, shares = defaultdict(Counter), []
    for t, bit in enumerate(bits):
        context = tuple(bits[t - n + 1 : t])
        if t < n - 1:
            shares.append(0.5)
            continue
        ones, zeros = seen[context][1], seen[context][0]
        shares.append((ones + 0.5) / (ones + zeros + 1))
        seen[context][bit] += 1
    return np.array(shares)


@pytest.mark.parametrize("n, length", [(6, 200), (1, 30), (2, 40), (9, 100)])
def test_the_optimal_predictor(n, length):
    task = DynamicNGrams(n=n, length=length)
    batch = many(task, 40)
    assert batch.weights is None and batch.lengths is None and not batch.inputs[0].any()
    assert np.array_equal(batch.inputs[1:], batch.targets[:-1])
    found, costs = optimal_predictions(batch.targets, n), task.optimal_bits(batch)
    for b in range(40):
        bits = [int(bit) for bit in batch.targets[:, b, 0]]
        shares = counted_by_hand(bits, n)
        assert np.array_equal(found[:, b], shares)
        cost = -sum(math.log2(p if bit else 1 - p) for p, bit in zip(shares, bits))
        assert costs[b] == pytest.approx(cost, rel=1e-12)


def test_ngram_costs_are_those_of_the_source():
    task, count = DynamicNGrams(), 20000
    batch = many(task, count)
    bits = batch.targets[..., 0].astype(int)
    assert_fair(bits[:5])
    optimal = task.optimal_bits(batch)
    assert abs(optimal.mean() - 133.26) < 3 * optimal.std() / math.sqrt(count)
    assert optimal.std() == pytest.approx(35.8, abs=0.6)
    # A predictor that knows the table: probability of context c of sequence s by the formula of the task.
    key, few = stream_key(5, "dynamic n-grams training"), 3000
    table = np.array([[math.sin(math.pi / 2 * uniform(key, s, c)) ** 2 for c in range(32)] for s in range(few)])
    assert stats.kstest(table.ravel(), stats.beta(0.5, 0.5).cdf).pvalue > LEVEL
    costs, surprise = np.full(few, 5.0), []
    for t in range(5, 200):
        context = bits[t - 5 : t, :few].T @ [16, 8, 4, 2, 1]
        share = table[np.arange(few), context]
        costs -= np.log2(np.where(bits[t, :few] == 1, share, 1 - share))
        surprise.append(bits[t, :few] - share)
    assert abs(costs.mean() - 103.48) < 3 * costs.std() / math.sqrt(few)
    assert abs(np.mean(surprise)) < 4 * 0.5 / math.sqrt(few * 195)


def test_ngram_evaluation_reports_the_optimum():
    task = DynamicNGrams(length=60)
    net = rs.Recurrent("rnn", 1, 1, hidden=3, rng=0)
    found = evaluate(net, task, seed=3, count=30, batch=7)
    optimal = np.concatenate([task.optimal_bits(batch) for batch in task.evaluation_batches(3, 30, 30)])
    assert found["metrics"]["optimal_bits"] == pytest.approx(optimal.mean()) and found["correct"] is None
    assert set(found["metrics"]) == {"error", "wrong_bits", "optimal_bits"} and found["unit"] == "bits"


# -- what they share ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*GROWING, "ngrams"])
def test_wrong_bits(name):
    task = TASKS.build(name)
    batch = many(task, 6)
    outputs = np.where(batch.targets > 0.5, 3, -3).astype(np.float32)
    expected, rng = np.zeros(6), np.random.default_rng(0)
    for b in range(6):
        for t in range(len(outputs)):
            for k in range(task.n_outputs):
                if rng.random() < 0.3:
                    outputs[t, b, k] *= -1
                    expected[b] += batch.weights is None or batch.weights[t, b]
    assert np.array_equal(task.metrics(outputs, batch)["wrong_bits"], expected) and expected.min() > 0


def test_trivial_losses_of_the_paper():
    found = {name: TASKS.build(name).trivial_loss for name in (*GROWING, "ngrams")}
    assert found.pop("repeat-copy") == pytest.approx(193.75, abs=0.005)  # 181.5 for the bits alone
    assert found == {"copy": 84, "associative-recall": 18, "ngrams": 200, "priority-sort": 128}


SIZES = {
    "copy": lambda batch: (batch.lengths - 1) // 2,
    "repeat-copy": lambda batch: batch.inputs[..., 6].argmax(axis=0),
    "associative-recall": lambda batch: batch.inputs[..., 6].sum(axis=0).astype(int),
    "priority-sort": lambda batch: batch.inputs[..., 9].argmax(axis=0),
}
RANGES = {"copy": (1, 20), "repeat-copy": (1, 10), "associative-recall": (2, 6), "priority-sort": (1, 20)}


@pytest.mark.parametrize("name", GROWING)
def test_linear_curriculum(name):
    low, high = RANGES[name]
    task = TASKS.build(name, {"curriculum": "linear", "curriculum_sequences": 5000})
    kinds = high - low + 1
    largest = low + kinds * np.arange(5000) // 5000
    sizes = SIZES[name](task.training_batch(2, 0, 5000))
    assert (sizes <= largest).all() and sizes[-1] <= high
    for reached in range(low, high + 1):
        if name == "priority-sort":
            assert (sizes[largest == reached] == reached).all()
        else:
            assert_uniform(sizes[largest == reached], low, reached)
    # Afterwards, and in evaluations, the curriculum has no effect.
    plain = TASKS.build(name)
    for one, other in (
        (task.training_batch(2, 1, 5000), plain.training_batch(2, 1, 5000)),
        (next(task.evaluation_batches(2, 300)), next(plain.evaluation_batches(2, 300))),
    ):
        assert np.array_equal(one.inputs, other.inputs) and np.array_equal(one.targets, other.targets)


@pytest.mark.parametrize("name", GROWING)
def test_mixed_curriculum_leaves_a_fifth_as_it_is(name):
    low, high = RANGES[name]
    options = {"curriculum_sequences": 10**9}
    mixed = SIZES[name](TASKS.build(name, {"curriculum": "mixed", **options}).training_batch(2, 0, 6000))
    linear = SIZES[name](TASKS.build(name, {"curriculum": "linear", **options}).training_batch(2, 0, 6000))
    assert (linear == low).all()
    beyond = 0.2 if name == "priority-sort" else 0.2 * (high - low) / (high - low + 1)
    assert abs((mixed > low).mean() - beyond) < 4 * math.sqrt(beyond * (1 - beyond) / 6000)
    if name != "priority-sort":
        assert_uniform(mixed[mixed > low], low + 1, high)


def test_repeats_grow_too():
    batch = RepeatCopy(curriculum="linear", curriculum_sequences=10**6).training_batch(0, 0, 50)
    assert (batch.lengths == 4).all()  # one vector, the delimiter, one copy, the end marker


def test_a_curriculum_does_not_depend_on_the_batch_size():
    task = AssociativeRecall(curriculum="linear", curriculum_sequences=60)
    whole = task.training_batch(1, 0, 60)
    for b in range(60):
        one = task.training_batch(1, b, 1)
        assert np.array_equal(one.inputs[:, 0], whole.inputs[: one.lengths[0], b])


@pytest.mark.parametrize(
    "name, options, steps",
    [
        ("copy", {"length": 120}, 241),
        ("copy", {"length": 30, "markers": "two"}, 63),
        ("repeat-copy", {"length": 20, "repeats": 7}, 162),
        ("associative-recall", {"items": 15}, 67),
        ("priority-sort", {"items": 30, "outputs": 24}, 55),
    ],
)
def test_sizes_beyond_those_of_training(name, options, steps):
    batch = next(TASKS.build(name, options).evaluation_batches(0, 10))
    assert batch.lengths.tolist() == 10 * [steps] and batch.inputs.shape[0] == steps


def test_the_options_of_a_run_can_be_overridden():
    options = Copy(max_length=5, curriculum="linear").options
    longer = TASKS.build("copy", {**options, "length": "120"})
    assert (longer.min_length, longer.max_length, longer.trivial_loss) == (120, 120, 960)
    assert TASKS.build("copy", {**options, "length": "none"}).max_length == 5
    with pytest.raises(RnnsimError, match="length=0: expected"):
        TASKS.build("copy", {**options, "length": "0"})


@pytest.mark.parametrize(
    "name, options, trivial, metric",
    [
        ("copy", ["length=120"], 960, "wrong_bits"),
        ("repeat-copy", ["repeats=12", "length=4"], 300.95, "wrong_bits"),
        ("associative-recall", ["items=9"], 18, "wrong_bits"),
        ("ngrams", ["length=50"], 50, "optimal_bits"),
        ("priority-sort", ["items=8", "outputs=3"], 24, "wrong_bits"),
    ],
)
def test_a_run_is_measured_on_other_sizes(name, options, trivial, metric, tmp_path, capsys):
    rnnsim, folder = functools.partial(main, prog_name="rnnsim"), str(tmp_path / "run")
    few = ["--steps", "2", "--batch", "2", "--quiet", "--no-figures", "--out", folder]
    with pytest.raises(SystemExit) as end:
        rnnsim(["train", name, "--network", "rnn", "-o", "hidden=2", *few])
    assert end.value.code == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        rnnsim(["eval", folder, "--count", "5", "--json", *(part for option in options for part in ("-o", option))])
    found = json.loads(capsys.readouterr().out)
    assert found["trivial_loss"] == pytest.approx(trivial, abs=0.05) and found["metrics"][metric] > 0
    assert found["sequences"] == 5 and found["unit"] == "bits"


@pytest.mark.parametrize(
    "name, options, hidden, weights",
    [
        ("copy", {"markers": "two"}, 256, 1_352_969),
        ("repeat-copy", {}, 512, 5_312_007),
        ("associative-recall", {}, 256, 1_344_518),
        ("ngrams", {}, 128, 331_905),
    ],
)
def test_weights_of_the_papers_lstm_baselines(name, options, hidden, weights):
    """Table 3: three layers with the input, a readout of all layers, learned initial states."""
    task = TASKS.build(name, options)
    net = rs.Recurrent(
        "lstm", task.n_inputs, task.n_outputs, hidden=hidden, layers=3, skip=True, learned_initial_state=True
    )
    assert net.n_parameters == weights
