"""What several test modules share: finite differences, one way to compare, one to run a network of any kind, and commands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.learning import RULES
from rnnsim.networks.interface import GRADIENT, LINEARISATION, TIME

# Rules of networks that read sequences; a rule that needs something else has tests of its own.
SEQUENCE_RULES = tuple(name for name in RULES if RULES.load(name).needs <= {GRADIENT, TIME, LINEARISATION})


def differences(function, array, step=2e-4):
    """Gradient of function() with respect to `array`, which it reads: central differences of fourth order."""
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        values = []
        for multiple in (-2, -1, 1, 2):
            array[place] = kept + multiple * step
            values.append(function())
        array[place] = kept
        gradient[place] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return gradient


def distance(found, expected):
    """Largest difference relative to the largest expected number (at least a thousandth, against 0/0)."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape
    if not expected.size:
        return 0.0
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-3)


def process(*arguments, **options):
    """A command of the shell in a process of its own."""
    code = "import conftest, sys; from rnnsim_cli.main import main; main(sys.argv[1:], prog_name='rnnsim')"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def random_batch(net, loss, size=3, seed=0):
    """A random batch of the kind that a network takes."""
    return net.random_batch(np.random.default_rng(seed), size, loss)


def run(net, batch):
    """All that a forward pass gives, a list of arrays: outputs, the final state if there is one, and every trace."""
    if isinstance(batch, Sequences):
        found = net.forward(batch.inputs, batch.lengths, record=net.trace_names)
        return [found.outputs, *found.state, *found.records.values()]
    found = net.forward(batch, record=net.trace_names)
    return [found.outputs, *found.records.values()]
