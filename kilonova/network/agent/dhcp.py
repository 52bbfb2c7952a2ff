"""DHCP of one network: a namespace `qdhcp-<network id>`, a veth into the bridge, a dnsmasq that outlives the agent.

The rule: files are the truth that dnsmasq reads again on SIGHUP; it is restarted only when its command line differs, or
when it holds a lease that contradicts the document (an address that now belongs to another MAC address).
"""

import contextlib
import ipaddress
import os
import pwd
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from kilonova.network.agent import links, namespaces
from kilonova.network.agent.commands import run
from kilonova.network.agent.dhcp_subnets import served_subnets
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.links import Link, LinkTable
from kilonova.network.agent.namespaces import run_inside
from kilonova.network.agent.ports import NamespacedPort, ensure_namespace, ensure_namespaced_port
from kilonova.network.wanted import TAP_PREFIX, DhcpHost, WantedDhcp, WantedNetwork, WantedSubnet, device_name

NAMESPACE_PREFIX = "qdhcp-"
DHCP_INTERFACE_PREFIX = "ns-"
METADATA_ADDRESS = "169.254.169.254"
IPV6_SYSCTLS = Path("/proc/sys/net/ipv6/conf")

_STOP_SECONDS = 3.0


def namespace_name(network_id: str) -> str:
    return NAMESPACE_PREFIX + network_id


def tag_of(subnet: WantedSubnet) -> str:
    return f"subnet-{subnet.id}"


def port_tag(host: DhcpHost) -> str:
    return f"port-{host.port_id}"


def render_command(network: WantedNetwork, dhcp: WantedDhcp, directory: Path, user: str) -> list[str]:
    """dnsmasq's whole command line; a configuration file of the host's is not read."""
    lease = "infinite" if dhcp.lease_seconds < 0 else f"{dhcp.lease_seconds}s"
    ranges = []
    lease_max = 0
    for subnet in served_subnets(network):
        net = ipaddress.ip_network(subnet.cidr)
        lease_max += min(net.num_addresses, 65536)
        ranges.append(f"--dhcp-range=set:{tag_of(subnet)},{net.network_address},static,{net.netmask},{lease}")
    return [
        *render_start(dhcp, directory, user),
        f"--dhcp-leasefile={directory / 'leases'}",
        f"--addn-hosts={directory / 'addn_hosts'}",
        f"--domain={dhcp.dns_domain}",
        f"--local=/{dhcp.dns_domain}/",
        f"--dhcp-lease-max={lease_max}",
        f"--dhcp-option-force=option:mtu,{network.mtu}",
        *render_tags(_served_hosts(network, dhcp)),
        *ranges,
    ]


def render_start(dhcp: WantedDhcp, directory: Path, user: str) -> list[str]:
    """The first words of a dnsmasq's command line, for either version of IP."""
    return [
        "dnsmasq",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        "--no-poll",
        f"--user={user}",
        "--bind-dynamic",
        "--except-interface=lo",
        f"--interface={device_name(DHCP_INTERFACE_PREFIX, dhcp.port_id)}",
        f"--pid-file={directory / 'pid'}",
        f"--dhcp-hostsfile={directory / 'host'}",
        f"--dhcp-optsfile={directory / 'opts'}",
    ]


def render_tags(hosts: Iterable[DhcpHost]) -> list[str]:
    """Words of the command line that mark ports with options of their own, each once.

    A tag in the file of hosts would need no restart, but dnsmasq 2.90 dies at the first request of such a host after
    it has read the file again.
    """
    tags = {f"--dhcp-mac=set:{port_tag(host)},{host.mac_address.lower()}" for host in hosts if host.options}
    return sorted(tags)


def _full_name(host: DhcpHost, dhcp: WantedDhcp) -> str:
    return f"{host.hostname}.{dhcp.dns_domain}" if dhcp.dns_domain else host.hostname


def _served_hosts(network: WantedNetwork, dhcp: WantedDhcp, *ip_versions: int) -> list[DhcpHost]:
    served = {subnet.id for version in ip_versions or (4,) for subnet in served_subnets(network, version)}
    hosts = (host for host in dhcp.hosts if host.subnet_id in served)
    return sorted(hosts, key=lambda host: (host.mac_address, host.ip_address))


def render_hosts(network: WantedNetwork, dhcp: WantedDhcp) -> str:
    """Static leases: MAC address, full name, address."""
    return "".join(
        f"{host.mac_address.lower()},{_full_name(host, dhcp)},{host.ip_address}\n"
        for host in _served_hosts(network, dhcp)
    )


def render_names(network: WantedNetwork, dhcp: WantedDhcp) -> str:
    """What dnsmasq answers for the guests' names, in the form of /etc/hosts; both IP versions."""
    return "".join(
        f"{host.ip_address}\t{_full_name(host, dhcp)} {host.hostname}\n" for host in _served_hosts(network, dhcp, 4, 6)
    )


def render_options(network: WantedNetwork, dhcp: WantedDhcp, metadata_subnets: Iterable[str]) -> str:
    """Options per subnet: gateway, name servers, classless routes (RFC 3442; 249 is the same for old Windows). Then
    those of single ports.

    A client that takes option 121 ignores option 3, so the default route is repeated there.
    """
    through_dhcp_port = set(metadata_subnets)
    lines: list[str] = []
    for subnet in served_subnets(network):
        tag = f"tag:{tag_of(subnet)}"
        own = _own_address(dhcp, subnet)
        routes = [f"{route.destination},{route.nexthop}" for route in subnet.host_routes]
        has_metadata_route = any(route.destination == f"{METADATA_ADDRESS}/32" for route in subnet.host_routes)
        if subnet.id in through_dhcp_port and own is not None and not has_metadata_route:
            routes.append(f"{METADATA_ADDRESS}/32,{own}")
        if subnet.gateway_ip is not None and routes:
            routes.append(f"0.0.0.0/0,{subnet.gateway_ip}")
        if routes:
            lines += [f"{tag},option:classless-static-route,{','.join(routes)}", f"{tag},249,{','.join(routes)}"]
        # Without a value the option is not sent; dnsmasq would name itself as router.
        lines.append(f"{tag},option:router,{subnet.gateway_ip}" if subnet.gateway_ip else f"{tag},option:router")
        servers = ",".join(subnet.dns_nameservers) or own
        if servers:
            lines.append(f"{tag},option:dns-server,{servers}")
    # The server reads from the end: what is said of a port goes before what is said of its subnet.
    lines += dict.fromkeys(
        f"tag:{port_tag(host)},{option.name if option.name.isdecimal() else f'option:{option.name}'},{option.value}"
        for host in _served_hosts(network, dhcp)
        for option in host.options
    )
    return "".join(line + "\n" for line in lines)


def _own_address(dhcp: WantedDhcp, subnet: WantedSubnet) -> str | None:
    return next((fixed.ip_address for fixed in dhcp.fixed_ips if fixed.subnet_id == subnet.id), None)


def render_leases(kept: str, network: WantedNetwork, dhcp: WantedDhcp, now: int) -> str:
    """The lease file to start with: what is still right in the old one, and an entry for each host that has none, so
    that a guest may renew what another server of this network gave it."""
    wanted = {(host.mac_address.lower(), host.ip_address): host for host in _served_hosts(network, dhcp)}
    lines = []
    for line in kept.splitlines():
        words = line.split()
        if len(words) >= 5 and wanted.pop((words[1].lower(), words[2]), None) is not None:
            lines.append(line)
    expires = 0 if dhcp.lease_seconds < 0 else now + dhcp.lease_seconds
    lines += [f"{expires} {mac} {address} {host.hostname} *" for (mac, address), host in wanted.items()]
    return "".join(line + "\n" for line in lines)


def contradicted(leases: str, network: WantedNetwork, dhcp: WantedDhcp) -> bool:
    """Whether a lease holds an address that the document gives to another MAC address."""
    owners = {host.ip_address: host.mac_address.lower() for host in _served_hosts(network, dhcp)}
    for line in leases.splitlines():
        words = line.split()
        if len(words) >= 5 and owners.get(words[2], words[1].lower()) != words[1].lower():
            return True
    return False


def read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def write(path: Path, text: str) -> bool:
    """Replace a file at one stroke when its text differs; True when it did."""
    if path.exists() and path.read_text() == text:
        return False
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.chmod(0o644)
    beside.replace(path)
    return True


def running_pid(directory: Path) -> int | None:
    """Process id of this directory's live dnsmasq. A pid file may name a stranger, so its command line is checked."""
    text = read(directory / "pid").strip()
    if not text.isdigit():
        return None
    return int(text) if f"--pid-file={directory / 'pid'}" in _command_line(int(text)) else None


def running_command(directory: Path, namespace: str) -> list[str]:
    """The command line of this directory's dnsmasq that lives in the namespace; empty when there is none."""
    pid = running_pid(directory)
    return [] if pid is None or not _is_inside(pid, namespaces.inode(namespace)) else _command_line(pid)


def _is_inside(pid: int, inode: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == inode
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def _command_line(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return raw.decode(errors="replace").split("\0")[:-1]


def _has_ended(pid: int) -> bool:
    """Whether a process is gone or only waits to be collected: then its sockets are closed."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in ("Z", "X")


def _signal_and_wait(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + _STOP_SECONDS
    while not _has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.005)


def stop(directory: Path) -> bool:
    """End this directory's dnsmasq and wait until it is gone; True when there was one."""
    pid = running_pid(directory)
    if pid is None:
        return False
    _signal_and_wait(pid, signal.SIGTERM)
    if running_pid(directory) == pid:
        _signal_and_wait(pid, signal.SIGKILL)
    (directory / "pid").unlink(missing_ok=True)
    return True


def stop_strays(namespace: str) -> None:
    """End any dnsmasq in the namespace, whoever's files it has: they may have been lost, and it holds the ports."""
    inode = namespaces.inode(namespace)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        if _is_inside(int(entry.name), inode) and _command_line(int(entry.name))[:1] == ["dnsmasq"]:
            _signal_and_wait(int(entry.name), signal.SIGKILL)


def pick_user(directory: Path) -> str:
    """dnsmasq's own user where it can reach its files; root where the state directory is closed to others."""
    try:
        pwd.getpwnam("dnsmasq")
    except KeyError:
        return "root"
    parents = (directory, *directory.resolve().parents)
    return "dnsmasq" if all(parent.stat().st_mode & 0o001 for parent in parents) else "root"


def _prepare_files(network: WantedNetwork, dhcp: WantedDhcp, directory: Path, subnets: Iterable[str]) -> list[str]:
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    texts = {
        "host": render_hosts(network, dhcp),
        "opts": render_options(network, dhcp, subnets),
        "addn_hosts": render_names(network, dhcp),
    }
    return [name for name, text in texts.items() if write(directory / name, text)]


def _start(command: Sequence[str], network: WantedNetwork, dhcp: WantedDhcp, directory: Path, user: str) -> None:
    leases = directory / "leases"
    write(leases, render_leases(read(leases), network, dhcp, int(time.time())))
    if user != "root":
        account = pwd.getpwnam(user)
        os.chown(leases, account.pw_uid, account.pw_gid)
    stop_strays(namespace_name(network.id))
    run_inside(namespace_name(network.id), lambda: run(command))


def ensure_server(
    network: WantedNetwork, dhcp: WantedDhcp, directory: Path, metadata_subnets: Iterable[str], ledger: Ledger
) -> None:
    """Files as wanted and a dnsmasq that has read them."""
    changed = _prepare_files(network, dhcp, directory, metadata_subnets)
    user = pick_user(directory)
    command = render_command(network, dhcp, directory, user)
    pid = running_pid(directory)
    is_stale = pid is not None and _command_line(pid) != command
    if is_stale or contradicted(read(directory / "leases"), network, dhcp):
        stop(directory)
        pid = None
    if pid is None:
        _start(command, network, dhcp, directory, user)
        ledger.changed("started dnsmasq of network %s", network.id)
    elif changed:
        os.kill(pid, signal.SIGHUP)
        ledger.changed("dnsmasq of network %s reads again: %s", network.id, ", ".join(changed))


def ensure_dhcp(
    network: WantedNetwork, bridge: Link, table: LinkTable, directory: Path, metadata_subnets: list[str], ledger: Ledger
) -> None:
    """Namespace, port, addresses and server of one network's DHCP."""
    dhcp = network.dhcp
    if dhcp is None:
        return
    name = namespace_name(network.id)
    ensure_namespace(name, ledger)
    inner = device_name(DHCP_INTERFACE_PREFIX, dhcp.port_id)
    outer = device_name(TAP_PREFIX, dhcp.port_id)
    port = NamespacedPort(name, (outer, inner), dhcp.mac_address, network.mtu, links.DHCP_GROUP)
    ensure_namespaced_port(table, bridge, port)
    addresses = [f"{fixed.ip_address}/{fixed.prefix_length}" for fixed in dhcp.fixed_ips]

    def inside() -> None:
        # What it has of addresses is given to it: a router's advertisements are for guests.
        accepts = IPV6_SYSCTLS / inner / "accept_ra"
        if accepts.exists() and accepts.read_text().strip() != "0":
            accepts.write_text("0")
        with links.opened(ledger) as own:
            interface = own.ensure_up(own.ensure_set(own.need(inner), mtu=network.mtu, mac_address=dhcp.mac_address))
            own.ensure_addresses(interface, [*addresses, f"{METADATA_ADDRESS}/32"])

    run_inside(name, inside)
    ensure_server(network, dhcp, directory, metadata_subnets, ledger)


def release_dhcp(network_id: str, directory: Path, ledger: Ledger) -> None:
    """Take a network's DHCP away: process, namespace, files. Its veth goes with the namespace."""
    if stop(directory):
        ledger.changed("stopped dnsmasq of network %s", network_id)
    if namespaces.inode(namespace_name(network_id)) is not None:
        stop_strays(namespace_name(network_id))
        namespaces.release(namespace_name(network_id))
        ledger.changed("removed namespace %s", namespace_name(network_id))
    if directory.exists():
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
