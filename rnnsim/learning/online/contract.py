"""The contract of a rule that learns while the sequence runs."""

from abc import abstractmethod

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.learning.interface import LINEARISATION, TIME, Apply, LearnResult, Rule
from rnnsim.learning.online.engine import Engine
from rnnsim.learning.online.structure import check_paths, structure_of


class OnlineRule(Rule):
    """A rule that carries the influence of the parameters forward in time, on any cell with a linearisation::

        s(t) = F(s(t-1), x(t), w),    dE(t)/dw = dE(t)/ds(t) ds(t)/dw

    A rule writes three methods: `memory` (its arrays), `kernels` (what it does at a time step) and, if it needs it,
    `check_network` (what it refuses). The engine (`rnnsim.learning.online.engine`) does the rest: cells, losses,
    readouts, streams, threads.

    every   time steps between two updates; 0: one update a batch, at its end. Updates do not clear the influence.

    Attributes
    ----------
    forces : whether the rule can do teacher forcing (Williams & Zipser 1989): units that have a target at a time step are
        set to it for the next one, and depend on nothing then. Such a rule is a `ForcingRule`
    remembers : whether what the rule learns about the network, in its memory, outlasts a sequence
    cells : names of the cells that the rule serves; empty: all

    Raises `RnnsimError` for networks of more than one layer, bidirectional ones, and networks without a
    linearisation.

    >>> from rnnsim.learning import RULES
    >>> rule = RULES.build("rtrl", {"every": 5})
    >>> isinstance(rule, OnlineRule), rule.every, rule.forces
    (True, 5, True)
    """

    needs = frozenset({LINEARISATION})
    forces = False
    remembers = False
    cells = ()

    def __init__(self, every: int = 0):
        self.every = at_least("every", every, 0)
        self._engine = None

    @abstractmethod
    def memory(self, net, structure, sizes, streams):
        """The arrays that the rule carries from time step to time step: a NamedTuple with names of its own.

        structure, sizes : `rnnsim.learning.online.structure.Structure` and `Sizes` of the network
        streams          : S, the first axis of every array but the vectors

        At most three arrays (S, m, n), one array (S, m, n, o), one vector of int64 and one vector of ``sizes.dtype``
        (the vectors are shared by all streams); their values are those before the first time step. A field ``clock``
        with default None gets the key of the stream's random numbers and the time step, (S, 2) int64.
        """

    @abstractmethod
    def kernels(self, net, structure, sizes):
        """The kernels (advance, credit, forget) or (advance, credit, forget, finish) of the rule.

        Each is a compiled function of (flow, storage): one stream at one time step, as a
        `rnnsim.learning.online.kernels.Flow`, and the arrays of `memory` for that stream, as a `Storage` from which
        the rule makes its own NamedTuple again.

        advance : carry the influence through the time step that stands in ``flow.linear``
        credit  : add ``flow.credit`` (dE/dh) times the influence to ``flow.gradient``; called where the loss counts
        forget  : clear the influence on the units that were set to their targets; `nothing` for a rule without `forces`
        finish  : add what is still missing to ``flow.gradient``, which is about to be used; for a rule that collects
                  time steps
        """

    def check_network(self, net, structure, sizes):  # noqa: B027 - most rules refuse nothing of their own
        """Raise `RnnsimError`, one line, for a network that this rule cannot serve."""

    def clear(self, memory):
        """Prepare the rule's memory for the first time step of a sequence: by default every array (S, m, n) becomes zero.

        A rule that `remembers` leaves what it has learned about the network.
        """
        for array in memory:
            if array is not None and array.ndim == 3:
                array[...] = 0

    def check(self, net, task):
        """See `rnnsim.learning.interface.Rule.check`."""
        if TIME not in net.capabilities:
            super().check(net, task)
        structure, sizes = structure_of(net)
        super().check(net, task)
        check_paths(net, self.force)
        self.check_network(net, structure, sizes)
        if task is not None:
            check_forcing(self, net, task.loss)

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `rnnsim.learning.interface.Rule.learn`: one update every `every` time steps, or one at the end."""
        xs, targets, weights = stream_arrays(net, batch, loss)
        check_forcing(self, net, loss, targets, weights)
        if state is None and self.remembers:
            self._engine = None  # a new training: forget what an earlier one learned about its network
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
        # The kernel does plain gradient descent at every time step by itself, in one call and with the same bits.
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
        # An engine holds addresses of this process and views of its network, so a copied rule makes its own.
        return {**self.__dict__, "_engine": None}

    def _engine_for(self, net, streams):
        engine = self._engine
        if engine is None or engine.net is not net or len(engine.state) != streams:
            engine = self._engine = Engine(net, self, streams)
        return engine


class ForcingRule(OnlineRule):
    """A rule that can do teacher forcing; `force` says whether it does."""

    forces = True

    def __init__(self, every: int = 0, force: bool = False):
        super().__init__(every)
        self.force = force


def check_forcing(rule, net, loss, targets=None, weights=None):
    """Raise `RnnsimError` if the rule does teacher forcing and the network has no output units, or a time step no target."""
    if not rule.force:
        return
    require(
        net.readout == "units",
        f"force=True: teacher forcing sets units to their targets and needs readout=units, not readout={net.readout}",
    )
    require(
        loss.kind == "squared_error", f"force=True: units have no targets under a {loss.kind} loss; use squared_error"
    )
    require(
        loss.when == "every",
        "force=True: teacher forcing needs a target at every time step, and this task has one at the end",
    )
    if targets is None:
        return
    missing = ~np.isfinite(targets).all(axis=2) & (weights != 0)
    if missing.any():
        s, t = (int(i) for i in np.argwhere(missing)[0])
        require(
            False,
            f"force=True: time step {t} of sequence {s} has no full target; teacher forcing needs one for every output",
        )


def stream_arrays(net, batch, loss):
    """Inputs (S, T, I), targets (S, T, K) and weights (S, T) of a batch; the weight is 0 where the loss does not count."""
    inputs, lengths = net._checked(batch.inputs, batch.lengths)
    steps, rows = inputs.shape[:2]
    if net.tokens:
        inputs = np.eye(net.n_inputs, dtype=net.dtype)[inputs]
    targets = np.asarray(batch.targets)
    if loss.kind == "softmax" and targets.dtype.kind in "iu" and targets.ndim == (1 if loss.when == "last" else 2):
        targets = np.eye(net.n_outputs)[targets]
    ends = np.full(rows, steps) if not lengths.size else lengths
    time_steps = np.arange(steps)[:, None]
    if loss.when == "last":
        weights = (time_steps == ends - 1).astype(net.dtype)
        if batch.weights is not None:
            weights *= np.asarray(batch.weights)
        targets = np.broadcast_to(targets, (steps, *targets.shape))
    else:
        weights = (time_steps < ends).astype(net.dtype)
        if batch.weights is not None:
            weights *= np.asarray(batch.weights)
    wanted = (steps, rows, net.n_outputs)
    require(targets.shape == wanted, f"targets of shape {targets.shape}: expected {wanted}")
    return tuple(np.ascontiguousarray(np.swapaxes(array, 0, 1), net.dtype) for array in (inputs, targets, weights))
