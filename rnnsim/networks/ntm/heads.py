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
given is changed. They run the kernels of `rnnsim.networks.ntm.addressing`, whose measures against overflow they share: a zero
key or row is similar to nothing, and numbers below the smallest normal one count as it when they are sharpened. Shapes,
signs and ranges that do not fit raise `RnnsimError`; NaN goes in and comes out.

>>> memory = np.eye(4, 3)
>>> w = content(memory, [0, 1, 0], strength=20)
>>> w = sharpen(shift(interpolate(w, np.full(4, 0.25), gate=0.9), [0, 0.1, 0.9]), gamma=4)
>>> w.argmax(), read(memory, w).round(2)
(np.int64(2), array([0., 0., 1.]))
"""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError
from rnnsim.networks.ntm import addressing
from rnnsim.networks.ntm.addressing import NORM_FLOOR


def content(memory, key, strength, norm_floor=NORM_FLOOR):
    """Weights (N) that prefer the rows of memory (N, M) whose direction is that of key (M); eqs. 5 and 6.

    strength >= 0: 0 prefers none, infinity would take the nearest alone. norm_floor > 0: the smallest norm of keys and rows;
    1e-8 leaves cosines as they are, a larger one bounds their gradient where the memory is almost empty.

    >>> content([[1.0, 0], [0, 1], [-1, 0]], [1, 0], strength=2).round(3)
    array([0.867, 0.117, 0.016])
    """
    return _content(memory, key, strength, norm_floor)[0]


def content_backward(d_weights, memory, key, strength, norm_floor=NORM_FLOOR):
    """(d_memory (N, M), d_key (M), d_strength) from the gradient of the weights, d_weights (N).

    >>> [d.shape for d in content_backward([1.0, 0], [[1.0, 0, 0], [1, 1, 0]], [0, 1, 0], strength=1)]
    [(2, 3), (3,), ()]
    """
    weights, similarity, m, inverse, unit, inverse_key, beta = _content(memory, key, strength, norm_floor)
    d = _like(weights, "d_weights", d_weights).copy()
    d_memory, d_key = np.zeros_like(m), np.empty_like(unit)
    d_strength = addressing.content_backward(
        d_memory, d_key, d, weights, similarity, m, inverse, unit, inverse_key, beta
    )
    return d_memory.T, d_key, weights.dtype.type(d_strength)


def _content(memory, key, strength, norm_floor):
    """Weights, and all that the way back needs."""
    memory, key = _arrays(memory=(memory, 2), key=(key, 1))
    require(
        key.size == memory.shape[1], f"key of {key.size} numbers: expected {memory.shape[1]}, the columns of the memory"
    )
    beta = _number("strength", strength, 0, np.inf, key)
    floor = float(_number("norm_floor", norm_floor, 0, np.inf, key))
    require(floor > 0, f"norm_floor={norm_floor}: expected a number above 0")
    m = np.ascontiguousarray(memory.T)
    weights, similarity, inverse = (np.empty(len(memory), key.dtype) for _ in range(3))
    unit = np.empty_like(key)
    inverse_key = key.dtype.type(addressing.unit_vector(unit, key, floor))
    addressing.inverse_norms(inverse, m, floor)
    addressing.content_forward(weights, similarity, m, inverse, unit, beta)
    return weights, similarity, m, inverse, unit, inverse_key, beta


def interpolate(content, before, gate):
    """gate * content + (1 - gate) * before for weights (N) and a gate in 0..1; eq. 7.

    >>> interpolate([1.0, 0, 0], [0, 0, 1], gate=0.75)
    array([0.75, 0.  , 0.25])
    """
    content, before = _two("content", content, "before", before)
    ring = np.empty_like(content)
    addressing.interpolate(ring, content, before, _number("gate", gate, 0, 1, content), 0)
    return ring


def interpolate_backward(d_weights, content, before, gate):
    """(d_content (N), d_before (N), d_gate) from the gradient d_weights (N).

    >>> interpolate_backward([1.0, 2], [1, 0], [0, 1], gate=0.5)
    (array([0.5, 1. ]), array([0.5, 1. ]), np.float64(-1.0))
    """
    content, before = _two("content", content, "before", before)
    d = _like(content, "d_weights", d_weights)
    d_content, d_before = np.empty_like(d), np.empty_like(d)
    gate = _number("gate", gate, 0, 1, content)
    d_gate = addressing.interpolate_backward(d_content, d_before, d, content, before, gate)
    return d_content, d_before, d.dtype.type(d_gate)


def shift(weights, shifts):
    """Weights (N) moved around the circle by a distribution over the shifts -r .. r, shifts (2r + 1); eq. 8.

    Any r, also beyond N. One-hot shifts rotate:

    >>> shift([0.5, 0.25, 0.25, 0], [0, 0, 1])
    array([0.  , 0.5 , 0.25, 0.25])
    """
    weights, shifts = _moved(weights, shifts)
    shifted = np.empty_like(weights)
    addressing.shift_forward(shifted, _ring(weights, shifts), shifts)
    return shifted


def shift_backward(d_shifted, weights, shifts):
    """(d_weights (N), d_shifts (2r + 1)) from the gradient d_shifted (N).

    >>> shift_backward([1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1])
    (array([0., 0., 1.]), array([0.5, 0.5, 0. ]))
    """
    weights, shifts = _moved(weights, shifts)
    d = _like(weights, "d_shifted", d_shifted)
    d_weights, d_shifts = np.empty_like(weights), np.empty_like(shifts)
    addressing.shift_backward(d_weights, d_shifts, _ring(d, shifts), _ring(weights, shifts), shifts)
    return d_weights, d_shifts


def _moved(weights, shifts):
    weights, shifts = _arrays(weights=(weights, 1), shifts=(shifts, 1))
    require(shifts.size % 2 == 1, f"shifts of {shifts.size} numbers: expected an odd number, for -r .. r")
    return weights, shifts


def _ring(x, shifts):
    """x with its two ends repeated as far as shifts reach."""
    reach = shifts.size // 2
    ring = np.empty(x.size + 2 * reach, x.dtype)
    ring[reach : reach + x.size] = x
    addressing.wrap(ring, x.size, reach)
    return ring


def sharpen(weights, gamma):
    """Weights (N), of at least 0, to the power of gamma >= 1, and normalised; eq. 9.

    >>> sharpen([0.5, 0.25, 0.25], gamma=2).round(3)
    array([0.667, 0.167, 0.167])
    """
    weights, gamma = _sharpened(weights, gamma)
    sharp = np.empty_like(weights)
    addressing.sharpen_forward(sharp, weights, gamma, np.empty_like(weights))
    return sharp


def sharpen_backward(d_sharp, weights, gamma):
    """(d_weights (N), d_gamma) from the gradient d_sharp (N).

    >>> d_weights, d_gamma = sharpen_backward([1.0, 0], [0.75, 0.25], gamma=1)
    >>> d_weights, d_gamma.round(3)
    (array([ 0.25, -0.75]), np.float64(0.206))
    """
    weights, gamma = _sharpened(weights, gamma)
    d = _like(weights, "d_sharp", d_sharp)
    sharp, d_weights, logs = (np.empty_like(weights) for _ in range(3))
    addressing.sharpen_forward(sharp, weights, gamma, logs)
    d_gamma = addressing.sharpen_backward(d_weights, d, sharp, weights, gamma, logs)
    return d_weights, d.dtype.type(d_gamma)


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
    addressing.read_forward(vector, np.ascontiguousarray(memory.T), weights)
    return vector


def read_backward(d_vector, memory, weights):
    """(d_memory (N, M), d_weights (N)) from the gradient of the vector, d_vector (M).

    >>> read_backward([1.0, 0], [[1, 2], [3, 4]], [0.5, 0.5])
    (array([[0.5, 0. ],
           [0.5, 0. ]]), array([1., 3.]))
    """
    memory, weights = _weighted(memory, weights)
    d = _like(memory[0], "d_vector", d_vector)
    m, d_weights = np.ascontiguousarray(memory.T), np.zeros_like(weights)
    d_memory = np.zeros_like(m)
    addressing.read_backward(d_memory, d_weights, d, m, weights)
    return d_memory.T, d_weights


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
    new = np.ascontiguousarray(memory.T)
    for w, e in zip(weights, erase):
        addressing.erase_forward(new, new, w, e)
    for w, a in zip(weights, add):
        addressing.add_forward(new, w, a)
    return new.T


def erase_and_add_backward(d_new, memory, weights, erase, add):
    """(d_memory, d_weights, d_erase, d_add), shaped as what was given, from the gradient of the new memory d_new (N, M).

    >>> d = erase_and_add_backward(np.ones((2, 3)), np.ones((2, 3)), [1.0, 0], [1, 0.5, 0], [0, 0, 7])
    >>> [part.tolist() for part in d[1:]]
    [[5.5, 5.5], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
    """
    memory, weights, erase, add, one = _written(memory, weights, erase, add)
    d_memory = np.ascontiguousarray(_like(memory, "d_new", d_new).T)
    d_weights, d_erase, d_add = np.zeros_like(weights), np.empty_like(erase), np.empty_like(add)
    before = [np.ascontiguousarray(memory.T)]
    for w, e in zip(weights, erase):
        before.append(np.empty_like(before[-1]))
        addressing.erase_forward(before[-1], before[-2], w, e)
    for k in range(len(weights)):
        addressing.add_backward(d_weights[k], d_add[k], d_memory, weights[k], add[k])
    for k in reversed(range(len(weights))):
        addressing.erase_backward(d_memory, d_weights[k], d_erase[k], before[k], weights[k], erase[k])
    found = d_weights, d_erase, d_add
    return d_memory.T, *(part[0] if one else part for part in found)


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


# -- what is given ------------------------------------------------------------------------------------------------------------


def _arrays(**given):
    """Copies of what is given as {name: (values, axes)}, contiguous and of one floating type."""
    found = []
    for name, (values, axes) in given.items():
        try:
            array = np.asarray(values)
        except ValueError:
            raise RnnsimError(f"{name}: expected an array, got rows of different lengths") from None
        require(array.dtype.kind in "fiub", f"{name}: expected numbers, got {array.dtype}")
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
