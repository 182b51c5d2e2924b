"""The alignment of approximate gradients with the exact one, over a training."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas


def rule_alignment(comparison, path, title="", window=None):
    """Draw the cosine of every rule's gradient with the exact one, the ratio of their norms, and the training loss, over updates.

    The lines are running means; the legend gives the mean cosines.

    Parameters
    ----------
    comparison : the result of `rnnsim.compare`
    path : the picture, .png, .svg or .pdf
    title : title of the picture
    window : number of updates in a running mean; by default a twentieth of all

    Returns the path. Raises `RnnsimError` for another ending and for an empty comparison.
    """
    count = comparison.loss.size
    require(count > 0, "nothing to plot: nothing was compared")
    window = min(count, window or max(1, count // 20))
    made, (cosines, ratios, losses) = canvas.figure([2.6, 1.8, 1.2])
    means = {label: _mean(found["cosine"]) for label, found in comparison.rules.items()}
    for number, label in enumerate(sorted(means, key=lambda label: -np.nan_to_num(means[label], nan=-2.0))):
        found = comparison.rules[label]
        look = dict(color=canvas.COLOURS[number % len(canvas.COLOURS)], linewidth=1.3)
        look |= dict(linestyle=("-", "--", ":")[number // len(canvas.COLOURS) % 3])
        # Offset, so that the markers of one line fall between those of the others.
        look |= dict(
            marker=canvas.MARKERS[number % len(canvas.MARKERS)], markersize=3.5, markevery=(3 * number % 20, 40)
        )
        cosines.plot(*_thinned(running_mean(found["cosine"], window)), label=f"{means[label]:.2f}  {label}", **look)
        places, logs = running_mean(np.log(np.where(found["ratio"] > 0, found["ratio"], np.nan)), window)
        ratios.plot(*_thinned((places, np.exp(logs))), **look)
    losses.plot(*_thinned(running_mean(comparison.loss, window)), color=canvas.GREY, linewidth=1.3)
    cosines.axhline(0, color=canvas.GREY, linewidth=0.6)
    cosines.set_ylabel("cosine", fontsize=9)
    ratios.set_yscale("log")
    ratios.set_ylabel("norm / exact", fontsize=9)
    losses.set_ylabel("loss", fontsize=9)
    legend = dict(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), handlelength=3)
    cosines.legend(title="mean cosine", title_fontsize=8, alignment="left", **legend)
    cosines.set_title(title, fontsize=10, loc="right")
    canvas.count_axis(losses, f"update by {comparison.train_with} (running mean of {window})")
    return canvas.save(made, path, dpi=120)


def _mean(values):
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else np.nan


def _thinned(line, most=200):
    """A line (places, values) with about `most` points: more cannot be seen and make the file large."""
    return tuple(part[:: max(1, len(part) // most)] for part in line)


def running_mean(values, window):
    """(places, means): means over the last `window` values, at every place with so many values; NaN is left out.

    >>> [part.tolist() for part in running_mean(np.array([1.0, 3.0, np.nan, 5.0]), 2)]
    [[2, 3, 4], [2.0, 3.0, 5.0]]
    """
    there = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(there, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(there)])
    with np.errstate(invalid="ignore"):
        means = (sums[window:] - sums[:-window]) / (counts[window:] - counts[:-window])
    return np.arange(window, values.size + 1), means
