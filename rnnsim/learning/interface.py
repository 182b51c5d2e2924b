"""The contract of a learning rule."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnsim.core.batch import kinds
from rnnsim.core.learner import LearnResult, NotFinite
from rnnsim.core.losses import Loss
from rnnsim.core.registry import require
from rnnsim.networks.interface import GRADIENT, LINEARISATION, TIME, Network
from rnnsim.tasks.interface import Task

__all__ = ("GRADIENT", "LINEARISATION", "TIME", "Apply", "LearnResult", "NotFinite", "Rule", "require_fit")


class Apply:
    """A function of a gradient that changes the weights of the network in place; a rule may do the update by itself.

    rate : if above 0, the call does ``net.theta -= rate * gradient`` and nothing else, so a rule may do that in a kernel and
        report by ``made(count)`` how many updates it made. A rule with `sets_weights` reports its changes of the
        weights likewise
    """

    rate: float = 0.0

    def __init__(self, update: Callable[[np.ndarray], Any]):
        self._update = update

    def __call__(self, gradient: np.ndarray) -> None:
        self._update(gradient)

    def made(self, count: int) -> None:
        """Count updates that the rule has made by itself."""


class Rule(ABC):
    """How a network learns from a batch.

    A rule

    - has its options as annotated arguments of its constructor, with defaults, checked there;
    - knows networks by their contract alone: what it needs of them it says in `needs`;
    - keeps no state of a training in itself: what it carries from batch to batch, such as a population, it returns in
      `LearnResult.memory`, which a training keeps in its checkpoints and hands back.

    Attributes
    ----------
    name : name under which the rule asks for a procedure of a network (`rnnsim.networks.interface.Network.procedures`)
    needs : capabilities that a network must have (`GRADIENT`, `TIME`, `LINEARISATION`); the rule also serves a network that has
        it among its `procedures`
    sets_weights : whether it puts new weights into the network by itself, and applies no gradient
    force : whether it sets units to their targets (teacher forcing)
    every : time steps between two updates; 0: one update a batch, at its end
    randomness : (seed of the random numbers that the rule draws, number of the next batch); a training sets it before
        every batch

    >>> from rnnsim.core.learner import LearnResult
    >>> class SignDescent(Rule):
    ...     name, needs = "sign-descent", frozenset({GRADIENT})
    ...
    ...     def learn(self, net, batch, loss, apply, state=None, memory=None):
    ...         found = net.loss_and_gradient(batch, loss, state)
    ...         apply(abs(found.gradient).mean() * (2 * (found.gradient > 0) - 1))
    ...         return LearnResult(found.loss, found.outputs, found.state)
    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=SignDescent(), steps=3, batch=4, rng=1).steps
    3
    """

    name: str = ""
    needs: frozenset[str] = frozenset()
    sets_weights: bool = False
    force: bool = False
    every: int = 0
    randomness: tuple[int, int] = (0, 0)

    def check(self, net: Network, task: Task | None) -> None:
        """Raise `RnnsimError`, one line, if the rule cannot serve this network on this task. `task` may be None.

        A training calls it before its first batch. A rule that needs the task to tell right from wrong outputs keeps
        it.
        """
        require_fit(net, task, self)

    @abstractmethod
    def learn(
        self,
        net: Any,
        batch: Any,
        loss: Loss,
        apply: Apply,
        state: list[np.ndarray] | None = None,
        memory: dict[str, np.ndarray] | None = None,
    ) -> LearnResult:
        """Learn from one batch.

        net    : `rnnsim.networks.interface.Network`
        batch  : what the network takes
        loss   : `rnnsim.core.losses.Loss`
        apply  : function of a gradient (flat, like ``net.theta``), which changes ``net.theta`` in place; the
                 rule calls it for every gradient, once a batch or often. See `Apply`
        state  : the state that the batch begins in; None: the network's initial state
        memory : what the rule returned as `memory` for the batch before; None: before the first batch

        Returns a `LearnResult`.
        """


def require_fit(net: Network, task: Task | None, rule: Rule | None = None) -> None:
    """Raise `RnnsimError`, one line, unless the network takes the batches of the task and has what the rule needs."""
    name = net.config["name"]
    makes, takes = None if task is None else task.makes, net.takes
    if makes is not None:
        require(issubclass(makes, takes), f"network '{name}' takes {kinds(takes)}, the task makes {makes.kind}")
    procedures = net.procedures if makes is None else net.procedures_for(makes)
    if rule is not None and rule.name not in procedures:
        missing = sorted(rule.needs - (net.capabilities if makes is None else net.capabilities_for(makes)))
        among = f" on {makes.kind}" if isinstance(takes, tuple) and makes is not None else ""
        hint = f"; it learns by --rule {', '.join(sorted(procedures))}" if among and procedures else ""
        require(
            not missing,
            f"rule {rule.name}: it needs {missing and missing[0]}, which network '{name}' does not have{among}{hint}",
        )
    if task is None:
        return
    for what, own, its in (("inputs", net.n_inputs, task.n_inputs), ("outputs", net.n_outputs, task.n_outputs)):
        require(own == its, f"the network has {own} {what}, the task has {its}")
    inputs = {True: "tokens", False: "vectors"}
    own, its = bool(net.tokens), bool(task.tokens)
    require(own == its, f"the network reads {inputs[own]}, the task gives {inputs[its]} (tokens={its})")
    if type(net).check_batch is not Network.check_batch:
        net.check_batch(task.training_batch(0, 0, 8))
