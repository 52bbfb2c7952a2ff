"""The services of the catalog. Their endpoints go with them."""

from collections.abc import Mapping
from typing import Any

from kilonova.identity import records
from kilonova.identity.tables import Service, services
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection


async def find(tx: Tx, service_id: str) -> Service:
    """Raises ResourceNotFound."""
    return await records.find(tx, services, Service, "service", service_id)


async def list_matching(tx: Tx, selection: Selection) -> list[Service]:
    """Raises BadRequest for a marker that is none."""
    return await records.list_where(tx, services, Service, selection)


async def add(tx: Tx, service: Service) -> None:
    await records.add(tx, services, service, "service")


async def change(tx: Tx, service_id: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Service:
    """Raises ResourceNotFound."""
    service = await find(tx, service_id)
    written = records.with_extra(service.extra or {}, values, extra)
    return await records.change(tx, services, Service, "service", service, written)


async def remove(tx: Tx, service_id: str) -> None:
    """Raises ResourceNotFound."""
    service = await find(tx, service_id)
    await records.remove(tx, services, service.id)
