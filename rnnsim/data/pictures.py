"""Pictures cut into segments, with the features that the outdoor regions of `rnnsim.data.regions` have.

A picture is reduced to at most 256 pixels in either direction, about the size of the seven pictures of the regions, and cut by
SLIC (R. Achanta et al., IEEE PAMI 34, 2012) of the package scikit-image.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.core.reading import name_of, read_picture
from rnnsim.core.registry import at_least, require
from rnnsim.core.segments import SegmentGraphs
from rnnsim.errors import RnnsimError

FEATURES = (
    "short-line-density-5",
    "short-line-density-2",
    "vedge-mean",
    "vegde-sd",  # as the file of the regions spells it
    "hedge-mean",
    "hedge-sd",
    "intensity-mean",
    "rawred-mean",
    "rawblue-mean",
    "rawgreen-mean",
    "exred-mean",
    "exblue-mean",
    "exgreen-mean",
    "value-mean",
    "saturation-mean",
    "hue-mean",
)
MOST_SEGMENTS = 1024
_SIDE = 256  # pixels; the regions lie in columns 1 to 254 and rows 11 to 251 of their pictures
# What white becomes in the unit of the regions. Their largest value is 150.9, a blue one, and their pictures are bluish:
# cement and path, which are grey, have means of red : green : blue = 0.72 : 0.71 : 1.
_WHITE = 151 * np.array([0.72, 0.71, 1.0])


class SegmentedPicture(NamedTuple):
    """A picture in segments.

    pixels    (h, w, 3) uint8, the picture as it was cut: its larger side has at most 256 pixels
    labels    (h, w) int32, the segment of every pixel, 0 .. S - 1
    features  (S, 16) float64, see `FEATURES` and `region_features`
    edges     (E, 2) int32, the segments that touch, the smaller one first
    shape     (H, W), the size of the picture in its file
    """

    pixels: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    edges: np.ndarray
    shape: tuple[int, int]

    def full_labels(self):
        """(H, W) int32: the segment of every pixel of the file."""
        rows, columns = (np.arange(n) * k // n for n, k in zip(self.shape, self.labels.shape))
        return self.labels[rows[:, None], columns]

    def graph(self, inputs):
        """`SegmentGraphs` of the one picture, with these (S, F) feature vectors, and class -1, none, for every segment."""
        return SegmentGraphs(
            [0, len(inputs)], inputs, self.edges, [0, len(self.edges)], np.full(len(inputs), -1, np.int32)
        )


def segment_picture(path, segments=100):
    """The `SegmentedPicture` of a PNG or JPEG file.

    segments : about how many segments; SLIC makes fewer or some more, each of them connected

    Raises `RnnsimError` if scikit-image is missing, for fewer than 3 x 3 pixels, and as `rnnsim.core.reading.read_picture`.
    """
    slic, reduce = _scikit_image()
    at_least("segments", segments, 1)
    require(segments <= MOST_SEGMENTS, f"segments={segments}: expected at most {MOST_SEGMENTS}")
    whole = read_picture(path)
    shape = whole.shape[:2]
    light = _light(whole)
    if max(shape) > _SIDE:
        size = tuple(max(1, round(n * _SIDE / max(shape))) for n in shape)
        light = reduce(light, size, channel_axis=-1)
    require(
        min(light.shape[:2]) >= 3,
        f"{name_of(path)}: {shape[1]} x {shape[0]} pixels, expected at least 3 x 3 after the reduction to {_SIDE}",
    )
    pixels = _screen(light)
    labels = slic(pixels, n_segments=segments, compactness=10, start_label=0, channel_axis=-1)
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    features = segment_features(light * _WHITE, labels)
    return SegmentedPicture(pixels, labels, features, touching(labels), shape)


def region_features(colours):
    """(H, W, 16) the features of the 3x3 region around every pixel of a picture; beyond its border the last pixels repeat.

    colours : (H, W, 3) red, green and blue, in the unit of the outdoor regions

    With I = (R + G + B) / 3 at a pixel, as the file of the regions describes them and its numbers confirm:

    - vedge, hedge: the mean of the six differences ``|I - I'|`` of pixels that are neighbours in a row, or in a column; their
      "sd" is the variance, sum of squares over 5. The file has the variance for 55% of its regions and the standard deviation
      for the others, without saying which;
    - intensity, raw, ex: means over the nine pixels of I, of R, B, G, and of 2R - (G + B) and so on;
    - value, saturation, hue: means of V = max(R, G, B), (V - min) / V and the angle of the hue in -pi .. pi, red 0 and green
      2 pi / 3, both 0 for grey. Angles are averaged as directions, which is the same unless they lie on both sides of cyan.

    The line densities are 0, as for 87% and 96% of the regions: how their lines were found was not published.

    >>> found = dict(zip(FEATURES, region_features(np.full((3, 3, 3), [10.0, 20.0, 30.0]))[1, 1].round(3).tolist()))
    >>> found["intensity-mean"], found["exblue-mean"], found["saturation-mean"], found["hue-mean"], found["vedge-mean"]
    (20.0, 30.0, 0.667, -2.618, 0.0)
    """
    padded = np.pad(np.asarray(colours, np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    red, green, blue = np.moveaxis(padded, -1, 0)
    intensity = (red + green + blue) / 3
    value, low = padded.max(axis=-1), padded.min(axis=-1)
    spread = np.where(value > low, value - low, 1)
    saturation = np.where(value > low, (value - low) / np.where(value > 0, value, 1), 0)
    turns = np.where(value == red, (green - blue) / spread, 0)
    turns = np.where((value == green) & (value > red), 2 + (blue - red) / spread, turns)
    turns = np.where((value == blue) & (value > red) & (value > green), 4 + (red - green) / spread, turns)
    angle = np.where(value > low, turns * (np.pi / 3), 0)
    hue = np.arctan2(_mean(np.sin(angle), 3, 3), _mean(np.cos(angle), 3, 3))
    across, down = np.abs(np.diff(intensity, axis=1)), np.abs(np.diff(intensity, axis=0))
    found = {name: np.zeros(hue.shape) for name in FEATURES[:2]}
    for name, differences, size in (("v", across, (3, 2)), ("h", down, (2, 3))):
        mean = _mean(differences, *size)
        found[f"{name}edge-mean"] = mean
        found["vegde-sd" if name == "v" else "hedge-sd"] = np.maximum(
            (_mean(differences**2, *size) - mean**2) * (6 / 5), 0
        )
    means = {"intensity": intensity, "rawred": red, "rawblue": blue, "rawgreen": green}
    means |= {
        f"ex{name}": 3 * (colour - intensity) for name, colour in zip(("red", "green", "blue"), (red, green, blue))
    }
    means |= {"value": value, "saturation": saturation}
    found |= {f"{name}-mean": _mean(values, 3, 3) for name, values in means.items()}
    found["hue-mean"] = hue
    return np.stack([found[name] for name in FEATURES], axis=-1)


def segment_features(colours, labels):
    """(S, 16): the mean of the features of the 3x3 regions that lie in a segment; of those around its pixels, if none does.

    Hues are averaged as directions. colours : as in `region_features`; labels : (H, W), the segment of every pixel, 0 .. S - 1
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    features, count = region_features(colours), int(labels.max()) + 1
    inside = maximum_filter(labels, 3) == minimum_filter(labels, 3)
    inside |= np.bincount(labels[inside], minlength=count)[labels] == 0
    segments, features = labels[inside], features[inside]
    sizes = np.bincount(segments, minlength=count)

    def mean(values):
        return np.bincount(segments, values, count) / sizes

    hue = np.arctan2(mean(np.sin(features[:, -1])), mean(np.cos(features[:, -1])))
    return np.stack([*(mean(column) for column in features[:, :-1].T), hue], axis=1)


def touching(labels):
    """(E, 2) int32: the pairs of segments with pixels side by side or one above the other, in order.

    >>> touching(np.array([[0, 0, 1], [2, 2, 1]])).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    beside = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in beside])
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0).astype(np.int32).reshape(-1, 2)


def _mean(values, height, width):
    """The means over all windows of a size."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (height, width))
    return windows.mean(axis=(-2, -1))


def _light(pixels):
    """Amounts of light in 0 .. 1, float32, of the values of a screen (IEC 61966-2-1, sRGB)."""
    x = np.arange(256) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)[pixels]


def _screen(light):
    """The values of a screen, uint8, of amounts of light."""
    light = np.clip(light, 0, 1)
    return np.round(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )


def _scikit_image():
    try:
        from skimage.segmentation import slic
        from skimage.transform import resize_local_mean
    except ImportError:
        raise RnnsimError(
            'cutting a picture into segments needs the package scikit-image: pip install "rnnsim[pictures]"'
        ) from None
    return slic, resize_local_mean
