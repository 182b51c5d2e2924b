"""The learner of every rule that learns batch by batch: the optimizer applies each gradient of the rule."""

import math

import numpy as np

from rnnsim.core.learner import Learner, NotFinite, fill_arrays
from rnnsim.core.registry import require
from rnnsim.core.vmath import all_finite
from rnnsim.learning.interface import Apply
from rnnsim.optimizers.schedule import time_decays


class BatchLearner(Learner):
    """A network that learns batch by batch, by any rule with any optimizer; the contract is `rnnsim.core.learner.Learner`.

    net, rule, optimizer : objects of the registries
    seed : of the rule's random numbers and of weight noise

    With weight noise the network's own vector holds the noisy weights while it learns, `theta` the clean ones.

    Raises `RnnsimError` for a schedule that counts time steps or sequences, and for weight noise with a rule that
    sets the weights by itself.
    """

    def __init__(self, net, rule, optimizer, seed):
        require(
            time_decays(optimizer.schedule) == (1.0, 1.0),
            f"schedule={optimizer.schedule}: only a network that learns at every time step by a procedure of its own counts time "
            "steps and sequences",
        )
        own = rule.sets_weights and optimizer.weight_noise
        require(not own, f"weight_noise={optimizer.weight_noise:g}: rule {rule.name} sets the weights by itself")
        self.net, self.rule, self.optimizer, self.seed = net, rule, optimizer, seed
        self.theta = net.theta.copy() if optimizer.weight_noise else net.theta
        self.optimizer_state = optimizer.init(self.theta)
        self.state = self.memory = None
        self.batches = self.updates = 0
        self._before = net.theta.copy()
        self._apply = _Update(self)

    def learn(self, batch, loss, going_on=False, number=None, stop=math.inf, outputs=True):
        """See `rnnsim.core.learner.Learner.learn`."""
        require(stop == math.inf, "stop: a rule that learns from whole batches cannot end a sequence early")
        np.copyto(self._before, self.theta)
        number, updates = self.batches if number is None else number, self.updates
        try:
            self._disturb()
            self.rule.randomness = self.seed, number
            state = self.state if going_on else None
            found = self.rule.learn(self.net, batch, loss, self._apply, state, self.memory)
            if not np.isfinite(found.loss):
                raise NotFinite(f"the loss is {found.loss}")
        except NotFinite as error:
            np.copyto(self.theta, self._before)
            # The learner is as it was before the batch if the optimizer has made no update and the weights are finite.
            error.untouched = self.updates == updates and all_finite(self.theta)
            raise
        finally:
            if self.theta is not self.net.theta:
                self.net.theta[...] = self.theta
        self.state, self.memory, self.batches = found.state, found.memory, number + 1
        return found

    def update(self, gradient):
        """Update the clean weights by a gradient."""
        self._require_finite(gradient, "the gradient of ")
        self.optimizer.step(self.theta, gradient, self.optimizer_state, self.updates, self.net.trainable)
        self.updated(1)
        self._disturb()

    def updated(self, count):
        """Count updates, and check the weights."""
        self.updates += count
        self._require_finite(self.theta, "")

    def _disturb(self):
        if self.theta is not self.net.theta:
            self.net.theta[...] = self.optimizer.perturbed(self.theta, self.seed, self.updates, self.net.trainable)

    def _require_finite(self, vector, what):
        if not all_finite(vector):
            index = int(np.argmin(np.isfinite(vector)))
            raise NotFinite(f"{what}{self.net.layout.at(index)} is {vector[index]}")

    def parts(self, going_on):
        """See `rnnsim.core.learner.Learner.parts`."""
        arrays = {"optimizer": self.optimizer_state, "memory": self.memory, "theta": self.theta}
        return {**arrays, "state": self.state if going_on else None, "numbers": {"updates": self.updates}}

    def restore(self, stored, path):
        """See `rnnsim.core.learner.Learner.restore`."""
        np.copyto(self.theta, self.net.theta)
        fill_arrays(self.optimizer_state, stored.optimizer, f"{path} holds another run")
        self.state, self.memory = stored.state, stored.memory or None
        self.updates, self.batches = stored.progress["updates"], stored.progress["step"]


class _Update(Apply):
    """The `Apply` of a learner's optimizer; a rule may do plain gradient descent by itself."""

    def __init__(self, learner):
        super().__init__(learner.update)
        self.rate = learner.optimizer.plain_rate
        self.made = learner.updated
