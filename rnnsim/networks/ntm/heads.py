"""What a head of a neural Turing machine does, as functions on arrays: each usable alone, forward and backward.

The steps of section 3 of Graves, Wayne & Danihelka 2014 (arXiv:1410.5401), with a memory of N rows of M numbers, (N, M)::

    content          w_i = exp(beta K_i) / sum_j exp(beta K_j),  K_i = k.m_i / (|k| |m_i|)     eqs. 5, 6
                     with |x| = sqrt(x.x + norm_floor^2)
    interpolate      w = g c + (1 - g) w'                                                      eq. 7
    shift            ws_i = sum_d s_d w_(i - d mod N)                                          eq. 8
    sharpen          w_i = ws_i^gamma / sum_j ws_j^gamma                                       eq. 9
    read             r = sum_i w_i m_i                                                         eq. 2
    erase_and_add    m_i <- m_i prod_h (1 - w_hi e_h) + sum_h w_hi a_h                         eqs. 3, 4

A `..._backward` takes the gradient of a scalar with respect to the result and what the forward function took, and gives the
gradients with respect to these, in their order. Arrays of float32 are computed in float32, all others in float64; nothing
given is changed. They run the kernels of `rnnsim.networks.ntm.addressing` and `rnnsim.networks.ntm.memory` and share their
measures against overflow: a zero key or row is similar to nothing, and numbers below the smallest normal one count as it
when they are sharpened. Shapes,
signs and ranges that do not fit raise `RnnsimError`; NaN goes in and comes out.

>>> memory = np.eye(4, 3)
>>> w = content(memory, [0, 1, 0], strength=20)
>>> w = sharpen(shift(interpolate(w, np.full(4, 0.25), gate=0.9), [0, 0.1, 0.9]), gamma=4)
>>> w.argmax(), read(memory, w).round(2)
(np.int64(2), array([0., 0., 1.]))
"""

import numpy as np

from rnnsim.core.own_array import as_numbers
from rnnsim.core.registry import require
from rnnsim.networks.ntm import addressing
from rnnsim.networks.ntm import memory as kernels
from rnnsim.networks.ntm.addressing import NORM_FLOOR, Key, Memory
from rnnsim.networks.ntm.rows import padded


def content(memory, key, strength, norm_floor=NORM_FLOOR):
    """Weights (N) that prefer the rows of memory (N, M) whose direction is that of key (M); eqs. 5 and 6.

    strength >= 0: 0 prefers none, infinity would take the nearest alone. norm_floor > 0: the smallest norm of keys and rows;
    1e-8 leaves cosines as they are, a larger one bounds their gradient where the memory is almost empty.

    >>> content([[1.0, 0], [0, 1], [-1, 0]], [1, 0], strength=2).round(3)
    array([0.867, 0.117, 0.016])
    """
    weights, _, m, _ = _content(memory, key, strength, norm_floor)
    return weights[: m.n_rows]


def content_backward(d_weights, memory, key, strength, norm_floor=NORM_FLOOR):
    """(d_memory (N, M), d_key (M), d_strength) from the gradient of the weights, d_weights (N).

    >>> [d.shape for d in content_backward([1.0, 0], [[1.0, 0, 0], [1, 1, 0]], [0, 1, 0], strength=1)]
    [(2, 3), (3,), ()]
    """
    weights, similarity, m, k = _content(memory, key, strength, norm_floor)
    d = _row(_like(weights[: m.n_rows], "d_weights", d_weights))
    d_contents, d_key = np.zeros_like(m.contents), np.empty(len(m.contents), d.dtype)
    d_strength = addressing.content_backward(d_contents, d_key, d, weights, similarity, m, k)
    return d_contents[:, : m.n_rows].T, d_key, d.dtype.type(d_strength)


def _content(memory, key, strength, norm_floor):
    """Weights and similarities (N, padded), the Memory and the Key."""
    memory, key = _arrays(memory=(memory, 2), key=(key, 1))
    require(
        key.size == memory.shape[1], f"key of {key.size} numbers: expected {memory.shape[1]}, the columns of the memory"
    )
    beta = _number("strength", strength, 0, np.inf, key)
    floor = float(_number("norm_floor", norm_floor, 0, np.inf, key))
    require(floor > 0, f"norm_floor={norm_floor}: expected a number above 0")
    contents = _contents(memory)
    weights, similarity, inverse_norms = (np.empty(contents.shape[1], key.dtype) for _ in range(3))
    addressing.inverse_norms(inverse_norms, contents, floor)
    m = Memory(contents, inverse_norms, _padding(len(memory), key.dtype), len(memory), floor)
    unit = np.empty_like(key)
    k = Key(unit, key.dtype.type(addressing.normalise(unit, key, floor)), beta)
    addressing.content_forward(weights, similarity, m, k)
    return weights, similarity, m, k


def interpolate(content, before, gate):
    """gate * content + (1 - gate) * before for weights (N) and a gate in 0..1; eq. 7.

    >>> interpolate([1.0, 0, 0], [0, 0, 1], gate=0.75)
    array([0.75, 0.  , 0.25])
    """
    content, before = _two("content", content, "before", before)
    rows = _row(content), _row(before)
    gated = np.empty_like(rows[0])
    addressing.interpolate_forward(gated, *rows, _number("gate", gate, 0, 1, content), content.size, 0)
    return gated[: content.size]


def interpolate_backward(d_weights, content, before, gate):
    """(d_content (N), d_before (N), d_gate) from the gradient d_weights (N).

    >>> interpolate_backward([1.0, 2], [1, 0], [0, 1], gate=0.5)
    (array([0.5, 1. ]), array([0.5, 1. ]), np.float64(-1.0))
    """
    content, before = _two("content", content, "before", before)
    d = _like(content, "d_weights", d_weights)
    rows = _row(d), _row(content), _row(before)
    d_content, d_before = np.empty_like(rows[0]), np.empty_like(rows[0])
    gate = _number("gate", gate, 0, 1, content)
    d_gate = addressing.interpolate_rows_backward(d_content, d_before, *rows, gate)
    return d_content[: d.size], d_before[: d.size], d.dtype.type(d_gate)


def shift(weights, shifts):
    """Weights (N) moved around the circle by a distribution over the shifts -r .. r, shifts (2r + 1); eq. 8.

    Any r, also beyond N. One-hot shifts rotate:

    >>> shift([0.5, 0.25, 0.25, 0], [0, 0, 1])
    array([0.  , 0.5 , 0.25, 0.25])
    """
    weights, shifts = _moved(weights, shifts)
    shifted = _row(weights)
    addressing.shift_forward(shifted, _ring(weights, shifts, wrapped=True), shifts, weights.size)
    return shifted[: weights.size]


def shift_backward(d_shifted, weights, shifts):
    """(d_weights (N), d_shifts (2r + 1)) from the gradient d_shifted (N).

    >>> shift_backward([1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1])
    (array([0., 0., 1.]), array([0.5, 0.5, 0. ]))
    """
    weights, shifts = _moved(weights, shifts)
    d = _like(weights, "d_shifted", d_shifted)
    d_weights, d_shifts = _row(weights), np.empty_like(shifts)
    d_ring, ring = _ring(d, shifts, wrapped=False), _ring(weights, shifts, wrapped=True)
    addressing.shift_backward(d_weights, d_shifts, d_ring, ring, shifts, weights.size)
    return d_weights[: weights.size], d_shifts


def _moved(weights, shifts):
    weights, shifts = _arrays(weights=(weights, 1), shifts=(shifts, 1))
    require(shifts.size % 2 == 1, f"shifts of {shifts.size} numbers: expected an odd number, for -r .. r")
    return weights, shifts


def _ring(x, shifts, wrapped):
    """A ring with x in its middle; its ends are x repeated, or zero."""
    reach = shifts.size // 2
    ring = np.zeros(padded(x.size, x.dtype) + 2 * reach, x.dtype)
    ring[reach : reach + x.size] = x
    if wrapped:
        addressing.wrap(ring, x.size, reach)
    return ring


def sharpen(weights, gamma):
    """Weights (N), of at least 0, to the power of gamma >= 1, and normalised; eq. 9.

    >>> sharpen([0.5, 0.25, 0.25], gamma=2).round(3)
    array([0.667, 0.167, 0.167])
    """
    weights, gamma = _sharpened(weights, gamma)
    return _sharp(weights, gamma)[0][: weights.size]


def sharpen_backward(d_sharp, weights, gamma):
    """(d_weights (N), d_gamma) from the gradient d_sharp (N).

    >>> d_weights, d_gamma = sharpen_backward([1.0, 0], [0.75, 0.25], gamma=1)
    >>> d_weights, d_gamma.round(3)
    (array([ 0.25, -0.75]), np.float64(0.206))
    """
    weights, gamma = _sharpened(weights, gamma)
    d = _like(weights, "d_sharp", d_sharp)
    sharp, row, padding = _sharp(weights, gamma)
    d_weights, logs = np.empty_like(row), np.empty_like(row)
    d_gamma = addressing.sharpen_backward(d_weights, _row(d), sharp, row, gamma, padding, logs)
    return d_weights[: d.size], d.dtype.type(d_gamma)


def _sharp(weights, gamma):
    """Sharpened weights, weights and what takes their padding out of a softmax: padded rows."""
    row, padding = _row(weights), _padding(weights.size, weights.dtype)
    sharp = np.empty_like(row)
    addressing.sharpen_forward(sharp, row, gamma, padding, np.empty_like(row))
    return sharp, row, padding


def _sharpened(weights, gamma):
    (weights,) = _arrays(weights=(weights, 1))
    require(not weights.min() < 0, f"weights: {weights.min():g} among them; expected numbers of at least 0")
    return weights, _number("gamma", gamma, 1, np.inf, weights)


def read(memory, weights):
    """The vector (M) that weights (N) read from memory (N, M); eq. 2.

    >>> read([[1.0, 2], [3, 4]], [0.5, 0.5])
    array([2., 3.])
    """
    memory, weights = _weighted(memory, weights)
    vector = np.empty(memory.shape[1], memory.dtype)
    kernels.read_forward(vector, _contents(memory), _row(weights))
    return vector


def read_backward(d_vector, memory, weights):
    """(d_memory (N, M), d_weights (N)) from the gradient of the vector, d_vector (M).

    >>> read_backward([1.0, 0], [[1, 2], [3, 4]], [0.5, 0.5])
    (array([[0.5, 0. ],
           [0.5, 0. ]]), array([1., 3.]))
    """
    memory, weights = _weighted(memory, weights)
    d = _like(memory[0], "d_vector", d_vector)
    contents, row = _contents(memory), _row(weights)
    d_contents, d_weights = np.zeros_like(contents), np.zeros_like(row)
    kernels.read_backward(d_contents, d_weights, d, contents, row)
    return d_contents[:, : weights.size].T, d_weights[: weights.size]


def _weighted(memory, weights):
    memory, weights = _arrays(memory=(memory, 2), weights=(weights, 1))
    require(
        weights.size == len(memory),
        f"weights of {weights.size} numbers: expected {len(memory)}, the rows of the memory",
    )
    return memory, weights


def erase_and_add(memory, weights, erase, add):
    """The memory (N, M) after one head with weights (N), erase (M) in 0..1 and add (M) has written; eqs. 3 and 4.

    Several heads are given as rows: weights (heads, N), erase (heads, M), add (heads, M). All erase, then all add, so that
    their order does not matter.

    >>> erase_and_add(np.ones((2, 3)), weights=[1.0, 0], erase=[1, 0.5, 0], add=[0, 0, 7])
    array([[0. , 0.5, 8. ],
           [1. , 1. , 1. ]])
    """
    memory, weights, erase, add, _ = _written(memory, weights, erase, add)
    new = _contents(memory)
    for w, e in zip(weights, erase):
        kernels.erase_rows(new, new, _row(w), e)
    for w, a in zip(weights, add):
        kernels.add_rows(new, _row(w), a)
    return new[:, : len(memory)].T


def erase_and_add_backward(d_new, memory, weights, erase, add):
    """(d_memory, d_weights, d_erase, d_add), shaped as what was given, from the gradient of the new memory d_new (N, M).

    >>> d = erase_and_add_backward(np.ones((2, 3)), np.ones((2, 3)), [1.0, 0], [1, 0.5, 0], [0, 0, 7])
    >>> [part.tolist() for part in d[1:]]
    [[5.5, 5.5], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
    """
    memory, weights, erase, add, one = _written(memory, weights, erase, add)
    d_contents, rows = _contents(_like(memory, "d_new", d_new)), [_row(w) for w in weights]
    d_rows, d_erase, d_add = [np.zeros_like(row) for row in rows], np.empty_like(erase), np.empty_like(add)
    before = [_contents(memory)]
    for row, e in zip(rows, erase):
        before.append(np.empty_like(before[-1]))
        kernels.erase_rows(before[-1], before[-2], row, e)
    for k, row in enumerate(rows):
        kernels.add_rows_backward(d_rows[k], d_add[k], d_contents, row, add[k])
    for k in reversed(range(len(rows))):
        kernels.erase_rows_backward(d_contents, d_rows[k], d_erase[k], before[k], rows[k], erase[k])
    d_weights = np.array([d_row[: len(memory)] for d_row in d_rows])
    found = d_weights, d_erase, d_add
    return d_contents[:, : len(memory)].T, *(part[0] if one else part for part in found)


def _written(memory, weights, erase, add):
    """All as arrays with a first axis of heads, and whether there was one head without that axis."""
    one = np.ndim(weights) == 1
    axes = 1 if one else 2
    given = dict(memory=(memory, 2), weights=(weights, axes), erase=(erase, axes), add=(add, axes))
    memory, *parts = _arrays(**given)
    parts = [part[None] if one else part for part in parts]
    heads = len(parts[0])
    for name, part, size in zip(("weights", "erase", "add"), parts, (len(memory), *2 * memory.shape[1:])):
        wanted = (size,) if one else (heads, size)
        fits = part.shape == (heads, size)
        require(fits, f"{name} of shape {part.shape[one:]}: expected {wanted} for a memory of shape {memory.shape}")
    return memory, *parts, one


# -- padded rows ----------------------------------------------------------------------------------------------------------------


def _row(x):
    """A vector as a row that is padded with zeros."""
    return np.pad(x, (0, padded(x.size, x.dtype) - x.size))


def _contents(memory):
    """A memory (N, M) as (M, N, padded)."""
    return np.array([_row(column) for column in memory.T])


def _padding(n, dtype):
    """The addend that takes the padding of a row of n numbers out of a softmax."""
    row = np.zeros(padded(n, dtype), dtype)
    row[n:] = -np.inf
    return row


# -- what is given ------------------------------------------------------------------------------------------------------------


def _arrays(**given):
    """Copies of what is given as {name: (values, axes)}, contiguous and of one floating type."""
    found = []
    for name, (values, axes) in given.items():
        array = as_numbers(name, values)
        fits = array.ndim == axes and array.size > 0
        require(fits, f"{name} of shape {array.shape}: expected {('a vector', 'a matrix')[axes - 1]} that is not empty")
        found.append(array)
    single = all(array.dtype == np.float32 for array in found)
    return [np.array(array, np.float32 if single else np.float64, order="C") for array in found]


def _two(name, one, other_name, other):
    one, other = _arrays(**{name: (one, 1), other_name: (other, 1)})
    require(one.size == other.size, f"{other_name} of {other.size} numbers: expected {one.size}, as {name}")
    return one, other


def _like(array, name, values):
    """A gradient that has the shape and takes the type of an array."""
    (values,) = _arrays(**{name: (values, array.ndim)})
    require(values.shape == array.shape, f"{name} of shape {values.shape}: expected {array.shape}")
    return values.astype(array.dtype)


def _number(name, value, least, most, array):
    """A number of the array's type, inside its range."""
    fits = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"
    require(fits, f"{name}={value}: expected a number")
    fits = least <= value <= most and np.isfinite(value) or np.isnan(value)
    bounds = f"{least}..{most}" if np.isfinite(most) else f"a finite number of at least {least}"
    require(fits, f"{name}={value}: expected {bounds}")
    return array.dtype.type(value)
