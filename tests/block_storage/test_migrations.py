"""The migrations make exactly the tables the code speaks of, and may be run again."""

from pathlib import Path

from kilonova.block_storage.tables import metadata
from kilonova.kit.testing.schema import differences

MIGRATIONS = Path(__file__).parents[2] / "kilonova/block_storage/migrations"


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    assert differences(metadata, MIGRATIONS, tmp_path) == []
