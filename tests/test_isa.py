"""Holding this process, and the libraries beside, to an instruction set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from llvmlite import binding

from rnnsim.core import isa
from rnnsim.core.gemm import VECTOR_BYTES
from rnnsim.errors import RnnsimError

ROOT = Path(__file__).resolve().parents[1]
AVX2 = bool(binding.get_host_cpu_features().get("avx2"))
with_avx2 = pytest.mark.skipif(not AVX2, reason="this processor has no AVX2")


def run(code, **variables):
    """What a new process prints, which has `variables` in its environment."""
    unset = {isa.VARIABLE, *isa.SETTINGS["avx2"]}
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)


# Every kind of kernel: a reduction, vectors, the matrix product by its linker name.
HELD = """
import json
import rnnsim as rs
import numpy as np
from rnnsim.cells.lstm import lstm_forward
from rnnsim.core import isa
from rnnsim.core.gemm import VECTOR_BYTES
from rnnsim.core.jit import source_digest
net = rs.Recurrent("lstm", 3, 2, hidden=20, rng=1)
outputs = net.forward(np.ones((5, 2, 3), np.float32)).outputs
text = "".join(lstm_forward.inspect_asm().values())
print(json.dumps({
    "bytes": VECTOR_BYTES, "digest": source_digest("rnnsim.cells.lstm"), "wide": "zmm" in text, "vectors": "ymm" in text,
    "obeyed": isa.obeyed("avx2") if isa.name() else None, "said": isa.vectors(), "outputs": outputs.tolist(),
}))
"""


@with_avx2
def test_a_process_that_is_held_to_avx2(tmp_path):
    held, free = (run(HELD, RNNSIM_CACHE_DIR=str(tmp_path), **one) for one in ({"RNNSIM_ISA": "avx2"}, {}))
    assert held.returncode == 0 == free.returncode, held.stderr + free.stderr
    held, free = json.loads(held.stdout), json.loads(free.stdout)
    assert held["bytes"] == 32 and held["vectors"] and not held["wide"]
    assert held["digest"] != free["digest"], "kernels of another instruction set are never loaded"
    folders = {path.name for path in tmp_path.iterdir()}
    assert {f"rnnsim.cells.lstm-{one['digest']}" for one in (held, free)} <= folders
    assert held["obeyed"]["numba"] == "haswell, vectors of 32 bytes"
    assert held["said"]["bytes"] == 32 and held["said"]["held"] == "avx2" and free["said"]["held"] is None
    assert held["said"]["instructions"] == ["avx2", "fma", "avx", "sse4.2"]
    for mine, its in zip(sum(sum(held["outputs"], []), []), sum(sum(free["outputs"], []), []), strict=True):
        assert abs(mine - its) <= 1e-6
    again = json.loads(run(HELD, RNNSIM_CACHE_DIR=str(tmp_path), RNNSIM_ISA="avx2").stdout)
    assert again["outputs"] == held["outputs"] and again["bytes"] == 32


@with_avx2
def test_numba_before_rnnsim_is_refused():
    done = run("import numba, rnnsim.core.jit", RNNSIM_ISA="avx2")
    message = "RNNSIM_ISA=avx2: Numba was imported before rnnsim, without it; import rnnsim first"
    assert done.stderr.strip().splitlines()[-1] == f"rnnsim.errors.RnnsimError: {message}"
    assert run("import numba, rnnsim.core.jit").returncode == 0


@with_avx2
def test_a_library_that_does_not_keep_to_it_is_named():
    code = "import rnnsim.core.gemm, os; from rnnsim.core import isa; isa.obeyed('avx2')"
    done = run(code)
    assert "RnnsimError: numba does not keep to avx2: " in done.stderr
    code = "import sys, types, rnnsim; from rnnsim.core import isa; cpu = types.SimpleNamespace(get_cpu_capability=lambda: "
    code += "'AVX512'); sys.modules['torch'] = types.SimpleNamespace(backends=types.SimpleNamespace(cpu=cpu))"
    done = run(f"{code}; isa.obeyed('avx2')", RNNSIM_ISA="avx2")
    assert "RnnsimError: torch does not keep to avx2: AVX512" in done.stderr
    done = run("import sys, types, os, rnnsim; from rnnsim.core import isa; sys.modules['jax'] = types.SimpleNamespace(); "
               "os.environ['XLA_FLAGS'] = ''; isa.obeyed('avx2')", RNNSIM_ISA="avx2")  # fmt: skip
    assert "RnnsimError: XLA_FLAGS does not keep to avx2" in done.stderr


def test_an_unknown_instruction_set_is_one_clear_line():
    code = "import conftest; from rnnsim_cli.main import main; main(['describe', 'gru'], prog_name='rnnsim')"
    done = run(code, RNNSIM_ISA="avx3")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "rnnsim: unknown instruction set 'avx3'; did you mean 'avx2'? known: avx2\n"
    with pytest.raises(RnnsimError, match="unknown instruction set"):
        isa.environment("sse9")


def test_settings_of_every_library():
    given = {"XLA_FLAGS": "--xla_dump_to=here --xla_cpu_max_isa=AVX512", "HOME": "/home"}
    found = isa.environment("avx2", given)
    assert found["XLA_FLAGS"] == "--xla_dump_to=here --xla_cpu_max_isa=AVX2" and found["HOME"] == "/home"
    assert found["ONEDNN_MAX_CPU_ISA"] == "AVX2" and found["ATEN_CPU_CAPABILITY"] == "avx2"
    assert found["OPENBLAS_CORETYPE"] == "Haswell" and found["RNNSIM_ISA"] == "avx2"
    assert "+avx512" not in found["NUMBA_CPU_FEATURES"] and "+avx2" in found["NUMBA_CPU_FEATURES"]
    assert given == {"XLA_FLAGS": "--xla_dump_to=here --xla_cpu_max_isa=AVX512", "HOME": "/home"}


def test_vectors_that_are_used():
    found = isa.vectors()
    assert found["bytes"] == VECTOR_BYTES == (64 if "avx512f" in found["instructions"] else 32)
    assert set(found["instructions"]) <= isa.features() and found["held"] == isa.name()


@with_avx2
def test_the_peers_run_is_held(tmp_path):
    command = (
        "import sys; sys.argv = ['peers', '--worker', 'rnnsim', '--cells', 'gru', '--cases', '0', '--folder', {!r}]"
    )
    code = "import runpy; runpy.run_module('asv_benchmarks.peers', run_name='__main__')"
    done = run(f"{command.format(str(tmp_path))}; {code}", RNNSIM_ISA="avx2")
    assert done.returncode == 0, done.stderr
    name, used = json.loads(done.stdout.splitlines()[-1])
    assert name == "isa" and used["numba"] == "haswell, vectors of 32 bytes"
