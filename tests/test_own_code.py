"""Code from outside rnnsim: files, modules and installed packages, wherever a name is taken; what a run records and executes."""

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core import plugins
from rnnsim.core.kernel_digest import kernel_digest
from rnnsim.data import DATA
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.networks import NETWORKS, build, config_of
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.tasks import TASKS
from rnnsim.training import config as configuration
from rnnsim_cli.main import main
from rnnsim_cli.new import KINDS, class_name, template

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "own-code.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"\*\*(\w+\.py)\*\*\n\n```python\n(.*?)```", PAGE, re.DOTALL))
QUICK = ("--steps", "3", "--batch", "4", "--no-figures", "--quiet")
MARK = 'open(__file__ + ".executed", "a").write("x")\n'  # a file that leaves a trace when it is executed


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """A file that stays where it is, so that its kernels are compiled once."""
    path = tmp_path_factory.mktemp("compiled").resolve() / "mycell.py"
    path.write_text(FILES["mycell.py"])
    return path


@pytest.fixture
def here(tmp_path, monkeypatch, compiled):
    """A current folder with the files of the documentation; that of the cell is a link, and is replaced rather than changed."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "mycell.py").unlink()
    (tmp_path / "mycell.py").symlink_to(compiled)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(*arguments):
    """(exit code, standard output, standard error) of a command; the code of the files runs in this process."""
    found = CliRunner().invoke(main, list(arguments), prog_name="rnnsim")
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.stdout, found.stderr


def ok(*arguments):
    code, out, err = shell(*arguments)
    assert code == 0, err
    return out


def refused(*arguments):
    """The one line of an error."""
    code, _, err = shell(*arguments)
    assert code == 2 and err.count("\n") == 1, err
    return err


# -- the files that rnnsim new writes, and the page that shows them ---------------------------------------------------------


def test_the_page_shows_what_new_writes():
    assert set(FILES) == {f"my{kind}.py" for kind in KINDS} | {"mydata.py"}
    for kind in KINDS:
        assert FILES[f"my{kind}.py"] == template(kind), f"docs/own-code.md is not what `rnnsim new {kind}` writes"


def test_commands_of_the_page_run(tmp_path, monkeypatch):
    """From an empty folder, in their order, as they are written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydata.py").write_text(FILES["mydata.py"])
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 12
    for line in lines:
        words = line.split()
        assert words[0] == "rnnsim"
        ok(*words[1:], *(("--no-figures", "--quiet") if words[1] == "train" else ()))
    for config in tmp_path.glob("runs/*/config.toml"):
        assert "sha256" in config.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_new_files_have_the_name_that_is_asked_for(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = ok("new", kind, f"other_{kind}", "--out", "sub")
    path = tmp_path / "sub" / f"other_{kind}.py"
    name = f"Other{kind.capitalize()}"
    assert f"./sub/other_{kind}.py:{name}" in out and f"class {name}" in path.read_text()
    assert f"My{kind.capitalize()}" not in path.read_text()
    registry = {"network": NETWORKS, "task": TASKS, "cell": CELLS, "rule": RULES, "optimizer": OPTIMIZERS}[kind]
    assert registry.load(f"./sub/other_{kind}.py:{name}").__name__ == name
    before = path.read_text()
    assert "the file exists already" in refused("new", kind, f"other_{kind}", "--out", "sub")
    assert path.read_text() == before


def test_new_refuses_names_that_are_none():
    for name in ("3x", "a-b", "class", "a/b", ""):
        assert "expected the name of a Python module" in refused("new", "task", name)
    assert "did you mean 'task'" in refused("new", "tusk", "a")
    assert class_name("mytask", "task") == "MyTask" and class_name("a_b", "cell") == "AB"


# -- own parts in every place -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ("bptt", "tbptt", "rtrl", "uoro", "snap"))
def test_an_own_cell_learns_by_every_kind_of_rule(here, rule):
    task = TASKS.build("xor", {"length": 6})
    net = rs.Recurrent("./mycell.py:MyCell", task.n_inputs, task.n_outputs, hidden=3, rng=1)
    before = net.theta.copy()
    rs.train(net, task, rule=rule, steps=2, batch=2)
    assert np.isfinite(net.theta).all() and (net.theta != before).any()


def test_an_own_cell_stands_the_checks_of_rnnsim(here):
    assert "FAIL" not in ok("gradcheck", "./mycell.py:MyCell", "--all", "--entries", "8")
    assert "passed" in ok("gradcheck", "./mycell.py:MyCell", "--rule", "rtrl")
    assert "passed" in ok("gradcheck", "./mynetwork.py:MyNetwork")
    rows = json.loads(ok("warmup", "./mytask.py:MyTask", "./myoptimizer.py:MyOptimizer", "--json"))["kernels"]
    assert [row["kernels"].split()[0] for row in rows] == ["optimizer", "optimizer", "task"]


def test_own_parts_are_taken_by_name_by_place_and_as_classes(here):
    cell = CELLS.load("./mycell.py:MyCell")
    assert CELLS.load(cell) is cell and CELLS.load(f"{here}/mycell.py:MyCell") is cell
    by_place, by_class = build("./mycell.py:MyCell", 2, 1, {"hidden": 3}), rs.Recurrent(cell, 2, 1, hidden=3)
    assert np.array_equal(by_place.theta, by_class.theta) and by_place.config == by_class.config
    assert by_place.config["name"] == f"{(here / 'mycell.py').resolve()}:MyCell"
    net = build("./mynetwork.py:MyNetwork", 2, 1, {"window": "3"})
    assert config_of(net)["name"] == f"{here / 'mynetwork.py'}:MyNetwork" and net.window == 3
    with pytest.raises(RnnsimError, match="unknown option of network './mycell.py:MyCell' 'update_bia'; did you mean"):
        build("./mycell.py:MyCell", 2, 1, {"update_bia": 1})


def test_own_parts_in_a_configuration(here):
    text = """
    steps = 2
    [task]
    name = "./mytask.py:MyTask"
    options = { delay = 3 }
    [network]
    name = "./mycell.py:MyCell"
    options = { hidden = 3 }
    [rule]
    name = "./myrule.py:MyRule"
    [optimizer]
    name = "./myoptimizer.py:MyOptimizer"
    """
    (here / "plan.toml").write_text(textwrap.dedent(text))
    ok("train", "--config", "plan.toml", "--out", "run", *QUICK)
    config = tomllib.loads((here / "run" / "config.toml").read_text())
    for part, name in (("task", "MyTask"), ("network", "MyCell"), ("rule", "MyRule"), ("optimizer", "MyOptimizer")):
        path = (here / f"{name.lower()}.py").resolve()
        assert config[part]["name"] == f"{path}:{name}"
        assert config[part]["source"] == {"file": str(path), "sha256": plugins.read(path, "")[2]}
    again = configuration.build(config)
    assert again.task.delay == 3 and type(again.settings["rule"]).__name__ == "MyRule"
    ok("train", "--config", "run/config.toml", "--out", "again", *QUICK)
    ok("describe", "./mynetwork.py:MyNetwork")
    assert "delay" in ok("describe", "./mytask.py:MyTask") and "noisy delay" in ok("describe", "./mytask.py:MyTask")


def test_own_data_sets(here):
    (here / "sets.py").write_text(
        "from rnnsim.data.fetch import DataSet\n"
        "FILES = DataSet('mine', {'digits.npz': None}, None, 'free')\nOTHER = 3\n"
    )
    assert DATA.load("./sets.py:FILES").name == "mine"
    assert ok("data", "fetch", "./sets.py:FILES").strip().endswith("digits.npz")
    assert "expected an object of rnnsim.data.fetch.DataSet, got an object of type int" in refused(
        "data", "fetch", "./sets.py:OTHER"
    )


# -- errors -----------------------------------------------------------------------------------------------------------------

BROKEN = {
    "syntax.py": "class MyTask(:\n    pass\n",
    "raises.py": "import numpy\n\nvalue = {}['x']\n",
    "imports.py": "import nowhere_at_all\n",
    "abstract.py": "from rnnsim.tasks import Task\nclass MyTask(Task):\n    n_inputs = 1\n",
    "norule.py": "from rnnsim.learning.interface import Rule\nclass MyRule(Rule):\n    name = 'mine'\n",
    "other.py": "class MyTask:\n    pass\nMyThing = 3\n",
}
ERRORS = {
    "./nowhere.py:MyTask": "task MyTask: there is no file",
    "./mytask.py:MyTsk": "mytask.py; did you mean 'MyTask'?",
    "./other.py:Zzz": "other.py; it has: MyTask",
    "./syntax.py:MyTask": "syntax.py, line 1: SyntaxError: invalid syntax",
    "./raises.py:MyTask": "raises.py, line 3: KeyError: 'x'",
    "./imports.py:MyTask": "imports.py, line 1: ModuleNotFoundError: No module named 'nowhere_at_all'",
    "./abstract.py:MyTask": "it does not define evaluation_batches, training_batch, which every task needs",
    "./other.py:MyTask": "expected a class derived from rnnsim.tasks.interface.Task, got the class MyTask(object)",
    "./other.py:MyThing": "expected a class derived from rnnsim.tasks.interface.Task, got an object of type int",
    "./mycell.py:MyCell": "expected a class derived from rnnsim.tasks.interface.Task, got the class MyCell(Cell)",
    "./mytask.py": "which class? Write ./mytask.py:Name",
    "./mytask.py:": "expected FILE.py:Name or package.module:Name",
    "no_such_package.tasks:MyTask": "there is no module no_such_package",
    "os.no_such:MyTask": "there is no module os.no_such",
    "math:sqrt": "expected a class derived from rnnsim.tasks.interface.Task, got an object of type builtin_function_or_method",
    "addding": "unknown task 'addding'; did you mean 'adding'?",
}


@pytest.mark.parametrize("place", ERRORS)
def test_errors_are_one_clear_line(here, place):
    for name, text in BROKEN.items():
        (here / name).write_text(text)
    assert ERRORS[place] in refused("train", place, "--network", "gru", *QUICK)
    assert not (here / "runs").exists()


def test_errors_of_other_kinds(here):
    (here / "norule.py").write_text(BROKEN["norule.py"])
    with pytest.raises(RnnsimError, match="it does not define learn, which every rule needs"):
        RULES.load("./norule.py:MyRule")
    with pytest.raises(
        RnnsimError, match="network ./mytask.py:MyTask: expected a class derived from .*Network or .*Cell"
    ):
        build("./mytask.py:MyTask", 1, 1)
    with pytest.raises(RnnsimError, match="optimizer ./mytask.py:MyTask: expected a class derived from"):
        OPTIMIZERS.load("./mytask.py:MyTask")
    with pytest.raises(RnnsimError, match="rule 'bpt'; did you mean 'bptt'"):
        RULES.load("bpt")


# -- runs: what is recorded, what is executed ---------------------------------------------------------------------------------


@pytest.fixture
def run(here):
    ok("train", "./mytask.py:MyTask", "--network", "./mycell.py:MyCell", "-o", "hidden=3", "--out", "run", *QUICK)
    return here / "run"


RESUME = ("train", "--resume", "--out", "run", "--steps", "5", "--no-figures", "--quiet")


def test_a_run_of_own_parts_opens_and_resumes(run, here):
    ok("eval", "run", "--count", "5")
    assert "mycell.py" in ok("show", "run")
    net = rs.load_weights(run)
    assert (
        np.array_equal(net.theta, rs.open_run(run).net().theta) and type(rs.open_run(run).task()).__name__ == "MyTask"
    )
    ok("train", "./mytask.py:MyTask", "--network", "./mycell.py:MyCell", "-o", "hidden=3", "--out", "whole", *QUICK[2:],
       "--steps", "5")  # fmt: skip
    ok(*RESUME)
    assert np.array_equal(rs.load_weights(run).theta, rs.load_weights(here / "whole").theta)
    assert rs.open_run(run).title == "MyCell on MyTask"


@pytest.mark.parametrize("command", [("eval", "run", "--count", "5"), ("plot", "run", "--what", "example"), RESUME])
def test_a_source_that_differs_is_not_executed(run, here, command):
    path = here / "mytask.py"
    path.write_text(MARK + path.read_text())
    before = (run / "config.toml").read_text()
    line = refused(*command)
    assert f"the source in {path} has the SHA-256" in line and "--code FILE.py" in line and "--accept-source" in line
    assert not Path(f"{path}.executed").exists() and (run / "config.toml").read_text() == before
    code, _, err = shell(*command, "--accept-source")
    assert code == 0 and "--accept-source uses it nevertheless" in err and Path(f"{path}.executed").exists()
    if command is RESUME:
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["resumed"][-1]["source_changed"].startswith("the source of its task was")
        digest = tomllib.loads((run / "config.toml").read_text())["task"]["source"]["sha256"]
        assert digest == plugins.read(path, "")[2]
        ok("eval", "run", "--count", "5")  # what was accepted is the record now


def test_show_executes_nothing(run, here):
    path = here / "mytask.py"
    path.write_text(MARK + path.read_text())
    ok("show", "run")
    assert not Path(f"{path}.executed").exists()


def test_nothing_inside_the_folder_of_a_run_is_executed(run, here):
    inside = run / "mytask.py"
    inside.write_text(MARK + FILES["mytask.py"])
    config = run / "config.toml"
    digest = plugins.read(inside, "")[2]
    text = config.read_text().replace(f"{here / 'mytask.py'}", str(inside))
    config.write_text(text.replace(plugins.read(here / "mytask.py", "")[2], digest))
    for command in (("eval", "run", "--count", "5"), RESUME):
        assert "lies inside the folder of the run, where nothing is executed" in refused(*command)
    assert "lies inside the folder" in refused("eval", "run", "--accept-source")
    os.symlink(inside, here / "link.py")
    config.write_text(config.read_text().replace(str(inside), str(here / "link.py")))
    assert "lies inside the folder of the run" in refused("eval", "run")
    assert not Path(f"{inside}.executed").exists()


def test_a_module_inside_the_folder_of_a_run_is_not_imported(run, here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    (run / "evil.py").write_text(MARK + FILES["mytask.py"])
    config = run / "config.toml"
    config.write_text(config.read_text().replace(f"{here / 'mytask.py'}:MyTask", "run.evil:MyTask"))
    assert "lies inside the folder of the run" in refused("eval", "run", "--accept-source")
    assert not (run / "evil.py.executed").exists() and "run.evil" not in sys.modules


def test_parts_without_a_record_are_not_executed(run, here):
    config = run / "config.toml"
    config.write_text(re.sub(r"\[task.source\]\n.*\n.*\n", "", config.read_text()))
    assert "is not recorded" in refused("eval", "run")


def test_code_is_given_on_the_command_line(run, here):
    (here / "elsewhere").mkdir()
    moved = here / "elsewhere" / "renamed.py"
    (here / "mytask.py").rename(moved)
    for command in (("eval", "run", "--count", "5"), RESUME):
        assert f"task MyTask of {run}: there is no file {here / 'mytask.py'}" in refused(*command)
    ok("eval", "run", "--count", "5", "--code", str(moved))  # found by its content
    assert type(rs.open_run(run, code=moved).task()).__name__ == "MyTask"
    other = here / "elsewhere" / "mytask.py"
    other.write_text(FILES["mytask.py"] + "# changed\n")  # found by its name, and it is not the recorded one
    assert f"the source in {other} has the SHA-256" in refused("eval", "run", "--code", str(other))
    ok("eval", "run", "--count", "5", "--code", str(other), "--accept-source")
    third = other.rename(here / "elsewhere" / "third.py")  # found by the class that it defines
    assert f"the source in {third} has the SHA-256" in refused("eval", "run", "--code", str(third))
    ok(*RESUME, "--code", str(moved), "--code", str(here / "mycell.py"))
    assert tomllib.loads((run / "config.toml").read_text())["task"]["source"]["file"] == str(moved)
    assert "there is no file" in refused("eval", "run", "--code", "nowhere.py")


def test_weights_and_learners_of_own_cells(here):
    from rnnsim.core.checkpoint import save_weights

    net = rs.Recurrent("./mycell.py:MyCell", 2, 1, hidden=3)
    (here / "kept").mkdir()
    save_weights(net, here / "kept" / "w.safetensors")
    learner = rs.online(net, "rtrl")
    learner.step([0.0, 1.0], [1.0])
    learner.save(here / "kept" / "l.safetensors")
    assert np.array_equal(rs.load_weights(here / "kept" / "w.safetensors").theta.shape, net.theta.shape)
    again = rs.learner_from(here / "kept" / "l.safetensors")
    assert np.array_equal(again.step([1.0, 0.0], [1.0]), learner.step([1.0, 0.0], [1.0]))
    source = rs.Recurrent("./mycell.py:MyCell", 2, 1).config["source"]
    assert source["file"] == str((here / "mycell.py").resolve())
    changed = here / "elsewhere.py"
    changed.write_text(FILES["mycell.py"] + "# changed\n")
    for opened in (rs.load_weights, rs.learner_from):
        name = "w" if opened is rs.load_weights else "l"
        path = here / "kept" / f"{name}.safetensors"
        mycell = changed.rename(here / "kept" / "mycell.py")
        with pytest.raises(RnnsimError, match="the source in .* has the SHA-256"):
            opened(path, code=[mycell])
        changed = mycell.rename(changed)


def test_training_from_python_notices_another_source(run, here):
    (here / "mytask.py").write_text(FILES["mytask.py"] + "# changed\n")
    net, task = build("./mycell.py:MyCell", 6, 4, {"hidden": 3}), TASKS.build("./mytask.py:MyTask")
    settings = dict(optimizer=rs.Adam(clip_norm=1.0), steps=5, batch=4, out=run, resume=True)
    with pytest.raises(RnnsimError, match="the source of its task was .*, now it is .*; --accept-source"):
        rs.train(net, task, **settings)
    assert rs.train(net, task, **settings, accept_source=True).steps == 5


# -- files ------------------------------------------------------------------------------------------------------------------


def test_a_file_that_was_changed_is_loaded_anew(here):
    first = TASKS.load("./mytask.py:MyTask")
    assert TASKS.load("mytask.py:MyTask") is first
    (here / "mytask.py").write_text(FILES["mytask.py"].replace("delay: int = 10", "delay: int = 3"))
    second = TASKS.load("./mytask.py:MyTask")
    assert second is not first and second().delay == 3 and first().delay == 10


def test_classes_of_a_script_are_recorded_by_its_file(here):
    """A run of a script is opened by another process, and by the script itself without being executed a second time."""
    script = FILES["mytask.py"] + textwrap.dedent("""
    if __name__ == "__main__":
        import rnnsim as rs
        task = MyTask()
        net = rs.Recurrent("rnn", task.n_inputs, task.n_outputs, hidden=3)
        rs.train(net, task, steps=2, batch=2, out="run")
        assert type(rs.open_run("run").task()) is MyTask
        print("trained")
    """)
    (here / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], cwd=here, capture_output=True, text=True)
    assert done.stdout == "trained\n", done.stderr
    assert type(rs.open_run(here / "run").task()).__name__ == "MyTask"
    ok("eval", "run", "--count", "5")


# -- installed packages -------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(here, monkeypatch):
    """A distribution with entry points of every kind, as pip would leave it; the registries look again."""
    site = here / "site"
    (site / "plug").mkdir(parents=True)
    for kind in KINDS:
        (site / "plug" / f"{kind}s.py").write_text(MARK + FILES[f"my{kind}.py"])
    (site / "plug" / "__init__.py").write_text("")
    (site / "plug" / "broken.py").write_text("\nraise OSError('no luck')\n")
    info = site / "plug-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.5\n")
    groups = {"task": TASKS, "cell": CELLS, "network": NETWORKS, "rule": RULES, "optimizer": OPTIMIZERS}
    lines = "".join(f"[rnnsim.{kind}s]\nplug-{kind} = plug.{kind}s:My{kind.capitalize()}\n" for kind in groups)
    lines = lines.replace("[rnnsim.tasks]\n", "[rnnsim.tasks]\nbroken = plug.broken:Task\nadding = plug.tasks:MyTask\n")
    (info / "entry_points.txt").write_text(lines)
    (info / "top_level.txt").write_text("plug\n")
    monkeypatch.syspath_prepend(site)
    for registry in groups.values():
        monkeypatch.setattr(registry, "_plugins", None)
    yield site / "plug"
    for name in [name for name in sys.modules if name.split(".")[0] == "plug"]:
        del sys.modules[name]


def test_installed_packages_add_names_and_list_imports_nothing(package):
    found = json.loads(ok("list", "--json"))
    assert found["tasks"]["plug-task"] == "from plug 1.5" and found["rules"]["plug-rule"] == "from plug 1.5"
    assert (
        found["networks"]["plug-cell"] == "stacked layers and a readout: from plug 1.5"
        and "plug-network" in found["networks"]
    )
    assert found["tasks"]["adding"] == TASKS.summary("adding") != "from plug 1.5"
    assert not list(package.glob("*.executed")) and "plug" not in sys.modules
    assert TASKS.load("adding").__module__ == "rnnsim.tasks.adding"
    with pytest.raises(RnnsimError, match="did you mean 'plug-task'"):
        TASKS.load("plug-tsk")


def test_parts_of_installed_packages_train_and_are_recorded(package, here):
    ok("train", "plug-task", "--network", "plug-cell", "--rule", "plug-rule", "--optimizer", "plug-optimizer",
       "-o", "hidden=3", "--out", "run", *QUICK)  # fmt: skip
    config = tomllib.loads((here / "run" / "config.toml").read_text())
    for part in ("task", "network", "rule", "optimizer"):
        source = config[part]["source"]
        assert (source["distribution"], source["version"]) == ("plug", "1.5") and len(source["sha256"]) == 64
    assert config["task"]["name"] == "plug-task" and config["network"]["name"] == "plug-cell"
    ok("eval", "run", "--count", "5")
    assert build("plug-network", 2, 1).config["options"]["window"] == 5
    (package / "tasks.py").write_text((package / "tasks.py").read_text() + "# 1.6\n")
    assert "task plug-task of" in refused("eval", "run")


def test_a_broken_package_is_one_line(package):
    line = refused("train", "broken", "--network", "gru", *QUICK)
    assert "task 'broken' from plug 1.5" in line and "broken.py, line 2: OSError: no luck" in line
    assert "broken" in ok("list", "tasks")


def test_a_run_whose_package_is_gone_says_so(package, here, monkeypatch):
    ok("train", "plug-task", "--network", "rnn", "-o", "hidden=3", "--out", "run", *QUICK)
    monkeypatch.setattr(TASKS, "_plugins", {})
    assert "it came from plug 1.5, which is not installed" in refused("eval", "run")
    (here / "tasks.py").write_text((package / "tasks.py").read_text())


# -- kernels ------------------------------------------------------------------------------------------------------------------

KERNEL = """
import os
import numpy as np
from rnnsim.core.jit import jit_exact, linked
import helper

FACTOR = float(os.environ.get("FACTOR", "2"))
TABLE = np.arange(3.0) * FACTOR

@jit_exact
def inner(x):
    return x * TABLE[1] + helper.plus(x) + LATER

LATER = float(os.environ.get("LATER", "1"))
call = linked(inner)

@jit_exact
def outer(x):
    return call(x) + helper.ONE

if __name__ == "__main__":
    print(outer(1.0), sum(outer.stats.cache_hits.values()))
"""
HELPER = "from rnnsim.core.jit import jit\nONE = 1.0\n@jit\ndef plus(x):\n    return x + 1\n"


def test_kernels_outside_are_kept_and_never_stale(here):
    (here / "kernel.py").write_text(KERNEL)
    helper = here / "helper.py"
    helper.write_text(HELPER)

    def called(**more):
        environment = os.environ | {"RNNSIM_CACHE_DIR": str(here / "kernels")} | more
        done = subprocess.run([sys.executable, "kernel.py"], cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        value, hits = done.stdout.split()
        return float(value), int(hits)

    assert called() == (6, 0) and called() == (6, 1)
    assert called(FACTOR="3") == (7, 0) and called(LATER="5") == (10, 0) and called() == (6, 1)
    helper.write_text(HELPER.replace("x + 1", "x + 2"))
    assert called() == (7, 0) and called() == (7, 1)
    helper.write_text(HELPER.replace("ONE = 1.0", "ONE = 8.0"))
    assert called() == (13, 0)
    helper.write_text(HELPER)
    assert called() == (6, 1)


def test_a_kernel_that_depends_on_something_unknown_has_no_digest():
    class Thing:
        pass

    space = {"thing": Thing(), "number": 3}
    exec("def f(x):\n    return thing\ndef g(x):\n    return number\n", space)
    assert kernel_digest(space["f"]) is None
    first = kernel_digest(space["g"])
    space["number"] = 4
    assert first and kernel_digest(space["g"]) != first


def test_labels_with_options_take_own_parts(here):
    settings = ("-o", "length=6", "-o", "hidden=3", "--steps", "2", "--every", "0")
    rules = "./myrule.py:MyRule:floor=0.5,snap"
    found = json.loads(ok("compare", "xor", "--network", "rnn", *settings, "--rules", rules, "--json"))
    assert {row["rule"] for row in found["rules"]} >= {"./myrule.py:MyRule:floor=0.5", "snap"}
    flows = json.loads(ok("gradflow", "./mycell.py:MyCell:update_bias=-1", "-o", "hidden=3", "--lags", "5", "--json"))
    assert flows["networks"][0]["network"] == "./mycell.py:MyCell:update_bias=-1"
