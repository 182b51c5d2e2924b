"""Experiments: every one of the registry keeps the contract; one of seconds runs, resumes, fails and is told about."""

import contextlib
import dataclasses
import json
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
import tiny_experiments

from rnnsim.core.batch import Sequences
from rnnsim.errors import RnnsimError
from rnnsim.experiments import EXPERIMENTS, members
from rnnsim.experiments.claims import median_below, median_meets, seeds_meet, seeds_reach
from rnnsim.experiments.interface import FRESH, TAGS, Experiment, Outcome, Published, merged
from rnnsim.experiments.results import Results, quartiles
from rnnsim.experiments.running import reproduce
from rnnsim.tasks import TASKS
from rnnsim.training import config as configuration
from rnnsim.training.loop import train
from rnnsim.training.run import load_weights, open_run

ARMS = [(name, arm) for name in EXPERIMENTS for arm in EXPERIMENTS.load(name).arm_names]
TINY = "tiny_experiments:TINY"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def registered(monkeypatch):
    for name in ("tiny", "against", "slow"):
        entry = (f"tiny_experiments:{name.upper()}", getattr(tiny_experiments, name.upper()).about)
        monkeypatch.setitem(EXPERIMENTS._entries, name, entry)


@pytest.fixture
def shell(registered, shell):
    return shell


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The tiny experiment, all arms, two seeds, two jobs; and what was told on the way."""
    folder, told = tmp_path_factory.mktemp("experiments") / "tiny", []
    found = reproduce(TINY, seeds=2, jobs=2, out=folder, arms=["all"], watch=lambda *event: told.append(event))
    return folder, found, told


# -- the registry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_entries_keep_the_contract(name):
    experiment = EXPERIMENTS.load(name)
    assert (
        isinstance(experiment, Experiment) and experiment.name == name and experiment.about == EXPERIMENTS.summary(name)
    )
    assert experiment.paper and experiment.claims and experiment.chosen()
    names = [measure.name for measure in experiment.all_measures]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[a-z]\w*", each) for each in names)
    assert all(measure.words and callable(measure.of) for measure in experiment.all_measures)
    assert all(claim.words and claim.arm in experiment.chosen() for claim in experiment.claims)
    for arm in experiment.arms:
        assert arm.words and all(figure.tag in TAGS and figure.unit for figure in arm.published.values())
        assert "seed" not in arm.config


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name, arm", ARMS)
def test_configurations_build(name, arm, quick):
    settings = EXPERIMENTS.load(name).arm(arm).settings(quick)
    setup = built({**settings, "seed": 1})
    assert setup.settings["steps"] == settings["steps"] and setup.settings["rng"] == 1
    if settings.get("until", "steps") not in ("steps", "solved"):
        assert settings["evaluation"]["split"] == "validation"
    json.dumps(settings)


def built(settings):
    """The parts of a training; skips where the data of its task are not on this machine."""
    try:
        return configuration.build(settings)
    except RnnsimError as error:
        if "rnnsim data fetch" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_measures_give_numbers(name):
    """Two steps on a small network, or on the memory blocks of the arm; the options of the tasks are those of the measures."""
    experiment = EXPERIMENTS.load(name)
    settings = merged(experiment.arms[0].settings(), {"steps": 2, "evaluate_every": 1, "until": "steps"})
    own = settings["network"]["name"] == "lstm1997"  # learns by a procedure of its own
    if not own:
        settings["batch"] = 2
        if issubclass(Sequences, TASKS.load(settings["task"]["name"]).makes):
            settings["network"] = {"name": "gru", "options": {"hidden": 3}}
        settings["optimizer"] = {"name": "sgd", "options": {"learning_rate": 1e-4}}
    settings["evaluation"] = {"count": 4, "split": "test" if own else "validation"}
    setup = built(settings)
    result = train(setup.net, setup.task, **setup.settings)

    class Short(Outcome):
        def evaluate(self, options=None, count=1000, split="test", batch=100):
            return super().evaluate(options, min(count, 4), split, batch)

    outcome = Short(setup.net, setup.task, result)
    for measure in experiment.all_measures:
        value = measure.of(outcome)
        assert value is None or np.isfinite(value), measure.name
        assert value is not None or "sequences" in measure.name or measure.name == "trials"


def test_families():
    assert set(members("ntm-all")) == {name for name in EXPERIMENTS if name.startswith("ntm-")}
    assert members("ntm-copy") == ("ntm-copy",)
    for name in ("ntm-cpoy", "all", "-all", "ntn-all"):
        with pytest.raises(RnnsimError, match="unknown experiment"):
            members(name)


def test_contract_is_checked():
    with pytest.raises(RnnsimError, match="tag=sure: expected one of read"):
        Published(1.0, "bits", "sure")
    good = tiny_experiments.TINY
    for bad in (dict(claims=(median_meets("tame", "los<1"),)), dict(claims=(median_meets("tme", "loss<1"),))):
        with pytest.raises(RnnsimError, match="did you mean"):
            Experiment(**{**{key: getattr(good, key) for key in ("name", "about", "paper", "arms", "measures")}, **bad})


def test_example_of_the_docs():
    page = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text(encoding="utf-8")
    names = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], names)
    for arm in names["SHORT_COPY"].arms:
        for quick in (False, True):
            assert configuration.build(arm.settings(quick)).settings["until"] == "loss<0.1 twice"


# -- figures over seeds ------------------------------------------------------------------------------------------------


def results(**arms):
    records = []
    for arm, values in arms.items():
        for seed, value in enumerate(values, 1):
            measures = {} if value is None else {"loss": value}
            records.append({"arm": arm, "seed": seed, "status": "finished", "message": "", "measures": measures})
    return Results(records, list(arms), max(map(len, arms.values())))


def test_quartiles():
    values = list(np.random.default_rng(0).random(11))
    low, middle, high = np.sort(values)[[2, 5, 8]]
    assert quartiles([*values, None]) == pytest.approx(
        (middle, (np.sort(values)[2] + np.sort(values)[3]) / 2, high), abs=0.1
    )
    assert quartiles([3.0]) == (3.0, 3.0, 3.0) and quartiles([None]) is None and quartiles([]) is None
    assert quartiles(values)[0] == middle and low <= quartiles(values)[1]


@pytest.mark.parametrize(
    "claim, values, passes, found",
    [
        (seeds_meet("a", "loss<1", at_least=0.9), [0.5] * 9 + [2.0], True, "9 of 10"),
        (seeds_meet("a", "loss<1", at_least=0.9), [0.5] * 8 + [None, 2.0], False, "8 of 10"),
        (seeds_meet("a", "loss<1", at_least=1.0), [0.5, 1.0], False, "1 of 2"),
        (seeds_meet("a", "loss<1", more_than=0.5), [0.5, None, 0.5, 3.0], False, "2 of 4"),
        (seeds_meet("a", "loss<1", more_than=0.5), [0.5, None, 0.5], True, "2 of 3"),
        (seeds_meet("a", "loss>1", at_least=0.7), [2.0, 2.0, 0.0], False, "2 of 3"),
        (seeds_reach("a", "loss", at_least=0.5), [9.0, None], True, "1 of 2"),
        (median_meets("a", "loss<1"), [0.5, 0.5, None], True, "0.5"),
        (median_meets("a", "loss<1"), [0.5, None, None], False, "inf"),
        (median_meets("a", "loss>1"), [5.0, None, None], False, "-inf"),
        (median_meets("b", "loss<1"), [0.5], None, "not run"),
        (median_below("a", "b", "loss"), [0.5], None, "not run"),
    ],
)
def test_claims(claim, values, passes, found):
    assert tuple(claim.judge(results(a=values))) == (passes, found)


def test_comparisons():
    assert median_below("a", "b", "loss").judge(results(a=[1.0, 3.0], b=[2.0, 4.0])) == (True, "2 against 3")
    assert not median_below("a", "b", "loss", 0.5).judge(results(a=[1.0, 3.0], b=[2.0, 4.0])).passes
    # an arm that diverged is worse than any other, and not better than another that did
    assert median_below("a", "b", "loss").judge(results(a=[1.0], b=[None])).passes
    assert not median_below("a", "b", "loss").judge(results(a=[None], b=[None])).passes


# -- running -----------------------------------------------------------------------------------------------------------


def test_seeds_in_processes(done):
    folder, found, told = done
    assert [(r["arm"], r["seed"]) for r in found.results.records] == [(a, s) for a in ("tame", "wild") for s in (1, 2)]
    first, second = found.results.records[:2]
    assert first["status"] == "finished" and set(first["measures"]) == {m.name for m in found.experiment.all_measures}
    assert first["measures"]["loss"] != second["measures"]["loss"]
    assert [event[0] for event in told].count("begin") == 4 and told[0][0] == "warm"
    assert {event[0] for event in told} >= {"warm", "begin", "finished", "failed"}
    # the same as a training of that seed in this process
    setup = configuration.build({**tiny_experiments.SETTINGS, "seed": 2})
    result = train(setup.net, setup.task, **setup.settings)
    np.testing.assert_array_equal(load_weights(folder / "tame" / "seed-2").theta, result.net.theta)
    assert second["sequences"] == result.sequences == second["reached_at"]
    outcome = Outcome(setup.net, setup.task, result)
    for measure in found.experiment.measures:
        assert second["measures"][measure.name] == measure.of(outcome)


def test_runs_are_whole(done):
    folder, found, _ = done
    run = open_run(folder / "tame" / "seed-1")
    assert run.config["seed"] == 1 and run.result()["evaluation"]["sequences"] == 1000
    assert not list(folder.rglob("lock"))
    (picture,) = found.figures
    assert Path(picture).parent == folder / "figures" and Path(picture).stat().st_size > 5000


def test_failing_seeds_are_kept(done):
    _, found, _ = done
    for record in found.results.failed("wild"):
        assert re.match(r"step \d+: .*; last good checkpoint: ", record["message"])
    assert found.results.values("wild", "loss") == [None, None] == found.results.values("wild", "seconds")
    data = found.summary()
    assert [entry["passes"] for entry in data["claims"]] == [True, True, False] and data["passes"] is False
    assert [entry["seed"] for entry in data["arms"][1]["failed"]] == [1, 2]


def test_what_is_there_is_used(done):
    folder, found, _ = done
    told, before = [], (folder / "results.json").read_bytes()
    again = reproduce(
        TINY, seeds=2, out=folder, arms=["wild", "tame"], watch=lambda *event: told.append(event), draw=False
    )
    assert not told and again.results.records == found.results.records
    assert (folder / "results.json").read_bytes() == before
    fewer = reproduce(TINY, seeds=1, out=folder, draw=False)
    assert [record["seed"] for record in fewer.results.records] == [1] and fewer.figures == []


def test_new_measures_do_not_train_again(done, tmp_path):
    folder, found, _ = done
    copy = shutil.copytree(folder, tmp_path / "copy")
    data = json.loads((copy / "results.json").read_text())
    for record in data["records"]:
        if record["seed"] == 2:
            record.get("measures", {}).pop("right_3", None)
    (copy / "results.json").write_text(json.dumps(data))
    again = reproduce(TINY, seeds=2, out=copy, draw=False)
    pairs = zip(again.results.records, found.results.records[:2])
    assert all(a["measures"]["right_3"] == b["measures"]["right_3"] and a["steps"] == b["steps"] for a, b in pairs)


def test_other_settings_are_refused(done):
    folder, _, _ = done
    before = (folder / "results.json").read_bytes()
    with pytest.raises(RnnsimError, match="other settings: quick is False, not True; choose another folder"):
        reproduce(TINY, seeds=2, out=folder, quick=True)
    with pytest.raises(RnnsimError, match="experiment is tiny, not against"):
        reproduce("tiny_experiments:AGAINST", seeds=2, out=folder)
    changed = {**tiny_experiments.SETTINGS, "steps": 401}
    arm = tiny_experiments.TINY.arms[0]
    object.__setattr__(arm, "config", changed)
    try:
        with pytest.raises(RnnsimError, match="settings.tame.steps is 400, not 401"):
            reproduce(TINY, seeds=2, out=folder)
    finally:
        object.__setattr__(arm, "config", tiny_experiments.SETTINGS)
    assert (folder / "results.json").read_bytes() == before


def test_fresh_seeds(tmp_path):
    """An arm that was tuned on low seeds is judged on those from 101 on, and a folder never mixes the two."""
    tame = dataclasses.replace(tiny_experiments.TINY.arms[0], first_seed=FRESH)
    with pytest.MonkeyPatch.context() as patch:
        fresh = dataclasses.replace(tiny_experiments.TINY, arms=(tame, tiny_experiments.TINY.arms[1]))
        patch.setattr(tiny_experiments, "TINY", fresh)
        found = reproduce(TINY, seeds=1, out=tmp_path / "fresh", quick=True, draw=False)
        assert [(record["arm"], record["seed"]) for record in found.results.records] == [("tame", 101)]
        assert open_run(tmp_path / "fresh" / "tame" / "seed-101").config["seed"] == 101
        assert json.loads((tmp_path / "fresh" / "results.json").read_text())["first_seeds"] == {"tame": 101}
        assert found.summary()["arms"][0]["first_seed"] == 101
        assert found.results.values("tame", "loss")[0] is not None
        with pytest.raises(RnnsimError, match="other settings: first_seeds.tame is 101, not 1; choose another folder"):
            reproduce(TINY, seeds=1, out=tmp_path / "fresh", quick=True, draw=False, first_seed=1)
        # A folder of version 0.1 has no first seeds: all its seeds count from 1.
        data = json.loads((tmp_path / "fresh" / "results.json").read_text())
        del data["first_seeds"]
        (tmp_path / "fresh" / "results.json").write_text(json.dumps(data))
        with pytest.raises(RnnsimError, match="first_seeds.tame is 1, not 101"):
            reproduce(TINY, seeds=1, out=tmp_path / "fresh", quick=True, draw=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_tuned_arms_have_fresh_seeds(name):
    """Settings that were chosen on seeds from 1 on: norm_floor, shortcut, closed, open."""
    for arm in EXPERIMENTS.load(name).arms:
        tuned = name in ("ntm-repeat-copy", "ntm-associative-recall") and arm.name.startswith("ntm")
        tuned |= arm.name.endswith(("open", "-closed", "-shortcut"))
        tuned |= name in ("gers-msd", "gers-nmsd") and arm.name == "no-peepholes"
        tuned |= "rnnsim.experiments.trees" in EXPERIMENTS.place(name)
        assert arm.first_seed == (FRESH if tuned else 1), arm.name


def test_no_claim_is_about_time():
    for name in EXPERIMENTS:
        assert all(claim.measure != "seconds" for claim in EXPERIMENTS.load(name).claims)


def test_folders_of_others_are_left_alone():
    Path("full").mkdir()
    Path("full", "thesis.tex").write_text("all my work")
    with pytest.raises(RnnsimError, match="out=full: the folder holds something else"):
        reproduce(TINY, seeds=1, out="full")
    Path("damaged").mkdir()
    Path("damaged", "results.json").write_text('{"experiment": ')
    with pytest.raises(RnnsimError, match="results.json is damaged: no JSON at line 1, .*; move it away"):
        reproduce(TINY, seeds=1, out="damaged")
    Path("file").write_text("")
    with pytest.raises(RnnsimError, match="cannot make the folder file"):
        reproduce(TINY, seeds=1, out="file")
    assert sorted(path.name for path in Path().rglob("*")) == ["damaged", "file", "full", "results.json", "thesis.tex"]


def test_arms_can_be_missing():
    found = reproduce("tiny_experiments:AGAINST", seeds=1, out="a", arms=["tame"], draw=False)
    assert found.summary()["passes"] is None
    found = reproduce("tiny_experiments:AGAINST", seeds=1, out="a", draw=False)
    assert found.summary()["passes"] is True


# -- stopped in the middle ---------------------------------------------------------------------------------------------

_CHILD = """
import conftest, sys
from rnnsim.experiments import EXPERIMENTS
EXPERIMENTS._entries["slow"] = ("tiny_experiments:SLOW", "many steps")
from rnnsim_cli.main import main
main(sys.argv[1:], prog_name="rnnsim")
"""


def started(*arguments):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", _CHILD, "reproduce", "slow", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoints(child, *folders):
    while not all(list(Path(folder).glob("checkpoints/step-*[1-9]*")) for folder in folders):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)


def wait_for_end(*folders):
    """Until no process holds the runs any more."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            pids = [json.loads(Path(folder, "lock").read_text())["pid"] for folder in folders]
            if not any(Path(f"/proc/{pid}").exists() for pid in pids):
                return
        except (OSError, ValueError):
            return
        time.sleep(0.01)
    raise AssertionError("a process goes on")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    reproduce("tiny_experiments:SLOW", jobs=2, out=folder / "slow", draw=False)
    return folder / "slow"


def test_killed_and_taken_up_again(whole):
    child = started("--out", "r", "--jobs", "2")
    wait_for_checkpoints(child, "r/tame/seed-1", "r/tame/seed-2")
    child.kill()
    child.communicate()
    wait_for_end("r/tame/seed-1", "r/tame/seed-2")
    assert json.loads(Path("r/results.json").read_text())["records"] == []
    found = reproduce("tiny_experiments:SLOW", out="r", draw=False)
    for seed in (1, 2):
        theta = [load_weights(folder / "tame" / f"seed-{seed}").theta for folder in (Path("r"), whole)]
        np.testing.assert_array_equal(*theta)
        assert len(open_run(f"r/tame/seed-{seed}").manifest["resumed"]) == 1
    # Records stand in the order in which trainings end, and of two jobs either may end first.
    records = found.results.records, json.loads((whole / "results.json").read_text())["records"]
    mine, its = ({r["seed"]: r["measures"]["loss"] for r in each} for each in records)
    assert mine == its


def test_interrupt(whole):
    child = started("--out", "r", "--jobs", "2")
    wait_for_checkpoints(child, "r/tame/seed-1", "r/tame/seed-2")
    child.send_signal(signal.SIGINT)
    _, error = child.communicate()
    assert child.returncode == 130, error
    assert (
        "interrupted; 0 of 2 trainings have ended; the same command resumes them" in error and "Traceback" not in error
    )
    for seed in (1, 2):
        run = open_run(f"r/tame/seed-{seed}")
        assert 0 < run.checkpoint().progress["step"] < 6000
        assert not (run.folder / "lock").exists()
    reproduce("tiny_experiments:SLOW", seeds=1, out="r", draw=False)
    np.testing.assert_array_equal(load_weights("r/tame/seed-1").theta, load_weights(whole / "tame" / "seed-1").theta)


def test_lost_process():
    """A process that is killed costs its seed, which is run again by the next call."""

    def kill_the_first(event, arm, seed, fields):
        if event == "step" and seed == 1:
            with contextlib.suppress(OSError):  # it may have gone already
                os.kill(json.loads(Path("r/tame/seed-1/lock").read_text())["pid"], signal.SIGKILL)

    found = reproduce("tiny_experiments:SLOW", out="r", watch=kill_the_first, draw=False)
    assert found.lost == ["tame, seed 1: its process was ended by signal 9"]
    assert [record["seed"] for record in found.results.records] == [2]
    assert len(reproduce("tiny_experiments:SLOW", out="r", draw=False).results.records) == 2


# -- the shell ---------------------------------------------------------------------------------------------------------


def test_table(shell, done):
    folder, found, _ = done
    code, out, error = shell("reproduce", "tiny", "--seeds", "2", "--arms", "all", "--out", folder)
    assert code == 0 and not error
    lines = {line.strip().split("  ")[0]: line for line in reversed(out.splitlines()) if line.strip()}
    middle = np.median(found.results.values("tame", "loss"))
    row = lines["loss (nats)"]
    assert "0.4 (uncertain)" in row and f"{middle:.4g} [" in row and "2/2" in row and "passes: 2 of 2" in row
    assert "falls short: " in out and "falls short: 2 of 3 claims hold" in out
    assert "5,000 (read)" in lines["training sequences until loss<0.5 (sequences)"]
    assert "published, tame, loss: a guess" in out
    assert out.count("wild, seed 1 failed: step ") == 1 and "0/2" in out
    assert re.search(r"time: tame [\d.]+ s, wild - s a seed \(median\); \d+ s of training, \d+ s this call", out)


def test_json(shell, done):
    folder, found, _ = done
    code, out, error = shell("reproduce", "tiny", "--seeds", "2", "--arms", "all", "--out", folder, "--json")
    data = json.loads(out)
    assert code == 0 and not error and data["passes"] is False and data["seeds"] == 2
    assert data["records"] == json.loads(json.dumps(found.results.records))
    loss = data["arms"][0]["measures"][1]
    assert loss["published"] == {"value": 0.4, "unit": "nats", "tag": "uncertain", "note": "a guess"}
    assert loss["values"] == found.results.values("tame", "loss") and len(loss["quartiles"]) == 2


def test_quick_and_progress(shell):
    code, out, error = shell("reproduce", "tiny", "--quick")
    assert code == 0, error
    assert "tiny, tame, seed 1: begins" in out and "all steps are done after 240 sequences" in out
    assert "quick settings, 1 seed\n" in out and Path("runs/reproduce/tiny-quick/tame/seed-1/config.toml").is_file()
    code, out, _ = shell("reproduce", "tiny", "--quick", "--quiet")
    assert "begins" not in out and "published, full settings" in out


def test_one_table_closes_several(shell, monkeypatch):
    for name in ("ti-one", "ti-two"):
        monkeypatch.setitem(EXPERIMENTS._entries, name, ("tiny_experiments:TINY", tiny_experiments.TINY.about))
    code, out, error = shell("reproduce", "ti-all", "--quick", "--quiet", "--no-figures")
    assert code == 0, error
    titles, _, *rows = out.splitlines()[-4:]
    assert titles.split()[:4] == ["experiment", "arm", "what", "published"] and len(rows) == 2
    assert all(row.split()[:5] == ["tiny", "tame", "sequences", "5,000", "(read)"] for row in rows)


def test_show(shell):
    for name in EXPERIMENTS:
        code, out, _ = shell("reproduce", name, "--show")
        assert code == 0 and EXPERIMENTS.load(name).paper in out
    _, out, _ = shell("reproduce", "tiny", "--show", "--json")
    data = json.loads(out)
    assert data["arms"][0]["settings"] == tiny_experiments.SETTINGS and data["claims"][0]["arm"] == "tame"
    _, out, _ = shell("reproduce", "ntm-all", "--show", "--json")
    assert [entry["experiment"] for entry in json.loads(out)] == list(members("ntm-all"))
    assert not Path("runs").exists()


def test_an_experiment_in_a_file_of_ones_own(shell, tmp_path):
    shutil.copy(tiny_experiments.__file__, tmp_path / "mine.py")
    place = "./mine.py:TINY"
    code, out, error = shell(
        "reproduce", place, "--quick", "--seeds", "1", "--jobs", "2", "--arms", "tame", "--json", "--quiet"
    )
    assert code == 0, error
    wanted = reproduce(TINY, 1, quick=True, out="wanted", arms=["tame"], draw=False).summary()
    assert json.loads(out)["arms"][0]["measures"][:-1] == wanted["arms"][0]["measures"][:-1]
    for command, message in {
        "./mine.py:TINI": "experiment TINI: no such name in {file}; did you mean 'TINY'?",
        "./mine.py:SETTINGS": "expected an object of rnnsim.experiments.interface.Experiment, got an object of type dict",
        "./nowhere.py:TINY": "experiment TINY: there is no file",
    }.items():
        code, out, error = shell("reproduce", command)
        assert code == 2 and message.format(file=tmp_path / "mine.py") in error and error.count("\n") == 1


def test_list(shell):
    code, out, _ = shell("list", "experiments", "--json")
    assert code == 0 and set(json.loads(out)["experiments"]) == set(EXPERIMENTS)


BAD = {
    "reproduce": "name an experiment: adding-bptt, ",
    "reproduce tny": "unknown experiment 'tny'; did you mean 'tiny'",
    "reproduce tny-all": "unknown experiment 'tny-all'",
    "reproduce tiny --seeds 0": "seeds=0: expected a value of at least 1",
    "reproduce tiny --first-seed -1": "first_seed=-1: expected a value of at least 0",
    "reproduce tiny --jobs 0": "jobs=0: expected a value of at least 1",
    "reproduce tiny --seeds many": "many",
    "reproduce tiny --arms tme": "unknown arm of experiment 'tiny' 'tme'; did you mean 'tame'",
    "reproduce tiny --arms ,": "arms: no name given, expected some of tame, wild or all",
    "reproduce tiny --out full": "full: the folder holds something else",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_line(command, shell):
    Path("full").mkdir()
    Path("full", "thesis.tex").write_text("all my work")
    code, out, error = shell(*command.split())
    assert code == 2 and not out, (out, error)
    assert error.startswith("rnnsim: ") and error.count("\n") == 1 and BAD[command] in error
    assert sorted(path.name for path in Path().rglob("*")) == ["full", "thesis.tex"]
