"""Kernel RNN learning (C. Roth, I. Kanitscheider & I. Fiete, ICLR 2019), for the fully recurrent network.

A change of unit i is taken to decay by its own factor and to reach unit k through one learned number, whatever the lag d::

    ds_k(t+d)/ds_i(t) ~ A_ki l_i^d,  l_i = max(0, 1 - c_i)      dE/dw_ij ~ (sum_k dE/ds_k A_ki) B_ij
    B' = l B + ds'/dw through this tick alone

A and c are learned beside the task. A second network sees the same inputs and gets noise n(t) in every unit at every tick,
z' = F(z, x) + n; what A and c predict of the difference of the two is fitted to it by gradient descent, rate `rate`::

    O' = l O + n             G' = l G - O             e = A O' - (z' - s')
    A <- A - rate e O'       c <- c - rate (e A) G'

A starts as the identity and c at 0.8 (O. Marschall's code). They are learned over all sequences: the begin of a sequence clears
O, G, B and z - s only. The noise of a tick counts in the difference of the same tick.
"""

import numpy as np

from rnnsim.cells.fully_recurrent import FullyRecurrent, rnn_time_step
from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import require
from rnnsim.core.rng import normal
from rnnsim.learning.online.engine import Memory, nothing
from rnnsim.learning.online.streams import OnlineRule


@jit_exact
def perturbed(out, flow, difference):
    """out (1, H) <- F(s + difference, x)."""
    hidden = out.shape[1]
    other = Linearised(
        out,
        np.zeros((1, 1, hidden), out.dtype),
        np.zeros((1, 1, hidden), out.dtype),
        np.zeros((1, hidden), out.dtype),
        np.zeros((1, 1, hidden), out.dtype),
        np.zeros((1, 1, hidden), out.dtype),
        np.zeros((0, hidden), out.dtype),
    )
    before = np.zeros((1, hidden), out.dtype)
    for j in range(hidden):
        before[0, j] = flow.before[0, j] + difference[j]
    rnn_time_step(other, flow.theta, flow.x, before, flow.work, flow.structure)


@jit_exact
def advance(flow, memory):
    """A and c (a: H rows and one), B (b), and O, G, z - s (c) through one tick."""
    hidden = flow.credit.size
    traces, omega, gamma, difference = memory.b[0], memory.c[0], memory.c[1], memory.c[2]
    rate, noise = memory.numbers[0], memory.numbers[1]
    spread, timescale = memory.a[:hidden], memory.a[hidden]
    zero, one = omega.dtype.type(0), omega.dtype.type(1)
    out = np.zeros((1, hidden), omega.dtype)
    perturbed(out, flow, difference)
    decay = np.zeros(hidden, omega.dtype)
    for j in range(hidden):
        decay[j] = max(zero, one - timescale[j])
        drawn = normal(np.uint64(memory.clock[0]), np.uint64(memory.clock[1]), np.uint64(j))
        kick = noise * omega.dtype.type(drawn)
        gamma[j] = decay[j] * gamma[j] - omega[j]
        omega[j] = decay[j] * omega[j] + kick
        difference[j] = out[0, j] - flow.linear.state[0, j] + kick
    pulled = np.zeros(hidden, omega.dtype)
    for k in range(hidden):
        error = -difference[k]
        for i in range(hidden):
            error += spread[k, i] * omega[i]
        for i in range(hidden):
            pulled[i] += error * spread[k, i]
            spread[k, i] -= rate * error * omega[i]
    for i in range(hidden):
        timescale[i] -= rate * pulled[i] * gamma[i]
    gain = flow.linear.gain[0, 0]
    for i in range(traces.size):
        u = flow.structure.unit[i]
        traces[i] = decay[u] * traces[i] + gain[u] * flow.sources[flow.structure.source[i]]


@jit_exact
def credit(flow, memory):
    """gradient += (dE/dh A) B."""
    hidden, traces, unit = flow.credit.size, memory.b[0], flow.structure.unit
    reached = flow.work[:hidden]
    for i in range(hidden):
        reached[i] = 0
    for k in range(hidden):
        for i in range(hidden):
            reached[i] += flow.credit[k] * memory.a[k, i]
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    for i in range(unit.size):
        d[i] += reached[unit[i]] * traces[i]


def require_fully_recurrent(rule, net):
    """Raises `RnnsimError` for every other cell than the fully recurrent network."""
    (cell,) = net.cells.values()
    name = net.config["name"]
    require(isinstance(cell, FullyRecurrent), f"rule {rule}: published for the fully recurrent network, not for {name}")


class KeRNL(OnlineRule):
    """Learned kernels in the place of the influence; equations at the top of the file.

    Options as in `OnlineRule`, and

    rate    learning rate of A and c
    noise   standard deviation of the noise

    >>> from rnnsim.learning import RULES
    >>> RULES.build("kernl").noise
    0.001
    """

    name = "kernl"
    cells = ("rnn",)
    remembers = True

    def __init__(self, every: int = 0, rate: float = 5.0, noise: float = 0.001):
        super().__init__(every)
        require(rate >= 0, f"rate={rate:g}: expected a number of at least 0")
        require(noise >= 0, f"noise={noise:g}: expected a number of at least 0")
        self.rate, self.noise = rate, noise

    def check_network(self, net, structure, shape):
        """Refuses other cells."""
        require_fully_recurrent("kernl", net)

    def memory(self, net, structure, shape, streams):
        """a: A (H rows) and c; b: B (1, P); c: O, G, z - s."""
        start = np.concatenate([np.eye(shape.hidden), np.full((1, shape.hidden), 0.8)])
        return Memory(
            np.repeat(start[None], streams, axis=0).astype(shape.dtype),
            np.zeros((streams, 1, shape.parameters), shape.dtype),
            np.zeros((streams, 3, shape.hidden), shape.dtype),
            np.zeros((streams, 1, 1, 1), shape.dtype),
            np.zeros(1, np.int64),
            np.array([self.rate, self.noise], shape.dtype),
            None,
        )

    def clear(self, memory):
        """What was learned of the network, A and c, stays."""
        for part in (memory.b, memory.c):
            part[...] = 0

    def kernels(self, net, structure, shape):
        return advance, credit, nothing
