"""The operations that only change a server's power: start, stop, reboot, pause, suspend, rescue and their opposites.

The wanted power is in the server's row before the task runs, and the agent converges to it. So they have one step, and
differ in their rows of `operations.py` alone.
"""

from collections.abc import Mapping

from msgspec import structs

from kilonova.compute.operations import OPERATIONS, RESCUE, SOFT_DELETE, Operation
from kilonova.compute.programs.convergence import HostArgs, Seen, ask_host
from kilonova.compute.servers import admin_passwords, servers
from kilonova.compute.service import Cell
from kilonova.compute.transactions import CellTx
from kilonova.kit.tasks import Done, Outcome, Program, Run, Sleep, Task

POLL_SECONDS = 0.5


class PowerArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    admin_password: str | None = None
    """The password of a rescue, until its config drive is written (`admin_passwords`)."""


async def converge_power(run: Run[Cell, PowerArgs]) -> Outcome:
    """Asks the agent for the wanted state until the guest is in it. A reboot is a raised count in the same document."""
    operation = OPERATIONS[run.task.program]
    answer = await ask_host(run, admin_password=run.args.admin_password)
    if not isinstance(answer, Seen):
        return answer
    server, observed = answer.server, answer.observed
    if observed.power != operation.wants or observed.progress:
        return Sleep(POLL_SECONDS, observed.progress or f"the guest is {observed.power}")
    now = run.clock.now()
    power_state = servers.POWER_STATES[observed.power]

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, now, vm_state=operation.ends_in, power_state=power_state, fault=None)
        if run.args.admin_password is not None:
            await admin_passwords.forget(tx, server.id)

    return Done(structs.replace(run.args, admin_password=None), commit=write)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """ERROR with its reason; the claim and the ports stay, for the guest may still be there.

    A rescue that has failed is over: what is asked of the server next is asked of its own disks. A server whose host
    does not stop it is deleted softly all the same.
    """
    now = task.finished_at or task.wake_at
    if task.program == SOFT_DELETE.program:
        await servers.change(tx, task.subject_id, now, vm_state=SOFT_DELETE.ends_in)
        return
    server = await servers.find(tx, task.subject_id)
    told = servers.fault(error, now, hosts=(server.host or "",))
    await servers.change(tx, task.subject_id, now, vm_state="error", fault=told, rescue=None)
    if task.program == RESCUE.program:
        await admin_passwords.forget(tx, task.subject_id)


def _program(operation: Operation) -> Program[Cell, PowerArgs]:
    steps = (converge_power,)
    return Program(operation.program, PowerArgs, steps, on_failed, deadline_seconds=operation.deadline_seconds)


POWER: Mapping[str, Program[Cell, PowerArgs]] = {
    name: _program(each) for name, each in OPERATIONS.items() if each.wants is not None
}
