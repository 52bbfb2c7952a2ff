"""The databases of a test run: SQLite files, or those of a private PostgreSQL or MariaDB server.

`KILONOVA_TEST_DATABASE` (sqlite, postgresql, mariadb) chooses; the tests are the same on all three.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Dialect, MetaData, make_url

from kilonova.identity import tables as identity_tables
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.db.sqlite_engine import SqliteEngine
from kilonova.kit.testing import database_servers

PACKAGE = Path(identity_tables.__file__).parents[1]
VARIABLE = "KILONOVA_TEST_DATABASE"


class Engine(Protocol):
    def create(self, name: str, directory: Path) -> str:
        """The URL of a new, empty database."""
        ...

    def copy(self, url: str, name: str, directory: Path) -> str:
        """The URL of a copy of one that nobody has open."""
        ...


class Sqlite:
    def create(self, name: str, directory: Path) -> str:
        return f"sqlite:///{directory}/{name}.db"

    def copy(self, url: str, name: str, directory: Path) -> str:
        source = make_url(url).database
        assert source is not None
        shutil.copyfile(source, directory / f"{name}.db")
        return f"sqlite:///{directory}/{name}.db"


class Postgresql:
    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._numbers = count()

    def create(self, name: str, directory: Path) -> str:
        return self._make(name, "template1")

    def copy(self, url: str, name: str, directory: Path) -> str:
        return self._make(name, str(make_url(url).database))

    def _make(self, name: str, template: str) -> str:
        made = f"{name}_{next(self._numbers)}"
        statement = f'CREATE DATABASE "{made}" TEMPLATE "{template}"'
        subprocess.run(["psql", "-q", str(self._url), "-c", statement], check=True, capture_output=True)
        return str(self._url.set(database=made))


class Mariadb:
    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._numbers = count()
        self._dumps: dict[str, bytes] = {}
        self._login = ["--protocol=tcp", "--host=127.0.0.1", f"--port={self._url.port}", "--user=root"]

    def create(self, name: str, directory: Path) -> str:
        made = f"{name}_{next(self._numbers)}"
        self._sql(f"CREATE DATABASE `{made}`".encode())
        return str(self._url.set(database=made))

    def copy(self, url: str, name: str, directory: Path) -> str:
        source = str(make_url(url).database)
        if source not in self._dumps:
            dump = ["mariadb-dump", "--no-defaults", *self._login, "--skip-comments", source]
            self._dumps[source] = subprocess.run(dump, check=True, capture_output=True).stdout
        made = self.create(name, directory)
        self._sql(f"USE `{make_url(made).database}`;\n".encode() + self._dumps[source])
        return made

    def _sql(self, statements: bytes) -> None:
        subprocess.run(["mariadb", "--no-defaults", *self._login], input=statements, check=True, capture_output=True)


class Databases:
    """Each service's database at its newest schema, migrated once and then copied."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self._directory = directory
        self._templates: dict[str, str] = {}
        self._dialect: Dialect | None = None
        self._statements: dict[Any, Any] = {}

    def migrated(self, service: str, tables: MetaData, directory: Path) -> Database:
        """A new one of `service`, at its newest schema, without rows of its own."""
        if service not in self._templates:
            url = self.engine.create(f"{service}_template", self._directory)
            upgrade(Database(url, tables), PACKAGE / service / "migrations")
            self._templates[service] = url
        return self._open(self.engine.copy(self._templates[service], service, directory), tables)

    def copy(self, template: Database, name: str, directory: Path) -> Database:
        """A copy, rows and all, of one that is closed."""
        url = template.url.render_as_string(hide_password=False)
        return self._open(self.engine.copy(url, name, directory), template.metadata)

    def _open(self, url: str, tables: MetaData) -> Database:
        """Statements are compiled for a dialect: a test's database takes over what those before it have compiled."""
        database = Database(url, tables)
        if isinstance(database._engine, SqliteEngine):
            opened = database._engine._engine
            self._dialect = opened.dialect = self._dialect or opened.dialect
            opened.update_execution_options(compiled_cache=self._statements)
        return database


@contextmanager
def databases(name: str, directory: Path) -> Iterator[Databases]:
    match name:
        case "sqlite":
            yield Databases(Sqlite(), directory)
        case "postgresql":
            with database_servers.postgresql(directory) as url:
                yield Databases(Postgresql(url), directory)
        case "mariadb":
            with database_servers.mariadb(directory) as url:
                yield Databases(Mariadb(url), directory)
        case _:
            raise ValueError(f"{VARIABLE} is sqlite, postgresql or mariadb, not {name!r}")
