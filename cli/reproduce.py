"""`rnnsim reproduce`: run an experiment of a paper over seeds, print the published figures beside ours, judge its claims."""

import sys
import time

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli.console import as_json, number, report, table

_QUIET = 10.0  # seconds between two lines about one seed


@click.command("reproduce", short_help="Run an experiment of a paper.")
@click.argument("name", metavar="EXPERIMENT", required=False)
@click.option("--seeds", type=int, help="Number of seeds for every arm. [default: the experiment's]")
@click.option(
    "--first-seed",
    type=int,
    help="First seed of every arm. [default: 1; 101 for arms whose settings were tuned on lower seeds]",
)
@click.option(
    "--jobs",
    type=int,
    default=1,
    show_default=True,
    help="Number of trainings side by side; they share the processors.",
)
@click.option("--quick", is_flag=True, help="Use smaller settings, which take minutes.")
@click.option(
    "--arms", metavar="NAMES", help="Arms to run, separated by commas, or all. [default: all but the extra ones]"
)
@click.option("--out", metavar="DIR", help="Folder for runs and results. [default: runs/reproduce/EXPERIMENT]")
@click.option("--show", is_flag=True, help="Describe the experiment and run nothing.")
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw the learning curves of all seeds.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
@as_json
def command(name, seeds, first_seed, jobs, quick, arms, out, show, figures, quiet, json_wanted):
    """Run an EXPERIMENT of a paper over seeds and print the published figures beside ours.

    EXPERIMENT is a name or the place of your own, ./myfile.py:NAME or mypackage.module:NAME.
    NAME-all runs all experiments whose names begin with NAME-. Results are stored: the same command resumes where it was
    stopped, and a larger --seeds adds seeds. An experiment that falls short of its claims is a result, not an error.

    \b
    rnnsim list experiments
    rnnsim reproduce adding-bptt --show
    rnnsim reproduce adding-bptt --quick --seeds 4 --jobs 2
    """
    from pathlib import Path

    from rnnsim.core.plugins import title
    from rnnsim.experiments import EXPERIMENTS, members

    if name is None:
        raise RnnsimError(f"name an experiment: {', '.join(EXPERIMENTS)}")
    names = members(name)
    if show:
        shown = [_described(EXPERIMENTS.load(each), quick) for each in names]
        report(shown[0] if names == (name,) else shown, json_wanted, lambda: _blocks(map(_description, shown)))
        return
    from rnnsim.experiments.running import Interrupted, reproduce

    chosen = None if arms is None else [part.strip() for part in arms.split(",") if part.strip()]
    data = []
    for each in names:
        display = _Display(title(each), None if quiet else sys.stderr if json_wanted else sys.stdout)
        folder = out if out is None or names == (name,) else Path(out, each)
        try:
            found = reproduce(each, seeds, jobs, quick, folder, chosen, display, figures, first_seed)
        except Interrupted as interrupt:
            click.echo(f"rnnsim: {interrupt}; the same command resumes them", err=True)
            click.get_current_context().exit(130)
        data.append(_plain(found))
        if not json_wanted:
            report(None, False, ["", *_lines(data[-1]), ""])
    if json_wanted:
        report(data[0] if names == (name,) else data, True, ())
    elif len(data) > 1:
        report(None, False, _closing(data))


# -- while it runs -----------------------------------------------------------------------------------------------------


class _Display:
    """Prints a line when a training begins or ends, and one every few seconds in between."""

    def __init__(self, name, stream):
        self._name, self._stream, self._last = name, stream, {}

    def __call__(self, event, arm, seed, fields):
        if self._stream is None:
            return
        now, who = time.monotonic(), f"{self._name}, {arm}" + ("" if seed is None else f", seed {seed}")
        if event == "warm":
            text = "compiling kernels, the first time only ..."
        elif event == "begin":
            self._last[arm, seed] = now
            text = "begins"
        elif event == "step":
            if now - self._last[arm, seed] < _QUIET:
                return
            self._last[arm, seed] = now
            text = f"step {fields['step']:,}/{fields['steps']:,}  loss {number(fields['loss'])}"
            text += f"  validation {number(fields['evaluated'])}" if "evaluated" in fields else ""
            text += f"  {fields['seconds']:.0f} s"
        elif event == "finished":
            text = f"{fields['message']} after {fields['sequences']:,} sequences, {fields['seconds']:.1f} s"
        else:
            text = f"{event}: {fields['message']}"
        print(f"{who}: {text}", file=self._stream, flush=True)


# -- the result --------------------------------------------------------------------------------------------------------


def _plain(found):
    """A `Reproduction` as plain values, for --json and for the table."""
    experiment, results = found.experiment, found.results
    return {
        "experiment": experiment.name,
        "about": experiment.about,
        "paper": experiment.paper,
        "notes": list(experiment.notes),
        "quick": found.quick,
        "seeds": results.seeds,
        "jobs": found.jobs,
        "out": found.folder,
        **found.summary(),
        "lost": found.lost,
        "seconds": found.seconds,
        "seconds_of_all_trainings": sum(record.get("seconds") or 0 for record in results.records),
        "records": results.records,
        "figures": found.figures,
    }


def _verdict(data):
    if data["passes"] is None:
        return "not judged: not all arms were run"
    return "passes" if data["passes"] else "falls short"


def _lines(data):
    """The lines of the table, its notes, and the verdict."""
    settings = "quick settings" if data["quick"] else "full settings"
    yield f"{data['experiment']}: {data['about']}"
    yield f"{settings}, {data['seeds']} seed{'s' * (data['seeds'] > 1)}"
    for first in sorted({arm["first_seed"] for arm in data["arms"]} - {1}):
        yield f"seeds from {first} on: {', '.join(arm['name'] for arm in data['arms'] if arm['first_seed'] == first)}"
    yield ""
    rows, notes = [], []
    for arm in data["arms"]:
        rows.append((f"{arm['name']}: {arm['about']}", "", "", "", "", ""))
        for measure in arm["measures"]:
            rows += _rows(arm, measure, data, notes)
    published = "published, full settings" if data["quick"] else "published"
    titles = ("what", published, "ours: median [quartiles]", "seeds", "claim", "")
    # The long line that names an arm does not widen the first column.
    body = [row if any(row[1:]) else None for row in rows]
    printed = iter(table([row for row in body if row], titles))
    yield from (next(printed), next(printed))
    for row, cells in zip(rows, body):
        yield row[0] if cells is None else next(printed)
    yield ""
    yield from notes
    for arm in data["arms"]:
        yield from (f"{arm['name']}, seed {entry['seed']} failed: {entry['message']}" for entry in arm["failed"])
    yield from (f"lost, the same command runs it again: {text}" for text in data["lost"])
    hold = sum(bool(entry["passes"]) for entry in data["claims"])
    yield f"{_verdict(data)}: {hold} of {len(data['claims'])} claims hold"
    seconds = [(arm["name"], arm["measures"][-1]["median"]) for arm in data["arms"]]
    each = ", ".join(f"{name} {number(value and round(value, 1))} s" for name, value in seconds)
    yield f"time: {each} a seed (median); {data['seconds_of_all_trainings']:.0f} s of training, {data['seconds']:.0f} s this call"
    yield f"runs and results: {data['out']}"
    yield from (f"figure: {path}" for path in data["figures"])


def _closing(data):
    """One table of several experiments: the first measure of every arm beside the published figure."""
    rows = []
    for entry in data:
        for number_, arm in enumerate(entry["arms"]):
            measure, seconds = arm["measures"][0], arm["measures"][-1]["median"]
            figure, there = measure["published"], sum(value is not None for value in measure["values"])
            rows.append(
                (
                    entry["experiment"] if number_ == 0 else "",
                    arm["name"],
                    measure["unit"] or measure["name"],
                    f"{_exact(figure['value'])} ({figure['tag']})" if figure else "-",
                    _spread(measure),
                    f"{there}/{len(measure['values'])}",
                    "-" if seconds is None else f"{seconds:.1f}",
                    _verdict(entry) if number_ == 0 else "",
                )
            )
    return table(
        rows, ("experiment", "arm", "what", "published", "ours: median [quartiles]", "seeds", "s a seed", "result")
    )


def _rows(arm, measure, data, notes):
    """The rows of one measure: one for every claim about it, at least one."""
    published, text = measure["published"], "-"
    if published:
        text = f"{_exact(published['value'])} ({published['tag']})"
        if published["note"]:
            notes.append(f"published, {arm['name']}, {measure['name']}: {published['note']}")
    unit = f" ({measure['unit']})" if measure["unit"] else ""
    there = sum(value is not None for value in measure["values"])
    first = (f"  {measure['about']}{unit}", text, _spread(measure), f"{there}/{len(measure['values'])}")
    claims = [c for c in data["claims"] if (c["arm"], c["measure"]) == (arm["name"], measure["name"])]
    words = {True: "passes", False: "falls short", None: "not judged"}
    judged = [(c["claim"], f"{words[c['passes']]}: {c['found']}") for c in claims] or [("", "")]
    return [(*(first if k == 0 else ("", "", "", "")), *cells) for k, cells in enumerate(judged)]


def _spread(measure):
    if measure["median"] is None:
        return "-"
    low, high = measure["quartiles"]
    return f"{_short(measure['median'])} [{_short(low)}, {_short(high)}]"


def _short(value):
    """Four significant digits; all digits of a number from 1000 on.

    >>> _short(17312.5), _short(0.0123456), _short(74000)
    ('17,312', '0.01235', '74,000')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _exact(value):
    """A published figure with all its digits.

    >>> _exact(133.75), _exact(1273000), _exact(0.5)
    ('133.75', '1,273,000', '0.5')
    """
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


# -- what an experiment is ---------------------------------------------------------------------------------------------


def _described(experiment, quick):
    arms = [
        {
            "name": arm.name,
            "about": arm.words,
            "extra": arm.extra,
            "first_seed": arm.first_seed,
            "settings": arm.settings(quick),
            "first_weights": _first_line(arm.first_weights),
            "published": {name: vars(figure) for name, figure in arm.published.items()},
        }
        for arm in experiment.arms
    ]
    return {
        "experiment": experiment.name,
        "about": experiment.about,
        "paper": experiment.paper,
        "quick": quick,
        "seeds": experiment.quick_seeds if quick else experiment.seeds,
        "arms": arms,
        "measures": [{"name": m.name, "about": m.words, "unit": m.unit} for m in experiment.all_measures],
        "claims": [{"arm": c.arm, "measure": c.measure, "claim": c.words} for c in experiment.claims],
        "notes": list(experiment.notes),
    }


def _first_line(function):
    """The first line of the docstring of a function; None for None."""
    return function and function.__doc__.splitlines()[0]


def _description(data):
    from rnnsim.training import toml

    yield f"{data['experiment']}: {data['about']}"
    yield from ("", *table([("paper", data["paper"]), ("seeds", data["seeds"])]))
    measures = [(entry["name"], entry["about"], entry["unit"]) for entry in data["measures"]]
    yield from ("", *table(measures, ("measure", "what it is", "unit")))
    claims = [(entry["arm"], entry["measure"], entry["claim"]) for entry in data["claims"]]
    yield from ("", *table(claims, ("arm", "measure", "claim")))
    figures = [
        (arm["name"], name, f"{_exact(figure['value'])} {figure['unit']}", figure["tag"], figure["note"])
        for arm in data["arms"]
        for name, figure in arm["published"].items()
    ]
    if figures:
        yield from ("", *table(figures, ("arm", "measure", "published", "provenance", "note")))
    for arm in data["arms"]:
        extra = f" (extra: runs with --arms {arm['name']})" if arm["extra"] else ""
        yield from ("", f"arm {arm['name']}: {arm['about']}{extra}")
        yield from ("  " + line for line in toml.dumps(arm["settings"]).splitlines() if line)
        if arm["first_seed"] > 1:
            yield f"  first seed: {arm['first_seed']}; the settings were tuned on lower seeds"
        if arm["first_weights"]:
            yield f"  first weights: {arm['first_weights']}"
    if data["notes"]:
        yield from ("", *data["notes"])


def _blocks(blocks):
    for number_, block in enumerate(blocks):
        if number_:
            yield ""
        yield from block
