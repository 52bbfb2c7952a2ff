"""The databases that a service's files name, and the migrations that are theirs."""

from pathlib import Path
from typing import Any

from sqlalchemy import MetaData

import kilonova
from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.refusals import check_schema
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database

PACKAGE = Path(kilonova.__file__).parent


def migrations_of(service: str) -> Path:
    return PACKAGE / service / "migrations"


def make_database(config: Any, metadata: MetaData) -> Database:
    """A database that nobody has connected to yet. Raises ConfigError for a URL that cannot be read."""
    url = config.database.connection
    if not url:
        raise ConfigError("[database] connection is missing: mysql+pymysql://USER:PASSWORD@HOST/NAME")
    try:
        return Database(url, metadata, has_ballast=True)
    except Exception as error:
        raise ConfigError(f"[database] connection: {error}") from error


def open_database(config: Any, service: str, metadata: MetaData, sync_command: str) -> Database:
    """Raises ConfigError when the schema is not this release's, naming the command to run; NotReady."""
    database = make_database(config, metadata)
    check_schema(database, migrations_of(service), service, sync_command)
    return database


def name_placement_database(found: Read) -> Any:
    """The configuration with placement's own database in `[database]`. Raises ConfigError.

    In nova's file `[database]` is nova's: placement's has to be named there.
    """
    config = found.config
    if config.placement_database.connection:
        config.set_override("connection", config.placement_database.connection, group="database")
    elif any(Path(each).name == "nova.conf" for each in found.files):
        raise ConfigError(
            "[placement_database] connection is missing: in nova.conf, [database] is nova's own "
            "(or write /etc/placement/placement.conf)"
        )
    return config
