"""Agents' rows, and which host carries which network's DHCP and which router."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select, update

from kilonova.kit.agents import AgentInfo
from kilonova.kit.db import Tx
from kilonova.network import bindings, concerns, parts, records, subnets
from kilonova.network import ports as ports_domain
from kilonova.network.concerns import Concern
from kilonova.network.errors import (
    AgentNotFound,
    AvailabilityZoneNotFound,
    InvalidDHCPAgent,
    InvalidL3Agent,
    NetworkHostedByDHCPAgent,
    NetworkNotHostedByDhcpAgent,
    RouterHostedByL3Agent,
    RouterNotHostedByL3Agent,
)
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    AgentRow,
    Network,
    Port,
    Router,
    agents,
    bound_ports,
    floating_ips,
    networks,
    port_bindings,
    ports,
    routers,
)
from kilonova.network.tables import subnets as subnets_table

DHCP_AGENT, L3_AGENT, BRIDGE_AGENT = (parts.AGENT_TYPES[each] for each in (parts.DHCP, parts.L3, parts.BRIDGE))

DEFAULT_ZONE = "nova"

_WITH_DHCP = select(subnets_table.c.network_id).where(subnets_table.c.enable_dhcp.is_(True))


async def register(tx: Tx, service: NetworkService, info: AgentInfo, played: Collection[str]) -> None:
    """Inserts a row for each part that the process plays, or brings it up to date. Safe to repeat.

    A part that it used to play is nobody's until another process registers it.
    """
    before = {each.binary: each for each in await tx.find_all(AgentRow, agents, host=info.host)}
    for binary in played:
        agent_type = parts.AGENT_TYPES[binary]
        news: dict[str, Any] = {
            "configurations": info.configurations,
            "started_at": info.started_at,
            "answers_as": info.binary,
        }
        zone = info.availability_zone or DEFAULT_ZONE
        row = AgentRow(
            id=str(uuid.uuid4()),
            binary=binary,
            agent_type=agent_type,
            host=info.host,
            availability_zone=zone if agent_type in (DHCP_AGENT, L3_AGENT) else None,
            admin_state_up=True,
            description=None,
            created_at=service.clock.now(),
            **news,
        )
        if not await tx.insert_new(agents, row):
            same = (agents.c.agent_type == agent_type) & (agents.c.host == info.host)
            await tx.execute(update(agents).where(same).values(**news))
    given_up = (agents.c.host == info.host) & (agents.c.answers_as == info.binary) & agents.c.binary.not_in(played)
    for row in await tx.all(AgentRow, select(agents).where(given_up)):
        await remove(tx, service, row)
    is_old = all(each in before and before[each].configurations == info.configurations for each in played)
    # Other hosts' documents name this one's address: they hear of a new one, not of every start.
    others = []
    if not is_old:
        await bindings.bind_again(tx, service, info.host)
        others = await _concerned_by_agent(tx, info.host)
    await records.raise_revision(tx, concerns.host(info.host), *others)


async def _concerned_by_agent(tx: Tx, host: str) -> list[Concern]:
    """Who else hears that an agent of this host is new, changed or gone: the hosts of the networks that are there."""
    bound = select(ports.c.network_id, ports.c.id).join(port_bindings, port_bindings.c.port_id == ports.c.id)
    there = await tx.tuples(bound.where(port_bindings.c.host == host))
    served = await tx.tuples(select(networks.c.id).where(networks.c.dhcp_host == host))
    found = [Concern(concerns.AGENTS), *(Concern(concerns.ports_of(network_id), port) for network_id, port in there)]
    joined = sorted({each[0] for each in (*there, *served)})
    return [*found, *(Concern(concerns.peers_of(network_id), host) for network_id in joined)]


async def list_all(tx: Tx) -> list[AgentRow]:
    return await tx.all(AgentRow, select(agents).order_by(agents.c.host, agents.c.agent_type))


async def find(tx: Tx, agent_id: str) -> AgentRow:
    row = await tx.find(AgentRow, agents, id=agent_id)
    if row is None:
        raise AgentNotFound(agent_id)
    return row


async def change(tx: Tx, row: AgentRow, **values: Any) -> AgentRow:
    if values:
        await tx.change(agents, {"id": row.id}, **values)
    return await find(tx, row.id)


async def remove(tx: Tx, service: NetworkService, row: AgentRow) -> None:
    """What it carried is free for another agent to take."""
    for network in await networks_of(tx, row):
        await _set_dhcp_host(tx, service, network, None)
    for router in await routers_of(tx, row):
        await give_router(tx, service, router, None)
    await tx.execute(agents.delete().where(agents.c.id == row.id))
    await bindings.bind_again(tx, service, row.host)
    await records.raise_revision(tx, concerns.host(row.host), *await _concerned_by_agent(tx, row.host))


async def is_known(tx: Tx, host: str, played: Collection[str]) -> bool:
    """Whether each of these parts has registered for the host."""
    known = await tx.tuples(select(agents.c.binary).where(agents.c.host == host))
    return set(played) <= {binary for (binary,) in known}


async def to_ask(tx: Tx) -> list[tuple[str, str]]:
    """(binary, host) of every process that plays agents: who is asked whether it lives."""
    return sorted(await tx.tuples(select(agents.c.answers_as, agents.c.host).distinct()))


def tunnel_ips(bridge_agents: Iterable[AgentRow]) -> dict[str, str]:
    """Host → the underlay address its bridge agent has registered."""
    told = {each.host: each.configurations.get("tunneling_ip") for each in bridge_agents}
    return {host: address for host, address in told.items() if address}


async def of_type(tx: Tx, agent_type: str) -> list[AgentRow]:
    return await tx.all(AgentRow, select(agents).where(agents.c.agent_type == agent_type).order_by(agents.c.host))


async def networks_of(tx: Tx, agent: AgentRow) -> list[Network]:
    """The networks a DHCP agent serves."""
    if agent.agent_type != DHCP_AGENT:
        return []
    return await tx.find_all(Network, networks, dhcp_host=agent.host)


async def routers_of(tx: Tx, agent: AgentRow) -> list[Router]:
    """The routers an L3 agent carries."""
    if agent.agent_type != L3_AGENT:
        return []
    return await tx.find_all(Router, routers, host=agent.host)


async def zones(tx: Tx) -> list[tuple[str, str, bool]]:
    """(zone, `network` or `router`, whether it takes new ones), for the zones that agents serve."""
    found: dict[tuple[str, str], bool] = {}
    for agent_type, resource in ((DHCP_AGENT, "network"), (L3_AGENT, "router")):
        for each in await of_type(tx, agent_type):
            key = (each.availability_zone or DEFAULT_ZONE, resource)
            found[key] = found.get(key, False) or each.admin_state_up
    return [(zone, resource, is_up) for (zone, resource), is_up in sorted(found.items())]


async def check_zone_hints(tx: Tx, hints: Sequence[str], resource: str) -> None:
    """Raises AvailabilityZoneNotFound for a zone that takes no such resource."""
    if not hints:
        return
    available = [zone for zone, served, is_up in await zones(tx) if served == resource and is_up]
    for hint in hints:
        if hint not in available:
            raise AvailabilityZoneNotFound(hint)


class Picks(Struct):
    """What nobody carries, by the host that is to take it, and the networks that a host serves without a DHCP port."""

    routers: dict[str, list[str]] = {}
    networks: dict[str, list[str]] = {}
    lacking: dict[str, list[Network]] = {}

    def has_any_for(self, host: str, played: Collection[str]) -> bool:
        """Only what asks takes, so whoever is given something lives: `played` are the asking process's parts."""
        if parts.L3 in played and host in self.routers:
            return True
        return parts.DHCP in played and (host in self.networks or host in self.lacking)


async def pick_carriers(tx: Tx, service: NetworkService) -> Picks:
    """Free routers and networks with DHCP go to the agent that lives, takes new things and carries the least."""
    picks = Picks()
    if free_routers := await tx.find_all(Router, routers, host=None):
        loads = await _loads(tx, select(routers.c.host, func.count()).group_by(routers.c.host))
        picks.routers = pick_least_loaded(free_routers, await _takers(tx, service, L3_AGENT), loads)
    unserved = select(networks).where(networks.c.dhcp_host.is_(None), networks.c.id.in_(_WITH_DHCP))
    if free_networks := await tx.all(Network, unserved):
        loads = await _loads(tx, select(networks.c.dhcp_host, func.count()).group_by(networks.c.dhcp_host))
        picks.networks = pick_least_loaded(free_networks, await _takers(tx, service, DHCP_AGENT), loads)
    for network in await _without_dhcp_port(tx):
        picks.lacking.setdefault(network.dhcp_host or "", []).append(network)
    return picks


async def _takers(tx: Tx, service: NetworkService, agent_type: str) -> list[AgentRow]:
    return [
        each
        for each in await of_type(tx, agent_type)
        if each.admin_state_up and service.liveness.is_alive(each.answers_as, each.host)
    ]


async def _loads(tx: Tx, counting: Select[Any]) -> dict[str, int]:
    return {host: count for host, count in await tx.tuples(counting) if host}


def pick_least_loaded(
    free: Sequence[Router | Network], takers: Sequence[AgentRow], loads: Mapping[str, int]
) -> dict[str, list[str]]:
    """Host → ids of what it is to take, each counted as carried from then on; in zones that no taker serves, nobody."""
    carried = Counter(loads)
    found: dict[str, list[str]] = {}
    for each in free:
        able = [taker.host for taker in takers if _is_in_zone(taker, each.availability_zone_hints)]
        if able:
            host = min(able, key=lambda name: (carried[name], name))
            carried[host] += 1
            found.setdefault(host, []).append(each.id)
    return found


async def assign(tx: Tx, service: NetworkService, host: str, played: Collection[str], picks: Picks) -> None:
    """Gives `host` what was picked for it and is still nobody's, and DHCP ports to what it serves."""
    if parts.L3 in played:
        still_free = routers.c.host.is_(None) & routers.c.id.in_(picks.routers.get(host, ()))
        for router in await tx.all(Router, select(routers).where(still_free)):
            await give_router(tx, service, router, host)
    if parts.DHCP in played:
        unserved = networks.c.dhcp_host.is_(None) & networks.c.id.in_(picks.networks.get(host, ()))
        for network in await tx.all(Network, select(networks).where(unserved)):
            await _set_dhcp_host(tx, service, network, host)
        for network in await _without_dhcp_port(tx, networks.c.dhcp_host == host):
            await _ensure_dhcp_port(tx, service, network, host)


async def _without_dhcp_port(tx: Tx, *conditions: ColumnElement[bool]) -> list[Network]:
    with_port = select(ports.c.network_id).where(ports.c.device_owner == ports_domain.DHCP_OWNER)
    served = networks.c.dhcp_host != BY_HAND
    lacking = select(networks).where(served, networks.c.id.in_(_WITH_DHCP), networks.c.id.not_in(with_port))
    return await tx.all(Network, lacking.where(*conditions))


def _is_in_zone(carrier: AgentRow, hints: Sequence[str]) -> bool:
    return not hints or carrier.availability_zone in hints


BY_HAND = ""
"""Host of a router or network that was taken from its agent by hand: no agent takes it, it has to be given to one."""


async def give_router(tx: Tx, service: NetworkService, router: Router, host: str | None) -> None:
    """The router with its ports and floating IPs moves to `host`; None: nobody carries it until an agent takes it."""
    await tx.change(routers, {"id": router.id}, host=host)
    owned = (bound_ports.c.device_id == router.id) & bound_ports.c.device_owner.in_(ports_domain.ROUTER_OWNERS)
    joined = await tx.all(Port, select(bound_ports).where(owned))
    await bindings.move(tx, service, joined, host or "")
    status = "ACTIVE" if host else "DOWN"
    await tx.change(floating_ips, {"router_id": router.id}, status=status)
    concerned = [each for port in joined for each in _concerned_by_move(port, host)]
    await records.raise_revision(tx, concerns.router(router.id), *concerned, *_carriers(router.host, host))


def _concerned_by_move(port: Port, host: str | None) -> list[Concern]:
    """Who has to hear that a router's or a DHCP service's port is on another host now."""
    hosts = [each for each in (port.host, host) if each]
    return ports_domain.concerned_by(port, hosts, ())


def _carriers(*hosts: str | None) -> list[str]:
    """Who has to hear of what was taken from one host and given to another: with nobody who has it, all that may."""
    found = [concerns.carried_by(each) for each in hosts if each]
    return found if hosts[-1] else [*found, concerns.CARRIERS]


async def _set_dhcp_host(tx: Tx, service: NetworkService, network: Network, host: str | None) -> None:
    await tx.change(networks, {"id": network.id}, dhcp_host=host)
    before = network.dhcp_host
    joined = await ports_domain.on_network(tx, network, ports_domain.DHCP_OWNER)
    await bindings.move(tx, service, joined, host or "")
    concerned = [each for port in joined for each in _concerned_by_move(port, host)]
    concerned += [Concern(concerns.peers_of(network.id), each) for each in (before, host) if each]
    await records.raise_revision(tx, concerns.network(network.id), *concerned, *_carriers(before, host))


async def add_router(tx: Tx, service: NetworkService, agent: AgentRow, router: Router) -> None:
    """Raises InvalidL3Agent, RouterHostedByL3Agent."""
    if agent.agent_type != L3_AGENT or not agent.admin_state_up:
        raise InvalidL3Agent(agent.id)
    if router.host not in (None, BY_HAND, agent.host):
        raise RouterHostedByL3Agent(router.id, str(router.host))
    await give_router(tx, service, router, agent.host)


async def remove_router(tx: Tx, service: NetworkService, agent: AgentRow, router: Router) -> None:
    if agent.agent_type != L3_AGENT or router.host != agent.host:
        raise RouterNotHostedByL3Agent(router.id, agent.id)
    await give_router(tx, service, router, BY_HAND)


async def add_network(tx: Tx, service: NetworkService, agent: AgentRow, network: Network) -> None:
    """Raises InvalidDHCPAgent, NetworkHostedByDHCPAgent: one host serves a network's addresses."""
    if agent.agent_type != DHCP_AGENT or not agent.admin_state_up:
        raise InvalidDHCPAgent(agent.id)
    if network.dhcp_host not in (None, BY_HAND):
        raise NetworkHostedByDHCPAgent(network.id, str(network.dhcp_host))
    await _set_dhcp_host(tx, service, network, agent.host)
    await _ensure_dhcp_port(tx, service, network, agent.host)


async def remove_network(tx: Tx, service: NetworkService, agent: AgentRow, network: Network) -> None:
    if agent.agent_type != DHCP_AGENT or network.dhcp_host != agent.host:
        raise NetworkNotHostedByDhcpAgent(network.id, agent.id)
    await _set_dhcp_host(tx, service, network, BY_HAND)


async def refresh_dhcp(tx: Tx, service: NetworkService, network_id: str) -> None:
    """Called when a network's subnets have changed: its DHCP port follows, if an agent serves it already."""
    network = await tx.find(Network, networks, id=network_id)
    if network is not None and network.dhcp_host not in (None, BY_HAND):
        await _ensure_dhcp_port(tx, service, network, network.dhcp_host)


async def _ensure_dhcp_port(tx: Tx, service: NetworkService, network: Network, host: str) -> None:
    """A network that is served has one DHCP port, with an address in every subnet that wants DHCP."""
    wanted = {each.id for each in await subnets.of_network(tx, network.id) if each.enable_dhcp}
    existing = await ports_domain.on_network(tx, network, ports_domain.DHCP_OWNER)
    if not existing:
        if wanted:
            await _make_dhcp_port(tx, service, network, host, wanted)
        return
    (details,) = await ports_domain.with_details(tx, existing[:1])
    if not wanted:
        await ports_domain.delete_port(tx, existing[0])
    elif {address.subnet_id for address in details.addresses} != wanted:
        kept = [{"subnet_id": each} for each in sorted(wanted)]
        await ports_domain.change(tx, service, existing[0], {}, fixed_ips=kept)


async def _make_dhcp_port(tx: Tx, service: NetworkService, network: Network, host: str, wanted: set[str]) -> None:
    # The name is derived, so that a second agent's port for the same network could be told apart from this one.
    device_id = f"dhcp{uuid.uuid5(uuid.NAMESPACE_DNS, host)}-{network.id}"
    port = Port(
        **records.standard(network.project_id, "", "", service.clock.now()),
        network_id=network.id,
        mac_address="",
        admin_state_up=True,
        status="DOWN",
        device_id=device_id,
        device_owner=ports_domain.DHCP_OWNER,
        host=host,
        vnic_type="normal",
        binding_profile={},
        port_security_enabled=False,
        allowed_address_pairs=[],
        extra_dhcp_opts=[],
    )
    await ports_domain.create(tx, service, port, [{"subnet_id": each} for each in sorted(wanted)], ())
