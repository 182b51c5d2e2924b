"""Words as numbers: those that a training text has often enough, and classes by shape for all others."""

import re
from collections import Counter

import numpy as np

_WORD = re.compile(r"(?<!\S)'(?:s|m|d|re|ve|ll)(?!\S)|[^\W_]+(?:['.][^\W_]+)*", re.IGNORECASE)
_CONTRACTION = re.compile(r"(n't|'(?:s|m|d|re|ve|ll))$", re.IGNORECASE)
CLASSES = ("number", "capitalised", "-ing", "-ed", "-ly", "-s", "other")


def shape(word):
    """The class of a word that is not in a vocabulary, by its letters alone; the first that fits.

        number        it has a digit
        capitalised   its first letter is a capital
        -ing -ed -ly -s   it ends so and has at least two letters before
        other         none of these

    >>> [shape(word) for word in ("3rd", "Qaim", "quilting", "red", "sadly", "robes", "gas")]
    ['number', 'capitalised', '-ing', 'other', '-ly', '-s', '-s']
    """
    if any(letter.isdigit() for letter in word):
        return "number"
    if word[:1].isupper():
        return "capitalised"
    for ending in CLASSES[2:6]:
        if word.endswith(ending[1:]) and len(word) >= len(ending) + 1:
            return ending
    return "other"


def sentence_words(text):
    """The words of raw English text as treebanks cut it: no punctuation, contractions are two words.

    Words with spaces between them, such as those that it gives, stay what they are.

    >>> sentence_words("The dog's owner doesn't care, I'm told (really).")
    ['The', 'dog', "'s", 'owner', 'does', "n't", 'care', 'I', "'m", 'told', 'really']
    """
    return [part for word in _WORD.findall(text.replace("\u2019", "'")) for part in _CONTRACTION.split(word) if part]


class WordNumbers:
    """Numbers of words: first the classes of `shape`, then the words of the training text, the most frequent one first.

    The case of letters tells classes apart, not words. A word that was seen fewer than `min_count` times in `texts`, lists of
    words, has the number of its class. Of equally frequent words the earlier one comes first.

    names : the name of every number; classes are written "<number>", "<capitalised>", ..

    >>> numbers = WordNumbers([["The", "cat", "saw", "the", "dog"]], min_count=2)
    >>> numbers.names[-2:], numbers.encode(["THE", "cats"]).tolist()
    (('<other>', 'the'), [7, 5])
    """

    def __init__(self, texts, min_count):
        counts = Counter(word.lower() for words in texts for word in words)
        frequent = [word for word, count in counts.most_common() if count >= min_count]
        self.names = (*(f"<{name}>" for name in CLASSES), *frequent)
        self._numbers = {word: len(CLASSES) + k for k, word in enumerate(frequent)}
        self._classes = {name: k for k, name in enumerate(CLASSES)}

    def __len__(self):
        return len(self.names)

    def encode(self, words):
        """(len(words),) int32 numbers of words."""
        known, classes = self._numbers, self._classes
        found = [known[word.lower()] if word.lower() in known else classes[shape(word)] for word in words]
        return np.array(found, np.int32)
