"""A learner for data that arrive one item at a time."""

import copy
import math
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnsim.core.batch import Sequences
from rnnsim.core.checkpoint import Checkpoint
from rnnsim.core.learner import Learner, LearnResult, fill_arrays
from rnnsim.core.losses import Loss
from rnnsim.core.own_array import OwnArray, as_numbers
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import Seed, seed_of
from rnnsim.core.threads import exclusive
from rnnsim.core.vmath import all_finite
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.interface import LINEARISATION, Rule
from rnnsim.learning.online.contract import OnlineRule, check_forcing, stream_arrays
from rnnsim.learning.online.engine import Engine
from rnnsim.learning.online.structure import check_paths
from rnnsim.learning.online.time_step import GOOD, WRONG_INPUT, TimeStep
from rnnsim.networks.interface import SequenceNetwork
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.optimizers.adam import Adam
from rnnsim.optimizers.interface import Optimizer
from rnnsim.optimizers.sgd import SGD


class OnlineLearner(Learner):
    """A network that learns one item at a time; `online` makes it.

    An item is an input x(t) and perhaps a target. A step predicts, then learns::

        y(t), s(t) = net(x(t), s(t-1));    theta <- optimizer(theta, dE(t)/dtheta)       every item, or every `every` of them

    With S streams, one learner sees them side by side and learns from the mean of their gradients; with ``own=True``
    every stream is a learner with parameters of its own. A step allocates nothing: the next step overwrites its
    outputs.

    theta       (1, P), the network's own vector, or with own=True (S, P)
    state       (S, k, H) of the network, before the next item
    loss        of the last item that had a target, the mean over streams
    losses      (S,) the same for each stream
    items       number of items seen
    updates     number of updates made
    streams, own, rule, optimizer, criterion, seed    as given to `online`; `criterion` is the loss

    A copy, a pickle and a saved file hold everything and continue bit for bit.
    """

    net: SequenceNetwork

    def __init__(
        self,
        net: SequenceNetwork,
        rule: str | Rule = "rtrl",
        optimizer: str | Optimizer | None = None,
        loss: str | Loss | None = None,
        streams: int = 1,
        rng: "Seed" = 0,
        own: bool = False,
    ):
        self.net = net
        self.turn = net.turn  # the network's lock: a step waits for other threads that use the network
        self.rule = rule = RULES.build(rule) if isinstance(rule, str) else rule
        require(
            isinstance(rule, OnlineRule),
            f"rule {_name(RULES, rule)}: looks back over a batch; learning items needs a rule that goes forward, such as rtrl",
        )
        require(
            LINEARISATION in net.capabilities or rule.name not in net.procedures,
            f"network '{net.config['name']}' has a learner of its own, which takes items as batches of one time step: "
            "net.learner_by(rule, optimizer).learn(batch, loss, going_on=True)",
        )
        optimizer = OPTIMIZERS.build(optimizer) if isinstance(optimizer, str) else optimizer
        self.optimizer = optimizer = Adam(1e-3, clip_norm=1.0) if optimizer is None else optimizer
        require(optimizer.weight_noise == 0, f"weight_noise={optimizer.weight_noise:g}: a learner adds no weight noise")
        loss = "squared_error" if loss is None else loss
        self.criterion = loss = Loss(loss) if isinstance(loss, str) else replace(loss, when="every")
        self.streams, self.own = at_least("streams", streams, 1), bool(own)
        self.seed = seed_of(rng)
        self._engine = Engine(net, rule, self.streams, self.own, self.seed)
        check_paths(net, rule.force)
        check_forcing(rule, net, loss)
        self.every = rule.every or 1
        self.items = self.updates = 0
        self.loss = float("nan")
        self._pending = 0  # items with a target since the last update
        self._optimizer_states = [optimizer.init(theta) for theta in self.theta]
        # The engine does plain gradient descent by itself, within the time step.
        plain = optimizer == SGD(optimizer.learning_rate) if type(optimizer) is SGD else False
        alone = self.streams == 1 or self.own
        self._plain = plain and alone and self.every == 1 and net.trainable is None
        self._factor = 1 / np.log(2) if loss.unit == "bits" else 1.0
        scale = self._factor if alone else self._factor / self.streams
        self._rate = optimizer.learning_rate if self._plain else 0.0
        self._time_step = time_step = TimeStep(self._engine, loss.kind, scale, self._rate, rule.force)
        self._mean = 1 / self.streams if alone else 1.0
        self.losses = time_step.losses
        self.losses.fill(np.nan)
        self._x, self._target = time_step.xs[:, 0], time_step.targets[:, 0]
        self._outputs = time_step.outputs[:, 0]
        self._single: Any = self._outputs[0] if self.streams == 1 else None
        self._shapes = {(self.streams, net.n_inputs), *([(net.n_inputs,)] if self.streams == 1 else [])}
        self._wanted = {(self.streams, net.n_outputs), *([(net.n_outputs,)] if self.streams == 1 else [])}

    def __repr__(self):
        return (
            f"<learner: {self.net.config['name']}, {_name(RULES, self.rule)}, {self.items} items, loss {self.loss:.6g}>"
        )

    # -- copies and threads ----------------------------------------------------------------------------------------------

    theta = OwnArray(
        "_engine.theta", "The parameters, (1, P) or with own=True (S, P). Assignment copies the values in."
    )
    state = OwnArray(
        "_engine.state", "State of the network before the next item, (S, k, H). Assignment copies the values in."
    )

    def __reduce__(self):
        settings = (self.net, self.rule, self.optimizer, self.criterion, self.streams, self.seed, self.own)
        parts = self.parts()
        return _restored, (settings, parts["optimizer"], parts["numbers"])

    def __copy__(self):
        return copy.deepcopy(self)  # not two learners of one network

    # -- one item ----------------------------------------------------------------------------------------------------------

    @exclusive
    def step(self, x: "ArrayLike", target: "ArrayLike | None" = None) -> np.ndarray:
        """Predict one item, and learn from it if there is a target.

        x : (I,) or (S, I); for a network that reads tokens a whole number, or S of them
        target : (K,) or (S, K); with a softmax loss also a class, or S of them; None: predict only

        Returns the outputs (K,) or (S, K), which the next step overwrites. Raises `RnnsimError` for an item that does
        not fit or is not finite, and leaves the learner as it was; and when the learner has diverged.

        >>> import numpy as np, rnnsim as rs
        >>> learner = online(rs.Recurrent("rnn", 2, 1, hidden=3, rng=1), optimizer=rs.SGD(0.1))
        >>> learner.step(np.zeros(2), np.ones(1)).shape, learner.step(np.zeros(2)).shape, learner.updates
        ((1,), (1,), 1)
        """
        single = self._take_input(x)
        time_step = self._time_step
        if target is None:
            time_step.weights.fill(0)
        else:
            self._take_target(target)
            time_step.weights.fill(1)
        self._advance(target is not None)
        return self._single if single else self._outputs

    def _advance(self, counted):
        """Run one time step on the arrays as they are filled; `counted`: whether there is a target."""
        verdict = self._time_step()
        if verdict != GOOD:
            raise RnnsimError(f"{'x' if verdict == WRONG_INPUT else 'target'}: expected finite numbers")
        self.items += 1
        if counted:
            self.loss = float(self.losses[0] if self.streams == 1 else self.losses.sum() * self._mean)
            self._pending += 1
        if self._pending and self.items % self.every == 0:
            self._update()

    def _take_input(self, x):
        if self.net.tokens:
            return self._take_tokens(x)
        if type(x) is not np.ndarray:
            x = as_numbers("x", x)
        if x.shape not in self._shapes:
            require(False, f"x: expected shape {self._expected(self.net.n_inputs)}, got {x.shape}")
        self._x[...] = x
        return x.ndim == 1

    def _take_tokens(self, x):
        tokens = as_numbers("x", x)
        _check_classes("x", tokens, self.streams, self.net.n_inputs)
        self._x[...] = 0
        self._x[np.arange(self.streams), tokens] = 1
        return tokens.ndim == 0 and self.streams == 1

    def _take_target(self, target):
        if type(target) is not np.ndarray:
            target = as_numbers("target", target)
        if target.shape in self._wanted:
            self._target[...] = target
        elif self.criterion.kind == "softmax" and target.shape in ((), (self.streams,)):
            _check_classes("target", target, self.streams, self.net.n_outputs)
            self._target[...] = 0
            self._target[np.arange(self.streams), target] = 1
        else:
            classes = " or a class" if self.criterion.kind == "softmax" else ""
            require(False, f"target: expected shape {self._expected(self.net.n_outputs)}{classes}, got {target.shape}")

    def _expected(self, size):
        return f"({size},)" if self.streams == 1 else f"({self.streams}, {size})"

    def _update(self):
        """Change the parameters by the gradient of the last `every` items."""
        pending, self._pending = self._pending, 0
        engine, trainable = self._engine, self.net.trainable
        if self._plain:
            self.updates += 1
            if not np.isfinite(self.loss):
                self._diverged("the loss", self.loss)
            return
        gradients = engine.gradient
        if not self.own and self.streams > 1:
            gradients = gradients.sum(axis=0, keepdims=True)
        if pending > 1:
            gradients *= 1 / pending
        if not all_finite(gradients.reshape(-1)):
            engine.gradient.fill(0)
            self._diverged("the gradient", "not finite")
        for theta, gradient, state in zip(self.theta, gradients, self._optimizer_states):
            self.optimizer.step(theta, gradient, state, self.updates, trainable)
        engine.gradient.fill(0)
        self.updates += 1

    def _diverged(self, what, value):
        raise RnnsimError(
            f"item {self.items}: {what} is {value}; the learner has diverged; use a smaller learning rate"
        )

    # -- a batch, many items ----------------------------------------------------------------------------------------

    def learn(
        self,
        batch: Sequences,
        loss: Loss | None = None,
        going_on: bool = False,
        number: int | None = None,
        stop: float = math.inf,
        outputs: bool = True,
    ) -> LearnResult:
        """Learn from a batch of as many sequences as there are streams, time step by time step.

        See `rnnsim.core.learner.Learner.learn`; without `loss` the learner's own is used. A time step of weight 0 is
        predicted, not learned.
        """
        require(loss is None or loss.kind == self.criterion.kind, f"loss: this learner has {self.criterion.kind}")
        require(stop == math.inf, "stop: this learner does not end a sequence early")
        require(batch.size == self.streams, f"a batch of {batch.size} sequences: expected {self.streams}, one a stream")
        if not going_on:
            self.reset()
        loss = self.criterion if loss is None else loss
        xs, targets, weights = stream_arrays(self.net, batch, loss)
        found, total, amount = np.zeros((batch.time_steps, *self._outputs.shape), self.net.dtype), 0.0, 0.0
        for t in range(batch.time_steps):
            self._x[...], self._target[...], self._time_step.weights[:, 0] = xs[:, t], targets[:, t], weights[:, t]
            counted = float(weights[:, t].sum())
            self._advance(counted > 0)
            total, amount = total + (float(self.losses.sum()) if counted else 0.0), amount + counted
            found[t] = self._outputs
        return LearnResult(total / amount if amount else 0.0, found, state=[self.state.swapaxes(0, 1)])

    @exclusive
    def run(self, xs: "ArrayLike", targets: "ArrayLike | None" = None) -> np.ndarray:
        """Take many items, one after the other.

        xs : (T, S, I), or tokens (T, S)
        targets : (T, S, K), classes (T, S), or None: predict only

        With one stream the axis S may be missing. Returns the outputs (T, S, K), or (T, K). The result is that of
        `step` on every item, bit for bit; plain gradient descent runs in one call of the kernel.
        """
        xs = as_numbers("xs", xs)
        axes = 2 if self.net.tokens else 3
        single = xs.ndim == axes - 1 and self.streams == 1
        xs = xs[:, None] if single else xs
        require(xs.ndim == axes and xs.shape[1] == self.streams, f"xs: expected (T, {self.streams}, I), got {xs.shape}")
        if targets is not None:
            targets = as_numbers("targets", targets)
            fits = len(targets) == len(xs)
            require(fits, f"targets: expected {len(xs)}, one for every input, got {len(targets)}")
        if not len(xs):
            return np.zeros((0, self.net.n_outputs) if single else (0, *self._outputs.shape), self.net.dtype)
        direct = self._plain and not self.net.tokens and (targets is None or targets.ndim == 3 or single)
        outputs = self._run_whole(xs, targets, single) if direct else self._run_steps(xs, targets)
        return outputs[:, 0] if single else outputs

    def _run_steps(self, xs, targets):
        outputs = np.empty((len(xs), *self._outputs.shape), self.net.dtype)
        for t in range(len(xs)):
            self.step(xs[t], None if targets is None else targets[t])
            outputs[t] = self._outputs
        return outputs

    def _run_whole(self, xs, targets, single):
        dtype, streams = self.net.dtype, self.streams
        steps, outputs = len(xs), self.net.n_outputs
        require(xs.shape[2] == self.net.n_inputs, f"xs: expected {self.net.n_inputs} inputs, got {xs.shape[2]}")
        require(np.isfinite(xs).all(), "xs: expected finite numbers")
        weights = np.full((streams, steps), 0 if targets is None else 1, dtype)
        if targets is None:
            wanted = np.zeros((streams, steps, outputs), dtype)
        else:
            if self.criterion.kind == "softmax" and targets.ndim == 1:
                require(targets.dtype.kind in "iu", "targets: expected whole numbers as classes")
                _check_classes("targets", targets, steps, outputs)
                targets = np.eye(outputs)[targets]
            targets = targets[:, None] if single and targets.ndim == 2 else targets
            fits = targets.shape == (steps, streams, outputs)
            require(fits, f"targets: expected shape {(steps, streams, outputs)}, got {targets.shape}")
            require(np.isfinite(targets).all(), "targets: expected finite numbers")
            wanted = np.ascontiguousarray(targets.swapaxes(0, 1), dtype)
        inputs = np.ascontiguousarray(xs.swapaxes(0, 1), dtype)
        scale = self._time_step.numbers[0]
        losses, found = self._engine.run(
            inputs, wanted, weights, self.criterion.kind, scale, self._rate, self.rule.force
        )
        self.items += steps
        if targets is not None:
            self.updates += steps
            for s in range(streams):
                self.losses[s] = self.criterion.evaluate(found[s, -1:, None], wanted[s, -1:, None])
            self.loss = float(self.losses.mean())
            if not np.isfinite(losses).all():
                self._diverged("the loss", losses[~np.isfinite(losses)][0])
        return found.swapaxes(0, 1)

    # -- reset and save ---------------------------------------------------------------------------------------------------

    @exclusive
    def reset(self) -> None:
        """Begin a new sequence: clear the state and the influence. What was learned stays."""
        self._engine.reset()
        self._pending = 0

    def save(self, path: str | PathLike[str]) -> None:
        """Write the learner to a .safetensors file, atomically; `learner_from` reads it."""
        from rnnsim.learning.online.files import save

        save(self, path)

    @exclusive
    def parts(self, going_on: bool = True) -> dict[str, Any]:
        """See `rnnsim.core.learner.Learner.parts`: everything beside the settings."""
        arrays = {"gradient": self._engine.gradient, "theta": self.theta}
        arrays |= {f"carried{i}": array for i, array in enumerate(self._engine.carried())}
        for s, state in enumerate(self._optimizer_states):
            arrays |= {f"optimizer{s}.{name}": array for name, array in state.items()}
        numbers = dict(items=self.items, updates=self.updates, pending=self._pending, loss=self.loss)
        return {"theta": self.net.theta, "optimizer": arrays, "memory": None, "state": None, "numbers": numbers}

    def restore(self, stored: Checkpoint, path: str | PathLike[str]) -> None:
        """See `rnnsim.core.learner.Learner.restore`; the arrays stand in the window of a file that `save` wrote."""
        self.continue_from(stored.window, stored.progress["numbers"], f"{path}: ")

    @exclusive
    def continue_from(self, arrays, numbers, where=""):
        """Continue from the arrays and numbers of another learner's `parts`. Raises `RnnsimError` if they do not fit."""
        fill_arrays(self.parts()["optimizer"], arrays, f"{where}this is another learner")
        self.items, self.updates, self._pending = (int(numbers[key]) for key in ("items", "updates", "pending"))
        self.loss = float(numbers["loss"])


def online(
    net: SequenceNetwork,
    rule: str | Rule = "rtrl",
    optimizer: str | Optimizer | None = None,
    loss: str | Loss | None = None,
    streams: int = 1,
    rng: "Seed" = 0,
    own: bool = False,
) -> OnlineLearner:
    """A learner for data that arrive one item at a time: an `OnlineLearner`.

    At every item the network predicts; with a target it learns at once, by a rule that carries the influence of its
    parameters forward in time and needs no memory of the past sequence::

        y(t), s(t) = net(x(t), s(t-1));    theta <- optimizer(theta, dE(t)/dtheta)

    Parameters
    ----------
    net : a network of one layer; it learns in place (with own=True it stays as it is)
    rule : name or object of `rnnsim.learning.RULES` that goes forward in time: "rtrl" (exact), "snap", "truncated", "rflo",
        "eprop", "uoro", "kf-rtrl", "ok", ...; its option `every` is the number of items between two updates (0 and 1: every
        item)
    optimizer : name or object of `rnnsim.optimizers.OPTIMIZERS`; None: Adam with learning rate 0.001 and the gradient clipped to
        norm 1
    loss : "squared_error" (default), "bernoulli", "softmax", or a `rnnsim.core.losses.Loss`
    streams : number of streams side by side
    rng : seed of the random numbers that a rule draws
    own : whether every stream is a learner with parameters of its own

    Returns an `OnlineLearner`:

    ``step(x, target=None)``    one item; returns the outputs
    ``run(xs, targets=None)``   many items
    ``reset()``                 begin a new sequence
    ``save(path)``              write it to a file, which `rnnsim.learner_from` reads
    ``theta, state, loss, items, updates``

    Raises `RnnsimError` if the rule looks back over a batch, if network, rule and loss do not fit each other, and for
    weight noise.

    >>> import numpy as np, rnnsim as rs
    >>> net = rs.Recurrent("rnn", 1, 1, hidden=8, rng=1)
    >>> learner = online(net, rule="rtrl", optimizer=rs.SGD(0.1))
    >>> wave = np.sin(np.arange(801) * 0.5).astype(np.float32)[:, None]
    >>> for now, next_ in zip(wave, wave[1:]):
    ...     y = learner.step(now, next_)
    >>> y.shape, learner.items, learner.loss < 0.1
    ((1,), 800, True)
    """
    return OnlineLearner(net, rule, optimizer, loss, streams, rng, own)


def _restored(settings, arrays, numbers):
    """A learner that continues from the parts of another one."""
    learner = OnlineLearner(*settings)
    learner.continue_from(arrays, numbers)
    return learner


def _check_classes(name, classes, count, size):
    fits = classes.dtype.kind in "iu" and classes.shape in ((count,), () if count == 1 else (count,))
    require(
        fits, f"{name}: expected {count} whole number{'s' * (count > 1)}, got shape {classes.shape} of {classes.dtype}"
    )
    low, high = (int(classes.min()), int(classes.max())) if classes.size else (0, 0)
    require(0 <= low and high < size, f"{name}: {low if low < 0 else high} is outside 0..{size - 1}")


def _name(registry, thing):
    """The name of an object's class in the registry, or the class's own."""
    return registry.name_of(type(thing)).rpartition(":")[2]
