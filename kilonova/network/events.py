"""Telling compute what happened to its servers' ports.

The event is written with the change and removed once compute has taken it: nothing is lost when either side is away.
Source: Compute API reference, "Create external events".
"""

import asyncio
from typing import Any

from sqlalchemy import bindparam, delete, select

from kilonova.kit.db import Tx
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable, at
from kilonova.kit.log import logger
from kilonova.network import records
from kilonova.network.service import NetworkService
from kilonova.network.tables import ComputeEvent, Port, compute_events
from kilonova.network.topics import EVENTS_TOPIC, EVENTS_WAIT

log = logger(__name__)

BATCH = 100
RETRY_SECONDS = 2.0

_OLDEST = select(compute_events).order_by(compute_events.c.created_at).limit(BATCH)
_SENT = delete(compute_events).where(compute_events.c.id.in_(bindparam("ids", expanding=True)))


async def tell_compute(tx: Tx, service: NetworkService, port: Port, name: str) -> None:
    """Notes an event for a server's port; other ports are nobody's business."""
    if not port.device_owner.startswith("compute:") or not port.device_id:
        return
    event = ComputeEvent(records.new_id(), name, port.device_id, port.id, service.clock.now())
    await tx.insert(compute_events, event)
    tx.after(EVENTS_WAIT)


class EventSender:
    """Sends what is noted, in order, until cancelled."""

    def __init__(self, service: NetworkService) -> None:
        self._service = service
        self._woken = asyncio.Event()

    async def run(self) -> None:
        stop = self._service.bus.subscribe(EVENTS_TOPIC, self._on_wake)
        try:
            while True:
                self._woken.clear()
                if not await self._send_or_say():
                    await self._wait()
        finally:
            stop()

    async def _send_or_say(self) -> bool:
        try:
            return await self.send_batch()
        except ServiceUnavailable as error:
            log.warning("compute cannot be told yet", reason=error.message)
            return False

    async def _on_wake(self, _payload: Any) -> None:
        self._woken.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def send_batch(self) -> bool:
        """Whether something was sent, so that there may be more."""
        service = self._service
        async with service.database.reading() as tx:
            waiting = await tx.all(ComputeEvent, _OLDEST)
        if not waiting or service.compute is None:
            return False
        entries = [_entry(each) for each in waiting]
        try:
            await service.compute.request("POST", at("/v2.1/os-server-external-events"), json={"events": entries})
        except RemoteUnavailable as error:
            log.warning("compute cannot be told yet", events=len(waiting), reason=str(error))
            return False
        except RemoteFault as error:
            # 404: the servers are gone. 400 will not be taken another time either.
            if error.status not in (400, 404):
                log.error("compute refuses events, they are kept", events=len(waiting), reason=error.message)
                return False
            if error.status == 400:
                log.error("compute refused events", events=len(waiting), reason=error.message)
        async with service.database.transaction() as tx:
            await tx.execute(_SENT, ids=[each.id for each in waiting])
        return True


def _entry(event: ComputeEvent) -> dict[str, Any]:
    status = {"status": "completed"}
    return {"name": event.name, "server_uuid": event.server_id, "tag": event.tag, **status}
