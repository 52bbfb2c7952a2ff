"""Values of filters: statuses and moments."""

import pytest

from kilonova.compute.servers.server_lists import is_status, read_moment
from kilonova.kit.errors import BadRequest


def test_statuses_of_the_api_are_known_whether_reached_or_not() -> None:
    assert all(map(is_status, ("ACTIVE", "active", "PAUSED", "VERIFY_RESIZE")))
    assert not is_status("HUNGRY")


def test_moments_without_a_zone_are_utc() -> None:
    assert read_moment("2026-01-01T00:00:00", "changes-since") == read_moment("2026-01-01T00:00:00Z", "changes-since")
    with pytest.raises(BadRequest, match="changes-since"):
        read_moment("soon", "changes-since")
