"""What a kernel outside rnnsim depends on, as a digest; with it such kernels are kept in the cache and never go stale.

A kernel of rnnsim depends on the sources of the package (`rnnsim.core.jit.source_digest`). A kernel in somebody else's file may
depend on anything: constants that are computed, read from a file or changed after the import, kernels of other files. So its
digest is taken when it is compiled, over what the compiler sees: its bytecode and constants, the values of the globals that it
names, and all this of every kernel that it calls. If one of them is of a kind that is not understood here, there is no digest,
and the kernel is compiled in memory.
"""

import builtins
import hashlib
import types

import numpy as np

_LIBRARIES = ("numpy", "numba", "math", "cmath", "builtins", "llvmlite", "operator")
_SIMPLE = (bool, int, float, complex, str, bytes, type(None))


class _NotUnderstood(Exception):
    """A global of a kind whose value has no digest."""


def kernel_digest(function):
    """Digest of all that a compiled `function` (plain Python, before compilation) depends on; None if that is not known.

    >>> kernel_digest(lambda x: x + 1) == kernel_digest(lambda x: x + 1) != kernel_digest(lambda x: x + 2)
    True
    """
    digest = hashlib.sha256(np.__version__.encode())
    try:
        _add_function(digest, function, set())
    except _NotUnderstood:
        return None
    return digest.hexdigest()


def _add_function(digest, function, seen):
    if function in seen:
        return
    seen.add(function)
    digest.update(f"function {function.__name__}".encode())
    names = {}
    _add_code(digest, function.__code__, names)
    for cell in function.__closure__ or ():
        _add_value(digest, cell.cell_contents, names, seen)
    for name in sorted(names):
        if name in function.__globals__:
            digest.update(f"global {name}".encode())
            _add_value(digest, function.__globals__[name], names, seen)
        elif not hasattr(builtins, name):
            digest.update(f"attribute {name}".encode())


def _add_code(digest, code, names):
    """Bytecode and constants of a function and of those inside it; `names` gathers the names that they use."""
    digest.update(repr((code.co_code, code.co_names, code.co_varnames, code.co_flags)).encode())
    names |= dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(digest, constant, names)
        else:
            digest.update(repr((type(constant), _stable(constant))).encode())


def _stable(value):
    """A value whose repr is the same in every process: sets have an order of their own in each."""
    return sorted(map(repr, value)) if isinstance(value, (set, frozenset)) else value


def _add_value(digest, value, names, seen):
    """The value of a global or of something in it; `names` are the names that may be attributes of a module."""
    if isinstance(value, _SIMPLE):
        digest.update(repr((type(value), value)).encode())
    elif isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        digest.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, np.dtype):
        digest.update(str(value).encode())
    elif isinstance(value, tuple):
        digest.update(f"tuple {type(value).__qualname__} {len(value)}".encode())
        for part in value:
            _add_value(digest, part, names, seen)
    elif isinstance(value, types.ModuleType):
        _add_module(digest, value, names, seen)
    elif hasattr(value, "py_func"):  # a compiled kernel
        digest.update(repr([(key, _stable(option)) for key, option in sorted(value.targetoptions.items())]).encode())
        if not _add_own(digest, value.py_func.__module__):
            _add_function(digest, value.py_func, seen)
    elif hasattr(value, "_defn"):  # an intrinsic of numba
        if not _add_own(digest, value._defn.__module__):
            raise _NotUnderstood
        for cell in value._defn.__closure__ or ():
            if hasattr(cell.cell_contents, "py_func") or isinstance(cell.cell_contents, _SIMPLE):
                _add_value(digest, cell.cell_contents, names, seen)
    elif isinstance(value, type):
        digest.update(f"{value.__module__} {value.__qualname__} {getattr(value, '_fields', '')}".encode())
        if not (_of_library(value.__module__) or hasattr(value, "_fields") or _add_own(digest, value.__module__)):
            raise _NotUnderstood
    elif callable(value):
        module = getattr(value, "__module__", None) or type(value).__module__
        digest.update(f"{module} {getattr(value, '__name__', value)}".encode())
        if not (_of_library(module) or _add_own(digest, module)):
            raise _NotUnderstood
    else:
        raise _NotUnderstood


def _add_module(digest, module, names, seen):
    digest.update(f"module {module.__name__}".encode())
    if _of_library(module.__name__) or _add_own(digest, module.__name__):
        return
    for name in sorted(names):
        if hasattr(module, name):
            digest.update(f"attribute {name}".encode())
            _add_value(digest, getattr(module, name), names, seen)


def _of_library(module):
    return module.split(".")[0] in _LIBRARIES


def _add_own(digest, module):
    """Add the sources of a module of rnnsim; False if it is none."""
    if module.split(".")[0] != "rnnsim":
        return False
    from rnnsim.core.jit import source_digest

    digest.update(source_digest(module).encode())
    return True
