"""An identity service with something of everything in it, and the bodies that name those things."""

from collections.abc import Mapping
from typing import Any

import httpx

from kilonova.identity.tables import metadata

BODIES: Mapping[tuple[str, str], Any] = {
    ("POST", "/v3/users"): {"user": {"name": "new"}},
    ("POST", "/v3/groups"): {"group": {"name": "new"}},
    ("POST", "/v3/projects"): {"project": {"name": "new"}},
    ("POST", "/v3/domains"): {"domain": {"name": "new"}},
    ("POST", "/v3/roles"): {"role": {"name": "new"}},
    ("POST", "/v3/endpoints"): {"endpoint": {"service_id": "service", "interface": "public", "url": "http://new/"}},
}
"""What a request holds beside the part that is tried."""
PATHS: Mapping[str, str] = {
    "user_id": "user", "group_id": "group", "project_id": "inner", "role_id": "role", "endpoint_id": "endpoint",
    "region_id": "north",
}  # fmt: skip


async def administrator(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


async def make(admin: httpx.AsyncClient, kind: str, **fields: Any) -> Any:
    response = await admin.post(f"/v3/{kind}s", json={kind: fields})
    assert response.status_code == 201, response.text
    return response.json()[kind]["id"]


async def something_of_everything(admin: httpx.AsyncClient) -> dict[str, str]:
    """Name → id of a domain `branch` with something of everything, and of what stands beside it."""
    found = {"default": "default", "its path": "fresh", "a name": "chosen-1"}
    branch = found["branch"] = await make(admin, "domain", name="branch")
    for kind in ("user", "group", "role"):
        found[kind] = await make(admin, kind, name="inside", domain_id=branch)
    found["inner.parent"] = await make(admin, "project", name="around", domain_id=branch)
    found["inner"] = await make(admin, "project", name="inside", domain_id=branch, parent_id=found["inner.parent"])
    found["project"] = await make(admin, "project", name="outside")
    found["service"] = await make(admin, "service", name="clock", type="time")
    found["region"] = await make(admin, "region", id="South")
    found["north"] = await make(admin, "region", id="North")
    found["village"] = await make(admin, "region", id="Village", parent_region_id="North")
    found["endpoint"] = await make(
        admin, "endpoint", service_id=found["service"], interface="admin", url="http://clock/", region_id="South"
    )
    return found


def with_ids(value: Any, world: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: with_ids(each, world) for name, each in value.items()}
    return world.get(value, value) if isinstance(value, str) else value


def body_with(body: Any, part: str, value: str) -> Any:
    """The body with a value at the part: `user.domain_id`."""
    *way, last = part.split(".")
    holder = body
    for name in way:
        holder = holder.setdefault(name, {})
    holder[last] = value
    return body


async def everything(identity: Any) -> Any:
    """All that identity keeps, but for who has logged in."""
    async with identity.identity.database.reading() as tx:
        return {
            table.name: sorted(map(repr, await tx.tuples(table.select())))
            for table in metadata.sorted_tables
            if table.name not in ("log_ins", "revocations")
        }
