"""The learning curve of one run, and the curves of several runs in one picture."""

import numpy as np

from rnnsim.core.registry import one_of, require
from rnnsim.plotting import canvas

_LABELS = {"correct": "share of right sequences", "error": "mean error"}
_AXES = {"step": "training step", "sequences": "training sequences"}


def learning_curve(history, path, trivial_loss=None, unit="", title="", over="step"):
    """Draw the training loss and the loss of the evaluations, and below them the reported shares, errors and metrics.

    Parameters
    ----------
    history : the reports of a training, `TrainResult.history` or ``open_run(folder).metrics()``
    path : the picture, .png, .svg or .pdf
    trivial_loss : chance-level loss, that of the best guess that ignores the inputs; a dashed line
    unit : unit of the loss
    title : title of the picture
    over : horizontal axis, "step" (training steps) or "sequences"

    Returns the path. Raises `RnnsimError` for another ending, and if there is no report.
    """
    one_of("over", over, tuple(_AXES))
    losses, tests = _reported(history, over)
    require(losses or tests, "nothing to plot: the run has no report yet")
    below = _curves(history, tests, over)
    made, axes = canvas.figure([2.8, 2.0] if below else [3.2])
    axis = axes[0]
    values = []
    if losses:
        axis.plot(
            *zip(*losses), color=canvas.BLUE, linewidth=1.2, marker="." if len(losses) < 3 else "", label="training"
        )
        values += [loss for _, loss in losses]
    if tests:
        points = [(step, evaluation["loss"]) for step, evaluation in tests]
        axis.plot(*zip(*points), color=canvas.ORANGE, marker=".", linewidth=1.2, label=tests[0][1]["split"])
        values += [loss for _, loss in points]
    if trivial_loss is not None:
        axis.axhline(trivial_loss, color=canvas.GREY, linestyle="--", linewidth=1, label="chance level")
        values.append(trivial_loss)
    canvas.scale_loss(axis, values, unit)
    axis.set_title(title, fontsize=10, loc="left")
    axis.legend(fontsize=8, frameon=False)
    for name, points, colour, marker in below:
        axes[1].plot(*zip(*points), color=colour, marker=marker, linewidth=1.2, label=name)
    if below:
        axes[1].set_ylim(0, max(1.0, np.nanmax([value for _, points, _, _ in below for _, value in points])) * 1.02)
        axes[1].legend(fontsize=8, frameon=False)
    canvas.count_axis(axes[-1], _AXES[over])
    return canvas.save(made, path)


def compared_curves(histories, path, trivial_loss=None, unit="", title="", over="sequences"):
    """Draw the loss of several runs: the training as a line, evaluations during training as markers.

    Parameters
    ----------
    histories : ``{name of a run: its reports}``
    path, trivial_loss, unit, title, over : as in `learning_curve`

    Returns the path. Raises `RnnsimError` for another ending, and if no run has a report.
    """
    one_of("over", over, tuple(_AXES))
    curves = {name: _reported(history, over) for name, history in histories.items()}
    curves = {name: curve for name, curve in curves.items() if any(curve)}
    require(curves, "nothing to plot: no run has a report yet")
    made, (axis,) = canvas.figure([3.4])
    values = [] if trivial_loss is None else [trivial_loss]
    for number, (name, (losses, tests)) in enumerate(curves.items()):
        colour = canvas.COLOURS[number % len(canvas.COLOURS)]
        marker = canvas.MARKERS[number % len(canvas.MARKERS)]
        points = [(place, evaluation["loss"]) for place, evaluation in tests]
        line, dots = "-" if len(losses) > 2 else "", "" if len(losses) > 2 else "."
        axis.plot(*zip(*(losses or points)), color=colour, linestyle=line, marker=dots, linewidth=1.2, label=name)
        if points:
            label = f"{name}, {tests[0][1]['split']}"
            axis.plot(*zip(*points), color=colour, linestyle="", marker=marker, markersize=4, label=label)
        values += [loss for _, loss in losses + points]
    if trivial_loss is not None:
        label = "chance level"
        axis.axhline(trivial_loss, color=canvas.GREY, linestyle="--", linewidth=1, label=label)
    canvas.scale_loss(axis, values, unit)
    canvas.count_axis(axis, _AXES[over])
    axis.set_title(title, fontsize=10, loc="left")
    axis.legend(fontsize=8, frameon=False)
    return canvas.save(made, path)


def _reported(history, over):
    """([(place, training loss)], [(place, evaluation)]) of a run."""
    losses = [(line[over], line["loss"]) for line in history if line.get("loss") is not None]
    return losses, [(line[over], line["evaluation"]) for line in history if line.get("evaluation")]


def _curves(history, tests, over):
    """(label, [(place, value)], colour, marker) of the curves below the loss."""
    found = []
    for key, colour in (("correct", canvas.BLUE), ("error", canvas.GREY)):
        points = [(line[over], line[key]) for line in history if line.get(key) is not None]
        if points:
            found.append((f"{_LABELS[key]}, training", points, colour, "." if len(points) < 3 else ""))
    names = list(tests[0][1]["metrics"]) if tests else []
    for name in names:
        points = [(step, evaluation["metrics"][name]) for step, evaluation in tests if name in evaluation["metrics"]]
        found.append((f"{name}, {tests[0][1]['split']}", points, canvas.ORANGE, "."))
    return found
