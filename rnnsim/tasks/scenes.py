"""Generated scenes of real picture regions: name the class of every segment, and merge the segments of a class first."""

from typing import Any

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.margin import MarginLoss
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import integer
from rnnsim.core.segments import SegmentGraphs
from rnnsim.tasks.interface import GeneratedTask, Ratio

_LABELS = Loss("softmax", when="every")
_HELD_OUT = 5  # one training region in five is for validation
_MOST = 1024  # segments of a scene


@jit_exact
def _first_of_permutation(chosen, pool, key, sequence, draw):
    """chosen <- different numbers below pool.size, every choice equally likely."""
    for k in range(pool.size):
        pool[k] = k
    for k in range(chosen.size):
        other = k + integer(key, sequence, draw + k, pool.size - k)
        pool[k], pool[other] = pool[other], pool[k]
        chosen[k] = pool[k]


@jit_exact
def _draw(classes, rows, key, first, height, width, areas, counts, offsets):
    """classes (B, S) <- the class of every segment, and rows (B, S) <- the region that it shows."""
    size, kinds = height * width, counts.size
    seeds, names = np.empty(areas, np.int64), np.empty(areas, np.int64)
    cells, pool = np.empty(size, np.int64), np.empty(kinds, np.int64)
    origin, goal = np.empty(4 * size, np.int64), np.empty(4 * size, np.int64)
    for b in range(classes.shape[0]):
        sequence, here = first + b, classes[b]
        _first_of_permutation(seeds, cells, key, sequence, 0)
        _first_of_permutation(names, pool, key, sequence, areas)
        here[:] = -1
        waiting, draw, added = 0, 2 * areas + size, 0
        for area in range(areas):
            here[seeds[area]] = names[area]
        # Areas grow by one segment at a time, from a border that is drawn among those of all areas.
        while added < size:
            at = seeds[added] if added < areas else -1
            if at < 0:
                k = integer(key, sequence, draw, waiting)
                draw += 1
                waiting -= 1
                source, at = origin[k], goal[k]
                origin[k], goal[k] = origin[waiting], goal[waiting]
                if here[at] >= 0:
                    continue
                here[at] = here[source]
            added += 1
            y, x = at // width, at % width
            for direction in range(4):
                v = y + (direction == 0) - (direction == 1)
                u = x + (direction == 2) - (direction == 3)
                if 0 <= v < height and 0 <= u < width and here[v * width + u] < 0:
                    origin[waiting], goal[waiting] = at, v * width + u
                    waiting += 1
        for s in range(size):
            kind = here[s]
            rows[b, s] = offsets[kind] + integer(key, sequence, 2 * areas + s, counts[kind])


@jit_exact
def _count_wrong(wrong, pairs, merge_starts, segment_starts, classes, kinds):
    """wrong (B,) <- the merges of every graph that join different classes before these are complete."""
    for graph in range(wrong.size):
        first, begin = segment_starts[graph], merge_starts[graph]
        segments, merges = segment_starts[graph + 1] - first, merge_starts[graph + 1] - begin
        below = np.zeros((segments + merges, kinds), np.int64)  # segments of every class below a node
        whole = np.zeros(kinds, np.int64)
        for s in range(segments):
            if classes[first + s] >= 0:
                below[s, classes[first + s]] = 1
                whole[classes[first + s]] += 1
        wrong[graph] = 0
        for merge in range(merges):
            left, right, node = pairs[begin + merge, 0], pairs[begin + merge, 1], segments + merge
            present, complete = 0, True
            for kind in range(kinds):
                one, other = below[left, kind], below[right, kind]
                below[node, kind] = one + other
                present += one + other > 0
                complete = complete and (one == 0 or one == whole[kind]) and (other == 0 or other == whole[kind])
            if present > 1 and not complete:
                wrong[graph] += 1


def wrong_merges(parses, graphs):
    """(B,) int64: the merges of each tree that join segments of different classes before these classes are complete.

    parses : `rnnsim.core.segments.Parses`
    graphs : `rnnsim.core.segments.SegmentGraphs` with classes as targets; segments without one go with any class

    Source: Socher, Lin, Ng & Manning, ICML 2011, section 4.1. No tree that has none of them merges a class later than it could.

    >>> from rnnsim.data.bracketings import as_parses
    >>> graphs = SegmentGraphs([0, 4], np.zeros((4, 1)), targets=np.array([0, 0, 1, 1], np.int32))
    >>> right, wrong = as_parses([[(0, 1), (2, 3), (4, 5)]]), as_parses([[(1, 2), (0, 4), (5, 3)]])
    >>> wrong_merges(right, graphs).tolist(), wrong_merges(wrong, graphs).tolist()
    ([0], [3])
    """
    found = np.empty(graphs.size, np.int64)
    classes = np.ascontiguousarray(graphs.targets, np.int32)
    kinds = int(classes.max(initial=0)) + 1
    _count_wrong(found, parses.pairs, np.asarray(parses.starts, np.int64), graphs.starts, classes, kinds)
    return found


class Scenes(GeneratedTask):
    """Generated scenes of real picture regions: the class of every segment, and the order in which segments belong together.

    The neighbourhoods are generated, the features of the segments are real. A scene is a grid of height x width segments, each a
    neighbour of those above, below, left and right of it. It is partitioned into `areas` connected areas of different classes.
    Each begins with a segment, all choices equally likely; while segments are free, one of the borders between a segment of an
    area and a free one is drawn, and the area takes the free one. Every segment shows a region of its class from the data set,
    all equally likely: 3x3 pixels of one of seven hand-labelled outdoor pictures, with 7 classes (brickface, sky, foliage,
    cement, window, path, grass).

    Of the 19 features of a region its place in the picture (two) and those that do not vary (the number of pixels) are left out;
    the others are standardised by mean and standard deviation of the training regions. Training scenes show four in five of the
    1,500 regions of the training file, validation scenes the fifth ones, test scenes the 810 regions of the test file.

    Batches are `rnnsim.core.segments.SegmentGraphs`; inputs (S, 16) float32 features, targets (S,) int32 classes.

    Loss: the structured margin loss (`rnnsim.core.margin.MarginLoss`), with the cross-entropies of the labels of all nodes of the
    right tree, in nats; the outputs of a network are trees, `parses`, and logits of the segments, `classes` (S, 7).
    Chance-level loss: not known. All classes are equally likely at every segment, so guessing has an accuracy of 1/7.
    Criterion: none. A scene is right if all its segments are; the metrics are "accuracy", the share of segments whose class is
    the most probable output, and "wrong_merges", the share of merges that join different classes before these are complete
    (`wrong_merges`).

    A trained network can label a picture (`read_picture`): its segments have the features of regions, computed from their pixels
    as `rnnsim.data.pictures` says, and the edges are those that touch. Nobody has labelled such pictures by these classes.

    Source of the problem: Socher, Lin, Ng & Manning, ICML 2011; of the regions: C. Brodley, UCI Machine Learning Repository,
    1990.

    Parameters
    ----------
    path : folder with Weka's files ``segment-challenge.arff`` and ``segment-test.arff``, part of every distribution of Weka
    height, width : segments of a scene in either direction, at least 1
    areas : classes in a scene, 1 .. 7

    Raises `RnnsimError` if the files are missing or damaged, and for an option out of range.
    """

    name = "scenes"
    makes = SegmentGraphs
    loss: Any = MarginLoss()
    reads_pictures = True

    def __init__(self, path: str, height: int = 4, width: int = 5, areas: int = 3):
        from rnnsim.data.regions import read_regions

        at_least("height", height, 1)
        at_least("width", width, 1)
        require(height <= _MOST // width, f"height={height}, width={width}: expected at most {_MOST} segments")
        training, test = read_regions(path)
        kinds = len(training.names)
        most = min(kinds, height * width)
        require(
            1 <= areas <= most, f"areas={areas}: expected 1 to {most}, of {kinds} classes and {height * width} segments"
        )
        held = np.arange(len(training.classes)) % _HELD_OUT == _HELD_OUT - 1
        fitted = training.features[~held]
        spread = fitted.std(axis=0)
        place = np.array([column.startswith("region-centroid") for column in training.columns])
        kept = ~place & (spread > 0)
        require(kept.any(), f"path={path}: no feature varies")
        parts = {"training": (training, ~held), "validation": (training, held), "test": (test, slice(None))}
        self._scale = fitted.mean(axis=0)[kept], spread[kept]
        self._pools = {}
        for part, (regions, rows) in parts.items():
            classes = regions.classes[rows]
            counts = np.bincount(classes, minlength=kinds)
            require(counts.all(), f"path={path}: no {part} region of class {training.names[int(counts.argmin())]}")
            order = np.argsort(classes, kind="stable")
            features = ((regions.features[rows] - fitted.mean(axis=0)) / np.where(kept, spread, 1))[order][:, kept]
            offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
            self._pools[part] = (features.astype(np.float32), counts.astype(np.int64), offsets.astype(np.int64))
        self.height, self.width, self.areas = height, width, areas
        self.n_inputs, self.n_outputs = int(kept.sum()), kinds
        self.input_names = tuple(np.array(training.columns)[kept].tolist())
        self.target_names = training.names
        cells = np.arange(height * width, dtype=np.int32).reshape(height, width)
        pairs = [(cells[:, :-1], cells[:, 1:]), (cells[:-1], cells[1:])]
        self._edges = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])

    def generate(self, key, first, size):
        return self.generate_part(key, first, size, "training")

    def generate_part(self, key, first, size, part):
        features, counts, offsets = self._pools[part]
        segments = self.height * self.width
        classes, rows = np.empty((size, segments), np.int32), np.empty((size, segments), np.int64)
        _draw(classes, rows, key, first, self.height, self.width, self.areas, counts, offsets)
        edges = np.tile(self._edges, (size, 1))
        starts, edge_starts = segments * np.arange(size + 1), len(self._edges) * np.arange(size + 1)
        return SegmentGraphs(starts, features[rows.ravel()], edges, edge_starts, classes.ravel())

    def correct(self, outputs, batch):
        """(B,) bool: the scenes all of whose segments have their class as the most probable one."""
        return batch.every(outputs.classes.argmax(axis=-1) == batch.targets)

    def error(self, outputs, batch):
        """(B,) float64: the mean probability of the wrong classes of a segment."""
        shares = _LABELS.predictions(outputs.classes)
        right = np.take_along_axis(shares, batch.targets[:, np.newaxis], -1)[:, 0]
        return batch.mean(1 - right.astype(np.float64))

    def read_picture(self, path, segments):
        """See `Task.read_picture`; features that the regions have and pictures do not are one line."""
        from rnnsim.data.pictures import FEATURES, segment_picture

        unknown = [name for name in self.input_names if name not in FEATURES]
        require(not unknown, f"{', '.join(unknown)[:80]}: features of these regions that no picture has")
        picture = segment_picture(path, segments)
        mean, spread = self._scale
        columns = [FEATURES.index(name) for name in self.input_names]
        return picture, picture.graph((picture.features[:, columns] - mean) / spread)

    def metrics(self, outputs, batch):
        """``{"accuracy": (B,), "wrong_merges": ..}``, shares of the segments and, a `Ratio`, of the merges."""
        right = outputs.classes.argmax(axis=-1) == batch.targets
        return {
            "accuracy": batch.mean(right.astype(np.float64)),
            "wrong_merges": Ratio(wrong_merges(outputs.parses, batch), np.diff(outputs.parses.starts)),
        }
