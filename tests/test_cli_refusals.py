"""The shell: every kind of bad input as one line with exit code 2; Ctrl-C, pipes and terminals."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cases import process

from rnnsim.core.checkpoint import save_weights
from rnnsim.networks import build
from rnnsim.training.run import open_run


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# -- Ctrl-C and pipes --------------------------------------------------------------------------------------------------


def test_interrupt_says_how_to_go_on(ok):
    child = process("train", "digits", "--network", "gru", "--steps", "100000000", "--out", "r", "--no-figures")
    while not list(Path().glob("r/checkpoints/step-*")):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate()
    assert child.returncode == 130
    step, command = re.search(r"interrupted after step (\d+); continue with: rnnsim (.*)", error.decode()).groups()
    assert "Traceback" not in error.decode()
    assert open_run("r").checkpoint().progress["step"] == int(step)
    ok(*command.split(), "--steps", int(step) + 5, "--no-figures")
    assert open_run("r").checkpoint().progress["step"] == int(step) + 5


def test_plain_lines_in_a_pipe():
    child = process("train", "digits", "--network", "rnn", "--steps", "30", "--report-every", "10", "--no-figures")
    out, error = child.communicate()
    assert child.returncode == 0, error
    assert b"\x1b" not in out and re.search(rb"step 10/30  loss [\d.]+ .*\n", out)


def test_bar_on_a_terminal():
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    code = "import conftest; from rnnsim_cli.main import main; main(['train', 'digits', '--network', 'rnn', '--steps', '300'])"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TERM": "xterm", "COLUMNS": "120"}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert child.wait() == 0, shown
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "compiling kernels" in text and "300/300" in text and "steps/s" in text and "left" in text


def test_reader_that_goes_away():
    child = process("list")
    child.stdout.close()
    assert child.wait() in (0, 1) and b"Traceback" not in child.stderr.read()
    child.stderr.close()


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD = {
    "trian": "unknown command 'trian'; did you mean 'train'",
    "train": "no task is named",
    "train digits": "no network is named: expected one of rnn, lstm, gru",
    "train digist --network gru": "unknown task 'digist'; did you mean 'digits'",
    "train digits --network gruu": "unknown network 'gruu'; did you mean 'gru'",
    "train digits --network gru --rule bppt": "unknown rule 'bppt'; did you mean 'bptt'",
    "train digits --network gru --optimizer adm": "unknown optimizer 'adm'; did you mean 'adam'",
    "train digits --network gru -o hiden=3": "unknown option 'hiden'; did you mean 'hidden'",
    "train digits --network gru -o hidden": "-o hidden: expected key=value",
    "train digits --network gru -o hidden=4 -o hidden=5": "-o hidden: given twice",
    "train digits --network gru -o hidden=0": "hidden=0: expected a value of at least 1",
    "train digits --network gru -o hidden=-3": "hidden=-3: expected",
    "train digits --network gru -o hidden=2.5": "hidden=2.5: expected a whole number",
    "train digits --network gru -o learning_rate=fast": "learning_rate=fast: expected a number",
    "train digits --network gru -o learning_rate=nan": "learning_rate=nan: expected a number",
    "train digits --network gru -o embedding=3": "only tokens have an embedding",
    "train digits --network gru --steps -1": "steps=-1: expected a value of at least 0",
    "train digits --network gru --steps 1e3": "steps=1e3: expected a whole number",
    "train digits --network gru --batch 0": "batch=0: expected a value of at least 1",
    "train digits --network gru --seed -1": "seed=-1: expected a value of at least 0",
    "train digits --network gru --dtype float16": "dtype=float16: expected one of float32, float64",
    "train digits --network gru --until bored": "until=bored: expected one of steps, solved",
    "train digits --network gru --until solved": "until=solved: the task has no criterion",
    "train digits --network gru --threads 0": "threads=0: expected a whole number between 1",
    "train digits --network gru --threads 4000": "threads=4000: expected a whole number between 1",
    "train digits --network gru --config none.toml": "cannot read none.toml",
    "train digits --network gru --out full": "full: the folder is not empty",
    "train digits --network gru --out file": "file: there is a file of this name",
    "train --resume": "--resume: needs --out",
    "train digits --network gru --out=": "--out: expected the name of a folder",
    "train digits --network gru --time-limit -1": "time_limit=-1.0: expected a number of at least 0",
    "train --resume --out none": "none is not a run",
    "train --resume --out full": "full is not a run",
    "train --resume --out none --config x.toml": "--config cannot be given too",
    "train mnist-rows --network gru -o path=nowhere": "nowhere",
    "train adding --network gru -o length=2": "length=2: expected a value of at least 4",
    "train adding --network gru --rule tbptt -o horizon=0": "horizon=0: expected a value of at least 1",
    "eval none": "none: there is no such run or file",
    "eval full": "full is not a run",
    "eval w.safetensors": "name the task with --task",
    "eval w.safetensors --task digits": "the network has 3 inputs, the task has 8",
    "eval broken.safetensors --task digits": "broken.safetensors is damaged: cut short",
    "eval w.safetensors --task copy --sweep length": "--sweep length: expected OPTION=VALUES, such as length=10,20,50",
    "eval w.safetensors --task copy --sweep length=": "--sweep length=: expected OPTION=VALUES",
    "eval w.safetensors --task copy --sweep length=3,3": "--sweep length=3,3: the value 3 is given twice",
    "eval w.safetensors --task copy --sweep length=1:x": "expected whole numbers FROM:TO or FROM:TO:STEP, got 1:x",
    "eval w.safetensors --task copy --sweep length=9:1": "expected FROM:TO:STEP with FROM up to TO",
    "eval w.safetensors --task copy --sweep length=1:9:0": "and STEP at least 1, got 1:9:0",
    "eval w.safetensors --task copy --sweep length=1:9999": "9,999 values; expected at most 1,000",
    "eval w.safetensors --task copy --sweep length=1:90 --sweep width=1:90": "8,100 evaluations; expected at most 1,000",
    "eval w.safetensors --task copy --sweep length=3 --sweep length=5": "--sweep length: given twice",
    "eval w.safetensors --task copy --sweep length=3 -o length=5": "--sweep length: length is given by -o too",
    "eval w.safetensors --task copy --sweep length=3,0": "length=0: expected a value of at least 1",
    "eval w.safetensors --task copy --sweep length=ten": "length=ten: expected a whole number",
    "show none": "none is not a run",
    "plot none": "none is not a run",
    "describe gruu": "unknown network or task 'gruu'; did you mean 'gru'",
    "describe gru -o inputs=0": "inputs=0: expected a value of at least 1",
    "describe gru -o hidden=99999999999": "parameters: more than fit into memory",
    "train text --network gru -o bidirectional=true": "bidirectional=True: the batches of this task continue each other",
    "list cels": "unknown kind 'cels'; did you mean 'cells'",
    "gradcheck": "name a network, or give --all",
    "gradcheck gruu": "unknown network 'gruu'",
    "gradcheck gru --loss sotfmax": "unknown loss 'sotfmax'; did you mean 'softmax'",
    "simulate w.safetensors --input none.npy --output y.npy": "cannot read none.npy",
    "simulate w.safetensors --input wrong.npy --output y.npy": r"inputs: expected shape \(T, B, 3\), got \(4, 2, 5\)",
    "simulate w.safetensors --input nan.npy --output y.npy": r"inputs: nan at \(t, b, i\) = \(1, 0, 2\)",
    "simulate w.safetensors --input text.npy --output y.npy": "text.npy: the array holds <U1, expected numbers",
    "simulate w.safetensors --input objects.npy --output y.npy": "objects.npy: holds Python objects",
    "simulate w.safetensors --input cut.npy --output y.npy": "cut.npy: damaged or cut short",
    "simulate w.safetensors --input empty.npy --output y.npy": "no sequence or no time step",
    "simulate w.safetensors --input x.npy --lengths far.npy --output y.npy": "lengths: 2..9 given, expected 0..4",
    "simulate w.safetensors --input x.npy --output none/y.npy": "cannot write none",
    "simulate w.safetensors --input x.npy --output y.npy --record zz": "unknown trace 'zz'",
    "data fetch mnst": "unknown data set 'mnst'; did you mean 'mnist'",
    "cache --cler": "No such option",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_line(command, shell, tmp_path):
    Path("full").mkdir()
    Path("full", "thesis.tex").write_text("all my work")
    Path("file").write_text("")
    save_weights(build("gru", 3, 2, {"hidden": 4}), "w.safetensors")
    Path("broken.safetensors").write_bytes(Path("w.safetensors").read_bytes()[:-3])
    x = np.random.default_rng(0).random((4, 2, 3))
    np.save("x.npy", x)
    np.save("wrong.npy", np.zeros((4, 2, 5)))
    np.save("text.npy", np.full((4, 2, 3), "a"))
    np.save("empty.npy", np.zeros((0, 2, 3)))
    np.save("objects.npy", np.array([{}, None]), allow_pickle=True)
    np.save("far.npy", np.array([2, 9]))
    Path("cut.npy").write_bytes(Path("x.npy").read_bytes()[:-5])
    x[1, 0, 2] = np.nan
    np.save("nan.npy", x)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, error = shell(*command.split())
    assert code == 2, (out, error)
    assert error.startswith("rnnsim: ") and error.count("\n") == 1 and "Traceback" not in error
    assert re.search(BAD[command], error), error
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_existing_run_is_not_overwritten(shell, trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    code, _, error = shell("train", "digits", "--network", "gru", "--out", trained)
    assert code == 2 and "not empty; resume the run or choose another folder" in error
    code, _, error = shell("train", "adding", "--resume", "--out", trained)
    assert code == 2 and "another run: its task is digits, not adding" in error
    code, _, error = shell("train", "--resume", "--out", trained, "--steps", "5")
    assert code == 2 and "has done 60 already" in error
    code, _, error = shell("train", "--resume", "--out", trained, "-o", "hidden=9")
    assert code == 2 and "another run: network.options.hidden is 8, not 9" in error
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_damaged_checkpoint_is_one_line_and_the_one_before_it_serves(shell, trained, tmp_path):
    shutil.copytree(trained, "r")
    first, last = sorted(Path("r/checkpoints").iterdir())
    last.write_bytes(last.read_bytes()[:100])
    code, _, error = shell("eval", "r")
    assert code == 0 and re.fullmatch(r"rnnsim: warning: \S+ is damaged, .*; the checkpoint before it is used\n", error)
    first.write_bytes(b"")
    code, _, error = shell("eval", "r")
    assert code == 2 and error.splitlines()[-1].endswith("and no checkpoint before it is left") and "Trace" not in error


@pytest.mark.parametrize("value", ["0", "two"])
def test_number_of_threads_in_the_environment(value, shell, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    code, _, error = shell("info")
    assert code == 2 and error == f"rnnsim: NUMBA_NUM_THREADS={value}: expected a whole number of at least 1\n"
