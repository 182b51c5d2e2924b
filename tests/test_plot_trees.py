"""Pictures of trees: what is drawn of a tree and of a parse, and what is refused."""

import numpy as np
import pytest

import rnnsim as rs
from rnnsim import plotting
from rnnsim.core.forest import Forest
from rnnsim.core.losses import Loss
from rnnsim.core.margin import MarginLoss
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.errors import RnnsimError
from rnnsim.plotting import canvas, trees
from rnnsim.tasks import Formulas


class Words:
    """What a picture asks of a task: the names of the symbols."""

    loss, input_names, target_names = MarginLoss(), tuple("abcd"), None


def test_a_node_has_its_answer():
    task = Formulas(targets="nodes")
    net = rs.RecursiveNetwork(task.n_inputs, task.n_outputs, tokens=True, hidden=3, rng=1)
    forest = task.example(5)
    drawn = trees._answered(net, task, forest)
    right = np.abs(task.loss.predictions(net.forward(forest, when="every").outputs)[:, 0] - forest.targets[:, 0]) < 0.5
    assert [colour == canvas.BLUE for colour in drawn.colours] == right.tolist()
    assert drawn.names == [task.input_names[label] for label in forest.inputs]


def test_a_parse_has_scores_and_right_spans():
    right = Parses(np.array([[1, 2], [0, 3]], np.int32), np.zeros(2), np.array([0, 2]))
    graph = SegmentGraphs([0, 3], np.array([3, 0, 1], np.int32), targets=right)
    net = rs.RecursiveNetwork(4, 1, tokens=True, hidden=3, leaves="own", score=True, rng=1)
    drawn, found = trees._parsed(net, Words, graph), net.parse(graph)
    assert drawn.names[:3] == ["d", "a", "b"] and drawn.notes[3:] == [f"{score:.2g}" for score in found.scores]
    same = set(found.pairs[0].tolist()) == {1, 2}
    assert drawn.colours[3:] == [canvas.BLUE if same else canvas.ORANGE, canvas.BLUE]


def test_places_of_shared_and_deep_trees():
    forest = Forest.from_brackets(["(f (g a) (g a))"], share=True)
    x, y, order = trees.places(forest.children)
    assert order == [0, 1, 2] and y.tolist() == [0, 1, 2] and len(set(x.tolist())) == 1
    deep = np.arange(-1, 3000 - 1)[:, None]
    assert trees.places(deep)[1].max() == 2999


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_picture(ending, tmp_path):
    task = Formulas()
    net = rs.RecursiveNetwork(task.n_inputs, task.n_outputs, tokens=True, hidden=3)
    path = plotting.tree(net, task, tmp_path / f"t.{ending}", task.example(3), "a title")
    assert path.stat().st_size > 3000


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    task = Formulas()
    net = rs.RecursiveNetwork(task.n_inputs, task.n_outputs, tokens=True, hidden=3)
    two = Forest.concatenated([task.example(0), task.example(1)])
    chain = Forest([0, 401], np.arange(-1, 400)[:, None], np.zeros(401, np.int32), np.zeros((1, 1)))
    for batch, message in (
        (two, "tree: expected one tree, got 2"),
        (rs.tasks.XOR().example(), "tree: expected trees or graphs of segments, got sequences"),
        (chain, "tree: 401 nodes, more than 400 cannot be read"),
    ):
        with pytest.raises(RnnsimError, match=message):
            plotting.tree(net, task, tmp_path / "t.png", batch)
    assert Loss("bernoulli").kind == task.loss.kind and not list(tmp_path.iterdir())
