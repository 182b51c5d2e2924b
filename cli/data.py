"""`rnnsim data`: list the data sets, and download them."""

import click

from rnnsim_cli.console import as_json, report, table


@click.group("data", short_help="Data sets.")
def command():
    """List the data sets, or download one into the data folder ($RNNSIM_DATA_DIR)."""


def _described(name):
    from rnnsim.data import DATA

    found = DATA.load(name)
    state = "comes with rnnsim" if found.shipped else "fetched" if found.here else "not fetched"
    return {
        "name": name,
        "summary": DATA.summary(name),
        "state": state,
        "folder": str(found.folder),
        "terms": found.terms,
    }


@command.command("list")
@as_json
def list_(json_wanted):
    """List every data set: what it is, whether it has been fetched, and (with --json) folder and terms of use."""
    from rnnsim.data import DATA

    found = [_described(name) for name in DATA]
    rows = [(entry["name"], entry["state"], entry["summary"]) for entry in found]
    report(found, json_wanted, table(rows))


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@as_json
def fetch(names, json_wanted):
    """Download data sets from where they are published, and verify their checksums.

    If you have the files already, give a task their folder instead: -o path=FOLDER.
    """
    import sys

    from rnnsim.data import DATA

    found = []
    for name in names:
        files = DATA.load(name).fetch(progress=not json_wanted and sys.stderr.isatty())
        found.append({"name": name, "files": {file: str(path) for file, path in files.items()}})
    report(found, json_wanted, [path for entry in found for path in entry["files"].values()])
