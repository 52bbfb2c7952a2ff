"""/os-hosts, as `openstack host list` asks for it: which service runs where. Gone from microversion 2.43 on."""

from typing import Any

from kilonova.compute import control_daemons, hosts
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.views.records import host_service_view

QUERY: dict[str, str | None] = {"zone": None, "service": None}


async def list_hosts(request: ComputeRequest) -> dict[str, Any]:
    """Source: Compute API reference, "Hosts (os-hosts) (DEPRECATED)"."""
    request.authorize()
    compute = request.service
    found = [each.host for each in await hosts.everywhere(compute)]
    shown = [host_service_view(host, binary, "internal") for binary, host, _id in compute.control_services]
    async with compute.database.reading() as tx:
        shown += [host_service_view(each.host, each.binary, "internal") for each in await control_daemons.list_all(tx)]
    shown += [host_service_view(each.host, each.binary, each.availability_zone) for each in found]
    for name in QUERY:
        wanted = request.query.get(name)
        shown = [each for each in shown if wanted in (None, "", each[name])]
    return {"hosts": shown}
