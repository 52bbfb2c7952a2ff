"""What a daemon or a `*-manage` command says when it cannot go on, and how it ends."""

import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from kilonova.cli.daemons import manage
from kilonova.cli.daemons.files import read
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.process import EX_CONFIG, EX_TEMPFAIL
from kilonova.cli.daemons.refusals import (
    _database_refusal,
    check_clock,
    check_identity,
    require_placement,
)
from kilonova.cli.grounds.neighbours import credentials_of
from kilonova.cli.parts.options import COMPUTE
from kilonova.image.tables import metadata
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import current_revision
from kilonova.kit.http.client import ServiceSession
from kilonova.kit.testing.ports import free_ports
from tests.databases import Databases

BINARIES = Path(sys.executable).parent


class Manage:
    """Runs a `*-manage` program in this process, on a file of its own."""

    def __init__(self, directory: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.directory, self._monkeypatch, self._capsys = directory, monkeypatch, capsys
        self.url = databases.engine.create("managed", directory)
        self.file = directory / "service.conf"
        self.configure(self.url)

    def configure(self, url: str) -> None:
        self.file.write_text(f"[database]\nconnection={url}\n[fernet_tokens]\nkey_repository={self.directory}/keys\n")

    def __call__(self, act: Callable[[], int], *words: str) -> tuple[int, str, str]:
        """The exit code and what was said on standard output and error."""
        file = self.file
        if act is not manage.keystone_manage:
            file = self.directory / "plain.conf"
            file.write_text(self.file.read_text().partition("[fernet_tokens]")[0])
        self._monkeypatch.setattr(sys, "argv", ["program", "--config-file", str(file), *words])
        code = act()
        said = self._capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def run(tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Manage:
    return Manage(tmp_path, databases, monkeypatch, capsys)


# --- the order of the guides ------------------------------------------------------------------------------------------


def test_the_first_commands_in_order_and_out_of_order(run: Manage) -> None:
    bootstrap = ("bootstrap", "--bootstrap-password", "ADMIN_PASS", "--bootstrap-public-url", "http://c:5000/v3/")
    code, _out, err = run(manage.keystone_manage, *bootstrap)
    assert code == EX_CONFIG and "the database of identity is empty: run `keystone-manage db_sync`" in err
    assert run(manage.keystone_manage, "db_sync") == (0, "", "")
    code, _out, err = run(manage.keystone_manage, *bootstrap)
    assert code == EX_CONFIG and "holds no token key: run `keystone-manage fernet_setup` first" in err
    assert run(manage.keystone_manage, "fernet_setup", "--keystone-user", "root", "--keystone-group", "root")[0] == 0
    assert stat.S_IMODE((run.directory / "keys" / "0").stat().st_mode) == 0o600
    assert run(manage.keystone_manage, "credential_setup", "--keystone-user", "root")[0] == 0
    internal = ("--bootstrap-internal-url", "http://i:5000/v3/", "--bootstrap-admin-url", "http://a:35357/v3/")
    for _twice in range(2):
        assert run(manage.keystone_manage, *bootstrap, *internal, "--bootstrap-region-id", "RegionOne")[0] == 0


def test_bootstrap_names_each_interface_as_asked(run: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from sqlalchemy import select

    from kilonova.identity import tables

    for words in (("db_sync",), ("fernet_setup",)):
        assert run(manage.keystone_manage, *words)[0] == 0
    monkeypatch.setenv("OS_BOOTSTRAP_PASSWORD", "ADMIN_PASS")
    urls = ("--bootstrap-public-url", "http://p:5000/v3/", "--bootstrap-admin-url", "http://a:35357/v3/")
    assert run(manage.keystone_manage, "bootstrap", *urls) == (0, "", "")

    async def endpoints() -> dict[str, str]:
        database = Database(run.url, tables.metadata)
        async with database.reading() as tx:
            found = {each.interface: each.url for each in await tx.all(tables.Endpoint, select(tables.endpoints))}
        await database.close()
        return found

    assert asyncio.run(endpoints()) == {
        "public": "http://p:5000/v3",
        "internal": "http://p:5000/v3",
        "admin": "http://a:35357/v3",
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("fernet_setup", "--keystone-user", "nobody-of-that-name"), "this host has no user 'nobody-of-that-name'"),
        (("fernet_setup", "--keystone-group", "no-such-group"), "this host has no group 'no-such-group'"),
        (("bootstrap",), "--bootstrap-password or OS_BOOTSTRAP_PASSWORD"),
        (("bootstrap", "--bootstrap-password", "x", "--bootstrap-public-url", "controller:5000"), "is no URL"),
        (("bootstrap", "--bootstrap-password", "x", "--bootstrap-username", "root"), "always called admin"),
        (("db_sync", "--sideways"), "'--sideways' is not understood"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_word(run: Manage, words: tuple[str, ...], sentence: str) -> None:
    code, _out, err = run(manage.keystone_manage, *words)
    assert code == EX_CONFIG and sentence in err


def test_a_command_that_does_not_exist_is_answered_with_those_that_do(run: Manage) -> None:
    code, _out, err = run(manage.keystone_manage, "db-sync")
    assert code == 2 and "db_sync, db_sync --check, db_version, fernet_setup" in err


@pytest.mark.parametrize(
    ("act", "words", "said"),
    [
        (manage.glance_manage, "db_sync", "Database is synced successfully.\n"),
        (manage.glance_manage, "db sync", "Database is synced successfully.\n"),
        (manage.placement_manage, "db sync", ""),
        (manage.neutron_db_manage, "upgrade head", "OK\n"),
        (manage.neutron_db_manage, "upgrade heads", "OK\n"),
        (manage.keystone_manage, "--debug db_sync", ""),
    ],
)
def test_schemas_go_up_and_stay(run: Manage, act: Callable[[], int], words: str, said: str) -> None:
    for _twice in range(2):
        assert run(act, *words.split()) == (0, said, "")


def test_versions_and_checks(run: Manage) -> None:
    assert run(manage.glance_manage, "db", "version")[:2] == (0, "none\n")
    code, out, _err = run(manage.glance_manage, "db", "check")
    assert code == 2 and "run `glance-manage db_sync`" in out
    assert run(manage.glance_manage, "db_sync")[0] == 0
    assert run(manage.glance_manage, "db", "check")[:2] == (0, "The database is up to date.\n")
    assert run(manage.glance_manage, "db_version")[1].strip().isdigit()


# --- databases --------------------------------------------------------------------------------------------------------


def test_a_database_of_another_service_is_not_touched(run: Manage) -> None:
    assert run(manage.keystone_manage, "db_sync")[0] == 0
    code, _out, err = run(manage.glance_manage, "db_sync")
    assert code == EX_CONFIG and "none of image: the URL names the wrong database" in err
    assert "[database] connection" in err


def test_a_schema_that_is_newer_is_not_touched(run: Manage) -> None:
    assert run(manage.glance_manage, "db_sync")[0] == 0
    database = Database(run.url, metadata)
    database.run_alone(lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    assert current_revision(database) == "9999"
    code, _out, err = run(manage.glance_manage, "db_sync")
    assert code == EX_CONFIG and "is at 9999, newer than this release's" in err


def test_a_server_that_is_away_is_worth_another_try(run: Manage) -> None:
    (port,) = free_ports(1)
    for scheme in ("mysql+pymysql", "postgresql"):
        run.configure(f"{scheme}://glance:secret-word@127.0.0.1:{port}/glance")
        code, _out, err = run(manage.glance_manage, "db_sync")
        assert code == EX_TEMPFAIL and "[database] connection: The database" in err and "secret-word" not in err
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("url", ["", "controller/glance", "oracle://glance:x@controller/glance"])
def test_a_url_that_cannot_be_meant_is_named(run: Manage, url: str) -> None:
    run.configure(url)
    code, _out, err = run(manage.glance_manage, "db_sync")
    assert code == EX_CONFIG and "[database] connection" in err


def test_a_database_that_does_not_exist_is_named(run: Manage) -> None:
    """SQLite, which has no such databases, says that of the file's directory."""
    url = make_url(run.url)
    is_sqlite = url.get_backend_name() == "sqlite"
    nowhere = "/proc/nothing/glance.db" if is_sqlite else "nothing"
    run.configure(url.set(database=nowhere).render_as_string(hide_password=False))
    code, _out, err = run(manage.glance_manage, "db_sync")
    sentence = "/proc/nothing" if is_sqlite else "has no database 'nothing': CREATE DATABASE nothing first"
    assert code == EX_CONFIG and sentence in err


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (1045, "refuses the user 'nova': the password is wrong"),
        (1044, "a GRANT on nova_api is missing"),
        (1049, "CREATE DATABASE nova_api first"),
        (1142, "GRANT ALL PRIVILEGES ON nova_api.* first"),
    ],
)
def test_what_mariadb_refuses_is_explained_without_the_password(code: int, sentence: str) -> None:
    database = Database("mysql+pymysql://nova:secret-word@controller/nova_api", metadata)
    refusal = _database_refusal(database, OperationalError("", {}, Exception(code, "denied")))
    assert isinstance(refusal, ConfigError) and sentence in str(refusal) and "secret-word" not in str(refusal)


def test_what_nobody_knows_is_not_explained_away() -> None:
    error = ProgrammingError("", {}, Exception(9999, "?"))
    assert _database_refusal(Database("mysql://nova:x@controller/nova", metadata), error) is error


# --- identity, clocks, placement --------------------------------------------------------------------------------------


def identity_that(status: int, off: timedelta = timedelta()) -> httpx.AsyncClient:
    """Its clock is `off` from ours; it answers a wish for a token with `status`."""
    date = (datetime.now(UTC) + off).strftime("%a, %d %b %Y %H:%M:%S GMT")
    token = {"token": {"expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3":
            return httpx.Response(200, headers={"date": date}, json={})
        if status == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, headers={"x-subject-token": "t"}, json=token if status == 201 else {})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://identity")


async def look(identity: httpx.AsyncClient, tmp_path: Path, section: str = "keystone_authtoken") -> None:
    path = tmp_path / "nova.conf"
    path.write_text(f"[{section}]\nusername=neutron\npassword=x\n")
    config = read("nova-api", "nova", [COMPUTE], ["--config-file", str(path)]).config
    async with identity:
        await check_identity(identity, {section: ServiceSession(identity, credentials_of(config[section]))})


async def test_a_password_that_identity_refuses_is_named_by_its_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[keystone_authtoken\] username, password: identity refuses this user"):
        await look(identity_that(401), tmp_path)


async def test_a_neighbours_user_may_come_later(tmp_path: Path) -> None:
    await look(identity_that(401), tmp_path, "neutron")


@pytest.mark.parametrize("status", [201, 503, 0])
async def test_identity_that_is_away_or_content_stops_nobody(tmp_path: Path, status: int) -> None:
    await look(identity_that(status), tmp_path)


async def test_a_clock_that_is_off_is_said_with_the_seconds(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"clock is (299|300|301) s behind identity's, more than the 120 s"):
        await look(identity_that(201, timedelta(seconds=300)), tmp_path)
    now = datetime.now(UTC)
    check_clock(now, now + timedelta(seconds=119))
    with pytest.raises(NotReady, match="ahead of"):
        check_clock(now, now + timedelta(seconds=121))


def test_placement_that_is_not_configured_is_named_as_operators_know_it(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text("[placement]\nusername = placement\n")
    with pytest.raises(ConfigError, match=r"PlacementNotConfigured: \[placement\] password missing: fill that section"):
        require_placement(read("nova-compute", "nova", [COMPUTE], ["--config-file", str(path)]).config)


# --- the processes themselves -----------------------------------------------------------------------------------------


def ends(directory: Path, program: str, text: str) -> tuple[int, str]:
    path = directory / f"{program}.conf"
    path.write_text(text)
    done = subprocess.run([BINARIES / program, "--config-file", str(path)], capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if line.startswith(f"{program}: ")]
    assert len(said) == 1, done.stderr
    return done.returncode, said[0]


def test_daemons_end_with_codes_that_systemd_knows(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = "[database]\nconnection = sqlite:///{}/empty.db\n"
    authtoken = f"[keystone_authtoken]\nauth_url=http://127.0.0.1:{port}\nusername=nova\npassword=x\n"
    rabbit = f"[DEFAULT]\ntransport_url = rabbit://a:b@127.0.0.1:{port}\n"
    code, said = ends(tmp_path, "keystone", url.format(tmp_path))
    assert (code, "run `keystone-manage db_sync`" in said) == (EX_CONFIG, True)
    code, said = ends(tmp_path, "glance-api", f"[database]\nconnection = mysql://a:b@127.0.0.1:{port}/x\n{authtoken}")
    assert (code, "cannot be reached" in said) == (EX_TEMPFAIL, True)
    code, said = ends(tmp_path, "nova-compute", rabbit + authtoken)
    assert (code, "PlacementNotConfigured: [placement]" in said) == (EX_CONFIG, True)
