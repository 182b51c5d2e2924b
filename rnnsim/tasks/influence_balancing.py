"""Influence balancing: a parameter that helps at once and harms in the long run (Tallec & Ollivier 2017)."""

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, require
from rnnsim.core.rng import normal
from rnnsim.tasks.streams import StreamTask

POSITIVE, NEGATIVE = 10, 13


@jit_exact
def _draw(targets, key, time_step, noise):
    for b in range(targets.shape[1]):
        for t in range(targets.shape[0]):
            targets[t, b, 0] = 1 + noise * normal(key, b, time_step + t)


def system(positive=POSITIVE, negative=NEGATIVE):
    """A (n, n) and v (n,) of the linear system of `InfluenceBalancing`, n = positive + negative.

    >>> system(1, 1)[0].tolist(), system(1, 1)[1].tolist()
    ([[0.5, 0.5], [0.0, 0.5]], [1.0, -1.0])
    """
    n = positive + negative
    return 0.5 * np.eye(n) + 0.5 * np.eye(n, k=1), np.repeat([1.0, -1.0], [positive, negative])


def at_rest(theta, positive=POSITIVE, negative=NEGATIVE):
    """The fixed point s = (1 - A)^-1 v theta of the system.

    >>> float(at_rest(-1 / 6)[0].round(12))
    1.0
    """
    a, v = system(positive, negative)
    return np.linalg.solve(np.eye(len(v)) - a, v * theta)


def connections(theta=0.5, positive=POSITIVE, negative=NEGATIVE):
    """The weights of `network`, one row a unit, with columns constant input, s, theta; 0 where there is no connection.

    >>> connections(0.5, 1, 1).tolist()
    [[0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 0.5, -1.0], [0.5, 0.0, 0.0, 0.0]]
    """
    at_least("positive", positive, 1)
    at_least("negative", negative, 0)
    a, v = system(positive, negative)
    n = len(v)
    found = np.zeros((n + 1, n + 2))
    found[:n, 1 : n + 1], found[:n, n + 1], found[n, 0] = a, v, theta
    return found


def network(theta=0.5, positive=POSITIVE, negative=NEGATIVE, dtype="float64"):
    """The system of `InfluenceBalancing` as a `rnnsim` network with one trained weight.

    Units 0 .. n-1 are s, joined by A. The activation of unit n is theta: its only connection is the trained one from the
    constant input; v leads from it into the chain, so a change of theta arrives one time step later than in the equations. All
    connections but the trained one are frozen, or absent where A and v are zero.

    >>> net = network()
    >>> net.theta[net.trainable]
    array([0.5])
    """
    from rnnsim.networks.recurrent import Recurrent

    w = connections(theta, positive, negative)
    table = np.where(w != 0, 0, -1)
    table[-1, 0] = 1
    options = dict(hidden=len(w), readout="units", activation="identity", bias="none", connections=table.tolist())
    net = Recurrent("rnn", 1, 1, dtype=dtype, **options)
    views = net.layout.views(net.theta)
    views["weight_ih_l0"][...], views["weight_hh_l0"][...] = w[:, :1], w[:, 1:]
    return net


class InfluenceBalancing(StreamTask):
    """Hold a constant with a system whose parameter acts first one way, then the other (Tallec & Ollivier 2017).

    A linear system with one trained parameter theta is to hold its first number at 1::

        s(t) = A s(t-1) + theta v             A: 1/2 on the diagonal and right above it, 23 numbers
        v = (+1, ten times; -1, thirteen times)

    theta pushes s_1 up within ten time steps, but the influence of the last thirteen numbers, which arrives later along the
    chain, outweighs that: at rest s_1 = -6 theta (`at_rest`). The gradient over a short horizon has the wrong sign, and theta,
    which starts at 1/2, runs away from the solution -1/6; rules that keep the whole influence (RTRL; UORO, without bias) reach
    it.

    The system is a network, not a part of the task: `network` makes it, a fully recurrent network with identity activation and
    one more unit whose activation is theta. The difficulty is the system, not the target.

    Inputs (steps, B, 1) float32: the constant 1. Targets (steps, B, 1) float32: the constant 1, plus normal noise of standard
    deviation `noise`.

    Loss: squared error, averaged over time steps, without the factor 1/2 of the paper: a learning rate here is half of one
    there (the paper's is 1e-5).
    Chance-level loss: noise^2, that of the constant output 1.
    Criterion: none.

    Source: Tallec & Ollivier 2017, arXiv:1702.05043.

    Parameters
    ----------
    noise : standard deviation of the noise on the target, at least 0
    steps : time steps of a batch, at least 1; the next batch continues the streams

    Raises `RnnsimError` for an option out of range.

    >>> batch = InfluenceBalancing(steps=3).training_batch(0, 0, 1)
    >>> batch.inputs[:, 0, 0].tolist(), batch.targets[:, 0, 0].tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    """

    name = "influence-balancing"
    n_inputs = 1
    n_outputs = 1
    loss = Loss("squared_error", when="every", per="step")
    input_names = ("one",)
    target_names = ("level",)
    tested_options = (dict(noise=0.1, steps=20),)

    def __init__(self, noise: float = 0.0, steps: int = 1):
        require(0 <= noise < np.inf, f"noise={noise}: expected a value of at least 0")
        self.noise, self.steps = float(noise), at_least("steps", steps, 1)
        self.trivial_loss = self.noise**2

    def stretch(self, key, time_step, size, state):
        targets = np.empty((self.steps, size, 1), np.float32)
        _draw(targets, key, time_step, self.noise)
        return Sequences(np.ones((self.steps, size, 1), np.float32), targets)
