"""`nova-api`, `nova-api-metadata`, `nova-conductor`, `nova-scheduler`. They read nova.conf.

The conductor runs the operations, the scheduler's part among them; `nova-scheduler` is another conductor. It serves the
API database (what is not placed yet), the cell of [database] with that one's hosts, and cell0.
"""

import functools
import uuid
from collections.abc import Sequence
from datetime import datetime

from kilonova.block_storage.client import VolumeClient
from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.notifications import open_notifier, publish_notices
from kilonova.cli.parts.options import COMPUTE, QUOTAS, SCHEDULING
from kilonova.cli.parts.part import Api, Part, Running, Work
from kilonova.cli.parts.scheduling import rules_of
from kilonova.compute.app import make_app
from kilonova.compute.catalog import quotas
from kilonova.compute.consoles import console_tokens
from kilonova.compute.hosts import hosts
from kilonova.compute.hosts.registry import Registry
from kilonova.compute.metadata.app import make_app as make_metadata_app
from kilonova.compute.programs import PROGRAMS
from kilonova.compute.region import housekeeping
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.servers import deleted_servers, leftovers, overdue
from kilonova.compute.servers.options import ServerOptions
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import chores, metadata, tasks
from kilonova.compute.topics import AGENT_BINARY
from kilonova.image.client import ImageClient
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.config import ConfigError
from kilonova.kit.log import logger
from kilonova.kit.tasks import Runner, SharedChoreKeeper
from kilonova.network.client import NetworkClient
from kilonova.placement.client import PlacementClient

log = logger(__name__)

SCHEMA = Schema("compute", metadata, "nova-manage db sync")
CELL0_REST_SECONDS = 10.0
CONTROL_BINARIES = ("nova-conductor", "nova-scheduler")
QUOTA_NAMES = {"injected_file_path_length": "injected_file_path_bytes"}
"""Options whose resource has another name in the API."""


async def open_compute(ground: Ground) -> Region:
    """The service on the API database, with the way to its cells."""
    return await ground.shared("compute", functools.partial(_make, ground))


async def _make(ground: Ground) -> Region:
    config, database, bus = ground.config, await ground.database(SCHEMA), await ground.bus()
    (host, *_others) = ground.hosts
    quotas.set_defaults({QUOTA_NAMES.get(name, name): config.quota[name] for name, _default in QUOTAS})
    notifier = await open_notifier(ground)
    region = Region(
        database=database,
        bus=bus,
        placement=PlacementClient(ground.remote("placement", section="placement")),
        image=ImageClient(ground.remote("image", url=next(iter(config.glance.api_servers), None))),
        network=NetworkClient(ground.remote("network", section="neutron")),
        volume=VolumeClient(ground.remote("block-storage", section="cinder")),
        agents=ground.agent_calls(bus, AGENT_BINARY),
        liveness=ground.liveness(bus),
        default_zone=config.default_availability_zone,
        control_services=tuple(
            (each, host, str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{each}.{host}"))) for each in CONTROL_BINARIES
        ),
        console_token_seconds=config.consoleauth.token_ttl,
        metadata_secret=config.neutron.metadata_proxy_shared_secret,
        options=ServerOptions(
            non_inheritable_image_properties=tuple(config.non_inheritable_image_properties),
            reclaim_seconds=config.reclaim_instance_interval,
            shelved_offload_seconds=config.shelved_offload_time,
            resize_confirm_seconds=config.resize_confirm_window,
            may_resize_in_place=config.allow_resize_to_same_host,
        ),
        clock=ground.clock,
        rules=rules_of(config),
        listener=notifier,
    )
    if notifier is not None:
        notifier.region = region
    await ground.open_cells(region)
    return region


def _watch_hosts(ground: Ground, region: Region) -> list[Work]:
    """Whoever answers for servers has to know which agents live."""
    if not ground.is_first("compute's hosts are watched"):
        return []

    async def look(_last: object) -> None:
        await hosts.look_after(region)

    return [ChoreKeeper([Chore("watch-hosts", region.here.liveness.interval_seconds, look)], ground.clock).run]


async def build_api(ground: Ground) -> Running:
    return await _build_apis(ground, ground.config.enabled_apis)


async def build_metadata_api(ground: Ground) -> Running:
    return await _build_apis(ground, ["metadata"])


async def _build_apis(ground: Ground, names: Sequence[str]) -> Running:
    config, region = ground.config, await open_compute(ground)
    apis = []
    for name in names:
        match name:
            case "osapi_compute":
                app = make_app(region, await ground.verifier())
                apis.append(Api("compute", app, config.osapi_compute_listen, config.osapi_compute_listen_port))
            case "metadata":
                metadata_app = make_metadata_app(region)
                apis.append(Api("metadata", metadata_app, config.metadata_listen, config.metadata_listen_port))
            case _:
                raise ConfigError(f"[DEFAULT] enabled_apis: {name!r} is none of osapi_compute, metadata")
    work = _watch_hosts(ground, region) + publish_notices(ground, await open_notifier(ground))
    return Running(apis, work)


async def build_conductor(ground: Ground) -> Running:
    ground.require_placement()
    region = await open_compute(ground)
    own = await ground.own_cell(region)
    closing = [Registry(own).serve()]
    work = _watch_hosts(ground, region)
    for each in (region.here, own) if own is not region.here else (own,):
        each.runner = Runner(each.database, tasks, PROGRAMS, each, clock=ground.clock, sole_runner=ground.is_alone)
        closing.append(each.listen())
        work += [each.runner.run, SharedChoreKeeper(_chores_of_cell(each), ground.clock, each.database, chores).run]
    interval = ground.config.scheduler.discover_hosts_in_cells_interval
    work.append(SharedChoreKeeper(_chores_of_region(region, interval), ground.clock, region.database, chores).run)
    work.append(ChoreKeeper([_serve_cell0(region)], ground.clock).run)
    work += publish_notices(ground, await open_notifier(ground))
    return Running(work=work, closing=closing)


def _chores_of_cell(cell: Cell) -> list[Chore]:
    """Those of each database that a conductor serves."""

    async def forget(_last: object) -> None:
        await deleted_servers.forget_in_time(cell)

    async def sweep(last: datetime | None) -> None:
        await leftovers.sweep_since(cell, last)

    async def end_overdue(_last: object) -> None:
        await overdue.look(cell)

    return [
        Chore("end-overdue-servers", overdue.EVERY_SECONDS, end_overdue),
        Chore("forget-deleted-servers", deleted_servers.EVERY_SECONDS, forget),
        Chore("sweep-leftovers", leftovers.EVERY_SECONDS, sweep),
    ]


def _chores_of_region(region: Region, discover_seconds: float) -> list[Chore]:
    """`discover_seconds`: 0 discovers nothing."""

    async def forget(_last: object) -> None:
        async with region.transaction() as tx:
            await console_tokens.forget_expired(tx, region.clock.now())

    async def settle(last: datetime | None) -> None:
        await housekeeping.settle(region, last)

    async def discover(_last: object) -> None:
        await housekeeping.discover(region)

    found = [Chore("forget-console-tokens", console_tokens.EVERY_SECONDS, forget)]
    if region.cells.connect is not None:
        # A region that can have no other database has nothing to settle.
        found.append(Chore("settle-cells", housekeeping.EVERY_SECONDS, settle))
    if discover_seconds > 0:
        found.append(Chore("discover-hosts", discover_seconds, discover))
    return found


def _serve_cell0(region: Region) -> Chore:
    """Runs the tasks of cell0: deletes of what could not be placed. It may be mapped, or come back, later."""

    async def serve(_last: object) -> None:
        if CELL0_ID not in await region.cells.elsewhere():
            return
        cell0 = await region.cells.member(CELL0_ID)
        cell0.runner = Runner(cell0.database, tasks, PROGRAMS, cell0)
        stop_listening = cell0.listen()
        try:
            await cell0.runner.run()
        finally:
            stop_listening()

    return Chore("serve-cell0", CELL0_REST_SECONDS, serve)


API = Part("nova-api", "nova", [COMPUTE, SCHEDULING], build_api)
METADATA = Part("nova-api-metadata", "nova", [COMPUTE, SCHEDULING], build_metadata_api)
CONDUCTOR = Part("nova-conductor", "nova", [COMPUTE, SCHEDULING], build_conductor)
SCHEDULER = Part("nova-scheduler", "nova", [COMPUTE, SCHEDULING], build_conductor)
