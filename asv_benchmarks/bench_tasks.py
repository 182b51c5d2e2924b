"""What a batch of 64 sequences costs, for every task that needs no fetched data, and reading what comes with rnnsim."""

from rnnsim.tasks import TASKS

NEED_FILES = ("mnist-rows", "mnist-pixels", "fashion-rows", "imdb", "arrays")
NAMES = tuple(name for name in TASKS if name not in NEED_FILES)
BATCH = 64


class Batches:
    """Batches for training, one after the other; compare with the training steps of `bench_cells`."""

    params = (NAMES,)
    param_names = ("task",)

    def setup(self, name):
        self.task, self.step = TASKS.build(name), 0
        self.task.training_batch(0, 0, BATCH)

    def time_training_batch(self, name):
        self.step += 1
        self.task.training_batch(0, self.step, BATCH)

    def time_example(self, name):
        self.task.example()


class LongSequences:
    """The longest sequences of Hochreiter & Schmidhuber 1997: the cost a step must not grow with the length."""

    params = ((100, 500, 1000),)
    param_names = ("T",)

    def setup(self, length):
        from rnnsim.tasks import Adding

        self.task = Adding(length=length)
        self.task.training_batch(0, 0, BATCH)

    def time_training_batch(self, length):
        self.task.training_batch(0, 1, BATCH)


class Building:
    """From a name to a task: reading and numbering the text, unpacking the digits."""

    params = (("text", "digits"),)
    param_names = ("task",)

    def time_build(self, name):
        TASKS.build(name)
