"""The usual claims of an experiment, over the seeds of an arm.

A bound is written as a goal (`rnnsim.training.goal`), ``"loss<0.1"``, with the name of a measure. A seed has no value if it
diverged or did not reach what the measure counts to; it then misses every bound, and counts as the worst value in a median.
"""

import math

import numpy as np

from rnnsim.core.registry import require
from rnnsim.experiments.interface import Claim, Verdict
from rnnsim.training.goal import Goal


def seeds_meet(arm, bound, at_least=None, more_than=None):
    """The claim that a share of the seeds, `at_least` or `more_than` so much, meets the bound.

    >>> seeds_meet("ntm", "loss<0.1", at_least=0.9).words
    'at least 90 % of seeds under 0.1'
    >>> seeds_meet("ntm", "loss<0.1", more_than=0.5).words
    'more than half of seeds under 0.1'
    """
    goal = Goal.parse(bound)
    part, enough = _share(at_least, more_than)

    def judge(results):
        return _counted([goal.holds(value) for value in results.values(arm, goal.quantity)], enough)

    return Claim(arm, goal.quantity, f"{part} seeds {goal.words}", judge)


def seeds_reach(arm, measure, at_least=None, more_than=None):
    """The claim that a share of the seeds has a value: they reach what the measure counts to.

    >>> seeds_reach("ntm", "sequences", at_least=0.9).words
    'at least 90 % of seeds reach it'
    """
    part, enough = _share(at_least, more_than)

    def judge(results):
        return _counted([value is not None for value in results.values(arm, measure)], enough)

    return Claim(arm, measure, f"{part} seeds reach it", judge)


def _share(at_least, more_than):
    """The share in words, and a function (count, seeds) that tells whether count is such a share of the seeds."""
    require((at_least is None) != (more_than is None), "a claim needs either at_least or more_than")
    share = at_least if more_than is None else more_than
    part = "half of" if share == 0.5 else f"{100 * share:g} % of"
    part = "all" if share == 1 else f"{'at least' if more_than is None else 'more than'} {part}"

    def enough(count, seeds):
        # 0.9 * 10 need not be 9 in floating point
        return count >= share * seeds - 1e-9 if more_than is None else count > share * seeds + 1e-9

    return part, enough


def _counted(held, enough):
    if not held:
        return NOT_RUN
    return Verdict(enough(sum(held), len(held)), f"{sum(held)} of {len(held)}")


def median_meets(arm, bound):
    """The claim that the median over the seeds meets the bound.

    >>> median_meets("ntm", "loss_50<1").words
    'median under 1'
    """
    goal = Goal.parse(bound)

    def judge(results):
        values = results.values(arm, goal.quantity)
        if not values:
            return NOT_RUN
        middle = worst_median(values, goal.sense)
        return Verdict(goal.holds(middle), f"{middle:,.4g}")

    return Claim(arm, goal.quantity, f"median {goal.words}", judge)


def median_below(arm, other, measure, factor=1.0):
    """The claim that the median of `arm` is below `factor` times that of the arm `other`.

    >>> median_below("ntm", "lstm", "loss").words, median_below("ntm", "lstm", "loss", 0.5).words
    ('median below that of lstm', 'median below 0.5 times that of lstm')
    """

    def judge(results):
        mine, its = results.values(arm, measure), results.values(other, measure)
        if not mine or not its:
            return NOT_RUN
        a, b = worst_median(mine, "<"), worst_median(its, "<")
        return Verdict(a < factor * b, f"{a:,.4g} against {b:,.4g}")

    times = "" if factor == 1 else f"{factor:g} times "
    return Claim(arm, measure, f"median below {times}that of {other}", judge)


def worst_median(values, sense):
    """The median, in which a missing value counts as the worst one.

    >>> worst_median([1.0, 2.0, 3.0], "<"), worst_median([1.0, 2.0, None, 4.0, None], "<"), worst_median([1.0, None, None], "<")
    (2.0, 4.0, inf)
    """
    worst = math.inf if sense == "<" else -math.inf
    return float(np.median([worst if value is None else value for value in values]))


NOT_RUN = Verdict(None, "not run")
