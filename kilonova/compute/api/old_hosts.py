"""/os-hosts, as `openstack host list` and `show` ask for it: which service runs where, and what of a host is used.

Gone from microversion 2.43 on. Source: Compute API reference, "Hosts (os-hosts) (DEPRECATED)".
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.listing import UNPAGED
from kilonova.compute.errors import HostNotFound
from kilonova.compute.hosts import control_daemons, hosts
from kilonova.compute.servers import servers
from kilonova.compute.servers.servers import HostUse
from kilonova.compute.views.records import host_resource_view, host_service_view
from kilonova.kit.errors import BadRequest, NotImplementedHere
from kilonova.kit.http.lists import Listing, cut_among, word_if_any

LISTING = Listing(dialect=UNPAGED, filters={name: word_if_any(name) for name in ("zone", "service")})
QUERY = LISTING.query


Switch = Literal["enable", "Enable", "ENABLE", "disable", "Disable", "DISABLE"]


class HostChange(Struct, forbid_unknown_fields=True):
    status: Switch | UnsetType = UNSET
    maintenance_mode: Switch | UnsetType = UNSET


async def list_hosts(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    region = request.service
    found = [each.host for each in await hosts.everywhere(region)]
    shown = [host_service_view(host, binary, "internal") for binary, host, _id in region.control_services]
    async with region.reading() as tx:
        shown += [host_service_view(each.host, each.binary, "internal") for each in await control_daemons.list_all(tx)]
    shown += [host_service_view(each.host, each.binary, each.availability_zone) for each in found]
    return {"hosts": cut_among(shown, LISTING.read(request)).rows}


async def update_host(request: ComputeRequest, body: HostChange) -> None:
    """PUT: no hypervisor here does it. Raises NotImplementedHere."""
    request.authorize()
    if body.status is UNSET and body.maintenance_mode is UNSET:
        raise BadRequest("Nothing is to change: give status or maintenance_mode, enable or disable.")
    await _require(request)
    raise NotImplementedHere(
        "Hosts are neither disabled nor put into maintenance here: disable the host's service nova-compute instead."
    )


async def change_power(request: ComputeRequest) -> None:
    """Starting, rebooting and shutting down: no hypervisor here does it. Raises NotImplementedHere."""
    await _require(request)
    raise NotImplementedHere("The power of a host is not managed here: use what manages the machine.")


async def _require(request: ComputeRequest) -> None:
    """Raises HostNotFound."""
    request.authorize()
    name = request.path["host"]
    if all(each.host.host != name for each in await hosts.everywhere(request.service)):
        raise HostNotFound(name)


async def show_host(request: ComputeRequest) -> dict[str, Any]:
    """Shows a host's resources: the total, the part in use, and the part that each project uses."""
    request.authorize()
    name = request.path["host"]
    found = next((each for each in await hosts.everywhere(request.service) if each.host.host == name), None)
    if found is None:
        raise HostNotFound(name)
    async with found.cell.reading() as tx:
        by_project = await servers.use_by_project(tx, name)
    inventory = found.host.inventory
    whole = HostUse(0, inventory["vcpus"], inventory["memory_mib"], inventory["disk_gib"])
    used = HostUse(
        sum(each.servers for each in by_project.values()),
        sum(each.vcpus for each in by_project.values()),
        sum(each.memory_mib for each in by_project.values()),
        sum(each.disk_gib for each in by_project.values()),
    )
    rows = {"(total)": whole, "(used_now)": used, "(used_max)": used, **by_project}
    return {"host": [host_resource_view(name, project, use) for project, use in rows.items()]}
