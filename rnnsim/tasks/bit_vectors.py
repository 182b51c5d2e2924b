"""What the tasks on random bit vectors of Graves, Wayne & Danihelka 2014 (arXiv:1410.5401) have in common."""

import abc
import math

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import bits
from rnnsim.tasks.interface import Criterion, GeneratedTask

WHOLE_SHARE = {"linear": 0.0, "mixed": 0.2}  # by curriculum: the share of sequences that it does not restrict


@jit_exact
def fair_bits(vectors, key, sequence, draw):
    """vectors (n, width) <- fair bits row by row: 32 bits a draw, from number `draw` on."""
    width, word = vectors.shape[1], np.uint64(0)
    for i in range(vectors.size):
        if i % 32 == 0:
            word = bits(key, sequence, draw + i // 32)[0]
        vectors[i // width, i % width] = np.int64((word >> np.uint64(i % 32)) & np.uint64(1))


@jit_exact
def reach(key, sequence, draw, least, most, over, share):
    """The largest value that a sequence may take; `most` from sequence number `over` on.

    Reads the second word of `draw`, so an `integer` of the same draw is independent of it.
    """
    if sequence >= over or bits(key, sequence, draw)[1] < share * 4294967296.0:
        return most
    return least + (most - least + 1) * sequence // over


class BitVectorTask(GeneratedTask):
    """What the bit vector tasks of Graves, Wayne & Danihelka 2014 (arXiv:1410.5401) share: loss, criterion, metrics, curriculum.

    Loss: Bernoulli cross-entropy of logits, in bits a sequence.
    Criterion (ours; the paper gives learning curves and no criterion): the last 2000 training sequences right and their mean
    absolute error below .01. A sequence is right if every counted bit is nearer to its target than to the other value.
    The metric `wrong_bits`, the number of counted bits on the wrong side, is that of Collier & Beel 2018 (arXiv:1807.08518).

    Curriculum: for the first `curriculum_sequences` training sequences the largest length (number of repeats, of items) grows.
    With K allowed values, sequence number s of S takes its value from the first

        1 + floor(K s / S)

    of them. curriculum="linear" restricts every sequence; "mixed" lets one sequence in five take the whole range, so that the
    network always sees some long sequences (after the combined strategy of Zaremba & Sutskever 2014, arXiv:1410.4615). The
    number of a sequence decides, so a curriculum does not depend on the batch size. Evaluation always takes the whole range.

    A subclass defines `make(key, first, size, over, share)` in place of `generate`; the last two are for `reach`.
    """

    loss = Loss("bernoulli", when="every", per="sequence", unit="bits")
    criterion = Criterion(window=2000, wrong=0, max_error=0.01)
    _growth = (0, 0.0)

    @abc.abstractmethod
    def make(self, key, first, size, over, share):
        """The batch of sequences number first .. first + size - 1 of the stream `key`.

        over : the first sequence number behind the curriculum
        share : the share of sequences that the curriculum does not restrict
        """

    def generate(self, key, first, size):
        return self.make(key, first, size, 0, 0.0)

    def generate_training(self, key, first, size):
        return self.make(key, first, size, *self._growth)

    def grow(self, curriculum, sequences):
        """Set the curriculum from its two options. Raises `RnnsimError` if they are not valid."""
        at_least("curriculum_sequences", sequences, 1)
        if one_of("curriculum", curriculum, ("none", *WHOLE_SHARE)) != "none":
            self._growth = (sequences, WHOLE_SHARE[curriculum])

    def metrics(self, outputs, batch):
        """Those of `Task.metrics`, and ``"wrong_bits"``: the counted bits of a sequence on the wrong side."""
        return {**super().metrics(outputs, batch), "wrong_bits": wrong_bits(outputs, batch)}


def wrong_bits(outputs, batch):
    """(B,) float64: counted outputs of a sequence, as logits, on the wrong side of 0."""
    wrong = ((outputs > 0) != (batch.targets > 0.5)).sum(axis=-1) * (batch.counted() != 0)
    return wrong.sum(axis=0).astype(np.float64)


def bounds(name, exactly, least, most, floor):
    """(least, most) of a quantity from its options NAME, min_NAME and max_NAME. Raises `RnnsimError` if they do not fit.

    >>> bounds("length", None, 1, 20, floor=1), bounds("length", 120, 1, 20, floor=1)
    ((1, 20), (120, 120))
    """
    at_least(f"min_{name}", least, floor)
    require(most >= least, f"max_{name}={most}: expected a value of at least min_{name}={least}")
    return (least, most) if exactly is None else (at_least(name, exactly, floor),) * 2


def constant_loss(width, time_steps):
    """Bits of the best constant outputs for m = `time_steps` counted time steps of `width` fair bits and one end marker.

    The last time step has zero bits and a marker on a channel of its own. So the best constant outputs are the frequencies
    q = (m/2) / (m+1) of the bits and p = 1 / (m+1) of the marker, with the loss

        (m + 1) (width H(q) + H(p)) bits,  H(x) = -x log2 x - (1-x) log2(1-x).

    >>> round(constant_loss(6, 30.25), 2)
    193.75
    """
    return (time_steps + 1) * (width * _entropy(time_steps / 2 / (time_steps + 1)) + _entropy(1 / (time_steps + 1)))


def _entropy(share):
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)
