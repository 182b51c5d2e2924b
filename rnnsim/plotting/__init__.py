"""Pictures of trainings and networks; matplotlib is imported when the first one is drawn.

Every function draws one figure and writes it to `path` as PNG, SVG or PDF, by its ending.
"""

import importlib

_NAMES = {"learning_curve": "curves", "example": "sequences", "gates": "sequences"}


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"rnnsim.plotting.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_NAMES])
