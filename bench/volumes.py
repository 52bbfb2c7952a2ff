"""An empty volume, by driver: from the first call of the driver until the volume is whole."""

import asyncio
import os
import statistics
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from bench.load import Figure
from kilonova.block_storage.agent.driver import VolumeDriver
from kilonova.block_storage.agent.drivers.file import FileDriver, FileOptions
from kilonova.block_storage.agent.drivers.lvm.driver import LvmDriver, LvmOptions
from kilonova.block_storage.agent.drivers.lvm.tgt import TgtTargets
from kilonova.block_storage.agent.spec import Blank, VolumeSpec
from kilonova.kit.connectors.connections import DiskFormat
from tests.storage_hosts import volume_group

VOLUMES = 20
LOOK_SECONDS = 0.005


def measure(scratch: Path) -> list[Figure]:
    scratch.parent.chmod(0o711)
    scratch.mkdir(mode=0o711)
    formats: tuple[DiskFormat, ...] = ("qcow2", "raw")
    figures = [_figure(f"file, {each}", _files(scratch / each, each)) for each in formats]
    if os.geteuid() == 0:
        with volume_group(scratch) as group:
            options = LvmOptions(directory=scratch / "records", group=group, portal="127.0.0.1:3260")
            figures.append(_figure("lvm", LvmDriver(options, TgtTargets(), _no_image)))
    return figures


def _files(directory: Path, disk_format: DiskFormat) -> FileDriver:
    return FileDriver(FileOptions(directory=directory, disk_format=disk_format), _no_image)


async def _no_image(_image_id: str) -> AsyncIterator[bytes]:
    yield b""


def _figure(name: str, driver: FileDriver | LvmDriver) -> Figure:
    driver.prepare()
    took = asyncio.run(_create(driver))
    return Figure(f"empty volume, {name}", f"{took:.1f} ms", f"1 GiB, median of {VOLUMES}, removed after each")


async def _create(driver: VolumeDriver) -> float:
    """Returns the median in milliseconds."""
    took = []
    for _ in range(VOLUMES):
        spec = VolumeSpec(str(uuid.uuid4()), 1, Blank())
        began = time.perf_counter()
        while not (await driver.ensure_volume(spec, 1)).is_done:  # noqa: ASYNC110 - a driver is asked again
            await asyncio.sleep(LOOK_SECONDS)
        took.append(time.perf_counter() - began)
        await driver.release_volume(spec.id, 2)
    return statistics.median(took) * 1000
