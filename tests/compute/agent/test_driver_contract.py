"""What every compute driver does, whatever the hypervisor: runs on the fake and on a real libvirtd."""

import asyncio
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.driver import ConsoleNotOffered, StaleEpoch
from kilonova.compute.agent.spec import OpenVSwitchPlug, ServerSpec, SpecFlavor, VolumeSource
from kilonova.kit.connectors import NbdConnection
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import (
    MIB,
    Rig,
    change,
    make_port,
    make_spec,
    make_volume,
    settle,
    wait_for_event,
    wait_for_power,
)

replace = msgspec.structs.replace


async def test_the_first_call_starts_the_download_and_later_ones_end_with_a_running_server(rig: Rig) -> None:
    rig.images.gate.clear()
    spec = make_spec(rig.images.add(bytes(MIB)))
    first = await rig.driver.ensure_server(spec, 3)
    assert (first.power, first.epoch) == ("absent", 3)
    assert first.progress.startswith("downloading image")
    assert (await rig.driver.observe_server(spec.id)).progress.startswith("downloading image")
    rig.images.gate.set()
    await wait_for_event(rig, spec.id)
    seen = await settle(rig, spec, 3)
    assert (seen.power, seen.message, seen.progress) == ("running", "", "")
    assert rig.images.fetched == [spec.image.id if spec.image else ""]


async def test_repeating_a_call_changes_nothing(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    for _ in range(3):
        assert (await rig.driver.ensure_server(spec, 1)).power == "running"
    assert await rig.boot_marker(spec.id) == marker


async def test_what_was_done_for_a_server_is_told_with_its_times_and_only_once(rig: Rig) -> None:
    rig.images.gate.clear()
    spec = make_spec(rig.images.add(bytes(MIB)))
    began = datetime.now(UTC)
    assert (await rig.driver.ensure_server(spec, 1)).milestones == ()
    rig.images.gate.set()
    done = (await settle(rig, spec)).milestones
    assert {"fetch_image", "start_domain"} <= {each.what for each in done}
    starts = [each.started_at for each in done]
    assert starts == sorted(starts) and starts[0] >= began
    assert all(each.finished_at is not None and each.finished_at >= each.started_at for each in done)
    assert (await rig.driver.ensure_server(spec, 1)).milestones == done
    await rig.driver.release_server(spec.id, 1)
    other = make_spec(spec.image)
    assert {each.what for each in (await settle(rig, other)).milestones} == {each.what for each in done}


async def test_two_servers_share_one_download(rig: Rig) -> None:
    image = rig.images.add(bytes(MIB))
    specs = [make_spec(image), make_spec(image)]
    await asyncio.gather(*(settle(rig, spec) for spec in specs))
    assert rig.images.fetched == [image.id]
    seen = await rig.driver.observe_all()
    assert {each.id: each.power for each in seen} == {spec.id: "running" for spec in specs}


async def test_an_older_epoch_is_refused_also_by_the_next_agent_on_the_host(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec, 7)
    for _ in range(2):
        with pytest.raises(StaleEpoch, match=r"Epoch 6 .* older than 7"):
            await rig.driver.ensure_server(spec, 6)
        with pytest.raises(StaleEpoch):
            await rig.driver.release_server(spec.id, 6)
        await rig.restart_agent()
    assert (await rig.driver.observe_server(spec.id)).power == "running"
    await rig.driver.ensure_server(spec, 8)
    assert (await rig.driver.observe_server(spec.id)).epoch == 8


async def test_the_next_agent_finds_the_servers_running(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    await rig.restart_agent()
    assert [each.power for each in await rig.driver.observe_all()] == ["running"]
    assert (await settle(rig, spec)).power == "running"
    assert await rig.boot_marker(spec.id) == marker


async def test_release_leaves_nothing_and_can_be_repeated(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec, 2)
    await rig.driver.release_server(spec.id, 3)
    assert not rig.has_leftovers(spec.id)
    assert (await rig.driver.observe_server(spec.id)).power == "absent"
    await rig.driver.release_server(spec.id, 3)
    with pytest.raises(StaleEpoch):
        await rig.driver.ensure_server(spec, 2)
    assert not rig.has_leftovers(spec.id)


async def test_release_of_what_was_never_there_is_fine(rig: Rig) -> None:
    await rig.driver.release_server(str(uuid.uuid4()), 1)
    assert await rig.driver.observe_all() == []


async def test_release_while_the_image_is_fetched_leaves_nothing(rig: Rig) -> None:
    rig.images.gate.clear()
    spec = make_spec(rig.images.add(bytes(MIB)))
    await rig.driver.ensure_server(spec, 1)
    await rig.driver.release_server(spec.id, 2)
    rig.images.gate.set()
    await asyncio.sleep(0.1)
    assert await rig.driver.observe_all() == []
    assert not rig.has_leftovers(spec.id)


async def test_a_domain_name_taken_by_another_domain_is_an_error_naming_it(rig: Rig) -> None:
    other = str(uuid.uuid4())
    await rig.add_foreign_domain(other, "instance-taken")
    spec = make_spec(rig.images.add(bytes(MIB)), instance_name="instance-taken")
    with pytest.raises(HostError, match=f"instance-taken is taken on this host by a domain {other}"):
        await settle(rig, spec)
    await rig.driver.release_server(spec.id, 2)
    assert await rig.has_foreign_domain(other)


async def test_a_uuid_taken_by_a_domain_not_of_this_cloud_is_an_error_naming_it(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await rig.add_foreign_domain(spec.id, "somebody-elses")
    with pytest.raises(HostError, match=f"somebody-elses on this host has the UUID {spec.id}"):
        await settle(rig, spec)
    assert "somebody-elses" in (await rig.driver.observe_server(spec.id)).message
    await rig.driver.release_server(spec.id, 2)
    assert await rig.has_foreign_domain(spec.id)


async def test_stop_and_start(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    assert (await settle(rig, replace(spec, power="stopped"))).power == "stopped"
    assert (await settle(rig, replace(spec, power="stopped"))).power == "stopped"
    assert (await settle(rig, spec)).power == "running"


async def test_a_server_wanted_stopped_is_built_and_not_started(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), power="stopped")
    assert (await settle(rig, spec)).power == "stopped"
    assert (await settle(rig, replace(spec, power="running"))).power == "running"


async def test_pause_and_resume(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    assert (await settle(rig, replace(spec, power="paused"))).power == "paused"
    assert (await settle(rig, spec)).power == "running"
    assert await rig.boot_marker(spec.id) == marker


async def test_suspend_and_resume(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    assert (await settle(rig, replace(spec, power="suspended"))).power == "suspended"
    assert (await settle(rig, spec)).power == "running"


async def test_a_suspended_server_can_be_stopped_and_released(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    await settle(rig, replace(spec, power="suspended"))
    assert (await settle(rig, replace(spec, power="stopped"))).power == "stopped"
    await settle(rig, spec)
    await settle(rig, replace(spec, power="suspended"))
    await rig.driver.release_server(spec.id, 1)
    assert not rig.has_leftovers(spec.id)


@pytest.mark.parametrize("reboot_type", ["SOFT", "HARD"])
async def test_a_raised_reboot_count_reboots_once(rig: Rig, reboot_type: str) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), reboot_count=4)
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    rebooted = replace(spec, reboot_count=5, reboot_type=reboot_type)
    assert (await settle(rig, rebooted)).power == "running"
    after = await rig.boot_marker(spec.id)
    assert after != marker
    await rig.restart_agent()
    await settle(rig, rebooted)
    assert await rig.boot_marker(spec.id) == after


async def test_the_reboot_of_a_stopped_server_is_its_start(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    await settle(rig, replace(spec, power="stopped"))
    rebooted = replace(spec, reboot_count=1, reboot_type="HARD")
    assert (await settle(rig, rebooted)).power == "running"
    marker = await rig.boot_marker(spec.id)
    await settle(rig, rebooted)
    assert await rig.boot_marker(spec.id) == marker


async def test_a_guest_that_stops_by_itself_is_reported_and_started_again_when_wanted(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    await asyncio.sleep(0.05)
    rig.events.clear()
    await rig.change_power(spec.id, "crashed")
    await wait_for_event(rig, spec.id)
    await wait_for_power(rig, spec.id, "crashed")
    assert (await settle(rig, spec)).power == "running"


async def test_an_image_with_another_checksum_is_refused_and_fetched_anew_by_the_call_after_that(rig: Rig) -> None:
    good = rig.images.add(bytes(MIB))
    spec = make_spec(replace(good, sha512="0" * 128))
    with pytest.raises(HostError, match=f"Image {good.id} does not have the SHA-512"):
        await settle(rig, spec)
    assert "SHA-512" in (await rig.driver.observe_server(spec.id)).message
    assert (await settle(rig, change(spec, image=good))).power == "running"
    assert (await rig.driver.observe_server(spec.id)).message == ""


@pytest.mark.parametrize("difference", [-1, 1])
async def test_an_image_of_another_size_is_refused(rig: Rig, difference: int) -> None:
    good = rig.images.add(bytes(MIB))
    with pytest.raises(HostError, match=f"Image {good.id} "):
        await settle(rig, make_spec(replace(good, size_bytes=MIB + difference)))


async def test_an_image_larger_than_the_flavors_disk_is_refused(rig: Rig, tmp_path: Path) -> None:
    flavor = SpecFlavor("1", "m1.small", 1, 32, 1)
    path = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "2G"], check=True)
    image = rig.images.add(path.read_bytes(), disk_format="qcow2", min_disk_gib=2)
    with pytest.raises(HostError, match=r"needs 2147483648 bytes of root disk, the flavor has 1 GiB"):
        await settle(rig, make_spec(image, flavor=flavor))


@pytest.mark.parametrize("bad", ["../../etc", "", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "x"])
async def test_what_is_no_server_id_is_refused(rig: Rig, bad: str) -> None:
    spec = make_spec(None, instance_name="instance-bad", metadata_document=make_spec(None).metadata_document)
    with pytest.raises(HostError, match="is not the id of a server"):
        await rig.driver.ensure_server(replace(spec, id=bad), 1)
    with pytest.raises(HostError, match="is not the id of a server"):
        await rig.driver.release_server(bad, 1)


async def test_the_console_log_of_a_server_that_is_not_there_is_empty(rig: Rig) -> None:
    assert await rig.driver.console_log(str(uuid.uuid4()), None) == ""


async def test_diagnostics_tell_what_a_guest_uses(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    with pytest.raises(HostError, match="has no guest"):
        await rig.driver.diagnostics(spec.id)
    await settle(rig, spec)
    found = await rig.driver.diagnostics(spec.id)
    assert (found.power, len(found.cpu_times_ns)) == ("running", spec.flavor.vcpus)
    assert [each.device for each in found.disks] == ["vda"]
    assert [(each.device, each.mac_address) for each in found.interfaces] == [
        (port.tap, port.mac_address) for port in spec.ports
    ]
    assert (found.memory_kib, found.memory_maximum_kib) == (spec.flavor.memory_mib << 10,) * 2
    assert {each.errors for each in found.disks} == {0}
    # The kernel drops what comes before the guest takes anything, which no driver can help.
    assert {(each.rx_errors, each.tx_errors) for each in found.interfaces} == {(0, 0)}


async def test_a_guest_that_runs_can_be_interrupted(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    with pytest.raises(HostError, match="has no guest"):
        await rig.driver.interrupt(spec.id)
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    await rig.driver.interrupt(spec.id)
    assert (await rig.driver.observe_server(spec.id)).power == "running"
    assert await rig.boot_marker(spec.id) == marker


async def test_a_password_is_set_through_the_agent_of_a_guest_that_runs(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    with pytest.raises(HostError, match="has no guest"):
        await rig.driver.set_admin_password(spec.id, "root", "secret")
    await settle(rig, spec)
    with pytest.raises(
        HostError, match="no channel to a QEMU guest agent: its image has to say hw_qemu_guest_agent=yes"
    ):
        await rig.driver.set_admin_password(spec.id, "root", "secret")


async def test_a_kernel_that_is_not_what_it_is_said_to_be_is_not_booted(rig: Rig) -> None:
    kernel = rig.images.add(b"kernel", image_id=str(uuid.uuid4()), disk_format="aki", sha512="0" * 128)
    with pytest.raises(HostError, match=f"Image {kernel.id} does not have the SHA-512"):
        await settle(rig, make_spec(rig.images.add(bytes(MIB)), kernel=kernel))


async def test_a_disk_does_not_begin_as_a_kernel(rig: Rig) -> None:
    image = rig.images.add(b"kernel", disk_format="aki")
    with pytest.raises(HostError, match="disk format aki, which servers cannot boot from"):
        await settle(rig, make_spec(image))
    assert rig.images.fetched == []


async def devices_of(rig: Rig, spec: ServerSpec) -> tuple[list[str], list[str]]:
    """The disks and the taps of a server's guest."""
    found = await rig.driver.diagnostics(spec.id)
    return sorted(each.device for each in found.disks), sorted(each.device for each in found.interfaces)


async def test_a_running_guest_gets_and_loses_a_port(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    (first,), second = spec.ports, make_port()
    for _ in range(2):
        await settle(rig, replace(spec, ports=(first, second)))
        assert (await devices_of(rig, spec))[1] == sorted([first.tap, second.tap])
    assert await rig.boot_marker(spec.id) == marker
    rig.make_guests_keep_devices()
    for _ in range(2):
        asked = await rig.driver.ensure_server(spec, 1)
        assert asked.progress == f"the guest has yet to let go of {second.tap}"
    await settle(rig, replace(spec, reboot_count=1, reboot_type="HARD"))
    assert (await devices_of(rig, spec))[1] == [first.tap]


async def test_a_running_guest_gets_and_loses_a_volume(rig: Rig, tmp_path: Path) -> None:
    image = rig.images.add(bytes(MIB), properties={"hw_disk_bus": "scsi"})
    spec, volume = make_spec(image), make_volume(tmp_path / "volume")
    with_volume = replace(spec, disks=(*spec.disks, volume))
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    for _ in range(2):
        assert (await settle(rig, with_volume)).power == "running"
        assert (await devices_of(rig, spec))[0] == ["sda", "sdb"]
        assert rig.connected(spec.id) == {volume.place.serial}
        await rig.restart_agent()
    for _ in range(2):
        assert (await settle(rig, spec)).power == "running"
        assert (await devices_of(rig, spec))[0] == ["sda"]
        assert rig.connected(spec.id) == set()
    assert await rig.boot_marker(spec.id) == marker
    assert (tmp_path / "volume").stat().st_size == MIB


async def test_a_server_is_started_with_its_volumes_and_released_without_them(rig: Rig, tmp_path: Path) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    volumes = tuple(make_volume(tmp_path / name, name, bus="virtio") for name in ("vdb", "vdc"))
    spec = replace(spec, disks=spec.disks + volumes)
    await settle(rig, spec)
    assert (await devices_of(rig, spec))[0] == ["vda", "vdb", "vdc"]
    assert rig.connected(spec.id) == {each.place.serial for each in volumes}
    await rig.driver.release_server(spec.id, 1)
    assert not rig.has_leftovers(spec.id)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["vdb", "vdc"]


async def test_a_volume_stays_connected_until_the_guest_has_let_go_of_it(rig: Rig, tmp_path: Path) -> None:
    spec, volume = make_spec(rig.images.add(bytes(MIB))), make_volume(tmp_path / "volume", "vdb", bus="virtio")
    await settle(rig, replace(spec, disks=(*spec.disks, volume)))
    rig.make_guests_keep_devices()
    serial = volume.place.serial
    for _ in range(2):
        asked = await rig.driver.ensure_server(spec, 1)
        assert asked.progress == f"the guest has yet to let go of {serial}"
        assert rig.connected(spec.id) == {serial}
        await rig.restart_agent()
    await settle(rig, replace(spec, reboot_count=1, reboot_type="HARD"))
    await settle(rig, replace(spec, reboot_count=1))
    assert (await devices_of(rig, spec))[0] == ["vda"]
    assert rig.connected(spec.id) == set()


async def test_a_suspended_guest_keeps_its_volume_until_it_is_resumed(rig: Rig, tmp_path: Path) -> None:
    image = rig.images.add(bytes(MIB), properties={"hw_disk_bus": "scsi"})
    spec, volume = make_spec(image), make_volume(tmp_path / "volume")
    with_volume = replace(spec, disks=(*spec.disks, volume))
    await settle(rig, with_volume)
    await settle(rig, replace(with_volume, power="suspended"))
    asked = await rig.driver.ensure_server(replace(spec, power="suspended"), 1)
    assert (asked.power, rig.connected(spec.id)) == ("suspended", {volume.place.serial})
    assert "has yet to let go" in asked.progress
    await settle(rig, spec)
    await settle(rig, spec)
    assert (await devices_of(rig, spec))[0] == ["sda"]
    assert rig.connected(spec.id) == set()


async def test_a_volume_that_cannot_be_reached_is_refused_by_name(rig: Rig, tmp_path: Path) -> None:
    spec, volume = make_spec(rig.images.add(bytes(MIB))), make_volume(tmp_path / "volume")
    (tmp_path / "volume").unlink()
    with pytest.raises(HostError, match=f"{tmp_path}/volume cannot be reached"):
        await settle(rig, replace(spec, disks=(*spec.disks, volume)))
    assert (await settle(rig, spec)).power == "running"
    assert rig.connected(spec.id) == set()


async def test_a_server_whose_volume_cannot_be_connected_says_so_and_can_be_released(rig: Rig, tmp_path: Path) -> None:
    spec, volume = make_spec(rig.images.add(bytes(MIB))), make_volume(tmp_path / "volume")
    source = VolumeSource("v1", NbdConnection(host="127.0.0.1", port=10809, export="v1"))
    with pytest.raises(HostError, match="cannot connect volumes of kind nbd yet"):
        await settle(rig, replace(spec, disks=(*spec.disks, replace(volume, source=source))))
    await rig.driver.release_server(spec.id, 1)
    assert not rig.has_leftovers(spec.id)


async def test_two_disks_in_one_place_are_refused(rig: Rig, tmp_path: Path) -> None:
    spec, volume = make_spec(rig.images.add(bytes(MIB))), make_volume(tmp_path / "volume", "vda")
    with pytest.raises(HostError, match="Two disks of the server are to be vda"):
        await settle(rig, replace(spec, disks=(*spec.disks, volume)))


async def test_a_plug_that_the_host_does_not_have_is_refused(rig: Rig) -> None:
    port = make_port(plug=OpenVSwitchPlug("br-int", "p1"))
    with pytest.raises(HostError, match=f"Port {port.id} belongs into br-int of Open vSwitch"):
        await settle(rig, make_spec(rig.images.add(bytes(MIB)), ports=(port,)))


async def test_a_running_guest_says_where_its_screen_is(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    with pytest.raises(HostError, match="has no guest"):
        await rig.driver.console_address(spec.id, "vnc")
    await settle(rig, spec)
    found = await rig.driver.console_address(spec.id, "vnc")
    assert (found.host, found.base_url) == ("127.0.0.1", "http://127.0.0.1:6080/vnc_auto.html")
    assert await rig.driver.console_address(spec.id, "vnc") == found
    reader, writer = await asyncio.open_connection(found.host, found.port)
    assert (await reader.readexactly(12)).startswith(b"RFB 003.")
    await settle(rig, replace(spec, power="paused"))
    assert await rig.driver.console_address(spec.id, "vnc") == found
    await settle(rig, replace(spec, reboot_count=1, reboot_type="HARD"))
    assert (await rig.driver.console_address(spec.id, "vnc")).boot != found.boot
    # The one that was open has ended with the guest it belonged to.
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()
    await settle(rig, replace(spec, power="stopped", reboot_count=1))
    with pytest.raises(HostError, match="has no guest"):
        await rig.driver.console_address(spec.id, "vnc")


async def test_a_console_that_the_host_does_not_offer_is_refused(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    with pytest.raises(ConsoleNotOffered, match="offers no spice consoles"):
        await rig.driver.console_address(spec.id, "spice")


async def test_the_inventory_names_the_host_and_what_it_offers(rig: Rig) -> None:
    found = await rig.driver.inventory()
    assert (found.hostname, found.host_ip) == ("host1", "127.0.0.1")
    assert min(found.vcpus, found.memory_mib, found.disk_gib, found.hypervisor_version) > 0
    assert "x86_64" in {arch for arch, _, _ in found.supported_instances}
    assert {mode for _, _, mode in found.supported_instances} == {"hvm"}
    assert {"COMPUTE_NODE", "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_STORAGE_BUS_VIRTIO", "HW_ARCH_X86_64"} <= set(
        found.traits
    )
    assert found.cpu_info["topology"].keys() == {"cells", "sockets", "cores", "threads"}


async def test_an_image_that_was_fetched_ahead_is_not_fetched_again(rig: Rig) -> None:
    image = rig.images.add(bytes(MIB))
    rig.images.gate.clear()
    await rig.driver.cache_images([image])
    await asyncio.sleep(0.1)
    spec = make_spec(image)
    assert (await rig.driver.ensure_server(spec, 1)).progress.startswith("downloading image")
    rig.images.gate.set()
    await settle(rig, spec)
    await rig.driver.cache_images([image])
    assert rig.images.fetched == [image.id]


async def test_an_image_that_cannot_be_fetched_ahead_is_tried_again_with_a_server(rig: Rig) -> None:
    image = rig.images.add(bytes(MIB))
    await rig.driver.cache_images([replace(image, sha512="0" * 128)])
    await asyncio.sleep(0.2)
    assert (await settle(rig, make_spec(image))).power == "running"
