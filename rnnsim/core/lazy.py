"""Names of a package that are imported when they are first asked for, so that importing the package costs nothing."""

import importlib
import sys


def lazy(package, names, modules=()):
    """``__getattr__`` and ``__dir__`` of a package.

    `names` maps what the package offers to the module that has it; `modules` are modules of the package itself.

    >>> getter, lister = lazy("rnnsim.core", {"Layout": "rnnsim.core.layout"}, ("layout",))
    >>> getter("Layout") is getter("layout").Layout, "Layout" in lister()
    (True, True)
    """

    def getter(name):
        if name in names:
            value = getattr(importlib.import_module(names[name]), name)
        elif name in modules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def lister():
        return sorted({*vars(sys.modules[package]), *names, *modules})

    return getter, lister
