"""Figures without a display: made, styled and written here, and nowhere else."""

import io
from pathlib import Path

from rnnsim.errors import RnnsimError
from rnnsim.training.checkpoint import write_atomically

FORMATS = ("png", "svg", "pdf")
BLUE, ORANGE, GREY = "#2458a6", "#d9762b", "#8a8a8a"


def figure(heights, width=8.0):
    """(figure, list of axes): axes of these `heights` one below the other, with one axis of time; in inches."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, sum(heights) + 0.6), layout="constrained")
    axes = made.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis in axes:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return made, list(axes)


def save(made, path):
    """Write a figure, whole or not at all, and return its path. Raises `RnnsimError` for an ending that is not known."""
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise RnnsimError(f"{path}: expected a picture that ends in .{', .'.join(FORMATS)}")
    buffer = io.BytesIO()
    made.savefig(buffer, format=kind, dpi=150)
    write_atomically(path, buffer.getvalue())
    return path
