"""Naive twins of the recursive networks: one node after the other, as the equations stand."""

import numpy as np


def logistic(a):
    return 1 / (1 + np.exp(-a))


def input_vector(net, weights, forest, node):
    """(x, weight) of a node: weight @ x is its input term; (None, None) if it has no input."""
    value = forest.inputs[node]
    if not net.tokens:
        return value.astype(np.float64), weights["weight_in"]
    if value < 0:
        return None, None
    if net.embedding:
        return weights["weight_embedding"][value], weights["weight_in"]
    return np.eye(net.n_inputs)[value], weights["weight_symbol"].T


def states(net, forest):
    """{name: (N, H)} of all nodes, and the number of nodes that were evaluated."""
    weights, options = net.layout.views(net.theta), net.config["options"]
    node_of = folding if net.config["name"] == "rnn-tree" else tree_lstm
    found = {name: np.zeros((forest.nodes, net.hidden)) for name in net.trace_names}
    for tree in range(forest.size):
        first = forest.starts[tree]
        for node in range(first, forest.starts[tree + 1]):
            below = [first + child if child >= 0 else None for child in forest.children[node]]
            below += [None] * (net.arity - len(below))
            x, w = input_vector(net, weights, forest, node)
            term = 0 if x is None else w @ x
            for name, value in node_of(net, weights, options, term, below, found).items():
                found[name][node] = value
    return found


def folding(net, weights, options, term, below, found):
    f = np.tanh if options["activation"] == "tanh" else logistic
    leaf = all(child is None for child in below)
    if leaf and options["leaves"] != "same":
        return {"h": term if options["leaves"] == "linear" else f(term + weights["bias_leaf"])}
    c = np.concatenate([np.zeros(net.hidden) if child is None else found["h"][child] for child in below])
    a = term + weights["weight_child"] @ c + weights["bias"]
    if options["composition"] == "tensor":
        a = a + np.einsum("j,ijk,k->i", c, weights["weight_tensor"], c)
    return {"h": f(a)}


def tree_lstm(net, weights, options, term, below, found):
    n = net.hidden
    i, o, u, f = np.split(term + weights["bias"], 4)
    zero = np.zeros(n)
    h = [zero if child is None else found["h"][child] for child in below]
    seen = sum(h, zero) if options["variant"] == "child-sum" else np.concatenate(h)
    d_i, d_o, d_u = np.split(weights["weight_iou"] @ seen, 3)
    i, o, u = logistic(i + d_i), logistic(o + d_o), np.tanh(u + d_u)
    c = i * u
    for k, child in enumerate(below):
        if child is not None:
            own = weights["weight_f"] @ h[k] if options["variant"] == "child-sum" else None
            if own is None:
                own = weights["weight_f"][k * n : (k + 1) * n] @ seen
            c = c + logistic(f + own) * found["c"][child]
    return {"i": i, "o": o, "u": u, "c": c, "h": o * np.tanh(c)}
