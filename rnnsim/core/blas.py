"""BLAS in kernels: c = alpha op(a) op(b) + beta c, with transposes, beta and any leading dimension.

`numpy.dot` in a kernel knows only beta = 0 and makes temporaries. This is a direct call of the ``sgemm`` and ``dgemm`` that
SciPy ships (Dongarra et al., ACM TOMS 16(1), 1990). For the products of recurrent steps `rnnsim.core.gemm` is faster, because
a BLAS packs the weights again at every time step; this one is for large single products.

BLAS brings threads of its own. In a parallel region, and wherever the same bits are wanted for any number of threads, hold
`single_threaded` around the call of the kernel.
"""

import contextlib
import functools

from rnnsim.core import jit as policy

if policy.ENABLED:
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import get_cython_function_address, intrinsic

    _NAMES = {types.float32: "sgemm", types.float64: "dgemm"}
    for _name in _NAMES.values():
        # The symbol is named, so that cached kernels find it again wherever the library is loaded.
        binding.add_symbol(f"rnnsim_{_name}", get_cython_function_address("scipy.linalg.cython_blas", _name))

    @intrinsic
    def _call(typing, transpose_b, transpose_a, n, m, k, alpha, b, b_row, a, a_row, beta, c, c_row):
        """Fortran's gemm on the transposed problem: rows of C's arrays are columns there."""
        sig = types.void(
            types.boolean, types.boolean, types.intp, types.intp, types.intp, c.dtype, b, types.intp, a, types.intp,
            c.dtype, c, types.intp,
        )  # fmt: skip

        def generate(context, builder, sig, arguments):
            def passed(value):
                return cgutils.alloca_once_value(builder, value)

            letter = ir.IntType(8)
            values = []
            for kind, value in zip(sig.args, arguments):
                if kind == types.boolean:
                    flag = builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
                    values.append(
                        passed(builder.select(flag, ir.Constant(letter, ord("T")), ir.Constant(letter, ord("N"))))
                    )
                elif kind == types.intp:
                    values.append(passed(builder.trunc(value, ir.IntType(32))))
                elif isinstance(kind, types.Array):
                    values.append(context.make_array(kind)(context, builder, value).data)
                else:
                    values.append(passed(value))
            function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            name = f"rnnsim_{_NAMES[sig.args[11].dtype]}"
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)
            return context.get_dummy_value()

        return sig, generate

    @policy.jit_exact
    def gemm(transpose_a, transpose_b, alpha, a, b, beta, c):
        """c (M, N) = alpha op(a) op(b) + beta c, where op transposes if its flag is set; for use inside kernels.

        a, b and c are 2-D arrays of one floating type whose last axis has unit stride; rows may lie apart (a block of a
        larger array). Shapes are not checked. With beta = 0 what was in c is not read.
        """
        m, n = c.shape
        k = a.shape[0] if transpose_a else a.shape[1]
        size = c.itemsize
        _call(
            transpose_b, transpose_a, n, m, k, c.dtype.type(alpha), b, b.strides[0] // size, a, a.strides[0] // size,
            c.dtype.type(beta), c, c.strides[0] // size,
        )  # fmt: skip

else:

    def gemm(transpose_a, transpose_b, alpha, a, b, beta, c):
        """c (M, N) = alpha op(a) op(b) + beta c."""
        product = alpha * ((a.T if transpose_a else a) @ (b.T if transpose_b else b))
        c[...] = product + (beta * c if beta else 0)


@functools.cache
def _controller():
    """The control over BLAS threads; made after SciPy's BLAS is loaded, or it would not see it."""
    import scipy.linalg.cython_blas  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def single_threaded():
    """Hold every BLAS in the process to one thread.

    >>> with single_threaded():
    ...     float((np.ones((2, 3)) @ np.ones((3, 2)))[0, 0])
    3.0
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
