"""Counter-based random numbers inside kernels: Philox4x32-10.

J. K. Salmon, M. A. Moraes, R. O. Dror & D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A block cipher
of ten rounds turns a counter of four 32-bit words, under a key of two, into four random words. There is no state: a
number is a function of its place. The counter here is (draw low, draw high, sequence low, sequence high) and the key is
the stream, so that

- sequence number s has its own draws 0, 1, 2, ..., whatever batch or thread generates it;
- two streams (training, evaluation, weight noise of one seed) have different keys.

Every draw is one block of 128 bits. `uniform(key, s, i)`, `integer(key, s, i, n)` and `normal(key, s, i)` with the same
(key, s, i) share their bits: a generator needs a different i for every random number.

Kernels and Python may call all functions, with equal results.

>>> key = stream_key(1, "example")
>>> uniform(key, 5, 0) == uniform(key, 5, 0), uniform(key, 5, 0) == uniform(key, 6, 0)
(True, False)
"""

import hashlib
import math

import numpy as np

from rnnsim.core.jit import ENABLED, jit_exact
from rnnsim.errors import RnnsimError

# What a user may give as the source of randomness.
Seed = int | np.integer | np.random.SeedSequence | np.random.Generator

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1: the increments of the key in every round
_ROUNDS = 10
_LOW = 0xFFFFFFFF
_TO_UNIT = 1 / 2**53


def seed_of(rng: Seed) -> int:
    """The seed, a whole number, from a user's `rng`: an int, SeedSequence or Generator. Raises `RnnsimError` for others.

    >>> seed_of(7), seed_of(np.random.default_rng(1)) == seed_of(np.random.default_rng(1))
    (7, True)
    """
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1, np.uint64)[0] >> 1)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if not isinstance(rng, (int, np.integer)) or isinstance(rng, bool) or not 0 <= rng < 2**63:
        raise RnnsimError(f"rng={rng}: expected a whole number of at least 0, a SeedSequence or a Generator")
    return int(rng)


def stream_key(seed, name):
    """The key of a named stream of a seed: np.uint64, the same on every machine and in every version.

    The first eight bytes of SHA-256 of "seed:name". Different names give different streams. Raises `RnnsimError` if the
    seed is not a whole number of at least 0.

    >>> hex(stream_key(0, "train"))
    '0x3003a6333b84b393'
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise RnnsimError(f"seed={seed}: expected a whole number of at least 0")
    digest = hashlib.sha256(f"{int(seed)}:{name}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


@jit_exact
def _philox_words(c0, c1, c2, c3, k0, k1):
    """Ten rounds on 32-bit words in 64-bit numbers, so that a product of two never overflows."""
    low, half = np.uint64(_LOW), np.uint64(32)
    m0, m1 = np.uint64(_MULTIPLIERS[0]), np.uint64(_MULTIPLIERS[1])
    w0, w1 = np.uint64(_WEYL[0]), np.uint64(_WEYL[1])
    for _ in range(_ROUNDS):
        p0, p1 = m0 * c0, m1 * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + w0) & low, (k1 + w1) & low
    return c0, c1, c2, c3


@jit_exact
def _bits_compiled(key, sequence, draw):
    low, half = np.uint64(_LOW), np.uint64(32)
    k, s, d = np.uint64(key), np.uint64(sequence), np.uint64(draw)
    return _philox_words(d & low, d >> half, s & low, s >> half, k & low, k >> half)


def _philox_plain(c0, c1, c2, c3, k0, k1):
    """The same rounds on Python's whole numbers."""
    for _ in range(_ROUNDS):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def _bits_plain(key, sequence, draw):
    k, s, d = int(key), int(sequence), int(draw)
    return tuple(np.uint64(word) for word in _philox_plain(d & _LOW, d >> 32, s & _LOW, s >> 32, k & _LOW, k >> 32))


# Without the compiler (RNNSIM_JIT=0) Python's whole numbers are faster than NumPy's scalars and never overflow.
philox = _philox_words if ENABLED else _philox_plain
bits = _bits_compiled if ENABLED else _bits_plain


@jit_exact
def uniform(key, sequence, draw):
    """A float64 in [0, 1) with 53 random bits: draw number `draw` of a sequence of the stream `key`.

    >>> 0 <= uniform(stream_key(0, "example"), sequence=3, draw=0) < 1
    True
    """
    w0, w1, _, _ = bits(key, sequence, draw)
    return ((w0 >> np.uint64(5)) * 67108864.0 + (w1 >> np.uint64(6))) * _TO_UNIT


@jit_exact
def integer(key, sequence, draw, n):
    """A whole number (int64) of 0 .. n-1, for 1 <= n <= 2^32; the relative bias of the multiply-shift is below n / 2^32.

    >>> key = stream_key(0, "example")
    >>> sorted({int(integer(key, 0, draw, 3)) for draw in range(50)})
    [0, 1, 2]
    """
    w0, _, _, _ = bits(key, sequence, draw)
    return np.int64((w0 * np.uint64(n)) >> np.uint64(32))


@jit_exact
def normal(key, sequence, draw):
    """A standard normal number (float64): Box & Muller 1958, the cosine branch, from the four words of one draw.

    >>> key = stream_key(0, "example")
    >>> bool(abs(sum(normal(key, 0, draw) for draw in range(1000))) < 100)
    True
    """
    w0, w1, w2, w3 = bits(key, sequence, draw)
    radius = (
        (w0 >> np.uint64(5)) * 67108864.0 + (w1 >> np.uint64(6)) + 1.0
    ) * _TO_UNIT  # in (0, 1]: its logarithm is finite
    turn = ((w2 >> np.uint64(5)) * 67108864.0 + (w3 >> np.uint64(6))) * _TO_UNIT
    return math.sqrt(-2.0 * math.log(radius)) * math.cos(2.0 * math.pi * turn)
