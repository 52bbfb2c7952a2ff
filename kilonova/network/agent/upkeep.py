"""Keeps track of which ports, DHCP services and routers the server was told are up, and what to tell it next."""

from collections.abc import Iterable

from kilonova.network.state import Touched
from kilonova.network.wanted import ConvergeReport, UpReport

Thing = tuple[str, str]
"""(`ports`, `dhcp` or `routers`, id)"""

_KINDS = {"ports": "ports", "networks": "dhcp", "routers": "routers"}
"""Section → what is told again when an object of it has changed: the server may have another status since."""


class UpKeep:
    """A report that did not reach the server is told with the next."""

    def __init__(self) -> None:
        self._up: dict[Thing, bool] = {}
        """What the last passes found."""
        self._to_tell: set[Thing] = set()
        self._tells_all = True

    def tell_all(self) -> None:
        """The next report is of everything: the server does not know, or may have missed something."""
        self._tells_all = True

    def tell_again(self, touched: Touched) -> None:
        """The status of what has changed is told again, whatever it was."""
        self._to_tell.update((_KINDS[name], object_id) for name, _, object_id in touched.before if name in _KINDS)

    def note(self, report: ConvergeReport) -> None:
        found = _up(report)
        if report.is_whole:
            found |= dict.fromkeys(self._up.keys() - found.keys(), False)
        found |= dict.fromkeys(report.down, False)
        for thing, is_up in found.items():
            if self._up.get(thing, False) != is_up:
                self._to_tell.add(thing)
            if is_up:
                self._up[thing] = True
            else:
                self._up.pop(thing, None)

    def render(self) -> UpReport | None:
        """What is to be told now; None: nothing. `told` is called when it was."""
        if not self._tells_all and not self._to_tell:
            return None
        report = UpReport(is_whole=self._tells_all)
        for kind, object_id in self._up if self._tells_all else self._to_tell:
            getattr(report, kind)[object_id] = (kind, object_id) in self._up
        return report

    def told(self) -> None:
        self._tells_all = False
        self._to_tell.clear()


def _up(report: ConvergeReport) -> dict[Thing, bool]:
    named: Iterable[tuple[str, tuple[str, ...]]] = (
        ("ports", report.ports_up),
        ("dhcp", report.dhcp_up),
        ("routers", report.routers_up),
    )
    return {(kind, object_id): True for kind, ids in named for object_id in ids}
