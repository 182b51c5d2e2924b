"""`rnnsim simulate`: run a trained network over inputs from a NumPy file or a pipe."""

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli import own_code
from rnnsim_cli.console import as_json, report


@click.command("simulate", short_help="Run a network over inputs.")
@click.argument("source", metavar="RUN|WEIGHTS")
@click.option(
    "--input",
    "input_",
    required=True,
    metavar="X.npy",
    help="Inputs (T, B, n) or (T, n), or tokens (T, B) or (T,); '-': stdin.",
)
@click.option("--output", required=True, metavar="Y.npy", help="File for the outputs; '-': stdout.")
@click.option("--lengths", metavar="FILE.npy", help="Time steps of every sequence: whole numbers (B,).")
@click.option(
    "--when",
    type=click.Choice(["every", "last"]),
    help="Outputs of every time step, or of the last one only. [default: where the run's task has its loss]",
)
@click.option(
    "--record", metavar="NAMES", help="Traces to record, separated by commas, such as h,z_l0; gates: all of them."
)
@click.option("--record-out", metavar="FILE.npz", help="File for the traces. [default: beside the output]")
@own_code.options
@as_json
def command(source, input_, output, lengths, when, record, record_out, json_wanted, code, accept_source):
    """Run the network of a run, or of a .safetensors file, over inputs.

    Outputs are (T, B, K), one a time step. A run that was trained on the end of sequences answers there: its outputs are (B, K),
    those that `eval` judges, which a bidirectional network reads at the last time step of its forward and the first of its
    backward direction. --when every gives all time steps of such a run; a .safetensors file does so unless --when last is given.

    Inputs and outputs are .npy files, time first; '-' is a pipe that carries the bytes of one such file. A single sequence may
    come without its batch axis, and its outputs and traces then have none. Outputs of networks that were trained on classes are
    logits.
    """
    import numpy as np

    from rnnsim.networks.interface import TIME
    from rnnsim.training.run import load_weights

    names = [name.strip() for name in (record or "").split(",") if name.strip()]
    if record is not None and not names:
        raise RnnsimError(f"--record {record}: expected names separated by commas, such as gates or h")
    if record_out and not names:
        raise RnnsimError("--record-out: nothing to write without --record")
    traces_to = record_out or _beside(output)
    if names and not traces_to:
        raise RnnsimError("--output - carries the outputs only: name a file for the traces with --record-out")
    net = load_weights(source, code, accept_source)
    if TIME not in net.capabilities:
        raise RnnsimError(f"{source}: network '{net.config['name']}' does not run over sequences")
    inputs = _read(input_)
    single = inputs.ndim == (1 if net.tokens else 2)
    if single:
        inputs = inputs[:, None]
    when = when or _when_of_the_loss(source, code, accept_source)
    result = net.forward(inputs, None if lengths is None else _read(lengths), record=tuple(names), when=when)
    strip = (lambda array: array[:, 0]) if single else (lambda array: array)
    outputs = result.outputs[0] if single and when == "last" else strip(result.outputs)
    _write(output, lambda file: np.save(file, outputs))
    if names:
        traces = {name: strip(array) for name, array in result.records.items()}
        _write(traces_to, lambda file: np.savez(file, **traces))
    data = {"outputs": output, "when": when, "shape": list(outputs.shape), "dtype": str(outputs.dtype)}
    if names:
        data |= {"traces": traces_to, "recorded": {name: list(array.shape) for name, array in traces.items()}}
    if output == "-":
        return  # stdout belongs to the array

    def lines():
        place = "every time step" if when == "every" else "the end"
        yield f"outputs at {place}, {outputs.shape} {outputs.dtype}, in {output}"
        if names:
            yield f"traces {', '.join(traces)} in {traces_to}"

    report(data, json_wanted, lines)


def _when_of_the_loss(source, code, accept_source):
    """ "every" or "last", by the task of a run; "every" for a file of weights."""
    from pathlib import Path

    from rnnsim.training.run import open_run

    if not Path(source).is_dir():
        return "every"
    try:
        return open_run(source, code, accept_source).task().loss.when
    except RnnsimError as error:
        raise RnnsimError(
            f"{error}; or choose the time steps of the outputs without the task, by --when every or --when last"
        ) from None


def _beside(output):
    if output == "-":
        return None
    return (output[:-4] if output.endswith(".npy") else output) + ".traces.npz"


def _read(name):
    """The array in a .npy file or on stdin. Raises `RnnsimError` if there is none."""
    from rnnsim.core.reading import array_from, at_home, read_npy

    return array_from(click.get_binary_stream("stdin"), "stdin") if name == "-" else read_npy(at_home(name))


def _write(name, save):
    import io

    from rnnsim.core.checkpoint import write_atomically

    buffer = io.BytesIO()
    save(buffer)
    if name == "-":
        stream = click.get_binary_stream("stdout")
        stream.write(buffer.getvalue())
        stream.flush()
    else:
        write_atomically(name, buffer.getvalue())
