"""Generalisation curves: the loss against length, repeats or items, as in figures 9 and 12 of Graves, Wayne & Danihelka 2014."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas


def generalisation(curves, path, option, trained=None, unit="", title=""):
    """Draw the loss, and below it the share of right sequences, against one option of the task.

    The dashed line is the chance-level loss, that of the best guess that ignores the inputs.

    Parameters
    ----------
    curves : ``{name of a run: measurements}``, each from `rnnsim.training.evaluate.generalisation`
    path : the picture, .png, .svg or .pdf
    option : the option on the horizontal axis; its values are numbers
    trained : ``{name of a run: (least, most)}``, the range of the option in training; it is shaded
    unit : unit of the loss
    title : title of the picture

    Returns the path. Raises `RnnsimError` for another ending, if there is nothing to draw, and if a value of the option is not a
    number.
    """
    curves = {name: list(found) for name, found in curves.items()}
    require(any(curves.values()), "nothing to plot: there are no measurements")
    every = [one for found in curves.values() for one in found]
    fits = all(isinstance(one["options"][option], (int, float)) for one in every)
    require(fits, f"{option}: expected numbers for the horizontal axis")
    right = any(one["correct"] is not None for one in every)
    made, axes = canvas.figure([3.0, 1.6] if right else [3.4])
    _shade(axes, trained or {})
    for number, (name, found) in enumerate(curves.items()):
        look = dict(color=canvas.COLOURS[number % len(canvas.COLOURS)], linewidth=1.2, label=name, markersize=4)
        look["marker"] = canvas.MARKERS[number % len(canvas.MARKERS)]
        found = sorted(found, key=lambda one: one["options"][option])
        axes[0].plot(*_points(found, option, "loss"), **look)
        if right:
            axes[1].plot(*_points(found, option, "correct"), **look)
    guess = sorted({(one["options"][option], one["trivial_loss"]) for one in every if one["trivial_loss"] is not None})
    if guess:
        label = "chance level"
        axes[0].plot(*zip(*guess), color=canvas.GREY, linestyle="--", linewidth=1, label=label)
    canvas.scale_loss(axes[0], [one["loss"] for one in every] + [loss for _, loss in guess], unit)
    axes[0].set_title(title, fontsize=10, loc="left")
    axes[0].legend(fontsize=8, frameon=False)
    if right:
        axes[1].set_ylim(-0.03, 1.03)
        axes[1].set_ylabel("share of\nright sequences", fontsize=9)
    canvas.count_axis(axes[-1], option.replace("_", " "))
    return canvas.save(made, path)


def _points(found, option, key):
    values = [np.nan if one[key] is None else one[key] for one in found]
    return [one["options"][option] for one in found], values


def _shade(axes, trained):
    """Shade the trained ranges, once for all runs with the same range."""
    ranges = {}
    for name, bounds in trained.items():
        ranges.setdefault(tuple(bounds), []).append(name)
    for bounds, names in ranges.items():
        label = "trained" if len(ranges) == 1 else f"trained: {', '.join(names)}"
        for axis in axes:
            axis.axvspan(bounds[0] - 0.25, bounds[1] + 0.25, color=canvas.GREY, alpha=0.15, linewidth=0, label=label)
