"""The manifest of a run: the machine, the versions and the source that it ran with."""

import contextlib
import hashlib
import platform
import sys
import time
from pathlib import Path


def manifest():
    """The machine, the versions and the settings of this process, a dict."""
    from importlib.metadata import PackageNotFoundError, version

    from rnnsim.core.isa import vectors
    from rnnsim.core.threads import get_threads
    from rnnsim.version import VERSION

    versions = {"rnnsim": VERSION, "python": platform.python_version()}
    for package in ("numpy", "numba", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": list(sys.argv),
        "versions": versions,
        "cpu": _cpu(),
        "vectors": vectors(),
        "system": platform.platform(),
        "threads": get_threads(),
        "source": source_digest(),
    }


def source_digest():
    """SHA-256 over the names and contents of the package's Python files."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _cpu():
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
