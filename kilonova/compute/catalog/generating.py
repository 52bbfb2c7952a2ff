"""Generates key pairs for users that bring none along: an RSA key takes a core for a tenth of a second.

The rule: one at a time in a process, on a thread of its own, and users take turns. Whoever asks for many waits behind
himself, and nobody else's work waits for a thread.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA_BITS = 2048
PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
UTF8_STRING_TAG = 0x0C

_thread = ThreadPoolExecutor(1, thread_name_prefix="key pairs")
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""User → held by the request whose turn it is among the user's own, so each has one in the thread's queue."""


@asynccontextmanager
async def turn_of(user_id: str) -> AsyncIterator[None]:
    """Waits until the user's earlier requests are done; the turn lasts as long as the block."""
    lock = _turns.setdefault(user_id, asyncio.Lock())
    async with lock:
        yield


async def generate(kind: str, user_id: str) -> tuple[str, str]:
    """(private key, public key or certificate) of a new pair of `kind`, `ssh` or `x509`. Call it in the user's turn."""
    make = _generate_x509 if kind == "x509" else _generate_ssh
    return await asyncio.get_running_loop().run_in_executor(_thread, make, user_id)


def _generate_ssh(_user_id: str) -> tuple[str, str]:
    """(private key in PEM, public key line)."""
    key = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return _pem_of(key), f"{public.decode()} Generated-by-Nova"


def _pem_of(key: RSAPrivateKey) -> str:
    """In the traditional form, which every ssh client and every tool that reads the download understands."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def _generate_x509(user_id: str) -> tuple[str, str]:
    """(private key, certificate), both in PEM: a client certificate of the user, signed by itself.

    Its alternative name is the principal that Windows looks a user up by.
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
    return _pem_of(key), certificate.public_bytes(Encoding.PEM).decode()
