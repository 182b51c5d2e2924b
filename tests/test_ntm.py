"""The neural Turing machine: every option against the twin and finite differences; states, records, faults, wrong input."""

from dataclasses import replace

import naive_ntm
import numpy as np
import pytest
from cases import differences, distance

import rnnsim as rs
from rnnsim.core import threads
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.errors import RnnsimError
from rnnsim.networks import build, from_config
from rnnsim.training.run import load_weights, open_run

T, B, I, K = 5, 3, 2, 3
SMALL = dict(hidden=4, memory=(5, 3))
OPTIONS = {
    "lstm": {},
    "feedforward": dict(controller="feedforward"),
    "lstm-two-layers": dict(layers=2),
    "feedforward-three-layers": dict(controller="feedforward", layers=3),
    "many-heads": dict(read_heads=2, write_heads=3),
    "many-heads-read-first": dict(read_heads=3, write_heads=2, order="read-first", controller="feedforward"),
    "read-first": dict(order="read-first"),
    "memory-learned": dict(memory_start="learned"),
    "memory-random": dict(memory_start="random", controller="feedforward", shift_range=2),
    "no-shift": dict(shift_range=0),
    "state-not-learned": dict(learned_initial_state=False, memory_start="learned"),
    "feedforward-state-not-learned": dict(learned_initial_state=False, controller="feedforward", order="read-first"),
    "clipped": dict(clip_heads=0.5),
    "not-clipped": dict(clip_heads="inf"),
    "norm-floor": dict(norm_floor=0.5, read_heads=2),
    "tokens": dict(tokens=True),
    "recompute": dict(recompute=2, write_heads=2),
    "one-row": dict(memory=(1, 3), shift_range=0),
    "one-column": dict(memory=(4, 1), write_heads=2),
    "one-cell-one-unit": dict(memory=(1, 1), shift_range=0, hidden=1),
    "beyond-a-vector": dict(memory=(19, 11), hidden=9, shift_range=4),
}
LOSSES = (Loss("squared_error"), Loss("bernoulli", per="sequence"), Loss("squared_error", when="last"))
every_option = pytest.mark.parametrize("name", OPTIONS)
BOTH = ("lstm", "feedforward")


def network(name="lstm", dtype="float64", seed=1, **more):
    """A machine whose every parameter does something; entries that are not trained stay as they were made."""
    options = SMALL | (OPTIONS[name] if isinstance(name, str) else name) | more
    tokens = options.pop("tokens", False)
    net = build("ntm", 6 if tokens else I, K, options, dtype, tokens, seed)
    rng = np.random.default_rng(seed)
    trained = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
    net.theta[trained] = rng.normal(0, 0.7, trained.sum())
    return net


def batch_for(net, loss=LOSSES[0], steps=T, batch=B, ragged=True, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(steps, batch, net.n_inputs))
    if net.tokens:
        inputs = rng.integers(0, net.n_inputs, (steps, batch)).astype(np.int32)
    shape = (steps, batch, K) if loss.when == "every" else (batch, K)
    lengths = np.maximum(steps - np.arange(batch) * 2, 0) if ragged else None
    return Sequences(inputs, rng.uniform(size=shape), rng.choice([0.5, 1.0], shape[:-1]), lengths)


def twin(net, batch, state=None):
    return naive_ntm.network(net.config, net.layout.views(net.theta), batch.inputs, batch.lengths, state)


def given_state(net, batch=B, seed=5):
    rng = np.random.default_rng(seed)
    state = [rng.normal(size=part.shape) for part in net.initial_state(batch)]
    state[-2] = np.abs(state[-2]) / np.abs(state[-2]).sum(axis=2, keepdims=True)
    return state


# -- against the twin ---------------------------------------------------------------------------------------------------


@every_option
def test_network_is_the_twin(name):
    net = network(name)
    for ragged, state in ((False, None), (True, None), (True, given_state(net))):
        batch = batch_for(net, ragged=ragged)
        found = net.forward(batch.inputs, batch.lengths, state, record=net.trace_names)
        outputs, last, final, traces = twin(net, batch, state)
        assert distance(found.outputs, outputs) <= 1e-11
        for one, other in zip(found.state, final, strict=True):
            assert distance(one, other) <= 1e-11
        assert set(found.records) == set(traces) == set(net.trace_names)
        for key, trace in traces.items():
            assert distance(found.records[key], trace) <= 1e-11, key
        for loss in LOSSES:
            judged = replace(batch_for(net, loss), inputs=batch.inputs, lengths=batch.lengths)
            result = net.evaluate(judged, loss, state)
            y = outputs if loss.when == "every" else last
            assert abs(result.loss - loss.evaluate(y, judged.targets, judged.weights, judged.lengths)) <= 1e-11
            for one, other in zip(result.state, final, strict=True):
                assert distance(one, other) <= 1e-11


@pytest.mark.parametrize("name", ("lstm", "many-heads-read-first"))
@pytest.mark.parametrize("steps, batch", ((1, 1), (1, 4), (9, 1)))
def test_odd_numbers_of_time_steps_and_rows(name, steps, batch):
    net = network(name)
    data = batch_for(net, steps=steps, batch=batch, ragged=False)
    assert distance(net.forward(data.inputs).outputs, twin(net, data)[0]) <= 1e-11


def test_float32_is_near_the_twin():
    net = network("many-heads", "float32", hidden=20, memory=(37, 9))
    batch = batch_for(net, steps=12, ragged=False)
    assert distance(net.forward(batch.inputs).outputs, twin(net, batch)[0]) <= 1e-4


def test_the_defaults_start_where_the_equations_say():
    """All heads on row 0, the memory 1e-6, h, c and reads zero; also when these are learned."""
    for learned in (False, True):
        net = rs.NTM(I, K, hidden=4, memory=(7, 3), write_heads=2, learned_initial_state=learned)
        h, c, reads, weights, memory = net.initial_state(2)
        assert not h.any() and not c.any() and not reads.any() and (memory == np.float32(1e-6)).all()
        assert (weights.argmax(axis=2) == 0).all() and (weights[:, :, 0] > 0.999).all()
        assert np.allclose(weights.sum(axis=2), 1)


# -- gradients ----------------------------------------------------------------------------------------------------------


@every_option
def test_gradient_is_finite_differences(name):
    """Every entry of small machines; for the large one a direction in every array."""
    net = network(name)
    batch = batch_for(net)
    gradient = net.loss_and_gradient(batch, LOSSES[0]).gradient.copy()
    if net.n_parameters > 1000:
        return along_directions(net, batch, LOSSES[0])
    wanted = differences(lambda: net.evaluate(batch, LOSSES[0]).loss, net.theta)
    if net.trainable is not None:
        wanted *= net.trainable
    for entry in net.layout:
        part = slice(entry.offset, entry.offset + entry.size)
        assert distance(gradient[part], wanted[part]) <= 1e-6, entry.name
        # One row has weight 1 whatever heads say of it; a random memory is kept.
        idle = (entry.name == "weights0" and net.sizes.rows == 1) or (
            entry.name == "memory0" and net.trainable is not None
        )
        assert idle or np.abs(wanted[part]).max() > 1e-9, f"{entry.name} does nothing"


def along_directions(net, batch, loss, state=None):
    start, amount = net.theta.copy(), np.zeros(1)
    gradient = net.loss_and_gradient(batch, loss, state).gradient.copy()
    for entry in net.layout:
        move = np.zeros_like(start)
        net.layout.view(move, entry.name)[...] = np.random.default_rng(entry.offset).normal(size=entry.shape)
        if net.trainable is not None:
            move *= net.trainable

        def along():
            net.theta[...] = start + amount * move  # noqa: B023
            return net.evaluate(batch, loss, state).loss

        slope = differences(along, amount)
        if state is not None and entry.name in STARTS:
            assert not net.layout.view(gradient, entry.name).any(), "a given state is a constant"
        assert distance([gradient @ move], slope) <= 1e-6, entry.name
        net.theta[...] = start


STARTS = ("h0_l0", "c0_l0", "h0_l1", "c0_l1", "reads0", "weights0", "memory0")


@pytest.mark.parametrize("name", ("lstm-two-layers", "many-heads-read-first", "memory-learned", "recompute", "tokens"))
def test_gradients_of_all_losses_along_directions(name):
    net = network(name)
    for loss, ragged in zip(LOSSES, (True, False, True)):
        batch = batch_for(net, loss, ragged=ragged, seed=1)
        along_directions(net, batch, loss)
        along_directions(net, batch, loss, given_state(net))


@pytest.mark.parametrize("quantity", ("key", "strength", "gate", "shift", "gamma", "erase", "add"))
def test_every_head_quantity_has_its_gradient(quantity):
    """The rows of the heads' weights that make one quantity, head by head."""
    for name in ("many-heads", "many-heads-read-first"):
        net = network(name)
        batch = batch_for(net)
        gradient = net.layout.view(net.loss_and_gradient(batch, LOSSES[0]).gradient, "weight_heads").copy()
        weights = net.layout.view(net.theta, "weight_heads")
        rows = [(head, place, size) for head, what, place, size in net.emitted() if what == quantity]
        assert len(rows) == (net.sizes.write_heads if quantity in ("erase", "add") else net.sizes.heads)
        for head, place, size in rows:
            part = slice(place, place + size)
            wanted = differences(lambda: net.evaluate(batch, LOSSES[0]).loss, weights[part])  # noqa: B023
            assert distance(gradient[part], wanted) <= 1e-6, head
            assert np.abs(wanted).max() > 1e-9, head


@pytest.mark.parametrize("name", ("lstm", "many-heads-read-first", "memory-learned", "tokens"))
def test_recomputing_gives_the_same_bits(name):
    """Segments that do and do not divide the number of time steps, one of one time step, and one longer than the sequence."""
    net = network(name)
    for loss, ragged in ((LOSSES[0], True), (LOSSES[2], True), (LOSSES[1], False)):
        batch = batch_for(net, loss, steps=12, batch=4, ragged=ragged)
        if ragged:
            batch.lengths[...] = (12, 5, 8, 0)
        for state in (None, given_state(net, 4)):
            whole = net.loss_and_gradient(batch, loss, state)
            kept = [whole.loss, whole.outputs.copy(), whole.gradient.copy(), *whole.state]
            for k in (1, 4, 5, 11, 12, 50):
                parts = network(name, recompute=k)
                for _ in range(2):
                    found = parts.loss_and_gradient(batch, loss, state, theta=net.theta)
                    assert found.loss == kept[0] and np.array_equal(found.outputs, kept[1])
                    assert distance(found.gradient, kept[2]) <= 1e-12
                    assert all(np.array_equal(a, b) for a, b in zip(found.state, kept[3:], strict=True))


def test_recomputing_keeps_one_memory_every_k_time_steps():
    """10,000 time steps of a memory of 128 x 20 stay far below a gigabyte."""
    net = build("ntm", 9, 8, dict(hidden=100, memory=(128, 20), recompute=100))
    data = Sequences(np.zeros((1000, 1, 9), np.float32), np.zeros((1000, 1, 8), np.float32))
    net.loss_and_gradient(data, LOSSES[1])
    cells = 128 * 20 * 4
    assert net.workspace_bytes < 3 * 100 * cells + 1000 * 4 * 200
    whole = build("ntm", 9, 8, dict(hidden=100, memory=(128, 20)))
    whole.loss_and_gradient(data, LOSSES[1])
    assert 1000 * cells < whole.workspace_bytes < 2.5 * 1000 * cells
    assert distance(net.gradient, whole.gradient) <= 1e-5


# -- states ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("lstm", "many-heads-read-first", "memory-random", "recompute", "tokens"))
def test_halves_carry_on_the_whole(name):
    net = network(name)
    batch = batch_for(net, steps=7, ragged=False)
    whole = net.forward(batch.inputs)
    first = net.forward(batch.inputs[:3])
    second = net.forward(batch.inputs[3:], state=first.state)
    assert np.array_equal(np.concatenate([first.outputs, second.outputs]), whole.outputs)
    assert all(np.array_equal(a, b) for a, b in zip(second.state, whole.state))
    if not net.options.recompute:
        net.forward(batch.inputs)
        for time_steps, state in ((3, first.state), (7, whole.state), (0, net.initial_state(B))):
            assert all(np.array_equal(a, b) for a, b in zip(net.state_after(time_steps), state))


@pytest.mark.parametrize("name", ("lstm", "many-heads-read-first"))
def test_the_state_in_mid_sequence_of_ragged_sequences(name):
    """A sequence that has ended keeps the state of its end, memory and weightings too."""
    net = network(name)
    batch = batch_for(net, steps=7)
    batch.lengths[...] = (7, 2, 0)
    net.forward(batch.inputs[::-1].copy())  # other numbers in the buffers
    net.forward(batch.inputs, batch.lengths)
    for time_steps in (1, 4, 7):
        short = replace(batch, inputs=batch.inputs[:time_steps], lengths=np.minimum(batch.lengths, time_steps))
        for one, other in zip(net.state_after(time_steps), twin(net, short)[2]):
            assert distance(one, other) <= 1e-11


def test_state_in_mid_sequence_of_recomputed_passes():
    net = network("recompute")
    net.evaluate(batch_for(net), LOSSES[0])
    with pytest.raises(RnnsimError, match="^recompute: "):
        net.state_after(1)


def test_truncated_bptt_takes_it():
    net, other = network(dtype="float32"), network(dtype="float32")
    batch = batch_for(net, steps=6, ragged=False)
    rule, applied = rs.learning.RULES.build("tbptt", horizon=6), []
    rule.learn(net, batch, LOSSES[0], lambda gradient: applied.append(gradient.copy()))
    assert np.array_equal(applied[0], other.loss_and_gradient(batch, LOSSES[0]).gradient)


def test_sequences_of_length_zero():
    net = network("many-heads")
    batch = batch_for(net)
    batch.lengths[...] = 0
    state = given_state(net)
    found = net.forward(batch.inputs, batch.lengths, state, record=net.trace_names)
    assert not found.outputs.any() and all(np.array_equal(a, b) for a, b in zip(found.state, state))
    assert not any(trace.any() for trace in found.records.values())
    assert not net.loss_and_gradient(batch, LOSSES[0]).gradient.any()


# -- rows, threads, calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("controller", BOTH)
def test_bits_do_not_depend_on_threads(controller, dtype):
    net = network(dict(controller=controller, write_heads=2), dtype, hidden=30, memory=(128, 20))
    batch = batch_for(net, steps=12, batch=9)
    count, found = threads.get_threads(), []
    try:
        for used in (1, min(2, threads.available())):
            threads.set_threads(used)
            result = net.loss_and_gradient(batch, LOSSES[0])
            found.append([result.loss, result.outputs.tobytes(), result.gradient.tobytes(), *map(bytes, result.state)])
    finally:
        threads.set_threads(count)
    assert found[0] == found[1]


def test_a_row_knows_nothing_of_the_others():
    net = network("many-heads", "float32")
    batch = batch_for(net, steps=6, batch=5)
    batch.lengths[...] = (6, 3, 6, 1, 4)
    together = net.forward(batch.inputs, batch.lengths)
    order = [3, 1, 0, 4, 2]
    shuffled = net.forward(batch.inputs[:, order], batch.lengths[order])
    assert np.array_equal(shuffled.outputs, together.outputs[:, order])
    for b in range(5):
        alone = net.forward(batch.inputs[:, [b]], batch.lengths[[b]])
        assert distance(alone.outputs[:, 0], together.outputs[:, b]) <= 1e-6
        for one, other in zip(alone.state, together.state):
            assert distance(one[:, 0], other[:, b]) <= 1e-6


def test_calls_do_not_disturb_each_other():
    """The same batch gives the same bits whatever came before it, and inputs are not changed."""
    net = network("many-heads")
    first, other = batch_for(net), batch_for(net, LOSSES[2], 9, 5, seed=3)
    kept = first.inputs.copy()
    wanted = net.loss_and_gradient(first, LOSSES[0]).gradient.copy()
    net.loss_and_gradient(other, LOSSES[2])
    net.forward(other.inputs, other.lengths, record="gates")
    net.forward(other.inputs[:2])
    assert np.array_equal(net.loss_and_gradient(first, LOSSES[0]).gradient, wanted)
    assert np.array_equal(first.inputs, kept)


@pytest.mark.parametrize("name", ("many-heads", "many-heads-read-first", "feedforward", "recompute"))
def test_what_was_not_finite_leaves_nothing_behind(name):
    """A pass full of NaN leaves NaN in the padding of all rows; the next pass has the bits of a new network."""
    net, fresh = network(name), network(name)
    theta, batch = net.theta.copy(), batch_for(net, steps=6, batch=5)
    other = batch_for(net, steps=9, batch=4)
    net.theta[...] = np.nan
    assert np.isnan(net.loss_and_gradient(other, LOSSES[0]).gradient).any()
    found = net.loss_and_gradient(batch, LOSSES[0], theta=theta)
    wanted = fresh.loss_and_gradient(batch, LOSSES[0])
    assert found.loss == wanted.loss and np.array_equal(found.outputs, wanted.outputs)
    assert np.array_equal(found.gradient, wanted.gradient)


def test_records():
    net = network("many-heads")
    x = batch_for(net).inputs
    found = net.forward(x, record="gates").records
    assert set(found) == set(net.trace_names) - {"memory"}
    assert found["read_weights"].shape == (T, B, 2, 5) and found["write_erase"].shape == (T, B, 3, 3)
    assert set(net.forward(x, record="memory").records) == {"memory"}
    kept = {name: trace.copy() for name, trace in found.items()}
    net.loss_and_gradient(batch_for(net, seed=9), LOSSES[0])
    assert all(np.array_equal(kept[name], found[name]) for name in kept), "records are copies"
    with pytest.raises(RnnsimError, match="unknown trace 'read_weight'; did you mean 'read_weights'"):
        net.forward(x, record=["read_weight"])


@every_option
def test_configuration_and_weights_come_back(name, tmp_path):
    net = network(name, "float32")
    again = from_config(net.config)
    assert again.config == net.config and list(again.layout) == list(net.layout)
    rs.training.save_weights(net, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors")
    assert np.array_equal(loaded.theta, net.theta)
    batch = batch_for(net)
    assert np.array_equal(loaded.forward(batch.inputs).outputs, net.forward(batch.inputs).outputs)


# -- faults -----------------------------------------------------------------------------------------------------------------

SCALES = np.array([0, 1e-3, 1, 10, 100, 1e5, 1e30])
EXTREMES = {
    "any-memory": dict(memory=(8, 3), memory_start="random"),
    "all-equal-memory": dict(memory=(8, 3)),
    "one-row": dict(memory=(1, 3), shift_range=0),
    "one-column-read-first": dict(memory=(9, 1), order="read-first", shift_range=2),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_no_nan_whatever_heads_are_told(name):
    """25,000 times, with linear outputs up to 1e30 and zero keys, forward and backward in float32."""
    rng = np.random.default_rng(3)
    options = dict(controller="feedforward", hidden=16, read_heads=2, write_heads=2, clip_heads=20.0)
    net = build("ntm", 6, K, options | EXTREMES[name])
    weights, told = net.layout.view(net.theta, "weight_heads"), 0
    keys = [slice(place, place + size) for _, quantity, place, size in net.emitted() if quantity == "key"]
    while told < 25_000:
        weights[...] = rng.normal(size=weights.shape) * rng.choice(SCALES, (len(weights), 1))
        for part in keys:
            weights[part] *= rng.integers(0, 2)
        net.layout.view(net.theta, "bias_heads")[...] = rng.normal(size=len(weights)) * rng.choice(
            SCALES[:4], len(weights)
        )
        batch = Sequences(rng.normal(size=(10, 128, 6)) * 3, rng.uniform(size=(10, 128, K)))
        result = net.loss_and_gradient(batch, LOSSES[0])
        assert np.isfinite(result.loss) and np.isfinite(result.gradient).all()
        assert all(np.isfinite(part).all() for part in result.state) and net.not_finite() is None
        w = result.state[-2]
        assert (w >= 0).all() and np.abs(w.sum(axis=2) - 1).max() < 1e-5
        told += 10 * 128 * net.sizes.heads


@pytest.mark.parametrize("name", ("many-heads", "many-heads-read-first", "recompute"))
def test_what_is_not_finite_is_named(name):
    net = network(name)
    assert net.not_finite() is None
    for head, quantity, place, size in net.emitted():
        net = network(name)
        batch = batch_for(net)
        net.evaluate(batch, LOSSES[0])
        assert net.not_finite() is None
        net.layout.view(net.theta, "bias_heads")[place + size - 1] = np.nan
        net.loss_and_gradient(batch, LOSSES[0])
        assert net.not_finite() == f"the {quantity} of {head} is not finite at time step 0 of sequence 0"


@pytest.mark.parametrize("recompute", (0, 2))
def test_the_time_step_of_what_is_not_finite(recompute):
    """Units are 0 where inputs are, and 1 where a strength is then told to be beyond all numbers."""
    net = network("feedforward", "float32", recompute=recompute, clip_heads="inf", learned_initial_state=False)
    net.theta[...] = 0
    net.layout.view(net.theta, "weight_ih_l0")[:, :I] = 1
    place = next(place for head, what, place, _ in net.emitted() if (head, what) == ("write head 0", "strength"))
    net.layout.view(net.theta, "weight_heads")[place] = 3e38
    batch = batch_for(net, steps=8, ragged=False)
    batch.inputs[...] = 0
    batch.inputs[3, 1] = batch.inputs[6, 0] = 20
    for run in (net.evaluate, net.loss_and_gradient):
        run(batch, LOSSES[0])
        assert net.not_finite() == "the strength of write head 0 is not finite at time step 3 of sequence 1"
    net.evaluate(replace(batch, lengths=np.array([8, 3, 8])), LOSSES[0])
    assert net.not_finite() == "the strength of write head 0 is not finite at time step 6 of sequence 0"


def test_a_diverging_run_names_what_went_wrong(tmp_path):
    task = rs.tasks.Copy(width=2, max_length=3)
    net = build("ntm", task.n_inputs, task.n_outputs, SMALL)
    weights = net.layout.view(net.theta, "bias_heads")

    def callback(progress):
        weights[net.emitted()[-2][2]] = np.nan if progress.step == 5 else 0

    with pytest.raises(
        RnnsimError,
        match=r"^step 6: the gradient of .+ is nan, as the erase of write head 0 is not finite at time step 0 of sequence 0; "
        r".*last good checkpoint: .*step-00000004",
    ):
        rs.train(net, task, steps=9, batch=2, out=tmp_path / "r", checkpoint_every=4, callback=callback)
    assert np.isfinite(open_run(tmp_path / "r").net().theta).all()


def test_a_rate_beyond_reason_stops_at_the_controller():
    task = rs.tasks.Copy(width=2, max_length=3)
    net = build("ntm", task.n_inputs, task.n_outputs, SMALL)
    with pytest.raises(
        RnnsimError, match="^step 2: .* is nan, as controller layer 0 is not finite at time step 0 of sequence 0"
    ):
        rs.train(net, task, optimizer=rs.SGD(1e25), steps=9, batch=2)


WRONG = {
    "read_heads=0: expected a value of at least 1": dict(read_heads=0),
    "write_heads=0: expected a value of at least 1": dict(write_heads=0),
    "hidden=0: ": dict(hidden=0),
    "layers=0: ": dict(layers=0),
    "shift_range=-1: ": dict(shift_range=-1),
    "shift_range=3: 7 shifts are more than the 5 rows of the memory": dict(shift_range=3),
    "shift_range=1: 3 shifts are more than the 1 rows of the memory": dict(memory=(1, 4)),
    "memory=(0, 20): expected at least 1 row and 1 column": dict(memory="0,20"),
    "memory=(20, 0): expected at least 1 row and 1 column": dict(memory="20,0"),
    "memory=abc: ": dict(memory="abc"),
    "memory=5: ": dict(memory="5"),
    "memory=5,3,2: ": dict(memory="5,3,2"),
    "memory=x: expected a whole number": dict(memory="5,x"),
    "controller=gru: expected one of lstm, feedforward": dict(controller="gru"),
    "order=first: expected one of write-first, read-first": dict(order="first"),
    "memory_start=zero: expected one of constant, learned, random": dict(memory_start="zero"),
    "clip_heads=0.0: expected a number above 0": dict(clip_heads=0),
    "norm_floor=0.0: expected a finite number above 0": dict(norm_floor=0),
    "clip_heads=nan: ": dict(clip_heads="nan"),
    "recompute=-1: ": dict(recompute=-1),
    "unknown option of network 'ntm' 'shifts'": dict(shifts=3),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_options_are_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        build("ntm", I, K, {**SMALL, **WRONG[message]})
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_wrong_states_are_one_clear_line():
    net, other = network("lstm"), network("feedforward")
    x = batch_for(net).inputs
    for state in (net.initial_state(B + 1), other.initial_state(B), net.initial_state(B)[:-1], [], 3):
        with pytest.raises(RnnsimError, match="^state: expected a list of arrays of shapes") as error:
            net.forward(x, state=state)
        assert "\n" not in str(error.value)


def test_sequences_longer_than_the_memory_are_unrolled():
    net = network("lstm", "float32")
    assert np.isfinite(net.forward(np.ones((50, 1, I))).outputs).all()
