"""A certificate authority and one certificate, for tests that speak TLS. Good for a day."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

LIFETIME = timedelta(days=1)


class Certificates(Struct, frozen=True):
    """Files in PEM."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path, addresses: Sequence[str] = ("127.0.0.1",)) -> Certificates:
    """Writes them into `directory`, which is made; the certificate is good for all of the addresses."""
    directory.mkdir(parents=True, exist_ok=True)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of tests")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, addresses[0])])
    root = _builder(root_name, root_name, root_key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(each)) for each in addresses])
    leaf = _builder(name, root_name, key.public_key()).add_extension(names, critical=False)
    made = Certificates(directory / "authority.pem", directory / "certificate.pem", directory / "key.pem")
    pem = serialization.Encoding.PEM
    made.authority.write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(pem))
    made.certificate.write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(pem))
    made.key.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return made


def _builder(name: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + LIFETIME)
