"""Film reviews, for or against the film: the Large Movie Review Dataset of A. L. Maas et al., ACL 2011."""

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnnsim.core.reading import LARGE, Damaged, Unpacked, at_home, name_of, opened, read_json, read_text, rows
from rnnsim.core.registry import require
from rnnsim.data.fetch import IMDB
from rnnsim.errors import RnnsimError

LABELS = {"0": 0, "neg": 0, "negative": 0, "1": 1, "pos": 1, "positive": 1}
_FOLDERS = {(part, name): LABELS[name] for part in ("train", "test") for name in ("neg", "pos")}
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_REVIEW = 2**24  # bytes; the longest has 14,000
_HALVES = 50_000  # the seed of the order in which files without a split are cut in half


def words(text):
    """The words of a review, in order.

    HTML line breaks ``<br />`` become spaces, letters lower case; a word is a run of letters and digits, with apostrophes
    inside ("don't" is one word); everything else separates words.

    >>> words("It's GOOD,<br /><br />isn't it? 9/10")
    ["it's", 'good', "isn't", 'it', '9', '10']
    """
    return _WORD.findall(_BREAK.sub(" ", text).lower())


@dataclass(frozen=True)
class Reviews:
    """Reviews as token numbers, one behind the other; review r is ``tokens[starts[r] : starts[r + 1]]``.

    tokens  (all words,) int32, numbers of words
    starts  (R + 1,) int64
    labels  (R,) int32, 1 for the film and 0 against it
    train   (R,) bool, whether it is a training review
    known   tuple, the word of every number
    """

    tokens: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    known: tuple


def read_reviews(path=None):
    """All `Reviews` of a file or folder.

    path : one of these; None: the archive of ``rnnsim data fetch imdb``

        aclImdb_v1.tar.gz   the official archive, or the folder it unpacks to: one review a file, in train/neg, train/pos,
                            test/neg and test/pos, 12,500 each
        .json               a list of {"t": text, "s": score}, all reviews in one file; score 0 is against, 1 for the film
        .csv                a header line with the columns text and label (0 or 1, neg or pos, negative or positive); other
                            columns are skipped

    Files without a split are shuffled, always in the same way, and cut in half: training and test. Training reviews come first,
    in a shuffled order that is always the same, then the test reviews. `words` says what a word is. Raises `RnnsimError`, one
    line with the name of the file, if it cannot be read or has another format.
    Source: A. L. Maas et al., ACL 2011.

    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "reviews.json"
    ...     _ = path.write_text(json.dumps([{"t": "good film", "s": 1}, {"t": "bad film", "s": 0}]))
    ...     reviews = read_reviews(path)
    >>> sorted(reviews.known), reviews.starts.tolist(), reviews.train.tolist()
    (['bad', 'film', 'good'], [0, 2, 4], [True, False])
    """
    path = IMDB.paths()["aclImdb_v1.tar.gz"] if path is None else at_home(path)
    if path.is_dir():
        given = list(_from_folder(path))
    elif path.suffix == ".json":
        given = list(_from_json(path))
    elif path.suffix == ".csv":
        given = list(_from_csv(path))
    elif path.suffix in (".gz", ".tgz"):
        given = list(_from_archive(path))
    else:
        raise RnnsimError(f"{name_of(path)}: expected aclImdb_v1.tar.gz, the folder aclImdb, or a .json or .csv file")
    require(len(given) >= 2, f"{name_of(path)}: {len(given)} reviews, expected at least 2")
    # An archive and a folder list their files in different orders; sorting gives both the same reviews.
    given.sort()
    order = np.random.Generator(np.random.Philox(_HALVES)).permutation(len(given))
    split = given[0][0] != ""
    train = (
        np.array([given[r][0] == "train" for r in order]) if split else np.arange(len(order)) < (len(order) + 1) // 2
    )
    order, train = order[np.argsort(~train, kind="stable")], np.sort(train)[::-1]
    require(0 < train.sum() < len(train), f"{name_of(path)}: expected reviews in both parts, train and test")
    return _numbered([given[r] for r in order], train)


def _numbered(given, train):
    """`Reviews` from a list of (part, label, text); words are numbered as they appear."""
    numbers = {}
    pieces = []
    for _, _, text in given:
        pieces.append(np.array([numbers.setdefault(word, len(numbers)) for word in words(text)], np.int32))
    starts = np.cumsum([0] + [piece.size for piece in pieces])
    labels = np.array([label for _, label, _ in given], np.int32)
    return Reviews(np.concatenate(pieces), starts, labels, train, tuple(numbers))


def _from_folder(path):
    root = path / "aclImdb" if (path / "aclImdb").is_dir() else path
    for (part, name), label in _FOLDERS.items():
        folder = root / part / name
        require(
            folder.is_dir(),
            f"{name_of(path)}: there is no folder {part}/{name}; expected the unpacked aclImdb_v1.tar.gz",
        )
        for file in folder.glob("*.txt"):
            yield part, label, read_text(file)


def _from_archive(path):
    damaged = Damaged(f"{name_of(path)}: damaged or cut short, expected aclImdb_v1.tar.gz")
    with opened(path) as file:
        stream = Unpacked(file, path)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    place = tuple(Path(member.name).parts[-3:-1])
                    if place in _FOLDERS and member.isfile() and member.name.endswith(".txt"):
                        require(
                            member.size <= _REVIEW, f"{name_of(path)}: {name_of(member.name)} has {member.size:,} bytes"
                        )
                        yield place[0], _FOLDERS[place], archive.extractfile(member).read().decode("utf-8")
                # tarfile takes a damaged header for the end of the archive; the checksum at the end of the file tells.
                while stream.read(2**20):
                    pass
        except UnicodeDecodeError:
            raise Damaged(f"{name_of(path)}: {name_of(member.name)} is not UTF-8 text") from None
        except (RnnsimError, OSError, MemoryError):
            raise
        except Exception:  # damaged bytes make tarfile raise many types
            raise damaged from None


def _from_json(path):
    entries = read_json(path, list, limit=LARGE)
    for number, entry in enumerate(entries, 1):
        fits = isinstance(entry, dict) and isinstance(entry.get("t"), str) and "s" in entry
        require(fits, f'{name_of(path)}, entry {number}: expected a list of {{"t": text, "s": score}}')
        yield "", _label(entry["s"], f"{name_of(path)}, entry {number}"), entry["t"]


def _from_csv(path):
    lines = rows(path)
    _, header = next(lines, (0, []))
    require(
        {"text", "label"} <= set(header), f"{name_of(path)}: expected a header line with the columns text and label"
    )
    text, label = header.index("text"), header.index("label")
    for line, cells in lines:
        require(len(cells) > max(text, label), f"{name_of(path)}, line {line}: expected a text and a label")
        yield "", _label(cells[label], f"{name_of(path)}, line {line}"), cells[text]


def _label(value, where):
    text = str(value).strip().lower()
    require(text in LABELS, f"{where}: label {text[:20]!r}, expected one of {', '.join(LABELS)}")
    return LABELS[text]
