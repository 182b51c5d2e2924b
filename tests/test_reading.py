"""The door for files: every limit and every kind of damage is one clear line, in memory that stays small.

The mutation tests change files at random; `RNNSIM_MUTATIONS=20000 python -m pytest tests/test_reading.py` does so more often.
"""

import gzip
import io
import json
import math
import os
import re
import shutil
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired

import numpy as np
import pytest

import rnnsim as rs
import rnnsim_cli
from rnnsim.core import checkpoint
from rnnsim.core.reading import (
    Damaged,
    Missing,
    Unreadable,
    array_from,
    at_home,
    number,
    parse_json,
    parse_toml,
    read_bytes,
    read_json,
    read_json_lines,
    read_npy,
    read_npz,
    read_tensors,
    read_text,
    read_toml,
    read_unpacked,
    rows,
    typed,
)
from rnnsim.core.registry import convert
from rnnsim.data.arrays import load_arrays, read_table
from rnnsim.data.conllu import read_conllu
from rnnsim.data.idx import read_idx, write_idx
from rnnsim.data.imdb import read_reviews
from rnnsim.data.rated import MEMBER, read_rated
from rnnsim.data.regions import read_arff
from rnnsim.errors import RnnsimError
from rnnsim.experiments.results import Store
from rnnsim.training import config
from rnnsim.training.run import load_weights, open_run

COUNT = int(os.environ.get("RNNSIM_MUTATIONS", "300"))


def refuses(message, function, *arguments, error=RnnsimError, **named):
    """The one line that a call ends with; it takes no more than 150 MB meanwhile."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            function(*arguments, **named)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    line = str(caught.value)
    assert message in line and "\n" not in line and len(line) < 500 and peak < 1.5e8
    return line


# -- one door ----------------------------------------------------------------------------------------------------------

PAST_THE_DOOR = r"json\.loads?\(|tomllib|pickle\.|np\.load\w*\(|np\.fromfile|zipfile|gzip\.open|gzip\.decompress"
PAST_THE_DOOR += r"|\.read_text\(|\.read_bytes\("
# What rnnsim reads of itself: its sources, its lists of processes, what its processes tell each other.
ALLOWED = {"core/jit.py", "training/lock.py", "training/manifest.py", "experiments/worker.py", "experiments/results.py"}


def test_files_are_read_through_the_door_alone():
    roots = [Path(package.__file__).parent for package in (rs, rnnsim_cli)]
    files = {
        path.relative_to(root).as_posix(): path.read_text("utf-8") for root in roots for path in root.rglob("*.py")
    }
    assert {"main.py", "core/reading/files.py"} <= set(files)
    found = {name for name, text in files.items() if re.search(PAST_THE_DOOR, text)}
    assert {name for name in found if not name.startswith("core/reading/")} <= ALLOWED


# -- files -------------------------------------------------------------------------------------------------------------


def test_errors_of_the_system_are_one_line(tmp_path):
    for path, message, kind in (
        (tmp_path / "none", "No such file", Missing),
        (tmp_path, "Is a directory", Unreadable),
        (f"{tmp_path}/a\0b", "a name cannot hold a NUL character", Unreadable),
        (f"{tmp_path}/" + "x" * 300, "File name too long", Unreadable),
        ("x/" * 3000, "File name too long", Unreadable),
        ("x/" * 1500, "No such file", Missing),
        (f"{tmp_path}/a\nb", r"a\nb: No such file", Missing),
        (f"{tmp_path}/\ud800", "cannot be written in the encoding of the file system", Unreadable),
    ):
        for read in (read_bytes, read_text, read_json, read_toml, read_npy, read_npz, read_tensors, read_unpacked):
            assert refuses(message, read, path, error=kind).startswith("cannot read ")
        refuses(message, lambda path=path: list(read_json_lines(path)), error=kind)
        refuses(message, lambda path=path: list(rows(path)), error=kind)
    refuses("there is no home folder ~nosuchuser", at_home, "~nosuchuser/x.npy")
    assert at_home("~/a") == at_home(os.path.expanduser("~")) / "a"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    path.chmod(0)
    refuses("Permission denied", read_text, path)


def test_limits_of_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1" * 1001)
    refuses("larger than 1 kB", read_bytes, path, limit=1000, error=Unreadable)
    assert len(read_bytes(path, limit=1001)) == 1001
    with open(path, "wb") as file:
        file.truncate(10**12)  # a hole: no byte of it is on the disk
    for read in (read_text, read_json, read_toml, read_tensors, read_unpacked):
        refuses("larger than", read, path)
    refuses("larger than", lambda: list(read_json_lines(path)))
    if os.path.exists("/dev/zero"):
        refuses("larger than 1 MB", read_bytes, "/dev/zero", limit=10**6)


def test_text(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("\ufeffä\r\nb\rc\n".encode())
    assert read_text(path) == "ä\nb\nc\n"
    path.write_bytes(b"ab\xff")
    refuses("a: not UTF-8 text (byte 2)", read_text, path, error=Damaged)


# -- schemas -----------------------------------------------------------------------------------------------------------


class Size(NamedTuple):
    hidden: int
    layers: int = 1


@dataclass(frozen=True)
class Even:
    n: int

    def __post_init__(self):
        if self.n % 2:
            raise RnnsimError(f"n={self.n}: expected an even number")


def test_values_by_type():
    for value, kind, expected in (
        (3, int, 3),
        (3, float, 3.0),
        (3, int | float, 3),
        (None, int | None, None),
        (True, bool, True),
        ("a", Literal["a", "b"], "a"),
        ([1, 2], list[int], [1, 2]),
        ([1, 2], tuple[int, int], (1, 2)),
        ({"a": [1]}, dict[str, list[int]], {"a": [1]}),
        ({"a": 1, "more": [None]}, {"a": int, "b": NotRequired[int]}, {"a": 1, "more": [None]}),
        ({"hidden": 3}, Size, Size(3, 1)),
        ({"n": 4}, Even, Even(4)),
        ([{}], Any, [{}]),
    ):
        found = typed(value, kind, "f")
        assert found == expected and type(found) is type(expected)
    for value, kind, message in (
        ("3", int, "f is damaged: k=3 (a text): expected a whole number"),
        (True, int, "k=True: expected a whole number"),
        (1.0, int, "k=1.0: expected a whole number"),
        (True, float, "k=True: expected a number"),
        (10**400, float, "expected a number"),
        (1, bool, "k=1: expected true or false"),
        (1, str, "k=1: expected a text"),
        (1, Literal[True, "1"], "k=1: expected one of True, 1"),
        ("a\nb", int | None, r"k=a\nb (a text): expected a whole number or none"),
        ([1, "2"], list[int], "k[1]=2 (a text): expected a whole number"),
        ([1], tuple[int, int], "k=[1]: expected a list"),
        ({"a": {"b": []}}, dict[str, dict[str, int]], "k.a.b=[]: expected a whole number"),
        ([], {"a": int}, "k=[]: expected a table"),
        ({}, {"a": list[int]}, "k.a is missing, expected a list"),
        ({"hidden": 3, "layer": 1}, Size, "k: unknown key 'layer'; did you mean 'layers'?"),
        ({"layers": 3}, Size, "k.hidden is missing, expected a whole number"),
        ({"n": 3}, Even, "k: n=3: expected an even number"),
    ):
        assert message in refuses("f is damaged: ", typed, value, kind, "f", "k", error=Damaged)


def test_huge_numbers_are_shown_as_such():
    refuses("hidden=a int too large to be shown: expected", convert, 10**5000, str, "hidden")


# -- JSON and TOML -----------------------------------------------------------------------------------------------------


def test_bad_json():
    for text, message in (
        ("", "no JSON at line 1, column 1: Expecting value"),
        ('{"a": 1,\n]', "no JSON at line 2, column 1"),
        ("[" * 100_000, "nested more than 32 deep"),
        ('{"a":' * 100_000, "nested more than 32 deep"),
        ("[" * 33 + '"' + '\\"' * 300_000, "nested more than 32 deep"),
        ("9" * 5000, "a whole number of 5,000 digits"),
        ("-" + "9" * 101, "a whole number of 102 digits"),
        ("[NaN]", "NaN, expected a finite number"),
        ("-Infinity", "-Infinity, expected a finite number"),
        ("1e999", "1e999 is too large for a number"),
        ('"\\ud800"', "half a surrogate pair"),
        (b"\xff", "not UTF-8 text"),
        ('{"step": "3"}', "step=3 (a text): expected a whole number"),
    ):
        assert refuses(message, parse_json, text, "m.json", {"step": int}, error=Damaged).startswith("m.json")
    quoted = '"' + "[" * 100 + '\\"{"'
    assert parse_json(f"[{quoted}]") == ["[" * 100 + '"{'] and parse_json('"\\ud83d\\ude00"') == "\U0001f600"
    assert parse_json("9" * 100) == int("9" * 100) and parse_json("[" * 32 + "]" * 32)
    found = parse_json("[NaN, -Infinity, 1e999]", finite=False)
    assert math.isnan(found[0]) and found[1:] == [-math.inf, math.inf]


def test_bad_toml():
    for text, message in (
        ("steps = ", "Invalid value"),
        ("a = " + "[" * 100_000, "nested more than 32 deep"),
        ("a = " + "{b = " * 100_000, "nested more than 32 deep"),
        ("a." * 100_000 + "b = 1", "nested more than 32 deep"),
        ("[" + "a." * 100_000 + "b]", "nested more than 32 deep"),
        ("steps = " + "9" * 5000, "out of range"),
        ("steps = 0x" + "f" * 5000, "a whole number of more than 100 digits"),
        ("steps = [[{a = 0x" + "f" * 90 + "}]]", "a whole number of more than 100 digits"),
        ("steps = 2000-99-99", "c.toml: "),
        ('a = """' + '\\"""' * 30_000 + "\\", "c.toml: "),
        ("steps = '3'", "steps=3 (a text): expected a whole number"),
        ("", "steps is missing"),
    ):
        assert refuses(message, parse_toml, text, "c.toml", {"steps": int}, error=Damaged).startswith("c.toml")
    text = "a = '''" + "[" * 100 + "'''\nb = \"" + "{." * 100 + '" # ' + "[" * 100 + "\nc = [" + "1.5, " * 100 + "]\n"
    assert parse_toml(text) == {"a": "[" * 100, "b": "{." * 100, "c": [1.5] * 100}


def test_lines_of_json(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = [b'{"step": 1}\n', b"\xff\0garbage\n", b'{"step": "2"}\n', b"[" * 10**5 + b"\n", b'{"step": 3}\n']
    path.write_bytes(b"".join(lines) + b'{"step": 4}')
    found = list(read_json_lines(path, {"step": int}))
    assert [line for _, line in found] == lines
    assert [value for value, _ in found if isinstance(value, dict)] == [{"step": 1}, {"step": 3}]
    messages = [str(value) for value, _ in found if isinstance(value, Damaged)]
    for message, expected in zip(
        messages, ("line 2: not UTF-8", "line 3 is damaged: step=2 (a text)", "line 4 is damaged")
    ):
        assert f"m.jsonl, {expected}" in message
    path.write_bytes(b"1" * 3_000_000 + b"\n2\n")
    (long, _), (short, _) = read_json_lines(path)
    assert "line 1 is damaged: longer than 1,048,576 bytes" in str(long) and short == 2


# -- arrays ------------------------------------------------------------------------------------------------------------


def npy(header, data=b"", version=b"\1\0"):
    header = header.encode() if isinstance(header, str) else header
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header + data


def described(shape="(2,)", kind="'<f8'", fortran="False", more=""):
    return f"{{'descr': {kind}, 'fortran_order': {fortran}, 'shape': {shape}, {more}}}\n"


def test_bad_npy(tmp_path):
    path = tmp_path / "a.npy"
    data = bytes(16)
    for content, message in (
        (npy(described(), data[:-1]), "cut short, the array needs 16 bytes and has 15"),
        (npy(described(), data + b"\0"), "cut short, the array needs 16 bytes and has 17"),
        (npy(described("(1000000000000000,)"), data), "needs 8,000,000,000,000,000 bytes and has 16"),
        (npy(described(f"({2**62}, {2**62})"), data), "needs more than 1,000,000,000,000,000,000 bytes"),
        (npy(described(f"({'9' * 5000},)"), data), "damaged or cut short"),
        (npy(described("(-2,)"), data), "damaged or cut short"),
        (npy(described("(True,)"), data), "damaged or cut short"),
        (npy(described("2"), data), "damaged or cut short"),
        (npy(described("(" * 5000), data), "damaged or cut short"),
        (npy(described("(" + "1," * 33 + ")"), data), "damaged or cut short"),
        (npy(described(fortran="1"), data), "damaged or cut short"),
        (npy(described(more="'x': 1"), data), "damaged or cut short"),
        (npy(described(kind="'f99'"), data), "the array holds f99, expected numbers"),
        (npy(described(kind="'(1000000,1000000)f8'"), data), "damaged or cut short"),
        (npy(described(kind="'|O'"), data), "holds Python objects"),
        (npy(described(kind="'<U3'"), data), "the array holds <U3, expected numbers"),
        (npy(described(kind="[('a', '<f8')]"), data), "the array holds records, expected numbers"),
        (npy("{'descr': 'f8", data), "damaged or cut short"),  # a text that does not end
        (npy("'''", data), "damaged or cut short"),
        (npy("  {\n )", data), "damaged or cut short"),
        (npy("\\\n", data), "damaged or cut short"),
        (npy("-" * 9000 + "1", data), "damaged or cut short"),
        (npy(b"\xff\0", data), "damaged or cut short"),
        (npy("__import__('os').system('false')", data), "damaged or cut short"),
        (npy(described() + " " * 20_000, data, b"\2\0"), "damaged or cut short"),
        (npy(described(), data, b"\7\0"), "damaged or cut short"),
        (b"\x93NUMPY\1\0\xff\xff", "damaged or cut short"),
        (b"\x93NUM", "not a .npy file, it begins with 934e554d"),
        (b"", "not a .npy file, it begins with nothing"),
    ):
        path.write_bytes(content)
        refuses(message, read_npy, path, error=Damaged)
        refuses(message, array_from, io.BytesIO(content), "stdin", error=Damaged)


def test_arrays_come_as_numpy_wrote_them(tmp_path):
    path = tmp_path / "a.npy"
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.arange(24).reshape(2, 3, 4).T,
        np.array(3, np.float16),
        np.zeros((0, 3), ">i4"),
        np.array([True, False]),
        np.arange(3, dtype=">u2"),
    ):
        np.save(path, array)
        found, expected = read_npy(path), np.load(path)
        assert found.dtype == expected.dtype and found.flags.f_contiguous == expected.flags.f_contiguous
        assert found.flags.writeable and found.shape == expected.shape and (found == expected).all()
        np.testing.assert_array_equal(array_from(io.BytesIO(path.read_bytes()), "stdin"), expected)
    path.write_bytes(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2L,), }\n", bytes(16)))
    assert read_npy(path).shape == (2,)  # as Python 2 wrote it


def declared(path, size):
    """Have the only member of a zip archive say that it unpacks to `size` bytes."""
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 24 :][:4] = struct.pack("<I", size)
    data[data.index(b"PK\3\4") + 22 :][:4] = struct.pack("<I", size)
    entry = data.rindex(b"PK\1\2") + 24
    data[entry : entry + 4] = struct.pack("<I", size)
    path.write_bytes(data)


def test_bad_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, inputs=np.zeros(10**6))
    assert list(read_npz(path)) == ["inputs"]
    for size, message in ((3 * 10**9, "unpacks from 8 kB to 3 GB, more than a hundred times"), (10**7, "cut short")):
        declared(path, size)
        refuses(message, read_npz, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(described("(1000000000000000,)"), bytes(16)))
    refuses("the array 'a' needs 8,000,000,000,000,000 bytes", read_npz, path, error=Damaged)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(described(), bytes(16)))
    refuses("packed in a way that np.savez does not write", read_npz, path, error=Damaged)
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(described(), bytes(16)))
        archive.writestr("a.npy", npy(described(), bytes(16)))
    refuses("2 members with 1 names", read_npz, path, error=Damaged)
    np.savez(path, x=np.zeros(2))
    refuses("no array 'inputs', only x", load_arrays, path, "inputs")


def bomb(blocks):
    """Deflated zeros, a MB a block, with no end."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * blocks


def test_packed_bombs(tmp_path):
    path = tmp_path / "a.gz"
    start = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3])
    path.write_bytes(start + bomb(3000))
    assert 2 * 10**6 < path.stat().st_size < 5 * 10**6
    refuses("not an idx file", read_idx, path)
    for shape, message in (((3000, 2**20), "needs 3.15 GB, more than"), ((5,), "too long, more than 13 bytes")):
        header = zlib.compressobj(9, wbits=-15)
        header = header.compress(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)) + header.flush(
            zlib.Z_FULL_FLUSH
        )
        path.write_bytes(start + header + bomb(3000))
        refuses(message, read_idx, path)
    path.write_bytes(start + bomb(100))
    refuses("unpacks to more than", read_unpacked, path)
    path.rename(tmp_path / "a.tar.gz")
    refuses("unpacks to more than", read_reviews, tmp_path / "a.tar.gz")


def test_bad_idx(tmp_path):
    path = tmp_path / "a"
    for content, message in (
        (bytes([0, 0, 8, 2]) + b"\xff" * 8, "more than"),
        (bytes([0, 0, 14, 255]) + b"\xff" * 1020, "an array of 255 axes, expected at most 32"),
        (bytes([0, 0, 8, 255]), "cut short, 4 bytes of a header of 1024"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 5]), "cut short, 8 bytes where 5 elements need 13"),
    ):
        for packed in (content, gzip.compress(content)):
            path.write_bytes(packed)
            refuses(message, read_idx, path)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_bad_tables(tmp_path):
    path = tmp_path / "a.csv"
    for content, message in (
        ("1," * 100_001, "line 1: 100,002 columns, expected at most 100,000"),
        ("1\n" + "2" * (2**24 + 1), "line 2: 16,777,217 characters, expected at most 16,777,216"),
        ('1\n"' + ("2" * 2**20 + "\n") * 17, "field larger than field limit"),
        ("1\n1_000\n", "line 2, column 1: expected a number, got '1_000'"),
        ("1\n\u0663\n", "line 2, column 1: expected a number"),
        ("1\n\0\n", r"line 2, column 1: expected a number, got '\x00'"),
    ):
        path.write_text(content)
        with pytest.raises(RnnsimError) as caught:
            read_table(path)
        assert message in str(caught.value) and "\n" not in str(caught.value)
    assert [number(cell) for cell in (" 1", "-2.5e3 ", "inf")] == [1, -2500, math.inf]


# -- runs, checkpoints, learners, results ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run with a result, and the file of a learner beside it."""
    folder = tmp_path_factory.mktemp("reading") / "run"
    net = rs.Recurrent("rnn", 2, 1, hidden=3, rng=1)
    rs.train(net, rs.tasks.Adding(length=8), steps=6, batch=2, out=folder, report_every=1, checkpoint_every=3)
    evaluation = {"split": "test", "unit": "squared", "loss": 0.5, "trivial_loss": None, "correct": 0.25}
    evaluation |= {"sequences": 4, "metrics": {"error": 0.1}}
    ended = {"message": "all steps are done", "solved": False, "solved_at": None, "evaluation": evaluation}
    (folder / "result.json").write_text(json.dumps(ended))
    learner = rs.online(rs.Recurrent("rnn", 1, 1, hidden=3, rng=1))
    learner.step(np.ones(1, np.float32), np.ones(1, np.float32))
    learner.save(folder.parent / "learner")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_the_run_is_read_as_it_was_written(run):
    found = open_run(run)
    assert [report["step"] for report in found.metrics()] == [1, 2, 3, 4, 5, 6]
    assert found.result()["evaluation"]["metrics"] == {"error": 0.1} and found.manifest["threads"] >= 1
    assert found.net().n_parameters == rs.load_weights(found.checkpoints()[-1]).n_parameters


def test_files_of_another_type_than_expected(run):
    for name, content, message in (
        ("manifest.json", '{"versions": ["numpy"]}', "manifest.json is damaged: versions=['numpy']: expected a table"),
        ("manifest.json", '{"resumed": 3}', "resumed=3: expected a list"),
        ("manifest.json", '{"threads": "2"}', "threads=2 (a text): expected a whole number"),
        ("manifest.json", "[" * 10**5, "nested more than 32 deep"),
        ("manifest.json", '{"threads": ' + "9" * 5000 + "}", "a whole number of 5,000 digits"),
        ("config.toml", "a = " + "[" * 10**5, "nested more than 32 deep"),
        ("config.toml", "steps = true", "steps=True: expected a whole number"),
        ("config.toml", "steps = 1\nbatch = 1\nseed = 1\ntask = 'xor'", "task=xor (a text): expected a table"),
        ("result.json", '{"message": 3}', "message=3: expected a text"),
        ("result.json", '{"message": "", "solved": false, "evaluation": []}', "evaluation=[]: expected a table"),
    ):
        path = run / name
        before = path.read_bytes()
        path.write_text(content)
        refuses(message, lambda: open_run(run).result())
        path.write_bytes(before)
    (run / "config.toml").unlink()
    refuses("is not a run: there is no config.toml", open_run, run)


def test_garbage_in_the_middle_of_the_metrics(run):
    path = run / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b'{"step": 2, \xff\0\n', b'{"step": "3"}\n', *lines[3:]]) + b'{"step": 7, "lo')
    with pytest.warns(UserWarning, match=r"metrics.jsonl, line 2: .* this line and 1 more is left out") as caught:
        assert [report["step"] for report in open_run(run).metrics()] == [1, 4, 5, 6]
    assert "\n" not in str(caught[0].message)
    net = rs.Recurrent("rnn", 2, 1, hidden=3, rng=1)
    given = dict(steps=8, batch=2, out=run, resume=True, report_every=1, checkpoint_every=3)
    with pytest.warns(UserWarning, match="is left out"):
        rs.train(net, rs.tasks.Adding(length=8), **given)
    assert [report["step"] for report in open_run(run).metrics()] == [1, 4, 5, 6, 7, 8]


def rewritten(path, **changes):
    """A checkpoint written anew, digest and all, with other texts in its metadata; None leaves one out."""
    from safetensors.numpy import save

    arrays, metadata = read_tensors(path)
    metadata = {key: value for key, value in (metadata | changes).items() if value is not None}
    if "digest" not in changes:
        metadata.pop("digest")
        metadata["digest"] = checkpoint._digest(arrays, metadata)
    path.write_bytes(save(arrays, metadata))


def test_metadata_of_another_type_than_expected(run):
    path = open_run(run).checkpoints()[-1]
    before = path.read_bytes()
    for changes, message in (
        (dict(network="[]"), "network is damaged: []: expected a table"),
        (dict(network='{"name": 3}'), "name=3: expected a text"),
        (dict(network="[" * 10**5), "network is damaged: nested more than 32 deep"),
        (dict(progress='{"step": "20"}'), "progress is damaged: step=20 (a text): expected a whole number"),
        (dict(progress='{"step": ' + "9" * 5000 + "}"), "a whole number of 5,000 digits"),
        (dict(progress="NaN"), "progress is damaged: nan: expected a table"),
        (dict(states="x"), "states is damaged: no JSON"),
        (dict(states="1000000000000"), "it has 0 states, not 1000000000000"),
        (dict(states=None), "damaged, or not a file of weights that rnnsim wrote"),
        (dict(format="rnnsim 99"), "format 'rnnsim 99', this version of rnnsim reads 'rnnsim 2'"),
        (dict(digest="0" * 64), "its content does not match its digest"),
    ):
        rewritten(path, **changes)
        refuses(message, checkpoint.load, path, error=Damaged)
        path.write_bytes(before)
    rewritten(path, progress="{}")
    refuses("progress has no 'step'", lambda: checkpoint.load(path).progress["step"], error=Damaged)


def test_checkpoints_of_the_format_before_are_read(run):
    path = open_run(run).checkpoints()[-1]
    arrays, metadata = read_tensors(path)
    rewritten(path, format="rnnsim 1", digest=checkpoint._digest(arrays, {}))
    assert read_tensors(path).metadata["format"] == "rnnsim 1"
    np.testing.assert_array_equal(load_weights(path).theta, load_weights(run).theta)
    assert checkpoint.load(path).progress["step"] == 6


def test_metadata_of_a_checkpoint_is_covered_by_its_digest(run):
    path = open_run(run).checkpoints()[-1]
    before = path.read_bytes()
    assert before.count(b'\\"step\\": 6') == 1
    path.write_bytes(before.replace(b'\\"step\\": 6', b'\\"step\\": 7'))
    refuses("its content does not match its digest", checkpoint.load, path, error=Damaged)


def test_learners_of_another_type_than_expected(finished, tmp_path):
    path = tmp_path / "learner"
    shutil.copy(finished.parent / "learner", path)
    assert rs.learner_from(path).items == 1
    before, progress = path.read_bytes(), json.loads(read_tensors(path).metadata["progress"])
    for key, value, message in (
        ("streams", "1", "learner.streams=1 (a text): expected a whole number"),
        ("rule", {"name": "rtrl"}, "learner.rule.options is missing, expected a table"),
        ("loss", {"kind": "square"}, "learner.loss: unknown loss 'square'"),
        ("loss", {"kind": "bernoulli", "units": 1}, "learner.loss: unknown key 'units'; did you mean 'unit'"),
        ("optimizer", {"name": "adam", "options": {"learning_rate": []}}, "learning_rate=[]: expected a number"),
    ):
        changed = {**progress, "learner": {**progress["learner"], key: value}}
        rewritten(path, progress=json.dumps(changed))
        refuses(message, rs.learner_from, path)
        path.write_bytes(before)
    for numbers, message in (([], "numbers=[]: expected a table"), ({"items": 1.5}, "numbers.items=1.5: expected")):
        rewritten(path, progress=json.dumps({**progress, "numbers": numbers}))
        refuses(message, rs.learner_from, path)
    rewritten(path, progress=json.dumps({**progress, "numbers": {**progress["numbers"], "loss": "low"}}))
    refuses("expected a number, got 'low'", rs.learner_from, path)


def test_results_of_another_type_than_expected(tmp_path):
    given = {"experiment": "x", "quick": False, "settings": {}}
    for records, message in (
        ({}, "records={}: expected a list"),
        ([{"arm": "a", "seed": "1", "status": "finished"}], "records[0].seed=1 (a text): expected a whole number"),
        ([{"arm": "a", "seed": 1, "status": "lost"}], "records[0].status=lost (a text): expected one of"),
        ([{"arm": "a", "seed": 1, "status": "failed"}], "record 1 has no message"),
    ):
        (tmp_path / "results.json").write_text(json.dumps({**given, "records": records}))
        refuses(message, Store(tmp_path).begin, "x", False, {}, {})


# -- mutations ---------------------------------------------------------------------------------------------------------

PIECES = (
    b"[",
    b"{",
    b'"',
    b"\\",
    b"\0",
    b"\xff",
    b"9" * 120,
    b"NaN",
    b"1e999",
    b"-1",
    b"\n",
    b",",
    b"=",
    b"'",
    b"(",
    b"\\ud800",
)


def mutated(data, rng):
    """The bytes with one to three changes: bits, bytes, pieces left out, repeated, moved or put in, the end cut off."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place, kind = int(rng.integers(len(data) + 1)), rng.integers(7)
        other, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 20))
        if kind == 0 and place < len(data):
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1 and place < len(data):
            data[place] = int(rng.integers(256))
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[other : other + length]
        elif kind == 4:
            data[place : place + length] = data[other : other + length]
        elif kind == 5:
            data[place:place] = PIECES[rng.integers(len(PIECES))]
        else:
            del data[max(place, len(data) - 100) :]
        if not data:
            break
    return bytes(data)


def equal(a, b):
    """Whether two things that were read are the same, to the bit."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def learner_in(path):
    return rs.learner_from(path).parts()


def metrics_in(path):
    return open_run(path.parent).metrics()


def results_in(path):
    Store(path.parent).begin("x", False, {"a": {"steps": 3}}, {"a": 1})
    return json.loads(path.read_text())["settings"]


# What reads a file, what the file is called, and whether whatever comes out has to be what was written: where a checksum
# stands in the file. Elsewhere another number may have become of a number, but nothing else than numbers.
READERS = {
    "checkpoint": (checkpoint.load, "step-00000006.safetensors", True),
    "learner": (learner_in, "learner", True),
    "npz": (read_npz, "a.npz", True),
    "packed idx": (read_idx, "a.idx.gz", True),
    "idx": (read_idx, "a.idx", False),
    "npy": (read_npy, "a.npy", False),
    "csv": (read_table, "a.csv", False),
    "conllu": (read_conllu, "a.conllu", False),
    "rated": (read_rated, "rated.txt", False),
    "rated archive": (read_rated, "rated.tar.gz", True),
    "arff": (read_arff, "a.arff", False),
    "configuration": (config.load, "config.toml", False),
    "run": (lambda path: open_run(path.parent), "config.toml", False),
    "manifest": (lambda path: open_run(path.parent), "manifest.json", False),
    "result": (lambda path: open_run(path.parent).result(), "result.json", False),
    "metrics": (metrics_in, "metrics.jsonl", False),
    "results": (results_in, "results.json", False),
}


@pytest.mark.parametrize("kind", READERS)
def test_changed_files_are_one_line_or_what_they_were(kind, run, finished):
    read, name, covered = READERS[kind]
    if kind == "checkpoint":
        shutil.copy(run / "checkpoints" / name, run / name)
    elif kind == "learner":
        shutil.copy(finished.parent / name, run / name)
    rng = np.random.default_rng(sum(kind.encode()))
    np.save(run / "a.npy", rng.normal(size=(3, 4)))
    np.savez_compressed(run / "a.npz", inputs=rng.normal(size=(3, 4)), targets=np.arange(3))
    write_idx(run / "a.idx", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    write_idx(run / "a.idx.gz", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    (run / "a.csv").write_text('load,"the price"\n1,2.5\n-3e2,"4"\n')
    lines = [
        "# text",
        "1-2 as _ _ _ _ _ _ _ _",
        "1 a _ X _ _ 2 dep _ _",
        "2 s _ X _ _ 0 root _ _",
        "",
        "1 b _ Y _ _ 0 root _ _",
    ]
    (run / "a.conllu").write_text("\n".join(lines).replace(" ", "\t"))
    rated = b"1\t2.5\ta film\n2\t-3\tno film\n"
    (run / "rated.txt").write_bytes(rated)
    with tarfile.open(run / "rated.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(MEMBER)
        member.size = len(rated)
        archive.addfile(member, io.BytesIO(rated))
    (run / "a.arff").write_text("@relation r\n@attribute x numeric\n@attribute c {a,b}\n@data\n1,a\n-2.5,b\n")
    record = {"arm": "a", "seed": 1, "status": "finished", "measures": {"loss": 0.5}}
    stored = {"experiment": "x", "quick": False, "settings": {"a": {"steps": 3}}, "records": [record]}
    (run / "results.json").write_text(json.dumps(stored, indent=1))
    path = run / name
    whole, refused = path.read_bytes(), 0
    original = read(path)
    for _ in range(COUNT):
        changed = mutated(whole, rng)
        path.write_bytes(changed)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = read(path)
            refused += len(caught)
            assert len(caught) <= 1 and not any("\n" in str(line.message) for line in caught)
        except RnnsimError as error:
            assert "\n" not in str(error) and 10 < len(str(error)) < 700
            refused += 1
            continue
        assert type(found) is type(original)
        if covered:
            assert equal(found, original), changed
        elif isinstance(found, np.ndarray):
            assert found.dtype.kind in "biuf"
    assert refused > COUNT // 4
