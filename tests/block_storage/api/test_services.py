"""Services, pools, zones, versions, and what an agent does to be known."""

from pathlib import Path

import msgspec
import pytest

from kilonova.block_storage import messages
from kilonova.block_storage.agent.agent import VolumeAgent
from kilonova.block_storage.agent.drivers.fake import FakeBackend, FakeDriver
from kilonova.block_storage.agent.drivers.file import FileDriver, FileOptions
from kilonova.kit.agents import AgentRefused
from kilonova.kit.host_commands import HostError
from tests.block_storage.conftest import World
from tests.conftest import body_of


async def test_versions_are_discovered_and_the_first_is_refused_with_a_sentence(world: World) -> None:
    second, third = body_of(await world.client.get("/"), 300)["versions"]
    assert (third["id"], third["version"], third["min_version"]) == ("v3.0", "3.71", "3.0")
    assert (second["id"], second["status"], second["version"]) == ("v2.0", "DEPRECATED", "")
    assert body_of(await world.client.get("/v3/"))["versions"] == [third]
    assert body_of(await world.client.get("/v2/"))["versions"] == [second]
    for path in ("/v1/", "/v1", f"/v1/{world.project_id}/volumes"):
        response = await world.client.get(path)
        assert response.status_code == 410 and "use /v3" in response.text
    assert (await world.client.get("/healthcheck")).text == "OK"


async def test_version_2_is_the_first_of_the_third(world: World) -> None:
    volume = await world.make(name="old")
    for path in (f"/v2/{world.project_id}/volumes/{volume['id']}", f"/v2/volumes/{volume['id']}"):
        newest = await world.client.get(path, headers={"OpenStack-API-Version": "volume 3.71"})
        assert newest.headers["openstack-api-version"] == "volume 3.0"
        shown = body_of(newest)["volume"]
        assert (shown["name"], "volume_type_id" in shown) == ("old", False)
    body_of(await world.client.delete(f"/v2/{world.project_id}/volumes/{volume['id']}"), 202)
    refused = await world.client.get(f"/v2/{'0' * 32}/volumes")
    assert refused.status_code == 400 and "doesn't match" in refused.text
    body_of(await world.client.get("/v2/attachments"), 404)


async def test_services_are_listed_disabled_and_enabled(world: World) -> None:
    first, second, third = body_of(await world.admin.get("/v3/os-services"))["services"]
    assert (first["binary"], first["state"]) == ("cinder-scheduler", "up")
    assert (second["binary"], second["host"], second["zone"]) == ("cinder-volume", "node1@fake", "nova")
    assert (second["status"], second["state"]) == ("enabled", "up")
    assert (third["binary"], third["host"], third["status"]) == ("cinder-backup", "node1", "enabled")
    host = {"host": "node1@fake", "binary": "cinder-volume"}
    reason = {**host, "disabled_reason": "new disks"}
    told = body_of(await world.admin.put("/v3/os-services/disable-log-reason", json=reason))
    assert (told["status"], told["disabled_reason"]) == ("disabled", "new disks")
    (shown,) = body_of(await world.admin.get("/v3/os-services?binary=cinder-volume"))["services"]
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "new disks")
    zones = body_of(await world.client.get("/v3/os-availability-zone"))["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": False}}]
    assert (await world.make())["status"] == "error"
    body_of(await world.admin.put("/v3/os-services/enable", json=host))
    assert (await world.make())["status"] == "available"
    body_of(await world.admin.put("/v3/os-services/disable", json=host))
    for path, body, status in (
        ("disable-log-reason", host, 400),
        ("disable", {"host": "nowhere", "binary": "cinder-volume"}, 404),
        ("disable", {"host": world.service.options.scheduler_host, "binary": "cinder-scheduler"}, 400),
        ("disable", {"host": "nowhere", "binary": "cinder-scheduler"}, 404),
        ("disable", {"binary": "cinder-volume"}, 400),
    ):
        assert (await world.admin.put(f"/v3/os-services/{path}", json=body)).status_code == status
    assert (await world.client.get("/v3/os-services")).status_code == 403
    assert (await world.client.put("/v3/os-services/enable", json=host)).status_code == 403


async def test_a_back_end_that_does_not_answer_is_down_and_gets_no_volume(world: World) -> None:
    world.silence()
    for _ in range(5):
        await world.service.liveness.ask([("cinder-volume", "node1@fake")])
    (shown,) = body_of(await world.admin.get("/v3/os-services?host=node1@fake"))["services"]
    assert shown["state"] == "down"
    assert (await world.make())["status"] == "error"


async def test_pools_tell_what_they_have_promised(world: World) -> None:
    await world.make(size=3)
    assert body_of(await world.admin.get("/v3/scheduler-stats/get_pools"))["pools"] == [{"name": "node1@fake#fake"}]
    (pool,) = body_of(await world.admin.get("/v3/scheduler-stats/get_pools?detail=true"))["pools"]
    told = pool["capabilities"]
    assert (told["provisioned_capacity_gb"], told["total_capacity_gb"], told["backend_state"]) == (3, 1000.0, "up")
    assert (await world.client.get("/v3/scheduler-stats/get_pools")).status_code == 403
    assert (await world.admin.get("/v3/scheduler-stats/get_pools?detail=maybe")).status_code == 400


async def test_pools_are_filtered_by_name_and_by_the_type_they_can_take(bare: World) -> None:
    await bare.add_backend("node1@fast", backend_name="fast")
    await bare.add_backend("node2@slow", backend_name="slow")
    gold = {"volume_type": {"name": "gold", "extra_specs": {"volume_backend_name": "fast"}}}
    body_of(await bare.admin.post("/v3/types", json=gold))

    async def names(query: str, version: str = "3.71") -> list[str]:
        headers = {"openstack-api-version": f"volume {version}"}
        answer = await bare.admin.get(f"/v3/scheduler-stats/get_pools?{query}", headers=headers)
        return [each["name"] for each in body_of(answer)["pools"]]

    both = ["node1@fast#fake", "node2@slow#fake"]
    assert await names("") == both
    assert await names("name=node2@slow%23fake") == ["node2@slow#fake"]
    assert await names("volume_type=gold") == ["node1@fast#fake"]
    assert await names("volume_type=gold&name=node2@slow%23fake") == []
    assert await names("name=node2@slow%23fake", "3.27") == both
    assert await names("volume_type=gold", "3.34") == both
    assert (await bare.admin.get("/v3/scheduler-stats/get_pools?volume_type=brass")).status_code == 404


async def test_messages_are_filtered_by_what_they_tell(bare: World) -> None:
    made = await bare.make()

    async def count(query: str, version: str = "3.71") -> int:
        answer = await bare.client.get(f"/v3/messages?{query}", headers={"openstack-api-version": f"volume {version}"})
        return len(body_of(answer)["messages"])

    for query in (f"resource_uuid={made['id']}", "event_id=VOLUME_VOLUME_001_003", "message_level=ERROR"):
        assert await count(query) == 1
    named = f"/v3/messages?project_id={bare.project_id}"
    assert len(body_of(await bare.admin.get(named))["messages"]) == 1
    assert body_of(await bare.admin.get("/v3/messages"))["messages"] == []
    assert body_of(await bare.other.get(named))["messages"] == []
    for query in ("event_id=VOLUME_VOLUME_008_012", "event_id=x", "message_level=INFO", "limit=0"):
        assert await count(query) == 0
        assert await count(query, "3.4") == 1


async def test_zones_are_those_of_back_ends(bare: World) -> None:
    await bare.add_backend("node1@fake")
    await bare.add_backend("node2@fake", zone="west")
    made = await bare.make(availability_zone="west")
    assert (made["availability_zone"], made["os-vol-host-attr:host"]) == ("west", "node2@fake#fake")
    response = await bare.client.post(
        "/v3/volumes", json={"volume": {"source_volid": made["id"], "availability_zone": "nova"}}
    )
    assert response.status_code == 400 and "zone of its source" in response.text
    service = bare.service
    service.options = msgspec.structs.replace(service.options, allows_other_zone=True)
    assert (await bare.make(availability_zone="moon"))["availability_zone"] == "nova"


async def test_what_were_extensions_once_are_listed_for_clients_that_look_for_them(world: World) -> None:
    listed = body_of(await world.client.get("/v3/extensions"))["extensions"]
    assert {"os-hosts": "Hosts", "os-services": "Services"}.items() <= {
        each["alias"]: each["name"] for each in listed
    }.items()
    assert body_of(await world.client.get("/v3/extensions/os-hosts"))["extension"]["name"] == "Hosts"
    assert (await world.client.get("/v3/extensions/os-golden")).status_code == 404


async def test_a_second_agent_of_one_name_is_refused(world: World) -> None:
    second = VolumeAgent(FakeDriver(FakeBackend()), world.service.bus, world.uploads, host="node1@fake")
    with pytest.raises(AgentRefused, match="another cinder-volume is alive under the name node1@fake"):
        await second.agent.register()


async def test_an_agent_reports_its_pools_and_registers_again_where_it_is_not_known(world: World) -> None:
    (agent,) = world.agents
    world.backend.total_gib = 5
    await agent.agent.pass_once()
    (pool,) = body_of(await world.admin.get("/v3/scheduler-stats/get_pools?detail=true"))["pools"]
    assert pool["capabilities"]["total_capacity_gb"] == 5
    stranger = VolumeAgent(FakeDriver(FakeBackend()), world.service.bus, world.uploads, host="node9@fake")
    stranger.agent._registered = True
    await stranger.agent.pass_once()
    assert not stranger.agent._registered


async def test_messages_are_forgotten_in_time(bare: World) -> None:
    await bare.make()
    assert len(await bare.messages()) == 1
    bare.clock.advance(31 * 86400)
    async with bare.service.database.transaction() as tx:
        assert await messages.forget_expired(tx, bare.clock.now()) == 1
    assert await bare.messages() == []


async def test_hosts_are_listed_shown_disabled_and_enabled(world: World) -> None:
    await world.add_backend("node2@fake", zone="west")
    volume = await world.make(size=3)
    await world.make_snapshot(volume["id"])
    theirs = await world.make(world.other, size=2)
    host = volume["os-vol-host-attr:host"].partition("#")[0]
    (first, second, scheduler) = body_of(await world.admin.get("/v3/os-hosts"))["hosts"]
    assert scheduler["service"] == "cinder-scheduler"
    assert (first["host_name"], first["service"], first["zone"]) == ("node1@fake", "cinder-volume", "nova")
    assert (first["service-status"], first["service-state"]) == ("available", "enabled")
    assert body_of(await world.admin.get("/v3/os-hosts?zone=west"))["hosts"] == [second]
    shown = [each["resource"] for each in body_of(await world.admin.get(f"/v3/os-hosts/{host}"))["host"]]
    assert shown[0] == {
        "host": host,
        "project": "(total)",
        "volume_count": "2",
        "total_volume_gb": "5",
        "snapshot_count": "1",
        "total_snapshot_gb": "3",
    }
    counts = {each["project"]: (each["volume_count"], each["total_volume_gb"]) for each in shown[1:]}
    assert counts == {world.project_id: ("1", "3"), theirs["os-vol-tenant-attr:tenant_id"]: ("1", "2")}
    (total,) = body_of(await world.admin.get("/v3/os-hosts/node2@fake"))["host"]
    assert total["resource"]["volume_count"] == "0"
    url = "/v3/os-hosts/node2@fake"
    told = body_of(await world.admin.put(url, json={"status": "disable"}))
    assert told == {"host": "node2@fake", "status": "disabled"}
    assert body_of(await world.admin.get("/v3/os-hosts?zone=west"))["hosts"][0]["service-state"] == "disabled"
    assert body_of(await world.admin.put(url, json={"status": "enable"}))["status"] == "enabled"
    assert (await world.admin.put(url, json={"status": "down"})).status_code == 400
    assert (await world.admin.put("/v3/os-hosts/nowhere", json={"status": "enable"})).status_code == 404
    assert (await world.admin.get("/v3/os-hosts/nowhere")).status_code == 404
    for answer in (
        await world.client.get("/v3/os-hosts"),
        await world.client.get(url),
        await world.client.put(url, json={"status": "disable"}),
    ):
        assert answer.status_code == 403


async def test_back_ends_tell_what_they_can_do(world: World) -> None:
    for named in ("node1@fake", "node1@fake%23fake"):
        told = body_of(await world.admin.get(f"/v3/capabilities/{named}"))
        assert (told["namespace"], told["pool_name"]) == ("OS::Storage::Capabilities::node1@fake#fake", "fake")
        assert (told["vendor_name"], told["storage_protocol"], told["visibility"]) == ("Kilonova", "file", None)
    for named in ("nowhere", "node1@fake%23other"):
        assert (await world.admin.get(f"/v3/capabilities/{named}")).status_code == 404
    assert (await world.client.get("/v3/capabilities/node1@fake")).status_code == 403


async def test_lists_tell_what_they_can_be_filtered_by(world: World) -> None:
    found = body_of(await world.client.get("/v3/resource_filters"))["resource_filters"]
    known = {each["resource"]: each["filters"] for each in found}
    assert {"volume", "snapshot", "attachment", "message", "pool", "volume_type"} <= known.keys()
    assert {"name", "status", "metadata", "bootable", "size", "created_at"} <= set(known["volume"])
    assert known["pool"] == ["name", "volume_type"]
    assert known["volume_type"] == ["description", "extra_specs", "is_public", "name"]
    one = body_of(await world.client.get("/v3/resource_filters?resource=pool"))["resource_filters"]
    assert one == [{"resource": "pool", "filters": ["name", "volume_type"]}]
    assert body_of(await world.client.get("/v3/resource_filters?resource=x"))["resource_filters"] == []
    older = {"openstack-api-version": "volume 3.32"}
    assert (await world.client.get("/v3/resource_filters", headers=older)).status_code == 404


class Unreachable(FakeDriver):
    """A back end whose targets are away until they are put back."""

    trouble = "tgtd does not answer."

    async def keep_up(self) -> None:
        if self.trouble:
            raise HostError(self.trouble)


async def test_a_pool_tells_what_is_wrong_in_the_back_ends_own_words_until_it_is_mended(world: World) -> None:
    driver = Unreachable(world.backend)
    agent = VolumeAgent(driver, world.service.bus, world.uploads, host="node1@fake")
    told = []
    for trouble in (driver.trouble, ""):
        driver.trouble = trouble
        await agent._report()
        (pool,) = body_of(await world.admin.get("/v3/scheduler-stats/get_pools?detail=true"))["pools"]
        told.append((pool["capabilities"]["trouble"], pool["capabilities"]["backend_state"]))
    assert told == [("tgtd does not answer.", "up"), ("", "up")]


async def test_a_directory_that_is_gone_is_a_pool_that_is_down(tmp_path: Path) -> None:
    driver = FileDriver(FileOptions(directory=tmp_path / "gone"), lambda _id: aiter(()))
    (pool,) = await driver.pools()
    assert (pool.backend_state, pool.free_capacity_gb) == ("down", 0)
    assert pool.trouble == f"{tmp_path / 'gone'}: No such file or directory."
