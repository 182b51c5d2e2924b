"""Vectors in kernels: one register of numbers, written like one number.

An element-wise loop over a row of 32 or 100 units is short: what the compiler adds to vectorise it by itself (checks that
arrays do not overlap, a scalar loop for the rest) costs more than the arithmetic. Here the vector is written down::

    for j in range(0, n, width(x)):                 # one register at a time
        active = mask(n - j)                        # the lanes that exist: all, but in the last round
        h = sigmoid(load(x, j, active)) * load(c, j, active)
        store(y, j, active, h)

Rows of whole vectors need no mask: `rnnsim.core.padding`.

`+ - * /` work between vectors and between a vector and a number, which takes the vector's type, as do `exp`, `tanh` and
`sigmoid` of `vmath`. Every lane is computed in the same way wherever it stands, so an element has the same bits in any place
of a row. Lanes that do not exist are read as zero and not written.

A sum over a row keeps one vector of partial sums and adds up its lanes at the end: ``reduce_add(sums)``. Its order depends on
the width of the machine's vectors and on nothing else.
"""

import operator

import numpy as np

from rnnsim.core import jit as policy
from rnnsim.core.gemm import VECTOR_BYTES, panel_width


def width(x):
    """Numbers in one vector of the type of the array x; in kernels a constant."""
    return panel_width(x.dtype)


if policy.ENABLED:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.core.typing.templates import AbstractTemplate, infer_global, signature
    from numba.extending import intrinsic, lower_builtin, models, overload, register_model

    class Vector(types.Type):
        """The type of a vector of `dtype` that fills one register."""

        def __init__(self, dtype):
            self.dtype = dtype
            super().__init__(name=f"Vector({dtype})")

        @property
        def width(self):
            return VECTOR_BYTES * 8 // self.dtype.bitwidth

    class Mask(types.Type):
        """The type of a count of existing lanes."""

        def __init__(self):
            super().__init__(name="Mask")

    mask_type = Mask()

    def _vector(element, count):
        return ir.VectorType(element, count)

    @register_model(Vector)
    class _VectorModel(models.PrimitiveModel):
        def __init__(self, dmm, fe_type):
            element = ir.FloatType() if fe_type.dtype.bitwidth == 32 else ir.DoubleType()
            super().__init__(dmm, fe_type, _vector(element, fe_type.width))

    @register_model(Mask)
    class _MaskModel(models.PrimitiveModel):
        def __init__(self, dmm, fe_type):
            super().__init__(dmm, fe_type, ir.IntType(32))

    @overload(width)
    def _width(x):
        count = VECTOR_BYTES * 8 // x.dtype.bitwidth
        return lambda x: count

    def splat(builder, value, count):
        """A vector with `value` in every lane."""
        undefined = ir.Constant(_vector(value.type, count), ir.Undefined)
        zeros = ir.Constant(_vector(ir.IntType(32), count), None)
        first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, undefined, zeros)

    @intrinsic
    def mask(typing, count):
        """The lanes 0 .. count - 1; `count` may be larger than a vector."""

        def generate(context, builder, sig, arguments):
            limit = ir.Constant(arguments[0].type, 64)
            small = builder.icmp_signed("<", arguments[0], limit)
            return builder.trunc(builder.select(small, arguments[0], limit), ir.IntType(32))

        return mask_type(count), generate

    def _mask(builder, active, count):
        ids = ir.Constant(_vector(ir.IntType(32), count), [ir.Constant(ir.IntType(32), lane) for lane in range(count)])
        return builder.icmp_signed("<", ids, splat(builder, active, count))

    def _place(context, builder, array_type, array, j):
        """Pointer to element j of a contiguous 1-D array, as a pointer to a vector; the vector type and its alignment."""
        data = context.make_array(array_type)(context, builder, array).data
        element = context.get_data_type(array_type.dtype)
        kind = _vector(element, VECTOR_BYTES * 8 // array_type.dtype.bitwidth)
        pointer = builder.gep(data, [j], source_etype=element)
        return (
            builder.bitcast(pointer, kind.as_pointer()),
            kind,
            ir.Constant(ir.IntType(32), array_type.dtype.bitwidth // 8),
        )

    def _masked(builder, name, kind, result, arguments):
        suffix = f"v{kind.count}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}.p0"
        function = ir.FunctionType(result, [value.type for value in arguments])
        return builder.call(
            cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.{name}.{suffix}"), arguments
        )

    @intrinsic
    def load(typing, x, j, active):
        """The vector x[j], x[j + 1], ...; zero in lanes that do not exist. x is 1-D and contiguous."""

        def generate(context, builder, sig, arguments):
            pointer, kind, align = _place(context, builder, sig.args[0], arguments[0], arguments[1])
            mask = _mask(builder, arguments[2], kind.count)
            return _masked(builder, "load", kind, kind, [pointer, align, mask, ir.Constant(kind, None)])

        return Vector(x.dtype)(x, types.intp, mask_type), generate

    @intrinsic
    def store(typing, x, j, active, value):
        """x[j], x[j + 1], ... = the vector `value`, in the lanes that exist.

        A full vector takes the plain instruction: a masked store is 42 micro-operations on AMD's processors with AVX2 and a
        chain of branches on NEON. (A masked load costs little with AVX2.) Every store asks by itself: from equal questions the
        compiler would make two versions of the whole round, move what they share in front of the first question, and so part
        products from the sums that they are fused with; the bits of a formula would depend on where its results are stored.
        """

        def generate(context, builder, sig, arguments):
            pointer, kind, align = _place(context, builder, sig.args[0], arguments[0], arguments[1])
            active = arguments[2]
            full = builder.icmp_signed(">=", active, ir.Constant(active.type, kind.count))
            # Always true in the end, but to the compiler a new question at every call.
            question = ir.FunctionType(ir.IntType(1), [])
            name = "llvm.experimental.widenable.condition"
            full = builder.and_(full, builder.call(cgutils.get_or_insert_function(builder.module, question, name), []))
            with builder.if_else(full, likely=True) as (whole, part):
                with whole:
                    builder.store(arguments[3], pointer, align=align.constant)
                with part:
                    mask = _mask(builder, active, kind.count)
                    _masked(builder, "store", kind, ir.VoidType(), [arguments[3], pointer, align, mask])
            return context.get_dummy_value()

        return types.void(x, types.intp, mask_type, Vector(x.dtype)), generate

    @intrinsic
    def load_or(typing, x, j, active, otherwise):
        """The vector x[j], x[j + 1], ...; the number `otherwise` in lanes that do not exist."""

        def generate(context, builder, sig, arguments):
            pointer, kind, align = _place(context, builder, sig.args[0], arguments[0], arguments[1])
            number = context.cast(builder, arguments[3], sig.args[3], sig.args[0].dtype)
            values = [pointer, align, _mask(builder, arguments[2], kind.count), splat(builder, number, kind.count)]
            return _masked(builder, "load", kind, kind, values)

        return Vector(x.dtype)(x, types.intp, mask_type, otherwise), generate

    @intrinsic
    def gather(typing, x, start, places, j):
        """The vector x[start + places[j]], x[start + places[j + 1]], ...; both arrays are 1-D and contiguous."""

        def generate(context, builder, sig, arguments):
            source, start, places, j = arguments
            data = context.make_array(sig.args[0])(context, builder, source).data
            indices = context.make_array(sig.args[2])(context, builder, places).data
            element, vector = context.get_data_type(sig.args[0].dtype), sig.return_type.width
            found = ir.Constant(_vector(element, vector), ir.Undefined)
            for lane in range(vector):
                at = builder.add(j, ir.Constant(j.type, lane))
                place = builder.add(start, builder.load(builder.gep(indices, [at])))
                value = builder.load(builder.gep(data, [place], source_etype=element))
                found = builder.insert_element(found, value, ir.Constant(ir.IntType(32), lane))
            return found

        return Vector(x.dtype)(x, types.intp, places, types.intp), generate

    @intrinsic
    def item(typing, x, j):
        """The number x[j] of a 1-D, contiguous array. j is not negative, which an index in brackets is asked every time."""

        def generate(context, builder, sig, arguments):
            data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
            return builder.load(builder.gep(data, [arguments[1]]))

        return x.dtype(x, types.intp), generate

    @intrinsic
    def put(typing, x, j, value):
        """x[j] = value; j is not negative."""

        def generate(context, builder, sig, arguments):
            data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
            builder.store(arguments[2], builder.gep(data, [arguments[1]]))
            return context.get_dummy_value()

        return types.void(x, types.intp, x.dtype), generate

    @intrinsic
    def insert(typing, x, lane, value):
        """The vector x with the number `value` in one lane."""

        def generate(context, builder, sig, arguments):
            vector, lane, value = arguments
            kind, index = vector.type, ir.IntType(32)
            ids = ir.Constant(_vector(index, kind.count), [ir.Constant(index, k) for k in range(kind.count)])
            here = builder.icmp_signed("==", ids, splat(builder, builder.trunc(lane, index), kind.count))
            return builder.select(here, splat(builder, value, kind.count), vector)

        return x(x, types.intp, x.dtype), generate

    @intrinsic
    def broadcast(typing, x, value):
        """A vector of the type of the array x with the number `value` in every lane."""

        def generate(context, builder, sig, arguments):
            number = context.cast(builder, arguments[1], sig.args[1], sig.return_type.dtype)
            return splat(builder, number, sig.return_type.width)

        return Vector(x.dtype)(x, value), generate

    def _reduction(name, flags=()):
        @intrinsic
        def reduction(typing, x):
            element = x.dtype

            def generate(context, builder, sig, arguments):
                kind = arguments[0].type
                suffix = f"v{kind.count}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}"
                values = [ir.Constant(kind.element, -0.0), arguments[0]] if name == "fadd" else [arguments[0]]
                function = ir.FunctionType(kind.element, [value.type for value in values])
                function = cgutils.get_or_insert_function(
                    builder.module, function, f"llvm.vector.reduce.{name}.{suffix}"
                )
                return builder.call(function, values, fastmath=flags)

            return element(x), generate

        return reduction

    reduce_add = _reduction("fadd", ("reassoc",))  # the sum of the lanes, in the order of a tree
    reduce_maximum = _reduction("fmaximum")  # the largest lane, or NaN

    def _instruction(name, arguments):
        @intrinsic
        def one(typing, x):
            return x(x), _generator(name)

        @intrinsic
        def two(typing, x, y):
            return x(x, x), _generator(name)

        return one if arguments == 1 else two

    def _generator(name):
        def generate(context, builder, sig, arguments):
            kind = arguments[0].type
            suffix = f"v{kind.count}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}"
            function = ir.FunctionType(kind, [kind] * len(arguments))
            function = cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.{suffix}")
            return builder.call(function, arguments)

        return generate

    sqrt = _instruction("sqrt", 1)  # the square root of every lane
    maximum = _instruction("maximum", 2)  # lane by lane the larger of two vectors, or NaN

    def xor_lanes(distance):
        """A function of a vector: lane k gets what stood in lane k XOR `distance`."""

        @intrinsic
        def exchange(typing, x):
            def generate(context, builder, sig, arguments):
                kind, index = arguments[0].type, ir.IntType(32)
                ids = [
                    ir.Constant(index, lane ^ distance if distance < kind.count else lane) for lane in range(kind.count)
                ]
                mask = ir.Constant(_vector(index, kind.count), ids)
                return builder.shuffle_vector(arguments[0], ir.Constant(kind, ir.Undefined), mask)

            return x(x), generate

        return exchange

    @intrinsic
    def select_positive(typing, x, then, otherwise):
        """`then` in the lanes where x > 0, else `otherwise`; all three are vectors, or numbers."""

        def generate(context, builder, sig, arguments):
            x, then, otherwise = arguments
            zero = ir.Constant(x.type, None if isinstance(sig.return_type, Vector) else 0.0)
            return builder.select(builder.fcmp_ordered(">", x, zero), then, otherwise)

        return x(x, x, x), generate

    @intrinsic
    def clip(typing, x, low, high):
        """The vector or number x, no lane below `low` or above `high`; NaN stays."""

        def generate(context, builder, sig, arguments):
            kind = sig.return_type
            x, low, high = arguments
            if isinstance(kind, Vector):
                low, high = (_broadcast(context, builder, v, types.float64, kind) for v in (low, high))
            else:
                low, high = (context.cast(builder, v, types.float64, kind) for v in (low, high))
            x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
            return builder.select(builder.fcmp_ordered(">", x, high), high, x)

        return x(x, types.float64, types.float64), generate

    def _broadcast(context, builder, number, kind, vector):
        return splat(builder, context.cast(builder, number, kind, vector.dtype), vector.width)

    _OPERATIONS = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}

    def _define(function, instruction):
        @infer_global(function)
        class _Typing(AbstractTemplate):
            def generic(self, arguments, keywords):
                kinds = [x for x in arguments if isinstance(x, Vector)]
                if (
                    len(arguments) == 2
                    and kinds
                    and all(x == kinds[0] or isinstance(x, types.Float) for x in arguments)
                ):
                    return signature(kinds[0], *arguments)
                return None

        def generate(context, builder, sig, arguments):
            a, b = (
                x if isinstance(kind, Vector) else _broadcast(context, builder, x, kind, sig.return_type)
                for x, kind in zip(arguments, sig.args)
            )
            # Multiply-add may fuse, as everywhere in rnnsim.
            return getattr(builder, instruction)(a, b, flags=("nsz", "contract"))

        for left, right in ((Vector, Vector), (Vector, types.Float), (types.Float, Vector)):
            lower_builtin(function, left, right)(generate)

    for _function, _instruction in _OPERATIONS.items():
        _define(_function, _instruction)

else:

    def mask(count):
        """The number of lanes that exist."""
        return count

    def load(x, j, active):
        """The vector x[j], x[j + 1], ...; zero in lanes that do not exist."""
        return load_or(x, j, active, 0)

    def store(x, j, active, value):
        """x[j], x[j + 1], ... = value, in the lanes that exist."""
        there = min(active, width(x))
        x[j : j + there] = value[:there] if np.ndim(value) else value

    def load_or(x, j, active, otherwise):
        """The vector x[j], x[j + 1], ...; the number `otherwise` in lanes that do not exist."""
        part = x[j : j + min(active, width(x))]
        vector = np.full(width(x), otherwise, x.dtype)
        vector[: part.size] = part
        return vector

    def gather(x, start, places, j):
        """The vector x[start + places[j]], x[start + places[j + 1]], ..."""
        return x[start + places[j : j + width(x)]]

    def item(x, j):
        """The number x[j]."""
        return x[j]

    def put(x, j, value):
        """x[j] = value."""
        x[j] = value

    def insert(x, lane, value):
        """The vector x with the number `value` in one lane."""
        vector = x if np.ndim(x) else np.full(VECTOR_BYTES // x.dtype.itemsize, x)
        return np.where(np.arange(vector.size) == lane, value, vector)

    def broadcast(x, value):
        """One number of the type of x: it stands for a vector of any width."""
        return x.dtype.type(value)

    def reduce_add(x):
        """The sum of the lanes."""
        return x.sum(dtype=x.dtype) if isinstance(x, np.ndarray) else x

    def xor_lanes(distance):
        """A function of a vector: lane k gets what stood in lane k XOR `distance`."""
        return lambda x: x[np.arange(x.size) ^ distance] if np.ndim(x) and distance < x.size else x

    reduce_maximum, maximum, sqrt = np.max, np.maximum, np.sqrt

    def select_positive(x, then, otherwise):
        """`then` where x > 0, else `otherwise`."""
        return np.where(x > 0, then, otherwise)

    def clip(x, low, high):
        """x, no number below `low` or above `high`; NaN stays."""
        return np.clip(x, low, high)
