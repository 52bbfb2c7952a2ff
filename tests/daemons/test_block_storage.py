"""The daemons of block storage, from a cinder.conf: the tables are made, and each builds its part."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kilonova.block_storage import services
from kilonova.block_storage.agent.drivers.lvm.lio import LioTargets
from kilonova.cli.daemons import broker, manage
from kilonova.cli.daemons.files import read
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.parts import block_storage, volume_backends, volume_backups
from kilonova.cli.parts.options import BLOCK_STORAGE
from kilonova.cli.parts.part import Part
from kilonova.kit.bus import InProcessBus
from kilonova.kit.config import ConfigError

TEXT = """[DEFAULT]
transport_url = rabbit://openstack:RABBIT_PASS@controller
auth_strategy = keystone
host = node1
volume_driver = {driver}
file_volumes_path = {directory}/volumes
osapi_volume_listen = 10.0.0.11
quota_volumes = 3
{more}
[database]
connection = sqlite:///{directory}/cinder.db
[keystone_authtoken]
auth_url = http://controller:5000
username = cinder
password = CINDER_PASS
"""


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a cinder.conf whose tables are there; returns what makes another one."""

    async def open_bus(_config: Any) -> InProcessBus:
        return InProcessBus()

    monkeypatch.setattr(broker, "open_bus", open_bus)
    monkeypatch.setattr("kilonova.cli.grounds.files.open_bus", open_bus)

    def write(driver: str = "fake", more: str = "") -> Path:
        path = tmp_path / "cinder.conf"
        path.write_text(TEXT.format(directory=tmp_path, driver=driver, more=more))
        return path

    monkeypatch.setattr("sys.argv", ["cinder-manage", "--config-file", str(write()), "db", "sync"])
    assert manage.cinder_manage() == 0
    return write


async def build(part: Part, path: Path) -> Any:
    found = read(part.program, part.project, part.options, ["--config-file", str(path)])
    ground = FilesGround(found)
    async with ground.closing:
        running = await part.build(ground)
        for end in running.closing:
            end()
        return running, ground


async def test_each_daemon_builds_its_part(configuration: Any) -> None:
    path = configuration()
    api, ground = await build(block_storage.API, path)
    ((name, address, port),) = [(each.name, each.address, each.port) for each in api.apis]
    assert (name, address, port) == ("block-storage", "10.0.0.11", 8776)
    service = await block_storage.open_block_storage(ground)
    assert service.options.quotas["volumes"] == 3
    scheduler, _ground = await build(block_storage.SCHEDULER, path)
    volume, _ground = await build(block_storage.VOLUME, path)
    backup, _ground = await build(block_storage.BACKUP, path)
    assert not scheduler.apis and len(scheduler.work) == 3 and len(volume.work) == len(backup.work) == 1


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ("", None),
        ("glance_host = 10.0.0.11", "http://10.0.0.11:9292"),
        ("glance_host = fd00::11\nglance_port = 9293", "http://[fd00::11]:9293"),
        ("glance_host = elsewhere\nglance_api_servers = http://here:9292", "http://here:9292"),
    ],
)
def test_images_are_where_the_file_says_else_in_the_catalog(configuration: Any, more: str, url: str | None) -> None:
    found = read("cinder-api", "cinder", [BLOCK_STORAGE], ["--config-file", str(configuration(more=more))])
    assert block_storage.image_url(found.config) == url


@pytest.mark.parametrize(
    ("part", "driver", "more", "words"),
    [
        (
            block_storage.VOLUME,
            "tape",
            "",
            r"\[DEFAULT\] volume_driver: 'tape' is none of file, nfs, lvm, fake",
        ),
        (block_storage.API, "fake", "scheduler_default_filters = GoldenFilter", r"'GoldenFilter' is none of"),
        (block_storage.API, "fake", "scheduler_default_weighers = GoldenWeigher", r"'GoldenWeigher' is none of"),
        (block_storage.BACKUP, "fake", "backup_driver = tape", r"backup_driver: 'tape' is none of posix, nfs, fake"),
        (block_storage.BACKUP, "fake", "backup_driver = nfs", r"backup_share: '' is not SERVER:/DIRECTORY"),
        (block_storage.BACKUP, "fake", "backup_file_size = 1500000", r"backup_file_size: 1500000 is no multiple"),
        (block_storage.BACKUP, "fake", "backup_compression_algorithm = zstd", r"backup_compression_algorithm"),
        (block_storage.API, "fake", "max_over_subscription_ratio = much", r"max_over_subscription_ratio"),
    ],
)
async def test_what_a_file_cannot_say_stops_the_start(
    configuration: Any, part: Part, driver: str, more: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        await build(part, configuration(driver, more))


def test_backups_are_kept_where_the_options_say() -> None:
    told = {
        "backup_driver": "cinder.backup.drivers.nfs.NFSBackupDriver",
        "backup_share": "storage:/backups",
        "backup_mount_point_base": "/mnt",
        "backup_mount_options": "vers=4.1,soft",
        "backup_posix_path": "/srv/backups",
        "backup_file_size": 8 << 20,
        "backup_compression_algorithm": "bz2",
        "state_path": "/var/lib/cinder",
    }
    nfs: Any = volume_backups.make_driver(SimpleNamespace(**told))
    assert (nfs.options.export, nfs.options.mount_options) == ("storage:/backups", ("vers=4.1", "soft"))
    assert nfs.options.root.parent == Path("/mnt")
    assert (nfs.options.chunk_bytes, nfs.options.compression) == (8 << 20, "bz2")
    posix: Any = volume_backups.make_driver(SimpleNamespace(**{**told, "backup_driver": "posix"}))
    assert (posix.options.root, posix.options.export) == (Path("/srv/backups"), "")


async def test_a_directory_that_cannot_be_made_stops_the_start(configuration: Any, tmp_path: Path) -> None:
    (tmp_path / "volumes").write_text("")
    with pytest.raises(ConfigError, match="file_volumes_path: Volumes cannot be kept in"):
        await build(block_storage.VOLUME, configuration("file"))


SEVERAL = """enabled_backends = gold, silver
[backend_defaults]
reserved_percentage = 5
max_over_subscription_ratio = 3
[gold]
volume_driver = file
file_volumes_path = {directory}/gold
volume_backend_name = fast
reserved_percentage = 0
backend_availability_zone = az1
[silver]
volume_driver = fake
backend_host = shared
"""


async def registered(ground: FilesGround, scheduler: Any, volume: Any, count: int) -> list[Any]:
    """Runs a scheduler and the agents until so many services have registered; returns their rows."""
    service = await block_storage.open_block_storage(ground)
    working = [asyncio.create_task(each()) for each in (*scheduler.work, *volume.work)]
    try:
        async with asyncio.timeout(30):
            while True:
                async with service.database.reading() as tx:
                    rows = await services.all_services(tx)
                if len(rows) == count:
                    return rows
                await asyncio.sleep(0.02)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def test_each_section_named_is_a_back_end_with_its_own_options(
    configuration: Any, public_directory: Callable[[str], Path]
) -> None:
    directory = public_directory("volumes")
    path = configuration("tape", SEVERAL.format(directory=directory))
    found = read("cinder-volume", "cinder", block_storage.VOLUME.options, ["--config-file", str(path)])
    assert "DEFAULT.volume_driver" in {entry.key for entry, _reason in found.idle}
    ground = FilesGround(found)
    async with ground.closing:
        scheduler, volume = [await part.build(ground) for part in (block_storage.SCHEDULER, block_storage.VOLUME)]
        rows = await registered(ground, scheduler, volume, 2)
        for end in scheduler.closing:
            end()
    assert [(each.host, each.availability_zone) for each in rows] == [("node1@gold", "az1"), ("shared@silver", "nova")]
    gold, silver = [each.pools[0] for each in rows]
    told = ("volume_backend_name", "reserved_percentage", "max_over_subscription_ratio")
    assert [gold[each] for each in told] == ["fast", 0, "3"]
    assert [silver[each] for each in told] == ["silver", 5, "3"]
    assert (directory / "gold").is_dir()


def test_sections_that_are_not_read_are_named_with_the_reason(configuration: Any) -> None:
    more = "enabled_backends =\n[backend_defaults]\nreserved_percentage = 5\n[old]\nvolume_driver = file\nsan_ip = 1\n"
    arguments = ["--config-file", str(configuration("fake", more))]
    found = read("cinder-api", "cinder", block_storage.API.options, arguments)
    assert {entry.key: reason for entry, reason in found.idle if entry.group != "DEFAULT"} == {
        "backend_defaults.reserved_percentage": "enabled_backends names no section",
        "old.volume_driver": "enabled_backends does not name this section",
        "old.san_ip": "enabled_backends does not name this section",
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("enabled_backends = gold", r"\[gold\] volume_driver is missing"),
        ("enabled_backends = gold\n[gold]\nvolume_driver = tape", r"\[gold\] volume_driver: 'tape' is none of"),
        ("enabled_backends = gold, gold\n[gold]\nvolume_driver = fake", "gold is named more than once"),
        ("enabled_backends = DEFAULT", "'DEFAULT' cannot be a back end"),
        ("enabled_backends = backend_defaults", "'backend_defaults' cannot be a back end"),
        ("enabled_backends = a@b\n[a@b]\nvolume_driver = fake", "'a@b' cannot be a back end"),
        ("enabled_backends = gold\n[gold]\nvolume_driver = fake\nreserved_percentage = 101", "gold.*percentage"),
        ("enabled_backends = gold\n[gold]\nvolume_driver = fake\nsan_ip = 1", r"do not exist: .*\[gold\] san_ip"),
        (
            "enabled_backends = a, b\n[a]\nvolume_driver = file\n[b]\nvolume_driver = file\n"
            "[backend_defaults]\nfile_volumes_path = /nowhere",
            r"\[b\] file_volumes_path: /nowhere is where \[a\] keeps its volumes, too",
        ),
    ],
)
async def test_back_ends_that_cannot_be_stop_the_start(configuration: Any, more: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await build(block_storage.VOLUME, configuration("fake", more))


LVM = """enabled_backends = lvm
my_ip = 10.0.0.41
[lvm]
volume_driver = cinder.volume.drivers.lvm.LVMVolumeDriver
volume_group = {group}
iscsi_protocol = iscsi
volumes_dir = {directory}
{more}
"""


def lvm_backend(configuration: Any, directory: Path, more: str = "", group: str = "cinder-volumes") -> Any:
    path = configuration("fake", LVM.format(directory=directory, more=more, group=group))
    found = read("cinder-volume", "cinder", block_storage.VOLUME.options, ["--config-file", str(path)])
    (backend,) = volume_backends.read_backends(found.config)
    return volume_backends.make_driver(backend, Any)


@pytest.fixture
def with_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilonova.block_storage.agent.drivers.lvm.driver.COMMANDS", {})


@pytest.mark.usefixtures("with_commands")
def test_a_section_for_the_guides_is_a_volume_group_behind_tgtd(
    configuration: Any, public_directory: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, settings = public_directory("volumes"), tmp_path / "lvm.conf"
    settings.touch()
    options = lvm_backend(configuration, directory).options
    assert (options.directory, options.portal) == (directory / "cinder-volumes", "10.0.0.41:3260")
    assert (options.backend_name, options.wipes) == ("lvm", True)
    assert (options.group.name, options.group.config_file) == ("cinder-volumes", None)
    more = f"iscsi_ip_address = fd00::1\niscsi_port = 860\nvolume_clear = none\nlvm_conf_file = {settings}\n"
    more += "target_prefix = iqn.2026-01.org.example:\nvolume_backend_name = gold"
    options = lvm_backend(configuration, directory, more).options
    assert (options.portal, options.wipes, options.group.config_file) == ("[fd00::1]:860", False, settings)
    assert (options.target_prefix, options.backend_name) == ("iqn.2026-01.org.example:", "gold")
    monkeypatch.setattr("kilonova.block_storage.agent.drivers.lvm.lio.ROOT", tmp_path)
    driver = lvm_backend(configuration, directory, "target_helper = lioadm")
    assert driver.targets == LioTargets("10.0.0.41:3260", tmp_path, driver.targets.configfs)


@pytest.mark.usefixtures("with_commands")
@pytest.mark.parametrize(
    ("more", "group", "words"),
    [
        ("", "-x", r"\[lvm\] volume_group: '-x' is no name that LVM takes"),
        ("lvm_type = thin", "g", r"\[lvm\] lvm_type: this host's kernel has no device-mapper"),
        ("lvm_conf_file = {directory}/other.conf", "g", r"\[lvm\] lvm_conf_file: .*is not called lvm.conf"),
        ("volumes_dir = {directory}/other.conf/x", "g", r"\[lvm\] volumes_dir: Records cannot be kept in"),
        ("target_helper = lioadm", "g", r"\[lvm\] target_helper: lioadm needs the kernel's iSCSI targets"),
        ("target_helper = scstadm", "g", r"target_helper.*scstadm"),
        ("target_protocol = nvmet_tcp", "g", r"target_protocol.*nvmet_tcp"),
        ("target_prefix = IQN,x", "g", r"target_prefix.*IQN,x"),
    ],
)
def test_volume_groups_that_cannot_be_served_stop_the_start(
    configuration: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, group: str, words: str
) -> None:
    monkeypatch.setattr("kilonova.block_storage.agent.drivers.lvm.volume_group.MAPPER", tmp_path / "none")
    monkeypatch.setattr("kilonova.block_storage.agent.drivers.lvm.lio.ROOT", tmp_path / "none")
    (tmp_path / "other.conf").touch()
    with pytest.raises(ConfigError, match=words):
        lvm_backend(configuration, tmp_path, more.format(directory=tmp_path), group)


NFS = """enabled_backends = nfs
[nfs]
volume_driver = cinder.volume.drivers.nfs.NfsDriver
volume_backend_name = nfs-storage
nfs_shares_config = {directory}/nfs_shares
nfs_mount_point_base = {directory}/volumes
nfs_mount_options = vers=4.1
{more}
"""


def nfs_backend(configuration: Any, directory: Path, more: str = "") -> Any:
    path = configuration("fake", NFS.format(directory=directory, more=more))
    found = read("cinder-volume", "cinder", block_storage.VOLUME.options, ["--config-file", str(path)])
    (backend,) = volume_backends.read_backends(found.config)
    return volume_backends.make_driver(backend, Any).options


def test_a_section_for_the_guides_is_a_file_of_shares(configuration: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[nfs\] nfs_shares_config: .*nfs_shares cannot be read"):
        nfs_backend(configuration, tmp_path)
    (tmp_path / "nfs_shares").write_text("#NFSIP:NFSPATH\n2.2.2.2:/export/cinder\n")
    options = nfs_backend(configuration, tmp_path)
    assert [(each.export, each.options) for each in options.shares] == [("2.2.2.2:/export/cinder", ("vers=4.1",))]
    assert (options.mount_base, options.backend_name) == (tmp_path / "volumes", "nfs-storage")
    assert (options.disk_format, options.is_sparse) == ("raw", True)
    assert nfs_backend(configuration, tmp_path, "nfs_qcow2_volumes = true").disk_format == "qcow2"
    assert not nfs_backend(configuration, tmp_path, "nfs_sparsed_volumes = false").is_sparse
    with pytest.raises(ConfigError, match=r"\[nfs\] nfs_sparsed_volumes: .*which is always sparse"):
        nfs_backend(configuration, tmp_path, "nfs_sparsed_volumes = false\nnfs_qcow2_volumes = true")
