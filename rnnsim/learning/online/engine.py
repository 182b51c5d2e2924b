"""A network and an online rule on many streams: the Python side of the engine, and what every rule inherits."""

import os
from abc import abstractmethod
from typing import NamedTuple

import numpy as np

from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import pointer
from rnnsim.core.losses import KINDS
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import stream_key
from rnnsim.core.threads import get_threads, parallel_region
from rnnsim.errors import RnnsimError
from rnnsim.learning.interface import LINEARISATION, TIME, Apply, LearnResult, Rule
from rnnsim.learning.online.engine import (
    Streams,
    Structure,
    flow_of,
    memory_of,
    nothing,
    walk_streams,
    walk_streams_parallel,
)


class Shape(NamedTuple):
    """The sizes that a rule makes its memory from."""

    states: int  # k
    hidden: int  # H
    groups: int  # G
    sources: int  # length of the vector of sources
    parameters: int  # of the cell
    dtype: np.dtype


def structure_of(net):
    """The `Structure` of a network of one layer. Raises `RnnsimError` if the engine cannot serve it."""
    if LINEARISATION not in net.capabilities:
        need = size_in_words(net.n_parameters * net.state_size * net.dtype.itemsize)
        raise RnnsimError(
            f"a network '{net.config['name']}' is no cell with a readout: online rules do not serve it, and the influence of its "
            f"{net.n_parameters:,} parameters on {net.state_size:,} states would take {need} a sequence"
        )
    require(net.directions == 1, "bidirectional=True: a rule that learns while the sequence runs cannot see its end")
    require(net.layers == 1, f"layers={net.layers}: online rules serve one layer")
    require(not net.embedding, f"embedding={net.embedding}: online rules take symbols one-hot")
    require(not net.learned_initial_state, "learned_initial_state=True: online rules start from a given state")
    (cell,) = net.cells.values()
    hidden, inputs, layout = net.hidden, cell.n_inputs, net.layout
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole")
    there = {name: layout[f"{name}_l0"] for name in names if f"{name}_l0" in layout}
    places = [there[name].offset if name in there else -1 for name in names]
    places += [there[name].size if name in there else 0 for name in names]
    first = min(entry.offset for entry in there.values())
    count = sum(entry.size for entry in there.values())
    unit, source = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    recurrent_inputs = inputs
    own = recurrent_inputs + len(cell.groups) * hidden
    constant = own + len(cell.peephole_groups) * hidden

    def enter(name, block, width, g, sources):
        """Rows block*H.. of an array act on the units of group g; its columns weigh `sources`."""
        start = there[name].offset - first + block * hidden * width
        where = slice(start, start + hidden * width)
        assert (unit[where] < 0).all()
        unit[where] = np.repeat(g * hidden + np.arange(hidden), width)
        source[where] = sources if np.ndim(sources) == 0 else np.tile(sources, hidden)

    recurrent = np.full(len(cell.groups), -1, np.int64)
    for g, group in enumerate(cell.groups):
        if group.weight_ih is not None:
            enter("weight_ih", group.weight_ih, inputs, g, np.arange(inputs))
        if group.weight_hh is not None:
            enter("weight_hh", group.weight_hh, hidden, g, recurrent_inputs + g * hidden + np.arange(hidden))
            recurrent[g] = there["weight_hh"].offset + group.weight_hh * hidden * hidden
        for name, block in group.biases:
            enter(name, block, 1, g, constant)
    for row, g in enumerate(cell.peephole_groups):
        start = there["weight_peephole"].offset - first + row * hidden
        unit[start : start + hidden] = g * hidden + np.arange(hidden)
        source[start : start + hidden] = own + row * hidden + np.arange(hidden)
    assert (unit >= 0).all()
    whole, numbers = cell.time_step_options()
    readout = layout["weight_out"].offset if net.readout == "linear" else -1
    empty = cell.linearise(np.zeros(inputs, net.dtype), np.zeros((len(cell.state_names), hidden), net.dtype))
    structure = Structure(
        unit,
        source,
        recurrent,
        np.array(cell.peephole_groups, np.int64),
        np.array(places, np.int64),
        np.array([*whole, *[0] * (8 - len(whole))], np.int64),
        np.array([*numbers, *[0] * (4 - len(numbers))], net.dtype),
        first,
        readout,
        cell.gate_dependent,
        cell.input_delay,
    )
    return structure, Shape(len(empty.state), hidden, len(cell.groups), constant + 1, count, net.dtype)


def runs_of(structure):
    """The stretches of neighbouring parameters that weigh neighbouring sources in one unit."""
    unit, source = structure.unit.astype(np.int64), structure.source.astype(np.int64)
    begins = np.flatnonzero(np.r_[True, (np.diff(unit) != 0) | (np.diff(source) != 1)])
    ends = np.r_[begins[1:], len(unit)]
    return np.stack([ends, unit[begins], source[begins]], axis=1).ravel()


class Engine:
    """A network and a rule on so many streams at once, ready to run.

    `theta` (1 or S, P) holds the parameters: one vector for all streams (the network's own), or with `own` one for each.
    `gradient` (S, P) is added up by `run` until it is cleared. Raises `RnnsimError` if the engine or the rule cannot serve the
    network.
    """

    def __init__(self, net, rule, streams=1, own=False, seed=0):
        self.net, self.rule = net, rule
        structure, shape = structure_of(net)
        self.shape, self.structure = shape, structure
        rule.check_network(net, structure, shape)
        (cell,) = net.cells.values()
        k, n, groups, dtype = shape.states, shape.hidden, shape.groups, shape.dtype

        def zeros(*sizes):
            return np.zeros((streams, *sizes), dtype)

        sizes = Linearised.empty(k, groups, n, len(cell.peephole_groups), dtype)
        self.theta = np.repeat(net.theta[None], streams, axis=0) if own else net.theta[None]
        self.gradient = zeros(net.n_parameters)
        memory = rule.memory(net, structure, shape, streams)
        self.linear = Linearised(*(zeros(*part.shape) for part in sizes))
        self.memory = memory._replace(clock=np.zeros((streams, 2), np.int64))
        self._seed = None
        self.begin_noise(seed, 0)
        self.streams = Streams(
            self.theta,
            self.gradient,
            zeros(cell.n_inputs),
            zeros(k, n),
            zeros(shape.sources),
            zeros(n),
            zeros(net.n_outputs),
            zeros(8 * n + 2 * k * n + 2 * groups * n + net.n_outputs),
            zeros(k, n),
        )
        self.state = self.streams.state
        flow, carried = flow_of(self.streams, self.linear, structure, 0), memory_of(self.memory, 0)
        tick = pointer(cell.time_step, flow.linear, flow.theta, flow.x, flow.before, flow.work, structure)
        duties = [pointer(kernel, flow, carried) for kernel in (*rule.kernels(net, structure, shape), nothing)[:4]]
        self.calls = (tick, *duties)

    def reset(self):
        """State, influence and gradient as before the first tick."""
        self.state[...] = 0
        self.gradient[...] = 0
        self.rule.clear(self.memory)

    def begin_noise(self, seed, number):
        """The random numbers of the rule as they begin with batch `number` of a seed."""
        clock = self.memory.clock
        if seed != self._seed:
            self._seed = seed
            for s in range(len(clock)):
                clock[s, 0] = np.uint64(stream_key(seed, f"rule {s}")).astype(np.int64)
        clock[:, 1] = number << 32

    def run(self, xs, targets, weights, kind, scale=1.0, rate=0.0, forced=False):
        """All streams through xs (S, T, I), targets (S, T, K), weights (S, T); gives losses (S,) and outputs (S, T, K).

        Losses are weighed by weights and scale; with a rate above 0, theta learns at every tick.
        """
        outputs = np.zeros((*xs.shape[:2], self.net.n_outputs), self.shape.dtype)
        losses = np.zeros(len(xs))
        dtype = self.shape.dtype
        arguments = (losses, self.streams, self.linear, self.structure, self.memory, xs, targets, weights, outputs)
        arguments += (self.calls, KINDS.index(kind), dtype.type(scale), dtype.type(rate), forced)
        shared = rate > 0 and len(self.theta) < len(xs)
        require(not shared, "rate: streams that share their parameters cannot each change them at every tick")
        tasks = min(get_threads(), len(xs))
        with parallel_region:  # also around the serial walk: a wide rule uses all threads by itself
            if tasks == 1:
                walk_streams(*arguments, 0, len(xs))
            else:
                walk_streams_parallel(*arguments, tasks)
        return losses, outputs

    def take_gradient(self):
        """The gradient of all streams together, and none is left."""
        total = self.gradient.sum(axis=0)
        self.gradient[...] = 0
        if self.net.trainable is not None:
            total *= self.net.trainable
        return total

    def carried(self):
        """What goes on from batch to batch: the state as networks give it, (k, S, H), and the rule's memory, not copied."""
        memory = self.memory
        return [self.state.swapaxes(0, 1), memory.a, memory.b, memory.c, memory.clock]

    def remembered(self):
        """What the rule carries on to a new sequence, by name, not copied."""
        memory = self.memory
        return {"a": memory.a, "b": memory.b, "c": memory.c, "clock": memory.clock}

    def remember(self, arrays):
        """Begin new sequences with what `remembered` gave."""
        for name, mine in self.remembered().items():
            if arrays[name] is not mine:
                mine[...] = arrays[name]
        self._seed = None
        self.state[...] = 0
        self.rule.clear(self.memory)

    def resume(self, carried):
        """Go on from what `carried` gave, or from a state alone with the influence cleared."""
        state, *parts = carried
        require(
            np.shape(state) == (self.shape.states, len(self.state), self.shape.hidden),
            f"state: expected shape {(self.shape.states, len(self.state), self.shape.hidden)}, got {np.shape(state)}",
        )
        state = np.array(state.swapaxes(0, 1))
        if not parts:
            self.reset()
        memory, self._seed = self.memory, None
        for mine, given in zip((memory.a, memory.b, memory.c, memory.clock), parts):
            if given is not mine:
                mine[...] = given
        self.state[...] = state


class OnlineRule(Rule):
    """What a rule that learns while the sequence runs is made of. A rule

    1. gives in ``memory(net, structure, shape, streams)`` the arrays that it carries, with the stream as first axis, as a
       `rnnsim.learning.online.Memory`, zero where there is nothing yet;
    2. gives in ``kernels(net, structure, shape)`` its duties (advance, credit, forget), kernels of (flow, memory): take the
       influence through the tick that stands in `flow.linear`; add ``flow.credit`` times the influence to ``flow.gradient``;
       forget what units that were set to their targets depend on (`nothing`, if `forces` is False); a rule that gathers ticks
       gives a fourth one, finish: add what is still missing to ``flow.gradient``, for it is about to be used;
    3. may refuse a network in ``check_network(net, structure, shape)`` by a `RnnsimError` of one line;
    4. may set up its memory anew in ``clear(memory)``, at the begin of a sequence; the default is zeros. A rule that keeps there
       what it has learned about the network says ``remembers = True``.

    Options of all rules

    every   ticks between two updates; 0: one update a batch, at its end. The influence is carried on over updates.

    Teacher forcing (Williams & Zipser 1989): a rule with ``forces = True`` has an option ``force: bool = False`` and keeps it in
    `force`. Units that have a target at a tick are set to it for the next one, and depend on nothing then.
    """

    needs = frozenset({LINEARISATION})
    forces = False
    remembers = False
    cells = ()  # names of the cells that the rule serves, if not all

    def __init__(self, every: int = 0):
        self.every = at_least("every", every, 0)
        self._engine = None

    @abstractmethod
    def memory(self, net, structure, shape, streams):
        """The arrays that the rule carries, with the stream as first axis."""

    @abstractmethod
    def kernels(self, net, structure, shape):
        """The kernels (advance, credit, forget)."""

    def check_network(self, net, structure, shape):  # noqa: B027 - most rules refuse nothing of their own
        """Refuse a network that the rule cannot serve."""

    def clear(self, memory):
        """The memory as before the first tick."""
        for part in (memory.a, memory.b, memory.c):
            part[...] = 0

    def check(self, net, task):
        """See `rnnsim.learning.interface.Rule.check`."""
        if TIME not in net.capabilities:
            super().check(net, task)
        structure, shape = structure_of(net)
        super().check(net, task)
        check_paths(net, self.force)
        self.check_network(net, structure, shape)
        if task is not None:
            check_forcing(self, net, task.loss)

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `rnnsim.learning.interface.Rule.learn`: one update every `every` time steps, or one at the end."""
        xs, targets, weights = stream_arrays(net, batch, loss)
        check_forcing(self, net, loss, targets, weights)
        if state is None and self.remembers:
            self._engine = None  # a new training: what was learned of a network in an earlier one is forgotten
        engine = self._engine_for(net, len(xs))
        seed, number = self.randomness
        self.randomness = seed, number + 1
        if state is not None:
            engine.resume(state)
        elif memory:
            engine.remember(memory)
        else:
            engine.reset()
            engine.begin_noise(seed, number)
        steps = xs.shape[1]
        factor = 1 / np.log(2) if loss.unit == "bits" else 1.0
        # Plain descent at every tick stays in the kernel: one call instead of one a tick, and the same bits.
        rate = (
            apply.rate
            if isinstance(apply, Apply) and self.every == 1 and len(xs) == 1 and net.trainable is None
            else 0.0
        )
        rate = rate if loss.per == "sequence" or ((weights == 0) | (weights == 1)).all() else 0.0
        length = steps if rate else self.every or steps
        total, amount, parts = 0.0, 0.0, []
        for start in range(0, steps, length):
            part = slice(start, min(start + length, steps))
            counted = float(weights[:, part].sum())
            share = counted if loss.per == "step" and not rate else float(len(xs))
            scale = factor / share if counted else 0.0
            arrays = (np.ascontiguousarray(array[:, part]) for array in (xs, targets, weights))
            losses, outputs = engine.run(*arrays, loss.kind, scale, rate, self.force)
            parts.append(outputs)
            total, amount = total + float(losses.sum()) * share, amount + (counted if loss.per == "step" else 0.0)
            if rate:
                apply.made(int(np.count_nonzero(weights)))
            elif counted:
                apply(engine.take_gradient())
        outputs = np.concatenate(parts, axis=1).swapaxes(0, 1)
        mean = total / (amount or 1.0) if loss.per == "step" else total / len(xs)
        if loss.when == "last":
            ends = np.full(len(xs), steps) if batch.lengths is None else np.asarray(batch.lengths)
            outputs = outputs[np.maximum(ends, 1) - 1, np.arange(len(xs))]
        memory = engine.remembered() if self.remembers else None
        return LearnResult(mean, np.ascontiguousarray(outputs), engine.carried(), memory)

    def __getstate__(self):
        # An engine has addresses of this process and views of its network; a copied rule makes one of its own.
        return {**self.__dict__, "_engine": None}

    def _engine_for(self, net, streams):
        engine = self._engine
        if engine is None or engine.net is not net or len(engine.state) != streams:
            engine = self._engine = Engine(net, self, streams)
        return engine


def check_forcing(rule, net, loss, targets=None, weights=None):
    """Raises `RnnsimError` if the rule forces outputs to targets and there is no output, or no target, that it could take."""
    if not rule.force:
        return
    require(
        net.readout == "units",
        f"force=True: teacher forcing sets units to their targets and needs readout=units, not readout={net.readout}",
    )
    require(
        loss.kind == "squared_error", f"force=True: units have no targets under a {loss.kind} loss, take squared_error"
    )
    require(
        loss.when == "every",
        "force=True: teacher forcing needs a target at every tick, and this task has one at the end",
    )
    if targets is None:
        return
    missing = ~np.isfinite(targets).all(axis=2) & (weights != 0)
    if missing.any():
        s, t = (int(i) for i in np.argwhere(missing)[0])
        require(
            False,
            f"force=True: tick {t} of sequence {s} has no full target; teacher forcing needs one for every output",
        )


def check_paths(net, forced=False):
    """Raises `RnnsimError` if a table of connections cuts all paths from the inputs to the outputs.

    With teacher forcing the targets come in at the outputs, so an oscillator may do without inputs.
    """
    (cell,) = net.cells.values()
    table = cell.connections
    if table is None or forced:
        return
    there = np.asarray(table) >= 0
    reached = there[:, : cell.n_inputs].any(axis=1)
    for _ in range(cell.hidden):
        reached = reached | (there[:, cell.n_inputs :] & reached).any(axis=1)
    outputs = reached[: net.n_outputs] if net.readout == "units" else reached
    require(outputs.any(), "connections: the absent ones cut every path from an input to an output")


def stream_arrays(net, batch, loss):
    """Inputs (S, T, I), targets (S, T, K) and weights (S, T) of a batch, the stream first; weight 0 where nothing counts."""
    inputs, lengths = net._checked(batch.inputs, batch.lengths)
    steps, rows = inputs.shape[:2]
    if net.tokens:
        inputs = np.eye(net.n_inputs, dtype=net.dtype)[inputs]
    targets = np.asarray(batch.targets)
    if loss.kind == "softmax" and targets.dtype.kind in "iu" and targets.ndim == (1 if loss.when == "last" else 2):
        targets = np.eye(net.n_outputs)[targets]
    ends = np.full(rows, steps) if not lengths.size else lengths
    ticks = np.arange(steps)[:, None]
    if loss.when == "last":
        weights = (ticks == ends - 1).astype(net.dtype)
        if batch.weights is not None:
            weights *= np.asarray(batch.weights)
        targets = np.broadcast_to(targets, (steps, *targets.shape))
    else:
        weights = (ticks < ends).astype(net.dtype)
        if batch.weights is not None:
            weights *= np.asarray(batch.weights)
    wanted = (steps, rows, net.n_outputs)
    require(targets.shape == wanted, f"targets of shape {targets.shape}: expected {wanted}")
    return tuple(np.ascontiguousarray(np.swapaxes(array, 0, 1), net.dtype) for array in (inputs, targets, weights))


def size_in_words(count):
    """So many bytes, in words.

    >>> size_in_words(4500), size_in_words(3 * 2**30)
    ('4.4 KiB', '3.0 GiB')
    """
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"


def available_bytes():
    """Memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30


def check_size(rule, parameters, numbers, shape):
    """Raises `RnnsimError` if an influence of so many numbers does not fit into half of this machine's memory."""
    need = numbers * shape.dtype.itemsize
    require(
        need <= available_bytes() // 2,
        f"rule {rule}: the influence of {parameters:,} parameters on {shape.states * shape.hidden:,} states takes "
        f"{size_in_words(need)} a sequence",
    )


def carried_state(net):
    """Number of the one state that the cell of a network of one layer carries on, unit by unit; None for other cells."""
    (cell,) = net.cells.values()
    return None if cell.carried is None else cell.state_names.index(cell.carried)
