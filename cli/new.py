"""`rnnsim new`: write a template for a task, cell, network, rule or optimizer of one's own."""

import keyword
import re
from pathlib import Path

import click

from rnnsim.errors import RnnsimError, unknown

# kind: (name of the class in the template, commands that try it)
KINDS = {
    "task": ("MyTask", ("rnnsim train {place} --network gru --steps 50",)),
    "cell": ("MyCell", ("rnnsim train xor --network {place} --steps 50", "rnnsim gradcheck {place} --rule rtrl")),
    "network": ("MyNetwork", ("rnnsim train xor --network {place} --steps 50", "rnnsim gradcheck {place}")),
    "rule": ("MyRule", ("rnnsim train xor --network gru --rule {place} --steps 50",)),
    "optimizer": ("MyOptimizer", ("rnnsim train xor --network gru --optimizer {place} --steps 50",)),
}


def template(kind):
    """The text of the template for a kind; its class has the name in `KINDS`."""
    from rnnsim.core.reading import read_text

    return read_text(Path(__file__).parent / "templates" / f"{kind}.py")


def class_name(name, kind):
    """The class name for a file NAME.py, in capitalised words.

    >>> class_name("mytask", "task"), class_name("leaky_unit", "cell"), class_name("LeakyUnit", "cell")
    ('MyTask', 'LeakyUnit', 'LeakyUnit')
    """
    if name.endswith(kind) and "_" not in name:
        name = f"{name.removesuffix(kind)}_{kind}"
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


@click.command("new", short_help="Write a template for your own task, cell, ...")
@click.argument("kind", metavar="KIND")
@click.argument("name")
@click.option("--out", metavar="DIR", default=".", show_default=True, help="Folder to write NAME.py to.")
def command(kind, name, out):
    """Write NAME.py with a task, cell, network, rule or optimizer that you can train as it is, and then change.

    KIND is one of task, cell, network, rule, optimizer.

    \b
    rnnsim new task mytask
    rnnsim train ./mytask.py:MyTask --network gru --steps 50
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    name = name.removesuffix(".py")
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or keyword.iskeyword(name):
        raise RnnsimError(f"{name}: expected the name of a Python module (letters, digits and _)")
    original, commands = KINDS[kind]
    cls, path = class_name(name, kind), Path(out, f"{name}.py")
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(template(kind).replace(original, cls))
    except FileExistsError:
        raise RnnsimError(
            f"{path}: the file exists already; choose another name, or another folder with --out"
        ) from None
    except OSError as error:
        raise RnnsimError(f"cannot write {path}: {error.strerror or error}") from None
    place = f"{path if path.is_absolute() else Path('.') / path}:{cls}"
    place = place if path.is_absolute() else f"./{place}"
    click.echo(f"{path} has the {kind} {cls}. Try it with:")
    for line in commands:
        click.echo(f"  {line.format(place=place)}")
