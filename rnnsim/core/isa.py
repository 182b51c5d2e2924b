"""The vector instructions that this process uses: those of the processor, or no more than ``RNNSIM_ISA`` names.

With ``RNNSIM_ISA=avx2`` rnnsim, and the libraries that it is compared with, keep to AVX2 on a processor that has AVX-512 as
well: results and times are those of the smaller instruction set, except for what the larger machine does faster anyway (its
masked stores, its clock). Every library has a setting of its own, which it reads when it is loaded::

    Numba        NUMBA_CPU_NAME, NUMBA_CPU_FEATURES      oneDNN (PyTorch, JAX)    ONEDNN_MAX_CPU_ISA
    OpenBLAS     OPENBLAS_CORETYPE                       ATen (PyTorch)           ATEN_CPU_CAPABILITY
    XLA (JAX)    XLA_FLAGS                               MKL (PyTorch)            MKL_ENABLE_INSTRUCTIONS

``import rnnsim`` sets them in the environment; it must come before the import of Numba, or `check` raises an error. Kernels of
different instruction sets have separate caches (`rnnsim.core.jit`).
"""

import os
import sys

from rnnsim.errors import RnnsimError, unknown

VARIABLE = "RNNSIM_ISA"
_HASWELL = (
    "64bit,avx,avx2,bmi,bmi2,cmov,crc32,cx16,cx8,f16c,fma,fxsr,invpcid,lzcnt,mmx,movbe,pclmul,popcnt,sahf,sse,sse2,sse3"
)
_HASWELL += ",sse4.1,sse4.2,ssse3,xsave,xsaveopt"
SETTINGS = {
    "avx2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in _HASWELL.split(",")) + ",-avx512f",
        "OPENBLAS_CORETYPE": "Haswell",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}
_VECTOR_BYTES = {"avx2": 32}
_WIDER = ("SkylakeX", "Cooperlake", "Sapphirerapids")  # kernels of OpenBLAS with AVX-512
_KNOWN = ("avx512f", "avx2", "fma", "avx", "sse4.2", "sve", "neon")  # those that matter for our kernels, widest first


def name():
    """The instruction set that ``RNNSIM_ISA`` names, or None."""
    return os.environ.get(VARIABLE) or None


def environment(isa, base=None):
    """The environment of a process that keeps to an instruction set. Raises `RnnsimError` for an unknown one.

    >>> environment("avx2", {"XLA_FLAGS": "--xla_dump_to=here"})["XLA_FLAGS"]
    '--xla_dump_to=here --xla_cpu_max_isa=AVX2'
    """
    if isa not in SETTINGS:
        raise unknown("instruction set", isa, SETTINGS)
    base = dict(os.environ if base is None else base)
    settings = dict(SETTINGS[isa])
    flags = [flag for flag in base.get("XLA_FLAGS", "").split() if not flag.startswith("--xla_cpu_max_isa")]
    settings["XLA_FLAGS"] = " ".join([*flags, settings["XLA_FLAGS"]])
    return {**base, **settings, VARIABLE: isa}


def hold():
    """Make the libraries that are loaded later keep to ``RNNSIM_ISA``; `check` detects a setting that came too late."""
    if name() in SETTINGS:
        os.environ.update(environment(name()))


def check():
    """Raise `RnnsimError` if ``RNNSIM_ISA`` is unknown, not available on this processor, or was set too late for Numba."""
    isa = name()
    if isa is None:
        return
    wanted = environment(isa)
    from llvmlite import binding
    from numba import config

    if not binding.get_host_cpu_features().get(isa):
        raise RnnsimError(f"{VARIABLE}={isa}: this processor does not have these instructions")
    if (config.CPU_NAME, config.CPU_FEATURES) != (wanted["NUMBA_CPU_NAME"], wanted["NUMBA_CPU_FEATURES"]):
        raise RnnsimError(f"{VARIABLE}={isa}: Numba was imported before rnnsim, without it; import rnnsim first")


def features():
    """Names of the processor features that kernels are compiled for."""
    from llvmlite import binding
    from numba import config

    if config.CPU_FEATURES is None:
        return {feature for feature, there in binding.get_host_cpu_features().items() if there}
    return {feature[1:] for feature in config.CPU_FEATURES.split(",") if feature.startswith("+")}


def vector_bytes():
    """Bytes of a vector of our kernels: 64 with AVX-512, else 32 (narrower processors split the vectors)."""
    return 64 if os.environ.get("RNNSIM_JIT", "1") != "0" and "avx512f" in features() else 32


def vectors():
    """``{"bytes", "instructions", "held"}``: width of a vector of our kernels, what they are compiled for, ``RNNSIM_ISA``."""
    there = features()
    return {
        "bytes": vector_bytes(),
        "instructions": [feature for feature in _KNOWN if feature in there],
        "held": name(),
    }


def obeyed(isa):
    """The instructions that the loaded libraries of this process report to use: ``{library: words}``.

    oneDNN, MKL and XLA report nothing; the table has their setting instead. Raises `RnnsimError`, which names the first library
    that does not keep to `isa`. NumPy's own loops have no such setting.
    """
    wanted, found, wrong = environment(isa), {}, None
    if "numba" in sys.modules:
        from numba.core.registry import cpu_target

        _, cpu, given = cpu_target.target_context.codegen().magic_tuple()
        fits = (cpu, given) == (wanted["NUMBA_CPU_NAME"], wanted["NUMBA_CPU_FEATURES"])
        found["numba"] = f"{cpu}, vectors of {vector_bytes()} bytes"
        wrong = None if fits and vector_bytes() <= _VECTOR_BYTES[isa] else "numba"
    if "numpy" in sys.modules or "scipy" in sys.modules:
        from threadpoolctl import threadpool_info

        kernels = {one.get("architecture") for one in threadpool_info() if one["internal_api"] == "openblas"}
        if kernels:
            found["openblas"] = ", ".join(sorted(map(str, kernels)))
            wrong = wrong or ("openblas" if kernels & set(_WIDER) else None)
    if "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].backends.cpu.get_cpu_capability()
        wrong = wrong or (None if found["torch"].lower() == isa else "torch")
    silent = {"torch": ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"), "jax": ("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA")}
    for library, variables in silent.items():
        for variable in variables if library in sys.modules else ():
            found[variable] = os.environ.get(variable, "not set")
            wrong = wrong or (None if SETTINGS[isa][variable] in found[variable] else variable)
    if wrong:
        raise RnnsimError(f"{wrong} does not keep to {isa}: {found[wrong]}")
    return found
