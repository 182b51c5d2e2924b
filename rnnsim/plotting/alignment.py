"""How well the gradients of learning rules point where the exact one does, over a training."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas


def rule_alignment(comparison, path, title="", window=None):
    """Running means of the cosine and of the norm ratio of every rule, and of the training loss.

    Parameters
    ----------
    comparison : what `rnnsim.compare` gave
    path : where the picture goes
    window : updates of the running mean; by default a fiftieth of them all

    Returns the path. Raises `RnnsimError` for another ending than .png, .svg and .pdf.
    """
    count = comparison.loss.size
    require(count > 0, "nothing to plot: nothing was compared")
    window = min(count, window or max(1, count // 50))
    made, (cosines, ratios, losses) = canvas.figure([2.4, 1.8, 1.4])
    for number, (label, found) in enumerate(comparison.rules.items()):
        look = dict(color=canvas.COLOURS[number % len(canvas.COLOURS)], linewidth=1.2, label=label)
        look |= dict(linestyle=("-", "--", ":")[number // len(canvas.COLOURS) % 3])
        look |= dict(marker=canvas.MARKERS[number % len(canvas.MARKERS)], markersize=3, markevery=0.1)
        cosines.plot(*running_mean(found["cosine"], window), **look)
        places, logs = running_mean(np.log(np.where(found["ratio"] > 0, found["ratio"], np.nan)), window)
        ratios.plot(places, np.exp(logs), **look)
    losses.plot(*running_mean(comparison.loss, window), color=canvas.GREY, linewidth=1.2)
    cosines.axhline(0, color=canvas.GREY, linewidth=0.6)
    cosines.set_ylabel("cosine", fontsize=9)
    ratios.set_yscale("log")
    ratios.set_ylabel("norm / exact", fontsize=9)
    losses.set_ylabel("loss", fontsize=9)
    cosines.legend(fontsize=7, frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    cosines.set_title(title, fontsize=10, loc="right")
    canvas.count_axis(losses, f"update by {comparison.train_with} (running mean of {window})")
    return canvas.save(made, path)


def running_mean(values, window):
    """(places, means) of the last `window` values at every place that has so many before it; NaN counts as no value.

    >>> [part.tolist() for part in running_mean(np.array([1.0, 3.0, np.nan, 5.0]), 2)]
    [[2, 3, 4], [2.0, 3.0, 5.0]]
    """
    there = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(there, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(there)])
    with np.errstate(invalid="ignore"):
        means = (sums[window:] - sums[:-window]) / (counts[window:] - counts[:-window])
    return np.arange(window, values.size + 1), means
