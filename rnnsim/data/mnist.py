"""MNIST and its twin Fashion-MNIST: four idx files, gzipped or not."""

from rnnsim.core.reading import at_home, name_of
from rnnsim.core.registry import require
from rnnsim.data.fetch import FASHION_MNIST, MNIST
from rnnsim.data.idx import read_idx
from rnnsim.errors import RnnsimError

CLASSES = 10
SIDE = 28


def mnist(path=None):
    """Handwritten digits: ((60000, 28, 28) images, labels), ((10000, 28, 28) images, labels), all uint8.

    `path` is a folder with the files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``
    and ``t10k-labels-idx1-ubyte``, each also as ``.gz``; without it the files that were fetched are read.
    Raises `RnnsimError` naming the file that is missing or does not fit.
    """
    return _read(MNIST, path)


def fashion_mnist(path=None):
    """Pieces of clothing, in files of the same names and shapes as `mnist`."""
    return _read(FASHION_MNIST, path)


def _read(data_set, path):
    if path is None:
        folder = next(iter(data_set.paths().values())).parent
    else:
        folder = at_home(path)
        require(folder.is_dir(), f"path={name_of(path)}: expected a folder with the files of {data_set.name}")
    return tuple(_read_part(folder, part) for part in ("train", "t10k"))


def _read_part(folder, part):
    images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"), (None, SIDE, SIDE))
    name = _find(folder, f"{part}-labels-idx1-ubyte")
    labels = read_idx(name, (len(images),))
    require(len(labels) > 0, f"{name}: empty")
    require(labels.max() < CLASSES, f"{name}: class {labels.max()}, expected 0 to {CLASSES - 1}")
    return images, labels


def _find(folder, name):
    """The file, under its own name, gzipped, or with the dot that some mirrors put before "idx"."""
    for candidate in (name, name.replace("-idx", ".idx")):
        for ending in ("", ".gz"):
            if (folder / (candidate + ending)).is_file():
                return folder / (candidate + ending)
    raise RnnsimError(f"{name_of(folder)}: there is no {name} or {name}.gz")
