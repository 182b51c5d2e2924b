"""Unlabelled bracketing of English sentences: binary trees from the dependency trees of a treebank."""

from typing import Any

import numpy as np

from rnnsim.core.margin import MarginLoss
from rnnsim.core.registry import at_least, require
from rnnsim.core.segments import SegmentGraphs
from rnnsim.tasks.examples import ExampleTask
from rnnsim.tasks.interface import Ratio


class Bracketing(ExampleTask):
    """Bracket sentences: find the binary tree over the words of each.

    The sentences are those of UD English EWT whose dependency trees are projective. Punctuation is left out; of the other words
    there are 2 .. max_words. The right tree follows from the dependencies by one rule, `rnnsim.data.bracketings.binary_merges`:
    a head is joined with its right dependents first, the nearest one first, then with its left ones, the nearest one first.

    A word that the training sentences have at least `min_count` times, in capitals or not, is a symbol of its own. Any other word
    has the symbol of a class by its letters alone, `rnnsim.data.vocabulary.shape`: with a digit, capitalised, ending in -ing,
    -ed, -ly or -s, other; the parts of speech of the treebank are not used, as raw text has none.

    Batches are `rnnsim.core.segments.SegmentGraphs`, chains of words; inputs (S,) int32 symbols, targets the right trees as
    `rnnsim.core.segments.Parses`. The outputs of a network are `Parses` too.

    Loss: the structured margin loss (`rnnsim.core.margin.MarginLoss`); a merge is wrong unless the right tree has a node over the
    same words.
    Chance-level loss: not known. `baselines` gives the F1 of simple parsers instead.
    Criterion: none. An example is right if its whole tree is. The metric "f1" is the unlabelled bracketing F1 over all sentences
    together: spans of words that both trees have, single words and whole sentences not counted, divided by the mean number of
    spans of the two.

    The dev sentences of the treebank are the split "validation". Treebank: N. Silveira et al., LREC 2014; task and loss: Socher,
    Lin, Ng & Manning, ICML 2011, whose sentences are of another treebank.

    Parameters
    ----------
    path : folder of the files ``*-ud-train.conllu``, ``*-ud-dev.conllu`` and ``*-ud-test.conllu``; None: the files of
        ``rnnsim data fetch ewt``
    max_words : words of the longest sentence, at least 2
    min_count : occurrences in the training sentences that make a word a symbol of its own, at least 1

    Raises `RnnsimError` if the files are missing or damaged, and if a part has no sentence.
    """

    makes = SegmentGraphs
    tokens = True
    n_outputs = 1
    loss: Any = MarginLoss()

    def __init__(self, path: str | None = None, max_words: int = 40, min_count: int = 5):
        from rnnsim.data.bracketings import as_parses, binary_merges
        from rnnsim.data.conllu import PARTS, read_parts
        from rnnsim.data.vocabulary import WordNumbers

        at_least("max_words", max_words, 2)
        at_least("min_count", min_count, 1)
        found = {part: _usable(sentences, max_words) for part, sentences in read_parts(path).items()}
        for part in PARTS:
            require(bool(found[part]), f"max_words={max_words}: the {part} part has no such sentence")
        self.words = [sentence.words for part in PARTS for sentence in found[part]]
        self.vocabulary = WordNumbers([sentence.words for sentence in found["train"]], min_count)
        self.n_inputs, self.input_names = len(self.vocabulary), self.vocabulary.names
        starts = np.cumsum([0, *map(len, self.words)])
        right = as_parses([binary_merges(sentence.heads) for part in PARTS for sentence in found[part]])
        numbers = np.concatenate([self.vocabulary.encode(words) for words in self.words])
        self._graphs = SegmentGraphs(starts, numbers, targets=right)
        ends = np.cumsum([len(found[part]) for part in PARTS])
        self.split(np.arange(ends[0]), np.arange(ends[1], ends[2]), held_out=np.arange(ends[0], ends[1]))

    def gather(self, rows):
        return self._graphs.take(rows)

    def read_sentences(self, lines):
        """See `Task.read_sentences`; `rnnsim.data.vocabulary.sentence_words` says what a word is."""
        from rnnsim.data.vocabulary import sentence_words

        sentences = [sentence_words(line) for line in lines]
        given = [words for words in sentences if words]
        if not given:
            return sentences, None
        numbers = np.concatenate([self.vocabulary.encode(words) for words in given])
        return sentences, SegmentGraphs(np.cumsum([0, *map(len, given)]), numbers)

    def correct(self, outputs, batch):
        """(B,) bool: the sentences all of whose spans are right."""
        both, ours, theirs = _matches(outputs, batch)
        return (both == theirs) & (ours == theirs)

    def error(self, outputs, batch):
        """(B,) float64: the share of the right spans that the trees do not have; 0 for a sentence of two words."""
        both, _, theirs = _matches(outputs, batch)
        return 1 - np.where(theirs > 0, both / np.maximum(theirs, 1), 1)

    def metrics(self, outputs, batch):
        """``{"f1": ...}`` over all sentences together, a `Ratio`."""
        both, ours, theirs = _matches(outputs, batch)
        return {"f1": Ratio(both, (ours + theirs) / 2)}

    def baselines(self, split: str = "test") -> dict[str, float]:
        """F1 of simple parsers on the sentences of a split, by name; see `bracketing_baselines`."""
        (batch,) = self.evaluation_batches(0, len(self.words), split=split)
        return bracketing_baselines(batch, self._graphs.take(self.train_rows))


def bracketing_baselines(graphs: SegmentGraphs, training: SegmentGraphs) -> dict[str, float]:
    """The unlabelled bracketing F1 of parsers that learn little or nothing, on sentences with right trees.

    left      ((((a b) c) d) ..)
    right     (.. (a (b (c d))))
    balanced  every span is halved
    pmi       the neighbouring spans whose words at the border have the highest pointwise mutual information are joined first
              (`rnnsim.data.bracketings.PMI`), counted in the sentences `training`

    >>> from rnnsim.data.bracketings import as_parses
    >>> graphs = SegmentGraphs([0, 3], np.array([2, 0, 1]), targets=as_parses([[(1, 2), (0, 3)]]))
    >>> bracketing_baselines(graphs, SegmentGraphs([0, 2, 4, 6], np.array([0, 1, 0, 1, 2, 2])))
    {'left': 0.0, 'right': 1.0, 'balanced': 0.0, 'pmi': 1.0}
    """
    from rnnsim.data.bracketings import PMI, as_parses, balanced, bracketing_f1, left_branching, right_branching

    starts, words, right = graphs.starts, graphs.inputs, graphs.targets
    pmi = PMI(training.inputs, training.starts)
    trees = {
        "left": [left_branching(count) for count in np.diff(starts)],
        "right": [right_branching(count) for count in np.diff(starts)],
        "balanced": [balanced(count) for count in np.diff(starts)],
        "pmi": [pmi.merges(words[first:last]) for first, last in zip(starts[:-1], starts[1:])],
    }
    return {name: bracketing_f1(as_parses(merges), right, starts) for name, merges in trees.items()}


def _usable(sentences, max_words):
    """The sentences without punctuation that are projective with it, and have 2 .. max_words words."""
    from rnnsim.data.bracketings import is_projective, without

    found = []
    for sentence in sentences:
        bare = without(sentence) if is_projective(sentence.heads) else None
        # Where the root was punctuation, its dependents may cross without it.
        if bare is not None and 2 <= len(bare.words) <= max_words and is_projective(bare.heads):
            found.append(bare)
    return found


def _matches(outputs, batch):
    from rnnsim.data.bracketings import matches

    return matches(outputs, batch.targets, batch.starts)
