"""A region with cells of their own: what is asked of all of them, and what a cell that is down costs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kilonova.compute.consoles import remote_consoles
from kilonova.compute.programs import placing
from kilonova.compute.region import housekeeping, mappings, moving
from kilonova.compute.region.directory import CellDown
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.servers.servers import forget
from kilonova.compute.tables import Server, servers
from kilonova.kit.agents import AgentRefused
from kilonova.kit.errors import ServiceUnavailable
from tests.compute.api.conftest import ComputeInProcess
from tests.compute.consoles import console_host
from tests.compute.programs.conftest import make_cells

CELL1_ID, CELL2_ID = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))


class Region(ComputeInProcess):
    """The compute API over a region with cell0, cell1 and cell2, each with a database and a bus of its own."""

    cells: dict[str, Any]

    async def put(self, cell_id: str, server: Server) -> Server:
        """Moves a server that is in the API database into a cell, as a build does."""
        compute, cell = self.service, self.cells[cell_id]
        async with compute.database.reading() as tx:
            before = await moving.pack(tx, server.id)
        async with cell.database.transaction() as tx:
            await moving.unpack(tx, before, before.tasks[0])
        async with compute.database.transaction() as tx:
            await moving._remove(tx, server.id)
            await mappings.change_server(tx, server.id, cell_id=cell_id)
        return server

    async def server_in(self, cell_id: str, owner: str = "demo", **values: Any) -> Server:
        return await self.put(cell_id, await self.insert_server(owner, **values))

    def take_down(self, cell_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its database server does not answer any more."""

        @asynccontextmanager
        async def gone() -> AsyncIterator[None]:
            raise ServiceUnavailable("The database cannot be reached.")
            yield

        monkeypatch.setattr(self.cells[cell_id].database, "reading", gone)
        monkeypatch.setattr(self.cells[cell_id].database, "transaction", gone)


@pytest.fixture
async def region(nova: Any, migrated: Any, tmp_path: Path) -> AsyncIterator[Region]:
    made = Region(nova.service, nova.identity, nova.body_of, nova.api, nova.networking, nova.imaging, nova.storing)
    made.cells = await make_cells(nova.service, migrated, tmp_path, 2)
    yield made
    for cell in made.cells.values():
        await cell.database.close()


async def names(region: Region, query: str = "", *, by: str = "demo", version: str = "latest") -> list[str]:
    listed = await region.call("GET", f"/servers/detail?{query}", by=by, version=version)
    return [each.get("name", each["id"]) for each in listed["servers"]]


async def test_servers_are_listed_over_all_cells_in_order(region: Region) -> None:
    places = [CELL1_ID, CELL2_ID, None, CELL0_ID, CELL1_ID, CELL2_ID]
    for number, place in enumerate(places):
        server = await region.insert_server(name=f"s{number}")
        if place is not None:
            await region.put(place, server)
    assert await names(region) == ["s5", "s4", "s3", "s2", "s1", "s0"]
    assert await names(region, "sort_key=display_name&sort_dir=asc") == ["s0", "s1", "s2", "s3", "s4", "s5"]
    listed = await region.call("GET", "/servers")
    assert [each["name"] for each in listed["servers"]] == ["s5", "s4", "s3", "s2", "s1", "s0"]


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
async def test_pages_go_over_all_cells(region: Region, path: str) -> None:
    for number in range(7):
        await region.server_in((CELL1_ID, CELL2_ID, CELL2_ID)[number % 3], name=f"s{number}")
    seen: list[str] = []
    url = f"{path}?limit=3&sort_key=display_name&sort_dir=asc"
    while url:
        page = await region.call("GET", url)
        seen += [each["name"] for each in page["servers"]]
        links = page.get("servers_links", [])
        url = links[0]["href"].partition("/v2.1")[2] if links else ""
        assert len(page["servers"]) == (3 if links else 1)
    assert seen == [f"s{number}" for number in range(7)]


async def test_filters_reach_every_cell(region: Region) -> None:
    await region.server_in(CELL1_ID, name="web")
    await region.server_in(CELL2_ID, name="web2", tags=["red"])
    await region.server_in(CELL2_ID, "other", name="web3")
    assert await names(region, "name=web") == ["web2", "web"]
    assert await names(region, "tags=red") == ["web2"]
    assert await names(region, "all_tenants=1", by="admin") == ["web3", "web2", "web"]


async def test_a_cell_that_is_down_costs_its_rows_only(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    await region.server_in(CELL1_ID, name="here")
    gone = await region.server_in(CELL2_ID, name="gone")
    await region.server_in(CELL2_ID, "other", name="of another")
    region.take_down(CELL2_ID, monkeypatch)
    assert await names(region, version="2.68") == ["here"]
    assert await names(region, version="2.69") == ["here", gone.id]
    assert await names(region, "name=here", version="2.69") == ["here"]
    listed = await region.call("GET", "/servers/detail")
    unknown = listed["servers"][1]
    assert unknown["status"] == "UNKNOWN"
    assert set(unknown) == {"id", "status", "links", "tenant_id", "created"}
    brief = (await region.call("GET", "/servers"))["servers"][1]
    assert set(brief) == {"id", "status", "links"}


async def test_a_server_in_a_cell_that_is_down_is_shown_as_unknown(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await region.server_in(CELL2_ID)
    region.take_down(CELL2_ID, monkeypatch)
    shown = (await region.call("GET", f"/servers/{gone.id}"))["server"]
    assert (shown["status"], shown["id"], shown["tenant_id"]) == ("UNKNOWN", gone.id, gone.project_id)
    assert (shown["OS-EXT-STS:power_state"], shown["user_id"]) == (0, gone.user_id)
    assert "cell2 is not responding" in await region.refused("GET", f"/servers/{gone.id}", 503, version="2.68")
    await region.call("GET", f"/servers/{gone.id}", 404, by="other")
    assert "cell2" in await region.refused("POST", f"/servers/{gone.id}/action", 503, json={"os-stop": None})


async def test_nobody_waits_twice_for_a_cell_that_is_down(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    region.take_down(CELL2_ID, monkeypatch)
    await names(region)
    with pytest.raises(CellDown):
        await region.service.cells.member(CELL2_ID)


async def test_quotas_count_over_all_cells_even_one_that_is_down(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (CELL1_ID, CELL2_ID, CELL2_ID):
        await region.server_in(place)
    region.take_down(CELL2_ID, monkeypatch)
    absolute = (await region.call("GET", "/limits"))["limits"]["absolute"]
    assert (absolute["totalInstancesUsed"], absolute["totalCoresUsed"], absolute["totalRAMUsed"]) == (3, 3, 1536)


async def test_a_server_is_changed_where_it_is(region: Region) -> None:
    server = await region.server_in(CELL2_ID, name="old")
    await region.call("PUT", f"/servers/{server.id}", json={"server": {"name": "new"}})
    await region.call("PUT", f"/servers/{server.id}/tags", json={"tags": ["red"]})
    await region.call("POST", f"/servers/{server.id}/metadata", json={"metadata": {"a": "b"}})
    await region.call("POST", f"/servers/{server.id}/action", 202, json={"os-stop": None})
    async with region.cells[CELL2_ID].database.reading() as tx:
        (found,) = await tx.all(Server, servers.select())
    assert (found.name, found.tags, found.metadata, found.wanted_power) == ("new", ["red"], {"a": "b"}, "stopped")
    assert (await region.call("GET", f"/servers/{server.id}"))["server"]["OS-EXT-STS:task_state"] == "powering-off"
    actions = (await region.call("GET", f"/servers/{server.id}/os-instance-actions"))["instanceActions"]
    assert [each["action"] for each in actions] == ["stop", "create"]


async def register(region: Region, cell_id: str, host: str) -> None:
    await region.register_host(host, cell=region.cells[cell_id])


async def test_hosts_register_in_their_cell_and_are_mapped_at_once(region: Region) -> None:
    await register(region, CELL1_ID, "node1")
    await register(region, CELL2_ID, "node2")
    await register(region, CELL2_ID, "node2")
    async with region.service.database.reading() as tx:
        mapped = await mappings.list_hosts(tx)
    assert [(each.host, each.cell_id, each.number) for each in mapped] == [
        ("node1", CELL1_ID, 1),
        ("node2", CELL2_ID, 2),
    ]
    listed = (await region.call("GET", "/os-services?binary=nova-compute", by="admin"))["services"]
    assert [(each["host"], each["state"]) for each in listed] == [("node1", "up"), ("node2", "up")]
    detail = (await region.call("GET", "/os-hypervisors/detail", by="admin"))["hypervisors"]
    shown = (await region.call("GET", f"/os-hypervisors/{detail[1]['id']}", by="admin"))["hypervisor"]
    assert shown["hypervisor_hostname"] == "node2.example.org"
    body = {"status": "disabled"}
    await region.call("PUT", f"/os-services/{listed[1]['id']}", by="admin", json=body)
    listed = (await region.call("GET", "/os-services?binary=nova-compute", by="admin"))["services"]
    assert [each["status"] for each in listed] == ["enabled", "disabled"]


async def test_the_same_name_in_two_cells_is_refused(region: Region) -> None:
    await register(region, CELL1_ID, "node1")
    with pytest.raises(AgentRefused, match="node1 is mapped to cell"):
        await register(region, CELL2_ID, "node1")


async def test_aggregates_and_zones_hold_hosts_of_any_cell(region: Region) -> None:
    await register(region, CELL1_ID, "node1")
    await register(region, CELL2_ID, "node2")
    new = {"aggregate": {"name": "fast", "availability_zone": "zone-a"}}
    number = (await region.call("POST", "/os-aggregates", by="admin", json=new))["aggregate"]["id"]
    for host in ("node1", "node2"):
        await region.call("POST", f"/os-aggregates/{number}/action", by="admin", json={"add_host": {"host": host}})
    services = (await region.call("GET", "/os-services?binary=nova-compute", by="admin"))["services"]
    assert [each["zone"] for each in services] == ["zone-a", "zone-a"]
    await region.call("POST", f"/os-aggregates/{number}/action", by="admin", json={"remove_host": {"host": "node2"}})
    services = (await region.call("GET", "/os-services?binary=nova-compute", by="admin"))["services"]
    assert [each["zone"] for each in services] == ["zone-a", "nova"]


async def test_a_host_registers_while_the_api_database_is_away(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        await region.service.cells.elsewhere()
        patch.setattr(region.service.database, "transaction", gone)
        await register(region, CELL1_ID, "node1")
    async with region.service.database.reading() as tx:
        assert await mappings.list_hosts(tx) == []
    found = [each async for each in housekeeping.discover_hosts(region.service)]
    assert [(each.cell.name, [host.host for host in each.mapped]) for each in found] == [
        ("cell1", ["node1"]),
        ("cell2", []),
    ]
    found = [each async for each in housekeeping.discover_hosts(region.service)]
    assert [(len(each.hosts), each.mapped) for each in found] == [(1, []), (0, [])]


@asynccontextmanager
async def gone() -> AsyncIterator[None]:
    raise ServiceUnavailable("The database cannot be reached.")
    yield


async def test_cells_are_found_when_they_are_mapped(region: Region) -> None:
    known = await region.service.cells.elsewhere()
    assert sorted(each.name for each in known.values()) == ["cell0", "cell1", "cell2"]
    async with region.service.database.transaction() as tx:
        await mappings.remove_cell(tx, CELL2_ID)
    region.service.cells.look_again()
    assert CELL2_ID not in await region.service.cells.elsewhere()


async def test_the_agent_that_is_alive_keeps_its_name(region: Region) -> None:
    began = "2026-11-20T10:00:00+00:00"

    async def ping(_payload: Any) -> dict[str, str]:
        return {"now": began, "started_at": began}

    await register(region, CELL1_ID, "node1")
    stop = region.cells[CELL1_ID].bus.serve("nova-compute.node1", {"ping": ping})
    with pytest.raises(AgentRefused, match="alive under the name node1"):
        await register(region, CELL1_ID, "node1")
    stop()
    await register(region, CELL1_ID, "node1")


async def test_mappings_of_servers_destroyed_unheard_are_ended(region: Region) -> None:
    server = await region.server_in(CELL2_ID)
    cell, now = region.cells[CELL2_ID], region.service.clock.now()
    async with cell.database.transaction() as tx:
        await forget(tx, server, now)
    await housekeeping.end_mappings(region.service, cell, now - timedelta(minutes=1))
    absolute = (await region.call("GET", "/limits"))["limits"]["absolute"]
    assert absolute["totalInstancesUsed"] == 0


async def test_usage_counts_servers_of_every_cell(region: Region) -> None:
    for place in (CELL1_ID, CELL2_ID):
        server = await region.server_in(place)
    path = f"/os-simple-tenant-usage/{server.project_id}?start=2020-01-01"
    assert len((await region.call("GET", path))["tenant_usage"]["server_usages"]) == 2


async def test_services_of_a_cell_that_is_down_are_unknown(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    await register(region, CELL1_ID, "node1")
    await register(region, CELL2_ID, "node2")
    region.take_down(CELL2_ID, monkeypatch)
    path = "/os-services?binary=nova-compute"
    listed = (await region.call("GET", path, by="admin", version="2.68"))["services"]
    assert [each["host"] for each in listed] == ["node1"]
    listed = (await region.call("GET", path, by="admin"))["services"]
    assert listed[1] == {"binary": "nova-compute", "host": "node2", "status": "UNKNOWN"}


async def test_a_scheduler_leaves_out_cells_that_are_disabled_or_down(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cell_id, host in ((CELL1_ID, "node1"), (CELL2_ID, "node2")):
        await register(region, cell_id, host)
    server = await region.insert_server(building=True)

    async def seen() -> list[str]:
        view = await placing.look(region.service.here, server.id, ())
        return sorted(each.row.host for each in view.hosts)

    assert await seen() == ["node1", "node2"]
    async with region.service.database.transaction() as tx:
        await mappings.change_cell(tx, CELL1_ID, disabled=True)
    region.service.cells.look_again()
    assert await seen() == ["node2"]
    region.take_down(CELL2_ID, monkeypatch)
    assert await seen() == []


async def test_a_token_lies_in_the_api_database_and_leads_into_its_servers_cell(region: Region) -> None:
    server = await region.server_in(CELL2_ID)
    cell = region.cells[CELL2_ID]
    async with console_host(cell.bus) as host:
        await host.run(server.id)
        opened = await remote_consoles.open_console(cell, server, "vnc")
        place = await remote_consoles.follow(region.service, opened.token, "vnc")
        assert (place.cell, place.server.id) == (cell, server.id)
        assert place.address == await host.driver.console_address(server.id, "vnc")
        assert await remote_consoles.leads_there_still(place)
        await host.change(server.id, reboot_count=1, reboot_type="HARD")
        assert not await remote_consoles.leads_there_still(place)


async def test_a_console_in_a_cell_that_is_down_says_so(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await region.server_in(CELL2_ID)
    async with console_host(region.cells[CELL2_ID].bus) as host:
        await host.run(server.id)
        opened = await remote_consoles.open_console(region.cells[CELL2_ID], server, "vnc")
        region.take_down(CELL2_ID, monkeypatch)
        body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
        assert "cell2" in await region.refused("POST", f"/servers/{server.id}/remote-consoles", 503, json=body)
        with pytest.raises(CellDown):
            await remote_consoles.follow(region.service, opened.token, "vnc")
