"""Reading data: idx, arrays, text, the digits; fetching from a local server; the order of examples."""

import gzip
import hashlib
import http.server
import io
import sys
import threading
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnsim.core.reading import read_npy, read_npz, read_text
from rnnsim.data import DATA
from rnnsim.data.arrays import finite, load_arrays, read_table, whole_numbers
from rnnsim.data.digits import digits
from rnnsim.data.epochs import Epochs
from rnnsim.data.fetch import DataSet, data_folder
from rnnsim.data.idx import TYPES, read_idx, write_idx
from rnnsim.data.mnist import fashion_mnist, mnist
from rnnsim.data.text import TEXTS, Vocabulary, named_text
from rnnsim.errors import RnnsimError


def refuses(message, function, *arguments):
    with pytest.raises(RnnsimError, match=message) as found:
        function(*arguments)
    assert "\n" not in str(found.value)
    return str(found.value)


# -- idx ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES.values())
@pytest.mark.parametrize("shape", [(5,), (0,), (2, 3, 4)])
@pytest.mark.parametrize("name", ["a-idx", "a-idx.gz"])
def test_idx_there_and_back(tmp_path, kind, shape, name):
    array = (np.arange(np.prod(shape)).reshape(shape) * 37 % 120).astype(np.dtype(kind).newbyteorder("="))
    write_idx(tmp_path / name, array)
    found = read_idx(tmp_path / name, (None, *shape[1:]))
    assert np.array_equal(found, array) and found.dtype == array.dtype and found.dtype.isnative
    assert (tmp_path / name).read_bytes()[:2] == (b"\x1f\x8b" if name.endswith(".gz") else b"\0\0")


def test_idx_bytes(tmp_path):
    write_idx(tmp_path / "a", np.array([[1, -2]], np.int16))
    assert (tmp_path / "a").read_bytes() == bytes([0, 0, 11, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 255, 254])


def test_bad_idx(tmp_path):
    path = tmp_path / "a"
    whole = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    for content, message in (
        (b"", "not an idx file .*missing"),
        (b"\0\0\7\1" + whole[4:], "not an idx file .*00000701"),
        (b"\1\0\10\1" + whole[4:], "not an idx file"),
        (b"\0\0\10\0", "not an idx file"),
        (whole[:9], "cut short, 9 bytes of a header of 12"),
        (whole[:-1], "cut short, 17 bytes where 2 x 3 elements need 18"),
        (whole + b"\0", "too long, more than 18 bytes where 2 x 3 elements need 18"),
        (gzip.compress(whole)[:-9], "cut short, the gzipped data ends too early"),
        (gzip.compress(whole)[:12] + b"\xff\xff\xff" + gzip.compress(whole)[15:], "a: "),
    ):
        path.write_bytes(content)
        assert "/a:" in refuses(message, read_idx, path).replace("\\", "/")
    path.write_bytes(whole)
    refuses("holds an array 2 x 3, expected N x 28 x 28", read_idx, path, (None, 28, 28))
    refuses("holds an array 2 x 3, expected 2 x 4", read_idx, path, (2, 4))
    refuses("No such file", read_idx, tmp_path / "none")
    refuses("cannot hold complex128", write_idx, path, np.zeros(2, complex))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_an_array_or_one_line(tmp_path_factory, content, zipped):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(gzip.compress(content) if zipped else b"\0\0\10\1" + content)
    for read in (read_idx, read_npy, read_npz, read_table, read_text):
        try:
            read(path)
        except RnnsimError as error:
            assert "\n" not in str(error) and str(path) in str(error)


def images(folder, part, count, label=3, side=28):
    write_idx(folder / f"{part}-images-idx3-ubyte", np.zeros((count, side, side), np.uint8))
    write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.full(count, label, np.uint8))


def test_mnist_folders(tmp_path):
    images(tmp_path, "train", 6)
    images(tmp_path, "t10k", 2)
    for read in (mnist, fashion_mnist):
        (x, d), (test_x, test_d) = read(tmp_path)
        assert x.shape == (6, 28, 28) and test_x.shape == (2, 28, 28) and d.tolist() == 6 * [3] and len(test_d) == 2
    (tmp_path / "t10k-images-idx3-ubyte").rename(tmp_path / "t10k-images.idx3-ubyte")
    assert len(mnist(tmp_path)[1][0]) == 2
    images(tmp_path, "train", 6, label=10)
    refuses("train-labels-idx1-ubyte.gz: class 10, expected 0 to 9", mnist, tmp_path)
    images(tmp_path, "train", 6, side=27)
    refuses("6 x 27 x 27, expected N x 28 x 28", mnist, tmp_path)
    images(tmp_path, "train", 0)
    refuses("empty", mnist, tmp_path)
    images(tmp_path, "train", 6)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(5, np.uint8))
    refuses("holds an array 5, expected 6", mnist, tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    refuses("there is no train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz", mnist, tmp_path)
    refuses("expected a folder", mnist, tmp_path / "none")


# -- arrays ---------------------------------------------------------------------------------------------------------------


def test_npy(tmp_path):
    path, array = tmp_path / "a.npy", np.arange(12.0).reshape(3, 4)
    np.save(path, array)
    assert np.array_equal(read_npy(path), array)
    whole = path.read_bytes()
    for kept in (6, 9, 40, len(whole) - 1):
        path.write_bytes(whole[:kept])
        refuses(r"a\.npy: damaged or cut short", read_npy, path)
    path.write_bytes(b"PK\3\4" + whole)
    refuses("not a .npy file, it begins with 504b", read_npy, path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, dict(descr="<f8", fortran_order=False, shape=(10**14,)))
    path.write_bytes(header.getvalue())
    refuses("damaged or cut short", read_npy, path)
    np.save(path, np.array([1, None], object), allow_pickle=True)
    refuses("holds Python objects", read_npy, path)
    for strange in (np.array(["a"]), np.zeros(2, complex), np.zeros(2, [("a", float)])):
        np.save(path, strange)
        refuses("expected numbers", read_npy, path)
    refuses("No such file", read_npy, tmp_path / "b.npy")


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, inputs=np.arange(300.0), targets=np.arange(3))
    assert {name: a.shape for name, a in read_npz(path).items()} == {"inputs": (300,), "targets": (3,)}
    whole = path.read_bytes()
    for content in (whole[:100], whole[:-5], whole[:120] + b"\xff\xff\xff" + whole[123:]):
        path.write_bytes(content)
        refuses(r"a\.npz: damaged or cut short", read_npz, path)
    path.write_bytes(b"")
    refuses("not a .npz file, it begins with nothing", read_npz, path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("hello.txt", "no array")
    refuses("'hello.txt' holds something else, expected numbers", read_npz, path)
    np.savez(path, inputs=np.array([None]))
    refuses("holds Python objects", read_npz, path)
    np.savez(path, x=np.zeros(2))
    refuses("no array 'inputs', only x", load_arrays, path, "inputs")
    refuses("expected a file that ends in .npy, .npz or .csv", load_arrays, tmp_path / "a.mat", "inputs")


def test_csv(tmp_path):
    path = tmp_path / "a.csv"
    for content, names, values in (
        ("1,2\n3,4\n", None, [[1, 2], [3, 4]]),
        ('\ufeff load , "the, price"\r\n\r\n1, 2\r\n-3e1,"4"\r\n\r\n', ("load", '"the', 'price"'), None),
        ('load,"the, price"\n1,2\n', ("load", "the, price"), [[1, 2]]),
        ("5", None, [[5]]),
    ):
        path.write_bytes(content.encode())
        if values is None:
            refuses("line 3: 2 columns, expected 3 as in the first line", read_table, path)
        else:
            table = read_table(path)
            assert table.names == names and table.values.tolist() == values
    for content, message in (
        ("", "no row of numbers"),
        ("a,b\n", "no row of numbers"),
        ("1,2\n3\n", "line 2: 1 columns, expected 2 as in the first line"),
        ("a,b\n1,2\n\n3,x\n", "line 4, column 2: expected a number, got 'x'"),
        ("1,x\n3,4\n", "line 1, column 2: expected a number"),
        ("1,2\n3,\n", "line 2, column 2: expected a number, got ''"),
        ("1,2\n3,nan\n", "line 2, column 2: expected a finite number, got nan"),
        ("a\n\n1\n-inf\n", "line 4, column 1: expected a finite number, got -inf"),
        ("load,price,2\n1,2,3\n", "line 1, column 1: expected a number, got 'load'"),
    ):
        path.write_text(content)
        refuses(message, read_table, path)
    path.write_text("load,price\n1,2\n3,4\n")
    found = load_arrays(path, "inputs", ("price",))
    assert found["inputs"].tolist() == [1, 3] and found["targets"].tolist() == [2, 4]
    refuses("unknown column of .*'prise'; did you mean 'price'", load_arrays, path, "inputs", ("prise",))
    refuses("all columns are targets", load_arrays, path, "inputs", ("1", "2"))
    refuses(
        "there is no column 4, expected a number between 1 and 1", load_arrays, _written(path, "1\n"), "inputs", ("4",)
    )


def _written(path, text):
    path.write_text(text)
    return path


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1))
def test_csv_there_and_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "floats.csv"
    path.write_text("\n".join(",".join(map(repr, row)) for row in rows))
    assert read_table(path).values.tolist() == rows


def test_numbers_as_networks_take_them():
    assert finite("x", np.arange(3)).dtype == np.float32 and whole_numbers("x", np.arange(3.0)).dtype == np.int32
    assert finite("x", np.zeros((2, 3)).T).flags.c_contiguous
    refuses(r"x\[1\] is inf", finite, "x", np.array([0, 1e300]))
    for strange in (-1, 0.5, np.nan, np.inf, 2.0**31):
        refuses(r"x\[1, 0\] is .*, expected a whole number", whole_numbers, "x", np.array([[0.0], [strange]]))


# -- text -----------------------------------------------------------------------------------------------------------------


def test_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffä\r\nb\rc\n".encode())
    assert read_text(path) == "ä\nb\nc\n"
    path.write_bytes(b"ab\xff")
    refuses(r"a\.txt: not UTF-8 text \(byte 2\)", read_text, path)
    refuses("No such file", read_text, tmp_path / "b.txt")
    refuses("directory|denied", read_text, tmp_path)
    assert set(TEXTS) == {"moby-dick", "shakespeare"} and len(named_text("moby-dick")) == 303_550


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_vocabulary(text):
    vocabulary = Vocabulary(text)
    numbers = vocabulary.encode(text)
    assert vocabulary.characters == "".join(sorted(set(text))) and len(vocabulary) == len(set(text))
    assert numbers.dtype == np.int32 and [vocabulary.characters[n] for n in numbers] == list(text)
    assert vocabulary.decode(numbers) == text
    strange = next(chr(c) for c in range(128) if chr(c) not in text)
    refuses("is not in the vocabulary", vocabulary.encode, text + strange)
    for number in (-1, len(vocabulary)):
        refuses("expected characters between 0 and", vocabulary.decode, [number])


# -- digits, epochs -------------------------------------------------------------------------------------------------------


def test_digits():
    pixels, labels = digits()
    assert pixels.shape == (1797, 8, 8) and pixels.dtype == labels.dtype == np.uint8
    assert pixels.max() == 16 and len(np.unique(pixels.reshape(1797, -1), axis=0)) == 1797
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # A zero is dark in the middle and a one is bright there: rows and columns have not been confused.
    middle = pixels[:, 3:5, 3:5].mean(axis=(1, 2))
    assert middle[labels == 0].mean() < 2 < 10 < middle[labels == 1].mean()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(0, 2**40), st.integers(0, 50))
def test_every_epoch_is_a_permutation(count, size, seed, epoch):
    order = Epochs(count)
    first = epoch * count // size  # the training steps that overlap the epoch
    last = -(-(epoch + 1) * count // size)
    rows = np.concatenate([order.rows(seed, step, size) for step in range(first, last)])
    skipped = epoch * count - first * size
    one = rows[skipped : skipped + count]
    assert sorted(one) == list(range(count)) and np.array_equal(one, Epochs(count).permutation(seed, epoch))


def test_epochs_differ():
    order = Epochs(100)
    found = {tuple(order.permutation(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(found) == 16
    refuses("the training part is empty", Epochs, 0)
    refuses("seed=-1", order.rows, -1, 0, 5)


# -- fetching -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """The address of a server of a folder, and the folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/", folder
        running.shutdown()
        thread.join()


def data_set(address, content, name="a.bin"):
    return DataSet("mine", {name: "sha256:" + hashlib.sha256(content).hexdigest()}, address, "ours")


def test_fetch(server, tmp_path, monkeypatch):
    monkeypatch.setenv("RNNSIM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address, folder = server
    (folder / "a.bin").write_bytes(b"content")
    mine = data_set(address, b"content")
    assert not mine.here and not mine.shipped
    refuses("mine: not in .*; run `rnnsim data fetch mine` or give path=", mine.paths)
    assert mine.fetch()["a.bin"].read_bytes() == b"content" and mine.here
    assert mine.paths() == {"a.bin": tmp_path / "data" / "mine" / "a.bin"}
    (folder / "a.bin").unlink()
    assert mine.fetch() == mine.paths()  # files on disk are not fetched again


def test_what_can_go_wrong_in_fetching(server, tmp_path, monkeypatch):
    monkeypatch.setenv("RNNSIM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address, folder = server
    (folder / "a.bin").write_bytes(b"other content")
    mine = data_set(address, b"content")
    refuses("the checksum is not sha256:.*; the file was discarded", mine.fetch)
    assert not mine.here and not list((tmp_path / "data" / "mine").iterdir())
    refuses("b.bin: cannot be fetched", data_set(address, b"content", "b.bin").fetch)
    refuses("cannot be fetched", data_set("http://127.0.0.1:9/", b"content").fetch)
    monkeypatch.setitem(sys.modules, "pooch", None)
    refuses('needs pooch: pip install "rnnsim.data."', mine.fetch)


def test_all_data_sets():
    for name in DATA:
        entry = DATA.load(name)
        assert entry.name == name and entry.terms and entry.files
        if entry.shipped:
            assert entry.here and entry.fetch() == entry.paths()
        else:
            assert entry.address.startswith("http") and entry.address.endswith("/")
            for checksum in entry.files.values():
                kind, digest = checksum.split(":")
                assert len(bytes.fromhex(digest)) == hashlib.new(kind).digest_size


def test_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RNNSIM_DATA_DIR", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("RNNSIM_DATA_DIR")
    monkeypatch.setenv("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "rnnsim" / "data"
