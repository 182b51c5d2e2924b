"""The neural Turing machine beside the same one in PyTorch: loss and every gradient, by automatic differentiation."""

import numpy as np
import pytest
from cases import distance

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import Loss
from rnnsim.networks import build

torch = pytest.importorskip("torch")
F = torch.nn.functional

T, B, I, K = 6, 3, 4, 2
MACHINES = {
    f"{controller}-{name}": dict(controller=controller, **options)
    for controller in ("lstm", "feedforward")
    for name, options in {
        "one-head": {},
        "heads": dict(read_heads=3, write_heads=2, shift_range=2, norm_floor=1e-8),
        "read-first": dict(read_heads=2, write_heads=2, order="read-first", memory_start="learned"),
        "layers": dict(layers=2, clip_heads=0.6),
        "nothing-learned": dict(learned_initial_state=False, recompute=4),
    }.items()
}


def similarity(memory, key, floor):
    """Cosines of key (B, M) with the rows of memory (B, N, M)."""
    norms = torch.sqrt((memory**2).sum(-1) + floor**2) * torch.sqrt((key**2).sum(-1, keepdim=True) + floor**2)
    return torch.einsum("bnm,bm->bn", memory, key) / norms


def address(floor, memory, before, key, strength, gate, shift, gamma):
    w = torch.softmax(F.softplus(strength) * similarity(memory, torch.tanh(key), floor), dim=-1)
    w = torch.sigmoid(gate) * w + (1 - torch.sigmoid(gate)) * before
    s, reach = torch.softmax(shift, dim=-1), shift.shape[-1] // 2
    w = sum(s[:, [d + reach]] * torch.roll(w, d, dims=-1) for d in range(-reach, reach + 1))
    # 0 to the power of gamma has no gradient; ours takes the smallest normal number of float32.
    w = w.clamp(min=1.2e-38) ** (1 + F.softplus(gamma))
    return w / w.sum(-1, keepdim=True)


def outputs(options, p, x):
    """y (T, B, K) from parameters by name."""
    n, (rows, columns) = options["hidden"], options["memory"]
    readers, writers, layers = options["read_heads"], options["write_heads"], options["layers"]
    lstm, reach, floor = options["controller"] == "lstm", options["shift_range"], options["norm_floor"]
    zeros = torch.zeros(B, n, dtype=x.dtype)
    h, c = [zeros] * layers, [zeros] * layers
    memory = torch.full((B, rows, columns), 1e-6, dtype=x.dtype)
    reads = [torch.zeros(B, columns, dtype=x.dtype)] * readers
    weights = [torch.eye(1, rows, dtype=x.dtype).expand(B, rows)] * (readers + writers)
    if "memory0" in p:
        memory = p["memory0"].expand(B, rows, columns)
    if options["learned_initial_state"]:
        if lstm:
            h, c = ([p[f"{name}0_l{k}"].expand(B, n) for k in range(layers)] for name in "hc")
        reads = [row.expand(B, columns) for row in p["reads0"]]
        weights = [torch.softmax(row, dim=0).expand(B, rows) for row in p["weights0"]]
    found = []
    for t in range(len(x)):
        below = torch.cat([x[t], *reads], dim=-1)
        for k in range(layers):
            z = F.linear(below, p[f"weight_ih_l{k}"], p[f"bias_ih_l{k}"])
            if lstm:
                i, f, g, o = (z + F.linear(h[k], p[f"weight_hh_l{k}"])).chunk(4, dim=-1)
                c[k] = torch.sigmoid(f) * c[k] + torch.sigmoid(i) * torch.tanh(g)
                h[k] = torch.sigmoid(o) * torch.tanh(c[k])
            else:
                h[k] = torch.tanh(z)
            below = h[k]
        raw = F.linear(below, p["weight_heads"], p["bias_heads"]).clamp(-options["clip_heads"], options["clip_heads"])
        common = [columns, 1, 1, 2 * reach + 1, 1]
        parts = list(raw.split(common * readers + (common + [columns] * 2) * writers, dim=-1))
        read_parts = [parts[5 * k : 5 * k + 5] for k in range(readers)]
        write_parts = [parts[5 * readers + 7 * k : 5 * readers + 7 * k + 7] for k in range(writers)]
        written = [address(floor, memory, weights[readers + k], *part[:5]) for k, part in enumerate(write_parts)]
        new = memory
        for w, part in zip(written, write_parts):
            new = new * (1 - w[:, :, None] * torch.sigmoid(part[5])[:, None])
        for w, part in zip(written, write_parts):
            new = new + w[:, :, None] * torch.tanh(part[6])[:, None]
        seen = memory if options["order"] == "read-first" else new
        weights = [address(floor, seen, weights[k], *part) for k, part in enumerate(read_parts)] + written
        reads = [torch.einsum("bn,bnm->bm", w, seen) for w in weights[:readers]]
        memory = new
        found.append(F.linear(torch.cat([below, *reads], dim=-1), p["weight_out"], p["bias_out"]))
    return torch.stack(found)


@pytest.mark.parametrize("name", MACHINES)
def test_loss_and_every_gradient(name):
    net = build("ntm", I, K, dict(hidden=5, memory=(7, 3)) | MACHINES[name], "float64", seed=2)
    rng = np.random.default_rng(0)
    net.theta[...] = rng.normal(0, 0.7, net.n_parameters)
    lengths = np.array([T, 2, 5])
    batch = Sequences(rng.normal(size=(T, B, I)), rng.uniform(size=(T, B, K)), rng.uniform(size=(T, B)), lengths)
    parameters = {
        key: torch.from_numpy(values.copy()).requires_grad_() for key, values in net.layout.views(net.theta).items()
    }
    y = outputs(net.config["options"], parameters, torch.from_numpy(batch.inputs))
    each = F.binary_cross_entropy_with_logits(y, torch.from_numpy(batch.targets), reduction="none").sum(-1)
    counted = torch.from_numpy(batch.weights * (np.arange(T)[:, None] < lengths))
    wanted = (each * counted).sum() / B
    wanted.backward()
    found = net.loss_and_gradient(batch, Loss("bernoulli", per="sequence"))
    assert abs(found.loss - wanted.item()) <= 1e-10 * wanted.item()
    for key, gradient in net.layout.views(found.gradient).items():
        assert distance(gradient, parameters[key].grad.numpy()) <= 1e-10, key
