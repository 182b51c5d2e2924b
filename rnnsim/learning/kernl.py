"""Kernel RNN learning (Roth, Kanitscheider & Fiete 2019), for the fully recurrent network."""

from typing import NamedTuple

import numpy as np

from rnnsim.cells.fully_recurrent import FullyRecurrent, rnn_time_step
from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import jit_exact, jit_inline
from rnnsim.core.registry import require
from rnnsim.core.rng import normal
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.learning.online.kernels import nothing


class KeRNLMemory(NamedTuple):
    """The learned kernels and the traces of one stream; with the stream as first axis where Python holds all of them."""

    kernels: np.ndarray  # (H + 1, H) A, then c
    traces: np.ndarray  # (1, P) B
    perturbation: np.ndarray  # (3, H) O, G, z - s
    constants: np.ndarray  # (2) rate, noise
    clock: np.ndarray | None = None


@jit_inline
def learned_kernels(s):
    """The arrays of a `Storage` by their names."""
    return KeRNLMemory(s.first, s.second, s.third, s.constants, s.clock)


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
def advance(flow, storage):
    """Carry B, O, G and z - s through one time step; A and c learn."""
    m = learned_kernels(storage)
    hidden = flow.credit.size
    traces, omega, gamma, difference = m.traces[0], m.perturbation[0], m.perturbation[1], m.perturbation[2]
    rate, noise = m.constants[0], m.constants[1]
    spread, timescale = m.kernels[:hidden], m.kernels[hidden]
    zero, one = omega.dtype.type(0), omega.dtype.type(1)
    out = np.zeros((1, hidden), omega.dtype)
    perturbed(out, flow, difference)
    decay = np.zeros(hidden, omega.dtype)
    for j in range(hidden):
        decay[j] = max(zero, one - timescale[j])
        drawn = normal(np.uint64(m.clock[0]), np.uint64(m.clock[1]), np.uint64(j))
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
def credit(flow, storage):
    """gradient += (dE/dh A) B."""
    m = learned_kernels(storage)
    hidden, traces, unit = flow.credit.size, m.traces[0], flow.structure.unit
    reached = flow.work[:hidden]
    for i in range(hidden):
        reached[i] = 0
    for k in range(hidden):
        for i in range(hidden):
            reached[i] += flow.credit[k] * m.kernels[k, i]
    d = flow.gradient[flow.structure.first : flow.structure.first + unit.size]
    for i in range(unit.size):
        d[i] += reached[unit[i]] * traces[i]


def require_fully_recurrent(rule, net):
    """Raise `RnnsimError` unless the cell is the fully recurrent network."""
    (cell,) = net.cells.values()
    name = net.config["name"]
    require(isinstance(cell, FullyRecurrent), f"rule {rule}: published for the fully recurrent network, not for {name}")


class KeRNL(OnlineRule):
    """Kernel RNN learning (C. Roth, I. Kanitscheider & I. Fiete, ICLR 2019), for the fully recurrent network.

    A change of unit i is taken to decay by its own factor and to reach unit k through one learned number, whatever
    the lag d::

        ds_k(t+d)/ds_i(t) ~ A_ki l_i^d,  l_i = max(0, 1 - c_i)      dE/dw_ij ~ (sum_k dE/ds_k A_ki) B_ij
        B' = l B + ds'/dw through this time step alone

    A and c are learned beside the task. A second network sees the same inputs and gets noise n(t) in every unit at
    every time step, z' = F(z, x) + n; what A and c predict of the difference of the two networks is fitted to it by
    gradient descent::

        O' = l O + n             G' = l G - O             e = A O' - (z' - s')
        A <- A - rate e O'       c <- c - rate (e A) G'

    A starts as the identity and c at 0.8 (O. Marschall's code). They are learned over all sequences: the begin of a
    sequence clears O, G, B and z - s only. The noise of a time step counts in the difference of the same time step.

    every   time steps between two updates; 0: one update a batch
    rate    learning rate of A and c
    noise   standard deviation of the noise

    For n units and p parameters a stream keeps n^2 + p numbers, and a time step costs about 5 n^2 + 2 p
    multiply-adds. Raises `RnnsimError` for every other cell and for options below 0.

    >>> import rnnsim as rs
    >>> task = rs.tasks.XOR()
    >>> net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=4, dtype="float64", rng=1)
    >>> rs.train(net, task, rule=KeRNL(rate=0.1), steps=3, batch=4, rng=1).steps
    3
    """

    name = "kernl"
    cells = ("rnn",)
    remembers = True

    def __init__(self, every: int = 0, rate: float = 5.0, noise: float = 0.001):
        super().__init__(every)
        require(rate >= 0, f"rate={rate:g}: expected a number of at least 0")
        require(noise >= 0, f"noise={noise:g}: expected a number of at least 0")
        self.rate, self.noise = rate, noise

    def check_network(self, net, structure, sizes):
        """Raise `RnnsimError` for other cells."""
        require_fully_recurrent("kernl", net)

    def memory(self, net, structure, sizes, streams):
        """A `KeRNLMemory`."""
        start = np.concatenate([np.eye(sizes.hidden), np.full((1, sizes.hidden), 0.8)])
        return KeRNLMemory(
            kernels=np.repeat(start[None], streams, axis=0).astype(sizes.dtype),
            traces=np.zeros((streams, 1, sizes.parameters), sizes.dtype),
            perturbation=np.zeros((streams, 3, sizes.hidden), sizes.dtype),
            constants=np.array([self.rate, self.noise], sizes.dtype),
        )

    def clear(self, memory):
        """Clear traces and perturbation; A and c stay."""
        for part in (memory.traces, memory.perturbation):
            part[...] = 0

    def kernels(self, net, structure, sizes):
        """Kernels on a `KeRNLMemory`."""
        return advance, credit, nothing
