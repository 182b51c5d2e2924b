"""The types of the public face: what checkers see is what there is, and a user's code is checked against it."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import rnnsim as rs
from rnnsim.networks import NETWORKS
from rnnsim.optimizers import OPTIMIZERS
from tests import public_types

ROOT = Path(__file__).parents[1]


def declared():
    """{name: module} of what `rnnsim/__init__.py` imports for type checkers."""
    tree = ast.parse((ROOT / "rnnsim/__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found = {}
    for statement in block.body:
        assert all(alias.name == alias.asname for alias in statement.names), (
            "only `from x import y as y` is re-exported"
        )
        found |= {alias.asname: statement.module for alias in statement.names}
    return found


def test_type_checkers_see_the_names_that_rnnsim_has():
    """A name that is entered in `_NAMES`, `_MODULES` or a registry needs a line in the block `if TYPE_CHECKING`."""
    offered = {name: rs._NAMES[name] for name in rs._NAMES} | {name: "rnnsim" for name in rs._MODULES}
    assert declared() == offered | NETWORKS.exports() | OPTIMIZERS.exports()


def test_every_declared_name_is_the_thing_itself():
    for name, module in declared().items():
        found = importlib.import_module(f"rnnsim.{name}" if module == "rnnsim" else module)
        assert getattr(rs, name) is (found if module == "rnnsim" else getattr(found, name))


def test_the_checked_code_runs(tmp_path):
    public_types.trained(str(tmp_path / "run"))
    public_types.passes()


WRONG = """
import rnnsim as rs

task = rs.tasks.XOR()
net = rs.Recurrent("gru", 2, 1, hidden="many")
result = rs.train(net, task, stepps=5)
rs.open_run(3)
rs.Addam(0.1)
result.steps.upper()
"""


def test_wrong_calls_are_found(tmp_path):
    """A user's script is checked against rnnsim's types, which it finds because of py.typed."""
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--cache-dir", str(ROOT / ".mypy_cache/script")]
    command += ["--ignore-missing-imports", "--follow-imports", "silent", str(tmp_path / "script.py")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = sorted({int(line.split(":")[1]) for line in found.stdout.splitlines() if " error: " in line})
    assert (found.returncode, lines) == (1, [5, 6, 7, 8, 9]), found.stdout + found.stderr


def test_help_shows_short_signatures():
    """NumPy's ArrayLike, written out, fills ten lines of `help`."""
    things = [getattr(rs, name) for name in rs._NAMES if name != "RnnsimError"] + [
        getattr(rs, name) for name in NETWORKS.exports()
    ]
    things += [
        rs.Recurrent.forward,
        rs.NTM.forward,
        rs.LSTM1997.forward,
        type(rs.online(rs.Recurrent("rnn", 1, 1))).step,
    ]
    for thing in things:
        assert "numpy._typing" not in str(inspect.signature(thing)), thing
