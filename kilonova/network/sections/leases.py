"""The DHCP leases of networks that the host serves."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network import dhcp_options, dns_names
from kilonova.network.floating_ips import OWNER as FLOATING_OWNER
from kilonova.network.ports import DHCP_OWNER
from kilonova.network.routers import GATEWAY
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.section import AFTER, MOST, OWNER, Asking, Spot, ids_of, names_of_ports
from kilonova.network.tables import ports
from kilonova.network.wanted import DhcpHost, DhcpOption

WITHOUT_LEASE = (DHCP_OWNER, GATEWAY, FLOATING_OWNER)
"""Ports that ask nobody for their address."""


class Leases:
    name = "leases"
    is_single = False
    names = staticmethod(names_of_ports)

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return await ids_of(asking.tx, _IDS, owner=owner, after=after, most=most)

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, tuple[DhcpHost, ...]]:
        found = await asking.ports([spot.id for spot in spots])
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        return {
            spot: _hosts(each, asking.facts.dns_domain)
            for spot, each in known.items()
            if each.device_owner not in WITHOUT_LEASE and each.fixed_ips
        }


_IDS = (
    select(ports.c.id)
    .where(ports.c.network_id == OWNER, ports.c.device_owner.not_in(WITHOUT_LEASE), ports.c.id > AFTER)
    .order_by(ports.c.id)
    .limit(MOST)
)


def _hosts(port: PortFacts, dns_domain: str) -> tuple[DhcpHost, ...]:
    return tuple(
        DhcpHost(
            mac_address=port.mac_address,
            ip_address=fixed.ip_address,
            hostname=dns_names.host_name(fixed.ip_address, port.dns_name, dns_domain),
            subnet_id=fixed.subnet_id,
            port_id=port.id,
            device_id=port.device_id,
            project_id=port.project_id,
            options=_options(port, 6 if ":" in fixed.ip_address else 4),
        )
        for fixed in sorted(port.fixed_ips, key=lambda each: (each.ip_address, each.subnet_id))
    )


def _options(port: PortFacts, ip_version: int) -> tuple[DhcpOption, ...]:
    """Those of one IP version. Earlier releases stored what no server would send."""
    return tuple(
        DhcpOption(each["opt_name"], each["opt_value"])
        for each in port.extra_dhcp_opts
        if each["ip_version"] == ip_version
        and dhcp_options.is_sendable(each["opt_name"], each["opt_value"], ip_version)
    )
