"""What a memory network writes and reads at every time step: figure 6 of Graves, Wayne & Danihelka 2014 (arXiv:1410.5401)."""

from typing import NamedTuple

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas
from rnnsim.plotting.locations import label_locations, locations_in_use, note
from rnnsim.plotting.sequences import label, length, seen

TRACES = ("write_add", "write_weights", "reads", "read_weights", "memory")


def has_memory(net):
    """Whether a network has a memory with heads, and the traces that show it."""
    return set(TRACES) <= set(net.trace_names)


class Episode(NamedTuple):
    """The traces of a memory network over one sequence; time first, heads second."""

    inputs: np.ndarray  # (T, n), tokens as ones in rows of zeros
    outputs: np.ndarray  # (T, K), as the loss reads them
    counted: np.ndarray  # (T,) bool
    added: np.ndarray  # (T, write heads, M)
    read: np.ndarray  # (T, read heads, M)
    write_weights: np.ndarray  # (T, write heads, shown locations)
    read_weights: np.ndarray  # (T, read heads, shown locations)
    memory: np.ndarray  # (T, shown locations, M), after the time step
    locations: np.ndarray  # (shown locations,)
    rows: int  # number of locations of the memory

    def heading(self, title):
        """The title, followed by the locations that are shown."""
        return "    ".join(part for part in (title, note(self.locations, self.rows)) if part)


def episode(net, task, batch=None):
    """The `Episode` of one sequence; `RnnsimError` for a network without a memory."""
    require(has_memory(net), "the network has no memory to draw")
    batch = task.example() if batch is None else batch
    steps = length(batch)
    outputs, _, counted = seen(net, task, batch, steps)
    found = {name: trace[:, 0] for name, trace in net.forward(batch.inputs[:steps], record=TRACES).records.items()}
    inputs = batch.inputs[:steps, 0]
    shown = locations_in_use(np.concatenate([found["write_weights"], found["read_weights"]], axis=1))
    return Episode(
        inputs=np.eye(task.n_inputs)[inputs] if task.tokens else inputs,
        outputs=outputs,
        counted=counted,
        added=found["write_add"],
        read=found["reads"],
        write_weights=found["write_weights"][..., shown],
        read_weights=found["read_weights"][..., shown],
        memory=found["memory"][:, shown],
        locations=shown,
        rows=found["memory"].shape[1],
    )


def memory(net, task, path, batch=None, title=""):
    """Draw the vectors that the heads write and read over time, and below them the weightings, with locations from top to bottom.

    Writing is on the left, below the input; reading is on the right, below the output. Every head has its own rows. Only the
    locations that some head uses are shown. The dotted line is the first time step at which an output counts.

    Parameters
    ----------
    net, task, path, batch, title : as in `rnnsim.plotting.example`

    Returns the path. Raises `RnnsimError` for another ending, and if the network has no memory.
    """
    seen = episode(net, task, batch)
    heads = max(seen.added.shape[1], seen.read.shape[1])
    crowded = 1.0 if heads <= 2 else 0.75
    high = min(3.0, 0.7 + 0.05 * seen.locations.size) * crowded
    vectors = min(1.6, 0.6 + 0.05 * seen.added.shape[2]) * crowded
    heights = [min(1.6, 0.6 + 0.06 * max(seen.inputs.shape[1], seen.outputs.shape[1]))] + [vectors, high] * heads
    made, axes = canvas.grid(heights, [5.2, 5.2])
    made.suptitle(seen.heading(title), fontsize=10, x=0.01, ha="left")
    _pair(made, axes[0], seen.inputs, seen.outputs, ("input", "output"))
    axes[0, 0].set_title("writing", fontsize=10)
    axes[0, 1].set_title("reading", fontsize=10)
    for head in range(heads):
        of = f"\nhead {head}" if heads > 1 else ""
        parts = [part[:, head] if head < part.shape[1] else None for part in seen[3:7]]
        _pair(
            made, axes[1 + 2 * head], parts[0], parts[1], ("added" + of, "read" + of), canvas.colour_range(_both(seen))
        )
        _pair(made, axes[2 + 2 * head], parts[2], parts[3], ("write weighting" + of, "read weighting" + of), (0.0, 1.0))
        for axis in axes[2 + 2 * head]:
            label_locations(axis, seen.locations)
    begins = int(seen.counted.argmax())
    for axis in axes.flat:
        if begins and axis.images:
            axis.axvline(begins - 0.5, color=canvas.GREY, linestyle=":", linewidth=1)
    for column, number in enumerate((seen.added.shape[1], seen.read.shape[1])):
        lowest = axes[2 * number, column]
        lowest.set_xlabel("time step", fontsize=9)
        lowest.tick_params(labelbottom=True)
    return canvas.save(made, path)


def _both(seen):
    return np.concatenate([seen.added.reshape(-1), seen.read.reshape(-1)])


def _pair(made, axes, left, right, names, span=None):
    """Draw two images, with the common colour range `span` or each with its own; None stands for a head that does not exist."""
    for axis, values, name in zip(axes, (left, right), names):
        if values is None:
            axis.set_visible(False)
            continue
        shown = canvas.image(axis, values, *(span or canvas.colour_range(values)))
        label(axis, name)
    canvas.colour_bar(made, shown, list(axes))
