"""A cloud of the first release comes up with everything it had.

`first/` is what a simulated cloud of that release (revision babef56) left: its databases as SQL, its keys, and what its
APIs answered an administrator. The secrets in it open nothing else.
"""

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import MetaData

import kilonova
from kilonova.compute.service import Region
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.http.client import Credentials, ServiceSession
from tests.compute.loads import check_loads
from tests.worlds import CloudInProcess, compute, identity, image, network, placement

FIRST = Path(__file__).parent / "first"
(PACKAGE,) = map(Path, kilonova.__path__)
ANSWERS: dict[str, dict[str, Any]] = json.loads((FIRST / "answers.json").read_text())["answers"]
ADMIN_PASSWORD: str = json.loads((FIRST / "answers.json").read_text())["admin"]
ANN = Credentials("Ann", "ann's password", "Web")
PREFIXES = {"identity": "/v3", "image": "/v2", "compute": "/v2.1", "network": "/v2.0", "placement": ""}
PLACES = ("links", "href", "self", "file", "schema", "url", "direct_url")
"""Fields that say under which address the cloud was asked."""
CHANGED = {
    "deleted": ("host_status",),
    "hypervisors": ("state",),
    "servers": ("host_status",),
}
"""List → fields that tell of what runs, not of what is stored."""


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[CloudInProcess]:
    """The parts that answer users, on the first release's databases, which are brought up to date."""

    def make_database(service: str, metadata: MetaData) -> Database:
        path = tmp_path / f"{service}.db"
        with sqlite3.connect(path) as connection:
            connection.executescript((FIRST / f"{service}.sql").read_text())
        database = Database(f"sqlite:///{path}", metadata)
        upgrade(database, PACKAGE / service / "migrations")
        return database

    def make_session(user: str) -> ServiceSession:
        return ServiceSession(made.client("identity"), Credentials("admin", ADMIN_PASSWORD, "admin"))

    shutil.copytree(FIRST / "fernet-keys", tmp_path / "fernet-keys")
    settings = {
        "fernet_tokens": {"key_repository": str(tmp_path / "fernet-keys")},
        "glance_store": {"filesystem_store_datadir": str(tmp_path / "images")},
    }
    (tmp_path / "images").mkdir()
    for each in ANSWERS["images"]["rows"]:
        if each["status"] == "active":
            (tmp_path / "images" / each["id"]).write_bytes(bytes(each["size"]))
    made = CloudInProcess(make_database=make_database, make_session=make_session, settings=settings)
    await made.add_all(identity.API, image.API, placement.API, network.SERVER, compute.API)
    yield made
    await made.close()


async def client_of(cloud: CloudInProcess, service: str, who: Credentials) -> httpx.AsyncClient:
    session = ServiceSession(cloud.client("identity"), who)
    headers = {"X-Auth-Token": await session.token(), "OpenStack-API-Version": "compute 2.79"}
    client = cloud.client(service)
    client.headers.update(headers)
    return client


def stored(value: Any, ignored: tuple[str, ...]) -> Any:
    """What of an answer was stored, in an order of its own."""
    if isinstance(value, dict):
        return {name: stored(each, ignored) for name, each in value.items() if name not in ignored}
    if isinstance(value, list):
        return sorted((stored(each, ignored) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


def of_before(now: Any, before: Any) -> Any:
    """`now` without what a later release has added to answers."""
    if isinstance(now, dict) and isinstance(before, dict):
        return {name: of_before(each, before[name]) for name, each in now.items() if name in before}
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        return [of_before(*pair) for pair in zip(now, before, strict=True)]
    return now


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_what_the_first_release_had_is_there(cloud: CloudInProcess, name: str) -> None:
    asked = ANSWERS[name]
    client = await client_of(cloud, asked["service"], Credentials("admin", ADMIN_PASSWORD, "admin"))
    response = await client.get(PREFIXES[asked["service"]] + asked["path"])
    assert response.status_code == 200, response.text
    (rows,) = [each for key, each in response.json().items() if type(each) is type(asked["rows"]) and key != "links"]
    ignored = (*PLACES, *CHANGED.get(name, ()))
    before = stored(asked["rows"], ignored)
    assert before
    assert of_before(stored(rows, ignored), before) == before


async def test_the_servers_of_its_hosts_are_counted(cloud: CloudInProcess) -> None:
    region: Region = cloud.services["compute"]
    await check_loads(region.database, region.here.hosts)
    async with region.here.reading() as tx:
        known = (await region.here.hosts.refresh(tx)).hosts.values()
    assert sum(each.state.servers for each in known) == len(ANSWERS["servers"]["rows"]) > 0


async def test_its_users_go_on(cloud: CloudInProcess) -> None:
    networking = await client_of(cloud, "network", ANN)
    computing = await client_of(cloud, "compute", ANN)
    servers = (await computing.get("/v2.1/servers")).json()["servers"]
    assert sorted(each["name"] for each in servers) == ["s0", "s1", "s2"]
    port = (await networking.get("/v2.0/ports", params={"device_id": servers[0]["id"]})).json()["ports"][0]
    new = {"port": {"network_id": port["network_id"], "security_groups": port["security_groups"]}}
    made = await networking.post("/v2.0/ports", json=new)
    assert made.status_code == 201, made.text
    taken = {each["ip_address"] for each in port["fixed_ips"]}
    assert taken.isdisjoint(each["ip_address"] for each in made.json()["port"]["fixed_ips"])
    assert (await computing.delete(f"/v2.1/servers/{servers[0]['id']}")).status_code == 204
    again = {"name": "s3", "imageRef": "", "flavorRef": "old", "networks": "none"}
    (image_id,) = [each["id"] for each in ANSWERS["images"]["rows"] if each["name"] == "tiny"]
    created = await computing.post("/v2.1/servers", json={"server": {**again, "imageRef": image_id}})
    assert created.status_code == 202, created.text
