"""Key pairs: made here or brought along, their fingerprints, their rules and transactions."""

import base64
import hashlib
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)
from sqlalchemy import delete, func, select

from kilonova.compute import quotas
from kilonova.compute.errors import KeypairNotFound, NameExists
from kilonova.compute.tables import Keypair, keypairs
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest

RSA_BITS = 2048


def generate_rsa() -> tuple[str, str]:
    """(private key in PEM, public key line). Takes a tenth of a second: call it in a thread."""
    key = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    # The traditional form is what every ssh client and every tool that reads the download understands.
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Nova"


def generate_ed25519() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Nova"


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
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


async def insert(tx: Tx, *, user_id: str, name: str, public_key: str, fingerprint: str, now: datetime) -> Keypair:
    """Raises NameExists, QuotaExceeded."""
    count = await tx.scalar(select(func.count()).select_from(keypairs).where(keypairs.c.user_id == user_id))
    limits = await quotas.class_limits(tx)
    quotas.check_count(limits, "key_pairs", count + 1, "Quota exceeded, too many key pairs.")
    newest = await tx.scalar(select(func.max(keypairs.c.number)))
    keypair = Keypair((newest or 0) + 1, user_id, name, "ssh", fingerprint, public_key, now)
    if not await tx.insert_new(keypairs, keypair):
        raise NameExists(f"Key pair '{name}' already exists.")
    return keypair


async def find(tx: Tx, user_id: str, name: str) -> Keypair:
    """Raises KeypairNotFound."""
    statement = select(keypairs).where(keypairs.c.user_id == user_id, keypairs.c.name == name)
    keypair = await tx.first(Keypair, statement)
    if keypair is None:
        raise KeypairNotFound(name)
    return keypair


async def list_of(tx: Tx, user_id: str) -> list[Keypair]:
    return await tx.all(Keypair, select(keypairs).where(keypairs.c.user_id == user_id).order_by(keypairs.c.name))


async def remove(tx: Tx, keypair: Keypair) -> None:
    await tx.execute(delete(keypairs).where(keypairs.c.number == keypair.number))
