"""Images read as sequences: rows of 8x8 digits, rows or single pixels of MNIST, rows of Fashion-MNIST.

A network sees an image from the top, one row (or one pixel) a step, and names the class after the last step: 10 logits,
softmax cross-entropy in nats per sequence. Pixels are scaled to 0 .. 1.

    digits         T = 8     n = 8     1,497 training and 300 test images, come with rnnsim
    mnist-rows     T = 28    n = 28    60,000 and 10,000, fetched or read from `path`
    mnist-pixels   T = 784   n = 1     the same, pixel by pixel (Le, Jaitly and Hinton 2015, arXiv:1504.00941)
    fashion-rows   T = 28    n = 28    60,000 and 10,000 pieces of clothing (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)

Training goes through a fresh permutation of the training part in every epoch; the test part is the same for every seed.
With `validation=V` the last V training images are held out and never trained on: they are the split "validation".
"""

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.tasks.examples import ExampleTask, entropy


class ImageTask(ExampleTask):
    """What image tasks have in common; each class below only says where its images are and how they are cut.

    `train` and `test` are pairs of sequences (N, T, n) uint8 and classes (N,), `white` the value of the brightest pixel.
    """

    def __init__(self, train, test, white, classes, validation):
        self._sequences = (train[0], test[0])
        self._labels = np.concatenate([train[1], test[1]]).astype(np.int32)
        self._white = np.float32(white)
        count = len(train[1])
        self.split(np.arange(count), np.arange(count, len(self._labels)), validation)
        self.n_inputs, self.n_outputs = train[0].shape[2], classes
        self.loss = Loss("softmax", when="last", per="sequence", unit="nats")
        self.trivial_loss = entropy(self._labels[self.train_rows])

    def gather(self, rows):
        count = len(self._sequences[0])
        # A batch lies in one of the two files: joining them would copy all images.
        in_train = len(rows) == 0 or rows[0] < count
        chosen = self._sequences[0][rows] if in_train else self._sequences[1][rows - count]
        chosen = chosen.transpose(1, 0, 2)
        inputs = np.empty(chosen.shape, np.float32)
        np.divide(chosen, self._white, out=inputs)
        return Sequences(inputs, self._labels[rows])

    def metrics(self, outputs, batch):
        """``{"accuracy": (B,) of 0 and 1}``"""
        return {"accuracy": self.correct(outputs, batch).astype(np.float64)}


class Digits(ImageTask):
    """The 8x8 digits of the UCI repository, row by row: T = 8, n = 8, 10 classes. Comes with rnnsim, nothing to fetch.

    The last 300 of the 1,797 scans are the test part.

    Parameters
    ----------
    validation : images held out of the training part as the split "validation"

    >>> task = Digits()
    >>> batch = task.training_batch(seed=0, step=0, size=32)
    >>> batch.inputs.shape, batch.targets.shape, len(task.train_rows)
    ((8, 32, 8), (32,), 1497)
    """

    N_TEST = 300

    def __init__(self, validation: int = 0):
        from rnnsim.data.digits import digits

        images, labels = digits()
        last = labels.size - self.N_TEST
        super().__init__((images[:last], labels[:last]), (images[last:], labels[last:]), 16, 10, validation)


class MNISTRows(ImageTask):
    """MNIST, one row a step: T = 28, n = 28, 10 classes.

    Parameters
    ----------
    path : folder with the four idx files, gzipped or not; without it the files of ``rnnsim data fetch mnist``
    validation : images held out of the training part as the split "validation"

    Raises `RnnsimError` if the files are not there or do not fit.
    """

    def __init__(self, path: str | None = None, validation: int = 0):
        from rnnsim.data.mnist import CLASSES, mnist

        train, test = mnist(path)
        super().__init__(train, test, 255, CLASSES, validation)


class MNISTPixels(ImageTask):
    """MNIST, one pixel a step: T = 784, n = 1, 10 classes; Le, Jaitly and Hinton 2015, section 4.2.

    Parameters
    ----------
    path : folder with the four idx files, gzipped or not; without it the files of ``rnnsim data fetch mnist``
    permuted : read the pixels of every image in one fixed random order instead of row by row
    validation : images held out of the training part as the split "validation"

    Raises `RnnsimError` if the files are not there or do not fit.
    """

    def __init__(self, path: str | None = None, permuted: bool = False, validation: int = 0):
        from rnnsim.data.mnist import CLASSES, mnist

        order = np.random.Generator(np.random.Philox(784)).permutation(784) if permuted else slice(None)
        train, test = ((images.reshape(-1, 784)[:, order, np.newaxis], labels) for images, labels in mnist(path))
        super().__init__(train, test, 255, CLASSES, validation)


class FashionRows(ImageTask):
    """Fashion-MNIST, one row a step: T = 28, n = 28, 10 classes.

    Parameters
    ----------
    path : folder with the four idx files, gzipped or not; without it those of ``rnnsim data fetch fashion-mnist``
    validation : images held out of the training part as the split "validation"

    Raises `RnnsimError` if the files are not there or do not fit.
    """

    def __init__(self, path: str | None = None, validation: int = 0):
        from rnnsim.data.mnist import CLASSES, fashion_mnist

        train, test = fashion_mnist(path)
        super().__init__(train, test, 255, CLASSES, validation)
