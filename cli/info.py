"""`rnnsim info`: what a bug report or a table of timings should say about this machine."""

import click

from rnnsim_cli.console import as_json, report, size, table

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "safetensors", "matplotlib", "pooch")
PEERS = ("torch", "jax")


@click.command("info", short_help="This installation.")
@as_json
def command(json_wanted):
    """Versions, processor, vector width, threads, threading layer and caches."""
    import os
    import platform

    from rnnsim.core import threads
    from rnnsim.core.jit import ENABLED, writable_cache
    from rnnsim.training.run import manifest
    from rnnsim.version import VERSION
    from rnnsim_cli.cache import contents

    here = manifest()
    # Setting the number of threads starts the layer, which has no name before.
    threads.set_threads(threads.get_threads())
    data = {
        "rnnsim": VERSION,
        "python": platform.python_version(),
        "system": here["system"],
        "cpu": here["cpu"],
        "vector": _vector(),
        "processors": os.cpu_count(),
        "available": threads.available(),
        "threads": threads.get_threads(),
        "layer": threads.layer(),
        "jit": ENABLED,
        "packages": {name: _version(name) for name in PACKAGES},
        "peers": {name: _version(name) for name in PEERS},
        "cache": {**contents(), "writable": writable_cache() is not None},
    }

    def lines():
        bits, names = data["vector"]["bits"], ", ".join(data["vector"]["instructions"])
        cache = data["cache"]
        rows = [
            ("rnnsim", VERSION),
            ("python", data["python"]),
            *((name, version or "not installed") for name, version in (data["packages"] | data["peers"]).items()),
            ("system", data["system"]),
            ("cpu", data["cpu"]),
            ("vectors", f"{bits} bits ({names})" if names else f"{bits} bits"),
            ("threads", f"{data['threads']} of {data['available']} processors, layer {data['layer']}"),
            ("kernels", "compiled" if ENABLED else "plain Python (RNNSIM_JIT=0)"),
            ("cache", f"{cache['folder']}, {size(cache['bytes'])}" + ("" if cache["writable"] else ", not writable")),
        ]
        yield from table(rows)

    report(data, json_wanted, lines)


def _version(package):
    """The version of an installed package without importing it, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _vector():
    """Width of the vector registers in bits, and the instruction sets that matter here."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    known = ("avx512f", "avx2", "fma", "avx", "sse4.2", "sve", "neon")
    found = [name for name in known if features.get(name)]
    bits = 512 if "avx512f" in found else 256 if "avx" in found else 128
    return {"bits": bits, "instructions": found}
