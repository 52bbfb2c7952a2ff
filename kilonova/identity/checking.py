"""Checking a password: it takes its turn, the account must not be locked, and what came of it is counted.

The rule: whatever is wrong (no such domain, no such user, another password, somebody disabled) takes the same time and
leaves the same traces. All work on it is done in the turn: a crowd that waits holds no connection to the database.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from kilonova.identity import delays, log_ins, records
from kilonova.identity.errors import AuthenticationFailed
from kilonova.identity.log_ins import Record
from kilonova.identity.passwords import hash_password
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, User, domains
from kilonova.kit.db import Tx
from kilonova.kit.errors import DiskFull
from kilonova.kit.log import logger

log = logger(__name__)


class Claim(Struct):
    """Who somebody says to be, and how that can be known."""

    find: Callable[[Tx], Awaitable[User | None]]
    stranger: str
    """The account while there is no such user; also whose turn it is."""
    password: str
    address: str
    """Where it comes from."""


class _Account(Struct):
    """What there is of it."""

    id: str
    user: User | None
    is_usable: bool
    """Whether the user, and the user's domain, are enabled."""
    record: Record

    def is_locked(self, identity: Identity) -> bool:
        options = self.user.extra.get("options", {}) if self.user else {}
        if options.get("ignore_lockout_failure_attempts"):
            return False
        return self.record.is_locked(identity.limits, identity.clock.now())


def claim_of_id(identity: Identity, user_id: str, password: str, address: str) -> Claim:
    async def find(tx: Tx) -> User | None:
        return await identity.directory.find_user(tx, user_id)

    return Claim(find, log_ins.account_of_names("", user_id), password, address)


async def check(identity: Identity, claim: Claim) -> User:
    """The user whose password it is. Raises AuthenticationFailed for every other reason, TooManyLogIns,
    ServiceUnavailable."""
    source = delays.source_of(claim.address)
    if identity.delays.seconds(source):
        async with identity.turns.turn(source, claim.stranger):
            account = await _look(identity, claim, source)
        if account.record.own is None:
            await identity.delays.wait(source)
    async with identity.turns.turn(source, claim.stranger):
        return await _check(identity, claim, source)


async def _check(identity: Identity, claim: Claim, source: str) -> User:
    account = await _look(identity, claim, source)
    if account.is_locked(identity):
        raise AuthenticationFailed
    matches = await identity.directory.check_password(account.user, claim.password)
    if account.user is None or not (matches and account.is_usable):
        identity.delays.failed(source)
        await _note_failure(identity, account.id, source)
        raise AuthenticationFailed
    account.record = await _read(identity, account.id, source)
    if account.is_locked(identity):
        # Guesses that were under way together do not count more than one after the other.
        raise AuthenticationFailed
    if account.record.has_to_be_noted(identity.clock.now()):
        await _note_success(identity, account.id, source)
    return account.user


async def hash_in_turn(identity: Identity, password: str, address: str, account: str) -> str:
    """The hash of a new password. Raises TooManyLogIns, ServiceUnavailable."""
    async with identity.turns.turn(delays.source_of(address), account):
        return await hash_password(password)


async def _look(identity: Identity, claim: Claim, source: str) -> _Account:
    async with identity.database.reading() as tx:
        user = await claim.find(tx)
        domain = await records.look_up(tx, domains, Domain, user.domain_id if user else "")
        account_id = user.id if user else claim.stranger
        record = await log_ins.read(tx, account_id, source, identity.clock.now())
    is_usable = user is not None and user.enabled and domain is not None and domain.enabled
    return _Account(account_id, user, is_usable, record)


async def _read(identity: Identity, account_id: str, source: str) -> Record:
    async with identity.database.reading() as tx:
        return await log_ins.read(tx, account_id, source, identity.clock.now())


async def _note_failure(identity: Identity, account_id: str, source: str) -> None:
    try:
        async with identity.database.transaction() as tx:
            await log_ins.note_failure(tx, account_id, source, identity.limits, identity.clock.now())
    except DiskFull as fault:
        log.warning("a failed log-in is not counted", reason=fault.message)


async def _note_success(identity: Identity, account_id: str, source: str) -> None:
    try:
        async with identity.database.transaction() as tx:
            await log_ins.note_success(tx, account_id, source, identity.clock.now())
    except DiskFull as fault:
        # Whoever is to make room has to get in.
        log.warning("a log-in is not noted", reason=fault.message)
