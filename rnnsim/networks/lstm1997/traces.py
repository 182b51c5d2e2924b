"""The partial derivatives that `rnnsim.networks.lstm1997.learner` carries on, whose equations stand at the top of that file.

Tick by tick, where every tick may change the weights, or over a stretch of ticks at once, where the last one of a sequence alone
does: the same sums in another order. A source that has partial derivatives is active; inputs become so when they are not zero.
"""

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, item, load, mask, store, width
from rnnsim.networks.lstm1997.unroll import _ALL, G, curve_slope, mates_of, take_inputs


@jit_borrowed
def activate(learner, source):
    """From now on an input is one of those with partial derivatives."""
    learner.known[source] = 1
    learner.active[learner.place[0]] = source
    learner.place[0] += 1


# -- tick by tick ---------------------------------------------------------------------------------------------------------------


@jit_borrowed
def carry_source(partial, at, n, value, by_cell, by_in):
    """S_cell and S_in of one source, without forget gates."""
    live = mask(_ALL)
    store(partial, at, live, load(partial, at, live) + by_cell * value)
    store(partial, at + n, live, load(partial, at + n, live) + by_in * value)


@jit_borrowed
def carry_forgetting(partial, at, n, value, by_cell, by_in, by_forget, phi):
    """S_cell, S_in and S_phi of one source."""
    live = mask(_ALL)
    store(partial, at, live, load(partial, at, live) * phi + by_cell * value)
    store(partial, at + n, live, load(partial, at + n, live) * phi + by_in * value)
    store(partial, at + 2 * n, live, load(partial, at + 2 * n, live) * phi + by_forget * value)


@jit_borrowed
def carry_partials(learner, now, before, count, wiring, shape):
    """The partial derivatives of the states of this tick: of outputs of the tick before, the bias, and inputs."""
    tape, partial, live, n, seen = learner.tape, learner.partial, mask(_ALL), shape.lanes, wiring.seen
    one = partial.dtype.type(1)
    for j in range(0, n, width(tape)):
        g, gate = load(tape, now + j, live), load(tape, now + n + j, live)
        by_cell, by_in = gate * curve_slope(g, wiring.curves, G), g * (gate - gate * gate)
        if shape.forget:
            phi = load(tape, now + shape.forget + j, live)
            by_forget = load(tape, before + shape.s + j, live) * (phi - phi * phi)
            for k in range(seen.size):
                value = item(tape, before + item(seen, k))
                carry_forgetting(partial, k * 3 * n + j, n, value, by_cell, by_in, by_forget, phi)
            carry_forgetting(partial, seen.size * 3 * n + j, n, one, by_cell, by_in, by_forget, phi)
            for k in range(seen.size + 1, learner.place[0]):
                source = item(learner.active, k)
                value = item(learner.present, source)
                carry_forgetting(partial, source * 3 * n + j, n, value, by_cell, by_in, by_forget, phi)
        else:
            for k in range(seen.size):
                carry_source(partial, k * 2 * n + j, n, item(tape, before + item(seen, k)), by_cell, by_in)
            carry_source(partial, seen.size * 2 * n + j, n, one, by_cell, by_in)
            for k in range(count):
                source = item(learner.sources, seen.size + 1 + k)
                carry_source(partial, source * 2 * n + j, n, item(learner.values, k), by_cell, by_in)


@jit_borrowed
def carry_peepholes(learner, now, before, wiring, shape):
    """The same for the peepholes of input and forget gates, whose sources are the states of the tick before."""
    tape, partial, live, n = learner.tape, learner.peephole_partial, mask(_ALL), shape.lanes
    states, kind = before + shape.s, shape.size * n
    for j in range(0, n, width(tape)):
        g, gate = load(tape, now + j, live), load(tape, now + n + j, live)
        by_in, phi = g * (gate - gate * gate), broadcast(tape, 1.0)
        if shape.forget:
            phi = load(tape, now + shape.forget + j, live)
        by_forget = load(tape, states + j, live) * (phi - phi * phi)
        for at in range(j, kind, n):
            seen = mates_of(tape, states, at, wiring, shape)
            store(partial, at, live, load(partial, at, live) * phi + by_in * seen)
            store(partial, kind + at, live, load(partial, kind + at, live) * phi + by_forget * seen)


# -- many ticks at once ---------------------------------------------------------------------------------------------------------


@jit_borrowed
def weigh_back(learner, ticks, j, wiring, shape):
    """Factors of u_m in the partial derivatives at the end of a stretch, from its last tick to its first; gives what is kept.

    What a tick adds is kept by the forget gates of all ticks that follow: S(T) = phi(T)..phi(1) S(0) + sum_t phi(T)..phi(t+1)
    [g' in, g in', s phi'](t) u_m(t).
    """
    tape, factors, live, n = learner.tape, learner.factors, mask(_ALL), shape.lanes
    kept, kinds = broadcast(tape, 1.0), shape.kinds
    for t in range(ticks - 1, -1, -1):
        before, at = t * shape.tick, t * kinds * n + j
        now = before + shape.tick
        g, gate = load(tape, now + j, live), load(tape, now + n + j, live)
        store(factors, at, live, kept * (gate * curve_slope(g, wiring.curves, G)))
        store(factors, at + n, live, kept * (g * (gate - gate * gate)))
        if shape.forget:
            phi = load(tape, now + shape.forget + j, live)
            store(factors, at + 2 * n, live, kept * (load(tape, before + shape.s + j, live) * (phi - phi * phi)))
            kept = kept * phi
    return kept


@jit_borrowed
def sum_four(learner, ticks, at, step, kept, place, distance, wiring, k, shape):
    """One kind of partial derivatives by the outputs k .. k + 3 of the hidden layer, in rows `distance` apart."""
    tape, factors, partial, live, seen = learner.tape, learner.factors, learner.partial, mask(_ALL), wiring.seen
    a, b = load(partial, place, live) * kept, load(partial, place + distance, live) * kept
    c, d = load(partial, place + 2 * distance, live) * kept, load(partial, place + 3 * distance, live) * kept
    u_a, u_b, u_c, u_d = item(seen, k), item(seen, k + 1), item(seen, k + 2), item(seen, k + 3)
    for t in range(ticks):
        before, factor = t * shape.tick, load(factors, at + t * step, live)
        a, b = a + factor * item(tape, before + u_a), b + factor * item(tape, before + u_b)
        c, d = c + factor * item(tape, before + u_c), d + factor * item(tape, before + u_d)
    store(partial, place, live, a)
    store(partial, place + distance, live, b)
    store(partial, place + 2 * distance, live, c)
    store(partial, place + 3 * distance, live, d)


@jit_borrowed
def sum_one(learner, ticks, at, step, kept, place, seen, shape):
    """One kind of partial derivatives by the output that stands at `seen` in a row of the tape."""
    tape, factors, live = learner.tape, learner.factors, mask(_ALL)
    a = load(learner.partial, place, live) * kept
    for t in range(ticks):
        a = a + load(factors, at + t * step, live) * item(tape, t * shape.tick + seen)
    store(learner.partial, place, live, a)


@jit_borrowed
def sum_inputs(learner, lesson, start, ticks, b, kept, j, shape):
    """The partial derivatives by inputs; few of them are not zero at a tick."""
    partial, live, n, fixed = learner.partial, mask(_ALL), shape.lanes, shape.recurrent + 1
    inputs, kinds = learner.sources[fixed:], shape.kinds
    for k in range(fixed, learner.place[0] if shape.forget else fixed):
        for at in range(item(learner.active, k) * kinds * n + j, (item(learner.active, k) + 1) * kinds * n, n):
            store(partial, at, live, load(partial, at, live) * kept)
    for t in range(ticks):
        for k in range(take_inputs(inputs, learner.values, lesson.x, lesson.tokens, start + t, b, fixed)):
            source, value = item(inputs, k), item(learner.values, k)
            if item(learner.known, source) == 0:
                activate(learner, source)
            at, factor = source * kinds * n + j, t * kinds * n + j
            for _ in range(kinds):
                store(partial, at, live, load(partial, at, live) + load(learner.factors, factor, live) * value)
                at, factor = at + n, factor + n


@jit_borrowed
def sum_peepholes(learner, ticks, kept, j, wiring, shape):
    """The partial derivatives by the peepholes of input and forget gates, whose sources are the states of the tick before."""
    tape, partial, factors, live, n = learner.tape, learner.peephole_partial, learner.factors, mask(_ALL), shape.lanes
    for cell in range(shape.size):
        for kind in range(1, shape.kinds):
            at = cell * n + j
            place = (kind - 1) * shape.size * n + at
            a = load(partial, place, live) * kept
            for t in range(ticks):
                factor = load(factors, (t * shape.kinds + kind) * n + j, live)
                a = a + factor * mates_of(tape, t * shape.tick + shape.s, at, wiring, shape)
            store(partial, place, live, a)


@jit_borrowed
def carry_over(learner, lesson, start, ticks, b, wiring, shape):
    """The partial derivatives after a stretch of ticks, from those before it and the rows of the tape.

    Tick by tick they would go to memory and back every time. Summed up over ticks they stay in registers.
    """
    n, recurrent, live = shape.lanes, shape.recurrent, mask(_ALL)
    row = shape.kinds * n
    for j in range(0, n, width(learner.tape)):
        kept = weigh_back(learner, ticks, j, wiring, shape)
        for kind in range(j, row, n):
            for k in range(0, recurrent - 3, 4):
                sum_four(learner, ticks, kind, row, kept, k * row + kind, row, wiring, k, shape)
            for k in range(recurrent - recurrent % 4, recurrent):
                sum_one(learner, ticks, kind, row, kept, k * row + kind, item(wiring.seen, k), shape)
            place = recurrent * row + kind
            bias = load(learner.partial, place, live) * kept
            for t in range(ticks):
                bias = bias + load(learner.factors, kind + t * row, live)
            store(learner.partial, place, live, bias)
        sum_inputs(learner, lesson, start, ticks, b, kept, j, shape)
        if shape.peepholes:
            sum_peepholes(learner, ticks, kept, j, wiring, shape)
