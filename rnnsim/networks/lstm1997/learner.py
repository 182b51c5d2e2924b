"""Online learning by the truncated rule of 1997: one sequence after the other, an update at every time step with an error.

Hochreiter & Schmidhuber 1997, eqs 12-28; forget gates as in Gers, Schmidhuber & Cummins 2000, peepholes as in Gers, Schraudolph &
Schmidhuber 2002. The rule is RTRL with only the direct term kept: of all that a weight has done to the states, what it did
through ds_v(t)/ds_v(t-1) = phi_v(t). For a cell v and a source m with the value u_m(t) three eligibility traces are carried on::

    S_cell(t) = phi S_cell(t-1) + in g'(net_v) u_m        of s_v by the weight from m to the cell
    S_in(t)   = phi S_in(t-1)   + g(net_v) in' u_m        by that to the input gate
    S_phi(t)  = phi S_phi(t-1)  + s_v(t-1) phi' u_m       by that to the forget gate

with phi = 1 and no S_phi where there are no forget gates. At a time step with targets d_k, with d_v = sum_k w_kv e_k::

    e_k     = f'(net_k) (d_k - y_k)                       outputs: half the squared error, as printed
    e_out_j = out' sum_v h(s_v) d_v                       output gate of a block, sum over its cells
    e_s_v   = out h'(s_v) d_v                             state of a cell
    change of w_km = e_k u_m,  w_out = e_out_j u_m,  w_in = sum_v e_s_v S_in,  w_phi = sum_v e_s_v S_phi,  w_v = e_s_v S_cell
    w <- w + rate change + momentum (the step before)

A peephole is a source that only its block sees. Time and memory are of the order of the number of weights.

An input that is zero costs nothing: its weights add nothing to a pre-activation, and its eligibility traces are only carried on,
which without forget gates is no work. Only inputs that were not zero in this sequence have eligibility traces at all, so the
cost of a time step with one-hot inputs does not grow with their number (unless there is momentum, which moves all weights).
"""

import copy
import threading

import numpy as np

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.learner import Learner, LearnResult, NotFinite, fill_arrays
from rnnsim.core.registry import require
from rnnsim.core.simd import item, put
from rnnsim.core.threads import exclusive
from rnnsim.core.workspace import Workspace
from rnnsim.networks.lstm1997.traces import activate, advance_peephole_traces, advance_stretch, advance_traces
from rnnsim.networks.lstm1997.unroll import take_inputs, time_step
from rnnsim.networks.lstm1997.update import (
    DECAY,
    RATE,
    SEQUENCE_DECAY,
    START,
    STRETCH,
    LearnerArrays,
    Lesson,
    correct,
)
from rnnsim.optimizers.schedule import counts_updates, time_decays

_SILENT = -100.0  # weights into a cell that nothing enters


@jit_borrowed
def begin(learner, sizes):
    """A new sequence: states, outputs and eligibility traces are zero."""
    fixed, lanes = sizes.recurrent + 1, learner.traces.size // learner.known.size
    learner.traces[: fixed * lanes] = 0
    for k in range(fixed, learner.place[0]):
        source = learner.active[k]
        learner.traces[source * lanes : (source + 1) * lanes] = 0
        learner.known[source] = 0
    learner.peephole_traces[:] = 0
    learner.activations[: sizes.time_step] = 0
    learner.place[0], learner.place[1] = fixed, 0
    if learner.velocity.size:  # momentum moves all weights
        for i in range(sizes.inputs):
            activate(learner, fixed + i)
    learner.rates[RATE] = learner.rates[START]
    learner.rates[START] *= learner.rates[SEQUENCE_DECAY]


@jit_borrowed
def set_inputs(learner, count, sizes):
    """The inputs of a time step that are not zero, to `present`; they have eligibility traces from now on."""
    fixed = sizes.recurrent + 1
    for k in range(count):
        source = item(learner.sources, fixed + k)
        put(learner.present, source, item(learner.values, k))
        if item(learner.known, source) == 0:
            activate(learner, source)


@jit_borrowed
def clear_inputs(learner, count, sizes):
    """They are zero again."""
    for k in range(count):
        put(learner.present, item(learner.sources, sizes.recurrent + 1 + k), learner.present.dtype.type(0))


@jit_borrowed
def record_outputs(outputs, learner, place, b, sizes):
    """outputs[place, b] <- the outputs of a time step, if they are wanted."""
    for k in range(sizes.outputs if outputs.size else 0):
        outputs[place, b, k] = learner.y[k]


@jit_borrowed
def unroll(learner, lesson, b, tables, sizes):
    """All time steps of a sequence, stretch after stretch; gives the number of inputs of the last time step that are not zero."""
    fixed, count = sizes.recurrent + 1, 0
    steps, activations, inputs = lesson.lengths[b], learner.activations, learner.sources[fixed:]
    for start in range(0, steps, STRETCH):
        time_steps, last = min(STRETCH, steps - start), learner.place[1]
        for i in range(sizes.time_step if last else 0):
            activations[i] = activations[last + i]
        for t in range(time_steps):
            count = take_inputs(inputs, learner.values, lesson.x, lesson.tokens, start + t, b, fixed)
            before = t * sizes.time_step
            now = before + sizes.time_step
            time_step(activations, now, before, learner.w, inputs, learner.values, count, tables, sizes)
        learner.place[1] = time_steps * sizes.time_step
        advance_stretch(learner, lesson, start, time_steps, b, tables, sizes)
    return count


# -- sequences -----------------------------------------------------------------------------------------------------------------
#
# Two kernels, as a task needs only one of them. Both learn from all sequences of a lesson, one after the other: worst, mean,
# time_steps (B,) <- largest and mean error of every sequence, and its time steps; outputs (T or 1, B, K), or of size 0. With
# `going_on` the first sequence continues the last one. They stop after a sequence whose error is not finite.


@jit_borrowed
def learn_at_the_end(worst, mean, time_steps, outputs, learner, lesson, going_on, tables, sizes):
    """Where the last time step of a sequence alone has a target."""
    rates = learner.rates
    for b in range(lesson.lengths.size):
        if b > 0 or not going_on:
            begin(learner, sizes)
        steps = lesson.lengths[b]
        time_steps[b] = steps
        if steps == 0:
            continue
        count = unroll(learner, lesson, b, tables, sizes)
        now = learner.place[1]
        rates[RATE] *= rates[DECAY] ** (steps - 1)
        if lesson.weights.size == 0 or lesson.weights[0, b] != 0:
            set_inputs(learner, count, sizes)
            worst[b], mean[b] = correct(learner, lesson, now, now - sizes.time_step, 0, b, count, tables, sizes)
            clear_inputs(learner, count, sizes)
            record_outputs(outputs, learner, 0, b, sizes)
        rates[RATE] *= rates[DECAY]
        if not (mean[b] < np.inf):
            break


@jit_borrowed
def learn_on_the_way(worst, mean, time_steps, outputs, learner, lesson, stop, going_on, tables, sizes):
    """Where every time step has a target. A sequence ends after the first time step with an error of `stop` or more."""
    fixed = sizes.recurrent + 1
    inputs = learner.sources[fixed:]
    for b in range(lesson.lengths.size):
        if b > 0 or not going_on:
            begin(learner, sizes)
        counted = 0
        for t in range(lesson.lengths[b]):
            before = learner.place[1]
            now = 0 if before else sizes.time_step
            learner.place[1] = now
            count = take_inputs(inputs, learner.values, lesson.x, lesson.tokens, t, b, fixed)
            set_inputs(learner, count, sizes)
            time_step(learner.activations, now, before, learner.w, inputs, learner.values, count, tables, sizes)
            advance_traces(learner, now, before, count, tables, sizes)
            if sizes.peepholes:
                advance_peephole_traces(learner, now, before, tables, sizes)
            if lesson.weights.size == 0 or lesson.weights[t, b] != 0:
                largest, error = correct(learner, lesson, now, before, t, b, count, tables, sizes)
                record_outputs(outputs, learner, t, b, sizes)
                counted += 1
                mean[b] += error
                worst[b] = max(worst[b], largest)
            clear_inputs(learner, count, sizes)
            learner.rates[RATE] *= learner.rates[DECAY]
            time_steps[b] = t + 1
            if worst[b] >= stop:
                break
        if counted:
            mean[b] /= counted
        if not (mean[b] < np.inf):
            break


class BlockLearner(Learner):
    """A network of memory blocks that learns online by the truncated rule; equations at the top of the file.

    Parameters
    ----------
    net : `rnnsim.networks.lstm1997.network.LSTM1997`; it learns in place
    rate : the learning rate as the papers have it, of half the squared error
    momentum : the last change of every weight times this is added to the next
    decay : the rate times this at every time step; it is whole again when a sequence begins
    sequence_decay : what it begins with, times this at every sequence
    wait : sequences that the rest of the network learns before the memory cells are there, as in experiment 2a of 1997; with
        g=logistic, whose cell inputs can be held at zero, and without biases of cells

    `worst`, `errors` and `time_steps` of what `learn` gives are one number a sequence. Raises `RnnsimError` for numbers out of
    range.

    >>> from rnnsim.networks.lstm1997.network import LSTM1997
    >>> from rnnsim.tasks.adding import Adding
    >>> task = Adding()
    >>> learner = BlockLearner(LSTM1997(2, 1, dtype="float64"), rate=0.5)
    >>> learner.learn(task.training_batch(0, 0, 20), task.loss).errors.shape
    (20,)
    """

    sequential = True

    def __init__(self, net, rate, momentum=0.0, decay=1.0, sequence_decay=1.0, wait=0):
        require(0 <= rate < np.inf, f"rate={rate}: expected a finite number of at least 0")
        require(0 <= momentum < 1, f"momentum={momentum}: expected a number from 0 up to 1")
        for name, value in (("decay", decay), ("sequence_decay", sequence_decay)):
            require(0 < value <= 1, f"{name}={value}: expected a number above 0, 1 at most")
        silent = net.g == "logistic" and net.bias != "all"
        require(not wait or silent, "wait: needs g=logistic and cells without biases")
        self._options = rate, momentum, decay, sequence_decay, wait
        self.net, sizes, space = net, net.sizes, Workspace(net.dtype)  # vectors begin on cache lines
        self.turn = threading.RLock()  # of the methods that are `exclusive`
        sources, free = sizes.recurrent + 1 + sizes.inputs, self._biased()
        row = sizes.kinds * sizes.lanes  # of eligibility traces, those by a source
        lengths = dict(w=net.origin.size, velocity=net.origin.size if momentum else 0, rates=5)
        lengths |= dict(activations=(STRETCH + 1) * sizes.time_step, factors=STRETCH * row)
        lengths |= dict(traces=sources * row, present=sources, values=sizes.inputs)
        lengths |= dict(peephole_traces=2 * sizes.size * sizes.lanes, e=sizes.columns, y=sizes.columns)
        lengths |= dict(d=sizes.time_step, change=sizes.lanes, free=free.size)
        self._parts = LearnerArrays(
            sources=np.arange(sources),
            active=np.arange(sources),
            known=np.zeros(sources, np.int8),
            place=np.array([sizes.recurrent + 1, 0]),
            **{name: space.array(name, (size,)) for name, size in lengths.items()},
        )
        self._parts.w[...] = net.packed(net.theta)
        self._parts.rates[...] = rate, rate, decay, sequence_decay, momentum
        self._parts.present[sizes.recurrent] = 1  # the bias
        self._parts.free[...] = free
        self.wait, self.sequences, self.updates = wait, 0, 0
        self._cells = net.layout.view(net.theta, "weight_cell").copy()  # those that come later
        if wait:
            self._put_cells(_SILENT)

    @classmethod
    def by(cls, net, rule, optimizer):
        """The learner of a rule "truncated" and of `sgd` or `momentum`, whose learning rates belong to the squared error itself.

        The schedule of the optimizer may have the parts per-time-step and per-sequence. Raises `RnnsimError` for all other
        optimizers and options, which this kernel does not know.
        """
        plain = {"learning_rate", "momentum", "schedule"}
        known, kind = optimizer.config, type(optimizer)
        default = kind().config
        other = [key for key in known if key not in plain and known[key] != default[key]]
        words = f"optimizer {optimizer.name}: network 'lstm1997' learns at every time step by sgd or momentum, "
        require(optimizer.name in ("sgd", "momentum"), f"{words}not by {optimizer.name}")
        require(not other, f"{words}without {other and other[0]}")
        schedule = known["schedule"]
        require(
            not counts_updates(schedule), f"schedule={schedule}: expected per-time-step:d, per-sequence:d or both here"
        )
        rate, momentum = 2 * optimizer.learning_rate, known.get("momentum", 0.0)
        return cls(net, rate, momentum, *time_decays(schedule), wait=rule.wait)

    def _put_cells(self, weights):
        """The weights that lead into the cells."""
        self.net.layout.view(self.net.theta, "weight_cell")[...] = weights
        self._parts.w[...] = self.net.packed(self.net.theta)

    def __copy__(self):
        return copy.deepcopy(self)  # not two learners with one set of weights

    def __reduce__(self):
        return _restored, (self.net, self._options, self.snapshot(), self.updates, self._cells)

    def _biased(self):
        """(row,) 1 where a unit has a bias, else 0; (0,) if all have one."""
        sizes = self.net.sizes
        bias, unit = self.net.origin[sizes.recurrent * sizes.row :][: 2 * sizes.row].reshape(2, -1) >= 0
        return bias if (unit & ~bias).any() else bias[:0]

    @property
    def theta(self):
        """The weights as they are now, flat like those of the network."""
        return self._parts.w[self.net.slot]

    def snapshot(self):
        """All that it is now, for `go_back`."""
        return [part.copy() for part in self._parts], self.sequences

    def go_back(self, snapshot):
        """Back to a snapshot."""
        parts, self.sequences = snapshot
        for mine, kept in zip(self._parts, parts):
            mine[...] = kept
        self.net.theta[...] = self.theta

    @exclusive
    def learn(self, batch, loss, going_on=False, number=None, stop=np.inf, outputs=True):
        """See `rnnsim.core.learner.Learner.learn`; the sequences of a batch are learned from one after the other.

        `loss` says where the targets stand, at "every" time step or the "last". `stop`: a sequence ends after a time step with
        such an error.
        """
        require(loss.kind == "squared_error", f"the truncated rule online descends the squared error, not {loss.kind}")
        before = self.snapshot()
        try:
            if self.sequences < self.wait < self.sequences + batch.size:  # the cells come within this batch
                first = self.wait - self.sequences
                parts = [batch.take(slice(first)), batch.take(slice(first, None))]
            else:
                parts = [batch]
            found = [self._learn(part, loss, going_on and k == 0, stop, outputs) for k, part in enumerate(parts)]
            theta = self.theta
            if not np.isfinite(theta).all():
                index = int(np.argmin(np.isfinite(theta)))
                raise NotFinite(f"{self.net.layout.at(index)} is {theta[index]}")
        except NotFinite as error:
            self.go_back(before)
            error.untouched = True
            raise
        self.net.theta[...] = theta
        return found[0] if len(found) == 1 else _joined(found)

    def _learn(self, batch, loss, going_on, stop, outputs):
        net = self.net
        x, tokens, lengths = self._inputs(batch)
        steps, size = x.shape[:2]
        last = loss.when == "last"
        targets = _targets(batch.targets, (1 if last else steps, size, net.n_outputs), net.dtype, "targets")
        weights = np.zeros((0, 0), net.dtype)
        if batch.weights is not None:
            weights = _targets(batch.weights, (1 if last else steps, size), net.dtype, "weights")
        lesson = Lesson(x, tokens, lengths, targets, weights)
        out = np.zeros(targets.shape if outputs else (0, 0, 0), net.dtype)
        worst, errors, done = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
        if last:
            learn_at_the_end(worst, errors, done, out, self._parts, lesson, going_on, net.tables, net.sizes)
        else:
            learn_on_the_way(worst, errors, done, out, self._parts, lesson, stop, going_on, net.tables, net.sizes)
        wrong = np.flatnonzero(~np.isfinite(errors))
        if wrong.size:
            raise NotFinite(f"the error of sequence {self.sequences + wrong[0] + 1} is {errors[wrong[0]]}")
        self.sequences += size
        reached = np.arange(1 if last else steps)[:, None] < done
        self.updates += int(np.count_nonzero(reached & (weights != 0) if weights.size else reached))
        if self.sequences == self.wait:
            self.net.theta[...] = self.theta
            self._put_cells(self._cells)
        out = (out[0] if last else out) if outputs else None
        return LearnResult(float(errors.mean()), out, worst=worst, errors=errors, time_steps=done)

    def parts(self, going_on):
        """See `rnnsim.core.learner.Learner.parts`."""
        numbers = {"updates": self.updates, "learned": self.sequences}
        arrays = dict(zip(LearnerArrays._fields, self._parts)) | {"cells": self._cells}
        return {"theta": self.theta, "optimizer": arrays, "memory": None, "state": None, "numbers": numbers}

    def restore(self, stored, path):
        """See `rnnsim.core.learner.Learner.restore`."""
        fill_arrays(self.parts(True)["optimizer"], stored.optimizer, f"{path} holds another run")
        self.updates, self.sequences = stored.progress["updates"], stored.progress["learned"]

    def _inputs(self, batch):
        """(vectors, tokens, lengths) of a batch; one of the first two is empty.

        Vectors keep their type, so that what a task gives is not copied; a number that is not finite shows in the error.
        """
        net, inputs = self.net, np.asarray(batch.inputs)
        if net.tokens or inputs.dtype.kind != "f":
            inputs, _ = net._checked(inputs, None)
        fits = net.tokens or (inputs.ndim == 3 and inputs.shape[2] == net.n_inputs and inputs.size > 0)
        require(fits, f"inputs: expected shape (T, B, {net.n_inputs}), got {inputs.shape}")
        steps, size = inputs.shape[:2]
        lengths = np.full(size, steps) if batch.lengths is None else np.asarray(batch.lengths, np.int64)
        fits = lengths.shape == (size,) and lengths.min() >= 0 and lengths.max() <= steps
        require(fits, f"lengths: expected {size} numbers from 0 to {steps}")
        if net.tokens:
            return np.zeros((steps, size, 0), np.float32), np.ascontiguousarray(inputs, np.int32), lengths
        return np.ascontiguousarray(inputs), np.zeros((0, 0), np.int32), lengths


def _restored(net, options, snapshot, updates, cells):
    learner = BlockLearner(net, *options)
    learner.go_back(snapshot)
    learner.updates = updates
    learner._cells[...] = cells
    return learner


def _targets(values, shape, dtype, name):
    values = np.asarray(values)
    require(values.size == np.prod(shape), f"{name} of shape {list(values.shape)}: expected {list(shape)}")
    return np.ascontiguousarray(values, dtype).reshape(shape)


def _joined(results):
    """One `LearnResult` of two batches after each other."""
    first, second = results
    end = max(part.outputs.shape[0] for part in results) if first.outputs is not None and first.outputs.ndim == 3 else 0
    outputs = first.outputs
    if outputs is not None and outputs.ndim == 2:
        outputs = np.concatenate([part.outputs for part in results])
    elif outputs is not None:
        padded = [np.pad(part.outputs, ((0, end - len(part.outputs)), (0, 0), (0, 0))) for part in results]
        outputs = np.concatenate(padded, axis=1)
    worst, errors, done = (
        np.concatenate([getattr(part, name) for part in results]) for name in ("worst", "errors", "time_steps")
    )
    return LearnResult(float(errors.mean()), outputs, worst=worst, errors=errors, time_steps=done)
