"""How long one waits before anything happens: import, help, and the first step of a network whose kernels are cached.

Every figure is that of a new process. Seconds of compilation are in `bench_cells`.
"""

# One line without quotation marks of one kind, as it goes through two processes.
_FIRST_STEP = (
    "import rnnsim as rs; task = rs.tasks.TASKS.build('digits'); "
    "net = rs.Recurrent('{cell}', task.n_inputs, task.n_outputs, hidden=100); "
    "rs.train(net, task, steps=1, batch=32)"
)


def timeraw_python():
    """What to compare with: modules of Python's own that every program of this size needs."""
    return "import argparse, json, pathlib"


def timeraw_import():
    return "import rnnsim"


def timeraw_import_numpy_and_numba():
    """What to compare the first step with."""
    return "import numpy, numba"


def timeraw_import_network():
    return "import rnnsim; rnnsim.Recurrent"


def timeraw_help():
    # The timer reads what the process prints, so the help must go elsewhere.
    return """
    import contextlib, io
    from rnnsim_cli.main import main
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["--help"], standalone_mode=False)
    assert "train" in out.getvalue()
    """


def timeraw_help_of_a_command():
    return """
    import contextlib, io
    from rnnsim_cli.main import main
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["train", "--help"], standalone_mode=False)
    assert "--network" in out.getvalue()
    """


def _first_step(cell):
    """Statement, and a setup in which another process fills the cache."""
    code = _FIRST_STEP.format(cell=cell)
    return code, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"


def timeraw_first_step_lstm():
    return _first_step("lstm")


def timeraw_first_step_gru():
    return _first_step("gru")


def timeraw_first_step_rnn():
    return _first_step("rnn")


def track_modules_of_import():
    """Modules that ``import rnnsim`` adds to those of a bare Python."""
    import subprocess
    import sys

    code = "import sys; before = set(sys.modules); import rnnsim; print(len(set(sys.modules) - before))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


track_modules_of_import.unit = "modules"
