"""The memory of a network during one sequence, as an animated GIF."""

import numpy as np

from rnnsim.plotting import canvas
from rnnsim.plotting.episodes import episode
from rnnsim.plotting.locations import label_locations
from rnnsim.plotting.sequences import label

_FRAMES = 500  # longer sequences show every second, third, ... time step


def film(net, task, path, batch=None, title=""):
    """Draw the contents of the memory at every time step, as an animated GIF.

    To the left of the memory are the weightings of the write heads, to its right those of the read heads, above it the added
    vectors, below it the read vectors; at the top are the input and the output up to the time step.

    Parameters
    ----------
    net, task, batch, title : as in `rnnsim.plotting.memory`
    path : the film, .gif

    Returns the path. Raises `RnnsimError` for another ending, and if the network has no memory.
    """
    seen = episode(net, task, batch)
    made, axes = _stage(seen)
    made.suptitle(seen.heading(title), fontsize=9, x=0.01, ha="left")
    artists, show = _play(axes, seen)
    steps = len(seen.inputs)
    frames = range(0, steps, -(-steps // _FRAMES))
    return canvas.save_film(made, artists, show, frames, path, milliseconds=180 if steps <= 80 else 80)


def _stage(seen):
    """(figure, {name: axis}): input and output over time at the top, the memory with its heads below."""
    locations, columns = seen.memory.shape[1:]
    writers, readers = seen.added.shape[1], seen.read.shape[1]
    strip = [0.35 + 0.07 * seen.inputs.shape[1], 0.35 + 0.07 * seen.outputs.shape[1]]
    high = float(np.clip(0.09 * locations, 2.2, 5.0))
    heights = [*strip, 0.22 * writers + 0.2, high, 0.22 * readers + 0.2]
    made = canvas.empty(sum(heights) + 1.0, 7.2)
    over_time, below = made.subfigures(2, 1, height_ratios=[sum(strip) + 0.5, sum(heights[2:]) + 0.5])
    inputs, outputs = over_time.subplots(2, 1, sharex=True, height_ratios=strip)
    widths = [max(0.5, 0.25 * writers), max(3.0, 0.16 * columns), max(0.5, 0.25 * readers)]
    grid = below.subplots(3, 3, squeeze=False, height_ratios=heights[2:], width_ratios=widths)
    axes = dict(inputs=inputs, outputs=outputs, added=grid[0, 1], write=grid[1, 0], memory=grid[1, 1], read=grid[1, 2])
    axes["reads"] = grid[2, 1]
    for axis in grid.flat:
        axis.set_visible(axis in axes.values())
    for axis in axes.values():
        canvas.style(axis)
    return made, axes


def _play(axes, seen):
    """(artists, function that sets them to the data of a time step)."""
    steps, shown = len(seen.inputs), {}
    vectors = canvas.colour_range(np.concatenate([seen.added.reshape(-1), seen.read.reshape(-1)]))
    parts = dict(
        inputs=(seen.inputs, canvas.colour_range(seen.inputs)),
        outputs=(seen.outputs, canvas.colour_range(seen.outputs)),
        added=(seen.added[0].T, vectors),
        reads=(seen.read[0].T, vectors),
        write=(seen.write_weights[0], (0.0, 1.0)),
        read=(seen.read_weights[0], (0.0, 1.0)),
        memory=(seen.memory[0].T, canvas.colour_range(seen.memory)),
    )
    names = dict(
        inputs="input", outputs="output", added="added", reads="read", write="write weighting", read="read weighting"
    )
    for name, (values, span) in parts.items():
        shown[name] = canvas.image(axes[name], values, *span)
        label(axes[name], names.get(name, ""))
        if name not in ("inputs", "outputs"):
            axes[name].set_xticks([])
            axes[name].spines[:].set_visible(True)
            axes[name].spines[:].set_color(canvas.GREY)
        axes[name].set_yticks([])
    for name, head_axis, heads in (
        ("added", "y", seen.added.shape[1]),
        ("reads", "y", seen.read.shape[1]),
        ("write", "x", seen.added.shape[1]),
        ("read", "x", seen.read.shape[1]),
    ):
        if heads > 1:
            axes[name].set(**{f"{head_axis}ticks": range(heads)})
    axes["outputs"].set_xlabel("time step", fontsize=9)
    axes["inputs"].tick_params(labelbottom=False)
    label_locations(axes["memory"], seen.locations)
    cursors = [axes[name].axvline(0, color=canvas.ORANGE, linewidth=1.5) for name in ("inputs", "outputs")]
    clock = axes["memory"].set_title(" ", fontsize=9)

    def show(time_step):
        shown["outputs"].set_data(np.where(np.arange(steps)[:, None] <= time_step, seen.outputs, np.nan).T)
        shown["added"].set_data(seen.added[time_step])
        shown["reads"].set_data(seen.read[time_step])
        shown["write"].set_data(seen.write_weights[time_step].T)
        shown["read"].set_data(seen.read_weights[time_step].T)
        shown["memory"].set_data(seen.memory[time_step])
        for cursor in cursors:
            cursor.set_xdata([time_step, time_step])
        clock.set_text(f"memory after time step {time_step}")

    moving = [image for name, image in shown.items() if name != "inputs"]
    frames = [spine for axis in axes.values() for spine in axis.spines.values()]
    return [shown["inputs"], *moving, *cursors, *frames, clock], show
