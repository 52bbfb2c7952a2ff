"""What one pass did: the differences it closed and what it could not close. One broken thing never stops the others."""

import contextlib
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyroute2.netlink.exceptions import NetlinkError

log = logging.getLogger(__name__)

MOST_NAMED = 8
"""Chains in one line of the log."""


class HostProblem(Exception):
    """The host lacks or refuses something. The message is a whole sentence that says what to do about it."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """New addresses of a device in a namespace, which neighbours should hear of."""

    namespace: str
    device: str
    addresses: tuple[str, ...]


class Ledger:
    """Collects a pass's changes and problems, and what is to be announced once more after it."""

    def __init__(self) -> None:
        self.changes = 0
        self.problems: list[tuple[str, str]] = []
        self.waiting: list[tuple[str, str]] = []
        self.announcements: list[Announcement] = []

    def changed(self, what: str, *subjects: object, level: int = logging.INFO) -> None:
        """Count one closed difference; `what` is a log format. What comes in hundreds goes on a lower level."""
        self.changes += 1
        log.log(level, what, *subjects)

    def changed_chains(self, where: str, names: Sequence[str]) -> None:
        """Count a closed difference for each chain of rules, and tell of them in one line; all of a long list is told
        on the level for debugging.
        """
        self.changes += len(names)
        more = len(names) - MOST_NAMED
        named = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        log.info("%s: changed %s", where, named)
        if more > 0:
            log.debug("%s: changed %s", where, ", ".join(names))

    def problem(self, resource_id: str, sentence: str) -> None:
        """Note what could not be converged; the same sentence about the same thing is noted once a pass."""
        if (resource_id, sentence) not in self.problems:
            self.problems.append((resource_id, sentence))

    def wait(self, resource_id: str, sentence: str) -> None:
        """Note what another part's process has to make first."""
        self.waiting.append((resource_id, sentence))

    @contextlib.contextmanager
    def guarding(self, resource_id: str) -> Iterator[None]:
        """Turn a failure inside into a problem of this resource, so that the next resource is still converged.

        Only what the host can cause is caught; a mistake in our own code still ends the pass.
        """
        try:
            yield
        except HostProblem as problem:
            self.problem(resource_id, str(problem))
        except NetlinkError as error:
            self.problem(resource_id, f"The kernel refused a change of its network devices: {error}.")
        except (OSError, struct.error) as error:
            self.problem(resource_id, f"The host refused: {error}.")
