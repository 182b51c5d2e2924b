"""The learning curve of a run."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas

_LABELS = {"correct": "share of right sequences", "error": "mean error"}


def learning_curve(history, path, trivial_loss=None, unit="", title=""):
    """Training loss over steps, and below it the shares and errors that were reported.

    Parameters
    ----------
    history : the reports of a training, `TrainResult.history` or ``open_run(folder).metrics()``
    path : where the picture goes
    trivial_loss : loss of the best guess that ignores the inputs, drawn as a line
    unit : of the loss

    Returns the path. Raises `RnnsimError` if there is no report.
    """
    losses = [(line["step"], line["loss"]) for line in history if line.get("loss") is not None]
    tests = [(line["step"], line["evaluation"]) for line in history if line.get("evaluation")]
    require(losses or tests, "nothing to plot: the run has no report yet")
    below = _curves(history, tests)
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
        axis.axhline(
            trivial_loss, color=canvas.GREY, linestyle="--", linewidth=1, label="without looking at the inputs"
        )
        values.append(trivial_loss)
    if min(values) > 0 and max(values) > 5 * min(values):
        axis.set_yscale("log")
    axis.set_ylabel("squared error" if unit == "squared" else f"loss ({unit})" if unit else "loss", fontsize=9)
    axis.set_title(title, fontsize=10, loc="left")
    axis.legend(fontsize=8, frameon=False)
    for name, points, colour, marker in below:
        axes[1].plot(*zip(*points), color=colour, marker=marker, linewidth=1.2, label=name)
    if below:
        axes[1].set_ylim(0, max(1.0, np.nanmax([value for _, points, _, _ in below for _, value in points])) * 1.02)
        axes[1].legend(fontsize=8, frameon=False)
    axes[-1].set_xlabel("training step", fontsize=9)
    return canvas.save(made, path)


def _curves(history, tests):
    """(label, [(step, value)], colour, marker) of what goes below the loss."""
    found = []
    for key, colour in (("correct", canvas.BLUE), ("error", canvas.GREY)):
        points = [(line["step"], line[key]) for line in history if line.get(key) is not None]
        if points:
            found.append((f"{_LABELS[key]}, training", points, colour, "." if len(points) < 3 else ""))
    names = list(tests[0][1]["metrics"]) if tests else []
    for name in names:
        points = [(step, evaluation["metrics"][name]) for step, evaluation in tests if name in evaluation["metrics"]]
        found.append((f"{name}, {tests[0][1]['split']}", points, canvas.ORANGE, "."))
    return found
