"""Making a server's disks anew, from its image or another one; its ports, volumes and address stay.

The row says what it is to be before the task runs, and the host makes the disks anew because the count of rebuilds has
risen. So one that has failed is taken up again by whatever is next asked of the host.
"""

from msgspec import structs

from kilonova.compute.programs import power
from kilonova.compute.programs.convergence import HostArgs, Seen, ask_host
from kilonova.compute.servers import admin_passwords, servers
from kilonova.compute.service import Cell
from kilonova.compute.transactions import CellTx
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

POLL_SECONDS = 0.5


class RebuildArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    admin_password: str | None = None
    """Until the config drive is written (`admin_passwords`)."""


async def remake(run: Run[Cell, RebuildArgs]) -> Outcome:
    """Tells the host what the server is to be; it fetches the image before it ends the guest."""
    seen = await _ask_host(run)
    if not isinstance(seen, Seen):
        return seen
    if seen.observed.progress:
        return Sleep(POLL_SECONDS, seen.observed.progress)
    return Next(wait_rebuilt)


async def wait_rebuilt(run: Run[Cell, RebuildArgs]) -> Outcome:
    """Waits until the guest runs again, or has what a stopped one has."""
    seen = await _ask_host(run)
    if not isinstance(seen, Seen):
        return seen
    server, observed = seen.server, seen.observed
    if observed.power != server.wanted_power or observed.progress:
        return Sleep(POLL_SECONDS, observed.progress or f"the guest is {observed.power}")
    now, power_state = run.clock.now(), servers.POWER_STATES[observed.power]
    vm_state = "active" if server.wanted_power == "running" else "stopped"

    async def write(tx: CellTx) -> None:
        values = {"vm_state": vm_state, "power_state": power_state, "launched_at": now, "fault": None}
        await servers.change(tx, server.id, now, **values)
        await admin_passwords.forget(tx, server.id)

    return Done(structs.replace(run.args, admin_password=None), commit=write)


async def _ask_host(run: Run[Cell, RebuildArgs]) -> Seen | Sleep | Fail:
    return await ask_host(run, admin_password=run.args.admin_password)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    await power.on_failed(tx, task, error)
    await admin_passwords.forget(tx, task.subject_id)


REBUILD = Program("rebuild", RebuildArgs, (remake, wait_rebuilt), on_failed, deadline_seconds=1800)
