"""Every cell with every option: the naive twin, finite differences, RTRL over the linearised cell, equal bits."""

import typing
import zlib

import naive
import numpy as np
import pytest
from cases import differences, distance
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnsim.cells import CELLS
from rnnsim.core import products
from rnnsim.core.layout import Layout
from rnnsim.core.options import option_table, variants
from rnnsim.core.workspace import Workspace
from rnnsim.errors import RnnsimError

HIDDEN, INPUTS = 3, 2
TABLE = np.array([[1, 0, 1, -1, 1], [-1, 1, 0, 1, -1], [1, 1, 1, 1, 0]])  # connections of the fully recurrent network


OPTIONS = {name: variants(CELLS.load(name), ("n_inputs", "hidden", "dtype")) for name in CELLS}
OPTIONS["rnn"].append(dict(connections=TABLE))
CASES = [(name, options) for name in CELLS for options in OPTIONS[name]]


def title(case):
    name, options = case
    shown = {key: "table" if np.ndim(value) else value for key, value in options.items()}
    return "-".join([name, *(value if isinstance(value, str) else f"{key}={value}" for key, value in shown.items())])


every_case = pytest.mark.parametrize("case", CASES, ids=title)
# Units that see others at the same time step have no linearisation unit by unit.
AT_ONCE = [case for case in CASES if "outputs_last" not in case[1]]
every_linear_case = pytest.mark.parametrize("case", AT_ONCE, ids=title)


def test_units_that_are_computed_last_are_refused_by_online_rules():
    cell = Bound(("rnn", dict(outputs_last=1))).cell
    for ask in (cell.time_step_options, lambda: cell.linearise(np.zeros(INPUTS), np.zeros((1, HIDDEN)))):
        with pytest.raises(
            RnnsimError, match="outputs_last=1: expected 0, as rules that learn while the sequence runs"
        ):
            ask()


def test_every_value_of_every_option_appears():
    for name in CELLS:
        for option, (kind, default) in option_table(CELLS.load(name), ("n_inputs", "hidden", "dtype")).items():
            used = [options.get(option, default) for options in OPTIONS[name]]
            if typing.get_origin(kind) is typing.Literal:
                wanted = typing.get_args(kind)
            else:
                wanted = (False, True) if kind is bool else (default,)
            assert all(any(value is w or value == w for value in used if np.ndim(value) == 0) for w in wanted)
            assert any(np.ndim(value) or value != default for value in used), f"{name}: only the default of {option}"


class Bound:
    """A cell with parameters, and a batch for it."""

    def __init__(self, case, dtype=np.float64, steps=4, batch=3, hidden=HIDDEN, inputs=INPUTS, ragged=False, seed=0):
        self.name, self.options = case
        cls = CELLS.load(self.name)
        if "connections" in self.options:  # a table has a size
            hidden, inputs = HIDDEN, INPUTS
        self.cell = cls(inputs, hidden, np.dtype(dtype).name, **self.options)
        self.layout = Layout(self.cell.shapes())
        self.theta, self.gradient = (np.zeros(self.layout.size, dtype) for _ in range(2))
        self.weights, self.gradients = self.layout.views(self.theta), self.layout.views(self.gradient)
        self.cell.bind(self.weights, self.gradients, Workspace(dtype))
        rng = np.random.default_rng([seed, zlib.crc32(title(case).encode())])
        # Drawn as float64 and rounded, so that both types see nearly the same numbers.
        self.theta[...] = rng.normal(0, 0.7, self.layout.size)
        states = len(self.cell.state_names)
        self.x = rng.normal(size=(steps, batch, inputs)).astype(dtype)
        self.state = [rng.normal(0, 0.5, (batch, hidden)).astype(dtype) for _ in range(states)]
        self.dy = rng.normal(size=(steps, batch, hidden)).astype(dtype)
        self.d_final = [rng.normal(size=(batch, hidden)).astype(dtype) for _ in range(states)]
        self.lengths = np.zeros(0, np.int64)
        if ragged:
            self.lengths = rng.integers(0, steps + 1, batch)
            self.lengths[0], self.lengths[-1] = steps, rng.integers(0, steps)
        self.alive = np.ones((steps, batch, 1))
        if ragged:
            self.alive = (np.arange(steps)[:, None] < self.lengths)[:, :, None]

    def forward(self, reverse=False, rows=slice(None)):
        """Outputs and final states of some rows of the batch, copied."""
        lengths = self.lengths[rows] if self.lengths.size else self.lengths
        x = np.ascontiguousarray(self.x[:, rows])
        outputs = self.cell.forward(x, [part[rows] for part in self.state], lengths, reverse)
        return outputs.copy(), [part.copy() for part in self.cell.final_state()]

    def backward(self, rows=slice(None)):
        """Gradients of the parameters, the inputs and the initial states of the last pass."""
        self.gradient[...] = 0
        d_state = [part[rows].copy() for part in self.d_final]
        dx = np.full(self.x[:, rows].shape, np.nan, self.x.dtype)
        self.cell.backward(np.ascontiguousarray(self.dy[:, rows]), d_state, dx)
        return self.gradient.copy(), dx, d_state

    def twin(self, reverse=False):
        lengths = self.lengths if self.lengths.size else None
        return naive.layer(self.name, self.weights, self.x, self.state, lengths, reverse, **self.options)

    def loss(self, reverse=False):
        """What `backward` gives the gradient of: outputs weighed by dy while a sequence lasts, final states by d_final."""
        outputs, final = self.forward(reverse)
        return (outputs * self.alive * self.dy).sum() + sum((a * b).sum() for a, b in zip(final, self.d_final))


def check_forward(bound, reverse, tolerance):
    outputs, final = bound.forward(reverse)
    expected, expected_final, traces = bound.twin(reverse)
    assert distance(outputs, expected) <= tolerance
    for found, wanted in zip(final, expected_final):
        assert distance(found, wanted) <= tolerance
    recorded = bound.cell.traces()
    assert set(recorded) == set(bound.cell.trace_names) and len(recorded) == len(bound.cell.trace_names)
    assert set(recorded) == set(traces) or not traces
    for name, wanted in traces.items():
        there = ~np.isnan(wanted)
        assert distance(recorded[name][there], wanted[there]) <= tolerance, name


@pytest.mark.parametrize("ragged", (False, True))
@every_case
def test_forward_is_the_twin(case, ragged):
    for reverse in (False, True):
        check_forward(Bound(case, np.float64, 5, 4, 5, 3, ragged), reverse, 1e-12)
        check_forward(Bound(case, np.float32, 5, 4, 5, 3, ragged), reverse, 1e-5)


@pytest.mark.parametrize("reverse", (False, True))
@every_case
def test_backward_is_finite_differences(case, reverse):
    bound = Bound(case, ragged=True)
    bound.forward(reverse)
    gradient, dx, d_state = bound.backward()

    def loss():
        return bound.loss(reverse)

    wanted = differences(loss, bound.theta)
    assert distance(gradient, wanted) <= 1e-6
    for name in bound.weights:
        place = bound.layout[name]
        part = slice(place.offset, place.offset + place.size)
        assert distance(gradient[part], wanted[part]) <= 1e-6, name
    assert distance(dx, differences(loss, bound.x)) <= 1e-6
    assert not dx[~np.broadcast_to(bound.alive > 0, dx.shape)].any()
    for found, first in zip(d_state, bound.state):
        assert distance(found, differences(loss, first)) <= 1e-6


@every_case
def test_float32_gradient_is_the_float64_one(case):
    for reverse in (False, True):
        found = []
        for dtype in (np.float32, np.float64):
            bound = Bound(case, dtype, 6, 5, 7, 4, ragged=True)
            bound.forward(reverse)
            found.append(bound.backward())
        (gradient, dx, d_state), (wanted, dx_wanted, d_state_wanted) = found
        assert distance(gradient, wanted) <= 3e-5
        assert distance(dx, dx_wanted) <= 3e-5
        assert distance(d_state, d_state_wanted) <= 3e-5


@pytest.mark.parametrize("name", CELLS)
def test_parts_that_may_be_absent(name):
    """Without gradient of the outputs, and without wish for that of the inputs; and gradients accumulate."""
    bound = Bound((name, {}), ragged=True)
    bound.dy[...] = 0
    bound.forward()
    gradient, _, d_state = bound.backward()
    bound.forward()
    first = [part.copy() for part in bound.d_final]
    bound.gradient[...] = 7
    bound.cell.backward(None, first, None)
    assert distance(bound.gradient - 7, gradient) <= 1e-12
    assert distance(first, d_state) == 0


@pytest.mark.parametrize("name", CELLS)
def test_state_after(name):
    bound = Bound((name, {}))
    bound.forward()
    states = [[part.copy() for part in bound.cell.state_after(count)] for count in range(5)]
    assert np.array_equal(states[0], bound.state)
    for count in range(1, 5):
        _, final = bound_pass(bound, bound.x[:count])
        assert np.array_equal(final, states[count])


def bound_pass(bound, x):
    outputs = bound.cell.forward(np.ascontiguousarray(x), bound.state, bound.lengths, False)
    return outputs, bound.cell.final_state()


def influence_after(bound, step, influence):
    """RTRL: the influence (k, H, parameters) of the parameters on the state after a time step, from that before it."""
    cell, n = bound.cell, bound.cell.hidden
    size = bound.layout.size
    units = np.arange(n)

    def columns(name, rows):
        """Places in theta of rows of a parameter."""
        entry = bound.layout[name]
        return entry.offset + np.arange(entry.size).reshape(entry.shape)[rows]

    out, x = step
    d_groups = []
    for g, group in enumerate(cell.groups):
        change = np.zeros((n, size))
        if group.weight_hh is not None:
            rows = slice(group.weight_hh * n, (group.weight_hh + 1) * n)
            d_recurrent_input = np.einsum("qj,qjp->jp", out.recurrent_input_direct[g], influence)
            for e in range(g):
                d_recurrent_input += out.recurrent_input_gain[g, e][:, None] * d_groups[e]
            change += bound.weights["weight_hh"][rows] @ d_recurrent_input
            change[units[:, None], columns("weight_hh", rows)] += out.recurrent_input[g]
        if group.weight_ih is not None:
            rows = slice(group.weight_ih * n, (group.weight_ih + 1) * n)
            change[units[:, None], columns("weight_ih", rows)] += x
        for name, block in group.biases:
            change[units, columns(name, slice(block * n, (block + 1) * n))] += 1
        for row, owner in enumerate(cell.peephole_groups):
            if owner == g:
                change[units, columns("weight_peephole", row)] += out.peephole_input[row]
        d_groups.append(change)
    direct = np.einsum("pqj,qjt->pjt", out.direct, influence)
    return direct + np.einsum("pgj,gjt->pjt", out.gain, np.array(d_groups))


@every_linear_case
def test_rtrl_over_the_linearised_cell_is_bptt(case):
    bound = Bound(case, batch=1, steps=5)
    outputs, _ = bound.forward()
    wanted, _, _ = bound.backward()
    state = np.stack([part[0] for part in bound.state])
    influence = np.zeros((*state.shape, bound.layout.size))
    found = np.zeros(bound.layout.size)
    delayed = bound.options.get("input_delay", False)
    for t in range(5):
        x = bound.x[t, 0]
        out = bound.cell.linearise(x, state)
        # With the input delay the output of time step t is the state before it.
        found += delayed * (bound.dy[t, 0] @ influence[0])
        influence = influence_after(bound, (out, x), influence)
        found += (not delayed) * (bound.dy[t, 0] @ influence[0])
        state = out.state
        if not delayed:
            assert distance(state[0], outputs[t, 0]) <= 1e-13
    found += np.einsum("kj,kjp->p", np.stack([part[0] for part in bound.d_final]), influence)
    assert distance(found, wanted) <= 1e-10


@every_linear_case
def test_linearised_state_is_one_step(case):
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        bound = Bound(case, dtype, batch=1, steps=1, hidden=6, inputs=4)
        _, final = bound.forward()
        out = bound.cell.linearise(bound.x[0, 0], np.stack([part[0] for part in bound.state]))
        assert distance(out.state, [part[0] for part in final]) <= tolerance
        assert out.state.dtype == dtype and out.gain.shape == (len(final), len(bound.cell.groups), bound.cell.hidden)


def bits(*parts):
    return [np.asarray(part).tobytes() for part in parts]


# With a second thread at work every floating type compiles its own driver; the bits are those of the same kernels.
BITS = [(name, {}) for name in CELLS] + [("gru", dict(reset="before")), ("rnn", dict(input_delay=True, leak=0.5))]


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", BITS, ids=title)
def test_bits_do_not_depend_on_chunks(case, dtype, monkeypatch):
    monkeypatch.setattr(products, "PARALLEL_WORK", 1)
    for reverse in (False, True):
        found = []
        for chunks in (1, 2, 3, 7):
            monkeypatch.setattr(products, "get_threads", lambda chunks=chunks: chunks)
            bound = Bound(case, dtype, 6, 7, 19, 5, ragged=True)
            outputs, final = bound.forward(reverse)
            gradient, dx, d_state = bound.backward()
            found.append(bits(outputs, final, gradient, dx, d_state))
        assert all(other == found[0] for other in found[1:])


@every_case
def test_bits_of_a_row_do_not_depend_on_the_others_or_the_past(case):
    """A row alone, in buffers full of NaN, gives the bits that it gives among others."""
    for reverse in (False, True):
        bound = Bound(case, np.float64, 5, 6, 11, 3, ragged=True)
        outputs, final = bound.forward(reverse)
        traces = {name: trace.copy() for name, trace in bound.cell.traces().items()}
        _, dx, d_state = bound.backward()
        for b in range(6):
            for buffer in [*bound.cell.space._buffers.values(), *bound.cell.scratch._buffers.values()]:
                buffer[...] = np.nan
            row = slice(b, b + 1)
            outputs_b, final_b = bound.forward(reverse, row)
            for name, trace in bound.cell.traces().items():
                end = bound.lengths[b]
                assert bits(trace[:end]) == bits(traces[name][:end, row]), name
            gradient, dx_b, d_state_b = bound.backward(row)
            assert bits(outputs_b, dx_b) == bits(outputs[:, row], dx[:, row])
            assert bits(*final_b, *d_state_b) == bits(*(part[row] for part in final + d_state))
            assert np.isfinite(gradient).all()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.sampled_from(CASES), st.integers(1, 6), st.integers(1, 5), st.integers(1, 9), st.integers(1, 5),
    st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_shapes(case, steps, batch, hidden, inputs, ragged, reverse, seed):
    bound = Bound(case, np.float64, steps, batch, hidden, inputs, ragged, seed)
    check_forward(bound, reverse, 1e-12)
    gradient, dx, d_state = bound.backward()
    # The derivative along one direction in everything that is differentiated.
    rng = np.random.default_rng(seed)
    arrays = [bound.theta, bound.x, *bound.state]
    moves = [rng.normal(size=array.shape) for array in arrays]
    kept = [array.copy() for array in arrays]
    amount = np.zeros(1)

    def along():
        for array, start, move in zip(arrays, kept, moves):
            array[...] = start + amount[0] * move
        return bound.loss(reverse)

    slope = differences(along, amount, 1e-5)[0]
    products_ = [(a * b).sum() for a, b in zip([gradient, dx, *d_state], moves)]
    assert abs(sum(products_) - slope) <= 1e-6 * max(1, np.abs(products_).sum())


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", [(name, {}) for name in CELLS] + [("rnn", c) for c in OPTIONS["rnn"][::4]], ids=title)
def test_nan_stays_nan_in_its_row(case, dtype):
    bound = Bound(case, dtype, hidden=19)
    bound.x[1, 1] = np.nan
    outputs, final = bound.forward()
    broken = np.isnan(outputs)
    delay = bound.options.get("input_delay", False)
    assert broken[1 + delay :, 1].all() and not broken[: 1 + delay].any() and not broken[:, ::2].any()
    assert all(np.isnan(part[1]).all() and np.isfinite(part[::2]).all() for part in final)


@pytest.mark.parametrize("case", [(name, {}) for name in CELLS], ids=title)
def test_extreme_inputs_saturate(case):
    for dtype in (np.float32, np.float64):
        bound = Bound(case, dtype)
        bound.x *= 1e30
        outputs, _ = bound.forward()
        assert np.isfinite(outputs).all()
        assert all(np.isfinite(part).all() for part in bound.backward()[0:1])


WRONG = {
    "inputs=0": ("rnn", dict(n_inputs=0)),
    "hidden=0": ("lstm", dict(hidden=0)),
    "hidden=-3": ("gru", dict(hidden=-3)),
    "dtype=float16": ("gru", dict(dtype="float16")),
    "dtype=flot": ("gru", dict(dtype="flot")),
    "leak=0": ("rnn", dict(leak=0.0)),
    "leak=1.5": ("rnn", dict(leak=1.5)),
    "leak=0.5: expected 1 with outputs_last=1": ("rnn", dict(leak=0.5, outputs_last=1)),
    "outputs_last=3: expected a number from 0 to 2": ("rnn", dict(outputs_last=3)),
    "bias=none: the table of connections has a column of biases": ("rnn", dict(connections="guess-a2", bias="none")),
    "hidden=1: connections=guess-a1 needs the output unit": ("rnn", dict(connections="guess-a1", hidden=1)),
    "density=-0.1": ("rnn", dict(density=-0.1)),
    "connections: expected a table of shape (3, 5), got (3, 3)": ("rnn", dict(connections=np.ones((3, 3)))),
    "connections: expected 1": ("rnn", dict(connections=np.full((3, 5), 2))),
    "connections: cannot read nowhere.npy": ("rnn", dict(connections="nowhere.npy")),
    "connection_seed=-1": ("rnn", dict(connection_seed=-1, density=0.5)),
    "forget_bias=inf: expected a finite number": ("lstm", dict(forget_bias=np.inf)),
    "activation=tanhh: expected one of tanh, logistic": ("rnn", dict(activation="tanhh")),
    "gates=ful: expected one of full, no-forget, coupled": ("lstm", dict(gates="ful")),
    "bias=two: expected one of single, double, none": ("lstm", dict(bias="two")),
    "variant=gru4: expected one of gru0, gru1": ("gru", dict(variant="gru4")),
    "reset=afterwards: expected one of after, before": ("gru", dict(reset="afterwards")),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_options_are_one_clear_line(message):
    name, options = WRONG[message]
    with pytest.raises(RnnsimError) as error:
        CELLS.load(name)(**dict(n_inputs=INPUTS, hidden=HIDDEN) | options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_unknown_option_names_the_nearest():
    with pytest.raises(RnnsimError, match="unknown option of cell 'gru' 'variannt'; did you mean 'variant'"):
        CELLS.build("gru", {"variannt": "gru1"}, n_inputs=2, hidden=3)


def test_the_influence_on_the_element_wise_lstm_stays_in_the_unit():
    """Exact RTRL with one number a parameter (Irie et al. 2023): of c, carried on by the diagonal; W_o acts at once."""
    bound = Bound(("elstm", {}), steps=5, batch=1, hidden=4)
    bound.d_final = [np.zeros_like(part) for part in bound.d_final]
    bound.forward()
    wanted, _, _ = bound.backward()
    n, w = 4, bound.weights
    gradient = {name: np.zeros_like(array) for name, array in w.items()}
    carried = {name: np.zeros_like(array) for name, array in gradient.items()}
    state = np.stack([part[0] for part in bound.state])
    for x, dy in zip(bound.x[:, 0], bound.dy[:, 0]):
        out = bound.cell.linearise(x, state)
        slopes, sources = out.gain[1, :2].reshape(-1), {"weight_ih": x, "bias_ih": np.ones(1)}
        keep = np.tile(out.direct[1, 1], 2)
        for name, source in sources.items():
            part = carried[name].reshape(3 * n, -1)[: 2 * n]
            part[...] = keep[:, None] * part + slopes[:, None] * source
        own = carried["weight_peephole"].reshape(-1)
        own[...] = keep * own + slopes * np.tile(state[1], 2)
        # Through the output gate the error goes back within the time step.
        d_o = dy * out.gain[0, 2]
        o = out.state[0] / out.state[1]
        d_c = np.tile(dy * o + d_o @ w["weight_hh"], 2)
        for name, source in sources.items():
            rows = gradient[name].reshape(3 * n, -1)
            rows[: 2 * n] += d_c[:, None] * carried[name].reshape(3 * n, -1)[: 2 * n]
            rows[2 * n :] += d_o[:, None] * source
        gradient["weight_peephole"] += (d_c * own).reshape(2, n)
        gradient["weight_hh"] += np.outer(d_o, out.state[1])
        state = out.state
    found = np.concatenate([gradient[name].ravel() for name, _ in bound.cell.shapes()])
    assert distance(found, wanted) <= 1e-12
