"""The result of a method of authentication."""

from msgspec import Struct

from kilonova.identity.tables import User
from kilonova.identity.tokens import Payload


class Proof(Struct):
    user: User
    previous: Payload | None = None
    """The token that the user showed, if any."""
