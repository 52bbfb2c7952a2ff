"""The real driver: Linux bridges, namespaces, iptables and dnsmasq, converged part by part in one pass in a thread.

A pass over the whole host believes nothing: the host itself says what is there. A pass over what was touched trusts
what the last one has seen of the rest; where the host turns out to be otherwise, it becomes a pass over the whole.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence

from pyroute2.netlink.exceptions import NetlinkError

from kilonova.network import parts
from kilonova.network.agent import links, routers
from kilonova.network.agent.driver import Observation
from kilonova.network.agent.ledger import Announcement, HostProblem, Ledger
from kilonova.network.agent.linux.dhcp_services import DhcpServices
from kilonova.network.agent.linux.guests import Guests
from kilonova.network.agent.linux.networks import Networks
from kilonova.network.agent.linux.part import LOCAL, Part, Setting, Work, sections
from kilonova.network.agent.linux.places import find_places
from kilonova.network.agent.linux.routers import Routers
from kilonova.network.agent.metadata import MetadataResponder, Place
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.state import HostState, Touched
from kilonova.network.wanted import ConvergeReport, WantedState

log = logging.getLogger(__name__)

ANNOUNCE_AGAIN_SECONDS = (1.0, 1.5)
"""Pauses before new addresses of routers are announced again: a bridge hears of a new port's carrier a second late."""


def make_parts(setting: Setting) -> Sequence[Part]:
    """The parts of a host, in the order of a pass: each needs those before it. First all of them take away what is not
    wanted, the last one first; then each makes what is wanted, the first one first."""
    return (Networks(setting), Guests(setting), DhcpServices(setting), Routers(setting))


class LinuxDriver:
    """See `driver.NetworkDriver`. `played` are the parts it makes; the others' things are left alone, and waited for
    where its own need them."""

    def __init__(self, options: LinuxOptions, played: Collection[str] = parts.ALL) -> None:
        self._setting = Setting(options, frozenset(played))
        self._parts = make_parts(self._setting)
        self._lock = asyncio.Lock()
        self._metadata = MetadataResponder(options)
        self._seen: HostState | None = None
        """The state to which the host was made, but for what has been touched since; None: nobody knows."""
        self._places: list[Place] = []
        self._repeats: list[asyncio.Task[None]] = []

    async def converge(self, state: HostState, touched: Touched | None = None) -> ConvergeReport:
        async with self._lock:
            ledger = Ledger()
            is_partial = touched is not None and self._seen is state
            report = await asyncio.to_thread(self._change, state, touched or Touched(), ledger) if is_partial else None
            if report is None:
                is_partial, touched, self._seen = False, None, None
                report = await asyncio.to_thread(self._converge, state, ledger)
                self._seen = state
            if touched is None:
                self._metadata.know(state)
            else:
                self._metadata.know_changed(state, touched)
            if touched is None or sections(touched) & LOCAL:
                self._places = await asyncio.to_thread(find_places, state.local(), self._setting, ledger)
            if ledger.announcements:
                self._repeats.append(asyncio.create_task(self._repeat(tuple(ledger.announcements))))
            failed = await self._metadata.converge(self._places)
            report.problems += tuple((place.namespace.partition("-")[2], sentence) for place, sentence in failed)
            report.waiting = tuple(ledger.waiting)
            return report

    async def observe(self) -> Observation:
        async with self._lock:
            return await asyncio.to_thread(self._observe)

    async def _repeat(self, announcements: tuple[Announcement, ...]) -> None:
        for pause_seconds in ANNOUNCE_AGAIN_SECONDS:
            await asyncio.sleep(pause_seconds)
            await asyncio.to_thread(routers.announce_again, announcements)
        self._repeats = [task for task in self._repeats if task is not asyncio.current_task()]

    async def close(self) -> None:
        async with self._lock:
            for task in self._repeats:
                task.cancel()
            await asyncio.gather(*self._repeats, return_exceptions=True)
            self._repeats = []
            await self._metadata.close()

    async def remove_everything(self) -> None:
        """Also what runs with other options have left: the host's marks say what is ours. Raises HostProblem when
        something of ours could not be removed."""
        report = await self.converge(HostState(""))
        await self.close()
        if report.problems:
            raise HostProblem(" ".join(sentence for _, sentence in report.problems))

    # Everything below runs in a thread.

    def _converge(self, state: HostState, ledger: Ledger) -> ConvergeReport:
        with links.opened(ledger) as table:
            wanted = state.document()
            work = Work(wanted, state, ledger, table, devices=self._devices(wanted))
            self._release(work)
            for part in self._parts:
                part.converge(work)
        return _report(work)

    def _change(self, state: HostState, touched: Touched, ledger: Ledger) -> ConvergeReport | None:
        """Makes what was touched. None: the host is not as it was left, and has to be looked through."""
        with links.opened(ledger) as table:
            wanted = state.local()
            work = Work(wanted, state, ledger, table, touched, self._devices(wanted))
            if sections(touched) & LOCAL:
                self._release(work)
            try:
                for part in self._parts:
                    part.converge(work)
            except (HostProblem, NetlinkError, OSError) as error:
                log.info("changes alone do not do, the whole host is looked through: %s", error)
                return None
        return _report(work)

    def _devices(self, wanted: WantedState) -> set[str]:
        return {name for part in self._parts for name in part.devices(wanted)}

    def _release(self, work: Work) -> None:
        for part in reversed(self._parts):
            part.release(work)

    def _observe(self) -> Observation:
        found: dict[str, tuple[str, ...]] = {}
        with links.opened(Ledger()) as table:
            for part in self._parts:
                found |= part.observe(table)
        return Observation(**found)


def _report(work: Work) -> ConvergeReport:
    return ConvergeReport(
        revision=work.wanted.revision,
        changes=work.ledger.changes,
        ports_up=tuple(sorted(work.ports_up)),
        dhcp_up=tuple(sorted(work.dhcp_up)),
        routers_up=tuple(sorted(work.routers_up)),
        problems=tuple(work.ledger.problems),
    )
