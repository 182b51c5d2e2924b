"""Truncated back-propagation through time, BPTT(h; h') (Williams & Peng 1990)."""

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.registry import at_least, require
from rnnsim.learning.interface import GRADIENT, TIME, LearnResult, Rule


class TruncatedBPTT(Rule):
    """Truncated back-propagation through time, BPTT(h; h') (R. J. Williams & J. Peng, Neural Computation 2(4):490-501, 1990).

    Every h' time steps the errors of the last h' time steps are followed back over the last h time steps, h >= h',
    and the weights change::

        dE/dtheta ~ sum over t in the last h of dE'/ds(t) ds(t)/dtheta,    E' the loss of the last h' time steps

    The state runs on; the gradient takes the state before the window as a constant. BPTT(T; T) is plain BPTT, BPTT(h;
    1) looks back at every time step. The window is unrolled again from its first state with the current weights, so
    its gradient is exact up to the truncation.

    horizon   h, time steps
    every     h', time steps between two updates; None: h

    An update unrolls h time steps forward and back, so a time step costs about 3 h / h' forward ones; memory is that
    of h activations. Raises `RnnsimError` for h < 1, h' < 1, h' > h, bidirectional networks, and ragged sequences
    with a loss at their end.

    >>> rule = TruncatedBPTT(horizon=20, every=10)
    >>> [window for window in rule.windows(25)]
    [(0, 0, 10), (0, 10, 20), (5, 20, 25)]
    """

    name = "tbptt"
    needs = frozenset({GRADIENT, TIME})

    def __init__(self, horizon: int = 20, every: int | None = None):
        self.horizon = at_least("horizon", horizon, 1)
        self.every = at_least("every", horizon if every is None else every, 1)
        require(self.every <= horizon, f"every={every}: expected at most the horizon, {horizon} time steps")

    def check(self, net, task):
        """See `Rule.check`. A bidirectional network has no state in mid-sequence from which a window could start."""
        super().check(net, task)
        require(net.directions == 1, "rule tbptt: a bidirectional network needs whole sequences; use bptt")

    def windows(self, steps):
        """(start of the window, first time step whose error counts, end) of every update in a batch of `steps` time steps."""
        for counted in range(0, steps, self.every):
            end = min(counted + self.every, steps)
            yield max(0, end - self.horizon), counted, end

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `Rule.learn`: one update a window."""
        steps = batch.time_steps
        if loss.when == "last":
            return self._learn_end(net, batch, loss, apply, state)
        weights = np.array(batch.counted(), copy=True)
        outputs, total, amount, first = None, 0.0, 0.0, 0
        for start, counted, end in self.windows(steps):
            # The pass over the window before holds the state that this one starts from. For windows from the first time
            # step on, None stands for the network's initial state, which may be learned.
            state = net.state_after(start - first) if start > first else state
            first = start
            part = batch.window(start, end)
            part.weights = np.array(weights[start:end], copy=True)
            part.weights[: counted - start] = 0
            result = net.loss_and_gradient(part, loss, state)
            if outputs is None:
                outputs = np.empty((steps, *result.outputs.shape[1:]), result.outputs.dtype)
            outputs[counted:end] = result.outputs[counted - start :]
            share = float(part.weights.sum()) if loss.per == "step" else 1.0
            total, amount = total + share * result.loss, amount + share
            final = result.state
            if part.weights.any():
                apply(result.gradient)
        mean = total / amount if loss.per == "step" and amount else total
        return LearnResult(mean, outputs, final)

    def _learn_end(self, net, batch, loss, apply, state):
        """Learn from a loss at the end of the sequence: one window, the last h time steps."""
        start = max(0, batch.time_steps - self.horizon)
        ragged = batch.lengths is not None and (np.asarray(batch.lengths) != batch.time_steps).any()
        require(
            not (ragged and start),
            "rule tbptt: cannot take sequences of different lengths with a loss at their end; use bptt",
        )
        if start:
            before, batch = (
                Sequences(inputs, batch.targets, batch.weights)
                for inputs in (batch.inputs[:start], batch.inputs[start:])
            )
            state = net.evaluate(before, loss, state).state
        result = net.loss_and_gradient(batch, loss, state)
        apply(result.gradient)
        return LearnResult(result.loss, result.outputs, result.state)
