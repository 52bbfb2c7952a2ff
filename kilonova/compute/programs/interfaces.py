"""Attaching and detaching an interface: the row says which ports a server has, and its host converges to them.

The row is changed before the task runs. One that fails leaves the server as it was; the record of the action says why.
"""

from collections.abc import Callable
from typing import Any

from kilonova.compute.programs import release
from kilonova.compute.programs.convergence import HostArgs, ask_host, converged
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell
from kilonova.compute.transactions import CellTx
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Task

Entry = dict[str, Any]
"""What a server's row keeps of a port (`specs.port_entries`)."""


class InterfaceArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    entry: Entry


async def bind(run: Run[Cell, InterfaceArgs]) -> Outcome:
    """Binds the port to the server's host, unless another device has taken it meanwhile."""
    network, port_id = run.service.region.network, run.args.entry["id"]
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await network.take_port(port_id, release.binding_of(server), project_id=server.project_id)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The port could not be bound: {fault.message}")
    return Next(plug)


async def plug(run: Run[Cell, InterfaceArgs]) -> Outcome:
    """The guest gets the interface, at once or with its next start."""
    return await converged(run) or Done()


async def unplug(run: Run[Cell, InterfaceArgs]) -> Outcome:
    """The guest loses the interface. A running one has to let it go, which takes as long as it likes."""
    return await converged(run) or Next(let_go)


async def let_go(run: Run[Cell, InterfaceArgs]) -> Outcome:
    entry = run.args.entry
    await release.let_go(run.service.region.network, entry["id"], preserve=entry["preserve"])
    return Done()


async def look_again(run: Run[Cell, HostArgs]) -> Outcome:
    """Tells the host of the server's ports as the network service has them now."""
    return await converged(run) or Done()


async def take_off(run: Run[Cell, InterfaceArgs]) -> Outcome:
    """An attachment that failed: the port leaves the server again, and its host as soon as that answers."""
    entry, network = run.args.entry, run.service.region.network
    await _write_ports(run, lambda ports: [each for each in ports if each["id"] != entry["id"]])
    await ask_host(run)
    # It may be another device's by now: that was one reason to fail.
    for port in await network.list_ports(device_id=run.subject_id, id=entry["id"]):
        await release.let_go(network, port.id, preserve=entry["preserve"])
    return Done()


async def put_back(run: Run[Cell, InterfaceArgs]) -> Outcome:
    """A detachment that failed: the port is the server's again, where it was."""
    entry = run.args.entry
    await _write_ports(run, lambda ports: [*(each for each in ports if each["id"] != entry["id"]), entry])
    await ask_host(run)
    return Done()


async def _write_ports(run: Run[Cell, InterfaceArgs], changed: Callable[[list[Entry]], list[Entry]]) -> None:
    async with run.service.transaction() as tx:
        server = await servers.find(tx, run.subject_id)
        await servers.change(tx, server.id, run.clock.now(), ports=changed(server.ports))


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """The server itself has not failed."""


ATTACH_INTERFACE = Program(
    "attach_interface", InterfaceArgs, (bind, plug), on_failed, deadline_seconds=120, roll_back=take_off
)
DETACH_INTERFACE = Program(
    "detach_interface", InterfaceArgs, (unplug, let_go), on_failed, deadline_seconds=180, roll_back=put_back
)
INTERFACES = (ATTACH_INTERFACE, DETACH_INTERFACE)
INJECT_NETWORK = Program("inject_network", HostArgs, (look_again,), on_failed, deadline_seconds=120)
