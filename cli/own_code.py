"""`--code FILE.py` and `--accept-source`: code from outside, for the commands that open a run or a file of weights."""

import click

_CODE = click.option(
    "--code", multiple=True, metavar="FILE.py",
    help="The code of a part that is not rnnsim's own, where the recorded file is not at hand; once for each file.",
)  # fmt: skip
_ACCEPT = click.option("--accept-source", is_flag=True, help="Use such code although it differs from what is recorded.")


def options(command):
    """Both options, as arguments `code` and `accept_source` of a command."""
    return _CODE(_ACCEPT(command))
