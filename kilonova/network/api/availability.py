"""/v2.0/availability_zones, /v2.0/network-ip-availabilities, /v2.0/service-providers."""

from kilonova.network import agents, availability
from kilonova.network.api.bodies import Body, NetworkRequest
from kilonova.network.api.listing import list_views
from kilonova.network.errors import NetworkNotFound
from kilonova.network.selections import listing_of_views
from kilonova.network.views.resources import ip_availability_view

LISTING = listing_of_views(
    ("network_id", "network_name", "project_id", "tenant_id"),
    sorts=("total_ips", "used_ips", "subnet_ip_availability"),
    others=("ip_version",),
)
QUERY = LISTING.query
ZONES_LISTING = listing_of_views(("name", "resource", "state"))
ZONES_QUERY = ZONES_LISTING.query


async def list_zones(request: NetworkRequest) -> Body:
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await agents.zones(tx)
    views = [
        {"name": zone, "resource": resource, "state": "available" if is_up else "unavailable"}
        for zone, resource, is_up in found
    ]
    return list_views(request, ZONES_LISTING, "availability_zones", views, key="name")


async def list_ip_availabilities(request: NetworkRequest) -> Body:
    request.authorize()
    versions = [int(text) for text in request.query.getlist("ip_version") if text in ("4", "6")]
    async with request.service.database.reading() as tx:
        found = await availability.of_networks(tx, ip_versions=versions or None)
    views = [ip_availability_view(each) for each in found]
    return list_views(request, LISTING, "network_ip_availabilities", views, key="network_id")


async def show_ip_availability(request: NetworkRequest) -> Body:
    request.authorize()
    network_id = request.path["network_id"]
    async with request.service.database.reading() as tx:
        found = await availability.of_networks(tx, network_id=network_id)
    if not found:
        raise NetworkNotFound(network_id)
    return {"network_ip_availability": ip_availability_view(found[0])}


async def list_service_providers(request: NetworkRequest) -> Body:
    """Nothing here has several providers to choose from."""
    request.authorize()
    return {"service_providers": []}
