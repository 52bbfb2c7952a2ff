"""Endpoints: where a service answers, for one interface in one region."""

from collections.abc import Mapping
from typing import Any

from kilonova.identity import records, regions, services
from kilonova.identity.errors import InvalidReference, ResourceNotFound
from kilonova.identity.tables import Endpoint, endpoints
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection


async def find(tx: Tx, endpoint_id: str) -> Endpoint:
    """Raises ResourceNotFound."""
    return await records.find(tx, endpoints, Endpoint, "endpoint", endpoint_id)


async def list_matching(tx: Tx, selection: Selection) -> list[Endpoint]:
    """Raises BadRequest for a marker that is none."""
    return await records.list_where(tx, endpoints, Endpoint, selection)


async def add(tx: Tx, endpoint: Endpoint) -> None:
    """Raises InvalidReference for a service that does not exist."""
    await _settle_references(tx, endpoint.service_id, endpoint.region_id)
    await records.add(tx, endpoints, endpoint, "endpoint")


async def change(tx: Tx, endpoint_id: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Endpoint:
    """Raises ResourceNotFound, InvalidReference for a service that does not exist."""
    endpoint = await find(tx, endpoint_id)
    await _settle_references(tx, values.get("service_id"), values.get("region_id"))
    written = records.with_extra(endpoint.extra or {}, values, extra)
    return await records.change(tx, endpoints, Endpoint, "endpoint", endpoint, written)


async def remove(tx: Tx, endpoint_id: str) -> None:
    """Raises ResourceNotFound."""
    endpoint = await find(tx, endpoint_id)
    await records.remove(tx, endpoints, endpoint.id)


async def _settle_references(tx: Tx, service_id: str | None, region_id: str | None) -> None:
    """Raises InvalidReference for a service that does not exist; a region that does not is made, as upstream does."""
    if service_id is not None:
        try:
            await services.find(tx, service_id)
        except ResourceNotFound as error:
            raise InvalidReference(error.message) from error
    if region_id is not None:
        await regions.ensure(tx, region_id)
