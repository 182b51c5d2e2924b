"""`rnnsim show`: configuration, progress and results of a run."""

import click

from rnnsim_cli.console import as_json, number, report, table


@click.command("show", short_help="Show a run.")
@click.argument("run_folder", metavar="RUN")
@as_json
def command(run_folder, json_wanted):
    """Show a run: task, network, rule and optimizer with their options, progress, last results, and the machine."""
    from rnnsim.errors import RnnsimError
    from rnnsim.training.run import open_run

    run = open_run(run_folder)
    metrics, result = run.metrics(), run.result()
    try:
        progress = run.checkpoint().progress
    except RnnsimError as error:
        progress = {"step": 0, "seconds": 0.0, "note": str(error)}
    last = metrics[-1] if metrics else {}
    data = {
        "run": str(run.folder),
        "config": run.config,
        "step": progress["step"],
        "steps": run.config["steps"],
        "seconds": progress["seconds"],
        "last_report": last,
        "result": result,
        "figures": sorted(str(path) for path in run.figures.glob("[!.]*")),
        "manifest": run.manifest,
    }
    report(data, json_wanted, lambda: _lines(run, data, progress))


def _lines(run, data, progress):
    from rnnsim_cli.evaluate import measured

    config, last, result = run.config, data["last_report"], data["result"]
    rows = []
    for part in ("task", "network", "rule", "optimizer"):
        if part not in config:
            continue  # a rule that sets the weights itself has no optimizer
        options = " ".join(f"{key}={_short(value)}" for key, value in config[part]["options"].items())
        rows.append((part, f"{config[part]['name']}  {options}".rstrip()))
        source = config[part].get("source")
        if source:
            rows.append(("", ", ".join(f"{key} {value}" for key, value in source.items())))
    rows.append(("batch, seed", f"{config['batch']}, {config['seed']}"))
    done = f"{progress['step']:,} of {config['steps']:,}, {progress['seconds']:.1f} s"
    rows.append(("steps", done))
    if "note" in progress:
        rows.append(("checkpoint", progress["note"]))
    if last.get("loss") is not None:
        rows.append((f"loss at step {last['step']:,}", number(last["loss"])))
    if last.get("correct") is not None:
        rows.append(("correct in training", f"{100 * last['correct']:.2f} %"))
    if result:
        rows.append(("ended", result["message"]))
        if result["solved"]:
            rows.append(("solved", f"after {result['solved_at']:,} sequences"))
        rows += measured(result["evaluation"])
    versions = run.manifest.get("versions", {})
    rows.append(("trained with", ", ".join(f"{name} {version}" for name, version in versions.items())))
    rows.append(("on", f"{run.manifest.get('cpu', '-')}, {run.manifest.get('threads', '-')} threads"))
    rows += [("figure", path) for path in data["figures"]]
    yield from table(rows)


def _short(value):
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
