"""The method `token`: a token that is good already, for one with another scope."""

from typing import Annotated

from msgspec import Meta, Struct

from kilonova.identity import tokens
from kilonova.identity.methods.proof import Proof
from kilonova.identity.service import Identity
from kilonova.kit.errors import BadRequest

TokenText = Annotated[str, Meta(max_length=4096)]


class TokenMethod(Struct):
    id: TokenText


async def authenticate(identity: Identity, part: TokenMethod | None, _address: str) -> Proof:
    """Raises BadRequest, AuthenticationFailed."""
    if part is None:
        raise BadRequest("identity.token is required by the method token.")
    async with identity.database.reading() as tx:
        valid = await tokens.validate(tx, identity, part.id)
    return Proof(valid.user, valid.payload)
