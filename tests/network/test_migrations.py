"""The migrations make exactly the tables the code speaks of, and may be run again."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text

from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.testing.schema import differences
from kilonova.network.tables import metadata, networks, subnets
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
