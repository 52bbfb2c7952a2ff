"""Detached jobs: started once, found again by their names, observed, cancelled, cleaned."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kilonova.kit.agents import Job, Jobs
from kilonova.kit.disks.confinement import qemu_account
from kilonova.kit.host_commands import Command, Limits

NAME = "convert image 1"


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path / "jobs")


def script(text: str, seconds: float = 60) -> Command:
    return Command(["sh", "-c", text], seconds)


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_job_is_started_once_and_found_until_it_is_cleaned(jobs: Jobs, tmp_path: Path) -> None:
    count = script(f"echo started >> {tmp_path}/count; read line < {tmp_path}/gate; echo 42 %")
    os.mkfifo(tmp_path / "gate")
    assert await jobs.observe(NAME) is None
    for _ in range(3):
        await jobs.start(NAME, count)
    assert await jobs.observe(NAME) == Job(NAME, is_running=True)
    (tmp_path / "gate").write_text("go\n")
    for _ in range(2):
        assert await jobs.wait(NAME) == Job(NAME, is_running=False, output="42 %\n")
        await jobs.start(NAME, count)
    assert (tmp_path / "count").read_text() == "started\n"
    assert [each.name for each in await jobs.list_all()] == [NAME]
    await jobs.clean(NAME)
    await jobs.clean(NAME)
    assert await jobs.observe(NAME) is None
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        (script("echo The disk is full. >&2; exit 3"), "sh failed with status 3: The disk is full."),
        (Command(["/no/such/command"], 60), "/no/such/command cannot be started: No such file or directory."),
        (script("exec sleep 60", seconds=0.1), "sh did not end within 0 seconds."),
    ],
    ids=["status", "missing", "too long"],
)
async def test_a_failure_is_told_with_its_reason(jobs: Jobs, command: Command, failure: str) -> None:
    await jobs.start(NAME, command)
    ended = await jobs.wait(NAME)
    assert ended is not None
    assert ended.failure == failure


async def test_a_cancelled_job_ends_with_all_its_processes(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.start(NAME, script(f"sleep 60 & echo $! > {tmp_path}/child; wait"))
    await wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    await jobs.cancel(NAME)
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    await wait_for(lambda: not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z")
    assert await jobs.observe(NAME) is None
    await jobs.cancel(NAME)


async def test_a_job_that_is_cancelled_at_its_start_ends(jobs: Jobs) -> None:
    await jobs.start(NAME, Command(["sleep", "60"], 60))
    await jobs.cancel(NAME)
    assert await jobs.list_all() == []


AGENT = """
import asyncio, sys
from pathlib import Path
from kilonova.kit.agents import Jobs
from kilonova.kit.host_commands import Command

async def main(directory):
    jobs = Jobs(directory / "jobs")
    command = f"echo began; read line < {directory}/gate; echo done > {directory}/result"
    await jobs.start("convert image 1", Command(["sh", "-c", command], 60))
    print("started", flush=True)
    await jobs.wait("convert image 1")

asyncio.run(main(Path(sys.argv[1])))
"""


def agent_that_dies(directory: Path) -> None:
    """Starts the job in a process that is killed with all of its group in the middle of it."""
    os.mkfifo(directory / "gate")
    command = [sys.executable, "-c", AGENT, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "started\n"
        os.killpg(agent.pid, signal.SIGKILL)


async def test_the_next_agent_finds_the_job_of_one_that_was_killed(jobs: Jobs, tmp_path: Path) -> None:
    await asyncio.to_thread(agent_that_dies, tmp_path)
    found = await jobs.observe(NAME)
    assert found is not None and found.is_running
    await jobs.start(NAME, script("exit 1"))
    (tmp_path / "gate").write_text("go\n")
    assert await jobs.wait(NAME) == Job(NAME, is_running=False, output="began\n")
    assert (tmp_path / "result").read_text() == "done\n"


async def test_a_job_that_was_killed_is_started_afresh(jobs: Jobs, tmp_path: Path) -> None:
    await asyncio.to_thread(agent_that_dies, tmp_path)
    (group,) = (tmp_path / "jobs").glob("*/group")
    await wait_for(lambda: bool(group.read_text().strip()))
    os.killpg(int(group.read_text()), signal.SIGKILL)
    assert await jobs.wait(NAME) is None
    await jobs.start(NAME, Command(["true"], 30))
    assert await jobs.wait(NAME) == Job(NAME, is_running=False)


async def test_the_end_of_a_long_output_is_kept(jobs: Jobs) -> None:
    await jobs.start(NAME, script("seq 1 100000"))
    ended = await jobs.wait(NAME)
    assert ended is not None and ended.output.endswith("99999\n100000\n") and len(ended.output) == 4096


@pytest.mark.root
async def test_a_job_that_fills_the_disk_still_tells_why_it_failed(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path / "small"], check=True)
    try:
        jobs = Jobs(tmp_path / "small/jobs")
        await jobs.start(NAME, Command(["dd", "if=/dev/zero", f"of={tmp_path}/small/large", "status=none"], 60))
        ended = await jobs.wait(NAME)
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)
    assert ended is not None
    assert ended.failure.startswith("dd failed with status 1:")
    assert "No space left on device" in ended.failure


@pytest.mark.root
async def test_a_job_runs_as_its_account_within_its_limits(jobs: Jobs) -> None:
    account = qemu_account()
    assert account is not None
    limits = Limits(memory_bytes=1 << 30, cpu_seconds=10, files=17, file_bytes=1 << 20)
    await jobs.start(NAME, Command(["sh", "-c", "id -u; id -G; ulimit -n"], 30, account, limits))
    ended = await jobs.wait(NAME)
    assert ended is not None
    assert ended.output.split() == [str(account.user_id), str(account.group_id), "17"]
