"""Slow float64 twins of cells and networks, one sequence and one time step at a time, written from the equations.

A time step takes the weights by name, the input x (I) and the old states (H), and gives the new states and what happened
by name; the entry "h" is what the layer above sees. A sequence that has ended keeps its state, and its gates are NaN.
"""

import numpy as np


def logistic(v):
    return 1 / (1 + np.exp(-v))


ACTIVATIONS = {
    "tanh": np.tanh,
    "logistic": logistic,
    "rectifier": lambda v: np.maximum(v, 0),
    "identity": lambda v: v,
    "saturated-linear": lambda v: np.clip(v, 0, 1),
}


def block(weights, name, gate, n, otherwise=0.0):
    """Rows of one gate of a parameter, or `otherwise` where there is no such parameter."""
    return weights[name][gate * n : (gate + 1) * n] if name in weights else otherwise


def bias_of(weights, gate, n):
    return block(weights, "bias_ih", gate, n) + block(weights, "bias_hh", gate, n)


def rnn_time_step(weights, x, state, activation="tanh", leak=1.0, input_delay=False, outputs_last=0):
    (y,) = state
    s = weights["weight_ih"] @ x + weights["weight_hh"] @ y + bias_of(weights, 0, y.size)
    f = ACTIVATIONS[activation](s)
    for i in range(outputs_last):  # sees the other units as they are now
        later = weights["weight_hh"][i, outputs_last:] @ (f - y)[outputs_last:]
        f[i] = ACTIVATIONS[activation](s[i : i + 1] + later)[0]
    new = (1 - leak) * y + leak * f
    return [new], {"f": f, "h": y if input_delay else new}


def lstm_time_step(weights, x, state, gates="full", peepholes=False):
    h, c = state
    n = h.size
    names = {"full": "ifgo", "no-forget": "igo", "coupled": "fgo"}[gates]
    looking = [gate for gate in names if gate != "g"]

    def s(gate, seen=None):
        k = names.index(gate)
        total = block(weights, "weight_ih", k, n) @ x + block(weights, "weight_hh", k, n) @ h + bias_of(weights, k, n)
        if peepholes and seen is not None:
            total = total + weights["weight_peephole"][looking.index(gate)] * seen
        return total

    f = logistic(s("f", c)) if gates != "no-forget" else np.ones(n)
    i = logistic(s("i", c)) if gates != "coupled" else 1 - f
    g = np.tanh(s("g"))
    new = f * c + i * g
    o = logistic(s("o", new))
    out = o * np.tanh(new)
    found = {"i": i, "f": f, "g": g, "o": o}
    return [out, new], {name: found[name] for name in names} | {"c": new, "h": out}


def gru_time_step(weights, x, state, variant="gru0", reset="after"):
    (h,) = state
    n = h.size
    see_x, see_h, have_bias = variant == "gru0", variant != "gru3", variant != "gru2"

    def gate(k):
        total = np.zeros(n)
        if see_x:
            total += block(weights, "weight_ih", k, n) @ x
        if see_h:
            total += block(weights, "weight_hh", k, n) @ h
        if have_bias:
            total += bias_of(weights, k, n)
        return logistic(total)

    r, z = gate(0), gate(1)
    last = {name: array[-n:] for name, array in weights.items()}
    seen = last["weight_ih"] @ x + last.get("bias_ih", 0)
    if reset == "after":
        candidate = np.tanh(seen + r * (last["weight_hh"] @ h + last.get("bias_hh", 0)))
    else:
        candidate = np.tanh(seen + last["weight_hh"] @ (r * h) + last.get("bias_hh", 0))
    new = (1 - z) * candidate + z * h
    return [new], {"r": r, "z": z, "n": candidate, "h": new}


def elstm_time_step(weights, x, state):
    _, c = state
    n = c.size
    p_f, p_z = weights["weight_peephole"]
    s_f, s_z, s_o = (block(weights, "weight_ih", k, n) @ x + bias_of(weights, k, n) for k in range(3))
    f, z = logistic(s_f + p_f * c), np.tanh(s_z + p_z * c)
    new = f * c + (1 - f) * z
    o = logistic(s_o + weights["weight_hh"] @ new)
    return [o * new, new], {"f": f, "z": z, "o": o, "c": new, "h": o * new}


TIME_STEPS = {"rnn": rnn_time_step, "lstm": lstm_time_step, "gru": gru_time_step, "elstm": elstm_time_step}
STATES = {"rnn": "h", "lstm": "hc", "gru": "h", "elstm": "hc"}
# Options that say what the parameters are or start from, not what is computed with them.
NOT_IN_EQUATIONS = ("bias", "forget_bias", "density", "connection_seed", "connections")


def layer(cell, weights, x, state, lengths=None, reverse=False, **options):
    """Outputs (T, B, H), final states [(B, H), ...] and traces {name: (T, B, H)} of one layer in one direction."""
    options = {key: value for key, value in options.items() if key not in NOT_IN_EQUATIONS}
    weights = {name: np.asarray(array, float) for name, array in weights.items()}
    steps, batch = x.shape[:2]
    final = [np.array(part, float) for part in state]
    n = final[0].shape[1]
    traces = {}
    outputs = np.zeros((steps, batch, n))
    for b in range(batch):
        length = steps if lengths is None else lengths[b]
        now = [part[b].copy() for part in final]
        for t in reversed(range(steps)) if reverse else range(steps):
            if t >= length:
                outputs[t, b] = now[0]
                continue
            now, found = TIME_STEPS[cell](weights, np.asarray(x[t, b], float), now, **options)
            outputs[t, b] = found["h"]
            for name, value in found.items():
                traces.setdefault(name, np.full((steps, batch, n), np.nan))[t, b] = value
        for part, value in zip(final, now):
            part[b] = value
    return outputs, final, traces


STRUCTURE = ("hidden", "layers", "bidirectional", "embedding", "skip", "learned_initial_state", "readout")


def network(config, weights, inputs, lengths=None, state=None):
    """Outputs (T, B, K) of a stack, its last outputs (B, K), its final states [(k, B, H), ...] and its traces."""
    options = config["options"]
    structure = {"layers": 1, "bidirectional": False, "embedding": 0, "skip": False, "readout": "linear"}
    structure |= {key: value for key, value in options.items() if key in STRUCTURE}
    cell, n = config["name"], structure["hidden"]
    for_cell = {key: value for key, value in options.items() if key not in STRUCTURE}
    weights = {name: np.asarray(array, float) for name, array in weights.items()}
    if config["tokens"]:
        table = weights["weight_embedding"] if structure["embedding"] else np.eye(config["n_inputs"])
        x = table[np.asarray(inputs)]
    else:
        x = np.asarray(inputs, float)
    batch = x.shape[1]
    given = iter(state or [])
    below, all_outputs, all_ends, finals, traces = x, [], [], [], {}
    for k in range(structure["layers"]):
        seen = np.concatenate([below, x], axis=-1) if k and structure["skip"] else below
        outputs, ends = [], []
        for reverse in (False, True) if structure["bidirectional"] else (False,):
            suffix = f"_l{k}" + ("_reverse" if reverse else "")
            own = {name.removesuffix(suffix): array for name, array in weights.items() if name.endswith(suffix)}
            if state is not None:
                first = list(next(given))
            else:
                first = [np.tile(own.get(f"{name}0", np.zeros(n)), (batch, 1)) for name in STATES[cell]]
            own = {name: array for name, array in own.items() if not name.endswith("0")}
            layer_outputs, final, found = layer(cell, own, seen, first, lengths, reverse, **for_cell)
            outputs.append(layer_outputs)
            ends.append(final[0])
            finals.append(np.stack(final))
            traces |= {name + suffix: trace for name, trace in found.items()}
        below = np.concatenate(outputs, axis=-1)
        all_outputs.append(below)
        all_ends.append(np.concatenate(ends, axis=-1))

    def read(features):
        if structure["readout"] == "none":
            return features
        if structure["readout"] == "units":
            last = features[..., -below.shape[-1] :]
            return last[..., : config["n_outputs"]]
        return features @ weights["weight_out"].T + weights["bias_out"]

    chosen = slice(None) if structure["skip"] else slice(-1, None)
    outputs = read(np.concatenate(all_outputs[chosen], axis=-1))
    if lengths is not None:
        outputs[np.arange(len(outputs))[:, None] >= np.asarray(lengths)] = 0
    return outputs, read(np.concatenate(all_ends[chosen], axis=-1)), finals, traces
