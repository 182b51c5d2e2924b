"""Optimizers over one flat parameter vector, one a file; the contract is `rnnsim.optimizers.interface.Optimizer`.

>>> OPTIMIZERS.build("rmsprop", {"learning_rate": "1e-4", "momentum": "0.9", "clip": "10"}).config["clip"]
10.0
"""

from rnnsim.core.lazy import lazy
from rnnsim.core.registry import Registry

OPTIMIZERS = Registry(
    "optimizer",
    {
        "sgd": ("rnnsim.optimizers.sgd:SGD", "plain stochastic gradient descent"),
        "momentum": ("rnnsim.optimizers.momentum:Momentum", "gradient descent with classical or Nesterov momentum"),
        "rmsprop": ("rnnsim.optimizers.rmsprop:RMSProp", "gradient over its running root mean square"),
        "rmsprop-graves": (
            "rnnsim.optimizers.rmsprop_graves:RMSPropGraves",
            "RMSProp of Graves 2013: centred, with momentum",
        ),
        "adam": ("rnnsim.optimizers.adam:Adam", "Adam with bias correction and decoupled weight decay"),
    },
    group="rnnsim.optimizers",
    classes=("rnnsim.optimizers.interface:Optimizer",),
)
__getattr__, __dir__ = lazy(__name__, {**OPTIMIZERS.exports(), "Optimizer": "rnnsim.optimizers.interface"})
