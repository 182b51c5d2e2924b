"""The contract of a network: what the training loop, the learning rules and the shell know of it.

1. Its parameters are the flat vector `theta`, named by `layout`; `gradient` is a vector like it. `trainable` is a Boolean array
   over theta, False where an entry is frozen or absent, or None.
2. `config` holds its name, sizes, dtype and options; `rnnsim.networks.from_config` makes the network anew from it.
3. `forward(inputs, lengths, state, record, when)` gives outputs, the final state and what is to be recorded (`Forward`). Outputs
   stand at "every" time step, or at the "last" one, as losses do: there a bidirectional network reads the end of both its
   directions, the last state of the forward and that of the backward pass, which is at the first time step.
   `predict(inputs, loss, lengths, state)` gives its answer, where the loss stands and as the loss reads it.
4. `evaluate(batch, loss, state)` gives loss and outputs (`Evaluation`); `loss_and_gradient(batch, loss, state, theta)` also the
   gradient (`Gradient`). `state` is a list of arrays whose second axis is the batch, None the state of `initial_state`.
5. `state_after(ticks)` is the state inside the sequence that was walked last, like `initial_state(batch)`.
6. `directions` is 2 if outputs depend on later inputs, else 1; `trace_names` are the names that can be recorded.
7. `state_size`, `cost_per_step`, `n_parameters`, `n_recurrent_parameters` and `workspace_bytes` say how large it is.
8. `not_finite()` names what went wrong first in the last pass, in words, or is None.
9. `copy.copy`, `copy.deepcopy` and `pickle` give a network of its own with the same weights, made by `from_config`.
10. Several Python threads may call `forward`, `evaluate` and `loss_and_gradient`: one call waits for the other, and its loss is
    right. What `forward` gives belongs to the caller. Arrays that `evaluate` and `loss_and_gradient` give are the network's
    own, and the next call overwrites them, also one from another thread: there, take a copy of the network for each thread.

`Network` has what is the same for all; a network defines `_outputs` and `_backward`, `forward`, `initial_state`, `state_after`.
"""

import threading
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from rnnsim.core.layout import Layout
from rnnsim.core.registry import require
from rnnsim.core.threads import exclusive
from rnnsim.core.workspace import Workspace
from rnnsim.errors import RnnsimError, unknown


class Forward(NamedTuple):
    """What a forward pass gives."""

    outputs: np.ndarray  # (T, B, K), zero beyond the length of a sequence; (B, K) with when="last"
    state: list  # arrays (k, B, n)
    records: dict  # name -> (T, B, ...)


class Evaluation(NamedTuple):
    """What an evaluation gives."""

    loss: float
    outputs: np.ndarray  # (T, B, K) or (B, K), overwritten by the network's next call
    state: list


class Gradient(NamedTuple):
    """What a forward and backward pass give; the arrays are overwritten by the network's next call."""

    loss: float
    gradient: np.ndarray  # flat, like theta
    outputs: np.ndarray  # (T, B, K) or (B, K)
    state: list


class Network(ABC):
    """A network with its parameters in one flat vector; the contract is at the top of the file."""

    directions = 1
    learned_initial_state = False
    dropped_parameters = ()  # names that files of older versions hold, and that nothing reads

    @abstractmethod
    def _outputs(self, batch, loss, state):
        """(outputs, final state, features of the readout) of a batch."""

    @abstractmethod
    def _backward(self, d_outputs, features, learn_state):
        """Add to the gradient what the gradient of the outputs gives."""

    @abstractmethod
    def initial_state(self, batch):
        """The state before the first tick: a list of arrays whose second axis is the batch."""

    @abstractmethod
    def state_after(self, ticks):
        """The state after so many ticks of the last pass, like `initial_state`."""

    @abstractmethod
    def forward(self, inputs, lengths=None, state=None, record=(), when="every"):
        """Outputs, final state and records (`Forward`)."""

    def _lay_out(self, shapes):
        """Make theta, gradient and their named views."""
        self.layout = Layout(shapes)
        self.n_parameters = self.layout.size
        try:
            self._theta = np.zeros(self.n_parameters, self.dtype)
            self._gradient = np.zeros(self.n_parameters, self.dtype)
        except (ValueError, MemoryError):
            raise RnnsimError(f"{self.n_parameters:,} parameters: more than fit into memory") from None
        self._weights, self._gradients = self.layout.views(self.theta), self.layout.views(self.gradient)
        self._space = Workspace(self.dtype)
        self.turn = threading.RLock()  # of the methods that are `exclusive`
        self._no_lengths = np.zeros(0, np.int64)

    @property
    def theta(self):
        """All parameters as one vector, (n_parameters,). What is assigned to it is copied in: its named views stay its views.

        Raises `RnnsimError` for anything but so many real numbers in one vector.
        """
        return self._theta

    @theta.setter
    def theta(self, values):
        self._take("theta", self._theta, values)

    @property
    def gradient(self):
        """The gradient that was computed last, like theta; what is assigned to it is copied in."""
        return self._gradient

    @gradient.setter
    def gradient(self, values):
        self._take("gradient", self._gradient, values)

    def _take(self, name, vector, values):
        """vector <- values, or one clear line."""
        if values is vector:  # after `net.theta += x`
            return
        values = as_array(name, values)
        fits = values.shape == vector.shape
        require(fits, f"{name}: expected {self.n_parameters} numbers in one vector, got shape {values.shape}")
        require(values.dtype.kind in "fiub", f"{name}: expected real numbers, got {values.dtype}")
        vector[...] = values

    def __reduce__(self):
        from rnnsim.networks import NETWORKS

        name = self.config["name"]
        known = name in NETWORKS and type(self) is NETWORKS.load(name)
        require(known, f"{type(self).__name__} cannot be copied: it is not the class of the network '{name}'")
        return _restored, (self.config, self.theta, self.gradient, self.trainable)

    @property
    def workspace_bytes(self):
        """Bytes of all buffers that are kept from step to step."""
        return self._space.nbytes

    @exclusive
    def evaluate(self, batch, loss, state=None):
        """Loss and outputs of a batch, without gradient."""
        outputs, state, _ = self._outputs(batch, loss, state)
        return Evaluation(loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths), outputs, state)

    @exclusive
    def loss_and_gradient(self, batch, loss, state=None, theta=None):
        """Loss of a batch and its gradient with respect to theta, back through all ticks of the batch.

        `theta`, if given, is copied into the network's own vector first. The initial state is taken as a constant, unless it
        is learned and none is given.
        """
        if theta is not None:
            self.theta = theta
        learn_state = state is None
        outputs, state, features = self._outputs(batch, loss, state)
        d_outputs = self._space.array("d_outputs", outputs.shape)
        value = loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths, gradient=d_outputs)
        self.gradient[...] = 0
        self._backward(d_outputs, features, learn_state)
        if self.trainable is not None:
            self.gradient *= self.trainable
        return Gradient(value, self.gradient, outputs, state)

    def predict(self, inputs, loss, lengths=None, state=None):
        """What the network answers, where `loss` stands and as it reads outputs: probabilities for cross-entropies.

        (T, B, K), zero beyond the length of a sequence, or (B, K) for a loss at the last time step: what an evaluation judges.

        >>> import rnnsim as rs
        >>> task = rs.tasks.Digits()
        >>> net = rs.Recurrent("gru", task.n_inputs, task.n_outputs, hidden=4, bidirectional=True)
        >>> net.predict(task.example().inputs, task.loss).shape
        (1, 10)
        """
        found = loss.predictions(self.forward(inputs, lengths, state, when=loss.when).outputs)
        if lengths is not None and loss.when == "every":
            mask_beyond(found, np.asarray(lengths))
        return found

    def not_finite(self):
        """What was not finite first in the last pass, in words; None if nothing more is known."""
        return None

    def _checked(self, inputs, lengths):
        """Inputs as a contiguous array of the network's type, lengths as int64; one clear line if they do not fit."""
        inputs = as_array("inputs", inputs)
        if self.tokens:
            require(inputs.ndim == 2, f"inputs: expected tokens of shape (T, B), got shape {inputs.shape}")
            require(inputs.dtype.kind in "iu", f"inputs: expected whole-number tokens, got {inputs.dtype}")
            low, high = (inputs.min(), inputs.max()) if inputs.size else (0, 0)
            require(
                0 <= low and high < self.n_inputs, f"inputs: tokens {low}..{high} are outside 0..{self.n_inputs - 1}"
            )
        else:
            fits = inputs.ndim == 3 and inputs.shape[2] == self.n_inputs
            require(fits, f"inputs: expected shape (T, B, {self.n_inputs}), got {inputs.shape}")
            require(inputs.dtype.kind in "fiub", f"inputs: expected numbers, got {inputs.dtype}")
            with np.errstate(over="ignore", invalid="ignore"):
                inputs = np.ascontiguousarray(inputs, self.dtype)
                squares = np.dot(inputs.reshape(-1), inputs.reshape(-1))
            # A sum is not finite if any term is not; only then is it worth looking for the place.
            if not np.isfinite(squares) and not np.isfinite(inputs).all():
                place = tuple(int(i) for i in np.argwhere(~np.isfinite(inputs))[0])
                raise RnnsimError(f"inputs: {inputs[place]} at (t, b, i) = {place}; expected finite numbers")
        steps, batch = inputs.shape[:2]
        require(steps > 0 and batch > 0, f"inputs: shape {inputs.shape} has no sequence or no tick")
        if lengths is None:
            return inputs, self._no_lengths
        lengths = as_array("lengths", lengths)
        fits = lengths.shape == (batch,) and lengths.dtype.kind in "iu"
        require(fits, f"lengths: expected {batch} whole numbers, got shape {lengths.shape} of {lengths.dtype}")
        inside = lengths.min() >= 0 and lengths.max() <= steps
        require(inside, f"lengths: {lengths.min()}..{lengths.max()} given, expected 0..{steps}, the number of ticks")
        return inputs, lengths.astype(np.int64)

    def _check_state(self, state, batch):
        wanted = [np.shape(part) for part in self.initial_state(batch)]
        given = [np.shape(part) for part in state] if isinstance(state, (list, tuple)) else type(state).__name__
        require(given == wanted, f"state: expected a list of arrays of shapes {wanted}, got {given}")

    def _recorded(self, traces, record, groups, lengths):
        """Copies of the traces that are asked for, by their name or by that of a group; zero beyond a sequence's length.

        `traces` maps names to arrays (T, B, ...), `groups` names of groups to functions of a name.
        """
        wanted = [record] if isinstance(record, str) else list(record)
        found = {}
        for name, trace in traces.items():
            if any(name == asked or (asked in groups and groups[asked](name)) for asked in wanted):
                found[name] = trace = np.array(trace)
                mask_beyond(trace, lengths)
        for asked in wanted:
            if asked not in traces and asked not in groups:
                raise unknown("trace", asked, [*groups, *traces])
        return found


def _restored(config, theta, gradient, trainable):
    """A network with the weights of another one, of the same configuration."""
    from rnnsim.networks import from_config

    net = from_config(config)
    net.theta, net.gradient = theta, gradient
    net.trainable = None if trainable is None else trainable.copy()
    return net


def mask_beyond(array, lengths):
    """array (T, B, ...) = 0 beyond the length of each sequence; empty `lengths` means that all have full length."""
    if lengths.size:
        array[np.arange(array.shape[0])[:, None] >= lengths] = 0


def as_array(name, values):
    """An array of what was given; one clear line for rows of different lengths and the like."""
    try:
        return np.asarray(values)
    except ValueError:
        raise RnnsimError(f"{name}: expected an array, got rows of different lengths") from None


def generator(rng):
    """A NumPy generator from a seed, SeedSequence or Generator; one clear line for anything else."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise RnnsimError(f"rng={rng}: expected a whole number of at least 0, or a random generator") from None
