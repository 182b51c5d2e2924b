"""`rnnsim info`: what a bug report or a table of timings should say about the machine."""

import click

from rnnsim_cli.console import as_json, report, size, table

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "safetensors", "matplotlib", "pooch")
PEERS = ("torch", "jax")


@click.command("info", short_help="This installation.")
@as_json
def command(json_wanted):
    """Print versions, processor, vector width, threads, threading layer and kernel cache."""
    import os
    import platform

    from rnnsim.core import threads
    from rnnsim.core.jit import ENABLED, writable_cache
    from rnnsim.training.manifest import manifest
    from rnnsim.version import VERSION
    from rnnsim_cli.cache import contents

    here = manifest()
    # Setting the number of threads starts the layer; before that it has no name.
    threads.set_threads(threads.get_threads())
    data = {
        "rnnsim": VERSION,
        "python": platform.python_version(),
        "system": here["system"],
        "cpu": here["cpu"],
        "vectors": here["vectors"],
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
        vectors = data["vectors"]
        width, names = f"{vectors['bytes']} bytes", ", ".join(vectors["instructions"])
        held = f", held to {vectors['held']} by RNNSIM_ISA" if vectors["held"] else ""
        cache = data["cache"]
        rows = [
            ("rnnsim", VERSION),
            ("python", data["python"]),
            *((name, version or "not installed") for name, version in (data["packages"] | data["peers"]).items()),
            ("system", data["system"]),
            ("cpu", data["cpu"]),
            ("vectors", (f"{width} ({names})" if names else width) + held),
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
