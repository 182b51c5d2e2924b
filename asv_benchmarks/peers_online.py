"""Real-time recurrent learning in rnnsim and JAX, and the cheaper rules, for `asv_benchmarks.peers`; also by itself:

    python -m asv_benchmarks.peers_online [--rounds 5]

The work: a fully recurrent network of n tanh units with 8 inputs and a readout of 4, one sequence of 100 time steps, the squared
error at every time step, and the gradient with respect to all parameters, summed over the sequence at frozen weights; in
microseconds per time step. JAX runs a jitted scan that carries the influence as one matrix (n, parameters), of two forms the
faster. The approximate rules do the same work and have no peer here; the hybrid, which is exact, stands beside our own RTRL.
"""

import numpy as np

from rnnsim.learning import RULES

CASES = ((8, 16), (8, 32), (8, 64), (8, 100))
TITLE, UNIT, RATIO_OF_EACH = "(in, n)", "microseconds per time step", False
STEPS, OUTPUTS = 100, 4
APPROXIMATE = ("uoro", "truncated", "snap", "rflo", "eprop", "kf-rtrl", "kernl", "dni")
NAMES = ("rtrl", *(name for name in ("hybrid", *APPROXIMATE) if name in RULES))
OWN = "rnnsim-rtrl"  # the engine that is our own RTRL


def engines(name, wanted):
    """Those of the engines that can do the work of a rule."""
    if name == "rtrl":
        return [engine for engine in wanted if engine == "jax"]
    return [OWN] if name == "hybrid" else []


def figure(case, milliseconds):
    """What the table shows of the time of a step."""
    return 1e3 * milliseconds / STEPS


def problem(case):
    """Weights, inputs and targets of a case, always the same."""
    inputs, hidden = case
    rng = np.random.default_rng(7)
    shapes = {
        "weight_ih_l0": (hidden, inputs),
        "weight_hh_l0": (hidden, hidden),
        "bias_ih_l0": (hidden,),
        "weight_out": (OUTPUTS, hidden),
        "bias_out": (OUTPUTS,),
    }
    weights = {name: rng.uniform(-1, 1, shape).astype(np.float32) / hidden**0.5 for name, shape in shapes.items()}
    x = rng.standard_normal((STEPS, inputs)).astype(np.float32)
    return weights, x, rng.standard_normal((STEPS, OUTPUTS)).astype(np.float32)


def ready_engine(rule, case, steps=STEPS):
    """A network with the weights of a case, our engine of a rule on it, and the arrays that `Engine.run` takes."""
    from rnnsim.learning.online.engine import Engine
    from rnnsim.networks import build

    weights, x, targets = problem(case)
    net = build("rnn", case[0], OUTPUTS, {"hidden": case[1]})
    for name, value in weights.items():
        net.layout.view(net.theta, name)[...] = value
    engine = Engine(net, RULES.build(rule))
    return net, engine, (x[None, :steps], targets[None, :steps], np.ones((1, steps), np.float32))


def rnnsim_step(rule, case):
    """A function that computes (loss, gradients by name) with a rule of ours."""
    net, engine, arrays = ready_engine(rule, case)

    def step():
        engine.reset()
        return float(engine.run(*arrays, "squared_error")[0][0])

    def gradients():
        loss = step()
        return loss, {name: net.layout.view(engine.gradient[0], name).copy() for name in problem(case)[0]}

    return step, gradients


def jax_step(case):
    """The same by a jitted scan; the influence is (n, n * (I + n + 1)), unit by unit, each with all its sources."""
    import time

    import jax
    import jax.numpy as jnp

    weights, x, targets = problem(case)
    inputs, hidden = case
    units = jnp.arange(hidden)

    def time_step(placed, p, carry, data):
        h, influence, gradient, d_out, loss = carry
        x, target = data
        sources = jnp.concatenate([x, h, jnp.ones(1)])
        h = jnp.tanh(p["w"] @ sources)
        slope = 1 - h * h
        through = (p["w"][:, inputs:-1] @ influence).reshape(hidden, hidden, -1)
        if placed:
            through = through.at[units, units].add(sources)
        else:
            through = through + jnp.eye(hidden)[:, :, None] * sources
        influence = (slope[:, None, None] * through).reshape(hidden, -1)
        error = p["weight_out"] @ h + p["bias_out"] - target
        d_y = 2 * error
        gradient = gradient + (d_y @ p["weight_out"]) @ influence
        d_out = d_out + d_y[:, None] * jnp.append(h, 1.0)
        return (h, influence, gradient, d_out, loss + error @ error), None

    def whole(placed, p, x, targets):
        size = hidden * (inputs + hidden + 1)
        start = (jnp.zeros(hidden), jnp.zeros((hidden, size)), jnp.zeros(size), jnp.zeros((OUTPUTS, hidden + 1)), 0.0)
        return jax.lax.scan(lambda carry, data: time_step(placed, p, carry, data), start, (x, targets))[0][2:]

    p = {name: jnp.asarray(weights[name]) for name in ("weight_out", "bias_out")}
    parts = [weights["weight_ih_l0"], weights["weight_hh_l0"], weights["bias_ih_l0"][:, None]]
    p["w"] = jnp.asarray(np.concatenate(parts, axis=1))
    x, targets = jnp.asarray(x), jnp.asarray(targets)

    def seconds(run):
        jax.block_until_ready(run(p, x, targets))
        times = []
        for _ in range(5):
            start = time.perf_counter()
            jax.block_until_ready(run(p, x, targets))
            times.append(time.perf_counter() - start)
        return min(times)

    forms = [jax.jit(lambda p, x, targets, placed=placed: whole(placed, p, x, targets)) for placed in (True, False)]
    fastest = min(forms, key=seconds)

    def step():
        return jax.block_until_ready(fastest(p, x, targets))

    def gradients():
        gradient, d_out, loss = step()
        d_w = np.asarray(gradient).reshape(hidden, -1)
        d_out = np.asarray(d_out)
        parts = (d_w[:, :inputs], d_w[:, inputs:-1], d_w[:, -1], d_out[:, :-1], d_out[:, -1])
        return float(loss), dict(zip(weights, parts))

    return step, gradients


def make(engine, name, case):
    """(step, gradients) of an engine."""
    if engine == "jax":
        return jax_step(case)
    return rnnsim_step("rtrl" if engine == OWN else name, case)


if __name__ == "__main__":
    import sys

    from asv_benchmarks import peers

    peers.main(["--cells", ",".join(NAMES), *sys.argv[1:]])
