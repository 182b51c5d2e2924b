"""The contract of a recurrent cell: one recurrent layer in one direction.

A class that fulfils `Cell` works in every network and under every learning rule; one line in ``rnnsim/cells/__init__.py``
enters it in the registry.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from rnnsim.core.padding import padded_size
from rnnsim.core.registry import at_least, one_of
from rnnsim.core.workspace import Workspace


class Group(NamedTuple):
    """One pre-activation per unit: which blocks of H parameter rows make it.

    a = weight_ih[block] @ x + weight_hh[block] @ recurrent_input + biases, each absent part being None or empty.
    """

    name: str
    weight_ih: int | None
    weight_hh: int | None
    biases: tuple = ()  # of (parameter name, block)


class Linearised(NamedTuple):
    """One time step of one row, linearised; H units, k states a unit, G groups of pre-activations a unit.

    With s the old state, a the pre-activations and m the recurrent inputs, the vectors that the recurrent weights multiply::

        ds'[p, j] = sum_q direct[p, q, j] ds[q, j] + sum_g gain[p, g, j] da[g, j]
        dm[g, j]  = sum_q recurrent_input_direct[g, q, j] ds[q, j] + sum_e recurrent_input_gain[g, e, j] da[e, j]
        da[g]     = weight_hh[g] @ dm[g] + (what the change of the parameters does)

    Everything but weight_hh is local to a unit. `recurrent_input_gain` is non-zero only where the recurrent input of a group
    depends on the pre-activation of an earlier group. Parameters that weigh a unit's own state (peepholes) act on the
    pre-activation of their group like an input weight, with `peephole_input` as input.
    """

    state: np.ndarray  # (k, H) new state
    direct: np.ndarray  # (k, k, H)
    gain: np.ndarray  # (k, G, H)
    recurrent_input: np.ndarray  # (G, H)
    recurrent_input_direct: np.ndarray  # (G, k, H)
    recurrent_input_gain: np.ndarray  # (G, G, H)
    peephole_input: np.ndarray  # (rows of the peephole parameter, H)

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
    """One recurrent layer in one direction, with all that its passes need.

    ``__init__(n_inputs, hidden, dtype, **options)`` checks its options and annotates each one.

    A pass takes every row of a batch by itself: its bits do not depend on the other rows, on the number of threads or on what
    the work buffers held before. Their rows are padded to whole vectors (`rnnsim.core.padding`); states, outputs, traces
    and gradients that others see are not.

    Attributes
    ----------
    state_names : names of the k states that go from time step to time step; the first one is the output
    trace_names : names of what `traces` gives
    groups : the pre-activations of a unit, a `Group` each
    peephole_groups : the group that each row of the peephole parameter acts on
    gate_dependent : whether a recurrent input depends on a pre-activation of the same time step
    input_delay : whether the readout sees the state before the time step
    plain_units : whether a unit is f(weighted sum) of inputs and units, with nothing besides
    connections : table (H, I + H) of the connections: 1 trainable, 0 frozen, -1 absent; None: all are there
    carried : the one state that goes on from time step to time step, if a unit's next one depends on no other unit's; else None
    time_step : a kernel, see `time_step_options`
    """

    state_names = ("h",)
    unread_states = ()
    trace_names = ("h",)
    groups = ()
    carried = None
    peephole_groups = ()
    gate_dependent = False
    input_delay = False
    plain_units = False
    connections = None
    tested_options = ()  # option sets with numbers and names that are tested besides all choices

    def __init__(self, n_inputs, hidden, dtype):
        self.n_inputs = at_least("inputs", n_inputs, 1)
        self.hidden = at_least("hidden", hidden, 1)
        self.dtype = floating_type(dtype)
        self.padded = padded_size(self.hidden, self.dtype)
        self.space = Workspace(self.dtype)
        self.weights = self.gradients = self.scratch = None
        self._tape = None

    # -- what a cell defines ------------------------------------------------------------------------------------------

    @abstractmethod
    def shapes(self):
        """The parameters, a list of (name, shape).

        Names are PyTorch's without the suffix of the layer: weight_ih (G*H, I), weight_hh (G*H, H), bias_ih, bias_hh (G*H);
        rows lie gate by gate. Peepholes are weight_peephole (rows, H).
        """

    @abstractmethod
    def forward(self, x, state, lengths, reverse=False):
        """Unroll over a batch of sequences and keep what `backward` and `traces` need.

        x : (T, B, I) contiguous
        state : a list of one (B, H) array for each of `state_names`
        lengths : (B) whole numbers up to T, or (0): all sequences have full length
        reverse : whether to go from the last time step to the first

        Returns the outputs (T, B, H), contiguous, which the next call overwrites. Beyond the length of a sequence they
        repeat its last output.
        """

    @abstractmethod
    def state_slots(self):
        """(slots, B, reverse) of the last pass: the slots are a list of one ((T+1) * B, P) array for each of `state_names`."""

    @abstractmethod
    def backward(self, dy, d_state, dx=None):
        """Backpropagation through time over the last forward pass.

        dy : (T, B, H), the gradient of the outputs, or None for zero; what lies beyond a sequence is not read
        d_state : a list of (B, H) arrays; in place the gradient of the final states becomes that of the initial ones
        dx : (T, B, I), receives the gradient of the inputs unless it is None; may share its memory with dy

        Gradients of the parameters are added to the views that `bind` gave. What the forward pass kept is overwritten: there
        is one backward pass for a forward pass.
        """

    @abstractmethod
    def traces(self):
        """Every gate and state of the last forward pass: a dict of name -> (T, B, H), views, names as in `trace_names`.

        Only before `backward`; undefined beyond the length of a sequence.
        """

    @abstractmethod
    def linearise(self, x, state):
        """One time step of one row, x (I) and state (k, H), as a `Linearised` of new arrays."""

    @abstractmethod
    def time_step_options(self):
        """What the kernel `time_step` needs to know of the options: (whole numbers, numbers), at most 8 and 4.

        ``time_step(out, theta, x, before, work, structure)`` does from the flat parameters what `linearise` does: out is a
        `Linearised` to fill, theta all parameters of the network, x (I), before (k, H), work a buffer of 8 H numbers, structure
        a `rnnsim.learning.online.structure.Structure`, which holds these numbers as ``options`` and ``numbers``.
        """

    @staticmethod
    def kept(options):
        """Options as a configuration keeps them, in numbers, texts and lists."""
        return dict(options)

    def trainable(self):
        """``{parameter: bool or bool array}``, False where an entry is frozen or absent; {} if all are trained."""
        return {}

    def initialise(self, weights, rng):
        """Fill the parameters, a dict of name -> array: uniform in +-1/sqrt(hidden), as PyTorch does."""
        bound = 1 / np.sqrt(self.hidden)
        for name, _ in self.shapes():
            weights[name][...] = rng.uniform(-bound, bound, weights[name].shape)

    # -- what all cells have ------------------------------------------------------------------------------------------

    def bind(self, weights, gradients, scratch):
        """Use these views of the parameters and gradients, by name, and `scratch` (shared by all layers) for passing needs."""
        self.weights, self.gradients, self.scratch = weights, gradients, scratch

    def final_state(self):
        """The states at the end of the last pass, one contiguous (B, H) array each; the next pass overwrites them."""
        slots, batch, reverse = self.state_slots()
        return [np.ascontiguousarray(self.units(part[:batch] if reverse else part[-batch:])) for part in slots]

    def state_after(self, time_steps):
        """The states (B, H) after so many time steps of the last pass, which went forward; views."""
        slots, batch, _ = self.state_slots()
        return [self.units(part[time_steps * batch : (time_steps + 1) * batch]) for part in slots]

    def buffer(self, name, *shape):
        """A named array of the cell's own workspace."""
        return self.space.array(name, shape)

    def units(self, array):
        """An array (..., P) without its padding (..., H)."""
        return array if self.padded == self.hidden else array[..., : self.hidden]

    def slots(self, name, steps, batch, first, reverse):
        """The states ((T+1) * B, P) of a pass, with the initial one (B, H) in its slot."""
        array = self.buffer(name, (steps + 1) * batch, self.padded)
        start = steps * batch if reverse else 0
        put_padded(array[start : start + batch], first)
        return array

    def outputs(self, slots, steps, batch, reverse):
        """The outputs (T, B, H), contiguous: the state after each time step."""
        found = states_after(slots, steps, batch, reverse)
        if self.padded == self.hidden:
            return found
        outputs = self.buffer("outputs", steps, batch, self.hidden)
        outputs[...] = found[:, :, : self.hidden]
        return outputs

    def gate_traces(self, a, names, batch):
        """Views (T, B, H) of the gates in a (R, G*P), by name."""
        gates = a.reshape(-1, batch, len(names), self.padded)
        return {name: self.units(gates[:, :, g]) for g, name in enumerate(names)}

    def padded_rows(self, name, arrays, rows=None):
        """The sum of arrays (G*H) or (G, H) in a buffer (rows * P), gate by gate, in the last rows; zeros elsewhere."""
        size = arrays[0].size // self.hidden if arrays else 0
        rows = size if rows is None else rows
        buffer = self.buffer(name, rows * self.padded)
        buffer[...] = 0
        blocks = buffer.reshape(rows, self.padded)[rows - size :, : self.hidden]
        for array in arrays:
            blocks += array.reshape(size, self.hidden)
        return buffer

    def bias_arrays(self):
        """The bias parameters that there are."""
        return [self.weights[name] for name in BIASES[self.bias]]

    def padded_gradients(self, d_state):
        """The gradients of the states (B, H) in buffers (B, P); arrays without padding are used as they are."""
        if self.padded == self.hidden:
            return d_state
        buffers = [self.buffer(f"d_{name}", len(d), self.padded) for name, d in zip(self.state_names, d_state)]
        for buffer, d in zip(buffers, d_state):
            put_padded(buffer, d)
        return buffers

    def take_gradients(self, d_state, buffers):
        """d_state (B, H) <- the buffers of `padded_gradients`."""
        for d, buffer in zip(d_state, buffers):
            if buffer is not d:
                d[...] = buffer[:, : self.hidden]


def put_padded(padded, array):
    """padded (B, P) <- array (B, H), and zeros."""
    count = array.shape[1]
    padded[:, :count] = array
    padded[:, count:] = 0


def states_after(slots, steps, batch, reverse):
    """The (T, B, P) view of the slots that a pass wrote: the state after each time step."""
    slots = slots.reshape(steps + 1, batch, -1)
    return slots[:steps] if reverse else slots[1:]


def states_before(slots, steps, batch, reverse):
    """The (T*B, P) view of the state before each time step."""
    return slots[batch:] if reverse else slots[: steps * batch]


BIASES = {"single": ("bias_ih",), "double": ("bias_ih", "bias_hh"), "none": ()}


def bias_shapes(kind, rows):
    """The bias parameters of `rows` rows: one, PyTorch's two, or none."""
    return [(name, (rows,)) for name in BIASES[one_of("bias", kind, BIASES)]]


def floating_type(dtype):
    """The NumPy type of the name or type `dtype`. Raises `RnnsimError` unless it is float32 or float64."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    return np.dtype(one_of("dtype", name, ("float32", "float64")))
