"""The rule language of policy files."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.kit.auth import Policy, RequestContext, Rule
from kilonova.kit.auth.policy import PolicyError


def caller(**fields: Any) -> RequestContext:
    now = datetime.now(UTC)
    values = {"user_id": "u1", "user_name": "u", "user_domain_id": "default", "issued_at": now, "expires_at": now}
    return RequestContext(**{**values, **fields})


@pytest.mark.parametrize(
    ("check", "allowed"),
    [
        ("", True),
        ("@", True),
        ("!", False),
        ("role:member", True),
        ("role:MEMBER", True),
        ("role:admin", False),
        ("not role:admin", True),
        ("role:admin or role:member", True),
        ("role:admin and role:member", False),
        ("role:admin or role:member and user_id:u1", True),
        ("(role:admin or role:member) and user_id:u2", False),
        ("project_id:%(project_id)s", True),
        ("project_id:%(other_id)s", False),
        ("user_id:%(target.user.id)s", True),
        ("'public':%(visibility)s", True),
        ("is_admin:False", True),
        ("system_scope:all", False),
        ("rule:owner", True),
    ],
)
def test_checks_mean_what_the_language_says(check: str, allowed: bool) -> None:
    policy = Policy([Rule("x", check), Rule("owner", "user_id:u1")])
    target = {"project_id": "p1", "target.user.id": "u1", "visibility": "public"}
    assert policy.allows("x", caller(project_id="p1", roles=frozenset({"member"})), target) is allowed


@pytest.mark.parametrize(
    "check", ["role:admin or", "(role:admin", "role", "role:a role:b", "rule:missing", "rule:x", ")"]
)
def test_a_check_that_cannot_be_used_stops_the_start(check: str) -> None:
    with pytest.raises(PolicyError):
        Policy([Rule("x", check)])


def test_an_operator_overrides_a_default() -> None:
    policy = Policy([Rule("x", "!")], {"x": "@"})
    assert policy.allows("x", caller(), {})


@given(st.text(alphabet="()@! role:andotx'%s", max_size=30))
def test_any_text_is_a_rule_or_a_policy_error(check: str) -> None:
    with suppress(PolicyError):
        Policy([Rule("a", check)])
