"""The shell: every command on real input."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import process

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.checkpoint import save_weights
from rnnsim.core.registry import option_table
from rnnsim.networks import NETWORKS
from rnnsim.tasks import TASKS
from rnnsim.training.run import load_weights
from rnnsim_cli.gradcheck import combinations
from rnnsim_cli.main import COMMANDS, main


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# -- commands ----------------------------------------------------------------------------------------------------------


def test_help_names_every_command(ok):
    text = ok("--help")
    for name in COMMANDS:
        assert f"\n  {name} " in text
        assert "Usage: rnnsim " + name in ok(name, "--help")
    assert re.fullmatch(r"rnnsim \d+\.\d+\.\d+\n", ok("--version"))


def test_help_imports_nothing_heavy():
    code = (
        "import conftest, sys\nfrom rnnsim_cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'numba', 'scipy', 'rich', 'matplotlib'}))"
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[-1] == "[]"


def test_list(ok):
    found = ok("list", "--json")
    assert set(found["tasks"]) == set(TASKS) and set(found["networks"]) == set(NETWORKS)
    assert found["rules"].keys() >= {"bptt", "tbptt"} and found["data"].keys() >= {"digits", "mnist"}
    assert "adding" in ok("list", "tasks") and "lstm" not in ok("list", "tasks")


@pytest.mark.parametrize(
    "network, options, count",
    [
        # Dey & Salem 2017 (arXiv:1701.05923), tables of MNIST by pixels, by rows, and IMDB: units, inputs, parameters
        *[("gru", dict(variant=v, inputs=1, hidden=100), n) for v, n in zip("0123", (30600, 30400, 30200, 10400))],
        *[("gru", dict(variant=v, inputs=28, hidden=100), n) for v, n in zip("0123", (38700, 33100, 32900, 13100))],
        *[("gru", dict(variant=v, inputs=128, hidden=128), n) for v, n in zip("0123", (98688, 65920, 65664, 33152))],
    ],
)
def test_published_parameter_counts(ok, network, options, count):
    options["variant"] = {"0": "gru0"}.get(options["variant"], f"gru{options['variant']}")
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    assert ok("describe", network, *flags, "--json")["recurrent_parameters"] == count


@pytest.mark.parametrize("name", [*NETWORKS, *TASKS])
def test_describe_everything(name, ok, shell):
    assert name in ok("describe", name)
    found = ok("describe", name, "--json")
    assert found["summary"]
    if name in NETWORKS:
        assert found["total_parameters"] == sum(entry["count"] for entry in found["parameters"])


def test_train_show_eval_plot_simulate(ok):
    text = ok("train", "digits", "--network", "gru", "--steps", "40", "-o", "hidden=12", "--report-every", "10")
    folder = Path("runs/digits-gru-1")
    pictures = re.findall(r"figure +(\S+)", text)
    assert len(pictures) == 3 and all(Path(path).stat().st_size > 5000 for path in pictures)
    accuracy = float(re.search(r"test accuracy +([\d.]+) %", text)[1])
    measured = ok("eval", folder, "--json")
    assert measured["sequences"] == 300
    assert abs(100 * measured["metrics"]["accuracy"] - accuracy) < 0.006
    shown = ok("show", folder, "--json")
    assert shown["step"] == 40 and shown["result"]["evaluation"]["loss"] == pytest.approx(measured["loss"], rel=1e-6)
    assert "hidden=12" in ok("show", folder)
    made = ok("plot", folder, "--format", "svg", "--what", "gates", "--record", "z,h", "--example", 3, "--json")[
        "figures"
    ]
    assert made == [str(folder / "figures" / "gates.svg")] and b"<svg" in Path(made[0]).read_bytes()
    task, net = rs.tasks.Digits(), load_weights(folder)
    batch = next(task.evaluation_batches(0, 5))
    np.save("x.npy", batch.inputs)
    ok("simulate", folder, "--input", "x.npy", "--output", "y.npy", "--record", "gates")
    expected = net.forward(batch.inputs, record=("gates",), when="last")
    np.testing.assert_array_equal(np.load("y.npy"), expected.outputs)
    with np.load("y.traces.npz") as traces:
        assert set(traces) == set(expected.records)
        np.testing.assert_array_equal(traces["z_l0"], expected.records["z_l0"])
    ok("train", "digits", "--network", "gru", "--steps", "1", "--quiet", "--no-figures")
    assert Path("runs/digits-gru-2").is_dir()


def test_train_json_is_one_object(ok):
    found = ok("train", "adding", "--network", "lstm", "-o", "length=10", "--steps", "5", "--no-figures", "--json")
    assert found["steps"] == 5 and found["evaluation"]["trivial_loss"] > 0 and found["solved"] is False


def test_train_until_solved(ok):
    flags = [
        "-o",
        "hidden=8",
        "-o",
        "learning_rate=0.02",
        "--until",
        "solved",
        "--steps",
        "4000",
        "--report-every",
        "500",
    ]
    text = ok("train", "delayed-recall", "--network", "gru", "-o", "task.delay=2", *flags, "--no-figures")
    assert "the criterion is met after" in text and re.search(r"solved +yes, after", text)


def test_train_from_a_configuration(ok):
    Path("plan.toml").write_text(
        'steps = 6\nbatch = 3\n[task]\nname = "xor"\n[network]\nname = "rnn"\n[network.options]\nhidden = 5\n'
    )
    first = ok("train", "--config", "plan.toml", "--out", "a", "--no-figures", "--json", "--seed", "4")
    again = ok("train", "--config", "a/config.toml", "--out", "b", "--no-figures", "--json")
    assert first["loss"] == again["loss"]
    np.testing.assert_array_equal(load_weights("a").theta, load_weights("b").theta)
    other = ok("train", "--config", "a/config.toml", "--dtype", "float64", "--out", "c", "--no-figures", "--json")
    assert other["steps"] == 6 and load_weights("c").theta.dtype == np.float64


def test_resume_takes_the_configuration_of_the_run(ok):
    flags = ["-o", "hidden=6", "--batch", "4", "--no-figures", "--quiet"]
    ok("train", "adding", "--network", "gru", "-o", "length=9", "--steps", "30", "--out", "whole", *flags)
    ok("train", "adding", "--network", "gru", "-o", "length=9", "--steps", "11", "--out", "parts", *flags)
    ok("train", "--resume", "--out", "parts", "--steps", "30", "--no-figures")
    np.testing.assert_array_equal(load_weights("parts").theta, load_weights("whole").theta)


def test_eval_on_other_lengths_and_weights(ok, tmp_path):
    ok(
        "train",
        "adding",
        "--network",
        "gru",
        "-o",
        "length=10",
        "--steps",
        "3",
        "--out",
        "a",
        "--no-figures",
        "--quiet",
    )
    found = ok("eval", "a", "-o", "length=24", "--count", "30", "--json")
    assert found["options"]["length"] == "24" and found["sequences"] == 30
    save_weights(load_weights("a"), "w.safetensors")
    assert (
        ok("eval", "w.safetensors", "--task", "adding", "-o", "length=24", "--count", "30", "--json")["loss"]
        == found["loss"]
    )


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A run of a neural Turing machine on the copy task, with its pictures, and one of an LSTM; the text that was printed."""
    folder = tmp_path_factory.mktemp("machines")
    flags = ["--steps", "6", "--batch", "4", "--report-every", "2", "--json", "-o", "hidden=5", "-o", "width=3"]
    flags += ["-o", "max_length=4", "--seed", "3"]
    heads = ["-o", "memory=8,3", "-o", "read_heads=2"]
    with pytest.raises(SystemExit) as end:
        main(["train", "copy", "--network", "ntm", *flags, *heads, "--out", str(folder / "ntm")], prog_name="rnnsim")
    assert end.value.code == 0
    with pytest.raises(SystemExit) as end:
        main(["train", "copy", "--network", "lstm", *flags, "--no-figures", "--out", str(folder / "lstm")])
    assert end.value.code == 0
    return folder


def test_eval_over_a_sweep(ok, machine):
    text = ok("eval", machine / "ntm", "--sweep", "length=2,5:9:2", "--count", "7")
    titles, _, *rows = text.splitlines()
    assert titles.split()[:4] == ["length", "test", "loss", "(bits)"] and len({len(row) for row in rows}) == 1
    found = ok("eval", machine / "ntm", "--sweep", "length=2,5:9:2", "--count", "7", "--json")
    assert [one["options"] for one in found["results"]] == [{"length": length} for length in (2, 5, 7, 9)]
    for row, one in zip(rows, found["results"]):
        length, loss, guess, right, percent, error, wrong, sequences = row.split()
        assert int(length) == one["options"]["length"] and float(guess) == 3 * int(length) and sequences == "7"
        assert float(loss) == pytest.approx(one["loss"], rel=1e-5) and float(wrong) == pytest.approx(
            one["metrics"]["wrong_bits"], rel=1e-5
        )
    single = ok("eval", machine / "ntm", "-o", "length=7", "--count", "7", "--json")
    assert {key: single[key] for key in ("loss", "metrics", "correct")} == {
        key: found["results"][2][key] for key in ("loss", "metrics", "correct")
    }
    save_weights(load_weights(machine / "ntm"), "w.safetensors")
    flags = ["--task", "copy", "-o", "width=3", "--sweep", "min_length=1,2", "--sweep", "max_length=2:4"]
    both = ok("eval", "w.safetensors", *flags, "--count", "3", "--json")
    points = [tuple(one["options"].values()) for one in both["results"]]
    assert both["sweep"] == ["min_length", "max_length"] and points == [(a, b) for a in (1, 2) for b in (2, 3, 4)]


def test_pictures_of_a_memory(ok, machine):
    pictures = json.loads((machine / "ntm" / "result.json").read_text())
    assert pictures["message"] and {path.name for path in (machine / "ntm" / "figures").iterdir()} >= {
        "learning-curve.png", "example.png", "gates.png", "memory.png"
    }  # fmt: skip
    assert not list((machine / "lstm" / "figures").iterdir())
    made = ok("plot", machine / "lstm", "--out", "p", "--json")["figures"]
    assert [Path(path).name for path in made] == ["learning-curve.png", "example.png", "gates.png"]
    made = ok("plot", machine / "ntm", "--what", "memory", "--format", "gif", "--out", "p", "-o", "length=2", "--json")
    assert made["figures"] == ["p/memory.gif"] and Path("p/memory.gif").read_bytes()[:6] == b"GIF89a"


def test_pictures_over_a_sweep_and_of_several_runs(ok, machine):
    flags = ["--sweep", "length=2,8", "--count", "5", "--out", "p", "--format", "svg", "--json"]
    made = ok("plot", machine / "ntm", "--what", "example", *flags)["figures"]
    assert made == ["p/examples.svg"]
    made = ok("plot", machine / "ntm", machine / "lstm", *flags)["figures"]
    assert made == ["p/learning-curves.svg", "p/generalisation.svg"]
    assert all(b"<svg" in Path(path).read_bytes() for path in made)
    assert ok("plot", machine / "ntm", "--what", "generalisation", *flags)["figures"] == ["p/generalisation.svg"]


def test_pictures_refused(shell, machine, trained):
    ntm, lstm = machine / "ntm", machine / "lstm"
    refused = {
        ("--what", "memori"): "unknown picture 'memori'; did you mean 'memory'",
        ("--format", "bmp"): "unknown format 'bmp'",
        ("--format", "gif"): "--format gif: only --what memory can be animated, not all",
        ("--what", "generalisation"): "--what generalisation: needs --sweep",
        (
            "--what",
            "gates",
            "--sweep",
            "length=3",
        ): "--sweep: expected --what example, generalisation or all, got gates",
        ("--sweep", "length=3", "--sweep", "width=3"): "a picture has one axis, expected one option, got length, width",
        ("--sweep", "lenght=3"): "unknown option of task 'copy' 'lenght'; did you mean 'length'",
        ("-o", "lenght=3"): "unknown option of task 'copy' 'lenght'; did you mean 'length'",
        ("-o", "length=0"): "length=0: expected a value of at least 1",
        (lstm, "--what", "memory"): "--what memory: expected one run, got 2",
        (trained,): "the runs have different tasks: copy, digits",
        (ntm,): "given twice",
    }
    for arguments, message in refused.items():
        code, out, error = shell("plot", ntm, *arguments, "--out", "p")
        assert code == 2 and error.count("\n") == 1 and message in error, error
        assert not Path("p").exists() or not list(Path("p").iterdir())
    code, _, error = shell("plot", lstm, "--what", "memory")
    assert code == 2 and error == "rnnsim: the network has no memory to draw\n"


def test_simulate_through_pipes(trained):
    buffer = io.BytesIO()
    inputs = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    np.save(buffer, inputs)
    child = process("simulate", trained, "--input", "-", "--output", "-", stdin=subprocess.PIPE)
    out, error = child.communicate(buffer.getvalue())
    assert child.returncode == 0, error
    expected = load_weights(trained).forward(inputs[:, None], when="last").outputs[0]
    np.testing.assert_array_equal(np.load(io.BytesIO(out)), expected)


@pytest.mark.parametrize(
    "flags", ((), ("-o", "bidirectional=true", "-o", "layers=2")), ids=("forward", "bidirectional")
)
def test_simulate_answers_what_eval_judges(ok, flags):
    """Digits are judged at the end, which a bidirectional network reads at both ends of a sequence."""
    ok("train", "digits", "--network", "gru", "-o", "hidden=12", *flags, "--steps", "150", "--out", "r", "--no-figures")
    judged = ok("eval", "r", "--json")
    (batch,) = rs.tasks.Digits().evaluation_batches(0, judged["sequences"])
    np.save("x.npy", batch.inputs)
    assert ok("simulate", "r", "--input", "x.npy", "--output", "y.npy", "--json")["when"] == "last"
    answers = np.load("y.npy")
    assert answers.shape == (judged["sequences"], 10)
    right = np.count_nonzero(answers.argmax(axis=1) == batch.targets)
    assert right == round(judged["correct"] * judged["sequences"]) > 0.3 * judged["sequences"]
    net = load_weights("r")
    assert np.array_equal(net.predict(batch.inputs, rs.tasks.Digits().loss).argmax(axis=1), answers.argmax(axis=1))
    np.save("one.npy", batch.inputs[:, 3])
    ok("simulate", "r", "--input", "one.npy", "--output", "y1.npy")
    np.testing.assert_allclose(np.load("y1.npy"), answers[3], atol=1e-5)
    ok("simulate", "r", "--input", "x.npy", "--output", "all.npy", "--when", "every")
    every = np.load("all.npy")
    assert every.shape == (8, *answers.shape)
    # In one direction the last time step is the end; the backward one has seen nothing but the last input there.
    assert np.allclose(every[-1], answers, atol=1e-5) == (not flags)


def test_gradcheck(ok, shell):
    found = ok("gradcheck", "lstm", "-o", "peepholes=true", "-o", "layers=2", "--json")
    assert found["passed"] and found["worst"] < 1e-6
    code, out, _ = shell("gradcheck", "gru", "--tolerance", "1e-16")
    assert code == 1 and "FAILED" in out


@pytest.mark.parametrize("name", NETWORKS)
def test_gradcheck_of_every_choice(name, ok):
    assert "FAIL" not in ok("gradcheck", name, "--all", "--entries", "12")


def test_gradcheck_of_all_goes_over_every_option():
    cells = {name: option_table(CELLS.load(name), ("n_inputs", "hidden", "dtype")) for name in CELLS}
    for name, own in cells.items():
        named = set().union(*combinations(name))
        assert named >= set(own) and named >= {"embedding", "skip", "readout", "tokens"}


def test_info_and_cache(ok):
    found = ok("info", "--json")
    assert found["threads"] >= 1 and found["packages"]["numba"]
    assert ok("cache", "--json")["bytes"] >= 0
    assert "threads" in ok("info")


def test_clearing_the_cache_names_what_stays(ok, tmp_path, monkeypatch):
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path))
    (tmp_path / "thesis.tex").write_text("")
    assert "not deleted, because rnnsim did not write it: thesis.tex" in ok("cache", "--clear")
    assert ok("cache", "--clear", "--json")["left"] == [str(tmp_path / "thesis.tex")]


def test_data(ok, shell):
    text = ok("data", "list")
    assert "mnist" in text and "not fetched" in text and "comes with rnnsim" in text
    assert Path(ok("data", "fetch", "digits").strip()).is_file()


# -- networks and code of one's own ------------------------------------------------------------------------------------


PLAIN = '''
import numpy as np
from rnnsim.networks.interface import GRADIENT, Evaluation, Gradient, Network


class Mean(Network):
    """A linear function of the mean of the inputs: a network without time."""

    capabilities = frozenset({GRADIENT})

    def __init__(self, n_inputs: int, n_outputs: int, tokens: bool = False, dtype: str = "float64", rng: int = 0):
        self.n_inputs, self.n_outputs, self.dtype = n_inputs, n_outputs, np.dtype(dtype)
        self.config = dict(name="Mean", n_inputs=n_inputs, n_outputs=n_outputs, options={})
        self._lay_out([("weight", (n_outputs, n_inputs))])

    def evaluate(self, batch, loss, state=None):
        y = batch.inputs.mean(axis=0).astype(self.dtype) @ self._weights["weight"].T
        return Evaluation(loss.evaluate(y, batch.targets), y, None)

    def loss_and_gradient(self, batch, loss, state=None, theta=None):
        value, y, _ = self.evaluate(batch, loss)
        slope = np.empty_like(y)
        loss.evaluate(y, batch.targets, gradient=slope)
        self.gradient[...] = (slope.T @ batch.inputs.mean(axis=0)).ravel()
        return Gradient(value, self.gradient, y, None)
'''


def test_a_network_without_time_in_every_command(ok, shell):
    Path("mean.py").write_text(PLAIN)
    Path("less.py").write_text(PLAIN.replace("tokens: bool = False, ", ""))
    assert "state size" in ok("describe", "./mean.py:Mean")
    found = ok("train", "adding", "--network", "./mean.py:Mean", "--steps", "3", "--out", "r", "--quiet")
    assert "learning-curve.png" in found and "gates.png" not in found
    assert ok("plot", "r").split() == ["r/figures/learning-curve.png"]
    assert "network 'Mean'" not in ok("eval", "r") and "Mean" in ok("show", "r")
    np.save("x.npy", np.zeros((4, 2, 2)))
    refused = {
        ("plot", "r", "--what", "gates"): "--what gates: network 'Mean' has no states over time to draw",
        ("plot", "r", "--what", "example", "--sweep", "length=9,10"): "network 'Mean' has no states over time to draw",
        ("simulate", "r", "--input", "x.npy", "--output", "y.npy"): "r: network 'Mean' does not run over sequences",
        ("gradflow", "r"): "online rules do not serve it",
        ("train", "adding", "--network", "./mean.py:Mean", "--rule", "rtrl"): "needs a linearisation",
        ("describe", "./less.py:Mean"): "its constructor needs the arguments n_inputs, n_outputs, tokens, dtype, rng",
    }
    for arguments, message in refused.items():
        code, _, error = shell(*arguments)
        assert code == 2 and error.count("\n") == 1 and message in error, error


def test_simulate_finds_own_code_that_has_moved(ok):
    ok("new", "task", "first")
    ok("train", "./first.py:First", "--network", "rnn", "-o", "hidden=3", "--steps", "2", "--out", "r", "--quiet")
    Path("there").mkdir()
    Path("first.py").rename("there/first.py")
    np.save("x.npy", np.zeros((4, 2, 6), np.float32))
    found = ok("simulate", "r", "--input", "x.npy", "--output", "y.npy", "--code", "there/first.py")
    assert "outputs at the end, (2, 4)" in found
