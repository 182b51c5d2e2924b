"""The loop that trains, runs on disk, checkpoints and evaluation.

`rnnsim.training.loop.train` trains; `rnnsim.training.run.open_run` reads what a run has left on disk;
`rnnsim.training.evaluate.evaluate` measures a network on a task.
"""

from rnnsim.core.lazy import lazy

_NAMES = {
    "train": "rnnsim.training.loop",
    "TrainResult": "rnnsim.training.driver",
    "open_run": "rnnsim.training.run",
    "load_weights": "rnnsim.training.run",
    "save_weights": "rnnsim.core.checkpoint",
}
__getattr__, __dir__ = lazy(__name__, _NAMES)
