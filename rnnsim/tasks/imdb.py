"""Film reviews, for or against the film, as sequences of words (A. L. Maas et al., ACL 2011)."""

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least
from rnnsim.tasks.examples import ExampleTask, entropy

UNKNOWN = 0


class IMDB(ExampleTask):
    """Film reviews, for or against the film, as sequences of words.

    25,000 reviews for training, 25,000 for the test. Words are numbered by their frequency in the training part, the most
    frequent word is 1 (of equally frequent ones the earlier comes first); 0 stands for every word that is not among the
    `vocabulary` most frequent ones. A review is cut to its last `length` words, where the verdict mostly stands, and a batch is
    as long as its longest review. A review without any word becomes one unknown word.

    Inputs (T, B) int32 tokens, targets (B,) int32: 0 against the film, 1 for it. Lengths (B,).

    Loss: softmax cross-entropy after the last word, in nats a review.
    Chance-level loss: the entropy of the labels of the training part, log 2 for the balanced data set.
    Criterion: none; the metric is "accuracy", the share of reviews whose verdict is the more probable output.

    Source: A. L. Maas et al., ACL 2011. `rnnsim.data.imdb.read_reviews` describes the file formats.

    Parameters
    ----------
    path : aclImdb_v1.tar.gz, the folder it unpacks to, or a .json or .csv file as in `rnnsim.data.imdb`; None: the
        archive of ``rnnsim data fetch imdb``
    vocabulary : number of words that are told apart, at least 1
    length : number of words of a review that are read, from its end, at least 1
    validation : reviews held out of the training part as the split "validation"

    Raises `RnnsimError` if the reviews are missing or damaged.

    >>> import json, pathlib, tempfile
    >>> reviews = [{"t": "good film", "s": 1}, {"t": "Bad,<br />bad film!", "s": 0}] * 10
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "reviews.json"
    ...     _ = path.write_text(json.dumps(reviews))
    ...     task = IMDB(path=str(path), vocabulary=2)
    >>> batch = task.training_batch(seed=0, step=0, size=4)
    >>> batch.inputs.shape[1], batch.targets.shape, task.n_inputs
    (4, (4,), 3)
    """

    tokens = True
    target_names = ("against", "for")

    def __init__(self, path: str | None = None, vocabulary: int = 10_000, length: int = 200, validation: int = 0):
        from rnnsim.data.imdb import read_reviews

        at_least("vocabulary", vocabulary, 1)
        at_least("length", length, 1)
        reviews = read_reviews(path)
        starts, ends, count = reviews.starts[:-1], reviews.starts[1:], int(reviews.train.sum())
        ranks = self._ranks(reviews.tokens[: reviews.starts[count]], len(reviews.known), vocabulary)
        self.words = ("", *(reviews.known[n] for n in np.argsort(ranks, kind="stable") if ranks[n] != UNKNOWN))
        # The last token is an unknown word: a review without words reads it.
        self._tokens = np.append(ranks[reviews.tokens], np.int32(UNKNOWN))
        self._first = np.where(ends > starts, np.maximum(starts, ends - length), len(reviews.tokens))
        self._lengths = np.clip(ends - starts, 1, length)
        self._labels = reviews.labels
        self.split(np.arange(count), np.arange(count, len(self._labels)), validation)
        self.n_inputs, self.n_outputs = len(self.words), 2
        self.loss = Loss("softmax", when="last", per="sequence", unit="nats")
        self.trivial_loss = entropy(self._labels[self.train_rows])

    @staticmethod
    def _ranks(training, known, vocabulary):
        """(known,) int32: the new number of every word."""
        counts = np.bincount(training, minlength=known)
        frequent = np.argsort(-counts, kind="stable")[:vocabulary]
        frequent = frequent[counts[frequent] > 0]
        ranks = np.zeros(known, np.int32)
        ranks[frequent] = np.arange(1, len(frequent) + 1)
        return ranks

    def gather(self, rows):
        lengths = self._lengths[rows]
        time_steps = np.arange(lengths.max())[:, np.newaxis]
        inside = time_steps < lengths
        inputs = np.where(inside, self._tokens[np.where(inside, self._first[rows] + time_steps, 0)], 0).astype(np.int32)
        return Sequences(inputs, self._labels[rows], lengths=lengths)

    def metrics(self, outputs, batch):
        """``{"accuracy": (B,)}``: 1 for a right verdict, else 0."""
        return {"accuracy": self.correct(outputs, batch).astype(np.float64)}

    def decode(self, tokens):
        """The words of some tokens as a text, "?" for an unknown word."""
        return " ".join(self.words[n] if n != UNKNOWN else "?" for n in np.ravel(tokens))
