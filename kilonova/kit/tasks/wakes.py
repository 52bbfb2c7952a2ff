"""Wakes the runner of a database when tasks are committed to it, in whichever process it is."""

import asyncio
from collections.abc import Collection
from typing import Any, ClassVar

from kilonova.kit.bus import Bus, Unsubscribe
from kilonova.kit.tasks.runner import Runner


class WakesRunner:
    """The part of a service, on one database, that hears of its committed tasks (`TASKS_DUE`).

    `runner` is set where this process has one; without one a wake-up goes to those that have, over the bus.
    """

    tasks_topic: ClassVar[str]
    bus: Bus
    runner: Runner[Any] | None
    _telling: set[asyncio.Task[None]]

    async def wake(self, superseded: Collection[str]) -> None:
        """Tasks were committed. `superseded`: the subjects whose running operation was ended."""
        if self.runner is None:
            # Nobody waits for the broker.
            telling = asyncio.create_task(self.bus.publish(self.tasks_topic, sorted(superseded)))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        else:
            _wake(self.runner, superseded)

    def listen(self) -> Unsubscribe:
        """Takes wake-ups of other processes for this one's runner; returns what ends that."""

        async def heard(superseded: list[str]) -> None:
            if self.runner is not None:
                _wake(self.runner, superseded)

        return self.bus.subscribe(self.tasks_topic, heard)


def _wake(runner: Runner[Any], superseded: Collection[str]) -> None:
    for subject_id in superseded:
        runner.abandon(subject_id)
    runner.wake()
