"""In tests SQLite is as strict about the lengths of texts as the engines that clouds of many hosts have."""

from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.exc import IntegrityError

from kilonova.kit.db import Database

METADATA = MetaData()
WORDS = Table("words", METADATA, Column("id", Integer, primary_key=True), Column("word", String(4)))


def test_a_text_that_is_longer_than_its_column_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/words.db", METADATA)
    database.run_alone(METADATA.create_all)
    for word in ("four", "äöüß", None):
        database.run_alone(lambda connection, word=word: connection.execute(insert(WORDS).values(word=word)))
    with pytest.raises(IntegrityError, match="CHECK constraint failed"):
        database.run_alone(lambda connection: connection.execute(insert(WORDS).values(word="fives")))
