"""Tasks over trees and graphs of segments: targets derived again from the inputs, distributions, parts, metrics."""

import io
import itertools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

import rnnsim as rs
from rnnsim.core.batch import Sequences
from rnnsim.core.forest import Forest
from rnnsim.core.losses import Loss
from rnnsim.core.segments import Parses, SegmentGraphs
from rnnsim.data.bracketings import as_parses, bracketing_f1, left_branching, right_branching
from rnnsim.errors import RnnsimError
from rnnsim.networks.interface import Evaluation, Network
from rnnsim.tasks import Arithmetic, Bracketing, Formulas, LogicalTerms, Ratio, Scenes, Sentiment, SentimentWords
from rnnsim.tasks.bracketing import bracketing_baselines
from rnnsim.tasks.logical_terms import _remainder
from rnnsim.tasks.random_terms import draw_terms, expected_nodes
from rnnsim.tasks.scenes import wrong_merges
from rnnsim.training.evaluate import evaluate, varied
from rnnsim_cli.parse import bracketed

LEVEL = 1e-3


def refuses(message, function, *arguments, **named):
    with pytest.raises(RnnsimError, match=message) as found:
        function(*arguments, **named)
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def nested(forest):
    """Every tree as nested tuples (label, children ..), from the arrays."""
    found = []
    for first, last in zip(forest.starts[:-1], forest.starts[1:]):
        nodes = []
        for label, below in zip(forest.inputs[first:last].tolist(), forest.children[first:last].tolist()):
            nodes.append((forest.symbols[label], *(nodes[child] for child in below if child >= 0)))
        found.append(nodes[-1])
    return found


def depth(tree):
    return max((1 + depth(child) for child in tree[1:]), default=0)


def parts(tree):
    yield tree
    for child in tree[1:]:
        yield from parts(child)


def assert_shares(found, expected):
    assert set(found) <= set(expected)
    total = sum(found.values())
    counts, wanted = zip(*((found[key], total * share) for key, share in expected.items()))
    assert sum(wanted) == pytest.approx(total) and stats.chisquare(counts, wanted).pvalue > LEVEL


# -- random terms -----------------------------------------------------------------------------------------------------


def probabilities(limit, functions, constants):
    """{term: probability} of all terms of depth `limit`, from the definition."""
    if limit == 0:
        return {(name,): 1 / len(constants) for name in constants}
    deep = probabilities(limit - 1, functions, constants)
    other = Counter()
    for below in range(limit):
        for term, share in probabilities(below, functions, constants).items():
            other[term] += share / limit
    found = Counter()
    for name, arity in functions.items():
        if arity == 1:
            for term, share in deep.items():
                found[name, term] += share / len(functions)
            continue
        for (one, p), (two, q) in itertools.product(deep.items(), other.items()):
            found[name, one, two] += p * q / 2 / len(functions)
            found[name, two, one] += p * q / 2 / len(functions)
    return dict(found)


def test_distribution_of_terms():
    functions = {"and": 2, "or": 2, "not": 1}
    for limit in (1, 2):
        expected = probabilities(limit, functions, ("F", "T"))
        forest = Formulas(depth=limit).training_batch(1, 0, 20000)
        found = Counter(nested(forest))
        assert set(found) <= set(expected) and set(map(depth, found)) == {limit}
        # Rare terms together, so that every class is expected often enough.
        common = {term: share for term, share in expected.items() if share * 20000 > 8}
        shares = {**common, "rare": 1 - sum(common.values())}
        counts = Counter(term if term in common else "rare" for term in found.elements())
        assert_shares(counts, {key: share for key, share in shares.items() if share > 1e-9})


@pytest.mark.parametrize("low, high", [(1, 4), (3, 6)])
def test_depths(low, high):
    forest = Formulas(min_depth=low, max_depth=high).training_batch(2, 0, 3000)
    assert_shares(Counter(map(depth, nested(forest))), {k: 1 / (high - low + 1) for k in range(low, high + 1)})
    mean = np.mean(expected_nodes(high, [2, 2, 1])[low:])
    nodes = np.diff(forest.starts)
    assert abs(nodes.mean() - mean) < 4 * nodes.std() / math.sqrt(3000)


def test_deepest_terms_fit():
    arities = np.array([2, 0], np.int32)
    starts, children, labels = draw_terms(np.uint64(5), 0, 3, 14, 14, arities, 1)
    forest = Forest(starts, children, labels)
    assert forest.depth == 14 and ((children >= 0).sum(axis=1) == np.where(labels == 0, 2, 0)).all()


# -- formulas and expressions -----------------------------------------------------------------------------------------


def value(tree, modulus=None):
    name, *below = tree
    below = [value(child, modulus) for child in below]
    if modulus is None:
        rules = {"and": min, "or": max, "not": lambda x: 1 - x, "F": lambda: 0, "T": lambda: 1}
        return rules[name](*below)
    if not below:
        return int(name)
    a, b = below
    return {"+": a + b, "-": a - b, "*": a * b}[name] % modulus


@pytest.mark.parametrize("targets", ["root", "nodes"])
def test_values(targets):
    for task, modulus in ((Formulas(targets=targets), None), (Arithmetic(modulus=7, targets=targets), 7)):
        batch = task.training_batch(3, 0, 400)
        trees = nested(batch)
        found = batch.targets.ravel().tolist()
        if targets == "root":
            assert found == [value(tree, modulus) for tree in trees]
            assert task.loss.when == "last"
            continue
        assert task.loss.when == "every" and len(found) == batch.nodes
        for b in (0, 17, 399):
            first, last = batch.starts[b], batch.starts[b + 1]
            expected = Counter((part, value(part, modulus)) for part in parts(trees[b]))
            nodes = []
            for label, below in zip(batch.inputs[first:last], batch.children[first:last]):
                nodes.append((batch.symbols[label], *(nodes[child] for child in below if child >= 0)))
            assert Counter(zip(nodes, found[first:last])) == expected


def test_formulas_are_true_half_of_the_time():
    batch = Formulas(depth=3, targets="nodes").training_batch(4, 0, 4000)
    heights = np.zeros(batch.nodes, int)
    for node in range(batch.nodes):
        first = batch.starts[np.searchsorted(batch.starts, node, side="right") - 1]
        heights[node] = max((1 + heights[first + child] for child in batch.children[node] if child >= 0), default=0)
    for height in range(4):
        true = batch.targets[heights == height]
        assert abs(true.mean() - 0.5) < 4 * 0.5 / math.sqrt(len(true))


def test_chance_level_loss_of_arithmetic_by_enumeration():
    def entropy(shares):
        shares = np.array([share for share in shares.values() if share > 0])
        return -(shares * np.log(shares)).sum()

    functions, digits = {"+": 2, "-": 2, "*": 2}, ("0", "1", "2")
    roots, nodes = Counter(), Counter()
    for limit in (1, 2):
        for term, share in probabilities(limit, functions, digits).items():
            roots[value(term, 3)] += share / 2
            for part in parts(term):
                nodes[value(part, 3)] += share / 2
    assert Arithmetic(modulus=3, max_depth=2).trivial_loss == pytest.approx(entropy(roots))
    total = sum(nodes.values())
    shares = {key: count / total for key, count in nodes.items()}
    assert Arithmetic(modulus=3, max_depth=2, targets="nodes").trivial_loss == pytest.approx(entropy(shares))


def test_greater_depth_at_evaluation():
    task = varied(Formulas(), {"depth": 9})
    assert {depth(tree) for tree in nested(next(task.evaluation_batches(0, 5)))} == {9}


# -- logical terms ----------------------------------------------------------------------------------------------------


def answer(kind, tree):
    if kind == "label":
        return ("c",) in set(parts(tree))
    if kind == "term":
        return bool({("i", ("a",)), ("f", ("b",), ("c",))} & set(parts(tree)))
    return tree[0] == "f" and tree[1] == tree[2]


@pytest.mark.parametrize("kind", ["label", "term", "instance"])
def test_logical_terms(kind):
    task, shared = (LogicalTerms(kind=kind, depth=4, share=share) for share in (False, True))
    batch, dag = task.training_batch(5, 0, 2000), shared.training_batch(5, 0, 2000)
    trees = nested(batch)
    assert batch.targets.ravel().tolist() == [answer(kind, tree) for tree in trees]
    assert abs(batch.targets.mean() - 0.5) < 4 * 0.5 / math.sqrt(2000)
    assert max(map(depth, trees)) == 4 and min(map(depth, trees)) == 1
    assert kind != "instance" or {tree[0] for tree in trees} == {"f"}
    # Shared sub-terms: the same terms and targets, and as many nodes as different parts.
    assert nested(dag) == trees and np.array_equal(dag.targets, batch.targets)
    assert np.diff(dag.starts).tolist() == [len(set(parts(tree))) for tree in trees]
    assert dag.nodes < batch.nodes


@pytest.mark.parametrize("kind", ["label", "instance"])
def test_no_term_is_in_two_parts(kind):
    task = LogicalTerms(kind=kind, depth=3)
    found = [set(nested(task.training_batch(seed, 0, 3000))) for seed in (0, 1)]
    train = found[0] | found[1]
    held = {}
    for split in ("test", "validation"):
        batches = [next(task.evaluation_batches(seed, 3000, 3000, split)) for seed in (0, 1)]
        held[split] = set(nested(batches[0])) | set(nested(batches[1]))
        assert {answer(kind, tree) for tree in held[split]} == {True, False}
    assert not train & held["test"] and not train & held["validation"] and not held["test"] & held["validation"]
    # Small terms are training terms.
    assert not any(depth(tree) < 3 for terms in held.values() for tree in terms)
    assert min(map(depth, train)) == 1


def test_a_tenth_of_the_large_terms_is_in_each_held_out_part():
    for limit in (1, 2, 3, 5):
        starts, children, labels = draw_terms(
            np.uint64(7), 0, 3000, limit, limit, np.array([2, 1, 0, 0, 0], np.int32), 2
        )
        terms = nested(Forest(starts, children, labels, symbols=("f", "i", "a", "b", "c")))
        numbers = {term: _remainder(labels, children, starts[b], starts[b + 1]) for b, term in enumerate(terms)}
        found = np.bincount(list(numbers.values()), minlength=10)
        if limit < 3:
            assert found[:9].sum() == 0
        else:
            assert found.sum() > 1000 and stats.chisquare(found).pvalue > LEVEL


# -- bracketing -------------------------------------------------------------------------------------------------------

# (The (grey owl)) hoots; punctuation, a sentence whose arcs cross, one word alone
TREEBANK = """\
1 The DET 3
2 grey ADJ 3
3 owl NOUN 4
4 hoots VERB 0
5 . PUNCT 4

1 crossing NOUN 3
2 arcs NOUN 4
3 go VERB 0
4 out NOUN 3

1 Hello INTJ 0
2 ! PUNCT 1

1 The DET 2
2 owl NOUN 3
3 sees VERB 0
4 grey ADJ 5
5 Qaim PROPN 3
6 sadly ADV 3
"""


@pytest.fixture(scope="module")
def treebank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("treebank")
    rows = [line.split() for line in TREEBANK.split("\n")]
    lines = [
        "\t".join((n, form, "_", tag, "_", "_", head, "_", "_", "_")) if n else ""
        for n, form, tag, head in (row or [""] * 4 for row in rows)
    ]
    for part in ("train", "dev", "test"):
        (folder / f"xx_own-ud-{part}.conllu").write_text("\n".join(lines))
    return str(folder)


def test_bracketing(treebank):
    task = Bracketing(path=treebank, min_count=2)
    assert task.words[:2] == [("The", "grey", "owl", "hoots"), ("The", "owl", "sees", "grey", "Qaim", "sadly")]
    assert len(task.words) == 6 and len(task.train_rows) == 2
    assert set(task.vocabulary.names[7:]) == {"the", "grey", "owl"}
    (batch,) = task.evaluation_batches(0, 10)
    names = [task.input_names[k] for k in batch.inputs]
    assert names[:4] == ["the", "grey", "owl", "<-s>"]
    assert names[4:] == ["the", "owl", "<-s>", "grey", "<capitalised>", "<-ly>"]
    assert batch.edges is None and batch.starts.tolist() == [0, 4, 10]
    # ((The (grey owl)) hoots) and ((The owl) ((sees (grey Qaim)) sadly))
    assert batch.targets.pairs.tolist() == [[1, 2], [0, 4], [5, 3], [3, 4], [2, 6], [7, 5], [0, 1], [9, 8]] or (
        bracketing_f1(
            batch.targets, as_parses([[(1, 2), (0, 4), (5, 3)], [(3, 4), (2, 6), (7, 5), (0, 1), (9, 8)]]), batch.starts
        )
        == 1
    )
    (dev,) = task.evaluation_batches(0, 10, split="validation")
    assert dev.size == 2
    assert Bracketing(path=treebank, max_words=4).words == [("The", "grey", "owl", "hoots")] * 3
    refuses("max_words=3: the train part has no such sentence", Bracketing, path=treebank, max_words=3)


def test_judging_of_bracketings(treebank):
    task = Bracketing(path=treebank)
    (batch,) = task.evaluation_batches(0, 10)
    assert task.correct(batch.targets, batch).all() and not task.error(batch.targets, batch).any()
    right = as_parses([right_branching(4), right_branching(6)])
    # Of (The (grey (owl hoots))) nothing is right, of the second tree (sees ..) and (grey ..) cross, (Qaim sadly) too.
    figures = task.metrics(right, batch)
    assert isinstance(figures["f1"], Ratio)
    expected = bracketing_f1(right, batch.targets, batch.starts)
    assert figures["f1"].parts.sum() / figures["f1"].of.sum() == pytest.approx(expected)
    assert figures["f1"].of.tolist() == [2, 4] and not task.correct(right, batch).any()
    assert task.error(right, batch).tolist() == pytest.approx((1 - figures["f1"].parts / [2, 4]).tolist())


def test_baselines(treebank):
    task = Bracketing(path=treebank)
    found = task.baselines("validation")
    (batch,) = task.evaluation_batches(0, 10, split="validation")
    assert found == bracketing_baselines(batch, task.gather(task.train_rows))
    left = as_parses([left_branching(4), left_branching(6)])
    assert found["left"] == bracketing_f1(left, batch.targets, batch.starts)
    assert set(found) == {"left", "right", "balanced", "pmi"} and all(0 <= f1 <= 1 for f1 in found.values())


class RightBranching(Network):
    """A network that gives right-branching trees to every sentence."""

    takes, capabilities, tokens, n_outputs = SegmentGraphs, frozenset(), True, 1

    def __init__(self, n_inputs):
        self.n_inputs, self.config = n_inputs, {"name": "right-branching"}

    def evaluate(self, batch, loss, state=None):
        return Evaluation(0.0, as_parses([right_branching(int(count)) for count in np.diff(batch.starts)]), None)


def test_evaluation_takes_f1_over_all_sentences(treebank):
    task = Bracketing(path=treebank)
    for batch in (1, 2, 100):
        found = evaluate(RightBranching(task.n_inputs), task, batch=batch)
        assert found["metrics"]["f1"] == pytest.approx(task.baselines()["right"]) and found["sequences"] == 2
    assert found["unit"] == "score" and found["trivial_loss"] is None and found["correct"] == 0


# -- scenes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """Regions whose second feature is the class plus the number of the region in thousandths; places and a constant beside."""
    folder = tmp_path_factory.mktemp("regions")
    for name, count, shift in (("segment-challenge.arff", 140, 0), ("segment-test.arff", 70, 1)):
        head = ["region-centroid-col", "tone", "pixels", "noise"]
        lines = ["@relation r", *(f"@attribute {column} numeric" for column in head)]
        lines += ["@attribute class {" + ",".join("abcdefg") + "}", "@data"]
        lines += [f"{k},{k % 7 + (k + 500 * shift) / 1000},9,{k * k % 11},{'abcdefg'[k % 7]}" for k in range(count)]
        (folder / name).write_text("\n".join(lines))
    return str(folder)


def connected(cells):
    """Whether some cells (y, x) of a grid hang together."""
    cells, reached = set(cells), []
    waiting = [next(iter(cells))]
    while waiting:
        y, x = cell = waiting.pop()
        if cell in cells:
            cells.remove(cell)
            reached.append(cell)
            waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return not cells


@pytest.mark.parametrize("height, width, areas", [(4, 5, 3), (1, 6, 2), (3, 3, 7), (2, 2, 1)])
def test_scenes(regions, height, width, areas):
    task = Scenes(path=regions, height=height, width=width, areas=areas)
    assert task.input_names == ("tone", "noise") and task.n_outputs == 7 and task.trivial_loss is None
    rows = np.arange(140)
    fitted = rows[rows % 5 != 4]
    tone = fitted % 7 + fitted / 1000
    kept = {"training": fitted, "validation": rows[rows % 5 == 4], "test": np.arange(70) + 500}
    for split, numbers in kept.items():
        batch = (
            task.training_batch(1, 0, 400) if split == "training" else next(task.evaluation_batches(1, 400, 400, split))
        )
        grid = [(y, x) for y in range(height) for x in range(width)]
        edges = {
            (grid.index(a), grid.index(b))
            for a in grid
            for b in grid
            if a < b and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
        }
        shown = np.round((batch.inputs[:, 0] * tone.std() + tone.mean() - batch.targets) * 1000).astype(int)
        assert set(shown) <= set(numbers.tolist())  # real regions of this part, of the class of the segment
        offset = 500 if split == "test" else 0
        assert np.array_equal((shown - offset) % 7, batch.targets)
        for b in range(20):
            first, last = batch.starts[b], batch.starts[b + 1]
            assert {tuple(pair) for pair in batch.edges[batch.edge_starts[b] : batch.edge_starts[b + 1]]} == edges
            classes = batch.targets[first:last]
            assert len(set(classes)) == areas
            assert all(connected([grid[s] for s in np.flatnonzero(classes == kind)]) for kind in set(classes))


def test_classes_and_regions_of_scenes_are_equally_likely(regions):
    task = Scenes(path=regions, height=2, width=3, areas=3)
    batch = task.training_batch(3, 0, 4000)
    one = batch.targets[::6]  # segments of one scene depend on each other
    assert stats.chisquare(np.bincount(one, minlength=7)).pvalue > LEVEL
    shown = Counter(map(tuple, batch.inputs[::6].tolist()))
    assert len(shown) == 112 and stats.chisquare(list(shown.values())).pvalue > LEVEL
    # Areas of two segments in a row of two: both orders, and each alone in half of the scenes.
    row = Scenes(path=regions, height=1, width=3, areas=2).training_batch(3, 0, 4000).targets.reshape(-1, 3)
    assert abs((row[:, 0] == row[:, 1]).mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)


class Labelled(NamedTuple):
    parses: Parses
    classes: np.ndarray


def test_wrong_merges_of_scenes():
    """A strip a a b b c; by hand."""
    graphs = SegmentGraphs([0, 5], np.zeros((5, 1)), targets=np.array([0, 0, 1, 1, 2], np.int32))
    for merges, wrong in (
        ([(0, 1), (2, 3), (5, 6), (7, 4)], 0),
        ([(2, 3), (5, 4), (0, 1), (7, 6)], 0),  # b and c are complete when they are joined
        ([(1, 2), (0, 5), (6, 3), (7, 4)], 3),  # a and b are complete after three
        ([(3, 4), (0, 1), (6, 2), (7, 5)], 3),
        ([(0, 1), (5, 2), (6, 3), (7, 4)], 2),
    ):
        assert wrong_merges(as_parses([merges]), graphs).tolist() == [wrong]
    graphs.targets[1] = -1  # goes with any class
    assert wrong_merges(as_parses([[(1, 2), (5, 3), (6, 4), (0, 7)]]), graphs).tolist() == [0]


def test_judging_of_scenes(regions):
    task = Scenes(path=regions, height=1, width=4, areas=2)
    batch = task.training_batch(0, 0, 3)
    classes = np.log(np.eye(7)[batch.targets] * 0.4 + 0.6 / 7) + 3
    outputs = Labelled(as_parses([left_branching(4)] * 3), classes)
    assert task.correct(outputs, batch).all() and np.allclose(task.error(outputs, batch), 1 - 0.4 - 0.6 / 7)
    classes[1] = np.roll(classes[1], 1)
    assert task.correct(outputs, batch).tolist() == [False, True, True]
    found = task.metrics(outputs, batch)
    assert found["accuracy"].tolist() == [0.75, 1, 1]
    assert found["wrong_merges"].of.tolist() == [3, 3, 3]
    assert np.array_equal(found["wrong_merges"].parts, wrong_merges(outputs.parses, batch))


# -- rated sentences --------------------------------------------------------------------------------------------------


@pytest.fixture
def rated(tmp_path):
    path = tmp_path / "rated.txt"
    texts = [f"It's {'good' if k % 2 else 'bad'}, film number {k} of Mine!" for k in range(40)]
    rows = [f"{k}\t{1.5 if k % 2 else -0.1}\t{text}" for k, text in enumerate(texts)]
    rows += ["40\t0\tNeither good nor bad.", "41\t3\tit's BAD, film number 0 of mine"]
    path.write_text("\n".join(rows))
    return str(path)


def test_sentiment(rated):
    trees, words = Sentiment(path=rated, validation=6), SentimentWords(path=rated, validation=6)
    assert len(trees.words) == 40 and trees.lines()[1] == "It 's good film number 1 of Mine"
    assert trees.input_names == words.input_names and trees.vocabulary.names[7:11] == ("it", "'s", "film", "number")
    assert len(trees.train_rows) == 26 and np.array_equal(trees.train_rows, words.train_rows)
    seen = set()
    for split, count in (("test", 8), ("validation", 6), ("train", 26)):
        (forest,), (sequences,) = (list(task.evaluation_batches(0, 50, split=split)) for task in (trees, words))
        assert isinstance(forest, Forest) and isinstance(sequences, Sequences)
        assert forest.size == sequences.size == count and np.array_equal(forest.targets, sequences.targets)
        for b, tree in enumerate(forest.to_brackets()):
            spoken = tree.replace("(", "").replace(")", "").split()
            assert spoken == [words.input_names[k] for k in sequences.inputs[: sequences.lengths[b], b]]
            assert (spoken[2] == "good") == forest.targets[b]
            assert tree == "(" + " (".join(spoken[:-1]) + " " + spoken[-1] + ")" * (len(spoken) - 1)
        seen |= {forest.inputs[k] for k in range(forest.nodes)}
    assert -1 in seen and max(seen) < trees.n_inputs
    share = trees._labels[trees.train_rows].mean()
    assert trees.trivial_loss == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share))
    assert trees.loss == Loss("softmax", when="last", per="sequence", unit="nats")


def test_trees_of_a_file(rated, tmp_path):
    path = tmp_path / "trees.txt"
    lines = [f"((({line.replace(' of ', ') (of ')})))" for line in Sentiment(path=rated).lines()]
    path.write_text("\n".join(lines) + "\n")
    batch = Sentiment(path=rated, trees=str(path)).example()
    found = batch.to_brackets()[0]
    assert found.startswith("(((it 's ") and found.endswith(" film number <number>) (of mine)))")
    assert batch.arity == 6
    path.write_text("\n".join(lines[:-1]))
    refuses("trees.txt: 39 trees, expected 40, one a sentence", Sentiment, path=rated, trees=str(path))
    path.write_text("\n".join([*lines[:2], lines[2].replace("film", "flim"), *lines[3:]]))
    refuses("trees.txt, line 3: the words are \"It 's bad flim", Sentiment, path=rated, trees=str(path))
    path.write_text("\n".join([*lines[:2], lines[2] + ")", *lines[3:]]))
    refuses("trees.txt: line 3, column .* without", Sentiment, path=rated, trees=str(path))
    refuses("cannot read .*none.txt", Sentiment, path=rated, trees=str(tmp_path / "none.txt"))
    spoken = Sentiment(path=rated).words
    path.write_text("\n".join(bracketed(words, np.array(right_branching(len(words)))) for words in spoken))
    found, right = (Sentiment(path=rated, **more).example().to_brackets() for more in ({"trees": str(path)}, {}))
    assert found == right
    few = tmp_path / "few.txt"
    few.write_text("1\t2\ta b\n2\t-2\tb a\n")
    refuses("2 different rated sentences, expected at least 5", SentimentWords, path=str(few))


# -- rnnsim parse ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parser(treebank, tmp_path_factory):
    """A run that brackets sentences."""
    out = tmp_path_factory.mktemp("runs") / "parser"
    task = Bracketing(path=str(treebank), min_count=2)
    net = rs.RecursiveNetwork(task.n_inputs, 1, tokens=True, hidden=3, leaves="own", score=True, context=True)
    rs.train(net, task, rs.learning.RULES.build("max-margin"), steps=2, batch=2, out=out)
    return out


def test_parse_brackets_every_line(parser, ok, tmp_path, monkeypatch):
    text = "The grey owl doesn't hoot.\n\nowls\nA grey, grey owl\n"
    words = ["The grey owl does n't hoot", "", "owls", "A grey grey owl"]
    (tmp_path / "s.txt").write_text(text)
    for flags in ((), ("--search", "beam", "--width", 3), ("--search", "chart")):
        found = ok("parse", parser, tmp_path / "s.txt", *flags, "--json")["trees"]
        assert [line.replace("(", "").replace(")", "") for line in found] == words
        assert [line.count("(") for line in found] == [5, 0, 0, 3]
    scored = ok("parse", parser, tmp_path / "s.txt", "--scores").splitlines()
    assert scored[3].count("):") == 3 and scored[2] == "owls"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert ok("parse", parser, "-").splitlines() == ok("parse", parser, tmp_path / "s.txt").splitlines()


def test_parse_refuses_what_is_no_text(parser, shell, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\xff\xfe")))
    (tmp_path / "s.txt").write_bytes(b"a\xff\xfe")
    for arguments, message in (
        (("-",), "standard input: not UTF-8 text (byte 1)"),
        ((tmp_path / "s.txt",), "s.txt: not UTF-8 text (byte 1)"),
        ((tmp_path / "s.txt", "--search", "guess"), "search=guess"),
        ((tmp_path / "none.txt",), "No such file"),
    ):
        if "--search" in arguments:
            (tmp_path / "s.txt").write_text("a b\n")
        code, out, error = shell("parse", parser, *arguments)
        assert code == 2 and message in error and error.count("\n") == 1, error
    code, _, error = shell("parse", parser, tmp_path / "s.txt", "--width", 3)
    assert code == 2 and "width=3: greedy search has width 1" in error
