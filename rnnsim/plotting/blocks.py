"""The diagram of a network of memory blocks: units, blocks and connections, as in figure 2 of Hochreiter & Schmidhuber 1997."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas

_MOST = 200  # more units could not be distinguished
_ROWS = {"source": 0.0, "hidden": 2.6, "output": 5.2}
_SHORT = {"in": "in", "forget": "fg", "out": "out"}
_INK = "#1b1b1b"


def has_blocks(net):
    """Whether a network consists of memory blocks."""
    return net.config["name"] == "lstm1997"


def memory_blocks(net, path, title=""):
    """Draw the units and connections of a network of memory blocks.

    The bottom row has the sources of the hidden layer: the inputs, those of its own outputs at the time step before that it sees,
    and the bias. The middle row has the memory blocks with their gates and cells, and the plain units; the top row the outputs.
    A line is a weight, blue if positive, orange if negative; its width is proportional to the magnitude. Dashed lines are
    peepholes.

    Parameters
    ----------
    net : a network `lstm1997`
    path : the picture, .png, .svg or .pdf
    title : stands before the number of blocks and weights

    Returns the path. Raises `RnnsimError` for another ending, for other networks, and for more than 200 units.

    >>> from rnnsim.networks import build
    >>> memory_blocks(build("lstm1997", 8, 4), "figure-2.svg").name
    'figure-2.svg'
    """
    require(has_blocks(net), f"network '{net.config['name']}' has no memory blocks to draw")
    drawing = _Drawing(net)
    count = len(drawing.places)
    require(count <= _MOST, f"the network has {count} units; a diagram can show at most {_MOST}")
    made = canvas.empty(0.75 * (_ROWS["output"] + 2), max(6.0, 0.62 * drawing.width + 1.6))
    axis = made.subplots()
    drawing.draw(axis)
    words = f"{net.blocks} memory block{'s' * (net.blocks > 1)} of {net.size}, {net.n_parameters:,} weights"
    axis.set_title(f"{title}: {words}" if title else words, fontsize=10, loc="left")
    return canvas.save(made, path)


class _Drawing:
    """Places of the units by name, and their drawing."""

    def __init__(self, net):
        self.net, self.places, self.boxes = net, {}, []
        self.views = net.layout.views(net.theta)
        hidden = self._hidden()
        sources = [("x", i) for i in range(net.n_inputs)]
        sources += [("before", name) for name in self._seen()] + [("bias", 0)]
        outputs = [("output", k) for k in range(net.n_outputs)]
        self.width = max(len(sources) + 2.0, len(outputs), hidden)
        self._spread(sources, "source")
        self._spread(outputs, "output")
        shift = (self.width - hidden) / 2
        self.places |= {name: (x + shift, _ROWS["hidden"]) for name, x in self._columns.items()}
        self.boxes = [(low + shift, high + shift) for low, high in self.boxes]

    def _hidden(self):
        """Set the columns of the hidden units, block after block; returns the width."""
        net, x = self.net, 0.5
        self._columns, self.boxes = {}, []
        for j in range(net.blocks):
            members = [(gate, j) for gate in net.gates if gate != "out"]
            members += [("cell", j * net.size + v) for v in range(net.size)]
            members += [("out", j)] if net.output_gate else []
            self.boxes.append((x, x + 1.1 * len(members)))
            for name in members:
                self._columns[name] = x + 0.55
                x += 1.1
            x += 0.7
        for p in range(net.plain):
            self._columns["plain", p] = x + 0.3
            x += 1.0
        return x - 0.2

    def _names(self, kind):
        """The units of one kind of `LSTM1997._kinds`, in order."""
        kind, count = kind
        return [(kind.removesuffix("_gate"), i) for i in range(count)]

    def _seen(self):
        return [name for kind in self.net._seen() for name in self._names(kind)]

    def _spread(self, names, row):
        """Place the units of a row side by side, with a gap before every new kind."""
        kinds = [name[0] for name in names]
        gaps = np.concatenate([[0.0], np.cumsum([a != b for a, b in zip(kinds, kinds[1:])])])
        columns = np.arange(len(names)) + gaps
        columns += (self.width - columns[-1]) / 2
        self.places |= {name: (x, _ROWS[row]) for name, x in zip(names, columns)}

    def connections(self):
        """Yield (source, target, weight, whether it is a peephole) for every weight."""
        net, views = self.net, self.views
        sources = [("x", i) for i in range(net.n_inputs)] + [("before", name) for name in self._seen()]
        for kind in net._kinds():
            for row, unit in enumerate(self._names(kind)):
                for column, source in enumerate(sources):
                    yield source, unit, views[f"weight_{kind[0]}"][row, column], False
                if f"bias_{kind[0]}" in views:
                    yield ("bias", 0), unit, views[f"bias_{kind[0]}"][row], False
                peepholes = views.get(f"peephole_{kind[0]}")
                for u in range(net.size if peepholes is not None else 0):
                    yield ("cell", row * net.size + u), unit, peepholes[row, u], True
        below = [("cell", v) for v in range(net.hidden)] + [("plain", p) for p in range(net.plain)]
        below += [("x", i) for i in range(net.n_inputs)] if net.shortcut else []
        for k in range(net.n_outputs):
            for column, source in enumerate(below):
                yield source, ("output", k), views["weight_out"][k, column], False
            if net.output_bias:
                yield ("bias", 0), ("output", k), views["bias_out"][k], False

    def draw(self, axis):
        """Draw boxes, lines, units and labels."""
        axis.set_xlim(-1.7, self.width + 0.7)
        axis.set_ylim(-0.9, _ROWS["output"] + 0.6)
        axis.set_aspect("equal")
        axis.axis("off")
        for low, high in self.boxes:
            self._box(axis, low, high)
        self._lines(axis, list(self.connections()))
        for name, place in self.places.items():
            self._unit(axis, name, place)
        for row, text in (("source", "sources"), ("hidden", "hidden"), ("output", "outputs")):
            axis.text(-1.6, _ROWS[row], text, fontsize=9, va="center", color=canvas.GREY)

    def _box(self, axis, low, high):
        from matplotlib.patches import FancyBboxPatch

        y, half = _ROWS["hidden"], 0.75
        look = dict(boxstyle="round,pad=0.02,rounding_size=0.2", facecolor="#eef2f8", edgecolor=canvas.GREY)
        axis.add_patch(FancyBboxPatch((low, y - half), high - low, 2 * half, linewidth=1, zorder=1, **look))

    def _lines(self, axis, connections):
        from matplotlib.collections import LineCollection

        largest = max(abs(weight) for *_, weight, _ in connections) or 1.0
        for peephole in (False, True):
            chosen = [c for c in connections if c[3] == peephole]
            ends = [(self.places[source], self.places[target]) for source, target, _, _ in chosen]
            if peephole:
                ends = [_bent(*pair) for pair in ends]
            share = [abs(weight) / largest for *_, weight, _ in chosen]
            colours = [canvas.BLUE if weight > 0 else canvas.ORANGE for *_, weight, _ in chosen]
            look = dict(linestyles="dashed", zorder=3) if peephole else dict(zorder=2, alpha=0.55)
            axis.add_collection(
                LineCollection(ends, colors=colours, linewidths=[0.25 + 1.8 * part for part in share], **look)
            )

    def _unit(self, axis, name, place):
        from matplotlib.patches import Circle, Rectangle

        kind, number = name
        x, y = place
        if kind in ("before", "bias"):
            axis.add_patch(Rectangle((x - 0.3, y - 0.3), 0.6, 0.6, facecolor="white", edgecolor=_INK, zorder=4))
        else:
            face = {"cell": "#bcd2ee", "x": "white", "output": "white", "plain": "white"}.get(kind, "#f6d7bd")
            axis.add_patch(Circle((x, y), 0.36, facecolor=face, edgecolor=_INK, zorder=4))
        if kind == "cell":
            self._carousel(axis, x, y)
        axis.text(x, y, self._label(kind, number), fontsize=7, ha="center", va="center", zorder=5)
        if kind == "before":
            axis.text(x, y - 0.55, "t−1", fontsize=6, ha="center", va="center", color=canvas.GREY)

    def _carousel(self, axis, x, y):
        """Draw the self-connection of a cell: its weight is 1, or the forget gate."""
        from matplotlib.patches import FancyArrowPatch

        look = dict(arrowstyle="-|>", mutation_scale=7, color=_INK, linewidth=0.9, zorder=4, shrinkA=0, shrinkB=0)
        ends = ((x - 0.2, y + 0.31), (x + 0.2, y + 0.31))
        axis.add_patch(FancyArrowPatch(*ends, connectionstyle="arc3,rad=-1.1", **look))
        axis.text(x, y + 0.63, "φ" if self.net.forget else "1", fontsize=6, ha="center", va="center", zorder=5)

    def _label(self, kind, number):
        if kind == "before":
            return self._label(*number)
        if kind == "bias":
            return "1"
        if kind in _SHORT:
            return f"{_SHORT[kind]}{number + 1}"
        return {"x": "x", "cell": "c", "plain": "u", "output": "y"}[kind] + str(number + 1)


def _bent(start, end):
    """A curve from a cell to a gate of its block, below the units in between."""
    (x0, y0), (x1, y1) = start, end
    t = np.linspace(0, 1, 24)
    return np.stack([x0 + (x1 - x0) * t, y0 + (y1 - y0) * t - 0.62 * np.sin(np.pi * t)], axis=1)
