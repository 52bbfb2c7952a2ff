"""A listener of a world's notices, and the broker between them."""

import json
from typing import Any

from kilonova.compute.notifications.notifier import Notifier
from kilonova.kit.bus.notices import NotTaken

CHOSEN = ["scheduler.select_destinations.start", "scheduler.select_destinations.end"]
INFO, ERROR = "versioned_notifications.info", "versioned_notifications.error"


class Recorder:
    """A broker that keeps what is published; it may refuse for a while."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.refusals = 0

    async def publish(self, topic: str, body: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotTaken("nobody is there")
        self.sent.append((topic, json.loads(json.loads(body)["oslo.message"])))

    async def close(self) -> None:
        pass

    def take(self) -> list[Any]:
        """The messages since the last time."""
        taken, self.sent = [message for _topic, message in self.sent], []
        return taken


class Listening:
    def __init__(self, world: Any, on_states: str = "") -> None:
        self.world = world
        self.recorder = Recorder()
        self.notifier = Notifier(self.recorder, host="controller", on_states=on_states, clock=world.clock)
        self.notifier.region = world.compute
        self.notifier.follow(world.compute.database)

    async def heard(self) -> list[Any]:
        await self.notifier.drain()
        return self.recorder.take()

    async def events(self) -> list[str]:
        return [each["event_type"] for each in await self.heard()]

    async def act(self, server_id: str, body: Any) -> None:
        response = await self.world.client.post(f"/v2.1/servers/{server_id}/action", json=body)
        assert response.status_code == 202, response.text


def data(message: Any) -> Any:
    found: Any = message["payload"]["nova_object.data"]
    return found
