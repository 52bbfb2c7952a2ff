"""/v3/credentials, and the application credentials and access rules of a user: there are none here yet."""

from typing import Any

from kilonova.identity.api.bodies import IdentityRequest
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.errors import ResourceNotFound
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Listing
from kilonova.kit.http.routes import Handler

LISTS = listing(strange=("user_id", "type"))
NAMED_LISTS = listing(strange=("name",))
RULE_LISTS = listing(strange=("service", "path", "method"))


async def list_credentials(request: IdentityRequest) -> dict[str, Any]:
    """Those of the whole cloud, or of one user."""
    _be_own(request)
    return _none(request, "credentials", LISTS)


async def create_credential(request: IdentityRequest, _body: Any) -> None:
    """POST /v3/credentials: refused. Raises BadRequest."""
    _be_own(request)
    raise BadRequest("Credentials cannot be kept here yet: users log in with a password.")


async def list_application_credentials(request: IdentityRequest) -> dict[str, Any]:
    await _see_user(request)
    return _none(request, "application_credentials", NAMED_LISTS)


async def create_application_credential(request: IdentityRequest, _body: Any) -> None:
    """POST /v3/users/{user_id}/application_credentials: refused. Raises BadRequest."""
    await _see_user(request)
    raise BadRequest(
        "Application credentials cannot be made here yet: give the program a user, with a password and a role."
    )


async def list_access_rules(request: IdentityRequest) -> dict[str, Any]:
    """Rules come with application credentials alone."""
    await _see_user(request)
    return _none(request, "access_rules", RULE_LISTS)


def missing(kind: str, variable: str) -> Handler:
    """The handler of whatever is asked of one of them. It raises ResourceNotFound."""

    async def find(request: IdentityRequest) -> None:
        if "user_id" in request.path:
            await _see_user(request)
        else:
            request.authorize({"target.credential.user_id": None})
        raise ResourceNotFound(kind, request.path[variable])

    return find


def _be_own(request: IdentityRequest) -> None:
    """Everybody has a list of his own, and an administrator has everybody's."""
    request.authorize({"target.credential.user_id": request.ctx.user_id})


async def _see_user(request: IdentityRequest) -> None:
    """Raises Forbidden, or ResourceNotFound for a user that is not there."""
    user_id = request.path["user_id"]
    request.authorize({"user_id": user_id, "target.user.id": user_id})
    async with request.service.database.reading() as tx:
        if await request.service.directory.find_user(tx, user_id) is None:
            raise ResourceNotFound("user", user_id)


def _none(request: IdentityRequest, plural: str, listing: Listing) -> dict[str, Any]:
    return paged(request, plural, listing.read(request), [], lambda row, base_url: {})
