"""Names of a package that are imported at their first use, so that importing the package costs nothing."""

import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazy(package, names, modules=(), registries=None) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` of a package.

    names : ``{exported name: module that defines it}``
    modules : modules of the package itself
    registries : ``{module of the package: name of a Registry in it}``; the package exports the classes of these as well

    >>> getter, lister = lazy("rnnsim.core", {"Layout": "rnnsim.core.layout"}, ("layout",))
    >>> getter("Layout") is getter("layout").Layout, "Layout" in lister()
    (True, True)
    """
    registries = registries or {}

    def entered():
        found = {}
        for module, registry in registries.items():
            found |= getattr(importlib.import_module(f"{package}.{module}"), registry).exports()
        return found

    def getter(name):
        if name in names:
            value = getattr(importlib.import_module(names[name]), name)
        elif name in modules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            module = None if name.startswith("_") else entered().get(name)
            if module is None:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            value = getattr(importlib.import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    def lister():
        return sorted({*vars(sys.modules[package]), *names, *modules, *entered()})

    return getter, lister
