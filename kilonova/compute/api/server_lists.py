"""GET /servers and /servers/detail: filters, sorting, pages.

Which filters a user may use grew over the versions; one he may not use is ignored, as upstream does, until version 2.75
began to refuse what it does not know.
"""

from dataclasses import replace
from typing import Any

from kilonova.compute.api.bodies import ComputeRequest, as_boolean
from kilonova.compute.api.listing import DIALECT
from kilonova.compute.api.lookup import host_statuses, shown_in_detail
from kilonova.compute.region import cells, mappings, moving
from kilonova.compute.servers import patterns, server_lists
from kilonova.compute.servers.deleted_servers import merged
from kilonova.compute.servers.server_filters import Filters
from kilonova.compute.servers.servers import ServerWithTask
from kilonova.compute.service import Cell
from kilonova.compute.tables import CellMapping, Server
from kilonova.compute.transactions import CellTx
from kilonova.compute.views.servers import Body, link_view, unknown_view
from kilonova.kit.db.selections import Filter
from kilonova.kit.errors import BadRequest, Forbidden
from kilonova.kit.http.lists import TAG_OPERATORS, Listing, Page, SortPairs, cut
from kilonova.kit.http.queries import tags_of, whole_number

SORT_KEYS = {
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
    "auto_disk_config": "disk_config",
    "availability_zone": "availability_zone",
    "config_drive": "config_drive",
    "created_at": "created_at",
    "display_description": "description",
    "display_name": "name",
    "host": "host",
    "hostname": "hostname",
    "key_name": "key_name",
    "launch_index": "launch_index",
    "launched_at": "launched_at",
    "locked": "locked",
    "locked_by": "locked",
    "node": "host",
    "power_state": "power_state",
    "project_id": "project_id",
    "updated_at": "updated_at",
    "user_id": "user_id",
    "uuid": "id",
    "vm_state": "vm_state",
}
SAME_EVERYWHERE = frozenset("kernel_id progress ramdisk_id root_device_name terminated_at".split())
"""Sort keys whose value is the same for every server listed."""
IGNORED_SORT_KEYS = frozenset(
    "architecture cell_name cleaned default_ephemeral_device default_swap_device deleted deleted_at disable_terminate "
    "ephemeral_gb ephemeral_key_uuid id key_data launched_on memory_mb os_type reservation_id root_gb "
    "shutdown_terminate user_data vcpus vm_mode".split()
)
"""Accepted without effect before version 2.75, refused since."""
EQUAL = {"host": "host", "node": "host", "project_id": "project_id", "tenant_id": "project_id", "user_id": "user_id"}
EQUAL |= {"uuid": "id", "vm_state": "vm_state"}
PATTERNS = {
    "availability_zone": "availability_zone",
    "description": "description",
    "display_description": "description",
    "display_name": "name",
    "hostname": "hostname",
    "key_name": "key_name",
    "name": "name",
    "reservation_id": "reservation_id",
}
NUMBERS = {"launch_index": "launch_index", "power_state": "power_state"}
BOOLEANS = {"config_drive": "config_drive", "locked": "locked"}
OTHERS = {
    "deleted",
    "soft_deleted",
    "flavor",
    "image",
    "image_ref",
    "status",
    "task_state",
    "progress",
    "ip",
    "ip6",
    "changes-since",
    "changes-before",
}
UNSERVED = set(
    "access_ip_v4 access_ip_v6 auto_disk_config created_at kernel_id launched_at locked_by ramdisk_id "
    "root_device_name terminated_at".split()
)
"""Filters of the API that are not served: refused rather than ignored, for what came back would look filtered."""
MOST_STATUSES = 32
PROGRESS, NO_SERVER = 0, ""
"""What every server shows as its progress, and the id of none."""
JOINED = set("block_device_mapping services metadata system_metadata info_cache security_groups pci_devices".split())
CONTROLS = {"limit", "marker", "sort_key", "sort_dir", "all_tenants"}
FILTERS = OTHERS | UNSERVED | JOINED | set(EQUAL) | set(PATTERNS) | set(NUMBERS) | set(BOOLEANS) | set(TAG_OPERATORS)

FOR_EVERYBODY = {
    None: "reservation_id name status image flavor ip changes-since",
    "server_tags": "tags tags-any not-tags not-tags-any",
    "changes_before": "changes-before",
    "server_locked_reason": "locked",
    "server_filters_for_all": "availability_zone config_drive key_name created_at launched_at terminated_at "
    "power_state task_state vm_state progress user_id",
    "server_hostname": "hostname",
    "ip6_filter": "ip6",
}
"""Change → filters that those without the rule `allow_all_filters` may use from it on."""


def _sort_pairs(request: ComputeRequest) -> SortPairs:
    """The sort keys that have an effect. One without a direction has the first one's: descending if none is given."""
    directions = request.query.getlist("sort_dir") or ["desc"]
    pairs = []
    for place, key in enumerate(request.query.getlist("sort_key")):
        if key in ("host", "node") and not request.ctx.is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
        if key not in IGNORED_SORT_KEYS or request.allows("strict_queries"):
            pairs.append((key, directions[place] if place < len(directions) else directions[0]))
    return pairs


LISTING = Listing(
    # Elsewhere limit=0 is no limit; of servers it is none at all.
    dialect=replace(DIALECT, counts_zero=True, sort_pairs=_sort_pairs),
    others=dict.fromkeys(sorted({*FILTERS, "all_tenants"})),
    sorts={**SORT_KEYS, **dict.fromkeys(SAME_EVERYWHERE, "")},
    order=(("created_at", "desc"), ("id", "desc")),
)
QUERY = LISTING.query


async def list_servers(request: ComputeRequest) -> dict[str, Any]:
    region = request.service
    filters, page = _asked(request, "os_compute_api:servers:index:get_all_tenants")
    marker = await server_lists.find_marker(region, filters, page.selection)
    if await region.cells.elsewhere():
        return await _list_over_cells(request, filters, page, marker, in_detail=False)
    async with region.reading() as tx:
        found = cut(await server_lists.list_names(region.local(tx), filters, page.selection, marker), page)
    shown = [link_view(each.id, each.name, request.base_url) for each in found.rows]
    return {"servers": shown, **found.links("servers")}


async def list_servers_detail(request: ComputeRequest) -> dict[str, Any]:
    filters, page = _asked(request, "os_compute_api:servers:detail:get_all_tenants")
    marker = await server_lists.find_marker(request.service, filters, page.selection)
    return await _list_over_cells(request, filters, page, marker, in_detail=True)


async def _list_over_cells(
    request: ComputeRequest, filters: Filters, page: Page, marker: Server | None, *, in_detail: bool
) -> dict[str, Any]:
    async def ask(cell: Cell, tx: CellTx) -> tuple[list[ServerWithTask], dict[str, str]]:
        found = await server_lists.list_page(tx, filters, page.selection, marker)
        return found, await host_statuses(cell, tx, request, found) if in_detail else {}

    gathered = await cells.gather(request.service, ask)
    parts = gathered.values()
    if len(parts) > 1:
        await moving.drop_copies(request.service, [(cell, part) for cell, (part, _statuses) in gathered.answers])
    # What one cell gives is in order already.
    in_order = parts[0][0] if len(parts) == 1 else merged([part for part, _statuses in parts], page.selection)
    found = cut(in_order, page, lambda each: each.server.id)
    statuses = {host: status for _part, known in parts for host, status in known.items()}
    shown = [_shown(request, each, statuses, in_detail=in_detail) for each in found.rows]
    if gathered.down and found.next is None and request.allows("partial_results") and _is_plain(request):
        shown += await _unknown(request, gathered.down, filters, (page.limit or 0) - len(shown), in_detail=in_detail)
    return {"servers": shown, **found.links("servers")}


def _shown(request: ComputeRequest, each: ServerWithTask, statuses: dict[str, str], *, in_detail: bool) -> Body:
    if not in_detail:
        return link_view(each.server.id, each.server.name, request.base_url)
    shown = shown_in_detail(request, each, statuses)
    # Only a single server shows its groups: in a list each would cost a look-up.
    del shown["server_groups"]
    return shown


def _is_plain(request: ComputeRequest) -> bool:
    """Whether servers of which no more than their being is known can be among those asked for."""
    return set(request.query) <= {"limit", "all_tenants", "project_id", "tenant_id"}


async def _unknown(
    request: ComputeRequest, down: list[CellMapping], filters: Filters, most: int, *, in_detail: bool
) -> list[Body]:
    """The servers of cells that do not answer."""
    project_id = filters.project_id or filters.equal.get("project_id")
    async with request.service.reading() as tx:
        ids = [each.id for each in down]
        found = await mappings.servers_in(tx, ids, None if project_id is None else str(project_id), max(most, 0))
    return [unknown_view(each, request.base_url, in_detail=in_detail) for each in found]


def _asked(request: ComputeRequest, all_projects_rule: str) -> tuple[Filters, Page]:
    request.authorize()
    page = LISTING.read(request)
    all_projects = "all_tenants" in request.query and as_boolean(request.query["all_tenants"] or "1", "all_tenants")
    if all_projects:
        request.authorize(rule=all_projects_rule)
    return _filters(request, all_projects=all_projects), page


def _usable(request: ComputeRequest) -> dict[str, str]:
    """The filters of the request that its caller may use."""
    for name in request.query:
        if name in JOINED or name.startswith("_"):
            raise BadRequest(f"Invalid filter field: {name}.")
    given = {name: value for name, value in request.query.items() if name not in CONTROLS}
    if request.may(rule="os_compute_api:servers:allow_all_filters"):
        return given
    allowed = {
        name
        for change, names in FOR_EVERYBODY.items()
        if change is None or request.allows(change)
        for name in names.split()
    }
    return {name: value for name, value in given.items() if name in allowed}


def _filters(request: ComputeRequest, *, all_projects: bool) -> Filters:
    usable = _usable(request)
    for name in usable.keys() & UNSERVED:
        raise BadRequest(f"Servers cannot be filtered by {name} here.")
    statuses = _statuses(request)
    only_deleted = ("deleted" in usable and as_boolean(usable["deleted"], "deleted")) or (
        statuses is not None and set(map(str.upper, statuses)) == {"DELETED"}
    )
    shows_changes = "changes-since" in usable and "deleted" not in usable
    equal: dict[str, str | int | bool] = {column: usable[name] for name, column in EQUAL.items() if name in usable}
    equal |= {column: _number(usable[name], name) for name, column in NUMBERS.items() if name in usable}
    equal |= {column: as_boolean(usable[name], name) for name, column in BOOLEANS.items() if name in usable}
    if not all_projects:
        equal.pop("project_id", None)
    if _number(usable.get("progress", "0"), "progress") != PROGRESS:
        equal["id"] = NO_SERVER
    texts = {column: _pattern(usable[name], name) for name, column in PATTERNS.items() if name in usable}
    addresses = {version: usable[name] for version, name in ((4, "ip"), (6, "ip6")) if name in usable}
    tags = [
        Filter("tags", operator, tags_of(name, [usable[name]]))
        for name, operator in TAG_OPERATORS.items()
        if name in usable
    ]
    return Filters(
        project_id=None if all_projects else request.ctx.project_id,
        equal=equal,
        patterns=texts,
        flavor_id=_last_part(usable.get("flavor")),
        image_id=_last_part(usable.get("image") or usable.get("image_ref")),
        statuses=statuses,
        with_live=not only_deleted,
        with_deleted=only_deleted or shows_changes,
        with_soft_deleted=shows_changes or _wants_soft_deleted(usable, statuses),
        task_states=(usable["task_state"],) if "task_state" in usable else (),
        addresses={version: _pattern(text, "ip") for version, text in addresses.items()},
        tags=tuple(tags),
        **_changes(usable),
    )


def _wants_soft_deleted(usable: dict[str, str], statuses: tuple[str, ...] | None) -> bool:
    """Lists have servers that were deleted softly only where somebody asks for them."""
    asked = "soft_deleted" in usable and as_boolean(usable["soft_deleted"], "soft_deleted")
    return asked or usable.get("vm_state") == "soft-delete" or "SOFT_DELETED" in map(str.upper, statuses or ())


def _changes(usable: dict[str, str]) -> dict[str, Any]:
    moments = {
        field: server_lists.read_moment(usable[name], name)
        for name, field in (("changes-since", "changed_since"), ("changes-before", "changed_before"))
        if name in usable
    }
    if len(moments) == 2 and moments["changed_since"] > moments["changed_before"]:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return moments


def _statuses(request: ComputeRequest) -> tuple[str, ...] | None:
    """Any of those asked for. One that does not exist matches nothing, and is refused from version 2.38 on."""
    wanted = tuple(dict.fromkeys(request.query.getlist("status")))
    if not wanted:
        return None
    if len(wanted) > MOST_STATUSES:
        raise BadRequest(f"Servers are filtered by {MOST_STATUSES} statuses at most, got {len(wanted)}.")
    if not any(map(server_lists.is_status, wanted)) and request.allows("strict_status_filter"):
        known = ", ".join(sorted({"DELETED", *server_lists.STATUSES, *server_lists.UNREACHED_STATUSES}))
        raise BadRequest(f"Invalid status value {', '.join(wanted)}; known are {known}.")
    if "DELETED" in map(str.upper, wanted) and not request.ctx.is_admin:
        raise Forbidden("Only administrators may list deleted instances")
    return wanted


def _pattern(text: str, name: str) -> str:
    patterns.check(text, name)
    return text


def _number(text: str, name: str) -> int:
    return whole_number(name, text)


def _last_part(reference: str | None) -> str | None:
    """The id in an id or a link to it."""
    return None if reference is None else reference.rpartition("/")[2]
