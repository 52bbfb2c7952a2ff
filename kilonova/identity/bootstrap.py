"""The first records of a cloud: what `keystone-manage bootstrap` makes, and the service users beside it.

Safe to repeat: whatever exists stays, except that passwords and URLs are set to what is asked for.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from kilonova.identity import assignments, records
from kilonova.identity.names import fold
from kilonova.identity.passwords import hash_password
from kilonova.identity.service import Identity
from kilonova.identity.tables import (
    NO_DOMAIN,
    SYSTEM_TARGET_ID,
    Assignment,
    Domain,
    Endpoint,
    ImpliedRole,
    Project,
    Region,
    Role,
    Service,
    User,
    domains,
    endpoints,
    implied_roles,
    projects,
    regions,
    roles,
    services,
)
from kilonova.kit.db import Tx

DEFAULT_DOMAIN_ID = "default"
ROLE_CHAIN = ("admin", "manager", "member", "reader")
"""Each implies the next."""
OTHER_ROLES = ("service",)


class ServiceEntry(Struct, frozen=True):
    """One line of the catalog: the same URL for the public, internal and admin interface, unless `urls` names it."""

    type: str
    name: str
    description: str
    url: str
    urls: Mapping[str, str] = {}
    """Interface → URL."""


class Bootstrap(Struct, frozen=True):
    region_id: str
    admin_password: str
    service_passwords: Mapping[str, str]
    """Service user's name → password. They get the roles admin and service on the project service."""
    services: Sequence[ServiceEntry]
    demo_password: str | None = None
    """Of the user demo, member of the project demo; None: neither is made."""


async def bootstrap(identity: Identity, wanted: Bootstrap) -> None:
    """Domain `default`, projects admin and service, the role chain, users, region, services, endpoints."""
    passwords = {"admin": wanted.admin_password, **wanted.service_passwords}
    if wanted.demo_password is not None:
        passwords["demo"] = wanted.demo_password
    hashes = await _new_hashes(identity, passwords)
    async with identity.database.transaction() as tx:
        await tx.insert_new(domains, Domain(DEFAULT_DOMAIN_ID, "Default", "The default domain", True, {}))
        role_ids = await _ensure_roles(tx)
        admin_project = await ensure_project(tx, "admin", "Bootstrap project for initializing the cloud.")
        service_project = await ensure_project(tx, "service", "The services' own users")
        for name in passwords:
            user = await _ensure_user(tx, identity, name, hashes.get(name))
            project, granted = service_project, ["admin", "service"]
            if name == "admin":
                project, granted = admin_project, ["admin"]
                await assignments.grant(tx, Assignment(user.id, "system", SYSTEM_TARGET_ID, role_ids["admin"]))
            elif name == "demo" and wanted.demo_password is not None:
                project, granted = await ensure_project(tx, "demo", "A project to try things in"), ["member"]
            for role in granted:
                await assignments.grant(tx, Assignment(user.id, "project", project.id, role_ids[role]))
        await tx.insert_new(regions, Region(wanted.region_id, "", None))
        for entry in wanted.services:
            await _ensure_service(tx, entry, wanted.region_id)


async def _new_hashes(identity: Identity, passwords: Mapping[str, str]) -> dict[str, str]:
    """Hashes of those passwords that are not the stored ones, made before the transaction: hashing takes its time."""
    hashes = {}
    async with identity.database.reading() as tx:
        known = {user.folded_name: user for user in await identity.directory.users_of_domain(tx, DEFAULT_DOMAIN_ID)}
    for name, password in passwords.items():
        user = known.get(fold(name))
        if user is None or not await identity.directory.check_password(user, password):
            hashes[name] = await hash_password(password)
    return hashes


async def _ensure_roles(tx: Tx) -> dict[str, str]:
    for name in (*ROLE_CHAIN, *OTHER_ROLES):
        await tx.insert_new(roles, Role(records.new_id(), NO_DOMAIN, name, "", {}))
    role_ids = {
        role.folded_name: role.id for role in await records.list_equal(tx, roles, Role, {"domain_id": NO_DOMAIN})
    }
    for prior, implied in pairwise(ROLE_CHAIN):
        await tx.insert_new(implied_roles, ImpliedRole(role_ids[prior], role_ids[implied]))
    return role_ids


async def ensure_project(tx: Tx, name: str, description: str) -> Project:
    await tx.insert_new(projects, Project(records.new_id(), DEFAULT_DOMAIN_ID, None, name, description, True, [], {}))
    (project,) = await records.list_equal(tx, projects, Project, {"domain_id": DEFAULT_DOMAIN_ID, "name": name})
    return project


async def _ensure_user(tx: Tx, identity: Identity, name: str, password_hash: str | None) -> User:
    user = await identity.directory.find_user_named(tx, name, DEFAULT_DOMAIN_ID)
    if user is None:
        user = User(records.new_id(), DEFAULT_DOMAIN_ID, name, password_hash, True, None, {}, identity.clock.now())
        await identity.directory.add_user(tx, user)
    elif password_hash is not None:
        user = await identity.directory.change_user(tx, user, {"password_hash": password_hash})
    return user


async def _ensure_service(tx: Tx, entry: ServiceEntry, region_id: str) -> None:
    service = await tx.find(Service, services, type=entry.type)
    if service is None:
        service = Service(records.new_id(), entry.type, entry.name, entry.description, True)
        await tx.insert(services, service)
    for interface in ("public", "internal", "admin"):
        wanted = {"service_id": service.id, "interface": interface, "region_id": region_id}
        existing = await records.list_equal(tx, endpoints, Endpoint, wanted)
        url = entry.urls.get(interface, entry.url)
        if not existing:
            endpoint = Endpoint(records.new_id(), service.id, interface, region_id, url, True)
            await tx.insert(endpoints, endpoint)
        elif existing[0].url != url:
            await records.change(tx, endpoints, Endpoint, "endpoint", existing[0], {"url": url})
