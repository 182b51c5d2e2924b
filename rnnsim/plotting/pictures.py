"""Pictures in segments: the class of every segment, the order in which segments merge, and the tree that the merges make."""

import numpy as np

from rnnsim.core.registry import require
from rnnsim.plotting import canvas
from rnnsim.plotting.trees import places

# Of the outdoor regions, so that a reader guesses them; other classes take the colours of a list.
_CLASSES = {
    "brickface": "#b5533c",
    "sky": "#7fb8e6",
    "foliage": "#2e6b34",
    "cement": "#9e9e9e",
    "window": "#33335c",
    "path": "#d9b380",
    "grass": "#8bc34a",
}
_ORDER = "viridis"  # early merges are dark
_WIDTH = 5.0  # of a picture, in inches


def class_colours(names):
    """(K, 3) float64: the colour of every class, by its name or else by its number."""
    import matplotlib
    from matplotlib.colors import to_rgb

    others = matplotlib.colormaps["tab20"].colors
    return np.array([to_rgb(_CLASSES.get(name, others[k % len(others)])) for k, name in enumerate(names)])


def segmentation(picture, classes, names, path, title=""):
    """Draw a picture with the borders of its segments, and beside it the class of every segment with a legend.

    Parameters
    ----------
    picture : `rnnsim.data.pictures.SegmentedPicture`
    classes : (S,) numbers of the classes of its segments
    names : the names of the classes
    path, title : as in `rnnsim.plotting.example`

    Returns the path. Raises `RnnsimError` for another ending and another number of classes than segments.
    """
    _fits(picture, classes)
    height = _WIDTH * picture.labels.shape[0] / picture.labels.shape[1]
    made = canvas.empty(height + 0.8, 2 * _WIDTH)
    plain, labelled = made.subplots(1, 2)
    _show(plain, _outlined(picture.pixels, picture.labels), f"{title}{', ' if title else ''}{len(classes)} segments")
    _labelled(labelled, picture, classes, names)
    return canvas.save(made, path)


def merge_tree(picture, parses, classes, names, path, title=""):
    """Draw the merges of a picture: on it, as the order of its segments, beside their classes, and as a tree below.

    On the picture the centre of every node is joined with those of its two children; a merge is the darker the earlier it is.
    A segment has the colour of the first merge that it is in. Leaves of the tree have the colours of their classes.

    Parameters
    ----------
    picture, classes, names, path, title : as in `segmentation`
    parses : `rnnsim.core.segments.Parses` of the one picture

    Returns the path. Raises `RnnsimError` as `segmentation`, and for more or fewer merges than segments less one.
    """
    import matplotlib

    _fits(picture, classes)
    pairs, count = np.asarray(parses.pairs), len(classes)
    require(len(pairs) == count - 1, f"parses: {len(pairs)} merges, expected {count - 1} of {count} segments")
    colours = matplotlib.colormaps[_ORDER](np.linspace(0, 1, max(len(pairs), 2)))[: max(len(pairs), 1), :3]
    height = _WIDTH * 0.9 * picture.labels.shape[0] / picture.labels.shape[1]
    made = canvas.empty(height + 4.2, 3 * _WIDTH * 0.9)
    axes = made.subplot_mosaic([["on", "order", "classes"], ["tree"] * 3], height_ratios=[height, 3.2])
    _show(axes["on"], picture.pixels, "merge tree on the picture")
    centres = node_centres(picture.labels, pairs)
    _lines(axes["on"], centres, pairs, colours, 1.2)
    axes["on"].scatter(*centres[:count].T, s=5, c="white", edgecolors="black", linewidths=0.4, zorder=3)
    shown = colours[first_merges(count, pairs)][picture.labels]
    _show(axes["order"], _outlined(shown, picture.labels, 0.25), "segments by their first merge")
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(1, max(len(pairs), 2)), _ORDER)
    bar = made.colorbar(scale, ax=axes["order"], orientation="horizontal", pad=0.02, aspect=40, shrink=0.8)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("number of the merge", fontsize=8)
    _labelled(axes["classes"], picture, classes, names)
    children = np.concatenate([np.full((count, 2), -1), pairs.reshape(-1, 2)])
    x, y, _ = places(children)
    _lines(axes["tree"], np.stack([x, y], axis=1), pairs, colours, 1.0, corners=True)
    axes["tree"].scatter(x[:count], y[:count], s=18, marker="s", c=class_colours(names)[classes], zorder=3)
    axes["tree"].set_axis_off()
    axes["tree"].margins(x=0.01)
    axes["tree"].set_title(title, fontsize=10, loc="left")
    return canvas.save(made, path)


def first_merges(segments, pairs):
    """(S,) int64: the first merge that every segment is in; 0 for a picture of one segment.

    >>> first_merges(3, [(1, 2), (0, 3)]).tolist()
    [1, 0, 0]
    """
    first = np.zeros(segments, np.int64)
    for merge, pair in enumerate(pairs):
        for node in pair:
            if node < segments:
                first[node] = merge
    return first


def node_centres(labels, pairs):
    """(2 S - 1, 2) float64: the mean column and row of the pixels below every node of a tree.

    >>> node_centres(np.array([[0, 1, 1]]), [(0, 1)]).tolist()
    [[0.0, 0.0], [1.5, 0.0], [1.0, 0.0]]
    """
    rows, columns = np.indices(labels.shape)
    flat = labels.ravel()
    sums = np.stack([np.bincount(flat, values.ravel()) for values in (columns, rows, np.ones(labels.shape))], axis=1)
    segments = len(sums)
    sums = np.concatenate([sums, np.zeros((len(pairs), 3))])
    for merge, (left, right) in enumerate(pairs):
        sums[segments + merge] = sums[left] + sums[right]
    return sums[:, :2] / sums[:, 2:]


def _fits(picture, classes):
    count = int(picture.labels.max()) + 1
    require(len(classes) == count, f"classes: {len(classes)} of {count} segments")


def _lines(axis, points, pairs, colours, width, corners=False):
    """A line from every merge to its two nodes; with corners it goes to the side first, then down."""
    from matplotlib.collections import LineCollection

    segments, first = len(points) - len(pairs), []
    for merge, pair in enumerate(pairs):
        top = points[segments + merge]
        first += [[top, (points[node][0], top[1]), points[node]] if corners else [top, points[node]] for node in pair]
    axis.add_collection(LineCollection(first, colors=np.repeat(colours[: len(pairs)], 2, axis=0), linewidths=width))
    axis.autoscale_view()


def _labelled(axis, picture, classes, names):
    """The classes of the segments over the lightness of the picture, with a legend of those that occur."""
    from matplotlib.patches import Patch

    colours, grey = class_colours(names), picture.pixels.mean(axis=-1, keepdims=True) / 255
    painted = colours[np.asarray(classes)[picture.labels]]
    _show(axis, _outlined(0.75 * painted + 0.25 * grey, picture.labels, 0.25), "class of every segment")
    shares = np.bincount(np.asarray(classes)[picture.labels].ravel(), minlength=len(names)) / picture.labels.size
    there = np.flatnonzero(shares)
    axis.legend(
        handles=[Patch(color=colours[k], label=f"{names[k]} {100 * shares[k]:.0f} %") for k in there],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=4,
        fontsize=8,
        frameon=False,
    )


def _outlined(pixels, labels, strength=0.7):
    """The pixels, 0 .. 1, darker where a segment ends to the right or below."""
    ends = np.zeros(labels.shape, bool)
    ends[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    ends[:-1] |= labels[:-1] != labels[1:]
    values = np.array(pixels / 255 if np.asarray(pixels).dtype == np.uint8 else pixels, np.float64)
    values[ends] *= 1 - strength
    return values


def _show(axis, pixels, title):
    axis.imshow(pixels, interpolation="nearest")
    axis.set_axis_off()
    axis.set_title(title, fontsize=9)
