"""`rnnsim list`: every registry with its names and summaries."""

import importlib

import click

from rnnsim.errors import RnnsimError, unknown
from rnnsim_cli.console import as_json, report, table

# kind: (module, name of the registry)
REGISTRIES = {
    "networks": ("rnnsim.networks", "NETWORKS"),
    "cells": ("rnnsim.cells", "CELLS"),
    "tasks": ("rnnsim.tasks", "TASKS"),
    "rules": ("rnnsim.learning", "RULES"),
    "optimizers": ("rnnsim.optimizers", "OPTIMIZERS"),
    "experiments": ("rnnsim.experiments", "EXPERIMENTS"),
    "data": ("rnnsim.data", "DATA"),
}


def registry(kind):
    """The registry of a kind: ``registry("rules")``; `RnnsimError` for an unknown kind."""
    if kind not in REGISTRIES:
        raise unknown("kind", kind, REGISTRIES)
    module, name = REGISTRIES[kind]
    found = getattr(importlib.import_module(module), name, None)
    if found is None:
        raise RnnsimError(f"{kind}: this installation has none")
    return found


@click.command("list", short_help="List the names.")
@click.argument("kind", required=False)
@as_json
def command(kind, json_wanted):
    """List the networks, cells, tasks, rules, optimizers, experiments and data sets.

    KIND is networks, cells, tasks, rules, optimizers, experiments or data; without it all kinds are listed.
    """
    found = {}
    for name in [kind] if kind else REGISTRIES:
        entries = registry(name)
        found[name] = {entry: entries.summary(entry) for entry in entries.names()}

    def lines():
        for number, (name, entries) in enumerate(found.items()):
            if number:
                yield ""
            yield name
            yield from ("  " + line for line in table(entries.items()))

    report(found, json_wanted, lines)
