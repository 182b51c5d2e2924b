"""A tree with what a recursive network says of its nodes: scores of merges, classes, right and wrong answers."""

from typing import NamedTuple

import numpy as np

from rnnsim.core.forest import Forest
from rnnsim.core.registry import require
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.plotting import canvas

KINDS = (Forest, SegmentGraphs)
_MOST = 400  # nodes that can be drawn so that one can read them


class DrawnTree(NamedTuple):
    """One tree as it is drawn; its nodes in the order of a forest, children before their parents."""

    children: np.ndarray  # (N, A), -1 where there is none
    names: list[str]  # of the nodes, "" for one without
    notes: list[str]  # what the network says of a node
    colours: list[str]


def tree(net, task, path, batch=None, title=""):
    """Draw one tree, its root at the top, with the labels of its nodes.

    Trees of a task that makes forests have the answer of the network at the root, or at every node that counts: blue where it is
    right, orange where it is wrong. Graphs of segments are parsed; merges have their scores, and with right trees they are blue
    where the right tree has the same span.

    Parameters
    ----------
    net, task, path, batch, title : as in `rnnsim.plotting.example`; the batch has one tree or graph

    Returns the path. Raises `RnnsimError` for another ending, another kind of batch and trees of more than 400 nodes.
    """
    batch = task.example() if batch is None else batch
    require(isinstance(batch, KINDS), f"tree: expected trees or graphs of segments, got {type(batch).kind}")
    require(batch.size == 1, f"tree: expected one tree, got {batch.size}")
    drawn = _answered(net, task, batch) if isinstance(batch, Forest) else _parsed(net, task, batch)
    made = draw(drawn)
    if title:
        made.suptitle(title, fontsize=10, x=0.01, ha="left")
    return canvas.save(made, path)


def draw(drawn):
    """A figure of a `DrawnTree`."""
    count = len(drawn.children)
    require(count <= _MOST, f"tree: {count} nodes, more than {_MOST} cannot be read")
    x, y, order = places(drawn.children)
    leaves = int(x.max()) + 1
    longest = max(len(drawn.names[node]) for node in range(count))
    made = canvas.empty(1.2 + 0.42 * y.max() + 0.055 * longest, max(4.0, 0.34 * leaves + 0.8))
    axis = made.subplots()
    axis.set_axis_off()
    inner = {node: [child for child in drawn.children[node] if child >= 0] for node in range(count)}
    for node in order:
        for child in inner[node]:
            axis.plot([x[node], x[node], x[child]], [y[node], y[node], y[child]], color="#bbbbbb", lw=0.8, zorder=1)
    sizes = [42 if inner[node] else 14 for node in order]
    axis.scatter(x[order], y[order], s=sizes, c=[drawn.colours[node] for node in order], zorder=2)
    turned = longest > 3
    for node in order:
        if not inner[node]:
            axis.annotate(
                drawn.names[node],
                (x[node], y[node]),
                (0, -6),
                textcoords="offset points",
                fontsize=7,
                ha="right" if turned else "center",
                va="top",
                rotation=50 if turned else 0,
                rotation_mode="anchor",
            )
        note = " ".join(part for part in (drawn.names[node] if inner[node] else "", drawn.notes[node]) if part)
        if note:
            axis.annotate(note, (x[node], y[node]), (4, 4), textcoords="offset points", fontsize=6, color="#444444")
    for colour, meaning in ((canvas.BLUE, "right"), (canvas.ORANGE, "wrong")):
        if colour in drawn.colours:
            axis.scatter([], [], s=24, c=colour, label=meaning)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right", fontsize=7, frameon=False)
    axis.set_xlim(-0.8, leaves - 0.2)
    axis.margins(y=0.12)
    return made


def places(children):
    """(x, y) of every node, leaves side by side at the bottom, and the nodes that the root reaches."""
    count = len(children)
    x, y = np.zeros(count), np.zeros(count)
    order, open_ends, seen, leaves = [], [(count - 1, False)], set(), 0
    while open_ends:
        node, done = open_ends.pop()
        below = [int(child) for child in children[node] if child >= 0]
        if done or not below:
            if below:
                x[node], y[node] = x[below].mean(), y[below].max() + 1
            else:
                x[node], leaves = leaves, leaves + 1
            order.append(node)
        elif node not in seen:
            open_ends.append((node, True))
            open_ends += [(child, False) for child in reversed(below) if child not in seen]
        seen.add(node)
    return x, y, order


def _names(task, inputs):
    if inputs.ndim != 1:
        return [""] * len(inputs)
    names = task.input_names
    return ["" if label < 0 else names[label] if names else str(label) for label in inputs]


def _answered(net, task, forest):
    """The tree of a forest, with the answers of the network."""
    every = task.loss.when == "every"
    answers = task.loss.predictions(net.forward(forest, when=task.loss.when).outputs)
    nodes = range(forest.nodes) if every else [forest.nodes - 1]
    notes, colours = [""] * forest.nodes, [canvas.GREY] * forest.nodes
    for row, node in enumerate(nodes):
        target = np.asarray(forest.targets)[row]
        if every and forest.weights is not None and not forest.weights[node]:
            continue
        if task.loss.kind == "softmax":
            found, wanted = int(answers[row].argmax()), int(target)
            names = task.target_names or [str(k) for k in range(net.n_outputs)]
            right, notes[node] = (
                found == wanted,
                names[found] if found == wanted else f"{names[found]}, not {names[wanted]}",
            )
        else:
            right = bool((np.abs(answers[row] - target) < task.tolerance).all())
            notes[node] = ", ".join(f"{value:.2f}" for value in answers[row])
        colours[node] = canvas.BLUE if right else canvas.ORANGE
    return DrawnTree(forest.children, _names(task, forest.inputs), notes, colours)


def _parsed(net, task, graph):
    """The tree that the network gives a graph of segments."""
    found = net.evaluate(graph, task.loss).outputs
    parses = found if isinstance(found, Parses) else found.parses
    forest, segments = graph.forest(parses), graph.work
    names = _names(task, forest.inputs)
    notes = [""] * segments + [f"{score:.2g}" for score in parses.scores]
    colours = [canvas.GREY] * forest.nodes
    if isinstance(graph.targets, Parses):
        right = set(map(tuple, _spans(segments, graph.targets.pairs)))
        for merge, span in enumerate(_spans(segments, parses.pairs)):
            colours[segments + merge] = canvas.BLUE if tuple(span) in right else canvas.ORANGE
    elif graph.targets is not None:
        classes = task.target_names or [str(k) for k in range(net.n_outputs)]
        for segment, (logits, wanted) in enumerate(zip(found.classes, graph.targets)):
            names[segment] = classes[int(logits.argmax())]
            if wanted >= 0:
                colours[segment] = canvas.BLUE if logits.argmax() == wanted else canvas.ORANGE
    return DrawnTree(forest.children, names, notes, colours)


def _spans(segments, pairs):
    """(merges, 2): the first and the last segment below every merge."""
    first, last = list(range(segments)), list(range(segments))
    for left, right in pairs:
        first.append(min(first[left], first[right]))
        last.append(max(last[left], last[right]))
    return np.stack([first[segments:], last[segments:]], axis=1) if len(pairs) else np.zeros((0, 2), int)
