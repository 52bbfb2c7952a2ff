"""`nova-manage` on a cloud with servers: what its commands change, as the APIs and placement show it afterwards."""

import uuid
from contextlib import AsyncExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kilonova.cli.daemons.nova_images import image_commands
from kilonova.cli.daemons.nova_placement import placement_commands
from kilonova.cli.daemons.nova_rows import row_commands
from kilonova.cli.daemons.region_commands import Region
from kilonova.compute.hosts import hosts
from kilonova.compute.operations import STOP
from kilonova.compute.programs.power import POWER, PowerArgs
from kilonova.compute.region import mappings
from kilonova.compute.servers import migrations, servers
from kilonova.compute.tables import Server, server_mappings, tasks
from kilonova.compute.transactions import CellTx
from kilonova.kit.clock import SystemClock

COMMANDS = {**row_commands(), **placement_commands(), **image_commands()}
GUEST = {"DISK_GB": 1, "MEMORY_MB": 512, "VCPU": 1}


class Manage:
    def __init__(self, nova: Any, capsys: Any) -> None:
        self.nova = nova
        self._capsys = capsys

    async def __call__(self, words: str, code: int = 0) -> str:
        name = " ".join(words.split()[:2])
        command, database = COMMANDS[name], self.nova.service.database
        section = SimpleNamespace(connection=database.url.render_as_string(hide_password=False))
        config = SimpleNamespace(database=section, api_database=SimpleNamespace(connection=""))
        self._capsys.readouterr()
        async with AsyncExitStack() as stack:
            region = Region(config, database, stack, self.nova.service.placement)
            assert await command.run(region, command.parser.parse_args(words.split()[2:])) == code
        return str(self._capsys.readouterr().out)

    async def held(self, consumer_id: str) -> Any:
        return await self.nova.service.placement.allocations(consumer_id)

    async def node(self, host: str = "node1") -> str:
        found = await self.nova.service.placement.providers(name=f"{host}.example.org")
        return str(found[0].uuid)

    async def server(self, **values: Any) -> Server:
        """A server on node1 that holds nothing."""
        return await self.nova.insert_server(**{"node_id": await self.node(), **values})

    async def deleted(self, days_ago: int = 0) -> Server:
        server: Server = await self.nova.insert_server()
        database, now = self.nova.service.database, SystemClock().now()
        async with database.transaction() as tx:
            await servers.forget(CellTx(tx), server, now - timedelta(days=days_ago))
            await tx.change(server_mappings, {"server_id": server.id}, deleted_at=now)
        return server


@pytest.fixture
async def manage(nova: Any, capsys: Any) -> Manage:
    await nova.register_host()
    async with nova.service.transaction() as tx:
        await mappings.ensure_here(tx, SystemClock().now())
    return Manage(nova, capsys)


# --- rows -------------------------------------------------------------------------------------------------------------


async def listed(nova: Any) -> list[str]:
    found = await nova.call("GET", "/servers?deleted=true&all_tenants=1", by="admin")
    return [each["id"] for each in found["servers"]]


async def test_archived_servers_are_shown_no_more_and_purged_ones_are_gone(nova: Any, manage: Manage) -> None:
    old, young = await manage.deleted(days_ago=40), await manage.deleted()
    await nova.insert_server()
    assert set(await listed(nova)) == {old.id, young.id}
    day = (SystemClock().now() - timedelta(days=30)).date()
    said = await manage(f"db archive_deleted_rows --verbose --before {day}", 1)
    assert "Number of Rows Archived" in said
    assert said.count("| server_history") == said.count("| server_mappings") == 1
    assert await listed(nova) == [young.id]
    await nova.refused("GET", f"/servers/{old.id}/os-instance-actions", 404, by="admin")
    async with nova.service.database.reading() as tx:
        kept = await servers.find_deleted(tx, old.id)
        assert kept is not None
        assert kept.archived_at is not None
        assert await tasks.of_subject(tx, old.id)
    said = await manage("db purge --all --verbose")
    assert "1 rows were deleted from server_history." in said
    assert "1 rows were deleted from tasks." in said
    async with nova.service.database.reading() as tx:
        assert await servers.find_deleted(tx, old.id) is None
        assert await tasks.of_subject(tx, old.id) == []
        assert await servers.find_deleted(tx, young.id) is not None
    await manage("db purge --all", 3)


async def test_archiving_counts_rows_and_goes_on_until_nothing_is_left(nova: Any, manage: Manage) -> None:
    for _ in range(3):
        await manage.deleted()
    assert await manage("db archive_deleted_rows --max_rows 2", 1) == ""
    assert len(await listed(nova)) == 1
    for _ in range(2):
        await manage.deleted()
    await manage("db archive_deleted_rows --max_rows 1 --until-complete --purge --all-cells --sleep 0", 1)
    assert await listed(nova) == []
    await manage("db purge --all", 3)
    assert "Nothing was archived." in await manage("db archive_deleted_rows --verbose")
    assert "No task log is kept" in await manage("db archive_deleted_rows --task-log")


async def test_usage_does_not_count_archived_servers(nova: Any, manage: Manage) -> None:
    await manage.deleted()
    asked = "/os-simple-tenant-usage?detailed=1&start=2020-01-01T00:00:00"
    assert (await nova.call("GET", asked, by="admin"))["tenant_usages"]
    await manage("db archive_deleted_rows", 1)
    assert (await nova.call("GET", asked, by="admin"))["tenant_usages"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("db archive_deleted_rows --max_rows 0", 2),
        ("db archive_deleted_rows --max_rows many", 2),
        ("db archive_deleted_rows --before yesterday", 4),
        ("db purge", 1),
        ("db purge --before yesterday", 2),
        ("db purge --before 2026-01-01", 3),
        ("db online_data_migrations --max-count 0", 127),
        ("db ironic_compute_node_move --ironic-node-uuid n --destination-host h", 1),
        ("placement heal_allocations --max-count 0", 127),
        ("placement heal_allocations --instance nobody", 127),
        ("placement heal_allocations --instance x --cell y", 127),
        ("placement heal_allocations --instance x --max-count 1", 127),
        ("placement heal_allocations --cell nowhere", 127),
        ("placement heal_allocations --force", 127),
        ("placement audit --resource_provider 5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11", 127),
        ("libvirt get_machine_type nobody", 2),
        ("libvirt update_machine_type nobody q35", 2),
        ("libvirt list_unset_machine_type --cell-uuid nowhere", 2),
        ("image_property show nobody hw_disk_bus", 2),
        ("image_property set nobody --property hw_disk_bus=virtio", 2),
    ],
)
async def test_what_cannot_be_done_is_said_with_its_code(manage: Manage, words: str, code: int) -> None:
    said = await manage(words, code)
    assert said.strip().endswith((".", "")) and (said or code == 3)


async def test_no_rows_are_left_to_migrate(manage: Manage) -> None:
    assert "| Migration | Total Needed | Completed |" in await manage("db online_data_migrations")


# --- placement --------------------------------------------------------------------------------------------------------


async def test_servers_that_hold_nothing_are_healed(manage: Manage) -> None:
    server, node = await manage.server(), await manage.node()
    assert "would be healed" in await manage("placement heal_allocations --dry-run --verbose")
    assert await manage.held(server.id) == {}
    assert f"Server {server.id} holds now" in await manage("placement heal_allocations --verbose")
    assert await manage.held(server.id) == {node: GUEST}
    assert "0 servers were healed." in await manage("placement heal_allocations", 4)


async def test_healing_stops_at_its_limit_and_leaves_what_is_worked_on(nova: Any, manage: Manage) -> None:
    first, second = [await manage.server() for _ in range(2)]
    building = await nova.insert_server(building=True)
    assert "--max-count is reached" in await manage("placement heal_allocations --max-count 1", 1)
    held = [bool(await manage.held(each.id)) for each in (first, second)]
    assert sorted(held) == [False, True]
    said = await manage("placement heal_allocations --verbose --skip-port-allocations")
    assert f"Server {building.id} is being worked on" in said
    assert await manage.held(building.id) == {}


async def test_a_wrong_claim_is_healed_by_force_alone(manage: Manage) -> None:
    server, node = await manage.server(), await manage.node()
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    await manage.nova.service.placement.claim(server.id, {node: {"VCPU": 2}}, **owner)
    await manage(f"placement heal_allocations --instance {server.id}", 4)
    assert await manage.held(server.id) == {node: {"VCPU": 2}}
    await manage(f"placement heal_allocations --instance {server.id} --force")
    assert await manage.held(server.id) == {node: GUEST}


async def test_what_cannot_be_healed_is_said(nova: Any, manage: Manage) -> None:
    homeless = await manage.server(host="gone")
    assert "on host gone, which has no row" in await manage("placement heal_allocations", 2)
    await nova.call("DELETE", f"/servers/{homeless.id}", 204)
    large = await manage.server(flavor={**msgspec.to_builtins(homeless.flavor), "memory_mib": 1 << 20})
    assert "could not be healed" in await manage(f"placement heal_allocations --instance {large.id}", 3)


async def test_orphans_are_found_and_deleted(nova: Any, manage: Manage) -> None:
    server, node = await manage.server(), await manage.node()
    await manage("placement heal_allocations")
    assert await manage("placement audit --verbose") == "1 allocations were looked at, 0 of them orphaned.\n"
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    orphan = str(uuid.uuid4())
    await nova.service.placement.claim(orphan, {node: {"VCPU": 1}}, **owner)
    said = await manage("placement audit --verbose", 3)
    assert f"Allocations of consumer {orphan} on resource provider {node} are orphaned" in said
    assert await manage.held(orphan) == {node: {"VCPU": 1}}
    await manage(f"placement audit --delete --resource_provider {node}", 4)
    assert await manage.held(orphan) == {}
    assert await manage.held(server.id) == {node: GUEST}
    await manage("placement audit")


async def test_what_a_server_left_on_another_host_is_an_orphan_once_nothing_is_under_way(
    nova: Any, manage: Manage
) -> None:
    await nova.register_host("node2")
    server, node, other = await manage.server(), await manage.node(), await manage.node("node2")
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    await nova.service.placement.claim(server.id, {node: GUEST, other: GUEST}, **owner)
    await begin(nova, server)
    await manage("placement audit")
    await finish(nova, server)
    await manage("placement audit --delete", 4)
    assert await manage.held(server.id) == {node: GUEST}


async def test_a_migration_under_way_holds_what_it_holds(nova: Any, manage: Manage) -> None:
    server, node = await manage.server(), await manage.node()
    who = await nova.who("admin")
    async with nova.service.database.transaction() as tx:
        (host,) = await hosts.list_all(CellTx(tx))
        by = (who.project_id, who.user_id)
        move = await migrations.insert(CellTx(tx), server, migrations.LIVE, host, by, SystemClock().now())
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    await nova.service.placement.claim(move.id, {node: GUEST}, **owner)
    await manage("placement audit")
    for status, code in ((migrations.FINISHED, 0), (migrations.CONFIRMED, 3), (migrations.REVERTED, 3)):
        async with nova.service.database.transaction() as tx:
            await migrations.change(CellTx(tx), move.id, SystemClock().now(), status=status)
        await manage("placement audit", code)


async def begin(nova: Any, server: Server) -> None:
    who = await nova.who("demo")
    by = {"user_id": who.user_id, "project_id": who.project_id}
    new = POWER[STOP.program].new_task(server.id, PowerArgs(), request_id="req-stop", **by)
    async with nova.service.database.transaction() as tx:
        await tasks.start(tx, new, SystemClock().now())


async def finish(nova: Any, server: Server) -> None:
    async with nova.service.database.transaction() as tx:
        task = await tasks.active(tx, server.id)
        assert task is not None
        await tasks.end(tx, task, SystemClock().now(), "")


async def test_aggregates_are_told_to_placement(nova: Any, manage: Manage) -> None:
    made = await nova.call("POST", "/os-aggregates", by="admin", json={"aggregate": {"name": "fast"}})
    aggregate = made["aggregate"]
    body = {"add_host": {"host": "node1"}}
    await nova.call("POST", f"/os-aggregates/{aggregate['id']}/action", by="admin", json=body)
    said = await manage("placement sync_aggregates --verbose")
    assert said == f"Host node1 is in aggregate {aggregate['uuid']} in placement, too.\n"
    members = await nova.service.placement.providers(member_of=aggregate["uuid"])
    assert [each.uuid for each in members] == [await manage.node()]
    assert await manage("placement sync_aggregates --verbose") == ""


# --- images -----------------------------------------------------------------------------------------------------------


async def test_the_machine_of_a_stopped_server_is_changed(nova: Any, manage: Manage) -> None:
    server = await manage.server(vm_state="stopped")
    get, update = f"libvirt get_machine_type {server.id}", f"libvirt update_machine_type {server.id}"
    assert "has no machine type of its own" in await manage(get, 3)
    assert server.id in await manage("libvirt list_unset_machine_type", 3)
    await manage(f"{update} toaster", 5)
    assert "before that of its host" in await manage(f"{update} pc-i440fx-7.2")
    assert await manage(get) == "Machine type: pc-i440fx-7.2\n"
    assert "Every server has" in await manage("libvirt list_unset_machine_type")
    await manage(f"{update} q35", 4)
    await manage(f"{update} pc")
    await manage(f"{update} q35 --force")
    row = await nova.server(server.id)
    assert row.image["properties"] == {"hw_disk_bus": "virtio", "hw_machine_type": "q35"}


async def test_image_properties_of_a_server_are_shown_and_set(nova: Any, manage: Manage) -> None:
    server = await manage.server(vm_state="shelved_offloaded")
    show, change = f"image_property show {server.id}", f"image_property set {server.id}"
    assert await manage(f"{show} hw_disk_bus") == "virtio\n"
    await manage(f"{show} hw_vif_model", 3)
    await manage(f"{change} --property hw_disk_bus=scsi --property hw_vif_model=e1000")
    assert await manage(f"{show} hw_vif_model") == "e1000\n"
    assert (await nova.server(server.id)).image["properties"] == {"hw_disk_bus": "scsi", "hw_vif_model": "e1000"}
    await manage(f"{change} --property colour=red", 4)
    await manage(f"{change} --property hw_vif_model", 4)
    assert "hw_vif_model=tin-can" in await manage(f"{change} --property hw_vif_model=tin-can", 5)
    await manage(f"{change} --property os_distro={'x' * 256}", 5)
    assert (await nova.server(server.id)).image["properties"] == {"hw_disk_bus": "scsi", "hw_vif_model": "e1000"}


async def test_a_server_with_a_guest_keeps_its_properties(nova: Any, manage: Manage) -> None:
    active, stopped = await manage.server(), await manage.server(vm_state="stopped")
    await manage(f"libvirt update_machine_type {active.id} q35", 3)
    await begin(nova, stopped)
    assert "under way" in await manage(f"image_property set {stopped.id} --property hw_vif_model=e1000", 3)
