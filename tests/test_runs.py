"""Runs on disk: killed at any moment and resumed bit for bit; locks, full disks, damaged files, other runs."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnsim as rs
from rnnsim import networks
from rnnsim.core import checkpoint
from rnnsim.errors import RnnsimError
from rnnsim.networks import NETWORKS, build
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.tasks import TASKS
from rnnsim.training import config, manifest, writer
from rnnsim.training.lock import Lock
from rnnsim.training.run import load_weights, open_run

# Streams carry a state, weight noise and tbptt make several draws and updates a step, online rules draw numbers and carry an
# influence or what they learn about the network: all that a checkpoint must hold.
CASES = {
    "plain": dict(task="adding", network="gru"),
    "streams": dict(task="text", network="lstm", rule="tbptt"),
    **{f"{rule} on streams": dict(task="text", network="rnn", rule=rule) for rule in ("uoro", "kernl", "dni")},
    **{f"{rule} on sequences": dict(task="xor", network="rnn", rule=rule) for rule in ("uoro", "ok", "kernl", "dni")},
    **{f"{name} with noise": dict(task="xor", network="rnn", optimizer=name) for name in OPTIMIZERS},
}
OPTIONS = {
    "adding": {"task.length": 12},
    "text": {"task.steps": 12, "every": 4},
    "xor": {"weight_noise": 0.03, "learning_rate": 0.01},
}


def setup(case, steps, **settings):
    names = CASES[case]
    options = {"hidden": 5, **OPTIONS[names["task"]], **({"horizon": 6} if names.get("rule") == "tbptt" else {})}
    plan = config.with_options(config.with_names({}, **names), options)
    plan |= {"steps": steps, "batch": 4, "seed": 3, "report_every": 3, "checkpoint_every": 4, **settings}
    return config.build(plan)


def train(case, out, steps=21, resume=False, callback=None, **settings):
    net, task, settings = setup(case, steps, **settings)
    return rs.train(net, task, out=out, resume=resume, callback=callback, **settings)


def small(out, steps=4, resume=False, hidden=3, **settings):
    net = build("rnn", 2, 1, {"hidden": hidden}, seed=1)
    return rs.train(net, rs.tasks.Adding(length=8), steps=steps, batch=2, out=out, resume=resume, **settings)


def without_times(metrics):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in metrics]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_resumed_is_uninterrupted(case, tmp_path):
    whole = train(case, tmp_path / "whole")
    for stop in (5, 8, 13):  # before, at and after checkpoints
        train(case, tmp_path / "parts", resume=True, callback=lambda progress, stop=stop: progress.step == stop)
    # What came after the last checkpoint is lost in a crash; the run must find its way from the one before.
    newest = open_run(tmp_path / "parts").checkpoints()[-1]
    newest.unlink()
    parts = train(case, tmp_path / "parts", resume=True)
    np.testing.assert_array_equal(parts.net.theta, whole.net.theta)
    assert parts.steps == whole.steps == 21 and parts.solved_at == whole.solved_at
    assert without_times(parts.history) == without_times(whole.history)
    both = [open_run(tmp_path / name) for name in ("whole", "parts")]
    assert without_times(both[0].metrics()) == without_times(both[1].metrics())
    a, b = (r.checkpoint().optimizer for r in both)
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    assert both[0].config == both[1].config
    np.testing.assert_array_equal(both[1].net().theta, whole.net.theta)


SCRIPT = """
import sys
import test_runs
test_runs.train(sys.argv[1], sys.argv[2], steps=int(sys.argv[3]), resume=True)
"""


def start(case, out, steps):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths + [os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", SCRIPT, case, str(out), str(steps)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def holds_lock(process, folder):
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "lock").read_text())["pid"] == process.pid
    return False


def newest_step(folder):
    return max((int(path.stem[5:]) for path in folder.glob("checkpoints/step-*")), default=0)


def test_kill_at_any_moment(tmp_path):
    case, steps, out = "adam with noise", 2000, tmp_path / "killed"
    whole = train(case, tmp_path / "whole", steps=steps)
    steps_seen = []
    for reached, pause in ((0, 0), (0, 0.01), (100, 0.0003), (300, 0.0007), (500, 0.0011), (800, 0)):
        process = start(case, out, steps)
        while process.poll() is None and not (holds_lock(process, out) and newest_step(out) >= reached):
            time.sleep(0.001)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        # A kill leaves checkpoints that are whole, beside what was being written at that moment.
        stored = [checkpoint.load(path) for path in (out / "checkpoints").glob("step-*")]
        steps_seen.append(max((found.progress["step"] for found in stored), default=0))
    assert steps_seen == sorted(steps_seen) and 800 <= steps_seen[-1] < steps
    process = start(case, out, steps)
    error = process.communicate()[1]
    assert process.returncode == 0, error
    found = open_run(out)
    np.testing.assert_array_equal(found.net().theta, whole.net.theta)
    assert without_times(found.metrics()) == without_times(whole.history)
    assert not list(out.rglob(".*.tmp")) and not (out / "lock").exists()


def test_same_bits_for_any_number_of_threads(tmp_path):
    script = (
        "import sys, test_runs, rnnsim as rs\n"
        "rs.set_threads(int(sys.argv[1]))\n"
        "net, task, settings = test_runs.setup('plain', 30, batch=64)\n"
        "rs.train(net, task, out=sys.argv[2], **settings)\n"
    )
    from rnnsim.core.threads import available

    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths + [os.environ.get("PYTHONPATH", "")])}
    found = []
    for threads in sorted({1, min(2, available())}):
        out = tmp_path / str(threads)
        subprocess.run([sys.executable, "-c", script, str(threads), str(out)], check=True, env=environment)
        found.append(load_weights(out).theta)
    for theta in found[1:]:
        np.testing.assert_array_equal(theta, found[0])


def test_interrupt_while_the_run_begins(tmp_path, monkeypatch):
    save, asked = writer.Writer.save, []

    def interrupted(writer, *arguments, **parts):
        if not asked:
            asked.append(signal.raise_signal(signal.SIGINT))
        return save(writer, *arguments, **parts)

    monkeypatch.setattr(writer.Writer, "save", interrupted)
    result = small(tmp_path / "a")
    assert result.interrupted and result.steps == 1
    assert small(tmp_path / "a", resume=True).steps == 4


def test_metrics_after_the_checkpoint_are_cut(tmp_path):
    small(tmp_path / "r", steps=10, report_every=1, checkpoint_every=5)
    with open(tmp_path / "r" / "metrics.jsonl", "a") as file:
        file.write('{"step": 11, "loss": 1.0}\n{"step": 12, "lo')
    small(tmp_path / "r", steps=12, resume=True, report_every=1, checkpoint_every=5)
    assert [line["step"] for line in open_run(tmp_path / "r").metrics()] == list(range(1, 13))


def test_more_steps_after_the_end(tmp_path):
    whole = small(tmp_path / "whole", steps=9)
    small(tmp_path / "r", steps=4)
    more = small(tmp_path / "r", steps=9, resume=True)
    np.testing.assert_array_equal(more.net.theta, whole.net.theta)
    again = small(tmp_path / "r", steps=9, resume=True)  # nothing left to do
    np.testing.assert_array_equal(again.net.theta, whole.net.theta)


def test_damaged_newest_checkpoint(tmp_path):
    whole = small(tmp_path / "whole", steps=9, checkpoint_every=3)
    small(tmp_path / "r", steps=7, checkpoint_every=3)
    newest = open_run(tmp_path / "r").checkpoints()[-1]
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=f"{newest.name}.*damaged.*the checkpoint before it is used"):
        again = small(tmp_path / "r", steps=9, resume=True, checkpoint_every=3)
    np.testing.assert_array_equal(again.net.theta, whole.net.theta)


# -- what may not happen -----------------------------------------------------------------------------------------------


def refused(message, call):
    with pytest.raises(RnnsimError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("config.toml", "x = 1", "config.toml is damaged: steps is missing, expected a whole number"),
        ("config.toml", "steps = ", "config.toml: Invalid value"),
        ("config.toml", None, "config.toml is damaged: task.name is missing, expected a text"),
        ("manifest.json", "{", "manifest.json is damaged"),
        ("manifest.json", "[1]", r"manifest.json is damaged: \[1\]: expected a table"),
        ("manifest.json", '{"versions": {"numpy": 2}}', "versions.numpy=2: expected a text"),
    ],
)
def test_damaged_files_are_named(name, content, message, tmp_path):
    small(tmp_path / "a")
    path = tmp_path / "a" / name
    path.write_text(path.read_text().replace('name = "adding"', "") if content is None else content)
    for again in (lambda: open_run(tmp_path / "a"), lambda: small(tmp_path / "a", resume=True)):
        with pytest.raises(RnnsimError, match=message):
            again()


@pytest.mark.parametrize("content", ["{", "[]", '{"loss": 1}'])
def test_damaged_result(content, tmp_path):
    small(tmp_path / "a")
    (tmp_path / "a" / "result.json").write_text(content)
    with pytest.raises(RnnsimError, match="result.json is damaged"):
        open_run(tmp_path / "a").result()


def test_checkpoint_of_another_network(tmp_path):
    small(tmp_path / "a")
    small(tmp_path / "b", hidden=5)
    name = "checkpoints/step-00000004.safetensors"
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    before = files(tmp_path / "a")
    for use in (open_run(tmp_path / "a").net, lambda: small(tmp_path / "a", resume=True)):
        with pytest.raises(RnnsimError, match="holds another network: options.hidden is 5, not 3"):
            use()
    changed = {path for path, content in files(tmp_path / "a").items() if before.get(path) != content}
    assert changed <= {Path("manifest.json")}


def test_fewer_steps_than_are_done(tmp_path):
    small(tmp_path / "a", steps=4)
    before = files(tmp_path / "a")
    with pytest.raises(RnnsimError, match="steps=3: .* has done 4 already"):
        small(tmp_path / "a", steps=3, resume=True)
    assert files(tmp_path / "a") == before and small(tmp_path / "a", steps=4, resume=True).steps == 4


def test_existing_folder_is_left_alone(tmp_path):
    out = tmp_path / "r"
    small(out)
    before = files(out)
    refused("not empty; resume", lambda: small(out))
    refused("another run: network.options.hidden is 3, not 4", lambda: small(out, resume=True, hidden=4))
    assert files(out) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("all my work")
    refused("something other than a run", lambda: small(tmp_path / "other", resume=True))
    refused("not empty", lambda: small(tmp_path / "other"))
    assert (tmp_path / "other" / "thesis.tex").read_text() == "all my work"
    (tmp_path / "file").write_text("")
    refused("there is a file of this name", lambda: small(tmp_path / "file"))
    refused("needs out", lambda: small(None, resume=True))


def test_two_processes_one_run(tmp_path):
    out = tmp_path / "r"
    small(out)
    process = start("plain", tmp_path / "busy", 10**6)
    while not list(tmp_path.glob("busy/checkpoints/step-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    try:
        refused(f"in use by process {process.pid}", lambda: train("plain", tmp_path / "busy", resume=True))
        assert open_run(tmp_path / "busy").net().n_parameters  # reading needs no lock
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    train("plain", tmp_path / "busy", steps=0, resume=True)  # the lock of a dead process holds nobody up


def test_lock_of_a_process_that_is_gone(tmp_path):
    (tmp_path / "lock").write_text(json.dumps({"pid": 2**22 - 1, "started": 5}))
    lock = Lock(tmp_path / "lock")
    refused("in use", lambda: Lock(tmp_path / "lock"))
    lock.release()
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("at", ["write", "fsync"])
def test_full_disk(tmp_path, monkeypatch, at):
    whole, out = small(tmp_path / "whole", steps=9, checkpoint_every=2), tmp_path / "r"
    small(out, steps=5, checkpoint_every=2)
    before, real = files(out), os.fsync

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile:
        def __init__(self, *arguments):
            self._file = open(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def __getattr__(self, name):
            return full if name == "write" else getattr(self._file, name)

    if at == "write":
        monkeypatch.setattr(checkpoint, "open", FullFile, raising=False)
    else:
        monkeypatch.setattr(os, "fsync", full)
    refused("cannot write .*No space left", lambda: small(out, steps=9, resume=True, checkpoint_every=2))
    monkeypatch.undo()
    assert os.fsync is real
    assert not [path for path in out.rglob(".*") if path.is_file()]
    after = files(out)
    assert {path: after[path] for path in before if "checkpoints" in str(path)} == {
        path: data for path, data in before.items() if "checkpoints" in str(path)
    }
    again = small(out, steps=9, resume=True, checkpoint_every=2)
    np.testing.assert_array_equal(again.net.theta, whole.net.theta)


def test_not_finite_names_the_last_good_checkpoint(tmp_path):
    class Bad(rs.tasks.Adding):
        def generate(self, key, first, size):
            batch = super().generate(key, first, size)
            if first >= 12:
                batch.targets[:] = np.nan
            return batch

    net = build("rnn", 2, 1, {"hidden": 3}, seed=1)
    with pytest.raises(RnnsimError, match=r"step 7: .*nan.*last good checkpoint: .*step-00000006"):
        rs.train(net, Bad(length=8), steps=20, batch=2, out=tmp_path / "r")
    stored = open_run(tmp_path / "r").net()
    np.testing.assert_array_equal(stored.theta, net.theta)
    assert np.isfinite(net.theta).all()


# -- files of weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_come_back(name, dtype, tmp_path):
    options = {"hidden": 4, "layers": 2, "learned_initial_state": True}
    options = {key: value for key, value in options.items() if key in networks.options_of(name)}
    net = build(name, 3, 2, options, dtype, seed=5)
    checkpoint.save_weights(net, tmp_path / "w.safetensors")
    other = load_weights(tmp_path / "w.safetensors")
    assert other.config == net.config
    np.testing.assert_array_equal(other.theta, net.theta)
    from safetensors.numpy import load_file

    arrays = load_file(tmp_path / "w.safetensors")
    assert set(arrays) == {entry.name for entry in net.layout}
    for entry in net.layout:
        np.testing.assert_array_equal(arrays[entry.name], net.layout.view(net.theta, entry.name))


def test_initial_values_that_nothing_reads_are_left_out(tmp_path):
    """Files of earlier versions hold a first h of the cell `elstm`, which no time step reads."""
    from safetensors.numpy import save

    net = build("elstm", 3, 2, {"hidden": 4, "layers": 2, "learned_initial_state": True}, seed=5)
    arrays = dict(net.layout.views(net.theta)) | {f"h0_l{layer}": np.ones(4, np.float32) for layer in (0, 1)}
    metadata = {"format": checkpoint.FORMAT, "network": json.dumps(net.config), "progress": "{}", "states": "-1"}
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(arrays, metadata | {"digest": checkpoint._digest(arrays, metadata)}))
    np.testing.assert_array_equal(load_weights(path).theta, net.theta)
    other = build("elstm", 3, 2, {"hidden": 4, "layers": 2})
    refused("another network", lambda: checkpoint.restore(other, checkpoint.load(path), path))


def test_bad_files_of_weights(tmp_path):
    net = build("gru", 3, 2, {"hidden": 4})
    path = tmp_path / "w.safetensors"
    checkpoint.save_weights(net, path)
    data = path.read_bytes()
    for broken in (b"", b"x", data[:40], data[:-1], data[:-8] + b"\0" * 7 + b"\1", b"\xff" * 400):
        path.write_bytes(broken)
        refused("damaged|not a file of weights", lambda: load_weights(path))
    refused("cannot read .*No such file", lambda: load_weights(tmp_path / "none"))
    refused("is not a run", lambda: load_weights(tmp_path))
    path.write_bytes(data)
    for other, message in (
        (build("gru", 3, 2, {"hidden": 5}), "options.hidden is 4, not 5"),
        (build("gru", 3, 2, {"hidden": 4}, "float64"), "dtype is float32, not float64"),
        (build("lstm", 3, 2, {"hidden": 4}), "another network"),
    ):
        before = other.theta.copy()
        refused(message, lambda net=other: checkpoint.restore(net, checkpoint.load(path), path))
        np.testing.assert_array_equal(other.theta, before)


def test_run_rebuilds_its_parts(tmp_path):
    result = train("streams", tmp_path / "r", steps=5)
    found = open_run(tmp_path / "r")
    assert type(found.task()) is TASKS.load("text") and found.task().steps == 12
    assert found.rule().horizon == 6 and found.optimizer().clip_norm == 1.0
    assert found.manifest["seed"] == 3 and set(found.manifest["versions"]) >= {"rnnsim", "numpy", "numba"}
    assert len(manifest.source_digest()) == 64 and found.manifest["source"] == manifest.source_digest()
    rebuilt = config.build(found.config)
    assert rebuilt.net.config == result.net.config and rebuilt.settings["steps"] == 5
