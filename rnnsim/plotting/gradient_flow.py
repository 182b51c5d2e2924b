"""The scale of errors that flow back in time against the lag, for several networks in one picture."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas


def backward_error(flows, path, title=""):
    """Draw, against the lag, the largest factor by which an error can be scaled on its way back: the geometric mean over the time
    steps at which it starts, and their range as a band.

    Parameters
    ----------
    flows : ``{label: rnnsim.learning.gradient_flow.GradientFlow}``
    path : the picture, .png, .svg or .pdf
    title : title of the picture

    Returns the path. Raises `RnnsimError` for another ending, and if there is no network.
    """
    require(len(flows) > 0, "nothing to plot: no network was given")
    made, (axis,) = canvas.figure([3.6])
    tens = np.log(10)
    lowest, highest = -1.0, 1.0
    for number, (label, flow) in enumerate(flows.items()):
        colour = canvas.COLOURS[number % len(canvas.COLOURS)]
        logs = np.where(np.isfinite(flow.largest), flow.largest, np.nan) / tens
        look = dict(marker=canvas.MARKERS[number % len(canvas.MARKERS)], markersize=3.5, markevery=0.1)
        mean = logs.mean(axis=0)
        axis.plot(flow.lags, mean, color=colour, linewidth=1.3, label=f"{label}: {flow.rate:+.3f} a time step", **look)
        axis.fill_between(flow.lags, logs.min(axis=0), logs.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        there = logs[np.isfinite(logs)]
        if there.size:
            lowest, highest = min(lowest, there.min()), max(highest, there.max())
    axis.axhline(0, color=canvas.GREY, linewidth=0.6)
    axis.set_ylim(lowest - 0.3, highest + 0.3)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.yaxis.set_major_formatter(lambda value, _: f"$10^{{{value:.0f}}}$")
    axis.set_ylabel("factor of the backward error", fontsize=9)
    axis.legend(fontsize=8, frameon=False)
    axis.set_title(title, fontsize=10, loc="right")
    canvas.count_axis(axis, "lag (time steps)")
    return canvas.save(made, path)
