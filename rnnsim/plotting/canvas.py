"""Figures without a display: made, styled and written here, and nowhere else."""

import io
from pathlib import Path

import numpy as np

from rnnsim.core.checkpoint import write_atomically
from rnnsim.errors import RnnsimError

FORMATS = ("png", "svg", "pdf")
FILM = "gif"
BLUE, ORANGE, GREY = "#2458a6", "#d9762b", "#8a8a8a"
# Apart in lightness too, so that they stay apart for eyes that do not tell red from green; the markers are the second key.
COLOURS = (BLUE, ORANGE, "#1b1b1b", "#5db7e8", "#a5578f", GREY)
MARKERS = ("o", "s", "^", "D", "v", "P")


def figure(heights, width=8.0):
    """(figure, list of axes): axes of these `heights` one below the other, with one axis of time; in inches."""
    made, axes = grid(heights, [width])
    return made, list(axes[:, 0])


def grid(heights, widths):
    """(figure, axes (rows, columns)) of these heights and widths in inches, with one axis of time in every column."""
    made = empty(sum(heights) + 0.6, sum(widths))
    axes = made.subplots(
        len(heights), len(widths), sharex="col", squeeze=False, height_ratios=heights, width_ratios=widths
    )
    for axis in axes.flat:
        style(axis)
    return made, axes


def empty(height, width=8.0, layout="constrained"):
    """A figure without axes, of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def style(axis):
    """The look of all axes."""
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def image(axis, values, low, high):
    """Values (T, n) as an image with time from left to right; grey where there are none."""
    import matplotlib

    colours = matplotlib.colormaps["RdBu_r" if low < 0 else "Blues"].with_extremes(bad="#eeeeee")
    shown = axis.imshow(values.T, aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=high)
    if values.shape[1] == 1:
        axis.set_yticks([])
    else:
        axis.yaxis.get_major_locator().set_params(integer=True)
    axis.spines[:].set_visible(False)
    return shown


def colour_bar(made, shown, axes):
    """What the colours of an image mean, to the right of one or more axes."""
    made.colorbar(shown, ax=axes, pad=0.01, aspect=10).ax.tick_params(labelsize=7)


def colour_range(values):
    """Where the colours begin and end: 0 to 1 or more for what is never negative, else the same to both sides."""
    values = values[np.isfinite(values)]
    top = float(np.abs(values).max()) if values.size else 1.0
    if values.size and values.min() < 0:
        return -max(top, 1e-12), max(top, 1e-12)
    return 0.0, max(top, 1.0) if top > 0.5 else max(top, 1e-12)


def scale_loss(axis, values, unit):
    """The axis of a loss: logarithmic where the values span more than a factor of 5."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 5 * values.min():
        axis.set_yscale("log")
    axis.set_ylabel("squared error" if unit == "squared" else f"loss ({unit})" if unit else "loss", fontsize=9)


def count_axis(axis, text):
    """The axis of something that is counted, thousands apart."""
    axis.set_xlabel(text, fontsize=9)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value == round(value) else f"{value:g}")


def save(made, path, dpi=150):
    """Write a figure, whole or not at all, and return its path. Raises `RnnsimError` for an ending that is not known."""
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise RnnsimError(f"{path}: expected a picture that ends in .{', .'.join(FORMATS)}")
    buffer = io.BytesIO()
    made.savefig(buffer, format=kind, dpi=dpi)
    write_atomically(path, buffer.getvalue())
    return path


def save_film(made, artists, show, frames, path, milliseconds, dpi=100):
    """Write an animated GIF, whole or not at all, and return its path.

    ``show(frame)`` puts the data of every one of `frames` into the `artists`, which alone are drawn anew from frame to frame.
    The last frame stays for a second and a half. Raises `RnnsimError` for another ending than .gif.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() != f".{FILM}":
        raise RnnsimError(f"{path}: expected a film that ends in .{FILM}")
    made.set_dpi(dpi)
    canvas = FigureCanvasAgg(made)
    for artist in artists:
        artist.set_animated(True)
    canvas.draw()
    background = canvas.copy_from_bbox(made.bbox)
    pictures = []
    for frame in frames:
        show(frame)
        canvas.restore_region(background)
        for artist in artists:
            made.draw_artist(artist)
        pictures.append(Image.fromarray(np.array(canvas.buffer_rgba())[..., :3]))
    # One palette for all frames: what does not change then costs no bytes.
    palette = Image.new("P", (1, 1))
    palette.putpalette(_film_colours().tobytes())
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    buffer = io.BytesIO()
    durations = [milliseconds] * len(others) + [1500]
    first.save(buffer, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
    write_atomically(path, buffer.getvalue())
    return path


def _film_colours():
    """(256, 3) uint8: the colours of images, greys for lines and letters, and the highlight."""
    import matplotlib
    from matplotlib.colors import to_rgb

    scales = [
        matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, 127)),
        matplotlib.colormaps["Blues"](np.linspace(0, 1, 80)),
    ]
    greys = np.linspace(0, 1, 40)[:, None] * np.ones(3)
    highlight = 1 - np.linspace(0, 1, 9)[1:, None] * (1 - np.array(to_rgb(ORANGE)))
    parts = [scale[:, :3] for scale in scales] + [greys, highlight, np.full((1, 3), 0xEE / 255)]
    return np.round(255 * np.concatenate(parts)).astype(np.uint8)
