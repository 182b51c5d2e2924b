"""The 8x8 digits that come with rnnsim."""

from rnnsim.core.reading import read_npz
from rnnsim.data.fetch import DIGITS


def digits():
    """All 8x8 digits, which come with rnnsim: images (1797, 8, 8) uint8 with values 0 to 16, and classes (1797,) uint8.

    The scans are in the order of the source, with the rows from the top of the image; the classes are nearly balanced. Source:
    UCI repository, E. Alpaydin and C. Kaynak, CC BY 4.0.

    >>> images, labels = digits()
    >>> images.shape, int(images.max()), labels[:10].tolist()
    ((1797, 8, 8), 16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    arrays = read_npz(DIGITS.paths()["digits.npz"])
    return arrays["images"], arrays["labels"]
