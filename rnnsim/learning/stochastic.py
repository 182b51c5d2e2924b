"""Shared by the unbiased stochastic rules: random signs, norms, and the balance of the two factors of a product.

A rule that keeps a product of two factors may multiply one by p and divide the other by p: the mean of the product
stays. Its variance is smallest when both factors have the same norm, so p = sqrt(|second| / |first|).
"""

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.rng import bits
from rnnsim.core.simd import broadcast, load, mask, reduce_add, width


@jit_borrowed
def fill_signs(signs, key, time_step):
    """signs (n) <- independent +1 or -1 with equal odds, functions of (key, time_step) alone; one draw gives 128."""
    one = signs.dtype.type(1)
    for start in range(0, signs.size, 128):
        w0, w1, w2, w3 = bits(np.uint64(key), np.uint64(time_step), np.uint64(start // 128))
        for i in range(start, min(signs.size, start + 128)):
            word = (i - start) // 32
            chosen = w0 if word == 0 else w1 if word == 1 else w2 if word == 2 else w3
            signs[i] = one if (np.int64(chosen) >> np.int64(i % 32)) & 1 else -one


@jit_borrowed
def square(x):
    """Sum of the squares of a row."""
    sums = broadcast(x, 0)
    for j in range(0, x.size, width(x)):
        active = mask(x.size - j)
        part = load(x, j, active)
        sums = sums + part * part
    return reduce_add(sums)


@jit_borrowed
def square_of_rows(x, lo, hi):
    """Sum of the squares of rows lo..hi of a matrix."""
    result = x.dtype.type(0)
    for r in range(lo, hi):
        result += square(x[r])
    return result


@jit_borrowed
def balance(shrinks, grows, epsilon):
    """p = sqrt(|shrinks| / |grows|) for the factors grows * p and shrinks / p; the arguments are the squares of their norms.

    With an epsilon above 0, p = sqrt(|shrinks| / (|grows| + epsilon)) + epsilon. Without one, 0 means that the
    product is zero.
    """
    shrinks, grows = np.sqrt(shrinks), np.sqrt(grows)
    if epsilon > 0:
        return np.sqrt(shrinks / (grows + epsilon)) + epsilon
    if shrinks == 0 or grows == 0:
        return min(shrinks, grows)
    return np.sqrt(shrinks) / np.sqrt(grows)
