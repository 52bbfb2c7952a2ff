"""No secret reaches the log, also when the database fails with one among a statement's parameters."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from kilonova.kit import log

CANARY = "canary-5e1f-password"
BREAKS = {
    "table gone": {
        "sqlite": ["ALTER TABLE users RENAME TO away"],
        "postgresql": ["ALTER TABLE users RENAME TO away"],
        "mariadb": ["ALTER TABLE users RENAME TO away"],
    },
    "row refused": {
        "sqlite": [
            "CREATE TRIGGER refuse BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'refused'); END",
            "CREATE TRIGGER refuse_too BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'refused'); END",
        ],
        "postgresql": ["ALTER TABLE users ADD CONSTRAINT refuse CHECK (password_hash IS NULL) NOT VALID"],
        "mariadb": [
            "CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW SIGNAL SQLSTATE '45000'",
            "CREATE TRIGGER refuse_too BEFORE UPDATE ON users FOR EACH ROW SIGNAL SQLSTATE '45000'",
        ],
    },
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that the process writes into its log, at every level."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    log.configure("DEBUG", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize("how", BREAKS)
async def test_a_password_s_hash_is_not_in_the_error_of_a_statement(
    identity: Any, written: io.StringIO, how: str
) -> None:
    client, database = identity.client, identity.identity.database
    token = await identity.token("admin")
    client.headers["x-auth-token"] = token
    (user,) = (await client.get("/v3/users?name=demo")).json()["users"]
    # As another process lets the caller in, which has checked the token a moment ago.
    context = await identity.verifier("nova").authenticate(token, None)
    identity.app.api.authenticator.authenticate = _let_in(context)
    engine = database.url.get_backend_name()
    async with database.transaction() as tx:
        for statement in BREAKS[how]["mariadb" if engine == "mysql" else engine]:
            await tx.execute(text(statement))
    bodies = [("POST", "/v3/users", {"name": "new", "password": CANARY})]
    if how == "row refused":
        bodies.append(("PATCH", f"/v3/users/{user['id']}", {"password": CANARY}))
    for method, path, fields in bodies:
        answer = await client.request(method, path, json={"user": fields})
        assert answer.status_code in (409, 500), answer.text
        assert CANARY not in answer.text
    shown = written.getvalue()
    assert "a request failed" in shown
    for secret in (CANARY, "$argon2", token):
        assert secret not in shown


def _let_in(context: Any) -> Any:
    async def authenticate(_token: str, _service_token: str | None) -> Any:
        return context

    return authenticate
