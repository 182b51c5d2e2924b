"""Vector maths: exp, log, tanh, sigmoid, softplus as branch-free arithmetic that vectorises in float32 and float64.

The functions are scalar and stand inside the loops of other kernels. Every one is a straight line of multiply-adds, so
a loop over a contiguous array becomes vector instructions of the machine's full width, and an element has the same bits
in the vector body of a loop as in its scalar remainder. NaN goes in, NaN comes out; no argument overflows.

Method (Cody & Waite, Software Manual for the Elementary Functions, 1980; the coefficients are our own)
    range reduction    x = n ln2 + r, |r| <= ln2/2; n is rounded by adding 1.5 * 2^p (p = bits of the significand),
                       which leaves n in the low bits of the sum; n ln2 is subtracted in two parts, the first of which
                       has so few bits that the subtraction is exact
    expm1(r)           r + r^2 Q(r); Q interpolates (e^r - 1 - r)/r^2 in the Chebyshev nodes of [-ln2/2, ln2/2]
                       (degree 5 in float32, 10 in float64; computed with 60 digits, then rounded; relative error
                       1.7e-9 and 9e-19)
    polynomials        by Estrin's scheme, four coefficients at a time: a chain of multiply-adds would be all that a
                       network of a few units waits for
    exp(x)             (1 + expm1(r)) 2^k 2^(n-k), k = floor(n/2): two factors, so that results below the normal range
                       are rounded once and not flushed to zero
    tanh(x)            E/(E + 2) with E = expm1(2|x|) = 2^n expm1(r) + (2^n - 1), then the sign of x: small x keep
                       their relative accuracy
    sigmoid(x)         1/(1 + e) or e/(1 + e) with e = exp(-|x|), by the sign of x: accurate in relative terms also
                       where it is tiny
    softplus(x)        max(x, 0) + log1p(exp(-|x|)), with log1p(u) = 2 atanh(s), s = u/(2 + u), and
                       2 atanh(s) = 2 s + s^3 P(s^2); P interpolates in the Chebyshev nodes of [0, 1/9] (degree 4 in
                       float32, 9 in float64; relative error 1e-9 and 7e-18)
    log(x)             x = 2^e m, sqrt(1/2) <= m < sqrt(2): e ln2 (in two parts) + 2 atanh((m - 1)/(m + 1)), with the P of
                       softplus; numbers below the normal range are scaled into it first

Largest errors found, in units of the last place of the result (float32 against NumPy's float64 on 5 million arguments,
float64 against the 80-bit long double on 5 million)

    ============  =========  =========
    function      float32    float64
    ============  =========  =========
    exp           0.99       0.99
    log           2.0        2.0
    tanh          2.3        2.5
    sigmoid       2.3        2.4
    softplus      2.8        2.7
    ============  =========  =========

Limits: exp overflows to infinity; exp, sigmoid and softplus underflow gradually (subnormal numbers, then 0; softplus
may be two of the smallest subnormals off there).
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.core import jit as policy
from rnnsim.core.jit import jit, jit_exact


class _Format(NamedTuple):
    """The constants of one floating type."""

    bits: int
    significand: int  # stored bits of it
    exp_range: tuple  # beyond these arguments exp is 0 or infinite
    tanh_range: float  # 2|x| beyond which tanh is 1
    ln2: tuple  # high part with trailing zeros, low part
    expm1: tuple  # Q, constant first
    log1p: tuple  # P, constant first

    @property
    def bias(self):
        """What is added to an exponent before it is stored."""
        return 2 ** (self.bits - self.significand - 2) - 1

    @property
    def rounding(self):
        """The number whose addition rounds to a whole number, which is then in the low bits of the sum."""
        return 1.5 * 2.0**self.significand

    @property
    def rounding_bits(self):
        """Its bits, as an integer."""
        return (self.bias + self.significand << self.significand) + (1 << self.significand - 1)


_FORMATS = {
    32: _Format(
        bits=32,
        significand=23,
        exp_range=(-104.0, 89.0),
        tanh_range=20.0,
        ln2=(0.693359375, -0.00021219444005469057),
        expm1=(0.5, 0.16666667, 0.041666467, 0.0083333105, 0.001393365, 0.00019890991),
        log1p=(0.6666667, 0.39999706, 0.28592357, 0.21706575, 0.2322433),
    ),
    64: _Format(
        bits=64,
        significand=52,
        exp_range=(-746.0, 710.0),
        tanh_range=40.0,
        ln2=(0.6931471803691238, 1.9082149292705877e-10),
        expm1=(
            0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326136, 0.0013888888888883748,
            0.00019841269874820627, 2.4801587325547743e-05, 2.7557255400206422e-06, 2.75572736431103e-07,
            2.5105217004720745e-08, 2.0914686968086876e-09,
        ),
        log1p=(
            0.6666666666666666, 0.40000000000014585, 0.2857142856710876, 0.22222222717427864, 0.18181789436132859,
            0.15385570064958623, 0.13314144209654935, 0.12001072809590713, 0.08800738486144674, 0.1616404561194353,
        ),
    ),
}  # fmt: skip


# The formulas. `m` is an arithmetic: it writes machine instructions (_Instructions) or computes with NumPy (_NumPy).


def _polynomial(m, coefficients, x, square):
    """Four coefficients at a time by Estrin's scheme, the groups by Horner's in x^4; needs x^2."""
    terms = [m.number(coefficient) for coefficient in coefficients]
    for power in (x, square):
        pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
        terms = [m.multiply_add(power, pair[1], pair[0]) if len(pair) == 2 else pair[0] for pair in pairs]
    fourth, value = m.multiply(square, square), terms[-1]
    for term in reversed(terms[:-1]):
        value = m.multiply_add(value, fourth, term)
    return value


def _reduced_expm1(m, x):
    """expm1(r), and n in the low bits of an integer, for x = n ln2 + r."""
    shifted = m.multiply_add(x, m.number(1 / math.log(2)), m.number(m.format.rounding))
    n = m.subtract(shifted, m.number(m.format.rounding))
    high, low = m.format.ln2
    r = m.multiply_add(n, m.number(-low), m.multiply_add(n, m.number(-high), x))
    square = m.multiply(r, r)
    curve = _polynomial(m, m.format.expm1, r, square)
    return m.multiply_add(square, curve, r), m.to_bits(shifted)


def _exp(m, x):
    low, high = m.format.exp_range
    expm1, n = _reduced_expm1(m, m.minimum(m.maximum(x, low), high))
    # The sum of the exponents of the two factors, each with its bias.
    exponents = m.add_integer(n, 2 * m.format.bias - m.format.rounding_bits)
    half = m.halve_integer(exponents)
    scale = m.power_of_two(half)
    return m.multiply(m.multiply_add(scale, expm1, scale), m.power_of_two(m.subtract_integers(exponents, half)))


def _tanh(m, x):
    magnitude = m.absolute(x)
    expm1, n = _reduced_expm1(m, m.minimum(m.add(magnitude, magnitude), m.format.tanh_range))
    scale = m.power_of_two(m.add_integer(n, m.format.bias - m.format.rounding_bits))
    value = m.multiply_add(scale, expm1, m.subtract(scale, m.number(1.0)))
    return m.copysign(m.divide(value, m.add(value, m.number(2.0))), x)


def _sigmoid(m, x):
    e = _exp(m, m.negative(m.absolute(x)))
    return m.divide(m.select_negative(x, e, m.number(1.0)), m.add(e, m.number(1.0)))


def _softplus(m, x):
    u = _exp(m, m.negative(m.absolute(x)))
    s = m.divide(u, m.add(u, m.number(2.0)))
    square = m.multiply(s, s)
    curve = _polynomial(m, m.format.log1p, square, m.multiply(square, square))
    log1p = m.multiply_add(m.multiply(square, s), curve, m.add(s, s))
    return m.add(m.maximum(x, 0.0), log1p)


def _log(m, x):
    significand, bias = m.format.significand, m.format.bias
    small = m.number(2.0 ** (1 - bias))  # the smallest normal number
    scaled = m.select_less(x, small, m.multiply(x, m.number(2.0**significand)), x)
    # Adding what is missing from sqrt(1/2) to 1 in the bits makes the exponent that of the nearest power of two.
    root_half = int(np.array(math.sqrt(0.5), f"f{m.format.bits // 8}").view(f"i{m.format.bits // 8}"))
    shifted = m.add_integer(m.to_bits(scaled), -root_half)
    exponent = m.arithmetic_shift_right(shifted, significand)
    mantissa = m.from_bits(m.subtract_integers(m.to_bits(scaled), m.shift_left(exponent, significand)))
    e = m.to_float(exponent)
    e = m.select_less(x, small, m.subtract(e, m.number(float(significand))), e)
    s = m.divide(m.subtract(mantissa, m.number(1.0)), m.add(mantissa, m.number(1.0)))
    square = m.multiply(s, s)
    curve = _polynomial(m, m.format.log1p, square, m.multiply(square, square))
    tail = m.multiply_add(m.multiply(square, s), curve, m.add(s, s))
    high, low = m.format.ln2
    value = m.multiply_add(e, m.number(high), m.multiply_add(e, m.number(low), tail))
    infinite, zero = m.number(math.inf), m.number(0.0)
    value = m.select_less(x, infinite, value, x)  # infinity and NaN as they are
    below = m.select_less(x, zero, m.number(math.nan), m.select_less(x, infinite, m.number(-math.inf), x))
    return m.select_less(zero, x, value, below)


class _NumPy:
    """The operations of the formulas in NumPy, for plain-Python runs: numbers or whole arrays."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.format = _FORMATS[8 * self.dtype.itemsize]
        self.integer = np.dtype(f"int{self.format.bits}")

    def number(self, value):
        return self.dtype.type(value)

    add = staticmethod(np.add)
    subtract = staticmethod(np.subtract)
    multiply = staticmethod(np.multiply)
    divide = staticmethod(np.divide)
    negative = staticmethod(np.negative)
    absolute = staticmethod(np.abs)
    copysign = staticmethod(np.copysign)
    subtract_integers = staticmethod(np.subtract)

    def multiply_add(self, a, b, c):
        return a * b + c

    def maximum(self, x, low):
        return np.where(x < low, self.number(low), x)

    def minimum(self, x, high):
        return np.where(x > high, self.number(high), x)

    def select_negative(self, x, then, otherwise):
        return np.where(x < 0, then, otherwise)

    def select_less(self, x, y, then, otherwise):
        return np.where(x < y, then, otherwise)

    def to_bits(self, x):
        return np.asarray(x).view(self.integer)

    def from_bits(self, n):
        return np.asarray(n).view(self.dtype)

    def to_float(self, n):
        return np.asarray(n).astype(self.dtype)

    def shift_left(self, n, by):
        return n << by

    def arithmetic_shift_right(self, n, by):
        return n >> by

    def add_integer(self, n, by):
        return n + self.integer.type(by)

    def halve_integer(self, n):
        return n >> 1

    def power_of_two(self, exponent):
        return (exponent << self.format.significand).view(self.dtype)


def _numpy_function(formula):
    def function(x):
        x = x if isinstance(x, (np.floating, np.ndarray)) else np.float64(x)
        with np.errstate(all="ignore"):
            value = formula(_NumPy(x.dtype), x)
        return value if isinstance(x, np.ndarray) else x.dtype.type(value)

    return function


if policy.ENABLED:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    from rnnsim.core.simd import Vector

    class _Instructions:
        """The operations of the formulas as instructions for the compiler."""

        def __init__(self, builder, kind):
            self.builder, self.kind = builder, kind
            self.lanes = kind.count if isinstance(kind, ir.VectorType) else 0
            element = kind.element if self.lanes else kind
            self.format = _FORMATS[32 if isinstance(element, ir.FloatType) else 64]
            integer = ir.IntType(self.format.bits)
            self.integer = ir.VectorType(integer, self.lanes) if self.lanes else integer
            self.add, self.subtract = builder.fadd, builder.fsub
            self.multiply, self.divide = builder.fmul, builder.fdiv
            self.negative, self.subtract_integers = builder.fneg, builder.sub

        def _constant(self, kind, value):
            return ir.Constant(kind, [ir.Constant(kind.element, value)] * self.lanes if self.lanes else value)

        def number(self, value):
            return self._constant(self.kind, float(np.float32(value)) if self.format.bits == 32 else value)

        def _call(self, name, *arguments):
            kind = ir.FunctionType(self.kind, [self.kind] * len(arguments))
            name = f"llvm.{name}.{f'v{self.lanes}' if self.lanes else ''}f{self.format.bits}"
            return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

        def multiply_add(self, a, b, c):
            """Fused wherever the machine can fuse, in vectors and in single elements alike."""
            return self._call("fmuladd", a, b, c)

        def absolute(self, x):
            return self._call("fabs", x)

        def copysign(self, size, sign):
            return self._call("copysign", size, sign)

        def maximum(self, x, low):
            """The larger of the two; NaN stays (the comparison is false)."""
            return self.builder.select(self.builder.fcmp_ordered("<", x, self.number(low)), self.number(low), x)

        def minimum(self, x, high):
            return self.builder.select(self.builder.fcmp_ordered(">", x, self.number(high)), self.number(high), x)

        def select_negative(self, x, then, otherwise):
            return self.builder.select(self.builder.fcmp_ordered("<", x, self.number(0.0)), then, otherwise)

        def select_less(self, x, y, then, otherwise):
            return self.builder.select(self.builder.fcmp_ordered("<", x, y), then, otherwise)

        def to_bits(self, x):
            return self.builder.bitcast(x, self.integer)

        def from_bits(self, n):
            return self.builder.bitcast(n, self.kind)

        def to_float(self, n):
            return self.builder.sitofp(n, self.kind)

        def shift_left(self, n, by):
            return self.builder.shl(n, self._constant(self.integer, by))

        def arithmetic_shift_right(self, n, by):
            return self.builder.ashr(n, self._constant(self.integer, by))

        def add_integer(self, n, by):
            return self.builder.add(n, self._constant(self.integer, by))

        def halve_integer(self, n):
            return self.builder.lshr(n, self._constant(self.integer, 1))

        def power_of_two(self, exponent):
            exponent = self.builder.shl(exponent, self._constant(self.integer, self.format.significand))
            return self.builder.bitcast(exponent, self.kind)

    def _instruction(formula):
        """A formula as an instruction for kernels. The function around it is always inlined, or loops stay scalar."""

        @intrinsic
        def instruction(typing, x):
            if not isinstance(x, (types.Float, Vector)):
                return None

            def generate(context, builder, signature, arguments):
                builder.function.attributes.add("alwaysinline")
                return formula(_Instructions(builder, context.get_value_type(signature.return_type)), arguments[0])

            return x(x), generate

        return instruction

    @intrinsic
    def _maximum_instruction(typing, x, y):
        """The larger of two numbers, or NaN; a reduction by it vectorises."""

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(arguments[0].type, [arguments[0].type] * 2)
            name = f"llvm.maximum.f{signature.return_type.bitwidth}"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

        return (x(x, x), generate) if isinstance(x, types.Float) and x == y else None

else:
    _instruction = _numpy_function
    _maximum_instruction = np.maximum


_exp_instruction = _instruction(_exp)
_log_instruction = _instruction(_log)
_tanh_instruction = _instruction(_tanh)
_sigmoid_instruction = _instruction(_sigmoid)
_softplus_instruction = _instruction(_softplus)


@jit_exact
def exp(x):
    """e^x.

    >>> exp(0.0), exp(-np.inf), exp(1000.0)
    (1.0, 0.0, inf)
    """
    return _exp_instruction(x)


@jit_exact
def log(x):
    """The natural logarithm; NaN below zero.

    >>> log(1.0), log(0.0), log(np.inf)
    (0.0, -inf, inf)
    """
    return _log_instruction(x)


@jit_exact
def tanh(x):
    """Hyperbolic tangent; exactly odd, and accurate in relative terms near 0.

    >>> tanh(0.0), tanh(-np.inf)
    (0.0, -1.0)
    """
    return _tanh_instruction(x)


@jit_exact
def sigmoid(x):
    """The logistic function 1/(1 + e^-x).

    >>> sigmoid(0.0), sigmoid(np.inf), sigmoid(-np.inf)
    (0.5, 1.0, 0.0)
    """
    return _sigmoid_instruction(x)


@jit_exact
def softplus(x):
    """log(1 + e^x), without overflow: minus the logarithm of sigmoid(-x).

    >>> softplus(-np.inf), softplus(1000.0)
    (0.0, 1000.0)
    """
    return _softplus_instruction(x)


@jit_exact
def maximum_between(x, lo, hi):
    """The largest of x[lo:hi]; minus infinity if it is empty, NaN if an entry is NaN.

    >>> maximum_between(np.array([1.0, 3.0, 2.0]), 0, 3)
    3.0
    """
    largest = x.dtype.type(-np.inf)
    for k in range(np.uint64(lo), np.uint64(hi)):  # unsigned: no wrap-around of negative indices, so vector loads
        largest = _maximum_instruction(largest, x[k])
    return largest


@jit
def sum_between(x, lo, hi):
    """The sum of x[lo:hi], float64. Partial sums run in the lanes of the machine's vectors: the order depends on the
    length and on the kind of processor, and on nothing else.

    >>> sum_between(np.ones(20, np.float32), 0, 20)
    20.0
    """
    total = 0.0
    for k in range(np.uint64(lo), np.uint64(hi)):
        total += x[k]
    return total


@jit_exact
def exp_row(row, shift):
    """Replace a row (K,) by exp(row - shift) in place; gives the sum, float64.

    >>> exp_row(np.zeros(3), 0.0)
    3.0
    """
    for k in range(row.size):
        row[k] = exp(row[k] - shift)
    return sum_between(row, 0, row.size)


@jit_exact
def logsumexp(scratch, x):
    """log(sum_k exp x_k) of a row x (K,), float64; `scratch` (K,) is overwritten.

    >>> round(logsumexp(np.empty(2), np.array([1000.0, 1000.0])), 3)
    1000.693
    """
    for k in range(x.size):
        scratch[k] = x[k]
    largest = maximum_between(x, 0, x.size)
    return largest + math.log(exp_row(scratch, largest))


@jit_exact
def log_softmax_row(out, x):
    """out (K,) <- x - log(sum exp x) for one row of logits x (K,); `out` is another array than `x`.

    >>> out = np.empty(2)
    >>> log_softmax_row(out, np.array([0.0, -1e4]))
    >>> out
    array([     0., -10000.])
    """
    for k in range(x.size):
        out[k] = x[k]
    largest = maximum_between(x, 0, x.size)
    log_sum = math.log(exp_row(out, largest))
    for k in range(x.size):
        out[k] = (x[k] - largest) - log_sum


@jit_exact
def all_finite(x):
    """True if no entry of the array x is NaN or infinite; one pass.

    >>> all_finite(np.zeros(3)), all_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    flat = x.ravel()
    wrong = 0
    for i in range(flat.size):
        wrong += not (abs(flat[i]) < np.inf)
    return wrong == 0
