"""The usual measures of an experiment: figures of an evaluation, and training sequences until a goal is met."""

from rnnsim.experiments.interface import Measure
from rnnsim.training.goal import Goal, figure


def evaluated(name, words, unit, quantity="loss", options=None, count=1000):
    """The measure of one figure of an evaluation on the test split.

    name, words, unit : as in `Measure`
    quantity : loss, correct, or a metric of the task
    options : options of the task that differ from those of the training, such as a greater length
    count : number of test sequences

    >>> evaluated("loss_50", "loss at length 50", "bits", options={"min_length": 50, "max_length": 50}).name
    'loss_50'
    """
    return Measure(name, words, unit, lambda outcome: figure(outcome.evaluate(options, count), quantity))


def sequences_until(goal, name="sequences", words=None):
    """The measure of the training sequences after which evaluations during training first meet a goal; None if none does.

    >>> sequences_until("loss<0.1 twice").words
    'training sequences until loss<0.1 twice'
    """
    goal = Goal.parse(goal)
    words = words or f"training sequences until {goal}"
    return Measure(name, words, "sequences", lambda outcome: goal.first(outcome.result["history"]))


def sequences_until_solved(name="sequences"):
    """The measure of the training sequences until the task's criterion of success is met; None if it is not."""
    words = "training sequences until solved"
    return Measure(name, words, "sequences", lambda outcome: outcome.result["solved_at"])


def share(name, words, options=None, count=1000):
    """The measure of the share of test sequences that the task counts as right, in per cent; arguments as in `evaluated`."""

    def of(outcome):
        return 100 * figure(outcome.evaluate(options, count), "correct")

    return Measure(name, words, "%", of)
