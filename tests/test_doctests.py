"""Every example in a docstring runs, and everything that a registry names has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import rnnsim
import rnnsim_cli
from rnnsim.cells import CELLS
from rnnsim.core import threads
from rnnsim.data import DATA
from rnnsim.experiments import EXPERIMENTS
from rnnsim.learning import RULES
from rnnsim.networks import NETWORKS
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.tasks import TASKS

MODULES = sorted(
    {package.__name__ for package in (rnnsim, rnnsim_cli)}
    | {
        found.name
        for package in (rnnsim, rnnsim_cli)
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    }
)
ENTRIES = [
    (registry, name) for registry in (CELLS, NETWORKS, RULES, OPTIMIZERS, TASKS, EXPERIMENTS, DATA) for name in registry
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name, tmp_path, monkeypatch):
    """Examples find the module's own names, np and rs, and may write files where they stand."""
    monkeypatch.chdir(tmp_path)
    module, count = importlib.import_module(name), threads.get_threads()
    try:
        result = doctest.testmod(module, extraglobs={"np": np, "rs": rnnsim}, optionflags=doctest.ELLIPSIS)
    finally:
        threads.set_threads(count)
    assert not result.failed


def members(cls):
    """(name, what) of the public methods and properties that a class has written itself."""
    for name, value in vars(cls).items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, (property, classmethod))):
            yield name, inspect.getattr_static(cls, name)


@pytest.mark.parametrize("registry, name", ENTRIES, ids=lambda value: getattr(value, "kind", value))
def test_entries_of_registries_have_docstrings(registry, name):
    entry = registry.load(name)
    cls = entry if inspect.isclass(entry) else type(entry)
    assert inspect.getdoc(entry), f"{registry.kind} {name}"
    assert inspect.getdoc(importlib.import_module(cls.__module__)), cls.__module__
    for method, value in members(cls):
        value = value.__func__ if isinstance(value, classmethod) else value
        # A method that fulfils a written contract may leave the words to it.
        inherited = any(inspect.getdoc(getattr(base, method, None)) for base in cls.__mro__[1:])
        assert inspect.getdoc(value) or inherited, f"{registry.kind} {name}: {method} has no docstring"


@pytest.mark.parametrize("name", [name for name in dir(rnnsim) if not name.startswith("_")])
def test_public_names_have_docstrings(name):
    assert inspect.getdoc(getattr(rnnsim, name))


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are(name):
    text = importlib.import_module(name).__doc__
    assert text and text.strip()
