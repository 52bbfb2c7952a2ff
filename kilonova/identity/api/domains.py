"""/v3/domains."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import domain_removal, domains, records
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields, RecordId
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.api.options import Immutability
from kilonova.identity.tables import Domain
from kilonova.identity.views.records import domain_view
from kilonova.kit.db import Tx
from kilonova.kit.http.bounds import Free, LongText

DomainName = Annotated[str, Meta(min_length=1, max_length=64)]

LISTS = listing({"name": "name"}, flags=("enabled",), sorts=("name", "enabled"))
REACH_LISTS = replace(LISTS, order=(("name", "asc"), ("id", "asc")))
"""Lists the domains that a user has a role on."""


LACKING = {"tags": "Domains cannot have tags here yet: projects can."}


class NewDomain(NewFields):
    kind: ClassVar[str] = "domain"
    lacking: ClassVar[Mapping[str, str]] = LACKING

    name: DomainName
    explicit_domain_id: RecordId | None = None
    description: LongText | None = ""
    enabled: bool = True
    options: Immutability | UnsetType = UNSET
    tags: Free = None


class NewDomainBody(Struct):
    domain: NewDomain


class ChangedDomain(Fields):
    kind: ClassVar[str] = "domain"
    lacking: ClassVar[Mapping[str, str]] = LACKING

    name: DomainName | UnsetType = UNSET
    description: LongText | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    options: Immutability | UnsetType = UNSET
    tags: Free = None


class ChangedDomainBody(Struct):
    domain: ChangedDomain


async def create_domain(request: IdentityRequest, body: NewDomainBody) -> dict[str, Any]:
    fields = body.domain
    domain = Domain(
        id=fields.explicit_domain_id or records.new_id(),
        name=fields.name,
        description=fields.description or "",
        enabled=fields.enabled,
        extra=fields.attributes(),
    )
    async with request.service.database.transaction() as tx:
        await domains.add(tx, domain)
    return {"domain": domain_view(domain, request.base_url)}


async def list_domains(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await domains.list_matching(tx, page.selection)
    return paged(request, "domains", page, found, domain_view)


async def fetch_domain(tx: Tx, request: IdentityRequest) -> Domain:
    domain_id = request.path["domain_id"]
    request.authorize({"target.domain.id": domain_id})
    return await domains.find(tx, domain_id)


async def show_domain(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        domain = await fetch_domain(tx, request)
    return {"domain": domain_view(domain, request.base_url)}


async def update_domain(request: IdentityRequest, body: ChangedDomainBody) -> dict[str, Any]:
    fields = body.domain
    fields.refuse_other_id(request.path["domain_id"])
    async with request.service.database.transaction() as tx:
        domain = await fetch_domain(tx, request)
        domain = await domains.change(tx, domain, fields.given(), fields.attributes())
    return {"domain": domain_view(domain, request.base_url)}


async def delete_domain(request: IdentityRequest) -> None:
    identity = request.service
    async with identity.database.transaction() as tx:
        await domain_removal.remove(tx, identity, await fetch_domain(tx, request))
