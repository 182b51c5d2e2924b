"""Grammars and languages: strings, legal symbols and exact probabilities, each computed in a second way."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from rnnsim.errors import RnnsimError
from rnnsim.tasks import ContinualReber, EmbeddedReber, Languages
from rnnsim.tasks.reber import SYMBOLS, legal, lengths

LEVEL = 1e-3

# -- Reber ----------------------------------------------------------------------------------------------------------------

# The picture of the grammar, node by node.
GRAPH = {
    "start": {"B": "split"},
    "split": {"T": "left", "P": "right"},
    "left": {"S": "left", "X": "upper"},
    "right": {"T": "right", "V": "lower"},
    "upper": {"X": "right", "S": "exit"},
    "lower": {"P": "upper", "V": "exit"},
    "exit": {"E": "done"},
}


def extended(word):
    """Symbols that may follow the beginning of an embedded string; "" behind a whole one, None for an illegal one."""
    if len(word) < 2:
        return {"": "B", "B": "TP"}.get(word)
    node = "start"
    for place, symbol in enumerate(word[2:]):
        if node == "done":
            rest = word[2 + place :]
            return {word[1]: "E", word[1] + "E": ""}.get(rest)
        if symbol not in GRAPH[node]:
            return None
        node = GRAPH[node][symbol]
    if word[0] != "B" or word[1] not in "TP":
        return None
    return word[1] if node == "done" else "".join(GRAPH[node])


def strings(most):
    """Every string of at most so many symbols with its probability."""
    found, open_words = {}, {"": Fraction(1)}
    for _ in range(most):
        longer = {}
        for word, share in open_words.items():
            ways = extended(word)
            for symbol in ways:
                longer[word + symbol] = share / len(ways)
        found.update({word: share for word, share in longer.items() if extended(word) == ""})
        open_words = {word: share for word, share in longer.items() if extended(word) != ""}
    return found


def mean_lengths():
    """Mean number of symbols from every node on, by Gaussian elimination over fractions."""
    names = list(GRAPH)
    rows = []
    for name in names:
        row = [Fraction(int(name == other)) for other in names] + [Fraction(1)]
        for target in GRAPH[name].values():
            if target != "done":
                row[names.index(target)] -= Fraction(1, len(GRAPH[name]))
        rows.append(row)
    for k in range(len(rows)):
        pivot = next(i for i in range(k, len(rows)) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(len(rows)):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k])]
    return {name: row[-1] for name, row in zip(names, rows)}


def test_lengths_of_strings():
    known = strings(20)
    exact = Counter()
    for word, share in known.items():
        exact[len(word)] += share
    assert min(exact) == 9 and exact[9] == Fraction(1, 4)
    assert lengths(20).tolist() == [float(exact[n]) for n in range(21)]
    # A Reber string has 8 symbols on average; an embedded one four more.
    assert mean_lengths()["start"] == 8
    assert (np.arange(401) * lengths(400)).sum() == pytest.approx(12, abs=1e-12)
    assert lengths(400).sum() == pytest.approx(1, abs=1e-12)


def test_legal_symbols():
    words = {word[:n] for word in strings(14) for n in range(len(word))}
    assert len(words) > 300
    for word in words:
        assert sorted(legal(word)) == sorted(extended(word))
    for wrong in ("T", "BS", "BTT", "BTBTXSEP", "BTBTXSETE", "BTBTXSETEB", "Q"):
        with pytest.raises(RnnsimError, match=f"start={wrong}: "):
            legal(wrong)


def test_strings_of_the_sets_are_drawn_from_the_grammar():
    task = EmbeddedReber(strings=20_000)
    training = task.string_set(3, "training")
    assert all(extended(word) == "" for word in training) and len(training) == 20_000
    known = {word: float(share) for word, share in strings(13).items()}
    found = Counter(word if word in known else "longer" for word in training)
    known["longer"] = 1 - sum(known.values())
    assert stats.chisquare([found[word] for word in known], np.array(list(known.values())) * 20_000).pvalue > LEVEL


def test_sets_of_a_seed():
    task = EmbeddedReber()
    pairs = [[task.string_set(seed, split) for split in ("training", "test")] for seed in range(4)]
    assert all(len(part) == 256 for pair in pairs for part in pair)
    assert all(not set(one) & set(other) for one, other in pairs)
    assert len({tuple(part) for pair in pairs for part in pair}) == 8
    assert task.string_set(0, "test") == pairs[0][1] == EmbeddedReber().string_set(0)
    with pytest.raises(RnnsimError, match="unknown split 'validation'"):
        task.string_set(0, "validation")


def test_test_strings_are_the_others():
    """With one string v in each set: a test string w has probability p(w) / (1 - p(v)) for every v but w itself."""
    task, known = EmbeddedReber(strings=1), {word: float(share) for word, share in strings(24).items()}
    odds = sum(share / (1 - share) for share in known.values()) + 1 - sum(known.values())
    wanted = {word: known[word] * (odds - known[word] / (1 - known[word])) for word in strings(11)}
    found = Counter(task.string_set(seed)[0] for seed in range(3000))
    counts, shares = [found[word] for word in wanted], list(wanted.values())
    assert stats.chisquare([*counts, 3000 - sum(counts)], np.array([*shares, 1 - sum(shares)]) * 3000).pvalue > LEVEL


def words_of(batch):
    """Every sequence as a text, the last symbol from the targets."""
    for b in range(batch.size):
        n = batch.lengths[b]
        yield "".join(SYMBOLS[k] for k in [*batch.inputs[:n, b].argmax(axis=1), batch.targets[n - 1, b].argmax()])


def test_batches_of_strings():
    task = EmbeddedReber(strings=40)
    training, rows = task.string_set(1, "training"), Counter()
    for step in range(20):
        batch = task.training_batch(1, step, 500)
        assert (batch.inputs.sum(axis=2) == batch.counted()).all()
        for b, n in enumerate(batch.lengths):
            assert (
                np.array_equal(batch.inputs[1:n, b], batch.targets[: n - 1, b]) and batch.targets[n - 1, b].sum() == 1
            )
        rows.update(words_of(batch))
    often = Counter(training)
    assert set(rows) == set(often)
    wanted = np.array(list(often.values())) * 10_000 / 40
    assert stats.chisquare([rows[word] for word in often], wanted).pvalue > LEVEL
    for split in ("training", "test"):
        read = [word for batch in task.evaluation_batches(1, 7, split=split) for word in words_of(batch)]
        assert read == task.string_set(1, split)


def test_judge_of_strings():
    task = EmbeddedReber()
    batch = task.training_batch(0, 0, 200)
    wanted = task.wanted(batch)
    for b, word in enumerate(words_of(batch)):
        for t in range(batch.lengths[b]):
            assert {SYMBOLS[k] for k in np.flatnonzero(wanted[t, b])} == set(extended(word[: t + 1]))
            assert wanted[t, b, batch.targets[t, b].argmax()] == 1
    assert not wanted[batch.counted() == 0].any()
    # Equal outputs for the legal symbols are right although no target is reached; the right symbol alone is not.
    shares = wanted / np.maximum(wanted.sum(axis=2, keepdims=True), 1)
    assert task.correct(shares, batch).all() and not task.error(shares, batch).any()
    assert not task.correct(batch.targets, batch).any()
    branches = (wanted.sum(axis=2) == 2).sum(axis=0)
    assert np.allclose(task.error(batch.targets, batch), branches / batch.lengths)
    outputs = shares.copy()
    outputs[3, 5] = shares[3, 5, ::-1] if shares[3, 5, 3] == 0 else 0
    assert task.correct(outputs, batch).sum() == 199 and not task.right(outputs, batch)[3, 5]
    assert task.error(outputs, batch)[5] == pytest.approx(1 / batch.lengths[5])


def test_trivial_losses_of_strings():
    counts, total = Counter(), Fraction(0)
    for word, share in strings(22).items():
        for symbol in word[1:]:
            counts[symbol] += share
            total += share
    q = np.array([float(counts[symbol] / total) for symbol in SYMBOLS])
    assert EmbeddedReber().trivial_loss == pytest.approx((q * (1 - q)).sum(), abs=2e-3)
    assert EmbeddedReber("softmax").trivial_loss == pytest.approx(-(q * np.log2(q)).sum(), abs=5e-3)


def test_continual_reber():
    task = ContinualReber(steps=2000)
    found, splits = Counter(), Counter()
    for step in range(3):
        batch = task.training_batch(5, step, 20)
        if step == 0:
            texts = [""] * 20
        assert (batch.inputs.sum(axis=2) == 1).all()
        for b in range(20):
            start = len(texts[b])
            texts[b] += "".join(SYMBOLS[k] for k in batch.inputs[:, b].argmax(axis=1))
            word = ""
            for t, symbol in enumerate(texts[b]):
                word += symbol
                ways = extended(word) or "B"
                if t >= start:
                    assert {SYMBOLS[k] for k in np.flatnonzero(batch.targets[t - start, b])} == set(ways)
                word = "" if extended(word) == "" else word
    for text in texts:
        word = ""
        for symbol in text:
            splits[extended(word), symbol] += len(extended(word)) == 2
            word += symbol
            if extended(word) == "":
                found[len(word)] += 1
                word = ""
    for ways in {ways for ways, _ in splits if len(ways) == 2}:
        assert stats.chisquare([splits[ways, symbol] for symbol in ways]).pvalue > LEVEL
    wanted = lengths(16)[9:] * sum(found.values())
    counts = [found[n] for n in range(9, 17)]
    rest = sum(found.values())
    assert stats.chisquare([*counts, rest - sum(counts)], [*wanted, rest - wanted.sum()]).pvalue > LEVEL


def test_judge_of_the_continual_strings():
    task = ContinualReber(steps=50)
    batch = task.training_batch(0, 0, 4)
    near = np.where(batch.targets == 1, 0.52, 0.48)
    assert task.right(near, batch).all() and task.correct(near, batch).all()
    shares = batch.targets / batch.targets.sum(axis=2, keepdims=True)
    assert np.array_equal(task.right(shares, batch), batch.targets.sum(axis=2) == 1)  # .5 is not within .49
    near[7, 2, 0] = 0.5
    assert task.correct(near, batch).tolist() == [True, True, False, True]
    logits = ContinualReber(steps=50, loss="bernoulli")
    assert logits.right(np.log(near / (1 - near)), batch).sum() == 4 * 50 - 1
    assert ContinualReber(steps=300).criterion.window * 300 >= 10**6


# -- languages that count -------------------------------------------------------------------------------------------------

WORDS = {
    "anbn": lambda n, m: "a" * n + "b" * n + "T",
    "anbmBmAn": lambda n, m: "a" * n + "b" * m + "B" * m + "A" * n + "T",
    "anbncn": lambda n, m: "a" * n + "b" * n + "c" * n + "T",
}


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("least, most", [(1, 4), (3, 5)])
def test_languages(language, least, most):
    task = Languages(language, min_n=least, max_n=most)
    followers = {}
    for n, m in itertools.product(range(1, most + 2), repeat=2):  # of the whole language, beyond the drawn numbers
        word = WORDS[language](n, m)
        for place, symbol in enumerate(word):
            followers.setdefault(word[:place], set()).add(symbol)
    batch, numbers = task.training_batch(2, 0, 3000), Counter()
    for b in range(batch.size):
        word, n = "", batch.lengths[b]
        assert (batch.inputs[:n, b].sum(axis=1) == 1).all() and batch.inputs[0, b, 0] == 1
        for t in range(n):
            word += task.input_names[batch.inputs[t, b].argmax()] if t else ""
            assert {task.target_names[k] for k in np.flatnonzero(batch.targets[t, b])} == followers[word]
        numbers[word.count("a"), word.count("b")] += 1
        assert word + "T" == WORDS[language](word.count("a"), word.count("b"))
    pairs = [(n, m) for n in range(least, most + 1) for m in range(least, most + 1) if language == "anbmBmAn" or n == m]
    assert set(numbers) == set(pairs) and stats.chisquare(list(numbers.values())).pvalue > LEVEL
    # Chance-level loss over all strings with their numbers of time steps.
    on, steps = Counter(), 0
    for n, m in pairs:
        word = WORDS[language](n, m)
        for place in range(len(word)):
            on.update(followers[word[:place]])
            steps += 1
    q = np.array([on[name] / steps for name in task.target_names])
    assert task.trivial_loss == pytest.approx((q * (1 - q)).sum())
    bits = Languages(language, min_n=least, max_n=most, loss="bernoulli").trivial_loss
    assert bits == pytest.approx(-(q * np.log2(q) + (1 - q) * np.log2(1 - q)).sum())


def test_one_number_at_a_time():
    for n in (1, 30):
        batch = Languages("anbmBmAn", n=n).training_batch(0, 0, 5)
        assert (batch.lengths == 4 * n + 1).all() and (batch.inputs.sum(axis=0)[:, 1:] == n).all()
