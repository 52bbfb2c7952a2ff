"""Answers that every resource of the network service gives alike: its list, itself, and a refusal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic

from kilonova.kit.db import Tx
from kilonova.kit.http.lists import Listing, cut
from kilonova.network.api.bodies import Body, NetworkRequest, check_revision, only_fields, viewer
from kilonova.network.api.listing import answer
from kilonova.network.visibility import RowT, Visibility

Target = dict[str, Any]


async def _own(_tx: Tx, _request: NetworkRequest, row: Any) -> Target:
    return {"project_id": row.project_id}


@dataclass(frozen=True, slots=True)
class Resource(Generic[RowT]):
    """A resource by the names the API has for it: `router`, `routers`, and `router_id` in paths."""

    name: str
    plural: str
    """As in paths: `security-groups`."""
    variable: str
    visibility: Visibility[RowT]
    listing: Listing
    views: Callable[[Tx, NetworkRequest, list[RowT]], Awaitable[list[Body]]]
    target: Callable[[Tx, NetworkRequest, RowT], Awaitable[Target]] = _own
    """Returns the fields of a row that policy rules look at."""

    async def list(self, request: NetworkRequest) -> Body:
        request.authorize(rule=f"get_{self.name}")
        page = self.listing.read(request)
        async with request.service.database.reading() as tx:
            found = cut(await self.visibility.list(tx, viewer(request), page.selection), page)
            return answer(self.plural, found, await self.views(tx, request, found.rows))

    async def fetch(
        self, tx: Tx, request: NetworkRequest, wanted_id: str | None = None, *, rule: str | None = None
    ) -> RowT:
        """The row the path names, or another one: found and authorized in one.

        What the caller cannot see could not be found; what he may not do is 403. `rule`: where the route's own is about
        something else than this resource.
        """
        row = await self.visibility.find(tx, viewer(request), wanted_id or request.path[self.variable])
        request.authorize(await self.target(tx, request, row), rule=rule)
        return row

    async def fetch_to_change(self, tx: Tx, request: NetworkRequest) -> RowT:
        """The row the path names, if it is of the revision that the caller asks for (`If-Match`)."""
        row = await self.fetch(tx, request)
        check_revision(request, row)
        return row

    async def show(self, request: NetworkRequest) -> Body:
        async with request.service.database.reading() as tx:
            body = await self.body(tx, request, await self.fetch(tx, request))
        return {self.name: only_fields(body[self.name], request.query.getlist("fields"))}

    async def body(self, tx: Tx, request: NetworkRequest, row: RowT) -> Body:
        """The answer that shows one row."""
        (view,) = await self.views(tx, request, [row])
        return {self.name: view}
