"""Learners that take one item at a time, and teacher forcing: against twins, the engine and themselves in other pieces."""

import naive
import numpy as np
import pytest
from cases import Batch, differences, distance

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES

I, K, H, T, S = 2, 2, 4, 9, 3
EVERY = Loss("squared_error", per="sequence")


def network(cell="rnn", seed=1, **options):
    return rs.Recurrent(cell, I, K, **{"hidden": H, "dtype": "float64", "rng": seed, **options})


def items(steps=T, streams=S, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(steps, streams, I)), rng.uniform(-0.5, 0.5, (steps, streams, K))


# -- teacher forcing ---------------------------------------------------------------------------------------------------

FORCED = [(cell, {}) for cell in CELLS if cell in ("rnn", "lstm", "gru")]
FORCED += [("rnn", dict(input_delay=True, activation="logistic", leak=0.7)), ("gru", dict(reset="before"))]


def forced_loss(net, inputs, targets, weights):
    """The loss of the twin, walked tick by tick, with its first units set to their targets between ticks."""
    views, state, total = net.layout.views(net.theta), None, 0.0
    delayed = net.config["options"].get("input_delay", False)
    for x, d, w in zip(inputs, targets, weights):
        counted = w > 0
        if delayed and state is None:
            state = [np.zeros((1, S, H))]
        if delayed:
            y = state[0][0, :, :K].copy()
            state[0][0, counted, :K] = d[counted]
        outputs, _, state, _ = naive.network(net.config, views, x[None], None, state)
        state = [np.array(part) for part in state]
        if not delayed:
            y = outputs[0]
            state[0][0, counted, :K] = d[counted]
        total += (w[:, None] * (y - d) ** 2).sum()
    return total / S


@pytest.mark.parametrize("case", FORCED, ids=str)
def test_forced_gradient_takes_forced_units_as_constants(case):
    """Teacher-forced RTRL is the gradient of the network whose outputs are replaced by constants at every counted tick."""
    cell, options = case
    net = network(cell, readout="units", **options)
    inputs, targets = items()
    weights = np.random.default_rng(4).choice([0.0, 0.5, 1.0], (T, S))
    gradients = []
    rule = RULES.build("rtrl", {"force": "true"})
    found = rule.learn(net, Batch(inputs, targets, weights), EVERY, lambda g: gradients.append(g.copy()))
    assert found.loss == pytest.approx(forced_loss(net, inputs, targets, weights), rel=1e-12)
    expected = differences(lambda: forced_loss(net, inputs, targets, weights), net.theta)
    assert distance(gradients[0], expected) <= 1e-8
    free = []
    RULES.build("rtrl").learn(net, Batch(inputs, targets, weights), EVERY, lambda g: free.append(g.copy()))
    assert distance(gradients[0], free[0]) > 1e-3


def test_forcing_every_tick_adds_up_over_updates():
    net = network(readout="units")
    inputs, targets = items()
    parts = []
    for every in (0, 1, 4):
        gradients = []
        rule = RULES.build("rtrl", {"force": True, "every": every})
        rule.learn(net, Batch(inputs, targets), EVERY, lambda g: gradients.append(g.copy()))
        assert len(gradients) == (1 if not every else -(-T // every))
        parts.append(sum(gradients))
    assert distance(parts[1], parts[0]) <= 1e-13 and distance(parts[2], parts[0]) <= 1e-13


def force(net, loss=EVERY, targets=None):
    inputs, given = items()
    targets = given if targets is None else targets
    return RULES.build("rtrl", {"force": True}).learn(net, Batch(inputs, targets), loss, lambda g: None)


def cut(**options):
    table = np.ones((H, I + H), int)
    table[:, :I] = -1
    return network(connections=table, **options)


HOLE = items()[1].copy()
HOLE[2, 1, 0] = np.nan
WRONG = {
    "force=True: teacher forcing sets units to their targets and needs readout=units": lambda: force(network()),
    "force=True: units have no targets under a bernoulli loss": lambda: force(
        network(readout="units"), Loss("bernoulli")
    ),
    "teacher forcing needs a target at every tick, and this task has one at the end": lambda: force(
        network(readout="units"), Loss("squared_error", when="last"), items()[1][0]
    ),
    "force=True: tick 2 of sequence 1 has no full target": lambda: force(network(readout="units"), targets=HOLE),
    "cut every path from an input to an output": lambda: RULES.build("rtrl").check(cut(), None),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_learned_is_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_oscillator_needs_no_path_from_the_input():
    RULES.build("rtrl", {"force": True}).check(cut(readout="units"), None)
