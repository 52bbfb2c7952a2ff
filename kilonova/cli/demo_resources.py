"""What the demo consists of, each thing found by its name or made through the public APIs.

Every `ensure_*` looks first, so that a second run finds all and changes nothing, and a run that was cut short is
finished by the next. They say through a `Step` what they did and return what later steps need.
"""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kilonova.cli.progress import Step
from kilonova.cli.provider import Provider
from kilonova.cli.rest import Fields, Session
from kilonova.cli.state import write_private

FLAVORS = (("m1.nano", 128, 1, 1), ("m1.tiny", 512, 1, 1))
"""Name, memory in MiB, disk in GiB, virtual processors."""
SERVER_FLAVOR = "m1.nano"
"""The demo guest runs in 80 MiB."""
IMAGE = "demo-guest"
PROVIDER_NETWORK, PROVIDER_SUBNET, PHYSICAL_NETWORK = "provider", "provider-subnet", "provider"
NETWORK, SUBNET, SUBNET_CIDR, ROUTER = "demo-net", "demo-subnet", "10.0.0.0/24", "demo-router"
KEY_PAIR = "demo-key"
SERVER = "demo-1"
FIRST_FLOATING, LAST_FLOATING = 8, -6
"""The allocation pool in the provider's range: what is below and above stays free for hosts and routers."""


class DemoError(Exception):
    """The demo cannot go on; the message says what stands in its way and what to do."""


def _first(found: list[Fields], name: str) -> Fields | None:
    return next((each for each in found if each["name"] == name), None)


# --- as administrator ------------------------------------------------------------------------------------------------


def ensure_flavors(admin: Session, step: Step) -> None:
    present = {flavor["name"] for flavor in admin.get("compute", "/flavors", is_public="none")["flavors"]}
    missing = [flavor for flavor in FLAVORS if flavor[0] not in present]
    for name, memory_mib, disk_gib, vcpus in missing:
        flavor = {"name": name, "ram": memory_mib, "disk": disk_gib, "vcpus": vcpus}
        admin.call("compute", "POST", "/flavors", {"flavor": flavor})
    names = " and ".join(flavor[0] for flavor in FLAVORS)
    step.told(names, has_changed=bool(missing))


def ensure_image(admin: Session, file: Path, step: Step) -> str:
    """The image's id. One whose upload was cut short is uploaded again."""
    images = admin.get("image", "/v2/images", name=IMAGE)["images"]
    image = next((each for each in images if each["status"] in ("active", "queued")), None)
    if image is not None and image["status"] == "active":
        step.told(IMAGE, has_changed=False)
        return str(image["id"])
    if image is None:
        wanted = {"name": IMAGE, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
        wanted["hw_qemu_guest_agent"] = "yes"
        image = admin.call("image", "POST", "/v2/images", wanted)
    megabytes = file.stat().st_size / 1e6
    step.doing(f"{IMAGE}: uploading {megabytes:.0f} MB")
    admin.upload(f"/v2/images/{image['id']}/file", file)
    step.told(f"{IMAGE}, {megabytes:.0f} MB", has_changed=True, verb="uploaded")
    return str(image["id"])


def ensure_provider_network(admin: Session, provider: Provider, step: Step) -> str:
    """The id of the network behind the host's own bridge, with a subnet whose gateway is the host."""
    network = _first(admin.get("network", "/v2.0/networks", name=PROVIDER_NETWORK)["networks"], PROVIDER_NETWORK)
    has_changed = network is None
    if network is None:
        wanted: Fields = {
            "name": PROVIDER_NETWORK,
            "shared": True,
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": PHYSICAL_NETWORK,
        }
        network = admin.call("network", "POST", "/v2.0/networks", {"network": wanted})["network"]
    subnets = admin.get("network", "/v2.0/subnets", network_id=network["id"])["subnets"]
    if not subnets:
        has_changed = True
        addresses = provider.network
        pool = {"start": str(addresses[FIRST_FLOATING]), "end": str(addresses[LAST_FLOATING])}
        subnet = {
            "name": PROVIDER_SUBNET,
            "network_id": network["id"],
            "ip_version": 4,
            "cidr": provider.cidr,
            "gateway_ip": provider.host_address,
            "allocation_pools": [pool],
        }
        admin.call("network", "POST", "/v2.0/subnets", {"subnet": subnet})
    elif subnets[0]["cidr"] != provider.cidr:
        raise DemoError(
            f"The network {PROVIDER_NETWORK} has the range {subnets[0]['cidr']}, the bridge {provider.bridge} of this"
            f" host {provider.cidr}: delete the network, or the file that holds the bridge's range."
        )
    step.told(f"{PROVIDER_NETWORK} {provider.cidr} on {provider.bridge}", has_changed=has_changed)
    return str(network["id"])


# --- as the demo user ------------------------------------------------------------------------------------------------


def ensure_network(demo: Session, external_id: str, step: Step) -> str:
    """The id of the demo project's own network, routed to the provider network."""
    network, is_new_network = _ensure_named(demo, "network", {"name": NETWORK})
    wanted: Fields = {"name": SUBNET, "network_id": network["id"], "ip_version": 4, "cidr": SUBNET_CIDR}
    subnet, is_new_subnet = _ensure_named(demo, "subnet", wanted)
    gateway = {"external_gateway_info": {"network_id": external_id}}
    router, is_new_router = _ensure_named(demo, "router", {"name": ROUTER, **gateway})
    has_changed = is_new_network or is_new_subnet or is_new_router
    if not router["external_gateway_info"]:
        demo.call("network", "PUT", f"/v2.0/routers/{router['id']}", {"router": gateway})
        has_changed = True
    if not demo.get("network", "/v2.0/ports", device_id=router["id"], network_id=network["id"])["ports"]:
        path = f"/v2.0/routers/{router['id']}/add_router_interface"
        demo.call("network", "PUT", path, {"subnet_id": subnet["id"]})
        has_changed = True
    step.told(f"{NETWORK} {SUBNET_CIDR} behind {ROUTER}", has_changed=has_changed)
    return str(network["id"])


def _ensure_named(session: Session, kind: str, wanted: Fields) -> tuple[Fields, bool]:
    """A network resource of the session's own project by its name, and whether it was made now."""
    path = f"/v2.0/{kind}s"
    found = session.get("network", path, name=wanted["name"], project_id=session.project_id)
    present = _first(found[f"{kind}s"], wanted["name"])
    if present is not None:
        return present, False
    return session.call("network", "POST", path, {kind: wanted})[kind], True


def ensure_key_pair(demo: Session, file: Path, step: Step) -> None:
    """A key pair whose private half is in `file`, which its owner alone can read."""
    pairs = [each["keypair"] for each in demo.get("compute", "/os-keypairs")["keypairs"]]
    pair = _first(pairs, KEY_PAIR)
    if pair is not None:
        if not file.exists():
            raise DemoError(
                f"The private key of the key pair {KEY_PAIR} is not in {file} any more: `openstack --os-cloud"
                f" kilonova-demo keypair delete {KEY_PAIR}`, delete the server {SERVER}, and run the demo again."
            )
        step.told(KEY_PAIR, has_changed=False)
        return
    if not file.exists():
        write_private(file, _new_private_key())
    key = serialization.load_ssh_private_key(file.read_bytes(), password=None)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    demo.call("compute", "POST", "/os-keypairs", {"keypair": {"name": KEY_PAIR, "public_key": public.decode()}})
    step.told(f"{KEY_PAIR} with its private key in {file}", has_changed=True)


def _new_private_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def ensure_rules(demo: Session, step: Step) -> None:
    """ssh and ping into the project's default security group."""
    groups = demo.get("network", "/v2.0/security-groups", name="default", project_id=demo.project_id)
    group_id = groups["security_groups"][0]["id"]
    rules = demo.get("network", "/v2.0/security-group-rules", security_group_id=group_id)["security_group_rules"]
    present = {
        (rule["protocol"], rule["port_range_min"], rule["remote_ip_prefix"] or "0.0.0.0/0")
        for rule in rules
        if rule["direction"] == "ingress" and rule["remote_group_id"] is None
    }
    missing = [(name, port) for name, port in (("tcp", 22), ("icmp", None)) if (name, port, "0.0.0.0/0") not in present]
    for protocol, port in missing:
        rule = {
            "security_group_id": group_id,
            "direction": "ingress",
            "ethertype": "IPv4",
            "protocol": protocol,
            "port_range_min": port,
            "port_range_max": port,
            "remote_ip_prefix": "0.0.0.0/0",
        }
        demo.call("network", "POST", "/v2.0/security-group-rules", {"security_group_rule": rule})
    step.told("ssh and ping into the group default", has_changed=bool(missing), verb="allowed")


def ensure_server(demo: Session, image_id: str, network_id: str) -> tuple[str, bool]:
    """The server's id, whatever its status, and whether it was changed: one that was stopped is started."""
    servers = demo.get("compute", "/servers/detail", name=f"^{SERVER}$")["servers"]
    server = _first(servers, SERVER)
    if server is not None:
        is_stopped = server["status"] == "SHUTOFF"
        if is_stopped:
            demo.call("compute", "POST", f"/servers/{server['id']}/action", {"os-start": None})
        return str(server["id"]), is_stopped
    flavor = _first(demo.get("compute", "/flavors")["flavors"], SERVER_FLAVOR)
    if flavor is None:
        raise DemoError(f"The flavor {SERVER_FLAVOR} is gone.")
    wanted = {
        "name": SERVER,
        "imageRef": image_id,
        "flavorRef": flavor["id"],
        "key_name": KEY_PAIR,
        "networks": [{"uuid": network_id}],
        "security_groups": [{"name": "default"}],
    }
    return str(demo.call("compute", "POST", "/servers", {"server": wanted})["server"]["id"]), True


def ensure_floating_ip(demo: Session, server_id: str, external_id: str, step: Step) -> str:
    """The address by which the server is reached from the host."""
    ports = demo.get("network", "/v2.0/ports", device_id=server_id)["ports"]
    if not ports:
        raise DemoError(f"The server {SERVER} has no port: delete it and run the demo again.")
    port_id = ports[0]["id"]
    owned = demo.get("network", "/v2.0/floatingips", project_id=demo.project_id)["floatingips"]
    present = next((each for each in owned if each["port_id"] == port_id), None)
    if present is not None:
        step.told(f"{present['floating_ip_address']} of {SERVER}", has_changed=False)
        return str(present["floating_ip_address"])
    free = next((each for each in owned if each["port_id"] is None), None)
    if free is not None:
        path = f"/v2.0/floatingips/{free['id']}"
        demo.call("network", "PUT", path, {"floatingip": {"port_id": port_id}})
    else:
        wanted = {"floating_network_id": external_id, "port_id": port_id}
        free = demo.call("network", "POST", "/v2.0/floatingips", {"floatingip": wanted})["floatingip"]
    address = str(free["floating_ip_address"])
    step.told(f"{address} of {SERVER}", has_changed=True)
    return address
