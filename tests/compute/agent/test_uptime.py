"""The uptime of a host, in the words of uptime(1)."""

from datetime import UTC, datetime

import pytest

from kilonova.compute.agent.uptime import read_uptime, render_uptime

NOW = datetime(2026, 11, 20, 8, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (59, "0 min"),
        (3_540, "59 min"),
        (3_660, "1:01"),
        (90_000, "1 day, 1:00"),
        (172_860, "2 days, 1 min"),
    ],
)
def test_uptime_is_said_as_the_command_says_it(seconds: float, said: str) -> None:
    line = render_uptime(seconds, ["0.10", "0.20", "0.30"], NOW)
    assert line == f" 08:05:09 up {said},  0 users,  load average: 0.10, 0.20, 0.30"


def test_this_host_has_an_uptime() -> None:
    assert " up " in read_uptime()
