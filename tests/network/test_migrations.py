"""The migrations make exactly the tables the code speaks of, and may be run again."""

from pathlib import Path

from kilonova.kit.testing.schema import differences
from kilonova.network.tables import metadata

MIGRATIONS = Path(__file__).parents[2] / "kilonova/network/migrations"


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    assert differences(metadata, MIGRATIONS, tmp_path) == []
