"""One sequence seen by a network: input, target and output as images, and the gates over time."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError
from rnnsim.plotting import canvas

_PANELS = 16  # more gates than this on one page cannot be read


def example(net, task, path, batch=None, title=""):
    """Input, output and target of one sequence, time from left to right, one row a number.

    Parameters
    ----------
    net, task : as in `rnnsim.train`; `batch` is one sequence of the task, by default ``task.example()``
    path : where the picture goes

    Outputs are shown as the loss reads them (probabilities for cross-entropies), at every tick even where only the last one
    counts; targets where there are any. A single row is drawn as a line. Returns the path.
    """
    batch = task.example() if batch is None else batch
    steps = _length(batch)
    outputs, targets, counted = _seen(net, task, batch, steps)
    single = targets.shape[1] == 1
    panels = 2 if single else 3
    heights = [_height(1 if task.tokens else task.n_inputs)] + [_height(targets.shape[1])] * (panels - 1)
    made, axes = canvas.figure(heights)
    _draw_input(axes[0], task, batch, steps)
    axes[0].set_title(title, fontsize=10, loc="left")
    names = getattr(task, "target_names", None)
    if single:
        ticks = np.arange(steps)
        axes[1].plot(ticks, outputs[:, 0], color=canvas.BLUE, linewidth=1.2, label="output")
        marker = "o" if counted.sum() < steps else ""
        axes[1].plot(
            ticks[counted], targets[counted, 0], color=canvas.ORANGE, linestyle="--", marker=marker, label="target"
        )
        axes[1].legend(fontsize=8, frameon=False)
        axes[1].set_xlim(-0.5, steps - 0.5)
        _label(axes[1], names[0] if names else "output")
    else:
        both = (outputs, np.where(counted[:, None], targets, np.nan))
        low, high = _range(np.concatenate([part[np.isfinite(part)] for part in both]))
        for axis, part, text in zip(axes[1:], both, ("output", "target")):
            _image(axis, part, low, high)
            _label(axis, text)
    axes[-1].set_xlabel("tick", fontsize=9)
    return canvas.save(made, path)


def gates(net, task, path, batch=None, record="gates", title=""):
    """Gates and states of a network over one sequence: one image a trace, units from top to bottom.

    Parameters
    ----------
    net, task, path, batch : as in `example`
    record : trace names as in `Recurrent.forward`

    Returns the path. Raises `RnnsimError` for unknown traces and for more of them than fit on one page.
    """
    batch = task.example() if batch is None else batch
    steps = _length(batch)
    traces = net.forward(batch.inputs[:steps], record=record).records
    require(traces, "nothing to plot: no trace is named")
    if len(traces) > _PANELS:
        # A deep network: the first layers' traces, as many as can be read.
        traces = dict(list(traces.items())[:_PANELS])
    height = min(1.6, 0.7 + 0.02 * net.hidden)
    made, axes = canvas.figure([_height(1 if task.tokens else task.n_inputs)] + [height] * len(traces))
    _draw_input(axes[0], task, batch, steps)
    axes[0].set_title(title, fontsize=10, loc="left")
    for axis, (name, trace) in zip(axes[1:], traces.items()):
        low, high = _range(trace)
        shown = _image(axis, trace[:, 0], low, high)
        made.colorbar(shown, ax=axis, pad=0.01, aspect=10).ax.tick_params(labelsize=7)
        _label(axis, name)
    axes[-1].set_xlabel("tick", fontsize=9)
    return canvas.save(made, path)


def _length(batch):
    if batch.inputs.shape[1] != 1:
        raise RnnsimError(f"expected one sequence to plot, got {batch.inputs.shape[1]}")
    return batch.inputs.shape[0] if batch.lengths is None else max(1, int(batch.lengths[0]))


def _seen(net, task, batch, steps):
    """(outputs (steps, K), targets (steps, K), ticks that count (steps) bool) of one sequence."""
    kind, last = task.loss.kind, task.loss.when == "last"
    given = np.asarray(net.forward(batch.inputs[:steps]).outputs[:, 0], np.float64)
    outputs = np.asarray(task.loss.predictions(given))
    targets, counted = np.zeros(outputs.shape), np.ones(steps, bool)
    if last:
        if net.directions == 2:  # a backward direction has seen the whole sequence only at the end
            outputs = np.full(outputs.shape, np.nan)
        final = net.evaluate(batch, task.loss).outputs
        outputs[-1] = task.loss.predictions(np.asarray(final, np.float64))[0]
        counted[:-1] = False
        wanted = np.asarray(batch.targets)[:1]
    else:
        wanted = np.asarray(batch.targets)[:steps, 0]
        counted = task.counted(batch)[:steps, 0] != 0
    if kind == "softmax" and wanted.ndim == 1:
        wanted = np.eye(outputs.shape[1])[wanted]
    targets[-len(wanted) :] = wanted
    return outputs, targets, counted


def _draw_input(axis, task, batch, steps):
    inputs = batch.inputs[:steps, 0]
    if task.tokens:
        axis.plot(np.arange(steps), inputs, ".", color=canvas.BLUE, markersize=4)
        axis.set_xlim(-0.5, steps - 0.5)
        if hasattr(task, "decode") and steps <= 100:
            words = [task.decode(inputs[t : t + 1]).replace("\n", "\\n") for t in range(steps)]
            axis.set_xticks(np.arange(steps), words, fontsize=7)
        _label(axis, "input token")
    elif inputs.shape[1] <= 2:
        names = getattr(task, "input_names", None) or [f"input {k}" for k in range(inputs.shape[1])]
        for k, (name, colour) in enumerate(zip(names, (canvas.BLUE, canvas.ORANGE))):
            axis.plot(
                np.arange(steps), inputs[:, k], color=colour, linewidth=1, marker="." if steps < 50 else "", label=name
            )
        axis.legend(fontsize=8, frameon=False, loc="upper right")
        axis.set_xlim(-0.5, steps - 0.5)
        _label(axis, "input")
    else:
        _image(axis, inputs, *_range(inputs))
        _label(axis, "input")


def _image(axis, values, low, high):
    """Values (T, n) as an image with time from left to right; grey where there are none."""
    import matplotlib

    colours = matplotlib.colormaps["RdBu_r" if low < 0 else "Blues"].with_extremes(bad="#eeeeee")
    shown = axis.imshow(values.T, aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=high)
    axis.spines[:].set_visible(False)
    return shown


def _range(values):
    """Where the colours begin and end: 0 to 1 or more for what is never negative, else the same to both sides."""
    values = values[np.isfinite(values)]
    top = float(np.abs(values).max()) if values.size else 1.0
    if values.size and values.min() < 0:
        return -max(top, 1e-12), max(top, 1e-12)
    return 0.0, max(top, 1.0) if top > 0.5 else max(top, 1e-12)


def _height(rows):
    return 1.3 if rows <= 2 else min(2.6, 0.8 + 0.06 * rows)


def _label(axis, text):
    axis.set_ylabel(text, fontsize=9)
