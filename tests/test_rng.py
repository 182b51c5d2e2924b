"""The counter-based generator: known answers, independence of streams and draws, and the three distributions."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from rnnsim.core.jit import jit_exact
from rnnsim.core.rng import _philox_plain, bits, integer, normal, philox, stream_key, uniform
from rnnsim.errors import RnnsimError

KNOWN = [  # kat_vectors of Random123, philox4x32 with 10 rounds: counter, key, answer
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@jit_exact
def fill(u, k, z, key, first, n):
    for s in range(u.shape[0]):
        for i in range(u.shape[1]):
            u[s, i] = uniform(key, first + s, i)
            k[s, i] = integer(key, first + s, i, n)
            z[s, i] = normal(key, first + s, i)


def table(key, sequences, draws, n=10, first=0):
    u, z = np.empty((2, sequences, draws))
    k = np.empty((sequences, draws), np.int64)
    fill(u, k, z, key, first, n)
    return u, k, z


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_known_answers(counter, key, answer):
    arguments = words(counter) + words(key)
    assert [int(word) for word in philox(*(np.uint64(word) for word in arguments))] == words(answer)
    assert list(_philox_plain(*arguments)) == words(answer)


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_draw_and_sequence_are_the_counter(counter, key, answer):
    c, k = words(counter), words(key)
    given = (np.uint64(k[0] | k[1] << 32), np.uint64(c[2] | c[3] << 32), np.uint64(c[0] | c[1] << 32))
    assert [int(word) for word in bits(*given)] == words(answer)


def test_stream_keys():
    assert stream_key(1, "a").dtype == np.uint64
    keys = {int(stream_key(seed, name)) for seed in range(50) for name in ("train", "test", "weight noise")}
    assert len(keys) == 150
    assert int(stream_key(0, "train")) == 0x3003A6333B84B393
    assert stream_key(np.int64(3), "a") == stream_key(3, "a")
    for seed in (-1, 1.5, "1", True):
        with pytest.raises(RnnsimError, match="whole number"):
            stream_key(seed, "a")


def test_a_draw_depends_on_its_place_only():
    key = stream_key(4, "place")
    whole, part = table(key, 20, 7), table(key, 5, 3, first=10)
    for a, b in zip(whole, part):
        assert np.array_equal(a[10:15, :3], b)
    assert len(np.unique(whole[0])) == whole[0].size


def test_distributions():
    from scipy import stats

    u, k, z = table(stream_key(2, "distribution"), 2000, 50)
    assert u.min() >= 0 and u.max() < 1
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert stats.chisquare(np.bincount(k.ravel(), minlength=10)).pvalue > 1e-3
    bound = 5 / math.sqrt(u.size)
    for numbers in (u, z):
        assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < bound  # neighbouring sequences
        assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < bound  # neighbouring draws


def test_integers_reach_both_ends():
    key = stream_key(0, "ends")
    for n in (1, 2, 7):
        _, k, _ = table(key, 40, 5, n)
        assert sorted(set(k.ravel())) == list(range(n))


def test_plain_python_gives_the_same_numbers():
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "from rnnsim.core.rng import *\n"
        "key = stream_key(3, 'plain')\n"
        "for s, d in ((0, 0), (5, 2), (2**40, 2**33)):\n"
        "    print(uniform(key, s, d).hex(), int(integer(key, s, d, 1000)), round(float(normal(key, s, d)), 12))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RNNSIM_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in "01"
    ]
    assert outputs[0] == outputs[1] and len(outputs[0].splitlines()) == 3
