"""`rnnsim compare`: the gradients of learning rules on one stream, compared with the exact gradient."""

import json

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli.console import as_json, key_values, number, pairs, plain, report, table


@click.command("compare", short_help="Compare learning rules.")
@click.argument("task")
@click.option("--network", metavar="NAME", default="rnn", show_default=True, help="A network of one layer.")
@click.option(
    "--rules",
    metavar="RULE,RULE,...",
    help="Rules to compare, with options as in tbptt:horizon=5. [default: all online rules that fit the network]",
)
@click.option("--train-with", metavar="RULE", default="rtrl", show_default=True, help="The rule that trains.")
@key_values("An option of the network, task or optimizer.")
@click.option("--optimizer", metavar="NAME", help="Optimizer. [default: adam with clip_norm=1]")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Number of batches.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Sequences in a batch.")
@click.option(
    "--every",
    type=click.IntRange(0),
    help="Time steps between two updates; 0: one update per batch. [default: 1 on streams, else 0]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the initial weights and of the data."
)
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option("--out", metavar="DIR", help="Folder to write alignment.png, comparison.json and comparison.npz to.")
@as_json
def command(task, network, rules, train_with, options, optimizer, steps, batch, every, seed, dtype, out, json_wanted):
    """Train a network on TASK with one rule; compute the gradients of other rules on the same stream and weights.

    For every update the command compares the gradient of each rule with the exact gradient, that of RTRL, over the parameters
    of the cell: the cosine of the two, and the ratio of their norms. "of sums" is the cosine of the gradients summed over all
    updates, in which noise averages out and bias does not.

    \b
    rnnsim compare xor --rules rtrl,bptt,tbptt:horizon=2 --steps 200
    """
    from rnnsim.learning.comparison import compare
    from rnnsim.training import config as configuration

    plan = configuration.with_names({}, task=task, network=network, rule="bptt", optimizer=optimizer)
    plan = configuration.with_options(plan, pairs(options, "-o"))
    setup = configuration.build({**plan, "seed": seed, "dtype": dtype, "steps": steps, "batch": batch})
    labels = None
    if rules is not None:
        labels = [label.strip() for label in rules.split(",") if label.strip()]
        if not labels:
            raise RnnsimError(f"--rules {rules}: expected names separated by commas, such as rtrl,uoro")
    settings = dict(train_with=train_with, optimizer=setup.settings["optimizer"], steps=steps, batch=batch, rng=seed)
    found = compare(setup.net, setup.task, labels, every=every, **settings)
    data = dict(task=task, network=network, train_with=train_with, every=found.every, updates=found.loss.size)
    data |= dict(steps=found.steps, first_loss=_mean(found.loss, False), last_loss=_mean(found.loss, True))
    data |= dict(rules=found.table(), skipped=found.skipped)
    if out:
        data["figure"] = _write(out, found, data, f"{network} on {task}")

    def lines():
        yield f"{network} on {task}: {found.loss.size:,} updates by {train_with}"
        titles = ("rule", "cosine", "deviation", "norm / exact", "of sums")
        rows = [
            (row["rule"], *(_figure(row[key]) for key in ("cosine", "deviation", "ratio", "of_sums")))
            for row in data["rules"]
        ]
        yield from table(rows, titles, right=(1, 2, 3, 4))
        yield f"loss {number(data['first_loss'])} in the first tenth, {number(data['last_loss'])} in the last"
        for label, why in found.skipped.items():
            yield f"skipped: {label} ({why})"
        if out:
            yield f"figure {data['figure']}"

    report(data, json_wanted, lines)


def _mean(losses, at_end):
    part = max(1, len(losses) // 10)
    return float((losses[-part:] if at_end else losses[:part]).mean())


def _figure(value):
    return f"{value:.4f}" if value == value and abs(value) < 1000 else "-" if value != value else f"{value:.3g}"


def _write(out, found, data, title):
    """Write picture, table and all figures of a comparison to a folder; return the path of the picture."""
    import io
    from pathlib import Path

    import numpy as np

    from rnnsim.core.checkpoint import write_atomically
    from rnnsim.plotting.alignment import rule_alignment

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"loss": found.loss}
    for label, values in found.rules.items():
        arrays |= {f"{label}.{key}": values[key] for key in ("cosine", "ratio")}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(folder / "comparison.npz", buffer.getvalue())
    write_atomically(folder / "comparison.json", json.dumps(plain(data), indent=2) + "\n")
    return str(rule_alignment(found, folder / "alignment.png", title))
