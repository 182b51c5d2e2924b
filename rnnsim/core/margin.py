"""The loss of structure prediction: how much better a wrong tree scores than a right one (Socher et al., ICML 2011)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnsim.core.registry import require


@dataclass(frozen=True)
class MarginLoss:
    """The structured margin loss of trees over the segments of graphs.

        l = max_tree (s(tree) + kappa wrong(tree)) - max_right s(right),   at least 0

    where s is the score of a tree and wrong(tree) the number of its wrong merges; its mean over the graphs of a batch. The
    network searches for the two trees, so this object holds the margin and the names by which reports call the loss.

    kappa : the margin of a wrong merge, above 0

    Raises `RnnsimError` for another margin.

    >>> MarginLoss(kappa=0.5).evaluate(np.array([3.0, 1.0]), np.array([2.0, 2.0]))
    0.5
    """

    kind: ClassVar[str] = "margin"
    when: ClassVar[str] = "last"
    per: ClassVar[str] = "sequence"
    unit: ClassVar[str] = "score"

    kappa: float = 0.05

    def __post_init__(self):
        require(0 < self.kappa < float("inf"), f"kappa={self.kappa}: expected a number above 0")

    def evaluate(self, best: np.ndarray, right: np.ndarray) -> float:
        """The mean loss of graphs, a float, from the scores of their two trees, margins included; both (B,)."""
        return float(np.maximum(np.asarray(best, np.float64) - right, 0).mean()) if len(best) else 0.0

    def predictions(self, outputs: Any) -> Any:
        """The outputs, trees, as they are."""
        return outputs
