"""Stacks of cells: every structural option against the twin and finite differences; states, records, counts, wrong input."""

import json
import tracemalloc
from dataclasses import replace

import naive
import naive_numerics
import numpy as np
import pytest
from cases import differences, distance, random_batch

from rnnsim import networks
from rnnsim.cells import CELLS
from rnnsim.core import threads
from rnnsim.core.batch import Sequences
from rnnsim.core.checkpoint import save_weights
from rnnsim.core.losses import Loss
from rnnsim.core.options import choices, combinations
from rnnsim.core.registry import option_table
from rnnsim.errors import RnnsimError
from rnnsim.networks import build, from_config
from rnnsim.networks.recurrent import Recurrent
from rnnsim.training.run import load_weights

T, B, I, K, H = 4, 3, 2, 2, 3
CHOICES = {key: choices(kind) for key, (kind, _) in option_table(Recurrent).items() if choices(kind)}
# Every value of every option, alone and with the last values of the others.
STRUCTURES = [
    options
    for options in combinations({"layers": (1, 3), "embedding": (0, 3), **CHOICES}, most=0)
    if options["tokens"] or not options["embedding"]
]
SKIP_ONE_WAY = dict(skip=True, layers=3)
BOTH_WAYS = dict(bidirectional=True, skip=True, layers=2)
LEARNED = dict(learned_initial_state=True, layers=2)
EMBEDDING = dict(tokens=True, embedding=2, skip=True, layers=3)
LOSSES = (Loss("squared_error"), Loss("softmax", per="sequence"), Loss("bernoulli", when="last"))


def title(options):
    return "-".join(f"{key}={value}" for key, value in options.items() if value) or "plain"


def network(name, structure, dtype="float64", seed=1, hidden=H, **cell_options):
    options = dict(structure)
    tokens = options.pop("tokens", False)
    outputs = K
    if options.get("readout") == "none":
        outputs = hidden * (2 if options.get("bidirectional") else 1)
        outputs *= options.get("layers", 1) if options.get("skip") else 1
    net = build(name, 5 if tokens else I, outputs, dict(hidden=hidden, **options, **cell_options), dtype, tokens, seed)
    rng = np.random.default_rng(seed)
    if net.learned_initial_state:
        for entry in net.layout:
            if entry.name[1:].startswith("0_"):
                net.layout.view(net.theta, entry.name)[...] = rng.normal(size=entry.shape)
    return net


def batch_for(net, loss, steps=T, batch=B, ragged=True, seed=0):
    rng = np.random.default_rng(seed)
    inputs = (
        rng.integers(0, net.n_inputs, (steps, batch)) if net.tokens else rng.normal(size=(steps, batch, net.n_inputs))
    )
    shape = (steps, batch, net.n_outputs) if loss.when == "every" else (batch, net.n_outputs)
    targets = rng.uniform(0, 1, shape)
    weights = rng.choice([0.0, 0.5, 1.0], shape[:-1])
    lengths = rng.integers(0, steps + 1, batch) if ragged else None
    if ragged:
        lengths[0] = steps
    return Sequences(inputs.astype(np.int32) if net.tokens else inputs, targets, weights, lengths)


every_network = pytest.mark.parametrize("name", CELLS)  # the stacks; other networks have tests of their own
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=title)


@every_structure
@every_network
def test_network_is_the_twin(name, structure):
    net = network(name, structure)
    for ragged in (False, True):
        batch = batch_for(net, LOSSES[0], ragged=ragged)
        given = [np.random.default_rng(5).normal(size=part.shape) for part in net.initial_state(B)]
        for state in (None, given):
            found = net.forward(batch.inputs, batch.lengths, state, record=net.trace_names)
            outputs, last, final, traces = naive.network(
                net.config, net.layout.views(net.theta), batch.inputs, batch.lengths, state
            )
            assert distance(found.outputs, outputs) <= 1e-12
            for one, other in zip(found.state, final):
                assert distance(one, other) <= 1e-12
            assert set(found.records) == set(traces) == set(net.trace_names)
            for key, trace in traces.items():
                # The twin knows nothing of a sequence that has ended, the network gives zeros.
                assert distance(found.records[key], np.nan_to_num(trace)) <= 1e-12
            for loss in LOSSES:
                judged = replace(batch_for(net, loss), inputs=batch.inputs, lengths=batch.lengths)
                result = net.evaluate(judged, loss, state)
                y = outputs if loss.when == "every" else last
                value, _ = naive_numerics.loss_and_gradient(loss, y, judged.targets, judged.weights, judged.lengths)
                if loss.when == "last":
                    assert distance(result.outputs, y) <= 1e-12
                answer = net.forward(batch.inputs, batch.lengths, state, when=loss.when).outputs
                assert distance(answer, y) <= 1e-12
                read = net.predict(batch.inputs, loss, batch.lengths, state)
                inside = np.ones(y.shape[:-1], bool)
                if loss.when == "every" and batch.lengths is not None:
                    inside = np.arange(len(y))[:, None] < batch.lengths
                assert distance(read[inside], loss.predictions(y)[inside]) <= 1e-12 and not read[~inside].any()
                assert abs(result.loss - value) <= 1e-12 * max(1, value)


@every_structure
@every_network
def test_gradient_is_finite_differences(name, structure):
    net = network(name, structure)
    batch = batch_for(net, LOSSES[0])
    result = net.loss_and_gradient(batch, LOSSES[0])
    gradient = result.gradient.copy()
    assert result.loss == net.evaluate(batch, LOSSES[0]).loss
    wanted = differences(lambda: net.evaluate(batch, LOSSES[0]).loss, net.theta)
    assert distance(gradient, wanted) <= 1e-6
    for entry in net.layout:
        part = slice(entry.offset, entry.offset + entry.size)
        assert distance(gradient[part], wanted[part]) <= 1e-6, entry.name
        # The first units of two directions side by side are those of the first one.
        if not (structure["readout"] == "units" and entry.name.endswith(f"_l{net.layers - 1}_reverse")):
            # More than the rounding of the differences, which is about 1e-11 here.
            assert gradient[part].any() and np.abs(wanted[part]).max() > 1e-9, f"{entry.name} does nothing"


@every_structure
@every_network
def test_gradients_of_all_losses_along_directions(name, structure):
    """One direction for every array of the network, for losses at every step and at the end, ragged and not."""
    net = network(name, structure)
    start, amount = net.theta.copy(), np.zeros(1)
    for loss, ragged in zip(LOSSES, (True, False, True)):
        batch = batch_for(net, loss, ragged=ragged, seed=1)
        gradient = net.loss_and_gradient(batch, loss).gradient.copy()
        for entry in net.layout:
            move = np.zeros_like(start)
            net.layout.view(move, entry.name)[...] = np.random.default_rng(entry.offset).normal(size=entry.shape)

            def along():
                net.theta[...] = start + amount * move  # noqa: B023
                return net.evaluate(batch, loss).loss  # noqa: B023

            slope = differences(along, amount)
            assert distance([gradient @ move], slope) <= 1e-6, entry.name
            net.theta[...] = start


@pytest.mark.parametrize("structure", ({}, SKIP_ONE_WAY, {**EMBEDDING, **BOTH_WAYS}, LEARNED), ids=title)
@every_network
def test_nothing_counted_gives_zero(name, structure):
    net = network(name, structure)
    for loss in LOSSES:
        batch = batch_for(net, loss)
        batch.weights[...] = 0
        result = net.loss_and_gradient(batch, loss)
        assert result.loss == 0 and not result.gradient.any()


@every_network
def test_sequences_of_length_zero(name):
    net = network(name, dict(layers=2))
    batch = batch_for(net, LOSSES[0])
    batch.lengths[...] = 0
    given = [np.random.default_rng(5).normal(size=part.shape) for part in net.initial_state(B)]
    found = net.forward(batch.inputs, batch.lengths, given)
    assert not found.outputs.any() and all(np.array_equal(a, b) for a, b in zip(found.state, given))
    assert not net.loss_and_gradient(batch, LOSSES[0]).gradient.any()


@pytest.mark.parametrize("structure", ({}, SKIP_ONE_WAY, LEARNED, EMBEDDING, dict(tokens=True)), ids=title)
@every_network
def test_halves_carry_on_the_whole(name, structure):
    net = network(name, structure)
    batch = batch_for(net, LOSSES[0], steps=7, ragged=False)
    whole = net.forward(batch.inputs)
    first = net.forward(batch.inputs[:3])
    second = net.forward(batch.inputs[3:], state=first.state)
    assert np.array_equal(np.concatenate([first.outputs, second.outputs]), whole.outputs)
    assert all(np.array_equal(a, b) for a, b in zip(second.state, whole.state))
    net.forward(batch.inputs)
    assert all(np.array_equal(a, b) for a, b in zip(net.state_after(3), first.state))
    # With the state given, the initial state is a constant.
    net.loss_and_gradient(batch, LOSSES[0], whole.state)
    for entry in net.layout:
        if entry.name[1:].startswith("0_"):
            assert not net.layout.view(net.gradient, entry.name).any()


@every_network
def test_only_states_that_are_read_have_learned_initial_values(name):
    """A state is read if a change of it changes the output at the first time step."""
    net = network(name, {**LEARNED, **BOTH_WAYS})
    batch, names = batch_for(net, LOSSES[0], ragged=False), {entry.name for entry in net.layout}
    wanted = net.forward(batch.inputs).outputs
    for place, (suffix, cell) in enumerate(net.cells.items()):
        for k, state in enumerate(cell.state_names):
            start = net.initial_state(B)
            start[place][k] += 0.5
            read = not np.array_equal(net.forward(batch.inputs, state=start).outputs, wanted)
            assert (f"{state}0{suffix}" in names) == read == (state not in cell.unread_states), state + suffix
    assert ("h0_l0" in names) == (name != "elstm")


def test_state_in_mid_sequence_of_a_bidirectional_network():
    net = network("gru", dict(bidirectional=True))
    net.forward(np.zeros((3, 1, I)))
    with pytest.raises(RnnsimError, match="bidirectional"):
        net.state_after(1)


TABLE = np.array([[1, 0, 1, -1, 1], [-1, 1, 0, 1, -1], [1, 1, 1, 1, 0]])


@pytest.mark.parametrize(
    "options", (dict(density=0.5, connection_seed=2), dict(connections=TABLE)), ids=("density", "table")
)
def test_connections_that_are_not_trained(options):
    net = network("rnn", {}, **options)
    trained = net.layout.views(net.trainable)
    if "connections" in options:
        assert np.array_equal(np.hstack([trained["weight_ih_l0"], trained["weight_hh_l0"]]), TABLE > 0)
        held = net.layout.view(net.theta, "weight_hh_l0")[TABLE[:, I:] == 0]
        assert held.all(), "a frozen connection keeps its weight"
    absent = np.hstack([net.layout.view(net.theta, f"weight_{kind}_l0") for kind in ("ih", "hh")]) == 0
    wanted = TABLE < 0 if "connections" in options else ~np.hstack([trained["weight_ih_l0"], trained["weight_hh_l0"]])
    assert np.array_equal(absent, wanted)
    gradient = net.loss_and_gradient(batch_for(net, LOSSES[0]), LOSSES[0]).gradient
    assert not gradient[~net.trainable].any() and gradient[net.trainable].all()
    assert 0 < (~net.trainable).sum() and trained["weight_out"].all()
    assert network("rnn", {}).trainable is None


@pytest.mark.parametrize("form", (np.asarray, np.ndarray.tolist, "file"), ids=("array", "lists", "file"))
def test_a_table_of_connections_is_kept_with_the_weights(form, tmp_path):
    given = str(tmp_path / "table.npy") if form == "file" else form(TABLE)
    np.save(tmp_path / "table.npy", TABLE)
    net = network("rnn", {}, connections=given)
    (tmp_path / "table.npy").unlink()
    save_weights(net, tmp_path / "w.safetensors")
    twin = load_weights(tmp_path / "w.safetensors")
    assert twin.config == net.config and np.array_equal(twin.trainable, net.trainable)
    assert np.array_equal(twin.theta, net.theta)


def test_a_network_beyond_all_memory_is_one_clear_line():
    with pytest.raises(RnnsimError, match=r"^3,000,0\d\d,\d{3},.* parameters: more than fit into memory$"):
        build("gru", 1, 1, {"hidden": 10**9})


def test_density_is_about_the_share_and_belongs_to_its_seed():
    def there(**options):
        net = build("rnn", 1, 1, dict(hidden=60, **options))
        return net.layout.view(net.theta, "weight_hh_l0") != 0

    assert abs(there(density=0.3).mean() - 0.3) < 0.05
    assert np.array_equal(there(density=0.3), there(density=0.3))
    assert not np.array_equal(there(density=0.3), there(density=0.3, connection_seed=1))
    assert not there(density=0.0).any()


@every_structure
@every_network
def test_configuration_makes_the_same_network(name, structure):
    net = network(name, structure, "float32")
    config = json.loads(json.dumps(net.config))
    twin = from_config(config)
    assert twin.config == net.config and list(twin.layout) == list(net.layout)
    twin.theta[...] = net.theta
    batch = batch_for(net, LOSSES[0])
    assert np.array_equal(
        twin.forward(batch.inputs, batch.lengths).outputs, net.forward(batch.inputs, batch.lengths).outputs
    )


def test_configuration_keeps_cell_options_and_types():
    net = build("lstm", 2, 3, {"hidden": "7", "peepholes": "yes", "gates": "coupled", "forget_bias": "2"}, "float64")
    assert net.config["options"]["peepholes"] is True and net.config["options"]["hidden"] == 7
    twin = from_config(net.config)
    assert twin.config == net.config and list(twin.layout) == list(net.layout) and twin.dtype == np.float64
    assert Recurrent("gru", 2, 3, dtype=np.float64).config["dtype"] == "float64"


def test_same_seed_same_bits():
    first, second, third = (build("lstm", 2, 3, {"layers": 2}, seed=seed) for seed in (4, 4, 5))
    assert first.theta.tobytes() == second.theta.tobytes() != third.theta.tobytes()


@every_network
def test_theta_is_one_vector_with_named_views(name):
    net = network(name, BOTH_WAYS)
    assert net.theta.flags.c_contiguous and net.theta.shape == (net.n_parameters,)
    assert sum(entry.size for entry in net.layout) == net.n_parameters
    offsets = [(entry.offset, entry.size) for entry in net.layout]
    assert all(a + n == b for (a, n), (b, _) in zip(offsets, offsets[1:]))
    names = [entry.name for entry in net.layout]
    assert {"weight_ih_l0", "weight_hh_l0_reverse", "bias_ih_l1", "weight_out", "bias_out"} <= set(names)
    batch = batch_for(net, LOSSES[0])
    before = net.evaluate(batch, LOSSES[0]).loss
    other = net.theta * 0.5
    assert net.loss_and_gradient(batch, LOSSES[0], theta=other).loss != before
    assert np.array_equal(net.theta, other)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_assigning_theta_copies_in(name):
    options = {key: value for key, value in {"hidden": 3}.items() if key in networks.options_of(name)}
    net = build(name, I, K, options, "float64", seed=1)
    batch, vector, views = random_batch(net, LOSSES[0]), net.theta, net.layout.views(net.theta)
    other = net.theta * 0.5
    wanted = net.loss_and_gradient(batch, LOSSES[0], theta=other).loss
    net.theta *= 2
    assert net.theta is vector and net.loss_and_gradient(batch, LOSSES[0]).loss != wanted
    for values in (other, other.tolist(), other[::-1][::-1]):
        net.theta = 0 * other
        net.theta = values
        assert net.theta is vector and net.loss_and_gradient(batch, LOSSES[0]).loss == wanted
    assert all(np.shares_memory(view, net.theta) for view in views.values())
    net.theta = net.theta - 0.1 * net.gradient
    net.gradient = other
    assert not np.shares_memory(net.theta, other) and np.array_equal(net.gradient, other)
    net.theta = np.arange(net.n_parameters)
    assert net.theta[-1] == net.n_parameters - 1 and net.theta.dtype == np.float64


@every_network
def test_records(name):
    net = network(name, dict(layers=2))
    x = np.random.default_rng(0).normal(size=(T, B, I))
    names = net.cells["_l0"].trace_names
    assert net.trace_names == tuple(f"{trace}_l{layer}" for layer in (0, 1) for trace in names)
    assert net.forward(x).records == {}
    everything = net.forward(x, record="gates").records
    assert tuple(everything) == net.trace_names
    assert tuple(net.forward(x, record=["h"]).records) == ("h_l0", "h_l1")
    one = net.forward(x, record=("h_l1", f"{names[0]}_l0")).records
    assert set(one) == {"h_l1", f"{names[0]}_l0"} and all(trace.shape == (T, B, H) for trace in one.values())
    kept = {key: trace.copy() for key, trace in everything.items()}
    net.loss_and_gradient(batch_for(net, LOSSES[0]), LOSSES[0])
    assert all(np.array_equal(kept[key], everything[key]) for key in kept), "records are copies"
    with pytest.raises(RnnsimError, match="unknown trace 'hl0'; did you mean 'h_l0'"):
        net.forward(x, record=["hl0"])


# Dey & Salem (2017): (inputs, hidden) -> parameters of the recurrent layer of GRU0, GRU1, GRU2, GRU3.
GRU_VARIANTS = {
    (1, 100): (30600, 30400, 30200, 10400),
    (28, 100): (38700, 33100, 32900, 13100),
    (128, 128): (98688, 65920, 65664, 33152),
}


@pytest.mark.parametrize("sizes", GRU_VARIANTS, ids=str)
def test_counts_of_gru_variants(sizes):
    inputs, hidden = sizes
    counts = tuple(
        build("gru", inputs, 10, dict(hidden=hidden, variant=f"gru{k}")).n_recurrent_parameters for k in range(4)
    )
    assert counts == GRU_VARIANTS[sizes]


def test_count_behind_an_embedding():
    net = build("gru", 20000, 1, dict(hidden=128, embedding=128), tokens=True)
    assert net.n_recurrent_parameters == 98688
    assert net.n_parameters == 98688 + 20000 * 128 + 129


# Chung et al. (2014) quote thousands of parameters of the recurrent layer: (inputs, sizes of LSTM, GRU and tanh layers).
CHUNG = {"music": (100, (36, 19.8), (46, 20.2), (100, 20.1)), "speech": (20, (195, 169.1), (227, 168.9), (400, 168.4))}


@pytest.mark.parametrize("data", CHUNG)
def test_counts_of_chung(data):
    inputs, *layers = CHUNG[data]
    options = (dict(peepholes=True), dict(reset="before"), {})
    for name, more, (hidden, thousands) in zip(("lstm", "gru", "rnn"), options, layers):
        count = build(name, inputs, 1, dict(hidden=hidden, **more)).n_recurrent_parameters
        assert abs(count / 1000 - thousands) < 0.1


# Graves, Wayne & Danihelka (2014), table 3: (inputs, outputs, hidden) -> parameters.
GRAVES = {(10, 9, 256): 1352969, (8, 7, 512): 5312007, (8, 6, 256): 1344518, (1, 1, 128): 331905}


@pytest.mark.parametrize("sizes", GRAVES, ids=str)
def test_counts_of_the_skip_lstm(sizes):
    x, y, h = sizes
    net = build("lstm", x, y, dict(hidden=h, layers=3, skip=True, learned_initial_state=True))
    assert net.n_parameters == GRAVES[sizes] == 4 * h * (3 * x + 5 * h + 3) + 6 * h + (3 * h + 1) * y


def test_sizes_that_a_network_tells():
    net = build("lstm", 3, 2, dict(hidden=5, layers=2, bidirectional=True))
    assert net.state_size == 2 * 2 * 2 * 5
    assert [part.shape for part in net.initial_state(7)] == [(2, 7, 5)] * 4
    assert net.cost_per_step == 2 * 20 * (3 + 5) + 2 * 20 * (10 + 5) + 2 * 10


@every_structure
@every_network
def test_steps_after_the_first_allocate_nothing(name, structure):
    """Beyond Python's own small objects, the final states and the scratch of the loss, whatever the number of time steps."""
    net = network(name, structure, "float32", hidden=16)
    longest = 300
    batches = [batch_for(net, LOSSES[0], steps, 2) for steps in (longest, 1, 170, longest)]
    for batch in batches:
        batch.inputs = batch.inputs.astype(np.int32 if net.tokens else np.float32)
        batch.targets, batch.weights = batch.targets.astype(np.float32), batch.weights.astype(np.float32)
    for batch in batches:
        net.loss_and_gradient(batch, LOSSES[0])
    held = net.workspace_bytes
    addresses = set()
    tracemalloc.start()
    try:
        for batch in batches:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            result = net.loss_and_gradient(batch, LOSSES[0])
            # One layer's states are 38,400 bytes; the loss has a small scratch of its own.
            assert tracemalloc.get_traced_memory()[1] - before < 30_000
            addresses.add(result.outputs.ctypes.data)
    finally:
        tracemalloc.stop()
    assert net.workspace_bytes == held and len(addresses) == 1


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@every_network
def test_bits_do_not_depend_on_threads(name, dtype):
    net = build(name, 6, 3, dict(hidden=40, layers=2), dtype, seed=2)
    loss = Loss("squared_error")
    batch = batch_for(net, loss, 12, 9)
    count = threads.get_threads()
    found = []
    try:
        for used in (1, min(2, threads.available())):
            threads.set_threads(used)
            result = net.loss_and_gradient(batch, loss)
            found.append([result.loss, result.outputs.tobytes(), result.gradient.tobytes(), *map(bytes, result.state)])
    finally:
        threads.set_threads(count)
    assert found[0] == found[1]


@every_network
def test_calls_do_not_disturb_each_other(name):
    """The same batch gives the same bits whatever came before it."""
    net = network(name, EMBEDDING)
    first, other = batch_for(net, LOSSES[0]), batch_for(net, LOSSES[2], 9, 5, seed=3)
    wanted = net.loss_and_gradient(first, LOSSES[0]).gradient.copy()
    net.loss_and_gradient(other, LOSSES[2])
    net.forward(other.inputs, other.lengths, record="gates")
    assert np.array_equal(net.loss_and_gradient(first, LOSSES[0]).gradient, wanted)


@every_network
def test_inputs_are_not_changed_and_may_be_of_any_layout(name):
    net = network(name, dict(layers=2))
    x = np.random.default_rng(0).normal(size=(T, B, I))
    wanted = net.forward(x).outputs
    for other in (np.asfortranarray(x), x.tolist(), np.repeat(x, 2, axis=1)[:, ::2]):
        assert np.array_equal(net.forward(other).outputs, wanted)
    frozen = x.copy()
    frozen.flags.writeable = False
    batch = Sequences(frozen, np.zeros((T, B, K)))
    net.loss_and_gradient(batch, LOSSES[0])
    assert np.array_equal(frozen, x)
    assert np.array_equal(net.forward(np.ones((2, 1, I), bool)).outputs, net.forward(np.ones((2, 1, I))).outputs)


def plain(**options):
    return Recurrent("gru", I, K, **{"hidden": H, **options})


def tokens():
    return Recurrent("gru", 5, K, hidden=H, tokens=True)


X = np.zeros((T, B, I), np.float32)
BROKEN = X.copy()
BROKEN[2, 1, 0] = np.nan
WRONG = {
    "unknown cell 'gruu'; did you mean 'gru'": lambda: Recurrent("gruu", I, K),
    "unknown network 'lstn'; did you mean 'lstm'": lambda: build("lstn", I, K),
    "unknown option of network 'gru' 'layer'; did you mean 'layers'": lambda: build("gru", I, K, {"layer": 2}),
    "unknown option of cell 'gru' 'varaint'; did you mean 'variant'": lambda: plain(varaint="gru1"),
    "variant=gru9: expected one of gru0, gru1, gru2, gru3": lambda: plain(variant="gru9"),
    "hidden=0: expected a value of at least 1": lambda: plain(hidden=0),
    "hidden=-2: ": lambda: plain(hidden=-2),
    "hidden=2.5: expected a whole number": lambda: plain(hidden=2.5),
    "hidden=many: expected a whole number": lambda: build("gru", I, K, {"hidden": "many"}),
    "hidden=True: expected a whole number": lambda: plain(hidden=True),
    "layers=0: ": lambda: plain(layers=0),
    "inputs=0: ": lambda: Recurrent("gru", 0, K),
    "outputs=0: ": lambda: Recurrent("gru", I, 0),
    "n_outputs=two: expected a whole number": lambda: Recurrent("gru", I, "two"),
    "embedding=-1: ": lambda: plain(embedding=-1, tokens=True),
    "embedding=4: the inputs are vectors": lambda: plain(embedding=4),
    "bidirectional=perhaps: expected true or false": lambda: plain(bidirectional="perhaps"),
    "readout=linaer: expected one of linear, units, none": lambda: plain(readout="linaer"),
    "outputs=4: readout=units needs": lambda: Recurrent("gru", I, 4, hidden=3, readout="units"),
    "outputs=2: readout=none gives 3 outputs": lambda: plain(readout="none"),
    "dtype=float16: expected one of float32, float64": lambda: plain(dtype="float16"),
    "dtype=flot: expected": lambda: plain(dtype="flot"),
    "rng=-1: expected": lambda: plain(rng=-1),
    "'n_outputs' is missing": lambda: from_config({"network": "gru", "n_inputs": 2}),
    "expected shape (T, B, 2), got (4, 3)": lambda: plain().forward(X[:, :, 0]),
    "expected shape (T, B, 2), got (4, 3, 1)": lambda: plain().forward(X[:, :, :1]),
    "got rows of different lengths": lambda: plain().forward([[[1, 2]], [[3]]]),
    "expected numbers, got complex128": lambda: plain().forward(X.astype(complex)),
    "expected numbers, got <U1": lambda: plain().forward(np.full((1, 1, I), "a")),
    "expected numbers, got object": lambda: plain().forward(np.full((1, 1, I), None)),
    "has no sequence or no time step": lambda: plain().forward(X[:0]),
    "shape (4, 0, 2) has no": lambda: plain().forward(X[:, :0]),
    "inputs: nan at (t, b, i) = (2, 1, 0)": lambda: plain().forward(BROKEN),
    "inputs: inf at (t, b, i) = (0, 0, 0)": lambda: plain().forward(np.full((1, 1, I), np.inf)),
    "inputs: inf at (t, b, i)": lambda: plain().forward(np.full((1, 1, I), 1e300)),
    "expected finite numbers": lambda: plain().loss_and_gradient(Sequences(BROKEN, np.zeros((T, B, K))), LOSSES[0]),
    "lengths: 1..5 given, expected 0..4": lambda: plain().forward(X, [5, 1, 2]),
    "lengths: -1..2 given": lambda: plain().forward(X, [-1, 1, 2]),
    "lengths: expected 3 whole numbers, got shape (2,)": lambda: plain().forward(X, [1, 2]),
    "of float64": lambda: plain().forward(X, [1.0, 2.0, 3.0]),
    "lengths: expected an array": lambda: plain().forward(X, [[1], [2, 3]]),
    "state: expected a list of arrays of shapes [(1, 3, 3)], got [(1, 2, 3)]": lambda: plain().forward(
        X, state=plain().initial_state(2)
    ),
    "got [(1, 3, 3), (1, 3, 3)]": lambda: plain().forward(X, state=2 * plain().initial_state(3)),
    "got ndarray": lambda: plain().forward(X, state=plain().initial_state(3)[0]),
    "got int": lambda: plain().forward(X, state=5),
    "when=end: expected one of every, last": lambda: plain().forward(X, when="end"),
    "unknown trace 'g'": lambda: plain().forward(X, record=["g"]),
    "theta: expected numbers of shape (62,), got shape (3,)": lambda: plain().loss_and_gradient(
        Sequences(X, np.zeros((T, B, K))), LOSSES[0], theta=np.zeros(3)
    ),
    "theta: expected numbers of shape (62,), got shape (1, 62)": lambda: setattr(plain(), "theta", np.zeros((1, 62))),
    "theta: expected numbers of shape (62,), got shape ()": lambda: setattr(plain(), "theta", 0.0),
    "theta: expected numbers, got complex128": lambda: setattr(plain(), "theta", np.zeros(62, complex)),
    "theta: expected numbers, got <U1": lambda: setattr(plain(), "theta", ["a"] * 62),
    "theta: expected numbers, got object": lambda: setattr(plain(), "theta", [None] * 62),
    "theta: expected an array, got rows": lambda: setattr(plain(), "theta", [[1], [2, 3]]),
    "gradient: expected numbers of shape (62,), got shape (3,)": lambda: setattr(plain(), "gradient", np.zeros(3)),
    "unknown parameter 'weight_hh'; did you mean 'weight_hh_l0'": lambda: plain().layout["weight_hh"],
    "expected tokens of shape (T, B)": lambda: tokens().forward(X),
    "expected whole-number tokens, got float32": lambda: tokens().forward(X[:, :, 0]),
    "tokens 0..5 are outside 0..4": lambda: tokens().forward([[0, 5]]),
    "tokens -1..0 are outside 0..4": lambda: tokens().forward([[0, -1]]),
    "targets of shape [4, 3]: expected [4, 3, 2]": lambda: plain().loss_and_gradient(
        Sequences(X, np.zeros((T, B))), LOSSES[0]
    ),
    "weights of shape [4]: expected [4, 3]": lambda: plain().loss_and_gradient(
        Sequences(X, np.zeros((T, B, K)), np.ones(4)), LOSSES[0]
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_one_clear_line(message):
    with pytest.raises(RnnsimError) as error:
        WRONG[message]()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_refused_call_leaves_the_network_usable():
    net = plain()
    wanted = net.forward(X + 1).outputs
    with pytest.raises(RnnsimError):
        net.forward(BROKEN)
    assert np.array_equal(net.forward(X + 1).outputs, wanted)
    assert np.isfinite(net.forward(np.full((1, 1, I), 1e30)).outputs).all()


def test_options_of_a_network_are_its_own_and_its_cells():
    for name in CELLS:
        known = networks.options_of(name)
        assert {"hidden", "layers", "bidirectional", "embedding", "skip", "readout", "bias"} <= set(known)
        assert not {"n_inputs", "dtype", "rng", "cell", "tokens"} & set(known)
