"""Random weight guessing (Hochreiter & Schmidhuber 1996)."""

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import stream_key
from rnnsim.learning.interface import Apply, LearnResult, Rule
from rnnsim.networks.candidates import DrawnCandidates
from rnnsim.tasks.interface import Task


class Guess(Rule):
    """Random weight guessing (S. Hochreiter & J. Schmidhuber, "LSTM can solve hard long time lag problems", NIPS 9, 1996).

    Candidate number c = 0, 1, 2, ... draws all its trainable weights from U[-weight_range, weight_range], by a
    counter-based generator from (seed, c, place in theta): a candidate is a function of its number. The rule tests it
    on one sequence of the batch after the other and rejects it at the first wrong one; the task decides what is
    wrong. The guess is the candidate of the lowest number that has all of a batch right.

    The guess must hold for the following batches too: they hold fresh sequences, which the network's own forward pass
    tests. If one is wrong, guessing continues with the next candidate. A batch without a guess leaves the candidate
    that had the most sequences right in the network.

    weight_range    bound of the weights
    candidates      largest number of candidates tested on one batch

    The reports show `trials`, the candidates tested so far, the guess included, and `time_steps`, those of all their
    tests. The rule uses no optimizer. It serves every network (`rnnsim.networks.interface.Network.test_many`); one
    layer of plain units tests its candidates in one parallel kernel. Raises `RnnsimError` for options out of range
    and for tasks whose sequences continue in the next batch.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=2, dtype="float64", rng=1)
    >>> found = rs.train(net, task, rule=Guess(weight_range=30, candidates=20), steps=1, batch=4, rng=1)
    >>> 0 < found.figures["trials"] <= 20
    True
    """

    name = "guess"
    sets_weights = True

    def __init__(self, weight_range: float = 100.0, candidates: int = 5000):
        require(0 < weight_range < np.inf, f"weight_range={weight_range}: expected a number above 0")
        self.weight_range, self.candidates = weight_range, at_least("candidates", candidates, 1)
        self.task = None

    def check(self, net, task):
        """See `Rule.check`."""
        super().check(net, task)
        require(task is None or not task.streams, "rule guess: the sequences of this task continue in the next batch")
        self.task = task

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        """See `Rule.learn`. The memory holds the number of the next candidate, whether there is a guess, and the time steps."""
        following, guessed, work = (0, 0, 0) if memory is None else (int(number) for number in memory["guess"])
        right_by = _Threshold(loss) if self.task is None else self.task
        found = net.evaluate(batch, loss) if guessed else None
        if found is None or not right_by.correct(found.outputs, batch).all():
            trainable = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
            key = stream_key(self.randomness[0], "guess")
            drawn = DrawnCandidates(key, following, self.candidates, self.weight_range, trainable, net.theta.copy())
            right, more = net.test_many(drawn, batch, loss, right_by)
            best = int(np.argmax(right))
            guessed = int(right[best] == batch.size)
            net.theta[...] = drawn[best]
            following += best + 1 if guessed else len(right)
            work += more
            if isinstance(apply, Apply):
                apply.made(1)
            found = net.evaluate(batch, loss)
        memory = {"guess": np.array([following, guessed, work], np.int64)}
        figures = {"trials": following, "time_steps": work}
        return LearnResult(found.loss, found.outputs, memory=memory, figures=figures)


class _Threshold(Task):
    """The measure of a batch without a task: outputs within .5 of their targets, or the right class."""

    def __init__(self, loss):
        self.loss = loss

    training_batch = evaluation_batches = None
