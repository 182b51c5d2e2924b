"""The one jit policy: how every kernel of rnnsim is compiled and cached.

Flags
    `jit` compiles with ``error_model="numpy"`` (a division without a zero check vectorises) and a fastmath set that
    keeps NaN and infinity alive: signed zeros may vanish, multiply-add may fuse, sums may be reordered. `jit_exact`
    leaves sums in the order in which they are written; vector maths and everything with a bit-for-bit promise uses it.
    ``arcp`` is left out on purpose: it lets the compiler turn a vector division into an estimate, but not the scalar
    division of the loop's remainder, and then a value depends on its place in the array.

Cache
    Compiled kernels are kept under ``$RNNSIM_CACHE_DIR`` (default: the user's cache folder) in a folder named by the
    digest of all source files of the package. Numba's own cache looks only at the file that a kernel stands in;
    here a change in any file gives a new folder, so a stale kernel cannot be run. If the folder cannot be written, kernels are
    compiled in memory.

Switches
    ``RNNSIM_JIT=0`` runs every kernel as plain Python (slow; for debuggers and coverage).
    ``RNNSIM_CACHE=0`` compiles without the disk cache.
"""

import functools
import hashlib
import os
import pathlib
import shutil
import sys

FASTMATH = {"nsz", "contract", "afn", "reassoc"}
EXACT = {"nsz", "contract"}
ENABLED = os.environ.get("RNNSIM_JIT", "1") != "0"
CACHED = os.environ.get("RNNSIM_CACHE", "1") != "0"
PACKAGE = pathlib.Path(__file__).resolve().parent.parent


def cache_root():
    """The folder that holds all caches of compiled kernels, one subfolder a source digest."""
    given = os.environ.get("RNNSIM_CACHE_DIR")
    if given:
        return pathlib.Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "rnnsim" / "kernels"


@functools.cache
def source_digest():
    """Digest of every Python source file of the package: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder():
    """The folder of this version's compiled kernels, or None if it cannot be written."""
    if not (ENABLED and CACHED):
        return None
    folder = cache_root() / source_digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return None
    return folder


def clear_cache():
    """Delete all compiled kernels of all versions; gives the number of bytes set free."""
    root = cache_root()
    freed = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.is_dir() else 0
    shutil.rmtree(root, ignore_errors=True)
    cache_folder.cache_clear()
    return freed


@functools.cache
def _cache_class():
    """Numba's function cache, with our folder and our idea of what makes a kernel stale."""
    from numba.core import caching

    class Locator(caching._CacheLocator):
        def __init__(self, function, source):
            self._line = function.__code__.co_firstlineno
            self._module = function.__module__

        def get_cache_path(self):
            return str(cache_folder())

        def get_source_stamp(self):
            return source_digest()

        def get_disambiguator(self):
            return f"{self._module}-{self._line}"

        @classmethod
        def from_function(cls, function, source):
            return cls(function, source)

    class Implementation(caching.CompileResultCacheImpl):
        _locator_classes = [Locator]

    class Cache(caching.FunctionCache):
        _impl_class = Implementation

    return Cache


def _compile(function, fastmath, parallel):
    if not ENABLED:
        return function
    import numba

    dispatcher = numba.njit(fastmath=fastmath, error_model="numpy", nogil=True, parallel=parallel)(function)
    if function.__module__.startswith("rnnsim.") and cache_folder() is not None:
        dispatcher._cache = _cache_class()(dispatcher.py_func)
    return dispatcher


def jit(function):
    """Compile a serial kernel; sums may be reordered."""
    return _compile(function, FASTMATH, False)


def jit_exact(function):
    """Compile a serial kernel whose operations stay in their written order (fused multiply-add allowed)."""
    return _compile(function, EXACT, False)


def jit_parallel(function):
    """Compile a thin `prange` driver. Keep it thin: its body is compiled again for the parallel region."""
    return _compile(function, EXACT, True)


def symbol(name, signature):
    """Decorator: compile a function once and give it the linker name `name`, to be called through `external`.

    A numba kernel that calls another one carries a copy of it, compiled again. A named symbol is compiled once and only
    linked, which matters for kernels as large as the matrix product.
    """

    def decorate(function):
        if not ENABLED:
            return function
        import numba
        from llvmlite import binding
        from numba.core.ccallback import CFunc
        from numba.core.sigutils import normalize_signature
        from numba.core.registry import cpu_target  # noqa: F401  (initialises the target)

        compiled = CFunc(function, normalize_signature(signature), locals={},
                         options=dict(fastmath=EXACT, error_model="numpy", nopython=True))
        if cache_folder() is not None:
            compiled._cache = _cache_class()(function)
        compiled.compile()
        binding.add_symbol(name, compiled.address)
        assert numba  # the import above registers numba's types
        return compiled

    return decorate
