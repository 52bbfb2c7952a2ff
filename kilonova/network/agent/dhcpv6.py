"""DHCPv6 of one network: a dnsmasq of its own beside the one for IPv4, in the same namespace.

Guests find it because their router's advertisements say so. It gives each port the address that is counted as its own,
and everybody else in its subnets the rest: name servers, and the options of single ports. It keeps no leases but in
memory: whom an address belongs to is in the document, and when that changes it is started anew.
"""

import ipaddress
import os
import signal
from pathlib import Path

from kilonova.network.agent import dhcp
from kilonova.network.agent.commands import run
from kilonova.network.agent.dhcp_subnets import served_subnets
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.namespaces import run_inside
from kilonova.network.dhcp_options import IPV6_ADDRESSES
from kilonova.network.wanted import DhcpHost, DhcpOption, WantedDhcp, WantedNetwork, WantedSubnet


def gives_addresses(subnet: WantedSubnet) -> bool:
    return subnet.ipv6_address_mode != "dhcpv6-stateless"


def render_command(network: WantedNetwork, service: WantedDhcp, directory: Path, user: str) -> list[str]:
    """dnsmasq's whole command line. Names are answered by its neighbour."""
    lease = "infinite" if service.lease_seconds < 0 else f"{service.lease_seconds}s"
    subnets = served_subnets(network, 6)
    ranges = []
    for subnet in subnets:
        net = ipaddress.ip_network(subnet.cidr)
        ranges.append(f"--dhcp-range=set:{dhcp.tag_of(subnet)},{net.network_address},static,{net.prefixlen},{lease}")
    return [
        *dhcp.render_start(service, directory, user),
        "--port=0",
        "--leasefile-ro",
        f"--domain={service.dns_domain}",
        f"--dhcp-lease-max={65536 * len(subnets)}",
        *dhcp.render_tags(host for host, _ in _hosts(network, service)),
        *ranges,
    ]


def _hosts(network: WantedNetwork, service: WantedDhcp) -> list[tuple[DhcpHost, WantedSubnet]]:
    subnets = {each.id: each for each in served_subnets(network, 6)}
    found = [(host, subnets[host.subnet_id]) for host in service.hosts if host.subnet_id in subnets]
    return sorted(found, key=lambda each: (each[0].mac_address, each[0].ip_address))


def render_hosts(network: WantedNetwork, service: WantedDhcp) -> str:
    """MAC address, name and address of each port whose address is given out."""
    return "".join(
        f"{host.mac_address.lower()},{host.hostname},[{host.ip_address}]\n"
        for host, subnet in _hosts(network, service)
        if gives_addresses(subnet)
    )


def render_options(network: WantedNetwork, service: WantedDhcp) -> str:
    """Options of subnets, then those of single ports, which go before them."""
    lines = []
    for subnet in served_subnets(network, 6):
        own = next((each.ip_address for each in service.fixed_ips if each.subnet_id == subnet.id), None)
        servers = subnet.dns_nameservers or ((own,) if own else ())
        tag = f"tag:{dhcp.tag_of(subnet)}"
        if servers:
            lines.append(f"{tag},option6:dns-server,{_bracketed(servers)}")
        if service.dns_domain:
            lines.append(f"{tag},option6:domain-search,{service.dns_domain}")
    of_ports = [
        f"tag:{dhcp.port_tag(host)},option6:{option.name},{_value(option)}"
        for host, _ in _hosts(network, service)
        for option in host.options
    ]
    return "".join(f"{line}\n" for line in (*lines, *dict.fromkeys(of_ports)))


def _value(option: DhcpOption) -> str:
    if option.name not in IPV6_ADDRESSES:
        return option.value
    return _bracketed([each.strip("[] ") for each in option.value.split(",")])


def _bracketed(addresses: tuple[str, ...] | list[str]) -> str:
    return ",".join(f"[{each}]" for each in addresses)


def is_running(directory: Path) -> bool:
    return dhcp.running_pid(directory) is not None


def ensure(network: WantedNetwork, directory: Path, ledger: Ledger) -> None:
    """Files as wanted and a dnsmasq that has read them; none where no subnet wants one."""
    service = network.dhcp
    if service is None or not served_subnets(network, 6):
        release(network.id, directory, ledger)
        return
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    before = _owners(dhcp.read(directory / "host"))
    texts = {"host": render_hosts(network, service), "opts": render_options(network, service)}
    changed = [name for name, text in texts.items() if dhcp.write(directory / name, text)]
    has_moved = any(owner != before.get(address, owner) for address, owner in _owners(texts["host"]).items())
    namespace = dhcp.namespace_name(network.id)
    command = render_command(network, service, directory, dhcp.pick_user(directory))
    if has_moved or dhcp.running_command(directory, namespace) != command:
        dhcp.stop(directory)
        run_inside(namespace, lambda: run(command))
        ledger.changed("started DHCPv6 of network %s", network.id)
    elif changed:
        pid = dhcp.running_pid(directory)
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
        ledger.changed("DHCPv6 of network %s reads again: %s", network.id, ", ".join(changed))


def _owners(hosts: str) -> dict[str, str]:
    """Address → the MAC address that has it, by a file of hosts."""
    return {line.rpartition(",")[2]: line.partition(",")[0] for line in hosts.splitlines()}


def release(network_id: str, directory: Path, ledger: Ledger) -> None:
    if dhcp.stop(directory):
        ledger.changed("stopped DHCPv6 of network %s", network_id)
    if directory.exists():
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
