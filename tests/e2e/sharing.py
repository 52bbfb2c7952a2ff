"""Shares the end-to-end tests among pytest's workers: those of one cloud go to one worker, each other one by itself.

A session's or module's cloud would otherwise be made by every worker that gets one of its tests. pytest-xdist's own
`loadgroup` writes its groups into an attribute that pytest 9 no longer reads.
"""

from xdist.scheduler import LoadScopeScheduling

DEMO_CLOUD = ("test_clients.py", "test_guests.py", "test_interfaces.py", "test_life_cycle.py", "test_volumes.py")
CLOUDS = {f"tests/e2e/{name}": "demo cloud" for name in DEMO_CLOUD} | {
    "tests/e2e/test_sudden_death.py": "mortal cloud",
}
"""File → the cloud that its tests share."""


class CloudScheduling(LoadScopeScheduling):
    """Hands out clouds; the one with the most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        return CLOUDS.get(nodeid.partition("::")[0], nodeid)
