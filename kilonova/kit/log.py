"""Structured logs: one call, a message and fields; request and task ids are bound by context.

`log = logger(__name__); log.info("step finished", program="build", seconds=0.2)` prints
`2026-11-20T08:16:00.123Z INFO kilonova.kit.tasks step finished program=build seconds=0.2 task=…`.
Values are written as they are: never pass a secret.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

MAX_FIELD_CHARACTERS = 2048
MAX_TRACEBACK_CHARACTERS = 32_768
"""The longest value in a line. Strangers' input gets into sentences and statements, and must not set their length."""

_VALUES_OF_ROWS = re.compile(
    r"^DETAIL: .*|(?<=invalid input for query argument ).*|(?<=Incorrect string value: ).*", re.M
)
"""Where database servers and their drivers quote rows in an error's text: a row may hold a secret."""

_NOTHING: dict[str, Any] = {}
_bound: ContextVar[dict[str, Any]] = ContextVar("log_fields", default=_NOTHING)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields to every line logged inside the block, in this task and those it starts."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def carried_request_id() -> str | None:
    """The id of the request being served (`req-…`), sent along with calls to other services; None outside a request."""
    found = _bound.get()
    carried: str | None = found.get("global_request_id") or found.get("request_id")
    return carried


class Logger:
    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **fields: Any) -> None:
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """An error with the traceback of the exception being handled."""
        self._write(logging.ERROR, message, fields, exc_info=True)

    def _write(self, level: int, message: str, fields: dict[str, Any], exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            merged = {**_bound.get(), **fields}
            self._logger.log(level, "%s", message, extra={"fields": merged}, exc_info=exc_info)


def logger(name: str) -> Logger:
    return Logger(name)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = f"{moment} {record.levelname} {record.name} {_shortened(record.getMessage(), MAX_FIELD_CHARACTERS)}"
        for name, value in fields.items():
            text = _shortened(str(value), MAX_FIELD_CHARACTERS)
            # Quoted, too, when it holds a line's end: nobody writes lines of the log by what they send.
            is_plain = text.isprintable() and " " not in text and text
            line += f" {name}={text}" if is_plain else f" {name}={text!r}"
        if record.exc_info:
            told = _VALUES_OF_ROWS.sub("…", self.formatException(record.exc_info))
            line += "\n" + _shortened(told, MAX_TRACEBACK_CHARACTERS)
        return line


def _shortened(text: str, limit: int) -> str:
    """The beginning and the end of what is too long: a traceback's last line says most."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} … {len(text) - limit} characters left out … {text[-limit // 2 :]}"


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends every log of this process, ours and the libraries', to one stream as single lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "alembic", "pyroute2", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It makes an error of every attempt to reach a broker; the bus says once that there is none.
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
    # It repeats the server's warnings: of a row that is inserted unless it is there, that it was there.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
