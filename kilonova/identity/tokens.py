"""Tokens: issue, validate, revoke.

A token carries ids only; what they mean (names, roles, whether they are enabled) is looked up at each validation, so a
token never outlives what it was issued for. What it carries is a msgpack array that begins with the number of its form.
"""

import base64
import re
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from cryptography.fernet import InvalidToken
from msgspec import Struct
from sqlalchemy import Select, and_, bindparam, delete, or_, select

from kilonova.identity import assignments, records
from kilonova.identity.announcements import announce
from kilonova.identity.errors import AuthenticationFailed
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, Project, Revocation, Role, User, domains, projects, revocations
from kilonova.kit.db import Tx

_HEX_ID = re.compile("[0-9a-f]{32}")
"""What other services are told: every id in it has to match; an empty one means every token."""
ScopeKind = Literal["unscoped", "project", "domain", "system"]


class Payload(Struct, array_like=True, tag=1):
    """Of a user who logged in by password or with a token.

    A form stays as it is while tokens of it are about. Whatever carries something else (a trust, an application
    credential, a federated log-in, or this with another field) is a form with a number of its own, in `Form`.
    """

    packed_user_id: bytes
    """A letter that says how it is packed, then the id."""
    methods: tuple[str, ...]
    scope_kind: ScopeKind
    packed_scope_id: bytes
    expires_us: int
    """Microseconds since 1970."""
    issued_us: int
    audit_ids: tuple[str, ...]

    @property
    def user_id(self) -> str:
        return _unpack_id(self.packed_user_id)

    @property
    def scope_id(self) -> str:
        return _unpack_id(self.packed_scope_id)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires_us / 1_000_000, UTC)

    @property
    def issued_at(self) -> datetime:
        return datetime.fromtimestamp(self.issued_us / 1_000_000, UTC)


Form = Payload
"""Everything that a token may carry, told apart by the number."""


class Scope(Struct, frozen=True):
    """What a token is for. `target_id` is the project's or domain's id, `all` for the system, empty when unscoped."""

    kind: ScopeKind
    target_id: str = ""


class ValidToken(Struct):
    """A token and everything its document shows, looked up now."""

    token: str
    payload: Payload
    user: User
    user_domain: Domain
    roles: list[Role]
    project: Project | None = None
    project_domain: Domain | None = None
    domain: Domain | None = None


def seal(identity: Identity, user_id: str, methods: tuple[str, ...], scope: Scope, previous: Payload | None) -> str:
    """Makes a token. One got with another token never lives longer than that one, and keeps its chain of audit ids."""
    now = identity.clock.now()
    expires = now + timedelta(seconds=identity.token_seconds)
    audit_ids: tuple[str, ...] = (_new_audit_id(),)
    if previous is not None:
        expires = min(expires, previous.expires_at)
        audit_ids = (audit_ids[0], previous.audit_ids[-1])
        methods = tuple(dict.fromkeys((*previous.methods, *methods)))
    payload = Payload(
        packed_user_id=_pack_id(user_id),
        methods=methods,
        scope_kind=scope.kind,
        packed_scope_id=_pack_id(scope.target_id),
        expires_us=_microseconds(expires),
        issued_us=_microseconds(now),
        audit_ids=audit_ids,
    )
    # The padding is dropped, as keystone does: some clients choke on "=" in a header they put into a URL.
    return identity.keys.encrypt(msgspec.msgpack.encode(payload)).decode().rstrip("=")


def unseal(identity: Identity, token: str) -> Payload:
    """Raises AuthenticationFailed for a token that is forged, foreign or expired."""
    try:
        raw = identity.keys.decrypt(token.encode() + b"=" * (-len(token) % 4))
        payload = msgspec.msgpack.decode(raw, type=Form)
    except (InvalidToken, msgspec.DecodeError, UnicodeEncodeError) as error:
        raise AuthenticationFailed from error
    if payload.expires_at <= identity.clock.now():
        raise AuthenticationFailed
    return payload


async def check(identity: Identity, token: str) -> ValidToken:
    """`validate`, remembered while nothing has changed. Expiry is looked at each time."""
    unseal(identity, token)
    valid: ValidToken = await identity.validated.get(token, lambda tx: validate(tx, identity, token))
    return valid


async def validate(tx: Tx, identity: Identity, token: str) -> ValidToken:
    """The token with all it stands for. Raises AuthenticationFailed for every reason it is not good now."""
    payload = unseal(identity, token)
    if await _is_revoked(tx, payload):
        raise AuthenticationFailed
    user = await identity.directory.find_user(tx, payload.user_id)
    if user is None or not user.enabled:
        raise AuthenticationFailed
    found = ValidToken(token, payload, user, await _enabled_domain(tx, user.domain_id), [])
    if payload.scope_kind == "project":
        found.project = await records.look_up(tx, projects, Project, payload.scope_id)
        if found.project is None or not found.project.enabled:
            raise AuthenticationFailed
        found.project_domain = await _enabled_domain(tx, found.project.domain_id)
    elif payload.scope_kind == "domain":
        found.domain = await _enabled_domain(tx, payload.scope_id)
    if payload.scope_kind != "unscoped":
        found.roles = await assignments.effective_roles(
            tx, identity.directory, user.id, payload.scope_kind, payload.scope_id
        )
        if not found.roles:
            raise AuthenticationFailed
    return found


async def _enabled_domain(tx: Tx, domain_id: str) -> Domain:
    domain = await records.look_up(tx, domains, Domain, domain_id)
    if domain is None or not domain.enabled:
        raise AuthenticationFailed
    return domain


def _revocations() -> Select[Any]:
    table = revocations.c
    by_audit = table.audit_id == bindparam("audit_id")
    by_user = and_(table.user_id == bindparam("user_id"), table.audit_id.is_(None))
    by_project = and_(table.project_id == bindparam("scope_id"), table.user_id.is_(None), table.audit_id.is_(None))
    matches = or_(by_audit, by_user, by_project)
    return select(table.user_id, table.project_id).where(matches, table.issued_before >= bindparam("issued_at"))


_REVOCATIONS = _revocations()


async def _is_revoked(tx: Tx, payload: Payload) -> bool:
    """Any revocation whose every given id matches and that came at or after the token's issue."""
    ids = {"audit_id": payload.audit_ids[0], "user_id": payload.user_id, "scope_id": payload.scope_id}
    for _user_id, project_id in await tx.tuples(_REVOCATIONS, **ids, issued_at=payload.issued_at):
        if project_id is None or project_id == payload.scope_id:
            return True
    return False


async def revoke(
    tx: Tx,
    identity: Identity,
    *,
    audit_id: str | None = None,
    user_id: str | None = None,
    project_id: str | None = None,
) -> None:
    """Ends every token issued until now that matches."""
    now = identity.clock.now()
    kept_until = now + timedelta(seconds=identity.token_seconds + 60)
    await tx.execute(delete(revocations).where(revocations.c.kept_until < now))
    await tx.insert(revocations, Revocation(str(uuid.uuid4()), audit_id, user_id, project_id, now, kept_until))
    announce(tx, audit_id=audit_id, user_id=user_id, project_id=project_id)


def _pack_id(text: str) -> bytes:
    """Half the length for ids of 32 hexadecimal digits: a token is to stay under 255 characters."""
    return b"x" + bytes.fromhex(text) if _HEX_ID.fullmatch(text) else b"t" + text.encode()


def _unpack_id(packed: bytes) -> str:
    return packed[1:].hex() if packed[:1] == b"x" else packed[1:].decode()


def _new_audit_id() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
