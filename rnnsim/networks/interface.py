"""The contract of a network: what training, learning rules and the shell know of it.

`Network` is what all networks have in common, whatever they read; `SequenceNetwork` adds time. What more a network can do it
declares in `capabilities` and `procedures`: nobody asks for its name.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnsim.core.batch import Batch, Sequences
from rnnsim.core.layout import Layout
from rnnsim.core.own_array import OwnArray, as_array, as_numbers
from rnnsim.core.registry import require
from rnnsim.core.threads import exclusive
from rnnsim.core.workspace import Workspace
from rnnsim.errors import RnnsimError, unknown
from rnnsim.networks.candidates import Tested, count_right_one_by_one, evaluated_one_by_one

if TYPE_CHECKING:
    from rnnsim.core.learner import Learner
    from rnnsim.core.losses import Loss

GRADIENT = "gradient"
TIME = "states over time"
LINEARISATION = "a linearisation of its time steps"
_NO_LENGTHS = np.zeros(0, np.int64)


class Forward(NamedTuple):
    """What a forward pass gives."""

    outputs: np.ndarray  # (T, B, K), zero beyond the length of a sequence; (B, K) with when="last"
    state: list[np.ndarray]  # arrays (k, B, n)
    records: dict[str, np.ndarray]  # name -> (T, B, ...)


class Evaluation(NamedTuple):
    """What an evaluation gives."""

    loss: float
    outputs: np.ndarray  # as the loss reads them, such as (T, B, K) or (B, K); overwritten by the network's next call
    state: list[np.ndarray] | None  # the final state of networks that have one


class Gradient(NamedTuple):
    """What a forward and backward pass give; the arrays are overwritten by the network's next call."""

    loss: float
    gradient: np.ndarray  # flat, like theta
    outputs: np.ndarray
    state: list[np.ndarray] | None


class Network(ABC):
    """A network with its parameters in one flat vector.

    Attributes
    ----------
    takes : the class of the batches that it reads (`rnnsim.core.batch.Batch`), or a tuple of several
    theta, gradient : flat vectors of the parameters and of their last gradient
    layout : `rnnsim.core.layout.Layout`, the names and shapes of their parts
    trainable : bool array over theta, False where an entry is frozen or absent; None if all are trained
    config : dict of name, sizes, dtype and options; `rnnsim.networks.from_config` makes the network again from it
    n_inputs, n_outputs, tokens : as of the tasks that it can learn
    capabilities : what it can do beyond `evaluate`, of `GRADIENT` (`loss_and_gradient`), `TIME` (it is a `SequenceNetwork` that
        has a state at every time step) and `LINEARISATION` (it has `cells`, whose time steps are linearised)
    procedures : names of the learning rules that it carries out by itself, with `gradient_by` and `learner_by`
    directions : 2 if outputs depend on later inputs, else 1
    trace_names : names of what `forward` can record
    n_parameters, n_recurrent_parameters, state_size, cost_per_step, workspace_bytes : how large it is; a network without a
        recurrent part or a state may leave out the second to fourth, which are 0 then
    dropped_parameters : names that files of older versions hold, and that nothing reads

    `copy.copy`, `copy.deepcopy` and `pickle` give a network of its own with the same weights. Several Python threads may use one
    network: one call waits for the other. What `forward` gives belongs to the caller; arrays that `evaluate` and
    `loss_and_gradient` give are overwritten by the next call, also one from another thread: there, take a copy of the network
    for each thread.
    """

    takes: type[Batch] | tuple[type[Batch], ...] = Sequences
    capabilities: frozenset[str] = frozenset()
    procedures: frozenset[str] = frozenset()
    directions: int = 1
    learned_initial_state: bool = False
    trainable: np.ndarray | None = None
    tokens: bool = False
    dropped_parameters: tuple[str, ...] = ()
    n_inputs: int
    n_outputs: int
    n_parameters: int
    trace_names: tuple[str, ...] = ()
    n_recurrent_parameters: int = 0
    state_size: int = 0
    cost_per_step: int = 0
    dtype: np.dtype
    config: dict[str, Any]
    layout: Layout
    theta = OwnArray(
        "_theta", "All parameters, (n_parameters,). Assignment copies the values in; named views stay views."
    )
    gradient = OwnArray(
        "_gradient", "The gradient that was computed last, like theta; assignment copies the values in."
    )

    @abstractmethod
    def evaluate(self, batch: Any, loss: "Loss", state: list[np.ndarray] | None = None) -> Evaluation:
        """Loss and outputs of a batch, without a gradient (`Evaluation`).

        state : of networks that have one, the state that the batch begins in; None: the initial one
        """

    def loss_and_gradient(
        self, batch: Any, loss: "Loss", state: list[np.ndarray] | None = None, theta: "ArrayLike | None" = None
    ) -> Gradient:
        """Loss and outputs of a batch, and the gradient with respect to theta (`Gradient`).

        theta : if given, is copied into the network's own vector first
        """
        raise RnnsimError(f"network '{self.config['name']}' has no gradient")

    def capabilities_for(self, makes: type[Batch]) -> frozenset[str]:
        """`capabilities` on batches of a class that the network takes."""
        return self.capabilities

    def procedures_for(self, makes: type[Batch]) -> frozenset[str]:
        """`procedures` on batches of a class that the network takes."""
        return self.procedures

    def check_batch(self, batch: Any) -> None:  # noqa: B027  # a network may leave it out
        """Raise `RnnsimError` for a batch that does not fit; a training asks it for its first batch before it begins."""

    def random_batch(self, rng: np.random.Generator, size: int, loss: "Loss") -> Any:
        """A small random batch of the (first) kind that the network takes, to check its gradient by."""
        kind = self.takes[0] if isinstance(self.takes, tuple) else self.takes
        return kind.random(rng, size, self.n_inputs, self.n_outputs, loss, self.tokens)

    @property
    def full_config(self) -> dict[str, Any]:
        """`config` as files keep it: with the place and the source of a class outside rnnsim."""
        from rnnsim.networks import config_of

        return config_of(self)

    def evaluate_many(self, candidates: Any, batch: Any, loss: "Loss") -> np.ndarray:
        """(N,) float64: the loss of every candidate on a batch; theta stays as it is.

        candidates : (N, P) array of thetas; or whatever has a length and gives a theta for ``candidates[n]``, such as
            `rnnsim.networks.candidates.DrawnCandidates`; or a population of a form that the network takes besides

        One parallel kernel where the network has one, else one evaluation after the other.
        """
        return evaluated_one_by_one(self, candidates, batch, loss)

    def test_many(self, candidates: Any, batch: Any, loss: "Loss", judge: Any) -> Tested:
        """How many examples of a batch every candidate has right before its first wrong one; theta stays as it is.

        candidates : as of `evaluate_many`
        judge : a task, or what else has its `correct`, `wanted`, `tolerance` and `inherits`

        It may end with the first candidate that has all of them right. One parallel kernel where the network has one.
        """
        return count_right_one_by_one(self, candidates, batch, loss, judge)

    def gradient_by(self, rule: Any, batch: Any, loss: "Loss", state: list[np.ndarray] | None = None) -> Gradient:
        """The `Gradient` of a batch by a rule of `procedures`.

        rule : object of the registry; its options count
        """
        raise RnnsimError(f"network '{self.config['name']}' does not carry out the rule {rule.name} by itself")

    def learner_by(self, rule: Any, optimizer: Any) -> "Learner":
        """A `rnnsim.core.learner.Learner` that updates at every time step by a rule of `procedures`.

        rule, optimizer : objects of the registries; their options count. Raises `RnnsimError` for options that do not fit.
        """
        raise RnnsimError(f"network '{self.config['name']}' has no learner of its own for {rule}")

    def not_finite(self) -> str | None:
        """What was not finite first in the last pass, in words; None if nothing more is known."""
        return None

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

    def __reduce__(self):
        from rnnsim.networks import NETWORKS

        name = self.config["name"]
        known = name in NETWORKS and type(self) is NETWORKS.load(name)
        require(known, f"{type(self).__name__} cannot be copied: it is not the class of the network '{name}'")
        return _restored, (self.config, self.theta, self.gradient, self.trainable)

    @property
    def workspace_bytes(self) -> int:
        """Bytes of all buffers that are kept from batch to batch."""
        return self._space.nbytes


class SequenceNetwork(Network):
    """A network that reads sequences, one time step after the other; T time steps, B sequences, K outputs.

    A concrete network defines `forward`, `initial_state`, `state_after` and the two passes `_outputs` and `_backward`.
    """

    capabilities = frozenset({GRADIENT, TIME})

    @abstractmethod
    def forward(
        self,
        inputs: "ArrayLike",
        lengths: "ArrayLike | None" = None,
        state: list[np.ndarray] | None = None,
        record: str | Iterable[str] = (),
        when: str = "every",
    ) -> Forward:
        """Run over sequences (`Forward`).

        inputs : (T, B, n) numbers, or (T, B) tokens
        lengths : (B,) whole numbers up to T; None: all have T
        state : list of arrays like `initial_state`; None: that one
        record : names of traces, or of groups of traces such as "gates"
        when : "every": outputs of all time steps; "last": those at the end of every sequence, (B, K). A bidirectional network
            reads there the last state of the forward pass and that of the backward pass, which is at the first time step

        Raises `RnnsimError` for wrong shapes, numbers that are not finite, lengths beyond T and unknown traces.
        """

    @abstractmethod
    def initial_state(self, batch: int) -> list[np.ndarray]:
        """The state before the first time step of `batch` sequences: a list of arrays whose second axis is the batch."""

    @abstractmethod
    def state_after(self, time_steps: int) -> list[np.ndarray]:
        """The state after so many time steps of the last pass, like `initial_state`.

        Raises `RnnsimError` for networks whose outputs depend on later inputs.
        """

    @abstractmethod
    def _outputs(self, batch, loss, state):
        """(outputs, final state, features of the readout) of a batch: outputs of every time step, or of the last one only
        where ``loss.when == "last"``."""

    @abstractmethod
    def _backward(self, d_outputs, features, learn_state):
        """Add to `gradient` what the gradient of the outputs of the last pass gives.

        learn_state : whether the gradient of the initial state goes to learned initial states
        """

    @exclusive
    def evaluate(self, batch: Any, loss: "Loss", state: list[np.ndarray] | None = None) -> Evaluation:
        """See `Network.evaluate`; `state` is a list like `initial_state`."""
        outputs, state, _ = self._outputs(batch, loss, state)
        return Evaluation(loss.evaluate(outputs, batch.targets, batch.weights, batch.lengths), outputs, state)

    @exclusive
    def loss_and_gradient(
        self, batch: Any, loss: "Loss", state: list[np.ndarray] | None = None, theta: "ArrayLike | None" = None
    ) -> Gradient:
        """See `Network.loss_and_gradient`: back-propagation through all time steps of the batch.

        The initial state is taken as a constant, unless it is learned and none is given.
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

    def predict(
        self,
        inputs: "ArrayLike",
        loss: "Loss",
        lengths: "ArrayLike | None" = None,
        state: list[np.ndarray] | None = None,
    ) -> np.ndarray:
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
            inputs = as_numbers("inputs", inputs)
            with np.errstate(over="ignore", invalid="ignore"):
                inputs = np.ascontiguousarray(inputs, self.dtype)
                squares = np.dot(inputs.reshape(-1), inputs.reshape(-1))
            # A sum is not finite if any term is not; only then is it worth looking for the place.
            if not np.isfinite(squares) and not np.isfinite(inputs).all():
                place = tuple(int(i) for i in np.argwhere(~np.isfinite(inputs))[0])
                raise RnnsimError(f"inputs: {inputs[place]} at (t, b, i) = {place}; expected finite numbers")
        steps, batch = inputs.shape[:2]
        require(steps > 0 and batch > 0, f"inputs: shape {inputs.shape} has no sequence or no time step")
        if lengths is None:
            return inputs, _NO_LENGTHS
        lengths = as_array("lengths", lengths)
        fits = lengths.shape == (batch,) and lengths.dtype.kind in "iu"
        require(fits, f"lengths: expected {batch} whole numbers, got shape {lengths.shape} of {lengths.dtype}")
        inside = lengths.min() >= 0 and lengths.max() <= steps
        require(
            inside, f"lengths: {lengths.min()}..{lengths.max()} given, expected 0..{steps}, the number of time steps"
        )
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


def generator(rng):
    """A NumPy generator from a seed, SeedSequence or Generator; one clear line for anything else."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise RnnsimError(f"rng={rng}: expected a whole number of at least 0, or a random generator") from None
