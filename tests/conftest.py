"""What every service's tests share: a real identity service in process, with a few people in it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from hypothesis import settings
from sqlalchemy import MetaData
from starlette.types import ASGIApp

from kilonova.identity import assignments, fernet_keys, passwords, records
from kilonova.identity.bootstrap import Bootstrap, ServiceEntry, bootstrap, ensure_project
from kilonova.identity.passwords import hash_password
from kilonova.identity.service import Identity
from kilonova.identity.tables import Assignment, Role, User, metadata, roles, users
from kilonova.kit.bus import InProcessBus
from kilonova.kit.db import Database
from kilonova.kit.http.client import Credentials, RemoteService, ServiceSession
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC, TokenVerifier
from kilonova.kit.testing import asgi_client, text_lengths
from tests.databases import VARIABLE, Databases
from tests.databases import databases as open_databases
from tests.e2e.sharing import CloudScheduling
from tests.worlds import CloudInProcess, IdentityTemplate, cloud_in
from tests.worlds import identity as parts
from tools.run_tests import PARTS

# How long one example takes is the machine's doing: other tests run beside it.
settings.register_profile("kilonova", deadline=None)
settings.load_profile("kilonova")
text_lengths.enforce()

PASSWORD = "a password for tests"
SERVICE_USERS = ("nova", "glance", "placement", "neutron", "cinder")
PEOPLE = {"demo": ("demo", "member"), "other": ("other", "member"), "reader": ("demo", "reader")}
"""User → (project, role)."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse tests that `make test` would never run: those of a part that does not look into their directory."""
    for item in items:
        markers = {marker.name for marker in item.iter_markers()}
        path = item.path.relative_to(config.rootpath).as_posix()
        for part in PARTS:
            if part.is_of(markers) and not part.looks_into(path):
                raise pytest.UsageError(
                    f"{item.nodeid} belongs to the part {part.name}, whose directories in tools/run_tests.py lack it."
                )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> CloudScheduling | None:
    """Returns the scheduler that keeps a cloud's tests together where `--dist loadgroup` asks for it."""
    return CloudScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def public_directory() -> Iterator[Callable[[str], Path]]:
    """Makes directories that QEMU's account can get into too: those of `tmp_path` are their user's alone."""
    made: list[Path] = []

    def make(name: str) -> Path:
        directory = Path(tempfile.mkdtemp(prefix=f"kilonova-{name}-"))
        directory.chmod(0o711)
        made.append(directory)
        return directory

    yield make
    for each in made:
        shutil.rmtree(each, ignore_errors=True)


@dataclass
class IdentityInProcess:
    """A running identity service: get people's tokens, make other services' verifiers and sessions."""

    identity: Identity
    app: ASGIApp
    client: httpx.AsyncClient
    bus: InProcessBus
    cloud: CloudInProcess
    """Where the other services are added."""
    sessions: Mapping[tuple[str, str], ServiceSession] = field(default_factory=dict)
    """(user, project) → one that has its token since before the test."""
    _tokens: dict[str, str] = field(default_factory=dict)

    async def token(self, user: str = "demo", project: str | None = None) -> str:
        """A project-scoped token: `admin` on admin, service users on service, people on their own project."""
        default = "admin" if user == "admin" else "service" if user in SERVICE_USERS else PEOPLE[user][0]
        key = f"{user}@{project or default}"
        if key not in self._tokens:
            session = self.session(user, project or default)
            self._tokens[key] = await session.token()
        return self._tokens[key]

    def session(self, user: str, project: str = "service") -> ServiceSession:
        session = ServiceSession(self.client, Credentials(user, PASSWORD, project))
        before = self.sessions.get((user, project))
        if before is not None:
            session._token, session._renew_at = before._token, before._renew_at
        return session

    def verifier(self, service_user: str) -> TokenVerifier:
        """What another service checks its callers' tokens with; it hears of revocations."""
        verifier = TokenVerifier(self.client, self.session(service_user))
        self.bus.subscribe(REVOCATIONS_TOPIC, verifier.forget)
        return verifier

    async def client_for(self, app: ASGIApp, user: str | None = "demo") -> httpx.AsyncClient:
        """A client of another service's app that sends `user`'s token; None sends none."""
        client = asgi_client(app)
        if user is not None:
            client.headers["x-auth-token"] = await self.token(user)
        return client

    def remote(self, name: str, app: ASGIApp, service_user: str) -> RemoteService:
        """Another service as a service user calls it."""
        return RemoteService(name, asgi_client(app), self.session(service_user))

    async def project_id(self, name: str) -> str:
        response = await self.client.get(
            f"/v3/projects?name={name}", headers={"x-auth-token": await self.token("admin")}
        )
        found: str = response.json()["projects"][0]["id"]
        return found


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with open_databases(os.environ.get(VARIABLE, "sqlite"), tmp_path_factory.mktemp("databases")) as opened:
        yield opened


@pytest.fixture(scope="session")
def migrated(databases: Databases) -> Callable[[str, MetaData, Path], Database]:
    """`migrated(service, metadata, directory)`: a service's database at its newest schema."""
    return databases.migrated


@pytest.fixture(scope="session")
def identity_template(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> IdentityTemplate:
    """Made once and copied for each test, with tokens that hold in every copy: logging in again and again would take
    a third of the time. Its password hashes are cheap ones: the cost stands in the hash."""
    directory = tmp_path_factory.mktemp("identity")
    template = IdentityTemplate(databases.migrated("identity", metadata, directory), directory / "fernet-keys")
    fernet_keys.set_up(template.fernet_keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        asyncio.run(_fill(template))
    return template


async def _fill(template: IdentityTemplate) -> None:
    def make_session(user: str) -> ServiceSession:
        raise AssertionError(f"{user} calls nobody here")

    cloud = CloudInProcess(
        make_database=lambda _service, _metadata: template.database,
        make_session=make_session,
        settings={"fernet_tokens": {"key_repository": str(template.fernet_keys)}},
    )
    await cloud.add(parts.API)
    identity = cloud.services["identity"]
    services = (
        ServiceEntry("identity", "keystone", "Identity", "http://service.local/v3"),
        ServiceEntry("compute", "nova", "Compute", "http://compute.local/v2.1"),
        ServiceEntry("object-store", "swift", "Objects", "http://objects.local/v1/AUTH_%(project_id)s"),
    )
    passwords = dict.fromkeys(SERVICE_USERS, PASSWORD)
    await bootstrap(identity, Bootstrap("RegionOne", PASSWORD, passwords, services))
    password_hash = await hash_password(PASSWORD)
    async with template.database.transaction() as tx:
        role_ids = {role.name: role.id for role in await tx.all(Role, roles.select())}
        for name, (project_name, role) in PEOPLE.items():
            project = await ensure_project(tx, project_name, "")
            user = User(records.new_id(), "default", name, password_hash, True, None, {}, identity.clock.now())
            await tx.insert(users, user)
            await assignments.grant(tx, Assignment(user.id, "project", project.id, role_ids[role]))
    places = {user: project for user, (project, _role) in PEOPLE.items()} | {"admin": "admin"}
    async with asgi_client(cloud.apps["identity"]) as client:
        for user, project in (places | dict.fromkeys(SERVICE_USERS, "service")).items():
            session = template.sessions[user, project] = ServiceSession(client, Credentials(user, PASSWORD, project))
            await session.token()
    await cloud.close()


@pytest.fixture
async def identity(
    identity_template: IdentityTemplate, databases: Databases, tmp_path: Path
) -> AsyncIterator[IdentityInProcess]:
    cloud = cloud_in(tmp_path, databases, identity_template, make_session=lambda user: found.session(user))
    await cloud.add(parts.API)
    app = cloud.apps["identity"]
    async with asgi_client(app) as client:
        found = IdentityInProcess(cloud.services["identity"], app, client, cloud.bus, cloud, identity_template.sessions)
        yield found
    await cloud.close()


@pytest.fixture(autouse=True)
def _no_environment_credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A developer's own OS_* variables never reach a test."""
    import os

    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    yield


def body_of(response: httpx.Response, status: int = 200) -> Any:
    """The decoded body of a response that must have `status`; the failure shows what came instead."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    return response.json() if response.content else None


@pytest.fixture(name="body_of")
def body_of_fixture() -> Any:
    return body_of
