"""The devices of simulated hosts: one agent makes them, another one looks for them.

The rule: what really happens on a host happens here too, and in no other way. A tap appears when a guest is started, so
an agent that waits for it waits as long as on a real host.
"""

from collections import defaultdict
from collections.abc import Callable


class SimulatedHost:
    """The devices of one host."""

    def __init__(self) -> None:
        self.taps: frozenset[str] = frozenset()
        self.changes = 0
        """How often taps have come or gone."""
        self._watchers: list[Callable[[], None]] = []

    def show_taps(self, names: frozenset[str]) -> None:
        """The hypervisor has these taps now, and no others."""
        if names == self.taps:
            return
        self.taps = names
        self.changes += 1
        for tell in list(self._watchers):
            tell()

    def watch(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Calls `tell` whenever a tap has come or gone; returns what ends that."""
        self._watchers.append(tell)
        return lambda: self._watchers.remove(tell)


class Metal(defaultdict[str, SimulatedHost]):
    """The hosts of a simulated cloud, by name."""

    def __init__(self) -> None:
        super().__init__(SimulatedHost)
