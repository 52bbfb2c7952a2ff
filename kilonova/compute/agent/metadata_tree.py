"""What a guest reads about itself: the EC2 tree and the OpenStack tree, rendered from one `MetadataDocument`; pure.

The rule: the bytes of a path depend on the document alone, so the metadata service and the config drive cannot differ.
Sources: EC2 instance metadata (versions up to 2009-04-04) as upstream's compute serves it, and the OpenStack metadata
formats (`meta_data.json`, `network_data.json`, vendor data) of the compute user guide.
"""

import base64
import ipaddress
import posixpath
from collections.abc import Mapping
from typing import Any

import msgspec

from kilonova.compute.agent.spec import MetadataDocument, MetadataPort, TaggedDevice

EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
)
FOLSOM, GRIZZLY, HAVANA, LIBERTY, NEWTON_ONE, NEWTON_TWO, OCATA, ROCKY, VICTORIA = OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
)
LATEST = "latest"


class Listing(msgspec.Struct, frozen=True):
    """A directory whose listing shows `label` in its parent's place for it, as EC2 does with `0=keyname`."""

    label: str
    entries: dict[str, str]


def render_path(document: MetadataDocument, path: str) -> bytes | None:
    """The body for a path of the metadata service (`/2009-04-04/meta-data/ami-id`, `/openstack/latest/user_data`).

    Directories give their listing, a slash at the end makes no difference. None means that there is no such path (404).
    """
    parts = [part for part in posixpath.normpath("/" + path).split("/") if part]
    if parts and parts[0] == "openstack":
        return _render_openstack(document, parts[1:])
    if parts and parts[0] == "ec2":
        parts = parts[1:]
    return _render_ec2(document, parts)


def config_drive_files(document: MetadataDocument) -> dict[str, bytes]:
    """Path → content of every file on the config drive: each version of both trees, and `latest`."""
    files: dict[str, bytes] = {}
    for version in (*OPENSTACK_VERSIONS, LATEST):
        for name, content in openstack_files(document, version, is_config_drive=True).items():
            # The password is what a guest posts to the service; there is nobody to read it from a drive.
            if name != "password":
                files[f"openstack/{version}/{name}"] = content
    for version in (*EC2_VERSIONS, LATEST):
        files[f"ec2/{version}/meta-data.json"] = msgspec.json.encode(_plain(ec2_meta_data(document, version)))
        if document.user_data is not None:
            files[f"ec2/{version}/user-data"] = document.user_data
    return files


# --- EC2 -------------------------------------------------------------------------------------------------------------


def _render_ec2(document: MetadataDocument, parts: list[str]) -> bytes | None:
    if not parts:
        return "\n".join((*EC2_VERSIONS, LATEST)).encode()
    version, *rest = parts
    if version != LATEST and version not in EC2_VERSIONS:
        return None
    node: Any = {"meta-data": ec2_meta_data(document, version)}
    if document.user_data is not None:
        node["user-data"] = document.user_data
    for part in rest:
        if isinstance(node, Listing):
            node = node.entries
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return _print_ec2(node)


def _print_ec2(node: Any) -> bytes:
    if isinstance(node, bytes):
        return node
    if isinstance(node, list):
        return "\n".join(node).encode()
    if not isinstance(node, dict | Listing):
        return str(node).encode()
    entries = node.entries if isinstance(node, Listing) else node
    return "\n".join(_ec2_entry(name, entries[name]) for name in sorted(entries)).encode()


def _ec2_entry(name: str, node: Any) -> str:
    if isinstance(node, Listing):
        return node.label
    return f"{name}/" if isinstance(node, dict) else name


def ec2_meta_data(document: MetadataDocument, version: str) -> dict[str, Any]:
    """The `meta-data` directory of one EC2 version, as nested dicts with `Listing` for each public key."""

    def has(since: str) -> bool:
        # EC2's versions are dates but for "1.0", which sorts before them all.
        return version == LATEST or version >= since

    tree: dict[str, Any] = {
        "ami-id": document.ami_id,
        "ami-launch-index": document.launch_index,
        "ami-manifest-path": "FIXME",
        "hostname": document.hostname,
        "instance-id": document.ec2_instance_id,
        "local-ipv4": _first_ipv4(document),
        "reservation-id": document.reservation_id,
        "security-groups": list(document.security_groups),
    }
    if document.public_keys:
        tree["public-keys"] = {
            str(index): Listing(label=f"{index}={name}", entries={"openssh-key": key})
            for index, (name, key) in enumerate(document.public_keys.items())
        }
    if has("2007-01-19"):
        tree["local-hostname"] = document.hostname
        tree["public-hostname"] = document.hostname
        tree["public-ipv4"] = _first_floating_ip(document)
    if has("2007-08-29"):
        tree["instance-type"] = document.instance_type
    if has("2007-12-15"):
        device = document.root_device_name
        tree["block-device-mapping"] = {"ami": device.removeprefix("/dev/"), "root": device}
        for name, value in (("kernel-id", document.kernel_id), ("ramdisk-id", document.ramdisk_id)):
            if value:
                tree[name] = value
    if has("2008-02-01"):
        tree["placement"] = {"availability-zone": document.availability_zone}
    if has("2008-09-01"):
        tree["instance-action"] = "none"
    return tree


def _plain(node: Any) -> Any:
    """The tree as JSON shows it: a listing is its entries."""
    if isinstance(node, Listing):
        return node.entries
    if isinstance(node, dict):
        return {name: _plain(child) for name, child in node.items()}
    return node


def _first_ipv4(document: MetadataDocument) -> str:
    addresses = (str(fixed["ip_address"]) for port in document.ports for fixed in port.fixed_ips)
    return next((address for address in addresses if ":" not in address), "")


def _first_floating_ip(document: MetadataDocument) -> str:
    return next((address for port in document.ports for address in port.floating_ips), "")


# --- OpenStack -------------------------------------------------------------------------------------------------------


def _render_openstack(document: MetadataDocument, parts: list[str]) -> bytes | None:
    if not parts:
        return "\n".join((*OPENSTACK_VERSIONS, LATEST)).encode()
    if parts[0] != LATEST and parts[0] not in OPENSTACK_VERSIONS:
        return None
    files = openstack_files(document, parts[0])
    if len(parts) == 1:
        return "\n".join(files).encode()
    return files.get(parts[1]) if len(parts) == 2 else None


def openstack_files(document: MetadataDocument, version: str, *, is_config_drive: bool = False) -> dict[str, bytes]:
    """File name → content of one version's directory, in the order of its listing.

    The admin password is only on the config drive: anything in the guest may ask the service at any time.
    """
    if version == LATEST:
        version = OPENSTACK_VERSIONS[-1]
    meta_data = openstack_meta_data(document, version)
    if is_config_drive and document.admin_password is not None:
        meta_data["admin_pass"] = document.admin_password
    files = {"meta_data.json": msgspec.json.encode(meta_data)}
    if document.user_data is not None:
        files["user_data"] = document.user_data
    if version >= GRIZZLY:
        files["password"] = document.sealed_password.encode()
    if version >= HAVANA:
        files["vendor_data.json"] = b"{}"
    if version >= LIBERTY:
        files["network_data.json"] = msgspec.json.encode(network_data(document))
    if version >= NEWTON_TWO:
        files["vendor_data2.json"] = b'{"static":{}}'
    return files


def openstack_meta_data(document: MetadataDocument, version: str) -> dict[str, Any]:
    """`meta_data.json` of one version (not `latest`)."""
    body: dict[str, Any] = {"uuid": document.server_id}
    if document.metadata:
        body["meta"] = document.metadata
    if document.public_keys:
        body["public_keys"] = document.public_keys
        if version >= HAVANA:
            keys = document.public_keys.items()
            body["keys"] = [{"name": name, "type": document.key_type, "data": key} for name, key in keys]
    body["hostname"] = document.hostname
    body["name"] = document.name
    body["launch_index"] = document.launch_index
    body["availability_zone"] = document.availability_zone
    if version >= GRIZZLY:
        body["random_seed"] = base64.b64encode(document.random_seed).decode()
    if version >= LIBERTY:
        body["project_id"] = document.project_id
    if version >= NEWTON_ONE:
        body["devices"] = [_device(each) for each in document.devices]
    if version >= VICTORIA:
        body["dedicated_cpus"] = []
    return body


def _device(device: TaggedDevice) -> dict[str, Any]:
    """Where it is on the guest's buses is the guest's to find: by the MAC address, or the serial."""
    shown: dict[str, Any] = {"type": device.type, "bus": "none", "address": "none", "tags": [device.tag]}
    if device.type == "nic":
        return {**shown, "mac": device.mac_address}
    return {**shown, "serial": device.serial, "path": f"/dev/{device.device}"}


def network_data(document: MetadataDocument) -> dict[str, list[dict[str, Any]]]:
    """`network_data.json`: links, the networks on them, and name servers, each once."""
    links = [_link(port) for port in document.ports]
    networks: list[dict[str, Any]] = []
    services: list[dict[str, Any]] = []
    for port in document.ports:
        for fixed in port.fixed_ips:
            networks.append({"id": f"network{len(networks)}", **_network(port, fixed)})
            services += [service for service in _dns_services(fixed) if service not in services]
    return {"links": links, "networks": networks, "services": services}


def _link(port: MetadataPort) -> dict[str, Any]:
    return {
        "id": port.tap,
        "vif_id": port.port_id,
        "type": port.link_type,
        "mtu": port.mtu,
        "ethernet_mac_address": port.mac_address,
    }


def _network(port: MetadataPort, fixed: Mapping[str, Any]) -> dict[str, Any]:
    address = ipaddress.ip_address(str(fixed["ip_address"]))
    kind = f"ipv{address.version}"
    if fixed.get("ipv6_address_mode"):
        # The guest is told how it comes by the address, and which one to expect.
        kind = f"{kind}_{fixed['ipv6_address_mode']}"
    elif fixed.get("dhcp"):
        return {"type": f"{kind}_dhcp", "link": port.tap, "network_id": port.network_id}
    routes = []
    if fixed.get("gateway_ip"):
        routes.append(_route("0.0.0.0/0" if address.version == 4 else "::/0", str(fixed["gateway_ip"])))
    routes += [_route(str(r["destination"]), str(r["nexthop"])) for r in fixed.get("host_routes") or ()]
    return {
        "type": kind,
        "link": port.tap,
        "ip_address": str(address),
        "netmask": str(ipaddress.ip_interface(f"{address}/{fixed['prefix_length']}").netmask),
        "routes": routes,
        "network_id": port.network_id,
        "services": _dns_services(fixed),
    }


def _route(destination: str, gateway: str) -> dict[str, str]:
    network = ipaddress.ip_network(destination, strict=False)
    return {"network": str(network.network_address), "netmask": str(network.netmask), "gateway": gateway}


def _dns_services(fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "dns", "address": str(address)} for address in fixed.get("dns_nameservers") or ()]
