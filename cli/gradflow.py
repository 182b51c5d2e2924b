"""`rnnsim gradflow`: how errors scale on their way back in time, in a table and a picture."""

from pathlib import Path

import click

from rnnsim.errors import RnnsimError, unknown
from rnnsim_cli import own_code
from rnnsim_cli.console import as_json, key_values, pairs, report, table


@click.command("gradflow", short_help="Measure vanishing and exploding errors.")
@click.argument("names", nargs=-1, required=True, metavar="RUN|NETWORK...")
@key_values("An option of all networks given by name; also inputs=.")
@click.option("--lags", type=click.IntRange(1), default=100, show_default=True, help="Longest lag, in time steps.")
@click.option(
    "--ends", type=click.IntRange(1), default=10, show_default=True, help="Number of time steps at which errors start."
)
@click.option("--length", type=click.IntRange(2), help="Time steps of the sequence. [default: 3 lags + ends]")
@click.option(
    "--scale", type=float, default=1.0, show_default=True, help="Factor on the weights of networks given by name."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of weights and inputs.")
@click.option("--out", metavar="FILE", help="File to write a picture of all networks to (.png, .svg, .pdf).")
@own_code.options
@as_json
def command(names, options, lags, ends, length, scale, seed, out, json_wanted, code, accept_source):
    """Measure how an error scales on its way back in time: its largest factor at each lag, the fitted exponential rate, and the
    largest Lyapunov exponent. Errors vanish at a rate below 0 and explode at a rate above 0.

    Each name is the folder of a run, whose network reads the test sequences of its task one after another; or a network with
    options after colons, which gets initial weights and reads normal random numbers.

    \b
    rnnsim gradflow rnn lstm:gates=no-forget lstm gru -o hidden=50 --out gradflow.png
    """
    import numpy as np

    from rnnsim.learning.gradient_flow import gradient_flow

    given = pairs(options, "-o")
    length = 3 * lags + ends if length is None else length
    if len(set(names)) < len(names):
        raise RnnsimError(f"{next(name for name in names if names.count(name) > 1)}: given twice")
    if not scale > 0 or not np.isfinite(scale):
        raise RnnsimError(f"--scale {scale:g}: expected a number above 0")
    flows = {}
    for name in names:
        net, inputs = (
            _run(name, length, code, accept_source)
            if Path(name).is_dir()
            else _network(name, given, length, scale, seed)
        )
        flows[name] = gradient_flow(net, inputs, lags, ends)
    data = {"length": length, "networks": [_figures(name, flow) for name, flow in flows.items()]}
    if out:
        from rnnsim.plotting.gradient_flow import backward_error

        data["figure"] = str(backward_error(flows, out, "largest factor of a backward error"))

    def lines():
        shown = sorted({lag for lag in (1, 10, 100, 1000) if lag < lags} | {lags})
        titles = ("network", "state", *(f"lag {lag}" for lag in shown), "rate", "Lyapunov", "errors")
        rows = []
        for name, flow in flows.items():
            factors = [f"{flow.factors[0][lag - 1]:.2g}" for lag in shown]
            rates = (f"{flow.rate:+.4f}", f"{flow.exponents[0]:+.4f}")
            rows.append((Path(name).name, str(flow.size), *factors, *rates, _verdict(flow, lags)))
        yield from table(rows, titles, right=tuple(range(1, len(titles) - 1)))
        if out:
            yield f"figure {data['figure']}"

    report(data, json_wanted, lines)


def _verdict(flow, lags):
    """In words: whether the error changes by more than a factor of 10 over the longest lag."""
    change = flow.rate * lags
    return "vanish" if change < -2.3 else "explode" if change > 2.3 else "stay"


def _figures(name, flow):
    largest, typical = flow.factors
    return dict(
        network=name,
        state=flow.size,
        rate=flow.rate,
        lyapunov=flow.exponents[0],
        lags=flow.lags,
        largest=largest,
        typical=typical,
    )


def _network(label, given, length, scale, seed):
    """A network by name and options after colons, and random inputs for it."""
    import numpy as np

    from rnnsim.cells import CELLS
    from rnnsim.core import plugins
    from rnnsim.networks import options_of
    from rnnsim_cli.describe import SIZES, build_network

    name, own = plugins.split_options(label)
    if name not in CELLS and not plugins.is_place(name):
        raise unknown("run or network", name, list(CELLS))
    known = {*options_of(name), *SIZES}
    shared = {key: value for key, value in given.items() if key in known}
    for key in given:
        if not any(key in options_of(cell) for cell in (name, *CELLS)) and key not in SIZES:
            raise unknown("option", key, known)
    options = {"inputs": "8", **shared, **pairs(own, f"{name}:")}
    net = build_network(name, options, "float64", seed)
    net.theta *= scale
    rng = np.random.default_rng(seed)
    if net.tokens:
        return net, rng.integers(0, net.n_inputs, length)
    return net, rng.normal(size=(length, net.n_inputs))


def _run(folder, length, code, accept_source):
    """The network of a run, and its task's test sequences one after another."""
    import numpy as np

    from rnnsim.training.run import open_run

    run = open_run(folder, code, accept_source)
    net, parts, read = run.net(), [], 0
    for batch in run.task().evaluation_batches(0, 1):
        end = len(batch.inputs) if batch.lengths is None else int(batch.lengths[0])
        parts.append(batch.inputs[:end, 0])
        read += end
        if read >= length:
            break
    return net, np.concatenate(parts)[:length]
