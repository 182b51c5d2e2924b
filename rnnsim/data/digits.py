"""The 8x8 digits that come with rnnsim: 1,797 scans from the UCI repository (E. Alpaydin and C. Kaynak, CC BY 4.0)."""

from rnnsim.core.reading import read_npz
from rnnsim.data.fetch import DIGITS


def digits():
    """All images (1797, 8, 8) uint8 with values 0 to 16 and their classes (1797,) uint8, in the order of the source.

    Rows are listed from the top of the image; the classes are nearly balanced.

    >>> images, labels = digits()
    >>> images.shape, int(images.max()), labels[:10].tolist()
    ((1797, 8, 8), 16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    arrays = read_npz(DIGITS.paths()["digits.npz"])
    return arrays["images"], arrays["labels"]
