"""What network's handlers share: the request type, owners, revisions asked for, and single or bulk creation."""

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from kilonova.kit.errors import BadRequest, Forbidden
from kilonova.kit.http.routes import Request
from kilonova.network.errors import RevisionNumberConstraintFailed
from kilonova.network.service import NetworkService
from kilonova.network.tables import Standard
from kilonova.network.visibility import Viewer

NetworkRequest = Request[NetworkService]
Body = dict[str, Any]
NewT = TypeVar("NewT")


def one_or_many(one: NewT | UnsetType, many: list[NewT] | UnsetType, name: str) -> list[NewT]:
    """What to create: the body held either one resource or, for creating all of them or none, a list.

    Source: Networking API, "Bulk create".
    """
    if one is UNSET and many is not UNSET and many:
        return many
    if many is UNSET and one is not UNSET:
        return [one]
    raise BadRequest(f"The body needs either {name}, or {name}s with at least one entry.")


def created(name: str, views: list[Body], many: object) -> Body:
    """The answer to a creation: a list when `many`, the body's list, was given."""
    return {name: views[0]} if many is UNSET else {f"{name}s": views}


def check_revision(request: NetworkRequest, row: Standard) -> None:
    """`If-Match: revision_number=N` lets a change through only while nobody else has changed the resource."""
    wanted = request.headers.get("if-match")
    if wanted is None or request.method in ("GET", "HEAD"):
        return
    name, _, number = wanted.strip().strip('"').partition("=")
    # The length comes before the value: no revision has more digits, and reading them takes the square of their number.
    if name != "revision_number" or not re.fullmatch("[0-9]{1,18}", number):
        raise BadRequest("Bad if-match request: Revision number etag must be in the format of revision_number=<int>.")
    if int(number) != row.revision_number:
        raise RevisionNumberConstraintFailed(number, row.revision_number)


def only_fields(view: Body, fields: Collection[str]) -> Body:
    return {name: value for name, value in view.items() if name in fields} if fields else view


def owner(request: NetworkRequest, fields: Any) -> str:
    """The project a new resource is for: the caller's, or another one if the caller may say so."""
    wanted = fields.project_id if fields.project_id is not UNSET else fields.tenant_id
    if UNSET not in (fields.project_id, fields.tenant_id) and fields.project_id != fields.tenant_id:
        raise BadRequest("'project_id' and 'tenant_id' do not match")
    own = request.ctx.project_id or ""
    if wanted is UNSET or wanted in (None, own):
        request.authorize({"project_id": own})
        return own
    request.authorize({"project_id": own}, rule="create_network:project_id")
    return str(wanted)


def owns(request: NetworkRequest, row: Standard) -> bool:
    """Whether the caller may do to the resource what is for its owner alone."""
    return is_cloud_admin(request) or row.project_id == request.ctx.project_id


def require(request: NetworkRequest, rule: str, target: Mapping[str, Any], attribute: str) -> None:
    """Raises Forbidden naming the attribute the caller may not set."""
    if not request.may(target, rule=rule):
        raise Forbidden(f"rule:{rule} disallows to set {attribute}")


def viewer(request: NetworkRequest) -> Viewer:
    """Whose view the answer is; seeing everything is a matter of policy."""
    return Viewer(request.ctx.project_id or "", is_cloud_admin(request))


def is_cloud_admin(request: NetworkRequest) -> bool:
    return request.may(rule="context_is_admin")
