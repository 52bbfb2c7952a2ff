"""How each program of compute comes about: what leads to its beginning, who asks for it, which steps it goes through.

The crash harness goes through every story, dying at each of its steps; `tests/test_programs.py` finds what no story
goes through.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from kilonova.compute.hosts import hosts
from kilonova.compute.operations import INJECT_NETWORK, SHELVE_OFFLOAD
from kilonova.compute.programs.interfaces import INJECT_NETWORK as INJECTING
from kilonova.compute.programs.shelving import SHELVE_OFFLOAD as OFFLOADING
from kilonova.compute.servers import servers
from kilonova.compute.servers.options import ServerOptions

World = Any
PINNED = {"hw:cpu_policy": "dedicated"}
"""Extra specs of a flavor whose servers take some of a host's NUMA nodes."""
Act = Callable[[World, str], Awaitable[None]]
"""(world, server's id)"""

OUT_OF_ORDER = "qemu is out of order"


async def nothing(_world: World, _server_id: str) -> None:
    return None


def api(action: str, argument: Any = None) -> Act:
    """A user's POST to the server's actions."""

    async def act(world: World, server_id: str) -> None:
        body = {action: argument}
        response = await world.client.post(f"/v2.1/servers/{server_id}/action", json=body)
        assert response.status_code == 202, response.text

    return act


async def live_migrate(world: World, server_id: str) -> None:
    """An administrator's wish, to any other host."""
    body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    headers = {"openstack-api-version": "compute 2.90"}
    response = await world.admin_client.post(f"/v2.1/servers/{server_id}/action", json=body, headers=headers)
    assert response.status_code == 202, response.text


def cut_wires(*names: str) -> Act:
    """Guests that leave these hosts do not arrive anywhere."""

    async def act(world: World, _server_id: str) -> None:
        for name in world.hosts.keys() & set(names):
            world.hosts[name].migration_failures = ["the wire was cut"] * 100

    return act


def silence_hosts_of(which: str) -> Act:
    """The agent of the server's host, or of the other one, stops answering."""

    async def act(world: World, server_id: str) -> None:
        host = (await world.server(server_id)).host
        others = [name for name in world.hosts if name != host]
        world.silence(*([host] if which == "source" else others))

    return act


async def lose_host(world: World, server_id: str) -> None:
    """The server's host is down, and an administrator has said so."""
    host = (await world.server(server_id)).host
    world.silence(host)
    headers = {"openstack-api-version": "compute 2.90"}
    url = "/v2.1/os-services"
    found = (await world.admin_client.get(f"{url}?host={host}", headers=headers)).json()["services"]
    for service in found:
        if service["binary"] == "nova-compute":
            answer = await world.admin_client.put(f"{url}/{service['id']}", json={"forced_down": True}, headers=headers)
            assert answer.status_code == 200, answer.text


async def find_host_again(world: World, _server_id: str) -> None:
    """All hosts answer again, and nobody says that they do not."""
    world.end_silence()
    headers = {"openstack-api-version": "compute 2.90"}
    for service in (await world.admin_client.get("/v2.1/os-services", headers=headers)).json()["services"]:
        if service["forced_down"]:
            await world.admin_client.put(
                f"/v2.1/os-services/{service['id']}", json={"forced_down": False}, headers=headers
            )


def evacuate(version: str = "2.90") -> Act:
    async def act(world: World, server_id: str) -> None:
        headers = {"openstack-api-version": f"compute {version}"}
        response = await world.admin_client.post(
            f"/v2.1/servers/{server_id}/action", json={"evacuate": {}}, headers=headers
        )
        assert response.status_code == 200, response.text

    return act


async def go_half_way(world: World, server_id: str) -> None:
    """A guest is on its way, and does not arrive."""
    await slow_down(world, server_id)
    await live_migrate(world, server_id)
    await run_to("move_guest")(world, server_id)


async def slow_down(world: World, _server_id: str) -> None:
    """Hosts have each other's images, and take a minute for everything else."""
    images = set().union(*(metal.image_hashes for metal in world.hosts.values()))
    for metal in world.hosts.values():
        metal.image_hashes, metal.delay_seconds = set(images), 60.0


def run_to(step: str) -> Act:
    """Lets the server's task go on until it is about to take that step."""

    async def act(world: World, server_id: str) -> None:
        runner = world.make_runner()
        while (newest := (await world.tasks_of(server_id))[0]).step != step:
            assert newest.finished_at is None, f"it went past {step} without a stop"
            task = await runner.claim_one()
            if task is not None:
                await runner.run_task(task)
            else:
                world.clock.advance(1)

    return act


def reset_state(state: str) -> Act:
    """An administrator's word on what the server is."""

    async def act(world: World, server_id: str) -> None:
        body = {"os-resetState": {"state": state}}
        response = await world.admin_client.post(f"/v2.1/servers/{server_id}/action", json=body)
        assert response.status_code == 202, response.text

    return act


async def cancel_migration(world: World, server_id: str) -> None:
    url = f"/v2.1/servers/{server_id}/migrations"
    headers = {"openstack-api-version": "compute 2.90"}
    (found,) = (await world.admin_client.get(url, headers=headers)).json()["migrations"]
    response = await world.admin_client.delete(f"{url}/{found['id']}", headers=headers)
    assert response.status_code == 202, response.text


LARGER = {"name": "m1.larger", "id": "larger", "vcpus": 2, "ram": 1024, "disk": 2}


async def make_larger_flavor(world: World) -> None:
    answer = await world.admin_client.post("/v2.1/flavors", json={"flavor": LARGER})
    assert answer.status_code in (200, 409), answer.text


async def pin_larger_flavor(world: World, _server_id: str) -> None:
    """The larger flavor has processors of its own, too."""
    await make_larger_flavor(world)
    answer = await world.admin_client.post("/v2.1/flavors/larger/os-extra_specs", json={"extra_specs": PINNED})
    assert answer.status_code == 200, answer.text


async def resize(world: World, server_id: str) -> None:
    """A user's wish for a larger flavor."""
    await make_larger_flavor(world)
    await api("resize", {"flavorRef": "larger"})(world, server_id)


async def resize_away(world: World, server_id: str) -> None:
    """In a cloud where servers get their new flavor on another host."""
    world.compute.options = ServerOptions(may_resize_in_place=False)
    await resize(world, server_id)
    world.compute.options = ServerOptions()


async def migrate(world: World, server_id: str) -> None:
    """An administrator's wish, to any other host."""
    response = await world.admin_client.post(f"/v2.1/servers/{server_id}/action", json={"migrate": None})
    assert response.status_code == 202, response.text


async def confirm(world: World, server_id: str) -> None:
    response = await world.client.post(f"/v2.1/servers/{server_id}/action", json={"confirmResize": None})
    assert response.status_code == 204, response.text


async def fail_on_target(world: World, server_id: str) -> None:
    """Nothing starts on the hosts that the server is not on."""
    host = (await world.server(server_id)).host
    for name, metal in world.hosts.items():
        if name != host:
            metal.failures = [OUT_OF_ORDER] * 100


def backup(name: str, rotation: int = 1) -> Act:
    return api("createBackup", {"name": name, "backup_type": "daily", "rotation": rotation})


async def delete(world: World, server_id: str) -> None:
    response = await world.client.delete(f"/v2.1/servers/{server_id}")
    assert response.status_code == 204, response.text


async def delete_softly(world: World, server_id: str) -> None:
    """Where deleted servers are kept for an hour."""
    world.compute.options = ServerOptions(reclaim_seconds=3600)
    await delete(world, server_id)
    world.compute.options = ServerOptions()


def shelve(offload_after: int = 0) -> Act:
    """In a cloud where a shelved server keeps its host for so many seconds."""

    async def act(world: World, server_id: str) -> None:
        world.compute.options = ServerOptions(shelved_offload_seconds=offload_after)
        await api("shelve")(world, server_id)
        world.compute.options = ServerOptions()

    return act


async def offload(world: World, server_id: str) -> None:
    """An administrator's wish."""
    async with world.compute.here.transaction() as tx:
        server = await servers.find(tx, server_id)
        await servers.begin(tx, server, SHELVE_OFFLOAD, OFFLOADING.new_task(server_id), world.clock.now())


async def inject(world: World, server_id: str) -> None:
    """An administrator's wish."""
    async with world.compute.here.transaction() as tx:
        server = await servers.find(tx, server_id)
        await servers.begin(tx, server, INJECT_NETWORK, INJECTING.new_task(server_id), world.clock.now())


async def attach(world: World, server_id: str) -> None:
    """A new port on the network."""
    body = {"interfaceAttachment": {"net_id": world.network_id}}
    response = await world.client.post(f"/v2.1/servers/{server_id}/os-interface", json=body)
    assert response.status_code == 200, response.text


async def detach(world: World, server_id: str) -> None:
    (port,) = await world.compute.network.list_ports(device_id=server_id)
    response = await world.client.delete(f"/v2.1/servers/{server_id}/os-interface/{port.id}")
    assert response.status_code == 202, response.text


async def attach_volume(world: World, server_id: str) -> None:
    """A volume that nobody has."""
    body = {"volumeAttachment": {"volumeId": await world.free_volume()}}
    response = await world.client.post(f"/v2.1/servers/{server_id}/os-volume_attachments", json=body)
    assert response.status_code == 200, response.text


async def attach_doomed_volume(world: World, server_id: str) -> None:
    """A volume that is deleted with the server."""
    body = {"volumeAttachment": {"volumeId": await world.make_volume(), "delete_on_termination": True}}
    headers = {"openstack-api-version": "compute 2.79"}
    url = f"/v2.1/servers/{server_id}/os-volume_attachments"
    response = await world.client.post(url, json=body, headers=headers)
    assert response.status_code == 200, response.text


async def detach_volume(world: World, server_id: str) -> None:
    (volume,) = (await world.server(server_id)).volumes
    response = await world.client.delete(f"/v2.1/servers/{server_id}/os-volume_attachments/{volume['id']}")
    assert response.status_code == 202, response.text


async def lose_backend(world: World, _server_id: str) -> None:
    """The back end of the volumes stops answering."""
    world.compute.bus._servers.pop("cinder-volume.node1@fake", None)


def rebuild(**fields: Any) -> Act:
    """From an image that is uploaded for it."""

    async def act(world: World, server_id: str) -> None:
        await api("rebuild", {"imageRef": await world.upload_image(), **fields})(world, server_id)

    return act


async def rescue(world: World, server_id: str) -> None:
    body = {"rescue": {"rescue_image_ref": await world.upload_image()}}
    response = await world.client.post(f"/v2.1/servers/{server_id}/action", json=body)
    assert response.status_code == 200, response.text


def fail_on(*names: str) -> Act:
    """From now on nothing starts on these hosts, however often it is tried."""

    async def act(world: World, _server_id: str) -> None:
        for name in world.hosts.keys() & set(names):
            world.hosts[name].failures = [OUT_OF_ORDER] * 100

    return act


async def mend(world: World, _server_id: str) -> None:
    """From now on everything starts again."""
    for metal in world.hosts.values():
        metal.failures.clear()


async def silence(world: World, _server_id: str) -> None:
    world.silence()


async def run(world: World, _server_id: str) -> None:
    """Whatever is under way comes to its end."""
    await world.run()


async def later(world: World, _server_id: str) -> None:
    """A second passes."""
    world.clock.advance(1)


def in_order(*acts: Act) -> Act:
    async def act(world: World, server_id: str) -> None:
        for each in acts:
            await each(world, server_id)

    return act


def fail_copies(times: int = 1) -> Act:
    """The next copies of disks come to nothing."""

    async def act(world: World, _server_id: str) -> None:
        for metal in world.hosts.values():
            metal.snapshot_failures = ["The disk is full."] * times

    return act


async def tidy(world: World, server_id: str) -> None:
    """After a story: hosts answer and start guests again, and nobody remembers that they did not."""
    if world.silent:
        await find_host_again(world, server_id)
    for metal in world.hosts.values():
        metal.failures.clear()
        metal.migration_failures.clear()
        metal.delay_seconds = 0.0
    async with world.compute.database.transaction() as tx:
        for name in world.hosts:
            await hosts.count_success(tx, name)


@dataclass(frozen=True)
class Story:
    """One way through one program."""

    name: str
    program: str
    steps: tuple[str, ...]
    """Those it dies at: all it goes through, or those at which it is not like an earlier story."""
    ask: Act
    """Brings the program about; the server's build task is there already, and has run when `is_built`."""
    status: str
    """How the server ends; empty: it is gone."""
    is_built: bool = True
    boots: int = 0
    """How often the guest starts by it, neither more nor less."""
    server: dict[str, Any] = field(default_factory=dict)
    """For `World.insert_server`."""
    hosts: int = 1
    cells: int = 0
    """Apart from the region's database; 0: that is the one cell."""
    with_calls: bool = False
    """Whether it dies after each of its calls, too."""


MOVED = ("choose_target", "expect_guest", "move_guest", "switch", "settle", "leave_source")
RESIZED = ("choose_host", "bring_disks", "change_over", "start_changed")
UNDONE = ("bring_disks", "undo_change")
REVERTED = ("leave_target", "return_home", "start_former")
revert = api("revertResize")
BUILT = ("schedule", "ports", "spawn", "wait_active")
POWER = ("converge_power",)
DESTROYED = ("stop_guest", "release_ports", "release_volumes", "release_claim", "forget")
POWERED_OFF, PAUSED, ASLEEP = (in_order(api(each), run) for each in ("os-stop", "pause", "suspend"))
SOFT_REBOOT, HARD_REBOOT = (api("reboot", {"type": each}) for each in ("SOFT", "HARD"))
ALL_FAIL = fail_on("node1", "node2")
BROKEN = in_order(ALL_FAIL, HARD_REBOOT, run, mend)
unshelve = api("unshelve")
GONE, KEPT = in_order(shelve(), run), in_order(shelve(offload_after=-1), run)
SHELVED = ("power_down", "copy_disk", "describe_copy", "send_copy", "offload")
UNSHELVED = ("find_host", "bind_ports", "power_up", "forget_image")
REBUILT = ("remake", "wait_rebuilt")
ATTACHED, DETACHED = ("bind", "plug"), ("unplug", "let_go")
PLUGGED = ("reserve_volume", "connect_volume", "plug_volume", "complete_volume")
UNPLUGGED = ("announce_detaching", "unplug_volume", "release_volume")
HALF_GIVEN = in_order(silence, attach_volume, run_to("plug_volume"), find_host_again)
HELD, DOOMED = in_order(attach_volume, run), in_order(attach_doomed_volume, run)
COPIED, BACKED_UP = ("capture", "prepare", "upload"), ("back_up", "describe", "send", "rotate")
IMAGE = api("createImage", {"name": "copy"})
FROM_VOLUME = ("hold_volumes", "spawn", "wait_active", "complete_volumes")
ROOT_VOLUME = {"boots_from_volume": True}
NO_NETWORK: dict[str, Any] = {"networks": []}
TOO_LARGE = {"memory_mib": 1 << 30}


def building(name: str, steps: tuple[str, ...], ask: Act = nothing, status: str = "ACTIVE", **others: Any) -> Story:
    boots = 1 if status == "ACTIVE" else 0
    return Story(name, "build", steps, ask, status, is_built=False, boots=boots, **others)


def power(program: str, *acts: Act, status: str = "ACTIVE", name: str = "", **others: Any) -> Story:
    return Story(name or program, program, POWER, in_order(*acts), status, **others)


def moving(name: str, *acts: Act, steps: tuple[str, ...], **others: Any) -> Story:
    return Story(name, "live_migrate", steps, in_order(*acts), **{"status": "ACTIVE", "hosts": 2, **others})


def resizing(name: str, *acts: Act, steps: tuple[str, ...] = RESIZED, **others: Any) -> Story:
    wanted = {"program": "resize", "status": "VERIFY_RESIZE", "hosts": 2, "boots": 1, **others}
    return Story(name=name, steps=steps, ask=in_order(*acts), **wanted)


def evacuating(name: str, *acts: Act, steps: tuple[str, ...], **others: Any) -> Story:
    ask = in_order(lose_host, *acts)
    return Story(name, "evacuate", steps, ask, **{"status": "ACTIVE", "hosts": 2, "boots": 1, **others})


def deleting(name: str, *acts: Act, steps: tuple[str, ...] = ("stop_guest",), **others: Any) -> Story:
    return Story(name, "destroy", steps, in_order(*acts, delete), "", **others)


_STORIES = (
    building("a server is built", BUILT, with_calls=True),
    building("a server without networks", ("ports",), server={"networks": []}),
    building("one host fails", ("schedule", "leave_host"), fail_on("node1"), hosts=2, with_calls=True),
    building("all hosts fail", ("leave_host", "roll_back"), ALL_FAIL, "ERROR", hosts=2),
    building("no host answers", ("spawn", "roll_back"), silence, "ERROR"),
    building("no host has room", ("schedule", "roll_back"), status="ERROR", server=TOO_LARGE, with_calls=True),
    building("a server enters its cell", ("schedule", "enter_cell", "ports"), cells=2, with_calls=True),
    building("the cell's host fails", ("leave_host", "roll_back"), ALL_FAIL, "ERROR", cells=2),
    building("no cell has room", ("schedule", "roll_back"), status="ERROR", server=TOO_LARGE, cells=2),
    building("a server that boots from a volume", FROM_VOLUME, with_calls=True, server=ROOT_VOLUME),
    building(
        "a volume goes on to another host",
        ("hold_volumes", "leave_host"),
        fail_on("node1"),
        hosts=2,
        with_calls=True,
        server=ROOT_VOLUME,
    ),
    building("no host takes a volume", ("roll_back",), ALL_FAIL, "ERROR", hosts=2, server=ROOT_VOLUME),
    building("a silent host may have a volume", ("roll_back",), silence, "ERROR", server=ROOT_VOLUME),
    power("stop", api("os-stop"), status="SHUTOFF", with_calls=True),
    power("stop", silence, api("os-stop"), status="ERROR", name="stop on a silent host"),
    power("start", POWERED_OFF, api("os-start"), boots=1),
    power("start", POWERED_OFF, ALL_FAIL, api("os-start"), status="ERROR", name="start is refused"),
    power("reboot", SOFT_REBOOT, boots=1),
    power("reboot_hard", HARD_REBOOT, boots=1, name="hard reboot"),
    power("reboot_hard", POWERED_OFF, HARD_REBOOT, boots=1, name="hard reboot of what is off"),
    power("reboot_hard", PAUSED, HARD_REBOOT, boots=1, name="hard reboot of what is paused"),
    power("reboot_hard", ASLEEP, HARD_REBOOT, boots=1, name="hard reboot of what sleeps"),
    power("reboot_hard", api("suspend"), HARD_REBOOT, boots=1, name="hard reboot instead of a suspend"),
    power("pause", api("pause"), status="PAUSED"),
    power("unpause", PAUSED, api("unpause")),
    power("suspend", api("suspend"), status="SUSPENDED"),
    power("resume", ASLEEP, api("resume"), boots=1),
    Story("attach", "attach_interface", ATTACHED, attach, "ACTIVE", server=NO_NETWORK, with_calls=True),
    Story(
        "attach on a silent host",
        "attach_interface",
        ("plug", "take_off"),
        in_order(silence, attach),
        "ACTIVE",
        server=NO_NETWORK,
    ),
    Story("detach", "detach_interface", DETACHED, detach, "ACTIVE", with_calls=True),
    Story("detach on a silent host", "detach_interface", ("unplug", "put_back"), in_order(silence, detach), "ACTIVE"),
    Story("attach a volume", "attach_volume", PLUGGED, attach_volume, "ACTIVE", with_calls=True),
    Story(
        "attach a volume on a silent host",
        "attach_volume",
        ("plug_volume", "return_volume"),
        in_order(silence, attach_volume),
        "ACTIVE",
    ),
    Story(
        "attach a volume to what is off",
        "attach_volume",
        ("plug_volume",),
        in_order(POWERED_OFF, attach_volume),
        "SHUTOFF",
    ),
    Story("detach a volume", "detach_volume", UNPLUGGED, in_order(HELD, detach_volume), "ACTIVE", with_calls=True),
    Story(
        "detach a volume on a silent host",
        "detach_volume",
        ("unplug_volume", "keep_volume"),
        in_order(HELD, silence, detach_volume),
        "ACTIVE",
    ),
    Story("snapshot", "snapshot", COPIED, IMAGE, "ACTIVE", with_calls=True),
    Story("snapshot of what is off", "snapshot", ("capture",), in_order(POWERED_OFF, IMAGE), "SHUTOFF"),
    Story("snapshot on a full disk", "snapshot", ("discard",), in_order(fail_copies(), IMAGE), "ACTIVE"),
    Story("snapshot on a silent host", "snapshot", ("capture", "discard"), in_order(silence, IMAGE), "ACTIVE"),
    Story("backup", "backup", BACKED_UP, in_order(backup("old"), run, later, backup("new")), "ACTIVE", with_calls=True),
    Story("backup of which none stays", "backup", ("rotate",), backup("none", 0), "ACTIVE"),
    Story("backup on a full disk", "backup", ("withdraw",), in_order(fail_copies(), backup("new")), "ACTIVE"),
    Story("rebuild", "rebuild", REBUILT, rebuild(), "ACTIVE", boots=1, with_calls=True),
    Story("rebuild of what is off", "rebuild", REBUILT, in_order(POWERED_OFF, rebuild()), "SHUTOFF"),
    Story("rebuild of what failed", "rebuild", REBUILT, in_order(BROKEN, rebuild()), "ACTIVE", boots=1),
    Story("rebuild is refused", "rebuild", REBUILT[:1], in_order(ALL_FAIL, rebuild()), "ERROR"),
    Story("rebuild on a silent host", "rebuild", REBUILT[:1], in_order(silence, rebuild()), "ERROR"),
    power("rescue", rescue, status="RESCUE", boots=1, with_calls=True),
    power("rescue", POWERED_OFF, rescue, status="RESCUE", boots=1, name="rescue of what is off"),
    power("rescue", ALL_FAIL, rescue, status="ERROR", name="rescue is refused"),
    power("rescue", silence, rescue, status="ERROR", name="rescue on a silent host"),
    power("unrescue", in_order(rescue, run), api("unrescue"), boots=1),
    Story("shelve", "shelve", SHELVED, shelve(), "SHELVED_OFFLOADED", with_calls=True),
    Story("shelve on its host", "shelve", SHELVED[:-1], shelve(offload_after=-1), "SHELVED"),
    Story("shelve on a full disk", "shelve", ("take_down",), in_order(fail_copies(), shelve()), "ACTIVE", boots=1),
    Story("shelve of what is off", "shelve", ("take_down",), in_order(POWERED_OFF, fail_copies(), shelve()), "SHUTOFF"),
    Story("shelve on a silent host", "shelve", ("take_down",), in_order(silence, shelve()), "ACTIVE"),
    Story("offload", "shelve_offload", ("offload",), in_order(KEPT, offload), "SHELVED_OFFLOADED", with_calls=True),
    Story("unshelve", "unshelve", UNSHELVED, in_order(GONE, unshelve), "ACTIVE", boots=1, with_calls=True),
    Story("unshelve on its host", "unshelve", UNSHELVED[2:], in_order(KEPT, unshelve), "ACTIVE", boots=1),
    Story("unshelve is refused", "unshelve", ("put_back",), in_order(GONE, ALL_FAIL, unshelve), "SHELVED_OFFLOADED"),
    Story("unshelve on its host is refused", "unshelve", ("put_back",), in_order(KEPT, ALL_FAIL, unshelve), "SHELVED"),
    deleting("delete instead of a shelving", shelve()),
    deleting("delete of what is shelved", GONE),
    deleting("delete instead of an unshelving", GONE, unshelve),
    power("soft_delete", delete_softly, status="SOFT_DELETED", with_calls=True),
    power("soft_delete", silence, delete_softly, status="SOFT_DELETED", name="soft delete on a silent host"),
    power("restore", in_order(delete_softly, run), api("restore"), boots=1),
    deleting("delete of what was deleted softly", delete_softly, run),
    deleting("delete of what is rescued", rescue, run),
    deleting("delete instead of a rebuild", rebuild()),
    deleting("delete instead of a snapshot", IMAGE),
    Story("inject", "inject_network", ("look_again",), inject, "ACTIVE", with_calls=True),
    Story("inject on a silent host", "inject_network", ("look_again",), in_order(silence, inject), "ACTIVE"),
    deleting("delete instead of an attachment", attach, server=NO_NETWORK),
    deleting("delete instead of a detachment", detach),
    deleting("delete", steps=DESTROYED, with_calls=True),
    deleting("delete while it is built", is_built=False),
    deleting("delete instead of a reboot", HARD_REBOOT),
    deleting("delete of what is off", POWERED_OFF),
    deleting("delete of what failed", ALL_FAIL, run, is_built=False),
    deleting("delete in a cell", steps=DESTROYED, cells=2, with_calls=True),
    deleting("delete before it enters its cell", is_built=False, cells=2),
    deleting("delete of what failed in a cell", ALL_FAIL, run, is_built=False, cells=2),
    deleting("delete of what no cell has room for", run, is_built=False, cells=2, server=TOO_LARGE),
    deleting("delete on a silent host", silence, steps=("stop_guest", "forget")),
    deleting("delete with a volume", HELD, steps=("stop_guest", "release_volumes"), with_calls=True),
    deleting("delete with a volume that goes with it", DOOMED, steps=("release_volumes",), with_calls=True),
    deleting("delete instead of giving a volume", HALF_GIVEN, steps=("release_volumes",)),
    deleting("delete instead of a detachment", HELD, detach_volume, steps=("stop_guest", "release_volumes")),
    moving("a guest moves to another host", live_migrate, steps=MOVED, with_calls=True),
    moving("a paused guest moves", api("pause"), run, live_migrate, steps=("settle",), status="PAUSED"),
    resizing("a server gets a flavor on another host", resize_away, with_calls=True),
    resizing("a server gets a flavor where it is", resize, hosts=1, with_calls=True),
    resizing("a server that is off gets a flavor on another host", POWERED_OFF, resize_away, boots=0),
    resizing("a server that is off gets a flavor where it is", POWERED_OFF, resize, hosts=1, boots=0),
    resizing("a server gets another host", migrate, program="cold_migrate", steps=RESIZED),
    resizing(
        "a server gets no other host",
        cut_wires("node1", "node2"),
        migrate,
        program="cold_migrate",
        steps=UNDONE,
        status="ACTIVE",
    ),
    # The guest comes back to where it was: a second start there, or one here and none left there.
    resizing("no disk comes over", cut_wires("node1", "node2"), resize_away, steps=UNDONE, status="ACTIVE"),
    resizing("it does not start there", fail_on_target, resize_away, steps=("undo_change",), status="ACTIVE"),
    resizing("it does not start anew", ALL_FAIL, resize, hosts=1, steps=("undo_change",), status="ERROR", boots=0),
    resizing(
        "a target that is silent",
        silence_hosts_of("target"),
        resize_away,
        steps=("choose_host", "undo_change"),
        status="ACTIVE",
        boots=0,
    ),
    resizing("nowhere to go", resize_away, hosts=1, steps=("choose_host", "undo_change"), status="ACTIVE", boots=0),
    # What has started on the other host counts no more once that has forgotten it.
    resizing(
        "a resize is confirmed",
        resize_away,
        run,
        confirm,
        program="confirm_resize",
        steps=("forget_former",),
        status="ACTIVE",
        boots=-1,
        with_calls=True,
    ),
    resizing(
        "a resize in place is confirmed",
        resize,
        run,
        confirm,
        program="confirm_resize",
        steps=("forget_former",),
        status="ACTIVE",
        boots=0,
        hosts=1,
        with_calls=True,
    ),
    resizing(
        "a resize is confirmed on a silent host",
        resize_away,
        run,
        silence_hosts_of("target"),
        confirm,
        program="confirm_resize",
        steps=("forget_former",),
        status="ACTIVE",
        boots=0,
    ),
    resizing(
        "a resize is reverted",
        resize_away,
        run,
        revert,
        program="revert_resize",
        steps=REVERTED,
        status="ACTIVE",
        boots=0,
        with_calls=True,
    ),
    resizing(
        "a resize in place is reverted",
        resize,
        run,
        revert,
        program="revert_resize",
        steps=REVERTED,
        hosts=1,
        status="ACTIVE",
        boots=1,
        with_calls=True,
    ),
    resizing(
        "a resize of what is off is reverted",
        POWERED_OFF,
        resize_away,
        run,
        revert,
        program="revert_resize",
        steps=REVERTED,
        status="SHUTOFF",
        boots=0,
    ),
    resizing(
        "a resize is reverted on a silent host",
        resize_away,
        run,
        silence_hosts_of("source"),
        revert,
        program="revert_resize",
        steps=("leave_target",),
        boots=0,
    ),
    deleting("delete of what is resized", resize_away, run, steps=("stop_guest", "release_claim"), hosts=2),
    deleting("delete instead of a resize", resize_away, steps=("stop_guest",), hosts=2),
    evacuating("a host is down", evacuate(), steps=("find_refuge", "bring_ports", "make_anew"), with_calls=True),
    evacuating("an evacuated server stays off", evacuate("2.95"), steps=("make_anew",), status="SHUTOFF", boots=0),
    evacuating("there is no other host", evacuate(), steps=("find_refuge", "stay"), hosts=1, status="ERROR", boots=0),
    evacuating(
        "the other host fails, too",
        fail_on("node1", "node2"),
        evacuate(),
        steps=("make_anew", "stay"),
        status="ERROR",
        boots=0,
    ),
    moving(
        "a guest that cannot leave",
        cut_wires("node1", "node2"),
        live_migrate,
        steps=("move_guest", "bring_home"),
        with_calls=True,
    ),
    moving("a guest with nowhere to go", live_migrate, steps=("choose_target", "bring_home"), hosts=1),
    moving("the other host is silent", silence_hosts_of("target"), live_migrate, steps=("choose_target", "bring_home")),
    moving("a migration that is cancelled", live_migrate, cancel_migration, steps=("choose_target", "bring_home")),
    deleting(
        "a server that is being moved is deleted", go_half_way, steps=("stop_guest", "release_claim", "forget"), hosts=2
    ),
    moving("a migration that is cancelled half-way", go_half_way, cancel_migration, steps=("bring_home",)),
    moving("a migration that is reset", live_migrate, reset_state("active"), steps=("bring_home",)),
    moving("a migration that is reset half-way", go_half_way, reset_state("active"), steps=("bring_home",)),
    resizing(
        "a resize that is reset half-way",
        slow_down,
        resize_away,
        run_to("bring_disks"),
        reset_state("active"),
        steps=("undo_change",),
        status="ACTIVE",
        boots=0,
    ),
)
TAKING = (
    "a server is built",
    "one host fails",
    "all hosts fail",
    "a server enters its cell",
    "the cell's host fails",
    "rebuild",
    "shelve",
    "unshelve",
    "unshelve is refused",
    "delete",
    "delete while it is built",
    "delete in a cell",
    "delete before it enters its cell",
    "delete instead of an unshelving",
    "a guest moves to another host",
    "a guest that cannot leave",
    "the other host is silent",
    "a server that is being moved is deleted",
    "a host is down",
    "there is no other host",
    "the other host fails, too",
    "a server gets a flavor on another host",
    "a server gets a flavor where it is",
    "a server gets another host",
    "it does not start there",
    "it does not start anew",
    "a resize is confirmed",
    "a resize in place is confirmed",
    "a resize is reverted",
    "a resize in place is reverted",
    "delete of what is resized",
    "delete instead of a resize",
)
"""Names of the stories that are told once more of a server with processors of its own."""
assert {each.name for each in _STORIES}.issuperset(TAKING), "a story has another name now"
STORIES = (
    *_STORIES,
    *(
        replace(
            each,
            name=f"{each.name}: pinned",
            ask=in_order(pin_larger_flavor, each.ask),
            server={**each.server, "extra_specs": PINNED},
        )
        for each in _STORIES
        if each.name in TAKING
    ),
)
