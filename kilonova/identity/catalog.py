"""Services, endpoints and regions, and the catalog a token carries."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import select

from kilonova.identity.tables import Endpoint, Service, endpoints, services
from kilonova.kit.db import Tx

INTERFACES = ("public", "internal", "admin")


class CatalogEntry(Struct):
    service: Service
    endpoints: list[Endpoint]


async def load(tx: Tx) -> list[CatalogEntry]:
    """Every enabled service with its enabled endpoints."""
    found = await tx.all(Service, select(services).where(services.c.enabled).order_by(services.c.type))
    enabled = await tx.all(Endpoint, select(endpoints).where(endpoints.c.enabled).order_by(endpoints.c.id))
    return [CatalogEntry(service, [each for each in enabled if each.service_id == service.id]) for service in found]


def render(entries: Sequence[CatalogEntry], *, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
    """The catalog as a token shows it. An endpoint whose URL needs a project is left out of a token without one."""
    catalog = []
    for entry in entries:
        shown = []
        for endpoint in entry.endpoints:
            url = fill_url(endpoint.url, user_id=user_id, project_id=project_id)
            if url is not None:
                shown.append(
                    {
                        "id": endpoint.id,
                        "interface": endpoint.interface,
                        "region": endpoint.region_id,
                        "region_id": endpoint.region_id,
                        "url": url,
                    }
                )
        service = entry.service
        catalog.append({"id": service.id, "type": service.type, "name": service.name, "endpoints": shown})
    return catalog


def fill_url(url: str, *, user_id: str, project_id: str | None) -> str | None:
    """Replaces `$(project_id)s`, `%(tenant_id)s` and their like; None when there is no project to put in."""
    for name in ("project_id", "tenant_id"):
        for form in (f"$({name})s", f"%({name})s"):
            if form in url:
                if project_id is None:
                    return None
                url = url.replace(form, project_id)
    return url.replace("$(user_id)s", user_id).replace("%(user_id)s", user_id)
