"""The command `rnnsim`: a group whose commands are imported when they are called.

No module of this package imports NumPy, Numba, Rich or Matplotlib before a command needs them, so help is instant.
Every user error is one line on stderr, ``rnnsim: ...``, with exit code 2. Ctrl-C gives exit code 130.
"""

import errno
import importlib
import os
import sys
import warnings

import click

# command: (module:attribute, its line in the help)
COMMANDS = {
    "list": (
        "rnnsim_cli.listing:command",
        "List networks, cells, tasks, rules, optimizers, experiments and data sets.",
    ),
    "describe": (
        "rnnsim_cli.describe:command",
        "Describe a network (parameters, sizes, options) or a task (loss, criterion, options).",
    ),
    "train": ("rnnsim_cli.train:command", "Train a network on a task; keep the run in a folder."),
    "eval": (
        "rnnsim_cli.evaluate:command",
        "Evaluate a trained network on its task's test split, or over a sweep of task options.",
    ),
    "show": ("rnnsim_cli.show:command", "Show a run: its configuration, progress and results."),
    "parse": ("rnnsim_cli.parse:command", "Bracket sentences, or label a picture, by a trained parser."),
    "plot": ("rnnsim_cli.plot:command", "Draw the figures of runs: curves, examples, gates and memory over time."),
    "simulate": ("rnnsim_cli.simulate:command", "Run a trained network over inputs from a file or a pipe."),
    "stream": ("rnnsim_cli.stream:command", "Learn online from lines on standard input; print a prediction for each."),
    "compare": ("rnnsim_cli.compare:command", "Compare the gradients of learning rules with the exact gradient."),
    "reproduce": (
        "rnnsim_cli.reproduce:command",
        "Reproduce an experiment of a paper over seeds: published figures beside ours.",
    ),
    "gradflow": (
        "rnnsim_cli.gradflow:command",
        "Measure how errors vanish or explode on their way back in time.",
    ),
    "gradcheck": ("rnnsim_cli.gradcheck:command", "Compare a network's gradient with finite differences."),
    "new": (
        "rnnsim_cli.new:command",
        "Write a template for your own task, cell, network, rule or optimizer.",
    ),
    "data": ("rnnsim_cli.data:command", "List data sets, or download one."),
    "info": ("rnnsim_cli.info:command", "Print versions, processor, threads and cache of this installation."),
    "warmup": ("rnnsim_cli.warmup:command", "Compile all kernels now, so that later commands start at once."),
    "cache": ("rnnsim_cli.cache:command", "Show the cache of compiled kernels, or clear it."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called, and prints errors as one line."""

    def list_commands(self, context):
        return list(COMMANDS)

    def get_command(self, context, name):
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, context, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(self, context, arguments):
        if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            from rnnsim.errors import unknown

            raise unknown("command", arguments[0], COMMANDS)
        return super().resolve_command(context, arguments)

    def main(self, *arguments, **options):
        """Run a command and exit with its code; the only place that turns errors into lines."""
        if not options.pop("standalone_mode", True):
            return super().main(*arguments, standalone_mode=False, **options)
        from rnnsim.errors import RnnsimError

        warnings.showwarning = _warn
        try:
            _check_environment()
            code = super().main(*arguments, standalone_mode=False, **options)
            sys.stdout.flush()
            sys.exit(code if isinstance(code, int) else 0)
        except RnnsimError as error:
            _fail(str(error))
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.UsageError as error:
            name = error.ctx.command_path if error.ctx else "rnnsim"
            _fail(f"{error.format_message()} (see '{name} --help')")
        except click.ClickException as error:
            _fail(error.format_message())
        except (click.Abort, KeyboardInterrupt):
            click.echo("rnnsim: interrupted", err=True)
            sys.exit(130)
        except OSError as error:
            if error.errno == errno.EPIPE:
                # The reader has closed the pipe, as `head` does. Python would report it again when it flushes stdout at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                sys.exit(1)
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}")
        except MemoryError as error:
            _fail(f"not enough memory: {error}")


def _check_environment():
    """Check NUMBA_NUM_THREADS: Numba reads it when it is imported, and fails there with a traceback."""
    threads = os.environ.get("NUMBA_NUM_THREADS")
    if threads is not None and not (threads.isdecimal() and int(threads) > 0):
        from rnnsim.errors import RnnsimError

        raise RnnsimError(f"NUMBA_NUM_THREADS={threads}: expected a whole number of at least 1")


def _warn(message, *_, **__):
    click.echo("rnnsim: warning: " + " ".join(str(message).split()), err=True)


def _fail(message):
    click.echo("rnnsim: " + " ".join(message.split()), err=True)
    sys.exit(2)


def _version(context, parameter, value):
    if value and not context.resilient_parsing:
        from rnnsim.version import VERSION

        click.echo(f"rnnsim {VERSION}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def main():
    """rnnsim: a fast CPU laboratory for recurrent networks.

    Start with `rnnsim list`, then `rnnsim train TASK --network NAME`.
    """


if __name__ == "__main__":
    main(prog_name="rnnsim")
