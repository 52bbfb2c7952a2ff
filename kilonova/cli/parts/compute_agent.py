"""`nova-compute`: the agent of a host's guests. Reads nova.conf."""

import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kilonova.cli.grounds.ground import Ground
from kilonova.cli.parts import guest_options, image_uploads
from kilonova.cli.parts.console_options import console_options, console_urls
from kilonova.cli.parts.metal import simulated_host
from kilonova.cli.parts.options import COMPUTE
from kilonova.cli.parts.part import Part, Running
from kilonova.cli.parts.turns import shared_turns
from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.driver import ComputeDriver, OnEvent
from kilonova.compute.agent.provider_files import read_provider_files
from kilonova.compute.agent.spec import HostShare
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentRefused
from kilonova.kit.bus import Bus
from kilonova.kit.config import ConfigError
from kilonova.kit.disks.inspection import inspect_file

if TYPE_CHECKING:
    from kilonova.compute.agent.drivers.fake import FakeHost


async def build(ground: Ground) -> Running:
    ground.require_placement()
    bus = await ground.bus()
    images = ImageClient(ground.remote("image", url=next(iter(ground.config.glance.api_servers), None), streams=True))
    agents = [await _make_agent(ground, bus, images, host) for host in ground.hosts]
    return Running(work=[functools.partial(_run, each) for each in agents])


async def _make_agent(ground: Ground, bus: Bus, images: ImageClient, host: str) -> ComputeAgent:
    """A driver tells its events to the agent that is made around it."""
    config = ground.config
    agents: list[ComputeAgent] = []

    def on_event(server_id: str) -> None:
        if agents:
            agents[0].on_event(server_id)

    driver = await _driver(ground, images, host, on_event)
    zone, turns = config.default_availability_zone, await shared_turns(ground)
    additions = read_provider_files(Path(config.compute.provider_config_location))
    agents.append(
        ComputeAgent(driver, bus, host=host, zone=zone, share=share_of(config), additions=additions, turns=turns)
    )
    return agents[0]


RATIOS = {"cpu": "VCPU", "ram": "MEMORY_MB", "disk": "DISK_GB"}
"""Beginning of an option's name → its resource class."""


def share_of(config: Any) -> HostShare:
    """A ratio that is not set, or 0, is the initial one as long as placement has no other."""
    told = {each: getattr(config, f"{each}_allocation_ratio") for each in RATIOS}
    ratios = {each: told[each] or getattr(config, f"initial_{each}_allocation_ratio") for each in RATIOS}
    return HostShare(
        cpu_allocation_ratio=ratios["cpu"],
        ram_allocation_ratio=ratios["ram"],
        disk_allocation_ratio=ratios["disk"],
        reserved_cpus=config.reserved_host_cpus,
        reserved_memory_mib=config.reserved_host_memory_mb,
        reserved_disk_gib=-(-config.reserved_host_disk_mb // 1024),
        initial_ratios=tuple(name for each, name in RATIOS.items() if not told[each]),
    )


async def _run(agent: ComputeAgent) -> None:
    """Raises ConfigError when another agent of this name is alive."""
    try:
        await agent.run()
    except AgentRefused as refused:
        raise ConfigError(str(refused)) from refused


async def _driver(ground: Ground, images: ImageClient, host: str, on_event: OnEvent) -> ComputeDriver:
    config = ground.config
    match config.compute_driver.partition(".")[0]:
        case "fake":
            from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost

            topology = guest_options.simulated_topology(config)
            metal = FakeHost(
                host,
                vcpus=config.fake.vcpus,
                topology=topology,
                memory_mib=config.fake.memory_mb,
                disk_gib=config.fake.disk_gb,
                console_urls=console_urls(console_options(config)),
                taps=await simulated_host(ground, host),
                reachable=await ground.shared("simulated hosts", _no_hosts),
            )
            metal.reachable[host] = metal
            return FakeDriver(metal, on_event, upload_image=functools.partial(image_uploads.upload, images))
        case "libvirt":
            return _libvirt_driver(config, images, host, on_event)
    raise ConfigError(
        f"[DEFAULT] compute_driver: {config.compute_driver!r} is neither libvirt.LibvirtDriver nor fake.FakeDriver"
    )


async def _no_hosts() -> "dict[str, FakeHost]":
    """The hosts that guests of each other can move to: those of one process."""
    return {}


def _libvirt_driver(config: Any, images: ImageClient, host: str, on_event: OnEvent) -> ComputeDriver:
    # libvirt's binding is only loaded where a hypervisor is driven.
    from kilonova.compute.agent.drivers.libvirt import LibvirtDriver
    from kilonova.compute.agent.drivers.options import LibvirtOptions

    options = LibvirtOptions(
        state_dir=Path(config.state_path),
        instances_path=Path(config.instances_path),
        hostname=host,
        host_ip=config.my_ip,
        virt_type=config.libvirt.virt_type,
        connection_uri=config.libvirt.connection_uri,
        consoles=console_options(config),
        machine_type=guest_options.machine_type(config),
        guest_cpu=guest_options.guest_cpu(config),
        hardware=guest_options.hardware(config),
        disks=guest_options.disk_options(config),
        migrations=guest_options.migration_options(config),
        shutdown_timeout_seconds=config.shutdown_timeout,
        soft_reboot_timeout_seconds=config.libvirt.wait_soft_reboot_seconds,
        snapshot_format=config.libvirt.snapshot_image_format,
    )

    def fetch(image_id: str) -> AsyncIterator[bytes]:
        return images.download(image_id)

    def inspect(path: Path, disk_format: str) -> int | None:
        return inspect_file(path, disk_format).virtual_size_bytes

    return LibvirtDriver(options, fetch, inspect, on_event, functools.partial(image_uploads.upload, images))


AGENT = Part("nova-compute", "nova", [COMPUTE], build)
