"""/os-keypairs."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.compute.api.bodies import ComputeRequest, refuse_unknown_queries
from kilonova.compute.api.listing import DIALECT
from kilonova.compute.catalog import generating, keypairs
from kilonova.compute.tables import Keypair
from kilonova.compute.views.records import keypair_detail_view, keypair_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id, LongText
from kilonova.kit.http.lists import Listing, cut_among
from kilonova.kit.http.routes import Reply
from kilonova.kit.http.versions import since


class NewKeypair(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[A-Za-z0-9 _\-@.]+(?<! )$(?!\n)")]
    public_key: LongText | UnsetType = UNSET
    type: Annotated[Literal["ssh", "x509"] | UnsetType, since("2.2")] = UNSET
    user_id: Annotated[Id | UnsetType, since("2.10")] = UNSET


QUERY: dict[str, str | None] = {"user_id": None}
LISTING = Listing(dialect=DIALECT, others=QUERY, since="keypair_paging")
LIST_QUERY = LISTING.query


class NewKeypairBody(Struct, forbid_unknown_fields=True):
    keypair: NewKeypair


def _owner(request: ComputeRequest) -> str:
    """The user meant; naming another one is for administrators, from version 2.10 on."""
    refuse_unknown_queries(request)
    wanted = request.query.get("user_id") if request.allows("keypair_of_user") else None
    owner = wanted or request.ctx.user_id
    request.authorize({"user_id": owner})
    return owner


async def create_keypair(request: ComputeRequest, body: NewKeypairBody) -> Reply:
    new = body.keypair
    owner = request.ctx.user_id if new.user_id is UNSET else new.user_id
    request.authorize({"user_id": owner})
    if not request.allows("keypair_import_only") and set("@.") & set(new.name):
        raise BadRequest("The name of a key pair may hold @ and . from version 2.92 on only.")
    kind = "x509" if new.type == "x509" else "ssh"
    private_key: str | None = None
    if new.public_key is not UNSET:
        keypair = await _keep(request, owner, new.name, kind, new.public_key)
    else:
        if request.allows("keypair_import_only"):
            raise BadRequest("public_key is required: from version 2.92 on key pairs are not generated.")
        async with generating.turn_of(owner):
            # What this user had generated before is kept by now: nothing is generated that would not be kept.
            async with request.service.reading() as tx:
                await keypairs.require_room(tx, owner, new.name)
            private_key, public_key = await generating.generate(kind, owner)
            keypair = await _keep(request, owner, new.name, kind, public_key, is_generated=True)
    shown = {**keypair_view(keypair), "user_id": keypair.user_id}
    if private_key is not None:
        shown["private_key"] = private_key
    status = 201 if request.allows("keypair_type") else 200
    return Reply({"keypair": shown}, status=status)


async def _keep(
    request: ComputeRequest, owner: str, name: str, kind: str, public_key: str, *, is_generated: bool = False
) -> Keypair:
    """Raises BadRequest, NameExists, QuotaExceeded."""
    fingerprint_of = keypairs.fingerprint_of_certificate if kind == "x509" else keypairs.fingerprint_of
    wanted = keypairs.NewKeypair(owner, name, kind, public_key, fingerprint_of(public_key), is_generated)
    async with request.service.transaction() as tx:
        return await keypairs.insert(tx, wanted, request.service.clock.now())


async def list_keypairs(request: ComputeRequest) -> dict[str, Any]:
    owner = _owner(request)
    async with request.service.reading() as tx:
        found = await keypairs.list_of(tx, owner)
    # A user has few key pairs: the page is cut from all of them.
    shown = cut_among(found, LISTING.read(request), lambda each: each.name)
    # Each entry is wrapped once more: the shape this API has always had.
    return {"keypairs": [{"keypair": keypair_view(each)} for each in shown.rows], **shown.links("keypairs")}


async def show_keypair(request: ComputeRequest) -> dict[str, Any]:
    owner = _owner(request)
    async with request.service.reading() as tx:
        keypair = await keypairs.find(tx, owner, request.path["name"])
    return {"keypair": keypair_detail_view(keypair)}


async def delete_keypair(request: ComputeRequest) -> Reply:
    owner = _owner(request)
    async with request.service.transaction() as tx:
        await keypairs.remove(tx, await keypairs.find(tx, owner, request.path["name"]))
    return Reply(status=204 if request.allows("keypair_type") else 202)
