"""Learning rules side by side: how far the gradient of each is from the exact one, on one stream and at the same weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnsim.core import plugins
from rnnsim.core.batch import Sequences
from rnnsim.core.registry import at_least, is_true, require
from rnnsim.core.rng import Seed, seed_of
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.interface import Rule
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.networks.interface import SequenceNetwork
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.optimizers.adam import Adam
from rnnsim.optimizers.interface import Optimizer
from rnnsim.tasks.interface import Task

EXACT = "rtrl"
LOOKING_BACK = ("bptt", "tbptt")


class Comparison(dict[str, Any]):
    """What `compare` returns; its entries are attributes too.

    train_with, every, steps      the rule that trained, time steps between updates (0: a batch), batches
    loss                          (N,) of every update at which something counted
    rules                         ``{label: {"cosine": (N,), "ratio": (N,), "of_sums": float}}``; NaN where a gradient is zero
    skipped                       ``{label: reason}`` of rules that cannot serve the network
    """

    train_with: str
    every: int
    steps: int
    loss: np.ndarray
    rules: dict[str, dict[str, Any]]
    skipped: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def table(self) -> list[dict[str, Any]]:
        """One dict a rule: mean and deviation of the cosine, geometric mean of the ratio, over all updates."""
        rows = []
        for label, found in self.rules.items():
            cosine = found["cosine"][np.isfinite(found["cosine"])]
            ratio = found["ratio"][found["ratio"] > 0]
            rows.append(
                {
                    "rule": label,
                    "cosine": float(cosine.mean()) if cosine.size else float("nan"),
                    "deviation": float(cosine.std()) if cosine.size else float("nan"),
                    "ratio": float(np.exp(np.log(ratio).mean())) if ratio.size else 0.0,
                    "of_sums": found["of_sums"],
                }
            )
        return rows

    def __repr__(self):
        rows = [f"{r['rule']:>16}: cosine {r['cosine']:.4f}, ratio {r['ratio']:.4g}" for r in self.table()]
        return "\n".join([f"{self.loss.size} updates by {self.train_with}, last loss {self.loss[-1]:.6g}", *rows])


def compare(
    net: SequenceNetwork,
    task: Task,
    rules: Sequence[str] | dict[str, Rule] | None = None,
    train_with: str = EXACT,
    optimizer: str | Optimizer | None = None,
    steps: int = 100,
    batch: int = 1,
    rng: "Seed" = 0,
    every: int | None = None,
    skip: bool = False,
    callback: Callable[[int], Any] | None = None,
) -> Comparison:
    """Run learning rules side by side on a task; one of them trains the network, in place.

    The others run passively: they see the same inputs, states and weights, and their gradients g are not used. With G
    the gradient of RTRL, for every update::

        cosine = g.G / (|g| |G|),    ratio = |g| / |G|

    over the parameters of the cell alone; the readout's gradient is exact in every rule. The mean cosine of a noisy
    rule is small even if its gradient is right on average; the cosine of the sums of g and of G tells noise, which
    averages out, from bias. RTRL is exact as long as weights do not change within a sequence, and off by terms of the
    learning rate when they do.

    Parameters
    ----------
    net, task : a network of one layer, and its task
    rules : labels with options, such as ``["uoro", "tbptt:horizon=5"]``, or ``{label: rule}``; None: every rule that goes
        forward in time and serves the network
    train_with : label of the rule that trains
    optimizer : as in `rnnsim.train`
    steps, batch, rng : number of batches; sequences of a batch, whose gradients are summed; seed of the data
    every : time steps between updates; 0: one update a batch. Default: 1 where streams continue from batch to batch, else 0
    skip : whether to leave out rules that cannot serve the network, instead of raising an error
    callback : function of the number of batches done, called after every batch; the comparison ends if it returns True

    Returns a `Comparison`. Raises `RnnsimError` for unknown rules, and for networks and tasks that a rule cannot
    serve.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> found = compare(net, task, ["bptt", "tbptt:horizon=1"], steps=3)
    >>> [f"{row['rule']} {row['cosine']:.3f}" for row in found.table()][:2]
    ['rtrl 1.000', 'bptt 1.000']
    """
    seed = seed_of(rng)
    steps, batch = at_least("steps", steps, 1), at_least("batch", batch, 1)
    every = (1 if task.streams else 0) if every is None else at_least("every", every, 0)
    require(
        not (every and task.loss.when == "last"),
        f"every={every}: the loss of this task stands at the end of a sequence",
    )
    skip = skip or rules is None
    built, skipped = _built(net, task, rules, train_with, every, skip)
    optimizer = OPTIMIZERS.build(optimizer) if isinstance(optimizer, str) else optimizer
    optimizer = Adam(1e-3, clip_norm=1.0) if optimizer is None else optimizer
    optimizer_state, updates = optimizer.init(net.theta), 0
    cell = slice(0, net.n_recurrent_parameters)
    sums = {label: np.zeros(net.n_recurrent_parameters) for label in built}
    cosines: dict[str, list[float]] = {label: [] for label in built}
    ratios: dict[str, list[float]] = {label: [] for label in built}
    losses = []
    states = dict.fromkeys(built)
    # The loss is summed over time steps, so that the windows of a rule add up; `_share` makes the mean again.
    summed = replace(task.loss, per="sequence")
    for step in range(steps):
        whole = task.training_batch(seed, step, batch)
        if not task.streams:
            states = dict.fromkeys(built)
        for part in _windows(whole, every):
            gradients = {}
            for label, rule in built.items():
                gradients[label], states[label], value = _gradient(rule, net, part, summed, states[label])
                if label == train_with:
                    loss = value
            exact = gradients[EXACT][cell].astype(np.float64)
            if not any(gradient.any() for gradient in gradients.values()):
                continue
            share = _share(part, task.loss)
            losses.append(loss * share)
            for label, gradient in gradients.items():
                g = gradient[cell].astype(np.float64)
                cosine, ratio = alignment(g, exact)
                require(np.isfinite(g).all(), f"step {step + 1}: the gradient of rule {label} is not finite")
                cosines[label].append(cosine)
                ratios[label].append(ratio)
                sums[label] += g
            gradient = gradients[train_with] * net.dtype.type(share)
            optimizer.step(net.theta, gradient, optimizer_state, updates, net.trainable)
            updates += 1
        if callback is not None and is_true(callback(step + 1)):
            break
    require(losses, "nothing to compare: no time step of these batches has a target")
    found = {
        label: {
            "cosine": np.array(cosines[label]),
            "ratio": np.array(ratios[label]),
            "of_sums": alignment(sums[label], sums[EXACT])[0],
        }
        for label in built
    }
    given = dict(train_with=train_with, every=every, steps=step + 1, loss=np.array(losses))
    return Comparison(**given, rules=found, skipped=skipped)


def alignment(g, exact):
    """(cosine, norm ratio) of a gradient with the exact one; NaN where a norm is zero.

    >>> [round(float(value), 3) for value in alignment(np.array([2.0, 0.0]), np.array([1.0, 1.0]))]
    [0.707, 1.414]
    """
    norm, wanted = np.linalg.norm(g), np.linalg.norm(exact)
    cosine = float(g @ exact / (norm * wanted)) if norm > 0 and wanted > 0 else float("nan")
    return cosine, float(norm / wanted) if wanted > 0 else float("nan")


def _gradient(rule, net, batch, loss, state):
    """(gradient summed over the rule's updates at unchanged weights, state for the next batch, loss)."""
    total = np.zeros_like(net.theta)
    learned = rule.learn(net, batch, loss, total.__iadd__, state)
    return total, learned.state, learned.loss


def _share(batch, loss):
    """The factor between the loss summed over time steps, as a mean over sequences, and `loss`."""
    return 1.0 if loss.per == "sequence" else batch.size / (batch.amount(loss) or 1.0)


def _windows(batch, every):
    """The batch in pieces of `every` time steps, or whole."""
    steps = batch.time_steps
    if not every or every >= steps:
        yield batch
        return
    for start in range(0, steps, every):
        end = min(start + every, steps)
        weights = np.ascontiguousarray(batch.counted()[start:end])
        yield Sequences(batch.inputs[start:end], batch.targets[start:end], weights)


def parse(label):
    """The rule of a label: a name, and options after colons.

    >>> parse("tbptt:horizon=5:every=1").windows(2).__next__()
    (0, 0, 1)
    """
    first, *rest = label.split(":")
    name, options = (first, rest) if first in RULES else plugins.split_options(label)
    pairs = [option.partition("=") for option in options]
    require(all(equals for _, equals, _ in pairs), f"rule '{label}': expected NAME:OPTION=VALUE")
    return RULES.build(name, {key: value for key, _, value in pairs})


def _built(net, task, rules, train_with, every, skip):
    """({label: rule}, {label: why it is left out}); the exact rule is always among them, and first."""
    if rules is None:
        rules = [name for name in RULES if name not in LOOKING_BACK]
    labels = dict.fromkeys([EXACT, *rules, train_with])
    given = rules if isinstance(rules, dict) else {}
    made = {label: given.get(label) or parse(label) for label in labels}
    if EXACT not in given and any(rule.force for rule in made.values()):
        made[EXACT] = RULES.build(EXACT, {"force": True})
    built, skipped = {}, {}
    for label, rule in made.items():
        try:
            if every:
                require(isinstance(rule, OnlineRule), f"rule {label}: looks back over a batch; compare it with every=0")
            rule.check(net, task)
        except RnnsimError as error:
            if not skip or label in (EXACT, train_with):
                raise
            skipped[label] = str(error)
            continue
        built[label] = rule
    forced = {rule.force for rule in built.values()}
    require(len(forced) == 1, "force: compare rules that all force or all do not, so that they see the same states")
    return built, skipped
