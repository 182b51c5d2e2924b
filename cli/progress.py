"""Progress of a training: a bar on a terminal, plain lines in a pipe."""

import sys
import time

from rnnsim_cli.console import number

_QUIET = 1.0  # seconds between two lines in a pipe
_FRAME = 0.1  # seconds between two updates of the bar


def clock(seconds):
    """Seconds as minutes and seconds, or as hours.

    >>> clock(75), clock(7325)
    ('1:15', '2:02:05')
    """
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Pace:
    """Steps per second, counted from the end of the first step, so without compilation."""

    def __init__(self):
        self._first = None

    def __call__(self, step):
        """Steps per second so far; None after the first step."""
        now = time.perf_counter()
        if self._first is None:
            self._first = (step, now)
        done, seconds = step - self._first[0], now - self._first[1]
        return done / seconds if done and seconds > 0 else None


def figures(progress, rate):
    """The figures that the display shows, as texts."""
    texts = [f"loss {number(progress.loss)}"]
    if progress.correct is not None:
        texts.append(f"{100 * progress.correct:.1f} % right")
    if rate:
        texts.append(f"{rate:,.0f} steps/s")
        texts.append(f"{clock((progress.steps - progress.step) / rate)} left")
    return texts


class Lines:
    """Plain lines: one for a report, at most one per second; `stream` is a file."""

    def __init__(self, stream):
        self._stream, self._pace, self._last = stream, Pace(), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, progress):
        rate = self._pace(progress.step)
        if not progress.report or "loss" not in progress.report:
            return
        now = time.perf_counter()
        if self._last is not None and now - self._last < _QUIET and progress.step < progress.steps:
            return
        self._last = now
        progress.loss = progress.report["loss"]
        print(
            f"step {progress.step}/{progress.steps}", *figures(progress, rate), sep="  ", file=self._stream, flush=True
        )


class Bar:
    """A bar with loss, steps per second and time left; before the first step it says that kernels are being compiled."""

    def __init__(self, steps, stream):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.completed}/{task.total}"), BarColumn(), TextColumn("{task.fields[text]}"))
        self._bar = Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=False)
        self._task = self._bar.add_task("training", total=steps, text="compiling kernels, the first time only ...")
        self._pace, self._last = Pace(), 0.0

    def __enter__(self):
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def __call__(self, progress):
        rate, now = self._pace(progress.step), time.perf_counter()
        if now - self._last < _FRAME and progress.step < progress.steps and not progress.solved_at:
            return
        self._last = now
        self._bar.update(self._task, completed=progress.step, text="  ".join(figures(progress, rate)), refresh=True)


class Nothing:
    """No display."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, progress):
        pass


def shown(steps, json_wanted, quiet):
    """The display: on standard output, on stderr with --json, none with --quiet."""
    if quiet:
        return Nothing()
    stream = sys.stderr if json_wanted else sys.stdout
    return Bar(steps, stream) if stream.isatty() else Lines(stream)
