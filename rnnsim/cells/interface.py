"""The contract of a recurrent cell.

A cell is one recurrent layer in one direction. A class that fulfils these points works in every network and under every
learning rule, and is entered in the registry with one line of ``rnnsim/cells/__init__.py``:

1. ``__init__(n_inputs, hidden, dtype, **options)`` checks its options; each option is annotated. If some of them may be arrays
   or names of files, ``kept(options)`` gives them as a configuration keeps them, in numbers, texts and lists.
2. ``shapes()`` lists ``(name, shape)`` of its parameters, in PyTorch's names without the layer suffix (``weight_ih``,
   ``weight_hh``, ``bias_ih``, ...); rows lie gate by gate.
3. ``initialise(weights, rng)`` fills the parameters.
4. ``bind(weights, gradients, scratch)`` gives it views of the flat parameter and gradient vectors, by name.
5. ``forward(x, state, lengths, reverse)`` walks a batch x (T, B, I) from `state`, a list of one (B, H) array per entry of
   `state_names`, and returns the outputs (T, B, H), a view. What the backward pass needs stays in the cell's workspace.
6. ``slots_of_walk()`` gives the state arrays of the last walk; from them come ``final_state()`` and ``state_after(ticks)``.
7. ``backward(dy, d_state, dx)`` walks back: dy (T, B, H) or None is the gradient of the outputs; d_state, a list of (B, H)
   arrays, goes from the gradient of the final state to that of the initial one, in place; dx (T, B, I), unless None,
   receives the gradient of the inputs. Parameter gradients are added to the bound gradient views.
8. ``traces()`` gives every gate and state of the last forward walk by name, (T, B, H) each: names in `trace_names`.
9. ``linearise(x, state)`` gives one tick as a `Linearised`; `groups` says which parameter rows make which pre-activation.
10. ``tick(out, theta, x, before, work, structure)``, a kernel, does the same from the flat parameters, for
    `rnnsim.learning.online.engine`; ``tick_options()`` gives the whole numbers and the numbers that it finds in
    ``structure.options`` and ``structure.numbers``. ``work`` has 8 H numbers.
11. `carried` names the one state that goes on from tick to tick, if a unit's next one depends on no other unit's; else None.
12. The walk of a row does not depend on the other rows, on the number of threads or on what the workspace held before.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from rnnsim.core.registry import at_least, one_of
from rnnsim.core.workspace import Workspace


class Group(NamedTuple):
    """One pre-activation per unit: which blocks of H parameter rows make it.

    a = weight_ih[block] @ x + weight_hh[block] @ message + biases, each absent part being None or empty.
    """

    name: str
    weight_ih: int | None
    weight_hh: int | None
    biases: tuple = ()  # of (parameter name, block)


class Linearised(NamedTuple):
    """One tick of one row, linearised; H units, k states a unit, G groups of pre-activations a unit.

    With s the old state, a the pre-activations and m the messages, vectors that the recurrent weights multiply::

        ds'[p, j] = sum_q direct[p, q, j] ds[q, j] + sum_g gain[p, g, j] da[g, j]
        dm[g, j]  = sum_q message_direct[g, q, j] ds[q, j] + sum_e message_gain[g, e, j] da[e, j]
        da[g]     = weight_hh[g] @ dm[g] + (what the change of the parameters does)

    Everything but weight_hh is local to a unit. `message_gain` is non-zero only where a group's message depends on the
    pre-activation of an earlier group. Parameters that weigh a unit's own state (peepholes) act on the pre-activation
    of their group like an input weight, with `own_source` as input.
    """

    state: np.ndarray  # (k, H) new state
    direct: np.ndarray  # (k, k, H)
    gain: np.ndarray  # (k, G, H)
    message: np.ndarray  # (G, H)
    message_direct: np.ndarray  # (G, k, H)
    message_gain: np.ndarray  # (G, G, H)
    own_source: np.ndarray  # (rows of the peephole parameter, H)

    @classmethod
    def empty(cls, states, groups, hidden, own, dtype):
        """Arrays of zeros in the right shapes, for a kernel to fill."""
        shapes = [
            (states, hidden),
            (states, states, hidden),
            (states, groups, hidden),
            (groups, hidden),
            (groups, states, hidden),
            (groups, groups, hidden),
            (own, hidden),
        ]
        return cls(*(np.zeros(shape, dtype) for shape in shapes))


class Cell(ABC):
    """One recurrent layer in one direction; the contract is at the top of the file."""

    state_names = ("h",)
    trace_names = ("h",)
    groups = ()
    carried = None
    examples = ()  # option sets with numbers and names that are tested besides all choices
    gate_dependent = False  # whether a recurrent input depends on a pre-activation of the same time step
    input_delay = False  # whether the readout sees the state before the time step
    plain_units = False  # whether a unit is f(weighted sum) of inputs and units, with nothing besides
    connections = None  # table (H, I + H) of the connections: 1 trainable, 0 frozen, -1 absent; None: all are there
    own_groups = ()  # the group that each row of the peephole parameter acts on

    def __init__(self, n_inputs, hidden, dtype):
        self.n_inputs = at_least("inputs", n_inputs, 1)
        self.hidden = at_least("hidden", hidden, 1)
        self.dtype = floating_type(dtype)
        self.space = Workspace(self.dtype)
        self.weights = self.gradients = self.scratch = None

    @abstractmethod
    def shapes(self):
        """Names and shapes of the parameters."""

    @abstractmethod
    def forward(self, x, state, lengths, reverse):
        """Walk a batch; the outputs (T, B, H)."""

    @abstractmethod
    def slots_of_walk(self):
        """(flat state arrays ((T+1)*B, H) in the order of `state_names`, B, reverse) of the last walk."""

    def final_state(self):
        """The states (B, H) at the end of the last walk, views."""
        arrays, batch, reverse = self.slots_of_walk()
        return [array[:batch] if reverse else array[-batch:] for array in arrays]

    def state_after(self, ticks):
        """The states (B, H) after so many ticks of the last walk, which went forward; views."""
        arrays, batch, _ = self.slots_of_walk()
        return [array[ticks * batch : (ticks + 1) * batch] for array in arrays]

    @abstractmethod
    def backward(self, dy, d_state, dx):
        """Walk back; parameter gradients accumulate."""

    @abstractmethod
    def traces(self):
        """Gates and states of the last forward walk."""

    @abstractmethod
    def linearise(self, x, state):
        """One tick x (I), state (k, H) as a `Linearised`."""

    @abstractmethod
    def tick_options(self):
        """(whole numbers, numbers) that the kernel `tick` needs."""

    @staticmethod
    def kept(options):
        """Options as a configuration keeps them, in numbers, texts and lists."""
        return dict(options)

    def trainable(self):
        """``{parameter: bool or bool array}``, False where an entry is frozen or absent; {} if all are trained."""
        return {}

    def initialise(self, weights, rng):
        """Uniform in +-1/sqrt(hidden), as PyTorch does for its recurrent layers."""
        bound = 1 / np.sqrt(self.hidden)
        for name, _ in self.shapes():
            weights[name][...] = rng.uniform(-bound, bound, weights[name].shape)

    def bind(self, weights, gradients, scratch):
        """Use these views of the parameters and gradients, and `scratch` (shared by all layers) for passing needs."""
        self.weights, self.gradients, self.scratch = weights, gradients, scratch

    def buffer(self, name, *shape):
        """A named array of the cell's own workspace."""
        return self.space.array(name, shape)

    def slots(self, name, steps, batch, first, reverse):
        """The flat state array ((T+1)*B, H) of a walk, with the initial state in its slot."""
        array = self.buffer(name, (steps + 1) * batch, self.hidden)
        start = steps * batch if reverse else 0
        array[start : start + batch] = first
        return array


def states_after(array, steps, batch, reverse):
    """The (T, B, H) view of the slots that a walk wrote: the state after each tick."""
    slots = array.reshape(steps + 1, batch, -1)
    return slots[:steps] if reverse else slots[1:]


def states_before(array, steps, batch, reverse):
    """The (T*B, H) view of the state before each tick."""
    return array[batch:] if reverse else array[: steps * batch]


BIASES = {"single": ("bias_ih",), "double": ("bias_ih", "bias_hh"), "none": ()}


def bias_shapes(kind, rows):
    """The bias parameters of `rows` rows: one, PyTorch's two, or none."""
    return [(name, (rows,)) for name in BIASES[one_of("bias", kind, BIASES)]]


def floating_type(dtype):
    """The NumPy type of the name or type `dtype`. Raises `RnnsimError` unless it is float32 or float64."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    return np.dtype(one_of("dtype", name, ("float32", "float64")))
