"""Key pairs: generated, brought along, listed, and nobody else's."""

import asyncio
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_public_key,
)

from kilonova.compute.catalog import generating

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwYG/LmvAJfXjvNcGMBzx8hQDQnPDqUDqPYXS4ZS3Hs"


def ssh_keygen(directory: Path, kind: str, *options: str) -> str:
    path = directory / kind
    command = ["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", "me@here", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_suffix(".pub").read_text()


def fingerprint_by_ssh_keygen(directory: Path, public_key: str) -> str:
    path = directory / "key.pub"
    path.write_text(public_key)
    command = ["ssh-keygen", "-E", "md5", "-lf", str(path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return shown.split()[1].removeprefix("MD5:")


@pytest.mark.parametrize(
    ("kind", "options"), [("rsa", ("-b", "2048")), ("ed25519", ()), ("ecdsa", ("-b", "256")), ("ecdsa", ("-b", "521"))]
)
async def test_an_imported_key_has_the_fingerprint_ssh_keygen_prints(
    nova: Any, tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    public_key = ssh_keygen(tmp_path, kind, *options)
    new = {"keypair": {"name": "mine", "public_key": public_key, "type": "ssh"}}
    made = (await nova.call("POST", "/os-keypairs", 201, json=new))["keypair"]
    assert made == {
        "name": "mine",
        "type": "ssh",
        "fingerprint": fingerprint_by_ssh_keygen(tmp_path, public_key),
        "public_key": public_key,
        "user_id": (await nova.who("demo")).user_id,
    }
    shown = (await nova.call("GET", "/os-keypairs/mine"))["keypair"]
    assert {**shown, **made} == shown
    assert set(shown) - set(made) == {"id", "created_at", "deleted", "deleted_at", "updated_at"}
    assert (shown["deleted"], shown["deleted_at"], shown["updated_at"]) == (False, None, None)


async def test_a_generated_key_comes_with_its_private_half_once(nova: Any, tmp_path: Path) -> None:
    new = {"keypair": {"name": "made here"}}
    made = (await nova.call("POST", "/os-keypairs", 201, version="2.91", json=new))["keypair"]
    private = load_pem_private_key(made["private_key"].encode(), password=None)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert made["public_key"] == f"{public} Generated-by-Nova"
    assert made["fingerprint"] == fingerprint_by_ssh_keygen(tmp_path, made["public_key"])
    assert "private_key" not in (await nova.call("GET", "/os-keypairs/made here"))["keypair"]


async def test_from_2_92_on_keys_are_brought_along(nova: Any) -> None:
    sentence = await nova.refused("POST", "/os-keypairs", 400, version="2.92", json={"keypair": {"name": "x"}})
    assert "public_key is required" in sentence
    named = {"keypair": {"name": "me@example.org", "public_key": ED25519}}
    assert "2.92" in await nova.refused("POST", "/os-keypairs", 400, version="2.91", json=named)
    await nova.call("POST", "/os-keypairs", 201, version="2.92", json=named)


NO_KEYS = [
    "",
    "ssh-rsa",
    "ssh-rsa AAAA",
    "not a key at all",
    "ssh-dss AAAAB3NzaC1kc3M= x",
    ED25519[:-8],
    "ssh-ed25519 %%%",
]


async def test_what_is_no_public_key_is_400(nova: Any) -> None:
    for public_key in NO_KEYS:
        new = {"keypair": {"name": "bad", "public_key": public_key}}
        assert "Keypair data is invalid" in await nova.refused("POST", "/os-keypairs", 400, json=new), public_key
    assert (await nova.call("GET", "/os-keypairs"))["keypairs"] == []


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "length >= 1"),
    ({"name": "x" * 256}, "length <= 255"),
    ({"name": "a/b"}, "matching regex"),
    ({"name": " a"}, "matching regex"),
    ({}, "missing required field `name`"),
    ({"name": "a", "public_key": None}, "public_key"),
    ({"name": "a", "public_key": ED25519, "type": "pgp"}, "type"),
    ({"name": "a", "public_key": ED25519, "type": "x509"}, "X509"),
    ({"name": "a", "public_key": ED25519, "colour": "blue"}, "unknown field `colour`"),
]


async def test_a_key_pair_that_cannot_be_meant_is_400(nova: Any) -> None:
    for fields, sentence in REFUSED:
        assert sentence in await nova.refused("POST", "/os-keypairs", 400, json={"keypair": fields}), fields


async def test_a_taken_name_is_409_for_its_user_only(nova: Any) -> None:
    new = {"keypair": {"name": "mine", "public_key": ED25519}}
    await nova.call("POST", "/os-keypairs", 201, json=new)
    assert await nova.refused("POST", "/os-keypairs", 409, json=new) == "Key pair 'mine' already exists."
    await nova.call("POST", "/os-keypairs", 201, by="other", json=new)


async def test_types_came_with_2_2_and_so_did_proper_statuses(nova: Any) -> None:
    new = {"keypair": {"name": "old", "public_key": ED25519}}
    made = (await nova.call("POST", "/os-keypairs", 200, version="2.1", json=new))["keypair"]
    assert "type" not in made
    listed = (await nova.call("GET", "/os-keypairs", version="2.1"))["keypairs"]
    assert set(listed[0]["keypair"]) == {"name", "fingerprint", "public_key"}
    assert "type" not in (await nova.call("GET", "/os-keypairs/old", version="2.1"))["keypair"]
    assert (await nova.call("GET", "/os-keypairs", version="2.2"))["keypairs"][0]["keypair"]["type"] == "ssh"
    typed = {"keypair": {"name": "new", "public_key": ED25519, "type": "ssh"}}
    assert "'type' was unexpected" in await nova.refused("POST", "/os-keypairs", 400, version="2.1", json=typed)
    await nova.call("DELETE", "/os-keypairs/old", 202, version="2.1")
    await nova.call("POST", "/os-keypairs", 201, version="2.2", json=typed)
    await nova.call("DELETE", "/os-keypairs/new", 204, version="2.2")
    assert await nova.refused("DELETE", "/os-keypairs/new", 404) == "Keypair new not found."


async def test_administrators_act_for_other_users_from_2_10_on(nova: Any) -> None:
    demo = (await nova.who("demo")).user_id
    new = {"keypair": {"name": "given", "public_key": ED25519, "user_id": demo}}
    assert "'user_id'" in await nova.refused("POST", "/os-keypairs", 400, by="admin", version="2.9", json=new)
    made = await nova.call("POST", "/os-keypairs", 201, by="admin", version="2.10", json=new)
    assert made["keypair"]["user_id"] == demo
    assert [each["keypair"]["name"] for each in (await nova.call("GET", "/os-keypairs"))["keypairs"]] == ["given"]
    assert (await nova.call("GET", f"/os-keypairs?user_id={demo}", by="admin", version="2.9"))["keypairs"] == []
    assert len((await nova.call("GET", f"/os-keypairs?user_id={demo}", by="admin"))["keypairs"]) == 1
    await nova.call("GET", f"/os-keypairs/given?user_id={demo}", by="admin")
    await nova.call("DELETE", f"/os-keypairs/given?user_id={demo}", 204, by="admin")


async def test_other_users_key_pairs_are_not_there(nova: Any) -> None:
    demo = (await nova.who("demo")).user_id
    await nova.call("POST", "/os-keypairs", 201, json={"keypair": {"name": "mine", "public_key": ED25519}})
    await nova.refused("GET", "/os-keypairs/mine", 404, by="other")
    await nova.refused("DELETE", "/os-keypairs/mine", 404, by="other")
    await nova.refused("GET", f"/os-keypairs/mine?user_id={demo}", 403, by="other")
    await nova.refused("GET", f"/os-keypairs?user_id={demo}", 403, by="other")
    new = {"keypair": {"name": "planted", "public_key": ED25519, "user_id": demo}}
    await nova.refused("POST", "/os-keypairs", 403, by="other", json=new)


async def test_key_pairs_come_in_pages_from_2_35_on(nova: Any) -> None:
    for name in ("b", "a", "c"):
        await nova.call("POST", "/os-keypairs", 201, json={"keypair": {"name": name, "public_key": ED25519}})

    def names(body: Any) -> list[str]:
        return [each["keypair"]["name"] for each in body["keypairs"]]

    first = await nova.call("GET", "/os-keypairs?limit=2", version="2.35")
    assert names(first) == ["a", "b"]
    second = await nova.call("GET", first["keypairs_links"][0]["href"].partition("/v2.1")[2], version="2.35")
    assert names(second) == ["c"]
    assert "keypairs_links" not in second
    assert names(await nova.call("GET", "/os-keypairs?limit=0", version="2.35")) == ["a", "b", "c"]
    assert names(await nova.call("GET", "/os-keypairs?limit=2", version="2.34")) == ["a", "b", "c"]
    assert "marker [z] not found" in await nova.refused("GET", "/os-keypairs?marker=z", 400)
    assert "limit" in await nova.refused("GET", "/os-keypairs?limit=-1", 400)
    assert "colour" in await nova.refused("GET", "/os-keypairs?colour=blue", 400, version="2.75")


def test_the_key_used_here_is_one() -> None:
    assert load_ssh_public_key(ED25519.encode())


async def test_a_certificate_is_generated_and_imported(nova: Any) -> None:
    new = {"name": "cert", "type": "x509"}
    made = (await nova.call("POST", "/os-keypairs", 201, version="2.91", json={"keypair": new}))["keypair"]
    certificate = x509.load_pem_x509_certificate(made["public_key"].encode())
    user_id = (await nova.who("demo")).user_id
    assert certificate.subject.rfc4514_string() == f"CN={user_id}"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (principal,) = names.get_values_for_type(x509.OtherName)
    assert principal.value[2:].decode() == f"{user_id}@localhost"
    private = load_pem_private_key(made["private_key"].encode(), None)
    assert private.public_key() == certificate.public_key()
    assert made["fingerprint"] == certificate.fingerprint(hashes.SHA1()).hex(":")
    imported = {"name": "again", "type": "x509", "public_key": made["public_key"]}
    shown = (await nova.call("POST", "/os-keypairs", 201, json={"keypair": imported}))["keypair"]
    assert (shown["type"], shown["fingerprint"]) == ("x509", made["fingerprint"])
    assert (await nova.call("GET", "/os-keypairs/again"))["keypair"]["type"] == "x509"


@dataclass
class Generator:
    """Stands for what takes a core: tells for whom keys were generated, and how many at a time at most."""

    made_for: list[str] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0
    counting: Any = field(default_factory=threading.Lock)

    def __call__(self, user_id: str) -> tuple[str, str]:
        with self.counting:
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        time.sleep(0.005)
        with self.counting:
            self.made_for.append(user_id)
            self.now -= 1
        return "private", ED25519


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    """In place of both kinds of generating."""
    counted = Generator()
    monkeypatch.setattr(generating, "_generate_ssh", counted)
    monkeypatch.setattr(generating, "_generate_x509", counted)
    return counted


async def generate(nova: Any, names: list[str], by: str = "demo") -> list[int]:
    """Asks for all of them at once; the statuses."""
    caller = await nova.api(by)
    headers = {"openstack-api-version": "compute 2.91"}
    asked = [caller.post("/v2.1/os-keypairs", json={"keypair": {"name": name}}, headers=headers) for name in names]
    return [answer.status_code for answer in await asyncio.gather(*asked)]


async def test_at_a_full_quota_or_a_taken_name_nothing_is_generated(nova: Any, generator: Generator) -> None:
    await nova.call("PUT", "/os-quota-class-sets/default", by="admin", json={"quota_class_set": {"key_pairs": 1}})
    new = {"keypair": {"name": "first"}}
    await nova.call("POST", "/os-keypairs", 201, version="2.91", json=new)
    second = {"keypair": {"name": "second"}}
    assert "too many key pairs" in await nova.refused("POST", "/os-keypairs", 403, version="2.91", json=second)
    await nova.call("PUT", "/os-quota-class-sets/default", by="admin", json={"quota_class_set": {"key_pairs": 2}})
    assert "already exists" in await nova.refused("POST", "/os-keypairs", 409, version="2.91", json=new)
    assert len(generator.made_for) == 1


async def test_as_many_are_generated_as_are_kept_one_at_a_time(nova: Any, generator: Generator) -> None:
    await nova.call("PUT", "/os-quota-class-sets/default", by="admin", json={"quota_class_set": {"key_pairs": 5}})
    statuses = await generate(nova, [f"key{number}" for number in range(20)])
    assert sorted(statuses) == [201] * 5 + [403] * 15
    assert len(generator.made_for) == 5
    assert generator.most_at_once == 1


async def test_who_asks_for_many_waits_behind_himself(nova: Any, generator: Generator) -> None:
    await nova.api("other")
    flood = asyncio.create_task(generate(nova, [f"key{number}" for number in range(20)]))
    while not generator.made_for:
        await asyncio.sleep(0)
    assert await generate(nova, ["mine"], by="other") == [201]
    other = (await nova.who("other")).user_id
    assert generator.made_for.index(other) < 10
    assert await flood == [201] * 20
    assert generator.most_at_once == 1
