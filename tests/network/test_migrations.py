"""The migrations make exactly the tables the code speaks of, and may be run again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Connection, String, column, func, select, table, text

from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.testing.schema import differences
from kilonova.network.tables import addresses, agents, bound_ports, metadata, networks, port_bindings, ports, subnets
from tests.databases import Databases

MIGRATIONS = Path(__file__).parents[2] / "kilonova/network/migrations"


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    assert differences(metadata, MIGRATIONS, tmp_path) == []


WHEN = datetime(2026, 1, 2, tzinfo=UTC)
STANDARD = {"project_id": "p", "name": "", "description": "", "tags": [], "created_at": WHEN, "updated_at": WHEN}
NETWORK = {
    "admin_state_up": True,
    "shared": False,
    "external": False,
    "is_default": False,
    "port_security_enabled": True,
    "mtu": 1450,
    "network_type": "vxlan",
    "dns_domain": "",
    "availability_zone_hints": [],
}
LISTS = {"allocation_pools": [], "dns_nameservers": [], "host_routes": [], "service_types": []}
SUBNETS = (
    # id, cidr, ip_version, mode
    ("large", "fd00::/48", 6, "dhcpv6-stateful"),
    ("without a mode", "fd01::/63", 6, None),
    ("usual", "fd02::/64", 6, "slaac"),
    ("small", "fd03::/80", 6, "dhcpv6-stateful"),
    ("old", "10.0.0.0/8", 4, None),
)


PORT = {"admin_state_up": True, "status": "ACTIVE", "device_id": "", "device_owner": "", "port_security_enabled": True}
PORT |= {"allowed_address_pairs": [], "extra_dhcp_opts": [], "dns_name": "", "dns_domain": "", "revision_number": 1}
PORT |= {**STANDARD, "vnic_type": "normal"}
PORTS_BEFORE = table(
    "ports",
    *(column(each.name, each.type) for each in ports.c),
    *(column("host", String), column("vnic_type", String), column("binding_profile", JSON)),
)
BRIDGED = {"connectivity": "l2", "port_filter": True}
BOUND = (
    # id, network, host, profile, what it is bound as
    ("nowhere", "tunnel", "", {}, ("unbound", {})),
    ("without an agent", "tunnel", "node2", {}, ("binding_failed", {})),
    ("guest", "tunnel", "node1", {"a": 1}, ("bridge", {**BRIDGED, "bridge_name": "brqtunnel"})),
    ("outside", "flat", "node1", {}, ("bridge", {**BRIDGED, "bridge_name": "br-ex"})),
)


def test_ports_keep_their_bindings_and_their_addresses(databases: Databases, tmp_path: Path) -> None:
    database = Database(databases.engine.create("unbound", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0005")

    def fill(connection: Connection) -> None:
        for name, physical in (("tunnel", None), ("flat", "provider")):
            segment = {**NETWORK, "physical_network": physical}
            connection.execute(networks.insert().values(id=name, revision_number=1, **STANDARD, **segment))
        subnet = {"id": "s", "network_id": "tunnel", "cidr": "10.0.0.0/8", "ip_version": 4, "enable_dhcp": True}
        subnet |= {**STANDARD, **LISTS, "revision_number": 1, "dns_publish_fixed_ip": False}
        connection.execute(subnets.insert().values(**subnet))
        for kind, told in (("Linux bridge agent", {"bridge_mappings": {"provider": "br-ex"}}), ("DHCP agent", {})):
            row = {"id": kind, "binary": kind, "agent_type": kind, "host": "node1", "admin_state_up": True}
            row |= {"configurations": told, "created_at": WHEN, "started_at": WHEN, "answers_as": kind}
            connection.execute(agents.insert().values(**row))
        for number, (name, network, host, profile, _) in enumerate(BOUND):
            row = {**PORT, "id": name, "network_id": network, "host": host, "mac_address": str(number)}
            connection.execute(PORTS_BEFORE.insert().values(**row, binding_profile=profile))
        address = {"subnet_id": "s", "ip_address": "10.0.0.2", "port_id": "guest", "network_id": "tunnel"}
        connection.execute(addresses.insert().values(**address, position=0, number=2))

    database.run_alone(fill)
    upgrade(database, MIGRATIONS)

    def read(connection: Connection) -> tuple[Any, Any, Any]:
        found = connection.execute(select(bound_ports)).mappings().all()
        others = connection.execute(select(func.count()).where(port_bindings.c.status != "ACTIVE")).scalar()
        return found, connection.execute(select(addresses.c.port_id)).scalars().all(), others

    found, kept, others = database.run_alone(read)
    assert {each["id"]: (each["vif_type"], each["vif_details"]) for each in found} == {
        name: vif for name, _, _, _, vif in BOUND
    }
    assert {(each["id"], each["network_id"], each["host"], each["binding_profile"].get("a")) for each in found} == {
        (name, network, host, profile.get("a")) for name, network, host, profile, _ in BOUND
    }
    assert (kept, others) == (["guest"], 0)


def test_subnets_that_nothing_served_say_so(databases: Databases, tmp_path: Path) -> None:
    database = Database(databases.engine.create("older", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0003")

    def fill(connection: Connection) -> None:
        connection.execute(networks.insert().values(id="n", revision_number=1, **STANDARD, **NETWORK))
        for name, cidr, ip_version, mode in SUBNETS:
            row = {
                "id": name,
                "cidr": cidr,
                "ip_version": ip_version,
                "ipv6_ra_mode": mode,
                "ipv6_address_mode": mode,
                "enable_dhcp": True,
                "network_id": "n",
                "revision_number": 1,
                "dns_publish_fixed_ip": False,
            }
            connection.execute(subnets.insert().values(**STANDARD, **LISTS, **row))

    database.run_alone(fill)
    upgrade(database, MIGRATIONS)

    def read(connection: Connection) -> dict[str, tuple[bool, str | None, str | None]]:
        statement = text("SELECT id, enable_dhcp, ipv6_ra_mode, ipv6_address_mode FROM subnets")
        return {row[0]: (bool(row[1]), row[2], row[3]) for row in connection.execute(statement)}

    assert database.run_alone(read) == {
        "large": (False, None, None),
        "without a mode": (False, None, None),
        "usual": (True, "slaac", "slaac"),
        "small": (True, "dhcpv6-stateful", "dhcpv6-stateful"),
        "old": (True, None, None),
    }
