"""What text filters may cost, and how they are told apart from plain text."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.compute.server_lists import LONGEST_PATTERN, check_pattern, is_status, read_moment
from kilonova.kit.errors import BadRequest


@pytest.mark.parametrize(
    "pattern", ["web", "^web-.*$", r"web\-[0-9]+$", "w.b", "[a-z]*-[^(]+", r"\(old\)", "a|b", "[]x]", "web-[0-9]*"]
)
def test_simple_expressions_are_taken(pattern: str) -> None:
    check_pattern(pattern, "name")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+$", "too costly"),
        (".*.*.*", "too costly"),
        ("a+b+c{2}", "too costly"),
        ("x" * (LONGEST_PATTERN + 1), "too costly"),
        ("[", "not a regular expression"),
        ("*", "not a regular expression"),
        ("\\", "not a regular expression"),
        ("[[a]", "not a regular expression"),
    ],
)
def test_others_are_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        check_pattern(pattern, "name")


@given(st.text(alphabet="ab.*+{}()[]|^$?\\2,", max_size=14))
def test_what_is_taken_is_a_quick_expression(pattern: str) -> None:
    try:
        check_pattern(pattern, "name")
    except BadRequest:
        return
    # CPU time of this thread: one that runs away takes minutes, whatever else the machine does.
    started = time.thread_time()
    re.search(pattern, "a" * 255 + "b")
    assert time.thread_time() - started < 1


def test_statuses_of_the_api_are_known_whether_reached_or_not() -> None:
    assert all(map(is_status, ("ACTIVE", "active", "PAUSED", "VERIFY_RESIZE")))
    assert not is_status("HUNGRY")


def test_moments_without_a_zone_are_utc() -> None:
    assert read_moment("2026-01-01T00:00:00", "changes-since") == read_moment("2026-01-01T00:00:00Z", "changes-since")
    with pytest.raises(BadRequest, match="changes-since"):
        read_moment("soon", "changes-since")
