"""`rnnsim gradcheck`: gradients compared with finite differences, one parameter array after another.

For a random batch of examples of different sizes, the command compares the gradient in float64 with central differences

    (E(theta + e) - E(theta - e)) / (2 e),    e = 1e-5

and the gradient in float32 with the one in float64. The error of an array is the largest difference between entries over
the largest entry of either gradient; where that entry is so small that the
rounding of E exceeds a millionth of it, the rounding takes its place. With ``--rule`` the gradient is the one that the rule
computes, summed over its updates at fixed weights; the command then compares it with back-propagation through time as well.
"""

import itertools

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli.console import as_json, key_values, pairs, report, table

STEP = 1e-5
EXAMPLES = 3
MOST = 2000  # combinations of choices that --all checks
ROUNDINGS = 4  # rounding error of a loss over a few time steps, in units in the last place
FLOAT32_TOLERANCE = 1e-3  # rounding of single precision over a few time steps, with a margin for cancellation


def combinations(name):
    """The option dicts that --all checks for one network.

    All `rnnsim.core.options.variants` of the cell on a plain network; then every combination of the network's choices on two
    layers with the cell as it is by default, and tokens with and without embedding; then the network's own ``tested_options``.
    """
    from rnnsim.core import options
    from rnnsim.networks import options_of, parts

    cls, cell = parts(name)
    if cell is not None:
        yield from options.variants(cell, ("n_inputs", "hidden", "dtype"), MOST)
    own = options.option_table(cell, ("n_inputs", "hidden", "dtype")) if cell is not None else {}
    outer = {key: value for key, value in options_of(name).items() if key not in own}
    base = {"layers": 2} if "layers" in outer else {}
    finite = {key: options.choices(kind) for key, (kind, _) in outer.items() if options.choices(kind)}
    yield from ({**base, **chosen} for chosen in options.combinations(finite, MOST))
    if "embedding" in outer:
        switches = [key for key in ("skip", "bidirectional") if key in outer]
        for size, *values in itertools.product((0, 3), *((False, True) for _ in switches)):
            yield {**base, "tokens": True, "embedding": size, **dict(zip(switches, values))}
    yield from getattr(cls, "tested_options", ())


def check(name, options, loss_kind="squared_error", entries=200, seed=0, rule="bptt"):
    """The errors of one network: a list of dicts, one a parameter array. Raises `RnnsimError` if the rule does not fit it."""
    import numpy as np

    from rnnsim.core.losses import Loss
    from rnnsim.networks import build, options_of
    from rnnsim_cli.describe import split_sizes

    sizes, inner = split_sizes(options)
    inner = {"hidden": 4, **inner} if "hidden" in options_of(name) else inner
    n_inputs, tokens = sizes.get("inputs", 3), sizes.get("tokens", False)
    n_outputs = sizes.get("outputs", _natural_outputs(inner))
    net = build(name, n_inputs, n_outputs, inner, "float64", tokens=tokens, seed=seed)
    rng = np.random.default_rng(seed)
    loss = Loss(loss_kind)
    batch = net.random_batch(rng, EXAMPLES, loss)
    live = np.ones(net.n_parameters, bool) if net.trainable is None else net.trainable
    # Biases and initial states begin at zero, where an error in them may not show; large numbers begin where a softmax is
    # saturated, and a gradient that small drowns in the rounding of the differences.
    net.theta[...] = np.clip(net.theta, -1, 1)
    net.theta[live] += rng.normal(0, 0.1, net.n_parameters)[live]
    theta = net.theta.copy()
    gradient, value = _gradient(net, batch, loss, rule), net.evaluate(batch, loss).loss
    exact = gradient if rule == "bptt" else _gradient(net, batch, loss, "bptt")
    small = build(name, n_inputs, n_outputs, inner, "float32", tokens=tokens, seed=seed)
    small.theta[...] = theta
    single = _gradient(small, batch, loss, rule).astype(np.float64)
    found = []
    for entry in net.layout:
        where = entry.offset + np.flatnonzero(live[entry.offset : entry.offset + entry.size])
        if entries and where.size > entries:
            where = np.sort(rng.choice(where, entries, replace=False))
        differences = np.array([_difference(net, batch, loss, theta, i) for i in where])
        least = ROUNDINGS * np.finfo(float).eps * abs(value) / STEP * 1e6
        found.append(
            {
                "parameter": entry.name,
                "checked": int(where.size),
                "of": entry.size,
                "error": _relative(gradient[where], differences, least),
                "float32_error": _relative(single[where], gradient[where]),
                "bptt_error": _relative(gradient[where], exact[where]),
            }
        )
    return found


def _gradient(net, batch, loss, rule):
    """The gradient that a rule computes over one batch, at fixed weights."""
    import numpy as np

    from rnnsim.learning import RULES

    total = np.zeros_like(net.theta)

    def add(gradient):
        total[...] += gradient

    RULES.build(rule).learn(net, batch, loss, add)
    return total


def _natural_outputs(options):
    """2, or for a network without a readout the number of its units."""
    from rnnsim.core.registry import convert

    if options.get("readout") != "none":
        return 2

    def value(key, kind, default):
        return convert(options.get(key, default), kind, key)

    width = value("hidden", int, 4) * (2 if value("bidirectional", bool, False) else 1)
    return width * (value("layers", int, 1) if value("skip", bool, False) else 1)


def _difference(net, batch, loss, theta, i):
    values = []
    for shift in (STEP, -STEP):
        net.theta[...] = theta
        net.theta[i] += shift
        values.append(net.evaluate(batch, loss).loss)
    net.theta[...] = theta
    return (values[0] - values[1]) / (2 * STEP)


def _relative(a, b, least=0.0):
    """Largest difference over the largest entry or `least`; 0 if both are zero, infinity if anything is NaN."""
    import numpy as np

    if not a.size:
        return 0.0
    largest = max(np.abs(a).max(), np.abs(b).max(), least)
    if not np.isfinite(largest):
        return float("inf")
    return float(np.abs(a - b).max() / largest) if largest else 0.0


@click.command("gradcheck", short_help="Check gradients by finite differences.")
@click.argument("name", metavar="NETWORK", required=False)
@key_values("An option of the network; also inputs=, outputs=, tokens=.")
@click.option("--all", "everything", is_flag=True, help="Check every network with every combination of its choices.")
@click.option("--rule", default="bptt", show_default=True, help="Rule that computes the gradient, such as rtrl.")
@click.option(
    "--tolerance", type=float, default=1e-6, show_default=True, help="Largest relative error allowed in float64."
)
@click.option("--loss", default="squared_error", show_default=True, help="squared_error, bernoulli or softmax.")
@click.option(
    "--entries", type=click.IntRange(0), default=200, show_default=True, help="Entries checked per array; 0: all."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights and batch.")
@as_json
def command(name, options, everything, rule, tolerance, loss, entries, seed, json_wanted):
    """Compare the gradient of NETWORK with central finite differences in float64, and its gradient in float32 with float64.

    --rule checks the gradient of another rule, and shows its distance to back-propagation as well; --all then skips the
    networks that the rule does not fit.

    The exit code is 1 if the error of an array exceeds the tolerance. The network has 4 units unless -o hidden= is given.
    With --all, NETWORK restricts the check to that network.
    """
    from rnnsim.networks import NETWORKS

    if not tolerance > 0:
        raise RnnsimError(f"--tolerance {tolerance}: expected a number above 0")
    if name is None and not everything:
        raise RnnsimError("gradcheck: name a network, or give --all")
    given = pairs(options, "-o")
    if not everything:
        rows = check(name, given, loss, entries, seed, rule)
        worst, worst32 = (max(row[key] for row in rows) for key in ("error", "float32_error"))
        passed = worst <= tolerance and worst32 <= FLOAT32_TOLERANCE
        data = {"network": name, "options": given, "rule": rule, "loss": loss, "tolerance": tolerance}
        data["parameters"] = rows
        data |= {"worst": worst, "worst_float32": worst32, "passed": passed}

        def lines():
            titles = ("parameter", "checked", "error", "float32 error", "distance to BPTT")
            cells = [
                (
                    r["parameter"],
                    f"{r['checked']} of {r['of']}",
                    *(f"{r[key]:.1e}" for key in ("error", "float32_error", "bptt_error")),
                )
                for r in rows
            ]
            shown = 5 if rule != "bptt" else 4
            yield from table([cell[:shown] for cell in cells], titles[:shown], right=tuple(range(1, shown)))
            yield _verdict(passed, worst, tolerance)

        report(data, json_wanted, lines)
    else:
        cases = []
        for network in [name] if name else NETWORKS:
            for choice in combinations(network):
                try:
                    rows = check(network, {**choice, **given}, loss, entries, seed, rule)
                except RnnsimError:
                    if rule == "bptt":
                        raise
                    continue
                worst, worst32 = (max(row[key] for row in rows) for key in ("error", "float32_error"))
                fits = worst <= tolerance and worst32 <= FLOAT32_TOLERANCE
                case = {"network": network, "options": choice, "worst": worst, "worst_float32": worst32, "passed": fits}
                cases.append(case)
                if not json_wanted:
                    text = " ".join(f"{key}={value}" for key, value in choice.items())
                    state = "ok  " if fits else "FAIL"
                    click.echo(f"{state}  {worst:.1e}  {worst32:.1e}  {network} {text}".rstrip())
        passed = all(case["passed"] for case in cases)
        worst = max(case["worst"] for case in cases)
        data = {"cases": cases, "tolerance": tolerance, "worst": worst, "passed": passed}
        report(data, json_wanted, lambda: [f"{len(cases)} cases: {_verdict(passed, worst, tolerance)}"])
    if not passed:
        click.get_current_context().exit(1)


def _verdict(passed, worst, tolerance):
    return f"{'passed' if passed else 'FAILED'}: worst error {worst:.1e}, tolerance {tolerance:g}"
