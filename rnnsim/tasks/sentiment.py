"""Rated sentences of film reviews, for or against the film: over trees, and as sequences of words."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.forest import Forest
from rnnsim.core.losses import Loss
from rnnsim.core.reading import at_home, name_of, read_text
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.segments import SegmentGraphs
from rnnsim.errors import RnnsimError
from rnnsim.tasks.examples import ExampleTask, entropy

SHAPES = ("right", "left", "balanced")
_ORDER = 2014  # the seed of the order in which the sentences are cut into parts
_TEST = 5  # one sentence in five is a test sentence


class _RatedSentences(ExampleTask):
    """What both tasks share: sentences, labels, parts and vocabulary."""

    tokens = True
    n_outputs = 2
    target_names = ("against", "for")

    def _read(self, path, min_count, validation):
        from rnnsim.data.rated import read_rated
        from rnnsim.data.vocabulary import WordNumbers, sentence_words

        at_least("min_count", min_count, 1)
        # Of sentences with the same words the first one counts, so that no test sentence is a training sentence.
        found = {}
        for rated in read_rated(path):
            spoken = tuple(sentence_words(rated.text))
            if rated.rating != 0 and spoken:
                found.setdefault(tuple(map(str.lower, spoken)), (spoken, rated.rating))
        source = "path" if path is None else f"path={name_of(path)}"
        require(len(found) >= _TEST, f"{source}: {len(found)} different rated sentences, expected at least {_TEST}")
        self.words = [spoken for spoken, _ in found.values()]
        self._labels = np.array([rating > 0 for _, rating in found.values()], np.int32)
        order = np.random.Generator(np.random.Philox(_ORDER)).permutation(len(found))
        last = len(order) - len(order) // _TEST
        self.split(order[:last], order[last:], validation)
        self.vocabulary = WordNumbers([self.words[row] for row in sorted(self.train_rows)], min_count)
        self.n_inputs, self.input_names = len(self.vocabulary), self.vocabulary.names
        self.loss = Loss("softmax", when="last", per="sequence", unit="nats")
        self.trivial_loss = entropy(self._labels[self.train_rows])
        self._starts = np.cumsum([0, *map(len, self.words)])
        self._numbers = np.concatenate([self.vocabulary.encode(spoken) for spoken in self.words])

    def lines(self) -> list[str]:
        """Every sentence as a line, its words with spaces between them; in the order of a file of trees."""
        return [" ".join(spoken) for spoken in self.words]

    def metrics(self, outputs, batch):
        """``{"accuracy": (B,)}``: 1 for a right verdict, else 0."""
        return {"accuracy": self.correct(outputs, batch).astype(np.float64)}


class Sentiment(_RatedSentences):
    """Sentences of film reviews over trees: for or against the film.

    10,605 sentences with mean ratings from -4 to 4. Those rated 0 and those whose words came before are left out; by the sign of
    the rating 5,241 are for the film and 5,325 against. In an order that is always the same the last fifth, 2,113 sentences, is
    for the test, the others for training. Words are those of `rnnsim.data.vocabulary.sentence_words`. A word that the training
    part has at least `min_count` times, in capitals or not, is a symbol of its own; any other word has the symbol of its class
    (`rnnsim.data.vocabulary.shape`).

    The tree over the words of a sentence is right-branching, left-branching or balanced, or it comes from a file, such as that of
    the trees of a trained parser. The task `sentiment-words` has the same sentences, parts and symbols as sequences.

    Batches are `rnnsim.core.forest.Forest`; inputs (N,) int32 symbols at the leaves and -1 elsewhere, targets (B,) int32 classes:
    0 against, 1 for.

    Loss: softmax cross-entropy at the root, in nats a sentence.
    Chance-level loss: the entropy of the labels of the training part.
    Criterion: none; the metric is "accuracy", the share of sentences whose verdict is the more probable output.

    Source: the ratings of C. J. Hutto and E. Gilbert, ICWSM 2014, of the sentences that B. Pang and L. Lee collected in 2005; the
    sentiment treebank of R. Socher et al., EMNLP 2013, has labels of all phrases of the same pool, these are of sentences alone.

    Parameters
    ----------
    path : the archive or the file of the sentences, as in `rnnsim.data.rated.read_rated`; None: the archive of
        ``rnnsim data fetch rated-sentences``
    shape : "right", (a (b (c d))); "left", (((a b) c) d); or "balanced", ((a b) (c d))
    trees : a file of trees instead, line by line those of `lines()`, as brackets with words at the leaves alone:
        ``((a film) (of charm))``
    min_count : occurrences in the training part that make a word a symbol of its own, at least 1
    validation : sentences held out of the training part as the split "validation"

    Raises `RnnsimError` if a file is missing or damaged, and, with the line, for trees over other words.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "rated.txt"
    ...     _ = path.write_text("".join(f"{k}\\t{(-1) ** k}\\tfilm number {k} today\\n" for k in range(10)))
    ...     task = Sentiment(path=str(path), shape="left")
    >>> task.training_batch(seed=0, step=0, size=1).to_brackets()
    ['(((film number) <number>) today)']
    """

    makes = Forest
    tested_options = (dict(shape="left"), dict(shape="balanced", validation=5))

    def __init__(
        self,
        path: str | None = None,
        shape: Literal["right", "left", "balanced"] = "right",
        trees: str | None = None,
        min_count: int = 2,
        validation: int = 0,
    ):
        one_of("shape", shape, SHAPES)
        self._read(path, min_count, validation)
        forest = self._shaped(shape) if trees is None else self._from_file(trees)
        self._forest = Forest(forest.starts, forest.children, forest.inputs, self._labels, symbols=self.input_names)

    def _shaped(self, shape):
        from rnnsim.data.bracketings import as_parses, balanced, left_branching, right_branching

        merges = {"right": right_branching, "left": left_branching, "balanced": balanced}[shape]
        chains = SegmentGraphs(self._starts, self._numbers)
        return chains.forest(as_parses([merges(count) for count in np.diff(self._starts).tolist()]))

    def _from_file(self, path):
        where, expected = name_of(path), len(self.words)
        text = read_text(at_home(path)).split("\n")
        lines = [line for line in text if line.strip()]
        numbers = [number for number, line in enumerate(text, 1) if line.strip()]
        require(len(lines) == expected, f"trees={where}: {len(lines)} trees, expected {expected}, one a sentence")
        try:
            forest = Forest.from_brackets(text, labelled=False)
        except RnnsimError as error:
            raise RnnsimError(f"trees={where}: {error}") from None
        # Every tree has its leaves from the left to the right, as their words are read.
        leaves = forest.leaves
        counts = np.add.reduceat(leaves.astype(np.int64), forest.starts[:-1])
        found = np.array(forest.symbols, object)[forest.inputs[leaves]].tolist()
        ends = np.cumsum(counts).tolist()
        for line, spoken, first, last in zip(numbers, self.words, [0, *ends], ends):
            if list(spoken) != found[first:last]:
                raise RnnsimError(
                    f"trees={where}, line {line}: the words are {' '.join(found[first:last])[:60]!r}, "
                    f"expected {' '.join(spoken)[:60]!r}"
                )
        inputs = np.full(forest.nodes, -1, np.int32)
        inputs[leaves] = self._numbers
        return Forest(forest.starts, forest.children, inputs)

    def gather(self, rows):
        return self._forest.take(rows)


class SentimentWords(_RatedSentences):
    """Sentences of film reviews as sequences of words: for or against the film.

    The sentences, parts, symbols, labels, loss and metric of the task `sentiment` (`Sentiment`), as sequences.

    Inputs (T, B) int32 symbols, targets (B,) int32 classes: 0 against, 1 for. Lengths (B,).

    Loss: softmax cross-entropy after the last word, in nats a sentence.
    Chance-level loss: the entropy of the labels of the training part.
    Criterion: none; the metric is "accuracy", the share of sentences whose verdict is the more probable output.

    Source: see `Sentiment`.

    Parameters
    ----------
    path, min_count, validation : as of `Sentiment`

    Raises `RnnsimError` if the file is missing or damaged.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "rated.txt"
    ...     _ = path.write_text("".join(f"{k}\\t{(-1) ** k}\\tfilm number {k} today\\n" for k in range(10)))
    ...     task = SentimentWords(path=str(path))
    >>> batch = task.training_batch(seed=0, step=0, size=3)
    >>> batch.inputs.shape, batch.lengths.tolist(), task.n_inputs
    ((4, 3), [4, 4, 4], 10)
    """

    def __init__(self, path: str | None = None, min_count: int = 2, validation: int = 0):
        self._read(path, min_count, validation)

    def gather(self, rows):
        lengths = np.diff(self._starts)[rows]
        time_steps = np.arange(lengths.max())[:, np.newaxis]
        inside = time_steps < lengths
        inputs = np.where(inside, self._numbers[np.where(inside, self._starts[rows] + time_steps, 0)], 0)
        return Sequences(inputs.astype(np.int32), self._labels[rows], lengths=lengths)
