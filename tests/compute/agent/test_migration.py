"""A guest moves from one host to another: what every driver does, on simulated hosts; `tests/lab` has real ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import libvirt
import msgspec
import pytest

from kilonova.compute.agent.driver import StaleEpoch
from kilonova.compute.agent.drivers import migration
from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.fake import FakeHost
from kilonova.compute.agent.drivers.migration import (
    FLAGS,
    copied_disks,
    describe,
    downtime_ms,
    flags_of,
    hasten,
    render_arriving,
    steer,
)
from kilonova.compute.agent.drivers.options import MigrationOptions
from kilonova.compute.agent.spec import Arrival, ServerObservation, ServerSpec, Transfer
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import MIB, FakeRig, make_spec, make_volume, settle

replace = msgspec.structs.replace


@pytest.fixture
async def hosts() -> AsyncIterator[tuple[FakeRig, FakeRig]]:
    """Two hosts that reach each other."""
    rigs = FakeRig(FakeHost("host1", delay_seconds=0.05)), FakeRig(FakeHost("host2", delay_seconds=0.05))
    for here, there in (rigs, rigs[::-1]):
        here.host.reachable = {there.host.hostname: there.host}
    yield rigs
    for rig in rigs:
        await rig.close()


async def expect(rig: FakeRig, spec: ServerSpec) -> Arrival:
    """Prepares a host for a server."""
    seen = await settle(rig, replace(spec, presence="incoming"))
    assert (seen.power, seen.arrival is not None) == ("absent", True)
    assert seen.arrival is not None
    return seen.arrival


async def migrate(rig: FakeRig, spec: ServerSpec, arrival: Arrival, epoch: int = 1) -> ServerObservation:
    async with asyncio.timeout(20):
        while (seen := await rig.driver.ensure_migration(replace(spec, presence="leaving"), arrival, epoch)).progress:
            await asyncio.sleep(0.01)
    return seen


async def test_a_running_guest_moves_with_its_devices_and_without_a_boot(
    hosts: tuple[FakeRig, FakeRig], tmp_path: Path
) -> None:
    source, target = hosts
    spec = make_spec(source.images.add(bytes(MIB)))
    spec = replace(spec, disks=(*spec.disks, make_volume(tmp_path / "volume", "vdb", bus="virtio")))
    target.images.add(bytes(MIB))
    await settle(source, spec)
    marker = await source.boot_marker(spec.id)
    arrival = await expect(target, spec)
    leaving = replace(spec, presence="leaving")
    for _ in range(2):
        assert (await source.driver.ensure_migration(leaving, arrival, 1)).progress == "migrating"
        assert (await source.driver.ensure_server(leaving, 1)).progress == "migrating"
    for _ in range(2):
        assert (await migrate(source, spec, arrival)).power == "absent"
        assert (await source.driver.ensure_server(leaving, 1)).power == "absent"
    assert (await target.driver.observe_server(spec.id)).power == "running"
    assert (await settle(target, spec)).power == "running"
    assert await target.boot_marker(spec.id) == marker
    found = await target.driver.diagnostics(spec.id)
    assert [each.device for each in found.disks] == ["vda", "vdb"]
    assert [each.device for each in found.interfaces] == [port.tap for port in spec.ports]
    await source.driver.release_server(spec.id, 1)
    assert not source.has_leftovers(spec.id)
    assert (await target.driver.observe_server(spec.id)).power == "running"


async def test_a_host_that_expects_a_server_starts_no_guest_and_can_be_released(
    hosts: tuple[FakeRig, FakeRig],
) -> None:
    source, target = hosts
    spec = make_spec(source.images.add(bytes(MIB)))
    target.images.add(bytes(MIB))
    await settle(source, spec)
    assert await expect(target, spec) == await expect(target, spec)
    await target.driver.release_server(spec.id, 1)
    assert not target.has_leftovers(spec.id)
    assert (await settle(source, spec)).power == "running"


async def test_a_migration_that_fails_leaves_the_guest_where_it_was_and_can_be_tried_again(
    hosts: tuple[FakeRig, FakeRig],
) -> None:
    source, target = hosts
    spec = make_spec(source.images.add(bytes(MIB)))
    target.images.add(bytes(MIB))
    await settle(source, spec)
    arrival = await expect(target, spec)
    source.host.migration_failures.append("The wire was cut.")
    with pytest.raises(HostError, match="The wire was cut"):
        await migrate(source, spec, arrival)
    assert (await source.driver.observe_server(spec.id)).power == "running"
    assert (await target.driver.observe_server(spec.id)).power == "absent"
    assert (await migrate(source, spec, arrival)).power == "absent"
    assert (await settle(target, spec)).power == "running"


async def test_a_migration_that_is_stopped_leaves_the_guest_where_it_was(hosts: tuple[FakeRig, FakeRig]) -> None:
    source, target = hosts
    spec = make_spec(source.images.add(bytes(MIB)))
    target.images.add(bytes(MIB))
    await settle(source, spec)
    arrival = await expect(target, spec)
    leaving = replace(spec, presence="leaving")
    under_way = await source.driver.ensure_migration(leaving, arrival, 1)
    assert under_way.transfer is not None and under_way.transfer.memory_total_bytes
    for _ in range(2):
        assert (await source.driver.stop_migration(spec.id, 1)).power == "running"
    await asyncio.sleep(0.1)
    assert (await source.driver.observe_server(spec.id)).power == "running"
    assert (await target.driver.observe_server(spec.id)).power == "absent"
    assert (await migrate(source, spec, arrival)).power == "absent"
    assert (await source.driver.stop_migration(spec.id, 1)).power == "absent"
    with pytest.raises(StaleEpoch):
        await source.driver.stop_migration(spec.id, 0)


async def test_a_server_that_is_not_expected_or_does_not_run_is_not_migrated(
    hosts: tuple[FakeRig, FakeRig],
) -> None:
    source, target = hosts
    spec = make_spec(source.images.add(bytes(MIB)))
    target.images.add(bytes(MIB))
    await settle(source, spec)
    with pytest.raises(HostError, match=f"host2 does not expect server {spec.id}"):
        await migrate(source, spec, Arrival("host2", ""))
    await settle(source, replace(spec, power="stopped"))
    arrival = await expect(target, spec)
    with pytest.raises(HostError, match="has no guest on this host that could be migrated"):
        await migrate(source, spec, arrival)


async def test_an_older_epoch_does_not_migrate(hosts: tuple[FakeRig, FakeRig]) -> None:
    source, target = hosts
    spec = make_spec(source.images.add(bytes(MIB)))
    target.images.add(bytes(MIB))
    await settle(source, spec, 7)
    arrival = await expect(target, spec)
    with pytest.raises(StaleEpoch):
        await migrate(source, spec, arrival, 6)
    assert (await source.driver.observe_server(spec.id)).power == "running"


LIVE = """
<domain><name>i</name><metadata><here/></metadata><vcpu placement='static' cpuset='0-3'>2</vcpu>
<cputune><vcpupin vcpu='0' cpuset='4'/></cputune><numatune><memory mode='strict' nodeset='0'/></numatune><devices>
  <disk type='file'><source file='/here/s1/disk'/>
    <backingStore type='file'><source file='/here/_base/b'/></backingStore>
    <target dev='vda'/><serial>root</serial></disk>
  <disk type='file'><source file='/here/s1/disk.config'/><target dev='vdb'/><readonly/><serial>config-2</serial></disk>
  <disk type='file'><source file='/volumes/v1'/><target dev='vdc'/><serial>v1</serial></disk>
  <serial type='pty'><source path='/dev/pts/3'/>
    <log file='/here/s1/console.log' append='off'/><target port='0'/></serial>
  <console type='pty'><source path='/dev/pts/3'/></console>
  <graphics type='vnc' port='5907'><listen type='address' address='10.0.0.1'/></graphics>
</devices></domain>
"""
WANTED = """
<domain><name>i</name><metadata><there/></metadata><vcpu>2</vcpu>
<cputune><vcpupin vcpu='0' cpuset='9'/></cputune><numatune><memory mode='strict' nodeset='1'/></numatune><devices>
  <disk type='file'><source file='/there/s1/disk'/><target dev='vda'/><serial>root</serial></disk>
  <disk type='file'><source file='/there/s1/disk.config'/><target dev='vdb'/><serial>config-2</serial></disk>
  <disk type='file'><source file='/volumes/v1'/><target dev='vdc'/><serial>v1</serial></disk>
  <serial type='pty'><log file='/there/s1/console.log' append='off'/><target port='0'/></serial>
  <graphics type='vnc' port='-1'><listen type='address' address='10.0.0.2'/></graphics>
</devices></domain>
"""


def test_the_arriving_guest_has_the_other_hosts_files_and_addresses() -> None:
    arriving = render_arriving(LIVE, WANTED)
    assert "/here/" not in arriving and "10.0.0.1" not in arriving and "backingStore" not in arriving
    assert "<there />" in arriving and "<console" not in arriving and "/dev/pts" not in arriving
    assert arriving.count("<source file=") == 3
    with pytest.raises(HostError, match="has no disk for the guest's vdc"):
        render_arriving(LIVE, WANTED.replace("<serial>v1</serial>", ""))


def test_the_arriving_guest_lies_where_the_other_host_has_room() -> None:
    arriving = parse_xml(render_arriving(LIVE, WANTED))
    assert [each.attrib for each in arriving.findall("vcpu")] == [{"placement": "static"}]
    assert [each.get("cpuset") for each in arriving.findall("cputune/vcpupin")] == ["9"]
    assert [each.get("nodeset") for each in arriving.findall("numatune/memory")] == ["1"]
    shared = WANTED.replace("<vcpu>", "<vcpu cpuset='6-7'>").replace("<cputune>", "<other>").replace("cputune", "other")
    arriving = parse_xml(render_arriving(LIVE, shared))
    assert [each.get("cpuset") for each in arriving.findall("vcpu")] == ["6-7"]
    assert arriving.find("cputune") is None


def test_only_what_the_guest_can_write_and_no_volume_is_copied() -> None:
    assert copied_disks(LIVE, {"v1"}) == ["vda"]


def test_the_progress_is_told_in_percent_as_soon_as_there_is_one() -> None:
    assert describe(Transfer()) == "migrating"
    assert describe(Transfer(100, 20, 40, 200, 10, 30)) == "migrating: 30 %"


# --- how a migration under way is steered -----------------------------------------------------------------------------


class Domain:
    """A guest that is on its way, and what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def migrateSetMaxDowntime(self, downtime: int) -> None:
        self.told.append(("downtime", downtime))

    def migrateStartPostCopy(self) -> None:
        self.told.append(("post-copy", 0))

    def abortJob(self) -> None:
        self.told.append(("abort", 0))

    def suspend(self) -> None:
        self.told.append(("suspend", 0))

    def state(self) -> list[int]:
        return [libvirt.VIR_DOMAIN_RUNNING, 0]


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Domain:
    found = Domain()
    monkeypatch.setattr(migration, "lookup", lambda _connection, _server_id: found)
    return found


GIB = 1 << 30


def test_the_downtime_grows_in_steps_to_the_most_that_is_allowed() -> None:
    options = MigrationOptions(most_downtime_ms=500, downtime_steps=10, downtime_step_seconds=75)
    found = [downtime_ms(seconds, 1, options) for seconds in (0, 74, 75, 375, 749, 750, 9999)]
    assert found[:2] == [50, 50]
    assert found == sorted(found)
    assert found[-2:] == [500, 500]
    assert downtime_ms(749, 10, options) == downtime_ms(0, 1, options), "the more data, the more time"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (MigrationOptions(timeout_seconds=100, at_timeout="abort"), ("abort", 0)),
        (MigrationOptions(timeout_seconds=100, at_timeout="force_complete"), ("suspend", 0)),
        (
            MigrationOptions(timeout_seconds=100, at_timeout="force_complete", permits_post_copy=True),
            ("post-copy", 0),
        ),
        (MigrationOptions(timeout_seconds=0), ("downtime", 500)),
    ],
)
def test_one_that_takes_too_long_is_ended_or_hastened(domain: Domain, options: MigrationOptions, told: object) -> None:
    """As its operator has it; so long for each GiB."""
    late = Transfer(memory_total_bytes=GIB, memory_processed_bytes=1, disk_total_bytes=GIB, elapsed_ms=10_000_000)
    ended = steer(None, "s1", late, options)
    assert domain.told == [told]
    assert ("within 200 seconds" in ended) == (told == ("abort", 0))
    early = msgspec.structs.replace(late, elapsed_ms=199_000)
    assert steer(None, "s1", early, options) == ""
    assert domain.told[-1][0] == "downtime"


def test_a_post_copy_waits_until_the_disks_are_there(domain: Domain) -> None:
    options = MigrationOptions(permits_post_copy=True)
    hasten(None, "s1", Transfer(memory_total_bytes=GIB, disk_total_bytes=GIB), options)
    assert domain.told == [], "QEMU would refuse it, and the migration would fail"
    hasten(None, "s1", Transfer(memory_total_bytes=GIB, memory_processed_bytes=1, disk_total_bytes=GIB), options)
    assert domain.told == [("post-copy", 0)]


def test_what_is_permitted_is_asked_of_libvirt() -> None:
    assert flags_of(MigrationOptions(), is_running=True) == FLAGS
    everything = MigrationOptions(uses_tls=True, permits_post_copy=True, permits_auto_converge=True)
    more = libvirt.VIR_MIGRATE_TLS | libvirt.VIR_MIGRATE_POSTCOPY | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    assert flags_of(everything, is_running=True) == FLAGS | more
    assert flags_of(everything, is_running=False) == FLAGS | more & ~libvirt.VIR_MIGRATE_POSTCOPY
