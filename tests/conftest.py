"""The suite runs on a checkout as it is, and does not read what its user has fetched or configured."""

import importlib.util
import json
import pathlib
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _find_the_shell():
    """The folder cli/ is installed under the name rnnsim_cli; where it is not installed, take it from the checkout."""
    if importlib.util.find_spec("rnnsim_cli"):
        return
    folder = ROOT / "cli"
    spec = importlib.util.spec_from_file_location(
        "rnnsim_cli", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["rnnsim_cli"] = package
    spec.loader.exec_module(package)


if not importlib.util.find_spec("rnnsim"):
    sys.path.insert(0, str(ROOT))
_find_the_shell()
import rnnsim  # noqa: E402, F401  before any test imports Numba: RNNSIM_ISA=avx2 holds the suite to AVX2


@pytest.fixture(scope="session", autouse=True)
def interrupt():
    """Ctrl-C interrupts, also where the suite was started with it ignored, as scripts start what runs in the background.

    A child process inherits that a signal is ignored, and then no test could interrupt it; a handler is not inherited.
    """
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_DFL if earlier is None else earlier)


@pytest.fixture(scope="session", autouse=True)
def folders(tmp_path_factory):
    """Empty folders for data sets and for Matplotlib's configuration, and no window; also for child processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNSIM_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        patch.setenv("MPLBACKEND", "Agg")
        yield


@pytest.fixture
def shell(capsys):
    """Runs a command in this process: (exit code, standard output, standard error)."""

    def call(*arguments):
        from rnnsim_cli.main import main

        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments], prog_name="rnnsim")
        out, error = capsys.readouterr()
        return end.value.code, out, error

    return call


@pytest.fixture
def ok(shell):
    """Runs a command that must succeed, and gives what it prints; --json is read."""

    def call(*arguments):
        code, out, error = shell(*arguments)
        assert code == 0, error
        return json.loads(out) if "--json" in arguments else out

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run that other tests read."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    arguments = ["train", "digits", "--network", "gru", "-o", "hidden=8", "--steps", "60", "--batch", "16"]
    from rnnsim_cli.main import main

    with pytest.raises(SystemExit) as end:
        main([*arguments, "--report-every", "20", "--out", str(folder), "--quiet", "--no-figures"], prog_name="rnnsim")
    assert end.value.code == 0
    return folder
