"""`rnnsim describe`: parameters, sizes and options of a network; inputs, outputs, loss and criterion of a task."""

import click

from rnnsim.errors import RnnsimError, unknown
from rnnsim_cli.console import as_json, key_values, number, option_rows, pairs, report, table

SIZES = {"inputs": int, "outputs": int, "tokens": bool}


def split_sizes(options):
    """(sizes, the other options): inputs=, outputs= and tokens= are sizes, which otherwise the task gives."""
    from rnnsim.core.registry import convert

    sizes = {key: convert(options[key], kind, key) for key, kind in SIZES.items() if key in options}
    return sizes, {key: value for key, value in options.items() if key not in SIZES}


def build_network(name, options, dtype="float32", seed=0):
    """The network `name` from the options of the shell, with inputs=, outputs= (default 1) and tokens= among them."""
    from rnnsim.networks import build

    sizes, inner = split_sizes(options)
    return build(
        name,
        sizes.get("inputs", 1),
        sizes.get("outputs", 1),
        inner,
        dtype,
        tokens=sizes.get("tokens", False),
        seed=seed,
    )


@click.command("describe", short_help="Describe a network or a task.")
@click.argument("name")
@key_values("An option of it; for a network also inputs=, outputs=, tokens=.")
@as_json
def command(name, options, json_wanted):
    """Describe a network (parameters, sizes, options) or a task (options, loss, criterion).

    For instance: rnnsim describe gru -o variant=gru1 -o inputs=28 -o hidden=100
    """
    from rnnsim.core import plugins
    from rnnsim.networks import NETWORKS
    from rnnsim.tasks import TASKS, Task

    options = pairs(options, "-o")
    if plugins.is_place(name):
        found = plugins.load(name, "network or task")
        is_task = isinstance(found, type) and issubclass(found, Task)
    elif name in NETWORKS or name in TASKS:
        is_task = name not in NETWORKS
    else:
        raise unknown("network or task", name, [*NETWORKS, *TASKS])
    return _task(TASKS, name, options, json_wanted) if is_task else _network(name, options, json_wanted)


def _network(name, options, json_wanted):
    from rnnsim.networks import NETWORKS, explained, options_of
    from rnnsim.networks.interface import TIME

    net = build_network(name, options)
    known = options_of(name)
    values = net.config["options"]
    rows, about = option_rows(known), explained(name)
    data = {
        "network": name,
        "summary": summary_of(NETWORKS, name),
        "inputs": net.n_inputs,
        "outputs": net.n_outputs,
        "tokens": net.tokens,
        "parameters": [{"name": e.name, "shape": list(e.shape), "count": e.size} for e in net.layout],
        "recurrent_parameters": net.n_recurrent_parameters,
        "total_parameters": net.n_parameters,
        "trained_parameters": net.n_parameters if net.trainable is None else int(net.trainable.sum()),
        "state_size": net.state_size,
        "multiply_adds_per_time_step": net.cost_per_step,
        "traces": list(net.trace_names),
        "options": [
            {"name": n, "type": t, "default": d, "value": values.get(n), "about": about.get(n)} for n, t, d in rows
        ],
    }

    def lines():
        yield f"{name}: {data['summary']}; {net.n_inputs} inputs, {net.n_outputs} outputs"
        yield ""
        shapes = [(e.name, " x ".join(map(str, e.shape)), f"{e.size:,}") for e in net.layout]
        yield from table(shapes, ("parameter", "shape", "count"), right=(1, 2))
        yield ""
        facts = [
            ("recurrent parameters", f"{net.n_recurrent_parameters:,}"),
            ("all parameters", f"{net.n_parameters:,}"),
            ("state size", f"{net.state_size:,}"),
            (f"multiply-adds per {'time step' if TIME in net.capabilities else 'node'}", f"{net.cost_per_step:,}"),
        ]
        if net.trainable is not None:
            facts.insert(2, ("trained parameters", f"{data['trained_parameters']:,}"))
        yield from table(facts, right=(1,))
        if data["traces"]:
            yield f"traces: {', '.join(data['traces'])}"
        yield ""
        yield from _option_lines(rows, about)

    report(data, json_wanted, lines)


def summary_of(registry, name):
    """The line about an entry of a registry; for the user's own class the first line of its docstring."""
    import inspect

    if name in registry:
        return registry.summary(name)
    return (inspect.getdoc(registry.load(name)) or "no docstring").splitlines()[0].rstrip(".:")


def _option_lines(rows, about):
    """A table of options, with a line about each where the docstring of the class has one."""
    if not any(about.get(name) for name, _, _ in rows):
        return table([(n, d, t) for n, t, d in rows], ("option", "default", "type"))
    return table([(n, d, t, about.get(n, "")) for n, t, d in rows], ("option", "default", "type", "what it is"))


def describe_criterion(criterion):
    """A criterion as a dict of its fields; None for no criterion."""
    import dataclasses

    if criterion is None:
        return None
    return dataclasses.asdict(criterion) if dataclasses.is_dataclass(criterion) else {"criterion": str(criterion)}


def _task(tasks, name, options, json_wanted):
    from rnnsim.core.options import explanations, option_table

    rows = option_rows(option_table(tasks.load(name)))
    about = explanations(tasks.load(name))
    data = {"task": name, "summary": summary_of(tasks, name)}
    data["options"] = [{"name": n, "type": t, "default": d, "about": about.get(n)} for n, t, d in rows]
    try:
        task = tasks.build(name, options)
    except (RnnsimError, OSError) as error:
        if options:
            raise
        # A task over real data can be described before its data have been fetched; the description says why it cannot be built.
        task, data["not_ready"] = None, str(error)
    if task is not None:
        data["inputs"], data["outputs"], data["tokens"] = task.n_inputs, task.n_outputs, bool(task.tokens)
        data["streams"] = bool(task.streams)
        data["loss"] = {part: getattr(task.loss, part) for part in ("kind", "when", "per", "unit")}
        data["makes"] = task.makes.kind
        data["trivial_loss"] = None if task.trivial_loss is None else float(task.trivial_loss)
        data["criterion"] = describe_criterion(task.criterion)

    def lines():
        yield f"{name}: {data['summary']}"
        yield ""
        if task is None:
            yield data["not_ready"]
        else:
            kind = f"tokens 0..{task.n_inputs - 1}" if task.tokens else f"vectors of {task.n_inputs}"
            loss = data["loss"]
            where, per = task.makes.places[loss["when"]], task.makes.divisors[loss["per"]]
            facts = [
                ("inputs", kind),
                ("outputs", task.n_outputs),
                ("loss", f"{loss['kind']} at {where}, per {per}, in {loss['unit']}"),
                ("chance-level loss", number(data["trivial_loss"])),
                ("criterion", _criterion_text(data["criterion"])),
                (
                    "batches",
                    "continue the sequences of the batch before" if task.streams else f"independent {task.makes.kind}",
                ),
            ]
            yield from table(facts)
        if rows:
            yield ""
            yield from _option_lines(rows, about)

    report(data, json_wanted, lines)


def _criterion_text(criterion):
    if criterion is None:
        return "none"
    return ", ".join(f"{key}={number(value)}" for key, value in criterion.items() if value is not None)
