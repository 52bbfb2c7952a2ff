"""The times beside those of the steps: seen by whoever sees what the steps have noted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import update

from kilonova.compute.agent.spec import Milestone
from kilonova.compute.servers import timeline
from kilonova.compute.servers.timeline import ServerArgs
from kilonova.compute.tables import tasks

TOKEN = "identity_issue_token"


async def events(nova: Any, server_id: str, request_id: str, **call: Any) -> dict[str, Any]:
    path = f"/servers/{server_id}/os-instance-actions/{request_id}"
    action = (await nova.call("GET", path, **call))["instanceAction"]
    return {each["event"]: each for each in action["events"]}


async def test_when_the_callers_token_was_issued_is_for_administrators(nova: Any) -> None:
    server = await nova.insert_server()
    response = await (await nova.api("demo")).post(f"/v2.1/servers/{server.id}/action", json={"os-stop": None})
    stop_id = response.headers["x-openstack-request-id"]
    seen = await events(nova, server.id, stop_id, by="admin")
    token, step = seen[TOKEN], seen["compute_converge_power"]
    issued = datetime.fromisoformat(token["start_time"]).replace(tzinfo=UTC)
    verifier = nova.identity.verifier("nova")
    assert issued == (await verifier.authenticate(await nova.identity.token("demo"), None)).issued_at
    assert token["start_time"] <= step["start_time"]
    assert set(token) == set(step)
    assert TOKEN not in await events(nova, server.id, stop_id)
    assert TOKEN not in await events(nova, server.id, stop_id, by="admin", version="2.83")
    assert TOKEN not in await events(nova, server.id, "req-build", by="admin")


async def test_what_the_host_did_when_is_kept_with_the_task(nova: Any) -> None:
    server = await nova.insert_server()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    fetched = Milestone("fetch_image", start, start + timedelta(seconds=2))
    # An agent that was started anew finds the image there.
    found_there = Milestone("fetch_image", start + timedelta(seconds=9), start + timedelta(seconds=9))
    started = Milestone("start_domain", start + timedelta(seconds=9), start + timedelta(seconds=10))
    unfinished = Milestone("make_disks", start, None)
    args = timeline.with_milestones(ServerArgs(), [fetched, unfinished])
    args = timeline.with_milestones(args, [found_there, started])
    async with nova.service.transaction() as tx:
        of_server = tasks.tasks.c.subject_id == server.id
        await tx.execute(update(tasks.tasks).where(of_server).values(args=msgspec.to_builtins(args)))
    seen = await events(nova, server.id, "req-build", by="admin")
    times = {name: (each["start_time"][-9:], each["finish_time"][-9:]) for name, each in seen.items()}
    assert times.pop("conductor_schedule_and_build_instances")
    assert times == {
        "compute_fetch_image": ("00.000000", "02.000000"),
        "compute_start_domain": ("09.000000", "10.000000"),
    }
