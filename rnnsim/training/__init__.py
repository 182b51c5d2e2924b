"""Training, runs on disk, checkpoints and evaluation: `train`, `open_run`, `rnnsim.training.evaluate.evaluate`."""

from rnnsim.core.lazy import lazy

_NAMES = {
    "train": "rnnsim.training.loop",
    "TrainResult": "rnnsim.training.driver",
    "open_run": "rnnsim.training.run",
    "load_weights": "rnnsim.training.run",
    "save_weights": "rnnsim.core.checkpoint",
}
__getattr__, __dir__ = lazy(__name__, _NAMES)
