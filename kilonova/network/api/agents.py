"""/v2.0/agents, /v2.0/extensions and the version documents."""

from datetime import timedelta

from msgspec import UNSET, Struct, UnsetType

from kilonova.kit.errors import NotFound
from kilonova.network import agents
from kilonova.network.api.bodies import STANDARD_FILTERS, Body, Listing, NetworkRequest, given
from kilonova.network.service import AGENT_BINARY
from kilonova.network.tables import AgentRow
from kilonova.network.views.resources import agent_view


class ChangedAgent(Struct, forbid_unknown_fields=True):
    admin_state_up: bool | UnsetType = UNSET
    description: str | UnsetType = UNSET


class ChangedAgentBody(Struct, forbid_unknown_fields=True):
    agent: ChangedAgent


AGENTS = Listing(
    "agents", {"id": STANDARD_FILTERS["id"]}, other=("agent_type", "binary", "host", "alive", "availability_zone")
)


def _view(request: NetworkRequest, agent: AgentRow) -> Body:
    liveness, now = request.service.liveness, request.service.clock.now()
    # All four parts of a host's agent live in the one process that answers.
    is_alive = liveness.is_alive(AGENT_BINARY, agent.host)
    silent = liveness.seconds_since_answer(AGENT_BINARY, agent.host)
    heard_at = agent.started_at if silent is None else now - timedelta(seconds=silent)
    return agent_view(agent, is_alive=is_alive, heard_at=heard_at)


async def list_agents(request: NetworkRequest) -> Body:
    request.authorize()
    AGENTS.filters(request)
    async with request.service.database.reading() as tx:
        found = await agents.list_all(tx)
    wanted = request.query.getlist("id")
    return AGENTS.answer(request, [_view(request, each) for each in found if not wanted or each.id in wanted])


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
        await agents.remove(tx, await agents.find(tx, request.path["agent_id"]))


EXTENSIONS = {
    "agent": "Agents and whether they live",
    "allowed-address-pairs": "More addresses a port may send from",
    "binding": "Which host a port is bound to",
    "dns-integration": "DNS names of ports",
    "external-net": "Networks that lead outside",
    "ext-gw-mode": "Routers with and without source NAT",
    "extraroute": "Static routes of routers",
    "net-mtu": "MTU of networks",
    "port-security": "Ports with and without filtering",
    "project-id": "project_id beside tenant_id",
    "provider": "How a network is carried",
    "router": "Routers and floating IPs",
    "security-group": "Security groups",
    "standard-attr-description": "Descriptions",
    "standard-attr-revisions": "Revision numbers",
    "standard-attr-timestamp": "Times of creation and change",
}
"""Alias → what it adds, in our words: the extensions of the API that are served."""


def _extension(alias: str) -> Body:
    return {
        "alias": alias,
        "name": alias,
        "description": EXTENSIONS[alias],
        "links": [],
        "updated": "2026-11-01T00:00:00Z",
    }


async def list_extensions(request: NetworkRequest) -> Body:
    request.authorize()
    return {"extensions": [_extension(alias) for alias in EXTENSIONS]}


async def show_extension(request: NetworkRequest) -> Body:
    request.authorize()
    alias = request.path["alias"]
    if alias not in EXTENSIONS:
        raise NotFound(f"Extension with alias {alias} does not exist")
    return {"extension": _extension(alias)}


async def list_versions(request: NetworkRequest) -> Body:
    link = {"rel": "self", "href": f"{request.base_url}/v2.0/"}
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}


async def show_version(request: NetworkRequest) -> Body:
    names = {
        "network": "networks",
        "subnet": "subnets",
        "port": "ports",
        "router": "routers",
        "floatingip": "floatingips",
    }
    return {
        "resources": [
            {
                "name": name,
                "collection": collection,
                "links": [{"rel": "self", "href": f"{request.base_url}/v2.0/{collection}"}],
            }
            for name, collection in names.items()
        ]
    }
