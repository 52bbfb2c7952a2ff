"""/v3/users."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import checking, projects, records, users
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields, RecordId
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.api.options import UserOptions
from kilonova.identity.api.projects import REACH_LISTS as PROJECT_LISTS
from kilonova.identity.errors import AuthenticationFailed, ResourceNotFound
from kilonova.identity.passwords import MAX_LENGTH
from kilonova.identity.tables import User
from kilonova.identity.views.records import project_view, user_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Free

UserName = Annotated[str, Meta(min_length=1, max_length=255)]
Password = Annotated[str, Meta(max_length=MAX_LENGTH)]

LISTS = listing(
    texts={"name": "name", "domain_id": "domain_id", "default_project_id": "default_project_id"},
    flags=("enabled",),
    sorts=("name", "domain_id", "enabled", "default_project_id"),
    # Users of other identity providers, and passwords that expire.
    strange=("idp_id", "protocol_id", "unique_id", "password_expires_at"),
)


LACKING = {
    "federated": "Federated users cannot be made here yet: users log in with a password.",
    "password_expires_at": "Passwords do not expire here yet: password_expires_at cannot be set.",
}


class NewUser(NewFields):
    kind: ClassVar[str] = "user"
    lacking: ClassVar[Mapping[str, str]] = LACKING

    name: UserName
    domain_id: RecordId | UnsetType = UNSET
    password: Password | None = None
    enabled: bool = True
    default_project_id: RecordId | None = None
    options: UserOptions | UnsetType = UNSET
    federated: Free = None
    password_expires_at: Free = None


class NewUserBody(Struct):
    user: NewUser


class ChangedUser(Fields):
    kind: ClassVar[str] = "user"
    lacking: ClassVar[Mapping[str, str]] = LACKING

    name: UserName | UnsetType = UNSET
    password: Password | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    default_project_id: RecordId | None | UnsetType = UNSET
    domain_id: RecordId | UnsetType = UNSET
    options: UserOptions | UnsetType = UNSET
    federated: Free = None
    password_expires_at: Free = None


class ChangedUserBody(Struct):
    user: ChangedUser


class PasswordChange(Struct):
    password: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    original_password: Password


class PasswordChangeBody(Struct):
    user: PasswordChange


async def create_user(request: IdentityRequest, body: NewUserBody) -> dict[str, Any]:
    fields, attributes = body.user, body.user.attributes()
    domain_id = request.ctx.domain_id or "default" if fields.domain_id is UNSET else fields.domain_id
    password_hash = await _hash(request, fields.password) if fields.password else None
    user = User(
        id=records.new_id(),
        domain_id=domain_id,
        name=fields.name,
        password_hash=password_hash,
        enabled=fields.enabled,
        default_project_id=fields.default_project_id,
        extra=attributes,
        created_at=request.service.clock.now(),
    )
    async with request.service.database.transaction() as tx:
        await users.add(tx, request.service, user)
    return {"user": user_view(user, request.base_url)}


async def _hash(request: IdentityRequest, password: str) -> str:
    """For whoever asks in the name of another: their account is the caller's own."""
    return await checking.hash_in_turn(request.service, password, request.client_address, request.ctx.user_id)


async def list_users(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await request.service.directory.list_users(tx, page.selection)
    return paged(request, "users", page, found, user_view)


async def show_user(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        user = await fetch_user(tx, request, request.path["user_id"])
    return {"user": user_view(user, request.base_url)}


async def fetch_user(tx: Tx, request: IdentityRequest, user_id: str) -> User:
    """Looks up and authorizes in one: a user the caller may not see is reported no differently from a missing one."""
    user = await request.service.directory.find_user(tx, user_id)
    request.authorize({"target.user.id": user_id, "target.user.domain_id": user.domain_id if user else None})
    if user is None:
        raise ResourceNotFound("user", user_id)
    return user


async def update_user(request: IdentityRequest, body: ChangedUserBody) -> dict[str, Any]:
    fields, attributes = body.user, body.user.attributes()
    fields.refuse_other_id(request.path["user_id"])
    values = fields.given(without=("password", "domain_id"))
    if fields.password is not UNSET:
        values["password_hash"] = await _hash(request, fields.password) if fields.password else None
    identity = request.service
    async with identity.database.transaction() as tx:
        user = await fetch_user(tx, request, request.path["user_id"])
        if fields.domain_id not in (UNSET, user.domain_id):
            raise BadRequest("The domain of a user cannot be changed.")
        user = await users.change(tx, identity, user, values, attributes)
    return {"user": user_view(user, request.base_url)}


async def change_password(request: IdentityRequest, body: PasswordChangeBody) -> None:
    """POST /v3/users/{user_id}/password: whoever knows the old one may, with a token or without. Ends every token of
    the user. Raises AuthenticationFailed alike for a wrong password and for nobody."""
    identity, address = request.service, request.client_address
    claim = checking.claim_of_id(identity, request.path["user_id"], body.user.original_password, address)
    user = await checking.check(identity, claim)
    password_hash = await checking.hash_in_turn(identity, body.user.password, address, user.id)
    async with identity.database.transaction() as tx:
        present = await identity.directory.find_user(tx, user.id)
        if present is None or present.password_hash != user.password_hash:
            # Of several who knew the old one, the first has made it a wrong one.
            raise AuthenticationFailed
        if present.extra.get("options", {}).get("lock_password"):
            raise BadRequest("This user's password is locked: an administrator has to change it.")
        await users.change(tx, identity, present, {"password_hash": password_hash})


async def delete_user(request: IdentityRequest) -> None:
    identity = request.service
    async with identity.database.transaction() as tx:
        user = await fetch_user(tx, request, request.path["user_id"])
        await users.remove(tx, identity, user)


async def list_projects_of_user(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/users/{user_id}/projects."""
    async with request.service.database.reading() as tx:
        user = await fetch_user(tx, request, request.path["user_id"])
        page = PROJECT_LISTS.read(request)
        found = await projects.list_of_user(tx, request.service, user.id, page.selection)
    return paged(request, "projects", page, found, project_view)
