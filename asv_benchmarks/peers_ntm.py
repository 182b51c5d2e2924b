"""A training step of the neural Turing machine in rnnsim, PyTorch and JAX, for `asv_benchmarks.peers`.

The work: the copy task at its full length, 9 inputs, 8 outputs, 20 vectors, 41 time steps; a controller of 100 units, an LSTM or
tanh units, a memory of 128 x 20, one read and one write head; forward, backward and one update of the RMSProp of Graves
2013; in microseconds per sequence and time step. All machines have the same equations, parameters and batch. JAX runs a scan,
with gradient and update in one jitted function whose arrays are donated. PyTorch loops over time steps, with a module for every
head, as is common; its heads treat a whole batch at once, which not all published code does.
"""

import numpy as np

CASES = ((1, 41, 9, 100, 128, 20), (16, 41, 9, 100, 128, 20))
TITLE, UNIT = "(B, T, in, H, N, M)", "microseconds per sequence and time step"
OUTPUTS, SHIFTS, FLOOR, CLIP_HEADS = 8, 3, 0.01, 20.0
RATE, DECAY, MOMENTUM, EPSILON, CLIP = 1e-4, 0.95, 0.9, 1e-4, 10.0


def figure(case, milliseconds):
    """What the table shows of the time of a step."""
    batch, steps = case[:2]
    return 1e3 * milliseconds / (batch * steps)


def problem(name, case):
    """Parameters by name as rnnsim lays them out, inputs, targets and weights of a batch; always the same."""
    batch, steps, inputs, hidden, rows, columns = case
    rng = np.random.default_rng(7)
    lstm = name == "ntm-lstm"
    gates, read = 4 * hidden if lstm else hidden, columns + 3 + SHIFTS
    shapes = {"weight_ih_l0": (gates, inputs + columns), "bias_ih_l0": (gates,)}
    shapes |= {"weight_hh_l0": (gates, hidden)} if lstm else {}
    shapes |= {"weight_heads": (2 * read + 2 * columns, hidden), "bias_heads": (2 * read + 2 * columns,)}
    shapes |= {"weight_out": (OUTPUTS, hidden + columns), "bias_out": (OUTPUTS,)}
    shapes |= {"h0_l0": (hidden,), "c0_l0": (hidden,)} if lstm else {}
    shapes |= {"reads0": (1, columns), "weights0": (2, rows)}
    p = {key: rng.uniform(-(hidden**-0.5), hidden**-0.5, shape).astype(np.float32) for key, shape in shapes.items()}
    p["weights0"][:, 0] += 10
    length = (steps - 1) // 2
    bits = rng.integers(0, 2, (length, batch, OUTPUTS))
    x, targets = np.zeros((steps, batch, inputs), np.float32), np.zeros((steps, batch, OUTPUTS), np.float32)
    x[:length, :, :OUTPUTS], x[length, :, OUTPUTS] = bits, 1
    targets[length + 1 : 2 * length + 1] = bits
    counted = np.zeros((steps, batch), np.float32)
    counted[length + 1 :] = 1
    return p, x, targets, counted


def found(loss, gradients, before, after):
    """What must agree: (loss, {gradients and changes by name})."""
    changes = {f"change of {name}": after[name] - before[name] for name in before}
    return loss, {name: np.array(value) for name, value in gradients.items()} | changes


def rnnsim_step(name, case):
    """(step, gradients) of rnnsim."""
    from rnnsim.core.losses import Loss
    from rnnsim.networks import build
    from rnnsim.optimizers import RMSPropGraves
    from rnnsim.tasks import Sequences

    p, x, targets, counted = problem(name, case)
    *_, hidden, rows, columns = case
    options = dict(controller=name.removeprefix("ntm-"), hidden=hidden, memory=(rows, columns))
    options |= dict(shift_range=SHIFTS // 2, clip_heads=CLIP_HEADS, norm_floor=FLOOR)
    net = build("ntm", x.shape[2], OUTPUTS, options)
    views = net.layout.views(net.theta)
    assert set(views) == set(p)
    for key, value in p.items():
        views[key][...] = value
    batch, loss = Sequences(x, targets, counted), Loss("bernoulli", "every", "sequence", "bits")
    optimizer = RMSPropGraves(RATE, decay=DECAY, momentum=MOMENTUM, epsilon=EPSILON, clip=CLIP)
    state = optimizer.init(net.theta)

    def step():
        result = net.loss_and_gradient(batch, loss)
        optimizer.step(net.theta, result.gradient, state, 0)
        return result.loss

    def gradients():
        value = step()
        return found(value, net.layout.views(net.gradient), p, views)

    return step, gradients


def jax_step(name, case):
    """(step, gradients) of a jitted scan with value_and_grad and the update.

    Products that do not depend on the last time step are one product before or after the scan; the memory is (B, M, N), and its
    norms are carried from the read to the next write.
    """
    from functools import partial

    import jax
    import jax.numpy as jnp

    start, *data = problem(name, case)
    batch, _, _, hidden, rows, columns = case
    x, targets, counted = map(jnp.asarray, data)
    common = columns + 3 + SHIFTS
    nn = jax.nn

    def address(similarity, before, raw):
        w = nn.softmax(nn.softplus(raw[:, columns, None]) * similarity)
        gate = nn.sigmoid(raw[:, columns + 1, None])
        w = gate * w + (1 - gate) * before
        s = nn.softmax(raw[:, columns + 2 : columns + 2 + SHIFTS])
        w = sum(s[:, d, None] * jnp.roll(w, d - SHIFTS // 2, axis=1) for d in range(SHIFTS))
        gamma = 1 + nn.softplus(raw[:, columns + 2 + SHIFTS, None])
        return nn.softmax(gamma * jnp.log(jnp.maximum(w, 1.2e-38)))

    def unit(x):
        return x / jnp.sqrt((x * x).sum(-1, keepdims=True) + FLOOR**2)

    def norms_of(memory):
        return jnp.sqrt((memory * memory).sum(1) + FLOOR**2)

    def cosines(memory, norms, raw):
        return jnp.einsum("bmn,bm->bn", memory, unit(jnp.tanh(raw[:, :columns]))) / norms

    def time_step(p, state, z):
        h, c, reads, weights, memory, norms = state
        seen = jnp.concatenate([reads, h], axis=1) if name == "ntm-lstm" else reads
        z += seen @ p["below"]
        if name == "ntm-lstm":
            i, f, g, o = jnp.split(z, 4, axis=1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(c)
        else:
            h = jnp.tanh(z)
        raw = jnp.clip(h @ p["weight_heads"].T + p["bias_heads"], -CLIP_HEADS, CLIP_HEADS)
        read, write = raw[:, :common], raw[:, common:]
        w = address(cosines(memory, norms, write), weights[1], write)
        erase, add = nn.sigmoid(write[:, common : common + columns]), jnp.tanh(write[:, common + columns :])
        memory = memory * (1 - w[:, None] * erase[:, :, None]) + w[:, None] * add[:, :, None]
        norms = norms_of(memory)
        r = address(cosines(memory, norms, read), weights[0], read)
        reads = jnp.einsum("bn,bmn->bm", r, memory)
        return (h, c, reads, (r, w), memory, norms), (h, reads)

    def loss(p, x, targets, counted):
        def over(row):
            return jnp.broadcast_to(row, (batch, row.size))

        zeros = jnp.zeros(hidden)
        r, w = nn.softmax(p["weights0"])
        state = (over(p.get("h0_l0", zeros)), over(p.get("c0_l0", zeros)), over(p["reads0"][0]), (over(r), over(w)))
        memory = jnp.full((batch, columns, rows), 1e-6)
        state += (memory, norms_of(memory))
        inputs = x.shape[2]
        z = x @ p["weight_ih_l0"][:, :inputs].T + p["bias_ih_l0"]
        below = p["weight_ih_l0"][:, inputs:].T
        if name == "ntm-lstm":
            below = jnp.concatenate([below, p["weight_hh_l0"].T])
        _, (h, reads) = jax.lax.scan(partial(time_step, p | {"below": below}), state, z)
        y = jnp.concatenate([h, reads], axis=2) @ p["weight_out"].T + p["bias_out"]
        nats = jnp.maximum(y, 0) - y * targets + jnp.log1p(jnp.exp(-jnp.abs(y)))
        return (nats * counted[..., None]).sum() / batch / np.log(2)

    def updated(p, n, m, d, g):
        g = jnp.clip(g, -CLIP, CLIP)
        n, m = DECAY * n + (1 - DECAY) * g * g, DECAY * m + (1 - DECAY) * g
        d = MOMENTUM * d - RATE * g / jnp.sqrt(jnp.maximum(n - m * m, 0) + EPSILON)
        return p + d, n, m, d

    both = jax.value_and_grad(loss)

    @partial(jax.jit, donate_argnums=0)
    def train(carried, *data):
        value, grads = both(carried[0], *data)
        new = {key: updated(*(part[key] for part in carried), grads[key]) for key in grads}
        return tuple({key: parts[k] for key, parts in new.items()} for k in range(4)), value

    zeros = [{key: jnp.zeros_like(value) for key, value in start.items()} for _ in range(3)]
    carried = ({key: jnp.array(value) for key, value in start.items()}, *zeros)

    def step():
        nonlocal carried
        carried, value = jax.block_until_ready(train(carried, x, targets, counted))
        return value

    def gradients():
        _, grads = jax.jit(both)(carried[0], x, targets, counted)
        value = float(step())
        return found(value, grads, start, {key: np.asarray(part) for key, part in carried[0].items()})

    return step, gradients


def torch_step(name, case, threads=None):
    """(step, gradients) of modules that run time step by time step, with automatic differentiation."""
    import torch
    from torch import nn

    if threads:
        torch.set_num_threads(threads)
    start, *data = problem(name, case)
    batch, _, inputs, hidden, rows, columns = case
    x, targets, counted = map(torch.from_numpy, data)
    common = columns + 3 + SHIFTS

    def softplus(x):
        return nn.functional.softplus(x, threshold=40)

    class Head(nn.Module):
        """Finds its place in the memory; a write head also changes the memory."""

        def __init__(self, write):
            super().__init__()
            self.sizes = [columns, 1, 1, SHIFTS, 1] + ([columns, columns] if write else [])
            self.emit = nn.Linear(hidden, sum(self.sizes))

        def address(self, parts, before, memory):
            key, strength, gate, shift, gamma = parts
            key = torch.tanh(key)
            norms = torch.sqrt((memory**2).sum(-1) + FLOOR**2) * torch.sqrt((key**2).sum(-1, keepdim=True) + FLOOR**2)
            cosine = (memory @ key[:, :, None])[:, :, 0] / norms
            w = torch.softmax(softplus(strength) * cosine, dim=1)
            gate, s = torch.sigmoid(gate), torch.softmax(shift, dim=1)
            w = gate * w + (1 - gate) * before
            w = sum(s[:, d, None] * torch.roll(w, d - SHIFTS // 2, dims=1) for d in range(SHIFTS))
            return torch.softmax((1 + softplus(gamma)) * torch.log(w.clamp(min=1.2e-38)), dim=1)

        def forward(self, h, before, memory):
            parts = self.emit(h).clamp(-CLIP_HEADS, CLIP_HEADS).split(self.sizes, dim=1)
            w = self.address(parts[:5], before, memory)
            if len(parts) == 5:
                return w, (w[:, None] @ memory)[:, 0]
            erase, add = torch.sigmoid(parts[5]), torch.tanh(parts[6])
            return w, memory * (1 - w[:, :, None] * erase[:, None]) + w[:, :, None] * add[:, None]

    class Machine(nn.Module):
        """Controller, heads and readout."""

        def __init__(self):
            super().__init__()
            lstm = name == "ntm-lstm"
            seen = inputs + columns
            self.controller = nn.LSTMCell(seen, hidden) if lstm else nn.Linear(seen, hidden)
            self.read, self.write, self.readout = Head(False), Head(True), nn.Linear(hidden + columns, OUTPUTS)
            for key in ("h0_l0", "c0_l0", "reads0", "weights0"):
                if key in start:
                    self.register_parameter(key, nn.Parameter(torch.empty(start[key].shape)))
            if lstm:  # one bias is enough
                self.controller.bias_hh.requires_grad_(False).zero_()

        def forward(self, x):
            state = None
            if name == "ntm-lstm":
                state = tuple(part.expand(batch, hidden).contiguous() for part in (self.h0_l0, self.c0_l0))
            reads = self.reads0.expand(batch, columns)
            r, w = (row.expand(batch, rows) for row in torch.softmax(self.weights0, dim=1))
            memory, outputs = torch.full((batch, rows, columns), 1e-6), []
            for now in x:
                seen = torch.cat([now, reads], dim=1)
                if state is None:
                    h = torch.tanh(self.controller(seen))
                else:
                    h, _ = state = self.controller(seen, state)
                w, memory = self.write(h, w, memory)
                r, reads = self.read(h, r, memory)
                outputs.append(self.readout(torch.cat([h, reads], dim=1)))
            return torch.stack(outputs)

        def by_name(self, take):
            """take(parameter) as arrays, under our names."""
            heads, cell = [self.read.emit, self.write.emit], self.controller
            arrays = {"weight_heads": [head.weight for head in heads], "bias_heads": [head.bias for head in heads]}
            arrays |= {"weight_out": [self.readout.weight], "bias_out": [self.readout.bias]}
            own = {"weight_ih_l0": "weight_ih", "weight_hh_l0": "weight_hh", "bias_ih_l0": "bias_ih"}
            if name != "ntm-lstm":
                own = {"weight_ih_l0": "weight", "bias_ih_l0": "bias"}
            arrays |= {key: [getattr(cell, theirs)] for key, theirs in own.items()}
            arrays |= {key: [value] for key, value in self.named_parameters() if key in start}
            return {
                key: np.concatenate([take(part).detach().numpy() for part in parts]) for key, parts in arrays.items()
            }

    machine = Machine()
    with torch.no_grad():
        read, write = machine.read.emit, machine.write.emit
        for key in ("weight", "bias"):
            getattr(read, key).copy_(torch.from_numpy(start[f"{key}_heads"][:common]))
            getattr(write, key).copy_(torch.from_numpy(start[f"{key}_heads"][common:]))
            getattr(machine.readout, key).copy_(torch.from_numpy(start[f"{key}_out"]))
        for key, value in start.items():
            if key in machine._parameters:
                machine._parameters[key].copy_(torch.from_numpy(value))
            elif key.endswith("_l0"):
                theirs = key.removesuffix("_l0")
                theirs = theirs if name == "ntm-lstm" else theirs.removesuffix("_ih")
                getattr(machine.controller, theirs).copy_(torch.from_numpy(value))
    live = [part for part in machine.parameters() if part.requires_grad]
    states = [[torch.zeros_like(part) for _ in range(3)] for part in live]

    @torch.no_grad()
    def update():
        for part, (n, m, d) in zip(live, states):
            g = part.grad.clamp(-CLIP, CLIP)
            n.mul_(DECAY).addcmul_(g, g, value=1 - DECAY)
            m.mul_(DECAY).add_(g, alpha=1 - DECAY)
            d.mul_(MOMENTUM).addcdiv_(g, torch.sqrt((n - m * m).clamp(min=0) + EPSILON), value=-RATE)
            part.add_(d)

    def step():
        machine.zero_grad()
        y = machine(x)
        nats = nn.functional.binary_cross_entropy_with_logits(y, targets, reduction="none")
        loss = (nats * counted[..., None]).sum() / batch / np.log(2)
        loss.backward()
        update()
        return loss

    def gradients():
        value = float(step().detach())
        return found(value, machine.by_name(lambda part: part.grad), start, machine.by_name(lambda part: part))

    return step, gradients


def make(engine, name, case):
    """(step, gradients) of an engine."""
    if engine == "rnnsim":
        return rnnsim_step(name, case)
    if engine == "jax":
        return jax_step(name, case)
    return torch_step(name, case, 1 if engine == "torch-1-thread" else None)
