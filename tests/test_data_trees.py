"""Data for trees: CoNLL-U files and binary bracketings, rated sentences, regions of pictures, vocabularies."""

import io
import sys
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnsim.data.bracketings import (
    PMI,
    as_parses,
    balanced,
    binary_merges,
    bracketing_f1,
    is_projective,
    left_branching,
    matches,
    right_branching,
    spans,
    without,
)
from rnnsim.data.conllu import Sentence, read_conllu, read_parts
from rnnsim.data.rated import MEMBER, Rated, read_rated
from rnnsim.data.regions import FILES, read_arff, read_regions
from rnnsim.data.vocabulary import WordNumbers, sentence_words, shape
from rnnsim.errors import RnnsimError

# Two sentences of our own: a word of two parts, an empty node, punctuation, a comment and no empty line at the end.
SMALL = """\
# sent_id = 1
# text = Don't feed grey cats, please.
1-2 Don't _ _ _ _ _ _ _ _
1 Do do AUX VBP _ 3 aux _ _
2 n't not PART RB _ 3 advmod _ _
3 feed feed VERB VB _ 0 root _ _
4 grey grey ADJ JJ _ 5 amod _ _
5 cats cat NOUN NNS Number=Plur 3 obj _ SpaceAfter=No
6 , , PUNCT , _ 7 punct _ _
7 please please INTJ UH _ 3 discourse _ SpaceAfter=No
8 . . PUNCT . _ 3 punct _ _

# sent_id = 2
1 Owls owl NOUN NNS _ 2 nsubj _ _
2 hoot hoot VERB VBP _ 0 root _ _
2.1 hoot hoot VERB VBP _ _ _ _ _
3 at at ADP IN _ 4 case _ _
4 night night NOUN NN _ 2 obl _ _"""


def refuses(message, function, *arguments):
    with pytest.raises(RnnsimError, match=message) as found:
        function(*arguments)
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def written(tmp_path, text, name="a.conllu"):
    path = tmp_path / name
    path.write_text(text.replace(" ", "\t"), encoding="utf-8")
    return path


# -- CoNLL-U -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n# a comment at the end\n"])
def test_conllu(tmp_path, end):
    text = "\n".join(line if line.startswith("#") else line.replace(" ", "\t") for line in SMALL.split("\n"))
    path = tmp_path / "a.conllu"
    path.write_bytes((text + end).replace("\n", "\r\n").encode())
    first, second = read_conllu(path)
    assert first.words == ("Do", "n't", "feed", "grey", "cats", ",", "please", ".")
    assert first.tags == ("AUX", "PART", "VERB", "ADJ", "NOUN", "PUNCT", "INTJ", "PUNCT")
    assert first.heads == (3, 3, 0, 5, 3, 7, 3, 3)
    assert second == Sentence(("Owls", "hoot", "at", "night"), ("NOUN", "VERB", "ADP", "NOUN"), (2, 0, 4, 2))


def test_conllu_of_a_word_with_spaces(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text("1\t1  000\t_\tNUM\t_\t_\t0\troot\t_\t_\n")
    assert read_conllu(path) == [Sentence(("1 000",), ("NUM",), (0,))]


@pytest.mark.parametrize(
    "lines, message",
    [
        (["1 a _ X _ _ 0 root _"], "line 1: 9 columns, expected 10"),
        (["1 a _ X _ _ 0 root _ _", "2 b _ X _ _ 1 dep _ _ _"], "line 2: 11 columns"),
        (["1 a _ X _ _ 0 root _ _", "", "x b _ X _ _ 0 root _ _"], "line 3: not CoNLL-U .*'x' is not a valid ID"),
        (["1 a _ X _ _ one root _ _"], "line 1: not CoNLL-U .*'one' is not a valid value"),
        (["1 a _ X _ _ 0 root _ _", "3 b _ X _ _ 1 dep _ _"], "line 2: word 3, expected 2"),
        (["# c", "1 a _ X _ _ 2 dep _ _"], "line 2: head 2, expected 0 to 1"),
        (["1 a _ X _ _ -1 dep _ _"], "line 1: head -1, expected 0 to 1"),
        (["1 a _ X _ _ _ dep _ _"], "line 1: head _, expected 0 to 1"),
        (["1 a _ X _ _ 0 root _ _", "2 b _ X _ _ 0 root _ _"], "line 1: a sentence with 2 roots"),
        (["1 a _ X _ _ 2 dep _ _", "2 b _ X _ _ 1 dep _ _"], "line 1: a sentence with 0 roots"),
        (["1 a _ X _ _ 0 root _ _", "2 b _ X _ _ 3 d _ _", "3 c _ X _ _ 2 d _ _"], "line 2: .* go round in a circle"),
        (["1 a _ X _ _  dep _ _"], "line 1: number, word, part of speech or head is empty"),
        (["1  _ X _ _ 0 root _ _"], "line 1: number, word, part of speech or head is empty"),
        (["1-2 ab _ _ _ _ _ _ _ _"], "line 1: a sentence without words"),
        (["# only a comment"], "there is no sentence"),
        ([""], "there is no sentence"),
        (["1 " + "a" * 100_000], "line 1: 100,002 characters"),
    ],
)
def test_conllu_that_is_wrong(tmp_path, lines, message):
    path = written(tmp_path, "\n".join(lines))
    refuses("a.conllu.*" + message, read_conllu, path)


def test_conllu_of_other_files(tmp_path, monkeypatch):
    refuses("cannot read .*: No such file", read_conllu, tmp_path / "none.conllu")
    (tmp_path / "b.conllu").write_bytes(b"1\ta\xff")
    refuses("not UTF-8 text .byte 3.", read_conllu, tmp_path / "b.conllu")
    monkeypatch.setitem(sys.modules, "conllu", None)
    refuses('pip install "rnnsim.trees."', read_conllu, written(tmp_path, SMALL))


def test_parts_of_a_treebank(tmp_path):
    refuses("ewt: not in .*rnnsim data fetch ewt.* or give path=", read_parts)
    refuses("expected a folder", read_parts, tmp_path / "none")
    text = "\n".join(line if line.startswith("#") else line.replace(" ", "\t") for line in SMALL.split("\n"))
    for part in ("train", "dev"):
        (tmp_path / f"xx_own-ud-{part}.conllu").write_text(text)
    refuses("expected one file .*-ud-test.conllu, found 0", read_parts, tmp_path)
    (tmp_path / "xx_own-ud-test.conllu").write_text(text)
    assert {part: len(found) for part, found in read_parts(tmp_path).items()} == {"train": 2, "dev": 2, "test": 2}


# -- bracketings ---------------------------------------------------------------------------------------------------------------


def trees(heads):
    """The binary tree over words by the rule, from its definition, as nested pairs."""

    def of(word):
        found = word
        for other in range(word + 1, len(heads)):
            if heads[other] == word + 1:
                found = (found, of(other))
        for other in range(word - 1, -1, -1):
            if heads[other] == word + 1:
                found = (of(other), found)
        return found

    return of(heads.index(0))


def nested(merges, count):
    nodes = list(range(count))
    for left, right in merges:
        nodes.append((nodes[left], nodes[right]))
    assert sorted(node for pair in merges for node in pair) == list(range(len(nodes) - 1))
    return nodes[-1]


def leaves(tree):
    return [tree] if isinstance(tree, int) else [*leaves(tree[0]), *leaves(tree[1])]


@st.composite
def dependency_trees(draw, most=9):
    count = draw(st.integers(1, most))
    order = draw(st.permutations(range(count)))
    heads = [0] * count
    for k in range(1, count):
        heads[order[k]] = order[draw(st.integers(0, k - 1))] + 1
    return heads


def crossing(heads):
    """Whether two arcs cross, the one to the root from the left included."""
    arcs = [sorted((word + 1, head)) for word, head in enumerate(heads)]
    return any(a < c < b < d for a, b in arcs for c, d in arcs)


@settings(max_examples=300, deadline=None)
@given(dependency_trees())
def test_projective_trees_become_binary_ones(heads):
    assert is_projective(heads) == (not crossing(heads))
    if not is_projective(heads):
        return
    tree = nested(binary_merges(heads), len(heads))
    assert tree == trees(heads) and leaves(tree) == list(range(len(heads)))


def test_a_sentence_by_hand(tmp_path):
    # (Do (n't ((feed (grey cats)) please)))
    sentence = without(
        Sentence(
            ("Do", "n't", "feed", "grey", "cats", ",", "please"), tuple("XXXXX") + ("PUNCT", "X"), (3, 3, 0, 5, 3, 7, 3)
        )
    )
    assert sentence.words == ("Do", "n't", "feed", "grey", "cats", "please") and sentence.heads == (3, 3, 0, 5, 3, 3)
    assert nested(binary_merges(sentence.heads), 6) == (0, (1, ((2, (3, 4)), 5)))
    found = spans(as_parses([binary_merges(sentence.heads)]), [0, 6]).tolist()
    assert sorted(map(tuple, found)) == [(0, 5), (1, 5), (2, 4), (2, 5), (3, 4)]


def test_words_that_are_left_out():
    left = without(Sentence(tuple("abcd"), ("PUNCT", "X", "PUNCT", "Y"), (2, 3, 0, 3)))
    assert left == Sentence(("b", "d"), ("X", "Y"), (0, 1))  # the root was left out
    assert without(Sentence(("!",), ("PUNCT",), (0,))) is None


def test_f1_by_hand():
    right = as_parses([[(2, 3), (1, 4), (0, 5)], [(0, 1)], [(1, 2), (0, 3)]])
    starts = np.array([0, 4, 6, 9])
    ours = as_parses([[(2, 3), (0, 1), (5, 4)], [(0, 1)], [(1, 2), (0, 3)]])
    both, found, wanted = matches(ours, right, starts)
    assert both.tolist() == [1, 0, 1] and found.tolist() == wanted.tolist() == [2, 0, 1]
    assert bracketing_f1(ours, right, starts) == pytest.approx(2 / 3)
    assert bracketing_f1(right, right, starts) == 1
    assert bracketing_f1(as_parses([[(0, 1)]]), as_parses([[(0, 1)]]), np.array([0, 2])) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 12])
def test_simple_trees(count):
    left, right, even = (nested(tree(count), count) for tree in (left_branching, right_branching, balanced))
    expected_left, expected_right = 0, count - 1
    for word in range(1, count):
        expected_left, expected_right = (expected_left, word), (count - 1 - word, expected_right)
    assert left == expected_left and right == expected_right and leaves(even) == list(range(count))

    def depth(tree):
        return 0 if isinstance(tree, int) else 1 + max(map(depth, tree))

    assert depth(even) == int(np.ceil(np.log2(count)))


def test_pmi_joins_the_closest_border_first():
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, 60)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    text = rng.integers(0, 6, starts[-1]) ** 2 // 3
    pmi = PMI(text, starts, added=0.5)
    pairs = [(text[k], text[k + 1]) for first, last in zip(starts[:-1], starts[1:]) for k in range(first, last - 1)]
    symbols = int(text.max()) + 2

    def score(u, v):
        first, second = (sum(pair[k] == word for pair in pairs) for k, word in ((0, u), (1, v)))
        both = sum(pair == (u, v) for pair in pairs)
        total = len(pairs) + 0.5 * symbols**2
        return np.log((both + 0.5) * total / ((first + 0.5 * symbols) * (second + 0.5 * symbols)))

    for _ in range(20):
        sentence = rng.integers(0, 12, rng.integers(1, 9))
        known = np.minimum(sentence, symbols - 1)
        assert np.allclose(pmi.scores(sentence), [score(u, v) for u, v in zip(known[:-1], known[1:])])
        row = [(k, known[k], known[k]) for k in range(len(sentence))]  # spans: tree, first word, last word
        while len(row) > 1:
            best = int(np.argmax([np.round(score(a[2], b[1]), 12) for a, b in zip(row[:-1], row[1:])]))
            a, b = row[best : best + 2]
            row[best : best + 2] = [((a[0], b[0]), a[1], b[2])]
        assert nested(pmi.merges(sentence), len(sentence)) == row[0][0]
    refuses("no pair of words", PMI, [1, 2], [0, 1, 2])


# -- rated sentences, regions, words ------------------------------------------------------------------------------------------


def archived(path, name, data):
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))


def test_rated_sentences(tmp_path):
    text = "1\t2.5\tA clichéd, fine film.\r\n2\t-0.75\t Not  mine! \r\n"
    (tmp_path / "mine.txt").write_bytes(text.encode())
    archived(tmp_path / "all.tar.gz", f"folder/{MEMBER}", text.encode())
    expected = [Rated(2.5, "A clichéd, fine film."), Rated(-0.75, "Not  mine!")]
    assert read_rated(tmp_path / "mine.txt") == read_rated(tmp_path / "all.tar.gz") == expected
    refuses("rated-sentences: not in .* or give path=", read_rated)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1\t2\n", "line 1: 2 columns, expected number, rating and text"),
        ("1\t2\ta\n\n2\tmuch\tb\n", "line 3: the rating: expected a number, got 'much'"),
        ("1\t4.5\ta\n", "line 1: a rating of 4.5, expected -4 to 4"),
        ("1\tnan\ta\n", "line 1: a rating of nan"),
        ("\n", "there is no sentence"),
    ],
)
def test_rated_sentences_that_are_wrong(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    refuses("a.txt.*" + message, read_rated, tmp_path / "a.txt")


def test_archives_that_are_wrong(tmp_path):
    path = tmp_path / "a.tar.gz"
    archived(path, "other.txt", b"")
    refuses(f"there is no {MEMBER} in it", read_rated, path)
    archived(path, MEMBER, b"1\t2\t\xff")
    refuses("is not UTF-8 text .byte 4.", read_rated, path)
    archived(path, MEMBER, np.random.default_rng(0).bytes(5000))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuses("cut short", read_rated, path)
    path.write_bytes(b"nothing packed")
    refuses("damaged", read_rated, path)


ARFF = """% a comment
@RELATION regions

@attribute 'grey mean' NUMERIC
@attribute hue real
@attribute class {sky,'wet grass'}
@DATA
1,-2.5,sky
% between
3e1,0, 'wet grass'
"""


def test_regions(tmp_path):
    for name in FILES.values():
        (tmp_path / name).write_text(ARFF)
    for regions in read_regions(tmp_path):
        assert regions.features.tolist() == [[1, -2.5], [30, 0]] and regions.classes.tolist() == [0, 1]
        assert regions.columns == ("grey mean", "hue") and regions.names == ("sky", "wet grass")
    (tmp_path / FILES["test"]).write_text(ARFF.replace("hue", "tint"))
    refuses("have different attributes", read_regions, tmp_path)
    refuses("expected the folder of", read_regions, tmp_path / FILES["test"])


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("hue real", "hue string", "line 5: attribute hue is string, expected numeric or one nominal class"),
        ("@attribute hue", "@attr hue", "line 5: expected @attribute or @data, got '@attr hue real'"),
        ("@DATA", "@attribute more real\n@DATA", "line 7: an attribute after the class"),
        ("sky,'wet", "sky,sky,'wet", "line 6: a class is empty or named twice"),
        ("@attribute class {sky,'wet grass'}", "", "expected numeric attributes and a nominal class"),
        ("1,-2.5,sky", "1,sky", "line 8: 2 values, expected 3"),
        ("1,-2.5,sky", "1,?,sky", "line 8: expected a number, got '?'"),
        ("1,-2.5,sky", "1,inf,sky", "line 8: a value is not finite"),
        ("1,-2.5,sky", "1,2,sea", "line 8: class 'sea', expected one of sky, wet grass"),
        ("1,-2.5,sky\n% between\n3e1,0, 'wet grass'", "", "there is no row of values"),
    ],
)
def test_regions_that_are_wrong(tmp_path, old, new, message):
    (tmp_path / "a.arff").write_text(ARFF.replace(old, new))
    refuses("a.arff.*" + message, read_arff, tmp_path / "a.arff")


def test_words_of_sentences():
    found = sentence_words("Its 'best' scenes aren't Conan\u2019s, it'S 3 D in the U.S., 1.5 'll")
    expected = [
        "Its",
        "best",
        "scenes",
        "are",
        "n't",
        "Conan",
        "'s",
        "it",
        "'S",
        "3",
        "D",
        "in",
        "the",
        "U.S",
        "1.5",
        "'ll",
    ]
    assert found == expected == sentence_words(" ".join(expected))


def test_numbers_of_words():
    numbers = WordNumbers([["The", "dog", "saw", "the", "cat"], ["a", "dog"]], min_count=2)
    assert numbers.names[7:] == ("the", "dog") and len(numbers) == 9
    found = [numbers.names[k] for k in numbers.encode(["DOG", "Cat", "4th", "sawing", "sawed", "sadly", "saws", "saw"])]
    assert found == ["dog", "<capitalised>", "<number>", "<-ing>", "<-ed>", "<-ly>", "<-s>", "<other>"]
    assert [shape(word) for word in ("ring", "bed", "fly", "as", "bees", "élan", "Élan", "'s")] == [
        "other", "other", "other", "other", "-s", "other", "capitalised", "other",
    ]  # fmt: skip
