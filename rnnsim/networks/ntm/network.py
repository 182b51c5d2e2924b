"""The neural Turing machine (Graves, Wayne & Danihelka 2014, arXiv:1410.5401).

A controller with a memory of N rows of M numbers. At tick t, with the input x(t) and the vectors r(t-1) read a tick ago::

    h(t) = controller([x(t); r(t-1)])                an LSTM, or tanh layers without recurrence ("feedforward")
    every head emits from h(t), linearly and then
        key           k = tanh                       strength  beta = softplus      gate   g = logistic
        shift         s = softmax over -r .. r       gamma = 1 + softplus
        write heads:  erase e = logistic             add a = tanh
    every head finds its weighting w(t) from its last one, w(t-1), as in `rnnsim.networks.ntm.addressing`
    write heads change the memory: all erase, then all add;  read heads read r(t)
    y(t) = W_out [h(t); r(t)] + b_out

The paper leaves open what heads emit exactly, in which order they work and how the memory begins. Options

    controller      "lstm" or "feedforward"; hidden, layers: units of a layer, layers
    memory          N, M;  read_heads, write_heads;  shift_range: r
    order           "write-first": read heads find and read the memory that was just written; "read-first": that of the tick
                    before. Write heads always look for their place in the memory of the tick before
    memory_start    "constant": 1e-6 everywhere (Collier & Beel 2018 find it the fastest); "learned"; "random": the tanh of
                    N(0, 1/4), drawn once and kept
    learned_initial_state   h, c, r and the weightings before the first tick are parameters (the weightings as a softmax that
                    begins on row 0); else zero, and all on row 0
    clip_heads      what heads emit is clipped to +-clip_heads before the functions above; "inf" for none
    norm_floor      the smallest norm of keys and rows in the cosine, sqrt(x.x + norm_floor^2). A memory that begins at 1e-6
                    has gradients of 1e5 without it, which drown all others; 1e-8 leaves the cosine as the paper has it
    recompute       0: one memory a tick is kept for the backward pass; k: one every k ticks, and the ticks between are
                    computed again, which takes a third more time

Parameters: the controller's have PyTorch's names; the rows of weight_heads (P, H) lie head by head, read heads first, each
with key (M), strength, gate, shift (2r + 1), gamma and for write heads erase (M), add (M).
"""

from typing import Literal

import numpy as np

from rnnsim.cells import sequence
from rnnsim.cells.interface import floating_type
from rnnsim.core.gemm import pack, packed_shape
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import at_least, checked, require
from rnnsim.networks.interface import Forward, SequenceNetwork, generator, mask_beyond
from rnnsim.networks.ntm import unroll as ntm_walk

CONSTANT = 1e-6
_ROW_0 = 10.0  # the logit of row 0 at the start, the others' being 0
_STATES = ("h", "c", "reads", "weights", "memory")


class NTM(SequenceNetwork):
    """A neural Turing machine; equations and options at the top of the file.

    Raises `RnnsimError` for sizes below 1, more shifts than rows, and unknown options.

    >>> net = NTM(9, 8, hidden=100, memory=(128, 20), rng=1)
    >>> net.forward(np.zeros((5, 2, 9), np.float32), record=["read_weights"]).records["read_weights"].shape
    (5, 2, 1, 128)
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        controller: Literal["lstm", "feedforward"] = "lstm",
        hidden: int = 100,
        layers: int = 1,
        memory: tuple[int, int] = (128, 20),
        read_heads: int = 1,
        write_heads: int = 1,
        shift_range: int = 1,
        order: Literal["write-first", "read-first"] = "write-first",
        memory_start: Literal["constant", "learned", "random"] = "constant",
        learned_initial_state: bool = True,
        clip_heads: float = 20.0,
        norm_floor: float = 0.01,
        recompute: int = 0,
        tokens: bool = False,
        dtype: str = "float32",
        rng: int = 0,
    ):
        structure = dict(controller=controller, hidden=hidden, layers=layers, memory=memory, read_heads=read_heads)
        structure |= dict(write_heads=write_heads, shift_range=shift_range, order=order, memory_start=memory_start)
        structure |= dict(learned_initial_state=learned_initial_state, clip_heads=clip_heads)
        structure |= dict(norm_floor=norm_floor, recompute=recompute)
        given = dict(n_inputs=n_inputs, n_outputs=n_outputs, tokens=tokens, **structure)
        given = checked("network 'ntm'", NTM, given)
        for key in ("n_inputs", "n_outputs", "hidden", "layers", "read_heads", "write_heads"):
            at_least(key.removeprefix("n_"), given[key], 1)
        at_least("shift_range", given["shift_range"], 0)
        at_least("recompute", given["recompute"], 0)
        require(given["clip_heads"] > 0, f"clip_heads={clip_heads}: expected a number above 0")
        require(0 < given["norm_floor"] < np.inf, f"norm_floor={norm_floor}: expected a finite number above 0")
        self.rows, self.columns = given["memory"]
        shifts = 2 * given["shift_range"] + 1
        require(min(given["memory"]) >= 1, f"memory={memory}: expected at least 1 row and 1 column")
        require(
            shifts <= self.rows,
            f"shift_range={shift_range}: {shifts} shifts are more than the {self.rows} rows of the memory",
        )
        self.n_inputs, self.n_outputs, self.tokens = given["n_inputs"], given["n_outputs"], given["tokens"]
        self.lstm, self.hidden, self.layers = given["controller"] == "lstm", given["hidden"], given["layers"]
        self.read_heads, self.write_heads, self.shifts = given["read_heads"], given["write_heads"], shifts
        self.read_first, self.clip_heads = given["order"] == "read-first", given["clip_heads"]
        self.norm_floor = given["norm_floor"]
        self.memory_start, self.recompute = given["memory_start"], given["recompute"]
        self.learned_initial_state, self.dtype = given["learned_initial_state"], floating_type(dtype)
        self.config = dict(
            name="ntm",
            n_inputs=self.n_inputs,
            n_outputs=self.n_outputs,
            tokens=self.tokens,
            dtype=self.dtype.name,
            options={key: given[key] for key in structure} | {"memory": list(given["memory"])},
        )
        self._lay_out(self._shapes())
        self._initialise(generator(rng))
        self._walk, self._walks, self._backs = None, {}, {}

    # -- parameters -------------------------------------------------------------------------------------------------

    @property
    def heads(self):
        """Read heads and write heads."""
        return self.read_heads + self.write_heads

    @property
    def read_size(self):
        """Numbers that all read heads read in one tick."""
        return self.read_heads * self.columns

    def emitted(self):
        """What every head emits: ``[(head, quantity, first column, columns)]``, in the order of the rows of weight_heads."""
        found, place = [], 0
        for head in range(self.heads):
            write = head >= self.read_heads
            name = f"write head {head - self.read_heads}" if write else f"read head {head}"
            for quantity, size in ntm_walk.quantities(self.columns, self.shifts, write):
                found.append((name, quantity, place, size))
                place += size
        return found

    def _shapes(self):
        n, gates = self.hidden, 4 if self.lstm else 1
        shapes = []
        for layer in range(self.layers):
            seen = self.n_inputs + self.read_size if layer == 0 else n
            shapes.append((f"weight_ih_l{layer}", (gates * n, seen)))
            shapes += [(f"weight_hh_l{layer}", (gates * n, n))] if self.lstm else []
            shapes.append((f"bias_ih_l{layer}", (gates * n,)))
        self.n_recurrent_parameters = sum(int(np.prod(shape)) for _, shape in shapes)
        emitted = sum(size for _, _, _, size in self.emitted())
        shapes += [("weight_heads", (emitted, n)), ("bias_heads", (emitted,))]
        shapes += [("weight_out", (self.n_outputs, n + self.read_size)), ("bias_out", (self.n_outputs,))]
        if self.learned_initial_state:
            if self.lstm:
                shapes += [(f"{name}0_l{layer}", (n,)) for layer in range(self.layers) for name in "hc"]
            shapes += [("reads0", (self.read_heads, self.columns)), ("weights0", (self.heads, self.rows))]
        if self.memory_start != "constant":
            shapes.append(("memory0", (self.rows, self.columns)))
        return shapes

    def _initialise(self, rng):
        """Weights and biases uniform in +-1/sqrt(fan in), forget biases 1; see the top of the file for the initial state."""
        for name, values in self._weights.items():
            if name.startswith(("weight_", "bias_")):
                fan_in = self._weights[name.replace("bias", "weight")].shape[1]
                values[...] = rng.uniform(-(fan_in**-0.5), fan_in**-0.5, values.shape)
            if name.startswith("bias_ih") and self.lstm:
                values[self.hidden : 2 * self.hidden] = 1
        if self.learned_initial_state:
            self._weights["weights0"][:, 0] = _ROW_0
        self.trainable = None
        if self.memory_start == "learned":
            self._weights["memory0"][...] = CONSTANT
        elif self.memory_start == "random":
            self._weights["memory0"][...] = np.tanh(rng.normal(0, 0.5, (self.rows, self.columns)))
            self.trainable = np.ones(self.n_parameters, bool)
            self.layout.view(self.trainable, "memory0")[...] = False

    # -- what can be asked of a network -----------------------------------------------------------------------------

    @property
    def state_size(self):
        """Numbers that one sequence carries from tick to tick, the memory among them."""
        controller = 2 * self.layers * self.hidden if self.lstm else 0
        return controller + self.read_size + self.heads * self.rows + self.rows * self.columns

    @property
    def cost_per_step(self):
        """Multiply-adds of one tick of one sequence, forward: weights, and what the heads do with the memory."""
        weights = sum(entry.size for entry in self.layout if entry.name.startswith("weight_"))
        cells = self.rows * self.columns
        memory = cells * (1 + self.heads + self.read_heads + 2 * self.write_heads)
        return weights + memory + self.heads * self.rows * (self.shifts + 4)

    def initial_state(self, batch):
        """The state before the first tick: h, c (layers, B, H) for an LSTM controller, reads (heads, B, M), weightings
        (heads, B, N), memory (N, B, M)."""
        n, w = self.hidden, self._weights
        learned = self.learned_initial_state
        state = []
        for name in "hc" if self.lstm else "":
            part = np.zeros((self.layers, batch, n), self.dtype)
            for layer in range(self.layers if learned else 0):
                part[layer] = w[f"{name}0_l{layer}"]
            state.append(part)
        reads = w["reads0"] if learned else np.zeros((self.read_heads, self.columns), self.dtype)
        memory = w["memory0"] if "memory0" in w else np.full((self.rows, self.columns), CONSTANT, self.dtype)
        weights = self._start_weights()
        return state + [np.repeat(part[:, None], batch, axis=1) for part in (reads, weights, memory)]

    def _start_weights(self):
        if not self.learned_initial_state:
            weights = np.zeros((self.heads, self.rows), self.dtype)
            weights[:, 0] = 1
            return weights
        logits = self._weights["weights0"]
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        return power / power.sum(axis=1, keepdims=True)

    @property
    def trace_names(self):
        """Names that `forward` can record: states of the controller, all that heads emit and do, reads and memory."""
        return tuple(self._trace_shapes())

    def state_after(self, ticks):
        """The state after so many ticks of the last pass."""
        require(self._walk is not None and self._segments == 1, "recompute: the state in mid-sequence is not kept")
        return self._states(np.minimum(ticks, self._ends_of_walk()))

    # -- the passes -------------------------------------------------------------------------------------------------

    def forward(self, inputs, lengths=None, state=None, record=()):
        """Outputs (T, B, K) of inputs (T, B, n) or tokens (T, B), the final state, and what is to be recorded.

        `record` names traces of `trace_names`, or "gates" for all but the memory. Raises `RnnsimError` for wrong shapes, NaN,
        lengths beyond T and unknown traces.
        """
        inputs, lengths = self._checked(inputs, lengths)
        features, state = self._walk_all(inputs, lengths, state, whole=bool(record))
        outputs = self._read_out(features).reshape(*inputs.shape[:2], -1).copy()
        mask_beyond(outputs, lengths)
        return Forward(outputs, state, self._records(record, lengths) if record else {})

    def _outputs(self, batch, loss, state):
        inputs, lengths = self._checked(batch.inputs, batch.lengths)
        features, state = self._walk_all(inputs, lengths, state)
        steps, rows = inputs.shape[:2]
        self._last = loss.when == "last"
        if self._last:
            ends = (lengths if lengths.size else np.full(rows, steps)) - 1
            self._ends = np.maximum(ends, 0) * rows + np.arange(rows)
            features = features[self._ends]
            return self._read_out(features), state, features
        return self._read_out(features).reshape(steps, rows, -1), state, features

    def _read_out(self, features):
        outputs = self._space.array("outputs", (features.shape[0], self.n_outputs))
        panels = packed(self._space, "panels_out", self._weights["weight_out"].T)
        multiply_rows(outputs, features, panels, self._weights["bias_out"])
        return outputs

    def _walk_all(self, inputs, lengths, state, whole=False):
        """The features (R, H + reads) of all ticks and the final state; segment by segment if it will be recomputed."""
        steps, batch = inputs.shape[:2]
        if state is None:
            state = self.initial_state(batch)
        else:
            self._check_state(state, batch)
        length = self.recompute if self.recompute and not whole else steps
        self._starts, self._segments, self._length = [], -(-steps // length), length
        self._inputs, self._lengths = inputs, lengths
        walk = self._buffers(min(length, steps), batch)
        self._features = walk.features
        if self._segments > 1:
            self._features = self._space.array("all_features", (steps * batch, walk.features.shape[1]))
        self._pack(walk)
        for segment in range(self._segments):
            self._starts.append(state)
            self._forward(segment)
            state = self._final_state()
        return self._features, state

    def _pack(self, walk):
        """The weights, packed for the products of one tick."""
        w = self._weights
        pack(walk.panels_ih, w["weight_ih_l0"].T)
        for layer in range(self.layers):
            walk.bias[layer] = w[f"bias_ih_l{layer}"]
            if layer:
                pack(walk.panels_above[layer - 1], w[f"weight_ih_l{layer}"].T)
            if self.lstm:
                pack(walk.panels_hh[layer], w[f"weight_hh_l{layer}"].T)
        pack(walk.panels_heads, w["weight_heads"].T)

    @property
    def gates(self):
        """Rows of the controller's weights a unit."""
        return 4 if self.lstm else 1

    def _forward(self, segment):
        """Walk one segment from its start; its traces stay in the workspace."""
        batch = self._inputs.shape[1]
        first, last = segment * self._length, min((segment + 1) * self._length, self._inputs.shape[0])
        steps, inputs = last - first, self._inputs[first:last]
        walk = self._buffers(steps, batch)
        if self._segments > 1 or self._lengths.size:
            lengths = np.clip(self._lengths - first, 0, steps) if self._segments > 1 else self._lengths
            walk = walk._replace(features=self._features[first * batch : last * batch], lengths=lengths)
        self._walk = walk
        if self.tokens:
            walk.x[:, : self.n_inputs] = 0
            walk.x[np.arange(steps * batch), inputs.reshape(-1)] = 1
        else:
            walk.x[:, : self.n_inputs] = inputs.reshape(steps * batch, -1)
        *controller, reads, weights, memory = self._starts[segment]
        for slots, part in zip((walk.h, walk.c), controller):
            slots[:, :batch] = part
        walk.reads[:batch].reshape(batch, self.read_heads, -1)[...] = reads.transpose(1, 0, 2)
        walk.weights[:batch] = weights.transpose(1, 0, 2)
        walk.memory[:batch] = memory.transpose(1, 2, 0)
        sequence.over_rows(ntm_walk.forward, ntm_walk.forward_parallel, self._tasks(steps, batch), batch, walk)

    def _buffers(self, steps, batch):
        """The arrays of a walk of so many ticks, all of full length; made once a shape."""
        found = self._walks.get((steps, batch))
        if found is not None and found[0] == self._space.generation:
            return found[1]
        array, n, rows, slots = self._space.array, self.hidden, steps * batch, (steps + 1) * batch
        emitted, columns = self._weights["bias_heads"].size, self.columns
        no_peephole = array("no_peephole", (3, n))
        no_peephole[...] = 0
        walk = ntm_walk.Walk(
            x=array("x", (rows, self.n_inputs + self.read_size)),
            z=array("z", (self.layers, rows, self.gates * n)),
            h=array("h", (self.layers, slots, n)),
            c=array("c", (self.layers if self.lstm else 0, slots, n)),
            raw=array("raw", (rows, emitted)),
            emitted=array("emitted", (rows, emitted)),
            reads=array("reads", (slots, self.read_size)),
            features=array("features", (rows, n + self.read_size)),
            memory=array("memory", (slots, columns, self.rows)),
            weights=array("weights", (slots, self.heads, self.rows)),
            trace=array("trace", (rows, self.heads, 3, self.rows)),
            inverse=array("inverse", (slots, self.rows)),
            panels_ih=array("panels_ih", packed_shape(self.n_inputs + self.read_size, self.gates * n, self.dtype)),
            panels_above=array("panels_above", (self.layers - 1, *packed_shape(n, self.gates * n, self.dtype))),
            panels_hh=array(
                "panels_hh", (self.layers if self.lstm else 0, *packed_shape(n, self.gates * n, self.dtype))
            ),
            panels_heads=array("panels_heads", packed_shape(n, emitted, self.dtype)),
            bias=array("bias", (self.layers, self.gates * n)),
            bias_heads=self._weights["bias_heads"],
            no_peephole=no_peephole,
            scratch=array("scratch", (batch, 3, max(self.rows + self.shifts, columns))),
            lengths=np.zeros(0, np.int64),
            batch=batch,
            inputs=self.n_inputs,
            read_heads=self.read_heads,
            shifts=self.shifts,
            read_first=self.read_first,
            lstm=self.lstm,
            clip=float(self.clip_heads),
            norm_floor=float(self.norm_floor),
        )
        self._walks[steps, batch] = (self._space.generation, walk)
        return walk

    def _tasks(self, steps, batch):
        return sequence.row_tasks(steps, batch, self.cost_per_step)

    def _final_state(self):
        return self._states(self._ends_of_walk())

    def _ends_of_walk(self):
        """The ticks of every row in the segment that was walked last."""
        walk = self._walk
        return walk.lengths if walk.lengths.size else np.full(walk.batch, walk.x.shape[0] // walk.batch)

    def _states(self, ticks):
        """The state of every row after its number of ticks of the segment that was walked last."""
        walk = self._walk
        slots = np.asarray(ticks) * walk.batch + np.arange(walk.batch)
        state = [array[:, slots] for array in (walk.h, walk.c)] if self.lstm else []
        state.append(walk.reads[slots].reshape(walk.batch, self.read_heads, -1).transpose(1, 0, 2).copy())
        state.append(walk.weights[slots].transpose(1, 0, 2).copy())
        state.append(walk.memory[slots].transpose(2, 0, 1).copy())
        return state

    def _backward(self, d_outputs, features, learn_state):
        d = d_outputs.reshape(features.shape[0], -1)
        g, w, space = self._gradients, self._weights, self._space
        weight_gradient(g["weight_out"], g["bias_out"], d, features, space)
        panels = packed(space, "panels_out_back", w["weight_out"])
        steps, batch = self._inputs.shape[:2]
        d_features = space.array("d_features", (steps * batch, features.shape[1]))
        if self._last:
            d_features[...] = 0
            part = space.array("d_last", features.shape)
            multiply_rows(part, d, panels, d[0, :0])
            d_features[self._ends] = part
        else:
            multiply_rows(d_features, d, panels, d[0, :0])
        state, back = self._back_buffers(batch)
        for part in state[:5]:
            part.fill(0)
        for segment in reversed(range(self._segments)):
            if segment < self._segments - 1:
                self._forward(segment)
            first = segment * self._length * batch
            part = d_features[first : first + self._walk.x.shape[0]]
            tasks = self._tasks(self._walk.x.shape[0] // batch, batch)
            sequence.over_rows(
                ntm_walk.backward, ntm_walk.backward_parallel, tasks, batch, self._walk, state, part, back
            )
            self._weight_gradients()
        self._start_gradients(state, learn_state)

    def _back_buffers(self, batch):
        """The gradient of the state, and the packed weights of the way back."""
        found = self._backs.get(batch)
        if found is None or found[0] != self._space.generation:
            array, n, gates = self._space.array, self.hidden, self.gates * self.hidden
            emitted, cells = self._weights["bias_heads"].size, (self.columns, self.rows)
            state = ntm_walk.StateGradient(
                h=array("d_h", (self.layers, batch, n)),
                c=array("d_c", (self.layers if self.lstm else 0, batch, n)),
                reads=array("d_reads", (batch, self.read_size)),
                weights=array("d_weights", (batch, self.heads, self.rows)),
                memory=array("d_memory", (batch, *cells)),
                emitted=array("d_emitted", (batch, emitted)),
                prefix=array("prefix", (batch, self.write_heads - 1, *cells)),
            )
            panels = ntm_walk.BackPanels(
                reads=array("panels_reads_back", packed_shape(gates, self.read_size, self.dtype)),
                above=array("panels_above_back", (self.layers - 1, *packed_shape(gates, n, self.dtype))),
                hh=array("panels_hh_back", (self.layers if self.lstm else 0, *packed_shape(gates, n, self.dtype))),
                heads=array("panels_heads_back", packed_shape(emitted, n, self.dtype)),
            )
            found = self._backs[batch] = (self._space.generation, state, panels)
        _, state, panels = found
        w = self._weights
        pack(panels.reads, w["weight_ih_l0"][:, self.n_inputs :])
        for layer in range(self.layers):
            if layer:
                pack(panels.above[layer - 1], w[f"weight_ih_l{layer}"])
            if self.lstm:
                pack(panels.hh[layer], w[f"weight_hh_l{layer}"])
        pack(panels.heads, w["weight_heads"])
        return state, panels

    def _weight_gradients(self):
        """From the gradients of all pre-activations, which the walk has left in z and raw."""
        walk, g, space, batch = self._walk, self._gradients, self._space, self._walk.batch
        none = g["bias_out"][:0]
        for layer in range(self.layers):
            below = walk.x if layer == 0 else walk.h[layer - 1, batch:]
            weight_gradient(g[f"weight_ih_l{layer}"], g[f"bias_ih_l{layer}"], walk.z[layer], below, space)
            if self.lstm:
                weight_gradient(g[f"weight_hh_l{layer}"], none, walk.z[layer], walk.h[layer, :-batch], space)
        weight_gradient(g["weight_heads"], g["bias_heads"], walk.raw, walk.h[-1, batch:], space)

    def _start_gradients(self, state, learn_state):
        g = self._gradients
        if self.memory_start == "learned" and learn_state:
            g["memory0"] += state.memory.sum(axis=0).T
        if not (learn_state and self.learned_initial_state):
            return
        for layer in range(self.layers if self.lstm else 0):
            g[f"h0_l{layer}"] += state.h[layer].sum(axis=0)
            g[f"c0_l{layer}"] += state.c[layer].sum(axis=0)
        g["reads0"] += state.reads.sum(axis=0).reshape(self.read_heads, -1)
        d, start = state.weights.sum(axis=0), self._start_weights()
        g["weights0"] += start * (d - (d * start).sum(axis=1, keepdims=True))

    # -- what happened ------------------------------------------------------------------------------------------------

    def _trace_shapes(self):
        """{name: function of the walk that gives the trace (T, B, ...)} of all that can be recorded."""
        walk_names = {f"h_l{k}": lambda w, k=k: w.h[k, w.batch :] for k in range(self.layers)}
        if self.lstm:
            walk_names |= {f"c_l{k}": lambda w, k=k: w.c[k, w.batch :] for k in range(self.layers)}
        kinds = (("read", slice(0, self.read_heads)), ("write", slice(self.read_heads, self.heads)))
        for kind, which in kinds:
            walk_names[f"{kind}_weights"] = lambda w, which=which: w.weights[w.batch :, which]
            columns = {}
            for head, quantity, place, size in self.emitted():
                if head.startswith(kind):
                    columns.setdefault(quantity, []).append(slice(place, place + size))
            for quantity, places in columns.items():
                walk_names[f"{kind}_{quantity}"] = lambda w, p=places: np.stack(
                    [w.emitted[:, part] for part in p], axis=1
                )
        walk_names["reads"] = lambda w: w.reads[w.batch :].reshape(-1, self.read_heads, self.columns)
        walk_names["memory"] = lambda w: w.memory[w.batch :].transpose(0, 2, 1)
        return walk_names

    def _records(self, record, lengths):
        walk = self._walk
        wanted = {record} if isinstance(record, str) else set(record)
        shapes = self._trace_shapes()
        steps = walk.x.shape[0] // walk.batch
        everything = "gates" in wanted
        traces = {}
        for name, take in shapes.items():
            needed = name in wanted or (everything and name != "memory")
            trace = take(walk) if needed else None
            traces[name] = trace.reshape(steps, walk.batch, *trace.shape[1:]) if needed else None
        return self._recorded(traces, record, {"gates": lambda name: name != "memory"}, lengths)

    def not_finite(self):
        """Tick, head and quantity of the first number of the last forward pass that is not finite, or None."""
        if self._walk is None:
            return None
        for segment in range(self._segments):
            if self._segments > 1:
                self._forward(segment)
            for t in range(self._walk.x.shape[0] // self._walk.batch):
                for b in range(self._walk.batch):
                    found = self._not_finite(t, b)
                    if found:
                        return f"{found} not finite at tick {segment * self._length + t} of sequence {b}"
        return None

    def _not_finite(self, t, b):
        """What is not finite in one tick of one sequence of the segment that was walked last, with its verb."""
        walk = self._walk
        if walk.lengths.size and t >= walk.lengths[b]:
            return None
        row, slot = t * walk.batch + b, (t + 1) * walk.batch + b
        for layer in range(self.layers):
            if not np.isfinite(walk.h[layer, slot]).all():
                return f"controller layer {layer} is"
        for head, quantity, place, size in self.emitted():
            if not np.isfinite(walk.emitted[row, place : place + size]).all():
                return f"the {quantity} of {head} is"
        for head in range(self.heads):
            if not np.isfinite(walk.weights[slot, head]).all():
                name = f"read head {head}" if head < self.read_heads else f"write head {head - self.read_heads}"
                return f"the weighting of {name} is"
        return None if np.isfinite(walk.memory[slot]).all() else "the memory is"
