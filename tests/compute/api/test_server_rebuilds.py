"""rebuild: what it changes at once, what it answers, and who and what is refused."""

import base64
from typing import Any

import pytest

from kilonova.compute.tables import tasks

MISSING = "5a6b9b56-0000-4f9c-a1b1-4d0c8c7c0f11"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHwAWDlqE3fo7gw2bZ2tQcGZ5sqyjDyTQ1Bv1xwHwIT2 demo"


def wish(image_id: str, **fields: Any) -> dict[str, Any]:
    return {"rebuild": {"imageRef": image_id, **fields}}


async def test_everything_that_may_change_changes_at_once(nova: Any) -> None:
    server, image_id = await nova.insert_server(), await nova.image()
    new = {"keypair": {"name": "mine", "type": "ssh", "public_key": KEY}}
    await nova.call("POST", "/os-keypairs", 201, json=new)
    url = f"/servers/{server.id}"
    wanted = wish(
        image_id,
        name="renamed",
        adminPass="secret",
        metadata={"purpose": "test"},
        preserve_ephemeral=True,
        accessIPv4="10.0.0.9",
        accessIPv6="fe80::1",
        description="anew",
        key_name="mine",
        user_data=base64.b64encode(b"#!/bin/sh\n").decode(),
        trusted_image_certificates=None,
        hostname="other-name",
        **{"OS-DCF:diskConfig": "AUTO"},
    )
    await nova.refused("POST", f"{url}/action", 404, by="other", json=wanted)
    await nova.refused("POST", f"{url}/action", 403, by="reader", json=wanted)
    answered = (await nova.call("POST", f"{url}/action", 202, json=wanted))["server"]
    shown = (await nova.call("GET", url))["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("REBUILD", "rebuilding")
    assert shown["image"]["id"] == image_id
    assert (shown["name"], shown["description"], shown["key_name"]) == ("renamed", "anew", "mine")
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("10.0.0.9", "fe80::1")
    assert (shown["metadata"], shown["OS-DCF:diskConfig"]) == ({"purpose": "test"}, "AUTO")
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "other-name"
    # A password that somebody chose gets into the guest, which takes a config drive.
    assert shown["config_drive"] == "True"
    assert answered == {**shown, "adminPass": "secret", "user_data": "IyEvYmluL3NoCg=="}
    row = await nova.server(server.id)
    assert (row.rebuild_count, row.keeps_ephemeral, row.wanted_power) == (1, True, "running")
    assert (row.user_data, row.public_key) == (b"#!/bin/sh\n", KEY)
    async with nova.service.database.reading() as tx:
        (task, _build) = await tasks.of_subject(tx, server.id)
    assert (task.program, task.args["admin_password"]) == ("rebuild", "secret")
    assert [each["id"] for each in (await nova.call("GET", "/servers?status=REBUILD"))["servers"]] == [server.id]
    assert "task_state rebuilding" in await nova.refused("POST", f"{url}/action", 409, json=wanted)
    (action, _created) = (await nova.call("GET", f"{url}/os-instance-actions"))["instanceActions"]
    assert action["action"] == "rebuild"


async def test_what_is_not_named_stays_and_null_takes_away(nova: Any) -> None:
    server = await nova.insert_server(key_name="old", public_key=KEY, description="old", metadata={"a": "1"})
    image_id = await nova.image()
    url = f"/servers/{server.id}"
    answered = (await nova.call("POST", f"{url}/action", 202, json=wish(image_id)))["server"]
    assert (answered["name"], answered["description"], answered["key_name"]) == ("web", "old", "old")
    assert (answered["metadata"], answered["config_drive"]) == ({"a": "1"}, "")
    assert len(answered["adminPass"]) >= 12
    other = await nova.insert_server(key_name="old", public_key=KEY, description="old", user_data=b"x")
    nothing = wish(image_id, key_name=None, description=None, user_data=None)
    answered = (await nova.call("POST", f"/servers/{other.id}/action", 202, json=nothing))["server"]
    assert (answered["description"], answered["key_name"], answered["user_data"]) == (None, None, None)
    assert (await nova.server(other.id)).public_key is None


async def test_a_stopped_server_stays_stopped_and_one_in_error_shall_run(nova: Any) -> None:
    image_id = await nova.image()
    for state, wanted in (("stopped", "stopped"), ("error", "running")):
        server = await nova.insert_server(vm_state=state, wanted_power="stopped")
        await nova.call("POST", f"/servers/{server.id}/action", 202, json=wish(image_id))
        assert (await nova.server(server.id)).wanted_power == wanted
        assert (await nova.call("GET", f"/servers/{server.id}"))["server"]["status"] == "REBUILD"


async def test_in_other_states_it_is_refused(nova: Any) -> None:
    image_id = await nova.image()
    for state in ("paused", "suspended"):
        server = await nova.insert_server(vm_state=state)
        told = await nova.refused("POST", f"/servers/{server.id}/action", 409, json=wish(image_id))
        assert told == f"Cannot 'rebuild' instance {server.id} while it is in vm_state {state}"
    never = await nova.insert_server(vm_state="error", host=None, launched_at=None)
    assert "never built" in await nova.refused("POST", f"/servers/{never.id}/action", 409, json=wish(image_id))
    locked = await nova.insert_server(locked=True, locked_by="owner")
    await nova.refused("POST", f"/servers/{locked.id}/action", 409, json=wish(image_id))
    await nova.refused("POST", f"/servers/{MISSING}/action", 404, json=wish(image_id))


async def test_an_image_that_does_not_fit_is_refused(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    assert "could not be found" in await nova.refused("POST", url, 400, json=wish(MISSING))
    empty = await nova.image(upload=False)
    assert "not active" in await nova.refused("POST", url, 400, json=wish(empty))
    large = await nova.image(virtual_gib=2)
    assert "disk is too small" in await nova.refused("POST", url, 400, json=wish(large))
    hungry = await nova.image(min_ram=1 << 20)
    assert "memory is too small" in await nova.refused("POST", url, 400, json=wish(hungry))
    assert (await nova.server(server.id)).rebuild_count == 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"imageRef": "cirros"}, "UUID of an image"),
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"metadata": {"key": 1}}, "metadata"),
        ({"accessIPv4": "ten"}, "accessIPv4"),
        ({"OS-DCF:diskConfig": "SOMETIMES"}, "diskConfig"),
        ({"preserve_ephemeral": "perhaps"}, "preserve_ephemeral"),
        ({"user_data": "!"}, "base64"),
        ({"key_name": "nobody's"}, "key_name"),
        ({"trusted_image_certificates": ["one"]}, "not signed here"),
        ({"trusted_image_certificates": []}, "not signed here"),
        ({"hostname": "a b"}, "hostname"),
        ({"description": "x" * 256}, "description"),
        ({"adminPass": "x" * 256}, "adminPass"),
        ({"personality": []}, "personality"),
        ({"flavorRef": "1"}, "flavorRef"),
    ],
)
async def test_bad_wishes_are_refused(nova: Any, fields: dict[str, Any], told: str) -> None:
    server, image_id = await nova.insert_server(), await nova.image()
    body = {"rebuild": {"imageRef": image_id, **fields}}
    assert told in await nova.refused("POST", f"/servers/{server.id}/action", 400, json=body)


async def test_more_metadata_than_the_quota_is_refused(nova: Any) -> None:
    server, image_id = await nova.insert_server(), await nova.image()
    limits = {"quota_set": {"metadata_items": 1}}
    await nova.call("PUT", f"/os-quota-sets/{server.project_id}", by="admin", json=limits)
    body = wish(image_id, metadata={"a": "1", "b": "2"})
    await nova.refused("POST", f"/servers/{server.id}/action", 403, json=body)


@pytest.mark.parametrize(
    ("field", "value", "since"),
    [
        ("description", "x", "2.19"),
        ("key_name", None, "2.54"),
        ("user_data", None, "2.57"),
        ("trusted_image_certificates", None, "2.63"),
        ("hostname", "name", "2.90"),
    ],
)
async def test_each_field_has_its_version(nova: Any, field: str, value: Any, since: str) -> None:
    server, image_id = await nova.insert_server(), await nova.image()
    url, body = f"/servers/{server.id}/action", wish(image_id, **{field: value})
    before = f"2.{int(since.removeprefix('2.')) - 1}"
    await nova.refused("POST", url, 400, version=before, json=body)
    await nova.call("POST", url, 202, version=since, json=body)


async def test_administrators_are_shown_user_data_once(nova: Any) -> None:
    server, image_id = await nova.insert_server(), await nova.image()
    url = f"/servers/{server.id}"
    body = wish(image_id, user_data="IyEvYmluL3NoCg==")
    answered = (await nova.call("POST", f"{url}/action", 202, by="admin", json=body))["server"]
    shown = (await nova.call("GET", url, by="admin"))["server"]
    assert shown.pop("OS-EXT-SRV-ATTR:user_data") == "IyEvYmluL3NoCg=="
    assert answered == {**shown, "adminPass": answered["adminPass"], "user_data": "IyEvYmluL3NoCg=="}


async def test_older_answers_show_what_they_did(nova: Any) -> None:
    image_id = await nova.image()
    for version, shown in (("2.53", set()), ("2.54", {"key_name"}), ("2.57", {"key_name", "user_data"})):
        server = await nova.insert_server()
        answered = await nova.call("POST", f"/servers/{server.id}/action", 202, version=version, json=wish(image_id))
        keys = {"key_name", "user_data", "config_drive"} & set(answered["server"])
        assert keys == shown
    server = await nova.insert_server()
    files = wish(image_id, personality=[{"path": "/etc/motd", "contents": "aGk="}])
    told = await nova.refused("POST", f"/servers/{server.id}/action", 400, version="2.56", json=files)
    assert "cannot be injected" in told


async def test_a_rebuild_does_not_change_a_guests_numa_nodes(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    for properties in ({"hw_cpu_policy": "dedicated"}, {"hw_numa_nodes": "1"}):
        image_id = await nova.image(**properties)
        told = await nova.refused("POST", url, 400, json=wish(image_id))
        assert "hw:cpu_policy=shared" in told or "a rebuild keeps them" in told
    await nova.call("POST", url, 202, json=wish(await nova.image(hw_numa_nodes="")))
