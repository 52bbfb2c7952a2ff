"""Private database servers for tests and measurements: on a free loopback port, in a directory, gone after.

Nothing in them outlives the block, so that they do not wait for the disk.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kilonova.kit.testing.ports import free_ports, wait_for_port

POSTGRESQL_BINARIES = Path("/usr/lib/postgresql/15/bin")
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""
READY_SECONDS = 30.0


class ServerMissing(Exception):
    """The database server's Debian package is not installed."""


@contextmanager
def postgresql(directory: Path) -> Iterator[str]:
    """The URL of a running server's maintenance database (`…/postgres`)."""
    if not POSTGRESQL_BINARIES.exists():
        raise ServerMissing("PostgreSQL is not installed: the Debian package is postgresql-15")
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    directory.mkdir(parents=True, exist_ok=True)
    # Not below `directory`: its parents may be closed to other users at any moment, as pytest does with its own.
    with tempfile.TemporaryDirectory(prefix="kilonova-postgresql-") as place:
        if user is not None:
            shutil.chown(place, user)
        with _running_postgresql(Path(place) / "data", directory / "postgresql.log", user) as url:
            yield url


@contextmanager
def _running_postgresql(data: Path, log: Path, user: str | None) -> Iterator[str]:
    (port,) = free_ports(1)
    initdb: list[str | Path] = [
        POSTGRESQL_BINARIES / "initdb",
        "-D",
        data,
        "-U",
        "kilonova",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd="/")
    settings = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")
    options = [word for each in settings for word in ("-c", each)]
    command = [POSTGRESQL_BINARIES / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", data, *options]
    # Its processes end with it at this signal, before the directory goes.
    with _running([str(each) for each in command], log, user, signal.SIGQUIT):
        wait_for_port(port, READY_SECONDS)
        yield f"postgresql://kilonova@127.0.0.1:{port}/postgres"


@contextmanager
def mariadb(directory: Path) -> Iterator[str]:
    """The URL of a running server, without a database."""
    if shutil.which("mariadbd") is None:
        raise ServerMissing("MariaDB is not installed: the Debian package is mariadb-server")
    data, (port,) = directory / "mariadb", free_ports(1)
    directory.mkdir(parents=True, exist_ok=True)
    account = ["--user=root"] if os.geteuid() == 0 else []
    # A server that starts removes every temporary table it finds in its directory for them, other servers' too.
    temporary = directory / "temporary"
    temporary.mkdir()
    places = [f"--datadir={data}", f"--tmpdir={temporary}"]
    install = ["mariadb-install-db", "--no-defaults", *places, "--skip-test-db", *account]
    made = subprocess.run([*install, "--auth-root-authentication-method=normal"], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"no database could be made in {data}: {made.stdout}{made.stderr}")
    command = [
        "mariadbd",
        "--no-defaults",
        *places,
        f"--socket={data}/socket",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--skip-log-bin",
        "--max-connections=300",
        *account,
    ]
    with _running(command, directory / "mariadb.log", None):
        wait_for_port(port, READY_SECONDS)
        yield f"mysql+pymysql://root@127.0.0.1:{port}"


@contextmanager
def _running(
    command: list[str], log: Path, user: str | None, ending: signal.Signals = signal.SIGKILL
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd="/")
        try:
            yield
        finally:
            process.send_signal(ending)
            process.wait()
