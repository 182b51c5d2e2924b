"""The loss of structure prediction, by name: how much better a wrong tree scores than a right one (Socher et al., ICML 2011)."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class MarginLoss:
    """The structured margin loss of trees over the segments of graphs, as the loss of a task.

        l = max_tree (s(tree) + kappa wrong(tree)) - s(right) - kappa wrong(right)

    where s is the score of a tree, wrong(tree) the number of its wrong merges and "right" the right tree; for graphs with classes
    of segments, plus the cross-entropies of the labels of its nodes. The loss of a batch is the mean over its graphs. Only a
    network with scores can search for the trees, so it computes the loss itself, and this object has no more than the names that
    reports need.

    >>> MarginLoss().kind, MarginLoss().unit
    ('margin', 'score')
    """

    kind: ClassVar[str] = "margin"
    when: ClassVar[str] = "last"
    per: ClassVar[str] = "sequence"
    unit: ClassVar[str] = "score"

    def predictions(self, outputs: Any) -> Any:
        """The outputs, trees, as they are."""
        return outputs
