"""Random weight guessing (S. Hochreiter & J. Schmidhuber, "LSTM can solve hard long time lag problems", NIPS 9, 1996).

Candidate number c = 0, 1, 2, ... has all its trainable weights drawn from U[-range, range], by a counter-based generator from
(seed, c, place in theta): a candidate is a function of its number. The rule tests it on one sequence of the batch after the other
and rejects it at the first wrong one; the task says what is wrong. The lowest number that has all of a batch right is the guess.

The guess must hold for the following batches too: those are fresh sequences, tested by the network's own forward pass. If one is
wrong, guessing goes on with the next candidate. Trials are the candidates tested so far, the guess included; the reports show
them beside the time steps that all their tests together took. A batch without a guess leaves the candidate that got furthest in
the network.
"""

import numpy as np

from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import stream_key
from rnnsim.learning.interface import Apply, LearnResult, Rule
from rnnsim.networks.candidates import DrawnCandidates
from rnnsim.tasks.interface import Task


class Guess(Rule):
    """Random weight guessing (Hochreiter & Schmidhuber 1996): weights from U[-weight_range, weight_range] until all is right.

    weight_range    weights are drawn from -range .. range
    candidates      most candidates that are tested on one batch

    The rule asks no optimizer. It serves every network (`rnnsim.networks.interface.Network.test_many`); one layer of plain units
    tests its candidates in one parallel kernel. Raises `RnnsimError` for options out of range and for tasks whose sequences
    continue in the next batch.

    >>> from rnnsim.learning import RULES
    >>> RULES.build("guess", {"weight_range": "30"}).weight_range
    30.0
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
        """See `Rule.learn`; the memory is the number of the next candidate, whether the network has a guess, time steps."""
        following, guessed, work = (0, 0, 0) if memory is None else (int(number) for number in memory["guess"])
        judge = _Plain(loss) if self.task is None else self.task
        found = net.evaluate(batch, loss) if guessed else None
        if found is None or not judge.correct(found.outputs, batch).all():
            trainable = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
            key = stream_key(self.randomness[0], "guess")
            drawn = DrawnCandidates(key, following, self.candidates, self.weight_range, trainable, net.theta.copy())
            right, more = net.test_many(drawn, batch, loss, judge)
            best = int(np.argmax(right))
            guessed = int(right[best] == batch.size)
            net.theta[...] = drawn[best]
            following += best + 1 if guessed else len(right)
            work += more
            if isinstance(apply, Apply):
                apply.made(1)
            found = net.evaluate(batch, loss)
        memory = {"guess": np.array([following, guessed, work], np.int64)}
        figures = {"trials": following, "ticks": work}
        return LearnResult(found.loss, found.outputs, memory=memory, figures=figures)


class _Plain(Task):
    """What is right when no task says it: outputs nearer than .5, or the right class."""

    def __init__(self, loss):
        self.loss = loss

    training_batch = evaluation_batches = None
