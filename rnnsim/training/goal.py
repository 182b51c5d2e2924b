"""Goals: a figure and a bound, such as ``loss<0.1``, at which a training ends and by which an experiment is judged.

QUANTITY<NUMBER            also with >; the quantity is the name of a figure: loss, correct, error, wrong_bits, ...
QUANTITY<NUMBER twice      in two evaluations in a row; also ``3 times``
"""

import math
import re
from typing import NamedTuple

from rnnsim.errors import RnnsimError, unknown

_TEXT = re.compile(r"\s*([A-Za-z_]\w*)\s*([<>])\s*([^\s]+)(?:\s+(?:(twice)|([1-9]\d{0,5})\s+times))?\s*")


class Goal(NamedTuple):
    """A figure and a bound that it must be under, or over, a number of times in a row.

    >>> goal = Goal.parse("loss<0.1 twice")
    >>> goal.holds(0.05), goal.holds(0.1), goal.holds(None), str(goal)
    (True, False, False, 'loss<0.1 twice')
    >>> goal.met([{"loss": 0.3}, {"loss": 0.09}]), goal.met([{"loss": 0.09}, {"loss": 0.08}])
    (False, True)
    """

    quantity: str
    sense: str  # "<" or ">"
    bound: float
    times: int = 1

    @classmethod
    def parse(cls, text, what="goal"):
        """The goal that a text describes; Raises `RnnsimError`, which names the option `what`, for any other text.

        >>> Goal.parse("accuracy > 0.98")
        Goal(quantity='accuracy', sense='>', bound=0.98, times=1)
        """
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        try:
            bound = float(found[3]) if found else math.nan
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise RnnsimError(f"{what}={text}: expected a figure and a bound, such as loss<0.1 or loss<0.1 twice")
        return cls(found[1], found[2], bound, 2 if found[4] else int(found[5] or 1))

    def __str__(self):
        often = {1: "", 2: " twice"}.get(self.times, f" {self.times} times")
        return f"{self.quantity}{self.sense}{self.bound:g}{often}"

    @property
    def words(self):
        """The bound in words.

        >>> Goal.parse("loss<0.1").words, Goal.parse("sequences<200000").words
        ('under 0.1', 'under 200,000')
        """
        bound = f"{self.bound:,.0f}" if abs(self.bound) >= 1e5 else f"{self.bound:,g}"
        return f"{'under' if self.sense == '<' else 'over'} {bound}"

    def holds(self, value):
        """Whether a value is on the right side of the bound; None and NaN are not."""
        if value is None:
            return False
        return value < self.bound if self.sense == "<" else value > self.bound

    def value(self, evaluation):
        """The goal's figure in an evaluation; see `figure`."""
        return figure(evaluation, self.quantity)

    def met(self, evaluations):
        """Whether the last `times` evaluations all hold."""
        last = evaluations[-self.times :]
        return len(last) == self.times and all(self.holds(self.value(evaluation)) for evaluation in last)

    def first(self, history):
        """Number of sequences after which the reports of a training meet the goal for the first time, or None.

        >>> line = lambda sequences, loss: {"sequences": sequences, "evaluation": {"loss": loss}}
        >>> Goal.parse("loss<1").first([line(100, 3.0), {"sequences": 150}, line(200, 0.5), line(300, 2.0)])
        200
        """
        seen = []
        for line in history:
            if line.get("evaluation"):
                seen.append(line["evaluation"])
                if self.met(seen[-self.times :]):
                    return line["sequences"]
        return None


def figure(evaluation, name):
    """A figure of an evaluation (`rnnsim.evaluate`): loss, correct, or a metric of the task.

    Raises `RnnsimError` with the nearest name if the evaluation has no such figure.

    >>> figure({"loss": 1.5, "correct": None, "metrics": {"wrong_bits": 3.0}}, "wrong_bits")
    3.0
    """
    known = {"loss": evaluation["loss"], "correct": evaluation.get("correct"), **evaluation.get("metrics", {})}
    known = {key: value for key, value in known.items() if value is not None}
    if name not in known:
        raise unknown("figure of the evaluation", name, known)
    return known[name]


def until(text):
    """The condition at which a training ends: "steps", "solved" or a `Goal`. Raises `RnnsimError` for anything else.

    >>> until("solved"), until("loss<0.1").bound
    ('solved', 0.1)
    """
    if text in ("steps", "solved"):
        return text
    if isinstance(text, str) and ("<" in text or ">" in text):
        return Goal.parse(text, "until")
    raise RnnsimError(f"until={text}: expected one of steps, solved, or a figure and a bound such as loss<0.1")
