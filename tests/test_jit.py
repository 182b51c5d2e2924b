"""The jit policy: a cache that cannot go stale, its switches, and what compilation must not do to numbers."""

import ast
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cases import distance

import rnnsim
from rnnsim.core import jit as policy
from rnnsim.core.jit import jit, jit_exact, jit_parallel

PACKAGE = pathlib.Path(rnnsim.__file__).parent
ROOT = PACKAGE.parent

# A package of the same name with the true jit.py, and what that imports, in it: a kernel, what it imports, and what that imports.
FILES = {
    "rnnsim/__init__.py": "",
    "rnnsim/core/__init__.py": "",
    "rnnsim/far.py": "FACTOR = 3.0\n",
    "rnnsim/near.py": """
from rnnsim.core.jit import jit_exact
from rnnsim.far import FACTOR

@jit_exact
def scaled(x):
    return FACTOR * x
""",
    "rnnsim/kernel.py": """
from rnnsim.core.jit import jit, jit_parallel
from rnnsim.near import (
    scaled,
)

@jit
def total(x):
    s = 0.0
    for i in range(x.size):
        s += scaled(x[i])
    return s
""",
    "rnnsim/stranger.py": "VALUE = 1\n",
    "run.py": """
import json
import numpy as np
from rnnsim.kernel import total
from rnnsim.near import scaled
value = total(np.arange(4.0))
hits = sum(total.stats.cache_hits.values()) if hasattr(total, "stats") else None
print(json.dumps([value, hits]))
""",
}


class Copy:
    """The small package in a folder, and processes that call its kernel."""

    def __init__(self, folder):
        self.folder, self.cache = folder, folder / "kernels"
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in ("core/jit.py", "core/isa.py", "errors.py"):
            shutil.copy(PACKAGE / name, folder / "rnnsim" / name)

    def start(self, **switches):
        environment = os.environ | {"PYTHONPATH": str(self.folder), "RNNSIM_CACHE_DIR": str(self.cache)} | switches
        return subprocess.Popen(
            [sys.executable, "run.py"], cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True
        )

    def run(self, **switches):
        """[what the kernel gave, whether it came from the cache] in a new process."""
        process = self.start(**switches)
        out, _ = process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    def replace(self, name, old, new):
        path = self.folder / "rnnsim" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def kept(self):
        """When every file of the cache was written."""
        return {path: path.stat().st_mtime_ns for path in self.cache.rglob("*") if path.is_file()}


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def test_a_change_in_any_imported_file_makes_a_new_kernel(copy):
    assert copy.run() == [18, 0]
    first = copy.kept()
    assert first
    # Nothing changed but the date of a file, and a file that the kernel does not see: the cache serves.
    os.utime(copy.folder / "rnnsim" / "far.py", (1, 1))
    copy.replace("stranger.py", "1", "2")
    assert copy.run() == [18, 1] and copy.kept() == first
    copy.replace("far.py", "3.0", "5.0")
    assert copy.run() == [30, 0]
    copy.replace("near.py", "FACTOR * x", "FACTOR * x + 1")
    assert copy.run() == [34, 0]
    # The old state of the files finds its old kernels.
    copy.replace("near.py", "FACTOR * x + 1", "FACTOR * x")
    copy.replace("far.py", "5.0", "3.0")
    assert copy.run() == [18, 1]
    assert first.items() <= copy.kept().items()


def test_switches(copy):
    assert copy.run(RNNSIM_JIT="0") == [18, None]
    assert copy.run(RNNSIM_CACHE="0") == [18, 0]
    assert not copy.cache.exists()


@pytest.mark.parametrize("obstacle", ["file", "protected", "inside"])
def test_cache_that_cannot_be_written(copy, obstacle):
    if obstacle == "file":  # where the folder should be
        copy.cache.write_text("")
    elif obstacle == "protected":
        copy.cache.mkdir(mode=0o500)
        if os.access(copy.cache, os.W_OK):
            pytest.skip("this user may write everywhere")
    else:  # the folder can be written, the place of the module cannot
        digest = "import rnnsim.core.jit as j; print(j.source_digest('rnnsim.kernel'), end='')"
        done = subprocess.run(
            [sys.executable, "-c", digest], cwd=copy.folder, capture_output=True, text=True, check=True
        )
        copy.cache.mkdir()
        (copy.cache / f"rnnsim.kernel-{done.stdout}").write_text("")
    assert copy.run() == [18, 0]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_files_are_replaced(copy, suffix):
    copy.run()
    for path in copy.cache.rglob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert copy.run() == [18, 0]
    assert copy.run() == [18, 1]


def test_two_processes_fill_one_cache(copy):
    processes = [copy.start() for _ in range(2)]
    assert all(json.loads(process.communicate()[0])[0] == 18 for process in processes)
    assert copy.run() == [18, 1]


def test_clearing(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path / "kernels"))
    assert policy.cache_root() == tmp_path / "kernels" and policy.clear_cache() == (0, [])
    own = tmp_path / "kernels" / f"rnnsim.cells.gru-{'0' * 16}"
    own.mkdir(parents=True)
    for name in ("gru.f-12.py311.nbi", "gru.f-12.py311.1.nbc", f"gru.f-12.py311.1.nbc.tmp.{'a' * 16}"):
        (own / name).write_bytes(bytes(41))
    assert policy.clear_cache() == (123, []) and list((tmp_path / "kernels").iterdir()) == []
    monkeypatch.delenv("RNNSIM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert policy.cache_root() == tmp_path / "rnnsim" / "kernels"


def test_clearing_keeps_what_others_wrote(tmp_path, monkeypatch):
    """$RNNSIM_CACHE_DIR may name a folder that is full of other things."""
    root, outside = tmp_path / "home", tmp_path / "outside"
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(root))
    digest = "0123456789abcdef"
    foreign = [
        root / "thesis.tex",
        root / "kernel.nbc",
        root / f"rnnsim.notes-{digest}.txt",
        root / f"rnnsim-{digest}" / "x.nbi",
        root / "rnnsim.cells.gru-old" / "x.nbi",
        root / f"other.module-{digest}" / "x.nbc",
        root / f"rnnsim.cells.gru-{digest}" / "notes.txt",
        root / f"rnnsim.cells.gru-{digest}" / "inner" / "x.nbi",
        outside / "x.nbi",
    ]
    for path in [*foreign, root / f"rnnsim.cells.gru-{digest}" / "x.nbi", root / f"rnnsim.core.rng-{digest}" / "x.nbc"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    (root / f"rnnsim.core.link-{digest}").symlink_to(outside)
    (root / f"rnnsim.cells.gru-{digest}" / "link.nbi").symlink_to(outside / "x.nbi")
    assert sum(path.stat().st_size for path in policy.cached_files()) == 20
    freed, left = policy.clear_cache()
    assert freed == 20 and all(path.is_file() for path in foreign)
    assert not (root / f"rnnsim.core.rng-{digest}").exists()
    assert {path.name for path in left} == {
        *("thesis.tex", "kernel.nbc", f"rnnsim.notes-{digest}.txt", f"rnnsim-{digest}", "rnnsim.cells.gru-old"),
        *(f"other.module-{digest}", "notes.txt", "inner", "link.nbi", f"rnnsim.core.link-{digest}"),
    }


def test_clearing_deletes_all_that_was_compiled(copy, monkeypatch):
    copy.run()
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(copy.cache))
    freed, left = policy.clear_cache()
    assert freed > 0 and left == [] and list(copy.cache.iterdir()) == []


def sources():
    """(module, path, syntax tree) of every file of the package and its shell."""
    for top, name in ((PACKAGE, "rnnsim"), (ROOT / "cli", "rnnsim_cli")):
        for path in sorted(top.rglob("*.py")):
            parts = [name, *path.relative_to(top).with_suffix("").parts]
            yield ".".join(parts).removesuffix(".__init__"), path, ast.parse(path.read_text(encoding="utf-8"))


def test_the_digest_sees_every_import():
    """The digest finds imports in the text; the parser must not find more of them."""
    for module, path, tree in sources():
        wanted = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: the digest does not follow relative imports"
                wanted |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        wanted = {name for name in wanted if name.startswith("rnnsim.") and policy._source_file(name)}
        if module.startswith("rnnsim."):
            assert wanted <= policy._imported(module), module


COMPILERS = {"jit", "njit", "vectorize", "guvectorize", "cfunc", "CFunc", "stencil", "jitclass", "jit_module"}


def test_kernels_are_compiled_by_the_policy_alone():
    users = set()
    for module, _, tree in sources():
        aliases = {"numba"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                aliases |= {alias.asname for alias in node.names if alias.name == "numba" and alias.asname}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
                users |= {module for alias in node.names if alias.name in COMPILERS}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                users |= {module} if node.attr in COMPILERS else set()
    assert users == {"rnnsim.core.jit"}


STEP = """
import sys, numpy as np, rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.losses import KINDS, Loss
from rnnsim.core.rng import normal, stream_key
found = {}
for name in CELLS:
    for dtype in ("float32", "float64"):
        for k, kind in enumerate(KINDS):
            net = rs.Recurrent(name, 3, 2, hidden=5, layers=1 + k % 2, bidirectional=k == 2, dtype=dtype, rng=k)
            rng = np.random.default_rng(k)
            x, d = rng.normal(size=(4, 3, 3)), rng.uniform(size=(4, 3, 2))
            batch = rs.tasks.Sequences(inputs=x, targets=d, lengths=np.array([4, 2, 3]))
            result = net.loss_and_gradient(batch, Loss(kind))
            for part in ("loss", "gradient", "outputs"):
                found[f"{name} {dtype} {kind} {part}"] = np.array(getattr(result, part), dtype if part != "loss" else float)
found["normal float64"] = np.array([normal(stream_key(1, "a"), 2, i) for i in range(5)])
np.savez(sys.argv[1], **found)
"""


def test_plain_python_computes_the_same(tmp_path):
    for switch in "01":
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"RNNSIM_JIT": switch, "PYTHONPATH": path}
        subprocess.run([sys.executable, "-c", STEP, str(tmp_path / switch)], env=environment, check=True)
    with np.load(tmp_path / "0.npz") as plain, np.load(tmp_path / "1.npz") as compiled:
        assert set(plain.files) == set(compiled.files)
        for key in plain.files:
            assert plain[key].dtype == compiled[key].dtype
            assert distance(compiled[key], plain[key]) <= (1e-5 if "float32" in key else 1e-12), key


@pytest.mark.filterwarnings(r"ignore:\s*The keyword argument 'parallel")
@pytest.mark.parametrize("compile_", [jit, jit_exact, jit_parallel])
def test_nan_and_infinity_survive(compile_):
    def kernel(out, x):
        broken, total = 0, x.dtype.type(0)
        for i in range(x.size):
            broken += np.isnan(x[i]) + 10 * np.isinf(x[i]) + 100 * (x[i] != x[i])
            out[i] = (2 / x[i]) * x[i]
            total += x[i]
        return broken, total

    compiled = compile_(kernel)
    for dtype in (np.float32, np.float64):
        x = np.linspace(1, 2, 37).astype(dtype)
        for place in (0, 17, 36):
            for value, count in ((np.nan, 101), (np.inf, 10), (-np.inf, 10)):
                bad, out = x.copy(), np.zeros_like(x)
                bad[place] = value
                broken, total = compiled(out, bad)
                assert broken == count and np.array_equal(total, dtype(value), equal_nan=True)
                assert np.isnan(out[place]) and np.isfinite(np.delete(out, place)).all()
        bad[[3, 30]] = np.inf, -np.inf
        assert np.isnan(compiled(np.zeros_like(x), bad)[1])
        compiled(out, np.zeros(37, dtype))
        assert np.isnan(out).all(), "2 / 0 * 0 is infinity times 0"


def test_no_flag_that_forbids_nan():
    assert not {"nnan", "ninf", "fast", "arcp"} & (policy.FASTMATH | policy.EXACT)


def test_modules_outside_have_no_part_in_the_cache():
    """A user's own kernels are compiled by the same policy, but files that the digest does not know are not kept."""
    compiled = jit(lambda x: x + 1)
    assert compiled(1.0) == 2 and not getattr(compiled._cache, "cache_path", None)
    assert policy._source_file("numpy") is None and importlib.util.find_spec("numpy")
