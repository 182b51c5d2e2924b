"""The contracts have room for what is no sequence and has no gradient: a tree, a population, two clocks.

Each of these toys keeps the contracts and nothing else; training, evaluation, checkpoints and resumption know nothing of them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import rnnsim as rs
from rnnsim.core.batch import Batch, Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning.interface import GRADIENT, Apply, LearnResult, Rule, require_fit
from rnnsim.networks.interface import Evaluation, Gradient, Network
from rnnsim.tasks.interface import Criterion, GeneratedTask

# -- trees: another kind of batch ----------------------------------------------------------------------------------------------


@dataclass
class Trees(Batch):
    """Full binary trees of depth 2, leaves (B, 4, n); one target a tree."""

    kind: ClassVar[str] = "trees"
    leaves: np.ndarray
    targets: np.ndarray
    weights: Any = None

    @property
    def size(self):
        return len(self.leaves)

    def take(self, which):
        return Trees(self.leaves[which], self.targets[which])


class Signs(GeneratedTask):
    """The mean of the leaves of a tree."""

    name = "test-signs"
    makes = Trees
    n_inputs, n_outputs = 1, 1
    loss = Loss("squared_error", when="last", per="sequence")
    tolerance = 0.3
    criterion = Criterion(window=20, wrong=0)

    def generate(self, key, first, size):
        rng = np.random.default_rng([int(key), first, size])
        leaves = rng.uniform(-1, 1, (size, 4, 1))
        return Trees(leaves, leaves.mean(axis=1))


class TreeNetwork(Network):
    """Folds a tree: h = tanh(W [left; right]), y = W_out h; its gradient goes back through structure."""

    takes = Trees
    capabilities = frozenset({GRADIENT})

    def __init__(self, n_inputs=1, n_outputs=1, hidden=4, rng=0):
        self.n_inputs, self.n_outputs, self.hidden, self.dtype = n_inputs, n_outputs, hidden, np.dtype(np.float64)
        self.config = {"name": "test-tree", "n_inputs": n_inputs, "n_outputs": n_outputs, "options": {"hidden": hidden}}
        shapes = [
            ("weight_leaf", (hidden, n_inputs)),
            ("weight_fold", (hidden, 2 * hidden)),
            ("weight_out", (n_outputs, hidden)),
        ]
        self._lay_out(shapes)
        self.theta[...] = np.random.default_rng(rng).normal(0, 0.4, self.n_parameters)

    def _fold(self, leaves):
        w = self.layout.views(self.theta)
        first = leaves @ w["weight_leaf"].T  # (B, 4, H)
        pairs = first.reshape(len(first), 2, -1)
        second = np.tanh(pairs @ w["weight_fold"].T)  # (B, 2, H)
        root = np.tanh(second.reshape(len(first), -1) @ w["weight_fold"].T)
        return pairs, second, root, root @ w["weight_out"].T

    def evaluate(self, batch, loss, state=None):
        outputs = self._fold(batch.leaves)[-1]
        return Evaluation(loss.evaluate(outputs, batch.targets), outputs, None)

    def loss_and_gradient(self, batch, loss, state=None, theta=None):
        if theta is not None:
            self.theta = theta
        pairs, second, root, outputs = self._fold(batch.leaves)
        d = np.empty_like(outputs)
        value = loss.evaluate(outputs, batch.targets, gradient=d)
        w, g = self.layout.views(self.theta), self.layout.views(self.gradient)
        g["weight_out"][...] = d.T @ root
        d_root = d @ w["weight_out"] * (1 - root**2)
        g["weight_fold"][...] = d_root.T @ second.reshape(len(root), -1)
        d_second = (d_root @ w["weight_fold"]).reshape(second.shape) * (1 - second**2)
        g["weight_fold"] += np.einsum("bki,bkj->ij", d_second, pairs)
        d_first = (d_second @ w["weight_fold"]).reshape(len(root), 4, -1)
        g["weight_leaf"][...] = np.einsum("bki,bkj->ij", d_first, batch.leaves)
        return Gradient(value, self.gradient, outputs, None)


class Climb(Rule):
    """A population of thetas around the best one; it needs no gradient, and keeps the population."""

    name = "test-climb"
    sets_weights = True

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        seed, number = self.randomness
        rng = np.random.default_rng([seed, number])
        population = np.repeat(net.theta[None], 8, axis=0) if memory is None else memory["population"]
        population = np.concatenate([population, population + rng.normal(0, 0.1, population.shape)])
        losses = net.evaluate_many(population, batch, loss)
        kept = population[np.argsort(losses)[:8]]
        net.theta[...] = kept[0]
        if isinstance(apply, Apply):
            apply.made(1)
        found = net.evaluate(batch, loss)
        return LearnResult(
            found.loss, found.outputs, memory={"population": kept}, figures={"candidates": 16 * (number + 1)}
        )


class TwoClocks(Network):
    """A level that sees every time step, and one above that sees only those that the first did not predict.

    It has no gradient; it carries out a rule of its own, by the procedure "test-clocks".
    """

    procedures = frozenset({"test-clocks"})

    def __init__(self, n_inputs=1, n_outputs=1, rng=0):
        self.n_inputs, self.n_outputs, self.dtype = n_inputs, n_outputs, np.dtype(np.float64)
        self.config = {"name": "test-clocks", "n_inputs": n_inputs, "n_outputs": n_outputs, "options": {}}
        self._lay_out([("low", (2,)), ("high", (2,))])
        self.surprises = 0

    def _run(self, batch, rate=0.0):
        outputs = np.zeros(batch.targets.shape)
        low, high = self.theta[:2], self.theta[2:]
        for b in range(batch.size):
            last, above = 0.0, 0.0
            for t in range(batch.time_steps):
                y = low[0] * last + low[1]
                off = float(batch.targets[t, b, 0]) - y
                if abs(off) > 0.5:  # the second clock ticks
                    self.surprises += 1
                    y = high[0] * above + high[1]
                    off = float(batch.targets[t, b, 0]) - y
                    high += rate * off * np.array([above, 1.0])
                    above = float(batch.inputs[t, b, 0])
                else:
                    low += rate * off * np.array([last, 1.0])
                outputs[t, b, 0], last = y, float(batch.inputs[t, b, 0])
        return outputs

    def evaluate(self, batch, loss, state=None):
        outputs = self._run(batch)
        return Evaluation(loss.evaluate(outputs, batch.targets), outputs, None)

    def gradient_by(self, rule, batch, loss, state=None):
        before, outputs = self.theta.copy(), self._run(batch, 0.01)
        self.gradient[...], self.theta[...] = before - self.theta, before
        return Gradient(loss.evaluate(outputs, batch.targets), self.gradient, outputs, None)


class Clocks(Rule):
    """The rule that `TwoClocks` carries out; no other network does."""

    name = "test-clocks"
    needs = frozenset({"a second clock"})

    def learn(self, net, batch, loss, apply, state=None, memory=None):
        found = net.gradient_by(self, batch, loss)
        apply(found.gradient)
        return LearnResult(found.loss, found.outputs)


# -- the same training for all of them ---------------------------------------------------------------------------------------


class Echo(GeneratedTask):
    """The input of the time step before."""

    name = "test-echo"
    n_inputs, n_outputs = 1, 1
    loss = Loss("squared_error", when="every", per="step")

    def generate(self, key, first, size):
        x = np.random.default_rng([int(key), first, size]).normal(size=(6, size, 1))
        return Sequences(x.astype(np.float32), np.concatenate([np.zeros((1, size, 1)), x[:-1]]).astype(np.float32))


CASES = {
    "tree by gradient": (TreeNetwork, Signs, lambda: rs.learning.RULES.build("bptt"), rs.Adam(0.02), 200),
    "tree by population": (TreeNetwork, Signs, Climb, rs.SGD(0.1), 60),
    "gru by population": (lambda: rs.Recurrent("gru", 1, 1, hidden=3, dtype="float64"), Echo, Climb, rs.SGD(0.1), 20),
    "two clocks": (TwoClocks, Echo, Clocks, rs.SGD(1.0), 20),
    "tree by guessing": (
        TreeNetwork,
        Signs,
        lambda: rs.learning.RULES.build("guess", {"candidates": 50}),
        rs.SGD(0.1),
        3,
    ),
}
every_case = pytest.mark.parametrize("case", CASES)


def trained(case, steps=None, **settings):
    net, task, rule, optimizer, count = CASES[case]
    net, task = net(), task()
    return rs.train(net, task, rule(), optimizer, steps=steps or count, batch=10, rng=1, report_every=5, **settings)


def test_the_gradient_of_the_tree_is_finite_differences():
    net, batch = TreeNetwork(), Signs().training_batch(0, 0, 3)
    gradient = net.loss_and_gradient(batch, Signs.loss).gradient.copy()
    for i in range(net.n_parameters):
        values = []
        for step in (1e-5, -1e-5):
            theta = net.theta.copy()
            theta[i] += step
            values.append(net.loss_and_gradient(batch, Signs.loss, theta=theta).loss)
            theta[i] -= step
            net.theta[...] = theta
        assert gradient[i] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-8)


@every_case
def test_it_trains_and_is_evaluated(case):
    result = trained(case)
    assert result.history[-1]["loss"] <= result.history[0]["loss"]
    found = rs.evaluate(result.net, CASES[case][1](), count=50)
    assert found["sequences"] == 50 and np.isfinite(found["loss"])


@every_case
def test_it_goes_on_bit_for_bit(case, tmp_path):
    steps = min(CASES[case][4], 12)
    whole = trained(case, steps, out=tmp_path / "a")
    trained(case, steps // 2, out=tmp_path / "b")
    parts = trained(case, steps, out=tmp_path / "b", resume=True)
    np.testing.assert_array_equal(parts.net.theta, whole.net.theta)
    assert parts.figures == whole.figures and parts.sequences == whole.sequences


def test_solving_stops_a_training_of_trees():
    result = trained("tree by gradient", 2000, until="solved")
    assert result.solved and result.sequences < 20_000 and result.correct == 1


@pytest.mark.parametrize(
    "net, task, rule, message",
    [
        (lambda: rs.Recurrent("gru", 1, 1), Signs, "bptt", "network 'gru' takes sequences, the task makes trees"),
        (TreeNetwork, Echo, "bptt", "network 'test-tree' takes trees, the task makes sequences"),
        (TreeNetwork, Signs, "tbptt", "rule tbptt: it needs states over time, which network 'test-tree' does not have"),
        (
            TreeNetwork,
            Signs,
            "rtrl",
            "rule rtrl: it needs a linearisation of its time steps, which network 'test-tree' does not have",
        ),
        (TwoClocks, Echo, "bptt", "rule bptt: it needs gradient, which network 'test-clocks' does not have"),
        (
            TreeNetwork,
            Signs,
            Clocks(),
            "rule test-clocks: it needs a second clock, which network 'test-tree' does not have",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(net, task, rule, message):
    with pytest.raises(RnnsimError, match=message) as error:
        rs.train(net(), task(), rule, steps=1)
    assert "\n" not in str(error.value)


def test_what_a_network_does_not_do_is_one_line():
    net, batch = TwoClocks(), Echo().training_batch(0, 0, 2)
    for refused in (
        lambda: net.loss_and_gradient(batch, Echo.loss),
        lambda: net.learner_by(Clocks(), rs.SGD(0.1)),
        lambda: TreeNetwork().gradient_by(Clocks(), batch, Echo.loss),
    ):
        with pytest.raises(RnnsimError, match="network 'test-"):
            refused()
    require_fit(net, None)


def test_parts_of_batches():
    batch = Sequences(np.zeros((4, 3, 1)), np.zeros((4, 3, 2)), np.ones((4, 3)), np.array([1, 4, 2]))
    some = batch.take(np.array([0, 2]))
    assert some.size == 2 and some.time_steps == 2 and list(some.lengths) == [1, 2] and some.work == 3
    assert (
        batch.amount(Loss("squared_error", per="step")) == 7
        and batch.amount(Loss("squared_error", per="sequence")) == 3
    )
    part = batch.window(1, 3)
    assert part.time_steps == 2 and list(part.lengths) == [0, 2, 1]
    last = Sequences(np.zeros((4, 3, 1)), np.zeros(3, np.int32))
    assert last.target_a_sequence and last.take(slice(1, 3)).targets.shape == (2,)
    assert Signs().training_batch(0, 0, 5).take(slice(2)).amount(Signs.loss) == 2


class Unjudged(Signs):
    """A task without an idea of right and wrong."""

    criterion = None

    def correct(self, outputs, batch):
        return None

    def error(self, outputs, batch):
        return None


def test_a_task_may_have_no_idea_of_right_and_wrong():
    net = TreeNetwork()
    result = rs.train(net, Unjudged(), steps=3, batch=4)
    assert (result.correct, result.error) == (None, None)
    found = rs.evaluate(net, Unjudged(), count=8)
    assert (found["correct"], found["metrics"]) == (None, {}) and found["loss"] > 0
