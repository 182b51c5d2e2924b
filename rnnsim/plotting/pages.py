"""Input, target and output of several sequences on one page: figures 4 and 8 of Graves, Wayne & Danihelka 2014."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas
from rnnsim.plotting.sequences import label, length, seen

# Inches: width of the page; beside and between examples; above them, for the text over, below, and between panels.
_WIDTH, _LEFT, _RIGHT, _BETWEEN, _NARROWEST = 10.0, 0.5, 0.2, 0.2, 0.85
_TITLE, _WORDS, _TICK_LABELS, _GAP = 0.35, 0.55, 0.4, 0.08


def examples(net, tasks, path, number=0, title=""):
    """Draw input, target and output of one sequence of every task side by side, with the same time scale for all.

    The input is shown up to the first time step that counts, target and output at the time steps that count; all of them if the
    first time step counts. A triangle below marks a time step with a wrong output. The text above gives the loss and the number
    of wrong time steps.

    Parameters
    ----------
    net : a network
    tasks : ``{text above: task}``, such as one task at several lengths
    path : the picture, .png, .svg or .pdf
    number : number of the example, as in ``task.example(number)``
    title : title of the page

    Returns the path. Raises `RnnsimError` for another ending, and for tasks with one target a sequence.
    """
    require(tasks, "nothing to plot: no task is given")
    shown = [_Example(net, task, number, name) for name, task in tasks.items()]
    spans = [canvas.colour_range(np.concatenate([getattr(one, name).reshape(-1) for one in shown])) for name in _PARTS]
    spans[1] = spans[2] = max(spans[1:])
    lines, inch = _lines(shown)
    rows = max(max(one.inputs.shape[1], one.outputs.shape[1]) for one in shown)
    panel = min(1.2, max(0.5, 0.3 + 0.05 * rows))
    pitch = 3 * (panel + _GAP) + _WORDS + _TICK_LABELS
    made = canvas.empty(pitch * len(lines) + _TITLE, _WIDTH, layout=None)
    heading = "    ".join(part for part in (title, "triangles: time steps with a wrong output") if part)
    made.text(0.1 / _WIDTH, 1 - 0.1 / made.get_figheight(), heading, fontsize=10, va="top")
    for number, line in enumerate(lines):
        left, top = _LEFT, made.get_figheight() - _TITLE - number * pitch - _WORDS
        for place, one in enumerate(line):
            width = one.time_steps * inch
            boxes = [(left, top - (k + 1) * panel - k * _GAP, width, panel) for k in range(3)]
            size = (_WIDTH, made.get_figheight()) * 2
            one.draw([made.add_axes(np.array(box) / size) for box in boxes], spans, named=place == 0)
            left += max(width, _NARROWEST) + _BETWEEN
    return canvas.save(made, path)


_PARTS = ("inputs", "targets", "outputs")


class _Example:
    def __init__(self, net, task, number, name):
        require(
            task.loss.when == "every",
            "a page of examples needs targets at every time step; the task has one target a sequence",
        )
        batch = task.example(number)
        steps = length(batch)
        outputs, targets, counted = seen(net, task, batch, steps)
        begins = int(counted.argmax())
        inputs = np.eye(task.n_inputs)[batch.inputs[:steps, 0]] if task.tokens else batch.inputs[:steps, 0]
        self.inputs = inputs[:begins] if begins else inputs
        self.targets, self.outputs = targets[counted], outputs[counted]
        self.wrong = _wrong(task, self.targets, self.outputs)
        self.time_steps = max(len(self.inputs), len(self.outputs))
        loss, unit = net.evaluate(batch, task.loss).loss, task.loss.unit
        loss = f"{loss:,.0f}" if loss >= 1000 else f"{loss:.3g}"
        self.title = f"{name}\n{loss}{'' if unit == 'squared' else ' ' + unit}\n{self.wrong.size} wrong"

    def draw(self, axes, spans, named):
        for axis, name, span in zip(axes, _PARTS, spans):
            canvas.style(axis)
            canvas.image(axis, getattr(self, name), *span)
            axis.set_xlim(-0.5, self.time_steps - 0.5)
            axis.set_yticks([])
            axis.tick_params(labelbottom=name == "outputs", bottom=name == "outputs")
            if named:
                label(axis, name.removesuffix("s"))
        axes[0].set_title(self.title, fontsize=8, loc="left")
        below = np.full(self.wrong.size, self.outputs.shape[1] - 0.5)
        axes[2].xaxis.get_major_locator().set_params(integer=True, nbins=max(1, self.time_steps // 10))
        axes[2].plot(self.wrong, below, "^", color=canvas.ORANGE, markersize=4, clip_on=False, zorder=3)


def _wrong(task, targets, outputs):
    """The time steps at which an output is wrong in the sense of the task."""
    if task.loss.kind == "softmax":
        return np.flatnonzero(targets.argmax(axis=1) != outputs.argmax(axis=1))
    return np.flatnonzero((np.abs(targets - outputs) >= task.tolerance).any(axis=1))


def _lines(shown):
    """(the examples in lines, in their order; inches of a time step).

    The longest is a little narrower than the page, so that several with as many time steps in total fit on one line.
    """
    page = _WIDTH - _LEFT - _RIGHT
    inch = min(page / (1.08 * max(one.time_steps for one in shown)), _NARROWEST / 4)
    lines, used = [], np.inf
    for one in shown:
        width = max(one.time_steps * inch, _NARROWEST)
        if used + width > page * 1.001:
            lines.append([])
            used = 0
        lines[-1].append(one)
        used += width + _BETWEEN
    return lines, inch
