"""One sequence seen by a network: input, target and output as images, and the gates over time."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError
from rnnsim.plotting import canvas
from rnnsim.plotting.locations import label_locations, locations_in_use

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
    steps = length(batch)
    outputs, targets, counted = seen(net, task, batch, steps)
    single = targets.shape[1] == 1
    panels = 2 if single else 3
    heights = [height_of(1 if task.tokens else task.n_inputs)] + [height_of(targets.shape[1])] * (panels - 1)
    made, axes = canvas.figure(heights)
    draw_input(axes[0], task, batch, steps)
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
        label(axes[1], names[0] if names else "output")
    else:
        both = (outputs, np.where(counted[:, None], targets, np.nan))
        low, high = canvas.colour_range(np.concatenate([part[np.isfinite(part)] for part in both]))
        for axis, part, text in zip(axes[1:], both, ("output", "target")):
            canvas.image(axis, part, low, high)
            label(axis, text)
    axes[-1].set_xlabel("tick", fontsize=9)
    return canvas.save(made, path)


def gates(net, task, path, batch=None, record="gates", title=""):
    """Gates and states of a network over one sequence: one image a trace, units from top to bottom.

    What heads emit is drawn head by head, one number a tick as a line; of weightings, the locations in use. More than 16
    traces of units do not fit on a page: the first ones are drawn.

    Parameters
    ----------
    net, task, path, batch : as in `example`
    record : names of traces, as in the network's `forward`

    Returns the path. Raises `RnnsimError` for unknown traces.
    """
    batch = task.example() if batch is None else batch
    steps = length(batch)
    traces = net.forward(batch.inputs[:steps], record=record).records
    require(traces, "nothing to plot: no trace is named")
    units = [name for name, trace in traces.items() if trace.ndim == 3]
    # A deep network: the first layers' traces, as many as can be read.
    traces = {name: trace[:, 0] for name, trace in traces.items() if name not in units[_PANELS:]}
    heights = [_trace_height(trace, net.hidden) for trace in traces.values()]
    made, axes = canvas.figure([height_of(1 if task.tokens else task.n_inputs), *heights])
    draw_input(axes[0], task, batch, steps)
    axes[0].set_title(title, fontsize=10, loc="left")
    for axis, (name, trace) in zip(axes[1:], traces.items()):
        _draw_trace(made, axis, name, trace)
    several = next((axis for axis in axes[1:] if len(axis.lines) > 1 and not axis.images), None)
    if several is not None:  # the colours of heads, once for all
        several.legend(fontsize=7, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.95), ncol=len(several.lines))
    axes[-1].set_xlabel("tick", fontsize=9)
    return canvas.save(made, path)


def _trace_height(trace, hidden):
    if trace.ndim == 2:
        return min(1.6, 0.7 + 0.02 * hidden)
    heads, size = trace.shape[1:]
    return 0.9 if size == 1 else min(2.6, 0.7 + heads * min(0.6, 0.03 * size))


def _draw_trace(made, axis, name, trace):
    """A trace of units (T, n) as an image; one of heads (T, heads, n) as images one below the other, or as lines if n = 1.

    The memory (T, rows, columns) is shown by the lengths of its rows.
    """
    text = name
    if name == "memory":
        trace, text = np.linalg.norm(trace, axis=2), "memory\n(lengths of rows)"
    if trace.ndim == 3 and trace.shape[2] == 1:
        for head in range(trace.shape[1]):
            colour = canvas.COLOURS[head % len(canvas.COLOURS)]
            line = "-" if head < len(canvas.COLOURS) else "--"
            axis.plot(trace[:, head, 0], color=colour, linestyle=line, linewidth=1.2, label=f"head {head}")
        axis.set_xlim(-0.5, len(trace) - 0.5)
        label(axis, text.replace("_", "\n"))
        return
    locations = locations_in_use(trace) if name.endswith("_weights") and trace.ndim == 3 else None
    trace = trace if locations is None else trace[..., locations]
    heads, size = trace.shape[1:] if trace.ndim == 3 else (1, trace.shape[1])
    shown = canvas.image(axis, trace.reshape(len(trace), -1), *canvas.colour_range(trace))
    for head in range(1, heads):
        axis.axhline(head * size - 0.5, color=canvas.GREY, linewidth=1)
    if heads > 1:
        axis.set_yticks((np.arange(heads) + 0.5) * size - 0.5, [f"head {head}" for head in range(heads)])
        axis.tick_params(axis="y", length=0)
    elif locations is not None:
        label_locations(axis, locations)
    elif name.endswith("_shift"):
        axis.set_yticks(
            np.arange(size), [f"{shift:+d}" if shift else "0" for shift in range(-(size // 2), size // 2 + 1)]
        )
    canvas.colour_bar(made, shown, axis)
    label(axis, text.replace("_", "\n") if trace.ndim == 3 else text)


def length(batch):
    """The ticks of a batch of one sequence, inputs (T, 1, I) or tokens (T, 1); `RnnsimError` for more sequences."""
    if batch.inputs.shape[1] != 1:
        raise RnnsimError(f"expected one sequence to plot, got {batch.inputs.shape[1]}")
    return batch.inputs.shape[0] if batch.lengths is None else max(1, int(batch.lengths[0]))


def seen(net, task, batch, steps):
    """(outputs (steps, K), targets (steps, K), ticks that count (steps) bool) of one sequence."""
    kind, last = task.loss.kind, task.loss.when == "last"
    given = np.asarray(net.forward(batch.inputs[:steps]).outputs[:, 0], np.float64)
    outputs = np.asarray(task.loss.predictions(given))
    targets, counted = np.zeros(outputs.shape), np.ones(steps, bool)
    if last:
        if net.directions == 2:  # a backward direction has seen the whole sequence only at the end
            outputs = np.full(outputs.shape, np.nan)
        final = net.forward(batch.inputs[:steps], when="last").outputs
        outputs[-1] = task.loss.predictions(np.asarray(final, np.float64))[0]
        counted[:-1] = False
        wanted = np.asarray(batch.targets)[:1]
    else:
        wanted = np.asarray(batch.targets)[:steps, 0]
        counted = batch.counted()[:steps, 0] != 0
    if kind == "softmax" and wanted.ndim == 1:
        wanted = np.eye(outputs.shape[1])[wanted]
    targets[-len(wanted) :] = wanted
    return outputs, targets, counted


def draw_input(axis, task, batch, steps):
    """The first `steps` inputs of a sequence, (T, 1, I) or tokens (T, 1): dots for tokens, up to two lines, else an image."""
    inputs = batch.inputs[:steps, 0]
    if task.tokens:
        axis.plot(np.arange(steps), inputs, ".", color=canvas.BLUE, markersize=4)
        axis.set_xlim(-0.5, steps - 0.5)
        if hasattr(task, "decode") and steps <= 100:
            words = [task.decode(inputs[t : t + 1]).replace("\n", "\\n") for t in range(steps)]
            axis.set_xticks(np.arange(steps), words, fontsize=7)
        label(axis, "input token")
    elif inputs.shape[1] <= 2:
        names = getattr(task, "input_names", None) or [f"input {k}" for k in range(inputs.shape[1])]
        for k, (name, colour) in enumerate(zip(names, (canvas.BLUE, canvas.ORANGE))):
            axis.plot(
                np.arange(steps), inputs[:, k], color=colour, linewidth=1, marker="." if steps < 50 else "", label=name
            )
        axis.legend(fontsize=8, frameon=False, loc="upper right")
        axis.set_xlim(-0.5, steps - 0.5)
        label(axis, "input")
    else:
        canvas.image(axis, inputs, *canvas.colour_range(inputs))
        label(axis, "input")


def height_of(rows):
    """Inches of a panel with so many rows."""
    return 1.3 if rows <= 2 else min(2.6, 0.8 + 0.06 * rows)


def label(axis, text):
    """What an axis shows, in small letters at its left."""
    axis.set_ylabel(text, fontsize=9)
