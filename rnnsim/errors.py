"""The one exception of rnnsim: a clear sentence that names the option, the value and what was expected."""

import difflib


class RnnsimError(ValueError):
    """Bad input. The message is one line; the shell prints it and exits with code 2.

    >>> raise RnnsimError("hidden=0: expected a whole number of at least 1")
    Traceback (most recent call last):
    rnnsim.errors.RnnsimError: hidden=0: expected a whole number of at least 1
    """


def unknown(kind, name, known):
    """The error for an unknown name, with the nearest known one.

    >>> str(unknown("cell", "gruu", ["gru", "lstm"]))
    "unknown cell 'gruu'; did you mean 'gru'? known: gru, lstm"
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    return RnnsimError(f"unknown {kind} '{name}'{hint} known: {', '.join(known) or 'none'}")
