"""What the heads of a neural Turing machine emit (Graves, Wayne & Danihelka 2014, section 3.3 and what it leaves open).

The controller's output h gives the raw numbers of all heads, W h + b, clipped to +-clip_heads. From them come

    key           k = tanh                       strength  beta = softplus      gate   g = logistic
    shift         s = softmax over -r .. r       gamma = 1 + softplus
    write heads:  erase e = logistic             add a = tanh

Raw numbers lie head by head, read heads first, in the order of `quantities`, as the rows of weight_heads do; but here keys,
erase and add vectors are padded to whole vectors. `raw_places` says where each row of weight_heads went.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, clip, maximum, select_positive, width
from rnnsim.core.vmath import exp, sigmoid, softplus, tanh
from rnnsim.networks.ntm.addressing import GAMMA, GATE, SHIFT, STRENGTH
from rnnsim.networks.ntm.rows import clear_padding, get, padded, put

_ADDRESS = ("strength", "gate", "shift", "gamma")


class Emitted(NamedTuple):
    """What all heads emit, or its gradient, for R rows; read heads come first."""

    key: np.ndarray  # (R, heads, M)
    address: np.ndarray  # (R, heads, 3 + S) strength, gate, shift, gamma
    erase: np.ndarray  # (R, write heads, M); its padding is 1/2 and never read
    add: np.ndarray  # (R, write heads, M)


def quantities(columns, shifts, write):
    """What one head emits, in the order of the parameters: ((name, how many numbers), ...).

    >>> quantities(20, 3, write=False)
    (('key', 20), ('strength', 1), ('gate', 1), ('shift', 3), ('gamma', 1))
    """
    common = (("key", columns), ("strength", 1), ("gate", 1), ("shift", shifts), ("gamma", 1))
    return common + ((("erase", columns), ("add", columns)) if write else ())


def raw_size(columns, shifts, read_heads, write_heads, dtype):
    """Raw numbers of all heads, padding included."""
    rows = (read_heads + 3 * write_heads) * padded(columns, dtype)
    return padded(rows + (read_heads + write_heads) * (3 + shifts), dtype)


def raw_places(columns, shifts, read_heads, write_heads, dtype):
    """For every row of weight_heads its place among the raw numbers."""
    found, place = [], 0
    for head in range(read_heads + write_heads):
        for name, size in quantities(columns, shifts, head >= read_heads):
            found.extend(range(place, place + size))
            place += size if name in _ADDRESS else padded(size, dtype)
    return np.array(found)


def emitted_by(emitted, head, quantity, read_heads, columns):
    """One quantity of one head (R, numbers) of an Emitted, or a tape that has its fields, without padding."""
    if quantity in _ADDRESS:
        address = emitted.address[:, head]
        first, last = {"strength": (0, 1), "gate": (1, 2), "shift": (2, -1), "gamma": (-1, None)}[quantity]
        return address[:, first:last]
    part = getattr(emitted, quantity)
    return part[:, head if quantity == "key" else head - read_heads, :columns]


# -- the mathematics, on numbers: scalars or vectors -----------------------------------------------------------------


@jit_borrowed
def tanh_backward(d, y, one):
    """The gradient of x from that of y = tanh(x)."""
    return d * (one - y * y)


@jit_borrowed
def sigmoid_backward(d, y, one):
    """The gradient of x from that of y = sigmoid(x)."""
    return d * (y * (one - y))


@jit_borrowed
def softplus_backward(d, y, one):
    """The gradient of x from that of y = softplus(x), whose derivative is the logistic function: 1 - exp(-y)."""
    return d * (one - exp(-y))


# -- rows ------------------------------------------------------------------------------------------------------------


@jit_borrowed
def _tanh(y, x):
    """y (M) <- tanh of x (M)."""
    for j in range(0, y.size, width(y)):
        put(y, j, tanh(get(x, j)))


@jit_borrowed
def _tanh_backward(d_x, d_y, y):
    """d_x (M) <- the gradient of x."""
    one = broadcast(y, 1)
    for j in range(0, y.size, width(y)):
        put(d_x, j, tanh_backward(get(d_y, j), get(y, j), one))


@jit_borrowed
def _sigmoid(y, x):
    """y (M) <- the logistic function of x (M)."""
    for j in range(0, y.size, width(y)):
        put(y, j, sigmoid(get(x, j)))


@jit_borrowed
def _sigmoid_backward(d_x, d_y, y):
    """d_x (M) <- the gradient of x."""
    one = broadcast(y, 1)
    for j in range(0, y.size, width(y)):
        put(d_x, j, sigmoid_backward(get(d_y, j), get(y, j), one))


@jit_borrowed
def _softmax(y, x):
    """y (S) <- softmax of x (S), a few numbers."""
    largest = x[0]
    for i in range(1, x.size):
        largest = max(largest, x[i])
    total = x.dtype.type(0)
    for i in range(x.size):
        y[i] = exp(x[i] - largest)
        total += y[i]
    for i in range(x.size):
        y[i] /= total


@jit_borrowed
def _softmax_backward(d_x, d_y, y):
    """d_x (S) <- the gradient of x."""
    mean = y.dtype.type(0)
    for i in range(y.size):
        mean += y[i] * d_y[i]
    for i in range(y.size):
        d_x[i] = y[i] * (d_y[i] - mean)


# -- all heads -------------------------------------------------------------------------------------------------------


@jit_borrowed
def emit_forward(emitted, row, raw, bias, limit, x):
    """emitted[row] <- what all heads emit; raw (P), their linear outputs, += bias (P); x (P) is scratch."""
    for j in range(0, raw.size, width(raw)):
        value = get(raw, j) + get(bias, j)
        put(raw, j, value)
        put(x, j, clip(value, -limit, limit))
    one, place, readers = raw.dtype.type(1), 0, emitted.key.shape[1] - emitted.erase.shape[1]
    size, scalars = emitted.key.shape[2], emitted.address.shape[2]
    for head in range(emitted.key.shape[1]):
        _tanh(emitted.key[row, head], x[place:])
        place += size
        address, x_address = emitted.address[row, head], x[place : place + scalars]
        address[STRENGTH] = softplus(x_address[STRENGTH])
        address[GATE] = sigmoid(x_address[GATE])
        _softmax(address[SHIFT:GAMMA], x_address[SHIFT:GAMMA])
        address[GAMMA] = one + softplus(x_address[GAMMA])
        place += scalars
        if head >= readers:
            _sigmoid(emitted.erase[row, head - readers], x[place:])
            _tanh(emitted.add[row, head - readers], x[place + size :])
            place += 2 * size


@jit_borrowed
def emit_backward(raw, d, d_row, emitted, row, limit, d_x):
    """raw (P) <- its gradient from d[d_row], the gradient of emitted[row]; d_x (P) is scratch."""
    one, place, readers = raw.dtype.type(1), 0, emitted.key.shape[1] - emitted.erase.shape[1]
    size, scalars = emitted.key.shape[2], emitted.address.shape[2]
    for head in range(emitted.key.shape[1]):
        _tanh_backward(d_x[place:], d.key[d_row, head], emitted.key[row, head])
        place += size
        address, d_address = emitted.address[row, head], d.address[d_row, head]
        d_x_address = d_x[place : place + scalars]
        d_x_address[STRENGTH] = softplus_backward(d_address[STRENGTH], address[STRENGTH], one)
        d_x_address[GATE] = sigmoid_backward(d_address[GATE], address[GATE], one)
        _softmax_backward(d_x_address[SHIFT:GAMMA], d_address[SHIFT:GAMMA], address[SHIFT:GAMMA])
        d_x_address[GAMMA] = softplus_backward(d_address[GAMMA], address[GAMMA] - one, one)
        place += scalars
        if head >= readers:
            write = head - readers
            _sigmoid_backward(d_x[place:], d.erase[d_row, write], emitted.erase[row, write])
            _tanh_backward(d_x[place + size :], d.add[d_row, write], emitted.add[row, write])
            place += 2 * size
    clear_padding(d_x, place)
    zero = broadcast(raw, 0)
    for j in range(0, raw.size, width(raw)):
        x = get(raw, j)
        beyond = maximum(x, zero - x) - raw.dtype.type(limit)
        put(raw, j, select_positive(beyond, zero, get(d_x, j)))
