"""What networks may be asked for, by type, what they are given, and what fits through."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kilonova.kit.db import Database, Tx
from kilonova.network import records
from kilonova.network.errors import InvalidInput, NoNetworkAvailable
from kilonova.network.segments.flat import Flat
from kilonova.network.segments.geneve import Geneve
from kilonova.network.segments.gre import Gre
from kilonova.network.segments.local import Local
from kilonova.network.segments.offered import KNOWN, NAMES, Segments
from kilonova.network.segments.segment import (
    Segment,
    SegmentType,
    Underlay,
    Wanted,
    parse_physical_ranges,
    parse_range,
)
from kilonova.network.segments.vlan import Vlan
from kilonova.network.segments.vxlan import Vxlan
from kilonova.network.tables import Network, metadata, networks
from tests.databases import Databases

VLAN = Vlan({"physnet1": [(100, 101)], "physnet2": [(100, 100)], "by hand": []})


@pytest.fixture
async def tx(databases: Databases, tmp_path: Path) -> AsyncIterator[Tx]:
    database: Database = databases.migrated("network", metadata, tmp_path)
    async with database.transaction() as opened:
        yield opened
    await database.close()


async def keep(tx: Tx, segment: Segment) -> bool:
    """Makes a network of the segment; False when another one has it."""
    nothing: dict[str, Any] = {"dns_domain": "", "availability_zone_hints": [], "dhcp_host": None, "mtu": 1500}
    flags = dict.fromkeys(("admin_state_up", "shared", "external", "is_default", "port_security_enabled"), False)
    network = Network(
        **records.standard("p", "", "", datetime(2026, 1, 2, tzinfo=UTC)),
        **nothing,
        **flags,
        network_type=segment.network_type,
        physical_network=segment.physical_network,
        segmentation_id=segment.segmentation_id,
        segment_key=segment.key,
    )
    return await tx.insert_new(networks, network)


REFUSED: Sequence[tuple[SegmentType, Wanted, str]] = [
    (Flat(), Wanted("flat"), "physical_network required"),
    (Flat(), Wanted("flat", "x", 4), "segmentation_id specified"),
    (Flat(["provider"]), Wanted("flat", "x"), "'x' is not known for flat"),
    (Local(), Wanted("local", "x"), "physical_network is not for a local"),
    (Local(), Wanted("local", None, 4), "segmentation_id is not for a local"),
    (VLAN, Wanted("vlan", "x"), "'x' unknown for VLAN"),
    (VLAN, Wanted("vlan", None, 4), "requires physical_network"),
    (VLAN, Wanted("vlan", "physnet1", 4095), "1 to 4094"),
    (VLAN, Wanted("vlan", "physnet1", 0), "1 to 4094"),
    *((each, Wanted(each.name, "x"), f"not for a {each.name}") for each in (Vxlan(), Gre(), Geneve())),
    (Vxlan(), Wanted("vxlan", None, 1 << 24), "1 to 16777215"),
    (Geneve(), Wanted("geneve", None, 0), "1 to 16777215"),
    (Gre(), Wanted("gre", None, 1 << 31), "is not a GRE key: 1 to 2147483647"),
]


@pytest.mark.parametrize(("kind", "wanted", "sentence"), REFUSED)
async def test_what_a_type_does_not_have_is_refused(tx: Tx, kind: SegmentType, wanted: Wanted, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await kind.allocate(tx, wanted)


GIVEN: Sequence[tuple[SegmentType, Wanted, str]] = [
    (Flat(["provider"]), Wanted("flat", "provider"), "flat/provider"),
    (VLAN, Wanted("vlan", "physnet1", 7), "vlan/physnet1/7"),
    (VLAN, Wanted("vlan", "by hand", 7), "vlan/by hand/7"),
    (Vxlan(), Wanted("vxlan", None, 77), "vxlan/77"),
    (Gre(), Wanted("gre", None, 77), "gre/77"),
    (Geneve(), Wanted("geneve", None, 77), "geneve/77"),
]


@pytest.mark.parametrize(("kind", "wanted", "key"), GIVEN, ids=[key for _, _, key in GIVEN])
async def test_a_segment_that_is_asked_for_is_given_to_one_network(
    tx: Tx, kind: SegmentType, wanted: Wanted, key: str
) -> None:
    segment = await kind.allocate(tx, wanted)
    assert (segment.key, segment.network_type) == (key, kind.name)
    assert await keep(tx, segment)
    assert not await keep(tx, await kind.allocate(tx, wanted))
    assert "in use" in kind.in_use(segment).message


async def test_any_number_of_networks_are_local(tx: Tx) -> None:
    for _ in range(2):
        assert await keep(tx, await Local().allocate(tx, Wanted("local")))


@pytest.mark.parametrize("kind", [Vxlan([(5, 6)]), Gre([(5, 5), (6, 6)]), Geneve([(5, 6)])], ids=lambda each: each.name)
async def test_tunnels_take_the_lowest_free_number_of_their_own(tx: Tx, kind: SegmentType) -> None:
    assert await keep(tx, Segment("vlan", "physnet1", 5))
    for number in (5, 6):
        segment = await kind.allocate(tx, Wanted())
        assert segment.segmentation_id == number
        assert await keep(tx, segment)
    with pytest.raises(NoNetworkAvailable):
        await kind.allocate(tx, Wanted())


async def test_vlan_ids_are_taken_of_each_physical_network(tx: Tx) -> None:
    taken = []
    for _ in range(3):
        segment = await VLAN.allocate(tx, Wanted())
        taken.append((segment.physical_network, segment.segmentation_id))
        assert await keep(tx, segment)
    assert taken == [("physnet1", 100), ("physnet1", 101), ("physnet2", 100)]
    for wanted in (Wanted(), Wanted("vlan", "physnet2"), Wanted("vlan", "by hand")):
        with pytest.raises(NoNetworkAvailable):
            await VLAN.allocate(tx, wanted)


async def test_projects_get_the_first_type_that_has_a_number_left(tx: Tx) -> None:
    types = [Vlan({"physnet1": [(100, 100)]}), Vxlan([(5, 5)]), Gre([(5, 5)])]
    segments = Segments(types, carried=("vlan", "vxlan"), for_projects=("gre", "vlan", "vxlan"))
    taken = []
    for _ in range(2):
        segment = await segments.allocate(tx, Wanted())
        taken.append(segment.key)
        assert await keep(tx, segment)
    assert taken == ["vlan/physnet1/100", "vxlan/5"]
    with pytest.raises(NoNetworkAvailable):
        await segments.allocate(tx, Wanted())


async def test_without_types_for_projects_a_network_has_to_say_its_own(tx: Tx) -> None:
    segments = Segments(KNOWN, carried=NAMES, for_projects=())
    with pytest.raises(NoNetworkAvailable):
        await segments.allocate(tx, Wanted())
    assert (await segments.allocate(tx, Wanted(physical_network="provider"))).key == "flat/provider"


async def test_a_type_is_offered_when_it_is_carried_and_allowed(tx: Tx) -> None:
    segments = Segments(KNOWN, carried=("flat", "vxlan", "local"), allowed=("flat", "vlan", "vxlan"))
    with pytest.raises(InvalidInput, match=r"'vlan' is not served here yet; possible are \('flat', 'vxlan'\)"):
        await segments.allocate(tx, Wanted("vlan", "physnet1", 4))
    with pytest.raises(InvalidInput, match="'local' is none of this cloud's type_drivers"):
        await segments.allocate(tx, Wanted("local"))


LEFT = {"flat": 9000, "vlan": 9000, "local": 9000, "vxlan": 1550, "geneve": 1550, "gre": 1558}


def test_each_type_leaves_its_mtu() -> None:
    segments = Segments(KNOWN, carried=(), underlay=Underlay(physical_mtu=9000, path_mtu=1600))
    assert {name: segments.largest_mtu(name) for name in NAMES} == LEFT
    segments.check_mtu(1550, "vxlan")
    for wrong in (1551, 67):
        with pytest.raises(InvalidInput, match="Requested MTU is too"):
            segments.check_mtu(wrong, "vxlan")


def test_ranges_are_read_as_ml2_writes_them() -> None:
    assert parse_range("1:1000", 4094) == (1, 1000)
    assert parse_physical_ranges(["a:1:5", "b", "a:7:7"], 4094) == {"a": [(1, 5), (7, 7)], "b": []}
    for wrong in ("", "1", "5:1", "0:4", "1:4095", "a:b"):
        with pytest.raises(ValueError, match="is not of the form"):
            parse_range(wrong, 4094)
    for wrong in (":1:5", "a:1", "a:1:5000"):
        with pytest.raises(ValueError, match=r"1:1000|names no physical network"):
            parse_physical_ranges([wrong], 4094)
