"""Key pairs: made here or brought along, their fingerprints, their rules and transactions."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct
from sqlalchemy import delete, func, select

from kilonova.compute import quotas
from kilonova.compute.errors import KeypairNotFound, NameExists
from kilonova.compute.tables import Keypair, keypairs
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest

RSA_BITS = 2048
PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
UTF8_STRING_TAG = 0x0C


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


def generate_x509(user_id: str) -> tuple[str, str]:
    """(private key, certificate), both in PEM: a client certificate of the user, signed by itself.

    Its alternative name is the principal that Windows looks a user up by. Call it in a thread.
    """
    key = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id)])
    principal = f"{user_id}@localhost".encode()
    utf8_string = bytes((UTF8_STRING_TAG, len(principal))) + principal
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.OtherName(PRINCIPAL_NAME, utf8_string)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return private.decode(), certificate.public_bytes(Encoding.PEM).decode()


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


async def insert(tx: Tx, new: NewKeypair, now: datetime) -> Keypair:
    """Raises NameExists, QuotaExceeded."""
    count = await tx.scalar(select(func.count()).select_from(keypairs).where(keypairs.c.user_id == new.user_id))
    limits = await quotas.class_limits(tx)
    quotas.check_count(limits, "key_pairs", count + 1, "Quota exceeded, too many key pairs.")
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
    if not await tx.insert_new(keypairs, keypair):
        raise NameExists(f"Key pair '{new.name}' already exists.")
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
