"""Images read as sequences: rows of 8x8 digits, rows or single pixels of MNIST, rows of Fashion-MNIST."""

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.tasks.examples import ExampleTask, entropy


class ImageTask(ExampleTask):
    """What image tasks share: a network reads an image from the top and names its class after the last time step.

    Inputs (T, B, n) float32 between 0 and 1, one row or one pixel a time step. Targets (B,) int32 classes.

    Loss: softmax cross-entropy of the last output, in nats a sequence.
    Chance-level loss: the entropy of the classes of the training part, at most log 10.
    Criterion: none; the metric is "accuracy", the share of images whose class is the most probable output.

    A subclass only says where its images are and how they are cut into sequences: `train` and `test` are pairs of sequences
    (N, T, n) uint8 and classes (N,), `white` is the value of the brightest pixel. Training goes through a fresh permutation of
    the training part in every epoch; the last `validation` training images are held out as the split "validation".
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
    """The 8x8 handwritten digits of the UCI repository, read row by row. They come with rnnsim.

    Inputs (8, B, 8) float32 between 0 and 1, targets (B,) int32 classes 0 .. 9.

    Loss: softmax cross-entropy after the last row, in nats a sequence.
    Chance-level loss: the entropy of the classes of the training part, about log 10 = 2.303.
    Criterion: none; the metric is "accuracy", the share of images whose class is the most probable output.

    The last 300 of the 1,797 images are the test part, the others are for training.
    Source: E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998.

    Parameters
    ----------
    validation : images held out of the training part as the split "validation"; 0 .. 1496

    Raises `RnnsimError` if no training image would be left.

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
    """MNIST, handwritten digits of 28x28 pixels, read row by row.

    Inputs (28, B, 28) float32 between 0 and 1, targets (B,) int32 classes 0 .. 9.

    Loss: softmax cross-entropy after the last row, in nats a sequence.
    Chance-level loss: the entropy of the classes of the training part, about log 10 = 2.303.
    Criterion: none; the metric is "accuracy", the share of images whose class is the most probable output.

    60,000 training and 10,000 test images. Source: Y. LeCun, C. Cortes and C. J. C. Burges, 1998.

    Parameters
    ----------
    path : folder with the four idx files, gzipped or not; None: the files of ``rnnsim data fetch mnist``
    validation : images held out of the training part as the split "validation"

    Raises `RnnsimError` if the files are missing or damaged.

    >>> import pathlib, tempfile
    >>> from rnnsim.data.idx import write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part, count in (("train", 4), ("t10k", 2)):
    ...         write_idx(pathlib.Path(folder) / f"{part}-images-idx3-ubyte", np.full((count, 28, 28), 255, np.uint8))
    ...         write_idx(pathlib.Path(folder) / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8))
    ...     batch = MNISTRows(path=folder).training_batch(seed=0, step=0, size=3)
    >>> batch.inputs.shape, float(batch.inputs.max()), batch.targets.shape
    ((28, 3, 28), 1.0, (3,))
    """

    data_set = "mnist"  # the function of `rnnsim.data.mnist` that reads it

    def __init__(self, path: str | None = None, validation: int = 0):
        from rnnsim.data import mnist

        super().__init__(*getattr(mnist, self.data_set)(path), 255, mnist.CLASSES, validation)


class MNISTPixels(ImageTask):
    """MNIST, handwritten digits of 28x28 pixels, read pixel by pixel.

    Inputs (784, B, 1) float32 between 0 and 1, targets (B,) int32 classes 0 .. 9.

    Loss: softmax cross-entropy after the last pixel, in nats a sequence.
    Chance-level loss: the entropy of the classes of the training part, about log 10 = 2.303.
    Criterion: none; the metric is "accuracy", the share of images whose class is the most probable output.

    60,000 training and 10,000 test images. Source: Le, Jaitly and Hinton 2015, arXiv:1504.00941, section 4.2.

    Parameters
    ----------
    path : folder with the four idx files, gzipped or not; None: the files of ``rnnsim data fetch mnist``
    permuted : read the pixels of every image in one fixed random order instead of row by row
    validation : images held out of the training part as the split "validation"

    Raises `RnnsimError` if the files are missing or damaged.

    >>> import pathlib, tempfile
    >>> from rnnsim.data.idx import write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part, count in (("train", 4), ("t10k", 2)):
    ...         write_idx(pathlib.Path(folder) / f"{part}-images-idx3-ubyte", np.full((count, 28, 28), 255, np.uint8))
    ...         write_idx(pathlib.Path(folder) / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8))
    ...     batch = MNISTPixels(path=folder).training_batch(seed=0, step=0, size=3)
    >>> batch.inputs.shape, float(batch.inputs.max()), batch.targets.shape
    ((784, 3, 1), 1.0, (3,))
    """

    tested_options = ({}, dict(permuted=True, validation=7))

    def __init__(self, path: str | None = None, permuted: bool = False, validation: int = 0):
        from rnnsim.data.mnist import CLASSES, mnist

        order = np.random.Generator(np.random.Philox(784)).permutation(784) if permuted else slice(None)
        train, test = ((images.reshape(-1, 784)[:, order, np.newaxis], labels) for images, labels in mnist(path))
        super().__init__(train, test, 255, CLASSES, validation)


class FashionRows(MNISTRows):
    """Fashion-MNIST, pieces of clothing of 28x28 pixels, read row by row.

    Inputs (28, B, 28) float32 between 0 and 1, targets (B,) int32 classes 0 .. 9.

    Loss: softmax cross-entropy after the last row, in nats a sequence.
    Chance-level loss: the entropy of the classes of the training part, about log 10 = 2.303.
    Criterion: none; the metric is "accuracy", the share of images whose class is the most probable output.

    60,000 training and 10,000 test images. Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.

    Parameters
    ----------
    path : folder with the four idx files, gzipped or not; None: the files of ``rnnsim data fetch fashion-mnist``
    validation : images held out of the training part as the split "validation"

    Raises `RnnsimError` if the files are missing or damaged.

    >>> import pathlib, tempfile
    >>> from rnnsim.data.idx import write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part, count in (("train", 4), ("t10k", 2)):
    ...         write_idx(pathlib.Path(folder) / f"{part}-images-idx3-ubyte", np.full((count, 28, 28), 255, np.uint8))
    ...         write_idx(pathlib.Path(folder) / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8))
    ...     batch = FashionRows(path=folder).training_batch(seed=0, step=0, size=3)
    >>> batch.inputs.shape, float(batch.inputs.max()), batch.targets.shape
    ((28, 3, 28), 1.0, (3,))
    """

    data_set = "fashion_mnist"
