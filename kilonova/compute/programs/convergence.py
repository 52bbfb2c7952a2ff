"""Asks a server's host to bring the server to what is wanted: the whole specification, each time."""

from typing import TypeVar

from msgspec import Struct, structs

from kilonova.compute.agent.contract import ENSURE_SERVER, EnsureArguments
from kilonova.compute.agent.spec import ServerObservation
from kilonova.compute.hosts import takings
from kilonova.compute.servers import servers, specs
from kilonova.compute.servers.specs import PlannedPorts
from kilonova.compute.servers.timeline import ServerArgs
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.compute.topics import AGENT_BINARY
from kilonova.kit.agents import AgentUnreachable, Call
from kilonova.kit.bus import RemoteError
from kilonova.kit.tasks import Fail, Run, Sleep

UNREACHABLE_TRIES = 3
POLL_SECONDS = 0.5


class HostArgs(ServerArgs, frozen=True, kw_only=True, omit_defaults=True):
    """The arguments of an operation that asks the host."""

    unanswered: int = 0
    """Calls in a row that the host has not answered."""


ArgsT = TypeVar("ArgsT", bound=HostArgs)
CallArgsT = TypeVar("CallArgsT", bound=Struct)


class Seen(Struct, frozen=True):
    """The host's answer, and the server that it was asked about."""

    server: Server
    observed: ServerObservation


async def ask_host(
    run: Run[Cell, ArgsT], planned: PlannedPorts | None = None, admin_password: str | None = None
) -> Seen | Sleep | Fail:
    """One call to the agent with the whole wanted state. Fail: the host says it cannot, or stays silent too long.

    `planned`: the server's ports where they are known; otherwise the network service is asked.
    """
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
        placement = await takings.find(tx, server, server.host)
    if planned is None:
        planned = specs.planned_ports(await specs.port_details(cell.region.network, server))
    spec = specs.server_spec(server, planned, admin_password, placement=placement)
    seen = await ask(run, server.host or "", ENSURE_SERVER, EnsureArguments(spec, run.task.epoch))
    return Seen(server, seen) if isinstance(seen, ServerObservation) else seen


async def converged(run: Run[Cell, ArgsT]) -> Sleep | Fail | None:
    """Asks the host once; returns None when it has the server as the row says."""
    answer = await ask_host(run)
    if not isinstance(answer, Seen):
        return answer
    progress = answer.observed.progress
    return Sleep(POLL_SECONDS, progress) if progress else None


async def ask(
    run: Run[Cell, ArgsT], host: str, call: Call[CallArgsT, ServerObservation], asked: CallArgsT
) -> ServerObservation | Sleep | Fail:
    """One call to a host's agent. Fail: the host says it cannot, or stays silent too long."""
    cell = run.service
    try:
        observed = await cell.agents.call(host, call, asked)
    except AgentUnreachable as error:
        # In a row: a step that has waited for its guest for long is not to lose its host with one lost message.
        unanswered = run.args.unanswered
        if unanswered < UNREACHABLE_TRIES:
            return Sleep(2**unanswered, str(error), args=structs.replace(run.args, unanswered=unanswered + 1))
        if cell.liveness.is_awaited(AGENT_BINARY, host):
            # This process has just started, and maybe the agent with it: nobody knows yet that it is dead.
            return Sleep(2, str(error))
        return Fail(str(error))
    except RemoteError as error:
        # A stale epoch says that another task owns the server by now: this one's commit will be refused.
        return Sleep(1, error.message) if error.kind == "StaleEpoch" else Fail(error.message)
    return Fail(observed.message) if observed.message else observed
