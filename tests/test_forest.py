"""Forests: every way to make one, the order of evaluation, parts, and wrong input with its place."""

import numpy as np
import pytest

from rnnsim.core import forest as forests
from rnnsim.core.forest import Forest
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError

TEXTS = ["(f (g a) b (g a))", "c", "(g (f b (g c)))"]


def same(one, other):
    return one.to_brackets() == other.to_brackets()


def test_ways_to_write_the_same_forest():
    brackets = Forest.from_brackets([TEXTS[0], "", *TEXTS[1:]])
    nested = Forest.from_nested([["f", ["g", "a"], "b", ("g", "a")], "c", ["g", ["f", "b", ["g", "c"]]]])
    assert same(brackets, nested) and brackets.symbols == nested.symbols and brackets.to_brackets() == TEXTS
    assert (brackets.size, brackets.nodes, brackets.depth, brackets.arity) == (3, 12, 3, 3)
    order = np.random.default_rng(0).permutation(brackets.nodes)
    place = np.argsort(order)
    whole = np.where(brackets.children >= 0, brackets.children + brackets.starts[brackets.trees][:, None], -1)
    moved = np.where(whole >= 0, place[whole], -1)[order]
    shuffled = Forest.from_arrays(moved, brackets.inputs[order], brackets.trees[order], symbols=brackets.symbols)
    assert [sorted(text.split()) for text in shuffled.to_brackets()] == [sorted(text.split()) for text in TEXTS]
    assert same(shuffled, brackets)


def test_sharing_keeps_equal_sub_trees_once():
    tree, graph = (Forest.from_brackets(TEXTS, share=share) for share in (False, True))
    assert same(tree, graph) and graph.nodes == 10 and tree.nodes == 12


def test_unlabelled_brackets_and_nodes_without_a_label():
    forest = Forest.from_brackets(["((the cat) sat)"], labelled=False)
    assert forest.inputs.tolist() == [0, 1, -1, 2, -1] and forest.symbols == ("the", "cat", "sat")
    assert same(forest, Forest.from_nested([[None, [None, "the", "cat"], "sat"]]))


def test_dependencies():
    forest = Forest.from_dependencies([[2, 3, 0, 3], [0]], [["old", "dogs", "chase", "cats"], ["go"]])
    assert forest.to_brackets() == ["(chase (dogs old) cats)", "go"]
    numbered = Forest.from_dependencies([[2, 0]], [[5, 7]])
    assert numbered.to_brackets() == ["(7 5)"]


def test_levels_are_an_order_of_evaluation(monkeypatch):
    monkeypatch.setattr(forests, "_CHUNK_NODES", 8)
    forest = Forest.from_brackets(TEXTS * 9)
    levels = forest.levels
    assert (
        sorted(levels.order) == list(range(forest.nodes))
        and (levels.order[levels.position] == np.arange(forest.nodes)).all()
    )
    assert len(levels.chunks) > 2 and levels.chunks[-1] == len(levels.starts) - 1 and levels.starts[-1] == forest.nodes
    level = np.repeat(np.arange(len(levels.starts) - 1), np.diff(levels.starts))
    for position, children in enumerate(levels.children):
        below = children[children >= 0]
        node = levels.order[position]
        wanted = forest.children[node][forest.children[node] >= 0] + forest.starts[forest.trees[node]]
        assert levels.order[below].tolist() == wanted.tolist()
        first = levels.chunks[np.searchsorted(levels.chunks, level[position], side="right") - 1]
        assert level[position] == (1 + level[below].max() if below.size else first)


def test_parts_and_wholes():
    forest = Forest.from_brackets(TEXTS).with_targets(np.arange(12), np.arange(12.0))
    assert forest[1].to_brackets() == TEXTS[1:2] and forest[::2].to_brackets() == TEXTS[::2]
    assert forest[np.array([2, 0, 2])].to_brackets() == [TEXTS[2], TEXTS[0], TEXTS[2]]
    assert forest[1:].targets.tolist() == list(range(6, 12)) and forest[-1].weights.tolist() == list(range(7, 12))
    again = Forest.concatenated([forest[:1], forest[1:]])
    assert same(again, forest) and again.targets.tolist() == forest.targets.tolist()
    wide = Forest.concatenated([forest[1:2], forest[:1]])
    assert wide.arity == 3 and wide.to_brackets() == [TEXTS[1], TEXTS[0]]
    of_trees = forest.with_targets(np.array([5, 6, 7]))
    assert of_trees.target_a_tree and of_trees[1:].targets.tolist() == [6, 7]


def test_figures_of_trees_with_a_target_a_node():
    forest = Forest.from_brackets(TEXTS).with_targets(np.zeros(12), np.array([1.0] * 6 + [0] + [1] * 5))
    right = np.ones(12, bool)
    right[[2, 6]] = False
    assert forest.every(right).tolist() == [False, True, True]
    np.testing.assert_allclose(forest.mean(np.arange(12.0)), [2.5, 0, 9])
    assert forest.amount(Loss("softmax", per="step")) == 11 and forest.amount(Loss("softmax", per="sequence")) == 3


def test_depth_of_100_000():
    tree = "a"
    for _ in range(100_000):
        tree = ["f", tree]
    forest = Forest.from_nested([tree])
    assert forest.depth == 100_000
    text = forest.to_brackets()[0]
    assert Forest.from_brackets([text], share=True).depth == 100_000
    heads = [np.arange(100_000)]
    assert Forest.from_dependencies(heads, [np.zeros(100_000, int)]).depth == 99_999


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Forest.from_brackets(["(a b)", "(a (b c)"]), r"line 2, column 1: '\(' without '\)'"),
        (lambda: Forest.from_brackets(["(a b))"]), r"line 1, column 6: '\)' without '\('"),
        (lambda: Forest.from_brackets(["(a b) c"]), "line 1, column 7: a second tree begins"),
        (lambda: Forest.from_brackets(["(a ())"]), "line 1, column 5: the bracket is empty"),
        (lambda: Forest.from_brackets(["(a b)"], symbols="a"), "unknown label at line 1, column 4 'b'"),
        (lambda: Forest.from_brackets([]), "there is no tree"),
        (lambda: Forest.from_nested([[]]), "tree 0: a list is empty"),
        (lambda: Forest.from_nested([["f", 3]]), "tree 0: expected a label, a string or None, got int"),
        (lambda: Forest.from_arrays([[1], [0]], [0, 0]), "children: node 0 is on a cycle"),
        (lambda: Forest.from_arrays([[-1], [-1]], [0, 0]), "tree 0: it has 2 roots, nodes 0 and 1"),
        (lambda: Forest.from_arrays([[7]], [0]), "children: node 0 has a child that is no node"),
        (lambda: Forest.from_arrays([[1], [-1]], [0, 0], [0, 1]), "children: node 0 has a child in another tree"),
        (lambda: Forest([0, 2], [[1], [-1]], [0, 0]), "tree 0, node 0: a child does not stand before it"),
        (lambda: Forest([0, 2], [[-1], [-1]], [0, 0]), "tree 0: it has two roots, nodes 0 and 1"),
        (lambda: Forest([0, 0, 1], [[-1]], [0]), "tree 0: it has no node"),
        (lambda: Forest([0, 1], [[-1]], [0, 1]), "inputs: expected 1 labels"),
        (lambda: Forest.from_dependencies([[2, 1]], [["a", "b"]]), "sentence 0: expected one root, got 0"),
        (
            lambda: Forest.from_dependencies([[0, 3, 2]], [list("abc")]),
            "sentence 0, word [23]: its heads go round in a circle",
        ),
        (lambda: Forest.from_dependencies([[0, 9]], [list("ab")]), "sentence 0, word 2: head 9 is no word"),
        (lambda: Forest.from_brackets(TEXTS).with_targets([1, 2]), "targets: expected 3 .one a tree. or 12"),
        (lambda: Forest([0, 1], [[-1]], np.zeros((1, 2))).to_brackets(), "to_brackets: the nodes have feature vectors"),
    ],
)
def test_wrong_input_is_one_line(make, message):
    with pytest.raises(RnnsimError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Forest.from_arrays([[-1]], [2**32 + 1]), "inputs: expected numbers up to 2,147,483,647"),
        (lambda: Forest([0, 2], [[-1], [2**32]], [0, 1]), "children: expected numbers up to"),
        (lambda: Forest([0, 2], [[-1], [0.7]], [0, 1]), "children: expected whole numbers, got float64"),
        (lambda: Forest([0, 1], [[-1]], [0.5]), "inputs: expected whole numbers, got float64"),
        (lambda: Forest([0, 1], [[-1]], [3], targets=np.zeros(7)), "targets: expected 1 .one a tree. or 1"),
        (lambda: Forest([0, 1], [[-1]], [3], weights=np.ones(1)), "weights: there are no targets"),
        (lambda: Forest([0, 1], [[-1]], [3], np.zeros(1), np.ones(2)), "weights: expected 1, one a target"),
        (lambda: Forest([0, 1], [[-1]], [3], np.zeros(1), [np.nan]), "weights: expected finite numbers"),
        (lambda: Forest([0, 1], [[-1]], [3], symbols=("a",)), "symbols: 1 names, but there is a label 3"),
        (lambda: Forest.from_arrays([[-1], [-1]], [0, 1], trees=[0, 10**12]), "trees: expected 2 whole numbers"),
        (lambda: Forest.from_brackets(TEXTS)[5:5], "no tree is selected, of 3"),
        (lambda: Forest.from_dependencies([[2, 0, 2]], []), "heads: 1 sentences, labels: 0"),
    ],
)
def test_numbers_that_do_not_fit_are_one_line(make, message):
    with pytest.raises(RnnsimError, match=message):
        make()


def test_a_list_that_contains_itself():
    tree = ["f", "a"]
    tree.append(tree)
    with pytest.raises(RnnsimError, match="tree 0: a list contains itself"):
        Forest.from_nested([tree])
    part = ["g", "a"]
    assert Forest.from_nested([["f", part, part]]).nodes == 5


def test_iteration_and_comparison():
    forest = Forest.from_brackets(TEXTS)
    assert [tree.to_brackets()[0] for tree in forest] == TEXTS
    assert forest == forest and forest != Forest.from_brackets(TEXTS) and len({forest, forest}) == 1
