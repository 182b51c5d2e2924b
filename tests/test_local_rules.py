"""Exact rules over all cells with carried influence; the truncated rule, SnAp-n, RFLO and e-prop against their definitions."""

import naive
import numpy as np
import pytest
from cases import differences, distance
from test_cells import AT_ONCE, TABLE, title

import rnnsim as rs
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.threads import get_threads, set_threads
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.online.engine import Engine

T, B, I, K, H = 7, 2, 2, 2, 3
LOSS = Loss("squared_error", per="sequence")
EXACT = [("rtrl", {}), ("hybrid", dict(block=2)), ("snap", dict(n=H + 1))]

every_case = pytest.mark.parametrize("case", AT_ONCE, ids=title)


def network(case, **more):
    name, options = case
    return rs.Recurrent(name, I, K, **{"hidden": H, "dtype": "float64", "rng": 1, **options, **more})


def batch_of(steps=T, streams=B, seed=0):
    rng = np.random.default_rng(seed)
    return Sequences(
        rng.normal(size=(steps, streams, I)),
        rng.uniform(size=(steps, streams, K)),
        rng.uniform(0.5, 1, (steps, streams)),
    )


def learn(rule, net, batch, options=None, state=None):
    """The sum of the gradients of a rule, and what it gave."""
    gradients = []
    found = RULES.build(rule, options).learn(net, batch, LOSS, lambda g: gradients.append(g.copy()), state)
    return sum(gradients), found


@pytest.mark.parametrize("rule, options", EXACT)
@every_case
def test_exact_rules_carry_their_influence_on(case, rule, options):
    """Windows with a loss at every time step, each but the first with an influence that is not zero, are BPTT of the whole."""
    net, batch = network(case), batch_of()
    wanted = net.loss_and_gradient(batch, LOSS).gradient.copy()
    state, total = None, 0
    for start in (0, 2, 3):
        part = Sequences(*(a[start : {0: 2, 2: 3, 3: T}[start]] for a in (batch.inputs, batch.targets, batch.weights)))
        gradient, found = learn(rule, net, part, options, state)
        state, total = found.state, total + gradient
    assert distance(total, wanted) <= 1e-10
    inside, _ = learn(rule, net, batch, {**options, "every": 3})
    assert distance(inside, wanted) <= 1e-10


# -- the truncated rule: the gradient of a network whose recurrent inputs are constants ------------------------------------------


def detached_time_step(name, weights, x, state, kept, options):
    """A time step in which recurrent weights multiply constants, those of the time step `kept` = (old state, traces)."""
    old, traces = kept
    if name == "rnn":
        leak = options.get("leak", 1.0)
        new, found = naive.rnn_time_step(weights, x, old, **options)
        out = new[0] + (1 - leak) * (state[0] - old[0])
        return [out], state[0] if options.get("input_delay") else out
    if name == "lstm":
        new, _ = naive.lstm_time_step(weights, x, [old[0], state[1]], **options)
        return new, new[0]
    if name == "elstm":
        new, found = naive.elstm_time_step(weights, x, state)
        n = H
        seen = weights["weight_hh"] @ traces["c"]
        s = naive.block(weights, "weight_ih", 2, n) @ x + naive.bias_of(weights, 2, n) + seen
        out = naive.logistic(s) * found["c"]
        return [out, found["c"]], out
    (h,) = state
    new, found = naive.gru_time_step(weights, x, old, **options)
    candidate = found["n"]
    if options.get("reset", "after") == "before":
        last = {key: array[-H:] for key, array in weights.items()}
        seen = last["weight_ih"] @ x + last.get("bias_ih", 0) + last.get("bias_hh", 0)
        candidate = np.tanh(seen + last["weight_hh"] @ (traces["r"] * old[0]))
    out = (1 - found["z"]) * candidate + found["z"] * h
    return [out], out


@every_case
def test_truncated_is_its_stop_gradient_definition(case):
    """Finite differences of the loss where what recurrent weights see is held fast, and the rest is not."""
    name, options = case
    equations = {k: v for k, v in options.items() if k not in naive.NOT_IN_EQUATIONS}
    net, batch = network(case), batch_of(streams=1)
    gradient, _ = learn("truncated", net, batch)
    own = {entry.name.removesuffix("_l0"): net.layout.view(net.theta, entry.name) for entry in net.layout}
    kept, state = [], [np.zeros(H) for _ in naive.STATES[name]]
    for t in range(T):
        new, found = naive.TIME_STEPS[name](own, batch.inputs[t, 0], state, **equations)
        kept.append((state, found))
        state = new

    def value():
        now, total = [np.zeros(H) for _ in naive.STATES[name]], 0.0
        for t in range(T):
            now, h = detached_time_step(name, own, batch.inputs[t, 0], now, kept[t], equations)
            y = own["weight_out"] @ h + own["bias_out"]
            total += batch.weights[t, 0] * ((y - batch.targets[t, 0]) ** 2).sum()
        return total

    wanted = differences(value, net.theta)
    if net.trainable is not None:
        wanted *= net.trainable
    assert distance(gradient, wanted) <= 1e-7


def test_truncated_of_an_lstm_without_recurrent_weights_is_exact():
    """Nothing is cut where nothing comes back: the constant error carousel alone carries the error."""
    net = network(("lstm", dict(gates="no-forget")))
    net.layout.view(net.theta, "weight_hh_l0")[...] = 0
    batch = batch_of()
    wanted = net.layout.views(net.loss_and_gradient(batch, LOSS).gradient.copy())
    gradient, _ = learn("truncated", net, batch)
    for name, found in net.layout.views(gradient).items():
        assert distance(found, wanted[name]) <= 1e-12, name


# -- SnAp-n ---------------------------------------------------------------------------------------------------------------------


def masked_rtrl(net, batch, n):
    """RTRL by dense matrices, numerically from the twin's linearisation, masked by the pattern of n time steps."""
    (cell,) = net.cells.values()
    own = slice(net.layout["weight_ih_l0"].offset, net.layout["weight_out"].offset)
    total = np.zeros(net.n_parameters)
    states = len(cell.state_names)
    theta = net.theta[own]

    def step(state, x):
        return np.array(cell.linearise(x, state.reshape(states, H)).state).ravel()

    def jacobians(state, x):
        j = np.zeros((states * H, states * H))
        for column in range(states * H):
            move = np.zeros(states * H)
            move[column] = 1e-6
            j[:, column] = (step(state + move, x) - step(state - move, x)) / 2e-6
        m = np.zeros((states * H, theta.size))
        for column in range(theta.size):
            kept = theta[column]
            theta[column] = kept + 1e-6
            up = step(state, x)
            theta[column] = kept - 1e-6
            m[:, column] = (up - step(state, x)) / 2e-6
            theta[column] = kept
        return j, m

    # Which entries can differ from zero, from a few time steps at random states.
    rng, feeds, reached = np.random.default_rng(5), 0, 0
    for _ in range(4):
        j, m = jacobians(rng.uniform(0.2, 0.8, states * H), rng.normal(size=I))
        feeds, reached = feeds + abs(j), reached + abs(m)
    pattern, power = reached > 1e-9, reached > 1e-9
    # Per unit: all states of a unit that is reached are kept.
    for _ in range(n - 1):
        power = (feeds > 1e-9).astype(int) @ power > 0
        pattern = pattern | power
    units = pattern.reshape(states, H, -1).any(axis=0)
    pattern = np.tile(units, (states, 1))
    for b in range(batch.inputs.shape[1]):
        state, influence = np.zeros(states * H), np.zeros((states * H, theta.size))
        for t in range(len(batch.inputs)):
            j, m = jacobians(state, batch.inputs[t, b])
            influence = (j @ influence + m) * pattern
            state = step(state, batch.inputs[t, b])
            w, bias = (net.layout.view(net.theta, name) for name in ("weight_out", "bias_out"))
            error = 2 * batch.weights[t, b] * (w @ state[:H] + bias - batch.targets[t, b])
            total[own] += error @ w @ influence[:H]
    total /= batch.inputs.shape[1]
    return total[own] if net.trainable is None else (total * net.trainable)[own]


@pytest.mark.parametrize("n", (1, 2))
@pytest.mark.parametrize(
    "case",
    [
        ("rnn", dict(leak=0.4)),
        ("rnn", dict(connections=TABLE)),
        ("lstm", dict(peepholes=True)),
        ("gru", dict(reset="after")),
        ("gru", dict(reset="before")),
    ],
    ids=title,
)
def test_snap_is_rtrl_under_its_pattern(case, n):
    net, batch = network(case), batch_of()
    gradient, _ = learn("snap", net, batch, dict(n=n))
    wanted = masked_rtrl(net, batch, n)
    first = net.layout["weight_ih_l0"].offset
    assert distance(gradient[first : first + wanted.size], wanted) <= 1e-6


def ring(hidden):
    """Connections of a ring: unit j sees unit j - 1 alone; the first one sees the inputs."""
    table = -np.ones((hidden, I + hidden), int)
    table[0, :I] = 1
    for j in range(hidden):
        table[j, I + (j - 1) % hidden] = 1
    return table


def test_snap_is_exact_once_n_time_steps_reach_every_unit():
    """On a ring of 6 that is 6, and not before."""
    net, batch = network(("rnn", dict(connections=ring(6), bias="none")), hidden=6), batch_of(20)
    net.theta *= 2
    wanted = net.loss_and_gradient(batch, LOSS).gradient.copy()
    far = [distance(learn("snap", net, batch, dict(n=n))[0], wanted) for n in range(1, 8)]
    assert all(d > 1e-9 for d in far[:5]) and all(d <= 1e-12 for d in far[5:])


def test_a_masked_network_stores_only_what_can_be_different_from_zero():
    """A chain: a weight into unit j moves units j, j + 1, ... and none before."""
    size = 8
    table = ring(size)
    table[0, I:] = -1
    net = network(("rnn", dict(connections=table, bias="none")), hidden=size)
    engine = Engine(net, RULES.build("rtrl"))
    assert engine.memory.blocks.size == I * size + sum(size - j for j in range(1, size))
    loss, batch = LOSS, batch_of(20)
    assert distance(learn("rtrl", net, batch)[0], net.loss_and_gradient(batch, loss).gradient) <= 1e-12


# -- traces and feedback ------------------------------------------------------------------------------------------------------


@every_case
def test_symmetric_feedback_is_the_truncated_rule(case):
    net, batch = network(case), batch_of()
    wanted, _ = learn("truncated", net, batch)
    for rule in ("eprop", "rflo"):
        assert distance(learn(rule, net, batch, dict(feedback="symmetric"))[0], wanted) == 0


@pytest.mark.parametrize("rule", ("rflo", "eprop"))
def test_random_feedback_takes_the_place_of_the_readout(rule):
    """With B for its transposed readout the network learns as the truncated rule does with that readout."""
    net, batch = network(("rnn", dict(leak=0.3))), batch_of()
    found = RULES.build(rule, dict(feedback="random", feedback_seed=3))
    engine = Engine(net, found, B)
    feedback = engine.memory.feedback[0]
    assert feedback.shape == (H, K) and (engine.memory.feedback == feedback).all()
    arrays = [np.ascontiguousarray(np.swapaxes(a, 0, 1)) for a in (batch.inputs, batch.targets, batch.weights)]
    engine.run(*arrays, "squared_error")
    random = engine.take_gradient()
    engine.reset()
    assert (engine.memory.feedback == feedback).all()
    # The errors stay those of the real readout: move it, and move the targets by what that changes.
    other = Engine(net, RULES.build("truncated"), B)
    _, before = other.run(*arrays, "squared_error")
    net.layout.view(net.theta, "weight_out")[...] = feedback.T
    other = Engine(net, RULES.build("truncated"), B)
    _, after = other.run(*arrays, "squared_error")
    other.reset()
    other.run(arrays[0], arrays[1] + after - before, arrays[2], "squared_error")
    own = slice(0, net.layout["weight_out"].offset)
    assert distance(random[own], other.take_gradient()[own]) <= 1e-12


def test_rflo_and_eprop_are_exact_where_nothing_recurs():
    """Without weights between units the traces hold all there is: leaky units that see the input alone."""
    table = -np.ones((H, I + H), int)
    table[:, :I] = 1
    net, batch = network(("rnn", dict(leak=0.3, connections=table))), batch_of()
    wanted = net.loss_and_gradient(batch, LOSS).gradient.copy()
    for rule in ("rflo", "eprop"):
        assert distance(learn(rule, net, batch, dict(feedback="symmetric"))[0], wanted) <= 1e-12


def test_teacher_forcing_of_local_rules_is_that_of_rtrl_where_they_are_exact():
    table = -np.ones((H, I + H), int)
    table[:, :I] = 1
    for leak in (1.0, 0.4):
        net = network(("rnn", dict(leak=leak, connections=table)), readout="units")
        wanted, _ = learn("rtrl", net, batch_of(), dict(force=True))
        for rule in ("truncated", "snap"):
            assert distance(learn(rule, net, batch_of(), dict(force=True))[0], wanted) <= 1e-12


# -- threads and bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ("rtrl", "snap", "truncated", "eprop"))
@pytest.mark.parametrize("case", [("rnn", dict(connections=TABLE)), ("elstm", {}), ("lstm", {})], ids=title)
def test_bits_do_not_depend_on_threads(case, rule):
    before, found = get_threads(), []
    try:
        for count in (1, 2):
            set_threads(count)
            gradient, _ = learn(rule, network(case, dtype="float32"), batch_of(streams=5))
            found.append(gradient.tobytes())
    finally:
        set_threads(before)
    assert found[0] == found[1]


WRONG = {
    "n=0: expected a value of at least 1": lambda: RULES.build("snap", {"n": 0}),
    "feedback=none: expected": lambda: RULES.build("eprop", {"feedback": "none"}),
    "feedback_seed=-1": lambda: RULES.build("rflo", {"feedback_seed": -1}),
    "layers=2: online rules serve one layer": lambda: RULES.build("truncated").check(
        network(("lstm", {}), layers=2), None
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_options_are_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)
