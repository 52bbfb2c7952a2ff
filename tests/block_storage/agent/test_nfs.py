"""The driver `nfs` beyond the contract of all drivers: shares that come and go."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.block_storage.agent.drivers.nfs import NfsDriver, NfsOptions, Share, read_shares
from kilonova.block_storage.agent.spec import GIB, Blank, VolumeSpec
from kilonova.kit.connectors import NfsConnection
from kilonova.kit.connectors.mounts import mount_point
from kilonova.kit.host_commands import HostError
from tests.block_storage.agent.test_driver_contract import FakeMounts, new_id, settle

ONE, TWO = Share("filer:/one", ("vers=4.1",)), Share("[fd00::1]:/two")


async def fetch(_image_id: str) -> AsyncIterator[bytes]:
    yield b""


class Host:
    def __init__(self, base: Path) -> None:
        self.base, self.mounts = base, FakeMounts()

    async def driver(self, *shares: Share, is_sparse: bool = True) -> NfsDriver:
        """Returns the driver of an agent that has looked once."""
        options = NfsOptions(shares=shares or (ONE, TWO), mount_base=self.base, is_sparse=is_sparse)
        driver = NfsDriver(options, fetch, self.mounts)
        await driver.pools()
        return driver

    def forget_mounts(self) -> None:
        self.mounts.mounted.clear()


@pytest.fixture
def host(public_directory: Callable[[str], Path]) -> Host:
    return Host(public_directory("shares"))


async def test_each_share_is_a_pool_and_a_volume_is_on_the_one_that_was_chosen(host: Host) -> None:
    driver, volume_id = await host.driver(), new_id()
    told = await driver.pools()
    assert [(each.pool_name, each.storage_protocol, each.backend_state) for each in told] == [
        ("filer:/one", "nfs", "up"),
        ("[fd00::1]:/two", "nfs", "up"),
    ]
    await settle(lambda: driver.ensure_volume(VolumeSpec(volume_id, 1, Blank(), TWO.export), 1))
    assert (mount_point(host.base, TWO.export) / f"volume-{volume_id}").exists()
    name = f"volume-{volume_id}"
    two = NfsConnection(export=TWO.export, name=name, disk_format="raw")
    assert await driver.connection_to(volume_id, new_id()) == two
    for pool in ("", "filer:/three"):
        with pytest.raises(HostError, match="none of this back end's shares"):
            await driver.ensure_volume(VolumeSpec(new_id(), 1, Blank(), pool), 1)
    other = new_id()
    await settle(lambda: driver.ensure_volume(VolumeSpec(other, 1, Blank(), ONE.export), 1))
    assert isinstance(connection := await driver.connection_to(other, new_id()), NfsConnection)
    assert connection.options == host.mounts.options[ONE.export] == ("vers=4.1",)


async def test_a_share_that_is_away_is_down_and_nothing_is_said_of_its_volumes(host: Host) -> None:
    driver, volume_id = await host.driver(), new_id()
    await settle(lambda: driver.ensure_volume(VolumeSpec(volume_id, 1, Blank(), TWO.export), 1))
    host.forget_mounts()
    host.mounts.away.add(TWO.export)
    with pytest.raises(HostError, match="does not answer"):
        await driver.keep_up()
    pools = await driver.pools()
    assert [each.backend_state for each in pools] == ["up", "down"]
    assert [bool(each.trouble) for each in pools] == [False, True]
    for ask in (
        driver.connection_to(volume_id, new_id()),
        driver.release_volume(volume_id, 2),
        driver.extend_volume(volume_id, 2, 2),
    ):
        with pytest.raises(HostError, match=r"may be on .*two, which is not mounted"):
            await ask
    with pytest.raises(HostError, match="is not mounted"):
        await driver.ensure_volume(VolumeSpec(new_id(), 1, Blank(), TWO.export), 1)
    host.mounts.away.clear()
    await driver.keep_up()
    await driver.release_volume(volume_id, 2)
    assert not (mount_point(host.base, TWO.export) / f"volume-{volume_id}").exists()


async def test_a_volume_that_was_released_comes_back_on_no_share(host: Host) -> None:
    driver, volume_id = await host.driver(), new_id()
    await driver.release_volume(volume_id, 5)
    for share in (ONE, TWO):
        with pytest.raises(StaleEpoch):
            await driver.ensure_volume(VolumeSpec(volume_id, 1, Blank(), share.export), 4)


async def test_volumes_take_their_room_at_once_where_they_are_not_sparse(host: Host) -> None:
    for is_sparse in (True, False):
        driver, volume_id = await host.driver(ONE, is_sparse=is_sparse), new_id()
        await settle(lambda: driver.ensure_volume(VolumeSpec(volume_id, 1, Blank(), ONE.export), 1))  # noqa: B023
        status = (mount_point(host.base, ONE.export) / f"volume-{volume_id}").stat()
        assert (status.st_size, status.st_blocks * 512 >= GIB) == (GIB, not is_sparse)
        (pool,) = await driver.pools()
        assert (pool.thin_provisioning_support, pool.thick_provisioning_support) == (is_sparse, not is_sparse)
        await driver.release_volume(volume_id, 2)


def test_shares_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "nfs_shares"
    path.write_text("# ours\n\nfiler:/one -o vers=4.1,soft\n  [fd00::1]:/two\nfiler:/three noatime\n")
    assert read_shares(path, "ro") == (
        Share("filer:/one", ("ro", "vers=4.1", "soft")),
        Share("[fd00::1]:/two", ("ro",)),
        Share("filer:/three", ("ro", "noatime")),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filer", "nfs_shares:1: 'filer' is not SERVER:/DIRECTORY"),
        ("filer:one", "is not SERVER:/DIRECTORY"),
        ("-o:/x", "'-o:/x' is not SERVER:/DIRECTORY"),
        (f"filer:/{'x' * 200}", "in at most 120 characters"),
        ("filer:/one\nfiler:/one", "nfs_shares:2: filer:/one stands there twice"),
        ("filer:/one --bind", "no list of mount options"),
        ("# nothing", "names 0 shares"),
        ("\n".join(f"filer:/{number}" for number in range(257)), "names 257 shares"),
    ],
)
def test_a_file_without_shares_is_refused_by_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "nfs_shares"
    path.write_text(text)
    with pytest.raises(HostError, match=words):
        read_shares(path, "")
    with pytest.raises(HostError, match="cannot be read: No such file"):
        read_shares(tmp_path / "missing", "")
