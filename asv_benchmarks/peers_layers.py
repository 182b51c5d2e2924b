"""One layer in rnnsim, PyTorch and JAX, for `asv_benchmarks.peers`: LSTM, GRU and fully recurrent.

The work: outputs y (T, B, H) of one layer from inputs x, the loss sum(y^2) / 2, and its gradient with respect to all weights
and biases of the layer; in milliseconds.
"""

import numpy as np

from asv_benchmarks.cases import CASES  # noqa: F401

TITLE, UNIT = "(B, T, in, H)", "milliseconds"
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def figure(case, milliseconds):
    """What the table shows of the time of a step."""
    return milliseconds


def problem(cell, case):
    """Weights in PyTorch's layout and inputs of a case, always the same."""
    batch, steps, n, hidden = case
    rng = np.random.default_rng(7)
    rows = GATES[cell] * hidden
    shapes = {"weight_ih": (rows, n), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
    bound = hidden**-0.5
    weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    return weights, rng.standard_normal((steps, batch, n)).astype(np.float32)


def rnnsim_step(cell, case):
    """A function that computes (loss, gradients by name)."""
    from rnnsim.networks import build

    weights, x = problem(cell, case)
    batch, _, n, hidden = case
    net = build(cell, n, hidden, {"hidden": hidden, "readout": "none", "bias": "double"})
    for name, value in weights.items():
        net.layout.view(net.theta, name + "_l0")[...] = value
    layer, state, lengths = net.cells["_l0"], net.initial_state(batch)[0], np.zeros(0, np.int64)
    d_state = [np.zeros_like(part) for part in state]

    def step():
        y = layer.forward(x, state, lengths)
        net.gradient[...] = 0
        for part in d_state:
            part[...] = 0
        loss = float(np.vdot(y, y)) / 2
        layer.backward(y, d_state)
        return loss

    def gradients():
        loss = step()
        return loss, {name: net.layout.view(net.gradient, name + "_l0").copy() for name in weights}

    return step, gradients


def torch_step(cell, case, threads=None):
    """The same with torch.nn.LSTM, GRU or RNN."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    weights, x = problem(cell, case)
    _, _, n, hidden = case
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](n, hidden)
    with torch.no_grad():
        for name, value in weights.items():
            getattr(layer, name + "_l0").copy_(torch.from_numpy(value))
    x = torch.from_numpy(x)

    def step():
        layer.zero_grad(set_to_none=False)
        y, _ = layer(x)
        loss = (y * y).sum() / 2
        loss.backward()
        return loss

    def gradients():
        loss = float(step().detach())
        return loss, {name: getattr(layer, name + "_l0").grad.numpy().copy() for name in weights}

    return step, gradients


def jax_step(cell, case):
    """The same as a jitted scan with value_and_grad; the input projection is taken out of the scan."""
    import jax
    import jax.numpy as jnp

    weights, x = problem(cell, case)
    batch, _, _, hidden = case

    def lstm(state, z, w):
        h, c = state
        i, f, g, o = jnp.split(z + h @ w["weight_hh"].T + w["bias_hh"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(state, z, w):
        (h,) = state
        xr, xz, xn = jnp.split(z, 3, axis=-1)
        hr, hz, hn = jnp.split(h @ w["weight_hh"].T + w["bias_hh"], 3, axis=-1)
        keep = jax.nn.sigmoid(xz + hz)
        new = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
        h = (1 - keep) * new + keep * h
        return (h,), h

    def rnn(state, z, w):
        h = jnp.tanh(z + state[0] @ w["weight_hh"].T + w["bias_hh"])
        return (h,), h

    time_step = {"lstm": lstm, "gru": gru, "rnn": rnn}[cell]

    def loss(w, x):
        z = x @ w["weight_ih"].T + w["bias_ih"]
        state = (jnp.zeros((batch, hidden)),) * (2 if cell == "lstm" else 1)
        _, y = jax.lax.scan(lambda state, z: time_step(state, z, w), state, z)
        return (y * y).sum() / 2

    both = jax.jit(jax.value_and_grad(loss))
    w, x = {name: jnp.asarray(value) for name, value in weights.items()}, jnp.asarray(x)

    def step():
        return jax.block_until_ready(both(w, x))

    def gradients():
        value, grads = step()
        return float(value), {name: np.asarray(grad) for name, grad in grads.items()}

    return step, gradients


def make(engine, cell, case):
    """(step, gradients) of an engine."""
    if engine == "rnnsim":
        return rnnsim_step(cell, case)
    if engine == "jax":
        return jax_step(cell, case)
    return torch_step(cell, case, 1 if engine == "torch-1-thread" else None)
