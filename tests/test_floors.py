"""The floors of the house: every package of rnnsim imports only from itself and from those below it, and nothing in a circle."""

import ast
from pathlib import Path

import pytest

import rnnsim

ROOT = Path(rnnsim.__file__).parent
# From the ground up.
FLOORS = (
    "version errors core optimizers data cells networks tasks learning training interop plotting experiments"
).split()
FREE = {"__init__", "__main__"}  # the front door, whose names are imported when they are asked for


def modules():
    """{module: file} of the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("rnnsim", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(module, everywhere=True):
    """The modules of the package that a module imports; not everywhere: only those that it needs to be imported itself."""
    found = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name for name in names if name in MODULES}
    return found - {"rnnsim"}


def floor(module):
    return FLOORS.index(module.split(".")[1])


@pytest.mark.parametrize("module", [name for name in MODULES if name != "rnnsim" and name.split(".")[1] not in FREE])
def test_no_import_goes_up(module):
    up = {name for name in imported(module) if floor(name) > floor(module)}
    assert not up, f"{module} imports {', '.join(sorted(up))} from a floor above it"


def test_no_import_is_in_a_circle():
    needed = {module: imported(module, everywhere=False) for module in MODULES}
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for name in needed[module] - {module}:
            # A package's own front door, which every module below it imports by being there.
            if not module.startswith(f"{name}."):
                visit(name)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


def test_an_arrow_that_goes_up_is_found(tmp_path, monkeypatch):
    path = tmp_path / "batch.py"
    path.write_text("def f():\n    from rnnsim.training.loop import train\n")
    monkeypatch.setitem(MODULES, "rnnsim.core.batch", path)
    with pytest.raises(AssertionError, match="rnnsim.core.batch imports .*rnnsim.training.loop"):
        test_no_import_goes_up("rnnsim.core.batch")
