"""Lines of the log: one for each call, of bounded length, without secrets of the database."""

import io
import logging
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.exc import DBAPIError

from kilonova.kit import log
from kilonova.kit.db import Database

CANARY = "$argon2id$canary$0123456789"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_is_sent_decides_neither_how_long_a_line_is_nor_how_many_there_are(stream: io.StringIO) -> None:
    log.logger("x").info("told", text="a\n2026 ERROR forged", long="y" * 1_000_000, other="a\x1b[31mb")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert len(line) < 3 * log.MAX_FIELD_CHARACTERS
    assert "\x1b" not in line


def test_a_traceback_is_bounded_and_keeps_its_last_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("z" * 1_000_000 + " the end")
    except ValueError:
        log.logger("x").exception("failed")
    assert len(stream.getvalue()) < 2 * log.MAX_TRACEBACK_CHARACTERS
    assert stream.getvalue().rstrip().endswith("the end")


@pytest.mark.parametrize(
    "sentence",
    [
        f'null value in column "a"\nDETAIL:  Failing row contains (1, {CANARY}, x).\nHINT: none',
        f"invalid input for query argument $5: '{CANARY}' (expected str, got int)",
        f"(1366, \"Incorrect string value: '{CANARY}' for column\")",
    ],
)
def test_rows_that_servers_quote_are_left_out(stream: io.StringIO, sentence: str) -> None:
    try:
        raise sqlite3.DatabaseError(sentence)
    except sqlite3.DatabaseError:
        log.logger("x").exception("failed")
    assert CANARY not in stream.getvalue()


async def test_an_error_of_the_database_does_not_tell_its_parameters(stream: io.StringIO) -> None:
    metadata = MetaData()
    Table("t", metadata, Column("id", String(36), primary_key=True), Column("hash", String(200), nullable=False))
    other = MetaData()
    missing = Table("missing", other, Column("id", String(36), primary_key=True), Column("hash", String(200)))
    database = Database("sqlite://", metadata)
    try:
        with pytest.raises(DBAPIError):
            try:
                async with database.transaction() as tx:
                    await tx.execute(missing.insert().values(id="1", hash=CANARY))
            except DBAPIError as error:
                assert CANARY not in str(error)
                log.logger("x").exception("failed")
                raise
        assert "missing" in stream.getvalue()
        assert CANARY not in stream.getvalue()
    finally:
        await database.close()
