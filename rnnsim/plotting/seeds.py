"""Learning curves of one experiment over many seeds."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas

_COLOURS = (canvas.BLUE, canvas.ORANGE, "#3a8f5c", "#8e4fa8", canvas.GREY, "#b23a48")


def learning_curves(histories, path, unit="", title=""):
    """Draw the loss over training sequences: a thin line for every seed, a thick one for the median of every arm.

    The loss is that of the evaluations during training, or the training loss of a seed without any. A seed that reached its goal
    and ended before others contributes its last value to the median.

    Parameters
    ----------
    histories : ``{arm: [reports of a seed, ...]}``, each as in ``open_run(folder).metrics()``
    path : the picture, .png, .svg or .pdf
    unit : unit of the loss
    title : title of the picture

    Returns the path. Raises `RnnsimError` for another ending, and if there is no report.
    """
    curves = {arm: [curve for curve in map(_curve, several) if curve.size] for arm, several in histories.items()}
    curves = {arm: several for arm, several in curves.items() if several}
    require(curves, "nothing to plot: no run has a report yet")
    made, (axis,) = canvas.figure([3.4])
    for number, (arm, several) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        for curve in several:
            axis.plot(*curve, color=colour, linewidth=0.6, alpha=0.45, marker="." if curve.shape[1] < 3 else "")
        seeds = f"{len(several)} seed{'s' * (len(several) > 1)}"
        axis.plot(*median(several), color=colour, linewidth=2, label=f"{arm}, median of {seeds}")
    values = np.concatenate([curve[1] for several in curves.values() for curve in several])
    if values.min() > 0 and values.max() > 5 * values.min():
        axis.set_yscale("log")
    axis.set_ylabel("squared error" if unit == "squared" else f"loss ({unit})" if unit else "loss", fontsize=9)
    axis.set_xlabel("training sequences", fontsize=9)
    axis.set_title(title, fontsize=10, loc="left")
    axis.legend(fontsize=8, frameon=False)
    return canvas.save(made, path)


def median(curves):
    """The median curve (2, n) of curves (2, n_i): at every place of any curve, over the last value of each up to there.

    >>> median([np.array([[1.0, 2.0, 3.0], [9.0, 4.0, 1.0]]), np.array([[1.0, 2.0], [5.0, 2.0]])]).tolist()
    [[1.0, 2.0, 3.0], [7.0, 3.0, 1.5]]
    """
    places = np.unique(np.concatenate([curve[0] for curve in curves]))
    places = places[places >= max(curve[0][0] for curve in curves)]
    values = [curve[1][np.searchsorted(curve[0], places, side="right") - 1] for curve in curves]
    return np.stack([places, np.median(values, axis=0)])


def _curve(history):
    """(2, n): training sequences and losses, the finite ones."""
    evaluated = [(line["sequences"], line["evaluation"]["loss"]) for line in history if line.get("evaluation")]
    trained = [(line["sequences"], line["loss"]) for line in history if line.get("loss") is not None]
    points = np.array(evaluated or trained, np.float64).reshape(-1, 2).T
    return points[:, np.isfinite(points).all(axis=0)]
