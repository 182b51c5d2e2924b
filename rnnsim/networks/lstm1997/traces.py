"""The eligibility traces that `rnnsim.networks.lstm1997.learner` carries on, whose equations stand at the top of that file.

They advance time step by time step where every time step may change the weights, or over a stretch of time steps at once where
only the last one of a sequence does: the same sums in another order. A source that has eligibility traces is active; inputs
become active when they are not zero.
"""

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, item, load, mask, store, width
from rnnsim.networks.lstm1997.unroll import _ALL, G, block_states, curve_slope, take_inputs


@jit_borrowed
def activate(learner, source):
    """From now on an input is one of those with eligibility traces."""
    learner.known[source] = 1
    learner.active[learner.place[0]] = source
    learner.place[0] += 1


# -- one time step -------------------------------------------------------------------------------------------------------------


@jit_borrowed
def advance_source(traces, at, n, value, by_cell, by_in):
    """S_cell and S_in of one source, without forget gates."""
    active = mask(_ALL)
    store(traces, at, active, load(traces, at, active) + by_cell * value)
    store(traces, at + n, active, load(traces, at + n, active) + by_in * value)


@jit_borrowed
def advance_forgetting_source(traces, at, n, value, by_cell, by_in, by_forget, phi):
    """S_cell, S_in and S_phi of one source."""
    active = mask(_ALL)
    store(traces, at, active, load(traces, at, active) * phi + by_cell * value)
    store(traces, at + n, active, load(traces, at + n, active) * phi + by_in * value)
    store(traces, at + 2 * n, active, load(traces, at + 2 * n, active) * phi + by_forget * value)


@jit_borrowed
def advance_traces(learner, now, before, count, tables, sizes):
    """The eligibility traces of the states of this time step: of outputs of the time step before, the bias, and inputs."""
    activations, traces, active, n, seen = learner.activations, learner.traces, mask(_ALL), sizes.lanes, tables.seen
    one = traces.dtype.type(1)
    for j in range(0, n, width(activations)):
        g, gate = load(activations, now + j, active), load(activations, now + n + j, active)
        by_cell, by_in = gate * curve_slope(g, tables.curves, G), g * (gate - gate * gate)
        if sizes.forget:
            phi = load(activations, now + sizes.forget + j, active)
            by_forget = load(activations, before + sizes.s + j, active) * (phi - phi * phi)
            for k in range(seen.size):
                value = item(activations, before + item(seen, k))
                advance_forgetting_source(traces, k * 3 * n + j, n, value, by_cell, by_in, by_forget, phi)
            advance_forgetting_source(traces, seen.size * 3 * n + j, n, one, by_cell, by_in, by_forget, phi)
            for k in range(seen.size + 1, learner.place[0]):
                source = item(learner.active, k)
                value = item(learner.present, source)
                advance_forgetting_source(traces, source * 3 * n + j, n, value, by_cell, by_in, by_forget, phi)
        else:
            for k in range(seen.size):
                advance_source(traces, k * 2 * n + j, n, item(activations, before + item(seen, k)), by_cell, by_in)
            advance_source(traces, seen.size * 2 * n + j, n, one, by_cell, by_in)
            for k in range(count):
                source = item(learner.sources, seen.size + 1 + k)
                advance_source(traces, source * 2 * n + j, n, item(learner.values, k), by_cell, by_in)


@jit_borrowed
def advance_peephole_traces(learner, now, before, tables, sizes):
    """The same for the peepholes of input and forget gates, whose sources are the states of the time step before."""
    activations, traces, active, n = learner.activations, learner.peephole_traces, mask(_ALL), sizes.lanes
    states, kind = before + sizes.s, sizes.size * n
    for j in range(0, n, width(activations)):
        g, gate = load(activations, now + j, active), load(activations, now + n + j, active)
        by_in, phi = g * (gate - gate * gate), broadcast(activations, 1.0)
        if sizes.forget:
            phi = load(activations, now + sizes.forget + j, active)
        by_forget = load(activations, states + j, active) * (phi - phi * phi)
        for at in range(j, kind, n):
            seen = block_states(activations, states, at, tables, sizes)
            store(traces, at, active, load(traces, at, active) * phi + by_in * seen)
            store(traces, kind + at, active, load(traces, kind + at, active) * phi + by_forget * seen)


# -- many time steps at once ---------------------------------------------------------------------------------------------------


@jit_borrowed
def weigh_back(learner, time_steps, j, tables, sizes):
    """Factors of u_m in the eligibility traces at the end of a stretch, from its last time step to its first; gives what is kept.

    The forget gates of all later time steps keep what a time step adds: S(T) = phi(T)..phi(1) S(0) + sum_t phi(T)..phi(t+1)
    [g' in, g in', s phi'](t) u_m(t).
    """
    activations, factors, active, n = learner.activations, learner.factors, mask(_ALL), sizes.lanes
    kept, kinds = broadcast(activations, 1.0), sizes.kinds
    for t in range(time_steps - 1, -1, -1):
        before, at = t * sizes.time_step, t * kinds * n + j
        now = before + sizes.time_step
        g, gate = load(activations, now + j, active), load(activations, now + n + j, active)
        store(factors, at, active, kept * (gate * curve_slope(g, tables.curves, G)))
        store(factors, at + n, active, kept * (g * (gate - gate * gate)))
        if sizes.forget:
            phi = load(activations, now + sizes.forget + j, active)
            store(
                factors,
                at + 2 * n,
                active,
                kept * (load(activations, before + sizes.s + j, active) * (phi - phi * phi)),
            )
            kept = kept * phi
    return kept


@jit_borrowed
def sum_four(learner, time_steps, at, step, kept, place, distance, tables, k, sizes):
    """One kind of eligibility traces by the outputs k .. k + 3 of the hidden layer, in rows `distance` apart."""
    activations, factors, traces, active, seen = (
        learner.activations,
        learner.factors,
        learner.traces,
        mask(_ALL),
        tables.seen,
    )
    a, b = load(traces, place, active) * kept, load(traces, place + distance, active) * kept
    c, d = load(traces, place + 2 * distance, active) * kept, load(traces, place + 3 * distance, active) * kept
    u_a, u_b, u_c, u_d = item(seen, k), item(seen, k + 1), item(seen, k + 2), item(seen, k + 3)
    for t in range(time_steps):
        before, factor = t * sizes.time_step, load(factors, at + t * step, active)
        a, b = a + factor * item(activations, before + u_a), b + factor * item(activations, before + u_b)
        c, d = c + factor * item(activations, before + u_c), d + factor * item(activations, before + u_d)
    store(traces, place, active, a)
    store(traces, place + distance, active, b)
    store(traces, place + 2 * distance, active, c)
    store(traces, place + 3 * distance, active, d)


@jit_borrowed
def sum_one(learner, time_steps, at, step, kept, place, seen, sizes):
    """One kind of eligibility traces by the output that stands at `seen` in a row of the activations."""
    activations, factors, active = learner.activations, learner.factors, mask(_ALL)
    a = load(learner.traces, place, active) * kept
    for t in range(time_steps):
        a = a + load(factors, at + t * step, active) * item(activations, t * sizes.time_step + seen)
    store(learner.traces, place, active, a)


@jit_borrowed
def sum_inputs(learner, lesson, start, time_steps, b, kept, j, sizes):
    """The eligibility traces by inputs; few of them are not zero at a time step."""
    traces, active, n, fixed = learner.traces, mask(_ALL), sizes.lanes, sizes.recurrent + 1
    inputs, kinds = learner.sources[fixed:], sizes.kinds
    for k in range(fixed, learner.place[0] if sizes.forget else fixed):
        for at in range(item(learner.active, k) * kinds * n + j, (item(learner.active, k) + 1) * kinds * n, n):
            store(traces, at, active, load(traces, at, active) * kept)
    for t in range(time_steps):
        for k in range(take_inputs(inputs, learner.values, lesson.x, lesson.tokens, start + t, b, fixed)):
            source, value = item(inputs, k), item(learner.values, k)
            if item(learner.known, source) == 0:
                activate(learner, source)
            at, factor = source * kinds * n + j, t * kinds * n + j
            for _ in range(kinds):
                store(traces, at, active, load(traces, at, active) + load(learner.factors, factor, active) * value)
                at, factor = at + n, factor + n


@jit_borrowed
def sum_peepholes(learner, time_steps, kept, j, tables, sizes):
    """The eligibility traces by the peepholes of input and forget gates, whose sources are the states of the time step before."""
    activations, traces, factors, active, n = (
        learner.activations,
        learner.peephole_traces,
        learner.factors,
        mask(_ALL),
        sizes.lanes,
    )
    for cell in range(sizes.size):
        for kind in range(1, sizes.kinds):
            at = cell * n + j
            place = (kind - 1) * sizes.size * n + at
            a = load(traces, place, active) * kept
            for t in range(time_steps):
                factor = load(factors, (t * sizes.kinds + kind) * n + j, active)
                a = a + factor * block_states(activations, t * sizes.time_step + sizes.s, at, tables, sizes)
            store(traces, place, active, a)


@jit_borrowed
def advance_stretch(learner, lesson, start, time_steps, b, tables, sizes):
    """The eligibility traces after a stretch of time steps, from those before it and the rows of the activations.

    Summed up over several time steps they stay in registers; otherwise they would go to memory and back at every time step.
    """
    n, recurrent, active = sizes.lanes, sizes.recurrent, mask(_ALL)
    row = sizes.kinds * n
    for j in range(0, n, width(learner.activations)):
        kept = weigh_back(learner, time_steps, j, tables, sizes)
        for kind in range(j, row, n):
            for k in range(0, recurrent - 3, 4):
                sum_four(learner, time_steps, kind, row, kept, k * row + kind, row, tables, k, sizes)
            for k in range(recurrent - recurrent % 4, recurrent):
                sum_one(learner, time_steps, kind, row, kept, k * row + kind, item(tables.seen, k), sizes)
            place = recurrent * row + kind
            bias = load(learner.traces, place, active) * kept
            for t in range(time_steps):
                bias = bias + load(learner.factors, kind + t * row, active)
            store(learner.traces, place, active, bias)
        sum_inputs(learner, lesson, start, time_steps, b, kept, j, sizes)
        if sizes.peepholes:
            sum_peepholes(learner, time_steps, kept, j, tables, sizes)
