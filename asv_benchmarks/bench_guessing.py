"""Random weight guessing on parity of 500 to 600 bits: network time steps and candidates a second, all threads."""

import time

import numpy as np

ARCHITECTURES = {"A1(1)": ("guess-a1", 2), "A2": ("guess-a2", 11)}
CANDIDATES = 2048


class Guessing:
    """Tests of 2048 candidates, each until its first wrong sequence."""

    params = tuple(ARCHITECTURES)
    param_names = ("architecture",)
    timeout = 300

    def setup(self, architecture):
        import rnnsim as rs
        from rnnsim.core.rng import stream_key
        from rnnsim.learning import RULES
        from rnnsim.learning.guessing import _Lanes
        from rnnsim.tasks import TASKS

        table, hidden = ARCHITECTURES[architecture]
        task, rule = TASKS.build("parity"), RULES.build("guess")
        options = dict(hidden=hidden, outputs_last=1, readout="units", activation="logistic", connections=table)
        net = rs.Recurrent("rnn", 1, 1, **options)
        trainable = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
        batch = task.training_batch(0, 0, 100)
        self.test = _Lanes(net, batch, task, trainable, stream_key(0, "guess"), rule)
        self.test(0, CANDIDATES)

    def _best(self):
        """(seconds, ticks) of the fastest of five."""
        found = []
        for _ in range(5):
            start = time.perf_counter()
            _, ticks = self.test(0, CANDIDATES)
            found.append((time.perf_counter() - start, ticks))
        return min(found)

    def time_candidates(self, architecture):
        self.test(0, CANDIDATES)

    def track_million_ticks_a_second(self, architecture):
        seconds, ticks = self._best()
        return 1e-6 * ticks / seconds

    def track_candidates_a_second(self, architecture):
        return CANDIDATES / self._best()[0]
