"""What a service remembers of the tokens that identity has checked for it."""

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from kilonova.kit.errors import Unauthorized
from kilonova.kit.http.client import Credentials, ServiceSession
from kilonova.kit.http.shared_tokens import SharedTokens
from kilonova.kit.http.tokens import CheckedToken, TokenVerifier, context_of
from kilonova.kit.testing.ports import free_ports, wait_for_port

SECRET = "of the service's processes"


def document(user_id: str = "u1", audit_id: str = "a1", hours: float = 1) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "user": {"id": user_id, "name": "demo", "domain": {"id": "default"}},
        "project": {"id": "p1", "name": "demo", "domain": {"id": "default"}},
        "roles": [{"id": "r1", "name": "member"}],
        "audit_ids": [audit_id],
        "issued_at": now.isoformat(),
        "expires_at": (now + timedelta(hours=hours)).isoformat(),
    }


class Identity:
    """Knows tokens by their text, and counts what it is asked."""

    def __init__(self) -> None:
        self.tokens = {"token": document()}
        self.asked = 0
        self.on_question: Callable[[], Any] | None = None
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), base_url="http://identity")

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(
                201, headers={"x-subject-token": "own"}, json={"token": {"expires_at": "2999-01-01T00:00:00Z"}}
            )
        self.asked += 1
        found = self.tokens.get(request.headers["x-subject-token"])
        if self.on_question is not None:
            await self.on_question()
        return httpx.Response(404, json={}) if found is None else httpx.Response(200, json={"token": found})

    def verifier(self, **how: Any) -> TokenVerifier:
        return TokenVerifier(self.client, ServiceSession(self.client, Credentials("nova", "x")), **how)


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    found = Identity()
    yield found
    await found.client.aclose()


@pytest.fixture(scope="module")
def memcached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    (port,) = free_ports(1)
    words = ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody", "-m", "8"]
    with Path(tmp_path_factory.mktemp("memcached"), "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    wait_for_port(port, 10)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


async def test_a_token_is_asked_about_once(identity: Identity) -> None:
    verifier = identity.verifier()
    for _ in range(3):
        assert (await verifier.authenticate("token", None)).user_id == "u1"
    assert identity.asked == 1


async def test_a_token_is_asked_about_again_after_a_while(identity: Identity) -> None:
    """A revocation may have been lost on its way."""
    verifier = identity.verifier(recheck_seconds=0)
    await verifier.authenticate("token", None)
    identity.tokens.clear()
    with pytest.raises(Unauthorized):
        await verifier.authenticate("token", None)


@pytest.mark.parametrize("event", [{"audit_id": "a1"}, {"user_id": "u1"}, {"project_id": "p1"}, {}])
async def test_a_revocation_ends_what_is_remembered(identity: Identity, event: dict[str, str]) -> None:
    verifier = identity.verifier()
    await verifier.authenticate("token", None)
    await verifier.forget({"user_id": "somebody else"})
    await verifier.authenticate("token", None)
    assert identity.asked == 1
    identity.tokens.clear()
    await verifier.forget(event)
    with pytest.raises(Unauthorized):
        await verifier.authenticate("token", None)


async def test_a_revocation_between_identitys_answer_and_its_arrival_is_not_missed(identity: Identity) -> None:
    verifier = identity.verifier()

    async def revoke() -> None:
        identity.on_question = None
        identity.tokens.clear()
        await verifier.forget({"audit_id": "a1"})

    identity.on_question = revoke
    with pytest.raises(Unauthorized):
        await verifier.authenticate("token", None)


async def test_a_new_token_of_a_user_whose_tokens_were_revoked_is_good(identity: Identity) -> None:
    verifier = identity.verifier()
    await verifier.forget({"user_id": "u1"})
    assert (await verifier.authenticate("token", None)).user_id == "u1"


# --- shared through memcached ----------------------------------------------------------------------------------------


def aged(verifier: TokenVerifier) -> TokenVerifier:
    """As if the process had been there for a while."""
    verifier._started_at -= timedelta(seconds=60)
    return verifier


async def test_what_one_process_has_checked_another_takes_over(identity: Identity, memcached: str) -> None:
    identity.tokens["shared"] = document(audit_id="s1")
    first, second = SharedTokens([memcached], SECRET), SharedTokens([memcached], SECRET)
    asked = await aged(identity.verifier(shared=first)).authenticate("shared", None)
    taken = await aged(identity.verifier(shared=second)).authenticate("shared", None)
    assert (taken, identity.asked) == (asked, 1)
    assert taken.token == "shared"
    for each in (first, second):
        await each.close()


async def test_a_process_takes_nothing_over_that_may_have_been_revoked_before_it_started(
    identity: Identity, memcached: str
) -> None:
    identity.tokens["early"] = document(audit_id="e1")
    shared = SharedTokens([memcached], SECRET)
    await aged(identity.verifier(shared=shared)).authenticate("early", None)
    del identity.tokens["early"]
    with pytest.raises(Unauthorized):
        await identity.verifier(shared=shared).authenticate("early", None)
    await shared.close()


async def test_what_was_revoked_is_not_taken_over(identity: Identity, memcached: str) -> None:
    identity.tokens["late"] = document(audit_id="l1")
    shared = SharedTokens([memcached], SECRET)
    first, second = (aged(identity.verifier(shared=shared)) for _ in range(2))
    await first.authenticate("late", None)
    del identity.tokens["late"]
    for each in (first, second):
        await each.forget({"audit_id": "l1"})
        with pytest.raises(Unauthorized):
            await each.authenticate("late", None)
    await shared.close()


async def test_what_somebody_else_wrote_is_not_believed(memcached: str, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = SharedTokens([memcached], SECRET), SharedTokens([memcached], "another secret")
    forged = CheckedToken(context_of(document("admin"), "forged"), datetime.now(UTC))
    await theirs.put("forged", forged, 60)
    assert await ours.get("forged") is None
    # Under the very name that ours looks for.
    name = ours._name_of("forged")
    sealed = await theirs._servers[0].get(theirs._name_of("forged"))
    assert sealed is not None
    await theirs._servers[0].put(name, sealed, 60)
    assert await ours.get("forged") is None
    assert "not this service's" in caplog.text
    for each in (ours, theirs):
        await each.close()


async def test_a_memcached_that_does_not_answer_costs_one_attempt(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    shared = SharedTokens([f"127.0.0.1:{port}"], SECRET)
    verifier = identity.verifier(shared=shared)
    identity.tokens["other"] = document(audit_id="o1")
    for token in ("token", "other"):
        await verifier.authenticate(token, None)
    assert identity.asked == 2
    assert caplog.text.count("memcached does not answer") == 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("controller:11211", "controller:11211"),
        ("controller", "controller:11211"),
        ("[::1]:11212", "::1:11212"),
        ("inet6:[::1]", "::1:11211"),
    ],
)
def test_servers_are_named_as_the_guides_do(text: str, place: str) -> None:
    assert SharedTokens([text], SECRET)._servers[0].place == place


def test_a_server_whose_port_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        SharedTokens(["controller:eleven"], SECRET)
