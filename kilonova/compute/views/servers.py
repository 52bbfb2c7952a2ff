"""Servers as the newest version shows them."""

import hashlib
from datetime import datetime
from typing import Any

from kilonova.compute.servers import disks, servers, volumes
from kilonova.compute.servers.servers import ServerWithTask
from kilonova.compute.servers.specs import encode_user_data
from kilonova.compute.tables import Server, ServerMapping
from kilonova.kit.clock import iso8601

Body = dict[str, Any]


def link_view(server_id: str, name: str, base_url: str) -> Body:
    """The short form: id, name, links."""
    return {"id": server_id, "links": _links(server_id, base_url), "name": name}


def unknown_view(mapping: ServerMapping, base_url: str, *, in_detail: bool) -> Body:
    """A server in a cell that is down. Source: Compute API guide, "Handling Down Cells"."""
    shown: Body = {"id": mapping.server_id, "status": "UNKNOWN", "links": _links(mapping.server_id, base_url)}
    if in_detail:
        shown |= {"tenant_id": mapping.project_id, "created": iso8601(mapping.created_at)}
    return shown


def unknown_server_view(mapping: ServerMapping, base_url: str) -> Body:
    """The same, shown by itself."""
    return {
        **unknown_view(mapping, base_url, in_detail=True),
        "user_id": mapping.user_id,
        "OS-EXT-AZ:availability_zone": "UNKNOWN",
        "OS-EXT-STS:power_state": 0,
    }


def _links(server_id: str, base_url: str) -> list[Body]:
    return [
        {"rel": "self", "href": f"{base_url}/v2.1/servers/{server_id}"},
        {"rel": "bookmark", "href": f"{base_url}/servers/{server_id}"},
    ]


def detail_view(each: ServerWithTask, base_url: str, *, extended: bool, host_status: str | None) -> Body:
    """`extended`: the caller may see hosts and instance names; `host_status` is UP, DOWN, MAINTENANCE or UNKNOWN."""
    server = each.server
    state = servers.status(each)
    shown: Body = {
        "id": server.id,
        "name": server.name,
        "status": state,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "metadata": server.metadata,
        "hostId": host_id(server.project_id, server.host),
        "image": _image(server, base_url),
        "flavor": _flavor(server),
        "created": iso8601(server.created_at),
        "updated": iso8601(server.updated_at),
        # Not before they are plugged: what a building server shows may still go to another host.
        "addresses": {} if server.vm_state in ("building", "deleted") else _addresses(server),
        "accessIPv4": server.access_ip_v4,
        "accessIPv6": server.access_ip_v6,
        "links": _links(server.id, base_url),
        "OS-DCF:diskConfig": server.disk_config,
        "OS-EXT-AZ:availability_zone": server.availability_zone or "",
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": _moment(server.launched_at),
        "OS-SRV-USG:terminated_at": _moment(each.deleted_at),
        "OS-EXT-STS:task_state": servers.task_state(each),
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": _volumes(server),
        "locked": server.locked,
        "locked_reason": server.locked_reason,
        "description": server.description,
        "tags": server.tags,
        "trusted_image_certificates": None,
        "server_groups": [server.group_id] if server.group_id else [],
        "pinned_availability_zone": server.requested_zone,
        "scheduler_hints": server.scheduler_hints,
    }
    if server.security_groups:
        shown["security_groups"] = [{"name": name} for name in server.security_groups]
    if state in ("ACTIVE", "BUILD"):
        shown["progress"] = 0
    if server.fault is not None and state == "ERROR":
        shown["fault"] = _fault(server.fault, with_details=extended)
    if extended:
        shown.update(_extended(server))
        if host_status is not None:
            shown["host_status"] = host_status
    else:
        shown["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    return shown


def _volumes(server: Server) -> list[Body]:
    return [{"id": each.id, "delete_on_termination": each.is_deleted} for each in volumes.of_server(server)]


def _id_of_image(server: Server, name: str) -> str:
    """Returns the id of the kernel or the ramdisk that the server boots from; empty when it boots from its disk."""
    return str(((server.image or {}).get(name) or {}).get("id", ""))


def _extended(server: Server) -> Body:
    return {
        "OS-EXT-SRV-ATTR:host": server.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.host,
        "OS-EXT-SRV-ATTR:instance_name": servers.instance_name(server),
        "OS-EXT-SRV-ATTR:reservation_id": server.reservation_id,
        "OS-EXT-SRV-ATTR:launch_index": server.launch_index,
        "OS-EXT-SRV-ATTR:hostname": server.hostname,
        "OS-EXT-SRV-ATTR:kernel_id": _id_of_image(server, "kernel"),
        "OS-EXT-SRV-ATTR:ramdisk_id": _id_of_image(server, "ramdisk"),
        "OS-EXT-SRV-ATTR:root_device_name": disks.root_device(server),
        "OS-EXT-SRV-ATTR:user_data": encode_user_data(server.user_data),
    }


def host_id(project_id: str, host: str | None) -> str:
    """A name for the host that tells a project whether two of its servers share one, and nothing else."""
    return "" if host is None else hashlib.sha224(f"{project_id}{host}".encode()).hexdigest()


def _image(server: Server, base_url: str) -> Body | str:
    if server.image is None or not server.image["id"]:
        return ""
    image_id = server.image["id"]
    link = {"rel": "bookmark", "href": f"{base_url}/images/{image_id}"}
    return {"id": image_id, "links": [link], "properties": server.image["properties"]}


EXTENDED_PREFIXES = ("OS-EXT-", "OS-SRV-USG:", "os-extended-volumes:")
EXTENDED_FIELDS = ("config_drive", "key_name", "security_groups", "host_status", "pinned_availability_zone")


def plain_view(detail: Body, server: Server) -> Body:
    """`detail` without what were extensions once: how changing a server answered for long."""
    kept = {
        name: value
        for name, value in detail.items()
        if not name.startswith(EXTENDED_PREFIXES) and name not in EXTENDED_FIELDS
    }
    return {**kept, "addresses": brief_addresses_view(server) if detail["addresses"] else {}}


def flavor_link_view(server: Server, base_url: str) -> Body:
    """How a server named its flavor before it showed a copy."""
    flavor_id = server.flavor["id"]
    return {"id": flavor_id, "links": [{"rel": "bookmark", "href": f"{base_url}/flavors/{flavor_id}"}]}


def _flavor(server: Server) -> Body:
    flavor = server.flavor
    return {
        "vcpus": flavor["vcpus"],
        "ram": flavor["memory_mib"],
        "disk": flavor["root_gib"],
        "ephemeral": flavor["ephemeral_gib"],
        "swap": flavor["swap_mib"],
        "original_name": flavor["name"],
        "extra_specs": flavor["extra_specs"],
    }


def _addresses(server: Server) -> Body:
    """Network name → addresses, fixed ones before floating ones."""
    shown: dict[str, list[Body]] = {}
    for port in server.ports:
        if "network_name" not in port:
            continue
        entries = shown.setdefault(port["network_name"], [])
        entries.extend(_address(address, "fixed", port["mac_address"]) for address in port["fixed_ips"])
        entries.extend(_address(address, "floating", port["mac_address"]) for address in port["floating_ips"])
    return shown


def brief_addresses_view(server: Server) -> Body:
    """Network name → version and address."""
    return {
        name: [{"version": each["version"], "addr": each["addr"]} for each in entries]
        for name, entries in _addresses(server).items()
    }


def _address(address: str, kind: str, mac_address: str) -> Body:
    return {
        "version": 6 if ":" in address else 4,
        "addr": address,
        "OS-EXT-IPS:type": kind,
        "OS-EXT-IPS-MAC:mac_addr": mac_address,
    }


def _fault(fault: Body, *, with_details: bool) -> Body:
    created = iso8601(datetime.fromisoformat(fault["created"]))
    shown = {"code": fault["code"], "created": created, "message": fault["message"]}
    if with_details and fault.get("details"):
        shown["details"] = fault["details"]
    return shown


def _moment(moment: Any) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
