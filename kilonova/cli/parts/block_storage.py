"""`cinder-api`, `cinder-scheduler`, `cinder-volume`, `cinder-backup`. They read cinder.conf.

The scheduler runs the operations, the choice of a pool among them, and agents register with it.
"""

import functools
from pathlib import Path
from typing import Any

from kilonova.block_storage import messages, services
from kilonova.block_storage.agent.agent import LONGEST_INTERVAL_SECONDS, VolumeAgent
from kilonova.block_storage.agent.backups.agent import BackupAgent
from kilonova.block_storage.agent.fake_uploads import FakeUploads
from kilonova.block_storage.agent.uploads import DiskUploads, Uploads
from kilonova.block_storage.app import make_app
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.programs import PROGRAMS
from kilonova.block_storage.registry import Registry
from kilonova.block_storage.scheduling.filters import FILTERS
from kilonova.block_storage.scheduling.weighers import WEIGHERS
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import chores, metadata, tasks
from kilonova.block_storage.topics import AGENT_BINARY, BACKUP_BINARY
from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts import image_uploads, volume_backends, volume_backups
from kilonova.cli.parts.options import BLOCK_STORAGE, VOLUME_QUOTAS
from kilonova.cli.parts.part import Api, Part, Running, Work
from kilonova.cli.parts.turns import shared_turns
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentRefused
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.config import ConfigError
from kilonova.kit.tasks import Runner, SharedChoreKeeper

SCHEMA = Schema("block_storage", metadata, "cinder-manage db sync")


async def open_block_storage(ground: Ground) -> BlockStorage:
    return await ground.shared("block_storage", functools.partial(_make, ground))


async def _make(ground: Ground) -> BlockStorage:
    config, bus = ground.config, await ground.bus()
    return BlockStorage(
        database=await ground.database(SCHEMA),
        bus=bus,
        image=ImageClient(ground.remote("image", url=image_url(config))),
        agents=ground.agent_calls(bus, AGENT_BINARY),
        backup_agents=ground.agent_calls(bus, BACKUP_BINARY),
        liveness=ground.liveness(bus),
        options=options_of(config, ground.hosts[0]),
        clock=ground.clock,
    )


def image_url(config: Any) -> str | None:
    """Returns where the configuration says that images are; None where the catalog has to."""
    if config.glance_api_servers:
        return str(config.glance_api_servers[0])
    host = config.glance_host
    return f"http://{f'[{host}]' if ':' in host else host}:{config.glance_port}" if host else None


def options_of(config: Any, host: str) -> VolumeOptions:
    """Raises ConfigError for a filter or a weigher that does not exist."""
    for option, known in (("scheduler_default_filters", FILTERS), ("scheduler_default_weighers", WEIGHERS)):
        for name in config[option]:
            if name not in known:
                raise ConfigError(f"[DEFAULT] {option}: {name!r} is none of {', '.join(known)}")
    quotas = {name: config[f"quota_{name}"] for name, _default in VOLUME_QUOTAS}
    return VolumeOptions(
        default_zone=config.default_availability_zone or config.storage_availability_zone,
        allows_other_zone=config.allow_availability_zone_fallback,
        default_type=config.default_volume_type,
        quotas={**quotas, "per_volume_gigabytes": config.per_volume_size_limit},
        snapshots_take_gigabytes=not config.no_snapshot_gb_quota,
        filters=tuple(config.scheduler_default_filters),
        weighers=tuple(config.scheduler_default_weighers),
        capacity_weight=config.capacity_weight_multiplier,
        allocated_weight=config.allocated_capacity_weight_multiplier,
        volume_number_weight=config.volume_number_multiplier,
        most_attempts=config.scheduler_max_attempts,
        scheduler_host=host,
    )


def _watch_backends(ground: Ground, service: BlockStorage) -> list[Work]:
    """Whoever shows services or places volumes has to know which agents live."""
    if not ground.is_first("back ends are watched"):
        return []

    async def look(_last: object) -> None:
        await services.look_after(service)

    chore = Chore("watch-back-ends", service.liveness.interval_seconds, look)
    return [ChoreKeeper([chore], ground.clock).run]


async def build_api(ground: Ground) -> Running:
    config, service = ground.config, await open_block_storage(ground)
    app = make_app(service, await ground.verifier())
    api = Api("block-storage", app, config.osapi_volume_listen, config.osapi_volume_listen_port)
    return Running([api], _watch_backends(ground, service))


async def build_scheduler(ground: Ground) -> Running:
    service = await open_block_storage(ground)
    service.runner = Runner(service.database, tasks, PROGRAMS, service, clock=ground.clock, sole_runner=ground.is_alone)

    async def forget(_last: object) -> None:
        async with service.database.transaction() as tx:
            await messages.forget_expired(tx, ground.clock.now())

    kept = [Chore("forget-messages", messages.EVERY_SECONDS, forget)]
    work = [
        service.runner.run,
        SharedChoreKeeper(kept, ground.clock, service.database, chores).run,
        *_watch_backends(ground, service),
    ]
    return Running(work=work, closing=[Registry(service).serve(), service.listen()])


# --- the volume agents -----------------------------------------------------------------------------------------------


async def build_agents(ground: Ground) -> Running:
    config, bus = ground.config, await ground.bus()
    images = ImageClient(ground.remote("image", url=image_url(config), streams=True))
    turns = await shared_turns(ground)
    backends = volume_backends.read_backends(config)
    volume_backends.refuse_shared_places(backends)
    send = functools.partial(image_uploads.upload, images)
    disks, agents = DiskUploads(Path(config.image_conversion_dir), send), []
    for each in backends:
        zone = each["backend_availability_zone"] or config.storage_availability_zone
        host = each["backend_host"] or ground.hosts[0]
        driver = volume_backends.make_driver(each, images)
        longest = volume_backends.LONGEST_INTERVALS_SECONDS.get(each.driver, LONGEST_INTERVAL_SECONDS)
        name = f"{host}@{each.name}"
        uploads: Uploads = FakeUploads(send) if each.driver == "fake" else disks
        agents.append(
            VolumeAgent(driver, bus, uploads, host=name, zone=zone, turns=turns, longest_interval_seconds=longest)
        )
    return Running(work=[functools.partial(_run, each) for each in agents])


async def build_backups(ground: Ground) -> Running:
    config, bus = ground.config, await ground.bus()
    driver = volume_backups.make_driver(config)
    turns, zone = await shared_turns(ground), config.storage_availability_zone
    return Running(
        work=[functools.partial(_run, BackupAgent(driver, bus, host=ground.hosts[0], zone=zone, turns=turns))]
    )


async def _run(agent: VolumeAgent | BackupAgent) -> None:
    """Raises ConfigError when another agent of this name is alive."""
    try:
        await agent.run()
    except AgentRefused as refused:
        raise ConfigError(str(refused)) from refused


API = Part("cinder-api", "cinder", [BLOCK_STORAGE], build_api)
SCHEDULER = Part("cinder-scheduler", "cinder", [BLOCK_STORAGE], build_scheduler)
BACKUP = Part("cinder-backup", "cinder", [BLOCK_STORAGE], build_backups)
VOLUME = Part("cinder-volume", "cinder", [BLOCK_STORAGE], build_agents)
