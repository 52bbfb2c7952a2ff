"""`kilonova down`: stops the process. Guests and networks go on; `--all` takes them off the host too.

With `--all` the servers' disks stay in the state directory: the next `up` shows them SHUTOFF, and they can be started.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from kilonova.cli.state import StateDir, StateError, process_start, read_config
from kilonova.cli.up import state_of, wait_until

STOP_SECONDS = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also stop the servers and remove networks and bridges")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    stopped = _stop_process(state)
    if not arguments.all:
        print(stopped)
        return 0
    if state.exists and read_config(state).compute_driver != "fake":
        if os.geteuid() != 0:
            raise StateError("--all needs root to remove virtual machines, namespaces and bridges")
        asyncio.run(_take_down(state, read_config(state)))
        stopped += "; servers, networks and bridges removed"
    print(stopped)
    return 0


def _stop_process(state: StateDir) -> str:
    pid = state.running_pid()
    if pid is None:
        return "kilonova is not running"
    started = process_start(pid)
    os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: process_start(pid) != started, STOP_SECONDS):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: process_start(pid) != started, STOP_SECONDS)
        return f"kilonova (process {pid}) did not stop in {STOP_SECONDS:g} s and was killed"
    return f"kilonova (process {pid}) stopped"


async def _take_down(state: StateDir, config: Any) -> None:
    """Guests first, then what carried their traffic, the bridge outside last."""
    from kilonova.cli.provider import remove_provider_bridge
    from kilonova.compute.agent.drivers.libvirtd import stop_private_libvirtd
    from kilonova.network.agent.drivers.linux import LinuxDriver
    from kilonova.network.agent.options import LinuxOptions

    await _take_down_servers(state, config)
    await stop_private_libvirtd(state.path)
    network = LinuxDriver(LinuxOptions(state_dir=state.path / "network"))
    await network.remove_everything()
    await remove_provider_bridge(state)


async def _take_down_servers(state: StateDir, config: Any) -> None:
    if not state.instances.exists():
        return
    from kilonova.compute.agent.drivers.libvirt import LibvirtDriver
    from kilonova.compute.agent.drivers.options import LibvirtOptions

    options = LibvirtOptions(
        state_dir=state.path,
        instances_path=state.instances,
        hostname=config.host,
        host_ip=config.my_ip,
        connection_uri=config.libvirt.connection_uri,
    )
    driver = LibvirtDriver(options, _no_image, _no_inspection, lambda _server_id: None, _no_upload)
    try:
        await driver.take_down()
    finally:
        await driver.close()


def _no_image(image_id: str) -> AsyncIterator[bytes]:
    raise StateError(f"image {image_id} was asked for while taking down")


async def _no_upload(image_id: str, _read: Callable[[], AsyncIterator[bytes]], _size_bytes: int) -> None:
    raise StateError(f"image {image_id} was to be uploaded while taking down")


def _no_inspection(path: Path, disk_format: str) -> int | None:
    raise StateError(f"{path} was to be inspected while taking down")
