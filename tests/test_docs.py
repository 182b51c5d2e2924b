"""README and docs say what is so: commands and flags that exist, code that runs, links that lead somewhere."""

import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

from rnnsim.training import config
from rnnsim_cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands():
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                for part in line.split("&&"):
                    words = shlex.split(part, comments=True)
                    words = list(itertools.takewhile(lambda word: word not in ("<", ">", "|"), words))
                    if words and Path(words[0]).name == "rnnsim":
                        yield pytest.param(words[1:], id=" ".join(words[1:]))


@pytest.fixture(scope="module")
def own_files(tmp_path_factory):
    """A folder with the files of docs/own-code.md, which its commands name."""
    folder = tmp_path_factory.mktemp("own")
    text = (ROOT / "docs" / "own-code.md").read_text(encoding="utf-8")
    for name, file in re.findall(r"\*\*(\w+\.py)\*\*\n\n```python\n(.*?)```", text, re.DOTALL):
        (folder / name).write_text(file)
    return folder


@pytest.mark.parametrize("words", list(commands()))
def test_command_exists_as_it_is_written(words, own_files, monkeypatch):
    monkeypatch.chdir(own_files)
    name, arguments = words[0], words[1:]
    assert name in COMMANDS
    command = main.get_command(click.Context(main), name)
    context = command.make_context(name, list(arguments))  # parses, and fails for flags that are not there
    if name == "train" and not context.params["resume"]:
        plan = config.with_names({}, task=context.params["task"], network=context.params["network"])
        plan = config.with_names(plan, rule=context.params["rule"])
        config.with_options(plan, dict(item.split("=") for item in context.params["options"]))


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(ROOT / "README.md", "python"):
        short = block.replace("steps=60_000", "steps=3").replace('method="L-BFGS-B")', 'method="L-BFGS-B", tol=1)')
        exec(short, names)
    assert names["run"].steps == 3 and names["result"].records["f_l0"].shape[2] == 16


def test_configuration_of_the_docs_builds():
    import tomllib

    for block in blocks(ROOT / "docs" / "runs.md", "toml"):
        setup = config.build(tomllib.loads(block))
        assert setup.net.hidden == 16 and setup.settings["until"] == "solved"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_first_screen_has_two_commands():
    found = blocks(ROOT / "README.md", "sh")[:2]
    assert [len(block.splitlines()) for block in found] == [1, 1]
    assert "rnnsim train" in found[0] and "-m pytest" in found[1]
