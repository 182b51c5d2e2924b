"""`rnnsim warmup`: compile every kernel into the cache, so that later commands need not compile."""

import time

import click

from rnnsim.errors import RnnsimError, unknown
from rnnsim_cli.console import as_json, report, size, table

# Large enough that two threads share every product (see `rnnsim.core.products.PARALLEL_WORK`).
TIME_STEPS, ROWS, INPUTS, OUTPUTS, HIDDEN = 12, 32, 24, 24, 48
# Structures of layers that pass arrays of different memory layout to the kernels.
STRUCTURES = (
    {},
    {"layers": 2, "bidirectional": True, "skip": True},
    {"layers": 2, "learned_initial_state": True},
    {"tokens": True, "embedding": 8},
    {"readout": "units"},
)


def kernels(names=()):
    """Yields (what, dtype, threads, function without arguments that makes its kernels compile); of the `names` alone if given."""
    from rnnsim.core import threads
    from rnnsim.core.losses import KINDS
    from rnnsim.networks import NETWORKS
    from rnnsim.optimizers import OPTIMIZERS
    from rnnsim.tasks import TASKS

    networks, optimizers, tasks = (
        [name for name in names if _is_in(registry, name)] if names else list(registry)
        for registry in (NETWORKS, OPTIMIZERS, TASKS)
    )
    for name in names:
        if name not in (*networks, *optimizers, *tasks):
            raise unknown("network, task or optimizer", name, [*NETWORKS, *TASKS, *OPTIMIZERS])
    counts = sorted({1, min(2, threads.available())}, reverse=True)
    for dtype in ("float32", "float64"):
        for name in networks:
            for count in counts:
                yield f"network {name}", dtype, count, lambda n=name, d=dtype: _network(n, d)
        for kind in () if names else KINDS:
            yield f"loss {kind}", dtype, 1, lambda k=kind, d=dtype: _loss(k, d)
        for name in optimizers:
            yield f"optimizer {name}", dtype, 1, lambda n=name, d=dtype: _optimizer(n, d)
    for name in tasks:
        yield f"task {name}", "float32", 1, lambda n=name: _task(n)


def _is_in(registry, name):
    """Whether a name is one of the registry, or the place of such a class."""
    from rnnsim.core import plugins

    if not plugins.is_place(name):
        return name in registry
    found = plugins.load(name, "network, task or optimizer")
    try:
        registry.load(found)
    except RnnsimError:
        return False
    return True


def _network(name, dtype):
    """Training steps of all structures, for losses at every time step and at the last one, with and without lengths."""
    import numpy as np

    from rnnsim.core.batch import Sequences
    from rnnsim.core.losses import Loss
    from rnnsim.learning import RULES
    from rnnsim.networks import build, options_of
    from rnnsim.networks.interface import TIME
    from rnnsim.optimizers import SGD

    known = options_of(name)
    for structure in STRUCTURES:
        options = {key: value for key, value in structure.items() if key != "tokens"}
        if not set(options) <= set(known):
            continue
        tokens = structure.get("tokens", False)
        options |= {"hidden": HIDDEN} if "hidden" in known else {}
        net = build(name, INPUTS, OUTPUTS, options, dtype, tokens=tokens)
        inputs = np.zeros((TIME_STEPS, ROWS), np.int32) if tokens else np.zeros((TIME_STEPS, ROWS, INPUTS), dtype)
        for when, shape in (("every", (TIME_STEPS, ROWS, OUTPUTS)), ("last", (ROWS, OUTPUTS))):
            targets, loss = np.zeros(shape), Loss("squared_error", when=when)
            for lengths in (None, np.full(ROWS, TIME_STEPS, np.int32)):
                batch = Sequences(inputs, targets, lengths=lengths)
                net.loss_and_gradient(batch, loss)
            if "truncated" in net.procedures:
                batch.inputs = inputs if tokens else inputs.astype(np.float32)  # as tasks give them
                net.learner_by(RULES.build("truncated", {"every": 1}), SGD(0.1)).learn(batch, loss)
        if TIME in net.capabilities:
            net.forward(inputs[:, :1])


def _loss(kind, dtype):
    import numpy as np

    from rnnsim.core.losses import Loss

    outputs = np.zeros((2, 3, 4), dtype)
    for when, shape in (("every", (2, 3)), ("last", (3,))):
        y = outputs if when == "every" else outputs[0]
        loss = Loss(kind, when=when)
        targets = [np.zeros_like(y)] + ([np.zeros(shape, np.int32)] if kind == "softmax" else [])
        for target in targets:
            loss.evaluate(y, target, gradient=np.empty_like(y))
            loss.evaluate(y, target, weights=np.ones(shape), lengths=np.ones(3, np.int32))


def _optimizer(name, dtype):
    import numpy as np

    from rnnsim.core.vmath import all_finite
    from rnnsim.optimizers import OPTIMIZERS

    theta, gradient = np.zeros(8, dtype), np.ones(8, dtype)
    for live in (None, np.ones(8, bool)):
        optimizer = OPTIMIZERS.build(name, {"clip_norm": 1.0, "weight_noise": 0.1})
        optimizer.step(theta, gradient, optimizer.init(theta), 0, live)
        optimizer.perturbed(theta, 0, 0, live)
    all_finite(theta)


def _task(name):
    from rnnsim.tasks import TASKS

    TASKS.build(name).training_batch(0, 0, 2)


@click.command("warmup", short_help="Compile all kernels.")
@click.argument("names", metavar="[NETWORK|TASK|OPTIMIZER]...", nargs=-1)
@as_json
def command(names, json_wanted):
    """Compile the kernels of all networks, losses, optimizers and tasks, in float32 and float64, into the cache.

    With names, only those of the named networks, tasks and optimizers; they may be your own: rnnsim warmup ./mycell.py:MyCell

    Kernels that are in the cache take milliseconds. Tasks whose data have not been fetched are skipped.
    """
    from rnnsim.core import threads
    from rnnsim_cli.cache import contents

    before, rows = threads.get_threads(), []
    if not json_wanted:
        click.echo(f"{'seconds':>7}  kernels")
    try:
        for what, dtype, count, compile_ in kernels(names):
            threads.set_threads(count)
            began, skipped = time.perf_counter(), None
            try:
                compile_()
            except (RnnsimError, OSError) as error:
                if not what.startswith("task "):
                    raise
                skipped = str(error)
            seconds = time.perf_counter() - began
            row = {"kernels": what, "dtype": dtype, "threads": count, "seconds": round(seconds, 3)}
            rows.append(row | ({"skipped": skipped} if skipped else {}))
            if not json_wanted:
                note = f" (skipped: {skipped})" if skipped else ""
                click.echo(f"{seconds:7.2f}  {what}, {dtype}, {count} thread{'s'[: count - 1]}{note}")
    finally:
        threads.set_threads(before)
    total, found = sum(row["seconds"] for row in rows), contents()
    data = {"kernels": rows, "seconds": round(total, 3), "cache": found}
    report(data, json_wanted, table([(f"{total:7.2f}", f"in all; {size(found['bytes'])} in {found['folder']}")]))
