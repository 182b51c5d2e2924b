"""Generalisation curves: the loss against length, repeats or items, as in figures 9 and 12 of Graves, Wayne & Danihelka 2014."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas


def generalisation(curves, path, option, trained=None, unit="", title=""):
    """Loss, and below it the share of right sequences, against one option of the task.

    Parameters
    ----------
    curves : ``{name of a run: measurements}`` with the measurements of `rnnsim.training.evaluate.generalisation`
    path : where the picture goes
    option : what goes from left to right, an option with numbers
    trained : ``{name of a run: (least, most)}``, the values it was trained with; they are shaded
    unit : of the loss

    The dashed line is the loss of the best guess that ignores the inputs. Returns the path. Raises `RnnsimError` if there is
    nothing to draw or the values of the option are no numbers.
    """
    curves = {name: list(found) for name, found in curves.items()}
    require(any(curves.values()), "nothing to plot: nothing was measured")
    every = [one for found in curves.values() for one in found]
    fits = all(isinstance(one["options"][option], (int, float)) for one in every)
    require(fits, f"{option}: expected numbers to put on an axis")
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
        label = "without looking at the inputs"
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
    """Grey where runs were trained; one shade for all that were trained alike."""
    ranges = {}
    for name, bounds in trained.items():
        ranges.setdefault(tuple(bounds), []).append(name)
    for bounds, names in ranges.items():
        label = "trained" if len(ranges) == 1 else f"trained: {', '.join(names)}"
        for axis in axes:
            axis.axvspan(bounds[0] - 0.25, bounds[1] + 0.25, color=canvas.GREY, alpha=0.15, linewidth=0, label=label)
