"""`rnnsim plot`: figures of one run, and of several runs in comparison."""

import click

from rnnsim.errors import RnnsimError, unknown
from rnnsim_cli import own_code
from rnnsim_cli import sweeps as sweeping
from rnnsim_cli.console import as_json, key_values, pairs, report

KINDS = ("learning-curve", "example", "gates", "memory", "tree", "network", "generalisation")
_SWEPT = ("example", "generalisation", "all")  # pictures that a sweep changes
_SHARED = ("learning-curve", "generalisation", "all")  # pictures that show several runs


def draw(run, net, task, kind, ending, number=0, record="gates", folder=None, shown=None):
    """Draw the figures of a `rnnsim.training.run.Run`, of one kind or of all kinds that it has; return their paths as texts.

    `shown` is the task that gives the examples, if not that of the run.
    """
    from pathlib import Path

    from rnnsim import plotting
    from rnnsim.networks.interface import TIME
    from rnnsim.plotting import trees
    from rnnsim.plotting.blocks import has_blocks
    from rnnsim.plotting.episodes import has_memory

    folder = run.figures if folder is None else Path(folder)
    title = run.title
    made, shown = [], task if shown is None else shown
    over_time = TIME in net.capabilities
    for name in KINDS[:-1] if kind == "all" else (kind,):
        path = folder / f"{name}.{ending}"
        if name in ("example", "gates", "memory") and not over_time:
            if kind == "all":
                continue
            raise RnnsimError(f"--what {kind}: network '{net.config['name']}' has no states over time to draw")
        if name == "learning-curve":
            history = run.metrics()
            if not history and kind == "all":
                continue
            over = "step" if task.streams else "sequences"
            made.append(plotting.learning_curve(history, path, task.trivial_loss, unit_of(task), title, over))
        elif name == "example":
            made.append(plotting.example(net, shown, path, shown.example(number), title))
        elif name == "gates":
            made.append(plotting.gates(net, shown, path, shown.example(number), record, title))
        elif name == "tree":
            if kind != "all" or issubclass(task.makes, trees.KINDS):
                made.append(plotting.tree(net, shown, path, shown.example(number), title))
        elif name == "network":
            if kind != "all" or has_blocks(net):
                made.append(plotting.memory_blocks(net, path, title))
        elif kind == "memory" or has_memory(net):
            picture = plotting.film if ending == "gif" else plotting.memory
            made.append(picture(net, shown, path, shown.example(number), title))
    return [str(path) for path in made]


def draw_examples(run, net, tasks, kind, ending, number, folder):
    """Draw one page with an example of every task of ``{name: task}``."""
    from rnnsim import plotting
    from rnnsim.networks.interface import TIME

    over_time = TIME in net.capabilities
    if kind == "all" and (not over_time or any(task.loss.when == "last" for task in tasks.values())):
        return []
    if not over_time:
        raise RnnsimError(f"--what {kind}: network '{net.config['name']}' has no states over time to draw")
    title = run.title
    return [str(plotting.examples(net, tasks, folder / f"examples.{ending}", number, title))]


def draw_together(runs, tasks, others, kind, ending, folder, sweep, count):
    """Draw several runs in one figure: ``{name: run}``, ``{name: its task}``, ``{name: the task that evaluates it}``."""
    from rnnsim import plotting
    from rnnsim.core import plugins
    from rnnsim.training.evaluate import generalisation, trained_range

    (task, *_), made = tasks.values(), []
    title = plugins.title(next(iter(runs.values())).config["task"]["name"])
    if len(runs) > 1 and kind in ("learning-curve", "all"):
        histories = {name: run.metrics() for name, run in runs.items()}
        over = "step" if task.streams else "sequences"
        path = folder / f"learning-curves.{ending}"
        made.append(plotting.compared_curves(histories, path, task.trivial_loss, unit_of(task), title, over))
    if sweep and kind in ("generalisation", "all"):
        ((option, _),) = sweep.items()
        curves = {
            name: generalisation(run.net(), others[name], sweep, seed=run.config["seed"], count=count)
            for name, run in runs.items()
        }
        ranges = {name: trained_range(tasks[name], option) for name in runs}
        ranges = {name: bounds for name, bounds in ranges.items() if bounds}
        path = folder / f"generalisation.{ending}"
        made.append(plotting.generalisation(curves, path, option, ranges, unit_of(task), title))
    return [str(path) for path in made]


def unit_of(task):
    """The unit of a task's loss; "bits per sequence" where the loss is summed over the sequence in bits."""
    return "bits per sequence" if (task.loss.unit, task.loss.per) == ("bits", "sequence") else task.loss.unit


@click.command("plot", short_help="Draw the figures of runs.")
@click.argument("run_folders", metavar="RUN...|NETWORK", nargs=-1, required=True)
@click.option(
    "--what", default="all", show_default=True,
    help="learning-curve, example, gates, memory, tree, network, generalisation or all.",
)  # fmt: skip
@key_values(
    "An option of the task for examples and evaluations; it overrides that of the run. With NETWORK: an option of the "
    "network, also inputs=, outputs=."
)
@click.option(
    "--format", "ending", default="png", show_default=True, help="png, svg or pdf; gif for an animation of the memory."
)
@click.option("--out", metavar="DIR", help="Folder for the figures. [default: figures in the (first) RUN]")
@click.option(
    "--example", "number", type=click.IntRange(0), default=0, show_default=True, help="Number of the example."
)
@click.option(
    "--record",
    default="gates",
    show_default=True,
    help="Traces to draw, separated by commas, such as i_l0,h; gates: all of them.",
)
@sweeping.option
@click.option(
    "--count", type=click.IntRange(1), default=200, show_default=True, help="Number of sequences per value of the sweep."
)  # fmt: skip
@own_code.options
@as_json
def command(run_folders, what, options, ending, out, number, record, sweeps, count, json_wanted, code, accept_source):
    """Draw the learning curve of a run; input, target and output of an example; its gates and states over time; and what
    the heads of a network with a memory write and read.

    Several runs share one figure: their learning curves and, with --sweep, their losses at every value of a task option, also
    beyond the range of the training. With --sweep a single run also gets one page with an example at every value.

    With the name of a network with memory blocks instead of a run, draw its units, blocks and connections.

    \b
    rnnsim plot lstm1997 -o inputs=8 -o outputs=4 --format svg
    rnnsim plot runs/copy-ntm-1 runs/copy-lstm-1 --sweep length=10,20,30,50,120
    rnnsim plot runs/copy-ntm-1 --what example --sweep length=10,20,30,50,120
    rnnsim plot runs/copy-ntm-1 --what memory --format gif -o length=20
    """
    from pathlib import Path

    from rnnsim.plotting.canvas import FILM, FORMATS
    from rnnsim.training.evaluate import varied
    from rnnsim.training.run import open_run

    if what not in (*KINDS, "all"):
        raise unknown("picture", what, [*KINDS, "all"])
    if ending not in (*FORMATS, FILM):
        raise unknown("format", ending, [*FORMATS, FILM])
    if ending == FILM and what != "memory":
        raise RnnsimError(f"--format gif: only --what memory can be animated, not {what}")
    if _is_network(run_folders):
        made = [_diagram(run_folders[0], pairs(options, "-o"), what, ending, out)]
        return report({"figures": made}, json_wanted, made)
    if len(run_folders) > 1 and what not in _SHARED:
        raise RnnsimError(f"--what {what}: expected one run, got {len(run_folders)}")
    given = pairs(options, "-o")
    sweep = _one_sweep(sweeps, what, given)
    runs = _named([open_run(folder, code, accept_source) for folder in run_folders], run_folders)
    first = next(iter(runs.values()))
    tasks = {name: run.task() for name, run in runs.items()}
    others = {name: varied(task, given) if given else task for name, task in tasks.items()}
    # All tasks of a sweep are made before the first figure: a value that does not fit leaves no file behind.
    variants = {
        name: {f"{option}={value}": varied(task, {option: value}) for option in sweep for value in sweep[option]}
        for name, task in others.items()
    }
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
    folder = first.figures if out is None else Path(out)
    made = []
    if len(runs) == 1 and what != "generalisation":
        net, (task,), (shown,) = first.net(), tasks.values(), others.values()
        if not sweep or what == "all":
            names = tuple(name.strip() for name in record.split(",") if name.strip())
            made += draw(first, net, task, what, ending, number, names, folder, shown)
        if sweep:
            made += draw_examples(first, net, *variants.values(), what, ending, number, folder)
    made += draw_together(runs, tasks, others, what, ending, folder, sweep, count)
    report({"figures": made}, json_wanted, made)


def _is_network(names):
    """Whether the argument is the name of a network, and no folder has that name."""
    from pathlib import Path

    from rnnsim.core import plugins
    from rnnsim.networks import NETWORKS

    named = plugins.is_place(names[0]) or names[0] in NETWORKS
    return len(names) == 1 and named and not Path(names[0]).exists()


def _diagram(name, options, what, ending, out):
    """Draw an untrained network; return the path as a text."""
    from pathlib import Path

    from rnnsim import plotting
    from rnnsim_cli.describe import build_network

    if what not in ("all", "network"):
        raise RnnsimError(f"--what {what}: a network without a run has only --what network")
    folder = Path("." if out is None else out)
    net = build_network(name, options)
    folder.mkdir(parents=True, exist_ok=True)
    return str(plotting.memory_blocks(net, folder / f"{name}.{ending}", name))


def _one_sweep(sweeps, what, given):
    sweep = sweeping.parse(sweeps, given)
    if sweep and what not in _SWEPT:
        raise RnnsimError(f"--sweep: expected --what example, generalisation or all, got {what}")
    if len(sweep) > 1:
        raise RnnsimError(f"--sweep: a picture has one axis, expected one option, got {', '.join(sweep)}")
    if what == "generalisation" and not sweep:
        raise RnnsimError("--what generalisation: needs --sweep, such as --sweep length=10,20,50")
    return sweep


def _named(opened, folders):
    """``{name in the legend: run}``: the network and the last part of the folder, or the whole path where two runs share it."""
    from pathlib import Path

    if len(set(folders)) < len(folders):
        raise RnnsimError(f"{next(name for name in folders if folders.count(name) > 1)}: given twice")
    tasks = {run.config["task"]["name"]: None for run in opened}
    if len(tasks) > 1:
        raise RnnsimError(f"the runs have different tasks: {', '.join(tasks)}")
    last = [Path(folder).resolve().name for folder in folders]
    names = last if len(set(last)) == len(last) else folders
    return {_in_legend(run, name): run for run, name in zip(opened, names)}


def _in_legend(run, name):
    from rnnsim.core import plugins

    network = plugins.title(run.config["network"]["name"])
    return name if network in name else f"{network}, {name}"
