"""Tasks for weight guessing: latch, parity and Tomita's languages, targets computed again from the inputs."""

import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rnnsim.errors import RnnsimError
from rnnsim.tasks import Latch, Parity, Tomita
from rnnsim.tasks.tomita import accepts

LEVEL = 1e-3


def assert_lengths(batch, least, most):
    """All lengths of least .. most equally frequent; zeros behind the sequences."""
    assert batch.lengths.min() >= least and batch.lengths.max() <= most
    assert stats.chisquare(np.bincount(batch.lengths - least, minlength=most - least + 1)).pvalue > LEVEL
    assert not batch.inputs[np.arange(len(batch.inputs))[:, None] >= batch.lengths].any()


def assert_signs(values):
    """1 and -1 equally frequent and neighbours independent; values (T, B)."""
    assert set(np.unique(values)) == {-1, 1}
    pairs = 2 * (values[:-1] > 0) + (values[1:] > 0)
    assert stats.chisquare(np.bincount(pairs[::2].ravel(), minlength=4)).pvalue > LEVEL
    assert np.abs(values.sum(axis=1)).max() < 5.5 * math.sqrt(values.shape[1])  # at every time step


@pytest.mark.parametrize("noise", ["gaussian", "signs"])
@pytest.mark.parametrize("loss, low", [("squared_error", -1), ("bernoulli", 0)])
def test_latch(noise, loss, low):
    task = Latch(noise=noise, loss=loss)
    batch = task.training_batch(4, 0, 3000)
    assert_lengths(batch, 500, 600)
    first = batch.inputs[0, :, 0]
    assert stats.binomtest(int((first == 1).sum()), 3000).pvalue > LEVEL and set(first) == {-1, 1}
    assert np.array_equal(batch.targets[:, 0], np.where(first == 1, 1, low))
    rest = batch.inputs[1:500, :, 0]
    if noise == "signs":
        assert_signs(rest)
    else:
        assert stats.kstest(rest[::25].ravel(), stats.norm(0, math.sqrt(0.2)).cdf).pvalue > LEVEL
    right = task.correct(batch.targets + 0.39, batch) if low else None
    assert right is None or (right.all() and not task.correct(batch.targets + 0.41, batch).any())


def test_parity():
    task = Parity()
    batch = task.training_batch(4, 0, 3000)
    assert_lengths(batch, 500, 600)
    assert_signs(batch.inputs[:500, :, 0])
    for b in range(300):
        word = batch.inputs[: batch.lengths[b], b, 0].tolist()
        assert batch.targets[b, 0] == word.count(1.0) % 2 == (math.prod(word) * (-1) ** len(word) < 0)
    assert stats.binomtest(int(batch.targets.sum()), 3000).pvalue > LEVEL
    assert task.correct(batch.targets + 0.19, batch).all() and not task.correct(batch.targets - 0.21, batch).any()


# -- Tomita ---------------------------------------------------------------------------------------------------------------


def blocks_fit(word):
    return all(len(one) % 2 == 0 or len(zero) % 2 == 0 for one, zero in re.findall("(1+)(0+)", word))


OTHERWISE = {
    1: lambda word: "0" not in word,
    2: lambda word: re.fullmatch("(10)*", word) is not None,
    3: blocks_fit,
    4: lambda word: "000" not in word,
    5: lambda word: word.count("0") % 2 == word.count("1") % 2 == 0,
    6: lambda word: (word.count("1") - word.count("0")) % 3 == 0,
    7: lambda word: re.fullmatch("0*1*0*1*", word) is not None,
}


@pytest.mark.parametrize("grammar", OTHERWISE)
def test_tomita(grammar):
    words = ["".join(word) for n in range(11) for word in itertools.product("01", repeat=n)]
    assert all(accepts(grammar, word) == OTHERWISE[grammar](word) for word in words)
    batch, found = Tomita(grammar, min_length=4, max_length=6).training_batch(1, 0, 20_000), Counter()
    for b in range(batch.size):
        word = "".join("01"[int(x > 0)] for x in batch.inputs[: batch.lengths[b], b, 0])
        assert batch.targets[b, 0] == OTHERWISE[grammar](word)
        found[word] += 1
    assert set(batch.inputs.ravel()) == {-1, 0, 1}
    exact = {}
    for inside in (True, False):
        kinds = [[w for w in words if len(w) == n and OTHERWISE[grammar](w) == inside] for n in (4, 5, 6)]
        kinds = [kind for kind in kinds if kind]
        exact.update({word: 0.5 / len(kinds) / len(kind) for kind in kinds for word in kind})
    assert set(found) <= set(exact)
    assert stats.chisquare([found[word] for word in exact], 20_000 * np.array(list(exact.values()))).pvalue > LEVEL


def test_long_strings_of_tomita():
    for grammar in OTHERWISE:
        batch = Tomita(grammar, min_length=1500, max_length=1502).training_batch(0, 0, 40)
        words = ["".join("01"[int(x > 0)] for x in batch.inputs[:n, b, 0]) for b, n in enumerate(batch.lengths)]
        assert batch.targets[:, 0].tolist() == [OTHERWISE[grammar](word) for word in words]
        assert 8 < batch.targets.sum() < 32


@pytest.mark.parametrize("grammar, least, most", [(2, 3, 3), (4, 1, 2), (7, 1, 3)])
def test_strings_of_one_kind_are_refused(grammar, least, most):
    with pytest.raises(RnnsimError, match=f"max_length={most}: no string of {least} .. {most} symbols is"):
        Tomita(grammar, min_length=least, max_length=most)
    assert math.isclose(Tomita(grammar, min_length=least, max_length=most + 2).trivial_loss, 0.25)
