"""The demo's provider network on this host: a bridge with an address, so that floating IPs answer from its own shell.

The one rule: nothing of the host but this bridge is touched, and its range is one that no route, address or resolver
of the host uses; an address taken from the uplink would cut the host off. The bridge carries a device group from its
first moment (`ip link show group 27504`) and, as its alias, the state directory it belongs to; without both of these
nothing is ever removed. The choice is kept in the state directory, because networks and floating IPs stand on it.
"""

import asyncio
import ipaddress
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from kilonova.cli.state import StateDir, StateError
from kilonova.cli.typed import typed
from kilonova.network.agent.links import OWNER_GROUP

BRIDGE = "br-provider"
PROVIDER_GROUP = OWNER_GROUP + 2
"""Beside the network agent's groups: the agent uses this bridge and never removes it."""

CANDIDATES = tuple(
    IPv4Network(cidr)
    for cidr in (
        *(f"172.{second}.4.0/24" for second in range(24, 32)),
        *(f"10.{second}.4.0/24" for second in (224, 232, 240, 248, 77, 133, 199)),
        *(f"192.168.{third}.0/24" for third in (244, 236, 228, 212)),
    )
)
RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
SHORTEST_PREFIX = 2
"""Routes shorter than this say where the rest of the world is: the default route, also one that a VPN cut in halves."""

_AF_INET = 2


class ProviderError(StateError):
    """The bridge cannot be made; the message says what is in the way and what to do."""


class Provider(msgspec.Struct, frozen=True):
    """The provider network as this host has it; `cidr` is an IPv4 network, `host_address` its first address."""

    bridge: str
    cidr: str
    host_address: str

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.cidr)


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """What a new range on this host must keep clear of."""

    routes: tuple[IPv4Network, ...]
    """Routes of every table and the prefixes and peers of every interface."""
    resolvers: tuple[IPv4Address, ...]


def find_collision(
    cidr: IPv4Network, routes: Iterable[IPv4Network], resolvers: Iterable[IPv4Address]
) -> IPv4Network | IPv4Address | None:
    """The first route or resolver that `cidr` would cut off, None when there is none."""
    for route in routes:
        if route.prefixlen >= SHORTEST_PREFIX and route.overlaps(cidr):
            return route
    return next((resolver for resolver in resolvers if resolver in cidr), None)


def pick_range(
    routes: Sequence[IPv4Network], resolvers: Sequence[IPv4Address], candidates: Iterable[IPv4Network]
) -> IPv4Network:
    """The first candidate that collides with nothing. Raises ProviderError when all do."""
    for candidate in candidates:
        if find_collision(candidate, routes, resolvers) is None:
            return candidate
    raise ProviderError(
        "Every range that the demo's provider network could have collides with a route or a resolver of this host."
    )


async def ensure_provider_bridge(state: StateDir) -> Provider:
    """The bridge of this state directory, up and with its address; made if there is none. Safe to repeat.

    Raises ProviderError when the name is taken, or when the range kept from before collides with the host by now.
    """
    return await asyncio.to_thread(_ensure, state.path, state.provider_file)


async def remove_provider_bridge(state: StateDir) -> None:
    """Removes the bridge if it is this state directory's; its range stays chosen, for the networks in the databases
    have it. Safe to repeat."""
    await asyncio.to_thread(_remove, state.path)


def read_provider(state: StateDir) -> Provider | None:
    """What `ensure_provider_bridge` chose before; None when it has not run, as without root."""
    try:
        return msgspec.json.decode(state.provider_file.read_bytes(), type=Provider)
    except FileNotFoundError:
        return None


# --- on the host ----------------------------------------------------------------------------------------------------


def _ensure(state_dir: Path, record: Path) -> Provider:
    with IPRoute() as netlink:
        bridge = _find_bridge(netlink)
        if bridge is not None:
            _check_owner(bridge, state_dir)
        in_use = _read_host(netlink, own_index=bridge["index"] if bridge is not None else None)
        provider = _choose(record, in_use)
        try:
            if bridge is None:
                netlink.link("add", ifname=BRIDGE, kind="bridge", group=PROVIDER_GROUP, address=_new_mac_address())
            index = netlink.link_lookup(ifname=BRIDGE)[0]
            netlink.link("set", index=index, ifalias=_alias(state_dir))
            _refuse_ipv6()
            _set_address(netlink, index, IPv4Interface(f"{provider.host_address}/{provider.network.prefixlen}"))
            netlink.link("set", index=index, state="up")
        except NetlinkError as error:
            raise ProviderError(f"The kernel refused to make the bridge {BRIDGE}: {error}.") from error
        return provider


def _remove(state_dir: Path) -> None:
    with IPRoute() as netlink:
        bridge = _find_bridge(netlink)
        if bridge is not None and _is_ours(bridge) and bridge.get_attr("IFLA_IFALIAS") in (None, _alias(state_dir)):
            netlink.link("del", index=bridge["index"])


def _find_bridge(netlink: Any) -> Any:
    found = netlink.link_lookup(ifname=BRIDGE)
    return netlink.get_links(found[0])[0] if found else None


def _is_ours(bridge: Any) -> bool:
    details = bridge.get_attr("IFLA_LINKINFO")
    is_bridge = details is not None and details.get_attr("IFLA_INFO_KIND") == "bridge"
    return bool(is_bridge and bridge.get_attr("IFLA_GROUP") == PROVIDER_GROUP)


def _alias(state_dir: Path) -> str:
    return f"kilonova {state_dir.resolve()}"


def _check_owner(bridge: Any, state_dir: Path) -> None:
    if not _is_ours(bridge):
        raise ProviderError(f"This host has an interface {BRIDGE} that Kilonova did not make: rename or remove it.")
    # Without an alias it is one that was just made when its maker died.
    alias = bridge.get_attr("IFLA_IFALIAS") or _alias(state_dir)
    if alias != _alias(state_dir):
        owner = alias.removeprefix("kilonova ")
        raise ProviderError(
            f"The interface {BRIDGE} belongs to the cloud in {owner}: take that one down first,"
            f" with `{typed('down --all', Path(owner))}`."
        )


def _choose(record: Path, in_use: HostAddresses) -> Provider:
    """What was chosen before, else a new choice, recorded before anything is made of it."""
    try:
        chosen = msgspec.json.decode(record.read_bytes(), type=Provider)
    except FileNotFoundError:
        network = pick_range(in_use.routes, in_use.resolvers, CANDIDATES)
        chosen = Provider(BRIDGE, str(network), str(network[1]))
        record.parent.mkdir(parents=True, exist_ok=True)
        unfinished = record.with_suffix(".new")
        unfinished.write_bytes(msgspec.json.encode(chosen))
        unfinished.replace(record)
        return chosen
    except msgspec.DecodeError as error:
        raise ProviderError(f"{record} cannot be read: {error}.") from error
    collision = find_collision(chosen.network, in_use.routes, in_use.resolvers)
    if collision is not None:
        raise ProviderError(
            f"The provider network's range {chosen.cidr} has come to collide with {collision} on this host."
            f" Remove that route, or start anew: `{typed('down --all', record.parent)}` and delete {record}."
        )
    return chosen


def _read_host(netlink: Any, own_index: int | None) -> HostAddresses:
    """What the host uses already, but for what belongs to our own bridge."""
    routes = [*_routes(netlink, own_index), *_interface_networks(netlink, own_index)]
    return HostAddresses(tuple(dict.fromkeys(routes)), tuple(_resolvers(RESOLVER_FILES)))


def _routes(netlink: Any, own_index: int | None) -> Iterator[IPv4Network]:
    for message in netlink.get_routes(family=_AF_INET):
        destination = message.get_attr("RTA_DST")
        if destination is not None and (own_index is None or message.get_attr("RTA_OIF") != own_index):
            yield IPv4Network(f"{destination}/{message['dst_len']}")


def _interface_networks(netlink: Any, own_index: int | None) -> Iterator[IPv4Network]:
    for message in netlink.get_addr(family=_AF_INET):
        if own_index is not None and message["index"] == own_index:
            continue
        for name in ("IFA_LOCAL", "IFA_ADDRESS"):
            address = message.get_attr(name)
            if address is not None:
                yield IPv4Network(f"{address}/{message['prefixlen']}", strict=False)


def _resolvers(files: Iterable[Path]) -> Iterator[IPv4Address]:
    for path in files:
        try:
            text = path.read_text(errors="replace")
        except FileNotFoundError:
            continue
        for word in re.findall(r"^\s*nameserver\s+(\S+)", text, re.MULTILINE):
            try:
                address = ipaddress.ip_address(word)
            except ValueError:
                continue  # resolv.conf(5) readers ignore what is no address
            if isinstance(address, IPv4Address):
                yield address


def _new_mac_address() -> str:
    """A fixed address of its own: a bridge without one changes its address with the first port it gets."""
    return ":".join(f"{byte:02x}" for byte in (0x02, *secrets.token_bytes(5)))


def _refuse_ipv6() -> None:
    """Guests reach the host through the IPv4 address alone."""
    path = Path("/proc/sys/net/ipv6/conf", BRIDGE, "disable_ipv6")
    if path.exists():
        path.write_text("1")


def _set_address(netlink: Any, index: int, wanted: IPv4Interface) -> None:
    """Exactly this address on the bridge."""
    present = {
        IPv4Interface(f"{message.get_attr('IFA_LOCAL')}/{message['prefixlen']}")
        for message in netlink.get_addr(family=_AF_INET, index=index)
    }
    for interface in present - {wanted}:
        netlink.addr("del", index=index, address=str(interface.ip), prefixlen=interface.network.prefixlen)
    if wanted not in present:
        network = wanted.network
        broadcast = str(network.broadcast_address)
        netlink.addr("add", index=index, address=str(wanted.ip), prefixlen=network.prefixlen, broadcast=broadcast)
