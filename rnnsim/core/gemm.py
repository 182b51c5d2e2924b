"""Matrix products for recurrent kernels: a register-tiled micro-kernel for the vector width of this machine.

A recurrent step multiplies a few rows of states by the same weight matrix at every time step. A BLAS packs that matrix anew for
every product and brings its own threads; here the matrix is packed once for a whole sequence, and the product runs in the
thread that calls it. For products of any other kind there is `rnnsim.core.blas`.

The micro-kernel holds a tile of `rows x panels` vectors of the result in registers and runs down the common dimension with
one broadcast and one fused multiply-add a vector (the scheme of Goto & van de Geijn, ACM TOMS 34(3), 2008). A panel is
`panel_width` columns of the right factor: one vector. Every element of the result is one chain of fused
multiply-adds in the order of the common dimension, whatever the tile; so the bits of a row do not depend on how
many rows are computed together, nor on threads.

In kernels::

    pack(panels, b)                         # panels (P, K, W) <- b (K, N), once
    product_packed(c, a, panels, add)       # c (M, N) = [c +] a (M, K) @ b
    product(c, a, b, add)                   # the same, b (K, N) used where it lies (unit column stride)

`c` has unit column stride; `a` may have any strides, so a transposed factor is `a.T`.
"""

import functools

import numpy as np

from rnnsim.core import isa
from rnnsim.core import jit as policy
from rnnsim.core.jit import jit_exact, symbol

# Height of a tile in rows: its widths in panels, widest first. Accumulators, factors and one broadcast fill the registers.
_TILES_32_REGISTERS = {
    12: (2, 1), 11: (2, 1), 10: (2, 1), 9: (3, 1), 8: (3, 1), 7: (3, 1),
    6: (4, 2, 1), 5: (5, 2, 1), 4: (6, 3, 1), 3: (8, 4, 2, 1), 2: (8, 4, 2, 1), 1: (8, 4, 2, 1),
}  # fmt: skip
_TILES_16_REGISTERS = {6: (2, 1), 5: (2, 1), 4: (3, 1), 3: (3, 1), 2: (5, 2, 1), 1: (8, 4, 2, 1)}
VECTOR_BYTES = isa.vector_bytes()


def panel_width(dtype):
    """Columns of one packed panel: elements of `dtype` in one vector register."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


@functools.cache
def prepare(dtype):
    """Compile or load the product of one floating type and give its linker name.

    Kernels that call the product are linked against this name, so it must stand before one of them is loaded:
    `packed_shape`, without which no panels can be made, sees to that.
    """
    name = f"rnnsim_gemm_{np.dtype(dtype)}"
    if policy.ENABLED:
        symbol(name, _signature(getattr(types, str(np.dtype(dtype)))))(_product)
    return name


def packed_shape(rows, columns, dtype):
    """Shape (panels, rows, panel width) of a packed `(rows, columns)` matrix."""
    prepare(dtype)
    width = panel_width(dtype)
    return -(-columns // width), rows, width


if policy.ENABLED:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    INDEX = ir.IntType(64)

    def _index(value):
        return ir.Constant(INDEX, value)

    class _Tile:
        """Writes the instructions of one tile: `rows x panels` vectors of the result."""

        def __init__(self, builder, element, rows, panels, lanes):
            self.builder, self.element, self.rows, self.panels = builder, element, rows, panels
            self.bytes = 4 if isinstance(element, ir.FloatType) else 8
            self.width = VECTOR_BYTES // self.bytes
            self.vector = ir.VectorType(element, self.width)
            self.zero = ir.Constant(self.vector, None)
            ids = ir.Constant(ir.VectorType(INDEX, self.width), [_index(i) for i in range(self.width)])
            self.mask = builder.icmp_signed("<", ids, self._splat(lanes, INDEX))

        def _splat(self, value, element):
            empty = ir.Constant(ir.VectorType(element, self.width), ir.Undefined)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), None)
            first = self.builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
            return self.builder.shuffle_vector(first, empty, zeros)

        def _intrinsic(self, name, result, arguments):
            suffix = f"v{self.width}f{8 * self.bytes}"
            name = f"llvm.{name}.{suffix}" + (".p0" if name.startswith("masked") else "")
            return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

        def at(self, pointer, offset):
            return self.builder.gep(pointer, [offset], source_etype=self.element)

        def load(self, pointer, panel):
            """One vector; the tile's last panel may be narrower than a vector and is read under the mask."""
            pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
            if panel < self.panels - 1:
                return self.builder.load(pointer, align=self.bytes)
            arguments = [pointer, ir.Constant(ir.IntType(32), self.bytes), self.mask, self.zero]
            function = self._intrinsic("masked.load", self.vector, [value.type for value in arguments])
            return self.builder.call(function, arguments)

        def store(self, value, pointer, panel):
            pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
            if panel < self.panels - 1:
                self.builder.store(value, pointer, align=self.bytes)
                return
            arguments = [value, pointer, ir.Constant(ir.IntType(32), self.bytes), self.mask]
            function = self._intrinsic("masked.store", ir.VoidType(), [value.type for value in arguments])
            self.builder.call(function, arguments)

        def multiply(self, depth, a, a_row, a_k, b, b_panel, b_k, c, c_row, add):
            builder = self.builder
            tile = [(row, panel) for row in range(self.rows) for panel in range(self.panels)]
            fma = self._intrinsic("fma", self.vector, [self.vector] * 3)
            before, head = builder.block, builder.append_basic_block("depth")
            body, after = builder.append_basic_block("depth.body"), builder.append_basic_block("depth.end")
            builder.branch(head)
            builder.position_at_end(head)
            k = builder.phi(INDEX)
            k.add_incoming(_index(0), before)
            sums = {}
            for place in tile:
                sums[place] = builder.phi(self.vector)
                sums[place].add_incoming(self.zero, before)
            builder.cbranch(builder.icmp_signed("<", k, depth), body, after)

            builder.position_at_end(body)
            b_now, a_now = self.at(b, builder.mul(k, b_k)), self.at(a, builder.mul(k, a_k))
            columns = [
                self.load(self.at(b_now, builder.mul(_index(panel), b_panel)), panel) for panel in range(self.panels)
            ]
            for row in range(self.rows):
                scalar = builder.load(self.at(a_now, builder.mul(_index(row), a_row)), align=self.bytes)
                factor = self._splat(scalar, self.element)
                for panel in range(self.panels):
                    value = builder.call(fma, [factor, columns[panel], sums[row, panel]])
                    sums[row, panel].add_incoming(value, builder.block)
            k.add_incoming(builder.add(k, _index(1)), builder.block)
            builder.branch(head)

            builder.position_at_end(after)
            places = {}
            for row, panel in tile:
                column = _index(panel * self.width)
                places[row, panel] = self.at(c, builder.add(builder.mul(_index(row), c_row), column))
            with builder.if_else(builder.icmp_signed("!=", add, _index(0))) as (then, otherwise):
                with then:
                    for place in tile:
                        old = self.load(places[place], place[1])
                        self.store(builder.fadd(old, sums[place]), places[place], place[1])
                with otherwise:
                    for place in tile:
                        self.store(sums[place], places[place], place[1])

    @intrinsic
    def _gemm(typing, m, n, k, a, a_row, a_k, b, b_panel, b_k, c, c_row, add):
        """The whole loop nest: groups of rows, groups of panels, tiles; the innermost loop is the micro-kernel."""
        integer = types.intp
        signature = types.void(integer, integer, integer, a, integer, integer, b, integer, integer, c, integer, integer)

        def generate(context, builder, signature, arguments):
            m, n, k, a, a_row, a_k, b, b_panel, b_k, c, c_row, add = arguments
            element = context.get_data_type(signature.args[3].dtype)
            width = VECTOR_BYTES // (4 if isinstance(element, ir.FloatType) else 8)
            tiles = _TILES_32_REGISTERS if VECTOR_BYTES == 64 else _TILES_16_REGISTERS

            def at(pointer, offset):
                return builder.gep(pointer, [offset], source_etype=element)

            all_panels = builder.sdiv(builder.add(n, _index(width - 1)), _index(width))
            # The rows fall into as few tiles as possible, of equal height or one row more.
            tallest = max(tiles)
            groups = builder.sdiv(builder.add(m, _index(tallest - 1)), _index(tallest))
            groups = builder.select(builder.icmp_signed(">", groups, _index(0)), groups, _index(1))
            height, taller = builder.sdiv(m, groups), builder.srem(m, groups)
            row = cgutils.alloca_once_value(builder, _index(0))
            for rows, panel_counts in tiles.items():
                first = builder.load(row)
                is_height = builder.icmp_signed("==", height, _index(rows))
                is_taller = builder.icmp_signed("==", height, _index(rows - 1))
                count = builder.select(is_height, builder.sub(groups, taller), _index(0))
                count = builder.select(is_taller, taller, count)
                with builder.if_then(builder.icmp_signed(">", count, _index(0))):
                    panel = cgutils.alloca_once_value(builder, _index(0))
                    builder.store(_index(0), panel)
                    for panels in panel_counts:
                        left = builder.sub(all_panels, builder.load(panel))
                        with cgutils.for_range(builder, builder.sdiv(left, _index(panels))):
                            now = builder.load(panel)
                            last = builder.mul(builder.add(now, _index(panels - 1)), _index(width))
                            lanes = builder.sub(n, last)
                            b_now = at(b, builder.mul(now, b_panel))
                            c_now = at(c, builder.mul(now, _index(width)))
                            with cgutils.for_range(builder, count) as tile:
                                r = builder.add(first, builder.mul(tile.index, _index(rows)))
                                _Tile(builder, element, rows, panels, lanes).multiply(
                                    k, at(a, builder.mul(r, a_row)), a_row, a_k, b_now, b_panel, b_k,
                                    at(c_now, builder.mul(r, c_row)), c_row, add,
                                )  # fmt: skip
                            builder.store(builder.add(now, _index(panels)), panel)
                builder.store(builder.add(first, builder.mul(count, _index(rows))), row)
            return context.get_dummy_value()

        return signature, generate

    def _signature(element):
        integer, pointer = types.intp, types.CPointer(element)
        return types.void(
            integer, integer, integer, pointer, integer, integer, pointer, integer, integer, pointer, integer, integer
        )

    def _product(m, n, k, a, a_row, a_k, b, b_panel, b_k, c, c_row, add):
        _gemm(m, n, k, a, a_row, a_k, b, b_panel, b_k, c, c_row, add)

    def _call_gemm(context, builder, signature, arguments):
        """Call the linked product with the pointers and strides of three arrays; b is (K, N) or packed (P, K, W)."""
        c_type, a_type, b_type, _ = signature.args
        element = context.get_data_type(c_type.dtype)
        size = _index(4 if isinstance(element, ir.FloatType) else 8)
        c, a, b = (
            context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args, arguments[:3])
        )

        def stride(array, axis):
            return builder.sdiv(builder.extract_value(array.strides, axis), size)

        m, n = (builder.extract_value(c.shape, axis) for axis in (0, 1))
        k = builder.extract_value(a.shape, 1)
        if b_type.ndim == 3:
            b_panel, b_k = stride(b, 0), stride(b, 1)
        else:
            b_panel, b_k = _index(VECTOR_BYTES // (size.constant)), stride(b, 0)
        add = builder.zext(arguments[3], INDEX)
        values = [m, n, k, a.data, stride(a, 0), stride(a, 1), b.data, b_panel, b_k, c.data, stride(c, 0), add]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        name = prepare(str(c_type.dtype))
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, values)
        return context.get_dummy_value()

    def _checked_signature(c, a, b, add, ndim):
        arrays = (c, a, b)
        if all(isinstance(x, types.Array) and x.dtype == c.dtype for x in arrays) and b.ndim == ndim:
            return types.void(c, a, b, types.boolean)
        raise TypeError("matrix products take arrays of one floating type")

    @intrinsic
    def product(typing, c, a, b, add):
        """c (M, N) = [c +] a (M, K) @ b (K, N); unit column stride in b and c."""
        return _checked_signature(c, a, b, add, 2), _call_gemm

    @intrinsic
    def product_packed(typing, c, a, panels, add):
        """c (M, N) = [c +] a (M, K) @ b, with b packed by `pack`."""
        return _checked_signature(c, a, panels, add, 3), _call_gemm

else:

    def product(c, a, b, add):
        """c (M, N) = [c +] a (M, K) @ b (K, N)."""
        c[...] = (c if add else 0) + a @ b

    def product_packed(c, a, panels, add):
        """c (M, N) = [c +] a (M, K) @ b, with b packed by `pack`."""
        product(c, a, panels.transpose(1, 0, 2).reshape(panels.shape[1], -1)[:, : c.shape[1]], add)


@jit_exact
def pack(panels, b):
    """Pack b (K, N), any strides, into panels (P, K, W); the last panel is filled up with zeros."""
    depth, columns = b.shape
    width = panels.shape[2]
    whole = columns // width
    for k in range(depth):
        for p in range(whole):
            row = panels[p, k]
            for j in range(width):
                row[j] = b[k, p * width + j]
        if whole < panels.shape[0]:
            row = panels[whole, k]
            row[:] = 0
            for j in range(columns - whole * width):
                row[j] = b[k, whole * width + j]
