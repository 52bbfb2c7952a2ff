"""Namespaces that were looked into: as wanted, for a while, or somebody else's."""

import time
from collections.abc import Collection, Hashable
from dataclasses import dataclass

from kilonova.network.agent import namespaces
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.ports import is_own_namespace


@dataclass(frozen=True, slots=True)
class _Seen:
    """That a namespace was found or made as wanted, and when."""

    inputs: Hashable
    inode: int | None
    at: float


class Verified:
    """Which namespaces need no look inside, because they were as wanted just now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[str, _Seen] = {}

    def holds(self, namespace: str, inputs: Hashable) -> bool:
        seen = self._seen.get(namespace)
        return (
            seen is not None
            and seen.inputs == inputs
            and seen.inode == namespaces.inode(namespace)
            and time.monotonic() - seen.at < self._seconds
        )

    def note(self, namespace: str, inputs: Hashable) -> None:
        self._seen[namespace] = _Seen(inputs, namespaces.inode(namespace), time.monotonic())

    def forget_others(self, wanted: Collection[str]) -> None:
        """Keeps what is known of these namespaces alone."""
        for name in self._seen.keys() - set(wanted):
            del self._seen[name]


class Foreign:
    """Namespaces of somebody else's: each is looked into only once."""

    def __init__(self) -> None:
        self._inodes: dict[str, int | None] = {}

    def is_ours(self, name: str, ledger: Ledger) -> bool:
        """Whether a namespace carries our mark."""
        inode = namespaces.inode(name)
        if inode is None or self._inodes.get(name) == inode:
            return False
        with ledger.guarding(name):
            if is_own_namespace(name):
                return True
            self._inodes[name] = inode
        return False
