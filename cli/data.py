"""`rnnsim data`: the data sets, and fetching them."""

import click

from rnnsim_cli.console import as_json, report, table


@click.group("data", short_help="Data sets.")
def command():
    """List the data sets, or fetch one into the cache folder."""


def _described(name):
    from rnnsim.data import DATA

    found = DATA.load(name)
    state = "comes with rnnsim" if found.shipped else "here" if found.here else "not fetched"
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
    """Every data set: what it is, whether it is here, and its terms."""
    from rnnsim.data import DATA

    found = [_described(name) for name in DATA]
    rows = [(entry["name"], entry["state"], entry["summary"]) for entry in found]
    report(found, json_wanted, table(rows))


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@as_json
def fetch(names, json_wanted):
    """Fetch data sets from where they are published, and compare their checksums.

    Tasks read files at hand with -o path=... instead.
    """
    import sys

    from rnnsim.data import DATA

    found = []
    for name in names:
        files = DATA.load(name).fetch(progress=not json_wanted and sys.stderr.isatty())
        found.append({"name": name, "files": {file: str(path) for file, path in files.items()}})
    report(found, json_wanted, [path for entry in found for path in entry["files"].values()])
