"""Authentication: from the body of POST /v3/auth/tokens to a user and the methods that the user logged in by.

Source: Identity API v3, "Authentication and token management".
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct

from kilonova.identity import factors
from kilonova.identity.errors import AuthenticationFailed
from kilonova.identity.methods import METHODS
from kilonova.identity.methods.password import PasswordMethod
from kilonova.identity.methods.token import TokenMethod
from kilonova.identity.scopes import Wanted
from kilonova.identity.service import Identity
from kilonova.identity.tables import User
from kilonova.identity.tokens import Payload
from kilonova.kit.errors import BadRequest

MethodName = Annotated[str, Meta(max_length=64)]
MOST_METHODS = 16


class IdentityPart(Struct):
    methods: Annotated[list[MethodName], Meta(max_length=MOST_METHODS)]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class AuthPart(Struct):
    identity: IdentityPart
    scope: Wanted = UNSET


class AuthBody(Struct):
    auth: AuthPart


class Authenticated(Struct):
    user: User
    methods: tuple[str, ...]
    previous: Payload | None
    """The token this one is got with, if any."""


async def authenticate(identity: Identity, part: IdentityPart, address: str) -> Authenticated:
    """Carries out every method that the body names, at `address`, all of which have to find the same user.

    Raises AuthenticationFailed without a cause, BadRequest for a body that lacks something, TooManyLogIns.
    """
    if not part.methods:
        raise BadRequest(f"identity.methods must name at least one of: {', '.join(METHODS)}.")
    user: User | None = None
    previous: Payload | None = None
    # One named twice is carried out once: hashing a password costs a core's time.
    methods = tuple(dict.fromkeys(part.methods))
    for name in methods:
        if name not in METHODS:
            raise AuthenticationFailed
        proof = await METHODS[name](identity, getattr(part, name), address)
        if user is not None and user.id != proof.user.id:
            raise AuthenticationFailed
        user, previous = proof.user, proof.previous or previous
    if user is None or not factors.are_enough(user, (*methods, *(previous.methods if previous else ()))):
        raise AuthenticationFailed
    return Authenticated(user, methods, previous)
