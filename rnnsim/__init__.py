"""rnnsim: a fast CPU laboratory for recurrent networks.

Everything here is imported when it is first asked for: ``import rnnsim`` takes milliseconds and imports neither NumPy nor
Numba.

>>> import rnnsim as rs
>>> rs.Adam(1e-3, clip_norm=1).clip_norm
1.0
"""

from rnnsim.core import isa
from rnnsim.core.lazy import lazy
from rnnsim.version import VERSION

__version__ = VERSION
isa.hold()  # before Numba and others are loaded
del isa

_NAMES = {
    "RnnsimError": "rnnsim.errors",
    "compare": "rnnsim.learning.comparison",
    "evaluate": "rnnsim.training.evaluate",
    "get_threads": "rnnsim.core.threads",
    "learner_from": "rnnsim.learning.online.files",
    "load_weights": "rnnsim.training.run",
    "objective": "rnnsim.interop.scipy_objective",
    "online": "rnnsim.learning.online.learner",
    "open_run": "rnnsim.training.run",
    "reproduce": "rnnsim.experiments.running",
    "set_threads": "rnnsim.core.threads",
    "train": "rnnsim.training.loop",
}
_MODULES = ("cells", "experiments", "learning", "networks", "optimizers", "plotting", "tasks", "training")
# Networks and optimizers are offered here too, under the names that their registries have.
__getattr__, __dir__ = lazy(__name__, _NAMES, _MODULES, {"networks": "NETWORKS", "optimizers": "OPTIMIZERS"})
