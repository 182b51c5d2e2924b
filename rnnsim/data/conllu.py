"""Sentences with dependency trees from CoNLL-U files, the format of Universal Dependencies (universaldependencies.org)."""

import re
from typing import NamedTuple

from rnnsim.core.reading import Damaged, at_home, name_of, read_text
from rnnsim.core.registry import require
from rnnsim.data.fetch import EWT
from rnnsim.errors import RnnsimError

PARTS = ("train", "dev", "test")
_READ, _NAMES = (0, 1, 3, 6), ("id", "form", "upos", "head")  # of the ten columns
_LINE = 100_000  # characters; the longest line of UD English EWT has 400
_WORDS = 10_000  # of a sentence; the longest one of UD English EWT has 159


class Sentence(NamedTuple):
    """The words of a sentence and their dependency tree.

    words  the forms, as written
    tags   their universal parts of speech, such as "NOUN"
    heads  the number of the head of each word, counted from 1; 0 for the root
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    heads: tuple[int, ...]


def read_conllu(path):
    """All `Sentence` of a CoNLL-U file, in its order.

    Comments, ranges of words that are written as one ("1-2") and empty nodes ("8.1") are skipped. The package conllu
    (``pip install "rnnsim[trees]"``) reads the lines. Raises `RnnsimError`, one line with the file and its line, if a line does
    not have the ten columns, the words are not numbered 1, 2, 3, .., or the heads are no tree with one root.

    >>> import pathlib, tempfile
    >>> lines = ["1 dogs _ NOUN _ _ 2 nsubj _ _", "2 bark _ VERB _ _ 0 root _ _", ""]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a.conllu"
    ...     _ = path.write_text("\\n".join(lines).replace(" ", "\\t"))
    ...     read_conllu(path)
    [Sentence(words=('dogs', 'bark'), tags=('NOUN', 'VERB'), heads=(2, 0))]
    """
    parse = _parser()
    where, found, block, first = name_of(path), [], [], 1
    # An empty line ends a sentence; the last one may lack it.
    for number, line in enumerate([*read_text(at_home(path)).split("\n"), ""], 1):
        if len(line) > _LINE:
            raise Damaged(f"{where}, line {number}: {len(line):,} characters, expected at most {_LINE:,}")
        if line.strip():
            if not block:
                first = number
            block.append(line)
        elif block:
            sentence = _sentence(parse, block, where, first)
            if sentence is not None:
                found.append(sentence)
            block = []
    require(bool(found), f"{where}: there is no sentence")
    return found


def read_parts(path=None):
    """``{"train": [...], "dev": [...], "test": [...]}``: the `Sentence` of a treebank of Universal Dependencies.

    path : the folder of the files whose names end in ``-ud-train.conllu``, ``-ud-dev.conllu`` and ``-ud-test.conllu``; None:
        those of ``rnnsim data fetch ewt``

    Raises `RnnsimError` if one of them is missing, or as `read_conllu`.
    """
    if path is None:
        files = EWT.paths()
        return {part: read_conllu(files[f"en_ewt-ud-{part}.conllu"]) for part in PARTS}
    folder = at_home(path)
    require(folder.is_dir(), f"path={name_of(path)}: expected a folder with the files of a treebank, such as ewt")
    found = {}
    for part in PARTS:
        files = sorted(folder.glob(f"*-ud-{part}.conllu"))
        require(len(files) == 1, f"{name_of(path)}: expected one file *-ud-{part}.conllu, found {len(files)}")
        found[part] = read_conllu(files[0])
    return found


def _parser():
    try:
        import conllu.parser
    except ImportError:
        raise RnnsimError('reading CoNLL-U files needs the package conllu: pip install "rnnsim[trees]"') from None
    # Most numbers are plain ones; conllu's own parsers take the others.
    plain = {
        name: lambda cells, k, parser=conllu.parser.DEFAULT_FIELD_PARSERS[name]: (
            int(cells[k]) if cells[k].isdecimal() and cells[k].isascii() else parser(cells, k)
        )
        for name in ("id", "head")
    }

    def parse(lines):
        # Reading the columns that are wanted alone takes half the time.
        cells = (line.split("\t") for line in lines)
        text = "\n".join("\t".join(row[k] for k in _READ) for row in cells)
        text = re.sub(" {2,}", " ", text)  # two spaces would separate columns
        (tokens,) = conllu.parse(text + "\n", fields=_NAMES, field_parsers=plain)
        return tokens

    return parse


def _sentence(parse, block, where, first):
    """The `Sentence` of the lines of a block; None if they are comments only."""
    numbers = [first + k for k, line in enumerate(block) if not line.startswith("#")]
    lines = [line for line in block if not line.startswith("#")]
    if not lines:
        return None
    for number, line in zip(numbers, lines):
        columns = line.count("\t") + 1
        if columns != 10:
            raise Damaged(f"{where}, line {number}: {columns} columns, expected 10 with tabs between them")
    try:
        tokens = parse(lines)
    except Exception:  # of any type: conllu's own, or one of what it is made of
        number, reason = _first_wrong(parse, lines, numbers)
        raise Damaged(f"{where}, line {number}: {reason}") from None
    require(len(tokens) == len(lines), f"{where}, line {first}: damaged sentence")
    for number, token in zip(numbers, tokens):
        # conllu leaves out empty columns at the ends.
        if len(token) < len(_NAMES) or not token["form"].strip() or not token["upos"].strip():
            raise Damaged(f"{where}, line {number}: number, word, part of speech or head is empty")
    words = [(number, token) for number, token in zip(numbers, tokens) if not isinstance(token["id"], tuple)]
    require(bool(words), f"{where}, line {first}: a sentence without words")
    require(len(words) <= _WORDS, f"{where}, line {first}: {len(words):,} words, expected at most {_WORDS:,}")
    heads = []
    for count, (number, token) in enumerate(words, 1):
        head = token["head"]
        if token["id"] != count:
            raise Damaged(f"{where}, line {number}: word {token['id']}, expected {count}")
        if head is None or not 0 <= head <= len(words):
            raise Damaged(f"{where}, line {number}: head {'_' if head is None else head}, expected 0 to {len(words)}")
        heads.append(head)
    _require_tree(heads, [number for number, _ in words], where)
    return Sentence(
        tuple(token["form"] for _, token in words), tuple(token["upos"] for _, token in words), tuple(heads)
    )


def _first_wrong(parse, lines, numbers):
    """(number, reason) of the first line that cannot be read alone."""
    for number, line in zip(numbers, lines):
        try:
            parse([line])
        except Exception as error:
            text = re.sub(r"\s+", " ", str(error)).replace("parse_int_value", "a number")
            return number, f"not CoNLL-U ({text[:80]})"
    return numbers[0], "not CoNLL-U"


def _require_tree(heads, numbers, where):
    roots = heads.count(0)
    require(roots == 1, f"{where}, line {numbers[0]}: a sentence with {roots} roots, expected 1")
    state = [0] * (
        len(heads) + 1
    )  # of every word, the root's head first; 1: on the present way up, 2: its way ends there
    state[0] = 2
    for word in range(1, len(heads) + 1):
        way, at = [], word
        while state[at] == 0:
            state[at] = 1
            way.append(at)
            at = heads[at - 1]
        if state[at] == 1:
            raise Damaged(f"{where}, line {numbers[word - 1]}: the heads of word {word} go round in a circle")
        for at in way:
            state[at] = 2
