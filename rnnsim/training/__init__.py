"""The loop that trains, runs on disk, checkpoints and evaluation.

`rnnsim.training.loop.train` trains; `rnnsim.training.run.open_run` reads what a run has left on disk;
`rnnsim.training.evaluate.evaluate` measures a network on a task.
"""

import importlib

_NAMES = {
    "train": "loop",
    "TrainResult": "loop",
    "open_run": "run",
    "load_weights": "run",
    "save_weights": "checkpoint",
}


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"rnnsim.training.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
