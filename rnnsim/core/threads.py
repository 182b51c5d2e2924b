"""Threads: their number, the threading layer, and one parallel kernel at a time.

The parallel loops of rnnsim run over independent rows or over blocks of an output array, so results do not depend on the
number of threads. Numba's ``workqueue`` layer aborts the process when two Python threads enter parallel kernels at
once; every driver therefore runs inside `parallel_region`, which makes the second one wait.
"""

import functools
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rnnsim.core.registry import as_python, require

# GNU OpenMP lets a waiting thread spin for milliseconds, which stops other processes on its processor. 20,000 rounds are longer
# than the gap between two kernels of a training step, and short for other processes. The layer reads it when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

parallel_region = threading.RLock()
_threads: int | None = None
_Method = TypeVar("_Method", bound=Callable[..., Any])


def exclusive(method: _Method) -> _Method:
    """Decorator of methods: only one Python thread at a time runs the decorated methods of an object; the others wait.

    The object has the lock in its attribute `turn`, a `threading.RLock`.
    """

    @functools.wraps(method)
    def waiting(self, *arguments, **named):
        with self.turn:
            return method(self, *arguments, **named)

    return waiting  # type: ignore[return-value]


def available() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_threads() -> int:
    """The number of threads that parallel kernels use.

    >>> set_threads(1); get_threads()
    1
    """
    global _threads
    if _threads is None:  # called many times a training step: the system is asked once only
        _threads = min(available(), _limit())
    return _threads


def set_threads(count: int) -> None:
    """Set the number of threads. Raises `RnnsimError` if it is not between 1 and the number of processors."""
    global _threads
    limit, count = _limit(), as_python(count)
    require(
        type(count) is int and 1 <= count <= limit,
        f"threads={count}: expected a whole number between 1 and {limit}",
    )
    import numba

    numba.set_num_threads(count)
    _threads = count


def _limit():
    from numba import config

    return config.NUMBA_NUM_THREADS


def layer():
    """The threading layer in use (omp, tbb or workqueue), or "not started" before the first parallel kernel."""
    import numba

    try:
        return numba.threading_layer()
    except ValueError:
        return "not started"
