"""The daemons of block storage, from a cinder.conf: the tables are made, and each builds its part."""

from pathlib import Path
from typing import Any

import pytest

from kilonova.cli.daemons import broker, manage
from kilonova.cli.daemons.files import read
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.parts import block_storage
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
    assert not scheduler.apis and len(scheduler.work) == 3 and len(volume.work) == 1


@pytest.mark.parametrize(
    ("part", "driver", "more", "words"),
    [
        (block_storage.VOLUME, "lvm", "", r"volume_driver: 'lvm' is neither file nor fake"),
        (block_storage.API, "fake", "scheduler_default_filters = GoldenFilter", r"'GoldenFilter' is none of"),
        (block_storage.API, "fake", "scheduler_default_weighers = GoldenWeigher", r"'GoldenWeigher' is none of"),
        (block_storage.API, "fake", "enabled_backends = lvm", r"options that do not exist: .*enabled_backends"),
        (block_storage.API, "fake", "max_over_subscription_ratio = much", r"max_over_subscription_ratio"),
    ],
)
async def test_what_a_file_cannot_say_stops_the_start(
    configuration: Any, part: Part, driver: str, more: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        await build(part, configuration(driver, more))


async def test_a_directory_that_cannot_be_made_stops_the_start(configuration: Any, tmp_path: Path) -> None:
    (tmp_path / "volumes").write_text("")
    with pytest.raises(ConfigError, match="file_volumes_path: Volumes cannot be kept in"):
        await build(block_storage.VOLUME, configuration("file"))
