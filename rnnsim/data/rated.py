"""Sentences of film reviews, rated by people (C. J. Hutto and E. Gilbert, "VADER", ICWSM 2014)."""

import tarfile
from typing import NamedTuple

from rnnsim.core.reading import Damaged, Unpacked, at_home, name_of, number, opened, read_text
from rnnsim.core.registry import require
from rnnsim.data.fetch import RATED
from rnnsim.errors import RnnsimError

MEMBER = "movieReviewSnippets_GroundTruth.txt"
LOWEST, HIGHEST = -4.0, 4.0
_MEMBER = 2**26  # bytes; the file has 1.4 MB
_TEXT = 100_000  # characters of a sentence; the longest has 300


class Rated(NamedTuple):
    """A sentence and its mean rating by ten people or more: -4, extremely negative, to 4, extremely positive."""

    rating: float
    text: str


def read_rated(path=None):
    """All `Rated` sentences of a file, in its order.

    path : ``hutto_ICWSM_2014.tar.gz``, or the file ``movieReviewSnippets_GroundTruth.txt`` in it: a line a sentence, number,
        rating and text with tabs between them, UTF-8; None: the archive of ``rnnsim data fetch rated-sentences``

    Raises `RnnsimError`, one line with the file and its line, for another format.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "rated.txt"
    ...     _ = path.write_text("1\\t2.25\\tA fine film.\\n2\\t-3\\tTwo lost hours.\\n")
    ...     read_rated(path)
    [Rated(rating=2.25, text='A fine film.'), Rated(rating=-3.0, text='Two lost hours.')]
    """
    path = RATED.paths()["hutto_ICWSM_2014.tar.gz"] if path is None else at_home(path)
    where, found = name_of(path), []
    text = _from_archive(path) if path.suffix in (".gz", ".tgz") else read_text(path)
    for line, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        cells = row.split("\t")
        require(len(cells) == 3, f"{where}, line {line}: {len(cells)} columns, expected number, rating and text")
        require(len(cells[2]) <= _TEXT, f"{where}, line {line}: a text of {len(cells[2]):,} characters")
        try:
            rating = number(cells[1])
        except RnnsimError as error:
            raise Damaged(f"{where}, line {line}: the rating: {error}") from None
        fits = LOWEST <= rating <= HIGHEST
        require(fits, f"{where}, line {line}: a rating of {rating:g}, expected {LOWEST:g} to {HIGHEST:g}")
        found.append(Rated(rating, cells[2].strip()))
    require(bool(found), f"{where}: there is no sentence")
    return found


def _from_archive(path):
    """The text of the member with the sentences."""
    where = name_of(path)
    with opened(path) as file:
        stream = Unpacked(file, path)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    if member.isfile() and member.name.rsplit("/", 1)[-1] == MEMBER:
                        require(member.size <= _MEMBER, f"{where}: {MEMBER} has {member.size:,} bytes")
                        data = archive.extractfile(member).read()
                        # The checksum stands at the end of the file.
                        while stream.read(2**20):
                            pass
                        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError as error:
            raise Damaged(f"{where}: {MEMBER} is not UTF-8 text (byte {error.start})") from None
        except (RnnsimError, OSError, MemoryError):
            raise
        except Exception:  # damaged bytes make tarfile raise many types
            raise Damaged(f"{where}: damaged or cut short, expected hutto_ICWSM_2014.tar.gz") from None
    raise Damaged(f"{where}: there is no {MEMBER} in it")
