"""The record of what was done to a server: /servers/{id}/os-instance-actions."""

from dataclasses import replace
from typing import Any

from msgspec import Struct

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.listing import DIALECT, strict_from
from kilonova.compute.api.lookup import fetch_server
from kilonova.compute.errors import ActionNotFound, ServerNotFound
from kilonova.compute.region import cells
from kilonova.compute.servers import servers, timeline
from kilonova.compute.servers.server_lists import read_moment
from kilonova.compute.transactions import CellTx
from kilonova.compute.views.records import action_view, changed_at, event_view, moment_view, open_event_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Cut, Listing, cut_among
from kilonova.kit.tasks import Task


class Owner(Struct, frozen=True):
    """Whose actions are asked for; `host` is where the server is, or was last."""

    server_id: str
    project_id: str
    host: str | None


async def _owner_of_actions(tx: CellTx, request: ComputeRequest) -> Owner:
    """The server; a deleted one still shows its actions from version 2.21 on."""
    server_id = request.path["server_id"]
    deleted = await servers.find_deleted(tx, server_id)
    if deleted is None or deleted.archived_at is not None or not request.allows("actions_of_deleted_servers"):
        server = (await fetch_server(tx, request)).server
        return Owner(server.id, server.project_id, server.host)
    if not request.ctx.is_admin and deleted.project_id != request.ctx.project_id:
        raise ServerNotFound(server_id)
    request.authorize({"project_id": deleted.project_id, "user_id": deleted.user_id})
    return Owner(server_id, deleted.project_id, deleted.host)


def _links(_plural: str, cut: Cut[Any]) -> dict[str, Any]:
    return {} if cut.next is None else {"links": [{"rel": "next", "href": cut.next}]}


LISTING = Listing(
    dialect=replace(DIALECT, refuse=strict_from("action_paging"), links=_links),
    others={"changes-since": "action_paging", "changes-before": "changes_before"},
    since="action_paging",
)
QUERY = LISTING.query


async def list_actions(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/os-instance-actions, newest first."""
    async with cells.reading(request.service, request.path["server_id"]) as (_cell, tx):
        owner = await _owner_of_actions(tx, request)
        found = await request.service.tasks.of_subject(tx, owner.server_id)
    # One server's actions are few: the page is cut from all of them. The marker is a request's id.
    page = LISTING.read(request)
    shown = cut_among(_changed_in_time(request, found), page, lambda task: task.request_id)
    return {"instanceActions": [action_view(task, owner.server_id) for task in shown.rows], **shown.links("")}


def _changed_in_time(request: ComputeRequest, found: list[Task]) -> list[Task]:
    known = {name: request.query[name] for name in request.known_queries if name in request.query}
    moments = {name: read_moment(known[name], name) for name in ("changes-since", "changes-before") if name in known}
    since, before = moments.get("changes-since"), moments.get("changes-before")
    if since is not None and before is not None and since > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    if since is not None:
        found = [task for task in found if changed_at(task) >= since]
    if before is not None:
        found = [task for task in found if changed_at(task) <= before]
    return found


async def show_action(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/os-instance-actions/{request_id}, with an event for each step, the newest first."""
    wanted = request.path["request_id"]
    tasks = request.service.tasks
    async with cells.reading(request.service, request.path["server_id"]) as (_cell, tx):
        owner = await _owner_of_actions(tx, request)
        found = [task for task in await tasks.of_subject(tx, owner.server_id) if task.request_id == wanted]
        if not found:
            raise ActionNotFound(owner.server_id, wanted)
        steps = await tasks.steps_of(tx, found[0].id)
    shown = action_view(found[0], owner.server_id)
    target = {"project_id": owner.project_id}
    with_traces = request.may(target, rule="os_compute_api:os-instance-actions:events")
    if not with_traces and not request.allows("action_events_for_owners"):
        return {"instanceAction": shown}
    events = [event_view(step, owner.project_id, owner.host) for step in reversed(steps)]
    if found[0].finished_at is None:
        events.insert(0, open_event_view(found[0], owner.project_id, owner.host))
    hidden = [] if with_traces else ["traceback", "host"]
    if not request.may(target, rule="os_compute_api:os-instance-actions:events:details"):
        hidden.append("details")
    elif request.allows("action_event_details"):
        # Whoever sees what the steps have noted sees the times that are known beside them, too.
        known = timeline.moments(found[0])
        events += [moment_view(each, owner.project_id, owner.host) for each in reversed(known)]
    for event in events:
        for key in hidden:
            del event[key]
    return {"instanceAction": {**shown, "events": events}}
