"""Online rules: time per time step of each, RTRL's share of the machine's matrix product, influence, and calls of one item."""

import time

import numpy as np

from .peers_online import STEPS, ready_engine

HIDDEN = (16, 32, 64, 100)
INPUTS = 8


def online_rules():
    """The names of all online rules."""
    from rnnsim.learning import RULES
    from rnnsim.learning.online.contract import OnlineRule

    return tuple(name for name in RULES if issubclass(RULES.load(name), OnlineRule))


def ready(rule, hidden):
    """An engine that has run once, and what to run it on; asv skips a rule that does not fit the network."""
    from rnnsim.errors import RnnsimError

    try:
        _, engine, arrays = ready_engine(rule, (INPUTS, hidden))
    except RnnsimError as refused:
        raise NotImplementedError(str(refused)) from refused
    engine.run(*arrays, "squared_error")
    return engine, arrays


def seconds(step, limit=1.0):
    """The least time of a step among those that fit into `limit` seconds, at least five."""
    times, end = [], time.perf_counter() + limit
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


class TimeStep:
    """A sequence of 100 time steps, each with a target; microseconds per time step."""

    params = (online_rules(), HIDDEN)
    param_names = ("rule", "n")
    timeout = 300

    def setup(self, rule, hidden):
        self.engine, self.arrays = ready(rule, hidden)

    def time_sequence(self, rule, hidden):
        self.engine.run(*self.arrays, "squared_error")

    def track_microseconds_per_time_step(self, rule, hidden):
        return 1e6 * seconds(lambda: self.time_sequence(rule, hidden)) / STEPS

    def track_bytes_carried(self, rule, hidden):
        """The influence, in whatever form, and what a rule needs beside it; one sequence, whatever its length."""
        return sum(part.nbytes for part in self.engine.memory if part.ndim > 2)

    track_microseconds_per_time_step.unit = "microseconds"
    track_bytes_carried.unit = "bytes"


class Product:
    """RTRL beside the machine's own matrix product of the same sizes, in one process, by turns."""

    params = (HIDDEN,)
    param_names = ("n",)

    def setup(self, hidden):
        self.engine, self.arrays = ready("rtrl", hidden)

    def track_share_of_sgemm(self, hidden):
        """Time of NumPy's product of influence and Jacobian, on all its threads, over the time of our whole time step."""
        influence = np.random.default_rng(0).standard_normal(self.engine.memory.influence.shape[1:]).astype(np.float32)
        jacobian, out = influence[:hidden].copy(), np.empty_like(influence)
        ours, theirs = [], []
        for _ in range(5):
            ours.append(seconds(lambda: self.engine.run(*self.arrays, "squared_error"), 0.2) / STEPS)
            theirs.append(seconds(lambda: np.dot(influence, jacobian, out=out), 0.2))
        return min(theirs) / min(ours)

    track_share_of_sgemm.unit = "share"


class Hybrid:
    """The O(n^3) rule beside RTRL at n = 100."""

    def track_speed_up(self):
        rtrl, hybrid = (self._seconds(rule) for rule in ("rtrl", "hybrid"))
        return rtrl / hybrid

    def _seconds(self, rule):
        engine, arrays = ready(rule, 100)
        return seconds(lambda: engine.run(*arrays, "squared_error"))

    track_speed_up.unit = "ratio"


class Item:
    """`learner.step(x, target)`: one item, with prediction and update, of a network of 32 units."""

    params = (online_rules(), ("SGD", "Adam"))
    param_names = ("rule", "optimizer")

    def setup(self, rule, optimizer):
        import rnnsim as rs
        from rnnsim.errors import RnnsimError

        net = rs.Recurrent("rnn", INPUTS, 4, hidden=32, rng=1)
        try:
            self.learner = rs.online(net, rule, getattr(rs, optimizer)(1e-5))
        except RnnsimError as refused:
            raise NotImplementedError(str(refused)) from refused
        self.x, self.target = np.ones(INPUTS, np.float32), np.ones(4, np.float32)
        for _ in range(10):
            self.learner.step(self.x, self.target)

    def time_step(self, rule, optimizer):
        self.learner.step(self.x, self.target)

    def time_predict(self, rule, optimizer):
        self.learner.step(self.x)
