"""Code from outside: classes of the user's files and of installed packages, usable wherever rnnsim expects a name.

A class outside rnnsim has one of three names:

    ./mytask.py:MyTask          a class in a file; a relative path starts at the current folder and is stored as an absolute one
    mypackage.tasks:MyTask      a class in a module that Python can import
    my-task                     a name that an installed package enters, with an entry point in the group `rnnsim.tasks`
                                (`rnnsim.cells`, `rnnsim.networks`, `rnnsim.rules`, `rnnsim.optimizers`, `rnnsim.data`,
                                `rnnsim.experiments`)

A file is read once, so the executed code has the recorded digest. The name of its module depends on its path and its content, so
that a running process loads a changed file again. The file stands alone: it can import only modules that Python finds without
it.
"""

import difflib
import hashlib
import importlib
import inspect
import re
import sys
import traceback
import types
from pathlib import Path

from rnnsim.core.reading.files import Missing, at_home, read_bytes
from rnnsim.errors import RnnsimError

SOURCE = 10 << 20  # bytes of a source file at most

_DIGEST = "__rnnsim_sha256__"  # attribute of a module made from a file: the digest of what was executed


def is_place(name):
    """Whether a name is the place of a class, not a name in a registry.

    >>> is_place("./mytask.py:MyTask"), is_place("mypackage.tasks:MyTask"), is_place("gru")
    (True, True, False)
    """
    return isinstance(name, str) and (":" in name or name.endswith(".py"))


def parse(place):
    """(path of a file or None, module or None, attribute) of a place. Raises `RnnsimError` if a part is missing.

    >>> parse("mypackage.tasks:MyTask")
    (None, 'mypackage.tasks', 'MyTask')
    """
    where, _, attribute = place.rpartition(":")
    if place.endswith(".py"):
        raise RnnsimError(f"{place}: which class? Write {place}:Name")
    if not where or not attribute.isidentifier():
        raise RnnsimError(f"{place}: expected FILE.py:Name or package.module:Name")
    if where.endswith(".py") or "/" in where or "\\" in where:
        return Path(where), None, attribute
    if not all(part.isidentifier() for part in where.split(".")):
        raise RnnsimError(f"{place}: expected FILE.py:Name or package.module:Name")
    return None, where, attribute


def absolute(name):
    """A place with the absolute path of its file; every other name unchanged.

    >>> absolute("gru"), absolute("mypackage.tasks:MyTask")
    ('gru', 'mypackage.tasks:MyTask')
    """
    if not is_place(name):
        return name
    path, _, attribute = parse(name)
    return name if path is None else f"{path.expanduser().resolve()}:{attribute}"


def title(name):
    """A name for titles and folders: without the path or the module.

    >>> title("./mytask.py:MyTask"), title("gru")
    ('MyTask', 'gru')
    """
    return name.rpartition(":")[2] if is_place(name) else name


def split_options(label):
    """(name, [option texts]) of a name with options after colons; the colon of a place belongs to the name.

    >>> split_options("tbptt:horizon=5:every=1"), split_options("./myrule.py:MyRule:floor=0")
    (('tbptt', ['horizon=5', 'every=1']), ('./myrule.py:MyRule', ['floor=0']))
    """
    parts = label.split(":")
    count = next((k for k, part in enumerate(parts) if "=" in part), len(parts))
    return ":".join(parts[:count]), parts[count:]


def load(place, kind):
    """The object at a place; `kind` names it in messages.

    Raises `RnnsimError`, one line, if the file or module does not exist, cannot be imported or has no such name.
    """
    path, module, attribute = parse(place)
    what = f"{kind} {attribute}"
    found = import_module(module, what) if path is None else _from_file(path, what)
    if not hasattr(found, attribute):
        names = [
            name
            for name, value in vars(found).items()
            if (value.__module__ == found.__name__ if inspect.isclass(value) else name.isupper())
        ]
        near = difflib.get_close_matches(attribute, names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(sorted(names)) or 'none'}"
        raise RnnsimError(f"{what}: no such name in {path or module}; {hint}")
    return getattr(found, attribute)


def read(path, what):
    """(path, bytes, SHA-256) of a source file. Raises `RnnsimError` if it cannot be read; `what` begins the message."""
    try:
        path = Path(at_home(path)).resolve()
        data = read_bytes(path, SOURCE)
    except Missing:
        raise RnnsimError(f"{what}: there is no file {path}") from None
    except RnnsimError as error:
        raise RnnsimError(f"{what}: {error}") from None
    return path, data, hashlib.sha256(data).hexdigest()


def _from_file(path, what):
    """The module of a file; the same module as long as the content of the file is the same."""
    path, data, digest = read(path, what)
    main = sys.modules.get("__main__")
    if getattr(main, "__file__", None) and Path(main.__file__).resolve() == path:
        return main  # do not execute the running script a second time
    stem = re.sub(r"\W", "_", path.stem)
    name = f"rnnsim_code_{stem}_{hashlib.sha256(f'{path} {digest}'.encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    setattr(module, _DIGEST, digest)
    sys.modules[name] = module
    try:
        exec(compile(data, str(path), "exec"), vars(module))
    except BaseException as error:
        del sys.modules[name]
        _reraise(error, what, path)
    return module


def import_module(name, what):
    """An imported module. Raises `RnnsimError`, one line that names file and line, if importing it fails."""
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise RnnsimError(
                f"{what}: there is no module {error.name}; install its package, or give the path of a file"
            ) from None
        _reraise(error, what, None)


def _reraise(error, what, path):
    """Raise an error in the user's code as one line; exceptions that end the process pass unchanged."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
        raise error
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if path and frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
    else:
        frames = frames or [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
        frame = frames[-1] if frames else None
        place = f"{frame.filename}, line {frame.lineno}" if frame else str(path)
    text = " ".join(str(getattr(error, "msg", None) or error).split())
    raise RnnsimError(f"{what}: {place}: {type(error).__name__}: {text}") from None


# -- the kind of a class, and its origin ----------------------------------------------------------------------------------


def check(found, place, kind, classes=(), methods=(), instances=False):
    """`found`, if it has the `kind`: derived from one of the `classes` (``module:Class``), with all `methods`, and not abstract.

    With `instances` it has to be an instance of one of the classes instead. Raises `RnnsimError`, one line, for anything else.
    """
    known = tuple(getattr(importlib.import_module(name.split(":")[0]), name.split(":")[1]) for name in classes)
    words = " or ".join(name.replace(":", ".") for name in classes)
    if instances:
        if not isinstance(found, known):
            raise RnnsimError(f"{kind} {place}: expected an object of {words}, got {_shown(found)}")
        return found
    if not inspect.isclass(found) or (classes and not issubclass(found, known)):
        expected = f"a class derived from {words}" if classes else "a class"
        raise RnnsimError(f"{kind} {place}: expected {expected}, got {_shown(found)}")
    missing = sorted(getattr(found, "__abstractmethods__", ())) + [name for name in methods if not hasattr(found, name)]
    if missing:
        raise RnnsimError(f"{kind} {place}: it does not define {', '.join(missing)}, which every {kind} needs")
    return found


def _shown(found):
    if inspect.isclass(found):
        return f"the class {found.__name__}({', '.join(base.__name__ for base in found.__bases__)})"
    return f"an object of type {type(found).__name__}"


def is_own(cls):
    """Whether a class belongs to rnnsim itself."""
    return cls.__module__.split(".")[0] == "rnnsim"


def place_of(cls):
    """The place of a class: ``/path/file.py:Name`` if it is from a file or the running script, else ``module:Name``."""
    module = sys.modules.get(cls.__module__)
    path = getattr(module, "__file__", None)
    if path and (hasattr(module, _DIGEST) or cls.__module__ == "__main__"):
        return f"{Path(path).resolve()}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def source_of(cls):
    """The origin of a class and the digest of its source, for the record of a run; None for rnnsim's own.

    ``{"file": ..., "sha256": ...}`` for a file; ``{"module": ..., "sha256": ...}`` for a module, with the name and version of
    its distribution, if it was installed.
    """
    if is_own(cls):
        return None
    module = sys.modules.get(cls.__module__)
    path = getattr(module, "__file__", None)
    if path is None or not Path(path).is_file():
        return {"module": cls.__module__}  # an interactive session
    digest = getattr(module, _DIGEST, None) or hashlib.sha256(read_bytes(path, SOURCE)).hexdigest()
    if hasattr(module, _DIGEST) or cls.__module__ == "__main__":
        return {"file": str(Path(path).resolve()), "sha256": digest}
    return {"module": cls.__module__, **_distribution(cls.__module__), "sha256": digest}


def _distribution(module):
    """Name and version of the distribution of a module; {} if it was not installed."""
    from importlib import metadata

    for name in metadata.packages_distributions().get(module.split(".")[0], ())[:1]:
        return {"distribution": name, "version": metadata.version(name)}
    return {}


def file_of_module(name):
    """The source file of a module, found without executing anything; None if there is none."""
    from importlib.machinery import PathFinder

    if name in sys.modules:
        path = getattr(sys.modules[name], "__file__", None)
        return Path(path) if path else None
    folders, parts = None, name.split(".")
    for k in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: k + 1]), folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
        if folders is None and k + 1 < len(parts):
            return None
    return Path(spec.origin) if spec.has_location else None


# -- entries of installed packages ----------------------------------------------------------------------------------------


def entered(group):
    """``{name: (place, line)}`` of the entry points of a group, without importing anything of them.

    The line names the distribution. If two packages enter the same name, the one whose distribution comes first in the alphabet
    is used; a warning names the other.
    """
    import warnings
    from importlib import metadata

    found = {}
    points = metadata.entry_points(group=group)
    for point in sorted(points, key=lambda point: (point.name, point.dist.name if point.dist else "")):
        source = f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"
        if point.name in found:
            if found[point.name] != (point.value, f"from {source}"):
                warnings.warn(
                    f"{group}: '{point.name}' of {source} is ignored: '{point.name}' {found[point.name][1]} comes first",
                    stacklevel=2,
                )
            continue
        found[point.name] = (point.value, f"from {source}")
    return found
