"""Binary bracketings of sentences: from projective dependency trees, their spans, and what three simple parsers give."""

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import require
from rnnsim.core.segments import Parses
from rnnsim.data.conllu import Sentence


def is_projective(heads):
    """Whether the dependents of every word, with all of theirs, stand side by side with it.

    heads : of every word, counted from 1; 0 for the root

    >>> is_projective([2, 0, 2]), is_projective([3, 4, 0, 3])
    (True, False)
    """
    first, last, count = list(range(len(heads))), list(range(len(heads))), [1] * len(heads)
    for word in _children_first(heads):
        if last[word] - first[word] + 1 != count[word]:
            return False
        head = heads[word] - 1
        if head >= 0:
            first[head], last[head] = min(first[head], first[word]), max(last[head], last[word])
            count[head] += count[word]
    return True


def without(sentence, tags=("PUNCT",)):
    """The `Sentence` without the words of some parts of speech; dependents of a word that is left out go to its head.

    If the root is left out, its first dependent that stays becomes the root. None if no word stays.

    >>> without(Sentence(("well", ",", "go"), ("INTJ", "PUNCT", "VERB"), (3, 3, 0)))
    Sentence(words=('well', 'go'), tags=('INTJ', 'VERB'), heads=(2, 0))
    """
    kept = [tag not in tags for tag in sentence.tags]
    numbers = np.cumsum(kept)
    heads = []
    for word, head in enumerate(sentence.heads):
        if not kept[word]:
            continue
        while head and not kept[head - 1]:
            head = sentence.heads[head - 1]
        heads.append(int(numbers[head - 1]) if head else 0)
    if not heads:
        return None
    root = heads.index(0)
    heads = [root + 1 if head == 0 and word != root else head for word, head in enumerate(heads)]
    words, tags = ([value for value, stays in zip(values, kept) if stays] for values in sentence[:2])
    return Sentence(tuple(words), tuple(tags), tuple(heads))


def binary_merges(heads):
    """The merges, pairs (left, right), that turn a projective dependency tree into a binary tree over its words.

    A head is joined with its right dependents first, the nearest one first, then with its left ones, the nearest one first;
    a dependent comes with all of its own. Of n words merge k makes the node n + k (`rnnsim.core.segments.Parses`).

    heads : of every word, counted from 1; 0 for the root

    >>> binary_merges([2, 0, 4, 2])  # "dogs chase grey cats": (dogs (chase (grey cats)))
    [(2, 3), (1, 4), (0, 5)]
    """
    dependents = [[] for _ in heads]
    for word, head in enumerate(heads):
        if head:
            dependents[head - 1].append(word)
    node, merges = list(range(len(heads))), []
    for word in _children_first(heads):
        right = [other for other in dependents[word] if other > word]
        for other in right:
            merges.append((node[word], node[other]))
            node[word] = len(heads) + len(merges) - 1
        for other in reversed(dependents[word][: len(dependents[word]) - len(right)]):
            merges.append((node[other], node[word]))
            node[word] = len(heads) + len(merges) - 1
    return merges


def _children_first(heads):
    """The words in an order in which dependents stand before their heads."""
    dependents = [[] for _ in heads]
    for word, head in enumerate(heads):
        if head:
            dependents[head - 1].append(word)
    order = [word for word, head in enumerate(heads) if not head]
    for word in order:  # grows while it is read
        order += dependents[word]
    return order[::-1]


def as_parses(merges):
    """`Parses`, all scores 0, of the lists of merges of several sentences."""
    starts = np.concatenate([[0], np.cumsum([len(part) for part in merges])]).astype(np.int64)
    pairs = np.array([pair for part in merges for pair in part], np.int32).reshape(-1, 2)
    return Parses(pairs, np.zeros(len(pairs), np.float32), starts)


# -- spans ------------------------------------------------------------------------------------------------------------------


@jit_exact
def _fill_spans(spans, pairs, merge_starts, word_starts):
    """spans (M, 2) <- the first and the last word of the node that every merge makes."""
    for graph in range(merge_starts.size - 1):
        words, begin = word_starts[graph + 1] - word_starts[graph], merge_starts[graph]
        for merge in range(begin, merge_starts[graph + 1]):
            left, right = pairs[merge, 0], pairs[merge, 1]
            a = left if left < words else spans[begin + left - words, 0]
            b = left if left < words else spans[begin + left - words, 1]
            c = right if right < words else spans[begin + right - words, 0]
            d = right if right < words else spans[begin + right - words, 1]
            spans[merge, 0], spans[merge, 1] = min(a, c), max(b, d)


def spans(parses, starts):
    """(M, 2) int32: the first and the last word of the node that every merge makes, counted within the sentence.

    starts : (B + 1,) where the words of each sentence begin

    >>> spans(as_parses([[(2, 3), (1, 4), (0, 5)]]), [0, 4]).tolist()
    [[2, 3], [1, 3], [0, 3]]
    """
    found = np.empty((len(parses.pairs), 2), np.int32)
    _fill_spans(found, parses.pairs, np.asarray(parses.starts, np.int64), np.asarray(starts, np.int64))
    return found


def matches(parses, right, starts):
    """(B,), (B,), (B,) int64: the spans of each sentence that both have, those of `parses`, and those of `right`.

    Single words and the whole sentence are not counted. With binary trees the last two are equal.
    """
    words = np.diff(starts)
    keys, counts = [], []
    for one in (parses, right):
        found, sentence = spans(one, starts), np.repeat(np.arange(len(words)), np.diff(one.starts))
        inner = found[:, 1] - found[:, 0] + 1 < words[sentence]
        found, sentence = found[inner].astype(np.int64), sentence[inner]
        keys.append((np.asarray(starts)[sentence] + found[:, 0]) * (int(words.max()) + 1) + found[:, 1] - found[:, 0])
        counts.append((sentence, np.bincount(sentence, minlength=len(words))))
    same = np.isin(keys[0], keys[1])
    return np.bincount(counts[0][0][same], minlength=len(words)), counts[0][1], counts[1][1]


def bracketing_f1(parses, right, starts):
    """The unlabelled bracketing F1 over a corpus: 2 x spans that both have / (spans of one + spans of the other).

    Single words and whole sentences are not counted; 1 if there are no other spans.
    """
    both, ours, theirs = (int(counts.sum()) for counts in matches(parses, right, starts))
    return 2 * both / (ours + theirs) if ours + theirs else 1.0


# -- simple parsers -----------------------------------------------------------------------------------------------------------


def left_branching(words):
    """Merges of the tree ((((a b) c) d) ..) over so many words."""
    return [(0 if k == 0 else words + k - 1, k + 1) for k in range(words - 1)]


def right_branching(words):
    """Merges of the tree (.. (a (b (c d)))) over so many words."""
    return [(words - 2 - k, words - 1 if k == 0 else words + k - 1) for k in range(words - 1)]


def balanced(words):
    """Merges that halve every span of words; of an odd number the left half has one more.

    >>> balanced(4), balanced(3)
    ([(0, 1), (2, 3), (4, 5)], [(0, 1), (3, 2)])
    """
    merges, nodes = [], {}
    wanted = [(0, words)]
    for first, last in wanted:  # grows while it is read
        if last - first > 1:
            middle = (first + last + 1) // 2
            wanted += [(first, middle), (middle, last)]
    # Short spans first, from the left.
    for first, last in sorted(wanted, key=lambda span: (span[1] - span[0], span[0])):
        if last - first == 1:
            nodes[first, last] = first
        else:
            middle = (first + last + 1) // 2
            nodes[first, last] = words + len(merges)
            merges.append((nodes[first, middle], nodes[middle, last]))
    return merges


class PMI:
    """A greedy parser by pointwise mutual information: it joins the neighbours whose words at the border are closest.

    Of the neighbouring spans (.. u) (v ..) those with the largest

        pmi(u, v) = log (c(u v) + a) (N + a V^2) / (c(u) + a V) (c'(v) + a V)

    are joined first, the left one of equal pairs. c(u v) counts u right before v among the N pairs of neighbouring words of the
    training sentences, c(u) the pairs that begin with u, c'(v) those that end with v; V is the number of words, a the count that
    is added to every pair. Words are whole numbers.

    Raises `RnnsimError` if the training sentences have no pair of words.

    >>> words, starts = np.array([0, 1, 2, 2, 0, 1, 0, 1, 0], np.int32), np.array([0, 3, 6, 9])
    >>> PMI(words, starts).merges(np.array([1, 0, 1]))
    [(1, 2), (0, 3)]
    """

    def __init__(self, words, starts, added=0.001):
        words, starts = np.asarray(words, np.int64), np.asarray(starts)
        self._symbols = int(words.max()) + 2  # the last one is a word that training did not have
        inside = np.ones(len(words), bool)
        inside[starts[1:] - 1] = False
        first = np.flatnonzero(inside)
        require(first.size > 0, "PMI: the training sentences have no pair of words")
        self._added, more = added, added * self._symbols
        self._total = len(first) + more * self._symbols
        self._firsts = more + np.bincount(words[first], minlength=self._symbols)
        self._seconds = more + np.bincount(words[first + 1], minlength=self._symbols)
        self._pairs, self._counts = np.unique(words[first] * self._symbols + words[first + 1], return_counts=True)

    def scores(self, words):
        """(len - 1,) float64: pmi of every pair of neighbouring words."""
        words = np.minimum(np.asarray(words, np.int64), self._symbols - 1)
        keys = words[:-1] * self._symbols + words[1:]
        places = np.searchsorted(self._pairs, keys).clip(max=len(self._pairs) - 1)
        counts = np.where(self._pairs[places] == keys, self._counts[places], 0) + self._added
        return np.log(counts * self._total / (self._firsts[words[:-1]] * self._seconds[words[1:]]))

    def merges(self, words):
        """Merges of the tree over the words of a sentence."""
        # The words at the border of two spans never change: the best pairs come in the order of their scores.
        count, merges = len(words), []
        node, first, last = list(range(count)), list(range(count)), list(range(count))
        for border in np.argsort(-self.scores(words), kind="stable").tolist():
            a, b = first[border], last[border + 1]
            merges.append((node[a], node[border + 1]))
            # A span keeps its node at its first word, the first word at its last and the last word at its first.
            node[a], first[b], last[a] = count + len(merges) - 1, a, b
        return merges
