"""Memory blocks of the papers, online by the truncated rule: time per time step with learning, and what does not grow."""

import numpy as np

from rnnsim.core.batch import Sequences

from .bench_online import seconds

# Networks of the papers: (inputs, outputs, options, time steps of a sequence, whether every time step has a target).
GERS = dict(blocks=4, size=2, sees="cells", bias="gates", shortcut=True)
NETWORKS = {
    "93 (adding)": (2, 1, {}, 105, False),
    "308 (temporal order)": (8, 8, dict(blocks=3), 105, False),
    "264 (grammar)": (7, 7, dict(blocks=4, size=1, bias="gates", output_bias=False), 11, True),
    "424 (continual grammar)": (7, 7, GERS | dict(forget=True), 1000, True),
    "17 (timing)": (1, 1, dict(blocks=1, size=1, sees="cells", forget=True, peepholes=True), 1000, True),
}
DISTRACTORS = (50, 100, 200, 500, 1000)


def ready(net, inputs, outputs, every, **rates):
    """A learner that has learned its lesson once, the lesson, the loss."""
    from rnnsim.core.losses import Loss
    from rnnsim.networks.lstm1997.learner import BlockLearner

    steps, sequences = inputs.shape[:2]
    shape = (steps, sequences, outputs) if every else (sequences, outputs)
    batch = Sequences(inputs, np.random.default_rng(1).uniform(0.2, 0.8, shape))
    learner, loss = BlockLearner(net, **rates), Loss("squared_error", "every" if every else "last", "sequence")
    learner.learn(batch, loss)
    return learner, batch, loss


class Networks:
    """The networks of the papers; float64, one core."""

    params = (tuple(NETWORKS), (0.0, 0.9))
    param_names = ("weights", "momentum")

    def setup(self, name, momentum):
        from rnnsim.networks import build

        inputs, outputs, options, steps, every = NETWORKS[name]
        net = build("lstm1997", inputs, outputs, options, "float64")
        x = np.random.default_rng(0).uniform(-1, 1, (steps, max(1, 5000 // steps), inputs)).astype(np.float32)
        if inputs > 2:  # symbols
            x = (x == x.max(axis=-1, keepdims=True)).astype(np.float32)
        self.time_steps = x.shape[0] * x.shape[1]
        self.learner, self.batch, self.loss = ready(net, x, outputs, every, rate=0.01, momentum=momentum)

    def time_lesson(self, name, momentum):
        self.learner.learn(self.batch, self.loss)

    def track_microseconds_per_time_step(self, name, momentum):
        return 1e6 * seconds(lambda: self.time_lesson(name, momentum)) / self.time_steps


class ManySymbols:
    """Experiment 2c: one-hot inputs, two one-cell blocks, sequences of 1000 time steps; the number of symbols
    should not change the time."""

    params = (DISTRACTORS, (True, False))
    param_names = ("symbols", "tokens")

    def setup(self, symbols, tokens):
        from rnnsim.networks import build

        count = symbols + 4
        options = dict(size=1, bias="none", output_bias=False)
        net = build("lstm1997", count, 2, options, "float64", tokens=tokens)
        x = np.random.default_rng(0).integers(0, count, (1000, 5)).astype(np.int32)
        x = x if tokens else np.eye(count, dtype=np.float32)[x]
        self.learner, self.batch, self.loss = ready(net, x, 2, False, rate=0.01)

    def track_microseconds_per_time_step(self, symbols, tokens):
        return 1e6 * seconds(lambda: self.learner.learn(self.batch, self.loss)) / 5000


class FullGradient:
    """Back-propagation through a batch, 100 time steps, and the truncated gradient of the same batch."""

    params = ((1, 16),)
    param_names = ("batch",)

    def setup(self, batch):
        from rnnsim.core.losses import Loss
        from rnnsim.learning.truncated import Truncated
        from rnnsim.networks import build

        rng = np.random.default_rng(0)
        self.net = build("lstm1997", 8, 4, {}, "float32")
        self.batch = Sequences(rng.normal(size=(100, batch, 8)).astype(np.float32), rng.uniform(size=(100, batch, 4)))
        self.loss = Loss("squared_error")
        self.rule = Truncated()
        self.time_bptt(batch)
        self.time_truncated(batch)

    def time_bptt(self, batch):
        self.net.loss_and_gradient(self.batch, self.loss)

    def time_truncated(self, batch):
        self.net.gradient_by(self.rule, self.batch, self.loss)
