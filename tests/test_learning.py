"""Learning rules: bptt and its truncations against the network's own gradient and the truncation written out by hand."""

import naive
import naive_numerics
import numpy as np
import pytest
from cases import SEQUENCE_RULES, differences, distance

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.registry import option_table
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.online.contract import OnlineRule
from rnnsim.optimizers import OPTIMIZERS

T, B, I, K, H = 7, 3, 2, 2, 3
EVERY = (Loss("squared_error"), Loss("softmax", per="sequence"), Loss("bernoulli", per="step"))
LAST = Loss("bernoulli", when="last")
# Options under which a rule is plain back-propagation on batches of T time steps; a new rule that can be it enters here.
AS_BPTT = {
    "bptt": [{}],
    "tbptt": [dict(horizon=T), dict(horizon=T + 5, every=T + 3)],
    "rtrl": [{}],
    "hybrid": [{}, dict(block=1), dict(block=T + 1)],
}
# Rules whose gradient is an approximation; tests/test_stochastic_rules.py and tests/test_local_rules.py have their twins.
APPROXIMATE = ("uoro", "kf-rtrl", "reverse-kf-rtrl", "ok", "kernl", "dni", "truncated", "snap", "rflo", "eprop")
# Rules without a gradient: tests/test_guessing.py.
GUESSING = ("guess",)
# Rules that learn while the sequence runs serve one layer from a given state; what they carry on is more than the state.
ONLINE = tuple(name for name in RULES if issubclass(RULES.load(name), OnlineRule))


def cells_of(rule):
    """The cells that a rule serves."""
    return getattr(RULES.load(rule), "cells", None) or tuple(CELLS)


every_cell = pytest.mark.parametrize("cell", CELLS)
every_rule = pytest.mark.parametrize("rule", SEQUENCE_RULES)
every_pair = pytest.mark.parametrize(
    "cell, rule", [(cell, rule) for rule in SEQUENCE_RULES if rule not in GUESSING for cell in cells_of(rule)]
)
exact_pair = pytest.mark.parametrize("cell, rule", [(cell, rule) for rule in AS_BPTT for cell in cells_of(rule)])


def network(cell, seed=1, **options):
    return rs.Recurrent(cell, I, K, **{"hidden": H, "dtype": "float64", "rng": seed, **options})


def batch_for(loss, steps=T, ragged=False, seed=0):
    rng = np.random.default_rng(seed)
    shape = (steps, B, K) if loss.when == "every" else (B, K)
    lengths = np.array([steps, steps // 2, 1]) if ragged else None
    weights = rng.choice([0.0, 0.5, 1.0], shape[:-1])
    return Sequences(rng.normal(size=(steps, B, I)), rng.uniform(size=shape), weights, lengths)


def learned(rule, net, batch, loss, state=None, rate=0.0, options=None):
    """What a rule gives, and copies of the gradients that it had applied, each as a step of gradient descent."""
    gradients = []

    def apply(gradient):
        gradients.append(gradient.copy())
        net.theta -= rate * gradient

    found = RULES.build(rule, options).learn(net, batch, loss, apply, state)
    return found, gradients


def test_every_rule_is_tested():
    assert {*AS_BPTT, *APPROXIMATE, *GUESSING} == set(SEQUENCE_RULES) and not set(AS_BPTT) & set(APPROXIMATE)


@pytest.mark.parametrize("ragged", (False, True))
@exact_pair
def test_rules_that_look_back_to_the_start_are_bptt(cell, rule, ragged):
    for options in AS_BPTT[rule]:
        for loss in (*EVERY, LAST):
            structure = {} if rule in ONLINE else dict(layers=2, learned_initial_state=True)
            net, batch = network(cell, **structure), batch_for(loss, ragged=ragged)
            given = [np.random.default_rng(3).normal(size=part.shape) for part in net.initial_state(B)]
            for state in (None, given):
                expected = net.loss_and_gradient(batch, loss, state)
                wanted = [expected.gradient.copy(), expected.outputs.copy(), *expected.state]
                found, gradients = learned(rule, net, batch, loss, state, options=options)
                assert len(gradients) == 1 and found.loss == pytest.approx(expected.loss, rel=1e-14)
                # The state of a sequence that has ended is not carried on by rules that learn while it runs.
                states = [] if rule in ONLINE and ragged else found.state[: len(expected.state)]
                for one, other in zip([gradients[0], *states], [wanted[0], *wanted[2 : 2 + len(states)]], strict=True):
                    assert distance(one, other) <= 1e-13
                counted = np.ones((T, B), bool) if batch.lengths is None else np.arange(T)[:, None] < batch.lengths
                where = counted if loss.when == "every" and rule in ONLINE else ...
                assert distance(found.outputs[where], wanted[1][where]) <= 1e-13


def check_slopes(value, theta, layout, gradient):
    """`gradient` against finite differences of value(), which reads theta, along one direction for every array."""
    start, amount = theta.copy(), np.zeros(1)
    for entry in layout:
        move = np.zeros_like(theta)
        layout.view(move, entry.name)[...] = np.random.default_rng(entry.offset).normal(size=entry.shape)

        def along(move=move):
            theta[...] = start + amount * move
            return value()

        assert distance([gradient @ move], differences(along, amount)) <= 1e-6, entry.name
    theta[...] = start


def check_by_hand(net, batch, loss, horizon, every, rate, gradients):
    """BPTT(h; h') from the twin: the gradients that a rule applied, in turn; gives its loss, outputs and final state.

    At the end of every h' time steps: unroll the window of the last h time steps, from the state that the pass before left
    there, with the current weights; the loss counts the last h' time steps alone. The state before the window is a constant.
    """
    theta, gradients = net.theta, iter(gradients)

    def unroll(inputs, state):
        return naive.network(net.config, net.layout.views(theta), inputs, None, state)

    states = {}  # before a time step, in the latest pass over it
    losses, shares, outputs = [], [], []
    for counted in range(0, T, every):
        end = min(T, counted + every)
        start = max(0, end - horizon)
        weights = batch.weights[start:end].copy()
        weights[: counted - start] = 0
        first = states[start] if start else None

        def value(first=first, start=start, end=end, weights=weights):
            y = unroll(batch.inputs[start:end], first)[0]
            return naive_numerics.loss_and_gradient(loss, y, batch.targets[start:end], weights, None)[0]

        outputs.append(unroll(batch.inputs[start:end], first)[0][counted - start :])
        states |= {t: unroll(batch.inputs[start:t], first)[2] for t in range(start + 1, end + 1)}
        losses.append(value())
        shares.append(weights.sum() if loss.per == "step" else 1)
        if weights.any():
            gradient = next(gradients)
            check_slopes(value, theta, net.layout, gradient)
            theta -= rate * gradient
    assert next(gradients, None) is None
    mean = np.dot(losses, shares) / (np.sum(shares) if loss.per == "step" else 1)
    return mean, np.concatenate(outputs), states[T]


@pytest.mark.parametrize("horizon, every", [(3, 1), (3, 2), (2, 2), (5, 3), (T, 2), (T + 1, 5)])
@every_cell
def test_truncation_by_hand(cell, horizon, every):
    """With weights that change between windows, so that states must be those of the right pass."""
    for loss, options in zip(EVERY[:2], (dict(learned_initial_state=True), dict(layers=2))):
        ours, theirs = (network(cell, **options) for _ in range(2))
        batch = batch_for(loss)
        found, applied = learned("tbptt", ours, batch, loss, None, 0.3, dict(horizon=horizon, every=every))
        mean, outputs, state = check_by_hand(theirs, batch, loss, horizon, every, 0.3, applied)
        assert distance(found.outputs, outputs) <= 1e-12
        assert abs(found.loss - mean) <= 1e-12
        for one, other in zip(found.state, state):
            assert distance(one, other) <= 1e-12
        assert np.array_equal(ours.theta, theirs.theta)


@every_cell
def test_gradients_of_a_horizon_of_one_window_add_up(cell):
    """Per sequence and with fixed weights, BPTT(T; h') splits the gradient of the whole batch into its windows."""
    net, loss = network(cell), Loss("bernoulli", per="sequence")
    batch = batch_for(loss, ragged=True)
    expected = net.loss_and_gradient(batch, loss)
    wanted = expected.gradient.copy()
    for every in (1, 2, 3):
        found, gradients = learned("tbptt", net, batch, loss, options=dict(horizon=T, every=every))
        assert distance(sum(gradients), wanted) <= 1e-13
        assert found.loss == pytest.approx(expected.loss, rel=1e-13)


@every_cell
def test_ragged_windows_are_masked_windows(cell):
    """A sequence that has ended counts as one whose weights are zero from there on."""
    for loss in EVERY:
        net, batch = network(cell), batch_for(loss, ragged=True)
        masked = batch_for(loss, ragged=True)
        masked.weights = batch.weights * (np.arange(T)[:, None] < batch.lengths)
        masked.lengths = None
        found, gradients = learned("tbptt", net, batch, loss, options=dict(horizon=3, every=2))
        other, expected = learned("tbptt", net, masked, loss, options=dict(horizon=3, every=2))
        assert found.loss == pytest.approx(other.loss, rel=1e-13) and len(gradients) == len(expected)
        for one, two in zip(gradients, expected):
            assert distance(one, two) <= 1e-13
        for row, length in enumerate(batch.lengths):
            alone = net.forward(batch.inputs[:length, row : row + 1])
            for part, whole in zip(alone.state, found.state):
                assert distance(whole[:, row], part[:, 0]) <= 1e-13


@every_cell
def test_loss_at_the_end_looks_back_over_the_horizon(cell):
    net, batch = network(cell), batch_for(LAST)
    for horizon in (1, 3, T):
        found, gradients = learned("tbptt", net, batch, LAST, options=dict(horizon=horizon))
        first = net.forward(batch.inputs[: T - horizon]).state if horizon < T else None
        tail = Sequences(batch.inputs[T - horizon :], batch.targets, batch.weights)
        expected = net.loss_and_gradient(tail, LAST, first)
        assert len(gradients) == 1 and distance(gradients[0], expected.gradient) <= 1e-13
        assert found.loss == pytest.approx(net.evaluate(batch, LAST).loss, rel=1e-13)


@every_pair
def test_a_stream_in_pieces_is_one_long_batch(cell, rule):
    """State carried from batch to batch: the forward pass does not see where batches end."""
    loss = EVERY[0]
    net, batch = network(cell, layers=1 if rule in ONLINE else 2), batch_for(loss, steps=12)
    whole = net.forward(batch.inputs)
    for cut in (1, 5, 12):
        state, outputs = None, []
        for start in range(0, 12, cut):
            part = Sequences(*(array[start : start + cut] for array in (batch.inputs, batch.targets, batch.weights)))
            found, _ = learned(rule, net, part, loss, state)
            state = found.state
            outputs.append(found.outputs.copy())
        assert distance(np.concatenate(outputs), whole.outputs) <= 1e-13
        for one, other in zip(state, whole.state):
            assert distance(one, other) <= 1e-13


def test_windows_with_nothing_to_learn_apply_nothing():
    net, loss = network("gru"), EVERY[0]
    batch = batch_for(loss)
    batch.weights[:4] = 0
    batch.weights[4:] = 1
    _, gradients = learned("tbptt", net, batch, loss, options=dict(horizon=4, every=2))
    assert len(gradients) == 2


TABLE = np.array([[1, 0, 1, -1, 1], [-1, 1, 0, 1, -1], [1, 1, 1, 1, 0]])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@every_rule
def test_frozen_connections_keep_their_bits(rule, optimizer):
    net = network("rnn", connections=TABLE, dtype="float32")
    before, loss = net.theta.copy(), Loss("squared_error")
    chosen = OPTIMIZERS.build(optimizer, {"learning_rate": 0.01, "weight_decay": 0.1})
    state = chosen.init(net.theta)

    def apply(gradient):
        assert not gradient[~net.trainable].any()
        chosen.step(net.theta, gradient, state, 0, net.trainable)

    for seed in range(3):
        RULES.build(rule).learn(net, batch_for(loss, seed=seed), loss, apply)
    assert net.theta[~net.trainable].tobytes() == before[~net.trainable].tobytes()
    assert (net.theta != before)[net.trainable].all()


def both_ways():
    return network("gru", bidirectional=True)


WRONG = {
    "unknown rule 'tbtt'; did you mean 'tbptt'": lambda: RULES.build("tbtt"),
    "unknown option of rule 'tbptt' 'horzon'; did you mean 'horizon'": lambda: RULES.build("tbptt", {"horzon": 3}),
    "unknown option of rule 'bptt' 'horizon'": lambda: RULES.build("bptt", {"horizon": 3}),
    "horizon=0: expected a value of at least 1": lambda: RULES.build("tbptt", {"horizon": 0}),
    "horizon=many: expected a whole number": lambda: RULES.build("tbptt", {"horizon": "many"}),
    "every=0: expected a value of at least 1": lambda: RULES.build("tbptt", {"every": "0"}),
    "every=5: expected at most the horizon, 3 time steps": lambda: RULES.build("tbptt", {"horizon": 3, "every": 5}),
    "rule tbptt: a bidirectional network needs whole sequences": lambda: RULES.build("tbptt").check(both_ways(), None),
    "bidirectional=True: the batches of this task continue each other": lambda: RULES.build("bptt").check(
        rs.Recurrent("gru", 2, 2, hidden=2, bidirectional=True), rs.tasks.TASKS.build("add")
    ),
    "sequences of different lengths with a loss at their end": lambda: learned(
        "tbptt", network("gru"), batch_for(LAST, ragged=True), LAST, options=dict(horizon=3)
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_options_are_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)


@every_rule
def test_options_arrive_as_text(rule):
    options = {key: str(default) for key, (_, default) in option_table(RULES.load(rule)).items()}
    assert vars(RULES.build(rule, options)) == vars(RULES.build(rule))
    RULES.build(rule).check(network(cells_of(rule)[0]), None)
