"""`rnnsim plot`: the pictures of a run."""

import click

from rnnsim.errors import unknown
from rnnsim_cli.console import as_json, report

KINDS = ("learning-curve", "example", "gates")


def draw(run, net, task, kind, ending, number=0, record="gates", folder=None):
    """Draw the pictures of a `rnnsim.training.run.Run`, one kind or all of them, and return their paths as texts."""
    from pathlib import Path

    from rnnsim import plotting

    folder = run.figures if folder is None else Path(folder)
    title = f"{run.config['network']['name']} on {run.config['task']['name']}"
    made = []
    for name in KINDS if kind == "all" else (kind,):
        path = folder / f"{name}.{ending}"
        if name == "learning-curve":
            history = run.metrics()
            if not history and kind == "all":
                continue
            made.append(plotting.learning_curve(history, path, task.trivial_loss, task.loss.unit, title))
        elif name == "example":
            made.append(plotting.example(net, task, path, task.example(number), title))
        else:
            made.append(plotting.gates(net, task, path, task.example(number), record, title))
    return [str(path) for path in made]


@click.command("plot", short_help="Pictures of a run.")
@click.argument("run_folder", metavar="RUN")
@click.option("--what", default="all", show_default=True, help="learning-curve, example, gates or all.")
@click.option("--format", "ending", default="png", show_default=True, help="png, svg or pdf.")
@click.option("--out", metavar="DIR", help="Where the pictures go. [default: RUN/figures]")
@click.option(
    "--example", "number", type=click.IntRange(0), default=0, show_default=True, help="Which sequence, by number."
)
@click.option(
    "--record", default="gates", show_default=True, help="Traces by commas: gates for all, or such as i_l0,h."
)
@as_json
def command(run_folder, what, ending, out, number, record, json_wanted):
    """Draw the learning curve of a run; input, target and output of an example; and its gates and states over time."""
    from pathlib import Path

    from rnnsim.plotting.canvas import FORMATS
    from rnnsim.training.run import open_run

    if what not in (*KINDS, "all"):
        raise unknown("picture", what, [*KINDS, "all"])
    if ending not in FORMATS:
        raise unknown("format", ending, FORMATS)
    run = open_run(run_folder)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
    names = tuple(name.strip() for name in record.split(",") if name.strip())
    made = draw(run, run.net(), run.task(), what, ending, number, names, out)
    report({"figures": made}, json_wanted, made)
