"""/v2.0/agents: who they are, whether they live, and what they carry."""

from datetime import timedelta

from msgspec import UNSET, UnsetType

from kilonova.kit.http.bounds import Id
from kilonova.network import agents, networks, routers
from kilonova.network.api.bodies import Body, NetworkRequest
from kilonova.network.api.fields import Description, Fields, Flag, given
from kilonova.network.api.listing import list_views
from kilonova.network.selections import listing_of_views
from kilonova.network.tables import AgentRow, Router
from kilonova.network.views.resources import agent_view, network_view, router_view

LISTING = listing_of_views(
    ("id", "agent_type", "binary", "topic", "host", "admin_state_up", "alive", "availability_zone", "description"),
    sorts=("configurations", "created_at", "started_at", "heartbeat_timestamp", "resources_synced"),
)
QUERY = LISTING.query


class ChangedAgent(Fields):
    admin_state_up: Flag | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET


class ChangedAgentBody(Fields):
    agent: ChangedAgent


def _view(request: NetworkRequest, agent: AgentRow) -> Body:
    liveness, now = request.service.liveness, request.service.clock.now()
    is_alive = liveness.is_alive(agent.answers_as, agent.host)
    silent = liveness.seconds_since_answer(agent.answers_as, agent.host)
    heard_at = agent.started_at if silent is None else now - timedelta(seconds=silent)
    skew = request.service.clock_skews.get(agent.host)
    return agent_view(agent, is_alive=is_alive, heard_at=heard_at, clock_skew_seconds=skew)


async def list_agents(request: NetworkRequest) -> Body:
    """A list holds what its caller may see: to others than administrators there are no agents."""
    request.authorize(rule="get_extension")
    found = []
    if request.may():
        async with request.service.database.reading() as tx:
            found = await agents.list_all(tx)
    return list_views(request, LISTING, "agents", [_view(request, each) for each in found])


async def show_agent(request: NetworkRequest) -> Body:
    request.authorize()
    async with request.service.database.reading() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
    return {"agent": _view(request, agent)}


async def update_agent(request: NetworkRequest, body: ChangedAgentBody) -> Body:
    request.authorize()
    async with request.service.database.transaction() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        agent = await agents.change(tx, agent, **given(body.agent))
    return {"agent": _view(request, agent)}


async def delete_agent(request: NetworkRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await agents.remove(tx, request.service, await agents.find(tx, request.path["agent_id"]))


class WhichNetwork(Fields):
    network_id: Id


class WhichRouter(Fields):
    router_id: Id


async def add_network(request: NetworkRequest, body: WhichNetwork) -> Body:
    """POST /v2.0/agents/{id}/dhcp-networks."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        network = await networks.find(tx, body.network_id)
        await agents.add_network(tx, request.service, agent, network)
    return {}


async def remove_network(request: NetworkRequest) -> None:
    """DELETE /v2.0/agents/{id}/dhcp-networks/{network_id}: the next agent that looks takes it."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        await agents.remove_network(tx, request.service, agent, await networks.find(tx, request.path["network_id"]))


async def add_router(request: NetworkRequest, body: WhichRouter) -> Body:
    """POST /v2.0/agents/{id}/l3-routers."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        await agents.add_router(tx, request.service, agent, await routers.find(tx, body.router_id))
    return {}


async def remove_router(request: NetworkRequest) -> None:
    """DELETE /v2.0/agents/{id}/l3-routers/{router_id}: the next agent that looks takes it."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        await agents.remove_router(tx, request.service, agent, await routers.find(tx, request.path["router_id"]))


async def list_of_network(request: NetworkRequest) -> Body:
    """GET /v2.0/networks/{id}/dhcp-agents."""
    request.authorize()
    async with request.service.database.reading() as tx:
        network = await networks.find(tx, request.path["network_id"])
        found = [each for each in await agents.of_type(tx, agents.DHCP_AGENT) if each.host == network.dhcp_host]
    return {"agents": [_view(request, each) for each in found]}


async def list_of_router(request: NetworkRequest) -> Body:
    """GET /v2.0/routers/{id}/l3-agents. A router is on one host, so it has no high-availability state."""
    request.authorize()
    async with request.service.database.reading() as tx:
        router = await routers.find(tx, request.path["router_id"])
        found = [each for each in await agents.of_type(tx, agents.L3_AGENT) if each.host == router.host]
    return {"agents": [{**_view(request, each), "ha_state": None} for each in found]}


async def list_networks(request: NetworkRequest) -> Body:
    """GET /v2.0/agents/{id}/dhcp-networks: empty for agents that serve none."""
    request.authorize()
    async with request.service.database.reading() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        found = await agents.networks_of(tx, agent)
        subnet_ids = await networks.subnet_ids(tx, [each.id for each in found])
    return {"networks": [network_view(each, subnet_ids[each.id], with_provider=True) for each in found]}


async def list_routers(request: NetworkRequest) -> Body:
    """GET /v2.0/agents/{id}/l3-routers: empty for agents that carry none."""
    request.authorize()
    async with request.service.database.reading() as tx:
        agent = await agents.find(tx, request.path["agent_id"])
        found: list[Router] = await agents.routers_of(tx, agent)
        gateways = await routers.gateways(tx, found)
    return {"routers": [router_view(each, gateways.get(each.id)) for each in found]}
