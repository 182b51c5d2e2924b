"""Slow float64 twin of the neural Turing machine: one sequence and one time step at a time, memory (N, M), from the equations."""

import numpy as np
from naive import logistic, lstm_time_step

NORM_FLOOR = 1e-8


def softmax(x):
    power = np.exp(x - np.max(x))
    return power / power.sum()


def softplus(x):
    return np.logaddexp(0, x)


def content(memory, key, strength, floor=NORM_FLOOR):
    norm = np.sqrt((memory**2).sum(axis=1) + floor**2) * np.sqrt(key @ key + floor**2)
    return softmax(strength * (memory @ key / norm))


def interpolate(found, before, gate):
    return gate * found + (1 - gate) * before


def shift(weights, shifts):
    n, reach = len(weights), len(shifts) // 2
    shifted = np.zeros(n)
    for i in range(n):
        for d in range(-reach, reach + 1):
            shifted[i] += shifts[d + reach] * weights[(i - d) % n]
    return shifted


def sharpen(weights, gamma):
    # ws^gamma underflows where all of ws is small; the quotient is the same for ws / max ws.
    power = (weights / weights.max()) ** gamma
    return power / power.sum()


def read(memory, weights):
    return sum(w * row for w, row in zip(weights, memory))


def erase_and_add(memory, weights, erase, add):
    """All heads erase, then all add; weights (heads, N), erase and add (heads, M)."""
    new = memory.copy()
    for w, e in zip(weights, erase):
        for i in range(len(new)):
            new[i] = new[i] * (1 - w[i] * e)
    for w, a in zip(weights, add):
        for i in range(len(new)):
            new[i] = new[i] + w[i] * a
    return new


def emit(raw, columns, shifts, write):
    """What one head makes of its part of the linear outputs, by name."""
    sizes = [("key", columns), ("strength", 1), ("gate", 1), ("shift", shifts), ("gamma", 1)]
    sizes += [("erase", columns), ("add", columns)] if write else []
    functions = dict(key=np.tanh, strength=softplus, gate=logistic, shift=softmax, erase=logistic, add=np.tanh)
    functions["gamma"] = lambda x: 1 + softplus(x)
    found, place = {}, 0
    for name, size in sizes:
        found[name] = functions[name](raw[place : place + size])
        place += size
    assert place == len(raw)
    return found


def address(memory, q, before, floor):
    found = content(memory, q["key"], q["strength"][0], floor)
    return sharpen(shift(interpolate(found, before, q["gate"][0]), q["shift"]), q["gamma"][0])


def controller(weights, options, x, h, c):
    """New (h, c), lists over layers."""
    new_h, new_c, below = [], [], x
    for k in range(options["layers"]):
        own = {name.removesuffix(f"_l{k}"): array for name, array in weights.items() if name.endswith(f"_l{k}")}
        if options["controller"] == "lstm":
            (out, cell), _ = lstm_time_step(own, below, [h[k], c[k]])
            new_c.append(cell)
        else:
            out = np.tanh(own["weight_ih"] @ below + own["bias_ih"])
        new_h.append(out)
        below = out
    return new_h, new_c


def time_step(weights, options, x, state):
    """The new state and what happened, by name; a state is a dict of h, c (lists), reads, weightings, memory."""
    columns, readers, writers = options["memory"][1], options["read_heads"], options["write_heads"]
    shifts = 2 * options["shift_range"] + 1
    h, c = controller(weights, options, np.concatenate([x, state["reads"].ravel()]), state["h"], state["c"])
    raw = np.clip(
        weights["weight_heads"] @ h[-1] + weights["bias_heads"], -options["clip_heads"], options["clip_heads"]
    )
    heads, place = [], 0
    for head in range(readers + writers):
        size = columns + 3 + shifts + (2 * columns if head >= readers else 0)
        heads.append(emit(raw[place : place + size], columns, shifts, head >= readers))
        place += size
    old, before = state["memory"], state["weights"]
    w = [None] * readers + [
        address(old, heads[k], before[k], options["norm_floor"]) for k in range(readers, readers + writers)
    ]
    memory = erase_and_add(old, w[readers:], [q["erase"] for q in heads[readers:]], [q["add"] for q in heads[readers:]])
    seen = old if options["order"] == "read-first" else memory
    for k in range(readers):
        w[k] = address(seen, heads[k], before[k], options["norm_floor"])
    reads = np.array([read(seen, w[k]) for k in range(readers)])
    y = weights["weight_out"] @ np.concatenate([h[-1], reads.ravel()]) + weights["bias_out"]
    found = {f"h_l{k}": value for k, value in enumerate(h)} | {f"c_l{k}": value for k, value in enumerate(c)}
    for kind, part in (("read", slice(0, readers)), ("write", slice(readers, None))):
        found[f"{kind}_weights"] = np.array(w[part])
        found |= {f"{kind}_{name}": np.array([q[name] for q in heads[part]]) for name in heads[part][0]}
    found |= {"reads": reads, "memory": memory}
    return dict(h=h, c=c, reads=reads, weights=w, memory=memory), y, found


def start(weights, options):
    """The state before the first time step."""
    rows, columns = options["memory"]
    layers, n, heads = options["layers"], options["hidden"], options["read_heads"] + options["write_heads"]
    state = {"h": [np.zeros(n)] * layers, "c": [np.zeros(n)] * layers}
    state["memory"] = weights["memory0"] if options["memory_start"] != "constant" else np.full((rows, columns), 1e-6)
    if options["learned_initial_state"]:
        if options["controller"] == "lstm":
            state |= {name: [weights[f"{name}0_l{k}"] for k in range(layers)] for name in "hc"}
        return state | {"reads": weights["reads0"], "weights": [softmax(row) for row in weights["weights0"]]}
    first = np.eye(1, rows)[0]
    return state | {"reads": np.zeros((options["read_heads"], columns)), "weights": [first] * heads}


def network(config, weights, inputs, lengths=None, state=None):
    """Outputs (T, B, K), outputs at the last time steps (B, K), the final state as the network's list, traces (T, B, ...)."""
    options = config["options"]
    weights = {name: np.asarray(array, float) for name, array in weights.items()}
    x = np.eye(config["n_inputs"])[inputs] if config["tokens"] else np.asarray(inputs, float)
    steps, batch = x.shape[:2]
    lstm = options["controller"] == "lstm"
    names = (["h", "c"] if lstm else []) + ["reads", "weights", "memory"]
    outputs, traces, finals = np.zeros((steps, batch, config["n_outputs"])), {}, []
    last = np.zeros((batch, config["n_outputs"]))
    for b in range(batch):
        now = start(weights, options)
        if state is not None:
            now |= {name: np.take(part, b, axis=1) for name, part in zip(names, state)}
        for t in range(steps if lengths is None else lengths[b]):
            now, outputs[t, b], found = time_step(weights, options, x[t, b], now)
            last[b] = outputs[t, b]
            for name, value in found.items():
                traces.setdefault(name, np.zeros((steps, batch, *value.shape)))[t, b] = value
        finals.append(now)
    return outputs, last, [np.stack([np.array(now[name]) for now in finals], axis=1) for name in names], traces
