"""What can be recorded of a neural Turing machine, and where its first number that is not finite is."""

import numpy as np

from rnnsim.networks.ntm.emission import emitted_by, quantities


def emitted(sizes):
    """What every head emits, in the order of the rows of weight_heads: ``[(head, quantity, first row, rows)]``."""
    found, place = [], 0
    for head in range(sizes.heads):
        for quantity, size in quantities(sizes.columns, sizes.shifts, head >= sizes.read_heads):
            found.append((head_name(sizes, head), quantity, place, size))
            place += size
    return found


def head_name(sizes, head):
    """A head in words."""
    return f"read head {head}" if head < sizes.read_heads else f"write head {head - sizes.read_heads}"


def trace_functions(sizes):
    """``{name: function of a tape that gives the trace (R, ...)}`` of all that can be recorded."""
    found = {}
    for name in "hc" if sizes.lstm else "h":
        for layer in range(sizes.layers):
            found[f"{name}_l{layer}"] = lambda tape, name=name, layer=layer: getattr(tape, name)[layer, tape.batch :]
    for kind, heads in (("read", range(sizes.read_heads)), ("write", range(sizes.read_heads, sizes.heads))):
        found[f"{kind}_weights"] = lambda tape, heads=heads: tape.weights[
            tape.batch :, heads.start : heads.stop, : tape.n_rows
        ]
        for quantity, _ in quantities(sizes.columns, sizes.shifts, kind == "write"):
            found[f"{kind}_{quantity}"] = lambda tape, heads=heads, quantity=quantity: np.stack(
                [emitted_by(tape, head, quantity, tape.read_heads, tape.columns) for head in heads], axis=1
            )
    found["reads"] = lambda tape: tape.reads[tape.batch :].reshape(-1, sizes.read_heads, sizes.columns)
    found["memory"] = lambda tape: tape.memory[tape.batch :, :, : tape.n_rows].transpose(0, 2, 1)
    return found


def first_not_finite(sizes, tape):
    """(time step, sequence, what is not finite, with its verb) of the first one of a pass, or None."""
    for t in range(tape.x.shape[0] // tape.batch):
        for b in range(tape.batch):
            if tape.lengths.size == 0 or t < tape.lengths[b]:
                what = _not_finite(sizes, tape, t * tape.batch + b)
                if what:
                    return t, b, what
    return None


def _not_finite(sizes, tape, row):
    slot = row + tape.batch
    for layer in range(sizes.layers):
        if not np.isfinite(tape.h[layer, slot]).all():
            return f"controller layer {layer} is"
    for head in range(sizes.heads):
        for quantity, _ in quantities(sizes.columns, sizes.shifts, head >= sizes.read_heads):
            if not np.isfinite(emitted_by(tape, head, quantity, sizes.read_heads, sizes.columns)[row]).all():
                return f"the {quantity} of {head_name(sizes, head)} is"
    for head in range(sizes.heads):
        if not np.isfinite(tape.weights[slot, head, : sizes.rows]).all():
            return f"the weighting of {head_name(sizes, head)} is"
    return None if np.isfinite(tape.memory[slot, :, : sizes.rows]).all() else "the memory is"
