"""Key pairs: their fingerprints, rules and transactions. `generating.py` makes those that nobody brings along."""

import base64
import hashlib
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from msgspec import Struct
from sqlalchemy import func, select

from kilonova.compute.catalog import quotas
from kilonova.compute.errors import KeypairNotFound, NameExists
from kilonova.compute.notifications.records import tell_keypair
from kilonova.compute.tables import Keypair, keypairs
from kilonova.compute.transactions import RegionTx
from kilonova.kit.errors import BadRequest


def fingerprint_of_certificate(certificate: str) -> str:
    """SHA-1 of an X.509 certificate in colon-separated pairs. Raises BadRequest for what is no certificate."""
    try:
        digest = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1())  # noqa: S303
    except ValueError as error:
        reason = "failed to generate X509 fingerprint: it is no certificate in PEM form"
        raise BadRequest(f"Keypair data is invalid: {reason}") from error
    return _in_pairs(digest.hex())


def _in_pairs(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def fingerprint_of(public_key: str) -> str:
    """MD5 of the key's blob in colon-separated pairs, as ssh-keygen -E md5 prints it. Raises BadRequest."""
    parts = public_key.split()
    try:
        load_ssh_public_key(" ".join(parts[:2]).encode())
        blob = base64.b64decode(parts[1], validate=True)
    except (ValueError, IndexError, TypeError) as error:
        raise BadRequest("Keypair data is invalid: failed to generate fingerprint") from error
    except UnsupportedAlgorithm as error:
        raise BadRequest(f"Keypair data is invalid: {error}") from error
    return _in_pairs(hashlib.md5(blob, usedforsecurity=False).hexdigest())


class NewKeypair(Struct, frozen=True):
    user_id: str
    name: str
    type: str
    """`ssh` or `x509`."""
    public_key: str
    """A line of authorized_keys, or a certificate in PEM."""
    fingerprint: str
    is_generated: bool = False
    """Whether the pair was made here, and not brought along."""


async def require_room(tx: RegionTx, user_id: str, name: str) -> None:
    """Raises QuotaExceeded where the user has as many key pairs as are allowed, NameExists for one of that name."""
    of_user = keypairs.c.user_id == user_id
    count = await tx.scalar(select(func.count()).select_from(keypairs).where(of_user))
    limits = await quotas.class_limits(tx)
    quotas.check_count(limits, "key_pairs", count + 1, "Quota exceeded, too many key pairs.")
    same = select(func.count()).select_from(keypairs).where(of_user, keypairs.c.name == name)
    if await tx.scalar(same):
        raise NameExists(f"Key pair '{name}' already exists.")


async def insert(tx: RegionTx, new: NewKeypair, now: datetime) -> Keypair:
    """Raises NameExists, QuotaExceeded."""
    await require_room(tx, new.user_id, new.name)
    newest = await tx.scalar(select(func.max(keypairs.c.number)))
    keypair = Keypair(
        number=(newest or 0) + 1,
        user_id=new.user_id,
        name=new.name,
        type=new.type,
        fingerprint=new.fingerprint,
        public_key=new.public_key,
        created_at=now,
    )
    await tx.insert(keypairs, keypair)
    tell_keypair(tx, keypair, "create" if new.is_generated else "import")
    return keypair


async def find(tx: RegionTx, user_id: str, name: str) -> Keypair:
    """Raises KeypairNotFound."""
    statement = select(keypairs).where(keypairs.c.user_id == user_id, keypairs.c.name == name)
    keypair = await tx.first(Keypair, statement)
    if keypair is None:
        raise KeypairNotFound(name)
    return keypair


async def list_of(tx: RegionTx, user_id: str) -> list[Keypair]:
    return await tx.all(Keypair, select(keypairs).where(keypairs.c.user_id == user_id).order_by(keypairs.c.name))


async def remove(tx: RegionTx, keypair: Keypair) -> None:
    if await tx.remove(keypairs, number=keypair.number):
        tell_keypair(tx, keypair, "delete")
