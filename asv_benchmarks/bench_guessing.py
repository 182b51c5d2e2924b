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
        from rnnsim.networks.candidates import DrawnCandidates
        from rnnsim.tasks import TASKS

        table, hidden = ARCHITECTURES[architecture]
        self.task = TASKS.build("parity")
        options = dict(hidden=hidden, outputs_last=1, readout="units", activation="logistic", connections=table)
        net = rs.Recurrent("rnn", 1, 1, **options)
        trainable = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
        self.net, self.batch = net, self.task.training_batch(0, 0, 100)
        self.candidates = DrawnCandidates(stream_key(0, "guess"), 0, CANDIDATES, 100.0, trainable, net.theta.copy())
        self.thetas = np.stack([self.candidates[n] for n in range(CANDIDATES)])
        self.time_candidates(architecture)
        self.time_evaluate_many(architecture)

    def _best(self):
        """(seconds, time steps) of the fastest of five."""
        found = []
        for _ in range(5):
            start = time.perf_counter()
            _, time_steps = self.time_candidates(None)
            found.append((time.perf_counter() - start, time_steps))
        return min(found)

    def time_candidates(self, architecture):
        return self.net.test_many(self.candidates, self.batch, self.task.loss, self.task)

    def time_evaluate_many(self, architecture):
        return self.net.evaluate_many(self.thetas, self.batch, self.task.loss)

    def track_million_time_steps_a_second(self, architecture):
        seconds, time_steps = self._best()
        return 1e-6 * time_steps / seconds

    def track_candidates_a_second(self, architecture):
        return CANDIDATES / self._best()[0]
