"""How a head of a neural Turing machine finds its place in memory, forward and backward (Graves, Wayne & Danihelka 2014,
section 3.3).

A head emits a key k (M), its strength beta > 0, an interpolation gate g in (0, 1), a distribution s over the shifts -r .. r and
a sharpening exponent gamma >= 1. With the memory rows m_i (M), i = 1 .. N, and the head's weighting w' of the last time step::

    K_i   = k.m_i / (|k| |m_i|)                                    cosine similarity                  (eq. 6)
    wc_i  = exp(beta K_i) / sum_j exp(beta K_j)                    content addressing                 (eq. 5)
    wg    = g wc + (1 - g) w'                                      interpolation                      (eq. 7)
    ws_i  = sum_d s_d wg_(i - d mod N)                             circular shift                     (eq. 8)
    w_i   = ws_i^gamma / sum_j ws_j^gamma                          sharpening                         (eq. 9)

Safe in float32
    Norms are |x| = sqrt(x.x + norm_floor^2) with norm_floor > 0: a zero key or row is similar to nothing (K = 0), and no
    gradient of K exceeds 1 / norm_floor. Both softmaxes (over beta K in eq. 5, over gamma log ws in eq. 9) subtract their
    largest exponent, so that the largest term is 1. log ws is the logarithm of at least the smallest normal number. The
    gradient of eq. 9 needs ws^(gamma - 1), which is an exponential of its own and not a quotient.

Layout
    The memory is (M, N): one vector of the processor holds one component of many rows, for any M. Rows of N numbers are padded
    as `rnnsim.networks.ntm.rows` says. `rnnsim.networks.ntm.heads` has every step as a function on arrays, with the memory
    as (N, M); `rnnsim.networks.ntm.memory` has reading and writing.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, maximum, reduce_add, reduce_maximum, sqrt, width
from rnnsim.core.vmath import exp, log
from rnnsim.networks.ntm.rows import clear_padding, dot, get, put

NORM_FLOOR = 1e-8  # of keys and rows; so small that cosines stay as they are
_TINY = 1.2e-38  # the smallest normal float32, rounded up

STRENGTH, GATE, SHIFT, GAMMA = 0, 1, 2, -1  # places in what a head emits for addressing; the shifts lie between


class Memory(NamedTuple):
    """The memory as a head sees it."""

    contents: np.ndarray  # (M, N)
    inverse_norms: np.ndarray  # (N) 1 / |m_i|
    padding: np.ndarray  # (N) 0, and minus infinity on the padding
    n_rows: int  # N without padding
    norm_floor: float


class Key(NamedTuple):
    """A key and its strength."""

    unit: np.ndarray  # (M) k / |k|
    inverse_norm: float  # 1 / |k|
    strength: float


class Head(NamedTuple):
    """One head at one time step: what it emits for addressing, and the weightings of eqs. 5 to 9."""

    key: np.ndarray  # (M)
    address: np.ndarray  # (3 + S) strength, gate, shift, gamma
    before: np.ndarray  # (N) w' of the last time step
    similarity: np.ndarray  # (N) K
    content: np.ndarray  # (N) wc
    shifted: np.ndarray  # (N) ws
    weights: np.ndarray  # (N) w


class HeadGradient(NamedTuple):
    """The gradients of one head at one time step."""

    key: np.ndarray  # (M)
    address: np.ndarray  # (3 + S)
    weights: np.ndarray  # (N) of w, then of w'


class Scratch(NamedTuple):
    """Work rows of one sequence."""

    unit: np.ndarray  # (M)
    ring: np.ndarray  # (N + S - 1) wg, with its ends repeated
    d_ring: np.ndarray  # (N + S - 1)
    row: np.ndarray  # (N)
    raw: np.ndarray  # (P)


# -- the mathematics, on numbers: scalars or vectors --------------------------------------------------------------------------


@jit_borrowed
def power(log_base, exponent, padding):
    """exp(log_base * exponent), the terms of both softmaxes; 0 where padding is minus infinity."""
    return exp(log_base * exponent + padding)


@jit_borrowed
def softmax_backward(d_weight, weight, mean):
    """The gradient of an exponent of a softmax; mean = sum_j d_weight_j weight_j."""
    return weight * (d_weight - mean)


@jit_borrowed
def similarity_backward(scale, unit, similarity, inverse_norm, component):
    """The gradient of a component of m_i: that of K_i over |m_i|, `scale`, times k / |k| - K_i m_i / |m_i|."""
    return scale * (unit - similarity * inverse_norm * component)


@jit_borrowed
def interpolate(content, before, gate, one_minus_gate):
    """Eq. 7."""
    return content * gate + before * one_minus_gate


@jit_borrowed
def interpolate_backward(d, content, before, gate, one_minus_gate):
    """The gradients of content, before and gate."""
    return d * gate, d * one_minus_gate, d * (content - before)


# -- content addressing (eqs. 5 and 6) --------------------------------------------------------------------------------------


@jit_borrowed
def inverse_norms(inverse, contents, norm_floor=NORM_FLOOR):
    """inverse (N) <- 1 / |m_i| of contents (M, N)."""
    for j in range(0, inverse.size, width(inverse)):
        square = broadcast(inverse, norm_floor * norm_floor)
        for m in range(contents.shape[0]):
            component = get(contents[m], j)
            square = square + component * component
        put(inverse, j, broadcast(inverse, 1) / sqrt(square))


@jit_borrowed
def normalise(unit, key, norm_floor=NORM_FLOOR):
    """unit (M) <- key (M) / |key|; returns 1 / |key|."""
    square = key.dtype.type(norm_floor * norm_floor)
    for m in range(key.size):
        square += key[m] * key[m]
    inverse = key.dtype.type(1) / np.sqrt(square)
    for m in range(key.size):
        unit[m] = key[m] * inverse
    return inverse


@jit_borrowed
def content_forward(content, similarity, memory, key):
    """content, similarity (N) <- eqs. 5 and 6, for a Memory and a Key."""
    largest = broadcast(content, -np.inf)
    for j in range(0, content.size, width(content)):
        product = broadcast(content, 0)
        for m in range(memory.contents.shape[0]):
            product = product + get(memory.contents[m], j) * key.unit[m]
        cosine = product * get(memory.inverse_norms, j)
        put(similarity, j, cosine)
        largest = maximum(largest, cosine + get(memory.padding, j))
    softmax(content, similarity, reduce_maximum(largest), key.strength, memory.padding)


@jit_borrowed
def softmax(weights, x, largest, factor, padding):
    """weights (N) <- softmax of factor * x (N), factor >= 0; `largest` is that of x, padding (N) as in Memory."""
    sums = broadcast(weights, 0)
    for j in range(0, weights.size, width(weights)):
        term = power(get(x, j) - largest, factor, get(padding, j))
        put(weights, j, term)
        sums = sums + term
    share = weights.dtype.type(1) / reduce_add(sums)
    for j in range(0, weights.size, width(weights)):
        put(weights, j, get(weights, j) * share)


@jit_borrowed
def content_backward(d_contents, d_key, d_content, content, similarity, memory, key):
    """d_contents (M, N) +=, d_key (M) <- the gradients; d_content (N) is overwritten; returns that of the strength."""
    mean = dot(d_content, content)
    d_strength = broadcast(content, 0)
    for j in range(0, content.size, width(content)):
        cosine = get(similarity, j)
        d_exponent = softmax_backward(get(d_content, j), get(content, j), mean)
        d_strength = d_strength + d_exponent * cosine
        put(d_content, j, d_exponent * key.strength * get(memory.inverse_norms, j))
    along = key.unit.dtype.type(0)
    for m in range(memory.contents.shape[0]):
        row, d_row = memory.contents[m], d_contents[m]
        sums = broadcast(content, 0)
        for j in range(0, content.size, width(content)):
            scale, component = get(d_content, j), get(row, j)
            sums = sums + scale * component
            d = similarity_backward(scale, key.unit[m], get(similarity, j), get(memory.inverse_norms, j), component)
            put(d_row, j, get(d_row, j) + d)
        d_key[m] = reduce_add(sums)
        along += d_key[m] * key.unit[m]
    for m in range(memory.contents.shape[0]):
        d_key[m] = key.inverse_norm * (d_key[m] - along * key.unit[m])
    return reduce_add(d_strength)


# -- addressing by location (eqs. 7 to 9) -----------------------------------------------------------------------------------
#
# A ring holds N numbers in its middle, from place r on, and repeats its ends: r + N + r numbers, then padding.


@jit_borrowed
def wrap(ring, n, reach):
    """Repeat the ends of a ring whose middle, n numbers from place `reach` on, is given; its padding becomes 0."""
    for d in range(1, reach + 1):
        ring[reach - d] = ring[reach + n - 1 - (d - 1) % n]
        ring[reach + n - 1 + d] = ring[reach + (d - 1) % n]
    clear_padding(ring, n + 2 * reach)


@jit_borrowed
def interpolate_forward(ring, content, before, gate, n, reach):
    """ring (N + 2 reach) <- eq. 7 of content and before (N)."""
    one_minus_gate = content.dtype.type(1) - gate
    middle = ring[reach:]
    for j in range(0, content.size, width(content)):
        put(middle, j, interpolate(get(content, j), get(before, j), gate, one_minus_gate))
    wrap(ring, n, reach)


@jit_borrowed
def interpolate_rows_backward(d_content, d_before, d_gated, content, before, gate):
    """d_content, d_before (N) <- the gradients; returns that of the gate. d_content may be d_gated."""
    one_minus_gate = content.dtype.type(1) - gate
    d_gate = broadcast(content, 0)
    for j in range(0, content.size, width(content)):
        d_c, d_b, d_g = interpolate_backward(get(d_gated, j), get(content, j), get(before, j), gate, one_minus_gate)
        put(d_content, j, d_c)
        put(d_before, j, d_b)
        d_gate = d_gate + d_g
    return reduce_add(d_gate)


@jit_borrowed
def shift_forward(shifted, ring, shift, n):
    """shifted (N) <- eq. 8 for shift (S): the ring is read against the order of the shifts."""
    last = shift.size - 1
    for j in range(0, shifted.size, width(shifted)):
        sums = broadcast(shifted, 0)
        for d in range(shift.size):
            sums = sums + get(ring, j + last - d) * shift[d]
        put(shifted, j, sums)
    clear_padding(shifted, n)


@jit_borrowed
def shift_backward(d_gated, d_shift, d_ring, ring, shift, n):
    """d_gated (N), d_shift (S) <- the gradients. The middle of d_ring is that of the shifted weights, zero after it."""
    last = shift.size - 1
    middle = d_ring[last // 2 : last // 2 + d_gated.size]
    for d in range(shift.size):
        d_shift[d] = dot(middle, ring[last - d :])
    wrap(d_ring, n, last // 2)
    for j in range(0, d_gated.size, width(d_gated)):
        sums = broadcast(d_gated, 0)
        for d in range(shift.size):
            sums = sums + get(d_ring, j + d) * shift[d]
        put(d_gated, j, sums)
    clear_padding(d_gated, n)


@jit_borrowed
def logarithms(logs, x, padding):
    """logs (N) <- log x (N), of at least the smallest normal number; returns the largest."""
    largest, floor = broadcast(x, -np.inf), broadcast(x, _TINY)
    for j in range(0, x.size, width(x)):
        value = log(maximum(get(x, j), floor))
        put(logs, j, value)
        largest = maximum(largest, value + get(padding, j))
    return reduce_maximum(largest)


@jit_borrowed
def sharpen_forward(weights, shifted, gamma, padding, logs):
    """weights (N) <- eq. 9 of shifted (N); logs (N) is scratch."""
    largest = logarithms(logs, shifted, padding)
    softmax(weights, logs, largest, gamma, padding)


@jit_borrowed
def sharpen_backward(d_shifted, d_weights, weights, shifted, gamma, padding, logs):
    """d_shifted (N) <- the gradient; returns that of gamma. logs (N) is scratch."""
    largest = logarithms(logs, shifted, padding)
    sums, d_gamma = broadcast(weights, 0), broadcast(weights, 0)
    gamma_minus_one = gamma - weights.dtype.type(1)
    mean = dot(d_weights, weights)
    for j in range(0, weights.size, width(weights)):
        log_ratio, beyond = get(logs, j) - largest, get(padding, j)
        put(d_shifted, j, power(log_ratio, gamma_minus_one, beyond))
        sums = sums + power(log_ratio, gamma, beyond)
        d_gamma = d_gamma + (get(d_weights, j) - mean) * get(weights, j) * log_ratio
    scale = gamma * exp(-largest) / reduce_add(sums)
    for j in range(0, weights.size, width(weights)):
        put(d_shifted, j, get(d_shifted, j) * (get(d_weights, j) - mean) * scale)
    return reduce_add(d_gamma)


# -- all steps of one head ----------------------------------------------------------------------------------------------------


@jit_borrowed
def address_forward(head, memory, scratch):
    """The weightings of a Head <- eqs. 5 to 9 on a Memory."""
    address, shift = head.address, head.address[SHIFT:GAMMA]
    inverse = normalise(scratch.unit, head.key, memory.norm_floor)
    content_forward(head.content, head.similarity, memory, Key(scratch.unit, inverse, address[STRENGTH]))
    interpolate_forward(scratch.ring, head.content, head.before, address[GATE], memory.n_rows, shift.size // 2)
    shift_forward(head.shifted, scratch.ring, shift, memory.n_rows)
    sharpen_forward(head.weights, head.shifted, address[GAMMA], memory.padding, scratch.row)


@jit_borrowed
def address_backward(d_contents, d, head, memory, scratch):
    """d_contents (M, N) += the gradient of the memory; d (HeadGradient) goes from that of the weighting to all others."""
    n, row, address, shift = memory.n_rows, scratch.row, head.address, head.address[SHIFT:GAMMA]
    reach = shift.size // 2
    d_shifted = scratch.d_ring[reach : reach + row.size]
    d.address[GAMMA] = sharpen_backward(
        d_shifted, d.weights, head.weights, head.shifted, address[GAMMA], memory.padding, row
    )
    interpolate_forward(scratch.ring, head.content, head.before, address[GATE], n, reach)
    shift_backward(row, d.address[SHIFT:GAMMA], scratch.d_ring, scratch.ring, shift, n)
    d.address[GATE] = interpolate_rows_backward(row, d.weights, row, head.content, head.before, address[GATE])
    key = Key(scratch.unit, normalise(scratch.unit, head.key, memory.norm_floor), address[STRENGTH])
    d.address[STRENGTH] = content_backward(d_contents, d.key, row, head.content, head.similarity, memory, key)
