"""Wrong passwords: they lock accounts for a while, take as long as any, and delay nobody but who sends them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from kilonova.identity import passwords
from kilonova.identity.app import make_app
from kilonova.identity.delays import Delays
from kilonova.identity.service import Identity
from kilonova.identity.tables import log_ins
from kilonova.kit.db.sqlite_engine import SqliteConnection
from kilonova.kit.errors import DiskFull
from kilonova.kit.testing.clock import FakeClock

PASSWORD = "a password for tests"
ELSEWHERE, HOME = "203.0.113.9", "203.0.113.10"


def body(user: dict[str, Any], password: str = PASSWORD, methods: list[str] | None = None) -> Any:
    return {
        "auth": {"identity": {"methods": methods or ["password"], "password": {"user": {**user, "password": password}}}}
    }


DEMO = {"name": "demo", "domain": {"id": "default"}}


@pytest.fixture
def clock(identity: Any) -> FakeClock:
    clock = FakeClock(datetime.now(UTC))
    identity.identity.clock = clock
    identity.identity.delays = Delays(clock, 10)
    return clock


@pytest.fixture
async def at(identity: Any) -> AsyncIterator[Any]:
    """`at(address)`: a client that comes from there."""
    opened: list[httpx.AsyncClient] = []

    def at(address: str, app: Any = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app or identity.app, client=(address, 1))
        opened.append(httpx.AsyncClient(transport=transport, base_url="http://service.local"))
        return opened[-1]

    yield at
    for each in opened:
        await each.aclose()


async def status(client: httpx.AsyncClient, user: dict[str, Any] = DEMO, password: str = PASSWORD) -> int:
    return (await client.post("/v3/auth/tokens", json=body(user, password))).status_code


async def lock(client: httpx.AsyncClient, user: dict[str, Any] = DEMO) -> None:
    for _ in range(10):
        assert await status(client, user, "wrong") == 401


# --- locked accounts -------------------------------------------------------------------------------------------------


async def test_ten_failures_lock_an_account_for_five_minutes(at: Any, clock: FakeClock) -> None:
    client = at(ELSEWHERE)
    await lock(client)
    assert await status(client) == 401
    assert await status(at("198.51.100.7")) == 401
    clock.advance(299)
    assert await status(client) == 401
    clock.advance(2)
    assert await status(client) == 201


async def test_a_success_starts_the_count_again(at: Any, clock: FakeClock) -> None:
    client = at(ELSEWHERE)
    for _ in range(3):
        for _ in range(9):
            assert await status(client, password="wrong") == 401
        assert await status(client) == 201


async def test_failures_from_elsewhere_do_not_lock_out_who_was_here_before(at: Any, clock: FakeClock) -> None:
    home, elsewhere = at(HOME), at(ELSEWHERE)
    assert await status(home) == 201
    await lock(elsewhere)
    assert await status(elsewhere) == 401
    assert await status(home) == 201
    # But they are locked by failures of their own.
    await lock(home)
    assert await status(home) == 401


async def test_a_lock_holds_in_every_process(at: Any, identity: Any, clock: FakeClock) -> None:
    await lock(at(ELSEWHERE))
    first = identity.identity
    second = replace(first, clock=clock)
    assert await status(at(ELSEWHERE, make_app(second))) == 401


async def test_of_fifty_guesses_at_once_the_right_one_does_not_count(
    at: Any, identity: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as come before the first one's failure is counted, in a process that hashes many at once."""
    under_way = asyncio.Semaphore(0)

    async def verify(password: str, _hash: str | None) -> bool:
        await under_way.acquire()
        return password == PASSWORD

    monkeypatch.setattr("kilonova.identity.directory.sql.verify_password", verify)
    identity.identity.turns._free = 50
    tasks = [asyncio.create_task(status(at(ELSEWHERE), password="wrong")) for _ in range(49)]
    await asyncio.sleep(0.01)
    tasks.append(asyncio.create_task(status(at(ELSEWHERE))))
    await asyncio.sleep(0.01)
    left, answers = set(tasks), set()
    while left:
        under_way.release()
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        answers |= {each.result() for each in done}
    assert answers == {401}


async def test_a_new_password_from_an_administrator_unlocks(at: Any, identity: Any, clock: FakeClock) -> None:
    await lock(at(ELSEWHERE))
    admin = {"x-auth-token": await identity.token("admin")}
    (user,) = (await identity.client.get("/v3/users?name=demo", headers=admin)).json()["users"]
    change = {"user": {"password": "another"}}
    assert (await identity.client.patch(f"/v3/users/{user['id']}", json=change, headers=admin)).status_code == 200
    assert await status(at(ELSEWHERE), password="another") == 201


async def test_an_account_by_its_id_and_by_its_name_is_one(at: Any, identity: Any, clock: FakeClock) -> None:
    admin = {"x-auth-token": await identity.token("admin")}
    (user,) = (await identity.client.get("/v3/users?name=demo", headers=admin)).json()["users"]
    for _ in range(5):
        assert await status(at(ELSEWHERE), {"id": user["id"]}, "wrong") == 401
        assert await status(at(ELSEWHERE), password="wrong") == 401
    assert await status(at(ELSEWHERE)) == 401
    url = f"/v3/users/{user['id']}/password"
    change = {"user": {"password": "x", "original_password": PASSWORD}}
    assert (await at(ELSEWHERE).post(url, json=change)).status_code == 401


async def test_changing_a_password_is_counted_as_a_log_in(at: Any, identity: Any, clock: FakeClock) -> None:
    admin = {"x-auth-token": await identity.token("admin")}
    (user,) = (await identity.client.get("/v3/users?name=demo", headers=admin)).json()["users"]
    change = {"user": {"password": "x", "original_password": "wrong"}}
    for _ in range(10):
        assert (await at(ELSEWHERE).post(f"/v3/users/{user['id']}/password", json=change)).status_code == 401
    assert await status(at(ELSEWHERE)) == 401


async def test_an_account_that_ignores_the_limit_is_not_locked(at: Any, identity: Any, clock: FakeClock) -> None:
    admin = {"x-auth-token": await identity.token("admin")}
    (user,) = (await identity.client.get("/v3/users?name=demo", headers=admin)).json()["users"]
    option = {"user": {"options": {"ignore_lockout_failure_attempts": True}}}
    await identity.client.patch(f"/v3/users/{user['id']}", json=option, headers=admin)
    await lock(at(ELSEWHERE))
    assert await status(at(ELSEWHERE)) == 201


async def test_without_a_limit_nobody_is_locked(at: Any, identity: Any, clock: FakeClock) -> None:
    identity.identity.limits = type(identity.identity.limits)(attempts=0)
    await lock(at(ELSEWHERE))
    assert await status(at(ELSEWHERE)) == 201


async def test_what_is_counted_is_forgotten(at: Any, identity: Any, clock: FakeClock) -> None:
    for number in range(5):
        await status(at(ELSEWHERE), {"name": f"user{number}", "domain": {"id": "default"}}, "x")
    clock.advance(301)
    await status(at(ELSEWHERE), {"name": "last", "domain": {"id": "default"}}, "x")
    async with identity.identity.database.reading() as tx:
        rows = await tx.tuples(log_ins.select().where(log_ins.c.source == "*"))
    assert len(rows) == 1


# --- nothing is told -------------------------------------------------------------------------------------------------

WRONG = {
    "password": (DEMO, "wrong"),
    "user": ({"name": "nobody", "domain": {"id": "default"}}, PASSWORD),
    "user by id": ({"id": "nobody"}, PASSWORD),
    "domain": ({"name": "demo", "domain": {"name": "nowhere"}}, PASSWORD),
    "domain by id": ({"name": "demo", "domain": {"id": "no id"}}, PASSWORD),
    "disabled": ({"name": "other", "domain": {"id": "default"}}, PASSWORD),
}


@contextmanager
def work_of(identity: Identity) -> Iterator[list[str]]:
    """What a request costs: its statements, and `hash` for each password that is looked at."""
    done: list[str] = []

    verify, execute = passwords._verify, SqliteConnection.execute

    def note(connection: SqliteConnection, statement: Any, *values: Any) -> Any:
        done.append(type(statement).__name__)
        return execute(connection, statement, *values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passwords, "_verify", lambda *given: done.append("hash") or verify(*given))
        patched.setattr(SqliteConnection, "execute", note)
        yield done


async def test_whatever_is_wrong_costs_the_same_work(at: Any, identity: Any, clock: FakeClock) -> None:
    if identity.identity.database.url.get_backend_name() != "sqlite":
        pytest.skip("statements are counted on SQLite")
    admin = {"x-auth-token": await identity.token("admin")}
    (other,) = (await identity.client.get("/v3/users?name=other", headers=admin)).json()["users"]
    await identity.client.patch(f"/v3/users/{other['id']}", json={"user": {"enabled": False}}, headers=admin)
    identity.identity.delays = Delays(clock, 0)
    told: dict[tuple[bool, int], set[tuple[int, int, str]]] = {}
    for user, password in WRONG.values():
        by_name = "id" not in user
        for attempt in range(12):
            with work_of(identity.identity) as done:
                response = await at(ELSEWHERE).post("/v3/auth/tokens", json=body(user, password))
            assert response.status_code == 401
            # One statement more looks for a domain by its name.
            extra = "name" in user.get("domain", {})
            told.setdefault((by_name, attempt), set()).add((len(done) - extra, done.count("hash"), response.text))
    assert {key: len(each) for key, each in told.items()} == dict.fromkeys(told, 1)
    for by_name in (True, False):
        ((_, hashes, _),) = told[by_name, 0]
        assert hashes == 1
        ((_, hashes, _),) = told[by_name, 11]
        assert hashes == 0, "a locked account costs no hash, whether it exists or not"


# --- who waits -------------------------------------------------------------------------------------------------------


async def test_300_wrong_log_ins_do_not_delay_others(at: Any, identity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(password: str, _hash: str | None) -> bool:
        time.sleep(0.02)
        return password == PASSWORD

    monkeypatch.setattr(passwords, "_verify", slow)
    guesses = [
        asyncio.create_task(status(at(ELSEWHERE), {"name": f"user{number}", "domain": {"id": "default"}}, "wrong"))
        for number in range(300)
    ]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert await status(at(HOME)) == 201
    took = time.monotonic() - began
    still = sum(not each.done() for each in guesses)
    for each in guesses:
        each.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    assert still > 100
    assert took < 1.0


async def test_an_address_that_fails_is_delayed_and_who_was_there_before_is_not(
    at: Any, identity: Any, clock: FakeClock
) -> None:
    client = at(ELSEWHERE)
    assert await status(client) == 201
    for number in range(12):
        assert await status(client, {"name": f"user{number}", "domain": {"id": "default"}}, "x") == 401
    before = clock.monotonic()
    assert await status(client) == 201
    assert clock.monotonic() == before
    assert await status(client, {"name": "other", "domain": {"id": "default"}}) == 201
    assert clock.monotonic() - before > 0.5
    before = clock.monotonic()
    assert await status(at(HOME), {"name": "other", "domain": {"id": "default"}}) == 201
    assert clock.monotonic() == before


async def test_methods_named_again_are_carried_out_once(at: Any, identity: Any) -> None:
    if identity.identity.database.url.get_backend_name() != "sqlite":
        pytest.skip("statements are counted on SQLite")
    with work_of(identity.identity) as done:
        response = await at(HOME).post("/v3/auth/tokens", json=body(DEMO, methods=["password"] * 16))
    assert response.json()["token"]["methods"] == ["password"]
    assert done.count("hash") == 1
    refused = await at(HOME).post("/v3/auth/tokens", json=body(DEMO, methods=["password"] * 50))
    assert refused.status_code == 400
    assert "length <= 16" in refused.text


async def test_on_a_full_disk_the_right_password_still_lets_in(
    at: Any, identity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise DiskFull

    monkeypatch.setattr(identity.identity.database, "transaction", full)
    assert await status(at(HOME), password="wrong") == 401
    assert await status(at(HOME)) == 201


# --- passwords that are set ------------------------------------------------------------------------------------------


async def test_a_password_that_nobody_could_log_in_with_is_refused_when_it_is_set(at: Any, identity: Any) -> None:
    headers = {"x-auth-token": await identity.token("admin")}
    client, longest = identity.client, "x" * 4096
    made = await client.post("/v3/users", json={"user": {"name": "long", "password": longest}}, headers=headers)
    assert made.status_code == 201
    url = f"/v3/users/{made.json()['user']['id']}"
    assert await status(at(HOME), {"name": "long", "domain": {"id": "default"}}, longest) == 201
    for method, path, sent in (
        ("POST", "/v3/users", {"name": "longer", "password": longest + "x"}),
        ("PATCH", url, {"password": longest + "x"}),
        ("POST", f"{url}/password", {"password": longest + "x", "original_password": longest}),
    ):
        refused = await client.request(method, path, json={"user": sent}, headers=headers)
        assert refused.status_code == 400, path
        assert "length <= 4096" in refused.text
