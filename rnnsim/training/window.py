"""The last training sequences, to which the criterion of a task applies."""

import numpy as np


class Window:
    """Correctness and errors of the last `size` training sequences.

    >>> window = Window(2)
    >>> window.add(np.array([False, True, True]), np.array([0.9, 0.1, 0.3]))
    >>> window.share_correct(), window.mean_error(), window.full
    (1.0, 0.2, True)
    """

    def __init__(self, size):
        self.correct, self.error = np.zeros(size, bool), np.zeros(size)
        self.seen = 0

    def add(self, correct, error):
        """Add the sequences of one batch, in their order."""
        size = self.correct.size
        places = (self.seen + np.arange(len(correct)))[-size:] % size
        self.correct[places] = correct[-size:]
        self.error[places] = error[-size:]
        self.seen += len(correct)

    def in_order(self):
        """(correct, errors) of its sequences, the newest last."""
        count = min(self.seen, self.correct.size)
        places = (self.seen - count + np.arange(count)) % self.correct.size
        return self.correct[places], self.error[places]

    @property
    def full(self):
        """Whether it holds `size` sequences."""
        return self.seen >= self.correct.size

    def share_correct(self):
        """Share of correct sequences."""
        return float(np.count_nonzero(self.correct) / min(max(self.seen, 1), self.correct.size))

    def mean_error(self):
        """Mean error."""
        return float(self.error.sum() / min(max(self.seen, 1), self.error.size))

    def meets(self, criterion):
        """Whether its sequences meet the criterion; never before it is full."""
        return self.full and criterion.met(self.correct, self.error)

    def first_met(self, criterion, correct, errors):
        """Number of new sequences after which the criterion is met for the first time; None if it is not.

        >>> from rnnsim.tasks.interface import Criterion
        >>> window, ones, small = Window(4), np.ones(3, bool), np.zeros(3)
        >>> window.add(ones, small)
        >>> window.first_met(Criterion(window=4, max_error=0.1), ones, small)
        1
        """
        old, size = self.in_order(), criterion.window
        right, off = np.concatenate([old[0], correct]), np.concatenate([old[1], errors])
        wrong = np.concatenate([[0], np.cumsum(~right.astype(bool))])
        for new in range(max(1, size - len(old[0])), len(correct) + 1):
            end = len(old[0]) + new
            if wrong[end] - wrong[end - size] <= criterion.wrong and criterion.met(right[:end], off[:end]):
                return new
        return None
