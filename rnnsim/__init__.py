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

TYPE_CHECKING = False
if TYPE_CHECKING:  # what type checkers and editors see, all of it imported when it is first used
    from rnnsim import cells as cells
    from rnnsim import experiments as experiments
    from rnnsim import learning as learning
    from rnnsim import networks as networks
    from rnnsim import optimizers as optimizers
    from rnnsim import plotting as plotting
    from rnnsim import tasks as tasks
    from rnnsim import training as training
    from rnnsim.core.threads import get_threads as get_threads
    from rnnsim.core.threads import set_threads as set_threads
    from rnnsim.errors import RnnsimError as RnnsimError
    from rnnsim.experiments.running import reproduce as reproduce
    from rnnsim.interop.scipy_objective import objective as objective
    from rnnsim.learning.comparison import compare as compare
    from rnnsim.learning.online.files import learner_from as learner_from
    from rnnsim.learning.online.learner import online as online
    from rnnsim.networks.lstm1997.network import LSTM1997 as LSTM1997
    from rnnsim.networks.ntm.network import NTM as NTM
    from rnnsim.networks.recurrent import Recurrent as Recurrent
    from rnnsim.networks.recursive.folding import RecursiveNetwork as RecursiveNetwork
    from rnnsim.networks.recursive.tree_lstm import TreeLSTM as TreeLSTM
    from rnnsim.optimizers.adam import Adam as Adam
    from rnnsim.optimizers.momentum import Momentum as Momentum
    from rnnsim.optimizers.rmsprop import RMSProp as RMSProp
    from rnnsim.optimizers.rmsprop_graves import RMSPropGraves as RMSPropGraves
    from rnnsim.optimizers.sgd import SGD as SGD
    from rnnsim.training.evaluate import evaluate as evaluate
    from rnnsim.training.loop import train as train
    from rnnsim.training.run import load_weights as load_weights
    from rnnsim.training.run import open_run as open_run

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
if not TYPE_CHECKING:  # a name that is not imported above is an error to a type checker
    __getattr__, __dir__ = lazy(__name__, _NAMES, _MODULES, {"networks": "NETWORKS", "optimizers": "OPTIMIZERS"})
