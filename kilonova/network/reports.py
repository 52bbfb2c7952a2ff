"""Takes in agents' reports of ports, DHCP services and routers: ports become ACTIVE or DOWN."""

from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, bindparam, or_, select

from kilonova.kit.db import Tx
from kilonova.network import parts, ports, records
from kilonova.network.service import NetworkService
from kilonova.network.tables import ACTIVE, Port, port_bindings, routers
from kilonova.network.tables import ports as ports_table
from kilonova.network.wanted import UpReport

REPORTED_AT_ONCE = 100


class _State(Struct):
    """What of a port decides its status, and the status it has."""

    id: str
    network_id: str
    device_id: str
    device_owner: str
    admin_state_up: bool
    status: str


async def take_in(service: NetworkService, host: str, played: Collection[str], report: UpReport) -> None:
    """Nothing is written when nothing changed. Of a report that is not whole, only what it names is read."""
    async with service.database.reading() as tx:
        judge = _Judge(report, await _stopped_routers(tx, host, report))
        states = [each for each in await _states(tx, host, report) if part_of(each.device_owner) in played]
        changed = [each.id for each in states if judge.status(each) != each.status]
    # In pieces, because whoever else waits for the database waits for each of them.
    for piece in records.chunks(changed, REPORTED_AT_ONCE):
        async with service.database.transaction() as tx:
            # One that has left the host meanwhile is for another host's agent to report.
            found = [each for each in await ports.find_all(tx, piece) if each.host == host]
            for status in ("ACTIVE", "DOWN"):
                news = [each for each in found if each.status != status and judge.status(each) == status]
                await ports.set_status(tx, service, news, status)


async def _states(tx: Tx, host: str, report: UpReport) -> list[_State]:
    if report.is_whole:
        return await tx.all(_State, _THERE, host=host)
    named = {"ports": list(report.ports), "dhcp": list(report.dhcp), "routers": list(report.routers)}
    return await tx.all(_State, _NAMED_THERE, host=host, **named)


_THERE = (
    select(*(ports_table.c[name] for name in _State.__struct_fields__))
    .join(port_bindings, port_bindings.c.port_id == ports_table.c.id)
    # A port's status is what the host of its ACTIVE binding says.
    .where(port_bindings.c.host == bindparam("host"), port_bindings.c.status == ACTIVE)
)


def _is_among(column: ColumnElement[str], named: str) -> ColumnElement[bool]:
    return column.in_(bindparam(named, expanding=True))


_OWNER = ports_table.c.device_owner
_NAMED_THERE = _THERE.where(
    or_(
        _is_among(ports_table.c.id, "ports"),
        and_(_is_among(ports_table.c.network_id, "dhcp"), _OWNER == ports.DHCP_OWNER),
        and_(_is_among(ports_table.c.device_id, "routers"), _OWNER.in_(ports.ROUTER_OWNERS)),
    )
)


async def _stopped_routers(tx: Tx, host: str, report: UpReport) -> set[str]:
    statement = select(routers.c.id).where(routers.c.host == host, routers.c.admin_state_up.is_(False))
    if not report.is_whole:
        if not report.routers:
            return set()
        statement = statement.where(routers.c.id.in_(report.routers))
    return {router_id for (router_id,) in await tx.tuples(statement)}


def part_of(device_owner: str) -> str:
    """The part that makes a port of this owner."""
    if device_owner == ports.DHCP_OWNER:
        return parts.DHCP
    return parts.L3 if device_owner in ports.ROUTER_OWNERS else parts.BRIDGE


class _Judge:
    """What a report says of each port. A stopped router asks nothing of the host: its ports have all they want."""

    def __init__(self, report: UpReport, stopped_routers: Collection[str]) -> None:
        self._report = report
        self._stopped_routers = stopped_routers

    def status(self, port: _State | Port) -> str:
        match part_of(port.device_owner):
            case parts.DHCP:
                is_up = self._report.dhcp.get(port.network_id, False)
            case parts.L3:
                is_up = self._report.routers.get(port.device_id, False) or port.device_id in self._stopped_routers
            case _:
                is_up = self._report.ports.get(port.id, False)
        return "ACTIVE" if is_up and port.admin_state_up else "DOWN"
