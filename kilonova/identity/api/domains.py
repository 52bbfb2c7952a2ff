"""/v3/domains."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import delete, func, select

from kilonova.identity import records
from kilonova.identity.api.bodies import IdentityRequest, flag, given, listing, read_fields
from kilonova.identity.errors import ResourceNotFound, StillEnabled
from kilonova.identity.tables import Domain, assignments, domains, projects, users
from kilonova.identity.views.records import domain_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import Conflict
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC

DomainName = Annotated[str, Meta(min_length=1, max_length=64)]


class NewDomain(Struct):
    name: DomainName
    description: str | None = ""
    enabled: bool = True


class ChangedDomain(Struct):
    name: DomainName | UnsetType = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


async def create_domain(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, "domain", NewDomain)
    domain = Domain(records.new_id(), fields.name, fields.description or "", fields.enabled, extra)
    async with request.service.database.transaction() as tx:
        await records.add(tx, domains, domain, "domain")
    return {"domain": domain_view(domain, request.base_url)}


async def list_domains(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    filters = {"name": request.query.get("name"), "enabled": flag(request, "enabled")}
    async with request.service.database.reading() as tx:
        found = await records.list_equal(tx, domains, Domain, filters)
    return listing(request, "domains", [domain_view(each, request.base_url) for each in found])


async def fetch_domain(tx: Tx, request: IdentityRequest) -> Domain:
    domain_id = request.path["domain_id"]
    request.authorize({"target.domain.id": domain_id})
    domain = await tx.first(Domain, select(domains).where(domains.c.id == domain_id))
    if domain is None:
        raise ResourceNotFound("domain", domain_id)
    return domain


async def show_domain(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        domain = await fetch_domain(tx, request)
    return {"domain": domain_view(domain, request.base_url)}


async def update_domain(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = read_fields(body, "domain", ChangedDomain)
    values = given(fields)
    async with request.service.database.transaction() as tx:
        domain = await fetch_domain(tx, request)
        if extra:
            values["extra"] = {**domain.extra, **extra}
        domain = await records.change(tx, domains, Domain, "domain", domain, values)
    if values.get("enabled") is False:
        # A domain holds users and projects alike: the other services ask again for every token they know.
        await request.service.bus.publish(REVOCATIONS_TOPIC, {})
    return {"domain": domain_view(domain, request.base_url)}


async def delete_domain(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        domain = await fetch_domain(tx, request)
        if domain.enabled:
            raise StillEnabled(f"Domain {domain.id} is enabled; disable it before deleting it.")
        for table, plural in ((users, "users"), (projects, "projects")):
            count = await tx.scalar(select(func.count()).select_from(table).where(table.c.domain_id == domain.id))
            if count:
                raise Conflict(f"Domain {domain.id} still has {count} {plural}; delete them first.")
        await tx.execute(
            delete(assignments).where(assignments.c.target_kind == "domain", assignments.c.target_id == domain.id)
        )
        await records.remove(tx, domains, domain.id)
