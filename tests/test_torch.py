"""Cells and stacks beside PyTorch: parameters go over one to one by name; outputs, states and gradients must agree."""

import numpy as np
import pytest
from cases import distance

import rnnsim as rs
from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss

torch = pytest.importorskip("torch")
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402

T, B, I, H, K = 7, 4, 3, 5, 2
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
# Our cell and its options: PyTorch's module and its arguments.
PEERS = {
    "lstm": ("lstm", {}, torch.nn.LSTM, {}),
    "gru": ("gru", dict(reset="after"), torch.nn.GRU, {}),
    "tanh": ("rnn", dict(activation="tanh"), torch.nn.RNN, dict(nonlinearity="tanh")),
    "relu": ("rnn", dict(activation="rectifier"), torch.nn.RNN, dict(nonlinearity="relu")),
}

every_peer = pytest.mark.parametrize("peer", PEERS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
directions = pytest.mark.parametrize("bidirectional", (False, True), ids=("forward", "both-ways"))


class Both:
    """A network of ours and its peer with the same parameters; the peer has a linear readout and perhaps an embedding."""

    def __init__(self, peer, dtype, layers=1, bidirectional=False, bias=True, embedding=0, **structure):
        cell, options, module, arguments = PEERS[peer]
        self.lstm, self.dtype, self.number = cell == "lstm", dtype, getattr(torch, dtype)
        options = options | dict(bias="double" if bias else "none", layers=layers, bidirectional=bidirectional)
        tokens = dict(tokens=True, embedding=embedding) if embedding else {}
        self.inputs = 9 if embedding else I
        self.ours = rs.Recurrent(cell, self.inputs, K, hidden=H, dtype=dtype, rng=3, **options, **tokens, **structure)
        arguments = arguments | dict(num_layers=layers, bidirectional=bidirectional, bias=bias, dtype=self.number)
        self.layer = module(embedding or I, H, **arguments)
        self.readout = torch.nn.Linear(H * (1 + bidirectional), K, dtype=self.number)
        self.table = torch.nn.Embedding(self.inputs, embedding, dtype=self.number) if embedding else None
        # Their parameters by our names.
        self.theirs = dict(self.layer.named_parameters())
        self.theirs |= {"weight_out": self.readout.weight, "bias_out": self.readout.bias}
        self.theirs |= {"weight_embedding": self.table.weight} if embedding else {}
        for name in [entry.name for entry in self.ours.layout if entry.name[1:].startswith("0_")]:
            self.theirs[name] = torch.nn.Parameter(torch.empty(H, dtype=self.number))
        rng = np.random.default_rng(0)
        self.ours.theta[...] = rng.uniform(-0.7, 0.7, self.ours.n_parameters)
        assert {entry.name for entry in self.ours.layout} == set(self.theirs)
        with torch.no_grad():
            for name, values in self.ours.layout.views(self.ours.theta).items():
                assert tuple(self.theirs[name].shape) == values.shape, name
                self.theirs[name].copy_(torch.from_numpy(values))

    def batch(self, loss, lengths=None):
        rng = np.random.default_rng(1)
        if self.table is not None:
            inputs = rng.integers(0, self.inputs, (T, B)).astype(np.int32)
        else:
            inputs = rng.normal(size=(T, B, self.inputs)).astype(self.dtype)
        shape = (T, B, K) if loss.when == "every" else (B, K)
        targets = rng.normal(size=shape).astype(self.dtype)
        return Sequences(inputs, targets, rng.uniform(size=shape[:-1]).astype(self.dtype), lengths)

    def given_state(self):
        rng = np.random.default_rng(2)
        return [rng.normal(size=part.shape).astype(self.dtype) for part in self.ours.initial_state(B)]

    def unroll(self, batch, loss, state=None):
        """PyTorch's outputs and final states, as ours are laid out, and the loss as a tensor."""
        x = torch.from_numpy(batch.inputs)
        x = self.table(x) if self.table is not None else x
        if state is not None:
            first = torch.from_numpy(np.stack(state, axis=1))  # (k, layers and directions, B, H)
        elif self.ours.learned_initial_state:
            suffixes = list(self.ours.cells)
            rows = [[self.theirs[f"{k}0{suffix}"].expand(B, H) for suffix in suffixes] for k in "hc"[: 1 + self.lstm]]
            first = torch.stack([torch.stack(row) for row in rows])
        else:
            first = None
        if first is not None:
            first = tuple(part.contiguous() for part in first) if self.lstm else first[0].contiguous()
        if batch.lengths is not None:
            x = pack_padded_sequence(x, torch.from_numpy(batch.lengths), enforce_sorted=False)
        y, final = self.layer(x, first)
        if batch.lengths is not None:
            y, _ = pad_packed_sequence(y, total_length=T)
        final = torch.stack(final if self.lstm else (final,))
        features = y
        if loss.when == "last":
            features = torch.cat(list(final[0, -self.ours.directions :]), dim=-1)
        outputs = self.readout(features)
        counted = torch.from_numpy(batch.weights)
        if batch.lengths is not None and loss.when == "every":
            counted = counted * (torch.arange(T)[:, None] < torch.from_numpy(batch.lengths))
        value = (counted[..., None] * (outputs - torch.from_numpy(batch.targets)) ** 2).sum() / B
        return outputs, final, value


def check(both, lengths=None, state=None):
    tolerance = TOLERANCE[both.dtype]
    for loss in (Loss("squared_error", "every", "sequence"), Loss("squared_error", "last", "sequence")):
        batch = both.batch(loss, lengths)
        outputs, final, value = both.unroll(batch, loss, state)
        for parameter in both.theirs.values():
            parameter.grad = None
        value.backward()
        found = both.ours.loss_and_gradient(batch, loss, state)
        wanted = value.item()
        assert abs(found.loss - wanted) <= tolerance * max(1, wanted)
        if loss.when == "every":
            seen = both.ours.forward(batch.inputs, batch.lengths, state).outputs
            alive = np.ones((T, B), bool) if lengths is None else np.arange(T)[:, None] < lengths
            assert distance(seen[alive], outputs.detach().numpy()[alive]) <= tolerance
        else:
            assert distance(found.outputs, outputs.detach().numpy()) <= tolerance
        assert distance(np.stack(found.state, axis=1), final.detach().numpy()) <= tolerance
        for name, gradient in both.ours.layout.views(found.gradient).items():
            assert distance(gradient, both.theirs[name].grad.numpy()) <= tolerance, name


@pytest.mark.parametrize("layers", (1, 2))
@directions
@every_dtype
@every_peer
def test_stacks(peer, dtype, bidirectional, layers):
    both = Both(peer, dtype, layers, bidirectional)
    check(both)
    check(both, state=both.given_state())


@directions
@every_dtype
@every_peer
def test_ragged_lengths_are_packed_sequences(peer, dtype, bidirectional):
    both = Both(peer, dtype, 2, bidirectional)
    check(both, np.array([T, 2, 5, 1]))
    check(both, np.array([3, T, T, 4]), both.given_state())


@every_peer
def test_without_bias(peer):
    check(Both(peer, "float64", 2, bias=False))


@directions
@every_peer
def test_embedding(peer, bidirectional):
    check(Both(peer, "float64", 1, bidirectional, embedding=4), np.array([T, 2, 5, 1]))


@directions
@every_peer
def test_learned_initial_state(peer, bidirectional):
    check(Both(peer, "float64", 2, bidirectional, learned_initial_state=True), np.array([T, 2, 5, 1]))


LOSSES = {
    "bernoulli": lambda y, d: torch.nn.functional.binary_cross_entropy_with_logits(y, d, reduction="none").sum(-1),
    "softmax": lambda y, d: torch.nn.functional.cross_entropy(y.movedim(-1, 1), d, reduction="none"),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", LOSSES)
def test_cross_entropies(kind, dtype):
    """The losses themselves, also for outputs far on the wrong side."""
    rng = np.random.default_rng(4)
    outputs = (rng.normal(size=(T, B, 3)) * 20).astype(dtype)
    targets = rng.integers(0, 3, (T, B)) if kind == "softmax" else rng.uniform(size=outputs.shape).astype(dtype)
    y = torch.from_numpy(outputs.copy()).requires_grad_()
    value = LOSSES[kind](y, torch.from_numpy(targets)).mean()
    value.backward()
    gradient = np.empty_like(outputs)
    found = Loss(kind).evaluate(outputs, targets, gradient=gradient)
    assert abs(found - value.item()) <= TOLERANCE[dtype] * value.item()
    assert distance(gradient, y.grad.numpy()) <= TOLERANCE[dtype]
