"""Connections as they are written down, the kind that this host carries out, and those that it refuses."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from kilonova.kit.connectors import (
    Chap,
    ConnectedDisk,
    ConnectedTarget,
    Connection,
    FileConnection,
    IscsiConnection,
    NbdConnection,
    NfsConnection,
    RbdConnection,
    connect,
    disconnect,
)
from kilonova.kit.connectors.iscsi import read_portal
from kilonova.kit.host_commands import HostError

SECRET = "correct horse"
ISCSI = IscsiConnection(
    portals=("192.0.2.1:3260", "192.0.2.2:3260"),
    target="iqn.2010-10.org.openstack:volume-1",
    unit=1,
    chap=Chap(username="node1", secret=SECRET),
)
OTHERS: list[Connection] = [
    NfsConnection(export="192.0.2.1:/volumes", name="volume-1", disk_format="qcow2", options=("nfsvers=4.2",)),
    ISCSI,
    RbdConnection(monitors=("192.0.2.1:6789",), pool="volumes", image="volume-1", username="cinder", secret_id="1-2"),
    NbdConnection(host="192.0.2.1", port=10809, export="volume-1"),
]


def kind_of(connection: Connection) -> str:
    kind = msgspec.to_builtins(connection)["kind"]
    assert isinstance(kind, str)
    return kind


@pytest.mark.parametrize("connection", [FileConnection(path="/v", disk_format="raw"), *OTHERS], ids=kind_of)
def test_a_connection_is_the_same_after_it_was_written_down(connection: Connection) -> None:
    assert msgspec.json.decode(msgspec.json.encode(connection), type=Connection) == connection


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "tape", "path": "/v", "disk_format": "raw"},
        {"path": "/v", "disk_format": "raw"},
        {"kind": "file", "path": "/v", "disk_format": "vmdk"},
        {"kind": "iscsi", "portals": ["192.0.2.1:3260"], "target": "iqn"},
    ],
    ids=["an unknown kind", "no kind", "an unknown format", "a field too few"],
)
def test_what_is_no_connection_is_not_read_as_one(written: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written, type=Connection)


def test_the_secret_of_a_connection_is_not_shown() -> None:
    assert "node1" in repr(ISCSI)
    assert SECRET not in repr(ISCSI)


async def test_a_file_is_connected_as_often_as_asked_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(b"data")
    connection = FileConnection(path=str(path), disk_format="raw")
    for _ in range(2):
        assert await connect(connection) == ConnectedDisk(path, "raw")
    for _ in range(2):
        await disconnect(connection)
    assert path.read_bytes() == b"data"
    path.unlink()
    await disconnect(connection)


async def test_what_is_no_file_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for path, complaint in (
        (tmp_path / "missing", "cannot be reached: No such file"),
        (tmp_path / "link", "is not a regular file"),
        (tmp_path, "is not a regular file"),
        (Path("/dev/null"), "is not a regular file"),
        (Path("volume"), "is not absolute"),
    ):
        with pytest.raises(HostError, match=f"{path} {complaint}"):
            await connect(FileConnection(path=str(path), disk_format="raw"))


def iscsi(*portals: str) -> IscsiConnection:
    return IscsiConnection(portals=portals, target="iqn.2010-10.org.openstack:volume-1", unit=1, chap=ISCSI.chap)


async def test_a_target_is_taken_at_the_first_portal_that_answers() -> None:
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for portals in ((f"127.0.0.1:{port}",), ("127.0.0.1:1", f"127.0.0.1:{port}")):
            assert await connect(iscsi(*portals)) == ConnectedTarget(
                host="127.0.0.1", port=port, target=ISCSI.target, unit=1, chap=ISCSI.chap
            )
    await disconnect(ISCSI)


@pytest.mark.parametrize(
    ("portals", "words"),
    [
        (("127.0.0.1:1",), "volume-1 cannot be reached: 127.0.0.1:1: "),
        ((), "it has no portal"),
        (("127.0.0.1",), "'127.0.0.1' is not ADDRESS:PORT"),
        (("127.0.0.1:99999",), "is not ADDRESS:PORT"),
        ((":3260",), "is not ADDRESS:PORT"),
    ],
)
async def test_a_target_that_nobody_serves_is_refused(portals: tuple[str, ...], words: str) -> None:
    with pytest.raises(HostError, match=re.escape(words)):
        await connect(iscsi(*portals))


def test_a_portal_with_an_address_of_ipv6_is_read() -> None:
    assert read_portal("[fd00::1]:3260") == ("fd00::1", 3260)


@pytest.mark.parametrize("connection", OTHERS[2:], ids=kind_of)
async def test_a_kind_that_no_host_connects_yet_is_refused_by_name(connection: Connection) -> None:
    refusal = f"This host cannot connect volumes of kind {kind_of(connection)} yet"
    with pytest.raises(HostError, match=refusal):
        await connect(connection)
    await disconnect(connection)
