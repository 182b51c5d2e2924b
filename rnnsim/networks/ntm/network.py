"""The neural Turing machine of Graves, Wayne & Danihelka 2014 as a network: options, parameters, passes, states."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnsim.cells import sequence
from rnnsim.cells.interface import floating_type
from rnnsim.core.losses import WHEN
from rnnsim.core.products import multiply_rows, packed, weight_gradient
from rnnsim.core.registry import at_least, checked, one_of, require
from rnnsim.core.rng import Seed
from rnnsim.core.threads import exclusive
from rnnsim.networks.interface import Forward, SequenceNetwork, generator, mask_beyond
from rnnsim.networks.ntm import tape as buffers
from rnnsim.networks.ntm import traces, unroll
from rnnsim.networks.ntm.emission import raw_places

CONSTANT = 1e-6
_ROW_0 = 10.0  # the logit of row 0 at the start, the others' being 0


class NTM(SequenceNetwork):
    """The neural Turing machine (Graves, Wayne & Danihelka 2014, arXiv:1410.5401).

    A controller with a memory of N rows of M numbers. At time step t, with the input x(t) and the vectors r(t-1) that the
    read heads read one time step before::

        h(t)  = controller([x(t); r(t-1)])         an LSTM, or tanh layers without recurrence ("feedforward")
        heads emit, each from W h(t) + b, clipped to +-clip_heads:
            key   k = tanh      strength beta = softplus      gate g = logistic
            shift s = softmax over -r .. r                    gamma  = 1 + softplus
            write heads also:   erase e = logistic            add a  = tanh
        every head finds its weighting w(t) from w(t-1):
            K_i   = k.m_i / (|k| |m_i|)                               cosine similarity       (eq. 6)
            wc_i  = exp(beta K_i) / sum_j exp(beta K_j)               content addressing      (eq. 5)
            wg    = g wc + (1 - g) w(t-1)                             interpolation           (eq. 7)
            ws_i  = sum_d s_d wg_(i - d mod N)                        circular shift          (eq. 8)
            w_i   = ws_i^gamma / sum_j ws_j^gamma                     sharpening              (eq. 9)
        write heads change the memory, all erase, then all add:
            m_i   = m_i (1 - w_i e),   then   m_i = m_i + w_i a                               (eqs. 3 and 4)
        read heads read   r(t) = sum_i w_i m_i                                                (eq. 2)
        y(t)  = W_out [h(t); r(t)] + b_out

    with |x| = sqrt(x.x + norm_floor^2). The paper leaves open what the functions of the heads are, in which order heads work
    and how the memory begins.

    Parameters
    ----------
    n_inputs, n_outputs : sizes of x and y
    tokens : inputs are whole numbers 0 .. n_inputs - 1, shape (T, B), in place of vectors (T, B, n_inputs)
    dtype : "float32" or "float64"
    rng : a seed, SeedSequence or Generator for the weights
    **options : those of `NTM.Options`; ``rnnsim describe ntm`` lists them with their defaults

    Learned parameters, by name (H = hidden, V = read_heads M, G = 4 for an LSTM, else 1)
        weight_ih_l0 (G H, n_inputs + V), weight_ih_lk (G H, H), weight_hh_lk (G H, H; LSTM), bias_ih_lk (G H): the
        controller's, named as in PyTorch; weight_heads (P, H), bias_heads (P): head by head, read heads first, each with
        key (M), strength, gate, shift (2 r + 1), gamma and for write heads erase (M), add (M), see `emitted`;
        weight_out (n_outputs, H + V), bias_out (n_outputs); of learned_initial_state h0_lk, c0_lk (H; LSTM),
        reads0 (read_heads, M), weights0 (heads, N); memory0 (N, M) unless memory_start is "constant".
        Weights begin uniform in +-1/sqrt(fan in), forget biases at 1, weightings on row 0.

    Traces that `forward` records, (T, B, ...)
        h_lk, c_lk (H); read_weights (read_heads, N), write_weights (write_heads, N); read_key, read_strength, read_gate,
        read_shift, read_gamma (read_heads, numbers), the same of write heads with write_erase and write_add; reads
        (read_heads, M); memory (N, M). "gates" stands for all but the memory.

    Errors
        `RnnsimError` for sizes below 1, more shifts than rows, unknown options and values of another type.

    >>> net = NTM(9, 8, hidden=100, memory=(128, 20), rng=1)
    >>> result = net.forward(np.zeros((5, 2, 9), np.float32), record=["read_weights"])
    >>> result.outputs.shape, result.records["read_weights"].shape
    ((5, 2, 8), (5, 2, 1, 128))
    """

    class Options(NamedTuple):
        """Options of `NTM`.

        controller : "lstm", or "feedforward": tanh layers
        hidden, layers : units of a layer of the controller, and its layers
        memory : N, M: rows and columns of the memory
        read_heads, write_heads : how many
        shift_range : r, the largest shift of eq. 8
        order : "write-first": read heads find their places in the memory that was just written, and read it; "read-first":
            in that of the time step before. Write heads always look at the memory of the time step before
        memory_start : "constant": 1e-6 everywhere (Collier & Beel 2018 find it the fastest); "learned"; "random": the tanh
            of N(0, 1/4), drawn once and kept
        learned_initial_state : h, c, r and the weightings before the first time step are parameters (the weightings as a
            softmax that begins on row 0); else zero, and all on row 0
        clip_heads : what heads emit is clipped to +-clip_heads before their functions; "inf" for none
        norm_floor : the smallest norm of keys and rows in eq. 6. A memory that begins at 1e-6 has gradients of 1e5 without
            it, which drown all others; 1e-8 leaves the cosine as the paper has it
        recompute : 0: the memory of every time step is kept for the backward pass; k: that of one time step in k, and those
            between are computed again, which takes a third more time
        """

        controller: Literal["lstm", "feedforward"] = "lstm"
        hidden: int = 100
        layers: int = 1
        memory: tuple[int, int] = (128, 20)
        read_heads: int = 1
        write_heads: int = 1
        shift_range: int = 1
        order: Literal["write-first", "read-first"] = "write-first"
        memory_start: Literal["constant", "learned", "random"] = "constant"
        learned_initial_state: bool = True
        clip_heads: float = 20.0
        norm_floor: float = 0.01
        recompute: int = 0

    def __init__(
        self, n_inputs: int, n_outputs: int, tokens: bool = False, dtype: str = "float32", rng: "Seed" = 0, **options
    ):
        given = dict(n_inputs=n_inputs, n_outputs=n_outputs, tokens=tokens, **options)
        given = checked("network 'ntm'", NTM, given, ("dtype", "rng"))
        self.n_inputs, self.n_outputs, self.tokens = (given.pop(name) for name in ("n_inputs", "n_outputs", "tokens"))
        self.options = self.Options(**given)
        self.dtype = floating_type(dtype)
        self._check_options()
        o = self.options
        self.sizes = buffers.Sizes(
            inputs=self.n_inputs,
            lstm=o.controller == "lstm",
            hidden=o.hidden,
            layers=o.layers,
            rows=o.memory[0],
            columns=o.memory[1],
            read_heads=o.read_heads,
            write_heads=o.write_heads,
            shifts=2 * o.shift_range + 1,
            dtype=self.dtype,
        )
        self.hidden, self.layers, self.learned_initial_state = o.hidden, o.layers, o.learned_initial_state
        self.config = dict(
            name="ntm",
            n_inputs=self.n_inputs,
            n_outputs=self.n_outputs,
            tokens=self.tokens,
            dtype=self.dtype.name,
            options=o._asdict() | {"memory": list(o.memory)},
        )
        self._lay_out(self._shapes())
        self._initialise(generator(rng))
        self._tape, self._tapes, self._backs = None, {}, {}
        self._packed = buffers.new_weights(self._space.array, self.sizes)
        sizes = self.sizes
        self._raw_places = raw_places(sizes.columns, sizes.shifts, sizes.read_heads, sizes.write_heads, self.dtype)

    def _check_options(self):
        o = self.options
        at_least("inputs", self.n_inputs, 1)
        at_least("outputs", self.n_outputs, 1)
        for key in ("hidden", "layers", "read_heads", "write_heads"):
            at_least(key, getattr(o, key), 1)
        at_least("shift_range", o.shift_range, 0)
        at_least("recompute", o.recompute, 0)
        require(o.clip_heads > 0, f"clip_heads={o.clip_heads}: expected a number above 0")
        require(0 < o.norm_floor < np.inf, f"norm_floor={o.norm_floor}: expected a finite number above 0")
        require(min(o.memory) >= 1, f"memory={o.memory}: expected at least 1 row and 1 column")
        rows, shifts = o.memory[0], 2 * o.shift_range + 1
        require(
            shifts <= rows,
            f"shift_range={o.shift_range}: {shifts} shifts are more than the {rows} rows of the memory",
        )

    # -- parameters -------------------------------------------------------------------------------------------------

    def emitted(self):
        """What every head emits, in the order of the rows of weight_heads: ``[(head, quantity, first row, rows)]``.

        >>> NTM(9, 8, memory=(128, 20)).emitted()[:2]
        [('read head 0', 'key', 0, 20), ('read head 0', 'strength', 20, 1)]
        """
        return traces.emitted(self.sizes)

    def _shapes(self):
        sizes, shapes = self.sizes, []
        n, units = sizes.hidden, sizes.gates * sizes.hidden
        for layer in range(sizes.layers):
            shapes.append((f"weight_ih_l{layer}", (units, n if layer else self.n_inputs + sizes.reads)))
            shapes += [(f"weight_hh_l{layer}", (units, n))] if sizes.lstm else []
            shapes.append((f"bias_ih_l{layer}", (units,)))
        self.n_recurrent_parameters = sum(int(np.prod(shape)) for _, shape in shapes)
        emitted = sum(size for _, _, _, size in self.emitted())
        shapes += [("weight_heads", (emitted, n)), ("bias_heads", (emitted,))]
        shapes += [("weight_out", (self.n_outputs, n + sizes.reads)), ("bias_out", (self.n_outputs,))]
        if self.learned_initial_state:
            if sizes.lstm:
                shapes += [(f"{name}0_l{layer}", (n,)) for layer in range(sizes.layers) for name in "hc"]
            shapes += [("reads0", (sizes.read_heads, sizes.columns)), ("weights0", (sizes.heads, sizes.rows))]
        if self.options.memory_start != "constant":
            shapes.append(("memory0", (sizes.rows, sizes.columns)))
        return shapes

    def _initialise(self, rng):
        """Weights and biases uniform in +-1/sqrt(fan in), forget biases 1; the initial state as the options say."""
        n = self.sizes.hidden
        for name, values in self._weights.items():
            if name.startswith(("weight_", "bias_")):
                fan_in = self._weights[name.replace("bias", "weight")].shape[1]
                values[...] = rng.uniform(-(fan_in**-0.5), fan_in**-0.5, values.shape)
            if name.startswith("bias_ih") and self.sizes.lstm:
                values[n : 2 * n] = 1
        if self.learned_initial_state:
            self._weights["weights0"][:, 0] = _ROW_0
        self.trainable = None
        if self.options.memory_start == "learned":
            self._weights["memory0"][...] = CONSTANT
        elif self.options.memory_start == "random":
            self._weights["memory0"][...] = np.tanh(rng.normal(0, 0.5, self.options.memory))
            self.trainable = np.ones(self.n_parameters, bool)
            self.layout.view(self.trainable, "memory0")[...] = False

    # -- sizes and states -------------------------------------------------------------------------------------------

    @property
    def state_size(self):
        """Numbers that one sequence carries from one time step to the next, the memory among them."""
        sizes = self.sizes
        controller = 2 * sizes.layers * sizes.hidden if sizes.lstm else 0
        return controller + sizes.reads + sizes.heads * sizes.rows + sizes.rows * sizes.columns

    @property
    def cost_per_step(self):
        """Multiply-adds of one time step of one sequence, forward: weights, and what the heads do with the memory."""
        sizes = self.sizes
        weights = sum(entry.size for entry in self.layout if entry.name.startswith("weight_"))
        passes = 1 + sizes.heads + sizes.read_heads + 2 * sizes.write_heads
        return weights + passes * sizes.rows * sizes.columns + sizes.heads * sizes.rows * (sizes.shifts + 4)

    def initial_state(self, batch: int) -> list[np.ndarray]:
        """The state before the first time step: h, c (layers, B, H) of an LSTM controller, reads (read_heads, B, M),
        weightings (heads, B, N), memory (N, B, M)."""
        sizes, w = self.sizes, self._weights
        state = []
        for name in "hc" if sizes.lstm else "":
            part = np.zeros((sizes.layers, batch, sizes.hidden), self.dtype)
            for layer in range(sizes.layers if self.learned_initial_state else 0):
                part[layer] = w[f"{name}0_l{layer}"]
            state.append(part)
        no_reads = np.zeros((sizes.read_heads, sizes.columns), self.dtype)
        reads = w["reads0"] if self.learned_initial_state else no_reads
        memory = w["memory0"] if "memory0" in w else np.full((sizes.rows, sizes.columns), CONSTANT, self.dtype)
        weights = self._initial_weights()
        return state + [np.repeat(part[:, None], batch, axis=1) for part in (reads, weights, memory)]

    def _initial_weights(self):
        if not self.learned_initial_state:
            weights = np.zeros((self.sizes.heads, self.sizes.rows), self.dtype)
            weights[:, 0] = 1
            return weights
        logits = self._weights["weights0"]
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        return power / power.sum(axis=1, keepdims=True)

    def state_after(self, time_steps: int) -> list[np.ndarray]:
        """The state after so many time steps of the last pass."""
        require(self._tape is not None and self._segments == 1, "recompute: the state in mid-sequence is not kept")
        return self._states(np.minimum(time_steps, self._ends_of_tape()))

    def _ends_of_tape(self):
        """The time steps of every sequence in the segment that was unrolled last."""
        tape = self._tape
        return tape.lengths if tape.lengths.size else np.full(tape.batch, tape.x.shape[0] // tape.batch)

    def _states(self, time_steps):
        """The state of every sequence after its number of time steps of the segment that was unrolled last."""
        tape, rows = self._tape, self.sizes.rows
        slots = np.asarray(time_steps) * tape.batch + np.arange(tape.batch)
        state = [array[:, slots] for array in (tape.h, tape.c)] if self.sizes.lstm else []
        state.append(tape.reads[slots].reshape(tape.batch, self.sizes.read_heads, -1).transpose(1, 0, 2).copy())
        state.append(tape.weights[slots, :, :rows].transpose(1, 0, 2).copy())
        state.append(tape.memory[slots, :, :rows].transpose(2, 0, 1).copy())
        return state

    # -- the pass forward -------------------------------------------------------------------------------------------

    @exclusive
    def forward(
        self,
        inputs: "ArrayLike",
        lengths: "ArrayLike | None" = None,
        state: list[np.ndarray] | None = None,
        record: str | Iterable[str] = (),
        when: str = "every",
    ) -> Forward:
        """Outputs (T, B, K) of inputs (T, B, n) or tokens (T, B), the final state, and what is to be recorded.

        With when="last" outputs are (B, K), those at the end of each sequence.

        `record` names traces of `trace_names`, or "gates" for all but the memory. Raises `RnnsimError` for wrong shapes, NaN,
        lengths beyond T and unknown traces.
        """
        inputs, lengths = self._checked(inputs, lengths)
        features, state = self._unroll(inputs, lengths, state, whole=bool(record))
        if one_of("when", when, WHEN) == "last":
            outputs = self._read_out(features[self._rows_at_end(inputs, lengths)]).copy()
        else:
            outputs = self._read_out(features).reshape(*inputs.shape[:2], -1).copy()
            mask_beyond(outputs, lengths)
        return Forward(outputs, state, self._records(record, lengths) if record else {})

    def _outputs(self, batch, loss, state):
        inputs, lengths = self._checked(batch.inputs, batch.lengths)
        features, state = self._unroll(inputs, lengths, state)
        steps, rows = inputs.shape[:2]
        self._last = loss.when == "last"
        if self._last:
            self._ends = self._rows_at_end(inputs, lengths)
            features = features[self._ends]
            return self._read_out(features), state, features
        return self._read_out(features).reshape(steps, rows, -1), state, features

    @staticmethod
    def _rows_at_end(inputs, lengths):
        """Rows of the features (T * B, ...) at the last time step of every sequence."""
        steps, rows = inputs.shape[:2]
        ends = (lengths if lengths.size else np.full(rows, steps)) - 1
        return np.maximum(ends, 0) * rows + np.arange(rows)

    def _read_out(self, features):
        outputs = self._space.array("outputs", (features.shape[0], self.n_outputs))
        panels = packed(self._space, "panels_out", self._weights["weight_out"].T)
        multiply_rows(outputs, features, panels, self._weights["bias_out"])
        return outputs

    def _unroll(self, inputs, lengths, state, whole=False):
        """The features (R, H + V) of all time steps and the final state; in segments if they will be recomputed."""
        steps, batch = inputs.shape[:2]
        if state is None:
            state = self.initial_state(batch)
        else:
            self._check_state(state, batch)
        length = self.options.recompute if self.options.recompute and not whole else steps
        self._starts, self._segments, self._length = [], -(-steps // length), length
        self._inputs, self._lengths = inputs, lengths
        tape, _ = self._buffers_of(min(length, steps), batch)
        self._features = tape.features
        if self._segments > 1:
            self._features = self._space.array("all_features", (steps * batch, tape.features.shape[1]))
        head_rows = self._in_raw_order("head_rows", "weight_heads")
        buffers.pack_weights(self._packed, self._weights, self.sizes, head_rows)
        self._packed.bias_heads[self._raw_places] = self._weights["bias_heads"]
        for segment in range(self._segments):
            self._starts.append(state)
            self._unroll_segment(segment)
            state = self._states(self._ends_of_tape())
        return self._features, state

    def _in_raw_order(self, buffer, name):
        """weight_heads with its rows where `raw` has them; rows of the padding are zero."""
        rows = self._space.array(buffer, (self.sizes.raw, self.sizes.hidden))
        rows[self._raw_places] = self._weights[name]
        return rows

    def _unroll_segment(self, segment):
        """Unroll one segment from its start; its activations stay on the tape."""
        batch = self._inputs.shape[1]
        first, last = segment * self._length, min((segment + 1) * self._length, self._inputs.shape[0])
        steps, inputs = last - first, self._inputs[first:last]
        tape, scratch = self._buffers_of(steps, batch)
        if self._segments > 1 or self._lengths.size:
            lengths = np.clip(self._lengths - first, 0, steps) if self._segments > 1 else self._lengths
            tape = tape._replace(features=self._features[first * batch : last * batch], lengths=lengths)
        self._tape = tape
        if self.tokens:
            tape.x[:, : self.n_inputs] = 0
            tape.x[np.arange(steps * batch), inputs.reshape(-1)] = 1
        else:
            tape.x[:, : self.n_inputs] = inputs.reshape(steps * batch, -1)
        *controller, reads, weights, memory = self._starts[segment]
        tape.h[:, :batch] = 0  # a controller without state: sequences that have ended keep what stands here
        for slots, part in zip((tape.h, tape.c), controller):
            slots[:, :batch] = part
        tape.reads[:batch].reshape(batch, self.sizes.read_heads, -1)[...] = reads.transpose(1, 0, 2)
        for slots, part in ((tape.weights, weights.transpose(1, 0, 2)), (tape.memory, memory.transpose(1, 2, 0))):
            slots[:batch, :, : self.sizes.rows] = part
            slots[:batch, :, self.sizes.rows :] = 0
        chunks = self._chunks(steps, batch)
        sequence.over_rows(unroll.forward, unroll.forward_parallel, chunks, batch, tape, scratch, self._packed)

    def _buffers_of(self, steps, batch):
        """The tape of so many time steps, all sequences of full length, and the work rows; made once a shape."""
        found = self._tapes.get((steps, batch))
        if found is None or found[0] != self._space.generation:
            o, array = self.options, self._space.array
            read_first, clip, floor = o.order == "read-first", float(o.clip_heads), float(o.norm_floor)
            tape = buffers.new_tape(array, self.sizes, steps, batch, read_first, clip, floor)
            scratch = buffers.new_scratch(array, self.sizes, batch)
            found = self._tapes[steps, batch] = (self._space.generation, tape, scratch)
        return found[1:]

    def _chunks(self, steps, batch):
        return sequence.row_chunks(steps, batch, self.cost_per_step)

    # -- the pass backward --------------------------------------------------------------------------------------------

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
        d_state, weights = self._backward_buffers(batch)
        for part in d_state[:5]:
            part.fill(0)
        d_head_rows = space.array("d_head_rows", (self.sizes.raw, self.sizes.hidden))
        d_head_bias = space.array("d_head_bias", (self.sizes.raw,))
        d_head_rows.fill(0)
        d_head_bias.fill(0)
        for segment in reversed(range(self._segments)):
            if segment < self._segments - 1:
                self._unroll_segment(segment)
            tape, first = self._tape, segment * self._length * batch
            _, scratch = self._buffers_of(tape.x.shape[0] // batch, batch)
            part = d_features[first : first + tape.x.shape[0]]
            chunks = self._chunks(tape.x.shape[0] // batch, batch)
            passes = unroll.backward, unroll.backward_parallel
            sequence.over_rows(*passes, chunks, batch, tape, scratch, d_state, part, weights)
            self._controller_gradients(tape)
            weight_gradient(d_head_rows, d_head_bias, tape.raw, tape.h[-1, batch:], space)
        g["weight_heads"] += d_head_rows[self._raw_places]
        g["bias_heads"] += d_head_bias[self._raw_places]
        if learn_state:
            self._initial_state_gradients(d_state)

    def _backward_buffers(self, batch):
        """The gradient of the state, and the weights packed for the way back."""
        found = self._backs.get(batch)
        if found is None or found[0] != self._space.generation:
            array = self._space.array
            d_state = buffers.new_state_gradient(array, self.sizes, batch)
            weights = buffers.new_backward_weights(array, self.sizes)
            found = self._backs[batch] = (self._space.generation, d_state, weights)
        _, d_state, weights = found
        head_rows = self._space.array("head_rows", (self.sizes.raw, self.sizes.hidden))
        buffers.pack_backward_weights(weights, self._weights, self.sizes, head_rows)
        return d_state, weights

    def _controller_gradients(self, tape):
        """From the gradients of all pre-activations, which the kernels have left in z."""
        g, space, batch = self._gradients, self._space, tape.batch
        none = g["bias_out"][:0]
        for layer in range(self.sizes.layers):
            below = tape.x if layer == 0 else tape.h[layer - 1, batch:]
            weight_gradient(g[f"weight_ih_l{layer}"], g[f"bias_ih_l{layer}"], tape.z[layer], below, space)
            if self.sizes.lstm:
                weight_gradient(g[f"weight_hh_l{layer}"], none, tape.z[layer], tape.h[layer, :-batch], space)

    def _initial_state_gradients(self, d_state):
        g, sizes = self._gradients, self.sizes
        if self.options.memory_start == "learned":
            g["memory0"] += d_state.memory[:, :, : sizes.rows].sum(axis=0).T
        if not self.learned_initial_state:
            return
        for layer in range(sizes.layers if sizes.lstm else 0):
            g[f"h0_l{layer}"] += d_state.h[layer].sum(axis=0)
            g[f"c0_l{layer}"] += d_state.c[layer].sum(axis=0)
        g["reads0"] += d_state.reads.sum(axis=0).reshape(sizes.read_heads, -1)
        d, initial = d_state.weights[:, :, : sizes.rows].sum(axis=0), self._initial_weights()
        g["weights0"] += initial * (d - (d * initial).sum(axis=1, keepdims=True))

    # -- what happened ------------------------------------------------------------------------------------------------

    @property
    def trace_names(self):
        """Names that `forward` can record: states of the controller, all that heads emit and do, reads and memory."""
        return tuple(traces.trace_functions(self.sizes))

    def _records(self, record, lengths):
        tape = self._tape
        wanted = {record} if isinstance(record, str) else set(record)
        steps, found = tape.x.shape[0] // tape.batch, {}
        for name, trace_of in traces.trace_functions(self.sizes).items():
            found[name] = None
            if name in wanted or ("gates" in wanted and name != "memory"):
                trace = trace_of(tape)
                found[name] = trace.reshape(steps, tape.batch, *trace.shape[1:])
        return self._recorded(found, record, {"gates": lambda name: name != "memory"}, lengths)

    def not_finite(self):
        """Time step, head and quantity of the first number of the last forward pass that is not finite, or None."""
        if self._tape is None:
            return None
        for segment in range(self._segments):
            if self._segments > 1:
                self._unroll_segment(segment)
            found = traces.first_not_finite(self.sizes, self._tape)
            if found:
                t, b, what = found
                return f"{what} not finite at time step {segment * self._length + t} of sequence {b}"
        return None
