"""`rnnsim train`: train a network on a task; the run is kept in a folder that can be resumed, shown, plotted, evaluated."""

import contextlib
import os

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli import own_code
from rnnsim_cli.console import as_json, key_values, pairs, report, table

_SETTINGS = {  # flags that set a key of the configuration: what they take, and their help
    "steps": (None, "Number of training steps, one batch each. [default: 1000]"),
    "batch": (None, "Sequences in a batch. [default: 32]"),
    "seed": (None, "Seed of the initial weights and of the data. [default: 0]"),
    "dtype": (None, "float32 or float64. [default: float32]"),
    "until": (
        "steps|solved|GOAL",
        "When to stop: steps, after --steps; solved, as soon as the task's criterion is met or a --test is passed; a goal such "
        "as 'loss<0.1', as soon as an evaluation during training meets it. [default: steps]",
    ),
    "time_limit": ("SECONDS", "Stop after this many seconds; the run can be resumed."),
    "evaluate_every": ("STEPS", "Steps between two evaluations on the test split. [default: 0, only at the end]"),
    "checkpoint_every": ("STEPS", "Steps between two checkpoints. [default: 1000]"),
    "report_every": ("STEPS", "Steps between two lines of metrics. [default: 100]"),
    "test": (
        "none|sets|fresh|streams",
        "How solving the task is judged. none: by the training sequences, which must meet the task's criterion. The others test "
        "the network every --test-every steps, with fixed weights; the task is solved when a test is passed. sets: all sequences "
        "of the task's training set and test set are right. fresh: as many new sequences as the criterion asks for meet it. "
        "streams: ten new streams each run for --test-length time steps without an error. [default: none]",
    ),
    "test_every": ("STEPS", "Steps between two tests. [default: 100]"),
    "test_length": (
        "TIME_STEPS",
        "Time steps without an error that a stream of --test streams needs. [default: 100000]",
    ),
}


def _settings(command):
    """Decorator: a flag for each of the settings."""
    for name, (metavar, text) in reversed(_SETTINGS.items()):
        command = click.option(f"--{name.replace('_', '-')}", metavar=metavar, help=text)(command)
    return command


@click.command("train", short_help="Train a network on a task.")
@click.argument("task", required=False)
@click.option("--network", metavar="NAME", help="rnn, lstm, gru, ...: see `rnnsim list networks`.")
@key_values(
    "An option of the network, task, rule or optimizer; write task.KEY=VALUE where two of them have an option KEY."
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE.toml",
    help="Read the configuration from a file; flags on the command line override it.",
)
@click.option("--rule", metavar="NAME", help="Learning rule. [default: bptt]")
@click.option("--optimizer", metavar="NAME", help="Optimizer. [default: adam with clip_norm=1]")
@_settings
@click.option("--threads", type=int, help="Number of threads. [default: all processors]")
@click.option("--out", metavar="DIR", help="Folder of the run. [default: the next free runs/TASK-NETWORK-N]")
@click.option(
    "--resume", is_flag=True, help="Continue the run in --out; it ends with the same bits as a run that never stopped."
)
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw the figures of the run at the end.")
@click.option("--quiet", is_flag=True, help="Do not show the progress.")
@own_code.options
@as_json
def command(
    task,
    network,
    options,
    config_file,
    rule,
    optimizer,
    threads,
    out,
    resume,
    figures,
    quiet,
    json_wanted,
    code,
    accept_source,
    **flags,
):
    """Train a network on TASK, evaluate it on the test split and draw the figures of the run.

    TASK and the names of network, rule and optimizer are those of `rnnsim list`, or your own classes, such as
    ./mytask.py:MyTask.

    \b
    rnnsim train digits --network gru -o hidden=64 --steps 1500
    rnnsim train adding --network lstm -o hidden=16 -o forget_bias=5 -o learning_rate=2e-3 --steps 50000 --until solved
    rnnsim train --resume --out runs/digits-gru-1 --steps 3000
    """
    from rnnsim.training import config as configuration

    flags = {key: value for key, value in flags.items() if value is not None}
    if out is not None and not out.strip():
        raise RnnsimError("--out: expected the name of a folder, got nothing")
    if resume and not out:
        raise RnnsimError("--resume: needs --out, the folder of the run")
    if resume and config_file:
        raise RnnsimError("--resume: the run has its own configuration, --config cannot be given too")
    trust = (code, accept_source)
    config = _begin(configuration, config_file, out if resume else None, task, trust)
    config = configuration.with_names(config, task=task, network=network, rule=rule, optimizer=optimizer)
    config = configuration.with_options(config, pairs(options, "-o"))
    if "dtype" in flags:
        config.get("network", {}).pop("dtype", None)
    if threads is not None:
        from rnnsim.core.threads import set_threads

        set_threads(threads)
    setup = configuration.build({**config, **flags})
    folder = out or _free_folder(config)
    steps = setup.settings.get("steps", 1000)
    if not (quiet or json_wanted):
        click.echo(
            f"{config['network']['name']} on {config['task']['name']}: {setup.net.n_parameters:,} parameters, "
            f"{steps:,} steps, in {folder}"
        )
    setup.settings["accept_source"] = accept_source
    result = _train(setup, steps, folder, resume, json_wanted, quiet)
    if result.interrupted:
        _end_interrupted(result, folder)
    _finish(setup, config, result, folder, figures, json_wanted)


def _begin(configuration, config_file, run, task, trust):
    """The configuration that the flags change: that of a file, that of the run to be resumed, or an empty one."""
    from rnnsim.core.code import Code
    from rnnsim.core.plugins import absolute

    registries = {part: configuration.registry(part) for part in configuration.PARTS}
    if config_file:
        config = configuration.load(config_file)
        recorded = {part: registry for part, registry in registries.items() if "source" in config.get(part, {})}
        return Code(None, *trust).trusted(config, recorded)
    if run:
        from pathlib import Path

        from rnnsim.training.run import open_run

        if Path(run, "config.toml").exists() or not task:
            opened = open_run(run, *trust)
            config = opened.code.trusted(configuration.check(opened.config, f"{run}: "), registries)
            if absolute(task) not in (None, config["task"]["name"]):
                raise RnnsimError(f"{run} is another run: its task is {config['task']['name']}, not {task}")
            return config
    return {}


def _free_folder(config):
    """Make and return runs/TASK-NETWORK-N with the first N that is free."""
    import itertools
    from pathlib import Path

    from rnnsim.core.plugins import title

    base = "-".join(title(config[part]["name"]) for part in ("task", "network"))
    for count in itertools.count(1):
        folder = Path("runs", f"{base}-{count}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.parent.is_dir():
                raise RnnsimError("runs: there is a file of this name; choose a folder with --out") from None
            continue
        except OSError as error:
            raise RnnsimError(f"cannot make the folder {folder}: {error.strerror or error}") from None
        return str(folder)


def _train(setup, steps, folder, resume, json_wanted, quiet):
    from rnnsim.training.loop import train
    from rnnsim_cli.progress import shown

    display = shown(steps, json_wanted, quiet)

    try:
        with display:
            return train(setup.net, setup.task, out=folder, resume=resume, callback=display, **setup.settings)
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # fails unless it is empty: it was made for this run and nothing was written
        raise


def _end_interrupted(result, folder):
    click.echo(
        f"rnnsim: interrupted after step {result.steps}; continue with: rnnsim train --resume --out {folder}", err=True
    )
    click.get_current_context().exit(130)


def _finish(setup, config, result, folder, figures, json_wanted):
    """Evaluate on the test split, draw the figures, print the summary."""
    from rnnsim.training.evaluate import evaluate
    from rnnsim.training.run import open_run
    from rnnsim.training.writer import write_result
    from rnnsim_cli.evaluate import in_unit, measured

    evaluation = evaluate(
        setup.net, setup.task, **{"seed": setup.settings["rng"], **setup.settings.get("evaluation", {})}
    )
    data = {key: result[key] for key in ("message", "steps", "sequences", "loss", "solved", "solved_at", "seconds")}
    data = {"run": folder, **data, "evaluation": evaluation}
    write_result(folder, data)
    if figures:
        from rnnsim_cli.plot import draw

        data["figures"] = draw(open_run(folder), setup.net, setup.task, "all", "png")

    def lines():
        if result.message != "all steps are done":
            yield f"{result.message} after {result.steps:,} step{'s' * (result.steps != 1)}"
        rows = [("training loss", in_unit(result.loss, evaluation["unit"]))]
        if setup.task.criterion is not None:
            solved = f"yes, after {result.solved_at:,} {setup.task.makes.kind}" if result.solved else "no"
            rows.append(("solved", solved))
        rows += measured(evaluation)
        rows += [("time", f"{result.seconds:.1f} s"), ("run", folder)]
        rows += [("figure", path) for path in data.get("figures", [])]
        yield from table(rows)

    report(data, json_wanted, lines)
