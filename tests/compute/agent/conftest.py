"""Hosts for the driver tests: the fake one always, a private libvirtd where the tests may start one."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from kilonova.compute.agent.drivers.fake import FakeHost
from kilonova.compute.agent.drivers.libvirtd import sandbox_path, stop_private_libvirtd
from kilonova.compute.agent.drivers.options import LibvirtOptions
from tests.compute.agent.rigs import FakeRig, LibvirtRig, Rig


@pytest.fixture(scope="session")
def libvirt_state_dir(public_directory: Callable[[str], Path]) -> Iterator[Path]:
    """One private libvirtd for all tests: the first question to a new one takes seconds."""
    directory = public_directory("lv")
    yield directory
    asyncio.run(stop_private_libvirtd(directory))
    assert not sandbox_path(directory).exists()


@pytest.fixture
def tmp_path(public_directory: Callable[[str], Path]) -> Path:
    """In place of pytest's, because QEMU and qemu-img have to get into it as their own account."""
    return public_directory("agent")


@pytest.fixture
async def libvirt_rig(libvirt_state_dir: Path) -> AsyncIterator[LibvirtRig]:
    instances_path = libvirt_state_dir / "instances"
    options = LibvirtOptions(libvirt_state_dir, instances_path, "host1", "127.0.0.1", use_system_libvirtd=False)
    rig = LibvirtRig(options)
    yield rig
    await rig.close()
    shutil.rmtree(instances_path, ignore_errors=True)


@pytest.fixture
async def fake_rig() -> AsyncIterator[FakeRig]:
    rig = FakeRig(FakeHost("host1", delay_seconds=0.05))
    yield rig
    await rig.close()


@pytest.fixture(params=["fake_rig", pytest.param("libvirt_rig", marks=pytest.mark.libvirt)])
def rig(request: pytest.FixtureRequest) -> Rig:
    found: Rig = request.getfixturevalue(request.param)
    return found
