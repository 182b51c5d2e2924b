"""An online rule on many streams of a network: the arrays that it works on, allocated once, and the calls of the kernels."""

import numpy as np

from rnnsim.cells.interface import Linearised
from rnnsim.core.jit import pointer
from rnnsim.core.losses import KINDS
from rnnsim.core.registry import require
from rnnsim.core.rng import stream_key
from rnnsim.core.threads import get_threads, parallel_region
from rnnsim.learning.online.kernels import (
    Streams,
    flow_of,
    nothing,
    storage_of,
    stored,
    unroll_streams,
    unroll_streams_parallel,
)
from rnnsim.learning.online.structure import structure_of


class Engine:
    """A network and an online rule on S streams side by side.

    net, rule : a network of one layer and an `rnnsim.learning.online.contract.OnlineRule`
    streams   : S
    own       : whether every stream has parameters of its own, a copy of the network's; else all share those of the network
    seed      : of the random numbers that the rule draws

    theta     (1 or S, P) the parameters
    gradient  (S, P); `run` adds to it until it is cleared
    state     (S, k, H) of the network
    memory    what the rule carries, in its own NamedTuple

    Raises `RnnsimError` if the engine or the rule cannot serve the network.
    """

    def __init__(self, net, rule, streams=1, own=False, seed=0):
        self.net, self.rule = net, rule
        structure, sizes = structure_of(net)
        self.sizes, self.structure = sizes, structure
        rule.check_network(net, structure, sizes)
        (cell,) = net.cells.values()
        k, n, groups, dtype = sizes.states, sizes.hidden, sizes.groups, sizes.dtype

        def zeros(*shape):
            return np.zeros((streams, *shape), dtype)

        empty = Linearised.empty(k, groups, n, len(cell.peephole_groups), dtype)
        self.theta = np.repeat(net.theta[None], streams, axis=0) if own else net.theta[None]
        self.gradient = zeros(net.n_parameters)
        memory = rule.memory(net, structure, sizes, streams)
        self.linear = Linearised(*(zeros(*part.shape) for part in empty))
        self.storage = stored(memory, streams, dtype)
        self.memory = memory._replace(clock=self.storage.clock) if "clock" in memory._fields else memory
        self._seed = None
        self.begin_noise(seed, 0)
        self.streams = Streams(
            self.theta,
            self.gradient,
            zeros(cell.n_inputs),
            zeros(k, n),
            zeros(sizes.sources),
            zeros(n),
            zeros(net.n_outputs),
            zeros(8 * n + 2 * k * n + 2 * groups * n + net.n_outputs),
            zeros(k, n),
        )
        self.state = self.streams.state
        flow, storage = flow_of(self.streams, self.linear, structure, 0), storage_of(self.storage, 0)
        time_step = pointer(cell.time_step, flow.linear, flow.theta, flow.x, flow.before, flow.work, structure)
        duties = [pointer(kernel, flow, storage) for kernel in (*rule.kernels(net, structure, sizes), nothing)[:4]]
        self.calls = (time_step, *duties)

    def reset(self):
        """Set state, influence and gradient to what they are before the first time step."""
        self.state[...] = 0
        self.gradient[...] = 0
        self.rule.clear(self.memory)

    def begin_noise(self, seed, number):
        """Let the rule draw the random numbers of batch `number` of a seed."""
        clock = self.storage.clock
        if seed != self._seed:
            self._seed = seed
            for s in range(len(clock)):
                clock[s, 0] = np.uint64(stream_key(seed, f"rule {s}")).astype(np.int64)
        clock[:, 1] = number << 32

    def run(self, xs, targets, weights, kind, scale=1.0, rate=0.0, forced=False):
        """Run all streams through xs (S, T, I), targets (S, T, K), weights (S, T); returns losses (S,) and outputs (S, T, K).

        Losses are multiplied by weights and scale. With a rate above 0, theta changes at every time step by plain
        gradient descent. `forced` is teacher forcing.
        """
        outputs = np.zeros((*xs.shape[:2], self.net.n_outputs), self.sizes.dtype)
        losses = np.zeros(len(xs))
        dtype = self.sizes.dtype
        arguments = (losses, self.streams, self.linear, self.structure, self.storage, xs, targets, weights, outputs)
        arguments += (self.calls, KINDS.index(kind), dtype.type(scale), dtype.type(rate), forced)
        shared = rate > 0 and len(self.theta) < len(xs)
        require(not shared, "rate: streams that share their parameters cannot each change them at every time step")
        chunks = min(get_threads(), len(xs))
        with parallel_region:  # also around the serial kernel: a wide rule uses all threads by itself
            if chunks == 1:
                unroll_streams(*arguments, 0, len(xs))
            else:
                unroll_streams_parallel(*arguments, chunks)
        return losses, outputs

    def take_gradient(self):
        """The sum of the gradients of all streams, which are cleared."""
        total = self.gradient.sum(axis=0)
        self.gradient[...] = 0
        if self.net.trainable is not None:
            total *= self.net.trainable
        return total

    def carried(self):
        """What the next batch continues from: the state as networks give it, (k, S, H), and the rule's memory, not copied."""
        storage = self.storage
        return [self.state.swapaxes(0, 1), storage.first, storage.second, storage.third, storage.clock]

    def remembered(self):
        """What the rule keeps for a new sequence, by name, not copied."""
        matrices = {name: array for name, array in self.memory._asdict().items() if array.ndim == 3}
        return {**matrices, "clock": self.storage.clock}

    def remember(self, arrays):
        """Begin new sequences with what `remembered` returned."""
        for name, mine in self.remembered().items():
            if arrays[name] is not mine:
                mine[...] = arrays[name]
        self._seed = None
        self.state[...] = 0
        self.rule.clear(self.memory)

    def resume(self, carried):
        """Continue from what `carried` returned, or from a state alone, with the influence cleared."""
        state, *parts = carried
        require(
            np.shape(state) == (self.sizes.states, len(self.state), self.sizes.hidden),
            f"state: expected shape {(self.sizes.states, len(self.state), self.sizes.hidden)}, got {np.shape(state)}",
        )
        state = np.array(state.swapaxes(0, 1))
        if not parts:
            self.reset()
        self._seed = None
        for mine, given in zip(self.carried()[1:], parts):
            if given is not mine:
                mine[...] = given
        self.state[...] = state
