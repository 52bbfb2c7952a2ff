"""What a host has to be told: the objects that have changed since a revision, and in pieces all that is new to it.

The rule: what is told may be newer than the revision it is told with, never older. A change that is half seen is told
once more.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kilonova.network import concerns
from kilonova.network.news import News
from kilonova.network.sections.floating_ips import FloatingIps
from kilonova.network.sections.groups import Groups
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.leases import Leases
from kilonova.network.sections.members import Members
from kilonova.network.sections.networks import Networks
from kilonova.network.sections.peers import Peers
from kilonova.network.sections.ports import Ports
from kilonova.network.sections.routers import Routers
from kilonova.network.sections.section import FIRST, Asking, Section, Spot
from kilonova.network.sections.stations import Stations
from kilonova.network.state import Delta

SECTIONS: Mapping[str, Section] = {
    each.name: each
    for each in (
        Networks(),
        Ports(),
        Groups(),
        Members(),
        Leases(),
        Stations(),
        Peers(),
        Routers(),
        FloatingIps(),
    )
}

MOST_OBJECTS = 1000
"""Of one answer, roughly: neither the loop nor the bus is held for a large group."""
MOST_REVISIONS = 500
"""Which one answer looks at."""

Pending = tuple[str, str, str]
"""(section, owner, the last id that was told): what of an owner that is new to the host is still to be told."""


class Told(Struct):
    delta: Delta
    pending: list[Pending]
    is_all: bool
    """Whether this brings the host up to date."""


async def tell_everything(asking: Asking, revision: int, interest: Interest) -> Told:
    """The first piece of everything that the host is told."""
    nothing: dict[str, frozenset[str]] = {name: frozenset() for name in SECTIONS}
    delta = Delta(revision, is_whole=True)
    pending = await _tell_pending(asking, delta, _entered(nothing, interest))
    return Told(delta, pending, is_all=not pending)


async def tell_changes(
    asking: Asking,
    news: News,
    revisions: tuple[int, int],
    has: Mapping[str, Collection[str]],
    interest: Interest,
    pending: Sequence[Pending],
) -> Told:
    """What has changed after the first of the revisions, up to the second if that is not too much at once. `has` are
    the owners of which the host has been told, wholly but for what is pending."""
    since, until = revisions[0], min(revisions[1], revisions[0] + MOST_REVISIONS)
    delta = Delta(until)
    waiting = {(name, owner): after for name, owner, after in pending if owner in interest.owners[name]}
    is_told_the_same = has is interest.owners
    if not is_told_the_same:
        delta.left = [(name, owner) for name in SECTIONS for owner in set(has.get(name, ())) - interest.owners[name]]
        for name, owner, after in _entered(has, interest):
            waiting.setdefault((name, owner), after)
    spots: dict[str, list[Spot]] = defaultdict(list)
    for name, section in SECTIONS.items():
        owners = interest.owners[name]
        for owner in owners if is_told_the_same else owners.intersection(has.get(name, ())):
            changed: set[str] = set()
            for key in section.names(owner, interest):
                changed |= news.objects(key, since, until)
            if section.is_single and changed:
                spots[name].append(Spot(owner, owner))
            elif concerns.ALL in changed:
                waiting[name, owner] = FIRST
            elif changed:
                spots[name] += (Spot(owner, each) for each in changed)
    for name, places in spots.items():
        found = await SECTIONS[name].read(asking, places)
        _add(delta, name, found)
        delta.gone += ((name, spot.owner, spot.id) for spot in places if spot not in found)
    left = await _tell_pending(asking, delta, [(*key, after) for key, after in waiting.items()])
    return Told(delta, left, is_all=not left and until == revisions[1])


def _entered(has: Mapping[str, Collection[str]], interest: Interest) -> list[Pending]:
    return [(name, owner, FIRST) for name in SECTIONS for owner in interest.owners[name].difference(has.get(name, ()))]


async def _tell_pending(asking: Asking, delta: Delta, pending: Sequence[Pending]) -> list[Pending]:
    """Adds what there is room for; returns what is left."""
    room = MOST_OBJECTS
    left: list[Pending] = []
    spots: dict[str, list[Spot]] = defaultdict(list)
    for name, owner, after in pending:
        if room <= 0:
            left.append((name, owner, after))
            continue
        if after == FIRST:
            delta.entered.append((name, owner))
        ids = await SECTIONS[name].ids(asking, owner, after, room)
        spots[name] += (Spot(owner, each) for each in ids)
        if len(ids) == room:
            left.append((name, owner, ids[-1]))
        # An owner without objects costs a query too.
        room -= max(len(ids), 1)
    for name, places in spots.items():
        _add(delta, name, await SECTIONS[name].read(asking, places))
    return left


def _add(delta: Delta, name: str, found: Mapping[Spot, Any]) -> None:
    getattr(delta.objects, name).extend((spot.owner, spot.id, each) for spot, each in found.items())
