"""Training of a GRU on the digits: the whole loop, and what it adds to the gradient and the optimiser's step alone."""

import itertools
import time

import rnnsim as rs
from rnnsim.learning import RULES
from rnnsim.learning.interface import GRADIENT, LINEARISATION, TIME

STEPS = 50


class Digits:
    """`STEPS` steps of Adam; nothing is written to disk."""

    params = ((32, 128), (1, 32))
    param_names = ("hidden", "batch")

    def setup(self, hidden, batch):
        self.task = rs.tasks.TASKS.build("digits")
        self.net = rs.Recurrent("gru", self.task.n_inputs, self.task.n_outputs, hidden=hidden)
        self.optimizer = rs.Adam(1e-3, clip_norm=1.0)
        self.batches = [self.task.training_batch(0, step, batch) for step in range(STEPS)]
        self.state = self.optimizer.init(self.net.theta)
        self.time_train(hidden, batch)
        self.time_gradient_and_update(hidden, batch)

    def time_train(self, hidden, batch):
        rs.train(self.net, self.task, optimizer=self.optimizer, steps=STEPS, batch=batch)

    def time_gradient_and_update(self, hidden, batch):
        """The same work without the loop, on batches made before."""
        for data in self.batches:
            gradient = self.net.loss_and_gradient(data, self.task.loss).gradient
            self.optimizer.step(self.net.theta, gradient, self.state, 0)

    def time_batches(self, hidden, batch):
        """The task's part of it."""
        for step in range(STEPS):
            self.task.training_batch(0, step, batch)

    def track_steps_per_second(self, hidden, batch):
        return STEPS / _least_seconds(self.time_train, hidden, batch)

    def track_share_of_the_loop(self, hidden, batch):
        """Time of the training over time of gradients and updates alone; 1 would be a loop that costs nothing."""
        return _least_seconds(self.time_train, hidden, batch) / _least_seconds(
            self.time_gradient_and_update, hidden, batch
        )

    def peakmem_train(self, hidden, batch):
        rs.train(self.net, self.task, optimizer=self.optimizer, steps=STEPS, batch=batch)

    track_steps_per_second.unit = "steps / second"
    track_share_of_the_loop.unit = "ratio"


class Rules:
    """One step of every learning rule on the longer sequences of the adding problem."""

    params = (tuple(name for name in RULES if RULES.load(name).needs <= {GRADIENT, TIME, LINEARISATION}),)
    param_names = ("rule",)

    def setup(self, rule):
        self.task = rs.tasks.TASKS.build("adding")
        self.net = rs.Recurrent("lstm", self.task.n_inputs, self.task.n_outputs, hidden=32)
        self.batch = self.task.training_batch(0, 0, 1)
        self.rule = RULES.build(rule)
        self.time_step(rule)

    def time_step(self, rule):
        self.rule.learn(self.net, self.batch, self.task.loss, _nothing)


class Files:
    """What checkpoints and metrics of a run add: a folder with 100 steps, a report every 10."""

    def setup(self):
        import tempfile

        self.task = rs.tasks.TASKS.build("digits")
        self.folder, self.runs = tempfile.TemporaryDirectory(), itertools.count()
        self.time_run_with_files()
        self.time_run_without_files()

    def teardown(self):
        self.folder.cleanup()

    def _train(self, **options):
        net = rs.Recurrent("gru", self.task.n_inputs, self.task.n_outputs, hidden=32)
        rs.train(net, self.task, steps=100, batch=32, report_every=10, **options)

    def time_run_with_files(self):
        self._train(out=f"{self.folder.name}/{next(self.runs)}")

    def time_run_without_files(self):
        self._train()


def _nothing(gradient):
    """Stands for the optimiser."""


def _least_seconds(function, *arguments, rounds=5):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)
