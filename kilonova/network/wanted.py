"""What a host's network should look like: the objects the server tells of, and the document that they make.

The agent sees nothing else. It has all that concerns its host, is told what changes of it (`state.py`), compares it
with the kernel and closes the difference (design §5). Everything here is plain data, so it travels as msgpack and two
documents can be compared with `==`.
"""

from typing import Literal

from msgspec import Struct

TAP_PREFIX = "tap"
ROUTER_INTERFACE_PREFIX = "qr-"
ROUTER_GATEWAY_PREFIX = "qg-"
BRIDGE_PREFIX = "brq"
NAME_ID_LENGTH = 11
"""Linux interface names hold 15 characters, so names carry the first 11 of the resource's id (as operators know)."""


def device_name(prefix: str, resource_id: str) -> str:
    """Name of the host device that belongs to a resource: `tap` + the first 11 characters of the port's id."""
    return prefix + resource_id[:NAME_ID_LENGTH]


class FixedIp(Struct, frozen=True):
    ip_address: str
    subnet_id: str
    prefix_length: int


class AddressPair(Struct, frozen=True):
    ip_address: str
    """An address or a CIDR."""
    mac_address: str


class HostRoute(Struct, frozen=True):
    destination: str
    nexthop: str


class WantedSubnet(Struct, frozen=True):
    id: str
    cidr: str
    ip_version: int = 4
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    ipv6_ra_mode: str | None = None
    """How its routers advertise it; None: they do not."""
    ipv6_address_mode: str | None = None
    """How guests come by their addresses; None, like `ipv6_ra_mode`: by DHCPv6, if they ask."""


class DhcpOption(Struct, frozen=True):
    """What one port is sent beside, or instead of, what its subnet says."""

    name: str
    """As the server knows it, or its number."""
    value: str


class DhcpHost(Struct, frozen=True):
    """One static lease."""

    mac_address: str
    ip_address: str
    hostname: str
    subnet_id: str
    port_id: str
    device_id: str = ""
    project_id: str = ""
    """Whose port it is, so that metadata asked through this DHCP port can name a guest that runs on another host."""
    options: tuple[DhcpOption, ...] = ()


class WantedDhcp(Struct, frozen=True):
    """The DHCP service of one network on this host: a port of its own in the namespace `qdhcp-<network id>`."""

    port_id: str
    mac_address: str
    fixed_ips: tuple[FixedIp, ...]
    hosts: tuple[DhcpHost, ...]
    dns_domain: str = "openstacklocal"
    lease_seconds: int = 86400


class RemotePort(Struct, frozen=True):
    """A port of a vxlan network on another host, and the underlay address behind which it is found (l2pop)."""

    mac_address: str
    tunnel_ip: str
    ip_addresses: tuple[str, ...] = ()


class WantedNetwork(Struct, frozen=True):
    id: str
    network_type: str
    mtu: int
    project_id: str
    physical_network: str | None = None
    segmentation_id: int | None = None
    subnets: tuple[WantedSubnet, ...] = ()
    dhcp: WantedDhcp | None = None
    """None when another host serves DHCP for this network."""
    peer_tunnel_ips: tuple[str, ...] = ()
    """Underlay addresses of the other hosts that carry this vxlan network (flooded to when not answered by l2pop)."""
    remote_ports: tuple[RemotePort, ...] = ()
    """Where single receivers are, so that their frames need no flooding; used when the agent has l2_population on."""
    are_addresses_known: bool = False
    """Whether `remote_ports` name every address that another host may answer for: then hosts answer ARP for them
    themselves, and nobody is asked. False when some port may carry addresses that are not its own."""
    bridge: str | None = None
    """The operator's bridge that carries a flat network on this host, by the host's own word; None: its `brq…`."""


class WantedPort(Struct, frozen=True):
    """A guest's port on this host. Its tap is made by the hypervisor; the agent plugs it into `brq…` and guards it."""

    id: str
    network_id: str
    device_id: str
    mac_address: str
    fixed_ips: tuple[FixedIp, ...]
    admin_state_up: bool = True
    port_security_enabled: bool = True
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    project_id: str = ""
    """The metadata service is told it beside the instance's id."""
    is_moving: bool = False
    """Whether another host has it, too, or gets ready for it: its guest may bring connections along."""


class WantedRule(Struct, frozen=True):
    """One security group rule in the API's terms. `protocol` is a name or number, None for any.

    For icmp `port_range_min`/`max` are type and code. At most one of the two remote fields is set.
    """

    direction: Literal["ingress", "egress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class WantedSecurityGroup(Struct, frozen=True):
    id: str
    rules: tuple[WantedRule, ...]
    member_ips: tuple[str, ...]
    """Fixed addresses of every port of the group on every host, and its allowed address pairs; both IP versions."""


class RouterInterface(Struct, frozen=True):
    port_id: str
    network_id: str
    mac_address: str
    fixed_ips: tuple[FixedIp, ...]


class RouterGateway(Struct, frozen=True):
    port_id: str
    network_id: str
    mac_address: str
    fixed_ips: tuple[FixedIp, ...]
    gateway_ips: tuple[str, ...]
    """Next hops out of the external subnets."""
    enable_snat: bool = True


class WantedFloatingIp(Struct, frozen=True):
    id: str
    floating_ip_address: str
    fixed_ip_address: str
    fixed_port_id: str


class WantedRouter(Struct, frozen=True):
    id: str
    project_id: str
    admin_state_up: bool = True
    interfaces: tuple[RouterInterface, ...] = ()
    gateway: RouterGateway | None = None
    floating_ips: tuple[WantedFloatingIp, ...] = ()
    routes: tuple[HostRoute, ...] = ()


class WantedState(Struct, frozen=True):
    revision: int
    networks: tuple[WantedNetwork, ...] = ()
    ports: tuple[WantedPort, ...] = ()
    security_groups: tuple[WantedSecurityGroup, ...] = ()
    routers: tuple[WantedRouter, ...] = ()


class ConvergeReport(Struct):
    """What one pass found. `ports_up` are guests' ports whose tap exists, is plugged and guarded."""

    revision: int
    changes: int
    """How many differences this pass closed; a pass over a converged host reports 0."""
    ports_up: tuple[str, ...] = ()
    dhcp_up: tuple[str, ...] = ()
    """Networks whose DHCP answers here."""
    routers_up: tuple[str, ...] = ()
    is_whole: bool = True
    """Whether it looked at everything: what is not named as up is down."""
    down: tuple[tuple[str, str], ...] = ()
    """(`ports`, `dhcp` or `routers`, id) that a pass which is not whole has found not to be up."""
    problems: tuple[tuple[str, str], ...] = ()
    """(resource id, sentence): what could not be converged and why; the rest of the document still was."""
    waiting: tuple[tuple[str, str], ...] = ()
    """Likewise, for what another part's process has to make first: worth another look soon."""


class UpReport(Struct):
    """What an agent tells of guests' ports, networks' DHCP and routers: id → whether it is up."""

    is_whole: bool = False
    """Whether everything that is not named is down; else it is as it was told before."""
    ports: dict[str, bool] = {}
    dhcp: dict[str, bool] = {}
    routers: dict[str, bool] = {}
