"""How somebody can log in: the name of an authentication method → the function that carries it out.

A method's part of the body is called like the method, and is None where the body has none.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kilonova.identity.methods import password, token
from kilonova.identity.methods.proof import Proof
from kilonova.identity.service import Identity

Method = Callable[[Identity, Any, str], Awaitable[Proof]]
"""Called with the method's part and the caller's address. Raises AuthenticationFailed, BadRequest, TooManyLogIns."""

METHODS: Mapping[str, Method] = {
    "password": password.authenticate,
    "token": token.authenticate,
}
