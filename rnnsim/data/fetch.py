"""The data sets: addresses, checksums and the folder that holds the files."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rnnsim.core.registry import require
from rnnsim.errors import RnnsimError

SAMPLES = Path(__file__).parent / "samples"


def data_folder():
    """The folder of all fetched data sets, one folder a data set (it need not exist).

    It is `$RNNSIM_DATA_DIR`, or else `rnnsim/data` in the cache folder of the user (`$XDG_CACHE_HOME`, `~/.cache`;
    `%LOCALAPPDATA%` on Windows).
    """
    given = os.environ.get("RNNSIM_DATA_DIR")
    if given:
        return Path(given)
    base = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "rnnsim" / "data"


@dataclass(frozen=True)
class DataSet:
    """A data set and its files.

    Fetching needs the optional package pooch (``pip install "rnnsim[data]"``); files that are on disk, the samples that come
    with rnnsim, and files named by `path` need nothing.

    Parameters
    ----------
    name : as in the registry `rnnsim.data.DATA`
    files : {name of a file: checksum as "md5:..." or "sha256:..."}; samples that come with rnnsim have none
    address : the address of the folder of the files; None for samples that come with rnnsim
    terms : the conditions of use, and the authors to name

    >>> DIGITS.shipped, DIGITS.fetch()["digits.npz"].name
    (True, 'digits.npz')
    """

    name: str
    files: dict[str, str | None]
    address: str | None
    terms: str

    @property
    def shipped(self):
        """Whether the files come with rnnsim."""
        return self.address is None

    @property
    def folder(self):
        """The folder of the files."""
        return SAMPLES if self.shipped else data_folder() / self.name

    @property
    def here(self):
        """Whether all files are on disk; `fetch` has compared their checksums."""
        return all((self.folder / name).is_file() for name in self.files)

    def paths(self):
        """``{name: Path}`` of the files on disk. Raises `RnnsimError`, which says how to get them, if one is missing."""
        require(self.here, f"{self.name}: not in {self.folder}; run `rnnsim data fetch {self.name}` or give path=")
        return {name: self.folder / name for name in self.files}

    def fetch(self, progress=False):
        """Fetch the files that are missing, compare their checksums, and return ``{name: Path}``.

        progress : show a progress bar

        Raises `RnnsimError` if pooch is not installed, the address cannot be reached, or a checksum does not match.
        """
        if self.shipped:
            return self.paths()
        try:
            import pooch
        except ImportError:
            wanted = f'fetching {self.name} needs pooch: pip install "rnnsim[data]", or give path= to files on disk'
            raise RnnsimError(wanted) from None
        pooch.get_logger().setLevel("WARNING")
        found = {}
        for name, checksum in self.files.items():
            try:
                path = pooch.retrieve(self.address + name, checksum, name, self.folder, progressbar=progress)
            except ValueError:
                raise RnnsimError(
                    f"{self.address}{name}: the checksum is not {checksum}; the file was discarded"
                ) from None
            except OSError as error:
                reason = str(error).split("\n")[0]
                reason = reason if len(reason) <= 100 else type(error).__name__
                raise RnnsimError(f"{self.address}{name}: cannot be fetched ({reason})") from None
            found[name] = Path(path)
        return found


DIGITS = DataSet(
    "digits",
    {"digits.npz": None},
    None,
    "CC BY 4.0: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository",
)
MNIST = DataSet(
    "mnist",
    {
        "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    },
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "The MNIST database of handwritten digits, Y. LeCun, C. Cortes and C. J. C. Burges, 1998",
)
FASHION_MNIST = DataSet(
    "fashion-mnist",
    {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "MIT licence: Fashion-MNIST, Zalando SE, H. Xiao, K. Rasul and R. Vollgraf, 2017",
)
IMDB = DataSet(
    "imdb",
    {"aclImdb_v1.tar.gz": "md5:7c2ac02c03563afcf9b574c7e56c153a"},
    "https://ai.stanford.edu/~amaas/data/sentiment/",
    "Large Movie Review Dataset, A. L. Maas et al., ACL 2011: name the paper; the reviews belong to their writers",
)
MOBY_DICK = DataSet(
    "moby-dick", {"moby-dick.txt": None}, None, "public domain: Herman Melville, Moby-Dick; or, The Whale, 1851"
)
SHAKESPEARE = DataSet(
    "shakespeare",
    {"input.txt": "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
    "public domain: 40,000 lines of William Shakespeare, collected by A. Karpathy, 2015",
)
EWT = DataSet(
    "ewt",
    {
        "en_ewt-ud-train.conllu": "sha256:0c887eae58b922fc9909853aa0910081f8360042cf76eef0223b66dbb6041867",
        "en_ewt-ud-dev.conllu": "sha256:7def75a2e66e66e342a5c8cc839067bcf98e73dac6737993d42bfea01159378d",
        "en_ewt-ud-test.conllu": "sha256:5ff3d53f8d64f5640bcb2409af4be6b46e139fa2ec1ff40501bf1a19f124da8b",
    },
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/r2.12/",
    "CC BY-SA 4.0: Universal Dependencies 2.12, English Web Treebank, N. Silveira et al., LREC 2014",
)
RATED = DataSet(
    "rated-sentences",
    {"hutto_ICWSM_2014.tar.gz": "sha256:d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"},
    "https://raw.githubusercontent.com/cjhutto/vaderSentiment/44fc044cd877310ee8278a0eadf34bcd50d41d06/"
    "additional_resources/",
    "ratings: C. J. Hutto and E. Gilbert, ICWSM 2014, name the paper; the sentences belong to their writers",
)
