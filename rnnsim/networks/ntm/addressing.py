"""How a neural Turing machine finds its place in memory, forward and backward (Graves, Wayne & Danihelka 2014, section 3).

A head emits a key k (M), its strength beta > 0, an interpolation gate g in (0, 1), a distribution s over shifts -r .. r and
a sharpening exponent gamma >= 1. With the memory rows m_i (M), i = 1 .. N, and the head's weighting w' of the tick before::

    K_i   = k.m_i / (|k| |m_i|)                                    cosine similarity                  (eq. 6)
    wc_i  = exp(beta K_i) / sum_j exp(beta K_j)                    content addressing                 (eq. 5)
    wg    = g wc + (1 - g) w'                                      interpolation                      (eq. 7)
    ws_i  = sum_d s_d wg_(i - d mod N)                             circular shift                     (eq. 8)
    w_i   = ws_i^gamma / sum_j ws_j^gamma                          sharpening                         (eq. 9)

    r     = sum_i w_i m_i                                          read                               (eq. 2)
    m_i  <- m_i * (1 - w_i e)                                      erase, all heads before any adds   (eq. 3)
    m_i  <- m_i + w_i a                                            add                                (eq. 4)

What makes it safe in float32
    norms are |x| = sqrt(x.x + floor^2), with a floor above 0: a zero key or row is similar to nothing (K = 0), and no
    gradient of K is larger than 1 / floor; both softmaxes, that of eq. 5 and that over gamma log ws in eq. 9, subtract their
    largest exponent, so that the largest term is 1; log ws is taken of at least the smallest normal number; ws^(gamma - 1),
    which the gradient of eq. 9 needs, is an exponential of its own and not a quotient.

The kernels take the memory as (M, N): a vector of the machine then holds one component of many rows, for any M, and only
reads end in a sum over lanes. `rnnsim.networks.ntm.heads` has every step as a function on arrays, with the memory as (N, M).
"""

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.simd import broadcast, load, load_or, mask, maximum, reduce_add, reduce_maximum, sqrt, store, width
from rnnsim.core.vmath import exp, log

NORM_FLOOR = 1e-8  # of keys and rows; so small that it leaves cosines as they are
_TINY = 1.2e-38  # the smallest normal float32, rounded up


# -- content (eqs. 5 and 6) ---------------------------------------------------------------------------------------------


@jit_exact
def inverse_norms(inverse, memory, floor=NORM_FLOOR):
    """inverse (N) <- 1 / |m_i| of memory (M, N)."""
    one = broadcast(inverse, 1)
    for j in range(0, inverse.size, width(inverse)):
        live = mask(inverse.size - j)
        square = broadcast(inverse, floor * floor)
        for m in range(memory.shape[0]):
            component = load(memory[m], j, live)
            square = square + component * component
        store(inverse, j, live, one / sqrt(square))


@jit_exact
def unit_vector(unit, key, floor=NORM_FLOOR):
    """unit (M) <- key / |key|; gives 1 / |key|."""
    square = key.dtype.type(floor * floor)
    for m in range(key.size):
        square += key[m] * key[m]
    inverse = key.dtype.type(1) / np.sqrt(square)
    for m in range(key.size):
        unit[m] = key[m] * inverse
    return inverse


@jit_exact
def content_forward(weights, similarity, memory, inverse, unit, strength):
    """weights, similarity (N) <- content addressing of memory (M, N) by the unit key (M)."""
    n = weights.size
    top = broadcast(weights, -np.inf)
    for j in range(0, n, width(weights)):
        live = mask(n - j)
        product = broadcast(weights, 0)
        for m in range(memory.shape[0]):
            product = product + load(memory[m], j, live) * unit[m]
        store(similarity, j, live, product * load(inverse, j, live))
        top = maximum(top, load_or(similarity, j, live, -np.inf))
    softmax(weights, similarity, reduce_maximum(top), strength)


@jit_exact
def softmax(weights, x, top, factor):
    """weights (N) <- softmax of factor * x, factor >= 0, where `top` is the largest x; gives the sum before normalising."""
    n = weights.size
    sums = broadcast(weights, 0)
    for j in range(0, n, width(weights)):
        live = mask(n - j)
        power = exp((load_or(x, j, live, -np.inf) - top) * factor)
        store(weights, j, live, power)
        sums = sums + load(weights, j, live)
    mass = reduce_add(sums)
    share = weights.dtype.type(1) / mass
    for j in range(0, n, width(weights)):
        live = mask(n - j)
        store(weights, j, live, load(weights, j, live) * share)
    return mass


@jit_exact
def dot(x, y):
    """The sum of x[j] y[j]."""
    sums = broadcast(x, 0)
    for j in range(0, x.size, width(x)):
        live = mask(x.size - j)
        sums = sums + load(x, j, live) * load(y, j, live)
    return reduce_add(sums)


@jit_exact
def content_backward(d_memory, d_key, d_weights, weights, similarity, memory, inverse, unit, inverse_key, strength):
    """d_memory (M, N) += and d_key (M) <- the gradients; d_weights (N) is used up; gives the gradient of the strength."""
    n = weights.size
    mean = dot(d_weights, weights)
    slope = broadcast(weights, 0)
    for j in range(0, n, width(weights)):
        live = mask(n - j)
        k = load(similarity, j, live)
        d_exponent = load(weights, j, live) * (load(d_weights, j, live) - mean)
        slope = slope + d_exponent * k
        # dK = c (unit - K m / |m|) with c = d_exponent strength / |m|
        store(d_weights, j, live, d_exponent * strength * load(inverse, j, live))
    along = unit.dtype.type(0)
    for m in range(unit.size):
        row, d_row = memory[m], d_memory[m]
        sums = broadcast(weights, 0)
        for j in range(0, n, width(weights)):
            live = mask(n - j)
            c, x = load(d_weights, j, live), load(row, j, live)
            sums = sums + c * x
            pull = load(similarity, j, live) * load(inverse, j, live) * x
            store(d_row, j, live, load(d_row, j, live) + c * (broadcast(weights, unit[m]) - pull))
        d_key[m] = reduce_add(sums)
        along += d_key[m] * unit[m]
    for m in range(unit.size):
        d_key[m] = inverse_key * (d_key[m] - along * unit[m])
    return reduce_add(slope)


# -- location (eqs. 7 to 9) ---------------------------------------------------------------------------------------------


@jit_exact
def wrap(ring, n, reach):
    """Fill the ends of ring (n + 2 reach), whose middle n numbers are given, as if it were a circle."""
    for d in range(1, reach + 1):
        ring[reach - d] = ring[reach + n - 1 - (d - 1) % n]
        ring[reach + n - 1 + d] = ring[reach + (d - 1) % n]


@jit_exact
def interpolate(ring, content, before, gate, reach):
    """ring (N + 2 reach) <- gate * content + (1 - gate) * before, and its ends wrapped."""
    n = content.size
    rest = content.dtype.type(1) - gate
    middle = ring[reach : reach + n]
    for j in range(0, n, width(content)):
        live = mask(n - j)
        store(middle, j, live, load(content, j, live) * gate + load(before, j, live) * rest)
    wrap(ring, n, reach)


@jit_exact
def shift_forward(shifted, ring, shift):
    """shifted_i = sum_d shift_d wg_(i - d): the ring is read against the order of the shifts."""
    n, last = shifted.size, shift.size - 1
    for j in range(0, n, width(shifted)):
        live = mask(n - j)
        sums = broadcast(shifted, 0)
        for d in range(shift.size):
            sums = sums + load(ring, j + last - d, live) * shift[d]
        store(shifted, j, live, sums)


@jit_exact
def logarithms(logs, x):
    """logs (N) <- log x, of at least the smallest normal number; gives the largest."""
    n = x.size
    top = broadcast(x, -np.inf)
    floor = broadcast(x, _TINY)
    for j in range(0, n, width(x)):
        live = mask(n - j)
        store(logs, j, live, log(maximum(load(x, j, live), floor)))
        top = maximum(top, load_or(logs, j, live, -np.inf))
    return reduce_maximum(top)


@jit_exact
def sharpen_forward(weights, shifted, gamma, logs):
    """weights (N) <- shifted^gamma, normalised; logs (N) is scratch."""
    softmax(weights, logs, logarithms(logs, shifted), gamma)


@jit_exact
def sharpen_backward(d_shifted, d_weights, weights, shifted, gamma, logs):
    """d_shifted (N) <- the gradient; gives that of gamma. logs (N) is scratch."""
    n = weights.size
    top = logarithms(logs, shifted)
    sums, slope = broadcast(weights, 0), broadcast(weights, 0)
    mean = dot(d_weights, weights)
    for j in range(0, n, width(weights)):
        live = mask(n - j)
        x = load_or(logs, j, live, -np.inf) - top
        store(d_shifted, j, live, exp(x * (gamma - weights.dtype.type(1))))
        # Lanes that do not exist: exp(-inf) is 0.
        sums = sums + exp(x * gamma)
        slope = slope + (load(d_weights, j, live) - mean) * load(weights, j, live) * (load(logs, j, live) - top)
    scale = gamma * exp(-top) / reduce_add(sums)
    for j in range(0, n, width(weights)):
        live = mask(n - j)
        store(d_shifted, j, live, load(d_shifted, j, live) * (load(d_weights, j, live) - mean) * scale)
    return reduce_add(slope)


@jit_exact
def shift_backward(d_gated, d_shift, d_ring, ring, shift):
    """d_gated (N) <- and d_shift (S) <- the gradients; d_ring is the wrapped gradient of the shifted weights."""
    n, last = d_gated.size, shift.size - 1
    middle = d_ring[last // 2 : last // 2 + n]
    for d in range(shift.size):
        d_shift[d] = dot(middle, ring[last - d : last - d + n])
    for j in range(0, n, width(d_gated)):
        live = mask(n - j)
        sums = broadcast(d_gated, 0)
        for d in range(shift.size):
            sums = sums + load(d_ring, j + d, live) * shift[d]
        store(d_gated, j, live, sums)


@jit_exact
def interpolate_backward(d_content, d_before, d_gated, content, before, gate):
    """d_content, d_before (N) <- the gradients; gives that of the gate. d_content may be d_gated."""
    n = content.size
    rest = content.dtype.type(1) - gate
    slope = broadcast(content, 0)
    for j in range(0, n, width(content)):
        live = mask(n - j)
        d = load(d_gated, j, live)
        slope = slope + d * (load(content, j, live) - load(before, j, live))
        store(d_before, j, live, d * rest)
        store(d_content, j, live, d * gate)
    return reduce_add(slope)


# -- a whole head ---------------------------------------------------------------------------------------------------------
#
# What a head emits stands in one row: key (M), strength, gate, shift (S), gamma; a write head's erase (M) and add (M) follow.


@jit_exact
def address_forward(weights, trace, memory, inverse, emitted, before, shifts, floor, scratch):
    """weights (N) <- the head's weighting; trace (3, N) <- similarity, content weights, shifted weights.

    scratch holds rows of at least max(N + shifts, M).
    """
    size, n = memory.shape
    unit = scratch[0, :size]
    unit_vector(unit, emitted[:size], floor)
    content_forward(trace[1], trace[0], memory, inverse, unit, emitted[size])
    ring = scratch[1, : n + shifts - 1]
    interpolate(ring, trace[1], before, emitted[size + 1], shifts // 2)
    shift_forward(trace[2], ring, emitted[size + 2 : size + 2 + shifts])
    sharpen_forward(weights, trace[2], emitted[size + 2 + shifts], scratch[0, :n])


@jit_exact
def address_backward(
    d_memory, d_before, d_emitted, d_weights, weights, trace, memory, inverse, emitted, before, shifts, floor, scratch
):
    """d_memory (M, N) += the gradient; d_before (N) and d_emitted <- theirs. d_weights (N) is that of the weighting."""
    size, n = memory.shape
    reach, gate = shifts // 2, emitted[size + 1]
    ring, d_ring, work = scratch[0, : n + 2 * reach], scratch[1, : n + 2 * reach], scratch[2, :n]
    d_shifted = d_ring[reach : reach + n]
    d_emitted[size + 2 + shifts] = sharpen_backward(
        d_shifted, d_weights, weights, trace[2], emitted[size + 2 + shifts], work
    )
    wrap(d_ring, n, reach)
    interpolate(ring, trace[1], before, gate, reach)
    shift_backward(work, d_emitted[size + 2 : size + 2 + shifts], d_ring, ring, emitted[size + 2 : size + 2 + shifts])
    d_emitted[size + 1] = interpolate_backward(work, d_before, work, trace[1], before, gate)
    unit = scratch[0, :size]
    inverse_key = unit_vector(unit, emitted[:size], floor)
    d_emitted[size] = content_backward(
        d_memory, d_emitted[:size], work, trace[1], trace[0], memory, inverse, unit, inverse_key, emitted[size]
    )


# -- reading and writing (eqs. 2 to 4) --------------------------------------------------------------------------------------


@jit_exact
def read_forward(vector, memory, weights):
    """vector (M) <- sum_i w_i m_i."""
    for m in range(vector.size):
        vector[m] = dot(memory[m], weights)


@jit_exact
def read_backward(d_memory, d_weights, d_vector, memory, weights):
    """d_memory (M, N) += and d_weights (N) += the gradients."""
    n = weights.size
    for m in range(d_vector.size):
        d, row, d_row = d_vector[m], memory[m], d_memory[m]
        for j in range(0, n, width(weights)):
            live = mask(n - j)
            store(d_row, j, live, load(d_row, j, live) + load(weights, j, live) * d)
            store(d_weights, j, live, load(d_weights, j, live) + load(row, j, live) * d)


@jit_exact
def erase_forward(new, memory, weights, erase):
    """new (M, N) <- m_i * (1 - w_i e); new may be memory."""
    n, one = weights.size, broadcast(weights, 1)
    for m in range(erase.size):
        row, out, e = memory[m], new[m], erase[m]
        for j in range(0, n, width(weights)):
            live = mask(n - j)
            store(out, j, live, load(row, j, live) * (one - load(weights, j, live) * e))


@jit_exact
def erase_backward(d_memory, d_weights, d_erase, memory, weights, erase):
    """d_memory (M, N) goes from the new memory's gradient to the old one's; d_weights (N) +=, d_erase (M) <-."""
    n, one = weights.size, broadcast(weights, 1)
    for m in range(erase.size):
        row, d_row, e = memory[m], d_memory[m], erase[m]
        sums = broadcast(weights, 0)
        for j in range(0, n, width(weights)):
            live = mask(n - j)
            w, d = load(weights, j, live), load(d_row, j, live)
            lost = d * load(row, j, live)
            sums = sums + lost * w
            store(d_weights, j, live, load(d_weights, j, live) - lost * e)
            store(d_row, j, live, d * (one - w * e))
        d_erase[m] = -reduce_add(sums)


@jit_exact
def add_forward(memory, weights, add):
    """memory (M, N) += w_i a."""
    n = weights.size
    for m in range(add.size):
        row, a = memory[m], add[m]
        for j in range(0, n, width(weights)):
            live = mask(n - j)
            store(row, j, live, load(row, j, live) + load(weights, j, live) * a)


@jit_exact
def add_backward(d_weights, d_add, d_memory, weights, add):
    """d_weights (N) += and d_add (M) <- the gradients; that of the memory passes as it is."""
    n = weights.size
    for m in range(add.size):
        d_row, a = d_memory[m], add[m]
        sums = broadcast(weights, 0)
        for j in range(0, n, width(weights)):
            live = mask(n - j)
            d = load(d_row, j, live)
            sums = sums + d * load(weights, j, live)
            store(d_weights, j, live, load(d_weights, j, live) + d * a)
        d_add[m] = reduce_add(sums)
