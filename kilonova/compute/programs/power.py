"""Start, stop and reboot: the wanted power is in the row before the task runs; the agent converges to it."""

from kilonova.compute import servers
from kilonova.compute.agent.spec import ServerObservation
from kilonova.compute.programs.build import ask_host
from kilonova.compute.service import Compute
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Outcome, Program, Run, Sleep, Task

POLL_SECONDS = 0.5
VM_STATES = {"running": "active", "stopped": "stopped"}


async def converge_power(run: Run[Compute]) -> Outcome:
    """Asks the agent for the wanted state until the guest is in it. A reboot is a raised count in the same document."""
    answer = await ask_host(run)
    if not isinstance(answer, ServerObservation):
        return answer
    async with run.service.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    if answer.power != server.wanted_power or answer.progress:
        return Sleep(POLL_SECONDS, answer.progress or f"the guest is {answer.power}")
    now = run.clock.now()
    power_state = servers.POWER_STATES[answer.power]

    async def write(tx: Tx) -> None:
        vm_state = VM_STATES[server.wanted_power]
        await servers.change(tx, server.id, now, vm_state=vm_state, power_state=power_state, fault=None)

    return Done(commit=write)


async def on_failed(tx: Tx, task: Task, error: str) -> None:
    """ERROR with its reason; the claim and the ports stay, for the guest may still be there."""
    now = task.finished_at or task.wake_at
    await servers.change(tx, task.subject_id, now, vm_state="error", fault=servers.fault(error, now))


START = Program("start", (converge_power,), on_failed, deadline_seconds=120)
STOP = Program("stop", (converge_power,), on_failed, deadline_seconds=180)
REBOOT = Program("reboot", (converge_power,), on_failed, deadline_seconds=300)
