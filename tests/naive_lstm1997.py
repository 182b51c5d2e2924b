"""Slow float64 twin of the memory blocks: one sequence, one time step, one unit at a time, from the equations of the papers.

`unroll` can be given what gates and cell inputs see of the past (outputs a time step ago, states through peepholes) as constants:
finite differences of it are then the gradient that the truncated rule means. `learn` is that rule as the paper prints it.
"""

import numpy as np


def logistic(x):
    return 1 / (1 + np.exp(-x))


CURVES = {
    "logistic": logistic,
    "logistic1": lambda x: 2 * logistic(x) - 1,
    "logistic2": lambda x: 4 * logistic(x) - 2,
    "tanh": np.tanh,
    "identity": lambda x: x,
}
SLOPES = {  # of the value
    "logistic": lambda y: y * (1 - y),
    "logistic1": lambda y: (1 - y * y) / 2,
    "logistic2": lambda y: (4 - y * y) / 4,
    "tanh": lambda y: 1 - y * y,
    "identity": lambda y: np.ones_like(y),
}


class Net:
    """Names and weights of a network."""

    def __init__(self, config, weights):
        self.options, self.n_inputs = config["options"], config["n_inputs"]
        self.weights = {name: np.array(values, float) for name, values in weights.items()}
        o = self.options
        self.blocks, self.size, self.cells = o["blocks"], o["size"], o["blocks"] * o["size"]
        self.gates = ["in"] + ["forget"] * o["forget"] + ["out"] * o["output_gate"]

    def block(self, v):
        return v // self.size

    def own(self, j):
        """The cells of block j."""
        return slice(j * self.size, (j + 1) * self.size)

    def seen(self, y):
        """What the hidden layer sees of its outputs a time step ago."""
        if self.options["sees"] == "inputs":
            return np.zeros(0)
        names = ["y", "plain"] if self.options["sees"] == "cells" else ["y", *self.gates, "plain"]
        return np.concatenate([y[name] for name in names])

    def net(self, kind, u):
        """Pre-activations of one kind of unit, without peepholes."""
        return self.weights[f"weight_{kind}"] @ u + self.weights.get(f"bias_{kind}", 0)

    def peep(self, gate, states):
        name = f"peephole_{gate}_gate"
        if name not in self.weights:
            return np.zeros(self.blocks)
        return np.array([self.weights[name][j] @ states[self.own(j)] for j in range(self.blocks)])

    def time_step(self, x, s, y, constant=None):
        """All values of a time step by name, from the states s and the outputs y (a dict) of the time step before."""
        o, c = self.options, constant or {}
        z = c.get("z", self.seen(y))
        before = c.get("before", s)
        u = np.concatenate([x, z])
        new = {"u": u, "z": z, "before": before}
        g = new["g"] = CURVES[o["g"]](self.net("cell", u))
        new["in"] = logistic(self.net("in_gate", u) + self.peep("in", before))
        forget = np.ones(self.blocks)
        if "forget" in self.gates:
            forget = new["forget"] = logistic(self.net("forget_gate", u) + self.peep("forget", before))
        new["s"] = np.array([forget[self.block(v)] * s[v] + new["in"][self.block(v)] * g[v] for v in range(self.cells)])
        new["after"] = c.get("after", new["s"])
        new["h"] = CURVES[o["h"]](new["s"])
        new["y"] = new["h"].copy()
        if "out" in self.gates:
            new["out"] = logistic(self.net("out_gate", u) + self.peep("out", new["after"]))
            for v in range(self.cells):
                new["y"][v] *= new["out"][self.block(v)]
        new["plain"] = logistic(self.net("plain", u)) if o["plain"] else np.zeros(0)
        new["below"] = np.concatenate([new["y"], new["plain"], x if o["shortcut"] else x[:0]])
        z_out = self.weights["weight_out"] @ new["below"] + self.weights.get("bias_out", 0)
        new["output"] = CURVES[o["output"]](z_out)
        return new

    def start(self):
        y = {"y": np.zeros(self.cells), "plain": np.zeros(self.options["plain"])}
        return np.zeros(self.cells), y | {gate: np.zeros(self.blocks) for gate in self.gates}


def unroll(config, weights, x, constants=None, state=None):
    """The values of all time steps of one sequence x (T, n), a list of dicts; `constants` are the values of such a call."""
    net = Net(config, weights)
    s, y = net.start()
    steps = []
    for t in range(len(x)):
        constant = constants[t] if constants else None
        if t == 0 and state is not None:
            s = state[0]
            constant = {"z": state[1]} | (constant or {})
        new = net.time_step(x[t], s, y, constant)
        s, y = new["s"], new
        steps.append(new)
    return steps


def learn(config, weights, x, targets, counted, rate, momentum=0.0, decay=1.0, velocity=None):
    """Online learning of one sequence, as printed: weights after it, velocities, and the largest and mean error a time step."""
    net = Net(config, weights)
    o, w = net.options, net.weights
    velocity = velocity or {name: np.zeros_like(values) for name, values in w.items()}
    s, y = net.start()
    partial = {}  # (what, cell, name of the weights, column): the derivative of the state of the cell
    errors = []
    for t in range(len(x)):
        new = net.time_step(x[t], s, y)
        for v in range(net.cells):
            j = net.block(v)
            phi = new["forget"][j] if "forget" in net.gates else 1.0
            slopes = {"cell": new["in"][j] * SLOPES[o["g"]](new["g"][v])}
            slopes["in_gate"] = new["g"][v] * new["in"][j] * (1 - new["in"][j])
            slopes["forget_gate"] = s[v] * phi * (1 - phi)
            for kind, slope in slopes.items():
                if f"weight_{kind}" not in w:
                    continue
                sources = {f"weight_{kind}": new["u"], f"bias_{kind}": [1.0]}
                if kind != "cell":
                    sources[f"peephole_{kind}"] = s[net.own(j)]
                for name, values in sources.items():
                    for m, value in enumerate(values if name in w else []):
                        key = (v, name, m)
                        partial[key] = phi * partial.get(key, 0.0) + slope * value
        if counted[t]:
            off = targets[t] - new["output"]
            errors.append((np.abs(off).max(), np.abs(off).mean()))
            change = {name: np.zeros_like(values) for name, values in w.items()}
            e = counted[t] * off * SLOPES[o["output"]](new["output"])
            change["weight_out"] += np.outer(e, new["below"])
            if "bias_out" in w:
                change["bias_out"] += e
            d = w["weight_out"].T @ e
            for p in range(o["plain"]):
                e_plain = d[net.cells + p] * new["plain"][p] * (1 - new["plain"][p])
                change["weight_plain"][p] += e_plain * new["u"]
                if "bias_plain" in w:
                    change["bias_plain"][p] += e_plain
            for j in range(net.blocks if "out" in net.gates else 0):
                own, out = net.own(j), new["out"][j]
                e_out = out * (1 - out) * (new["h"][own] @ d[own])
                change["weight_out_gate"][j] += e_out * new["u"]
                if "bias_out_gate" in w:
                    change["bias_out_gate"][j] += e_out
                if "peephole_out_gate" in w:
                    change["peephole_out_gate"][j] += e_out * new["s"][own]
            for (v, name, m), value in partial.items():
                j = net.block(v)
                out = new["out"][j] if "out" in net.gates else 1.0
                e_s = out * SLOPES[o["h"]](new["h"][v]) * d[v]
                place = v if name.endswith("cell") else j
                if name.startswith("bias"):
                    change[name][place] += e_s * value
                else:
                    change[name][place, m] += e_s * value
            for name in w:
                velocity[name] = momentum * velocity[name] + rate * change[name]
                w[name] += velocity[name]
        rate *= decay
        s, y = new["s"], new
    return w, velocity, errors
