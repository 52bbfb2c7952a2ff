"""Parts that block storage's handlers share: the caller, the things that paths name, and the spelling of its lists."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from kilonova.block_storage import backups, metadata, snapshots, volumes
from kilonova.block_storage.operations import OPERATIONS
from kilonova.block_storage.scope import Scope
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Backup, Snapshot, Volume
from kilonova.block_storage.volumes import Caller
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import NOTHING, Condition
from kilonova.kit.errors import BadRequest, Forbidden, NotFound
from kilonova.kit.http.lists import Dialect, Listing, Reader, SortPairs
from kilonova.kit.http.queries import MAX_SHOWN, short, yes_or_no
from kilonova.kit.http.routes import Request
from kilonova.kit.tasks import NewTask, Program

VolumeRequest = Request[BlockStorage]
RowT = TypeVar("RowT")


def caller_of(request: VolumeRequest) -> Caller:
    """Raises Forbidden for a token that is not of a project: everything here belongs to one."""
    ctx = request.ctx
    if ctx.project_id is None:
        raise Forbidden("Block storage is for tokens of a project.")
    return Caller(ctx.project_id, ctx.user_id, ctx.is_admin)


def seen_project(request: VolumeRequest) -> str | None:
    """Returns the project that a look-up is narrowed to; None for administrators, who see every project's volumes.

    Whoever comes with a token of no project sees nothing.
    """
    return None if request.ctx.is_admin else request.ctx.project_id or ""


def task_for(
    request: VolumeRequest, program: Program[BlockStorage, Any], subject_id: str, args: msgspec.Struct | None = None
) -> NewTask:
    """A program's task for a volume or a snapshot, in the caller's name."""
    ctx = request.ctx
    return program.new_task(
        subject_id, args, request_id=request.request_id, user_id=ctx.user_id, project_id=ctx.project_id or ""
    )


@dataclass(frozen=True, slots=True)
class Found(Generic[RowT]):
    """A thing that the caller may act on, in an open transaction."""

    tx: Tx
    row: RowT


@dataclass(frozen=True, slots=True)
class Named(Generic[RowT]):
    """A kind of thing that paths name, looked up and authorized in one. Another project's could not be found."""

    parameter: str
    """The part of the path that has its id."""
    find: Callable[[Tx, str, str | None], Awaitable[RowT]]
    """Returns the row of an id that a project sees; raises the kind's NotFound."""

    @asynccontextmanager
    async def reading(self, request: VolumeRequest) -> AsyncIterator[Found[RowT]]:
        async with request.service.database.reading() as tx:
            yield await self._found(request, tx)

    @asynccontextmanager
    async def writing(self, request: VolumeRequest) -> AsyncIterator[Found[RowT]]:
        """The same in a write transaction."""
        async with request.service.database.transaction() as tx:
            yield await self._found(request, tx)

    async def look_up(self, request: VolumeRequest) -> None:
        """Raises NotFound or Forbidden for a thing that the caller cannot act on."""
        async with self.reading(request):
            pass

    async def _found(self, request: VolumeRequest, tx: Tx) -> Found[RowT]:
        row = await self.find(tx, request.path[self.parameter], seen_project(request))
        request.authorize(owner_of(row))
        return Found(tx, row)


_VOLUMES: Named[Volume] = Named("volume_id", volumes.find)
reading_volume, writing_volume, look_up_volume = _VOLUMES.reading, _VOLUMES.writing, _VOLUMES.look_up
_SNAPSHOTS: Named[Snapshot] = Named("snapshot_id", snapshots.find)
reading_snapshot, writing_snapshot, look_up_snapshot = _SNAPSHOTS.reading, _SNAPSHOTS.writing, _SNAPSHOTS.look_up
_BACKUPS: Named[Backup] = Named("backup_id", backups.find)
reading_backup, writing_backup, look_up_backup = _BACKUPS.reading, _BACKUPS.writing, _BACKUPS.look_up


def owner_of(row: Any) -> dict[str, Any]:
    """The policy target that a row is."""
    return {"project_id": row.project_id, "user_id": getattr(row, "user_id", None)}


PASSING = frozenset(each.shows for each in OPERATIONS.values())
"""The statuses that operations show: each is written with the task that owns it, and by nobody else."""


def refuse_status(kind: str, status: str, possible: Sequence[str]) -> None:
    """Raises BadRequest for a status that nobody may give a volume or a snapshot."""
    if status in PASSING:
        raise BadRequest(
            f"A {kind} is {status} only while an operation is at work, which ends by itself; possible are "
            f"{', '.join(possible)}."
        )
    if status not in possible:
        raise BadRequest(f"A {kind} cannot be made {status}; possible are {', '.join(possible)}.")


# --- lists -----------------------------------------------------------------------------------------------------------


def _sort_pairs(request: Request[Any]) -> SortPairs:
    """`sort=key:direction,key`, or `sort_key` and `sort_dir`; descending where no direction is given."""
    query = request.query
    if "sort" in query:
        if "sort_key" in query or "sort_dir" in query:
            raise BadRequest("Sort either with sort, or with sort_key and sort_dir.")
        parts = [part.strip().partition(":") for part in query["sort"].split(",") if part.strip()]
        return [(key, direction or "desc") for key, _, direction in parts]
    keys = [key.strip() for text in query.getlist("sort_key") for key in text.split(",") if key.strip()]
    directions = [each.strip() for text in query.getlist("sort_dir") for each in text.split(",")]
    return [(key, directions[place] if place < len(directions) else "desc") for place, key in enumerate(keys)]


def _refuse_unknown(request: Request[Any], listing: Listing) -> None:
    """Raises BadRequest for a filter that the list does not have; before 3.31 such a filter asks for nothing, and nor
    do pages of a list that has none yet."""
    unknown = sorted(set(request.query) - set(request.known_queries) - set(listing.dialect.names))
    if unknown and request.allows("strict_filters"):
        named = ", ".join(name[:MAX_SHOWN] for name in unknown[:MAX_SHOWN])
        raise BadRequest(f"Invalid filters {named}; possible are {', '.join(sorted(request.known_queries))}.")


DIALECT = Dialect(
    names=("limit", "marker", "offset", "sort", "sort_key", "sort_dir"),
    default_limit=1000,
    largest_limit=1000,
    counts_zero=True,
    looks_ahead=False,
    refuse=_refuse_unknown,
    lost_marker=lambda marker: NotFound(f"The marker {marker[:MAX_SHOWN]} is the id of nothing in this list."),
    sort_pairs=_sort_pairs,
)
UNPAGED = Dialect(names=())
"""The dialect of lists that are short: they come whole."""


def no_row(_name: str, _texts: Sequence[str]) -> Condition:
    """Reads a filter on what no row has here."""
    return NOTHING


def same_in_all(value: bool) -> Reader:
    """Returns the reader of a filter on a flag that every row has alike."""
    return lambda name, texts: None if yes_or_no(name, texts[-1]) is value else NOTHING


def scope_of(request: VolumeRequest, *, with_metadata: bool = False) -> Scope:
    """The rows that a list may show: those of the caller's project, or of all where an administrator asks for them
    (`all_tenants`), or of one of them (`project_id`); narrowed by the filter `metadata`. Raises BadRequest.
    """
    query, ctx = request.query, request.ctx
    asks_for_all = "all_tenants" in query and yes_or_no("all_tenants", query["all_tenants"] or "1")
    named = query.get("project_id") or query.get("tenant_id")
    project_id: str | None = ctx.project_id or ""
    if ctx.is_admin and asks_for_all:
        project_id = short("project_id", named) if named else None
    text = query.get("metadata") if with_metadata else None
    return Scope(project_id, read_mapping("metadata", text) if text else {})


def read_mapping(name: str, text: str) -> dict[str, str]:
    """Reads a filter that is an object of texts; clients write Python's quotes as well as JSON's. Raises BadRequest."""
    refused = BadRequest(f'{name} takes an object such as {{"key": "value"}}, got {text[:MAX_SHOWN]!r}.')
    try:
        wanted = msgspec.json.decode(text if '"' in text else text.replace("'", '"'), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise refused from error
    if len(wanted) > metadata.MOST_ITEMS:
        raise BadRequest(f"{name} takes {metadata.MOST_ITEMS} items at most, got {len(wanted)}.")
    return wanted


def wants_count(request: VolumeRequest) -> bool:
    """Whether the answer is to tell how many rows there are in all. Raises BadRequest."""
    return (
        request.allows("counts")
        and "with_count" in request.query
        and yes_or_no("with_count", request.query["with_count"])
    )
