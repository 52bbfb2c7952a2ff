"""Placing servers: groups whose rule holds whoever comes second, traits and resources asked of placement."""

import json
from typing import Any
from uuid import uuid4

import pytest

from kilonova.compute.hosts import hosts
from kilonova.compute.scheduling.rules import FILTERS, WEIGHTS, Rules
from kilonova.kit.http.client import at
from kilonova.kit.testing import CrashPlan
from kilonova.kit.testing.crash import POINTS
from kilonova.placement.client import VERSION, Inventory
from tests.compute.programs.conftest import NOTHING_LEFT


async def make_group(world: Any, policy: str, **rules: Any) -> str:
    body = {"server_group": {"name": "g", "policy": policy, **({"rules": rules} if rules else {})}}
    headers = {"OpenStack-API-Version": "compute 2.64"}
    response = await world.client.post("/v2.1/os-server-groups", json=body, headers=headers)
    group_id: str = response.json()["server_group"]["id"]
    return group_id


async def hosts_of(world: Any, *server_ids: str) -> list[str | None]:
    return [(await world.server(server_id)).host for server_id in server_ids]


async def disable(world: Any, host: str, disabled: bool) -> None:
    async with world.compute.database.transaction() as tx:
        row = await hosts.find(tx, "nova-compute", host)
        assert row is not None
        await hosts.change(tx, row, world.clock.now(), disabled=disabled)


async def test_members_of_an_anti_affinity_group_run_apart_until_there_is_no_host_left(two_hosts: Any) -> None:
    group_id = await make_group(two_hosts, "anti-affinity")
    made = [await two_hosts.insert_server(group_id=group_id) for _ in range(3)]
    await two_hosts.run()
    placed = await hosts_of(two_hosts, *[each.id for each in made])
    assert sorted(str(host) for host in placed if host) == ["node1", "node2"]
    (failed,) = [each for each in [await two_hosts.server(each.id) for each in made] if each.vm_state == "error"]
    assert "ServerGroupAntiAffinityFilter left 0" in failed.fault["message"]
    assert "1 allowed" in failed.fault["message"]


async def test_an_anti_affinity_group_may_allow_several_on_a_host(two_hosts: Any) -> None:
    group_id = await make_group(two_hosts, "anti-affinity", max_server_per_host=2)
    made = [await two_hosts.insert_server(group_id=group_id) for _ in range(4)]
    await two_hosts.run()
    placed = [str(host) for host in await hosts_of(two_hosts, *[each.id for each in made])]
    assert sorted(placed) == ["node1", "node1", "node2", "node2"]


@pytest.mark.parametrize("policy", ["affinity", "soft-affinity"])
async def test_members_of_an_affinity_group_run_together(two_hosts: Any, policy: str) -> None:
    group_id = await make_group(two_hosts, policy)
    made = [await two_hosts.insert_server(group_id=group_id) for _ in range(3)]
    await two_hosts.run()
    assert len(set(await hosts_of(two_hosts, *[each.id for each in made]))) == 1


async def race(world: Any, monkeypatch: pytest.MonkeyPatch, group_id: str, meanwhile: Any) -> tuple[str, str]:
    """Schedules a second member after the first has claimed its host and before it is written down."""
    first = await world.insert_server(group_id=group_id)
    claim = world.compute.placement.claim
    seconds: list[str] = []

    async def claim_and_lose_the_turn(consumer_id: str, *args: Any, **kwargs: Any) -> None:
        await claim(consumer_id, *args, **kwargs)
        if not seconds:
            second = await world.insert_server(group_id=group_id)
            seconds.append(second.id)
            await meanwhile(True)
            runner = world.make_runner()
            await runner.run_task(await runner.claim_one())
            await meanwhile(False)

    monkeypatch.setattr(world.compute.placement, "claim", claim_and_lose_the_turn)
    await world.run()
    assert (await world.leftovers())["allocations"] == sorted(
        [((await world.server(each)).host, each) for each in (first.id, seconds[0])]
    )
    return first.id, seconds[0]


async def test_two_members_placed_in_the_same_moment_run_apart(two_hosts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def only_the_same_host_is_left(begins: bool) -> None:
        await disable(two_hosts, "node2", begins)

    group_id = await make_group(two_hosts, "anti-affinity")
    first, second = await race(two_hosts, monkeypatch, group_id, only_the_same_host_is_left)
    assert await hosts_of(two_hosts, first, second) == ["node2", "node1"]


async def test_two_members_placed_in_the_same_moment_run_together(
    two_hosts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def only_the_other_host_is_left(begins: bool) -> None:
        await disable(two_hosts, "node1", begins)

    group_id = await make_group(two_hosts, "affinity")
    first, second = await race(two_hosts, monkeypatch, group_id, only_the_other_host_is_left)
    assert await hosts_of(two_hosts, first, second) == ["node2", "node2"]


async def test_a_group_deleted_meanwhile_binds_nobody(two_hosts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def the_group_is_deleted(begins: bool) -> None:
        await disable(two_hosts, "node2", begins)
        await two_hosts.client.delete(f"/v2.1/os-server-groups/{group_id}")

    group_id = await make_group(two_hosts, "anti-affinity")
    first, second = await race(two_hosts, monkeypatch, group_id, the_group_is_deleted)
    assert await hosts_of(two_hosts, first, second) == ["node1", "node1"]


@pytest.mark.parametrize("policy", ["affinity", "anti-affinity"])
async def test_dying_while_placing_a_member_keeps_the_rule(two_hosts: Any, policy: str) -> None:
    for point in POINTS:
        group_id = await make_group(two_hosts, policy)
        made = [await two_hosts.insert_server(group_id=group_id) for _ in range(2)]
        plan = CrashPlan("build", "schedule", point)
        await two_hosts.run_with_crash(plan)
        assert plan.happened
        placed = await hosts_of(two_hosts, *[each.id for each in made])
        assert len(set(placed)) == (1 if policy == "affinity" else 2), point
        assert None not in placed
        for each in made:
            await two_hosts.destroy(each.id)
        await two_hosts.run()
    await two_hosts.tick()
    assert await two_hosts.leftovers() == NOTHING_LEFT


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ({"trait:COMPUTE_NODE": "required", "resources:DISK_GB": "3"}, None),
        ({"trait:HW_CPU_X86_VMX": "forbidden", "capabilities:hypervisor_type": "fake"}, None),
        ({"trait:HW_CPU_X86_VMX": "required"}, "does not have the traits asked for (HW_CPU_X86_VMX required)"),
        ({"trait:COMPUTE_NODE": "forbidden"}, "does not have the traits asked for (COMPUTE_NODE forbidden)"),
        ({"trait:CUSTOM_NEVER_SEEN": "required"}, "Placement refused what was asked of it"),
        ({"resources:CUSTOM_NEVER_SEEN": "1"}, "Placement refused what was asked of it"),
        ({"resources:DISK_GB": "100000"}, "100000 DISK_GB wanted"),
        ({"capabilities:hypervisor_type": "xen"}, "ComputeCapabilitiesFilter left 0"),
        ({"resources1:VCPU": "1", "resources:VCPU": "0", "trait1:COMPUTE_NODE": "required"}, None),
        ({"resources1:VGPU": "1"}, "has no providers for the groups asked for (group 1 of 1 VGPU)"),
        ({"resources1:VGPU": "1", "resources2:VGPU": "1"}, "need a group_policy"),
    ],
)
async def test_what_a_flavor_asks_for_beyond_its_size(world: Any, specs: dict[str, str], reason: str | None) -> None:
    server = await world.insert_server(extra_specs=specs)
    await world.run()
    found = await world.server(server.id)
    if reason is None:
        assert (found.vm_state, found.fault) == ("active", None)
    else:
        assert (found.vm_state, found.host) == ("error", None)
        assert "No valid host was found" in found.fault["message"]
        assert reason in found.fault["message"]


async def test_a_host_where_builds_fail_is_avoided_until_one_goes_well(two_hosts: Any) -> None:
    world = two_hosts
    world.hosts["node1"].fail_next_spawn("qemu is out of order")
    first = await world.insert_server()
    await world.run()
    assert await hosts_of(world, first.id) == ["node2"]

    async def failed_builds() -> list[int]:
        async with world.compute.database.reading() as tx:
            return [each.failed_builds for each in await hosts.list_all(tx)]

    assert await failed_builds() == [1, 0]
    second = await world.insert_server()
    await world.run()
    assert await hosts_of(world, second.id) == ["node2"]
    third = await world.insert_server(requested_host="node1")
    await world.run()
    assert await hosts_of(world, third.id) == ["node1"]
    assert await failed_builds() == [0, 0]


async def decision_of(world: Any, server_id: str) -> dict[str, Any]:
    """Returns the decision kept by its step, for those who may see details of events."""
    (task,) = await world.tasks_of(server_id)
    async with world.compute.here.reading() as tx:
        (step,) = [each for each in await world.compute.tasks.steps_of(tx, task.id) if each.step == "schedule"]
    found: dict[str, Any] = json.loads(step.detail)
    return found


async def test_each_decision_is_kept_for_administrators(two_hosts: Any) -> None:
    await disable(two_hosts, "node1", True)
    server = await two_hosts.insert_server()
    await two_hosts.run()
    found = await decision_of(two_hosts, server.id)
    assert (found["chosen"], found["considered"]) == ("node2", 2)
    assert found["said"] == "host node2: 2 hosts considered, ComputeFilter left 1"
    assert [each["refused"] for each in found["stages"]] == [
        [],
        [{"host": "node1", "reason": "is disabled", "lacking": {}}],
    ]


async def test_a_refusal_is_kept_with_amounts_and_told_its_owner_without_names(two_hosts: Any) -> None:
    await disable(two_hosts, "node1", True)
    server = await two_hosts.insert_server(extra_specs={"resources:DISK_GB": "100000"})
    await two_hosts.run()
    found = await decision_of(two_hosts, server.id)
    assert found["chosen"] is None
    (stage,) = [each for each in found["stages"] if each["refused"]]
    assert {each["host"] for each in stage["refused"]} == {"node1", "node2"}
    assert all(each["lacking"]["DISK_GB"]["wanted"] == 100000 for each in stage["refused"])
    assert found["nearest"] == stage["refused"][0]
    message = (await two_hosts.server(server.id)).fault["message"]
    assert "100000 DISK_GB wanted" in message
    assert "node" not in message


async def put_into_aggregate(world: Any, host: str, **metadata: str) -> str:
    """Made and filled through the API; returns its URL."""
    made = await world.admin_client.post("/v2.1/os-aggregates", json={"aggregate": {"name": f"of-{host}"}})
    url = f"/v2.1/os-aggregates/{made.json()['aggregate']['id']}/action"
    assert (await world.admin_client.post(url, json={"add_host": {"host": host}})).status_code == 200
    await set_metadata(world, url, **metadata)
    return url


async def set_metadata(world: Any, url: str, **metadata: str | None) -> None:
    assert (await world.admin_client.post(url, json={"set_metadata": {"metadata": metadata}})).status_code == 200


async def placed_on(world: Any, **wishes: Any) -> str | None:
    made = await world.insert_server(**wishes)
    await world.run()
    return (await hosts_of(world, made.id))[0]


async def test_the_metadata_of_aggregates_says_where_flavors_go_as_soon_as_it_changes(two_hosts: Any) -> None:
    two_hosts.compute.rules = Rules(filters=(*FILTERS, "AggregateInstanceExtraSpecsFilter"))
    url = await put_into_aggregate(two_hosts, "node2", ssd="true")
    specs = {"aggregate_instance_extra_specs:ssd": "true"}
    assert [await placed_on(two_hosts, extra_specs=specs) for _ in range(3)] == ["node2"] * 3
    await set_metadata(two_hosts, url, ssd=None)
    failed = await two_hosts.insert_server(extra_specs=specs)
    await two_hosts.run()
    fault = (await two_hosts.server(failed.id)).fault
    assert "AggregateInstanceExtraSpecsFilter left 0: 2 hosts are in no aggregate with ssd=true" in fault["message"]


async def test_aggregates_of_the_region_guide_servers_into_cells(two_cells: Any) -> None:
    two_cells.compute.rules = Rules(filters=(*FILTERS, "AggregateInstanceExtraSpecsFilter"))
    await put_into_aggregate(two_cells, "node2", ssd="true")
    specs = {"aggregate_instance_extra_specs:ssd": "true"}
    assert [await placed_on(two_cells, extra_specs=specs) for _ in range(2)] == ["node2"] * 2


async def test_a_host_kept_for_a_project_takes_no_others(two_hosts: Any) -> None:
    two_hosts.compute.rules = Rules(filters=(*FILTERS, "AggregateMultiTenancyIsolation"))
    url = await put_into_aggregate(two_hosts, "node1", filter_tenant_id="somebody-else")
    assert [await placed_on(two_hosts) for _ in range(2)] == ["node2"] * 2
    await set_metadata(two_hosts, url, filter_tenant_id=two_hosts.project_id)
    assert await placed_on(two_hosts) == "node1"


async def test_an_aggregate_says_how_much_its_hosts_room_counts(two_hosts: Any) -> None:
    assert [await placed_on(two_hosts, requested_host="node2"), await placed_on(two_hosts)] == ["node2", "node1"]
    url = await put_into_aggregate(two_hosts, "node1", ram_weight_multiplier="-50")
    assert [await placed_on(two_hosts, requested_host="node2"), await placed_on(two_hosts)] == ["node2", "node2"]
    await set_metadata(two_hosts, url, ram_weight_multiplier=None)
    assert await placed_on(two_hosts) == "node1"


async def test_servers_of_like_images_are_drawn_together_where_that_is_weighed(two_hosts: Any) -> None:
    weights = {**WEIGHTS, "image_props_weight_multiplier": 100.0}
    two_hosts.compute.rules = Rules(weights=weights)
    debian = {"image_properties": {"os_distro": "debian"}}
    assert await placed_on(two_hosts, **debian) == "node1"
    assert await placed_on(two_hosts) == "node2"
    assert [await placed_on(two_hosts, **debian) for _ in range(3)] == ["node1"] * 3


async def test_what_the_operator_has_servers_ask_is_asked_of_placement(two_hosts: Any) -> None:
    rules = {"query_placement_for_image_type_support": True, "image_metadata_prefilter": True}
    two_hosts.compute.rules = Rules(**rules)
    assert await placed_on(two_hosts, image_properties={"hw_disk_bus": "virtio"}) == "node1"
    failed = await two_hosts.insert_server(image_properties={"hw_disk_bus": "scsi"})
    await two_hosts.run()
    told = (await two_hosts.server(failed.id)).fault["message"]
    assert "(COMPUTE_IMAGE_TYPE_QCOW2 required, COMPUTE_STORAGE_BUS_SCSI required)" in told


async def test_a_project_stays_in_its_aggregates_where_the_operator_wants_that(two_hosts: Any) -> None:
    two_hosts.compute.rules = Rules(limit_tenants_to_placement_aggregate=True)
    await put_into_aggregate(two_hosts, "node2", filter_tenant_id=two_hosts.project_id)
    assert [await placed_on(two_hosts) for _ in range(2)] == ["node2"] * 2


async def test_a_group_is_claimed_of_the_provider_below_the_host_that_gives_it(two_hosts: Any) -> None:
    remote = two_hosts.compute.placement
    (parent,) = await remote.providers(name="node2")
    card = str(uuid4())
    await remote._remote.request(
        "POST",
        at("/resource_providers"),
        json={"uuid": card, "name": "card", "parent_provider_uuid": parent.uuid},
        headers=VERSION,
    )
    await remote.set_inventory(card, 0, {"VGPU": Inventory(1)})
    made = [await two_hosts.insert_server(extra_specs={"resources1:VGPU": "1"}) for _ in range(2)]
    await two_hosts.run()
    placed = {each.id: (await two_hosts.server(each.id)).host for each in made}
    assert sorted(map(str, placed.values())) == ["None", "node2"]
    (server_id,) = [each for each, host in placed.items() if host]
    held = await remote.allocations(server_id)
    assert (held[card], set(held)) == ({"VGPU": 1}, {card, parent.uuid})
    for each in made:
        await two_hosts.destroy(each.id)
    await two_hosts.run()
    assert await two_hosts.leftovers() == NOTHING_LEFT


async def test_a_host_asked_for_is_found_among_more_than_placement_is_asked_for(two_hosts: Any) -> None:
    two_hosts.compute.rules = Rules(max_placement_results=1)
    assert [await placed_on(two_hosts, requested_host=host) for host in ("node1", "node2")] == ["node1", "node2"]
    await disable(two_hosts, "node2", True)
    failed = await two_hosts.insert_server(requested_host="node2")
    await two_hosts.run()
    assert (await two_hosts.server(failed.id)).fault["message"] == (
        "No valid host was found. 2 hosts considered for 1 DISK_GB, 512 MEMORY_MB, 1 VCPU. RequestedHostFilter left 1: "
        "1 host is not the requested host node2. ComputeFilter left 0: 1 host is disabled."
    )


async def test_a_build_is_tried_on_as_many_hosts_as_the_operator_says(two_hosts: Any) -> None:
    two_hosts.compute.rules = Rules(max_attempts=1)
    two_hosts.hosts["node1"].fail_next_spawn("qemu is out of order")
    failed = await two_hosts.insert_server()
    await two_hosts.run()
    assert "1 host failed to build the server" in (await two_hosts.server(failed.id)).fault["message"]


async def test_a_refusal_asks_for_the_room_of_all_hosts_at_once(
    two_hosts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, asked = two_hosts.compute.placement._remote, []
    real = remote.request

    async def request(method: str, path: str, **sent: Any) -> Any:
        asked.append(path)
        return await real(method, path, **sent)

    monkeypatch.setattr(remote, "request", request)
    failed = await two_hosts.insert_server(memory_mib=1 << 30)
    await two_hosts.run()
    assert [str(each) for each in asked[:2]] == ["/allocation_candidates", "/rooms"]
    assert not any("/resource_providers" in str(each) for each in asked)
    assert (await two_hosts.server(failed.id)).vm_state == "error"
