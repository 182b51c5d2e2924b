"""`rnnsim eval`: evaluate a trained network on sequences that it was not trained on."""

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli import own_code
from rnnsim_cli import sweeps as sweeping
from rnnsim_cli.console import as_json, key_values, number, pairs, report, table


def in_unit(loss, unit):
    """A loss as text: in nats or bits, or a squared error, which has no unit.

    >>> in_unit(0.5, "nats"), in_unit(0.5, "squared")
    ('0.5 nats', '0.5')
    """
    return number(loss) if unit == "squared" else f"{number(loss)} {unit}"


def measured(evaluation):
    """(name, text) of every figure of an evaluation."""
    split, kind = evaluation["split"], evaluation.get("kind", "sequences")
    rows = [(f"{split} loss", in_unit(evaluation["loss"], evaluation["unit"]))]
    if evaluation["trivial_loss"] is not None:
        rows.append(("chance-level loss", in_unit(evaluation["trivial_loss"], evaluation["unit"])))
    # One share under two names would look like two results.
    metrics = {name: value for name, value in evaluation["metrics"].items() if name != "correct"}
    if evaluation["correct"] is not None and "accuracy" not in metrics:
        rows.append((f"{split} right", f"{100 * evaluation['correct']:.2f} % of {evaluation['sequences']:,} {kind}"))
    for name, value in metrics.items():
        text = f"{100 * value:.2f} % of {evaluation['sequences']:,}" if name == "accuracy" else number(value)
        rows.append((f"{split} {name}", text))
    return rows


def sweep_lines(found, names):
    """A table of `rnnsim.training.evaluate.generalisation`, one line per evaluation, as soon as it is done."""
    widths = None
    for one in found:
        row = {name: str(one["options"][name]) for name in names} | _figures(one)
        if widths is None:
            # The later rows are not known yet; a number has at most eleven characters.
            widths = [max(len(title), 8 if title in names else 11) for title in row]
            yield from (
                "  ".join(cells) for cells in ([t.rjust(w) for t, w in zip(row, widths)], ["-" * w for w in widths])
            )
        yield "  ".join(cell.rjust(width) for cell, width in zip(row.values(), widths))


def _figures(evaluation):
    """{title: text} of the figures of an evaluation, as columns of a table."""
    unit = "" if evaluation["unit"] == "squared" else f" ({evaluation['unit']})"
    figures = {f"{evaluation['split']} loss{unit}": number(evaluation["loss"])}
    if evaluation["trivial_loss"] is not None:
        figures["chance level"] = number(evaluation["trivial_loss"])
    if evaluation["correct"] is not None:
        figures["right"] = f"{100 * evaluation['correct']:.2f} %"
    figures |= {name: number(value) for name, value in evaluation["metrics"].items() if name != "correct"}
    return figures | {evaluation["kind"]: number(evaluation["sequences"])}


@click.command("eval", short_help="Evaluate a trained network.")
@click.argument("source", metavar="RUN|WEIGHTS")
@key_values("An option of the task; it overrides that of the run.")
@sweeping.option
@click.option(
    "--task", "task_name", metavar="NAME", help="Another task than that of the run; required for a file of weights."
)
@click.option("--split", default="test", show_default=True, help="Split of the data.")
@click.option("--count", type=int, help="Number of sequences. [default: that of the task]")
@click.option("--batch", type=int, default=100, show_default=True, help="Sequences per batch.")
@click.option("--seed", type=int, help="Seed of generated sequences. [default: that of the run]")
@own_code.options
@as_json
def command(source, options, sweeps, task_name, split, count, batch, seed, json_wanted, code, accept_source):
    """Evaluate the network of a run, or of a .safetensors file, on the test split of its task.

    Options change the task: rnnsim eval runs/adding-lstm-1 -o length=200 evaluates on longer sequences than the training had.
    A sweep gives a table with one row per value; several sweeps give all combinations of their values.

    \b
    rnnsim eval runs/copy-ntm-1 --sweep length=10,20,30,50,120
    rnnsim eval runs/repeat-copy-ntm-1 --sweep length=10,20 --sweep repeats=5:20:5 --count 200 --json
    """
    from pathlib import Path

    from rnnsim.tasks import TASKS
    from rnnsim.training.evaluate import evaluate, generalisation
    from rnnsim.training.run import load_weights, open_run

    given = pairs(options, "-o")
    swept = sweeping.parse(sweeps, given)
    run = open_run(source, code, accept_source) if Path(source).is_dir() else None
    if not Path(source).exists():
        raise RnnsimError(f"{source}: there is no such run or file")
    if run is None and task_name is None:
        raise RnnsimError(f"{source} is a file of weights: name the task with --task")
    if task_name is None:
        task_name, given = run.config["task"]["name"], {**run.config["task"]["options"], **given}
        task = TASKS.build(run.code.name(TASKS, run.config["task"]), given)
    else:
        task = TASKS.build(task_name, given)
    net = run.net() if run else load_weights(source, code, accept_source)
    seed = (run.config["seed"] if run else 0) if seed is None else seed
    settings = dict(seed=seed, count=count, batch=batch, split=split)
    data = {"source": source, "task": task_name, "options": given, "seed": seed}
    if swept:
        found = generalisation(net, task, swept, **settings)
        data |= {"sweep": list(swept), "results": list(found) if json_wanted else []}
        report(data, json_wanted, lambda: sweep_lines(found, swept))
        return
    evaluation = evaluate(net, task, **settings)
    data |= evaluation
    report(data, json_wanted, lambda: table(measured(evaluation)))
