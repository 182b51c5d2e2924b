"""The usual measures of an experiment: figures of an evaluation, perhaps on longer sequences; sequences until a goal is met."""

from rnnsim.experiments.interface import Measure
from rnnsim.training.goal import Goal, figure


def evaluated(name, words, unit, quantity="loss", options=None, count=1000):
    """A figure of an evaluation on the test split, with other `options` of the task if given.

    quantity : loss, correct, or a metric of the task
    count : sequences

    >>> evaluated("loss_50", "loss at length 50", "bits", options={"min_length": 50, "max_length": 50}).name
    'loss_50'
    """
    return Measure(name, words, unit, lambda outcome: figure(outcome.evaluate(options, count), quantity))


def sequences_until(goal, name="sequences", words=None):
    """The training sequences after which the evaluations on the way meet a goal for the first time; None if they never do.

    >>> sequences_until("loss<0.1 twice").words
    'training sequences until loss<0.1 twice'
    """
    goal = Goal.parse(goal)
    words = words or f"training sequences until {goal}"
    return Measure(name, words, "sequences", lambda outcome: goal.first(outcome.result["history"]))


def sequences_until_solved(name="sequences"):
    """The training sequences until the task's criterion is met, None if it is not."""
    words = "training sequences until solved"
    return Measure(name, words, "sequences", lambda outcome: outcome.result["solved_at"])


def share(name, words, options=None, count=1000):
    """The share of test sequences that the task counts as right, in per cent."""

    def of(outcome):
        return 100 * figure(outcome.evaluate(options, count), "correct")

    return Measure(name, words, "%", of)
