"""`--code FILE.py` and `--accept-source`: the user's own code, for the commands that open a run or a file of weights."""

import click

_CODE = click.option(
    "--code", multiple=True, metavar="FILE.py",
    help="Where your own code of this run is now, if the recorded file has moved; once for each file.",
)  # fmt: skip
_ACCEPT = click.option(
    "--accept-source", is_flag=True, help="Use your own code even if it has changed since the run recorded it."
)


def options(command):
    """Decorator: add both options, which become the arguments `code` and `accept_source` of a command."""
    return _CODE(_ACCEPT(command))
