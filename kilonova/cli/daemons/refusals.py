"""Why a daemon or a `*-manage` command cannot go on: one sentence, with the key to mend or the command to run first.

ConfigError is for what only a change of configuration mends, NotReady for what may mend itself: systemd tries again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError, OperationalError

from kilonova.cli.daemons.not_ready import NotReady
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import head_revision, read_revision, upgrade
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RENEW_BEFORE, RemoteFault, RemoteUnavailable, ServiceSession
from kilonova.kit.log import logger

log = logger(__name__)

CLOCK_LEEWAY_SECONDS = RENEW_BEFORE.total_seconds()
"""A service's token is renewed this long before it ends: a clock that is off by more uses tokens that have ended."""
LOOK_SECONDS = 5.0
OWN_SECTION = "keystone_authtoken"

_DENIED = ("1044", "1045", "28P01", "28000")
_NO_DATABASE = ("1049", "3D000")
_NO_RIGHTS = ("1142", "42501")
"""MariaDB's error numbers and PostgreSQL's SQLSTATEs."""


# --- databases --------------------------------------------------------------------------------------------------------


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    """Turns what the database server says into NotReady or ConfigError. The password is in neither."""
    url = database.url
    try:
        yield
    except ServiceUnavailable as error:
        raise NotReady(f"[database] connection: {error.message} Start it, or mend the URL.") from error
    except DBAPIError as error:
        raise _database_refusal(database, error) from error
    except OSError as error:
        raise ConfigError(f"[database] connection: {url.database}: {error}") from error


def _database_refusal(database: Database, error: DBAPIError) -> Exception:
    url, original = database.url, error.orig
    is_postgresql = url.get_backend_name() == "postgresql"
    code = str(getattr(original, "sqlstate", "") if is_postgresql else next(iter(getattr(original, "args", ())), ""))
    if code in _DENIED:
        return ConfigError(
            f"[database] connection: the server on {url.host} refuses the user {url.username!r}: "
            f"the password is wrong, or a GRANT on {url.database} is missing"
        )
    if code in _NO_DATABASE:
        return ConfigError(
            f"[database] connection: the server on {url.host} has no database {url.database!r}: "
            f"CREATE DATABASE {url.database} first"
        )
    if code in _NO_RIGHTS:
        return ConfigError(
            f"[database] connection: the user {url.username!r} may not do this in {url.database}: "
            f"GRANT ALL PRIVILEGES ON {url.database}.* first"
        )
    if isinstance(error, OperationalError) and url.get_backend_name() == "sqlite":
        return ConfigError(f"[database] connection: {url.database}: {original}")
    return error


def _look(connection: Connection) -> tuple[str | None, set[str]]:
    return read_revision(connection), set(inspect(connection).get_table_names())


def find_revision(database: Database, service: str) -> str | None:
    """The schema's revision, None for an empty database. Raises ConfigError for another service's, NotReady."""
    with _explained(database):
        revision, tables = database.run_alone(_look)
    own = set(database.metadata.tables)
    others = sorted(tables - own - {"alembic_version"})
    if others and not tables & own:
        raise ConfigError(
            f"[database] connection: {database.url.database} holds tables of something else ({', '.join(others[:3])}), "
            f"none of {service}: the URL names the wrong database"
        )
    return revision


def check_schema(database: Database, migrations: Path, service: str, sync_command: str) -> None:
    """Raises ConfigError when the schema is not this release's, naming the command to run; NotReady."""
    found, newest = find_revision(database, service), head_revision(migrations)
    if found is None or found < newest:
        state = "is empty" if found is None else f"is at {found}, this release needs {newest}"
        raise ConfigError(f"the database of {service} {state}: run `{sync_command}`")
    _refuse_newer(found, newest, service)


def upgrade_schema(database: Database, migrations: Path, service: str) -> None:
    """Brings it to this release's. Raises ConfigError for one that is newer or another service's, NotReady."""
    found, newest = find_revision(database, service), head_revision(migrations)
    if found is not None:
        _refuse_newer(found, newest, service)
    with _explained(database):
        upgrade(database, migrations)


def _refuse_newer(found: str, newest: str, service: str) -> None:
    if found > newest:
        raise ConfigError(
            f"the database of {service} is at {found}, newer than this release's {newest}: upgrade this host"
        )


# --- identity and placement -------------------------------------------------------------------------------------------


async def check_identity(identity: httpx.AsyncClient, sessions: Mapping[str, ServiceSession]) -> None:
    """Asks once for the time and for a token as each section's user. What does not answer yet is waited for later.

    Raises ConfigError for a service's own user that identity refuses, NotReady for a clock that is off by more than
    the leeway.
    """
    try:
        answer = await identity.get("/v3", timeout=LOOK_SECONDS)
    except httpx.HTTPError as error:
        log.warning("identity does not answer yet", url=str(identity.base_url), error=repr(error))
        return
    if "date" in answer.headers:
        check_clock(parsedate_to_datetime(answer.headers["date"]), datetime.now(UTC))
    for group, session in sessions.items():
        try:
            await session.token()
        except RemoteUnavailable:
            log.warning("identity does not answer yet", section=group)
        except RemoteFault as error:
            if error.status == httpx.codes.UNAUTHORIZED and group == OWN_SECTION:
                raise ConfigError(
                    f"[{group}] username, password: identity refuses this user: one of them or project_name is wrong, "
                    f"or the user has no role on that project"
                ) from error
            # A neighbour's user may be made after this service is installed, as some guides do.
            log.warning("identity gives no token: look at username and password", section=group, error=str(error))


def check_clock(theirs: datetime, ours: datetime) -> None:
    """Raises NotReady."""
    off_seconds = (ours - theirs).total_seconds()
    if abs(off_seconds) > CLOCK_LEEWAY_SECONDS:
        raise NotReady(
            f"this host's clock is {abs(off_seconds):.0f} s {'ahead of' if off_seconds > 0 else 'behind'} identity's, "
            f"more than the {CLOCK_LEEWAY_SECONDS:.0f} s that tokens leave: synchronize the clocks (chronyd)"
        )


def require_placement(config: Any) -> None:
    """Raises ConfigError under the name that operators know it by."""
    missing = " and ".join(name for name in ("username", "password") if not getattr(config.placement, name))
    if missing:
        raise ConfigError(
            f"PlacementNotConfigured: [placement] {missing} missing: "
            "fill that section of nova.conf (auth_url, project_name, username, password) and start again"
        )
