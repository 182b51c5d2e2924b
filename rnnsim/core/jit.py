"""The one jit policy: how every kernel of rnnsim is compiled and cached.

Flags
    `jit` compiles with ``error_model="numpy"`` (a division without a zero check vectorises) and a fastmath set that
    keeps NaN and infinity alive: signed zeros may vanish, multiply-add may fuse, sums may be reordered. Terms that
    cancel, as in ``x - x + y``, may be gone before one of them is infinite; so `jit` is for plain sums. `jit_exact`
    leaves sums in the order in which they are written; vector maths and everything with a bit-for-bit promise uses it.
    ``arcp`` is left out on purpose: it lets the compiler turn a vector division into an estimate, but not the scalar
    division of the loop's remainder, and then a value depends on its place in the array.

Cache
    Compiled kernels are kept under ``$RNNSIM_CACHE_DIR`` (default: the user's cache folder), each module's in a folder
    named by the digest of that module and of every module of rnnsim that it imports, directly or through others, and of
    the instruction set if one is asked for; within a folder Numba tells processors apart.
    Numba's own cache looks only at the file that a kernel stands in and misses a change in another file that the
    kernel calls; here such a change gives a new folder, so a stale kernel cannot be run. If the folder cannot be
    written or its files are damaged, kernels are compiled in memory. Kernels of files outside rnnsim are kept too, each under the
    digest of all that it depends on (`rnnsim.core.kernel_digest`).

Switches
    ``RNNSIM_JIT=0`` runs every kernel as plain Python (slow; for debuggers and coverage).
    ``RNNSIM_CACHE=0`` compiles without the disk cache.
    ``RNNSIM_ISA=avx2`` compiles for AVX2 on every processor (`rnnsim.core.isa`).
"""

import contextlib
import functools
import hashlib
import importlib
import inspect
import os
import pathlib
import pickle
import re
import sys
import tempfile
from typing import NamedTuple

from rnnsim.core import isa

FASTMATH = {"nsz", "contract", "afn", "reassoc"}
EXACT = {"nsz", "contract"}
ENABLED = os.environ.get("RNNSIM_JIT", "1") != "0"
CACHED = os.environ.get("RNNSIM_CACHE", "1") != "0"
PACKAGE = pathlib.Path(__file__).resolve().parent.parent
if ENABLED:
    isa.check()


def cache_root():
    """The folder that holds all caches of compiled kernels, one subfolder a source digest."""
    given = os.environ.get("RNNSIM_CACHE_DIR")
    if given:
        return pathlib.Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "rnnsim" / "kernels"


_IMPORT = re.compile(
    r"^\s*from\s+(rnnsim[\w.]*)\s+import\s+(\([^)]*\)|[^\n#]*)|^\s*import\s+(rnnsim[\w.]*)", re.MULTILINE
)


def _source_file(module):
    """The source file of a module of the package, or None if there is no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _imported(module):
    """The modules of the package that a module names in its import statements."""
    found = set()
    for package, names, plain in _IMPORT.findall(_source_file(module).read_text(encoding="utf-8")):
        base = package or plain
        found.add(base)
        found.update(f"{base}.{name}" for name in re.findall(r"\w+", names))
    return {name for name in found if name != "rnnsim" and _source_file(name)}


@functools.cache
def source_digest(module):
    """Digest of a module's source, of all the modules of rnnsim that it reaches by imports, and of ``RNNSIM_ISA`` if it is set.

    16 hexadecimal digits.
    """
    reached, open_ends = set(), {module, __name__}
    while open_ends:
        name = open_ends.pop()
        reached.add(name)
        open_ends |= _imported(name) - reached
    digest = hashlib.sha256(f"isa {isa.name()}".encode() if isa.name() else b"")
    for name in sorted(reached):
        digest.update(name.encode() + b"\0" + _source_file(name).read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def writable_cache():
    """The folder that holds this machine's compiled kernels, or None if there is none to write to."""
    if not (ENABLED and CACHED):
        return None
    folder = cache_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


# What rnnsim and Numba write: a folder a module and digest; in it an index and the kernels, also half-written ones.
_FOLDER = re.compile(r"rnnsim(\.\w+)+-[0-9a-f]{16}")
_FILE = re.compile(r".+\.nb[ic](\.tmp\.[0-9a-f]{16})?")


def cached_files():
    """The files of compiled kernels in the cache, of all versions, and nothing else that may be in its folder."""
    for folder in _own_folders():
        for path in folder.iterdir():
            if _FILE.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                yield path


def _own_folders():
    root = cache_root()
    found = sorted(root.iterdir()) if root.is_dir() else []
    return [path for path in found if _FOLDER.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


class Cleared(NamedTuple):
    """What `clear_cache` did."""

    freed: int  # bytes
    left: list  # paths in the folder of the cache that rnnsim did not write, or could not delete


def clear_cache():
    """Delete the compiled kernels of all versions (`Cleared`), and no file that rnnsim did not write."""
    root, freed, left = cache_root(), 0, []
    for path in list(cached_files()):
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    for folder in _own_folders():
        with contextlib.suppress(OSError):
            left += folder.iterdir()
            folder.rmdir()  # refused unless it is empty
    if root.is_dir():
        left += set(root.iterdir()) - set(_own_folders())
    writable_cache.cache_clear()
    return Cleared(freed, sorted(left))


@functools.cache
def _cache_class():
    """Numba's function cache, with our folder and our idea of what makes a kernel stale."""
    from numba.core import caching

    class Locator(caching._CacheLocator):
        def __init__(self, function, source):
            self._line = function.__code__.co_firstlineno
            self._module = function.__module__
            own = self._module.startswith("rnnsim.")
            self._digest = source_digest(self._module) if own else _file_digest(function)

        def get_cache_path(self):
            return str(writable_cache() / f"{self._module}-{self._digest}")

        def get_source_stamp(self):
            return self._digest

        def get_disambiguator(self):
            return str(self._line)

        @classmethod
        def from_function(cls, function, source):
            return cls(function, source)

    class Implementation(caching.CompileResultCacheImpl):
        _locator_classes = [Locator]

    class Cache(caching.FunctionCache):
        _impl_class = Implementation

        # A cache that cannot be read or written (damaged, full disk, another user's folder) is as none.

        def load_overload(self, sig, target_context):
            with contextlib.suppress(OSError):
                try:
                    return super().load_overload(sig, target_context)
                except (EOFError, pickle.UnpicklingError, AttributeError, ImportError):
                    # Damaged; or the type of an argument has another name now, in a module that the kernel's does not import.
                    self.flush()
            return None

        def save_overload(self, sig, data):
            with contextlib.suppress(OSError):
                super().save_overload(sig, _with_links(data))

    class OutsideCache(Cache):
        """For kernels outside rnnsim: the key has the digest of what a kernel depends on when it is compiled."""

        def _index_key(self, sig, codegen):
            return (*super()._index_key(sig, codegen), self._depends)

        def load_overload(self, sig, target_context):
            from rnnsim.core.kernel_digest import kernel_digest

            self._depends = kernel_digest(self._py_func)
            return super().load_overload(sig, target_context) if self._depends else None

        def save_overload(self, sig, data):
            if self._depends:
                super().save_overload(sig, data)

    return Cache, OutsideCache


def _file_digest(function):
    """Digest of the file that a function outside rnnsim stands in: 16 hexadecimal digits."""
    return hashlib.sha256(pathlib.Path(function.__code__.co_filename).read_bytes()).hexdigest()[:16]


def _cache_of(function):
    """The cache of a function's compiled forms; None where it is not kept: it has no file or no name, or a function makes it."""
    if not writable_cache():
        return None
    inside, outside = _cache_class()
    if function.__module__.startswith("rnnsim."):
        return inside(function)
    nameless = function.__name__ == "<lambda>" or not os.path.isfile(function.__code__.co_filename)
    if function.__closure__ or nameless:
        return None
    return outside(function)


def _compile(function, fastmath, parallel, **more):
    if not ENABLED:
        return function
    import numba

    dispatcher = numba.njit(
        fastmath=fastmath, error_model="numpy", nogil=True, parallel=parallel, no_cfunc_wrapper=True, **more
    )(function)
    cache = _cache_of(dispatcher.py_func)
    if cache is not None:
        dispatcher._cache = cache
    return dispatcher


def jit(function):
    """Compile a serial kernel; sums may be reordered."""
    return _compile(function, FASTMATH, False)


def jit_exact(function):
    """Compile a serial kernel whose operations stay in their written order (fused multiply-add allowed)."""
    return _compile(function, EXACT, False)


def jit_borrowed(function):
    """Like `jit_exact`, for a kernel that makes no arrays: references to those that it is given are not counted.

    Whenever a kernel takes an array out of a tuple its references are counted, by an instruction that locks the bus. That is
    nothing beside a batch, and half the time of one time step of a small network.
    """
    return _compile(function, EXACT, False, _nrt=False, forceinline=True)


def jit_formula(function):
    """Compile a formula, a small function of numbers, into every kernel that calls it; its arguments may be vectors."""
    return _compile(function, EXACT, False, _nrt=False, forceinline=True)


def jit_inline(function):
    """Insert a small function into each caller before the caller is typed.

    It may give names to the arrays of a tuple: the caller counts references to them, or does not, as it does for its own.
    """
    return _compile(function, EXACT, False, inline="always")


def jit_parallel(function):
    """Compile a thin `prange` driver. Keep it thin: its body is compiled again for the parallel region."""
    return _compile(function, EXACT, True)


def symbol(name, signature):
    """Decorator: compile a function once, under the linker name `name`, for kernels to call by that name.

    A kernel that calls another one carries a copy of it, optimised again. A named symbol is compiled once and then only
    linked, which matters for functions as large as the matrix product.
    """

    def decorate(function):
        if not ENABLED:
            return function
        from llvmlite import binding
        from numba.core.ccallback import CFunc
        from numba.core.sigutils import normalize_signature

        flags = dict(fastmath=EXACT, error_model="numpy", nopython=True)
        compiled = CFunc(function, normalize_signature(signature), locals={}, options=flags)
        if function.__module__.startswith("rnnsim.") and writable_cache():
            compiled._cache = _cache_class()[0](function)
        compiled.compile()
        binding.add_symbol(name, compiled.address)
        return compiled

    return decorate


_LINKED = {}  # linker name: (module, function, argument types) of every kernel that was linked in this process


def linked(kernel):
    """A kernel that other kernels call through the linker, instead of inlining it into each caller.

    A kernel that calls another one contains a copy of it, optimised again: in the serial driver, in the parallel one and in
    its parallel region. For a large kernel that costs seconds: through the linker the neural Turing machine compiles 2.2 times
    faster, tree LSTM 1.5, the streams of online rules 1.4 times; small kernels gain nothing. ::

        @jit_exact
        def unroll(...): ...

        _unroll = linked(unroll)        # for use in kernels; Python calls `unroll` itself
    """
    if not ENABLED:
        return kernel
    from numba.core import cgutils
    from numba.extending import intrinsic

    function = kernel.py_func

    def call(typing, *given):
        name, compiled = _link(kernel, given)

        def generate(context, builder, signature, arguments):
            description = compiled.fndesc
            form = context.call_conv.get_function_type(description.restype, description.argtypes)
            target = cgutils.get_or_insert_function(builder.module, form, name)
            return context.call_conv.call_function(
                builder, target, description.restype, description.argtypes, arguments
            )[1]

        return compiled.signature, generate

    # Numba reads a kernel's arguments off its signature.
    first = list(inspect.signature(call).parameters.values())[:1]
    call.__signature__ = inspect.Signature(first + list(inspect.signature(function).parameters.values()))
    call.__name__ = call.__qualname__ = function.__name__
    return intrinsic(call)


def _link(kernel, types):
    """(linker name, compiled kernel) for these argument types, known to the linker from now on."""
    from llvmlite import binding
    from numba.core.types import unliteral

    types = tuple(unliteral(kind) for kind in types)
    kernel.compile(types)
    compiled = kernel.overloads[types]
    module, name = kernel.py_func.__module__, kernel.py_func.__name__
    symbol_name = f"{module}.{name}.{hashlib.sha256(str(types).encode()).hexdigest()[:16]}"
    if symbol_name not in _LINKED:
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        binding.add_symbol(symbol_name, address)
        _LINKED[symbol_name] = (module, name, types)
    return symbol_name, compiled


def _link_again(module, name, types):
    """What a kernel that comes out of the cache needs before it is loaded: the kernels it is linked with."""
    _link(getattr(importlib.import_module(module), name), types)


def _with_links(compiled):
    """A compiled kernel that, when it is loaded from the cache, first loads those it is linked with."""
    module = compiled.library._final_module
    names = [function.name for function in module.functions if function.is_declaration and function.name in _LINKED]
    calls = [functools.partial(_link_again, *_LINKED[name]) for name in names]
    return compiled._replace(reload_init=[*compiled.reload_init, *calls])


def pointer(kernel, *arguments):
    """A kernel, compiled for arguments like these, as a number that `call_pointer` in another kernel can call.

    Thus a driver is compiled once for all kernels of one signature. Kernels give nothing back. Without the compiler the
    number is the function itself.
    """
    if not ENABLED:
        return kernel
    import numba

    types = tuple(numba.typeof(value) for value in arguments)
    _, compiled = _link(kernel, types)
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def pointer_call(count):
    """``call(address, a1, ..., a_count)`` for use in kernels: calls what `pointer` gave, with arguments of the same types."""
    if not ENABLED:
        return lambda address, *arguments: address(*arguments)
    from numba.core import types
    from numba.extending import intrinsic

    def call(typing, address, *given):
        def generate(context, builder, signature, arguments):
            kinds = signature.args[1:]
            form = context.call_conv.get_function_type(types.none, kinds)
            target = builder.inttoptr(arguments[0], form.as_pointer())
            context.call_conv.call_function(builder, target, types.none, kinds, arguments[1:])
            return context.get_dummy_value()

        return types.none(types.intp, *given), generate

    names = [f"a{k}" for k in range(count)]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    call.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("typing", "address", *names)])
    return intrinsic(call)


def array_at():
    """``at(address, shape, dtype)`` for use in kernels: the C-contiguous array that begins at an address.

    A kernel with many arrays spends more time on taking them from Python than on a time step of a small network; the same arrays
    can be given as one table of addresses. Whoever makes the table keeps the arrays alive.
    """
    import numba
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic
    def place(typing, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(types.intp), generate

    @jit_exact
    def at(address, shape, dtype):
        return numba.carray(place(address), shape, dtype)

    return at
