"""Hosts for the driver tests: the fake one always, a private libvirtd where the tests may start one."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kilonova.compute.agent.drivers.fake import FakeHost
from kilonova.compute.agent.drivers.libvirtd import sandbox_path, stop_private_libvirtd
from kilonova.compute.agent.drivers.options import LibvirtOptions
from tests.compute.agent.rigs import FakeRig, LibvirtRig, Rig


@pytest.fixture(scope="session")
def libvirt_state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One private libvirtd for all tests: the first question to a new one takes seconds."""
    directory = tmp_path_factory.mktemp("lv")
    yield directory
    asyncio.run(stop_private_libvirtd(directory))
    assert not sandbox_path(directory).exists()


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
