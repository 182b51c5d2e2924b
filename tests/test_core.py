"""The ground floor: threads, the BLAS in kernels, workspaces, layouts, registries and the errors they give."""

import inspect
import itertools
import os
import subprocess
import sys
import threading
import typing

import numpy as np
import pytest
from cases import distance
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core import blas, products, threads
from rnnsim.core.jit import jit_exact
from rnnsim.core.layout import Layout
from rnnsim.core.losses import Loss
from rnnsim.core.registry import Registry, at_least, convert, one_of, option_table
from rnnsim.core.workspace import Workspace
from rnnsim.data import DATA
from rnnsim.errors import RnnsimError, unknown
from rnnsim.learning import RULES
from rnnsim.networks import NETWORKS
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.tasks import TASKS

REGISTRIES = {registry.kind: registry for registry in (CELLS, NETWORKS, RULES, OPTIMIZERS, TASKS, DATA)}


# -- threads -----------------------------------------------------------------------------------------------------------


def test_number_of_threads():
    before = threads.get_threads()
    try:
        for count in range(1, threads._limit() + 1):
            threads.set_threads(count)
            assert threads.get_threads() == count
    finally:
        threads.set_threads(before)
    for wrong in (0, -1, threads._limit() + 1, 1.5, "2", None):
        with pytest.raises(RnnsimError, match=f"threads={wrong}: expected a whole number between 1 and"):
            threads.set_threads(wrong)
    assert threads.get_threads() == before


def training(cell, seed, steps=5):
    """The weights after a few steps of a network that is large enough for parallel drivers."""
    net = rs.Recurrent(cell, 8, 4, hidden=40, rng=seed)
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(20, 32, 8)).astype(np.float32), rng.normal(size=(20, 32, 4)).astype(np.float32)
    for _ in range(steps):
        net.theta -= (
            0.01 * net.loss_and_gradient(rs.tasks.Sequences(inputs=x, targets=d), Loss("squared_error")).gradient
        )
    return net.theta.tobytes()


def in_threads(jobs):
    """What each job gives, all started at once."""
    found, start = [None] * len(jobs), threading.Barrier(len(jobs))

    def work(index):
        start.wait()
        found[index] = jobs[index]()

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def test_networks_in_several_python_threads():
    jobs = [lambda cell=cell, seed=seed: training(cell, seed) for seed, cell in enumerate(("lstm", "gru", "rnn"))]
    assert in_threads(jobs) == [job() for job in jobs]


def test_parallel_regions_wait_for_each_other():
    """The second thread enters when the first has left; the same thread may enter twice."""
    inside, most = [0], [0]

    def enter():
        for _ in range(50):
            with threads.parallel_region, threads.parallel_region:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    in_threads([enter, enter, enter])
    assert most == [1] and inside == [0]


CONCURRENT = """
import sys
sys.path[:0] = {path!r}
import test_core
from rnnsim.core import products, threads
products.PARALLEL_WORK, products.get_threads = 1, lambda: 2
assert threads.layer() == "not started"
found = test_core.in_threads([lambda: test_core.training("gru", 1, 20)] * 2)
print(threads.layer(), found[0] == found[1])
"""


def test_two_threads_under_the_layer_that_would_abort():
    """Numba's workqueue ends the process when two threads are in it at once."""
    code = CONCURRENT.format(path=[os.path.dirname(__file__), os.path.dirname(os.path.dirname(rs.__file__))])
    environment = os.environ | {"NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["workqueue", "True"]), done.stderr


def test_layer_has_a_name(monkeypatch):
    monkeypatch.setattr(products, "PARALLEL_WORK", 1)
    monkeypatch.setattr(products, "get_threads", lambda: 2)
    training("rnn", 0, 1)
    assert threads.layer() in ("omp", "tbb", "workqueue")


# -- BLAS --------------------------------------------------------------------------------------------------------------


@jit_exact
def gemm(transpose_a, transpose_b, alpha, a, b, beta, c):
    blas.gemm(transpose_a, transpose_b, alpha, a, b, beta, c)


def part_of_larger(rng, shape, dtype, gap):
    """An array whose rows lie `gap` numbers apart, inside one full of NaN."""
    whole = np.full((shape[0] + 2, shape[1] + gap), np.nan, dtype)
    inner = whole[1 : shape[0] + 1, gap // 2 : gap // 2 + shape[1]]
    inner[...] = rng.normal(size=shape)
    return whole, inner


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
def test_blas_is_numpy(dtype, tolerance):
    rng = np.random.default_rng(0)
    sizes = [(1, 1, 1), (3, 5, 2), (17, 1, 9), (1, 33, 4), (40, 30, 50)]
    for (m, n, k), ta, tb, gap in itertools.product(sizes, (False, True), (False, True), (0, 3)):
        for alpha, beta in ((1.0, 0.0), (1.0, 1.0), (-0.5, 2.0), (0.0, 1.0)):
            _, a = part_of_larger(rng, (k, m) if ta else (m, k), dtype, gap)
            _, b = part_of_larger(rng, (n, k) if tb else (k, n), dtype, gap)
            whole, c = part_of_larger(rng, (m, n), dtype, gap)
            wanted = alpha * ((a.T if ta else a).astype(float) @ (b.T if tb else b)) + beta * c
            c[...] = c if beta else np.nan  # with beta = 0 it is not read
            with blas.single_threaded():
                gemm(ta, tb, alpha, a, b, beta, c)
            assert distance(c, wanted) <= tolerance
            assert np.isnan(whole).sum() == whole.size - c.size, "the frame around c is not touched"


def test_blas_threads_are_held_and_given_back():
    from threadpoolctl import threadpool_info

    def counts():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = counts()
    with blas.single_threaded():
        assert counts() and set(counts()) == {1}
    assert counts() == before


# -- workspace and layout ----------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.sampled_from(["float32", "float64"]),
    st.lists(st.tuples(st.sampled_from("ab"), st.tuples(st.integers(1, 9), st.integers(1, 9))), max_size=12),
)
def test_workspace(dtype, wishes):
    """Aligned, of the shape that is wished for; memory grows only for a larger array than ever before."""
    space, largest, kept = Workspace(dtype), {}, {}
    for name, shape in wishes:
        size = shape[0] * shape[1]
        array = space.array(name, shape)
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
        assert array.ctypes.data % 64 == 0
        if name in largest and size <= largest[name]:
            assert array.ctypes.data == kept[name].ctypes.data
            assert np.array_equal(array.reshape(-1)[: kept[name].size], kept[name].reshape(-1)[:size])
        array[...] = np.arange(size).reshape(shape)
        largest[name], kept[name] = max(size, largest.get(name, 0)), array
        assert space.nbytes == sum(largest.values()) * np.dtype(dtype).itemsize
        assert space.array(name, shape) is array


SHAPES = [("weight", (2, 3)), ("bias", (2,)), ("gain", ()), ("empty", (0, 4)), ("cube", (2, 2, 2))]


def test_layout():
    layout = Layout(SHAPES)
    theta = np.arange(float(layout.size))
    assert layout.size == 6 + 2 + 1 + 0 + 8 and len(layout) == 5 and "bias" in layout and "bia" not in layout
    views, end = layout.views(theta), 0
    for entry, (name, shape) in zip(layout, SHAPES):
        assert (entry.name, entry.shape, entry.offset, layout[name]) == (name, shape, end, entry)
        assert np.shares_memory(views[name], theta) or not entry.size
        assert np.array_equal(views[name], theta[end : end + entry.size].reshape(shape))
        end += entry.size
        for index in np.ndindex(shape):
            place = entry.offset + int(np.ravel_multi_index(index, shape)) if shape else entry.offset
            assert layout.at(place) == f"{name}[{', '.join(map(str, index))}]"
    views["bias"][...] = -1
    assert (theta == -1).sum() == 2 and layout.view(theta, "bias").base is not None
    with pytest.raises(RnnsimError, match="unknown parameter 'biass'; did you mean 'bias'"):
        layout.view(theta, "biass")
    with pytest.raises(IndexError):
        layout.at(layout.size)
    assert Layout([]).size == 0 and not Layout([]).views(np.zeros(0))


# -- registry ----------------------------------------------------------------------------------------------------------

Gate = typing.Literal["i", "f", 3]
CONVERSIONS = [
    ("7", int, 7), (7, int, 7), (7.0, int, 7), ("-2", int, -2),
    ("1e-3", float, 0.001), (2, float, 2.0), ("inf", float, np.inf),
    ("Yes", bool, True), ("0", bool, False), (True, bool, True), (1, bool, True), ("off", bool, False),
    ("tanh", str, "tanh"), ("3", Gate, 3), ("f", Gate, "f"),
    ("none", int | None, None), ("", float | None, None), ("4", int | None, 4), (None, str | None, None),
    ("x", int | str, "x"), ("5", int | str, 5),
    ("1,2,3", tuple[int, ...], (1, 2, 3)), ([1, 2], tuple[int, ...], (1, 2)), (4, tuple[int, ...], (4,)),
    ("1,2", tuple[int, float], (1, 2.0)), ("", tuple[int, ...], ()),
    ([1], typing.Any, [1]), (1, inspect.Parameter.empty, 1),
]  # fmt: skip
REFUSED = [
    ("7.5", int, "a whole number"), (7.5, int, "a whole number"), (True, int, "a whole number"), ([1], int, "a whole"),
    ("", int, "a whole number"), (float("inf"), int, "a whole number"), ("nan", float, "a number"), (None, float, "a n"),
    (True, float, "a number"), ("maybe", bool, "true or false"), (2, bool, "true or false"), (3, str, "a text"),
    ("g", Gate, "one of i, f, 3"), ("x", int | None, "a whole number or none"), ("1,x", tuple[int, ...], "a whole"),
    ("1", tuple[int, float], "a whole number, several separated by commas"),
]  # fmt: skip


@pytest.mark.parametrize("value, annotation, wanted", CONVERSIONS)
def test_conversion(value, annotation, wanted):
    found = convert(value, annotation, "key")
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize("value, annotation, expected", REFUSED)
def test_refused(value, annotation, expected):
    with pytest.raises(RnnsimError) as error:
        convert(value, annotation, "key")
    assert str(error.value).startswith("key=") and f": expected {expected}" in str(error.value)


def test_long_values_are_cut():
    with pytest.raises(RnnsimError) as error:
        convert("x" * 1000, int, "key")
    assert len(str(error.value)) < 120


class Machine:
    def __init__(self, wheels, speed: float, gears: int = 4, *rest, name: str = "m", **more):
        self.values = (wheels, speed, gears, name)


def test_building():
    machines = Registry("machine", {"car": (f"{__name__}:Machine", "four wheels")})
    assert list(machines) == ["car"] == list(machines.names()) and len(machines) == 1 and "car" in machines
    assert machines.summary("car") == "four wheels" and machines.load("car") is Machine
    assert machines.build("car", {"speed": "3"}, wheels=4).values == (4, 3.0, 4, "m")
    assert set(option_table(Machine, ("wheels",))) == {"speed", "gears", "name"}
    messages = {
        "unknown machine 'cra'; did you mean 'car'": lambda: machines.build("cra"),
        "machine 'car' needs the option speed": lambda: machines.build("car", wheels=4),
        "unknown option of machine 'car' 'gear'; did you mean 'gears'": lambda: machines.build("car", {"gear": 3}),
        "unknown option of machine 'car' 'wheels'": lambda: machines.build("car", {"wheels": 3, "speed": 1}, wheels=4),
    }
    for message, build in messages.items():
        with pytest.raises(RnnsimError) as error:
            build()
        assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_names_far_from_all_get_no_suggestion():
    assert "did you mean" not in str(unknown("cell", "zzzzzz", ["lstm", "gru"]))
    assert "lstm" in str(unknown("cell", "zzzzzz", ["lstm", "gru"])), "the known names are told instead"


def test_checks_of_values():
    assert at_least("hidden", 3, 1) == 3 and one_of("bias", "none", ("none", "single")) == "none"
    with pytest.raises(RnnsimError, match="hidden=0: expected a value of at least 1"):
        at_least("hidden", 0, 1)
    for wrong in ("nonne", 3, None):
        with pytest.raises(RnnsimError, match=f"bias={wrong}: expected one of none, single"):
            one_of("bias", wrong, ("none", "single"))


@pytest.mark.parametrize("kind", REGISTRIES)
def test_registries_of_the_package(kind):
    """Every line leads somewhere; every option says of which type it is; one letter too many still finds the name."""
    registry = REGISTRIES[kind]
    for name in registry:
        entry = registry.load(name)
        assert entry.__doc__ and registry.summary(name).strip() and "\n" not in registry.summary(name)
        assert callable(entry) or kind == "data set"
        if inspect.isclass(entry):
            for parameter in inspect.signature(entry).parameters.values():
                several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
                assert several or parameter.annotation is not parameter.empty, f"{kind} {name}: {parameter}"
        with pytest.raises(RnnsimError, match=f"unknown {kind} '{name}x'; did you mean"):
            registry.load(name + "x")
