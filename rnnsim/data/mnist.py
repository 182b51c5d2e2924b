"""MNIST and Fashion-MNIST: four idx files each, gzipped or not."""

from rnnsim.core.reading import at_home, name_of
from rnnsim.core.registry import require
from rnnsim.data.fetch import FASHION_MNIST, MNIST
from rnnsim.data.idx import read_idx
from rnnsim.errors import RnnsimError

CLASSES = 10
SIDE = 28


def mnist(path=None):
    """The MNIST digits: ((60000, 28, 28) images, labels), ((10000, 28, 28) images, labels), all uint8.

    path : a folder with the files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, each also as ``.gz``; None: the files of ``rnnsim data fetch mnist``

    The first pair is for training, the second the test set. Raises `RnnsimError` with the name of a file that is missing,
    damaged or of another shape. Source: Y. LeCun, C. Cortes and C. J. C. Burges, 1998.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from rnnsim.data.idx import write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "t10k"):
    ...         write_idx(pathlib.Path(folder) / f"{part}-images-idx3-ubyte", np.zeros((2, 28, 28), np.uint8))
    ...         write_idx(pathlib.Path(folder) / f"{part}-labels-idx1-ubyte", np.array([3, 7], np.uint8))
    ...     (images, labels), test = mnist(folder)
    >>> images.shape, labels.tolist()
    ((2, 28, 28), [3, 7])
    """
    return _read(MNIST, path)


def fashion_mnist(path=None):
    """The pieces of clothing of Fashion-MNIST, in files of the same names and shapes as those of `mnist`.

    path : a folder with the four files; None: the files of ``rnnsim data fetch fashion-mnist``

    Raises `RnnsimError` like `mnist`. Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
    """
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
