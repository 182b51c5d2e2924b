"""`rnnsim stream`: a learner in a pipe. It reads an item from every line of standard input and prints a prediction for it.

Lines are CSV, the inputs first and then the targets, or JSON objects ``{"input": [...], "target": [...]}``; the first line
decides which. From a line without targets the learner only predicts. It answers every line before it reads the next.
"""

import contextlib
import json
import sys

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli import own_code
from rnnsim_cli.console import key_values, pairs

_LINE = 2**24  # bytes of a line


@click.command("stream", short_help="Learn from lines on standard input.")
@click.option("--network", metavar="NAME", help="rnn, lstm, gru, ...: a network of one layer.")
@key_values("An option of the network, rule or optimizer.")
@click.option("--rule", metavar="NAME", help="A rule that goes forward in time. [default: rtrl]")
@click.option("--optimizer", metavar="NAME", help="Optimizer. [default: adam with clip_norm=1]")
@click.option("--loss", metavar="KIND", help="squared_error, bernoulli or softmax. [default: squared_error]")
@click.option(
    "--inputs", type=click.IntRange(1), metavar="N", help="Size of an input. [default: that of the first line]"
)
@click.option(
    "--outputs", type=click.IntRange(1), metavar="K", help="Size of a target. [default: that of the first line]"
)
@click.option("--seed", type=click.IntRange(0), help="Seed of the initial weights and of a rule's noise. [default: 0]")
@click.option("--dtype", help="float32 or float64. [default: float32]")
@click.option(
    "--resume",
    metavar="FILE",
    help="Continue with the learner that --save wrote to a file; it gives the same bits as if it had never stopped.",
)
@click.option("--save", "save_to", metavar="FILE", help="Write the learner to a .safetensors file at the end.")
@own_code.options
def command(network, resume, save_to, code, accept_source, **flags):
    """Learn online from lines on standard input, and print a prediction for each line before the next is read.

    A line is CSV, the inputs and then the targets, with a semicolon between them or their number in --inputs; or JSON,
    {"input": [0.1, 0.2], "target": [0.3]}. The learner predicts before it sees the target; from a line without a target it
    only predicts. With --loss softmax a target may be the number of a class. With softmax and bernoulli predictions are logits.

    A line that cannot be read ends the stream with an error that gives its number, and exit code 2. The lines before it have
    been answered; the learner that --save writes has not seen it.

    \b
    some-sensor | rnnsim stream --network lstm -o hidden=32 --inputs 2 --save sensor.safetensors
    some-sensor | rnnsim stream --resume sensor.safetensors --save sensor.safetensors
    """
    if not (network or resume):
        raise RnnsimError("stream: name a network with --network, or a learner with --resume")
    if resume:
        given = [key for key, value in {"network": network, **flags}.items() if value not in (None, ())]
        if given:
            flag = "-o" if given[0] == "options" else f"--{given[0]}"
            raise RnnsimError(f"--resume: the learner has its own settings, {flag} cannot be given too")
        from rnnsim.learning.online.files import learner_from

        _answer(_Lines(learner_from(resume, code, accept_source)), save_to)
    else:
        plan = _planned(network, flags)
        _answer(_Lines(None, plan, flags["inputs"], flags["outputs"], flags["loss"]), save_to)


def _planned(network, flags):
    """A function (inputs, outputs) that makes the learner; settings that do not fit raise `RnnsimError` now."""
    from rnnsim import networks
    from rnnsim.core.registry import one_of
    from rnnsim.training import config as configuration

    plan = configuration.with_names({}, network=network, rule=flags["rule"] or "rtrl", optimizer=flags["optimizer"])
    plan = configuration.with_options(plan, pairs(flags["options"], "-o"))
    parts = [
        configuration.registry(part).build(plan[part]["name"], plan[part].get("options"))
        for part in ("rule", "optimizer")
    ]
    seed, dtype = flags["seed"] or 0, one_of("--dtype", flags["dtype"] or "float32", ("float32", "float64"))

    def made(inputs, outputs):
        from rnnsim.learning.online.learner import online

        net = networks.build(network, inputs, outputs, plan["network"].get("options"), dtype, seed=seed)
        return online(net, *parts, loss=flags["loss"], rng=seed)

    if flags["loss"]:
        from rnnsim.core.losses import Loss

        Loss(flags["loss"])
    return made


class _NoLearner(RnnsimError):
    """The flags and the first line do not fit each other; the error names no line."""


class _Lines:
    """Turns lines into items and outputs into lines; makes the learner at the first line, which gives the sizes."""

    def __init__(self, learner, plan=None, inputs=None, outputs=None, loss=None):
        self.learner, self._plan = learner, plan
        self._inputs, self._outputs = inputs, outputs
        self._classes = (learner.criterion.kind if learner else loss) == "softmax"
        if learner:
            self._inputs, self._outputs = learner.net.n_inputs, learner.net.n_outputs
            if learner.net.tokens:
                self._inputs = 1
            if learner.streams > 1:
                raise RnnsimError(f"--resume: the learner has {learner.streams} streams, lines are one stream")
        self._json = None

    def answer(self, line):
        """The answer to a line. Raises `RnnsimError` if it cannot be read or does not fit; the learner is unchanged then."""
        text = _decoded(line)
        if self._json is None:
            self._json = text.startswith(("{", "["))
        x, target = self._from_json(text) if self._json else self._from_csv(text)
        if self.learner is None:
            outputs = self._outputs or (None if target is None or self._classes else len(target))
            if outputs is None:
                raise RnnsimError("it does not show the number of outputs: give --outputs")
            try:
                self.learner = self._plan(len(x), outputs)
            except RnnsimError as error:
                raise _NoLearner(str(error)) from None
        if self._classes and target is not None and len(target) == 1:
            target = _class(target[0])
        if self.learner.net.tokens:
            x = _class(x[0])
        y = self.learner.step(x, target).tolist()
        digits = 9 if self.learner.net.dtype.itemsize == 4 else 17
        if not self._json:
            return ",".join(f"{value:.{digits}g}" for value in y)
        answer = {"output": [float(f"{value:.{digits}g}") for value in y]}
        return json.dumps(answer if target is None else {**answer, "loss": self.learner.loss})

    def _from_json(self, text):
        from rnnsim.core.reading import parse_json

        try:
            item = parse_json(text, finite=False)
        except RnnsimError:
            raise RnnsimError("expected a JSON object with 'input' and perhaps 'target'") from None
        if not isinstance(item, dict) or "input" not in item or not {*item} <= {"input", "target"}:
            raise RnnsimError("expected a JSON object with 'input' and perhaps 'target', and nothing else")
        target = item.get("target")
        return _listed("input", item["input"], self._inputs), None if target is None else _listed("target", target)

    def _from_csv(self, text):
        left, semicolon, right = text.partition(";")
        fields = [field.strip() for field in left.split(",")]
        if semicolon:
            x, target = fields, [field.strip() for field in right.split(",")]
        else:
            count = self._inputs
            if count is None:
                if self._outputs is None or self._classes or len(fields) <= self._outputs:
                    raise RnnsimError(
                        "it does not show which numbers are targets: give --inputs, or a semicolon before the targets"
                    )
                count = len(fields) - self._outputs
            x, target = fields[:count], fields[count:]
        if self._inputs and len(x) != self._inputs:
            raise RnnsimError(f"expected {self._inputs} inputs, got {len(x)}")
        self._inputs = len(x)
        target = None if not any(target) else [_number(field) for field in target]
        return [_number(field) for field in x], target


def _decoded(line):
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise RnnsimError("expected text in UTF-8") from None


def _number(field):
    from rnnsim.core.reading import number

    return number(field)


def _listed(name, value, count=None):
    value = value if isinstance(value, list) else [value]
    if not all(isinstance(part, (int, float)) and not isinstance(part, bool) for part in value):
        raise RnnsimError(f"'{name}': expected a list of numbers")
    if not value or (count and len(value) != count):
        raise RnnsimError(f"'{name}': expected {count or 'some'} numbers, got {len(value)}")
    return [float(part) if abs(part) < 1e300 else float("inf") for part in value]


def _class(value):
    if not (abs(value) < 2**31 and value == int(value)):
        raise RnnsimError(f"expected the number of a class, got {value:g}")
    return int(value)


def _answer(lines, save_to):
    """Answer line after line; save the learner when they end, whatever ends them."""
    import numpy as np

    if save_to and lines.learner:
        lines.learner.save(save_to)
    stdin, stdout = sys.stdin.buffer, sys.stdout
    fresh = lines.learner is None
    try:
        with np.errstate(all="ignore"):
            for number, line in enumerate(iter(lambda: stdin.readline(_LINE), b""), 1):
                if not line.strip():
                    continue
                try:
                    if len(line) == _LINE:
                        raise RnnsimError(f"longer than {_LINE:,} bytes")
                    answer = lines.answer(line)
                except _NoLearner:
                    raise
                except RnnsimError as error:
                    raise RnnsimError(f"line {number}: {error}") from None
                stdout.write(answer + "\n")
                stdout.flush()
                if fresh and save_to:  # a file that cannot be written is an error now, not at the end
                    lines.learner.save(save_to)
                    fresh = False
    finally:
        if save_to and lines.learner:
            lines.learner.save(save_to)
        with contextlib.suppress(OSError):
            stdout.flush()
