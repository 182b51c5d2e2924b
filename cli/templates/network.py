"""MyNetwork: a time-delay network (Waibel et al. 1989), whose hidden layer sees the last inputs of a window.

It is written in plain NumPy: a network needs no kernels.
"""

import numpy as np

from rnnsim.cells.interface import floating_type
from rnnsim.core.losses import WHEN
from rnnsim.core.registry import at_least, one_of
from rnnsim.networks.interface import Forward, SequenceNetwork, generator, mask_beyond


def _ends(lengths, time_steps, batch):
    """The index of the last time step of every sequence in an array (T, B, ...)."""
    ends = lengths if lengths.size else np.full(batch, time_steps)
    return np.maximum(ends - 1, 0), np.arange(batch)


class MyNetwork(SequenceNetwork):
    """A network with a window over its inputs::

        a(t) = W [x(t); x(t-1); ...; x(t-window+1)] + b
        y(t) = V tanh(a(t)) + c

    Its state is the inputs of the window before the present one; at the first time step they are zero.

    hidden : hidden units, at least 1
    window : inputs that the hidden layer sees at a time, at least 1

    Parameters: weight_window (hidden, window * inputs), bias_window, weight_out (outputs, hidden), bias_out. Raises `RnnsimError`
    for sizes below 1.
    """

    trace_names = ("hidden",)

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        hidden: int = 32,
        window: int = 5,
        tokens: bool = False,
        dtype: str = "float32",
        rng: int = 0,
    ):
        self.n_inputs, self.n_outputs = at_least("inputs", n_inputs, 1), at_least("outputs", n_outputs, 1)
        self.hidden, self.window = at_least("hidden", hidden, 1), at_least("window", window, 1)
        self.tokens, self.dtype = tokens, floating_type(dtype)
        ends = dict(n_inputs=n_inputs, n_outputs=n_outputs, tokens=tokens, dtype=self.dtype.name)
        self.config = dict(name="MyNetwork", **ends, options=dict(hidden=hidden, window=window))
        seen = window * n_inputs
        self._lay_out(
            [("weight_window", (hidden, seen)), ("bias_window", (hidden,))]
            + [("weight_out", (n_outputs, hidden)), ("bias_out", (n_outputs,))]
        )
        self.n_recurrent_parameters, self.state_size = hidden * (seen + 1), (window - 1) * n_inputs
        self.cost_per_step = hidden * seen + n_outputs * hidden
        rng = generator(rng)
        for entry in self.layout:
            bound = 1 / np.sqrt(hidden if entry.name.endswith("out") else seen)
            self._weights[entry.name][...] = rng.uniform(-bound, bound, entry.shape)

    def initial_state(self, batch):
        """The inputs before the first one: zeros (window - 1, B, n), the oldest first."""
        return [np.zeros((self.window - 1, batch, self.n_inputs), self.dtype)]

    def state_after(self, time_steps):
        """The last inputs after so many time steps of the last pass."""
        return [self._passed[time_steps : time_steps + self.window - 1].copy()]

    def forward(self, inputs, lengths=None, state=None, record=(), when="every"):
        """Outputs (T, B, K), or (B, K) with when="last"; the final state; the traces in `record`: "hidden" (T, B, hidden)."""
        one_of("when", when, WHEN)
        inputs, lengths = self._checked(inputs, lengths)
        outputs, hidden, state = self._pass(inputs, lengths, state)
        mask_beyond(outputs, lengths)
        outputs = outputs[_ends(lengths, *outputs.shape[:2])] if when == "last" else outputs
        traces = {"hidden": hidden}
        records = self._recorded(traces, record, {"gates": lambda name: True}, lengths) if record else {}
        return Forward(outputs, state, records)

    def _pass(self, inputs, lengths, state):
        """(outputs, hidden, final state) at all time steps."""
        if self.tokens:
            inputs = np.eye(self.n_inputs, dtype=self.dtype)[inputs]
        steps, batch = inputs.shape[:2]
        state = self.initial_state(batch) if state is None else state
        self._check_state(state, batch)
        self._passed = np.concatenate([state[0], inputs])  # (window - 1 + T, B, n)
        recent = [self._passed[self.window - 1 - k : self.window - 1 - k + steps] for k in range(self.window)]
        self._seen, w = np.concatenate(recent, axis=-1), self._weights
        hidden = np.tanh(self._seen @ w["weight_window"].T + w["bias_window"])
        ends = lengths if lengths.size else np.full(batch, steps)
        final = np.stack([self._passed[end : end + self.window - 1, b] for b, end in enumerate(ends)], axis=1)
        return hidden @ w["weight_out"].T + w["bias_out"], hidden, [final]

    def _outputs(self, batch, loss, state):
        """(outputs, final state, what the backward pass needs) of a batch; outputs of the time steps that the loss counts."""
        inputs, lengths = self._checked(batch.inputs, batch.lengths)
        outputs, hidden, state = self._pass(inputs, lengths, state)
        self._ends = None
        if loss.when == "last":  # the outputs (B, K) of the last time step of every sequence
            self._ends = _ends(lengths, *outputs.shape[:2])
            outputs = outputs[self._ends]
        return outputs, state, hidden

    def _backward(self, d_outputs, hidden, learn_state):
        """Add the gradient of the parameters, from that of the outputs."""
        if self._ends is not None:
            at_ends, d_outputs = d_outputs, np.zeros((*hidden.shape[:2], self.n_outputs), self.dtype)
            d_outputs[self._ends] = at_ends
        gradients, rows = self._gradients, hidden.shape[0] * hidden.shape[1]
        d_outputs, hidden = d_outputs.reshape(rows, -1), hidden.reshape(rows, -1)
        d_a = d_outputs @ self._weights["weight_out"] * (1 - hidden * hidden)
        gradients["weight_out"] += d_outputs.T @ hidden
        gradients["bias_out"] += d_outputs.sum(axis=0)
        gradients["weight_window"] += d_a.T @ self._seen.reshape(rows, -1)
        gradients["bias_window"] += d_a.sum(axis=0)
