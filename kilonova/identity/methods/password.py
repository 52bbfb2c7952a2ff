"""The method `password`: a user, by id or by name and domain, and the user's password."""

from typing import Annotated

from msgspec import Meta, Struct

from kilonova.identity import checking
from kilonova.identity.checking import Claim
from kilonova.identity.log_ins import account_of_names
from kilonova.identity.methods.proof import Proof
from kilonova.identity.passwords import MAX_LENGTH
from kilonova.identity.scopes import DomainRef, find_domain_id
from kilonova.identity.service import Identity
from kilonova.identity.tables import User
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id, Name


class UserRef(Struct):
    password: Annotated[str, Meta(max_length=MAX_LENGTH)]
    id: Id | None = None
    name: Name | None = None
    domain: DomainRef | None = None


class PasswordMethod(Struct):
    user: UserRef


async def authenticate(identity: Identity, part: PasswordMethod | None, address: str) -> Proof:
    """Raises BadRequest, AuthenticationFailed, TooManyLogIns, ServiceUnavailable."""
    if part is None:
        raise BadRequest("identity.password is required by the method password.")
    return Proof(await checking.check(identity, _claim(identity, part.user, address)))


def _claim(identity: Identity, wanted: UserRef, address: str) -> Claim:
    """Raises BadRequest."""
    if wanted.id is not None:
        return checking.claim_of_id(identity, wanted.id, wanted.password, address)
    name, domain = wanted.name, wanted.domain
    if name is None or domain is None or (domain.id is None and domain.name is None):
        raise BadRequest("identity.password.user needs an id, or a name and a domain.")

    async def find(tx: Tx) -> User | None:
        domain_id = await find_domain_id(tx, domain)
        # Without such a domain as well: the answer takes as long.
        return await identity.directory.find_user_named(tx, name, domain_id or "")

    return Claim(find, account_of_names(domain.id or domain.name or "", name), wanted.password, address)
