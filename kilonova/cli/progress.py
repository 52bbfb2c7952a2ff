"""Progress on the terminal: one short line a step, with what was done and the seconds it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

NAME_WIDTH = 10
TEXT_WIDTH = 58


class Step:
    """What a step says about itself; `told` once at its end."""

    def __init__(self, name: str, progress: "Progress") -> None:
        self._name = name
        self._progress = progress
        self._started = time.monotonic()
        self.text = ""
        self.has_changed = False

    def doing(self, what: str) -> None:
        """Shows on a terminal what is under way."""
        self._progress.show(self.line(what))

    def told(self, what: str, *, has_changed: bool, verb: str = "made") -> None:
        """What the step is about, and whether the cloud was changed for it or all was in place."""
        self.text = f"{what} {verb if has_changed else 'found'}"
        self.has_changed = has_changed

    def line(self, text: str) -> str:
        seconds = time.monotonic() - self._started
        return f"{self._name:{NAME_WIDTH}} {text:{TEXT_WIDTH}} {seconds:7.1f} s"


class Progress:
    """Prints steps and counts those that changed something. A file gets the finished lines alone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._shown_length = 0
        self.changes = 0

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = Step(name, self)
        step.doing("…")
        try:
            yield step
        except BaseException:
            self._finish(step.line("failed"))
            raise
        self.changes += step.has_changed
        self._finish(step.line(step.text))

    def show(self, line: str) -> None:
        """Writes over the line that is on the terminal."""
        if self._stream.isatty():
            self._stream.write("\r" + line.ljust(self._shown_length))
            self._stream.flush()
            self._shown_length = len(line)

    def _finish(self, line: str) -> None:
        if self._stream.isatty():
            line = "\r" + line.ljust(self._shown_length)
        self._stream.write(line + "\n")
        self._stream.flush()
        self._shown_length = 0
