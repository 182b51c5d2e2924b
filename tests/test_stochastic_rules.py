"""Rules that draw random numbers, the hybrid, rules that learn what they use: twins, identities, means over seeds."""

import itertools

import numpy as np
import pytest
from cases import distance
from test_cells import AT_ONCE, title

import rnnsim as rs
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.core.rng import bits, normal
from rnnsim.errors import RnnsimError
from rnnsim.learning import RULES
from rnnsim.learning.kronecker import classes_of
from rnnsim.learning.ok import reduce_class, reduction, singular_values
from rnnsim.learning.online.engine import Engine

T, I, K, H = 8, 2, 2, 3
LOSS = Loss("squared_error", per="sequence")
# One case for each thing that the linearised cell may have: leak and delay, peepholes, gate-dependent inputs, absent parts.
SOME = [
    ("rnn", {}),
    ("rnn", dict(leak=0.3, input_delay=True)),
    ("lstm", dict(peepholes=True, bias="double")),
    ("gru", dict(reset="before")),
    ("gru", dict(reset="after", variant="gru1")),
]
UNBIASED = [
    ("uoro", {}),
    ("uoro", dict(epsilon=0.0)),
    ("kf-rtrl", {}),
    ("reverse-kf-rtrl", {}),
    ("ok", dict(rank=1)),
    ("ok", dict(rank=3)),
]

some_cases = pytest.mark.parametrize("case", SOME, ids=title)
unbiased_rules = pytest.mark.parametrize("rule, options", UNBIASED)


def network(case, dtype="float64", **more):
    name, options = case
    return rs.Recurrent(name, I, K, **{"hidden": H, "dtype": dtype, "rng": 1, **options, **more})


def batch_of(streams, steps=T, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.0, 0.5, 1.0], (steps, streams))
    weights[-1] = 1  # what counts lies far behind the first time steps
    return Sequences(rng.normal(size=(steps, streams, I)), rng.uniform(size=(steps, streams, K)), weights)


def engine_on(net, rule, options, batch, copies=1, seed=0, forced=False):
    """An engine that has seen the first sequence of a batch in every stream."""
    engine = Engine(net, RULES.build(rule, options), copies, seed=seed)
    parts = [np.array(np.broadcast_to(a[None, :, 0], (copies, *a[:, 0].shape)), net.dtype)
             for a in (batch.inputs, batch.targets, batch.weights)]  # fmt: skip
    engine.run(*parts, "squared_error", forced=forced)
    return engine


def learn(rule, net, batch, loss=LOSS, state=None):
    gradients = []
    found = rule.learn(net, batch, loss, lambda gradient: gradients.append(gradient.copy()), state)
    return gradients, found


# -- the hybrid ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", AT_ONCE, ids=title)
def test_hybrid_is_bptt(case):
    """Blocks that divide the sequence, that do not, and that are longer; whole and in two updates."""
    net, batch = network(case), batch_of(3, 7)
    wanted = net.loss_and_gradient(batch, LOSS).gradient.copy()
    for block in (1, 2, 3, 7, 9):
        (whole,), _ = learn(RULES.build("hybrid", {"block": block}), net, batch)
        assert distance(whole, wanted) <= 1e-10
        parts, _ = learn(RULES.build("hybrid", {"block": block, "every": 4}), net, batch)
        assert len(parts) == 2 and distance(sum(parts), wanted) <= 1e-10


@some_cases
def test_influence_of_the_hybrid_goes_on_from_batch_to_batch(case):
    net, batch = network(case), batch_of(3, 11)
    wanted = net.loss_and_gradient(batch, LOSS).gradient.copy()
    for block, cut in ((0, 4), (2, 5), (5, 3)):
        rule, state, total = RULES.build("hybrid", {"block": block}), None, 0
        for start in range(0, 11, cut):
            part = Sequences(*(a[start : start + cut] for a in (batch.inputs, batch.targets, batch.weights)))
            gradients, found = learn(rule, net, part, state=state)
            state, total = found.state, total + sum(gradients)
        assert distance(total, wanted) <= 1e-10


@pytest.mark.parametrize("delayed", (False, True))
def test_hybrid_forces_as_rtrl_does(delayed):
    net, batch = network(("rnn", dict(input_delay=delayed)), readout="units"), batch_of(2, 9)
    (wanted,), other = learn(RULES.build("rtrl", {"force": True}), net, batch)
    for block in (1, 2, 4, 20):
        (gradient,), found = learn(RULES.build("hybrid", {"force": True, "block": block}), net, batch)
        assert distance(gradient, wanted) <= 1e-12 and distance(found.outputs, other.outputs) == 0


def test_hybrid_learns_at_every_time_step_as_rtrl_does():
    nets = [network(("lstm", {})) for _ in range(2)]
    xs, ys = (np.random.default_rng(2).normal(size=(30, I)) for _ in range(2))
    for net, rule in zip(nets, ("rtrl", "hybrid")):
        rs.online(net, rule=rule, optimizer=rs.SGD(0.05)).run(xs, ys)
    assert distance(nets[1].theta, nets[0].theta) <= 1e-12


def test_memory_of_the_hybrid_does_not_grow_with_the_sequence():
    net, sizes = network(("gru", {})), set()
    for steps in (5, 50):
        engine = engine_on(net, "hybrid", {}, batch_of(1, steps))
        sizes.add(sum(part.nbytes for part in engine.memory))
    assert len(sizes) == 1


# -- unbiased rules: means, bits ----------------------------------------------------------------------------------------------


@unbiased_rules
@some_cases
def test_mean_over_seeds_is_the_gradient(case, rule, options):
    """z-scores of random projections of the mean of 4,000 estimates, whose noise is not so small that z says nothing."""
    net, batch, copies = network(case), batch_of(1), 4000
    wanted = net.loss_and_gradient(batch, LOSS).gradient.copy()
    found = engine_on(net, rule, options, batch, copies).gradient
    directions = np.random.default_rng(1).normal(size=(30, len(wanted)))
    along = (found - wanted) @ directions.T
    z = along.mean(axis=0) / (along.std(axis=0) / np.sqrt(copies))
    assert np.abs(z).max() <= 4.5 and np.sqrt((z * z).mean()) <= 2.5
    assert along.std(axis=0).min() > 1e-6 * np.abs(wanted @ directions.T).max()


@pytest.mark.parametrize(
    "rule, options", [("uoro", {}), ("kf-rtrl", {}), ("reverse-kf-rtrl", {}), ("ok", dict(rank=2))]
)
def test_mean_over_seeds_with_teacher_forcing(rule, options):
    net, batch = network(("rnn", {}), readout="units"), batch_of(1)
    wanted = engine_on(net, "rtrl", {}, batch, forced=True).gradient[0]
    found = engine_on(net, rule, options, batch, 4000, forced=True).gradient
    directions = np.random.default_rng(1).normal(size=(20, len(wanted)))
    along = (found - wanted) @ directions.T
    assert np.abs(along.mean(axis=0) / (along.std(axis=0) / np.sqrt(4000))).max() <= 4.5


@unbiased_rules
def test_the_same_seed_gives_the_same_bits(rule, options):
    for dtype in ("float32", "float64"):
        net, batch = network(("lstm", dict(peepholes=True)), dtype), batch_of(1)
        runs = [engine_on(net, rule, options, batch, 3, seed).gradient for seed in (5, 5, 6)]
        assert runs[0].tobytes() == runs[1].tobytes()
        assert not (runs[0] == runs[2]).all() and not (runs[0][0] == runs[0][1]).all()


@some_cases
def test_ok_with_a_term_for_every_source_is_exact(case):
    net, batch = network(case), batch_of(1)
    wanted = net.loss_and_gradient(batch, LOSS).gradient
    assert distance(engine_on(net, "ok", dict(rank=I + H + 1), batch).gradient[0], wanted) <= 1e-12


# -- unbiased rules: twins ----------------------------------------------------------------------------------------------------


def dense_time_steps(net, xs):
    """J (states, states), D = ds'/da (states, units) and the sources of every time step, from the linearised cell."""
    (cell,) = net.cells.values()
    states, groups = len(cell.state_names), len(cell.groups)
    views = net.layout.views(net.theta)
    state = np.zeros((states, H))
    for x in xs:
        linear = cell.linearise(x, state)
        unit_of, state_of = np.zeros((groups * H, groups * H)), np.zeros((groups * H, states * H))
        own = np.zeros((states * H, groups * H))
        direct = np.zeros((states * H, states * H))
        j = np.arange(H)
        for p in range(states):
            for q in range(states):
                direct[p * H + j, q * H + j] = linear.direct[p, q]
            for g in range(groups):
                own[p * H + j, g * H + j] = linear.gain[p, g]
        for g, group in enumerate(cell.groups):
            if group.weight_hh is None:
                continue
            w = views["weight_hh_l0"][group.weight_hh * H : (group.weight_hh + 1) * H]
            for q in range(states):
                state_of[g * H : (g + 1) * H, q * H : (q + 1) * H] = w * linear.recurrent_input_direct[g, q]
            for e in range(groups):
                unit_of[g * H : (g + 1) * H, e * H : (e + 1) * H] = w * linear.recurrent_input_gain[g, e]
        through = np.linalg.inv(np.eye(groups * H) - unit_of)
        sources = np.concatenate([x, linear.recurrent_input.ravel(), linear.peephole_input.ravel(), [1.0]])
        yield direct + own @ through @ state_of, own @ through, sources
        state = np.array(linear.state)


def signs_of(engine, time_step, count, stream=0):
    key = np.uint64(engine.memory.clock[stream, 0])
    words = [int(w) for start in range(0, count, 128) for w in bits(key, time_step, start // 128)]
    return np.array([1.0 if words[i // 32] >> (i % 32) & 1 else -1.0 for i in range(count)])


@pytest.mark.parametrize("epsilon", (0.0, 1e-7, 1e-2))
@some_cases
def test_uoro_is_its_equations(case, epsilon):
    net, batch = network(case), batch_of(1, 6)
    engine = engine_on(net, "uoro", dict(epsilon=epsilon), batch)
    unit, source = engine.structure.unit, engine.structure.source
    s, theta = 0.0, np.zeros(len(unit))

    def norm(v):
        return np.sqrt(np.sum(v * v))

    for t, (jacobian, now, sources) in enumerate(dense_time_steps(net, batch.inputs[:, 0])):
        nu = signs_of(engine, t, len(jacobian))
        moved, met = jacobian @ (np.zeros(len(jacobian)) if t == 0 else s), nu @ now[:, unit] * sources[source]
        p1 = np.sqrt(norm(met) / (norm(nu) + epsilon)) + epsilon
        if t == 0:
            s, theta = p1 * nu, met / p1
        else:
            p0 = np.sqrt(norm(theta) / (norm(moved) + epsilon)) + epsilon
            s, theta = p0 * moved + p1 * nu, theta / p0 + met / p1
    assert distance(engine.memory.states[0].ravel(), s) <= 1e-11
    assert distance(engine.memory.parameters[0, 0], theta) <= 1e-11


def parts_of(net, engine):
    """For every class: its units, and where its sources stand in the vector of all."""
    kinds, leaders = classes_of(net)
    for kind, leader in enumerate(leaders):
        units = np.concatenate([np.arange(g * H, (g + 1) * H) for g, k in enumerate(kinds) if k == kind])
        places = [*range(I), *range(I + leader * H, I + (leader + 1) * H), engine.sizes.sources - 1]
        yield units, np.array(places)


@pytest.mark.parametrize("reverse", (False, True))
@some_cases
def test_kronecker_factors_are_their_equations(case, reverse):
    net, batch = network(case), batch_of(1, 6)
    engine = engine_on(net, "reverse-kf-rtrl" if reverse else "kf-rtrl", {}, batch)
    norm, a, b = np.linalg.norm, engine.memory.rows[0], engine.memory.vectors[0]
    count = engine.sizes.groups * H
    for m, (units, places) in enumerate(parts_of(net, engine)):
        vector = matrix = None
        for t, (jacobian, now, sources) in enumerate(dense_time_steps(net, batch.inputs[:, 0])):
            z, d = sources[places], now[:, units]
            if reverse:
                nu = signs_of(engine, t, count)[units]
                fresh = np.outer(d @ nu, z)
                p1 = np.sqrt(norm(fresh) / norm(nu))
                new = p1 * nu, fresh / p1
            else:
                c0, c1 = signs_of(engine, t, 2 * m + 2)[2 * m :]
                p1 = np.sqrt(norm(d) / norm(z))
                new = c1 * p1 * z, c1 * d / p1
            if t == 0:
                vector, matrix = new
                continue
            moved = jacobian @ matrix
            p0 = np.sqrt(norm(moved) / norm(vector))
            sign = 1 if reverse else c0
            vector, matrix = sign * p0 * vector + new[0], sign * moved / p0 + new[1]
        if reverse:
            assert distance(b[0, units], vector) <= 1e-11
            assert distance(a[m * len(places) : (m + 1) * len(places)].T, matrix) <= 1e-11
        else:
            assert distance(b[m], vector) <= 1e-11 and distance(a[units].T, matrix) <= 1e-11


def test_cells_whose_groups_have_one_recurrent_input_have_one_class():
    expected = {"rnn": 1, "lstm": 1, "gru": 1}
    for name, count in expected.items():
        assert len(classes_of(network((name, dict(reset="after") if name == "gru" else {})))[1]) == count
    assert len(classes_of(network(("gru", dict(reset="before"))))[1]) == 2


@pytest.mark.parametrize("zeros", (0, 2))
@pytest.mark.parametrize("n", (2, 3, 6))
def test_singular_values(n, zeros):
    matrix = np.random.default_rng(n).normal(size=(n, n))
    matrix[:, : min(zeros, n - 1)] = 0
    left, values, right = np.zeros((n, n)), np.zeros(n), np.zeros((n, n))
    singular_values(left, values, right, matrix.copy())
    assert distance(left * values @ right.T, matrix) <= 1e-13
    assert distance(values, np.linalg.svd(matrix)[1]) <= 1e-13


@pytest.mark.parametrize(
    "values", [[3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0], [9.0, 1.0, 0.5, 0.2], [5.0, 0.0, 0.0], [0.0, 0.0], [1.0, 0.3]]
)
def test_reduction_has_the_mean_and_the_least_variance(values):
    """Over all signs; the least variance of rank r is (sum of the tail)^2 / (r - m) - sum of its squares."""
    values = np.array(values)
    n, total, spread = len(values), 0, []
    for signs in itertools.product((-1.0, 1.0), repeat=n):
        factor = np.zeros((n, n - 1))
        reduction(factor, values, np.array(signs))
        total = total + factor @ factor.T / 2**n
        spread.append(((factor @ factor.T - np.diag(values)) ** 2).sum())
    assert distance(total, np.diag(values)) <= 1e-14
    tails = [values[m:] for m in range(n - 1)]
    rank = n - 1
    possible = [t.sum() ** 2 / (rank - m) - (t**2).sum() for m, t in enumerate(tails) if (rank - m) * t[0] <= t.sum()]
    assert np.mean(spread) == pytest.approx(min(possible), abs=1e-14)


def test_a_class_is_reduced_without_bias():
    """All sign patterns of one step of r-OK on a random sum, of full rank and with terms that vanish."""
    rng = np.random.default_rng(0)
    terms, units, size, sources = 3, 2, 4, 5

    def whole(a, b):
        return np.einsum("iuk,is->kus", a.reshape(terms, units, size), b)

    for empty in (0, 1, 2):
        a, b = rng.normal(size=(terms * units, size)), rng.normal(size=(terms, sources))
        a[: empty * units], b[:empty] = 0, 0
        mean = 0
        for signs in itertools.product((-1.0, 1.0), repeat=terms):
            one, other = a.copy(), b.copy()
            reduce_class(one, other, units, terms, np.array(signs))
            assert not one[-units:].any() and not other[-1].any()
            mean = mean + whole(one, other) / 2**terms
        assert distance(mean, whole(a, b)) <= 1e-13


# -- rules that learn what they use -------------------------------------------------------------------------------------------


def plain(net):
    """Weights, activation and leak of a tanh network, for the twins."""
    views = net.layout.views(net.theta)
    w, u, bias = views["weight_ih_l0"], views["weight_hh_l0"], views["bias_ih_l0"]
    leak = net.cells[next(iter(net.cells))].leak

    def step(s, x):
        f = np.tanh(w @ x + u @ s + bias)
        return (1 - leak) * s + leak * f, leak * (1 - f * f)

    return step, u, views["weight_out"], views["bias_out"], leak


def gathered(net, weight_ih, weight_hh, bias):
    """A gradient of the cell's parameters laid out like theta."""
    flat = np.zeros_like(net.theta)
    views = net.layout.views(flat)
    views["weight_ih_l0"][...], views["weight_hh_l0"][...], views["bias_ih_l0"][...] = weight_ih, weight_hh, bias
    return flat


@pytest.mark.parametrize("leak", (1.0, 0.4))
def test_kernl_is_its_equations(leak):
    net, batch = network(("rnn", dict(leak=leak))), batch_of(1, 20)
    rate, noise = 0.5, 0.1
    engine = engine_on(net, "kernl", dict(rate=rate, noise=noise), batch)
    step, _, out, out_bias, _ = plain(net)
    key = np.uint64(engine.memory.clock[0, 0])
    spread, c = np.eye(H), np.full(H, 0.8)
    s, z, omega, gamma = np.zeros(H), np.zeros(H), np.zeros(H), np.zeros(H)
    traces, total = np.zeros((H, I + H + 1)), np.zeros((H, I + H + 1))
    for t in range(20):
        x = batch.inputs[t, 0]
        sources = np.concatenate([x, s, [1]])
        kick = noise * np.array([normal(key, t, j) for j in range(H)])
        z = step(z, x)[0] + kick
        s, gain = step(s, x)
        decay = np.maximum(0, 1 - c)
        gamma, omega = decay * gamma - omega, decay * omega + kick
        error = spread @ omega - (z - s)
        c = c - rate * (error @ spread) * gamma
        spread = spread - rate * np.outer(error, omega)
        traces = decay[:, None] * traces + np.outer(gain, sources)
        y = out @ s + out_bias
        q = 2 * batch.weights[t, 0] * (y - batch.targets[t, 0]) @ out
        total += (q @ spread)[:, None] * traces
    assert distance(engine.memory.kernels[0], [*spread, c]) <= 1e-11
    wanted = gathered(net, total[:, :I], total[:, I:-1], total[:, -1])
    mine = wanted != 0
    assert distance(engine.gradient[0][mine], wanted[mine]) <= 1e-11


@pytest.mark.parametrize("refresh", (1, 5))
@pytest.mark.parametrize("leak", (1.0, 0.4))
def test_dni_is_its_equations(leak, refresh):
    net, batch, rate = network(("rnn", dict(leak=leak))), batch_of(1, 20), 0.1
    engine = engine_on(net, "dni", dict(rate=rate, refresh=refresh), batch)
    step, u, out, out_bias, leak = plain(net)
    a = copy = np.zeros((H, H + K + 1))
    s, before, total = np.zeros(H), None, np.zeros((H, I + H + 1))
    for t in range(20):
        x, weight = batch.inputs[t, 0], batch.weights[t, 0]
        sources = np.concatenate([x, s, [1]])
        s, gain = step(s, x)
        target = batch.targets[t, 0] if weight else np.zeros(K)
        v = np.concatenate([s, target, [1]])
        q = 2 * weight * (out @ s + out_bias - batch.targets[t, 0]) @ out
        if before is not None:
            v_before, q_before = before
            jacobian = (1 - leak) * np.eye(H) + gain[:, None] * u
            wanted = q_before + (copy @ v) @ jacobian
            a = a - rate * np.outer(a @ v_before - wanted, v_before)
            if t % refresh == 0:
                copy = a
        total += np.outer((a @ v) * gain, sources)
        before = v, q
    assert distance(engine.memory.predictors[0, :H], a) <= 1e-11
    wanted = gathered(net, total[:, :I], total[:, I:-1], total[:, -1])
    mine = wanted != 0
    assert distance(engine.gradient[0][mine], wanted[mine]) <= 1e-11


@pytest.mark.parametrize("rule", ("kernl", "dni"))
def test_what_was_learned_of_the_network_outlasts_a_sequence(rule):
    net, batch = network(("rnn", {})), batch_of(1, 20)
    engine = engine_on(net, rule, {}, batch)
    learned, cleared = (engine.memory[0], engine.memory[2]) if rule == "kernl" else engine.memory[:2]
    kept = learned.copy()
    assert kept.any() and cleared.any()
    engine.reset()
    assert np.array_equal(learned, kept) and not cleared.any()


WRONG = {
    "rule kernl: published for the fully recurrent network, not for lstm": ("kernl", {}, ("lstm", {})),
    "rule dni: published for the fully recurrent network, not for gru": ("dni", {}, ("gru", {})),
    "rule dni: published for outputs of the new state": ("dni", {}, ("rnn", dict(input_delay=True))),
    "rank=0: expected a value of at least 1": ("ok", dict(rank=0), None),
    "block=-1: expected a value of at least 0": ("hybrid", dict(block=-1), None),
    "epsilon=-1: expected a number of at least 0": ("uoro", dict(epsilon=-1.0), None),
    "refresh=0: expected a value of at least 1": ("dni", dict(refresh=0), None),
    "noise=-1: expected a number of at least 0": ("kernl", dict(noise=-1.0), None),
    "rule hybrid: the influence of": ("hybrid", dict(block=10**9), ("rnn", {})),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_options_are_one_clear_line(message):
    rule, options, case = WRONG[message]
    with pytest.raises(RnnsimError) as error:
        RULES.build(rule, options).check(network(case), None)
    assert message in str(error.value) and "\n" not in str(error.value)
