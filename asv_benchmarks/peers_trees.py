"""Recursive networks over the trees of sentences in rnnsim and PyTorch, for `asv_benchmarks.peers`.

The work: 1,000 sentences of UD English EWT with their binary trees (`rnnsim.tasks.bracketing`; where the files of
``rnnsim data fetch ewt`` are missing, random binary trees of such sizes), five classes at the root of each, cross-entropy,
forward and backward, in milliseconds. Words are vectors of as many numbers as there are units. rnn-tree folds them by
tanh, lstm-tree is the binary tree LSTM.

torch-tree goes through one tree after the other, node by node from the leaves, as public code for trees does. torch-level
goes through all trees at once, level by level; a level takes the states of its children out of those that no parent has used yet.
Both are timed at PyTorch's own number of threads and at one.
"""

import functools

import numpy as np

CASES = ((1000, 150),)
TITLE, UNIT = "(sentences, units)", "milliseconds"
NAMES = ("rnn-tree", "lstm-tree")
CLASSES = 5


def figure(case, milliseconds):
    """What the table shows of the time of a step."""
    return milliseconds


def engines(name, wanted):
    """The engines that can do the work: both ways through the trees for every number of threads; JAX compiles every shape."""
    ways = [engine.replace("torch", way, 1) for engine in wanted if engine.startswith("torch") for way in WAYS]
    return ways + [engine for engine in wanted if not engine.startswith(("torch", "jax"))]


@functools.cache
def forest(sentences):
    """The trees, with a class each."""
    from rnnsim.core.forest import Forest
    from rnnsim.errors import RnnsimError
    from rnnsim.tasks.bracketing import Bracketing

    rng = np.random.default_rng(7)
    try:
        graphs = Bracketing().training_batch(0, 0, sentences)
        trees = graphs.forest(graphs.targets)
    except RnnsimError:
        lengths = np.clip(rng.geometric(1 / 14, sentences) + 1, 2, 40)
        trees = Forest.from_nested([_random_tree(rng, length) for length in lengths])
    return Forest(trees.starts, trees.children, trees.inputs, rng.integers(0, CLASSES, sentences))


def _random_tree(rng, leaves):
    parts = [str(word) for word in rng.integers(0, 2000, leaves)]
    while len(parts) > 1:
        at = int(rng.integers(len(parts) - 1))
        parts[at : at + 2] = [[None, *parts[at : at + 2]]]
    return parts[0]


def problem(name, case):
    """(trees, parameters by name as rnnsim lays them out), always the same."""
    from rnnsim.networks import build

    trees, hidden = forest(case[0]), case[1]
    symbols = int(trees.inputs.max()) + 1
    options = {"hidden": hidden, "embedding": hidden}
    options |= {"leaves": "own"} if name == "rnn-tree" else {"variant": "n-ary"}
    net = build(name, symbols, CLASSES, options, tokens=True, seed=7)
    return trees, net


def rnnsim_step(name, case):
    """(step, gradients) of rnnsim."""
    from rnnsim.core.losses import Loss

    trees, net = problem(name, case)
    loss = Loss("softmax", when="last", per="sequence")

    def step():
        return net.loss_and_gradient(trees, loss).loss

    def gradients():
        value = step()
        return value, {key: part.copy() for key, part in net.layout.views(net.gradient).items()}

    return step, gradients


def torch_step(name, case, by_level, threads=None):
    """(step, gradients) of PyTorch, by automatic differentiation."""
    import torch
    from torch.nn import functional

    if threads:
        torch.set_num_threads(threads)
    trees, net = problem(name, case)
    p = {key: torch.tensor(part, requires_grad=True) for key, part in net.layout.views(net.theta).items()}
    hidden, targets = case[1], torch.from_numpy(trees.targets)

    def leaf(words):
        terms = p["weight_embedding"][words] @ p["weight_in"].T
        if name == "rnn-tree":
            return (torch.tanh(terms + p["bias_leaf"]),)
        i, o, u, _ = (terms + p["bias"]).chunk(4, dim=-1)
        c = torch.sigmoid(i) * torch.tanh(u)
        return torch.sigmoid(o) * torch.tanh(c), c

    def merge(left, right):
        seen = torch.cat([left[0], right[0]], dim=-1)
        if name == "rnn-tree":
            return (torch.tanh(functional.linear(seen, p["weight_child"], p["bias"])),)
        iou, f = p["bias"][: 3 * hidden], p["bias"][3 * hidden :]
        i, o, u = functional.linear(seen, p["weight_iou"], iou).chunk(3, dim=-1)
        gates = torch.sigmoid(functional.linear(seen, p["weight_f"], torch.cat([f, f])))
        c = torch.sigmoid(i) * torch.tanh(u) + gates[..., :hidden] * left[1] + gates[..., hidden:] * right[1]
        return torch.sigmoid(o) * torch.tanh(c), c

    def tree_by_tree():
        roots = []
        for first, last in zip(starts, starts[1:]):
            states = []
            for node in range(first, last):
                a, b = children[node]
                states.append(leaf(words[node : node + 1]) if a < 0 else merge(states[a], states[b]))
            roots.append(states[-1][0])
        return torch.cat(roots)

    def level_by_level():
        states = leaf(first_words)
        for left, right, kept in plan:
            new = merge([part[left] for part in states], [part[right] for part in states])
            states = [torch.cat([part[kept], fresh]) for part, fresh in zip(states, new)]
        return states[0][last]

    starts, children, words = trees.starts.tolist(), trees.children.tolist(), torch.from_numpy(trees.inputs).long()
    if by_level:
        first_words, plan, last = _plan(trees)
    run = level_by_level if by_level else tree_by_tree

    def step():
        for part in p.values():
            part.grad = None
        outputs = functional.linear(run(), p["weight_out"], p["bias_out"])
        value = functional.cross_entropy(outputs, targets)
        value.backward()
        return value

    def gradients():
        value = float(step().detach())
        return value, {key: part.grad.numpy().copy() for key, part in p.items()}

    return step, gradients


def _plan(trees):
    """(words of the leaves, [(rows of left children, of right ones, rows that wait) of every level], rows of the roots)."""
    import torch

    levels = trees.levels
    height, children = np.zeros(trees.nodes, np.int64), levels.children
    for node in range(trees.nodes):  # children stand before their parents, also by position within a chunk
        if children[node, 0] >= 0:
            height[node] = 1 + height[children[node]].max()
    waiting, plan = np.flatnonzero(height == 0), []
    words = torch.from_numpy(trees.inputs[levels.order[waiting]]).long()
    for level in range(1, height.max() + 1):
        new = np.flatnonzero(height == level)
        row = np.full(trees.nodes, -1)
        row[waiting] = np.arange(len(waiting))
        kept = np.setdiff1d(np.arange(len(waiting)), row[children[new]].ravel())
        plan.append(tuple(torch.from_numpy(rows) for rows in (*row[children[new]].T.copy(), kept)))
        waiting = np.concatenate([waiting[kept], new])
    row = np.full(trees.nodes, -1)
    row[waiting] = np.arange(len(waiting))
    return words, plan, torch.from_numpy(row[levels.position[trees.roots]])


WAYS = {"torch-tree": False, "torch-level": True}


def make(engine, name, case):
    """(step, gradients) of an engine."""
    if engine == "rnnsim":
        return rnnsim_step(name, case)
    way = next(way for way in WAYS if engine.startswith(way))
    return torch_step(name, case, WAYS[way], 1 if engine.endswith("1-thread") else None)
