"""The order of training examples: a fresh permutation an epoch."""

import numpy as np

from rnnsim.core.registry import at_least, require


class Epochs:
    """Examples 0 .. count-1 in training order: a fresh permutation an epoch, with random access.

    Training sequence number q is example perm_e[q mod N] of epoch e = q div N, where perm_e comes from a counter-based
    generator whose key is (seed, e). So the batch of any step is known without the steps before it: a resumed run sees the
    same examples, and every example comes once an epoch whatever the size of a batch. Raises `RnnsimError` for count = 0.

    >>> order = Epochs(5)
    >>> first = np.concatenate([order.rows(seed=3, step=s, size=2) for s in range(5)])
    >>> sorted(first[:5].tolist()), sorted(first[5:].tolist())
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    >>> bool((order.rows(seed=3, step=1, size=2) == first[2:4]).all())
    True
    """

    def __init__(self, count):
        require(count > 0, "the training part is empty, expected at least one example")
        self.count = int(count)
        self._recent = {}

    def rows(self, seed, step, size):
        """Indices (size,) of the examples of batch `step`. Raises `RnnsimError` for a seed below 0."""
        at_least("seed", seed, 0)
        number = step * size
        rows, filled = np.empty(size, np.int64), 0
        while filled < size:
            epoch, place = divmod(number + filled, self.count)
            part = self.permutation(seed, epoch)[place : place + size - filled]
            rows[filled : filled + part.size] = part
            filled += part.size
        return rows

    def permutation(self, seed, epoch):
        """The permutation (count,) of one epoch. The last two stay in memory: a batch may reach from one epoch into the next."""
        key = (int(seed), int(epoch))
        if key not in self._recent:
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
            if len(self._recent) == 2:
                self._recent.pop(next(iter(self._recent)))
            self._recent[key] = generator.permutation(self.count)
        return self._recent[key]
