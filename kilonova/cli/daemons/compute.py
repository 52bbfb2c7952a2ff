"""`nova-api`, `nova-api-metadata`, `nova-conductor`, `nova-compute`. They read nova.conf.

The conductor runs the operations, the scheduler's part among them; `nova-scheduler` is another conductor. It serves the
API database (what is not placed yet), the cell of [database] with that one's hosts, and cell0.
"""

import asyncio
import functools
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from kilonova.cli.daemons.broker import host_name, open_bus
from kilonova.cli.daemons.console_options import console_options, console_urls
from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import COMPUTE, QUOTAS
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.refusals import require_placement
from kilonova.cli.daemons.region import CellOpener, open_cells, open_own_cell, open_region_database
from kilonova.cli.daemons.wiring import Neighbours
from kilonova.compute import deleted_servers, hosts, housekeeping, leftovers, quotas
from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.driver import ComputeDriver, OnEvent
from kilonova.compute.agent.drivers.options import GuestCpu
from kilonova.compute.agent.spec import HostShare
from kilonova.compute.app import make_app
from kilonova.compute.mappings import CELL0_ID
from kilonova.compute.metadata.app import make_app as make_metadata_app
from kilonova.compute.programs import PROGRAMS
from kilonova.compute.registry import Registry
from kilonova.compute.service import Compute
from kilonova.compute.tables import tasks
from kilonova.compute.topics import AGENT_BINARY
from kilonova.image.client import ImageClient
from kilonova.image.inspection import inspect_file
from kilonova.kit.agents import AgentCalls, AgentRefused, Liveness
from kilonova.kit.config import ConfigError
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Runner
from kilonova.network.client import NetworkClient
from kilonova.placement.client import PlacementClient

log = logger(__name__)

CELL0_REST_SECONDS = 10.0
CONTROL_BINARIES = ("nova-conductor", "nova-scheduler")


async def open_compute(found: Read, daemon: Daemon) -> tuple[Compute, CellOpener, Neighbours]:
    """What the server side's processes share: the service on the API database, and the way to its cells."""
    config = found.config
    database = open_region_database(config, daemon)
    bus = await open_bus(config)
    daemon.closing.push_async_callback(bus.close)
    neighbours = Neighbours(config.keystone_authtoken)
    daemon.closing.push_async_callback(neighbours.close)
    daemon.checks.append(neighbours.check)
    host = host_name(config)
    quotas.set_defaults({QUOTA_NAMES.get(name, name): config.quota[name] for name, _default in QUOTAS})
    compute = Compute(
        database=database,
        bus=bus,
        placement=PlacementClient(neighbours.remote("placement", group=config.placement)),
        image=ImageClient(neighbours.remote("image", next(iter(config.glance.api_servers), None))),
        network=NetworkClient(neighbours.remote("network", group=config.neutron)),
        agents=AgentCalls(bus, AGENT_BINARY),
        liveness=Liveness(bus),
        default_zone=config.default_availability_zone,
        control_services=tuple(
            (each, host, str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{each}.{host}"))) for each in CONTROL_BINARIES
        ),
        console_token_seconds=config.consoleauth.token_ttl,
        metadata_secret=config.neutron.metadata_proxy_shared_secret,
    )
    opener = await open_cells(config, daemon, compute)
    return compute, opener, neighbours


async def _open(found: Read, daemon: Daemon) -> tuple[Compute, CellOpener, Neighbours]:
    """The same for those that have to know which agents live."""
    opened = await open_compute(found, daemon)
    daemon.work.append(functools.partial(hosts.watch, opened[0]))
    return opened


QUOTA_NAMES = {"injected_file_path_length": "injected_file_path_bytes"}
"""Options whose resource has another name in the API."""


async def build_api(found: Read, daemon: Daemon) -> None:
    config = found.config
    compute, _opener, neighbours = await _open(found, daemon)
    for name in config.enabled_apis:
        match name:
            case "osapi_compute":
                app = make_app(compute, neighbours.verifier(compute.bus))
                daemon.apis.append(("compute", app, config.osapi_compute_listen, config.osapi_compute_listen_port))
            case "metadata":
                daemon.apis.append(
                    ("metadata", make_metadata_app(compute), config.metadata_listen, config.metadata_listen_port)
                )
            case _:
                raise ConfigError(f"[DEFAULT] enabled_apis: {name!r} is none of osapi_compute, metadata")


async def build_metadata_api(found: Read, daemon: Daemon) -> None:
    found.config.set_override("enabled_apis", ["metadata"])
    await build_api(found, daemon)


async def build_conductor(found: Read, daemon: Daemon) -> None:
    require_placement(found.config)
    compute, opener, _neighbours = await _open(found, daemon)
    own = await open_own_cell(found.config, daemon, opener, compute)
    for each in (compute, own) if own is not compute else (compute,):
        each.runner = Runner(each.database, tasks, PROGRAMS, each)
        daemon.closing.callback(each.listen())
        work = (deleted_servers.forget_in_time, leftovers.keep)
        daemon.work += [each.runner.run, *(functools.partial(one, each) for one in work)]
    daemon.closing.callback(Registry(own).serve())
    interval = found.config.scheduler.discover_hosts_in_cells_interval
    daemon.work += [functools.partial(_serve_cell0, compute), functools.partial(housekeeping.keep, compute, interval)]


async def _serve_cell0(compute: Compute) -> None:
    """Runs the tasks of cell0: deletes of what could not be placed. It may be mapped, or come back, later."""
    while True:
        try:
            if CELL0_ID in await compute.cells.elsewhere():
                cell0 = await compute.cells.member(CELL0_ID)
                cell0.runner = Runner(cell0.database, tasks, PROGRAMS, cell0)
                stop_listening = cell0.listen()
                try:
                    await cell0.runner.run()
                finally:
                    stop_listening()
        except (ServiceUnavailable, SQLAlchemyError) as error:
            log.debug("cell0 cannot be served now", reason=str(error))
        await asyncio.sleep(CELL0_REST_SECONDS)


async def build_agent(found: Read, daemon: Daemon) -> None:
    config = found.config
    require_placement(config)
    bus = await open_bus(config)
    daemon.closing.push_async_callback(bus.close)
    neighbours = Neighbours(config.keystone_authtoken)
    daemon.closing.push_async_callback(neighbours.close)
    daemon.checks.append(neighbours.check)
    agents: list[ComputeAgent] = []

    def on_event(server_id: str) -> None:
        if agents:
            agents[0].on_event(server_id)

    driver = _driver(config, neighbours, on_event)
    agents.append(
        ComputeAgent(driver, bus, host=host_name(config), zone=config.default_availability_zone, share=_share(config))
    )
    daemon.work.append(functools.partial(_run_agent, agents[0]))


def _share(config: Any) -> HostShare:
    return HostShare(
        cpu_allocation_ratio=config.cpu_allocation_ratio,
        ram_allocation_ratio=config.ram_allocation_ratio,
        disk_allocation_ratio=config.disk_allocation_ratio,
        reserved_cpus=config.reserved_host_cpus,
        reserved_memory_mib=config.reserved_host_memory_mb,
        reserved_disk_gib=-(-config.reserved_host_disk_mb // 1024),
    )


def guest_cpu(config: Any) -> GuestCpu:
    """Raises ConfigError."""
    mode, models = config.libvirt.cpu_mode, config.libvirt.cpu_models
    if (mode == "custom") != bool(models):
        raise ConfigError("[libvirt] cpu_models: names the model with cpu_mode custom, and nothing without")
    return GuestCpu(mode, models[0] if models else "")


async def _run_agent(agent: ComputeAgent) -> None:
    """Raises ConfigError when another agent of this name is alive."""
    try:
        await agent.run()
    except AgentRefused as refused:
        raise ConfigError(str(refused)) from refused


def _driver(config: Any, neighbours: Neighbours, on_event: OnEvent) -> ComputeDriver:
    match config.compute_driver.partition(".")[0]:
        case "fake":
            from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost

            # As large as upstream's is, so that the same loads fit.
            host = FakeHost(
                host_name(config),
                vcpus=1000,
                memory_mib=800_000,
                disk_gib=600_000,
                console_urls=console_urls(console_options(config)),
            )
            return FakeDriver(host, on_event)
        case "libvirt":
            return _libvirt_driver(config, neighbours, on_event)
    raise ConfigError(
        f"[DEFAULT] compute_driver: {config.compute_driver!r} is neither libvirt.LibvirtDriver nor fake.FakeDriver"
    )


def _libvirt_driver(config: Any, neighbours: Neighbours, on_event: OnEvent) -> ComputeDriver:
    # libvirt's binding is only loaded where a hypervisor is driven.
    from kilonova.compute.agent.drivers.libvirt import LibvirtDriver
    from kilonova.compute.agent.drivers.libvirtd import SYSTEM_URI
    from kilonova.compute.agent.drivers.options import LibvirtOptions

    images = ImageClient(neighbours.remote("image", next(iter(config.glance.api_servers), None)))
    options = LibvirtOptions(
        state_dir=Path(config.state_path),
        instances_path=Path(config.instances_path),
        hostname=host_name(config),
        host_ip=config.my_ip,
        virt_type=config.libvirt.virt_type,
        connection_uri=config.libvirt.connection_uri or SYSTEM_URI,
        consoles=console_options(config),
        guest_cpu=guest_cpu(config),
    )

    def fetch(image_id: str) -> AsyncIterator[bytes]:
        return images.download(image_id)

    def inspect(path: Path, disk_format: str) -> int | None:
        return inspect_file(path, disk_format).virtual_size_bytes

    return LibvirtDriver(options, fetch, inspect, on_event)


def run_api() -> int:
    return main("nova-api", "nova", [COMPUTE], build_api)


def run_metadata_api() -> int:
    return main("nova-api-metadata", "nova", [COMPUTE], build_metadata_api)


def run_conductor() -> int:
    return main("nova-conductor", "nova", [COMPUTE], build_conductor)


def run_scheduler() -> int:
    return main("nova-scheduler", "nova", [COMPUTE], build_conductor)


def run_agent() -> int:
    return main("nova-compute", "nova", [COMPUTE], build_agent)
