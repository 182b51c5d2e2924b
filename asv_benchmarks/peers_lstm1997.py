"""Memory blocks that learn online by the truncated rule of 1997, in rnnsim and written down by others' means; also by itself:

    python -m asv_benchmarks.peers_lstm1997 [--rounds 3] [--cases 0]

The work: the network of the paper's figure 2 (gates and cells see all of the hidden layer and the inputs, everything has a bias,
no forget gates), sequences one after the other, float64, an update of plain gradient descent at the end of a sequence
(`lstm1997`) or at every time step (`lstm1997-every`); in microseconds per time step, learning included. All have the same initial
weights and sequences; what the sequences of a step change in every weight must agree to 1e-10 of the largest change.

    rnnsim        `BlockLearner.learn`, one thread, as every engine here
    numba-loops   the equations as a student would compile them: loops over units and sources, `numba.njit`
    numba-fast    the same loops with `fastmath=True`, so that the compiler may add up in vectors
    numpy         the rule with arrays: a product for the hidden layer, outer products for the partial derivatives
    torch         automatic differentiation through s(t-1) -> s(t), the last outputs detached, a backward pass at the end of a
                  sequence. It cannot differentiate through weights that change at every time step: not `lstm1997-every`
    jax           a jitted scan over time steps in a scan over sequences that carries the partial derivatives; float64

What differs: rnnsim alone leaves out inputs that are zero, which most are where symbols come one-hot (cases with 7 or 8 inputs).
The others compute with them, like anything that is a product. Sequences are there before the clock starts.
"""

from functools import partial

import numpy as np

CASES = ((2, 1, 2, 2, 100), (8, 4, 2, 2, 50), (7, 7, 4, 1, 12))
TITLE, UNIT = "(in, out, blocks, cells of a block, T)", "microseconds per time step"
COMPARED, TOLERANCE = "changes of weights", 1e-10
NAMES = ("lstm1997", "lstm1997-every")
TIME_STEPS, RATE = 2000, 0.5  # time steps per repetition, learning rate
INIT = 0.1  # as in the paper; states that drift far leave changes so small that they are mostly rounding
KINDS = ("cell", "in_gate", "out_gate")


def engines(name, wanted):
    """Those of the engines that can do the work."""
    able = ("torch", "jax") if name == "lstm1997" else ("jax",)
    return ["numba-loops", "numba-fast", "numpy", *(engine for engine in able if engine in wanted)]


def figure(case, milliseconds):
    """What the table shows of the time of a step."""
    return 1e3 * milliseconds / (TIME_STEPS // case[-1] * case[-1])


def problem(name, case):
    """First weights, inputs (sequences, T, in) and targets (sequences, 1 or T, out); always the same."""
    inputs, outputs, blocks, size, steps = case
    rng = np.random.default_rng(7)
    cells, sequences = blocks * size, TIME_STEPS // steps
    sources = inputs + cells + 2 * blocks + 1
    w = rng.uniform(-INIT, INIT, (cells + 2 * blocks, sources))
    w_out = rng.uniform(-INIT, INIT, (outputs, cells + 1))
    x = rng.uniform(-1, 1, (sequences, steps, inputs))
    if inputs > 2:  # symbols
        x = np.eye(inputs)[x.argmax(axis=2)]
    else:  # a value and a rare marker
        x[:, :, 1] = rng.random((sequences, steps)) < 0.02
    return w, w_out, x, rng.uniform(0.2, 0.8, (sequences, 1 if name == "lstm1997" else steps, outputs))


def rows_of(case):
    """{kind: its rows of w}: cells, input gates, output gates, in the order in which the hidden layer sees them."""
    _, _, blocks, size, _ = case
    ends = np.cumsum([0, blocks * size, blocks, blocks])
    return {kind: slice(*ends[k : k + 2]) for k, kind in enumerate(KINDS)}


def named(w, w_out, case):
    """The weights by the names that rnnsim gives them."""
    rows = rows_of(case)
    found = {f"weight_{kind}": w[rows[kind], :-1] for kind in KINDS} | {"weight_out": w_out[:, :-1]}
    return found | {f"bias_{kind}": w[rows[kind], -1] for kind in KINDS} | {"bias_out": w_out[:, -1]}


def changes(w, w_out, name, case):
    """What has become of the first weights, by name."""
    before = problem(name, case)
    return named(w - before[0], w_out - before[1], case)


def rnnsim_step(name, case):
    """(step, learnt) of our online learner."""
    from rnnsim.core.batch import Sequences
    from rnnsim.core.losses import Loss
    from rnnsim.core.threads import set_threads
    from rnnsim.networks import build
    from rnnsim.networks.lstm1997.learner import BlockLearner

    set_threads(1)
    w, w_out, x, targets = problem(name, case)
    inputs, outputs, blocks, size, _ = case
    net = build("lstm1997", inputs, outputs, dict(blocks=blocks, size=size), "float64")
    views = net.layout.views(net.theta)
    for key, value in named(w, w_out, case).items():
        views.pop(key)[...] = value
    assert not views
    last, first = name == "lstm1997", net.theta.copy()
    batch = Sequences(x.swapaxes(0, 1).copy(), targets[:, 0] if last else targets.swapaxes(0, 1).copy())
    learner, loss = BlockLearner(net, RATE), Loss("squared_error", "last" if last else "every", "sequence")

    def step():
        return learner.learn(batch, loss).errors.mean()

    def learnt():
        error = step()
        return float(error), net.layout.views(learner.theta - first)

    return step, learnt


def errors_of_a_time_step(xp, logistic, w_out, y, h, out, target, blocks, size):
    """What outputs see, the distance to the target, errors of outputs, output gates and states; by numpy or jax.numpy."""
    below = xp.append(y, 1.0)
    output = logistic(w_out @ below)
    off = target - output
    e = off * output * (1 - output)
    d = e @ w_out[:, :-1]
    gate = out[::size]
    e_out = gate * (1 - gate) * (d * h).reshape(blocks, size).sum(axis=1)
    return below, off, e, e_out, (d * out * (1 - h * h) / 2)[:, None]


def numpy_step(name, case):
    """(step, learnt) of the rule with arrays."""
    w, w_out, x, targets = problem(name, case)
    _, _, blocks, size, _ = case
    cells, _, _ = rows_of(case).values()
    count = blocks * size

    def logistic(z):
        return 1 / (1 + np.exp(-z))

    def descend(u, y, s_cell, s_in, h, out, target):
        """Update all weights at a time step with a target; return the mean error."""
        below, off, e, e_out, e_s = errors_of_a_time_step(np, logistic, w_out, y, h, out, target, blocks, size)
        w_out[...] += RATE * np.outer(e, below)
        w[cells] += RATE * e_s * s_cell
        w[count : count + blocks] += RATE * (e_s * s_in).reshape(blocks, size, -1).sum(axis=1)
        w[count + blocks :] += RATE * np.outer(e_out, u)
        return np.abs(off).mean()

    def sequence(x, targets):
        steps, inputs = x.shape
        u = np.zeros(w.shape[1])
        u[-1] = 1
        s, s_cell, s_in = np.zeros(count), np.zeros((count, u.size)), np.zeros((count, u.size))
        error = 0.0
        for t in range(steps):
            u[:inputs] = x[t]
            net = w @ u
            g, gates = 4 * logistic(net[cells]) - 2, logistic(net[count:])
            gate, out = np.repeat(gates[:blocks], size), np.repeat(gates[blocks:], size)
            s_cell += np.outer(gate * (4 - g * g) / 4, u)
            s_in += np.outer(g * gate * (1 - gate), u)
            s = s + gate * g
            h = 2 * logistic(s) - 1
            y = out * h
            if t >= steps - len(targets):
                error += descend(u, y, s_cell, s_in, h, out, targets[t - steps])
            u[inputs : inputs + count], u[inputs + count : -1] = y, gates
        return error / len(targets)

    def step():
        return np.mean([sequence(*pair) for pair in zip(x, targets)])

    def learnt():
        return float(step()), changes(w, w_out, name, case)

    return step, learnt


def loops(w, w_out, xs, all_targets, blocks, size, rate):
    """The rule, loop by loop; gives the mean error of all targets."""
    sequences, steps, inputs = xs.shape
    targets, outputs = all_targets.shape[1:]
    cells, units, sources = blocks * size, w.shape[0], w.shape[1]
    u, net, s, h, y = np.zeros(sources), np.zeros(units), np.zeros(cells), np.zeros(cells), np.zeros(cells)
    s_cell, s_in = np.zeros((cells, sources)), np.zeros((cells, sources))
    e, d, output = np.zeros(outputs), np.zeros(cells), np.zeros(outputs)
    error = 0.0
    for b in range(sequences):
        u[:] = 0
        u[sources - 1] = 1
        s[:] = 0
        s_cell[:] = 0
        s_in[:] = 0
        for t in range(steps):
            for i in range(inputs):
                u[i] = xs[b, t, i]
            for i in range(units):
                total = 0.0
                for m in range(sources):
                    total += w[i, m] * u[m]
                net[i] = 1 / (1 + np.exp(-total))
            for v in range(cells):
                j = v // size
                g, gate = 4 * net[v] - 2, net[cells + j]
                by_cell, by_in = gate * (4 - g * g) / 4, g * gate * (1 - gate)
                for m in range(sources):
                    s_cell[v, m] += by_cell * u[m]
                    s_in[v, m] += by_in * u[m]
                s[v] += gate * g
                h[v] = 2 / (1 + np.exp(-s[v])) - 1
                y[v] = net[cells + blocks + j] * h[v]
            if t >= steps - targets:
                for k in range(outputs):
                    total = w_out[k, cells]
                    for v in range(cells):
                        total += w_out[k, v] * y[v]
                    output[k] = 1 / (1 + np.exp(-total))
                    off = all_targets[b, t - steps + targets, k] - output[k]
                    e[k] = off * output[k] * (1 - output[k])
                    error += abs(off)
                for v in range(cells):
                    d[v] = 0
                    for k in range(outputs):
                        d[v] += w_out[k, v] * e[k]
                        w_out[k, v] += rate * e[k] * y[v]
                for k in range(outputs):
                    w_out[k, cells] += rate * e[k]
                for j in range(blocks):
                    out, e_out = net[cells + blocks + j], 0.0
                    for v in range(j * size, (j + 1) * size):
                        e_s = d[v] * out * (1 - h[v] * h[v]) / 2
                        e_out += d[v] * h[v] * out * (1 - out)
                        for m in range(sources):
                            w[v, m] += rate * e_s * s_cell[v, m]
                            w[cells + j, m] += rate * e_s * s_in[v, m]
                    for m in range(sources):
                        w[cells + blocks + j, m] += rate * e_out * u[m]
            for v in range(cells):
                u[inputs + v] = y[v]
            for i in range(cells, units):
                u[inputs + i] = net[i]
    return error / (sequences * targets * outputs)


def numba_step(name, case, fastmath=False):
    """(step, learnt) of the loops."""
    import numba

    w, w_out, x, targets = problem(name, case)
    compiled = numba.njit(fastmath=fastmath)(loops)

    def step():
        return compiled(w, w_out, x, targets, case[2], case[3], RATE)

    def learnt():
        return float(step()), changes(w, w_out, name, case)

    return step, learnt


def torch_step(name, case):
    """(step, learnt) by automatic differentiation; a step of gradient descent on half the squared error a sequence."""
    import torch

    torch.set_num_threads(1)
    w, w_out, x, targets = map(torch.from_numpy, problem(name, case))
    w.requires_grad_(True)
    w_out.requires_grad_(True)
    _, _, blocks, size, _ = case
    count, one = blocks * size, torch.ones(1, dtype=torch.float64)

    def sequence(x, target):
        s, seen = torch.zeros(count, dtype=torch.float64), torch.zeros(count + 2 * blocks, dtype=torch.float64)
        for now in x:
            net = torch.sigmoid(w @ torch.cat([now, seen, one]))
            gate = net[count : count + blocks].repeat_interleave(size)
            s = s + gate * (4 * net[:count] - 2)
            y = net[count + blocks :].repeat_interleave(size) * (2 * torch.sigmoid(s) - 1)
            seen = torch.cat([y, net[count:]]).detach()
        off = target - torch.sigmoid(w_out @ torch.cat([y, one]))
        changes = torch.autograd.grad((off * off).sum() / 2, (w, w_out))
        with torch.no_grad():
            w.sub_(changes[0], alpha=RATE)
            w_out.sub_(changes[1], alpha=RATE)
            return off.abs().mean()

    def step():
        return np.mean([float(sequence(*pair)) for pair in zip(x, targets[:, 0])])

    def learnt():
        return float(step()), changes(w.detach().numpy(), w_out.detach().numpy(), name, case)

    return step, learnt


def jax_step(name, case):
    """(step, learnt) of a jitted scan; weights are carried too, and their buffers are given away."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    w, w_out, x, targets = map(jnp.asarray, problem(name, case))
    inputs, _, blocks, size, steps = case
    count = blocks * size
    last, logistic = name == "lstm1997", jax.nn.sigmoid

    def corrected(w, w_out, u, y, h, out, s_cell, s_in, target):
        below, off, e, e_out, e_s = errors_of_a_time_step(jnp, logistic, w_out, y, h, out, target, blocks, size)
        for_in = (e_s * s_in).reshape(blocks, size, -1).sum(axis=1)
        change = jnp.concatenate([e_s * s_cell, for_in, jnp.outer(e_out, u)])
        return w + RATE * change, w_out + RATE * jnp.outer(e, below), jnp.abs(off).mean()

    def time_step(carry, data):
        w, w_out, s, seen, s_cell, s_in, _, error = carry
        now, target = data
        u = jnp.concatenate([now, seen, jnp.ones(1)])
        net = logistic(w @ u)
        g = 4 * net[:count] - 2
        gate, out = jnp.repeat(net[count : count + blocks], size), jnp.repeat(net[count + blocks :], size)
        s_cell = s_cell + (gate * (4 - g * g) / 4)[:, None] * u
        s_in = s_in + (g * gate * (1 - gate))[:, None] * u
        s = s + gate * g
        h = 2 * logistic(s) - 1
        y, known = out * h, (u, out * h, h, out)
        if not last:
            w, w_out, off = corrected(w, w_out, *known, s_cell, s_in, target)
            error = error + off
        return (w, w_out, s, jnp.concatenate([y, net[count:]]), s_cell, s_in, known, error), None

    def sequence(weights, data):
        w, w_out = weights
        now, target = data
        partial_zero, zero = jnp.zeros((count, w.shape[1])), jnp.zeros(count)
        known = (jnp.zeros(w.shape[1]), zero, zero, zero)
        carry = (w, w_out, zero, jnp.zeros(count + 2 * blocks), partial_zero, partial_zero, known, 0.0)
        every = (now, jnp.broadcast_to(target, (steps, target.shape[1])))
        w, w_out, _, _, s_cell, s_in, known, error = jax.lax.scan(time_step, carry, every)[0]
        if last:
            w, w_out, error = corrected(w, w_out, *known, s_cell, s_in, target[0])
        return (w, w_out), error / target.shape[0]

    @partial(jax.jit, donate_argnums=0)
    def learn(weights, x, targets):
        weights, errors = jax.lax.scan(sequence, weights, (x, targets))
        return weights, errors.mean()

    carried = (w, w_out)

    def step():
        nonlocal carried
        carried, error = jax.block_until_ready(learn(carried, x, targets))
        return error

    def learnt():
        return float(step()), changes(*map(np.asarray, carried), name, case)

    return step, learnt


STEPS = {
    "rnnsim": rnnsim_step,
    "numba-loops": numba_step,
    "numba-fast": partial(numba_step, fastmath=True),
    "numpy": numpy_step,
    "torch": torch_step,
    "jax": jax_step,
}


def make(engine, name, case):
    """(step, learnt) of an engine; `learnt` does the first step and gives (mean error, changes of weights by name)."""
    return STEPS[engine](name, case)


if __name__ == "__main__":
    import sys

    from asv_benchmarks import peers

    peers.main(["--cells", ",".join(NAMES), *sys.argv[1:]])
