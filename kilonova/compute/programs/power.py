"""Start, stop, reboot, pause, suspend and their opposites: the wanted power is in the row before the task runs.

The agent converges to it: which of them it was only shows in the names.
"""

from collections.abc import Mapping

from kilonova.compute.programs.build import Seen, ask_host
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell
from kilonova.compute.transactions import CellTx
from kilonova.kit.tasks import Done, Outcome, Program, Run, Sleep, Task

POLL_SECONDS = 0.5
VM_STATES: Mapping[str, str] = {
    "running": "active",
    "stopped": "stopped",
    "paused": "paused",
    "suspended": "suspended",
}


async def converge_power(run: Run[Cell]) -> Outcome:
    """Asks the agent for the wanted state until the guest is in it. A reboot is a raised count in the same document."""
    answer = await ask_host(run)
    if not isinstance(answer, Seen):
        return answer
    server, observed = answer.server, answer.observed
    if observed.power != server.wanted_power or observed.progress:
        return Sleep(POLL_SECONDS, observed.progress or f"the guest is {observed.power}")
    now = run.clock.now()
    power_state = servers.POWER_STATES[observed.power]

    async def write(tx: CellTx) -> None:
        vm_state = VM_STATES[server.wanted_power]
        await servers.change(tx, server.id, now, vm_state=vm_state, power_state=power_state, fault=None)

    return Done(commit=write)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """ERROR with its reason; the claim and the ports stay, for the guest may still be there."""
    now = task.finished_at or task.wake_at
    server = await servers.find(tx, task.subject_id)
    told = servers.fault(error, now, hosts=(server.host or "",))
    await servers.change(tx, task.subject_id, now, vm_state="error", fault=told)


def _program(name: str, deadline_seconds: float) -> Program[Cell]:
    return Program(name, (converge_power,), on_failed, deadline_seconds=deadline_seconds)


# Longer than a lease: a runner that dies holds its task for so long.
START = _program("start", 180)
STOP = _program("stop", 180)
REBOOT = _program("reboot", 300)
PAUSE = _program("pause", 180)
UNPAUSE = _program("unpause", 180)
SUSPEND = _program("suspend", 300)
RESUME = _program("resume", 180)
POWER = (START, STOP, REBOOT, PAUSE, UNPAUSE, SUSPEND, RESUME)
