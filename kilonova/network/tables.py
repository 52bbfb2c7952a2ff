"""Network's tables and row types.

An address belongs to exactly one port because (subnet, address) is unique: two requests for the last one cannot both
have it. `revision_number` rises with every change of a row; `revisions` holds one number that rises with every change
any host has to hear of, and `changes` says what the latest of them concerned (`concerns.py`).
"""

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    select,
)

from kilonova.kit.db import UtcDateTime

metadata = MetaData()


def _standard() -> list[Column[Any]]:
    """What every resource has: owner, names, tags, times. Source: Networking API, "Standard attributes"."""
    return [
        Column("id", String(36), primary_key=True),
        Column("project_id", String(64), nullable=False),
        Column("name", String(255), nullable=False),
        Column("description", String(255), nullable=False),
        Column("tags", JSON, nullable=False),
        Column("revision_number", Integer, nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
    ]


networks = Table(
    "networks",
    metadata,
    *_standard(),
    Column("admin_state_up", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("external", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("port_security_enabled", Boolean, nullable=False),
    Column("mtu", Integer, nullable=False),
    Column("network_type", String(16), nullable=False),
    Column("physical_network", String(64)),
    Column("segmentation_id", Integer),
    Column("segment_key", String(128), unique=True),
    Column("dns_domain", String(255), nullable=False),
    Column("availability_zone_hints", JSON, nullable=False),
    Column("dhcp_host", String(255)),
    Index("networks_project", "project_id"),
)

subnets = Table(
    "subnets",
    metadata,
    *_standard(),
    Column("network_id", String(36), ForeignKey("networks.id"), nullable=False, index=True),
    Column("cidr", String(64), nullable=False),
    Column("ip_version", Integer, nullable=False),
    Column("gateway_ip", String(64)),
    Column("enable_dhcp", Boolean, nullable=False),
    Column("ipv6_ra_mode", String(32)),
    Column("ipv6_address_mode", String(32)),
    Column("allocation_pools", JSON, nullable=False),
    Column("dns_nameservers", JSON, nullable=False),
    Column("host_routes", JSON, nullable=False),
    Column("service_types", JSON, nullable=False),
    Column("dns_publish_fixed_ip", Boolean, nullable=False),
)

ports = Table(
    "ports",
    metadata,
    *_standard(),
    Column("network_id", String(36), ForeignKey("networks.id"), nullable=False),
    Column("mac_address", String(32), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("device_id", String(255), nullable=False),
    Column("device_owner", String(255), nullable=False),
    Column("port_security_enabled", Boolean, nullable=False),
    Column("allowed_address_pairs", JSON, nullable=False),
    Column("extra_dhcp_opts", JSON, nullable=False),
    Column("dns_name", String(255), nullable=False),
    Column("dns_domain", String(255), nullable=False),
    UniqueConstraint("network_id", "mac_address"),
    Index("ports_created", "created_at", "id"),
    Index("ports_device", "device_id"),
    Index("ports_project", "project_id"),
)

port_bindings = Table(
    "port_bindings",
    metadata,
    Column("port_id", String(36), ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("vif_type", String(64), nullable=False),
    Column("vif_details", JSON, nullable=False),
    Column("vnic_type", String(64), nullable=False),
    Column("profile", JSON, nullable=False),
    Index("port_bindings_host", "host", "port_id"),
)
ACTIVE = "ACTIVE"

bound_ports = (
    select(
        ports,
        port_bindings.c.host,
        port_bindings.c.vnic_type,
        port_bindings.c.profile.label("binding_profile"),
        port_bindings.c.vif_type,
        port_bindings.c.vif_details,
    )
    .outerjoin(port_bindings, and_(port_bindings.c.port_id == ports.c.id, port_bindings.c.status == ACTIVE))
    .subquery("bound_ports")
)
"""Ports with their ACTIVE bindings. Each port has one: the outer join lets a page be read in the order of ports."""

addresses = Table(
    "addresses",
    metadata,
    Column("subnet_id", String(36), ForeignKey("subnets.id"), primary_key=True),
    Column("ip_address", String(64), primary_key=True),
    Column("port_id", String(36), ForeignKey("ports.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("network_id", String(36), nullable=False),
    Column("position", Integer, nullable=False),
    Column("number", BigInteger),
    Index("addresses_number", "subnet_id", "number"),
)

security_groups = Table(
    "security_groups",
    metadata,
    *_standard(),
    Column("stateful", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("default_of_project", String(64), unique=True),
    Index("security_groups_project", "project_id"),
)

security_group_rules = Table(
    "security_group_rules",
    metadata,
    *_standard(),
    Column("security_group_id", String(36), ForeignKey("security_groups.id", ondelete="CASCADE"), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("ethertype", String(8), nullable=False),
    Column("protocol", String(40)),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    Column("remote_ip_prefix", String(64)),
    Column("remote_group_id", String(36), ForeignKey("security_groups.id", ondelete="CASCADE")),
    Column("meaning", String(255), nullable=False),
    UniqueConstraint("security_group_id", "meaning"),
    Index("security_group_rules_project", "project_id"),
)

default_rules = Table(
    "default_rules",
    metadata,
    *_standard(),
    Column("direction", String(8), nullable=False),
    Column("ethertype", String(8), nullable=False),
    Column("protocol", String(40)),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    Column("remote_ip_prefix", String(64)),
    Column("remote_group_id", String(36)),
    Column("in_default_groups", String(255), unique=True),
    Column("in_other_groups", String(255), unique=True),
)

port_security_groups = Table(
    "port_security_groups",
    metadata,
    Column("port_id", String(36), ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True),
    Column("security_group_id", String(36), ForeignKey("security_groups.id"), primary_key=True),
    Index("port_security_groups_group", "security_group_id"),
)

routers = Table(
    "routers",
    metadata,
    *_standard(),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("gateway_port_id", String(36)),
    Column("gateway_network_id", String(36)),
    Column("enable_snat", Boolean, nullable=False),
    Column("routes", JSON, nullable=False),
    Column("availability_zone_hints", JSON, nullable=False),
    Column("host", String(255)),
    Index("routers_project", "project_id"),
)

floating_ips = Table(
    "floating_ips",
    metadata,
    *_standard(),
    Column("floating_network_id", String(36), nullable=False),
    Column("floating_ip_address", String(64), nullable=False),
    Column("floating_port_id", String(36), nullable=False),
    Column("fixed_port_id", String(36)),
    Column("fixed_ip_address", String(64)),
    Column("router_id", String(36)),
    Column("status", String(16), nullable=False),
    Column("dns_name", String(255), nullable=False),
    Column("dns_domain", String(255), nullable=False),
    UniqueConstraint("floating_network_id", "floating_ip_address"),
    UniqueConstraint("fixed_port_id", "fixed_ip_address"),
    Index("floating_ips_project", "project_id"),
    Index("floating_ips_router", "router_id"),
)

quotas = Table(
    "quotas",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("limit", Integer, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("binary", String(255), nullable=False),
    Column("agent_type", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("availability_zone", String(255)),
    Column("admin_state_up", Boolean, nullable=False),
    Column("description", String(255)),
    Column("configurations", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("answers_as", String(255), nullable=False),
    UniqueConstraint("agent_type", "host"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("concerned", JSON, nullable=False),
)

compute_events = Table(
    "compute_events",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("server_id", String(36), nullable=False),
    Column("tag", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
)


class Standard(Struct, kw_only=True):
    id: str
    project_id: str
    name: str
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime


class Network(Standard, kw_only=True):
    admin_state_up: bool
    shared: bool
    external: bool
    is_default: bool
    port_security_enabled: bool
    mtu: int
    network_type: str
    physical_network: str | None
    segmentation_id: int | None
    segment_key: str | None
    """`flat/<physical network>`, `vxlan/<VNI>`: unique, so that no two networks share a segment (`segments/`)."""
    dns_domain: str
    availability_zone_hints: list[str]
    dhcp_host: str | None
    """The host that serves DHCP for it; None until an agent has taken it."""


class Subnet(Standard, kw_only=True):
    network_id: str
    cidr: str
    ip_version: int
    gateway_ip: str | None
    enable_dhcp: bool
    ipv6_ra_mode: str | None
    ipv6_address_mode: str | None
    allocation_pools: list[dict[str, str]]
    """`{"start", "end"}` each."""
    dns_nameservers: list[str]
    host_routes: list[dict[str, str]]
    """`{"destination", "nexthop"}` each."""
    service_types: list[str]
    """Device owners whose ports take their addresses here; empty: every port."""
    dns_publish_fixed_ip: bool


class PortRow(Standard, kw_only=True):
    network_id: str
    mac_address: str
    admin_state_up: bool
    status: str
    device_id: str
    device_owner: str
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]
    extra_dhcp_opts: list[dict[str, Any]]
    dns_name: str = ""
    dns_domain: str = ""


class Port(PortRow, kw_only=True):
    """A row of `bound_ports`."""

    host: str
    """`binding:host_id`; empty while unbound."""
    vnic_type: str
    binding_profile: dict[str, Any]
    vif_type: str = ""
    vif_details: dict[str, Any] = {}


class PortBinding(Struct):
    port_id: str
    host: str
    status: str
    """ACTIVE of one binding of each port, INACTIVE of others."""
    vif_type: str
    vif_details: dict[str, Any]
    vnic_type: str
    profile: dict[str, Any]


class Address(Struct):
    subnet_id: str
    ip_address: str
    port_id: str
    network_id: str
    position: int
    """Its place among the port's addresses."""
    number: int | None
    """Its distance from the subnet's first address, by which the next free one is found; None beyond 63 bits."""


class SecurityGroup(Standard, kw_only=True):
    stateful: bool
    shared: bool
    default_of_project: str | None
    """The project whose default group this is: unique, so that a project has one."""


class Rule(Standard, kw_only=True):
    """What a rule says, whether of a group or of those to come."""

    direction: str
    ethertype: str
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_ip_prefix: str | None
    """As it was given, with its length; bits beyond that count for nothing."""
    remote_group_id: str | None


class DefaultRule(Rule, kw_only=True):
    """A rule that new groups begin with. What it says, in one line, is unique among those of each kind of group."""

    in_default_groups: str | None = None
    in_other_groups: str | None = None


class SecurityGroupRule(Rule, kw_only=True):
    security_group_id: str
    meaning: str = ""
    """What the rule says, in one line: unique within its group, so that nothing is said twice."""


class PortSecurityGroup(Struct):
    port_id: str
    security_group_id: str


class Router(Standard, kw_only=True):
    admin_state_up: bool
    status: str
    gateway_port_id: str | None
    gateway_network_id: str | None
    enable_snat: bool
    routes: list[dict[str, str]]
    availability_zone_hints: list[str]
    host: str | None
    """The host that carries it; None until an agent has taken it."""


class FloatingIp(Standard, kw_only=True):
    floating_network_id: str
    floating_ip_address: str
    floating_port_id: str
    fixed_port_id: str | None
    fixed_ip_address: str | None
    router_id: str | None
    status: str
    dns_name: str
    dns_domain: str


class Quota(Struct):
    """A limit somebody has set for a project; without a row the default holds. Negative: no limit."""

    project_id: str
    resource: str
    limit: int


class AgentRow(Struct, kw_only=True):
    id: str
    binary: str
    agent_type: str
    host: str
    availability_zone: str | None
    admin_state_up: bool
    description: str | None
    configurations: dict[str, Any]
    created_at: datetime
    started_at: datetime
    answers_as: str
    """Binary of the process that plays it and is asked whether it lives: one may play all of a host's agents."""


class ComputeEvent(Struct):
    """Something compute is to be told: kept until it was."""

    id: str
    name: str
    server_id: str
    tag: str | None
    created_at: datetime
